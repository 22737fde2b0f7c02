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
    /// Releases whose pre-releases the text sorts out by itself, as in `>=1.0.0-beta.2`.
    named: Vec<[u64; 3]>,
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

    pub(super) fn contains(&self, other: &Self) -> bool {
        other.0.iter().all(|theirs| self.0.iter().any(|ours| ours.contains(theirs)))
    }
}

impl Alternative {
    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("one side of `||` is empty, which would mean every version".to_owned());
        }
        let range = intersection(&comparators(text)?)?;
        let exact = parse(text.trim_start_matches('=').trim()).is_some();
        let named = text
            .split_ascii_whitespace()
            .filter_map(|word| parse(word.trim_start_matches(OPERATORS)))
            .filter(Version::is_prerelease)
            .map(|version| release_of(&version))
            .collect();
        Ok(Self { range, exact, named })
    }

    /// Where a text sorts out pre-releases by itself, nothing is certain.
    fn contains(&self, other: &Self) -> bool {
        self.named.is_empty()
            && other.named.is_empty()
            && (!self.exact || other.exact)
            && self.range.allows_all(&other.range)
    }

    fn covers(&self, version: &Version) -> bool {
        if self.range.satisfies_with_prerelease(version, true) {
            return true;
        }
        let release = release_of(version);
        // A release candidate of a denied version is denied with it.
        version.is_prerelease()
            && !self.exact
            && !self.named.contains(&release)
            && self.range.satisfies(&Version::from((release[0], release[1], release[2])))
    }
}

const OPERATORS: [char; 5] = ['>', '<', '=', '^', '~'];

fn release_of(version: &Version) -> [u64; 3] {
    [version.major(), version.minor(), version.patch()]
}

/// What all comparators hold. Together they must not go to the crate: it reads `>=3 <3`, which
/// nothing satisfies, as `>=3 || <3`, which everything does.
fn intersection(comparators: &[String]) -> Result<NodeRange, String> {
    let mut all = NodeRange::any();
    for comparator in comparators {
        let range =
            NodeRange::parse(comparator).ok().filter(|range| !range.to_string().contains("||"));
        all = range
            .and_then(|range| all.intersect(&range))
            .ok_or_else(|| "no version can satisfy it".to_owned())?;
    }
    Ok(all)
}

/// One text for each comparator. The crate skips words that it cannot read; in a rule each of them
/// must mean something.
fn comparators(text: &str) -> Result<Vec<String>, String> {
    let mut found: Vec<String> = Vec::new();
    // An operator, or the front of `1.2 - 1.4`, that waits for its version.
    let mut front = String::new();
    for word in text.split_ascii_whitespace() {
        if word == "-" {
            let from = found.pop().filter(|from| front.is_empty() && is_partial(from));
            front = from.ok_or("`-` stands between two versions")? + " - ";
            continue;
        }
        let version = word.trim_start_matches(OPERATORS);
        let operator = &word[..word.len() - version.len()];
        let known = matches!(operator, "" | ">" | ">=" | "<" | "<=" | "=" | "^" | "~" | "~>");
        if !known || !(front.is_empty() || operator.is_empty()) {
            return Err(format!("`{operator}` is no operator here"));
        }
        if version.is_empty() {
            operator.clone_into(&mut front);
            continue;
        }
        if !is_partial(version) {
            return Err(format!("`{}` is no version", word.escape_debug()));
        }
        found.push(format!("{}{word}", std::mem::take(&mut front)));
    }
    if front.is_empty() { Ok(found) } else { Err("a version is missing at its end".to_owned()) }
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
