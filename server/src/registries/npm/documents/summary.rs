//! [`Packument`] → what a search shows of it. What stands there is the upstream's words, of any
//! length and of any type, so each is cut to a bound and taken only where it is what it should be.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use policies::package::{Ecosystem, Version};
use policies::versions::Parsed;
use serde_json::{Map, Value};

use super::fields::Fields;
use super::raw::Raw;
use super::{Entry, Packument};
use crate::metadata::records::{PeopleRecord, Somebody, SummaryRecord, WordsRecord};
use crate::pull::summaries::words::{self, Making, cut, order};

const TEXT: usize = 400;
const WORD: usize = 80;
const KEYWORDS: usize = 40;
const PEOPLE: usize = 10;

/// The fields of a manifest that a summary is made of.
const FIELDS: &[&str] = &[
    "description",
    "keywords",
    "license",
    "homepage",
    "repository",
    "bugs",
    "author",
    MAINTAINERS,
    PUBLISHER,
];
const MAINTAINERS: &str = "maintainers";
const PUBLISHER: &str = "_npmUser";
/// What is longer is nobody's description of anything.
const FIELD_AT_MOST: usize = 64 << 10;

/// The same for versions that say the same of themselves.
pub fn hash_words(fields: &Fields<'_>) -> u64 {
    let mut hash = DefaultHasher::new();
    for name in FIELDS {
        fields.get(name).hash(&mut hash);
    }
    hash.finish()
}

pub fn summarise(packument: &Packument) -> SummaryRecord {
    let latest = packument.tags.iter().find(|(tag, _)| tag == "latest");
    let latest = latest.map(|(_, version)| version.clone());
    let of_latest = latest.as_deref().and_then(|latest| Version::new(latest).ok());
    let mut making = Making::new(latest);
    if let Some(entry) = of_latest.and_then(|latest| packument.entry(&latest)) {
        making.latest(words_in(packument, entry, true));
    }
    for run in runs(&packument.entries) {
        if !making.step(run.from, words_in(packument, run.words_of, false)) {
            break;
        }
    }
    making.done()
}

/// Versions next to each other that say the same.
struct Run<'a> {
    words_of: &'a Entry,
    from: &'a str,
}

/// In the order of [`order`].
fn runs(entries: &[Entry]) -> Vec<Run<'_>> {
    let parsed = entries
        .iter()
        .filter_map(|entry| Some((Parsed::new(Ecosystem::Npm, entry.version.as_str())?, entry)));
    let mut sorted: Vec<(Parsed<'_>, &Entry)> = parsed.collect();
    sorted.sort_by(|(a, _), (b, _)| order(a, b));
    let mut runs: Vec<Run<'_>> = Vec::new();
    for (_, entry) in sorted {
        match runs.last_mut() {
            Some(run) if run.words_of.words == entry.words => run.from = entry.version.as_str(),
            _ => runs.push(Run { words_of: entry, from: entry.version.as_str() }),
        }
    }
    runs
}

/// A registry hoists what the latest version says to the top, and some leave it there alone. Who
/// maintains a package stands there for all of its versions.
fn words_in(packument: &Packument, entry: &Entry, is_latest: bool) -> (WordsRecord, PeopleRecord) {
    // It is made of a document that was just read, so its text is in memory.
    let read = |raw: &Raw| raw.read(&packument.original).ok();
    let text = read(&entry.raw).unwrap_or_default();
    let text = std::str::from_utf8(&text).ok();
    let manifest = text.and_then(|text| Fields::parse(text).ok()).unwrap_or_default();
    let small =
        |raw: &str| (raw.len() <= FIELD_AT_MOST).then(|| serde_json::from_str(raw).ok()).flatten();
    let mut fields: Map<String, Value> = Map::new();
    for name in FIELDS {
        let own = manifest.get(name).and_then(small);
        let is_at_top = is_latest || *name == MAINTAINERS;
        let top = || packument.fields.iter().find(|(key, _)| is_at_top && key == name);
        let top = || top().and_then(|(_, raw)| small(std::str::from_utf8(&read(raw)?).ok()?));
        fields.insert((*name).to_owned(), own.or_else(top).unwrap_or_default());
    }
    let people = fields[MAINTAINERS].as_array().into_iter().flatten();
    let people = PeopleRecord {
        author: somebody(&fields["author"]),
        publisher: somebody(&fields[PUBLISHER]),
        maintainers: people.filter_map(somebody).take(PEOPLE).collect(),
    };
    let words = WordsRecord {
        description: text_of(&fields["description"], TEXT).unwrap_or_default(),
        keywords: keywords(&fields["keywords"]),
        license: text_of(&fields["license"], WORD)
            .or_else(|| text_of(&fields["license"]["type"], WORD)),
        homepage: link(&fields["homepage"]),
        repository: link(&fields["repository"]).or_else(|| link(&fields["repository"]["url"])),
        bugs: link(&fields["bugs"]).or_else(|| link(&fields["bugs"]["url"])),
    };
    (words, people)
}

/// Some old manifests have one text with words in it.
fn keywords(value: &Value) -> Vec<String> {
    let words: Vec<String> = match value {
        Value::Array(words) => words.iter().filter_map(|word| text_of(word, WORD)).collect(),
        Value::String(text) => text.split([',', ' ']).filter_map(|word| cut(word, WORD)).collect(),
        _ => Vec::new(),
    };
    words.into_iter().take(KEYWORDS).collect()
}

/// `{ "name": …, "email": … }`, or the same as `Name <email> (url)`.
fn somebody(value: &Value) -> Option<Somebody> {
    if let Some(text) = value.as_str() {
        let (name, rest) = text.split_once('<').unwrap_or((text, ""));
        let name = name.split('(').next().unwrap_or_default();
        let email = rest.split_once('>').and_then(|(email, _)| cut(email, WORD));
        return Some(Somebody { name: cut(name, WORD)?, email });
    }
    let name = text_of(&value["name"], WORD).or_else(|| text_of(&value["username"], WORD))?;
    Some(Somebody { name, email: text_of(&value["email"], WORD) })
}

fn text_of(value: &Value, most: usize) -> Option<String> {
    cut(value.as_str()?, most)
}

/// A place on the web, without the prefixes that package.json allows.
fn link(value: &Value) -> Option<String> {
    words::link(value.as_str()?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use policies::package::Package;
    use serde_json::json;

    use super::*;
    use crate::metadata::MAX_VALUE;
    use crate::metadata::records::encode;
    use crate::pull::summaries::words::{Words, words_of};

    fn summary_of(top: &Value, manifest: &Value) -> SummaryRecord {
        let mut version = json!({
            "name": "left-pad",
            "version": "1.0.0",
            "dist": { "tarball": "https://npm.example.com/l.tgz", "shasum": "0".repeat(40) },
        });
        version.as_object_mut().unwrap().extend(manifest.as_object().unwrap().clone());
        let mut document = json!({
            "name": "left-pad",
            "dist-tags": { "latest": "1.0.0" },
            "versions": { "1.0.0": version },
        });
        document.as_object_mut().unwrap().extend(top.as_object().unwrap().clone());
        let package = Package::new(Ecosystem::Npm, "left-pad").unwrap();
        summarise(&Packument::parse(&package, &Bytes::from(document.to_string())).unwrap())
    }

    #[test]
    fn a_summary_is_what_the_document_or_its_latest_version_says() {
        let said = json!({
            "description": "Pads\u{1b}[31m a\ntext",
            "keywords": ["pad", 7, "left"],
            "author": "Ann <ann@example.com> (https://ann.example)",
            "maintainers": [{ "name": "ann", "email": "ann@example.com" }, 7],
            "license": { "type": "MIT" },
            "homepage": "javascript:alert(1)",
            "repository": { "type": "git", "url": "git+https://git.example/pad.git" },
            "bugs": "https://bugs.example/pad",
            "_npmUser": { "name": "bob" },
        });
        let ann = Somebody { name: "ann".into(), email: Some("ann@example.com".into()) };
        for (top, manifest) in
            [(said.clone(), json!({ "_npmUser": { "name": "bob" } })), (json!({}), said)]
        {
            let summary = summary_of(&top, &manifest);
            assert_eq!(summary.latest.as_deref(), Some("1.0.0"));
            let version = Version::new("1.0.0").unwrap();
            let Words { said, people } = words_of(&summary, Ecosystem::Npm, &version).unwrap();
            assert_eq!(said.description, "Pads [31m a text");
            assert_eq!(said.keywords, ["pad", "left"]);
            assert_eq!(said.license.as_deref(), Some("MIT"));
            assert_eq!(said.homepage, None);
            assert_eq!(said.repository.as_deref(), Some("https://git.example/pad.git"));
            assert_eq!(said.bugs.as_deref(), Some("https://bugs.example/pad"));
            assert_eq!(people.author.as_ref().unwrap().name, "Ann");
            assert_eq!(people.maintainers, std::slice::from_ref(&ann));
            assert_eq!(people.publisher.as_ref().unwrap().name, "bob");
        }
    }

    /// Versions in the document's order, each with its fields.
    fn summary_of_versions(versions: &[(&str, Value)], latest: &str) -> SummaryRecord {
        let versions: Map<String, Value> = versions
            .iter()
            .map(|(version, fields)| {
                let mut manifest = json!({
                    "name": "left-pad",
                    "version": version,
                    "dist": { "tarball": "https://npm.example.com/l.tgz", "shasum": "0".repeat(40) },
                });
                manifest.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
                ((*version).to_owned(), manifest)
            })
            .collect();
        let document = json!({
            "name": "left-pad",
            "description": "at the top",
            "dist-tags": { "latest": latest },
            "versions": versions,
        });
        let package = Package::new(Ecosystem::Npm, "left-pad").unwrap();
        summarise(&Packument::parse(&package, &Bytes::from(document.to_string())).unwrap())
    }

    fn said<'a>(summary: &'a SummaryRecord, version: &str) -> Option<&'a str> {
        let words = words_of(summary, Ecosystem::Npm, &Version::new(version).unwrap())?;
        Some(words.said.description.as_str())
    }

    #[test]
    fn each_version_has_its_own_words_and_the_same_ones_are_kept_once() {
        let says = |text: &str| json!({ "description": text, "author": "Ann" });
        let versions = [
            ("1.0.0", says("first")),
            ("1.1.0", says("first")),
            ("2.0.0-rc.1", says("soon")),
            ("2.0.0", says("second")),
            ("1.1.1", says("first")),
            ("1.2.0", says("late")),
            ("2.1.0", says("second")),
            ("2.1.1", json!({ "author": "Ann" })),
            ("3.0.0-rc.1", says("third")),
        ];
        let summary = summary_of_versions(&versions, "2.1.0");
        for (version, fields) in &versions {
            let description = fields["description"].as_str().unwrap_or_default();
            assert_eq!(said(&summary, version), Some(description), "{version}");
        }
        assert_eq!(said(&summary, "0.9.0-rc.1"), None, "older than all");
        let hoisted = summary_of_versions(&versions, "2.1.1");
        assert_eq!(said(&hoisted, "2.1.1"), Some("at the top"));
        assert_eq!(said(&hoisted, "2.1.0"), Some("second"));
        assert_eq!((summary.words.len(), summary.people.len()), (6, 1), "{summary:?}");
        let steps: Vec<&str> = summary.steps.iter().map(|step| step.from.as_str()).collect();
        assert_eq!(steps, ["2.1.1", "2.0.0", "1.2.0", "1.0.0", "3.0.0-rc.1", "2.0.0-rc.1"]);
    }

    #[test]
    fn the_words_of_many_versions_fit_a_record_and_the_newest_are_there() {
        for length in [10, 100] {
            let numbers: Vec<String> = (0..1000).map(|number| format!("1.{number}.0")).collect();
            let says = |number: &String| json!({ "description": number.repeat(length), "keywords": [number] });
            let versions: Vec<(&str, Value)> =
                numbers.iter().map(|number| (number.as_str(), says(number))).collect();
            let summary = summary_of_versions(&versions, "1.0.0");
            assert!(encode(&summary).len() < MAX_VALUE, "{}", encode(&summary).len());
            assert!(said(&summary, "1.999.0").unwrap().starts_with("1.999.0"));
            assert!(said(&summary, "1.0.0").unwrap().starts_with("1.0.0"), "the latest");
            assert_eq!(said(&summary, "1.1.0"), None, "there is no room for it");
        }
    }

    #[test]
    fn no_summary_outgrows_a_record() {
        for endless in ["\"".repeat(50_000), "\u{1F980}".repeat(20_000), "\\".repeat(50_000)] {
            let person = json!({ "name": endless, "email": endless });
            let summary = summary_of(
                &json!({
                    "description": endless,
                    "keywords": vec![endless.clone(); 1000],
                    "author": person,
                    "maintainers": vec![person.clone(); 1000],
                    "license": endless,
                    "homepage": format!("https://example.com/{endless}"),
                }),
                &json!({ "_npmUser": person }),
            );
            let size = encode(&summary).len();
            assert!(size < MAX_VALUE, "{size}");
        }
    }
}
