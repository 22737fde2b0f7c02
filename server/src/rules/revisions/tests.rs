#![allow(clippy::unwrap_used)]

use jiff::SignedDuration;
use parking_lot::Mutex as Lock;
use policies::rules::Draft;
use tempfile::TempDir;

use super::*;
use crate::metadata::refusing::Refusing;
use crate::metadata::sled::{Sled, SledOptions};
use crate::rules::RulesConfig;

const KEEP: Duration = Duration::from_hours(24 * 30);

struct Kept {
    _home: TempDir,
    store: Arc<Refusing>,
    metadata: Arc<dyn Metadata>,
    rules: Rules,
    now: Arc<Lock<Timestamp>>,
    revisions: Revisions,
}

impl Kept {
    async fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("policies");
        tokio::fs::create_dir(&dir).await.unwrap();
        let text = "[[rule]]\nname = 'from-file'\neffect = 'hold'\npackages = ['npm:a*', 'cargo:x']\nversions = '^1'\nwhen = \"age < duration('24h')\"\nteams = ['web/*']\nreason = 'why \"not\"'\n\
            [[waiver]]\nname = 'w'\nwaives = 'from-file'\npackages = ['npm:ab']\nreason = 'r'\nowner = 'ann'\nexpires = 2040-01-01\n";
        tokio::fs::write(dir.join("a.toml"), text).await.unwrap();
        let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
        let store = Refusing::new(store);
        let metadata: Arc<dyn Metadata> = Arc::<Refusing>::clone(&store);
        let start: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
        let now = Arc::new(Lock::new(start));
        let clock = Clock::from_fn({
            let now = Arc::clone(&now);
            move || *now.lock()
        });
        let config = RulesConfig { dir: Some(dir) };
        let rules = Rules::open(config, Arc::clone(&metadata), clock.clone()).await.unwrap();
        let revisions = Revisions::new(Arc::clone(&metadata), rules.clone(), clock, KEEP);
        Self { _home: home, store, metadata, rules, now, revisions }
    }

    /// Allows it, keeps the set that comes of it, and gives back its revision.
    async fn allow(&self, packages: &[String]) -> Revision {
        let set = self.put_in_force(packages).await;
        self.revisions.keep(&set).await.unwrap();
        set.revision().clone()
    }

    async fn put_in_force(&self, packages: &[String]) -> Arc<RuleSet> {
        let draft = Draft {
            effect: Some("allow".to_owned()),
            packages: packages.to_vec(),
            ..Draft::default()
        };
        self.rules.add(draft, "ann").await.unwrap();
        self.rules.current()
    }

    /// Whoever writes could not write what is in force, and waits for its next try; it could now.
    async fn start_with_a_failure(&self) -> Keeping {
        let failed = Arc::new(Notify::new());
        let fails = Arc::clone(&failed);
        self.store.refuse_commits(move |_| {
            fails.notify_one();
            true
        });
        let keeping = self.revisions.start();
        failed.notified().await;
        self.store.refuse_commits(|_| false);
        keeping
    }

    fn pass(&self, days: i64) {
        let mut now = self.now.lock();
        *now += SignedDuration::from_hours(24 * days);
    }

    async fn count<R: records::Record>(&self) -> usize {
        read_all(self.metadata.as_ref(), &Prefix::<R>::all()).await.unwrap().len()
    }
}

fn one(name: &str) -> Vec<String> {
    vec![format!("npm:{name}")]
}

#[tokio::test]
async fn the_rules_of_each_revision_are_as_they_were() {
    let kept = Kept::new().await;
    let first = kept.allow(&one("left-pad")).await;
    kept.pass(1);
    let second = kept.allow(&one("right-pad")).await;
    for (revision, count, until) in [(&first, 3, Some("2026-06-02T00:00:00Z")), (&second, 4, None)]
    {
        let past = kept.revisions.find(revision).await.unwrap();
        assert_eq!(past.set.revision(), revision, "they hash to the same");
        assert_eq!(past.set.rules().len(), count);
        assert_eq!(past.until, until.map(|until| until.parse().unwrap()));
        assert!(!past.advisories_of_now);
    }
    let now = kept.rules.current();
    let again = kept.revisions.find(&second).await.unwrap().set;
    for (kept, now) in again.rules().iter().zip(now.rules()) {
        assert_eq!((&kept.name, &kept.origin), (&now.name, &now.origin));
    }
    kept.rules.remove("allow-right-pad", "ann").await.unwrap();
    kept.revisions.keep(&kept.rules.current()).await.unwrap();
    let past = kept.revisions.find(&first).await.unwrap();
    assert_eq!(past.until, None, "it is in force again");
    assert_eq!(past.since.to_string(), "2026-06-01T00:00:00Z");
}

#[tokio::test]
async fn of_an_unknown_revision_the_last_ones_are_told() {
    let kept = Kept::new().await;
    let mut last = Vec::new();
    for n in 0..7 {
        kept.pass(1);
        last.push(kept.allow(&one(&format!("p-{n}"))).await);
    }
    let error = kept.revisions.find(&Revision("feedfacefeedface".into())).await.unwrap_err();
    let told = error.to_string();
    assert!(told.contains("feedfacefeedface"), "{told}");
    assert!(told.contains(&format!("{} (since 2026-06-08T00:00:00Z)", last[6])), "{told}");
    assert!(told.contains(last[2].as_str()) && !told.contains(last[1].as_str()), "{told}");
}

#[tokio::test]
async fn a_change_of_one_rule_writes_little() {
    let kept = Kept::new().await;
    for n in 0..200 {
        let draft = Draft {
            effect: Some("deny".to_owned()),
            packages: one(&format!("bad-{n}")),
            ..Draft::default()
        };
        kept.rules.add(draft, "ann").await.unwrap();
    }
    kept.revisions.keep(&kept.rules.current()).await.unwrap();
    let before = kept.count::<RulesBlock>().await;
    assert!(before > 3, "{before}");
    kept.allow(&one("left-pad")).await;
    let after = kept.count::<RulesBlock>().await;
    assert!(after <= before + 2, "{after} after {before}");
}

#[tokio::test]
async fn a_rule_of_ten_thousand_packages_is_kept_too() {
    let kept = Kept::new().await;
    let many: Vec<String> = (0..3000)
        .map(|n| {
            format!(
                "npm:{}",
                policies::package::Digest::sha256_of(&i32::to_be_bytes(n)).hex()[..30].to_owned()
                    + &n.to_string()
            )
        })
        .collect();
    let revision = kept.allow(&many).await;
    let past = kept.revisions.find(&revision).await.unwrap();
    assert_eq!(past.set.revision(), &revision);
}

#[tokio::test]
async fn what_is_past_its_time_goes_with_the_rules_that_nobody_else_has() {
    let kept = Kept::new().await;
    let mut revisions = Vec::new();
    for n in 0..60 {
        revisions.push(kept.allow(&one(&format!("p-{n}"))).await);
        kept.pass(1);
    }
    kept.revisions.clean().await.unwrap();
    assert_eq!(kept.count::<RevisionRecord>().await, 50, "the latest ones stay");
    assert_eq!(kept.count::<RevisionRules>().await, 50);
    assert!(kept.revisions.find(&revisions[9]).await.is_err());
    for revision in &revisions[10..] {
        assert_eq!(kept.revisions.find(revision).await.unwrap().set.revision(), revision);
    }
}

#[tokio::test]
async fn who_follows_hears_of_each_set_that_comes_into_force() {
    let kept = Kept::new().await;
    let mut sets = kept.rules.follow();
    let first = sets.recv().await.unwrap();
    assert_eq!(first.revision(), kept.rules.current().revision());
    let second = kept.allow(&one("left-pad")).await;
    let third = kept.allow(&one("right-pad")).await;
    assert_eq!(sets.recv().await.unwrap().revision(), &second);
    assert_eq!(sets.recv().await.unwrap().revision(), &third);
}

#[tokio::test]
async fn what_resembled_own_names_goes_by_those_of_then() {
    use crate::metadata::records::OwnRecord;

    let kept = Kept::new().await;
    let look_alike = policies::package::Package::new(policies::package::Ecosystem::Npm, "acme-uii");
    let look_alike = look_alike.unwrap();
    let draft = Draft {
        effect: Some("deny".to_owned()),
        packages: vec!["npm:*".to_owned()],
        when: Some("similar_to != ''".to_owned()),
        ..Draft::default()
    };
    kept.rules.add(draft, "ann").await.unwrap();
    let publish = async |name: &str| {
        let record = OwnRecord { package: name.to_owned(), since: *kept.now.lock() };
        let key = OwnRecord::key("npm", name);
        kept.metadata.commit(Batch::default().put_record(&key, &record)).await.unwrap();
        kept.rules.learn_own_name(name).await;
        let set = kept.rules.current();
        kept.revisions.keep(&set).await.unwrap();
        set.revision().clone()
    };
    let before = publish("acme-tools").await;
    let after = publish("acme-ui").await;
    assert_ne!(before, after);
    let past = kept.revisions.find(&before).await.unwrap().set;
    assert_eq!(past.revision(), &before);
    assert_eq!(past.similar_to(&look_alike), Some(""), "nothing of the name was there");
    let past = kept.revisions.find(&after).await.unwrap().set;
    assert_eq!(past.similar_to(&look_alike), Some("acme-ui"));
}

/// Shorter than what waits for its next try would take.
async fn finish(keeping: Keeping) {
    tokio::time::timeout(AGAIN / 2, keeping.finish()).await.unwrap();
}

#[tokio::test]
async fn each_set_that_waits_to_be_written_is_written_before_a_stop() {
    let kept = Kept::new().await;
    let mut sets = vec![kept.rules.current()];
    let keeping = kept.start_with_a_failure().await;
    for name in ["left-pad", "right-pad"] {
        sets.push(kept.put_in_force(&one(name)).await);
    }
    assert_eq!(kept.count::<RevisionRecord>().await, 0);
    finish(keeping).await;
    for (n, set) in sets.iter().enumerate() {
        let past = kept.revisions.find(set.revision()).await.unwrap();
        assert_eq!(past.until.is_none(), n == 2, "the set {n}");
    }
}

#[tokio::test]
async fn the_set_in_force_is_written_at_a_stop_even_if_its_follower_missed_it() {
    let kept = Kept::new().await;
    let keeping = kept.start_with_a_failure().await;
    for n in 0..=crate::rules::BEHIND {
        kept.put_in_force(&one(&format!("p-{n}"))).await;
    }
    finish(keeping).await;
    let past = kept.revisions.find(kept.rules.current().revision()).await.unwrap();
    assert_eq!(past.until, None);
}

#[tokio::test]
async fn a_store_that_takes_nothing_does_not_hold_up_a_stop() {
    let kept = Kept::new().await;
    let keeping = kept.start_with_a_failure().await;
    kept.put_in_force(&one("left-pad")).await;
    kept.store.refuse_commits(|_| true);
    finish(keeping).await;
    assert_eq!(kept.count::<RevisionRecord>().await, 0);
}
