//! A name that was fetched from the upstream before it was own, and the way out.

use support::http::Asked;
use support::publish::Publish;
use support::server::{Setup, TestServer};

const NAME: &str = "npm:@s/n";
const TARBALL: &str = "/npm/@s/n/-/n-1.0.0.tgz";

/// Everything that can be known of `@s/n` is, and it is own now.
async fn once_fetched() -> TestServer {
    let up = super::super::upstream().await;
    let garth = super::super::setup(&up).start();
    garth.run(&["allow", "npm:@s/n", "npm:left-pad"]);
    for path in ["/npm/@s/n", TARBALL, "/npm/left-pad", "/npm/left-pad/-/left-pad-1.3.0.tgz"] {
        assert_eq!(garth.get(path).await.status, 200, "{path}");
    }
    let (setup, _) = garth.stop();
    setup.with_env("GARTH_REGISTRY_NPM_OWN", "@s/*").start()
}

async fn found(garth: &TestServer) -> usize {
    let answer = garth.get("/npm/-/v1/search?text=scope:s").await.json();
    answer["objects"].as_array().unwrap().len()
}

fn checked(setup: &Setup) -> String {
    let check = setup.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && !said.contains("leftover: "), "{said}");
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn an_own_name_that_was_fetched_once_is_published_after_it_was_forgotten() {
    let garth = once_fetched().await;
    found(&garth).await;
    let publish = Publish::new("@s/n", "1.0.0");
    let refused = publish.to(&garth).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
    assert!(refused.text().contains("garth forget npm:@s/n"), "{}", refused.text());

    let said = garth.run(&["forget", NAME]);
    assert!(said.contains("forgotten: npm:@s/n in npm (versions: 1, files: 1)"), "{said}");
    assert!(garth.story().contains("what the upstream said of an own name was forgotten"));
    assert_eq!(garth.get("/npm/@s/n").await.status, 404);
    assert_eq!(garth.get(TARBALL).await.status, 404);
    assert_eq!(found(&garth).await, 0);
    let again = garth.run(&["forget", NAME, "--registry", "npm"]);
    assert!(again.contains("nothing to forget"), "{again}");

    let answer = publish.to(&garth).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let tarball = garth.get(TARBALL).await;
    assert_eq!(tarball.whole().as_deref(), Some(publish.archive.as_slice()));
    assert_eq!(found(&garth).await, 1);
    let (setup, _) = garth.stop();
    checked(&setup);
    let garth = setup.start();
    assert_eq!(garth.get(TARBALL).await.whole().as_deref(), Some(publish.archive.as_slice()));
    assert_eq!(garth.get("/npm/left-pad/-/left-pad-1.3.0.tgz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_forgotten_stays_so_after_a_rebuild() {
    let garth = once_fetched().await;
    garth.run(&["forget", NAME]);
    let (setup, _) = garth.stop();
    checked(&setup);
    setup.lose_and_rebuild();
    let garth = setup.start_with(&["--accept-log", "the store was lost"]);
    assert_eq!(Publish::new("@s/n", "1.0.0").to(&garth).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_upstream_s_state_of_an_own_name_is_forgotten_and_only_by_an_admin() {
    let garth = once_fetched().await;
    assert_eq!(Publish::new("@s/ours", "1.0.0").to(&garth).await.status, 201);
    for (arguments, says) in [
        (&["forget", "npm:left-pad"][..], "is under `own` of no such registry"),
        (&["forget", "npm:@s/ours"], "is published here, and what is published here stays"),
        (&["forget", NAME, "--registry", "other"], "there is no registry \"other\""),
        (&["forget", "@s/n"], "npm:"),
    ] {
        let output = garth.garth(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {text}");
        assert!(text.contains(says), "{arguments:?}: {text}");
    }
    let body = format!("{{\"package\":\"{NAME}\"}}");
    let asked = Asked::new("POST", "/api/v1/forget").header("Content-Type", "application/json");
    assert_eq!(garth.ask(&asked.body(&body)).await.status, 401);
    assert_eq!(garth.get("/npm/@s/ours/-/ours-1.0.0.tgz").await.status, 200);
    assert_eq!(garth.get("/npm/left-pad/-/left-pad-1.3.0.tgz").await.status, 200);
    assert_eq!(Publish::new("@s/n", "2.0.0").to(&garth).await.status, 409, "nothing was forgotten");
}
