//! Stored views: finished answers, made once and sent many times.
//!
//! A view's key names everything that it was made from (the document's state, the revision of the
//! rules, the audience, the form, the address that is written into it), so a stored view can not
//! be wrong; it only becomes unasked for. A view lives in memory, complete and compressed: to
//! serve it is one look-up and one write.

use std::io::Write;
use std::sync::Arc;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use jiff::Timestamp;
use moka::sync::Cache;
use policies::decision::{Effect, Revision};
use sha2::{Digest as _, Sha256};

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
    flights: Flights<ViewKey, Arc<View>>,
}

impl Views {
    /// `memory` bounds the bytes that are kept.
    pub fn new(runtime: tokio::runtime::Handle, memory: u64) -> Self {
        let kept = Cache::builder()
            .weigher(|_, view: &Arc<View>| u32::try_from(view.body.len() + 512).unwrap_or(u32::MAX))
            .max_capacity(memory)
            .build();
        Self { kept, flights: Flights::new(runtime) }
    }

    /// The stored view, if its decisions still hold.
    pub fn stored(&self, key: &ViewKey, now: Timestamp) -> Option<Arc<View>> {
        self.kept.get(key).filter(|view| view.until.is_none_or(|until| now < until))
    }

    /// Makes the view from what the gate let through, once for all who wait for it.
    pub async fn make(
        &self,
        key: ViewKey,
        screened: Screened,
        render: impl FnOnce(&Screened) -> Rendered + Send + 'static,
    ) -> Result<Arc<View>, PullError> {
        let (kept, encoding) = (self.kept.clone(), key.encoding);
        let storing = key.clone();
        let landed = self
            .flights
            .join(key, || async move {
                let making = move || {
                    let rendered = render(&screened);
                    finish(rendered, encoding, &screened)
                };
                // A large view takes milliseconds, which other requests should not wait for.
                let view = match tokio::task::spawn_blocking(making).await {
                    Ok(view) => Arc::new(view),
                    Err(fault) => std::panic::resume_unwind(fault.into_panic()),
                };
                kept.insert(storing, Arc::clone(&view));
                view
            })
            .await;
        landed.map(|landed| landed.value).ok_or(PullError::Internal)
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
    use super::*;

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
