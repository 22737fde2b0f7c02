//! Takes away the revisions that are past their time, and then the rules that no revision has any
//! more.

use std::collections::HashSet;

use jiff::SignedDuration;

use super::{PAGE, Revisions};
use crate::metadata::records::{Key, Prefix, Record, RevisionRules, RulesBlock, decode};
use crate::metadata::{Batch, MetadataError};

/// Of the latest so many stay, however old they are.
const AT_LEAST: usize = 50;
/// More than that are not kept.
const AT_MOST: usize = 5000;

impl Revisions {
    pub async fn clean(&self) -> Result<(), MetadataError> {
        let _turn = self.0.turn.lock().await;
        let keep = SignedDuration::try_from(self.0.keep).unwrap_or(SignedDuration::MAX);
        let oldest = self.0.clock.now().checked_sub(keep).unwrap_or(jiff::Timestamp::MIN);
        let mut all = self.all().await?;
        // Those in force first, then the latest.
        all.sort_by_key(|(_, record)| {
            std::cmp::Reverse(record.until.unwrap_or(jiff::Timestamp::MAX))
        });
        let mut rules = HashSet::new();
        let mut batch = Batch::default();
        for (place, (key, record)) in all.into_iter().enumerate() {
            let is_old = record.until.is_some_and(|until| until < oldest);
            if (place >= AT_LEAST && is_old) || place >= AT_MOST {
                batch = batch.remove_record(&key);
                if batch.changes.len() >= PAGE {
                    self.0.metadata.commit(std::mem::take(&mut batch)).await?;
                }
            } else {
                rules.insert(record.rules);
                rules.extend(record.own);
            }
        }
        let nothing_went = batch.changes.is_empty();
        self.0.metadata.commit(batch).await?;
        if nothing_went {
            return Ok(());
        }
        let mut blocks = HashSet::new();
        self.retain::<RevisionRules>(&rules, |list| blocks.extend(list.blocks)).await?;
        self.retain::<RulesBlock>(&blocks, |_| {}).await
    }

    /// Removes records whose first part is none of these, and shows the others.
    async fn retain<R: Record>(
        &self,
        names: &HashSet<String>,
        mut show: impl FnMut(R),
    ) -> Result<(), MetadataError> {
        let prefix = Prefix::<R>::all();
        let mut after = None;
        loop {
            let page = self.0.metadata.scan(prefix.as_bytes(), after.as_deref(), PAGE).await?;
            let is_last = page.len() < PAGE;
            let mut batch = Batch::default();
            for entry in page {
                let name =
                    Key::<R>::parse(&entry.key).and_then(|key| key.parts().into_iter().next());
                if name.is_some_and(|name| names.contains(&name)) {
                    show(decode(&entry.key, &entry.value)?);
                } else {
                    batch = batch.remove(entry.key.clone());
                }
                after = Some(entry.key);
            }
            self.0.metadata.commit(batch).await?;
            if is_last {
                return Ok(());
            }
        }
    }
}
