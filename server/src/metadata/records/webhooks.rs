//! What is stored of webhooks: what each is for, how far it is, and what is on its way.
//!
//! A webhook is changed beside an entry of the audit log; how far it is changes with each delivery,
//! so it stands in a record of its own. No secret is stored: see [`crate::webhooks`].

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Key, Prefix, Record};

/// A webhook, under its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookRecord {
    pub url: String,
    /// As they were asked for: `request-made`, `request-*`; empty: every kind.
    pub kinds: Vec<String>,
    /// Then only what this team may be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Of which each signs: the newest first.
    pub secrets: Vec<WebhookSecretRecord>,
    pub created: Timestamp,
    pub created_by: String,
    /// Then nothing is sent any more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stopped: Option<WebhookStopRecord>,
}

/// What a secret is made of, together with a key that is not in the store.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookSecretRecord {
    pub salt: String,
    /// By which it is seen that the key is the one of before: the beginning of the secret's sha256.
    pub mark: String,
    pub created: Timestamp,
    /// Until then; absent: until there is a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookStopRecord {
    pub at: Timestamp,
    pub why: String,
}

/// How far a webhook is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookCursor {
    /// The first entry of the audit log that was not looked at.
    pub next: u64,
    /// Since when nothing was delivered that was tried; absent while it works.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failing: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delivered: Option<Timestamp>,
    /// Grows with whatever others change of its deliveries.
    #[serde(default)]
    pub changes: u64,
}

/// How far a delivery has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum DeliveryState {
    /// It will be tried, again or for the first time.
    Waiting,
    Delivered,
    /// It was tried for as long as deliveries are, or the webhook ended.
    GivenUp,
}

/// One event on its way to one webhook, under the number of its entry.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeliveryRecord {
    pub kind: String,
    pub state: DeliveryState,
    /// Tries up to now.
    pub attempts: u32,
    /// When it was taken up, or sent again by a person.
    pub since: Timestamp,
    /// While it waits: not before then.
    pub next: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<AttemptRecord>,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptRecord {
    pub at: Timestamp,
    pub millis: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// Why it failed, or what the receiver said: the beginning, on one line.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub said: String,
}

impl Record for WebhookRecord {
    const KIND: &'static str = "webhook";
    const PARTS: usize = 1;
}

impl Record for WebhookCursor {
    const KIND: &'static str = "webhook-cursor";
    const PARTS: usize = 1;
}

impl Record for DeliveryRecord {
    const KIND: &'static str = "webhook-delivery";
    const PARTS: usize = 2;
}

impl WebhookRecord {
    pub fn key(name: &str) -> Key<Self> {
        Key::of(&[name])
    }
}

impl WebhookCursor {
    pub fn key(name: &str) -> Key<Self> {
        Key::of(&[name])
    }
}

impl DeliveryRecord {
    pub fn key(webhook: &str, n: u64) -> Key<Self> {
        Key::of(&[webhook, &format!("{n:020}")])
    }

    pub fn of_webhook(webhook: &str) -> Prefix<Self> {
        Prefix::of(&[webhook])
    }

    /// The number that a key names; `None` where it is no key of this code.
    pub fn number(key: &Key<Self>) -> Option<u64> {
        key.parts().pop()?.parse().ok()
    }
}
