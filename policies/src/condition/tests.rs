#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use jiff::SignedDuration;
use proptest::prelude::*;

use super::*;
use crate::facts::{Fact, KnownAdvisory};
use crate::licence::Licence;
use crate::package::Ecosystem;

const NOW: &str = "2026-06-01T00:00:00Z";

fn now() -> Timestamp {
    NOW.parse().unwrap()
}

fn package() -> Package {
    "npm:@acme/ui-kit".parse().unwrap()
}

fn asked(text: &str, facts: &Facts<'_>) -> Answer {
    let condition = Condition::parse(text).unwrap_or_else(|faults| panic!("{text}: {faults:?}"));
    condition.ask(&Subject { package: &package(), version: "1.2.0", facts })
}

fn advisory(id: &str, severity: Option<f64>, malicious: bool) -> KnownAdvisory {
    let aliases = vec![format!("CVE-{id}").into(), "OTHER-1".into()];
    KnownAdvisory { id: id.into(), aliases, severity, malicious, ..KnownAdvisory::default() }
}

#[test]
#[allow(clippy::too_many_lines, reason = "it is one table")]
fn every_construct_means_what_cel_says() {
    use Tri::{False, True, Unknown};
    let advisories = [advisory("a", Some(9.8), false), advisory("b", None, true)];
    let licence = Licence::new(Ecosystem::Npm, "MIT OR GPL-3.0-only");
    let facts = Facts {
        registry: Some("npm"),
        published: Some(now() - SignedDuration::from_hours(100)),
        licence: Some(&licence),
        advisories: Some(&advisories),
        deprecated: Some(true),
        yanked: Some(false),
        publisher: Some("ann"),
        dependencies: Some(7),
        size: Some(1 << 53 | 1),
        similar_to: Some(""),
        ..Facts::at(now())
    };
    for (text, expected) in [
        ("true", True),
        ("deprecated", True),
        ("!deprecated", False),
        ("!!deprecated", True),
        ("deprecated && yanked", False),
        ("deprecated || yanked", True),
        // What is unknown counts only where the rest does not decide.
        ("unlisted", Unknown),
        ("!unlisted", Unknown),
        ("unlisted && yanked", False),
        ("yanked && unlisted", False),
        ("unlisted && deprecated", Unknown),
        ("unlisted || deprecated", True),
        ("unlisted || yanked", Unknown),
        ("unlisted ? true : true", Unknown),
        ("deprecated ? unlisted : true", Unknown),
        ("deprecated ? yanked : unlisted", False),
        ("yanked == false", True),
        ("yanked != deprecated", True),
        ("unlisted == unlisted", Unknown),
        ("name == '@acme/ui-kit'", True),
        ("name != '@acme/ui-kit'", False),
        ("version == '1.2.0' && ecosystem == 'npm' && registry == 'npm'", True),
        ("name.startsWith('@acme/')", True),
        ("name.startsWith('')", True),
        ("name.endsWith('kit')", True),
        ("name.contains('/ui')", True),
        ("name.contains('UI')", False),
        ("name.matches('ui')", True),
        ("matches(name, '^@[a-z]+/')", True),
        ("name.matches('^ui')", False),
        ("name.matches('(?i)UI-KIT$')", True),
        ("name in ['x', '@acme/ui-kit']", True),
        ("!(name in ['x'])", True),
        ("'x' in [name, publisher]", False),
        ("publisher in ['bob']", False),
        ("7 in [1, 7]", True),
        ("7 in [1.5, 7.0]", True),
        ("size(name) == 12", True),
        ("name.size() == 12", True),
        ("'käse'.size() == 4", True),
        ("size([1, 2]) == 2", True),
        ("size(advisories) >= 2", True),
        ("dependencies > 6.9", True),
        ("dependencies < 7", False),
        ("dependencies == 7.0", True),
        ("7.5 > dependencies", True),
        ("dependencies >= -9223372036854775808", True),
        // 2⁵³ + 1 is no f64: rounding would call them equal.
        ("size > 9007199254740992.0", True),
        ("size == 9007199254740992.0", False),
        ("size == 9007199254740993", True),
        ("size < 1e300 && size > -1e300", True),
        ("published < timestamp('2026-05-29T00:00:00Z')", True),
        ("published == timestamp('2026-05-27T22:00:00.000+02:00')", True),
        ("first_seen < timestamp('2026-05-29T00:00:00Z')", Unknown),
        ("age < duration('101h')", True),
        ("age < duration('100h')", False),
        ("age <= duration('100h')", True),
        ("age >= duration('100h')", True),
        ("age > duration('100h')", False),
        ("age > duration('99h59m59.999999999s')", True),
        ("duration('1h') < age", True),
        ("duration('-1h') > age", False),
        ("age_here < duration('1h')", Unknown),
        ("advisories.exists(a, a.severity >= 9.0)", True),
        ("advisories.exists(a, a.severity >= 9)", True),
        // The second one gives no score.
        ("advisories.exists(a, a.severity >= 9.9)", Unknown),
        ("advisories.exists(a, has(a.severity) && a.severity >= 9.9)", False),
        ("advisories.all(a, a.severity >= 9.0)", Unknown),
        ("advisories.all(a, a.severity >= 9.9)", False),
        ("advisories.all(a, has(a.id))", True),
        ("advisories.exists(a, a.malicious && !a.withdrawn)", True),
        ("advisories.exists(a, 'CVE-b' in a.aliases)", True),
        ("advisories.exists(a, a.aliases.exists(b, b.startsWith('OTHER-')))", True),
        ("advisories.all(a, a.aliases.all(b, b.contains(a.id)))", False),
        ("advisories.exists(name, name.id == 'a')", True),
        ("['@acme', '@other'].exists(s, name.startsWith(s))", True),
        ("size(similar_to) > 0", False),
        ("licence.text == 'MIT OR GPL-3.0-only'", True),
        ("licence.allowed(['MIT'])", True),
        ("licence.denied(['family:copyleft'])", False),
        ("has(licence.text)", True),
        ("licence.readable", True),
        ("has(licence) && has( publisher ) && has\t(age)", True),
        ("has(deprecated) && has(yanked) && has(dependencies)", True),
        ("has(unlisted)", False),
        ("has(contradicts)", False),
        ("has(contradicts) && contradicts", False),
        ("name != 'ä' && !has(contradicts)", True),
        ("name != 'has(name)' && !has(age_here)", True),
        ("!has(unlisted) || unlisted", True),
        ("r'\\d' == '\\\\d' && \"\"\"a'b\"\"\" == 'a\\'b' && '\\x41\\u00e4' == 'Aä'", True),
    ] {
        assert_eq!(asked(text, &facts).tri, expected, "{text}");
    }
}

#[test]
fn what_is_missing_is_named_only_where_it_matters() {
    let known = Facts { yanked: Some(false), deprecated: Some(true), ..Facts::at(now()) };
    let missing = |text: &str| {
        let missing = asked(text, &known).missing;
        missing.iter().map(crate::facts::Fact::name).collect::<Vec<_>>()
    };
    assert_eq!(missing("unlisted && yanked"), [""; 0]);
    assert_eq!(missing("unlisted || deprecated"), [""; 0]);
    assert_eq!(missing("unlisted && deprecated"), ["unlisted"]);
    assert_eq!(missing("age < duration('1h') || publisher == 'x'"), ["published", "publisher"]);
    assert_eq!(missing("age_here < duration('1h')"), ["first_seen"]);
    assert_eq!(missing("advisories.exists(a, a.malicious)"), ["advisories"]);
    // A list with an unknown element is no list.
    for text in [
        "name in [name, publisher]",
        "size([name, publisher]) == 2",
        "[name, publisher].exists(a, a == name)",
    ] {
        let answer = asked(text, &known);
        assert_eq!(
            (answer.tri, answer.missing.to_string()),
            (Tri::Unknown, "who published it".to_owned()),
            "{text}"
        );
    }
    let scoreless = [advisory("a", None, false)];
    let facts = Facts { advisories: Some(&scoreless), ..known };
    let missing = asked("advisories.exists(a, a.severity > 1.0)", &facts).missing;
    assert_eq!(missing.to_string(), "how severe one of its advisories is");
    let unreadable = Licence::new(Ecosystem::Npm, "see file");
    let facts = Facts { licence: Some(&unreadable), ..known };
    assert_eq!(asked("licence.allowed(['MIT'])", &facts).missing.to_string(), "its licence");
    assert_eq!(asked("licence.text == 'see file'", &facts).tri, Tri::True);
    // Whether it can be judged is known even where it is not.
    let unstated = Facts { licence: None, ..known };
    for facts in [facts, unstated] {
        assert_eq!(asked("licence.readable", &facts).tri, Tri::False);
        let judged = asked("licence.readable && !licence.allowed(['MIT'])", &facts);
        assert_eq!((judged.tri, judged.missing.to_string()), (Tri::False, String::new()));
    }
}

#[test]
fn an_answer_knows_when_it_turns() {
    let facts = Facts {
        published: Some(now() - SignedDuration::from_hours(100)),
        first_seen: Some(now() - SignedDuration::from_hours(10)),
        yanked: Some(true),
        unlisted: Some(false),
        ..Facts::at(now())
    };
    let nanosecond = SignedDuration::from_nanos(1);
    let hours = |hours| Some(now() + SignedDuration::from_hours(hours));
    let late = |hours| Some(now() + SignedDuration::from_hours(hours) + nanosecond);
    for (text, until) in [
        ("age < duration('168h')", hours(68)),
        ("age <= duration('168h')", late(68)),
        ("age >= duration('168h')", hours(68)),
        ("age > duration('168h')", late(68)),
        ("age > duration('100h')", late(0)),
        ("age >= duration('100h')", None),
        ("age < duration('1h')", None),
        ("age > duration('1h')", None),
        ("!(age < duration('168h'))", hours(68)),
        ("age < duration('168h') && age_here < duration('24h')", hours(14)),
        // False by the first alone, for ever.
        ("age < duration('1h') && age_here < duration('24h')", None),
        ("age_here < duration('24h') && age < duration('1h')", None),
        // Both are false now; it stays so until the later one turns.
        ("age > duration('168h') && age_here > duration('24h')", late(68)),
        ("age < duration('168h') || age_here < duration('24h')", hours(68)),
        ("age < duration('168h') || yanked", None),
        ("age < duration('168h') && unlisted", None),
        ("yanked ? age < duration('168h') : age < duration('101h')", hours(68)),
        ("age < duration('168h') ? age < duration('101h') : false", hours(1)),
        ("(age < duration('168h')) == yanked", hours(68)),
        ("['a'].exists(x, age < duration('168h'))", hours(68)),
        ("['a', 'b'].all(x, age > duration('168h'))", late(68)),
        ("age < duration('87660000h')", None),
        ("age > duration('-87660000h')", None),
    ] {
        let until = until.unwrap_or(Timestamp::MAX);
        assert_eq!(asked(text, &facts).until, until, "{text}");
    }
}

/// A publisher can give any date; one that is yet to come makes nothing old.
#[test]
fn a_date_in_the_future_is_never_old() {
    let facts =
        Facts { published: Some(now() + SignedDuration::from_hours(5)), ..Facts::at(now()) };
    let answer = asked("age < duration('168h')", &facts);
    assert_eq!((answer.tri, answer.until), (Tri::True, now() + SignedDuration::from_hours(173)));
    assert_eq!(asked("age >= duration('0s')", &facts).tri, Tri::False);
    let never = Facts { published: Some(Timestamp::MAX), ..Facts::at(now()) };
    assert_eq!(asked("age < duration('168h')", &never).tri, Tri::True);
    assert_eq!(asked("age > duration('168h')", &never).tri, Tri::False);
    let always = Facts { published: Some(Timestamp::MIN), ..Facts::at(now()) };
    assert_eq!(asked("age > duration('168h')", &always).tri, Tri::True);
    assert_eq!(asked("age < duration('-168h')", &always).tri, Tri::False);
}

#[test]
fn every_fault_is_told_with_its_place() {
    let mut told = String::new();
    for text in [
        "",
        "  ",
        "age < 7",
        "age < duration('7d')",
        "age < duration('x')",
        "age == duration('168h')",
        "now - published < duration('1h')",
        "age",
        "nmae == 'x'",
        "name == 'x' && nmae == 'y' || verison == 'z'",
        "name == 5",
        "name < 'b'",
        "version >= '2.0.0'",
        "name",
        "!name",
        "name.startWith('x')",
        "name.startsWith()",
        "name.startsWith(5)",
        "lower(name) == 'x'",
        "advisories.exists(a, a.sevrity > 9.0)",
        "advisories.severity > 9.0",
        "advisories.exists(a, a.severity)",
        "advisories.map(a, a.id).size() > 0",
        "advisories.exists_one(a, a.malicious)",
        "advisories.exists(a, advisories.exists(b, advisories.exists(c, true)))",
        "name.exists(a, true)",
        "licence == 'MIT'",
        "licence.allowed('MIT')",
        "licence.allowed([])",
        "licence.allowed(['MIT', 'Apache2.0', 'family:free'])",
        "has(licence.txt)",
        "has(name)",
        "has(own)",
        "has(contradict)",
        "has(advisories.exists(a, has(a)))",
        "advisories.exists(a, has(a))",
        "hAS(contradicts)",
        "yanked has(contradicts)",
        "name.has(contradicts)",
        "name in []",
        "name in [1, 2]",
        "name in ['a', 1]",
        "dependencies + 1 > 2",
        "-dependencies < 0",
        "name[0] == 'a'",
        "{'a': 1}.a == 1",
        "Thing{a: 1}",
        "dependencies > 5u",
        "b'x' == b'x'",
        "publisher == null",
        "published < '2026-01-01'",
        "published < timestamp('2026-01-01')",
        "published.getFullYear() == 2026",
        "name.matches('(')",
        "name.matches('[[:alpha:]&&[^b]]')",
        "name.matches(publisher)",
        "name == 'x",
        "name == 'ä' && nmae == 'ö'",
        "name == 'x';",
        "1 +",
        "name == && yanked",
        "(yanked",
        "yanked)",
        "yanked yanked",
        ".name == 'x'",
        "a.`b`",
        "yanked\n  && nmae == 'x'",
        "dyn(name) == 'x'",
        "type(name) == string",
        "if == 'x'",
        "yanked ? name : version",
    ] {
        let faults = Condition::parse(text).expect_err(text);
        writeln!(told, "{text:?}").unwrap();
        for fault in faults {
            writeln!(told, "   {}: {}; {}", fault.at + 1, fault.message, fault.remedy).unwrap();
        }
    }
    insta::assert_snapshot!(told);
}

#[test]
fn regular_expressions_are_those_of_re2() {
    let matches = |expression: &str, text: &str| {
        let condition = Condition::parse(&format!("publisher.matches(r'{expression}')"))
            .unwrap_or_else(|faults| panic!("{expression}: {faults:?}"));
        let facts = Facts { publisher: Some(text), ..Facts::at(now()) };
        condition.ask(&Subject { package: &package(), version: "1", facts: &facts }).tri
            == Tri::True
    };
    for (expression, yes, no) in [
        ("^a.c$", "abc", "abcd"),
        (r"^\d+$", "123", "١٢٣"),
        (r"^\w+$", "a_1", "ä"),
        (r"^\W$", "ä", "a"),
        (r"^\s$", "\t", "\u{b}"),
        (r"^[\d.]+$", "1.2", "1,2"),
        (r"^[^\s]$", "x", " "),
        (r"^[\D]$", "x", "1"),
        (r"\bui\b", "a ui b", "gui"),
        (r"^[]a]+$", "a]", "b"),
        (r"^[^]a]+$", "b", "]"),
        (r"^[[:alpha:]]+$", "abc", "ab1"),
        (r"^a\<b$", "a<b", "ab"),
        (r"^a\.b\-c$", "a.b-c", "axb-c"),
        (r"(?i)^ABC$", "abc", "abd"),
        (r"(?P<x>a)b", "ab", "b"),
        ("^(?:a|b)$", "a", "c"),
    ] {
        assert!(matches(expression, yes), "{expression} and {yes:?}");
        assert!(!matches(expression, no), "{expression} and {no:?}");
    }
    for expression in [
        r"\pL",
        r"\B",
        r"\Qa\E",
        r"\C",
        r"\1",
        r"[a[b]]",
        r"[a~~b]",
        "(?x)a b",
        "(?u)a",
        "(?=a)",
        "(?<!a)",
        "(",
        "[",
        "a{2000}{2000}",
        r"\b{start}",
        r"\u0041",
        "((((((((((((((((((a))))))))))))))))))",
        r"\",
        "^[+--]$",
    ] {
        assert!(regexes::compile(expression).is_err(), "{expression}");
    }
}

#[test]
fn durations_and_times_are_those_of_cel() {
    let hours = |text: &str| literals::duration(text).map(|span| span.as_secs_f64() / 3600.0);
    assert_eq!(hours("168h"), Some(168.0));
    assert_eq!(hours("1h30m"), Some(1.5));
    assert_eq!(hours("1.5h"), Some(1.5));
    assert_eq!(hours(".5h"), Some(0.5));
    assert_eq!(hours("-90m"), Some(-1.5));
    assert_eq!(hours("3600000ms"), Some(1.0));
    assert_eq!(literals::duration("1ns2us3µs").unwrap().as_nanos(), 5001);
    assert_eq!(literals::duration("0").unwrap(), SignedDuration::ZERO);
    for text in [
        "",
        "-",
        "1",
        "7d",
        "h",
        "1 h",
        "1h ",
        "P1D",
        "99999999999999999999h",
        "1e3s",
        "1h-1m",
        ".h",
        "9999999999h",
    ] {
        assert!(literals::duration(text).is_none(), "{text}");
    }
    for text in
        ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00-11:30"]
    {
        assert!(literals::timestamp(text).is_some(), "{text}");
    }
    for text in [
        "2026-01-01",
        "2026-01-01 00:00:00Z",
        "2026-01-01T00:00:00",
        "2026-01-01t00:00:00z",
        "2026-13-01T00:00:00Z",
        "2026-01-01T00:00:60Z",
        "0000-01-01T00:00:00Z",
        "2026-01-01T00:00:00.Z",
        "2026-01-01T00:00:00Z[UTC]",
        "",
        "2026-01-01T00:00:00+0200",
        "2026-01-01T00:00:ä0Z",
    ] {
        assert!(literals::timestamp(text).is_none(), "{text}");
    }
}

/// The parser recurses; what passes the bounds needs a stack that every thread has.
#[test]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "a test of how much stack it takes"
)]
fn hostile_text_takes_little_stack() {
    let mut texts = Vec::new();
    for n in [10, 16, 17, 50, 99, 199, 400, 2000, 100_000] {
        texts.extend([
            vec!["yanked"; n].join("&&"),
            vec!["a"; n].join("||"),
            vec!["a"; n].join("+"),
            vec!["a"; n].join("<"),
            vec!["a"; n].join("."),
            vec!["a"; n].join(" in "),
            vec!["a"; n].join(" "),
            format!("a{}", ".f()".repeat(n)),
            format!("a{}", "[1]".repeat(n)),
            format!("{}a", "!".repeat(n)),
            format!("{}a", "-".repeat(n)),
            format!("{}a{}", "(".repeat(n), ")".repeat(n)),
            format!("{}a{}", "[".repeat(n), "]".repeat(n)),
            "(".repeat(n),
            "{".repeat(n),
            format!("{}a", "a?a:".repeat(n)),
            format!("{}a{}", "a.exists(x,".repeat(n), ")".repeat(n)),
            format!("{}a{}", "f(".repeat(n), ")".repeat(n)),
            format!("name in [{}]", vec!["'a'"; n].join(",")),
            format!("name == '{}'", "a".repeat(n)),
            format!("name == {}", "'".repeat(n)),
            format!("name.matches('{}')", "(".repeat(n)),
            format!("name.matches('{}')", "a{9}".repeat(n)),
            "// ".repeat(n),
            "\n".repeat(n),
        ]);
    }
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(move || {
        for text in texts {
            let _ = Condition::parse(&text);
        }
    });
    thread.unwrap().join().unwrap();
}

proptest! {
    #[test]
    fn any_text_is_a_condition_or_a_fault(text in "\\PC{0,60}") {
        if let Err(faults) = Condition::parse(&text) {
            prop_assert!(!faults.is_empty() && faults.iter().all(|fault| fault.at <= text.len()));
        }
    }

    #[test]
    fn any_words_of_the_language_are_a_condition_or_a_fault(words in prop::collection::vec(prop::sample::select(vec![
        "name", "age", "advisories", "licence", "yanked", "a", "x", ".", ".", ",", "(", ")", "[", "]", "{", "}", "&&", "||", "!", "?", ":",
        "<", ">=", "==", "!=", "in", "-", "+", "%", "1", "9.5", "0x1f", "1e5", "'t'", "\"t\"", "'''t'''", "r'\\d'", "b'x'", "'\\", "'\\x4", "'\\u00e4'", "'ä'", "true", "null",
        "exists(", "all(", "map(", "has(", "size(", "matches(", "duration('1h')", "timestamp(", "allowed(['MIT'])", "// c\n", "\n", ".?", "[?", "`", "5u", "@", "$", "if",
    ]), 0..24), spaced in any::<bool>()) {
        let text = words.join(if spaced { " " } else { "" });
        match Condition::parse(&text) {
            Ok(condition) => {
                let facts = Facts::at(now());
                let _ = condition.ask(&Subject { package: &package(), version: "1", facts: &facts });
            }
            Err(faults) => prop_assert!(!faults.is_empty() && faults.iter().all(|fault| text.is_char_boundary(fault.at)), "{:?}", faults),
        }
    }

    #[test]
    fn any_regular_expression_compiles_or_is_refused(text in "([a-z]|\\[|\\]|\\(|\\)|\\\\|\\^|\\$|\\*|\\+|\\?|\\{|\\}|[0-9]|-|&|~|:|\\||d|w|\\PC){0,30}") {
        let _ = regexes::compile(&text);
    }
}

/// Of a crate that nobody has opened, whether it states a licence is not known for good.
#[test]
fn what_is_pending_is_not_called_unknown_for_good() {
    use Tri::{False, True, Unknown};
    let licence = Licence::new(Ecosystem::Cargo, "MIT");
    let pending = Missing::of([Fact::Licence, Fact::InstallScripts]);
    let open = Facts { yanked: Some(true), pending, ..Facts::at(now()) };
    let opened = Facts { licence: Some(&licence), ..open };
    let silent = Facts { pending: Missing::NONE, ..open };
    for (text, before, with, without) in [
        ("has(licence)", Unknown, True, False),
        ("!licence.readable", Unknown, False, True),
        ("has(licence) && licence.denied(['family:copyleft'])", Unknown, False, False),
        ("!yanked && has(licence)", False, False, False),
        ("yanked || licence.readable", True, True, True),
        ("has(publisher)", False, False, False),
    ] {
        let asked = |facts: &Facts<'_>| asked(text, facts);
        let all = [&open, &opened, &silent].map(|facts| asked(facts).tri);
        assert_eq!(all, [before, with, without], "{text}");
        let expected = before == Unknown;
        assert_eq!(asked(&open).missing.meets(pending), expected, "{text}");
    }
}
