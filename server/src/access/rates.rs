//! How often one caller may ask: by token, or by network where none of ours is sent.
//!
//! What a token has done lies with the token in the table, so to count it takes no look-up. What
//! networks have done lies in a cache of bounded size: whoever comes from more of them than it holds
//! makes it forget, and who was forgotten begins anew, so nobody uses up what is another's. Kept in
//! memory: a restart forgives.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;

use super::login::Origin;
use super::{Caller, Person};
use crate::clock::Clock;
use crate::edge::{client_address, network_of};
use crate::observability::Metrics;
use crate::observability::metrics::{RateLimit, RatedBy};
use crate::person::meter::{Allowance, Rate};

/// Networks of which it is known what they have done.
const MOST: u64 = 100_000;
/// Who was quiet for so long has everything again, whatever the settings are.
const FORGOTTEN: Duration = Duration::from_hours(1);
/// Between two lines of the log.
const TOLD_EVERY: i64 = 10;

/// How often, a second. `None` is as often as anybody likes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RateSettings {
    pub token: Option<u64>,
    pub address: Option<u64>,
    /// By the API, of either.
    pub changes: Option<u64>,
    /// So many seconds' worth at once.
    pub burst: Duration,
}

/// What a request does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Asks,
    /// It changes something by the API, or has something worked out.
    Changes,
}

/// A request that is refused, though another one may be answered soon.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TooOften {
    of: RateLimit,
    /// The token's name; none is whoever comes from one address.
    token: Option<Arc<str>>,
    most: u64,
    wait: SignedDuration,
}

impl TooOften {
    /// As `Retry-After` has it.
    pub fn seconds(&self) -> u32 {
        let whole = self.wait.as_millis().div_euclid(1000).saturating_add(1);
        u32::try_from(whole).unwrap_or(u32::MAX)
    }
}

impl fmt::Display for TooOften {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (of, most) = (self.of.as_str(), self.most);
        match &self.token {
            Some(token) => write!(f, "too many {of} come with the token {token}")?,
            None => write!(f, "too many {of} come from your address without a token")?,
        }
        write!(f, ": this garth takes {most} a second. Try again in {} seconds", self.seconds())
    }
}

impl std::error::Error for TooOften {}

#[derive(Clone)]
pub struct Rates(Arc<Inner>);

struct Inner {
    clock: Clock,
    trusted: Vec<IpNet>,
    token: Option<Limit>,
    address: Option<Limit>,
    changes: Option<Limit>,
    networks: Cache<IpAddr, Arc<Allowance>>,
    metrics: Metrics,
    /// Refused, and in no line of the log yet.
    untold: AtomicU64,
    /// Seconds; no line before it.
    next_line: AtomicI64,
}

#[derive(Clone, Copy)]
struct Limit {
    most: u64,
    rate: Rate,
}

impl fmt::Debug for Rates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rates")
    }
}

impl Rates {
    pub fn new(
        settings: RateSettings,
        trusted: Vec<IpNet>,
        clock: Clock,
        metrics: Metrics,
    ) -> Self {
        let limit = |most: Option<u64>| {
            let rate = |most| Rate::new(most, Duration::from_secs(1), settings.burst);
            most.map(|most| Limit { most, rate: rate(most) })
        };
        Self(Arc::new(Inner {
            clock,
            trusted,
            token: limit(settings.token),
            address: limit(settings.address),
            changes: limit(settings.changes),
            networks: Cache::builder().max_capacity(MOST).time_to_idle(FORGOTTEN).build(),
            metrics,
            untold: AtomicU64::new(0),
            next_line: AtomicI64::new(i64::MIN),
        }))
    }

    /// Counts a request, or says how long to wait for it.
    pub fn count(
        &self,
        caller: &Caller,
        origin: &Origin<'_>,
        doing: Doing,
    ) -> Result<(), TooOften> {
        let person = match caller {
            Caller::Known(person) => Some(&**person),
            Caller::Anonymous | Caller::Unknown | Caller::Invalid(_) => None,
        };
        let requests = if person.is_some() { self.0.token } else { self.0.address };
        let changes = self.0.changes.filter(|_| doing == Doing::Changes);
        if requests.is_none() && changes.is_none() {
            return Ok(());
        }
        let now = self.0.clock.now();
        match person {
            Some(person) => take(&person.used.0, requests, changes, now),
            None => take(&self.of_network(origin), requests, changes, now),
        }
        .map_err(|(of, most, wait)| {
            let token = person.map(|person| person.token.clone().unwrap_or(super::ADMIN.into()));
            let refused = TooOften { of, token, most, wait };
            self.tell(&refused, person, origin, now);
            refused
        })
    }

    fn address(&self, origin: &Origin<'_>) -> IpAddr {
        let peer = origin.peer.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        client_address(peer, origin.headers, &self.0.trusted)
    }

    fn of_network(&self, origin: &Origin<'_>) -> Arc<Allowance> {
        let network = network_of(self.address(origin));
        match self.0.networks.get(&network) {
            Some(known) => known,
            None => self.0.networks.get_with(network, Arc::default),
        }
    }

    /// Counts it, and writes a line if none was written of late.
    fn tell(
        &self,
        refused: &TooOften,
        person: Option<&Person>,
        origin: &Origin<'_>,
        now: Timestamp,
    ) {
        let by = if person.is_some() { RatedBy::Token } else { RatedBy::Address };
        self.0.metrics.rate_limited(refused.of, by);
        self.0.untold.fetch_add(1, Ordering::Relaxed);
        let (now, next) = (now.as_second(), self.0.next_line.load(Ordering::Relaxed));
        // A clock that was set back silences nothing.
        let is_due = now >= next || next.saturating_sub(now) > TOLD_EVERY;
        let later = now.saturating_add(TOLD_EVERY);
        let line = &self.0.next_line;
        if is_due
            && line.compare_exchange(next, later, Ordering::Relaxed, Ordering::Relaxed).is_ok()
        {
            let count = self.0.untold.swap(0, Ordering::Relaxed);
            tracing::warn!(
                requests = count,
                token = refused.token.as_deref(),
                address = %self.address(origin),
                of = refused.of.as_str(),
                a_second = refused.most,
                "requests came too often and were refused (429); this is the last of them"
            );
        }
    }
}

type Refusal = (RateLimit, u64, SignedDuration);

fn take(
    of: &Allowance,
    requests: Option<Limit>,
    changes: Option<Limit>,
    now: Timestamp,
) -> Result<(), Refusal> {
    let wanted =
        [(requests, &of.requests, RateLimit::Requests), (changes, &of.changes, RateLimit::Changes)];
    for (limit, meter, what) in wanted {
        if let Some(Limit { most, rate }) = limit {
            meter.take(rate, now).map_err(|wait| (what, most, wait))?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[path = "rates_tests.rs"]
mod tests;
