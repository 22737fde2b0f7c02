//! What an earlier start found, kept in the data directory.
//!
//! Once a client is pointed at garth it can no longer tell what is behind it: without this, the second
//! start without a configuration would find nothing.
//!
//! `{data}/upstreams.toml` holds where garth listened, and one line a format:
//!
//! ```toml
//! listened = ["127.0.0.1:8642"]
//! npm = "https://..."
//! ```

use std::fs::{DirBuilder, File, rename};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use url::Url;

use crate::config::{Format, base_url, read_text};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Remembered {
    /// Where garth listened, the latest first.
    pub listened: Vec<SocketAddr>,
    pub upstreams: Vec<(Format, Url)>,
}

const FILE_NAME: &str = "upstreams.toml";
const FILE_BYTES: u64 = 64 << 10;
const MAX_LISTENED: usize = 8;

impl Remembered {
    /// What was kept in `data`; nothing if that cannot be read, which costs a question and no safety.
    pub fn recall(data: &Path) -> Self {
        let Ok(text) = read_text(&data.join(FILE_NAME), FILE_BYTES) else { return Self::default() };
        let Ok(table) = text.parse::<toml::Table>() else { return Self::default() };
        let text_of = |key: &str| table.get(key)?.as_str();
        Self {
            listened: table
                .get("listened")
                .and_then(toml::Value::as_array)
                .into_iter()
                .flatten()
                .filter_map(|listen| listen.as_str()?.parse().ok())
                .take(MAX_LISTENED)
                .collect(),
            upstreams: Format::ALL
                .iter()
                .filter_map(|format| Some((*format, base_url(text_of(format.name())?).ok()?)))
                .collect(),
        }
    }

    /// The same after a start that listens on `listen` and found `upstreams`.
    #[must_use]
    pub fn then(mut self, listen: SocketAddr, upstreams: Vec<(Format, Url)>) -> Self {
        self.listened.retain(|earlier| *earlier != listen);
        self.listened.insert(0, listen);
        self.listened.truncate(MAX_LISTENED);
        Self { listened: self.listened, upstreams }
    }

    /// Keeps this in `data` for the next start; the file is replaced whole. Makes the directory if missing,
    /// for its owner only.
    #[allow(clippy::disallowed_methods, reason = "written before the executor runs")]
    pub fn keep(&self, data: &Path) -> io::Result<()> {
        let mut table: toml::Table = self
            .upstreams
            .iter()
            .map(|(format, upstream)| (format.name().to_owned(), upstream.as_str().into()))
            .collect();
        let listened: Vec<String> = self.listened.iter().map(SocketAddr::to_string).collect();
        table.insert("listened".to_owned(), listened.into());
        DirBuilder::new().recursive(true).mode(0o700).create(data)?;
        let staged = data.join(format!("{FILE_NAME}.new"));
        let mut file = File::create(&staged)?;
        file.write_all(table.to_string().as_bytes())?;
        file.sync_all()?;
        rename(staged, data.join(FILE_NAME))
    }
}
