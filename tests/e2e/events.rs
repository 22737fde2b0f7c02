//! What happens in a garden, told to programs outside.

use std::time::Duration;

use support::client::Client;
use support::events::Events;
use support::server::{Setup, TestServer};
use tokio::time::Instant;

use super::npm::teams::token;

fn garth(settings: &str) -> TestServer {
    Setup::new(settings).start()
}

/// The subjects of the next events of one kind.
async fn subjects(events: &mut Events, kind: &str, count: usize) -> Vec<String> {
    let mut found = Vec::new();
    while found.len() < count {
        let told = events.next().await.expect("the stream goes on");
        if told.kind == kind {
            assert_eq!(told.data["type"], kind);
            found.push(told.data["data"]["subject"].as_str().unwrap().to_owned());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_goes_on_where_it_was_also_after_a_kill() {
    let garth = garth("");
    let client = Client::of(&garth);
    let mut events = Events::open(&garth, &garth.admin_token(), "", None).await.ok().unwrap();
    client.make_rule("one", "allow", "npm:x").await;
    client.make_rule("two", "deny", "npm:y").await;
    assert_eq!(subjects(&mut events, "rule-made", 2).await, ["one", "two"]);
    let last = events.last_id().to_owned();
    client.make_rule("three", "deny", "npm:z").await;
    drop(events);
    let garth = garth.kill().start();
    Client::of(&garth).make_rule("four", "deny", "npm:z").await;
    let token = garth.admin_token();
    let mut events = Events::open(&garth, &token, "?after=begin", Some(&last)).await.ok().unwrap();
    assert_eq!(subjects(&mut events, "rule-made", 2).await, ["three", "four"]);
    let filtered = "?after=begin&kind=rule-made&package=npm:y";
    let mut events = Events::open(&garth, &token, filtered, None).await.ok().unwrap();
    assert_eq!(subjects(&mut events, "rule-made", 1).await, ["two"]);
    for (query, code) in [
        ("?after=99999", "unknown-cursor"),
        ("?after=-1", "unknown-cursor"),
        ("?kind=rule-mad", "did you mean rule-made"),
        ("?team=web", "invalid-team"),
        ("?package=left-pad", "invalid-package"),
        ("?since=1d", "unknown field"),
    ] {
        let (status, text) = Events::open(&garth, &token, query, None).await.err().expect(query);
        assert!(status == 400 && text.contains(code), "{query}: {status} {text}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_stream_outlives_the_deadlines_of_the_edge() {
    let garth =
        garth("[limits]\nidle_timeout = \"1s\"\nwrite_timeout = \"1s\"\nheader_timeout = \"1s\"\n");
    let kinds = "?kind=rule-removed,rule-made";
    let mut events = Events::open(&garth, &garth.admin_token(), kinds, None).await.ok().unwrap();
    let silent = tokio::time::timeout(Duration::from_secs(12), events.next()).await;
    assert!(silent.is_err(), "{silent:?}");
    assert!(events.comments > 0, "it said that it is alive");
    Client::of(&garth).make_rule("one", "allow", "npm:x").await;
    assert_eq!(subjects(&mut events, "rule-made", 1).await, ["one"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stream_ends_with_its_token_and_when_garth_stops() {
    let garth = garth("");
    garth.run(&["team", "create", "web/shop"]);
    let shop = token(&garth, &["shop", "--team", "web/shop"]);
    let nobody = token(&garth, &["nobody"]);
    let (status, text) = Events::open(&garth, &nobody, "", None).await.err().unwrap();
    assert!(status == 403 && text.contains("of no team"), "{text}");
    let (status, _) = Events::open(&garth, "garth_none", "", None).await.err().unwrap();
    assert_eq!(status, 401);
    let mut of_team = Events::open(&garth, &shop, "", None).await.ok().unwrap();
    let mut of_admin = Events::open(&garth, &garth.admin_token(), "", None).await.ok().unwrap();
    garth.run(&["token", "revoke", "shop"]);
    let begun = Instant::now();
    let told = of_team.next().await.unwrap();
    assert_eq!((told.kind.as_str(), &told.data["why"]), ("end", &"token-not-valid".into()));
    assert!(of_team.next().await.is_none());
    assert!(begun.elapsed() < Duration::from_secs(4), "{:?}", begun.elapsed());
    let (stopped, said) = tokio::join!(
        tokio::task::spawn_blocking(move || {
            let begun = std::time::Instant::now();
            (garth.stop(), begun.elapsed())
        }),
        async {
            loop {
                let told = of_admin.next().await.expect("it says why it ends");
                if told.kind == "end" {
                    break told.data["why"].clone();
                }
            }
        }
    );
    assert_eq!(said, "stopping");
    let ((setup, status), took) = stopped.unwrap();
    assert!(status.success() && took < Duration::from_secs(8), "{took:?} {}", setup.log());
    assert!(setup.log().contains("stopped cut=0"), "{}", setup.log());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_token_has_so_many_streams_and_gets_back_those_that_it_left() {
    let garth = garth("");
    let token = garth.admin_token();
    let mut open = Vec::new();
    for _ in 0..16 {
        open.push(Events::open(&garth, &token, "", None).await.ok().unwrap());
    }
    let (status, text) = Events::open(&garth, &token, "", None).await.err().unwrap();
    assert!(status == 429 && text.contains("too-many-streams"), "{text}");
    drop(open);
    // It is noticed with what is said next, at the latest.
    super::pull::eventually("the streams are given back", Duration::from_secs(30), async || {
        Events::open(&garth, &token, "", None).await.is_ok()
    })
    .await;
}
