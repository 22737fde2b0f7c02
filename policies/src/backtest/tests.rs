#![allow(clippy::unwrap_used)]

use jiff::SignedDuration;

use super::*;
use crate::rules::parse;

fn set(text: &str) -> RuleSet {
    RuleSet::compile(parse("a.toml", text).unwrap()).unwrap()
}

const ALLOWED: &str = "
    [[rule]]
    name = 'all'
    effect = 'allow'
    packages = ['npm:*']
";
/// Beside it.
const STRICTER: &str = "
    [[rule]]
    name = 'no-old'
    effect = 'deny'
    packages = ['npm:left-pad']
    versions = '<1.3.0'
    [[rule]]
    name = 'not-for-web'
    effect = 'hold'
    packages = ['npm:right-pad']
    teams = ['web/*']
";

fn stricter() -> RuleSet {
    set(&[ALLOWED, STRICTER].concat())
}

fn now() -> Timestamp {
    "2026-06-01T00:00:00Z".parse().unwrap()
}

fn said(effect: Effect) -> Said {
    Said { effect, rule: Some("then".into()), reason: None }
}

/// `asked whom requests effect`, a line each; `-` where nobody knows who asks.
fn tried(before: Before<'_>, after: &RuleSet, cases: &[&str]) -> Report {
    let registry = "npm".into();
    let mut backtest = Backtest::new(before, after);
    for (minute, case) in (0..).zip(cases) {
        let words: Vec<&str> = case.split(' ').collect();
        let [asked, whom, requests, effect] = words[..] else { panic!("{case}") };
        let facts = Facts::at(now() + SignedDuration::from_mins(minute));
        let whom = match whom {
            "-" => Whom::Nobody,
            "*" => Whom::Everybody,
            team => Whom::Team(team.into()),
        };
        backtest.try_case(&Case {
            registry: &registry,
            subject: &asked.parse().unwrap(),
            whom: &whom,
            environment: None,
            facts: &facts,
            requests: requests.parse().unwrap(),
            last: Some(facts.now),
            recorded: Some(&said(effect.parse().unwrap())),
        });
    }
    backtest.finish(100)
}

fn lines(report: &Report) -> Vec<String> {
    let rule = |said: &Said| said.rule.as_deref().unwrap_or("-").to_owned();
    let line = |change: &Change| {
        let Change { kind, package, version, whom, before, after, requests, .. } = change;
        let rules = (rule(before), rule(after));
        format!("{requests} {kind:?} {package}@{version} {whom} {} > {}", rules.0, rules.1)
    };
    report.changes.iter().map(line).collect()
}

#[test]
fn what_was_recorded_is_held_against_what_the_candidate_decides() {
    let cases = [
        "npm:left-pad@1.3.0 web/shop 5 allow",
        "npm:left-pad@1.2.0 web/shop 7 allow",
        "npm:left-pad@1.2.0 ml/x 2 allow",
        "npm:left-pad@1.2.0 web/shop 1 allow",
        "npm:left-pad@1.1.0 - 3 deny",
        "npm:right-pad@1.0.0 web/shop 4 deny",
        "npm:right-pad@1.0.0 ml/x 6 hold",
        "npm:right-pad@1.0.0 - 1 allow",
        "cargo:serde@1.0.0 ml/x 1 deny",
    ];
    let after = stricter();
    let report = tried(Before::Recorded, &after, &cases);
    assert_eq!(
        lines(&report),
        [
            "8 Refused npm:left-pad@1.2.0 web/shop then > no-old",
            "6 LetIn npm:right-pad@1.0.0 ml/x then > all",
            "4 RefusedOtherwise npm:right-pad@1.0.0 web/shop then > not-for-web",
            "2 Refused npm:left-pad@1.2.0 ml/x then > no-old",
            "1 Refused npm:right-pad@1.0.0 (no team) then > not-for-web",
        ]
    );
    assert_eq!((report.cases, report.requests, report.changed, report.more), (9, 30, 6, 0));
    assert_eq!(report.totals, Totals { refused: 11, let_in: 6, refused_otherwise: 4 });
    let shop = Totals { refused: 8, let_in: 0, refused_otherwise: 4 };
    assert_eq!(report.teams.get("web/shop"), Some(&shop));
    assert_eq!(report.rules.get("no-old").unwrap().refused, 10);
    assert_eq!(report.rules.get("then").unwrap().let_in, 6);
    let last = now() + SignedDuration::from_mins(3);
    assert_eq!(report.changes[0].last, Some(last), "the latest of those that are one line");
}

#[test]
fn two_sets_are_held_against_each_other_whatever_was_recorded() {
    let (before, after) = (set(ALLOWED), stricter());
    let cases = [
        "npm:left-pad@1.2.0 * 0 deny",
        "npm:left-pad@1.3.0 * 9 deny",
        "npm:right-pad@1.0.0 web/shop 2 deny",
        "npm:right-pad@1.0.0 ml/x 1 deny",
    ];
    let report = tried(Before::Rules(&before), &after, &cases);
    assert_eq!(
        lines(&report),
        [
            "2 Refused npm:right-pad@1.0.0 web/shop all > not-for-web",
            "0 Refused npm:left-pad@1.2.0 everybody all > no-old",
        ]
    );
    assert_eq!(report.changed, 2);
    let mut backtest = Backtest::new(Before::Rules(&before), &after);
    assert!(backtest.tells_apart(&"npm:right-pad".parse().unwrap()));
    assert!(!backtest.tells_apart(&"npm:left-pad".parse().unwrap()));
}

#[test]
fn the_list_is_bounded_and_the_totals_are_not() {
    let after = RuleSet::empty();
    let cases: Vec<String> = (0..150).map(|n| format!("npm:p@1.0.{n} - {n} allow")).collect();
    let cases: Vec<&str> = cases.iter().map(String::as_str).collect();
    let report = tried(Before::Recorded, &after, &cases);
    assert_eq!((report.changes.len(), report.more), (100, 50));
    assert_eq!(report.changes[0].requests, 149);
    assert_eq!(report.totals.refused, (0..150).sum::<u64>());
    let reason = report.changes[0].after.reason.as_deref();
    assert_eq!(reason, Some("no rule allows this package yet"));
}
