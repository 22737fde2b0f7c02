#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

fn rights(texts: &[&str]) -> Rights {
    Rights::parse(texts.iter().copied()).unwrap().with_read()
}

fn package(name: &str) -> Package {
    name.parse().unwrap()
}

#[test]
fn whoever_may_anything_may_read_and_nothing_that_was_not_given() {
    assert_eq!(Rights::default().to_string(), "read");
    let publisher = rights(&["publish"]);
    assert_eq!(publisher.to_string(), "read, publish");
    assert!(!publisher.has(Right::Approve) && !publisher.has(Right::Administer));
    let all = Rights::all();
    let beyond: Vec<String> = all.beyond(&publisher).map(ToString::to_string).collect();
    assert_eq!(beyond, ["approve", "promote", "administer"]);
    assert_eq!(publisher.beyond(&all).next(), None);
    assert!(Right::ALL.into_iter().all(|right| all.has(right)));
    assert!(Right::ALL.into_iter().all(|right| Right::parse(right.as_str()) == Some(right)));
    // What is limited in what it reads is not given the rest with it, nor by what is not readable.
    assert_eq!(rights(&["read=npm:@acme/*"]).to_string(), "read=npm:@acme/*");
    assert_eq!(Rights::stored(["read=npm:@acme", "fly"]).to_string(), "nothing");
    assert_eq!(rights(&["publish=*", "publish=npm:x"]).to_string(), "read, publish");
}

#[test]
fn a_limited_right_reaches_what_it_names_alone() {
    let acme = rights(&["publish=npm:@acme/*,npm:acme-*", "approve=npm:*"]);
    let may = |right, name: &str| acme.allow(right, &Place::package(&package(name)));
    for name in ["npm:@acme/ui", "npm:acme-cli"] {
        assert!(may(Right::Publish, name) && may(Right::Approve, name), "{name}");
    }
    for name in ["npm:@acme-evil/x", "npm:acme", "npm:x", "cargo:acme-cli"] {
        assert!(!may(Right::Publish, name), "{name}");
    }
    assert!(!may(Right::Administer, "npm:@acme/ui") && !may(Right::Approve, "cargo:x"));
    assert!(acme.has_some(Right::Publish) && !acme.has(Right::Publish));
    assert!(!acme.allow(Right::Publish, &Place::default()), "not what is no package");

    let here = rights(&["publish=npm:@acme/*,registry:own"]);
    let ui = package("npm:@acme/ui");
    assert!(here.allow(Right::Publish, &Place::in_registry("own", &ui)));
    assert!(!here.allow(Right::Publish, &Place::in_registry("npm", &ui)));
    assert!(!here.allow(Right::Publish, &Place::package(&ui)));
    let prod = rights(&["promote=environment:test,environment:prod"]);
    let to = |environment| Place { environment, ..Place::default() };
    assert!(prod.allow(Right::Promote, &to(Some("prod"))));
    assert!(!prod.allow(Right::Promote, &to(Some("production"))));
    assert!(!prod.allow(Right::Promote, &to(None)));
}

#[test]
fn what_is_written_wrong_is_said() {
    for (text, said) in [
        ("admin", "there is no right"),
        ("publsh=npm:x", "did you mean publish?"),
        ("", "there is no right"),
        ("publish=", ""),
        ("publish=npm:@acme/*,", ""),
        ("publish=npm:x@1.0.0", "not for versions"),
        ("publish=environment:prod", "no limit of this kind"),
        ("promote=npm:x", "no limit of this kind"),
        ("administer=registry:npm", "no limit of this kind"),
        ("read=registry:", "names nothing"),
        ("read=registry:a b", "names nothing"),
        (&format!("read=npm:{}", "x".repeat(1000)), "at most"),
    ] {
        let fault = Rights::parse([text]).map_err(|fault| fault.to_string());
        let fault = fault.expect_err(text);
        assert!(fault.contains(said), "{text}: {fault}");
    }
    assert!(Rights::parse(vec!["read"; MAX_GRANTS + 1]).is_err());
}

#[test]
fn what_is_given_on_is_never_more() {
    let rows = [
        ("publish", "publish=npm:@acme/*", true),
        ("publish=npm:@acme/*", "publish", false),
        ("publish=npm:*", "publish=npm:@acme/*,npm:x", true),
        ("publish=npm:@acme/*", "publish=npm:@acme/ui", true),
        ("publish=npm:@acme/*", "publish=npm:@acme-evil/*", false),
        ("publish=npm:@acme/*", "publish=npm:@acme/*,npm:x", false),
        ("publish=npm:@acme/*,registry:own", "publish=npm:@acme/*", false),
        ("publish=npm:@acme/*", "publish=npm:@acme/ui,registry:own", true),
        ("publish=registry:a,registry:b", "publish=registry:b", true),
        ("promote=environment:test", "promote=environment:prod", false),
        ("promote=environment:test", "promote", false),
        ("read", "publish", false),
    ];
    for (own, given, expected) in rows {
        let (own, given) = (rights(&[own]), rights(&[given]));
        let within = given.beyond(&own).all(|grant| grant.right == Right::Read);
        assert_eq!(within, expected, "{own} gives {given}");
    }
}

const NAMES: [&str; 6] =
    ["npm:@acme/ui", "npm:@acme-evil/x", "npm:acme-cli", "npm:x", "cargo:acme-cli", "npm:acme"];

fn grant() -> impl Strategy<Value = String> {
    let right = prop::sample::select(vec!["read", "publish"]);
    let pattern =
        prop::sample::select(vec!["npm:@acme/*", "npm:acme*", "npm:*", "npm:x", "cargo:*", "*"]);
    let limits = prop::collection::vec(
        prop_oneof![
            3 => pattern.prop_map(str::to_owned),
            1 => prop::sample::select(vec!["registry:a", "registry:b"]).prop_map(str::to_owned),
        ],
        0..4,
    );
    (right, limits).prop_map(|(right, limits)| match limits.as_slice() {
        [] => right.to_owned(),
        limits => format!("{right}={}", limits.join(",")),
    })
}

proptest! {
    /// Covering and joining are judged by what is allowed in the end.
    #[test]
    fn covered_grants_allow_nothing_more(
        ours in prop::collection::vec(grant(), 0..4),
        theirs in prop::collection::vec(grant(), 0..4),
    ) {
        let read = |texts: &[String]| Rights::stored(texts.iter().map(String::as_str));
        let (ours, theirs) = (read(&ours), read(&theirs));
        let is_within = theirs.beyond(&ours).next().is_none();
        let joined = ours.and(&theirs);
        for name in NAMES {
            let package = package(name);
            for registry in [None, Some("a"), Some("b"), Some("c")] {
                let place = Place { registry, package: Some(&package), environment: None };
                for right in [Right::Read, Right::Publish] {
                    let (own, given) = (ours.allow(right, &place), theirs.allow(right, &place));
                    prop_assert!(!is_within || !given || own, "{theirs} within {ours} at{place}");
                    prop_assert_eq!(joined.allow(right, &place), own || given);
                }
            }
        }
        let again = read(&ours.texts());
        prop_assert_eq!(again, ours);
    }
}
