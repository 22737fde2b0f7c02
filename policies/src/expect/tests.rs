#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;

use super::*;
use crate::rules::{PolicyFile, parse_file};

fn tried(text: &str) -> String {
    let PolicyFile { rules, expectations, .. } =
        parse_file("a.toml", text).unwrap_or_else(|faults| panic!("{faults:?}"));
    let set = RuleSet::compile(rules).unwrap();
    let now = "2026-06-01T00:00:00Z".parse().unwrap();
    let mut told = String::new();
    for outcome in try_all(&set, &expectations, now) {
        writeln!(told, "{}: {outcome}", outcome.expectation.place()).unwrap();
    }
    told
}

#[test]
fn expectations_are_tried_against_the_rules_beside_them() {
    insta::assert_snapshot!(tried(r#"
[[rule]]
name     = "frontend"
effect   = "allow"
packages = ["npm:react"]
teams    = ["web/*"]
when     = "licence.allowed(['MIT'])"

[[rule]]
name     = "settle"
effect   = "hold"
packages = ["npm:*"]
when     = "age < duration('168h')"

[[rule]]
name     = "critical"
effect   = "deny"
packages = ["*"]
when     = "advisories.exists(a, a.severity >= 9.0 && !a.withdrawn)"

[[expect]]
package = "npm:react@18.3.1"
team    = "web/shop"
facts   = { age = "10d", licence = "MIT", advisories = [] }
effect  = "allow"
rule    = "frontend"

[[expect]]
package = "npm:react@18.3.1"
team    = "web/shop"
facts   = { age = "6d", licence = "MIT", advisories = [] }
effect  = "hold"

[[expect]]
package = "npm:react@18.3.1"
team    = "web/shop"
facts   = { published = 2026-05-30, licence = "MIT", advisories = [] }
at      = 2026-07-01
effect  = "allow"

[[expect]]
package = "npm:react@18.3.1"
team    = "web/shop"
facts   = { age = "2w", licence = "MIT", advisories = [{ id = "X-1", severity = 9.8 }, { severity = 3, withdrawn = true }] }
effect  = "deny"
rule    = "critical"

[[expect]]
package = "npm:react@18.3.1"
facts   = { age = "10d", licence = "GPL-3.0-only" }
effect  = "allow"

[[expect]]
package = "npm:react@18.3.1"
team    = "web/shop"
facts   = { age = "10d", licence = "MIT", advisories = [] }
effect  = "allow"
rule    = "settle"
"#), @r"
a.toml:21:1: npm:react@18.3.1 for web/shop should be allowed by the rule frontend, and is
a.toml:28:1: npm:react@18.3.1 for web/shop should be held, and is
a.toml:34:1: npm:react@18.3.1 for web/shop at 2026-07-01T00:00:00Z should be allowed, and is
a.toml:41:1: npm:react@18.3.1 for web/shop should be denied by the rule critical, and is
a.toml:48:1: npm:react@18.3.1 should be allowed
    got      deny: denied by the rule critical (nobody knows what advisories say of it)
    unknown  advisories
    * deny   critical: names it by *, in every version; it counts where advisories.exists(a, a.severity >= 9.0 && !a.withdrawn), and nobody knows what advisories say of it
      hold   settle: names it by npm:*, but it is not true that age < duration('168h')
      allow  frontend: names it by npm:react, but speaks to web/* alone, and nobody knows who asks
a.toml:53:1: npm:react@18.3.1 for web/shop should be allowed by the rule settle
    got      allow: allowed by the rule frontend
      deny   critical: names it by *, but it is not true that advisories.exists(a, a.severity >= 9.0 && !a.withdrawn)
      hold   settle: names it by npm:*, but it is not true that age < duration('168h')
    * allow  frontend: names it by npm:react, in every version, where licence.allowed(['MIT'])
");
}

#[test]
fn every_fault_of_an_expectation_is_told_with_its_place() {
    let faults = parse_file("a.toml", r#"
[[expect]]
package = "npm:react"
effect = "alow"
teem = "web/shop"

[[expect]]
package = "npm:react@1.0.0"
team = "web"
environment = 5
rule = "no such"
at = "yesterday"
effect = "deny"
facts = { age = "10x", licens = "MIT", yanked = "yes", dependencies = -1, size = 1.5, advisories = [{ severity = 11, idd = "x", aliases = "y" }, 5], own = 1, published = 5 }

[[expect]]
facts = 5
"#).unwrap_err();
    let told: Vec<String> = faults.iter().map(ToString::to_string).collect();
    insta::assert_snapshot!(told.join("\n"), @r#"
a.toml:3:11: "npm:react" can not be used here; write something like "npm:react@18.3.1"
a.toml:4:10: "alow" can not be used here; write something like "allow"
a.toml:5:1: `teem` is no key of an expectation; did you mean `team`?
a.toml:9:8: "web" can not be used here; write something like "web/shop"
a.toml:10:15: a number can not be used here; write something like "prod"
a.toml:11:8: "no such" can not be used here; write something like "frontend-basics"
a.toml:12:6: "yesterday" can not be used here; write something like "2027-01-01"
a.toml:14:17: "10x" can not be used here; write something like "10d"
a.toml:14:24: `licens` is no key of a version; did you mean `licence`?
a.toml:14:49: this is a string; write true or false
a.toml:14:71: this is no whole number from 0 on; write 12
a.toml:14:82: this is no whole number from 0 on; write 12
a.toml:14:114: this is no CVSS score; write a number from 0.0 to 10.0
a.toml:14:118: `idd` is no key of an advisory; did you mean `id`?
a.toml:14:139: this is a string; write a list of strings
a.toml:14:146: an advisory is a table, this is a number; write advisories = [{ id = "GHSA-1", severity = 9.8 }]
a.toml:14:156: this is a number; write true or false
a.toml:14:171: a number can not be used here; write something like "2027-01-01"
a.toml:16:1: the expectation has no `effect`; write effect = "allow"
a.toml:16:1: the expectation has no `package`; write package = "npm:react@18.3.1"
a.toml:17:9: `facts` is a table, this is a number; write facts = { age = "10d" }
"#);
}

#[test]
fn facts_may_be_a_table_of_their_own() {
    let file = parse_file("a.toml", "[[expect]]\npackage = 'npm:x@1'\neffect = 'deny'\n[expect.facts]\nage = '240h'\nsimilar_to = 'y'\nsize = 0x10\n").unwrap();
    let facts = &file.expectations[0].facts;
    assert_eq!((facts.age.unwrap().as_hours(), facts.sheet.size), (240, Some(16)));
}

#[test]
fn every_fact_can_be_written_and_counts() {
    // A condition that is true of the value beside it.
    let written = |name: &str| match name {
        "registry" => ("'npm'", "registry == 'npm'"),
        "published" => ("2026-01-01", "published == timestamp('2026-01-01T00:00:00Z')"),
        "first_seen" => ("2026-01-02", "first_seen == timestamp('2026-01-02T00:00:00Z')"),
        "age" => ("'10d'", "age >= duration('240h') && age <= duration('240h')"),
        "age_here" => ("'36h'", "age_here >= duration('36h') && age_here <= duration('36h')"),
        "own" => ("true", "own"),
        "licence" => ("'MIT'", "licence.allowed(['MIT'])"),
        "advisories" => (
            "[{ id = 'X-1', aliases = ['CVE-1'], severity = 9.8, malicious = false, withdrawn = true, fixed = ['2.0.0'] }]",
            "advisories.exists(a, a.id == 'X-1' && 'CVE-1' in a.aliases && a.severity > 9.7 && !a.malicious && a.withdrawn && '2.0.0' in a.fixed)",
        ),
        "publisher" => ("'ann'", "publisher == 'ann'"),
        "dependencies" => ("12", "dependencies == 12"),
        "size" => ("34", "size == 34"),
        "similar_to" => ("'react'", "similar_to == 'react'"),
        "description" => ("'a parser'", "description.contains('parser')"),
        "repository" => {
            ("'https://git.example/x'", "repository.startsWith('https://git.example/')")
        }
        "rust_version" => ("'1.85'", "rust_version == '1.85'"),
        "fixes_advisory" | "deprecated" | "yanked" | "unlisted" | "install_scripts"
        | "provenance" | "publisher_changed" | "contradicts" => ("true", ""),
        other => panic!("write an example of {other}: expectations must be able to say it"),
    };
    for name in crate::condition::VARIABLES {
        if ["name", "version", "ecosystem"].contains(&name) {
            continue;
        }
        let (value, when) = written(name);
        let when = if when.is_empty() { name } else { when };
        let text = format!(
            "[[rule]]\nname = 'asked'\neffect = 'allow'\npackages = ['npm:x']\nwhen = \"{when}\"\n[[expect]]\npackage = 'npm:x@1.0.0'\neffect = 'allow'\nrule = 'asked'\nfacts = {{ {name} = {value} }}\n[[expect]]\npackage = 'npm:x@1.0.0'\neffect = 'deny'\n"
        );
        let told = tried(&text);
        assert_eq!(told.matches("and is").count(), 2, "{name}: {told}");
    }
}
