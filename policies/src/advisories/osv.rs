//! A record's JSON → [`Advisory`], within bounds.
//!
//! Of a record only what decisions need is kept. Packages of other ecosystems, and names that no
//! registry could hold, are left out and counted; ranges of git commits say nothing about versions
//! and are left out too, as the specification has it: then the list of versions speaks.

use jiff::Timestamp;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::severity::{severity_of, severity_of_notice};
use super::{
    Advisory, Affected, Event, MAX_AFFECTED, MAX_ALIAS_BYTES, MAX_ALIASES, MAX_CWES,
    MAX_EVENT_BYTES, MAX_EVENTS, MAX_ID, MAX_RANGES, MAX_RECORD, MAX_SUMMARY, MAX_URL, MAX_VERSION,
    MAX_VERSIONS, ecosystem_of, text_weight,
};
use crate::package::Package;

/// Why a text is no record of OSV, with its place where there is one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Unreadable(String);

/// What a record says.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// Without packages where none of them is of a known ecosystem.
    pub advisory: Advisory,
    /// Packages of other ecosystems, or with names that no registry could hold.
    pub ignored: usize,
}

#[derive(Deserialize)]
struct Record {
    id: String,
    modified: Timestamp,
    #[serde(default)]
    published: Option<Timestamp>,
    #[serde(default)]
    withdrawn: Option<Timestamp>,
    #[serde(default)]
    aliases: Option<Vec<String>>,
    #[serde(default)]
    summary: Option<String>,
    #[serde(default)]
    severity: Option<Vec<RecordSeverity>>,
    #[serde(default)]
    affected: Option<Vec<RecordAffected>>,
    #[serde(default)]
    references: Option<Vec<Reference>>,
    #[serde(default)]
    database_specific: Option<Specific>,
}

#[derive(Deserialize)]
struct RecordSeverity {
    #[serde(rename = "type")]
    kind: String,
    score: String,
}

#[derive(Deserialize)]
struct RecordAffected {
    #[serde(default)]
    package: Option<RecordPackage>,
    #[serde(default)]
    severity: Option<Vec<RecordSeverity>>,
    #[serde(default)]
    ranges: Option<Vec<RecordRange>>,
    #[serde(default)]
    versions: Option<Vec<String>>,
    #[serde(default)]
    database_specific: Option<Specific>,
}

#[derive(Deserialize)]
struct RecordPackage {
    ecosystem: String,
    name: String,
}

#[derive(Deserialize)]
struct RecordRange {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    events: Option<Vec<RecordEvent>>,
}

/// One of them by the specification; older records have several in one.
#[derive(Deserialize)]
struct RecordEvent {
    #[serde(default)]
    introduced: Option<String>,
    #[serde(default)]
    fixed: Option<String>,
    #[serde(default)]
    last_affected: Option<String>,
    #[serde(default)]
    limit: Option<String>,
}

#[derive(Deserialize)]
struct Reference {
    #[serde(rename = "type", default)]
    kind: String,
    url: String,
}

/// What some databases add. Its form is theirs: what is of another one is as if it were not there.
#[derive(Default)]
struct Specific {
    severity: Option<String>,
    cwes: Vec<String>,
    malicious: bool,
    /// RustSec's word for what is no vulnerability.
    informational: Option<String>,
}

impl<'de> Deserialize<'de> for Specific {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Lenient<T> {
            Known(T),
            Other(IgnoredAny),
        }
        impl<T> Lenient<T> {
            fn known(self) -> Option<T> {
                match self {
                    Self::Known(value) => Some(value),
                    Self::Other(_) => None,
                }
            }
        }
        #[derive(Deserialize)]
        struct Fields {
            #[serde(default)]
            severity: Option<Lenient<String>>,
            #[serde(default)]
            cwe_ids: Option<Lenient<Vec<String>>>,
            #[serde(default)]
            informational: Option<Lenient<String>>,
            /// RustSec's kinds of what it records.
            #[serde(default)]
            categories: Option<Lenient<Vec<String>>>,
            /// Of the database of malicious packages.
            #[serde(rename = "malicious-packages-origins", default)]
            origins: Option<IgnoredAny>,
        }
        let fields = match Lenient::<Fields>::deserialize(deserializer)? {
            Lenient::Known(fields) => fields,
            Lenient::Other(_) => return Ok(Self::default()),
        };
        let categories = fields.categories.and_then(Lenient::known).unwrap_or_default();
        let is_malice = categories.iter().any(|category| category == MALICE);
        Ok(Self {
            severity: fields.severity.and_then(Lenient::known),
            cwes: fields.cwe_ids.and_then(Lenient::known).unwrap_or_default(),
            malicious: fields.origins.is_some() || is_malice,
            informational: fields.informational.and_then(Lenient::known),
        })
    }
}

/// The prefix of the database of malicious packages.
const MALICIOUS: &str = "MAL-";
/// Embedded malicious code: by its definition no mistake.
const EMBEDDED_MALICE: &str = "CWE-506";

/// RustSec's category of the same.
const MALICE: &str = "malicious";

/// Whether the database of malicious packages gave this id, which other databases name as an alias.
pub fn is_malicious_id(id: &str) -> bool {
    id.starts_with(MALICIOUS)
}

/// Reads one record; what it leaves out is empty, what contradicts the format is an error.
pub fn parse(text: &[u8]) -> Result<Parsed, Unreadable> {
    if text.len() > MAX_RECORD {
        return Err(Unreadable(format!("it has more than {MAX_RECORD} bytes")));
    }
    let record: Record = serde_json::from_slice(text).map_err(|fault| {
        Unreadable(format!("it is no OSV record: {}", shortened(&fault.to_string(), 300)))
    })?;
    check_id(&record.id)?;
    let aliases = record.aliases.unwrap_or_default();
    bound("aliases", aliases.len(), MAX_ALIASES)?;
    bound("bytes of aliases", aliases.iter().map(String::len).sum(), MAX_ALIAS_BYTES)?;
    aliases.iter().try_for_each(|alias| check_id(alias))?;
    let specific = record.database_specific.unwrap_or_default();
    let found = record.affected.unwrap_or_default();
    let of_affected = found.iter().filter_map(|one| one.database_specific.as_ref());
    let malicious = of_affected.chain([&specific]).any(|specific| specific.malicious)
        || is_malicious_id(&record.id)
        || aliases.iter().any(|alias| is_malicious_id(alias))
        || specific.cwes.iter().any(|cwe| cwe == EMBEDDED_MALICE);
    let cwes: Vec<String> =
        specific.cwes.into_iter().filter(|cwe| is_cwe(cwe)).take(MAX_CWES).collect();
    bound("affected packages", found.len(), MAX_AFFECTED)?;
    let of_all = record.severity.unwrap_or_default();
    let (mut affected, mut ignored) = (Vec::new(), 0);
    for one in found {
        match read_affected(one, &of_all, specific.severity.as_deref())? {
            Some(one) => affected.push(one),
            None => ignored += 1,
        }
    }
    let advisory = Advisory {
        id: record.id,
        aliases,
        summary: shortened(&record.summary.unwrap_or_default(), MAX_SUMMARY),
        modified: record.modified,
        published: record.published,
        withdrawn: record.withdrawn,
        malicious,
        url: url_of(record.references.unwrap_or_default()),
        cwes,
        affected,
    };
    Ok(Parsed { advisory, ignored })
}

/// `None`: not of an ecosystem, or not of a name, that garth could be asked for.
fn read_affected(
    found: RecordAffected,
    of_all: &[RecordSeverity],
    word: Option<&str>,
) -> Result<Option<Affected>, Unreadable> {
    let Some(package) = found.package else { return Ok(None) };
    let Some(ecosystem) = ecosystem_of(&package.ecosystem) else { return Ok(None) };
    let Ok(package) = Package::new(ecosystem, &package.name) else { return Ok(None) };
    let ranges = found.ranges.unwrap_or_default();
    bound("ranges", ranges.len(), MAX_RANGES)?;
    let ranges = ranges
        .into_iter()
        .filter(|range| range.kind != "GIT")
        .map(|range| read_events(range.events.unwrap_or_default()))
        .collect::<Result<_, _>>()?;
    let mut versions = found.versions.unwrap_or_default();
    versions.iter_mut().for_each(make_printable);
    bound("versions", versions.len(), MAX_VERSIONS)?;
    versions.iter().try_for_each(|version| bound_version(version))?;
    let own = found.severity.unwrap_or_default();
    let vectors = if own.is_empty() { of_all } else { &own };
    let vectors = vectors.iter().map(|one| (one.kind.as_str(), one.score.as_str()));
    let (severity, vector) = severity_of(vectors, word);
    let informational = found.database_specific.and_then(|specific| specific.informational);
    let severity = severity.or_else(|| informational.as_deref().and_then(severity_of_notice));
    Ok(Some(Affected { package, severity, vector, ranges, versions }))
}

fn read_events(found: Vec<RecordEvent>) -> Result<Vec<Event>, Unreadable> {
    bound("events", found.len(), MAX_EVENTS)?;
    let mut events = Vec::new();
    for event in found {
        events.extend(event.introduced.map(Event::Introduced));
        events.extend(event.fixed.map(Event::Fixed));
        events.extend(event.last_affected.map(Event::LastAffected));
        events.extend(event.limit.map(Event::Limit));
    }
    for event in &mut events {
        let (Event::Introduced(version)
        | Event::Fixed(version)
        | Event::LastAffected(version)
        | Event::Limit(version)) = event;
        make_printable(version);
    }
    events.iter().try_for_each(|event| bound_version(event.version()))?;
    let bytes: usize = events.iter().map(|event| text_weight(event.version())).sum();
    bound("bytes of events", bytes, MAX_EVENT_BYTES)?;
    // The specification asks for one. Without it nobody knows where it begins.
    if !events.iter().any(|event| matches!(event, Event::Introduced(_))) {
        events.insert(0, Event::Introduced("0".to_owned()));
    }
    Ok(events)
}

/// An id is shown to people, stands in headers and names a record.
fn check_id(id: &str) -> Result<(), Unreadable> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:+@".contains(&byte);
    if id.is_empty() || id.len() > MAX_ID || !id.bytes().all(plain) {
        let shown = shortened(id, 80);
        return Err(Unreadable(format!("{shown:?} is no id of an advisory")));
    }
    Ok(())
}

fn is_cwe(text: &str) -> bool {
    text.len() <= 12
        && text.strip_prefix("CWE-").is_some_and(|number| {
            !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
}

fn bound(what: &str, count: usize, most: usize) -> Result<(), Unreadable> {
    if count <= most {
        return Ok(());
    }
    Err(Unreadable(format!("it has {count} {what}, more than {most}")))
}

fn bound_version(version: &str) -> Result<(), Unreadable> {
    bound("bytes in one version", version.len(), MAX_VERSION)
}

/// The page that speaks of it, else any that is named.
fn url_of(references: Vec<Reference>) -> Option<String> {
    let is_link = |reference: &Reference| {
        let url = reference.url.as_str();
        (url.starts_with("https://") || url.starts_with("http://"))
            && url.len() <= MAX_URL
            && url.bytes().all(|byte| byte.is_ascii_graphic())
    };
    let mut links: Vec<Reference> = references.into_iter().filter(is_link).collect();
    let advisory = links.iter().position(|link| link.kind == "ADVISORY").unwrap_or(0);
    (!links.is_empty()).then(|| links.swap_remove(advisory).url)
}

/// In one line, without what a terminal would take for more than text.
fn shortened(text: &str, most: usize) -> String {
    let line: String = text
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .filter(|c| is_printable(*c))
        .take(most)
        .collect();
    let mut end = line.len().min(most);
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    line[..end].to_owned()
}

/// Versions are shown to people. One with such a character in it is none, and stays none.
fn make_printable(text: &mut String) {
    if !text.chars().all(is_printable) {
        *text = text.chars().map(|c| if is_printable(c) { c } else { '?' }).collect();
    }
}

fn is_printable(c: char) -> bool {
    let turns = matches!(
        c,
        '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    );
    !c.is_control() && !turns
}
