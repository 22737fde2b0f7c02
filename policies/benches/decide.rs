//! How long one decision takes with a thousand rules in force, and with conditions among them.
//!
//! The bars are at its end, and each run says whether they are met: [`bars`].

#![allow(
    clippy::disallowed_types,
    clippy::disallowed_macros,
    reason = "a benchmark has a clock, and says what it measured"
)]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::{SignedDuration, Timestamp};
use policies::asker::Asker;
use policies::decide::decide;
use policies::facts::{Comparison, Facts, KnownAdvisory};
use policies::licence::Licence;
use policies::package::{Ecosystem, Package, Version};
use policies::rules::{RuleSet, parse};

const VERSIONS: [&str; 8] =
    ["0.9.0", "1.0.0", "1.4.2", "2.0.0-rc.1", "2.0.0", "2.11.3", "3.0.0-beta.12", "3.1.0"];

/// None is true of the versions asked about, so each of them is asked.
const CONDITIONS: [&str; 5] = [
    "age < duration('168h') && !fixes_advisory",
    "advisories.exists(a, a.severity >= 9.0 && !a.withdrawn)",
    "licence.denied(['GPL-3.0-only', 'AGPL-3.0-only', 'family:copyleft'])",
    "publisher_changed && install_scripts",
    "name.matches('^(evil|bad)-') || similar_to != \'\'",
];

const ASKED: &str = "[[rule]]\nname = 'asked'\neffect = 'allow'\npackages = ['npm:left-pad']\n";

fn compiled(text: &str) -> RuleSet {
    RuleSet::compile(parse("bench.toml", text).expect("the rules are good")).expect("no name twice")
}

/// `named` rules for other packages, and `shared` that each name every npm package.
fn plain(named: usize, shared: usize) -> RuleSet {
    let mut text = String::from(ASKED) + "versions = '>=1 <3'\n";
    let mut rule = |name: String, package: String, effect: &str, versions: &str| {
        writeln!(
            text,
            "[[rule]]\nname = '{name}'\neffect = '{effect}'\npackages = ['{package}']\nversions = '{versions}'"
        )
        .expect("writing to a string does not fail");
    };
    for place in 0..named {
        rule(format!("named-{place}"), format!("npm:package-{place}"), "deny", "^1.2");
    }
    for place in 0..shared {
        rule(format!("shared-{place}"), "npm:*".to_owned(), "deny", "=0.0.1 || ^99");
    }
    compiled(&text)
}

/// What an organisation of many teams has: rules for packages and scopes, some of them for teams, for
/// a time or with a condition, and waivers.
fn mixed(count: usize) -> RuleSet {
    let mut text = String::from(ASKED);
    for place in 0..count {
        let package = match place % 10 {
            0 => "npm:left-*".to_owned(),
            1..=3 => format!("npm:@scope-{place}/*"),
            _ => format!("npm:package-{place}"),
        };
        let terms = match place % 20 {
            0 => format!("when = \"{}\"", CONDITIONS[place / 20 % CONDITIONS.len()]),
            10 => "teams = ['ops/*']\nenvironments = ['prod']".to_owned(),
            5 => "expires = 2099-01-01".to_owned(),
            _ => "versions = '^1.2'".to_owned(),
        };
        writeln!(
            text,
            "[[rule]]\nname = 'mixed-{place}'\neffect = 'deny'\npackages = ['{package}']\n{terms}"
        )
        .expect("writing to a string does not fail");
    }
    compiled(&text)
}

/// So many rules with conditions that all speak of the package.
fn conditional(count: usize) -> RuleSet {
    let mut text = String::from(ASKED);
    for place in 0..count {
        let when = CONDITIONS[place % CONDITIONS.len()];
        writeln!(
            text,
            "[[rule]]\nname = 'when-{place}'\neffect = 'deny'\npackages = ['npm:*']\nwhen = \"{when}\""
        )
        .expect("writing to a string does not fail");
    }
    compiled(&text)
}

fn benches(criterion: &mut Criterion) {
    let now = Timestamp::UNIX_EPOCH;
    let licence = Licence::new(Ecosystem::Npm, "MIT OR Apache-2.0");
    let advisory =
        KnownAdvisory { id: "GHSA-1".into(), severity: Some(5.3), ..KnownAdvisory::default() };
    let advisories = [advisory];
    // All that a server knows of a version that it has served for a while.
    let facts = Facts {
        registry: Some("npm"),
        first_seen: Some(now - SignedDuration::from_hours(900)),
        deprecated: Some(false),
        yanked: Some(false),
        unlisted: Some(false),
        provenance: Some(true),
        publisher: Some("ann"),
        dependencies: Some(3),
        size: Some(40_000),
        compared: Some(Comparison::Agrees),
        published: Some(now - SignedDuration::from_hours(1000)),
        licence: Some(&licence),
        advisories: Some(&advisories),
        fixes_advisory: Some(false),
        publisher_changed: Some(false),
        install_scripts: Some(false),
        similar_to: Some(""),
        ..Facts::at(now)
    };
    let asker = Asker { team: Some("web/shop"), environment: None };
    let package: Package = "npm:left-pad".parse().expect("a good name");
    let versions = VERSIONS.map(|version| Version::new(version).expect("a good version"));
    for (name, set) in [
        ("1000 rules that name a package each", plain(1000, 0)),
        ("990 such rules and 10 for all of npm", plain(990, 10)),
        ("1000 rules for all of npm", plain(0, 1000)),
        ("1000 mixed rules", mixed(1000)),
        ("5 rules with conditions", conditional(5)),
        ("100 rules with conditions", conditional(100)),
    ] {
        criterion.bench_function(&format!("find rules, {name}"), |bencher| {
            bencher.iter(|| black_box(set.for_package(black_box(&package))));
        });
        let found = set.for_package(&package);
        // Eight versions of every kind: allowed, pre-release, outside of the range.
        criterion.bench_function(&format!("decide 8 versions, {name}"), |bencher| {
            bencher.iter(|| {
                for version in &versions {
                    black_box(decide(black_box(&found), version, &facts, &asker));
                }
            });
        });
    }
    let many = many();
    for (name, set) in [
        ("1000 rules, 10 of them for all of npm", plain(990, 10)),
        ("5 rules with conditions", conditional(5)),
        ("20 rules with conditions", conditional(20)),
        ("100 rules with conditions", conditional(100)),
    ] {
        criterion.bench_function(&format!("decide 5000 versions, {name}"), |bencher| {
            bencher.iter(|| {
                let found = set.for_package(&package);
                for version in &many {
                    black_box(decide(black_box(&found), version, &facts, &asker));
                }
            });
        });
    }
    bars(&package, &versions, &many, &facts, &asker);
}

fn many() -> Vec<Version> {
    (0..5000)
        .map(|n| {
            Version::new(&format!("{}.{}.{}", n / 100, n / 10 % 10, n % 10)).expect("a version")
        })
        .collect()
}

/// The bars of a decision, and whether they are met here and now. Compare nothing else with them: a
/// machine that does other work at the same time misses them without a fault of the code.
fn bars(
    package: &Package,
    versions: &[Version],
    many: &[Version],
    facts: &Facts<'_>,
    asker: &Asker<'_>,
) {
    let sets = [
        ("a decision, 1000 plain rules", plain(990, 10), versions, Duration::from_micros(2), true),
        ("a decision, 1000 mixed rules", mixed(1000), versions, Duration::from_micros(2), true),
        ("a decision, 100 conditions", conditional(100), versions, Duration::from_micros(10), true),
        ("5000 versions, 1000 rules", plain(990, 10), many, Duration::from_millis(30), false),
        ("5000 versions, 20 conditions", conditional(20), many, Duration::from_millis(30), false),
    ];
    for (name, set, versions, bar, each) in sets {
        let rounds = if each { 200 } else { 1 };
        let mut taken: Vec<Duration> = (0..25)
            .map(|_| {
                let start = Instant::now();
                for _ in 0..rounds {
                    let found = set.for_package(black_box(package));
                    for version in versions {
                        black_box(decide(&found, version, facts, asker));
                    }
                }
                start.elapsed()
            })
            .collect();
        taken.sort_unstable();
        let parts =
            if each { rounds * u32::try_from(versions.len()).unwrap_or(u32::MAX) } else { 1 };
        let median = taken[taken.len() / 2] / parts;
        let met = if median <= bar { "met" } else { "MISSED" };
        println!("bar: {name}: {median:?} of {bar:?}: {met}");
    }
}

criterion_group!(decide_benches, benches);
criterion_main!(decide_benches);
