//! Secrets of webhooks, and signatures by them, as the Standard Webhooks specification says.
//!
//! Both sides sign with the same secret, so a hash of it would not do. Instead of keeping it, garth
//! makes it again whenever it is needed, of a key that lies in the data directory (0600) and a salt
//! that lies in the store: who has the store or a copy of it has no secret.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::hmac::{self, HMAC_SHA256};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::metadata::records::WebhookSecretRecord;
use crate::secret_file::{SecretFileError, load_or_create};

const FILE: &str = "webhook-key";
/// What secrets begin with by the specification, and the file by ours.
const PREFIX: &str = "whsec_";
const KEY_PREFIX: &str = "garth-webhook-key-";
const BYTES: usize = 32;
/// Hex digits of a mark.
const MARK: usize = 16;

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error(
        "{0} holds no key of webhooks: put back the right file, or remove it to have a new one made, \
         after which every webhook needs `garth webhook rotate`"
    )]
    Damaged(String),
    #[error("the system gives no random numbers")]
    NoRandomness,
}

/// Of which all secrets are made. Clones are the same key.
#[derive(Clone)]
pub struct MasterKey(Arc<hmac::Key>);

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(***)")
    }
}

/// What one side signs with and the other verifies by.
pub struct Secret([u8; BYTES]);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

fn random() -> Result<[u8; BYTES], KeyError> {
    let mut bytes = [0; BYTES];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeyError::NoRandomness)?;
    Ok(bytes)
}

impl MasterKey {
    /// Loads the key from `data`, or makes one and keeps it there. Blocking; runs at start.
    pub fn open(data: &Path) -> Result<Self, KeyError> {
        let make = || Ok::<_, KeyError>(format!("{KEY_PREFIX}{}\n", STANDARD.encode(random()?)));
        let (text, path) = load_or_create(data, FILE, make)?;
        let key = text.trim().strip_prefix(KEY_PREFIX).and_then(|key| STANDARD.decode(key).ok());
        let key = key.filter(|key| key.len() == BYTES);
        let key = key.ok_or_else(|| KeyError::Damaged(path.display().to_string()))?;
        Ok(Self::of(&key))
    }

    pub fn of(bytes: &[u8]) -> Self {
        Self(Arc::new(hmac::Key::new(HMAC_SHA256, bytes)))
    }

    /// A secret that nobody had before, and what is stored of it.
    pub fn make(
        &self,
        webhook: &str,
        now: Timestamp,
    ) -> Result<(Secret, WebhookSecretRecord), KeyError> {
        let salt = hex::encode(random()?);
        let secret = self.derive(webhook, &salt);
        let record = WebhookSecretRecord { salt, mark: secret.mark(), created: now, until: None };
        Ok((secret, record))
    }

    /// The secret of before; `None` where it was made by another key.
    pub fn secret(&self, webhook: &str, record: &WebhookSecretRecord) -> Option<Secret> {
        let secret = self.derive(webhook, &record.salt);
        (secret.mark() == record.mark).then_some(secret)
    }

    fn derive(&self, webhook: &str, salt: &str) -> Secret {
        let made =
            hmac::sign(&self.0, format!("secret of a webhook\n{webhook}\n{salt}").as_bytes());
        let mut bytes = [0; BYTES];
        bytes.copy_from_slice(made.as_ref());
        Secret(bytes)
    }
}

impl Secret {
    /// Once, to whom it is for.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(self.0))
    }

    fn mark(&self) -> String {
        let mut mark = hex::encode(digest(&SHA256, &self.0));
        mark.truncate(MARK);
        mark
    }

    /// `v1,` and the signature of what is sent, for `webhook-signature`.
    pub fn sign(&self, id: &str, seconds: i64, body: &str) -> String {
        let key = hmac::Key::new(HMAC_SHA256, &self.0);
        let tag = hmac::sign(&key, format!("{id}.{seconds}.{body}").as_bytes());
        format!("v1,{}", STANDARD.encode(tag))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_that_of_the_specifications_example() {
        // The example of the reference libraries of Standard Webhooks.
        let secret = STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let key = hmac::Key::new(HMAC_SHA256, &secret);
        let signed = "msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.{\"test\": 2432232314}";
        let tag = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
        assert_eq!(tag, "g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_is_made_again_by_its_key_alone() {
        let key = MasterKey::of(b"a key of some length");
        let (secret, record) = key.make("chat", Timestamp::UNIX_EPOCH).unwrap();
        let text = secret.reveal();
        assert_eq!(STANDARD.decode(text.strip_prefix("whsec_").unwrap()).unwrap().len(), BYTES);
        assert_eq!(key.secret("chat", &record).unwrap().reveal(), text);
        assert!(key.secret("other", &record).is_none());
        assert!(MasterKey::of(b"another key").secret("chat", &record).is_none());
        let (next, _) = key.make("chat", Timestamp::UNIX_EPOCH).unwrap();
        assert_ne!(next.reveal(), text);
        assert!(!format!("{record:?} {secret:?} {key:?}").contains(&text[6..]));
    }

    #[test]
    fn the_key_is_kept_and_one_that_is_none_is_refused() {
        let data = tempfile::tempdir().unwrap();
        let key = MasterKey::open(data.path()).unwrap();
        let (_, record) = key.make("chat", Timestamp::UNIX_EPOCH).unwrap();
        let again = MasterKey::open(data.path()).unwrap();
        assert!(again.secret("chat", &record).is_some());
        let file = data.path().join(FILE);
        write(&file, "something else");
        assert!(matches!(MasterKey::open(data.path()), Err(KeyError::Damaged(_))));
    }

    #[allow(clippy::disallowed_methods, reason = "a test may block")]
    fn write(file: &Path, text: &str) {
        std::fs::write(file, text).unwrap();
    }
}
