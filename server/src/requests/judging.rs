//! What the rules say now of what is asked for, and what an approval would have to be.

use std::sync::{Arc, Weak};

use policies::asker::Asker;
use policies::decide::{decide, explain};
use policies::decision::{Decision, DecisionCode, Effect};
use policies::facts::{Facts, Stated};
use policies::package::{Package, PackageVersion, Version};
use policies::rules::{MALICIOUS, RuleSet};
use policies::versions::{Parsed, Range};

use super::Requests;
use crate::facts::{About, Remembered, Said, gather_facts};
use crate::metadata::MetadataError;
use crate::metadata::records::RequestRecord;
use crate::seen::Recalled;

/// One version, looked at as an example of what is asked for.
#[derive(Clone, Debug)]
pub struct Judged {
    pub asked: PackageVersion,
    /// Of which registry.
    pub registry: Option<String>,
    pub decision: Decision,
    /// The denies and holds that speak of it: an allow does not open what one of them closes.
    pub standing: Vec<Standing>,
}

/// A deny or hold that stands in the way of an allow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub rule: String,
    pub effect: Effect,
    pub why: String,
}

/// For whom something is decided, and of which registry, where one was named.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sight<'a> {
    pub team: Option<&'a str>,
    pub registry: Option<&'a str>,
}

impl<'a> Sight<'a> {
    pub fn of(record: &'a RequestRecord, team: Option<&'a str>) -> Self {
        let named = record.closure.as_ref().filter(|closure| closure.is_named);
        Self { team, registry: named.and_then(|closure| closure.registry.as_deref()) }
    }
}

impl Requests {
    /// The version that stands for what is asked: the one that was named, else the one that was last
    /// refused.
    pub fn example(record: &RequestRecord) -> Option<(Package, Version)> {
        let package: Package = record.package.parse().ok()?;
        let ecosystem = package.ecosystem();
        let range = record.versions.as_deref();
        if let Some(version) = Self::named(&package, record) {
            return Some((package, version));
        }
        let refused = Version::new(&record.refused.as_ref()?.version).ok()?;
        let within = range.is_none_or(|text| {
            let range = Range::parse(ecosystem, text);
            let parsed = Parsed::new(ecosystem, refused.as_str());
            range.ok().zip(parsed).is_some_and(|(range, version)| range.allows(&version))
        });
        within.then_some((package, refused))
    }

    /// The one version that is asked for; `None` where it is a range, or any.
    pub(super) fn named(package: &Package, record: &RequestRecord) -> Option<Version> {
        let exact = record.versions.as_deref()?.trim_start_matches('=').trim_matches(['[', ']']);
        Parsed::new(package.ecosystem(), exact)?;
        Version::new(exact).ok()
    }

    /// What is decided of it now, for this team.
    pub async fn judge(
        &self,
        package: &Package,
        version: &Version,
        team: Option<&str>,
    ) -> Result<Judged, MetadataError> {
        let rules = self.0.rules.current();
        let sight = Sight { team, registry: None };
        self.with_facts(&rules, (package, version), sight, |facts| {
            let asked = PackageVersion { package: package.clone(), version: version.clone() };
            let explained = explain(&rules, &asked, facts, &Asker { team, environment: None });
            let malicious =
                (explained.decision.code == DecisionCode::Malicious).then(|| Standing {
                    rule: MALICIOUS.to_owned(),
                    effect: Effect::Deny,
                    why: explained.decision.reason.to_string(),
                });
            let by_rules = explained
                .considered
                .iter()
                .filter(|one| one.matched && one.effect != Effect::Allow)
                .map(|one| Standing {
                    rule: one.rule.to_string(),
                    effect: one.effect,
                    why: one.why.clone(),
                });
            let standing = malicious.into_iter().chain(by_rules).collect();
            let registry = facts.registry.map(str::to_owned);
            Judged { registry, asked, decision: explained.decision, standing }
        })
        .await
    }

    /// Gathers what is known of the version, as the gate does, and works with it. Where several
    /// registries have seen it, that one counts which refuses it: what is asked for is not to be had
    /// there.
    pub(super) async fn with_facts<T>(
        &self,
        rules: &RuleSet,
        (package, version): (&Package, &Version),
        sight: Sight<'_>,
        work: impl FnOnce(&Facts<'_>) -> T,
    ) -> Result<T, MetadataError> {
        let known = self.0.memory.recall(package, version).await?;
        let is_meant = |recalled: &&Recalled| {
            recalled.record.is_some()
                && sight.registry.is_none_or(|named| *named == *recalled.registry)
        };
        let meant: Vec<&Recalled> = known.iter().filter(is_meant).collect();
        let mut counts = (meant.first().copied(), None);
        if let [_, _, ..] = meant.as_slice() {
            let of_package = rules.for_package(package);
            let asker = Asker { team: sight.team, environment: None };
            for recalled in meant {
                let stated = self.stated_in(recalled, package, version).await;
                let decide = |facts: &Facts<'_>| decide(&of_package, version, facts, &asker);
                let of_it = (Some(recalled), stated.as_ref());
                if !self.facts_of(rules, (package, version), of_it, decide).is_allowed() {
                    counts = (Some(recalled), stated);
                    break;
                }
            }
        }
        let (recalled, mut stated) = counts;
        if let (Some(recalled), None) = (recalled, &stated) {
            stated = self.stated_in(recalled, package, version).await;
        }
        Ok(self.facts_of(rules, (package, version), (recalled, stated.as_ref()), work))
    }

    async fn stated_in(
        &self,
        recalled: &Recalled,
        package: &Package,
        version: &Version,
    ) -> Option<Stated> {
        let registries = self.0.registries.get().map(Vec::as_slice).unwrap_or_default();
        let registry = registries
            .iter()
            .filter_map(Weak::upgrade)
            .find(|registry| recalled.registry == registry.name)?;
        // What can not be read is unknown, and what is unknown opens nothing.
        registry.stated(package, version).await.unwrap_or_else(|fault| {
            tracing::warn!(%fault, %package, "what its registry says of it can not be read");
            None
        })
    }

    fn facts_of<T>(
        &self,
        rules: &RuleSet,
        (package, version): (&Package, &Version),
        (recalled, stated): (Option<&Recalled>, Option<&Stated>),
        work: impl FnOnce(&Facts<'_>) -> T,
    ) -> T {
        let remembered = Remembered {
            registry: recalled.map(|recalled| &*recalled.registry),
            record: recalled.and_then(|recalled| recalled.record.as_ref()),
            stated,
        };
        let about = About {
            advisories: rules.advisories().of(package).map(Arc::new),
            similar_to: rules.similar_to(package),
        };
        let said = Said::of(&about, version);
        work(&gather_facts(self.0.clock.now(), &remembered, &said))
    }
}
