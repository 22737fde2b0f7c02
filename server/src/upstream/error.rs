//! What can come of asking an upstream, by what the caller does next.
//!
//! The texts are fit for a client's eyes: they carry a host and a path, never a query, userinfo or
//! a token.

use std::time::Duration;

use jiff::Timestamp;
use thiserror::Error;
use url::Url;

/// Cloneable, because one flight answers many waiting clients.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UpstreamError {
    /// A true 404 or 410: the upstream was reached and does not have it. Nothing else means this.
    #[error("{upstream} does not have it")]
    Absent { upstream: String },
    /// The upstream asked for fewer requests; it gets none before `retry_after` has passed.
    #[error("{upstream} limits the rate of requests")]
    RateLimited { upstream: String, retry_after: Option<Duration> },
    /// Not reachable, failing, or left in peace because it was failing. `since` is the first of the
    /// failures in a row.
    #[error("{upstream} is unavailable{}: {cause}", since_text(*since))]
    Unavailable { upstream: String, since: Option<Timestamp>, cause: String },
    /// It was there, and did not answer or deliver in time.
    #[error("{upstream} did not answer in time{}: {cause}", since_text(*since))]
    TimedOut { upstream: String, since: Option<Timestamp>, cause: String },
    /// We may not or cannot get it, and asking again changes nothing: a forbidden address, a
    /// redirect that is not followed, bad TLS, refused credentials.
    #[error("{upstream} refused: {cause}")]
    Refused { upstream: String, cause: String },
    /// More bytes than this kind of object may have.
    #[error("{upstream} sent more than {limit} bytes: {cause}")]
    TooLarge { upstream: String, limit: u64, cause: String },
    /// An answer that is not what was asked for, or did not arrive whole. Never to be kept.
    #[error("{upstream} sent a broken answer: {cause}")]
    Broken { upstream: String, cause: String },
}

fn since_text(since: Option<Timestamp>) -> String {
    since.map(|at| format!(" since {at:.0}")).unwrap_or_default()
}

/// Host and path of a URL: all that a text may say of it.
pub fn place(url: &Url) -> String {
    let host = url.host_str().unwrap_or("?");
    match url.port() {
        Some(port) => format!("{host}:{port}{}", url.path()),
        None => format!("{host}{}", url.path()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_neither_userinfo_nor_query() {
        let url = Url::parse("https://user:secret@host.example:8443/a/b?token=secret#x").unwrap();
        assert_eq!(place(&url), "host.example:8443/a/b");
    }
}
