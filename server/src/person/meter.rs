//! How often something may be done: so many times a second, and after a pause some of them at once.
//!
//! What was done is remembered as one number, the time until which all of it is paid for (the generic
//! cell rate algorithm). So a meter is as small as a number, and many threads may use one without
//! waiting for each other.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// How often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Nanoseconds that pay for one.
    each: u64,
    /// Nanoseconds that may be paid for later: as many as are done at once.
    ahead: u64,
}

impl Rate {
    /// `count` in each `time`, and at once as many as come in `burst`, one at least.
    pub fn new(count: u64, time: Duration, burst: Duration) -> Self {
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX / 4);
        let each = (nanoseconds(time) / count.max(1)).clamp(1, u64::MAX / 4);
        Self { each, ahead: nanoseconds(burst).clamp(each, u64::MAX / 4) }
    }
}

/// One who does it. The default has done nothing yet.
#[derive(Debug, Default)]
pub struct Meter(AtomicU64);

impl Meter {
    /// Counts one, or says how long to wait for it. What is refused counts for nothing.
    pub fn take(&self, rate: Rate, now: Timestamp) -> Result<(), SignedDuration> {
        let now = u64::try_from(now.as_nanosecond()).unwrap_or_default();
        let next = |until: u64| {
            // Nothing is paid for longer than that, unless the clock was set back since.
            let known = if until > now.saturating_add(rate.ahead) { now } else { until.max(now) };
            known.saturating_add(rate.each)
        };
        let may = |until| Some(next(until)).filter(|next| next - now <= rate.ahead);
        match self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, may) {
            Ok(_) => Ok(()),
            Err(until) => {
                let wait = next(until).saturating_sub(now).saturating_sub(rate.ahead);
                Err(SignedDuration::from_nanos(i64::try_from(wait).unwrap_or(i64::MAX)))
            }
        }
    }
}

/// What one caller has done of late.
#[derive(Debug, Default)]
pub struct Allowance {
    pub requests: Meter,
    pub changes: Meter,
}

/// Of one token, as long as the token is there. What was used of it says nothing of who somebody is.
#[derive(Clone, Debug, Default)]
pub struct Used(pub Arc<Allowance>);

impl PartialEq for Used {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Used {}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn at(milliseconds: i64) -> Timestamp {
        Timestamp::from_millisecond(1_800_000_000_000 + milliseconds).unwrap()
    }

    fn taken(meter: &Meter, rate: Rate, now: Timestamp) -> usize {
        (0..10_000).take_while(|_| meter.take(rate, now).is_ok()).count()
    }

    #[test]
    fn so_many_at_once_and_then_so_many_a_second() {
        let rate = Rate::new(10, Duration::from_secs(1), Duration::from_secs(3));
        let meter = Meter::default();
        assert_eq!(taken(&meter, rate, at(0)), 30);
        assert_eq!(meter.take(rate, at(0)), Err(SignedDuration::from_millis(100)));
        assert_eq!(meter.take(rate, at(60)), Err(SignedDuration::from_millis(40)));
        for second in 1..100 {
            assert_eq!(taken(&meter, rate, at(second * 1000)), 10, "{second}");
        }
        assert_eq!(taken(&meter, rate, at(1_000_000)), 30, "more is not saved up");
    }

    #[test]
    fn one_is_always_let_through() {
        let rate = Rate::new(1, Duration::from_mins(1), Duration::ZERO);
        let meter = Meter::default();
        assert_eq!(taken(&meter, rate, at(0)), 1);
        assert_eq!(meter.take(rate, at(59_999)), Err(SignedDuration::from_millis(1)));
        assert_eq!(taken(&meter, rate, at(60_000)), 1);
    }

    #[test]
    fn a_clock_that_is_set_back_locks_nobody_out() {
        let rate = Rate::new(10, Duration::from_secs(1), Duration::from_secs(1));
        let meter = Meter::default();
        assert_eq!(taken(&meter, rate, at(3_600_000)), 10);
        assert_eq!(taken(&meter, rate, at(0)), 10);
    }

    #[test]
    fn many_at_once_take_no_more() {
        let rate = Rate::new(100, Duration::from_secs(1), Duration::from_secs(5));
        let (meter, now) = (Meter::default(), at(0));
        let all: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| taken(&meter, rate, now))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(all, 500);
    }

    proptest::proptest! {
        #[test]
        fn over_any_time_no_more_than_the_rate_and_the_burst(
            count in 1u64..1000,
            burst in 0u64..20,
            pauses in proptest::collection::vec(0i64..3000, 1..200),
        ) {
            let rate = Rate::new(count, Duration::from_secs(1), Duration::from_secs(burst));
            let (meter, mut now, mut done) = (Meter::default(), 0, 0u64);
            for pause in pauses {
                now += pause;
                match meter.take(rate, at(now)) {
                    Ok(()) => done += 1,
                    Err(wait) => {
                        proptest::prop_assert!(wait > SignedDuration::ZERO);
                        proptest::prop_assert!(wait <= SignedDuration::from_secs(1));
                    }
                }
                let most = u64::try_from(now).unwrap() * (count + 1) / 1000 + (count + 1) * burst.max(1);
                proptest::prop_assert!(done <= most.max(1), "{done} of {most}");
            }
        }
    }
}
