//! Documents of an upstream that means harm, or whose software is strange.

use std::time::Duration;

use policies::package::Ecosystem;
use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::tests::whole_text;
use super::*;

const BASE: &str = "https://garth.example.com/npm";
const NAME: &str = "left-pad";
/// On a busy machine, without optimisation. What is quadratic in these sizes takes minutes.
const PATIENCE: Duration = Duration::from_secs(20);

fn parse(text: impl Into<Bytes>) -> Result<Packument, String> {
    Packument::parse(&Package::new(Ecosystem::Npm, NAME).unwrap(), &text.into())
}

/// Whether it is read in one pass; then both ways read the same.
fn is_read_at_once(text: &str) -> bool {
    let (package, bytes) =
        (Package::new(Ecosystem::Npm, NAME).unwrap(), Bytes::from(text.to_owned()));
    let Some(at_once) = Packument::parse_at_once(&package, &bytes, text) else { return false };
    let with_care = Packument::parse_with_care(&package, &bytes, text).unwrap();
    let parts = |of: &Packument| {
        let whole = (&of.entries, &of.left_out, &of.tags, &of.fields, &of.created, &of.modified);
        (format!("{whole:#?}"), of.places.clone(), of.foreign_files.clone())
    };
    assert_eq!(parts(&at_once), parts(&with_care), "{text}");
    true
}

#[test]
fn what_is_usual_is_read_in_one_pass_and_the_rest_with_care() {
    let plain = json!({
        "name": NAME,
        "dist-tags": {"latest": "2.0.0"},
        "versions": {
            "1.0.0": {"version": "1.0.0", "name": "another", "dist": {"shasum": shasum()}},
            "2.0.0": version_of("2.0.0"),
            "3.0.0": {"dist": {"tarball": "a.tgz"}, "version": "3.0.0", "name": NAME},
        },
        "time": {"2.0.0": "2024-01-01T00:00:00Z", "modified": "2024-01-01T00:00:00Z"},
        "readme": "# left-pad",
    });
    let packed = plain.to_string();
    for (usual, text) in [
        (true, packed.clone()),
        (true, serde_json::to_string_pretty(&plain).unwrap()),
        (true, packed.replace("{\"", "{ \t\r\n\"").replace('}', " \n}")),
        (true, packed.replace("\"readme\"", "\"name\":\"left-pad\",\"readme\"")),
        (false, packed.replace("\"readme\"", "\"versions\":{},\"readme\"")),
        (false, packed.replace("\"3.0.0\":{", "\"2.0.0\":{")),
        (false, packed.replace("\"3.0.0\":{", "\"4.0.0\":7,\"3.0.0\":{")),
        (false, packed.replace("\"3.0.0\":{", "\"4.0.0\":{},\"3.0.0\":{")),
        (false, packed.replace("\"3.0.0\":{", "\"4.0.0\":{\"name\":1},\"3.0.0\":{")),
        (false, packed.replace("\"dist\"", "\"d\\u0069st\"")),
        (false, packed.replace("\"dist\":{", "\"dist\":{},\"dist\":{")),
        (false, packed.replace("\"dist\":{", "\"dist\":{},\"other\":{")),
        (false, packed.replace("\"name\"", "\"nam\"")),
        (false, format!("{packed},")),
        (false, packed.replace("# left", "\u{1}")),
    ] {
        assert_eq!(is_read_at_once(&text), usual, "{text}");
    }
}

fn shasum() -> String {
    "0".repeat(40)
}

/// A document whose one version has this `dist.tarball`, written as it is.
fn with_tarball(raw: &str) -> String {
    let sum = shasum();
    format!(
        r#"{{"name":"left-pad","dist-tags":{{"latest":"1.0.0"}},"versions":{{"1.0.0":{{"name":"left-pad","version":"1.0.0","dist":{{"shasum":"{sum}","tarball":{raw}}}}}}}}}"#
    )
}

/// All that can be made of a document, as text.
fn views(packument: &Packument) -> Vec<String> {
    let shown: Vec<Shown<'_>> =
        packument.entries.iter().map(|entry| Shown { entry, pinned: None }).collect();
    let mut views: Vec<Vec<u8>> =
        shown.iter().map(|shown| render_manifest(packument, shown, BASE).unwrap()).collect();
    let tags = offered_tags(packument, &shown);
    let offer = Offer { packument, shown, tags };
    views.extend([Form::Full, Form::Abbreviated].map(|form| whole_text(&offer, form, BASE)));
    views.into_iter().map(|view| String::from_utf8(view).unwrap()).collect()
}

#[test]
fn however_an_address_is_written_none_of_the_upstreams_is_left() {
    let rows = [
        r#""https://up.example/left-pad/-/left-pad-1.0.0.tgz""#,
        r#""https:\/\/up.example\/left-pad\/-\/left-pad-1.0.0.tgz""#,
        r#""\u0068ttps://\u0075p.example/left-pad-1.0.0.tgz""#,
        r#""HTTPS://UP.EXAMPLE/left-pad-1.0.0.tgz""#,
        r#""https://ann:secret@up.example/left-pad-1.0.0.tgz?token=up.example#up.example""#,
        r#""//up.example/left-pad-1.0.0.tgz""#,
        r#""\\\\up.example\\left-pad-1.0.0.tgz""#,
        r#"  "https://up.example/x/../y/%2e%2e/left-pad.tar.gz"  "#,
        r#""left-pad/-/up.example.tgz""#,
        r#""?up.example""#,
    ];
    for raw in rows {
        let packument = parse(with_tarball(raw)).unwrap();
        for view in views(&packument) {
            let text = view.to_lowercase();
            assert!(!text.contains("up.example") && !text.contains("secret"), "{raw}: {view}");
            assert!(text.contains("/npm/left-pad/-/left-pad-1.0.0.tgz"), "{raw}: {view}");
        }
    }
}

#[test]
fn addresses_beside_the_tarball_are_not_passed_on() {
    let document = json!({
        "name": NAME,
        "_id": NAME,
        "_distfiles": {"left-pad-1.0.0.tgz": {"url": "https://up.example/left-pad-1.0.0.tgz"}},
        "_uplinks": {"far": {"etag": "x", "fetched": "https://up.example/"}},
        "_attachments": {"left-pad-1.0.0.tgz": {"url": "https://up.example/a.tgz"}},
        "dist-tags": {"latest": "1.0.0"},
        "versions": {"1.0.0": {
            "name": NAME,
            "version": "1.0.0",
            "_resolved": "https://up.example/left-pad/-/left-pad-1.0.0.tgz",
            "_from": "left-pad@",
            "description": "kept",
            "dist": {"shasum": shasum(), "tarball": "https://up.example/left-pad-1.0.0.tgz"},
        }},
    });
    // A second one in another spelling would be what some other reader sees.
    let text = document.to_string().replacen(
        r#""description":"kept""#,
        r#""description":"kept","_\u0072esolved":"https:\/\/up.example""#,
        1,
    );
    for text in [document.to_string(), text] {
        let packument = parse(text).unwrap();
        for view in views(&packument) {
            assert!(!view.contains("up.example"), "{view}");
            let value: Value = serde_json::from_str(&view).unwrap();
            assert!(value["name"] == NAME && value["_resolved"].is_null(), "{view}");
        }
        assert!(views(&packument)[0].contains("kept"));
        assert!(packument.entry(&Version::new("1.0.0").unwrap()).is_some());
    }
}

#[test]
fn what_is_left_out_is_told_in_few_and_harmless_words() {
    let long = "9".repeat(100_000);
    let rows = [
        format!(r#"{{"name":"left-pad","versions":{{"{long}":{{}}}}}}"#),
        format!(r#"{{"name":"left-pad","versions":{{"1.0.0":"{long}"}}}}"#),
        r#"{"name":"left-pad","versions":{"1.0.0\u001b[31m\r\nok":[]}}"#.to_owned(),
        with_tarball(&format!(r#""gopher://{long}""#)),
    ];
    for text in rows {
        let packument = parse(text).unwrap();
        let [LeftOut { version, why }] = packument.left_out.as_slice() else {
            panic!("{:?}", packument.left_out.len())
        };
        assert!(version.chars().count() <= 200 && why.chars().count() <= 400, "{version}: {why}");
        assert!(!version.chars().chain(why.chars()).any(char::is_control), "{version}: {why}");
    }
}

fn entry(version: &str) -> String {
    let sum = shasum();
    format!(
        r#""{version}":{{"name":"left-pad","version":"{version}","dist":{{"shasum":"{sum}","tarball":"a.tgz"}}}}"#
    )
}

fn joined(count: usize, one: impl Fn(usize) -> String) -> String {
    (0..count).map(one).collect::<Vec<_>>().join(",")
}

#[test]
fn a_document_with_too_much_of_anything_is_read_or_refused_in_linear_time() {
    const MANY: usize = 110_000;
    let deep = |open: &str, close: &str| format!("{}1{}", open.repeat(MANY), close.repeat(MANY));
    let numbered = |n: usize| format!(r#""k{n}":"1.0.0""#);
    let one = entry("1.0.0");
    let of_version = |more: String| one.replacen("\"dist\"", &format!("{more},\"dist\""), 1);
    let of_dist = |more: String| one.replacen("\"shasum\"", &format!("{more},\"shasum\""), 1);
    let top = |more: String| format!(r#"{{"name":"left-pad","versions":{{{one}}},{more}}}"#);
    let versions = |more: String| format!(r#"{{"name":"left-pad","versions":{{{more}}}}}"#);
    let rows = [
        ("versions", versions(joined(MANY, |n| entry(&format!("1.0.{n}"))))),
        ("one version again and again", versions(joined(MANY, |_| one.clone()))),
        ("versions that say nothing", versions(joined(90_000, |n| format!(r#""1.0.{n}":0"#)))),
        ("versions that are served", versions(joined(10_000, |n| entry(&format!("1.0.{n}"))))),
        ("top fields", top(joined(MANY, numbered))),
        ("names", top(joined(MANY, |_| r#""name":"left-pad""#.to_owned()))),
        ("tags", top(format!(r#""dist-tags":{{{}}}"#, joined(MANY, numbered)))),
        ("times", top(format!(r#""time":{{{}}}"#, joined(MANY, numbered)))),
        ("fields of a version", versions(of_version(joined(MANY, numbered)))),
        ("fields of a dist", versions(of_dist(joined(MANY, numbered)))),
        ("scripts", versions(of_version(format!(r#""scripts":{{{}}}"#, joined(MANY, numbered))))),
        ("digests", versions(of_dist(format!(r#""integrity":"{}""#, "sha512-AAAA ".repeat(MANY))))),
        ("a deep field", top(format!(r#""x":{}"#, deep("[", "]")))),
        ("a deep tag", top(format!(r#""dist-tags":{{"latest":{}}}"#, deep("[", "]")))),
        ("deep times", top(format!(r#""time":{{"created":{}}}"#, deep("{\"a\":", "}")))),
        ("a deep version", versions(format!(r#""1.0.0":{}"#, deep("{\"a\":", "}")))),
        ("a deep dist", versions(of_dist(format!(r#""x":{}"#, deep("[", "]"))))),
        ("deep scripts", versions(of_version(format!(r#""scripts":{}"#, deep("{\"a\":", "}"))))),
        ("a deep deprecation", versions(of_version(format!(r#""deprecated":{}"#, deep("[", "]"))))),
        ("a long number", top(format!(r#""x":{}"#, "9".repeat(MANY)))),
        ("a number beyond all", top(r#""x":1e999999999,"y":-1e-999999999"#.to_owned())),
        ("no end", "[".repeat(MANY)),
        ("a long name", format!(r#"{{"name":"{}"}}"#, "x".repeat(MANY))),
    ];
    for (name, text) in rows {
        let begun = Instant::now();
        if let Ok(packument) = parse(text) {
            for view in views(&packument).into_iter().rev().take(3) {
                let ignored: Result<&serde_json::value::RawValue, _> = serde_json::from_str(&view);
                assert!(ignored.is_ok(), "{name}");
            }
        }
        assert!(begun.elapsed() < PATIENCE, "{name}: {:?}", begun.elapsed());
    }
}

#[test]
fn text_that_is_no_text_is_refused_or_left_out() {
    for bytes in [
        b"\xef\xbb\xbf{\"name\":\"left-pad\"}".as_slice(),
        b"{\"name\":\"left-pad\",\"x\":\"\xc0\xaf\"}",
        b"{\"name\":\"left-pad\"}\0",
        b"{\"name\":\"left-pad\"}{\"name\":\"left-pad\"}",
        b"{\"name\":\"left-pad\",\"dist-tags\":{\"\\ud800\":\"1.0.0\"}}",
    ] {
        assert!(parse(bytes.to_vec()).is_err(), "{}", String::from_utf8_lossy(bytes));
    }
    for raw in [r#""https://up.example/\ud800.tgz""#, "null", "7", r#"["a.tgz"]"#, "{}", r#""""#] {
        let packument = parse(with_tarball(raw)).unwrap();
        assert!(packument.entries.is_empty(), "{raw}");
        assert_eq!(packument.left_out.len(), 1, "{raw}");
    }
}

/// A promise that one reader sees and another one does not is no promise.
#[test]
fn a_digest_that_is_there_and_can_not_be_read_is_not_taken_for_absent() {
    let strong = "sha512-AAAA";
    for (raw, is_offered) in [
        ("null".to_owned(), true),
        ("7".to_owned(), false),
        ("\"\"".to_owned(), false),
        ("{}".to_owned(), false),
        (format!("[\"{strong}\"]"), false),
        (format!("\"\\ud800{strong}\""), false),
        (format!("\"{strong}\""), false),
    ] {
        let text = with_tarball("\"a.tgz\"");
        let text = text.replacen("\"tarball\"", &format!("\"integrity\":{raw},\"tarball\""), 1);
        let packument = parse(text).unwrap();
        assert_eq!(packument.entries.len(), usize::from(is_offered), "{raw}");
        assert_eq!(packument.left_out.len(), usize::from(!is_offered), "{raw}");
    }
}

/// Pieces that matter to a reader of JSON, or to us.
const PIECES: &[&str] = &[
    "{",
    "}",
    "[",
    "]",
    ",",
    ":",
    "\"",
    "\\",
    "\\u0022",
    "\\ud800",
    "null",
    "1e9",
    " ",
    "\"dist\":",
    "\"tarball\":",
    "\"name\":\"left-pad\",",
    "\"version\":\"2.0.0\",",
    "\"_resolved\":\"u\",",
    "\"1.0.0\":{},",
    "\"latest\"",
    "\"versions\":{},",
    "\"time\":{},",
    "\"licenses\":[{\"type\":\"MIT\"}],",
    "\"_npmUser\":{\"name\":\"eve\"},",
    "\"dependencies\":{\"x\":{}},",
    "\"gypfile\":true,",
    "\"attestations\":{\"provenance\":{\"predicateType\":\"https://slsa.dev/provenance/v1\"}},",
];

proptest! {
    #[test]
    fn whatever_is_read_is_served_as_json_that_leads_to_us(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..PIECES.len(), 0..12_usize), 0..6),
    ) {
        let document = json!({
            "name": NAME,
            "dist-tags": {"latest": "2.0.0", "old": "1.0.0"},
            "versions": {"1.0.0": version_of("1.0.0"), "2.0.0": version_of("2.0.0"), "3.0.0": stating("3.0.0")},
            "time": {"created": "2024-01-01T00:00:00Z", "1.0.0": "2024-01-01T00:00:00Z", "2.0.0": "2024-01-02T00:00:00Z", "3.0.0": "2024-01-03T00:00:00Z"},
            "readme": "# left-pad",
        });
        let mut text = document.to_string();
        for (at, piece, removed) in edits {
            let at = at.index(text.len());
            let end = (at + removed).min(text.len());
            text.replace_range(at..end, PIECES[piece]);
        }
        is_read_at_once(&text);
        let Ok(packument) = parse(text.clone()) else { return Ok(()) };
        for view in views(&packument) {
            let raw: Result<&serde_json::value::RawValue, _> = serde_json::from_str(&view);
            prop_assert!(raw.is_ok(), "{text} gives {view}");
            // Half of a character may stand in JSON, and not in a text of ours.
            let Ok(value) = serde_json::from_str::<Value>(&view) else { continue };
            let versions = value["versions"].as_object().cloned().unwrap_or_else(|| {
                serde_json::Map::from_iter([(String::new(), value.clone())])
            });
            for version in versions.values() {
                let tarball = version["dist"]["tarball"].as_str().unwrap_or_default();
                prop_assert!(tarball.starts_with(BASE), "{text} gives {view}");
                prop_assert_eq!(version["name"].as_str(), Some(NAME));
            }
        }
    }

    #[test]
    fn latest_is_what_it_was_or_goes_down(
        allowed in proptest::collection::vec(any::<bool>(), 7),
        original in 0..7_usize,
    ) {
        let all = ["0.9.0", "1.0.0-rc.1", "1.0.0", "1.1.0", "2.0.0-beta", "2.0.0", "not a version"];
        let document = format!(
            r#"{{"name":"left-pad","dist-tags":{{"latest":"{}"}},"versions":{{{}}}}}"#,
            all[original],
            joined(all.len() - 1, |n| entry(all[n])),
        );
        let packument = parse(document).unwrap();
        let entries: Vec<&Entry> = packument
            .entries
            .iter()
            .filter(|entry| {
                all.iter().position(|text| *text == entry.version.as_str()).is_some_and(|n| allowed[n])
            })
            .collect();
        let shown: Vec<Shown<'_>> = entries.iter().map(|entry| Shown { entry, pinned: None }).collect();
        let tags = offered_tags(&packument, &shown);
        let place = |text: &str| all.iter().position(|known| *known == text).unwrap();
        let latest = tags.iter().find(|(tag, _)| tag == "latest").map(|(_, text)| place(text));
        let offered: Vec<usize> = entries.iter().map(|entry| place(entry.version.as_str())).collect();
        prop_assert_eq!(latest.is_some(), !offered.is_empty());
        if let Some(latest) = latest {
            prop_assert!(offered.contains(&latest));
            if offered.contains(&original) {
                prop_assert_eq!(latest, original);
            } else if original < all.len() - 1 && offered.iter().any(|place| *place < original) {
                prop_assert!(latest < original, "it went up past what was approved");
            }
        }
    }
}

/// With what rules can ask for.
fn stating(version: &str) -> Value {
    json!({
        "name": NAME,
        "version": version,
        "license": "MIT OR ISC",
        "_npmUser": {"name": "GitHub Actions", "trustedPublisher": {"id": "github", "oidcConfigId": "x"}},
        "dependencies": {"a": "1", "b": "2"},
        "optionalDependencies": {"b": "2"},
        "dist": {"shasum": shasum(), "tarball": "https://up.example/x.tgz"},
    })
}

fn version_of(version: &str) -> Value {
    json!({
        "name": NAME,
        "version": version,
        "_resolved": "https://up.example/x.tgz",
        "scripts": {"install": "node x"},
        "dist": {"shasum": shasum(), "tarball": "https://up.example/x.tgz", "integrity": "sha1-AAAAAAAAAAAAAAAAAAAAAAAAAAA="},
        "deprecated": false,
    })
}
