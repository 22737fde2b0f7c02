//! What a webhook does next, and when a failed delivery is tried again. Pure, but for the spread of
//! the pauses.
//!
//! Events go out one after the other, in the order of the log. One that fails is waited for, so that
//! the order stays, for as long as a hiccup may take; after that the next ones go around it, and it is
//! tried again beside them. Of those that wait there are only so many: then nothing new is begun, and
//! the log keeps the rest.

use std::collections::BTreeMap;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};
use jiff::{SignedDuration, Timestamp};

use crate::metadata::records::{DeliveryRecord, WebhookCursor};

/// Tries of one delivery for which the next ones wait.
const IN_ORDER: u32 = 5;
/// Deliveries of one webhook that wait.
pub const MAX_WAITING: usize = 100;
const FIRST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_hours(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// This one is due.
    Deliver(u64),
    /// There is room for the next event of the log; where it has none, wait until then.
    TakeNext(Option<Timestamp>),
    Wait(Timestamp),
}

/// Of the deliveries that wait, by number.
pub fn next_step(waiting: &BTreeMap<u64, DeliveryRecord>, now: Timestamp) -> Step {
    if let Some((n, _)) = waiting.iter().find(|(_, delivery)| delivery.next <= now) {
        return Step::Deliver(*n);
    }
    let soonest = waiting.values().map(|delivery| delivery.next).min();
    let keeps_order = waiting.values().any(|delivery| delivery.attempts < IN_ORDER);
    match soonest {
        Some(soonest) if keeps_order || waiting.len() >= MAX_WAITING => Step::Wait(soonest),
        soonest => Step::TakeNext(soonest),
    }
}

/// How long to wait behind so many tries: growing, spread by chance, and never less than the receiver
/// asked for.
pub fn pause(attempts: u32, asked: Option<Duration>) -> Duration {
    let times = usize::try_from(attempts).unwrap_or(usize::MAX);
    let mut pauses = ExponentialBuilder::new()
        .with_min_delay(FIRST)
        .with_max_delay(LONGEST)
        .with_factor(2.0)
        // All behind the longest are the longest.
        .with_max_times(32)
        .with_jitter()
        .build();
    let own = pauses.nth(times.saturating_sub(1).min(31)).unwrap_or(LONGEST);
    own.max(asked.unwrap_or_default())
}

/// Since when nothing was delivered, behind a try of this delivery that failed: what waits for as
/// long is given up and stops the webhook in one go. While garth was down, nothing failed.
pub fn failing_since(
    cursor: &WebhookCursor,
    delivery: &DeliveryRecord,
    started: Timestamp,
) -> Timestamp {
    let tried = delivery.since.max(started);
    cursor.failing.unwrap_or_else(|| cursor.delivered.map_or(tried, |at| at.max(tried)))
}

pub fn later(now: Timestamp, pause: Duration) -> Timestamp {
    let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
    now.checked_add(pause).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::metadata::records::DeliveryState;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn waiting(deliveries: &[(u64, u32, i64)]) -> BTreeMap<u64, DeliveryRecord> {
        let delivery = |attempts, next| DeliveryRecord {
            kind: "rule-made".to_owned(),
            state: DeliveryState::Waiting,
            attempts,
            since: at(0),
            next: at(next),
            last: None,
        };
        deliveries.iter().map(|(n, attempts, next)| (*n, delivery(*attempts, *next))).collect()
    }

    #[test]
    fn order_is_kept_through_a_hiccup_and_given_up_for_what_lasts() {
        let full: Vec<(u64, u32, i64)> = (0..100).map(|n| (n, IN_ORDER, 500)).collect();
        for (name, deliveries, expected) in [
            ("nothing waits", vec![], Step::TakeNext(None)),
            ("a new one", vec![(7, 0, 100)], Step::Deliver(7)),
            ("the oldest of those that are due", vec![(7, 9, 50), (9, 0, 100)], Step::Deliver(7)),
            ("failed for the first time", vec![(7, 1, 101)], Step::Wait(at(101))),
            ("fails for long", vec![(7, IN_ORDER, 160)], Step::TakeNext(Some(at(160)))),
            ("so does another", vec![(7, 9, 160), (9, 1, 102)], Step::Wait(at(102))),
            ("too many fail", full, Step::Wait(at(500))),
        ] {
            assert_eq!(next_step(&waiting(&deliveries), at(100)), expected, "{name}");
        }
    }

    #[test]
    fn a_webhook_fails_since_what_it_tries_waits_or_since_it_last_delivered() {
        let delivery = DeliveryRecord { since: at(10), ..waiting(&[(7, 1, 100)])[&7].clone() };
        for (failing, delivered, started, expected) in [
            (None, None, 0, 10),
            (None, Some(5), 0, 10),
            (None, Some(20), 0, 20),
            (None, Some(20), 30, 30),
            (None, None, 30, 30),
            (Some(3), Some(1), 30, 3),
        ] {
            let (failing, delivered) = (failing.map(at), delivered.map(at));
            let cursor = WebhookCursor { failing, delivered, ..WebhookCursor::default() };
            assert_eq!(failing_since(&cursor, &delivery, at(started)), at(expected));
        }
    }

    #[test]
    fn pauses_grow_up_to_an_hour_and_are_spread() {
        for (attempts, least) in [(1, 1), (2, 2), (3, 4), (8, 128), (30, 3600), (u32::MAX, 3600)] {
            let pause = pause(attempts, None).as_secs_f64();
            let least = f64::from(least);
            assert!(pause >= least && pause <= 2.0 * least, "{attempts}: {pause}");
        }
        let spread: Vec<Duration> = (0..20).map(|_| pause(5, None)).collect();
        assert!(spread.iter().any(|pause| *pause != spread[0]), "{spread:?}");
        assert_eq!(pause(1, Some(Duration::from_secs(90))), Duration::from_secs(90));
    }
}
