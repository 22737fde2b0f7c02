#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::advisories::{Advisory, Affected, Builder, Event};

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn advisory(id: &str, package: &str, withdrawn: Option<&str>) -> Advisory {
    let affected = Affected {
        package: package.parse().unwrap(),
        severity: Some(9.8),
        vector: None,
        ranges: vec![vec![Event::Introduced("0".to_owned()), Event::Fixed("1.2.0".to_owned())]],
        versions: vec!["3.0.0".to_owned()],
    };
    Advisory {
        id: id.to_owned(),
        aliases: vec!["CVE-2026-1".to_owned()],
        summary: String::new(),
        modified: at("2026-01-01T00:00:00Z"),
        published: None,
        withdrawn: withdrawn.map(at),
        malicious: id.starts_with("MAL"),
        url: None,
        cwes: Vec::new(),
        affected: vec![affected],
    }
}

fn index(advisories: &[Advisory]) -> Index {
    let mut builder = Builder::at(at("2026-06-01T00:00:00Z"));
    for advisory in advisories {
        builder.add(advisory, true);
    }
    builder.finish("r1", &[Ecosystem::Npm])
}

fn some() -> Index {
    index(&[
        advisory("A-1", "npm:left-pad", None),
        advisory("MAL-1", "npm:left-pad", Some("2026-05-01T00:00:00Z")),
        advisory("B-1", "cargo:serde", Some("2026-07-01T00:00:00Z")),
    ])
}

fn places(index: &Index) -> Vec<u8> {
    index.packed_places().flatten().collect()
}

fn unpack(outline: &Outline, places: &[u8], text: &[u8]) -> Result<Index, Unpackable> {
    Index::unpack(outline, places, text.into(), &[Ecosystem::Npm])
}

/// Who changes what is written here changes [`FORMAT`], or an older file is read as something else.
#[test]
fn the_bytes_are_those_of_this_format() {
    assert_eq!(FORMAT, 1);
    let index = some();
    let entry = |id: &str, flags: &str| {
        format!(
            r#"{{"i":"{id}","a":["CVE-2026-1"],"s":9.8,{flags}"r":[["i0","f1.2.0"]],"v":["3.0.0"]}}"#
        )
    };
    let expected = [
        format!("cargo:serde[{}]", entry("B-1", "")),
        format!("npm:left-pad[{},", entry("A-1", "")),
        format!("{}]", entry("MAL-1", r#""m":true,"w":true,"#)),
    ];
    assert_eq!(String::from_utf8_lossy(index.packed_text()), expected.concat());
    let entries = [expected[0].len() - 11, expected[1].len() + expected[2].len() - 12];
    let place = |name: u8, entries: usize| [name, 0, u8::try_from(entries).unwrap(), 0, 0, 0];
    assert_eq!(places(&index), [place(11, entries[0]), place(12, entries[1])].concat());
}

#[test]
fn an_index_comes_back_as_it_was() {
    for index in [Index::default(), some()] {
        let outline = index.outline();
        let known = index.ecosystems().to_vec();
        let back =
            Index::unpack(&outline, &places(&index), index.packed_text().into(), &known).unwrap();
        assert_eq!(back, index);
        let text = serde_json::to_string(&outline).unwrap();
        assert_eq!(serde_json::from_str::<Outline>(&text).unwrap(), outline);
    }
}

#[test]
fn it_holds_for_as_long_as_nothing_else_is_withdrawn() {
    let outline = some().outline();
    for (now, holds) in [
        ("2026-04-30T00:00:00Z", false),
        ("2026-05-01T00:00:00Z", true),
        ("2026-06-30T00:00:00Z", true),
        ("2026-07-01T00:00:00Z", false),
    ] {
        assert_eq!(outline.holds_at(at(now)), holds, "{now}");
    }
    assert!(Index::default().outline().holds_at(Timestamp::MIN));
}

#[test]
fn bytes_that_can_not_be_searched_are_no_index() {
    let index = some();
    let (outline, places, text) = (index.outline(), places(&index), index.packed_text());
    let swapped = [&places[6..], &places[..6]].concat();
    let more = Outline { packages: 3, ..outline.clone() };
    let rows: [(&str, &Outline, &[u8], &[u8]); 6] = [
        ("a place too few", &outline, &places[..6], text),
        ("half a place", &outline, &places[..11], text),
        ("a place too many", &more, &[&places[..], &[0; 6]].concat(), text),
        ("a short text", &outline, &places, &text[1..]),
        ("places of another text", &outline, &swapped, text),
        ("no places", &outline, &[], text),
    ];
    for (name, outline, places, text) in rows {
        assert_eq!(unpack(outline, places, text).err(), Some(Unpackable::Lengths), "{name}");
    }
    let split = places[2] as usize + 11;
    let turned = [&text[split..], &text[..split]].concat();
    assert_eq!(unpack(&outline, &swapped, &turned).err(), Some(Unpackable::Order));
}

proptest! {
    #[test]
    fn any_index_comes_back(names in proptest::collection::vec("[a-z]{1,4}", 0..20)) {
        let advisories: Vec<Advisory> = (0..)
            .zip(&names)
            .map(|(n, name)| advisory(&format!("A-{n}"), &format!("npm:{name}"), None))
            .collect();
        let index = index(&advisories);
        let back = unpack(&index.outline(), &places(&index), index.packed_text());
        prop_assert_eq!(back, Ok(index));
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), cut in 0usize..10) {
        let index = some();
        let outline = Outline { packages: cut, ..index.outline() };
        let _ = unpack(&outline, &bytes, index.packed_text());
        let _ = unpack(&outline, &places(&index), &bytes);
    }
}
