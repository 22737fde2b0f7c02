//! The tarball, opened: what an install would find in it.
//!
//! It is read once, from its beginning to its last byte, and nothing of it is written anywhere.
//! Work and memory are bounded whatever it claims to be. What two readers of tar could take for two
//! different packages is refused: links, names that leave the package, a second manifest, headers
//! with two meanings, bytes behind the end.

mod headers;

use std::borrow::Cow;
use std::io::{self, Read};
use std::path::Path;
use std::time::Duration;

use flate2::read::MultiGzDecoder;
use serde_json::{Map, Value};
use tar::{Archive, Entry, EntryType};

use self::headers::Ahead;
use crate::registries::unpacking::{Meter, Metered, cause_of};

/// What a tarball may cost.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    pub entries: usize,
    pub path: usize,
    /// Unpacked bytes that are always allowed, whatever the packed size.
    pub unpacked_floor: u64,
    /// Beyond these, so many for each packed one.
    pub ratio: u64,
    pub unpacked: u64,
    pub manifest: u64,
    /// Of a readme; the rest of it is left out.
    pub readme: u64,
    /// Of names, kept for `directories.bin`.
    pub names: usize,
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            entries: 100_000,
            path: 1024,
            unpacked_floor: 64 << 20,
            ratio: 100,
            unpacked: 8 << 30,
            manifest: 2 << 20,
            readme: 64 << 10,
            names: 16 << 20,
            time: Duration::from_mins(2),
        }
    }
}

/// What is in it.
#[derive(Debug)]
pub struct Contents {
    /// The manifest in it, unchanged.
    pub manifest: Map<String, Value>,
    /// There is a `.gyp` file beside the manifest, which installs build.
    pub has_gyp: bool,
    /// npm resolves by a lockfile of the package's own, if it has one.
    pub has_shrinkwrap: bool,
    /// Beside the manifest.
    pub readme: Option<Readme>,
    pub files: u64,
    pub unpacked: u64,
    /// Below the package's root; all of them unless they are too many.
    pub names: Option<Vec<String>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Readme {
    pub file: String,
    /// The beginning of it, if it is long.
    pub text: String,
}

impl Readme {
    /// Of several, npm shows the one that is Markdown.
    fn is_better_than(&self, other: &Self) -> bool {
        let is_markdown = |readme: &Self| {
            let extension = Path::new(&readme.file).extension();
            extension.is_some_and(|end| {
                end.eq_ignore_ascii_case("md") || end.eq_ignore_ascii_case("markdown")
            })
        };
        is_markdown(self) && !is_markdown(other)
    }
}

/// Why it is not taken, in words for whoever publishes it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ArchiveFault(String);

impl ArchiveFault {
    fn new(why: impl Into<String>) -> Self {
        Self(why.into())
    }
}

/// Blocks; `packed` are the bytes of the tarball, `length` of them.
pub fn open(packed: impl Read, length: u64, limits: &Limits) -> Result<Contents, ArchiveFault> {
    let unpacked = limits.unpacked_floor.max(length.saturating_mul(limits.ratio));
    let meter = Meter::new(unpacked.min(limits.unpacked), limits.time);
    let unpacking = Metered::new(MultiGzDecoder::new(packed), &meter);
    let mut archive = Archive::new(unpacking);
    let mut found = Found::default();
    let mut count = 0;
    let mut ahead = Ahead::default();
    // Raw: whoever reads what stands in front of a file decides what it is called.
    let mut entries = archive.entries().map_err(|fault| unreadable(&fault))?.raw(true);
    loop {
        meter.before_header();
        let Some(entry) = entries.next() else { break };
        let mut entry = entry.map_err(|fault| unreadable(&fault))?;
        meter.before_file();
        if ahead.take(&mut entry)? {
            continue;
        }
        count += 1;
        if count > limits.entries {
            return Err(ArchiveFault::new(format!(
                "its tarball has more than {} entries",
                limits.entries
            )));
        }
        let path = ahead.path_of(entry.header())?;
        found.take(&path, &mut entry, limits)?;
    }
    ahead.finish()?;
    meter.before_file();
    let end = archive.into_inner();
    check_end(end).map_err(|fault| unreadable(&fault))?;
    found.finish()
}

/// Another reader of tar may read on behind what this one takes for the end.
fn check_end(mut rest: impl Read) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match rest.read(&mut buffer)? {
            0 => return Ok(()),
            n if buffer[..n].iter().all(|byte| *byte == 0) => {}
            _ => return Err(io::Error::other("there are bytes behind its end")),
        }
    }
}

fn unreadable(fault: &io::Error) -> ArchiveFault {
    ArchiveFault::new(format!("its tarball can not be read: {}", cause_of(fault)))
}

#[derive(Default)]
struct Found {
    manifest: Option<Map<String, Value>>,
    has_gyp: bool,
    has_shrinkwrap: bool,
    readme: Option<Readme>,
    files: u64,
    unpacked: u64,
    names: Vec<String>,
    name_bytes: usize,
    too_many_names: bool,
}

impl Found {
    fn take<R: Read>(
        &mut self,
        path: &[u8],
        entry: &mut Entry<'_, R>,
        limits: &Limits,
    ) -> Result<(), ArchiveFault> {
        let kind = entry.header().entry_type();
        let shown = || {
            let shown: String = String::from_utf8_lossy(path).chars().take(120).collect();
            shown.escape_debug().to_string()
        };
        let refuse =
            |why: &str| Err(ArchiveFault::new(format!("{} in its tarball {why}", shown())));
        match kind {
            EntryType::Regular | EntryType::Directory => {}
            EntryType::Symlink | EntryType::Link => {
                return refuse("is a link, and npm unpacks none");
            }
            _ => return refuse("is neither a file nor a directory"),
        }
        if path.len() > limits.path {
            return refuse("has too long a name");
        }
        let Ok(text) = std::str::from_utf8(path) else {
            return refuse("has a name that is not UTF-8");
        };
        let inside = match below_root(text, kind == EntryType::Directory) {
            Ok(inside) => inside,
            Err(why) => return refuse(why),
        };
        if kind == EntryType::Directory {
            return Ok(());
        }
        let Some(inside) = inside else { return refuse("lies beside the package's directory") };
        self.files += 1;
        self.unpacked += entry.size();
        self.note(&inside, entry, limits)
    }

    fn note<R: Read>(
        &mut self,
        inside: &str,
        entry: &mut Entry<'_, R>,
        limits: &Limits,
    ) -> Result<(), ArchiveFault> {
        // Some file systems do not tell these apart.
        let folded = inside.to_lowercase();
        if folded == "package.json" {
            if self.manifest.is_some() || inside != "package.json" {
                return Err(ArchiveFault::new("its tarball has more than one package.json"));
            }
            self.manifest = Some(read_manifest(entry, limits.manifest)?);
        } else if !inside.contains('/') {
            let extension = Path::new(inside).extension();
            self.has_gyp |= extension.is_some_and(|gyp| gyp == "gyp") && !inside.starts_with('.');
            self.has_shrinkwrap |= folded == "npm-shrinkwrap.json";
            if folded == "readme" || folded.starts_with("readme.") {
                let readme = read_readme(inside, entry, limits.readme)?;
                if self.readme.as_ref().is_none_or(|other| readme.is_better_than(other)) {
                    self.readme = Some(readme);
                }
            }
        }
        self.name_bytes += inside.len() + size_of::<String>();
        if self.name_bytes > limits.names {
            self.too_many_names = true;
            self.names = Vec::new();
        } else {
            self.names.push(inside.to_owned());
        }
        // To its end, so that what follows begins with a header.
        io::copy(entry, &mut io::sink()).map(drop).map_err(|fault| unreadable(&fault))
    }

    fn finish(self) -> Result<Contents, ArchiveFault> {
        let manifest = self
            .manifest
            .ok_or_else(|| ArchiveFault::new("its tarball has no package.json at its root"))?;
        Ok(Contents {
            manifest,
            has_gyp: self.has_gyp,
            has_shrinkwrap: self.has_shrinkwrap,
            readme: self.readme,
            files: self.files,
            unpacked: self.unpacked,
            names: (!self.too_many_names).then_some(self.names),
        })
    }
}

/// The path without its first directory, whatever that is called: npm takes it off. `None` for the
/// directory itself and for what lies beside it.
fn below_root(path: &str, is_directory: bool) -> Result<Option<Cow<'_, str>>, &'static str> {
    if path.chars().any(char::is_control) {
        return Err("has a control character in its name");
    }
    if path.starts_with('/') || path.contains('\\') || path.contains(':') && has_drive(path) {
        return Err("leaves the package");
    }
    let path = if is_directory { path.trim_end_matches('/') } else { path };
    if path.split('/').any(|part| part == "..") {
        return Err("leaves the package");
    }
    // npm takes a `.` for the first directory and others do not; for files that is two places.
    let path = if is_directory { path.strip_prefix("./").unwrap_or(path) } else { path };
    if path == "." {
        return Ok(None);
    }
    let mut parts = path.split('/');
    if parts.next() == Some(".") || path.split('/').any(str::is_empty) {
        return Err("has a name that can be read in more than one way");
    }
    // Behind the first directory a `.` is the same place to everybody; some clients pack it.
    if parts.clone().any(|part| part == ".") {
        let inside: Vec<&str> = parts.filter(|part| *part != ".").collect();
        return Ok((!inside.is_empty()).then(|| Cow::Owned(inside.join("/"))));
    }
    Ok(path.split_once('/').map(|(_, inside)| Cow::Borrowed(inside)))
}

/// `C:` somewhere in it, which Windows takes for another place.
fn has_drive(path: &str) -> bool {
    path.split('/').any(|part| {
        let mut bytes = part.bytes();
        bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic()) && bytes.next() == Some(b':')
    })
}

fn read_manifest<R: Read>(
    entry: &mut Entry<'_, R>,
    limit: u64,
) -> Result<Map<String, Value>, ArchiveFault> {
    if entry.size() > limit {
        return Err(ArchiveFault::new(format!(
            "the package.json in its tarball has more than {limit} bytes"
        )));
    }
    let mut text = Vec::new();
    entry.read_to_end(&mut text).map_err(|fault| unreadable(&fault))?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    serde_json::from_slice(text).map_err(|fault| {
        ArchiveFault::new(format!("the package.json in its tarball can not be read: {fault}"))
    })
}

fn read_readme<R: Read>(
    file: &str,
    entry: &mut Entry<'_, R>,
    limit: u64,
) -> Result<Readme, ArchiveFault> {
    let mut text = Vec::new();
    entry.take(limit).read_to_end(&mut text).map_err(|fault| unreadable(&fault))?;
    let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&text);
    Ok(Readme { file: file.to_owned(), text: String::from_utf8_lossy(text).into_owned() })
}

#[cfg(test)]
mod tests;
