//! Requests' bodies on their way in: bounded in size, in time, and from below in speed.
//!
//! Only the time in which a handler waits for the client counts, so a handler that takes its time
//! is not the client's fault.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::error::PayloadError;
use actix_web::dev::Payload;
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

use super::limits::{BodyLimit, Limits};
use super::problem::Problem;

/// What went wrong with a body, told beside the stream: handlers see only a payload error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BodyFault {
    TooLarge { limit: BodyLimit },
    TooSlow,
    Broken,
}

impl From<BodyFault> for Problem {
    fn from(fault: BodyFault) -> Self {
        match fault {
            BodyFault::TooLarge { limit } => Self::body_too_large(limit),
            BodyFault::TooSlow => Self::body_too_slow(),
            BodyFault::Broken => Self::body_broken(),
        }
    }
}

pub(super) type Fault = Rc<Cell<Option<BodyFault>>>;

/// Puts the limits around a request's body.
pub(super) fn bounded(
    payload: Payload,
    limit: BodyLimit,
    limits: &Limits,
    fault: Fault,
) -> Payload {
    let stream: Pin<Box<dyn Stream<Item = Result<Bytes, PayloadError>>>> = Box::pin(BoundedBody {
        payload,
        limit,
        received: 0,
        fault,
        window: limits.rate_window,
        rate: limits.body_rate,
        end: Instant::now() + limits.body_total,
        in_window: 0,
        waiting: None,
        waited: Duration::ZERO,
    });
    Payload::from(stream)
}

struct BoundedBody {
    payload: Payload,
    limit: BodyLimit,
    received: u64,
    fault: Fault,
    window: Duration,
    rate: u64,
    end: Instant,
    /// Bytes and time of waiting since the window began.
    in_window: u64,
    waited: Duration,
    waiting: Option<Waiting>,
}

struct Waiting {
    since: Instant,
    timer: Pin<Box<Sleep>>,
}

impl BoundedBody {
    fn fail(&mut self, fault: BodyFault) -> Poll<Option<Result<Bytes, PayloadError>>> {
        self.fault.set(Some(fault));
        Poll::Ready(Some(Err(match fault {
            BodyFault::TooLarge { .. } => PayloadError::Overflow,
            BodyFault::TooSlow => PayloadError::Io(std::io::ErrorKind::TimedOut.into()),
            BodyFault::Broken => PayloadError::Incomplete(None),
        })))
    }

    /// Counts the waiting; true while the window's pace holds.
    fn pace_holds(&mut self, now: Instant) -> bool {
        if let Some(waiting) = self.waiting.take() {
            self.waited += now.saturating_duration_since(waiting.since);
        }
        if self.waited < self.window {
            return true;
        }
        let owed = self.rate.saturating_mul(self.window.as_millis().try_into().unwrap_or(u64::MAX));
        let holds = self.in_window >= owed / 1000;
        self.in_window = 0;
        self.waited = Duration::ZERO;
        holds
    }
}

impl Stream for BoundedBody {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        match Pin::new(&mut this.payload).poll_next(cx) {
            Poll::Ready(Some(Ok(piece))) => {
                let now = Instant::now();
                this.received += piece.len() as u64;
                this.in_window += piece.len() as u64;
                if this.received > this.limit.bytes {
                    return this.fail(BodyFault::TooLarge { limit: this.limit });
                }
                if !this.pace_holds(now) || now > this.end {
                    return this.fail(BodyFault::TooSlow);
                }
                Poll::Ready(Some(Ok(piece)))
            }
            Poll::Ready(Some(Err(error))) => {
                this.fault.set(Some(BodyFault::Broken));
                Poll::Ready(Some(Err(error)))
            }
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Pending => {
                let (window, waited, end) = (this.window, this.waited, this.end);
                let waiting = this.waiting.get_or_insert_with(|| {
                    let since = Instant::now();
                    let until = (since + window.saturating_sub(waited)).min(end);
                    Waiting { since, timer: Box::pin(sleep_until(until)) }
                });
                if waiting.timer.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                let now = Instant::now();
                if !this.pace_holds(now) || now >= this.end {
                    return this.fail(BodyFault::TooSlow);
                }
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }
}
