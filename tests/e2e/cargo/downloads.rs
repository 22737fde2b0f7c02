//! Crates themselves: where they are fetched, and what they have to be.

use serde_json::json;
use support::crates::{Crate, crate_path, index_path};
use support::http::Asked;
use support::server::TestServer;
use support::upstream::{Fault, ScriptedUpstream};

use super::{person, registry, setup, upstream};

const SEED: &str = "/cargo/api/v1/crates/seed/1.0.0/download";

#[tokio::test(flavor = "multi_thread")]
async fn a_crate_is_fetched_once_and_served_at_both_places() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:seed"]);
    let theirs = up.bytes_at(&crate_path("seed", "1.0.0"));
    garth.hold(SEED).await;
    for path in [SEED, "/cargo/crates/seed/seed-1.0.0.crate"] {
        let answer = garth.get(path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        assert!(answer.whole().unwrap() == theirs, "{path}");
        assert_eq!(answer.header("garth-decision").map(|it| it.starts_with("allow")), Some(true));
    }
    assert_eq!(up.requests(&crate_path("seed", "1.0.0")), 1);
    assert_eq!(up.requests("/config.json"), 1);
    up.go_offline();
    assert_eq!(garth.get(SEED).await.status, 200, "what is held needs nobody");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_template_of_an_upstream_leads_to_its_crates() {
    let up = ScriptedUpstream::start().await;
    Crate::plain("Seed_Box", &["1.0.0"]).publish(&up);
    let bytes = up.bytes_at(&crate_path("Seed_Box", "1.0.0"));
    let sum = support::crates::sha256(&bytes);
    for (dl, place) in [
        ("bare", "/bare/Seed_Box/1.0.0/download".to_owned()),
        ("a/{prefix}/{crate}", "/a/Se/ed/Seed_Box".to_owned()),
        ("b/{lowerprefix}/{version}", "/b/se/ed/1.0.0".to_owned()),
        ("c/{sha256-checksum}", format!("/c/{sum}")),
    ] {
        up.place("/config.json", "application/json", json!({ "dl": up.at(dl) }).to_string());
        up.place(&place, "application/gzip", bytes.clone());
        let garth = setup(&up).start();
        garth.run(&["allow", "cargo:seed-box"]);
        let answer = garth.get("/cargo/api/v1/crates/Seed_Box/1.0.0/download").await;
        assert_eq!(answer.status, 200, "{dl}: {}", answer.text());
        assert_eq!(up.requests(&place), 1, "{dl}");
    }
}

/// Case 15: bytes that contradict the `cksum` reach nobody whole, and are not kept.
#[tokio::test(flavor = "multi_thread")]
async fn other_bytes_than_the_index_promises_are_not_served() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:seed"]);
    up.on(&crate_path("seed", "1.0.0")).fault(Fault::OtherBytes);
    let answer = garth.get(SEED).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    assert!(answer.text().contains("are not the promised ones"), "{}", answer.text());
    up.heal();
    assert_eq!(garth.get(SEED).await.status, 200);
}

/// The same by the real cargo: the transfer fails, and what is told says why.
#[tokio::test(flavor = "multi_thread")]
async fn cargo_says_that_an_upstream_sent_other_bytes_and_keeps_none_of_them() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:seed"]);
    up.on(&crate_path("seed", "2.0.0")).fault(Fault::OtherBytes);
    let person = person(&garth);
    person.depend("seed = \"2\"");
    let printed = person.must_fail(&["fetch"]).text();
    assert!(printed.contains("got 502") && printed.contains("promised"), "{printed}");
    assert!(garth.story().contains("promised"), "it is logged: {}", garth.story());
    // Files go in the background.
    let stage = garth.setup().data().join("stage");
    let begun = std::time::Instant::now();
    while std::fs::read_dir(&stage).unwrap().count() > 0 {
        assert!(begun.elapsed().as_secs() < 30, "something of it is kept");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    up.heal();
    person.must(&["fetch"]);
}

/// The token of an upstream goes to its own host as cargo sends it, and to no other.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_is_given_its_token_and_the_host_of_its_crates_is_not() {
    let (up, other) = (upstream().await, upstream().await);
    let token = "its-own-token";
    let get_from = async |garth: &TestServer| {
        let answer = garth.get(SEED).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
    };
    let more = format!("allow_hosts = [\"127.0.0.1:{}\"]", other.port());
    let setup = || registry(&up, &more).with_env("GARTH_REGISTRY_CARGO_TOKEN", token);
    let garth = setup().start();
    garth.run(&["allow", "cargo:*"]);
    get_from(&garth).await;
    for request in up.recorded() {
        assert_eq!(request.header("authorization"), Some(token), "{}", request.path);
    }
    let asked: Vec<String> = up.recorded().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, [index_path("seed"), "/config.json".to_owned(), crate_path("seed", "1.0.0")]);

    let place = format!("{}dl/{{lowerprefix}}/{{crate}}-{{version}}.crate", other.url());
    up.place("/config.json", "application/json", json!({ "dl": place }).to_string());
    let garth = setup().start();
    garth.run(&["allow", "cargo:*"]);
    get_from(&garth).await;
    let asked = other.recorded();
    assert_eq!(asked.len(), 1);
    assert!(!asked[0].says(token), "{:?}", asked[0]);
    assert!(!garth.log().contains(token), "nor is it in the log");
}

/// Another host's crates are asked for by setting alone.
#[tokio::test(flavor = "multi_thread")]
async fn a_template_that_leads_elsewhere_is_followed_only_by_setting() {
    let (up, other) = (upstream().await, upstream().await);
    let place = format!("{}dl/{{lowerprefix}}/{{crate}}-{{version}}.crate", other.url());
    up.place("/config.json", "application/json", json!({ "dl": place }).to_string());
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:seed"]);
    let refused = garth.get(SEED).await;
    assert_eq!(refused.status, 502, "{}", refused.text());
    assert!(refused.text().contains("allow_hosts"), "{}", refused.text());
    assert_eq!(other.total_requests(), 0);
    let more = format!("allow_hosts = [\"127.0.0.1:{}\"]", other.port());
    let garth = registry(&up, &more).start();
    garth.run(&["allow", "cargo:seed"]);
    assert_eq!(garth.get(SEED).await.status, 200);
}

/// Case 44 and 45.
#[tokio::test(flavor = "multi_thread")]
async fn a_cold_download_brings_the_index_first_and_a_newer_version_refreshes_it() {
    let up = upstream().await;
    let garth = registry(&up, "max_age = \"1h\"").start();
    assert_eq!(garth.get(SEED).await.status, 403);
    let asked: Vec<_> = up.recorded().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, [index_path("seed")], "its index, and nothing else");
    garth.run(&["allow", "cargo:seed"]);
    Crate::plain("seed", &["1.0.0", "3.0.0"]).publish(&up);
    let newer = "/cargo/api/v1/crates/seed/3.0.0/download";
    assert_eq!(garth.get(newer).await.status, 200);
    let never = garth.get("/cargo/api/v1/crates/seed/9.9.9/download").await;
    assert_eq!(never.status, 404);
    assert!(never.text().contains("cargo:seed@9.9.9 is unknown"), "{}", never.text());
}

/// Case 46 and 47.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_and_denied_is_sent_by_no_path_method_or_condition() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:seed", "--name", "it"]);
    garth.hold(SEED).await;
    let etag = garth.get(SEED).await.header("etag").unwrap().to_owned();
    garth.run(&["deny", "cargo:seed@1.0.0", "--reason", "no"]);
    up.forget_requests();
    for path in [
        SEED,
        "/cargo//api/v1/crates/seed/1.0.0/download",
        "/cargo/api/v1/crates/%73eed/1.0.0/download",
        "/cargo/api/v1/crates/SEED/1%2e0.0/download",
        "/cargo/crates/seed/seed-1.0.0.crate",
        "/cargo/crates/Seed/Seed-1.0.0.crate",
    ] {
        for asked in [
            Asked::get(path),
            Asked::new("HEAD", path),
            Asked::get(path).header("Range", "bytes=0-0"),
            Asked::get(path).header("If-None-Match", &etag),
            Asked::get(path).header("If-None-Match", "*"),
            Asked::get(path).header("If-Range", &etag).header("Range", "bytes=0-9"),
        ] {
            let answer = garth.ask(&asked).await;
            assert_eq!(answer.status, 403, "{asked:?}: {}", answer.text());
            assert!(answer.header("garth-decision").unwrap().starts_with("deny; rule="));
        }
    }
    assert_eq!(up.requests(&crate_path("seed", "1.0.0")), 0);
}
