//! What somebody asks for, from the words that they wrote. Pure.

use policies::package::{Ecosystem, InvalidName, Package, Spelling};
use policies::rules::MAX_REASON;
use policies::versions::{InvalidRange, Parsed, Range, exactly};

use crate::metadata::MetadataError;
use crate::observability::escape::is_deceptive;
use crate::registries::closure::ClosureError;

/// By what the caller answers.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error(transparent)]
    Package(#[from] InvalidName),
    #[error("{0}")]
    Range(String),
    #[error("the reason {0}: write one line of plain text of at most {MAX_REASON} bytes")]
    Reason(&'static str),
    /// There is nothing to ask for.
    #[error("{0} is allowed already: {1}")]
    Allowed(String, String),
    #[error("{0}")]
    TooMany(&'static str),
    /// Nobody would know what they approve.
    #[error("{0} is not asked for, since not all that it needs is known: {1}")]
    Incomplete(String, String),
    #[error(transparent)]
    Closure(#[from] ClosureError),
    #[error(transparent)]
    Metadata(#[from] MetadataError),
}

impl From<InvalidRange> for AskError {
    fn from(fault: InvalidRange) -> Self {
        Self::Range(fault.to_string())
    }
}

/// The package, and the range of what stands behind its name: one version means only that one.
pub(super) fn read_wish(text: &str) -> Result<(Package, Option<String>), AskError> {
    let spelling = Spelling::parse(text)?;
    let package = Package::new(spelling.ecosystem, &spelling.name)?;
    let versions =
        spelling.version.map(|text| read_range(spelling.ecosystem, &text)).transpose()?;
    Ok((package, versions))
}

pub(super) fn read_range(ecosystem: Ecosystem, text: &str) -> Result<String, InvalidRange> {
    let text = text.trim();
    let range = match Parsed::new(ecosystem, text) {
        Some(_) => exactly(ecosystem, text),
        None => text.to_owned(),
    };
    Range::parse(ecosystem, &range)?;
    Ok(range)
}

/// One line that misleads nobody; nothing but blanks is nothing.
pub(super) fn read_reason(text: Option<&str>) -> Result<Option<String>, AskError> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    if text.len() > MAX_REASON {
        return Err(AskError::Reason("is too long"));
    }
    if text.chars().any(|c| c.is_control() || is_deceptive(c)) {
        return Err(AskError::Reason("has a control or direction character in it"));
    }
    Ok(Some(text.to_owned()))
}
