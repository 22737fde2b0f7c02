//! Secrets that the garden makes for itself, each a file in the data directory that this user alone
//! can read. Blocking; runs at start.
//!
//! A file appears whole and with its mode, or not at all, and one that is there already stays.

#![allow(clippy::disallowed_methods, reason = "runs once, before anything is served")]

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

const MAX_FILE: u64 = 4096;

#[derive(Debug, thiserror::Error)]
pub enum SecretFileError {
    #[error("cannot use {}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{0} can be read by others (mode {mode:04o}): run `chmod 600 {0}`", path.display())]
    Exposed { path: PathBuf, mode: u32 },
}

/// What the file holds; what `make` makes where there is none yet.
pub fn load_or_create<E: From<SecretFileError>>(
    data: &Path,
    name: &str,
    make: impl FnOnce() -> Result<String, E>,
) -> Result<(String, PathBuf), E> {
    let path = data.join(name);
    // What a crash left of making it.
    remove_if_there(&staged(data, name))
        .map_err(|source| SecretFileError::Io { path: staged(data, name), source })?;
    if let Some(text) = load(&path)? {
        return Ok((text, path));
    }
    let text = make()?;
    create(data, name, &text)
        .map_err(|source| SecretFileError::Io { path: path.clone(), source })?;
    let text = load(&path)?.unwrap_or_default();
    Ok((text, path))
}

/// What the file holds, if it is there.
pub fn load(path: &Path) -> Result<Option<String>, SecretFileError> {
    let failed = |source| SecretFileError::Io { path: path.to_owned(), source };
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mode = file.metadata().map_err(failed)?.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(SecretFileError::Exposed { path: path.to_owned(), mode });
    }
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(failed)?;
    Ok(Some(text))
}

fn create(data: &Path, name: &str, text: &str) -> io::Result<()> {
    let stage = staged(data, name);
    fs::create_dir_all(data)?;
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&stage)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    match fs::hard_link(&stage, data.join(name)) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    remove_if_there(&stage)?;
    File::open(data)?.sync_all()
}

/// The same at each start: whoever opens a secret has the data directory to itself.
fn staged(data: &Path, name: &str) -> PathBuf {
    data.join(format!(".{name}.new"))
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
