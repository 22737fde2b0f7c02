//! The first admin token: made at the first start, kept in the data directory, compared in constant
//! time. Blocking; runs at start.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::secret::Hash;
use crate::observability::redact::PREFIX;
use crate::secret_file::{SecretFileError, load_or_create};

const FILE: &str = "admin-token";
const RANDOM_BYTES: usize = 32;

/// Knows whether a text is the token, and cannot tell what it is.
#[derive(Clone)]
pub struct AdminToken(Arc<[u8]>);

impl fmt::Debug for AdminToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AdminToken(***)")
    }
}

#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error("{} holds no token of garth: remove the file to have a new token made", path.display())]
    Damaged { path: PathBuf },
    #[error("the system gives no random numbers")]
    NoRandomness,
}

impl AdminToken {
    /// Loads the token from `data`, or makes one and keeps it there, readable by this user alone.
    /// The path is where a person finds it.
    pub fn open(data: &Path) -> Result<(Self, PathBuf), TokenError> {
        let (text, path) = load_or_create(data, FILE, make)?;
        let token = text.trim();
        let random = token.strip_prefix(PREFIX).and_then(|rest| URL_SAFE_NO_PAD.decode(rest).ok());
        if random.is_none_or(|random| random.len() != RANDOM_BYTES) {
            return Err(TokenError::Damaged { path });
        }
        Ok((Self::of(token), path))
    }

    /// A token that is given, for tests and for tools that start a server of their own.
    pub fn of(token: &str) -> Self {
        Self(Hash::of(token.as_bytes()).as_bytes().as_slice().into())
    }

    /// Takes the same time for every wrong token.
    pub fn is(&self, candidate: &Hash) -> bool {
        verify_slices_are_equal(&self.0, candidate.as_bytes()).is_ok()
    }
}

fn make() -> Result<String, TokenError> {
    let mut random = [0; RANDOM_BYTES];
    SystemRandom::new().fill(&mut random).map_err(|_| TokenError::NoRandomness)?;
    Ok(format!("{PREFIX}{}\n", URL_SAFE_NO_PAD.encode(random)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may block")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_first_start_makes_a_token_that_later_starts_load() {
        let home = tempfile::tempdir().unwrap();
        let data = home.path().join("data");
        let (first, path) = AdminToken::open(&data).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600);
        let text = fs::read_to_string(&path).unwrap();
        let token = text.trim();
        assert!(token.starts_with("garth_") && token.len() == 49, "{token}");
        let (again, _) = AdminToken::open(&data).unwrap();
        for loaded in [&first, &again] {
            let is = |token: &[u8]| loaded.is(&Hash::of(token));
            assert!(is(token.as_bytes()));
            assert!(!is(b"") && !is(&token.as_bytes()[..48]));
            assert!(!format!("{loaded:?}").contains(token));
        }
        let names: Vec<_> =
            fs::read_dir(&data).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["admin-token"]);
    }

    #[test]
    fn two_first_starts_have_two_tokens() {
        let homes = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
        let [a, b] = homes.each_ref().map(|home| {
            let (_, path) = AdminToken::open(home.path()).unwrap();
            fs::read_to_string(path).unwrap()
        });
        assert_ne!(a, b);
    }

    #[test]
    fn a_file_that_others_can_read_or_that_is_no_token_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let (_, path) = AdminToken::open(home.path()).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        let told = AdminToken::open(home.path()).unwrap_err().to_string();
        assert!(told.contains("chmod 600"), "{told}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "garth_short", "x"] {
            fs::write(&path, text).unwrap();
            let told = AdminToken::open(home.path()).unwrap_err().to_string();
            assert!(told.contains("remove the file"), "{text:?}: {told}");
        }
    }
}
