//! Takes away what counts no more: older generations, and what imports left that broke off.

use super::Advisories;
use super::stored::{Unread, Walk, read_state};
use crate::metadata::records::{AdvisoriesRecord, Parts};
use crate::metadata::{Batch, Change, Metadata, MetadataError};

impl Advisories {
    /// When it is nobody's turn. What fails is tried again with the next import that writes, or the next start.
    pub(super) fn clean_later(&self) {
        let inner = self.0.clone();
        tokio::spawn(async move {
            let _turn = inner.turn.lock().await;
            if let Err(fault) = clean(inner.metadata.as_ref()).await {
                tracing::warn!(%fault, "advisories that count no more could not be removed");
            }
        });
    }
}

/// Whoever calls it has the turn, so no import is under way.
pub(super) async fn clean(metadata: &dyn Metadata) -> Result<(), MetadataError> {
    let Some(state) = read_state(metadata).await? else { return Ok(()) };
    if state.record.is_clean() {
        return Ok(());
    }
    let mut removing = Parts::new(metadata);
    let mut walk = Walk::<Unread>::new(metadata, &state.record);
    while let Some(of_id) = walk.next().await? {
        // In their order: the word that an advisory is gone goes after the advisory.
        for key in of_id.superseded {
            removing.push(Change { key, value: None }).await?;
        }
    }
    removing.finish().await?;
    let (unfinished, cleaned) = (Vec::new(), state.record.generation);
    let record = AdvisoriesRecord { unfinished, cleaned, ..state.record.clone() };
    let key = AdvisoriesRecord::key();
    let batch = Batch::default().expect_unchanged(&key, Some(&state)).put_record(&key, &record);
    metadata.commit(batch).await
}
