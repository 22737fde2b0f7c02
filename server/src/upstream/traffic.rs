//! What one upstream may be asked at this moment.
//!
//! Every request takes a [`Turn`] first. There is none while the upstream asked for a pause or the
//! breaker is open, and at most so many at once; a turn is held until the body is through. Its
//! outcome moves the breaker and is what `/readyz` and `/metrics` show.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use super::breaker::{Admission, Breaker, BreakerState};
use super::error::UpstreamError;
use super::retry::RetryBudget;
use super::settings::UpstreamSettings;
use crate::clock::Clock;
use crate::random;

#[derive(Debug)]
pub struct Traffic {
    upstream: String,
    clock: Clock,
    turns: Arc<Semaphore>,
    most: usize,
    longest_wait: Duration,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    breaker: Breaker,
    budget: RetryBudget,
    paused_until: Option<Instant>,
    failing_since: Option<Timestamp>,
    last_error: Option<String>,
    requests: u64,
    retries: u64,
    failures: u64,
    rate_limits: u64,
}

/// For `/readyz` and `/metrics`.
#[derive(Clone, Debug)]
pub struct UpstreamHealth {
    pub name: String,
    pub state: BreakerState,
    /// The first of the failures in a row.
    pub since: Option<Timestamp>,
    /// What is left of the pause that the upstream asked for.
    pub paused: Option<Duration>,
    pub last_error: Option<String>,
    /// Requests that left, retries included.
    pub requests: u64,
    pub retries: u64,
    pub failures: u64,
    pub rate_limits: u64,
    /// Requests and bodies under way.
    pub active: usize,
}

impl Traffic {
    pub fn new(settings: &UpstreamSettings, clock: Clock) -> Arc<Self> {
        let most = settings.limits.concurrent.clamp(1, Semaphore::MAX_PERMITS);
        Arc::new(Self {
            upstream: settings.name.clone(),
            clock,
            turns: Arc::new(Semaphore::new(most)),
            most,
            longest_wait: settings.deadlines.turn,
            state: Mutex::new(State {
                breaker: Breaker::new(settings.breaker.clone()),
                budget: RetryBudget::new(&settings.retries),
                paused_until: None,
                failing_since: None,
                last_error: None,
                requests: 0,
                retries: 0,
                failures: 0,
                rate_limits: 0,
            }),
        })
    }

    /// Waits for a turn, within the bound for that and the call's own `deadline`. A `retry` has
    /// been paid for already.
    pub async fn turn(
        self: &Arc<Self>,
        deadline: Instant,
        retry: bool,
    ) -> Result<Turn, UpstreamError> {
        // Before the queue as well: who will be refused anyway does not wait.
        self.state.lock().check_open(&self.upstream, Instant::now())?;
        let until = deadline.min(Instant::now() + self.longest_wait);
        let waiting = timeout_at(until, Arc::clone(&self.turns).acquire_owned());
        let Ok(Ok(permit)) = waiting.await else { return Err(self.busy()) };
        let now = Instant::now();
        let mut state = self.state.lock();
        state.check_open(&self.upstream, now)?;
        let probe = match state.breaker.admit(now) {
            Admission::Pass => false,
            Admission::Probe => true,
            Admission::Refuse => return Err(state.left_in_peace(&self.upstream)),
        };
        state.requests += 1;
        if retry {
            state.retries += 1;
        } else {
            state.budget.earn(now);
        }
        drop(state);
        Ok(Turn { traffic: Arc::clone(self), _permit: permit, probe })
    }

    /// Whether this upstream has a retry left.
    pub fn spend_retry(&self) -> bool {
        self.state.lock().budget.spend(Instant::now())
    }

    pub fn health(&self) -> UpstreamHealth {
        let state = self.state.lock();
        UpstreamHealth {
            name: self.upstream.clone(),
            state: state.breaker.state(),
            since: state.failing_since,
            paused: state.pause_left(Instant::now()),
            last_error: state.last_error.clone(),
            requests: state.requests,
            retries: state.retries,
            failures: state.failures,
            rate_limits: state.rate_limits,
            active: self.most - self.turns.available_permits(),
        }
    }

    fn busy(&self) -> UpstreamError {
        UpstreamError::Unavailable {
            upstream: self.upstream.clone(),
            since: self.state.lock().failing_since,
            cause: format!("it is busy with the {} requests that it may have at once", self.most),
        }
    }
}

impl State {
    /// Refuses while there is a pause or an open breaker, and changes nothing.
    fn check_open(&self, upstream: &str, now: Instant) -> Result<(), UpstreamError> {
        if let Some(left) = self.pause_left(now) {
            return Err(UpstreamError::RateLimited {
                upstream: upstream.to_owned(),
                retry_after: Some(left),
            });
        }
        if self.breaker.would_refuse(now) {
            return Err(self.left_in_peace(upstream));
        }
        Ok(())
    }

    fn pause_left(&self, now: Instant) -> Option<Duration> {
        let left = self.paused_until?.saturating_duration_since(now);
        (!left.is_zero()).then_some(left)
    }

    fn left_in_peace(&self, upstream: &str) -> UpstreamError {
        let last = self.last_error.as_deref().unwrap_or("its last requests failed");
        UpstreamError::Unavailable {
            upstream: upstream.to_owned(),
            since: self.failing_since,
            cause: format!("not asked again yet, because {last}"),
        }
    }
}

/// The right to one request; dropped when its body is through.
#[derive(Debug)]
pub struct Turn {
    traffic: Arc<Traffic>,
    _permit: OwnedSemaphorePermit,
    probe: bool,
}

impl Turn {
    /// The upstream is at work, whatever it answered.
    pub fn succeeded(&mut self) {
        let mut state = self.traffic.state.lock();
        state.breaker.succeeded(Instant::now(), std::mem::take(&mut self.probe));
        if state.breaker.state() == BreakerState::Closed {
            state.failing_since = None;
        }
    }

    /// The request or its body failed through the upstream; gives the time of the first of the
    /// failures in a row.
    pub fn failed(&mut self, cause: &str) -> Timestamp {
        let mut state = self.traffic.state.lock();
        let probe = std::mem::take(&mut self.probe);
        state.breaker.failed(Instant::now(), probe, random::spread());
        state.failures += 1;
        state.last_error = Some(cause.to_owned());
        let now = self.traffic.clock.now();
        *state.failing_since.get_or_insert(now)
    }

    /// Nobody asks again before `pause` has passed.
    pub fn rate_limited(&mut self, pause: Duration) {
        let now = Instant::now();
        let mut state = self.traffic.state.lock();
        state.rate_limits += 1;
        let until = now + pause;
        state.paused_until = Some(state.paused_until.map_or(until, |known| known.max(until)));
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if self.probe {
            self.traffic.state.lock().breaker.abandon(Instant::now());
        }
    }
}
