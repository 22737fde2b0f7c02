//! Ends the connections that hold something without using it.
//!
//! actix-http's deadline for a head covers only a connection's first request, its keep-alive timer
//! stops at the first byte of the next one, and it has none for writing. So each round looks at
//! what the sockets themselves noted: bytes of the client, not of the framework.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use tokio::time::{MissedTickBehavior, interval};

use super::connections::{Connection, Connections, NEVER, Watched};
use super::limits::Limits;
use crate::observability::{CloseReason, Lifecycle};

/// Runs until the task is aborted.
pub(super) async fn watch(
    connections: Arc<Connections>,
    limits: Arc<Limits>,
    lifecycle: Lifecycle,
) {
    let mut ticks = interval(round_time(&limits));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut last = connections.now();
    loop {
        ticks.tick().await;
        let now = connections.now();
        let passed = now.saturating_sub(last);
        last = now;
        let stopping = lifecycle.stopping();
        connections.for_each(|watched| {
            account(watched, passed);
            let reason = verdict(&State::of(watched), now, &limits).or_else(|| {
                (stopping && is_done(&watched.connection, now)).then_some(CloseReason::Stopping)
            });
            if let Some(reason) = reason {
                watched.connection.condemn(reason);
            }
            if watched.blocked >= millis(limits.rate_window) {
                watched.blocked = 0;
                watched.written = watched.connection.written.load(Relaxed);
            }
        });
    }
}

/// Short beside the shortest deadline, so that each is kept within a quarter.
fn round_time(limits: &Limits) -> Duration {
    [limits.head, limits.idle, limits.read_stall, limits.rate_window]
        .into_iter()
        .min()
        .map_or(Duration::from_secs(1), |shortest| shortest / 4)
        .clamp(Duration::from_millis(10), Duration::from_millis(500))
}

fn account(watched: &mut Watched, passed: u64) {
    if watched.connection.write_blocked_since.load(Relaxed) != NEVER {
        watched.blocked += passed;
    }
}

/// While stopping: nothing is being answered, and the last answer has left.
fn is_done(connection: &Connection, now: u64) -> bool {
    const GRACE: u64 = 200;
    !connection.late
        && connection.in_flight.load(Relaxed) == 0
        && connection.write_blocked_since.load(Relaxed) == NEVER
        && now.saturating_sub(connection.idle_since.load(Relaxed)) > GRACE
        && now.saturating_sub(connection.last_write.load(Relaxed)) > GRACE
}

/// What a verdict needs, in milliseconds; [`NEVER`] where it is not so.
#[derive(Clone, Copy, Debug)]
struct State {
    multiplexed: bool,
    requests: u64,
    in_flight: u32,
    accepted: u64,
    idle_since: u64,
    head_since: u64,
    blocked_since: u64,
    last_write: u64,
    taken_since: u64,
    /// Within the current window.
    blocked: u64,
    written: u64,
}

impl State {
    fn of(watched: &Watched) -> Self {
        let connection = &watched.connection;
        Self {
            multiplexed: connection.multiplexed.load(Relaxed),
            requests: connection.requests.load(Relaxed),
            in_flight: connection.in_flight.load(Relaxed),
            accepted: connection.accepted,
            idle_since: connection.idle_since.load(Relaxed),
            head_since: connection.head_since.load(Relaxed),
            blocked_since: connection.write_blocked_since.load(Relaxed),
            last_write: connection.last_write.load(Relaxed),
            taken_since: connection.taken_since(),
            blocked: watched.blocked,
            written: connection.written.load(Relaxed).saturating_sub(watched.written),
        }
    }
}

fn verdict(state: &State, now: u64, limits: &Limits) -> Option<CloseReason> {
    let longer =
        |since: u64, limit: Duration| since != NEVER && now.saturating_sub(since) > millis(limit);
    if state.blocked_since != NEVER
        && longer(state.blocked_since.max(state.last_write), limits.read_stall)
    {
        return Some(CloseReason::SlowReader);
    }
    let window = millis(limits.rate_window);
    if state.blocked >= window && state.written < limits.read_rate.saturating_mul(window) / 1000 {
        return Some(CloseReason::SlowReader);
    }
    // A client of HTTP/2 may stop a single stream while its socket stays writable.
    if longer(state.taken_since, limits.read_stall) {
        return Some(CloseReason::SlowReader);
    }
    if state.in_flight > 0 {
        return None;
    }
    if state.requests == 0 {
        return longer(state.accepted, limits.head).then_some(CloseReason::SlowHead);
    }
    // Between two requests HTTP/2 sends frames that are no head.
    if !state.multiplexed && longer(state.head_since, limits.head) {
        return Some(CloseReason::SlowHead);
    }
    let waits_for_client = state.multiplexed || state.head_since == NEVER;
    (waits_for_client && longer(state.idle_since, limits.idle)).then_some(CloseReason::Idle)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(NEVER)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One answered request, and nothing since 1000.
    const QUIET: State = State {
        multiplexed: false,
        requests: 1,
        in_flight: 0,
        accepted: 0,
        idle_since: 1000,
        head_since: NEVER,
        blocked_since: NEVER,
        last_write: 1000,
        taken_since: NEVER,
        blocked: 0,
        written: 0,
    };

    #[test]
    fn each_way_of_holding_on_has_its_end() {
        let limits = Limits {
            head: Duration::from_secs(10),
            idle: Duration::from_mins(1),
            read_stall: Duration::from_secs(30),
            rate_window: Duration::from_secs(20),
            read_rate: 1000,
            ..Limits::default()
        };
        let fresh = State { requests: 0, ..QUIET };
        let busy = State { in_flight: 1, ..QUIET };
        let h2 = State { multiplexed: true, ..QUIET };
        let blocked = State { blocked_since: 2000, ..busy };
        let rows: [(&str, State, u64, Option<CloseReason>); 16] = [
            ("never a head", fresh, 10_001, Some(CloseReason::SlowHead)),
            ("a head soon", fresh, 9_000, None),
            (
                "dribbles from the start",
                State { head_since: 9_999, ..fresh },
                10_001,
                Some(CloseReason::SlowHead),
            ),
            (
                "dribbles a second head",
                State { head_since: 50_000, ..QUIET },
                60_001,
                Some(CloseReason::SlowHead),
            ),
            ("a second head in time", State { head_since: 50_000, ..QUIET }, 59_000, None),
            ("idle", QUIET, 61_001, Some(CloseReason::Idle)),
            ("idle for a while", QUIET, 60_000, None),
            ("waits for our answer", busy, 10_000_000, None),
            ("takes nothing", blocked, 32_001, Some(CloseReason::SlowReader)),
            ("takes now and then", State { last_write: 30_000, ..blocked }, 32_001, None),
            (
                "takes a little",
                State { blocked: 20_000, written: 19_999, last_write: 30_000, ..blocked },
                32_001,
                Some(CloseReason::SlowReader),
            ),
            (
                "takes enough",
                State { blocked: 20_000, written: 20_000, last_write: 30_000, ..blocked },
                32_001,
                None,
            ),
            (
                "does not read the end of an answer",
                State { blocked_since: 2000, ..QUIET },
                32_001,
                Some(CloseReason::SlowReader),
            ),
            (
                "stops one stream",
                State { taken_since: 2000, in_flight: 1, ..h2 },
                32_001,
                Some(CloseReason::SlowReader),
            ),
            ("pings for ever", State { head_since: 1, ..h2 }, 61_001, Some(CloseReason::Idle)),
            ("pings for a while", State { head_since: 1, ..h2 }, 30_000, None),
        ];
        for (name, state, now, expected) in rows {
            assert_eq!(verdict(&state, now, &limits), expected, "{name}");
        }
    }
}
