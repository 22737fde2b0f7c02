//! Webhooks: events that are sent to programs outside, signed, as long as it takes.
//!
//! How one gets there:
//!
//! 1. Each webhook has a task of its own ([`worker`]), so a dead receiver holds up nobody else. It goes
//!    through the audit log from its cursor on; what it is for becomes a delivery, in one commit with
//!    the cursor, before anything is sent.
//! 2. A delivery is signed ([`secret`]) and posted by [`upstream::outgoing`], which looks where it
//!    leads. What came of it is kept.
//! 3. What failed is tried again, later each time ([`queue`]), until it arrives or was tried for long
//!    enough. Where nothing arrives for all that time, the webhook is stopped, and the log says so.
//!
//! So each event arrives at least once, also after a crash, and mostly in its order. One process sends,
//! since the one engine there is ([`metadata::sled`]) is locked by whoever has it open; over an engine that
//! several share, a webhook needs a lease first.
//!
//! [`metadata::sled`]: crate::metadata::sled
//! [`upstream::outgoing`]: crate::upstream::outgoing

mod change;
mod queue;
pub mod secret;
mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_lc_rs::digest::{SHA256, digest};
use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;
use url::Url;

pub use self::change::{DEFAULT_GRACE, MAX_GRACE, NewWebhook};
use self::secret::{KeyError, MasterKey};
use crate::audit::{Log, Logged};
use crate::clock::Clock;
use crate::events::WantedFault;
use crate::metadata::records::{self, DeliveryRecord, Prefix, WebhookCursor, WebhookRecord};
use crate::metadata::{Metadata, MetadataError};
use crate::observability::Metrics;
use crate::upstream::outgoing::Outgoing;

pub const MAX_WEBHOOKS: usize = 100;
/// Deliveries that are over and are still shown, of one webhook.
const HISTORY: usize = 200;
/// Webhooks that another process made or removed are looked for so often.
const LOOK: Duration = Duration::from_secs(30);

/// By what the caller answers.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    #[error("{field}: {message}")]
    Invalid { field: &'static str, message: String },
    #[error(transparent)]
    Kinds(#[from] WantedFault),
    #[error("there is no webhook {name:?}{}", near.as_deref().map(|near| format!("; did you mean {near:?}?")).unwrap_or_default())]
    NoSuchWebhook { name: String, near: Option<String> },
    #[error("the webhook {webhook} has no delivery {n}: the last {HISTORY} that are over are kept")]
    NoSuchDelivery { webhook: String, n: u64 },
    /// Something else has its place.
    #[error("{0}")]
    Taken(String),
    /// As it stands now, this can not be done.
    #[error("{0}")]
    State(String),
    #[error(transparent)]
    Key(#[from] KeyError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

/// What webhooks work with.
#[derive(Debug)]
pub struct Parts {
    pub metadata: Arc<dyn Metadata>,
    pub log: Log,
    pub key: MasterKey,
    pub outgoing: Outgoing,
    pub clock: Clock,
    pub metrics: Metrics,
    /// How long a delivery is tried.
    pub give_up: Duration,
}

/// Clones are the same.
#[derive(Clone, Debug)]
pub struct Webhooks(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    parts: Parts,
    workers: Mutex<HashMap<String, Working>>,
    stopping: watch::Sender<bool>,
    runtime: Handle,
    /// Held by whoever changes which webhooks there are.
    turn: tokio::sync::Mutex<()>,
}

/// One webhook's task.
#[derive(Debug)]
struct Working {
    wake: Arc<Notify>,
    waiting: Arc<AtomicUsize>,
    job: JoinHandle<()>,
}

impl Drop for Working {
    fn drop(&mut self) {
        self.job.abort();
    }
}

/// One webhook, as it is shown.
#[derive(Clone, Debug)]
pub struct Shown {
    pub name: String,
    pub record: WebhookRecord,
    pub cursor: WebhookCursor,
    /// Deliveries that are tried again, or for the first time.
    pub waiting: usize,
}

impl Webhooks {
    pub fn new(parts: Parts) -> Self {
        let (workers, stopping) = (Mutex::default(), watch::Sender::new(false));
        let (runtime, turn) = (Handle::current(), tokio::sync::Mutex::default());
        Self(Arc::new(Inner { parts, workers, stopping, runtime, turn }))
    }

    /// Sends from now on, until [`Sending::finish`].
    pub fn start(&self) -> Sending {
        let counted = Arc::downgrade(&self.0);
        self.0.parts.metrics.before_each_page(move |metrics| {
            if let Some(inner) = counted.upgrade() {
                let workers = inner.workers.lock();
                let waiting = workers.values().map(|one| one.waiting.load(Ordering::Relaxed));
                metrics.set_webhook_deliveries_waiting(waiting.sum());
            }
        });
        let inner = Arc::clone(&self.0);
        let looking = self.0.runtime.spawn(async move {
            let mut failing = false;
            loop {
                match inner.see_to_workers().await {
                    Ok(()) => failing = false,
                    Err(fault) => {
                        if !failing {
                            tracing::error!(%fault, "the webhooks can not be read; what is to be sent waits in the log");
                        }
                        failing = true;
                    }
                }
                tokio::time::sleep(LOOK).await;
            }
        });
        Sending { webhooks: self.clone(), looking }
    }

    /// Sorted by name.
    pub async fn list(&self) -> Result<Vec<Shown>, MetadataError> {
        let store = self.0.parts.metadata.as_ref();
        let all = Prefix::<WebhookRecord>::all();
        let mut shown = Vec::new();
        for (key, record) in records::scan(store, &all, None, MAX_WEBHOOKS).await? {
            let name = key.parts().concat();
            let cursor =
                records::read(store, &WebhookCursor::key(&name)).await?.unwrap_or_default();
            let waiting = self.0.waiting_of(&name);
            shown.push(Shown { name, record, cursor, waiting });
        }
        Ok(shown)
    }

    pub async fn get(&self, name: &str) -> Result<Shown, WebhookError> {
        let mut all = self.list().await?;
        if let Some(at) = all.iter().position(|shown| shown.name == name) {
            Ok(all.swap_remove(at))
        } else {
            let names: Vec<&str> = all.iter().map(|shown| shown.name.as_str()).collect();
            let near = policies::rules::nearest(name, &names).map(str::to_owned);
            let name = name.chars().take(60).collect();
            Err(WebhookError::NoSuchWebhook { name, near })
        }
    }

    /// The newest first: those that wait, and the last of those that are over.
    pub async fn deliveries(&self, name: &str) -> Result<Vec<(u64, DeliveryRecord)>, WebhookError> {
        self.get(name).await?;
        let mut all = read_deliveries(self.0.parts.metadata.as_ref(), name).await?;
        all.reverse();
        Ok(all)
    }
}

impl Inner {
    /// A task for each webhook, and none for those that are gone.
    async fn see_to_workers(self: &Arc<Self>) -> Result<(), MetadataError> {
        let store = self.parts.metadata.as_ref();
        let all = Prefix::<WebhookRecord>::all();
        let names: Vec<String> = store
            .scan(all.as_bytes(), None, MAX_WEBHOOKS)
            .await?
            .iter()
            .filter_map(|entry| records::Key::<WebhookRecord>::parse(&entry.key))
            .map(|key| key.parts().concat())
            .collect();
        let mut workers = self.workers.lock();
        workers.retain(|_, working| !working.job.is_finished());
        if *self.stopping.borrow() {
            return Ok(());
        }
        for name in names {
            workers.entry(name).or_insert_with_key(|name| {
                let (wake, waiting) = (Arc::new(Notify::new()), Arc::new(AtomicUsize::new(0)));
                let worker =
                    worker::Worker::new(self, name, Arc::clone(&wake), Arc::clone(&waiting));
                Working { wake, waiting, job: self.runtime.spawn(worker.run()) }
            });
        }
        Ok(())
    }

    fn waiting_of(&self, name: &str) -> usize {
        let workers = self.workers.lock();
        workers.get(name).map_or(0, |working| working.waiting.load(Ordering::Relaxed))
    }

    /// It reads anew what it works with.
    fn wake(&self, name: &str) {
        if let Some(working) = self.workers.lock().get(name) {
            working.wake.notify_one();
        }
    }
}

/// What is sent.
#[derive(Clone, Debug)]
struct Message {
    id: String,
    body: String,
}

impl Message {
    /// The same at each try, and of no other event: not even of one in another garden.
    fn id_of(logged: &Logged) -> String {
        let hash = hex::encode(digest(&SHA256, &logged.line));
        format!("evt_{}_{}", logged.n, &hash[..16])
    }

    /// Of nothing that happened.
    fn trial(webhook: &str, by: &str, now: Timestamp) -> Self {
        let data = serde_json::json!({ "who": by, "subject": webhook });
        let body = serde_json::json!({ "type": "webhook-test", "timestamp": now, "data": data });
        Self { id: format!("test_{}", crate::random::name()), body: body.to_string() }
    }
}

/// All of them, in the order of their numbers.
async fn read_deliveries(
    store: &dyn Metadata,
    name: &str,
) -> Result<Vec<(u64, DeliveryRecord)>, MetadataError> {
    let most = HISTORY + queue::MAX_WAITING + HISTORY;
    let found = records::scan(store, &DeliveryRecord::of_webhook(name), None, most).await?;
    let numbered = |(key, record)| Some((DeliveryRecord::number(&key)?, record));
    Ok(found.into_iter().filter_map(numbered).collect())
}

fn parse_url(text: &str) -> Result<Url, WebhookError> {
    Url::parse(text).map_err(|fault| WebhookError::Invalid {
        field: "url",
        message: format!("it is no URL: {fault}"),
    })
}

/// Since then, for whoever reads it.
fn since(from: Timestamp, to: Timestamp) -> String {
    let passed = to.duration_since(from).as_secs();
    match passed {
        ..120 => format!("{passed} seconds"),
        120..7200 => format!("{} minutes", passed / 60),
        _ => format!("{} hours", passed / 3600),
    }
}

/// Webhooks that are being sent.
#[derive(Debug)]
pub struct Sending {
    webhooks: Webhooks,
    looking: JoinHandle<()>,
}

impl Sending {
    /// Begins nothing more, and returns when what is on its way has been noted.
    pub async fn finish(self) {
        self.looking.abort();
        self.webhooks.0.stopping.send_replace(true);
        let workers = std::mem::take(&mut *self.webhooks.0.workers.lock());
        for mut working in workers.into_values() {
            // It has noted what came of its last try, or panicked, which is told elsewhere.
            let _ended = (&mut working.job).await;
        }
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        self.looking.abort();
        self.webhooks.0.workers.lock().clear();
    }
}
