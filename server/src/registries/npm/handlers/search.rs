//! `npm search`: [what there is in this garden](searching), asked and answered as npm does.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use policies::package::{Ecosystem, Version};
use serde_json::{Map, Value, json};
use url::form_urlencoded;

use super::super::refusal::Refusal;
use super::finding::pull_refusal;
use crate::gate::Asking;
use crate::metadata::records::{PeopleRecord, Somebody, WordsRecord};
use crate::pull::summaries::Wanted;
use crate::pull::summaries::words::Words;
use crate::registries::npm::documents::{NpmDocuments, Packument, latest_offered};
use crate::registries::searching::{self, Found, Question, Searched, Shown, number};
use crate::registries::{Registry, respond};

/// npm's own registry gives no more at once.
const SIZE_AT_MOST: usize = 250;
const SIZE: usize = 20;
/// Nobody reads on to here.
const FROM_AT_MOST: usize = 1000;

struct OfNpm;

impl Searched for OfNpm {
    type Format = NpmDocuments;
    const ECOSYSTEM: Ecosystem = Ecosystem::Npm;
    const READS_DOCUMENTS: bool = false;

    fn newest<'v>(allowed: &[&'v Version], latest: Option<&str>) -> Option<&'v Version> {
        latest_offered(allowed, latest)
    }

    fn show(shown: &Shown<'_, Packument>) -> Value {
        show(shown)
    }
}

pub async fn search(
    registry: &Arc<Registry>,
    req: &HttpRequest,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    let question = parse(req.query_string())?;
    let garden = &registry.garden;
    let found = searching::search::<OfNpm>(registry, req, asking, question).await;
    let found =
        found.map_err(|fault| pull_refusal("this search".to_owned(), &registry.source, fault))?;
    let Found { shown, count } = found;
    let now = garden.store.clock.now();
    let mut response = HttpResponse::Ok().json(json!({
        "objects": shown,
        "total": count,
        "time": format!("{now:.3}"),
    }));
    if garden.gate.rules().tells_askers_apart() {
        respond::to_asker_alone(&mut response);
    }
    Ok(response)
}

fn show(shown: &Shown<'_, Packument>) -> Value {
    let Shown { package, words, version, record, .. } = *shown;
    let (nothing, nobody) = (WordsRecord::default(), PeopleRecord::default());
    let Words { said, people } = words.unwrap_or(Words { said: &nothing, people: &nobody });
    let mut links = Map::new();
    for (name, link) in
        [("homepage", &said.homepage), ("repository", &said.repository), ("bugs", &said.bugs)]
    {
        if let Some(link) = link {
            links.insert(name.to_owned(), link.as_str().into());
        }
    }
    let maintainers: Vec<Value> = people.maintainers.iter().map(person).collect();
    let scope = package.scope().map_or("unscoped", |scope| scope.trim_start_matches('@'));
    let mut found = json!({
        "name": package.name(),
        "scope": scope,
        "version": version.as_str(),
        "description": said.description,
        "keywords": said.keywords,
        "date": record.and_then(|record| record.published).map(|at| format!("{at:.3}")),
        "links": links,
        "maintainers": maintainers,
        "license": said.license,
    });
    if let Some(author) = &people.author {
        found["author"] = json!({ "name": author.name, "email": author.email });
    }
    if let Some(publisher) = &people.publisher {
        found["publisher"] = person(publisher);
    }
    // Clients expect them; nothing is measured here.
    let score = json!({
        "final": 1.0,
        "detail": { "quality": 1.0, "popularity": 1.0, "maintenance": 1.0 },
    });
    json!({ "package": found, "score": score, "searchScore": 1.0 })
}

fn person(somebody: &Somebody) -> Value {
    json!({ "username": somebody.name, "email": somebody.email })
}

fn parse(query: &str) -> Result<Question, Refusal> {
    let mut question = Question { wanted: Wanted::default(), from: 0, size: SIZE };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "text" => question.wanted = parse_text(&value)?,
            "size" => {
                question.size =
                    number("size", &value).map_err(Refusal::Malformed)?.min(SIZE_AT_MOST);
            }
            "from" => {
                question.from =
                    number("from", &value).map_err(Refusal::Malformed)?.min(FROM_AT_MOST);
            }
            // Weights of what is not measured here.
            _ => {}
        }
    }
    Ok(question)
}

/// Words, and npm's qualifiers: `keywords:a,b` `author:ann` `maintainer:ann` `scope:acme`. Everything
/// else is a word as it stands.
fn parse_text(text: &str) -> Result<Wanted, Refusal> {
    let mut wanted = Wanted::default();
    for part in searching::words(text).map_err(Refusal::Malformed)? {
        match part.split_once(':') {
            Some(("keywords", words)) if !words.is_empty() => {
                let words = words.split(',').filter(|word| !word.is_empty());
                wanted.keywords.push(words.map(str::to_owned).collect());
            }
            Some(("author" | "maintainer", name)) if !name.is_empty() => {
                wanted.people.push(name.to_owned());
            }
            Some(("scope", scope)) if !scope.is_empty() => {
                wanted.scopes.push(scope.trim_start_matches('@').to_owned());
            }
            // They ask for what is not measured here.
            Some(("is" | "not" | "boost-exact", _)) => {}
            _ => wanted.words.push(part),
        }
    }
    Ok(wanted)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_within_bounds() {
        let rows = [
            ("text=left+pad", Some((2, 0, 20))),
            ("text=%25&size=1&from=7", Some((1, 7, 1))),
            ("size=1000000000000", Some((0, 0, 250))),
            (
                "size=99999999999999999999999999&from=99999999999999999999999999",
                Some((0, 1000, 250)),
            ),
            ("size=0", Some((0, 0, 0))),
            ("size=-1&from=-1", Some((0, 0, 0))),
            ("size=-99999999999999999999999999", Some((0, 0, 0))),
            ("size=-", None),
            ("size=--1", None),
            ("size=1e3", None),
            ("size=", None),
            ("size=x", None),
            ("", Some((0, 0, 20))),
        ];
        for (query, expected) in rows {
            let read = parse(query).ok();
            let read = read.map(|read| (read.wanted.words.len(), read.from, read.size));
            assert_eq!(read, expected, "{query}");
        }
        assert!(parse(&format!("text={}", "x".repeat(600))).is_err());
        assert!(parse(&format!("text={}", "x+".repeat(100))).is_err());
    }

    #[test]
    fn qualifiers_are_told_from_words() {
        let text = "Left keywords:a,B author:Ann maintainer:bob scope:@acme is:x not:y a:b scope:";
        let wanted = parse_text(text).unwrap();
        assert_eq!(wanted.words, ["left", "a:b", "scope:"]);
        assert_eq!(wanted.keywords, [["a", "b"]]);
        assert_eq!(wanted.people, ["ann", "bob"]);
        assert_eq!(wanted.scopes, ["acme"]);
    }
}
