//! What somebody decided about packages: rules, and the set of them that is in force.
//!
//! Text becomes rules in [`parse`], or every fault with its place. A rule from the admin API goes
//! through the same checks as a [`Draft`]. [`RuleSet::compile`] puts rules together, refuses two of
//! one name, and indexes them so that deciding looks only at rules that name the package.

mod audience;
mod draft;
mod fault;
mod field;
pub(crate) mod findings;
mod index;
mod parse;
pub mod pattern;
mod ranges;
mod revision;

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;

use crate::advisories::Index as Advisories;
use crate::asker::{Asker, TeamPattern};
use crate::condition::Condition;
use crate::decision::{Effect, Revision};
use crate::facts::{Fact, Missing};
use crate::package::{Ecosystem, Package};
use crate::similar::{Names, similar_to};
use crate::versions::{Parsed, Range};

pub use audience::Audience;
pub(crate) use draft::shown;
pub use draft::{Complaint, Draft, MAX_PATTERNS, MAX_REASON, MAX_RULE_NAME, MAX_TEAMS};
pub use draft::{nearest, read_moment};
pub use fault::Fault;
pub use field::Field;
pub use findings::{Code, Finding, Severity};
pub use index::PackageRules;
pub(crate) use parse::places;
pub use parse::{MAX_FILE, MAX_RULES, PolicyFile, parse, parse_file};
pub use pattern::{Pattern, SomeVersions};
pub use ranges::Ranges;

/// What denies what advisories call malicious: no rule may bear this name, and waivers may lift it.
pub const MALICIOUS: &str = "malicious";

/// More rules than this in force at once are refused.
pub const MAX_RULES_IN_FORCE: usize = 100_000;

/// Starter policies by file name, which `garth init` offers.
pub const DEFAULTS: [(&str, &str); 8] = [
    ("allowlist.toml", include_str!("../defaults/allowlist.toml")),
    ("open.toml", include_str!("../defaults/open.toml")),
    ("settle.toml", include_str!("../defaults/settle.toml")),
    ("no-known-critical.toml", include_str!("../defaults/no-known-critical.toml")),
    ("no-malicious.toml", include_str!("../defaults/no-malicious.toml")),
    ("licences.toml", include_str!("../defaults/licences.toml")),
    ("no-look-alikes.toml", include_str!("../defaults/no-look-alikes.toml")),
    ("own-names.toml", include_str!("../defaults/own-names.toml")),
];

/// One statement: allow, deny or hold, for some packages and versions.
#[derive(Clone, Debug)]
pub struct Rule {
    pub name: Arc<str>,
    pub effect: Effect,
    pub patterns: Vec<Pattern>,
    /// Those of `patterns` that say which versions they mean.
    pub ranges: Ranges,
    /// Of the other ones; absent: all versions.
    pub versions: Option<Versions>,
    /// What must be true of a version; absent: nothing more.
    pub when: Option<Condition>,
    /// Of whom it speaks; empty: of everybody.
    pub teams: Vec<TeamPattern>,
    /// Where it speaks, `*` being every environment; empty: in them and outside of them.
    pub environments: Vec<Arc<str>>,
    pub reason: Option<Arc<str>>,
    /// That, or where there is none that it is by this rule.
    pub said: Arc<str>,
    /// Who answers for it.
    pub owner: Option<Arc<str>>,
    /// Where more is written about it.
    pub link: Option<Arc<str>>,
    /// Until this moment the rule says nothing yet.
    pub starts: Option<Timestamp>,
    /// From this moment on the rule says nothing.
    pub expires: Option<Timestamp>,
    /// It decides nothing; what it would have decided is reported.
    pub observe: bool,
    /// It is a waiver: an allow that also lifts the deny or hold of this name.
    pub waives: Option<Arc<str>>,
    pub origin: Origin,
}

/// Where a rule was made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    File { file: Arc<str>, line: usize, column: usize },
    Api { by: Arc<str>, at: Timestamp },
}

/// A range, read in each ecosystem that the rule's patterns speak of.
#[derive(Clone, Debug)]
pub struct Versions {
    pub text: Arc<str>,
    ranges: Vec<(Ecosystem, Range)>,
}

impl Versions {
    /// Whether no version of any ecosystem is in it.
    fn is_empty(&self) -> bool {
        self.ranges.iter().all(|(_, range)| range.is_empty())
    }

    /// Whether it takes in all that the other one does in each of its ecosystems; certain where it
    /// says so.
    fn contains(&self, other: &Self) -> bool {
        let contains = |(ecosystem, theirs): &(Ecosystem, Range)| {
            self.range(*ecosystem).is_some_and(|ours| ours.contains(theirs))
        };
        self.text.trim() == other.text.trim() || other.ranges.iter().all(contains)
    }

    fn range(&self, ecosystem: Ecosystem) -> Option<&Range> {
        self.ranges.iter().find(|(of, _)| *of == ecosystem).map(|(_, range)| range)
    }
}

impl Rule {
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    pub fn has_started(&self, now: Timestamp) -> bool {
        self.starts.is_none_or(|starts| starts <= now)
    }

    /// False where it ends before it starts.
    pub fn ever_speaks(&self) -> bool {
        match (self.starts, self.expires) {
            (Some(starts), Some(expires)) => starts < expires,
            _ => true,
        }
    }

    /// Whether it speaks of this asker. Nobody gains by not saying who they are: to an unknown team
    /// denies and holds apply, and allows do not.
    pub fn concerns(&self, asker: &Asker<'_>) -> bool {
        let here = self.environments.is_empty()
            || asker.environment.is_some_and(|asked| {
                self.environments.iter().any(|named| **named == *asked || **named == *"*")
            });
        here && (self.teams.is_empty()
            || match asker.team {
                Some(team) => self.teams.iter().any(|pattern| pattern.matches(team)),
                None => self.effect != Effect::Allow,
            })
    }

    /// It speaks of some askers alone.
    pub fn is_bound(&self) -> bool {
        !self.teams.is_empty() || !self.environments.is_empty()
    }

    /// The facts that its condition asks for.
    pub fn asks(&self) -> Missing {
        self.when.as_ref().map_or(Missing::NONE, Condition::facts)
    }

    pub fn names(&self, package: &Package) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(package))
    }

    /// Whether its versions include this one; `None` is a version that cannot be read. An allow
    /// reads its range narrowly, deny and hold read it widely.
    pub(crate) fn includes(&self, package: &Package, version: Option<&Parsed<'_>>) -> bool {
        let Some(version) = version else {
            return self.effect != Effect::Allow;
        };
        let stops = self.effect != Effect::Allow;
        match self.ranges.of(package, &self.patterns) {
            Some(of_package) if of_package.include(version, stops) => return true,
            Some(of_package) if !of_package.is_named_otherwise() => return false,
            _ => {}
        }
        let Some(versions) = &self.versions else {
            return true;
        };
        match (versions.range(package.ecosystem()), self.effect) {
            (Some(range), Effect::Allow) => range.allows(version),
            (Some(range), Effect::Hold | Effect::Deny) => range.covers(version),
            // Every ecosystem of the patterns has a range; without one nothing is clean.
            (None, effect) => effect != Effect::Allow,
        }
    }
}

impl Rule {
    /// Whether it speaks of all versions of this package that a range takes in, or of all there are;
    /// certain where it says so.
    pub fn includes_all(&self, package: &Package, range: Option<&Range>) -> bool {
        let contains = |ours: &Range| range.is_some_and(|range| ours.contains(range));
        let (some, is_named_otherwise) = match self.ranges.of(package, &self.patterns) {
            Some(of_package) => {
                (of_package.ranges().any(contains), of_package.is_named_otherwise())
            }
            None => (false, self.names(package)),
        };
        let all = |versions: &Versions| versions.range(package.ecosystem()).is_some_and(contains);
        some || (is_named_otherwise && self.versions.as_ref().is_none_or(all))
    }

    /// Which versions of this package it speaks of, as it was written; `None` is all of them.
    pub(crate) fn versions_of(&self, package: &Package) -> Option<Cow<'_, str>> {
        let all = self.versions.as_ref().map(|versions| Cow::Borrowed(&*versions.text));
        let Some(of_package) = self.ranges.of(package, &self.patterns) else { return all };
        if !of_package.is_named_otherwise() {
            return Some(of_package.text().into());
        }
        Some(format!("{} || {}", of_package.text(), all?).into())
    }
}

/// The rules in force, with the revision that names them.
#[derive(Debug)]
pub struct RuleSet {
    rules: Vec<Rule>,
    index: index::Index,
    /// Of the rules that speak of some askers alone, and whether there are any.
    bound: index::Index,
    any_bound: bool,
    /// Names that waivers lift.
    waived: HashSet<Arc<str>>,
    revision: Revision,
    unavailable: Option<Arc<str>>,
    /// What is known of packages, beside what somebody decided about them.
    advisories: Arc<Advisories>,
    /// The facts that conditions ask for.
    asks: Missing,
    /// Names of npm that are published here.
    own: Arc<[String]>,
    /// Names of npm that others may resemble: those, and what is allowed by name.
    trusted: OnceLock<Names>,
    trusted_crates: OnceLock<Names>,
}

impl RuleSet {
    /// Fails with one fault for each name that is used twice.
    pub fn compile(mut rules: Vec<Rule>) -> Result<Self, Vec<Fault>> {
        if rules.len() > MAX_RULES_IN_FORCE {
            let message = format!(
                "{} rules are more than the {MAX_RULES_IN_FORCE} that can be in force",
                rules.len()
            );
            return Err(vec![Fault::of_file("policies", message, "join rules by patterns")]);
        }
        // A stable sort keeps the order of reading among equals: the later one is at fault.
        rules.sort_by(|a, b| a.name.cmp(&b.name));
        let faults: Vec<Fault> = rules
            .windows(2)
            .filter(|pair| pair[0].name == pair[1].name)
            .map(|pair| Fault::duplicate(&pair[1], &pair[0]))
            .collect();
        if !faults.is_empty() {
            return Err(faults);
        }
        let revision = revision::of(&rules, None);
        let index = index::Index::new(&rules, |_| true);
        let bound = index::Index::new(&rules, Rule::is_bound);
        let any_bound = rules.iter().any(Rule::is_bound);
        let waived = rules.iter().filter_map(|rule| rule.waives.clone()).collect();
        let asks = rules.iter().map(Rule::asks).fold(Missing::NONE, Missing::and);
        Ok(Self { rules, index, bound, any_bound, waived, revision, asks, ..Self::empty() })
    }

    /// No rules at all: everything is denied because nobody has allowed it.
    pub fn empty() -> Self {
        Self {
            rules: Vec::new(),
            index: index::Index::default(),
            bound: index::Index::default(),
            any_bound: false,
            waived: HashSet::new(),
            revision: revision::of(&[], None),
            unavailable: None,
            advisories: Arc::default(),
            asks: Missing::NONE,
            own: Arc::default(),
            trusted: OnceLock::new(),
            trusted_crates: OnceLock::new(),
        }
    }

    /// The set for when nobody can say what the rules are: it denies everything for this reason.
    pub fn unavailable(reason: &str) -> Self {
        let revision = revision::of(&[], Some(reason));
        Self { unavailable: Some(reason.into()), revision, ..Self::empty() }
    }

    /// The same rules beside these advisories: another revision, unless nothing was ever imported.
    pub fn with_advisories(mut self, advisories: Arc<Advisories>) -> Self {
        if !advisories.revision().is_empty() {
            self.revision = revision::beside(&self.revision, advisories.revision());
        }
        self.advisories = advisories;
        self
    }

    /// The same rules beside the names that are published here, sorted: another revision where a rule
    /// asks for what resembles them.
    pub fn with_own_names(mut self, own: Arc<[String]>) -> Self {
        if self.asks_for(Fact::SimilarTo) && !own.is_empty() {
            self.revision = revision::beside(&self.revision, &own.join("\n"));
        }
        Self { own, trusted: OnceLock::new(), trusted_crates: OnceLock::new(), ..self }
    }

    /// The names that are published here, sorted, where a rule goes by what resembles them.
    pub fn own_names_that_matter(&self) -> Option<&[String]> {
        self.asks_for(Fact::SimilarTo).then_some(&*self.own)
    }

    pub fn has_own_name(&self, name: &str) -> bool {
        self.own.binary_search_by(|own| (**own).cmp(name)).is_ok()
    }

    /// Whether any rule asks for this fact. What of the others is, matters to no decision.
    pub fn asks_for(&self, fact: Fact) -> bool {
        self.asks.meets(Missing::one(fact))
    }

    /// The better known name that this one resembles, empty where there is none; `None` where
    /// nobody knows.
    pub fn similar_to(&self, package: &Package) -> Option<&str> {
        let trusted = match package.ecosystem() {
            Ecosystem::Npm => &self.trusted,
            Ecosystem::Cargo => &self.trusted_crates,
            Ecosystem::Nuget | Ecosystem::Oci => return None,
        };
        similar_to(package, trusted.get_or_init(|| self.trust(package.ecosystem())))
    }

    /// Names that these rules allow are meant, and so are those that are published here.
    fn trust(&self, ecosystem: Ecosystem) -> Names {
        let allows = |rule: &&Rule| rule.effect == Effect::Allow && !rule.observe;
        let patterns = self.rules.iter().filter(allows).flat_map(|rule| &rule.patterns);
        let named = patterns.filter_map(|pattern| match pattern {
            Pattern::One(package) | Pattern::In(package, _) if package.ecosystem() == ecosystem => {
                Some(package.name())
            }
            _ => None,
        });
        Names::new(ecosystem, self.own.iter().map(String::as_str).chain(named))
    }

    pub fn advisories(&self) -> &Advisories {
        &self.advisories
    }

    pub fn revision(&self) -> &Revision {
        &self.revision
    }

    /// Sorted by name.
    pub fn rules(&self) -> &[Rule] {
        &self.rules
    }

    pub fn rule(&self, name: &str) -> Option<&Rule> {
        self.rules
            .binary_search_by(|rule| (*rule.name).cmp(name))
            .ok()
            .map(|place| &self.rules[place])
    }

    /// Why no rule can be read, when that is so.
    pub fn unavailable_reason(&self) -> Option<&Arc<str>> {
        self.unavailable.as_ref()
    }

    /// The rules that name this package: computed once, asked for each of its versions.
    pub fn for_package(&self, package: &Package) -> PackageRules<'_> {
        PackageRules::new(self, package)
    }
}

#[cfg(test)]
mod tests;
