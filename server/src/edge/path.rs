//! The one place that decides which paths of requests are taken at all.
//!
//! A path that two parties could read differently is refused: encoded twice, with `..` in any spelling,
//! with backslashes, controls or characters that are not seen. Nothing is normalised away: empty
//! segments stay, and the router finds nothing there. Each format makes one identity of what passes
//! here, which routes, access, policy, cache and upstream share.

use std::borrow::Cow;
use std::fmt;

use percent_encoding::percent_decode;

use super::problem::Problem;
use crate::observability::escape::is_deceptive;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PathFault {
    NotAbsolute,
    BadEscape,
    NotUtf8,
    Control,
    Deceptive,
    Backslash,
    DotSegment,
    EncodedTwice,
}

impl fmt::Display for PathFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotAbsolute => "the path does not begin with a slash",
            Self::BadEscape => "the path has a % that is not followed by two hex digits",
            Self::NotUtf8 => "the path is not UTF-8 once it is decoded",
            Self::Control => "the path holds a control character",
            Self::Deceptive => "the path holds a character that cannot be seen",
            Self::Backslash => "the path holds a backslash",
            Self::DotSegment => "the path holds `.` or `..` as a segment",
            Self::EncodedTwice => "the path is percent-encoded twice",
        })
    }
}

impl std::error::Error for PathFault {}

impl From<PathFault> for Problem {
    fn from(fault: PathFault) -> Self {
        Self::bad_request("bad-path", fault.to_string())
    }
}

/// Looks at the raw path of a request, without its query. Once decoded, a `/` that was written `%2F`
/// stays inside its segment.
pub fn check(raw: &str) -> Result<(), PathFault> {
    let rest = raw.strip_prefix('/').ok_or(PathFault::NotAbsolute)?;
    rest.split('/').try_for_each(|segment| decode(segment).map(drop))
}

fn decode(raw: &str) -> Result<Cow<'_, str>, PathFault> {
    if is_plain(raw) {
        return Ok(raw.into());
    }
    if has_escape_that_is(raw, |digits| digits.is_none()) {
        return Err(PathFault::BadEscape);
    }
    let decoded = percent_decode(raw.as_bytes()).decode_utf8().map_err(|_| PathFault::NotUtf8)?;
    for character in decoded.chars() {
        if character.is_control() {
            return Err(PathFault::Control);
        }
        if is_deceptive(character) {
            return Err(PathFault::Deceptive);
        }
        if character == '\\' {
            return Err(PathFault::Backslash);
        }
    }
    if has_escape_that_is(&decoded, |digits| digits.is_some()) {
        return Err(PathFault::EncodedTwice);
    }
    if decoded.split('/').any(|part| part == "." || part == "..") {
        return Err(PathFault::DotSegment);
    }
    Ok(decoded)
}

/// Nothing in it stands for anything else: the rest is looked at character by character.
fn is_plain(raw: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"@-_.".contains(&byte);
    raw.bytes().all(plain) && raw != "." && raw != ".."
}

/// Asks about the two hex digits behind each `%`, `None` where they are missing.
fn has_escape_that_is(text: &str, asked: impl Fn(Option<(u8, u8)>) -> bool) -> bool {
    let bytes = text.as_bytes();
    bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').any(|(at, _)| {
        let digits = match (bytes.get(at + 1), bytes.get(at + 2)) {
            (Some(a), Some(b)) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => Some((*a, *b)),
            _ => None,
        };
        asked(digits)
    })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::prelude::*;

    use super::*;

    /// All of a path that passes, decoded: `/npm/@scope/name` for each of its spellings.
    fn decoded(raw: &str) -> Result<String, PathFault> {
        check(raw)?;
        raw[1..]
            .split('/')
            .try_fold(String::new(), |path, segment| Ok(format!("{path}/{}", decode(segment)?)))
    }

    #[test]
    fn attacks_are_refused() {
        use PathFault::*;
        for (raw, fault) in [
            ("/%2F%2F..%2F..%2Fetc%2Fpasswd", DotSegment),
            ("/npm/../etc/passwd", DotSegment),
            ("/npm/..", DotSegment),
            ("/npm/./a", DotSegment),
            ("/npm/%2e%2e/a", DotSegment),
            ("/npm/.%2E/a", DotSegment),
            ("/npm/a%2f..", DotSegment),
            ("/npm/..%5ca", Backslash),
            ("/npm/a\\b", Backslash),
            ("/npm/%252e%252e", EncodedTwice),
            ("/npm/@s%252fn", EncodedTwice),
            ("/npm/%25%32%66", EncodedTwice),
            ("/npm/a%00", Control),
            ("/npm/a%0d%0aX: y", Control),
            ("/npm/%7f", Control),
            ("/npm/%c2%9b31m", Control),
            ("/npm/%e2%80%ae", Deceptive),
            ("/npm/%ef%bb%bfreact", Deceptive),
            ("/npm/%zz", BadEscape),
            ("/npm/%", BadEscape),
            ("/npm/a%2", BadEscape),
            ("/npm/%ff", NotUtf8),
            ("/npm/%c0%ae%c0%ae/", NotUtf8),
            ("*", NotAbsolute),
            ("", NotAbsolute),
        ] {
            assert_eq!(check(raw), Err(fault), "{raw}");
        }
    }

    #[test]
    fn every_spelling_of_a_scope_is_one_identity() {
        for raw in ["/npm/@s/n", "/npm/@s%2fn", "/npm/@s%2Fn", "/npm/%40s/n", "/npm/%40s%2Fn"] {
            assert_eq!(decoded(raw).unwrap(), "/npm/@s/n", "{raw}");
        }
        assert_eq!(decode("@s%2fn").unwrap(), "@s/n");
    }

    #[test]
    fn empty_segments_and_odd_but_clear_names_reach_the_router() {
        for raw in ["/", "//", "/npm//a", "/npm/", "//npm/a//", "/files/100%25", "/a/...", "/a/..b"]
        {
            assert!(check(raw).is_ok(), "{raw}");
        }
        assert_eq!(decoded("/npm//a").unwrap(), "/npm//a");
    }

    proptest! {
        #[test]
        fn parsing_never_panics_and_what_passes_is_clean(raw in "/?[%./\\\\a-zA-Z0-9@\u{0}-\u{20}é]{0,40}") {
            if let Ok(decoded) = decoded(&raw) {
                prop_assert!(!decoded.chars().any(|c| is_deceptive(c) || c == '\\'));
                prop_assert!(!decoded.split('/').any(|part| part == "." || part == ".."));
                // Decoding it once more changes nothing.
                let again = percent_decode(decoded.as_bytes()).decode_utf8().unwrap();
                prop_assert_eq!(again, decoded.as_str());
            }
        }

        #[test]
        fn any_spelling_of_a_clean_name_decodes_to_it(name in "[a-z@][a-zA-Z0-9_/-]{0,30}") {
            let encoded = utf8_percent_encode(&name, NON_ALPHANUMERIC).to_string();
            let lower = encoded.replace("%2F", "%2f");
            for raw in [format!("/{name}"), format!("/{encoded}"), format!("/{lower}")] {
                prop_assert_eq!(decoded(&raw).unwrap(), format!("/{}", name));
            }
        }
    }
}
