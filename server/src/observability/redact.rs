//! Takes out of a text what looks like a secret: people paste more than they mean to. Pure.

use std::borrow::Cow;

/// Every token of ours begins so, for people and for tools that look for secrets.
pub const PREFIX: &str = "garth_";

const LEFT_OUT: &str = "***";
/// A shorter word behind our prefix is a name.
const SECRET_AT_LEAST: usize = 20;
/// What stands before credentials in a header.
const SCHEMES: [&str; 2] = ["bearer ", "basic "];

/// The text without user information in URLs, tokens of ours and what follows `Bearer` or `Basic`.
pub fn redacted(text: &str) -> Cow<'_, str> {
    let mut shown = Cow::Borrowed(text);
    for find in [userinfo, own_token, credentials] {
        let mut from = 0;
        while let Some((start, end)) = shown.get(from..).and_then(find) {
            let (start, end) = (from + start, from + end);
            let mut next = String::with_capacity(shown.len());
            next.extend([&shown[..start], LEFT_OUT, &shown[end..]]);
            from = start + LEFT_OUT.len();
            shown = Cow::Owned(next);
        }
    }
    shown
}

/// Between `//` and the last `@` before the path.
fn userinfo(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(slashes) = text[from..].find("//") {
        let start = from + slashes + 2;
        let authority = &text[start..];
        let end = authority.find(|c: char| c.is_whitespace() || "/?#\"'<>".contains(c));
        let authority = &authority[..end.unwrap_or(authority.len())];
        match authority.rfind('@') {
            Some(at) if &authority[..at] != LEFT_OUT => return Some((start, start + at)),
            _ => from = start,
        }
    }
    None
}

fn own_token(text: &str) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = text[from..].find(PREFIX) {
        let start = from + found;
        let word = text[start..].find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-');
        let end = word.map_or(text.len(), |length| start + length);
        if end - start >= SECRET_AT_LEAST {
            return Some((start, end));
        }
        from = end;
    }
    None
}

fn credentials(text: &str) -> Option<(usize, usize)> {
    let lower = text.to_ascii_lowercase();
    SCHEMES
        .iter()
        .filter_map(|scheme| {
            let start = lower.find(scheme)? + scheme.len();
            let end = text[start..].find(char::is_whitespace).map_or(text.len(), |end| start + end);
            // A sentence may say "basic rules"; a secret is longer than its words.
            (end - start >= SECRET_AT_LEAST).then_some((start, end))
        })
        .min()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn secrets_are_left_out_and_the_rest_stays() {
        let token = "garth_service_0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghi";
        let rows = [
            ("ADR-12, see https://wiki.example/a@b", "ADR-12, see https://wiki.example/a@b"),
            ("https://ann:p@ss@h.example/x", "https://***@h.example/x"),
            ("a //t0ken@h.example and http://b@c", "a //***@h.example and http://***@c"),
            ("Authorization: Bearer abcdefghijklmnopqrstuv", "Authorization: Bearer ***"),
            ("the basic rules of ours", "the basic rules of ours"),
            ("garth_observed is no secret", "garth_observed is no secret"),
        ];
        for (text, expected) in rows {
            assert_eq!(redacted(text), expected);
        }
        assert_eq!(redacted(&format!("my {token}, twice {token}")), "my ***, twice ***");
    }

    proptest! {
        #[test]
        fn nothing_panics_and_twice_is_once(text in any::<String>()) {
            let once = redacted(&text).into_owned();
            prop_assert_eq!(redacted(&once).into_owned(), once);
        }
    }
}
