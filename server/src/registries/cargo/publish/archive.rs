//! The crate, opened before it is taken: what cargo would unpack, and nothing else.
//!
//! It is read by what reads upstreams' crates, within the same bounds. Of what is published here more
//! is asked: no links and no devices, one file of each name on whatever file system, and no names that
//! mean something to the cargo that unpacks it.

use std::collections::HashSet;
use std::io::Read;

use tar::EntryType;

use super::super::documents::{Contents, Packed, open_with};

const PATH_AT_MOST: usize = 1024;
/// Of all its paths together, which are kept while it is read.
const PATHS_AT_MOST: usize = 16 << 20;
/// cargo writes it when a crate is unpacked whole, and believes it.
const MARKER: &str = ".cargo-ok";

/// Blocks. An error says why this is no crate to publish.
pub fn open(packed: impl Read, length: u64, root: &str) -> Result<Contents, String> {
    let mut seen = Seen::default();
    open_with(packed, length, root, |packed| seen.check(packed))
}

/// The files so far, as a file system sees them that does not tell case apart.
#[derive(Debug, Default)]
struct Seen {
    paths: HashSet<String>,
    bytes: usize,
}

impl Seen {
    fn check(&mut self, packed: &Packed<'_>) -> Result<(), String> {
        let Packed { kind, path, is_extended } = packed;
        let path = path.to_str().ok_or("the name of a file in it is not UTF-8")?;
        if *is_extended {
            return Err(format!(
                "{} in it has a header that cargo never writes",
                path.escape_debug()
            ));
        }
        let shown = || path.escape_debug().to_string();
        match kind {
            EntryType::Directory => return Ok(()),
            EntryType::Regular => {}
            EntryType::Symlink | EntryType::Link => {
                return Err(format!("{} in it is a link, and a crate holds none", shown()));
            }
            _ => return Err(format!("{} in it is neither a file nor a directory", shown())),
        }
        if path.len() > PATH_AT_MOST {
            return Err(format!("the name of a file in it has more than {PATH_AT_MOST} bytes"));
        }
        if path.split('/').any(|part| part.is_empty() || part == ".") {
            return Err(format!(
                "{} in it has a name that can be read in more than one way",
                shown()
            ));
        }
        if path.contains(['\\', ':']) || path.chars().any(char::is_control) {
            return Err(format!("{} in it is no file on every machine", shown()));
        }
        let folded = path.to_lowercase();
        if folded == MARKER {
            return Err(format!("{MARKER} is what cargo writes when it has unpacked a crate"));
        }
        self.bytes += folded.len();
        if self.bytes > PATHS_AT_MOST {
            return Err("the names of its files are too long together".to_owned());
        }
        if !self.paths.insert(folded) {
            return Err(format!("{} is in it twice", shown()));
        }
        Ok(())
    }
}
