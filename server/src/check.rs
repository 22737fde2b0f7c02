//! Does the metadata fit the blobs, and the audit log its tree and what was signed? And, if it is lost,
//! what do the blobs still know of it?
//!
//! [`check`] reads everything and changes nothing. The log is [`whole::inspect`]'s. [`rebuild`] makes a new metadata store from what
//! can still be read of the old one and from the side files, and keeps the old one aside. Both
//! need the data directory for themselves: a running server holds it.
#![allow(
    clippy::disallowed_methods,
    reason = "a command by itself: nothing else waits for the executor"
)]

mod rebuild;

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use policies::package::Digest;
use serde::Serialize;

use crate::advisories;
use crate::audit::{TreeError, whole};
use crate::blobs::disk::{DiskBlobs, DiskOptions};
use crate::blobs::{BlobEngine, BlobError, Listed, Side, verify_blob};
use crate::metadata::records::{check_value, referred_blob, show_key};
use crate::metadata::sled::{OpenError, Sled, SledOptions};
use crate::metadata::{Entry, Metadata, MetadataError};

pub use self::rebuild::{Rebuilt, rebuild};

const PAGE: usize = 512;
/// A server that was just told to stop may still be at it.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something that is wrong. What it costs is in the words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "finding", rename_all = "kebab-case")]
pub enum Finding {
    DamagedRecord {
        record: String,
        cause: String,
    },
    MissingBlob {
        record: String,
        digest: Digest,
    },
    WrongSize {
        record: String,
        digest: Digest,
        expected: u64,
        found: u64,
    },
    DamagedBlob {
        digest: Digest,
        cause: String,
    },
    UnreadableBlob {
        digest: Digest,
        cause: String,
    },
    MissingSideFile {
        record: String,
        digest: Digest,
    },
    UnreadableSideFiles {
        record: String,
        digest: Digest,
        cause: String,
    },
    AuditLog(whole::Fault),
    /// A start has the advisories from it.
    DamagedIndex {
        path: PathBuf,
        cause: String,
    },
}

/// Something left over. It costs room and nothing else.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "leftover", rename_all = "kebab-case")]
pub enum Leftover {
    /// No record refers to it. A crash between the blob and its record leaves such a one.
    UnreferredBlob { digest: Digest, bytes: u64 },
    /// It says that a record refers to the blob, which it does not any more. A crash between the
    /// commit that removed the record and the removal of what lies beside leaves such a one; a
    /// rebuild would bring the record back.
    UnreferredSideFile { record: String, digest: Digest },
    /// A transfer that a crash cut off. The next start removes it.
    StagedFile { path: PathBuf },
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    pub records: u64,
    pub blobs: u64,
    pub bytes: u64,
    /// Of the audit log.
    pub entries: u64,
    /// So many of them the checkpoint beside the key vouches for.
    pub signed: u64,
    pub findings: Vec<Finding>,
    pub leftovers: Vec<Leftover>,
}

/// Why the work could not be done.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error("there is no data of garth in {}; name the directory with --data", _0.display())]
    NoData(PathBuf),
    #[error("a garth runs on {}; stop it first, since it holds the metadata store", _0.display())]
    Running(PathBuf),
    #[error(transparent)]
    Store(OpenError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Log(#[from] TreeError),
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error("{doing}: {error}")]
    Io { doing: String, error: std::io::Error },
}

impl CheckError {
    fn io(doing: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let doing = doing.into();
        |error| Self::Io { doing, error }
    }
}

/// What was read so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Far {
    pub blobs: u64,
    pub records: u64,
    /// Of the audit log, held against its tree.
    pub entries: u64,
}

/// Told how far the work is.
pub type Progress<'a> = &'a (dyn Fn(Far) + Send + Sync);

/// Reads every record and every blob under `data`, and holds the audit log against what was signed.
pub async fn check(data: &Path, progress: Progress<'_>) -> Result<Report, CheckError> {
    if !store_directory(data).is_dir() {
        return Err(CheckError::NoData(data.to_owned()));
    }
    let store = open_store(&store_directory(data)).await?;
    let engine = open_blobs(data).await?;
    let mut survey = Survey::default();
    survey.read_blobs(engine.as_ref(), progress).await?;
    survey.read_records(&store, engine.as_ref(), progress).await?;
    survey.check_index(&store, data).await?;
    survey.read_log(&store, data, progress).await?;
    survey.report.leftovers.extend(staged_files(data)?);
    store.close().await;
    Ok(survey.conclude())
}

fn store_directory(data: &Path) -> PathBuf {
    Sled::directory_in(data)
}

async fn open_store(directory: &Path) -> Result<Sled, CheckError> {
    let options = SledOptions { patience: PATIENCE, ..SledOptions::default() };
    let path = directory.to_owned();
    let opened = tokio::task::spawn_blocking(move || Sled::open(&path, options)).await;
    match opened {
        Ok(Ok(store)) => Ok(store),
        Ok(Err(OpenError::Held { directory })) => Err(CheckError::Running(directory)),
        Ok(Err(error)) => Err(CheckError::Store(error)),
        Err(panic) => Err(MetadataError::Unavailable(panic.to_string()).into()),
    }
}

async fn open_blobs(data: &Path) -> Result<Arc<dyn BlobEngine>, CheckError> {
    let path = data.to_owned();
    let opened =
        tokio::task::spawn_blocking(move || DiskBlobs::open(&path, DiskOptions::default())).await;
    match opened {
        Ok(engine) => Ok(Arc::new(engine?)),
        Err(panic) => Err(BlobError::Unavailable(panic.to_string()).into()),
    }
}

/// Every blob under the engine, a page at a time.
async fn next_page(
    engine: &dyn BlobEngine,
    last: Option<&Listed>,
) -> Result<Vec<Listed>, BlobError> {
    engine.list(last.map(|blob| &blob.digest), PAGE).await
}

/// The page of records behind `last`.
async fn next_records(
    store: &dyn Metadata,
    prefix: &[u8],
    last: Option<&Bytes>,
) -> Result<Vec<Entry>, MetadataError> {
    store.scan(prefix, last.map(|key| &**key), PAGE).await
}

#[derive(Default)]
struct Survey {
    report: Report,
    blobs: Vec<Listed>,
    referred: HashSet<Digest>,
}

impl Survey {
    async fn read_blobs(
        &mut self,
        engine: &dyn BlobEngine,
        progress: Progress<'_>,
    ) -> Result<(), CheckError> {
        loop {
            let page = next_page(engine, self.blobs.last()).await?;
            if page.is_empty() {
                return Ok(());
            }
            for blob in page {
                match verify_blob(engine, &blob.digest).await {
                    Ok(_) => {}
                    Err(BlobError::Damaged { digest, cause }) => {
                        self.report.findings.push(Finding::DamagedBlob { digest, cause });
                    }
                    Err(error) => self.report.findings.push(Finding::UnreadableBlob {
                        digest: blob.digest.clone(),
                        cause: error.to_string(),
                    }),
                }
                self.report.blobs += 1;
                self.report.bytes += blob.len;
                self.blobs.push(blob);
                progress(self.far(0));
            }
        }
    }

    async fn read_records(
        &mut self,
        store: &dyn Metadata,
        engine: &dyn BlobEngine,
        progress: Progress<'_>,
    ) -> Result<(), CheckError> {
        let mut last: Option<Bytes> = None;
        loop {
            let page = next_records(store, b"", last.as_ref()).await?;
            let Some(end) = page.last() else { return Ok(()) };
            last = Some(end.key.clone());
            for entry in page {
                self.read_record(store, &entry, engine).await?;
                self.report.records += 1;
            }
            progress(self.far(0));
        }
    }

    async fn read_log(
        &mut self,
        store: &dyn Metadata,
        data: &Path,
        progress: Progress<'_>,
    ) -> Result<(), CheckError> {
        let found = whole::inspect(store, data, &|entries| progress(self.far(entries))).await?;
        (self.report.entries, self.report.signed) = (found.entries, found.signed);
        self.report.findings.extend(found.faults.into_iter().map(Finding::AuditLog));
        Ok(())
    }

    fn far(&self, entries: u64) -> Far {
        Far { blobs: self.report.blobs, records: self.report.records, entries }
    }

    async fn read_record(
        &mut self,
        store: &dyn Metadata,
        entry: &Entry,
        engine: &dyn BlobEngine,
    ) -> Result<(), CheckError> {
        let record = show_key(&entry.key);
        let referred = check_value(&entry.key, &entry.value)
            .and_then(|()| referred_blob(&entry.key, &entry.value));
        let (digest, expected) = match referred {
            Ok(Some(referred)) => referred,
            Ok(None) => return Ok(()),
            Err(error) => {
                let cause = match error {
                    MetadataError::Damaged { cause, .. } => cause,
                    other => other.to_string(),
                };
                self.report.findings.push(Finding::DamagedRecord { record, cause });
                return Ok(());
            }
        };
        let is_first = self.referred.insert(digest.clone());
        let Some(found) = self.length_of(&digest) else {
            self.report.findings.push(Finding::MissingBlob { record, digest });
            return Ok(());
        };
        let beside = match engine.sides(&digest).await {
            Ok(sides) => {
                if is_first {
                    self.report.leftovers.extend(unreferred_sides(store, &digest, &sides).await?);
                }
                let is_there = sides.iter().any(|side| side.key == entry.key);
                (!is_there).then(|| Finding::MissingSideFile {
                    record: record.clone(),
                    digest: digest.clone(),
                })
            }
            Err(error) => Some(Finding::UnreadableSideFiles {
                record: record.clone(),
                digest: digest.clone(),
                cause: error.to_string(),
            }),
        };
        self.report.findings.extend(beside);
        if found != expected {
            self.report.findings.push(Finding::WrongSize { record, digest, expected, found });
        }
        Ok(())
    }

    /// What can not be read of the records is found already.
    async fn check_index(&mut self, store: &dyn Metadata, data: &Path) -> Result<(), CheckError> {
        let fault = match advisories::check_kept(store, data).await {
            Ok(Some(Err(fault))) => fault,
            Ok(_) | Err(MetadataError::Damaged { .. }) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        let (path, cause) = (advisories::kept::path_in(data), fault.to_string());
        self.report.findings.push(Finding::DamagedIndex { path, cause });
        Ok(())
    }

    fn length_of(&self, digest: &Digest) -> Option<u64> {
        let at = self.blobs.binary_search_by(|blob| blob.digest.cmp(digest)).ok()?;
        Some(self.blobs[at].len)
    }

    fn conclude(mut self) -> Report {
        let unreferred =
            self.blobs.into_iter().filter(|blob| !self.referred.contains(&blob.digest));
        self.report.leftovers.extend(
            unreferred
                .map(|blob| Leftover::UnreferredBlob { digest: blob.digest, bytes: blob.len }),
        );
        self.report
    }
}

/// Those of the side files whose record is gone, or refers to another blob by now.
async fn unreferred_sides(
    store: &dyn Metadata,
    digest: &Digest,
    sides: &[Side],
) -> Result<Vec<Leftover>, CheckError> {
    let mut found = Vec::new();
    for side in sides {
        let value = store.get(&side.key).await?;
        let refers = value.map(|value| referred_blob(&side.key, &value));
        // One that can not be read is a finding of its own, and may refer to it.
        let stands = match refers {
            None => false,
            Some(Ok(referred)) => referred.is_some_and(|(other, _)| other == *digest),
            Some(Err(_)) => true,
        };
        if !stands {
            let (record, digest) = (show_key(&side.key), digest.clone());
            found.push(Leftover::UnreferredSideFile { record, digest });
        }
    }
    Ok(found)
}

#[allow(clippy::disallowed_methods, reason = "a command of its own; nobody else waits")]
fn staged_files(data: &Path) -> Result<Vec<Leftover>, CheckError> {
    let stage = DiskBlobs::stage_dir(data);
    let failed = || CheckError::io(format!("reading {}", stage.display()));
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&stage).map_err(failed())? {
        found.push(Leftover::StagedFile { path: entry.map_err(failed())?.path() });
    }
    Ok(found)
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DamagedRecord { record, cause } => write!(f, "{record} can not be read: {cause}"),
            Self::MissingBlob { record, digest } => {
                write!(f, "{record} refers to {digest}, which is not there")
            }
            Self::WrongSize { record, digest, expected, found } => {
                write!(f, "{record} refers to {digest} of {expected} bytes, which has {found}")
            }
            Self::DamagedBlob { digest, cause } => write!(f, "{digest} is damaged: {cause}"),
            Self::UnreadableBlob { digest, cause } => {
                write!(f, "{digest} can not be read: {cause}")
            }
            Self::MissingSideFile { record, digest } => {
                write!(f, "{record} has no side file beside {digest}, so a rebuild would lose it")
            }
            Self::UnreadableSideFiles { record, digest, cause } => {
                write!(f, "{record}: what lies beside {digest} can not be read: {cause}")
            }
            Self::DamagedIndex { path, cause } => write!(
                f,
                "{} is damaged: {cause}; remove it, and the next start makes it of the records",
                path.display()
            ),
            Self::AuditLog(whole::Fault { place, what, remedy }) => {
                write!(f, "audit log, {place}: {what}; {remedy}")
            }
        }
    }
}

impl fmt::Display for Leftover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnreferredBlob { digest, bytes } => {
                write!(f, "no record refers to {digest} of {bytes} bytes")
            }
            Self::UnreferredSideFile { record, digest } => {
                write!(f, "{record} refers no more to {digest}, beside which a side file says so")
            }
            Self::StagedFile { path } => {
                write!(f, "{} is left of a transfer; the next start removes it", path.display())
            }
        }
    }
}

#[cfg(test)]
mod tests;
