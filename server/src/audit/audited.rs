//! The metadata store as everybody but the log itself has it: what must be told is told.
//!
//! A batch that makes or removes a rule, token or team, or that moves a request, is refused where it
//! does not bring its entry: a change that forgets it does not go through a test, let alone into a
//! store. And what the log holds is changed by nobody.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::metadata::records::{
    AuditEntries, AuditHashes, AuditHead, AuditIndex, AuditIndexed, OwnRecord, Record, RoleRecord,
    RuleRecord, TeamRecord, TokenRecord, UnitRecord, UserRecord, WaitingRecord, WebhookRecord,
};
use crate::metadata::{Batch, Entry, Metadata, MetadataError};

/// Kinds that change only beside an entry.
pub const TOLD: [&str; 10] = [
    RuleRecord::KIND,
    OwnRecord::KIND,
    TokenRecord::KIND,
    TeamRecord::KIND,
    RoleRecord::KIND,
    UnitRecord::KIND,
    UserRecord::KIND,
    WebhookRecord::KIND,
    "request/approved",
    "request/rejected",
];
/// Kinds that the sequencer alone writes.
pub const LOG: [&str; 5] =
    [AuditEntries::KIND, AuditIndex::KIND, AuditIndexed::KIND, AuditHashes::KIND, AuditHead::KIND];

/// Clones are the same store.
#[derive(Clone, Debug)]
pub struct Audited {
    store: Arc<dyn Metadata>,
    wake: Arc<Notify>,
}

impl Audited {
    /// `wake` is told of each entry that was written.
    pub fn new(store: Arc<dyn Metadata>, wake: Arc<Notify>) -> Self {
        Self { store, wake }
    }
}

/// Whether the batch brings an entry, or why it is not let through.
fn check(batch: &Batch) -> Result<bool, MetadataError> {
    let brings = batch
        .changes
        .iter()
        .any(|change| change.value.is_some() && is_of(&change.key, WaitingRecord::KIND));
    for change in &batch.changes {
        let key = &change.key;
        let of_log = LOG.iter().any(|kind| is_of(key, kind))
            || change.value.is_none() && is_of(key, WaitingRecord::KIND);
        let untold = !brings && TOLD.iter().any(|kind| is_of(key, kind));
        if of_log || untold {
            let why = if of_log {
                "only the log itself changes"
            } else {
                "no entry of the audit log tells of"
            };
            let key = crate::metadata::records::show_key(key);
            return Err(MetadataError::Unavailable(format!(
                "{why} the record {key}: this is a fault of garth"
            )));
        }
    }
    Ok(brings)
}

fn is_of(key: &[u8], kind: &str) -> bool {
    key.strip_prefix(kind.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
}

#[async_trait::async_trait]
impl Metadata for Audited {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, MetadataError> {
        self.store.get(key).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, MetadataError> {
        self.store.scan(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), MetadataError> {
        let brings = check(&batch)?;
        self.store.commit(batch).await?;
        if brings {
            self.wake.notify_one();
        }
        Ok(())
    }

    async fn size(&self) -> Result<u64, MetadataError> {
        self.store.size().await
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_nobody_is_told_of_is_refused() {
        let rows = [
            ("a rule", "rule/x", false, true),
            ("a rule, told", "rule/x", true, false),
            ("a token", "token/ci", false, true),
            ("a webhook", "webhook/chat", false, true),
            ("how far it is", "webhook-cursor/chat", false, false),
            ("its use", "token-use/ci", false, false),
            ("packages of a rule", "rule-packages/x/000001", false, false),
            ("an answer", "request/approved/1", false, true),
            ("a refusal", "request/open/1", false, false),
            ("an entry with a number", "audit/1", true, true),
            ("the head", "audit-head/state", true, true),
        ];
        for (name, key, told, refused) in rows {
            let mut batch = Batch::default().put(key.as_bytes().to_vec(), "1");
            if told {
                batch = batch.put("audit-waiting/1", "1");
            }
            let found = check(&batch);
            assert_eq!(found.is_err(), refused, "{name}");
            assert!(refused || found.unwrap() == told, "{name}");
        }
        assert!(check(&Batch::default().remove("audit-waiting/1")).is_err());
    }
}
