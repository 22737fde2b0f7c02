//! What the upstream's own search finds, for whoever looks for what nobody here has asked for yet.
//!
//! Only where the settings say so (`upstream_search`): it is asked at the `api` of the upstream's
//! `config.json`, and never with a word that may be the name of one of this registry's own crates. A few of
//! what it finds are looked up at once in the upstream's index, as if somebody had asked for them, and they
//! are shown where the rules allow it. A search answers without it when it fails or takes too long.

use std::sync::Arc;

use actix_web::HttpRequest;
use futures_util::{StreamExt as _, stream};
use policies::package::{Ecosystem, Package};
use serde::Deserialize;
use serde_json::Value;
use tokio::time::timeout;

use super::super::upstream::index_request;
use super::finding::find_upstream_config;
use crate::gate::Asking;
use crate::pull::PullError;
use crate::pull::documents::Need;
use crate::pull::summaries::words::cut;
use crate::registries::callers::readable;
use crate::registries::{Registry, SEARCH_PATIENCE};
use crate::upstream::Upstream;

const ANSWER_AT_MOST: u64 = 1 << 20;
const LOOKED_UP_AT_ONCE: usize = 4;
const DESCRIPTION: usize = 400;
/// Of a name, a shorter part tells nobody anything.
const TELLING: usize = 3;

/// A crate that the upstream found, and its words about the version that it takes for the newest.
#[derive(Debug)]
pub struct FoundElsewhere {
    pub package: Package,
    newest: String,
    description: Option<String>,
}

impl FoundElsewhere {
    /// Whether this is shown of it.
    pub fn is(&self, shown: &Value) -> bool {
        let name = shown["name"].as_str();
        let shown = name.and_then(|name| Package::new(Ecosystem::Cargo, name).ok());
        shown.as_ref() == Some(&self.package)
    }
}

#[derive(Deserialize)]
struct Answer {
    crates: Vec<FoundCrate>,
}

#[derive(Deserialize)]
struct FoundCrate {
    name: String,
    max_version: String,
    #[serde(default)]
    description: Option<String>,
}

/// Crates that the upstream has under these words, whose index files are held from now on.
pub async fn find(
    registry: &Arc<Registry>,
    req: &HttpRequest,
    asking: &Asking,
    words: Vec<String>,
    at_most: usize,
) -> Vec<FoundElsewhere> {
    let Some(upstream) = registry.searched.clone() else { return Vec::new() };
    if words.is_empty() || may_name_own(&words, registry.names_own_anywhere().texts()) {
        return Vec::new();
    }
    let places = Arc::clone(&registry.garden.searches_elsewhere);
    let Ok(place) = places.try_acquire_owned() else { return Vec::new() };
    let (registry, asking) = (Arc::clone(registry), asking.clone());
    let may_read = readable(&registry, req);
    let runtime = registry.garden.store.runtime.clone();
    let name = Arc::clone(&registry.name);
    // It goes on when nobody waits any more, and its place is taken until all of it has come.
    let finding = runtime.spawn(async move {
        let found = ask(&registry, &upstream, &words, at_most).await;
        let rules = registry.garden.gate.rules();
        let may_be_shown = |find: &FoundElsewhere| {
            let package = &find.package;
            let is_theirs = !registry.is_own_anywhere(package) && may_read(package);
            is_theirs && registry.garden.gate.may_show(&rules, package, &asking, false)
        };
        let found = found?.into_iter().filter(may_be_shown);
        let looking = stream::iter(found).map(|find| look_up(&registry, find));
        let held: Vec<_> = looking.buffered(LOOKED_UP_AT_ONCE).collect().await;
        drop(place);
        Ok(held.into_iter().flatten().collect())
    });
    let cause = match timeout(SEARCH_PATIENCE, finding).await {
        // Its `api` has no search.
        Ok(Ok(Err(PullError::Absent))) => return Vec::new(),
        Ok(Ok(Ok(found))) => return found,
        Ok(Ok(Err(fault))) => fault.to_string(),
        Ok(Err(fault)) => fault.to_string(),
        Err(_) => "it takes too long".to_owned(),
    };
    tracing::warn!(registry = %name, cause, "the upstream's search was asked in vain");
    Vec::new()
}

/// What the upstream finds, in its order.
async fn ask(
    registry: &Registry,
    upstream: &Upstream,
    words: &[String],
    at_most: usize,
) -> Result<Vec<FoundElsewhere>, PullError> {
    let Some(url) = find_upstream_config(registry).await?.search(words, at_most) else {
        return Err(PullError::Absent);
    };
    let fault = |fault| PullError::from_upstream(upstream, fault);
    let body = upstream.document_at(url, "application/json").await.map_err(fault)?;
    let bytes = body.at_most(ANSWER_AT_MOST).read_all().await.map_err(fault)?;
    let answer: Answer = serde_json::from_slice(&bytes).map_err(|fault| PullError::Broken {
        upstream: registry.upstream_name(),
        cause: format!("what its search gave is none of cargo's: {fault}"),
    })?;
    let read = |found: FoundCrate| {
        let package = Package::new(Ecosystem::Cargo, &found.name).ok()?;
        let description = found.description.and_then(|text| cut(&text, DESCRIPTION));
        Some(FoundElsewhere { package, newest: found.max_version, description })
    };
    Ok(answer.crates.into_iter().take(at_most).filter_map(read).collect())
}

/// Where the upstream's index can not be had, or the crate is ours by now, it is not found.
async fn look_up(registry: &Registry, find: FoundElsewhere) -> Option<FoundElsewhere> {
    let documents = &registry.garden.cargo_documents;
    let request = index_request(&find.package);
    match documents.get(&registry.source, &request, Need::Fresh).await {
        Ok(found) => (!found.document.is_own()).then_some(find),
        Err(fault) => {
            let package = &find.package;
            tracing::info!(registry = %registry.name, %package, %fault, "a search found what can not be had");
            None
        }
    }
}

/// The upstream's words, where they are about the version that is shown.
pub fn described(mut shown: Value, finds: &[FoundElsewhere]) -> Value {
    let find = finds.iter().find(|find| find.is(&shown));
    let find = find.filter(|find| shown["max_version"] == *find.newest);
    if let Some(words) = find.and_then(|find| find.description.as_deref()) {
        shown["description"] = words.into();
    }
    shown
}

/// Whether a word has a part of the name of an own crate in it, or is a part of one: the names of own
/// crates are nobody else's business.
fn may_name_own(words: &[String], patterns: &[String]) -> bool {
    let plain = |text: &str| text.to_lowercase().replace('_', "-");
    patterns.iter().any(|pattern| {
        let pattern = plain(pattern);
        let parts = || pattern.split('*').filter(|part| !part.is_empty());
        let meets = |word: &String| {
            let word = plain(word);
            let tells = word.len() >= TELLING;
            let is_in = |part: &str| tells && part.contains(&word);
            parts().any(|part| word.contains(part.trim_matches('-')) || is_in(part))
        };
        parts().next().is_none() || words.iter().any(meets)
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn words_that_may_name_an_own_crate_stay_here() {
        let rows: [(&str, &[&str], bool); 11] = [
            ("serde json", &["acme-*"], false),
            ("a parser", &["acme-*"], false),
            ("acme-log", &["acme-*"], true),
            ("ACME_log", &["Acme-*"], true),
            ("log acme", &["acme-*"], true),
            ("acm", &["acme-*"], true),
            ("log", &["acme-*", "*-internal"], false),
            ("log-internal", &["acme-*", "*-internal"], true),
            ("left", &["left-pad"], true),
            ("serde", &["*"], true),
            ("serde", &[], false),
        ];
        for (text, patterns, expected) in rows {
            let words: Vec<String> = text.split(' ').map(str::to_lowercase).collect();
            let patterns: Vec<String> = patterns.iter().map(|&it| it.to_owned()).collect();
            assert_eq!(may_name_own(&words, &patterns), expected, "{text} {patterns:?}");
        }
    }

    #[test]
    fn the_upstream_s_words_stand_beside_the_version_that_they_are_about() {
        let find = FoundElsewhere {
            package: Package::new(Ecosystem::Cargo, "SEED_box").unwrap(),
            newest: "1.1.0".to_owned(),
            description: Some("theirs".to_owned()),
        };
        for (name, version, expected) in [
            ("Seed_Box", "1.1.0", json!("theirs")),
            ("Seed_Box", "1.0.0", Value::Null),
            ("seed-box", "1.1.0", Value::Null),
        ] {
            let shown = json!({ "name": name, "max_version": version, "description": null });
            let shown = described(shown, std::slice::from_ref(&find));
            assert_eq!(shown["description"], expected, "{name} {version}");
        }
    }
}
