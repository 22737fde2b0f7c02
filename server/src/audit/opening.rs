//! A start: is the log in the store the one that was signed here?
//!
//! The last checkpoint lies beside the key, outside of the store. A store that was restored from an
//! older backup, or put in the place of another, has a log that is shorter or another one, and a start
//! over it is refused: else entries would be gone, and nobody would know. Whoever knows why says so
//! (`garth serve --accept-log REASON`), and then that is in the log.

#![allow(
    clippy::disallowed_methods,
    reason = "runs once, before anything is served, on a blocking thread"
)]

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, KEY_FILE, KeyError, LogKey};
use super::entry::{Action, Entry};
use super::tree::{Known, TreeError, encode_root};
use crate::clock::Clock;
use crate::metadata::records::{self, AuditHead};
use crate::metadata::{Batch, Metadata, MetadataError};

/// The last checkpoint that was signed, in the data directory.
pub const CHECKPOINT_FILE: &str = "audit-checkpoint";
const MAX_FILE: u64 = 64 * 1024;

/// How a log is opened.
#[derive(Clone, Debug)]
pub struct Opening {
    pub data: PathBuf,
    pub origin: Option<String>,
    /// Why the log may be another one than was signed.
    pub accept: Option<String>,
}

#[derive(Debug, thiserror::Error)]
pub enum OpenLogError {
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error("the checkpoint of the audit log in {} can not be read: {source}", path.display())]
    Checkpoint { path: PathBuf, source: io::Error },
    #[error(
        "{why}.\nNothing was changed. Put back the metadata store and the files {KEY_FILE} and {CHECKPOINT_FILE} that \
         belong together. If you know why it is so, as after restoring a backup, start once with \
         --accept-log REASON: the log then says so, and begins a new stretch that older checkpoints do not vouch for"
    )]
    Replaced { why: String },
    #[error("the audit log can not be read: {0}")]
    Tree(#[from] TreeError),
}

impl From<MetadataError> for OpenLogError {
    fn from(fault: MetadataError) -> Self {
        Self::Tree(fault.into())
    }
}

/// The key of the log, if the log in the store is the one that it signed.
pub async fn open_key(
    opening: &Opening,
    metadata: &dyn Metadata,
    clock: &Clock,
) -> Result<LogKey, OpenLogError> {
    let head = records::read(metadata, &AuditHead::key()).await?;
    let signed_by = head.as_ref().and_then(|head| head.key.clone());
    let files = read_files(opening.data.clone()).await?;
    let mut why = key_is_lost(&opening.data, signed_by.as_deref(), files.has_key);
    refuse(opening, why.as_ref())?;
    let (data, origin) = (opening.data.clone(), opening.origin.clone());
    let opened = tokio::task::spawn_blocking(move || LogKey::open(&data, origin.as_deref())).await;
    let key = opened.map_err(|fault| KeyError::Unsigned(fault.to_string()))??;
    if why.is_none() {
        why = difference(metadata, head.as_ref(), files.checkpoint.as_deref(), &key).await?;
    }
    refuse(opening, why.as_ref())?;
    let mut batch = Batch::default();
    if let Some(why) = &why {
        tracing::warn!(why, reason = opening.accept, "another audit log than was signed is taken");
        let entry =
            Entry::by_garth(Action::LogChanged).subject("accepted").why(opening.accept.as_deref());
        let entry = entry.detail("what", why).detail_if("key-before", signed_by.as_ref());
        batch = batch.note(entry, clock.now());
        set_aside(opening.data.clone()).await?;
    } else if files.checkpoint.is_none() && signed_by.is_some() {
        tracing::warn!(
            "the checkpoint of the audit log was not beside its key: that this is the log that was signed can not be told"
        );
        let entry = Entry::by_garth(Action::LogChanged).subject("checkpoint missing");
        batch = batch.note(entry.why(Some("at this start it was not beside the key")), clock.now());
    }
    if signed_by.as_deref() != Some(key.public()) {
        batch = adopt(batch, metadata, key.public(), clock).await?;
    }
    if !batch.changes.is_empty() {
        metadata.commit(batch).await?;
    }
    Ok(key)
}

/// Why a start over this store is refused until somebody says why it is so, if it is; nothing is
/// changed. An error is one that the start would meet, too.
pub async fn refusal(data: &Path, metadata: &dyn Metadata) -> Result<Option<String>, OpenLogError> {
    let head = records::read(metadata, &AuditHead::key()).await?;
    let signed_by = head.as_ref().and_then(|head| head.key.as_deref());
    let (directory, path) = (data.to_owned(), data.join(CHECKPOINT_FILE));
    let reading = move || (LogKey::find(&directory), read_checkpoint(&directory));
    let read = tokio::task::spawn_blocking(reading).await;
    let (key, checkpoint) = read.map_err(|fault| KeyError::Unsigned(fault.to_string()))?;
    let checkpoint = checkpoint.map_err(|source| OpenLogError::Checkpoint { path, source })?;
    match key? {
        Some(key) => Ok(difference(metadata, head.as_ref(), checkpoint.as_deref(), &key).await?),
        None if checkpoint.is_some() && signed_by.is_none() => {
            Ok(Some(format!("the file {CHECKPOINT_FILE} is there and {KEY_FILE} is not")))
        }
        None => Ok(key_is_lost(data, signed_by, false)),
    }
}

fn key_is_lost(data: &Path, signed_by: Option<&str>, has_key: bool) -> Option<String> {
    let key = signed_by.filter(|_| !has_key)?;
    let path = data.join(KEY_FILE);
    let path = path.display();
    Some(format!("the audit log in the store was signed by the key {key}, and {path} is not there"))
}

/// The store knows by whom its log is signed from now on.
async fn adopt(
    batch: Batch,
    metadata: &dyn Metadata,
    public: &str,
    clock: &Clock,
) -> Result<Batch, MetadataError> {
    let key = AuditHead::key();
    let head = records::read_stored(metadata, &key).await?;
    let begin = || AuditHead {
        size: 0,
        root: encode_root(tlog_tiles::tlog::EMPTY_HASH),
        logged: clock.now(),
        key: None,
    };
    let before = head.as_ref().map_or_else(begin, |head| head.record.clone());
    let next = AuditHead { key: Some(public.to_owned()), ..before };
    Ok(batch.expect_unchanged(&key, head.as_ref()).put_record(&key, &next))
}

fn refuse(opening: &Opening, why: Option<&String>) -> Result<(), OpenLogError> {
    match why {
        Some(why) if opening.accept.is_none() => Err(OpenLogError::Replaced { why: why.clone() }),
        _ => Ok(()),
    }
}

/// How the log in the store differs from what was signed; `None`: it does not.
async fn difference(
    metadata: &dyn Metadata,
    head: Option<&AuditHead>,
    checkpoint: Option<&str>,
    key: &LogKey,
) -> Result<Option<String>, TreeError> {
    let size = head.map_or(0, |head| head.size);
    if let Some(signed_by) = head.and_then(|head| head.key.as_deref())
        && signed_by != key.public()
    {
        return Ok(Some(format!(
            "the audit log in the store was signed by the key {signed_by}, and the key here is {}",
            key.public()
        )));
    }
    let Some(checkpoint) = checkpoint else { return Ok(None) };
    let signed = match Checkpoint::read(checkpoint, key.public()) {
        Ok(signed) => signed,
        Err(fault) => {
            return Ok(Some(format!(
                "the file {CHECKPOINT_FILE} does not belong to the key here: {fault}"
            )));
        }
    };
    if size < signed.size {
        return Ok(Some(format!(
            "the audit log in the store has {size} entries, and {} were signed: the store is older than \
             its log, or another one",
            signed.size
        )));
    }
    let root = Known::default();
    let root = root.root_at(metadata, signed.size).await?;
    if root != signed.root {
        return Ok(Some(format!(
            "the first {} entries of the audit log in the store are others than those that were signed",
            signed.size
        )));
    }
    Ok(None)
}

struct Files {
    has_key: bool,
    checkpoint: Option<String>,
}

async fn read_files(data: PathBuf) -> Result<Files, OpenLogError> {
    let path = data.join(CHECKPOINT_FILE);
    let reading = move || {
        // What a crash left of writing it.
        match fs::remove_file(staged(&data.join(CHECKPOINT_FILE))) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => return Err(fault),
            _ => {}
        }
        Ok(Files { has_key: data.join(KEY_FILE).exists(), checkpoint: read_checkpoint(&data)? })
    };
    let read = tokio::task::spawn_blocking(reading).await.map_err(io::Error::other).flatten();
    read.map_err(|source| OpenLogError::Checkpoint { path, source })
}

/// The checkpoint in the data directory, as it stands in its file.
pub fn read_checkpoint(data: &Path) -> io::Result<Option<String>> {
    match File::open(data.join(CHECKPOINT_FILE)) {
        Ok(file) => io::read_to_string(io::Read::take(file, MAX_FILE)).map(Some),
        Err(fault) if fault.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(fault) => Err(fault),
    }
}

/// The checkpoint of before stays, under another name.
async fn set_aside(data: PathBuf) -> Result<(), OpenLogError> {
    let path = data.join(CHECKPOINT_FILE);
    let moving = move || {
        let aside = data.join(format!("{CHECKPOINT_FILE}.{}", &crate::random::name()[..8]));
        match fs::rename(data.join(CHECKPOINT_FILE), aside) {
            Err(fault) if fault.kind() != io::ErrorKind::NotFound => Err(fault),
            _ => Ok(()),
        }
    };
    let moved = tokio::task::spawn_blocking(moving).await.map_err(io::Error::other).flatten();
    moved.map_err(|source| OpenLogError::Checkpoint { path, source })
}

fn staged(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.new"))
}

/// Puts a checkpoint in the place of the one of before, whole and durably.
pub fn replace_file(path: &Path, checkpoint: &str) -> io::Result<()> {
    let staged = staged(path);
    let mut file = File::create(&staged)?;
    file.write_all(checkpoint.as_bytes())?;
    file.sync_all()?;
    fs::rename(&staged, path)?;
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => File::open(parent)?.sync_all(),
        None => Ok(()),
    }
}
