//! [`Packument`] → what a search shows of it. What stands there is the upstream's words, of any
//! length and of any type, so each is cut to a bound and taken only where it is what it should be.

use serde_json::{Map, Value};
use url::Url;

use super::fields::Fields;
use super::{Packument, Version};
use crate::metadata::records::{Somebody, SummaryRecord};

const TEXT: usize = 400;
const WORD: usize = 80;
const LINK: usize = 300;
const KEYWORDS: usize = 40;
const MAINTAINERS: usize = 10;

/// The fields of a manifest that a summary is made of.
const FIELDS: &[&str] = &[
    "description",
    "keywords",
    "author",
    "maintainers",
    "license",
    "homepage",
    "repository",
    "bugs",
];
/// What is longer is nobody's description of anything.
const FIELD_AT_MOST: usize = 64 << 10;

pub fn summarise(packument: &Packument) -> SummaryRecord {
    let latest = packument.tags.iter().find(|(tag, _)| tag == "latest");
    let latest = latest.map(|(_, version)| version.clone());
    let entry = latest
        .as_ref()
        .and_then(|latest| packument.entry(&Version::new(latest).ok()?))
        .or_else(|| packument.entries.last());
    let described = entry.map(|entry| entry.version.as_str().to_owned());
    let described = described.filter(|version| latest.as_deref() != Some(version.as_str()));
    let text = entry.and_then(|entry| std::str::from_utf8(&entry.raw).ok());
    let manifest = text.and_then(|text| Fields::parse(text).ok()).unwrap_or_default();
    let small =
        |raw: &str| (raw.len() <= FIELD_AT_MOST).then(|| serde_json::from_str(raw).ok()).flatten();
    let mut fields: Map<String, Value> = Map::new();
    for name in FIELDS {
        // At the top stands what the latest version says, where there is one.
        let at_top = packument.fields.iter().find(|(key, _)| key == name);
        let at_top = at_top.filter(|_| described.is_none());
        let at_top = at_top.and_then(|(_, raw)| small(std::str::from_utf8(raw).ok()?));
        let value = at_top.or_else(|| small(manifest.get(name)?.get()));
        fields.insert((*name).to_owned(), value.unwrap_or_default());
    }
    let people = fields["maintainers"].as_array().into_iter().flatten();
    SummaryRecord {
        upstream: None,
        latest,
        described,
        description: text_of(&fields["description"], TEXT).unwrap_or_default(),
        keywords: keywords(&fields["keywords"]),
        author: somebody(&fields["author"]),
        publisher: manifest
            .get("_npmUser")
            .and_then(|raw| small(raw.get()))
            .and_then(|user| somebody(&user)),
        maintainers: people.filter_map(somebody).take(MAINTAINERS).collect(),
        license: text_of(&fields["license"], WORD)
            .or_else(|| text_of(&fields["license"]["type"], WORD)),
        homepage: link(&fields["homepage"]),
        repository: link(&fields["repository"]).or_else(|| link(&fields["repository"]["url"])),
        bugs: link(&fields["bugs"]).or_else(|| link(&fields["bugs"]["url"])),
    }
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

/// At most so many bytes, on one line; nothing that a terminal would take for a command.
fn cut(text: &str, most: usize) -> Option<String> {
    let mut kept = String::new();
    for char in text.trim().chars() {
        let char = if char.is_control() { ' ' } else { char };
        if kept.len() + char.len_utf8() > most {
            break;
        }
        kept.push(char);
    }
    (!kept.is_empty()).then_some(kept)
}

/// A place on the web, without the prefixes that package.json allows.
fn link(value: &Value) -> Option<String> {
    let text = value.as_str()?.trim();
    if text.len() > LINK {
        return None;
    }
    let url = Url::parse(text.strip_prefix("git+").unwrap_or(text)).ok()?;
    let is_on_the_web = matches!(url.scheme(), "http" | "https") && url.password().is_none();
    is_on_the_web.then(|| url.to_string()).filter(|url| url.len() <= LINK)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bytes::Bytes;
    use policies::package::{Ecosystem, Package};
    use serde_json::json;

    use super::*;
    use crate::metadata::MAX_VALUE;
    use crate::metadata::records::encode;

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
            assert_eq!(summary.description, "Pads [31m a text");
            assert_eq!(summary.keywords, ["pad", "left"]);
            assert_eq!(summary.author.unwrap().name, "Ann");
            assert_eq!(summary.maintainers, std::slice::from_ref(&ann));
            assert_eq!(summary.publisher.unwrap().name, "bob");
            assert_eq!(summary.license.as_deref(), Some("MIT"));
            assert_eq!(summary.homepage, None);
            assert_eq!(summary.repository.as_deref(), Some("https://git.example/pad.git"));
            assert_eq!(summary.bugs.as_deref(), Some("https://bugs.example/pad"));
            assert_eq!(summary.latest.as_deref(), Some("1.0.0"));
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
