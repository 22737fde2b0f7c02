//! A name for each request, told to the client and written in every line about it.

use std::fmt;
use std::sync::Arc;

use crate::random;

/// `X-Request-Id`: the client's own where it is harmless, else 128 random bits in hex.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Takes what the client sent only as 1 to 64 of `[A-Za-z0-9._-]`.
    pub fn from_header(given: Option<&[u8]>) -> Self {
        given.and_then(Self::taken_over).unwrap_or_else(Self::random)
    }

    fn taken_over(given: &[u8]) -> Option<Self> {
        let plain = |byte: &u8| byte.is_ascii_alphanumeric() || b"._-".contains(byte);
        if !(1..=64).contains(&given.len()) || !given.iter().all(plain) {
            return None;
        }
        std::str::from_utf8(given).ok().map(|given| Self(given.into()))
    }

    fn random() -> Self {
        Self(random::name().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_harmless_id_is_taken_over() {
        let longest = "x".repeat(64);
        for given in ["a", "build-7.step_2", longest.as_str()] {
            assert_eq!(RequestId::from_header(Some(given.as_bytes())).as_str(), given);
        }
    }

    #[test]
    fn any_other_is_replaced_by_a_fresh_one() {
        let too_long = "x".repeat(65);
        for given in ["", "a b", "a\nb", "\u{1b}[31m", "ü", "a;b", too_long.as_str()] {
            let id = RequestId::from_header(Some(given.as_bytes()));
            assert_ne!(id.as_str(), given);
            assert_eq!(id.as_str().len(), 32);
        }
        assert_ne!(RequestId::from_header(None), RequestId::from_header(None));
    }
}
