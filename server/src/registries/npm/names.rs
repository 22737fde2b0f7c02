//! The npm paths: what a client asks for, and how we spell it.
//!
//! Pure. A path is split at its slashes, each segment is decoded once, and what comes out is one
//! identity: `@s/n`, `@s%2fn` and `%40s/n` are the same package. What still holds an escape after
//! that, or would name something outside of the package, is refused here and reaches nothing.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use policies::package::{Ecosystem, Package, Version};

/// What a path asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `GET /-/ping`
    Ping,
    /// `GET /{package}`
    Packument(Package),
    /// `GET /{package}/{version or tag}`
    Manifest(Package, String),
    /// `GET /{package}/-/{file}`
    Tarball(Package, String),
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// 400: no registry could have meant this.
    #[error("{0}")]
    Malformed(String),
    /// 404: a path that npm registries do not have, or that garth does not serve.
    #[error(
        "this garth does not answer this path of an npm registry; it serves packages for installing"
    )]
    Unknown,
}

/// Reads the part of a request's path that follows the registry's name, still encoded.
pub fn parse_path(path: &str) -> Result<Endpoint, PathError> {
    let tokens = decode_tokens(path)?;
    let tokens: Vec<&str> = tokens.iter().map(String::as_str).collect();
    match tokens.as_slice() {
        ["-", "ping"] => Ok(Endpoint::Ping),
        [] | ["-", ..] => Err(PathError::Unknown),
        [scope, name, rest @ ..] if scope.starts_with('@') => {
            parse_package_path(&format!("{scope}/{name}"), Some(scope), rest)
        }
        [name, rest @ ..] => parse_package_path(name, None, rest),
    }
}

fn parse_package_path(
    name: &str,
    scope: Option<&str>,
    rest: &[&str],
) -> Result<Endpoint, PathError> {
    let package = Package::new(Ecosystem::Npm, name)
        .map_err(|fault| PathError::Malformed(fault.to_string()))?;
    match rest {
        [] => Ok(Endpoint::Packument(package)),
        ["-", file] => Ok(Endpoint::Tarball(package, (*file).to_owned())),
        // Some servers wrote the scope again in front of the file, and lockfiles kept it.
        ["-", again, file] if Some(*again) == scope => {
            Ok(Endpoint::Tarball(package, (*file).to_owned()))
        }
        [selector] if *selector != "-" => Ok(Endpoint::Manifest(package, (*selector).to_owned())),
        _ => Err(PathError::Unknown),
    }
}

/// Decodes each segment once and takes a scoped name apart again. Leading slashes, which some
/// set-ups double, and one trailing slash are no segments.
fn decode_tokens(path: &str) -> Result<Vec<String>, PathError> {
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
            None => tokens.push(decoded.into_owned()),
            Some((scope, name)) => {
                if !scope.starts_with('@') || name.contains('/') || name.is_empty() {
                    return Err(PathError::Malformed(
                        "an encoded slash stands only between a scope and its name".to_owned(),
                    ));
                }
                check_segment(name)?;
                tokens.push(scope.to_owned());
                tokens.push(name.to_owned());
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
    utf8_percent_encode(package.name(), NAME).to_string().replace("%2F", "%2f")
}

/// The file that we offer a version's tarball under: `name-1.0.0.tgz`, without the scope.
pub fn tarball_file(package: &Package, version: &Version) -> String {
    let name = package.name();
    let unscoped = name.split_once('/').map_or(name, |(_, unscoped)| unscoped);
    format!("{unscoped}-{version}.tgz")
}

/// The version in a file name of ours; `None` for a name that we would not give.
pub fn version_of_file(package: &Package, file: &str) -> Option<Version> {
    let name = package.name();
    let unscoped = name.split_once('/').map_or(name, |(_, unscoped)| unscoped);
    let version = file.strip_prefix(unscoped)?.strip_prefix('-')?.strip_suffix(".tgz")?;
    Version::new(version).ok()
}

/// The path of a tarball below the registry: `@scope/name/-/name-1.0.0.tgz`.
pub fn tarball_path(package: &Package, version: &Version) -> String {
    let name = utf8_percent_encode(package.name(), NAME).to_string().replace("%2F", "/");
    let file = tarball_file(package, version);
    format!("{name}/-/{}", utf8_percent_encode(&file, NAME))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str) -> Package {
        Package::new(Ecosystem::Npm, name).unwrap()
    }

    #[test]
    fn every_spelling_of_a_path_is_one_identity() {
        let scoped = || package("@s/n");
        let rows = [
            ("/left-pad", Endpoint::Packument(package("left-pad"))),
            ("//left-pad/", Endpoint::Packument(package("left-pad"))),
            ("/%6ceft-pad", Endpoint::Packument(package("left-pad"))),
            ("/@s/n", Endpoint::Packument(scoped())),
            ("/@s%2fn", Endpoint::Packument(scoped())),
            ("/@s%2Fn", Endpoint::Packument(scoped())),
            ("/%40s/n", Endpoint::Packument(scoped())),
            ("/%40s%2fn", Endpoint::Packument(scoped())),
            ("/JSONStream", Endpoint::Packument(package("JSONStream"))),
            ("/left-pad/latest", Endpoint::Manifest(package("left-pad"), "latest".into())),
            ("/@s%2fn/1.0.0", Endpoint::Manifest(scoped(), "1.0.0".into())),
            (
                "/left-pad/-/left-pad-1.3.0.tgz",
                Endpoint::Tarball(package("left-pad"), "left-pad-1.3.0.tgz".into()),
            ),
            ("/@s/n/-/n-1.0.0.tgz", Endpoint::Tarball(scoped(), "n-1.0.0.tgz".into())),
            ("/@s%2fn/-/n-1.0.0.tgz", Endpoint::Tarball(scoped(), "n-1.0.0.tgz".into())),
            ("/@s/n/-/@s/n-1.0.0.tgz", Endpoint::Tarball(scoped(), "n-1.0.0.tgz".into())),
            ("/-/ping", Endpoint::Ping),
        ];
        for (path, expected) in rows {
            assert_eq!(parse_path(path), Ok(expected), "{path}");
        }
    }

    #[test]
    fn a_path_trick_is_malformed_or_unknown() {
        let rows = [
            "/%2F%2F..%2F..%2Fetc%2Fpasswd",
            "/..%5c..%5cetc",
            "/%252e%252e/x",
            "/@s%252fn",
            "/left-pad%00",
            "/left-pad/../../etc/passwd",
            "/@s%2f..%2fn",
            "/@s%2f",
            "/@s//n",
            "/left-pad//1.0.0",
            "/left-pad/-/",
            "/left-pad/-/a/b",
            "/@s/n/-/@t/n-1.0.0.tgz",
            "/left-pad/-/..",
            "/left-pad%ff",
            "/",
            "",
            "/-/all",
            "/@s",
        ];
        for path in rows {
            assert!(parse_path(path).is_err(), "{path}: {:?}", parse_path(path));
        }
    }

    #[test]
    fn what_we_write_is_what_we_read() {
        for name in ["left-pad", "@s/n", "JSONStream", "@scope.x/a_b~c"] {
            let package = package(name);
            let version = Version::new("1.0.0-rc.1+b").unwrap();
            let written = tarball_path(&package, &version);
            let expected = Endpoint::Tarball(package.clone(), tarball_file(&package, &version));
            assert_eq!(parse_path(&written), Ok(expected), "{written}");
            let encoded = encode_name(&package);
            assert_eq!(parse_path(&encoded), Ok(Endpoint::Packument(package)), "{encoded}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_path_panics_and_every_name_is_clean(path in "\\PC{0,80}") {
            if let Ok(Endpoint::Tarball(package, file)) = parse_path(&path) {
                proptest::prop_assert!(!file.contains('/') && !file.contains('\\') && file != "..");
                proptest::prop_assert!(!package.name().contains(".."));
            }
        }
    }
}
