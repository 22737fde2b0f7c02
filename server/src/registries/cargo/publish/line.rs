//! A version as its line in the index.
//!
//! Pure. In the order in which other registries write it; whoever reads it goes by the names.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::documents::dependencies::LineDependency;
use super::described::Described;

/// The schema that has `features2`.
const SECOND: u32 = 2;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub name: String,
    pub vers: String,
    deps: Vec<LineDependency>,
    cksum: String,
    features: BTreeMap<String, Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    features2: Option<BTreeMap<String, Vec<String>>>,
    pub yanked: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    links: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    v: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    rust_version: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pubtime: Option<String>,
}

impl Line {
    /// What the crate says, whose bytes have this sha256. Of each dependency its index is said that
    /// is not this one.
    pub fn new(described: &Described, cksum: String, now: Timestamp) -> Self {
        let (extended, features): (BTreeMap<_, _>, BTreeMap<_, _>) =
            described.features.clone().into_iter().partition(|(_, enabled)| is_extended(enabled));
        let features2 = (!extended.is_empty()).then_some(extended);
        Self {
            name: described.name.clone(),
            vers: described.version.clone(),
            deps: described.dependencies.iter().map(LineDependency::from).collect(),
            cksum,
            features,
            v: features2.is_some().then_some(SECOND),
            features2,
            yanked: false,
            links: described.links.clone(),
            rust_version: described.rust_version.clone(),
            pubtime: Some(format!("{now:.0}")),
        }
    }
}

/// Old versions of cargo can not read these, not even where nobody asks for them.
fn is_extended(enabled: &[String]) -> bool {
    enabled.iter().any(|one| one.starts_with("dep:") || one.contains("?/"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn features_of_the_new_kind_stand_apart_and_a_date_has_no_fraction() {
        let features = [("a", "x?/y"), ("b", "dep:x"), ("default", "b")];
        let features = features.map(|(name, one)| (name.to_owned(), vec![one.to_owned()]));
        let described = Described {
            name: "seed".to_owned(),
            version: "1.0.0".to_owned(),
            features: features.into_iter().collect(),
            ..Described::default()
        };
        let now: Timestamp = "2026-01-02T03:04:05.678Z".parse().unwrap();
        let line = Line::new(&described, "00".to_owned(), now);
        let text = serde_json::to_string(&line).unwrap();
        assert_eq!(
            text,
            r#"{"name":"seed","vers":"1.0.0","deps":[],"cksum":"00","features":{"default":["b"]},"features2":{"a":["x?/y"],"b":["dep:x"]},"yanked":false,"v":2,"pubtime":"2026-01-02T03:04:05Z"}"#
        );
        assert_eq!(serde_json::from_str::<Line>(&text).unwrap(), line);
    }
}
