//! `cargo search`: [what there is in this garden](searching) and [at its upstream](elsewhere), asked and
//! answered as cargo does.

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse};
use policies::package::{Ecosystem, Version};
use serde_json::{Value, json};
use url::form_urlencoded;

use super::super::documents::{CargoDocuments, IndexFile};
use super::super::refusal::{Refusal, pull_refusal};
use super::elsewhere;
use crate::gate::Asking;
use crate::pull::summaries::Wanted;
use crate::registries::searching::{self, Found, Question, Searched, Shown, number};
use crate::registries::{Registry, respond};

/// As the Cargo book has it.
const SIZE_AT_MOST: usize = 100;
const SIZE: usize = 10;

struct OfCargo;

impl Searched for OfCargo {
    type Format = CargoDocuments;
    const ECOSYSTEM: Ecosystem = Ecosystem::Cargo;
    /// A crate's name is shown as it is spelled there.
    const READS_DOCUMENTS: bool = true;

    fn newest<'v>(allowed: &[&'v Version], latest: Option<&str>) -> Option<&'v Version> {
        let read = |version: &&'v Version| {
            let parsed = semver::Version::parse(version.as_str()).ok()?;
            let is_meant = latest == Some(version.as_str());
            Some(((is_meant, parsed.pre.is_empty(), parsed), *version))
        };
        let all = allowed.iter().filter_map(read);
        all.max_by(|(one, _), (other, _)| one.cmp(other)).map(|(_, version)| version)
    }

    fn show(shown: &Shown<'_, IndexFile>) -> Value {
        let entry = shown.document.and_then(|index| index.entry(shown.version));
        let description = shown.words.map(|words| words.said.description.as_str());
        json!({
            "name": entry.map_or(shown.package.name(), |entry| &entry.name),
            "max_version": shown.version.as_str(),
            "description": description.filter(|text| !text.is_empty()),
        })
    }
}

pub async fn search(
    registry: &Arc<Registry>,
    req: &HttpRequest,
    asking: Asking,
) -> Result<HttpResponse, Refusal> {
    let question = parse(req.query_string()).map_err(Refusal::malformed)?;
    let Question { wanted: Wanted { words, .. }, size, .. } = question.clone();
    let found = searching::search::<OfCargo>(registry, req, asking.clone(), question).await;
    let refused = |fault| pull_refusal("this search".to_owned(), &registry.source, fault);
    let Found { mut shown, count } = found.map_err(refused)?;
    let mut finds = Vec::new();
    if shown.len() < size {
        finds = elsewhere::find(registry, req, &asking, words, size).await;
        finds.retain(|find| !shown.iter().any(|one| find.is(one)));
    }
    if !finds.is_empty() {
        let packages = finds.iter().map(|find| find.package.clone()).collect();
        let most = size - shown.len();
        let more = searching::show::<OfCargo>(registry, asking, packages, most).await;
        let more = more.unwrap_or_else(|fault| {
            tracing::warn!(registry = %registry.name, %fault, "what the upstream found is not shown");
            Vec::new()
        });
        shown.extend(more.into_iter().map(|one| elsewhere::described(one, &finds)));
    }
    let count = count.max(shown.len());
    let mut response =
        HttpResponse::Ok().json(json!({ "crates": shown, "meta": { "total": count } }));
    if registry.garden.gate.rules().tells_askers_apart() {
        respond::to_asker_alone(&mut response);
    }
    Ok(response)
}

fn parse(query: &str) -> Result<Question, String> {
    let mut question = Question { wanted: Wanted::default(), from: 0, size: SIZE };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "q" => question.wanted.words = searching::words(&value)?,
            "per_page" => question.size = number("per_page", &value)?.min(SIZE_AT_MOST),
            // What other registries know: servers ignore what they do not.
            _ => {}
        }
    }
    Ok(question)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_read_within_bounds() {
        let rows = [
            ("q=acme+log&per_page=1", Some((2, 1))),
            ("q=%25", Some((1, 10))),
            ("per_page=1000000000000", Some((0, 100))),
            ("per_page=-1&page=7", Some((0, 0))),
            ("per_page=x", None),
            ("", Some((0, 10))),
        ];
        for (query, expected) in rows {
            let read = parse(query).ok().map(|read| (read.wanted.words.len(), read.size));
            assert_eq!(read, expected, "{query}");
        }
        assert!(parse(&format!("q={}", "x".repeat(600))).is_err());
    }

    #[test]
    fn the_newest_release_is_shown_unless_another_is_meant() {
        let versions: Vec<Version> =
            ["1.10.0", "1.9.0", "2.0.0-rc.1"].map(|text| Version::new(text).unwrap()).into();
        let allowed: Vec<&Version> = versions.iter().collect();
        let newest = |latest| OfCargo::newest(&allowed, latest).unwrap().as_str();
        assert_eq!(newest(None), "1.10.0");
        assert_eq!(newest(Some("1.9.0")), "1.9.0");
        assert_eq!(newest(Some("7.0.0")), "1.10.0");
    }
}
