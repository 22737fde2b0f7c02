//! What a format is asked about the closure of a package, and what it answers: the words of
//! [`closures`](crate::closures), which say the same of all ecosystems.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use policies::decision::{Decision, DecisionCode, Effect, Revision};
use policies::package::{Ecosystem, Package, PackageVersion, Version};
use policies::rules::RuleSet;
use serde::{Deserialize, Serialize};
use tokio::sync::OwnedSemaphorePermit;

use super::Registry;
use crate::facts::Remembered;
use crate::gate::{Asking, Gate};
use crate::pull::PullError;

/// Among which versions one is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Among {
    /// All that no rule and no advisory refuses: what this garden would serve if it were asked to
    /// allow everything else.
    #[default]
    Unrefused,
    /// Those that are allowed already, before all others: the fewest that have to be looked at.
    AllowedFirst,
    /// All: what a client without a garden would install.
    Everything,
}

/// The condition of a rule that is about what is asked of one registry alone.
pub fn only_in(registry: &str) -> String {
    format!("registry == '{registry}'")
}

/// What is asked.
#[derive(Clone, Debug)]
pub struct Question {
    pub package: Package,
    /// A version, a range or a tag, as the ecosystem's manifests have it; absent: as its client
    /// means it where nothing is said.
    pub wanted: Option<String>,
    /// Not needed where there is one that can be meant.
    pub registry: Option<String>,
    pub among: Among,
    /// For whom it is decided.
    pub asking: Asking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClosureLimits {
    /// Packages whose documents are asked for.
    pub packages: usize,
    pub time: Duration,
}

/// What would be installed with a package.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Closure {
    /// The version that was meant.
    pub root: PackageVersion,
    /// The registry that was asked.
    pub registry: String,
    pub among: Among,
    /// The root among them, by name and version.
    pub versions: Vec<Member>,
    /// What is needed and not among them.
    pub unmet: Vec<Unmet>,
    /// Why there may be more of it than this.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
    pub counts: Counts,
    pub revision: Revision,
}

/// How many versions stand how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ClosureCounts)]
pub struct Counts {
    /// Allowed already.
    pub allowed: usize,
    /// An allow is all that is missing.
    pub open: usize,
    /// A rule or an advisory is against them.
    pub refused: usize,
}

/// What an allow would do for a version; the better comes first.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema,
)]
#[serde(rename_all = "kebab-case")]
#[schema(as = ClosureStanding)]
pub enum Standing {
    /// It is allowed already.
    Allowed,
    /// An allow is all that is missing, as far as is known: what only an archive that was not opened yet
    /// says may still be against it.
    Open,
    /// A rule or an advisory is against it, which an allow does not lift.
    Refused,
}

impl Standing {
    pub fn of(decision: &Decision) -> Self {
        match (decision.effect, decision.code) {
            (Effect::Allow, _) => Self::Allowed,
            (_, DecisionCode::NoRuleAllows) => Self::Open,
            _ => Self::Refused,
        }
    }
}

/// One version of the closure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = ClosureMember)]
pub struct Member {
    pub package: Package,
    pub version: Version,
    pub standing: Standing,
    pub decision: Decision,
    /// Its dependents do without it where it can not be installed.
    pub optional: bool,
    /// Its author advises against it.
    pub deprecated: bool,
    /// The first few dependents, as `npm:a@1.0.0 wants ^2`.
    pub wanted_by: Vec<String>,
    /// What would be here if nothing were refused, and why it is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead_of: Option<PassedOver>,
    /// What it is made for; empty: everywhere.
    #[serde(default, skip_serializing_if = "Platforms::is_empty")]
    pub platforms: Platforms,
    /// The runtime that it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub engine: Option<String>,
    /// Names of packages inside its archive, whose versions are not known before it is opened.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub bundles: Vec<String>,
}

/// What a version is made for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Platforms {
    /// Operating systems.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub os: Vec<String>,
    /// Processors.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub cpu: Vec<String>,
    /// C libraries.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub libc: Vec<String>,
}

impl Platforms {
    pub fn is_empty(&self) -> bool {
        self.os.is_empty() && self.cpu.is_empty() && self.libc.is_empty()
    }
}

/// A version that was passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct PassedOver {
    pub version: Version,
    pub decision: Decision,
}

/// A dependency that is not in the closure.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Unmet {
    /// `npm:a@1.0.0`
    pub by: String,
    /// What it is called there.
    pub name: String,
    /// Which versions of it.
    pub wanted: String,
    pub code: UnmetCode,
    /// In words.
    pub why: String,
    /// The install goes on without it.
    pub optional: bool,
}

impl Unmet {
    /// In one line.
    pub fn told(&self) -> String {
        let Self { by, name, wanted, why, optional, .. } = self;
        let optional = if *optional { ", which is optional" } else { "" };
        format!("not to be had: {name} {wanted}, for {by}{optional}: {why}")
    }
}

/// Why a dependency is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum UnmetCode {
    /// It does not come from a registry, so nothing here decides about it.
    Elsewhere,
    /// No client can read what is wanted.
    Unreadable,
    /// The upstream has no such package.
    UnknownPackage,
    /// The package has no such version.
    NoVersion,
    /// Two dependents want versions of it that can not be beside each other.
    Conflict,
    /// Nobody knows: it could not be asked for.
    Unanswered,
}

/// Decisions on single versions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Decided {
    /// In the order in which they were asked about.
    pub verdicts: Vec<Verdict>,
    pub revision: Revision,
}

/// The decision on one version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Verdict {
    #[serde(rename = "package")]
    pub subject: PackageVersion,
    pub decision: Decision,
    /// It is refused only while nobody opened its archive: it is decided at its first download.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub undecided: bool,
    /// Why nothing is known of the version, so that the decision may be another one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unknown: Option<String>,
}

/// What is decided of a version, and whether that is so only while nobody opened its archive.
#[derive(Clone, Debug)]
pub struct LookedUp {
    pub decision: Decision,
    pub undecided: bool,
}

impl Verdict {
    pub fn standing(&self) -> Standing {
        if self.undecided { Standing::Open } else { Standing::of(&self.decision) }
    }
}

/// By what the caller answers.
#[derive(Debug, thiserror::Error)]
pub enum ClosureError {
    #[error("{0}")]
    Unreadable(String),
    #[error("this garth does not tell the dependencies of packages of {0} yet")]
    NotServed(Ecosystem),
    #[error("there is no registry {0:?} for such packages")]
    NoSuchRegistry(String),
    #[error("several registries can be meant; say which: {}", .0.join(", "))]
    WhichRegistry(Vec<String>),
    #[error("{0}")]
    Unknown(String),
    #[error("{0}")]
    TooMany(String),
    #[error("{what}: {fault}")]
    Pull { what: String, fault: PullError },
    #[error("the rules can not be read, so nothing is decided: {0}")]
    NoRules(String),
    #[error("other closures are being worked out; ask again in a moment")]
    Busy,
}

impl ClosureError {
    /// By no fault of whoever asks; the log says why.
    pub fn failed() -> Self {
        Self::Pull { what: "this closure".to_owned(), fault: PullError::Internal }
    }
}

/// By what, for whom and how far one of them is worked out.
#[derive(Clone, Debug)]
pub struct Terms {
    pub rules: Arc<RuleSet>,
    pub asking: Asking,
    pub limits: ClosureLimits,
}

/// Of what was not asked for: what of it all was left out, and why.
pub fn why_not_asked(incomplete: &[String]) -> String {
    let why = incomplete.first().cloned();
    why.unwrap_or_else(|| "it was not asked for".to_owned())
}

impl Terms {
    /// By the rules of now.
    pub fn of(
        chosen: &Chosen,
        asking: Asking,
        limits: ClosureLimits,
    ) -> Result<Self, ClosureError> {
        let rules = chosen.main.garden.gate.rules();
        match rules.unavailable_reason() {
            Some(reason) => Err(ClosureError::NoRules(reason.to_string())),
            None => Ok(Self { rules, asking, limits }),
        }
    }

    /// Each with what is decided of it. `look_up` says that of one, or why nothing could be learned of it.
    pub fn verdicts(
        &self,
        gate: &Gate,
        asked: Vec<PackageVersion>,
        look_up: impl Fn(&PackageVersion) -> Result<LookedUp, String>,
    ) -> HashMap<PackageVersion, Verdict> {
        let verdict = |subject: PackageVersion| {
            let verdict = match look_up(&subject) {
                Ok(LookedUp { decision, undecided }) => {
                    Verdict { subject: subject.clone(), decision, undecided, unknown: None }
                }
                Err(unknown) => self.unknown(gate, subject.clone(), unknown)?,
            };
            Some((subject, verdict))
        };
        asked.into_iter().filter_map(verdict).collect()
    }

    fn unknown(&self, gate: &Gate, subject: PackageVersion, unknown: String) -> Option<Verdict> {
        let only = std::iter::once((&subject.version, Remembered::NOTHING));
        let screened = gate.screen(&self.rules, &subject.package, &self.asking, only);
        let decision = screened.decisions().next()?.1.clone();
        Some(Verdict { subject, decision, undecided: false, unknown: Some(unknown) })
    }
}

/// Where packages of one closure come from.
#[derive(Clone, Debug)]
pub struct Chosen {
    pub main: Arc<Registry>,
    /// All of the ecosystem.
    pub all: Vec<Arc<Registry>>,
}

impl Chosen {
    /// Goes on whoever waits for it. The place is taken until it is done.
    pub async fn work<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Result<T, ClosureError> {
        let working = self.main.garden.store.runtime.spawn(async move {
            let done = work.await;
            drop(place);
            done
        });
        working.await.map_err(|_| ClosureError::failed())
    }

    /// Own names are looked for where they are published, and nowhere else.
    pub fn of(&self, package: &Package) -> &Arc<Registry> {
        if self.main.own_names().matches(package) {
            return &self.main;
        }
        let owner = self.all.iter().find(|registry| registry.own_names().matches(package));
        owner.unwrap_or(&self.main)
    }
}
