//! How long a document may be believed. Pure: times in, a judgement out.

use std::time::Duration;

use jiff::Timestamp;

/// The settings of one registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness {
    /// A document that was confirmed this recently is served without asking the upstream.
    pub max_age: Duration,
    /// One that can not be confirmed is served, marked as stale, up to this age.
    pub max_stale: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Judgement {
    Fresh,
    /// To be confirmed; if the upstream can not be asked, it may be served as stale.
    Stale {
        age: Duration,
    },
    /// Too old to be served unconfirmed.
    Expired {
        age: Duration,
    },
}

impl Freshness {
    pub fn judge(&self, checked: Timestamp, now: Timestamp) -> Judgement {
        let age = age(checked, now);
        // A date in the future comes from a clock that was wrong: nobody knows how old this is.
        if age < self.max_age && checked <= now {
            Judgement::Fresh
        } else if age < self.max_age.saturating_add(self.max_stale) {
            Judgement::Stale { age }
        } else {
            Judgement::Expired { age }
        }
    }
}

/// Nothing is younger than now.
pub fn age(checked: Timestamp, now: Timestamp) -> Duration {
    Duration::try_from(now.duration_since(checked)).unwrap_or(Duration::ZERO)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_ages_from_fresh_over_stale_to_expired() {
        let freshness =
            Freshness { max_age: Duration::from_mins(1), max_stale: Duration::from_mins(10) };
        let checked: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let after = |seconds: i64| {
            freshness.judge(checked, Timestamp::from_second(checked.as_second() + seconds).unwrap())
        };
        let secs = Duration::from_secs;
        assert_eq!(after(0), Judgement::Fresh);
        assert_eq!(after(59), Judgement::Fresh);
        assert_eq!(after(60), Judgement::Stale { age: secs(60) });
        assert_eq!(after(659), Judgement::Stale { age: secs(659) });
        assert_eq!(after(660), Judgement::Expired { age: secs(660) });
        let future = Judgement::Stale { age: Duration::ZERO };
        assert_eq!(after(-3600), future, "the clock was ahead when it was confirmed");
    }
}
