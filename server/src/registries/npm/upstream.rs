//! Package → what to ask the upstream for. Pure.

use policies::package::{Package, Version};
use url::Url;

use super::names;
use crate::pull::documents::DocumentRequest;
use crate::pull::plain::{Keep, PlainRequest};
use crate::upstream::ArtifactTarget;

/// The full packument: only it has the dates that rules and clients go by. The abbreviated form
/// is made from it.
pub fn packument_request(package: &Package) -> DocumentRequest {
    DocumentRequest {
        package: package.clone(),
        path: names::encode_name,
        accept: "application/json",
    }
}

/// A key has some hundred bytes, and a registry has a few.
const KEYS_AT_MOST: u64 = 64 << 10;
/// An attestation has some kilobytes; its certificates and what it says of a build are in it.
const ATTESTATIONS_AT_MOST: u64 = 4 << 20;

type Check = fn(&[u8]) -> Result<(), String>;

/// The keys that a registry signs its versions with.
pub fn keys_request(check: Check) -> PlainRequest {
    PlainRequest {
        document: "keys".to_owned(),
        path: "-/npm/v1/keys".to_owned(),
        at_most: KEYS_AT_MOST,
        keep: Keep::AsFresh,
        check,
    }
}

/// What is attested of a version; `path` is where it is at every registry.
pub fn attestations_request(version: &Version, path: String, check: Check) -> PlainRequest {
    PlainRequest {
        document: attestations_document(version),
        path,
        at_most: ATTESTATIONS_AT_MOST,
        keep: Keep::Forever,
        check,
    }
}

/// The name of a version's attestations in the store.
pub fn attestations_document(version: &Version) -> String {
    format!("attestations-{version}")
}

/// Where the upstream keeps a tarball. What a document names is an address only if it is one below
/// the web; relative ones are meant below the upstream. Whether that host may be asked at all is
/// checked where the connection is made.
pub fn tarball_target(source: &str, base: &Url) -> Option<ArtifactTarget> {
    let url = base.join(source).ok()?;
    matches!(url.scheme(), "http" | "https").then_some(ArtifactTarget::Url(url))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tarball_is_looked_for_where_the_upstream_says() {
        let base: Url = "https://npm.example.com/base/".parse().unwrap();
        let rows = [
            ("https://cdn.example.com/a-1.tgz", Some("https://cdn.example.com/a-1.tgz")),
            ("a/-/a-1.tgz", Some("https://npm.example.com/base/a/-/a-1.tgz")),
            ("/a/-/a-1.tgz", Some("https://npm.example.com/a/-/a-1.tgz")),
            ("file:///etc/passwd", None),
            ("javascript:alert(1)", None),
        ];
        for (source, expected) in rows {
            let target = tarball_target(source, &base);
            let url = target.map(|target| match target {
                ArtifactTarget::Url(url) => url.to_string(),
                ArtifactTarget::Path(path) => path,
            });
            assert_eq!(url.as_deref(), expected, "{source}");
        }
    }
}
