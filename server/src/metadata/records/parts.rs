//! More changes than one batch holds: in batches one after the other, in their order.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::task::Poll;

use bytes::Bytes;

use crate::metadata::{
    Batch, Change, Expectation, MAX_BATCH_BYTES, MAX_BATCH_CHANGES, Metadata, MetadataError,
};

/// A part of something larger leaves other writers room beside it.
const PART_BYTES: usize = MAX_BATCH_BYTES / 2;
const PART_CHANGES: usize = MAX_BATCH_CHANGES / 2;

type Commit<'m> = Pin<Box<dyn Future<Output = Result<(), MetadataError>> + Send + 'm>>;

/// Collects changes, and commits them as soon as there are enough for a batch.
///
/// One batch is under way while the next is collected, and none is begun before the one before it
/// is durable: what is there after a crash or an error is a beginning of what was pushed. Nobody
/// may rely on any of it before [`Parts::finish`] ended well.
pub struct Parts<'m> {
    metadata: &'m dyn Metadata,
    part: Batch,
    bytes: usize,
    under_way: Option<Commit<'m>>,
}

impl<'m> Parts<'m> {
    pub fn new(metadata: &'m dyn Metadata) -> Self {
        Self { metadata, part: Batch::default(), bytes: 0, under_way: None }
    }

    pub async fn push(&mut self, change: Change) -> Result<(), MetadataError> {
        self.push_expecting(change, Vec::new()).await
    }

    /// The expectations are asked in the batch of the change.
    async fn push_expecting(
        &mut self,
        change: Change,
        expectations: Vec<Expectation>,
    ) -> Result<(), MetadataError> {
        let full =
            self.bytes + change.bytes() > PART_BYTES || self.part.changes.len() == PART_CHANGES;
        if full {
            self.begin().await?;
        }
        self.bytes += change.bytes();
        self.part.expectations.extend(expectations);
        self.part.changes.push(change);
        Ok(())
    }

    /// Everything that was pushed is durable.
    pub async fn finish(&mut self) -> Result<(), MetadataError> {
        if !self.part.changes.is_empty() || !self.part.expectations.is_empty() {
            self.begin().await?;
        }
        self.settle().await
    }

    /// Hands what was collected to the engine, behind the batch before it.
    async fn begin(&mut self) -> Result<(), MetadataError> {
        self.settle().await?;
        self.bytes = 0;
        let mut commit = self.metadata.commit(std::mem::take(&mut self.part));
        // Asked once, it is with the engine, which works on its own threads.
        match futures_util::poll!(&mut commit) {
            Poll::Ready(done) => done,
            Poll::Pending => {
                self.under_way = Some(commit);
                Ok(())
            }
        }
    }

    async fn settle(&mut self) -> Result<(), MetadataError> {
        match self.under_way.take() {
            Some(commit) => commit.await,
            None => Ok(()),
        }
    }
}

/// Makes changes that may be more than one batch holds, and then `last`.
///
/// Where everything fits into one batch it is one: all of it is there or nothing. Else what is
/// `first` becomes durable in its order, in batches of their own, before `last` is begun; each
/// expectation is asked with the first change of its key. So `last` holds what makes the rest
/// count: whoever sees it sees all, and a crash or an error before it leaves some of `first`, which
/// making that again mends.
pub async fn commit_in_parts(
    metadata: &dyn Metadata,
    first: Batch,
    mut last: Batch,
) -> Result<(), MetadataError> {
    if first.bytes() + last.bytes() <= MAX_BATCH_BYTES
        && first.changes.len() + last.changes.len() <= MAX_BATCH_CHANGES
    {
        last.expectations.extend(first.expectations);
        last.changes.splice(0..0, first.changes);
        return metadata.commit(last).await;
    }
    // What can not be written at all is found before anything is written.
    last.check_size()?;
    let (mut of_changes, of_others) = part_expectations(first.expectations, &first.changes);
    let mut parts = Parts::new(metadata);
    parts.part.expectations = of_others;
    for change in first.changes {
        let expectations = of_changes.remove(&change.key).unwrap_or_default();
        parts.push_expecting(change, expectations).await?;
    }
    parts.finish().await?;
    metadata.commit(last).await
}

/// Those of keys that are changed, by their keys, and the others.
fn part_expectations(
    expectations: Vec<Expectation>,
    changes: &[Change],
) -> (HashMap<Bytes, Vec<Expectation>>, Vec<Expectation>) {
    let changed: HashSet<&Bytes> = changes.iter().map(|change| &change.key).collect();
    let (mut of_changes, mut of_others) = (HashMap::<Bytes, Vec<_>>::new(), Vec::new());
    for expectation in expectations {
        if changed.contains(&expectation.key) {
            of_changes.entry(expectation.key.clone()).or_default().push(expectation);
        } else {
            of_others.push(expectation);
        }
    }
    (of_changes, of_others)
}
