//! The command on files in a temporary home, without a client and without a server.
#![allow(clippy::unwrap_used)]

use std::sync::LazyLock;

use super::edits::{Edit, Lines};
use super::*;

/// What the tests of the notations want to be written.
pub fn wanted(token_env: Option<&str>) -> Wanted<'_> {
    static REGISTRY: LazyLock<Url> =
        LazyLock::new(|| Url::parse("http://garth.example/npm/").unwrap());
    Wanted { registry: &REGISTRY, token_env, sources: &[], may_replace: false }
}

/// What `set` makes of a file: it can be taken back, and a second time changes nothing.
pub fn written(
    set: impl Fn(&str, &Wanted<'_>) -> Result<Vec<Edit>, Unreadable>,
    before: &str,
    token_env: Option<&str>,
) -> String {
    let wanted = wanted(token_env);
    let edits = set(before, &wanted).unwrap_or_else(|why| panic!("{before}: {why:?}"));
    let mut lines = Lines::of(before);
    lines.apply(&edits);
    let after = lines.text();
    assert!(lines.undo(&edits).is_empty());
    assert_eq!(lines.text(), before, "taken back");
    assert!(set(&after, &wanted).unwrap().is_empty(), "a second time changes nothing: {after}");
    after
}
