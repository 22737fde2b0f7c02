//! Room in memory for the views in the making.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pull::PullError;

/// Room is given out in pieces of this.
const PIECE: usize = 16 << 10;

#[derive(Clone, Debug)]
pub(super) struct Room {
    pieces: Arc<Semaphore>,
    all: usize,
    patience: Duration,
}

impl Room {
    /// Who finds none waits for `patience`.
    pub(super) fn new(bytes: usize, patience: Duration) -> Self {
        let all = (bytes / PIECE).max(1);
        let pieces = Arc::new(Semaphore::new(all));
        Self { pieces, all, patience }
    }

    /// A place for a view of `size` bytes, free again when it is dropped. The largest ones get
    /// all the room to themselves.
    pub(super) async fn place(&self, size: usize) -> Result<OwnedSemaphorePermit, PullError> {
        // Once as it is and once packed.
        let pieces = (size + size / 4).div_ceil(PIECE).clamp(1, self.all);
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        let place = Arc::clone(&self.pieces).acquire_many_owned(pieces);
        let in_time = tokio::time::timeout(self.patience, place).await;
        in_time.ok().and_then(Result::ok).ok_or(PullError::Busy)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn views_in_the_making_share_a_bounded_room() {
        let patience = Duration::from_millis(300);
        let room = Room::new(10 << 20, patience);
        let mut places = Vec::new();
        for _ in 0..4 {
            places.push(room.place(2 << 20).await.unwrap());
        }
        let asked = tokio::time::Instant::now();
        assert!(matches!(room.place(1).await, Err(PullError::Busy)));
        assert!(asked.elapsed() >= patience);

        // One that waits is let in when another is done.
        let waiting = tokio::spawn({
            let room = room.clone();
            async move { room.place(2 << 20).await.map(drop) }
        });
        tokio::time::sleep(patience / 6).await;
        places.pop();
        waiting.await.unwrap().unwrap();

        // Small ones do not stand in each other's way.
        for _ in 0..100 {
            places.push(room.place(5000).await.unwrap());
        }
        assert!(room.place(100 << 20).await.is_err());
        places.clear();
        let _whole = room.place(100 << 20).await.unwrap();
        assert!(room.place(1).await.is_err(), "the largest one has the room to itself");
    }
}
