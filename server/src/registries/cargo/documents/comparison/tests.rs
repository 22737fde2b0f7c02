#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, Header};

use super::*;

/// A crate of this name and version with nothing but this Cargo.toml.
fn packed(root: &str, manifest: &str) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(manifest.len() as u64);
    tar.append_data(&mut header, format!("{root}/Cargo.toml"), manifest.as_bytes()).unwrap();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&tar.into_inner().unwrap()).unwrap();
    gzip.finish().unwrap()
}

fn opened(line: &str, manifest: &str) -> Opened {
    let line: Line = serde_json::from_str(line).unwrap();
    let packed = packed(&format!("{}-{}", line.name, line.vers), manifest);
    compare(&said_by(line), &mut packed.as_slice(), packed.len() as u64)
}

/// As the public index has them.
const SLED_LINE: &str = r#"{"name": "sled", "vers": "0.34.7", "deps": [
    {"name": "byteorder", "req": "^1.3.4", "features": [], "optional": false, "default_features": true, "target": null, "kind": "dev"},
    {"name": "fs2", "req": "^0.4.3", "features": [], "optional": false, "default_features": true, "target": "cfg(any(target_os = \"linux\", target_os = \"macos\", target_os = \"windows\"))", "kind": "normal"},
    {"name": "libc", "req": "^0.2.101", "features": [], "optional": false, "default_features": true, "target": null, "kind": "normal"},
    {"name": "zstd", "req": "^0.9.0", "features": [], "optional": true, "default_features": true, "target": null, "kind": "normal"}
    ], "cksum": "7f96b4737c2ce5987354855aed3797279def4ebf734436c6aa4552cf8e169935", "features": {"compression": ["zstd"]}, "yanked": false}"#;
const SLED_MANIFEST: &str = r#"
    [package]
    name = "sled"
    version = "0.34.7"
    [dependencies.libc]
    version = "0.2.101"
    [dependencies.zstd]
    version = "0.9.0+zstd.1.5.0"
    optional = true
    [dev-dependencies.byteorder]
    version = "1.3.4"
    [features]
    compression = ["zstd"]
    [target."cfg(any(target_os = \"linux\", target_os = \"macos\", target_os=\"windows\"))".dependencies.fs2]
    version = "0.4.3"
"#;
const ZSTD_LINE: &str =
    r#"{"name":"zstd-sys","vers":"1.1.4","deps":[],"cksum":"","features":{},"yanked":false}"#;
const ZSTD_MANIFEST: &str = "package = { name = 'zstd-sys', version = '1.1.4', links = 'zstd' }";

#[test]
fn an_honest_crate_agrees_however_it_spells_what_it_needs() {
    let unknown = SLED_LINE.replace("\"kind\": \"normal\"", "\"kind\": \"odd\"");
    for (what, line, manifest) in [
        ("a platform without blanks", SLED_LINE, SLED_MANIFEST),
        ("a kind that cargo takes for normal", &unknown, SLED_MANIFEST),
        ("links, from before indexes said it", ZSTD_LINE, ZSTD_MANIFEST),
    ] {
        let opened = opened(line, manifest);
        assert_eq!(opened.verdict, Verdict::Agrees, "{what}");
        assert!(opened.inside.is_some(), "{what}");
    }
}

#[test]
fn what_the_index_does_not_say_contradicts_it() {
    let linked = ZSTD_LINE.replace("\"deps\"", "\"links\":\"z\",\"deps\"");
    let manifest = |from: &str, to: &str| SLED_MANIFEST.replace(from, to);
    for (what, line, manifest, field, says) in [
        ("another platform", SLED_LINE, manifest("windows", "wasi"), "dependencies", "wasi"),
        (
            "another range",
            SLED_LINE,
            manifest("0.2.101", "0.3"),
            "dependencies",
            "normal libc ^0.3",
        ),
        (
            "another crate",
            SLED_LINE,
            manifest("version = \"0.2", "package = \"evil\"\nversion = \"0.2"),
            "dependencies",
            "evil",
        ),
        (
            "always",
            SLED_LINE,
            manifest("optional = true", ""),
            "dependencies",
            "normal zstd ^0.9.0",
        ),
        (
            "needed by users",
            SLED_LINE,
            manifest("dev-dependencies", "dependencies"),
            "dependencies",
            "byteorder",
        ),
        (
            "one that cargo can not read",
            SLED_LINE,
            manifest("[features]", "[build-dependencies]\nevil = 1\n[features]"),
            "dependencies",
            "is not what cargo writes",
        ),
        ("another name", ZSTD_LINE, ZSTD_MANIFEST.replace("zstd-sys", "evil"), "name", "evil"),
        ("another library", &linked, ZSTD_MANIFEST.to_owned(), "links", "zstd"),
    ] {
        let Verdict::Contradicts(differences) = opened(line, &manifest).verdict else {
            panic!("{what}: nobody sees it");
        };
        let [difference] = differences.as_slice() else { panic!("{what}: {differences:?}") };
        assert_eq!(difference.field, field, "{what}");
        assert!(difference.artifact.contains(says), "{what}: {difference:?}");
    }
}
