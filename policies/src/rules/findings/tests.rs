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
        .map(|finding| format!("{} {}", finding.code.as_str(), finding.fault))
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
    ]), @r"
never-speaks a.toml:6:1: the rule backwards never speaks: it ends on 2026-12-01T00:00:00Z, and starts on 2027-01-01T00:00:00Z; give `expires` a later date than `starts`
no-version a.toml:12:1: the rule empty speaks of no version: nothing is in >=2, <1; mend the range
expired a.toml:1:1: the rule ended says nothing since it expired on 2026-01-01T00:00:00Z; remove it, or give it a later date
waives-allow a.toml:29:1: the waiver waives-an-allow lifts nothing: the rule fine allows; name a deny or a hold
waives-nothing a.toml:22:1: the waiver waives-nothing lifts nothing: there is no rule narow; did you mean `narrow`?
");
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
duplicate a.toml:16:1: the rule again adds nothing to all (a.toml:1), which says the same of more; remove it, or narrow the wider one
shadowed a.toml:11:1: the rule glob decides nothing: all that it speaks of is denied by all (a.toml:1); remove one of them, or narrow the wider one
shadowed a.toml:6:1: the rule one decides nothing: all that it speaks of is denied by all (a.toml:1); narrow all, or write a [[waiver]] with waives = "all"
shadowed a.toml:66:1: the rule ranged-too decides nothing: all that it speaks of is denied by ranged (a.toml:61); narrow ranged, or write a [[waiver]] with waives = "ranged"
duplicate a.toml:26:1: the rule twin-b adds nothing to twin-a (a.toml:21), which says the same; remove it, or narrow the wider one
"#);
}

#[test]
fn a_shadow_speaks_wherever_the_other_speaks() {
    insta::assert_snapshot!(findings(&[
        ("w-all", "deny", "'npm:w'", "when = 'yanked'"),
        ("w-same", "allow", "'npm:w'", "when = 'yanked'"),
        ("w-other", "allow", "'npm:w'", "when = 'deprecated'"),
        ("w-more", "deny", "'npm:w'", ""),
        ("t-unit", "deny", "'npm:t'", "teams = ['web', 'ops/db']"),
        ("t-team", "allow", "'npm:t'", "teams = ['web/shop', 'ops/db']"),
        ("t-partly", "allow", "'npm:t'", "teams = ['web/shop', 'ops/web']"),
        ("t-everybody", "allow", "'npm:t'", ""),
        ("e-all", "hold", "'npm:e'", "environments = ['*']"),
        ("e-prod", "allow", "'npm:e'", "environments = ['prod']"),
        ("e-outside", "allow", "'npm:e'", ""),
        ("s-later", "deny", "'npm:s'", "starts = 2027-01-01"),
        ("s-now", "allow", "'npm:s'", ""),
        ("s-still-later", "allow", "'npm:s'", "starts = 2027-02-01"),
        ("s-long-ago", "deny", "'npm:s2'", "starts = 2020-01-01"),
        ("s-anew", "allow", "'npm:s2'", ""),
        ("d-one", "deny", "'npm:d'", ""),
        ("d-two", "hold", "'npm:d', 'npm:d2'", ""),
        ("d-lifts-one", "waiver", "'npm:d'", "waives = 'd-one'"),
        ("d-lifts-one-again", "waiver", "'npm:d'", "waives = 'd-one'\nversions = '>=1'"),
        ("d-lifts-nowhere", "waiver", "'npm:d3', 'npm:x-*'", "waives = 'd-two'"),
        ("d-for-others", "waiver", "'npm:t'", "waives = 't-unit'\nteams = ['ops/web']"),
        ("d-elsewhere", "waiver", "'npm:e'", "waives = 'e-prod-deny'\nenvironments = ['test']"),
        ("e-prod-deny", "deny", "'npm:e'", "environments = ['prod']"),
        ("d-too-early", "waiver", "'npm:s'", "waives = 's-later'"),
        ("v-a", "deny", "'npm:v'", ""),
        ("v-b", "deny", "'npm:v*'", ""),
        ("v-lifts-a-alone", "waiver", "'npm:v'", "waives = 'v-a'"),
        ("star-a", "deny", "'npm:ab-*'", ""),
        ("star-lifts", "waiver", "'npm:ac-*'", "waives = 'star-a'"),
    ]), @r#"
waives-nothing a.toml:121:1: the waiver d-elsewhere lifts nothing: the rule e-prod-deny speaks in other environments; remove it, or name the deny or hold that stands in the way
waives-nothing a.toml:113:1: the waiver d-for-others lifts nothing: the rule t-unit speaks to other teams; remove it, or name the deny or hold that stands in the way
waives-nothing a.toml:106:1: the waiver d-lifts-nowhere lifts nothing: the rule d-two names none of its packages; remove it, or name the deny or hold that stands in the way
duplicate a.toml:98:1: the waiver d-lifts-one-again adds nothing to d-lifts-one (a.toml:91), which says the same of more; remove it, or narrow the wider one
waives-nothing a.toml:134:1: the waiver d-too-early lifts nothing: the rule s-later starts when the waiver has ended; remove it, or name the deny or hold that stands in the way
shadowed a.toml:46:1: the rule e-prod decides nothing: all that it speaks of is held by e-all (a.toml:41); narrow e-all, or write a [[waiver]] with waives = "e-all"
shadowed a.toml:76:1: the rule s-anew decides nothing: all that it speaks of is denied by s-long-ago (a.toml:71); narrow s-long-ago, or write a [[waiver]] with waives = "s-long-ago"
duplicate a.toml:66:1: the rule s-still-later adds nothing to s-now (a.toml:61), which says the same of more; remove it, or narrow the wider one
waives-nothing a.toml:163:1: the waiver star-lifts lifts nothing: the rule star-a names none of its packages; remove it, or name the deny or hold that stands in the way
duplicate a.toml:31:1: the rule t-partly adds nothing to t-everybody (a.toml:36), which says the same of more; remove it, or narrow the wider one
duplicate a.toml:26:1: the rule t-team adds nothing to t-everybody (a.toml:36), which says the same of more; remove it, or narrow the wider one
shadowed a.toml:151:1: the waiver v-lifts-a-alone decides nothing: all that it speaks of is denied by v-b (a.toml:146); narrow v-b, or waive it as well
duplicate a.toml:1:1: the rule w-all adds nothing to w-more (a.toml:16), which says the same of more; remove it, or narrow the wider one
shadowed a.toml:11:1: the rule w-other decides nothing: all that it speaks of is denied by w-more (a.toml:16); narrow w-more, or write a [[waiver]] with waives = "w-more"
shadowed a.toml:6:1: the rule w-same decides nothing: all that it speaks of is denied by w-all (a.toml:1); narrow w-all, or write a [[waiver]] with waives = "w-all"
"#);
}

#[test]
fn a_range_within_another_is_shadowed_however_it_is_written() {
    insta::assert_snapshot!(findings(&[
        ("wide", "deny", "'npm:a'", "versions = '>=1'"),
        ("within", "allow", "'npm:a'", "versions = '^1.2'"),
        ("behind-its-name", "allow", "'npm:a@2.1.0'", ""),
        ("beyond", "allow", "'npm:a'", "versions = '>=0.9'"),
        ("a-candidate", "allow", "'npm:a@2.0.0-rc.1'", ""),
        ("alternatives", "allow", "'npm:b'", "versions = '1.x || 3.x'"),
        ("one-of-them", "allow", "'npm:b@3.1.0', 'npm:b@^1.4'", ""),
        ("between", "allow", "'npm:b@2.0.0'", ""),
        ("other-name", "allow", "'npm:c@^1.2'", ""),
        ("mixed", "deny", "'npm:d', 'cargo:d'", "versions = '>=1'"),
        ("of-npm", "allow", "'npm:d'", "versions = '^1.2'"),
        ("of-cargo", "allow", "'cargo:d'", "versions = '^1.2'"),
    ]), @r#"
shadowed a.toml:11:1: the rule behind-its-name decides nothing: all that it speaks of is denied by wide (a.toml:1); narrow wide, or write a [[waiver]] with waives = "wide"
shadowed a.toml:51:1: the rule of-npm decides nothing: all that it speaks of is denied by mixed (a.toml:46); narrow mixed, or write a [[waiver]] with waives = "mixed"
duplicate a.toml:31:1: the rule one-of-them adds nothing to alternatives (a.toml:26), which says the same of more; remove it, or narrow the wider one
shadowed a.toml:6:1: the rule within decides nothing: all that it speaks of is denied by wide (a.toml:1); narrow wide, or write a [[waiver]] with waives = "wide"
"#);
}
