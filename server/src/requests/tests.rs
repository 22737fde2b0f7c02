#![allow(clippy::unwrap_used)]

mod answering;
mod closing;
mod closures;

use std::time::Duration;

use policies::decision::{Decision, Effect, Revision};
use policies::facts::Missing;
use policies::package::{Ecosystem, Package, PackageVersion, Version};
use tempfile::TempDir;

use super::*;
use crate::metadata::Batch;
use crate::metadata::sled::{Sled, SledOptions};
use crate::rules::RulesConfig;

const NOW: &str = "2026-06-01T00:00:00Z";

/// For tests of what stands above.
pub async fn opened(memory: &Memory, rules: &Rules, clock: &Clock) -> Requests {
    Requests::open(Parts {
        config: config(),
        metadata: Arc::clone(&memory.metadata),
        memory: memory.clone(),
        rules: rules.clone(),
        clock: clock.clone(),
        metrics: Metrics::new(),
    })
    .await
}

struct Garden {
    home: TempDir,
    metadata: Arc<dyn Metadata>,
    rules: Rules,
    now: Arc<Mutex<Timestamp>>,
}

impl Garden {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        tokio::fs::create_dir(home.path().join("policies")).await.unwrap();
        let metadata = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
        let metadata: Arc<dyn Metadata> = Arc::new(metadata);
        let now = Arc::new(Mutex::new(NOW.parse().unwrap()));
        let rules = Self::rules(&home, &metadata, &now).await;
        Self { home, metadata, rules, now }
    }

    async fn rules(
        home: &TempDir,
        metadata: &Arc<dyn Metadata>,
        now: &Arc<Mutex<Timestamp>>,
    ) -> Rules {
        let config = RulesConfig { dir: Some(home.path().join("policies")) };
        let now = Arc::clone(now);
        let clock = Clock::from_fn(move || *now.lock());
        Rules::open(config, Arc::clone(metadata), clock).await.unwrap()
    }

    fn clock(&self) -> Clock {
        let now = Arc::clone(&self.now);
        Clock::from_fn(move || *now.lock())
    }

    async fn policy(&self, text: &str) {
        tokio::fs::write(self.home.path().join("policies/a.toml"), text).await.unwrap();
        assert_eq!(self.rules.reload().await, []);
    }

    async fn requests(&self) -> Requests {
        self.requests_with(config()).await
    }

    /// As another process over the same store would have them.
    async fn requests_with(&self, config: RequestsConfig) -> Requests {
        let memory = Memory {
            metadata: Arc::clone(&self.metadata),
            registries: Arc::new([("npm".into(), Ecosystem::Npm)]),
        };
        let rules = Self::rules(&self.home, &self.metadata, &self.now).await;
        let (metadata, clock, metrics) = (Arc::clone(&self.metadata), self.clock(), Metrics::new());
        Requests::open(Parts { config, metadata, memory, rules, clock, metrics }).await
    }
}

fn config() -> RequestsConfig {
    RequestsConfig {
        automatic: true,
        max_automatic: 100,
        own_approval: false,
        keep: Duration::from_hours(24),
    }
}

fn refused(package: &str) -> Refused {
    let package = Package::new(Ecosystem::Npm, package).unwrap();
    let decision = Decision {
        effect: Effect::Deny,
        code: DecisionCode::NoRuleAllows,
        rule: None,
        reason: "no rule allows this package yet".into(),
        revision: Revision("r".into()),
        until: None,
        missing: Missing::NONE,
        waiver: None,
        observed: None,
    };
    Refused {
        subject: PackageVersion { package, version: Version::new("1.3.0").unwrap() },
        decision,
        needs_others: false,
    }
}

fn wanted(package: &str, version: Option<&str>) -> Wanted {
    Wanted {
        package: Package::new(Ecosystem::Npm, package).unwrap(),
        version: version.map(|text| Version::new(text).unwrap()),
    }
}

/// A machine without a token is refused.
fn refuse(requests: &Requests, package: &str, version: Option<&str>) -> Known {
    let who = Who { address: Some("10.0.0.7".to_owned()), ..Who::default() };
    requests.refused(&refused(package), &wanted(package, version), who)
}

fn person(name: &str) -> Who {
    Who { name: Some(name.to_owned()), verified: true, ..Who::default() }
}

fn ask(package: &str, name: &str, reason: Option<&str>) -> Ask {
    let reason = reason.map(str::to_owned);
    Ask { package: package.to_owned(), reason, who: person(name) }
}

async fn open(requests: &Requests) -> Vec<Numbered> {
    requests.list(Stage::Open, None, 10_000, |_| true).await.unwrap().requests
}

#[tokio::test]
async fn refusals_make_one_request_that_counts_them_and_survives_a_restart() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    for _ in 0..3 {
        assert_eq!(refuse(&requests, "left-pad", None), Known::New);
    }
    assert_eq!(open(&requests).await, [], "off the path of the refusal");
    requests.write_refusals().await.unwrap();
    let all = open(&requests).await;
    assert_eq!(all.len(), 1);
    let first = &all[0];
    assert_eq!((first.number, first.record.refusals, first.record.by_people), (1, 3, false));
    assert_eq!(first.record.askers[0].address.as_deref(), Some("10.0.0.7"));
    assert_eq!(first.record.refused.as_ref().unwrap().version, "1.3.0");

    let again = garden.requests().await;
    assert_eq!(refuse(&again, "left-pad", None), Known::Open(1));
    assert_eq!(refuse(&again, "left-pad", Some("1.3.0")), Known::Open(1), "it is about that too");
    again.write_refusals().await.unwrap();
    let all = open(&again).await;
    assert_eq!((all.len(), all[0].record.refusals), (1, 5));
}

#[tokio::test]
async fn a_person_joins_what_a_machine_was_refused_and_says_which_versions() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    refuse(&requests, "left-pad", None);
    requests.write_refusals().await.unwrap();
    let asked = requests.ask(&ask("npm:left-pad@1.3.0", "ann", Some("the reports"))).await.unwrap();
    assert!(!asked.created);
    assert_eq!(asked.request.number, 1);
    let record = &asked.request.record;
    assert_eq!(record.versions.as_deref(), Some("1.3.0"));
    assert_eq!(record.reason.as_deref(), Some("the reports"));
    assert!(record.by_people);
    let other = requests.ask(&ask("npm:left-pad@^2", "bob", None)).await.unwrap();
    assert!(other.created, "another wish is another request");
    let joined = requests.ask(&ask("npm:left-pad@1.3.0", "bob", Some("me too"))).await.unwrap();
    assert_eq!((joined.created, joined.request.number), (false, 1));
    let said = requests.comments(1).await.unwrap();
    assert_eq!(said.iter().map(|comment| &*comment.by).collect::<Vec<_>>(), ["ann", "bob"]);
    assert_eq!(refuse(&requests, "left-pad", Some("1.3.0")), Known::Open(1));
    assert_eq!(refuse(&requests, "left-pad", Some("2.0.1")), Known::Open(2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_processes_open_one_request_for_one_wish() {
    let garden = Garden::new().await;
    let (here, there) = (garden.requests().await, garden.requests().await);
    for n in 0..20 {
        let package = format!("npm:x{n}");
        let (ann, bob) = (ask(&package, "ann", None), ask(&package, "bob", None));
        let (ann, bob) = tokio::join!(here.ask(&ann), there.ask(&bob));
        let (ann, bob) = (ann.unwrap(), bob.unwrap());
        assert_eq!(ann.request.number, bob.request.number);
        assert_ne!(ann.created, bob.created);
    }
    assert_eq!(open(&here).await.len(), 20);
}

#[tokio::test]
async fn ten_thousand_refused_names_stay_within_their_bound_and_people_s_wishes_stay() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    requests.ask(&ask("npm:wanted", "ann", None)).await.unwrap();
    for _ in 0..5 {
        refuse(&requests, "often", None);
    }
    for n in 0..9_990 {
        refuse(&requests, &format!("x{n}"), None);
    }
    requests.write_refusals().await.unwrap();
    let all = open(&requests).await;
    assert_eq!(all.len(), 101);
    let names: Vec<&str> = all.iter().map(|one| &*one.record.package).collect();
    assert!(names.contains(&"npm:wanted") && names.contains(&"npm:often"), "{names:?}");
    // The board says the same as the store.
    let (open, automatic) = requests.0.board.read().counts();
    assert_eq!((open, automatic), (101, 100));
    let again = garden.requests().await;
    assert_eq!(again.0.board.read().counts(), (101, 100));
}

#[tokio::test]
async fn what_was_closed_long_ago_is_kept_no_longer() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    for package in ["npm:a", "npm:b"] {
        requests.ask(&ask(package, "ann", None)).await.unwrap();
        requests.ask(&ask(package, "cid", Some("me too"))).await.unwrap();
    }
    requests.reject(1, Some("no"), "bob").await.unwrap();
    requests.prune().await.unwrap();
    assert!(requests.get(1).await.unwrap().is_some());
    *garden.now.lock() = "2026-06-03T00:00:00Z".parse().unwrap();
    requests.prune().await.unwrap();
    assert_eq!(requests.get(1).await.unwrap(), None);
    assert_eq!(requests.comments(1).await.unwrap(), []);
    assert!(requests.get(2).await.unwrap().is_some(), "open ones stay");
    assert_eq!(refuse(&requests, "a", None), Known::New);
}

#[tokio::test]
async fn what_is_allowed_is_not_asked_for_and_nonsense_is_told() {
    let garden = Garden::new().await;
    garden.policy("[[rule]]\nname = 'r'\neffect = 'allow'\npackages = ['npm:react']\n").await;
    let requests = garden.requests().await;
    let said = |fault: AskError| fault.to_string();
    let fault = requests.ask(&ask("npm:react@18.0.0", "ann", None)).await.unwrap_err();
    assert!(said(fault).starts_with("npm:react@18.0.0 is allowed already"));
    for (package, reason, says) in [
        ("react", None, "npm:react"),
        ("npm:x@not a range!", None, "range"),
        ("npm:x", Some("a\nb"), "control"),
    ] {
        let fault = said(requests.ask(&ask(package, "ann", reason)).await.unwrap_err());
        assert!(fault.contains(says), "{package}: {fault}");
    }
    let long = "x".repeat(501);
    let fault = said(requests.ask(&ask("npm:x", "ann", Some(&long))).await.unwrap_err());
    assert!(fault.contains("too long"), "{fault}");
    assert_eq!(open(&requests).await, []);
}

#[tokio::test]
async fn the_largest_request_fits_into_the_store() {
    let garden = Garden::new().await;
    let requests = garden.requests().await;
    let name = format!("@{}/{}", "s".repeat(100), "n".repeat(110));
    let version = "1.3.0";
    let quotes = "\"".repeat(500);
    for n in 0..30 {
        let who = Who {
            name: Some(format!("{}{n:02}", "\"".repeat(78))),
            verified: true,
            team: Some(format!("{}/{}", "u".repeat(100), "t".repeat(100))),
            team_verified: true,
            address: None,
            build: Some("\"".repeat(60)),
        };
        for build in 0..4 {
            let build = Some(format!("{}{build}", "\"".repeat(59)));
            requests.refused(
                &refused(&name),
                &wanted(&name, Some(version)),
                Who { build, ..who.clone() },
            );
        }
        requests.write_refusals().await.unwrap();
        let package = format!("npm:{name}@{version}");
        requests.ask(&Ask { package, reason: Some(quotes.clone()), who }).await.unwrap();
    }
    let found = requests.get(1).await.unwrap().unwrap();
    assert_eq!(found.record.refusals, 120);
}
