//! Typed keys and versioned values: the only file that knows what is stored under which key.
//!
//! ```text
//! document/{registry}/{package}/{document}   DocumentRecord   newest bytes that the upstream gave
//! versions/{registry}/{package}/{n:06}       VersionsRecord   of many: first seen, digests pinned
//! artifact/{registry}/{package}/{file}       ArtifactRecord   a cached or published file
//! inside/{registry}/{package}/{version}      InsideRecord     what a crate says that no index does
//! observation/{registry}/{package}/{n:020}   Observation      what changed upstream, and when
//! summary/{registry}/{package}               SummaryRecord    what a search goes by
//! own/{registry}/{folded name}               OwnRecord        a package that is published here
//! unpublishing/{registry}/{package}/{n:06}   UnpublishingRecord  what of it is still to go
//! rule/{name}                                RuleRecord       a rule made through the API
//! rule-packages/{name}/{n:06}                RulePackages     more of its packages, if they are many
//! advisory/{id}/{source}/{g:020}/{n:06}      AdvisoryRecord   what an import said of an advisory
//! advisories/state                           AdvisoriesRecord which imports count
//! team/{unit}/{team}                         TeamRecord       a team
//! unit/{unit}                                UnitRecord       what people of its teams may
//! user/{name}                                UserRecord       a person, or a service
//! answer/{hash}                             AnswerRecord     what a change with a key of the client came to
//! role/{name}                                RoleRecord       a set of rights
//! token/{name}                               TokenRecord      a token: whom it is for, hashes
//! login/{name}                               LoginRecord      a token that came of a login
//! exchanged/{until:020}/{hash}                ExchangedRecord  a pipeline's token that was exchanged
//! token-use/{name}                           TokenUseRecord   when it was last used
//! recorded/{hour:08}/{writer}/{n:010}        RecordedRecord   what was asked for and decided
//! revision/{revision}, revision-rules/…      RevisionRecord   rules that were in force, and when
//! request/{stage}/{n:020}                    RequestRecord    who asks for a package, and what became of it
//! request-comment/{n:020}/{m:06}             RequestComment   what was said of it
//! request-versions/{n:020}/{m:06}            RequestVersions  what one asks for, where that is much
//! requests/state                             RequestsRecord   the last number
//! endings/state                              EndingsRecord    up to when ends of rules were told
//! audit-waiting/{micros:020}-{writer}        WaitingRecord    an entry of the audit log without a number
//! audit/{last n:020}                         AuditEntries     entries of the audit log that follow each other
//! audit-by/{kind}/{value}/{inverted n:020}   AuditIndex       which entries are about this value, from n on
//! audit-indexed/state                        AuditIndexed     up to where entries are in the index
//! audit-hashes/{chunk:020}                   AuditHashes      hashes of the log's tree
//! audit-head/state                           AuditHead        how far the log is, and its root
//! setting/{name}                             SettingRecord    a setting as it was at the last start
//! held/{package}/{version}                   HeldRecord       somebody met it on hold
//! holds/state                                HoldsRecord      up to where holds were looked for
//! advisory-hit/{id}/{package}/{version}      HitRecord        that it speaks of something in use was told
//! advisory-hits/state                        HitsRecord       up to which import was looked at
//! webhook/{name}                             WebhookRecord    where events are sent
//! webhook-cursor/{name}                      WebhookCursor    how far it is
//! webhook-delivery/{name}/{n:020}            DeliveryRecord   an event on its way, or there
//! meta/...                                   single values (the store's format, its identity)
//! ```
//!
//! Each part of a key is percent-encoded, so a `/` in a package name never shifts the parts. A
//! value is one byte of encoding version followed by JSON, packed by zstd in version 2; a reader refuses
//! a version that it does not know, and says so.

mod access;
mod advisories;
mod answers;
mod audit;
mod inside;
mod keys;
mod kinds;
mod noticed;
mod parts;
mod recorded;
mod requests;
mod revisions;
mod terms;
mod unpublishing;
mod versions;
mod webhooks;

use bytes::Bytes;
use jiff::Timestamp;
use policies::decision::Effect;
use policies::package::Digest;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

pub use self::access::{
    ExchangedRecord, LoginRecord, RevokedRecord, RoleRecord, SecretRecord, TeamRecord, TokenRecord,
    TokenUseRecord, UnitRecord, UserRecord,
};
pub use self::advisories::{
    AdvisoriesRecord, AdvisoryPlace, AdvisoryRecord, Outline, SourceRecord, TextName,
};
pub use self::answers::{AnswerRecord, KeptAnswer};
pub use self::audit::{
    AuditEntries, AuditHashes, AuditHead, AuditIndex, AuditIndexed, AuditRecord, SettingRecord,
    WaitingRecord,
};
pub use self::inside::{Inside, InsideRecord};
pub use self::keys::{Key, Prefix, parse_key, show_key};
pub use self::kinds::{KINDS, check_value};
pub use self::noticed::{HeldRecord, HitRecord, HitsRecord, HoldsRecord};
pub use self::parts::{Parts, commit_in_parts};
pub use self::recorded::{RecordedPlace, RecordedRecord};
pub use self::requests::{
    AskerRecord, ClosedRecord, ClosureRecord, EndingsRecord, RefusedRecord, RequestComment,
    RequestRecord, RequestVersions, RequestsRecord, Stage,
};
pub use self::revisions::{RevisionRecord, RevisionRules, RulesBlock};
pub use self::terms::RuleTerms;
pub use self::unpublishing::UnpublishingRecord;
pub use self::versions::{
    Compared, SAID, VersionPlaces, VersionRecord, VersionsRecord, read_versions,
};
pub use self::webhooks::{
    AttemptRecord, DeliveryRecord, DeliveryState, WebhookCursor, WebhookRecord,
    WebhookSecretRecord, WebhookStopRecord,
};
use super::{Batch, Change, MAX_VALUE, Metadata, MetadataError};

/// Where the store says what wrote it; an engine refuses a directory that says something else.
pub const FORMAT_KEY: &[u8] = b"meta/format";
pub const FORMAT: &[u8] = b"garth 2";

const ENCODING: u8 = 1;
/// The JSON is packed.
const PACKED: u8 = 2;
/// What is packed is no longer than what need not be, so nothing small unfolds into much.
const UNPACKED: usize = MAX_VALUE;

/// A kind of value with a place of its own in the key space.
pub trait Record: Serialize + DeserializeOwned + Send + Sync + 'static {
    const KIND: &'static str;
    /// How many parts a key has behind the kind.
    const PARTS: usize;
    /// Whether its values are packed: those of which there are very many, and that are long.
    const PACKED: bool = false;
}

/// A record together with the bytes it was read from, which an expectation needs.
#[derive(Clone, Debug)]
pub struct Stored<R> {
    pub record: R,
    pub raw: Bytes,
}

/// The newest bytes of a document that the upstream gave, unfiltered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DocumentRecord {
    pub blob: Digest,
    pub size: u64,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    pub media_type: Option<String>,
    /// The address of the upstream that gave them; absent for own packages. What another upstream
    /// said is not what this one says.
    #[serde(default)]
    pub upstream: Option<String>,
    /// When these bytes came.
    pub fetched: Timestamp,
    /// When the upstream last said that they are still the newest.
    pub checked: Timestamp,
    /// It was made here, of what was published.
    #[serde(default)]
    pub own: bool,
    /// Then, its name without what names should not differ by alone: that of its [`OwnRecord`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub folded: Option<String>,
}

/// A cached or published file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ArtifactRecord {
    pub blob: Digest,
    pub size: u64,
    /// Other digests of the same bytes, as the ecosystem names them.
    pub digests: Vec<Digest>,
    pub version: String,
    /// Where it came from, without user information; absent for a published file.
    pub source: Option<String>,
    pub fetched: Timestamp,
    /// Published here, so no upstream has it.
    pub own: bool,
}

/// A package that is published here, under its name without what names should not differ by
/// alone: so nobody publishes `left_pad` beside `left-pad`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OwnRecord {
    pub package: String,
    pub since: Timestamp,
}

/// What a package says of itself, version by version, as its newest document has it: what a search
/// goes by, and what is shown where many are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct SummaryRecord {
    /// As in its [`DocumentRecord`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// The version that is meant where none is named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub latest: Option<String>,
    /// Its places in `words` and `people`, if it is in the document.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of_latest: Option<(usize, usize)>,
    /// Of all others, the newest first; of the oldest of very many nothing is known.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<WordsStep>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<WordsRecord>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub people: Vec<PeopleRecord>,
}

/// Versions next to each other that say the same.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WordsStep {
    /// The oldest of them.
    pub from: String,
    /// Places in [`SummaryRecord::words`] and [`SummaryRecord::people`].
    pub words: usize,
    pub people: usize,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct WordsRecord {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bugs: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PeopleRecord {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<Somebody>,
    /// Who published it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<Somebody>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub maintainers: Vec<Somebody>,
}

/// A person as an upstream names one.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Somebody {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub email: Option<String>,
}

/// Something that changed at the upstream, with its date.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    pub at: Timestamp,
    pub what: ObservationKind,
    pub version: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ObservationKind {
    Appeared,
    Vanished,
    Returned,
    Deprecated,
    Undeprecated,
    Yanked,
    Unyanked,
    /// It is not offered here, because it can not be checked or can not be ours.
    LeftOut {
        why: String,
    },
    TagMoved {
        tag: String,
        from: Option<String>,
        to: Option<String>,
    },
    BytesChanged {
        from: Vec<Digest>,
        to: Vec<Digest>,
    },
    /// Its artifact says something else of itself than the upstream says of it.
    Contradicts {
        differences: Vec<Difference>,
    },
    /// Its artifact can not be opened, so nobody knows what it says.
    Unreadable {
        why: String,
    },
}

/// Where an artifact and what is said of it differ. Its texts come from outside, and are bounded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub field: String,
    /// What the artifact says.
    pub artifact: String,
    /// What the upstream says.
    pub upstream: String,
}

/// A rule that was made through the API; it decides like one from a file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuleRecord {
    pub effect: Effect,
    /// The first ones, where there are `more`.
    pub packages: Vec<String>,
    /// How many [`RulePackages`] belong to it, numbered from 0. They come and go with it in one
    /// batch; one that is missing makes the rule unreadable.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more: u32,
    pub versions: Option<String>,
    pub reason: Option<String>,
    pub expires: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "RuleTerms::is_empty")]
    pub terms: RuleTerms,
    pub created: Timestamp,
    pub created_by: String,
}

/// Packages of a rule that names more than one value holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RulePackages {
    pub packages: Vec<String>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

impl Record for DocumentRecord {
    const KIND: &'static str = "document";
    const PARTS: usize = 3;
}

impl Record for ArtifactRecord {
    const KIND: &'static str = "artifact";
    const PARTS: usize = 3;
}

impl Record for Observation {
    const KIND: &'static str = "observation";
    const PARTS: usize = 3;
}

impl Record for SummaryRecord {
    const KIND: &'static str = "summary";
    const PARTS: usize = 2;
}

impl Record for OwnRecord {
    const KIND: &'static str = "own";
    const PARTS: usize = 2;
}

impl Record for RuleRecord {
    const KIND: &'static str = "rule";
    const PARTS: usize = 1;
}

impl Record for RulePackages {
    const KIND: &'static str = "rule-packages";
    const PARTS: usize = 2;
}

impl DocumentRecord {
    /// The document of a package that holds now.
    pub const NEWEST: &str = "newest";

    pub fn key(registry: &str, package: &str, document: &str) -> Key<Self> {
        Key::of(&[registry, package, document])
    }

    pub fn of_package(registry: &str, package: &str) -> Prefix<Self> {
        Prefix::of(&[registry, package])
    }
}

impl ArtifactRecord {
    pub fn key(registry: &str, package: &str, file: &str) -> Key<Self> {
        Key::of(&[registry, package, file])
    }

    pub fn of_package(registry: &str, package: &str) -> Prefix<Self> {
        Prefix::of(&[registry, package])
    }
}

impl Observation {
    pub fn key(registry: &str, package: &str, n: u64) -> Key<Self> {
        Key::of(&[registry, package, &format!("{n:020}")])
    }

    pub fn of_package(registry: &str, package: &str) -> Prefix<Self> {
        Prefix::of(&[registry, package])
    }
}

impl SummaryRecord {
    pub fn key(registry: &str, package: &str) -> Key<Self> {
        Key::of(&[registry, package])
    }
}

impl OwnRecord {
    pub fn key(registry: &str, folded: &str) -> Key<Self> {
        Key::of(&[registry, folded])
    }
}

impl RuleRecord {
    pub fn key(name: &str) -> Key<Self> {
        Key::of(&[name])
    }
}

impl RulePackages {
    pub fn key(rule: &str, n: u32) -> Key<Self> {
        Key::of(&[rule, &format!("{n:06}")])
    }

    pub fn of_rule(rule: &str) -> Prefix<Self> {
        Prefix::of(&[rule])
    }
}

/// The value that is stored for a record.
pub fn encode<R: Record>(record: &R) -> Bytes {
    let mut value = vec![ENCODING];
    serde_json::to_writer(&mut value, record)
        .expect("records are plain structs with string keys, and a Vec never fails to grow");
    if R::PACKED && value.len() <= UNPACKED {
        let packed = zstd::bulk::compress(&value[1..], 3);
        value.truncate(0);
        value.push(PACKED);
        value.extend(packed.expect("memory is all that packing needs"));
    }
    Bytes::from(value)
}

pub fn decode<R: Record>(key: &[u8], value: &[u8]) -> Result<R, MetadataError> {
    let damaged = |cause: String| MetadataError::Damaged { key: show_key(key), cause };
    match value.split_first() {
        Some((&ENCODING, json)) => {
            serde_json::from_slice(json).map_err(|error| damaged(error.to_string()))
        }
        Some((&PACKED, packed)) if R::PACKED => zstd::bulk::decompress(packed, UNPACKED)
            .map_err(|fault| damaged(fault.to_string()))
            .and_then(|json| {
                serde_json::from_slice(&json).map_err(|error| damaged(error.to_string()))
            }),
        Some((version, _)) => Err(damaged(format!(
            "its encoding is version {version}, which this garth does not read: a newer garth wrote it"
        ))),
        None => Err(damaged("it is empty".to_owned())),
    }
}

/// The blob that the record under `key` refers to, with its size; `None` where its kind has none.
pub fn referred_blob(key: &[u8], value: &[u8]) -> Result<Option<(Digest, u64)>, MetadataError> {
    match parse_key(key).as_ref().map(|(kind, _)| kind.as_str()) {
        Some(DocumentRecord::KIND) => {
            decode::<DocumentRecord>(key, value).map(|record| Some((record.blob, record.size)))
        }
        Some(ArtifactRecord::KIND) => {
            decode::<ArtifactRecord>(key, value).map(|record| Some((record.blob, record.size)))
        }
        _ => Ok(None),
    }
}

/// When the bytes of the record under `key` came; of two side files for one key the later counts.
pub fn fetched(key: &[u8], value: &[u8]) -> Result<Option<Timestamp>, MetadataError> {
    match parse_key(key).as_ref().map(|(kind, _)| kind.as_str()) {
        Some(DocumentRecord::KIND) => {
            decode::<DocumentRecord>(key, value).map(|record| Some(record.fetched))
        }
        Some(ArtifactRecord::KIND) => {
            decode::<ArtifactRecord>(key, value).map(|record| Some(record.fetched))
        }
        _ => Ok(None),
    }
}

/// The record that keeps others from a name like that of the own document under `key`. It refers to
/// no blob, so this is where a rebuild has it from.
pub fn own_name(
    key: &[u8],
    value: &[u8],
) -> Result<Option<(Key<OwnRecord>, OwnRecord)>, MetadataError> {
    let Some(parts) = Key::<DocumentRecord>::parse(key).map(|key| key.parts()) else {
        return Ok(None);
    };
    let document = decode::<DocumentRecord>(key, value)?;
    let ([registry, package, _], Some(folded)) = (parts.as_slice(), document.folded) else {
        return Ok(None);
    };
    let record = OwnRecord { package: package.clone(), since: document.fetched };
    Ok(Some((OwnRecord::key(registry, &folded), record)))
}

fn unknown_key(key: &[u8]) -> MetadataError {
    MetadataError::Damaged {
        key: show_key(key),
        cause: "it is not a key of any kind of record".to_owned(),
    }
}

pub async fn read<R: Record>(
    metadata: &dyn Metadata,
    key: &Key<R>,
) -> Result<Option<R>, MetadataError> {
    Ok(read_stored(metadata, key).await?.map(|stored| stored.record))
}

/// Like [`read`], with the bytes that [`Batch::expect_unchanged`] wants.
pub async fn read_stored<R: Record>(
    metadata: &dyn Metadata,
    key: &Key<R>,
) -> Result<Option<Stored<R>>, MetadataError> {
    match metadata.get(key.as_bytes()).await? {
        None => Ok(None),
        Some(raw) => Ok(Some(Stored { record: decode(key.as_bytes(), &raw)?, raw })),
    }
}

/// At most `limit` records in key order, beginning behind `after`.
pub async fn scan<R: Record>(
    metadata: &dyn Metadata,
    prefix: &Prefix<R>,
    after: Option<&Key<R>>,
    limit: usize,
) -> Result<Vec<(Key<R>, R)>, MetadataError> {
    let stored = scan_stored(metadata, prefix, after, limit).await?;
    Ok(stored.into_iter().map(|(key, stored)| (key, stored.record)).collect())
}

/// Like [`scan`], with the bytes as they are stored.
pub async fn scan_stored<R: Record>(
    metadata: &dyn Metadata,
    prefix: &Prefix<R>,
    after: Option<&Key<R>>,
    limit: usize,
) -> Result<Vec<(Key<R>, Stored<R>)>, MetadataError> {
    let entries = metadata.scan(prefix.as_bytes(), after.map(Key::as_bytes), limit).await?;
    entries
        .into_iter()
        .map(|entry| {
            let key = Key::parse(&entry.key).ok_or_else(|| unknown_key(&entry.key))?;
            let record = decode(&entry.key, &entry.value)?;
            Ok((key, Stored { record, raw: entry.value }))
        })
        .collect()
}

impl Change {
    pub fn put_record<R: Record>(key: &Key<R>, record: &R) -> Self {
        Self { key: key.to_bytes(), value: Some(encode(record)) }
    }

    pub fn remove_record<R: Record>(key: &Key<R>) -> Self {
        Self { key: key.to_bytes(), value: None }
    }
}

impl Batch {
    pub fn put_record<R: Record>(self, key: &Key<R>, record: &R) -> Self {
        self.put(key.to_bytes(), encode(record))
    }

    pub fn remove_record<R: Record>(self, key: &Key<R>) -> Self {
        self.remove(key.to_bytes())
    }

    pub fn expect_absent<R: Record>(self, key: &Key<R>) -> Self {
        self.expect(key.to_bytes(), None)
    }

    /// The record is still what [`read_stored`] gave, absence included.
    pub fn expect_unchanged<R: Record>(self, key: &Key<R>, stored: Option<&Stored<R>>) -> Self {
        self.expect(key.to_bytes(), stored.map(|stored| stored.raw.clone()))
    }
}

#[cfg(test)]
mod tests;
