//! What somebody asks to be told: kinds, a package, a team. Pure.

use policies::package::Package;
use policies::rules::{Pattern, nearest};

use super::sight::concerns;
use crate::audit::Action;
use crate::metadata::records::AuditRecord;

/// Words that one question may have.
const MAX_KINDS: usize = 50;
/// Every kind that begins so: `request-*`.
const ANY: char = '*';

/// The default wants everything.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Actions as the log names them; empty: all of them.
    pub kinds: Vec<String>,
    /// A package, or a pattern that may mean several.
    pub package: Option<Pattern>,
    pub team: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WantedFault {
    #[error("there is no kind of event {text:?}{}; there are {}", hint(near.as_deref()), known())]
    NoSuchKind { text: String, near: Option<String> },
    #[error(
        "name at most {MAX_KINDS} kinds of events; `*` stands for all, and `request-*` for those that begin so"
    )]
    TooMany,
}

fn hint(near: Option<&str>) -> String {
    near.map(|near| format!(": did you mean {near}?")).unwrap_or_default()
}

fn known() -> String {
    Action::ALL.map(Action::as_str).join(", ")
}

/// Checks words such as `request-made` and `request-*`; a later garth may know more kinds that a
/// word with a `*` means.
pub fn parse_kinds<'t>(
    words: impl IntoIterator<Item = &'t str>,
) -> Result<Vec<String>, WantedFault> {
    let mut kinds: Vec<String> = Vec::new();
    for word in words.into_iter().map(str::trim).filter(|word| !word.is_empty()) {
        let is_known = Action::ALL.iter().any(|action| matches_kind(word, action.as_str()));
        if !is_known {
            let near = nearest(word, &Action::ALL.map(Action::as_str)).map(str::to_owned);
            return Err(WantedFault::NoSuchKind { text: word.chars().take(60).collect(), near });
        }
        if !kinds.iter().any(|kind| kind == word) {
            kinds.push(word.to_owned());
        }
        if kinds.len() > MAX_KINDS {
            return Err(WantedFault::TooMany);
        }
    }
    Ok(kinds)
}

fn matches_kind(word: &str, kind: &str) -> bool {
    match word.strip_suffix(ANY) {
        Some(begin) => kind.starts_with(begin),
        None => word == kind,
    }
}

impl Wanted {
    pub fn has(&self, record: &AuditRecord) -> bool {
        let of_kind = self.kinds.is_empty()
            || self.kinds.iter().any(|word| matches_kind(word, &record.action));
        of_kind
            && self.team.as_deref().is_none_or(|team| concerns(record, team))
            && self
                .package
                .as_ref()
                .is_none_or(|pattern| record.packages.iter().any(|package| means(pattern, package)))
    }
}

/// An entry names a package, or a pattern as it stands in a rule: then it is about what is looked for
/// where it means that, or is the same pattern.
fn means(wanted: &Pattern, named: &str) -> bool {
    if let Ok(package) = named.parse::<Package>() {
        return wanted.matches(&package);
    }
    let wanted = wanted.to_string();
    match (Pattern::parse(named), wanted.parse::<Package>()) {
        (Ok(named), Ok(wanted)) => named.matches(&wanted),
        _ => named == wanted,
    }
}
