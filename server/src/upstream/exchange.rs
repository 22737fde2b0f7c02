//! One try: the request, its redirects, and what the headers of the answer mean.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::addresses::{Configured, ForbiddenAddress};
use super::causes::{Fault, fault_of};
use super::clients::Clients;
use super::credentials::{Credentials, Pinned};
use super::error::{UpstreamError, place};
use super::redirects::Trail;
use super::retry::parse_retry_after;
use super::settings::{Deadlines, Retries};
use super::via::our_via;
use crate::clock::Clock;

/// What is asked, the same at each try.
#[derive(Debug)]
pub struct Ask {
    pub url: Url,
    pub accept: String,
    pub encoding: &'static str,
    pub if_none_match: Option<String>,
    pub if_modified_since: Option<String>,
    /// The question is a POST then.
    pub sent: Option<Sent>,
}

/// What is sent along.
#[derive(Debug)]
pub struct Sent {
    pub media_type: &'static str,
    pub body: Bytes,
    /// For this request alone.
    pub credentials: Option<Credentials>,
    /// It is for one place and one time: no redirect is followed, nothing is tried again, and a
    /// refusal of it is an answer.
    pub once: bool,
}

impl Ask {
    fn is_conditional(&self) -> bool {
        self.if_none_match.is_some() || self.if_modified_since.is_some()
    }

    /// A redirect of a POST is followed only where it means the same question at another place;
    /// the others would make it a GET.
    fn follows(&self, status: StatusCode) -> bool {
        match &self.sent {
            None => true,
            Some(sent) => !sent.once && matches!(status.as_u16(), 307 | 308),
        }
    }

    pub fn is_once(&self) -> bool {
        self.sent.as_ref().is_some_and(|sent| sent.once)
    }
}

/// An answer worth reading.
#[derive(Debug)]
pub enum Answer {
    NotModified,
    Found { response: Box<Response>, url: Url },
}

/// What a try without one means for the call and for the upstream's standing.
#[derive(Debug)]
pub struct Failure {
    pub error: UpstreamError,
    pub verdict: Verdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The upstream failed; another try may help.
    Retry,
    /// The upstream failed; another try will not help.
    Failed,
    /// The upstream is at work: this is its answer.
    Answered,
    /// It wants to be left in peace for so long.
    Pause(Duration),
    /// We did not ask, by our own rules.
    NotAsked,
}

/// What an upstream's requests need beside the question.
#[derive(Debug)]
pub struct Line {
    pub upstream: String,
    pub clients: Clients,
    pub configured: Configured,
    pub credentials: Pinned,
    pub deadlines: Deadlines,
    pub retries: Retries,
    pub clock: Clock,
}

impl Line {
    pub async fn exchange(&self, ask: &Ask, deadline: Instant) -> Result<Answer, Failure> {
        let mut trail = Trail::new(ask.url.clone());
        loop {
            let url = trail.present().clone();
            let until = deadline.min(Instant::now() + self.deadlines.headers);
            let response = match timeout_at(until, self.send(ask, &url)).await {
                Ok(response) => response?,
                Err(_) => return Err(self.timed_out(&format!("{} is silent", place(&url)))),
            };
            let status = response.status();
            if !is_redirect(status) {
                return self.judge(ask, url, response);
            }
            if !ask.follows(status) {
                let cause = format!("{} answered a POST with the redirect {status}", place(&url));
                return Err(self.refused(cause, Verdict::Answered));
            }
            let location = text_header(response.headers(), &header::LOCATION);
            trail
                .follow(&location.unwrap_or_default())
                .map_err(|refused| self.refused(refused.to_string(), Verdict::Answered))?;
        }
    }

    async fn send(&self, ask: &Ask, url: &Url) -> Result<Response, Failure> {
        let client = self
            .clients
            .for_url(url, &self.configured)
            .await
            .map_err(|refused| self.forbidden(&refused))?;
        let request = self.request(client, ask, url);
        request.send().await.map_err(|error| self.failure(url, &error))
    }

    fn request(&self, client: &Client, ask: &Ask, url: &Url) -> RequestBuilder {
        let asked = match &ask.sent {
            None => client.get(url.clone()),
            Some(sent) => client
                .post(url.clone())
                .header(header::CONTENT_TYPE, sent.media_type)
                .body(sent.body.clone()),
        };
        let mut request = asked
            .header(header::ACCEPT, &ask.accept)
            .header(header::ACCEPT_ENCODING, ask.encoding)
            .header(header::VIA, our_via());
        if let Some(etag) = &ask.if_none_match {
            request = request.header(header::IF_NONE_MATCH, etag);
        }
        if let Some(date) = &ask.if_modified_since {
            request = request.header(header::IF_MODIFIED_SINCE, date);
        }
        let own = ask.sent.as_ref().and_then(|sent| sent.credentials.as_ref());
        let own = own.filter(|_| *url == ask.url).map(Credentials::header);
        if let Some(credentials) = own.or_else(|| self.credentials.header_for(url)) {
            request = request.header(header::AUTHORIZATION, credentials);
        }
        request
    }

    fn judge(&self, ask: &Ask, url: Url, response: Response) -> Result<Answer, Failure> {
        let status = response.status();
        match status.as_u16() {
            200 | 203 => Ok(Answer::Found { response: Box::new(response), url }),
            201 | 202 | 204 if ask.sent.is_some() => {
                Ok(Answer::Found { response: Box::new(response), url })
            }
            400 | 401 if ask.is_once() => Ok(Answer::Found { response: Box::new(response), url }),
            304 if ask.is_conditional() => Ok(Answer::NotModified),
            404 | 410 => Err(self.absent()),
            // Where nothing takes a POST there is nobody to ask this.
            405 | 501 if ask.sent.is_some() => Err(self.absent()),
            401 | 403 | 407 => {
                let cause = self.locked_out(&url, status, response.headers());
                Err(self.refused(cause, Verdict::Answered))
            }
            429 => Err(self.paused(response.headers())),
            503 if response.headers().contains_key(header::RETRY_AFTER) => {
                // As unavailable as any 503, but it says when to come back.
                let pause = self.pause(response.headers());
                let cause = format!("{} answered {status}", place(&url));
                Err(Failure { verdict: Verdict::Pause(pause), ..self.unavailable(cause) })
            }
            408 | 421 | 425 | 500..=599 => {
                Err(self.unavailable(format!("{} answered {status}", place(&url))))
            }
            400..=499 => {
                let cause = format!("{} answered {status}", place(&url));
                Err(self.refused(cause, Verdict::Answered))
            }
            _ => Err(Failure {
                error: UpstreamError::Broken {
                    upstream: self.upstream.clone(),
                    cause: format!("{} answered {status}, which was not asked for", place(&url)),
                },
                verdict: Verdict::Answered,
            }),
        }
    }

    /// What to say when credentials are missing or wrong. A realm elsewhere is named, not asked.
    fn locked_out(&self, url: &Url, status: StatusCode, headers: &HeaderMap) -> String {
        let at = place(url);
        if !self.credentials.is_home(url) {
            return format!(
                "{at} answered {status}; credentials go to the upstream's own host only"
            );
        }
        let setting = self.setting();
        let mut text = if self.credentials.exist() {
            format!(
                "the upstream refuses our credentials: {at} answered {status}; check token, or \
                 username and password, in {setting}"
            )
        } else {
            format!(
                "the upstream asks for credentials: {at} answered {status}; set token, or username \
                 and password, in {setting}"
            )
        };
        if let Some(realm) = foreign_realm(headers, url) {
            text.push_str("; it names a login at ");
            text.push_str(&realm);
            text.push_str(", to which no credentials are sent");
        }
        text
    }

    /// The part of garth.toml that speaks of this upstream.
    fn setting(&self) -> String {
        if self.upstream.contains('.') {
            format!("[{}]", self.upstream)
        } else {
            format!("[registry.{}]", self.upstream)
        }
    }

    fn absent(&self) -> Failure {
        let error = UpstreamError::Absent { upstream: self.upstream.clone() };
        Failure { error, verdict: Verdict::Answered }
    }

    fn pause(&self, headers: &HeaderMap) -> Duration {
        text_header(headers, &header::RETRY_AFTER)
            .and_then(|text| parse_retry_after(&text, self.clock.now(), self.retries.longest_pause))
            .unwrap_or(self.retries.default_pause)
    }

    fn paused(&self, headers: &HeaderMap) -> Failure {
        let pause = self.pause(headers);
        Failure {
            error: UpstreamError::RateLimited {
                upstream: self.upstream.clone(),
                retry_after: Some(pause),
            },
            verdict: Verdict::Pause(pause),
        }
    }

    fn failure(&self, url: &Url, error: &reqwest::Error) -> Failure {
        let at = place(url);
        match fault_of(error) {
            Fault::Forbidden(address) => self.forbidden(&address),
            Fault::Tls(cause) => self.refused(format!("{at}: bad TLS: {cause}"), Verdict::Failed),
            Fault::TimedOut(cause) => self.timed_out(&format!("{at}: {cause}")),
            Fault::Connection(cause) => self.unavailable(format!("{at}: {cause}")),
            Fault::Malformed(cause) => Failure {
                error: UpstreamError::Broken {
                    upstream: self.upstream.clone(),
                    cause: format!("{at}: {cause}"),
                },
                verdict: Verdict::Failed,
            },
        }
    }

    fn forbidden(&self, refused: &ForbiddenAddress) -> Failure {
        let cause = format!(
            "{refused}; if it belongs to this upstream, name it in allow_hosts in {}",
            self.setting()
        );
        self.refused(cause, Verdict::NotAsked)
    }

    fn refused(&self, cause: String, verdict: Verdict) -> Failure {
        let upstream = self.upstream.clone();
        Failure { error: UpstreamError::Refused { upstream, cause }, verdict }
    }

    fn unavailable(&self, cause: String) -> Failure {
        let upstream = self.upstream.clone();
        let error = UpstreamError::Unavailable { upstream, since: None, cause };
        Failure { error, verdict: Verdict::Retry }
    }

    fn timed_out(&self, cause: &str) -> Failure {
        let (upstream, cause) = (self.upstream.clone(), cause.to_owned());
        let error = UpstreamError::TimedOut { upstream, since: None, cause };
        Failure { error, verdict: Verdict::Retry }
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

/// A header as text, if it is one and not absurdly long.
pub fn text_header(headers: &HeaderMap, name: &HeaderName) -> Option<String> {
    const LONGEST: usize = 8 << 10;
    let text = headers.get(name)?.to_str().ok()?;
    (text.len() <= LONGEST).then(|| text.to_owned())
}

/// The place of a bearer realm that is not on the answering origin.
fn foreign_realm(headers: &HeaderMap, url: &Url) -> Option<String> {
    let challenge = text_header(headers, &header::WWW_AUTHENTICATE)?;
    let realm = challenge.split("realm=\"").nth(1)?.split('"').next()?;
    let realm = Url::parse(realm).ok()?;
    (realm.origin() != url.origin()).then(|| place(&realm))
}
