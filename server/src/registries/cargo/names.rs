//! The paths of a crates registry: what a client asks for, and how we spell it.
//!
//! Pure. A path is split at its slashes and each segment is decoded once. Names differ by more than
//! case and `-` or `_` at no registry; a [`Package`] has them in lower case, as the index does, and
//! rules take `-` and `_` for one. In an index path the folders follow from the name: a path whose
//! folders do not fit is the path of nothing.

use percent_encoding::percent_decode_str;
use policies::package::{Ecosystem, Package, Version};

/// What a path asks for. Which methods it has is said where it is dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/config.json`
    Config,
    /// `/se/rd/serde`: the index file of a crate.
    Index(Package),
    /// `/api/v1/crates/{crate}/{version}/download`, where cargo finds a crate by our `config.json`.
    Download(Package, Version),
    /// `/crates/{crate}/{crate}-{version}.crate`: the same at the place that mirrors keep it at.
    File(Package, Version),
    /// `/me`: where cargo sends whoever has no token.
    Me,
    /// `/api/v1/crates/new`: what is published names its crate in its body.
    Publish,
    /// `/api/v1/crates`
    Search,
    /// `/api/v1/crates/{crate}/{version}/yank`
    Yank(Package, Version),
    /// `/api/v1/crates/{crate}/{version}/unyank`
    Unyank(Package, Version),
    /// `/api/v1/crates/{crate}/owners`
    Owners(Package),
    /// Everything else below `/api/v1/`.
    Api,
}

impl Endpoint {
    /// The one package that it is about.
    pub fn package(&self) -> Option<&Package> {
        match self {
            Self::Index(package)
            | Self::Download(package, _)
            | Self::File(package, _)
            | Self::Yank(package, _)
            | Self::Unyank(package, _)
            | Self::Owners(package) => Some(package),
            Self::Config | Self::Me | Self::Publish | Self::Search | Self::Api => None,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// 400: no registry could have meant this.
    #[error("{0}")]
    Malformed(String),
    /// 404: a path that crates registries do not have, or that garth does not serve.
    #[error("this garth does not answer this path of a crates registry")]
    Unknown,
}

/// Reads the part of a request's path that follows the registry's name, still encoded.
pub fn parse_path(path: &str) -> Result<Endpoint, PathError> {
    let tokens = decode_tokens(path)?;
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    match tokens.as_slice() {
        ["config.json"] => Ok(Endpoint::Config),
        ["me"] => Ok(Endpoint::Me),
        ["api", "v1", "crates", name, version, "download"] => {
            Ok(Endpoint::Download(package(name)?, version_of(version)?))
        }
        ["api", "v1", "crates"] => Ok(Endpoint::Search),
        ["api", "v1", "crates", "new"] => Ok(Endpoint::Publish),
        ["api", "v1", "crates", name, "owners"] => Ok(Endpoint::Owners(package(name)?)),
        ["api", "v1", "crates", name, version, "yank"] => {
            Ok(Endpoint::Yank(package(name)?, version_of(version)?))
        }
        ["api", "v1", "crates", name, version, "unyank"] => {
            Ok(Endpoint::Unyank(package(name)?, version_of(version)?))
        }
        ["api", "v1", ..] => Ok(Endpoint::Api),
        ["crates", name, file] => parse_file(name, file),
        [folders @ .., name] => parse_index(folders, name),
        [] => Err(PathError::Unknown),
    }
}

fn decode_tokens(path: &str) -> Result<Vec<String>, PathError> {
    // An address that ends in a slash comes with two of them.
    let path = path.trim_start_matches('/');
    path.split('/')
        .map(|segment| {
            let decoded = percent_decode_str(segment)
                .decode_utf8()
                .map_err(|_| malformed("the path is not UTF-8"))?;
            check_segment(&decoded)?;
            Ok(decoded.into_owned())
        })
        .collect()
}

fn check_segment(segment: &str) -> Result<(), PathError> {
    if segment.is_empty() {
        return Err(PathError::Unknown);
    }
    if segment.contains('%') {
        return Err(malformed("the path is encoded twice"));
    }
    if segment == "." || segment == ".." || segment.contains(['/', '\\']) {
        return Err(malformed("the path leaves its crate"));
    }
    if segment.chars().any(char::is_control) {
        return Err(malformed("the path holds a control character"));
    }
    Ok(())
}

fn parse_file(name: &str, file: &str) -> Result<Endpoint, PathError> {
    let package = package(name)?;
    let is_named = |head: &str| head.eq_ignore_ascii_case(name);
    let (_, rest) =
        file.split_at_checked(name.len()).filter(|(head, _)| is_named(head)).unwrap_or_default();
    let rest = rest.strip_prefix('-');
    let version = rest.and_then(|rest| rest.strip_suffix(".crate")).ok_or(PathError::Unknown)?;
    Ok(Endpoint::File(package, version_of(version)?))
}

fn parse_index(folders: &[&str], name: &str) -> Result<Endpoint, PathError> {
    if !matches!(folders.len(), 1 | 2) {
        return Err(PathError::Unknown);
    }
    let package = Package::new(Ecosystem::Cargo, name).map_err(|_| PathError::Unknown)?;
    // The index has one path for a crate: folders and name in lower case.
    let asked = [folders, &[name]].concat().join("/");
    if asked != index_path(&package) {
        return Err(PathError::Unknown);
    }
    Ok(Endpoint::Index(package))
}

fn package(name: &str) -> Result<Package, PathError> {
    Package::new(Ecosystem::Cargo, name).map_err(|fault| malformed(&fault.to_string()))
}

fn version_of(text: &str) -> Result<Version, PathError> {
    Version::new(text).map_err(|fault| malformed(&fault.to_string()))
}

fn malformed(why: &str) -> PathError {
    PathError::Malformed(why.to_owned())
}

/// Where the index keeps this crate: `se/rd/serde`.
pub fn index_path(package: &Package) -> String {
    let name = package.name();
    format!("{}/{name}", index_folders(name))
}

/// The folders of an index, in the case of `name`.
pub fn index_folders(name: &str) -> String {
    // A crate's name is ASCII.
    match name.len() {
        0 => String::new(),
        1 => "1".to_owned(),
        2 => "2".to_owned(),
        3 => format!("3/{}", &name[..1]),
        _ => format!("{}/{}", &name[..2], &name[2..4]),
    }
}

/// The file of a version, as cargo calls it.
pub fn crate_file(package: &Package, version: &Version) -> String {
    [package.name(), "-", version.as_str(), ".crate"].concat()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn package(name: &str) -> Package {
        Package::new(Ecosystem::Cargo, name).unwrap()
    }

    #[test]
    fn a_crate_has_one_path_in_the_index() {
        for (path, name) in [
            ("/1/a", "a"),
            ("/2/ab", "ab"),
            ("/3/a/abc", "abc"),
            ("/ab/cd/abcd", "abcd"),
            ("/se/rd/serde_derive", "serde_derive"),
            ("//se/rd/serde-derive", "serde-derive"),
            ("/se/rd/serde%5fderive", "serde_derive"),
            ("/co/nf/config", "config"),
            ("/3/a/api", "api"),
        ] {
            assert_eq!(parse_path(path), Ok(Endpoint::Index(package(name))), "{path}");
            assert_eq!(parse_path(&index_path(&package(name))), parse_path(path), "{path}");
        }
    }

    #[test]
    fn a_prefix_that_does_not_fit_the_name_is_the_path_of_nothing() {
        for path in [
            "/se/rd/tokio",
            "/1/ab",
            "/2/a",
            "/3/b/abc",
            "/3/abc",
            "/ab/abcd",
            "/ab/cd/abc",
            "/se/rd/Serde",
            "/Se/rd/serde",
            "/se/rd/serde/",
            "/se/rd/ser/de",
            "/serde",
            "/se/rd/",
            "/se//rd/serde",
            "/se/rd/ser.de",
            "/",
            "",
        ] {
            assert_eq!(parse_path(path), Err(PathError::Unknown), "{path}");
        }
    }

    #[test]
    fn both_places_of_a_crate_lead_to_one_identity() {
        let version = Version::new("1.0.0-rc.1+b").unwrap();
        let of = |name: &str| (package(name), version.clone());
        for (path, name) in [
            ("/api/v1/crates/serde_derive/1.0.0-rc.1+b/download", "serde_derive"),
            ("/api/v1/crates/Serde_Derive/1.0.0-rc.1%2Bb/download", "serde_derive"),
        ] {
            let (package, version) = of(name);
            assert_eq!(parse_path(path), Ok(Endpoint::Download(package, version)), "{path}");
        }
        let (package, version) = of("serde-derive");
        let file = "/crates/Serde-Derive/Serde-Derive-1.0.0-rc.1+b.crate";
        assert_eq!(parse_path(file), Ok(Endpoint::File(package, version)));
    }

    #[test]
    fn a_path_trick_is_malformed_or_unknown() {
        for path in [
            "/%2F%2F..%2F..%2Fetc%2Fpasswd",
            "/..%5c..%5cetc",
            "/se/rd/%252e%252e",
            "/se/rd/serde%00",
            "/se/rd%2fserde",
            "/se/../serde",
            "/api/v1/crates/../1.0.0/download",
            "/api/v1/crates/serde/..%2f1/download",
            "/crates/serde/serde-.crate",
            "/crates/serde/tokio-1.0.0.crate",
            "/crates/serde/serde-1.0.0",
            "/crates/serde/%ff",
        ] {
            assert!(parse_path(path).is_err(), "{path}: {:?}", parse_path(path));
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_panics_and_every_name_is_clean(path in "\\PC{0,80}") {
            if let Ok(endpoint) = parse_path(&path)
                && let Some(package) = endpoint.package()
            {
                proptest::prop_assert!(!package.name().contains(['/', '.', '\\', '%']));
            }
        }
    }
}
