//! Following the log as it grows, for whoever keeps a connection open.
//!
//! A stream reads page by page as its reader takes it, so a slow reader costs no memory, and one that
//! takes nothing is ended by the edge. Each second it looks whether the token is still good and
//! whether garth stops, and in silence it says now and then that it is alive, which is also how a
//! connection is found that nobody is at the other end of.

use std::collections::{HashMap, VecDeque};
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, stream};
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::{Instant, sleep};

use super::{Event, Sight, Wanted};
use crate::audit::{Log, Logged};
use crate::observability::Lifecycle;

/// Entries that are read at once.
const PAGE: usize = 64;
/// So much text is sent at once, and a whole event.
const PIECE: usize = 16 * 1024;
/// How often it is looked whether the stream may go on.
const LOOK: Duration = Duration::from_secs(1);
/// So long a stream is silent at most.
pub const HEARTBEAT: Duration = Duration::from_secs(10);
/// When a reader comes back, in milliseconds.
const RETRY: u64 = 2000;
/// Streams at once: of one token, and in total.
pub const MAX_OF_TOKEN: usize = 16;
pub const MAX_STREAMS: usize = 512;

/// Where streams begin. Clones are the same.
#[derive(Clone, Debug)]
pub struct Events(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    log: Log,
    lifecycle: Lifecycle,
    open: Mutex<HashMap<String, usize>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TooManyStreams {
    #[error("this token has {MAX_OF_TOKEN} streams open, which is as many as one may have")]
    OfToken,
    #[error("{MAX_STREAMS} streams are open, which is as many as there may be")]
    InAll,
}

/// The right to one stream; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    of: Arc<Inner>,
    token: String,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self.of.open.lock();
        if let Some(count) = open.get_mut(&self.token) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.token);
            }
        }
    }
}

/// What a stream is for.
pub struct Asked {
    pub wanted: Wanted,
    /// The number of the first entry that is looked at.
    pub from: u64,
    /// What the one who reads may be told now; `None` once they may be told nothing.
    pub sight: Box<dyn Fn() -> Option<Sight>>,
}

impl Events {
    pub fn new(log: Log, lifecycle: Lifecycle) -> Self {
        Self(Arc::new(Inner { log, lifecycle, open: Mutex::default() }))
    }

    pub fn log(&self) -> &Log {
        &self.0.log
    }

    /// `token` is what tells those who ask apart.
    pub fn place(&self, token: &str) -> Result<Place, TooManyStreams> {
        let mut open = self.0.open.lock();
        if open.values().sum::<usize>() >= MAX_STREAMS {
            return Err(TooManyStreams::InAll);
        }
        let count = open.entry(token.to_owned()).or_default();
        if *count >= MAX_OF_TOKEN {
            return Err(TooManyStreams::OfToken);
        }
        *count += 1;
        Ok(Place { of: Arc::clone(&self.0), token: token.to_owned() })
    }

    /// What happens from there on, as `text/event-stream`, until it has to end.
    pub fn follow(
        &self,
        place: Place,
        asked: Asked,
    ) -> impl Stream<Item = Result<Bytes, std::convert::Infallible>> + use<> {
        let follower = Follower {
            size: self.0.log.watch(),
            events: self.clone(),
            _place: place,
            next: asked.from,
            asked,
            page: VecDeque::new(),
            seen: None,
            looked: Instant::now(),
            said: Instant::now(),
            state: State::Begins,
        };
        stream::unfold(follower, |mut follower| async move {
            let text = follower.text().await?;
            Some((Ok(Bytes::from(text)), follower))
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Begins,
    Goes,
    Over,
}

/// Why a stream ends that could have gone on.
#[derive(Clone, Copy, Debug)]
enum End {
    Stopping,
    TokenNotValid,
    StoreUnavailable,
}

impl End {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::TokenNotValid => "token-not-valid",
            Self::StoreUnavailable => "store-unavailable",
        }
    }
}

struct Follower {
    events: Events,
    _place: Place,
    asked: Asked,
    size: watch::Receiver<u64>,
    /// The next entry that is looked at.
    next: u64,
    page: VecDeque<Logged>,
    seen: Option<Sight>,
    looked: Instant,
    said: Instant,
    state: State,
}

impl Follower {
    /// What is sent next; `None` behind the end.
    async fn text(&mut self) -> Option<String> {
        match self.state {
            State::Over => return None,
            State::Begins => {
                self.state = State::Goes;
                let mut text = format!("retry: {RETRY}\n");
                self.push_cursor(&mut text);
                return Some(text);
            }
            State::Goes => {}
        }
        loop {
            if let Some(end) = self.must_end() {
                return Some(self.end(end));
            }
            let size = *self.size.borrow_and_update();
            if self.page.is_empty() && size > self.next {
                match self.events.0.log.since(self.next, PAGE).await {
                    Ok(page) => self.page = page.into(),
                    Err(fault) => {
                        tracing::warn!(%fault, "a stream of events ends: the log can not be read");
                        return Some(self.end(End::StoreUnavailable));
                    }
                }
            }
            let waits = self.page.is_empty();
            let mut text = self.events_of_page();
            if text.is_empty() && self.said.elapsed() >= HEARTBEAT {
                text.push_str(": nothing new\n");
                self.push_cursor(&mut text);
            }
            if !text.is_empty() {
                self.said = Instant::now();
                return Some(text);
            }
            if waits {
                tokio::select! {
                    Ok(()) = self.size.changed() => {}
                    () = sleep(LOOK) => {}
                }
            }
        }
    }

    /// Of what was read, as much as is sent at once.
    fn events_of_page(&mut self) -> String {
        let mut text = String::new();
        while text.len() < PIECE
            && let Some(logged) = self.page.pop_front()
        {
            self.next = logged.n + 1;
            let sees = self.seen.as_ref().is_some_and(|sight| sight.sees(&logged.record));
            if sees && self.asked.wanted.has(&logged.record) {
                let (n, event) = (logged.n, Event::of(&logged));
                // JSON has no line breaks, and kinds are words of ours.
                let _ =
                    write!(text, "id: {n}\nevent: {}\ndata: {}\n\n", event.kind, event.to_json());
            }
        }
        text
    }

    fn must_end(&mut self) -> Option<End> {
        if self.events.0.lifecycle.stopping() {
            return Some(End::Stopping);
        }
        if self.seen.is_none() || self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            self.seen = (self.asked.sight)();
        }
        self.seen.is_none().then_some(End::TokenNotValid)
    }

    fn end(&mut self, end: End) -> String {
        self.state = State::Over;
        format!("event: end\ndata: {{\"why\":\"{}\"}}\n\n", end.as_str())
    }

    /// Up to where everything was looked at: whoever comes back goes on there.
    fn push_cursor(&self, text: &mut String) {
        if let Some(last) = self.next.checked_sub(1) {
            let _ = writeln!(text, "id: {last}");
        }
        text.push('\n');
    }
}
