//! Which version a person gets, and when that changes.

use std::time::Duration;

use jiff::Timestamp;
use support::http::Asked;

use super::{npm, registry, setup, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn a_range_resolves_to_the_newest_allowed_version_and_npm_says_why() {
    let up = upstream().await;
    // So that what a client prints does not hang on whether it was refused before.
    let garth = setup(&up).with_env("GARTH_REQUESTS_AUTOMATIC", "false").start();
    garth.run(&["allow", "npm:left-pad", "--versions", "<1.3.0"]);
    let npm = npm(&garth);
    let printed = npm.must(&["install", "left-pad@^1.1.0"]);
    insta::assert_snapshot!("an_older_version_and_the_reason", npm.redacted(&printed));
    assert_eq!(npm.installed("left-pad").as_deref(), Some("1.2.0"));

    npm.start_over();
    npm.must(&["install", "left-pad"]);
    assert_eq!(npm.installed("left-pad").as_deref(), Some("1.2.0"), "by the tag latest");

    let refused = npm.must_fail(&["install", "left-pad@1.3.0"]);
    insta::assert_snapshot!("a_version_that_is_left_out", npm.redacted(&refused));
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_ci_fails_on_a_lockfile_with_a_denied_version() {
    let up = upstream().await;
    // So that what a client prints does not hang on whether it was refused before.
    let garth = setup(&up).with_env("GARTH_REQUESTS_AUTOMATIC", "false").start();
    garth.run(&["allow", "npm:left-pad"]);
    let npm = npm(&garth);
    npm.must(&["install", "left-pad@1.3.0"]);
    npm.forget();
    npm.must(&["ci"]);

    npm.forget();
    garth.run(&["deny", "npm:left-pad@1.3.0", "--reason", "CVE-2099-1"]);
    let printed = npm.must_fail(&["ci"]);
    insta::assert_snapshot!("a_lockfile_with_a_denied_version", npm.redacted(&printed));
    assert_eq!(npm.installed("left-pad"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lockfile_alone_is_enough_for_a_garden_that_knows_nothing_yet() {
    let up = upstream().await;
    let first = setup(&up).start();
    first.run(&["allow", "npm:left-pad"]);
    let first_npm = npm(&first);
    first_npm.must(&["install", "left-pad@1.3.0"]);

    let second = setup(&up).start();
    second.run(&["allow", "npm:left-pad"]);
    let npm = npm(&second);
    let lockfile = first_npm.read("package-lock.json").unwrap();
    npm.write("package-lock.json", &lockfile.replace(&first.url, &second.url));
    npm.write("package.json", &first_npm.read("package.json").unwrap());
    npm.must(&["ci"]);
    assert_eq!(npm.installed("left-pad").as_deref(), Some("1.3.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_hold_waits_until_the_hold_is_removed() {
    let up = upstream().await;
    // So that what a client prints does not hang on whether it was refused before.
    let garth = setup(&up).with_env("GARTH_REQUESTS_AUTOMATIC", "false").start();
    garth.run(&["allow", "npm:left-pad"]);
    garth.run(&["hold", "npm:left-pad", "--reason", "ann looks at it", "--name", "wait-for-ann"]);
    let npm = npm(&garth);
    let printed = npm.must_fail(&["install", "left-pad"]);
    insta::assert_snapshot!("on_hold", npm.redacted(&printed));
    let tarball = "/npm/left-pad/-/left-pad-1.3.0.tgz";
    assert_eq!(garth.get(tarball).await.status, 403);
    garth.run(&["rules", "remove", "wait-for-ann"]);
    npm.must(&["install", "left-pad"]);
    assert_eq!(garth.get(tarball).await.status, 200);
}

/// The rule ends while its answers lie finished in memory; nobody touches the server.
#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_expires_stops_to_count_by_itself() {
    let up = upstream().await;
    let garth = registry(&up, "").start();
    let end = Timestamp::now() + Duration::from_secs(15);
    let until = format!("{end:.3}");
    garth.run(&["allow", "npm:left-pad", "--expires", &until]);
    garth.run(&["allow", "npm:@s/n"]);
    garth.run(&["deny", "npm:@s/n", "--expires", &until]);
    let left_pad = ["/npm/left-pad", "/npm/left-pad/1.3.0", "/npm/left-pad/-/left-pad-1.3.0.tgz"];
    let scoped = ["/npm/@s/n", "/npm/@s/n/1.0.0", "/npm/@s/n/-/n-1.0.0.tgz"];
    for (path, status) in
        left_pad.map(|path| (path, 200)).into_iter().chain(scoped.map(|path| (path, 403)))
    {
        assert_eq!(garth.get(path).await.status, status, "{path}, before");
    }
    assert!(Timestamp::now() < end, "this machine is too slow");
    tokio::time::sleep(Duration::try_from(end - Timestamp::now()).unwrap_or_default()).await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    for (path, status) in
        left_pad.map(|path| (path, 403)).into_iter().chain(scoped.map(|path| (path, 200)))
    {
        let answer = garth.get(path).await;
        assert_eq!(answer.status, status, "{path}, afterwards: {}", answer.text());
    }
}

/// The answers that a young version is missing from lie finished in memory while it comes of age.
#[tokio::test(flavor = "multi_thread")]
async fn a_young_version_is_held_and_shows_up_by_itself_when_it_has_settled() {
    let up = upstream().await;
    let setup = setup(&up);
    let rule = |effect: &str, rest: &str| {
        format!(
            "[[rule]]\nname = \"{effect}-left-pad\"\neffect = \"{effect}\"\npackages = [\"npm:left-pad\"]\n{rest}\n"
        )
    };
    let hold = rule("hold", "when = \"age_here < duration('15s') && name != 'x'\"");
    setup.write_policy("rules", &(rule("allow", "") + &hold));
    let garth = setup.start();
    let paths = ["/npm/left-pad", "/npm/left-pad/1.3.0", "/npm/left-pad/-/left-pad-1.3.0.tgz"];
    let seen = Timestamp::now();
    for path in paths {
        let answer = garth.get(path).await;
        assert_eq!(answer.status, 403, "{path}: {}", answer.text());
        assert!(
            answer.text().contains("held by the rule hold-left-pad (not before "),
            "{}",
            answer.text()
        );
    }
    assert!(Timestamp::now() < seen + Duration::from_secs(15), "this machine is too slow");
    tokio::time::sleep(Duration::from_millis(15_500)).await;
    for path in paths {
        let answer = garth.get(path).await;
        assert_eq!(answer.status, 200, "{path}, afterwards: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_allowed_version_newer_than_the_held_metadata_is_looked_for_then_served() {
    let up = upstream().await;
    let garth = registry(&up, "max_age = \"1h\"").start();
    garth.run(&["allow", "npm:left-pad"]);
    assert_eq!(garth.get("/npm/left-pad").await.status, 200);
    up.npm("left-pad").plain_version("1.4.0").plain_version("1.5.0").publish();
    let tarball = garth.get("/npm/left-pad/-/left-pad-1.4.0.tgz").await;
    assert_eq!(tarball.whole().as_deref(), Some(&*up.tarball("left-pad", "1.4.0").bytes()));
    assert_eq!(garth.get("/npm/left-pad/1.5.0").await.json()["version"], "1.5.0");
    assert_eq!(garth.get("/npm/left-pad").await.json()["dist-tags"]["latest"], "1.5.0");

    garth.run(&["deny", "npm:left-pad", "--versions", ">=1.6.0"]);
    up.npm("left-pad").plain_version("1.6.0").publish();
    let denied = garth.get("/npm/left-pad/-/left-pad-1.6.0.tgz").await;
    assert_eq!(denied.status, 403, "{}", denied.text());
    assert_eq!(up.requests("/left-pad/-/left-pad-1.6.0.tgz"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_nowhere_is_asked_for_once_and_not_again_for_each_client() {
    let up = upstream().await;
    let garth = registry(&up, "max_age = \"1h\"").start();
    garth.run(&["allow", "npm:left-pad"]);
    for _ in 0..5 {
        assert_eq!(garth.get("/npm/left-pad/-/left-pad-9.9.9.tgz").await.status, 404);
    }
    assert!(up.requests("/left-pad") <= 2, "{}", up.requests("/left-pad"));
}

/// No silent downgrade: a tag keeps its meaning or is gone, and what is moved is said.
#[tokio::test(flavor = "multi_thread")]
async fn tags_and_times_fit_the_versions_that_are_shown() {
    let up = upstream().await;
    up.npm("tagged")
        .plain_version("1.0.0")
        .plain_version("2.0.0-beta.1")
        .plain_version("2.0.0")
        .plain_version("3.0.0")
        .tag("next", "3.0.0")
        .tag("old", "1.0.0")
        .tag("latest", "2.0.0")
        .publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:tagged"]);
    garth.run(&["deny", "npm:tagged@2.0.0", "--name", "no-two"]);
    let packument = garth.get("/npm/tagged").await.json();
    let tags = serde_json::json!({ "latest": "1.0.0", "next": "3.0.0", "old": "1.0.0" });
    assert_eq!(packument["dist-tags"], tags, "latest goes down to a stable one, never up");

    garth.run(&["deny", "npm:tagged@3.0.0", "--name", "no-three"]);
    garth.run(&["deny", "npm:tagged@1.0.0", "--name", "no-one"]);
    let answer = garth.ask(&Asked::get("/npm/tagged")).await;
    let packument = answer.json();
    let tags = serde_json::json!({ "latest": "2.0.0-beta.1" });
    assert_eq!(packument["dist-tags"], tags, "no tag leads to what is left out");
    let times: Vec<_> = packument["time"].as_object().unwrap().keys().collect();
    assert_eq!(times, ["2.0.0-beta.1", "created", "modified"]);
    for _ in 0..2 {
        assert_eq!(garth.get("/npm/tagged/latest").await.json()["version"], "2.0.0-beta.1");
        let refused = garth.get("/npm/tagged/next").await;
        assert_eq!(refused.status, 403, "refused, and not another one");
        assert!(refused.text().contains("npm:tagged@3.0.0 is denied"), "{}", refused.text());
        assert!(refused.text().contains("no-three"), "{}", refused.text());
        assert_eq!(garth.get("/npm/tagged/never").await.status, 404);
    }

    garth.run(&["rules", "remove", "no-two"]);
    assert_eq!(garth.get("/npm/tagged/latest").await.json()["version"], "2.0.0");
    garth.run(&["deny", "npm:tagged", "--name", "none"]);
    let refused = garth.get("/npm/tagged/latest").await;
    assert_eq!(refused.status, 403);
    assert!(refused.text().contains("npm:tagged@2.0.0 is denied"), "{}", refused.text());
    assert_eq!(garth.get("/npm/tagged/never").await.status, 404);

    for rule in ["none", "no-one", "no-three"] {
        garth.run(&["rules", "remove", rule]);
    }
    assert_eq!(garth.get("/npm/tagged/next").await.json()["version"], "3.0.0");
    up.npm("tagged").tag("next", "1.0.0").publish();
    let moved = garth.get("/npm/tagged/next").await.json();
    assert_eq!(moved["version"], "1.0.0", "the upstream's tag was moved");
}
