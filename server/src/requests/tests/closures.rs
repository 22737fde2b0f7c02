//! Many versions as one request.

use super::*;
use crate::metadata::records::RequestVersions;
use crate::registries::closure::Standing;
use crate::requests::asking::{Asked, Wish};
use crate::requests::closures::Whole;

pub fn versions(texts: &[&str]) -> Vec<PackageVersion> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn whole(lockfile: Option<&str>, open: &[PackageVersion]) -> Result<Whole, AskError> {
    let open = open.iter().cloned().map(|version| (version, Standing::Open));
    Whole::new(lockfile.map(str::to_owned), None, open)
}

pub async fn ask_all(
    requests: &Requests,
    name: &str,
    lockfile: Option<&str>,
    open: &[PackageVersion],
) -> Result<Asked, AskError> {
    let (closure, who) = (Some(whole(lockfile, open)?), person(name));
    let package = Package::new(Ecosystem::Npm, "app").unwrap();
    let versions = Some("1.0.0".to_owned());
    requests.ask_for(Wish { package, versions, closure, reason: None, who: &who }).await
}

#[tokio::test]
async fn the_same_closure_is_one_request_and_nothing_is_added_to_one_that_is_open() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    refuse(&requests, "app", None);
    requests.write_refusals().await.unwrap();
    let first = versions(&["npm:app@1.0.0", "npm:a@1.1.0", "npm:b@2.0.0"]);
    let asked = ask_all(&requests, "ann", None, &first).await.unwrap();
    assert_eq!((asked.created, asked.request.number), (true, 2), "that was seen without them");
    assert_eq!(asked.request.record.versions.as_deref(), Some("1.0.0"));
    let asked = ask_all(&requests, "bob", None, &first[..2]).await.unwrap();
    assert_eq!((asked.created, asked.request.number), (false, 2), "all of it is in there");
    let more = versions(&["npm:app@1.0.0", "npm:c@1.0.0"]);
    let asked = ask_all(&requests, "cid", None, &more).await.unwrap();
    assert_eq!((asked.created, asked.request.number), (true, 3), "that was not looked at");
    let asked = ask_all(&requests, "cid", Some("package-lock.json of shop"), &first).await.unwrap();
    assert_eq!((asked.created, asked.request.number), (true, 4), "a lockfile is another wish");
    let plain = requests.ask(&ask("npm:app@1.0.0", "dan", None)).await.unwrap();
    assert_eq!((plain.created, plain.request.number), (false, 1), "and so is the package alone");

    let again = garden.requests().await;
    for requests in [&requests, &again] {
        assert_eq!(refuse(requests, "a", Some("1.1.0")), Known::Open(2));
        assert_eq!(refuse(requests, "c", None), Known::Open(3));
        assert_eq!(refuse(requests, "a", Some("1.0.0")), Known::New);
        requests.write_refusals().await.unwrap();
        let mut sorted = first.clone();
        sorted.sort();
        let found = requests.get(2).await.unwrap().unwrap();
        assert_eq!(requests.versions_of(2, &found.record).await.unwrap(), sorted);
        assert_eq!(found.record.refused, None, "it was another package's");
    }
    assert_eq!(again.0.board.read().counts(), (5, 1));

    let approved = again.approve(2, &Approval::default(), "eve").await.unwrap();
    assert_eq!(approved.rules, ["request-2"]);
    assert_eq!(again.0.board.read().counts(), (4, 1));
    let set = again.0.rules.current();
    let named: Vec<String> =
        set.rule("request-2").unwrap().patterns.iter().map(ToString::to_string).collect();
    assert_eq!(named, ["npm:a@1.1.0", "npm:app@1.0.0", "npm:b@2.0.0"]);
}

#[tokio::test]
async fn thousands_of_versions_are_one_request_and_one_rule_and_more_is_told() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    let many = |from: usize, count: usize| -> Vec<PackageVersion> {
        let texts = (from..from + count).map(|n| format!("npm:@scope/p-{n}@1.0.{n}"));
        texts.map(|text| text.parse().unwrap()).collect()
    };
    let fault = whole(None, &many(0, 5_001)).unwrap_err();
    assert!(fault.to_string().contains("ask for a part of them first"), "{fault}");
    for round in 0..4u32 {
        let number =
            ask_all(&requests, "ann", None, &many(round as usize * 5_000, 5_000)).await.unwrap();
        assert_eq!(number.request.number, u64::from(round) + 1);
    }
    let fault = ask_all(&requests, "ann", None, &many(50_000, 1)).await.unwrap_err();
    assert!(fault.to_string().starts_with("your open requests"), "{fault}");
    ask_all(&requests, "bob", None, &many(50_000, 1)).await.unwrap();
    requests.approve(1, &Approval::default(), "cid").await.unwrap();
    let set = requests.0.rules.current();
    assert_eq!(set.rule("request-1").unwrap().patterns.len(), 5_000);
    ask_all(&requests, "ann", None, &many(60_000, 5_000)).await.unwrap();

    // What is closed goes with all that belongs to it.
    for number in 2..=6 {
        requests.reject(number, Some("too much"), "cid").await.unwrap();
    }
    *garden.now.lock() = "2026-06-03T00:00:00Z".parse().unwrap();
    requests.prune().await.unwrap();
    let all = Prefix::<RequestVersions>::all();
    let left = records::scan(garden.metadata.as_ref(), &all, None, 9).await.unwrap();
    assert_eq!(left.len(), 0);
}

#[tokio::test]
async fn a_policy_approves_a_closure_when_it_approves_each_version_of_it() {
    let garden = Garden::new().await;
    garden
        .policy(
            "[[approve]]\nname = 'ours'\npackages = ['npm:app', 'npm:@ours/*']\n\
             [[rule]]\nname = 'no'\neffect = 'deny'\npackages = ['npm:@ours/evil']\n",
        )
        .await;
    let requests = garden.requests().await;
    let rows = [
        (&["npm:app@1.0.0", "npm:@ours/a@1.0.0"][..], Stage::Approved),
        (&["npm:app@1.0.0", "npm:@theirs/a@1.0.0"][..], Stage::Open),
        (&["npm:app@1.0.0", "npm:@ours/evil@1.0.0"][..], Stage::Open),
    ];
    for (texts, expected) in rows {
        let asked = ask_all(&requests, "ann", None, &versions(texts)).await.unwrap();
        assert_eq!(asked.request.stage, expected, "{texts:?}");
    }
    let set = requests.0.rules.current();
    assert_eq!(set.rule("request-1").unwrap().patterns.len(), 2);
}

#[tokio::test]
async fn a_closure_of_which_a_part_is_lost_is_not_approved() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    let both = versions(&["npm:app@1.0.0", "npm:a@1.1.0"]);
    ask_all(&requests, "ann", None, &both).await.unwrap();
    let lost = Batch::default().remove_record(&RequestVersions::key(1, 0));
    garden.metadata.commit(lost).await.unwrap();
    let fault = requests.approve(1, &Approval::default(), "bob").await.unwrap_err();
    assert!(fault.to_string().contains("0 of the 2 versions are there"), "{fault}");
    assert!(requests.0.rules.current().rules().is_empty());
    // The others are none the worse for it, and it can be rejected.
    let again = garden.requests().await;
    again.ask(&ask("npm:other@1.0.0", "ann", None)).await.unwrap();
    let draft = policies::rules::Draft {
        effect: Some("allow".to_owned()),
        packages: vec!["npm:app".to_owned(), "npm:other".to_owned()],
        ..policies::rules::Draft::default()
    };
    again.0.rules.add(draft, "zoe").await.unwrap();
    again.look_again(&mut super::super::answering::Looking::default()).await.unwrap();
    assert_eq!(again.get(2).await.unwrap().unwrap().stage, Stage::Answered);
    again.reject(1, Some("ask anew"), "bob").await.unwrap();
}
