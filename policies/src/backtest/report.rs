//! What changes, counted by who and what it concerns.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Case, kind_of};
use crate::decision::Effect;
use crate::package::{Package, Version};

/// Changes that are told apart; of more, only the totals are known.
const MAX_CHANGES: usize = 200_000;
/// Teams and rules that have totals of their own.
const MAX_TOTALS: usize = 10_000;

/// Who asks.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case", tag = "kind", content = "team")]
pub enum Whom {
    /// It is the same for all.
    Everybody,
    /// Nobody knows who asks.
    Nobody,
    Team(Arc<str>),
}

impl Whom {
    pub fn of(team: Option<Arc<str>>) -> Self {
        team.map_or(Self::Nobody, Self::Team)
    }

    pub const fn team(&self) -> Option<&Arc<str>> {
        match self {
            Self::Team(team) => Some(team),
            Self::Everybody | Self::Nobody => None,
        }
    }
}

impl fmt::Display for Whom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Everybody => "everybody",
            Self::Nobody => "(no team)",
            Self::Team(team) => team,
        })
    }
}

/// What was decided, or would be.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = TrialSaid)]
pub struct Said {
    pub effect: Effect,
    /// The rule that made it; absent where none did.
    pub rule: Option<Arc<str>>,
    /// Of what was recorded, nobody wrote it down.
    pub reason: Option<Arc<str>>,
}

/// What becomes of a request.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ChangeKind)]
pub enum Kind {
    /// It was allowed.
    Refused,
    /// It was denied or held.
    LetIn,
    /// Held for denied, or denied for held.
    RefusedOtherwise,
}

/// Requests, by what becomes of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Totals {
    /// Were allowed, and would be refused.
    pub refused: u64,
    /// Were refused, and would be let in.
    pub let_in: u64,
    /// Held for denied, or denied for held.
    pub refused_otherwise: u64,
}

impl Totals {
    fn add(&mut self, kind: Kind, requests: u64) {
        *match kind {
            Kind::Refused => &mut self.refused,
            Kind::LetIn => &mut self.let_in,
            Kind::RefusedOtherwise => &mut self.refused_otherwise,
        } += requests;
    }
}

/// One version to one team that is decided differently.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Change {
    pub kind: Kind,
    pub package: Package,
    pub version: Version,
    pub whom: Whom,
    pub before: Said,
    pub after: Said,
    /// How many requests it stands for.
    pub requests: u64,
    /// When the last of them came; absent where nobody asked.
    pub last: Option<Timestamp>,
}

/// What would be decided differently.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Trial)]
pub struct Report {
    /// Cases that were tried, and the requests that they stand for.
    pub cases: u64,
    /// How many requests the cases stand for.
    pub requests: u64,
    /// Cases that are decided differently.
    pub changed: u64,
    pub totals: Totals,
    /// By team; those of nobody known, and of everybody, are not in it.
    pub teams: BTreeMap<Arc<str>, Totals>,
    /// By the rule that refuses, now or before.
    pub rules: BTreeMap<Arc<str>, Totals>,
    /// The most requests first.
    pub changes: Vec<Change>,
    /// Changes that are left out of the list.
    pub more: u64,
}

/// What is one line.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Line {
    package: Package,
    version: Version,
    whom: Whom,
    before: (Effect, Option<Arc<str>>),
    after: (Effect, Option<Arc<str>>),
}

/// Why it was so before, why it is so after, how many requests, and the last.
type Counted = (Option<Arc<str>>, Option<Arc<str>>, u64, Option<Timestamp>);

#[derive(Debug, Default)]
pub(super) struct Gathered {
    report: Report,
    lines: HashMap<Line, Counted>,
}

impl Gathered {
    pub(super) fn add(&mut self, case: &Case<'_>, before: Option<Said>, after: Said) {
        let report = &mut self.report;
        report.cases += 1;
        report.requests += case.requests;
        let Some(before) = before else { return };
        let Some(kind) = kind_of(before.effect, after.effect) else { return };
        report.changed += 1;
        report.totals.add(kind, case.requests);
        let refusing = if kind == Kind::LetIn { &before.rule } else { &after.rule };
        for (all, name) in
            [(&mut report.teams, case.whom.team()), (&mut report.rules, refusing.as_ref())]
        {
            let Some(name) = name else { continue };
            if all.len() < MAX_TOTALS || all.contains_key(name) {
                all.entry(Arc::clone(name)).or_default().add(kind, case.requests);
            }
        }
        let line = Line {
            package: case.subject.package.clone(),
            version: case.subject.version.clone(),
            whom: case.whom.clone(),
            before: (before.effect, before.rule),
            after: (after.effect, after.rule),
        };
        if self.lines.len() >= MAX_CHANGES && !self.lines.contains_key(&line) {
            report.more += 1;
            return;
        }
        let (of_before, of_after, requests, last) = self.lines.entry(line).or_default();
        *requests += case.requests;
        if *last <= case.last {
            (*of_before, *of_after) = (before.reason, after.reason);
            *last = case.last;
        }
    }

    pub(super) fn report(self, at_most: usize) -> Report {
        let mut report = self.report;
        report.changes = self
            .lines
            .into_iter()
            .filter_map(|(line, (of_before, of_after, requests, last))| {
                let said = |(effect, rule), reason| Said { effect, rule, reason };
                Some(Change {
                    kind: kind_of(line.before.0, line.after.0)?,
                    package: line.package,
                    version: line.version,
                    whom: line.whom,
                    before: said(line.before, of_before),
                    after: said(line.after, of_after),
                    requests,
                    last,
                })
            })
            .collect();
        report.changes.sort_by(|a, b| {
            let place = |change: &Change| {
                let Change { package, version, whom, before, after, .. } = change;
                let rules = (before.rule.clone(), after.rule.clone());
                (package.clone(), version.clone(), whom.clone(), rules)
            };
            b.requests.cmp(&a.requests).then_with(|| place(a).cmp(&place(b)))
        });
        report.more += report.changes.len().saturating_sub(at_most) as u64;
        report.changes.truncate(at_most);
        report
    }
}
