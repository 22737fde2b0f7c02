#![allow(clippy::unwrap_used)]

use super::*;

fn check_name(ecosystem: Ecosystem, given: &str, expected: Result<&str, &str>) {
    let found = Package::new(ecosystem, given);
    match expected {
        Ok(name) => assert_eq!(found.as_ref().map(Package::name), Ok(name), "{given:?}"),
        Err(part) => {
            let error = found.expect_err(given);
            assert!(error.to_string().contains(part), "{given:?}: {error}");
        }
    }
}

#[test]
fn names_that_the_npm_registry_has_are_accepted_as_they_are() {
    let long = "x".repeat(214);
    for name in [
        "left-pad",
        "@types/node",
        "JSONStream",
        "jsonstream",
        "lodash.merge",
        "-",
        "_",
        "o_o",
        "crypto-js",
        "@babel/core",
        "@Scope/Name",
        "node-v8.0",
        "x~y",
        "it's",
        "a(b)",
        long.as_str(),
    ] {
        check_name(Ecosystem::Npm, name, Ok(name));
    }
}

#[test]
fn names_that_could_be_a_trick_are_refused() {
    let long = "x".repeat(215);
    for (name, why) in [
        ("", "empty"),
        (".", "dot"),
        ("..", "`..`"),
        ("../x", "`..`"),
        ("a..b", "`..`"),
        (".hidden", "dot"),
        ("@s/.x", "dot"),
        ("@.s/x", "dot"),
        ("@s", "scope"),
        ("@s/", "empty"),
        ("@/x", "empty"),
        ("a/b", "only letters"),
        ("@s/a/b", "only letters"),
        ("a\\b", "only letters"),
        ("a\0b", "only letters"),
        ("a b", "only letters"),
        ("a\nb", "only letters"),
        ("a%2fb", "only letters"),
        ("foo*", "only letters"),
        ("ünï", "only letters"),
        ("a@b", "only letters"),
        ("@@a/b", "only letters"),
        ("node_modules", "reserves"),
        ("favicon.ico", "reserves"),
        (long.as_str(), "longer"),
        ("a\u{202e}b", "only letters"),
    ] {
        check_name(Ecosystem::Npm, name, Err(why));
    }
}

#[test]
fn each_ecosystem_has_its_own_grammar_and_normal_form() {
    use Ecosystem::{Cargo, Nuget, Oci};
    check_name(Cargo, "serde_derive", Ok("serde_derive"));
    check_name(Cargo, "Serde", Ok("serde"));
    check_name(Cargo, "a.b", Err("letters"));
    check_name(Cargo, "-a", Err("starts"));
    check_name(Nuget, "Newtonsoft.Json", Ok("newtonsoft.json"));
    check_name(Nuget, "A..B", Err("`..`"));
    check_name(Nuget, ".A", Err("words"));
    check_name(Nuget, "A/B", Err("words"));
    check_name(Oci, "hub/library/alpine", Ok("hub/library/alpine"));
    check_name(Oci, "hub/a__b/c-d.e", Ok("hub/a__b/c-d.e"));
    check_name(Oci, "hub//alpine", Err("parts"));
    check_name(Oci, "hub/Alpine", Err("parts"));
    check_name(Oci, "hub/-a", Err("parts"));
    check_name(Oci, "hub/a._b", Err("parts"));
}

#[test]
fn colliding_crate_names_have_one_key() {
    for name in ["serde-derive", "serde_derive", "Serde_Derive"] {
        let package = Package::new(Ecosystem::Cargo, name).unwrap();
        assert_eq!(package.collision_key(), "serde-derive");
    }
}

#[test]
fn the_short_form_and_the_purl_are_one_package() {
    for (short, purl) in [
        ("npm:left-pad", "pkg:npm/left-pad"),
        ("npm:@types/node", "pkg:npm/%40types/node"),
        ("npm:JSONStream", "pkg:npm/JSONStream"),
        ("cargo:serde_derive", "pkg:cargo/serde_derive"),
        ("nuget:newtonsoft.json", "pkg:nuget/newtonsoft.json"),
        ("oci:hub/library/alpine", "pkg:oci/alpine?repository_url=hub%2Flibrary%2Falpine"),
    ] {
        let package: Package = short.parse().unwrap();
        assert_eq!(package.to_string(), short);
        assert_eq!(package.purl(), purl);
        assert_eq!(purl.parse::<Package>().unwrap(), package);
    }
    assert_eq!("pkg:npm/@types/node".parse::<Package>().unwrap().name(), "@types/node");
    assert_eq!("pkg:npm/%40types%2Fnode".parse::<Package>().unwrap().name(), "@types/node");
}

#[test]
fn versions_are_read_behind_a_name() {
    for (text, package, version) in [
        ("npm:left-pad@1.3.0", "npm:left-pad", "1.3.0"),
        ("npm:@a/b@1.0.0-rc.1+x", "npm:@a/b", "1.0.0-rc.1+x"),
        ("oci:hub/library/alpine:3.20", "oci:hub/library/alpine", "3.20"),
        ("oci:hub/alpine@sha256:00", "oci:hub/alpine", "sha256:00"),
        ("oci:hub/alpine:3@sha256:00", "oci:hub/alpine", "sha256:00"),
        ("pkg:npm/%40a/b@1.0.0", "npm:@a/b", "1.0.0"),
        ("pkg:cargo/serde@1.0.0", "cargo:serde", "1.0.0"),
    ] {
        let found: PackageVersion = text.parse().unwrap();
        assert_eq!(
            (found.package.to_string().as_str(), found.version.as_str()),
            (package, version)
        );
    }
    let shown = |text: &str| text.parse::<PackageVersion>().unwrap().to_string();
    assert_eq!(shown("pkg:npm/%40a/b@1.0.0"), "npm:@a/b@1.0.0");
    assert_eq!(shown("oci:hub/alpine:3"), "oci:hub/alpine:3");
    for text in
        ["left-pad@1", "npm:left-pad", "npm:left-pad@", "pypi:x@1", "npm:x@../y", "npm:x@a/b"]
    {
        assert!(text.parse::<PackageVersion>().is_err(), "{text}");
    }
}

#[test]
fn a_digest_is_strict() {
    let hex = "a".repeat(64);
    assert_eq!(
        Digest::parse(&format!("sha256:{hex}")).unwrap().to_string(),
        format!("sha256:{hex}")
    );
    for bad in [
        "sha256:../x".to_owned(),
        format!("sha256:{}", "A".repeat(64)),
        format!("sha256:{}", "a".repeat(63)),
        format!("md5:{}", "a".repeat(32)),
        format!("SHA256:{hex}"),
        hex.clone(),
        String::new(),
        format!("sha256:{}", "é".repeat(32)),
    ] {
        assert!(Digest::parse(&bad).is_err(), "{bad}");
    }
}

#[test]
fn subresource_integrity_is_read_strongest_first() {
    let one = Digest::new(Algorithm::Sha1, &[1; 20]).unwrap();
    let big = Digest::new(Algorithm::Sha512, &[2; 64]).unwrap();
    let text = format!("md5-AAAA {} {}?opt sha512-short", one.to_sri(), big.to_sri());
    assert_eq!(Digest::from_sri(&text), [big, one]);
    assert!(Digest::from_sri("nonsense").is_empty());
}
