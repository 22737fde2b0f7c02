//! Who signs what others bring: where an issuer is, its keys, and whether a signed token is its own.
//!
//! 1. [`jwt`] reads what is sent without believing it: its shape, its algorithm, and by whom it says
//!    that it was issued.
//! 2. [`keys`] has what the issuer says of itself, fetched from where garth.toml says that it is and
//!    from nowhere else. What a token says of keys of its own is a reason to refuse it.
//! 3. [`claims`] are what a token says, once its signature is checked.
//!
//! What is made of it is for [`identity`](super::identity).

pub mod claims;
mod jwt;
mod keys;

pub use self::jwt::Sent;
pub use self::keys::{Endpoints, Issuer, MAX_DOCUMENT};
use crate::upstream::UpstreamError;

/// Why a token is not taken, for the log.
#[derive(Debug, thiserror::Error)]
pub enum Doubt {
    #[error("{0}")]
    Shape(&'static str),
    #[error("its issuer is none of garth.toml")]
    Issuer,
    #[error("no key of the issuer fits")]
    Key,
    #[error("its signature is not the issuer's")]
    Signature,
    #[error("{0}")]
    Claim(&'static str),
}

pub enum Failure {
    Doubt(Doubt),
    NoKeys(UpstreamError),
}

impl From<Doubt> for Failure {
    fn from(doubt: Doubt) -> Self {
        Self::Doubt(doubt)
    }
}

#[cfg(test)]
mod tests;
