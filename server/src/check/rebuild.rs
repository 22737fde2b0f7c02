//! A new metadata store from the old one, as far as it can be read, and the side files. The audit log
//! is [`mending`]'s: its tree and its index are made again.
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
    CheckError, Far, Progress, next_page, next_records, open_blobs, open_store, store_directory,
};
use crate::advisories::kept;
use crate::audit;
use crate::audit::mending::{self, OF_THE_LOG};
use crate::blobs::{BlobEngine, BlobError, Listed, verify_blob};
use crate::disk::faults::Faults;
use crate::disk::sync_directory;
use crate::metadata::records::{
    DocumentRecord, FORMAT_KEY, KINDS, Parts, Prefix, check_value, commit_in_parts, encode,
    fetched, own_name, referred_blob,
};
use crate::metadata::sled::OpenError;
use crate::metadata::{Batch, Change, Entry, Metadata};

/// What became of the records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rebuilt {
    /// Taken over from the old store.
    pub kept: u64,
    /// Made again from side files.
    pub recovered: u64,
    /// Of the audit log, among those that were kept.
    pub entries: u64,
    /// Left out: they could not be read, or their blob is gone, damaged or unreadable.
    pub dropped: u64,
    /// Parts of the old store that could not be read, and why. Rules, first-seen dates and
    /// observations are nowhere else.
    pub unreadable: Vec<String>,
    /// Blobs, or what lies beside them, that could not be read, and why. Each is dropped.
    pub unreadable_blobs: Vec<String>,
    /// Why the next start will not take this audit log until somebody says why it is so.
    pub log_refused: Option<String>,
    /// Where the old store is now.
    pub old: Option<PathBuf>,
}

impl Rebuilt {
    fn drop_blob(&mut self, blob: &Listed, error: &BlobError) {
        self.dropped += 1;
        self.unreadable_blobs.push(format!("{}: {error}", blob.digest));
    }
}

/// Puts a new store in the place of the one under `data`. `now` names the old one.
///
/// Everything goes from the old store and the side files into the new one a page at a time: what is in
/// memory grows with the number of stored files, by their digests, and with nothing else.
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
    let stamp = now.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
    let new = data.join(format!("metadata.new-{stamp}"));
    let store = open_store(&new).await?;
    let from = old_store.as_ref().map(|store| store as &dyn Metadata);
    let made = make(data, from, &store, &mut rebuilt, progress).await;
    store.close().await;
    if let Err(error) = made {
        // Half of a store helps nobody, and the old one is where it was.
        std::fs::remove_dir_all(&new).map_err(CheckError::io("removing half of a new store"))?;
        return Err(error);
    }
    // Of the old store, which may have had more.
    kept::remove(data).map_err(CheckError::io("removing the index of advisories"))?;
    rebuilt.old = exchange(data, &old, &new, &stamp)?;
    // Only now: until here the old store was held, so that no server could start on it.
    if let Some(store) = old_store {
        store.close().await;
    }
    Ok(rebuilt)
}

async fn make(
    data: &Path,
    old: Option<&dyn Metadata>,
    new: &dyn Metadata,
    rebuilt: &mut Rebuilt,
    progress: Progress<'_>,
) -> Result<(), CheckError> {
    let engine = open_blobs(data).await?;
    let mut making = Making { new, sound: Vec::new(), far: Far::default(), progress, rebuilt };
    making.read_blobs(engine.as_ref()).await?;
    if let Some(old) = old {
        making.read_old(old).await?;
        making.mend_log(old, data).await?;
    }
    making.name_own().await?;
    making.rebuilt.log_refused =
        audit::refusal(data, new).await.unwrap_or_else(|fault| Some(fault.to_string()));
    Ok(())
}

/// A new store that is being made.
struct Making<'m> {
    new: &'m dyn Metadata,
    /// Blobs that are there and sound, sorted.
    sound: Vec<Listed>,
    far: Far,
    progress: Progress<'m>,
    rebuilt: &'m mut Rebuilt,
}

impl Making<'_> {
    /// Writes what lies beside the blobs. One that cannot be read costs what it knew, and not the rebuild.
    async fn read_blobs(&mut self, engine: &dyn BlobEngine) -> Result<(), CheckError> {
        let mut last: Option<Listed> = None;
        loop {
            let page = next_page(engine, last.as_ref()).await?;
            if page.is_empty() {
                return Ok(());
            }
            last = page.last().cloned();
            let mut beside = BTreeMap::<Bytes, Bytes>::new();
            for blob in page {
                match verify_blob(engine, &blob.digest).await {
                    Ok(_) => {}
                    Err(BlobError::Damaged { .. }) => continue,
                    Err(error) => {
                        self.rebuilt.drop_blob(&blob, &error);
                        continue;
                    }
                }
                // The old store's record of a sound blob still counts when its side files are lost.
                let sides = engine.sides(&blob.digest).await.unwrap_or_else(|error| {
                    self.rebuilt.drop_blob(&blob, &error);
                    Vec::new()
                });
                for side in sides {
                    let refers = check_value(&side.key, &side.value)
                        .and_then(|()| referred_blob(&side.key, &side.value));
                    let fits = matches!(refers, Ok(Some((digest, len)))
                        if digest == blob.digest && len == blob.len);
                    if fits && is_later(&side.key, &side.value, beside.get(&side.key)) {
                        beside.insert(side.key, side.value);
                    }
                }
                self.sound.push(blob);
                self.far.blobs += 1;
                (self.progress)(self.far);
            }
            self.write_beside(beside).await?;
        }
    }

    async fn write_beside(&mut self, beside: BTreeMap<Bytes, Bytes>) -> Result<(), CheckError> {
        let mut parts = Parts::new(self.new);
        for (key, value) in beside {
            let before = self.new.get(&key).await?;
            self.rebuilt.recovered += u64::from(before.is_none());
            if is_later(&key, &value, before.as_ref()) {
                parts.push(Change { key, value: Some(value) }).await?;
            }
        }
        parts.finish().await?;
        Ok(())
    }

    /// The old store's word counts, where its blob is there and sound; else that of the side file.
    async fn read_old(&mut self, old: &dyn Metadata) -> Result<(), CheckError> {
        let mut parts = Parts::new(self.new);
        // One by one: damage in one kind does not take the others along.
        for kind in KINDS.iter().filter(|kind| !OF_THE_LOG.contains(kind)) {
            let prefix = format!("{kind}/");
            let mut last: Option<Bytes> = None;
            loop {
                let page = match next_records(old, prefix.as_bytes(), last.as_ref()).await {
                    Ok(page) => page,
                    Err(error) => {
                        self.rebuilt.unreadable.push(format!("{prefix}: {error}"));
                        break;
                    }
                };
                let Some(end) = page.last() else { break };
                last = Some(end.key.clone());
                for entry in page.into_iter().filter(|entry| entry.key != FORMAT_KEY) {
                    self.far.records += 1;
                    if self.is_kept(&entry).await? {
                        let Entry { key, value } = entry;
                        parts.push(Change { key, value: Some(value) }).await?;
                    }
                }
                (self.progress)(self.far);
            }
        }
        parts.finish().await?;
        Ok(())
    }

    /// The record can be read, and refers to no blob, or to one that is there and sound.
    async fn is_kept(&mut self, entry: &Entry) -> Result<bool, CheckError> {
        let referred = check_value(&entry.key, &entry.value)
            .and_then(|()| referred_blob(&entry.key, &entry.value));
        let is_kept = match referred {
            Ok(None) => true,
            Ok(Some((digest, len))) => {
                let at = self.sound.binary_search_by(|blob| blob.digest.cmp(&digest));
                let is_sound = at.is_ok_and(|at| self.sound[at].len == len);
                if is_sound && self.new.get(&entry.key).await?.is_some() {
                    self.rebuilt.recovered -= 1;
                }
                is_sound
            }
            Err(error) => {
                self.rebuilt.unreadable.push(error.to_string());
                false
            }
        };
        self.rebuilt.kept += u64::from(is_kept);
        self.rebuilt.dropped += u64::from(!is_kept);
        Ok(is_kept)
    }

    async fn mend_log(&mut self, old: &dyn Metadata, data: &Path) -> Result<(), CheckError> {
        let (far, progress) = (self.far, self.progress);
        let told = move |entries| progress(Far { entries, ..far });
        let mended = mending::mend(old, self.new, data, &told).await?;
        self.rebuilt.kept += mended.kept;
        self.rebuilt.entries = mended.kept;
        self.rebuilt.dropped += mended.dropped;
        self.rebuilt.unreadable.extend(mended.unreadable);
        Ok(())
    }

    /// An own document keeps its name against others.
    async fn name_own(&mut self) -> Result<(), CheckError> {
        let mut last: Option<Bytes> = None;
        loop {
            let prefix = Prefix::<DocumentRecord>::all();
            let page = next_records(self.new, prefix.as_bytes(), last.as_ref()).await?;
            let Some(end) = page.last() else { return Ok(()) };
            last = Some(end.key.clone());
            let mut named = BTreeMap::new();
            for entry in page {
                let Ok(Some((key, record))) = own_name(&entry.key, &entry.value) else { continue };
                if self.new.get(key.as_bytes()).await?.is_none() {
                    named.insert(key.to_bytes(), encode(&record));
                }
            }
            self.rebuilt.recovered += named.len() as u64;
            let changes = named.into_iter().map(|(key, value)| Change { key, value: Some(value) });
            let all = Batch { changes: changes.collect(), ..Batch::default() };
            commit_in_parts(self.new, all, Batch::default()).await?;
        }
    }
}

/// A document that was replaced may have left its side file beside its old bytes.
fn is_later(key: &[u8], value: &[u8], other: Option<&Bytes>) -> bool {
    let when = |value: &[u8]| fetched(key, value).ok().flatten();
    other.is_none_or(|other| when(value) > when(other))
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

#[cfg(test)]
mod tests;
