//! What a thousand clients cause upstream, through the whole server.

use support::client::{Answer, Client};
use support::upstream::Generated;
use tokio::time::Instant;

use super::{Garden, eventually, ms, tarball_path};

const CLIENTS: usize = 1000;
/// So many requests an upstream may get at once before anything is known of its trouble.
const AT_ONCE: usize = 64;
/// So many failures in a row open its breaker.
const BREAKS: usize = 10;
/// For at least so many seconds: then one request looks whether the trouble is over.
const OPEN: u64 = 2;

/// Every client asks at once, for a path of its own or for the same.
async fn crowd(client: &Client, path: impl Fn(usize) -> String) -> Vec<Answer> {
    let asking: Vec<_> = (0..CLIENTS)
        .map(|n| {
            let (client, path) = (client.clone(), path(n));
            tokio::spawn(async move { client.get(&path).await })
        })
        .collect();
    let mut answers = Vec::new();
    for answer in asking {
        answers.push(answer.await.unwrap());
    }
    answers
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_of_the_same_cold_thing_cause_one_request() {
    let garden = Garden::start("", "").await;
    let large = 300_000;
    garden.up.npm("small").plain_version("1.0.0").publish();
    garden.up.npm("large").version("1.0.0", |version| version.generated(large)).publish();
    garden.up.npm("unasked").plain_version("1.0.0").publish();
    garden.up.everywhere().after(ms(400)).serve();

    let small = garden.up.tarball("small", "1.0.0").bytes();
    let unasked = garden.up.tarball("unasked", "1.0.0").bytes();
    let large = Generated::new(large, 42).whole();
    // Behind the document, its artifact; then an artifact without its document.
    for (name, path, upstream, expected) in [
        ("a document", "/npm/small".to_owned(), "/small", None),
        ("a small one", tarball_path("small", "1.0.0"), "/small/-/small-1.0.0.tgz", Some(small)),
        ("a large one", tarball_path("large", "1.0.0"), "/large/-/large-1.0.0.tgz", Some(large)),
        (
            "a shortcut",
            tarball_path("unasked", "1.0.0"),
            "/unasked/-/unasked-1.0.0.tgz",
            Some(unasked),
        ),
    ] {
        let answers = crowd(&garden.client, |_| path.clone()).await;
        for answer in &answers {
            assert!(answer.is_whole(), "{name}: {}", answer.status);
            if let Some(expected) = &expected {
                assert!(answer.bytes() == expected, "{name}: other bytes");
            }
        }
        assert_eq!(garden.up.requests(upstream), 1, "{name}");
    }
    for document in ["/small", "/large", "/unasked"] {
        assert_eq!(garden.up.requests(document), 1, "{document}");
    }
    let log = garden.server.log();
    assert!(log.contains("cache=\"joined\"") && log.contains("cache=\"miss\""), "both are told");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_5xx_costs_the_upstream_a_few_requests_and_ends_by_itself() {
    let garden = Garden::start("", "").await;
    for n in 0..CLIENTS {
        garden.up.npm(&format!("p{n}")).plain_version("1.0.0").publish();
    }
    garden.up.everywhere().status(503);

    let looks = |begun: Instant| usize::try_from(begun.elapsed().as_secs() / OPEN).unwrap();
    let begun = Instant::now();
    let answers = crowd(&garden.client, |_| "/npm/p0".to_owned()).await;
    for answer in &answers {
        assert_eq!(answer.status, 502, "an outage is no absence");
        let said = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(said.contains("npm") && said.contains("since"), "{said}");
    }
    let caused = garden.up.requests("/p0");
    let bound = BREAKS + looks(begun);
    assert!(caused <= bound, "one thing: {caused} requests for {CLIENTS} clients, at most {bound}");

    garden.up.forget_requests();
    let begun = Instant::now();
    let answers = crowd(&garden.client, |n| format!("/npm/p{n}")).await;
    assert!(answers.iter().all(|answer| answer.status == 502));
    let caused = garden.up.total_requests();
    let bound = BREAKS + AT_ONCE + looks(begun);
    assert!(caused <= bound, "{CLIENTS} things: {caused} requests, at most {bound}");

    assert_eq!(garden.client.metric("garth_upstream_breaker_state{upstream=\"npm\"}").await, 2);
    let ready = garden.client.get("/readyz").await;
    assert_eq!(ready.status, 200, "what is held is served");
    assert!(ready.text().contains("upstream npm: degraded: not asked since"), "{}", ready.text());

    garden.up.heal();
    eventually("the breaker closes", ms(20_000), async || {
        garden.client.get("/npm/p1").await.status == 200
    })
    .await;
    assert_eq!(garden.client.metric("garth_upstream_breaker_state{upstream=\"npm\"}").await, 0);
    assert!(garden.client.get("/readyz").await.text().starts_with("ready\n"));
    let retries = garden.client.metric("garth_upstream_retries_total{upstream=\"npm\"}").await;
    let requests = garden.client.metric("garth_upstream_requests_total{upstream=\"npm\"}").await;
    assert!(retries <= 3.max(requests / 10) + 3, "{retries} retries of {requests}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_joins_a_flight_that_needs_less_than_he_does_is_not_short_changed() {
    let garden = Garden::start("", "").await;
    for n in 0..10 {
        garden.up.npm(&format!("p{n}")).plain_version("1.0.0").publish();
        assert!(garden.client.get(&format!("/npm/p{n}")).await.is_whole());
        garden.up.npm(&format!("p{n}")).plain_version("1.1.0").publish();
    }
    let Garden { up, server, .. } = garden;
    // Its memory is empty now: the documents, which are fresh still, have to be loaded first.
    let server = server.stop().0.start();
    let client = Client::of(&server);
    for n in 0..10 {
        let (document, tarball) = (format!("/npm/p{n}"), tarball_path(&format!("p{n}"), "1.1.0"));
        let (document, tarball) = tokio::join!(client.get(&document), client.get(&tarball));
        assert!(document.is_whole());
        assert_eq!(tarball.status, 200, "p{n}: {}", tarball.text());
        assert_eq!(tarball.bytes(), &up.tarball(&format!("p{n}"), "1.1.0").bytes());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_in_trouble_cost_the_upstream_a_few_requests() {
    // So long that everybody is there before the last try ends.
    let settings = "[upstream]\nconnect_timeout = \"5s\"\nheader_timeout = \"5s\"\n";
    for (name, status, most) in [("absent", 404, 1), ("silent", 504, 3), ("limited", 429, 1)] {
        let garden = Garden::start("", settings).await;
        garden.up.npm("silent").plain_version("1.0.0").publish();
        garden.up.npm("limited").plain_version("1.0.0").publish();
        garden.up.on("/silent").silence();
        garden.up.on("/limited").rate_limit(Some("60"));
        for answer in crowd(&garden.client, |_| format!("/npm/{name}")).await {
            assert_eq!(answer.status, status, "{name}: {}", answer.text());
            assert_eq!(answer.header("retry-after").is_some(), status == 429, "{name}");
        }
        let caused = garden.up.requests(&format!("/{name}"));
        assert!((1..=most).contains(&caused), "{name}: {caused} requests for {CLIENTS} clients");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looked_before_an_answer_came_does_not_ask_for_it_again() {
    const THINGS: usize = 100;
    const SMALL_CROWD: usize = 30;
    let garden = Garden::start("", "").await;
    garden.up.npm("known").plain_version("1.0.0").publish();
    assert!(garden.client.get("/npm/known").await.is_whole());
    for (name, path) in [
        ("packages", &(|n| format!("/npm/absent-{n}")) as &dyn Fn(usize) -> String),
        ("versions", &|n| tarball_path("known", &format!("2.0.{n}"))),
        ("files", &|n| tarball_path(&format!("lost-{n}"), "1.0.0")),
    ] {
        for n in 0..THINGS {
            let lost = format!("lost-{n}");
            garden.up.npm(&lost).plain_version("1.0.0").publish();
            garden.up.on(&format!("/{lost}/-/{lost}-1.0.0.tgz")).status(404);
        }
        garden.up.forget_requests();
        let asking = (0..THINGS * SMALL_CROWD).map(|n| {
            let (client, path) = (garden.client.clone(), path(n / SMALL_CROWD));
            tokio::spawn(async move { client.get(&path).await.status })
        });
        let asking: Vec<_> = asking.collect();
        for status in asking {
            assert_eq!(status.await.unwrap(), 404, "{name}");
        }
        // For a file its document as well; one answer may hold for versions that are asked for together.
        let most = if name == "files" { 2 * THINGS } else { THINGS };
        let caused = garden.up.total_requests();
        assert!((1..=most).contains(&caused), "{name}: {caused} requests for {THINGS}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_clients_are_served_what_is_held_while_the_upstream_is_away() {
    let garden = Garden::start("max_age = \"1s\"", "").await;
    garden.up.npm("held").plain_version("1.0.0").publish();
    assert!(garden.client.get("/npm/held").await.is_whole());
    garden.up.go_offline();
    tokio::time::sleep(ms(1100)).await;
    for answer in crowd(&garden.client, |_| "/npm/held".to_owned()).await {
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert!(answer.header("warning").is_some(), "it is marked");
    }
}
