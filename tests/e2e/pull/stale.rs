//! When the upstream can not be asked: what is held is served, marked, for so long; and absence,
//! trouble and haste upstream stay three different answers.

use jiff::Timestamp;
use tokio::time::Instant;

use super::{Garden, eventually, ms, tarball_path};

const AGING: &str = "max_age = \"0s\"\nmax_stale = \"10s\"";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_is_served_as_stale_within_its_limit_and_not_beyond() {
    let garden = Garden::start(AGING, "").await;
    garden.up.npm("p").plain_version("1.0.0").publish();
    let path = tarball_path("p", "1.0.0");
    let asked = Instant::now();
    let fresh = garden.client.get("/npm/p").await;
    assert!(fresh.is_whole() && fresh.header("age").is_none() && fresh.header("warning").is_none());
    assert!(garden.client.get(&path).await.is_whole());
    let begun = Timestamp::now();
    let start = Instant::now();
    garden.up.go_offline();

    let stale = garden.client.get("/npm/p").await;
    assert!(stale.is_whole(), "{}", stale.text());
    assert_eq!(stale.bytes(), fresh.bytes());
    let age: u64 = stale.header("age").expect("marked").parse().unwrap();
    assert!(age <= 10, "{age}");
    assert!(stale.header("warning").expect("marked").starts_with("111 "));
    assert!(garden.server.access_line("/npm/p").await.contains("cache=\"stale\""));

    // Asked shortly before the limit, and again and again: the limit holds all the same.
    while start.elapsed() < ms(9000) {
        let held = garden.client.get("/npm/p").await;
        assert!(held.is_whole() || asked.elapsed() >= ms(10_000), "{}", held.text());
        tokio::time::sleep(ms(600)).await;
    }
    tokio::time::sleep(ms(10_300).saturating_sub(start.elapsed())).await;
    let expired = garden.client.get("/npm/p").await;
    assert_eq!(expired.status, 502, "after {:?}", start.elapsed());
    let said = expired.json()["error"].as_str().unwrap().to_owned();
    let since = said.split("since ").nth(1).and_then(|rest| rest.get(..20)).unwrap_or(&said);
    let since: Timestamp = since.parse().unwrap_or_else(|_| panic!("{said}"));
    assert!(said.contains("upstream npm"), "{said}");
    assert!(since >= begun - jiff::SignedDuration::from_secs(1), "{said}");
    assert!(garden.client.get(&path).await.is_whole(), "what is known of a version does not age");

    garden.up.go_online();
    eventually("fresh again", ms(30_000), async || {
        let answer = garden.client.get("/npm/p").await;
        answer.is_whole() && answer.header("warning").is_none()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_held_is_502_while_the_upstream_is_down_and_never_404() {
    let garden = Garden::start("", "").await;
    garden.up.npm("p").plain_version("1.0.0").plain_version("1.1.0").publish();
    assert!(garden.client.get("/npm/p").await.is_whole());
    assert!(garden.client.get(&tarball_path("p", "1.0.0")).await.is_whole());
    garden.up.go_offline();
    for (name, path, status) in [
        ("a document that is held", "/npm/p".to_owned(), 200),
        ("a tarball that is held", tarball_path("p", "1.0.0"), 200),
        ("a tarball that is not", tarball_path("p", "1.1.0"), 502),
        ("a version that is not known yet", tarball_path("p", "2.0.0"), 502),
        ("the same once more", tarball_path("p", "2.0.0"), 502),
        ("another package", "/npm/q".to_owned(), 502),
        ("a tarball of it", tarball_path("q", "1.0.0"), 502),
    ] {
        let answer = garden.client.get(&path).await;
        assert_eq!(answer.status, status, "{name}: {}", answer.text());
    }
    garden.up.npm("p").plain_version("2.0.0").publish();
    garden.up.npm("q").plain_version("1.0.0").publish();
    garden.up.go_online();
    for path in [tarball_path("p", "2.0.0"), tarball_path("q", "1.0.0")] {
        eventually("nothing of the outage is remembered", ms(10_000), async || {
            let answer = garden.client.get(&path).await;
            assert_ne!(answer.status, 404, "{path}");
            answer.is_whole()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_429_is_answered_by_what_is_held_or_passed_on_with_its_time() {
    let garden = Garden::start("max_age = \"0s\"", "").await;
    garden.up.npm("p").plain_version("1.0.0").plain_version("1.1.0").publish();
    garden.up.npm("q").plain_version("1.0.0").publish();
    assert!(garden.client.get("/npm/p").await.is_whole());
    assert!(garden.client.get(&tarball_path("p", "1.0.0")).await.is_whole());
    garden.up.forget_requests();
    garden.up.everywhere().rate_limit(Some("7"));
    let held = garden.client.get("/npm/p").await;
    assert!(held.is_whole() && held.header("warning").is_some(), "{}", held.status);
    assert!(garden.client.get(&tarball_path("p", "1.0.0")).await.is_whole());
    for path in ["/npm/q".to_owned(), tarball_path("p", "1.1.0"), tarball_path("q", "1.0.0")] {
        let answer = garden.client.get(&path).await;
        assert_eq!(answer.status, 429, "{path}: {}", answer.text());
        let seconds: u64 =
            answer.header("retry-after").expect("when to come again").parse().unwrap();
        assert!((1..=7).contains(&seconds), "{path}: {seconds}");
    }
    assert_eq!(garden.up.total_requests(), 1, "who was asked to slow down is left alone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_true_404_is_remembered_and_only_for_a_while() {
    let garden = Garden::start("", "[upstream]\nabsent_age = \"10s\"\n").await;
    garden.up.npm("p").plain_version("1.0.0").publish();
    garden.up.on("/p/-/p-1.0.0.tgz").times(1).status(404);
    let tarball = tarball_path("p", "1.0.0");
    for (name, path, upstream) in [
        ("a package", "/npm/none", "/none"),
        ("a tarball that the document promises", tarball.as_str(), "/p/-/p-1.0.0.tgz"),
    ] {
        for _ in 0..20 {
            let answer = garden.client.get(path).await;
            assert_eq!(answer.status, 404, "{name}: {}", answer.text());
        }
        assert_eq!(garden.up.requests(upstream), 1, "{name}");
    }
    for status in [403, 410, 500] {
        let (path, upstream) = (format!("/npm/s{status}"), format!("/s{status}"));
        garden.up.on(&upstream).times(if status == 500 { 3 } else { 1 }).status(status);
        let answer = garden.client.get(&path).await;
        assert_eq!(answer.status, if status == 410 { 404 } else { 502 }, "{status}");
        garden.up.npm(&format!("s{status}")).plain_version("1.0.0").publish();
        let next = garden.client.get(&path).await.status;
        assert_eq!(next, if status == 410 { 404 } else { 200 }, "{status}: at once");
    }
    garden.up.npm("none").plain_version("1.0.0").publish();
    for path in ["/npm/none", "/npm/s410", &tarball] {
        eventually("it is looked for again", ms(30_000), async || {
            garden.client.get(path).await.is_whole()
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_upstream_took_away_is_served_on_from_what_is_held() {
    let garden = Garden::start("max_age = \"0s\"\nmax_stale = \"1s\"", "").await;
    garden.up.npm("p").plain_version("1.0.0").plain_version("1.1.0").publish();
    garden.up.npm("gone").plain_version("1.0.0").publish();
    for name in ["p", "gone"] {
        assert!(garden.client.get(&format!("/npm/{name}")).await.is_whole());
        assert!(garden.client.get(&tarball_path(name, "1.0.0")).await.is_whole());
    }
    garden.up.npm("p").unpublish("1.0.0").publish();
    garden.up.npm("gone").remove();
    for _ in 0..3 {
        for name in ["p", "gone"] {
            let document = garden.client.get(&format!("/npm/{name}")).await;
            assert!(document.is_whole(), "{name}: {}", document.status);
            assert!(document.json()["versions"]["1.0.0"].is_object(), "{name}");
            assert!(garden.client.get(&tarball_path(name, "1.0.0")).await.is_whole(), "{name}");
        }
        tokio::time::sleep(ms(600)).await;
    }
}
