//! What an earlier start found, kept in the data directory.
//!
//! Once a client is pointed at garth it can no longer tell what is behind it: without this, the second
//! start without a configuration would find nothing.
//!
//! `{data}/upstreams.toml` holds one line a format: `npm = "https://..."`.

use std::io::{self, Write};
use std::path::Path;

use url::Url;

use crate::config::{Format, base_url, read_text};

const FILE_NAME: &str = "upstreams.toml";
const FILE_BYTES: u64 = 64 << 10;

/// What was found last time; nothing if that cannot be read, which costs a question and no safety.
pub fn recall(data: &Path) -> Vec<(Format, Url)> {
    let Ok(text) = read_text(&data.join(FILE_NAME), FILE_BYTES) else { return Vec::new() };
    let Ok(table) = text.parse::<toml::Table>() else { return Vec::new() };
    Format::ALL
        .iter()
        .filter_map(|format| Some((*format, base_url(table.get(format.name())?.as_str()?).ok()?)))
        .collect()
}

/// Keeps `upstreams` for the next start; the file is replaced whole. Makes the directory if missing.
#[allow(clippy::disallowed_methods, reason = "written before the executor runs")]
pub fn remember(data: &Path, upstreams: &[(Format, Url)]) -> io::Result<()> {
    let table: toml::Table = upstreams
        .iter()
        .map(|(format, upstream)| (format.name().to_owned(), upstream.as_str().into()))
        .collect();
    std::fs::create_dir_all(data)?;
    let path = data.join(FILE_NAME);
    let staged = data.join(format!("{FILE_NAME}.new"));
    let mut file = std::fs::File::create(&staged)?;
    file.write_all(table.to_string().as_bytes())?;
    file.sync_all()?;
    std::fs::rename(staged, path)
}
