//! Our errors as cargo shows them.
//!
//! cargo prints the body of an answer that is no success, as text and up to 512 bytes of it; of its
//! web API it prints the `errors` in the body. In its index 404 means that there is no such crate, of
//! which the body is not shown, and everything else but 401 ends what it does. 429 and 500 and above
//! are asked again some times first.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse};
use policies::package::PackageVersion;
use serde_json::json;

use super::names::PathError;
use crate::edge::Problem;
use crate::gate::Refused;
use crate::pull::{PullError, Source};
use crate::registries::callers::CallerFault;
use crate::registries::finding::NotHad;
use crate::registries::refusal::{
    DECISION_HEADER, decision_header, fault_line, invalid_token, left_out_line, retry_after,
    status_of, tell_refused, unknown,
};
use crate::registries::{Registry, below_registry};
use crate::requests::Wanted;

const TOKEN_NEEDED: &str = "this garth serves nothing without a token of its own: cargo login \
                            --registry NAME takes one, which garth token create makes";
const LOGIN_NEEDED: &str = "this needs a token of this garth: cargo login --registry NAME takes one, \
                            which garth token create makes";

/// Bytes of a text that cargo shows.
const SHOWN: usize = 512;

#[derive(Debug)]
pub enum Refusal {
    Path(PathError),
    /// 405: crates registries answer this path, but not by this method.
    Method,
    Caller(CallerFault),
    /// 401: whoever changes something has to be known.
    Nobody,
    /// Of own crates, in these words.
    Own(StatusCode, String),
    /// 404: crates registries may have this, and this one does not.
    NotOffered(&'static str),
    /// 404: the crate, or this version of it, is not where it would come from.
    Unknown {
        what: String,
        source: Arc<Source>,
    },
    /// 404: the upstream has this version, and what it says of it is not passed on.
    LeftOut {
        what: String,
        why: String,
    },
    /// 403: the rules do not let it through.
    Refused {
        refused: Box<Refused>,
        wanted: Wanted,
    },
    Pull {
        what: String,
        fault: PullError,
    },
    Edge(Problem),
}

impl From<NotHad> for Refusal {
    fn from(NotHad { what, source, fault }: NotHad) -> Self {
        pull_refusal(what, &source, fault)
    }
}

impl From<CallerFault> for Refusal {
    fn from(fault: CallerFault) -> Self {
        Self::Caller(fault)
    }
}

pub fn pull_refusal(what: String, source: &Arc<Source>, fault: PullError) -> Refusal {
    match fault {
        PullError::Absent => Refusal::Unknown { what, source: Arc::clone(source) },
        fault => Refusal::Pull { what, fault },
    }
}

impl Refusal {
    /// 400, in these words.
    pub fn malformed(line: String) -> Self {
        Self::Own(StatusCode::BAD_REQUEST, line)
    }

    /// Of this version, which was asked for.
    pub fn of_version(refused: Box<Refused>) -> Self {
        let PackageVersion { package, version } = refused.subject.clone();
        Self::Refused { refused, wanted: Wanted { package, version: Some(version) } }
    }

    pub fn response(&self, registry: &Registry, req: &HttpRequest) -> HttpResponse {
        if let Self::Edge(problem) = self {
            return problem.response();
        }
        let (status, line) = self.told(registry, req);
        let mut response = if is_of_api(registry, req) {
            HttpResponse::build(status).json(json!({ "errors": [{ "detail": line }] }))
        } else {
            HttpResponse::build(status).content_type("text/plain; charset=utf-8").body(line)
        };
        let headers = response.headers_mut();
        // It hangs on who asks.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        match self {
            Self::Refused { refused, .. } => {
                headers.insert(DECISION_HEADER, decision_header(&refused.decision));
            }
            Self::Nobody
            | Self::Caller(CallerFault::TokenNeeded | CallerFault::InvalidToken(_)) => {
                if let Some(challenge) = challenge(registry, req) {
                    headers.insert(WWW_AUTHENTICATE, challenge);
                }
            }
            Self::Caller(CallerFault::TooOften(fault)) => {
                headers.insert(RETRY_AFTER, fault.seconds().into());
            }
            Self::Pull { fault, .. } => {
                if let Some(seconds) = retry_after(fault) {
                    headers.insert(RETRY_AFTER, seconds.into());
                }
            }
            _ => {}
        }
        response
    }

    fn told(&self, registry: &Registry, req: &HttpRequest) -> (StatusCode, String) {
        match self {
            Self::Path(fault @ PathError::Malformed(_)) => {
                (StatusCode::BAD_REQUEST, fault.to_string())
            }
            Self::Path(fault @ PathError::Unknown) => (StatusCode::NOT_FOUND, fault.to_string()),
            Self::Method => {
                let line = "a crates registry does not take this method at this path";
                (StatusCode::METHOD_NOT_ALLOWED, line.to_owned())
            }
            Self::Nobody => (StatusCode::UNAUTHORIZED, LOGIN_NEEDED.to_owned()),
            Self::Own(status, line) => (*status, line.clone()),
            Self::Caller(CallerFault::TokenNeeded) => {
                (StatusCode::UNAUTHORIZED, TOKEN_NEEDED.to_owned())
            }
            Self::Caller(CallerFault::InvalidToken(gone)) => {
                let why = invalid_token(gone.as_ref());
                let line =
                    format!("{why}. Give cargo another one, with cargo login --registry NAME");
                (StatusCode::UNAUTHORIZED, line)
            }
            Self::Caller(CallerFault::TooOften(fault)) => {
                (StatusCode::TOO_MANY_REQUESTS, fault.to_string())
            }
            Self::Caller(CallerFault::Lacks { line, .. }) => (StatusCode::FORBIDDEN, line.clone()),
            Self::NotOffered(text) => (StatusCode::NOT_FOUND, (*text).to_owned()),
            Self::Unknown { what, source } => {
                (StatusCode::NOT_FOUND, format!("{what} is {}", unknown(registry, source)))
            }
            Self::LeftOut { what, why } => (StatusCode::NOT_FOUND, left_out_line(what, why)),
            Self::Refused { refused, wanted } => {
                let line = tell_refused(registry, req, refused, wanted);
                (StatusCode::FORBIDDEN, shown(line, &refused.decision.reason))
            }
            Self::Pull { what, fault } => (status_of(fault), fault_line(what, fault)),
            Self::Edge(_) => (StatusCode::INTERNAL_SERVER_ERROR, String::new()),
        }
    }
}

/// What to do stands behind the reason, so the reason is cut where cargo would cut both.
fn shown(line: String, reason: &str) -> String {
    let over = line.len().saturating_sub(SHOWN);
    let cut = over + "…".len();
    // Where it is short, something else is long.
    if over == 0 || reason.len() <= cut {
        return line;
    }
    let kept = &reason[..reason.floor_char_boundary(reason.len() - cut)];
    line.replacen(&format!(": {reason}"), &format!(": {kept}…"), 1)
}

/// Of the web API alone cargo reads errors; a download is text to it.
fn is_of_api(registry: &Registry, req: &HttpRequest) -> bool {
    let path = below_registry(registry, req).unwrap_or_default();
    path.trim_start_matches('/').starts_with("api/") && !path.ends_with("/download")
}

/// cargo names the address in it to whoever has no token.
fn challenge(registry: &Registry, req: &HttpRequest) -> Option<HeaderValue> {
    let base = registry.base_url(req).ok()?;
    HeaderValue::from_str(&format!("Cargo login_url=\"{base}/me\"")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_reason_leaves_room_for_what_to_do() {
        let line = |reason: &str| {
            let why = format!("cargo:a@1.0.0 is denied by the rule r: {reason}");
            format!(
                "{why}. See: garth why cargo:a@1.0.0. To ask for it: garth request cargo:a@1.0.0"
            )
        };
        for reason in ["", "short", &"r".repeat(300)] {
            assert_eq!(shown(line(reason), reason), line(reason));
        }
        let rejected = format!("cargo:no@1.0.0 is denied by the rule r: no. {}", "x".repeat(600));
        assert_eq!(shown(rejected.clone(), "no"), rejected, "it is not the reason that is long");
        for reason in ["r".repeat(500), "é".repeat(250), "€".repeat(166)] {
            let shown = shown(line(&reason), &reason);
            assert!(shown.len() <= SHOWN && shown.len() > SHOWN - 6, "{}: {shown}", shown.len());
            assert!(shown.ends_with("garth request cargo:a@1.0.0") && shown.contains("…. See:"));
        }
    }
}
