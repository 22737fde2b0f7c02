//! The store, which writes the record of a key in the commit of the change that it is for.

use std::sync::Arc;

use bytes::Bytes;
use parking_lot::Mutex;

use crate::metadata::records::{
    AnswerRecord, KeptAnswer, Key, Record, RequestRecord, RoleRecord, RuleRecord, TeamRecord,
    TokenRecord, UserRecord, WebhookRecord, encode, parse_key,
};
use crate::metadata::{Batch, Entry, Metadata, MetadataError};

/// What is made for a client, by kind.
const MADE: [&str; 7] = [
    RuleRecord::KIND,
    RequestRecord::KIND,
    TeamRecord::KIND,
    TokenRecord::KIND,
    RoleRecord::KIND,
    UserRecord::KIND,
    WebhookRecord::KIND,
];
/// As many as are told apart of one change.
const MOST_MADE: usize = 10;

tokio::task_local! {
    static MARK: Arc<Mark>;
}

/// Does the work as that which a key is for.
pub fn with<F: Future>(mark: Arc<Mark>, work: F) -> impl Future<Output = F::Output> {
    MARK.scope(mark, work)
}

/// The record of a key, on its way into the store.
#[derive(Debug)]
pub struct Mark {
    key: Key<AnswerRecord>,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// As it is in the store.
    stored: Option<Bytes>,
    record: AnswerRecord,
    is_written: bool,
}

impl Mark {
    pub fn new(key: Key<AnswerRecord>, before: Option<Bytes>, record: AnswerRecord) -> Self {
        Self { key, state: Mutex::new(State { stored: before, record, is_written: false }) }
    }

    /// The batch with the record in it, where it makes something; once.
    fn join(&self, batch: Batch) -> (Batch, Option<Bytes>) {
        let mut state = self.state.lock();
        let put = batch.changes.iter().filter(|change| change.value.is_some());
        let made: Vec<Vec<String>> = put
            .filter_map(|change| parse_key(&change.key))
            .filter(|(kind, _)| MADE.contains(&kind.as_str()))
            .map(|(kind, parts)| std::iter::once(kind).chain(parts).collect())
            .take(MOST_MADE)
            .collect();
        if state.is_written || made.is_empty() {
            return (batch, None);
        }
        state.record.made = made;
        let value = encode(&state.record);
        let batch = batch.expect(self.key.to_bytes(), state.stored.clone());
        (batch.put(self.key.to_bytes(), value.clone()), Some(value))
    }

    fn set_written(&self, value: Bytes) {
        let mut state = self.state.lock();
        (state.stored, state.is_written) = (Some(value), true);
    }

    /// What writes the answer beside it.
    pub fn finish(&self, answer: Option<KeptAnswer>) -> Batch {
        let state = self.state.lock();
        if answer.is_none() && state.is_written {
            return Batch::default();
        }
        let record = AnswerRecord { answer, ..state.record.clone() };
        let batch = Batch::default().expect(self.key.to_bytes(), state.stored.clone());
        batch.put_record(&self.key, &record)
    }
}

/// Clones are the same store.
#[derive(Clone, Debug)]
pub struct Marking(Arc<dyn Metadata>);

impl Marking {
    pub fn over(store: Arc<dyn Metadata>) -> Arc<dyn Metadata> {
        Arc::new(Self(store))
    }
}

#[async_trait::async_trait]
impl Metadata for Marking {
    async fn get(&self, key: &[u8]) -> Result<Option<Bytes>, MetadataError> {
        self.0.get(key).await
    }

    async fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>, MetadataError> {
        self.0.scan(prefix, after, limit).await
    }

    async fn commit(&self, batch: Batch) -> Result<(), MetadataError> {
        let Ok(mark) = MARK.try_with(Arc::clone) else { return self.0.commit(batch).await };
        let (batch, value) = mark.join(batch);
        self.0.commit(batch).await?;
        if let Some(value) = value {
            mark.set_written(value);
        }
        Ok(())
    }

    async fn size(&self) -> Result<u64, MetadataError> {
        self.0.size().await
    }

    async fn close(&self) {
        self.0.close().await;
    }
}
