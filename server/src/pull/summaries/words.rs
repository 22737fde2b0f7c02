//! What a package says of itself in one version. Pure.
//!
//! A summary holds the words of its versions as steps: sorted from the newest to the oldest, each
//! step begins with the oldest version that still has its words. So a package whose words hardly
//! ever change, as most do, needs few of them, and whichever version is the newest that is allowed,
//! its own words are found without its document.

use std::cmp::Ordering;

use policies::package::{Ecosystem, Version};
use policies::versions::Parsed;

use crate::metadata::records::{PeopleRecord, SummaryRecord, WordsRecord};

/// The words of one version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Words<'a> {
    pub said: &'a WordsRecord,
    pub people: &'a PeopleRecord,
}

/// How versions stand in a summary: stable ones first, and the newer first among either.
pub fn order(a: &Parsed<'_>, b: &Parsed<'_>) -> Ordering {
    let newest_first = || b.compare(a).unwrap_or(Ordering::Equal);
    a.is_prerelease().cmp(&b.is_prerelease()).then_with(newest_first)
}

/// `None` where they are not known: the version is none of the document, or one of those for whose
/// words there was no room.
pub fn words_of<'a>(
    summary: &'a SummaryRecord,
    ecosystem: Ecosystem,
    version: &Version,
) -> Option<Words<'a>> {
    let (said, people) = if summary.latest.as_deref() == Some(version.as_str()) {
        summary.of_latest?
    } else {
        let version = Parsed::new(ecosystem, version.as_str())?;
        let is_newer = |from: &str| {
            Parsed::new(ecosystem, from).is_none_or(|from| order(&from, &version).is_lt())
        };
        let place = summary.steps.partition_point(|step| is_newer(&step.from));
        let step = summary.steps.get(place)?;
        (step.words, step.people)
    };
    Some(Words { said: summary.words.get(said)?, people: summary.people.get(people)? })
}
