//! Durations and times, as CEL writes them in texts.

use jiff::{SignedDuration, Timestamp};

/// CEL's own bound: ten thousand years.
const MAX_SECONDS: i128 = 315_576_000_000;
const SECOND: i128 = 1_000_000_000;

/// `168h`, `1h30m`, `1.5h`, `-10s`: numbers with the units h, m, s, ms, us, ns.
pub(crate) fn duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix(['-', '+']) {
        Some(rest) => (text.starts_with('-'), rest),
        None => (false, text),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (whole, behind) = digits(rest);
        let (fraction, behind) = behind.strip_prefix('.').map_or(("", behind), digits);
        if (whole.is_empty() && fraction.is_empty()) || whole.len() > 18 || fraction.len() > 18 {
            return None;
        }
        let (unit, behind) = UNITS.iter().find_map(|(name, nanoseconds)| {
            behind.strip_prefix(name).map(|behind| (*nanoseconds, behind))
        })?;
        let number = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
        let scale = 10_i128.pow(u32::try_from(fraction.len()).ok()?);
        total += number(whole)? * unit + number(fraction)? * unit / scale;
        if total > MAX_SECONDS * SECOND {
            return None;
        }
        rest = behind;
    }
    let total = if negative { -total } else { total };
    // Both parts are small: the total was bounded above.
    let seconds = i64::try_from(total / SECOND).ok()?;
    let nanoseconds = i32::try_from(total % SECOND).ok()?;
    Some(SignedDuration::new(seconds, nanoseconds))
}

/// The longer name first where one begins with the other.
const UNITS: [(&str, i128); 8] = [
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", SECOND),
    ("m", 60 * SECOND),
    ("h", 3600 * SECOND),
];

fn digits(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.split_at(end)
}

/// RFC 3339 with capital letters: `2026-01-01T00:00:00Z`, `2026-01-01T00:00:00.5+02:00`.
pub(super) fn timestamp(text: &str) -> Option<Timestamp> {
    let shape = |text: &str, shape: &str| {
        text.len() == shape.len()
            && text.bytes().zip(shape.bytes()).all(|(byte, of)| match of {
                b'0' => byte.is_ascii_digit(),
                _ => byte == of,
            })
    };
    let (front, rest) = text.split_at_checked(19)?;
    if !shape(front, "0000-00-00T00:00:00") || front.ends_with("60") || front.starts_with("0000") {
        return None;
    }
    let (fraction, zone) = rest.strip_prefix('.').map_or(("0", rest), digits);
    let zoned = zone == "Z" || shape(zone, "+00:00") || shape(zone, "-00:00");
    let good = zoned && !fraction.is_empty() && fraction.len() <= 9;
    good.then(|| text.parse().ok()).flatten()
}
