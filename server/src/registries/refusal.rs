//! What a refusal says, whichever format carries it: one line with the reason and what to do.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use policies::decision::{Decision, DecisionCode, Effect};

use crate::blobs::BlobError;
use crate::gate::Refused;
use crate::metadata::MetadataError;
use crate::pull::PullError;

pub const DECISION_HEADER: HeaderName = HeaderName::from_static("garth-decision");

/// Why this version is not served, and what to do about it.
pub fn refused_line(refused: &Refused) -> String {
    let Refused { subject, decision } = refused;
    let (package, reason) = (&subject.package, &decision.reason);
    let rule = decision.rule.as_deref().unwrap_or_default();
    match (decision.code, decision.effect) {
        (DecisionCode::NoRuleAllows, _) => format!(
            "{subject} is not allowed: {reason}. Whoever runs this garth allows it with: garth allow {package}"
        ),
        (DecisionCode::RulesUnavailable, _) => {
            format!("{subject} is refused because garth can not read its rules: {reason}")
        }
        (_, Effect::Hold) => {
            format!("{subject} is on hold by the rule {rule}: {reason}. See: garth why {subject}")
        }
        _ => format!("{subject} is denied by the rule {rule}: {reason}. See: garth why {subject}"),
    }
}

/// `deny; rule="no-left-pad"; revision="0123456789abcdef"`
pub fn decision_header(decision: &Decision) -> HeaderValue {
    let rule =
        decision.rule.as_deref().map(|rule| format!("; rule=\"{rule}\"")).unwrap_or_default();
    let text = format!("{}{rule}; revision=\"{}\"", decision.effect, decision.revision.as_str());
    HeaderValue::from_str(&text).unwrap_or_else(|_| HeaderValue::from_static("deny"))
}

/// Absent, refused, failed upstream and failed here are different answers.
pub fn status_of(fault: &PullError) -> StatusCode {
    match fault {
        PullError::Absent => StatusCode::NOT_FOUND,
        PullError::RateLimited { .. } => StatusCode::TOO_MANY_REQUESTS,
        PullError::Unavailable { .. }
        | PullError::Broken { .. }
        | PullError::Contradicts { .. }
        // What we store is made of what the upstream said.
        | PullError::Metadata(MetadataError::TooLarge { .. }) => StatusCode::BAD_GATEWAY,
        PullError::TimedOut { .. } => StatusCode::GATEWAY_TIMEOUT,
        PullError::Blobs(BlobError::Full(_)) | PullError::Metadata(MetadataError::Full(_)) => {
            StatusCode::INSUFFICIENT_STORAGE
        }
        PullError::Blobs(_)
        | PullError::Metadata(_)
        | PullError::Crowded { .. }
        | PullError::Busy => StatusCode::SERVICE_UNAVAILABLE,
        PullError::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What the client reads of a fault. What failed inside of garth is in its log, and stays there.
pub fn fault_line(what: &str, fault: &PullError) -> String {
    match fault {
        PullError::Absent => format!("{what} is not at the upstream"),
        PullError::Blobs(BlobError::Full(_)) | PullError::Metadata(MetadataError::Full(_)) => {
            format!(
                "{what} can not be fetched: the disk of this garth is full. What it holds is served"
            )
        }
        PullError::Metadata(fault @ MetadataError::TooLarge { .. }) => {
            format!("{what} can not be served: its upstream says more of it than is kept: {fault}")
        }
        PullError::Blobs(_) | PullError::Metadata(_) => {
            format!("{what} can not be served now: the store of this garth fails; its log says why")
        }
        other => format!("{what} can not be served: {other}"),
    }
}

/// When to come again, in whole seconds.
pub fn retry_after(fault: &PullError) -> Option<u64> {
    match fault {
        PullError::RateLimited { retry_after, .. } => {
            Some(retry_after.unwrap_or(Duration::from_secs(30)).as_secs().max(1))
        }
        PullError::Crowded { .. } | PullError::Busy => Some(5),
        _ => None,
    }
}
