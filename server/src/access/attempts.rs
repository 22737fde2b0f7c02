//! How often somebody may try a password: from one network for one name a few times, then after
//! pauses that double; and from one network for all names so many times a minute.
//!
//! A pause is for the pair of network and name, so nobody keeps another one out from elsewhere. A
//! try counts when it begins, so many at once are no way around it, and is forgotten when it
//! succeeds. Who has a token is never asked to wait here. Kept in memory: a restart forgives.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

use actix_web::http::header::HeaderMap;
use ipnet::IpNet;
use jiff::{SignedDuration, Timestamp};
use moka::sync::Cache;
use parking_lot::Mutex;

use super::secret::Hash;
use crate::clock::Clock;
use crate::edge::{client_address, network_of};
use crate::person::meter::{Meter, Rate};

/// Slips of the finger.
const FREE: u32 = 5;
const LONGEST: SignedDuration = SignedDuration::from_mins(15);
/// Of one network, in a minute, and as many at once.
const A_MINUTE: u64 = 30;
/// Who was quiet for so long begins anew.
const FORGOTTEN: Duration = Duration::from_hours(1);
const MOST: u64 = 100_000;

#[derive(Clone)]
pub struct Attempts(Arc<Inner>);

struct Inner {
    clock: Clock,
    trusted: Vec<IpNet>,
    pairs: Cache<(IpAddr, Hash), Arc<Mutex<Tries>>>,
    networks: Cache<IpAddr, Arc<Meter>>,
    of_network: Rate,
}

#[derive(Default)]
struct Tries {
    count: u32,
    /// Before it none is made.
    next: Option<Timestamp>,
}

/// How long to wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many logins failed from there: try again in {} seconds", .0.as_secs().max(1))]
pub struct Wait(pub SignedDuration);

/// One try, which was counted.
#[derive(Debug)]
pub struct Attempt {
    pair: (IpAddr, Hash),
}

impl std::fmt::Debug for Attempts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Attempts")
    }
}

impl Attempts {
    pub fn new(clock: Clock, trusted: Vec<IpNet>) -> Self {
        let pairs = Cache::builder().max_capacity(MOST).time_to_idle(FORGOTTEN).build();
        let networks = Cache::builder().max_capacity(MOST).time_to_idle(FORGOTTEN).build();
        let minute = Duration::from_mins(1);
        let of_network = Rate::new(A_MINUTE, minute, minute);
        Self(Arc::new(Inner { clock, trusted, pairs, networks, of_network }))
    }

    /// From where this is tried, as far as trusted proxies say.
    pub fn from(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
        let peer = peer.unwrap_or(IpAddr::V6(Ipv6Addr::UNSPECIFIED));
        client_address(peer, headers, &self.0.trusted)
    }

    /// Counts a try, or says how long to wait for it.
    pub fn begin(&self, address: IpAddr, name: &str) -> Result<Attempt, Wait> {
        let network = network_of(address);
        let now = self.0.clock.now();
        let pair = (network, Hash::of(name.to_ascii_lowercase().as_bytes()));
        let tries = self.0.pairs.get_with(pair, Arc::default);
        let mut tries = tries.lock();
        if let Some(next) = tries.next.filter(|next| *next > now) {
            return Err(Wait(next.duration_since(now)));
        }
        let tried = self.0.networks.get_with(network, Arc::default);
        tried.take(self.0.of_network, now).map_err(Wait)?;
        tries.count = tries.count.saturating_add(1);
        tries.next = pause(tries.count).and_then(|pause| now.checked_add(pause).ok());
        Ok(Attempt { pair })
    }

    /// It was theirs: what failed before is forgiven.
    pub fn succeeded(&self, attempt: &Attempt) {
        self.0.pairs.invalidate(&attempt.pair);
    }
}

/// After so many tries.
fn pause(count: u32) -> Option<SignedDuration> {
    let beyond = count.checked_sub(FREE)?;
    let seconds = 1_i64.checked_shl(beyond.min(30)).unwrap_or(i64::MAX);
    Some(SignedDuration::from_secs(seconds).min(LONGEST))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicI64, Ordering};

    use super::*;

    fn attempts() -> (Arc<AtomicI64>, Attempts) {
        let seconds = Arc::new(AtomicI64::new(0));
        let clock = {
            let seconds = Arc::clone(&seconds);
            let begin: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
            Clock::from_fn(move || {
                begin + SignedDuration::from_secs(seconds.load(Ordering::Relaxed))
            })
        };
        (seconds, Attempts::new(clock, Vec::new()))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn pauses_double_for_the_pair_and_for_nobody_else() {
        let (seconds, attempts) = attempts();
        let here = ip("192.0.2.1");
        let mut pauses = Vec::new();
        for _ in 0..18 {
            attempts.begin(here, "ann").unwrap();
            match attempts.begin(here, "Ann") {
                Ok(_) => pauses.push(0),
                Err(Wait(wait)) => {
                    pauses.push(wait.as_secs());
                    seconds.fetch_add(wait.as_secs(), Ordering::Relaxed);
                }
            }
        }
        assert_eq!(
            pauses,
            [0, 0, 1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900, 900, 900, 900, 900]
        );
        attempts.begin(here, "ann").unwrap();
        assert!(attempts.begin(here, "ann").is_err());
        attempts.begin(ip("192.0.2.2"), "ann").unwrap();
        attempts.begin(here, "bob").unwrap();
    }

    #[test]
    fn who_succeeds_begins_anew_and_many_at_once_are_no_way_around() {
        let (seconds, attempts) = attempts();
        let here = ip("192.0.2.1");
        for _ in 0..FREE {
            attempts.begin(here, "ann").unwrap();
        }
        assert!(attempts.begin(here, "ann").is_err(), "none of them has failed yet");
        seconds.store(1, Ordering::Relaxed);
        let right = attempts.begin(here, "ann").unwrap();
        attempts.succeeded(&right);
        for _ in 0..FREE {
            attempts.begin(here, "ann").unwrap();
        }
    }

    #[test]
    fn one_network_tries_so_many_names_a_minute() {
        let (seconds, attempts) = attempts();
        let tried = |attempts: &Attempts| {
            (0..1000)
                .filter(|n| attempts.begin(ip("192.0.2.1"), &format!("name-{n}")).is_ok())
                .count()
        };
        assert_eq!(tried(&attempts), 30);
        seconds.store(20, Ordering::Relaxed);
        assert_eq!(tried(&attempts), 10);
        attempts.begin(ip("192.0.2.2"), "ann").unwrap();
        // All addresses of one network of the newer kind are one.
        let tried =
            (0..1000).filter(|n| attempts.begin(ip(&format!("2001:db8::{n:x}")), "ann").is_ok());
        assert_eq!(tried.count(), 5);
        attempts.begin(ip("2001:db8:0:1::1"), "ann").unwrap();
    }
}
