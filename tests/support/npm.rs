//! The real npm in a clean home.

use std::ops::Deref;

use crate::package_managers::{Kind, PackageManager};

pub use crate::package_managers::Printed;

/// A person whose package manager is npm.
pub struct Npm(PackageManager);

impl Npm {
    /// `registry` is what npm is set to, as in an .npmrc.
    pub fn new(registry: &str) -> Self {
        Self(PackageManager::new(Kind::Npm, registry))
    }
}

impl Deref for Npm {
    type Target = PackageManager;

    fn deref(&self) -> &PackageManager {
        &self.0
    }
}

/// npm's own default, whatever this machine is set to.
pub fn default_registry() -> String {
    let npm = PackageManager::without_registry(Kind::Npm);
    npm.must(&["config", "get", "registry"]).stdout.trim().to_owned()
}
