//! Room in memory for the documents that are on their way.
//!
//! A document has to be whole before it can be read, so it is collected in memory; an upstream
//! bounds each one, and this bounds all of them together. What does not fit is refused at once:
//! waiting for each other, half-collected ones might wait for ever.

use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::PullError;
use crate::upstream::{Upstream, UpstreamBody};

const STEP: usize = 1 << 20;
/// Of an announced length, so much is believed.
const ANNOUNCED_AT_MOST: u64 = 32 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
pub struct Room {
    steps: Arc<Semaphore>,
    all: usize,
}

/// A collected document, and its place, which is free again when this is dropped.
#[derive(Debug)]
pub struct Collected {
    pub bytes: Bytes,
    _places: Vec<OwnedSemaphorePermit>,
}

impl Room {
    /// `size` is rounded up to a megabyte.
    pub fn new(size: u64) -> Self {
        let steps = usize::try_from(size).unwrap_or(usize::MAX).div_ceil(STEP);
        let all = steps.clamp(1, Semaphore::MAX_PERMITS);
        Self { steps: Arc::new(Semaphore::new(all)), all }
    }

    /// A place for a document that is read from the store, free again when it is dropped. Unlike
    /// what arrives piece by piece, it can wait until all of its place is free.
    pub async fn place(&self, size: u64) -> Result<OwnedSemaphorePermit, PullError> {
        let steps = usize::try_from(size).unwrap_or(usize::MAX).div_ceil(STEP);
        let steps = u32::try_from(steps.clamp(1, self.all)).unwrap_or(u32::MAX);
        let place = Arc::clone(&self.steps).acquire_many_owned(steps);
        let in_time = tokio::time::timeout(PATIENCE, place).await;
        in_time.ok().and_then(Result::ok).ok_or(PullError::Busy)
    }

    pub async fn collect(
        &self,
        upstream: &Upstream,
        body: &mut UpstreamBody,
    ) -> Result<Collected, PullError> {
        // Memory that is not written to costs nothing, so it may be announced in vain.
        let announced = body.length.unwrap_or(0).min(ANNOUNCED_AT_MOST);
        let announced = usize::try_from(announced).unwrap_or(0);
        let (mut collected, mut places) = (BytesMut::with_capacity(announced), Vec::new());
        while let Some(chunk) =
            body.chunk().await.map_err(|fault| PullError::from_upstream(upstream, fault))?
        {
            while collected.len() + chunk.len() > places.len() * STEP {
                let place = Arc::clone(&self.steps).try_acquire_owned();
                places
                    .push(place.map_err(|_| PullError::Crowded {
                        upstream: upstream.name().to_owned(),
                    })?);
            }
            collected.extend_from_slice(&chunk);
        }
        Ok(Collected { bytes: collected.freeze(), _places: places })
    }
}
