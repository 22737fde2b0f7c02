#![allow(clippy::unwrap_used)]

use super::*;

fn told(files: &[(&str, &str)]) -> String {
    let texts: Vec<Text> = files
        .iter()
        .map(|(file, text)| Text { file: (*file).to_owned(), text: (*text).to_owned() })
        .collect();
    let checked = check(&texts, "2026-06-01T00:00:00Z".parse().unwrap());
    let line = |finding: &Finding| {
        format!("{} {}: {}\n", finding.severity(), finding.code.as_str(), finding.fault)
    };
    checked.findings.iter().map(line).collect()
}

#[test]
fn each_finding_stands_where_its_field_is() {
    insta::assert_snapshot!(told(&[("a.toml", r#"
[[rule]]
name     = "ended"
effect   = "allow"
packages = ["npm:a"]
expires  = 2026-01-01

[[rule]]
name     = "backwards"
effect   = "allow"
packages = ["npm:b"]
starts   = 2027-01-01
expires  = 2026-12-01

[[rule]]
name     = "empty"
effect   = "deny"
packages = ["cargo:c"]
versions = ">=2, <1"

[[rule]]
name     = "never"
effect   = "allow"
packages = ["npm:d"]
when     = "yanked && !yanked"

[[rule]]
name     = "hardly"
effect   = "deny"
packages = ["npm:d"]
when     = "size > 5 && size < 2"

[[rule]]
name     = "foreign"
effect   = "deny"
packages = ["npm:d"]
when     = "ecosystem == 'cargo'"

[[rule]]
name     = "always"
effect   = "deny"
packages = ["npm:e"]
when     = "age >= duration('1h') || age < duration('2h')"

[[rule]]
name     = "known"
effect   = "allow"
packages = ["npm:f"]
when     = "age >= duration('1h') || age < duration('2h')"

[[rule]]
name     = "capitals"
effect   = "deny"
packages = ["npm:Evil", "npm:JSONStream", "npm:Acme-*", "cargo:Fine", "npm:Odd@1.0.0-RC.1"]

[[rule]]
name     = "repeats"
effect   = "deny"
packages = ["npm:g", "npm:h-*",
            "npm:h-x", "npm:g", "cargo:x_y", "cargo:x-y"]

[[expect]]
package = "npm:JSONStream@1.0.0"
effect  = "deny"
rule    = "capital"
"#), ("b.toml", "[[waiver]]\nname = 'idle'\nwaives = 'capitals'\npackages = ['npm:z']\nreason = 'r'\nowner = 'ann'\nexpires = 2027-01-01\n")]), @r"
warning expired: a.toml:6:12: the rule ended says nothing since it expired on 2026-01-01T00:00:00Z; remove it, or give it a later date
error never-speaks: a.toml:13:12: the rule backwards never speaks: it ends on 2026-12-01T00:00:00Z, and starts on 2027-01-01T00:00:00Z; give `expires` a later date than `starts`
error no-version: a.toml:19:12: the rule empty speaks of no version: nothing is in >=2, <1; mend the range
error never-true: a.toml:25:12: the rule never never matches: its condition can not be true; mend the condition, or remove the rule
error never-true: a.toml:31:12: the rule hardly matches only what nobody knows enough of: its condition can not be true; mend the condition, or remove the rule
error never-true: a.toml:37:12: the rule foreign never matches: its condition can not be true; mend the condition, or remove the rule
warning always-true: a.toml:43:12: the condition of the rule always is true whatever the facts are; leave `when` out, or write what was meant
warning always-true: a.toml:49:12: the condition of the rule known is true whatever the facts are, once they are known; leave `when` out, or write what was meant
warning letter-case: a.toml:54:13: the rule capitals names npm:Evil; npm takes no capital letters in new names, and npm:evil is another package; write npm:evil, or keep an [[expect]] for npm:Evil if it is meant
warning letter-case: a.toml:54:43: the rule capitals names npm:Acme-*; npm takes no capital letters in new names, and npm:acme-* is another package; write npm:acme-*
warning letter-case: a.toml:54:71: the rule capitals names npm:Odd; npm takes no capital letters in new names, and npm:odd is another package; write npm:odd, or keep an [[expect]] for npm:Odd if it is meant
warning repeated-pattern: a.toml:60:13: the rule repeats names npm:h-x, which its npm:h-* takes in; remove it
warning repeated-pattern: a.toml:60:24: the rule repeats names npm:g twice; remove it
warning repeated-pattern: a.toml:60:46: the rule repeats names cargo:x-y twice; remove it
warning no-such-rule: a.toml:62:1: the expectation can not be met: there is no rule capital; did you mean `capitals`?
warning waives-nothing: b.toml:3:10: the waiver idle lifts nothing: the rule capitals names none of its packages; remove it, or name the deny or hold that stands in the way
");
}

#[test]
fn faults_come_with_what_can_still_be_told() {
    insta::assert_snapshot!(told(&[
        ("a.toml", "[[rule]]\nname = 'a'\nefect = 'allow'\npackages = ['npm:a']\n"),
        ("b.toml", "[[rule]]\nname = 'old'\neffect = 'allow'\npackages = ['npm:a']\nexpires = 2020-01-01\n[[waiver]]\nname = 'w'\nwaives = 'a'\npackages = ['npm:a']\nreason = 'r'\nowner = 'ann'\nexpires = 2027-01-01\n"),
    ]), @r"
error invalid: a.toml:3:1: `efect` is no key of a rule; did you mean `effect`?
warning expired: b.toml:5:11: the rule old says nothing since it expired on 2020-01-01T00:00:00Z; remove it, or give it a later date
");
    insta::assert_snapshot!(told(&[
        ("a.toml", "[[rule]]\nname = 'a'\neffect = 'allow'\npackages = ['npm:a']\n"),
        ("b.toml", "[[rule]]\nname = 'a'\neffect = 'allow'\npackages = ['npm:b']\nexpires = 2020-01-01\n"),
    ]), @r"
error invalid: b.toml:1:1: the name `a` is taken by a.toml:1; give each rule a name of its own
warning expired: b.toml:5:11: the rule a says nothing since it expired on 2020-01-01T00:00:00Z; remove it, or give it a later date
");
}

#[test]
fn the_starter_policies_are_clean() {
    for (file, text) in crate::rules::DEFAULTS {
        assert_eq!(told(&[(file, text)]), "");
    }
}
