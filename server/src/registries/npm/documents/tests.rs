use serde_json::{Value, json};

use super::*;
use crate::pull::views::Sections;
use policies::package::Ecosystem;

const BASE: &str = "https://garth.example.com/npm";

fn package(name: &str) -> Package {
    Package::new(Ecosystem::Npm, name).unwrap()
}

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

fn manifest(name: &str, version: &str) -> Value {
    json!({
        "name": name,
        "version": version,
        "description": format!("the {version}"),
        "dependencies": {"a": "^1.0.0"},
        "scripts": {"postinstall": "node build.js"},
        "dist": {
            "shasum": "0".repeat(40),
            "tarball": format!("https://npm.example.com/{name}/-/{name}-{version}.tgz"),
            "signatures": [{"keyid": "k", "sig": "s"}],
        },
    })
}

fn upstream(versions: &[&str], latest: &str) -> Value {
    let manifests: serde_json::Map<String, Value> =
        versions.iter().map(|text| ((*text).to_owned(), manifest("left-pad", text))).collect();
    let mut time: serde_json::Map<String, Value> = versions
        .iter()
        .map(|text| ((*text).to_owned(), json!("2024-01-01T00:00:00.000Z")))
        .collect();
    time.insert("created".to_owned(), json!("2023-01-01T00:00:00.000Z"));
    time.insert("modified".to_owned(), json!("2024-02-01T00:00:00.000Z"));
    json!({
        "_id": "left-pad",
        "name": "left-pad",
        "description": format!("the {latest}"),
        "dist-tags": {"latest": latest, "next": versions.last()},
        "versions": manifests,
        "time": time,
        "readme": "# left-pad",
    })
}

#[test]
fn the_attestations_of_a_version_are_here_wherever_they_were() {
    for first in [true, false] {
        let mut document = upstream(&["1.0.0"], "1.0.0");
        let tarball = "\"tarball\":\"https://npm.example.com/left-pad.tgz\"";
        let attested = "\"attestations\":{\"provenance\":{},\"url\":\"https://npm.example.com/x\"}";
        let (a, b) = if first { (attested, tarball) } else { (tarball, attested) };
        document["versions"]["1.0.0"]["dist"] = json!("DIST");
        let dist = format!("{{{a},\"shasum\":\"{}\",{b}}}", "0".repeat(40));
        let text = document.to_string().replace("\"DIST\"", &dist);
        let packument = Packument::parse(&package("left-pad"), &Bytes::from(text)).unwrap();
        for form in [Form::Full, Form::Abbreviated] {
            let view = render(&packument, &["1.0.0"], form);
            let dist = &view["versions"]["1.0.0"]["dist"];
            let url = format!("{BASE}/-/npm/v1/attestations/left-pad@1.0.0");
            assert_eq!(dist["attestations"], json!({ "provenance": {}, "url": url }), "{first}");
            assert_eq!(dist["tarball"], format!("{BASE}/left-pad/-/left-pad-1.0.0.tgz"), "{first}");
        }
    }
}

fn parse(document: &Value) -> Packument {
    Packument::parse(&package("left-pad"), &Bytes::from(document.to_string())).unwrap()
}

pub fn whole_text(offer: &Offer<'_>, form: Form, base: &str) -> Vec<u8> {
    let text = PackumentText::new(offer.clone(), form, base);
    let mut bytes = Vec::new();
    (0..text.count()).for_each(|section| text.write(section, &mut bytes).unwrap());
    bytes
}

fn render(packument: &Packument, allowed: &[&str], form: Form) -> Value {
    let shown: Vec<Shown<'_>> = packument
        .entries
        .iter()
        .filter(|entry| allowed.contains(&entry.version.as_str()))
        .map(|entry| Shown { entry, pinned: None })
        .collect();
    let tags = offered_tags(packument, &shown);
    let bytes = whole_text(&Offer { packument, shown, tags }, form, BASE);
    serde_json::from_slice(&bytes).unwrap()
}

#[test]
fn whoever_ignores_the_restrictions_sees_the_same_packument() {
    let packument = parse(&upstream(&["1.0.0", "2.0.0"], "2.0.0"));
    for form in [Form::Full, Form::Abbreviated] {
        let text = |restrictions: Option<&[u8]>| {
            let shown = vec![Shown { entry: &packument.entries[0], pinned: None }];
            let tags = offered_tags(&packument, &shown);
            let offer = Offer { packument: &packument, shown, tags };
            let text = PackumentText::new(offer, form, BASE);
            let text = text.with_restrictions(restrictions.map(<[u8]>::to_vec));
            let mut bytes = Vec::new();
            (0..text.count()).for_each(|section| text.write(section, &mut bytes).unwrap());
            let kept = (0..text.count()).filter_map(|section| {
                let mut bytes = Vec::new();
                text.write(section, &mut bytes).unwrap();
                Some((text.key(section)?, bytes))
            });
            (serde_json::from_slice::<Value>(&bytes).unwrap(), kept.collect::<Vec<_>>())
        };
        let (mut told, kept) = text(Some(b"{\"message\":\"so\"}"));
        let (untold, kept_untold) = text(None);
        assert_eq!(kept, kept_untold, "what is packed once for both");
        assert!(kept.len() > 1);
        let field = told.as_object_mut().unwrap().remove("policyRestrictions").unwrap();
        assert_eq!(field["message"], "so");
        assert_eq!(told, untold);
    }
}

#[test]
fn denied_version_is_absent_from_packument() {
    let packument = parse(&upstream(&["1.0.0", "1.1.0", "2.0.0"], "2.0.0"));
    for form in [Form::Full, Form::Abbreviated] {
        let view = render(&packument, &["1.0.0", "1.1.0"], form);
        assert_eq!(view["versions"].as_object().unwrap().len(), 2);
        assert!(view["versions"]["2.0.0"].is_null() && view["time"]["2.0.0"].is_null());
        assert_eq!(view["dist-tags"], json!({"latest": "1.1.0"}), "a dangling tag is gone");
        assert_eq!(view["time"]["1.0.0"], "2024-01-01T00:00:00.000Z");
        assert_eq!(view["time"]["modified"], "2024-02-01T00:00:00.000Z");
        assert_eq!(view["modified"], "2024-02-01T00:00:00.000Z");
    }
}

#[test]
fn an_unfiltered_view_is_the_upstreams_but_for_its_addresses() {
    let original = upstream(&["1.0.0", "2.0.0"], "2.0.0");
    let view = render(&parse(&original), &["1.0.0", "2.0.0"], Form::Full);
    let mut expected = original;
    for text in ["1.0.0", "2.0.0"] {
        expected["versions"][text]["dist"]["tarball"] =
            format!("{BASE}/left-pad/-/left-pad-{text}.tgz").into();
    }
    expected["modified"] = expected["time"]["modified"].clone();
    assert_eq!(view, expected);
}

#[test]
fn the_abbreviated_form_has_what_an_install_needs_and_no_more() {
    let view = render(&parse(&upstream(&["1.0.0"], "1.0.0")), &["1.0.0"], Form::Abbreviated);
    assert!(view["readme"].is_null() && view["_id"].is_null());
    let short = &view["versions"]["1.0.0"];
    assert_eq!(short["hasInstallScript"], true);
    assert_eq!(short["dependencies"], json!({"a": "^1.0.0"}));
    assert_eq!(short["dist"]["signatures"][0]["keyid"], "k");
    assert!(short["description"].is_null() && short["scripts"].is_null());
}

#[test]
fn what_is_hoisted_comes_from_the_version_that_is_latest_here() {
    let view = render(&parse(&upstream(&["1.0.0", "2.0.0"], "2.0.0")), &["1.0.0"], Form::Full);
    assert_eq!(view["description"], "the 1.0.0");
    assert!(view["readme"].is_null(), "the readme of a version that is not offered");
}

#[test]
fn latest_is_the_newest_stable_version_not_above_the_original() {
    type Row<'a> = (&'a [&'a str], &'a str, &'a [&'a str], Option<&'a str>);
    let rows: &[Row<'_>] = &[
        (&["1.0.0", "2.0.0"], "2.0.0", &["1.0.0", "2.0.0"], Some("2.0.0")),
        (&["1.0.0", "1.9.0", "2.0.0"], "2.0.0", &["1.0.0", "1.9.0"], Some("1.9.0")),
        (&["1.0.0", "1.9.0-rc.1", "2.0.0"], "2.0.0", &["1.0.0", "1.9.0-rc.1"], Some("1.0.0")),
        (&["1.0.0-rc.1", "2.0.0"], "2.0.0", &["1.0.0-rc.1"], Some("1.0.0-rc.1")),
        (&["1.0.0", "2.0.0", "3.0.0"], "1.0.0", &["2.0.0", "3.0.0"], Some("2.0.0")),
        (&["1.0.0", "10.0.0", "9.0.0"], "10.0.0", &["1.0.0", "9.0.0"], Some("9.0.0")),
        (&["1.0.0"], "1.0.0", &[], None),
    ];
    for (versions, latest, allowed, expected) in rows {
        let view = render(&parse(&upstream(versions, latest)), allowed, Form::Full);
        assert_eq!(view["dist-tags"]["latest"].as_str(), *expected, "{versions:?} {allowed:?}");
    }
}

#[test]
fn other_digests_than_the_first_are_not_offered() {
    let packument = parse(&upstream(&["1.0.0"], "1.0.0"));
    let sha512 = Digest::parse(&format!("sha512:{}", "ab".repeat(64))).unwrap();
    let pinned = [sha512.clone(), Digest::parse(&format!("sha1:{}", "c".repeat(40))).unwrap()];
    let shown = Shown { entry: &packument.entries[0], pinned: Some(&pinned) };
    let manifest: Value =
        serde_json::from_slice(&render_manifest(&packument, &shown, BASE).unwrap()).unwrap();
    let expected = json!({
        "tarball": format!("{BASE}/left-pad/-/left-pad-1.0.0.tgz"),
        "integrity": sha512.to_sri(),
        "shasum": "c".repeat(40),
    });
    assert_eq!(manifest["dist"], expected, "signatures of other bytes are gone");
}

#[test]
fn a_version_that_contradicts_itself_is_left_out_and_named() {
    let rows = [
        ("another name", r#"{"name":"x","version":"1.0.0","dist":{"tarball":"t","shasum":"S"}}"#),
        (
            "another version",
            r#"{"name":"left-pad","version":"2","dist":{"tarball":"t","shasum":"S"}}"#,
        ),
        ("no dist", r#"{"name":"left-pad","version":"1.0.0"}"#),
        ("no tarball", r#"{"name":"left-pad","version":"1.0.0","dist":{"shasum":"S"}}"#),
        ("no digest", r#"{"name":"left-pad","version":"1.0.0","dist":{"tarball":"t"}}"#),
        (
            "unreadable digest",
            r#"{"name":"left-pad","version":"1.0.0","dist":{"tarball":"t","shasum":"S","integrity":"md5-x"}}"#,
        ),
        (
            "two dists",
            r#"{"name":"left-pad","version":"1.0.0","dist":{"tarball":"t","shasum":"S"},"d\u0069st":{"tarball":"u","shasum":"S"}}"#,
        ),
        (
            "two tarballs",
            r#"{"name":"left-pad","version":"1.0.0","dist":{"tarball":"t","tarball":"u","shasum":"S"}}"#,
        ),
        ("no object", "[]"),
        (
            "a tarball that is not on the web",
            r#"{"name":"left-pad","version":"1.0.0","dist":{"tarball":"file:///etc/passwd","shasum":"S"}}"#,
        ),
    ];
    for (name, entry) in rows {
        let entry = entry.replace("\"S\"", &format!("\"{}\"", "0".repeat(40)));
        let text = format!(r#"{{"name":"left-pad","versions":{{"1.0.0":{entry}}}}}"#);
        let packument = Packument::parse(&package("left-pad"), &Bytes::from(text)).unwrap();
        assert!(packument.entries.is_empty(), "{name}");
        assert_eq!(packument.left_out.len(), 1, "{name}");
    }
}

#[test]
fn what_is_no_packument_of_the_package_is_refused() {
    let rows = [
        "",
        "<html>",
        "[]",
        "{}",
        r#"{"error":"internal"}"#,
        r#"{"name":"right-pad","versions":{}}"#,
        r#"{"name":"left-pad","versions":[]}"#,
        r#"{"name":"left-pad","versions":{}"#,
    ];
    for text in rows {
        let parsed = Packument::parse(&package("left-pad"), &Bytes::from(text));
        assert!(parsed.is_err(), "{text}");
    }
    let invalid =
        Packument::parse(&package("left-pad"), &Bytes::from_static(b"{\"name\":\"\xff\"}"));
    assert!(invalid.is_err());
}

#[test]
fn a_deep_document_is_no_stack_overflow() {
    let deep = format!("{}1{}", "[".repeat(200_000), "]".repeat(200_000));
    let text = format!(r#"{{"name":"left-pad","versions":{{}},"readme":{deep}}}"#);
    let parsed = Packument::parse(&package("left-pad"), &Bytes::from(text));
    assert!(parsed.is_ok() || parsed.is_err(), "it came back");
}

#[test]
fn a_version_that_the_upstream_took_away_stays_where_it_is_held() {
    let before = parse(&upstream(&["1.0.0", "2.0.0"], "2.0.0"));
    let held = HashSet::from([version("1.0.0")]);
    let retained = NpmDocuments::retain(&before, &held);
    let newest = Bytes::from(upstream(&["2.0.0"], "2.0.0").to_string());
    let merged =
        NpmDocuments::parse(&package("left-pad"), newest, Some(retained.unwrap())).unwrap();
    let view = render(&merged, &["1.0.0", "2.0.0"], Form::Full);
    assert_eq!(view["versions"].as_object().unwrap().len(), 2);
    assert_eq!(view["versions"]["1.0.0"]["description"], "the 1.0.0");
    assert_eq!(view["time"]["1.0.0"], "2024-01-01T00:00:00.000Z");
    assert!(merged.entry(&version("1.0.0")).is_some());
}

#[test]
fn a_scoped_tarball_is_offered_under_our_address() {
    let text = json!({
        "name": "@s/n",
        "versions": {"1.0.0": {
            "name": "@s/n", "version": "1.0.0",
            "dist": {"tarball": "../odd/place.tgz", "shasum": "0".repeat(40)},
        }},
    });
    let packument = Packument::parse(&package("@s/n"), &Bytes::from(text.to_string())).unwrap();
    let view = render(&packument, &["1.0.0"], Form::Abbreviated);
    assert_eq!(view["versions"]["1.0.0"]["dist"]["tarball"], format!("{BASE}/@s/n/-/n-1.0.0.tgz"));
    assert!(packument.entry_of_foreign_file("place.tgz").is_some());
    assert!(packument.entry_of_foreign_file("other.tgz").is_none());
}

#[test]
fn what_is_left_out_is_found_by_its_version_and_by_a_tag() {
    let mut document = json!({
        "name": "left-pad",
        "dist-tags": { "latest": "1.0.0", "next": "2.0.0" },
        "versions": {},
    });
    for version in ["1.0.0", "2.0.0"] {
        document["versions"][version] = json!({
            "name": "left-pad", "version": version,
            "dist": { "tarball": "l.tgz", "shasum": "0".repeat(40) },
        });
    }
    document["versions"]["2.0.0"]["name"] = json!("right-pad");
    let text = Bytes::from(document.to_string());
    let packument = Packument::parse(&package("left-pad"), &text).unwrap();
    for asked in ["2.0.0", "next"] {
        assert_eq!(packument.left_out(asked), packument.left_out.first(), "{asked}");
    }
    for asked in ["1.0.0", "latest", "3.0.0", "old"] {
        assert_eq!(packument.left_out(asked), None, "{asked}");
    }
}

proptest::proptest! {
    #[test]
    fn a_view_never_shows_what_is_not_allowed(mask in proptest::collection::vec(proptest::bool::ANY, 6)) {
        let all = ["1.0.0", "1.1.0", "1.2.0-rc.1", "2.0.0", "2.1.0", "3.0.0-beta"];
        let allowed: Vec<&str> =
            all.iter().zip(&mask).filter(|(_, keep)| **keep).map(|(text, _)| *text).collect();
        let packument = parse(&upstream(&all, "2.1.0"));
        for form in [Form::Full, Form::Abbreviated] {
            let view = render(&packument, &allowed, form);
            let versions = view["versions"].as_object().unwrap();
            proptest::prop_assert_eq!(versions.len(), allowed.len());
            for (tag, version) in view["dist-tags"].as_object().unwrap() {
                proptest::prop_assert!(allowed.contains(&version.as_str().unwrap()), "{}", tag);
            }
            for key in view["time"].as_object().unwrap().keys() {
                let is_date = matches!(key.as_str(), "created" | "modified");
                proptest::prop_assert!(is_date || allowed.contains(&key.as_str()));
            }
            proptest::prop_assert_eq!(view["dist-tags"]["latest"].is_null(), allowed.is_empty());
        }
    }

    #[test]
    fn no_bytes_panic_the_parser(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
        let _ = Packument::parse(&package("left-pad"), &Bytes::from(bytes));
    }
}
