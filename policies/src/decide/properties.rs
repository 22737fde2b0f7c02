//! What must hold of decisions whatever the rules say.
//!
//! Rules are made of every kind: effects, patterns, ranges, conditions, teams, environments, dates,
//! observing, waivers of a rule and of malice. That the cases reach both sides of each property is a
//! test of its own, [`the_cases_reach_both_sides`].

#![allow(clippy::unwrap_used)]

mod pending;

use std::collections::{BTreeMap, HashMap};
use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use super::*;
use crate::backtest::{Backtest, Before, Case, Said, Whom};
use crate::condition::Condition;
use crate::facts::{Comparison, Fact, KnownAdvisory};
use crate::licence::Licence;
use crate::package::{Ecosystem, PackageVersion};
use crate::rules::{Draft, Origin, RuleSet, parse};

const NOW: &str = "2026-06-01T00:00:00Z";

/// One of each kind of condition, those that depend on time and on each fact among them.
const CONDITIONS: [&str; 20] = [
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
    "age < duration('24h') ? yanked : deprecated",
    "age <= duration('100h') == provenance",
    "description.contains('a') || repository == ''",
    "rust_version in ['1.63', '1.70']",
];

/// Each is read once: reading is slow, and what is tried here is deciding.
static READ: LazyLock<HashMap<&str, Condition>> = LazyLock::new(|| {
    CONDITIONS.into_iter().map(|text| (text, Condition::parse(text).unwrap())).collect()
});

/// The durations in them: at these ages answers change.
const TURNS: [i64; 4] = [1, 24, 100, 168];

const DATES: [&str; 4] = ["2026-01-01", "2026-06-03", "2026-07-01", "2027-01-01"];

/// Enough to find each of the mistakes that were put into the code to try it.
const CASES: u32 = 2048;

/// The bit of [`Gathered::without`] that hides the advisories.
const ADVISORIES: u32 = 1 << 4;

/// The word is the effect, or `waiver` for one of `waives`.
#[derive(Clone, Debug)]
struct Made {
    effect: String,
    pattern: String,
    versions: Option<String>,
    starts: Option<String>,
    expires: Option<String>,
    when: Option<&'static str>,
    team: Option<String>,
    environment: Option<String>,
    observe: bool,
    waives: &'static str,
}

fn rule() -> impl Strategy<Value = Made> {
    // Most speak of most packages, so that rules meet.
    let pattern = prop::sample::select(vec![
        "*",
        "*",
        "npm:*",
        "npm:*",
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
    let dates = || prop::option::weighted(0.3, prop::sample::select(DATES.to_vec()));
    let when = prop::option::of(prop::sample::select(CONDITIONS.to_vec()));
    let team = prop::option::weighted(0.3, prop::sample::select(vec!["web/*", "ops/db"]));
    let environment = prop::option::weighted(0.3, prop::sample::select(vec!["prod", "*"]));
    let observe = prop::bool::weighted(0.1);
    let waives = prop::sample::select(vec!["r0", "r0", "r0", "r1", MALICIOUS]);
    let to_whom = (team, environment);
    (effect, pattern, versions, dates(), dates(), when, to_whom, observe, waives).prop_map(
        |(effect, pattern, versions, starts, expires, when, to_whom, observe, waives)| Made {
            effect: effect.to_owned(),
            pattern: pattern.to_owned(),
            // Only npm and cargo read these ranges alike; `*` speaks of all ecosystems.
            versions: versions.filter(|_| pattern != "*").map(str::to_owned),
            starts: starts.map(str::to_owned),
            expires: expires.map(str::to_owned),
            when,
            team: to_whom.0.map(str::to_owned),
            environment: to_whom.1.map(str::to_owned),
            observe,
            waives,
        },
    )
}

fn rules() -> impl Strategy<Value = Vec<Made>> {
    // Often the first refuses everything to everybody, so that waivers of it have something to lift.
    (prop::collection::vec(rule(), 0..10), prop::bool::weighted(0.3), any::<bool>()).prop_map(
        |(mut rules, refuses, holds)| {
            if let Some(first) = rules.first_mut().filter(|_| refuses) {
                let effect = if holds { "hold" } else { "deny" }.to_owned();
                let (pattern, versions, when) = ("*".to_owned(), None, None);
                let (team, environment, observe) = (None, None, false);
                let (starts, expires, waives) = (None, first.expires.take(), first.waives);
                *first = Made {
                    effect,
                    pattern,
                    versions,
                    starts,
                    expires,
                    when,
                    team,
                    environment,
                    observe,
                    waives,
                };
            }
            rules
        },
    )
}

fn compiled(rules: &[Made]) -> Vec<Rule> {
    let make = |(place, made): (usize, &Made)| {
        let waiver = made.effect == "waiver";
        let draft = Draft {
            name: Some(format!("r{place}")),
            effect: Some(made.effect.clone()).filter(|_| !waiver),
            packages: vec![made.pattern.clone()],
            versions: made.versions.clone(),
            teams: made.team.clone().map(|team| vec![team]),
            environments: made.environment.clone().map(|environment| vec![environment]),
            starts: made.starts.clone(),
            expires: made.expires.clone().or_else(|| waiver.then(|| "2028-01-01".to_owned())),
            observe: Some(made.observe && !waiver),
            waives: waiver.then(|| made.waives.to_owned()),
            reason: waiver.then(|| "why".to_owned()),
            owner: waiver.then(|| "ann".to_owned()),
            ..Draft::default()
        };
        let origin = Origin::Api { by: "test".into(), at: Timestamp::UNIX_EPOCH };
        Rule { when: made.when.map(|when| READ[when].clone()), ..draft.check(origin).unwrap() }
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
    let team = prop::option::of(prop::sample::select(vec!["web/shop", "ops/db", "ops/web"]));
    let environment = prop::option::of(prop::sample::select(vec!["prod", "test"]));
    (team, environment).prop_map(|(team, environment)| Asker { team, environment })
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
    let advisory = (prop::option::of(0.0..10.0_f64), any::<bool>(), prop::bool::weighted(0.1))
        .prop_map(|(severity, withdrawn, malicious)| KnownAdvisory {
            severity,
            malicious,
            withdrawn,
            ..KnownAdvisory::default()
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
        prop::bool::weighted(0.2),
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
    /// An advisory calls it malicious.
    fn is_malicious(&self) -> bool {
        known_malice(&self.without(0)).is_some()
    }

    /// Malice is no rule's matter: it denies where it is known, and where no advisories were
    /// imported nobody looks for it. So it is not hidden where rules are tried.
    fn without_but_malice(&self, hidden: u32) -> Facts<'_> {
        self.without(if self.is_malicious() { hidden & !ADVISORIES } else { hidden })
    }

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
            description: Some(self.publisher).filter(|_| seen(17)),
            repository: Some(self.similar_to).filter(|_| seen(18)),
            rust_version: Some(if self.flags[2] { "1.85" } else { "1.63" }).filter(|_| seen(19)),
            pending: Missing::NONE,
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

/// Those from now on at which anything can change, and the last one before each.
fn moments(facts: &Facts<'_>) -> Vec<Timestamp> {
    let dates = DATES.into_iter().map(|date| format!("{date}T00:00:00Z").parse().unwrap());
    let ages = [facts.published, facts.first_seen].into_iter().flatten().flat_map(|from| {
        TURNS.into_iter().map(move |hours| from + SignedDuration::from_hours(hours))
    });
    let nano = SignedDuration::from_nanos(1);
    let mut moments: Vec<Timestamp> =
        dates.chain(ages).flat_map(|at: Timestamp| [at - nano, at, at + nano]).collect();
    moments.retain(|at| *at > facts.now);
    moments
}

/// One case of a strategy after the other, the same in each run.
fn cases<T: Strategy>(strategy: T, count: usize) -> Vec<T::Value> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(|_| strategy.new_tree(&mut runner).unwrap().current()).collect()
}

/// A property whose cases never come near it holds of any code.
#[test]
fn the_cases_reach_both_sides() {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut saw = |what: &'static str, is: bool| *seen.entry(what).or_default() += usize::from(is);
    let strategy = (rules(), rule(), asked(), gathered(), asker(), any::<u32>());
    for (rules, more, asked, facts, asker, hidden) in cases(strategy, CASES as usize) {
        let full = facts.without(0);
        let with = |effect: &str, observe: bool| {
            let mut rules = rules.clone();
            rules.push(Made { effect: effect.to_owned(), observe, ..more.clone() });
            decided(compiled(&rules), &asked, &full, &asker)
        };
        let before = decided(compiled(&rules), &asked, &full, &asker);
        saw("allowed", before.is_allowed());
        saw("held", before.effect == Effect::Hold);
        saw("denied by a rule", before.code == DecisionCode::DeniedByRule);
        saw("denied by none", before.code == DecisionCode::NoRuleAllows);
        saw("own", before.code == DecisionCode::OwnPackage);
        saw("malicious", before.code == DecisionCode::Malicious);
        saw("waived", before.waiver.is_some());
        saw("observed", before.observed.is_some());
        saw("changes by itself", before.until.is_some());
        saw("a deny closes", before.is_allowed() && !with("deny", false).is_allowed());
        saw("a deny does not speak", before.is_allowed() && with("deny", false).is_allowed());
        saw("a hold closes", before.is_allowed() && !with("hold", false).is_allowed());
        saw("an allow opens", !before.is_allowed() && with("allow", false).is_allowed());
        saw("an allow does not help", !before.is_allowed() && !with("allow", false).is_allowed());
        saw("a waiver lifts", before.waiver.is_none() && with("waiver", false).waiver.is_some());
        saw("one more observes", with("deny", true).observed != before.observed);
        let less = decided(compiled(&rules), &asked, &facts.without(hidden), &asker);
        saw("not knowing closes", before.is_allowed() && !less.is_allowed());
        saw("not knowing changes nothing", before == less);
        saw("something is missing", !less.missing.is_empty());
        let nobody = Asker { team: None, ..asker };
        let hidden = decided(compiled(&rules), &asked, &full, &nobody);
        saw("hiding closes", before.is_allowed() && !hidden.is_allowed());
        let elsewhere = Asker { environment: None, ..asker };
        let elsewhere = decided(compiled(&rules), &asked, &full, &elsewhere);
        saw("environments matter", elsewhere.effect != before.effect);
        let later = moments(&full).into_iter().any(|now| {
            decided(compiled(&rules), &asked, &Facts { now, ..full }, &asker).effect
                != before.effect
        });
        saw("time matters", later);
    }
    let rare: Vec<_> = seen.iter().filter(|(_, count)| **count < 10).collect();
    assert!(rare.is_empty(), "of {CASES} cases too few reach {rare:?}; all: {seen:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

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
    fn adding_an_allow_or_a_waiver_never_denies(rules in rules(), more in rule(), waiver in any::<bool>(), asked in asked(), facts in gathered(), asker in asker()) {
        let facts = facts.without(0);
        let before = decided(compiled(&rules), &asked, &facts, &asker);
        let mut rules = rules;
        rules.push(Made { effect: if waiver { "waiver" } else { "allow" }.to_owned(), ..more });
        let after = decided(compiled(&rules), &asked, &facts, &asker);
        prop_assert!(!before.is_allowed() || after.is_allowed());
    }

    #[test]
    fn adding_a_hold_never_allows_and_denies_nothing_that_was_allowed(rules in rules(), more in rule(), asked in asked(), facts in gathered(), asker in asker()) {
        let facts = facts.without(0);
        let before = decided(compiled(&rules), &asked, &facts, &asker);
        let mut rules = rules;
        rules.push(Made { effect: "hold".to_owned(), ..more });
        let after = decided(compiled(&rules), &asked, &facts, &asker);
        prop_assert!(before.is_allowed() || !after.is_allowed());
        prop_assert!(!before.is_allowed() || after.effect != Effect::Deny);
    }

    #[test]
    fn a_rule_that_observes_decides_nothing(rules in rules(), more in rule(), effect in 0_usize..3, asked in asked(), facts in gathered(), asker in asker(), hidden in any::<u32>()) {
        let facts = facts.without(hidden);
        let before = decided(compiled(&rules), &asked, &facts, &asker);
        let mut rules = rules;
        rules.push(Made { effect: Effect::ALL[effect].to_string(), observe: true, ..more });
        let after = decided(compiled(&rules), &asked, &facts, &asker);
        prop_assert_eq!((before.effect, before.code, before.rule, before.missing), (after.effect, after.code, after.rule, after.missing));
    }

    #[test]
    fn a_waiver_opens_nothing_that_another_rule_refuses(rules in rules(), more in rule(), asked in asked(), facts in gathered(), asker in asker()) {
        // Beside a deny of everything that nobody waives, no waiver helps.
        let facts = facts.without(0);
        let mut rules = rules;
        rules.push(Made { effect: "waiver".to_owned(), ..more });
        let mut all = compiled(&rules);
        let (name, effect) = (Some("stands".to_owned()), Some("deny".to_owned()));
        let stands = Draft { name, effect, packages: vec!["*".to_owned()], ..Draft::default() };
        all.push(stands.check(Origin::Api { by: "test".into(), at: Timestamp::UNIX_EPOCH }).unwrap());
        prop_assert!(!decided(all, &asked, &facts, &asker).is_allowed());
    }

    #[test]
    fn trying_the_same_rules_changes_nothing_whenever_it_was_asked(rules in rules(), facts in gathered(), hidden in 0..1_u32 << 20, cases in prop::collection::vec((asked(), asker(), 0..300_i64), 1..40)) {
        let (set, same) = (RuleSet::compile(compiled(&rules)).unwrap(), RuleSet::compile(compiled(&rules)).unwrap());
        let facts = facts.without(hidden);
        let registry = "npm".into();
        let mut of_recorded = Backtest::new(Before::Recorded, &same);
        let mut of_rules = Backtest::new(Before::Rules(&set), &same);
        for (asked, asker, hours) in &cases {
            let asks = set.asks_for(Fact::SimilarTo);
            let similar_to = if asks { set.similar_to(&asked.package) } else { None };
            let now = facts.now + SignedDuration::from_hours(*hours);
            let facts = Facts { now, similar_to, ..facts };
            let then = decide(&set.for_package(&asked.package), &asked.version, &facts, asker);
            let said = Said { effect: then.effect, rule: then.rule, reason: None };
            let whom = Whom::of(asker.team.map(Into::into));
            let environment = asker.environment.map(Into::into);
            let case = Case { registry: &registry, subject: asked, whom: &whom, environment: environment.as_ref(), facts: &facts, requests: 1, last: None, recorded: Some(&said) };
            of_recorded.try_case(&case);
            of_rules.try_case(&case);
        }
        for backtest in [of_recorded, of_rules] {
            let report = backtest.finish(100);
            prop_assert_eq!(report.changed, 0, "{:?}", report.changes);
            prop_assert_eq!(report.requests, cases.len() as u64);
        }
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
        prop_assume!(!facts.is_malicious());
        let facts = facts.without(0);
        let rules: Vec<Made> = rules.into_iter().map(|made| Made { waives: "r0", ..made }).collect();
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
    fn order_never_matters((made, turned) in rules().prop_flat_map(|rules| { let made = compiled(&rules); (Just(made.clone()), Just(made).prop_shuffle()) }), asked in asked(), facts in gathered(), asker in asker(), hidden in any::<u32>()) {
        let facts = facts.without(hidden);
        prop_assert_eq!(decided(made, &asked, &facts, &asker), decided(turned, &asked, &facts, &asker));
    }

    #[test]
    fn not_knowing_never_opens(rules in rules(), asked in asked(), facts in gathered(), asker in asker(), hidden in any::<u32>()) {
        let full = decided(compiled(&rules), &asked, &facts.without(0), &asker);
        let less = decided(compiled(&rules), &asked, &facts.without_but_malice(hidden), &asker);
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
        let less = decided(compiled(&rules), &asked, &facts.without_but_malice(hidden), &asker);
        if less.effect != full.effect && less.waiver == full.waiver && full.waiver.is_none() {
            prop_assert!(!less.missing.is_empty(), "{:?} but {:?}", full, less);
        }
    }

    #[test]
    fn hiding_ones_team_never_opens(rules in rules(), asked in asked(), facts in gathered(), asker in asker()) {
        let facts = facts.without(0);
        let known = decided(compiled(&rules), &asked, &facts, &asker);
        let hidden = decided(compiled(&rules), &asked, &facts, &Asker { team: None, ..asker });
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
    fn a_decision_holds_until_the_moment_that_it_names(rules in rules(), asked in asked(), facts in gathered(), asker in asker(), hidden in any::<u32>()) {
        let set = RuleSet::compile(compiled(&rules)).unwrap();
        let package_rules = set.for_package(&asked.package);
        let start = facts.without(hidden);
        let decision = decide(&package_rules, &asked.version, &start, &asker);
        prop_assert!(decision.until.is_none_or(|until| start.now < until));
        for now in moments(&start) {
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
        prop_assume!(explanation.decision.code != DecisionCode::Malicious);
        let first = explanation.considered.iter().find(|considered| considered.matched);
        prop_assert_eq!(first.map(|considered| &considered.rule), explanation.decision.rule.as_ref());
    }

    #[test]
    fn what_is_published_here_is_allowed_only_where_no_rule_speaks(rules in rules(), asked in asked(), facts in gathered(), asker in asker()) {
        let rules: Vec<Made> = rules.into_iter().map(|made| Made { when: made.when.filter(|when| !when.contains("own")), ..made }).collect();
        let set = RuleSet::compile(compiled(&rules)).unwrap();
        let package_rules = set.for_package(&asked.package);
        // What an advisory calls malicious is another matter: it speaks of foreign packages alone.
        prop_assume!(known_malice(&Facts { own: false, ..facts.without(0) }).is_none());
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
