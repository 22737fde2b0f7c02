//! The rows themselves. What makes one needed does not compile without it, or is counted below.

use std::collections::BTreeSet;

use policies::condition;
use policies::decision::{DecisionCode, Effect};
use policies::facts::Fact;
use policies::rules::Field;

use super::facts::by_facts;
use super::{Row, Trait, Who, allow, deny, hold, row, waiver, waiver_of_malice};

/// Everything that has to be refused.
pub fn refusing() -> Vec<Row> {
    let mut rows = nothing_allows();
    rows.extend(something_denies());
    rows.extend(waivers_that_do_not_lift_it());
    rows.extend(some_are_refused());
    rows.extend(by_facts());
    rows
}

fn nothing_allows() -> Vec<Row> {
    vec![
        row("no-rule", vec![]).says("no rule allows"),
        row("allowed-by-a-longer-name", vec![allow().packages("{PACKAGE}-evil")]),
        row("allowed-by-a-glob-of-longer-names", vec![allow().packages("{PACKAGE}-*")]),
        row("allowed-in-another-version", vec![allow().packages("{PACKAGE}@0.9.0")]),
        row("allowed-in-other-versions", vec![allow().versions("<1 || >=3")]),
        row("allowed-until-lately", vec![allow().field("expires", "2020-01-01T00:00:00Z")])
            .says("allowed it until 2020"),
        row("allowed-later", vec![allow().field("starts", "2900-01-01T00:00:00Z")])
            .says("allows it from 2900"),
        row("allowed-in-an-environment", vec![allow().list("environments", "prod")])
            .says("allows it to others only"),
        row("allowed-in-every-environment", vec![allow().list("environments", "*")])
            .says("allows it to others only"),
        row("allowed-by-what-only-observes", vec![allow().observe()]).says("no rule allows"),
        row("allowed-where-it-is-not", vec![allow().when("name == 'another'")]),
    ]
}

fn something_denies() -> Vec<Row> {
    let lasting = |rule: super::Text| {
        rule.field("starts", "2020-01-01T00:00:00Z").field("expires", "2900-01-01T00:00:00Z")
    };
    let worded = |rule: super::Text| {
        rule.field("owner", "ann").field("link", "https://wiki.example/no").observe()
    };
    vec![
        row("denied-by-name", vec![allow(), deny()]).by(1),
        row("denied-by-purl", vec![allow(), deny().packages("{PURL}")]).by(1),
        row("denied-by-group", vec![allow(), deny().packages("{GROUP}")]).by(1),
        row("denied-by-glob", vec![allow(), deny().packages("{GLOB}")]).by(1),
        row("denied-by-a-star-within", vec![allow(), deny().packages("{INNER}")]).by(1),
        row("denied-in-this-version", vec![allow(), deny().packages("{PACKAGE}@{NEW}")]).by(1),
        row("denied-by-range", vec![allow(), deny().versions("2.x")]).by(1),
        row("denied-by-another-range", vec![allow(), deny().versions(">2.7.0 <2.7.2")]).by(1),
        row(
            "denied-of-everything",
            vec![allow(), deny().packages("*").when("name == '{NAME}' && version == '{NEW}'")],
        )
        .by(1),
        row(
            "denied-of-the-format",
            vec![allow(), deny().packages("{FORMAT}:*").when("name == '{NAME}'")],
        )
        .by(1),
        row("denied-for-a-while", vec![allow(), lasting(deny())]).by(1),
        row("denied-beside-one-that-observes", vec![allow(), worded(deny()), deny()]).by(2),
        row("denied-though-held", vec![allow(), hold(), deny()]).by(2),
        row("denied-without-an-allow", vec![deny()]).by(0),
        row("held-by-name", vec![allow(), hold()]).by(1),
        row("held-for-a-while", vec![allow(), lasting(hold())]).by(1),
        row("held-without-an-allow", vec![hold()]).by(0),
        row("malicious", vec![allow()]).malicious(),
        row("malicious-and-held", vec![allow(), hold()]).malicious(),
    ]
}

fn waivers_that_do_not_lift_it() -> Vec<Row> {
    vec![
        row("waived-once-denied-twice", vec![allow(), deny(), deny(), waiver(1)]).by(2),
        row("waived-deny-under-a-hold", vec![allow(), deny(), hold(), waiver(1)]).by(2),
        row("waived-hold-under-a-deny", vec![allow(), hold(), deny(), waiver(1)]).by(2),
        row(
            "waived-until-lately",
            vec![allow(), deny(), waiver(1).field("expires", "2020-01-01T00:00:00Z")],
        )
        .by(1),
        row(
            "waived-later",
            vec![
                allow(),
                deny(),
                waiver(1)
                    .field("starts", "2900-01-01T00:00:00Z")
                    .field("expires", "2901-01-01T00:00:00Z"),
            ],
        )
        .by(1),
        row("waived-in-other-versions", vec![allow(), deny(), waiver(1).versions(">2.8")]).by(1),
        row("waived-of-another", vec![allow(), deny(), waiver(1).packages("{PACKAGE}-evil")]).by(1),
        row(
            "waived-in-an-environment",
            vec![allow(), deny(), waiver(1).list("environments", "prod")],
        )
        .by(1),
        row("waived-where-it-is-not", vec![allow(), deny(), waiver(1).when("version == '1.0.0'")])
            .by(1),
        row(
            "waived-by-what-nobody-knows",
            vec![allow(), deny(), waiver(1).when("publisher == 'eve'")],
        )
        .is(Trait::ByNobody)
        .by(1),
        row("malice-waived-elsewhere", vec![allow(), waiver_of_malice().versions(">2.8")])
            .malicious(),
        row("malice-waived-and-denied", vec![allow(), deny(), waiver_of_malice()])
            .advised(super::Advice::Malicious)
            .by(1),
    ]
}

fn some_are_refused() -> Vec<Row> {
    use Who::{Db, Nobody, Shop, Till};
    vec![
        row("allowed-for-a-team", vec![allow().list("teams", "web/shop")])
            .only_to(&[Nobody, Till, Db]),
        row("allowed-for-a-unit", vec![allow().list("teams", "web/*")]).only_to(&[Nobody, Db]),
        row("denied-for-a-team", vec![allow(), deny().list("teams", "web/shop")])
            .by(1)
            .only_to(&[Nobody, Shop]),
        row("denied-for-a-unit", vec![allow(), deny().list("teams", "web")])
            .by(1)
            .only_to(&[Nobody, Shop, Till]),
        row("held-for-a-team", vec![allow(), hold().list("teams", "ops/db")])
            .by(1)
            .only_to(&[Nobody, Db]),
        row("waived-for-a-team", vec![allow(), deny(), waiver(1).list("teams", "ops/db")])
            .by(1)
            .only_to(&[Nobody, Shop, Till]),
        row("malice-waived-for-a-team", vec![allow(), waiver_of_malice().list("teams", "ops/db")])
            .malicious()
            .only_to(&[Nobody, Shop, Till]),
    ]
}

/// What looks like the rows above and has to be served, by the first rule.
pub fn serving() -> Vec<Row> {
    [
        row("allowed", vec![allow()]),
        row("observed", vec![allow(), deny().observe()]),
        row("denied-until-lately", vec![allow(), deny().field("expires", "2020-01-01T00:00:00Z")]),
        row("denied-later", vec![allow(), deny().field("starts", "2900-01-01T00:00:00Z")]),
        row("denied-in-an-environment", vec![allow(), deny().list("environments", "*")]),
        row("denied-by-a-longer-name", vec![allow(), deny().packages("{PACKAGE}-evil")]),
        row("denied-in-other-versions", vec![allow(), deny().versions("<1 || >=3")]),
        row("denied-where-it-is-not", vec![allow(), deny().when("name == 'another'")]),
        row("waived-deny", vec![allow(), deny(), waiver(1)]),
        row("waived-hold", vec![allow(), hold(), waiver(1)]),
        row("waived-malice", vec![allow(), waiver_of_malice()]).advised(super::Advice::Malicious),
        row("permissive", vec![allow().when("licence.allowed(['MIT'])")]).needs(Fact::Licence),
        row("old-enough", vec![allow(), hold().when("age < duration('168h')")]),
    ]
    .map(|row| row.by(0))
    .into()
}

/// Each variant of an enum with what is said of it here: one that is new does not compile before
/// something is said of it.
macro_rules! complete {
    ($all:ident, $of:ident, $enum:ident: $type:ty { $($variant:ident => $value:expr,)* }) => {
        const $all: &[$type] = &[$($value),*];

        const fn $of(variant: $enum) -> $type {
            match variant {
                $($enum::$variant { .. } => $value,)*
            }
        }
    };
}

complete! {
    REFUSING, refusing_code, DecisionCode: Option<DecisionCode> {
        HeldByRule => Some(DecisionCode::HeldByRule),
        DeniedByRule => Some(DecisionCode::DeniedByRule),
        NoRuleAllows => Some(DecisionCode::NoRuleAllows),
        Malicious => Some(DecisionCode::Malicious),
        // Of everything at once: it has tests of its own in `unreadable`.
        RulesUnavailable => None,
        AllowedByRule => None,
        OwnPackage => None,
    }
}

complete! {
    KEYS, key, Field: &'static str {
        Name => "name = ",
        Effect => "effect = ",
        Packages => "packages = ",
        Versions => "versions = ",
        When => "when = ",
        Teams => "teams = ",
        Environments => "environments = ",
        Reason => "reason = ",
        Owner => "owner = ",
        Link => "link = ",
        Starts => "starts = ",
        Expires => "expires = ",
        Observe => "observe = ",
        Waives => "waives = ",
        // Entries of the ones above.
        Package => "",
        Team => "",
        Environment => "",
    }
}

#[test]
fn every_kind_of_rule_has_its_row() {
    let rows = refusing();
    let names: BTreeSet<&str> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names.len(), rows.len(), "two rows of one name");

    for code in REFUSING.iter().flatten() {
        assert!(rows.iter().any(|row| row.code == *code), "{code}");
    }
    assert!(rows.iter().all(|row| refusing_code(row.code).is_some()));
    assert!(rows.iter().all(|row| row.effect() != Effect::Allow && !row.refused_to.is_empty()));

    let texts: Vec<String> = super::super::FORMATS
        .iter()
        .flat_map(|format| {
            super::cases(format, refusing()).into_iter().map(|case| case.rules(format))
        })
        .collect();
    let all = texts.concat();
    policies::rules::parse("table.toml", &all).unwrap();
    assert_eq!(key(Field::When), "when = ");
    for key in KEYS.iter().filter(|key| !key.is_empty()) {
        assert!(all.contains(&format!("\n{key}")), "no rule of the table has {key}");
    }
    // Every word that a condition may ask for decides in some row.
    let conditions: Vec<&str> =
        rows.iter().flat_map(|row| &row.rules).filter_map(|rule| rule.when.as_deref()).collect();
    let asks = |word: &str| {
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
        conditions.iter().any(|text| text.split(|c| !is_part(c)).any(|part| part == word))
    };
    for word in condition::VARIABLES {
        assert!(asks(word), "no row of the table asks for {word}");
    }
}
