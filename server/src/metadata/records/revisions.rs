//! What is stored of the rules that were in force, so that an older answer can be explained.
//!
//! ```text
//! revision/{revision}                 RevisionRecord  when it was in force, and what it was made of
//! revision-rules/{rules}/{n:06}       RevisionRules   the blocks that a set of rules is made of
//! rules-block/{block}/{n:06}          RulesBlock      some rules or names, in parts
//! ```
//!
//! Rules and blocks are named by what is in them, so most of a set is that of the set before.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Key, Prefix, Record};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRecord {
    /// Names the [`RevisionRules`].
    pub rules: String,
    /// Names the [`RevisionRules`] of the names that were published here, where a rule went by what
    /// resembles them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub own: Option<String>,
    /// How many rules there were.
    pub count: u64,
    /// The revision of the advisories beside them; empty where there were none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub advisories: String,
    /// Why nobody could read the rules then; there are none in that case.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unavailable: Option<String>,
    /// When it first came into force.
    pub since: Timestamp,
    /// When it was last in force; absent while it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevisionRules {
    pub blocks: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RulesBlock {
    /// How many parts there are, numbered from 0.
    pub parts: u32,
    pub packed: String,
}

impl Record for RevisionRecord {
    const KIND: &'static str = "revision";
    const PARTS: usize = 1;
}

impl Record for RevisionRules {
    const KIND: &'static str = "revision-rules";
    const PARTS: usize = 2;
}

impl Record for RulesBlock {
    const KIND: &'static str = "rules-block";
    const PARTS: usize = 2;
}

impl RevisionRecord {
    pub fn key(revision: &str) -> Key<Self> {
        Key::of(&[revision])
    }
}

impl RevisionRules {
    pub fn key(rules: &str, n: u32) -> Key<Self> {
        Key::of(&[rules, &format!("{n:06}")])
    }

    pub fn of(rules: &str) -> Prefix<Self> {
        Prefix::of(&[rules])
    }
}

impl RulesBlock {
    pub fn key(block: &str, n: u32) -> Key<Self> {
        Key::of(&[block, &format!("{n:06}")])
    }

    pub fn of(block: &str) -> Prefix<Self> {
        Prefix::of(&[block])
    }
}
