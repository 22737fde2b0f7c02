//! The facts of one version, written down: for people who decide, and to decide again later.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Comparison, Facts, KnownAdvisory};
use crate::licence::Licence;

/// What was known of a version at a moment. Each name is that which conditions use; `null` is what
/// was not known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default)]
pub struct FactSheet {
    /// The name of the registry that it is asked of.
    pub registry: Option<String>,
    /// By the upstream's date, which the publisher controls.
    pub published: Option<Timestamp>,
    /// By our own clock.
    pub first_seen: Option<Timestamp>,
    /// It was published here.
    pub own: bool,
    /// As it is stated; it may be no SPDX expression.
    pub licence: Option<String>,
    /// Those that name it.
    pub advisories: Option<Vec<KnownAdvisory>>,
    /// It is the first version in which some advisory no longer holds.
    pub fixes_advisory: Option<bool>,
    /// Its author advises against it.
    pub deprecated: Option<bool>,
    /// Its author took it back.
    pub yanked: Option<bool>,
    /// It is there, and is not listed.
    pub unlisted: Option<bool>,
    /// It runs code of its own when it is installed.
    pub install_scripts: Option<bool>,
    /// It carries a checked statement of where it was built.
    pub provenance: Option<bool>,
    /// Who published it.
    pub publisher: Option<String>,
    /// Somebody else published it than the version before.
    pub publisher_changed: Option<bool>,
    /// How many packages it depends on directly.
    pub dependencies: Option<u32>,
    /// In bytes, as it is downloaded.
    pub size: Option<u64>,
    /// The better known package that its name resembles; empty where it resembles none.
    pub similar_to: Option<String>,
    /// Its artifact says something else than its registry says of it.
    pub contradicts: Option<bool>,
    /// What came of opening its artifact, which says why `contradicts` may not be known.
    pub compared: Option<Comparison>,
    /// What it is, in its author's words.
    pub description: Option<String>,
    /// Where its source is, by its author's word.
    pub repository: Option<String>,
    /// The oldest compiler that it is meant for.
    pub rust_version: Option<String>,
}

impl FactSheet {
    /// The facts that are written here, with the licence read.
    pub fn facts<'s>(&'s self, licence: Option<&'s Licence>, now: Timestamp) -> Facts<'s> {
        let compared = |contradicts: bool| {
            if contradicts { Comparison::Contradicts } else { Comparison::Agrees }
        };
        Facts {
            registry: self.registry.as_deref(),
            published: self.published,
            first_seen: self.first_seen,
            own: self.own,
            licence,
            advisories: self.advisories.as_deref(),
            fixes_advisory: self.fixes_advisory,
            deprecated: self.deprecated,
            yanked: self.yanked,
            unlisted: self.unlisted,
            install_scripts: self.install_scripts,
            provenance: self.provenance,
            publisher: self.publisher.as_deref(),
            publisher_changed: self.publisher_changed,
            dependencies: self.dependencies,
            size: self.size,
            similar_to: self.similar_to.as_deref(),
            compared: self.compared.or(self.contradicts.map(compared)),
            description: self.description.as_deref(),
            repository: self.repository.as_deref(),
            rust_version: self.rust_version.as_deref(),
            ..Facts::at(now)
        }
    }
}

impl From<&Facts<'_>> for FactSheet {
    fn from(facts: &Facts<'_>) -> Self {
        Self {
            registry: facts.registry.map(str::to_owned),
            published: facts.published,
            first_seen: facts.first_seen,
            own: facts.own,
            licence: facts.licence.map(|licence| licence.text().to_owned()),
            advisories: facts.advisories.map(<[KnownAdvisory]>::to_vec),
            fixes_advisory: facts.fixes_advisory,
            deprecated: facts.deprecated,
            yanked: facts.yanked,
            unlisted: facts.unlisted,
            install_scripts: facts.install_scripts,
            provenance: facts.provenance,
            publisher: facts.publisher.map(str::to_owned),
            publisher_changed: facts.publisher_changed,
            dependencies: facts.dependencies,
            size: facts.size,
            similar_to: facts.similar_to.map(str::to_owned),
            contradicts: facts.contradicts(),
            compared: facts.compared,
            description: facts.description.map(str::to_owned),
            repository: facts.repository.map(str::to_owned),
            rust_version: facts.rust_version.map(str::to_owned),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::facts::Fact;

    #[test]
    fn every_fact_stands_there_by_the_name_that_conditions_use() {
        let facts = Facts::at(Timestamp::UNIX_EPOCH);
        let json = serde_json::to_value(FactSheet::from(&facts)).unwrap();
        let written: BTreeSet<&str> =
            json.as_object().unwrap().keys().map(String::as_str).collect();
        // Each advisory has its severity.
        for fact in Fact::ALL.into_iter().filter(|fact| *fact != Fact::Severity) {
            assert!(written.contains(fact.name()), "{fact:?}");
            assert!(json[fact.name()].is_null(), "{fact:?}");
        }
        assert_eq!(serde_json::from_value::<FactSheet>(json).unwrap(), FactSheet::from(&facts));
    }
    #[test]
    fn what_is_written_is_what_is_read_again() {
        let licence = Licence::new(crate::package::Ecosystem::Npm, "MIT");
        let none: [KnownAdvisory; 0] = [];
        let facts = Facts {
            published: Some(Timestamp::UNIX_EPOCH),
            licence: Some(&licence),
            advisories: Some(&none),
            publisher: Some("ann"),
            size: Some(7),
            repository: Some("https://git.example/x"),
            compared: Some(Comparison::Contradicts),
            ..Facts::at(Timestamp::UNIX_EPOCH)
        };
        let sheet = FactSheet::from(&facts);
        let again = sheet.facts(Some(&licence), Timestamp::UNIX_EPOCH);
        assert_eq!(FactSheet::from(&again), sheet);
    }
}
