//! Which version of a package npm takes for what is wanted. Pure.
//!
//! A tag and a version are meant exactly. For a range, `latest` is taken where it is in it and not
//! deprecated; else the highest version that is not deprecated, else the highest. What the client's
//! own `engines` would make of it is not known here: the report shows what each version asks for.

use std::cmp::Ordering;
use std::collections::HashMap;

use policies::decision::Decision;
use policies::package::{Ecosystem, Version};
use policies::versions::Parsed;

use super::spec::Choice;
use crate::registries::closure::{Among, Standing};
use crate::registries::npm::documents::latest_offered;

/// The versions of one package, as npm sees them, with what is decided of each.
#[derive(Debug)]
pub struct Shelf {
    pub versions: Vec<Listed>,
    pub tags: HashMap<String, String>,
    places: HashMap<Version, usize>,
    /// Each once, as long as it is the same from version to version.
    decisions: Vec<Decision>,
}

#[derive(Debug)]
pub struct Listed {
    pub version: Version,
    parsed: Option<Parsed<'static>>,
    pub deprecated: bool,
    decision: usize,
    standing: Standing,
}

impl Listed {
    /// What is deprecated comes last.
    fn rank(&self, other: &Self) -> Ordering {
        let order = || match (&self.parsed, &other.parsed) {
            (Some(a), Some(b)) => a.compare(b).unwrap_or(Ordering::Equal),
            (a, b) => a.is_some().cmp(&b.is_some()),
        };
        other.deprecated.cmp(&self.deprecated).then_with(order)
    }
}

impl Shelf {
    /// `listed` are versions with whether they are deprecated and what is decided of them.
    pub fn new(
        listed: impl Iterator<Item = (Version, bool, Decision)>,
        tags: HashMap<String, String>,
    ) -> Self {
        let mut shelf =
            Self { versions: Vec::new(), tags, places: HashMap::new(), decisions: Vec::new() };
        for (version, deprecated, decision) in listed {
            let standing = Standing::of(&decision);
            if shelf.decisions.last() != Some(&decision) {
                shelf.decisions.push(decision);
            }
            let parsed = match Parsed::new(Ecosystem::Npm, version.as_str()) {
                Some(Parsed::Npm(parsed)) => Some(Parsed::Npm(parsed)),
                _ => None,
            };
            shelf.places.insert(version.clone(), shelf.versions.len());
            let decision = shelf.decisions.len() - 1;
            shelf.versions.push(Listed { version, parsed, deprecated, decision, standing });
        }
        shelf
    }

    pub fn decision(&self, place: usize) -> &Decision {
        &self.decisions[self.versions[place].decision]
    }

    pub fn is_refused(&self, place: usize) -> bool {
        self.versions[place].standing == Standing::Refused
    }

    fn place(&self, version: &str) -> Option<usize> {
        self.places.get(&Version::new(version).ok()?).copied()
    }

    /// The place of the version that npm takes where it sees no others than these. Where those can
    /// not serve, it is looked for among all: the report says what stands in its way.
    pub fn pick(&self, choice: &Choice, among: Among) -> Option<usize> {
        let worst: &[Standing] = match among {
            Among::AllowedFirst => &[Standing::Allowed, Standing::Open],
            Among::Unrefused => &[Standing::Open],
            Among::Everything => &[],
        };
        let seen = |worst: Standing| move |listed: &Listed| listed.standing <= worst;
        worst
            .iter()
            .find_map(|&worst| self.pick_of(choice, &seen(worst)))
            .or_else(|| self.pick_of(choice, &seen(Standing::Refused)))
    }

    fn pick_of(&self, choice: &Choice, sees: &impl Fn(&Listed) -> bool) -> Option<usize> {
        let seen = |place: &usize| sees(&self.versions[*place]);
        let tagged = |tag: &str| self.tags.get(tag).and_then(|version| self.place(version));
        match choice {
            Choice::Version(version) => self.place(version).filter(seen),
            // garth leads `latest` to another version where its own is not shown.
            Choice::Tag(tag) if tag == "latest" => self.latest(sees),
            Choice::Tag(tag) => tagged(tag).filter(seen),
            Choice::Any | Choice::Range(_) => {
                let fits = |listed: &Listed| match (choice, &listed.parsed) {
                    (Choice::Range(ranges), Some(parsed)) => {
                        ranges.iter().any(|range| range.allows(parsed))
                    }
                    (Choice::Range(_), None) => false,
                    // A pre-release only as `latest`.
                    (_, parsed) => parsed.as_ref().is_some_and(|parsed| !parsed.is_prerelease()),
                };
                let latest = self.latest(sees).filter(|&place| {
                    let listed = &self.versions[place];
                    !listed.deprecated && (matches!(choice, Choice::Any) || fits(listed))
                });
                let best = || {
                    let of_all = self.versions.iter().enumerate();
                    let fitting = of_all.filter(|(_, listed)| sees(listed) && fits(listed));
                    fitting.max_by(|(_, a), (_, b)| a.rank(b)).map(|(place, _)| place)
                };
                latest.or_else(best)
            }
        }
    }

    fn latest(&self, sees: &impl Fn(&Listed) -> bool) -> Option<usize> {
        let original = self.tags.get("latest").map(String::as_str);
        if let Some(place) = original.and_then(|version| self.place(version))
            && sees(&self.versions[place])
        {
            return Some(place);
        }
        let seen = self.versions.iter().filter(|listed| sees(listed));
        let seen: Vec<&Version> = seen.map(|listed| &listed.version).collect();
        // Without a tag npm has none either; garth gives one only in the place of another.
        original?;
        latest_offered(&seen, original).and_then(|version| self.place(version.as_str()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
