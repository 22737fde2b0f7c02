#![allow(clippy::unwrap_used)]

use std::sync::atomic::{AtomicI64, Ordering};

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::access::Person;
use crate::access::rights::{Grant, Rights};
use crate::access::secret::TokenKind;
use crate::access::table::Ending;
use crate::metadata::sled::{Sled, SledOptions};

struct Garden {
    home: tempfile::TempDir,
    metadata: Arc<dyn Metadata>,
    hours: Arc<AtomicI64>,
    register: Register,
}

const BEGIN: &str = "2026-06-01T00:00:00Z";

async fn garden() -> Garden {
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let metadata: Arc<dyn Metadata> = Arc::new(store);
    let hours = Arc::new(AtomicI64::new(0));
    let register = Register::open(Arc::clone(&metadata), clock(&hours)).await.unwrap();
    register.create_team(&admin(), "web/shop", None).await.unwrap();
    register.create_team(&admin(), "web/blog", None).await.unwrap();
    Garden { home, metadata, hours, register }
}

fn clock(hours: &Arc<AtomicI64>) -> Clock {
    let hours = Arc::clone(hours);
    let begin: Timestamp = BEGIN.parse().unwrap();
    Clock::from_fn(move || begin + SignedDuration::from_hours(hours.load(Ordering::Relaxed)))
}

impl Garden {
    fn at(&self, hours: i64) {
        self.hours.store(hours, Ordering::Relaxed);
    }

    /// Another process that opens the same store sees what this one sees.
    async fn again(&self) -> Register {
        Register::open(Arc::clone(&self.metadata), clock(&self.hours)).await.unwrap()
    }

    fn person(&self, created: &Created) -> Arc<Person> {
        match self.register.whose(created.secret.hash()) {
            Whose::Of(person) => person,
            other => panic!("{other:?}"),
        }
    }
}

fn admin() -> Person {
    Person::admin()
}

fn new(name: &str, team: Option<&str>, rights: &[Right]) -> NewToken {
    NewToken {
        name: name.to_owned(),
        kind: TokenKind::Service,
        owner: name.to_owned(),
        team: team.map(str::to_owned),
        rights: rights.iter().copied().map(Grant::whole).collect(),
        roles: Vec::new(),
        life: Life::Usual,
    }
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

#[tokio::test]
async fn a_token_is_somebody_until_it_expires_is_revoked_or_is_replaced() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    let ends = Life::Until("2026-06-03T00:00:00Z".parse().unwrap());
    let shop = NewToken { life: ends, ..new("ci-shop", Some("web/shop"), &[]) };
    let shop = register.create(&admin(), shop).await.unwrap();
    let person = garden.person(&shop);
    assert_eq!((&*person.name, person.team.as_deref()), ("ci-shop", Some("web/shop")));
    assert_eq!(person.rights, Rights::default());
    assert_eq!(register.whose(Hash::of(b"garth_service_x")), Whose::Nobodys);

    garden.at(1);
    let newer = register.rotate(&admin(), "ci-shop", DAY).await.unwrap();
    assert_ne!(shop.secret.reveal(), newer.secret.reveal());
    for created in [&shop, &newer] {
        assert_eq!(garden.person(created).team.as_deref(), Some("web/shop"));
    }
    garden.at(26);
    let ended = |created: &Created, how| match register.whose(created.secret.hash()) {
        Whose::Gone(gone) => assert_eq!((gone.how, &*gone.token), (how, "ci-shop")),
        other => panic!("{other:?}"),
    };
    ended(&shop, Ending::Replaced);
    garden.person(&newer);
    garden.at(48);
    ended(&newer, Ending::Expired);
    garden.at(27);
    register.revoke(&admin(), "ci-shop").await.unwrap();
    ended(&newer, Ending::Revoked);
    ended(&shop, Ending::Revoked);
    let first = register.revoke(&admin(), "ci-shop").await.unwrap().record.revoked.clone();
    assert_eq!(
        first.unwrap().at,
        BEGIN.parse::<Timestamp>().unwrap() + SignedDuration::from_hours(27)
    );
    assert!(matches!(
        register.rotate(&admin(), "ci-shop", DAY).await,
        Err(RegisterError::Taken(_))
    ));
    let again = garden.again().await;
    assert!(matches!(again.whose(newer.secret.hash()), Whose::Gone(_)));
    // Its name can be taken again, and its secrets are nobody's then.
    let other = register.create(&admin(), new("ci-shop", None, &[])).await.unwrap();
    assert_eq!(garden.person(&other).team, None);
    assert_eq!(register.whose(newer.secret.hash()), Whose::Nobodys);
}

#[tokio::test]
async fn a_token_that_is_made_by_another_can_do_no_more() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    let rights = [Right::Administer, Right::Approve];
    let ends = Life::Until("2026-07-01T00:00:00Z".parse().unwrap());
    let maker = NewToken { life: ends, ..new("maker", Some("web/shop"), &rights) };
    let maker = register.create(&admin(), maker).await.unwrap();
    let plain = register.create(&admin(), new("plain", Some("web/shop"), &[])).await.unwrap();
    let publisher = new("publisher", Some("web/shop"), &[Right::Publish]);
    register.create(&admin(), publisher.clone()).await.unwrap();
    let (maker, plain) = (garden.person(&maker), garden.person(&plain));
    let named = |name: &str, new: NewToken| NewToken { name: name.to_owned(), ..new };
    let later = Life::Until("2026-07-02T00:00:00Z".parse().unwrap());
    let approver = new("approver", Some("web/shop"), &[Right::Approve]);
    let rows = [
        ("no right to administer", &plain, approver.clone()),
        ("not even less than it has", &plain, new("a", Some("web/shop"), &[])),
        ("a right of which it has none", &maker, named("a", publisher)),
        ("another team", &maker, new("a", Some("web/blog"), &[])),
        ("longer", &maker, NewToken { life: later, ..approver.clone() }),
        ("for ever", &maker, NewToken { life: Life::Endless, ..approver.clone() }),
    ];
    for (what, by, new) in rows {
        let made = register.create(by, new).await;
        assert!(matches!(made, Err(RegisterError::Beyond(_))), "{what}: {made:?}");
    }
    let made = register.create(&maker, approver).await.unwrap();
    let made = garden.person(&made);
    assert_eq!((made.team.as_deref(), made.expires), (Some("web/shop"), maker.expires));
    let without = register.create(&maker, new("own-team", None, &[])).await.unwrap();
    assert_eq!(garden.person(&without).team.as_deref(), Some("web/shop"));

    // To be given the secret of a token is to have what it can do.
    for (by, name) in [(&maker, "publisher"), (&plain, "approver"), (&plain, "maker")] {
        let rotated = register.rotate(by, name, DAY).await;
        assert!(matches!(rotated, Err(RegisterError::Beyond(_))), "{name}: {rotated:?}");
    }
    assert!(matches!(register.revoke(&plain, "maker").await, Err(RegisterError::Beyond(_))));
    // Its own it may, and the secret of before does not outlive itself by it.
    register.rotate(&plain, "plain", DAY).await.unwrap();
    let ends = "2026-06-02T00:00:00Z".parse().ok();
    let before = Person { expires: ends, ..Person::clone(&plain) };
    let rotated = register.rotate(&before, "plain", DAY).await;
    assert!(matches!(rotated, Err(RegisterError::Beyond(_))), "{rotated:?}");
    register.revoke(&plain, "plain").await.unwrap();
}

#[tokio::test]
async fn what_is_written_wrong_is_said_with_the_nearest_right_word() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    let told = async |new| register.create(&admin(), new).await.unwrap_err().to_string();
    assert!(told(new("x", Some("web/shpo"), &[])).await.contains("did you mean \"web/shop\"?"));
    assert!(told(new("x", Some("web"), &[])).await.contains("no team"));
    assert!(told(new("Admin", None, &[])).await.contains("first admin token"));
    assert!(told(new("no name", None, &[])).await.contains("letters"));
    assert!(told(new("", None, &[])).await.contains("letters"));
    let owner = NewToken { owner: "a\nb".to_owned(), ..new("x", None, &[]) };
    assert!(told(owner).await.contains("who it is for"));
    let over = Life::Until("2026-05-01T00:00:00Z".parse().unwrap());
    assert!(told(NewToken { life: over, ..new("x", None, &[]) }).await.contains("over already"));
    register.create(&admin(), new("ci-shop", None, &[])).await.unwrap();
    assert!(told(new("ci-shop", None, &[])).await.contains("already"));
    let unknown = register.revoke(&admin(), "ci-shpo").await.unwrap_err().to_string();
    assert!(unknown.contains("did you mean \"ci-shop\"?"), "{unknown}");
    for team in ["web", "web/", "/x", "web/a/b", "w b/x", "web/Shop"] {
        assert!(register.create_team(&admin(), team, None).await.is_err(), "{team}");
    }
    assert!(register.rotate(&admin(), "ci-shop", MAX_GRACE + DAY).await.is_err());
}

#[tokio::test]
async fn a_team_that_has_tokens_stays() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    register.create(&admin(), new("ci", Some("web/shop"), &[])).await.unwrap();
    let told = register.remove_team(&admin(), "web/shop", false).await.unwrap_err().to_string();
    assert!(told.contains("1 valid tokens") && told.contains("ci"), "{told}");
    register.revoke(&admin(), "ci").await.unwrap();
    register.remove_team(&admin(), "web/shop", false).await.unwrap();
    assert!(register.create(&admin(), new("x", Some("web/shop"), &[])).await.is_err());
    let names: Vec<_> = garden.again().await.teams().iter().map(|team| team.0.clone()).collect();
    assert_eq!(names, ["web/blog".into()]);
    let made = register.create_team(&admin(), "web/api", None).await.unwrap();
    let other = register.create_team(&admin(), "ops/db", None).await.unwrap();
    assert_eq!((made.is_new_unit, other.is_new_unit), (false, true));
}

#[tokio::test]
async fn what_was_used_when_is_written_now_and_then() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    let created = register.create(&admin(), new("ci", None, &[])).await.unwrap();
    let used = async || garden.again().await.tokens()[0].0.used();
    register.keep_uses(USE_SECONDS).await;
    assert_eq!(used().await, None);
    garden.person(&created);
    register.keep_uses(USE_SECONDS).await;
    let first = used().await;
    assert_eq!(first, BEGIN.parse().ok());
    garden.at(2);
    garden.person(&created);
    assert_ne!(register.tokens()[0].0.used(), first, "at once in memory");
    assert_eq!(used().await, first, "and not yet in the store");
    register.rotate(&admin(), "ci", DAY).await.unwrap();
    register.close().await;
    assert!(used().await > first);
}

#[tokio::test]
async fn the_store_has_the_hash_alone() {
    let garden = garden().await;
    let created = garden.register.create(&admin(), new("ci", None, &[])).await.unwrap();
    garden.metadata.close().await;
    let secret = created.secret.reveal();
    // Not even a part of it that would make it easier to guess.
    let random = &secret["garth_service_".len()..][..16];
    let mut files = vec![garden.home.path().to_owned()];
    let mut looked = 0;
    while let Some(path) = files.pop() {
        if tokio::fs::metadata(&path).await.unwrap().is_dir() {
            let mut entries = tokio::fs::read_dir(&path).await.unwrap();
            while let Some(entry) = entries.next_entry().await.unwrap() {
                files.push(entry.path());
            }
            continue;
        }
        let bytes = tokio::fs::read(&path).await.unwrap();
        let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
        assert!(!has(random), "{}", path.display());
        looked += usize::from(has(&created.secret.hash().to_hex()));
    }
    assert!(looked > 0, "the hash is there");
}

fn limited(name: &str, rights: &[&str]) -> NewToken {
    NewToken { rights: Rights::parse(rights.iter().copied()).unwrap(), ..new(name, None, &[]) }
}

#[tokio::test]
async fn a_token_with_limits_gives_on_no_more_than_these() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    let maker = limited("maker", &["administer", "publish=npm:@acme/*", "read=npm:*"]);
    let maker = garden.person(&register.create(&admin(), maker).await.unwrap());
    for (name, rights) in [
        ("everything", &["read=npm:*", "publish"][..]),
        ("another scope", &["read=npm:*", "publish=npm:@acme-evil/*"]),
        ("more beside it", &["read=npm:*", "publish=npm:@acme/*,npm:x"]),
        ("all that there is to read", &["publish=npm:@acme/*"]),
    ] {
        let asked = NewToken { name: "a".to_owned(), ..limited(name, rights) };
        let made = register.create(&maker, asked).await;
        assert!(matches!(made, Err(RegisterError::Beyond(_))), "{name}: {made:?}");
    }
    let less = limited("less", &["read=npm:@acme/ui", "publish=npm:@acme/ui,registry:own"]);
    let less = garden.person(&register.create(&maker, less).await.unwrap());
    assert_eq!(less.rights.to_string(), "read=npm:@acme/ui, publish=npm:@acme/ui,registry:own");
    // Roles are given on like what they say.
    let role = NewRole {
        name: "acme".to_owned(),
        description: None,
        rights: Rights::parse(["publish=npm:@acme/*", "read=npm:@acme/*"]).unwrap(),
    };
    register.create_role(&maker, role.clone()).await.unwrap();
    let with =
        |name: &str, role: &str| NewToken { roles: vec![role.to_owned()], ..limited(name, &[]) };
    register.create(&maker, with("by-role", "acme")).await.unwrap();
    for role in ["publisher", "administrator", "reader"] {
        let made = register.create(&maker, with("a", role)).await;
        assert!(matches!(made, Err(RegisterError::Beyond(_))), "{role}: {made:?}");
    }
    let wide = Rights::parse(["publish"]).unwrap();
    let wider = NewRole { name: "wider".to_owned(), rights: wide.clone(), ..role };
    let made = register.create_role(&maker, wider).await;
    assert!(matches!(made, Err(RegisterError::Beyond(_))), "{made:?}");
    let changed = register.change_role(&maker, "acme", wide, None).await;
    assert!(matches!(changed, Err(RegisterError::Beyond(_))), "{changed:?}");
    register.create(&admin(), with("boss", "administrator")).await.unwrap();
    let rotated = register.rotate(&maker, "boss", DAY).await;
    assert!(matches!(rotated, Err(RegisterError::Beyond(_))), "{rotated:?}");
    // Beside roles that say what may be read nothing else is.
    let by_role = register.rotate(&admin(), "by-role", DAY).await.unwrap();
    assert_eq!(garden.person(&by_role).rights.to_string(), "read=npm:@acme/*, publish=npm:@acme/*");
}

#[tokio::test]
async fn what_a_role_gives_follows_it_at_the_next_request() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    let rights = |texts: &[&str]| Rights::parse(texts.iter().copied()).unwrap();
    let role = NewRole {
        name: "acme".to_owned(),
        description: Some("ours".to_owned()),
        rights: rights(&["publish=npm:@acme/*"]),
    };
    register.create_role(&admin(), role.clone()).await.unwrap();
    let holder = NewToken { roles: vec!["acme".to_owned()], ..limited("holder", &[]) };
    let holder = register.create(&admin(), holder).await.unwrap();
    let told = || garden.person(&holder).rights.to_string();
    assert_eq!(told(), "read, publish=npm:@acme/*");
    register.change_role(&admin(), "acme", rights(&["approve"]), None).await.unwrap();
    assert_eq!(told(), "read, approve");
    let found = register.role("acme").unwrap();
    assert_eq!((found.holders, found.description.as_deref()), (1, Some("ours")));
    let held = register.remove_role(&admin(), "acme", false).await.unwrap_err().to_string();
    assert!(held.contains("the token holder") && held.contains("--from-all"), "{held}");
    register.remove_role(&admin(), "acme", true).await.unwrap();
    assert_eq!(told(), "nothing", "not even what was read by it");
    let again = register.create_role(&admin(), role.clone()).await.unwrap_err().to_string();
    assert!(again.contains("the token holder"), "{again}");
    register.revoke(&admin(), "holder").await.unwrap();
    register.create_role(&admin(), role).await.unwrap();
    let names = |register: &Register| -> Vec<String> {
        register.roles().into_iter().map(|role| role.name).collect()
    };
    assert_eq!(names(register), ["reader", "publisher", "approver", "administrator", "acme"]);
    assert_eq!(names(&garden.again().await), names(register));
    for (name, said) in [
        ("publisher", "built in"),
        ("Reader", "built in"),
        ("administer", "name of a right"),
        ("ACME", "already"),
        ("a b", "letters"),
    ] {
        let role =
            NewRole { name: name.to_owned(), description: None, rights: rights(&["publish"]) };
        let told = register.create_role(&admin(), role).await.unwrap_err().to_string();
        assert!(told.contains(said), "{name}: {told}");
    }
    let unknown = NewToken { roles: vec!["publsher".to_owned()], ..limited("x", &[]) };
    let told = register.create(&admin(), unknown).await.unwrap_err().to_string();
    assert!(told.contains("did you mean \"publisher\"?"), "{told}");
}

mod people;
