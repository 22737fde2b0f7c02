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
        for name in ["count", "effect", "rule", "before", "now"] {
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
    if parts.is_empty() {
        parts.extend(record.revision.clone());
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_one_line_that_says_who_did_what_and_why() {
        let lines = [
            r#"{"n":0,"at":"2026-05-30T10:00:00.25Z","action":"rule-made","who":"ann","team":"web/shop","from":"10.0.0.7","subject":"allow-x","packages":["npm:x"],"versions":"^1","why":"ADR-12","details":{"effect":"allow"}}"#,
            r#"{"n":1,"at":"2026-05-30T10:00:01Z","action":"refused","from":"10.0.0.8","packages":["npm:evil"],"versions":"1.0.0","details":{"count":"40","effect":"deny","rule":"no-evil"}}"#,
            r#"{"n":2,"at":"2026-05-30T10:00:02Z","action":"request-made","who":"bob","claimed":true,"subject":"request 12","packages":["npm:a","npm:b","npm:c","npm:d"]}"#,
        ];
        let text: String = lines.iter().map(|line| shown(line, false).to_string()).collect();
        insta::assert_snapshot!(text, @r#"
        2026-05-30T10:00:00Z  rule-made  allow-x npm:x@^1  by ann (web/shop, 10.0.0.7)  effect=allow  "ADR-12"
        2026-05-30T10:00:01Z  refused  npm:evil@1.0.0  by somebody (10.0.0.8)  count=40  effect=deny  rule=no-evil
        2026-05-30T10:00:02Z  request-made  request 12 npm:a npm:b npm:c and 1 more  by bob (so they say)
        "#);
        let coloured = shown(lines[1], true).to_string();
        assert!(coloured.contains("\u{1b}[31mrefused\u{1b}[0m"), "{coloured:?}");
    }

    #[test]
    fn whatever_a_server_sends_is_one_line_of_the_terminal() {
        let hostile = "x\r\ny\u{1b}[31m\u{202e}";
        let fields = ["who", "team", "from", "subject", "versions", "why", "action"];
        let all = fields.iter().map(|name| (*name, serde_json::Value::from(hostile)));
        let mut entry: serde_json::Map<String, serde_json::Value> =
            all.map(|(name, value)| (name.to_owned(), value)).collect();
        entry.insert("n".to_owned(), 1.into());
        entry.insert("at".to_owned(), "2026-05-30T10:00:00Z".into());
        entry.insert("packages".to_owned(), serde_json::json!([hostile]));
        entry
            .insert("details".to_owned(), serde_json::json!({ "rule": hostile, "count": hostile }));
        for text in [serde_json::Value::from(entry).to_string(), hostile.to_owned()] {
            let line = shown(&text, false).to_string();
            let (line, end) = line.split_at(line.len() - 1);
            assert_eq!(end, "\n");
            assert!(!line.chars().any(crate::observability::escape::is_deceptive), "{line:?}");
        }
    }
}
