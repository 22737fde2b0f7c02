//! The environment as it was when the program started, and which variables in it are settings.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fmt;

use super::faults::{ConfigFault, Place, nearest};
use super::registry;
use super::setting::{settings, variable};

/// A copy of the environment, handed in so that tests need not change the process's own.
#[derive(Clone, Default)]
pub struct EnvSnapshot(BTreeMap<String, OsString>);

/// Variables that belong to commands, not to garth.toml.
const COMMAND_VARIABLES: &[&str] = &["GARTH_CONFIG", "GARTH_URL", "GARTH_TOKEN"];

impl EnvSnapshot {
    #[allow(clippy::disallowed_methods, reason = "the one place that takes the environment")]
    pub fn of_process() -> Self {
        std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
            .collect()
    }

    /// A variable that is set and not empty: an empty one is what deployment tools write for "unset".
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_os(name)?.to_str()
    }

    pub fn get_os(&self, name: &str) -> Option<&OsStr> {
        self.0.get(name).map(OsString::as_os_str).filter(|value| !value.is_empty())
    }

    pub fn iter(&self) -> impl Iterator<Item = (&str, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_os_str()))
    }

    fn garth_names(&self) -> impl Iterator<Item = &str> {
        self.iter()
            .filter(|(name, value)| name.starts_with("GARTH_") && !value.is_empty())
            .map(|(name, _)| name)
    }

    /// Names of the registries that only variables speak of.
    pub(super) fn registries(&self, in_file: &BTreeSet<String>) -> BTreeSet<String> {
        let known: BTreeSet<String> = in_file.iter().map(|name| variable(name)).collect();
        self.garth_names()
            .filter_map(registry_part)
            .filter(|part| !known.contains(&format!("GARTH_{part}")))
            .map(|part| part.to_ascii_lowercase().replace('_', "-"))
            .collect()
    }

    /// Faults for variables that look like settings and are none.
    pub(super) fn unknown(
        &self,
        registries: &BTreeSet<String>,
        named_by_secrets: &BTreeSet<String>,
    ) -> Vec<ConfigFault> {
        let mut known: BTreeSet<String> = BTreeSet::new();
        for setting in settings() {
            match setting.key.split_once('*') {
                None => {
                    known.insert(setting.variable());
                }
                Some((before, after)) => known.extend(
                    registries.iter().map(|name| variable(&format!("{before}{name}{after}"))),
                ),
            }
        }
        self.garth_names()
            .filter(|name| {
                !known.contains(*name)
                    && !COMMAND_VARIABLES.contains(name)
                    && !named_by_secrets.contains(*name)
                    && !written_by_kubernetes(name)
            })
            .map(|name| {
                let fault = ConfigFault::new(&Place::Variable(name.to_owned()), "unknown setting");
                let guesses = registry_guesses(name);
                let candidates = known.iter().chain(&guesses).map(String::as_str);
                match nearest(name, candidates.chain(COMMAND_VARIABLES.iter().copied())) {
                    Some(near) => fault.remedy(format!("did you mean {near}?")),
                    None => fault.remedy("docs/settings.md lists every setting"),
                }
            })
            .collect()
    }
}

/// What may have been meant where the end of the variable is no setting of a registry: which part of it is
/// the registry's name cannot be known, so each beginning is tried.
fn registry_guesses(name: &str) -> Vec<String> {
    let Some(rest) = name.strip_prefix("GARTH_REGISTRY_") else { return Vec::new() };
    let endings = registry::SETTINGS.iter().filter_map(|row| row.key.split_once("*."));
    rest.match_indices('_')
        .flat_map(|(end, _)| {
            let registry = &rest[..end];
            endings.clone().map(move |(_, last)| {
                format!("GARTH_REGISTRY_{registry}_{}", last.to_ascii_uppercase())
            })
        })
        .collect()
}

/// `NPM` of `GARTH_REGISTRY_NPM_MAX_AGE`, if the end is a setting of a registry.
fn registry_part(name: &str) -> Option<&str> {
    let rest = name.strip_prefix("GARTH_REGISTRY_")?;
    registry::SETTINGS.iter().find_map(|setting| {
        let (_, last) = setting.key.split_once("*.")?;
        let name = rest.strip_suffix(&last.to_ascii_uppercase())?.strip_suffix('_')?;
        (!name.is_empty()).then_some(name)
    })
}

/// Kubernetes sets these in every pod beside a service that is called `garth`.
fn written_by_kubernetes(name: &str) -> bool {
    name == "GARTH_PORT"
        || name == "GARTH_SERVICE_HOST"
        || name.starts_with("GARTH_SERVICE_PORT")
        || name
            .strip_prefix("GARTH_PORT_")
            .is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for EnvSnapshot {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        Self(variables.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

/// Names only: a value may be a secret.
impl fmt::Debug for EnvSnapshot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
