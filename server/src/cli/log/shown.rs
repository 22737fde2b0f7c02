//! An entry of the log as people read it: one line. Pure.

use std::fmt::{self, Display, Formatter};

use crate::cli::talk::coloured;
use crate::metadata::records::AuditRecord;
use crate::observability::escape::bounded;

/// Packages that are named on the line.
const NAMED: usize = 3;
/// The longest line, before its colours.
const TEXT: usize = 400;

/// One line of a terminal, whatever the entry holds.
#[derive(Debug)]
pub struct Shown<'e> {
    /// As it came; only what can not be read is shown of it.
    text: &'e str,
    record: Option<AuditRecord>,
    colours: bool,
}

pub fn shown(text: &str, colours: bool) -> Shown<'_> {
    Shown { text, record: serde_json::from_str(text).ok(), colours }
}

impl Shown<'_> {
    pub fn number(text: &str) -> Option<u64> {
        serde_json::from_str::<AuditRecord>(text).ok()?.n
    }
}

impl Display for Shown<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Some(record) = &self.record else {
            return writeln!(f, "{}", bounded(self.text, TEXT));
        };
        let safe = |text: &str| bounded(text, TEXT).into_owned();
        let who = match (&record.who, record.claimed) {
            (Some(who), false) => who.clone(),
            (Some(who), true) => format!("{who} (so they say)"),
            (None, _) => "somebody".to_owned(),
        };
        let mut from = Vec::new();
        from.extend(record.team.clone());
        from.extend(record.from.clone());
        let from = if from.is_empty() { String::new() } else { format!(" ({})", from.join(", ")) };
        let action = coloured(&safe(&record.action), colour(&record.action), self.colours);
        write!(f, "{:.0}  {action}  {}", record.at, safe(&what(record)))?;
        write!(f, "  by {}", safe(&format!("{who}{from}")))?;
        for name in ["count", "effect", "rule"] {
            if let Some(detail) = record.details.get(name) {
                write!(f, "  {name}={}", safe(detail))?;
            }
        }
        if let Some(why) = &record.why {
            write!(f, "  \"{}\"", safe(why))?;
        }
        writeln!(f)
    }
}

fn what(record: &AuditRecord) -> String {
    let mut parts: Vec<String> = record.subject.iter().cloned().collect();
    parts.extend(record.packages.iter().take(NAMED).cloned());
    if record.packages.len() > NAMED {
        parts.push(format!("and {} more", record.packages.len() - NAMED));
    }
    match (&record.versions, record.packages.as_slice()) {
        (Some(versions), [package]) => {
            if let Some(last) = parts.last_mut() {
                *last = format!("{package}@{versions}");
            }
        }
        (Some(versions), _) => parts.push(versions.clone()),
        (None, _) => {}
    }
    parts.join(" ")
}

/// Of the terminal: what opens is green, what closes red, what waits yellow.
fn colour(action: &str) -> u8 {
    let ends = |words: &[&str]| words.iter().any(|word| action.ends_with(word));
    if ends(&["refused", "removed", "rejected", "revoked", "unpublished", "forgotten", "failed"]) {
        31
    } else if ends(&["expired", "request-made", "changed"]) {
        33
    } else {
        32
    }
}
