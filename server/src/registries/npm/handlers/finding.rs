//! How npm is told that there is none of it.

use std::sync::Arc;

use super::super::refusal::Refusal;
use super::Npm;
use crate::pull::content::Content;
use crate::pull::{PullError, Source};

pub fn pull_refusal(what: String, source: &Arc<Source>, fault: PullError) -> Refusal {
    match fault {
        PullError::Absent => unknown(what, source),
        fault => Refusal::Pull { what, fault },
    }
}

/// Of a version that is not offered: one that is there all the same is not called unknown.
pub fn missing(
    content: &Content<Npm>,
    version_or_tag: &str,
    unknown: impl FnOnce() -> Refusal,
) -> Refusal {
    let packument = &content.parsed;
    packument.left_out(version_or_tag).map_or_else(unknown, |left_out| Refusal::LeftOut {
        what: format!("{}@{}", packument.package, left_out.version),
        why: left_out.why.clone(),
    })
}

pub fn unknown(what: String, source: &Arc<Source>) -> Refusal {
    Refusal::Unknown { what, source: Arc::clone(source) }
}
