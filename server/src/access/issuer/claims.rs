//! What a genuine token says, and whether it is what is asked for. Pure.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Map, Value};

use super::Doubt;

/// Clocks differ by so much.
pub const LEEWAY: SignedDuration = SignedDuration::from_secs(30);

/// By our own clock, not by the library's.
pub fn check_times(claims: &Map<String, Value>, now: Timestamp) -> Result<(), Doubt> {
    let at = |name: &str| claims.get(name).map(|value| moment(value).ok_or(()));
    let late = now.checked_sub(LEEWAY).unwrap_or(now);
    let early = now.checked_add(LEEWAY).unwrap_or(now);
    match at("exp") {
        Some(Ok(end)) if end > late => {}
        Some(Ok(_)) => return Err(Doubt::Claim("it has expired")),
        _ => return Err(Doubt::Claim("it does not say when it ends")),
    }
    for name in ["nbf", "iat"] {
        match at(name) {
            None => {}
            Some(Ok(begin)) if begin <= early => {}
            Some(_) => return Err(Doubt::Claim("it is not valid yet")),
        }
    }
    Ok(())
}

pub fn moment(value: &Value) -> Option<Timestamp> {
    let seconds = value.as_i64().or_else(|| {
        let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e12)?;
        #[allow(clippy::cast_possible_truncation, reason = "bounded above")]
        Some(seconds.floor() as i64)
    })?;
    Timestamp::from_second(seconds).ok()
}

pub fn audiences(claims: &Map<String, Value>) -> Vec<&str> {
    match claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// Whether the claim is there, and one of these texts. What is no text is nothing that is asked for,
/// but for a number and a flag as they are written.
pub fn says(claims: &Map<String, Value>, claim: &str, texts: &[String]) -> bool {
    let said = match claims.get(claim) {
        Some(Value::String(said)) => said.clone(),
        Some(Value::Bool(said)) => said.to_string(),
        Some(Value::Number(said)) => said.to_string(),
        _ => return false,
    };
    texts.iter().any(|text| is_like(text, &said))
}

/// Anchored; `*` is any run of characters.
pub(super) fn is_like(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else { return pattern == text };
    let Some(mut left) = text.strip_prefix(first) else { return false };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    // Taking each middle part at its earliest place leaves the most for those behind it.
    for part in parts {
        let Some(place) = left.find(part) else { return false };
        left = &left[place + part.len()..];
    }
    left.ends_with(last)
}
