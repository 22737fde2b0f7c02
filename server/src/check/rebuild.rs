//! A new metadata store from the old one, as far as it can be read, and the side files.
//!
//! The new store is complete and durable under a name of its own before it takes the place of the
//! old one, in one step; the old one stays beside it under a dated name.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use jiff::Timestamp;
use rustix::fs::{CWD, RenameFlags};
use serde::Serialize;

use super::{
    CheckError, Progress, next_page, next_records, open_blobs, open_store, store_directory,
};
use crate::advisories::kept;
use crate::blobs::{BlobEngine, BlobError, Listed, verify_blob};
use crate::disk::faults::Faults;
use crate::disk::sync_directory;
use crate::metadata::records::{
    FORMAT_KEY, KINDS, check_value, commit_in_parts, encode, fetched, own_name, referred_blob,
};
use crate::metadata::sled::OpenError;
use crate::metadata::{Batch, Change, Metadata};

/// What became of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Taken over from the old store.
    pub kept: u64,
    /// Made again from side files.
    pub recovered: u64,
    /// Left out: they could not be read, or their blob is gone, damaged or unreadable.
    pub dropped: u64,
    /// Parts of the old store that could not be read, and why. Rules, first-seen dates and
    /// observations are nowhere else.
    pub unreadable: Vec<String>,
    /// Blobs, or what lies beside them, that could not be read, and why. Each is dropped.
    pub unreadable_blobs: Vec<String>,
    /// Where the old store is now.
    pub old: Option<PathBuf>,
}

impl Rebuilt {
    fn drop_blob(&mut self, blob: &Listed, error: &BlobError) {
        self.dropped += 1;
        self.unreadable_blobs.push(format!("{}: {error}", blob.digest));
    }
}

type Records = BTreeMap<Bytes, Bytes>;

/// Puts a new store in the place of the one under `data`. `now` names the old one.
pub async fn rebuild(
    data: &Path,
    now: Timestamp,
    progress: Progress<'_>,
) -> Result<Rebuilt, CheckError> {
    let old = store_directory(data);
    let blobs_there = data.join("blobs").is_dir();
    if !old.is_dir() && !blobs_there {
        return Err(CheckError::NoData(data.to_owned()));
    }
    let mut rebuilt = Rebuilt::default();
    let old_store = if old.is_dir() {
        match open_store(&old).await {
            Ok(store) => Some(store),
            Err(CheckError::Store(error @ OpenError::Damaged { .. })) => {
                rebuilt.unreadable.push(error.to_string());
                None
            }
            Err(error) => return Err(error),
        }
    } else {
        None
    };

    let mut readable = Records::new();
    if let Some(store) = &old_store {
        readable = read_old(store, &mut rebuilt).await;
    }
    let engine = open_blobs(data).await?;
    let beside = read_blobs(engine.as_ref(), &mut rebuilt, progress).await?;
    let records = merge(readable, &beside, &mut rebuilt);

    let stamp = now.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    let new = data.join(format!("metadata.new-{stamp}"));
    write_new(&new, records).await?;
    // Of the old store, which may have had more.
    kept::remove(data).map_err(CheckError::io("removing the index of advisories"))?;
    rebuilt.old = exchange(data, &old, &new, &stamp)?;
    // Only now: until here the old store was held, so that no server could start on it.
    if let Some(store) = old_store {
        store.close().await;
    }
    Ok(rebuilt)
}

async fn read_old(store: &dyn Metadata, rebuilt: &mut Rebuilt) -> Records {
    let mut records = Records::new();
    // One by one: damage in one kind does not take the others along.
    for kind in KINDS {
        let prefix = format!("{kind}/");
        let mut last: Option<Bytes> = None;
        loop {
            match next_records(store, prefix.as_bytes(), last.as_ref()).await {
                Ok(page) if page.is_empty() => break,
                Ok(page) => {
                    last = page.last().map(|entry| entry.key.clone());
                    for entry in page {
                        if entry.key == FORMAT_KEY {
                            continue;
                        }
                        match check_value(&entry.key, &entry.value) {
                            Ok(()) => drop(records.insert(entry.key, entry.value)),
                            Err(error) => {
                                rebuilt.dropped += 1;
                                rebuilt.unreadable.push(error.to_string());
                            }
                        }
                    }
                }
                Err(error) => {
                    rebuilt.unreadable.push(format!("{prefix}: {error}"));
                    break;
                }
            }
        }
    }
    records
}

/// The sound blobs, and what lies beside them.
struct Beside {
    sound: Vec<Listed>,
    records: Records,
}

/// One that cannot be read costs what it knew, and not the rebuild.
async fn read_blobs(
    engine: &dyn BlobEngine,
    rebuilt: &mut Rebuilt,
    progress: Progress<'_>,
) -> Result<Beside, CheckError> {
    let mut beside = Beside { sound: Vec::new(), records: Records::new() };
    let mut last: Option<Listed> = None;
    let mut read = 0;
    loop {
        let page = next_page(engine, last.as_ref()).await?;
        if page.is_empty() {
            return Ok(beside);
        }
        last = page.last().cloned();
        for blob in page {
            match verify_blob(engine, &blob.digest).await {
                Ok(_) => {}
                Err(BlobError::Damaged { .. }) => continue,
                Err(error) => {
                    rebuilt.drop_blob(&blob, &error);
                    continue;
                }
            }
            // The old store's record of a sound blob still counts when its side files are lost.
            let sides = engine.sides(&blob.digest).await.unwrap_or_else(|error| {
                rebuilt.drop_blob(&blob, &error);
                Vec::new()
            });
            for side in sides {
                let refers = check_value(&side.key, &side.value)
                    .and_then(|()| referred_blob(&side.key, &side.value));
                let fits = matches!(refers, Ok(Some((digest, len)))
                    if digest == blob.digest && len == blob.len);
                if fits && is_later(&side.key, &side.value, beside.records.get(&side.key)) {
                    beside.records.insert(side.key, side.value);
                }
            }
            beside.sound.push(blob);
            read += 1;
            progress(0, read);
        }
    }
}

/// A document that was replaced may have left its side file beside its old bytes.
fn is_later(key: &[u8], value: &[u8], other: Option<&Bytes>) -> bool {
    let when = |value: &[u8]| fetched(key, value).ok().flatten();
    other.is_none_or(|other| when(value) > when(other))
}

/// The old store's word counts, where its blob is there and sound; else that of the side file.
fn merge(mut records: Records, beside: &Beside, rebuilt: &mut Rebuilt) -> Records {
    let read = records.len();
    records.retain(|key, value| beside.has_blob_of(key, value));
    rebuilt.kept = records.len() as u64;
    rebuilt.dropped += (read - records.len()) as u64;
    for (key, value) in &beside.records {
        if !records.contains_key(key) {
            rebuilt.recovered += 1;
            records.insert(key.clone(), value.clone());
        }
    }
    // An own document keeps its name against others.
    let names = records.iter().filter_map(|(key, value)| own_name(key, value).ok().flatten());
    for (key, record) in names.collect::<Vec<_>>() {
        if !records.contains_key(key.as_bytes()) {
            rebuilt.recovered += 1;
            records.insert(key.to_bytes(), encode(&record));
        }
    }
    records
}

impl Beside {
    /// The record refers to no blob, or to one that is there and sound.
    fn has_blob_of(&self, key: &[u8], value: &[u8]) -> bool {
        match referred_blob(key, value) {
            Ok(None) => true,
            Ok(Some((digest, len))) => {
                let at = self.sound.binary_search_by(|blob| blob.digest.cmp(&digest));
                at.is_ok_and(|at| self.sound[at].len == len)
            }
            Err(_) => false,
        }
    }
}

async fn write_new(directory: &Path, records: Records) -> Result<(), CheckError> {
    let store = open_store(directory).await?;
    let changes = records.into_iter().map(|(key, value)| Change { key, value: Some(value) });
    let all = Batch { changes: changes.collect(), ..Batch::default() };
    commit_in_parts(&store, all, Batch::default()).await?;
    store.close().await;
    Ok(())
}

/// At no moment is there no store: a server that starts then would make an empty one.
fn exchange(
    data: &Path,
    old: &Path,
    new: &Path,
    stamp: &str,
) -> Result<Option<PathBuf>, CheckError> {
    let failed = || CheckError::io(format!("putting {} in its place", new.display()));
    let rename = |from: &Path, to: &Path, flags| {
        rustix::fs::renameat_with(CWD, from, CWD, to, flags).map_err(std::io::Error::from)
    };
    let mut aside = None;
    if old.is_dir() {
        rename(new, old, RenameFlags::EXCHANGE).map_err(failed())?;
        let dated = data.join(format!("metadata.old-{stamp}"));
        // What has the new one's name is the old one now.
        rename(new, &dated, RenameFlags::NOREPLACE).map_err(failed())?;
        aside = Some(dated);
    } else {
        rename(new, old, RenameFlags::NOREPLACE).map_err(failed())?;
    }
    sync_directory(data, &Faults::default()).map_err(failed())?;
    Ok(aside)
}
