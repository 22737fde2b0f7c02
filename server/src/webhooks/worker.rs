//! One webhook at work: the next event of the log, the next try, and what came of it.
//!
//! What it works with is in memory, and in the store; every commit expects the cursor as it was read,
//! so whatever somebody else changes is read anew before anything is built on it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::queue::{self, Step, later, next_step};
use super::{HISTORY, Inner, Message, read_deliveries, since};
use crate::audit::{Action, Entry, Logged};
use crate::events::{Event, Sight, Wanted};
use crate::metadata::records::{
    self, AttemptRecord, DeliveryRecord, DeliveryState, Stored, WebhookCursor, WebhookRecord,
    WebhookStopRecord, encode,
};
use crate::metadata::{Batch, MetadataError};
use crate::observability::metrics::WebhookResult;
use crate::upstream::outgoing::{HeaderMap, HeaderValue};

/// Entries that are looked at in one go.
const PAGE: usize = 128;
/// So many entries that are not for it are passed over before that is written.
const PASSED: u64 = 512;
/// How long it sleeps at most.
const LOOK: Duration = Duration::from_secs(30);
const AFTER_FAULT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 5;
const GONE: u16 = 410;

pub struct Worker {
    inner: Arc<Inner>,
    name: String,
    wake: Arc<Notify>,
    size: watch::Receiver<u64>,
    stopping: watch::Receiver<bool>,
    /// How many wait, for others to see.
    waiting: Arc<AtomicUsize>,
    started: Timestamp,
    state: Option<State>,
}

struct State {
    webhook: WebhookRecord,
    cursor: Stored<WebhookCursor>,
    /// How far it is, which may be ahead of what is stored.
    next: u64,
    waiting: BTreeMap<u64, DeliveryRecord>,
    /// The numbers of those that are over.
    over: BTreeSet<u64>,
}

enum Turn {
    /// There is more to do at once.
    Again,
    /// Nothing until then, or until something happens.
    Wait(Option<Timestamp>),
    /// The webhook is not there any more.
    Ended,
}

/// What an answer means.
pub(super) enum Outcome {
    Delivered,
    /// It shall not be sent anything any more.
    Gone,
    Failed {
        pause: Option<Duration>,
    },
}

impl Worker {
    pub fn new(
        inner: &Arc<Inner>,
        name: &str,
        wake: Arc<Notify>,
        waiting: Arc<AtomicUsize>,
    ) -> Self {
        Self {
            inner: Arc::clone(inner),
            name: name.to_owned(),
            wake,
            size: inner.parts.log.watch(),
            stopping: inner.stopping.subscribe(),
            waiting,
            started: inner.parts.clock.now(),
            state: None,
        }
    }

    pub async fn run(mut self) {
        let mut failing = false;
        while !*self.stopping.borrow() {
            let until = match self.turn().await {
                Ok(Turn::Ended) => {
                    self.waiting.store(0, Ordering::Relaxed);
                    return;
                }
                Ok(Turn::Again) => {
                    failing = false;
                    continue;
                }
                Ok(Turn::Wait(until)) => {
                    failing = false;
                    let now = self.inner.parts.clock.now();
                    // What is due by now is no time away.
                    let wait = |until: Timestamp| Duration::try_from(until.duration_since(now));
                    until.map_or(LOOK, |until| wait(until).unwrap_or_default().min(LOOK))
                }
                // Somebody else changed it.
                Err(MetadataError::Conflict { .. }) => {
                    self.state = None;
                    continue;
                }
                Err(fault) => {
                    if !failing {
                        tracing::error!(webhook = self.name, %fault, "a webhook can not go on; what is to be sent waits in the log");
                    }
                    failing = true;
                    self.state = None;
                    AFTER_FAULT
                }
            };
            tokio::select! {
                () = tokio::time::sleep(until) => {}
                () = self.wake.notified() => self.state = None,
                Ok(()) = self.size.changed() => {}
                _ = self.stopping.changed() => {}
            }
        }
    }

    async fn turn(&mut self) -> Result<Turn, MetadataError> {
        let now = self.inner.parts.clock.now();
        let Some(state) = self.read().await? else { return Ok(Turn::Ended) };
        if state.webhook.stopped.is_some() {
            return Ok(Turn::Wait(None));
        }
        match next_step(&state.waiting, now) {
            Step::Deliver(n) => {
                self.deliver(n).await?;
                Ok(Turn::Again)
            }
            Step::TakeNext(until) => self.take_next(until, now).await,
            Step::Wait(until) => Ok(Turn::Wait(Some(until))),
        }
    }

    /// What it works with; `None` where the webhook is not there any more.
    async fn read(&mut self) -> Result<Option<&mut State>, MetadataError> {
        if self.state.is_none() {
            let store = self.inner.parts.metadata.as_ref();
            let webhook = records::read(store, &WebhookRecord::key(&self.name)).await?;
            let cursor = records::read_stored(store, &WebhookCursor::key(&self.name)).await?;
            let (Some(webhook), Some(cursor)) = (webhook, cursor) else { return Ok(None) };
            let (mut waiting, mut over) = (BTreeMap::new(), BTreeSet::new());
            for (n, delivery) in read_deliveries(store, &self.name).await? {
                if delivery.state == DeliveryState::Waiting {
                    waiting.insert(n, delivery);
                } else {
                    over.insert(n);
                }
            }
            self.waiting.store(waiting.len(), Ordering::Relaxed);
            let next = cursor.record.next;
            self.state = Some(State { webhook, cursor, next, waiting, over });
        }
        Ok(self.state.as_mut())
    }

    /// The next event of the log that it is for becomes a delivery.
    async fn take_next(
        &mut self,
        until: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<Turn, MetadataError> {
        let size = *self.size.borrow_and_update();
        let Some(state) = &mut self.state else { return Ok(Turn::Again) };
        if state.next >= size {
            return Ok(Turn::Wait(until));
        }
        let page = self.inner.parts.log.since(state.next, PAGE).await?;
        let found = page.iter().find(|logged| is_for(&state.webhook, logged));
        let Some(last) = found.or(page.last()) else { return Ok(Turn::Wait(until)) };
        state.next = last.n + 1;
        let passed = state.next - state.cursor.record.next;
        if found.is_none() && passed < PASSED {
            return Ok(Turn::Again);
        }
        let mut cursor = WebhookCursor { next: state.next, ..state.cursor.record.clone() };
        let mut batch = Batch::default();
        if let Some(logged) = found {
            let delivery = DeliveryRecord {
                kind: logged.record.action.clone(),
                state: DeliveryState::Waiting,
                attempts: 0,
                since: now,
                next: now,
                last: None,
            };
            batch = batch.put_record(&DeliveryRecord::key(&self.name, logged.n), &delivery);
            state.waiting.insert(logged.n, delivery);
        }
        cursor.next = state.next;
        self.commit(batch, cursor).await?;
        Ok(Turn::Again)
    }

    async fn deliver(&mut self, n: u64) -> Result<(), MetadataError> {
        let Some(state) = &self.state else { return Ok(()) };
        let Some(logged) = self.inner.parts.log.entry(n).await? else {
            return self.settle_missing(n).await;
        };
        let webhook = state.webhook.clone();
        let message = Message { id: Message::id_of(&logged), body: Event::of(&logged).to_json() };
        let (attempt, outcome) = self.inner.post(&self.name, &webhook, message).await;
        for _ in 0..ATTEMPTS {
            match self.settle(n, &attempt, &outcome).await {
                Err(MetadataError::Conflict { .. }) => self.state = None,
                done => return done,
            }
        }
        // It is sent again: at least once.
        Ok(())
    }

    /// The log does not have it: a store that was put back from two backups, or damaged.
    async fn settle_missing(&mut self, n: u64) -> Result<(), MetadataError> {
        let said = format!("the audit log has no entry {n}");
        let at = self.inner.parts.clock.now();
        let attempt = AttemptRecord { at, millis: 0, status: None, said };
        self.settle(n, &attempt, &Outcome::Failed { pause: None }).await
    }

    /// Writes down what came of a try, with what follows from it.
    async fn settle(
        &mut self,
        n: u64,
        attempt: &AttemptRecord,
        outcome: &Outcome,
    ) -> Result<(), MetadataError> {
        let (name, now) = (self.name.clone(), self.inner.parts.clock.now());
        let (give_up, started) = (self.inner.parts.give_up, self.started);
        let Some(state) = self.read().await? else { return Ok(()) };
        let Some(mut delivery) = state.waiting.get(&n).cloned() else { return Ok(()) };
        delivery.attempts += 1;
        delivery.last = Some(attempt.clone());
        let mut cursor = WebhookCursor { next: state.next, ..state.cursor.record.clone() };
        let is_over = |from: Timestamp| later(from, give_up) <= now;
        let mut stop = None;
        let mut batch = Batch::default();
        match outcome {
            Outcome::Delivered => {
                delivery.state = DeliveryState::Delivered;
                (cursor.failing, cursor.delivered) = (None, Some(now));
            }
            Outcome::Gone => {
                delivery.state = DeliveryState::GivenUp;
                stop = Some("its receiver says that it is gone (410)".to_owned());
            }
            Outcome::Failed { pause } => {
                let failing = queue::failing_since(&cursor, &delivery, started);
                cursor.failing = Some(failing);
                delivery.next = later(now, queue::pause(delivery.attempts, *pause));
                if is_over(delivery.since) {
                    delivery.state = DeliveryState::GivenUp;
                    let entry = Entry::by_garth(Action::WebhookGaveUp).subject(&name);
                    let entry = entry.why(Some(&told(attempt))).detail("event", &n);
                    let entry = entry.detail("kind", &delivery.kind);
                    batch = batch.note(entry.detail("attempts", &delivery.attempts), now);
                    if is_over(failing) {
                        let lasted = since(failing, now);
                        stop =
                            Some(format!("nothing was delivered for {lasted}; {}", told(attempt)));
                    }
                }
            }
        }
        batch = batch.put_record(&DeliveryRecord::key(&name, n), &delivery);
        if let Some(why) = &stop {
            state.webhook.stopped = Some(WebhookStopRecord { at: now, why: why.clone() });
            let entry = Entry::by_garth(Action::WebhookStopped).subject(&name).why(Some(why));
            batch = batch.put_record(&WebhookRecord::key(&name), &state.webhook).note(entry, now);
        }
        if delivery.state != DeliveryState::Waiting {
            state.over.insert(n);
            while state.over.len() > HISTORY {
                let Some(oldest) = state.over.pop_first() else { break };
                batch = batch.remove_record(&DeliveryRecord::key(&name, oldest));
            }
        }
        let (over, attempts) = (delivery.state, delivery.attempts);
        match over {
            DeliveryState::Waiting => drop(state.waiting.insert(n, delivery)),
            DeliveryState::Delivered | DeliveryState::GivenUp => drop(state.waiting.remove(&n)),
        }
        self.commit(batch, cursor).await?;
        self.tell(n, over, attempts, attempt, stop.as_deref());
        Ok(())
    }

    fn tell(
        &self,
        n: u64,
        state: DeliveryState,
        attempts: u32,
        attempt: &AttemptRecord,
        stopped: Option<&str>,
    ) {
        let (webhook, said) = (self.name.as_str(), told(attempt));
        let result = match state {
            DeliveryState::Delivered => WebhookResult::Delivered,
            DeliveryState::Waiting => WebhookResult::Failed,
            DeliveryState::GivenUp => WebhookResult::GivenUp,
        };
        self.inner.parts.metrics.webhook_delivery(result);
        match result {
            WebhookResult::Delivered => tracing::debug!(webhook, event = n, "delivered"),
            WebhookResult::Failed if attempts == 1 => {
                tracing::warn!(webhook, event = n, said, "a delivery failed and is tried again");
            }
            WebhookResult::Failed => {
                tracing::debug!(webhook, event = n, attempts, said, "again in vain");
            }
            WebhookResult::GivenUp => {
                tracing::error!(webhook, event = n, attempts, said, "a delivery was given up");
            }
        }
        if let Some(why) = stopped {
            tracing::error!(
                webhook,
                why,
                "a webhook was stopped: `garth webhook resume {webhook}` sends again"
            );
        }
    }

    /// With the cursor. What is in memory is right afterwards, or is read anew.
    async fn commit(&mut self, batch: Batch, cursor: WebhookCursor) -> Result<(), MetadataError> {
        let key = WebhookCursor::key(&self.name);
        let Some(state) = &mut self.state else { return Ok(()) };
        let batch = batch.expect_unchanged(&key, Some(&state.cursor)).put_record(&key, &cursor);
        if let Err(fault) = self.inner.parts.metadata.commit(batch).await {
            self.state = None;
            return Err(fault);
        }
        state.cursor = Stored { raw: encode(&cursor), record: cursor };
        self.waiting.store(state.waiting.len(), Ordering::Relaxed);
        Ok(())
    }
}

impl Inner {
    /// One try, signed anew.
    pub(super) async fn post(
        &self,
        name: &str,
        webhook: &WebhookRecord,
        message: Message,
    ) -> (AttemptRecord, Outcome) {
        let at = self.parts.clock.now();
        let begun = Instant::now();
        let sent = match (webhook.url.parse(), self.headers(name, webhook, &message, at)) {
            (Ok(url), Ok(headers)) => {
                self.parts.outgoing.post(&url, headers, Bytes::from(message.body), at).await
            }
            (Err(_), _) => Err("its URL can not be read".to_owned()),
            (_, Err(why)) => Err(why),
        };
        let millis = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        match sent {
            Ok(answered) => {
                let outcome = match answered.status {
                    200..=299 => Outcome::Delivered,
                    GONE => Outcome::Gone,
                    _ => Outcome::Failed { pause: answered.pause },
                };
                let said = match answered.status {
                    300..=399 => "a redirect, which is not followed".to_owned(),
                    _ => answered.said,
                };
                (AttemptRecord { at, millis, status: Some(answered.status), said }, outcome)
            }
            Err(said) => {
                let outcome = Outcome::Failed { pause: None };
                (AttemptRecord { at, millis, status: None, said }, outcome)
            }
        }
    }

    /// Those of the Standard Webhooks specification.
    fn headers(
        &self,
        name: &str,
        webhook: &WebhookRecord,
        message: &Message,
        now: Timestamp,
    ) -> Result<HeaderMap, String> {
        let seconds = now.as_second();
        let valid = webhook.secrets.iter().filter(|secret| secret.until.is_none_or(|at| at > now));
        let signatures: Vec<String> = valid
            .filter_map(|secret| self.parts.key.secret(name, secret))
            .map(|secret| secret.sign(&message.id, seconds, &message.body))
            .collect();
        if signatures.is_empty() {
            return Err(format!(
                "nothing can be signed: the file webhook-key is not the one that made the secret; \
                 put it back, or run `garth webhook rotate {name}`"
            ));
        }
        let mut headers = HeaderMap::new();
        for (header, value) in [
            ("webhook-id", message.id.clone()),
            ("webhook-timestamp", seconds.to_string()),
            ("webhook-signature", signatures.join(" ")),
        ] {
            let value = HeaderValue::try_from(value).map_err(|fault| fault.to_string())?;
            headers.insert(header, value);
        }
        Ok(headers)
    }
}

fn is_for(webhook: &WebhookRecord, logged: &Logged) -> bool {
    let sight = webhook.team.as_deref().map_or(Sight::All, Sight::of_team);
    let wanted = Wanted { kinds: webhook.kinds.clone(), ..Wanted::default() };
    wanted.has(&logged.record) && sight.sees(&logged.record)
}

/// A try, in words.
fn told(attempt: &AttemptRecord) -> String {
    match (attempt.status, attempt.said.as_str()) {
        (Some(status), "") => format!("answered {status}"),
        (Some(status), said) => format!("answered {status}: {said}"),
        (None, said) => said.to_owned(),
    }
}
