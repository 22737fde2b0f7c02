//! What the API answers when it does not do what was asked: `application/problem+json` with a
//! stable `code`.

use std::fmt;

use actix_web::body::BoxBody;
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, WWW_AUTHENTICATE};
use actix_web::{HttpRequest, HttpResponse, Responder, ResponseError};
use policies::package::InvalidName;
use policies::rules::Complaint;
use serde::{Deserialize, Serialize};

use crate::access::rates::TooOften;
use crate::access::register::RegisterError;
use crate::access::session::ForeignOrigin;
use crate::access::table::Gone;
use crate::metadata::MetadataError;
use crate::rules::ChangeError;

/// RFC 9457, with a code of ours and the single faults of what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Problem {
    /// A URI that names the kind; `about:blank`, because `code` does.
    #[serde(rename = "type")]
    pub(super) kind: Box<str>,
    /// Of the status.
    pub title: Box<str>,
    /// Of the answer.
    pub status: u16,
    /// For a person: what is wrong and what to do.
    pub detail: String,
    /// For a script: stable.
    pub code: String,
    /// What is wrong with the single fields of what was sent.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub faults: Vec<ProblemFault>,
    #[serde(skip)]
    #[schema(ignore)]
    pub(super) headers: Option<Box<Headers>>,
}

/// What the answer says beside its body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Headers {
    /// The methods that the path takes.
    allow: Option<Box<str>>,
    /// Seconds.
    retry_after: Option<u32>,
}

/// One thing that is wrong with what was sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProblemFault {
    /// Which field, or which file and line.
    pub field: String,
    /// What is wrong with it.
    pub message: String,
    /// What to write instead; empty where that is not known.
    pub remedy: String,
}

impl Problem {
    pub fn new(status: StatusCode, code: &str, detail: impl Into<String>) -> Self {
        Self {
            // `about:blank` says that the title is the status's own, and the code says the rest.
            kind: "about:blank".into(),
            title: status.canonical_reason().unwrap_or("Problem").into(),
            status: status.as_u16(),
            detail: detail.into(),
            code: code.to_owned(),
            faults: Vec::new(),
            headers: None,
        }
    }

    pub fn bad_request(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, detail)
    }

    pub fn not_found(code: &str, detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, code, detail)
    }

    /// `allowed` as the header `Allow` has it.
    pub fn wrong_method(allowed: &str) -> Self {
        let detail = format!("this path is there, but not for this method; it takes {allowed}");
        let mut problem = Self::new(StatusCode::METHOD_NOT_ALLOWED, "wrong-method", detail);
        problem.headers =
            Some(Box::new(Headers { allow: Some(allowed.into()), retry_after: None }));
        problem
    }

    pub fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "send a token of this garth as `Authorization: Bearer ...`: one that `garth token create` \
             made, or the admin token, which the server keeps in its data directory, in the file \
             admin-token",
        )
    }

    /// Told only to whoever has it.
    pub fn gone_token(gone: &Gone) -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "token-not-valid", gone.to_string())
    }

    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "missing-right", detail)
    }

    /// It may be tried again after so many seconds.
    pub fn after(mut self, seconds: u32) -> Self {
        self.headers = Some(Box::new(Headers { allow: None, retry_after: Some(seconds) }));
        self
    }

    fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    pub fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status());
        if self.status() == StatusCode::UNAUTHORIZED {
            response.insert_header((WWW_AUTHENTICATE, "Bearer realm=\"garth\""));
        }
        let waits = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS];
        if waits.contains(&self.status()) {
            let seconds = self.headers.as_ref().and_then(|headers| headers.retry_after);
            let seconds = seconds.unwrap_or(5);
            response.insert_header(("retry-after", seconds.to_string()));
        }
        if let Some(allowed) = self.headers.as_ref().and_then(|headers| headers.allow.as_ref()) {
            response.insert_header((ALLOW, &**allowed));
        }
        response
            .insert_header((CACHE_CONTROL, "no-store"))
            .content_type("application/problem+json")
            .body(serde_json::to_vec(self).unwrap_or_default())
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}

impl Responder for Problem {
    type Body = BoxBody;

    fn respond_to(self, _: &HttpRequest) -> HttpResponse {
        self.response()
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status()
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}

impl From<ForeignOrigin> for Problem {
    fn from(fault: ForeignOrigin) -> Self {
        Self::new(StatusCode::FORBIDDEN, "foreign-origin", fault.to_string())
    }
}

impl From<InvalidName> for Problem {
    fn from(error: InvalidName) -> Self {
        Self::bad_request("invalid-package", error.to_string())
    }
}

impl From<MetadataError> for Problem {
    fn from(error: MetadataError) -> Self {
        let (status, code) = match &error {
            MetadataError::Conflict { .. } => (StatusCode::CONFLICT, "changed-meanwhile"),
            MetadataError::Full(_) => (StatusCode::INSUFFICIENT_STORAGE, "store-full"),
            MetadataError::TooLarge { .. } => (StatusCode::PAYLOAD_TOO_LARGE, "too-large"),
            MetadataError::Unavailable(_) => (StatusCode::SERVICE_UNAVAILABLE, "store-unavailable"),
            MetadataError::Damaged { .. } => (StatusCode::SERVICE_UNAVAILABLE, "store-damaged"),
        };
        tracing::error!(%error, code, "the API could not use the metadata store");
        Self::new(status, code, format!("nothing was changed: {error}"))
    }
}

impl From<ChangeError> for Problem {
    fn from(error: ChangeError) -> Self {
        let detail = error.to_string();
        match error {
            ChangeError::Invalid(complaints) => Self {
                faults: complaints.into_iter().map(ProblemFault::from).collect(),
                ..Self::bad_request("invalid-rule", detail)
            },
            ChangeError::NameTaken { .. } => Self::new(StatusCode::CONFLICT, "name-taken", detail),
            ChangeError::MadeByFile { .. } => {
                Self::new(StatusCode::CONFLICT, "made-by-file", detail)
            }
            ChangeError::NoSuchRule(_) => Self::not_found("no-such-rule", detail),
            ChangeError::NotTried(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "rules-unavailable", detail)
            }
            ChangeError::Metadata(error) => error.into(),
        }
    }
}

impl From<TooOften> for Problem {
    fn from(fault: TooOften) -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-often", fault.to_string())
            .after(fault.seconds())
    }
}

impl From<RegisterError> for Problem {
    fn from(error: RegisterError) -> Self {
        let detail = error.to_string();
        match error {
            RegisterError::Invalid { field, message } => Self {
                faults: vec![ProblemFault {
                    field: field.to_owned(),
                    message,
                    remedy: String::new(),
                }],
                ..Self::bad_request("invalid-access", detail)
            },
            RegisterError::NoSuchTeam { .. } => Self::not_found("no-such-team", detail),
            RegisterError::NoSuchToken { .. } => Self::not_found("no-such-token", detail),
            RegisterError::NoSuchUser { .. } => Self::not_found("no-such-user", detail),
            RegisterError::NoSuchRole { .. } => Self::not_found("no-such-role", detail),
            RegisterError::Replayed => Self::new(StatusCode::CONFLICT, "exchanged-already", detail),
            RegisterError::Beyond(_) => Self::forbidden(detail),
            RegisterError::Taken(_) => Self::new(StatusCode::CONFLICT, "taken", detail),
            RegisterError::NoRandomness(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no-randomness", detail)
            }
            RegisterError::Metadata(error) => error.into(),
        }
    }
}

impl From<Complaint> for ProblemFault {
    fn from(complaint: Complaint) -> Self {
        Self {
            field: complaint.field.to_string(),
            message: complaint.message,
            remedy: complaint.remedy,
        }
    }
}
