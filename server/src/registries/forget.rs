//! `garth forget`: a name that is own now, and was known from the upstream before.

use policies::package::{Ecosystem, Package, Version};

use super::Registry;
use crate::pull::forget::{ForgetError, Forgotten};

impl Registry {
    /// Drops what the upstream said of a name that is own. Others keep what is remembered of them,
    /// because that is what they are held against.
    pub async fn forget(&self, package: &Package) -> Result<Forgotten, ForgetError> {
        let garden = &self.garden;
        let forgotten = match package.ecosystem() {
            Ecosystem::Npm => {
                let (artifacts, plain) = (&garden.artifacts, &garden.plain);
                garden.npm_documents.forget(artifacts, plain, &self.own_source, package).await?
            }
            Ecosystem::Cargo => {
                let (artifacts, plain) = (&garden.artifacts, &garden.plain);
                garden.cargo_documents.forget(artifacts, plain, &self.own_source, package).await?
            }
            // Not served by this version, so nothing is known of them.
            _ => Forgotten::default(),
        };
        let Forgotten { documents, versions, files } = forgotten;
        tracing::warn!(registry = %self.name, %package, documents, versions, files, "what the upstream said of an own name was forgotten, as an admin asked");
        Ok(forgotten)
    }

    /// Drops files of a version that are held, so that they are fetched anew when they are asked for.
    pub async fn evict(
        &self,
        package: &Package,
        version: &Version,
        files: &[String],
    ) -> Result<(), ForgetError> {
        let garden = &self.garden;
        match package.ecosystem() {
            Ecosystem::Npm => {
                let (artifacts, source) = (&garden.artifacts, self.source_of(package));
                garden.npm_documents.evict(artifacts, source, package, version, files).await
            }
            Ecosystem::Cargo => {
                let (artifacts, source) = (&garden.artifacts, self.source_of(package));
                garden.cargo_documents.evict(artifacts, source, package, version, files).await
            }
            // Not served by this version, so nothing is held of them.
            _ => Ok(()),
        }
    }
}
