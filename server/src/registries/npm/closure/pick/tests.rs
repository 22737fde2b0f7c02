use policies::decision::{DecisionCode, Effect, Revision};
use policies::facts::Missing;

use super::*;
use crate::registries::npm::closure::spec::Wanted;

fn decision(effect: Effect, code: DecisionCode) -> Decision {
    Decision {
        effect,
        code,
        rule: None,
        reason: "".into(),
        revision: Revision("r".into()),
        until: None,
        missing: Missing::NONE,
        waiver: None,
        observed: None,
    }
}

/// Versions with signs behind them: `~` deprecated, `+` allowed, `!` denied by a rule.
fn shelf(versions: &str, tags: &str) -> Shelf {
    let listed = versions.split_whitespace().map(|text| {
        let version = Version::new(text.trim_end_matches(['~', '+', '!'])).unwrap();
        let decision = if text.contains('+') {
            decision(Effect::Allow, DecisionCode::AllowedByRule)
        } else if text.contains('!') {
            decision(Effect::Deny, DecisionCode::DeniedByRule)
        } else {
            decision(Effect::Deny, DecisionCode::NoRuleAllows)
        };
        (version, text.contains('~'), decision)
    });
    let tags = tags.split_whitespace().map(|tag| {
        let (tag, version) = tag.split_once('=').unwrap();
        (tag.to_owned(), version.to_owned())
    });
    Shelf::new(listed, tags.collect())
}

fn picked(shelf: &Shelf, spec: &str, among: Among) -> String {
    let wanted = Wanted::parse("a", spec).unwrap();
    let place = shelf.pick(&wanted.choice, among);
    place.map_or("nothing".to_owned(), |place| shelf.versions[place].version.to_string())
}

/// Each row was asked of npm-pick-manifest 11.0.3 with these versions and tags.
#[test]
fn the_version_is_the_one_that_npm_takes() {
    let plain = "1.0.0 1.1.0 1.2.0 2.0.0 2.1.0-rc.1";
    for (row, versions, tags, spec, expected) in [
        ("the highest in range", plain, "latest=2.0.0", "^1", "1.2.0"),
        ("latest is preferred to the highest", plain, "latest=1.1.0", "^1", "1.1.0"),
        ("latest out of range", plain, "latest=2.0.0", "~1.0", "1.0.0"),
        ("any is latest", plain, "latest=1.1.0", "*", "1.1.0"),
        ("nothing said is latest", plain, "latest=1.1.0", "", "1.1.0"),
        ("any takes a pre-release as latest", plain, "latest=2.1.0-rc.1", "*", "2.1.0-rc.1"),
        ("a range does not", plain, "latest=2.1.0-rc.1", ">=1", "2.0.0"),
        ("a range that names one does", plain, "latest=2.0.0", ">=2.1.0-rc.0", "2.1.0-rc.1"),
        ("any without a tag", plain, "", "*", "2.0.0"),
        ("a tag", plain, "latest=2.0.0 next=2.1.0-rc.1", "next", "2.1.0-rc.1"),
        ("a tag that is not there", plain, "latest=2.0.0", "beta", "nothing"),
        ("a tag that leads nowhere", plain, "latest=2.0.0 beta=9.0.0", "beta", "nothing"),
        ("a version", plain, "latest=2.0.0", "=1.1.0", "1.1.0"),
        ("a version that is not there", plain, "latest=2.0.0", "1.1.1", "nothing"),
        ("nothing in range", plain, "latest=2.0.0", "^3", "nothing"),
        ("two ranges", plain, "latest=2.0.0", "1.0 || 1.1", "1.1.0"),
        ("a deprecated latest", "1.0.0 1.1.0~ 1.2.0", "latest=1.1.0", "^1", "1.2.0"),
        ("the highest is deprecated", "1.0.0 1.1.0 1.2.0~", "latest=1.2.0", "^1", "1.1.0"),
        ("all are deprecated", "1.0.0~ 1.1.0~", "latest=1.1.0", "^1", "1.1.0"),
        ("a deprecated latest for any", "1.0.0 1.1.0~", "latest=1.1.0", "*", "1.0.0"),
        ("a deprecated version by its number", "1.0.0 1.1.0~", "latest=1.0.0", "1.1.0", "1.1.0"),
        ("a version that npm can not read", "1.0.0 rubbish", "latest=1.0.0", "*", "1.0.0"),
        ("no versions", "", "latest=1.0.0", "*", "nothing"),
    ] {
        let shelf = shelf(versions, tags);
        assert_eq!(picked(&shelf, spec, Among::Everything), expected, "{row}");
    }
}

#[test]
fn what_a_rule_refuses_is_passed_over_where_something_else_serves() {
    let versions = "1.0.0+ 1.1.0 1.2.0! 2.0.0!";
    for (row, spec, everything, unrefused, allowed_first) in [
        ("a refused highest", "^1", "1.2.0", "1.1.0", "1.0.0"),
        ("nothing else serves", "^2", "2.0.0", "2.0.0", "2.0.0"),
        ("latest moves down", "latest", "2.0.0", "1.1.0", "1.0.0"),
        ("any does, too", "*", "2.0.0", "1.1.0", "1.0.0"),
        ("another tag does not", "next", "1.2.0", "1.2.0", "1.2.0"),
        ("an allowed one does not serve", "~1.1", "1.1.0", "1.1.0", "1.1.0"),
        ("a version is meant exactly", "1.2.0", "1.2.0", "1.2.0", "1.2.0"),
    ] {
        let shelf = shelf(versions, "latest=2.0.0 next=1.2.0");
        let found = [Among::Everything, Among::Unrefused, Among::AllowedFirst]
            .map(|among| picked(&shelf, spec, among));
        assert_eq!(found, [everything, unrefused, allowed_first], "{row}");
    }
}
