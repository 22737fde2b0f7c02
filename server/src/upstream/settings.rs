//! What one upstream is, and the bounds within which it is asked.

use std::fmt;
use std::time::Duration;

use url::Url;

use super::credentials::Credentials;
use super::error::place;

#[derive(Clone)]
pub struct UpstreamSettings {
    /// The registry's name, for texts, logs and metrics.
    pub name: String,
    /// Everything is asked below this URL. Userinfo in it is taken as basic credentials.
    pub base: Url,
    pub credentials: Option<Credentials>,
    /// Hosts, or `host:port`, that may have a private address beside the upstream itself.
    pub allow_hosts: Vec<String>,
    pub deadlines: Deadlines,
    pub limits: Limits,
    pub retries: Retries,
    pub breaker: BreakerSettings,
    pub proxy: ProxySetting,
    /// Certificates (PEM) that are trusted beside the system's.
    pub extra_roots: Vec<Vec<u8>>,
}

impl UpstreamSettings {
    pub fn new(name: impl Into<String>, base: Url) -> Self {
        Self {
            name: name.into(),
            base,
            credentials: None,
            allow_hosts: Vec::new(),
            deadlines: Deadlines::default(),
            limits: Limits::default(),
            retries: Retries::default(),
            breaker: BreakerSettings::default(),
            proxy: ProxySetting::default(),
            extra_roots: Vec::new(),
        }
    }
}

/// The URLs in it may hold userinfo, so little is printed.
impl fmt::Debug for UpstreamSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UpstreamSettings")
            .field("name", &self.name)
            .field("base", &place(&self.base))
            .field("deadlines", &self.deadlines)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Debug)]
pub struct Deadlines {
    /// TCP and TLS.
    pub connect: Duration,
    /// From the request (connecting included) to the headers of the answer, a hop at a time.
    pub headers: Duration,
    /// Within each such stretch of waiting for a body, [`Limits::least_progress`] bytes must come.
    pub idle: Duration,
    /// From the call to the last byte, retries and redirects included.
    pub total_document: Duration,
    pub total_artifact: Duration,
    /// How long a call waits for its turn when the upstream has all the requests it may have.
    pub turn: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(10),
            headers: Duration::from_secs(30),
            idle: Duration::from_secs(30),
            total_document: Duration::from_mins(2),
            total_artifact: Duration::from_mins(30),
            turn: Duration::from_secs(30),
        }
    }
}

#[derive(Clone, Debug)]
pub struct Limits {
    /// Requests at once, bodies in transfer included.
    pub concurrent: usize,
    /// Bytes of a document after decoding.
    pub document: u64,
    pub artifact: u64,
    /// What an upstream must send within [`Deadlines::idle`] not to count as silent.
    pub least_progress: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { concurrent: 64, document: 128 << 20, artifact: 8 << 30, least_progress: 16 << 10 }
    }
}

#[derive(Clone, Debug)]
pub struct Retries {
    /// Tries of one call, the first included.
    pub attempts: usize,
    /// Of a hundred recent requests, how many may be retries.
    pub percent: u32,
    /// Retries that a window has even if hardly anything was asked.
    pub least: u32,
    pub first_delay: Duration,
    pub longest_delay: Duration,
    /// The pause after a 429 that names no time, and the longest that is believed.
    pub default_pause: Duration,
    pub longest_pause: Duration,
}

impl Default for Retries {
    fn default() -> Self {
        Self {
            attempts: 3,
            percent: 10,
            least: 3,
            first_delay: Duration::from_millis(200),
            longest_delay: Duration::from_secs(5),
            default_pause: Duration::from_secs(5),
            longest_pause: Duration::from_hours(1),
        }
    }
}

#[derive(Clone, Debug)]
pub struct BreakerSettings {
    /// So many failures in a row open it,
    pub consecutive: u32,
    /// and so does this share of failures among the last 10 seconds' outcomes,
    pub percent: u32,
    /// once there were so many of them.
    pub least: u32,
    /// How long it stays open before one probe; doubled by each failed probe up to `longest_open`,
    /// and spread by up to a quarter.
    pub open: Duration,
    pub longest_open: Duration,
}

impl Default for BreakerSettings {
    fn default() -> Self {
        Self {
            consecutive: 10,
            percent: 50,
            least: 20,
            open: Duration::from_secs(2),
            longest_open: Duration::from_mins(1),
        }
    }
}

/// Where requests leave from.
#[derive(Clone, Default)]
pub enum ProxySetting {
    /// `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY`, as every other client reads them.
    #[default]
    Environment,
    Direct,
    Url(Url),
}
