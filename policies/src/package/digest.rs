//! Digests: strict to read, one spelling to write.

use std::fmt;
use std::str::FromStr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// Weakest first, so that the strongest of several digests is their maximum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Algorithm {
    Sha1,
    Sha256,
    Sha512,
}

impl Algorithm {
    pub const ALL: [Self; 3] = [Self::Sha1, Self::Sha256, Self::Sha512];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sha1 => "sha1",
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Length of a digest in bytes.
    pub const fn length(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha256 => 32,
            Self::Sha512 => 64,
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.as_str() == name)
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidDigest {
    #[error("a digest is written algorithm:hex")]
    Shape,
    #[error("the algorithm is none of sha1, sha256, sha512")]
    Algorithm,
    #[error("the digest has the wrong length for {0}")]
    Length(Algorithm),
    #[error("a digest is written in lower-case hexadecimal digits")]
    Digits,
}

/// A digest of known algorithm and right length. Written `sha256:<hex>`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest {
    algorithm: Algorithm,
    bytes: Box<[u8]>,
}

impl Digest {
    /// The raw bytes as an algorithm gave them.
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Result<Self, InvalidDigest> {
        if bytes.len() != algorithm.length() {
            return Err(InvalidDigest::Length(algorithm));
        }
        Ok(Self { algorithm, bytes: bytes.into() })
    }

    /// The digest that names these bytes.
    pub fn sha256_of(bytes: &[u8]) -> Self {
        Self { algorithm: Algorithm::Sha256, bytes: Sha256::digest(bytes).as_slice().into() }
    }

    /// Reads `sha256:<hex>`, strictly: nothing else can ever become part of a path.
    pub fn parse(text: &str) -> Result<Self, InvalidDigest> {
        let (algorithm, hex) = text.split_once(':').ok_or(InvalidDigest::Shape)?;
        let algorithm = Algorithm::from_name(algorithm).ok_or(InvalidDigest::Algorithm)?;
        Self::from_hex(algorithm, hex)
    }

    /// Reads the lower-case hexadecimal digits of a digest whose algorithm is known.
    pub fn from_hex(algorithm: Algorithm, hex: &str) -> Result<Self, InvalidDigest> {
        if hex.len() != algorithm.length() * 2 {
            return Err(InvalidDigest::Length(algorithm));
        }
        if !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(InvalidDigest::Digits);
        }
        let bytes = hex::decode(hex).map_err(|_| InvalidDigest::Digits)?;
        Ok(Self { algorithm, bytes: bytes.into() })
    }

    /// The digests in a Subresource Integrity string, strongest first. Unknown algorithms and
    /// malformed parts are left out: an empty answer promises nothing.
    pub fn from_sri(text: &str) -> Vec<Self> {
        let mut digests: Vec<Self> =
            text.split_ascii_whitespace().filter_map(Self::sri_part).collect();
        digests.sort_by(|a, b| b.cmp(a));
        digests.dedup();
        digests
    }

    fn sri_part(part: &str) -> Option<Self> {
        let (algorithm, rest) = part.split_once('-')?;
        let algorithm = Algorithm::from_name(algorithm)?;
        let encoded = rest.split('?').next()?;
        Self::new(algorithm, &STANDARD.decode(encoded).ok()?).ok()
    }

    pub fn to_sri(&self) -> String {
        let name = self.algorithm.as_str();
        let mut text = String::with_capacity(name.len() + 1 + self.bytes.len().div_ceil(3) * 4);
        text.push_str(name);
        text.push('-');
        STANDARD.encode_string(&self.bytes, &mut text);
        text
    }

    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub fn hex(&self) -> String {
        hex::encode(&self.bytes)
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm, self.hex())
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        Self::parse(text)
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        Self::parse(&text)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> Self {
        digest.to_string()
    }
}
