//! What a format tells the flow about its documents.

use std::collections::HashSet;
use std::io::Read;
use std::sync::Arc;

use bytes::Bytes;
use jiff::Timestamp;
use policies::facts::Stated;
use policies::package::{Digest, Package, Version};
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};

use super::PullError;
use super::original::Original;
use crate::metadata::records::{Difference, Inside, SAID, SummaryRecord};
use crate::observability::escape::bounded;

/// A format's documents. Pure: bytes in, meaning out.
pub trait DocumentFormat: Send + Sync + 'static {
    type Parsed: Send + Sync + 'static;

    /// Reads the upstream's bytes, and those of versions that it has since taken away. An error
    /// says why this is no document of `package`; it is not kept then.
    fn parse(
        package: &Package,
        bytes: Bytes,
        retained: Option<Bytes>,
    ) -> Result<Self::Parsed, String>;

    fn claims(parsed: &Self::Parsed) -> Vec<VersionClaim>;

    /// Whether the document has this version, taken away or not.
    fn offers(parsed: &Self::Parsed, version: &Version) -> bool;

    /// What is promised of this version's file, if the document has it.
    fn promise(parsed: &Self::Parsed, version: &Version) -> Option<Promise>;

    /// What the document states of this version that rules can ask for, if the document has it.
    fn stated<'p>(parsed: &'p Self::Parsed, version: &Version) -> Option<&'p Stated>;

    /// Names that point to a version, with the version.
    fn tags(parsed: &Self::Parsed) -> Vec<(String, String)>;

    /// What of the document is not offered, and why.
    fn left_out(parsed: &Self::Parsed) -> &[LeftOut];

    /// What is shown of the package in a list, within bounds: an upstream's words, unless it is a
    /// document of our own.
    fn summary(parsed: &Self::Parsed, is_own: bool) -> SummaryRecord;

    /// What of this version the document says and its artifact says again; `None` where there is
    /// nothing to compare. Blocks where the text is not in memory.
    fn said(parsed: &Self::Parsed, version: &Version) -> Result<Option<Said>, PullError>;

    /// Whether artifacts say what rules can ask for and documents do not.
    const ARTIFACTS_TELL: bool = false;

    /// Blocks: opens an artifact, within bounds, and holds it against what was said of it. `packed`
    /// are its bytes, `length` of them.
    fn compare(said: &Said, packed: &mut dyn Read, length: u64) -> Opened;

    /// A document of these versions alone, for [`DocumentFormat::parse`]'s `retained`. Blocks where
    /// the text is not in memory.
    fn retain(parsed: &Self::Parsed, versions: &HashSet<Version>) -> Result<Bytes, PullError>;

    /// The same, with its text where that is said to be.
    fn read_from(parsed: &Self::Parsed, original: Original) -> Self::Parsed;

    /// What it takes in memory besides its text, about.
    fn weight(parsed: &Self::Parsed) -> usize;
}

/// A version that is not offered, because it can not be checked or can not be ours. Its texts come
/// from outside, and are bounded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub version: String,
    pub why: String,
}

/// What a document says about one version.
#[derive(Clone, Debug, PartialEq)]
pub struct VersionClaim {
    pub version: Version,
    pub published: Option<Timestamp>,
    /// What is promised about its bytes.
    pub digests: Arc<[Digest]>,
    pub deprecated: bool,
    pub yanked: bool,
}

/// What a document promises of the file of one version.
#[derive(Clone, Debug)]
pub struct Promise {
    /// Where the upstream keeps it, as written there.
    pub source: String,
    pub digests: Arc<[Digest]>,
}

/// What a document says of one version and its artifact says again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The same for what means the same, in [`SAID`](crate::metadata::records::SAID) characters.
    pub id: String,
    pub text: String,
}

impl Said {
    pub fn of(fields: Map<String, Value>) -> Self {
        let text = Value::Object(fields).to_string();
        let mut id = hex::encode(Sha256::digest(&text));
        id.truncate(SAID);
        Self { id, text }
    }

    pub fn fields(&self) -> Result<Map<String, Value>, serde_json::Error> {
        serde_json::from_str(&self.text)
    }
}

/// What came of opening an artifact.
#[derive(Clone, Debug, PartialEq)]
pub struct Opened {
    pub verdict: Verdict,
    /// What it says and no document does.
    pub inside: Option<Inside>,
}

impl From<Verdict> for Opened {
    fn from(verdict: Verdict) -> Self {
        Self { verdict, inside: None }
    }
}

/// What came of holding an artifact against what is said of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    Agrees,
    Contradicts(Vec<Difference>),
    /// Why it can not be opened.
    Unreadable(String),
}

/// So much is told of one text, so that it fits into an observation.
pub const CHARACTERS_TOLD: usize = 150;

impl Verdict {
    pub fn of(differences: Vec<Difference>) -> Self {
        if differences.is_empty() { Self::Agrees } else { Self::Contradicts(differences) }
    }

    /// Why is the artifact's own word: it is bounded.
    pub fn unreadable(why: &str) -> Self {
        Self::Unreadable(bounded(why, CHARACTERS_TOLD).into_owned())
    }
}
