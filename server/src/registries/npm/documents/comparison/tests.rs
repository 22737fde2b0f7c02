#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzEncoder;
use policies::package::{Ecosystem, Package};
use serde_json::json;
use tar::{Builder, Header};

use super::*;
use crate::metadata::records::SAID;

/// The packument of `x`, whose version 1.0.0 has these fields.
fn packument(fields: &Value) -> Packument {
    let mut manifest = json!({
        "name": "x",
        "version": "1.0.0",
        "_id": "x@1.0.0",
        "_npmUser": { "name": "ann" },
        "gitHead": "0",
        "dist": { "tarball": "https://npm.example.com/x/-/x-1.0.0.tgz", "shasum": "0".repeat(40) },
    });
    for (field, value) in fields.as_object().unwrap() {
        manifest[field] = value.clone();
    }
    let document = json!({ "name": "x", "versions": { "1.0.0": manifest } }).to_string();
    Packument::parse(&Package::new(Ecosystem::Npm, "x").unwrap(), &Bytes::from(document)).unwrap()
}

fn said_of(fields: &Value) -> Said {
    said(&packument(fields), &Version::new("1.0.0").unwrap()).unwrap().unwrap()
}

/// The tarball of `x`, whose package.json has these fields.
fn tarball(fields: &Value, files: &[&str]) -> Vec<u8> {
    let mut manifest = json!({ "name": "x", "version": "1.0.0" });
    for (field, value) in fields.as_object().unwrap() {
        manifest[field] = value.clone();
    }
    let mut tar = Builder::new(Vec::new());
    let mut add = |path: &str, content: &[u8]| {
        let mut header = Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, format!("package/{path}"), content).unwrap();
    };
    add("package.json", manifest.to_string().as_bytes());
    for file in files {
        add(file, b"{}");
    }
    let mut packed = Vec::new();
    let tar = tar.into_inner().unwrap();
    GzEncoder::new(tar.as_slice(), Compression::fast()).read_to_end(&mut packed).unwrap();
    packed
}

fn verdict(upstream: &Value, archive: &Value, files: &[&str]) -> Verdict {
    let packed = tarball(archive, files);
    compare(&said_of(upstream), &mut packed.as_slice(), packed.len() as u64)
}

/// Left what lies in the archive, right what registries show of it.
#[test]
fn what_registries_and_clients_made_of_a_manifest_is_no_contradiction() {
    let rows = [
        ("nothing", json!({}), json!({})),
        ("a name with blanks", json!({ "name": " x " }), json!({})),
        ("a version with a v and a build", json!({ "version": "v1.0.0+b" }), json!({})),
        ("one command", json!({ "bin": "./cli.js" }), json!({ "bin": { "x": "cli.js" } })),
        ("people", json!({ "author": "Ann" }), json!({ "author": { "name": "Ann" } })),
        (
            "a repository in short",
            json!({ "repository": "acme/x" }),
            json!({ "repository": { "type": "git", "url": "git+https://github.com/acme/x.git" } }),
        ),
        ("a license", json!({ "license": "MIT" }), json!({ "license": { "type": "MIT" } })),
        (
            "scripts of the developer",
            json!({ "scripts": { "test": "a", "prepare": "b" } }),
            json!({ "scripts": { "test": "c" } }),
        ),
        (
            "development dependencies",
            json!({ "devDependencies": { "a": "1" } }),
            json!({ "devDependencies": {} }),
        ),
        (
            "optional dependencies in both places",
            json!({ "optionalDependencies": { "a": "1" } }),
            json!({ "dependencies": { "a": "1" }, "optionalDependencies": { "a": "1" } }),
        ),
        (
            "dependencies in a text",
            json!({ "dependencies": "a@1, b" }),
            json!({ "dependencies": { "a": "1", "b": "" } }),
        ),
        (
            "dependencies in a list",
            json!({ "dependencies": ["a@^1", "b >= 2"] }),
            json!({ "dependencies": { "a": "^1", "b": ">= 2" } }),
        ),
        ("all bundled, taken as none", json!({ "bundleDependencies": true }), json!({})),
        ("any engine", json!({}), json!({ "engines": { "node": "*" } })),
        ("engines in a list", json!({ "engines": ["node >= 0.4"] }), json!({})),
        (
            "a build of what was not packed",
            json!({}),
            json!({ "gypfile": true, "scripts": { "install": "node-gyp rebuild" } }),
        ),
    ];
    for (what, archive, upstream) in rows {
        assert_eq!(verdict(&upstream, &archive, &[]), Verdict::Agrees, "{what}");
    }
    let upstream = json!({ "gypfile": true, "scripts": { "install": "node-gyp rebuild" } });
    assert_eq!(verdict(&upstream, &json!({}), &["binding.gyp"]), Verdict::Agrees);
}

#[test]
fn what_decides_an_install_is_named_with_both_sides() {
    let rows = [
        ("name", json!({ "name": "y" }), json!({}), r#""y""#, r#""x""#),
        ("version", json!({ "version": "1.0.1" }), json!({}), r#""1.0.1""#, r#""1.0.0""#),
        (
            "scripts",
            json!({ "scripts": { "postinstall": "node evil.js" } }),
            json!({}),
            r#"{"postinstall":"node evil.js"}"#,
            "nothing",
        ),
        (
            "scripts",
            json!({}),
            json!({ "scripts": { "install": "node build.js" } }),
            "nothing",
            r#"{"install":"node build.js"}"#,
        ),
        (
            "dependencies",
            json!({ "dependencies": { "a": "1", "evil": "1" } }),
            json!({ "dependencies": { "a": "1" } }),
            r#"{"evil":"1"}"#,
            "nothing",
        ),
        (
            "optionalDependencies",
            json!({ "optionalDependencies": { "a": "2" } }),
            json!({ "optionalDependencies": { "a": "1" } }),
            r#"{"a":"2"}"#,
            r#"{"a":"1"}"#,
        ),
        (
            "peerDependencies",
            json!({ "peerDependencies": { "a": "2" } }),
            json!({}),
            r#"{"a":"2"}"#,
            "nothing",
        ),
        ("bin", json!({ "bin": { "sudo": "x.js" } }), json!({}), r#"{"sudo":"x.js"}"#, "nothing"),
        ("os", json!({ "os": ["linux"] }), json!({}), r#"["linux"]"#, "nothing"),
    ];
    for (field, archive, upstream, artifact_says, upstream_says) in rows {
        let expected = Difference {
            field: field.to_owned(),
            artifact: artifact_says.to_owned(),
            upstream: upstream_says.to_owned(),
        };
        let found = verdict(&upstream, &archive, &[]);
        assert_eq!(found, Verdict::Contradicts(vec![expected]), "{archive} {upstream}");
    }
    // What is built of a file that the packument is silent about.
    let Verdict::Contradicts(built) = verdict(&json!({}), &json!({}), &["binding.gyp"]) else {
        panic!("a build that nobody speaks of")
    };
    assert_eq!(built[0].artifact, r#"{"install":"node-gyp rebuild"}"#);
}

#[test]
fn what_can_not_be_opened_is_not_called_a_contradiction() {
    let twice = tarball(&json!({}), &["package.json"]);
    for (packed, expected) in [
        (b"no archive".to_vec(), "can not be read"),
        (twice, "more than one package.json"),
        (tarball(&json!({}), &[])[..40].to_vec(), "can not be read"),
    ] {
        let found = compare(&said_of(&json!({})), &mut packed.as_slice(), packed.len() as u64);
        assert!(
            matches!(&found, Verdict::Unreadable(why) if why.contains(expected)),
            "{expected}: {found:?}"
        );
    }
}

#[test]
fn what_is_told_is_bounded_and_can_be_shown() {
    let long = "\u{202e}\"".repeat(20_000);
    let all = json!({ "scripts": { "install": long.clone() }, "dependencies": { "a": long.clone() },
        "bin": { "a": long.clone() }, "peerDependencies": { "a": long.clone() },
        "name": long.clone(), "os": [long] });
    let Verdict::Contradicts(differences) = verdict(&json!({}), &all, &[]) else { panic!() };
    assert_eq!(differences.len(), DIFFERENCES_TOLD);
    let record = crate::metadata::records::encode(&crate::metadata::records::Observation {
        at: jiff::Timestamp::UNIX_EPOCH,
        what: crate::metadata::records::ObservationKind::Contradicts { differences },
        version: Some("1.0.0".repeat(50)),
    });
    assert!(record.len() <= crate::metadata::MAX_VALUE, "{}", record.len());
    assert!(!record.windows(3).any(|bytes| bytes == "\u{202e}".as_bytes()));
}

#[test]
fn the_same_is_said_however_it_is_written_and_whatever_is_said_beside_it() {
    let fields = json!({ "dependencies": { "a": "1", "b": "2" }, "scripts": { "install": "x" } });
    let beside = json!({ "scripts": { "test": "y", "install": "x" }, "deprecated": "old",
        "dependencies": { "b": "2", "a": "1" }, "license": "MIT" });
    assert_eq!(said_of(&fields), said_of(&beside));
    assert_eq!(said_of(&fields).id.len(), SAID);
    let other = json!({ "dependencies": { "a": "1", "b": "2" }, "scripts": { "install": "z" } });
    assert_ne!(said_of(&fields).id, said_of(&other).id);
}
