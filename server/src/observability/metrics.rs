//! Counters, histograms and gauges for Prometheus.
//!
//! Every label has a bounded set of values: enums, status classes, and the names of configured
//! registries, upstreams and stores, of which no more than [`MAX_NAMES`] are told apart. A request
//! pays two hash look-ups of a short name and no allocation: the handles of each combination are
//! kept once they were made.

/// Names the values of a label's enum, once for the metrics page and the access line.
macro_rules! label {
    ($label:ident { $($variant:ident = $text:literal,)+ }) => {
        impl $label {
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $text,)+
                }
            }
        }

        impl prometheus_client::encoding::EncodeLabelValue for $label {
            fn encode(
                &self,
                encoder: &mut prometheus_client::encoding::LabelValueEncoder<'_>,
            ) -> Result<(), std::fmt::Error> {
                std::fmt::Write::write_str(encoder, self.as_str())
            }
        }
    };
}

mod labels;
mod rates;
mod requests;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use parking_lot::RwLock;
use policies::facts::Comparison;
use policies::package::Ecosystem;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

pub use labels::{AlarmKind, CacheOutcome, CloseReason, DecisionLabel, WebhookResult};
use rates::RateLabels;
pub use rates::{RateLimit, RatedBy};
use requests::Requests;
pub use requests::{RegistryCounts, RequestSample};

/// Names beyond this many are counted as `other`, so that no input can grow the page.
const MAX_NAMES: usize = 64;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    result: WebhookResult,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BreakerState {
    Closed,
    HalfOpen,
    Open,
}

/// What an upstream client counted since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct UpstreamCounts {
    /// That left, retries included.
    pub requests: u64,
    pub retries: u64,
    pub failures: u64,
    pub rate_limits: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AlarmLabels {
    kind: AlarmKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ComparisonLabels {
    registry: Arc<str>,
    found: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct CloseLabels {
    reason: CloseReason,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct UpstreamLabels {
    upstream: Arc<str>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StoreLabels {
    store: StoreKind,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EcosystemLabels {
    ecosystem: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AskedByLabels {
    by: &'static str,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum StoreKind {
    Metadata,
    Blobs,
}

label!(StoreKind {
    Metadata = "metadata",
    Blobs = "blobs",
});

/// Cheap to clone; every clone counts into the same page.
#[derive(Clone)]
pub struct Metrics(Arc<Inner>);

struct Inner {
    registry: Registry,
    requests: Requests,
    names: Names,
    alarms: Family<AlarmLabels, Counter>,
    comparisons: Family<ComparisonLabels, Counter>,
    connections_open: Gauge,
    connections_closed: Family<CloseLabels, Counter>,
    rate_limited: Family<RateLabels, Counter>,
    upstream_requests: Family<UpstreamLabels, Counter>,
    upstream_retries: Family<UpstreamLabels, Counter>,
    upstream_failures: Family<UpstreamLabels, Counter>,
    upstream_rate_limits: Family<UpstreamLabels, Counter>,
    upstream_up: Family<UpstreamLabels, Gauge>,
    upstream_breaker: Family<UpstreamLabels, Gauge>,
    store_bytes: Family<StoreLabels, Gauge>,
    views: Gauge,
    recorded: Counter,
    not_recorded: Counter,
    dropped: Counter,
    package_requests: Family<AskedByLabels, Gauge>,
    package_requests_dropped: Counter,
    package_requests_unrecorded: Counter,
    advisories: Gauge,
    advisories_stale: Gauge,
    advisories_confirmed: Family<EcosystemLabels, Gauge<f64, AtomicU64>>,
    webhook_deliveries: Family<WebhookLabels, Counter>,
    webhook_deliveries_waiting: Gauge,
    rules_ending: Gauge,
    rules_ok: Gauge,
    rules_count: Gauge,
    rules_loaded: Gauge<f64, AtomicU64>,
    gathers: RwLock<Vec<Gather>>,
}

/// Brings the metrics of a part up to date.
type Gather = Box<dyn Fn(&Metrics) + Send + Sync>;

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Metrics")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

macro_rules! register {
    ($registry:ident, $name:literal, $help:literal) => {{
        let metric = Default::default();
        register!($registry, $name, $help, metric)
    }};
    ($registry:ident, $name:literal, $help:literal, $metric:expr) => {{
        let metric = $metric;
        $registry.register($name, $help, Clone::clone(&metric));
        metric
    }};
}

impl Metrics {
    #[allow(clippy::too_many_lines, reason = "a list: what there is, each with its words")]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("garth");
        let r = &mut registry;
        let inner = Inner {
            requests: Requests::register(r),
            names: Names::default(),
            alarms: register!(r, "alarms", "Things a person should look at"),
            comparisons: register!(
                r,
                "artifacts_compared",
                "Artifacts that were compared with what their registry says of them"
            ),
            connections_open: register!(r, "connections_open", "Client connections now"),
            connections_closed: register!(
                r,
                "connections_closed",
                "Client connections that the server ended, by reason"
            ),
            rate_limited: register!(
                r,
                "rate_limited",
                "Requests that were refused because their token or address sent too many"
            ),
            upstream_requests: register!(
                r,
                "upstream_requests",
                "Requests to upstreams, retries included"
            ),
            upstream_retries: register!(r, "upstream_retries", "Retries to upstreams"),
            upstream_failures: register!(
                r,
                "upstream_failures",
                "Requests to upstreams that failed"
            ),
            upstream_rate_limits: register!(
                r,
                "upstream_rate_limits",
                "Times that an upstream asked to slow down"
            ),
            upstream_up: register!(r, "upstream_up", "1 while the upstream answers"),
            upstream_breaker: register!(
                r,
                "upstream_breaker_state",
                "Circuit breaker: 0 closed, 1 half open, 2 open"
            ),
            store_bytes: register!(r, "store_bytes", "Bytes on disk"),
            views: register!(
                r,
                "views",
                "Finished answers in memory, one for all who are told the same"
            ),
            recorded: register!(r, "decisions_recorded", "Decisions that were recorded"),
            not_recorded: register!(
                r,
                "decisions_not_recorded",
                "Decisions that were not recorded, for want of room or because the store failed"
            ),
            dropped: register!(
                r,
                "recorded_decisions_dropped",
                "Recorded decisions that were dropped before their time, because there were too many"
            ),
            package_requests: register!(
                r,
                "package_requests_open",
                "Requests for packages that wait for an approver, by who made them"
            ),
            package_requests_dropped: register!(
                r,
                "package_requests_dropped",
                "Open requests that fell away because too many different things were refused"
            ),
            package_requests_unrecorded: register!(
                r,
                "package_requests_unrecorded",
                "Refusals that are in no request, because too many different things were refused at once"
            ),
            advisories: register!(r, "advisories", "Advisories in force"),
            advisories_stale: register!(
                r,
                "advisories_stale",
                "Ecosystems whose advisories nobody confirmed for longer than advisories.stale"
            ),
            advisories_confirmed: register!(
                r,
                "advisories_confirmed_timestamp_seconds",
                "When a source last confirmed what is known of an ecosystem"
            ),
            webhook_deliveries: register!(
                r,
                "webhook_deliveries",
                "Tries to deliver an event to a webhook, by result"
            ),
            webhook_deliveries_waiting: register!(
                r,
                "webhook_deliveries_waiting",
                "Events that were taken up for a webhook and are not delivered yet"
            ),
            rules_ending: register!(
                r,
                "rules_ending_soon",
                "Rules and waivers that end within a week"
            ),
            rules_ok: register!(r, "rules_ok", "1 while the newest rules are in use"),
            rules_count: register!(r, "rules", "Rules in use"),
            rules_loaded: register!(
                r,
                "rules_loaded_timestamp_seconds",
                "When the rules in use were loaded"
            ),
            registry,
            gathers: RwLock::default(),
        };
        Self(Arc::new(inner))
    }

    /// One finished request. `registry` is empty where no registry was meant.
    pub fn request(&self, sample: &RequestSample<'_>) {
        self.0.requests.observe(sample);
    }

    /// Since the start, of each registry that was asked for.
    pub fn counted_requests(&self) -> Vec<(Arc<str>, RegistryCounts)> {
        self.0.requests.counted()
    }

    pub fn alarm(&self, kind: AlarmKind) {
        self.0.alarms.get_or_create(&AlarmLabels { kind }).inc();
    }

    /// Counts an artifact that was compared with what its registry says of it.
    pub fn compared(&self, registry: &str, found: Comparison) {
        let registry = self.0.names.bounded(registry);
        let labels = ComparisonLabels { registry, found: found.as_str() };
        self.0.comparisons.get_or_create(&labels).inc();
    }

    pub fn decisions_recorded(&self, count: u64) {
        self.0.recorded.inc_by(count);
    }

    pub fn decisions_not_recorded(&self, count: u64) {
        self.0.not_recorded.inc_by(count);
    }

    pub fn decisions_dropped(&self, count: u64) {
        self.0.dropped.inc_by(count);
    }

    pub fn connection_opened(&self) {
        self.0.connections_open.inc();
    }

    pub fn connection_gone(&self) {
        self.0.connections_open.dec();
    }

    /// Counts a connection that the server itself ended.
    pub fn connection_closed(&self, reason: CloseReason) {
        self.0.connections_closed.get_or_create(&CloseLabels { reason }).inc();
    }

    /// Counters only grow, so a snapshot that is older than the last one changes nothing.
    pub fn set_upstream_counts(&self, upstream: &str, counts: UpstreamCounts) {
        let labels = UpstreamLabels { upstream: self.0.names.bounded(upstream) };
        let families = [
            (&self.0.upstream_requests, counts.requests),
            (&self.0.upstream_retries, counts.retries),
            (&self.0.upstream_failures, counts.failures),
            (&self.0.upstream_rate_limits, counts.rate_limits),
        ];
        for (family, count) in families {
            let counter = family.get_or_create(&labels);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
    }

    /// Called before each page is written; answers from memory.
    pub fn before_each_page(&self, gather: impl Fn(&Self) + Send + Sync + 'static) {
        self.0.gathers.write().push(Box::new(gather));
    }

    pub fn set_upstream_health(&self, upstream: &str, up: bool, breaker: BreakerState) {
        let upstream = self.0.names.bounded(upstream);
        let labels = UpstreamLabels { upstream };
        self.0.upstream_up.get_or_create(&labels).set(i64::from(up));
        self.0.upstream_breaker.get_or_create(&labels).set(match breaker {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        });
    }

    pub fn set_store(&self, store: StoreKind, bytes: u64) {
        self.0.store_bytes.get_or_create(&StoreLabels { store }).set(saturating(bytes));
    }

    pub fn webhook_delivery(&self, result: WebhookResult) {
        self.0.webhook_deliveries.get_or_create(&WebhookLabels { result }).inc();
    }

    pub fn set_webhook_deliveries_waiting(&self, count: usize) {
        self.0.webhook_deliveries_waiting.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    pub fn set_views(&self, count: u64) {
        self.0.views.set(saturating(count));
    }

    /// Open requests for packages: those that people made, and those that refusals alone made.
    pub fn set_requests(&self, by_people: usize, by_refusals: usize) {
        for (by, count) in [("people", by_people), ("refusals", by_refusals)] {
            let gauge = self.0.package_requests.get_or_create(&AskedByLabels { by });
            gauge.set(saturating(count as u64));
        }
    }

    pub fn requests_dropped(&self, count: usize) {
        self.0.package_requests_dropped.inc_by(count as u64);
    }

    /// A refusal is in no request.
    pub fn request_unrecorded(&self) {
        self.0.package_requests_unrecorded.inc();
    }

    pub fn set_advisories(
        &self,
        count: usize,
        confirmed: &BTreeMap<Ecosystem, jiff::Timestamp>,
        stale: usize,
    ) {
        self.0.advisories.set(saturating(count as u64));
        self.0.advisories_stale.set(saturating(stale as u64));
        for (ecosystem, at) in confirmed {
            let labels = EcosystemLabels { ecosystem: ecosystem.as_str() };
            let seconds = at.as_duration().as_secs_f64();
            self.0.advisories_confirmed.get_or_create(&labels).set(seconds);
        }
    }

    pub fn set_rules_ending(&self, count: usize) {
        self.0.rules_ending.set(saturating(count as u64));
    }

    pub fn set_rules(&self, ok: bool, count: usize, loaded: jiff::Timestamp) {
        self.0.rules_ok.set(i64::from(ok));
        self.0.rules_count.set(saturating(count as u64));
        self.0.rules_loaded.set(loaded.as_duration().as_secs_f64());
    }

    /// The page, in the text format of `OpenMetrics`.
    pub fn render(&self) -> String {
        for gather in self.0.gathers.read().iter() {
            gather(self);
        }
        let mut page = String::with_capacity(16 * 1024);
        encode(&mut page, &self.0.registry).expect("writing to a String does not fail");
        page
    }
}

fn saturating(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Configured names, each once, and `other` for all beyond [`MAX_NAMES`].
#[derive(Default)]
struct Names(RwLock<HashSet<Arc<str>>>);

impl Names {
    fn bounded(&self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.read().get(name) {
            return known.clone();
        }
        let mut names = self.0.write();
        if names.len() >= MAX_NAMES {
            return "other".into();
        }
        let name: Arc<str> = name.into();
        names.insert(name.clone());
        name
    }
}

#[cfg(test)]
#[path = "metrics/tests.rs"]
mod tests;
