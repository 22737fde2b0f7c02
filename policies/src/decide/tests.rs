#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::rules::{Draft, Origin, parse};

fn facts(now: &str) -> Facts<'static> {
    Facts::at(now.parse().unwrap())
}

fn set(text: &str) -> RuleSet {
    RuleSet::compile(parse("a.toml", text).unwrap()).unwrap()
}

fn one(name: &str, effect: &str, packages: &str, rest: &str) -> String {
    format!("[[rule]]\nname = '{name}'\neffect = '{effect}'\npackages = [{packages}]\n{rest}\n")
}

/// Rules, a package version, and what is expected: effect and the rule that made it.
fn check(row: &str, rules: &[String], asked: &str, expected: (Effect, Option<&str>)) {
    let set = set(&rules.concat());
    let asked: PackageVersion = asked.parse().unwrap();
    let facts = facts("2026-06-01T00:00:00Z");
    let decision = decide(&set.for_package(&asked.package), &asked.version, &facts);
    assert_eq!((decision.effect, decision.rule.as_deref()), expected, "{row}: {decision:?}");
    assert_eq!(&decision.revision, set.revision(), "{row}");
    let explanation = explain(&set, &asked, &facts);
    assert_eq!(explanation.decision, decision, "{row}");
    assert_eq!(explanation.considered.len() + explanation.others, set.rules().len(), "{row}");
    let matched = explanation.considered.iter().find(|considered| considered.matched);
    assert_eq!(matched.map(|considered| &*considered.rule), decision.rule.as_deref(), "{row}");
}

/// Nobody knows what the rules say of it, so it is refused like everything else.
#[test]
fn what_is_published_here_waits_for_rules_that_can_be_read() {
    let set = RuleSet::unavailable("a.toml is broken");
    let asked: PackageVersion = "npm:x@1.0.0".parse().unwrap();
    let facts = Facts { own: true, ..facts("2026-06-01T00:00:00Z") };
    let decision = decide(&set.for_package(&asked.package), &asked.version, &facts);
    assert_eq!(decision.code, DecisionCode::RulesUnavailable);
    assert_eq!(decision.effect, Effect::Deny);
}

#[test]
fn deny_beats_hold_beats_allow_and_silence_is_deny() {
    use Effect::{Allow, Deny, Hold};
    let allow = |packages: &str| one("yes", "allow", packages, "");
    let deny = |packages: &str, rest: &str| one("no", "deny", packages, rest);
    let hold = |packages: &str| one("wait", "hold", packages, "");
    let all = "'*'";
    let x = "'npm:x'";
    check("no rules", &[], "npm:x@1.0.0", (Deny, None));
    check("allowed", &[allow(x)], "npm:x@1.0.0", (Allow, Some("yes")));
    check("another package", &[allow("'npm:y'")], "npm:x@1.0.0", (Deny, None));
    check("another ecosystem", &[allow("'npm:*'")], "cargo:x@1.0.0", (Deny, None));
    check("deny wins", &[allow(x), deny(all, "")], "npm:x@1.0.0", (Deny, Some("no")));
    check("hold wins over allow", &[allow(x), hold(all)], "npm:x@1.0.0", (Hold, Some("wait")));
    check(
        "deny wins over hold",
        &[hold(x), deny(all, ""), allow(x)],
        "npm:x@1.0.0",
        (Deny, Some("no")),
    );
    check(
        "deny of other versions",
        &[allow(x), deny(x, "versions = '>=2'")],
        "npm:x@1.0.0",
        (Allow, Some("yes")),
    );
    check(
        "pre-release of a denied version",
        &[allow(x), deny(x, "versions = '>=2'")],
        "npm:x@2.0.0-rc.1",
        (Deny, Some("no")),
    );
    check(
        "unreadable version",
        &[allow(x), deny(x, "versions = '>=2'")],
        "npm:x@1.0.0_evil",
        (Deny, Some("no")),
    );
    check("unreadable version, no deny", &[allow(x)], "npm:x@1.0.0_evil", (Deny, None));
    check(
        "closest rule is the reason",
        &[one("a-all", "deny", all, ""), deny(x, "")],
        "npm:x@1.0.0",
        (Deny, Some("no")),
    );
    check(
        "crates collide",
        &[allow("'cargo:*'"), deny("'cargo:serde_derive'", "")],
        "cargo:Serde-Derive@1.0.0",
        (Deny, Some("no")),
    );
    check("scope look-alike", &[allow("'npm:@acme/*'")], "npm:@acme-evil/x@1.0.0", (Deny, None));
    check("npm case", &[allow("'npm:JSONStream'")], "npm:jsonstream@1.0.0", (Deny, None));
    check(
        "nuget spelling",
        &[allow("'nuget:A'"), deny("'nuget:a'", "versions = '[1.0]'")],
        "nuget:A@01.0.0.0+x",
        (Deny, Some("no")),
    );
}

#[test]
fn an_expired_rule_says_nothing_and_until_is_its_end() {
    let text = one("yes", "allow", "'npm:x'", "expires = 2026-07-01")
        + &one("no", "deny", "'npm:x'", "expires = 2026-06-15T00:00:00Z\nreason = 'INC-7'");
    let set = set(&text);
    let at = |now: &str| {
        let asked: PackageVersion = "npm:x@1.0.0".parse().unwrap();
        decide(&set.for_package(&asked.package), &asked.version, &facts(now))
    };
    let until = |text: &str| Some(text.parse::<Timestamp>().unwrap());
    let denied = at("2026-06-14T23:59:59Z");
    assert_eq!((denied.effect, denied.until), (Effect::Deny, until("2026-06-15T00:00:00Z")));
    assert_eq!(&*denied.reason, "INC-7");
    let allowed = at("2026-06-15T00:00:00Z");
    assert_eq!((allowed.effect, allowed.until), (Effect::Allow, until("2026-07-01T00:00:00Z")));
    let after = at("2026-07-01T00:00:00Z");
    assert_eq!(
        (after.effect, after.code, after.until),
        (Effect::Deny, DecisionCode::NoRuleAllows, None)
    );
    assert_eq!(&*after.reason, "the rule yes allowed it until 2026-07-01T00:00:00Z");
}

#[test]
fn rules_that_cannot_be_read_deny_everything_and_say_so() {
    let set = RuleSet::unavailable("the store cannot be read");
    let asked: PackageVersion = "npm:x@1.0.0".parse().unwrap();
    let decision = explain(&set, &asked, &facts("2026-06-01T00:00:00Z")).decision;
    assert_eq!((decision.effect, decision.code), (Effect::Deny, DecisionCode::RulesUnavailable));
    assert_eq!(&*decision.reason, "the store cannot be read");
}

#[test]
fn each_considered_rule_is_explained_in_words() {
    let text = one("all-of-2", "allow", "'npm:x'", "versions = '^2'")
        + &one("old", "deny", "'npm:*'", "versions = '<1'")
        + &one("gone", "deny", "'*'", "expires = 2026-01-01")
        + &one("other", "allow", "'npm:y'", "");
    let set = set(&text);
    let why = |asked: &str| {
        let explanation = explain(&set, &asked.parse().unwrap(), &facts("2026-06-01T00:00:00Z"));
        let mut told = format!("{}\n", explanation.decision.reason);
        for considered in explanation.considered {
            writeln!(told, "{} {}: {}", considered.rule, considered.matched, considered.why)
                .unwrap();
        }
        told + &format!("{} others", explanation.others)
    };
    insta::assert_snapshot!(why("npm:x@2.1.0"), @r#"
allowed by the rule all-of-2
old false: names it by npm:*, but the version is not in <1
gone false: names it by *, but expired on 2026-01-01T00:00:00Z
all-of-2 true: names it by npm:x, and the version is in ^2
1 others
"#);
    insta::assert_snapshot!(why("npm:x@2.1.0-rc.1"), @r#"
no rule allows this version; others of this package are allowed
old false: names it by npm:*, but the version is not in <1
gone false: names it by *, but expired on 2026-01-01T00:00:00Z
all-of-2 false: names it by npm:x, but the version is not in ^2 (it is a pre-release, which an allow must name)
1 others
"#);
    insta::assert_snapshot!(why("npm:x@bad"), @r#"
denied by the rule old
old true: names it by npm:*; the version cannot be read, so it counts as one of the rule's
gone false: names it by *, but expired on 2026-01-01T00:00:00Z
all-of-2 false: names it by npm:x, but the version cannot be read
1 others
"#);
    let package: Package = "npm:x".parse().unwrap();
    let overview = overview(&set, &package, &facts("2026-06-01T00:00:00Z"));
    let told: Vec<&str> = overview.considered.iter().map(|considered| &*considered.why).collect();
    assert_eq!(
        told,
        [
            "speaks of the versions <1",
            "spoke of every version until it expired on 2026-01-01T00:00:00Z",
            "speaks of the versions ^2",
        ]
    );
}

/// Effect, pattern, versions, expiry.
type Made = (String, String, Option<String>, Option<String>);

fn rule() -> impl Strategy<Value = Made> {
    let pattern = prop::sample::select(vec![
        "*",
        "npm:*",
        "npm:a",
        "npm:@s/*",
        "npm:a*",
        "npm:@s/a",
        "cargo:a_b",
        "cargo:*",
    ]);
    let effect = prop::sample::select(vec!["allow", "deny", "hold"]);
    let versions =
        prop::option::of(prop::sample::select(vec!["1.0.0", "^1.0.0", ">=1.1.0-rc.1", "<2.0.0"]));
    let expires =
        prop::option::of(prop::sample::select(vec!["2026-01-01", "2026-07-01", "2027-01-01"]));
    (effect, pattern, versions, expires).prop_map(|(effect, pattern, versions, expires)| {
        // Only npm and cargo read these ranges alike; `*` speaks of all ecosystems.
        let versions = versions.filter(|_| pattern != "*").map(str::to_owned);
        (effect.to_owned(), pattern.to_owned(), versions, expires.map(str::to_owned))
    })
}

fn compiled(rules: &[Made]) -> Vec<Rule> {
    let make = |(place, (effect, pattern, versions, expires)): (usize, &Made)| {
        let draft = Draft {
            name: Some(format!("r{place}")),
            effect: Some(effect.clone()),
            packages: vec![pattern.clone()],
            versions: versions.clone(),
            reason: None,
            expires: expires.clone(),
        };
        draft.check(Origin::Api { by: "test".into(), at: Timestamp::UNIX_EPOCH }).unwrap()
    };
    rules.iter().enumerate().map(make).collect()
}

fn asked() -> impl Strategy<Value = String> {
    let package = prop::sample::select(vec![
        "npm:a",
        "npm:ab",
        "npm:@s/a",
        "npm:@s2/a",
        "cargo:a-b",
        "cargo:A_B",
    ]);
    let version =
        prop::sample::select(vec!["1.0.0", "1.1.0-rc.1", "1.2.0", "2.0.0", "2.0.0-rc.1", "junk"]);
    (package, version).prop_map(|(package, version)| format!("{package}@{version}"))
}

fn decided(rules: Vec<Rule>, asked: &str) -> Decision {
    let set = RuleSet::compile(rules).unwrap();
    let asked: PackageVersion = asked.parse().unwrap();
    decide(&set.for_package(&asked.package), &asked.version, &facts("2026-06-01T00:00:00Z"))
}

proptest! {
    #[test]
    fn adding_a_deny_never_allows(rules in prop::collection::vec(rule(), 0..8), more in rule(), asked in asked()) {
        let before = decided(compiled(&rules), &asked);
        let mut rules = rules;
        rules.push(("deny".to_owned(), more.1, more.2, more.3));
        let after = decided(compiled(&rules), &asked);
        prop_assert!(before.is_allowed() || !after.is_allowed());
    }

    #[test]
    fn adding_an_allow_never_denies(rules in prop::collection::vec(rule(), 0..8), more in rule(), asked in asked()) {
        let before = decided(compiled(&rules), &asked);
        let mut rules = rules;
        rules.push(("allow".to_owned(), more.1, more.2, more.3));
        let after = decided(compiled(&rules), &asked);
        prop_assert!(!before.is_allowed() || after.is_allowed());
    }

    #[test]
    fn order_never_matters(rules in prop::collection::vec(rule(), 0..8), asked in asked(), turn in 0_usize..8) {
        let made = compiled(&rules);
        let mut turned = made.clone();
        let by = turn.min(turned.len());
        turned.rotate_left(by);
        turned.reverse();
        prop_assert_eq!(decided(made, &asked), decided(turned, &asked));
    }

    #[test]
    fn the_index_finds_what_scanning_every_rule_finds(rules in prop::collection::vec(rule(), 0..8), asked in asked()) {
        let made = compiled(&rules);
        let asked: PackageVersion = asked.parse().unwrap();
        let mut scanned: Vec<String> = made.iter().filter(|rule| rule.names(&asked.package)).map(|rule| rule.name.to_string()).collect();
        let set = RuleSet::compile(made).unwrap();
        let mut found: Vec<String> = set.for_package(&asked.package).iter().map(|rule| rule.name.to_string()).collect();
        scanned.sort();
        found.sort();
        prop_assert_eq!(scanned, found);
    }

    #[test]
    fn a_decision_holds_until_the_moment_that_it_names(rules in prop::collection::vec(rule(), 0..8), asked in asked(), hours in 0_i64..20_000) {
        let set = RuleSet::compile(compiled(&rules)).unwrap();
        let asked: PackageVersion = asked.parse().unwrap();
        let package_rules = set.for_package(&asked.package);
        let start = facts("2025-12-01T00:00:00Z");
        let decision = decide(&package_rules, &asked.version, &start);
        let later = Facts { now: start.now + jiff::SignedDuration::from_hours(hours), ..start };
        if decision.until.is_none_or(|until| later.now < until) {
            let again = decide(&package_rules, &asked.version, &later);
            prop_assert_eq!(again.effect, decision.effect);
            prop_assert_eq!(again.rule, decision.rule);
        }
    }

    #[test]
    fn what_is_published_here_is_allowed_only_where_no_rule_speaks(rules in prop::collection::vec(rule(), 0..8), asked in asked()) {
        let set = RuleSet::compile(compiled(&rules)).unwrap();
        let asked: PackageVersion = asked.parse().unwrap();
        let package_rules = set.for_package(&asked.package);
        let foreign = facts("2025-12-01T00:00:00Z");
        let decision = decide(&package_rules, &asked.version, &foreign);
        let own = decide(&package_rules, &asked.version, &Facts { own: true, ..foreign });
        prop_assert!(decision.code != DecisionCode::OwnPackage);
        if decision.rule.is_some() {
            prop_assert_eq!(own, decision);
        } else {
            prop_assert_eq!((own.effect, own.code), (Effect::Allow, DecisionCode::OwnPackage));
        }
    }

    #[test]
    fn any_text_is_read_as_rules_or_faults(text in "(\\[\\[rule\\]\\]\n)?([a-z]{1,8} = (\"[^\"\\\\\n]{0,12}\"|[0-9]{1,4}|\\[[^\\]]{0,12}\\])\n){0,5}\\PC{0,20}") {
        match parse("a.toml", &text) {
            Ok(_) => {}
            Err(faults) => prop_assert!(!faults.is_empty()),
        }
    }
}
