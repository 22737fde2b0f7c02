//! Side files: what a metadata record said, kept beside the blob it refers to.
//!
//! ```text
//! "garth side 1\n"  length of key: u32  length of value: u32  key  value  sha256 of all before
//! ```
//!
//! Integers are big-endian. A file that is cut or changed is recognised as such.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

const MAGIC: &[u8] = b"garth side 1\n";
const SUM: usize = 32;

/// Larger than any record that a metadata engine takes.
pub const MAX_SIDE: usize = 1024 * 1024;

/// The key and the value of a record, as the metadata engine has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Side {
    pub key: Bytes,
    pub value: Bytes,
}

impl Side {
    pub fn new(key: &[u8], value: &[u8]) -> Self {
        Self { key: Bytes::copy_from_slice(key), value: Bytes::copy_from_slice(value) }
    }

    /// `None` where it is larger than anything that could be read back.
    pub fn encode(&self) -> Option<Vec<u8>> {
        let (key, value) = (length(&self.key)?, length(&self.value)?);
        let mut file =
            Vec::with_capacity(MAGIC.len() + 8 + self.key.len() + self.value.len() + SUM);
        file.extend_from_slice(MAGIC);
        file.extend_from_slice(&key);
        file.extend_from_slice(&value);
        file.extend_from_slice(&self.key);
        file.extend_from_slice(&self.value);
        let sum = Sha256::digest(&file);
        file.extend_from_slice(&sum);
        (file.len() <= MAX_SIDE).then_some(file)
    }

    /// `None` where the file is damaged.
    pub fn decode(file: &[u8]) -> Option<Self> {
        let (framed, sum) = file.split_at_checked(file.len().checked_sub(SUM)?)?;
        if Sha256::digest(framed)[..] != *sum {
            return None;
        }
        let rest = framed.strip_prefix(MAGIC)?;
        let (key_len, rest) = rest.split_first_chunk::<4>()?;
        let (value_len, rest) = rest.split_first_chunk::<4>()?;
        let (key, value) = rest.split_at_checked(u32::from_be_bytes(*key_len) as usize)?;
        (value.len() == u32::from_be_bytes(*value_len) as usize).then(|| Self::new(key, value))
    }

    /// What tells the side files of one blob apart: 128 bits of the key's hash, in hex.
    pub fn name_of(key: &[u8]) -> String {
        hex::encode(&Sha256::digest(key)[..16])
    }
}

fn length(part: &[u8]) -> Option<[u8; 4]> {
    u32::try_from(part.len()).ok().map(u32::to_be_bytes)
}
