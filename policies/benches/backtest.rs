//! How long it takes to try a candidate on a recorded day of a million decisions, when no two of
//! them are alike: that is the worst that a day can be.

use std::fmt::Write as _;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use policies::backtest::{Backtest, Before, Case, Said, Whom};
use policies::decision::Effect;
use policies::facts::{Facts, KnownAdvisory};
use policies::package::PackageVersion;
use policies::rules::{RuleSet, parse};

const DECISIONS: usize = 1_000_000;
const VERSIONS: usize = 20_000;
const TEAMS: usize = 300;

/// A thousand plain rules, twenty with conditions, and some that tell teams apart.
fn candidate() -> RuleSet {
    let mut text = String::new();
    let mut rule = |name: String, effect: &str, package: String, more: &str| {
        let head = format!("name = '{name}'\neffect = '{effect}'\npackages = ['{package}']");
        writeln!(text, "[[rule]]\n{head}\n{more}").expect("writing to a string does not fail");
    };
    rule("all".to_owned(), "allow", "npm:*".to_owned(), "");
    for n in 0..1000 {
        rule(format!("named-{n}"), "deny", format!("npm:p-{n}"), "versions = '<1.0.3'");
    }
    let conditions =
        ["age < duration('168h') && !fixes_advisory", "advisories.exists(a, a.severity >= 9.0)"];
    for n in 0..20 {
        let when = format!("when = \"{}\"", conditions[n % 2]);
        rule(format!("when-{n}"), "hold", "npm:*".to_owned(), &when);
        rule(format!("team-{n}"), "deny", format!("npm:p-{n}*"), "teams = ['unit-1/*']");
    }
    RuleSet::compile(parse("bench.toml", &text).expect("good rules")).expect("no name twice")
}

fn benches(criterion: &mut Criterion) {
    let set = candidate();
    let begin = Timestamp::UNIX_EPOCH;
    let advisories =
        [KnownAdvisory { id: "GHSA-1".into(), severity: Some(5.3), ..KnownAdvisory::default() }];
    let registry: Arc<str> = "npm".into();
    let subjects: Vec<PackageVersion> = (0..VERSIONS)
        .map(|n| format!("npm:p-{}@1.0.{}", n / 8, n % 8).parse().expect("a version"))
        .collect();
    let whom: Vec<Whom> =
        (0..TEAMS).map(|n| Whom::Team(format!("unit-{}/team-{n}", n % 10).into())).collect();
    let recorded = Said { effect: Effect::Allow, rule: None, reason: None };
    let mut group = criterion.benchmark_group("backtest");
    group.sample_size(10);
    for (name, before) in [("recorded", Before::Recorded), ("other rules", Before::Rules(&set))] {
        group.bench_function(
            format!("a day of {DECISIONS} decisions, against {name}"),
            |bencher| {
                bencher.iter(|| {
                    let mut backtest = Backtest::new(before, &set);
                    for n in 0..DECISIONS {
                        // By the hour, as it is recorded.
                        let hour = n / (DECISIONS / 24);
                        let minutes = i64::try_from(hour * 60 + n % 60).expect("a small number");
                        let facts = Facts {
                            published: Some(begin - SignedDuration::from_hours(160)),
                            advisories: Some(&advisories),
                            fixes_advisory: Some(false),
                            ..Facts::at(begin + SignedDuration::from_mins(minutes))
                        };
                        backtest.try_case(&Case {
                            registry: &registry,
                            subject: &subjects[n * 7919 % VERSIONS],
                            whom: &whom[n * 31 % TEAMS],
                            environment: None,
                            facts: &facts,
                            requests: 1,
                            last: Some(facts.now),
                            recorded: Some(&recorded),
                        });
                    }
                    black_box(backtest.finish(1000))
                });
            },
        );
    }
    group.finish();
}

criterion_group!(backtest_benches, benches);
criterion_main!(backtest_benches);
