//! What comes often, as one entry: refusals, failed logins.
//!
//! The first one of its kind is written at once, the next ones are counted, and their number is written
//! when an hour is over, or when garth stops. Nothing is changed by what is told here, so no commit waits
//! for it. What is counted is bounded; what does not fit is counted as that.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;
use tokio::runtime::Handle;

use super::entry::{Action, Entry};
use crate::clock::Clock;
use crate::metadata::{Batch, Metadata, MetadataError};

/// How long the first one waits.
const WRITE: Duration = Duration::from_secs(2);
/// How long the next ones are counted.
const COUNT: SignedDuration = SignedDuration::from_hours(1);
/// Different ones that are counted.
const MOST: usize = 10_000;
/// Entries of one commit.
const AT_ONCE: usize = 200;

/// Cheap to clone.
#[derive(Clone)]
pub struct Often(Arc<Inner>);

struct Inner {
    metadata: Arc<dyn Metadata>,
    clock: Clock,
    runtime: Handle,
    counted: Mutex<Counted>,
    /// Held by whoever writes.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Default)]
struct Counted {
    by_key: HashMap<String, Tally>,
    /// Of those that had no room.
    others: u64,
    /// Somebody comes to write them.
    awaited: bool,
}

struct Tally {
    /// As the first one since the last time was.
    entry: Entry,
    count: u64,
    first: Timestamp,
    last: Timestamp,
    /// When it was written last.
    told: Option<Timestamp>,
}

impl std::fmt::Debug for Often {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Often").field("counted", &self.0.counted.lock().by_key.len()).finish()
    }
}

impl Often {
    pub fn new(metadata: Arc<dyn Metadata>, clock: Clock, runtime: Handle) -> Self {
        let (counted, turn) = (Mutex::default(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { metadata, clock, runtime, counted, turn }))
    }

    /// Counts one.
    pub fn note(&self, entry: Entry) {
        let now = self.0.clock.now();
        let key = entry.kind_of();
        let mut counted = self.0.counted.lock();
        let has_room = counted.by_key.len() < MOST;
        match counted.by_key.get_mut(&key) {
            Some(tally) => {
                if tally.count == 0 {
                    (tally.entry, tally.first) = (entry, now);
                }
                (tally.count, tally.last) = (tally.count + 1, now);
            }
            None if has_room => {
                let tally = Tally { entry, count: 1, first: now, last: now, told: None };
                counted.by_key.insert(key, tally);
            }
            None => counted.others += 1,
        }
        if !std::mem::replace(&mut counted.awaited, true) {
            drop(counted);
            self.0.runtime.spawn(write_later(Arc::downgrade(&self.0)));
        }
    }

    #[cfg(test)]
    pub(super) async fn write(&self, all: bool) -> Result<(), MetadataError> {
        self.0.write(all).await
    }

    /// Before the store is closed: what was counted up to now is written.
    pub async fn finish(&self) {
        if let Err(fault) = self.0.write(true).await {
            tracing::warn!(%fault, "the last refusals could not be written into the audit log");
        }
    }
}

async fn write_later(often: std::sync::Weak<Inner>) {
    loop {
        tokio::time::sleep(WRITE).await;
        let Some(often) = often.upgrade() else { return };
        if let Err(fault) = often.write(false).await {
            tracing::error!(%fault, "refusals could not be written into the audit log; they are tried again");
        }
        let mut counted = often.counted.lock();
        if counted.by_key.is_empty() && counted.others == 0 {
            counted.awaited = false;
            return;
        }
    }
}

impl Inner {
    /// What is due, or all.
    async fn write(&self, all: bool) -> Result<(), MetadataError> {
        let _turn = self.turn.lock().await;
        let now = self.clock.now();
        let mut due = self.counted.lock().take_due(now, all);
        while !due.is_empty() {
            let part = due.len().min(AT_ONCE);
            let batch = due[..part]
                .iter()
                .fold(Batch::default(), |batch, (_, tally)| batch.note(tally.told(), tally.last));
            if let Err(fault) = self.metadata.commit(batch).await {
                self.counted.lock().put_back(due);
                return Err(fault);
            }
            due.drain(..part);
        }
        Ok(())
    }
}

impl Tally {
    fn told(&self) -> Entry {
        let entry = self.entry.clone().detail("count", &self.count);
        if self.count > 1 { entry.detail("first", &self.first) } else { entry }
    }
}

impl Counted {
    fn take_due(&mut self, now: Timestamp, all: bool) -> Vec<(String, Tally)> {
        let is_over = |told: Timestamp| now.duration_since(told) >= COUNT;
        let mut due = Vec::new();
        for (key, tally) in &mut self.by_key {
            if tally.count > 0 && (all || tally.told.is_none_or(is_over)) {
                let entry = tally.entry.clone();
                let (first, last) = (tally.first, tally.last);
                due.push((
                    key.clone(),
                    Tally { entry, count: tally.count, first, last, told: tally.told },
                ));
                (tally.count, tally.told) = (0, Some(now));
            }
        }
        // Who was not heard of for an hour is as if new.
        self.by_key
            .retain(|_, tally| tally.count > 0 || tally.told.is_some_and(|told| !is_over(told)));
        if self.others > 0 {
            let why = "too many different ones to tell them apart";
            let entry = Entry::by_garth(Action::Refused).why(Some(why));
            let count = std::mem::take(&mut self.others);
            due.push((String::new(), Tally { entry, count, first: now, last: now, told: None }));
        }
        due
    }

    /// What could not be written.
    fn put_back(&mut self, due: Vec<(String, Tally)>) {
        for (key, tally) in due {
            if key.is_empty() {
                self.others += tally.count;
                continue;
            }
            match self.by_key.entry(key) {
                std::collections::hash_map::Entry::Occupied(mut known) => {
                    let known = known.get_mut();
                    known.last = known.last.max(tally.last);
                    (known.entry, known.first, known.told) = (tally.entry, tally.first, tally.told);
                    known.count += tally.count;
                }
                std::collections::hash_map::Entry::Vacant(vacant) => {
                    vacant.insert(tally);
                }
            }
        }
    }
}
