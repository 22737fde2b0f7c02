//! `Idempotency-Key`: what is asked for twice is done once.
//!
//! A client that does not know whether its change arrived asks again with the same key. The key is
//! remembered in the very commit that makes the change ([`Marking`] adds its record to the batch),
//! so after a crash both are there or neither. The answer is kept beside it as soon as it is known;
//! where it was lost, it is made anew of what was made. Keys are kept for a day, and so many of them.

mod marking;

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue, LOCATION};
use actix_web::middleware::Next;
use actix_web::{HttpResponse, web};
use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use sha2::{Digest as _, Sha256};

use crate::access::Person;
use crate::api::Api;
use crate::api::problem::Problem;
use crate::api::requests::RequestView;
use crate::api::rules::RuleView;
use crate::clock::Clock;
use crate::metadata::records::{self, AnswerRecord, KeptAnswer, Key, read_stored};
use crate::metadata::{MAX_VALUE, Metadata, MetadataError};

pub use marking::Marking;
use marking::{Mark, with};

pub const IDEMPOTENCY_KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// The answer is that of before.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

const KEPT: SignedDuration = SignedDuration::from_hours(24);
const MOST: usize = 10_000;
const MOST_OF_ONE: usize = 1000;
const MAX_KEY: usize = 255;
/// Old ones that are taken away with a new one.
const SWEEP: usize = 100;
const PAGE: usize = 500;
/// What of a record an answer may take. JSON may double it.
const MAX_ANSWER: usize = MAX_VALUE / 2 - 1024;

/// What is remembered of keys. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Once(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    metadata: Arc<dyn Metadata>,
    clock: Clock,
    held: Mutex<Held>,
    /// Held from a look at a tag to the end of the change.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Held {
    running: HashSet<String>,
    /// By whom, and since when.
    known: HashMap<String, (String, Timestamp)>,
}

/// While it is there nobody else does the same.
struct Running<'a> {
    once: &'a Once,
    hash: String,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.once.0.held.lock().running.remove(&self.hash);
    }
}

impl Once {
    pub async fn open(metadata: Arc<dyn Metadata>, clock: Clock) -> Result<Self, MetadataError> {
        let mut held = Held::default();
        let mut after: Option<Key<AnswerRecord>> = None;
        loop {
            let all = AnswerRecord::all();
            let page = records::scan(metadata.as_ref(), &all, after.as_ref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            for (key, record) in page {
                if let [hash] = key.parts().as_slice() {
                    held.known.insert((*hash).clone(), (record.who, record.at));
                }
                after = Some(key);
            }
            if is_last {
                break;
            }
        }
        Ok(Self(Arc::new(Inner {
            metadata,
            clock,
            held: Mutex::new(held),
            turn: tokio::sync::Mutex::default(),
        })))
    }

    /// Until it is dropped, no other change goes by a tag.
    pub async fn turn(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.0.turn.lock().await
    }

    /// A place for a new key, and which old ones go.
    fn begin(&self, who: &str, hash: &str) -> Result<(Running<'_>, Vec<String>), Problem> {
        let now = self.0.clock.now();
        let mut held = self.0.held.lock();
        let old: Vec<String> = held
            .known
            .iter()
            .filter(|(known, (_, at))| *known != hash && is_over(*at, now))
            .map(|(known, _)| known.clone())
            .take(SWEEP)
            .collect();
        let kept = held.known.values().filter(|(_, at)| !is_over(*at, now));
        let (all, of_one) =
            kept.fold((0, 0), |(all, own), (of, _)| (all + 1, own + usize::from(of == who)));
        if !held.known.contains_key(hash) && (all >= MOST || of_one >= MOST_OF_ONE) {
            let detail = format!(
                "{of_one} keys of yours and {all} in all are remembered, at most {MOST_OF_ONE} and \
                 {MOST}: each is for a day. Ask without a key, or later"
            );
            return Err(Problem::new(StatusCode::TOO_MANY_REQUESTS, "too-many-keys", detail));
        }
        if !held.running.insert(hash.to_owned()) {
            let detail = "the same is being done for this key at this moment; ask again";
            return Err(Problem::new(StatusCode::CONFLICT, "key-in-use", detail));
        }
        Ok((Running { once: self, hash: hash.to_owned() }, old))
    }

    fn remember(&self, hash: &str, who: &str, old: &[String]) {
        let mut held = self.0.held.lock();
        for hash in old {
            held.known.remove(hash);
        }
        held.known.insert(hash.to_owned(), (who.to_owned(), self.0.clock.now()));
    }
}

fn is_over(at: Timestamp, now: Timestamp) -> bool {
    now.duration_since(at) >= KEPT
}

/// The client's key; `None` where it sent none.
fn key_of(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(IDEMPOTENCY_KEY) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let is_key = (1..=MAX_KEY).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if is_key {
        return Ok(Some(text));
    }
    let detail = format!("Idempotency-Key is 1 to {MAX_KEY} printable characters, without spaces");
    Err(Problem::bad_request("invalid-key", detail))
}

/// Does what is asked, unless it was done for this key before. `is_secret`: the answer is shown once,
/// and not kept.
pub async fn run(
    api: &Api,
    person: &Person,
    is_secret: bool,
    mut request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let key = match key_of(request.headers()) {
        Ok(None) => return next.call(request).await,
        Ok(Some(key)) => key.to_owned(),
        Err(problem) => return Ok(request.into_response(problem.response())),
    };
    let who = person.token.as_deref().unwrap_or(&person.name).to_owned();
    let body = match request.extract::<web::Bytes>().await {
        Ok(body) => body,
        Err(fault) => return Ok(request.error_response(fault)),
    };
    let hash = hash([who.as_bytes(), key.as_bytes()]);
    let asked = [request.method().as_str(), request.path(), request.query_string()];
    let asked = hash_of(asked.map(str::as_bytes).into_iter().chain([&body[..]]));
    let (_running, old) = match api.once.begin(&who, &hash) {
        Ok(begun) => begun,
        Err(problem) => return Ok(request.into_response(problem.response())),
    };
    let before = match before(api, &hash, &asked).await {
        Ok(Before::Answered(answer)) => return Ok(request.into_response(*answer)),
        Ok(Before::Nothing(raw)) => raw,
        Err(problem) => return Ok(request.into_response(problem.response())),
    };
    let now = api.once.0.clock.now();
    let record = AnswerRecord { at: now, who: who.clone(), asked, made: Vec::new(), answer: None };
    let mark = Arc::new(Mark::new(AnswerRecord::key(&hash), before, record));
    request.set_payload(payload(body));
    let response = with(Arc::clone(&mark), next.call(request)).await?;
    if !response.status().is_success() {
        return Ok(response);
    }
    api.once.remember(&hash, &who, &old);
    let (request, response) = response.into_parts();
    let (response, answer) = kept(response, is_secret);
    let mut batch = mark.finish(answer);
    for hash in old {
        batch = batch.remove_record(&AnswerRecord::key(&hash));
    }
    if batch.changes.is_empty() {
        return Ok(ServiceResponse::new(request, response));
    }
    if let Err(fault) = api.once.0.metadata.commit(batch).await {
        // The change and its key are there; the answer is made anew if it is asked for.
        tracing::warn!(%fault, "an answer could not be kept beside its Idempotency-Key");
    }
    Ok(ServiceResponse::new(request, response))
}

enum Before {
    Answered(Box<HttpResponse>),
    /// With what an old record of this key says.
    Nothing(Option<Bytes>),
}

async fn before(api: &Api, hash: &str, asked: &str) -> Result<Before, Problem> {
    let key = AnswerRecord::key(hash);
    let stored = read_stored(api.once.0.metadata.as_ref(), &key).await?;
    let Some(stored) = stored else { return Ok(Before::Nothing(None)) };
    if is_over(stored.record.at, api.once.0.clock.now()) {
        return Ok(Before::Nothing(Some(stored.raw)));
    }
    if stored.record.asked != asked {
        let detail = "this key was used for something else; a new change takes a new key";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "key-used-otherwise", detail));
    }
    let mut response = match stored.record.answer {
        Some(answer) => replayed(answer),
        None => made_anew(api, &stored.record.made).await?,
    };
    response.headers_mut().insert(REPLAYED, HeaderValue::from_static("true"));
    Ok(Before::Answered(Box::new(response)))
}

fn replayed(answer: KeptAnswer) -> HttpResponse {
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::OK);
    let mut response = HttpResponse::build(status);
    if let Some(location) = answer.location {
        response.insert_header((LOCATION, location));
    }
    if answer.body.is_empty() {
        return response.finish();
    }
    response.content_type("application/json").body(answer.body)
}

/// The answer was lost, or is not kept: what was made is there to be looked at.
async fn made_anew(api: &Api, made: &[Vec<String>]) -> Result<HttpResponse, Problem> {
    for parts in made {
        let parts: Vec<&str> = parts.iter().map(String::as_str).collect();
        match parts.as_slice() {
            ["rule", name] => {
                let set = api.rules.current();
                let rule = set.rule(name).ok_or_else(|| gone(&format!("the rule {name}")))?;
                let view = RuleView::new(rule, api.clock.now());
                let location = (LOCATION, format!("/api/v1/rules/{name}"));
                return Ok(HttpResponse::Created().insert_header(location).json(view));
            }
            ["request", _, number] => {
                let number = number.parse().unwrap_or_default();
                let found = api.requests.get(number).await?;
                let found = found.ok_or_else(|| gone(&format!("the request {number}")))?;
                let location = (LOCATION, format!("/api/v1/requests/{number}"));
                let view = serde_json::json!({ "request": RequestView::from(found) });
                return Ok(HttpResponse::Created().insert_header(location).json(view));
            }
            [kind, name @ ..] => {
                let detail = format!(
                    "this key was used before: the {kind} {} was made with it. What was answered \
                     then is not kept; look at it, or rotate it where a secret was lost",
                    name.join("/")
                );
                return Err(Problem::new(StatusCode::CONFLICT, "done-already", detail));
            }
            [] => {}
        }
    }
    let detail = "this key was used before, and what was answered then is not kept";
    Err(Problem::new(StatusCode::CONFLICT, "done-already", detail))
}

fn gone(what: &str) -> Problem {
    let detail = format!("this key was used before: {what} was made with it, and is gone since");
    Problem::new(StatusCode::CONFLICT, "done-already", detail)
}

/// What of an answer is kept, if it is small and no secret.
fn kept(response: HttpResponse, is_secret: bool) -> (HttpResponse, Option<KeptAnswer>) {
    let (head, body) = response.into_parts();
    match body.try_into_bytes() {
        Err(body) => (head.set_body(body), None),
        Ok(bytes) => {
            let text = std::str::from_utf8(&bytes).ok().filter(|text| text.len() <= MAX_ANSWER);
            let location = head.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            let answer = text.filter(|_| !is_secret).map(|text| KeptAnswer {
                status: head.status().as_u16(),
                location: location.map(str::to_owned),
                body: text.to_owned(),
            });
            (head.set_body(BoxBody::new(bytes)), answer)
        }
    }
}

fn payload(body: Bytes) -> Payload {
    let (_, mut payload) = actix_http::h1::Payload::create(true);
    payload.unread_data(body);
    Payload::from(payload)
}

fn hash<const N: usize>(parts: [&[u8]; N]) -> String {
    hash_of(parts)
}

/// Of each part with its length, so that no two lists of parts are one text.
fn hash_of<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part);
    }
    hex::encode(hasher.finalize())
}
