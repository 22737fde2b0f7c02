//! Refusals that the edge makes by itself: one line that a person can act on, and a stable code.

use std::borrow::Cow;
use std::fmt;

use actix_web::body::{BoxBody, MessageBody as _};
use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use actix_web::{HttpResponse, ResponseError};

use super::limits::BodyLimit;

/// Made before any registry is known, so the body is plain text for every client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    message: Cow<'static, str>,
}

const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");
/// The code of a refusal of the edge, for scripts.
pub const PROBLEM_HEADER: HeaderName = HeaderName::from_static("garth-problem");

impl Problem {
    pub fn new(
        status: StatusCode,
        code: &'static str,
        message: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self { status, code, message: message.into() }
    }

    pub fn bad_request(code: &'static str, message: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-such-path",
            "nothing is served at this path; the first part names a registry, for instance /npm/",
        )
    }

    pub fn body_too_large(limit: BodyLimit) -> Self {
        let BodyLimit { bytes, setting } = limit;
        let mut line = format!("the body is larger than the {bytes} bytes that are taken here");
        if let Some(setting) = setting {
            line.extend([", which is ", setting, " in the settings of this garth"]);
        }
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "body-too-large", line)
    }

    pub fn body_too_slow() -> Self {
        Self::new(
            StatusCode::REQUEST_TIMEOUT,
            "body-too-slow",
            "the body of the request came too slowly; send it again",
        )
    }

    pub fn body_broken() -> Self {
        Self::bad_request("body-broken", "the body of the request ended early or was malformed")
    }

    pub fn internal(request_id: &str) -> Self {
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            format!("something failed inside garth; its log has more under request {request_id}"),
        )
    }

    pub fn too_many_streams() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "too-many-streams",
            "too many requests run on this connection; wait for some of them",
        )
    }

    pub fn stopping() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "stopping", "the server is stopping; try again")
    }

    pub fn status(&self) -> StatusCode {
        self.status
    }

    pub fn code(&self) -> &'static str {
        self.code
    }

    pub fn response(&self) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.insert_header(("retry-after", "1"));
        }
        // Of a method that no path has; which of these a path has, is told where they are known.
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            response.insert_header((ALLOW, "DELETE, GET, HEAD, PATCH, POST, PUT"));
        }
        response
            .insert_header((CACHE_CONTROL, "no-store"))
            .insert_header((PROBLEM_HEADER, self.code))
            .content_type("text/plain; charset=utf-8")
            .body(format!("{}\n", self.message))
    }
}

/// The same refusal for clients of the admin API, which read JSON. What no refusal of the edge is stays
/// as it is.
pub fn as_json(response: HttpResponse) -> HttpResponse {
    let code = response.headers().get(PROBLEM_HEADER).and_then(|code| code.to_str().ok());
    let Some(code) = code.map(str::to_owned) else { return response };
    let status = response.status();
    let (mut head, body) = response.into_parts();
    match body.try_into_bytes() {
        Err(body) => head.set_body(body),
        Ok(text) => {
            let json = serde_json::json!({
                "type": "about:blank",
                "title": status.canonical_reason().unwrap_or("Problem"),
                "status": status.as_u16(),
                "detail": String::from_utf8_lossy(&text).trim_end(),
                "code": code,
            });
            head.headers_mut().insert(CONTENT_TYPE, PROBLEM_JSON);
            head.set_body(BoxBody::new(json.to_string()))
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    fn error_response(&self) -> HttpResponse {
        self.response()
    }
}
