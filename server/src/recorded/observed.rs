//! What would have been refused if nobody had only observed: to whom, how often, by which rule.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use policies::asker::TeamPattern;
use policies::decision::Effect;
use policies::package::{Package, Version};
use serde::{Deserialize, Serialize};

use super::{Recorder, Tally, Use};
use crate::metadata::MetadataError;

/// Kinds of requests that are told apart; of more, only their number is known.
const MAX_KINDS: usize = 200_000;

/// Of which requests it is told.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    pub rule: Option<String>,
    pub team: Option<TeamPattern>,
    /// At most so many lines, those of the most requests.
    pub lines: usize,
}

/// What would have been refused.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObservedReport {
    pub since: Timestamp,
    pub until: Timestamp,
    /// Requests for versions that were recorded, whatever was decided.
    pub requests: u64,
    /// Those of them that would have been refused, as far as they were asked about.
    pub would_be_refused: u64,
    /// The most requests first.
    pub lines: Vec<ObservedLine>,
    /// Lines that are left out here.
    pub more: u64,
    /// Records that can not be read; the log names them.
    pub unreadable: u64,
}

/// Requests of one team for one version that would have been refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ObservedLine {
    pub package: Package,
    pub version: Version,
    /// Absent where nobody knows who asked.
    pub team: Option<Arc<str>>,
    pub effect: Effect,
    /// Absent where no rule allows it, or garth itself refuses it.
    pub rule: Option<Arc<str>>,
    /// Why, where the whole server observes.
    pub code: Option<String>,
    /// The rule alone observes; else the whole server does.
    pub by_rule: bool,
    /// How many.
    pub requests: u64,
    pub last: Timestamp,
}

/// What is told in one line.
#[derive(PartialEq, Eq, Hash)]
struct Kind {
    package: Package,
    version: Version,
    team: Option<Arc<str>>,
    effect: Effect,
    rule: Option<Arc<str>>,
    code: Option<&'static str>,
    by_rule: bool,
}

#[derive(Default)]
struct Gathered {
    requests: u64,
    would_be_refused: u64,
    kinds: HashMap<Kind, (u64, Timestamp)>,
    more: u64,
}

impl Recorder {
    pub async fn observed(
        &self,
        since: Timestamp,
        wanted: &Wanted,
    ) -> Result<ObservedReport, MetadataError> {
        let mut reading = self.read(since).await?;
        let mut gathered = Gathered::default();
        while let Some(rows) = reading.next().await? {
            for (key, tally) in rows {
                gathered.add(key, &tally, wanted);
            }
        }
        let until = self.0.clock.now();
        Ok(gathered.report(since, until, reading.unreadable, wanted.lines))
    }
}

impl Gathered {
    fn add(&mut self, key: Use, tally: &Tally, wanted: &Wanted) {
        // A document is asked for before the versions in it, of which one is then meant.
        let Some(version) = key.version else { return };
        self.requests += tally.requests;
        let Some((effect, rule)) = key.outcome.would_refuse() else { return };
        let is_wanted =
            wanted.rule.as_deref().is_none_or(|name| rule.is_some_and(|rule| **rule == *name))
                && wanted.team.as_ref().is_none_or(|pattern| {
                    key.team.as_deref().is_some_and(|team| pattern.matches(team))
                });
        if !is_wanted {
            return;
        }
        self.would_be_refused += tally.requests;
        let by_rule = key.outcome.effect == Effect::Allow;
        let kind = Kind {
            package: key.package,
            version,
            team: key.team,
            effect,
            rule: rule.cloned(),
            code: key.outcome.code.filter(|_| !by_rule),
            by_rule,
        };
        if self.kinds.len() >= MAX_KINDS && !self.kinds.contains_key(&kind) {
            self.more += 1;
            return;
        }
        let (requests, last) = self.kinds.entry(kind).or_default();
        *requests += tally.requests;
        *last = tally.last.max(*last);
    }

    fn report(
        self,
        since: Timestamp,
        until: Timestamp,
        unreadable: u64,
        at_most: usize,
    ) -> ObservedReport {
        let mut lines: Vec<ObservedLine> = self
            .kinds
            .into_iter()
            .map(|(kind, (requests, last))| ObservedLine {
                package: kind.package,
                version: kind.version,
                team: kind.team,
                effect: kind.effect,
                rule: kind.rule,
                code: kind.code.map(str::to_owned),
                by_rule: kind.by_rule,
                requests,
                last,
            })
            .collect();
        lines.sort_by(|a, b| {
            let place = |line: &ObservedLine| {
                (line.package.clone(), line.version.clone(), line.team.clone(), line.rule.clone())
            };
            b.requests.cmp(&a.requests).then_with(|| place(a).cmp(&place(b)))
        });
        let more = self.more + lines.len().saturating_sub(at_most) as u64;
        lines.truncate(at_most);
        let (requests, would_be_refused) = (self.requests, self.would_be_refused);
        ObservedReport { since, until, requests, would_be_refused, lines, more, unreadable }
    }
}
