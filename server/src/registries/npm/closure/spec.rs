//! What stands behind a dependency's name in a manifest, read as npm's own client reads it.
//!
//! The order is the client's: a path, an alias, a repository, an address; what is left means the
//! registry, and is a version, a range or a tag, in this order.

use policies::package::{Ecosystem, Package};
use policies::versions::{Parsed, Range};

/// A range with more alternatives, or longer ones, is not read: nobody wrote it by hand.
const ALTERNATIVES: usize = 64;
/// What a tag may be; a longer one is not kept of any document either.
const TAG: usize = 256;

/// Where to look, and for what.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The real package, whatever the dependent calls it.
    pub package: Package,
    pub choice: Choice,
}

#[derive(Clone, Debug)]
pub enum Choice {
    /// Any version; the one tagged `latest` where it can be.
    Any,
    Version(String),
    /// One of these has to hold.
    Range(Vec<Range>),
    Tag(String),
}

/// Why no registry is asked for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Odd {
    /// It comes from somewhere else: a folder, an archive, a repository.
    Elsewhere(&'static str),
    /// No client could install it.
    Unreadable(String),
}

impl Wanted {
    /// `name` is what the dependent calls it.
    pub fn parse(name: &str, spec: &str) -> Result<Self, Odd> {
        let spec = spec.trim();
        if let Some(alias) = strip_scheme(spec, "npm:") {
            let from = usize::from(alias.starts_with('@'));
            let (real, of_real) = match alias[from..].find('@') {
                Some(place) => (&alias[..from + place], &alias[from + place + 1..]),
                None => (alias, ""),
            };
            if strip_scheme(of_real.trim(), "npm:").is_some() {
                return Err(Odd::Unreadable("an alias of an alias".to_owned()));
            }
            return Self::of_registry(real, of_real.trim());
        }
        Self::of_registry(name, spec)
    }

    fn of_registry(name: &str, spec: &str) -> Result<Self, Odd> {
        if let Some(kind) = elsewhere(spec) {
            return Err(Odd::Elsewhere(kind));
        }
        let package = Package::new(Ecosystem::Npm, name)
            .map_err(|error| Odd::Unreadable(error.to_string()))?;
        Ok(Self { package, choice: choice(spec)? })
    }
}

impl Choice {
    /// Whether a version that is there already will do. A client takes any for a tag.
    pub fn takes(&self, version: &str) -> bool {
        match self {
            Self::Any | Self::Tag(_) => true,
            Self::Version(wanted) => wanted == version,
            Self::Range(alternatives) => Parsed::new(Ecosystem::Npm, version)
                .is_some_and(|version| alternatives.iter().any(|range| range.allows(&version))),
        }
    }
}

fn strip_scheme<'a>(text: &'a str, scheme: &str) -> Option<&'a str> {
    let front = text.get(..scheme.len())?;
    front.eq_ignore_ascii_case(scheme).then(|| &text[scheme.len()..])
}

fn elsewhere(spec: &str) -> Option<&'static str> {
    const FOLDER: &str = "a folder or an archive of the machine";
    const REPOSITORY: &str = "a repository";
    let lower = spec.get(..32.min(spec.len())).unwrap_or(spec).to_ascii_lowercase();
    if lower.starts_with("file:") || lower.starts_with("link:") {
        return Some(FOLDER);
    }
    if lower.starts_with("workspace:") {
        return Some("a workspace of its project");
    }
    if spec.starts_with(['.', '/']) || spec.starts_with("~/") {
        return Some(FOLDER);
    }
    let schemes = ["git+", "git:", "git@", "github:", "gitlab:", "bitbucket:", "gist:", "ssh:"];
    if schemes.iter().any(|scheme| lower.starts_with(scheme)) {
        return Some(REPOSITORY);
    }
    if lower.starts_with("http:") || lower.starts_with("https:") {
        let path = spec.split(['?', '#']).next().unwrap_or(spec);
        let is_repository = path.strip_suffix(".git").is_some();
        return Some(if is_repository { REPOSITORY } else { "an address" });
    }
    if spec.contains('/') {
        // `owner/name` is short for a repository of the best known host.
        return Some(REPOSITORY);
    }
    [".tgz", ".tar.gz", ".tar"].iter().any(|end| lower.ends_with(end)).then_some(FOLDER)
}

fn choice(spec: &str) -> Result<Choice, Odd> {
    if matches!(spec, "" | "*" | "x" | "X") {
        return Ok(Choice::Any);
    }
    let bare = spec.trim_start_matches(['=', 'v', 'V']).trim();
    if Parsed::new(Ecosystem::Npm, bare).is_some() {
        // A registry's list of versions is without what stands behind a plus.
        return Ok(Choice::Version(bare.split('+').next().unwrap_or(bare).to_owned()));
    }
    let mut why = match range(spec) {
        Ok(range) => return Ok(range),
        Err(why) => why,
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.!~*'()".contains(&byte);
    if spec.bytes().all(plain) {
        if spec.len() <= TAG {
            return Ok(Choice::Tag(spec.to_owned()));
        }
        why = format!("a tag has at most {TAG} bytes");
    }
    Err(Odd::Unreadable(why))
}

fn range(spec: &str) -> Result<Choice, String> {
    if spec.split("||").count() > ALTERNATIVES {
        return Err(format!("it has more than {ALTERNATIVES} alternatives"));
    }
    let mut ranges = Vec::new();
    for part in spec.split("||").map(str::trim) {
        let part = if matches!(part, "" | "x" | "X") { "*" } else { part };
        ranges.push(Range::parse(Ecosystem::Npm, part).map_err(|fault| fault.why)?);
    }
    Ok(Choice::Range(ranges))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn said(name: &str, spec: &str) -> String {
        match Wanted::parse(name, spec) {
            Ok(Wanted { package, choice }) => match choice {
                Choice::Any => format!("{package} any"),
                Choice::Version(version) => format!("{package} version {version}"),
                Choice::Range(ranges) => format!("{package} range of {}", ranges.len()),
                Choice::Tag(tag) => format!("{package} tag {tag}"),
            },
            Err(Odd::Elsewhere(kind)) => kind.to_owned(),
            Err(Odd::Unreadable(_)) => "unreadable".to_owned(),
        }
    }

    /// As npm-package-arg of npm 11 says it.
    #[test]
    fn a_dependency_is_read_as_npm_reads_it() {
        for (spec, expected) in [
            ("", "npm:a any"),
            ("*", "npm:a any"),
            (" * ", "npm:a any"),
            ("x", "npm:a any"),
            ("1.2.3", "npm:a version 1.2.3"),
            ("v1.2.3", "npm:a version 1.2.3"),
            ("=1.2.3", "npm:a version 1.2.3"),
            ("1.2.3-rc.1+build.5", "npm:a version 1.2.3-rc.1"),
            ("^1.2.3", "npm:a range of 1"),
            ("1.x", "npm:a range of 1"),
            (">= 1.2.3 < 2", "npm:a range of 1"),
            ("1.2.3 - 2", "npm:a range of 1"),
            ("^1 || ^2 ||", "npm:a range of 3"),
            ("~> 1.2", "npm:a range of 1"),
            ("latest", "npm:a tag latest"),
            ("next-11", "npm:a tag next-11"),
            ("npm:b@^1", "npm:b range of 1"),
            ("npm:@s/b@1.0.0", "npm:@s/b version 1.0.0"),
            ("npm:@s/b", "npm:@s/b any"),
            ("NPM:b@next", "npm:b tag next"),
            ("npm:b@npm:c@1", "unreadable"),
            ("npm:", "unreadable"),
            ("npm:../b@1", "unreadable"),
            ("not a tag", "unreadable"),
            ("file:../b", "a folder or an archive of the machine"),
            ("../b", "a folder or an archive of the machine"),
            ("b.tgz", "a folder or an archive of the machine"),
            ("workspace:*", "a workspace of its project"),
            ("github:o/b", "a repository"),
            ("o/b", "a repository"),
            ("o/b#semver:^1", "a repository"),
            ("git+ssh://git@git.example.com/o/b.git", "a repository"),
            ("git@git.example.com:o/b.git", "a repository"),
            ("https://git.example.com/o/b.git#v1", "a repository"),
            ("https://files.example.com/b.tgz", "an address"),
        ] {
            assert_eq!(said("a", spec), expected, "{spec:?}");
        }
        assert_eq!(said("../a", "1"), "unreadable");
        assert_eq!(said("a", "\u{1F600}".repeat(20).as_str()), "unreadable");
    }

    #[test]
    fn a_range_without_end_is_refused_and_not_read() {
        for spec in
            ["^1 || ".repeat(200_000), "1".repeat(1 << 20), format!("^1.{}", "0".repeat(1 << 20))]
        {
            assert_eq!(said("a", &spec), "unreadable");
        }
    }

    #[test]
    fn what_is_there_already_will_do() {
        for (spec, version, expected) in [
            ("^1", "1.5.0", true),
            ("^1", "2.0.0", false),
            ("^1", "1.5.0-rc.1", false),
            ("^1.5.0-rc.0", "1.5.0-rc.1", true),
            ("*", "2.0.0-rc.1", true),
            ("latest", "0.1.0", true),
            ("1.2.3", "1.2.3", true),
            ("1 || 3", "3.9.9", true),
            ("1 || 3", "2.0.0", false),
        ] {
            let wanted = Wanted::parse("a", spec).unwrap();
            assert_eq!(wanted.choice.takes(version), expected, "{spec} and {version}");
        }
    }
}
