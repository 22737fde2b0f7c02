//! `run.json` in the data directory: where the server of this machine listens, and where its token
//! lies. Written when the server listens, for its user alone. Blocking.

#![allow(clippy::disallowed_methods, reason = "runs before a command's work, or once at start")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use url::Url;

use super::ClientError;

const FILE: &str = "run.json";
const MAX_FILE: u64 = 64 * 1024;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Text", into = "Text")]
pub struct RunFile {
    pub url: Url,
    /// Where the token lies; absolute, so that it is found from any directory.
    pub token_file: PathBuf,
}

/// As it stands in the file.
#[derive(Serialize, Deserialize)]
struct Text {
    url: String,
    token_file: PathBuf,
}

impl TryFrom<Text> for RunFile {
    type Error = url::ParseError;

    fn try_from(text: Text) -> Result<Self, url::ParseError> {
        Ok(Self { url: text.url.parse()?, token_file: text.token_file })
    }
}

impl From<RunFile> for Text {
    fn from(run: RunFile) -> Self {
        Self { url: run.url.into(), token_file: run.token_file }
    }
}

impl RunFile {
    /// Replaces the file of an earlier run.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        // The same name at each start, so that what a crash left is replaced.
        let stage = data.join(format!(".{FILE}.new"));
        let text = serde_json::to_vec(self).map_err(io::Error::other)?;
        match fs::remove_file(&stage) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&stage)?;
        file.write_all(&text)?;
        fs::rename(stage, data.join(FILE))
    }

    /// At the end of a run; a missing file is no fault.
    pub fn remove(data: &Path) -> io::Result<()> {
        match fs::remove_file(data.join(FILE)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Or why there is none, for a person.
    pub fn read(data: &Path) -> Result<Self, String> {
        let path = data.join(FILE);
        let mut text = String::new();
        let read = File::open(&path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                Err(format!("none runs with its data in {}", data.display()))
            }
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(format!(
                "{} belongs to the user that runs the server; run the command as that user",
                path.display()
            )),
            Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
            Ok(_) => serde_json::from_str(&text)
                .map_err(|error| format!("{} is damaged: {error}", path.display())),
        }
    }

    pub(super) fn token(&self) -> Result<String, ClientError> {
        let failed = |source| ClientError::TokenFile { path: self.token_file.clone(), source };
        let mut text = String::new();
        let file = File::open(&self.token_file).map_err(failed)?;
        file.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
        Ok(text.trim().to_owned())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_run_file_is_read_back_and_a_missing_one_says_where_it_was_looked_for() {
        let data = tempfile::tempdir().unwrap();
        let told = RunFile::read(data.path()).unwrap_err();
        assert!(told.contains(&data.path().display().to_string()), "{told}");
        let token_file = data.path().join("admin-token");
        fs::write(&token_file, "garth_x\n").unwrap();
        let run = RunFile { url: "http://127.0.0.1:8642".parse().unwrap(), token_file };
        run.write(data.path()).unwrap();
        run.write(data.path()).unwrap();
        let read = RunFile::read(data.path()).unwrap();
        assert_eq!(read, run);
        assert_eq!(read.token().unwrap(), "garth_x");
        RunFile::remove(data.path()).unwrap();
        RunFile::remove(data.path()).unwrap();
        assert!(RunFile::read(data.path()).is_err());
    }
}
