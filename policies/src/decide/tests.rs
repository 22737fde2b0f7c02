#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use jiff::{SignedDuration, Timestamp};

use super::*;
use crate::facts::Fact;
use crate::package::{Package, PackageVersion};
use crate::rules::{RuleSet, parse};

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
    let decision =
        decide(&set.for_package(&asked.package), &asked.version, &facts, &Asker::default());
    assert_eq!((decision.effect, decision.rule.as_deref()), expected, "{row}: {decision:?}");
    assert_eq!(&decision.revision, set.revision(), "{row}");
    let explanation = explain(&set, &asked, &facts, &Asker::default());
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
    let decision =
        decide(&set.for_package(&asked.package), &asked.version, &facts, &Asker::default());
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
fn versions_behind_a_name_are_of_that_package_alone() {
    use Effect::{Allow, Deny};
    let of = |effect: &str, packages: &str, rest: &str| one("r", effect, packages, rest);
    let both = "'npm:x@1.0.0', 'npm:x@^3', 'npm:@s/y@2.0.0'";
    for (row, rule, asked, effect) in [
        ("the one version", of("allow", both, ""), "npm:x@1.0.0", Allow),
        ("another one", of("allow", both, ""), "npm:x@1.0.1", Deny),
        ("of the second range", of("allow", both, ""), "npm:x@3.1.0", Allow),
        ("of the other package", of("allow", both, ""), "npm:x@2.0.0", Deny),
        ("the other package", of("allow", both, ""), "npm:@s/y@2.0.0", Allow),
        ("an allow is narrow", of("allow", both, ""), "npm:x@3.1.0-rc.1", Deny),
        ("no package at all", of("allow", both, ""), "npm:z@1.0.0", Deny),
        (
            "beside a pattern",
            of("allow", "'npm:x@1.0.0', 'npm:*'", "versions = '>=9'"),
            "npm:x@9.1.0",
            Allow,
        ),
        (
            "in neither",
            of("allow", "'npm:x@1.0.0', 'npm:*'", "versions = '>=9'"),
            "npm:x@8.0.0",
            Deny,
        ),
        (
            "one crate by both spellings",
            of("allow", "'cargo:a_b@1.0.0'", ""),
            "cargo:a-b@1.0.0",
            Allow,
        ),
        (
            "one version of a crate is no caret",
            of("allow", "'cargo:a@1.0.0'", ""),
            "cargo:a@1.0.1",
            Deny,
        ),
        (
            "another ecosystem",
            of("allow", "'cargo:x@1.0.0', 'npm:y@1.0.0'", ""),
            "npm:x@1.0.0",
            Deny,
        ),
    ] {
        check(row, &[rule], asked, (effect, (effect == Allow).then_some("r")));
    }
    let deny = [of("deny", both, ""), one("yes", "allow", "'npm:*'", "")];
    check("a deny", &deny, "npm:x@1.0.0", (Deny, Some("r")));
    check("a deny is wide", &deny, "npm:x@3.1.0-rc.1", (Deny, Some("r")));
    check("what it leaves", &deny, "npm:x@2.0.0", (Allow, Some("yes")));
}

/// A rule for a whole lockfile is asked for each version of each of its packages.
#[test]
fn a_rule_of_ten_thousand_packages_answers_for_each() {
    let packages: Vec<String> = (0..10_000).map(|n| format!("'npm:package-{n}@1.0.{n}'")).collect();
    let set = set(&one("lock", "allow", &packages.join(","), ""));
    let facts = facts("2026-06-01T00:00:00Z");
    for n in 0..10_000 {
        let asked: PackageVersion = format!("npm:package-{n}@1.0.{n}").parse().unwrap();
        let rules = set.for_package(&asked.package);
        assert!(decide(&rules, &asked.version, &facts, &Asker::default()).is_allowed());
    }
}

#[test]
fn an_expired_rule_says_nothing_and_until_is_its_end() {
    let text = one("yes", "allow", "'npm:x'", "expires = 2026-07-01")
        + &one("no", "deny", "'npm:x'", "expires = 2026-06-15T00:00:00Z\nreason = 'INC-7'");
    let set = set(&text);
    let at = |now: &str| {
        let asked: PackageVersion = "npm:x@1.0.0".parse().unwrap();
        decide(&set.for_package(&asked.package), &asked.version, &facts(now), &Asker::default())
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
    let decision =
        explain(&set, &asked, &facts("2026-06-01T00:00:00Z"), &Asker::default()).decision;
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
        let explanation = explain(
            &set,
            &asked.parse().unwrap(),
            &facts("2026-06-01T00:00:00Z"),
            &Asker::default(),
        );
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

/// The decision on npm:x@1.0.0 by these rules.
fn of_x(rules: &str, facts: &Facts<'_>, asker: &Asker<'_>) -> Decision {
    let set = set(rules);
    let asked: PackageVersion = "npm:x@1.0.0".parse().unwrap();
    decide(&set.for_package(&asked.package), &asked.version, facts, asker)
}

const ALLOW_X: &str = "[[rule]]\nname = 'yes'\neffect = 'allow'\npackages = ['npm:x']\n";

#[test]
fn a_version_is_held_until_it_has_settled_and_the_decision_says_when() {
    let rules = ALLOW_X.to_owned()
        + &one(
            "let-it-settle",
            "hold",
            "'npm:*'",
            "when = \"age < duration('168h') && !fixes_advisory\"",
        );
    let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    let aged = |hours, fixes_advisory| {
        let published = Some(now - SignedDuration::from_hours(hours));
        let facts = Facts { published, fixes_advisory, ..Facts::at(now) };
        of_x(&rules, &facts, &Asker::default())
    };
    let young = aged(100, Some(false));
    assert_eq!((young.effect, young.code), (Effect::Hold, DecisionCode::HeldByRule));
    assert_eq!(young.until.unwrap().to_string(), "2026-06-03T20:00:00Z");
    assert_eq!(&*young.reason, "held by the rule let-it-settle (not before 2026-06-03T20:00:00Z)");
    assert_eq!(
        (aged(168, Some(false)).effect, aged(168, Some(false)).until),
        (Effect::Allow, None)
    );
    assert_eq!(aged(100, Some(true)).effect, Effect::Allow);
    let unknown = aged(100, None);
    assert_eq!(unknown.effect, Effect::Hold);
    assert_eq!(
        &*unknown.reason,
        "held by the rule let-it-settle (nobody knows whether it fixes an advisory)"
    );
    assert_eq!(unknown.until, young.until);
    let undated = of_x(&rules, &Facts::at(now), &Asker::default());
    assert_eq!((undated.effect, undated.until), (Effect::Hold, None));
    let json = serde_json::to_value(&undated).unwrap();
    assert_eq!(json["missing"], serde_json::json!(["published", "fixes_advisory"]));
    assert_eq!(serde_json::from_value::<Decision>(json).unwrap(), undated);
}

#[test]
fn what_nobody_knows_allows_nothing_and_is_told() {
    let rules = one("mit", "allow", "'npm:*'", "when = \"licence.allowed(['MIT'])\"");
    let decision = of_x(&rules, &facts("2026-06-01T00:00:00Z"), &Asker::default());
    assert_eq!((decision.effect, decision.code), (Effect::Deny, DecisionCode::NoRuleAllows));
    assert_eq!(&*decision.reason, "the rule mit cannot allow it: nobody knows its licence");
    assert_eq!(decision.missing.to_string(), "its licence");
}

#[test]
fn a_waiver_lifts_the_deny_that_it_names_and_no_other() {
    let waiver = |rest: &str| {
        format!(
            "[[waiver]]\nname = 'w'\nwaives = 'no-gpl'\npackages = ['npm:x']\nreason = 'ADR-3'\nowner = 'ann'\nexpires = 2026-07-01\n{rest}\n"
        )
    };
    let deny = one("no-gpl", "deny", "'npm:*'", "");
    let now = facts("2026-06-01T00:00:00Z");
    let decided = |rules: &str| of_x(rules, &now, &Asker::default());
    let lifted = decided(&(deny.clone() + &waiver("")));
    assert_eq!(
        (lifted.effect, lifted.rule.as_deref(), lifted.waiver.as_deref()),
        (Effect::Allow, Some("w"), Some("w"))
    );
    assert_eq!(lifted.until.unwrap().to_string(), "2026-07-01T00:00:00Z");
    let other = decided(&(deny.clone() + &one("other", "deny", "'npm:x'", "") + &waiver("")));
    assert_eq!((other.effect, other.rule.as_deref()), (Effect::Deny, Some("other")));
    let held = decided(&(deny.clone() + &one("wait", "hold", "'npm:x'", "") + &waiver("")));
    assert_eq!((held.effect, held.waiver.as_deref()), (Effect::Hold, Some("w")));
    assert_eq!(decided(&(deny.clone() + &waiver("versions = '>=2'"))).effect, Effect::Deny);
    assert_eq!(decided(&(deny.clone() + &waiver("teams = ['web/*']"))).effect, Effect::Deny);
    assert_eq!(decided(&(deny.clone() + &waiver("when = 'yanked'"))).effect, Effect::Deny);
    let later = decided(&(deny + &waiver("starts = 2026-06-10")));
    assert_eq!(
        (later.effect, later.until.unwrap().to_string()),
        (Effect::Deny, "2026-06-10T00:00:00Z".to_owned())
    );
    // A hold can be waived, too, and without its deny a waiver is an allow.
    assert_eq!(decided(&(one("no-gpl", "hold", "'*'", "") + &waiver(""))).effect, Effect::Allow);
    assert_eq!(decided(&waiver("")).effect, Effect::Allow);
}

#[test]
fn a_rule_for_teams_speaks_to_them_and_never_lets_the_unknown_in() {
    let now = facts("2026-06-01T00:00:00Z");
    let shop = Asker { team: Some("web/shop"), environment: None };
    let ops = Asker { team: Some("ops/db"), environment: None };
    let nobody = Asker::default();
    let allow = one("yes", "allow", "'npm:x'", "teams = ['web/*']");
    let effects = |rules: &str| [shop, ops, nobody].map(|asker| of_x(rules, &now, &asker).effect);
    assert_eq!(effects(&allow), [Effect::Allow, Effect::Deny, Effect::Deny]);
    let told = of_x(&allow, &now, &nobody).reason;
    assert_eq!(&*told, "the rule yes allows it to some teams, and nobody knows who asks");
    let deny = ALLOW_X.to_owned() + &one("no", "deny", "'npm:x'", "teams = ['ops/db', 'sec']");
    assert_eq!(effects(&deny), [Effect::Allow, Effect::Deny, Effect::Deny]);

    let in_prod = Asker { environment: Some("prod"), ..shop };
    let in_test = Asker { environment: Some("test"), ..shop };
    let deny = ALLOW_X.to_owned() + &one("no", "deny", "'npm:x'", "environments = ['prod']");
    let effects = [in_prod, in_test, shop].map(|asker| of_x(&deny, &now, &asker).effect);
    assert_eq!(effects, [Effect::Deny, Effect::Allow, Effect::Allow]);
    let allow = one("yes", "allow", "'npm:x'", "environments = ['*']");
    let effects = [in_prod, shop].map(|asker| of_x(&allow, &now, &asker).effect);
    assert_eq!(effects, [Effect::Allow, Effect::Deny]);
}

#[test]
fn a_rule_that_only_observes_is_reported_and_decides_nothing() {
    let now = facts("2026-06-01T00:00:00Z");
    let rules = ALLOW_X.to_owned() + &one("soon", "deny", "'npm:*'", "observe = true");
    let decision = of_x(&rules, &now, &Asker::default());
    assert_eq!((decision.effect, decision.rule.as_deref()), (Effect::Allow, Some("yes")));
    assert_eq!(decision.observed, Some(Observed { rule: "soon".into(), effect: Effect::Deny }));
    // What is denied anyway has nothing to report.
    let denied = rules + &one("no", "deny", "'npm:x'", "");
    assert_eq!(of_x(&denied, &now, &Asker::default()).observed, None);
    let opening = one("soon", "allow", "'npm:*'", "observe = true");
    let decision = of_x(&opening, &now, &Asker::default());
    assert_eq!(
        (decision.effect, decision.observed.map(|observed| observed.effect)),
        (Effect::Deny, Some(Effect::Allow))
    );
}

#[test]
fn a_rule_that_has_not_started_says_nothing_and_until_is_its_start() {
    let rules = one("yes", "allow", "'npm:x'", "starts = 2026-06-10\nexpires = 2026-06-20");
    let at = |now: &str| of_x(&rules, &facts(now), &Asker::default());
    let before = at("2026-06-09T23:59:59Z");
    assert_eq!(
        (before.effect, before.until.unwrap().to_string()),
        (Effect::Deny, "2026-06-10T00:00:00Z".to_owned())
    );
    assert_eq!(&*before.reason, "the rule yes allows it from 2026-06-10T00:00:00Z on");
    assert_eq!(at("2026-06-10T00:00:00Z").effect, Effect::Allow);
    assert_eq!(at("2026-06-20T00:00:00Z").effect, Effect::Deny);
}

#[test]
fn conditions_teams_and_waivers_are_explained_in_words() {
    let text = one("settle", "hold", "'npm:*'", "when = \"age < duration('168h')\"")
        + &one("licences", "allow", "'npm:*'", "when = \"licence.allowed(['MIT'])\"")
        + &one("web", "allow", "'npm:x'", "teams = ['web/*']\nversions = '^1'")
        + &one("no-old", "deny", "'npm:x'", "when = 'deprecated'")
        + &one("later", "deny", "'npm:x'", "starts = 2027-01-01")
        + &one("watch", "deny", "'npm:x'", "observe = true")
        + "[[waiver]]\nname = 'w'\nwaives = 'no-old'\npackages = ['npm:x']\nreason = 'r'\nowner = 'ann'\nexpires = 2026-07-01\n";
    let set = set(&text);
    let now = facts("2026-06-01T00:00:00Z");
    let published = Some(now.now - SignedDuration::from_hours(300));
    let facts = Facts { published, deprecated: Some(true), ..now };
    let explanation = explain(&set, &"npm:x@1.0.0".parse().unwrap(), &facts, &Asker::default());
    let mut told = format!("{}\n", explanation.decision.reason);
    for considered in explanation.considered {
        writeln!(told, "{} {}: {}", considered.rule, considered.matched, considered.why).unwrap();
    }
    for considered in overview(&set, &"npm:x".parse().unwrap(), &facts).considered {
        writeln!(told, "{} {}: {}", considered.rule, considered.matched, considered.why).unwrap();
    }
    insta::assert_snapshot!(told, @r#"
r
later false: names it by npm:x, but only begins on 2027-01-01T00:00:00Z
no-old false: names it by npm:x, in every version, where deprecated; the waiver w lifts it
watch false: names it by npm:x, in every version; it only observes, and decides nothing
settle false: names it by npm:*, but it is not true that age < duration('168h')
web false: names it by npm:x, but speaks to web/* alone, and nobody knows who asks
w true: names it by npm:x, in every version; it lifts no-old
licences false: names it by npm:*, but nobody knows whether licence.allowed(['MIT']), as nobody knows its licence
later false: speaks of every version, from 2027-01-01T00:00:00Z on
no-old true: speaks of every version where deprecated
watch false: speaks of every version, but only observes
settle true: speaks of every version where age < duration('168h')
web true: speaks of the versions ^1, to web/*
w true: speaks of every version, and lifts no-old, until 2026-07-01T00:00:00Z
licences true: speaks of every version where licence.allowed(['MIT'])
"#);
}

#[test]
fn what_is_pending_is_worth_a_look_only_where_it_could_be_allowed() {
    let licences = one("licences", "deny", "'*'", "when = \"!licence.allowed(['MIT'])\"");
    let settle = one("settle", "hold", "'*'", "when = \"age < duration('168h')\"");
    let allow = one("yes", "allow", "'cargo:x'", "versions = '^1'");
    let pending = Missing::one(Fact::Licence);
    let published = Some("2026-06-01T00:00:00Z".parse().unwrap());
    let at = |now: &str| Facts { published, pending, ..facts(now) };
    let (young, old) = (at("2026-06-02T00:00:00Z"), at("2026-07-01T00:00:00Z"));
    let settled: Timestamp = "2026-06-08T00:00:00Z".parse().unwrap();
    let all = [licences.clone(), settle, allow.clone()].concat();
    let npm_s = one("licences", "deny", "'npm:*'", "when = \"!licence.allowed(['MIT'])\"");
    let of_others = [npm_s, allow.clone()].concat();
    for (row, rules, asked, facts, expected) in [
        ("only the licence is missing", &all, "cargo:x@1.0.0", old, (Hope::Allowed, None)),
        ("too young until then", &all, "cargo:x@1.0.0", young, (Hope::None, Some(settled))),
        ("nobody allows it", &all, "cargo:x@2.0.0", old, (Hope::Open, None)),
        ("nobody asks", &allow, "cargo:x@1.0.0", old, (Hope::None, None)),
        ("no allow at all", &licences, "cargo:x@1.0.0", old, (Hope::Open, None)),
        ("asked of others alone", &of_others, "cargo:x@2.0.0", old, (Hope::None, None)),
    ] {
        let set = set(rules);
        let asked: PackageVersion = asked.parse().unwrap();
        let of_package = set.for_package(&asked.package);
        let decided = decide(&of_package, &asked.version, &facts, &Asker::default());
        assert!(!decided.is_allowed() || row == "nobody asks", "{row}: {decided:?}");
        assert_eq!(hope(&of_package, &asked.version, &facts, &Asker::default()), expected, "{row}");
    }
}
