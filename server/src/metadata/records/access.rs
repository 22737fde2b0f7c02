//! What is stored of who may ask: teams, and tokens by the hash of their secrets.
//!
//! A unit is there as long as it has a team. What a token was last used for is not kept, and when
//! has a record of its own, because it is written without asking whether the token was changed.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Key, Record};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub created: Timestamp,
    pub created_by: String,
}

/// A token, under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenRecord {
    /// `person` or `service`
    pub kind: String,
    /// Who, or which service.
    pub owner: String,
    /// `unit/team`
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// By their names: one that a garth does not know it does not give.
    pub rights: Vec<String>,
    /// Of which each is valid: the newest one first, and those that it takes over from.
    pub secrets: Vec<SecretRecord>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    pub created: Timestamp,
    pub created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<RevokedRecord>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretRecord {
    /// Its sha256, in hex.
    pub hash: String,
    pub created: Timestamp,
    /// Until then; absent: as long as the token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevokedRecord {
    pub at: Timestamp,
    pub by: String,
}

/// When a token was last used, to within some minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUseRecord {
    pub at: Timestamp,
}

impl Record for TeamRecord {
    const KIND: &'static str = "team";
    const PARTS: usize = 2;
}

impl Record for TokenRecord {
    const KIND: &'static str = "token";
    const PARTS: usize = 1;
}

impl Record for TokenUseRecord {
    const KIND: &'static str = "token-use";
    const PARTS: usize = 1;
}

impl TeamRecord {
    pub fn key(unit: &str, team: &str) -> Key<Self> {
        Key::of(&[unit, team])
    }
}

impl TokenRecord {
    pub fn key(name: &str) -> Key<Self> {
        Key::of(&[name])
    }
}

impl TokenUseRecord {
    pub fn key(token: &str) -> Key<Self> {
        Key::of(&[token])
    }
}
