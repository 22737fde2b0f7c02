//! What a crate says of itself that no index does, kept once it was opened: a record a version, since
//! few of a crate's versions are ever fetched.

use std::sync::Arc;

use policies::facts::Facts;
use policies::licence::Licence;
use policies::package::Digest;
use serde::{Deserialize, Serialize};

use super::{Key, Prefix, Record};

/// Of what was opened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct InsideRecord {
    /// The file; of other bytes under this version nothing is known by it.
    pub blob: Digest,
    /// Absent where it can not be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub inside: Option<Inside>,
}

/// What it says. Its texts are anybody's, and bounded where they are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Inside {
    #[serde(default, skip_serializing_if = "Option::is_none", with = "text_of_licence")]
    pub licence: Option<Arc<Licence>>,
    /// It has a build script, or it is a macro that the compiler runs.
    pub runs_code: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rust_version: Option<String>,
}

impl Record for InsideRecord {
    const KIND: &'static str = "inside";
    const PARTS: usize = 3;
}

impl InsideRecord {
    pub fn key(registry: &str, package: &str, version: &str) -> Key<Self> {
        Key::of(&[registry, package, version])
    }

    pub fn of_package(registry: &str, package: &str) -> Prefix<Self> {
        Prefix::of(&[registry, package])
    }

    /// What it takes in memory, about.
    pub fn weight(&self) -> usize {
        let texts = self.inside.iter().flat_map(|inside| {
            let Inside { licence, description, repository, rust_version, .. } = inside;
            let licence = licence.as_ref().map_or(0, |licence| 2 * licence.text().len());
            [description, repository, rust_version]
                .map(|text| text.as_ref().map_or(0, String::len))
                .into_iter()
                .chain([licence])
        });
        size_of::<Self>() + self.blob.bytes().len() + texts.sum::<usize>()
    }
}

impl Inside {
    /// What the index says stands, whatever the crate says; the crate tells the rest.
    pub fn complete<'f>(&'f self, facts: Facts<'f>) -> Facts<'f> {
        let runs_code = self.runs_code || facts.install_scripts == Some(true);
        Facts {
            licence: facts.licence.or(self.licence.as_deref()),
            install_scripts: Some(runs_code),
            description: facts.description.or(self.description.as_deref()),
            repository: facts.repository.or(self.repository.as_deref()),
            rust_version: facts.rust_version.or(self.rust_version.as_deref()),
            ..facts
        }
    }
}

mod text_of_licence {
    use std::sync::Arc;

    use policies::licence::Licence;
    use policies::package::Ecosystem;
    use serde::{Deserialize, Deserializer, Serializer};

    #[allow(clippy::ref_option, reason = "serde calls it")]
    pub fn serialize<S: Serializer>(
        licence: &Option<Arc<Licence>>,
        out: S,
    ) -> Result<S::Ok, S::Error> {
        match licence {
            Some(licence) => out.serialize_some(licence.text()),
            None => out.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Arc<Licence>>, D::Error> {
        let text = Option::<String>::deserialize(from)?;
        Ok(text.map(|text| Arc::new(Licence::new(Ecosystem::Cargo, &text))))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use jiff::Timestamp;
    use policies::package::Ecosystem;

    use super::*;
    use crate::metadata::records::{decode, encode};

    fn inside() -> Inside {
        Inside {
            licence: Some(Arc::new(Licence::new(Ecosystem::Cargo, "MIT/Apache-2.0"))),
            runs_code: false,
            description: Some("a parser".to_owned()),
            repository: Some("https://git.example/x".to_owned()),
            rust_version: Some("1.85".to_owned()),
        }
    }

    #[test]
    fn what_is_written_of_a_crate_is_what_is_read_again() {
        let blob = Digest::sha256_of(b"crate");
        for inside in [None, Some(Inside::default()), Some(inside())] {
            let record = InsideRecord { blob: blob.clone(), inside };
            let read: InsideRecord = decode(b"inside/x", &encode(&record)).unwrap();
            assert_eq!(read, record);
            let licence = read.inside.and_then(|inside| inside.licence);
            assert!(licence.is_none_or(|licence| licence.is_readable()));
        }
    }

    #[test]
    fn what_takes_memory_is_counted() {
        let blob = Digest::sha256_of(b"crate");
        let empty = InsideRecord { blob: blob.clone(), inside: None }.weight();
        let full = InsideRecord { blob, inside: Some(inside()) }.weight();
        let licence = 2 * "MIT/Apache-2.0".len();
        assert_eq!(full - empty, licence + "a parser".len() + "https://git.example/x".len() + 4);
    }

    #[test]
    fn what_the_index_says_stands_and_the_crate_tells_the_rest() {
        let inside = inside();
        let nothing = Facts::at(Timestamp::UNIX_EPOCH);
        let told = inside.complete(nothing);
        assert_eq!(told.licence.map(Licence::text), Some("MIT/Apache-2.0"));
        assert_eq!((told.install_scripts, told.rust_version), (Some(false), Some("1.85")));
        assert_eq!(told.repository, Some("https://git.example/x"));
        let by_index = Facts { install_scripts: Some(true), rust_version: Some("1.70"), ..nothing };
        let told = inside.complete(by_index);
        assert_eq!((told.install_scripts, told.rust_version), (Some(true), Some("1.70")));
    }
}
