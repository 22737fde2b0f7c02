//! Which of a lockfile's versions a run is about: those of one registry, since a name says nothing of
//! where it is from. Pure.

use std::collections::BTreeSet;

use policies::package::{Ecosystem, PackageVersion};

use super::{DEFAULT, Lockfile};

/// A registry that somebody names, as a lockfile may have it.
#[derive(Debug)]
pub(in crate::cli) struct Named {
    pub address: String,
    pub has_upstream: bool,
}

/// Where a version is from, to somebody who asks about one registry.
#[derive(Clone, Copy, PartialEq, Eq)]
enum From {
    /// From that one.
    There,
    /// From where a client looks that is told nothing else.
    Default,
    Other,
}

/// npm writes where a file lies, which is its registry at a garth alone.
fn from(address: Option<&str>, ecosystem: Ecosystem, named: Option<&Named>) -> From {
    let plain =
        |address: &str| address.trim_start_matches("sparse+").trim_end_matches('/').to_owned();
    let there = named.map(|named| plain(&named.address));
    let Some(address) = address.map(plain) else { return From::Default };
    let Some(there) = there else {
        return if ecosystem == Ecosystem::Cargo { From::Other } else { From::Default };
    };
    let garth = there.rsplit_once('/').map_or(there.as_str(), |(garth, _)| garth);
    let is_here = address.strip_prefix(garth).is_some_and(|rest| rest.starts_with('/'));
    match () {
        () if address == there => From::There,
        () if is_here || ecosystem == Ecosystem::Cargo => From::Other,
        () => From::Default,
    }
}

impl Lockfile {
    /// Takes those of this registry, or of the one that a client is set to, and tells of the others.
    pub(in crate::cli) fn of_registry(mut self, named: Option<&Named>) -> Self {
        let place = |address: &Option<String>, versions: &BTreeSet<PackageVersion>| {
            let ecosystem =
                versions.first().map_or(Ecosystem::Cargo, |one| one.package.ecosystem());
            from(address.as_deref(), ecosystem, named)
        };
        let by_address = std::mem::take(&mut self.by_address);
        let any = |what| by_address.iter().any(|(at, versions)| place(at, versions) == what);
        let has_upstream = named.is_none_or(|named| named.has_upstream);
        // npm's has addresses of before it was pointed here beside those of now.
        let is_one = !any(From::Other) && has_upstream;
        let taken = match (any(From::There), has_upstream) {
            (true, _) | (false, false) => From::There,
            (false, true) => From::Default,
        };
        for (address, versions) in by_address {
            let is_npm = versions.iter().any(|one| one.package.ecosystem() == Ecosystem::Npm);
            let place = place(&address, &versions);
            if place == taken || (is_one && is_npm && place == From::Default) {
                self.versions.extend(versions);
            } else {
                let named = address.unwrap_or_else(|| DEFAULT.to_owned());
                self.of_others.insert(named, versions.len());
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const GARTH: &str = "https://garth.example.com/";
    const PUBLIC: &str = "https://public.example.com/";

    fn taken(entries: &[(&str, &str)], named: Option<(&str, bool)>) -> Vec<String> {
        let mut lockfile = Lockfile::default();
        for (address, version) in entries {
            let address = Some((*address).to_owned()).filter(|address| !address.is_empty());
            let versions = lockfile.by_address.entry(address).or_default();
            versions.insert(version.parse().unwrap());
        }
        let named = named
            .map(|(name, has_upstream)| Named { address: format!("{GARTH}{name}/"), has_upstream });
        let lockfile = lockfile.of_registry(named.as_ref());
        let left: usize = lockfile.of_others.values().sum();
        assert_eq!(lockfile.versions.len() + left, entries.len(), "each is told of");
        lockfile.versions.iter().map(|one| one.package.name().to_owned()).collect()
    }

    #[test]
    fn a_run_takes_what_is_of_one_registry() {
        let (acme, npm, partner) =
            (format!("sparse+{GARTH}acme/"), format!("{GARTH}npm/"), format!("{GARTH}partner/"));
        let strange = "sparse+https://mirror.example.com/api/cargo/";
        let crates = [
            ("", "cargo:open@1.0.0"),
            (&*acme, "cargo:acme@1.0.0"),
            (strange, "cargo:theirs@1.0.0"),
        ];
        for (named, expected) in [
            (None, vec!["open"]),
            (Some(("acme", false)), vec!["acme"]),
            (Some(("cargo", true)), vec!["open"]),
            (Some(("mine", false)), vec![]),
        ] {
            assert_eq!(taken(&crates, named), expected, "{named:?}");
        }
        let mixed = [(&*npm, "npm:a@1.0.0"), (PUBLIC, "npm:b@1.0.0"), ("", "npm:c@1.0.0")];
        let two = [(&*npm, "npm:a@1.0.0"), (&*partner, "npm:p@1.0.0")];
        for (entries, named, expected) in [
            (&mixed[..], None, vec!["a", "b", "c"]),
            (&mixed[..], Some(("npm", true)), vec!["a", "b", "c"]),
            (&mixed[1..], Some(("npm", true)), vec!["b", "c"]),
            (&two[..], Some(("npm", true)), vec!["a"]),
            (&two[..], Some(("partner", true)), vec!["p"]),
        ] {
            assert_eq!(taken(entries, named), expected, "{named:?}");
        }
    }
}
