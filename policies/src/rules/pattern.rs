//! Which packages a rule speaks of: anchored patterns.
//!
//! ```text
//! *                 every package of every ecosystem
//! npm:*             every npm package
//! npm:react         this one
//! npm:react@^18     these versions of it
//! npm:@types/*      every package of this scope; never @types-evil/x
//! npm:acme-*        every name that starts so
//! pkg:npm/%40a/b    the same as npm:@a/b
//! ```
//!
//! `*` stands for any run of characters, also for none and across `/`; everything else stands for
//! itself. A pattern always matches the whole name, by the ecosystem's own idea of equal names.

use std::fmt;
use std::sync::Arc;

use crate::package::{
    Ecosystem, InvalidName, MAX_NAME, Package, Spelling, collision_key, is_name_byte,
};
use crate::versions::{Parsed, Range, exactly};

/// A glob with more stars says nothing that a person could follow.
const MAX_STARS: usize = 8;

/// The packages that one entry of `packages` means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pattern {
    /// Every package of every ecosystem.
    Everything,
    /// Every package of one ecosystem.
    Every(Ecosystem),
    One(Package),
    /// Some versions of one package.
    In(Package, SomeVersions),
    Like(Ecosystem, Glob),
}

/// The range behind a package's name. One whole version means that version alone.
#[derive(Clone, Debug)]
pub struct SomeVersions {
    text: Arc<str>,
    pub(super) range: Range,
}

impl SomeVersions {
    fn parse(ecosystem: Ecosystem, text: &str) -> Result<Self, InvalidName> {
        let is_version = Parsed::new(ecosystem, text).is_some();
        let exact = is_version.then(|| exactly(ecosystem, text));
        let range = Range::parse(ecosystem, exact.as_deref().unwrap_or(text))
            .map_err(|error| InvalidName::new(text, error.to_string()))?;
        Ok(Self { text: text.into(), range })
    }

    /// As it was written.
    pub fn text(&self) -> &str {
        &self.text
    }
}

impl PartialEq for SomeVersions {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for SomeVersions {}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, InvalidName> {
        if text == "*" {
            return Ok(Self::Everything);
        }
        let spelling = Spelling::parse(text)?;
        let pattern = Self::parse_in(spelling.ecosystem, &spelling.name)?;
        let Some(versions) = spelling.version else { return Ok(pattern) };
        let Self::One(package) = pattern else {
            let why = "versions stand behind the name of one package; those of a pattern go into \
                       `versions`";
            return Err(InvalidName::new(text, why));
        };
        Ok(Self::In(package, SomeVersions::parse(spelling.ecosystem, &versions)?))
    }

    /// Reads a pattern whose ecosystem is known from where it stands: `@acme/*`.
    pub fn parse_in(ecosystem: Ecosystem, name: &str) -> Result<Self, InvalidName> {
        if name == "*" {
            return Ok(Self::Every(ecosystem));
        }
        if !name.contains('*') {
            return Package::new(ecosystem, name).map(Self::One);
        }
        check_glob(ecosystem, name).map_err(|why| InvalidName::new(name, why))?;
        let glob = Glob::new(&collision_key(ecosystem, name))
            .map_err(|why| InvalidName::new(name, why))?;
        Ok(Self::Like(ecosystem, glob))
    }

    pub fn matches(&self, package: &Package) -> bool {
        match self {
            Self::Everything => true,
            Self::Every(ecosystem) => *ecosystem == package.ecosystem(),
            Self::One(named) | Self::In(named, _) => {
                named.ecosystem() == package.ecosystem()
                    && named.collision_key() == package.collision_key()
            }
            Self::Like(ecosystem, glob) => {
                *ecosystem == package.ecosystem() && glob.matches(&package.collision_key())
            }
        }
    }

    /// Whether it means all that `other` means; certain where it says so.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Everything, _) => true,
            (Self::In(package, ours), Self::In(other, theirs)) => {
                package == other && (ours == theirs || ours.range.contains(&theirs.range))
            }
            (Self::In(..), _) => false,
            (_, Self::One(package) | Self::In(package, _)) => self.matches(package),
            (Self::Every(ecosystem), other) => other.ecosystem() == Some(*ecosystem),
            // A star of theirs is in no name, so only a star of ours takes it in.
            (Self::Like(ecosystem, glob), Self::Like(other, theirs)) => {
                ecosystem == other && glob.matches(&theirs.0)
            }
            _ => false,
        }
    }

    /// Whether no package is meant by both; certain where it says so.
    pub(super) fn is_apart_from(&self, other: &Self) -> bool {
        let strangers = self.ecosystem().zip(other.ecosystem()).is_some_and(|(a, b)| a != b);
        strangers
            || match (self, other) {
                (wide, Self::One(package) | Self::In(package, _))
                | (Self::One(package) | Self::In(package, _), wide) => !wide.matches(package),
                (Self::Like(_, a), Self::Like(_, b)) => a.is_apart_from(b),
                _ => false,
            }
    }

    /// The only ecosystem it speaks of; `None` for all.
    pub const fn ecosystem(&self) -> Option<Ecosystem> {
        match self {
            Self::Everything => None,
            Self::Every(ecosystem) | Self::Like(ecosystem, _) => Some(*ecosystem),
            Self::One(package) | Self::In(package, _) => Some(package.ecosystem()),
        }
    }

    /// How closely it names its packages: of two rules with one effect, the closer one is the
    /// reason that a person is given.
    pub(super) const fn closeness(&self) -> u8 {
        match self {
            Self::Everything => 0,
            Self::Every(_) => 1,
            Self::Like(..) => 2,
            Self::One(_) | Self::In(..) => 3,
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("*"),
            Self::Every(ecosystem) => write!(f, "{ecosystem}:*"),
            Self::One(package) => package.fmt(f),
            Self::In(package, versions) => write!(f, "{package}@{}", versions.text),
            Self::Like(ecosystem, glob) => write!(f, "{ecosystem}:{glob}"),
        }
    }
}

fn check_glob(ecosystem: Ecosystem, name: &str) -> Result<(), String> {
    if name.len() > MAX_NAME {
        return Err(format!("a pattern is at most {MAX_NAME} bytes long"));
    }
    if let Some(odd) = name
        .chars()
        .find(|&c| c != '*' && !u8::try_from(c).is_ok_and(|byte| is_name_byte(ecosystem, byte)))
    {
        return Err(format!(
            "`{}` is in no {ecosystem} name; only `*` is a wildcard",
            odd.escape_debug()
        ));
    }
    if name.contains("..") || name.contains("//") || name.starts_with('/') || name.ends_with('/') {
        return Err("an empty part matches nothing".to_owned());
    }
    let slashes = name.matches('/').count();
    let scoped = name.starts_with(['@', '*']);
    if ecosystem == Ecosystem::Npm
        && (slashes > 1 || (slashes == 1 && !scoped) || name[1..].contains('@'))
    {
        return Err("an npm name is `name` or `@scope/name`".to_owned());
    }
    Ok(())
}

/// Literal text with stars, matched whole in time bounded by text × pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        if text.matches('*').count() > MAX_STARS {
            return Err(format!("a pattern has at most {MAX_STARS} stars"));
        }
        Ok(Self(text.into()))
    }

    /// Whether their beginnings or ends differ, so that no text matches both.
    fn is_apart_from(&self, other: &Self) -> bool {
        let ends = |glob: &Self| {
            let first = glob.0.split('*').next().unwrap_or_default().to_owned();
            (first, glob.0.rsplit('*').next().unwrap_or_default().to_owned())
        };
        let ((start, end), (other_start, other_end)) = (ends(self), ends(other));
        !(start.starts_with(&other_start) || other_start.starts_with(&start))
            || !(end.ends_with(&other_end) || other_end.ends_with(&end))
    }

    pub(crate) fn matches(&self, text: &str) -> bool {
        // Most patterns of a garden are about other names, which their ends tell at a glance.
        let differs = |ours: Option<&u8>, theirs: Option<&u8>| {
            ours.is_some_and(|byte| *byte != b'*') && ours != theirs
        };
        let (pattern, name) = (self.0.as_bytes(), text.as_bytes());
        if differs(pattern.first(), name.first()) || differs(pattern.last(), name.last()) {
            return false;
        }
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| text.strip_prefix(first)) else {
            return false;
        };
        let Some(last) = parts.next_back() else {
            return rest.is_empty();
        };
        // Taking each middle part at its earliest place leaves the most for those behind it.
        for part in parts {
            let Some(place) = rest.find(part) else {
                return false;
            };
            rest = &rest[place + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        let parsed = Pattern::parse(pattern).unwrap();
        for (names, expected) in [(yes, true), (no, false)] {
            for name in names {
                let package: Package = name.parse().unwrap();
                assert_eq!(parsed.matches(&package), expected, "{pattern} and {name}");
            }
        }
        assert_eq!(Pattern::parse(&parsed.to_string()).unwrap(), parsed);
    }

    #[test]
    fn patterns_are_anchored() {
        check(
            "npm:react",
            &["npm:react"],
            &["npm:react-dom", "npm:preact", "npm:React", "cargo:react"],
        );
        check("npm:@acme/*", &["npm:@acme/x"], &["npm:@acme-evil/x", "npm:acme", "npm:@acm/x"]);
        check(
            "npm:acme-*",
            &["npm:acme-x", "npm:acme-"],
            &["npm:acme", "npm:@acme-evil/x", "npm:xacme-y"],
        );
        check("npm:acme.*", &["npm:acme.x"], &["npm:acmeX", "npm:acme-x"]);
        check(
            "npm:*-loader",
            &["npm:css-loader", "npm:-loader"],
            &["npm:loader", "npm:css-loader-x"],
        );
        check(
            "npm:a*b*c",
            &["npm:abc", "npm:axbxc", "npm:abbcc"],
            &["npm:ab", "npm:acb", "npm:abcx"],
        );
        check("npm:*", &["npm:x", "npm:@s/x"], &["cargo:x"]);
        check("*", &["npm:@s/x", "cargo:x", "oci:hub/x"], &[]);
        check("oci:hub/library/*", &["oci:hub/library/alpine"], &["oci:hub/libraryx/alpine"]);
    }

    #[test]
    fn crates_match_by_collision_key() {
        let names = &["cargo:serde-derive", "cargo:serde_derive", "cargo:Serde_Derive"];
        check("cargo:serde_derive", names, &["cargo:serde"]);
        check("cargo:serde_*", names, &["cargo:serde"]);
        check("nuget:Newtonsoft.*", &["nuget:newtonsoft.json"], &["nuget:newtonsoftxjson"]);
    }

    #[test]
    fn versions_behind_a_name_are_those_of_this_package() {
        let names = &["npm:@s/x"];
        for text in ["npm:@s/x@1.0.0", "npm:@s/x@^1 || 2.0.0", "pkg:npm/%40s/x@1.0.0"] {
            check(text, names, &["npm:x", "npm:@s/xy"]);
        }
        check("cargo:serde_derive@1.0.1", &["cargo:serde-derive"], &["cargo:serde"]);
        check("oci:hub/library/alpine:3", &["oci:hub/library/alpine"], &["oci:hub/alpine"]);
    }

    #[test]
    fn a_purl_is_accepted() {
        check("pkg:npm/%40scope/name", &["npm:@scope/name"], &["npm:@scope/names"]);
        check("pkg:npm/%40scope/*", &["npm:@scope/name"], &["npm:@scopes/name"]);
        check("pkg:npm/JSONStream", &["npm:JSONStream"], &["npm:jsonstream"]);
    }

    #[test]
    fn what_could_match_nothing_or_surprise_is_refused() {
        for text in [
            "",
            "react",
            "npm:",
            "npm:a b*",
            "npm:../*",
            "npm:a/b*",
            "npm:@a/b/c*",
            "npm:a?*",
            "npm:[ab]*",
            "npm:x@",
            "npm:x@latest",
            "npm:@types/*@1.0.0",
            "npm:*@1",
            "npm:a\\*",
            "npm:a\0*",
            "npm:@acme//*",
            "oci:Hub/*",
            "pypi:*",
            "npm:*@x",
            "npm:a*a*a*a*a*a*a*a*a*",
            "cargo:a.b*",
        ] {
            assert!(Pattern::parse(text).is_err(), "{text}");
        }
    }
}
