//! The text of a token: what it is made of, and how a mistyped one is told without asking anybody.
//!
//! ```text
//! garth_service_ 43 characters of 256 random bits, 6 of a checksum over all before them
//! garth_person_  the same
//! ```
//!
//! All of [`ALPHABET`], so that a double click selects it, and a scanner for secrets knows it by its
//! beginning and can check its end. It is kept nowhere: [`Hash`] is, and the bits are too many for
//! anybody to guess what it is of.

use std::fmt;

use aws_lc_rs::digest::{SHA256, digest};
use aws_lc_rs::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::observability::redact::PREFIX;

const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
/// 62 to the power of this is more than 2 to the power of 256.
const RANDOM: usize = 43;
/// 62 to the power of this is more than 2 to the power of 32.
const CHECKSUM: usize = 6;

/// Whom a token is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TokenKind {
    Person,
    /// A pipeline, a build machine: nobody is behind it.
    Service,
}

impl TokenKind {
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Service => "service",
        }
    }

    pub fn parse(text: &str) -> Option<Self> {
        [Self::Person, Self::Service].into_iter().find(|kind| kind.as_str() == text)
    }
}

/// The text of a new token: it can be shown, and is not kept.
pub struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// The system gives no random numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the system gives no random numbers")]
pub struct NoRandomness;

impl Secret {
    pub fn make(kind: TokenKind) -> Result<Self, NoRandomness> {
        let random = SystemRandom::new();
        let mut text = format!("{PREFIX}{}_", kind.as_str());
        let end = text.len() + RANDOM;
        let mut bytes = [0; 64];
        while text.len() < end {
            random.fill(&mut bytes).map_err(|_| NoRandomness)?;
            // Above the last multiple of 62 some characters would come more often than others.
            let even = bytes.iter().filter(|byte| **byte < 248).take(end - text.len());
            text.extend(even.map(|byte| char::from(ALPHABET[usize::from(byte % 62)])));
        }
        text.push_str(&checksum(&text));
        Ok(Self(text))
    }

    /// Once, to whom it is for.
    pub fn reveal(&self) -> &str {
        &self.0
    }

    pub fn hash(&self) -> Hash {
        Hash::of(self.0.as_bytes())
    }
}

/// What is kept of a token, and known by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    pub fn of(token: &[u8]) -> Self {
        let mut hash = [0; 32];
        hash.copy_from_slice(digest(&SHA256, token).as_ref());
        Self(hash)
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    pub fn to_hex(self) -> String {
        hex::encode(self.0)
    }

    pub fn from_hex(text: &str) -> Option<Self> {
        let mut hash = [0; 32];
        hex::decode_to_slice(text, &mut hash).ok()?;
        Some(Self(hash))
    }
}

/// Whether this is written like a token with a checksum, and the checksum is another one: then no
/// garth has ever made it.
pub fn is_mistyped(text: &str) -> bool {
    let Some(rest) = text.strip_prefix(PREFIX) else { return false };
    let Some((kind, rest)) = rest.split_once('_') else { return false };
    if TokenKind::parse(kind).is_none() {
        return false;
    }
    let is_whole =
        rest.len() == RANDOM + CHECKSUM && rest.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if !is_whole {
        return true;
    }
    let (begin, end) = text.split_at(text.len() - CHECKSUM);
    checksum(begin) != end
}

fn checksum(text: &str) -> String {
    let mut rest = crc32fast::hash(text.as_bytes());
    let mut digits = [b'0'; CHECKSUM];
    for digit in digits.iter_mut().rev() {
        *digit = ALPHABET[(rest % 62) as usize];
        rest /= 62;
    }
    digits.iter().map(|digit| char::from(*digit)).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_token_says_what_it_is_and_shows_a_slip_of_the_finger() {
        let made = Secret::make(TokenKind::Service).unwrap();
        let text = made.reveal();
        assert_eq!(text.len(), "garth_service_".len() + 49);
        assert!(text.starts_with("garth_service_") && !is_mistyped(text), "{text}");
        assert!(!format!("{made:?}").contains(text));
        for place in "garth_service_".len()..text.len() {
            let mut other = text.as_bytes().to_vec();
            other[place] = if other[place] == b'x' { b'y' } else { b'x' };
            assert!(is_mistyped(std::str::from_utf8(&other).unwrap()), "at {place}");
        }
        for cut in "garth_service_".len()..text.len() {
            assert!(is_mistyped(&text[..cut]), "{cut}");
        }
        assert!(is_mistyped(&text.replace("service", "person")));
        // Written otherwise: the first admin token, and what is not ours.
        for other in ["", "garth_", "garth_x", "npm_x", &format!("garth_{}", "A".repeat(43))] {
            assert!(!is_mistyped(other), "{other}");
        }
    }

    #[test]
    fn no_two_are_alike_and_every_character_comes() {
        let made: Vec<Secret> =
            (0..200).map(|_| Secret::make(TokenKind::Person).unwrap()).collect();
        let random =
            |secret: &Secret| secret.reveal()["garth_person_".len()..][..RANDOM].to_owned();
        let all: HashSet<String> = made.iter().map(random).collect();
        assert_eq!(all.len(), 200);
        let characters: HashSet<char> = all.iter().flat_map(|text| text.chars()).collect();
        assert_eq!(characters.len(), 62);
        let hash = made[0].hash();
        assert_eq!(Hash::from_hex(&hash.to_hex()), Some(hash));
        assert_eq!(Hash::from_hex("ab"), None);
    }
}
