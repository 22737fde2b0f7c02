#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use super::*;
use crate::rules::parse;

fn findings(rules: &[(&str, &str, &str, &str)]) -> String {
    let mut text = String::new();
    for (name, effect, packages, rest) in rules {
        let (table, effect) = match *effect {
            "waiver" => ("waiver", "reason = 'r'\nowner = 'ann'\nexpires = 2027-01-01".to_owned()),
            effect => ("rule", format!("effect = '{effect}'")),
        };
        writeln!(text, "[[{table}]]\nname = '{name}'\n{effect}\npackages = [{packages}]\n{rest}")
            .unwrap();
    }
    let set =
        RuleSet::compile(parse("a.toml", &text).unwrap_or_else(|faults| panic!("{faults:?}")))
            .unwrap();
    let told: Vec<String> = set
        .findings("2026-06-01T00:00:00Z".parse().unwrap())
        .iter()
        .map(ToString::to_string)
        .collect();
    told.join("\n")
}

#[test]
fn rules_that_can_never_match_are_told_with_their_place() {
    insta::assert_snapshot!(findings(&[
        ("ended", "allow", "'npm:a'", "expires = 2026-01-01"),
        ("backwards", "allow", "'npm:b'", "starts = 2027-01-01\nexpires = 2026-12-01"),
        ("empty", "deny", "'cargo:c'", "versions = '>=2, <1'"),
        ("narrow", "deny", "'cargo:c'", "versions = '>1.2, <1.4'"),
        ("waives-nothing", "waiver", "'npm:a'", "waives = 'narow'"),
        ("waives-an-allow", "waiver", "'npm:a'", "waives = 'fine'"),
        ("fine", "allow", "'npm:d'", "expires = 2027-01-01"),
    ]), @r#"
a.toml:6:1: the rule backwards ends before it starts; mend `starts` or `expires`
a.toml:12:1: the rule empty speaks of no version: nothing is in >=2, <1; mend the range
a.toml:1:1: the rule ended says nothing since it expired on 2026-01-01T00:00:00Z; remove it, or give it a later date
a.toml:29:1: the waiver waives-an-allow lifts nothing: the rule fine allows; name a deny or a hold
a.toml:22:1: the waiver waives-nothing lifts nothing: there is no rule narow; did you mean `narrow`?
"#);
}

#[test]
fn rules_in_the_shadow_of_wider_ones_are_told() {
    insta::assert_snapshot!(findings(&[
        ("all", "deny", "'npm:evil-*', 'cargo:*'", ""),
        ("one", "allow", "'npm:evil-x'", ""),
        ("glob", "hold", "'npm:evil-x*', 'npm:evil-y'", "when = 'yanked'"),
        ("again", "deny", "'cargo:serde_derive'", "versions = '<1'"),
        ("twin-a", "allow", "'npm:t'", ""),
        ("twin-b", "allow", "'npm:t'", ""),
        ("outlives", "allow", "'npm:o'", "expires = 2030-01-01"),
        ("ends-sooner", "deny", "'npm:o'", "expires = 2028-01-01"),
        ("partly", "allow", "'npm:evil-x', 'npm:good'", ""),
        ("conditional", "deny", "'npm:*'", "when = 'yanked'"),
        ("some-teams", "deny", "'npm:*'", "teams = ['web']"),
        ("watching", "deny", "'npm:*'", "observe = true"),
        ("ranged", "deny", "'nuget:A'", "versions = '[1.0,2.0)'"),
        ("ranged-too", "allow", "'nuget:a'", "versions = '[1.0,2.0)'"),
        ("ranged-else", "allow", "'nuget:a'", "versions = '[1.5,3.0)'"),
        ("waived", "deny", "'oci:hub/*'", ""),
        ("under-waived", "allow", "'oci:hub/alpine'", ""),
        ("the-waiver", "waiver", "'oci:hub/alpine'", "waives = 'waived'"),
    ]), @r#"
a.toml:16:1: the rule again adds nothing to all (a.toml:1), which says the same of more; remove one of them, or narrow the wider one
a.toml:11:1: the rule glob decides nothing: all that it speaks of is denied by all (a.toml:1); remove one of them, or narrow the wider one
a.toml:6:1: the rule one decides nothing: all that it speaks of is denied by all (a.toml:1); remove one of them, or narrow the wider one
a.toml:66:1: the rule ranged-too decides nothing: all that it speaks of is denied by ranged (a.toml:61); remove one of them, or narrow the wider one
a.toml:26:1: the rule twin-b adds nothing to twin-a (a.toml:21), which says the same of more; remove one of them, or narrow the wider one
"#);
}
