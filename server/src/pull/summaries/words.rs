//! What a package says of itself in one version. Pure.
//!
//! A summary holds the words of its versions as steps: sorted from the newest to the oldest, each
//! step begins with the oldest version that still has its words. So a package whose words hardly
//! ever change, as most do, needs few of them, and whichever version is the newest that is allowed,
//! its own words are found without its document.

use std::cmp::Ordering;

use policies::package::{Ecosystem, Version};
use policies::versions::Parsed;
use serde::Serialize;
use url::Url;

use crate::metadata::MAX_VALUE;
use crate::metadata::records::{PeopleRecord, SummaryRecord, WordsRecord, WordsStep};
use crate::observability::escape::is_deceptive;

/// Of a record, which leaves room for the rest of it.
const RECORD: usize = MAX_VALUE / 4 * 3;
/// A step without its version, as JSON.
const STEP: usize = 48;
const LINK: usize = 300;

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

/// A summary in the making, of no more than one record holds.
#[derive(Debug, Default)]
pub struct Making {
    summary: SummaryRecord,
    size: usize,
}

impl Making {
    /// Of a document in which this version is meant where none is named.
    pub fn new(latest: Option<String>) -> Self {
        Self { summary: SummaryRecord { latest, ..SummaryRecord::default() }, size: 0 }
    }

    /// What that version says.
    pub fn latest(&mut self, words: (WordsRecord, PeopleRecord)) {
        self.summary.of_latest = Some(self.add(words));
    }

    /// What the versions say that end with this one, in the order of [`order`]. Whether there is
    /// room for more.
    pub fn step(&mut self, from: &str, words: (WordsRecord, PeopleRecord)) -> bool {
        let (words, people) = self.add(words);
        if let Some(last) = self.summary.steps.last_mut()
            && (last.words, last.people) == (words, people)
        {
            from.clone_into(&mut last.from);
            return true;
        }
        self.size += from.len() + STEP;
        if self.size > RECORD {
            return false;
        }
        self.summary.steps.push(WordsStep { from: from.to_owned(), words, people });
        true
    }

    pub fn done(self) -> SummaryRecord {
        self.summary
    }

    /// What is there already is not written twice.
    fn add(&mut self, (words, people): (WordsRecord, PeopleRecord)) -> (usize, usize) {
        let Self { summary, size } = self;
        (place_in(&mut summary.words, size, words), place_in(&mut summary.people, size, people))
    }
}

fn place_in<T: PartialEq + Serialize>(all: &mut Vec<T>, size: &mut usize, one: T) -> usize {
    all.iter().position(|known| *known == one).unwrap_or_else(|| {
        *size += serde_json::to_string(&one).map_or(RECORD, |json| json.len() + 1);
        all.push(one);
        all.len() - 1
    })
}

/// At most so many bytes, on one line; nothing that a terminal would take for a command, and nothing that
/// is not seen or changes how its neighbours are.
pub fn cut(text: &str, most: usize) -> Option<String> {
    let mut kept = String::new();
    for char in text.chars() {
        // What stands between words still does.
        let char = if char.is_control() || char.is_whitespace() { ' ' } else { char };
        let is_leading = kept.is_empty() && char == ' ';
        if is_leading || is_deceptive(char) {
            continue;
        }
        if kept.len() + char.len_utf8() > most {
            break;
        }
        kept.push(char);
    }
    kept.truncate(kept.trim_end().len());
    (!kept.is_empty()).then_some(kept)
}

/// A place on the web.
pub fn link(text: &str) -> Option<String> {
    let text = text.trim();
    if text.len() > LINK {
        return None;
    }
    let url = Url::parse(text.strip_prefix("git+").unwrap_or(text)).ok()?;
    let is_on_the_web = matches!(url.scheme(), "http" | "https") && url.password().is_none();
    is_on_the_web.then(|| url.to_string()).filter(|url| url.len() <= LINK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_is_one_line_of_what_is_seen() {
        for (what, text, expected) in [
            ("plain", " a text ", Some("a text")),
            ("other letters", "größe 日本", Some("größe 日本")),
            ("lines", "a\r\nb\u{2028}c", Some("a  b c")),
            ("ANSI", "\u{1b}[31mred", Some("[31mred")),
            ("turned", "safe \u{202e}exe.gpj\u{202c}", Some("safe exe.gpj")),
            ("isolated", "\u{2066}x\u{2069}", Some("x")),
            ("not seen", "se\u{200b}r\u{ad}de", Some("serde")),
            ("tags", "x\u{e0041}\u{e007f}", Some("x")),
            ("nothing to see", "\u{200b} \u{202e}\t", None),
            ("too long", "a é twenty bytes and more", Some("a é twenty bytes an")),
        ] {
            assert_eq!(cut(text, 20).as_deref(), expected, "{what}");
        }
    }
}
