//! What holds of all events and versions.

use proptest::prelude::*;

use super::*;

/// The specification's words, without sorting anything and over a line of whole numbers.
fn naive(events: &[Event], version: u64) -> bool {
    let number = |text: &str| text.split('.').next().unwrap().parse::<u64>().unwrap();
    let at = |event: &Event| match event {
        Event::Introduced(text) if text == "0" => None,
        event => Some(number(event.version())),
    };
    let limits: Vec<u64> = events
        .iter()
        .filter_map(|event| match event {
            Event::Limit(text) => Some(number(text)),
            _ => None,
        })
        .collect();
    if !limits.is_empty() && !limits.iter().any(|limit| version < *limit) {
        return false;
    }
    // Every place on the line in its turn, and what happens there in its order.
    let mut affected = false;
    let places = std::iter::once(None).chain((0..=version).map(Some));
    for place in places {
        for event in events.iter().filter(|event| at(event) == place) {
            match event {
                Event::Introduced(_) => affected = true,
                Event::Fixed(_) => affected = false,
                _ => {}
            }
        }
        let ends = |event: &&Event| matches!(event, Event::LastAffected(_)) && at(event) == place;
        if place < Some(version) && events.iter().any(|event| ends(&event)) {
            affected = false;
        }
    }
    affected
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0u8..4, 0u64..8).prop_map(|(kind, number)| {
        let text = format!("{number}.0.0");
        match kind {
            0 if number == 0 => Event::Introduced("0".to_owned()),
            0 => Event::Introduced(text),
            1 => Event::Fixed(text),
            2 => Event::LastAffected(text),
            _ => Event::Limit(text),
        }
    });
    proptest::collection::vec(event, 1..8)
}

proptest! {
    #[test]
    fn events_in_any_order_mean_what_the_naive_walk_says(events in events(), version in 0u64..10) {
        for ecosystem in [Ecosystem::Npm, Ecosystem::Cargo, Ecosystem::Nuget] {
            let affected = Affected {
                package: Package::new(ecosystem, "a").unwrap(),
                severity: None,
                vector: None,
                ranges: vec![events.clone()],
                versions: Vec::new(),
            };
            let text = format!("{version}.0.0");
            prop_assert_eq!(affected.includes(&text), naive(&events, version));
        }
    }

    #[test]
    fn no_text_makes_reading_panic(text in ".{0,200}") {
        let _ = parse(text.as_bytes());
        let _ = parse(&record("npm", &format!(r#""versions": [{}]"#, serde_json::to_string(&text).unwrap())));
    }

    #[test]
    fn a_listed_version_is_affected(major in 0u64..5, minor in 0u64..5, asked in 0u64..5) {
        let affected = affected("npm", &format!(r#""versions": ["{major}.{minor}.0"]"#));
        let text = format!("{asked}.{minor}.0");
        let same = compare(Ecosystem::Npm, &text, &format!("{major}.{minor}.0")).unwrap().is_eq();
        prop_assert_eq!(affected.includes(&text), same);
    }
}

#[test]
fn the_versions_that_are_affected_read_as_a_range_of_npm() {
    let rows = [
        (range("SEMVER", r#"{ "introduced": "0" }"#), "*"),
        (range("SEMVER", r#"{ "introduced": "0" }, { "fixed": "1.2.0" }"#), "<1.2.0"),
        (
            range("SEMVER", r#"{ "introduced": "1.0.0" }, { "last_affected": "1.2.0" }"#),
            ">=1.0.0 <=1.2.0",
        ),
        (
            range(
                "SEMVER",
                r#"{ "fixed": "3.1.0" }, { "introduced": "3.0.0" }, { "introduced": "0" }, { "fixed": "1.0.0" }"#,
            ),
            "<1.0.0 || >=3.0.0 <3.1.0",
        ),
        (range("SEMVER", r#"{ "introduced": "1.0.0" }, { "limit": "2.0.0" }"#), ">=1.0.0 <2.0.0"),
        (r#""versions": ["1.0.0", "v1.2.0", "rubbish"]"#.to_owned(), "1.0.0 || 1.2.0"),
        (range("SEMVER", r#"{ "introduced": "1.0.0" }, { "fixed": "1.0.0" }"#), ""),
    ];
    for (text, expected) in rows {
        assert_eq!(Compiled::new(&affected("npm", &text)).npm_range(), expected, "{text}");
    }
}

proptest! {
    #[test]
    fn the_range_of_npm_holds_what_the_advisory_speaks_of(events in events(), version in 0u64..10) {
        let affected = Affected {
            package: Package::new(Ecosystem::Npm, "a").unwrap(),
            severity: None,
            vector: None,
            ranges: vec![events],
            versions: Vec::new(),
        };
        let range = Compiled::new(&affected).npm_range();
        let text = format!("{version}.0.0");
        let holds = !range.is_empty() && range.split(" || ").any(|alternative| {
            alternative == "*" || alternative.split(' ').all(|comparator| {
                let bound = comparator.trim_start_matches(['<', '>', '=']);
                let order = compare(Ecosystem::Npm, &text, bound).unwrap();
                match &comparator[..comparator.len() - bound.len()] {
                    ">=" => order.is_ge(),
                    "<" => order.is_lt(),
                    "<=" => order.is_le(),
                    _ => order.is_eq(),
                }
            })
        });
        prop_assert_eq!(holds, affected.includes(&text), "{}", range);
    }
}
