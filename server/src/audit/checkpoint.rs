//! Checkpoints: how long the log is and the root of its tree, signed.
//!
//! In the form of [C2SP's tlog-checkpoint](https://c2sp.org/tlog-checkpoint), a [signed
//! note](https://c2sp.org/signed-note), so that tools which know logs know this one:
//!
//! ```text
//! garth.example.com/log
//! 1234
//! 7SVm7ZLsjBVTd1mp1tfPXvEm2sTDdGFhzlHjs7GsLnk=
//!
//! — garth.example.com/log 3vwmSQ8…
//! ```
//!
//! The key is Ed25519, made at the first start into a file that this user alone can read, and never
//! in the store: whoever can write the store can not sign what he wrote.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use rand_core::OsRng;
use signed_note::{
    Note, NoteError, StandardSigner, StandardVerifier, VerifierList, generate_key,
    is_key_name_valid,
};
use tlog_tiles::checkpoint::Checkpoint as TreeHead;

use super::tree::Hash;
use crate::random;
use crate::secret_file::{SecretFileError, load, load_or_create};

/// In the data directory.
pub const KEY_FILE: &str = "audit-key";

/// The key that the log is signed by. Clones are the same key.
#[derive(Clone)]
pub struct LogKey(Arc<Inner>);

struct Inner {
    signer: StandardSigner,
    origin: String,
    public: String,
}

#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error(transparent)]
    File(#[from] SecretFileError),
    #[error(
        "{0} holds no key of an audit log: put back the right file. If it is lost for good, remove this one \
         and start once with --accept-log REASON: what was signed before can still be verified by its own \
         public key"
    )]
    Damaged(String),
    #[error("the checkpoint of the audit log can not be signed: {0}")]
    Unsigned(String),
}

impl LogKey {
    /// Loads the key from `data`, or makes one and keeps it there. `origin` is the name of a log
    /// whose key is made now.
    pub fn open(data: &Path, origin: Option<&str>) -> Result<Self, KeyError> {
        let make = || -> Result<String, KeyError> {
            let random = || format!("garth-{}", &random::name()[..16]);
            let origin = origin.map_or_else(random, str::to_owned);
            let (secret, public) = generate_key(&mut OsRng, &origin);
            Ok(format!("{secret}\n{public}\n"))
        };
        let (text, path) = load_or_create(data, KEY_FILE, make)?;
        Self::read(&text).ok_or_else(|| KeyError::Damaged(path.display().to_string()))
    }

    /// The key in `data`, if there is one; none is made.
    pub fn find(data: &Path) -> Result<Option<Self>, KeyError> {
        let path = data.join(KEY_FILE);
        let Some(text) = load(&path)? else { return Ok(None) };
        let read = Self::read(&text).ok_or_else(|| KeyError::Damaged(path.display().to_string()));
        read.map(Some)
    }

    /// Two lines: the key, and its public half.
    fn read(text: &str) -> Option<Self> {
        let (secret, public) = text.trim().split_once('\n')?;
        let signer = StandardSigner::new(secret.trim()).ok()?;
        let public = public.trim().to_owned();
        StandardVerifier::new(&public).ok()?;
        let origin = public.split('+').next().filter(|name| is_key_name_valid(name))?.to_owned();
        let key = Self(Arc::new(Inner { signer, origin, public }));
        // Two halves that do not belong together would sign what nobody can verify.
        let signed = key.sign(0, tlog_tiles::tlog::EMPTY_HASH).ok()?;
        Checkpoint::read(&signed, &key.0.public).ok()?;
        Some(key)
    }

    #[cfg(test)]
    pub fn make(origin: &str) -> Self {
        let (secret, public) = generate_key(&mut OsRng, origin);
        Self::read(&format!("{secret}\n{public}\n")).expect("it was made just now")
    }

    /// What everybody may know, and verifies with: `name+hash+key`.
    pub fn public(&self) -> &str {
        &self.0.public
    }

    pub fn origin(&self) -> &str {
        &self.0.origin
    }

    /// A signed checkpoint of the log at this size.
    pub fn sign(&self, size: u64, root: Hash) -> Result<String, KeyError> {
        let unsigned = |fault: &dyn fmt::Display| KeyError::Unsigned(fault.to_string());
        let head = TreeHead::new(&self.0.origin, size, root, "");
        let head = head.map_err(|fault| unsigned(&fault))?;
        let mut note = Note::new(&head.to_bytes(), &[]).map_err(|fault| unsigned(&fault))?;
        note.add_sigs(&[&self.0.signer]).map_err(|fault| unsigned(&fault))?;
        String::from_utf8(note.to_bytes()).map_err(|fault| unsigned(&fault))
    }
}

impl fmt::Debug for LogKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("LogKey").field(&self.0.public).finish()
    }
}

/// What a checkpoint says, once its signature was verified.
#[derive(Clone, Debug, PartialEq)]
pub struct Checkpoint {
    pub origin: String,
    pub size: u64,
    pub root: Hash,
}

/// Why a checkpoint is not believed.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    #[error("{0:?} is no public key of a log: it is written as name+hash+key")]
    NoKey(String),
    #[error("it is no checkpoint")]
    Malformed,
    #[error("it is not signed by the key {0}")]
    OtherKey(String),
    #[error("its signature by the key {0} is wrong: it was changed after it was signed")]
    WrongSignature(String),
    #[error("it is of the log {found}, and the key is of {expected}")]
    OtherLog { found: String, expected: String },
}

impl Checkpoint {
    /// What the note says, if this key signed it.
    pub fn read(note: &str, key: &str) -> Result<Self, CheckpointError> {
        let key = key.trim();
        let verifier = StandardVerifier::new(key);
        let verifier =
            verifier.map_err(|_| CheckpointError::NoKey(key.chars().take(200).collect()))?;
        let name = key.split('+').next().unwrap_or_default();
        let note = Note::from_bytes(note.as_bytes()).map_err(|_| CheckpointError::Malformed)?;
        let verified = note.verify(&VerifierList::new(vec![Box::new(verifier)]));
        verified.map_err(|fault| match fault {
            NoteError::InvalidSignature { .. } => CheckpointError::WrongSignature(name.to_owned()),
            _ => CheckpointError::OtherKey(name.to_owned()),
        })?;
        let head = TreeHead::from_bytes(note.text()).map_err(|_| CheckpointError::Malformed)?;
        if head.origin() != name {
            let (found, expected) = (head.origin().to_owned(), name.to_owned());
            return Err(CheckpointError::OtherLog { found, expected });
        }
        Ok(Self { origin: head.origin().to_owned(), size: head.size(), root: *head.hash() })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test may block")]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use tlog_tiles::tlog::record_hash;

    use super::*;

    #[test]
    fn the_first_start_makes_a_key_that_later_starts_sign_with() {
        let home = tempfile::tempdir().unwrap();
        let first = LogKey::open(home.path(), Some("garth.example.com/log")).unwrap();
        let path = home.path().join(KEY_FILE);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let again = LogKey::open(home.path(), Some("another.example.com")).unwrap();
        assert_eq!((again.public(), again.origin()), (first.public(), "garth.example.com/log"));
        let note = again.sign(7, record_hash(b"x")).unwrap();
        let read = Checkpoint::read(&note, first.public()).unwrap();
        assert_eq!((read.size, read.root), (7, record_hash(b"x")));
        let secret = fs::read_to_string(&path).unwrap();
        assert!(!format!("{first:?}").contains(secret.lines().next().unwrap()));
        fs::write(&path, "nonsense").unwrap();
        let told = LogKey::open(home.path(), None).unwrap_err().to_string();
        assert!(told.contains("--accept-log"), "{told}");
    }

    #[test]
    fn a_checkpoint_that_was_changed_or_that_another_key_signed_is_not_believed() {
        let (ours, other) = (LogKey::make("log"), LogKey::make("log"));
        let note = ours.sign(7, record_hash(b"x")).unwrap();
        let rows = [
            ("as it is", note.clone(), true),
            ("another size", note.replacen("\n7\n", "\n8\n", 1), false),
            ("another log", note.replacen("log", "gol", 1), false),
            ("another key", other.sign(7, record_hash(b"x")).unwrap(), false),
            ("cut", note[..note.len() - 5].to_owned(), false),
            ("empty", String::new(), false),
        ];
        for (name, note, good) in rows {
            let read = Checkpoint::read(&note, ours.public());
            assert_eq!(read.is_ok(), good, "{name}: {read:?}");
        }
    }
}
