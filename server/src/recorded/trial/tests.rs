#![allow(clippy::unwrap_used)]

use jiff::SignedDuration;
use policies::backtest::{Change, Totals};
use policies::decide::decide;
use policies::rules::parse;

use super::*;
use crate::gate::Asking;
use crate::metadata::Batch;
use crate::metadata::records::VersionPlaces;
use crate::recorded::tests::Recorded;
use crate::recorded::{Asked, Outcome};

const OPEN: &str = "
    [[rule]]
    name = 'all'
    effect = 'allow'
    packages = ['npm:*']
";
/// Beside it.
const SETTLE: &str = "
    [[rule]]
    name = 'settle'
    effect = 'hold'
    packages = ['npm:*']
    when = \"age < duration('24h')\"
    [[rule]]
    name = 'not-for-web'
    effect = 'deny'
    packages = ['npm:left-pad']
    teams = ['web/*']
";

fn set(text: &str) -> RuleSet {
    RuleSet::compile(parse("a.toml", text).unwrap()).unwrap()
}

fn settling() -> RuleSet {
    set(&[OPEN, SETTLE].concat())
}

struct Tried {
    recorded: Recorded,
    recorder: Recorder,
}

impl Tried {
    /// Every version was published when the clock began.
    async fn new(versions: &[(&str, &str)]) -> Self {
        let recorded = Recorded::new();
        let recorder = recorded.recorder();
        let published = recorded.now();
        for (name, version) in versions {
            let package: Package = format!("npm:{name}").parse().unwrap();
            let record = VersionRecord {
                first_seen: published,
                published: Some(published),
                digests: [].into(),
                vanished: None,
                conflict: None,
                own: false,
                compared: None,
                size: None,
                inside: None,
            };
            let (_, mut places): (_, VersionPlaces) =
                records::read_versions(recorder.metadata(), "npm", &package).await.unwrap();
            let version = Version::new(version).unwrap();
            let batch = places.put([(&version, &record)]).unwrap();
            recorder.metadata().commit(batch).await.unwrap();
        }
        Self { recorded, recorder }
    }

    /// As the gate would, by these rules.
    async fn ask(&self, rules: &RuleSet, name: &str, version: &str, team: Option<&str>) {
        let package: Package = format!("npm:{name}").parse().unwrap();
        let version = Version::new(version).unwrap();
        let asking = Asking { team: team.map(Into::into), environment: None };
        let (known, _) =
            records::read_versions(self.recorder.metadata(), "npm", &package).await.unwrap();
        let (now, said) = (self.recorded.now(), Said::default());
        let remembered =
            Remembered { registry: Some("npm"), record: known.get(&version), stated: None };
        let facts = gather_facts(now, &remembered, &said);
        let decision = decide(&rules.for_package(&package), &version, &facts, &asking.asker());
        let outcome = Outcome::of(&decision, decision.is_allowed());
        let registry = "npm".into();
        let (package, version) = (&package, Some(&version));
        let asked = Asked { registry: &registry, package, version, asking: &asking };
        self.recorder.note(asked, outcome, &decision.revision, now);
    }

    async fn cache(&self, name: &str, version: &str) {
        let file = format!("{name}-{version}.tgz");
        let record = ArtifactRecord {
            blob: policies::package::Digest::sha256_of(file.as_bytes()),
            size: 1,
            digests: Vec::new(),
            version: version.to_owned(),
            source: None,
            fetched: self.recorded.now(),
            own: false,
        };
        let key = ArtifactRecord::key("npm", name, &file);
        let batch = Batch::default().put_record(&key, &record);
        self.recorder.metadata().commit(batch).await.unwrap();
    }

    fn trial(&self, candidate: RuleSet) -> Trial {
        Trial {
            recorder: self.recorder.clone(),
            names: Arc::new([("npm".into(), Ecosystem::Npm)]),
            registries: Arc::new([]),
            candidate,
            since: Timestamp::UNIX_EPOCH,
            lines: 100,
        }
    }
}

fn lines(report: &TrialReport) -> Vec<String> {
    let line = |change: &Change| {
        let Change { kind, package, version, whom, after, requests, .. } = change;
        let rule = after.rule.as_deref().unwrap_or("-");
        format!("{requests} {kind:?} {}@{version} {whom} {rule}", package.name())
    };
    report.report.changes.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backtest_decides_as_of_the_moment_at_which_each_request_came() {
    let tried = Tried::new(&[("left-pad", "1.3.0"), ("x", "1.0.0")]).await;
    let open = set(OPEN);
    for _ in 0..3 {
        tried.ask(&open, "x", "1.0.0", Some("ml/a")).await;
    }
    tried.recorded.pass(SignedDuration::from_hours(30));
    tried.ask(&open, "x", "1.0.0", Some("ml/a")).await;
    tried.ask(&open, "left-pad", "1.3.0", Some("web/shop")).await;
    tried.ask(&open, "left-pad", "1.3.0", Some("ml/a")).await;
    tried.recorded.pass(SignedDuration::from_hours(24 * 10));
    let report = tried.trial(settling()).backtest(None).await.unwrap();
    assert_eq!(
        lines(&report),
        ["3 Refused x@1.0.0 ml/a settle", "1 Refused left-pad@1.3.0 web/shop not-for-web"]
    );
    assert_eq!((report.report.requests, report.report.changed), (6, 2));
    let shop = Totals { refused: 1, ..Totals::default() };
    assert_eq!(report.report.teams.get("web/shop"), Some(&shop));
    let last = report.report.changes[0].last.unwrap();
    assert_eq!(last.to_string(), "2026-06-01T10:59:58Z", "the last that would be refused");

    let same = tried.trial(set(OPEN)).backtest(None).await.unwrap();
    assert_eq!(same.report.changed, 0, "{:?}", same.report.changes);
    let in_force = Some(Arc::new(settling()));
    let same = tried.trial(settling()).backtest(in_force).await.unwrap();
    assert_eq!((same.report.changed, same.report.requests), (0, 6));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_is_of_now_and_of_what_is_cached_or_was_asked_for() {
    let tried = Tried::new(&[("left-pad", "1.3.0"), ("left-pad", "1.2.0"), ("x", "1.0.0")]).await;
    let open = set(OPEN);
    tried.ask(&open, "left-pad", "1.3.0", Some("web/shop")).await;
    tried.ask(&open, "left-pad", "1.3.0", Some("ml/a")).await;
    tried.ask(&open, "x", "1.0.0", None).await;
    tried.cache("left-pad", "1.2.0").await;
    tried.recorded.pass(SignedDuration::from_hours(1));
    let report = tried.trial(settling()).diff(Arc::new(set(OPEN))).await.unwrap();
    let of_all = lines(&report);
    // Everything is too young, for everybody; for teams of web it is denied by another rule.
    for expected in [
        "1 Refused left-pad@1.3.0 web/shop not-for-web",
        "1 Refused left-pad@1.3.0 ml/a settle",
        "1 Refused x@1.0.0 everybody settle",
        "0 Refused left-pad@1.2.0 web/shop not-for-web",
        "0 Refused left-pad@1.2.0 web/* not-for-web",
        "0 Refused left-pad@1.2.0 ml/a settle",
        "0 Refused left-pad@1.2.0 (no team) not-for-web",
    ] {
        assert!(of_all.contains(&expected.to_owned()), "{expected}: {of_all:#?}");
    }
    assert_eq!(of_all.len(), 7, "{of_all:#?}");
    tried.recorded.pass(SignedDuration::from_hours(24));
    let report = tried.trial(settling()).diff(Arc::new(set(OPEN))).await.unwrap();
    let of_all = lines(&report);
    assert!(of_all.iter().all(|line| line.contains("not-for-web")), "{of_all:#?}");
    let same = tried.trial(settling()).diff(Arc::new(settling())).await.unwrap();
    assert_eq!(same.report.changed, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_refused_because_rules_could_not_be_read_is_not_tried() {
    let tried = Tried::new(&[("x", "1.0.0")]).await;
    tried.ask(&RuleSet::unavailable("the store fails"), "x", "1.0.0", None).await;
    tried.ask(&RuleSet::empty(), "x", "1.0.0", None).await;
    let report = tried.trial(set(OPEN)).backtest(None).await.unwrap();
    assert_eq!(lines(&report), ["1 LetIn x@1.0.0 (no team) all"]);
}

/// Not a measurement: that is `cargo bench -p policies --bench backtest`. But a trial that looked
/// something up for each row would take minutes.
#[tokio::test(flavor = "multi_thread")]
async fn a_day_of_a_million_decisions_is_tried_in_seconds() {
    const ROWS: usize = 100_000;
    let names: Vec<String> = (0..500).map(|n| format!("p-{n}")).collect();
    let tried = Tried::new(&[]).await;
    let registry: Arc<str> = "npm".into();
    let (rules, open) = (RuleSet::empty(), set(OPEN));
    let allowed = {
        let package: Package = "npm:p-0".parse().unwrap();
        let facts = Facts::at(tried.recorded.now());
        let version = Version::new("1.0.0").unwrap();
        decide(&open.for_package(&package), &version, &facts, &Asking::default().asker())
    };
    let outcome = Outcome::of(&allowed, true);
    let packages: Vec<Package> =
        names.iter().map(|name| format!("npm:{name}").parse().unwrap()).collect();
    for hour in 0..4 {
        for n in 0..ROWS / 4 {
            let version = Version::new(&format!("1.0.{}", n / 1000)).unwrap();
            let asking =
                Asking { team: Some(format!("u/t-{}", n % 200).into()), environment: None };
            let (package, version) = (&packages[n % 500], Some(&version));
            let asked = Asked { registry: &registry, package, version, asking: &asking };
            for _ in 0..10 {
                let now = tried.recorded.now();
                tried.recorder.note(asked, outcome.clone(), rules.revision(), now);
            }
        }
        tried.recorder.flush().await.unwrap();
        tried.recorded.pass(SignedDuration::from_hours(1 + hour % 2));
    }
    let begun = tokio::time::Instant::now();
    let report = tried.trial(settling()).backtest(None).await.unwrap();
    let (cases, requests) = (report.report.cases, report.report.requests);
    println!("{cases} rows of {requests} requests in {:?}", begun.elapsed());
    assert_eq!((cases, requests), (100_000, 1_000_000));
}
