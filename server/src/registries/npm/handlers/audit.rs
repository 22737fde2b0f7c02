//! `npm audit`: which of a project's packages have known holes.
//!
//! Where npm's advisories were imported, they are the answer ([`known`]), and nobody else hears of
//! the question. Else the upstream is asked, without anything of ours ([`questions`]); what it
//! answers is passed on. What is denied here is asked about like the rest: it is in use in that
//! project. Nothing is kept, because tomorrow's answer is another one.

mod known;
mod questions;

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use policies::package::{Ecosystem, Package};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use self::questions::{Bulk, Tree, empty_tree_answer, public_bulk, public_tree};
use super::super::refusal::Refusal;
use super::body::{JsonBound, receive};
use crate::metadata::MetadataError;
use crate::pull::PullError;
use crate::registries::Registry;
use crate::upstream::UpstreamError;

/// Unpacked; a large project's tree has some hundred kilobytes. What is read takes far more memory
/// than its text where it is all braces, and anybody may send it: so these are bounded too, and few
/// are read at once.
const QUESTION_AT_MOST: usize = 8 << 20;
const QUESTION: JsonBound = JsonBound { bytes: QUESTION_AT_MOST, brackets: 100_000 };
const ANSWER_AT_MOST: u64 = 16 << 20;
/// How long an audit waits for those before it.
const PATIENCE: Duration = Duration::from_secs(20);

const BULK: &str = "-/npm/v1/security/advisories/bulk";
const FULL: &str = "-/npm/v1/security/audits";
const QUICK: &str = "-/npm/v1/security/audits/quick";

/// The newer form: versions by package, answered by advisories by package.
pub async fn bulk(
    registry: &Registry,
    req: &HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Refusal> {
    let received = receive(req, body, QUESTION_AT_MOST, &registry.garden.audit_room).await?;
    let _turn = turn(registry).await?;
    let own = registry.own_names();
    if registry.garden.gate.rules().advisories().knows(Ecosystem::Npm) {
        let asked = reading(registry, move || received.read_json::<Bulk>(QUESTION)).await?;
        return answer_by_ourselves(registry, asked).await;
    }
    let asked = reading(registry, move || {
        let asked: Bulk = received.read_json(QUESTION)?;
        let asked = public_bulk(asked, &|package| !own.matches(package));
        Ok((!asked.is_empty()).then(|| to_bytes(&asked)))
    })
    .await?;
    let Some(answer) = ask(registry, BULK, asked).await? else {
        return Ok(json(Bytes::from_static(b"{}")));
    };
    let own = registry.own_names();
    let upstream = registry.upstream_name();
    let answer = blocking(move || {
        let mut known: BTreeMap<String, Box<RawValue>> = read_answer(&upstream, &answer)?;
        // Nothing is asked about own names, so nothing that is answered is about them.
        known.retain(|name, _| {
            !Package::new(Ecosystem::Npm, name).is_ok_and(|package| own.matches(&package))
        });
        Ok(to_bytes(&known))
    })
    .await?;
    Ok(json(answer))
}

/// By the advisories that were imported; nothing of the question leaves the house.
async fn answer_by_ourselves(registry: &Registry, asked: Bulk) -> Result<HttpResponse, Refusal> {
    let (rules, own) = (registry.garden.gate.rules(), registry.own_names());
    let found = blocking(move || {
        Ok(known::ids(rules.advisories(), &asked, |package| own.matches(package)))
    })
    .await?;
    let mut advisories = HashMap::new();
    for id in known::wanted(&found) {
        let failed = |fault: MetadataError| Refusal::Pull {
            what: "the audit".to_owned(),
            fault: fault.into(),
        };
        if let Some(advisory) = registry.garden.store.advisory(&id).await.map_err(failed)? {
            advisories.insert(id, advisory);
        }
    }
    let answer = blocking(move || Ok(to_bytes(&known::answer(&found, &advisories)))).await?;
    Ok(json(answer))
}

/// The older forms: a tree as in a lockfile, answered by advisories with paths.
pub async fn tree(
    registry: &Registry,
    req: &HttpRequest,
    body: web::Payload,
    quick: bool,
) -> Result<HttpResponse, Refusal> {
    let received = receive(req, body, QUESTION_AT_MOST, &registry.garden.audit_room).await?;
    let _turn = turn(registry).await?;
    let own = registry.own_names();
    let (asked, veil, size) = reading(registry, move || {
        let tree: Tree = received.read_json(QUESTION)?;
        let (asked, veil) = public_tree(&tree, &|package| !own.matches(package)).unzip();
        Ok((asked.map(|asked| to_bytes(&asked)), veil.unwrap_or_default(), tree.size()))
    })
    .await?;
    let path = if quick { QUICK } else { FULL };
    let Some(answer) = ask(registry, path, asked).await? else {
        return Ok(json(to_bytes(&empty_tree_answer(size))));
    };
    let upstream = registry.upstream_name();
    let answer = blocking(move || {
        let mut known: Value = read_answer(&upstream, &answer)?;
        veil.lift(&mut known);
        Ok(to_bytes(&known))
    })
    .await?;
    Ok(json(answer))
}

async fn turn(registry: &Registry) -> Result<tokio::sync::SemaphorePermit<'_>, Refusal> {
    let busy = || Refusal::Pull { what: "the audit".to_owned(), fault: PullError::Busy };
    let turn = tokio::time::timeout(PATIENCE, registry.garden.audits.acquire()).await;
    turn.ok().and_then(Result::ok).ok_or_else(busy)
}

/// `None` where there is nothing to ask, or nobody.
async fn ask(
    registry: &Registry,
    path: &str,
    asked: Option<Bytes>,
) -> Result<Option<Bytes>, Refusal> {
    let (Some(asked), Some(upstream)) = (asked, &registry.source.upstream) else {
        return Ok(None);
    };
    let answer = match upstream.answer_to(path, "application/json", asked).await {
        Ok(body) => body.at_most(ANSWER_AT_MOST).read_all().await,
        Err(fault) => Err(fault),
    };
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(UpstreamError::Absent { .. }) => {
            Err(Refusal::NoAudit { upstream: upstream.name().to_owned() })
        }
        Err(fault) => {
            let fault = PullError::from_upstream(upstream, fault);
            Err(Refusal::Pull { what: "the audit".to_owned(), fault })
        }
    }
}

fn read_answer<T: DeserializeOwned>(upstream: &str, answer: &Bytes) -> Result<T, Refusal> {
    serde_json::from_slice(answer).map_err(|fault| Refusal::Pull {
        what: "the audit".to_owned(),
        fault: PullError::Broken {
            upstream: upstream.to_owned(),
            cause: format!("it is no answer to an audit: {fault}"),
        },
    })
}

/// Reads a question when it is its turn.
async fn reading<T: Send + 'static>(
    registry: &Registry,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let failed = |_| Refusal::Pull { what: "the audit".to_owned(), fault: PullError::Internal };
    let _place = registry.garden.audit_readings.acquire().await.map_err(failed)?;
    blocking(work).await
}

/// Unpacking and reading megabytes does not keep others waiting.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|_| {
        Err(Refusal::Pull { what: "the audit".to_owned(), fault: PullError::Internal })
    })
}

fn to_bytes(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value)
        .expect("names, texts and what was JSON before can be written as JSON")
        .into()
}

fn json(body: Bytes) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(body)
}
