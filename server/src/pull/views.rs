//! Stored views: finished answers, made once and sent many times.
//!
//! A view's key names what it is a view of (the document's state, the audience, the form, the
//! address that is written into it, the coding); with it is kept by which revision of the rules it
//! was decided. So a stored view can not be wrong: it is the answer, or it is made anew. It lives
//! in memory, complete and compressed: to serve it is one look-up and one write. Where nothing may
//! be shown, the refusal is kept in the same place, and ends with the same revision.
//!
//! Most changes of the rules change nothing of most views. So what a view is made of is hashed
//! before it is made ([`Sections`]), and where that is what it was, the body of before is taken
//! over; else only the sections that changed are packed ([`pieces`]).
//!
//! While a view is being made it is in memory twice, and who asks decides how many there are:
//! each address that a client gives to this garth makes another one. So there is room for so many
//! bytes of them at once; the others wait for a while, and are then refused.

mod encoding;
mod making;
mod pieces;
mod room;
mod sections;

#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use moka::policy::EvictionPolicy;
use moka::sync::Cache;
use policies::decision::{Effect, Revision};
use policies::rules::Audience;

pub use encoding::{Coding, Encoding};
pub use making::Bindery;
pub use sections::{SectionKey, Sections};

use super::content::ContentId;
use super::flights::Flights;
use super::{PullError, SMALL_WORK};
use crate::gate::Refused;
use pieces::Pieces;
use room::Room;

/// What an answer is a view of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ViewKey {
    /// The state of the document; with `base`, which names the registry, no two share it.
    pub content: ContentId,
    /// Whose decisions it shows.
    pub audience: Audience,
    /// Which of the documents at that address, in the format's own words.
    pub form: Cow<'static, str>,
    /// Whether it also says why the rest is not shown. That stands in sections without a key, so
    /// all others are packed once for both.
    pub with_reasons: bool,
    /// The address that its links begin with.
    pub base: Arc<str>,
    pub coding: Coding,
}

impl ViewKey {
    /// The same but for the reasons; where there are none to say it is the same text.
    fn twin(&self) -> Self {
        Self { with_reasons: !self.with_reasons, ..self.clone() }
    }
}

/// What the client gets.
#[derive(Clone, Debug)]
pub enum Answer {
    View(Arc<View>),
    /// Nothing of it may be shown.
    Refused(Arc<Refused>),
}

/// A finished body.
#[derive(Debug)]
pub struct View {
    pub body: Bytes,
    pub encoding: Encoding,
    /// What the client should be told beside, in one line.
    pub notice: Option<String>,
    /// Quoted; another one for each encoding.
    etag: Bytes,
    /// Hash of all that it was made from.
    recipe: [u8; 32],
    effect: Effect,
}

impl View {
    /// What the document as a whole comes to.
    pub fn decision(&self) -> Effect {
        self.effect
    }

    pub fn etag(&self) -> &Bytes {
        &self.etag
    }

    /// Whether this tag names the same view, in this or in another encoding.
    pub fn is_named_by(&self, etag: &str) -> bool {
        let ours = std::str::from_utf8(&self.etag).ok().and_then(hash_of);
        ours.is_some() && ours == hash_of(etag)
    }
}

/// What a tag says of the text, whatever it is packed with.
fn hash_of(etag: &str) -> Option<&str> {
    let text = etag.strip_prefix('"')?.strip_suffix('"')?;
    let hash = Encoding::ALL.iter().find_map(|encoding| text.strip_suffix(encoding.suffix()));
    hash.filter(|hash| !hash.contains('-'))
}

/// An answer, and as long as what it holds.
#[derive(Clone, Debug)]
struct Kept {
    revision: Revision,
    /// When a decision that it shows may change by itself.
    until: Option<Timestamp>,
    answer: Answer,
}

pub struct Views {
    kept: Cache<ViewKey, Kept>,
    pieces: Pieces,
    flights: Flights<(ViewKey, Revision), Result<Answer, PullError>>,
    room: Room,
}

/// Bytes of views that may be in the making at once.
const ROOM: usize = 128 << 20;
const PATIENCE: Duration = Duration::from_secs(5);

impl Views {
    /// `memory` bounds the bytes that are kept, of bodies and of their pieces.
    pub fn new(runtime: tokio::runtime::Handle, memory: u64) -> Self {
        let weigh = |key: &ViewKey, kept: &Kept| {
            let size = match &kept.answer {
                Answer::View(view) => view.body.len(),
                Answer::Refused(_) => 1024,
            };
            u32::try_from(size + key.form.len() + 768).unwrap_or(u32::MAX)
        };
        // By frequency, a large new view would have to be asked for more often than all the small
        // ones together that make room for it, and be made at each of these times.
        let kept = Cache::builder()
            .weigher(weigh)
            .max_capacity(memory / 4 * 3)
            .eviction_policy(EvictionPolicy::lru())
            .build();
        let room = Room::new(ROOM, PATIENCE);
        Self { kept, pieces: Pieces::new(memory / 4), flights: Flights::new(runtime), room }
    }

    /// How many are kept.
    pub fn count(&self) -> u64 {
        self.kept.run_pending_tasks();
        self.kept.entry_count()
    }

    /// The stored answer, if its decisions still hold.
    pub fn stored(&self, key: &ViewKey, revision: &Revision, now: Timestamp) -> Option<Answer> {
        let kept = self.kept.get(key)?;
        let holds = kept.revision == *revision && kept.until.is_none_or(|until| now < until);
        holds.then_some(kept.answer)
    }

    /// Makes the answer, once for all who wait for it: `work` has the gate decide and binds what
    /// it lets through. `size` is that of the document, which no view of it exceeds by much.
    pub async fn make(
        &self,
        key: ViewKey,
        revision: Revision,
        size: usize,
        work: impl FnOnce(Bindery) -> Result<Bound, PullError> + Send + 'static,
    ) -> Result<Answer, PullError> {
        let (kept, pieces, room) = (self.kept.clone(), self.pieces.clone(), self.room.clone());
        let storing = key.clone();
        let deciding = revision.clone();
        let landed = self
            .flights
            .join((key, revision), || async move {
                let place = room.place(size).await?;
                let before = [kept.get(&storing), kept.get(&storing.twin())];
                let before = before.map(|kept| kept.map(|kept| kept.answer));
                let bindery = Bindery { key: storing.clone(), size, before, pieces };
                let making = move || {
                    // Until the work is done, though nobody waits for it any more.
                    let _place = place;
                    work(bindery)
                };
                let bound = if size <= SMALL_WORK && storing.coding.encoding != Encoding::Brotli {
                    making()
                } else {
                    // It takes milliseconds, which other requests should not wait for.
                    match tokio::task::spawn_blocking(making).await {
                        Ok(bound) => bound,
                        Err(fault) => std::panic::resume_unwind(fault.into_panic()),
                    }
                };
                let Bound { until, answer } = bound?;
                kept.insert(storing, Kept { revision: deciding, until, answer: answer.clone() });
                Ok(answer)
            })
            .await;
        landed.ok_or(PullError::Internal)?.value
    }
}

/// What a [`Bindery`] made.
#[derive(Debug)]
pub struct Bound {
    until: Option<Timestamp>,
    answer: Answer,
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views").field("kept", &self.kept.entry_count()).finish_non_exhaustive()
    }
}
