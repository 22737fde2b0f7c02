#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use policies::package::Digest;
use tar::{Builder, Header};

use super::*;
use crate::metadata::MAX_VALUE;
use crate::metadata::records::{InsideRecord, encode};

const ROOT: &str = "seed-1.0.0";

fn packed(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    gzip(&tar_of(entries))
}

fn tar_of(entries: &[(&str, EntryType, &str)]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (path, kind, content) in entries {
        let mut header = Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_entry_type(*kind);
        // As it stands, however odd.
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, content.as_bytes()).unwrap();
    }
    tar.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn opened(bytes: &[u8]) -> Result<Contents, String> {
    open(bytes, bytes.len() as u64, ROOT)
}

fn of_manifest(manifest: &str, more: &[(&str, EntryType, &str)]) -> Contents {
    let mut entries = vec![("seed-1.0.0/Cargo.toml", EntryType::Regular, manifest)];
    entries.extend_from_slice(more);
    opened(&packed(&entries)).unwrap()
}

#[test]
fn a_crate_says_its_licence_and_whether_it_runs_code() {
    let build = [("seed-1.0.0/build.rs", EntryType::Regular, "fn main() {}")];
    // Some file systems find it all the same.
    let spelled = [("seed-1.0.0/Build.rs", EntryType::Regular, "fn main() {}")];
    for (manifest, more, licence, runs_code) in [
        ("[package]\nlicense = 'MIT OR Apache-2.0'", &[][..], Some("MIT OR Apache-2.0"), false),
        ("[package]\nlicense = ' '\n", &[][..], None, false),
        ("[package]\nlicense-file = 'LICENCE'\n", &[][..], None, false),
        ("[package]\nname = 'seed'\n", &build[..], None, true),
        ("[package]\nbuild = false\n", &build[..], None, false),
        ("[package]\nbuild = 'other.rs'\n", &[][..], None, true),
        ("[package]\nname = 'seed'\n", &spelled[..], None, true),
        ("[package]\n[lib]\nproc-macro = true\n", &[][..], None, true),
        ("[package]\n[lib]\ncrate-type = ['proc-macro']\n", &[][..], None, true),
        ("[package]\n[lib]\ncrate_type = ['lib', 'proc-macro']\n", &[][..], None, true),
        ("[package]\n[lib]\ncrate-type = ['rlib']\n", &[][..], None, false),
        ("[project]\nlicense = 'MIT'\n", &[][..], Some("MIT"), false),
        ("", &[][..], None, false),
    ] {
        let inside = of_manifest(manifest, more).inside();
        let licence = licence.map(|text| Arc::new(Licence::new(Ecosystem::Cargo, text)));
        assert_eq!(inside, Inside { licence, runs_code, ..Inside::default() }, "{manifest}");
    }
}

#[test]
fn a_crate_says_what_it_is_within_bounds() {
    let manifest = "[package]\ndescription = '''\n  A parser\nof\t\\u0007 things '''\n\
                    repository = 'https://git.example/x'\nrust-version = '1.85'\n";
    let inside = of_manifest(manifest, &[]).inside();
    assert_eq!(inside.description.as_deref(), Some("A parser of \\u0007 things"));
    assert_eq!(inside.repository.as_deref(), Some("https://git.example/x"));
    assert_eq!(inside.rust_version.as_deref(), Some("1.85"));
    let long = "é".repeat(DESCRIPTION);
    let manifest = format!(
        "[package]\ndescription = '{long}'\nrepository = '{long}'\nrust-version = '{long}'\n"
    );
    let inside = of_manifest(&manifest, &[]).inside();
    assert_eq!(inside.description.as_deref(), Some("é".repeat(DESCRIPTION / 2).as_str()));
    assert_eq!((inside.repository, inside.rust_version), (None, None));
    let odd =
        "[package]\ndescription = 1\nrepository = ['x']\nrust-version = { workspace = true }\n";
    assert_eq!(of_manifest(odd, &[]).inside(), Inside::default());
}

#[test]
fn the_longest_that_a_crate_says_fits_into_a_value() {
    // Each of them is written as two.
    let longest = |length: usize| "\"".repeat(length);
    let inside = Inside {
        licence: Some(Arc::new(Licence::new(Ecosystem::Cargo, &longest(LICENCE)))),
        runs_code: true,
        description: Some(longest(DESCRIPTION)),
        repository: Some(longest(REPOSITORY)),
        rust_version: Some(longest(RUST_VERSION)),
    };
    let record = InsideRecord { blob: Digest::sha256_of(b""), inside: Some(inside) };
    assert!(encode(&record).len() < MAX_VALUE / 2);
}

#[test]
fn dependencies_are_said_in_one_form() {
    let manifest = r#"
        [package]
        name = "seed"
        version = "1.0.0"
        links = "z"
        [dependencies]
        a = "1"
        renamed = { package = "b", version = ">= 1.2, <2", optional = true }
        [dev-dependencies]
        left_out = "1"
        [target.'cfg(unix)'.build-dependencies.c]
        version = "0.1"
    "#;
    let said = Value::Object(of_manifest(manifest, &[]).said());
    let expected = serde_json::json!({
        "name": "seed", "version": "1.0.0", "links": "z",
        "dependencies": ["normal a ^1", "normal b >=1.2, <2 optional", "build c ^0.1 on cfg(unix)"],
    });
    assert_eq!(said, expected);
}

/// One header that says of a file that it is 2^62 bytes of nothing.
fn hole() -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_path("seed-1.0.0/src/lib.rs").unwrap();
    header.set_entry_type(EntryType::GNUSparse);
    header.set_size(0);
    let gnu = header.as_gnu_mut().unwrap();
    // As a number of eight bytes, which octal digits have no room for.
    let size = [&[0x80, 0, 0, 0][..], &(1_u64 << 62).to_be_bytes()].concat();
    gnu.realsize.copy_from_slice(&size);
    gnu.sparse[0].offset.copy_from_slice(&size);
    gnu.sparse[0].numbytes.copy_from_slice(b"00000000000\0");
    header.set_cksum();
    header.as_bytes().to_vec()
}

/// Nothing is read for a hole, so no bound of what is unpacked is met in it.
#[test]
fn a_hole_of_any_size_ends_at_once() {
    let manifest = tar_of(&[("seed-1.0.0/Cargo.toml", EntryType::Regular, "[package]\n")]);
    let hole_alone = hole();
    let mut archive = Archive::new(&*hole_alone);
    let plain = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(plain.size(), 1 << 62, "it is one to the library that reads it");
    for bytes in [[hole(), manifest.clone()].concat(), [&manifest[..512 * 2], &hole()].concat()] {
        let fault = opened(&gzip(&bytes)).unwrap_err();
        assert!(fault.contains("lib.rs in it is a file with holes"), "{fault}");
    }
}

#[test]
fn what_could_be_taken_for_another_crate_can_not_be_read() {
    let manifest = "[package]\nname = 'seed'\n";
    let regular = EntryType::Regular;
    let good = ("seed-1.0.0/Cargo.toml", regular, manifest);
    for (why, entries) in [
        ("no Cargo.toml", vec![("seed-1.0.0/src/lib.rs", regular, "")]),
        ("more than one", vec![good, good]),
        ("more than one", vec![good, ("seed-1.0.0/cargo.toml", regular, "")]),
        ("more than one", vec![("seed-1.0.0/Cargo.toml", EntryType::Symlink, "")]),
        ("beside", vec![good, ("seed-1.0.1/x", regular, "")]),
        ("beside", vec![good, ("/etc/passwd", regular, "")]),
        ("leaves", vec![good, ("seed-1.0.0/../x", regular, "")]),
        ("can not be read", vec![("seed-1.0.0/Cargo.toml", regular, "[package")]),
    ] {
        let fault = opened(&packed(&entries)).unwrap_err();
        assert!(fault.contains(why), "{why}: {fault}");
    }
    for bytes in [&b""[..], b"no gzip", &gzip(b"no tar, and longer than nothing")] {
        assert!(opened(bytes).is_err());
    }
}

#[test]
fn what_stands_in_front_of_a_file_is_short_and_has_one_meaning() {
    let manifest = ("seed-1.0.0/Cargo.toml", EntryType::Regular, "[package]\n");
    let long = "x".repeat(100_000);
    for kind in [EntryType::GNULongName, EntryType::XHeader, EntryType::XGlobalHeader] {
        let fault = opened(&packed(&[("seed-1.0.0/ahead", kind, &long), manifest])).unwrap_err();
        assert!(fault.contains("a name in it is far too long"), "{kind:?}: {fault}");
    }
    let size = [("seed-1.0.0/ahead", EntryType::XHeader, "10 size=3\n"), manifest];
    let fault = opened(&packed(&size)).unwrap_err();
    assert!(fault.contains("read in more than one way"), "{fault}");
    let comment = [("seed-1.0.0/ahead", EntryType::XHeader, "13 comment=x\n"), manifest];
    assert!(opened(&packed(&comment)).is_ok());
}

#[test]
fn a_bomb_is_left_where_its_bound_is() {
    let large = vec![b'#'; 2 << 20];
    let long = String::from_utf8(large).unwrap();
    let bytes = packed(&[("seed-1.0.0/Cargo.toml", EntryType::Regular, &long)]);
    assert!(opened(&bytes).unwrap_err().contains("more than"), "its manifest");

    let mut tar = Builder::new(Vec::new());
    let mut header = Header::new_gnu();
    header.set_size(UNPACKED_FLOOR + 1);
    header.set_path("seed-1.0.0/zeros").unwrap();
    header.set_cksum();
    tar.append(&header, io::repeat(0).take(UNPACKED_FLOOR + 1)).unwrap();
    let bytes = gzip(&tar.into_inner().unwrap());
    assert!(bytes.len() < 200_000);
    let fault = opened(&bytes).unwrap_err();
    assert!(fault.contains("far too many bytes"), "{fault}");
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..600)) {
        let _ = opened(&bytes);
        let _ = opened(&gzip(&bytes));
    }
}
