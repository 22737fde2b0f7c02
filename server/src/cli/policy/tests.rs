#![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

use std::path::Path;

use clap::Parser;

use super::*;

#[derive(Debug, Parser)]
struct Line {
    #[command(subcommand)]
    action: Action,
}

fn clock() -> Clock {
    Clock::from_fn(|| "2026-06-01T00:00:00Z".parse().unwrap())
}

/// How `garth policy …` ends with these words and paths of this folder.
fn ends(folder: &Path, words: &[&str], paths: &[&str]) -> Exit {
    let paths = paths.iter().map(|path| folder.join(path).display().to_string());
    let words = ["garth"].iter().chain(words).map(|word| (*word).to_owned());
    let line = Line::try_parse_from(words.chain(paths)).unwrap();
    PolicyCommand { action: line.action }.run(&EnvSnapshot::default(), &clock())
}

const CLEAN: &str = "[[rule]]\nname = 'a'\neffect = 'allow'\npackages = ['npm:a']\n";
const EXPIRED: &str =
    "[[rule]]\nname = 'b'\neffect = 'allow'\npackages = ['npm:b']\nexpires = 2026-01-01\n";
const BROKEN: &str = "[[rule]]\nname = 'c'\nefect = 'allow'\npackages = ['npm:c']\n";
const MET: &str = "[[expect]]\npackage = 'npm:a@1.0.0'\neffect = 'allow'\n";
const UNMET: &str = "[[expect]]\npackage = 'npm:z@1.0.0'\neffect = 'allow'\n";

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

#[test]
fn each_outcome_of_a_check_has_its_exit() {
    let folder = folder(&[
        ("clean/a.toml", CLEAN.as_bytes()),
        ("old/a.toml", CLEAN.as_bytes()),
        ("old/b.toml", EXPIRED.as_bytes()),
        ("broken/c.toml", BROKEN.as_bytes()),
        ("latin/d.toml", b"\xff"),
        ("empty/readme.md", b""),
        ("hidden/.a.toml", BROKEN.as_bytes()),
        ("alone", CLEAN.as_bytes()),
    ]);
    for (words, paths, expected) in [
        (&["check"][..], &["clean"][..], Exit::Done),
        (&["check"], &["alone"], Exit::Done),
        (&["check", "--deny-warnings"], &["clean", "clean/a.toml"], Exit::Done),
        (&["check"], &["old"], Exit::Done),
        (&["check", "--deny-warnings"], &["old"], Exit::Findings),
        (&["check", "--deny-warnings", "--at", "2025-06-01"], &["old"], Exit::Done),
        (&["check"], &["broken"], Exit::Findings),
        (&["check"], &["clean", "old"], Exit::Findings),
        (&["check", "--json"], &["broken"], Exit::Findings),
        (&["check"], &["latin"], Exit::Failed),
        (&["check"], &["empty"], Exit::Failed),
        (&["check"], &["hidden"], Exit::Failed),
        (&["check"], &["gone"], Exit::Failed),
        (&["check"], &["clean", "gone"], Exit::Failed),
    ] {
        assert_eq!(ends(folder.path(), words, paths), expected, "{words:?} {paths:?}");
    }
}

#[test]
fn each_outcome_of_a_test_has_its_exit() {
    let folder = folder(&[
        ("met.toml", format!("{CLEAN}{MET}").as_bytes()),
        ("unmet.toml", UNMET.as_bytes()),
        ("none.toml", CLEAN.as_bytes()),
        ("broken.toml", format!("{BROKEN}{MET}").as_bytes()),
    ]);
    for (words, paths, expected) in [
        (&["test"][..], &["met.toml"][..], Exit::Done),
        (&["test", "--format", "junit"], &["met.toml"], Exit::Done),
        (&["test"], &["met.toml", "unmet.toml"], Exit::Findings),
        (&["test", "--json"], &["met.toml", "unmet.toml"], Exit::Findings),
        (&["test", "--format", "junit"], &["met.toml", "unmet.toml"], Exit::Findings),
        (&["test"], &["none.toml"], Exit::Failed),
        (&["test"], &["broken.toml"], Exit::Failed),
        (&["test"], &["gone"], Exit::Failed),
    ] {
        assert_eq!(ends(folder.path(), words, paths), expected, "{words:?} {paths:?}");
    }
}

#[test]
fn the_policies_of_the_configuration_are_the_usual_ones() {
    let folder = folder(&[
        ("rules/a.toml", EXPIRED.as_bytes()),
        ("garth.toml", b"policies = \"rules\"\npublic_url = 5\n"),
        ("silent.toml", b"listen = \"127.0.0.1:0\"\n"),
        ("broken.toml", b"policies = \n"),
    ]);
    let check = |file: &str| {
        let file = folder.path().join(file).display().to_string();
        ends(folder.path(), &["check", "--deny-warnings", "--config", &file], &[])
    };
    assert_eq!(check("garth.toml"), Exit::Findings, "whatever else is wrong there");
    assert_eq!(check("silent.toml"), Exit::Failed, "nothing says where they are");
    assert_eq!(check("broken.toml"), Exit::Failed);
    assert_eq!(check("gone.toml"), Exit::Failed);
}

#[test]
fn a_file_that_two_paths_name_is_read_once() {
    let folder = folder(&[("a.toml", CLEAN.as_bytes())]);
    std::os::unix::fs::symlink(folder.path().join("a.toml"), folder.path().join("b.toml")).unwrap();
    assert_eq!(ends(folder.path(), &["check"], &["", "a.toml", "b.toml"]), Exit::Done);
}

fn texts(files: &[(&str, &str)]) -> Vec<policies::check::Text> {
    let text = |(file, text): &(&str, &str)| policies::check::Text {
        file: (*file).to_owned(),
        text: (*text).to_owned(),
    };
    files.iter().map(text).collect()
}

#[test]
fn findings_are_written_for_people_and_for_machines() {
    let texts = texts(&[("p/b,1.toml", EXPIRED), ("p/c.toml", BROKEN)]);
    let checked = policies::check::check(&texts, clock().now());
    insta::assert_snapshot!(check::told(&checked, false), @r"
p/b,1.toml:5:11: warning: the rule b says nothing since it expired on 2026-01-01T00:00:00Z [expired]
    remove it, or give it a later date
p/c.toml:3:1: error: `efect` is no key of a rule [invalid]
    did you mean `effect`?
The rules were not held against each other: mend the errors first, then check again.
2 files, 1 rule, 0 expectations: 1 error, 1 warning
");
    assert!(check::told(&checked, true).contains("\u{1b}[31merror\u{1b}[0m"));
    insta::assert_snapshot!(machine::annotations(&checked), @r"
::warning file=p/b%2C1.toml,line=5,col=11,title=expired::the rule b says nothing since it expired on 2026-01-01T00:00:00Z; remove it, or give it a later date
::error file=p/c.toml,line=3,col=1,title=invalid::`efect` is no key of a rule; did you mean `effect`?
");
    insta::assert_snapshot!(machine::json(&checked).to_string(), @r#"
{"errors":1,"expectations":0,"files":2,"findings":[{"code":"expired","column":11,"file":"p/b,1.toml","line":5,"message":"the rule b says nothing since it expired on 2026-01-01T00:00:00Z","remedy":"remove it, or give it a later date","rule":"b","severity":"warning"},{"code":"invalid","column":1,"file":"p/c.toml","line":3,"message":"`efect` is no key of a rule","remedy":"did you mean `effect`?","rule":null,"severity":"error"}],"partial":true,"rules":1,"warnings":1}
"#);
    let sarif = machine::sarif(&checked);
    let result = &sarif["runs"][0]["results"][0];
    insta::assert_snapshot!(result.to_string(), @r#"
{"level":"warning","locations":[{"physicalLocation":{"artifactLocation":{"uri":"p/b%2C1.toml"},"region":{"startColumn":11,"startLine":5}}}],"message":{"text":"the rule b says nothing since it expired on 2026-01-01T00:00:00Z; remove it, or give it a later date"},"ruleId":"expired"}
"#);
    let known = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(known.iter().any(|rule| rule["id"] == result["ruleId"]));
}

#[test]
fn a_finding_can_not_forge_a_workflow_command() {
    let texts = texts(&[("p/x\n::set-env name=A::b", "\"\\n::error::\" = 1\n")]);
    let checked = policies::check::check(&texts, clock().now());
    let annotations = machine::annotations(&checked);
    assert_eq!(annotations.lines().count(), checked.findings.len(), "{annotations}");
}

#[test]
fn unmet_expectations_are_told_with_what_decides() {
    let rules = "[[rule]]\nname = 'a'\neffect = 'allow'\npackages = ['npm:a']\nwhen = \"age > duration('1h') && !yanked\"\n[[rule]]\nname = 'w'\neffect = 'hold'\npackages = ['npm:b']\n";
    let expects = "[[expect]]\npackage = 'npm:a@1.0.0'\nteam = 'web/shop'\nfacts = { age = '2d' }\neffect = 'allow'\n[[expect]]\npackage = 'npm:b@1.0.0'\neffect = 'deny'\nrule = 'w'\n[[expect]]\npackage = 'npm:b@1.0.0'\neffect = 'hold'\n";
    let texts = texts(&[("p/a.toml", rules), ("p/e.toml", expects)]);
    let (set, expectations) = policies::check::compile(&texts).unwrap();
    let outcomes = policies::expect::try_all(&set, &expectations, clock().now());
    insta::assert_snapshot!(test::told(&outcomes, 2, false), @r"
p/e.toml:1:1: not met: npm:a@1.0.0 for web/shop should be allowed
    got      deny: the rule a cannot allow it: nobody knows whether it is yanked
    unknown  yanked
      allow  a: names it by npm:a, but nobody knows whether age > duration('1h') && !yanked, as nobody knows whether it is yanked
p/e.toml:6:1: not met: npm:b@1.0.0 should be denied by the rule w
    got      hold: held by the rule w
    * hold   w: names it by npm:b, in every version
3 expectations: 1 met, 2 not
");
    let json = test::as_json(&outcomes, 2);
    assert_eq!(json["expectations"][0]["decision"]["missing"], serde_json::json!(["yanked"]));
    assert_eq!(json["expectations"][2]["met"], true);
    let odd = junit::document(&outcomes).unwrap();
    insta::assert_snapshot!(odd, @r#"
<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="garth policy test" tests="3" failures="2">
  <testsuite name="p/e.toml" tests="3" failures="2">
    <testcase name="npm:a@1.0.0 for web/shop should be allowed" classname="p/e.toml" file="p/e.toml" line="1">
      <failure message="the rule a cannot allow it: nobody knows whether it is yanked">npm:a@1.0.0 for web/shop should be allowed
    got      deny: the rule a cannot allow it: nobody knows whether it is yanked
    unknown  yanked
      allow  a: names it by npm:a, but nobody knows whether age &gt; duration('1h') &amp;&amp; !yanked, as nobody knows whether it is yanked</failure>
    </testcase>
    <testcase name="npm:b@1.0.0 should be denied by the rule w" classname="p/e.toml" file="p/e.toml" line="6">
      <failure message="held by the rule w">npm:b@1.0.0 should be denied by the rule w
    got      hold: held by the rule w
    * hold   w: names it by npm:b, in every version</failure>
    </testcase>
    <testcase name="npm:b@1.0.0 should be held" classname="p/e.toml" file="p/e.toml" line="10" />
  </testsuite>
</testsuites>
"#);
}
