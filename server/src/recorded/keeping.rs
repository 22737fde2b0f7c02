//! What is kept of recorded use: many small records of a past hour are joined, what is too old is
//! taken away, and of what is too much the oldest.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::Ordering;

use bytes::Bytes;
use jiff::SignedDuration;

use super::{Recorder, Tally, Use, hour_of, rows};
use crate::metadata::records::{self, Key, Prefix, RecordedRecord, decode};
use crate::metadata::{Batch, Entry, MAX_BATCH_BYTES, MetadataError};

/// Records that are read at once.
const PAGE: usize = 64;
/// Records that are joined at once: they and what becomes of them go in one batch.
const JOINED: usize = 512;
const JOINED_BYTES: usize = MAX_BATCH_BYTES / 4;
/// Of another process over the same store, what it wrote is counted at every so many looks.
const LOOKS: u32 = 36;

/// What lies in the store, by hour.
#[derive(Debug, Default)]
pub(super) struct Held {
    hours: BTreeMap<u32, Hour>,
    is_known: bool,
    looks: u32,
}

#[derive(Clone, Copy, Debug, Default)]
struct Hour {
    bytes: u64,
    records: usize,
    /// It was joined, as far as that goes.
    is_joined: bool,
}

impl Held {
    pub(super) fn wrote(&mut self, hour: u32, bytes: u64, records: usize) {
        let hour = self.hours.entry(hour).or_default();
        hour.bytes += bytes;
        hour.records += records;
        hour.is_joined = false;
    }

    fn bytes(&self) -> u64 {
        self.hours.values().map(|hour| hour.bytes).sum()
    }
}

impl Recorder {
    /// Bytes of what is kept, as far as it is known already.
    pub async fn bytes(&self) -> u64 {
        self.0.held.lock().await.bytes()
    }

    pub(super) async fn tidy(&self) -> Result<(), MetadataError> {
        self.look().await?;
        self.drop_old().await?;
        self.join_past().await
    }

    /// Counts what lies in the store.
    async fn look(&self) -> Result<(), MetadataError> {
        {
            let mut held = self.0.held.lock().await;
            held.looks += 1;
            if held.is_known && !held.looks.is_multiple_of(LOOKS) {
                return Ok(());
            }
        }
        let mut found: BTreeMap<u32, Hour> = BTreeMap::new();
        // What is written meanwhile is counted by who writes it: only what is older is looked at.
        let now = hour_of(self.0.clock.now());
        let prefix = Prefix::<RecordedRecord>::all();
        let mut after = None;
        loop {
            let page = self.0.metadata.scan(prefix.as_bytes(), after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            for entry in page {
                let place = Key::parse(&entry.key).and_then(|key| RecordedRecord::place(&key));
                if let Some(place) = place {
                    let hour = found.entry(place.hour).or_default();
                    hour.bytes += (entry.key.len() + entry.value.len()) as u64;
                    hour.records += 1;
                }
                after = Some(entry.key);
            }
            if is_last {
                break;
            }
        }
        let mut held = self.0.held.lock().await;
        for (hour, was) in &held.hours {
            if let Some(is) = found.get_mut(hour) {
                is.is_joined = was.is_joined && was.records == is.records;
            }
        }
        let current = held.hours.split_off(&now.saturating_sub(1));
        for (hour, known) in current {
            let found = found.entry(hour).or_default();
            if known.bytes > found.bytes {
                *found = known;
            }
        }
        held.hours = found;
        held.is_known = true;
        Ok(())
    }

    /// Takes away the oldest hours, those that are past their time and those that are too much.
    async fn drop_old(&self) -> Result<(), MetadataError> {
        let keep = SignedDuration::try_from(self.0.settings.keep).unwrap_or(SignedDuration::MAX);
        let now = self.0.clock.now();
        let oldest = now.checked_sub(keep).map_or(0, hour_of);
        loop {
            let (hour, is_too_much) = {
                let held = self.0.held.lock().await;
                let Some((&hour, _)) = held.hours.first_key_value() else { return Ok(()) };
                let is_too_much = held.bytes() > self.0.settings.max;
                if hour >= oldest && !is_too_much {
                    return Ok(());
                }
                (hour, is_too_much && hour >= oldest)
            };
            let requests = self.drop_hour(hour).await?;
            self.0.held.lock().await.hours.remove(&hour);
            let at = jiff::Timestamp::from_second(i64::from(hour) * 3600).unwrap_or_default();
            if is_too_much {
                self.0.metrics.decisions_dropped(requests);
                tracing::warn!(%at, requests, max = self.0.settings.max, "recorded use of an hour was dropped before its time: there is more of it than recorded.max");
            } else {
                tracing::debug!(%at, requests, "recorded use of an hour was dropped: it is older than recorded.keep");
            }
        }
    }

    async fn drop_hour(&self, hour: u32) -> Result<u64, MetadataError> {
        let prefix = RecordedRecord::of_hour(hour);
        let mut requests = 0;
        loop {
            let page = self.0.metadata.scan(prefix.as_bytes(), None, PAGE).await?;
            if page.is_empty() {
                return Ok(requests);
            }
            let mut batch = Batch::default();
            for entry in page {
                // One that can not be read goes like the others.
                let record = decode::<RecordedRecord>(&entry.key, &entry.value);
                requests += record.map_or(0, |record| record.requests);
                batch = batch.remove(entry.key);
            }
            self.0.metadata.commit(batch).await?;
        }
    }

    /// Joins the records of each past hour, unless somebody reads.
    async fn join_past(&self) -> Result<(), MetadataError> {
        // What was counted before the end of an hour is written a few seconds after it.
        let now = hour_of(self.0.clock.now() - SignedDuration::from_mins(1));
        let hours: Vec<u32> = {
            let held = self.0.held.lock().await;
            let past = held.hours.range(..now);
            past.filter(|(_, of)| of.records > 1 && !of.is_joined).map(|(hour, _)| *hour).collect()
        };
        for hour in hours {
            let Ok(_alone) = self.0.joining.try_write() else { return Ok(()) };
            let mut before = usize::MAX;
            let joined = loop {
                let joined = self.join_hour(hour).await?;
                if joined.records.saturating_mul(10) > before.saturating_mul(8) {
                    break joined;
                }
                before = joined.records;
            };
            self.0.held.lock().await.hours.insert(hour, joined);
        }
        Ok(())
    }

    /// One pass over the hour, and what it then takes.
    async fn join_hour(&self, hour: u32) -> Result<Hour, MetadataError> {
        let prefix = RecordedRecord::of_hour(hour);
        let (mut group, mut bytes, mut after) = (Vec::<Entry>::new(), 0, None::<Bytes>);
        // What is joined gets new keys, some of which are met again behind the old ones.
        let first_new = self.0.next.load(Ordering::Relaxed);
        let mut joined = Hour { is_joined: true, ..Hour::default() };
        loop {
            let page = self.0.metadata.scan(prefix.as_bytes(), after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|entry| entry.key.clone());
            for entry in page {
                let place = Key::parse(&entry.key).and_then(|key| RecordedRecord::place(&key));
                if place.is_some_and(|at| at.writer == self.0.writer && at.n >= first_new) {
                    continue;
                }
                if !group.is_empty()
                    && (group.len() == JOINED || bytes + entry.value.len() > JOINED_BYTES)
                {
                    self.join(hour, std::mem::take(&mut group), &mut joined).await?;
                    bytes = 0;
                }
                bytes += entry.value.len();
                group.push(entry);
            }
            if is_last {
                self.join(hour, group, &mut joined).await?;
                return Ok(joined);
            }
        }
    }

    async fn join(
        &self,
        hour: u32,
        group: Vec<Entry>,
        joined: &mut Hour,
    ) -> Result<(), MetadataError> {
        let mut keep = |count: usize, bytes: usize| {
            joined.records += count;
            joined.bytes += bytes as u64;
        };
        let mut together: HashMap<Use, Tally> = HashMap::new();
        let mut batch = Batch::default();
        for Entry { key, value } in group {
            let record = decode::<RecordedRecord>(&key, &value);
            let rows = record.map_err(|fault| fault.to_string());
            match rows.and_then(|record| rows::unpack(hour, &record)) {
                Ok(rows) => {
                    for (row, tally) in rows {
                        let known = together.entry(row).or_default();
                        known.add(tally.requests, tally.last, &tally.revision);
                    }
                    batch = batch.expect(key.clone(), Some(value)).remove(key);
                }
                Err(cause) => {
                    let key_text = records::show_key(&key);
                    tracing::warn!(
                        record = key_text,
                        cause,
                        "recorded use can not be read; it is left out"
                    );
                    keep(1, key.len() + value.len());
                }
            }
        }
        let mut rows: Vec<(Use, Tally)> = together.into_iter().collect();
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
        let before = batch.changes.len();
        let (mut rest, mut records) = (&rows[..], Vec::new());
        while !rest.is_empty() {
            let (more, taken) = rows::pack_some(rest, JOINED_BYTES);
            records.extend(more);
            rest = &rest[taken..];
        }
        let is_worth_it = records.len() < before;
        if !is_worth_it {
            let bytes = batch
                .expectations
                .iter()
                .map(|of| of.key.len() + of.value.as_ref().map_or(0, Bytes::len));
            keep(before, bytes.sum());
            return Ok(());
        }
        let added = records.iter().fold(Batch::default(), |batch, record| {
            batch.put_record(&RecordedRecord::key(&self.place(hour)), record)
        });
        let (count, bytes) = (records.len(), added.bytes());
        batch.changes.extend(added.changes);
        match self.0.metadata.commit(batch).await {
            Ok(()) => keep(count, bytes),
            // Another process over the same store does the same.
            Err(MetadataError::Conflict { .. }) => {}
            Err(fault) => return Err(fault),
        }
        Ok(())
    }
}
