//! Ends of rules and waivers. They take effect by themselves, in the decision; here the log says so:
//! once when a rule ends, and once a week before.
//!
//! Up to when it was said is a record, written before the line is: of several processes, and of a
//! process that starts again, one says it. What ended while none ran is said at the next start.

use std::sync::{Arc, Weak};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use policies::decision::Revision;
use policies::rules::Rule;
use tokio::task::JoinHandle;

use super::{Inner, Rules};
use crate::audit::{Action, GARTH};
use crate::metadata::records::{self, EndingsRecord};
use crate::metadata::{Batch, MetadataError};

/// So long before its end a rule is told to end soon.
const SOON: SignedDuration = SignedDuration::from_hours(7 * 24);
const LOOK: Duration = Duration::from_secs(1);

/// What is to be said now, and when there is more to say.
#[derive(Debug)]
struct Due<'r> {
    ended: Vec<&'r Rule>,
    soon: Vec<&'r Rule>,
    next: Timestamp,
}

impl Rules {
    /// Tells ends in the log until the last clone of [`Rules`] is gone.
    pub fn tell_endings(&self) -> JoinHandle<()> {
        tokio::spawn(run(Arc::downgrade(&self.0)))
    }

    /// Rules that are not at their end yet, and are within this time.
    pub fn ending_within(&self, within: SignedDuration) -> usize {
        let (now, set) = (self.0.clock.now(), self.current());
        set.rules().iter().filter(|rule| ends_within(rule, now, within)).count()
    }

    /// The same for those that are told to end soon.
    pub fn ending_soon(&self) -> usize {
        self.ending_within(SOON)
    }

    /// Says what is due; when there is more to say, if nothing changes.
    async fn tell_due(&self) -> Result<Timestamp, MetadataError> {
        let (key, metadata) = (EndingsRecord::key(), self.0.metadata.as_ref());
        let stored = records::read_stored(metadata, &key).await?;
        let (now, set) = (self.0.clock.now(), self.current());
        let begin = EndingsRecord { ended: now, soon: now };
        let told = stored.as_ref().map_or(begin, |stored| stored.record.clone());
        let Due { ended, soon, next } = due(set.rules(), &told, now);
        if stored.is_some() && ended.is_empty() && soon.is_empty() {
            return Ok(next);
        }
        let telling = EndingsRecord { ended: now, soon: after(now, SOON) };
        let batch = Batch::default().expect_unchanged(&key, stored.as_ref());
        let told = ended.iter().fold(Batch::default(), |told, rule| {
            let entry = self.entry(Action::RuleExpired, rule, GARTH);
            told.note(entry, rule.expires.unwrap_or(now))
        });
        records::commit_in_parts(metadata, told, batch.put_record(&key, &telling)).await?;
        for rule in ended {
            let (kind, reason) = (kind(rule), rule.reason.as_deref().unwrap_or_default());
            let owner = rule.owner.as_deref().unwrap_or_default();
            tracing::warn!(rule = %rule.name, effect = %rule.effect, ended = ?rule.expires, owner, reason, "a {kind} has ended");
        }
        for rule in soon {
            let (kind, owner) = (kind(rule), rule.owner.as_deref().unwrap_or_default());
            tracing::warn!(rule = %rule.name, effect = %rule.effect, ends = ?rule.expires, owner, "a {kind} ends soon");
        }
        Ok(next)
    }
}

async fn run(rules: Weak<Inner>) {
    let mut seen: Option<(Revision, Timestamp)> = None;
    let mut failing = false;
    loop {
        let Some(rules) = rules.upgrade().map(Rules) else { return };
        let revision = rules.current().revision().clone();
        let now = rules.0.clock.now();
        let waits = seen.as_ref().is_some_and(|(known, next)| *known == revision && now < *next);
        if !waits && !rules.status().unavailable {
            match rules.tell_due().await {
                Ok(next) => {
                    seen = Some((revision, next));
                    failing = false;
                }
                // Another process says it.
                Err(MetadataError::Conflict { .. }) => {}
                Err(fault) => {
                    if !failing {
                        tracing::error!(%fault, "it can not be told which rules ended; they end all the same");
                    }
                    failing = true;
                }
            }
        }
        drop(rules);
        tokio::time::sleep(LOOK).await;
    }
}

fn due<'r>(rules: &'r [Rule], told: &EndingsRecord, now: Timestamp) -> Due<'r> {
    let soon = after(now, SOON);
    let mut due = Due { ended: Vec::new(), soon: Vec::new(), next: Timestamp::MAX };
    for rule in rules {
        let Some(expires) = rule.expires else { continue };
        if expires <= now {
            if expires > told.ended {
                due.ended.push(rule);
            }
            continue;
        }
        due.next = due.next.min(expires);
        if expires > soon {
            due.next = due.next.min(before(expires, SOON));
        } else if expires > told.soon {
            due.soon.push(rule);
        }
    }
    due
}

fn ends_within(rule: &Rule, now: Timestamp, within: SignedDuration) -> bool {
    rule.expires.is_some_and(|expires| expires > now && expires <= after(now, within))
}

fn kind(rule: &Rule) -> &'static str {
    if rule.waives.is_some() { "waiver" } else { "rule" }
}

fn after(now: Timestamp, span: SignedDuration) -> Timestamp {
    now.checked_add(span).unwrap_or(Timestamp::MAX)
}

fn before(at: Timestamp, span: SignedDuration) -> Timestamp {
    at.checked_sub(span).unwrap_or(Timestamp::MIN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use policies::rules::parse;

    use super::*;

    fn rules() -> Vec<Rule> {
        let rule = |name: &str, expires: &str| {
            format!(
                "[[rule]]\nname = '{name}'\neffect = 'allow'\npackages = ['npm:x']\nexpires = {expires}\n"
            )
        };
        let text = rule("gone", "2026-05-01")
            + &rule("today", "2026-06-01T12:00:00Z")
            + &rule("soon", "2026-06-05")
            + &rule("later", "2026-09-01");
        parse("a.toml", &text).unwrap()
    }

    fn names(rules: &[&Rule]) -> Vec<String> {
        rules.iter().map(|rule| rule.name.to_string()).collect()
    }

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn each_end_is_told_once_and_once_before() {
        let rules = rules();
        let mut told =
            EndingsRecord { ended: at("2026-05-31T00:00:00Z"), soon: at("2026-05-31T00:00:00Z") };
        let found = due(&rules, &told, at("2026-06-01T00:00:00Z"));
        assert_eq!(
            (names(&found.ended), names(&found.soon)),
            (vec![], vec!["today".to_owned(), "soon".to_owned()])
        );
        assert_eq!(found.next, at("2026-06-01T12:00:00Z"));
        told =
            EndingsRecord { ended: at("2026-06-01T00:00:00Z"), soon: at("2026-06-08T00:00:00Z") };
        let found = due(&rules, &told, at("2026-06-01T12:00:00Z"));
        assert_eq!((names(&found.ended), names(&found.soon)), (vec!["today".to_owned()], vec![]));
        assert_eq!(found.next, at("2026-06-05T00:00:00Z"));
        told =
            EndingsRecord { ended: at("2026-06-01T12:00:00Z"), soon: at("2026-06-08T12:00:00Z") };
        let found = due(&rules, &told, at("2026-06-02T00:00:00Z"));
        assert!(found.ended.is_empty() && found.soon.is_empty(), "{found:?}");
        // Whatever ended while nothing ran.
        let found = due(&rules, &told, at("2026-10-01T00:00:00Z"));
        assert_eq!(names(&found.ended), ["soon", "later"]);
        assert_eq!(found.next, Timestamp::MAX);
    }
}
