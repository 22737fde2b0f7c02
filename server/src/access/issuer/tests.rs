#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::json;

use super::claims::{is_like, moment, says};
use super::*;

#[test]
fn a_claim_is_one_of_its_texts_and_whole() {
    let claims =
        json!({ "repository": "acme/shop", "protected": true, "run": 7, "list": ["acme"] });
    let claims = claims.as_object().unwrap();
    let check = |claim: &str, texts: &[&str], expected: bool| {
        let texts: Vec<String> = texts.iter().copied().map(str::to_owned).collect();
        assert_eq!(says(claims, claim, &texts), expected, "{claim} {texts:?}");
    };
    check("repository", &["acme/*"], true);
    check("repository", &["other", "acme/shop"], true);
    check("repository", &["*/shop"], true);
    check("repository", &["a*e/*op"], true);
    check("repository", &["acme"], false);
    check("repository", &["acme/shop2"], false);
    check("repository", &["cme/*"], false);
    check("repository", &["acme/*shop*shop"], false);
    check("repository", &[], false);
    check("protected", &["true"], true);
    check("run", &["7"], true);
    check("list", &["*"], false);
    check("nothing", &["*"], false);
}

#[test]
fn moments_are_seconds_and_nothing_else() {
    assert_eq!(moment(&json!(1_700_000_000)), Timestamp::from_second(1_700_000_000).ok());
    assert_eq!(moment(&json!(1_700_000_000.7)), Timestamp::from_second(1_700_000_000).ok());
    for odd in [json!("1700000000"), json!(1e300), json!(null), json!([1]), json!(i64::MAX)] {
        assert_eq!(moment(&odd), None, "{odd}");
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_is_read_or_refused(text in "\\PC{0,200}", parts in prop::collection::vec("[A-Za-z0-9_-]{0,40}", 0..5)) {
        let _ = Sent::parse(&text);
        let _ = Sent::parse(&parts.join("."));
    }

    #[test]
    fn a_pattern_without_stars_is_itself(pattern in "[a-z/]{0,8}", text in "[a-z/]{0,8}") {
        prop_assert_eq!(is_like(&pattern, &text), pattern == text);
        let anywhere = format!("*{pattern}*");
        prop_assert_eq!(is_like(&anywhere, &text), text.contains(&pattern));
    }
}
