//! What was changed in a file, so that it can be taken back. Blocking.
//!
//! ```text
//! $XDG_STATE_HOME/garth/setup/SHA256-OF-THE-PATH.json     (or below ~/.local/state)
//! ```
//!
//! It does not lie in the client's file as a comment, because the clients drop comments when they write
//! their files (`npm config set`, `npm login`, `yarn config set`). Only the lines that were changed are
//! kept, never the rest, which may hold tokens; and for this user alone, since an address may have a
//! password in it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Client;
use super::edits::Edit;
use super::machine::Sets;
use crate::config::{EnvSnapshot, read_text};

const MAX_BYTES: u64 = 1 << 20;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The file, where it really lies.
    pub path: PathBuf,
    /// There was none before.
    pub made: bool,
    /// For whom it was changed; several clients read one .npmrc.
    pub users: Vec<User>,
    /// The variable that holds the token.
    pub token_env: Option<String>,
    pub edits: Vec<Edit>,
}

/// A client, and what it wants to have in the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub client: Client,
    pub sets: Sets,
}

/// The directory of the records.
pub struct Records(PathBuf);

impl Records {
    pub fn of(env: &EnvSnapshot, home: &Path) -> Self {
        // A relative one counts for nothing, says the specification of these directories.
        let given =
            env.get_os("XDG_STATE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
        Self(given.unwrap_or_else(|| home.join(".local/state")).join("garth/setup"))
    }

    pub fn load(&self, path: &Path) -> Result<Option<Record>, String> {
        let file = self.file(path);
        let told = |why: &dyn std::fmt::Display| {
            format!("{}, where the changes of {} are noted: {why}", file.display(), path.display())
        };
        match read_text(&file, MAX_BYTES) {
            Ok(text) => serde_json::from_str(&text).map(Some).map_err(|error| told(&error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(told(&error)),
        }
    }

    /// Durable when it returns: it is written before the file is changed.
    pub fn save(&self, record: &Record) -> io::Result<()> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
        let file = self.file(&record.path);
        let stage = file.with_extension(format!("new-{}", std::process::id()));
        let mut staged =
            OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&stage)?;
        staged.write_all(&serde_json::to_vec_pretty(record).map_err(io::Error::other)?)?;
        staged.sync_all()?;
        fs::rename(stage, file)?;
        File::open(&self.0)?.sync_all()
    }

    pub fn remove(&self, path: &Path) -> io::Result<()> {
        match fs::remove_file(self.file(path)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn file(&self, path: &Path) -> PathBuf {
        let digest = hex::encode(Sha256::digest(path.as_os_str().as_encoded_bytes()));
        self.0.join(format!("{digest}.json"))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_record_is_read_back_and_only_its_user_can_read_it() {
        let home = tempfile::tempdir().unwrap();
        let records = Records::of(&EnvSnapshot::default(), home.path());
        let path = home.path().join(".npmrc");
        assert_eq!(records.load(&path).unwrap(), None);
        let edits = vec![Edit::insert(0, vec!["a".to_owned()])];
        let users = vec![User { client: Client::Npm, sets: Sets::All }];
        let token_env = Some("T".to_owned());
        let record = Record { path: path.clone(), made: true, users, token_env, edits };
        records.save(&record).unwrap();
        records.save(&record).unwrap();
        assert_eq!(records.load(&path).unwrap(), Some(record));
        let file = records.file(&path);
        assert_eq!(fs::metadata(&file).unwrap().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(file.parent().unwrap()).unwrap().mode() & 0o777, 0o700);
        fs::write(&file, "{").unwrap();
        assert!(records.load(&path).unwrap_err().contains(".npmrc"));
        records.remove(&path).unwrap();
        records.remove(&path).unwrap();
        assert_eq!(records.load(&path).unwrap(), None);
    }
}
