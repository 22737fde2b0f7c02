//! Open requests are looked at again when rules, advisories or policies are others than before: what
//! is allowed by now is answered, and what a policy approves by now is approved.
//!
//! Off every hot path, and a part at a time. A look that has begun goes on to its end; what changed
//! meanwhile begins the next one.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use policies::approval::Approval as Policy;
use policies::asker::Asker;
use policies::decide::explain;
use policies::decision::{Effect, Revision};
use policies::package::{Package, PackageVersion};
use policies::rules::{Origin, Rule, RuleSet};
use policies::versions::Range;
use tokio::time::Instant;

use super::closing::moving;
use super::judging::Sight;
use super::{PAGE, Requests};
use crate::audit::{Action, GARTH};
use crate::metadata::records::{
    self, ClosedRecord, Key, RequestRecord, RequestsRecord, Stage, Stored,
};
use crate::metadata::{Batch, MetadataError};

/// So long one part of a look may take.
const PART: Duration = Duration::from_millis(500);
/// Conditions go by time, too.
const ANEW: Duration = Duration::from_hours(1);
/// Names of rules that are kept with an answer.
const MOST_RULES: usize = 10;

/// How far a look at all open requests has come.
#[derive(Default)]
pub(super) struct Looking {
    /// What the last look went by, and when it began.
    by: Option<(Revision, Arc<[Policy]>, Instant)>,
    /// Behind this one it goes on.
    after: Option<Key<RequestRecord>>,
    is_under_way: bool,
}

/// Rules that allow what a request asks for.
struct Answer {
    rules: BTreeSet<Arc<str>>,
    by: String,
}

impl Requests {
    /// One part of a look, if there is a reason for one.
    pub(super) async fn look_again(&self, looking: &mut Looking) -> Result<(), MetadataError> {
        let rules = self.0.rules.current();
        if rules.unavailable_reason().is_some() {
            return Ok(());
        }
        if !looking.is_under_way {
            let policies = self.0.rules.approvals();
            let is_known = looking.by.as_ref().is_some_and(|(revision, known, begun)| {
                revision == rules.revision()
                    && Arc::ptr_eq(known, &policies)
                    && begun.elapsed() < ANEW
            });
            if is_known {
                return Ok(());
            }
            looking.by = Some((rules.revision().clone(), policies, Instant::now()));
            looking.after = None;
            looking.is_under_way = true;
        }
        let begun = Instant::now();
        while begun.elapsed() < PART {
            let prefix = RequestRecord::of_stage(Stage::Open);
            let after = looking.after.as_ref();
            let page = records::scan_stored(self.0.metadata.as_ref(), &prefix, after, PAGE).await?;
            let is_last = page.len() < PAGE;
            for (key, stored) in page {
                if begun.elapsed() >= PART {
                    return Ok(());
                }
                if let Some((_, number)) = RequestRecord::place(&key) {
                    match self.look_at(number, &stored).await {
                        // One of them must not keep the others waiting.
                        Err(fault @ MetadataError::Damaged { .. }) => {
                            tracing::warn!(request = number, %fault, "it can not be held against the rules");
                        }
                        done => done?,
                    }
                }
                looking.after = Some(key);
            }
            if is_last {
                looking.is_under_way = false;
                return Ok(());
            }
        }
        Ok(())
    }

    async fn look_at(
        &self,
        number: u64,
        stored: &Stored<RequestRecord>,
    ) -> Result<(), MetadataError> {
        let rules = self.0.rules.current();
        let Ok(package) = stored.record.package.parse::<Package>() else { return Ok(()) };
        if allowing(&rules, &package).next().is_some()
            && let Some(answer) = self.answer_to(&rules, number, &package, &stored.record).await?
        {
            return self.close_answered(number, stored, answer).await;
        }
        let policies = self.0.rules.approvals();
        if policies.iter().any(|policy| policy.rule.names(&package)) {
            self.approve_by_policy(number).await;
        }
        Ok(())
    }

    /// `None` as long as anything of it is not allowed to anyone who asks.
    async fn answer_to(
        &self,
        rules: &RuleSet,
        number: u64,
        package: &Package,
        record: &RequestRecord,
    ) -> Result<Option<Answer>, MetadataError> {
        let versions = match (&record.closure, Self::example(record)) {
            (Some(_), _) => self.versions_of(number, record).await?,
            (None, Some((package, version))) => vec![PackageVersion { package, version }],
            (None, None) => Vec::new(),
        };
        let teams = teams(record);
        let sight = Sight::of(record, teams.first().copied().flatten());
        let mut found = BTreeSet::new();
        for PackageVersion { package, version } in &versions {
            let deciding = self.with_facts(rules, (package, version), sight, |facts| {
                let asked = PackageVersion { package: package.clone(), version: version.clone() };
                let decide = |team: Option<&str>| {
                    let asker = Asker { team, environment: None };
                    explain(rules, &asked, facts, &asker).decision
                };
                teams.iter().copied().map(decide).collect::<Vec<_>>()
            });
            for decision in deciding.await? {
                if !decision.is_allowed() {
                    return Ok(None);
                }
                found.extend(decision.rule);
            }
        }
        // One version stands for others only where a rule speaks of all of them.
        if record.closure.is_none() && is_for_more_than_one(package, record) {
            let now = self.0.clock.now();
            let Some(rule) = allowing_all(rules, package, record, (&teams, now)) else {
                return Ok(None);
            };
            found.insert(rule.name.clone());
        }
        let first = found.first().and_then(|name| rules.rule(name));
        let by = match first.map(|rule| &rule.origin) {
            Some(Origin::Api { by, .. }) => by.to_string(),
            Some(Origin::File { file, line, .. }) => format!("{file}:{line}"),
            None => return Ok(None),
        };
        Ok(Some(Answer { rules: found, by }))
    }

    /// If nobody touched it since it was looked at; else the next look finds it as it is then.
    async fn close_answered(
        &self,
        number: u64,
        stored: &Stored<RequestRecord>,
        answer: Answer,
    ) -> Result<(), MetadataError> {
        let Answer { rules, by } = answer;
        let rules: Vec<String> =
            rules.iter().take(MOST_RULES).map(std::string::ToString::to_string).collect();
        let (at, reason) =
            (self.0.clock.now(), format!("allowed by the rule {}", rules.join(", ")));
        tracing::info!(
            request = number,
            package = %stored.record.package,
            rules = %rules.join(" "),
            by,
            "a request is answered by rules that were made for something else"
        );
        let entry = self.entry(Action::RequestAnswered, number, &stored.record).by(GARTH);
        let entry = entry.why(Some(&reason)).detail("rules", &rules.join(", "));
        let closed = ClosedRecord { at, by, automatic: false, reason: Some(reason), rules };
        let record = RequestRecord { closed: Some(closed), ..stored.record.clone() };
        let _turn = self.0.turn.lock().await;
        let state = self.state().await?;
        let next = state.next();
        let batch: Batch = moving(number, stored, Stage::Answered, &record);
        let batch = state.expect(batch).put_record(&RequestsRecord::key(), &next);
        match self.0.metadata.commit(batch.note(entry, at)).await {
            Err(MetadataError::Conflict { .. }) => self.forget_board(),
            done => {
                done?;
                self.moved(number, Stage::Answered, record, &next);
            }
        }
        Ok(())
    }
}

/// For whom it is asked, each once; `None` for those who are of no known team.
fn teams(record: &RequestRecord) -> Vec<Option<&str>> {
    let mut teams: Vec<Option<&str>> =
        record.askers.iter().map(|asker| asker.team.as_deref()).collect();
    if record.by_others > 0 {
        teams.push(None);
    }
    teams.sort_unstable();
    teams.dedup();
    teams
}

/// A client that was refused a package is served when there is a version for it; a person who asks
/// for a range, or for all of them, is not answered by one.
fn is_for_more_than_one(package: &Package, record: &RequestRecord) -> bool {
    match &record.versions {
        None => record.by_people,
        Some(_) => Requests::named(package, record).is_none(),
    }
}

/// Rules that open something of this package.
fn allowing<'s>(rules: &'s RuleSet, package: &Package) -> impl Iterator<Item = &'s Rule> {
    let named: Vec<&Rule> = rules.for_package(package).iter().collect();
    named.into_iter().filter(|rule| rule.effect == Effect::Allow && !rule.observe)
}

/// A rule without a condition that allows all versions that are asked for to all who ask, where
/// nothing else stands in the way of any of them.
fn allowing_all<'s>(
    rules: &'s RuleSet,
    package: &Package,
    record: &RequestRecord,
    (teams, now): (&[Option<&str>], Timestamp),
) -> Option<&'s Rule> {
    let speaks = |rule: &Rule| rule.has_started(now) && !rule.is_expired(now);
    let range = record.versions.as_deref();
    let range = range.map(|text| Range::parse(package.ecosystem(), text)).transpose().ok()?;
    let stands = |rule: &Rule| rule.effect != Effect::Allow && !rule.observe && rule.when.is_none();
    if rules.for_package(package).iter().any(stands) {
        return None;
    }
    let for_all = |rule: &Rule| {
        teams.iter().all(|team| rule.concerns(&Asker { team: *team, environment: None }))
    };
    allowing(rules, package).find(|rule| {
        rule.when.is_none()
            && speaks(rule)
            && for_all(rule)
            && rule.includes_all(package, range.as_ref())
    })
}
