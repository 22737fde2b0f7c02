//! The files of a client, as they lie on the disk. Blocking.
//!
//! A file is replaced whole or not at all: beside it a new one is written, made durable and renamed over
//! it, with its mode and owner. A link, as those who keep their dotfiles elsewhere have, stays one: what is
//! replaced is the file that it leads to.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

/// Far more than any configuration of a package manager.
const MAX_BYTES: u64 = 1 << 20;
/// As many links as Linux follows.
const MAX_LINKS: usize = 40;

/// A file as it was when it was looked at.
pub struct Snapshot {
    /// Where it really lies.
    pub path: PathBuf,
    /// `None` where there is none yet.
    pub text: Option<String>,
}

impl Snapshot {
    /// What lies at `path`, or why it cannot be changed.
    pub fn take(path: &Path) -> Result<Self, String> {
        let told = |error: &io::Error| format!("{} cannot be read: {error}", path.display());
        let path = real_path(path).map_err(|error| told(&error))?;
        let text = read(&path).map_err(|error| told(&error))?;
        let text = text.map(|bytes| {
            String::from_utf8(bytes).map_err(|error| {
                let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
                let line = valid.split(|byte| *byte == b'\n').count();
                format!(
                    "{}:{line}: this is not UTF-8; write the line anew, then run this again",
                    path.display()
                )
            })
        });
        Ok(Self { text: text.transpose()?, path })
    }

    /// Puts `text` in its place. A new file has `mode`.
    pub fn replace(&self, text: &str, mode: u32) -> io::Result<()> {
        let directory = self.path.parent().unwrap_or(Path::new("/"));
        fs::create_dir_all(directory)?;
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let stage = directory.join(format!(".{name}.garth-{}", std::process::id()));
        let staged = self.stage(&stage, text, mode).and_then(|()| {
            self.check_unchanged()?;
            fs::rename(&stage, &self.path)
        });
        if let Err(error) = staged {
            // Its own fault, if it has one, says less than the one that led here.
            let _ = fs::remove_file(&stage);
            return Err(error);
        }
        File::open(directory)?.sync_all()
    }

    pub fn remove(&self) -> io::Result<()> {
        self.check_unchanged()?;
        fs::remove_file(&self.path)
    }

    fn stage(&self, stage: &Path, text: &str, mode: u32) -> io::Result<()> {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(stage)?;
        file.write_all(text.as_bytes())?;
        if self.text.is_some() {
            let old = fs::metadata(&self.path)?;
            let new = file.metadata()?;
            if (old.uid(), old.gid()) != (new.uid(), new.gid()) {
                fchown(&file, Some(old.uid()), Some(old.gid()))?;
            }
            file.set_permissions(Permissions::from_mode(old.mode() & 0o7777))?;
        } else {
            file.set_permissions(Permissions::from_mode(mode))?;
        }
        file.sync_all()
    }

    /// What a client, or an editor, wrote since is not overwritten.
    fn check_unchanged(&self) -> io::Result<()> {
        if read(&self.path)?.as_deref() == self.text.as_deref().map(str::as_bytes) {
            return Ok(());
        }
        Err(io::Error::other("it was changed at this moment; run this again"))
    }
}

/// Where the links end, which may be at nothing.
fn real_path(path: &Path) -> io::Result<PathBuf> {
    let mut path = std::path::absolute(path)?;
    for _ in 0..MAX_LINKS {
        match fs::symlink_metadata(&path) {
            Ok(metadata) if metadata.is_symlink() => {
                let target = fs::read_link(&path)?;
                path = path.parent().unwrap_or(Path::new("/")).join(target);
            }
            Ok(metadata) if metadata.is_file() => return fs::canonicalize(&path),
            Ok(_) => return Err(io::Error::other("it is no regular file")),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(path),
            Err(error) => return Err(error),
        }
    }
    Err(io::Error::other("its links lead nowhere"))
}

fn read(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(io::Error::other(format!("it is larger than {MAX_BYTES} bytes")));
    }
    Ok(Some(bytes))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::os::unix::fs::symlink;

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o7777
    }

    #[test]
    fn a_file_keeps_its_mode_and_a_new_one_has_that_which_is_asked_for() {
        let home = tempfile::tempdir().unwrap();
        let old = home.path().join("old");
        fs::write(&old, "a").unwrap();
        for kept in [0o600, 0o640, 0o400] {
            fs::set_permissions(&old, Permissions::from_mode(kept)).unwrap();
            Snapshot::take(&old).unwrap().replace("b", 0o644).unwrap();
            assert_eq!(mode(&old), kept);
        }
        let new = home.path().join("below/new");
        Snapshot::take(&new).unwrap().replace("b", 0o600).unwrap();
        assert_eq!(mode(&new), 0o600);
        Snapshot::take(&new).unwrap().remove().unwrap();
        assert!(Snapshot::take(&new).unwrap().text.is_none());
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2, "nothing is left behind");
    }

    #[test]
    fn a_link_stays_a_link() {
        let home = tempfile::tempdir().unwrap();
        let (link, target) = (home.path().join(".npmrc"), home.path().join("dotfiles/npmrc"));
        fs::create_dir(home.path().join("dotfiles")).unwrap();
        symlink("dotfiles/npmrc", &link).unwrap();
        for text in ["made where the link leads", "and replaced there"] {
            Snapshot::take(&link).unwrap().replace(text, 0o600).unwrap();
            assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
            assert_eq!(fs::read_to_string(&target).unwrap(), text);
        }
    }

    #[test]
    fn what_cannot_be_changed_is_refused_and_stays() {
        let home = tempfile::tempdir().unwrap();
        let refused = |path: &Path| Snapshot::take(path).map(|_| ()).unwrap_err();
        let latin = home.path().join("latin");
        fs::write(&latin, b"a\nb\xe4\n").unwrap();
        assert!(refused(&latin).contains("latin:2: "), "{}", refused(&latin));
        let round = home.path().join("round");
        symlink("round", &round).unwrap();
        assert!(refused(&round).contains("links"));
        assert!(refused(home.path()).contains("no regular file"));
        let large = home.path().join("large");
        fs::write(&large, vec![b'a'; 2 << 20]).unwrap();
        assert!(refused(&large).contains("larger"));
    }

    #[test]
    fn a_file_that_changed_meanwhile_is_not_overwritten() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("file");
        fs::write(&path, "a").unwrap();
        let snapshot = Snapshot::take(&path).unwrap();
        fs::write(&path, "theirs").unwrap();
        assert!(snapshot.replace("ours", 0o600).is_err());
        assert!(snapshot.remove().is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "theirs");
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 1);
    }
}
