//! No change without its entry: each kind of change that has to be told, over a store that takes
//! everything but entries of the log.

use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;

use parking_lot::Mutex;
use policies::rules::Draft;

use super::*;
use crate::access::Person;
use crate::access::register::{Holder, Life, NewRole, NewToken, NewUser, Register, UserChange};
use crate::access::rights::Rights;
use crate::access::secret::TokenKind;
use crate::audit::audited::TOLD;
use crate::metadata::records::{DeliveryRecord, DeliveryState, OwnRecord, Record as _};
use crate::metadata::refusing::Refusing;
use crate::observability::Metrics;
use crate::requests::{Approval, Ask, Requests, Who};
use crate::rules::{Rules, RulesConfig};
use crate::seen::Memory;
use crate::upstream::outgoing::{Outgoing, OutgoingSettings};
use crate::webhooks::secret::MasterKey;
use crate::webhooks::{self, NewWebhook, Webhooks};

/// Each after those that it needs.
const CHANGES: [&str; 27] = [
    "rule-made",
    "rule-removed",
    "team-made",
    "role-made",
    "role-changed",
    "roles of a team",
    "roles of a unit",
    "user-made",
    "user-changed",
    "password-set",
    "token-made",
    "token-rotated",
    "token-revoked",
    "user-removed",
    "no roles of a team",
    "no roles of a unit",
    "role-removed",
    "team-removed",
    "webhook-made",
    "webhook-rotated",
    "webhook-tested",
    "webhook-redelivered",
    "webhook-removed",
    "one request-made",
    "another request-made",
    "request-approved",
    "request-rejected",
];

struct Changing {
    rules: Rules,
    register: Register,
    webhooks: Webhooks,
    requests: Requests,
    admin: Person,
}

impl Changing {
    async fn make(&self, change: &str) -> Result<(), String> {
        let Self { rules, register, webhooks, requests, admin } = self;
        let made = |made: Result<(), &dyn std::fmt::Display>| made.map_err(ToString::to_string);
        macro_rules! done {
            ($change:expr) => {
                match $change.await {
                    Ok(_) => made(Ok(())),
                    Err(why) => made(Err(&why)),
                }
            };
        }
        let draft = Draft {
            name: Some("yes".to_owned()),
            effect: Some("allow".to_owned()),
            packages: vec!["npm:x".to_owned()],
            ..Draft::default()
        };
        let role = NewRole { name: "r".to_owned(), description: None, rights: Rights::default() };
        let user = NewUser {
            name: "bob".to_owned(),
            kind: TokenKind::Person,
            teams: Vec::new(),
            roles: Vec::new(),
            password: None,
            bound: std::collections::BTreeMap::new(),
        };
        let token = NewToken {
            name: "ci".to_owned(),
            kind: TokenKind::Service,
            owner: "ci".to_owned(),
            team: None,
            rights: Rights::default(),
            roles: Vec::new(),
            life: Life::Usual,
        };
        let webhook = NewWebhook {
            name: Some("chat".to_owned()),
            url: "http://127.0.0.1:9/".to_owned(),
            kinds: vec!["login".to_owned()],
            team: None,
        };
        let ask = |package: &str| Ask {
            package: package.to_owned(),
            reason: None,
            who: Who { name: Some("ann".to_owned()), verified: true, ..Who::default() },
        };
        let roles = |roles: &[&str]| roles.iter().map(|&role| role.to_owned()).collect();
        let (team, unit) = (Holder::Team("web/shop"), Holder::Unit("web"));
        let disabled = UserChange { disabled: Some(true), ..UserChange::default() };
        let zero = jiff::SignedDuration::ZERO;
        match change {
            "rule-made" => done!(rules.add(draft, "ann")),
            "rule-removed" => done!(rules.remove("yes", "ann")),
            "team-made" => done!(register.create_team(admin, "web/shop", None)),
            "role-made" => done!(register.create_role(admin, role)),
            "role-changed" => done!(register.change_role(admin, "r", Rights::default(), None)),
            "roles of a team" => done!(register.set_roles(admin, team, roles(&["r"]))),
            "roles of a unit" => done!(register.set_roles(admin, unit, roles(&["r"]))),
            "no roles of a team" => done!(register.set_roles(admin, team, roles(&[]))),
            "no roles of a unit" => done!(register.set_roles(admin, unit, roles(&[]))),
            "role-removed" => done!(register.remove_role(admin, "r", true)),
            "team-removed" => done!(register.remove_team(admin, "web/shop", false)),
            "user-made" => done!(register.create_user(admin, user)),
            "user-changed" => done!(register.change_user(admin, "bob", disabled)),
            "password-set" => done!(register.set_password(admin, "bob", "hash".to_owned())),
            "user-removed" => done!(register.remove_user(admin, "bob")),
            "token-made" => done!(register.create(admin, token)),
            "token-rotated" => done!(register.rotate(admin, "ci", zero)),
            "token-revoked" => done!(register.revoke(admin, "ci")),
            "webhook-made" => done!(webhooks.create(admin, webhook)),
            "webhook-rotated" => done!(webhooks.rotate(admin, "chat", Duration::ZERO)),
            "webhook-tested" => done!(webhooks.test(admin, "chat")),
            "webhook-redelivered" => done!(webhooks.redeliver(admin, "chat", 0)),
            "webhook-removed" => done!(webhooks.remove(admin, "chat")),
            "one request-made" => done!(requests.ask(&ask("npm:a"))),
            "another request-made" => done!(requests.ask(&ask("npm:b"))),
            "request-approved" => done!(requests.approve(1, &Approval::default(), "bob")),
            "request-rejected" => done!(requests.reject(2, Some("no"), "bob")),
            other => panic!("no change {other}"),
        }
    }
}

/// All but what the log and the sending of webhooks change by themselves.
async fn stored(store: &Refusing) -> Vec<crate::metadata::Entry> {
    let mut found = store.scan(b"", None, 10_000).await.unwrap();
    let by_itself: [&[u8]; 3] = [b"audit", b"webhook-cursor/", b"webhook-delivery/"];
    found.retain(|entry| !by_itself.iter().any(|kind| entry.key.starts_with(kind)));
    found
}

#[tokio::test]
async fn every_change_that_has_to_be_told_is_refused_where_its_entry_can_not_be_written() {
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let refusing = Refusing::new(store);
    let (is_full, changed) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::default()));
    let (full, kinds): (_, Arc<Mutex<BTreeSet<String>>>) = (is_full.clone(), Arc::clone(&changed));
    refusing.refuse_commits(move |batch| {
        let notes = |change: &crate::metadata::Change| {
            change.value.is_some() && change.key.starts_with(b"audit-waiting/")
        };
        let is_refused = full.load(Ordering::Relaxed) && batch.changes.iter().any(notes);
        if !is_refused {
            let keys = batch.changes.iter().map(|change| String::from_utf8_lossy(&change.key));
            kinds.lock().extend(keys.map(std::borrow::Cow::into_owned));
        }
        is_refused
    });
    let clock = clock(&Arc::default());
    let (log, audited, _keeping) =
        Log::open(Arc::clone(&refusing) as _, clock.clone(), LogKey::make("log"));
    let metadata: Arc<dyn Metadata> = audited;
    let rules = Rules::open(RulesConfig::default(), Arc::clone(&metadata), clock.clone());
    let rules = rules.await.unwrap();
    let memory = Memory {
        metadata: Arc::clone(&metadata),
        registries: Arc::new([("npm".into(), policies::package::Ecosystem::Npm)]),
    };
    let outgoing = OutgoingSettings {
        allow_hosts: vec!["127.0.0.1:9".to_owned()],
        total: Duration::from_secs(1),
        longest_pause: Duration::from_secs(1),
        extra_roots: Vec::new(),
    };
    let changing = Changing {
        requests: crate::requests::tests::opened(&memory, &rules, &clock).await,
        rules,
        register: Register::open(Arc::clone(&metadata), clock.clone()).await.unwrap(),
        webhooks: Webhooks::new(webhooks::Parts {
            metadata: Arc::clone(&metadata),
            log: log.clone(),
            key: MasterKey::open(home.path()).unwrap(),
            outgoing: Outgoing::new(&outgoing).unwrap(),
            clock: clock.clone(),
            metrics: Metrics::new(),
            give_up: Duration::from_hours(1),
        }),
        admin: Person {
            name: "ann".into(),
            token: None,
            team: None,
            rights: Rights::all(),
            ceiling: None,
            expires: None,
            used: crate::person::meter::Used::default(),
        },
    };
    for change in CHANGES {
        if change == "webhook-redelivered" {
            let delivery = DeliveryRecord {
                kind: "login".to_owned(),
                state: DeliveryState::Delivered,
                attempts: 1,
                since: clock.now(),
                next: clock.now(),
                last: None,
            };
            let key = DeliveryRecord::key("chat", 0);
            metadata.commit(Batch::default().put_record(&key, &delivery)).await.unwrap();
        }
        let before = stored(&refusing).await;
        is_full.store(true, Ordering::Relaxed);
        let refused = changing.make(change).await;
        assert!(refused.is_err(), "{change} went through without its entry");
        assert!(refused.unwrap_err().contains("for a test"), "{change}");
        assert_eq!(stored(&refusing).await, before, "{change}: nothing of it stays");
        if change == "webhook-redelivered" {
            let key = DeliveryRecord::key("chat", 0);
            let delivery = records::read(metadata.as_ref(), &key).await.unwrap().unwrap();
            assert_eq!(delivery.state, DeliveryState::Delivered);
        }
        is_full.store(false, Ordering::Relaxed);
        changing.make(change).await.unwrap_or_else(|why| panic!("{change}: {why}"));
    }
    // A kind that comes to the list has a change here. Own names have one beside their publishing.
    let changed = changed.lock();
    for kind in TOLD.iter().filter(|kind| **kind != OwnRecord::KIND) {
        let prefix = format!("{kind}/");
        assert!(changed.iter().any(|key| key.starts_with(&prefix)), "nothing changed a {kind}");
    }
}
