//! Which names are published here and asked of no upstream, by the settings.

use std::sync::Arc;

use policies::package::{Ecosystem, Package};
use policies::rules::Pattern;

use crate::config::RegistryConfig;

/// Patterns of own names. Cheap to clone.
#[derive(Clone, Debug)]
pub struct OwnNames {
    patterns: Arc<[Pattern]>,
    texts: Arc<[String]>,
}

impl OwnNames {
    /// Those of one registry. An error names the setting that can not be read.
    pub(super) fn of(registry: &RegistryConfig, ecosystem: Ecosystem) -> Result<Self, String> {
        let read = |own: &String| {
            Pattern::parse_in(ecosystem, own)
                .map_err(|fault| format!("registry.{}.own: {fault}", registry.name))
        };
        let patterns = registry.own.iter().map(read).collect::<Result<_, _>>()?;
        Ok(Self { patterns, texts: registry.own.as_slice().into() })
    }

    /// Those of all registries of the format. That a sibling takes every name says of none that it
    /// is the house's.
    pub(super) fn with_siblings(
        &self,
        registry: &RegistryConfig,
        all: &[RegistryConfig],
        ecosystem: Ecosystem,
    ) -> Result<Self, String> {
        let mut patterns = self.patterns.to_vec();
        let mut texts = self.texts.to_vec();
        let is_sibling = |other: &&RegistryConfig| {
            other.format == registry.format && other.name != registry.name
        };
        for sibling in all.iter().filter(is_sibling) {
            let theirs = Self::of(sibling, ecosystem)?;
            let named =
                theirs.patterns.iter().zip(theirs.texts.iter()).filter(|(pattern, _)| {
                    !matches!(pattern, Pattern::Everything | Pattern::Every(_))
                });
            for (pattern, text) in named {
                patterns.push(pattern.clone());
                texts.push(text.clone());
            }
        }
        Ok(Self { patterns: patterns.into(), texts: texts.into() })
    }

    pub fn matches(&self, package: &Package) -> bool {
        self.patterns.iter().any(|pattern| pattern.matches(package))
    }

    /// As the settings have them.
    pub fn texts(&self) -> &[String] {
        &self.texts
    }
}
