//! What is known of a version when it is decided, gathered in one way for the gate and for whoever
//! explains what it does.
//!
//! What is not remembered is unknown; `policies` sees to it that the unknown opens nothing.

use std::sync::Arc;

use jiff::Timestamp;
use policies::advisories::PackageAdvisories;
use policies::facts::{Facts, KnownAdvisory, Missing, Stated};
use policies::package::Version;

use crate::metadata::records::VersionRecord;

/// What a registry of this garden remembers of one version.
#[derive(Clone, Copy, Debug)]
pub struct Remembered<'a> {
    /// That which is asked; absent where none is meant.
    pub registry: Option<&'a str>,
    pub record: Option<&'a VersionRecord>,
    /// By the same document that the record was made of.
    pub stated: Option<&'a Stated>,
}

impl Remembered<'_> {
    /// Nothing at all, so that only what asks for no fact can open.
    pub const NOTHING: Self = Self { registry: None, record: None, stated: None };
}

/// What is known of a package beside its documents.
#[derive(Clone, Debug, Default)]
pub struct About<'r> {
    pub advisories: Option<Arc<PackageAdvisories>>,
    pub similar_to: Option<&'r str>,
}

/// What of that speaks of one version. The default is that nothing is known.
#[derive(Debug, Default)]
pub struct Said<'r> {
    advisories: Option<Vec<KnownAdvisory>>,
    fixes: Option<bool>,
    similar_to: Option<&'r str>,
}

impl<'r> Said<'r> {
    pub fn of(about: &About<'r>, version: &Version) -> Self {
        let (known, version) = (about.advisories.as_deref(), version.as_str());
        Self {
            advisories: known.and_then(|known| known.fact(version)),
            fixes: known.and_then(|known| known.fixing_fact(version)),
            similar_to: about.similar_to,
        }
    }
}

pub fn gather_facts<'a>(
    now: Timestamp,
    remembered: &Remembered<'a>,
    said: &'a Said<'_>,
) -> Facts<'a> {
    let Remembered { registry, record, stated } = *remembered;
    let facts = Facts {
        registry,
        published: record.and_then(|record| record.published),
        first_seen: record.map(|record| record.first_seen),
        own: record.is_some_and(|record| record.own && record.vanished.is_none()),
        size: record.and_then(|record| record.size),
        compared: record.and_then(|record| record.compared.as_ref()).map(|compared| compared.found),
        advisories: said.advisories.as_deref(),
        fixes_advisory: said.fixes,
        similar_to: said.similar_to,
        ..Facts::at(now)
    };
    let facts = stated.map_or(facts, |stated| facts.stated(stated));
    let opened = record.and_then(|record| record.inside.as_ref());
    let facts = match opened {
        Some(_) => Facts { pending: Missing::NONE, ..facts },
        None => facts,
    };
    let inside = opened.and_then(|opened| opened.inside.as_ref());
    inside.map_or(facts, |inside| inside.complete(facts))
}

#[cfg(test)]
mod tests {
    use policies::facts::Comparison;
    use policies::package::Digest;

    use super::*;
    use crate::metadata::records::{Compared, Inside, InsideRecord};

    /// Of a version that was fetched, and not compared yet.
    fn record() -> VersionRecord {
        VersionRecord {
            first_seen: Timestamp::UNIX_EPOCH,
            published: None,
            digests: [].into(),
            vanished: None,
            conflict: None,
            own: false,
            compared: None,
            size: Some(7),
            inside: None,
        }
    }

    #[test]
    fn what_came_of_a_comparison_is_a_fact() {
        let (now, said) = (Timestamp::UNIX_EPOCH, Said::default());
        let mut record = record();
        let facts = |record: Option<&VersionRecord>| {
            let remembered = Remembered { registry: Some("npm"), record, stated: None };
            let facts = gather_facts(now, &remembered, &said);
            (facts.compared, facts.contradicts(), facts.size)
        };
        assert_eq!(facts(Some(&record)), (None, None, Some(7)));
        let found = Comparison::Contradicts;
        record.compared = Some(Compared { found, said: String::new() });
        assert_eq!(facts(Some(&record)), (Some(found), Some(true), Some(7)));
        assert_eq!(facts(None), (None, None, None));
    }

    #[test]
    fn what_an_artifact_alone_says_is_a_fact_once_it_was_opened() {
        let (now, said) = (Timestamp::UNIX_EPOCH, Said::default());
        let inside = Inside { description: Some("a parser".to_owned()), ..Inside::default() };
        let opened = |inside| {
            let blob = Digest::sha256_of(b"crate");
            let inside = Some(Arc::new(InsideRecord { blob, inside }));
            let record = VersionRecord { inside, ..record() };
            let remembered =
                Remembered { registry: Some("cargo"), record: Some(&record), stated: None };
            let facts = gather_facts(now, &remembered, &said);
            (facts.description.map(str::to_owned), facts.install_scripts)
        };
        assert_eq!(opened(Some(inside)), (Some("a parser".to_owned()), Some(false)));
        assert_eq!(opened(None), (None, None), "it can not be read, so nobody knows");
    }

    #[test]
    fn what_a_document_states_is_a_fact_and_nothing_is_where_there_is_none() {
        let said = Said { similar_to: Some("express"), ..Said::default() };
        let stated = Stated { deprecated: Some(true), dependencies: Some(3), ..Stated::default() };
        let facts = |stated| {
            let remembered = Remembered { registry: Some("npm"), record: None, stated };
            let facts = gather_facts(Timestamp::UNIX_EPOCH, &remembered, &said);
            assert_eq!((facts.registry, facts.similar_to), (Some("npm"), Some("express")));
            (facts.deprecated, facts.dependencies, facts.provenance)
        };
        assert_eq!(facts(Some(&stated)), (Some(true), Some(3), None));
        assert_eq!(facts(None), (None, None, None));
    }
}
