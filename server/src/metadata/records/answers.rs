//! What was answered to a change that may be asked for again.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Key, Prefix, Record};

/// A change that was asked for with a key of the client's own. It is written with the change, in one
/// commit, and once more when the answer is known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AnswerRecord {
    pub at: Timestamp,
    /// By whom it is counted.
    pub who: String,
    /// A hash of what was sent.
    pub asked: String,
    /// Kinds and names of what was made, so that it is found where the answer was lost.
    pub made: Vec<Vec<String>>,
    /// Absent until it is known, and where it is not kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<KeptAnswer>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptAnswer {
    pub status: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    pub body: String,
}

impl Record for AnswerRecord {
    const KIND: &'static str = "answer";
    const PARTS: usize = 1;
}

impl AnswerRecord {
    /// By a hash of who asks and of their key.
    pub fn key(hash: &str) -> Key<Self> {
        Key::of(&[hash])
    }

    pub fn all() -> Prefix<Self> {
        Prefix::all()
    }
}
