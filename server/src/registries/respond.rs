//! Answers with bytes: stored views and artifacts, with their validators, ranges and ages.
//!
//! Both are had only behind the gate, so conditional and partial requests are decided here and
//! not before.

use std::ops::Range;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    ACCEPT_RANGES, AGE, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_RANGE, CONTENT_TYPE, ETAG,
    HeaderValue, IF_NONE_MATCH, IF_RANGE, RANGE, VARY, WARNING,
};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};
use bytes::Bytes;
use futures_util::TryStreamExt;
use jiff::Timestamp;

use crate::edge::range::{self, ByteRange};
use crate::edge::stream_body;
use crate::gate::Admitted;
use crate::pull::artifacts::{Artifact, ArtifactBody};
use crate::pull::freshness::age;
use crate::pull::views::View;
use crate::registries::refusal::{DECISION_HEADER, decision_header};

/// How old an answer is, where it is served without the upstream's word.
#[derive(Clone, Copy, Debug)]
pub struct Staleness {
    pub checked: Timestamp,
    pub now: Timestamp,
}

/// A client asks again each time, which costs little with the `ETag`: what is taken back must be
/// gone at the next request.
const REVALIDATE: HeaderValue = HeaderValue::from_static("no-cache");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-cache");
const AUTHORIZATION: HeaderValue = HeaderValue::from_static("Authorization");

/// What an answer is, and what its form depends on.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    pub content_type: &'static str,
    /// The value of `Vary`.
    pub varies: &'static str,
}

/// In `If-None-Match`.
const ANY: &str = "*";
const BYTES: HeaderValue = HeaderValue::from_static("bytes");

pub fn view(
    req: &HttpRequest,
    view: &View,
    kind: Kind,
    staleness: Option<Staleness>,
) -> HttpResponse {
    if let Some(named) = named_etag(req, |etag| view.is_named_by(etag)) {
        // Who holds it in another encoding keeps that one: it is told of its own tag.
        let own = HeaderValue::from_str(named).ok().filter(|etag| *etag != ANY);
        let mut response = HttpResponse::NotModified();
        validate(&mut response, kind, own.or_else(|| view_etag(view)), staleness);
        return response.finish();
    }
    let length = view.body.len() as u64;
    let part = requested_range(req, view.etag(), length);
    let mut response = HttpResponse::Ok();
    validate(&mut response, kind, view_etag(view), staleness);
    if part == ByteRange::Unsatisfiable {
        return unsatisfiable(&mut response, length);
    }
    response
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(kind.content_type)))
        .insert_header((ACCEPT_RANGES, BYTES));
    if let Some(encoding) = view.encoding.name() {
        response.insert_header((CONTENT_ENCODING, HeaderValue::from_static(encoding)));
    }
    match part {
        ByteRange::Part(part) => {
            partial(&mut response, &part, length).body(slice(&view.body, &part))
        }
        _ => response.body(view.body.clone()),
    }
}

/// Another asker may be told something else: no cache on the way keeps it for two of them.
pub fn to_asker_alone(response: &mut HttpResponse) {
    let headers = response.headers_mut();
    if headers.get(CACHE_CONTROL).is_none_or(|value| *value == REVALIDATE) {
        headers.insert(CACHE_CONTROL, PRIVATE);
    }
    if headers.get_all(VARY).all(|value| *value != AUTHORIZATION) {
        headers.append(VARY, AUTHORIZATION);
    }
}

fn view_etag(view: &View) -> Option<HeaderValue> {
    HeaderValue::from_maybe_shared(view.etag().clone()).ok()
}

fn validate(
    response: &mut HttpResponseBuilder,
    kind: Kind,
    etag: Option<HeaderValue>,
    staleness: Option<Staleness>,
) {
    response
        .insert_header((CACHE_CONTROL, REVALIDATE))
        .insert_header((VARY, HeaderValue::from_static(kind.varies)));
    if let Some(etag) = etag {
        response.insert_header((ETAG, etag));
    }
    if let Some(staleness) = staleness {
        mark_stale(response, staleness);
    }
}

fn partial<'a>(
    response: &'a mut HttpResponseBuilder,
    part: &Range<u64>,
    length: u64,
) -> &'a mut HttpResponseBuilder {
    let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
    response.status(StatusCode::PARTIAL_CONTENT).insert_header((CONTENT_RANGE, range))
}

fn unsatisfiable(response: &mut HttpResponseBuilder, length: u64) -> HttpResponse {
    let range = format!("bytes */{length}");
    response.status(StatusCode::RANGE_NOT_SATISFIABLE).insert_header((CONTENT_RANGE, range));
    response.finish()
}

fn mark_stale(response: &mut HttpResponseBuilder, staleness: Staleness) {
    response
        .insert_header((AGE, age(staleness.checked, staleness.now).as_secs()))
        .insert_header((WARNING, "111 garth \"the upstream could not confirm this\""));
}

pub fn artifact(
    req: &HttpRequest,
    admitted: &Admitted,
    artifact: Artifact,
    content_type: &'static str,
) -> HttpResponse {
    let mut response = whole_or_part(req, admitted, artifact, content_type);
    if !admitted.audience().is_everybody() {
        to_asker_alone(&mut response);
    }
    response
}

fn whole_or_part(
    req: &HttpRequest,
    admitted: &Admitted,
    artifact: Artifact,
    content_type: &'static str,
) -> HttpResponse {
    let etag = artifact.etag.clone();
    let mut headers = HttpResponse::Ok();
    headers
        .insert_header((CACHE_CONTROL, REVALIDATE))
        .insert_header((CONTENT_TYPE, HeaderValue::from_static(content_type)))
        .insert_header((DECISION_HEADER, decision_header(admitted.decision())));
    if let Some(etag) = &etag {
        // Hex in quotes, which a header may hold.
        if let Ok(etag) = HeaderValue::from_maybe_shared(etag.clone()) {
            headers.insert_header((ETAG, etag));
        }
        headers.insert_header((ACCEPT_RANGES, BYTES));
        if named_etag(req, |candidate| candidate.as_bytes() == etag).is_some() {
            return headers.status(StatusCode::NOT_MODIFIED).finish();
        }
    }
    match artifact_range(req, etag.as_deref(), &artifact) {
        ByteRange::Whole => whole(headers, artifact),
        ByteRange::Part(part) => {
            let length = artifact.length.unwrap_or(part.end);
            partial(&mut headers, &part, length);
            match artifact.body {
                ArtifactBody::Memory(bytes) => headers.body(slice(&bytes, &part)),
                ArtifactBody::Blob(blob) => {
                    headers.body(stream_body(part.end - part.start, blob.stream(part)))
                }
                ArtifactBody::Arriving(_) => whole(headers, artifact),
            }
        }
        ByteRange::Unsatisfiable => unsatisfiable(&mut headers, artifact.length.unwrap_or(0)),
    }
}

/// A document that goes with a version and is passed on as it is.
pub fn plain(req: &HttpRequest, admitted: &Admitted, body: Bytes, etag: &str) -> HttpResponse {
    let mut response = HttpResponse::Ok();
    response
        .insert_header((CACHE_CONTROL, REVALIDATE))
        .insert_header((DECISION_HEADER, decision_header(admitted.decision())))
        .insert_header((ETAG, etag));
    let mut response = if named_etag(req, |candidate| candidate == etag).is_some() {
        response.status(StatusCode::NOT_MODIFIED).finish()
    } else {
        response.content_type("application/json").body(body)
    };
    if !admitted.audience().is_everybody() {
        to_asker_alone(&mut response);
    }
    response
}

fn whole(mut response: HttpResponseBuilder, artifact: Artifact) -> HttpResponse {
    match (artifact.body, artifact.length) {
        (ArtifactBody::Memory(bytes), _) => response.body(bytes),
        (ArtifactBody::Blob(blob), _) => {
            let length = blob.len();
            response.body(stream_body(length, blob.stream(0..length)))
        }
        (ArtifactBody::Arriving(stage), Some(length)) => {
            response.body(stream_body(length, stage.follow(0)))
        }
        // Without a length the transfer is chunked, and a failure keeps back the final chunk.
        (ArtifactBody::Arriving(stage), None) => {
            response.streaming(stage.follow(0).map_err(actix_web::error::ErrorBadGateway))
        }
    }
}

fn slice(bytes: &Bytes, part: &Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(part.start)..at(part.end))
}

/// A range counts only for what is there whole.
fn artifact_range(req: &HttpRequest, etag: Option<&[u8]>, artifact: &Artifact) -> ByteRange {
    match (etag, artifact.length, &artifact.body) {
        (_, _, ArtifactBody::Arriving(_)) => ByteRange::Whole,
        (Some(etag), Some(length), _) => requested_range(req, etag, length),
        _ => ByteRange::Whole,
    }
}

/// Behind `If-Range` it counts only for the same bytes; a date is never that, since none is sent.
fn requested_range(req: &HttpRequest, etag: &[u8], length: u64) -> ByteRange {
    match (req.headers().get(RANGE), req.headers().get(IF_RANGE)) {
        (Some(_), Some(condition)) if condition.as_bytes() != etag => ByteRange::Whole,
        (range, _) => range::parse(range.map(HeaderValue::as_bytes), length),
    }
}

/// What `If-None-Match` names of ours: a tag, or `*` for whatever there is. It compares weakly.
fn named_etag(req: &HttpRequest, is_ours: impl Fn(&str) -> bool) -> Option<&str> {
    let values = req.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok());
    values
        .flat_map(|value| value.split(','))
        .map(str::trim)
        .map(|candidate| candidate.strip_prefix("W/").unwrap_or(candidate))
        .find(|candidate| *candidate == ANY || is_ours(candidate))
}
