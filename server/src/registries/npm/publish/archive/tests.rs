#![allow(clippy::unwrap_used)]

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use tar::{Builder, Header};

use super::*;

type Member<'a> = (&'a str, &'a [u8]);

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}

fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = Header::new_ustar();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        tar.append(&header, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

fn open_bytes(packed: &[u8], limits: &Limits) -> Result<Contents, ArchiveFault> {
    open(packed, packed.len() as u64, limits)
}

const MANIFEST: (&str, &[u8]) = ("package/package.json", br#"{ "name": "x" }"#);

#[test]
fn an_archive_says_what_an_install_would_find() {
    let files = [
        MANIFEST,
        ("package/binding.gyp", b"{}".as_slice()),
        ("package/deep/x.gyp", b""),
        ("package/npm-shrinkwrap.json", b"{}"),
        ("package/lib/a.js", b"12345"),
    ];
    let contents = open_bytes(&gzip(&tar(&files)), &Limits::default()).unwrap();
    assert_eq!(contents.manifest["name"], "x");
    assert!(contents.has_gyp && contents.has_shrinkwrap);
    assert_eq!((contents.files, contents.unpacked), (5, 15 + 2 + 2 + 5));
    assert_eq!(contents.names.unwrap()[4], "lib/a.js");
}

#[test]
fn the_directory_at_the_root_may_have_any_name() {
    for path in ["package/package.json", "x-1.0.0/package.json"] {
        let files = [(path, MANIFEST.1)];
        assert!(open_bytes(&gzip(&tar(&files)), &Limits::default()).is_ok(), "{path}");
    }
}

#[test]
fn a_mark_of_byte_order_is_skipped_and_a_second_gzip_is_read() {
    let marked = [("package/package.json", b"\xef\xbb\xbf{}".as_slice())];
    assert!(open_bytes(&gzip(&tar(&marked)), &Limits::default()).is_ok());
    // npm reads on in the second part, so this does too.
    let whole = tar(&[MANIFEST, ("other/package.json", b"{}")]);
    let parts = [gzip(&whole[..1024]), gzip(&whole[1024..])].concat();
    let fault = open_bytes(&parts, &Limits::default()).unwrap_err();
    assert_eq!(fault.to_string(), "its tarball has more than one package.json");
}

#[test]
fn each_bound_is_kept() {
    let limits = Limits {
        entries: 3,
        path: 40,
        unpacked_floor: 8192,
        ratio: 1,
        manifest: 100,
        names: 1000,
        readme: 4,
        ..Limits::default()
    };
    let found = open_bytes(&gzip(&tar(&[MANIFEST, ("package/README", b"# long")])), &limits);
    assert_eq!(found.unwrap().readme.unwrap().text, "# lo");
    let large = vec![b'x'; 10_000];
    let many: Vec<Member<'_>> =
        vec![MANIFEST, ("package/a", b""), ("package/b", b""), ("package/c", b"")];
    let rows: [(&str, Vec<Member<'_>>, &str); 4] = [
        ("entries", many, "more than 3 entries"),
        ("bytes", vec![MANIFEST, ("package/a", &large)], "far too many bytes"),
        ("manifest", vec![("package/package.json", &large[..200])], "more than 100 bytes"),
        ("path", vec![("package/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", b"")], "too long a name"),
    ];
    for (what, files, expected) in rows {
        let fault = open_bytes(&gzip(&tar(&files)), &limits).unwrap_err().to_string();
        assert!(fault.contains(expected), "{what}: {fault}");
    }
    let limits = Limits { time: Duration::ZERO, ..Limits::default() };
    let fault = open_bytes(&gzip(&tar(&[MANIFEST])), &limits).unwrap_err().to_string();
    assert!(fault.contains("too long"), "{fault}");
}

/// A size that only some readers know of makes two archives out of one.
#[test]
fn headers_that_readers_disagree_about_are_refused() {
    let l = |name: &str| member(b'L', "././@LongLink", format!("{name}\0").as_bytes());
    let x = |key: &str, value: &str| member(b'x', "PaxHeader", pair(key, value).as_bytes());
    let g = || member(b'g', "pax_global_header", pair("comment", "1").as_bytes());
    let file = |path| member(b'0', path, b"{}");
    let evil = || x("path", "package/package.json");
    let rows = [
        ("a size", vec![x("size", "3"), file("package/a")]),
        ("a hole", vec![x("GNU.sparse.size", "3"), file("package/a")]),
        ("a set of characters", vec![x("hdrcharset", "BINARY"), file("package/a")]),
        ("a place of a link", vec![x("linkpath", "a"), file("package/a")]),
        // npm takes the later name.
        ("long, then extended", vec![l("package/x.txt"), evil(), file("a")]),
        ("extended, then long", vec![evil(), l("package/x.txt"), file("a")]),
        // npm keeps the first over the second.
        ("extended, then global", vec![evil(), g(), file("package/x.txt")]),
        ("long, then global", vec![l("package/package.json"), g(), file("package/x.txt")]),
        ("global, not first", vec![g(), file("package/x.txt")]),
        ("two long", vec![l("package/a"), l("package/package.json"), file("a")]),
        ("two extended", vec![x("mtime", "1"), evil(), file("package/a")]),
        ("two paths", {
            let both = pair("path", "package/a") + &pair("path", "package/package.json");
            vec![member(b'x', "PaxHeader", both.as_bytes()), file("a")]
        }),
        ("a wrong length", vec![member(b'x', "PaxHeader", b"9 path=package/b\n"), file("a")]),
        ("a break in a value", vec![x("comment", "a\n29 path=package/package.json"), file("a")]),
        ("an end in a value", vec![x("path", "package/a\0b"), file("a")]),
        ("a long link", vec![member(b'K', "././@LongLink", b"a\0"), file("package/a")]),
        ("nothing behind it", vec![evil()]),
        // npm reads their content as headers.
        ("a file with a link's place", vec![with_field(file("package/a"), 157, b"b")]),
        ("a directory with content", vec![member(b'5', "package/a/", &file("package/b"))]),
        ("a file without a name", vec![evil(), with_field(file("a"), 0, b"\0")]),
        ("a checksum without an end", vec![with_long_checksum(file("package/a"))]),
        // npm puts it before a path from wherever.
        ("a prefix and a path", vec![evil(), with_field(ustar(file("a")), 345, b"b")]),
        ("a prefix that is none", vec![with_field(file("package/a"), 345, b"b")]),
        ("a prefix without beginning", vec![with_field(ustar(file("package/a")), 475, b"b")]),
        // npm takes the dot for the package's directory.
        ("a dot first", vec![file("./package/a")]),
    ];
    for (what, members) in rows {
        let packed = gzip(&[member(b'0', MANIFEST.0, MANIFEST.1), members.concat()].concat());
        let fault = open_bytes(&packed, &Limits::default()).unwrap_err().to_string();
        assert!(fault.contains("in more than one way"), "{what}: {fault}");
    }
}

/// One header is enough for it, and nothing is read for what it stands for.
#[test]
fn a_hole_of_any_size_is_neither_a_file_nor_read() {
    let size = [&[0x80, 0, 0, 0][..], &(1_u64 << 62).to_be_bytes()].concat();
    let (offset, length, whole) = (386, 398, 483);
    let hole = with_field(member(b'S', "package/a", b""), offset, &size);
    let hole = with_field(with_field(hole, length, b"00000000000\0"), whole, &size);
    let mut archive = Archive::new(hole.as_slice());
    let entry = archive.entries().unwrap().next().unwrap().unwrap();
    assert_eq!(entry.size(), 1 << 62, "it is one to the library that reads it");
    drop(entry);
    let manifest = member(b'0', MANIFEST.0, MANIFEST.1);
    for members in [[hole.clone(), manifest.clone()], [manifest.clone(), hole.clone()]] {
        let fault = open_bytes(&gzip(&members.concat()), &Limits::default()).unwrap_err();
        assert!(fault.to_string().contains("neither a file nor a directory"), "{fault}");
    }
}

#[test]
fn headers_that_all_readers_agree_about_are_read() {
    let manifest = || member(b'0', "a", MANIFEST.1);
    let pax = pair("path", MANIFEST.0) + &pair("mtime", "1.5") + &pair("SCHILY.dev", "1");
    let rows = [
        ("long", vec![member(b'L', "././@LongLink", b"package/package.json\0"), manifest()]),
        ("extended", vec![member(b'x', "PaxHeader", pax.as_bytes()), manifest()]),
        ("global first", {
            let global = member(b'g', "pax_global_header", pair("comment", "1").as_bytes());
            vec![global, member(b'x', "PaxHeader", pax.as_bytes()), manifest()]
        }),
        ("a size in both places", {
            let size = pair("size", &MANIFEST.1.len().to_string());
            vec![member(b'x', "PaxHeader", (pax.clone() + &size).as_bytes()), manifest()]
        }),
        ("a dot within", vec![member(b'0', "package/./package.json", MANIFEST.1)]),
        ("prefix", {
            let file = ustar(member(b'0', "package.json", MANIFEST.1));
            vec![with_field(file, 345, b"package")]
        }),
        (
            "directories",
            vec![
                member(b'5', "./", b""),
                member(b'5', "package/", b""),
                member(b'0', MANIFEST.0, MANIFEST.1),
            ],
        ),
    ];
    for (what, members) in rows {
        let contents = open_bytes(&gzip(&members.concat()), &Limits::default());
        assert_eq!(contents.expect(what).manifest["name"], "x", "{what}");
    }
}

fn pair(key: &str, value: &str) -> String {
    let rest = format!(" {key}={value}\n");
    let length = (1..10_000).find(|n| n.to_string().len() + rest.len() == *n).unwrap();
    format!("{length}{rest}")
}

/// A header and its content, and no end of the archive.
fn member(kind: u8, path: &str, content: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    header.as_mut_bytes()[156] = kind;
    header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
    header.set_cksum();
    let mut bytes = [header.as_bytes(), content].concat();
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

fn with_field(mut member: Vec<u8>, at: usize, field: &[u8]) -> Vec<u8> {
    member[at..at + field.len()].copy_from_slice(field);
    let mut header = Header::from_byte_slice(&member[..512]).clone();
    header.set_cksum();
    member[..512].copy_from_slice(header.as_bytes());
    member
}

fn ustar(member: Vec<u8>) -> Vec<u8> {
    with_field(member, 257, b"ustar\x0000")
}

fn with_long_checksum(mut member: Vec<u8>) -> Vec<u8> {
    let digits = String::from_utf8_lossy(&member[148..155]).into_owned();
    member[148..156].copy_from_slice(format!("0{digits}").as_bytes());
    member
}

proptest! {
    #[test]
    fn whatever_is_packed_ends(mut bytes in prop::collection::vec(any::<u8>(), 0..2000), flip in any::<(u16, u8)>()) {
        let limits = Limits { unpacked_floor: 1 << 20, ..Limits::default() };
        let _ = open_bytes(&bytes, &limits);
        let _ = open_bytes(&gzip(&bytes), &limits);
        let mut whole = tar(&[MANIFEST, ("package/a", b"12345")]);
        let at = usize::from(flip.0) % whole.len();
        whole[at] ^= flip.1;
        let _ = open_bytes(&gzip(&whole), &limits);
        bytes.truncate(10);
    }

    #[test]
    fn no_path_that_is_taken_leaves_the_package(path in "\\PC{0,30}|[./a:\\\\]{0,12}") {
        if let Ok(Some(inside)) = below_root(&path, false) {
            prop_assert!(!inside.starts_with('/') && !inside.contains('\\'));
            prop_assert!(inside.split('/').all(|part| !matches!(part, "" | "." | "..")));
        }
    }
}
