//! What is stored of who may ask: people, teams, roles, and tokens by the hash of their secrets.
//!
//! A unit is there as long as it has a team. What a token was last used for is not kept, and when
//! has a record of its own, because it is written without asking whether the token was changed.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Key, Record};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// What its people may, by the names of roles.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    pub created: Timestamp,
    pub created_by: String,
}

/// What the people of every team of a unit may.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRecord {
    pub roles: Vec<String>,
}

/// Somebody who is known by name: a person, or a service that nobody is behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserRecord {
    /// `person` or `service`
    pub kind: String,
    /// As the first one they are known where they do not say which.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Its argon2id hash, as a PHC string. Absent: nobody logs in by a password.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Logins of before ended with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password_set: Option<Timestamp>,
    pub created: Timestamp,
    pub created_by: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<RevokedRecord>,
    /// Kept so that the tokens of before stay ended when somebody else has this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub removed: Option<RevokedRecord>,
    /// What was given to this name up to then was another's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<Timestamp>,
    /// By issuer, a hash of what it knows them by: whoever is called so there later is somebody else.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bound: BTreeMap<String, String>,
}

/// A set of rights, under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleRecord {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    pub rights: Vec<String>,
    pub created: Timestamp,
    pub created_by: String,
    /// Who last said what it gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub changed_by: Option<String>,
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
    /// As they are written: one that a garth can not read it does not give.
    pub rights: Vec<String>,
    /// By their names: what they give is what they say when it is asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// The owner was a user when it was made: without one it is nobody's.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub of_user: bool,
    /// What it came of, where nobody made it: a login, an exchange. It is forgotten after its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
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

/// A token that nobody made: of a login or an exchange. It is forgotten after its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LoginRecord(pub TokenRecord);

impl Record for LoginRecord {
    const KIND: &'static str = "login";
    const PARTS: usize = 1;
}

impl LoginRecord {
    pub fn key(name: &str) -> Key<Self> {
        Key::of(&[name])
    }
}

/// When a token was last used, to within some minutes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenUseRecord {
    pub at: Timestamp,
}

/// That a pipeline's token was exchanged: under the second of its end, and its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExchangedRecord {}

impl Record for ExchangedRecord {
    const KIND: &'static str = "exchanged";
    const PARTS: usize = 2;
}

impl ExchangedRecord {
    pub fn key(until: Timestamp, hash: &str) -> Key<Self> {
        Key::of(&[&format!("{:020}", until.as_second()), hash])
    }

    pub fn until(key: &Key<Self>) -> Option<Timestamp> {
        Timestamp::from_second(key.parts().first()?.parse().ok()?).ok()
    }
}

impl Record for TeamRecord {
    const KIND: &'static str = "team";
    const PARTS: usize = 2;
}

impl Record for UnitRecord {
    const KIND: &'static str = "unit";
    const PARTS: usize = 1;
}

impl Record for UserRecord {
    const KIND: &'static str = "user";
    const PARTS: usize = 1;
}

impl Record for RoleRecord {
    const KIND: &'static str = "role";
    const PARTS: usize = 1;
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

impl UnitRecord {
    pub fn key(unit: &str) -> Key<Self> {
        Key::of(&[unit])
    }
}

impl UserRecord {
    pub fn key(name: &str) -> Key<Self> {
        Key::of(&[name])
    }
}

impl RoleRecord {
    pub fn key(name: &str) -> Key<Self> {
        Key::of(&[name])
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
