//! `Range: bytes=...`, for one range.
//!
//! Several ranges are answered with the whole: a client must take that, and an attacker gains
//! nothing by asking for a thousand.

use std::ops::Range;

/// What of a representation to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ByteRange {
    /// 200: no range, one that is not understood, or several.
    Whole,
    /// 206: never empty, and within the length.
    Part(Range<u64>),
    /// 416 with `Content-Range: bytes */len`.
    Unsatisfiable,
}

/// Reads the header's value for a representation of `length` bytes.
pub fn parse(header: Option<&[u8]>, length: u64) -> ByteRange {
    let Some(header) = header else { return ByteRange::Whole };
    // A longer one cannot be a single range.
    if header.len() > 64 {
        return ByteRange::Whole;
    }
    let Ok(header) = std::str::from_utf8(header) else { return ByteRange::Whole };
    let Some((unit, set)) = header.split_once('=') else { return ByteRange::Whole };
    if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
        return ByteRange::Whole;
    }
    let Some((first, last)) = set.trim().split_once('-') else { return ByteRange::Whole };
    match (position(first), position(last)) {
        (Some(Position::None), Some(Position::At(suffix))) => tail(suffix, length),
        (Some(Position::At(first)), Some(Position::None)) => part(first, u64::MAX, length),
        (Some(Position::At(first)), Some(Position::At(last))) if first <= last => {
            part(first, last, length)
        }
        _ => ByteRange::Whole,
    }
}

enum Position {
    None,
    At(u64),
}

/// A number too large for 64 bits lies behind every end, so it saturates.
fn position(text: &str) -> Option<Position> {
    let text = text.trim();
    if text.is_empty() {
        return Some(Position::None);
    }
    if !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(Position::At(text.parse().unwrap_or(u64::MAX)))
}

fn tail(suffix: u64, length: u64) -> ByteRange {
    if suffix == 0 || length == 0 {
        return ByteRange::Unsatisfiable;
    }
    ByteRange::Part(length.saturating_sub(suffix)..length)
}

fn part(first: u64, last: u64, length: u64) -> ByteRange {
    if first >= length {
        return ByteRange::Unsatisfiable;
    }
    ByteRange::Part(first..last.saturating_add(1).min(length))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_range_a_whole_or_unsatisfiable() {
        use ByteRange::*;
        let thousand = format!("bytes={}", ["0-1"; 1000].join(","));
        for (header, expected) in [
            ("bytes=0-9", Part(0..10)),
            ("bytes=5-", Part(5..100)),
            ("bytes=-5", Part(95..100)),
            ("bytes=-500", Part(0..100)),
            ("bytes=90-500", Part(90..100)),
            ("Bytes = 0 - 0", Part(0..1)),
            ("bytes=99-18446744073709551615", Part(99..100)),
            ("bytes=0-99999999999999999999999999", Part(0..100)),
            ("bytes=99999999999999999999999999-", Unsatisfiable),
            ("bytes=100-", Unsatisfiable),
            ("bytes=100-200", Unsatisfiable),
            ("bytes=-0", Unsatisfiable),
            ("bytes=0-1,3-4", Whole),
            (thousand.as_str(), Whole),
            ("bytes=9-0", Whole),
            ("bytes=-", Whole),
            ("bytes=", Whole),
            ("bytes=--5", Whole),
            ("bytes=+1-2", Whole),
            ("items=0-1", Whole),
            ("", Whole),
        ] {
            assert_eq!(parse(Some(header.as_bytes()), 100), expected, "{header}");
        }
        assert_eq!(parse(None, 100), Whole);
        assert_eq!(parse(Some(b"bytes=0-"), 0), Unsatisfiable);
        assert_eq!(parse(Some(b"bytes=\xff-"), 100), Whole);
    }

    proptest! {
        #[test]
        fn a_part_is_never_empty_and_lies_within(
            header in "(bytes)?=?[0-9]{0,22}-?[0-9]{0,22},?[ 0-9-]{0,5}",
            length in prop_oneof![0..200_u64, Just(u64::MAX), any::<u64>()],
        ) {
            if let ByteRange::Part(range) = parse(Some(header.as_bytes()), length) {
                prop_assert!(range.start < range.end && range.end <= length);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(header in prop::collection::vec(any::<u8>(), 0..100)) {
            parse(Some(&header), 10);
        }
    }
}
