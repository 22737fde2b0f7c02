//! Requests that refusals make or join, many at once.
//!
//! What is added is added as in [`super::asking`]. What merely counts expects its own record alone.

use std::collections::BTreeMap;

use bytes::Bytes;
use policies::package::Package;
use policies::versions::exactly;

use super::board::Board;
use super::listed::{count, new_record};
use super::pending::{Tally, Wanted};
use super::{ATTEMPTS, Requests};
use crate::audit::{Action, GARTH};
use crate::metadata::records::{self, RequestRecord, RequestsRecord, Stage};
use crate::metadata::{Batch, MAX_BATCH_BYTES, MetadataError};

/// Leaves other writers room beside it.
const PART_BYTES: usize = MAX_BATCH_BYTES / 4;
const PART_CHANGES: usize = 200;

impl Requests {
    /// Writes what was refused since the last time. What can not be written waits for the next.
    pub async fn write_refusals(&self) -> Result<(), MetadataError> {
        let mut waiting: Vec<(Wanted, Tally)> = self.0.pending.lock().take();
        waiting.reverse();
        let mut touched = Vec::new();
        let turn = self.0.turn.lock().await;
        let mut attempts = 0;
        while !waiting.is_empty() {
            match self.write_some(&mut waiting).await {
                Ok(written) => {
                    attempts = 0;
                    touched.extend(written);
                }
                Err(MetadataError::Conflict { .. }) if attempts < ATTEMPTS => {
                    attempts += 1;
                    self.forget_board();
                }
                Err(fault) => {
                    self.forget_board();
                    let mut pending = self.0.pending.lock();
                    for (wanted, tally) in waiting {
                        if !pending.add(wanted, tally) {
                            self.0.metrics.request_unrecorded();
                        }
                    }
                    return Err(fault);
                }
            }
        }
        drop(turn);
        if self.0.rules.approvals().is_empty() {
            return Ok(());
        }
        for number in touched {
            self.approve_by_policy(number).await;
        }
        Ok(())
    }

    /// As many as one commit takes, from the end; they are gone from `waiting` when it is durable.
    async fn write_some(
        &self,
        waiting: &mut Vec<(Wanted, Tally)>,
    ) -> Result<Vec<u64>, MetadataError> {
        let state = self.state_of_board().await?;
        let mut writing = Writing { next: state.next(), ..Writing::default() };
        let mut taken = 0;
        for (wanted, tally) in waiting.iter().rev() {
            if writing.bytes > PART_BYTES || writing.changed.len() >= PART_CHANGES {
                break;
            }
            self.write_tally(&mut writing, wanted, tally).await?;
            taken += 1;
        }
        let (mut batch, adds) = (Batch::default(), writing.added > 0);
        let mut gone = Vec::new();
        if adds {
            // Whoever is new may have to make room for itself.
            let mut board_after = self.0.board.write();
            for (number, change) in &writing.changed {
                board_after.put_record(*number, change.stage, &change.record);
            }
            gone = board_after.surplus(self.max_automatic());
        }
        for (number, change) in &writing.changed {
            let key = RequestRecord::key(change.stage, *number);
            batch = batch.expect(key.to_bytes(), change.before.clone());
            if gone.iter().all(|(_, gone)| gone != number) {
                batch = batch.put_record(&key, &change.record);
            }
        }
        for (_, number) in &gone {
            batch = batch.remove_record(&RequestRecord::key(Stage::Open, *number));
        }
        if adds {
            batch = state.expect(batch).put_record(&RequestsRecord::key(), &writing.next);
        }
        for (number, change) in &writing.changed {
            let is_new = change.before.is_none() && gone.iter().all(|(_, gone)| gone != number);
            if is_new {
                let entry = self.entry(Action::RequestMade, *number, &change.record).by(GARTH);
                let refused = "a client was refused it";
                batch = batch.note(entry.why(Some(refused)), change.record.last);
            }
        }
        if let Err(fault) = self.0.metadata.commit(batch).await {
            // It shows what was not written.
            self.forget_board();
            return Err(fault);
        }
        self.post(|board| {
            for (number, change) in &writing.changed {
                board.put_record(*number, change.stage, &change.record);
            }
            for (package, number) in &gone {
                board.take(package, *number);
            }
            if adds {
                board.changed = Some(writing.next.changed);
            }
        });
        self.tell(&writing, &gone);
        waiting.truncate(waiting.len() - taken);
        let mut numbers: Vec<u64> = writing.changed.into_keys().collect();
        numbers.retain(|number| gone.iter().all(|(_, gone)| gone != number));
        Ok(numbers)
    }

    fn tell(&self, writing: &Writing, gone: &[(Package, u64)]) {
        for (number, change) in &writing.changed {
            if change.before.is_none() && gone.iter().all(|(_, gone)| gone != number) {
                let package = &change.record.package;
                let versions = change.record.versions.as_deref().unwrap_or("any");
                tracing::info!(request = number, %package, versions, "refused, so it is asked for");
            }
        }
        if !gone.is_empty() {
            self.0.metrics.requests_dropped(gone.len());
            tracing::warn!(
                dropped = gone.len(),
                most = self.0.config.max_automatic,
                "too many things were refused: the requests for those that were asked for least fell away"
            );
        }
    }

    async fn write_tally(
        &self,
        writing: &mut Writing,
        wanted: &Wanted,
        tally: &Tally,
    ) -> Result<(), MetadataError> {
        let found = writing.fresh.open_for(wanted).or_else(|| self.0.board.read().open_for(wanted));
        let found = found.map(|number| (Stage::Open, number)).or_else(|| {
            let board = self.0.board.read();
            board.rejected_for(wanted).map(|posted| (posted.stage, posted.number))
        });
        let (stage, number) = found.unwrap_or_else(|| {
            writing.next.last += 1;
            writing.added += 1;
            (Stage::Open, writing.next.last)
        });
        if let std::collections::btree_map::Entry::Vacant(vacant) = writing.changed.entry(number) {
            let (record, before) = if found.is_some() {
                let stored = self.stored(&RequestRecord::key(stage, number)).await?;
                (stored.record, Some(stored.raw))
            } else {
                let versions = wanted.version.as_ref();
                let versions =
                    versions.map(|version| exactly(wanted.package.ecosystem(), version.as_str()));
                (new_record(&wanted.package, versions.as_deref(), tally.first()), None)
            };
            vacant.insert(Changed { stage, record, before });
        }
        let Some(change) = writing.changed.get_mut(&number) else { return Ok(()) };
        let record = &mut change.record;
        for refusals in &tally.askers {
            count(record, refusals, false);
        }
        record.by_others += tally.others;
        record.refusals += tally.count();
        record.last = record.last.max(tally.refused.at);
        // Of a closure it may be any package's.
        if record.closure.is_none() {
            record.refused = Some(tally.refused.clone());
        }
        if found.is_none() {
            writing.fresh.put_record(number, Stage::Open, record);
        }
        writing.bytes += records::encode(record).len();
        Ok(())
    }
}

/// What one commit writes.
#[derive(Default)]
struct Writing {
    next: RequestsRecord,
    changed: BTreeMap<u64, Changed>,
    /// The new ones among them, so that what is refused twice joins them.
    fresh: Board,
    added: usize,
    bytes: usize,
}

struct Changed {
    stage: Stage,
    record: RequestRecord,
    before: Option<Bytes>,
}
