//! Recorded use: what only observing let through, and rules that are tried on what was asked for.

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use support::npm::Npm;
use support::server::TestServer;

use super::teams::{npm_with, token};
use super::{npm, setup, upstream};
use crate::pull::eventually;

/// A directory with one policy file, beside those of the server.
fn candidate(garth: &TestServer, name: &str, text: &str) -> String {
    let directory = garth.setup().directory().join(name);
    std::fs::create_dir_all(&directory).unwrap();
    std::fs::write(directory.join("rules.toml"), text).unwrap();
    directory.to_str().unwrap().to_owned()
}

fn rule(name: &str, effect: &str, package: &str, more: &str) -> String {
    format!("[[rule]]\nname = '{name}'\neffect = '{effect}'\npackages = ['{package}']\n{more}\n")
}

fn told(output: &Output) -> (Option<i32>, String) {
    let text = [&output.stdout[..], &output.stderr].concat();
    (output.status.code(), String::from_utf8(text).unwrap())
}

/// The lines of `garth observed`, as JSON.
fn observed(garth: &TestServer, options: &[&str]) -> Value {
    let arguments = [&["observed", "--json"], options].concat();
    serde_json::from_str(&garth.run(&arguments)).unwrap()
}

fn install(garth: &TestServer, packages: &[&str]) -> Npm {
    let npm = npm(garth);
    npm.must(&[&["install"], packages].concat());
    npm
}

#[tokio::test(flavor = "multi_thread")]
async fn what_observing_lets_through_is_told_and_survives_a_restart_and_a_kill() {
    let up = upstream().await;
    let garth = setup(&up).with_settings("mode = \"observe\"").start();
    garth.run(&["allow", "npm:@s/n"]);
    garth.run(&["deny", "npm:left-pad", "--versions", "<1.3.0", "--reason", "old"]);
    install(&garth, &["left-pad@1.3.0", "@s/n"]);
    install(&garth, &["left-pad@1.2.0"]);
    install(&garth, &["left-pad@1.2.0"]);
    let text = garth.run(&["observed"]);
    assert!(
        text.contains("3 of 4 recorded requests for versions would have been refused"),
        "{text}"
    );
    assert!(text.contains("2 x  deny   npm:left-pad@1.2.0"), "{text}");
    assert!(text.contains("1 x  deny   npm:left-pad@1.3.0"), "{text}");
    assert!(!text.contains("npm:@s/n"), "{text}");
    let by_rule = observed(&garth, &["--rule", "deny-left-pad"]);
    assert_eq!(by_rule["would_be_refused"], 2, "{by_rule}");
    let none = observed(&garth, &["--team", "web/*"]);
    assert_eq!(none["lines"], serde_json::json!([]), "{none}");

    let before = observed(&garth, &[])["lines"].clone();
    let (setup, _) = garth.stop();
    let garth = setup.start();
    assert_eq!(observed(&garth, &[])["lines"], before);
    install(&garth, &["left-pad@1.1.0"]);
    // It is written every two seconds.
    tokio::time::sleep(Duration::from_secs(10)).await;
    install(&garth, &["left-pad@1.2.0"]);
    let setup = garth.kill();
    let check = setup.command(&["check"]).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    let garth = setup.start();
    let after = observed(&garth, &[]);
    let versions: Vec<&str> = after["lines"]
        .as_array()
        .unwrap()
        .iter()
        .filter_map(|line| line["version"].as_str())
        .collect();
    assert!(versions.contains(&"1.1.0"), "{after}");
    assert!((4..=5).contains(&after["would_be_refused"].as_u64().unwrap()), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_that_only_observes_is_told_of_without_refusing_anything() {
    let up = upstream().await;
    let setup = setup(&up);
    let trial = rule("trial", "hold", "npm:left-pad", "observe = true");
    setup.write_policy("all", &(rule("all", "allow", "npm:*", "") + &trial));
    let garth = setup.start();
    install(&garth, &["left-pad@1.3.0", "@s/n"]);
    let text = garth.run(&["observed", "--since", "1h"]);
    assert!(text.contains("the rule trial, which only observes"), "{text}");
    assert!(text.contains("1 x  hold   npm:left-pad@1.3.0"), "{text}");
    assert!(text.contains("1 of 2 recorded requests"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_are_tried_on_what_was_asked_for_and_on_what_is_cached() {
    let up = upstream().await;
    let setup = setup(&up);
    setup.write_policy("all", &rule("all", "allow", "npm:left-pad", ""));
    let garth = setup.start();
    garth.run(&["allow", "npm:@s/n"]);
    install(&garth, &["left-pad@1.3.0", "@s/n"]);
    install(&garth, &["left-pad@1.3.0"]);
    let refused = npm(&garth);
    garth.run(&["deny", "npm:@s/n"]);
    assert!(!refused.run(&["install", "@s/n"]).success);
    garth.run(&["rules", "remove", "deny-s-n"]);

    // The same files change nothing but what was refused meanwhile.
    let same = garth.setup().directory().join("policies");
    let (code, text) = told(&garth.garth(&["policy", "diff", same.to_str().unwrap()]));
    assert_eq!(code, Some(0), "{text}");
    let (code, text) =
        told(&garth.garth(&["policy", "backtest", same.to_str().unwrap(), "--in-force"]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("all would be decided as they were"), "{text}");

    let stricter = rule("all", "allow", "npm:left-pad", "")
        + &rule(
            "no-old",
            "deny",
            "npm:left-pad",
            "versions = '<=1.3.0'\nteams = ['web/*']\nreason = 'ADR-9'",
        );
    let stricter = candidate(&garth, "stricter", &stricter);
    let (code, text) = told(&garth.garth(&["policy", "backtest", &stricter, "--since", "1d"]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("2 would be refused, 1 let in"), "{text}");
    assert!(text.contains("refused  npm:left-pad@1.3.0"), "{text}");
    assert!(text.contains("(no team)"), "nobody knows who asked: {text}");
    assert!(text.contains("2 x, last"), "{text}");
    assert!(text.contains("allow by all → deny by no-old: ADR-9"), "{text}");
    assert!(text.contains("let in   npm:@s/n@1.0.0"), "{text}");

    let (code, text) = told(&garth.garth(&["policy", "diff", &stricter, "--json"]));
    assert_eq!(code, Some(1), "{text}");
    let report: Value = serde_json::from_str(&text).unwrap();
    let mut whom: Vec<String> = Vec::new();
    for change in report["changes"].as_array().unwrap() {
        assert_eq!(change["package"], "npm:left-pad", "{report}");
        assert_eq!(change["kind"], "refused", "{report}");
        whom.push(change["whom"]["team"].as_str().unwrap_or("-").to_owned());
    }
    whom.sort();
    assert_eq!(whom, ["-", "web/*"], "{report}");

    let other = candidate(&garth, "other", &rule("nothing", "allow", "npm:nothing", ""));
    let (code, text) = told(&garth.garth(&["policy", "diff", &other, same.to_str().unwrap()]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("let in   npm:left-pad@1.3.0  everybody"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn files_with_faults_are_not_tried_and_each_fault_has_its_place() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let broken = "[[rule]]\nname = 'x'\neffect = 'alow'\npackages = ['npm:a']\n";
    let broken = candidate(&garth, "broken", broken);
    for command in ["diff", "backtest"] {
        let (code, text) = told(&garth.garth(&["policy", command, &broken]));
        assert_eq!(code, Some(2), "{text}");
        let place = Path::new(&broken).join("rules.toml");
        assert!(text.contains(&format!("{}:3:10: ", place.display())), "{text}");
        let (code, text) = told(&garth.garth(&["policy", command, "nowhere"]));
        assert_eq!(code, Some(2), "{text}");
        assert!(text.contains("nowhere"), "{text}");
    }
}

/// The revision in force, once it is written down, which is done beside the requests.
async fn kept_revision(garth: &TestServer, asked: &str) -> String {
    let now = garth.garth(&["why", asked, "--json"]);
    let now: Value = serde_json::from_slice(&now.stdout).unwrap();
    let revision = now["revision"].as_str().unwrap().to_owned();
    eventually("it is kept", Duration::from_secs(30), async || {
        garth.run(&["log", "--action", "revision-in-force", "--json"]).contains(&revision)
    })
    .await;
    revision
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_revision_says_what_it_said_then() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let asked = "npm:left-pad@1.3.0";
    garth.run(&["allow", "npm:left-pad"]);
    let revision = kept_revision(&garth, asked).await;
    garth.run(&["rules", "remove", "allow-left-pad"]);
    kept_revision(&garth, asked).await;
    assert_eq!(told(&garth.garth(&["why", asked])).0, Some(1), "it is denied by now");
    let (setup, _) = garth.stop();
    let garth = setup.start();
    let (code, text) = told(&garth.garth(&["why", asked, "--at", &revision]));
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("npm:left-pad@1.3.0 is allowed"), "{text}");
    assert!(text.contains(" * allow  allow-left-pad"), "{text}");
    assert!(text.contains(&format!("Rules of revision {revision}")), "{text}");
    assert!(text.contains("which is when this was the answer"), "{text}");
    let (code, text) = told(&garth.garth(&["why", asked, "--at", "0123456789abcdef"]));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("0123456789abcdef") && text.contains(&revision), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_names_the_teams_and_each_team_sees_its_own_use_alone() {
    let up = upstream().await;
    let setup = setup(&up).with_settings("mode = \"observe\"");
    setup.write_policy("all", &rule("all", "allow", "npm:@s/n", ""));
    let garth = setup.start();
    for team in ["web/shop", "ops/db"] {
        garth.run(&["team", "create", team]);
    }
    let shop = token(&garth, &["shop", "--team", "web/shop"]);
    let db = token(&garth, &["db", "--team", "ops/db"]);
    for _ in 0..2 {
        npm_with(&garth, &shop).must(&["install", "left-pad@1.3.0", "@s/n"]);
    }
    npm_with(&garth, &db).must(&["install", "left-pad@1.3.0", "@s/n"]);
    let text = garth.run(&["observed"]);
    assert!(text.contains("2 x  deny   npm:left-pad@1.3.0  web/shop"), "{text}");
    assert!(text.contains("1 x  deny   npm:left-pad@1.3.0  ops/db"), "{text}");
    assert_eq!(observed(&garth, &["--team", "web/*"])["would_be_refused"], 2);
    assert_eq!(observed(&garth, &["--token", &db])["would_be_refused"], 1);
    let (code, text) = told(&garth.garth(&["observed", "--token", &db, "--team", "web/shop"]));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("their own team alone"), "{text}");

    let stricter = rule("all", "allow", "npm:*", "")
        + &rule("not-for-web", "deny", "npm:@s/n", "teams = ['web/*']");
    let stricter = candidate(&garth, "stricter", &stricter);
    let (code, text) = told(&garth.garth(&["policy", "backtest", &stricter]));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("2 would be refused, 3 let in"), "{text}");
    assert!(text.contains("refused  npm:@s/n@1.0.0      web/shop        2 x"), "{text}");
    assert!(text.contains("let in   npm:left-pad@1.3.0  ops/db          1 x"), "{text}");
    assert!(text.contains("team web/shop: 2 would be refused, 2 let in"), "{text}");
    let (code, text) = told(&garth.garth(&["policy", "backtest", &stricter, "--token", &db]));
    assert_eq!(code, Some(2), "to try policies takes the right to administer: {text}");
}
