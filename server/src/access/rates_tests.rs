#![allow(clippy::unwrap_used)]

use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};

use super::*;
use crate::person::meter::Used;
use crate::person::rights::Rights;

/// A garth at a time that the test says.
struct World {
    seconds: Arc<AtomicI64>,
    metrics: Metrics,
    rates: Rates,
}

fn world(settings: RateSettings) -> World {
    let (seconds, metrics) = (Arc::new(AtomicI64::new(0)), Metrics::new());
    let clock = {
        let seconds = Arc::clone(&seconds);
        let begin: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        Clock::from_fn(move || begin + SignedDuration::from_secs(seconds.load(Ordering::Relaxed)))
    };
    let trusted = vec!["10.0.0.0/8".parse().unwrap()];
    let rates = Rates::new(settings, trusted, clock, metrics.clone());
    World { seconds, metrics, rates }
}

fn settings(token: u64, address: u64, changes: u64) -> RateSettings {
    let limit = |most: u64| Some(most).filter(|most| *most > 0);
    let burst = Duration::from_secs(2);
    RateSettings { token: limit(token), address: limit(address), changes: limit(changes), burst }
}

fn person(token: &str) -> Caller {
    Caller::Known(Arc::new(Person {
        name: "ann".into(),
        token: Some(token.into()),
        team: None,
        rights: Rights::all(),
        ceiling: None,
        expires: None,
        used: Used::default(),
    }))
}

impl World {
    /// How many of a thousand are let through.
    fn ask(&self, caller: &Caller, address: &str, doing: Doing) -> usize {
        self.ask_behind(caller, address, "", doing)
    }

    fn ask_behind(&self, caller: &Caller, peer: &str, seen: &str, doing: Doing) -> usize {
        let mut headers = HeaderMap::new();
        if !seen.is_empty() {
            let name = HeaderName::from_static("x-forwarded-for");
            headers.insert(name, HeaderValue::from_str(seen).unwrap());
        }
        let origin = Origin { peer: Some(peer.parse().unwrap()), headers: &headers };
        (0..1000).filter(|_| self.rates.count(caller, &origin, doing).is_ok()).count()
    }
}

#[test]
fn without_limits_everything_is_let_through() {
    let world = world(settings(0, 0, 0));
    for caller in [Caller::Anonymous, person("ci")] {
        assert_eq!(world.ask(&caller, "192.0.2.1", Doing::Changes), 1000);
    }
}

#[test]
fn nobody_uses_up_what_is_anothers() {
    let world = world(settings(50, 5, 0));
    let (one, other) = (person("one"), person("other"));
    assert_eq!(world.ask(&one, "192.0.2.1", Doing::Asks), 100);
    assert_eq!(world.ask(&other, "192.0.2.1", Doing::Asks), 100, "from the same address");
    assert_eq!(world.ask(&one, "192.0.2.2", Doing::Asks), 0, "from another one");
    for caller in [Caller::Anonymous, Caller::Unknown, Caller::Invalid(None)] {
        let expected = if caller == Caller::Anonymous { 10 } else { 0 };
        assert_eq!(world.ask(&caller, "192.0.2.1", Doing::Asks), expected, "{caller:?}");
    }
    assert_eq!(world.ask(&Caller::Anonymous, "192.0.2.9", Doing::Asks), 10);
    world.seconds.store(1, Ordering::Relaxed);
    assert_eq!(world.ask(&one, "192.0.2.1", Doing::Asks), 50);
    assert_eq!(world.ask(&Caller::Anonymous, "192.0.2.1", Doing::Asks), 5);
}

#[test]
fn changes_have_a_limit_of_their_own_and_reading_goes_on() {
    let world = world(settings(0, 0, 3));
    let one = person("one");
    assert_eq!(world.ask(&one, "192.0.2.1", Doing::Changes), 6);
    assert_eq!(world.ask(&one, "192.0.2.1", Doing::Asks), 1000);
    assert_eq!(world.ask(&person("other"), "192.0.2.1", Doing::Changes), 6);
    assert_eq!(world.ask(&Caller::Anonymous, "192.0.2.1", Doing::Changes), 6);
}

#[test]
fn rotating_addresses_are_no_way_around() {
    let world = world(settings(0, 5, 0));
    let nobody = Caller::Anonymous;
    // What a client says of itself does not count, and what a trusted proxy saw does.
    let forged = (0..1000).map(|n| format!("198.51.{}.{}", n / 250, n % 250));
    let through: usize =
        forged.clone().map(|seen| world.ask_behind(&nobody, "192.0.2.1", &seen, Doing::Asks)).sum();
    assert_eq!(through, 10);
    let behind = forged.map(|seen| format!("{seen}, 203.0.113.7"));
    let through: usize =
        behind.map(|seen| world.ask_behind(&nobody, "10.0.0.1", &seen, Doing::Asks)).sum();
    assert_eq!(through, 10);
    assert_eq!(world.ask_behind(&nobody, "10.0.0.1", "203.0.113.8", Doing::Asks), 10);
    // All addresses of one network of the newer kind are one.
    let through: usize =
        (0..100).map(|n| world.ask(&nobody, &format!("2001:db8::{n:x}"), Doing::Asks)).sum();
    assert_eq!(through, 10);
    assert_eq!(world.ask(&nobody, "2001:db8:0:1::1", Doing::Asks), 10);
}

#[test]
fn networks_are_remembered_within_a_bound_and_one_that_is_forgotten_is_not_locked_out() {
    let world = world(settings(0, 1, 0));
    let headers = HeaderMap::new();
    for n in 0..150_000_u32 {
        let origin =
            Origin { peer: Some(std::net::Ipv4Addr::from_bits(n).into()), headers: &headers };
        assert_eq!(world.rates.count(&Caller::Anonymous, &origin, Doing::Asks), Ok(()));
    }
    world.rates.0.networks.run_pending_tasks();
    assert!(world.rates.0.networks.entry_count() <= MOST);
}

#[test]
fn who_is_refused_is_told_how_long_and_it_is_counted() {
    let world = world(settings(2, 0, 0));
    let headers = HeaderMap::new();
    let origin = Origin { peer: None, headers: &headers };
    let one = person("ci-shop");
    assert_eq!(world.ask(&one, "192.0.2.1", Doing::Asks), 4);
    let refused = world.rates.count(&one, &origin, Doing::Asks).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "too many requests come with the token ci-shop: this garth takes 2 a second. Try again in 1 seconds"
    );
    let page = world.metrics.render();
    let line = "garth_rate_limited_total{of=\"requests\",by=\"token\"} 997";
    assert!(page.contains(line), "{page}");
}

#[test]
fn the_time_to_wait_is_never_shorter_than_what_is_told() {
    for (wait, seconds) in [(1, 1), (999, 1), (1000, 2), (1001, 2), (59_500, 60)] {
        let wait = SignedDuration::from_millis(wait);
        let refused = TooOften { of: RateLimit::Changes, token: None, most: 1, wait };
        assert_eq!(refused.seconds(), seconds);
    }
}
