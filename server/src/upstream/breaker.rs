//! When an upstream is left in peace: the circuit breaker, as a pure state machine.
//!
//! Closed, it counts outcomes. Too many failures in a row, or too large a share of them lately,
//! open it: nobody asks until a moment that the caller's `spread` moves, so that many servers do
//! not come back at once. Then one probe is let through; its outcome closes or opens it again.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

use super::settings::BreakerSettings;
use super::window::Window;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BreakerState {
    Closed,
    Open,
    HalfOpen,
}

impl fmt::Display for BreakerState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half-open",
        })
    }
}

/// What the breaker says to a request that wants to leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    Pass,
    /// Pass, and the answer decides. The caller owes an outcome or [`Breaker::abandon`].
    Probe,
    Refuse,
}

#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    phase: Phase,
    in_a_row: u32,
    window: Window,
    /// Doubles with each failed probe.
    next_open: Duration,
}

#[derive(Clone, Copy, Debug)]
enum Phase {
    Closed,
    Open { until: Instant },
    HalfOpen,
}

impl Breaker {
    pub fn new(settings: BreakerSettings) -> Self {
        let next_open = settings.open;
        Self { settings, phase: Phase::Closed, in_a_row: 0, window: Window::default(), next_open }
    }

    pub fn admit(&mut self, now: Instant) -> Admission {
        match self.phase {
            Phase::Closed => Admission::Pass,
            Phase::Open { until } if now >= until => {
                self.phase = Phase::HalfOpen;
                Admission::Probe
            }
            Phase::Open { .. } | Phase::HalfOpen => Admission::Refuse,
        }
    }

    /// What [`Breaker::admit`] would say, without becoming the probe.
    pub fn would_refuse(&self, now: Instant) -> bool {
        match self.phase {
            Phase::Closed => false,
            Phase::Open { until } => now < until,
            Phase::HalfOpen => true,
        }
    }

    /// An answer that shows the upstream at work.
    pub fn succeeded(&mut self, now: Instant, probe: bool) {
        match self.phase {
            Phase::Closed => {
                self.in_a_row = 0;
                self.window.count(now, false);
            }
            Phase::HalfOpen if probe => {
                self.phase = Phase::Closed;
                self.in_a_row = 0;
                self.window = Window::default();
                self.next_open = self.settings.open;
            }
            // A straggler from before it opened says nothing about now.
            Phase::Open { .. } | Phase::HalfOpen => {}
        }
    }

    /// `spread` is between 0 and 1, by chance.
    pub fn failed(&mut self, now: Instant, probe: bool, spread: f64) {
        match self.phase {
            Phase::Closed => {
                self.in_a_row = self.in_a_row.saturating_add(1);
                self.window.count(now, true);
                if self.is_too_much(now) {
                    self.open(now, spread);
                }
            }
            Phase::HalfOpen if probe => self.open(now, spread),
            Phase::Open { .. } | Phase::HalfOpen => {}
        }
    }

    /// The probe ended without an outcome: its caller went away. The next request is the probe.
    pub fn abandon(&mut self, now: Instant) {
        if matches!(self.phase, Phase::HalfOpen) {
            self.phase = Phase::Open { until: now };
        }
    }

    pub fn state(&self) -> BreakerState {
        match self.phase {
            Phase::Closed => BreakerState::Closed,
            Phase::Open { .. } => BreakerState::Open,
            Phase::HalfOpen => BreakerState::HalfOpen,
        }
    }

    fn is_too_much(&mut self, now: Instant) -> bool {
        let (all, failures) = self.window.totals(now);
        self.in_a_row >= self.settings.consecutive
            || (all >= u64::from(self.settings.least)
                && failures * 100 >= all * u64::from(self.settings.percent))
    }

    fn open(&mut self, now: Instant, spread: f64) {
        let open = self.next_open.mul_f64(1.0 + 0.25 * spread.clamp(0.0, 1.0));
        self.phase = Phase::Open { until: now + open };
        self.next_open = (self.next_open * 2).min(self.settings.longest_open);
        self.in_a_row = 0;
        self.window = Window::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker() -> Breaker {
        Breaker::new(BreakerSettings {
            consecutive: 3,
            percent: 50,
            least: 10,
            open: Duration::from_secs(2),
            longest_open: Duration::from_secs(5),
        })
    }

    fn later(start: Instant, millis: u64) -> Instant {
        start + Duration::from_millis(millis)
    }

    #[test]
    fn failures_in_a_row_open_it_and_a_good_probe_closes_it() {
        let (mut breaker, start) = (breaker(), Instant::now());
        for _ in 0..2 {
            breaker.failed(start, false, 0.0);
        }
        assert_eq!(breaker.admit(start), Admission::Pass, "two are not three");
        breaker.failed(start, false, 0.0);
        assert_eq!(breaker.state(), BreakerState::Open);
        assert_eq!(breaker.admit(later(start, 1999)), Admission::Refuse);
        assert_eq!(breaker.admit(later(start, 2000)), Admission::Probe);
        assert_eq!(breaker.admit(later(start, 2000)), Admission::Refuse, "one probe only");
        breaker.succeeded(later(start, 2100), true);
        assert_eq!(breaker.admit(later(start, 2100)), Admission::Pass);
    }

    #[test]
    fn a_success_between_them_starts_the_count_again() {
        let (mut breaker, start) = (breaker(), Instant::now());
        for _ in 0..4 {
            breaker.failed(start, false, 0.0);
            breaker.succeeded(start, false);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn a_large_share_of_failures_opens_it_too() {
        let (mut breaker, start) = (breaker(), Instant::now());
        for _ in 0..5 {
            breaker.succeeded(start, false);
            breaker.failed(start, false, 0.0);
        }
        assert_eq!(breaker.state(), BreakerState::Open, "five of ten");
    }

    #[test]
    fn old_failures_are_forgotten() {
        let (mut breaker, start) = (breaker(), Instant::now());
        for step in 0..20 {
            let now = later(start, step * 11_000);
            breaker.failed(now, false, 0.0);
            breaker.succeeded(now, false);
        }
        assert_eq!(breaker.state(), BreakerState::Closed);
    }

    #[test]
    fn each_failed_probe_doubles_the_pause_up_to_a_bound() {
        let (mut breaker, mut now) = (breaker(), Instant::now());
        for _ in 0..3 {
            breaker.failed(now, false, 0.0);
        }
        for pause in [2, 4, 5, 5] {
            let due = now + Duration::from_secs(pause);
            assert_eq!(breaker.admit(due - Duration::from_millis(1)), Admission::Refuse, "{pause}");
            assert_eq!(breaker.admit(due), Admission::Probe, "{pause}");
            breaker.failed(due, true, 0.0);
            now = due;
        }
    }

    #[test]
    fn chance_moves_the_probe_by_up_to_a_quarter() {
        let (mut breaker, start) = (breaker(), Instant::now());
        for _ in 0..3 {
            breaker.failed(start, false, 1.0);
        }
        assert_eq!(breaker.admit(later(start, 2499)), Admission::Refuse);
        assert_eq!(breaker.admit(later(start, 2500)), Admission::Probe);
    }

    #[test]
    fn a_probe_whose_caller_leaves_makes_way_for_the_next() {
        let (mut breaker, start) = (breaker(), Instant::now());
        for _ in 0..3 {
            breaker.failed(start, false, 0.0);
        }
        assert_eq!(breaker.admit(later(start, 2000)), Admission::Probe);
        breaker.abandon(later(start, 2100));
        assert_eq!(breaker.admit(later(start, 2100)), Admission::Probe);
    }

    #[test]
    fn stragglers_from_before_it_opened_change_nothing() {
        let (mut breaker, start) = (breaker(), Instant::now());
        for _ in 0..3 {
            breaker.failed(start, false, 0.0);
        }
        breaker.succeeded(start, false);
        breaker.failed(start, false, 0.0);
        assert_eq!(breaker.admit(later(start, 2000)), Admission::Probe);
        breaker.succeeded(later(start, 2001), false);
        assert_eq!(breaker.state(), BreakerState::HalfOpen);
    }
}
