#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use policies::package::{Ecosystem, Package, Version};
use serde_json::json;

use super::super::{NpmDocuments, Packument};
use super::*;
use crate::pull::format::DocumentFormat;

fn manifest(version: &str, said: &Value) -> Value {
    let mut manifest = json!({
        "name": "left-pad",
        "version": version,
        "dist": { "tarball": "https://npm.example.com/l.tgz", "shasum": "0".repeat(40) },
    });
    let fields = manifest.as_object_mut().unwrap();
    for (field, value) in said.as_object().unwrap() {
        match (field.as_str(), fields.get_mut(field)) {
            ("dist", Some(Value::Object(dist))) => dist.extend(value.as_object().unwrap().clone()),
            _ => _ = fields.insert(field.clone(), value.clone()),
        }
    }
    manifest
}

fn document(versions: &[(&str, &str, Value)]) -> Bytes {
    let manifests: Map<String, Value> = versions
        .iter()
        .map(|(version, _, said)| ((*version).to_owned(), manifest(version, said)))
        .collect();
    let times: Map<String, Value> = versions
        .iter()
        .filter(|(_, day, _)| !day.is_empty())
        .map(|(version, day, _)| ((*version).to_owned(), format!("{day}T00:00:00Z").into()))
        .collect();
    let text = json!({ "name": "left-pad", "versions": manifests, "time": times }).to_string();
    text.into()
}

/// Both ways of reading, which must agree.
fn parse(bytes: &Bytes) -> Packument {
    let package = Package::new(Ecosystem::Npm, "left-pad").unwrap();
    let text = std::str::from_utf8(bytes).unwrap();
    let at_once = Packument::parse_at_once(&package, bytes, text).unwrap();
    let with_care = Packument::parse_with_care(&package, bytes, text).unwrap();
    assert_eq!(format!("{:?}", at_once.entries), format!("{:?}", with_care.entries));
    at_once
}

fn stated_by(said: &Value) -> Stated {
    let packument = parse(&document(&[("1.0.0", "2024-01-01", said.clone())]));
    let version = Version::new("1.0.0").unwrap();
    NpmDocuments::stated(&packument, &version).unwrap().clone()
}

#[test]
fn what_a_manifest_says_nothing_of_is_false_only_where_silence_says_so() {
    let stated = stated_by(&json!({}));
    assert!(stated.licence.is_none());
    assert_eq!((stated.publisher, stated.publisher_changed), (None, Some(false)));
    assert_eq!((stated.deprecated, stated.install_scripts), (Some(false), Some(false)));
    assert_eq!((stated.yanked, stated.unlisted), (Some(false), Some(false)));
    assert_eq!((stated.provenance, stated.dependencies), (Some(false), Some(0)));
}

#[test]
fn code_that_an_install_runs_is_told_however_the_manifest_says_so() {
    for (said, runs) in [
        (json!({ "hasInstallScript": true }), true),
        (json!({ "hasInstallScript": false }), false),
        (json!({ "scripts": { "preinstall": "x" } }), true),
        (json!({ "scripts": { "install": "x" } }), true),
        (json!({ "scripts": { "postinstall": "" } }), true),
        (json!({ "scripts": { "test": "npm install" } }), false),
        (json!({ "scripts": { "prepare": "x" } }), false),
        (json!({ "gypfile": true }), true),
        (json!({ "gypfile": false }), false),
    ] {
        assert_eq!(stated_by(&said).install_scripts, Some(runs), "{said}");
    }
}

#[test]
fn only_a_statement_of_where_it_was_built_is_provenance() {
    let of = |predicate: &str| json!({ "url": "https://x.example", "provenance": { "predicateType": predicate } });
    for (attestations, has) in [
        (of("https://slsa.dev/provenance/v1"), true),
        (of("https://slsa.dev/provenance/v0.2"), true),
        (of("https://example.com/publish"), false),
        (json!({ "url": "https://x.example" }), false),
        (json!({ "provenance": true }), false),
        (json!(7), false),
    ] {
        let said = json!({ "dist": { "attestations": attestations } });
        assert_eq!(stated_by(&said).provenance, Some(has), "{said}");
    }
}

#[test]
fn direct_dependencies_are_counted_once_whatever_form_they_have() {
    for (said, count) in [
        (json!({ "dependencies": {} }), Some(0)),
        (json!({ "dependencies": null }), Some(0)),
        (json!({ "dependencies": { "a": "1", "b:\"{": "^2" } }), Some(2)),
        (json!({ "dependencies": { "a": { "x": 1, "y": [{ "z": 2 }] }, "b": "1" } }), Some(2)),
        (json!({ "optionalDependencies": { "a": "1" } }), Some(1)),
        (
            json!({ "dependencies": { "a": "1", "b": "1" }, "optionalDependencies": { "b": "1", "c": "1" } }),
            Some(3),
        ),
        (json!({ "dependencies": "a@1, b@2" }), Some(2)),
        (json!({ "dependencies": ["a@1", "@s/b@2"] }), Some(2)),
        (json!({ "dependencies": [7] }), None),
        (json!({ "dependencies": 7 }), None),
        (json!({ "devDependencies": { "a": "1" }, "peerDependencies": { "b": "1" } }), Some(0)),
    ] {
        assert_eq!(stated_by(&said).dependencies, count, "{said}");
    }
}

#[test]
fn versions_that_state_the_same_share_it() {
    let said = json!({ "license": "MIT", "_npmUser": { "name": "ann", "email": "a@example.com" } });
    let other = json!({ "licenses": [{ "type": "ISC" }], "_npmUser": { "name": "bob" } });
    let packument = parse(&document(&[
        ("1.0.0", "2024-01-01", said.clone()),
        ("1.1.0", "2024-01-02", other),
        ("1.2.0", "2024-01-03", said),
    ]));
    let [first, second, third] = packument.entries.as_slice() else { panic!() };
    let licence = |entry: &Entry| Arc::clone(entry.stated.licence.as_ref().unwrap());
    assert!(Arc::ptr_eq(&licence(first), &licence(third)));
    assert_eq!((licence(first).text(), licence(second).text()), ("MIT", "ISC"));
    let publisher = |entry: &Entry| Arc::clone(entry.stated.publisher.as_ref().unwrap());
    assert!(Arc::ptr_eq(&publisher(first), &publisher(third)));
    assert_eq!((&*publisher(first), &*publisher(second)), ("ann", "bob"));
    assert!(packument.shared_weight > 0);
}

#[test]
fn another_publisher_than_that_of_the_version_before_is_told_by_time() {
    let user = |name: &str| json!({ "_npmUser": { "name": name } });
    let trusted = |config: &str| {
        let trusted = json!({ "id": "github", "oidcConfigId": config });
        json!({ "_npmUser": { "name": "GitHub Actions", "trustedPublisher": trusted } })
    };
    let changes = |versions: &[(&str, &str, Value)]| -> Vec<Option<bool>> {
        let packument = parse(&document(versions));
        packument.entries.iter().map(|entry| entry.stated.publisher_changed).collect()
    };
    // In the order of the versions; published in that of the days.
    assert_eq!(
        changes(&[
            ("1.0.0", "2024-01-01", user("ann")),
            ("1.0.1", "2024-01-04", user("ann")),
            ("2.0.0", "2024-01-02", user("ann")),
            ("2.0.1", "2024-01-03", user("bob")),
        ]),
        [Some(false), Some(true), Some(false), Some(true)]
    );
    assert_eq!(
        changes(&[
            ("1.0.0", "2024-01-01", user("ann")),
            ("1.1.0", "2024-01-02", trusted("a")),
            ("1.2.0", "2024-01-03", trusted("a")),
            ("1.3.0", "2024-01-04", trusted("b")),
            ("1.4.0", "2024-01-05", user("GitHub Actions")),
        ]),
        [Some(false), Some(true), Some(false), Some(true), Some(true)]
    );
    assert_eq!(
        changes(&[
            ("1.0.0", "2024-01-01", user("ann")),
            ("1.1.0", "2024-01-02", json!({})),
            ("1.2.0", "2024-01-03", user("ann")),
        ]),
        [Some(false), None, None],
        "one of which nobody knows who published it"
    );
    assert_eq!(
        changes(&[("1.0.0", "2024-01-01", user("ann")), ("1.1.0", "", user("ann"))]),
        [None, None],
        "one without a date may be the one before"
    );
}

#[test]
fn what_the_upstream_took_away_was_still_published_before_the_next() {
    let user = |name: &str| json!({ "_npmUser": { "name": name } });
    let newest =
        document(&[("1.0.0", "2024-01-01", user("ann")), ("1.2.0", "2024-01-03", user("ann"))]);
    let retained = document(&[("1.1.0", "2024-01-02", user("eve"))]);
    let package = Package::new(Ecosystem::Npm, "left-pad").unwrap();
    let packument = NpmDocuments::parse(&package, newest, Some(retained)).unwrap();
    let changed = |version: &str| {
        let version = Version::new(version).unwrap();
        NpmDocuments::stated(&packument, &version).unwrap().publisher_changed
    };
    assert_eq!(["1.0.0", "1.1.0", "1.2.0"].map(changed), [Some(false), Some(true), Some(true)]);
}

#[test]
fn names_and_licences_without_end_are_unknown() {
    let long = "x".repeat(20_000);
    let stated = stated_by(&json!({ "license": &long, "_npmUser": { "name": &long } }));
    assert!(stated.licence.is_none() && stated.publisher.is_none());
    for odd in [json!("ann"), json!({ "name": 7 }), json!({ "name": "" }), json!([])] {
        assert_eq!(stated_by(&json!({ "_npmUser": odd })).publisher, None);
    }
}
