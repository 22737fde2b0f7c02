//! The vocabulary of the whole workspace: ecosystem, package, version, digest.
//!
//! A [`Package`] is one identity, computed once from the decoded name. Access, policy, cache key
//! and upstream address all use that value, so nothing here keeps a second spelling.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// The world a package name belongs to; decides how names compare and versions are ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ecosystem {
    Npm,
    Cargo,
    Nuget,
    Oci,
}

/// A name in an ecosystem, in its normal form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Package {
    ecosystem: Ecosystem,
    name: Arc<str>,
}

/// A version in the spelling of its ecosystem. Order and equality are the business of
/// [`crate::versions`]; as a value it is compared by its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Version(Arc<str>);

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageVersion {
    pub package: Package,
    pub version: Version,
}
