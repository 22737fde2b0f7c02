//! npm: node-semver's versions and ranges, read without its leniency towards rubbish.

use nodejs_semver::{Range as NodeRange, Version};

/// `None` unless the whole text is a version. The crate drops what it does not understand behind
/// the patch number, so `1.2.3_evil` would pass for `1.2.3`.
pub(super) fn parse(text: &str) -> Option<Version> {
    is_whole(text).then(|| Version::parse(text).ok()).flatten()
}

/// `v?1.2.3`, then a pre-release (old packages leave out its dash), then build metadata.
fn is_whole(text: &str) -> bool {
    let text = text.strip_prefix(['v', 'V']).unwrap_or(text);
    let (front, build) = match text.split_once('+') {
        Some((front, build)) => (front, Some(build)),
        None => (text, None),
    };
    let Some(rest) = number(front).and_then(dot).and_then(number).and_then(dot).and_then(number)
    else {
        return false;
    };
    let pre = rest.strip_prefix('-').unwrap_or(rest);
    (rest.is_empty() || is_identifiers(pre)) && build.is_none_or(is_identifiers)
}

fn number(text: &str) -> Option<&str> {
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    (rest.len() < text.len()).then_some(rest)
}

fn dot(text: &str) -> Option<&str> {
    text.strip_prefix('.')
}

fn is_identifiers(text: &str) -> bool {
    text.split('.').all(|part| {
        !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    })
}

/// Alternatives joined by `||`.
#[derive(Clone, Debug)]
pub struct Range(Vec<Alternative>);

#[derive(Clone, Debug)]
struct Alternative {
    range: NodeRange,
    /// The text was one whole version: then its pre-releases are others.
    exact: bool,
}

impl Range {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        text.split("||")
            .map(|part| Alternative::parse(part.trim()))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    pub(super) fn allows(&self, version: &Version) -> bool {
        self.0.iter().any(|alternative| alternative.range.satisfies(version))
    }

    pub(super) fn covers(&self, version: &Version) -> bool {
        self.0.iter().any(|alternative| alternative.covers(version))
    }
}

impl Alternative {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("one side of `||` is empty, which would mean every version".to_owned());
        }
        check_words(text)?;
        let range = NodeRange::parse(text).map_err(|_| "no version can satisfy it".to_owned())?;
        Ok(Self { range, exact: parse(text.trim_start_matches('=').trim()).is_some() })
    }

    fn covers(&self, version: &Version) -> bool {
        if self.range.satisfies_with_prerelease(version, true) {
            return true;
        }
        // A release candidate of a denied version is denied with it.
        !self.exact
            && version.is_prerelease()
            && self.range.satisfies(&Version::from((
                version.major(),
                version.minor(),
                version.patch(),
            )))
    }
}

/// The crate skips words that it cannot read; in a rule each of them must mean something.
fn check_words(text: &str) -> Result<(), String> {
    let mut needs_version = false;
    for word in text.split_ascii_whitespace() {
        if word == "-" {
            needs_version = true;
            continue;
        }
        let version = word.trim_start_matches(['>', '<', '=', '^', '~']);
        let operator = &word[..word.len() - version.len()];
        if !matches!(operator, "" | ">" | ">=" | "<" | "<=" | "=" | "^" | "~" | "~>") {
            return Err(format!("`{operator}` is no operator"));
        }
        if version.is_empty() {
            needs_version = true;
            continue;
        }
        if !is_partial(version) {
            return Err(format!("`{}` is no version", word.escape_debug()));
        }
        needs_version = false;
    }
    if needs_version { Err("a version is missing at its end".to_owned()) } else { Ok(()) }
}

/// `1`, `1.x`, `1.2.*`, or a whole version.
fn is_partial(text: &str) -> bool {
    let part = |part: &str| {
        matches!(part, "x" | "X" | "*")
            || (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let bare = text.strip_prefix(['v', 'V']).unwrap_or(text);
    (bare.split('.').count() <= 3 && bare.split('.').all(part)) || is_whole(text)
}
