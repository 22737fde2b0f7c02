//! What garth keeps of an own crate beside its versions' lines: who owns it, and what its versions say
//! for people. It stands as a line of its own in front of them, which is never shown.

use policies::package::Ecosystem;
use policies::versions::Parsed;
use serde::{Deserialize, Serialize};

use crate::metadata::records::{PeopleRecord, Somebody, SummaryRecord, WordsRecord};
use crate::pull::summaries::words::{Making, cut, link, order};

/// How the line begins.
pub const BEGIN: &[u8] = b"{\"own\":";

const TEXT: usize = 400;
const WORD: usize = 80;
const KEYWORDS: usize = 40;
const PEOPLE: usize = 10;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Names of people, services and teams.
    pub owners: Vec<String>,
    pub versions: Vec<OfVersion>,
}

/// What one version says for people.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OfVersion {
    pub vers: String,
    /// Who published it.
    pub by: String,
    pub words: WordsRecord,
}

#[derive(Serialize, Deserialize)]
struct OwnLine<A> {
    own: A,
}

impl About {
    /// `None` for a line that is none of these.
    pub fn parse(line: &[u8]) -> Option<Result<Self, serde_json::Error>> {
        line.starts_with(BEGIN)
            .then(|| serde_json::from_slice::<OwnLine<Self>>(line).map(|line| line.own))
    }

    pub fn to_line(&self) -> String {
        serde_json::to_string(&OwnLine { own: self }).unwrap_or_default()
    }

    /// What a search shows.
    pub fn summarise(&self, latest: Option<String>) -> SummaryRecord {
        let latest_words = latest.as_deref().and_then(|latest| self.of(latest));
        let mut making = Making::new(latest);
        if let Some(of_latest) = latest_words {
            making.latest(self.words(of_latest));
        }
        let parsed = self
            .versions
            .iter()
            .filter_map(|of| Some((Parsed::new(Ecosystem::Cargo, of.vers.as_str())?, of)));
        let mut sorted: Vec<_> = parsed.collect();
        sorted.sort_by(|(a, _), (b, _)| order(a, b));
        for (_, of) in sorted {
            if !making.step(&of.vers, self.words(of)) {
                break;
            }
        }
        making.done()
    }

    fn of(&self, version: &str) -> Option<&OfVersion> {
        self.versions.iter().find(|of| of.vers == version)
    }

    /// Within bounds, whoever wrote the line.
    fn words(&self, of: &OfVersion) -> (WordsRecord, PeopleRecord) {
        let said = &of.words;
        let keywords = said.keywords.iter().filter_map(|word| cut(word, WORD));
        let words = WordsRecord {
            description: cut(&said.description, TEXT).unwrap_or_default(),
            keywords: keywords.take(KEYWORDS).collect(),
            license: said.license.as_deref().and_then(|licence| cut(licence, WORD)),
            homepage: said.homepage.as_deref().and_then(link),
            repository: said.repository.as_deref().and_then(link),
            bugs: None,
        };
        let somebody = |name: &str| Some(Somebody { name: cut(name, WORD)?, email: None });
        let people = PeopleRecord {
            author: None,
            publisher: somebody(&of.by),
            maintainers: self
                .owners
                .iter()
                .filter_map(|name| somebody(name))
                .take(PEOPLE)
                .collect(),
        };
        (words, people)
    }

    pub fn weight(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::len);
        let of_version = |of: &OfVersion| {
            let words = &of.words;
            let keywords: usize = words.keywords.iter().map(|word| word.len() + 24).sum();
            let links = text(&words.license) + text(&words.homepage) + text(&words.repository);
            let texts = of.vers.len() + of.by.len() + words.description.len();
            size_of::<OfVersion>() + texts + keywords + links
        };
        let owners: usize = self.owners.iter().map(|owner| owner.len() + 24).sum();
        owners + self.versions.iter().map(of_version).sum::<usize>()
    }
}
