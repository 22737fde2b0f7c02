//! The index: where its files are, what of them is shown, and when they are sent again.

use serde_json::json;
use support::crates::{Crate, CrateVersion, index_path, publish_lines};
use support::http::Asked;

use super::{lines, person, setup, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn config_json_leads_to_this_garth_alone() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let answer = garth.get("/cargo/config.json").await;
    let base = format!("{}/cargo", garth.url);
    assert_eq!(answer.json(), json!({ "dl": format!("{base}/api/v1/crates"), "api": base }));
    let etag = answer.header("etag").unwrap();
    let again = Asked::get("/cargo/config.json").header("If-None-Match", etag);
    assert_eq!(garth.ask(&again).await.status, 304);
    assert_eq!(up.total_requests(), 0, "it says where garth is, which the upstream does not know");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_length_of_name_has_its_folder_and_no_other() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:*"]);
    for name in ["a", "ab", "abc", "seed", "seed_box"] {
        let path = format!("/cargo{}", index_path(name));
        let answer = garth.get(&path).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.text());
        let theirs = up.last_request(&index_path(name));
        assert_eq!(theirs.header("accept"), Some("text/plain"));
    }
    up.forget_requests();
    for path in ["/1/seed", "/se/ed/weed", "/Se/ed/Seed", "/se/ed/Seed", "/2/a", "/3/abc", "/seed"]
    {
        assert_eq!(garth.get(&format!("/cargo{path}")).await.status, 404, "{path}");
    }
    assert_eq!(up.total_requests(), 0, "none of them is a name to ask for");
}

#[tokio::test(flavor = "multi_thread")]
async fn denied_versions_are_absent_and_kept_lines_are_the_upstream_s() {
    let up = upstream().await;
    Crate::new("seed")
        .version("1.0.0", |version| version.field("pubtime", "2024-05-06T07:08:09Z".into()))
        .version("1.1.0", |version| version.yanked().field("v", 2.into()))
        .version("2.0.0", |version| version.field("unknown", json!({ "deep": [1, null] })))
        .publish(&up);
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:seed"]);
    let path = "/cargo/se/ed/seed";
    let all = garth.get(path).await;
    let theirs = up.text_at(&index_path("seed"));
    assert_eq!(all.text(), theirs);
    assert_eq!(all.header("content-type"), Some("text/plain"));
    let etag = all.header("etag").unwrap().to_owned();
    let named = Asked::get(path).header("If-None-Match", &etag);
    assert_eq!(garth.ask(&named).await.status, 304);

    garth.run(&["deny", "cargo:seed@2.0.0", "--reason", "no"]);
    let answer = garth.ask(&named).await;
    assert_eq!(answer.status, 200, "what is denied is gone at the next request");
    let kept: Vec<&str> = theirs.lines().take(2).collect();
    assert_eq!(answer.text(), format!("{}\n", kept.join("\n")));
    assert_ne!(answer.header("etag").unwrap(), etag);
}

/// cargo resolves for all platforms and features: what is missing ends that, and what is only not to
/// be had does not.
#[tokio::test(flavor = "multi_thread")]
async fn a_crate_without_an_allowed_version_is_listed_and_can_not_be_had() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let answer = garth.get("/cargo/se/ed/seed").await;
    assert_eq!((answer.status, lines(&answer.text()).len()), (200, 3), "{}", answer.text());
    for path in ["/api/v1/crates/seed/1.0.0/download", "/crates/seed/seed-1.0.0.crate"] {
        let answer = garth.get(&format!("/cargo{path}")).await;
        assert_eq!(answer.status, 403, "{path}");
        assert!(answer.text().contains("garth request cargo:seed@1.0.0"), "{}", answer.text());
    }
    let asked: Vec<_> = up.recorded().into_iter().map(|request| request.path).collect();
    assert!(asked.iter().all(|path| *path == index_path("seed")), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_does_not_have_is_404_and_what_it_can_not_say_is_502() {
    let up = upstream().await;
    publish_lines(&up, "page", "<html>welcome</html>\n");
    publish_lines(&up, "error", "{\"errors\":[{\"detail\":\"slow down\"}]}\n");
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:*"]);
    let gone = garth.get("/cargo/no/th/nothing").await;
    assert_eq!(gone.status, 404);
    assert!(gone.text().contains("cargo:nothing is unknown at http://"), "{}", gone.text());
    for name in ["page", "error"] {
        let path = format!("/cargo{}", index_path(name));
        let answer = garth.get(&path).await;
        assert_eq!(answer.status, 502, "{path}: {}", answer.text());
        let asked = up.requests(&index_path(name));
        garth.get(&path).await;
        assert!(up.requests(&index_path(name)) > asked, "{path} was kept");
    }
    assert_eq!(garth.get("/cargo/se/ed/seed").await.status, 200);
    up.go_offline();
    let held = garth.get("/cargo/se/ed/seed").await;
    assert_eq!(held.status, 200, "what is held is served");
    assert!(held.header("warning").is_some());
    let cold = garth.get("/cargo/1/a").await;
    assert_eq!(cold.status, 502);
    assert!(cold.text().contains("can not be reached"), "{}", cold.text());
}

/// Case 5: one name to rules, whatever it is spelled like.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_about_a_name_is_about_all_of_its_spellings() {
    let up = upstream().await;
    Crate::plain("seed-box", &["1.0.0"]).publish(&up);
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:*"]);
    garth.run(&["deny", "cargo:SEED-box", "--reason", "no"]);
    for name in ["seed_box", "Seed_Box", "seed-box", "Seed-Box"] {
        let path = format!("/cargo/api/v1/crates/{name}/1.0.0/download");
        let answer = garth.get(&path).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
    }
    assert_eq!(garth.get("/cargo/api/v1/crates/seed/1.0.0/download").await.status, 200);
}

/// The usual accident: a release is yanked and followed by another one, which nobody has allowed yet.
/// cargo takes no yanked version that it has not locked, and would say nothing of why.
#[tokio::test(flavor = "multi_thread")]
async fn where_only_what_is_yanked_is_allowed_cargo_is_told_what_stands_in_the_way() {
    let up = upstream().await;
    Crate::new("seed")
        .version("1.0.0", CrateVersion::yanked)
        .version("1.0.1", |version| version)
        .publish(&up);
    let garth = setup(&up).start();
    garth.run(&["allow", "cargo:seed@1.0.0"]);
    let person = person(&garth);
    person.depend("seed = \"1\"");
    let said = person.must_fail(&["fetch"]).text();
    assert!(said.contains("cargo:seed@1.0.1 is not allowed"), "{said}");
    assert!(said.contains("garth request cargo:seed@1.0.1"), "{said}");
    // Whoever has it in a lockfile has it.
    garth.run(&["allow", "cargo:seed@1.0.1", "--name", "next"]);
    assert_eq!(garth.get("/cargo/api/v1/crates/seed/1.0.0/download").await.status, 200);
    assert_eq!(lines(&garth.get("/cargo/se/ed/seed").await.text()), ["1.0.0", "1.0.1"]);
}
