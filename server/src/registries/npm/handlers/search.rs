//! `npm search`: what there is in this garden.
//!
//! No upstream is asked: what is found is what was asked for here before, and what is published
//! here. Each find passes the gate, and is shown in the newest version that is allowed: it has to be
//! what was looked for, and it is shown with its own words alone.

use std::sync::Arc;
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse};
use policies::facts::{Fact, Missing};
use policies::package::{Ecosystem, Package, Version};
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};
use url::form_urlencoded;

use super::super::refusal::Refusal;
use super::finding::pull_refusal;
use crate::facts::Remembered;
use crate::gate::Asking;
use crate::metadata::records::{PeopleRecord, Somebody, SummaryRecord, VersionRecord, WordsRecord};
use crate::pull::PullError;
use crate::pull::summaries::words::{Words, words_of};
use crate::pull::summaries::{Find, Wanted, make_missing};
use crate::registries::callers::readable;
use crate::registries::npm::documents::{NpmDocuments, latest_offered};
use crate::registries::npm::held;
use crate::registries::{Registry, respond};

/// npm's own registry gives no more at once.
const SIZE_AT_MOST: usize = 250;
const SIZE: usize = 20;
/// Nobody reads on to here.
const FROM_AT_MOST: usize = 1000;
const TEXT_AT_MOST: usize = 512;
const PARTS_AT_MOST: usize = 32;
/// How many packages and versions are looked at for one answer, where much is found and little of
/// it may be shown.
const LOOK_AT_MOST: usize = 100_000;
const PATIENCE: Duration = Duration::from_secs(2);
/// How long a search waits for those before it.
const WAIT: Duration = Duration::from_secs(2);

#[derive(Debug, PartialEq, Eq)]
struct Question {
    wanted: Wanted,
    from: usize,
    size: usize,
}

pub async fn search(
    registry: &Arc<Registry>,
    req: &HttpRequest,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    let question = parse(req.query_string())?;
    let (garden, source) = (&registry.garden, &registry.source);
    let fault = |fault| pull_refusal("this search".to_owned(), source, fault);
    let place = place(&garden.searches, WAIT).await.map_err(fault)?;
    let runtime = garden.store.runtime.clone();
    let (asked, here) = (Arc::clone(registry), runtime.clone());
    let readable = readable(registry, req);
    // Away from those who serve. The place is taken until the work is done, whoever waits for it.
    let looking = move || {
        let found = here.block_on(find(&asked, &asking, &readable, question));
        drop(place);
        found
    };
    let found = runtime.spawn_blocking(looking).await.unwrap_or(Err(PullError::Internal));
    let Found { shown, count } = found.map_err(fault)?;
    let now = garden.store.clock.now();
    let mut response = HttpResponse::Ok().json(json!({
        "objects": shown,
        "total": count,
        "time": format!("{now:.3}"),
    }));
    if garden.gate.rules().tells_askers_apart() {
        respond::to_asker_alone(&mut response);
    }
    Ok(response)
}

/// Whoever finds no place comes again later: what is installed meanwhile does not wait for it.
async fn place(
    searches: &Arc<Semaphore>,
    wait: Duration,
) -> Result<OwnedSemaphorePermit, PullError> {
    let place = timeout(wait, Arc::clone(searches).acquire_owned()).await;
    place.ok().and_then(Result::ok).ok_or(PullError::Busy)
}

struct Found {
    shown: Vec<Value>,
    /// Those before them among them.
    count: usize,
}

async fn find(
    registry: &Registry,
    asking: &Asking,
    readable: &impl Fn(&Package) -> bool,
    question: Question,
) -> Result<Found, PullError> {
    let store = &registry.garden.store;
    let wanted = question.wanted;
    let finds = store.summaries.search(&store.metadata, &registry.name, wanted.clone()).await?;
    make_missing::<NpmDocuments>(store, &registry.name, Ecosystem::Npm);
    let (end, begun) = (question.from + question.size, Instant::now());
    let (mut found, mut looks) = (Found { shown: Vec::new(), count: 0 }, LOOK_AT_MOST);
    for find in finds {
        if found.count == end || looks == 0 || begun.elapsed() > PATIENCE {
            break;
        }
        let Ok(package) = Package::new(Ecosystem::Npm, &find.name) else { continue };
        if !readable(&package) {
            continue;
        }
        let shown = look_at(registry, asking, &wanted, (&find, package), &mut looks).await?;
        let Some(shown) = shown else { continue };
        found.count += 1;
        if found.count > question.from {
            found.shown.push(shown);
        }
    }
    Ok(found)
}

/// What is shown of a package, if anything of it may be and is wanted; takes from `looks` what it cost.
async fn look_at(
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
        Some((version, _)) if is_asked => {
            let held = held(registry, &package, version).await.unwrap_or_else(|fault| {
                tracing::warn!(registry = %registry.name, %package, %fault, "what is stated of a package is not known to a search");
                None
            });
            // What can not be read is not what nobody states: a rule may let that one through.
            let Some(content) = held else { return Ok(None) };
            offered.retain(|(version, _)| content.parsed.entry(version).is_some());
            Some(content)
        }
        _ => None,
    };
    let asked = offered.iter().copied();
    let asked = asked.map(|(version, record)| {
        let entry = content.as_ref().and_then(|content| content.parsed.entry(version));
        let stated = entry.map(|entry| &entry.stated);
        (version, Remembered { registry: Some(&registry.name), record, stated })
    });
    let screened = garden.gate.screen(&rules, &package, asking, asked);
    let allowed = offered.iter().enumerate().filter(|(index, _)| screened.shows(*index));
    let allowed: Vec<&Version> = allowed.map(|(_, (version, _))| *version).collect();
    let Some(version) = latest_offered(&allowed, summary.latest.as_deref()) else {
        return Ok(None);
    };
    let words = words_of(&summary, Ecosystem::Npm, version);
    if !wanted.is_met_by(&find.name, words) {
        return Ok(None);
    }
    Ok(Some(show(&package, words, version, versions.get(version))))
}

fn show(
    package: &Package,
    words: Option<Words<'_>>,
    version: &Version,
    record: Option<&VersionRecord>,
) -> Value {
    let (nothing, nobody) = (WordsRecord::default(), PeopleRecord::default());
    let Words { said, people } = words.unwrap_or(Words { said: &nothing, people: &nobody });
    let mut links = Map::new();
    for (name, link) in
        [("homepage", &said.homepage), ("repository", &said.repository), ("bugs", &said.bugs)]
    {
        if let Some(link) = link {
            links.insert(name.to_owned(), link.as_str().into());
        }
    }
    let maintainers: Vec<Value> = people.maintainers.iter().map(person).collect();
    let scope = package.scope().map_or("unscoped", |scope| scope.trim_start_matches('@'));
    let mut found = json!({
        "name": package.name(),
        "scope": scope,
        "version": version.as_str(),
        "description": said.description,
        "keywords": said.keywords,
        "date": record.and_then(|record| record.published).map(|at| format!("{at:.3}")),
        "links": links,
        "maintainers": maintainers,
        "license": said.license,
    });
    if let Some(author) = &people.author {
        found["author"] = json!({ "name": author.name, "email": author.email });
    }
    if let Some(publisher) = &people.publisher {
        found["publisher"] = person(publisher);
    }
    // Clients expect them; nothing is measured here.
    let score = json!({
        "final": 1.0,
        "detail": { "quality": 1.0, "popularity": 1.0, "maintenance": 1.0 },
    });
    json!({ "package": found, "score": score, "searchScore": 1.0 })
}

fn person(somebody: &Somebody) -> Value {
    json!({ "username": somebody.name, "email": somebody.email })
}

fn parse(query: &str) -> Result<Question, Refusal> {
    let mut question = Question { wanted: Wanted::default(), from: 0, size: SIZE };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "text" => question.wanted = parse_text(&value)?,
            "size" => question.size = number("size", &value)?.min(SIZE_AT_MOST),
            "from" => question.from = number("from", &value)?.min(FROM_AT_MOST),
            // Weights of what is not measured here.
            _ => {}
        }
    }
    Ok(question)
}

/// A whole number of any length: none is less than none, and nobody's list is longer than the
/// longest.
fn number(name: &str, text: &str) -> Result<usize, Refusal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::Malformed(format!("{name} has to be a whole number")));
    }
    let is_negative = digits.len() < text.len();
    Ok(if is_negative { 0 } else { text.parse().unwrap_or(usize::MAX) })
}

/// Words, and npm's qualifiers: `keywords:a,b` `author:ann` `maintainer:ann` `scope:acme`. Everything
/// else is a word as it stands.
fn parse_text(text: &str) -> Result<Wanted, Refusal> {
    let mut wanted = Wanted::default();
    if text.len() > TEXT_AT_MOST || text.split_whitespace().count() > PARTS_AT_MOST {
        return Err(Refusal::Malformed("this is too much to search for at once".to_owned()));
    }
    for part in text.to_lowercase().split_whitespace() {
        match part.split_once(':') {
            Some(("keywords", words)) if !words.is_empty() => {
                let words = words.split(',').filter(|word| !word.is_empty());
                wanted.keywords.push(words.map(str::to_owned).collect());
            }
            Some(("author" | "maintainer", name)) if !name.is_empty() => {
                wanted.people.push(name.to_owned());
            }
            Some(("scope", scope)) if !scope.is_empty() => {
                wanted.scopes.push(scope.trim_start_matches('@').to_owned());
            }
            // They ask for what is not measured here.
            Some(("is" | "not" | "boost-exact", _)) => {}
            _ => wanted.words.push(part.to_owned()),
        }
    }
    Ok(wanted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::http::StatusCode;

    use super::*;
    use crate::registries::refusal::{retry_after, status_of};

    #[test]
    fn a_question_is_read_within_bounds() {
        let rows = [
            ("text=left+pad", Some((2, 0, 20))),
            ("text=%25&size=1&from=7", Some((1, 7, 1))),
            ("size=1000000000000", Some((0, 0, 250))),
            (
                "size=99999999999999999999999999&from=99999999999999999999999999",
                Some((0, 1000, 250)),
            ),
            ("size=0", Some((0, 0, 0))),
            ("size=-1&from=-1", Some((0, 0, 0))),
            ("size=-99999999999999999999999999", Some((0, 0, 0))),
            ("size=-", None),
            ("size=--1", None),
            ("size=1e3", None),
            ("size=", None),
            ("size=x", None),
            ("", Some((0, 0, 20))),
        ];
        for (query, expected) in rows {
            let read = parse(query).ok();
            let read = read.map(|read| (read.wanted.words.len(), read.from, read.size));
            assert_eq!(read, expected, "{query}");
        }
        assert!(parse(&format!("text={}", "x".repeat(600))).is_err());
        assert!(parse(&format!("text={}", "x+".repeat(100))).is_err());
    }

    #[test]
    fn qualifiers_are_told_from_words() {
        let text = "Left keywords:a,B author:Ann maintainer:bob scope:@acme is:x not:y a:b scope:";
        let wanted = parse_text(text).unwrap();
        assert_eq!(wanted.words, ["left", "a:b", "scope:"]);
        assert_eq!(wanted.keywords, [["a", "b"]]);
        assert_eq!(wanted.people, ["ann", "bob"]);
        assert_eq!(wanted.scopes, ["acme"]);
    }

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
