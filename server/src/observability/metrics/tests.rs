#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;

fn sample(registry: &str) -> RequestSample<'_> {
    RequestSample {
        registry,
        decision: DecisionLabel::Deny,
        cache: CacheOutcome::Hit,
        status: 403,
        bytes: 100,
        first_byte: Duration::from_millis(1),
        total: Duration::from_millis(2),
    }
}

#[test]
fn a_request_is_counted_with_its_labels() {
    let metrics = Metrics::new();
    metrics.request(&sample("npm"));
    metrics.clone().request(&sample("npm"));
    let page = metrics.render();
    let line = "garth_requests_total{registry=\"npm\",decision=\"deny\",cache=\"hit\",status_class=\"4xx\"} 2";
    assert!(page.contains(line), "{page}");
    assert!(
        page.contains("garth_request_duration_seconds_count{registry=\"npm\",cache=\"hit\"} 2")
    );
    assert!(
        page.contains("garth_response_bytes_sum{registry=\"npm\",cache=\"hit\"} 200"),
        "{page}"
    );
}

#[test]
fn names_beyond_the_bound_are_counted_as_other() {
    let metrics = Metrics::new();
    for n in 0..10_000 {
        metrics.request(&sample(&format!("made-up-{n}")));
        metrics.set_upstream_health(&format!("made-up-{n}"), true, BreakerState::Closed);
    }
    let page = metrics.render();
    assert!(page.contains("garth_requests_total{registry=\"other\""), "{page}");
    assert!(page.contains("garth_upstream_up{upstream=\"other\"} 1"), "{page}");
    assert!(page.len() < 1_000_000);
}

#[test]
fn alarms_health_and_sizes_are_on_the_page() {
    let metrics = Metrics::new();
    metrics.alarm(AlarmKind::BlobDamaged);
    metrics.compared("npm", Comparison::Unreadable);
    metrics.connection_opened();
    metrics.connection_closed(CloseReason::SlowReader);
    let gathered = UpstreamCounts { requests: 7, retries: 2, failures: 3, rate_limits: 1 };
    metrics.before_each_page(move |metrics| metrics.set_upstream_counts("npm", gathered));
    metrics.render();
    metrics.set_upstream_health("npm", false, BreakerState::Open);
    metrics.set_store(StoreKind::Blobs, 42);
    metrics.set_rules(true, 3, jiff::Timestamp::UNIX_EPOCH);
    let page = metrics.render();
    for line in [
        "garth_alarms_total{kind=\"blob-damaged\"} 1",
        "garth_artifacts_compared_total{registry=\"npm\",found=\"unreadable\"} 1",
        "garth_connections_open 1",
        "garth_connections_closed_total{reason=\"slow-reader\"} 1",
        "garth_upstream_requests_total{upstream=\"npm\"} 7",
        "garth_upstream_retries_total{upstream=\"npm\"} 2",
        "garth_upstream_failures_total{upstream=\"npm\"} 3",
        "garth_upstream_rate_limits_total{upstream=\"npm\"} 1",
        "garth_upstream_up{upstream=\"npm\"} 0",
        "garth_upstream_breaker_state{upstream=\"npm\"} 2",
        "garth_store_bytes{store=\"blobs\"} 42",
        "garth_rules_ok 1",
        "garth_rules 3",
    ] {
        assert!(page.contains(line), "no {line} in {page}");
    }
}
