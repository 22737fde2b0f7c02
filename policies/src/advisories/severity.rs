//! How bad it is, as a number from 0 to 10.

use std::str::FromStr;

use cvss::Cvss;
use serde::{Deserialize, Serialize};

/// The longest CVSS vector that is read.
const MAX_VECTOR: usize = 300;

/// The worst that is known: the score of a CVSS vector of version 3 or 4. Where there is none, the
/// most that the database's word can mean: a `LOW` is somewhere up to 3.9, and counts as that.
pub fn severity_of<'a>(
    vectors: impl Iterator<Item = (&'a str, &'a str)>,
    word: Option<&str>,
) -> (Option<f64>, Option<String>) {
    let scored = vectors
        .filter(|(kind, vector)| {
            matches!(*kind, "CVSS_V3" | "CVSS_V4") && vector.len() <= MAX_VECTOR
        })
        .filter_map(|(_, vector)| Some((Cvss::from_str(vector).ok()?.score(), vector)))
        .filter(|(score, _)| (0.0..=10.0).contains(score))
        .max_by(|(a, _), (b, _)| a.total_cmp(b));
    match scored {
        Some((score, vector)) => (Some(score), Some(vector.to_owned())),
        None => (word.and_then(most), None),
    }
}

/// The upper ends of CVSS's qualitative scale, which the databases' words are.
fn most(word: &str) -> Option<f64> {
    match word.to_ascii_lowercase().as_str() {
        "none" => Some(0.0),
        "low" => Some(3.9),
        "moderate" | "medium" => Some(6.9),
        "high" | "important" => Some(8.9),
        "critical" => Some(10.0),
        _ => None,
    }
}

/// RustSec also tells what is no vulnerability: that nobody looks after a crate any more. What is
/// unsound may be one.
pub fn severity_of_notice(informational: &str) -> Option<f64> {
    matches!(informational, "unmaintained" | "notice").then_some(0.0)
}

/// A severity in npm's words, which are CVSS's own but for `moderate`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Rating {
    Info,
    Low,
    Moderate,
    High,
    Critical,
}

/// What nobody has rated is high: it is not known to be less.
pub fn rating(severity: Option<f64>) -> Rating {
    match severity {
        None => Rating::High,
        Some(score) if score >= 9.0 => Rating::Critical,
        Some(score) if score >= 7.0 => Rating::High,
        Some(score) if score >= 4.0 => Rating::Moderate,
        Some(score) if score > 0.0 => Rating::Low,
        Some(_) => Rating::Info,
    }
}
