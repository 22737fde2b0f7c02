//! How many publishes are taken in at once.
//!
//! Each one that arrives holds a thread and a file until it is whole or its deadline ends it. So
//! there are so many places, and nobody has all of them; whoever finds none waits for a while.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::pull::PullError;

#[derive(Clone, Copy, Debug)]
pub struct UploadLimits {
    pub all: usize,
    pub of_person: usize,
    pub patience: Duration,
}

impl Default for UploadLimits {
    fn default() -> Self {
        Self { all: 64, of_person: 32, patience: Duration::from_mins(1) }
    }
}

#[derive(Debug)]
pub struct Uploads {
    limits: UploadLimits,
    all: Arc<Semaphore>,
    of_person: Mutex<HashMap<Arc<str>, Arc<Semaphore>>>,
}

/// A place for one upload, free again when it is dropped.
#[derive(Debug)]
pub struct Place {
    _own: OwnedSemaphorePermit,
    _all: OwnedSemaphorePermit,
}

impl Uploads {
    pub fn new(limits: UploadLimits) -> Self {
        let all = Arc::new(Semaphore::new(limits.all));
        Self { limits, all, of_person: Mutex::default() }
    }

    pub async fn take(&self, person: &Arc<str>) -> Result<Place, PullError> {
        let own = Arc::clone(
            self.of_person
                .lock()
                .entry(Arc::clone(person))
                .or_insert_with(|| Arc::new(Semaphore::new(self.limits.of_person))),
        );
        // His own first: whoever waits for himself keeps nobody else waiting.
        let places = async {
            let own = own.acquire_owned().await.ok()?;
            let all = Arc::clone(&self.all).acquire_owned().await.ok()?;
            Some(Place { _own: own, _all: all })
        };
        let in_time = tokio::time::timeout(self.limits.patience, places).await;
        in_time.ok().flatten().ok_or(PullError::Busy)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_takes_all_the_places() {
        let limits = UploadLimits { all: 3, of_person: 2, patience: Duration::from_millis(100) };
        let uploads = Uploads::new(limits);
        let (ann, bob): (Arc<str>, Arc<str>) = ("ann".into(), "bob".into());
        let first = uploads.take(&ann).await.unwrap();
        let _second = uploads.take(&ann).await.unwrap();
        assert!(matches!(uploads.take(&ann).await, Err(PullError::Busy)));
        let _third = uploads.take(&bob).await.unwrap();
        assert!(matches!(uploads.take(&bob).await, Err(PullError::Busy)));
        drop(first);
        uploads.take(&bob).await.unwrap();
    }
}
