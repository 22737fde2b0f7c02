//! Requests that people make, one by one.
//!
//! Whatever is added is added under the expectation that nothing else was added or moved meanwhile;
//! who loses reads again.

use jiff::Timestamp;
use policies::package::{Package, Spelling, Version};
use policies::versions::Parsed;

use super::closures::Whole;
use super::listed::{count, new_record};
use super::pending::Refusals;
use super::who::Who;
use super::wish::{AskError, read_reason, read_wish};
use super::{ATTEMPTS, MAX_COMMENTS, Numbered, Requests, TOO_MANY_COMMENTS};
use crate::audit::{Action, Entry};
use crate::metadata::records::{
    self, Key, RequestComment, RequestRecord, RequestsRecord, Stage, Stored,
};
use crate::metadata::{Batch, MetadataError};

/// Open requests that known people made; more is a mistake of a script.
const MOST_BY_PEOPLE: usize = 20_000;

/// What somebody asks for in so many words.
#[derive(Clone, Debug)]
pub struct Ask {
    /// `npm:left-pad`, `npm:left-pad@1.3.0`, `npm:left-pad@^1`
    pub package: String,
    pub reason: Option<String>,
    pub who: Who,
}

/// The same, read.
#[derive(Debug)]
pub(super) struct Wish<'a> {
    pub package: Package,
    pub versions: Option<String>,
    /// Asked for as one with it.
    pub closure: Option<Whole>,
    pub reason: Option<String>,
    pub who: &'a Who,
}

/// What became of it.
#[derive(Clone, Debug)]
pub struct Asked {
    pub request: Numbered,
    /// False where it joined one that was open.
    pub created: bool,
    /// The same was asked for before, and rejected.
    pub rejected: Option<(u64, Timestamp, String)>,
}

impl Requests {
    /// Somebody asks. When this returns, it is durable.
    pub async fn ask(&self, ask: &Ask) -> Result<Asked, AskError> {
        let (package, versions) = read_wish(&ask.package)?;
        let reason = read_reason(ask.reason.as_deref())?;
        self.refuse_what_is_allowed(&package, ask).await?;
        self.ask_for(Wish { package, versions, closure: None, reason, who: &ask.who }).await
    }

    pub(super) async fn ask_for(&self, wish: Wish<'_>) -> Result<Asked, AskError> {
        let mut asked = self.ask_in_turn(&wish).await?;
        if self.approve_by_policy(asked.request.number).await
            && let Some(approved) = self.get(asked.request.number).await?
        {
            asked.request = approved;
        }
        Ok(asked)
    }

    async fn ask_in_turn(&self, wish: &Wish<'_>) -> Result<Asked, AskError> {
        let _turn = self.0.turn.lock().await;
        for _ in 0..ATTEMPTS {
            match self.ask_once(wish).await {
                Err(AskError::Metadata(MetadataError::Conflict { .. })) => self.forget_board(),
                done => return done,
            }
        }
        Err(MetadataError::Conflict { key: "requests/state".to_owned() }.into())
    }

    /// Of a range nobody can tell, and of a version that can be told only what the team is told.
    async fn refuse_what_is_allowed(&self, package: &Package, ask: &Ask) -> Result<(), AskError> {
        let named = Spelling::parse(&ask.package)?.version;
        let named = named.filter(|text| Parsed::new(package.ecosystem(), text).is_some());
        let Some(version) = named.as_deref().map(Version::new).transpose()? else { return Ok(()) };
        let judged = self.judge(package, &version, ask.who.team.as_deref()).await?;
        if judged.decision.is_allowed() {
            let reason = judged.decision.reason.to_string();
            return Err(AskError::Allowed(judged.asked.to_string(), reason));
        }
        Ok(())
    }

    async fn ask_once(&self, wish: &Wish<'_>) -> Result<Asked, AskError> {
        let Wish { package, versions, closure, reason, who } = wish;
        let (versions, reason) = (versions.as_deref(), reason.as_deref());
        let state = self.state_of_board().await?;
        let now = self.0.clock.now();
        let (open, rejected) = self.found(wish);
        let mut next = state.next();
        let mut batch = state.expect(Batch::default());
        let refusals = Refusals { who: (*who).clone(), count: 0, first: now, last: now };
        let is_joined = open.is_some();
        let number = open.unwrap_or(next.last + 1);
        let key = RequestRecord::key(Stage::Open, number);
        let mut record = if is_joined {
            let stored = self.stored(&key).await?;
            batch = batch.expect_unchanged(&key, Some(&stored));
            stored.record
        } else {
            self.check_room(who)?;
            next.last = number;
            batch = batch.expect_absent(&key);
            new_record(package, versions, now)
        };
        record.last = now;
        let added = closure.as_ref().filter(|_| !is_joined);
        if let Some(whole) = added {
            self.check_room_for(whole, who)?;
            batch = whole.put(batch, number);
            record.closure = Some(whole.record());
        }
        if who.verified {
            // A refusal knew no version; whoever asks first says which.
            if !record.by_people && record.versions.is_none() {
                record.versions = versions.map(str::to_owned);
            }
            record.by_people = true;
        }
        count(&mut record, &refusals, true);
        if record.reason.is_none() {
            record.reason = reason.map(str::to_owned);
        }
        // What a joining person says is kept beside it; so is the name, where the list is full.
        if who.verified && is_joined {
            if record.comments >= MAX_COMMENTS {
                return Err(AskError::TooMany(TOO_MANY_COMMENTS));
            }
            let comment = RequestComment {
                at: now,
                by: who.name.clone().unwrap_or_default(),
                verified: true,
                asked: true,
                text: reason.unwrap_or_default().to_owned(),
            };
            batch = batch.put_record(&RequestComment::key(number, record.comments), &comment);
            record.comments += 1;
        }
        batch = batch.put_record(&key, &record).put_record(&RequestsRecord::key(), &next);
        let entry = asker(self.entry(Action::RequestMade, number, &record), who);
        let entry = entry.why(reason).detail_if("joined", is_joined.then_some(&"yes"));
        let closure = record.closure.as_ref();
        let entry = entry.detail_if("lockfile", closure.and_then(|of| of.lockfile.as_ref()));
        let entry = entry.detail_if("versions", closure.map(|of| &of.versions));
        self.0.metadata.commit(batch.note(entry, now)).await?;
        self.post(|board| {
            if let Some(whole) = added {
                board.put_closure(number, &record, whole.versions.clone());
            }
            board.put_record(number, Stage::Open, &record);
            board.changed = Some(next.changed);
        });
        let by = who.name.as_deref().unwrap_or("nobody known");
        tracing::info!(
            request = number,
            package = %record.package,
            versions = record.versions.as_deref().unwrap_or("any"),
            of_closure = record.closure.as_ref().map(|closure| closure.versions),
            by,
            verified = who.verified,
            joined = is_joined,
            "asked for"
        );
        let request = Numbered { number, stage: Stage::Open, record };
        Ok(Asked { request, created: !is_joined, rejected })
    }

    /// The open request that a wish joins, and what was answered to the same before.
    fn found(&self, wish: &Wish<'_>) -> (Option<u64>, Option<(u64, Timestamp, String)>) {
        let Wish { package, versions, closure, .. } = wish;
        let board = self.0.board.read();
        let open = match closure {
            None => board.open_to(package, versions.as_deref()).map(|posted| posted.number),
            Some(whole) => {
                let lockfile = whole.lockfile.as_deref();
                board.open_closure(package, lockfile, &whole.versions)
            }
        };
        let of_lockfile = closure.as_ref().is_some_and(|whole| whole.lockfile.is_some());
        let rejected = board.rejected_to(package, versions.as_deref()).filter(|_| !of_lockfile);
        let rejected = rejected
            .and_then(|posted| posted.rejected.clone().map(|(at, why)| (posted.number, at, why)));
        (open, rejected)
    }

    /// People of whom nobody knows anything have the room of refusals, of which the least asked
    /// fall away.
    fn check_room(&self, who: &Who) -> Result<(), AskError> {
        let (open, automatic) = self.0.board.read().counts();
        if who.verified && open - automatic >= MOST_BY_PEOPLE {
            return Err(AskError::TooMany(
                "too many requests stand open: approve or reject some of them first",
            ));
        }
        if !who.verified && automatic >= self.max_automatic() {
            return Err(AskError::TooMany(
                "too many requests of nobody known stand open: ask with a token",
            ));
        }
        Ok(())
    }

    /// The record of all requests, and the board as it was with it: what is expected unchanged by
    /// a commit is what was looked at before it.
    pub(super) async fn state_of_board(&self) -> Result<State, MetadataError> {
        for _ in 0..ATTEMPTS {
            self.refresh_in_turn().await?;
            let state = self.state().await?;
            if self.0.board.read().changed == Some(state.now().changed) {
                return Ok(state);
            }
        }
        Err(MetadataError::Conflict { key: "requests/state".to_owned() })
    }

    /// The record of all requests, to be expected unchanged.
    pub(super) async fn state(&self) -> Result<State, MetadataError> {
        let key = RequestsRecord::key();
        Ok(State(records::read_stored(self.0.metadata.as_ref(), &key).await?))
    }

    /// One that is on the board; gone meanwhile is a conflict.
    pub(super) async fn stored(
        &self,
        key: &Key<RequestRecord>,
    ) -> Result<Stored<RequestRecord>, MetadataError> {
        let stored = records::read_stored(self.0.metadata.as_ref(), key).await?;
        stored.ok_or_else(|| MetadataError::Conflict { key: records::show_key(key.as_bytes()) })
    }
}

/// With whoever asks, as far as they are known.
pub fn asker(entry: Entry, who: &Who) -> Entry {
    let entry = match &who.name {
        Some(name) if who.verified => entry.by(name),
        Some(name) => entry.by_claim(name),
        None => entry,
    };
    entry
        .team(who.team.as_deref().filter(|_| who.team_verified))
        .detail_if("team-claimed", who.team.as_ref().filter(|_| !who.team_verified))
        .detail_if("build", who.build.as_ref())
}

/// The record of all requests as it was read.
pub(super) struct State(Option<Stored<RequestsRecord>>);

impl State {
    fn now(&self) -> RequestsRecord {
        self.0.as_ref().map(|stored| stored.record.clone()).unwrap_or_default()
    }

    /// As it is after one more change.
    pub fn next(&self) -> RequestsRecord {
        let now = self.now();
        RequestsRecord { changed: now.changed + 1, ..now }
    }

    pub fn expect(&self, batch: Batch) -> Batch {
        batch.expect_unchanged(&RequestsRecord::key(), self.0.as_ref())
    }
}
