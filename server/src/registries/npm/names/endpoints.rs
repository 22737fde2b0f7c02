//! What a path asks for: every endpoint of an npm registry that garth knows.

use std::borrow::Cow;

use policies::package::{Ecosystem, Package, Version};

use super::{PathError, decode_tokens};

/// What a path asks for. Which methods it has is said where it is dispatched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// `/{package}`
    Packument(Package),
    /// `/{package}/{version or tag}`
    Manifest(Package, String),
    /// `/{package}/-/{file}`
    Tarball(Package, String),
    /// `/{package}/-rev/{revision}`: a change of the document by someone who has read it.
    Revision(Package, String),
    /// `/{package}/-/{file}/-rev/{revision}`
    TarballRevision(Package, String, String),
    /// `/-/package/{package}/dist-tags`
    Tags(Package),
    /// `/-/package/{package}/dist-tags/{tag}`
    Tag(Package, String),
    /// `/-/v1/search`
    Search,
    /// `/-/ping`
    Ping,
    /// `/-/reason/{status}/…`: a refusal whose address says why.
    Reason(u16),
    /// `/-/whoami`
    WhoAmI,
    /// `/-/user/org.couchdb.user:{name}`: the login that asks for a name and a password.
    LegacyLogin(String),
    /// `/-/v1/login`: the login by a browser.
    WebLogin,
    /// `/-/user/token/{token}`
    Logout,
    /// `/-/npm/v1/user`
    Profile,
    /// `/-/npm/v1/tokens` and what is below it.
    Tokens,
    /// `/-/stage` and what is below it: what is published and waits for an approval.
    Stage,
    /// `/-/npm/v1/security/advisories/bulk`
    AuditBulk,
    /// `/-/npm/v1/security/audits` and `…/quick`: the older forms, with a whole dependency tree.
    AuditTree { quick: bool },
    /// `/-/npm/v1/keys`
    Keys,
    /// `/-/npm/v1/attestations/{package}@{version}`
    Attestations(Package, Version),
}

impl Endpoint {
    /// The one package that it is about.
    pub fn package(&self) -> Option<&Package> {
        match self {
            Self::Packument(package)
            | Self::Manifest(package, _)
            | Self::Tarball(package, _)
            | Self::Revision(package, _)
            | Self::TarballRevision(package, ..)
            | Self::Tags(package)
            | Self::Tag(package, _)
            | Self::Attestations(package, _) => Some(package),
            Self::Search
            | Self::Ping
            | Self::Reason(_)
            | Self::WhoAmI
            | Self::LegacyLogin(_)
            | Self::WebLogin
            | Self::Logout
            | Self::Profile
            | Self::Tokens
            | Self::Stage
            | Self::AuditBulk
            | Self::AuditTree { .. }
            | Self::Keys => None,
        }
    }
}

/// Reads the part of a request's path that follows the registry's name, still encoded.
pub fn parse_path(path: &str) -> Result<Endpoint, PathError> {
    let tokens = decode_tokens(path)?;
    let tokens: Vec<&str> = tokens.iter().map(|token| &**token).collect();
    match tokens.as_slice() {
        [] => Err(PathError::Unknown),
        ["-", rest @ ..] => parse_service(rest),
        // npm before 11 puts the path of the address that we give, which begins with that of this
        // registry, behind the registry's address.
        [base @ .., "-", "npm", "v1", "attestations", name] if is_base(base) => {
            parse_attestations(&[name])
        }
        [base @ .., "-", "npm", "v1", "attestations", scope, name] if is_base(base) => {
            parse_attestations(&[scope, name])
        }
        [scope, name, rest @ ..] if scope.starts_with('@') => {
            parse_package_path(&format!("{scope}/{name}"), Some(scope), rest)
        }
        [name, rest @ ..] => parse_package_path(name, None, rest),
    }
}

/// The path of a registry, with what a proxy in front of it adds.
fn is_base(tokens: &[&str]) -> bool {
    const LONGEST: usize = 8;
    (1..=LONGEST).contains(&tokens.len()) && !tokens.contains(&"-")
}

/// What stands behind `/-/`.
fn parse_service(tokens: &[&str]) -> Result<Endpoint, PathError> {
    match tokens {
        ["ping"] => Ok(Endpoint::Ping),
        ["reason", status, _, ..] => match status.parse() {
            Ok(status @ 400..=599) => Ok(Endpoint::Reason(status)),
            _ => Err(PathError::Unknown),
        },
        ["whoami"] => Ok(Endpoint::WhoAmI),
        ["v1", "search"] => Ok(Endpoint::Search),
        ["v1", "login"] => Ok(Endpoint::WebLogin),
        ["user", "token", _] => Ok(Endpoint::Logout),
        ["user", user] | ["user", user, "-rev", _] => {
            match user.strip_prefix("org.couchdb.user:") {
                Some(name) if !name.is_empty() => Ok(Endpoint::LegacyLogin(name.to_owned())),
                _ => Err(PathError::Unknown),
            }
        }
        ["npm", "v1", "keys"] => Ok(Endpoint::Keys),
        ["npm", "v1", "user"] => Ok(Endpoint::Profile),
        ["npm", "v1", "tokens", ..] => Ok(Endpoint::Tokens),
        ["stage", ..] => Ok(Endpoint::Stage),
        ["npm", "v1", "security", "advisories", "bulk"] => Ok(Endpoint::AuditBulk),
        ["npm", "v1", "security", "audits"] => Ok(Endpoint::AuditTree { quick: false }),
        ["npm", "v1", "security", "audits", "quick"] => Ok(Endpoint::AuditTree { quick: true }),
        ["npm", "v1", "attestations", spec @ ..] => parse_attestations(spec),
        ["package", rest @ ..] => parse_tags(rest),
        _ => Err(PathError::Unknown),
    }
}

fn parse_attestations(spec: &[&str]) -> Result<Endpoint, PathError> {
    let spec = match spec {
        [name] => (*name).to_owned(),
        [scope, name] if scope.starts_with('@') => format!("{scope}/{name}"),
        _ => return Err(PathError::Unknown),
    };
    let (name, version) =
        spec.rsplit_once('@').filter(|(name, _)| !name.is_empty()).ok_or(PathError::Unknown)?;
    let version = Version::new(version).map_err(|fault| PathError::Malformed(fault.to_string()))?;
    Ok(Endpoint::Attestations(package(name)?, version))
}

fn parse_tags(tokens: &[&str]) -> Result<Endpoint, PathError> {
    let (name, rest) = match tokens {
        [scope, name, rest @ ..] if scope.starts_with('@') => (format!("{scope}/{name}"), rest),
        [name, rest @ ..] => ((*name).to_owned(), rest),
        [] => return Err(PathError::Unknown),
    };
    match rest {
        ["dist-tags"] => Ok(Endpoint::Tags(package(&name)?)),
        ["dist-tags", tag] => Ok(Endpoint::Tag(package(&name)?, (*tag).to_owned())),
        _ => Err(PathError::Unknown),
    }
}

fn parse_package_path(
    name: &str,
    scope: Option<&str>,
    rest: &[&str],
) -> Result<Endpoint, PathError> {
    let package = package(name)?;
    // Some servers wrote the scope again in front of the file, and lockfiles kept it.
    let rest = match rest {
        ["-", again, file, more @ ..] if Some(*again) == scope => {
            Cow::Owned([&["-", *file], more].concat())
        }
        rest => Cow::Borrowed(rest),
    };
    match rest.as_ref() {
        [] => Ok(Endpoint::Packument(package)),
        ["-", file] => Ok(Endpoint::Tarball(package, (*file).to_owned())),
        ["-", file, "-rev", revision] => {
            Ok(Endpoint::TarballRevision(package, (*file).to_owned(), (*revision).to_owned()))
        }
        ["-rev", revision] => Ok(Endpoint::Revision(package, (*revision).to_owned())),
        [selector] if *selector != "-" => Ok(Endpoint::Manifest(package, (*selector).to_owned())),
        _ => Err(PathError::Unknown),
    }
}

fn package(name: &str) -> Result<Package, PathError> {
    Package::new(Ecosystem::Npm, name).map_err(|fault| PathError::Malformed(fault.to_string()))
}

#[cfg(test)]
mod tests {
    use super::super::{encode_name, tarball_file, tarball_path};
    use super::*;

    fn package(name: &str) -> Package {
        Package::new(Ecosystem::Npm, name).unwrap()
    }

    #[test]
    fn every_spelling_of_a_path_is_one_identity() {
        let scoped = || package("@s/n");
        let pad = || package("left-pad");
        let file = || "left-pad-1.3.0.tgz".to_owned();
        let rows = [
            ("/left-pad", Endpoint::Packument(pad())),
            ("//left-pad/", Endpoint::Packument(pad())),
            ("/%6ceft-pad", Endpoint::Packument(pad())),
            ("/@s/n", Endpoint::Packument(scoped())),
            ("/@s%2fn", Endpoint::Packument(scoped())),
            ("/@s%2Fn", Endpoint::Packument(scoped())),
            ("/%40s/n", Endpoint::Packument(scoped())),
            ("/%40s%2fn", Endpoint::Packument(scoped())),
            ("/JSONStream", Endpoint::Packument(package("JSONStream"))),
            ("/left-pad/latest", Endpoint::Manifest(pad(), "latest".into())),
            ("/@s%2fn/1.0.0", Endpoint::Manifest(scoped(), "1.0.0".into())),
            ("/left-pad/-/left-pad-1.3.0.tgz", Endpoint::Tarball(pad(), file())),
            ("/@s/n/-/n-1.0.0.tgz", Endpoint::Tarball(scoped(), "n-1.0.0.tgz".into())),
            ("/@s%2fn/-/n-1.0.0.tgz", Endpoint::Tarball(scoped(), "n-1.0.0.tgz".into())),
            ("/@s/n/-/@s/n-1.0.0.tgz", Endpoint::Tarball(scoped(), "n-1.0.0.tgz".into())),
            ("/left-pad/-rev/3-ab", Endpoint::Revision(pad(), "3-ab".into())),
            ("/@s%2fn/-rev/undefined", Endpoint::Revision(scoped(), "undefined".into())),
            (
                "/left-pad/-/left-pad-1.3.0.tgz/-rev/3-ab",
                Endpoint::TarballRevision(pad(), file(), "3-ab".into()),
            ),
            (
                "/@s/n/-/@s/n-1.0.0.tgz/-rev/3-ab",
                Endpoint::TarballRevision(scoped(), "n-1.0.0.tgz".into(), "3-ab".into()),
            ),
            ("/-/package/left-pad/dist-tags", Endpoint::Tags(pad())),
            ("/-/package/@s%2fn/dist-tags/next", Endpoint::Tag(scoped(), "next".into())),
            ("/-/package/@s/n/dist-tags/next", Endpoint::Tag(scoped(), "next".into())),
            ("/-/ping", Endpoint::Ping),
            ("/-/whoami", Endpoint::WhoAmI),
            ("/-/v1/search", Endpoint::Search),
            ("/-/v1/login", Endpoint::WebLogin),
            ("/-/user/org.couchdb.user:ann", Endpoint::LegacyLogin("ann".into())),
            ("/-/user/org.couchdb.user:ann/-rev/1", Endpoint::LegacyLogin("ann".into())),
            ("/-/user/token/garth_x", Endpoint::Logout),
            ("/-/npm/v1/security/advisories/bulk", Endpoint::AuditBulk),
            ("/-/npm/v1/security/audits", Endpoint::AuditTree { quick: false }),
            ("/-/npm/v1/security/audits/quick", Endpoint::AuditTree { quick: true }),
            ("/-/npm/v1/keys", Endpoint::Keys),
            ("/-/npm/v1/user", Endpoint::Profile),
            ("/-/npm/v1/tokens", Endpoint::Tokens),
            ("/-/npm/v1/tokens/token/x", Endpoint::Tokens),
            ("/-/stage", Endpoint::Stage),
            ("/-/stage/package/@s%2fn", Endpoint::Stage),
            ("/-/stage/0c8fd8e2-5a0e-4d4f-8d5c-1f1c3a3f7b1a/approve", Endpoint::Stage),
            (
                "/-/npm/v1/attestations/@s%2fn@1.0.0",
                Endpoint::Attestations(scoped(), Version::new("1.0.0").unwrap()),
            ),
            (
                "/npm/-/npm/v1/attestations/@s%2fn@1.0.0",
                Endpoint::Attestations(scoped(), Version::new("1.0.0").unwrap()),
            ),
            (
                "/proxy/npm/-/npm/v1/attestations/@s/n@1.0.0",
                Endpoint::Attestations(scoped(), Version::new("1.0.0").unwrap()),
            ),
            (
                "/npm/-/npm/v1/attestations/left-pad@1.3.0",
                Endpoint::Attestations(pad(), Version::new("1.3.0").unwrap()),
            ),
            (
                "/-/npm/v1/attestations/left-pad@1.3.0",
                Endpoint::Attestations(pad(), Version::new("1.3.0").unwrap()),
            ),
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
            "/-/package/..%2fx/dist-tags",
            "/-/package/left-pad",
            "/-/npm/v1/attestations/@s",
            "/-/npm/v1/attestations/left-pad",
            "/npm/-/npm/v1/attestations/left-pad",
            "/npm/-/-/npm/v1/attestations/left-pad@1.0.0",
            "/npm/-/npm/v1/attestations/@s/n/x@1.0.0",
            "/npm/-/npm/v1/keys",
            "/-/user/ann",
            "/left-pad/-/a.tgz/-rev",
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
