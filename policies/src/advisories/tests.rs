#![allow(clippy::unwrap_used)]

mod properties;

use super::*;
use crate::decide::decide;
use crate::decision::{DecisionCode, Effect};
use crate::facts::Facts;
use crate::package::Version;
use crate::rules::{RuleSet, parse as parse_rules};
use crate::versions::compare;

fn record(ecosystem: &str, affected: &str) -> Vec<u8> {
    format!(
        r#"{{ "schema_version": "1.7.4", "id": "GHSA-aaaa-bbbb-cccc", "modified": "2026-01-02T03:04:05Z",
             "affected": [{{ "package": {{ "ecosystem": "{ecosystem}", "name": "left-pad" }}, {affected} }}] }}"#
    )
    .into_bytes()
}

fn range(kind: &str, events: &str) -> String {
    format!(r#""ranges": [{{ "type": "{kind}", "events": [{events}] }}]"#)
}

fn affected(ecosystem: &str, affected: &str) -> Affected {
    let parsed = parse(&record(ecosystem, affected)).unwrap();
    parsed.advisory.affected.into_iter().next().unwrap()
}

/// A name, the ecosystem, what is affected, and versions that are and that are not.
type Row = (&'static str, &'static str, String, &'static [&'static str], &'static [&'static str]);

#[test]
#[allow(clippy::too_many_lines, reason = "a table")]
fn versions_are_affected_as_the_specification_says() {
    let introduced_fixed = r#"{ "introduced": "1.0.0" }, { "fixed": "1.0.2" }, { "introduced": "3.0.0" }, { "fixed": "3.2.5" }"#;
    let unsorted = r#"{ "fixed": "3.2.5" }, { "introduced": "3.0.0" }, { "fixed": "1.0.2" }, { "introduced": "1.0.0" }"#;
    let rows: [Row; 21] = [
        (
            "unfixed",
            "npm",
            range("SEMVER", r#"{ "introduced": "0" }"#),
            &["0.0.0-a", "0.0.1", "99.0.0"],
            &[],
        ),
        (
            "fixed",
            "npm",
            range("SEMVER", r#"{ "introduced": "0" }, { "fixed": "1.0.2" }"#),
            &["0.0.0-a", "1.0.1", "1.0.2-rc.1"],
            &["1.0.2", "1.0.3-a", "2.0.0", "1.0.2+build"],
        ),
        (
            "several",
            "npm",
            range("SEMVER", introduced_fixed),
            &["1.0.0", "1.0.1", "3.0.0", "3.2.4"],
            &["0.9.0", "1.0.0-rc.1", "1.0.2", "2.0.0", "3.2.5"],
        ),
        (
            "unsorted",
            "npm",
            range("SEMVER", unsorted),
            &["1.0.1", "3.2.4"],
            &["0.9.0", "1.0.2", "3.2.5"],
        ),
        (
            "last affected",
            "crates.io",
            range("ECOSYSTEM", r#"{ "introduced": "0" }, { "last_affected": "2.1.214" }"#),
            &["0.1.0", "2.1.214", "2.1.214+x"],
            &["2.1.215", "3.0.0", "2.1.215-a"],
        ),
        (
            "one version, its end named first",
            "npm",
            range("SEMVER", r#"{ "last_affected": "1.0.0" }, { "introduced": "1.0.0" }"#),
            &["1.0.0"],
            &["0.9.9", "1.0.1"],
        ),
        (
            "introduced where it was fixed",
            "npm",
            range(
                "SEMVER",
                r#"{ "introduced": "0" }, { "fixed": "1.0.0" }, { "introduced": "1.0.0" }, { "fixed": "1.1.0" }"#,
            ),
            &["0.9.0", "1.0.0", "1.0.9"],
            &["1.1.0"],
        ),
        (
            "fixed where it was introduced",
            "npm",
            range("SEMVER", r#"{ "introduced": "1.0.0" }, { "fixed": "1.0.0" }"#),
            &[],
            &["0.9.0", "1.0.0", "1.0.1"],
        ),
        (
            "limits",
            "npm",
            range("SEMVER", r#"{ "introduced": "0" }, { "limit": "1.0.0" }, { "limit": "2.0.0" }"#),
            &["0.1.0", "1.5.0"],
            &["2.0.0", "3.0.0"],
        ),
        (
            "no limit",
            "npm",
            range("SEMVER", r#"{ "introduced": "0" }, { "limit": "1.0.0" }, { "limit": "*" }"#),
            &["9.0.0"],
            &[],
        ),
        (
            "listed",
            "npm",
            r#""versions": ["1.0.0", "1.2.0"]"#.to_owned(),
            &["1.0.0", "v1.2.0"],
            &["1.1.0"],
        ),
        (
            "listed and in a range",
            "npm",
            format!(
                r#"{}, "versions": ["9.0.0"]"#,
                range("SEMVER", r#"{ "introduced": "1.0.0" }, { "fixed": "2.0.0" }"#)
            ),
            &["1.5.0", "9.0.0"],
            &["2.0.0"],
        ),
        (
            "NuGet's own order",
            "NuGet",
            range("ECOSYSTEM", r#"{ "introduced": "1.0" }, { "fixed": "1.0.0.5" }"#),
            &["1.0.0", "1.0.0.4", "01.0"],
            &["1.0.0.5", "1.0.0-RC", "2"],
        ),
        (
            "NuGet's listed",
            "NuGet",
            r#""versions": ["1.0"]"#.to_owned(),
            &["1.0.0.0", "1.0.0+x"],
            &["1.0.1"],
        ),
        (
            "commits say nothing of versions",
            "npm",
            range("GIT", r#"{ "introduced": "0" }"#),
            &[],
            &["1.0.0"],
        ),
        (
            "limits and no unsorted beginning",
            "npm",
            range(
                "SEMVER",
                r#"{ "limit": "2.0.0" }, { "fixed": "1.5.0" }, { "introduced": "1.0.0" }"#,
            ),
            &["1.0.0", "1.4.9", "1.5.0-rc.1"],
            &["0.9.0", "1.0.0-rc.1", "1.5.0", "2.0.0"],
        ),
        (
            "a beginning that is a prerelease",
            "crates.io",
            range("SEMVER", r#"{ "introduced": "0.0.0-0" }, { "fixed": "1.0.0-beta.2" }"#),
            &["0.0.0-0", "0.0.1", "1.0.0-alpha", "1.0.0-beta.1"],
            &["1.0.0-beta.2", "1.0.0-beta.10", "1.0.0"],
        ),
        (
            "commits beside versions",
            "npm",
            format!(
                r#""ranges": [{}, {}]"#,
                r#"{ "type": "GIT", "repo": "https://git.example/x", "events": [{ "introduced": "0" }] }"#,
                r#"{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "1.0.0" }] }"#
            ),
            &["0.9.0"],
            &["1.0.0"],
        ),
        (
            "a part of an ecosystem, which may be ours",
            "npm:https://registry.example",
            range("SEMVER", r#"{ "introduced": "0" }, { "fixed": "1.0.0" }"#),
            &["0.9.0"],
            &["1.0.0"],
        ),
        (
            "a version that can not be read",
            "npm",
            range("SEMVER", r#"{ "introduced": "1.0.0" }, { "fixed": "1.0.2" }"#),
            &["rubbish", "1.0"],
            &[],
        ),
        (
            "bounds that can not be read",
            "npm",
            range("SEMVER", r#"{ "introduced": "x" }, { "fixed": "y" }"#),
            &["0.0.1", "9.0.0"],
            &[],
        ),
    ];
    for (name, ecosystem, text, are, are_not) in rows {
        let affected = affected(ecosystem, &text);
        for version in are {
            assert!(affected.includes(version), "{name}: {version} is affected");
        }
        for version in are_not {
            assert!(!affected.includes(version), "{name}: {version} is not affected");
        }
    }
}

#[test]
fn a_range_without_a_beginning_begins_with_the_first_version() {
    assert!(affected("npm", &range("SEMVER", r#"{ "fixed": "2.0.0" }"#)).includes("1.0.0"));
}

#[test]
fn a_record_says_what_it_is() {
    let text = br#"{
        "schema_version": "1.6.0", "id": "GHSA-aaaa-bbbb-cccc", "aliases": ["CVE-2026-1"],
        "modified": "2026-01-02T03:04:05.678Z", "published": "2025-01-01T00:00:00Z",
        "summary": "A hole\nin \u001b[31mleft-pad", "details": "Long.", "unheard-of": [1, {}],
        "severity": [{ "type": "CVSS_V3", "score": "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H" },
                     { "type": "Ubuntu", "score": "low" }],
        "affected": [
            { "package": { "ecosystem": "npm", "name": "left-pad", "purl": "pkg:npm/left-pad" },
              "ranges": [{ "type": "SEMVER", "events": [{ "introduced": "0" }, { "fixed": "1.2.0" }] }] },
            { "package": { "ecosystem": "NuGet", "name": "Left.Pad" }, "versions": ["1.0"],
              "severity": [{ "type": "CVSS_V4", "score": "CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:L/VI:N/VA:N/SC:N/SI:N/SA:N" }] },
            { "package": { "ecosystem": "PyPI", "name": "left-pad" } },
            { "package": { "ecosystem": "npm", "name": "../left-pad" } },
            { "ranges": [] }
        ],
        "references": [{ "type": "WEB", "url": "https://a.example/x" }, { "type": "ADVISORY", "url": "https://b.example/y" }],
        "database_specific": { "severity": "LOW", "cwe_ids": ["CWE-79", "rubbish"], "nvd": null }
    }"#;
    let parsed = parse(text).unwrap();
    assert_eq!(parsed.ignored, 3);
    let advisory = parsed.advisory;
    assert_eq!(advisory.summary, "A hole in [31mleft-pad");
    assert_eq!(advisory.aliases, ["CVE-2026-1"]);
    assert_eq!(advisory.url.as_deref(), Some("https://b.example/y"));
    assert_eq!(advisory.cwes, ["CWE-79"]);
    assert!(!advisory.malicious && advisory.withdrawn.is_none());
    let [npm, nuget] = advisory.affected.as_slice() else { panic!("{advisory:?}") };
    assert_eq!((npm.package.to_string(), npm.severity), ("npm:left-pad".to_owned(), Some(9.8)));
    assert_eq!(
        (nuget.package.to_string(), nuget.severity),
        ("nuget:left.pad".to_owned(), Some(6.9))
    );
}

#[test]
fn how_bad_it_is_comes_from_a_vector_else_from_the_most_that_the_word_can_mean() {
    let rows: [(&str, &str, &str, Option<f64>); 8] = [
        (
            "a vector",
            r#"{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:H/I:H/A:H"}"#,
            "LOW",
            Some(9.8),
        ),
        ("a word", "", "HIGH", Some(8.9)),
        ("another word", "", "MODERATE", Some(6.9)),
        ("the worst word", "", "CRITICAL", Some(10.0)),
        ("a broken vector", r#"{"type":"CVSS_V3","score":"CVSS:3.1/AV:X"}"#, "LOW", Some(3.9)),
        (
            "an old vector alone",
            r#"{"type":"CVSS_V2","score":"AV:L/AC:M/Au:N/C:N/I:P/A:C"}"#,
            "?",
            None,
        ),
        ("nothing", "", "?", None),
        (
            "two vectors",
            r#"{"type":"CVSS_V3","score":"CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:U/C:N/I:N/A:L"},
               {"type":"CVSS_V4","score":"CVSS:4.0/AV:N/AC:L/AT:N/PR:N/UI:N/VC:H/VI:H/VA:H/SC:N/SI:N/SA:N"}"#,
            "LOW",
            Some(9.3),
        ),
    ];
    for (name, vectors, word, expected) in rows {
        let text = format!(
            r#"{{ "id": "GHSA-1", "modified": "2026-01-01T00:00:00Z", "severity": [{vectors}],
                 "affected": [{{ "package": {{ "ecosystem": "npm", "name": "a" }} }}],
                 "database_specific": {{ "severity": "{word}" }} }}"#
        );
        assert_eq!(
            parse(text.as_bytes()).unwrap().advisory.affected[0].severity,
            expected,
            "{name}"
        );
    }
    assert_eq!(rating(Some(9.0)), Rating::Critical);
    assert_eq!(rating(Some(0.0)), Rating::Info);
    assert_eq!(rating(None), Rating::High);
}

#[test]
fn what_was_made_to_do_harm_is_told_from_a_mistake() {
    let rows = [
        (r#""id": "MAL-2026-1""#, true),
        (r#""id": "GHSA-1", "aliases": ["CVE-2026-1", "MAL-2026-1"]"#, true),
        (r#""id": "GHSA-1", "database_specific": { "cwe_ids": ["CWE-506"] }"#, true),
        (r#""id": "X-1", "database_specific": { "malicious-packages-origins": [{}] }"#, true),
        (r#""id": "GHSA-1", "database_specific": { "cwe_ids": ["CWE-79"] }"#, false),
        (r#""id": "GHSA-1", "database_specific": { "cwe_ids": "CWE-506", "severity": 7 }"#, false),
        (r#""id": "GHSA-1", "database_specific": "malicious""#, false),
        (
            r#""id": "RUSTSEC-1", "affected": [{ "database_specific": { "categories": ["malicious"] } }]"#,
            true,
        ),
        (
            r#""id": "RUSTSEC-1", "affected": [{ "database_specific": { "categories": ["code-execution"] } }]"#,
            false,
        ),
        (
            r#""id": "RUSTSEC-1", "affected": [{ "database_specific": { "categories": "malicious" } }]"#,
            false,
        ),
    ];
    for (fields, expected) in rows {
        let text = format!(r#"{{ {fields}, "modified": "2026-01-01T00:00:00Z" }}"#);
        assert_eq!(parse(text.as_bytes()).unwrap().advisory.malicious, expected, "{fields}");
    }
}

/// What is shown to people carries nothing that a terminal obeys.
#[test]
fn versions_are_kept_without_control_characters() {
    let text = format!(
        r#"{}, "versions": ["1.0.0\u001b[31m"]"#,
        range("SEMVER", r#"{ "introduced": "0" }, { "fixed": "2.0.0\u202e\n" }"#)
    );
    let affected = affected("npm", &text);
    assert_eq!(affected.versions, ["1.0.0?[31m"]);
    assert_eq!(affected.fixed().collect::<Vec<_>>(), ["2.0.0??"]);
    assert!(affected.includes("3.0.0"), "a fix that is no version fixes nothing");
}

#[test]
fn a_text_that_is_no_record_is_refused_within_bounds() {
    let aliases = vec!["\"A-1\""; MAX_ALIASES + 1].join(",");
    let events = vec![r#"{"fixed":"1.0.0"}"#; MAX_EVENTS + 1].join(",");
    let long = format!(r#"{{"introduced":"{}"}}"#, "1".repeat(300));
    let modified = r#""modified": "2026-01-01T00:00:00Z""#;
    let rows = [
        ("nothing", Vec::new()),
        ("no JSON", b"{".to_vec()),
        ("no id", format!("{{ {modified} }}").into_bytes()),
        ("an id of more than one line", format!(r#"{{ "id": "A\n-1", {modified} }}"#).into_bytes()),
        ("no date", br#"{ "id": "A-1" }"#.to_vec()),
        ("another date", br#"{ "id": "A-1", "modified": "yesterday" }"#.to_vec()),
        (
            "many aliases",
            format!(r#"{{ "id": "A-1", {modified}, "aliases": [{aliases}] }}"#).into_bytes(),
        ),
        ("many events", record("npm", &range("SEMVER", &events))),
        ("a long version", record("npm", &range("SEMVER", &long))),
        ("deep", [br#"{"id":"A-1","x":"#.to_vec(), b"[".repeat(100_000)].concat()),
        ("too large", vec![b' '; MAX_RECORD + 1]),
    ];
    for (name, text) in rows {
        assert!(parse(&text).is_err(), "{name}");
    }
}

fn index(records: &[&[u8]]) -> Index {
    let mut builder = Builder::default();
    for record in records {
        builder.add(&parse(record).unwrap().advisory, true);
    }
    builder.finish("r1", &[Ecosystem::Npm])
}

const MALICIOUS: &[u8] = br#"{ "id": "MAL-2026-7", "modified": "2026-01-01T00:00:00Z",
    "affected": [{ "package": { "ecosystem": "npm", "name": "left-pad" }, "versions": ["1.3.1"] }] }"#;

#[test]
fn an_index_answers_for_each_version_of_a_package() {
    let hole = record("npm", &range("SEMVER", r#"{ "introduced": "0" }, { "fixed": "1.2.0" }"#));
    let index = index(&[&hole, MALICIOUS]);
    assert_eq!((index.len(), index.packages(), index.ecosystems()), (2, 1, &[Ecosystem::Npm][..]));
    let known = index.of(&"npm:left-pad".parse().unwrap()).unwrap();
    let ids = |version: &str| -> Vec<String> {
        known.affecting(version).iter().map(|advisory| advisory.id.to_string()).collect()
    };
    assert_eq!(ids("1.1.0"), ["GHSA-aaaa-bbbb-cccc"]);
    assert_eq!(ids("1.3.1"), ["MAL-2026-7"]);
    assert_eq!(ids("1.3.0"), Vec::<String>::new());
    assert!(known.fixed_by("1.2.0") && !known.fixed_by("1.2.1"));
    assert!(known.affecting("1.1.0")[0].fixed.iter().any(|fixed| &**fixed == "1.2.0"));
    // Nothing is known of it, and that is known; of the other ecosystem nothing is.
    assert!(index.of(&"npm:react".parse().unwrap()).unwrap().affecting("1.0.0").is_empty());
    assert!(index.of(&"cargo:left-pad".parse().unwrap()).is_none());
    assert!(Index::default().of(&"npm:left-pad".parse().unwrap()).is_none());
}

/// One advisory that somebody wrote himself says nothing of all the others.
#[test]
fn what_is_to_be_taken_back_later_stands_until_then() {
    let mut text: serde_json::Value =
        serde_json::from_slice(&record("npm", &range("SEMVER", r#"{ "introduced": "0" }"#)))
            .unwrap();
    text["withdrawn"] = "2026-06-01T00:00:00Z".into();
    let advisory = parse(text.to_string().as_bytes()).unwrap().advisory;
    for (now, withdrawn) in [("2026-05-31T23:59:59Z", false), ("2026-06-01T00:00:00Z", true)] {
        let mut builder = Builder::at(now.parse().unwrap());
        builder.add(&advisory, true);
        let index = builder.finish("r", &[Ecosystem::Npm]);
        let known = index.of(&"npm:left-pad".parse().unwrap()).unwrap().affecting("1.0.0");
        assert_eq!(known[0].withdrawn, withdrawn, "{now}");
    }
}

#[test]
fn single_records_make_no_ecosystem_known() {
    let mut builder = Builder::default();
    builder.add(&parse(MALICIOUS).unwrap().advisory, true);
    let index = builder.finish("r1", &[]);
    let known = index.of(&"npm:left-pad".parse().unwrap()).unwrap();
    assert_eq!(known.fact("1.3.1").map(|found| found.len()), Some(1));
    assert_eq!((known.fact("1.3.0"), known.fixing_fact("1.3.0")), (None, None));
    assert!(index.of(&"npm:react".parse().unwrap()).is_none());
}

#[test]
fn a_large_advisory_in_parts_says_the_same() {
    let versions: Vec<String> = (0..5000).map(|n| format!("\"1.0.{n}\"")).collect();
    let text = format!(
        r#"{}, "versions": [{}]"#,
        range("SEMVER", r#"{ "introduced": "7.0.0" }, { "fixed": "8.0.0" }"#),
        versions.join(",")
    );
    let whole = parse(&record("npm", &text)).unwrap().advisory;
    let parts = whole.clone().split(12 * 1024);
    assert!(parts.len() > 3);
    let mut builder = Builder::default();
    for (number, part) in parts.iter().enumerate() {
        assert!(serde_json::to_vec(part).unwrap().len() < 14 * 1024);
        builder.add(part, number == 0);
    }
    let index = builder.finish("r1", &[Ecosystem::Npm]);
    assert_eq!(index.len(), 1);
    let known = index.of(&"npm:left-pad".parse().unwrap()).unwrap();
    for (version, affected) in
        [("1.0.0", 1), ("1.0.4999", 1), ("1.0.5000", 0), ("7.5.0", 1), ("8.0.0", 0)]
    {
        assert_eq!(known.affecting(version).len(), affected, "{version}");
    }
}

#[test]
fn malicious_versions_are_denied_whatever_the_rules_say() {
    let advisories = std::sync::Arc::new(index(&[MALICIOUS]));
    let rules = "[[rule]]\nname = 'all'\neffect = 'allow'\npackages = ['npm:*']\n";
    let before = RuleSet::compile(parse_rules("a.toml", rules).unwrap()).unwrap();
    let revision = before.revision().clone();
    let set = before.with_advisories(advisories);
    assert_ne!(*set.revision(), revision, "an import is a new revision");
    let package: Package = "npm:left-pad".parse().unwrap();
    let known = set.advisories().of(&package).unwrap();
    let decided = |version: &str, own: bool, withdrawn: bool| {
        let mut advisories = known.affecting(version);
        for advisory in &mut advisories {
            advisory.withdrawn = withdrawn;
        }
        let facts =
            Facts { own, advisories: Some(&advisories), ..Facts::at(Timestamp::UNIX_EPOCH) };
        let asker = crate::asker::Asker::default();
        decide(&set.for_package(&package), &Version::new(version).unwrap(), &facts, &asker)
    };
    let denied = decided("1.3.1", false, false);
    assert_eq!((denied.effect, denied.code), (Effect::Deny, DecisionCode::Malicious));
    assert!(denied.reason.contains("MAL-2026-7"), "{}", denied.reason);
    assert_eq!(decided("1.3.0", false, false).effect, Effect::Allow);
    assert_eq!(decided("1.3.1", false, true).effect, Effect::Allow, "it was taken back");
    assert_eq!(decided("1.3.1", true, false).effect, Effect::Allow, "it is another package");
}

#[test]
fn a_waiver_lifts_what_is_called_malicious_until_it_expires() {
    let rules = "[[waiver]]\nname = 'looked-at'\nwaives = 'malicious'\n\
                 packages = ['npm:left-pad']\nversions = '1.3.1'\nreason = 'a false alarm'\nowner = 'security'\n\
                 expires = 2026-12-01\n";
    let set = RuleSet::compile(parse_rules("a.toml", rules).unwrap()).unwrap();
    let set = set.with_advisories(std::sync::Arc::new(index(&[MALICIOUS])));
    assert!(set.idle_waivers().is_empty());
    let package: Package = "npm:left-pad".parse().unwrap();
    let advisories = set.advisories().of(&package).unwrap().affecting("1.3.1");
    let decided = |now: &str| {
        let now = now.parse().unwrap();
        let facts = Facts { advisories: Some(&advisories), ..Facts::at(now) };
        let version = Version::new("1.3.1").unwrap();
        decide(&set.for_package(&package), &version, &facts, &crate::asker::Asker::default())
    };
    let lifted = decided("2026-11-30T00:00:00Z");
    assert_eq!(lifted.effect, Effect::Allow);
    assert_eq!(lifted.waiver.as_deref(), Some("looked-at"));
    assert_eq!(lifted.until, Some("2026-12-01T00:00:00Z".parse().unwrap()));
    assert_eq!(decided("2026-12-01T00:00:00Z").code, DecisionCode::Malicious);

    let taken = "[[rule]]\nname = 'malicious'\neffect = 'allow'\npackages = ['npm:*']\n";
    assert!(parse_rules("a.toml", taken).is_err(), "the name is garth's own");
}
