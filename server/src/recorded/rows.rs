//! Rows ⇄ the text that a record holds. Pure.
//!
//! A row is numbers: places in a list of the texts of its record, and what is counted. As JSON, and
//! packed, it takes some twenty bytes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::{SignedDuration, Timestamp};
use policies::decision::Effect;
use policies::package::{Package, Version};
use serde::{Deserialize, Serialize};

use super::{Outcome, Tally, Use, known_code};
use crate::metadata::MAX_VALUE;
use crate::metadata::records::RecordedRecord;

/// A record is never more than this unpacked.
const UNPACKED: usize = 8 << 20;
/// Rows of one record, to begin with.
const ROWS: usize = 1024;
/// Of a value, for what stands around the rows.
const AROUND: usize = 128;

#[derive(Serialize, Deserialize)]
struct Page {
    texts: Vec<Arc<str>>,
    rows: Vec<Row>,
}

/// Places of texts count from 1; 0 is none. An effect is a place in [`Effect::ALL`], from 1.
#[derive(Serialize, Deserialize)]
struct Row {
    #[serde(rename = "p")]
    package: u32,
    #[serde(rename = "v")]
    version: u32,
    #[serde(rename = "r")]
    registry: u32,
    #[serde(rename = "t", default, skip_serializing_if = "is_zero")]
    team: u32,
    #[serde(rename = "e", default, skip_serializing_if = "is_zero")]
    environment: u32,
    #[serde(rename = "d")]
    effect: u8,
    #[serde(rename = "c", default, skip_serializing_if = "is_zero")]
    code: u32,
    #[serde(rename = "b", default, skip_serializing_if = "is_zero")]
    rule: u32,
    /// A rule that only observes, and its effect.
    #[serde(rename = "o", default, skip_serializing_if = "Option::is_none")]
    observed: Option<(u32, u8)>,
    #[serde(rename = "s")]
    served: u8,
    #[serde(rename = "n")]
    requests: u64,
    /// Milliseconds since the hour began.
    #[serde(rename = "l")]
    last: u32,
    #[serde(rename = "w")]
    revision: u32,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

pub(super) fn by_hour(rows: Vec<(Use, Tally)>) -> BTreeMap<u32, Vec<(Use, Tally)>> {
    let mut hours: BTreeMap<u32, Vec<(Use, Tally)>> = BTreeMap::new();
    for row in rows {
        hours.entry(row.0.hour).or_default().push(row);
    }
    for rows in hours.values_mut() {
        // Neighbours that are alike pack well.
        rows.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    }
    hours
}

/// Records of the first rows, as many as about `bytes` hold, and how many rows those are: at least
/// one.
pub(super) fn pack_some(rows: &[(Use, Tally)], bytes: usize) -> (Vec<RecordedRecord>, usize) {
    let (mut records, mut taken, mut size, mut count) = (Vec::new(), 0, 0, ROWS);
    while taken < rows.len() && (records.is_empty() || size < bytes) {
        let some = &rows[taken..rows.len().min(taken + count)];
        let record = pack(some);
        if record.packed.len() + AROUND > MAX_VALUE && some.len() > 1 {
            count = (some.len() / 2).max(1);
            continue;
        }
        size += record.packed.len() + AROUND;
        taken += some.len();
        records.push(record);
    }
    (records, taken)
}

fn pack(rows: &[(Use, Tally)]) -> RecordedRecord {
    let mut texts = Texts::default();
    let effect = |effect: Effect| effect as u8 + 1;
    let packed = rows
        .iter()
        .map(|(key, tally)| Row {
            package: texts.place(&key.package.to_string()),
            version: texts.maybe(key.version.as_ref().map(Version::as_str)),
            registry: texts.place(&key.registry),
            team: texts.maybe(key.team.as_deref()),
            environment: texts.maybe(key.environment.as_deref()),
            effect: effect(key.outcome.effect),
            code: texts.maybe(key.outcome.code),
            rule: texts.maybe(key.outcome.rule.as_deref()),
            observed: key
                .outcome
                .observed
                .as_ref()
                .map(|(rule, of)| (texts.place(rule), effect(*of))),
            served: u8::from(key.outcome.served),
            requests: tally.requests,
            last: u32::try_from(tally.last.as_millisecond() - beginning(key.hour).as_millisecond())
                .unwrap_or(0),
            revision: texts.place(&tally.revision),
        })
        .collect();
    let page = Page { texts: texts.all, rows: packed };
    let json = serde_json::to_vec(&page)
        .expect("numbers and texts can be written, and a Vec never fails to grow");
    let packed = zstd::bulk::compress(&json, 3).expect("memory is all that packing needs");
    RecordedRecord {
        rows: u32::try_from(rows.len()).unwrap_or(u32::MAX),
        requests: rows.iter().map(|(_, tally)| tally.requests).sum(),
        packed: STANDARD.encode(packed),
    }
}

/// The rows of a record of this hour, or why they can not be read.
pub(super) fn unpack(hour: u32, record: &RecordedRecord) -> Result<Vec<(Use, Tally)>, String> {
    let packed = STANDARD.decode(&record.packed).map_err(|fault| fault.to_string())?;
    let json = zstd::bulk::decompress(&packed, UNPACKED).map_err(|fault| fault.to_string())?;
    let page: Page = serde_json::from_slice(&json).map_err(|fault| fault.to_string())?;
    let mut names =
        Names { texts: &page.texts, packages: HashMap::new(), versions: HashMap::new() };
    page.rows.iter().map(|row| names.row(hour, row)).collect()
}

fn beginning(hour: u32) -> Timestamp {
    Timestamp::from_second(i64::from(hour) * 3600).unwrap_or(Timestamp::MAX)
}

#[derive(Default)]
struct Texts {
    all: Vec<Arc<str>>,
    places: HashMap<Arc<str>, u32>,
}

impl Texts {
    fn place(&mut self, text: &str) -> u32 {
        if let Some(place) = self.places.get(text) {
            return *place;
        }
        let text: Arc<str> = text.into();
        self.all.push(Arc::clone(&text));
        let place = u32::try_from(self.all.len()).unwrap_or(u32::MAX);
        self.places.insert(text, place);
        place
    }

    fn maybe(&mut self, text: Option<&str>) -> u32 {
        text.map_or(0, |text| self.place(text))
    }
}

/// Reads each name once.
struct Names<'p> {
    texts: &'p [Arc<str>],
    packages: HashMap<u32, Package>,
    versions: HashMap<u32, Version>,
}

impl Names<'_> {
    fn row(&mut self, hour: u32, row: &Row) -> Result<(Use, Tally), String> {
        let package = if let Some(package) = self.packages.get(&row.package) {
            package.clone()
        } else {
            let package: Package =
                self.text(row.package)?.parse().map_err(|fault| format!("{fault}"))?;
            self.packages.insert(row.package, package.clone());
            package
        };
        let version = match (row.version, self.versions.get(&row.version)) {
            (0, _) => None,
            (_, Some(version)) => Some(version.clone()),
            (place, None) => {
                let version = Version::new(self.text(place)?).map_err(|fault| fault.to_string())?;
                self.versions.insert(place, version.clone());
                Some(version)
            }
        };
        let observed = match row.observed {
            Some((rule, effect)) => Some((Arc::clone(self.text(rule)?), effect_of(effect)?)),
            None => None,
        };
        let code = match self.maybe(row.code)? {
            Some(code) => Some(known_code(&code).ok_or_else(|| format!("{code:?} is no code"))?),
            None => None,
        };
        let outcome = Outcome {
            effect: effect_of(row.effect)?,
            code,
            rule: self.maybe(row.rule)?,
            observed,
            served: row.served != 0,
        };
        let last = beginning(hour)
            .checked_add(SignedDuration::from_millis(row.last.into()))
            .map_err(|fault| fault.to_string())?;
        let key = Use {
            hour,
            package,
            version,
            registry: Arc::clone(self.text(row.registry)?),
            team: self.maybe(row.team)?,
            environment: self.maybe(row.environment)?,
            outcome,
        };
        let revision = Arc::clone(self.text(row.revision)?);
        Ok((key, Tally { requests: row.requests, last, revision }))
    }

    fn text(&self, place: u32) -> Result<&Arc<str>, String> {
        let index = (place as usize).checked_sub(1);
        index
            .and_then(|index| self.texts.get(index))
            .ok_or_else(|| format!("it has no text {place}"))
    }

    fn maybe(&self, place: u32) -> Result<Option<Arc<str>>, String> {
        if place == 0 { Ok(None) } else { self.text(place).cloned().map(Some) }
    }
}

fn effect_of(number: u8) -> Result<Effect, String> {
    let index = usize::from(number).checked_sub(1);
    index
        .and_then(|index| Effect::ALL.get(index).copied())
        .ok_or_else(|| format!("{number} is no effect"))
}
