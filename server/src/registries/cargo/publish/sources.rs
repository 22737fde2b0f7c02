//! Where the dependencies of an own crate come from, and whether they may.
//!
//! Pure. The index names another index beside a dependency, and cargo fetches from there: what comes
//! from anywhere else would come into a build beside the garden. So a dependency comes from this
//! registry, from another one of this garth, from the upstream, or from cargo's own index, which
//! clients of a garth have replaced by it; and from wherever else the settings say.

use super::super::upstream::addresses::{is_cargos_own, plain};
use super::described::{Dependency, Described};

/// Which indexes there are, by their addresses.
#[derive(Clone, Debug)]
pub struct Indexes {
    /// The registry that is published to, as whoever publishes calls it.
    pub here: String,
    /// What the addresses of all registries here begin with, by the settings: what whoever publishes
    /// calls this garth is no ground to send others there.
    pub garth: Option<String>,
    /// Those that own crates may depend on beside it.
    pub others: Vec<String>,
}

impl Indexes {
    /// The dependencies of the crate, each with the index that the line names. An error says what is
    /// wrong with one.
    pub fn check(&self, sent: &Described, packed: &Described) -> Result<Vec<Dependency>, String> {
        let pairs = sent.dependencies_in_order().into_iter().zip(packed.dependencies_in_order());
        pairs.map(|(sent, packed)| self.check_one(sent, packed)).collect()
    }

    fn check_one(&self, sent: &Dependency, packed: &Dependency) -> Result<Dependency, String> {
        let name = sent.of();
        let index = match (&sent.index, &packed.index) {
            (None, Some(packed)) if self.is_here(packed) => None,
            (Some(sent), None) if is_cargos_own(sent) => Some(sent),
            (Some(sent), Some(packed)) if plain(sent) == plain(packed) => Some(sent),
            _ => {
                return Err(format!(
                    "its Cargo.toml says that the dependency {name:?} comes from another registry than is said beside it"
                ));
            }
        };
        if let Some(index) = index
            && !self.permit(index)
        {
            let index: String = index.chars().take(200).collect();
            let unsaid = match self.garth {
                Some(_) => "",
                None => ", whose address the settings do not say (public_url)",
            };
            return Err(format!(
                "its dependency {name:?} comes from {index:?}, which is no registry of this garth{unsaid}: whoever builds with it would fetch that beside the garden. Whoever runs this garth permits it with dependency_indexes in the settings of the registry"
            ));
        }
        Ok(Dependency { index: index.cloned(), ..packed.clone() })
    }

    fn is_here(&self, index: &str) -> bool {
        plain(index) == plain(&self.here)
    }

    fn permit(&self, index: &str) -> bool {
        let is_of_this_garth = || {
            let garth = plain(self.garth.as_deref()?);
            plain(index).strip_prefix(garth)?.strip_prefix('/').filter(|name| !name.contains('/'))
        };
        is_cargos_own(index)
            || is_of_this_garth().is_some()
            || self.others.iter().any(|other| plain(other) == plain(index))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::super::upstream::addresses::CARGOS_OWN;
    use super::*;

    /// The index of a line where the JSON and the Cargo.toml say these.
    fn index(
        sent: Option<&str>,
        packed: Option<&str>,
        is_named: bool,
    ) -> Result<Option<String>, String> {
        let one = |index: Option<&str>| {
            let text = "[package]\nname = \"a\"\nversion = \"1.0.0\"\n[dependencies]\nb = \"1\"\n";
            let mut described = Described::packed(&text.parse().unwrap()).unwrap();
            described.dependencies[0].index = index.map(str::to_owned);
            described
        };
        let indexes = Indexes {
            here: "https://garth.example.com/cargo".to_owned(),
            garth: is_named.then(|| "https://garth.example.com/".to_owned()),
            others: vec!["sparse+https://other.example.com/index/".to_owned()],
        };
        let checked = indexes.check(&one(sent), &one(packed))?;
        Ok(checked.into_iter().next().unwrap().index)
    }

    #[test]
    fn a_dependency_comes_from_an_index_that_leads_through_the_garden() {
        let public = CARGOS_OWN[0];
        let rows = [
            (None, Some("sparse+https://garth.example.com/cargo/"), Some(None)),
            (None, Some("sparse+https://evil.example.com/cargo/"), None),
            (Some(public), None, Some(Some(public))),
            (Some(public), Some(public), Some(Some(public))),
            (
                Some("sparse+https://garth.example.com/crates/"),
                Some("sparse+https://garth.example.com/crates/"),
                Some(Some("sparse+https://garth.example.com/crates/")),
            ),
            (
                Some("sparse+https://other.example.com/index/"),
                Some("sparse+https://other.example.com/index"),
                Some(Some("sparse+https://other.example.com/index/")),
            ),
            (None, None, None),
            (None, Some("sparse+https://garth.example.com/other/"), None),
            (None, Some("sparse+https://evil.example.com/index/"), None),
            (Some("sparse+https://evil.example.com/index/"), None, None),
            (Some(public), Some("sparse+https://evil.example.com/index/"), None),
            (
                Some("sparse+https://evil.example.com/index/"),
                Some("sparse+https://evil.example.com/index/"),
                None,
            ),
            (
                Some("sparse+https://garth.example.com.evil.example/x"),
                Some("sparse+https://garth.example.com.evil.example/x"),
                None,
            ),
        ];
        for (sent, packed, expected) in rows {
            let found = index(sent, packed, true).ok();
            let expected = expected.map(|index| index.map(str::to_owned));
            assert_eq!(found, expected, "{sent:?} {packed:?}");
        }
    }

    #[test]
    fn a_name_that_a_client_gives_this_garth_permits_nothing() {
        let other = Some("sparse+https://garth.example.com/crates/");
        assert!(index(other, other, true).is_ok());
        assert!(index(other, other, false).is_err());
    }
}
