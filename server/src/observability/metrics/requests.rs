//! What is counted of each finished request, with the handles kept.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::RwLock;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::{CacheOutcome, DecisionLabel, MAX_NAMES};

/// One finished request, as the access line has it.
#[derive(Clone, Copy, Debug)]
pub struct RequestSample<'a> {
    /// A configured registry's name; empty for the rest.
    pub registry: &'a str,
    pub decision: DecisionLabel,
    pub cache: CacheOutcome,
    pub status: u16,
    /// Of the body, as far as the connection took it.
    pub bytes: u64,
    pub first_byte: Duration,
    pub total: Duration,
}

/// What was counted of the requests for one registry. What fits nowhere here is in `requests` alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RegistryCounts {
    pub requests: u64,
    /// With a status from 500 on.
    pub failed: u64,
    pub allow: u64,
    pub hold: u64,
    pub deny: u64,
    pub hit: u64,
    pub miss: u64,
    pub stale: u64,
    pub joined: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum StatusClass {
    Aborted,
    Informational,
    Success,
    Redirection,
    ClientError,
    ServerError,
}

label!(StatusClass {
    Aborted = "aborted",
    Informational = "1xx",
    Success = "2xx",
    Redirection = "3xx",
    ClientError = "4xx",
    ServerError = "5xx",
});

impl StatusClass {
    /// 0 stands for a client that left before there was a status.
    fn of(status: u16) -> Self {
        match status {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirection,
            400..=499 => Self::ClientError,
            0 => Self::Aborted,
            _ => Self::ServerError,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    registry: Arc<str>,
    decision: DecisionLabel,
    cache: CacheOutcome,
    status_class: StatusClass,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct TimeLabels {
    registry: Arc<str>,
    cache: CacheOutcome,
}

const DECISIONS: usize = 4;
const CACHES: usize = 5;
const CLASSES: usize = 6;

/// The handles of one registry; each is made when it is first needed.
struct Handles {
    registry: Arc<str>,
    counts: [OnceLock<Counter>; DECISIONS * CACHES * CLASSES],
    times: [OnceLock<Times>; CACHES],
}

struct Times {
    first_byte: Histogram,
    total: Histogram,
    bytes: Histogram,
}

type Histograms = Family<TimeLabels, Histogram, fn() -> Histogram>;

pub(super) struct Requests {
    counts: Family<RequestLabels, Counter>,
    first_byte: Histograms,
    total: Histograms,
    bytes: Histograms,
    handles: RwLock<HashMap<Arc<str>, Arc<Handles>>>,
    other: Arc<Handles>,
}

impl Requests {
    pub(super) fn register(registry: &mut Registry) -> Self {
        let seconds: fn() -> Histogram = || {
            Histogram::new([
                0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0,
                10.0, 30.0, 60.0, 300.0,
            ])
        };
        let sizes: fn() -> Histogram = || {
            Histogram::new([
                256.0,
                1024.0,
                4096.0,
                16384.0,
                65536.0,
                262_144.0,
                1_048_576.0,
                4_194_304.0,
                16_777_216.0,
                67_108_864.0,
                268_435_456.0,
                1_073_741_824.0,
            ])
        };
        let counts = Family::default();
        let first_byte = Histograms::new_with_constructor(seconds);
        let total = Histograms::new_with_constructor(seconds);
        let bytes = Histograms::new_with_constructor(sizes);
        registry.register("requests", "Requests from clients", counts.clone());
        registry.register_with_unit(
            "request_first_byte",
            "From a request's head to the answer's head",
            Unit::Seconds,
            first_byte.clone(),
        );
        registry.register_with_unit(
            "request_duration",
            "From a request's head to the answer's last byte",
            Unit::Seconds,
            total.clone(),
        );
        registry.register_with_unit(
            "response",
            "Size of an answer's body as sent",
            Unit::Bytes,
            bytes.clone(),
        );
        Self {
            counts,
            first_byte,
            total,
            bytes,
            handles: RwLock::default(),
            other: Arc::new(Handles::new("other".into())),
        }
    }

    pub(super) fn observe(&self, sample: &RequestSample<'_>) {
        let handles = self.handles(sample.registry);
        let class = StatusClass::of(sample.status);
        let at =
            (sample.decision as usize * CACHES + sample.cache as usize) * CLASSES + class as usize;
        handles.counts[at]
            .get_or_init(|| {
                self.counts.get_or_create_owned(&RequestLabels {
                    registry: handles.registry.clone(),
                    decision: sample.decision,
                    cache: sample.cache,
                    status_class: class,
                })
            })
            .inc();
        let times = handles.times[sample.cache as usize].get_or_init(|| {
            let labels = TimeLabels { registry: handles.registry.clone(), cache: sample.cache };
            Times {
                first_byte: self.first_byte.get_or_create_owned(&labels),
                total: self.total.get_or_create_owned(&labels),
                bytes: self.bytes.get_or_create_owned(&labels),
            }
        });
        times.first_byte.observe(sample.first_byte.as_secs_f64());
        times.total.observe(sample.total.as_secs_f64());
        #[allow(clippy::cast_precision_loss, reason = "a size in a histogram")]
        times.bytes.observe(sample.bytes as f64);
    }

    /// Of each registry that is told apart.
    pub(super) fn counted(&self) -> Vec<(Arc<str>, RegistryCounts)> {
        let handles = self.handles.read();
        handles.iter().map(|(name, handles)| (name.clone(), handles.counted())).collect()
    }

    fn handles(&self, registry: &str) -> Arc<Handles> {
        if let Some(handles) = self.handles.read().get(registry) {
            return handles.clone();
        }
        let mut all = self.handles.write();
        if all.len() >= MAX_NAMES && !all.contains_key(registry) {
            return self.other.clone();
        }
        let name: Arc<str> = registry.into();
        all.entry(name.clone()).or_insert_with(|| Arc::new(Handles::new(name))).clone()
    }
}

impl Handles {
    fn counted(&self) -> RegistryCounts {
        let mut counts = RegistryCounts::default();
        for (at, counter) in self.counts.iter().enumerate() {
            let Some(count) = counter.get().map(Counter::get) else { continue };
            let (decision, cache) = (at / CLASSES / CACHES, at / CLASSES % CACHES);
            counts.requests += count;
            if at % CLASSES == StatusClass::ServerError as usize {
                counts.failed += count;
            }
            for (label, sum) in [
                (DecisionLabel::Allow, &mut counts.allow),
                (DecisionLabel::Hold, &mut counts.hold),
                (DecisionLabel::Deny, &mut counts.deny),
            ] {
                *sum += if decision == label as usize { count } else { 0 };
            }
            for (label, sum) in [
                (CacheOutcome::Hit, &mut counts.hit),
                (CacheOutcome::Miss, &mut counts.miss),
                (CacheOutcome::Stale, &mut counts.stale),
                (CacheOutcome::Joined, &mut counts.joined),
            ] {
                *sum += if cache == label as usize { count } else { 0 };
            }
        }
        counts
    }

    fn new(registry: Arc<str>) -> Self {
        Self {
            registry,
            counts: std::array::from_fn(|_| OnceLock::new()),
            times: std::array::from_fn(|_| OnceLock::new()),
        }
    }
}
