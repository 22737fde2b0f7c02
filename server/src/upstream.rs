//! The only HTTP client of the server: asks one upstream, and stands between its faults and us.
//!
//! A call takes a turn ([`traffic`]: pause, breaker, number at once), sends the request and follows
//! its redirects ([`exchange`]: credentials, addresses, the meaning of the answer), and tries again
//! within the upstream's retry budget ([`retry`]). What comes back is a body that arrives whole or
//! fails ([`body`]). Retries happen before a body began, never after.
//!
//! Nothing is cached here, nothing is parsed, and nothing here knows a registry's protocol.

pub mod addresses;
pub mod body;
pub mod breaker;
mod causes;
mod clients;
pub mod credentials;
pub mod error;
mod exchange;
pub(crate) mod gunzip;
mod media;
pub mod outgoing;
pub mod redirects;
pub mod retry;
pub mod settings;
mod traffic;
mod trust;
mod via;
mod window;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header;
use thiserror::Error;
use tokio::time::Instant;
use url::Url;

pub use self::body::UpstreamBody;
pub use self::breaker::BreakerState;
pub use self::credentials::Credentials;
pub use self::error::UpstreamError;
pub use self::settings::{
    BreakerSettings, Deadlines, Limits, ProxySetting, Retries, UpstreamSettings,
};
pub use self::traffic::UpstreamHealth;
pub use self::via::{has_passed_through_us, our_via};

use self::addresses::Configured;
use self::body::{Pace, Stream};
use self::clients::Clients;
use self::credentials::{Pinned, without_userinfo};
use self::error::place;
use self::exchange::{Answer, Ask, Line, Sent, Verdict, text_header};
use self::gunzip::Gunzip;
use self::media::Expected;
use self::traffic::{Traffic, Turn};
use crate::clock::Clock;

const JSON: &str = "application/json";
const FORM: &str = "application/x-www-form-urlencoded";

/// One configured upstream; clones share its breaker, budget, turns and connections.
#[derive(Clone, Debug)]
pub struct Upstream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Without the credentials: only [`Line`] has them.
    settings: UpstreamSettings,
    line: Arc<Line>,
    traffic: Arc<Traffic>,
}

/// Why an upstream cannot be asked at all, known at start.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum UpstreamSettingsError {
    #[error("the upstream of {0} must be an http or https URL with a host, without query")]
    Base(String),
    #[error("the credentials of {0} hold a character that cannot be sent")]
    Credentials(String),
    #[error("the HTTP client for {0} cannot be made: {1}")]
    Client(String, String),
}

/// What we already have of a document, to be asked whether it changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Validators {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

#[derive(Debug)]
pub enum DocumentAnswer {
    NotModified,
    Found(UpstreamBody),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ArtifactTarget {
    /// Below the upstream's base, already encoded.
    Path(String),
    /// As a document of the upstream named it.
    Url(Url),
}

impl Upstream {
    pub fn new(
        mut settings: UpstreamSettings,
        clock: Clock,
    ) -> Result<Self, UpstreamSettingsError> {
        let name = settings.name.clone();
        let base =
            base_of(&settings.base).ok_or_else(|| UpstreamSettingsError::Base(name.clone()))?;
        let in_url = Credentials::of_url(&settings.base)
            .map_err(|_| UpstreamSettingsError::Credentials(name.clone()))?;
        let credentials = settings.credentials.take().or(in_url);
        settings.base = base.clone();
        let made = |cause: String| UpstreamSettingsError::Client(name.clone(), cause);
        let clients = Clients::new(&settings).map_err(made)?;
        let line = Arc::new(Line {
            upstream: name.clone(),
            clients,
            configured: Configured::new(&base, &settings.allow_hosts),
            credentials: Pinned::new(credentials, &base),
            deadlines: settings.deadlines.clone(),
            retries: settings.retries.clone(),
            clock: clock.clone(),
        });
        let traffic = Traffic::new(&settings, clock);
        Ok(Self(Arc::new(Inner { settings, line, traffic })))
    }

    /// The same place, asked for what no build needs: less at once and less patiently, and what goes wrong
    /// with it is counted apart.
    #[must_use]
    pub fn aside(&self, concurrent: usize, patience: Duration, clock: Clock) -> Self {
        let Inner { settings, line, .. } = self.0.as_ref();
        let mut settings = settings.clone();
        settings.limits.concurrent = concurrent;
        settings.deadlines = Deadlines { total_document: patience, ..settings.deadlines };
        settings.deadlines.turn = patience;
        let traffic = Traffic::new(&settings, clock);
        Self(Arc::new(Inner { settings, line: Arc::clone(line), traffic }))
    }

    pub fn name(&self) -> &str {
        &self.0.settings.name
    }

    /// Where it is, without userinfo; ends in `/`.
    pub fn base(&self) -> &Url {
        &self.0.settings.base
    }

    /// Asks for a document below the base, unpacked if it comes packed. With `validators` the
    /// answer may be that nothing changed.
    pub async fn document(
        &self,
        path: &str,
        accept: &str,
        validators: Option<&Validators>,
    ) -> Result<DocumentAnswer, UpstreamError> {
        let validators = validators.cloned().unwrap_or_default();
        let ask = Ask {
            url: self.below_base(path)?,
            accept: accept.to_owned(),
            encoding: "gzip",
            if_none_match: validators.etag,
            if_modified_since: validators.last_modified,
            sent: None,
        };
        self.ask_for_document(ask).await
    }

    /// Asks for a document at a place that a document of the upstream named, unpacked if it comes packed.
    pub async fn document_at(&self, url: Url, accept: &str) -> Result<UpstreamBody, UpstreamError> {
        self.answer_of(self.elsewhere(url)?, accept, "gzip", None).await
    }

    /// Sends JSON to a place below the base and asks for the document that answers it, unpacked if
    /// it comes packed. Only for what may be asked twice: a failed try is repeated like any other.
    /// A redirect is followed only if it stays a POST.
    pub async fn answer_to(
        &self,
        path: &str,
        accept: &str,
        body: Bytes,
    ) -> Result<UpstreamBody, UpstreamError> {
        let sent = Sent { media_type: JSON, body, credentials: None, once: false };
        self.answer_of(self.below_base(path)?, accept, "gzip", Some(sent)).await
    }

    /// Sends a form to a place that a document of the upstream named, and asks for what answers it. What
    /// is in it counts once: it goes to that place alone, and is sent a single time. A refusal
    /// (400, 401) is an answer.
    pub async fn submit(
        &self,
        url: Url,
        accept: &str,
        form: Bytes,
        credentials: Option<Credentials>,
    ) -> Result<UpstreamBody, UpstreamError> {
        let sent = Sent { media_type: FORM, body: form, credentials, once: true };
        self.answer_of(self.elsewhere(url)?, accept, "identity", Some(sent)).await
    }

    async fn answer_of(
        &self,
        url: Url,
        accept: &str,
        encoding: &'static str,
        sent: Option<Sent>,
    ) -> Result<UpstreamBody, UpstreamError> {
        let accept = accept.to_owned();
        let (if_none_match, if_modified_since) = (None, None);
        let ask = Ask { url, accept, encoding, if_none_match, if_modified_since, sent };
        match self.ask_for_document(ask).await? {
            DocumentAnswer::Found(body) => Ok(body),
            DocumentAnswer::NotModified => {
                Err(self.broken("304 where nothing was known".to_owned()))
            }
        }
    }

    async fn ask_for_document(&self, ask: Ask) -> Result<DocumentAnswer, UpstreamError> {
        let deadline = Instant::now() + self.0.settings.deadlines.total_document;
        let limit = self.0.settings.limits.document;
        match self.call(&ask, deadline).await? {
            (Answer::NotModified, _) => Ok(DocumentAnswer::NotModified),
            (Answer::Found { response, url }, turn) => {
                let packed = self.packing(&url, &response)?;
                let expected = Expected::of_accept(&ask.accept);
                self.body(Arrival { response, url, turn, packed, expected, deadline, limit })
                    .map(DocumentAnswer::Found)
            }
        }
    }

    /// Asks for an artifact, byte for byte as the upstream has it.
    pub async fn artifact(&self, target: ArtifactTarget) -> Result<UpstreamBody, UpstreamError> {
        let url = match target {
            ArtifactTarget::Path(path) => self.below_base(&path)?,
            ArtifactTarget::Url(url) => self.elsewhere(url)?,
        };
        let expected = Expected::of_artifact(url.path());
        let ask = Ask {
            url,
            accept: "*/*".to_owned(),
            encoding: "identity",
            if_none_match: None,
            if_modified_since: None,
            sent: None,
        };
        let deadline = Instant::now() + self.0.settings.deadlines.total_artifact;
        let limit = self.0.settings.limits.artifact;
        match self.call(&ask, deadline).await? {
            (Answer::NotModified, _) => Err(self.broken("304 where nothing was known".to_owned())),
            (Answer::Found { response, url }, turn) => {
                self.body(Arrival { response, url, turn, packed: false, expected, deadline, limit })
            }
        }
    }

    pub fn health(&self) -> UpstreamHealth {
        self.0.traffic.health()
    }

    /// Tries until there is an answer, the tries or the budget are used up, or it is too late.
    async fn call(&self, ask: &Ask, deadline: Instant) -> Result<(Answer, Turn), UpstreamError> {
        let traffic = &self.0.traffic;
        let mut waits = retry::waits(&self.0.settings.retries);
        let mut turn = traffic.turn(deadline, false).await?;
        loop {
            let failure = match self.0.line.exchange(ask, deadline).await {
                Ok(answer) => {
                    turn.succeeded();
                    return Ok((answer, turn));
                }
                Err(failure) => failure,
            };
            let error = settle(&mut turn, failure.error, failure.verdict);
            drop(turn);
            if failure.verdict != Verdict::Retry || ask.is_once() {
                return Err(error);
            }
            let Some(wait) = waits.next() else { return Err(error) };
            if Instant::now() + wait >= deadline || !traffic.spend_retry() {
                return Err(error);
            }
            tracing::debug!(upstream = self.name(), %error, ?wait, "asking again");
            tokio::time::sleep(wait).await;
            turn = traffic.turn(deadline, true).await?;
        }
    }

    fn body(&self, arrival: Arrival) -> Result<UpstreamBody, UpstreamError> {
        let Arrival { response, url, turn, packed, expected, deadline, limit } = arrival;
        let headers = response.headers();
        let media_type = text_header(headers, &header::CONTENT_TYPE);
        if let Some(fault) = expected.fault_of_type(media_type.as_deref()) {
            return Err(self.broken(format!("{}: {fault}", place(&url))));
        }
        let length = response.content_length().filter(|_| !packed);
        if length.is_some_and(|length| length > limit) {
            let (upstream, cause) = (self.name().to_owned(), place(&url));
            return Err(UpstreamError::TooLarge { upstream, limit, cause });
        }
        let Deadlines { idle, .. } = self.0.settings.deadlines;
        Ok(UpstreamBody {
            media_type: body::media_type(media_type),
            etag: body::validator(text_header(headers, &header::ETAG)),
            last_modified: body::validator(text_header(headers, &header::LAST_MODIFIED)),
            length,
            stream: Box::new(Stream {
                upstream: self.name().to_owned(),
                turn: Some(turn),
                gunzip: packed.then(Gunzip::new),
                expected,
                pace: Pace::new(deadline, idle, self.0.settings.limits.least_progress),
                limit,
                given: 0,
                ended: None,
                response,
            }),
            url,
        })
    }

    /// Whether a document comes packed, and in the one way that was offered.
    fn packing(&self, url: &Url, response: &reqwest::Response) -> Result<bool, UpstreamError> {
        let coding = text_header(response.headers(), &header::CONTENT_ENCODING).unwrap_or_default();
        match coding.trim().to_ascii_lowercase().as_str() {
            "" | "identity" => Ok(false),
            "gzip" | "x-gzip" => Ok(true),
            _ => Err(self.broken(format!("{}: an encoding that was not offered", place(url)))),
        }
    }

    /// The URL of a path below the base; refused if it means another place than it says.
    fn below_base(&self, path: &str) -> Result<Url, UpstreamError> {
        let base = &self.0.settings.base;
        let joined = Url::parse(&format!("{base}{path}")).ok().filter(|url| {
            let (asked, _) = path.split_once('?').unwrap_or((path, ""));
            url.origin() == base.origin()
                && url.fragment().is_none()
                && url.path().strip_prefix(base.path()) == Some(asked)
        });
        joined.ok_or_else(|| UpstreamError::Refused {
            upstream: self.name().to_owned(),
            cause: "the path is not in its normal form".to_owned(),
        })
    }

    /// A URL that a document named. An `http` one on an `https` upstream's own host means the same
    /// place, as old documents have it; elsewhere it is a downgrade.
    fn elsewhere(&self, url: Url) -> Result<Url, UpstreamError> {
        let refused =
            |cause: String| UpstreamError::Refused { upstream: self.name().to_owned(), cause };
        let mut url = without_userinfo(url);
        url.set_fragment(None);
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(refused(format!("{} is not http or https", place(&url))));
        }
        let base = &self.0.settings.base;
        if base.scheme() == "https" && url.scheme() == "http" {
            let same = url.host_str() == base.host_str();
            if !same || url.port().is_some() || base.port().is_some() {
                return Err(refused(format!("plain http for {}", place(&url))));
            }
            url = base
                .join(&url[url::Position::BeforePath..])
                .map_err(|_| refused(format!("{} is not a URL", place(&url))))?;
        }
        if !self.0.line.configured.permits(&url) {
            return Err(refused(format!(
                "what it says leads to {}, which is not its own host; if that is meant, add the host to \
                 its allow_hosts",
                place(&url)
            )));
        }
        Ok(url)
    }

    fn broken(&self, cause: String) -> UpstreamError {
        UpstreamError::Broken { upstream: self.name().to_owned(), cause }
    }
}

/// An answer whose body is about to be read.
struct Arrival {
    response: Box<reqwest::Response>,
    url: Url,
    turn: Turn,
    packed: bool,
    expected: Expected,
    deadline: Instant,
    limit: u64,
}

/// Records what a failed try says about the upstream, and since when it says so.
fn settle(turn: &mut Turn, error: UpstreamError, verdict: Verdict) -> UpstreamError {
    match verdict {
        Verdict::Answered => turn.succeeded(),
        Verdict::NotAsked => {}
        Verdict::Retry | Verdict::Failed => return failed(turn, error),
        Verdict::Pause(pause) => {
            turn.rate_limited(pause);
            if matches!(error, UpstreamError::Unavailable { .. }) {
                return failed(turn, error);
            }
        }
    }
    error
}

fn failed(turn: &mut Turn, error: UpstreamError) -> UpstreamError {
    match error {
        UpstreamError::Unavailable { upstream, cause, .. } => {
            let since = Some(turn.failed(&cause));
            UpstreamError::Unavailable { upstream, since, cause }
        }
        UpstreamError::TimedOut { upstream, cause, .. } => {
            let since = Some(turn.failed(&cause));
            UpstreamError::TimedOut { upstream, since, cause }
        }
        other => {
            turn.failed(&other.to_string());
            other
        }
    }
}

fn base_of(url: &Url) -> Option<Url> {
    let mut base = without_userinfo(url.clone());
    let usable = matches!(base.scheme(), "http" | "https")
        && base.host_str().is_some_and(|host| !host.is_empty())
        && base.query().is_none();
    base.set_fragment(None);
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", base.path()));
    }
    usable.then_some(base)
}
