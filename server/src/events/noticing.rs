//! What happens without anybody doing anything, noticed and put on record: a version is held and is
//! not held any more ([`holds`]), an advisory speaks of something in use ([`hits`]).
//!
//! It runs beside everything else, a bounded piece of work at a time. How far it is lies in the
//! store, so what happened while no garth ran is noticed by the next one, and each thing once.
//!
//! [`holds`]: super::holds
//! [`hits`]: super::hits

use std::sync::Arc;
use std::time::Duration;

use policies::package::Ecosystem;
use tokio::task::JoinHandle;

use super::holds::Holds;
use crate::audit::Log;
use crate::clock::Clock;
use crate::metadata::{Metadata, MetadataError};
use crate::recorded::Recorder;
use crate::requests::Requests;
use crate::rules::Rules;

const LOOK: Duration = Duration::from_secs(2);

/// What it works with.
#[derive(Debug)]
pub struct Noticer {
    pub metadata: Arc<dyn Metadata>,
    /// Every registry, with the ecosystem of its packages.
    pub registries: Arc<[(Arc<str>, Ecosystem)]>,
    pub log: Log,
    pub rules: Rules,
    pub requests: Requests,
    pub recorder: Recorder,
    pub clock: Clock,
    /// Recorded use of so long is use.
    pub in_use: Duration,
}

/// Ends with it.
#[derive(Debug)]
pub struct Noticing(JoinHandle<()>);

impl Drop for Noticing {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Noticer {
    pub fn start(self) -> Noticing {
        Noticing(tokio::spawn(async move {
            let mut holds = Holds::default();
            let (mut holds_fail, mut hits_fail) = (false, false);
            loop {
                tokio::time::sleep(LOOK).await;
                let done = holds.look(&self).await;
                tell(done, &mut holds_fail, "what is on hold can not be followed");
                let done = self.look_for_hits().await;
                tell(done, &mut hits_fail, "what advisories say of what is in use can not be told");
            }
        }))
    }
}

/// Once for each time that it begins to fail.
fn tell(done: Result<(), MetadataError>, fails: &mut bool, what: &'static str) {
    match done {
        Ok(()) => *fails = false,
        // Another process was faster.
        Err(MetadataError::Conflict { .. }) => {}
        Err(fault) => {
            if !*fails {
                tracing::error!(%fault, "{what}; it is tried again");
            }
            *fails = true;
        }
    }
}
