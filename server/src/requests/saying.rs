//! Comments: what is said of a request before and after its end.

use super::closing::{CloseError, contended};
use super::wish::read_reason;
use super::{ATTEMPTS, MAX_COMMENTS, Numbered, Requests, TOO_MANY_COMMENTS};
use crate::audit::Action;
use crate::metadata::records::{self, RequestComment, RequestRecord, RequestsRecord};
use crate::metadata::{Batch, MetadataError};

impl Requests {
    /// Says something of a request, open or closed.
    pub async fn comment(&self, number: u64, text: &str, by: &str) -> Result<Numbered, CloseError> {
        let text = read_reason(Some(text))?.ok_or(CloseError::NoText)?;
        let _turn = self.0.turn.lock().await;
        for _ in 0..ATTEMPTS {
            let found = self.get(number).await?.ok_or(CloseError::NoSuchRequest(number))?;
            let key = RequestRecord::key(found.stage, number);
            let stored = records::read_stored(self.0.metadata.as_ref(), &key).await?;
            let Some(stored) = stored else { continue };
            if stored.record.comments >= MAX_COMMENTS {
                return Err(CloseError::Invalid(TOO_MANY_COMMENTS.to_owned()));
            }
            let mut record = stored.record.clone();
            let comment = RequestComment {
                at: self.0.clock.now(),
                by: by.to_owned(),
                verified: true,
                asked: false,
                text: text.clone(),
            };
            let place = RequestComment::key(number, record.comments);
            record.comments += 1;
            // What somebody wrote about does not fall away.
            record.by_people = true;
            let state = self.state().await?;
            let next = state.next();
            let batch = state
                .expect(Batch::default())
                .expect_unchanged(&key, Some(&stored))
                .put_record(&key, &record)
                .put_record(&place, &comment)
                .put_record(&RequestsRecord::key(), &next);
            let entry = self.entry(Action::RequestCommented, number, &record).by(by);
            let batch = batch.note(entry.why(Some(&text)), comment.at);
            match self.0.metadata.commit(batch).await {
                Err(MetadataError::Conflict { .. }) => self.forget_board(),
                done => {
                    done?;
                    tracing::info!(request = number, by, "request commented");
                    return Ok(self.moved(number, found.stage, record, &next));
                }
            }
        }
        Err(contended().into())
    }
}
