//! Files as people write them, and what becomes of them.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use url::Url;

use super::super::tests;
use super::*;

const STAND_IN: &str = "[source.crates-io]\nreplace-with = \"garth\"\n";
const INDEX: &str = "[registries.garth]\nindex = \"sparse+http://garth.example/cargo/\"\n";

fn source(name: &str, path: &str) -> Source {
    let index = Url::parse(&format!("http://garth.example/{path}/")).unwrap();
    Source { name: name.to_owned(), index, replaces: name == "garth", asks_for_token: false }
}

fn wanted<'a>(sources: &'a [Source], token_env: Option<&'a str>) -> Wanted<'a> {
    Wanted { sources, ..tests::wanted(token_env) }
}

fn stand_in() -> &'static [Source] {
    static SOURCES: LazyLock<[Source; 1]> = LazyLock::new(|| [source("garth", "cargo")]);
    SOURCES.as_slice()
}

/// What is made of the file; it can be taken back to the byte, and a second time changes nothing.
fn written(before: &str, sources: &[Source], token_env: Option<&str>) -> String {
    let set = |text: &str, of: &Wanted<'_>| set(text, &Wanted { sources, ..*of });
    let after = tests::written(set, before, token_env);
    let address = registry(&after).map(|named| named.address);
    assert_eq!(address.as_deref(), Some("sparse+http://garth.example/cargo/"), "{after}");
    after
}

#[test]
fn the_default_is_replaced_and_all_else_stays() {
    let both = format!("{STAND_IN}{INDEX}");
    let crlf = |text: &str| text.replace('\n', "\r\n");
    let rows = [
        ("no file", "", both.clone()),
        (
            "comments, and no end of line",
            "# mine\n[net] # x\nretry = 3 # y\n# z",
            format!("# mine\n[net] # x\nretry = 3 # y\n# z\n{}", both.trim_end()),
        ),
        ("lines of another system", "[net]\r\nretry = 3\r\n", crlf(&format!("[net]\nretry = 3\n{both}"))),
        (
            "an empty table, and others below it",
            "[source.crates-io] # x\n\n# y\n[registries.corp]\nindex = 'a'\n",
            format!(
                "[source.crates-io] # x\nreplace-with = \"garth\"\n\n# y\n[registries.corp]\nindex = 'a'\n{INDEX}"
            ),
        ),
        (
            "in one line",
            "source = { crates-io = {} } # x\nregistries.corp.index = 'a'\n",
            "source = { crates-io = { replace-with = \"garth\" } } # x\nregistries.corp.index = 'a'\n\
             registries.garth = { index = \"sparse+http://garth.example/cargo/\" }\n"
                .to_owned(),
        ),
        (
            "keys with dots",
            "source.corp.registry = 'a'\n[net]\nretry = 3\n",
            format!(
                "source.corp.registry = 'a'\nsource.crates-io = {{ replace-with = \"garth\" }}\n[net]\n\
                 retry = 3\n{INDEX}"
            ),
        ),
        (
            "our address without its end",
            "[registries.garth]\nindex = 'sparse+http://garth.example/cargo' # ours\n",
            format!(
                "[registries.garth]\nindex = \"sparse+http://garth.example/cargo/\" # ours\n{STAND_IN}"
            ),
        ),
        (
            "quoted keys, and spaces",
            "[ \"source\" . 'crates-io' ]\n  # in it\n",
            format!("[ \"source\" . 'crates-io' ]\nreplace-with = \"garth\"\n  # in it\n{INDEX}"),
        ),
    ];
    for (name, before, after) in rows {
        assert_eq!(written(before, stand_in(), None), after, "{name}");
    }
}

#[test]
fn registries_of_own_crates_come_beside_it() {
    let sources = [source("garth", "cargo"), source("ours", "ours")];
    let ours = "[registries.ours]\nindex = \"sparse+http://garth.example/ours/\"\n";
    assert_eq!(written("", &sources, None), format!("{STAND_IN}{INDEX}{ours}"));
    let edits = set("", &wanted(&sources[1..], None)).unwrap();
    assert_eq!(edits[0].new, ours.lines().collect::<Vec<_>>(), "and cargo's default is left alone");
}

#[test]
fn where_a_token_comes_from_is_named_and_no_token() {
    let provider = "credential-provider = [\"cargo:token-from-stdout\", \"printenv\", \"T\"]\n";
    assert_eq!(written("", stand_in(), Some("T")), format!("{STAND_IN}{INDEX}{provider}"));
    let asking = [Source { asks_for_token: true, ..source("garth", "cargo") }];
    let provider = "credential-provider = [\"cargo:token\"]\n";
    assert_eq!(written("", &asking, None), format!("{STAND_IN}{INDEX}{provider}"));
    let global = "[registry]\nglobal-credential-providers = [\"cargo:libsecret\"]\n";
    assert_eq!(written(global, &asking, None), format!("{global}{STAND_IN}{INDEX}"));
}

#[test]
fn what_somebody_else_has_set_is_named_and_replaced_only_when_told() {
    let rows = [
        ("[net]\n[source.crates-io]\nreplace-with = 'corp' # x\n", 3, "by corp"),
        (
            "[registries]\ngarth.index = 'sparse+https://old.example/'\n",
            2,
            "index of [registries.garth]",
        ),
        ("registries = { garth = { index = 'x' } }\n", 1, "index"),
        ("[registries.garth]\ncredential-provider = ['corp']\n", 2, "credential-provider"),
    ];
    for (text, line, about) in rows {
        let refused = set(text, &wanted(stand_in(), Some("T"))).unwrap_err();
        assert_eq!(refused.line, line, "{text}");
        assert!(refused.why.contains(about) && refused.remedy.contains("--replace"), "{refused:?}");
        let may = Wanted { may_replace: true, ..wanted(stand_in(), Some("T")) };
        let edits = set(text, &may).unwrap();
        let mut lines = Lines::of(text);
        lines.apply(&edits);
        let after = lines.text();
        assert_eq!(
            registry(&after).unwrap().address,
            "sparse+http://garth.example/cargo/",
            "{after}"
        );
        assert_eq!(after.contains("# x"), text.contains("# x"), "{after}");
        assert!(lines.undo(&edits).is_empty());
        assert_eq!(lines.text(), text);
    }
}

#[test]
fn what_cannot_be_changed_is_left_to_a_person() {
    let rows = [
        ("a = \n", 1, "no valid TOML"),
        ("a = 1\n\n[source\n", 3, "no valid TOML"),
        ("[source.garth]\ndirectory = 'vendor'\n", 1, "a source garth"),
        ("source = 3\n", 1, "source"),
        ("[[registries]]\n", 1, "registries"),
    ];
    for (text, line, about) in rows {
        let refused =
            set(text, &Wanted { may_replace: true, ..wanted(stand_in(), None) }).unwrap_err();
        assert_eq!(refused.line, line, "{text}: {refused:?}");
        assert!(refused.why.contains(about), "{text}: {refused:?}");
    }
}

#[test]
fn a_source_with_our_address_is_no_stranger() {
    let text = "[source.garth]\nregistry = \"sparse+http://garth.example/cargo/\"\n";
    assert_eq!(written(text, stand_in(), None), format!("{text}{STAND_IN}{INDEX}"));
}

#[test]
fn what_stands_in_is_followed_to_its_address() {
    let rows = [
        (
            "[source.crates-io]\nreplace-with='a'\n[source.a]\nreplace-with='b'\n[registries.b]\nindex='x'",
            "x",
        ),
        ("[source.crates-io]\nreplace-with='a'\n[source.a]\nreplace-with='crates-io'", "crates-io"),
        ("\n[source.crates-io]\nreplace-with='elsewhere'", "elsewhere"),
    ];
    for (text, address) in rows {
        assert_eq!(registry(text).unwrap().address, address);
    }
    assert_eq!(registry("[net]"), None);
}
