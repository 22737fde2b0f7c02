//! What must hold of decisions whatever the rules say.

#![allow(clippy::unwrap_used)]

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::facts::{Comparison, KnownAdvisory};
use crate::licence::Licence;
use crate::package::{Ecosystem, PackageVersion};
use crate::rules::{Draft, Origin, RuleSet, parse};

const NOW: &str = "2026-06-01T00:00:00Z";

/// One of each kind of condition, those that depend on time and on each fact among them.
const CONDITIONS: [&str; 16] = [
    "age < duration('168h')",
    "age_here >= duration('24h')",
    "age < duration('168h') && !fixes_advisory",
    "age > duration('100h') || age_here <= duration('1h')",
    "advisories.exists(a, a.severity >= 9.0)",
    "advisories.all(a, a.withdrawn || has(a.severity))",
    "licence.allowed(['MIT', 'family:permissive'])",
    "licence.denied(['family:copyleft'])",
    "deprecated ? age > duration('1h') : install_scripts",
    "install_scripts == provenance",
    "publisher in ['ann', 'bob'] && !publisher_changed",
    "dependencies > 10 || size > 1000",
    "similar_to != '' || contradicts || yanked || unlisted",
    "published < timestamp('2026-01-01T00:00:00Z')",
    "registry == 'npm' && size(advisories) == 0",
    "name.startsWith('a') && own",
];

/// The word is the effect, or `waiver` for one of the deny `r0`.
#[derive(Clone, Debug)]
struct Made {
    effect: String,
    pattern: String,
    versions: Option<String>,
    starts: Option<String>,
    expires: Option<String>,
    when: Option<String>,
    team: Option<String>,
    observe: bool,
}

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
    let effect = prop::sample::select(vec!["allow", "deny", "hold", "waiver"]);
    let versions =
        prop::option::of(prop::sample::select(vec!["1.0.0", "^1.0.0", ">=1.1.0-rc.1", "<2.0.0"]));
    let dates = || {
        prop::option::weighted(
            0.3,
            prop::sample::select(vec!["2026-01-01", "2026-06-03", "2026-07-01", "2027-01-01"]),
        )
    };
    let when = prop::option::of(prop::sample::select(CONDITIONS.to_vec()));
    let team = prop::option::weighted(0.3, prop::sample::select(vec!["web/*", "ops/db"]));
    let observe = prop::bool::weighted(0.1);
    (effect, pattern, versions, dates(), dates(), when, team, observe).prop_map(
        |(effect, pattern, versions, starts, expires, when, team, observe)| Made {
            effect: effect.to_owned(),
            pattern: pattern.to_owned(),
            // Only npm and cargo read these ranges alike; `*` speaks of all ecosystems.
            versions: versions.filter(|_| pattern != "*").map(str::to_owned),
            starts: starts.map(str::to_owned),
            expires: expires.map(str::to_owned),
            when: when.map(str::to_owned),
            team: team.map(str::to_owned),
            observe,
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<Made>> {
    prop::collection::vec(rule(), 0..8)
}

fn compiled(rules: &[Made]) -> Vec<Rule> {
    let make = |(place, made): (usize, &Made)| {
        let waiver = made.effect == "waiver";
        let draft = Draft {
            name: Some(format!("r{place}")),
            effect: Some(made.effect.clone()).filter(|_| !waiver),
            packages: vec![made.pattern.clone()],
            versions: made.versions.clone(),
            when: made.when.clone(),
            teams: made.team.clone().map(|team| vec![team]),
            starts: made.starts.clone(),
            expires: made.expires.clone().or_else(|| waiver.then(|| "2028-01-01".to_owned())),
            observe: Some(made.observe && !waiver),
            waives: waiver.then(|| "r0".to_owned()),
            reason: waiver.then(|| "why".to_owned()),
            owner: waiver.then(|| "ann".to_owned()),
            ..Draft::default()
        };
        draft.check(Origin::Api { by: "test".into(), at: Timestamp::UNIX_EPOCH }).unwrap()
    };
    rules.iter().enumerate().map(make).collect()
}

fn asked() -> impl Strategy<Value = PackageVersion> {
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
    (package, version)
        .prop_map(|(package, version)| format!("{package}@{version}").parse().unwrap())
}

fn asker() -> impl Strategy<Value = Asker<'static>> {
    prop::option::of(prop::sample::select(vec!["web/shop", "ops/db", "ops/web"]))
        .prop_map(|team| Asker { team, environment: None })
}

/// What facts borrow from.
#[derive(Clone, Debug)]
struct Gathered {
    age: i64,
    age_here: i64,
    licence: Licence,
    advisories: Vec<KnownAdvisory>,
    publisher: &'static str,
    similar_to: &'static str,
    flags: [bool; 8],
    count: u32,
    own: bool,
}

fn gathered() -> impl Strategy<Value = Gathered> {
    let licence =
        prop::sample::select(vec!["MIT", "GPL-3.0-only", "MIT OR GPL-3.0-only", "see file"])
            .prop_map(|text| Licence::new(Ecosystem::Npm, text));
    let advisory =
        (prop::option::of(0.0..10.0_f64), any::<bool>()).prop_map(|(severity, withdrawn)| {
            KnownAdvisory { severity, withdrawn, ..KnownAdvisory::default() }
        });
    let publisher = prop::sample::select(vec!["ann", "eve"]);
    let similar = prop::sample::select(vec!["", "react"]);
    let advisories = prop::collection::vec(advisory, 0..3);
    (
        -10..300_i64,
        -10..300_i64,
        licence,
        advisories,
        publisher,
        similar,
        any::<[bool; 8]>(),
        0..2000_u32,
        any::<bool>(),
    )
        .prop_map(
            |(age, age_here, licence, advisories, publisher, similar_to, flags, count, own)| {
                Gathered {
                    age,
                    age_here,
                    licence,
                    advisories,
                    publisher,
                    similar_to,
                    flags,
                    count,
                    own,
                }
            },
        )
}

impl Gathered {
    /// All of the facts but those whose bit is set.
    fn without(&self, hidden: u32) -> Facts<'_> {
        let now: Timestamp = NOW.parse().unwrap();
        let seen = |bit: u32| hidden & (1 << bit) == 0;
        let before = |hours| now - SignedDuration::from_hours(hours);
        let flag = |bit: u32, place: usize| Some(self.flags[place]).filter(|_| seen(bit));
        Facts {
            now,
            own: self.own,
            registry: Some("npm").filter(|_| seen(0)),
            published: Some(before(self.age)).filter(|_| seen(1)),
            first_seen: Some(before(self.age_here)).filter(|_| seen(2)),
            licence: Some(&self.licence).filter(|_| seen(3)),
            advisories: Some(self.advisories.as_slice()).filter(|_| seen(4)),
            publisher: Some(self.publisher).filter(|_| seen(5)),
            similar_to: Some(self.similar_to).filter(|_| seen(6)),
            dependencies: Some(self.count).filter(|_| seen(7)),
            size: Some(self.count.into()).filter(|_| seen(8)),
            fixes_advisory: flag(9, 0),
            deprecated: flag(10, 1),
            yanked: flag(11, 2),
            unlisted: flag(12, 3),
            install_scripts: flag(13, 4),
            provenance: flag(14, 5),
            publisher_changed: flag(15, 6),
            compared: flag(16, 7).map(|contradicts| {
                if contradicts { Comparison::Contradicts } else { Comparison::Agrees }
            }),
        }
    }
}

fn decided(
    rules: Vec<Rule>,
    asked: &PackageVersion,
    facts: &Facts<'_>,
    asker: &Asker<'_>,
) -> Decision {
    let set = RuleSet::compile(rules).unwrap();
    decide(&set.for_package(&asked.package), &asked.version, facts, asker)
}

proptest! {
    #[test]
    fn adding_a_deny_never_allows(rules in rules(), more in rule(), asked in asked(), facts in gathered(), asker in asker()) {
        let facts = facts.without(0);
        let before = decided(compiled(&rules), &asked, &facts, &asker);
        let mut rules = rules;
        rules.push(Made { effect: "deny".to_owned(), ..more });
        let after = decided(compiled(&rules), &asked, &facts, &asker);
        prop_assert!(before.is_allowed() || !after.is_allowed());
    }

    #[test]
    fn adding_an_allow_never_denies(rules in rules(), more in rule(), asked in asked(), facts in gathered(), asker in asker()) {
        let facts = facts.without(0);
        let before = decided(compiled(&rules), &asked, &facts, &asker);
        let mut rules = rules;
        rules.push(Made { effect: "allow".to_owned(), ..more });
        let after = decided(compiled(&rules), &asked, &facts, &asker);
        prop_assert!(!before.is_allowed() || after.is_allowed());
    }

    #[test]
    fn a_rule_changes_nothing_for_packages_that_it_does_not_name(rules in rules(), more in rule(), asked in asked(), facts in gathered(), asker in asker()) {
        let facts = facts.without(0);
        let before = decided(compiled(&rules), &asked, &facts, &asker);
        let mut rules = rules;
        rules.push(more);
        let made = compiled(&rules);
        let named = made.last().unwrap().names(&asked.package);
        let after = decided(made, &asked, &facts, &asker);
        prop_assert!(named || (before.effect, before.rule) == (after.effect, after.rule));
    }

    #[test]
    fn a_waiver_lifts_the_one_deny_that_it_names(rules in rules(), asked in asked(), facts in gathered(), asker in asker()) {
        // Without the deny itself, and with the waivers as mere allows, nothing is refused less.
        let facts = facts.without(0);
        let all = compiled(&rules);
        let mut rest: Vec<Rule> = all.iter().skip(1).cloned().collect();
        for rule in &mut rest {
            rule.waives = None;
        }
        let with = decided(all, &asked, &facts, &asker);
        let without = decided(rest, &asked, &facts, &asker);
        if with.waiver.is_some() {
            prop_assert_eq!((with.effect, with.rule), (without.effect, without.rule));
        }
    }

    #[test]
    fn order_never_matters(rules in rules(), asked in asked(), facts in gathered(), asker in asker(), turn in 0_usize..8) {
        let facts = facts.without(0);
        let made = compiled(&rules);
        let mut turned = made.clone();
        let by = turn.min(turned.len());
        turned.rotate_left(by);
        turned.reverse();
        prop_assert_eq!(decided(made, &asked, &facts, &asker), decided(turned, &asked, &facts, &asker));
    }

    #[test]
    fn not_knowing_never_opens(rules in rules(), asked in asked(), facts in gathered(), asker in asker(), hidden in any::<u32>()) {
        let full = decided(compiled(&rules), &asked, &facts.without(0), &asker);
        let less = decided(compiled(&rules), &asked, &facts.without(hidden), &asker);
        prop_assert!(full.is_allowed() || !less.is_allowed(), "{:?} but {:?}", full, less);
    }

    #[test]
    fn one_audience_is_told_the_same_in_the_same_words(rules in rules(), asked in asked(), facts in gathered(), asker in asker(), other in asker()) {
        let (set, facts) = (RuleSet::compile(compiled(&rules)).unwrap(), facts.without(0));
        let told = |asker: &Asker<'_>| {
            let decision = decide(&set.for_package(&asked.package), &asked.version, &facts, asker);
            (set.audience(&asked.package, asker), decision)
        };
        let ((audience, decision), (others, theirs)) = (told(&asker), told(&other));
        prop_assert!(audience != others || decision == theirs, "{:?} but {:?}", decision, theirs);
        let bound = set.for_package(&asked.package).iter().any(Rule::is_bound);
        prop_assert_eq!(audience.is_everybody(), !bound);
    }

    #[test]
    fn what_is_missing_is_what_would_have_mattered(rules in rules(), asked in asked(), facts in gathered(), asker in asker(), hidden in any::<u32>()) {
        let full = decided(compiled(&rules), &asked, &facts.without(0), &asker);
        let less = decided(compiled(&rules), &asked, &facts.without(hidden), &asker);
        if less.effect != full.effect && less.waiver == full.waiver && full.waiver.is_none() {
            prop_assert!(!less.missing.is_empty(), "{:?} but {:?}", full, less);
        }
    }

    #[test]
    fn hiding_ones_team_never_opens(rules in rules(), asked in asked(), facts in gathered(), asker in asker()) {
        let facts = facts.without(0);
        let known = decided(compiled(&rules), &asked, &facts, &asker);
        let hidden = decided(compiled(&rules), &asked, &facts, &Asker::default());
        prop_assert!(known.is_allowed() || !hidden.is_allowed());
    }

    #[test]
    fn the_index_finds_what_scanning_every_rule_finds(rules in rules(), asked in asked()) {
        let made = compiled(&rules);
        let mut scanned: Vec<String> = made.iter().filter(|rule| rule.names(&asked.package)).map(|rule| rule.name.to_string()).collect();
        let set = RuleSet::compile(made).unwrap();
        let mut found: Vec<String> = set.for_package(&asked.package).iter().map(|rule| rule.name.to_string()).collect();
        scanned.sort();
        found.sort();
        prop_assert_eq!(scanned, found);
    }

    #[test]
    fn a_decision_holds_until_the_moment_that_it_names(rules in rules(), asked in asked(), facts in gathered(), asker in asker(), hidden in any::<u32>(), minutes in 0_i64..20_000) {
        let set = RuleSet::compile(compiled(&rules)).unwrap();
        let package_rules = set.for_package(&asked.package);
        let start = facts.without(hidden);
        let decision = decide(&package_rules, &asked.version, &start, &asker);
        prop_assert!(decision.until.is_none_or(|until| start.now < until));
        let mut moments = vec![start.now + SignedDuration::from_mins(minutes)];
        // The last moment at which it must still hold is where a bound one off would show.
        moments.extend(decision.until.map(|until| until - SignedDuration::from_nanos(1)));
        for now in moments {
            if decision.until.is_none_or(|until| now < until) {
                let again = decide(&package_rules, &asked.version, &Facts { now, ..start }, &asker);
                prop_assert_eq!(&again, &decision, "at {}", now);
            }
        }
    }

    #[test]
    fn what_is_explained_is_what_is_decided(rules in rules(), asked in asked(), facts in gathered(), asker in asker(), hidden in any::<u32>()) {
        let set = RuleSet::compile(compiled(&rules)).unwrap();
        let facts = facts.without(hidden);
        let explanation = explain(&set, &asked, &facts, &asker);
        let first = explanation.considered.iter().find(|considered| considered.matched);
        prop_assert_eq!(first.map(|considered| &considered.rule), explanation.decision.rule.as_ref());
    }

    #[test]
    fn what_is_published_here_is_allowed_only_where_no_rule_speaks(rules in rules(), asked in asked(), facts in gathered(), asker in asker()) {
        let rules: Vec<Made> = rules.into_iter().map(|made| Made { when: made.when.filter(|when| !when.contains("own")), ..made }).collect();
        let set = RuleSet::compile(compiled(&rules)).unwrap();
        let package_rules = set.for_package(&asked.package);
        let foreign = Facts { own: false, ..facts.without(0) };
        let decision = decide(&package_rules, &asked.version, &foreign, &asker);
        let own = decide(&package_rules, &asked.version, &Facts { own: true, ..foreign }, &asker);
        prop_assert!(decision.code != DecisionCode::OwnPackage);
        if decision.rule.is_some() {
            prop_assert_eq!(own, decision);
        } else {
            prop_assert_eq!((own.effect, own.code), (Effect::Allow, DecisionCode::OwnPackage));
        }
    }

    #[test]
    fn any_text_is_read_as_rules_or_faults(text in "(\\[\\[(rule|waiver|expect)\\]\\]\n)?([a-z]{1,8} = (\"[^\"\\\\\n]{0,12}\"|[0-9]{1,4}|\\[[^\\]]{0,12}\\])\n){0,5}\\PC{0,20}") {
        match parse("a.toml", &text) {
            Ok(_) => {}
            Err(faults) => prop_assert!(!faults.is_empty()),
        }
    }
}
