//! The logins of this machine's user: a token for each server, in a file that they alone can read.
//! Blocking.

#![allow(clippy::disallowed_methods, reason = "runs before a command's work, or behind it")]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use url::Url;

use crate::config::EnvSnapshot;

const MAX_FILE: u64 = 1 << 20;

#[derive(Debug)]
pub struct Logins {
    path: PathBuf,
    /// By the origin of the server.
    tokens: BTreeMap<String, String>,
}

impl Logins {
    /// `$XDG_CONFIG_HOME/garth/logins.json`, else below `~/.config`. A file that others can read is
    /// a fault: what is in it may be theirs by now.
    pub fn of(env: &EnvSnapshot) -> Result<Self, String> {
        let config = config(env).ok_or("there is no home directory: set HOME")?;
        let path = config.join("garth").join("logins.json");
        let tokens = read(&path).map_err(|why| format!("{}: {why}", path.display()))?;
        Ok(Self { path, tokens })
    }

    /// There is no place for any, and no file that could be meant.
    pub fn is_nowhere(env: &EnvSnapshot) -> bool {
        config(env).is_none()
    }

    pub fn find(&self, server: &Url) -> Option<String> {
        self.tokens.get(&server.origin().ascii_serialization()).cloned()
    }

    pub fn keep(mut self, server: &Url, token: &str) -> Result<(), String> {
        self.tokens.insert(server.origin().ascii_serialization(), token.to_owned());
        self.write()
    }

    pub fn forget(mut self, server: &Url) -> Result<(), String> {
        self.tokens.remove(&server.origin().ascii_serialization());
        self.write()
    }

    /// Whole or not at all.
    fn write(&self) -> Result<(), String> {
        let failed = |fault: std::io::Error| format!("{}: {fault}", self.path.display());
        let folder = self.path.parent().unwrap_or(Path::new("."));
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
        let staged = folder.join(format!(".logins.{}", std::process::id()));
        let mut file = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(true)
            .mode(0o600)
            .open(&staged)
            .map_err(failed)?;
        // One that was there keeps its mode.
        file.set_permissions(fs::Permissions::from_mode(0o600)).map_err(failed)?;
        let text = serde_json::to_vec_pretty(&self.tokens).unwrap_or_default();
        file.write_all(&text).and_then(|()| file.sync_all()).map_err(failed)?;
        fs::rename(&staged, &self.path).map_err(failed)
    }
}

fn config(env: &EnvSnapshot) -> Option<PathBuf> {
    let config = env.get_os("XDG_CONFIG_HOME").map(PathBuf::from);
    let home = || env.get_os("HOME").map(|home| PathBuf::from(home).join(".config"));
    config.filter(|path| path.is_absolute()).or_else(home)
}

fn read(path: &Path) -> Result<BTreeMap<String, String>, String> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(fault) if fault.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(fault) => return Err(fault.to_string()),
    };
    let mode = file.metadata().map_err(|fault| fault.to_string())?.permissions().mode();
    if mode & 0o077 != 0 {
        return Err("it can be read by others: chmod 600, and log in again".to_owned());
    }
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|fault| fault.to_string())?;
    serde_json::from_str(&text).map_err(|fault| format!("it is broken: {fault}; remove it"))
}
