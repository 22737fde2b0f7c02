#![allow(clippy::unwrap_used)]

use super::*;

const GOOD: &str = r#"
[[rule]]
name     = "frontend-basics"
effect   = "allow"
packages = ["npm:react", "npm:@types/*"]
versions = ">=18"
reason   = "ADR-12"
expires  = 2027-01-01

[[rule]]
name     = "no-crates"
effect   = "deny"
packages = ["cargo:*"]
expires  = 2027-01-01T12:00:00+02:00
"#;

fn faults(text: &str) -> String {
    let faults = parse("policies/a.toml", text).expect_err("the text is faulty");
    faults.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

#[test]
fn a_good_file_gives_its_rules() {
    let rules = parse("a.toml", GOOD).unwrap();
    let [first, second] = rules.as_slice() else { panic!("two rules") };
    assert_eq!(&*first.name, "frontend-basics");
    assert_eq!(first.effect, Effect::Allow);
    assert_eq!(first.patterns.len(), 2);
    assert_eq!(first.reason.as_deref(), Some("ADR-12"));
    assert_eq!(first.expires.unwrap().to_string(), "2027-01-01T00:00:00Z");
    assert_eq!(first.origin, Origin::File { file: "a.toml".into(), line: 2, column: 1 });
    assert_eq!(second.expires.unwrap().to_string(), "2027-01-01T10:00:00Z");
    assert!(parse("empty.toml", "").unwrap().is_empty());
}

#[test]
fn every_fault_is_told_at_once_with_its_place() {
    insta::assert_snapshot!(faults(r#"
[[rule]]
nmae = "x"
effect = "alow"
packages = ["npm:react", "react", 5, "npm:../x"]
versions = "latest"
reason = "a\u001b[31m"
expires = 2027-01-01T00:00:00

[[rule]]
name = 7
effect = "deny"
packages = "npm:react"
when = "age < duration('7d') || nmae == 'x'"
teams = ["web/*", "we b"]
environments = []
link = "wiki"
starts = 5
observe = "yes"
waives = "x"
zzz = 1

[[rule]]
name = "no packages!"
effect = "hold"

[[rules]]

[[waiver]]
name = "w"
effect = "deny"
packages = ["npm:x"]
waives = "no such name"

[[waiver]]
name = "w2"
packages = ["npm:x"]
owner = "ann"
expires = 2027-01-01
when = '''
  yanked &&
  nmae == 'x''''
"#), @r#"
policies/a.toml:3:1: `nmae` is no key of a rule; did you mean `name`?
policies/a.toml:4:10: "alow" is no effect; did you mean "allow"?
policies/a.toml:5:26: "react" is no package pattern: the ecosystem is missing, as in npm:react; write it as npm:react, npm:react@^18, npm:@types/*, npm:* or *
policies/a.toml:5:35: a package is a string, this is a number; write "npm:react"
policies/a.toml:5:38: "npm:../x" is no package pattern: a name has no `..`; write it as npm:react, npm:react@^18, npm:@types/*, npm:* or *
policies/a.toml:6:12: `latest` is no npm version range: `latest` is no version; write a range as npm does, like ^1.2 || >=3 <4, and one rule for each ecosystem
policies/a.toml:7:10: the reason has a control or direction character in it; write one line of plain text
policies/a.toml:8:11: "2027-01-01T00:00:00" is no date and no time with its zone; write 2027-01-01 or 2027-01-01T12:00:00Z
policies/a.toml:11:8: `name` is a string, this is a number; write name = "…"
policies/a.toml:13:12: `packages` is a list of strings, this is "npm:react"; write packages = ["npm:react"]
policies/a.toml:14:24: "7d" is not a duration; CEL has no days: write duration('168h')
policies/a.toml:14:33: there is no fact "nmae"; did you mean `name`?
policies/a.toml:15:19: "we b" can not be used here; write a team as web/shop, and all teams of a unit as web/*
policies/a.toml:16:16: `environments` is empty, so the rule would speak of nobody; leave `environments` out to mean all
policies/a.toml:17:8: "wiki" is no address of a page; write it as https://wiki.example.com/adr-12
policies/a.toml:18:10: `starts` is a date, this is a number; write starts = 2027-01-01
policies/a.toml:19:11: `observe` is true or false, this is "yes"; write observe = true
policies/a.toml:20:1: `waives` is no key of a rule; write it into a [[waiver]]
policies/a.toml:21:1: `zzz` is no key of a rule; a rule has name, effect, packages, versions, when, teams, environments, reason, owner, link, starts, expires, observe
policies/a.toml:23:1: the rule names no packages; list them, as in packages = ["npm:react", "npm:@types/*"]
policies/a.toml:24:8: "no packages!" is no name for a rule; use up to 100 letters, digits, `-`, `_` and `.`, beginning with a letter or digit
policies/a.toml:27:3: `rules` is no key of a policy file; did you mean [[rule]]?
policies/a.toml:31:1: `effect` is no key of a waiver; a waiver has name, waives, packages, versions, when, teams, environments, reason, owner, link, starts, expires
policies/a.toml:33:10: "no such name" is no name of a rule; name the deny that it lifts
policies/a.toml:35:1: the waiver lifts nothing; name a deny, as in waives = "no-gpl"
policies/a.toml:42:3: there is no fact "nmae"; did you mean `name`?
"#);
}

#[test]
fn broken_toml_is_told_with_its_place() {
    insta::assert_snapshot!(faults("[[rule]]\nname = \"x\"\neffect = allow\npackages = [\n"), @r#"
policies/a.toml:3:10: this is not TOML: string values must be quoted, expected literal string; mend the syntax
policies/a.toml:4:13: this is not TOML: unclosed array, expected `]`; mend the syntax
"#);
}

#[test]
fn two_rules_of_one_name_are_a_fault_even_between_files() {
    let mut rules = parse("a.toml", GOOD).unwrap();
    rules.extend(parse("b.toml", GOOD).unwrap());
    let faults = RuleSet::compile(rules).unwrap_err();
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "b.toml:2:1: the name `frontend-basics` is taken by a.toml:2; give each rule a name of its own",
            "b.toml:10:1: the name `no-crates` is taken by a.toml:10; give each rule a name of its own",
        ]
    );
}

#[test]
fn sizes_are_bounded() {
    assert!(faults(&" ".repeat(MAX_FILE + 1)).contains("more than"));
    let many = "[[rule]]\n".repeat(MAX_RULES + 1);
    assert!(faults(&many).contains("rules are more than"));
    // A file that is wrong all over gets a page of faults, not a library.
    assert!(faults(&"[[rule]]\n".repeat(1000)).lines().count() <= 100);
    let long = format!(
        "[[rule]]\nname = \"{}\"\neffect = \"deny\"\npackages = [\"npm:{}\"]\nreason = \"{0}\"\n",
        "n".repeat(600),
        "x".repeat(600)
    );
    let told = faults(&long);
    assert!(
        told.contains("no name for a rule")
            && told.contains("no package pattern")
            && told.contains("reason is longer"),
        "{told}"
    );
}

#[test]
fn the_revision_names_what_the_rules_say_and_not_how_they_lie() {
    let revision =
        |text: &str| RuleSet::compile(parse("a.toml", text).unwrap()).unwrap().revision().clone();
    let base = revision(GOOD);
    assert_eq!(base.as_str().len(), 16);
    let (front, back) = GOOD.split_at(GOOD.rfind("[[rule]]").unwrap());
    assert_eq!(revision(&format!("{back}\n{front}")), base);
    assert_eq!(revision(&GOOD.replace("npm:@types/*", "pkg:npm/%40types/*")), base);
    for (from, to) in [
        ("ADR-12", "ADR-13"),
        (">=18", ">=17"),
        ("\"deny\"", "\"hold\""),
        ("2027-01-01\n", "2027-01-02\n"),
        ("cargo:*", "nuget:*"),
        ("no-crates", "no-crate"),
    ] {
        assert_ne!(revision(&GOOD.replace(from, to)), base, "{from} → {to}");
    }
    assert_ne!(RuleSet::empty().revision(), RuleSet::unavailable("x").revision());
}

#[test]
fn a_range_is_read_in_every_ecosystem_that_the_rule_names() {
    let rule = |packages: &str, versions: &str| {
        format!("[[rule]]\nname='r'\neffect='deny'\npackages={packages}\nversions='{versions}'\n")
    };
    assert!(parse("a", &rule("['npm:x', 'cargo:x']", "^1.2")).is_ok());
    assert!(parse("a", &rule("['npm:x']", "^1 || ^2")).is_ok());
    assert!(faults(&rule("['npm:x', 'cargo:x']", "^1 || ^2")).contains("no cargo version range"));
    assert!(faults(&rule("['*']", ">=1 <2")).contains("no oci version range"));
}

#[test]
fn only_rules_that_name_the_package_are_looked_at() {
    let rules = RuleSet::compile(parse("a.toml", GOOD).unwrap()).unwrap();
    let names = |package: &str| -> Vec<String> {
        rules
            .for_package(&package.parse().unwrap())
            .iter()
            .map(|rule| rule.name.to_string())
            .collect()
    };
    assert_eq!(names("npm:react"), ["frontend-basics"]);
    assert_eq!(names("npm:@types/node"), ["frontend-basics"]);
    assert_eq!(names("npm:@types-evil/node"), Vec::<String>::new());
    assert_eq!(names("cargo:serde"), ["no-crates"]);
}

#[test]
fn the_starter_policies_are_good_files() {
    for (name, text) in crate::rules::DEFAULTS {
        RuleSet::compile(parse(name, text).unwrap_or_else(|faults| panic!("{faults:?}"))).unwrap();
        assert!(text.starts_with("# "), "{name} says first what it is for");
    }
    let alternatives = ["allowlist.toml", "open.toml"];
    for other in alternatives {
        let together = crate::rules::DEFAULTS.iter().filter(|(name, _)| *name != other);
        let rules = together.flat_map(|(name, text)| parse(name, text).unwrap()).collect();
        RuleSet::compile(rules).unwrap_or_else(|faults| panic!("without {other}: {faults:?}"));
    }
}

/// Nothing of what was published here is refused for what only an upstream could be asked, and what
/// is not known yet keeps nobody from working.
#[test]
fn the_starter_policies_refuse_what_they_say_and_nothing_else() {
    use crate::asker::Asker;
    use crate::decide::decide;
    use crate::facts::{Comparison, Facts, KnownAdvisory};
    use crate::licence::Licence;
    use crate::package::Version;

    let now: Timestamp = "2026-06-01T00:00:00Z".parse().unwrap();
    let day = |day: &str| Some(format!("{day}T00:00:00Z").parse().unwrap());
    let (mit, gpl) =
        (Licence::new(Ecosystem::Npm, "MIT"), Licence::new(Ecosystem::Npm, "GPL-3.0-only"));
    let see = Licence::new(Ecosystem::Npm, "SEE LICENSE IN LICENSE");
    let hole = [KnownAdvisory { id: "a".into(), severity: Some(9.8), ..KnownAdvisory::default() }];
    let good = Facts {
        published: day("2026-01-01"),
        licence: Some(&mit),
        similar_to: Some(""),
        ..Facts::at(now)
    };
    let rows = [
        ("settle.toml", "let-it-settle", Facts { published: day("2026-05-30"), ..good }),
        ("settle.toml", "let-it-settle", Facts { published: None, ..good }),
        ("no-known-critical.toml", "no-known-critical", Facts { advisories: Some(&hole), ..good }),
        (
            "no-malicious.toml",
            "no-contradictions",
            Facts { compared: Some(Comparison::Contradicts), ..good },
        ),
        ("licences.toml", "licences", Facts { licence: Some(&gpl), ..good }),
        ("licences.toml", "licences-unknown", Facts { licence: None, ..good }),
        ("licences.toml", "licences-unknown", Facts { licence: Some(&see), ..good }),
        ("no-look-alikes.toml", "no-look-alikes", Facts { similar_to: Some("express"), ..good }),
    ];
    let decided = |file: &str, package: &str, facts: &Facts<'_>| {
        let (_, text) = crate::rules::DEFAULTS.iter().find(|(name, _)| *name == file).unwrap();
        let open = "[[rule]]\nname = 'all'\neffect = 'allow'\npackages = ['*']\n";
        let rules = [parse(file, text).unwrap(), parse("open", open).unwrap()].concat();
        let set = RuleSet::compile(rules).unwrap();
        let package = package.parse().unwrap();
        let version = Version::new("1.0.0").unwrap();
        let decision = decide(&set.for_package(&package), &version, facts, &Asker::default());
        (decision.is_allowed(), decision.rule.unwrap_or_default().to_string())
    };
    for (file, rule, facts) in &rows {
        assert_eq!(decided(file, "npm:x", facts), (false, (*rule).to_owned()), "{file}");
        assert!(decided(file, "npm:x", &good).0, "{file}");
    }
    let similar = Facts { similar_to: Some("serde"), ..good };
    assert!(!decided("no-look-alikes.toml", "cargo:x", &similar).0, "of crates, too");
    let fixing = Facts { published: day("2026-05-30"), fixes_advisory: Some(true), ..good };
    assert!(decided("settle.toml", "npm:x", &fixing).0);
    let own = Facts { own: true, published: day("2026-05-31"), ..Facts::at(now) };
    for (file, _) in crate::rules::DEFAULTS {
        assert!(decided(file, "npm:@example-corp/ui", &own).0, "{file}");
    }
    let theirs = decided("own-names.toml", "npm:@example-corp/ui", &good);
    assert_eq!(theirs, (false, "own-names-from-here".to_owned()));
}

#[test]
fn every_field_is_in_the_revision() {
    let revision = |text: &str| {
        let text = format!(
            "[[waiver]]\nname = 'w'\nwaives = 'r'\npackages = ['npm:x']\nreason = 'y'\nowner = 'ann'\nexpires = 2027-01-01\n\n[[rule]]\nname = 'r'\neffect = 'deny'\npackages = ['npm:x']\n{text}\n"
        );
        RuleSet::compile(parse("a.toml", &text).unwrap()).unwrap().revision().clone()
    };
    let mut revisions: Vec<Revision> = [
        "",
        "when = 'yanked'",
        "when = 'deprecated'",
        "teams = ['web/a']",
        "teams = ['web/*']",
        "environments = ['web']",
        "environments = ['a', 'b']",
        "reason = 'a'",
        "owner = 'a'",
        "link = 'https://a.example'",
        "starts = 2026-01-01",
        "expires = 2026-01-01",
        "observe = true",
        "versions = '1'",
    ]
    .into_iter()
    .map(revision)
    .collect();
    let count = revisions.len();
    revisions.sort_by(|a, b| a.as_str().cmp(b.as_str()));
    revisions.dedup();
    assert_eq!(revisions.len(), count);
    assert_eq!(revision("teams = ['b', 'a']"), revision("teams = ['a/*', 'b']"));
    assert_eq!(revision("observe = false"), revision(""));
}

#[test]
fn hundreds_of_teams_are_one_audience_where_no_rule_tells_them_apart() {
    let rules = r#"
        [[rule]]
        name = "all"
        effect = "allow"
        packages = ["npm:*"]
        [[rule]]
        name = "web"
        effect = "deny"
        packages = ["npm:react", "npm:@types/*"]
        teams = ["web/*"]
        [[rule]]
        name = "shop"
        effect = "hold"
        packages = ["npm:react"]
        teams = ["web/t7"]
    "#;
    let set = RuleSet::compile(parse("a.toml", rules).unwrap()).unwrap();
    let audiences = |package: &str| {
        let package: Package = package.parse().unwrap();
        let teams: Vec<String> =
            (0..500).map(|n| format!("{}/t{n}", ["web", "ops"][n % 2])).collect();
        let known = teams.iter().map(|team| Asker { team: Some(team), environment: None });
        let askers = known.chain([Asker::default()]);
        askers.map(|asker| set.audience(&package, &asker)).collect::<HashSet<_>>()
    };
    assert_eq!(audiences("npm:left-pad"), HashSet::from([Audience::EVERYBODY]));
    assert_eq!(audiences("npm:@types/node").len(), 3, "of web, others, and who is not known");
    assert_eq!(audiences("npm:react").len(), 3, "there is no web/t7 among them");
    assert!(set.tells_askers_apart());
    assert!(!RuleSet::empty().tells_askers_apart());
}

#[test]
fn own_names_and_names_that_are_allowed_one_by_one_are_what_others_resemble() {
    let set = |when: &str| {
        let text = format!(
            "[[rule]]\nname = 'a'\neffect = 'allow'\npackages = ['npm:expresss', 'npm:acme-*']\n\
             [[rule]]\nname = 'd'\neffect = 'deny'\npackages = ['npm:lodahs']\nwhen = \"{when}\""
        );
        RuleSet::compile(parse("a.toml", &text).unwrap()).unwrap()
    };
    let own: Arc<[String]> = Arc::new(["@acme/ui".to_owned()]);
    let asking = set("similar_to != ''");
    let before = asking.revision().clone();
    let asking = asking.with_own_names(Arc::clone(&own));
    for (name, looks_like) in
        [("expresss", ""), ("lodahs", "lodash"), ("acme-ui", "@acme/ui"), ("@acme/x", "")]
    {
        let package = Package::new(Ecosystem::Npm, name).unwrap();
        assert_eq!(asking.similar_to(&package), Some(looks_like), "{name}");
    }
    assert_ne!(*asking.revision(), before, "another name is another answer");
    let silent = set("deprecated");
    let before = silent.revision().clone();
    assert_eq!(*silent.with_own_names(own).revision(), before, "nobody asks");
}

#[test]
fn a_rule_says_which_facts_its_condition_asks_for() {
    let asks = |when: &str| {
        let text = format!(
            "[[rule]]\nname = 'a'\neffect = 'deny'\npackages = ['npm:*']\nwhen = \"{when}\""
        );
        let set = RuleSet::compile(parse("a.toml", &text).unwrap()).unwrap();
        let of_package = set.for_package(&Package::new(Ecosystem::Npm, "x").unwrap()).asks();
        assert!(
            Fact::ALL
                .iter()
                .all(|fact| { set.asks_for(*fact) == of_package.meets(Missing::one(*fact)) })
        );
        of_package.iter().map(Fact::name).collect::<Vec<_>>().join(" ")
    };
    for (when, facts) in [
        ("name == 'x' && own", ""),
        ("age < duration('1h')", "published"),
        ("age_here < duration('1h') || !has(contradicts)", "first_seen contradicts"),
        ("advisories.exists(a, a.severity > 9.0 && deprecated)", "advisories deprecated"),
        ("licence.denied(['MIT']) || licence.text.contains('x')", "licence"),
        ("yanked ? publisher in ['a', similar_to] : size > 7", "yanked publisher size similar_to"),
    ] {
        assert_eq!(asks(when), facts, "{when}");
    }
}
