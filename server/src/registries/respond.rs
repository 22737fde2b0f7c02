//! Answers with bytes: stored views and artifacts, with their validators, ranges and ages.
//!
//! Both are had only behind the gate, so conditional and partial requests are decided here and
//! not before.

use std::sync::Arc;

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

pub fn view(
    req: &HttpRequest,
    view: &Arc<View>,
    content_type: &'static str,
    staleness: Option<Staleness>,
) -> HttpResponse {
    let unchanged = names_etag(req, &view.etag);
    let mut response = if unchanged { HttpResponse::NotModified() } else { HttpResponse::Ok() };
    response
        .insert_header((ETAG, view.etag.as_str()))
        .insert_header((CACHE_CONTROL, REVALIDATE))
        .insert_header((VARY, "Accept, Accept-Encoding"));
    if let Some(staleness) = staleness {
        mark_stale(&mut response, staleness);
    }
    if unchanged {
        return response.finish();
    }
    if let Some(encoding) = view.encoding.header() {
        response.insert_header((CONTENT_ENCODING, encoding));
    }
    response.insert_header((CONTENT_TYPE, content_type));
    response.body(view.body.clone())
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
    let etag = artifact.digest.as_ref().map(|digest| format!("\"{}\"", digest.hex()));
    let mut headers = HttpResponse::Ok();
    headers
        .insert_header((CACHE_CONTROL, REVALIDATE))
        .insert_header((CONTENT_TYPE, content_type))
        .insert_header((DECISION_HEADER, decision_header(admitted.decision())));
    if let Some(etag) = &etag {
        headers.insert_header((ETAG, etag.as_str())).insert_header((ACCEPT_RANGES, "bytes"));
        if names_etag(req, etag) {
            return headers.status(StatusCode::NOT_MODIFIED).finish();
        }
    }
    match requested_range(req, etag.as_deref(), &artifact) {
        ByteRange::Whole => whole(headers, artifact),
        ByteRange::Part(part) => {
            let length = artifact.length.unwrap_or(part.end);
            let range = format!("bytes {}-{}/{length}", part.start, part.end - 1);
            headers.status(StatusCode::PARTIAL_CONTENT).insert_header((CONTENT_RANGE, range));
            match artifact.body {
                ArtifactBody::Memory(bytes) => headers.body(slice(&bytes, &part)),
                ArtifactBody::Blob(blob) => {
                    headers.body(stream_body(part.end - part.start, blob.stream(part)))
                }
                ArtifactBody::Arriving(_) => whole(headers, artifact),
            }
        }
        ByteRange::Unsatisfiable => {
            let range = format!("bytes */{}", artifact.length.unwrap_or(0));
            headers
                .status(StatusCode::RANGE_NOT_SATISFIABLE)
                .insert_header((CONTENT_RANGE, range))
                .finish()
        }
    }
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

fn slice(bytes: &Bytes, part: &std::ops::Range<u64>) -> Bytes {
    let at = |offset: u64| usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
    bytes.slice(at(part.start)..at(part.end))
}

/// A range counts only for what is there whole, and behind `If-Range` only for the same bytes.
fn requested_range(req: &HttpRequest, etag: Option<&str>, artifact: &Artifact) -> ByteRange {
    let (Some(length), Some(etag)) = (artifact.length, etag) else { return ByteRange::Whole };
    if matches!(artifact.body, ArtifactBody::Arriving(_)) {
        return ByteRange::Whole;
    }
    if req.headers().get(IF_RANGE).is_some_and(|condition| condition.as_bytes() != etag.as_bytes())
    {
        return ByteRange::Whole;
    }
    range::parse(req.headers().get(RANGE).map(HeaderValue::as_bytes), length)
}

/// `If-None-Match` compares weakly; `*` names every representation there is.
fn names_etag(req: &HttpRequest, etag: &str) -> bool {
    req.headers().get_all(IF_NONE_MATCH).filter_map(|value| value.to_str().ok()).any(|value| {
        value.split(',').map(str::trim).any(|candidate| {
            candidate == "*" || candidate.strip_prefix("W/").unwrap_or(candidate) == etag
        })
    })
}
