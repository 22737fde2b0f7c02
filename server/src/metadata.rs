//! What garth knows, as ordered keys: the engine's contract.
//!
//! An engine maps keys to values in byte order, scans by prefix and commits batches. A batch takes
//! effect whole or not at all, and only if all its expectations hold. An acknowledged commit is
//! durable. Engines know nothing of what the keys mean; that is [`records`].
//!
//! Keys, values and batches are bounded alike for every engine: what one takes, all take.

#[cfg(test)]
pub(crate) mod conformance;
pub mod records;
#[cfg(test)]
pub mod refusing;
pub mod sled;

use async_trait::async_trait;
use bytes::Bytes;

use self::records::show_key;

/// The longest key.
pub const MAX_KEY: usize = 1024;
/// The largest value.
pub const MAX_VALUE: usize = 16 * 1024;
/// Keys and values of one batch together. [`records::commit_in_parts`] writes more than this.
pub const MAX_BATCH_BYTES: usize = 512 * 1024;
pub const MAX_BATCH_CHANGES: usize = 1024;

/// One key with its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    pub key: Bytes,
    pub value: Bytes,
}

/// Changes that take effect together, if every expectation holds.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    pub expectations: Vec<Expectation>,
    pub changes: Vec<Change>,
}

/// What must be true at the moment of the commit: `None` means that the key is absent.
#[derive(Clone, Debug)]
pub struct Expectation {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

/// `None` removes the key.
#[derive(Clone, Debug)]
pub struct Change {
    pub key: Bytes,
    pub value: Option<Bytes>,
}

impl Batch {
    pub fn expect(mut self, key: impl Into<Bytes>, value: Option<Bytes>) -> Self {
        self.expectations.push(Expectation { key: key.into(), value });
        self
    }

    pub fn put(mut self, key: impl Into<Bytes>, value: impl Into<Bytes>) -> Self {
        self.changes.push(Change { key: key.into(), value: Some(value.into()) });
        self
    }

    pub fn remove(mut self, key: impl Into<Bytes>) -> Self {
        self.changes.push(Change { key: key.into(), value: None });
        self
    }

    /// Keys and values of all changes.
    pub fn bytes(&self) -> usize {
        self.changes.iter().map(Change::bytes).sum()
    }

    /// Whether an engine takes it. Each engine asks before it does anything else.
    pub fn check_size(&self) -> Result<(), MetadataError> {
        let refuse_above = |limit, size, what: &dyn Fn() -> String| {
            if size <= limit {
                return Ok(());
            }
            Err(MetadataError::TooLarge { what: what(), size, limit })
        };
        for change in &self.changes {
            let record = || show_key(&change.key[..change.key.len().min(MAX_KEY)]);
            let value = change.value.as_ref().map_or(0, Bytes::len);
            refuse_above(MAX_KEY, change.key.len(), &|| format!("the key {}", record()))?;
            refuse_above(MAX_VALUE, value, &|| format!("the record {}", record()))?;
        }
        let what = || "what is to be written at once".to_owned();
        refuse_above(MAX_BATCH_BYTES, self.bytes(), &what)?;
        let what = || "the number of records to be written at once".to_owned();
        refuse_above(MAX_BATCH_CHANGES, self.changes.len(), &what)
    }
}

impl Change {
    pub fn bytes(&self) -> usize {
        self.key.len() + self.value.as_ref().map_or(0, Bytes::len)
    }
}

/// By what the caller does next.
#[derive(Clone, Debug, thiserror::Error)]
pub enum MetadataError {
    /// Read again and decide anew.
    #[error("the record {key} was changed meanwhile")]
    Conflict { key: String },
    /// Nothing was changed; answer 507.
    #[error("the metadata store is full: {0}")]
    Full(String),
    /// Nothing was changed, and nothing will be: what was asked for has to be less.
    #[error("{what} is too large for the metadata store: {size}, at most {limit}")]
    TooLarge { what: String, size: usize, limit: usize },
    /// Nothing was acknowledged; answer 503.
    #[error("the metadata store is unavailable: {0}")]
    Unavailable(String),
    /// A stored record cannot be read; answer 503 and alarm.
    #[error("the record {key} is damaged: {cause}")]
    Damaged { key: String, cause: String },
}

#[async_trait]
pub trait Metadata: Send + Sync + std::fmt::Debug {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, MetadataError>;

    /// At most `limit` entries whose keys start with `prefix`, in key order, beginning behind
    /// `after` where it is given.
    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, MetadataError>;

    /// Applies the batch and returns when it is durable.
    async fn commit(&self, batch: Batch) -> Result<(), MetadataError>;

    /// Bytes on disk, for the metrics.
    async fn size(&self) -> Result<u64, MetadataError>;

    /// Ends the commits that wait and lets the store go, for all who share it. Whoever asks
    /// afterwards is told that it is closed; closing it again does nothing.
    async fn close(&self);
}
