//! Stored views: finished answers, made once and sent many times.
//!
//! A view's key names everything that it was made from (the document's state, the revision of the
//! rules, the audience, the form, the address that is written into it), so a stored view can not
//! be wrong; it only becomes unasked for. A view lives in memory, complete and compressed: to
//! serve it is one look-up and one write.
//!
//! While a view is being made it is in memory twice, and who asks decides how many there are:
//! each address that a client gives to this garth makes another one. So there is room for so many
//! bytes of them at once; the others wait for a while, and are then refused.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use moka::sync::Cache;
use policies::decision::{Effect, Revision};
use sha2::{Digest as _, Sha256};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::PullError;
use super::content::ContentId;
use super::flights::Flights;
use crate::gate::Screened;

/// Everything that a view is made from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ViewKey {
    /// The state of the document; with `base`, which names the registry, no two share it.
    pub content: ContentId,
    pub revision: Revision,
    /// Whose decisions it shows.
    pub audience: Arc<str>,
    /// Which of the documents at that address, in the format's own words.
    pub form: Arc<str>,
    /// The address that its links begin with.
    pub base: Arc<str>,
    pub encoding: Encoding,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    /// The best that an `Accept-Encoding` header allows. Linear in its length, which is bounded.
    pub fn accepted(header: Option<&str>) -> Self {
        let accepts_gzip = header.unwrap_or_default().split(',').any(|part| {
            let mut words = part.split(';').map(str::trim);
            let is_gzip = words.next().is_some_and(|name| matches!(name, "gzip" | "x-gzip" | "*"));
            is_gzip && !words.any(|word| matches!(word, "q=0" | "q=0.0" | "q=0.00" | "q=0.000"))
        });
        if accepts_gzip { Self::Gzip } else { Self::Identity }
    }

    pub fn header(self) -> Option<&'static str> {
        match self {
            Self::Identity => None,
            Self::Gzip => Some("gzip"),
        }
    }
}

/// A finished answer.
#[derive(Debug)]
pub struct View {
    pub body: Bytes,
    /// Quoted; another one for each encoding.
    pub etag: String,
    pub encoding: Encoding,
    /// What the client should be told beside, in one line.
    pub notice: Option<String>,
    /// When a decision that it shows may change by itself.
    until: Option<Timestamp>,
    effect: Effect,
}

impl View {
    /// What the document as a whole comes to.
    pub fn decision(&self) -> Effect {
        self.effect
    }
}

/// What a format renders.
#[derive(Debug)]
pub struct Rendered {
    pub body: Vec<u8>,
    pub notice: Option<String>,
}

pub struct Views {
    kept: Cache<ViewKey, Arc<View>>,
    flights: Flights<ViewKey, Result<Arc<View>, PullError>>,
    room: Room,
}

/// Bytes of views that may be in the making at once.
const ROOM: usize = 128 << 20;
/// Room is given out in pieces of this.
const PIECE: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(5);

/// Room in memory for the views in the making.
#[derive(Clone)]
struct Room {
    pieces: Arc<Semaphore>,
    all: usize,
    patience: Duration,
}

impl Room {
    fn new(bytes: usize, patience: Duration) -> Self {
        let all = (bytes / PIECE).max(1);
        let pieces = Arc::new(Semaphore::new(all));
        Self { pieces, all, patience }
    }

    /// A place for a view of `size` bytes, free again when it is dropped. The largest ones get
    /// all the room to themselves.
    async fn place(&self, size: usize) -> Result<OwnedSemaphorePermit, PullError> {
        // Once as it is and once packed.
        let pieces = (size + size / 4).div_ceil(PIECE).clamp(1, self.all);
        let pieces = u32::try_from(pieces).unwrap_or(u32::MAX);
        let place = Arc::clone(&self.pieces).acquire_many_owned(pieces);
        let in_time = tokio::time::timeout(self.patience, place).await;
        in_time.ok().and_then(Result::ok).ok_or(PullError::Busy)
    }
}

impl Views {
    /// `memory` bounds the bytes that are kept.
    pub fn new(runtime: tokio::runtime::Handle, memory: u64) -> Self {
        let kept = Cache::builder()
            .weigher(|_, view: &Arc<View>| u32::try_from(view.body.len() + 512).unwrap_or(u32::MAX))
            .max_capacity(memory)
            .build();
        Self { kept, flights: Flights::new(runtime), room: Room::new(ROOM, PATIENCE) }
    }

    /// The stored view, if its decisions still hold.
    pub fn stored(&self, key: &ViewKey, now: Timestamp) -> Option<Arc<View>> {
        self.kept.get(key).filter(|view| view.until.is_none_or(|until| now < until))
    }

    /// Makes the view from what the gate let through, once for all who wait for it. `size` is that
    /// of the document, which no view of it exceeds by much.
    pub async fn make(
        &self,
        key: ViewKey,
        size: usize,
        screened: Screened,
        render: impl FnOnce(&Screened) -> Rendered + Send + 'static,
    ) -> Result<Arc<View>, PullError> {
        let (kept, room) = (self.kept.clone(), self.room.clone());
        let storing = key.clone();
        let landed = self
            .flights
            .join(key, || async move {
                let place = room.place(size).await?;
                let encoding = storing.encoding;
                let making = move || {
                    // Until the work is done, though nobody waits for it any more.
                    let _place = place;
                    let rendered = render(&screened);
                    finish(rendered, encoding, &screened)
                };
                // A large view takes milliseconds, which other requests should not wait for.
                let view = match tokio::task::spawn_blocking(making).await {
                    Ok(view) => Arc::new(view),
                    Err(fault) => std::panic::resume_unwind(fault.into_panic()),
                };
                kept.insert(storing, Arc::clone(&view));
                Ok(view)
            })
            .await;
        landed.ok_or(PullError::Internal)?.value
    }
}

fn finish(rendered: Rendered, encoding: Encoding, screened: &Screened) -> View {
    let hash = hex::encode(&Sha256::digest(&rendered.body)[..16]);
    let (body, etag) = match encoding {
        Encoding::Identity => (rendered.body, format!("\"{hash}\"")),
        Encoding::Gzip => (gzip(&rendered.body), format!("\"{hash}-gzip\"")),
    };
    View {
        body: body.into(),
        etag,
        encoding,
        notice: rendered.notice,
        until: screened.until(),
        effect: screened.effect(),
    }
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::new(6));
    encoder.write_all(body).and_then(|()| encoder.finish()).expect("writing to a Vec does not fail")
}

impl std::fmt::Debug for Views {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Views").field("kept", &self.kept.entry_count()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[tokio::test]
    async fn views_in_the_making_share_a_bounded_room() {
        let patience = Duration::from_millis(300);
        let room = Room::new(10 << 20, patience);
        let mut places = Vec::new();
        for _ in 0..4 {
            places.push(room.place(2 << 20).await.unwrap());
        }
        let asked = tokio::time::Instant::now();
        assert!(matches!(room.place(1).await, Err(PullError::Busy)));
        assert!(asked.elapsed() >= patience);

        // One that waits is let in when another is done.
        let waiting = tokio::spawn({
            let room = room.clone();
            async move { room.place(2 << 20).await.map(drop) }
        });
        tokio::time::sleep(patience / 6).await;
        places.pop();
        waiting.await.unwrap().unwrap();

        // Small ones do not stand in each other's way.
        for _ in 0..100 {
            places.push(room.place(5000).await.unwrap());
        }
        assert!(room.place(100 << 20).await.is_err());
        places.clear();
        let _whole = room.place(100 << 20).await.unwrap();
        assert!(room.place(1).await.is_err(), "the largest one has the room to itself");
    }

    #[test]
    fn gzip_is_chosen_only_where_the_client_takes_it() {
        let rows = [
            (None, Encoding::Identity),
            (Some(""), Encoding::Identity),
            (Some("br"), Encoding::Identity),
            (Some("gzip, deflate, br"), Encoding::Gzip),
            (Some("br;q=1.0, gzip;q=0.8"), Encoding::Gzip),
            (Some("gzip;q=0"), Encoding::Identity),
            (Some("*"), Encoding::Gzip),
        ];
        for (header, expected) in rows {
            assert_eq!(Encoding::accepted(header), expected, "{header:?}");
        }
    }
}
