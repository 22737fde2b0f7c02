#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::package::Ecosystem::{self, Cargo, Npm, Nuget, Oci};

/// One row: range, what an allow of it allows, what a deny covers besides, what neither touches.
fn check(ecosystem: Ecosystem, text: &str, allowed: &[&str], covered: &[&str], outside: &[&str]) {
    let range = Range::parse(ecosystem, text).unwrap_or_else(|error| panic!("{error}"));
    let ask = |version: &str| {
        let parsed = Parsed::new(ecosystem, version).unwrap_or_else(|| panic!("{version}"));
        (range.allows(&parsed), range.covers(&parsed))
    };
    for version in allowed {
        assert_eq!(ask(version), (true, true), "{ecosystem} {text} allows {version}");
    }
    for version in covered {
        assert_eq!(ask(version), (false, true), "{ecosystem} {text} only covers {version}");
    }
    for version in outside {
        assert_eq!(ask(version), (false, false), "{ecosystem} {text} leaves {version} alone");
    }
}

#[test]
fn npm_ranges_allow_narrowly_and_cover_widely() {
    check(
        Npm,
        "^1.2.0",
        &["1.2.0", "1.9.9"],
        &["1.3.0-rc.1", "1.2.0-beta"],
        &["2.0.0", "2.0.0-rc.1", "1.1.9"],
    );
    check(Npm, "<2.0.0", &["1.0.0", "0.1.0"], &["1.0.0-a", "2.0.0-rc.1"], &["2.0.0"]);
    check(Npm, ">=2", &["2.0.0", "3.0.0"], &["2.0.0-rc.1", "3.0.0-rc.1"], &["1.9.9", "1.9.9-x"]);
    check(Npm, "1.x", &["1.0.0"], &["1.0.0-rc.1"], &["2.0.0", "2.0.0-rc.1"]);
    check(Npm, "*", &["0.0.1", "9.9.9"], &["1.0.0-x"], &[]);
    check(Npm, "1.2.3", &["1.2.3", "1.2.3+b"], &[], &["1.2.4", "1.2.3-rc.1"]);
    check(
        Npm,
        "=1.2.3 || 2.0.0-rc.1",
        &["1.2.3", "2.0.0-rc.1"],
        &[],
        &["2.0.0", "1.2.3-a", "2.0.0-rc.2"],
    );
    check(
        Npm,
        ">=1.0.0-beta.1 <1.1",
        &["1.0.0-beta.2", "1.0.5"],
        &["1.0.5-x"],
        &["1.1.0", "1.0.0-alpha"],
    );
    check(Npm, "1.2 - 1.4", &["1.2.0", "1.4.9"], &["1.3.0-x"], &["1.5.0"]);
    check(Npm, "~1.2 || >= 3.1", &["1.2.9", "3.1.0"], &["4.0.0-x"], &["1.3.0", "3.0.0"]);
}

#[test]
fn cargo_requirements_allow_narrowly_and_cover_widely() {
    check(
        Cargo,
        "1.2",
        &["1.2.0", "1.9.0"],
        &["1.3.0-rc.1", "1.2.0-rc.1"],
        &["2.0.0", "2.0.0-rc.1", "1.1.0"],
    );
    check(Cargo, "<2.0.0", &["1.0.0"], &["2.0.0-rc.1", "1.0.0-a"], &["2.0.0"]);
    check(Cargo, ">=1.2, <1.5", &["1.2.0", "1.4.9"], &["1.5.0-rc.1"], &["1.5.0", "1.1.0"]);
    check(Cargo, "=1.2.3", &["1.2.3", "1.2.3+b"], &[], &["1.2.4", "1.2.3-rc.1"]);
    check(Cargo, "*", &["1.0.0"], &["1.0.0-x"], &[]);
    check(Cargo, "=1.2", &["1.2.0", "1.2.9"], &["1.2.5-x"], &["1.3.0"]);
    check(Cargo, "~1.2.3", &["1.2.3", "1.2.9"], &["1.2.4-x", "1.2.3-x"], &["1.3.0", "1.3.0-x"]);
    check(Cargo, ">1.2, <=1.4", &["1.3.0", "1.4.9"], &["1.3.5-x"], &["1.2.9", "1.5.0"]);
    check(Cargo, "1.0.0-rc.1", &["1.0.0-rc.2", "1.0.0", "1.5.0"], &["1.5.0-x"], &["2.0.0"]);
    check(Cargo, "^0.2.3", &["0.2.3", "0.2.9"], &["0.2.4-x"], &["0.3.0", "0.3.0-x"]);
}

#[test]
fn nuget_ranges_allow_narrowly_and_cover_widely() {
    check(Nuget, "1.0", &["1.0", "1.0.0.1", "2.0"], &["1.0-rc", "3.0-rc"], &["0.9", "0.9-rc"]);
    check(Nuget, "[1.0]", &["1.0", "1.0.0.0", "01.0", "1.0.0+x"], &[], &["1.0.1", "1.0-rc"]);
    check(Nuget, "[1.0,2.0)", &["1.0", "1.9.9.9"], &["2.0-rc", "1.5-x"], &["2.0", "0.9"]);
    check(Nuget, "(1.0,2.0]", &["1.1", "2.0"], &["2.0-rc"], &["1.0", "1.0-rc", "2.0.0.1"]);
    check(Nuget, "(,1.0]", &["0.1", "1.0"], &["1.0-rc"], &["1.0.0.1"]);
    check(Nuget, "(,)", &["0.1"], &["0.1-rc"], &[]);
    check(Nuget, "[1.0-beta,2.0)", &["1.0-beta", "1.0-RC", "1.5"], &[], &["1.0-alpha"]);
    check(Nuget, "1.*", &["1.0", "1.99"], &["1.5-rc", "1.0-rc"], &["2.0", "2.0-rc", "0.9"]);
    check(Nuget, "1.2.*-*", &["1.2.0-rc", "1.2.9"], &[], &["1.3.0-rc", "1.3"]);
    check(Nuget, "1.2.3-*", &["1.2.3-rc", "1.2.3"], &[], &["1.2.4", "1.2.2"]);
    check(Nuget, "*", &["1.0"], &["1.0-rc"], &[]);
}

#[test]
fn image_references_match_exactly_or_by_anchored_glob() {
    check(Oci, "3.20", &["3.20"], &[], &["3.2", "3.201", "13.20"]);
    check(Oci, "3.* || latest", &["3.20", "3.", "latest"], &[], &["30", "latest-x"]);
    let digest = format!("sha256:{}", "a".repeat(64));
    check(Oci, &digest, &[&digest], &[], &["latest"]);
}

#[test]
fn what_is_no_range_is_refused() {
    let long = "1".repeat(MAX_RANGE + 1);
    for (ecosystem, text) in [
        (Npm, ""),
        (Npm, " "),
        (Npm, "latest"),
        (Npm, "^1.2.0 latest"),
        (Npm, "1.2.3_x"),
        (Npm, "^1 ||"),
        (Npm, "|| ^1"),
        (Npm, ">1, <2"),
        (Npm, ">="),
        (Npm, "1 -"),
        (Npm, "><1"),
        (Npm, "1.2.3.4"),
        (Npm, ">2 <1"),
        (Npm, ">=3 <3"),
        (Npm, "^1 ^2"),
        (Npm, "3 - 1"),
        (Npm, "^1 - 2"),
        (Npm, ">1 <0.5 || 7"),
        (Npm, "> > 1"),
        (Npm, "- 1"),
        (Npm, "1 - > 2"),
        (Npm, "git+ssh://x"),
        (Npm, "file:x"),
        (Npm, &long),
        (Cargo, ""),
        (Cargo, "latest"),
        (Cargo, "1.2.3.4"),
        (Cargo, ">=1 <2"),
        (Cargo, "^1 || ^2"),
        (Nuget, ""),
        (Nuget, "x"),
        (Nuget, "[1.0"),
        (Nuget, "(1.0)"),
        (Nuget, "[2.0,1.0]"),
        (Nuget, "[1.0,1.0)"),
        (Nuget, "1.0.0.0.0"),
        (Nuget, "1.0.*.0"),
        (Nuget, "^1"),
        (Nuget, "1.*.*"),
        (Nuget, "["),
        (Nuget, "1.2147483648"),
        (Oci, ""),
        (Oci, ">=3"),
        (Oci, "a b"),
        (Oci, "3 ||"),
        (Oci, "sha256:xyz"),
        (Oci, "-x"),
    ] {
        assert!(Range::parse(ecosystem, text).is_err(), "{ecosystem} {text:?}");
    }
}

#[test]
fn trailing_rubbish_makes_no_npm_version() {
    for text in [
        "1.2.3_evil",
        "1.2.3 evil",
        "1.2.3/../x",
        "1.2",
        "1.2.3-",
        "1.2.3-a..b",
        "1.2.3+",
        "a1.2.3",
        "",
    ] {
        assert!(Parsed::new(Npm, text).is_none(), "{text:?}");
    }
    for text in [
        "1.2.3",
        "v1.2.3",
        "0.0.0-0",
        "1.0.0-beta.1+exp.sha",
        "1.2.3beta",
        "1.0.0-01",
        "20240101.0.0",
    ] {
        assert!(Parsed::new(Npm, text).is_some(), "{text:?}");
    }
}

#[test]
fn spellings_of_one_nuget_version_are_equal() {
    for (a, b) in [
        ("1.0", "1.0.0.0"),
        ("01.0.0", "1.0"),
        ("1.0.0+x", "1.0"),
        ("1.0-RC.1", "1.0.0-rc.1"),
        ("1", "1.0"),
        ("1.0-rc.01", "1.0-rc.1"),
    ] {
        assert_eq!(compare(Nuget, a, b), Some(Ordering::Equal), "{a} {b}");
        let shown = |text| nuget::Version::parse(text).unwrap().to_string();
        assert_eq!(shown(a), shown(b));
    }
    for (a, b) in [
        ("1.0-rc", "1.0"),
        ("1.0", "1.0.0.1"),
        ("1.0-1", "1.0-a"),
        ("1.0-2", "1.0-10"),
        ("1.0-a", "1.0-a.1"),
    ] {
        assert_eq!(compare(Nuget, a, b), Some(Ordering::Less), "{a} {b}");
    }
}

fn nuget_version() -> impl Strategy<Value = String> {
    (
        prop::collection::vec(0_u32..30, 1..=4),
        prop::option::of(prop::collection::vec("[a-cA-C]{1,2}|[0-9]{1,2}", 1..3)),
    )
        .prop_map(|(numbers, labels)| {
            let numbers: Vec<String> = numbers.iter().map(ToString::to_string).collect();
            let front = numbers.join(".");
            labels.map_or(front.clone(), |labels| format!("{front}-{}", labels.join(".")))
        })
}

proptest! {
    #[test]
    fn reading_any_text_never_panics(text in "\\PC{0,40}") {
        for ecosystem in Ecosystem::ALL {
            let _ = Parsed::new(ecosystem, &text);
            let _ = Range::parse(ecosystem, &text);
        }
    }

    #[test]
    fn range_like_text_never_panics(text in "[\\[\\](),.*x0-9<>=^~| +va-c-]{0,24}", version in "[0-9]{1,2}\\.[0-9]\\.[0-9](-[a-c]\\.[0-9])?") {
        for ecosystem in Ecosystem::ALL {
            if let (Ok(range), Some(version)) = (Range::parse(ecosystem, &text), Parsed::new(ecosystem, &version)) {
                // Whatever an allow allows, a deny of the same range covers.
                prop_assert!(!range.allows(&version) || range.covers(&version), "{} {}", ecosystem, text);
            }
        }
    }

    #[test]
    fn the_nuget_order_is_total(a in nuget_version(), b in nuget_version(), c in nuget_version()) {
        let read = |text: &str| nuget::Version::parse(text).unwrap();
        let (a, b, c) = (read(&a), read(&b), read(&c));
        prop_assert_eq!(a.cmp(&b), b.cmp(&a).reverse());
        prop_assert_eq!(a.cmp(&b).is_eq(), a == b);
        if a <= b && b <= c {
            prop_assert!(a <= c);
        }
    }

    #[test]
    fn the_nuget_normal_form_is_the_same_version(text in nuget_version()) {
        let version = nuget::Version::parse(&text).unwrap();
        let again = nuget::Version::parse(&version.to_string()).unwrap();
        prop_assert_eq!(&version, &again);
        let padded = format!("0{}+meta", text.to_uppercase());
        prop_assert_eq!(nuget::Version::parse(&padded), Some(version));
    }

    #[test]
    fn an_exact_range_holds_its_version_alone(a in nuget_version(), b in nuget_version()) {
        let range = Range::parse(Nuget, &exactly(Nuget, &a)).unwrap();
        let other = Parsed::new(Nuget, &b).unwrap();
        prop_assert_eq!(range.covers(&other), compare(Nuget, &a, &b) == Some(Ordering::Equal));
    }
}

#[test]
fn a_range_of_npm_that_holds_another_is_told_where_that_is_certain() {
    let rows = [
        (">=1", "^1.2", true),
        ("*", "1.2.3", true),
        ("^1.2.0", "1.2 - 1.4", true),
        ("1.x || 3.x", "~3.1 || 1.0.0", true),
        ("1.2.3", "=1.2.3", true),
        ("^1.2", ">=1", false),
        ("1.2.3", ">=1.2.3 <=1.2.3", false),
        (">=1", "2.0.0-rc.1", false),
        (">=1.0.0-beta.2", ">=1.0.0", false),
        ("<2", ">=1", false),
    ];
    for (wide, narrow, expected) in rows {
        let range = |text: &str| Range::parse(Npm, text).unwrap();
        assert_eq!(range(wide).contains(&range(narrow)), expected, "{wide} and {narrow}");
    }
    let cargo = |text: &str| Range::parse(Cargo, text).unwrap();
    assert!(!cargo(">=1").contains(&cargo("^1.2")), "nobody can tell");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]
    #[test]
    fn a_range_that_holds_another_allows_and_covers_all_that_it_does(
        ours in npm_range(), theirs in npm_range(), versions in prop::collection::vec(npm_version(), 12),
    ) {
        let (Ok(ours), Ok(theirs)) = (Range::parse(Npm, &ours), Range::parse(Npm, &theirs)) else {
            return Ok(());
        };
        if !ours.contains(&theirs) {
            return Ok(());
        }
        for version in versions {
            let version = Parsed::new(Npm, &version).unwrap();
            prop_assert!(!theirs.allows(&version) || ours.allows(&version), "{version:?}");
            prop_assert!(!theirs.covers(&version) || ours.covers(&version), "{version:?}");
        }
    }
}

fn npm_version() -> impl Strategy<Value = String> {
    (0..3u8, 0..3u8, 0..3u8, prop_oneof![Just(""), Just("-0"), Just("-a"), Just("-rc.1")])
        .prop_map(|(major, minor, patch, pre)| format!("{major}.{minor}.{patch}{pre}"))
}

fn npm_range() -> impl Strategy<Value = String> {
    let partial = prop_oneof![
        npm_version(),
        (0..3u8, 0..3u8).prop_map(|(major, minor)| format!("{major}.{minor}")),
        (0..3u8).prop_map(|major| format!("{major}.x")),
        Just("*".to_owned()),
    ];
    let operator = prop_oneof![
        Just(""),
        Just("^"),
        Just("~"),
        Just(">="),
        Just("<="),
        Just(">"),
        Just("<"),
        Just("=")
    ];
    let comparator =
        (operator, partial).prop_map(|(operator, version)| operator.to_owned() + &version);
    let alternative = prop::collection::vec(comparator, 1..3).prop_map(|all| all.join(" "));
    prop::collection::vec(alternative, 1..3).prop_map(|all| all.join(" || "))
}
