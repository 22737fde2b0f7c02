//! Reading recorded use, a record at a time, from the oldest hour on.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::OwnedRwLockReadGuard;

use super::{Recorder, Tally, Use, hour_of, rows};
use crate::metadata::records::{Key, Prefix, RecordedRecord, decode, show_key};
use crate::metadata::{Entry, Metadata, MetadataError};

/// Records that are read at once; each is at most 16 KiB, packed.
const PAGE: usize = 32;

/// Goes through what was recorded since a moment. Takes little memory, however much it is.
pub struct Reading {
    metadata: Arc<dyn Metadata>,
    since: Timestamp,
    page: std::vec::IntoIter<Entry>,
    after: Vec<u8>,
    is_last: bool,
    /// Records that can not be read; they are left out, and the log says so.
    pub unreadable: u64,
    /// Records are not joined while somebody goes through them.
    _unjoined: OwnedRwLockReadGuard<()>,
}

impl Recorder {
    /// What was counted up to now is written first, so that it is there.
    pub async fn read(&self, since: Timestamp) -> Result<Reading, MetadataError> {
        self.flush().await?;
        let unjoined = Arc::clone(&self.0.joining).read_owned().await;
        Ok(Reading {
            metadata: Arc::clone(&self.0.metadata),
            since,
            page: Vec::new().into_iter(),
            after: RecordedRecord::before(hour_of(since)).as_bytes().to_vec(),
            is_last: false,
            unreadable: 0,
            _unjoined: unjoined,
        })
    }
}

impl Reading {
    /// The rows of the next record.
    pub async fn next(&mut self) -> Result<Option<Vec<(Use, Tally)>>, MetadataError> {
        loop {
            if let Some(entry) = self.page.next() {
                match read(&entry) {
                    Ok(mut rows) => {
                        rows.retain(|(_, tally)| tally.last >= self.since);
                        return Ok(Some(rows));
                    }
                    Err(cause) => {
                        self.unreadable += 1;
                        let record = show_key(&entry.key);
                        tracing::warn!(
                            record,
                            cause,
                            "recorded use can not be read; it is left out"
                        );
                        continue;
                    }
                }
            }
            if self.is_last {
                return Ok(None);
            }
            let prefix = Prefix::<RecordedRecord>::all();
            let page = self.metadata.scan(prefix.as_bytes(), Some(&self.after), PAGE).await?;
            self.is_last = page.len() < PAGE;
            if let Some(last) = page.last() {
                self.after = last.key.to_vec();
            }
            self.page = page.into_iter();
        }
    }
}

fn read(entry: &Entry) -> Result<Vec<(Use, Tally)>, String> {
    let place = Key::parse(&entry.key).and_then(|key| RecordedRecord::place(&key));
    let place = place.ok_or("its key is none")?;
    let record: RecordedRecord =
        decode(&entry.key, &entry.value).map_err(|fault| fault.to_string())?;
    rows::unpack(place.hour, &record)
}

impl std::fmt::Debug for Reading {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reading").field("since", &self.since).finish_non_exhaustive()
    }
}
