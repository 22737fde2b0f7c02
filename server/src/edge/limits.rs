//! How much and how slowly a client may send and read, and which requests are refused before any
//! handler sees them.
//!
//! actix-http already refuses most forms of smuggling; what it lets through is refused here, and
//! what it refuses is checked again, because HTTP/2 takes another way in and a later version may
//! think otherwise.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::RequestHead;
use actix_web::http::header::{
    CONTENT_LENGTH, EXPECT, HOST, HeaderName, TRANSFER_ENCODING, UPGRADE,
};
use actix_web::http::{Method, StatusCode, Version};
use ipnet::IpNet;

use super::problem::Problem;

type BodyLimits = Arc<dyn Fn(&Method, &str) -> BodyLimit + Send + Sync>;

/// How large a body may be, and which setting says so, if one does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyLimit {
    pub bytes: u64,
    pub setting: Option<&'static str>,
}

impl BodyLimit {
    /// Which nobody can change.
    pub const fn fixed(bytes: u64) -> Self {
        Self { bytes, setting: None }
    }
}

/// The defaults suit a server that anyone in the company can reach.
#[derive(Clone)]
pub struct Limits {
    pub connections: usize,
    pub connections_per_address: usize,
    /// Of loopback and of the trusted proxies, behind which many clients stand.
    pub connections_per_trusted_address: usize,
    pub trusted_proxies: Vec<IpNet>,
    /// Requests at once on one HTTP/2 connection; actix-http sets no bound.
    pub streams_per_connection: u32,

    /// From the accept, TLS included, or from the first byte of a later request, to a whole head.
    pub head: Duration,
    /// Between two requests of one connection.
    pub idle: Duration,
    /// A whole request body.
    pub body_total: Duration,
    /// Bytes a second over any [`Limits::rate_window`] of a request body.
    pub body_rate: u64,
    /// Bytes a second that a client takes over a [`Limits::rate_window`] of waiting for it.
    pub read_rate: u64,
    /// A client that takes nothing at all for this long is gone.
    pub read_stall: Duration,
    pub rate_window: Duration,

    pub uri_bytes: usize,
    pub header_bytes: usize,
    pub header_count: usize,
    /// Of a request to this method and raw path; asked once, before routing.
    pub body_bytes: BodyLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 512,
            connections_per_trusted_address: 8_192,
            trusted_proxies: Vec::new(),
            streams_per_connection: 256,
            head: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            body_total: Duration::from_mins(30),
            body_rate: 1024,
            read_rate: 1024,
            read_stall: Duration::from_secs(30),
            rate_window: Duration::from_secs(20),
            uri_bytes: 8 * 1024,
            header_bytes: 32 * 1024,
            header_count: 64,
            body_bytes: Arc::new(|_, _| BodyLimit::fixed(1024 * 1024)),
        }
    }
}

impl fmt::Debug for Limits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Limits")
            .field("connections", &self.connections)
            .field("connections_per_address", &self.connections_per_address)
            .finish_non_exhaustive()
    }
}

/// Why the head of a request is refused, or the length of its body where it names one.
pub fn check_head(head: &RequestHead, limits: &Limits) -> Result<Option<u64>, Problem> {
    let uri_bytes = head.uri.path().len() + head.uri.query().map_or(0, |query| query.len() + 1);
    if uri_bytes > limits.uri_bytes {
        return Err(Problem::new(
            StatusCode::URI_TOO_LONG,
            "uri-too-long",
            format!("this address is longer than {} bytes", limits.uri_bytes),
        ));
    }
    check_header_size(head, limits)?;
    check_framing(head)?;
    let length = content_length(head)?;
    let limit = (limits.body_bytes)(&head.method, head.uri.path());
    if length.is_some_and(|length| length > limit.bytes) {
        return Err(Problem::body_too_large(limit));
    }
    Ok(length)
}

fn check_header_size(head: &RequestHead, limits: &Limits) -> Result<(), Problem> {
    let (count, bytes) = head.headers.iter().fold((0, 0), |(count, bytes), (name, value)| {
        (count + 1, bytes + name.as_str().len() + value.len() + 4)
    });
    if count > limits.header_count || bytes > limits.header_bytes {
        return Err(Problem::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "headers-too-large",
            format!(
                "the request has {count} headers of {bytes} bytes in all; at most {} headers of {} bytes are taken",
                limits.header_count, limits.header_bytes
            ),
        ));
    }
    Ok(())
}

fn check_framing(head: &RequestHead) -> Result<(), Problem> {
    let values = |name: HeaderName| head.headers.get_all(name);
    let ambiguous = |why: &'static str| Err(Problem::bad_request("ambiguous-framing", why));

    if head.method == Method::CONNECT || head.method == Method::TRACE {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method-not-allowed",
            format!("{} is not served here", head.method),
        ));
    }
    if values(CONTENT_LENGTH).count() > 1 {
        return ambiguous("the request has more than one Content-Length");
    }
    let mut encodings = values(TRANSFER_ENCODING);
    if let Some(encoding) = encodings.next() {
        if encodings.next().is_some() {
            return ambiguous("the request has more than one Transfer-Encoding");
        }
        if head.headers.contains_key(CONTENT_LENGTH) {
            return ambiguous("the request has both Content-Length and Transfer-Encoding");
        }
        if head.version != Version::HTTP_11 {
            return ambiguous("Transfer-Encoding belongs to HTTP/1.1 only");
        }
        if !encoding.as_bytes().eq_ignore_ascii_case(b"chunked") {
            return ambiguous("the only Transfer-Encoding that is understood is chunked");
        }
    }
    // actix-http reads such a body up to the end of the connection and forgets Content-Length.
    if values(UPGRADE).any(|value| contains_ignoring_case(value.as_bytes(), b"websocket")) {
        return ambiguous("no websocket is served here; leave the Upgrade header out");
    }
    if values(HOST).count() > 1 {
        return ambiguous("the request has more than one Host");
    }
    if values(EXPECT).any(|value| !value.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(Problem::new(
            StatusCode::EXPECTATION_FAILED,
            "expectation-failed",
            "the only Expect that is understood is 100-continue",
        ));
    }
    Ok(())
}

/// Digits only: `+5`, `5, 5` and an empty value are read differently by different parties.
fn content_length(head: &RequestHead) -> Result<Option<u64>, Problem> {
    let Some(value) = head.headers.get(CONTENT_LENGTH) else { return Ok(None) };
    let value = value.as_bytes();
    let digits = !value.is_empty() && value.iter().all(u8::is_ascii_digit);
    let length = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
    match length {
        Some(length) if digits => Ok(Some(length)),
        _ => Err(Problem::bad_request("ambiguous-framing", "Content-Length is not a number")),
    }
}

fn contains_ignoring_case(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle))
}

#[cfg(test)]
#[path = "limits_tests.rs"]
mod tests;
