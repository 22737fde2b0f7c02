//! What reads what clients ask for, what upstreams say, and what is published.

use std::collections::HashSet;
use std::io::Write as _;
use std::sync::Arc;

use ::policies::package::{Digest, Ecosystem, Package, Version};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use server::edge::path;
use server::pull::format::{DocumentFormat, Said, Verdict};
use server::registries::cargo::documents::CargoDocuments;
use server::registries::cargo::names as cargo;
use server::registries::cargo::publish::archive as own_crates;
use server::registries::cargo::publish::checked::Announced;
use server::registries::cargo::publish::described::{Dependency, Described};
use server::registries::cargo::publish::line::Line;
use server::registries::npm::documents::NpmDocuments;
use server::registries::npm::names as npm;
use server::registries::npm::publish::archive as own_tarballs;

use super::{Behaviour, text};

pub const PATHS: [&str; 28] = [
    "/",
    "@",
    "%40",
    "%2f",
    "%2F",
    "%252f",
    "%",
    "..",
    ".",
    "%2e%2e",
    "\\",
    "%5c",
    "%00",
    "-",
    "_",
    "/-/",
    "/-rev/",
    ".tgz",
    "-/package/a/dist-tags/latest",
    "-/npm/v1/attestations/a@1.0.0",
    "api/v1/crates/a/1.0.0/download",
    "crates/a/a-1.0.0.crate",
    "se/rd/serde",
    "config.json",
    "1/a",
    "3/a/abc",
    "1.0.0",
    "é",
];

pub const PACKUMENTS: [&str; 36] = [
    "\"name\":\"a\"",
    "\"versions\":{",
    "\"1.0.0\":{",
    "\"2.0.0\":{}",
    "\"version\":\"1.0.0\"",
    "\"dist\":{",
    "\"tarball\":\"https://r.example/a/-/a-1.0.0.tgz\"",
    "\"integrity\":\"sha512-",
    "\"shasum\":\"0123456789012345678901234567890123456789\"",
    "\"dist-tags\":{\"latest\":\"1.0.0\"}",
    "\"time\":{\"1.0.0\":\"2026-01-01T00:00:00Z\"}",
    "\"deprecated\":\"no\"",
    "\"dependencies\":{\"b\":\"^1\"}",
    "\"bundleDependencies\":true",
    "\"scripts\":{\"postinstall\":\"x\"}",
    "\"license\":\"MIT\"",
    "\"repository\":{\"type\":\"git\",\"url\":\"https://git.example/a\"}",
    "\"_npmUser\":{\"name\":\"ann\"}",
    "\"hasInstallScript\":true",
    "\"cpu\":[\"x64\"]",
    "\"\\u0061\":",
    "\"a\":1e999",
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "null",
    "true",
    "-0",
    " ",
    "\u{feff}",
    "\u{202e}",
];

pub const LINES: [&str; 26] = [
    "{\"name\":\"a\",\"vers\":\"1.0.0\",\"deps\":[],\"cksum\":\"0000000000000000000000000000000000000000000000000000000000000000\",\"features\":{},\"yanked\":false}",
    "\n",
    "\r\n",
    "\"name\":\"A\"",
    "\"vers\":\"2.0.0+b\"",
    "\"cksum\":\"00\"",
    "\"yanked\":true",
    "\"yanked\":null",
    "\"features\":{\"a\":[\"dep:b\"]}",
    "\"features2\":{\"a\":[\"b?/c\"]}",
    "\"v\":2",
    "\"v\":3",
    "\"links\":\"a\"",
    "\"rust_version\":\"1.85\"",
    "\"pubtime\":\"2026-01-01T00:00:00Z\"",
    "\"deps\":[{\"name\":\"b\",\"req\":\"^1\",\"features\":[],\"optional\":false,\"default_features\":true,\"target\":null,\"kind\":\"normal\"}]",
    "\"registry\":\"sparse+https://r.example/\"",
    "\"package\":\"c\"",
    "{",
    "}",
    "[",
    "]",
    ",",
    "\"",
    "\\u0000",
    "1e999",
];

/// Of the headers of a tar archive.
pub const ENTRIES: [&str; 26] = [
    "package/package.json",
    "a-1.0.0/Cargo.toml",
    "a-1.0.0/build.rs",
    "../x",
    "/etc/x",
    "././@LongLink",
    "@PaxHeader",
    "27 path=a-1.0.0/Cargo.toml\n",
    "14 size=100\n",
    "ustar\0",
    "ustar  \0",
    "0000644\0",
    "00000000000\0",
    "77777777777\0",
    "\0\0\0\0\0\0\0\0",
    "L",
    "K",
    "x",
    "g",
    "5",
    "2",
    "1",
    "S",
    "name = \"a\"\n",
    "{\"name\":\"a\",\"version\":\"1.0.0\"}",
    "[package]\n",
];

pub const ANNOUNCEMENTS: [&str; 34] = [
    "\"name\":\"a\"",
    "\"vers\":\"1.0.0\"",
    "\"deps\":[",
    "\"features\":{\"default\":[\"a\"]}",
    "\"authors\":[]",
    "\"description\":\"d\"",
    "\"license\":\"MIT\"",
    "\"license_file\":null",
    "\"repository\":\"https://git.example/a\"",
    "\"badges\":{}",
    "\"links\":\"a\"",
    "\"rust_version\":\"1.85\"",
    "\"version_req\":\"^1\"",
    "\"optional\":true",
    "\"default_features\":false",
    "\"target\":\"cfg(unix)\"",
    "\"kind\":\"dev\"",
    "\"registry\":\"https://r.example/\"",
    "\"explicit_name_in_toml\":\"b\"",
    "[package]\n",
    "name = \"a\"\n",
    "version = \"1.0.0\"\n",
    "[dependencies]\n",
    "[dependencies.b]\n",
    "[target.'cfg(unix)'.build-dependencies]\n",
    "[features]\n",
    "b = { version = \"1\", package = \"c\", optional = true }\n",
    "registry-index = \"sparse+https://r.example/\"\n",
    "workspace = true\n",
    "{",
    "}",
    "[",
    "]",
    "\n",
];

/// What was taken apart means the same when it is put together and taken apart again.
pub fn paths(input: &[u8]) -> Vec<u64> {
    let Some(text) = text(input) else { return Vec::new() };
    let mut behaviour = Behaviour::default();
    let path = format!("/{text}");
    let clean = path::check(&path);
    match &clean {
        Ok(()) => behaviour.saw("clean"),
        Err(fault) => behaviour.said(&fault.to_string()),
    }
    match npm::parse_path(&path) {
        Err(error) => behaviour.said(&error.to_string()),
        Ok(endpoint) => {
            behaviour.saw(std::mem::discriminant(&endpoint));
            if let Some(package) = endpoint.package() {
                assert_eq!(package.ecosystem(), Ecosystem::Npm);
                let again = npm::parse_path(&npm::encode_name(package));
                assert_eq!(again, Ok(npm::Endpoint::Packument(package.clone())), "{path}");
            }
            if let npm::Endpoint::Tarball(package, file) = &endpoint
                && let Some(version) = npm::version_of_file(package, file)
            {
                let place = npm::parse_path(&npm::tarball_path(package, &version));
                let meant = npm::tarball_file(package, &version);
                assert_eq!(place, Ok(npm::Endpoint::Tarball(package.clone(), meant)), "{path}");
                behaviour.saw("version");
            }
        }
    }
    match cargo::parse_path(&path) {
        Err(error) => behaviour.said(&error.to_string()),
        Ok(endpoint) => {
            behaviour.saw(std::mem::discriminant(&endpoint));
            if let Some(package) = endpoint.package() {
                assert_eq!(package.ecosystem(), Ecosystem::Cargo);
                let again = cargo::parse_path(&cargo::index_path(package));
                assert_eq!(again, Ok(cargo::Endpoint::Index(package.clone())), "{path}");
            }
        }
    }
    behaviour.0
}

fn package(ecosystem: Ecosystem) -> Package {
    Package::new(ecosystem, "a").expect("a good name")
}

pub fn packuments(input: &[u8]) -> Vec<u64> {
    documents::<NpmDocuments>(&package(Ecosystem::Npm), input, OTHER_PACKUMENT)
}

pub fn index_files(input: &[u8]) -> Vec<u64> {
    documents::<CargoDocuments>(&package(Ecosystem::Cargo), input, OTHER_LINE)
}

/// What a document claims it also offers, and all of it can be kept for when it is taken away: beside
/// `other`, a document of another version, it says the same.
fn documents<F: DocumentFormat>(package: &Package, input: &[u8], other: &'static str) -> Vec<u64> {
    let mut behaviour = Behaviour::default();
    let parsed = match F::parse(package, Bytes::copy_from_slice(input), None) {
        Ok(parsed) => parsed,
        Err(why) => {
            assert!(!why.is_empty(), "refused without a reason");
            behaviour.said(&why);
            return behaviour.0;
        }
    };
    let claims = F::claims(&parsed);
    let versions: HashSet<Version> = claims.iter().map(|claim| claim.version.clone()).collect();
    assert_eq!(versions.len(), claims.len(), "one version, one claim");
    for claim in &claims {
        assert!(F::offers(&parsed, &claim.version), "{} is not offered", claim.version);
        behaviour.saw((claim.published.is_some(), claim.deprecated, claim.digests.len()));
        behaviour.saw(F::stated(&parsed, &claim.version).is_some());
    }
    for left_out in F::left_out(&parsed) {
        assert!(!left_out.why.is_empty());
        behaviour.said(&left_out.why);
    }
    assert!(F::weight(&parsed) > 0);
    behaviour.saw((claims.len().min(6), F::tags(&parsed).len().min(6)));
    for is_own in [true, false] {
        behaviour.saw(F::summary(&parsed, is_own).latest.is_some());
    }
    let one_more = Version::new(OTHER).expect("a good version");
    if versions.contains(&one_more) {
        return behaviour.0;
    }
    let retained = F::retain(&parsed, &versions).expect("its text is in memory");
    let again = F::parse(package, Bytes::from_static(other.as_bytes()), Some(retained))
        .expect("what was read before");
    assert_eq!(F::claims(&again).len(), claims.len() + 1, "what is kept is what was claimed");
    for version in &versions {
        assert_eq!(of_one::<F>(&again, version), of_one::<F>(&parsed, version), "{version}");
    }
    behaviour.0
}

/// What is promised of a version, and what is said of it.
fn of_one<F: DocumentFormat>(
    parsed: &F::Parsed,
    version: &Version,
) -> (Arc<[Digest]>, Option<Said>) {
    let promise = F::promise(parsed, version);
    let promise = promise.unwrap_or_else(|| panic!("nothing is promised of {version}"));
    (promise.digests, F::said(parsed, version).expect("its text is in memory"))
}

/// `input` is what an archive holds, before it is packed: broken gzip is soon told, and so are headers
/// whose sum is wrong, which is made right.
fn packed(input: &[u8]) -> Vec<u8> {
    let mut archive = input.to_vec();
    for block in archive.chunks_exact_mut(512) {
        if &block[257..262] == b"ustar" {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        }
    }
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&archive).expect("memory takes all of it");
    encoder.finish().expect("memory takes all of it")
}

fn compared<F: DocumentFormat>(
    package: &Package,
    document: &'static str,
    packed: &[u8],
    behaviour: &mut Behaviour,
) -> Verdict {
    let parsed =
        F::parse(package, Bytes::from_static(document.as_bytes()), None).expect("a good document");
    let version = Version::new("1.0.0").expect("a good version");
    let said = F::said(&parsed, &version).expect("its text is in memory").expect("it says a lot");
    let opened = F::compare(&said, &mut &*packed, packed.len() as u64);
    match &opened.verdict {
        Verdict::Agrees => behaviour.saw("agrees"),
        Verdict::Contradicts(differences) => {
            assert!(!differences.is_empty(), "contradicts without a difference");
            for difference in differences {
                behaviour.said(&difference.field);
            }
            behaviour.saw(differences.len());
        }
        Verdict::Unreadable(why) => {
            assert!(!why.is_empty() && why.chars().count() <= 200, "{why}");
            behaviour.said(why);
        }
    }
    behaviour.saw(opened.inside.is_some());
    opened.verdict
}

const PACKUMENT: &str = r#"{"name":"a","dist-tags":{"latest":"1.0.0"},"versions":{"1.0.0":{"name":"a","version":"1.0.0","dependencies":{"b":"^1"},"dist":{"tarball":"https://r.example/a/-/a-1.0.0.tgz","shasum":"0123456789012345678901234567890123456789"}}}}"#;
const LINE: &str = r#"{"name":"a","vers":"1.0.0","deps":[{"name":"b","req":"^1","features":[],"optional":false,"default_features":true,"target":null,"kind":"normal"}],"cksum":"0000000000000000000000000000000000000000000000000000000000000000","features":{},"yanked":false}"#;

const OTHER: &str = "7.7.7-other";
const OTHER_PACKUMENT: &str = r#"{"name":"a","versions":{"7.7.7-other":{"name":"a","version":"7.7.7-other","dist":{"tarball":"https://r.example/a/-/a-7.7.7-other.tgz","shasum":"0123456789012345678901234567890123456789"}}}}"#;
const OTHER_LINE: &str = r#"{"name":"a","vers":"7.7.7-other","deps":[],"cksum":"0000000000000000000000000000000000000000000000000000000000000000","features":{},"yanked":false}"#;

/// What may be published can be read where it comes from an upstream.
pub fn tarballs(input: &[u8]) -> Vec<u64> {
    let mut behaviour = Behaviour::default();
    let packed = packed(input);
    let npm = package(Ecosystem::Npm);
    let verdict = compared::<NpmDocuments>(&npm, PACKUMENT, &packed, &mut behaviour);
    let limits = own_tarballs::Limits::default();
    match own_tarballs::open(packed.as_slice(), packed.len() as u64, &limits) {
        Ok(contents) => {
            assert!(!matches!(verdict, Verdict::Unreadable(_)), "{verdict:?}");
            behaviour.saw((contents.has_gyp, contents.has_shrinkwrap, contents.readme.is_some()));
            behaviour.saw((contents.files.min(5), contents.unpacked.min(1)));
        }
        Err(fault) => behaviour.said(&fault.to_string()),
    }
    behaviour.0
}

/// The same.
pub fn crates(input: &[u8]) -> Vec<u64> {
    let mut behaviour = Behaviour::default();
    let packed = packed(input);
    let cargo = package(Ecosystem::Cargo);
    let verdict = compared::<CargoDocuments>(&cargo, LINE, &packed, &mut behaviour);
    match own_crates::open(packed.as_slice(), packed.len() as u64, "a-1.0.0") {
        Ok(contents) => {
            assert!(!matches!(verdict, Verdict::Unreadable(_)), "{verdict:?}");
            behaviour.saw("opened");
            if let Err(why) = Described::packed(contents.manifest()) {
                behaviour.said(&why);
            }
        }
        Err(why) => behaviour.said(&why),
    }
    behaviour.0
}

/// What says a crate's metadata, as it is sent or as it is packed. Where its name and its version may be
/// published, its line in the index can be read again.
pub fn announcements(input: &[u8]) -> Vec<u64> {
    let mut behaviour = Behaviour::default();
    let announced = Announced::read(&Bytes::copy_from_slice(input));
    if let Err(why) = &announced {
        assert!(!why.is_empty(), "refused without a reason");
        behaviour.said(why);
    }
    let sent = Described::sent(input);
    let packed = text(input).and_then(|text| text.parse().ok());
    let packed = packed.map(|manifest| Described::packed(&manifest));
    for described in [Some(sent), packed].into_iter().flatten() {
        match described {
            Err(why) => {
                assert!(!why.is_empty(), "refused without a reason");
                behaviour.said(&why);
            }
            Ok(described) => {
                for needed in &described.dependencies {
                    let Dependency { kind, optional, default_features, .. } = needed;
                    let (target, index) = (needed.target.is_some(), needed.index.is_some());
                    let (renamed, features) = (needed.package.is_some(), needed.features.len());
                    behaviour.saw((kind.as_str(), optional, default_features));
                    behaviour.saw((target, index, renamed, features.min(3)));
                }
                let (links, rust) = (described.links.is_some(), described.rust_version.is_some());
                behaviour
                    .saw((described.dependencies.len().min(4), described.features.len().min(4)));
                behaviour.saw((links, rust, described.said.keywords.len().min(3)));
                if let Ok(announced) = &announced {
                    served(announced, &described);
                    behaviour.saw("served");
                }
            }
        }
    }
    behaviour.0
}

fn served(announced: &Announced, described: &Described) {
    let line = Line::new(described, "00".repeat(32), Timestamp::UNIX_EPOCH);
    let line = serde_json::to_string(&line).expect("texts, numbers and lists");
    assert!(!line.contains('\n'), "one version, one line: {line}");
    let parsed = CargoDocuments::parse(&announced.package, Bytes::from(line), None)
        .unwrap_or_else(|why| panic!("{announced:?} can not be served: {why}"));
    let claims = CargoDocuments::claims(&parsed);
    assert!(claims.len() == 1 && claims[0].version == announced.version, "{claims:?}");
}
