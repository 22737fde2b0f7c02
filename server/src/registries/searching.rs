//! Search: what there is in this garden, for all formats; what is asked and shown is the format's.
//!
//! What is found is what was asked for here before, and what is published here. Each find passes the
//! gate, and is shown in the newest version that is allowed: it has to be what was looked for, and it is
//! shown with its own words alone. What a format brings from elsewhere passes the same gate ([`show`]).

use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use policies::facts::{Fact, Missing};
use policies::package::{Ecosystem, Package, Version};
use serde_json::Value;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::Registry;
use super::callers::readable;
use super::finding::Served;
use crate::facts::Remembered;
use crate::gate::Asking;
use crate::metadata::records::{SummaryRecord, VersionRecord};
use crate::pull::PullError;
use crate::pull::content::Content;
use crate::pull::format::DocumentFormat;
use crate::pull::summaries::words::{Words, words_of};
use crate::pull::summaries::{Find, Wanted, make_missing};

const TEXT_AT_MOST: usize = 512;
const PARTS_AT_MOST: usize = 32;
/// How many packages and versions are looked at for one answer, where much is found and little of
/// it may be shown.
const LOOK_AT_MOST: usize = 100_000;
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a search waits for those before it.
const WAIT: Duration = Duration::from_secs(2);

/// What a client asks, within bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    pub wanted: Wanted,
    pub from: usize,
    pub size: usize,
}

pub struct Found {
    pub shown: Vec<Value>,
    /// Those before them among them.
    pub count: usize,
}

/// A package that may be shown, in this version.
pub struct Shown<'a, P> {
    pub package: &'a Package,
    /// Where they are known.
    pub words: Option<Words<'a>>,
    pub version: &'a Version,
    pub record: Option<&'a VersionRecord>,
    /// Where a rule asks for what it states, or the format for all of it.
    pub document: Option<&'a P>,
}

/// A format's part.
pub trait Searched: Send + Sync + 'static {
    type Format: Served;
    const ECOSYSTEM: Ecosystem;
    /// What is shown is in the document alone.
    const READS_DOCUMENTS: bool;

    /// The version that is shown of those that are allowed, where this one is meant by the document.
    fn newest<'v>(allowed: &[&'v Version], latest: Option<&str>) -> Option<&'v Version>;

    fn show(shown: &Shown<'_, <Self::Format as DocumentFormat>::Parsed>) -> Value;
}

pub async fn search<S: Searched>(
    registry: &Arc<Registry>,
    req: &HttpRequest,
    asking: Asking,
    question: Question,
) -> Result<Found, PullError> {
    let (asked, readable) = (Arc::clone(registry), readable(registry, req));
    let work = async move || find::<S>(&asked, &asking, &readable, question).await;
    away(registry, work).await
}

/// What of these packages may be shown, which somebody else found by words of their own.
pub async fn show<S: Searched>(
    registry: &Arc<Registry>,
    asking: Asking,
    packages: Vec<Package>,
    at_most: usize,
) -> Result<Vec<Value>, PullError> {
    let asked = Arc::clone(registry);
    let work = async move || {
        let (anything, begun) = (Wanted::default(), Instant::now());
        let (mut looks, mut shown) = (LOOK_AT_MOST, Vec::new());
        for package in packages {
            if shown.len() == at_most || looks == 0 || begun.elapsed() > PATIENCE {
                break;
            }
            let find = Find { name: package.name().into(), is_own: false };
            let found = (&find, package);
            shown.extend(look_at::<S>(&asked, &asking, &anything, found, &mut looks).await?);
        }
        Ok(shown)
    };
    away(registry, work).await
}

/// Away from those who serve. The place is taken until the work is done, whoever waits for it.
async fn away<T: Send + 'static>(
    registry: &Registry,
    work: impl AsyncFnOnce() -> Result<T, PullError> + Send + 'static,
) -> Result<T, PullError> {
    let place = place(&registry.garden.searches, WAIT).await?;
    let runtime = &registry.garden.store.runtime;
    let here = runtime.clone();
    let looking = move || {
        let found = here.block_on(work());
        drop(place);
        found
    };
    runtime.spawn_blocking(looking).await.unwrap_or(Err(PullError::Internal))
}

/// Whoever finds no place comes again later: what is installed meanwhile does not wait for it.
async fn place(
    searches: &Arc<Semaphore>,
    wait: Duration,
) -> Result<OwnedSemaphorePermit, PullError> {
    let place = timeout(wait, Arc::clone(searches).acquire_owned()).await;
    place.ok().and_then(Result::ok).ok_or(PullError::Busy)
}

async fn find<S: Searched>(
    registry: &Registry,
    asking: &Asking,
    readable: &impl Fn(&Package) -> bool,
    question: Question,
) -> Result<Found, PullError> {
    let store = &registry.garden.store;
    let wanted = question.wanted;
    let finds = store.summaries.search(&store.metadata, &registry.name, wanted.clone()).await?;
    make_missing::<S::Format>(store, &registry.name, S::ECOSYSTEM);
    let (end, begun) = (question.from + question.size, Instant::now());
    let (mut found, mut looks) = (Found { shown: Vec::new(), count: 0 }, LOOK_AT_MOST);
    for find in finds {
        if found.count == end || looks == 0 || begun.elapsed() > PATIENCE {
            break;
        }
        let Ok(package) = Package::new(S::ECOSYSTEM, &find.name) else { continue };
        if !readable(&package) {
            continue;
        }
        let shown = look_at::<S>(registry, asking, &wanted, (&find, package), &mut looks).await?;
        let Some(shown) = shown else { continue };
        found.count += 1;
        if found.count > question.from {
            found.shown.push(shown);
        }
    }
    Ok(found)
}

/// What is shown of a package, if anything of it may be and is wanted; takes from `looks` what it cost.
async fn look_at<S: Searched>(
    registry: &Registry,
    asking: &Asking,
    wanted: &Wanted,
    (find, package): (&Find, Package),
    looks: &mut usize,
) -> Result<Option<Value>, PullError> {
    let garden = &registry.garden;
    *looks = looks.saturating_sub(1);
    let rules = garden.gate.rules();
    if !garden.gate.may_show(&rules, &package, asking, find.is_own) {
        return Ok(None);
    }
    let key = SummaryRecord::key(&registry.name, &find.name);
    let summary = garden.store.read_or_fetch_again(&key).await?;
    let Some(summary) = summary else { return Ok(None) };
    // What was published here is from nowhere, and stays ours when its name is taken from `own`.
    if summary.upstream.is_some() && summary.upstream != registry.source_of(&package).address() {
        // Another upstream's, or one that had this name before it was ours.
        return Ok(None);
    }
    let versions = garden.store.read_versions(&registry.name, &package).await?;
    *looks = looks.saturating_sub(versions.len());
    // Where what was seen of its versions is lost, the latest one is known of.
    let latest = summary.latest.as_deref().and_then(|latest| Version::new(latest).ok());
    let latest = latest.filter(|_| versions.is_empty());
    let mut offered: Vec<(&Version, Option<&VersionRecord>)> = versions
        .iter()
        .filter(|(_, record)| record.vanished.is_none())
        .map(|(version, record)| (version, Some(record)))
        .chain(latest.as_ref().map(|latest| (latest, None)))
        .collect();
    // The document is read where a rule asks for what it states, and else need not be.
    let is_asked = rules.for_package(&package).asks().meets(Missing::of(Fact::STATED));
    let content = match offered.first() {
        Some((version, _)) if is_asked || S::READS_DOCUMENTS => {
            let held = held::<S>(registry, &package, version).await.unwrap_or_else(|fault| {
                tracing::warn!(registry = %registry.name, %package, %fault, "what is stated of a package is not known to a search");
                None
            });
            // What can not be read is not what nobody states: a rule may let that one through.
            let Some(content) = held else { return Ok(None) };
            offered.retain(|(version, _)| S::Format::offers(&content.parsed, version));
            Some(content)
        }
        _ => None,
    };
    let asked = offered.iter().copied();
    let asked = asked.map(|(version, record)| {
        let document = content.as_ref().map(|content| &content.parsed);
        let stated = document.and_then(|document| S::Format::stated(document, version));
        (version, Remembered { registry: Some(&registry.name), record, stated })
    });
    let screened = garden.gate.screen(&rules, &package, asking, asked);
    let is_shown = |place: &usize| screened.shows(*place) || screened.is_undecided(*place);
    let allowed: Vec<&Version> =
        (0..offered.len()).filter(is_shown).map(|place| offered[place].0).collect();
    // Clients take nothing that is yanked where there is something else.
    let is_yanked = |version: &Version| {
        let document = content.as_ref().map(|content| &content.parsed);
        let stated = document.and_then(|document| S::Format::stated(document, version));
        stated.and_then(|stated| stated.yanked) == Some(true)
    };
    let standing: Vec<&Version> =
        allowed.iter().copied().filter(|version| !is_yanked(version)).collect();
    let offered = if standing.is_empty() { allowed } else { standing };
    let Some(version) = S::newest(&offered, summary.latest.as_deref()) else {
        return Ok(None);
    };
    let words = words_of(&summary, S::ECOSYSTEM, version);
    if !wanted.is_met_by(&find.name, words) {
        return Ok(None);
    }
    let (record, document) = (versions.get(version), content.as_ref());
    let document = document.map(|content| &*content.parsed);
    Ok(Some(S::show(&Shown { package: &package, words, version, record, document })))
}

/// What is held of a package, without asking any upstream.
async fn held<S: Searched>(
    registry: &Registry,
    package: &Package,
    version: &Version,
) -> Result<Option<Arc<Content<<S::Format as DocumentFormat>::Parsed>>>, PullError> {
    let (source, request) = (registry.source_of(package), S::Format::request(package));
    S::Format::documents(&registry.garden).held(source, &request, version).await
}

/// A whole number of any length: none is less than none, and nobody's list is longer than the
/// longest.
pub fn number(name: &str, text: &str) -> Result<usize, String> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("{name} has to be a whole number"));
    }
    let is_negative = digits.len() < text.len();
    Ok(if is_negative { 0 } else { text.parse().unwrap_or(usize::MAX) })
}

/// The words of a text, in small letters.
pub fn words(text: &str) -> Result<Vec<String>, String> {
    if text.len() > TEXT_AT_MOST || text.split_whitespace().count() > PARTS_AT_MOST {
        return Err("this is too much to search for at once".to_owned());
    }
    Ok(text.to_lowercase().split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::http::StatusCode;

    use super::*;
    use crate::registries::refusal::{retry_after, status_of};

    #[tokio::test]
    async fn who_finds_no_place_is_told_to_come_again() {
        let searches = Arc::new(Semaphore::new(1));
        let taken = place(&searches, Duration::ZERO).await.unwrap();
        let refused = place(&searches, Duration::ZERO).await.unwrap_err();
        assert!(matches!(refused, PullError::Busy), "{refused}");
        assert_eq!(status_of(&refused), StatusCode::SERVICE_UNAVAILABLE);
        assert!(retry_after(&refused).is_some());
        drop(taken);
        assert!(place(&searches, Duration::ZERO).await.is_ok());
    }
}
