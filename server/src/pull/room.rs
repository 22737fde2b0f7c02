//! Room in memory for the documents that are on their way.
//!
//! A document has to be whole before it can be read, so it is collected in memory; an upstream
//! bounds each one, and this bounds all of them together. What does not fit is refused at once:
//! waiting for each other, half-collected ones might wait for ever.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::PullError;
use crate::upstream::{Upstream, UpstreamBody};

const STEP: usize = 1 << 20;

#[derive(Debug)]
pub struct Room(Arc<Semaphore>);

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
        Self(Arc::new(Semaphore::new(steps.min(Semaphore::MAX_PERMITS))))
    }

    pub async fn collect(
        &self,
        upstream: &Upstream,
        body: &mut UpstreamBody,
    ) -> Result<Collected, PullError> {
        let (mut collected, mut places) = (BytesMut::new(), Vec::new());
        while let Some(chunk) =
            body.chunk().await.map_err(|fault| PullError::from_upstream(upstream, fault))?
        {
            while collected.len() + chunk.len() > places.len() * STEP {
                let place = Arc::clone(&self.0).try_acquire_owned();
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
