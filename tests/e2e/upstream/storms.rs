//! What a thousand clients cause at an upstream that is in trouble.

use server::upstream::{ArtifactTarget, BreakerState, Upstream, UpstreamError};
use support::upstream::{Generated, ScriptedUpstream};
use tokio::time::Instant;

use super::{Scripting, client, kind, left_pad, ms, read, settings};
use crate::pull::eventually;

/// So many calls at once; the errors' kinds.
async fn crowd(client: &Upstream, calls: usize, path: &str) -> Vec<&'static str> {
    let tasks: Vec<_> = (0..calls)
        .map(|_| {
            let (client, path) = (client.clone(), path.to_owned());
            tokio::spawn(async move { read(&client, &path).await })
        })
        .collect();
    let mut kinds = Vec::new();
    for task in tasks {
        kinds.push(task.await.unwrap().map_or_else(|error| kind(&error), |_| "ok"));
    }
    kinds
}

#[tokio::test(flavor = "multi_thread")]
async fn retries_of_a_thousand_clients_stay_within_the_budget() {
    let (up, _) = left_pad().await;
    up.everywhere().status(503);
    let mut settings = settings(&up);
    settings.retries.attempts = 3;
    settings.breaker.consecutive = u32::MAX;
    settings.breaker.least = u32::MAX;
    settings.deadlines.turn = ms(60_000);
    settings.deadlines.total_document = ms(60_000);
    let client = client(settings);
    let kinds = crowd(&client, 1000, "left-pad").await;
    assert!(kinds.iter().all(|kind| *kind == "unavailable"), "{kinds:?}");
    let health = client.health();
    assert_eq!(up.total_requests() as u64, health.requests);
    assert_eq!(health.requests - health.retries, 1000);
    assert!((1..=100).contains(&health.retries), "{} retries", health.retries);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_breaker_ends_a_storm_and_one_probe_ends_the_breaker() {
    let (up, _) = left_pad().await;
    up.everywhere().status(503);
    let mut settings = settings(&up);
    settings.retries.attempts = 3;
    settings.breaker.consecutive = 10;
    settings.breaker.open = ms(3000);
    settings.breaker.longest_open = ms(6000);
    let client = client(settings);
    crowd(&client, 1000, "left-pad").await;
    let caused = up.total_requests();
    assert!(caused <= 10 + 8, "{caused} requests: the failures that open it and those under way");
    assert_eq!(client.health().state, BreakerState::Open);

    let start = Instant::now();
    let error = read(&client, "left-pad").await.expect_err("open");
    assert!(matches!(&error, UpstreamError::Unavailable { since: Some(_), .. }), "{error}");
    assert!(start.elapsed() < ms(1500), "at once");
    assert_eq!(up.total_requests(), caused, "nobody asked");

    tokio::time::sleep(ms(3800)).await;
    crowd(&client, 100, "left-pad").await;
    assert_eq!(up.total_requests(), caused + 1, "one probe");
    up.heal();
    tokio::time::sleep(ms(7600)).await;
    assert!(read(&client, "left-pad").await.is_ok());
    let health = client.health();
    assert_eq!((health.state, health.since), (BreakerState::Closed, None));
    assert!(crowd(&client, 50, "left-pad").await.iter().all(|kind| *kind == "ok"));
}

#[tokio::test]
async fn a_caller_who_leaves_during_the_probe_does_not_keep_it_open() {
    let (up, _) = left_pad().await;
    up.everywhere().times(3).status(500);
    up.everywhere().times(1).silence();
    let mut settings = settings(&up);
    settings.breaker.consecutive = 3;
    let client = client(settings);
    for _ in 0..3 {
        read(&client, "left-pad").await.expect_err("500");
    }
    tokio::time::sleep(ms(260)).await;
    tokio::select! {
        answer = read(&client, "left-pad") => panic!("the probe met silence: {answer:?}"),
        () = eventually("it is asked", ms(30_000), async || up.total_requests() == 4) => {}
    }
    assert!(read(&client, "left-pad").await.is_ok(), "the next one is the probe");
}

#[tokio::test]
async fn a_hiccup_is_not_seen_by_the_client() {
    let (up, _) = left_pad().await;
    let mut settings = settings(&up);
    settings.retries.attempts = 3;
    settings.retries.least = 100;
    let client = client(settings);
    let scripts: &[(&str, Scripting)] = &[
        ("502", &|up| up.everywhere().times(2).status(502)),
        ("a reset", &|up| up.everywhere().times(1).reset()),
        ("silence", &|up| up.everywhere().times(1).silence()),
    ];
    for (name, script) in scripts {
        script(&up);
        assert!(read(&client, "left-pad").await.is_ok(), "{name}");
    }
    assert_eq!(client.health().retries, 4);
}

#[tokio::test]
async fn an_answer_is_not_asked_for_again() {
    let (up, _) = left_pad().await;
    let mut settings = settings(&up);
    settings.retries.attempts = 3;
    let client = client(settings);
    for status in [400, 401, 403, 404, 410] {
        up.forget_requests();
        up.everywhere().times(1).status(status);
        read(&client, "left-pad").await.expect_err("an error");
        assert_eq!(up.total_requests(), 1, "{status}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_429_pauses_the_whole_upstream_for_its_time() {
    for (name, header, least, most) in [
        ("seconds within the bound", Some("3600"), 2400, 3000),
        ("a date within the bound", Some("Wed, 01 May 2024 12:10:00 GMT"), 2400, 3000),
        ("a date in the past", Some("Wed, 01 May 2024 11:00:00 GMT"), 0, 0),
        ("none", None, 1400, 2000),
        ("nonsense", Some("soon"), 1400, 2000),
    ] {
        let (up, _) = left_pad().await;
        let mut settings = settings(&up);
        settings.retries.attempts = 3;
        settings.retries.default_pause = ms(2000);
        let client = client(settings);
        up.everywhere().times(1).rate_limit(header);
        let error = read(&client, "left-pad").await.expect_err("429");
        let UpstreamError::RateLimited { retry_after: Some(pause), .. } = error else {
            panic!("{name}: {error}");
        };
        assert!(pause >= ms(least) && pause <= ms(most), "{name}: {pause:?}");
        assert_eq!(up.total_requests(), 1, "{name}: not retried");
        if most > 0 {
            let kinds = crowd(&client, 100, "other").await;
            assert!(kinds.iter().all(|kind| *kind == "rate limited"), "{name}");
            assert_eq!(up.total_requests(), 1, "{name}: no other request either");
            assert!(client.health().paused.is_some());
        }
        tokio::time::sleep(pause).await;
        assert!(read(&client, "left-pad").await.is_ok(), "{name}: asked again afterwards");
        assert_eq!(client.health().state, BreakerState::Closed, "{name}");
    }
}

#[tokio::test]
async fn a_503_that_says_when_to_come_back_is_left_alone_until_then() {
    let (up, _) = left_pad().await;
    let mut settings = settings(&up);
    settings.retries.attempts = 3;
    let client = client(settings);
    let answer = support::upstream::Answer::status(503).header("Retry-After", "10");
    up.everywhere().times(1).answer(answer);
    assert_eq!(kind(&read(&client, "left-pad").await.expect_err("503")), "unavailable");
    read(&client, "left-pad").await.expect_err("paused");
    assert_eq!(up.total_requests(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_so_many_at_once_bodies_included() {
    let up = ScriptedUpstream::start().await;
    up.generate("/object", Generated::new(64 << 10, 1));
    up.on("/object").dribble(16 << 10, ms(20));
    let client = client(settings(&up));
    let tasks: Vec<_> = (0..60)
        .map(|_| {
            let client = client.clone();
            tokio::spawn(async move {
                let target = ArtifactTarget::Path("object".to_owned());
                super::count(client.artifact(target).await.unwrap()).await.unwrap()
            })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), 64 << 10);
    }
    assert_eq!(up.most_at_once(), 8);
    assert_eq!(client.health().active, 0);
}

#[tokio::test]
async fn waiting_for_a_turn_is_bounded() {
    let (up, _) = left_pad().await;
    up.generate("/object", Generated::new(1 << 20, 1));
    let mut settings = settings(&up);
    settings.limits.concurrent = 1;
    settings.deadlines.turn = ms(100);
    let client = client(settings);
    let held = client.artifact(ArtifactTarget::Path("object".to_owned())).await.unwrap();
    let start = Instant::now();
    let error = read(&client, "left-pad").await.expect_err("no turn");
    assert_eq!(kind(&error), "unavailable");
    assert!(start.elapsed() < ms(5000));
    assert_eq!(client.health().failures, 0, "not the upstream's failure");
    drop(held);
    assert!(read(&client, "left-pad").await.is_ok());
}
