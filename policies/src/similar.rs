//! Names that look like others: how somebody gets you to install what you did not mean.
//!
//! A name is held against names that are trusted: the popular ones of its ecosystem, a list that is
//! shipped, and the garden's own (published here, or named exactly by a rule that allows). It
//! resembles one of them where both are the same text once case, separators and letters that look
//! alike are taken away (`l0dash`, `cross.env`, `types-node`, `@types-node/x`), or where one letter
//! is missing, added, another one, or swapped with its neighbour (`expres`, `axois`, `@bable/core`).
//!
//! A crate with `-` in its name is the one with `_`, so the two do not resemble each other. A trusted
//! name resembles nothing, and neither does what lies in a trusted scope: nobody but the
//! scope's owner publishes there. A look costs a few look-ups, however many names are trusted: of
//! two texts that differ in one place, one half is the same.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use crate::package::{Ecosystem, Package};

/// Names of an ecosystem whose names are this long at most, in bytes; a longer one is nobody's slip.
const LONGEST: usize = 214;
/// Popular texts that are shorter have too many honest neighbours.
const SHORTEST_POPULAR: usize = 5;
const SHORTEST_OF_GARDEN: usize = 4;

static POPULAR_OF_NPM: LazyLock<Names> = LazyLock::new(|| {
    let lines = include_str!("../names/npm.txt").lines();
    Names::of(lines.filter(|line| !line.starts_with('#')), SHORTEST_POPULAR, Spelling::AsItIs)
});

static POPULAR_OF_CARGO: LazyLock<Names> = LazyLock::new(|| {
    let lines = include_str!("../names/cargo.txt").lines();
    Names::of(lines.filter(|line| !line.starts_with('#')), SHORTEST_POPULAR, Spelling::Dashes)
});

/// What is one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    AsItIs,
    /// With `-` or with `_`.
    Dashes,
}

impl Spelling {
    fn of(ecosystem: Ecosystem) -> Self {
        match ecosystem {
            Ecosystem::Cargo => Self::Dashes,
            Ecosystem::Npm | Ecosystem::Nuget | Ecosystem::Oci => Self::AsItIs,
        }
    }

    fn key(self, name: &str) -> Cow<'_, str> {
        match self {
            Self::Dashes if name.contains('-') => name.replace('-', "_").into(),
            Self::AsItIs | Self::Dashes => name.into(),
        }
    }
}

/// Trusted names, the most trusted first, and how to find those that another name resembles.
#[derive(Debug)]
pub struct Names {
    kept: Box<[Box<str>]>,
    places: HashMap<u32, Vec<u32>>,
    /// Whole names.
    whole: Texts,
    /// Each scope once.
    scopes: Texts,
    spelling: Spelling,
}

impl Default for Names {
    fn default() -> Self {
        Self::new(Ecosystem::Npm, std::iter::empty())
    }
}

impl Names {
    /// Those of a garden, of one ecosystem.
    pub fn new<'a>(ecosystem: Ecosystem, names: impl IntoIterator<Item = &'a str>) -> Self {
        Self::of(names.into_iter(), SHORTEST_OF_GARDEN, Spelling::of(ecosystem))
    }

    fn of<'a>(names: impl Iterator<Item = &'a str>, shortest: usize, spelling: Spelling) -> Self {
        let mut places: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut kept: Vec<Box<str>> = Vec::new();
        let (mut whole, mut scopes, mut seen) = (Vec::new(), Vec::new(), HashSet::new());
        for name in names.filter(|name| !name.is_empty() && name.len() <= LONGEST) {
            // More than four thousand million names are none.
            let Ok(place) = u32::try_from(kept.len()) else { break };
            let key = spelling.key(name);
            let of_hash = places.entry(hash(0, key.as_bytes())).or_default();
            if of_hash.iter().any(|known| spelling.key(&kept[*known as usize]) == key) {
                continue;
            }
            of_hash.push(place);
            kept.push(name.into());
            whole.push((plain(name), place));
            if let Some(scope) = scope_of(name)
                && seen.insert(scope)
            {
                scopes.push((plain(scope), place));
            }
        }
        Self {
            kept: kept.into(),
            places,
            whole: Texts::new(whole, shortest),
            scopes: Texts::new(scopes, shortest),
            spelling,
        }
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub fn has(&self, name: &str) -> bool {
        let key = self.spelling.key(name);
        let of_hash = self.places.get(&hash(0, key.as_bytes()));
        let known = |place: &u32| self.spelling.key(&self.kept[*place as usize]);
        of_hash.into_iter().flatten().any(|place| known(place) == key)
    }

    /// Whether it lies in the scope of one of them.
    fn has_scope_of(&self, name: &str) -> bool {
        let Some(scope) = scope_of(name) else { return false };
        let of = |place: u32| scope_of(&self.kept[place as usize]) == Some(scope);
        self.scopes.first(&plain(scope), of).is_some()
    }

    fn resembled_by(&self, name: &str) -> Option<&str> {
        if self.is_empty() || name.len() > LONGEST {
            return None;
        }
        let text = plain(name);
        let scope = scope_of(name).map(plain);
        let known = |place: u32| &*self.kept[place as usize];
        let any = |_: u32| true;
        // A name without a scope is no slip for one letter more or less in one that has one.
        let alike = |place: u32| known(place).starts_with('@') == scope.is_some();
        let scoped = |place: u32| known(place).starts_with('@');
        let place = self
            .whole
            .first(&text, any)
            .or_else(|| self.whole.near(&text, alike))
            .or_else(|| self.whole.first(scope.as_ref()?, scoped))
            .or_else(|| self.scopes.first(scope.as_ref()?, any))
            .or_else(|| self.scopes.near(scope.as_ref()?, any));
        place.map(known)
    }
}

/// The trusted name that this one resembles, of a garden's of the same ecosystem or of the popular
/// ones; empty where there is none; `None` where nobody has told
/// which names of the ecosystem are popular.
pub fn similar_to<'n>(package: &Package, garden: &'n Names) -> Option<&'n str> {
    let popular: &'static Names = match package.ecosystem() {
        Ecosystem::Npm => &POPULAR_OF_NPM,
        Ecosystem::Cargo => &POPULAR_OF_CARGO,
        Ecosystem::Nuget | Ecosystem::Oci => return None,
    };
    let name = package.name();
    let is_trusted = |names: &Names| names.has(name) || names.has_scope_of(name);
    if is_trusted(garden) || is_trusted(popular) {
        return Some("");
    }
    Some(garden.resembled_by(name).or_else(|| popular.resembled_by(name)).unwrap_or_default())
}

fn scope_of(name: &str) -> Option<&str> {
    name.strip_prefix('@')?.split_once('/').map(|(scope, _)| scope)
}

/// Without what a reader overlooks: case, separators, and which of two letters that look alike it is.
fn plain(name: &str) -> String {
    let mut text = String::with_capacity(name.len());
    for letter in name.chars().flat_map(char::to_lowercase) {
        text.push(match letter {
            '-' | '_' | '.' | '/' | '@' | '~' | '+' => continue,
            '0' | '\u{43e}' | '\u{3bf}' => 'o',
            '1' | '!' | '|' | '\u{131}' | '\u{456}' | '\u{4cf}' => 'l',
            '3' | '\u{435}' | '\u{451}' => 'e',
            '4' | '\u{430}' | '\u{3b1}' => 'a',
            '5' | '$' | '\u{455}' => 's',
            '7' => 't',
            '8' => 'b',
            '\u{441}' => 'c',
            '\u{440}' | '\u{3c1}' => 'p',
            '\u{443}' => 'y',
            '\u{445}' => 'x',
            '\u{3bd}' => 'v',
            other => other,
        });
        for (pair, one) in [("rn", "m"), ("vv", "w")] {
            if text.ends_with(pair) {
                text.truncate(text.len() - pair.len());
                text.push_str(one);
            }
        }
    }
    text
}

/// Texts with the places of the names that they stand for.
#[derive(Debug)]
struct Texts {
    all: Box<[(Box<str>, u32)]>,
    /// Hash and place in `all`, sorted.
    equal: Box<[(u32, u32)]>,
    halves: Box<[(u32, u32)]>,
    shortest: usize,
}

/// What is hashed, so that a text is not found by another part of one.
const WHOLE: u32 = 1;
const START: u32 = 2;
const END: u32 = 3;

impl Texts {
    /// In the order in which the names are trusted.
    fn new(texts: Vec<(String, u32)>, shortest: usize) -> Self {
        let texts: Box<[(Box<str>, u32)]> =
            texts.into_iter().map(|(text, place)| (text.into(), place)).collect();
        let (mut equal, mut halves) = (Vec::new(), Vec::new());
        for (at, (text, _)) in (0_u32..).zip(&texts) {
            let text = text.as_bytes();
            equal.push((hash(WHOLE, text), at));
            if text.len() >= shortest {
                let (start, end) = text.split_at(text.len() / 2);
                halves.push((hash_half(START, text.len(), start), at));
                halves.push((hash_half(END, text.len(), end), at));
            }
        }
        equal.sort_unstable();
        halves.sort_unstable();
        Self { all: texts, equal: equal.into(), halves: halves.into(), shortest }
    }

    /// The name of the same text that is trusted most.
    fn first(&self, text: &str, takes: impl Fn(u32) -> bool) -> Option<u32> {
        let found = found(&self.equal, hash(WHOLE, text.as_bytes()));
        let same = found.map(|at| &self.all[at]).filter(|(known, _)| **known == *text);
        same.map(|(_, place)| *place).filter(|place| takes(*place)).min()
    }

    /// The same for a text that differs in one place.
    fn near(&self, text: &str, takes: impl Fn(u32) -> bool) -> Option<u32> {
        let asked = text.as_bytes();
        let mut best: Option<u32> = None;
        let mut see = |at: usize| {
            let (known, place) = &self.all[at];
            let is_better = best.is_none_or(|best| *place < best) && takes(*place);
            if is_better && differ_in_one_place(known.as_bytes(), asked) {
                best = Some(*place);
            }
        };
        let shortest = asked.len().saturating_sub(1).max(self.shortest);
        for length in shortest..=asked.len() + 1 {
            // Of a known text of this length: where the difference is in one half, the other stands
            // at the same end of both.
            let (start, end) = (length / 2, length - length / 2);
            if let Some(start) = asked.get(..start) {
                found(&self.halves, hash_half(START, length, start)).for_each(&mut see);
            }
            if let Some(end) = asked.len().checked_sub(end).and_then(|from| asked.get(from..)) {
                found(&self.halves, hash_half(END, length, end)).for_each(&mut see);
            }
        }
        // Two letters may be swapped where the halves meet.
        let middle = asked.len() / 2;
        if asked.len() >= self.shortest.max(2) {
            let mut swapped = asked.to_vec();
            swapped.swap(middle - 1, middle);
            found(&self.equal, hash(WHOLE, &swapped)).for_each(&mut see);
        }
        best
    }
}

fn found(sorted: &[(u32, u32)], sought: u32) -> impl Iterator<Item = usize> + '_ {
    let from = sorted.partition_point(|(hash, _)| *hash < sought);
    sorted[from..].iter().take_while(move |(hash, _)| *hash == sought).map(|(_, at)| *at as usize)
}

fn hash_half(kind: u32, length: usize, half: &[u8]) -> u32 {
    hash(kind.wrapping_add(u32::try_from(length).unwrap_or(0) << 2), half)
}

/// FNV-1a: what is found by it is compared, so it only has to be quick.
fn hash(kind: u32, bytes: &[u8]) -> u32 {
    let start = 0x811c_9dc5_u32 ^ kind.wrapping_mul(0x9e37_79b9);
    bytes.iter().fold(start, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// One letter more, less or other, or two neighbours swapped.
fn differ_in_one_place(a: &[u8], b: &[u8]) -> bool {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[same..], &b[same..]);
    match (a, b) {
        ([first, second, rest @ ..], [x, y, others @ ..])
            if first == y && second == x && rest == others =>
        {
            true
        }
        ([_, rest @ ..], [_, others @ ..]) if a.len() == b.len() => rest == others,
        ([_, rest @ ..], _) if a.len() == b.len() + 1 => rest == b,
        (_, [_, others @ ..]) if a.len() + 1 == b.len() => a == others,
        _ => false,
    }
}

#[cfg(test)]
mod tests;
