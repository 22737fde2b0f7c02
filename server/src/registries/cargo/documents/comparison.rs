//! Whether a crate from an upstream says of itself what the index says of it.
//!
//! Pure. cargo resolves by the index and builds by the manifest in the crate, so an upstream where the
//! two differ shows one crate and delivers another. Both sides are brought to one form and compared in
//! what is resolved and linked; what the index says beside ages (`yanked`) or is of no build.

use std::io::Read;

use policies::package::Version;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::IndexFile;
use super::archive;
use super::dependencies::{Dependency, LineDependency, in_words};
use crate::metadata::records::Difference;
use crate::observability::escape::bounded;
use crate::pull::PullError;
use crate::pull::format::{CHARACTERS_TOLD, Opened, Said, Verdict};

const LINKS: &str = "links";

#[derive(Deserialize)]
struct Line {
    name: String,
    vers: String,
    #[serde(default)]
    links: Option<String>,
    #[serde(default)]
    deps: Vec<LineDependency>,
}

/// The line of the index, as far as it is compared. Blocks where the text is not in memory.
pub fn said(file: &IndexFile, version: &Version) -> Result<Option<Said>, PullError> {
    let Some(entry) = file.entry(version) else { return Ok(None) };
    let line = file.original.read(entry.part, entry.line.clone())?;
    Ok(serde_json::from_slice(&line).ok().map(said_by))
}

fn said_by(line: Line) -> Said {
    let needs = in_words(line.deps.into_iter().map(Dependency::from));
    let mut said = Map::new();
    said.insert("name".to_owned(), line.name.into());
    said.insert("version".to_owned(), line.vers.into());
    said.insert(LINKS.to_owned(), line.links.map_or(Value::Null, Value::from));
    said.insert("dependencies".to_owned(), needs.into());
    Said::of(said)
}

/// Blocks: the crate is opened, for what it says beside as well.
pub fn compare(said: &Said, packed: &mut dyn Read, length: u64) -> Opened {
    let said = match said.fields() {
        Ok(said) => said,
        Err(fault) => return Verdict::unreadable(&fault.to_string()).into(),
    };
    let text = |field| said.get(field).and_then(Value::as_str).unwrap_or_default();
    let root = format!("{}-{}", text("name"), text("version"));
    let contents = match archive::open(packed, length, &root) {
        Ok(contents) => contents,
        Err(why) => return Verdict::unreadable(&why).into(),
    };
    let (inside, contents) = (Some(contents.inside()), contents.said());
    let differs = |(field, upstream): (&String, &Value)| {
        // Lines of before 2018 say nothing of it, whatever the crate links.
        if field == LINKS && upstream.is_null() {
            return None;
        }
        let artifact = contents.get(field).unwrap_or(&Value::Null);
        (artifact != upstream).then(|| Difference {
            field: field.clone(),
            artifact: told(artifact, upstream),
            upstream: told(upstream, artifact),
        })
    };
    Opened { verdict: Verdict::of(said.iter().filter_map(differs).collect()), inside }
}

/// Of a list what the other has not.
fn told(value: &Value, other: &Value) -> String {
    let is_missing = |word: &&Value| !other.as_array().is_some_and(|all| all.contains(word));
    let text = match value {
        Value::Null => String::new(),
        Value::Array(words) => {
            let words = words.iter().filter(is_missing).filter_map(Value::as_str);
            words.collect::<Vec<_>>().join(", ")
        }
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    if text.is_empty() {
        "nothing".to_owned()
    } else {
        bounded(&text, CHARACTERS_TOLD).into_owned()
    }
}

#[cfg(test)]
mod tests;
