//! `npm audit`: which of a project's packages have known holes.
//!
//! Where npm's advisories were imported, they are the answer ([`known`]), and nobody else hears of
//! the question. Else the upstream is asked, without anything of ours ([`questions`]); what it
//! answers is passed on. What is denied here is asked about like the rest: it is in use in that
//! project. Where nobody can be asked, that is said: nothing known is not nothing found. What is in
//! flight, questions and answers together, has a room of so many bytes; who finds it full is told to
//! come again. Nothing is kept, because tomorrow's answer is another one.

mod known;
mod questions;

use std::collections::{BTreeMap, HashMap};

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::{Bytes, BytesMut};
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
use crate::registries::bodies::{BodyPlace, HeldBody};
use crate::upstream::UpstreamError;

/// Unpacked; a large project's tree has some hundred kilobytes. What is read takes far more memory
/// than its text where it is all braces, and anybody may send it: so these are bounded too, and few
/// are read at once.
const QUESTION_AT_MOST: usize = 8 << 20;
const QUESTION: JsonBound = JsonBound { bytes: QUESTION_AT_MOST, brackets: 100_000 };
const ANSWER_AT_MOST: u64 = 16 << 20;
/// Objects, lists and what stands in them, which costs many times its text once it is read.
const ANSWER_VALUES_AT_MOST: usize = 1_000_000;

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
    let own = registry.names_own_anywhere();
    if registry.garden.gate.rules().advisories().knows(Ecosystem::Npm) {
        let asked = reading(registry, move || {
            let asked: Bulk = received.read_json(QUESTION)?;
            Ok((asked, received.into_place()))
        });
        let (asked, place) = asked.await?;
        return answer_by_ourselves(registry, asked, place).await;
    }
    let (question, place) = reading(registry, move || {
        let asked: Bulk = received.read_json(QUESTION)?;
        let is_empty = asked.is_empty();
        let asked = public_bulk(asked, &|package| !own.matches(package));
        let public = (!asked.is_empty()).then(|| to_bytes(&asked));
        Ok((Question { is_empty, public }, received.into_place()))
    })
    .await?;
    let Some((answer, place)) = ask(registry, BULK, question, place).await? else {
        return Ok(json(Bytes::from_static(b"{}"), BodyPlace::default()));
    };
    let own = registry.names_own_anywhere();
    let upstream = registry.upstream_name();
    let answer = reading(registry, move || {
        let mut known: BTreeMap<String, Box<RawValue>> = read_answer(&upstream, &answer)?;
        // Nothing is asked about own names, so nothing that is answered is about them.
        known.retain(|name, _| {
            !Package::new(Ecosystem::Npm, name).is_ok_and(|package| own.matches(&package))
        });
        Ok(to_bytes(&known))
    })
    .await?;
    sized_json(registry, answer, place)
}

/// By the advisories that were imported; nothing of the question leaves the house.
async fn answer_by_ourselves(
    registry: &Registry,
    asked: Bulk,
    place: BodyPlace,
) -> Result<HttpResponse, Refusal> {
    let (rules, own) = (registry.garden.gate.rules(), registry.names_own_anywhere());
    let found = reading(registry, move || {
        Ok(known::ids(rules.advisories(), &asked, |package| own.matches(package)))
    })
    .await?;
    let mut advisories = HashMap::new();
    for id in known::wanted(&found).map_err(Refusal::Malformed)? {
        let failed = |fault: MetadataError| refusal(fault.into());
        let advisory = registry.garden.store.advisory(&id).await.map_err(failed)?;
        // An import is just taking it away: who asks again is told by what it brings.
        let advisory = advisory.ok_or_else(|| refusal(PullError::Busy))?;
        advisories.insert(id, known::narrowed(advisory, &found));
    }
    let answer =
        reading(registry, move || Ok(to_bytes(&known::answer(&found, &advisories)))).await?;
    sized_json(registry, answer, place)
}

/// The older forms: a tree as in a lockfile, answered by advisories with paths.
pub async fn tree(
    registry: &Registry,
    req: &HttpRequest,
    body: web::Payload,
    quick: bool,
) -> Result<HttpResponse, Refusal> {
    let received = receive(req, body, QUESTION_AT_MOST, &registry.garden.audit_room).await?;
    let own = registry.names_own_anywhere();
    let (question, veil, size, place) = reading(registry, move || {
        let tree: Tree = received.read_json(QUESTION)?;
        let (asked, veil) = public_tree(&tree, &|package| !own.matches(package)).unzip();
        let size = tree.size();
        let question =
            Question { is_empty: size == 0, public: asked.map(|asked| to_bytes(&asked)) };
        Ok((question, veil.unwrap_or_default(), size, received.into_place()))
    })
    .await?;
    let path = if quick { QUICK } else { FULL };
    let Some((answer, place)) = ask(registry, path, question, place).await? else {
        return Ok(json(to_bytes(&empty_tree_answer(size)), BodyPlace::default()));
    };
    let upstream = registry.upstream_name();
    let answer = reading(registry, move || {
        let mut known: Value = read_answer(&upstream, &answer)?;
        veil.lift(&mut known);
        Ok(to_bytes(&known))
    })
    .await?;
    sized_json(registry, answer, place)
}

struct Question {
    /// It names no package at all.
    is_empty: bool,
    /// What of it may be asked.
    public: Option<Bytes>,
}

/// `None` where there is nothing to ask. The place is that of the question, and then of the answer.
async fn ask(
    registry: &Registry,
    path: &str,
    question: Question,
    mut place: BodyPlace,
) -> Result<Option<(Bytes, BodyPlace)>, Refusal> {
    if question.is_empty {
        return Ok(None);
    }
    let Some(upstream) = &registry.source.upstream else {
        return Err(Refusal::NoAudit { upstream: None });
    };
    let Some(asked) = question.public else { return Ok(None) };
    let (room, size) = (&registry.garden.audit_room, asked.len());
    room.widen(&mut place, size).map_err(refusal)?;
    place.narrow(size);
    let answering = async {
        let body = upstream.answer_to(path, "application/json", asked).await;
        let mut body = body.map_err(Unanswered::Upstream)?.at_most(ANSWER_AT_MOST);
        let mut answer = BytesMut::new();
        while let Some(piece) = body.chunk().await.map_err(Unanswered::Upstream)? {
            let arrived = answer.len() + piece.len();
            room.widen(&mut place, size + arrived).map_err(Unanswered::Pull)?;
            answer.extend_from_slice(&piece);
        }
        Ok(answer.freeze())
    };
    match answering.await {
        Ok(answer) => {
            place.narrow(answer.len());
            Ok(Some((answer, place)))
        }
        Err(Unanswered::Upstream(UpstreamError::Absent { .. })) => {
            Err(Refusal::NoAudit { upstream: Some(upstream.name().to_owned()) })
        }
        Err(Unanswered::Upstream(fault)) => Err(refusal(PullError::from_upstream(upstream, fault))),
        Err(Unanswered::Pull(fault)) => Err(refusal(fault)),
    }
}

enum Unanswered {
    Upstream(UpstreamError),
    Pull(PullError),
}

fn refusal(fault: PullError) -> Refusal {
    Refusal::Pull { what: "the audit".to_owned(), fault }
}

fn read_answer<T: DeserializeOwned>(upstream: &str, answer: &Bytes) -> Result<T, Refusal> {
    let broken = |cause| refusal(PullError::Broken { upstream: upstream.to_owned(), cause });
    // Counted without reading, so those within texts count too.
    let values = answer.iter().filter(|byte| matches!(byte, b'{' | b'[' | b',')).count();
    if values > ANSWER_VALUES_AT_MOST {
        return Err(broken(format!("its audit has more than {ANSWER_VALUES_AT_MOST} values")));
    }
    serde_json::from_slice(answer)
        .map_err(|fault| broken(format!("it is no answer to an audit: {fault}")))
}

/// Reads a question or an answer when it is its turn.
async fn reading<T: Send + 'static>(
    registry: &Registry,
    work: impl FnOnce() -> Result<T, Refusal> + Send + 'static,
) -> Result<T, Refusal> {
    let failed = |_| refusal(PullError::Internal);
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

/// Of the size that it has by now, which is not quite that of the answer that it was made of.
fn sized_json(
    registry: &Registry,
    body: Bytes,
    mut place: BodyPlace,
) -> Result<HttpResponse, Refusal> {
    registry.garden.audit_room.widen(&mut place, body.len()).map_err(refusal)?;
    place.narrow(body.len());
    Ok(json(body, place))
}

fn json(body: Bytes, place: BodyPlace) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(HeldBody::new(body, place))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_would_be_endless_values_is_not_read() {
        let values = |count: usize| Bytes::from(format!("[{}0]", "0,".repeat(count)));
        assert!(read_answer::<Value>("npm", &values(10_000)).is_ok());
        let refused = read_answer::<Value>("npm", &values(5_000_000)).unwrap_err();
        assert!(matches!(refused, Refusal::Pull { fault: PullError::Broken { .. }, .. }));
    }
}
