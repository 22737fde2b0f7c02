#![allow(clippy::unwrap_used)]

use cyclonedx_bom::prelude::*;

use super::document;
use crate::inventory::{Inventory, merge};
use crate::scan;

const NPM: &str = r#"{"name":"app","lockfileVersion":3,"packages":{
"":{"name":"app","version":"1.0.0","dependencies":{"a":"1","lodash":"npm:evil@1","t":"https://files.example.com/t.tgz"}},
"node_modules/a":{"version":"1.0.0","resolved":"https://npm.example.com/a/-/a-1.0.0.tgz",
 "integrity":"sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk=","dependencies":{"@s/b":"1"}},
"node_modules/@s/b":{"version":"1.0.0","resolved":"git+ssh://git@git.example.com/b.git#abc","dev":true},
"node_modules/lodash":{"name":"evil","version":"1.0.0","inBundle":true},
"node_modules/t":{"version":"2.0.0","resolved":"https://files.example.com/t.tgz","optional":true},
"node_modules/w":{"link":true,"resolved":"w"},"w":{"version":"0.0.1"}}}"#;

fn inventory() -> Inventory {
    merge(vec![scan("web/package-lock.json", NPM.as_bytes()), scan("Cargo.lock", b"version = 4")])
}

#[test]
fn the_document_says_everything_that_was_found() {
    insta::assert_snapshot!(document(&inventory(), Some("2026-01-02T03:04:05Z")).unwrap());
}

#[test]
fn the_document_is_valid_and_the_same_each_time() {
    let text = document(&inventory(), None).unwrap();
    assert_eq!(text, document(&inventory(), None).unwrap());
    let bom = Bom::parse_from_json_v1_5(text.as_bytes()).unwrap();
    let result = bom.validate_version(SpecVersion::V1_5);
    assert!(result.passed(), "{result:?}");
}

#[test]
fn the_text_says_everything_that_was_found() {
    let mut text = String::new();
    let skipped = [("node_modules", 2), ("target", 1)].into();
    crate::report::text::write(&mut text, &inventory(), &skipped).unwrap();
    insta::assert_snapshot!(text);
}

#[test]
fn names_cannot_turn_the_terminal_around() {
    let hostile = r#"{"lockfileVersion":3,"packages":{"":{"name":"a\u001b[2J\u202eb"}}}"#;
    let mut text = String::new();
    let inventory = merge(vec![scan("package-lock.json", hostile.as_bytes())]);
    crate::report::text::write(&mut text, &inventory, &std::collections::BTreeMap::new()).unwrap();
    assert!(text.starts_with(r"npm:a\u{1b}[2J\u{202e}b  local"), "{text}");
}
