//! Our errors as npm clients read them: a status, and `{"error": …}`, which some of them print;
//! [`shown`] is for the others.

mod shown;

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse};
use jiff::Timestamp;
use policies::package::{Ecosystem, Package, PackageVersion};
use serde_json::json;

use super::handlers::finding::pull_refusal;
use super::names::PathError;
use crate::access::attempts::Wait;
use crate::access::rates::TooOften;
use crate::access::rights::Right;
use crate::access::table::Gone;
use crate::edge::Problem;
use crate::gate::Refused;
use crate::pull::{PullError, Source};
use crate::registries::Registry;
use crate::registries::callers::CallerFault;
use crate::registries::finding::NotHad;
use crate::registries::refusal::{
    DECISION_HEADER, decision_header, fault_line, fault_status, invalid_token, left_out_line,
    refused_line, refused_status, retry_after, status_of, tell_refused, unknown,
};
use crate::requests::Wanted;

const NO_AUDIT: &str = "nothing was audited";
const TOKEN_NEEDED: &str = "this garth serves nothing without a token of its own: log in with npm login, \
                            any name and the token as the password";
const TOO_OFTEN: &str = "too many requests at once: try again in a moment";
const NOT_PUBLISHED: &str = "not published here";

#[derive(Debug)]
pub enum Refusal {
    Path(PathError),
    /// 405: npm registries answer this path, but not by this method.
    Method,
    /// 401: this changes something, and whoever asks is not known.
    Unauthorized {
        sent_credentials: bool,
    },
    /// 403: the token is known, and may not do this.
    Lacks {
        right: Right,
        line: String,
    },
    /// 401: nothing is served here without a token.
    TokenNeeded,
    /// 401: what was sent as a token of ours is none, or none any more.
    InvalidToken(Option<Gone>),
    /// 401: the password of a login is none of this name, and no token of ours.
    WrongPassword(Option<Gone>),
    /// 403: passwords are not tried now. With 429 npm would ask again by itself, and wait for it.
    TooManyLogins(Wait),
    /// 429: whoever asks does so too often. npm asks again by itself, later and later.
    TooOften(TooOften),
    /// 404: npm registries may have this, and this one does not.
    NotOffered(&'static str),
    /// 403: nobody can say what is known of these packages. With 404 pnpm would print a text of
    /// its own in place of ours, and with 500 and above ask for a minute before it does.
    NoAudit {
        /// Who does not answer audits, where there is somebody.
        upstream: Option<String>,
    },
    /// 400: what was sent can not be taken, whoever sends it.
    Malformed(String),
    /// 403: not here, by the settings of this registry.
    Forbidden(String),
    /// 409: it is there already, or something is in its place.
    Conflict(String),
    /// 404: it would have to be published here, and is not.
    NotPublished(String),
    /// 404: the package, or this version or file of it, is not where it would come from.
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
    /// An own package is not changed before what was unpublished of it is gone.
    Unfinished {
        package: Box<Package>,
        since: Timestamp,
        fault: Box<PullError>,
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
        match fault {
            CallerFault::TokenNeeded => Self::TokenNeeded,
            CallerFault::InvalidToken(gone) => Self::InvalidToken(gone),
            CallerFault::TooOften(fault) => Self::TooOften(fault),
            CallerFault::Lacks { right, line } => Self::Lacks { right, line },
        }
    }
}

impl Refusal {
    /// Of this version, which was asked for by its name or its file.
    pub fn of_version(refused: Box<Refused>) -> Self {
        let PackageVersion { package, version } = refused.subject.clone();
        Self::Refused { refused, wanted: Wanted { package, version: Some(version) } }
    }

    /// Of a package that was asked for without a version.
    pub fn of_package(refused: Box<Refused>) -> Self {
        let package = refused.subject.package.clone();
        Self::Refused { refused, wanted: Wanted { package, version: None } }
    }

    /// Of an own package: there is nothing to fetch, only to keep and to give.
    pub fn pull(fault: PullError) -> Self {
        Self::Pull { what: "this package".to_owned(), fault }
    }

    pub fn response(&self, registry: &Registry, req: &HttpRequest) -> HttpResponse {
        let response = self.plain(registry);
        match self {
            Self::Refused { refused, wanted } => refusal(registry, req, refused, wanted),
            Self::Unknown { what, source } => {
                let status_text = unknown(registry, source);
                let line = format!("{what} is {status_text}");
                shown::also(response, registry, req, &line, &status_text)
            }
            Self::LeftOut { what, why } => {
                let line = left_out_line(what, why);
                shown::also(response, registry, req, &line, LEFT_OUT)
            }
            Self::Pull { what, fault } => {
                let line = fault_line(what, fault);
                shown::also(response, registry, req, &line, &fault_status(fault))
            }
            Self::Lacks { right, line } => {
                let status_text = format!("this token has not the right {right}");
                shown::also(response, registry, req, line, &status_text)
            }
            Self::TokenNeeded => {
                shown::also(response, registry, req, TOKEN_NEEDED, "this garth needs a token")
            }
            Self::InvalidToken(gone) => {
                let line = invalid_token_line(gone.as_ref());
                shown::also(response, registry, req, &line, "this token is not valid at this garth")
            }
            Self::TooOften(fault) => {
                shown::also(response, registry, req, &fault.to_string(), TOO_OFTEN)
            }
            Self::NoAudit { .. } => shown::also(response, registry, req, NO_AUDIT, NO_AUDIT),
            // The words of a status are kept for good, and the text is another for each package.
            Self::NotPublished(text) => shown::also(response, registry, req, text, NOT_PUBLISHED),
            _ => response,
        }
    }

    /// For a client that reads the body.
    fn plain(&self, registry: &Registry) -> HttpResponse {
        match self {
            Self::Path(fault @ PathError::Malformed(_)) => {
                error(StatusCode::BAD_REQUEST, &fault.to_string())
            }
            Self::Path(fault @ PathError::Unknown) => {
                error(StatusCode::NOT_FOUND, &fault.to_string())
            }
            Self::Method => error(
                StatusCode::METHOD_NOT_ALLOWED,
                "an npm registry does not take this method at this path",
            ),
            Self::Unauthorized { sent_credentials } => unauthorized(if *sent_credentials {
                "this token is not one of this garth: log in again with npm login"
            } else {
                "this needs a token of this garth: log in with npm login"
            }),
            Self::Lacks { line, .. } => error(StatusCode::FORBIDDEN, line),
            Self::TokenNeeded => unauthorized(TOKEN_NEEDED),
            Self::InvalidToken(gone) => unauthorized(&invalid_token_line(gone.as_ref())),
            // Without a challenge: npm prints this text only then.
            Self::WrongPassword(None) => error(
                StatusCode::UNAUTHORIZED,
                "this name and this password do not belong together here. Instead of a password a \
                 token of this garth is taken, under any name: whoever runs it makes one with garth \
                 token create, or finds the admin token in the file admin-token of the data directory",
            ),
            Self::WrongPassword(Some(gone)) => error(
                StatusCode::UNAUTHORIZED,
                &format!("{gone}: log in with another token of this garth as the password"),
            ),
            Self::TooManyLogins(wait) => {
                let mut response = error(StatusCode::FORBIDDEN, &wait.to_string());
                let seconds = wait.0.as_secs().max(1);
                response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
                response
            }
            Self::TooOften(fault) => {
                let mut response = error(StatusCode::TOO_MANY_REQUESTS, &fault.to_string());
                response.headers_mut().insert(RETRY_AFTER, fault.seconds().into());
                response
            }
            Self::NotOffered(text) => error(StatusCode::NOT_FOUND, text),
            Self::NoAudit { upstream } => {
                let why = match upstream {
                    Some(upstream) => format!("the upstream {upstream} does not answer audits"),
                    None => "this registry has no upstream that could be asked".to_owned(),
                };
                error(
                    StatusCode::FORBIDDEN,
                    &format!(
                        "{NO_AUDIT}: {why}, so nothing is known of these packages. That is not \
                         the same as nothing found"
                    ),
                )
            }
            Self::Malformed(text) => error(StatusCode::BAD_REQUEST, text),
            Self::Forbidden(text) => error(StatusCode::FORBIDDEN, text),
            Self::Conflict(text) => error(StatusCode::CONFLICT, text),
            Self::NotPublished(text) => error(StatusCode::NOT_FOUND, text),
            Self::Unknown { what, source } => {
                error(StatusCode::NOT_FOUND, &format!("{what} is {}", unknown(registry, source)))
            }
            Self::LeftOut { what, why } => error(StatusCode::NOT_FOUND, &left_out_line(what, why)),
            Self::Refused { refused, .. } => error(StatusCode::FORBIDDEN, &refused_line(refused)),
            Self::Pull { what, fault } => {
                let mut response = error(status_of(fault), &fault_line(what, fault));
                if let Some(seconds) = retry_after(fault) {
                    response.headers_mut().insert(RETRY_AFTER, seconds.into());
                }
                response
            }
            Self::Unfinished { package, since, fault } => {
                let mut response =
                    error(status_of(fault), &unfinished_line(package, *since, fault));
                response.headers_mut().insert(RETRY_AFTER, UNFINISHED_RETRY.into());
                response
            }
            Self::Edge(problem) => problem.response(),
        }
    }
}

/// By then the upkeep has tried again too.
const UNFINISHED_RETRY: u64 = 60;

fn unfinished_line(package: &Package, since: Timestamp, fault: &PullError) -> String {
    let why = fault_status(fault);
    format!(
        "{package} is not changed yet: what was unpublished of it at {since:.0} is served no more, and has to be gone before anything else is changed, but {why}. garth goes on with it by itself; try it again later"
    )
}

fn refusal(
    registry: &Registry,
    req: &HttpRequest,
    refused: &Refused,
    wanted: &Wanted,
) -> HttpResponse {
    let line = tell_refused(registry, req, refused, wanted);
    let mut response = error(StatusCode::FORBIDDEN, &line);
    response.headers_mut().insert(DECISION_HEADER, decision_header(&refused.decision));
    let status_text = refused_status(&refused.decision, Ecosystem::Npm);
    shown::also(response, registry, req, &line, &status_text)
}

/// The same for every version: what is wrong with one stands in the body.
const LEFT_OUT: &str = "left out here, because what the upstream says of it can not be checked";

/// npm's own way to another token.
fn invalid_token_line(gone: Option<&Gone>) -> String {
    format!("{}. Log in with another one, with npm login", invalid_token(gone))
}

/// npm tells from the challenge that a token, and not a one-time password, is missing.
fn unauthorized(text: &str) -> HttpResponse {
    let mut response = error(StatusCode::UNAUTHORIZED, text);
    let challenge = HeaderValue::from_static("Bearer realm=\"garth\"");
    response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
    response
}

fn error(status: StatusCode, text: &str) -> HttpResponse {
    HttpResponse::build(status).json(json!({ "error": text }))
}

/// What [`shown`] leads to: whoever comes here has read the reason in the address.
pub fn reason(status: u16) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::FORBIDDEN);
    error(status, "the address says why")
}
