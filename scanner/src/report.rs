//! The result, one file a format. Reports are the same for the same lockfiles, byte for byte.

pub mod cyclonedx;
pub mod text;

use std::borrow::Cow;

use packageurl::PackageUrl;

use crate::Source;
use crate::inventory::Identity;

/// The package as a purl. Absent for local packages: a purl would name a stranger.
pub fn purl(identity: &Identity) -> Option<String> {
    let (namespace, name) = match identity.name.rsplit_once('/') {
        Some((namespace, name)) => (Some(namespace), name),
        None => (None, identity.name.as_str()),
    };
    let mut purl = PackageUrl::new(identity.ecosystem.to_string(), name.to_owned()).ok()?;
    if let Some(namespace) = namespace {
        purl.with_namespace(namespace.to_owned()).ok()?;
    }
    if let Some(version) = &identity.version {
        purl.with_version(version.as_str().to_owned()).ok()?;
    }
    match &identity.source {
        Source::Registry(_) => {}
        Source::Git { repository, commit } => {
            let commit = commit.as_deref().map_or(Cow::Borrowed(""), |it| format!("@{it}").into());
            purl.add_qualifier("vcs_url", format!("git+{repository}{commit}")).ok()?;
        }
        Source::Archive(address) => {
            purl.add_qualifier("download_url", address.clone()).ok()?;
        }
        Source::Local(_) => return None,
    }
    Some(purl.to_string())
}
