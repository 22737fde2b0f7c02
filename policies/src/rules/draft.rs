//! A rule as it was written, and the checks that make it a rule.
//!
//! Files and the admin API share these checks; they differ only in how a complaint is given a
//! place.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use super::{Origin, Pattern, Rule, Versions};
use crate::decision::Effect;
use crate::package::Ecosystem;
use crate::versions::Range;

pub const MAX_RULE_NAME: usize = 100;
pub const MAX_REASON: usize = 500;
/// Most patterns of one rule.
pub const MAX_PATTERNS: usize = 10_000;

/// What a person wrote; absent where they wrote nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Draft {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    #[serde(default)]
    pub packages: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A date (the rule ends when that day begins, UTC) or an RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
}

/// Which part of a draft a complaint is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Field {
    Name,
    Effect,
    Packages,
    /// One entry of `packages`, from 0.
    Package(usize),
    Versions,
    Reason,
    Expires,
}

impl Field {
    pub(super) const KEYS: [(&'static str, Self); 6] = [
        ("name", Self::Name),
        ("effect", Self::Effect),
        ("packages", Self::Packages),
        ("versions", Self::Versions),
        ("reason", Self::Reason),
        ("expires", Self::Expires),
    ];
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Package(place) => write!(f, "packages[{place}]"),
            Self::Name => f.write_str("name"),
            Self::Effect => f.write_str("effect"),
            Self::Packages => f.write_str("packages"),
            Self::Versions => f.write_str("versions"),
            Self::Reason => f.write_str("reason"),
            Self::Expires => f.write_str("expires"),
        }
    }
}

/// One thing that is wrong with a draft, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub field: Field,
    pub message: String,
    pub remedy: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.field, self.message, self.remedy)
    }
}

fn complaint(field: Field, message: impl Into<String>, remedy: impl Into<String>) -> Complaint {
    Complaint { field, message: message.into(), remedy: remedy.into() }
}

impl Draft {
    /// The rule, or everything that is wrong at once.
    pub fn check(&self, origin: Origin) -> Result<Rule, Vec<Complaint>> {
        let mut wrong = Vec::new();
        let name = keep(&mut wrong, self.checked_name());
        let effect = keep(&mut wrong, self.checked_effect());
        let patterns = self.checked_patterns(&mut wrong);
        let versions = self.checked_versions(&patterns, &mut wrong);
        let reason = keep(&mut wrong, self.checked_reason());
        let expires = keep(&mut wrong, self.expires.as_deref().map(expiry).transpose());
        match (name, effect, reason, expires) {
            (Some(name), Some(effect), Some(reason), Some(expires)) if wrong.is_empty() => {
                Ok(Rule { name, effect, patterns, versions, reason, expires, origin })
            }
            _ => Err(wrong),
        }
    }

    fn checked_name(&self) -> Result<Arc<str>, Complaint> {
        let Some(name) = &self.name else {
            let remedy = "name the rule, as in name = \"frontend-basics\"";
            return Err(complaint(Field::Name, "the rule has no name", remedy));
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.len() > MAX_RULE_NAME
            || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
            || !name.chars().all(plain)
        {
            return Err(complaint(
                Field::Name,
                format!("{} is no name for a rule", shown(name)),
                format!(
                    "use up to {MAX_RULE_NAME} letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
                ),
            ));
        }
        Ok(name.as_str().into())
    }

    fn checked_effect(&self) -> Result<Effect, Complaint> {
        let remedy = "write \"allow\", \"deny\" or \"hold\"";
        let Some(effect) = &self.effect else {
            return Err(complaint(Field::Effect, "the rule has no effect", remedy));
        };
        effect.parse().map_err(|_| {
            let message = format!("{} is no effect", shown(effect));
            let near = nearest(effect, &["allow", "deny", "hold"]);
            let remedy = near.map_or(remedy.to_owned(), |near| format!("did you mean \"{near}\"?"));
            complaint(Field::Effect, message, remedy)
        })
    }

    fn checked_patterns(&self, wrong: &mut Vec<Complaint>) -> Vec<Pattern> {
        let remedy = "list them, as in packages = [\"npm:react\", \"npm:@types/*\"]";
        if self.packages.is_empty() {
            wrong.push(complaint(Field::Packages, "the rule names no packages", remedy));
        }
        if self.packages.len() > MAX_PATTERNS {
            let message = format!("{} patterns are more than {MAX_PATTERNS}", self.packages.len());
            wrong.push(complaint(Field::Packages, message, "split the rule in two"));
            return Vec::new();
        }
        let mut patterns = Vec::with_capacity(self.packages.len());
        for (place, text) in self.packages.iter().enumerate() {
            match Pattern::parse(text) {
                Ok(pattern) => patterns.push(pattern),
                Err(error) => wrong.push(complaint(
                    Field::Package(place),
                    format!("{} is no package pattern: {}", shown(text), error.why()),
                    "write it as npm:react, npm:@types/*, npm:* or *",
                )),
            }
        }
        patterns
    }

    fn checked_versions(
        &self,
        patterns: &[Pattern],
        wrong: &mut Vec<Complaint>,
    ) -> Option<Versions> {
        let text = self.versions.as_deref()?;
        if text.trim().is_empty() {
            let remedy = "leave `versions` out to mean every version";
            wrong.push(complaint(Field::Versions, "the version range is empty", remedy));
            return None;
        }
        let spoken_of = |ecosystem: &Ecosystem| {
            patterns.iter().any(|pattern| pattern.ecosystem().is_none_or(|of| of == *ecosystem))
        };
        let mut ranges = Vec::new();
        for ecosystem in Ecosystem::ALL.into_iter().filter(spoken_of) {
            match Range::parse(ecosystem, text) {
                Ok(range) => ranges.push((ecosystem, range)),
                Err(error) => {
                    let remedy = format!(
                        "write a range as {ecosystem} does, like {}, and one rule for each ecosystem",
                        example(ecosystem)
                    );
                    wrong.push(complaint(Field::Versions, error.to_string(), remedy));
                }
            }
        }
        Some(Versions { text: text.into(), ranges })
    }

    fn checked_reason(&self) -> Result<Option<Arc<str>>, Complaint> {
        let Some(reason) = self.reason.as_deref().map(str::trim).filter(|text| !text.is_empty())
        else {
            return Ok(None);
        };
        if reason.len() > MAX_REASON {
            let message = format!("the reason is longer than {MAX_REASON} bytes");
            return Err(complaint(Field::Reason, message, "shorten it, or link to the long one"));
        }
        if reason.chars().any(misleads) {
            let message = "the reason has a control or direction character in it";
            return Err(complaint(Field::Reason, message, "write one line of plain text"));
        }
        Ok(Some(reason.into()))
    }
}

fn keep<T>(wrong: &mut Vec<Complaint>, checked: Result<T, Complaint>) -> Option<T> {
    checked.map_err(|complaint| wrong.push(complaint)).ok()
}

/// Characters that forge lines, colours or the order of letters where a reason is shown.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn expiry(text: &str) -> Result<Timestamp, Complaint> {
    let text = text.trim();
    // Ten characters are a date alone; jiff would read more into a longer text.
    if text.len() == 10
        && let Ok(day) = text.parse::<Date>()
        && let Ok(start) = day.to_zoned(TimeZone::UTC)
    {
        return Ok(start.timestamp());
    }
    text.parse::<Timestamp>().map_err(|_| {
        let message = format!("{} is no date and no time with its zone", shown(text));
        complaint(Field::Expires, message, "write 2027-01-01 or 2027-01-01T12:00:00Z")
    })
}

fn example(ecosystem: Ecosystem) -> &'static str {
    match ecosystem {
        Ecosystem::Npm => "^1.2 || >=3 <4",
        Ecosystem::Cargo => ">=1.2, <2",
        Ecosystem::Nuget => "[1.2,2.0)",
        Ecosystem::Oci => "3.* || latest",
    }
}

/// Quoted, escaped and short, so that a hostile text stays one word in a message.
pub(super) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// The right word that a person probably meant.
pub(super) fn nearest<'w>(word: &str, right: &[&'w str]) -> Option<&'w str> {
    if word.len() > 40 {
        return None;
    }
    let word = word.to_ascii_lowercase();
    right
        .iter()
        .map(|&candidate| (strsim::jaro_winkler(&word, candidate), candidate))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, candidate)| candidate)
}
