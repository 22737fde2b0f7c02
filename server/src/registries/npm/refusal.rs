//! Our errors as npm clients read them: a status, and `{"error": …}`, which they print.

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpRequest, HttpResponse};
use serde_json::json;

use super::names::PathError;
use crate::edge::{self, Problem};
use crate::gate::Refused;
use crate::pull::PullError;
use crate::registries::refusal::{
    DECISION_HEADER, decision_header, fault_line, refused_line, retry_after, status_of,
};

#[derive(Debug)]
pub enum Refusal {
    Path(PathError),
    /// 405: npm registries answer this path, but not this method, or garth does not yet.
    Method,
    /// The package is there, and this version or file of it is not.
    NoSuchVersion {
        what: String,
    },
    Refused(Box<Refused>),
    Pull {
        what: String,
        fault: PullError,
    },
    Edge(Problem),
}

impl Refusal {
    pub fn response(&self, req: &HttpRequest) -> HttpResponse {
        match self {
            Self::Path(fault @ PathError::Malformed(_)) => {
                error(StatusCode::BAD_REQUEST, &fault.to_string())
            }
            Self::Path(fault @ PathError::Unknown) => {
                error(StatusCode::NOT_FOUND, &fault.to_string())
            }
            Self::Method => error(
                StatusCode::METHOD_NOT_ALLOWED,
                "this garth serves packages for installing; it does not take this request",
            ),
            Self::NoSuchVersion { what } => {
                error(StatusCode::NOT_FOUND, &format!("{what} is not at the upstream"))
            }
            Self::Refused(refused) => {
                edge::access(req).set_decision(refused.decision.effect);
                let mut response = error(StatusCode::FORBIDDEN, &refused_line(refused));
                response.headers_mut().insert(DECISION_HEADER, decision_header(&refused.decision));
                response
            }
            Self::Pull { what, fault } => {
                let mut response = error(status_of(fault), &fault_line(what, fault));
                if let Some(seconds) = retry_after(fault) {
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                response
            }
            Self::Edge(problem) => problem.response(),
        }
    }
}

fn error(status: StatusCode, text: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": text }))
}
