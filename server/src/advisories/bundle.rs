//! What is imported: one record, or many in a zip or a tar archive. Blocking.
//!
//! Which it is shows in its first bytes. Of an archive every file called `*.json` is a record, and so
//! is every `RUSTSEC-*.md`; nothing else is looked at. What unpacks to far more than it is, is refused before it does harm.

use std::fmt;
use std::io::{self, BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::MultiGzDecoder;
use policies::advisories::{MAX_RECORD, osv, parse};
use sha2::{Digest as _, Sha256};

use super::rustsec;
use crate::metadata::records::TextName;

/// Records of one import.
const MAX_RECORDS: u64 = 5_000_000;
/// Entries of an archive, records or not.
const MAX_ENTRIES: u64 = 10_000_000;
/// Bytes of all records, unpacked.
const MAX_UNPACKED: u64 = 64 << 30;
/// How much more than its packed size an archive may be, beyond what is little in any case.
const MAX_RATIO: u64 = 100;
const LITTLE: u64 = 64 << 20;
/// Bytes that are kept for the text of the next record.
const KEPT: usize = 1 << 20;

/// Where in what is imported something is wrong, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The file within an archive.
    pub file: Option<String>,
    pub why: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "{file}: {}", self.why),
            None => f.write_str(&self.why),
        }
    }
}

impl std::error::Error for Fault {}

fn fault(file: Option<&str>, why: impl fmt::Display) -> Fault {
    let file =
        file.map(|file| file.chars().take(200).collect::<String>().escape_debug().to_string());
    Fault { file, why: why.to_string() }
}

/// What was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Many records, as a database is exported.
    Archive,
    /// One that somebody picked or wrote.
    Single,
}

/// A record that is in what is imported.
#[derive(Debug)]
pub enum Found {
    /// One that was read before, and not again.
    Known(TextName),
    Read(TextName, Box<osv::Parsed>),
}

/// How records are read: raised where another garth would keep something else of the same text.
const READING: &[u8] = b"garth advisories 1";

/// Names a text, and how it is read.
fn name_of(text: &[u8], is_rustsec: bool) -> TextName {
    let mut hash = Sha256::new();
    hash.update(READING);
    hash.update([u8::from(is_rustsec)]);
    hash.update(text);
    let name = hash.finalize()[..16].try_into().expect("a sha256 has 32 bytes");
    TextName(u128::from_be_bytes(name))
}

/// Gives each record to `take`, which may end it. What is `known` is not read again.
pub fn read(
    mut source: impl Read + Seek,
    known: &dyn Fn(TextName) -> bool,
    take: &mut dyn FnMut(Found) -> Result<(), Fault>,
) -> Result<Kind, Fault> {
    let unreadable = |error: io::Error| fault(None, format!("it can not be read: {error}"));
    let size = source.seek(SeekFrom::End(0)).map_err(unreadable)?;
    source.rewind().map_err(unreadable)?;
    let mut front = [0; 512];
    let read = read_up_to(&mut source, &mut front).map_err(unreadable)?;
    source.rewind().map_err(unreadable)?;
    let front = &front[..read];
    let mut reading = Reading {
        room: room_of(size),
        unpacked: 0,
        entries: 0,
        records: 0,
        text: Vec::new(),
        known,
        take,
    };
    let source = BufReader::with_capacity(256 << 10, source);
    if front.starts_with(b"PK\x03\x04") || front.starts_with(b"PK\x05\x06") {
        reading.zip(source)
    } else if front.starts_with(&[0x1f, 0x8b]) {
        reading.tar(MultiGzDecoder::new(source))
    } else if front.get(257..262) == Some(b"ustar") {
        reading.tar(source)
    } else if front.trim_ascii_start().starts_with(b"{") {
        reading.record(None, source).map(|()| Kind::Single)
    } else {
        Err(fault(None, "it is neither a record in JSON nor a zip or tar archive of them"))
    }
}

fn room_of(size: u64) -> u64 {
    size.saturating_mul(MAX_RATIO).clamp(LITTLE, MAX_UNPACKED)
}

fn read_up_to(source: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..])? {
            0 => break,
            read => filled += read,
        }
    }
    Ok(filled)
}

struct Reading<'t> {
    /// How many bytes it may be, unpacked.
    room: u64,
    unpacked: u64,
    entries: u64,
    records: u64,
    /// Of the record that is being read.
    text: Vec<u8>,
    known: &'t dyn Fn(TextName) -> bool,
    take: &'t mut dyn FnMut(Found) -> Result<(), Fault>,
}

impl Reading<'_> {
    fn zip(&mut self, source: impl Read + Seek) -> Result<Kind, Fault> {
        let broken = |error| fault(None, format!("it is a broken zip archive: {error}"));
        let mut archive = zip::ZipArchive::new(source).map_err(broken)?;
        for place in 0..archive.len() {
            self.count_entry()?;
            let name = archive.name_for_index(place).and_then(Result::ok);
            let name = name.map(std::borrow::Cow::into_owned).unwrap_or_default();
            if !is_record(&name) {
                continue;
            }
            let entry = archive.by_index(place).map_err(|error| fault(Some(&name), error))?;
            self.record(Some(&name), entry)?;
        }
        self.end()
    }

    fn tar(&mut self, source: impl Read) -> Result<Kind, Fault> {
        let broken = |error: io::Error| fault(None, format!("it is a broken tar archive: {error}"));
        // What lies between the records counts too.
        let source = source.take(self.room.saturating_mul(2));
        let mut archive = tar::Archive::new(source);
        for entry in archive.entries().map_err(broken)? {
            self.count_entry()?;
            let entry = entry.map_err(broken)?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if entry.header().entry_type().is_file() && is_record(&name) {
                self.record(Some(&name), entry)?;
            }
        }
        self.end()
    }

    fn record(&mut self, file: Option<&str>, source: impl Read) -> Result<(), Fault> {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        let most = MAX_RECORD as u64 + 1;
        source
            .take(most)
            .read_to_end(&mut text)
            .map_err(|error| fault(file, format!("it can not be unpacked: {error}")))?;
        self.unpacked += text.len() as u64;
        if self.unpacked > self.room {
            return Err(fault(file, "the archive unpacks to far more than it is"));
        }
        self.records += 1;
        if self.records > MAX_RECORDS {
            return Err(fault(file, format!("there are more than {MAX_RECORDS} records")));
        }
        let is_rustsec = file.is_some_and(rustsec::is_record);
        let name = name_of(&text, is_rustsec);
        let found = if (self.known)(name) {
            Found::Known(name)
        } else if is_rustsec {
            Found::Read(name, Box::new(rustsec::parse(&text).map_err(|error| fault(file, error))?))
        } else {
            Found::Read(name, Box::new(parse(&text).map_err(|error| fault(file, error))?))
        };
        // One that is very long is no measure for the others.
        if text.capacity() <= KEPT {
            self.text = text;
        }
        (self.take)(found)
    }

    fn count_entry(&mut self) -> Result<(), Fault> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES {
            return Err(fault(None, format!("the archive has more than {MAX_ENTRIES} entries")));
        }
        Ok(())
    }

    /// An archive without a record is another archive than was meant.
    fn end(&self) -> Result<Kind, Fault> {
        if self.records > 0 {
            return Ok(Kind::Archive);
        }
        Err(fault(None, "there is no file in it that is called *.json or RUSTSEC-*.md"))
    }
}

/// A file of records, by its name alone; hidden ones and macOS's shadows are none.
pub fn is_record(name: &str) -> bool {
    let file = name.rsplit('/').next().unwrap_or(name);
    let is_json = Path::new(file).extension().is_some_and(|extension| extension == "json");
    let is_hidden = file.starts_with('.') || name.starts_with("__MACOSX/");
    (is_json && !is_hidden) || rustsec::is_record(name)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::io::{Cursor, Write as _};

    use zip::write::SimpleFileOptions;

    use super::*;

    pub fn record(id: &str) -> String {
        format!(r#"{{ "id": "{id}", "modified": "2026-01-01T00:00:00Z" }}"#)
    }

    fn zipped(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in files {
            zip.start_file(*name, SimpleFileOptions::default()).unwrap();
            zip.write_all(text).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn tarred(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (name, text) in files {
            let mut header = tar::Header::new_ustar();
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, name, *text).unwrap();
        }
        tar.into_inner().unwrap()
    }

    fn ids(bytes: &[u8]) -> Result<Vec<String>, Fault> {
        let mut found = Vec::new();
        read(Cursor::new(bytes), &|_| false, &mut |one| {
            let Found::Read(_, parsed) = one else { unreachable!("nothing is known") };
            found.push(parsed.advisory.id);
            Ok(())
        })?;
        Ok(found)
    }

    #[test]
    fn records_come_alone_or_in_archives() {
        let (a, b) = (record("A-1"), record("B-1"));
        let files: [(&str, &[u8]); 4] = [
            ("README.md", b"# records"),
            ("npm/A-1.json", a.as_bytes()),
            (".hidden.json", b"{"),
            ("B-1.json", b.as_bytes()),
        ];
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(&tarred(&files)).unwrap();
        for (name, bytes) in
            [("zip", zipped(&files)), ("tar", tarred(&files)), ("tar.gz", gzip.finish().unwrap())]
        {
            assert_eq!(ids(&bytes).unwrap(), ["A-1", "B-1"], "{name}");
        }
        assert_eq!(ids(a.as_bytes()).unwrap(), ["A-1"]);
    }

    #[test]
    fn what_is_broken_is_named_with_its_place() {
        let a = record("A-1");
        let good: (&str, &[u8]) = ("npm/A-1.json", a.as_bytes());
        let bad: (&str, &[u8]) = ("npm/B-1.json", b"{ \"id\": 7 }");
        let mut cut = zipped(&[good]);
        cut.truncate(cut.len() - 10);
        let mut flipped = zipped(&[("npm/A-1.json", a.as_bytes())]);
        flipped[60] ^= 0xff;
        for (name, bytes, told) in [
            ("a zip", zipped(&[good, bad]), "npm/B-1.json: it is no OSV record"),
            ("a tar", tarred(&[good, bad]), "npm/B-1.json: it is no OSV record"),
            ("a record", b"{ \"id\": 7 }".to_vec(), "line 1 column"),
            ("a cut zip", cut, "broken zip"),
            ("a flipped bit", flipped, "npm/A-1.json: "),
            ("no records", zipped(&[("README.md", b"x")]), "no file in it"),
            ("nothing", Vec::new(), "neither"),
            ("something else", b"<html>".to_vec(), "neither"),
        ] {
            let fault = ids(&bytes).unwrap_err().to_string();
            assert!(fault.contains(told), "{name}: {fault}");
        }
    }

    /// A name is for messages alone: nothing is ever written where it says.
    #[test]
    fn names_that_lead_elsewhere_are_names_like_others() {
        let a = record("A-1");
        for name in ["/etc/passwd.json", "../../A-1.json", "C:\\A-1.json", "a\n\u{1b}[31m.json"] {
            assert_eq!(ids(&zipped(&[(name, a.as_bytes())])).unwrap(), ["A-1"], "{name:?}");
            let fault = ids(&zipped(&[(name, b"{")])).unwrap_err().to_string();
            assert!(!fault.contains(['\n', '\u{1b}']), "{fault:?}");
        }
    }

    #[test]
    fn hostile_records_are_refused_and_named() {
        let spaced = |text: &str, size: usize| {
            let mut bytes = text.as_bytes().to_vec();
            bytes.resize(size, b' ');
            bytes
        };
        let twice = r#"{ "id": "A-1", "id": "B-1", "modified": "2026-01-01T00:00:00Z" }"#;
        let deep = format!(
            r#"{{ "id": "A-1", "modified": "2026-01-01T00:00:00Z", "x": {} }}"#,
            "[".repeat(100_000)
        );
        let mut garbled = record("A-1").into_bytes();
        garbled.splice(8..8, [0xff, 0xfe]);
        for (name, bytes, told) in [
            ("huge", spaced(&record("A-1"), MAX_RECORD + 1), "it has more than"),
            ("not UTF-8", garbled, "it is no OSV record"),
            ("a key twice", twice.as_bytes().to_vec(), "duplicate field `id`"),
            ("very deep", deep.clone().into_bytes(), "it is no OSV record"),
            (
                "very deep where it is read",
                deep.replace("\"x\"", "\"database_specific\"").into_bytes(),
                "recursion limit",
            ),
        ] {
            let alone = ids(&bytes).unwrap_err().to_string();
            assert!(alone.contains(told), "{name}: {alone}");
            let fault = ids(&zipped(&[("npm/A-1.json", &bytes)])).unwrap_err().to_string();
            assert!(fault.starts_with("npm/A-1.json: ") && fault.contains(told), "{name}: {fault}");
        }
    }

    #[test]
    fn an_archive_that_unpacks_to_far_more_than_it_is_is_refused() {
        let bomb = vec![b' '; 15 << 20];
        let names: Vec<String> = (0..12).map(|n| format!("{n}.json")).collect();
        let mut text = record("A-1").into_bytes();
        text.extend(&bomb);
        let files: Vec<(&str, &[u8])> =
            names.iter().map(|name| (name.as_str(), text.as_slice())).collect();
        let fault = ids(&zipped(&files)).unwrap_err().to_string();
        assert!(fault.contains("far more"), "{fault}");
    }
}
