//! Open requests when rules and policies change.

use policies::rules::Draft;

use super::closures::{ask_all, versions};
use super::*;
use crate::requests::answering::Looking;

async fn allow(requests: &Requests, packages: &[&str], range: Option<&str>, team: Option<&str>) {
    let draft = Draft {
        effect: Some("allow".to_owned()),
        packages: packages.iter().map(|&text| text.to_owned()).collect(),
        versions: range.map(str::to_owned),
        teams: team.map(|team| vec![team.to_owned()]),
        ..Draft::default()
    };
    requests.0.rules.add(draft, "zoe").await.unwrap();
}

async fn stage(requests: &Requests, number: u64) -> Stage {
    requests.get(number).await.unwrap().unwrap().stage
}

#[tokio::test]
async fn what_another_rule_allows_is_answered_with_that_rule_and_nothing_else_is() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    let mut looking = Looking::default();
    for package in
        ["npm:one@1.3.0", "npm:other@1.3.0", "npm:range@^1", "npm:any", "npm:denied@1.0.0"]
    {
        requests.ask(&ask(package, "ann", None)).await.unwrap();
    }
    refuse(&requests, "machine", None);
    requests.write_refusals().await.unwrap();
    requests.look_again(&mut looking).await.unwrap();
    assert_eq!(open(&requests).await.len(), 6, "nothing allows any of them");

    allow(&requests, &["npm:one", "npm:denied"], Some(">=1"), None).await;
    allow(&requests, &["npm:other", "npm:machine"], Some("2.0.0"), None).await;
    allow(&requests, &["npm:range", "npm:any"], Some("1.3.0"), None).await;
    garden.policy("[[rule]]\nname = 'no'\neffect = 'deny'\npackages = ['npm:denied']\n").await;
    requests.0.rules.reload().await;
    requests.look_again(&mut looking).await.unwrap();
    let left: Vec<u64> = open(&requests).await.iter().map(|one| one.number).collect();
    assert_eq!(left, [2, 3, 4, 5, 6], "one version is not what the others ask for");
    let found = requests.get(1).await.unwrap().unwrap();
    assert_eq!(found.stage, Stage::Answered);
    let closed = found.record.closed.unwrap();
    assert_eq!((&*closed.by, closed.rules), ("zoe", vec!["allow-one".to_owned()]));
    assert_eq!(refuse(&requests, "one", Some("1.3.0")), Known::New);

    allow(&requests, &["npm:range"], Some(">=1"), None).await;
    allow(&requests, &["npm:any", "npm:machine"], None, None).await;
    requests.look_again(&mut looking).await.unwrap();
    let left: Vec<u64> = open(&requests).await.iter().map(|one| one.number).collect();
    assert_eq!(left, [2, 5]);
    // A restart knows the same.
    let again = garden.requests().await;
    assert_eq!(again.0.board.read().counts(), (2, 0));
}

#[tokio::test]
async fn a_rule_for_one_team_answers_its_own_request_and_no_other() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    let of = |name: &str, team: &str| Who {
        team: Some(team.to_owned()),
        team_verified: true,
        ..person(name)
    };
    for (package, who) in [
        ("npm:a@1.0.0", of("ann", "web/shop")),
        ("npm:b@1.0.0", of("bob", "web/blog")),
        ("npm:c@1.0.0", of("ann", "web/shop")),
        ("npm:c@1.0.0", of("bob", "web/blog")),
    ] {
        requests.ask(&Ask { package: package.to_owned(), reason: None, who }).await.unwrap();
    }
    allow(&requests, &["npm:a", "npm:b", "npm:c"], None, Some("web/shop")).await;
    requests.look_again(&mut Looking::default()).await.unwrap();
    let stages = [stage(&requests, 1).await, stage(&requests, 2).await, stage(&requests, 3).await];
    assert_eq!(stages, [Stage::Answered, Stage::Open, Stage::Open]);
}

#[tokio::test]
async fn a_closure_is_answered_when_all_of_it_is_allowed() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    let all = versions(&["npm:app@1.0.0", "npm:a@1.1.0"]);
    ask_all(&requests, "ann", None, &all).await.unwrap();
    allow(&requests, &["npm:app"], None, None).await;
    let mut looking = Looking::default();
    requests.look_again(&mut looking).await.unwrap();
    assert_eq!(stage(&requests, 1).await, Stage::Open);
    allow(&requests, &["npm:a@1.1.0"], None, None).await;
    requests.look_again(&mut looking).await.unwrap();
    assert_eq!(stage(&requests, 1).await, Stage::Answered);
    let closed = requests.get(1).await.unwrap().unwrap().record.closed.unwrap();
    assert_eq!(closed.rules, ["allow-a-1.1.0", "allow-app"]);
}

#[tokio::test]
async fn policies_that_come_later_approve_what_was_asked_for_before() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    requests.ask(&ask("npm:@types/node@20.0.0", "ann", None)).await.unwrap();
    requests.ask(&ask("npm:left-pad@1.3.0", "ann", None)).await.unwrap();
    let mut looking = Looking::default();
    requests.look_again(&mut looking).await.unwrap();
    // The set of rules stays the same: only what approves is another one.
    let revision = requests.0.rules.current().revision().clone();
    garden.policy("[[approve]]\nname = 'types'\npackages = ['npm:@types/*']\n").await;
    requests.0.rules.reload().await;
    assert_eq!(*requests.0.rules.current().revision(), revision);
    requests.look_again(&mut looking).await.unwrap();
    let stages = [stage(&requests, 1).await, stage(&requests, 2).await];
    assert_eq!(stages, [Stage::Approved, Stage::Open]);
    // Reading the same files again is no reason for another look.
    requests.look_again(&mut looking).await.unwrap();
    let known = requests.0.rules.approvals();
    requests.0.rules.reload().await;
    assert!(Arc::ptr_eq(&known, &requests.0.rules.approvals()));
}
