#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "tests work on files of their own"
)]

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use policies::decide::decide;
use policies::decision::{DecisionCode, Effect};
use policies::facts::Facts;
use policies::package::PackageVersion;
use policies::rules::Draft;
use tempfile::TempDir;

use super::*;
use crate::metadata::Batch;
use crate::metadata::records::{OwnRecord, RuleTerms};
use crate::metadata::sled::{Sled, SledOptions};

struct Garden {
    home: TempDir,
    metadata: Arc<dyn Metadata>,
}

impl Garden {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("policies")).unwrap();
        let metadata = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
        Self { home, metadata: Arc::new(metadata) }
    }

    fn dir(&self) -> std::path::PathBuf {
        self.home.path().join("policies")
    }

    fn write(&self, file: &str, text: &str) {
        fs::write(self.dir().join(file), text).unwrap();
    }

    async fn all_but_the_log(&self) -> Vec<crate::metadata::Entry> {
        let mut all = self.metadata.scan(b"", None, 1000).await.unwrap();
        all.retain(|entry| !entry.key.starts_with(b"audit-"));
        all
    }

    async fn open(&self) -> Result<Rules, RulesError> {
        let config = RulesConfig { dir: Some(self.dir()) };
        Rules::open(config, self.metadata.clone(), clock()).await
    }
}

fn clock() -> Clock {
    Clock::from_fn(|| "2026-06-01T00:00:00Z".parse().unwrap())
}

fn rule(name: &str, effect: &str, package: &str) -> String {
    format!("[[rule]]\nname = '{name}'\neffect = '{effect}'\npackages = ['{package}']\n")
}

fn draft(name: Option<&str>, effect: &str, package: &str) -> Draft {
    Draft {
        name: name.map(str::to_owned),
        effect: Some(effect.to_owned()),
        packages: vec![package.to_owned()],
        ..Draft::default()
    }
}

fn decision(rules: &Rules, asked: &str) -> policies::decision::Decision {
    let asked: PackageVersion = asked.parse().unwrap();
    let facts = Facts::at(clock().now());
    let set = rules.current();
    decide(&set.for_package(&asked.package), &asked.version, &facts, &crate::gate::NOBODY)
}

fn effect(rules: &Rules, asked: &str) -> Effect {
    decision(rules, asked).effect
}

/// Waits for the watcher, and no longer than a person would.
async fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    for _ in 0..400 {
        if holds() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("{what} did not come true");
}

#[tokio::test]
async fn rules_of_files_and_of_the_api_decide_together() {
    let garden = Garden::new();
    garden.write("a.toml", &rule("yes", "allow", "npm:*"));
    garden.write("b.toml", &rule("no", "deny", "npm:evil"));
    garden.write(".hidden.toml", "broken");
    garden.write("notes.txt", "broken");
    let rules = garden.open().await.unwrap();
    assert_eq!(effect(&rules, "npm:x@1.0.0"), Effect::Allow);
    assert_eq!(effect(&rules, "npm:evil@1.0.0"), Effect::Deny);
    let added = rules.add(draft(None, "hold", "npm:@acme/*"), "admin").await.unwrap();
    assert_eq!(&*added.rule.name, "hold-acme-all");
    assert_eq!(effect(&rules, "npm:@acme/x@1.0.0"), Effect::Hold);
    assert_eq!(effect(&rules, "npm:@acme-evil/x@1.0.0"), Effect::Allow);
    // What was made is there after a restart, as it was.
    let revision = rules.status().revision;
    let again = garden.open().await.unwrap();
    assert_eq!(again.status().revision, revision);
    rules.remove("hold-acme-all", "admin").await.unwrap();
    assert_eq!(effect(&rules, "npm:@acme/x@1.0.0"), Effect::Allow);
    assert_eq!(rules.check(), CheckState::Ok);
}

#[tokio::test]
async fn changes_that_cannot_be_made_say_why() {
    let garden = Garden::new();
    garden.write("a.toml", &rule("yes", "allow", "npm:x"));
    let rules = garden.open().await.unwrap();
    let file = rules.add(draft(Some("yes"), "deny", "npm:x"), "admin").await.unwrap_err();
    assert!(
        matches!(&file, ChangeError::NameTaken { place, .. } if place.contains("a.toml")),
        "{file}"
    );
    let file = rules.remove("yes", "admin").await.unwrap_err();
    assert!(
        matches!(&file, ChangeError::MadeByFile { file, .. } if file.contains("a.toml")),
        "{file}"
    );
    assert!(matches!(rules.remove("nobody", "admin").await, Err(ChangeError::NoSuchRule(_))));
    let invalid = rules.add(draft(None, "alow", "left-pad"), "admin").await.unwrap_err();
    assert!(matches!(&invalid, ChangeError::Invalid(all) if all.len() == 2), "{invalid}");
    let late = Draft { expires: Some("2026-01-01".to_owned()), ..draft(None, "allow", "npm:y") };
    assert!(matches!(rules.add(late, "admin").await, Err(ChangeError::Invalid(_))));
    // The same wish twice is one rule; another one gets a name of its own.
    let first = rules.add(draft(None, "allow", "npm:y"), "admin").await.unwrap();
    let same = rules.add(draft(None, "allow", "npm:y"), "admin").await.unwrap();
    assert_eq!((first.created, same.created, &same.rule.name), (true, false, &first.rule.name));
    let narrower = Draft { versions: Some("^1".to_owned()), ..draft(None, "allow", "npm:y") };
    assert_eq!(&*rules.add(narrower, "admin").await.unwrap().rule.name, "allow-y-2");
    assert!(rules.add(draft(Some("allow-y"), "allow", "npm:z"), "admin").await.is_err());
}

#[tokio::test]
async fn a_wish_that_is_met_makes_no_second_rule() {
    let garden = Garden::new();
    let rules = garden.open().await.unwrap();
    let wish = |packages: &[&str], versions: &str, reason: Option<&str>| Draft {
        packages: packages.iter().map(|&package| package.to_owned()).collect(),
        versions: Some(versions.to_owned()),
        reason: reason.map(str::to_owned),
        ..draft(None, "allow", "npm:a")
    };
    let first = wish(&["npm:a", "npm:b"], "^1", Some("agreed"));
    assert!(rules.add(first, "admin").await.unwrap().created);
    for (name, again, created) in [
        ("the same", wish(&["npm:a", "npm:b"], "^1", Some("agreed")), false),
        ("no reason", wish(&["npm:a", "npm:b"], "^1", None), false),
        ("other order", wish(&["npm:b", "npm:a"], "^1", None), false),
        ("twice the same", wish(&["npm:b", "npm:a", "npm:a"], "^1", None), false),
        ("spaces", wish(&["npm:a", "npm:b"], " ^1 ", None), false),
        ("fewer packages", wish(&["npm:a"], "^1", None), true),
        ("other reason", wish(&["npm:a", "npm:b"], "^1", Some("ADR-12")), true),
    ] {
        assert_eq!(rules.add(again, "admin").await.unwrap().created, created, "{name}");
    }
}

#[tokio::test]
async fn a_file_that_is_broken_at_the_start_is_told_with_every_fault() {
    let garden = Garden::new();
    garden.write("a.toml", "[[rule]]\nnam = 'x'\n");
    garden.write("b.toml", "x = [");
    let told = garden.open().await.unwrap_err().to_string();
    assert!(told.contains("a.toml:2:1") && told.contains("b.toml:1:"), "{told}");
    fs::remove_dir_all(garden.dir()).unwrap();
    let told = garden.open().await.unwrap_err().to_string();
    assert!(told.contains("cannot list the directory"), "{told}");
}

#[tokio::test]
async fn a_broken_file_keeps_the_last_good_set_and_is_told_until_it_is_mended() {
    let garden = Garden::new();
    garden.write("a.toml", &rule("yes", "allow", "npm:x"));
    let rules = garden.open().await.unwrap();
    rules.watch();
    let revision = rules.status().revision;
    garden.write("a.toml", "[[rule]]\nname = 'yes'\n");
    eventually("the fault is told", || !rules.status().ok).await;
    assert_eq!(rules.status().revision, revision);
    assert_eq!(effect(&rules, "npm:x@1.0.0"), Effect::Allow);
    assert!(matches!(rules.check(), CheckState::Degraded(told) if told.contains("a.toml")));
    // Meanwhile an urgent deny works, and does not hide the fault.
    rules.add(draft(None, "deny", "npm:x"), "admin").await.unwrap();
    assert_eq!(effect(&rules, "npm:x@1.0.0"), Effect::Deny);
    assert!(!rules.status().ok);
    garden.write("a.toml", &rule("other", "allow", "npm:y"));
    eventually("the mended file is in force", || effect(&rules, "npm:y@1.0.0") == Effect::Allow)
        .await;
    assert_eq!(rules.check(), CheckState::Ok);
}

#[tokio::test]
async fn a_file_that_takes_the_name_of_a_made_rule_is_at_fault() {
    let garden = Garden::new();
    let rules = garden.open().await.unwrap();
    rules.add(draft(Some("mine"), "deny", "npm:x"), "admin").await.unwrap();
    garden.write("a.toml", &(rule("mine", "allow", "npm:x") + &rule("more", "allow", "npm:*")));
    let faults = rules.reload().await;
    assert_eq!(faults.len(), 1);
    assert!(
        faults[0].to_string().contains("a.toml:1:1: the name `mine` is taken"),
        "{}",
        faults[0]
    );
    assert_eq!(effect(&rules, "npm:x@1.0.0"), Effect::Deny);
    assert_eq!(effect(&rules, "npm:y@1.0.0"), Effect::Deny);
}

#[tokio::test]
async fn a_directory_may_be_replaced_renamed_or_linked_anew() {
    let garden = Garden::new();
    let home = garden.home.path();
    let generation = |name: &str, package: &str| {
        let dir = home.join(name);
        fs::create_dir(&dir).unwrap();
        fs::write(dir.join("a.toml"), rule("yes", "allow", package)).unwrap();
        dir
    };
    let allows =
        |rules: &Rules, package: &str| effect(rules, &format!("{package}@1.0.0")) == Effect::Allow;
    garden.write("a.toml", &rule("yes", "allow", "npm:one"));
    let rules = garden.open().await.unwrap();
    rules.watch();
    assert!(allows(&rules, "npm:one"));
    // Another directory takes its name.
    let two = generation("two", "npm:two");
    fs::rename(garden.dir(), home.join("old")).unwrap();
    fs::rename(two, garden.dir()).unwrap();
    eventually("the second directory is in force", || allows(&rules, "npm:two")).await;
    assert!(!allows(&rules, "npm:one"));
    // It goes away for a while: the last good set stays.
    fs::remove_dir_all(garden.dir()).unwrap();
    eventually("the loss is told", || !rules.status().ok).await;
    assert!(allows(&rules, "npm:two"));
    // It comes back as a link, and the link is turned.
    generation("three", "npm:three");
    symlink("three", garden.dir()).unwrap();
    eventually("the linked directory is in force", || allows(&rules, "npm:three")).await;
    generation("four", "npm:four");
    symlink("four", home.join("next")).unwrap();
    fs::rename(home.join("next"), garden.dir()).unwrap();
    eventually("the turned link is in force", || allows(&rules, "npm:four")).await;
    assert_eq!(rules.check(), CheckState::Ok);
}

#[tokio::test]
async fn a_mounted_config_map_is_followed() {
    let garden = Garden::new();
    let dir = garden.dir();
    let generation = |name: &str, package: &str| {
        fs::create_dir(dir.join(name)).unwrap();
        fs::write(dir.join(name).join("a.toml"), rule("yes", "allow", package)).unwrap();
        symlink(name, dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    };
    generation("..2026_1", "npm:one");
    symlink(Path::new("..data/a.toml"), dir.join("a.toml")).unwrap();
    let rules = garden.open().await.unwrap();
    rules.watch();
    assert_eq!(effect(&rules, "npm:one@1.0.0"), Effect::Allow);
    generation("..2026_2", "npm:two");
    fs::remove_dir_all(dir.join("..2026_1")).unwrap();
    eventually("the new generation is in force", || {
        effect(&rules, "npm:two@1.0.0") == Effect::Allow
    })
    .await;
    assert_eq!(effect(&rules, "npm:one@1.0.0"), Effect::Deny);
}

#[tokio::test]
async fn a_damaged_stored_rule_denies_everything_until_it_is_removed() {
    let garden = Garden::new();
    garden.write("a.toml", &rule("yes", "allow", "npm:*"));
    let batch = Batch::default().put(&b"rule/bad"[..], &b"\x01{\"effect\":\"maybe\"}"[..]);
    garden.metadata.commit(batch).await.unwrap();
    let rules = garden.open().await.unwrap();
    let refused = decision(&rules, "npm:x@1.0.0");
    assert_eq!((refused.effect, refused.code), (Effect::Deny, DecisionCode::RulesUnavailable));
    assert!(refused.reason.contains("rule/bad"), "{}", refused.reason);
    assert!(matches!(rules.check(), CheckState::Failed(told) if told.contains("rule/bad")));
    rules.remove("bad", "admin").await.unwrap();
    assert_eq!(effect(&rules, "npm:x@1.0.0"), Effect::Allow);
    assert_eq!(rules.check(), CheckState::Ok);
}

/// A deny of so many packages.
fn long_draft(count: usize) -> Draft {
    let packages = (0..count).map(|n| format!("npm:@acme-of-the-far-north/package-number-{n}"));
    Draft { packages: packages.collect(), ..draft(Some("long"), "deny", "npm:x") }
}

#[tokio::test]
async fn versions_behind_a_package_are_kept() {
    let garden = Garden::new();
    let rules = garden.open().await.unwrap();
    let packages = ["npm:x@1.0.0", "npm:x@^3", "cargo:y@1.0.0"].map(str::to_owned).to_vec();
    let asked = Draft { packages, ..draft(Some("lock"), "allow", "npm:x") };
    rules.add(asked, "admin").await.unwrap();
    let again = garden.open().await.unwrap();
    for (asked, expected) in [
        ("npm:x@1.0.0", Effect::Allow),
        ("npm:x@1.0.1", Effect::Deny),
        ("npm:x@3.9.0", Effect::Allow),
        ("cargo:y@1.0.0", Effect::Allow),
        ("cargo:y@1.0.1", Effect::Deny),
    ] {
        assert_eq!(effect(&again, asked), expected, "{asked}");
    }
    assert_eq!(again.current().revision(), rules.current().revision());
}

#[tokio::test]
async fn a_rule_with_many_packages_is_kept_whole_and_removed_whole() {
    let garden = Garden::new();
    garden.write("a.toml", &rule("yes", "allow", "npm:*"));
    let rules = garden.open().await.unwrap();
    let before = garden.all_but_the_log().await;
    for count in [1, 75, 76, 77, 500, 4000] {
        rules.add(long_draft(count), "admin").await.unwrap();
        let again = garden.open().await.unwrap();
        assert_eq!(again.current().rule("long").unwrap().patterns.len(), count);
        let last = format!("npm:@acme-of-the-far-north/package-number-{}@1.0.0", count - 1);
        assert_eq!(effect(&again, &last), Effect::Deny);
        rules.remove("long", "admin").await.unwrap();
        assert_eq!(effect(&rules, &last), Effect::Allow);
        assert_eq!(garden.all_but_the_log().await, before, "{count}");
    }
    let refused = rules.add(long_draft(6000), "admin").await.unwrap_err();
    assert!(
        matches!(&refused, ChangeError::Invalid(all) if all[0].remedy.contains("policy file")),
        "{refused}"
    );
}

#[tokio::test]
async fn a_rule_that_lost_some_of_its_packages_denies_everything() {
    let garden = Garden::new();
    garden.write("a.toml", &rule("yes", "allow", "npm:*"));
    garden.open().await.unwrap().add(long_draft(500), "admin").await.unwrap();
    let lost = Batch::default().remove(&b"rule-packages/long/000001"[..]);
    garden.metadata.commit(lost).await.unwrap();
    let rules = garden.open().await.unwrap();
    assert_eq!(decision(&rules, "npm:x@1.0.0").code, DecisionCode::RulesUnavailable);
    rules.remove("long", "admin").await.unwrap();
    assert_eq!(effect(&rules, "npm:x@1.0.0"), Effect::Allow);
}

#[tokio::test]
async fn files_that_could_block_or_fill_the_server_are_faults() {
    let garden = Garden::new();
    let big = fs::File::create(garden.dir().join("big.toml")).unwrap();
    big.set_len(policies::rules::MAX_FILE as u64 * 10).unwrap();
    fs::create_dir(garden.dir().join("dir.toml")).unwrap();
    fs::write(garden.dir().join("latin.toml"), b"# caf\xe9\n").unwrap();
    symlink("nowhere", garden.dir().join("link.toml")).unwrap();
    let told = garden.open().await.unwrap_err().to_string();
    for part in [
        "big.toml: the file has",
        "dir.toml: it is not a file",
        "latin.toml: it is not UTF-8",
        "link.toml: cannot read it",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
}

#[tokio::test]
async fn many_changes_at_once_are_all_kept() {
    let garden = Garden::new();
    let rules = garden.open().await.unwrap();
    let add = |n: usize| {
        let rules = rules.clone();
        async move { rules.add(draft(None, "allow", &format!("npm:p{}", n / 2)), "admin").await }
    };
    let added = futures_util::future::join_all((0..64).map(add)).await;
    assert_eq!(added.iter().filter(|one| one.as_ref().is_ok_and(|one| one.created)).count(), 32);
    assert_eq!(garden.open().await.unwrap().status().count, 32);
}

#[tokio::test]
async fn a_rule_made_by_command_keeps_all_that_it_says() {
    let garden = Garden::new();
    let rules = garden.open().await.unwrap();
    let text = |text: &str| Some(text.to_owned());
    let whole = Draft {
        when: text("age < duration('168h')"),
        teams: Some(vec!["web/shop".to_owned(), "ops/*".to_owned()]),
        environments: Some(vec!["prod".to_owned()]),
        owner: text("ann"),
        link: text("https://wiki.example.com/adr-12"),
        starts: text("2026-01-01"),
        observe: Some(true),
        ..draft(Some("whole"), "deny", "npm:*")
    };
    let waiver = Draft {
        effect: None,
        waives: text("whole"),
        reason: text("ADR-12"),
        owner: text("ann"),
        expires: text("2027-01-01"),
        ..draft(Some("waiver"), "allow", "npm:x")
    };
    let made = [
        rules.add(whole.clone(), "admin").await.unwrap().rule,
        rules.add(waiver, "admin").await.unwrap().rule,
    ];
    let again = garden.open().await.unwrap().current();
    for rule in &made {
        let stored = again.rule(&rule.name).unwrap();
        assert_eq!(RuleTerms::of(stored), RuleTerms::of(rule), "{}", rule.name);
    }
    assert_eq!(again.revision(), rules.current().revision());
    // A wish without the condition is another wish.
    let unnamed = Draft { name: None, ..whole };
    assert!(!rules.add(unnamed.clone(), "admin").await.unwrap().created);
    assert!(rules.add(Draft { when: None, ..unnamed.clone() }, "admin").await.unwrap().created);
    // What would not fit into a record is refused, not cut.
    let names: Vec<String> = (0..330).map(|n| format!("'{n}'")).collect();
    let long = Draft {
        when: Some(format!("name in [{}]", names.join(","))),
        link: Some(format!("https://wiki.example.com/{}", "x".repeat(200))),
        ..unnamed
    };
    let refused = rules.add(long, "admin").await.unwrap_err();
    assert!(refused.to_string().contains("policy file"), "{refused}");
}

#[tokio::test]
async fn a_waiver_may_outlive_the_rule_that_it_lifts() {
    let garden = Garden::new();
    garden.write("a.toml", &(rule("yes", "allow", "npm:*") + &rule("no", "deny", "npm:x")));
    let rules = garden.open().await.unwrap();
    assert_eq!(effect(&rules, "npm:x@1.0.0"), Effect::Deny);
    let waiver = Draft {
        effect: None,
        waives: Some("no".to_owned()),
        reason: Some("ADR-12".to_owned()),
        owner: Some("ann".to_owned()),
        expires: Some("2027-01-01".to_owned()),
        ..draft(None, "allow", "npm:x")
    };
    rules.add(waiver, "admin").await.unwrap();
    assert_eq!(effect(&rules, "npm:x@1.0.0"), Effect::Allow);
    garden.write("a.toml", &rule("other", "deny", "npm:x"));
    assert!(rules.reload().await.is_empty(), "the files are good");
    assert_eq!(rules.current().idle_waivers().len(), 1);
    assert_eq!(effect(&rules, "npm:x@1.0.0"), Effect::Deny);
}

#[tokio::test]
async fn what_is_published_here_is_looked_out_for_at_once_and_after_a_start() {
    let garden = Garden::new();
    let asking =
        "[[rule]]\nname = 'd'\neffect = 'deny'\npackages = ['*']\nwhen = \"similar_to != ''\"\n";
    garden.write("a.toml", asking);
    let rules = garden.open().await.unwrap();
    let resembled = |rules: &Rules| {
        let set = rules.current();
        let found = set.similar_to(&"npm:acme-internal-uj".parse().unwrap()).map(str::to_owned);
        (found, set.revision().clone())
    };
    let (nothing, before) = resembled(&rules);
    assert_eq!(nothing.as_deref(), Some(""));
    let record = OwnRecord { package: "acme-internal-ui".to_owned(), since: clock().now() };
    let key = OwnRecord::key("npm", "acmeinternalui");
    garden.metadata.commit(Batch::default().put_record(&key, &record)).await.unwrap();
    rules.learn_own_name("acme-internal-ui").await;
    let (found, after) = resembled(&rules);
    assert_eq!(found.as_deref(), Some("acme-internal-ui"));
    assert_ne!(before, after, "views that were made before are decided anew");
    let again = garden.open().await.unwrap();
    assert_eq!(resembled(&again), (found, after));
}
