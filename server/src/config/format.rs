//! The formats that registries speak.

use std::fmt;

use policies::package::Ecosystem;
use url::Url;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    Npm,
    Oci,
    Cargo,
    Nuget,
    Files,
}

impl Format {
    pub const ALL: &[Self] = &[Self::Npm, Self::Oci, Self::Cargo, Self::Nuget, Self::Files];
    /// What this version can serve; the others are only known by name.
    pub const SERVED: &[Self] = &[Self::Npm, Self::Cargo];

    pub fn name(self) -> &'static str {
        match self {
            Self::Npm => "npm",
            Self::Oci => "oci",
            Self::Cargo => "cargo",
            Self::Nuget => "nuget",
            Self::Files => "files",
        }
    }

    /// The ecosystem whose packages the format carries; plain files are of none.
    pub fn ecosystem(self) -> Option<Ecosystem> {
        match self {
            Self::Npm => Some(Ecosystem::Npm),
            Self::Oci => Some(Ecosystem::Oci),
            Self::Cargo => Some(Ecosystem::Cargo),
            Self::Nuget => Some(Ecosystem::Nuget),
            Self::Files => None,
        }
    }

    pub(super) fn of_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|format| format.name() == name)
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where the public registry of a format keeps its files, if that is not where its documents are: all
/// below the name that its own address lies below.
pub fn usual_hosts(format: Format, upstream: &Url) -> Vec<String> {
    let is_public = format == Format::Cargo
        && tame_index::CRATES_IO_HTTP_INDEX.strip_prefix("sparse+") == Some(upstream.as_str());
    let site = upstream.domain().and_then(|host| host.split_once('.')).map(|(_, site)| site);
    let site = site.filter(|site| is_public && site.contains('.'));
    site.map(|site| format!("*.{site}")).into_iter().collect()
}
