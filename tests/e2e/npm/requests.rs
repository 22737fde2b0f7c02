//! The way in: from refused to allowed, with the real npm.

use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::http::Asked;
use support::npm::{Npm, Printed};
use support::package_managers::Kind;
use support::server::TestServer;

use super::{npm, setup, upstream};

/// The open requests, when there are some that look right; refusals are written behind their answers.
fn eventually(garth: &TestServer, is_right: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begun = Instant::now();
    loop {
        let text = garth.run(&["requests", "list", "--json"]);
        let all: Vec<Value> = serde_json::from_str(&text).unwrap();
        if is_right(&all) {
            return all;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{all:#?}\n{}", garth.log());
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// npm tells by itself where it runs.
fn in_a_pipeline(npm: &Npm, arguments: &[&str]) -> Printed {
    let mut command = Command::new(Kind::Npm.program());
    npm.furnish(&mut command);
    command.env("GITHUB_ACTIONS", "true").args(arguments).current_dir(npm.project());
    command.output().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_install_is_asked_for_and_works_when_it_is_approved() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let npm = npm(&garth);

    let refused = in_a_pipeline(&npm, &["install", "left-pad@1.3.0"]);
    assert!(!refused.success);
    assert!(refused.text().contains("garth request npm:left-pad"), "{}", refused.text());
    let all = eventually(&garth, |all| all.len() == 1);
    let request = &all[0];
    assert_eq!(request["package"], "npm:left-pad");
    assert_eq!(request["state"], "open");
    let count = request["refusals"].as_u64().unwrap();
    assert!(count >= 1, "{request}");
    assert_eq!(request["askers"][0]["builds"], json!(["github-actions"]), "{request}");
    assert_eq!(request["askers"][0]["address"], "127.0.0.1");

    let again = npm.must_fail(&["install", "left-pad@1.3.0"]);
    assert!(again.text().contains("by request 1"), "{}", again.text());
    eventually(&garth, |all| all.len() == 1 && all[0]["refusals"].as_u64() > Some(count));

    let shown = garth.run(&["requests", "show", "1"]);
    assert!(shown.contains("garth requests approve 1"), "{shown}");
    let said =
        garth.run(&["requests", "approve", "1", "--versions", "^1.2.0", "--expires", "2090-01-01"]);
    assert!(said.contains("approved (rule request-1)"), "{said}");
    npm.must(&["install", "left-pad@1.3.0"]);
    assert_eq!(npm.installed("left-pad").as_deref(), Some("1.3.0"));
    let why = garth.run(&["why", "npm:left-pad@1.3.0"]);
    assert!(why.contains("request-1"), "{why}");
    assert_eq!(garth.get("/npm/left-pad/1.1.0").await.status, 403, "not what was approved");

    let (setup, _) = garth.stop();
    let garth = setup.start();
    let text = garth.run(&["requests", "list", "--state", "approved", "--json"]);
    let all: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(all[0]["closed"]["rules"], json!(["request-1"]), "{text}");
    assert_eq!(garth.get("/npm/left-pad/1.3.0").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reason_of_a_rejection_is_what_the_next_one_reads() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let npm = npm(&garth);
    npm.must_fail(&["install", "left-pad"]);
    eventually(&garth, |all| all.len() == 1);
    garth.run(&["requests", "reject", "1", "--reason", "use String.prototype.padStart"]);
    let refused = npm.must_fail(&["install", "left-pad"]);
    insta::assert_snapshot!(npm.redacted(&refused).replace(&today(), "TODAY"));
    let (setup, _) = garth.stop();
    let garth = setup.start();
    let answer = garth.get("/npm/left-pad").await;
    assert!(answer.text().contains("use String.prototype.padStart"), "{}", answer.text());
    let text = garth.run(&["requests", "list"]);
    assert_eq!(text, "No request is open.\n");
}

fn today() -> String {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let now = jiff::Timestamp::from_second(i64::try_from(now.as_secs()).unwrap()).unwrap();
    now.strftime("%Y-%m-%d").to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_asked_does_not_approve_and_is_told_what_to_do() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let said = garth.run(&["request", "npm:left-pad@1.3.0", "--reason", "the reports"]);
    assert!(said.starts_with("request 1: npm:left-pad in 1.3.0 is asked for\n"), "{said}");
    let output = garth.garth(&["requests", "approve", "1"]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(errors.contains("requests.own_approval"), "{errors}");
    assert_eq!(garth.get("/npm/left-pad/1.3.0").await.status, 403);

    let said = garth.run(&["request", "npm:@s/n", "--as", "ann", "--team", "web/shop"]);
    assert!(said.starts_with("request 2: npm:@s/n is asked for"), "{said}");
    let list = garth.run(&["requests", "list", "--team", "web/shop"]);
    assert!(list.contains("ann (unverified) of web/shop"), "{list}");
    garth.run(&["requests", "approve", "2"]);
    assert_eq!(garth.get("/npm/@s/n").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deny_is_lifted_by_a_waiver_that_ends() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["deny", "npm:left-pad", "--reason", "use padStart", "--name", "no-pads"]);
    garth.run(&["request", "npm:left-pad@1.3.0", "--as", "ann"]);
    let shown = garth.run(&["requests", "show", "1"]);
    assert!(shown.contains("denied by no-pads") && shown.contains("--waive"), "{shown}");
    let output = garth.garth(&["requests", "approve", "1"]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--waive"));
    garth.run(&[
        "requests",
        "approve",
        "1",
        "--waive",
        "--expires",
        "2090-01-01",
        "--reason",
        "until the rewrite",
    ]);
    assert_eq!(garth.get("/npm/left-pad/1.3.0").await.status, 200);
    assert_eq!(garth.get("/npm/left-pad/1.2.0").await.status, 403, "for that version alone");

    let said = garth.run(&[
        "waive",
        "no-pads",
        "npm:left-pad@1.2.0",
        "--reason",
        "once",
        "--expires",
        "2090-01-01",
    ]);
    assert!(said.contains("owner admin"), "{said}");
    assert_eq!(garth.get("/npm/left-pad/1.2.0").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_refused_names_stays_within_its_bound() {
    let up = upstream().await;
    for n in 0..40 {
        up.npm(&format!("x{n}")).plain_version("1.0.0").publish();
    }
    let garth = setup(&up).with_env("GARTH_REQUESTS_MAX_AUTOMATIC", "10").start();
    for _ in 0..3 {
        assert_eq!(garth.get("/npm/left-pad").await.status, 403);
    }
    for n in 0..40 {
        let answer = garth.get(&format!("/npm/x{n}")).await;
        assert_eq!(answer.status, 403);
    }
    // Nothing that is merely left out of a listing is asked for.
    garth.run(&["allow", "npm:@s/n"]);
    garth.run(&["deny", "npm:@s/n@0.9.0"]);
    assert_eq!(garth.get("/npm/@s/n").await.status, 200);
    let (setup, _) = garth.stop();
    let garth = setup.start();
    let all = eventually(&garth, |all| !all.is_empty());
    assert_eq!(all.len(), 10);
    assert_eq!((&all[0]["package"], &all[0]["refusals"]), (&json!("npm:left-pad"), &json!(3)));
    let page = garth.get("/metrics").await.text();
    assert!(page.contains("garth_package_requests_open{by=\"refusals\"} 10"), "{page}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_build_says_what_it_is_in_the_user_agent_or_in_a_header() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let npm = npm(&garth);
    npm.write(
        ".npmrc",
        "user-agent=npm/{npm-version} node/{node-version} {ci} garth-build/shop-42\n",
    );
    npm.must_fail(&["install", "left-pad"]);
    let asked = Asked::get("/npm/left-pad").header("Garth-Build", "web/blog #7");
    assert_eq!(garth.ask(&asked).await.status, 403);
    let all = eventually(&garth, |all| {
        all.len() == 1 && all[0]["askers"][0]["builds"] == json!(["shop-42", "web/blog #7"])
    });
    assert_eq!(all[0]["askers"].as_array().unwrap().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_approval_for_one_team_opens_it_to_no_other() {
    let up = upstream().await;
    let garth = setup(&up).start();
    for team in ["web/shop", "web/blog"] {
        garth.run(&["team", "create", team]);
    }
    let token = |name: &str, more: &[&str]| -> String {
        let arguments = [&["token", "create", name, "--json"], more].concat();
        let made: Value = serde_json::from_str(&garth.run(&arguments)).unwrap();
        made["secret"].as_str().unwrap().to_owned()
    };
    let shop = token("shop-ci", &["--team", "web/shop"]);
    let blog = token("blog-ci", &["--team", "web/blog"]);
    let ann = token("ann", &["--right", "approve"]);
    let ask = |token: &str| {
        let authorization = format!("Bearer {token}");
        Asked::get("/npm/left-pad").header("Authorization", &authorization)
    };
    assert_eq!(garth.ask(&ask(&shop)).await.status, 403);
    let all = eventually(&garth, |all| all.len() == 1);
    let asker = &all[0]["askers"][0];
    assert_eq!((&asker["name"], &asker["team"]), (&json!("shop-ci"), &json!("web/shop")));

    // Whoever is refused does not approve, whatever their rights; nor does who may only read.
    let output =
        garth.garth(&["requests", "approve", "1", "--token", &shop, "--server", &garth.url]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("approve"));
    let arguments = [
        "requests", "approve", "1", "--scope", "web/shop", "--token", &ann, "--server", &garth.url,
    ];
    let said = garth.run(&arguments);
    assert!(said.contains("approved"), "{said}");
    assert_eq!(garth.ask(&ask(&shop)).await.status, 200);
    let refused = garth.ask(&ask(&blog)).await;
    assert_eq!(refused.status, 403, "{}", refused.text());
    eventually(&garth, |all| all.len() == 1 && all[0]["askers"][0]["team"] == "web/blog");
    let rule: Value = serde_json::from_str(&garth.run(&["rules", "list", "--json"])).unwrap();
    assert_eq!(rule["rules"][0]["owner"], "ann");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_ends_by_itself_and_the_log_says_so_once_also_over_a_restart() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let soon = |seconds: u64| {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        let at = i64::try_from(now.as_secs() + seconds).unwrap();
        jiff::Timestamp::from_second(at).unwrap().to_string()
    };
    garth.run(&["allow", "npm:left-pad", "--name", "short", "--expires", &soon(15)]);
    garth.run(&["allow", "npm:@s/n", "--name", "long", "--expires", &soon(86_400)]);
    assert_eq!(garth.get("/npm/left-pad/1.3.0").await.status, 200);
    let said = garth.run(&["rules", "expiring", "--within", "2d"]);
    assert!(said.contains("short") && said.contains("long"), "{said}");
    let begun = Instant::now();
    while garth.get("/npm/left-pad/1.3.0").await.status == 200 || !garth.log().contains("has ended")
    {
        assert!(begun.elapsed() < Duration::from_mins(1), "{}", garth.log());
        std::thread::sleep(Duration::from_millis(100));
    }
    let said = garth.run(&["rules", "expiring", "--within", "2d"]);
    assert!(!said.contains("short") && said.contains("long"), "{said}");
    let page = garth.get("/metrics").await.text();
    assert!(page.contains("garth_rules_ending_soon 1"), "{page}");
    let (setup, _) = garth.stop();
    let garth = setup.start();
    std::thread::sleep(Duration::from_secs(3));
    let log = garth.log();
    assert_eq!(log.matches("a rule has ended").count(), 1, "{log}");
    // Whoever makes a rule for less than a week knows.
    assert_eq!(log.matches("ends soon").count(), 0, "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_approves_a_refused_install_without_a_person() {
    let up = upstream().await;
    let setup = setup(&up);
    setup.write_policy(
        "approve",
        "[[approve]]\nname = 'agreed'\npackages = ['npm:left-pad']\nversions = '>=1.2'\nexpires = '30d'\n\
         when = \"age_here >= duration('0s')\"\n",
    );
    let garth = setup.start();
    let npm = npm(&garth);
    npm.must_fail(&["install", "left-pad@1.3.0"]);
    let begun = Instant::now();
    while garth.get("/npm/left-pad/1.3.0").await.status != 200 {
        assert!(begun.elapsed() < Duration::from_secs(20), "{}", garth.log());
        std::thread::sleep(Duration::from_millis(200));
    }
    npm.must(&["install", "left-pad@1.3.0"]);
    assert_eq!(garth.get("/npm/left-pad/1.1.0").await.status, 403);
    let shown = garth.run(&["requests", "show", "1"]);
    assert!(shown.contains("approved by the policy agreed"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_request_ends_when_another_rule_or_a_new_policy_answers_it() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["request", "npm:left-pad@1.3.0", "--as", "ann"]);
    garth.run(&["request", "npm:@s/n@1.0.0", "--as", "ann"]);
    garth.run(&["allow", "npm:left-pad", "--versions", "^1", "--name", "pads"]);
    eventually(&garth, |all| all.len() == 1 && all[0]["number"] == 2);
    let shown = garth.run(&["requests", "show", "1"]);
    assert!(shown.contains("the rule pads of admin allows it by now"), "{shown}");
    let said = garth.run(&["requests", "list", "--state", "answered"]);
    assert!(said.contains("npm:left-pad in 1.3.0"), "{said}");

    let text = "[[approve]]\nname = 'agreed'\npackages = ['npm:@s/*']\n";
    garth.setup().write_policy("approve", text);
    eventually(&garth, <[Value]>::is_empty);
    let shown = garth.run(&["requests", "show", "2"]);
    assert!(shown.contains("approved by the policy agreed"), "{shown}");
    assert_eq!(garth.get("/npm/@s/n/1.0.0").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_are_listed_by_what_they_are_and_answered_when_somebody_says_yes() {
    let up = upstream().await;
    let garth = setup(&up).start();
    for package in ["npm:@types/a", "npm:@types/b", "npm:left-pad"] {
        garth.run(&["request", package, "--as", "ann", "--team", "web/shop"]);
    }
    garth.run(&["request", "npm:mine"]);
    let count = |arguments: &[&str]| {
        let text = garth.run(&[&["requests", "list", "--json"], arguments].concat());
        let all: Vec<Value> = serde_json::from_str(&text).unwrap();
        all.len()
    };
    assert_eq!(count(&["--package", "npm:@types/*"]), 2);
    assert_eq!(count(&["--team", "web/shop"]), 3);
    assert_eq!(count(&["--mine"]), 1);

    let approve = ["requests", "approve", "--package", "npm:@types/*"];
    let output = garth.garth(&approve);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{errors}");
    assert!(errors.contains("npm:@types/a") && errors.contains("say --yes"), "{errors}");
    assert_eq!(count(&[]), 4, "nothing was changed");
    let text = garth.run(&[&approve[..], &["--yes", "--json"]].concat());
    let done: Vec<Value> = serde_json::from_str(&text).unwrap();
    assert_eq!(done.len(), 2, "{text}");
    let output = garth.garth(&["requests", "reject", "1", "--all", "--reason", "no"]);
    assert!(!output.status.success(), "numbers or all of them");
    garth.run(&["requests", "reject", "--all", "--yes", "--reason", "no"]);
    assert_eq!(count(&["--state", "rejected"]), 2);
    assert_eq!(garth.run(&["requests", "reject", "--all", "--yes", "--reason", "no"]), "");
}
