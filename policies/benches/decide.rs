//! How long one decision takes with a thousand rules in force.

use std::fmt::Write as _;
use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use jiff::Timestamp;
use policies::decide::decide;
use policies::facts::Facts;
use policies::package::{Package, Version};
use policies::rules::{RuleSet, parse};

const VERSIONS: [&str; 8] =
    ["0.9.0", "1.0.0", "1.4.2", "2.0.0-rc.1", "2.0.0", "2.11.3", "3.0.0-beta.12", "3.1.0"];

/// `named` rules for other packages, and `shared` that each name every npm package.
fn rules(named: usize, shared: usize) -> RuleSet {
    let mut text = String::from(
        "[[rule]]\nname = 'asked'\neffect = 'allow'\npackages = ['npm:left-pad']\nversions = '>=1 <3'\n",
    );
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
    RuleSet::compile(parse("bench.toml", &text).expect("the rules are good"))
        .expect("no name twice")
}

fn benches(criterion: &mut Criterion) {
    let facts = Facts::at(Timestamp::UNIX_EPOCH);
    let package: Package = "npm:left-pad".parse().expect("a good name");
    let versions = VERSIONS.map(|version| Version::new(version).expect("a good version"));
    for (name, set) in [
        ("1000 rules that name a package each", rules(1000, 0)),
        ("990 such rules and 10 for all of npm", rules(990, 10)),
        ("1000 rules for all of npm", rules(0, 1000)),
    ] {
        criterion.bench_function(&format!("find rules, {name}"), |bencher| {
            bencher.iter(|| black_box(set.for_package(black_box(&package))));
        });
        let found = set.for_package(&package);
        // Eight versions of every kind: allowed, pre-release, outside of the range.
        criterion.bench_function(&format!("decide 8 versions, {name}"), |bencher| {
            bencher.iter(|| {
                for version in &versions {
                    black_box(decide(black_box(&found), version, &facts));
                }
            });
        });
    }
}

criterion_group!(decide_benches, benches);
criterion_main!(decide_benches);
