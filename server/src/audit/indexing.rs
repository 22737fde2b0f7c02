//! Puts entries into the lists of the index, a stretch of the log at a time.
//!
//! An engine pays for each list that gets longer, so many entries go into the lists at once, in the order
//! of their keys. [`AuditIndexed`] says how far that is; what is behind that is looked for in the entries
//! themselves, which are less than a stretch. A crash in between leaves numbers in some lists that are not
//! counted yet: they are passed over by whoever reads, and not put there again.

use futures_util::future::try_join_all;

use super::TOGETHER;
use super::blocks::{self, Block, record_in};
use super::listing::{Listing, lengthen};
use crate::metadata::records::{self, AuditHead, AuditIndexed, Stored};
use crate::metadata::{Batch, MAX_BATCH_BYTES, MAX_BATCH_CHANGES, Metadata, MetadataError};

/// Entries that are put into the lists together, and the most that are not in them yet.
pub const STRETCH: u64 = if cfg!(test) { 64 } else { 2048 };
/// Blocks that are read at once.
const PAGE: usize = 64;
/// A batch leaves other writers room beside it.
const BATCH_BYTES: usize = MAX_BATCH_BYTES / 2;
const BATCH_CHANGES: usize = MAX_BATCH_CHANGES / 2;

/// Up to where entries are in the lists.
pub async fn indexed(metadata: &dyn Metadata) -> Result<u64, MetadataError> {
    let found = records::read(metadata, &AuditIndexed::key()).await?;
    Ok(found.map_or(0, |indexed| indexed.to))
}

/// Puts at most so many stretches into the lists, if that is due; whether it was.
pub async fn index_more(metadata: &dyn Metadata, stretches: u64) -> Result<bool, MetadataError> {
    let head = records::read(metadata, &AuditHead::key()).await?;
    let key = AuditIndexed::key();
    let before = records::read_stored(metadata, &key).await?;
    let from = before.as_ref().map_or(0, |indexed| indexed.record.to);
    let size = head.map_or(0, |head| head.size);
    let to = (size - size % STRETCH).min(from.saturating_add(stretches * STRETCH));
    if to <= from {
        return Ok(false);
    }
    let mut listing = gathered(metadata, from, to).await?;
    // Whoever else is at it meets a conflict as soon as one of the two is done.
    let begin = || expecting(before.as_ref());
    let mut batch = begin();
    let lists: Vec<_> = listing.take().collect();
    let mut lists = lists.into_iter().peekable();
    while lists.peek().is_some() {
        let some = lists.by_ref().take(TOGETHER);
        let longer = some.map(|(name, numbers)| lengthen(metadata, name, numbers));
        for change in try_join_all(longer).await?.into_iter().flatten() {
            if batch.changes.len() == BATCH_CHANGES || batch.bytes() > BATCH_BYTES {
                metadata.commit(std::mem::replace(&mut batch, begin())).await?;
            }
            batch.changes.push(change);
        }
    }
    metadata.commit(batch.put_record(&key, &AuditIndexed { to })).await?;
    Ok(true)
}

fn expecting(before: Option<&Stored<AuditIndexed>>) -> Batch {
    Batch::default().expect_unchanged(&AuditIndexed::key(), before)
}

/// What is about what between two numbers. An entry that can not be read is about nothing: a check names it.
async fn gathered(metadata: &dyn Metadata, from: u64, to: u64) -> Result<Listing, MetadataError> {
    let (mut listing, mut next) = (Listing::default(), from);
    while next < to {
        let page = blocks::scan_from(metadata, next, PAGE).await?;
        let Some(end) = page.last().and_then(|last| blocks::last_in(&last.key)) else { break };
        for entry in &page {
            match Block::read(entry) {
                Ok(block) => {
                    for (n, line) in block.into_lines().filter(|(n, _)| (next..to).contains(n)) {
                        if let Ok(record) = record_in(n, &line) {
                            listing.add(&record, n);
                        }
                    }
                }
                Err(fault @ MetadataError::Damaged { .. }) => {
                    tracing::error!(%fault, "entries of the audit log can not be read; they are found by no filter");
                }
                Err(fault) => return Err(fault),
            }
        }
        next = end.saturating_add(1);
    }
    Ok(listing)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::audit::tests::signed::{LISTED, Signed};
    use crate::metadata::records::{AuditIndex, Prefix};

    async fn lists(log: &Signed) -> Vec<crate::metadata::Entry> {
        let prefix = Prefix::<AuditIndex>::all();
        log.store.scan(prefix.as_bytes(), None, 10_000).await.unwrap()
    }

    #[tokio::test]
    async fn what_a_crash_left_half_in_the_index_is_put_there_once() {
        let log = Signed::new().await;
        let whole = lists(&log).await;
        let before = AuditIndexed { to: LISTED - 2 * STRETCH };
        let key = AuditIndexed::key();
        log.put(key.as_bytes(), records::encode(&before)).await;
        // Every second list of those that begin in there was not written yet.
        for entry in whole.iter().step_by(2) {
            let first = crate::audit::listing::Part::read(entry).unwrap().first();
            if first >= before.to {
                log.remove(&entry.key).await;
            }
        }
        assert!(lists(&log).await.len() < whole.len());
        assert!(index_more(log.store.as_ref(), 1).await.unwrap());
        assert_eq!(indexed(log.store.as_ref()).await.unwrap(), LISTED - STRETCH);
        assert!(index_more(log.store.as_ref(), 100).await.unwrap());
        assert!(!index_more(log.store.as_ref(), 100).await.unwrap());
        assert_eq!(lists(&log).await, whole);
    }

    #[tokio::test]
    async fn an_entry_that_can_not_be_read_does_not_hold_up_the_index() {
        let log = Signed::new().await;
        log.put(AuditIndexed::key().as_bytes(), records::encode(&AuditIndexed { to: 0 })).await;
        let block = log.store.scan(b"audit/", None, 1).await.unwrap().remove(0);
        log.put(&block.key, block.value.slice(..9)).await;
        assert!(index_more(log.store.as_ref(), 100).await.unwrap());
        assert_eq!(indexed(log.store.as_ref()).await.unwrap(), LISTED);
    }

    #[tokio::test]
    async fn two_who_put_entries_into_the_index_do_not_undo_each_other() {
        let log = Signed::new().await;
        let whole = lists(&log).await;
        for entry in &whole {
            log.remove(&entry.key).await;
        }
        log.put(AuditIndexed::key().as_bytes(), records::encode(&AuditIndexed { to: 0 })).await;
        let at_it = async || {
            loop {
                match index_more(log.store.as_ref(), 1).await {
                    Ok(true) | Err(MetadataError::Conflict { .. }) => {}
                    Ok(false) => return,
                    Err(fault) => panic!("{fault}"),
                }
            }
        };
        tokio::join!(at_it(), at_it(), at_it());
        assert_eq!(lists(&log).await, whole);
    }
}
