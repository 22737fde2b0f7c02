//! How requests end.

use super::*;
use crate::metadata::records::{VersionRecord, VersionsRecord};
use crate::rules::ChangeError;

#[tokio::test]
async fn an_approval_makes_a_rule_that_names_request_and_approver() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    requests.ask(&ask("npm:left-pad@1.3.0", "ann", Some("the reports"))).await.unwrap();
    let approval = Approval {
        teams: vec!["web/shop".to_owned()],
        versions: Some("^1.3.0".to_owned()),
        expires: Some("2027-01-01".to_owned()),
        link: Some("https://garth.example.com/api/v1/requests/1".to_owned()),
        ..Approval::default()
    };
    let approved = requests.approve(1, &approval, "bob").await.unwrap();
    assert_eq!(approved.rules, ["request-1"]);
    assert!(approved.now.unwrap().decision.is_allowed(), "for that team");
    let set = requests.0.rules.current();
    let rule = set.rule("request-1").unwrap();
    assert_eq!(rule.effect, Effect::Allow);
    assert_eq!(rule.teams.iter().map(ToString::to_string).collect::<Vec<_>>(), ["web/shop"]);
    assert_eq!(&*rule.versions.as_ref().unwrap().text, "^1.3.0");
    assert_eq!(rule.reason.as_deref(), Some("request 1: the reports"));
    assert_eq!(rule.owner.as_deref(), Some("bob"));
    assert!(rule.link.as_deref().unwrap().ends_with("/requests/1"));
    let found = requests.get(1).await.unwrap().unwrap();
    assert_eq!(found.stage, Stage::Approved);
    assert_eq!(found.record.closed.unwrap().by, "bob");
    assert_eq!(open(&requests).await, []);
    // Whoever is refused now, as another team would be, opens another one.
    assert_eq!(refuse(&requests, "left-pad", Some("1.3.0")), Known::New);
}

#[tokio::test]
async fn nobody_approves_what_they_asked_for_unless_the_setting_says_so() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    requests.ask(&ask("npm:left-pad", "ann", None)).await.unwrap();
    // The list of askers has an end, and a late one is not forgotten by it.
    for n in 0..40 {
        requests.ask(&ask("npm:left-pad", &format!("person-{n}"), None)).await.unwrap();
    }
    for name in ["ann", "person-0", "person-39"] {
        let refused = requests.approve(1, &Approval::default(), name).await.unwrap_err();
        assert!(matches!(refused, CloseError::Own { .. }), "{name}: {refused}");
    }
    assert!(requests.0.rules.current().rules().is_empty());
    let lenient = RequestsConfig { own_approval: true, ..config() };
    let lenient = garden.requests_with(lenient).await;
    lenient.approve(1, &Approval::default(), "ann").await.unwrap();
}

#[tokio::test]
async fn who_was_refused_by_their_token_asked_for_it_too() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    requests.refused(&refused("left-pad"), &wanted("left-pad", None), person("ann"));
    requests.write_refusals().await.unwrap();
    let fault = requests.approve(1, &Approval::default(), "ann").await.unwrap_err();
    assert!(matches!(fault, CloseError::Own { .. }), "{fault}");
    requests.approve(1, &Approval::default(), "bob").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_approvers_at_once_one_makes_the_rule_and_the_other_is_told() {
    for _ in 0..8 {
        let garden = Garden::new().await;
        let (here, there) = (garden.requests().await, garden.requests().await);
        here.ask(&ask("npm:left-pad", "ann", None)).await.unwrap();
        let approval = Approval::default();
        let (bob, cid) =
            tokio::join!(here.approve(1, &approval, "bob"), there.approve(1, &approval, "cid"));
        let (won, lost) = if bob.is_ok() { (bob, cid) } else { (cid, bob) };
        assert_eq!(won.unwrap().rules, ["request-1"]);
        let lost = lost.unwrap_err();
        assert!(
            matches!(
                lost,
                CloseError::Closed { .. } | CloseError::Rule(ChangeError::NameTaken { .. })
            ),
            "{lost}"
        );
        here.0.rules.reload().await;
        assert_eq!(here.0.rules.current().rules().len(), 1);
    }
}

#[tokio::test]
async fn a_rejection_answers_the_next_who_is_refused_and_the_next_who_asks() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    requests.ask(&ask("npm:left-pad", "ann", None)).await.unwrap();
    assert!(matches!(requests.reject(1, Some(" "), "bob").await, Err(CloseError::NoReason)));
    requests.reject(1, Some("use padStart"), "bob").await.unwrap();
    let fault = requests.reject(1, Some("twice"), "cid").await.unwrap_err().to_string();
    assert_eq!(fault, "request 1 was rejected by bob on 2026-06-01T00:00:00Z already");
    let known =
        Known::Rejected { number: 1, at: NOW.parse().unwrap(), reason: "use padStart".to_owned() };
    assert_eq!(refuse(&requests, "left-pad", Some("1.3.0")), known);
    requests.write_refusals().await.unwrap();
    assert_eq!(open(&requests).await, [], "it is answered");
    assert_eq!(requests.get(1).await.unwrap().unwrap().record.refusals, 1, "and counted");
    let again = garden.requests().await;
    assert_eq!(refuse(&again, "left-pad", None), known, "after a restart too");
    let asked = again.ask(&ask("npm:left-pad", "ann", Some("for IE"))).await.unwrap();
    assert!(asked.created, "a person may ask again");
    assert_eq!(asked.rejected.unwrap().2, "use padStart");
    assert_eq!(refuse(&again, "left-pad", None), Known::Open(2));
}

#[tokio::test]
async fn a_deny_or_hold_in_the_way_is_named_and_lifted_by_a_waiver_alone() {
    let garden = Garden::new().await;
    garden
        .policy(
            "[[rule]]\nname = 'no-pads'\neffect = 'deny'\npackages = ['npm:left-pad']\n\
             [[rule]]\nname = 'look-first'\neffect = 'hold'\npackages = ['npm:*']\n",
        )
        .await;
    let requests = garden.requests().await;
    requests.ask(&ask("npm:left-pad@1.3.0", "ann", Some("the reports"))).await.unwrap();
    let fault = requests.approve(1, &Approval::default(), "bob").await.unwrap_err();
    let CloseError::Stands(obstacle) = &fault else { panic!("{fault}") };
    let names: Vec<&str> = obstacle.standing.iter().map(|one| one.rule.as_str()).collect();
    assert_eq!(names, ["no-pads", "look-first"]);
    assert!(fault.to_string().contains("--waive"), "{fault}");
    assert_eq!(open(&requests).await.len(), 1, "nothing was changed");
    let endless = Approval { waive: true, ..Approval::default() };
    let fault = requests.approve(1, &endless, "bob").await.unwrap_err();
    assert!(fault.to_string().contains("no `expires`"), "{fault}");
    let waiver = Approval { expires: Some("2026-07-01".to_owned()), ..endless };
    let approved = requests.approve(1, &waiver, "bob").await.unwrap();
    assert_eq!(approved.rules, ["request-1", "request-1-2"]);
    assert!(approved.now.unwrap().decision.is_allowed());
}

#[tokio::test]
async fn a_policy_approves_what_enough_is_known_of_and_the_rule_keeps_its_condition() {
    let garden = Garden::new().await;
    garden
        .policy(
            "[[approve]]\nname = 'settled'\npackages = ['npm:*']\nexpires = '90d'\n\
             when = \"age_here > duration('720h')\"\nreason = 'a month old'\n\
             [[approve]]\nname = 'types'\npackages = ['npm:@types/*']\nversions = '>=18'\n\
             [[rule]]\nname = 'no'\neffect = 'deny'\npackages = ['npm:@types/evil']\n",
        )
        .await;
    let requests = garden.requests().await;
    // Nobody has seen it, so nobody knows its age.
    let asked = requests.ask(&ask("npm:left-pad@1.3.0", "ann", None)).await.unwrap();
    assert_eq!(asked.request.stage, Stage::Open);
    let asked = requests.ask(&ask("npm:@types/node@20.0.0", "ann", None)).await.unwrap();
    assert_eq!(asked.request.stage, Stage::Approved);
    let closed = asked.request.record.closed.unwrap();
    assert_eq!((&*closed.by, closed.automatic), ("types", true));
    let asked = requests.ask(&ask("npm:@types/evil@20.0.0", "ann", None)).await.unwrap();
    assert_eq!(asked.request.stage, Stage::Open, "a deny stands");
    let asked = requests.ask(&ask("npm:@types/node@^17", "ann", None)).await.unwrap();
    assert_eq!(asked.request.stage, Stage::Open, "no version of it is known");

    // It was seen long ago, and is refused again.
    let seen = "2026-01-01T00:00:00Z".parse().unwrap();
    let record = VersionRecord {
        first_seen: seen,
        published: None,
        digests: [].into(),
        vanished: None,
        conflict: None,
        own: false,
        compared: None,
        size: None,
        inside: None,
    };
    let versions = VersionsRecord { versions: vec![("1.3.0".to_owned(), record)] };
    let key = VersionsRecord::key("npm", "left-pad", 0);
    garden.metadata.commit(Batch::default().put_record(&key, &versions)).await.unwrap();
    refuse(&requests, "left-pad", Some("1.3.0"));
    requests.write_refusals().await.unwrap();
    let found = requests.get(1).await.unwrap().unwrap();
    assert_eq!(found.stage, Stage::Approved);
    let set = requests.0.rules.current();
    let rule = set.rule("request-1").unwrap();
    assert_eq!(rule.when.as_ref().unwrap().text(), "age_here > duration('720h')");
    assert_eq!(rule.expires.unwrap().to_string(), "2026-08-30T00:00:00Z");
    assert_eq!(
        (rule.owner.as_deref(), rule.reason.as_deref()),
        (Some("settled"), Some("request 1: a month old"))
    );
}
