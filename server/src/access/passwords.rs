//! Passwords: kept as argon2id hashes, and tried by few at once.
//!
//! To try one takes 19 MiB and some hundredths of a second, whether there is somebody of that name
//! or not: whoever guesses learns nothing from the time. So much work is also a way to keep a server
//! busy, so few are tried at once, some wait, and all others are told to come again.

use std::fmt;
use std::sync::Arc;

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use tokio::sync::Semaphore;

use super::secret::NoRandomness;

/// KiB, rounds and lanes, as OWASP has them.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);
const SALT: usize = 16;
/// Each holds its memory and a thread.
const TRIED_AT_ONCE: usize = 2;
/// Those who are tried included.
const MOST_AT_ONCE: usize = 24;
/// A longer text is nobody's.
const LONGEST: usize = 200;
const SHORTEST: usize = 12;
/// The hash of nothing: as expensive to try as that of somebody.
const NOBODYS: &str = "$argon2id$v=19$m=19456,t=2,p=1$Z2FydGhnYXJ0aGdhcnRoZw$\
                       c29tZXRoaW5nIHRoYXQgbm8gaGFzaCBpcyBlcXVhbCA";

#[derive(Clone)]
pub struct Passwords(Arc<Inner>);

struct Inner {
    trying: Semaphore,
    waiting: Semaphore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("too many people log in at this moment: try again in some seconds")]
    Busy,
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error("the password could not be hashed")]
    Failed,
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords")
    }
}

impl Default for Passwords {
    fn default() -> Self {
        let (trying, waiting) = (Semaphore::new(TRIED_AT_ONCE), Semaphore::new(MOST_AT_ONCE));
        Self(Arc::new(Inner { trying, waiting }))
    }
}

impl Passwords {
    /// What is kept of a password.
    pub async fn hash(&self, password: &str) -> Result<String, PasswordError> {
        let mut salt = [0; SALT];
        SystemRandom::new().fill(&mut salt).map_err(|_| NoRandomness)?;
        let password = password.to_owned();
        self.work(move || {
            let salt = SaltString::encode_b64(&salt).map_err(|_| PasswordError::Failed)?;
            let hash = argon2()?.hash_password(password.as_bytes(), &salt);
            hash.map(|hash| hash.to_string()).map_err(|_| PasswordError::Failed)
        })
        .await
    }

    /// Whether it is the one of this hash. Without one, or where it can not be, as much is done.
    pub async fn is(&self, password: &str, hash: Option<&str>) -> Result<bool, PasswordError> {
        let mut end = password.len().min(LONGEST);
        while !password.is_char_boundary(end) {
            end -= 1;
        }
        let hash = hash.filter(|hash| end == password.len() && PasswordHash::new(hash).is_ok());
        let (password, is_somebodys) = (password[..end].to_owned(), hash.is_some());
        let hash = hash.unwrap_or(NOBODYS).to_owned();
        self.work(move || {
            let hash = PasswordHash::new(&hash).map_err(|_| PasswordError::Failed)?;
            let is = argon2()?.verify_password(password.as_bytes(), &hash).is_ok();
            Ok(is && is_somebodys)
        })
        .await
    }

    async fn work<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, PasswordError> + Send + 'static,
    ) -> Result<T, PasswordError> {
        let inner = Arc::clone(&self.0);
        let working = tokio::spawn(async move {
            let _place = inner.waiting.try_acquire().map_err(|_| PasswordError::Busy)?;
            let _turn = inner.trying.acquire().await.map_err(|_| PasswordError::Busy)?;
            // Whoever asked may have left: what was begun holds its place to its end.
            tokio::task::spawn_blocking(work).await.map_err(|_| PasswordError::Failed)?
        });
        working.await.map_err(|_| PasswordError::Failed)?
    }
}

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let (memory, rounds, lanes) = COST;
    let params = Params::new(memory, rounds, lanes, None).map_err(|_| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// An error says what would do.
pub fn check(name: &str, password: &str) -> Result<(), String> {
    let length = password.chars().count();
    if length < SHORTEST || password.len() > LONGEST {
        return Err(format!("use {SHORTEST} characters or more, and {LONGEST} bytes at most"));
    }
    if password.chars().any(char::is_control) {
        return Err("a control character is in it".to_owned());
    }
    let lower = password.to_lowercase();
    let first = lower.chars().next();
    if lower.chars().all(|c| Some(c) == first) || lower.contains(&name.to_lowercase()) {
        return Err(
            "it is easily guessed: it has the name in it, or one character alone".to_owned()
        );
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn a_password_is_known_by_its_hash_and_nothing_else_is() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse battery").await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(hash, passwords.hash("correct horse battery").await.unwrap());
        assert!(passwords.is("correct horse battery", Some(&hash)).await.unwrap());
        for wrong in ["", "correct horse batterz", "correct horse batter"] {
            assert!(!passwords.is(wrong, Some(&hash)).await.unwrap(), "{wrong}");
        }
        let long = "x".repeat(LONGEST);
        let hash = passwords.hash(&long).await.unwrap();
        assert!(passwords.is(&long, Some(&hash)).await.unwrap());
        assert!(!passwords.is(&format!("{long}y"), Some(&hash)).await.unwrap());
        assert!(!passwords.is("anything", None).await.unwrap());
        assert!(!passwords.is("anything", Some("no hash")).await.unwrap());
    }

    #[tokio::test]
    async fn nobodys_password_takes_as_long_as_somebodys() {
        let passwords = Passwords::default();
        let hash = passwords.hash("correct horse battery").await.unwrap();
        // The fastest of some, taken in turn: whatever else this machine does only slows one down,
        // and meets each kind alike.
        let mut best = [f64::MAX; 3];
        for _ in 0..15 {
            for (best, hash) in best.iter_mut().zip([Some(hash.as_str()), None, Some("no hash")]) {
                let begun = Instant::now();
                assert!(!passwords.is("wrong horse battery", hash).await.unwrap());
                *best = best.min(begun.elapsed().as_secs_f64());
            }
        }
        let [known, unknown, broken] = best;
        for other in [unknown, broken] {
            assert!((0.5..2.0).contains(&(other / known)), "{known} s and {other} s");
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn few_are_tried_at_once_and_the_others_are_told_so() {
        let passwords = Passwords::default();
        let trying = (0..100).map(|_| passwords.is("wrong horse battery", None));
        let answers = futures_util::future::join_all(trying).await;
        let tried = answers.iter().filter(|answer| **answer == Ok(false)).count();
        let busy = answers.iter().filter(|answer| **answer == Err(PasswordError::Busy)).count();
        assert_eq!(tried + busy, 100);
        assert!((TRIED_AT_ONCE..=MOST_AT_ONCE + 10).contains(&tried), "{tried}");
        assert_eq!(passwords.is("wrong horse battery", None).await, Ok(false), "and later again");
    }

    #[test]
    fn what_is_easily_guessed_is_no_password() {
        for (password, said) in [
            ("short", "12 characters"),
            (&"x".repeat(LONGEST + 1), "at most"),
            ("aaaaaaaaaaaaa", "guessed"),
            ("Ann-is-my-name", "guessed"),
            ("with a \u{7} bell in it", "control"),
        ] {
            assert!(check("ann", password).unwrap_err().contains(said), "{password}");
        }
        assert_eq!(check("bob", "Ann-is-my-name"), Ok(()));
    }
}
