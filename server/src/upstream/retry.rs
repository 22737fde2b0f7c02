//! How often a failed request may be asked again.
//!
//! Retries help one client past a hiccup and turn an outage into a storm when every client does so.
//! So an upstream has one [`RetryBudget`]: a share of the requests that it lately got, whoever asked
//! them. When it is spent, failures are failures at once.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use tokio::time::Instant;

use super::settings::Retries;
use super::window::Window;

/// A pure count of requests and retries.
#[derive(Debug)]
pub struct RetryBudget {
    percent: u64,
    least: u64,
    /// All requests that left, the marked ones being retries.
    window: Window,
}

impl RetryBudget {
    pub fn new(settings: &Retries) -> Self {
        Self {
            percent: u64::from(settings.percent),
            least: u64::from(settings.least),
            window: Window::default(),
        }
    }

    /// A first request, which is what earns retries.
    pub fn earn(&mut self, now: Instant) {
        self.window.count(now, false);
    }

    /// Takes one retry if there is one left.
    pub fn spend(&mut self, now: Instant) -> bool {
        let (all, retries) = self.window.totals(now);
        let first = all - retries;
        if self.percent == 0 || retries >= (first * self.percent / 100).max(self.least) {
            return false;
        }
        self.window.count(now, true);
        true
    }
}

/// The waits between the tries of one call: growing, and spread by chance.
pub fn waits(settings: &Retries) -> ExponentialBackoff {
    ExponentialBuilder::new()
        .with_min_delay(settings.first_delay)
        .with_max_delay(settings.longest_delay.max(settings.first_delay))
        .with_factor(2.0)
        .with_max_times(settings.attempts.saturating_sub(1))
        .with_jitter()
        .build()
}

/// A `Retry-After`, in seconds or as an HTTP date, within `longest`. `None` if it says neither.
pub fn parse_retry_after(text: &str, now: jiff::Timestamp, longest: Duration) -> Option<Duration> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        // More digits than a number holds are a very long time.
        let seconds = text.parse().unwrap_or(u64::MAX);
        return Some(Duration::from_secs(seconds).min(longest));
    }
    let at = jiff::Timestamp::try_from(httpdate::parse_http_date(text).ok()?).ok()?;
    Some(Duration::try_from(at.duration_since(now)).unwrap_or_default().min(longest))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn budget(percent: u32, least: u32) -> RetryBudget {
        RetryBudget::new(&Retries { percent, least, ..Retries::default() })
    }

    #[test]
    fn a_thousand_requests_earn_a_hundred_retries() {
        let (mut budget, now) = (budget(10, 3), Instant::now());
        for _ in 0..1000 {
            budget.earn(now);
        }
        assert_eq!((0..5000).filter(|_| budget.spend(now)).count(), 100);
    }

    #[test]
    fn a_quiet_upstream_has_a_few_retries_a_window() {
        let (mut budget, start) = (budget(10, 3), Instant::now());
        budget.earn(start);
        assert_eq!((0..10).filter(|_| budget.spend(start)).count(), 3);
        let later = start + Duration::from_secs(10);
        assert_eq!((0..10).filter(|_| budget.spend(later)).count(), 3);
    }

    #[test]
    fn no_percent_is_no_retry() {
        let mut none = budget(0, 3);
        assert!(!none.spend(Instant::now()));
    }

    #[test]
    fn waits_grow_and_end() {
        let settings = Retries { attempts: 4, ..Retries::default() };
        let waits: Vec<Duration> = waits(&settings).collect();
        assert_eq!(waits.len(), 3);
        for (wait, least) in waits.iter().zip([200, 400, 800]) {
            assert!(wait.as_millis() >= least && wait.as_millis() <= 2 * least, "{waits:?}");
        }
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_within_a_bound() {
        let now: jiff::Timestamp = "2024-05-01T12:00:00Z".parse().unwrap();
        let longest = Duration::from_mins(5);
        for (text, seconds) in [
            ("0", Some(0)),
            ("7", Some(7)),
            (" 7 ", Some(7)),
            ("86400", Some(300)),
            ("99999999999999999999999", Some(300)),
            ("Wed, 01 May 2024 12:00:30 GMT", Some(30)),
            ("Wed, 01 May 2024 11:00:00 GMT", Some(0)),
            ("Wed, 01 May 2999 12:00:00 GMT", Some(300)),
            ("soon", None),
            ("-5", None),
            ("1.5", None),
            ("", None),
        ] {
            let parsed = parse_retry_after(text, now, longest);
            assert_eq!(parsed, seconds.map(Duration::from_secs), "{text:?}");
        }
    }
}
