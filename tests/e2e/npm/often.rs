//! Who asks too often: what they are told, and that nobody else is.

use std::time::Duration;

use serde_json::json;
use support::edge::Answer;
use support::http::Asked;
use support::server::TestServer;
use tokio::task::JoinSet;

use super::teams::{npm_with, token};
use super::{npm, registry, upstream};

const PAD: &str = "/npm/left-pad";

/// How many of so many requests are answered, and what the others are told.
async fn ask(garth: &TestServer, asked: &Asked, count: usize) -> (usize, Option<Answer>) {
    let (mut answered, mut refused) = (0, None);
    for _ in 0..count {
        let answer = garth.ask(asked).await;
        match answer.status {
            429 => refused = Some(answer),
            status => {
                assert!(status < 300 || status == 404, "{asked:?}: {status}: {}", answer.text());
                answered += 1;
            }
        }
    }
    (answered, refused)
}

/// While a client starts, whoever it is would have rested. Several ask, so that one of them is there
/// before the client whenever a request may pass; it ends when what comes back is dropped.
fn keep_asking(garth: &TestServer, asked: &Asked) -> JoinSet<()> {
    let mut asking = JoinSet::new();
    for _ in 0..8 {
        let (authority, asked) = (garth.authority().to_owned(), asked.clone());
        asking.spawn(async move {
            loop {
                asked.of(&authority).await;
                // The client needs something of the machine, too.
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
    }
    asking
}

fn by(token: &str, path: &str) -> Asked {
    Asked::get(path).header("Authorization", &format!("Bearer {token}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_too_often_is_told_by_npm_and_keeps_nobody_else_out() {
    let up = upstream().await;
    let limits = "[limits]\nrequests_per_token = 1\nrequests_per_address = 1\nburst = \"10s\"";
    let garth = registry(&up, limits).start();
    garth.run(&["allow", "npm:left-pad"]);
    let (shop, blog) = (token(&garth, &["ci-shop"]), token(&garth, &["ci-blog"]));
    let (answered, refused) = ask(&garth, &by(&shop, PAD), 40).await;
    assert!((10..30).contains(&answered), "{answered}");
    let refused = refused.expect("one that is refused");
    let wait: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=2).contains(&wait), "{wait}");
    let said = refused.json()["error"].as_str().unwrap().to_owned();
    let expected = "too many requests come with the token ci-shop: this garth takes 1 a second. Try \
                    again in ";
    assert!(said.starts_with(expected), "{said}");

    // By every route that says something, in whatever way the token is sent.
    for path in [
        "/npm/left-pad/1.3.0",
        "/npm/left-pad/-/left-pad-1.3.0.tgz",
        "/npm/-/whoami",
        "/npm/-/v1/search?text=x",
        "/api/v1/me",
        "/api/v1/nothing",
    ] {
        assert!(ask(&garth, &by(&shop, path), 4).await.1.is_some(), "{path}");
    }
    let busy = keep_asking(&garth, &by(&shop, PAD));
    let told = npm_with(&garth, &shop).must_fail(&["view", "left-pad", "--fetch-retries=0"]).text();
    drop(busy);
    assert!(told.contains("429") && told.contains(expected), "{told}");
    // Another token, and whoever has none, from the same address.
    assert_eq!(ask(&garth, &by(&blog, PAD), 5).await.0, 5);
    assert_eq!(ask(&garth, &Asked::get(PAD), 5).await.0, 5);
    let (_, refused) = ask(&garth, &Asked::get(PAD), 40).await;
    let said = refused.expect("one that is refused").text();
    assert!(said.contains("from your address without a token"), "{said}");
    let busy = keep_asking(&garth, &Asked::get(PAD));
    npm(&garth).must_fail(&["view", "left-pad", "--fetch-retries=0"]);
    drop(busy);
    // Whoever watches the server is always told, and so is who was refused.
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(garth.get(path).await.status, 200, "{path}");
    }
    assert_eq!(garth.get("/npm/-/reason/429/too_many").await.status, 429);
    assert!(garth.metric("garth_rate_limited_total{of=\"requests\",by=\"token\"}").await > 10);
    let lines = garth.story().matches("requests came too often").count();
    assert!((1..=6).contains(&lines), "one line for many: {}", garth.story());
    // npm asks again by itself, and has waited long enough then.
    let patient = npm_with(&garth, &shop);
    patient.must(&["view", "left-pad", "version", "--fetch-retry-mintimeout=3000"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_says_of_its_address_does_not_count() {
    let up = upstream().await;
    let limits = "[limits]\nrequests_per_address = 1\nburst = \"10s\"";
    let garth = registry(&up, limits).start();
    garth.run(&["allow", "npm:left-pad"]);
    let mut answered = 0;
    for n in 0..40 {
        let asked = Asked::get(PAD).header("X-Forwarded-For", &format!("198.51.100.{n}"));
        answered += ask(&garth, &asked, 1).await.0;
    }
    assert!((10..30).contains(&answered), "{answered}");

    let setup = registry(&up, limits).with_settings("trusted_proxies = [\"127.0.0.0/8\"]");
    let garth = setup.start();
    garth.run(&["allow", "npm:left-pad"]);
    let seen = |address: &str| Asked::get(PAD).header("X-Forwarded-For", address);
    assert!(ask(&garth, &seen("198.51.100.7"), 40).await.1.is_some());
    assert_eq!(ask(&garth, &seen("198.51.100.8"), 5).await.0, 5, "behind the same proxy");
    // Fewer than an address of its own would be answered.
    let forged = ask(&garth, &seen("203.0.113.9, 198.51.100.7"), 9).await;
    assert!(forged.1.is_some(), "what stands left of it is the client's own word");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_changes_too_much_by_the_api_still_reads() {
    let up = upstream().await;
    let limits = "[limits]\nchanges_per_caller = 1\nburst = \"5s\"";
    let garth = registry(&up, limits).start();
    let (one, other) = ("one", "other");
    let [one, other] = [one, other].map(|name| token(&garth, &[name, "--right", "administer"]));
    let change = |token: &str| {
        let body = json!({ "effect": "allow", "packages": ["npm:left-pad"] }).to_string();
        let asked = Asked::new("POST", "/api/v1/rules").header("Content-Type", "application/json");
        asked.header("Authorization", &format!("Bearer {token}")).body(body)
    };
    let (answered, refused) = ask(&garth, &change(&one), 20).await;
    assert!((5..15).contains(&answered), "{answered}");
    let problem = refused.expect("one that is refused").json();
    assert_eq!((&problem["code"], &problem["status"]), (&json!("too-often"), &json!(429)));
    let said = problem["detail"].as_str().unwrap();
    assert!(said.starts_with("too many changes come with the token one"), "{said}");
    let busy = keep_asking(&garth, &change(&one));
    let mut command = garth.setup().command(&["deny", "npm:left-pad"]);
    let done = command.args(["--server", &garth.url, "--token", &one]).output().unwrap();
    drop(busy);
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && told.contains("too many changes"), "{told}");
    assert_eq!(ask(&garth, &by(&one, "/api/v1/rules"), 20).await.0, 20);
    assert_eq!(ask(&garth, &by(&one, PAD), 20).await.0, 20);
    assert_eq!(ask(&garth, &change(&other), 3).await.0, 3);
    // A new secret of the same token is the same token.
    let rotated = garth.run(&["token", "rotate", "one"]).trim().to_owned();
    assert!(ask(&garth, &change(&rotated), 10).await.1.is_some());
    assert!(garth.metric("garth_rate_limited_total{of=\"changes\",by=\"token\"}").await > 5);
}
