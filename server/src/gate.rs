//! The one gate: no byte of a package is sent without it.
//!
//! It gathers the facts, has [`policies`] decide, and hands out [`Admitted`] or [`Screened`],
//! which nobody else can make. The code that sends bytes asks for one of them, so a route that
//! forgot the gate does not compile. It runs at every serve: what is taken back is refused at the
//! next request.

use std::sync::Arc;

use jiff::Timestamp;
use moka::sync::Cache;
use policies::advisories::PackageAdvisories;
use policies::asker::Asker;
pub use policies::asker::Asking;
use policies::decide::{Hope, decide, hope};
use policies::decision::{Decision, Effect, Revision};
use policies::facts::{Fact, Facts};
use policies::package::{Package, PackageVersion, Version};
use policies::rules::{Audience, RuleSet};

use crate::clock::Clock;
use crate::config::Mode;
use crate::facts::{About, Remembered, Said, gather_facts};
use crate::rules::Rules;

/// Proof that the gate let this version through, for this request.
#[derive(Debug)]
pub struct Admitted {
    subject: PackageVersion,
    decision: Decision,
    audience: Audience,
}

impl Admitted {
    pub fn subject(&self) -> &PackageVersion {
        &self.subject
    }

    /// Whom else the same would have been decided for.
    pub fn audience(&self) -> Audience {
        self.audience
    }

    /// Denies too, where the mode is to observe: then it says what would have been refused.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }
}

/// A refusal, with the version that was asked for.
#[derive(Clone, Debug)]
pub struct Refused {
    pub subject: PackageVersion,
    pub decision: Decision,
    /// It depends on other packages, which have to be let through too. False where nobody knows.
    pub needs_others: bool,
}

/// What of a package's versions may be shown, decided one by one.
#[derive(Debug)]
pub struct Screened {
    package: Package,
    /// In the order in which they were asked about.
    decided: Vec<Decided>,
    until: Option<Timestamp>,
    mode: Mode,
}

#[derive(Debug)]
struct Decided {
    version: Version,
    decision: Decision,
    /// As in [`Refused`].
    needs_others: bool,
    hope: Hope,
}

impl Screened {
    /// This version alone, chosen because of what was decided of all: so it holds no longer than
    /// they do.
    pub fn chosen(mut self, version: &Version) -> Self {
        self.decided.retain(|decided| decided.version == *version);
        self
    }

    /// In the order in which they were asked about.
    pub fn versions(&self) -> impl Iterator<Item = &Version> {
        self.decided.iter().map(|decided| &decided.version)
    }

    /// What was decided of each, in the order in which they were asked about.
    pub fn decisions(&self) -> impl Iterator<Item = (&Version, &Decision)> {
        self.decided.iter().map(|decided| (&decided.version, &decided.decision))
    }

    /// Whether the version at this place may be shown.
    pub fn shows(&self, index: usize) -> bool {
        let decided = self.decided.get(index);
        decided.is_some_and(|decided| lets_through(self.mode, &decided.decision))
    }

    /// Whether the version at this place may be allowed once its artifact is opened, which is done at its
    /// download.
    pub fn is_undecided(&self, index: usize) -> bool {
        self.decided.get(index).is_some_and(|decided| decided.hope == Hope::Allowed)
    }

    /// What may become of each, in the order in which they were asked about.
    pub fn hopes(&self) -> impl Iterator<Item = Hope> {
        self.decided.iter().map(|decided| decided.hope)
    }

    /// When one of the decisions may change by itself.
    pub fn until(&self) -> Option<Timestamp> {
        self.until
    }

    /// The mildest effect among the versions: what the document as a whole comes to.
    pub fn effect(&self) -> Effect {
        self.decisions().map(|(_, decision)| decision.effect).min().unwrap_or(Effect::Deny)
    }

    /// What is not shown, in the order in which it was asked about.
    pub fn hidden(&self) -> impl Iterator<Item = (&Version, &Decision)> {
        self.decisions().filter(|(_, decision)| !lets_through(self.mode, decision))
    }

    /// Why this version is not shown.
    pub fn refused(&self, version: &Version) -> Option<Refused> {
        let Decided { decision, needs_others, .. } = self.decided.iter().find(|decided| {
            decided.version == *version && !lets_through(self.mode, &decided.decision)
        })?;
        let subject = PackageVersion { package: self.package.clone(), version: version.clone() };
        Some(Refused { subject, decision: decision.clone(), needs_others: *needs_others })
    }

    /// Where nothing at all may be shown: the refusal of the version that was meant, else of the
    /// last one.
    pub fn refusal(&self, meant: Option<&Version>) -> Option<Refused> {
        if (0..self.decided.len()).any(|index| self.shows(index)) {
            return None;
        }
        let last = self.decided.last().map(|decided| &decided.version)?;
        meant.and_then(|meant| self.refused(meant)).or_else(|| self.refused(last))
    }
}

/// To such an asker denies and holds for teams apply, and allows do not.
pub const NOBODY: Asker<'static> = Asker { team: None, environment: None };

#[derive(Clone, Debug)]
pub struct Gate {
    rules: Rules,
    mode: Mode,
    clock: Clock,
    /// Of packages that advisories speak of, by the advisories' revision: reading them out of the
    /// index takes longer than deciding.
    known: Cache<(Package, Arc<str>), Arc<PackageAdvisories>>,
    /// Whether rules tell askers apart for a package, by the rules' revision.
    apart: Cache<(Package, Revision), bool>,
    /// For those packages alone.
    audiences: Cache<(Package, Revision, Asking), Audience>,
}

/// Bytes of advisories that are kept ready, as they are written down.
const READY: u64 = 8 << 20;
/// Packages, and packages by team, for which it is known who is told the same.
const AUDIENCES: u64 = 50_000;

impl Gate {
    pub fn new(rules: Rules, mode: Mode, clock: Clock) -> Self {
        let weigh = |_: &_, known: &Arc<PackageAdvisories>| {
            u32::try_from(known.weight()).unwrap_or(u32::MAX)
        };
        let known = Cache::builder().weigher(weigh).max_capacity(READY).build();
        let (apart, audiences) = (Cache::new(AUDIENCES), Cache::new(AUDIENCES));
        Self { rules, mode, clock, known, apart, audiences }
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The rules that decide now. A request takes them once, so that all of its decisions are of
    /// one revision.
    pub fn rules(&self) -> Arc<RuleSet> {
        self.rules.current()
    }

    /// May this version be sent?
    pub fn admit(
        &self,
        subject: PackageVersion,
        remembered: &Remembered<'_>,
        asking: &Asking,
    ) -> Result<Admitted, Box<Refused>> {
        let rules = self.rules();
        let audience = self.audience(&rules, &subject.package, asking);
        let asker = asking.asker();
        let about = self.about(&rules, &subject.package);
        let said = Said::of(&about, &subject.version);
        let facts = gather_facts(self.clock.now(), remembered, &said);
        let decision =
            decide(&rules.for_package(&subject.package), &subject.version, &facts, &asker);
        if lets_through(self.mode, &decision) {
            Ok(Admitted { subject, decision, audience })
        } else {
            let needs_others = needs_others(&facts);
            Err(Box::new(Refused { subject, decision, needs_others }))
        }
    }

    /// What may become of a version that is refused, once its artifact is opened.
    pub fn hope(
        &self,
        subject: &PackageVersion,
        remembered: &Remembered<'_>,
        asking: &Asking,
    ) -> Hope {
        let rules = self.rules();
        let about = self.about(&rules, &subject.package);
        let said = Said::of(&about, &subject.version);
        let facts = gather_facts(self.clock.now(), remembered, &said);
        hope(&rules.for_package(&subject.package), &subject.version, &facts, &asking.asker()).0
    }

    /// See [`Rules::learn_own_name`].
    pub async fn learn_own_name(&self, package: &Package) {
        self.rules.learn_own_name(package.name()).await;
    }

    /// What no rule asks for is left out.
    fn about<'r>(&self, rules: &'r RuleSet, package: &Package) -> About<'r> {
        let asks = rules.asks_for(Fact::SimilarTo);
        let similar_to = if asks { rules.similar_to(package) } else { None };
        About { advisories: self.known(rules, package), similar_to }
    }

    fn known(&self, rules: &RuleSet, package: &Package) -> Option<Arc<PackageAdvisories>> {
        let index = rules.advisories();
        if !index.speaks_of(package) {
            return index.of(package).map(Arc::new);
        }
        let key = (package.clone(), Arc::clone(index.revision()));
        if let Some(known) = self.known.get(&key) {
            return Some(known);
        }
        let known = Arc::new(index.of(package)?);
        self.known.insert(key, Arc::clone(&known));
        Some(known)
    }

    /// Who is told the same of this package: a look-up, after the first time.
    pub fn audience(&self, rules: &RuleSet, package: &Package, asking: &Asking) -> Audience {
        if !rules.tells_askers_apart() {
            return Audience::EVERYBODY;
        }
        let key = (package.clone(), rules.revision().clone());
        let is_apart = self.apart.get(&key).unwrap_or_else(|| {
            let is_apart = !rules.audience(package, &NOBODY).is_everybody();
            self.apart.insert(key.clone(), is_apart);
            is_apart
        });
        if !is_apart {
            return Audience::EVERYBODY;
        }
        let key = (key.0, key.1, asking.clone());
        self.audiences.get(&key).unwrap_or_else(|| {
            let audience = rules.audience(package, &asking.asker());
            self.audiences.insert(key, audience);
            audience
        })
    }

    /// Whether [`Self::screen`] could let any version of it through: a look without its versions.
    pub fn may_show(&self, rules: &RuleSet, package: &Package, asking: &Asking, own: bool) -> bool {
        let asker = asking.asker();
        let allows = || {
            let rules = rules.for_package(package);
            rules.iter().any(|rule| rule.effect == Effect::Allow && rule.concerns(&asker))
        };
        self.mode == Mode::Observe || own || allows()
    }

    /// Which of these versions may be shown?
    pub fn screen<'a>(
        &self,
        rules: &RuleSet,
        package: &Package,
        asking: &Asking,
        versions: impl Iterator<Item = (&'a Version, Remembered<'a>)>,
    ) -> Screened {
        let now = self.clock.now();
        let asker = asking.asker();
        let of_package = rules.for_package(package);
        let about = self.about(rules, package);
        let mut until: Option<Timestamp> = None;
        let mut holds_until = |at: Option<Timestamp>| until = until.into_iter().chain(at).min();
        let decided: Vec<Decided> = versions
            .map(|(version, remembered)| {
                let said = Said::of(&about, version);
                let facts = gather_facts(now, &remembered, &said);
                let decision = decide(&of_package, version, &facts, &asker);
                holds_until(decision.until);
                let (hope, lasts) = match decision.effect {
                    Effect::Allow => (Hope::None, None),
                    Effect::Hold | Effect::Deny => hope(&of_package, version, &facts, &asker),
                };
                holds_until(lasts);
                let needs_others = needs_others(&facts);
                Decided { version: version.clone(), decision, needs_others, hope }
            })
            .collect();
        Screened { package: package.clone(), decided, until, mode: self.mode }
    }
}

fn needs_others(facts: &Facts<'_>) -> bool {
    facts.dependencies.is_some_and(|count| count > 0)
}

fn lets_through(mode: Mode, decision: &Decision) -> bool {
    match mode {
        Mode::Enforce => decision.effect == Effect::Allow,
        // What would have been refused is in the decision, and so in the log and the metrics.
        Mode::Observe => true,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use policies::decision::DecisionCode;
    use policies::facts::Missing;
    use policies::package::Ecosystem;

    use super::*;

    #[test]
    fn a_chosen_version_holds_no_longer_than_all_among_which_it_was_chosen() {
        let version = |text: &str| Version::new(text).unwrap();
        let soon: Timestamp = "2024-01-01T00:00:00Z".parse().unwrap();
        let decision = Decision {
            effect: Effect::Allow,
            code: DecisionCode::OwnPackage,
            rule: None,
            reason: "published here".into(),
            revision: Revision("r".into()),
            until: None,
            missing: Missing::NONE,
            waiver: None,
            observed: None,
        };
        let screened = Screened {
            package: Package::new(Ecosystem::Npm, "left-pad").unwrap(),
            decided: ["1.0.0", "2.0.0"]
                .map(|text| Decided {
                    version: version(text),
                    decision: decision.clone(),
                    needs_others: false,
                    hope: Hope::None,
                })
                .into(),
            until: Some(soon),
            mode: Mode::Enforce,
        };
        let chosen = screened.chosen(&version("1.0.0"));
        assert_eq!(chosen.versions().collect::<Vec<_>>(), [&version("1.0.0")]);
        assert_eq!(chosen.until(), Some(soon));
    }
}
