//! The body of a PUT: JSON that carries files, read as it arrives.
//!
//! A publish holds the tarball as base64 within its JSON. It goes from the connection through the
//! decoder into the stage, whatever order the keys come in, and is never in memory as a whole; the
//! rest is bounded in size and depth. What it means is not decided here: [`Sent`] is what was said.
//!
//! ```text
//! connection → pieces → Metered → JSON → "data" → base64 → Stage
//!                                  └ everything else → Sent
//! ```

use std::cell::Cell;
use std::collections::{BTreeMap, HashSet};
use std::io::{self, Read};
use std::rc::Rc;

use actix_web::web;
use base64::engine::general_purpose::STANDARD;
use base64::read::DecoderReader;
use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use policies::package::Algorithm;
use serde_json::{Map, Value};
use struson::reader::{JsonReader, JsonStreamReader, ReaderError, ValueType};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use crate::blobs::{BlobError, Blobs, Digests, Stage};

/// All of a body that is not a file. A deprecation sends the whole packument back.
const METADATA_AT_MOST: u64 = 64 << 20;
/// One value of it: a manifest, a readme, the tags.
const VALUE_AT_MOST: u64 = 2 << 20;
const VERSIONS_AT_MOST: usize = 100_000;
const KEY_AT_MOST: usize = 512;
/// A provenance bundle has some kilobytes.
const PROVENANCE_AT_MOST: u64 = 1 << 20;
/// Bytes that are handed to the stage at once.
const PIECE: usize = 64 << 10;
/// Pieces of the connection that may wait for the reader.
const PIECES: usize = 8;

const TARBALL: &str = ".tgz";
const PROVENANCE: &str = ".sigstore";

#[derive(Debug, thiserror::Error)]
pub enum BodyError {
    #[error("{0}")]
    Malformed(String),
    /// The client's transfer ended early; the edge knows why.
    #[error("the body broke off")]
    Broken,
    #[error(transparent)]
    Blobs(#[from] BlobError),
    #[error("reading the body failed")]
    Internal,
}

/// What a body said.
#[derive(Debug, Default)]
pub struct Sent {
    pub name: Option<String>,
    /// Of the packument that it was made of.
    pub revision: Option<String>,
    pub tags: BTreeMap<String, String>,
    pub versions: Vec<SentVersion>,
    /// What it has a date of: all versions that its sender was shown, also those that it leaves
    /// out. Absent where it has no dates.
    pub dated: Option<HashSet<String>>,
    /// Of the only version, where there is one alone.
    pub manifest: Option<Map<String, Value>>,
    /// It speaks of who owns the package.
    pub maintainers: bool,
    pub tarball: Option<SentTarball>,
    pub provenance: Option<SentProvenance>,
}

#[derive(Debug)]
pub struct SentVersion {
    pub version: String,
    /// As it stands there; absent where nothing is said.
    pub deprecated: Option<Value>,
}

#[derive(Debug)]
pub struct SentTarball {
    pub file: String,
    pub stage: Stage,
    pub digests: Digests,
    /// What its sender says of it.
    pub length: Option<u64>,
}

#[derive(Debug)]
pub struct SentProvenance {
    pub file: String,
    /// The bundle, JSON within the JSON.
    pub text: String,
}

/// Reads the whole body. Its files are staged; nothing of them is kept yet.
pub async fn receive(blobs: &Blobs, mut body: web::Payload) -> Result<Sent, BodyError> {
    let (pieces, arriving) = mpsc::channel(PIECES);
    let (blobs, runtime) = (blobs.clone(), Handle::current());
    let reading = tokio::task::spawn_blocking(move || {
        let files = Files { blobs, runtime };
        let source = Arriving { pieces: arriving, rest: Bytes::new(), ended: false };
        read(source, &files)
    });
    let mut broken = false;
    while let Some(piece) = body.next().await {
        // Without its end, whatever else of it is there: the reader is told none.
        let Ok(piece) = piece else {
            broken = true;
            break;
        };
        if piece.is_empty() {
            continue;
        }
        if pieces.send(Some(piece)).await.is_err() {
            // The reader has seen enough. Who is still sending would not hear the answer.
            drain(&mut body).await;
            return reading.await.map_err(|_| BodyError::Internal)?;
        }
    }
    if !broken {
        // Who listens no more has an answer already.
        drop(pieces.send(None).await);
    }
    drop(pieces);
    let read = reading.await.map_err(|_| BodyError::Internal)?;
    if broken { Err(BodyError::Broken) } else { read }
}

async fn drain(body: &mut web::Payload) {
    while let Some(Ok(_)) = body.next().await {}
}

/// The body as it arrives; blocks.
struct Arriving {
    /// `None` is the end.
    pieces: mpsc::Receiver<Option<Bytes>>,
    rest: Bytes,
    ended: bool,
}

impl Read for Arriving {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() && !self.ended {
            match self.pieces.blocking_recv() {
                Some(Some(piece)) => self.rest = piece,
                Some(None) => self.ended = true,
                None => return Err(io::Error::other(Stop::Broken)),
            }
        }
        let length = out.len().min(self.rest.len());
        self.rest.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}

/// Why reading ends early, carried through the JSON reader.
#[derive(Clone, Copy, Debug, thiserror::Error)]
enum Stop {
    #[error("the body broke off")]
    Broken,
    #[error("it has more than {METADATA_AT_MOST} bytes beside its files")]
    Metadata,
    #[error("a value of it has more than {VALUE_AT_MOST} bytes")]
    Value,
}

/// What may still be read of what is kept in memory.
#[derive(Debug)]
struct Allowance {
    metadata: Cell<u64>,
    value: Cell<u64>,
    /// A file is being read, which has its own limit.
    file: Cell<bool>,
}

impl Allowance {
    fn next_value(&self) {
        self.value.set(VALUE_AT_MOST);
    }

    fn take(&self, bytes: u64) -> Result<(), Stop> {
        if self.file.get() {
            return Ok(());
        }
        let metadata = self.metadata.get().checked_sub(bytes).ok_or(Stop::Metadata)?;
        let value = self.value.get().checked_sub(bytes).ok_or(Stop::Value)?;
        self.metadata.set(metadata);
        self.value.set(value);
        Ok(())
    }
}

struct Metered<R> {
    inner: R,
    allowance: Rc<Allowance>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(out)?;
        self.allowance.take(length as u64).map_err(io::Error::other)?;
        Ok(length)
    }
}

type Json<R> = JsonStreamReader<Metered<R>>;

/// Where files go.
struct Files {
    blobs: Blobs,
    runtime: Handle,
}

fn read<R: Read>(source: R, files: &Files) -> Result<Sent, BodyError> {
    let allowance = Rc::new(Allowance {
        metadata: Cell::new(METADATA_AT_MOST),
        value: Cell::new(VALUE_AT_MOST),
        file: Cell::new(false),
    });
    let mut json =
        JsonStreamReader::new(Metered { inner: source, allowance: Rc::clone(&allowance) });
    let mut sent = Sent::default();
    let mut seen: Vec<String> = Vec::new();
    json.begin_object()?;
    while json.has_next()? {
        allowance.next_value();
        let key = json.next_name_owned()?;
        let known = matches!(
            key.as_str(),
            "name" | "_rev" | "dist-tags" | "versions" | "time" | "maintainers" | "_attachments"
        );
        if !known {
            json.skip_value()?;
            continue;
        }
        if seen.contains(&key) {
            return Err(BodyError::Malformed(format!("it has {key} twice")));
        }
        match key.as_str() {
            "name" => sent.name = Some(json.next_string()?),
            "_rev" => sent.revision = next_text(&mut json)?,
            "dist-tags" => sent.tags = json.deserialize_next().map_err(unfit)?,
            "versions" => read_versions(&mut json, &allowance, &mut sent)?,
            "time" if json.peek()? == ValueType::Object => sent.dated = Some(read_keys(&mut json)?),
            "time" => json.skip_value()?,
            "maintainers" => {
                json.skip_value()?;
                sent.maintainers = true;
            }
            _ => read_attachments(&mut json, &allowance, files, &mut sent)?,
        }
        seen.push(key);
    }
    json.end_object()?;
    allowance.next_value();
    json.consume_trailing_whitespace()?;
    Ok(sent)
}

/// A text; anything else says nothing.
fn next_text<R: Read>(json: &mut Json<R>) -> Result<Option<String>, BodyError> {
    if json.peek()? == ValueType::String {
        return Ok(Some(json.next_string()?));
    }
    json.skip_value()?;
    Ok(None)
}

fn read_versions<R: Read>(
    json: &mut Json<R>,
    allowance: &Allowance,
    sent: &mut Sent,
) -> Result<(), BodyError> {
    json.begin_object()?;
    while json.has_next()? {
        allowance.next_value();
        let version = next_key(json)?;
        let mut manifest: Map<String, Value> = json.deserialize_next().map_err(unfit)?;
        if sent.versions.len() == VERSIONS_AT_MOST {
            return Err(BodyError::Malformed(format!(
                "it has more than {VERSIONS_AT_MOST} versions"
            )));
        }
        let deprecated = manifest.get_mut("deprecated").map(|text| text.clone());
        sent.manifest = sent.versions.is_empty().then_some(manifest);
        sent.versions.push(SentVersion { version, deprecated });
    }
    json.end_object()?;
    Ok(())
}

/// What an object has values of, whatever they are.
fn read_keys<R: Read>(json: &mut Json<R>) -> Result<HashSet<String>, BodyError> {
    let mut keys = HashSet::new();
    json.begin_object()?;
    while json.has_next()? {
        keys.insert(next_key(json)?);
        json.skip_value()?;
    }
    json.end_object()?;
    Ok(keys)
}

fn next_key<R: Read>(json: &mut Json<R>) -> Result<String, BodyError> {
    let key = json.next_name()?;
    if key.len() > KEY_AT_MOST {
        return Err(BodyError::Malformed("a name in it is longer than any real one".to_owned()));
    }
    Ok(key.to_owned())
}

fn read_attachments<R: Read>(
    json: &mut Json<R>,
    allowance: &Allowance,
    files: &Files,
    sent: &mut Sent,
) -> Result<(), BodyError> {
    json.begin_object()?;
    while json.has_next()? {
        allowance.next_value();
        let file = next_key(json)?;
        let twice = |what| Err(BodyError::Malformed(format!("it carries more than one {what}")));
        if file.ends_with(TARBALL) {
            if sent.tarball.is_some() {
                return twice("tarball");
            }
            sent.tarball = Some(read_tarball(json, allowance, files, file)?);
        } else if file.ends_with(PROVENANCE) {
            if sent.provenance.is_some() {
                return twice("provenance bundle");
            }
            sent.provenance = Some(read_provenance(json, file)?);
        } else {
            return Err(BodyError::Malformed(format!(
                "the attachment {:?} is neither a tarball nor a provenance bundle",
                file.chars().take(80).collect::<String>()
            )));
        }
    }
    json.end_object()?;
    Ok(())
}

fn read_tarball<R: Read>(
    json: &mut Json<R>,
    allowance: &Allowance,
    files: &Files,
    file: String,
) -> Result<SentTarball, BodyError> {
    let mut staged = None;
    let mut length = None;
    json.begin_object()?;
    while json.has_next()? {
        match next_key(json)?.as_str() {
            "data" if staged.is_none() => {
                allowance.file.set(true);
                staged = Some(files.stage(json.next_string_reader()?)?);
                allowance.file.set(false);
                allowance.next_value();
            }
            "data" => {
                return Err(BodyError::Malformed(format!("{file} has its data twice")));
            }
            "length" => length = Some(next_length(json)?),
            _ => json.skip_value()?,
        }
    }
    json.end_object()?;
    let (stage, digests) =
        staged.ok_or_else(|| BodyError::Malformed(format!("{file} has no data")))?;
    Ok(SentTarball { file, stage, digests, length })
}

fn next_length<R: Read>(json: &mut Json<R>) -> Result<u64, BodyError> {
    let length: Result<u64, _> = json.next_number()?;
    length.map_err(|_| BodyError::Malformed("the length of an attachment is no number".to_owned()))
}

/// npm puts it there as text, and not as base64.
fn read_provenance<R: Read>(json: &mut Json<R>, file: String) -> Result<SentProvenance, BodyError> {
    let mut text = None;
    json.begin_object()?;
    while json.has_next()? {
        if next_key(json)? == "data" {
            let mut read = String::new();
            let mut reader = json.next_string_reader()?.take(PROVENANCE_AT_MOST + 1);
            reader.read_to_string(&mut read).map_err(|fault| stopped(&fault))?;
            if read.len() as u64 > PROVENANCE_AT_MOST {
                return Err(BodyError::Malformed(format!(
                    "{file} has more than {PROVENANCE_AT_MOST} bytes"
                )));
            }
            text = Some(read);
        } else {
            json.skip_value()?;
        }
    }
    json.end_object()?;
    let text = text.ok_or_else(|| BodyError::Malformed(format!("{file} has no data")))?;
    Ok(SentProvenance { file, text })
}

impl Files {
    /// Decodes and stages; blocks while the disk or the client is slow.
    fn stage(&self, base64: impl Read) -> Result<(Stage, Digests), BodyError> {
        let also = [Algorithm::Sha1, Algorithm::Sha512];
        let mut stage = self.runtime.block_on(self.blobs.stage(&also))?;
        let mut decoded = DecoderReader::new(base64, &STANDARD);
        loop {
            let mut piece = Vec::with_capacity(PIECE);
            decoded
                .by_ref()
                .take(PIECE as u64)
                .read_to_end(&mut piece)
                .map_err(|fault| stopped(&fault))?;
            if piece.is_empty() {
                break;
            }
            self.runtime.block_on(stage.write(piece.into()))?;
        }
        let digests = self.runtime.block_on(stage.finish())?;
        Ok((stage, digests))
    }
}

/// An error out of a reader: ours, or that of the base64 decoder, or the JSON's. That the body broke
/// off is known to whoever fed the reader, and said there.
fn stopped(fault: &io::Error) -> BodyError {
    BodyError::Malformed(format!("the body can not be read: {fault}"))
}

impl From<ReaderError> for BodyError {
    fn from(fault: ReaderError) -> Self {
        match fault {
            ReaderError::IoError { error, .. } => stopped(&error),
            fault => Self::Malformed(format!("the body is not the JSON of a publish: {fault}")),
        }
    }
}

fn unfit(fault: struson::serde::DeserializerError) -> BodyError {
    match fault {
        struson::serde::DeserializerError::ReaderError(fault) => fault.into(),
        fault => BodyError::Malformed(format!("the body is not the JSON of a publish: {fault}")),
    }
}

#[cfg(test)]
mod tests;
