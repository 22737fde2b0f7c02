//! What happens here, told to others: as a stream ([`stream`]), and as webhooks.
//!
//! The audit log is the source. An event is an entry of it in the words that programs outside may
//! rely on: its kind is the entry's action, its cursor the entry's number. So nothing is told that is
//! not on record, and whoever was away goes on where they were.
//!
//! Who is told what is [`Sight`]; what somebody asks for is [`Wanted`]. Both are pure. What happens without
//! anybody doing anything is noticed by [`Noticer`], which puts it on record.

mod hits;
mod holds;
mod noticing;
mod sight;
pub mod stream;
mod wanted;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use self::noticing::{Noticer, Noticing};
pub use self::sight::{Sight, TEAMS};
pub use self::stream::{Events, TooManyStreams};
pub use self::wanted::{Wanted, WantedFault, parse_kinds};
use crate::audit::Logged;
use crate::metadata::records::AuditRecord;

/// One thing that happened, as others are told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// `request-made`: the action of the entry.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    pub timestamp: Timestamp,
    pub data: EventData,
}

/// What is known of it. What is absent is not known, or is not part of this kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventData {
    /// The number of its entry in the audit log, and the cursor of the stream.
    pub n: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// The name is what they say of themselves.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub claimed: bool,
    /// `unit/team`, of whoever did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// What it is about where that is no package: the name of a rule, `request 12`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<String>,
    /// `npm:left-pad`, or patterns of a rule.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub packages: Vec<String>,
    /// A version, or a range of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub versions: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
    /// Of the rules and advisories that were in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// What else belongs to the kind, by its name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub details: BTreeMap<String, String>,
}

impl Event {
    /// Addresses, names of tokens and ids of requests stay in the log.
    pub fn of(logged: &Logged) -> Self {
        let AuditRecord {
            at,
            action,
            who,
            claimed,
            team,
            subject,
            packages,
            versions,
            why,
            revision,
            details,
            n: _,
            logged: _,
            token: _,
            from: _,
            request_id: _,
        } = logged.record.clone();
        let n = logged.n;
        let data = EventData {
            n,
            who,
            claimed,
            team,
            subject,
            packages,
            versions,
            why,
            revision,
            details,
        };
        Self { kind: action, timestamp: at, data }
    }

    /// As it is sent, on one line.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self)
            .expect("it has string keys alone, and a String never fails to grow")
    }
}

#[cfg(test)]
mod tests;
