//! Answers' bodies on their way out.
//!
//! [`AnswerBody`] stands around every body: it hands out pieces of at most [`PIECE`], because
//! actix-http copies each piece whole into a buffer of the connection; it notes whose turn it is,
//! counts the bytes, and ends the request when it is dropped.

use std::error::Error as StdError;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::{Context, Poll, ready};

use actix_web::body::{BodySize, BoxBody, MessageBody};
use bytes::Bytes;
use futures_util::Stream;

use super::access::Line;
use super::connections::{Connection, NEVER, Transfer};

/// The largest piece that is given to a connection at once. actix-http fills a connection's buffer
/// up to two of them, keeps the buffer for the next answer while it has at most 128 KiB, and else
/// gives it back after each write. It grows by doubling, from the head and two pieces to twice that
/// where a client takes a part: with 32 KiB that is just above the limit.
pub const PIECE: usize = 30 * 1024;

/// A body of a known length, from a stream of pieces. An error of the stream, or a stream that
/// ends early or goes on too long, breaks the client's transfer instead of ending it well.
pub fn stream_body<S, E>(length: u64, stream: S) -> BoxBody
where
    S: Stream<Item = Result<Bytes, E>> + 'static,
    E: Into<Box<dyn StdError>> + 'static,
{
    BoxBody::new(SizedBody { remaining: length, length, stream: Box::pin(stream) })
}

struct SizedBody<S> {
    length: u64,
    remaining: u64,
    stream: Pin<Box<S>>,
}

#[derive(Debug, thiserror::Error)]
enum BodyError {
    #[error("the body ended {missing} bytes early")]
    Short { missing: u64 },
    #[error("the body is longer than it was said to be")]
    Long,
    #[error("the body's source panicked")]
    Panicked,
}

impl<S, E> MessageBody for SizedBody<S>
where
    S: Stream<Item = Result<Bytes, E>> + 'static,
    E: Into<Box<dyn StdError>> + 'static,
{
    type Error = Box<dyn StdError>;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.length)
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        match ready!(this.stream.as_mut().poll_next(cx)) {
            Some(Ok(piece)) => match this.remaining.checked_sub(piece.len() as u64) {
                Some(remaining) => {
                    this.remaining = remaining;
                    Poll::Ready(Some(Ok(piece)))
                }
                None => Poll::Ready(Some(Err(BodyError::Long.into()))),
            },
            Some(Err(error)) => Poll::Ready(Some(Err(error.into()))),
            None if this.remaining > 0 => {
                Poll::Ready(Some(Err(BodyError::Short { missing: this.remaining }.into())))
            }
            None => Poll::Ready(None),
        }
    }
}

/// Counts a request as running on its connection, from its head to its answer's end.
pub(super) struct Running(pub(super) Option<Arc<Connection>>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(connection) = &self.0 {
            connection.request_ends();
        }
    }
}

pub(super) struct AnswerBody {
    inner: Option<BoxBody>,
    size: BodySize,
    /// What is left of a piece that was too large.
    rest: Bytes,
    transfer: Option<Arc<Transfer>>,
    failed: bool,
    // Dropped in this order: the line is written while the request still counts as running.
    line: Line,
    running: Running,
}

impl AnswerBody {
    pub(super) fn new(body: BoxBody, head: bool, mut line: Line, running: Running) -> Self {
        let size = body.size();
        let empty = head || matches!(size, BodySize::None | BodySize::Sized(0));
        line.complete = empty;
        let transfer = match &running.0 {
            Some(connection) if !empty => Some(connection.transfer_begins()),
            _ => None,
        };
        Self {
            inner: (!empty).then_some(body),
            size,
            rest: Bytes::new(),
            transfer,
            failed: false,
            line,
            running,
        }
    }

    fn poll_piece(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Box<dyn StdError>>>> {
        if self.rest.is_empty() {
            let Some(inner) = &mut self.inner else { return Poll::Ready(None) };
            let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(inner).poll_next(cx)));
            match polled {
                Ok(polled) => match ready!(polled) {
                    Some(Ok(piece)) => self.rest = piece,
                    Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                    None => return Poll::Ready(None),
                },
                Err(panic) => {
                    self.line.report_panic(panic.as_ref());
                    self.inner = None;
                    return Poll::Ready(Some(Err(BodyError::Panicked.into())));
                }
            }
        }
        let length = self.rest.len().min(PIECE);
        Poll::Ready(Some(Ok(self.rest.split_to(length))))
    }
}

impl MessageBody for AnswerBody {
    type Error = Box<dyn StdError>;

    fn size(&self) -> BodySize {
        self.size
    }

    fn poll_next(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Self::Error>>> {
        let this = self.get_mut();
        if let Some(transfer) = &this.transfer {
            transfer.taken.store(NEVER, Relaxed);
        }
        let result = ready!(this.poll_piece(cx));
        match &result {
            Some(Ok(piece)) => {
                this.line.bytes += piece.len() as u64;
                if let (Some(connection), Some(transfer)) = (&this.running.0, &this.transfer) {
                    transfer.taken.store(connection.now(), Relaxed);
                }
            }
            Some(Err(error)) => {
                this.failed = true;
                tracing::warn!(
                    request_id = %this.line.request_id(),
                    error = %crate::observability::escape::bounded(&error.to_string(), 500),
                    "an answer was broken off"
                );
            }
            None => this.line.complete = !this.failed,
        }
        Poll::Ready(result)
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        if let (Some(connection), Some(transfer)) = (&self.running.0, &self.transfer) {
            connection.transfer_ends(transfer);
        }
    }
}
