//! What convinces somebody who trusts nothing but a checkpoint: that an entry is in the log, and that
//! a log is the beginning of a longer one.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use tlog_tiles::tlog::{
    EMPTY_HASH, Hash, check_record, check_tree, prove_record, prove_tree, record_hash,
};

use super::Log;
use super::checkpoint::{Checkpoint, KeyError};
use super::tree::{Known, TreeError, encode_root};
use crate::metadata::MetadataError;
use crate::metadata::records::{self, AuditHead};

#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    #[error("{0}")]
    OutOfRange(String),
    #[error(transparent)]
    Tree(#[from] TreeError),
    #[error(transparent)]
    Key(#[from] KeyError),
}

impl From<MetadataError> for ProofError {
    fn from(fault: MetadataError) -> Self {
        Self::Tree(fault.into())
    }
}

/// The log as it is now, signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct SignedHead {
    /// The name of the log, as it stands in the note.
    pub origin: String,
    /// How many entries it has.
    pub size: u64,
    /// The root of the tree, in base64.
    pub root: String,
    /// All of this, signed: a note in the form of C2SP.
    pub checkpoint: String,
    /// The public key. Whoever verifies has it from elsewhere.
    pub key: String,
}

/// That an entry is in the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct InclusionProof {
    /// The number of the entry.
    pub n: u64,
    /// Of the tree that it is proved for.
    pub size: u64,
    /// Hash of the entry, in base64 like all hashes here.
    pub leaf: String,
    /// Of that tree.
    pub root: String,
    /// From the leaf up.
    pub hashes: Vec<String>,
}

/// That the log of a size is the beginning of the log of a later one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ConsistencyProof {
    /// The size of the earlier log.
    pub from: u64,
    /// The size of the later one.
    pub to: u64,
    /// The root of the earlier one.
    pub from_root: String,
    /// The root of the later one.
    pub to_root: String,
    /// In the order of RFC 6962.
    pub hashes: Vec<String>,
}

impl Log {
    /// The log as it is now, signed.
    pub async fn signed_head(&self) -> Result<SignedHead, ProofError> {
        let head = records::read(self.0.metadata.as_ref(), &AuditHead::key()).await?;
        let (size, root) = match head {
            Some(head) => (head.size, decode_root(&head.root)?),
            None => (0, EMPTY_HASH),
        };
        let key = &self.0.key;
        Ok(SignedHead {
            origin: key.origin().to_owned(),
            size,
            root: encode_root(root),
            checkpoint: key.sign(size, root)?,
            key: key.public().to_owned(),
        })
    }

    /// The same as a note.
    pub async fn checkpoint(&self) -> Result<String, ProofError> {
        Ok(self.signed_head().await?.checkpoint)
    }

    /// That entry `n` is in the log of that size; of the present one where none is said.
    pub async fn prove_inclusion(
        &self,
        n: u64,
        size: Option<u64>,
    ) -> Result<InclusionProof, ProofError> {
        let (metadata, now) = (self.0.metadata.as_ref(), self.size().await?);
        let size = size.unwrap_or(now);
        if n >= size || size > now {
            return Err(ProofError::OutOfRange(format!(
                "the log has {now} entries: `size` is at most that, and the entry below `size`"
            )));
        }
        let mut known = Known::default();
        let hashes = known.ask(metadata, |reader| prove_record(size, n, reader)).await?;
        let root = known.root_at(metadata, size).await?;
        let entry = self.entry(n).await?;
        let leaf = entry.map_or(EMPTY_HASH, |entry| record_hash(&entry.line));
        Ok(InclusionProof {
            n,
            size,
            leaf: encode_root(leaf),
            root: encode_root(root),
            hashes: encode(&hashes),
        })
    }

    /// That the log of the size `from` is the beginning of the one of the size `to`.
    pub async fn prove_consistency(
        &self,
        from: u64,
        to: Option<u64>,
    ) -> Result<ConsistencyProof, ProofError> {
        let (metadata, now) = (self.0.metadata.as_ref(), self.size().await?);
        let to = to.unwrap_or(now);
        if from == 0 || from > to || to > now {
            return Err(ProofError::OutOfRange(format!(
                "the log has {now} entries: `to` is at most that, and `from` at least 1 and at most `to`"
            )));
        }
        let mut known = Known::default();
        let hashes = known.ask(metadata, |reader| prove_tree(to, from, reader)).await?;
        let from_root = encode_root(known.clone().root_at(metadata, from).await?);
        let to_root = encode_root(known.root_at(metadata, to).await?);
        Ok(ConsistencyProof { from, to, from_root, to_root, hashes: encode(&hashes) })
    }
}

impl InclusionProof {
    /// Whether this line is the entry that the proof is of, in the log of that checkpoint.
    pub fn holds(&self, line: &[u8], checkpoint: &Checkpoint) -> bool {
        let Some(hashes) = decode(&self.hashes) else { return false };
        let (size, root) = (checkpoint.size, checkpoint.root);
        self.size == size && check_record(&hashes, size, root, self.n, record_hash(line)).is_ok()
    }
}

impl ConsistencyProof {
    /// Whether the log of the one checkpoint is the beginning of that of the other.
    pub fn holds(&self, from: &Checkpoint, to: &Checkpoint) -> bool {
        let Some(hashes) = decode(&self.hashes) else { return false };
        (self.from, self.to) == (from.size, to.size)
            && check_tree(&hashes, to.size, to.root, from.size, from.root).is_ok()
    }
}

fn encode(hashes: &[Hash]) -> Vec<String> {
    hashes.iter().copied().map(encode_root).collect()
}

fn decode(hashes: &[String]) -> Option<Vec<Hash>> {
    hashes.iter().map(|hash| STANDARD.decode(hash).ok()?.try_into().ok().map(Hash)).collect()
}

fn decode_root(root: &str) -> Result<Hash, MetadataError> {
    Hash::parse_hash(root).map_err(|fault| MetadataError::Damaged {
        key: records::show_key(AuditHead::key().as_bytes()),
        cause: format!("its root can not be read: {fault}"),
    })
}
