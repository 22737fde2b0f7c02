//! Room in memory for what anybody may send along, and for what is answered to it.
//!
//! Room is taken for what has arrived and not for what is announced, so that somebody who sends
//! slowly holds little. Who finds none is refused at once: waiting for each other, half-collected
//! bodies might wait until their deadlines.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::web;
use bytes::Bytes;
use futures_util::StreamExt as _;
use serde::de::DeserializeOwned;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pull::PullError;

const STEP: usize = 1 << 10;

#[derive(Clone, Debug)]
pub struct BodyRoom(Arc<Semaphore>);

/// What one body takes of the room, free again when this is dropped.
#[derive(Debug, Default)]
pub struct BodyPlace(Option<OwnedSemaphorePermit>);

impl BodyRoom {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes / STEP)))
    }

    /// Makes `place` large enough for `bytes`.
    pub fn widen(&self, place: &mut BodyPlace, bytes: usize) -> Result<(), PullError> {
        let held = place.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = bytes.div_ceil(STEP).saturating_sub(held);
        let more = u32::try_from(more).map_err(|_| PullError::Busy)?;
        let more = Arc::clone(&self.0).try_acquire_many_owned(more).map_err(|_| PullError::Busy)?;
        match &mut place.0 {
            Some(held) => held.merge(more),
            nothing => *nothing = Some(more),
        }
        Ok(())
    }
}

impl BodyPlace {
    /// Gives back what is more than these bytes need.
    pub fn narrow(&mut self, bytes: usize) {
        if let Some(held) = &mut self.0 {
            let spare = held.num_permits().saturating_sub(bytes.div_ceil(STEP));
            drop(held.split(spare));
        }
    }
}

/// An answer that keeps its place until it is sent, or its reader gone.
#[derive(Debug)]
pub struct HeldBody {
    left: Bytes,
    place: BodyPlace,
}

/// The connection copies each piece, and holds few of them.
const PIECE: usize = 64 << 10;

impl HeldBody {
    pub fn new(body: Bytes, place: BodyPlace) -> Self {
        Self { left: body, place }
    }
}

impl MessageBody for HeldBody {
    type Error = Infallible;

    fn size(&self) -> BodySize {
        BodySize::Sized(self.left.len() as u64)
    }

    fn poll_next(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Bytes, Infallible>>> {
        if self.left.is_empty() {
            self.place = BodyPlace::default();
            return Poll::Ready(None);
        }
        let piece = self.left.len().min(PIECE);
        Poll::Ready(Some(Ok(self.left.split_to(piece))))
    }
}

/// A short JSON text; `None` where it is longer than that, breaks off, or is something else.
pub async fn short_json<T: DeserializeOwned>(mut body: web::Payload, at_most: usize) -> Option<T> {
    let mut text = Vec::new();
    while let Some(piece) = body.next().await {
        text.extend_from_slice(&piece.ok()?);
        if text.len() > at_most {
            return None;
        }
    }
    serde_json::from_slice(&text).ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::task::Waker;

    use super::*;

    #[test]
    fn an_answer_has_its_place_until_it_is_sent_or_dropped() {
        let room = BodyRoom::new(200 << 10);
        let taken = |bytes: usize| {
            let mut place = BodyPlace::default();
            room.widen(&mut place, bytes).map(|()| place)
        };
        let mut place = taken(200 << 10).unwrap();
        place.narrow(150 << 10);
        assert!(taken(51 << 10).is_err() && taken(50 << 10).is_ok());
        let mut body = HeldBody::new(vec![7; 150 << 10].into(), place);
        let mut context = Context::from_waker(Waker::noop());
        let mut sent = Vec::new();
        while let Poll::Ready(Some(Ok(piece))) = Pin::new(&mut body).poll_next(&mut context) {
            assert!(taken(51 << 10).is_err(), "the rest is still here");
            sent.extend_from_slice(&piece);
        }
        assert_eq!(sent, vec![7; 150 << 10]);
        let body = HeldBody::new(Bytes::from_static(b"{}"), taken(200 << 10).unwrap());
        assert!(taken(1).is_err());
        drop(body);
        assert!(taken(200 << 10).is_ok());
    }

    #[test]
    fn bodies_share_a_bounded_room_by_what_has_arrived() {
        let room = BodyRoom::new(4 * STEP);
        let (mut first, mut second) = (BodyPlace::default(), BodyPlace::default());
        room.widen(&mut first, 10).unwrap();
        room.widen(&mut first, STEP).unwrap();
        room.widen(&mut second, 3 * STEP).unwrap();
        assert!(matches!(room.widen(&mut first, STEP + 1), Err(PullError::Busy)));
        assert!(matches!(room.widen(&mut second, usize::MAX), Err(PullError::Busy)));
        drop(second);
        room.widen(&mut first, 4 * STEP).unwrap();
    }
}
