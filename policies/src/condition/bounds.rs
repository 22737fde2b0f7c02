//! Bounds of a condition's text, before a parser sees it.
//!
//! The parser recurses where brackets nest and where operators follow each other. Text that is
//! short, shallow and has few operators keeps it within a small stack, whatever it says.

use super::ConditionFault;

/// Most bytes of a condition.
pub const MAX_CONDITION: usize = 2000;
const MAX_NESTING: usize = 16;
const MAX_OPERATORS: usize = 200;

pub(super) fn check(text: &str) -> Result<(), ConditionFault> {
    let fault = |at: usize, message: String, remedy: &str| {
        Err(ConditionFault { at, message, remedy: remedy.to_owned() })
    };
    if text.len() > MAX_CONDITION {
        let message = format!("the condition has {} bytes, more than {MAX_CONDITION}", text.len());
        return fault(0, message, "make several rules of it");
    }
    if text.trim().is_empty() {
        return fault(0, "the condition is empty".to_owned(), "leave `when` out to mean always");
    }
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut operators) = (0, 0_usize, 0);
    while let Some(&byte) = bytes.get(at) {
        match byte {
            b'"' | b'\'' => match string_end(bytes, at) {
                Some(end) => {
                    at = end;
                    continue;
                }
                None => return fault(at, "this string has no end".to_owned(), "close its quotes"),
            },
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += text[at..].find('\n').unwrap_or(text.len() - at);
                continue;
            }
            b'(' | b'[' | b'{' => {
                depth += 1;
                operators += 1;
            }
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b'.' | b'!' | b'-' | b'+' | b'*' | b'/' | b'%' | b'<' | b'>' | b'=' | b'&' | b'|'
            | b'?' | b':' => {
                operators += 1;
            }
            b',' | b'_' | b' ' | b'\t' | b'\r' | b'\n' => {}
            _ if byte.is_ascii_alphanumeric() => {}
            _ => {
                let odd = text[at..].chars().next().unwrap_or_default();
                let message = format!("`{}` has no meaning in a condition", odd.escape_debug());
                return fault(at, message, "put texts into quotes");
            }
        }
        if depth > MAX_NESTING {
            let message = format!("the condition nests deeper than {MAX_NESTING} brackets");
            return fault(at, message, "make several rules of it");
        }
        if operators > MAX_OPERATORS {
            let message = format!("the condition has more than {MAX_OPERATORS} operators");
            return fault(at, message, "make several rules of it, or use `in` with a list");
        }
        at += 1;
    }
    Ok(())
}

/// What `has` is written as where it asks for a fact, which the parser would not take: as long as the
/// word, so that places stay.
pub(super) const TOLD: &str = "hAS";

/// `has(contradicts)` with another word for `has`, and where each of them begins. In CEL `has` is a
/// macro that takes fields alone; of a fact, which has no dot before it, the parser is told that it
/// is a function. The text must have passed [`check`].
pub(super) fn with_told(text: &str) -> (String, Vec<usize>) {
    let (bytes, mut told) = (text.as_bytes(), text.to_owned());
    let (mut at, mut places) = (0, Vec::new());
    while let Some(&byte) = bytes.get(at) {
        if matches!(byte, b'"' | b'\'') {
            at = string_end(bytes, at).unwrap_or(bytes.len());
        } else if text[at..].starts_with("//") {
            at += text[at..].find('\n').unwrap_or(text.len() - at);
        } else if byte.is_ascii_alphabetic() || byte == b'_' {
            let length = word_length(&text[at..]);
            let before = text[..at].trim_end();
            if &text[at..at + length] == "has"
                && !before.ends_with('.')
                && asks_for_a_fact(&text[at + length..])
            {
                told.replace_range(at..at + length, TOLD);
                places.push(at);
            }
            at += length;
        } else {
            // A number with letters in it begins no word.
            let digits = if byte.is_ascii_digit() { word_length(&text[at..]) } else { 0 };
            at += digits.max(text[at..].chars().next().map_or(1, char::len_utf8));
        }
    }
    (told, places)
}

fn word_length(text: &str) -> usize {
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// Whether a word in brackets follows, and nothing else.
fn asks_for_a_fact(text: &str) -> bool {
    let Some(inside) = text.trim_start().strip_prefix('(').map(str::trim_start) else {
        return false;
    };
    let length = word_length(inside);
    length > 0 && inside[length..].trim_start().starts_with(')')
}

/// Behind the string that begins here; a prefix of `r` lets a backslash stand for itself.
fn string_end(bytes: &[u8], start: usize) -> Option<usize> {
    let quote = bytes[start];
    let raw = matches!(start.checked_sub(1).map(|at| bytes[at]), Some(b'r' | b'R'));
    let triple = bytes[start..].starts_with(&[quote; 3]);
    let mut at = start + if triple { 3 } else { 1 };
    loop {
        match *bytes.get(at)? {
            b'\\' if !raw => at += 2,
            b'\n' | b'\r' if !triple => return None,
            byte if byte == quote && !triple => return Some(at + 1),
            byte if byte == quote && bytes[at..].starts_with(&[quote; 3]) => return Some(at + 3),
            _ => at += 1,
        }
    }
}
