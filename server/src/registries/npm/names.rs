//! The npm paths: what a client asks for, and how we spell it.
//!
//! Pure. A path is split at its slashes, each segment is decoded once, and what comes out is one
//! identity: `@s/n`, `@s%2fn` and `%40s/n` are the same package. What still holds an escape after
//! that, or would name something outside of the package, is refused here and reaches nothing.

mod endpoints;

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use policies::package::{Package, Version};

pub use endpoints::{Endpoint, parse_path};

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// 400: no registry could have meant this.
    #[error("{0}")]
    Malformed(String),
    /// 404: a path that npm registries do not have, or that garth does not serve.
    #[error("this garth does not answer this path of an npm registry")]
    Unknown,
}

/// Decodes each segment once and takes a scoped name apart again. Leading slashes, which some
/// set-ups double, and one trailing slash are no segments.
fn decode_tokens(path: &str) -> Result<Vec<Cow<'_, str>>, PathError> {
    let path = path.trim_start_matches('/');
    let path = path.strip_suffix('/').unwrap_or(path);
    let mut tokens = Vec::new();
    if path.is_empty() {
        return Ok(tokens);
    }
    for segment in path.split('/') {
        let decoded = percent_decode_str(segment)
            .decode_utf8()
            .map_err(|_| PathError::Malformed("the path is not UTF-8".to_owned()))?;
        check_segment(&decoded)?;
        match decoded.split_once('/') {
            None => tokens.push(decoded),
            Some((scope, name)) => {
                if !scope.starts_with('@') || name.contains('/') || name.is_empty() {
                    return Err(PathError::Malformed(
                        "an encoded slash stands only between a scope and its name".to_owned(),
                    ));
                }
                check_segment(name)?;
                tokens.push(scope.to_owned().into());
                tokens.push(name.to_owned().into());
            }
        }
    }
    Ok(tokens)
}

fn check_segment(segment: &str) -> Result<(), PathError> {
    let fault = if segment.is_empty() {
        return Err(PathError::Unknown);
    } else if segment.contains('%') {
        "the path is encoded twice"
    } else if segment == "." || segment == ".." || segment.contains('\\') {
        "the path leaves its package"
    } else if segment.chars().any(char::is_control) {
        "the path holds a control character"
    } else {
        return Ok(());
    };
    Err(PathError::Malformed(fault.to_owned()))
}

/// What stays as it is in a package name within a path, beside letters and digits.
const NAME: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// A package name as one path segment, the way npm writes it: `@scope%2fname`.
pub fn encode_name(package: &Package) -> String {
    match Cow::from(utf8_percent_encode(package.name(), NAME)) {
        Cow::Borrowed(plain) => plain.to_owned(),
        Cow::Owned(encoded) => encoded.replace("%2F", "%2f"),
    }
}

/// The file that we offer a version's tarball under: `name-1.0.0.tgz`, without the scope.
pub fn tarball_file(package: &Package, version: &Version) -> String {
    [unscoped(package), "-", version.as_str(), ".tgz"].concat()
}

/// The name of a package without its scope.
pub fn unscoped(package: &Package) -> &str {
    let name = package.name();
    name.split_once('/').map_or(name, |(_, unscoped)| unscoped)
}

/// The version in a file name of ours; `None` for a name that we would not give.
pub fn version_of_file(package: &Package, file: &str) -> Option<Version> {
    let version = file.strip_prefix(unscoped(package))?.strip_prefix('-')?.strip_suffix(".tgz")?;
    Version::new(version).ok()
}

/// The path of a version's attestations below the registry.
pub fn attestations_path(package: &Package, version: &Version) -> String {
    let version = utf8_percent_encode(version.as_str(), NAME);
    format!("-/npm/v1/attestations/{}@{version}", encode_name(package))
}

/// The path of a tarball below the registry: `@scope/name/-/name-1.0.0.tgz`.
pub fn tarball_path(package: &Package, version: &Version) -> String {
    let name = utf8_percent_encode(package.name(), NAME).to_string().replace("%2F", "/");
    let file = tarball_file(package, version);
    format!("{name}/-/{}", utf8_percent_encode(&file, NAME))
}
