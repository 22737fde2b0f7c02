//! Requests for many versions as one: a package with all that it needs, or what a lockfile names.
//!
//! Which versions these are is worked out once, when somebody asks, and never changed while the
//! request is open: an approver answers what they have seen. What is allowed already is counted and
//! left out; what a rule refuses is asked for all the same, and whoever answers is shown by which.

use std::time::Duration;

use policies::decision::DecisionCode;
use policies::package::{Package, PackageVersion, Spelling};
use policies::rules::{Draft, Pattern};
use policies::versions::exactly;

use super::asking::{Asked, Wish};
use super::closing::{Approval, CloseError};
use super::who::{Who, short};
use super::wish::{AskError, read_reason};
use super::{Judged, Numbered, Requests};
use crate::closures::Closures;
use crate::gate::Asking;
use crate::metadata::records::{self, ClosureRecord, RequestRecord, RequestVersions};
use crate::metadata::{Batch, MAX_VALUE, MetadataError};
use crate::registries::closure::{
    Among, Closure, ClosureError, Decided, Member, Question, Standing, Verdict, only_in,
};
use crate::rules::MAX_MADE;

/// Versions that one request asks for.
const MOST_VERSIONS: usize = 5_000;
/// Versions that open requests of one person ask for, and of all.
const MOST_OF_ONE: usize = 20_000;
const MOST_OF_ALL: usize = 200_000;
/// Bytes of versions in one record. JSON may double them.
const PART: usize = MAX_VALUE / 4;
const LONGEST_LOCKFILE: usize = 120;
/// How long one waits for those before it. One at a time is worked on, so that whoever allows or
/// answers never waits for those who ask.
const WAIT: Duration = Duration::from_secs(10);

/// Somebody asks for many versions as one.
#[derive(Clone, Debug)]
pub struct AskClosure {
    pub meant: Meant,
    /// Which registry is asked, where there are several.
    pub registry: Option<String>,
    pub reason: Option<String>,
    pub who: Who,
}

/// Which versions are meant.
#[derive(Clone, Debug)]
pub enum Meant {
    /// `npm:express@^4` with all that a client would install with it.
    Dependencies(String),
    /// All that a lockfile names; its name says whose it is.
    Lockfile { name: String, versions: Vec<PackageVersion> },
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct AskedClosure {
    pub asked: Asked,
    /// What was worked out; absent for a lockfile.
    pub closure: Option<Closure>,
}

/// The versions that are asked for, with what is kept of where they come from.
#[derive(Clone, Debug)]
pub(super) struct Whole {
    pub lockfile: Option<String>,
    registry: Option<String>,
    is_named: bool,
    /// Sorted, each once.
    pub versions: Vec<PackageVersion>,
    allowed: u32,
}

impl Whole {
    pub fn new(
        lockfile: Option<String>,
        registry: Option<String>,
        versions: impl Iterator<Item = (PackageVersion, Standing)>,
    ) -> Result<Self, AskError> {
        let (allowed, asked): (Vec<_>, Vec<_>) =
            versions.partition(|(_, standing)| *standing == Standing::Allowed);
        let mut versions: Vec<PackageVersion> = asked.into_iter().map(|(one, _)| one).collect();
        versions.sort();
        versions.dedup();
        if let Some(odd) = versions.iter().find(|one| Pattern::parse(&one.to_string()).is_err()) {
            return Err(AskError::Range(format!("{odd} is no version that a rule can name")));
        }
        let bytes: usize = versions.iter().map(weight).sum();
        if versions.len() > MOST_VERSIONS || bytes > MAX_MADE {
            return Err(AskError::TooMany(
                "more versions than one request asks for are not allowed yet: ask for a part of them first",
            ));
        }
        let allowed = u32::try_from(allowed.len()).unwrap_or(u32::MAX);
        Ok(Self { lockfile, registry, is_named: false, versions, allowed })
    }

    fn parts(&self) -> Vec<RequestVersions> {
        let mut parts: Vec<RequestVersions> = Vec::new();
        let mut room = 0;
        for version in &self.versions {
            let weight = weight(version);
            if weight > room || parts.is_empty() {
                parts.push(RequestVersions { versions: Vec::new() });
                room = PART;
            }
            room = room.saturating_sub(weight);
            if let Some(part) = parts.last_mut() {
                part.versions.push(version.clone());
            }
        }
        parts
    }

    pub fn record(&self) -> ClosureRecord {
        let count = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        ClosureRecord {
            lockfile: self.lockfile.clone(),
            registry: self.registry.clone(),
            is_named: self.is_named,
            versions: count(self.versions.len()),
            parts: count(self.parts().len()),
            allowed: self.allowed,
        }
    }

    pub fn put(&self, batch: Batch, number: u64) -> Batch {
        (0..).zip(self.parts()).fold(batch, |batch, (n, part)| {
            batch.put_record(&RequestVersions::key(number, n), &part)
        })
    }
}

/// As it is stored, with its quotes and its comma.
fn weight(version: &PackageVersion) -> usize {
    version.to_string().len() + 3
}

impl Requests {
    /// Somebody asks for many versions. When this returns, it is durable. `None` stands for one
    /// version alone that is not allowed yet: that is an ordinary wish.
    pub async fn ask_closure(
        &self,
        closures: &Closures,
        ask: &AskClosure,
    ) -> Result<AskedClosure, AskError> {
        let reason = read_reason(ask.reason.as_deref())?;
        let team = ask.who.team.as_deref().map(Into::into);
        let asking = Asking { team, environment: None };
        let waiting = tokio::time::timeout(WAIT, self.0.closure_turn.acquire());
        let place = waiting.await.ok().and_then(Result::ok);
        let place = place.ok_or(ClosureError::Busy)?;
        let (root, whole, closure) = match &ask.meant {
            Meant::Dependencies(text) => {
                let closure = self.dependencies(closures, text, ask, asking).await?;
                let standing = |member: &Member| {
                    let (package, version) = (member.package.clone(), member.version.clone());
                    (PackageVersion { package, version }, member.standing)
                };
                let whole = Whole::new(
                    None,
                    Some(closure.registry.clone()),
                    closure.versions.iter().map(standing),
                )?;
                (Some(closure.root.clone()), whole, Some(closure))
            }
            Meant::Lockfile { name, versions } => {
                let registry = ask.registry.as_deref();
                let decided = closures.decide(versions.clone(), registry, &asking).await?;
                let standing =
                    |verdict: &Verdict| (verdict.subject.clone(), Standing::of(&verdict.decision));
                let name = Some(short(name, LONGEST_LOCKFILE)).filter(|name| !name.is_empty());
                let name = name.unwrap_or_else(|| "a lockfile".to_owned());
                let whole = Whole::new(
                    Some(name),
                    ask.registry.clone(),
                    decided.verdicts.iter().map(standing),
                )?;
                (whole.versions.first().cloned(), whole, None)
            }
        };
        drop(place);
        let Some(root) = root.filter(|_| !whole.versions.is_empty()) else {
            let what = match &ask.meant {
                Meant::Dependencies(text) => format!("{text} with all that it needs"),
                Meant::Lockfile { .. } => "what the lockfile names".to_owned(),
            };
            return Err(AskError::Allowed(what, format!("{} versions", whole.allowed)));
        };
        let versions = Some(exactly(root.package.ecosystem(), root.version.as_str()));
        // It alone is an ordinary wish, which others may have, too.
        let is_plain = whole.versions == std::slice::from_ref(&root);
        let is_named = ask.registry.is_some();
        let whole = Some(Whole { is_named, ..whole }).filter(|_| !is_plain || is_named);
        let package = root.package;
        let wish = Wish { package, versions, closure: whole, reason, who: &ask.who };
        Ok(AskedClosure { asked: self.ask_for(wish).await?, closure })
    }

    async fn dependencies(
        &self,
        closures: &Closures,
        text: &str,
        ask: &AskClosure,
        asking: Asking,
    ) -> Result<Closure, AskError> {
        let spelling = Spelling::parse(text)?;
        let question = Question {
            package: Package::new(spelling.ecosystem, &spelling.name)?,
            wanted: spelling.version,
            registry: ask.registry.clone(),
            among: Among::Unrefused,
            asking,
        };
        let closure = closures.closure(question).await?;
        if closure.incomplete.is_empty() {
            return Ok(closure);
        }
        Err(AskError::Incomplete(closure.root.to_string(), closure.incomplete.join("; ")))
    }

    /// Nobody takes the room of all others.
    pub(super) fn check_room_for(&self, whole: &Whole, who: &Who) -> Result<(), AskError> {
        let by = who.name.as_deref().filter(|_| who.verified);
        let (all, theirs) = self.0.board.read().versions_in_closures(by);
        let count = whole.versions.len();
        if theirs + count > MOST_OF_ONE {
            return Err(AskError::TooMany(
                "your open requests ask for too many versions: wait until some of them are answered",
            ));
        }
        if all + count > MOST_OF_ALL {
            return Err(AskError::TooMany(
                "open requests ask for too many versions: approve or reject some of them first",
            ));
        }
        Ok(())
    }

    /// All versions that a request for many asks for, sorted; none of any other.
    pub async fn versions_of(
        &self,
        number: u64,
        record: &RequestRecord,
    ) -> Result<Vec<PackageVersion>, MetadataError> {
        let Some(closure) = &record.closure else { return Ok(Vec::new()) };
        let parts = usize::try_from(closure.parts).unwrap_or(usize::MAX).saturating_add(1);
        let prefix = RequestVersions::of_request(number);
        let parts = records::scan(self.0.metadata.as_ref(), &prefix, None, parts).await?;
        let versions: Vec<PackageVersion> =
            parts.into_iter().flat_map(|(_, part)| part.versions).collect();
        if u32::try_from(versions.len()) != Ok(closure.versions) {
            let key = records::show_key(RequestVersions::key(number, 0).as_bytes());
            let cause =
                format!("{} of the {} versions are there", versions.len(), closure.versions);
            return Err(MetadataError::Damaged { key, cause });
        }
        Ok(versions)
    }

    /// The same, where a damaged one must not keep the others from work: it can not be approved, and
    /// no refusal belongs to it.
    pub(super) async fn known_versions_of(
        &self,
        number: u64,
        record: &RequestRecord,
    ) -> Result<Vec<PackageVersion>, MetadataError> {
        match self.versions_of(number, record).await {
            Err(fault @ MetadataError::Damaged { .. }) => {
                tracing::error!(request = number, %fault, "what it asks for can not be read: reject it, and ask anew");
                Ok(Vec::new())
            }
            done => done,
        }
    }

    /// What is decided now, for this team, of each version that a request for many asks for; `None`
    /// for any other.
    pub async fn decided(
        &self,
        closures: &Closures,
        request: &Numbered,
        team: Option<&str>,
    ) -> Result<Option<Decided>, AskError> {
        let Some(closure) = &request.record.closure else { return Ok(None) };
        let versions = self.versions_of(request.number, &request.record).await?;
        let asking = Asking { team: team.map(Into::into), environment: None };
        let registry = closure.registry.as_deref();
        Ok(Some(closures.decide(versions, registry, &asking).await?))
    }

    /// One rule for all of it, and with `waive` a waiver for each rule that stands in the way. What
    /// an advisory calls malicious is in none, unless a waiver is meant for it.
    pub(super) async fn closure_drafts(
        &self,
        number: u64,
        record: &RequestRecord,
        approval: &Approval,
        draft: &Draft,
    ) -> Result<Vec<Draft>, CloseError> {
        if approval.versions.is_some() {
            return Err(CloseError::Invalid(format!(
                "request {number} is for many versions, each of its own: it is approved as it is, or rejected"
            )));
        }
        let versions = self.versions_of(number, record).await?;
        let (mut open, mut waivers) = (Vec::new(), std::collections::BTreeMap::new());
        for version in versions {
            if !approval.waive {
                if !self.is_malicious(&version).await? {
                    open.push(version.to_string());
                }
                continue;
            }
            let PackageVersion { package, version: of } = &version;
            let Judged { standing, .. } = self.judge(package, of, approval.team()).await?;
            if standing.is_empty() {
                open.push(version.to_string());
            }
            for one in standing {
                waivers.entry(one.rule).or_insert_with(Vec::new).push(version.to_string());
            }
        }
        if open.is_empty() && waivers.is_empty() {
            return Err(CloseError::Invalid(format!(
                "all that request {number} asks for is malicious by an advisory: approve it with a waiver (--waive and --expires), or reject it"
            )));
        }
        let asked = record.closure.as_ref().filter(|closure| closure.is_named);
        let there = asked.and_then(|closure| closure.registry.as_deref()).map(only_in);
        let when = match (there, &draft.when) {
            (Some(there), Some(when)) => Some(format!("{there} && ({when})")),
            (there, when) => there.or_else(|| when.clone()),
        };
        let draft = Draft { when, ..draft.clone() };
        let allow = Draft { packages: open, versions: None, ..draft.clone() };
        let waive = waivers.into_iter().map(|(rule, packages)| Draft {
            packages,
            versions: None,
            waives: Some(rule),
            effect: None,
            ..draft.clone()
        });
        Ok(Some(allow)
            .filter(|allow| !allow.packages.is_empty())
            .into_iter()
            .chain(waive)
            .collect())
    }

    /// Nobody writes an allow for what is known to do harm; who found a false alarm makes a waiver.
    async fn is_malicious(&self, subject: &PackageVersion) -> Result<bool, MetadataError> {
        let PackageVersion { package, version } = subject;
        let rules = self.0.rules.current();
        let affecting =
            rules.advisories().of(package).map(|known| known.affecting(version.as_str()));
        // Few have one, so few are looked at more closely.
        if !affecting.is_some_and(|all| all.iter().any(|one| one.malicious && !one.withdrawn)) {
            return Ok(false);
        }
        let judged = self.judge(package, version, None).await?;
        Ok(judged.decision.code == DecisionCode::Malicious)
    }
}
