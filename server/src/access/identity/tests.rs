#![allow(clippy::unwrap_used)]

use super::*;

#[test]
fn a_subject_is_one_plain_line() {
    assert_eq!(shown("repo:acme/shop:ref:refs/heads/main"), "repo:acme/shop:ref:refs/heads/main");
    assert_eq!(shown("a\r\nb\u{202e}\u{1b}[31m<c>"), "a--b---31m-c-");
    assert_eq!(shown(&"ö".repeat(500)).len(), MAX_SUBJECT);
}
