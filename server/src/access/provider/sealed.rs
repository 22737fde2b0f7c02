//! What garth hands out to have it back: sealed, so that nobody reads, makes or changes it, and nothing
//! of it is kept here. A login that was begun costs no memory, however many begin one.
//!
//! The key lies in the data directory (0600), so that a login that was begun goes on after a restart.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::rand::{SecureRandom as _, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::access::secret::NoRandomness;
use crate::secret_file::{SecretFileError, load_or_create};

const FILE: &str = "login-key";
const KEY_PREFIX: &str = "garth-login-key-";
const BYTES: usize = 32;
/// Longer ones are none of ours.
const LONGEST: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum SealError {
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error(
        "{0} holds no key of logins: put back the right file, or remove it to have a new one made; \
         logins that are under way begin anew then"
    )]
    Damaged(String),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
}

/// Clones are the same key.
#[derive(Clone)]
pub struct Seal(Arc<LessSafeKey>);

impl fmt::Debug for Seal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Seal(***)")
    }
}

impl Seal {
    /// Loads the key from `data`, or makes one and keeps it there. Blocking; runs at start.
    pub fn open(data: &Path) -> Result<Self, SealError> {
        let make = || {
            let bytes = random::<BYTES>()?;
            Ok::<_, SealError>(format!("{KEY_PREFIX}{}\n", STANDARD.encode(bytes)))
        };
        let (text, path) = load_or_create(data, FILE, make)?;
        let key = text.trim().strip_prefix(KEY_PREFIX).and_then(|key| STANDARD.decode(key).ok());
        let key = key.and_then(|key| UnboundKey::new(&AES_256_GCM_SIV, &key).ok());
        let key = key.ok_or_else(|| SealError::Damaged(path.display().to_string()))?;
        Ok(Self(Arc::new(LessSafeKey::new(key))))
    }

    /// As text that fits into a cookie or a query. What was sealed for something else does not open.
    pub fn seal<T: Serialize>(&self, purpose: &str, value: &T) -> Result<String, NoRandomness> {
        let nonce = random::<NONCE_LEN>()?;
        let mut text = serde_json::to_vec(value).unwrap_or_default();
        let unique = Nonce::assume_unique_for_key(nonce);
        self.0
            .seal_in_place_append_tag(unique, Aad::from(purpose.as_bytes()), &mut text)
            .map_err(|_| NoRandomness)?;
        Ok(URL_SAFE_NO_PAD.encode([&nonce[..], &text].concat()))
    }

    pub fn open_sealed<T: DeserializeOwned>(&self, purpose: &str, sealed: &str) -> Option<T> {
        if sealed.len() > LONGEST {
            return None;
        }
        let mut bytes = URL_SAFE_NO_PAD.decode(sealed).ok()?;
        let (nonce, text) = bytes.split_at_mut_checked(NONCE_LEN)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let text = self.0.open_in_place(nonce, Aad::from(purpose.as_bytes()), text).ok()?;
        serde_json::from_slice(text).ok()
    }
}

/// 256 bits that nobody guesses, as text.
pub fn secret_word() -> Result<String, NoRandomness> {
    Ok(URL_SAFE_NO_PAD.encode(random::<BYTES>()?))
}

fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sealed_opens_for_its_purpose_by_its_key_and_unchanged() {
        let (data, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let seal = Seal::open(data.path()).unwrap();
        let sealed = seal.seal("login", &"ann").unwrap();
        assert!(!sealed.contains("ann") && sealed != seal.seal("login", &"ann").unwrap());
        let open = |seal: &Seal, purpose, sealed: &str| seal.open_sealed::<String>(purpose, sealed);
        assert_eq!(open(&seal, "login", &sealed).unwrap(), "ann");
        assert_eq!(open(&Seal::open(data.path()).unwrap(), "login", &sealed).unwrap(), "ann");
        assert!(open(&seal, "code", &sealed).is_none());
        assert!(open(&Seal::open(other.path()).unwrap(), "login", &sealed).is_none());
        for at in 0..sealed.len() {
            let mut changed = sealed.clone().into_bytes();
            changed[at] = if changed[at] == b'A' { b'Q' } else { b'A' };
            assert!(open(&seal, "login", std::str::from_utf8(&changed).unwrap()).is_none(), "{at}");
            assert!(open(&seal, "login", &sealed[..at]).is_none());
        }
        assert!(!format!("{seal:?}").contains(&sealed));
    }
}
