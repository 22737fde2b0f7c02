#![allow(clippy::unwrap_used)]

use policies::package::Package;

use super::*;
use crate::registries::npm::documents::Packument;

fn new(version: &str, tags: &[&str]) -> NewVersion {
    let manifest = json!({
        "name": "x",
        "version": version,
        "description": format!("version {version}"),
        "dist": {
            "tarball": format!("x/-/x-{version}.tgz"),
            "shasum": "a".repeat(40),
        },
    });
    let Value::Object(manifest) = manifest else { unreachable!() };
    NewVersion {
        version: Version::new(version).unwrap(),
        manifest,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        readme: Some(format!("# {version}")),
        readme_file: Some("README.md".to_owned()),
        by: "ann".to_owned(),
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// As it is stored, and read by whoever serves it.
fn stored(document: &OwnPackument) -> (Value, OwnPackument) {
    let bytes = document.to_bytes("x").unwrap();
    let package = Package::new(Ecosystem::Npm, "x").unwrap();
    let read = Packument::parse(&package, &bytes).unwrap();
    assert!(read.left_out.is_empty(), "{}", String::from_utf8_lossy(&bytes));
    (serde_json::from_slice(&bytes).unwrap(), OwnPackument::parse(Some(&bytes)).unwrap())
}

#[test]
fn a_document_grows_version_by_version() {
    let mut document = OwnPackument::default();
    document.publish(new("1.0.0", &["next"]), at(1)).unwrap();
    let (text, mut document) = stored(&document);
    assert_eq!(
        text["dist-tags"],
        json!({ "latest": "1.0.0", "next": "1.0.0" }),
        "the first is latest"
    );
    assert!(text["_rev"].as_str().unwrap().starts_with("1-"));
    document.publish(new("2.0.0", &["latest"]), at(2)).unwrap();
    document.publish(new("1.0.1", &["old"]), at(3)).unwrap();
    let (text, document) = stored(&document);
    assert_eq!(text["dist-tags"], json!({ "latest": "2.0.0", "next": "1.0.0", "old": "1.0.1" }));
    assert_eq!(text["description"], "version 2.0.0");
    assert_eq!(text["readme"], "# 2.0.0");
    assert_eq!(text["maintainers"], json!([{ "name": "ann", "email": "" }]));
    assert_eq!(text["time"]["created"], "1970-01-01T00:00:01.000Z");
    assert_eq!(text["time"]["modified"], "1970-01-01T00:00:03.000Z");
    assert_eq!(document.versions().collect::<Vec<_>>(), ["1.0.0", "2.0.0", "1.0.1"]);
}

#[test]
fn a_version_is_published_once() {
    let mut document = OwnPackument::default();
    document.publish(new("1.0.0", &[]), at(1)).unwrap();
    assert_eq!(document.publish(new("1.0.0", &[]), at(2)), Err(ChangeFault::Published));
    document.unpublish("1.0.0").unwrap();
    let (text, mut document) = stored(&document);
    assert_eq!((&text["versions"], &text["dist-tags"]), (&json!({}), &json!({})));
    assert_eq!(document.publish(new("1.0.0", &[]), at(3)), Err(ChangeFault::Unpublished));
    assert_eq!(document.unpublish("1.0.0"), Err(ChangeFault::NoSuchVersion));
    document.publish(new("1.0.1", &[]), at(4)).unwrap();
    assert_eq!(stored(&document).0["dist-tags"], json!({ "latest": "1.0.1" }));
}

#[test]
fn latest_falls_back_to_the_newest_release() {
    let mut document = OwnPackument::default();
    for version in ["1.0.0", "1.10.0", "1.9.0", "2.0.0-beta.1", "1.11.0"] {
        document.publish(new(version, &["latest"]), at(1)).unwrap();
    }
    for expected in ["1.10.0", "1.9.0", "1.0.0", "2.0.0-beta.1"] {
        let latest = document.tags[LATEST].clone();
        document.unpublish(&latest).unwrap();
        assert_eq!(document.tags[LATEST], expected);
        assert_eq!(stored(&document).0.get("readme"), None);
    }
}

#[test]
fn a_deprecation_is_said_and_taken_back() {
    let mut document = OwnPackument::default();
    document.publish(new("1.0.0", &[]), at(1)).unwrap();
    document.deprecate("1.0.0", Some("old")).unwrap();
    assert_eq!(document.deprecation("1.0.0").unwrap().as_deref(), Some("old"));
    document.deprecate("1.0.0", None).unwrap();
    assert_eq!(stored(&document).0["versions"]["1.0.0"].get("deprecated"), None);
    assert_eq!(document.deprecate("2.0.0", Some("x")), Err(ChangeFault::NoSuchVersion));
}

#[test]
fn tags_point_to_versions_that_are_there() {
    let mut document = OwnPackument::default();
    document.publish(new("1.0.0", &[]), at(1)).unwrap();
    assert_eq!(document.set_tag("next", "2.0.0"), Err(ChangeFault::NoSuchVersion));
    document.set_tag("next", "1.0.0").unwrap();
    document.remove_tag("next").unwrap();
    assert_eq!(document.remove_tag("next"), Err(ChangeFault::NoSuchTag));
    for n in 0..TAGS_AT_MOST - 1 {
        document.set_tag(&format!("t{n}"), "1.0.0").unwrap();
    }
    assert!(matches!(document.set_tag("one-more", "1.0.0"), Err(ChangeFault::TooMuch(_))));
}

#[test]
fn a_readme_is_cut_between_letters() {
    let mut document = OwnPackument::default();
    let readme = Some("ä".repeat(README_AT_MOST));
    document.publish(NewVersion { readme, ..new("1.0.0", &[]) }, at(1)).unwrap();
    let (text, _) = stored(&document);
    assert_eq!(text["readme"].as_str().unwrap().len(), README_AT_MOST);
}
