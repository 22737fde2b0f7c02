//! Room in memory for what anybody may send along.
//!
//! Room is taken for what has arrived and not for what is announced, so that somebody who sends
//! slowly holds little. Who finds none is refused at once: waiting for each other, half-collected
//! bodies might wait until their deadlines.

use std::sync::Arc;

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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

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
