//! What `/readyz` and `/metrics` say of the parts. What takes a look at the disk is looked at every
//! few seconds, so that a request for either is answered from memory.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::task::JoinHandle;

use crate::blobs::Blobs;
use crate::metadata::Metadata;
use crate::observability::metrics::{StoreKind, UpstreamCounts};
use crate::observability::{AlarmKind, BreakerState, Check, CheckState, Health, Metrics};
use crate::rules::Rules;
use crate::upstream::{self, Upstream, UpstreamHealth};

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
            let mut raised = Raised::default();
            loop {
                let stores = looking.look().await;
                raised.update(&looking, &stores);
                *seen.lock() = stores;
                tokio::time::sleep(INTERVAL).await;
            }
        });
        Self { watched, stores, job }
    }

    /// The checks of `/readyz`, and what the metrics page gathers.
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
        let (rules, upstreams) = (self.watched.rules.clone(), self.watched.upstreams.clone());
        let blobs = self.watched.blobs.clone();
        self.watched.metrics.before_each_page(move |metrics| {
            let status = rules.status();
            metrics.set_rules(status.ok, status.count, status.loaded_at);
            metrics.set_rules_ending(rules.ending_soon());
            if let Some(bytes) = blobs.total_size() {
                metrics.set_store(StoreKind::Blobs, bytes);
            }
            for upstream in &upstreams {
                count_upstream(metrics, &upstream.health());
            }
        });
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
                self.metrics.set_store(StoreKind::Metadata, bytes);
                CheckState::Ok
            }
            Err(fault) => CheckState::Failed(fault.to_string()),
        };
        // A stage that can be made is a disk that can be written; a full one degrades, because
        // what is held is served.
        let blobs = match self.blobs.stage(&[]).await {
            Ok(_) => CheckState::Ok,
            Err(fault) => CheckState::Degraded(format!("nothing new can be kept: {fault}")),
        };
        [metadata, blobs]
    }
}

/// The alarms of what lasts. One is raised when its cause begins, not again for as long as it goes on.
#[derive(Default)]
struct Raised {
    rules: Vec<String>,
    stores: Vec<CheckState>,
}

impl Raised {
    fn update(&mut self, watched: &Watched, stores: &[CheckState; 2]) {
        // Their own log line was written when the fault was found.
        let rules = watched.rules.status().faults;
        if !rules.is_empty() && rules != self.rules {
            watched.metrics.alarm(AlarmKind::RulesBroken);
        }
        self.rules = rules;
        for (place, state) in stores.iter().enumerate() {
            let (CheckState::Degraded(cause) | CheckState::Failed(cause)) = state else { continue };
            let lasts = self.stores.get(place).is_some_and(|before| *before != CheckState::Ok);
            if !lasts {
                watched.metrics.alarm(AlarmKind::StoreFailing);
                tracing::error!(alarm = AlarmKind::StoreFailing.as_str(), "{cause}");
            }
        }
        self.stores = stores.to_vec();
    }
}

fn count_upstream(metrics: &Metrics, health: &UpstreamHealth) {
    let closed = health.state == upstream::BreakerState::Closed;
    metrics.set_upstream_health(&health.name, closed, label(health.state));
    let counts = UpstreamCounts {
        requests: health.requests,
        retries: health.retries,
        failures: health.failures,
        rate_limits: health.rate_limits,
    };
    metrics.set_upstream_counts(&health.name, counts);
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
