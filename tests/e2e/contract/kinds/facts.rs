//! Rows by facts: for each one a deny that is true of it, an allow that is not, and, where a
//! registry may leave it open, both of what nobody knows.

use policies::facts::Fact;

use super::{Advice, Row, Trait, allow, deny, hold, row};

/// Rows of each fact. A new one does not compile before it has its own, or says why not.
macro_rules! facts {
    ($($fact:ident => $rows:expr,)*) => {
        const LISTED: &[Fact] = &[$(Fact::$fact),*];

        fn rows_of(fact: Fact) -> Vec<Row> {
            match fact {
                $(Fact::$fact => $rows,)*
            }
        }
    };
}

/// A deny by what is true of it, and an allow by what is not.
fn both(fact: &str, is: Trait, denied: &str, not_allowed: &str) -> Vec<Row> {
    vec![
        row(&format!("denied-by-{fact}"), vec![allow(), deny().when(denied)]).by(1).is(is),
        row(&format!("not-allowed-by-{fact}"), vec![allow().when(not_allowed)]).is(is),
    ]
}

/// The same where nobody knows.
fn unknown(fact: &str, is: Trait, denied: &str, not_allowed: &str) -> Vec<Row> {
    vec![
        row(&format!("denied-by-unknown-{fact}"), vec![allow(), deny().when(denied)])
            .by(1)
            .is(is)
            .says("nobody knows"),
        row(&format!("held-by-unknown-{fact}"), vec![allow(), hold().when(denied)])
            .by(1)
            .is(is)
            .says("nobody knows"),
        row(&format!("not-allowed-by-unknown-{fact}"), vec![allow().when(not_allowed)])
            .is(is)
            .says("nobody knows"),
    ]
}

fn advised(advice: Advice, rows: Vec<Row>) -> Vec<Row> {
    rows.into_iter().map(|row| row.advised(advice)).collect()
}

facts! {
    Registry => both("registry", Trait::Plain, "registry == '{FORMAT}'", "registry == 'another'"),
    Published => {
        let (long_ago, far) = ("timestamp('2000-01-01T00:00:00Z')", "timestamp('2800-01-01T00:00:00Z')");
        let mut rows = both(
            "published",
            Trait::Plain,
            &format!("published > {long_ago}"),
            &format!("published > {far}"),
        );
        rows.extend(both(
            "age",
            Trait::Plain,
            "age > duration('1h')",
            "age < duration('1h')",
        ));
        // What comes from the future is not old, and what has no date is not either.
        rows.extend(both("youth", Trait::Young, "age < duration('168h')", "age >= duration('1h')"));
        rows.push(
            row("held-by-age", vec![allow(), hold().when("age < duration('168h')")])
                .by(1)
                .is(Trait::Young)
                .says("not before 2200"),
        );
        rows.extend(unknown(
            "published",
            Trait::Undated,
            "age < duration('168h')",
            "age >= duration('168h')",
        ));
        rows.push(
            row(
                "denied-by-either-age",
                vec![allow(), deny().when("age < duration('1h') || age_here < duration('90000h')")],
            )
            .by(1),
        );
        rows
    },
    FirstSeen => {
        let mut rows = both(
            "first-seen",
            Trait::Plain,
            "first_seen > timestamp('2000-01-01T00:00:00Z')",
            "first_seen < timestamp('2000-01-01T00:00:00Z')",
        );
        // A date that the publisher made up does not make it older here.
        rows.extend(both(
            "age-here",
            Trait::Plain,
            "age_here < duration('90000h')",
            "age_here >= duration('90000h')",
        ));
        rows
    },
    Licence => {
        let mut rows = both(
            "licence",
            Trait::Copyleft,
            "licence.denied(['family:copyleft'])",
            "licence.allowed(['family:permissive'])",
        );
        rows.extend(unknown(
            "licence",
            Trait::NoLicence,
            "!licence.allowed(['family:permissive'])",
            "licence.allowed(['family:permissive'])",
        ));
        rows
    },
    Advisories => advised(
        Advice::Critical,
        both(
            "advisories",
            Trait::Plain,
            "advisories.exists(a, a.severity >= 9.0)",
            "size(advisories) == 0",
        ),
    ),
    Severity => advised(
        Advice::Unscored,
        unknown(
            "severity",
            Trait::Plain,
            "advisories.exists(a, a.severity >= 9.0)",
            "advisories.all(a, a.severity < 9.0)",
        ),
    ),
    FixesAdvisory => advised(
        Advice::Fixing,
        both("fix", Trait::Plain, "fixes_advisory", "!fixes_advisory"),
    ),
    Deprecated => both("deprecation", Trait::Deprecated, "deprecated", "!deprecated")
        .into_iter()
        .map(|row| row.needs(Fact::Deprecated))
        .collect(),
    // What a format never says is told apart all the same.
    Yanked => both("yank", Trait::Plain, "!yanked", "yanked"),
    Unlisted => both("listing", Trait::Plain, "!unlisted", "unlisted"),
    InstallScripts => both("scripts", Trait::Scripts, "install_scripts", "!install_scripts"),
    Provenance => both("provenance", Trait::Attested, "provenance", "!provenance"),
    Publisher => {
        let mut rows =
            both("publisher", Trait::ByAnother, "publisher == 'eve'", "publisher == 'ann'");
        rows.extend(unknown(
            "publisher",
            Trait::ByNobody,
            "publisher != 'ann'",
            "publisher == 'ann' || publisher == 'eve'",
        ));
        rows
    },
    PublisherChanged => {
        let mut rows =
            both("change", Trait::ByAnother, "publisher_changed", "!publisher_changed");
        rows.extend(unknown("change", Trait::ByNobody, "publisher_changed", "!publisher_changed"));
        rows
    },
    Dependencies => both("dependencies", Trait::Dependent, "dependencies > 1", "dependencies <= 1"),
    // Known once it was fetched, and of a refused one that is never: either way it stays refused.
    Size => both("size", Trait::Plain, "size > 10", "size < 10"),
    SimilarTo => vec![
        row(
            "denied-by-likeness",
            vec![allow().packages("{GLOB}"), deny().when("similar_to != ''")],
        )
        .by(1)
        .looks_alike(),
        row("not-allowed-by-likeness", vec![allow().packages("{GLOB}").when("similar_to == ''")])
            .looks_alike(),
    ],
    Contradicts => both("contradiction", Trait::Lying, "contradicts", "!contradicts"),
    Description => described(
        Fact::Description,
        "description",
        "description.contains('evil')",
        "description.contains('good')",
    ),
    Repository => described(
        Fact::Repository,
        "repository",
        "repository.startsWith('https://evil.example/')",
        "repository.startsWith('https://good.example/')",
    ),
    RustVersion => described(
        Fact::RustVersion,
        "rust-version",
        "rust_version in ['1.99']",
        "rust_version in ['1.63']",
    ),
}

/// Rows of what only some formats have.
fn described(fact: Fact, name: &str, denied: &str, not_allowed: &str) -> Vec<Row> {
    let mut rows = both(name, Trait::Described, denied, not_allowed);
    rows.extend(unknown(name, Trait::Plain, denied, not_allowed));
    rows.into_iter().map(|row| row.needs(fact)).collect()
}

pub fn by_facts() -> Vec<Row> {
    let mut rows: Vec<Row> = LISTED.iter().flat_map(|fact| rows_of(*fact)).collect();
    // Not facts that may be missing, but what is always known.
    rows.extend(both("its-name", Trait::Plain, "name.endsWith('{NAME}')", "name == '{NAME}-evil'"));
    rows.extend(both(
        "its-version",
        Trait::Plain,
        "version == '{NEW}'",
        "version.startsWith('1.')",
    ));
    rows.extend(both("ecosystem", Trait::Plain, "ecosystem == '{FORMAT}'", "ecosystem == 'none'"));
    rows.extend(both("origin", Trait::Plain, "!own", "own"));
    rows.push(
        row(
            "denied-by-a-regex",
            vec![allow(), deny().when("name.matches('{NAME}$') && version.matches('^2')")],
        )
        .by(1),
    );
    rows.push(
        row(
            "denied-by-what-may-be-unknown",
            vec![allow(), deny().when("has(licence) && licence.denied(['family:copyleft'])")],
        )
        .by(1)
        .is(Trait::Copyleft)
        .needs(Fact::Licence),
    );
    rows
}

#[test]
fn every_fact_is_listed() {
    let listed: Vec<&str> = LISTED.iter().map(|fact| fact.name()).collect();
    let all: Vec<&str> = Fact::ALL.iter().map(|fact| fact.name()).collect();
    assert_eq!(listed, all);
}
