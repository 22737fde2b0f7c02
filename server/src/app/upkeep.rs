//! Looks at the parts every few seconds, for `/readyz` and the metrics: a request for either is
//! answered from memory.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::blobs::Blobs;
use crate::metadata::Metadata;
use crate::observability::metrics::StoreKind;
use crate::observability::{BreakerState, Check, CheckState, Health, Metrics};
use crate::rules::Rules;
use crate::upstream::{self, Upstream};

const INTERVAL: Duration = Duration::from_secs(2);

/// What is looked at.
#[derive(Clone, Debug)]
pub struct Watched {
    pub metadata: Arc<dyn Metadata>,
    pub blobs: Blobs,
    pub rules: Rules,
    pub upstreams: Vec<Upstream>,
    pub metrics: Metrics,
}

/// Ends with it.
#[derive(Debug)]
pub struct Upkeep {
    watched: Watched,
    stores: Arc<Mutex<[CheckState; 2]>>,
    job: JoinHandle<()>,
}

impl Upkeep {
    pub fn start(watched: Watched) -> Self {
        let stores = Arc::new(Mutex::new([CheckState::Ok, CheckState::Ok]));
        let (looking, seen) = (watched.clone(), Arc::clone(&stores));
        let job = tokio::spawn(async move {
            loop {
                *seen.lock() = looking.look().await;
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { watched, stores, job }
    }

    pub fn register(&self, health: &Health) {
        let stores = Arc::clone(&self.stores);
        health.register_many(move || {
            let [metadata, blobs] = stores.lock().clone();
            vec![Check::new("store", metadata), Check::new("blobs", blobs)]
        });
        let rules = self.watched.rules.clone();
        health.register("policies", move || rules.check());
        let upstreams = self.watched.upstreams.clone();
        health.register_many(move || upstreams.iter().map(upstream_check).collect());
    }
}

impl Drop for Upkeep {
    fn drop(&mut self) {
        self.job.abort();
    }
}

impl Watched {
    async fn look(&self) -> [CheckState; 2] {
        let metadata = match self.metadata.size().await {
            Ok(bytes) => {
                self.metrics.set_store(StoreKind::Metadata, bytes, None);
                CheckState::Ok
            }
            Err(fault) => CheckState::Failed(fault.to_string()),
        };
        if let Some(bytes) = self.blobs.total_size() {
            self.metrics.set_store(StoreKind::Blobs, bytes, None);
        }
        // A stage that can be made is a disk that can be written; a full one degrades, because
        // what is held is served.
        let blobs = match self.blobs.stage(&[]).await {
            Ok(_) => CheckState::Ok,
            Err(fault) => CheckState::Degraded(format!("nothing new can be kept: {fault}")),
        };
        let status = self.rules.status();
        self.metrics.set_rules(status.ok, status.count, status.loaded_at);
        for upstream in &self.upstreams {
            let health = upstream.health();
            let closed = health.state == upstream::BreakerState::Closed;
            self.metrics.set_upstream_health(&health.name, closed, label(health.state));
        }
        [metadata, blobs]
    }
}

fn label(state: upstream::BreakerState) -> BreakerState {
    match state {
        upstream::BreakerState::Closed => BreakerState::Closed,
        upstream::BreakerState::HalfOpen => BreakerState::HalfOpen,
        upstream::BreakerState::Open => BreakerState::Open,
    }
}

fn upstream_check(upstream: &Upstream) -> Check {
    let health = upstream.health();
    let name = format!("upstream {}", health.name);
    let state = if health.state == upstream::BreakerState::Closed {
        CheckState::Ok
    } else {
        let since = health.since.map(|since| format!(" since {since:.0}")).unwrap_or_default();
        let cause = health.last_error.unwrap_or_default();
        CheckState::Degraded(format!("not asked{since}, what is held is served: {cause}"))
    };
    Check::new(name, state)
}
