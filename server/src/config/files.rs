//! Bounded reading of the few files that are needed before anything runs.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The text of a file of at most `limit` bytes; a larger one is an error, never cut.
///
/// Blocks: for the start of the program and for commands only.
pub fn read_text(path: &Path, limit: u64) -> io::Result<String> {
    #[allow(clippy::disallowed_methods, reason = "read before the executor runs")]
    let file = File::open(path)?;
    let mut text = String::new();
    file.take(limit + 1).read_to_string(&mut text)?;
    if text.len() as u64 > limit {
        return Err(io::Error::new(
            io::ErrorKind::FileTooLarge,
            format!("larger than {limit} bytes"),
        ));
    }
    Ok(text)
}
