//! The vocabulary of the whole workspace: ecosystem, package, version, digest.
//!
//! A [`Package`] is one identity, computed once from the decoded name. Access, policy, cache key
//! and upstream address all use that value, so nothing here keeps a second spelling. What a person
//! types (`npm:@scope/name@^1`, `pkg:npm/%40scope/name`) is read in [`spelling`]; which names exist
//! at all is decided in [`names`].

mod digest;
mod names;
mod schema;
mod spelling;

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use digest::{Algorithm, Digest, InvalidDigest};
pub use names::MAX_NAME;
pub(crate) use names::{collision_key, is_name_byte};
pub use spelling::Spelling;

/// The world a package name belongs to; decides how names compare and versions are ordered.
#[derive(
    Clone,
    Copy,
    Debug,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(rename_all = "lowercase")]
pub enum Ecosystem {
    Npm,
    Cargo,
    Nuget,
    Oci,
}

impl Ecosystem {
    pub const ALL: [Self; 4] = [Self::Npm, Self::Cargo, Self::Nuget, Self::Oci];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Cargo => "cargo",
            Self::Nuget => "nuget",
            Self::Oci => "oci",
        }
    }
}

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Ecosystem {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::ALL
            .into_iter()
            .find(|ecosystem| ecosystem.as_str() == text)
            .ok_or_else(|| InvalidName::new(text, "it is none of npm, cargo, nuget, oci"))
    }
}

/// Why a text is no package or version; fit to be shown to whoever sent it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{shown:?} cannot be used: {why}")]
pub struct InvalidName {
    shown: String,
    why: Cow<'static, str>,
}

impl InvalidName {
    pub(crate) fn new(text: &str, why: impl Into<Cow<'static, str>>) -> Self {
        // Hostile names can be long; the message must not be.
        Self { shown: text.chars().take(80).collect(), why: why.into() }
    }

    /// The reason alone, without the name.
    pub fn why(&self) -> &str {
        &self.why
    }
}

/// A name in an ecosystem, in its normal form.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Package {
    ecosystem: Ecosystem,
    name: Arc<str>,
}

impl Package {
    /// `name` is the decoded name (`@scope/name`), never one with percent signs in it.
    pub fn new(ecosystem: Ecosystem, name: &str) -> Result<Self, InvalidName> {
        let name = names::normalise(ecosystem, name)?;
        Ok(Self { ecosystem, name: Arc::from(name.as_ref()) })
    }

    pub const fn ecosystem(&self) -> Ecosystem {
        self.ecosystem
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// Equal for names that the ecosystem takes for one: `serde-derive` and `Serde_Derive`.
    pub fn collision_key(&self) -> Cow<'_, str> {
        names::collision_key(self.ecosystem, &self.name)
    }

    /// `@scope` of an npm name.
    pub fn scope(&self) -> Option<&str> {
        match self.ecosystem {
            Ecosystem::Npm if self.name.starts_with('@') => {
                self.name.split_once('/').map(|(scope, _)| scope)
            }
            _ => None,
        }
    }

    /// `pkg:npm/%40scope/name`.
    pub fn purl(&self) -> String {
        spelling::purl(self, None)
    }
}

impl fmt::Display for Package {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.ecosystem, self.name)
    }
}

impl FromStr for Package {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let spelling = Spelling::parse(text)?;
        match spelling.version {
            None => Self::new(spelling.ecosystem, &spelling.name),
            Some(_) => Err(InvalidName::new(text, "a package is meant here, without a version")),
        }
    }
}

impl TryFrom<String> for Package {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<Package> for String {
    fn from(package: Package) -> Self {
        package.to_string()
    }
}

/// A version in the spelling of its ecosystem. Order and equality are the business of
/// [`crate::versions`]; as a value it is compared by its text.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Version(Arc<str>);

impl Version {
    /// Accepts what can be a version, tag or digest anywhere, and nothing that could be a path.
    pub fn new(text: &str) -> Result<Self, InvalidName> {
        names::check_version(text)?;
        Ok(Self(Arc::from(text)))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Version {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        Self::new(text)
    }
}

impl TryFrom<String> for Version {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        Self::new(&text)
    }
}

impl From<Version> for String {
    fn from(version: Version) -> Self {
        version.0.as_ref().to_owned()
    }
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PackageVersion {
    pub package: Package,
    pub version: Version,
}

impl PackageVersion {
    /// `pkg:npm/%40scope/name@1.0.0`.
    pub fn purl(&self) -> String {
        spelling::purl(&self.package, Some(self.version.as_str()))
    }
}

impl fmt::Display for PackageVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let version = self.version.as_str();
        let separator = match self.package.ecosystem() {
            Ecosystem::Oci if !version.contains(':') => ':',
            _ => '@',
        };
        write!(f, "{}{separator}{version}", self.package)
    }
}

impl FromStr for PackageVersion {
    type Err = InvalidName;

    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let spelling = Spelling::parse(text)?;
        let Some(version) = &spelling.version else {
            return Err(InvalidName::new(text, "the version is missing, as in npm:left-pad@1.3.0"));
        };
        Ok(Self {
            package: Package::new(spelling.ecosystem, &spelling.name)?,
            version: Version::new(version)?,
        })
    }
}

impl TryFrom<String> for PackageVersion {
    type Error = InvalidName;

    fn try_from(text: String) -> Result<Self, InvalidName> {
        text.parse()
    }
}

impl From<PackageVersion> for String {
    fn from(version: PackageVersion) -> Self {
        version.to_string()
    }
}

#[cfg(test)]
mod tests;
