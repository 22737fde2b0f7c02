//! People: what they may bounds their tokens, and what becomes of them holds at the next request.

use super::*;

fn user(name: &str, teams: &[&str], roles: &[&str]) -> NewUser {
    NewUser {
        name: name.to_owned(),
        kind: TokenKind::Person,
        teams: teams.iter().copied().map(str::to_owned).collect(),
        roles: roles.iter().copied().map(str::to_owned).collect(),
        password: None,
        bound: std::collections::BTreeMap::new(),
    }
}

fn for_ann(name: &str, team: Option<&str>, rights: &[Right]) -> NewToken {
    NewToken { kind: TokenKind::Person, owner: "ann".to_owned(), ..new(name, team, rights) }
}

fn session(owner: &str, team: Option<&str>) -> NewSession {
    NewSession {
        kind: TokenKind::Person,
        name: owner.to_owned(),
        once: None,
        owner: owner.to_owned(),
        team: team.map(str::to_owned),
        rights: Rights::all(),
        origin: "login".to_owned(),
        life: SignedDuration::from_hours(12),
        of_user: true,
    }
}

fn names(texts: &[&str]) -> Vec<String> {
    texts.iter().copied().map(str::to_owned).collect()
}

#[tokio::test]
async fn whatever_ends_somebody_ends_their_tokens_and_logins_at_the_next_request() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    register.create_user(&admin(), user("ann", &["web/shop"], &["publisher"])).await.unwrap();
    let laptop = register.create(&admin(), for_ann("laptop", None, &[])).await.unwrap();
    let login = register.begin(session("ann", Some("web/shop"))).await.unwrap();
    let stands = |how: Option<Ending>| {
        for created in [&laptop, &login] {
            match (register.whose(created.secret.hash()), how) {
                (Whose::Of(person), None) => assert_eq!(&*person.name, "ann"),
                (Whose::Gone(gone), Some(how)) => assert_eq!(gone.how, how),
                other => panic!("{other:?}"),
            }
        }
    };
    stands(None);
    let change = async |change: UserChange| {
        register.change_user(&admin(), "ann", change).await.unwrap();
    };
    let disabled = |disabled| UserChange { disabled: Some(disabled), ..UserChange::default() };
    change(disabled(true)).await;
    stands(Some(Ending::OwnerDisabled));
    change(disabled(false)).await;
    stands(None);
    let teams = |teams: &[&str]| UserChange { teams: Some(names(teams)), ..UserChange::default() };
    change(teams(&["web/blog"])).await;
    stands(Some(Ending::LeftTeam));
    change(teams(&["web/blog", "web/shop"])).await;
    stands(None);

    let held = register.remove_team(&admin(), "web/shop", false).await.unwrap_err().to_string();
    assert!(held.contains("--with-tokens"), "{held}");
    register.remove_team(&admin(), "web/shop", true).await.unwrap();
    stands(Some(Ending::TeamRemoved));
    // Neither the tokens nor the people of before are of another one that is called the same.
    let again = register.create_team(&admin(), "web/shop", None).await.unwrap_err().to_string();
    assert!(again.contains("ann was in a team"), "{again}");
    change(teams(&[])).await;
    garden.at(1);
    register.create_team(&admin(), "web/shop", None).await.unwrap();
    change(teams(&["web/shop"])).await;
    stands(Some(Ending::TeamRemoved));

    let newer = register.create(&admin(), for_ann("desk", None, &[])).await.unwrap();
    assert_eq!(garden.person(&newer).team.as_deref(), Some("web/shop"));
    register.remove_user(&admin(), "ann").await.unwrap();
    let ended = |register: &Register| match register.whose(newer.secret.hash()) {
        Whose::Gone(gone) => gone.how,
        other => panic!("{other:?}"),
    };
    assert_eq!(ended(register), Ending::OwnerRemoved);
    assert!(matches!(
        register.create(&admin(), for_ann("x", None, &[])).await,
        Err(RegisterError::Invalid { field: "owner", .. })
    ));
    garden.at(2);
    // Somebody else who is called so has nothing of it, whatever process is asked.
    register.create_user(&admin(), user("ann", &["web/shop"], &[])).await.unwrap();
    assert_eq!(ended(register), Ending::OwnerRemoved);
    assert_eq!(ended(&garden.again().await), Ending::OwnerRemoved);
    garden.at(3);
    let other = register.create(&admin(), for_ann("desk", None, &[])).await.unwrap();
    assert_eq!(&*garden.person(&other).name, "ann");
}

#[tokio::test]
async fn a_token_may_what_its_owner_may_and_never_more() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    register.create_user(&admin(), user("ann", &["web/shop", "web/blog"], &[])).await.unwrap();
    let login = register.begin(session("ann", Some("web/shop"))).await.unwrap();
    let blog = register.begin(session("ann", Some("web/blog"))).await.unwrap();
    let may = |created: &Created, right| garden.person(created).may(right);
    assert!(may(&login, Right::Read) && !may(&login, Right::Publish));
    let set = async |holder: Holder<'_>, roles: &[&str]| {
        register.set_roles(&admin(), holder, names(roles)).await.unwrap();
    };
    set(Holder::Team("web/shop"), &["publisher"]).await;
    assert!(may(&login, Right::Publish) && !may(&blog, Right::Publish));
    set(Holder::Unit("web"), &["approver"]).await;
    assert!(may(&login, Right::Approve) && may(&blog, Right::Approve));
    assert!(!may(&login, Right::Administer));
    // What was given by hand counts as far as its owner may, and is not given beyond that.
    let token = for_ann("laptop", Some("web/shop"), &[Right::Publish]);
    let token = register.create(&admin(), token).await.unwrap();
    assert!(may(&token, Right::Publish) && !may(&token, Right::Approve));
    let beyond = for_ann("x", Some("web/blog"), &[Right::Publish]);
    let told = register.create(&admin(), beyond).await.unwrap_err().to_string();
    assert!(told.contains("ann may only: read, approve"), "{told}");
    set(Holder::Team("web/shop"), &[]).await;
    assert!(!may(&token, Right::Publish) && garden.person(&token).may(Right::Read));
    let lacks = garden.person(&token).check(Right::Publish, &Place::default()).unwrap_err();
    assert!(lacks.contains("ann may only: read, approve"), "{lacks}");
    let again = garden.again().await;
    match again.whose(login.secret.hash()) {
        Whose::Of(person) => assert!(person.may(Right::Approve) && !person.may(Right::Publish)),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn nobody_gives_people_or_teams_what_they_have_not() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    let maker = limited("maker", &["administer"]);
    let maker = garden.person(&register.create(&admin(), maker).await.unwrap());
    let shop =
        NewToken { name: "shop".to_owned(), ..new("x", Some("web/shop"), &[Right::Administer]) };
    let shop = garden.person(&register.create(&admin(), shop).await.unwrap());
    register.create_user(&admin(), user("boss", &[], &["administrator"])).await.unwrap();
    register.create_user(&admin(), user("bob", &["web/blog"], &[])).await.unwrap();
    let is_beyond = |what: &str, done: Result<(), RegisterError>| {
        assert!(matches!(done, Err(RegisterError::Beyond(_))), "{what}: {done:?}");
    };
    let publisher = || names(&["publisher"]);
    let made = register.create_user(&maker, user("x", &[], &["publisher"])).await;
    is_beyond("a publisher", made.map(drop));
    let roles = UserChange { roles: Some(names(&["administrator"])), ..UserChange::default() };
    is_beyond("a role", register.change_user(&maker, "bob", roles).await.map(drop));
    is_beyond("a takeover", register.set_password(&maker, "boss", "hash".to_owned()).await);
    is_beyond("a team", register.set_roles(&maker, Holder::Team("web/blog"), publisher()).await);
    is_beyond("a unit", register.set_roles(&maker, Holder::Unit("web"), publisher()).await);
    register.set_roles(&admin(), Holder::Team("web/blog"), publisher()).await.unwrap();
    let made = register.create_user(&maker, user("x", &["web/blog"], &[])).await;
    is_beyond("what a team holds", made.map(drop));
    // Whoever is of a team has a say over its people alone.
    register.create_user(&shop, user("sue", &["web/shop"], &[])).await.unwrap();
    is_beyond(
        "another team",
        register.create_user(&shop, user("x", &["web/blog"], &[])).await.map(drop),
    );
    is_beyond("no team", register.create_user(&shop, user("x", &[], &[])).await.map(drop));
    is_beyond("removing others", register.remove_user(&shop, "bob").await);
    let off = UserChange { disabled: Some(true), ..UserChange::default() };
    is_beyond("disabling others", register.change_user(&shop, "boss", off).await.map(drop));
    is_beyond("its unit", register.set_roles(&shop, Holder::Unit("web"), Vec::new()).await);
    let plain = garden.person(&register.create(&admin(), limited("plain", &[])).await.unwrap());
    is_beyond("no right", register.remove_user(&plain, "bob").await);
    is_beyond("no right", register.set_password(&plain, "bob", "hash".to_owned()).await);
}

#[tokio::test]
async fn what_people_are_called_is_theirs_alone() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    register.create_user(&admin(), user("ann", &[], &[])).await.unwrap();
    for (name, said) in [
        ("ann", "already"),
        ("Ann", "not told from"),
        ("admin", "first admin token"),
        ("", "letters"),
        ("an/n", "letters"),
        ("-ann", "letters"),
    ] {
        let told = register.create_user(&admin(), user(name, &[], &[])).await.unwrap_err();
        assert!(told.to_string().contains(said), "{name}: {told}");
    }
    register.create(&admin(), new("ci", Some("web/shop"), &[])).await.unwrap();
    let told = register.create_user(&admin(), user("ci", &[], &[])).await.unwrap_err().to_string();
    assert!(told.contains("as a service of web/shop"), "{told}");
    let service = NewUser { kind: TokenKind::Service, ..user("ci", &["web/shop"], &[]) };
    let made = register.create_user(&admin(), service.clone()).await.unwrap();
    assert_eq!(made.tokens, 1, "the token of before is its own");
    let with = NewUser { password: Some("hash".to_owned()), name: "other".to_owned(), ..service };
    assert!(register.create_user(&admin(), with).await.is_err());
    let kind = NewToken { owner: "ann".to_owned(), ..new("x", None, &[]) };
    let told = register.create(&admin(), kind).await.unwrap_err().to_string();
    assert!(told.contains("ann is a person here"), "{told}");
    let told = register.remove_user(&admin(), "amn").await.unwrap_err().to_string();
    assert!(told.contains("did you mean \"ann\"?"), "{told}");
}

#[tokio::test]
async fn logins_end_are_forgotten_and_make_room() {
    let garden = garden().await;
    let Garden { register, .. } = &garden;
    register.create_user(&admin(), user("ann", &[], &[])).await.unwrap();
    let first = register.begin(session("ann", None)).await.unwrap();
    assert!(register.end(&admin(), &first.token.name).await.unwrap().is_some());
    assert!(matches!(register.whose(first.secret.hash()), Whose::Gone(_)));
    let made = register.create(&admin(), for_ann("laptop", None, &[])).await.unwrap();
    assert!(
        register.end(&admin(), "laptop").await.unwrap().is_none(),
        "what was made is revoked, not logged out"
    );
    garden.at(1);
    let mut logins = Vec::new();
    for _ in 0..51 {
        logins.push(register.begin(session("ann", None)).await.unwrap());
    }
    let count = || register.tokens().iter().filter(|(token, _)| token.is_passing()).count();
    assert_eq!(count(), 50);
    garden.person(logins.last().unwrap());
    // A new password ends what the one of before opened.
    garden.at(2);
    register.set_password(&admin(), "ann", "hash".to_owned()).await.unwrap();
    match register.whose(logins.last().unwrap().secret.hash()) {
        Whose::Gone(gone) => assert_eq!(gone.how, Ending::PasswordSet),
        other => panic!("{other:?}"),
    }
    garden.person(&made);
    let rotated = register.rotate(&admin(), &logins[50].token.name, DAY).await;
    assert!(matches!(rotated, Err(RegisterError::Taken(_))), "{rotated:?}");
    garden.at(20);
    register.forget_passed().await;
    assert_eq!(count(), 0);
    assert!(matches!(register.whose(logins[50].secret.hash()), Whose::Nobodys));
    assert_eq!(garden.again().await.tokens().len(), 1);
    // Of somebody who is not there any more nobody logs in.
    register.remove_user(&admin(), "ann").await.unwrap();
    let gone = register.begin(session("ann", None)).await;
    assert!(matches!(gone, Err(RegisterError::NoSuchUser { .. })), "{gone:?}");
}
