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

use super::{Field, MALICIOUS, Origin, Pattern, Ranges, Rule, Versions};
use crate::asker::{TeamPattern, is_word};
use crate::condition::Condition;
use crate::decision::Effect;
use crate::package::Ecosystem;
use crate::versions::Range;

pub const MAX_RULE_NAME: usize = 100;
pub const MAX_REASON: usize = 500;
const MAX_OWNER: usize = 100;
/// Most teams or environments of one rule.
pub const MAX_TEAMS: usize = 50;
/// Most patterns of one rule.
pub const MAX_PATTERNS: usize = 10_000;

/// What a person wrote; absent where they wrote nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = RuleDraft)]
pub struct Draft {
    /// By which it is called; left out: one is made of what it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `allow`, `hold` or `deny`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub effect: Option<String>,
    /// Patterns: `npm:react`, `npm:@types/*`.
    #[serde(default)]
    pub packages: Vec<String>,
    /// As the ecosystem writes a range; left out: any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    /// A condition in CEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub when: Option<String>,
    /// `web/shop`, `web/*`; left out: everybody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<Vec<String>>,
    /// Left out: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environments: Option<Vec<String>>,
    /// For whoever reads it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Where more is to be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Written like `expires`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub starts: Option<String>,
    /// A date (the rule ends when that day begins, UTC) or an RFC 3339 time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<String>,
    /// It decides nothing, and what it would have done is recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observe: Option<bool>,
    /// Makes it a waiver: the name of the deny or hold that it lifts. Its effect is then to allow.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waives: Option<String>,
}

/// One thing that is wrong with a draft, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    pub field: Field,
    /// Byte of the field's text; 0 where the whole of it is meant.
    pub at: usize,
    pub message: String,
    pub remedy: String,
}

impl fmt::Display for Complaint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.field)?;
        if self.at > 0 {
            write!(f, " at {}", self.at + 1)?;
        }
        write!(f, ": {}", self.message)?;
        if self.remedy.is_empty() { Ok(()) } else { write!(f, "; {}", self.remedy) }
    }
}

fn complaint(field: Field, message: impl Into<String>, remedy: impl Into<String>) -> Complaint {
    Complaint { field, at: 0, message: message.into(), remedy: remedy.into() }
}

impl Draft {
    /// The rule, or everything that is wrong at once.
    pub fn check(&self, origin: Origin) -> Result<Rule, Vec<Complaint>> {
        let mut wrong = Vec::new();
        let waives = keep(&mut wrong, self.checked_waives());
        let name = keep(&mut wrong, self.checked_name());
        let effect = keep(&mut wrong, self.checked_effect());
        let patterns = self.checked_patterns(&mut wrong);
        let versions = self.checked_versions(&patterns, &mut wrong);
        let when = self.checked_when(&mut wrong);
        let teams = self.checked_teams(&mut wrong);
        let environments = self.checked_environments(&mut wrong);
        let reason = keep(&mut wrong, self.checked_reason());
        let owner = keep(&mut wrong, line(Field::Owner, self.owner.as_deref(), MAX_OWNER));
        let link = keep(&mut wrong, self.checked_link());
        let starts = keep(&mut wrong, moment(Field::Starts, self.starts.as_deref()));
        let expires = keep(&mut wrong, moment(Field::Expires, self.expires.as_deref()));
        let (Some(name), Some(effect), Some(waives), true) =
            (name, effect, waives, wrong.is_empty())
        else {
            return Err(wrong);
        };
        // Each is there, because nothing was wrong.
        let (reason, owner, link) = (reason.flatten(), owner.flatten(), link.flatten());
        let (starts, expires) = (starts.flatten(), expires.flatten());
        let observe = self.observe.unwrap_or_default();
        let by_name = || format!("{} by the rule {name}", effect.participle()).into();
        Ok(Rule {
            said: reason.clone().unwrap_or_else(by_name),
            name,
            effect,
            ranges: Ranges::of_patterns(&patterns),
            patterns,
            versions,
            when,
            teams,
            environments,
            reason,
            owner,
            link,
            starts,
            expires,
            observe,
            waives,
            origin,
        })
    }

    /// A waiver overrides a decision, so somebody answers for it and it ends.
    fn checked_waives(&self) -> Result<Option<Arc<str>>, Complaint> {
        let Some(waives) = &self.waives else { return Ok(None) };
        if !is_rule_name(waives) {
            let message = format!("{} is no name of a rule", shown(waives));
            return Err(complaint(Field::Waives, message, "name the deny that it lifts"));
        }
        if self.effect.as_deref().is_some_and(|effect| effect != "allow") {
            let remedy = "leave `effect` out";
            return Err(complaint(Field::Effect, "a waiver always allows", remedy));
        }
        if self.observe == Some(true) {
            let remedy = "leave `observe` out";
            return Err(complaint(Field::Observe, "a waiver does not only observe", remedy));
        }
        for (field, text) in [
            (Field::Reason, &self.reason),
            (Field::Owner, &self.owner),
            (Field::Expires, &self.expires),
        ] {
            if text.as_deref().is_none_or(|text| text.trim().is_empty()) {
                let message = format!("the waiver has no `{field}`");
                return Err(complaint(
                    field,
                    message,
                    "say why it is there, who answers for it, and when it ends",
                ));
            }
        }
        Ok(Some(waives.as_str().into()))
    }

    fn checked_name(&self) -> Result<Arc<str>, Complaint> {
        let Some(name) = &self.name else {
            let remedy = "name the rule, as in name = \"frontend-basics\"";
            return Err(complaint(Field::Name, "the rule has no name", remedy));
        };
        if !is_rule_name(name) {
            return Err(complaint(
                Field::Name,
                format!("{} is no name for a rule", shown(name)),
                format!(
                    "use up to {MAX_RULE_NAME} letters, digits, `-`, `_` and `.`, beginning with a letter or digit"
                ),
            ));
        }
        if name == MALICIOUS {
            let message = format!("`{MALICIOUS}` is what garth itself denies by advisories");
            return Err(complaint(Field::Name, message, "give the rule another name"));
        }
        Ok(name.as_str().into())
    }

    fn checked_effect(&self) -> Result<Effect, Complaint> {
        let remedy = "write \"allow\", \"deny\" or \"hold\"";
        let Some(effect) = &self.effect else {
            if self.waives.is_some() {
                return Ok(Effect::Allow);
            }
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
                    "write it as npm:react, npm:react@^18, npm:@types/*, npm:* or *",
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
        let whole = || patterns.iter().filter(|pattern| !matches!(pattern, Pattern::In(..)));
        if !patterns.is_empty() && whole().next().is_none() {
            let message = "every package already has its versions behind its name";
            wrong.push(complaint(Field::Versions, message, "say them in one of the two places"));
            return None;
        }
        let spoken_of = |ecosystem: &Ecosystem| {
            whole().any(|pattern| pattern.ecosystem().is_none_or(|of| of == *ecosystem))
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

    fn checked_when(&self, wrong: &mut Vec<Complaint>) -> Option<Condition> {
        match Condition::parse(self.when.as_deref()?) {
            Ok(condition) => Some(condition),
            Err(faults) => {
                wrong.extend(faults.into_iter().map(|fault| Complaint {
                    field: Field::When,
                    at: fault.at,
                    message: fault.message,
                    remedy: fault.remedy,
                }));
                None
            }
        }
    }

    fn checked_teams(&self, wrong: &mut Vec<Complaint>) -> Vec<TeamPattern> {
        let remedy = "write a team as web/shop, and all teams of a unit as web/*";
        checked_list(
            wrong,
            Field::Teams,
            Field::Team,
            self.teams.as_deref(),
            remedy,
            TeamPattern::parse,
        )
    }

    fn checked_environments(&self, wrong: &mut Vec<Complaint>) -> Vec<Arc<str>> {
        let remedy = "write its name as in garth.toml, or \"*\" for every environment";
        let environments = self.environments.as_deref();
        checked_list(wrong, Field::Environments, Field::Environment, environments, remedy, |text| {
            (text == "*" || is_word(text)).then(|| text.into())
        })
    }

    fn checked_reason(&self) -> Result<Option<Arc<str>>, Complaint> {
        line(Field::Reason, self.reason.as_deref(), MAX_REASON)
    }

    fn checked_link(&self) -> Result<Option<Arc<str>>, Complaint> {
        let link = line(Field::Link, self.link.as_deref(), MAX_REASON)?;
        let good = |link: &str| {
            let rest = link.strip_prefix("https://").or_else(|| link.strip_prefix("http://"));
            rest.is_some_and(|rest| !rest.is_empty() && !rest.contains([' ', '"', '<', '>', '\\']))
        };
        match link {
            Some(link) if !good(&link) => {
                let message = format!("{} is no address of a page", shown(&link));
                Err(complaint(Field::Link, message, "write it as https://wiki.example.com/adr-12"))
            }
            link => Ok(link),
        }
    }
}

/// One line of plain text; nothing but spaces is nothing.
fn line(field: Field, text: Option<&str>, longest: usize) -> Result<Option<Arc<str>>, Complaint> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else {
        return Ok(None);
    };
    if text.len() > longest {
        let message = format!("the {field} is longer than {longest} bytes");
        return Err(complaint(field, message, "shorten it, or link to the long one"));
    }
    if text.chars().any(misleads) {
        let message = format!("the {field} has a control or direction character in it");
        return Err(complaint(field, message, "write one line of plain text"));
    }
    Ok(Some(text.into()))
}

/// A list that is left out means everything; an empty one would mean nothing.
fn checked_list<T>(
    wrong: &mut Vec<Complaint>,
    whole: Field,
    part: fn(usize) -> Field,
    texts: Option<&[String]>,
    remedy: &str,
    parse: impl Fn(&str) -> Option<T>,
) -> Vec<T> {
    let Some(texts) = texts else { return Vec::new() };
    if texts.is_empty() {
        let message = format!("`{whole}` is empty, so the rule would speak of nobody");
        wrong.push(complaint(whole, message, format!("leave `{whole}` out to mean all")));
    }
    if texts.len() > MAX_TEAMS {
        let message = format!("{} entries are more than {MAX_TEAMS}", texts.len());
        wrong.push(complaint(whole, message, "join them by patterns"));
        return Vec::new();
    }
    let mut list = Vec::with_capacity(texts.len());
    for (place, text) in texts.iter().enumerate() {
        if let Some(entry) = parse(text) {
            list.push(entry);
        } else {
            let message = format!("{} can not be used here", shown(text));
            wrong.push(complaint(part(place), message, remedy));
        }
    }
    list
}

pub(crate) fn is_rule_name(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.len() <= MAX_RULE_NAME
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(plain)
}

fn keep<T>(wrong: &mut Vec<Complaint>, checked: Result<T, Complaint>) -> Option<T> {
    checked.map_err(|complaint| wrong.push(complaint)).ok()
}

/// Characters that forge lines, colours or the order of letters where a reason is shown.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

fn moment(field: Field, text: Option<&str>) -> Result<Option<Timestamp>, Complaint> {
    let Some(text) = text.map(str::trim) else { return Ok(None) };
    read_moment(text).map(Some).ok_or_else(|| {
        let message = format!("{} is no date and no time with its zone", shown(text));
        complaint(field, message, "write 2027-01-01 or 2027-01-01T12:00:00Z")
    })
}

/// A date, which begins in UTC, or a time with its zone.
pub fn read_moment(text: &str) -> Option<Timestamp> {
    // Ten characters are a date alone; jiff would read more into a longer text.
    if text.len() == 10
        && let Ok(day) = text.parse::<Date>()
        && let Ok(start) = day.to_zoned(TimeZone::UTC)
    {
        return Some(start.timestamp());
    }
    text.parse().ok()
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
pub(crate) fn shown(text: &str) -> String {
    let mut short: String = text.chars().take(60).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    format!("{short:?}")
}

/// The right word that a person probably meant.
pub fn nearest<'w>(word: &str, right: &[&'w str]) -> Option<&'w str> {
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
