//! Counts over the last ten seconds, in steps of one.

use std::time::Duration;

use tokio::time::Instant;

const STEP: Duration = Duration::from_secs(1);
const STEPS: usize = 10;

/// How many of all lately were marked.
#[derive(Debug, Default)]
pub struct Window {
    /// The step that is being filled.
    current: Option<(Instant, usize)>,
    steps: [(u64, u64); STEPS],
}

impl Window {
    pub fn count(&mut self, now: Instant, marked: bool) {
        let step = self.turn_to(now);
        self.steps[step].0 += 1;
        self.steps[step].1 += u64::from(marked);
    }

    /// All, and the marked ones among them.
    pub fn totals(&mut self, now: Instant) -> (u64, u64) {
        self.turn_to(now);
        self.steps.iter().fold((0, 0), |sum, step| (sum.0 + step.0, sum.1 + step.1))
    }

    /// Clears what has grown old, and gives the step for `now`.
    fn turn_to(&mut self, now: Instant) -> usize {
        let Some((mut start, mut step)) = self.current else {
            self.current = Some((now, 0));
            return 0;
        };
        if now.saturating_duration_since(start) >= STEP * 10 {
            self.steps = Default::default();
            start = now;
        }
        while now.saturating_duration_since(start) >= STEP {
            start += STEP;
            step = (step + 1) % STEPS;
            self.steps[step] = (0, 0);
        }
        self.current = Some((start, step));
        step
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_stay_for_ten_seconds() {
        let (mut window, start) = (Window::default(), Instant::now());
        window.count(start, true);
        window.count(start + Duration::from_secs(5), false);
        assert_eq!(window.totals(start + Duration::from_millis(9_999)), (2, 1));
        assert_eq!(window.totals(start + Duration::from_secs(10)), (1, 0));
        assert_eq!(window.totals(start + Duration::from_hours(1)), (0, 0));
    }
}
