//! What reads policies.

use ::policies::asker::Asker;
use ::policies::check::{self, Text};
use ::policies::decide::{decide, explain};
use ::policies::decision::Effect;
use ::policies::expect::try_all;
use ::policies::facts::{Facts, KnownAdvisory};
use ::policies::licence::Licence;
use ::policies::package::{Ecosystem, Package, PackageVersion};
use ::policies::rules::{Draft, Origin, Pattern, RuleSet};
use ::policies::versions::{Parsed, Range};
use jiff::{SignedDuration, Timestamp};

use super::{Behaviour, text};

pub const RULES: [&str; 34] = [
    "[[rule]]\n",
    "[[waiver]]\n",
    "[[expect]]\n",
    "name = \"a\"\n",
    "effect = \"allow\"\n",
    "effect = \"deny\"\n",
    "effect = \"hold\"\n",
    "packages = [\"npm:a\"]\n",
    "packages = [\"*\"]\n",
    "versions = \">=1\"\n",
    "when = \"yanked\"\n",
    "when = '''",
    "teams = [\"web/*\"]\n",
    "environments = [\"*\"]\n",
    "reason = \"r\"\n",
    "owner = \"o\"\n",
    "link = \"https://a.example\"\n",
    "starts = 2026-01-01\n",
    "expires = 2027-01-01\n",
    "observe = true\n",
    "waives = \"a\"\n",
    "package = \"npm:a@1.0.0\"\n",
    "facts = { age = \"10d\" }\n",
    "facts = { advisories = [{}] }\n",
    "at = 2026-01-01T00:00:00Z\n",
    "rule = \"a\"\n",
    "team = \"web/shop\"\n",
    "= ",
    "\n",
    "#",
    "[",
    "]",
    "{",
    "\"\"\"",
];

pub const PATTERNS: [&str; 20] = [
    "npm:",
    "cargo:",
    "nuget:",
    "oci:",
    "pkg:npm/",
    "pkg:cargo/",
    "pkg:nuget/",
    "pkg:oci/",
    "*",
    "@",
    "/",
    "%40",
    "%2F",
    "%252f",
    "..",
    "-",
    "_",
    ".",
    "@1.0.0",
    "?a=b#c",
];

pub const CONDITIONS: [&str; 44] = [
    "age",
    "age_here",
    "published",
    "first_seen",
    "name",
    "version",
    "ecosystem",
    "own",
    "registry",
    "licence",
    "advisories",
    "yanked",
    "size",
    "dependencies",
    "publisher",
    "similar_to",
    "duration('1h')",
    "timestamp('2026-01-01T00:00:00Z')",
    ".exists(a, a.severity > 5.0)",
    ".all(a, a.withdrawn)",
    ".startsWith('a')",
    ".matches('^a+$')",
    ".contains('')",
    "has(a.severity)",
    "licence.allowed(['MIT'])",
    "licence.denied(['family:copyleft'])",
    "size(advisories)",
    " && ",
    " || ",
    "!",
    " ? ",
    " : ",
    "(",
    ")",
    "[",
    "]",
    " in ",
    " == ",
    " < ",
    " >= ",
    "'a'",
    "1",
    "true",
    "r'\\'",
];

pub const RANGES: [&str; 24] = [
    ">=",
    "<=",
    ">",
    "<",
    "=",
    "^",
    "~",
    " || ",
    ", ",
    " - ",
    "*",
    "x",
    "1",
    "0",
    "1.2.3",
    "1.2.3-rc.1",
    "2.0.0+build",
    "[1.0,2.0)",
    "(,1.0]",
    "[1.*",
    "latest",
    "sha256:",
    "4294967296",
    "\n",
];

fn now() -> Timestamp {
    Timestamp::UNIX_EPOCH + SignedDuration::from_hours(24 * 365 * 56)
}

pub fn rules(input: &[u8]) -> Vec<u64> {
    let Some(text) = text(input) else { return Vec::new() };
    let mut behaviour = Behaviour::default();
    let texts = [Text { file: "a.toml".to_owned(), text: text.to_owned() }];
    let lines = text.split('\n').count();
    let checked = check::check(&texts, now());
    for finding in checked.findings.iter().take(20) {
        let fault = &finding.fault;
        assert!(fault.line <= lines, "line {} of {lines}: {fault}", fault.line);
        assert!(!fault.message.is_empty() && !fault.to_string().contains('\n'), "{fault:?}");
        behaviour.said(&fault.message);
    }
    match check::compile(&texts) {
        Err(faults) => assert!(!faults.is_empty() && checked.partial, "refused without a reason"),
        Ok((set, expectations)) => {
            assert!(!checked.partial, "good files have no faults");
            let again = check::compile(&texts).map(|(set, _)| set.revision().clone());
            assert_eq!(again.ok().as_ref(), Some(set.revision()), "one text, one revision");
            for outcome in try_all(&set, &expectations[..expectations.len().min(20)], now()) {
                assert!(!outcome.to_string().is_empty());
                behaviour.saw((outcome.met, outcome.explanation.decision.code));
            }
            for package in ["npm:a@1.0.0", "cargo:a_b@2.0.0-rc.1", "oci:hub/a@latest"] {
                let asked: PackageVersion = package.parse().expect("a good package");
                opens_no_more_when_less_is_known(&set, &asked, &mut behaviour);
            }
        }
    }
    behaviour.0
}

fn opens_no_more_when_less_is_known(
    set: &RuleSet,
    asked: &PackageVersion,
    behaviour: &mut Behaviour,
) {
    let licence = Licence::new(asked.package.ecosystem(), "MIT OR GPL-3.0-only");
    let advisories = [KnownAdvisory {
        id: "X-1".into(),
        severity: Some(7.5),
        fixed: vec!["2.0.0".into()],
        ..KnownAdvisory::default()
    }];
    let nothing = Facts::at(now());
    let all = Facts {
        registry: Some("npm"),
        published: Some(now() - SignedDuration::from_hours(100)),
        first_seen: Some(now() - SignedDuration::from_hours(10)),
        licence: Some(&licence),
        advisories: Some(&advisories),
        fixes_advisory: Some(true),
        deprecated: Some(false),
        yanked: Some(false),
        unlisted: Some(true),
        install_scripts: Some(true),
        provenance: Some(false),
        publisher: Some("ann"),
        publisher_changed: Some(true),
        dependencies: Some(3),
        size: Some(1000),
        similar_to: Some(""),
        description: Some("a parser"),
        repository: Some("https://git.example/x"),
        rust_version: Some("1.85"),
        ..nothing
    };
    let asker = Asker { team: Some("web/shop"), environment: Some("prod") };
    let rules = set.for_package(&asked.package);
    let full = decide(&rules, &asked.version, &all, &asker);
    let less = decide(&rules, &asked.version, &nothing, &asker);
    assert!(full.is_allowed() || !less.is_allowed(), "not knowing opened: {less:?}");
    let explained = explain(set, asked, &all, &asker);
    assert_eq!(explained.decision, full, "what is explained is what is decided");
    for decision in [&full, &less] {
        assert!(decision.until.is_none_or(|until| until > now()), "{decision:?}");
        behaviour.saw((decision.code, decision.missing.iter().count(), decision.waiver.is_some()));
    }
}

pub fn patterns(input: &[u8]) -> Vec<u64> {
    let Some(text) = text(input) else { return Vec::new() };
    let mut behaviour = Behaviour::default();
    match Pattern::parse(text) {
        Err(error) => behaviour.said(&error.to_string()),
        Ok(pattern) => {
            let shown = pattern.to_string();
            assert_eq!(
                Pattern::parse(&shown).as_ref(),
                Ok(&pattern),
                "{text:?} is shown as {shown}"
            );
            behaviour.saw(std::mem::discriminant(&pattern));
            for name in ["npm:a", "npm:@s/a", "cargo:a_b", "nuget:A.B", "oci:hub/library/a"] {
                let package: Package = name.parse().expect("a good package");
                behaviour.saw(pattern.matches(&package));
            }
            if let Pattern::One(package) = &pattern {
                assert!(pattern.matches(package), "{shown} means itself");
            }
        }
    }
    match text.parse::<Package>() {
        Err(error) => behaviour.said(&error.to_string()),
        Ok(package) => {
            let shown = package.to_string();
            assert_eq!(shown.parse::<Package>().as_ref(), Ok(&package), "{text:?}, {shown}");
            // Whatever names a package is a pattern that means it.
            let pattern = Pattern::parse(&shown);
            assert!(pattern.is_ok_and(|pattern| pattern.matches(&package)), "{shown}");
            behaviour.saw(package.ecosystem());
        }
    }
    if let Ok(asked) = text.parse::<PackageVersion>() {
        let shown = asked.to_string();
        assert_eq!(shown.parse::<PackageVersion>().as_ref(), Ok(&asked), "{text:?}, {shown}");
        behaviour.saw("version");
    }
    behaviour.0
}

pub fn conditions(input: &[u8]) -> Vec<u64> {
    let Some(text) = text(input) else { return Vec::new() };
    let mut behaviour = Behaviour::default();
    for effect in Effect::ALL {
        let draft = Draft {
            name: Some("asked".to_owned()),
            effect: Some(effect.to_string()),
            packages: vec!["*".to_owned()],
            when: Some(text.to_owned()),
            ..Draft::default()
        };
        let open = Draft {
            name: Some("open".to_owned()),
            effect: Some("allow".to_owned()),
            packages: vec!["*".to_owned()],
            ..Draft::default()
        };
        let origin = || Origin::Api { by: "fuzz".into(), at: Timestamp::UNIX_EPOCH };
        let rule = match draft.check(origin()) {
            Ok(rule) => rule,
            Err(complaints) => {
                for complaint in &complaints {
                    assert!(complaint.at <= text.len(), "{complaint:?}");
                    behaviour.said(&complaint.message);
                }
                assert!(!complaints.is_empty(), "refused without a reason");
                continue;
            }
        };
        let mut rules = vec![rule];
        if effect != Effect::Allow {
            rules.extend(open.check(origin()).ok());
        }
        let set = RuleSet::compile(rules).expect("two names");
        for finding in set.findings(now()) {
            behaviour.saw(finding.code);
        }
        for package in ["npm:a@1.0.0", "cargo:a-b@junk"] {
            let asked: PackageVersion = package.parse().expect("a good package");
            opens_no_more_when_less_is_known(&set, &asked, &mut behaviour);
        }
    }
    behaviour.0
}

/// The first line is a range, each other one a version.
pub fn ranges(input: &[u8]) -> Vec<u64> {
    let Some(text) = text(input) else { return Vec::new() };
    let mut behaviour = Behaviour::default();
    let mut lines = text.lines();
    let range = lines.next().unwrap_or_default();
    let versions: Vec<&str> = lines.take(8).chain(["1.0.0", "1.2.3-rc.1"]).collect();
    for ecosystem in Ecosystem::ALL {
        let parsed = match Range::parse(ecosystem, range) {
            Ok(parsed) => parsed,
            Err(error) => {
                behaviour.said(&error.why);
                continue;
            }
        };
        for text in &versions {
            let Some(version) = Parsed::new(ecosystem, text) else {
                behaviour.saw("unreadable");
                continue;
            };
            let (narrow, wide) = (parsed.allows(&version), parsed.covers(&version));
            assert!(wide || !narrow, "{ecosystem} {range:?} allows {text} and does not cover it");
            assert!(
                !narrow || !parsed.is_empty(),
                "{ecosystem} {range:?} is empty and holds {text}"
            );
            assert!(
                version.compare(&version) == Some(std::cmp::Ordering::Equal),
                "{ecosystem} {text} is not itself"
            );
            behaviour.saw((ecosystem, narrow, wide, version.is_prerelease()));
        }
    }
    behaviour.0
}
