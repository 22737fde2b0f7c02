//! NuGet: versions of up to four numbers, and intervals in brackets.
//!
//! `1.0`, `1.0.0.0` and `01.0` are one version, so are `1.0-RC` and `1.0-rc`; build metadata never
//! counts. A bare version in a range means "this or higher", as it does in a project file.

use std::cmp::Ordering;
use std::fmt;

/// NuGet keeps each number in an i32.
const MAX_NUMBER: u64 = i32::MAX as u64;

/// Compared as NuGet compares: build metadata is not kept, case is folded.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    numbers: [u64; 4],
    release: Release,
}

/// A release sorts behind all of its pre-releases.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Release {
    Pre(Vec<Label>),
    Full,
}

/// Numbers sort before words; a number is kept without leading zeros, of any length.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Label {
    Number(String),
    Word(String),
}

impl Ord for Label {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.len().cmp(&b.len()).then_with(|| a.cmp(b)),
            (Self::Number(_), Self::Word(_)) => Ordering::Less,
            (Self::Word(_), Self::Number(_)) => Ordering::Greater,
            (Self::Word(a), Self::Word(b)) => a.cmp(b),
        }
    }
}

impl PartialOrd for Label {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Version {
    /// `None` when NuGet would not read it either.
    pub fn parse(text: &str) -> Option<Self> {
        let (front, metadata) = match text.split_once('+') {
            Some((front, metadata)) => (front, Some(metadata)),
            None => (text, None),
        };
        if metadata.is_some_and(|metadata| !metadata.split('.').all(is_label)) {
            return None;
        }
        let (numbers, release) = match front.split_once('-') {
            Some((numbers, release)) => (numbers, Release::Pre(labels(release)?)),
            None => (front, Release::Full),
        };
        Some(Self { numbers: parse_numbers(numbers)?, release })
    }

    pub fn is_prerelease(&self) -> bool {
        self.release != Release::Full
    }

    fn release(&self) -> Self {
        Self { numbers: self.numbers, release: Release::Full }
    }
}

/// The normal form: at least three numbers, no leading zeros, lower case, no metadata.
impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [major, minor, patch, revision] = self.numbers;
        write!(f, "{major}.{minor}.{patch}")?;
        if revision != 0 {
            write!(f, ".{revision}")?;
        }
        if let Release::Pre(labels) = &self.release {
            for (place, label) in labels.iter().enumerate() {
                let separator = if place == 0 { '-' } else { '.' };
                let (Label::Number(text) | Label::Word(text)) = label;
                write!(f, "{separator}{text}")?;
            }
        }
        Ok(())
    }
}

fn parse_numbers(text: &str) -> Option<[u64; 4]> {
    let mut numbers = [0; 4];
    let mut parts = text.split('.');
    for number in &mut numbers {
        match parts.next() {
            Some(part) => *number = parse_number(part)?,
            None => return Some(numbers),
        }
    }
    parts.next().is_none().then_some(numbers)
}

fn parse_number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|&number| number <= MAX_NUMBER)
}

fn labels(text: &str) -> Option<Vec<Label>> {
    text.split('.').map(|part| is_label(part).then(|| label(part))).collect()
}

fn is_label(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn label(text: &str) -> Label {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        let stripped = text.trim_start_matches('0');
        Label::Number(if stripped.is_empty() { "0" } else { stripped }.to_owned())
    } else {
        Label::Word(text.to_ascii_lowercase())
    }
}

/// An interval; a missing bound is open.
#[derive(Clone, Debug)]
pub struct Range {
    lower: Option<Bound>,
    upper: Option<Bound>,
    /// Whether a pre-release may be allowed: a bound or a floating part names one.
    prerelease: bool,
}

#[derive(Clone, Debug)]
struct Bound {
    version: Version,
    inclusive: bool,
}

impl Range {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.starts_with(['[', '(']) {
            return interval(text);
        }
        if text.contains('*') {
            return floating(text);
        }
        let lower = Bound { version: version(text)?, inclusive: true };
        Ok(Self::new(Some(lower), None))
    }

    fn new(lower: Option<Bound>, upper: Option<Bound>) -> Self {
        let named = |bound: &Option<Bound>| {
            bound.as_ref().is_some_and(|bound| bound.version.is_prerelease())
        };
        let prerelease = named(&lower) || named(&upper);
        Self { lower, upper, prerelease }
    }

    pub(super) fn allows(&self, version: &Version) -> bool {
        self.contains(version) && (self.prerelease || !version.is_prerelease())
    }

    pub(super) fn covers(&self, version: &Version) -> bool {
        if self.contains(version) {
            return true;
        }
        // A pre-release of a denied version is denied with it, unless the rule names one version
        // or sorts out the pre-releases of this release itself.
        let named = [&self.lower, &self.upper]
            .into_iter()
            .flatten()
            .any(|bound| bound.version.is_prerelease() && bound.version.numbers == version.numbers);
        version.is_prerelease() && !named && !self.is_exact() && self.contains(&version.release())
    }

    fn is_exact(&self) -> bool {
        match (&self.lower, &self.upper) {
            (Some(lower), Some(upper)) => lower.version == upper.version,
            _ => false,
        }
    }

    fn contains(&self, version: &Version) -> bool {
        let above = self.lower.as_ref().is_none_or(|bound| match version.cmp(&bound.version) {
            Ordering::Greater => true,
            Ordering::Equal => bound.inclusive,
            Ordering::Less => false,
        });
        let below = self.upper.as_ref().is_none_or(|bound| match version.cmp(&bound.version) {
            Ordering::Less => true,
            Ordering::Equal => bound.inclusive,
            Ordering::Greater => false,
        });
        above && below
    }
}

fn version(text: &str) -> Result<Version, String> {
    Version::parse(text).ok_or_else(|| format!("`{}` is no version", text.escape_debug()))
}

fn interval(text: &str) -> Result<Range, String> {
    let from_inclusive = text.starts_with('[');
    let to_inclusive = text.ends_with(']');
    if text.len() < 2 || !(to_inclusive || text.ends_with(')')) {
        return Err("its closing bracket is missing".to_owned());
    }
    let inner = &text[1..text.len() - 1];
    let bound = |text: &str, inclusive| match text.trim() {
        "" => Ok(None),
        text => version(text).map(|version| Some(Bound { version, inclusive })),
    };
    let Some((from, to)) = inner.split_once(',') else {
        if !(from_inclusive && to_inclusive) {
            return Err("a single version stands in square brackets: [1.0]".to_owned());
        }
        let only = Bound { version: version(inner.trim())?, inclusive: true };
        return Ok(Range::new(Some(only.clone()), Some(only)));
    };
    let range = Range::new(bound(from, from_inclusive)?, bound(to, to_inclusive)?);
    if let (Some(lower), Some(upper)) = (&range.lower, &range.upper) {
        let empty = match lower.version.cmp(&upper.version) {
            Ordering::Less => false,
            Ordering::Equal => !(lower.inclusive && upper.inclusive),
            Ordering::Greater => true,
        };
        if empty {
            return Err("no version can satisfy it".to_owned());
        }
    }
    Ok(range)
}

/// `*`, `1.*`, `1.2.*`, `1.2.3.*`, each also with `-*` behind it for pre-releases.
fn floating(text: &str) -> Result<Range, String> {
    let (numbers, prerelease) = match text.strip_suffix("-*") {
        Some(front) => (front, true),
        None => (text, false),
    };
    if numbers == "*" {
        return Ok(Range { lower: None, upper: None, prerelease });
    }
    let wrong = || "a floating version is like 1.* or 1.2.* or 1.2.*-*".to_owned();
    let Some(prefix) = numbers.strip_suffix(".*") else {
        // `1.2.3-*`: this version and its pre-releases.
        let release = version(numbers)?;
        if !prerelease || release.is_prerelease() {
            return Err(wrong());
        }
        let first = Release::Pre(vec![Label::Number("0".to_owned())]);
        let lower = Version { numbers: release.numbers, release: first };
        let bound = |version| Some(Bound { version, inclusive: true });
        return Ok(Range { lower: bound(lower), upper: bound(release), prerelease });
    };
    let fixed = prefix.split('.').count();
    let numbers = parse_numbers(prefix).filter(|_| fixed <= 3).ok_or_else(wrong)?;
    let first = Release::Pre(vec![Label::Number("0".to_owned())]);
    let mut next = numbers;
    next[fixed - 1] += 1;
    let lower = Bound { version: Version { numbers, release: first.clone() }, inclusive: true };
    let upper = Bound { version: Version { numbers: next, release: first }, inclusive: false };
    Ok(Range { lower: Some(lower), upper: Some(upper), prerelease })
}
