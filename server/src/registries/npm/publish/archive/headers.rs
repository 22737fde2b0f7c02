//! The headers of a tarball, and what path they give a file.
//!
//! Long names and extended headers stand in front of the file that they describe. Readers of tar
//! disagree about which of them count, in what order, and what a damaged one is worth: npm takes
//! the later of two names and puts a prefix before both. Whatever any of them could read in another
//! way is refused, so what is read here is what is unpacked everywhere.

use std::io::Read;

use tar::{Entry, EntryType, Header};

use super::{ArchiveFault, unreadable};
use crate::registries::unpacking::BETWEEN_ENTRIES;

/// What came in front of the next file.
#[derive(Debug, Default)]
pub struct Ahead {
    /// A header was read, of whatever kind.
    has_begun: bool,
    has_extended: bool,
    /// The GNU long name.
    long: Option<Vec<u8>>,
    /// The path in the extended header.
    path: Option<Vec<u8>>,
    /// The size in the extended header.
    size: Option<u64>,
}

impl Ahead {
    /// Whether this was one that describes a later file.
    pub fn take<R: Read>(&mut self, entry: &mut Entry<'_, R>) -> Result<bool, ArchiveFault> {
        check_fields(entry.header())?;
        let is_first = !std::mem::replace(&mut self.has_begun, true);
        match entry.header().entry_type() {
            // `git archive` leaves a comment there. A size or a name would hold for every entry,
            // for some readers; further on, it may end or not end what came in front of it.
            EntryType::XGlobalHeader => {
                let pairs = pairs(&read(entry)?)?;
                if !is_first || pairs.iter().any(|(key, _)| key != "comment") {
                    return Err(ambiguous());
                }
            }
            EntryType::GNULongName => {
                let name = read(entry)?;
                let name = until_nul(&name);
                if self.long.is_some() || self.path.is_some() || name.is_empty() {
                    return Err(ambiguous());
                }
                self.long = Some(name.to_vec());
            }
            EntryType::XHeader => {
                if std::mem::replace(&mut self.has_extended, true) {
                    return Err(ambiguous());
                }
                for (key, value) in pairs(&read(entry)?)? {
                    // A kind or a hole that only some readers know of makes two archives out of
                    // one.
                    let decides = ["linkpath", "type", "charset", "hdrcharset"]
                        .contains(&key.as_str())
                        || key.starts_with("GNU.")
                        || key == "SCHILY.realsize"
                        || key == "SCHILY.filetype";
                    if decides {
                        return Err(ambiguous());
                    }
                    match key.as_str() {
                        "path" => self.path = Some(value.into_bytes()),
                        "size" => self.size = Some(value.parse().map_err(|_| ambiguous())?),
                        _ => {}
                    }
                }
                if self.path.is_some() && self.long.is_some() {
                    return Err(ambiguous());
                }
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// The path of the file that all this stood in front of. The next one has nothing in front.
    pub fn path_of(&mut self, header: &Header) -> Result<Vec<u8>, ArchiveFault> {
        let ahead = std::mem::take(self);
        self.has_begun = true;
        let bytes = header.as_bytes();
        let name = until_nul(&bytes[NAME]);
        let prefix = until_nul(&bytes[PREFIX]);
        let is_ustar = bytes[MAGIC] == *b"ustar\x0000";
        // Some look at its first byte, some at one far within.
        let is_odd = prefix.is_empty() && bytes[PREFIX_IS_LONG] != 0;
        if !is_ustar && !prefix.is_empty() || is_ustar && is_odd {
            return Err(ambiguous());
        }
        // npm of old wrote the size in both places; two sizes make two archives out of one.
        if ahead.size.is_some_and(|size| header.entry_size().ok() != Some(size)) {
            return Err(ambiguous());
        }
        match ahead.long.or(ahead.path) {
            Some(_) if !prefix.is_empty() => Err(ambiguous()),
            Some(path) => Ok(path),
            None if prefix.is_empty() => Ok(name.to_vec()),
            None => Ok([prefix, b"/", name].concat()),
        }
    }

    /// At the end of the archive nothing may wait for a file.
    pub fn finish(self) -> Result<(), ArchiveFault> {
        if self.has_extended || self.long.is_some() {
            return Err(ambiguous());
        }
        Ok(())
    }
}

const NAME: std::ops::Range<usize> = 0..100;
const SIZE: std::ops::Range<usize> = 124..136;
const CHECKSUM: std::ops::Range<usize> = 148..156;
const LINK: usize = 157;
const MAGIC: std::ops::Range<usize> = 257..265;
const PREFIX: std::ops::Range<usize> = 345..500;
const PREFIX_IS_LONG: usize = 475;

/// npm reads a header as none where these are not as expected, and then what is in the file as
/// headers.
fn check_fields(header: &Header) -> Result<(), ArchiveFault> {
    let bytes = header.as_bytes();
    let kind = header.entry_type();
    let is_link = matches!(kind, EntryType::Link | EntryType::Symlink);
    let checksum = &bytes[CHECKSUM];
    // Who finds no end of it reads on into the next field.
    let has_end = checksum.last().is_some_and(|last| !last.is_ascii_digit());
    if !is_octal(&bytes[SIZE])
        || !is_octal(checksum)
        || !has_end
        || bytes[NAME.start] == 0
        || bytes[LINK] != 0 && !is_link
        || kind == EntryType::GNULongLink
        || kind == EntryType::Directory && !matches!(header.entry_size(), Ok(0))
    {
        return Err(ambiguous());
    }
    Ok(())
}

/// Digits, with blanks around them.
fn is_octal(field: &[u8]) -> bool {
    let start = field.iter().position(|byte| *byte != b' ').unwrap_or(field.len());
    let digits = field[start..].iter().take_while(|byte| (b'0'..=b'7').contains(byte)).count();
    digits > 0 && field[start + digits..].iter().all(|byte| matches!(byte, b' ' | 0))
}

fn read<R: Read>(entry: &mut Entry<'_, R>) -> Result<Vec<u8>, ArchiveFault> {
    if entry.size() > BETWEEN_ENTRIES {
        return Err(ArchiveFault::new("its tarball can not be read: a name in it is far too long"));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|fault| unreadable(&fault))?;
    Ok(bytes)
}

fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The lines `18 key=some value` of an extended header. Some readers go by the lengths and some by
/// the line breaks, so both have to agree.
fn pairs(text: &[u8]) -> Result<Vec<(String, String)>, ArchiveFault> {
    let text = std::str::from_utf8(text).map_err(|_| ambiguous())?;
    let mut pairs: Vec<(String, String)> = Vec::new();
    for line in text.split_terminator('\n') {
        let (length, pair) = line.split_once(' ').ok_or_else(ambiguous)?;
        let (key, value) = pair.split_once('=').ok_or_else(ambiguous)?;
        let is_odd = length != (line.len() + 1).to_string()
            || key.is_empty()
            || line.contains('\0')
            || pairs.iter().any(|(known, _)| known == key);
        if is_odd {
            return Err(ambiguous());
        }
        pairs.push((key.to_owned(), value.to_owned()));
    }
    if !text.is_empty() && !text.ends_with('\n') {
        return Err(ambiguous());
    }
    Ok(pairs)
}

fn ambiguous() -> ArchiveFault {
    ArchiveFault::new("its tarball has headers that can be read in more than one way")
}
