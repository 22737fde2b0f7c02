//! The body of an answer, on its way in.
//!
//! Whoever reads it gets every byte in order or an error, never a silent end: a body that is
//! shorter than announced, broken in its framing, too slow or too large fails. Only the time spent
//! waiting for the upstream counts as idle, so a slow reader on our side breaks nothing.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use reqwest::Response;
use tokio::time::{Instant, timeout};
use url::Url;

use super::causes::{Fault, fault_of};
use super::error::{UpstreamError, place};
use super::gunzip::{Gunzip, GunzipError};
use super::media::Expected;
use super::traffic::Turn;

/// What is longer is no validator that would be sent back, let alone kept.
const LONGEST_VALIDATOR: usize = 1 << 10;
const LONGEST_MEDIA_TYPE: usize = 256;

#[derive(Debug)]
pub struct UpstreamBody {
    /// Short, as are the validators: what an upstream says of its answer is kept in records.
    pub media_type: Option<String>,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// As announced; `None` if it was not, or the body is unpacked on the way.
    pub length: Option<u64>,
    /// Where it came from after all redirects, without userinfo.
    pub url: Url,
    pub(super) stream: Box<Stream>,
}

/// What makes the body arrive or fail.
#[derive(Debug)]
pub(super) struct Stream {
    pub upstream: String,
    pub response: Box<Response>,
    pub turn: Option<Turn>,
    pub gunzip: Option<Gunzip>,
    pub expected: Expected,
    pub pace: Pace,
    pub limit: u64,
    /// Bytes given out, after unpacking.
    pub given: u64,
    pub ended: Option<Result<(), UpstreamError>>,
}

/// How slow an upstream may be.
#[derive(Debug)]
pub(super) struct Pace {
    pub deadline: Instant,
    pub idle: Duration,
    pub least_progress: u64,
    /// Waiting and bytes since the present stretch began.
    pub waited: Duration,
    pub arrived: u64,
}

impl UpstreamBody {
    /// The next bytes, `None` after the last. After an error there is only that error again.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UpstreamError> {
        if let Some(ended) = &self.stream.ended {
            return ended.clone().map(|()| None);
        }
        match self.stream.next(&self.url).await {
            Ok(Some(bytes)) => Ok(Some(bytes)),
            Ok(None) => {
                self.stream.ended = Some(Ok(()));
                self.stream.turn = None;
                Ok(None)
            }
            Err(error) => {
                self.stream.ended = Some(Err(error.clone()));
                self.stream.turn = None;
                Err(error)
            }
        }
    }

    /// Where it came from, as a record may keep it: a query may be a signature that opens more
    /// than this.
    pub fn place(&self) -> String {
        place(&self.url)
    }

    /// Takes less than the limit that the upstream was configured with.
    #[must_use]
    pub fn at_most(mut self, bytes: u64) -> Self {
        self.stream.limit = self.stream.limit.min(bytes);
        self
    }

    /// All of it, for documents: bounded by the limit that the upstream was configured with.
    pub async fn read_all(mut self) -> Result<Bytes, UpstreamError> {
        // The announced length is the upstream's word: trusted for a first guess only.
        let guess = self.length.unwrap_or(0).min(1 << 20);
        let mut all = BytesMut::with_capacity(usize::try_from(guess).unwrap_or(0));
        while let Some(bytes) = self.chunk().await? {
            all.extend_from_slice(&bytes);
        }
        Ok(all.freeze())
    }
}

/// A validator that is short enough to be asked with again.
pub(super) fn validator(text: Option<String>) -> Option<String> {
    text.filter(|text| text.len() <= LONGEST_VALIDATOR)
}

/// The type without its parameters where these make it long.
pub(super) fn media_type(text: Option<String>) -> Option<String> {
    let text = text?;
    if text.len() <= LONGEST_MEDIA_TYPE {
        return Some(text);
    }
    let essence = text.split(';').next().unwrap_or_default().trim();
    (essence.len() <= LONGEST_MEDIA_TYPE).then(|| essence.to_owned())
}

impl Stream {
    async fn next(&mut self, url: &Url) -> Result<Option<Bytes>, UpstreamError> {
        loop {
            let received = self.receive(url).await?;
            let room = self.limit - self.given;
            let (bytes, last) = match (&mut self.gunzip, received) {
                (None, None) => return Ok(None),
                (None, Some(bytes)) => (Ok(bytes), false),
                (Some(gunzip), Some(packed)) => (gunzip.unpack(&packed, room), false),
                (Some(gunzip), None) => (gunzip.finish(room), true),
            };
            let bytes = bytes.map_err(|error| match error {
                GunzipError::TooLarge => self.too_large(url),
                GunzipError::Corrupt(cause) => self.broken(url, &format!("bad gzip: {cause}")),
            })?;
            if bytes.len() as u64 > room {
                return Err(self.too_large(url));
            }
            if last {
                // Nothing is asked of the decoder after its end.
                self.gunzip = None;
            }
            if bytes.is_empty() {
                if last {
                    return Ok(None);
                }
                continue;
            }
            if self.given == 0
                && let Some(fault) = self.expected.fault_of_start(&bytes)
            {
                return Err(self.broken(url, &fault));
            }
            self.given += bytes.len() as u64;
            return Ok(Some(bytes));
        }
    }

    /// The next bytes as they come over the wire.
    async fn receive(&mut self, url: &Url) -> Result<Option<Bytes>, UpstreamError> {
        let before = Instant::now();
        let patience = self.pace.patience(before);
        let received = timeout(patience, self.response.chunk()).await;
        match received {
            Ok(Ok(Some(bytes))) => {
                let slow = self.pace.count(before.elapsed(), bytes.len() as u64);
                if slow { Err(self.timed_out(url)) } else { Ok(Some(bytes)) }
            }
            Ok(Ok(None)) => Ok(None),
            Ok(Err(error)) => {
                let cause = match fault_of(&error) {
                    Fault::TimedOut(_) => return Err(self.timed_out(url)),
                    Fault::Forbidden(address) => address.to_string(),
                    Fault::Tls(cause) | Fault::Connection(cause) | Fault::Malformed(cause) => cause,
                };
                let cause = format!("{} broke off: {cause}", place(url));
                self.count_failure(&cause);
                Err(UpstreamError::Broken { upstream: self.upstream.clone(), cause })
            }
            Err(_) => Err(self.timed_out(url)),
        }
    }

    fn timed_out(&mut self, url: &Url) -> UpstreamError {
        let why = if Instant::now() >= self.pace.deadline {
            "took longer than the total deadline"
        } else {
            "came to a halt"
        };
        let cause = format!("{} {why} after {} bytes", place(url), self.given);
        let since = self.count_failure(&cause);
        UpstreamError::TimedOut { upstream: self.upstream.clone(), since, cause }
    }

    fn count_failure(&mut self, cause: &str) -> Option<jiff::Timestamp> {
        self.turn.as_mut().map(|turn| turn.failed(cause))
    }

    fn too_large(&self, url: &Url) -> UpstreamError {
        let (upstream, limit) = (self.upstream.clone(), self.limit);
        UpstreamError::TooLarge { upstream, limit, cause: place(url) }
    }

    fn broken(&self, url: &Url, fault: &str) -> UpstreamError {
        let cause = format!("{}: {fault}", place(url));
        UpstreamError::Broken { upstream: self.upstream.clone(), cause }
    }
}

impl Pace {
    pub fn new(deadline: Instant, idle: Duration, least_progress: u64) -> Self {
        Self { deadline, idle, least_progress, waited: Duration::ZERO, arrived: 0 }
    }

    /// How long the next bytes may take: what is left of this stretch and of the whole.
    fn patience(&self, now: Instant) -> Duration {
        self.idle.saturating_sub(self.waited).min(self.deadline.saturating_duration_since(now))
    }

    /// Whether too little came in a whole stretch.
    fn count(&mut self, waited: Duration, bytes: u64) -> bool {
        self.waited += waited;
        self.arrived += bytes;
        if self.arrived >= self.least_progress {
            (self.waited, self.arrived) = (Duration::ZERO, 0);
        }
        self.waited >= self.idle
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_an_upstream_says_of_its_answer_is_short_or_left_out() {
        let long = |length: usize| Some("x".repeat(length));
        assert_eq!(validator(long(1024)), long(1024));
        assert_eq!(validator(long(1025)), None);
        assert_eq!(media_type(long(256)), long(256));
        assert_eq!(media_type(long(257)), None);
        let parameters = format!("application/json ; {}", "x".repeat(5000));
        assert_eq!(media_type(Some(parameters)).unwrap(), "application/json");
        assert_eq!((validator(None), media_type(None)), (None, None));
    }
}
