//! Does an advisory speak of a version? The specification's algorithm, over the ecosystem's order.
//!
//! Events are sorted by version and walked through. Where two stand at one version their order in
//! the record decides, but `last_affected` takes effect behind its version, and so comes last. What
//! can not be read never makes a version clean: a start is taken for the very beginning, an end is
//! left out, and a version that can not be read is affected.

use std::cmp::Ordering;

use super::{Affected, Event};
use crate::package::Ecosystem;
use crate::versions::Parsed;

/// The versions of one [`Affected`], read once to be asked many times.
#[derive(Clone, Debug)]
pub struct Compiled {
    ecosystem: Ecosystem,
    ranges: Vec<Range>,
    /// Listed one by one. What can not be read is left out: no version that can be read is that.
    versions: Vec<Parsed<'static>>,
    fixed: Vec<Parsed<'static>>,
}

#[derive(Clone, Debug)]
struct Range {
    /// Sorted.
    steps: Vec<Step>,
    /// Empty: no limit.
    limits: Vec<Parsed<'static>>,
}

#[derive(Clone, Debug)]
struct Step {
    /// `None` is before every version.
    at: Option<Parsed<'static>>,
    kind: StepKind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum StepKind {
    Introduced,
    Fixed,
    LastAffected,
}

impl Compiled {
    pub fn new(affected: &Affected) -> Self {
        let ecosystem = affected.package.ecosystem();
        Self {
            ecosystem,
            ranges: affected.ranges.iter().map(|range| Range::new(ecosystem, range)).collect(),
            versions: affected.versions.iter().filter_map(|text| read(ecosystem, text)).collect(),
            fixed: affected.fixed().filter_map(|version| read(ecosystem, version)).collect(),
        }
    }

    pub fn includes(&self, version: &str) -> bool {
        self.includes_parsed(Parsed::new(self.ecosystem, version).as_ref())
    }

    /// `None` is a version that can not be read.
    pub fn includes_parsed(&self, version: Option<&Parsed<'_>>) -> bool {
        let Some(version) = version else { return true };
        self.versions.iter().any(|listed| is(version, listed, Ordering::is_eq))
            || self.ranges.iter().any(|range| range.includes(version))
    }

    /// The same in npm's notation: empty where no version is affected.
    pub fn npm_range(&self) -> String {
        let mut alternatives: Vec<String> =
            self.ranges.iter().flat_map(Range::npm_alternatives).collect();
        alternatives.extend(self.versions.iter().filter_map(npm_text));
        alternatives.join(" || ")
    }

    /// Whether it is named as a version that fixes it.
    pub fn is_fixed_by(&self, version: &Parsed<'_>) -> bool {
        self.fixed.iter().any(|fixed| is(version, fixed, Ordering::is_eq))
    }
}

impl Range {
    fn new(ecosystem: Ecosystem, events: &[Event]) -> Self {
        let (mut steps, mut limits, mut limited) = (Vec::new(), Vec::new(), false);
        let mut unlimited = false;
        for event in events {
            let (kind, text) = match event {
                Event::Introduced(text) => (StepKind::Introduced, text),
                Event::Fixed(text) => (StepKind::Fixed, text),
                Event::LastAffected(text) => (StepKind::LastAffected, text),
                Event::Limit(text) => {
                    limited = true;
                    match read(ecosystem, text) {
                        Some(limit) => limits.push(limit),
                        // `*`, or what nobody can read.
                        None => unlimited = true,
                    }
                    continue;
                }
            };
            let at = if kind == StepKind::Introduced && text == "0" {
                None
            } else {
                read(ecosystem, text)
            };
            if at.is_some() || kind == StepKind::Introduced {
                steps.push(Step { at, kind });
            }
        }
        // Stable: what stands at one version keeps its order.
        steps.sort_by(|a, b| {
            let behind = |step: &Step| step.kind == StepKind::LastAffected;
            place(a, b).then_with(|| behind(a).cmp(&behind(b)))
        });
        if unlimited || !limited {
            limits.clear();
        }
        Self { steps, limits }
    }

    fn includes(&self, version: &Parsed<'_>) -> bool {
        if !self.limits.is_empty()
            && !self.limits.iter().any(|limit| is(version, limit, Ordering::is_lt))
        {
            return false;
        }
        let mut affected = false;
        for step in &self.steps {
            let reached = |holds: fn(Ordering) -> bool| {
                step.at.as_ref().is_none_or(|at| is(version, at, holds))
            };
            match step.kind {
                StepKind::Introduced if reached(Ordering::is_ge) => affected = true,
                StepKind::Fixed if reached(Ordering::is_ge) => affected = false,
                StepKind::LastAffected if reached(Ordering::is_gt) => affected = false,
                _ => {}
            }
        }
        affected
    }

    fn npm_alternatives(&self) -> Vec<String> {
        let mut found = Vec::new();
        let mut begun: Option<&Step> = None;
        for step in &self.steps {
            match (step.kind, begun) {
                (StepKind::Introduced, None) => begun = Some(step),
                (StepKind::Introduced, Some(_)) | (_, None) => {}
                (StepKind::Fixed, Some(from)) => {
                    // What is fixed where it was introduced holds no version.
                    if place(from, step).is_lt() {
                        found.push(self.npm_interval(from, Some(step)));
                    }
                    begun = None;
                }
                (StepKind::LastAffected, Some(from)) => {
                    found.push(self.npm_interval(from, Some(step)));
                    begun = None;
                }
            }
        }
        found.extend(begun.map(|from| self.npm_interval(from, None)));
        found
    }

    fn npm_interval(&self, from: &Step, to: Option<&Step>) -> String {
        let text = |step: &Step| step.at.as_ref().and_then(npm_text);
        let mut comparators = Vec::new();
        comparators.extend(text(from).map(|from| format!(">={from}")));
        if let Some(to) = to {
            let operator = if to.kind == StepKind::LastAffected { "<=" } else { "<" };
            comparators.extend(text(to).map(|to| format!("{operator}{to}")));
        }
        let highest = self.limits.iter().max_by(|a, b| a.compare(b).unwrap_or(Ordering::Equal));
        comparators.extend(highest.and_then(npm_text).map(|limit| format!("<{limit}")));
        if comparators.is_empty() { "*".to_owned() } else { comparators.join(" ") }
    }
}

fn npm_text(version: &Parsed<'static>) -> Option<String> {
    match version {
        Parsed::Npm(version) => Some(version.to_string()),
        _ => None,
    }
}

fn place(a: &Step, b: &Step) -> Ordering {
    match (&a.at, &b.at) {
        (None, None) => Ordering::Equal,
        (None, Some(_)) => Ordering::Less,
        (Some(_), None) => Ordering::Greater,
        // Versions of one ecosystem that has an order: they compare.
        (Some(a), Some(b)) => a.compare(b).unwrap_or(Ordering::Equal),
    }
}

fn is(version: &Parsed<'_>, other: &Parsed<'_>, holds: fn(Ordering) -> bool) -> bool {
    version.compare(other).is_some_and(holds)
}

fn read(ecosystem: Ecosystem, text: &str) -> Option<Parsed<'static>> {
    match Parsed::new(ecosystem, text)? {
        Parsed::Npm(version) => Some(Parsed::Npm(version)),
        Parsed::Cargo(version) => Some(Parsed::Cargo(version)),
        Parsed::Nuget(version) => Some(Parsed::Nuget(version)),
        Parsed::Oci(_) => None,
    }
}
