//! How people and files write a package: the short form and the purl, with or without a version.
//!
//! The result is text that still has to pass [`Package::new`] or a pattern's own check.

use packageurl::PackageUrl;

use super::{Ecosystem, InvalidName, Package};

/// Longer texts are not looked at.
const MAX_TEXT: usize = 1024;

/// A package as it was written, split but not yet checked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spelling {
    pub ecosystem: Ecosystem,
    pub name: String,
    /// A version, a tag, a digest, or a range where the place allows one.
    pub version: Option<String>,
}

impl Spelling {
    /// Reads `npm:@scope/name@^1`, `oci:hub/library/alpine:3`, `pkg:npm/%40scope/name@1.0.0`.
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text.len() > MAX_TEXT {
            return Err(InvalidName::new(text, "it is too long"));
        }
        if text.starts_with("pkg:") { Self::from_purl(text) } else { Self::from_short(text) }
    }

    fn from_short(text: &str) -> Result<Self, InvalidName> {
        let Some((ecosystem, rest)) = text.split_once(':') else {
            let why = format!("the ecosystem is missing, as in npm:{}", text.trim());
            return Err(InvalidName::new(text, why));
        };
        let ecosystem: Ecosystem = ecosystem.parse().map_err(|_| {
            InvalidName::new(text, "it starts with none of npm:, cargo:, nuget:, oci:, pkg:")
        })?;
        let (name, version) = match ecosystem {
            Ecosystem::Oci => split_image(rest),
            Ecosystem::Npm | Ecosystem::Cargo | Ecosystem::Nuget => split_at_sign(rest),
        };
        if version.is_some_and(str::is_empty) {
            return Err(InvalidName::new(text, "the version behind the name is empty"));
        }
        Ok(Self { ecosystem, name: name.to_owned(), version: version.map(str::to_owned) })
    }

    fn from_purl(text: &str) -> Result<Self, InvalidName> {
        let rest = text["pkg:".len()..].trim_start_matches('/');
        let (kind, rest) = rest
            .split_once('/')
            .ok_or_else(|| InvalidName::new(text, "a purl is pkg:type/name"))?;
        let ecosystem: Ecosystem = kind
            .to_ascii_lowercase()
            .parse()
            .map_err(|_| InvalidName::new(text, "its type is none of npm, cargo, nuget, oci"))?;
        // Read as `generic`, because the rules of the type `npm` fold case, and `JSONStream` is
        // another package than `jsonstream`.
        let purl: PackageUrl<'_> = format!("pkg:generic/{rest}")
            .parse()
            .map_err(|error: packageurl::Error| InvalidName::new(text, error.to_string()))?;
        if purl.subpath().is_some() {
            return Err(InvalidName::new(text, "a subpath names a file, not a package"));
        }
        let mut name = match purl.namespace() {
            Some(namespace) => format!("{namespace}/{}", purl.name()),
            None => purl.name().to_owned(),
        };
        if ecosystem == Ecosystem::Oci
            && let Some(repository) = purl.qualifiers().get("repository_url")
        {
            name = repository.to_string();
        }
        Ok(Self { ecosystem, name, version: purl.version().map(str::to_owned) })
    }
}

/// A leading `@` is a scope's, any other one starts the version.
fn split_at_sign(text: &str) -> (&str, Option<&str>) {
    let from = usize::from(text.starts_with('@'));
    match text[from..].find('@') {
        Some(place) => (&text[..from + place], Some(&text[from + place + 1..])),
        None => (text, None),
    }
}

/// `hub/alpine:3`, `hub/alpine@sha256:…`; with both, the digest is what is meant.
fn split_image(text: &str) -> (&str, Option<&str>) {
    let (name, digest) = match text.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (text, None),
    };
    let behind_slash = name.rfind('/').map_or(0, |place| place + 1);
    match name[behind_slash..].find(':') {
        Some(place) => {
            let place = behind_slash + place;
            (&name[..place], digest.or(Some(&name[place + 1..])))
        }
        None => (name, digest),
    }
}

/// The canonical purl.
pub(super) fn purl(package: &Package, version: Option<&str>) -> String {
    let ecosystem = package.ecosystem();
    let name = package.name();
    let (namespace, last) = match name.rsplit_once('/') {
        Some((namespace, last)) => (Some(namespace), last),
        None => (None, name),
    };
    let parts = (|| {
        let mut purl = PackageUrl::new("generic", last)?;
        if ecosystem == Ecosystem::Oci {
            purl.add_qualifier("repository_url", name)?;
        } else if let Some(namespace) = namespace {
            purl.with_namespace(namespace)?;
        }
        if let Some(version) = version {
            purl.with_version(version)?;
        }
        Ok::<_, packageurl::Error>(purl.to_string())
    })();
    // A checked name has no part that the builder could refuse.
    let text = parts.expect("`generic` has no rules of its own and no part of a name is empty");
    format!("pkg:{ecosystem}{}", &text["pkg:generic".len()..])
}
