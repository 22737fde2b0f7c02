//! The key by which this garden signs what is published here: ECDSA on P-256, made at the first
//! start and kept in the data directory. Whoever has the file can sign in the garden's name; where
//! it is lost, what was signed with it can not be verified any more.
//!
//! Opening it blocks and runs at start; signing takes some microseconds.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::encoding::{AsDer, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};

use crate::secret_file::{SecretFileError, load_or_create};

const FILE: &str = "signing-key";
const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";

/// Clones are the same key.
#[derive(Clone)]
pub struct SigningKey(Arc<Inner>);

struct Inner {
    pair: EcdsaKeyPair,
    public: PublicKey,
}

/// What everybody may know, and verifies with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublicKey {
    /// `SHA256:` and the hash of the key, as registries name theirs.
    pub id: String,
    /// Its `SubjectPublicKeyInfo`, in base64.
    pub der: String,
}

#[derive(Debug, thiserror::Error)]
pub enum SigningError {
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error(
        "{0} holds no signing key of garth: put back the right file, or remove it to have a new key \
         made, by which what was published before can not be verified"
    )]
    Damaged(String),
    #[error("no signing key could be made")]
    Unmade,
}

impl SigningKey {
    /// Loads the key from `data`, or makes one and keeps it there, readable by this user alone.
    pub fn open(data: &Path) -> Result<Self, SigningError> {
        let (text, path) = load_or_create(data, FILE, make)?;
        read(&text).ok_or_else(|| SigningError::Damaged(path.display().to_string()))
    }

    pub fn public(&self) -> &PublicKey {
        &self.0.public
    }

    /// An ASN.1 signature over the SHA-256 of the message; another one at each call.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let signature = self.0.pair.sign(&SystemRandom::new(), message);
        Ok(signature.map_err(|_| SigningError::Unmade)?.as_ref().to_owned())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SigningKey").field(&self.0.public.id).finish()
    }
}

fn make() -> Result<String, SigningError> {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
        .map_err(|_| SigningError::Unmade)?;
    let encoded = STANDARD.encode(pkcs8.as_ref());
    let mut text = format!("{BEGIN}\n");
    let mut rest = encoded.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.extend([line, "\n"]);
        rest = more;
    }
    text.extend([END, "\n"]);
    Ok(text)
}

fn read(text: &str) -> Option<SigningKey> {
    let encoded: String =
        text.trim().strip_prefix(BEGIN)?.strip_suffix(END)?.split_ascii_whitespace().collect();
    let pkcs8 = STANDARD.decode(encoded).ok()?;
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &pkcs8).ok()?;
    let der: PublicKeyX509Der<'_> = pair.public_key().as_der().ok()?;
    let der = der.as_ref();
    let public = PublicKey {
        id: format!("SHA256:{}", STANDARD_NO_PAD.encode(digest(&SHA256, der))),
        der: STANDARD.encode(der),
    };
    Some(SigningKey(Arc::new(Inner { pair, public })))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may block")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1, UnparsedPublicKey};

    use super::*;

    #[test]
    fn the_first_start_makes_a_key_that_later_starts_sign_with() {
        let home = tempfile::tempdir().unwrap();
        let first = SigningKey::open(home.path()).unwrap();
        let path = home.path().join(FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = SigningKey::open(home.path()).unwrap();
        assert_eq!(first.public(), again.public());
        let id = &first.public().id;
        assert!(id.starts_with("SHA256:") && id.len() == 50 && !id.contains('='), "{id}");
        let der = STANDARD.decode(&first.public().der).unwrap();
        let verifier = UnparsedPublicKey::new(&ECDSA_P256_SHA256_ASN1, der);
        let signature = again.sign(b"acme-ui@1.0.0:sha512-x").unwrap();
        assert!(verifier.verify(b"acme-ui@1.0.0:sha512-x", &signature).is_ok());
        assert!(verifier.verify(b"acme-ui@1.0.1:sha512-x", &signature).is_err());
        let text = fs::read_to_string(&path).unwrap();
        assert!(!format!("{first:?}").contains(text.lines().nth(1).unwrap()));
    }

    #[test]
    fn a_file_that_others_can_read_or_that_is_no_key_is_refused() {
        let home = tempfile::tempdir().unwrap();
        SigningKey::open(home.path()).unwrap();
        let path = home.path().join(FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let told = SigningKey::open(home.path()).unwrap_err().to_string();
        assert!(told.contains("chmod 600"), "{told}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for text in ["", "x", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            fs::write(&path, text).unwrap();
            let told = SigningKey::open(home.path()).unwrap_err().to_string();
            assert!(told.contains("remove it"), "{text:?}: {told}");
        }
    }
}
