//! `/tokens/exchange`: a pipeline's own signed token becomes one of garth (RFC 8693).

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use actix_web::{HttpRequest, HttpResponse, web};
use serde::{Deserialize, Serialize};
use url::form_urlencoded;

use super::Api;
use super::problem::Problem;
use super::rules::json_body;
use super::table::{Endpoint, Needs, post};
use super::tokens::TokenView;
use crate::access::identity::ExchangeError;
use crate::audit::{Action, Entry};

/// A signed token has some KiB.
const MAX_BODY: usize = 32 * 1024;
const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

pub fn endpoints() -> Vec<Endpoint> {
    let summary = "A token for a pipeline's own signed one";
    vec![
        post("exchange_token", "/tokens/exchange", Needs::Nothing, summary, exchange)
            .note("The form of RFC 8693 is taken, too. What proves nothing is answered alike.")
            .takes::<ExchangeRequest>("What is exchanged.")
            .answers::<ExchangedView>(200, "The token, which is never shown again.")
            .problems(&["token-not-taken", "not-meant", "issuer-unavailable", "invalid-exchange"])
            .problems(&["too-large", "no-such-team", "taken", "no-randomness"]),
    ]
}

/// As JSON; the form of RFC 8693 says the same.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Exchange)]
pub struct ExchangeRequest {
    /// The pipeline's own token, a signed JWT.
    pub token: String,
    /// As which identity of garth.toml, where several would do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity: Option<String>,
}

/// As RFC 8693 has it, and what garth says of the token.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Exchanged)]
pub struct ExchangedView {
    /// Shown once.
    pub access_token: String,
    /// An access token.
    pub issued_token_type: String,
    /// `Bearer`
    pub token_type: String,
    /// Seconds.
    pub expires_in: i64,
    /// As which identity of garth.toml.
    pub identity: String,
    pub token: TokenView,
}

pub async fn exchange(
    api: web::Data<Api>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    if body.as_ref().is_ok_and(|body| body.len() > MAX_BODY) {
        let detail = format!("an exchange is at most {MAX_BODY} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail));
    }
    let kind = request.headers().get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let is_form =
        kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("application/x-www-form-"));
    let ExchangeRequest { token, identity } = match body {
        Ok(body) if is_form => read_form(&body)?,
        body => json_body(&request, body, "the exchange")?,
    };
    let (now, access) = (api.clock.now(), &api.access);
    let exchanged = access.exchange(token.trim(), identity.as_deref(), now).await;
    let exchanged = exchanged.inspect_err(|fault| {
        let entry = Entry::new(Action::LoginFailed).detail("by", &"exchange");
        api.often.note(entry.why(Some(&fault.to_string())));
    })?;
    let created = &exchanged.created;
    let life = created.token.record.expires.map(|end| end.duration_since(now).as_secs());
    let mut response = HttpResponse::Ok();
    response.insert_header((CACHE_CONTROL, "no-store"));
    Ok(response.json(ExchangedView {
        access_token: created.secret.reveal().to_owned(),
        issued_token_type: ACCESS_TOKEN.to_owned(),
        token_type: "Bearer".to_owned(),
        expires_in: life.unwrap_or_default(),
        identity: exchanged.identity,
        token: TokenView::new(&created.token, None, now),
    }))
}

fn read_form(body: &[u8]) -> Result<ExchangeRequest, Problem> {
    let mut request = ExchangeRequest { token: String::new(), identity: None };
    for (name, value) in form_urlencoded::parse(body) {
        match (&*name, &*value) {
            ("grant_type", GRANT)
            | ("subject_token_type", JWT | ID_TOKEN)
            | ("requested_token_type", ACCESS_TOKEN) => {}
            ("grant_type" | "subject_token_type" | "requested_token_type", _) => {
                let detail = format!("{name} is none that is known here: {GRANT} of {JWT}");
                return Err(Problem::bad_request("invalid-exchange", detail));
            }
            ("subject_token", token) => token.clone_into(&mut request.token),
            ("identity", name) => request.identity = Some(name.to_owned()),
            // What else a client says of whom it asks for is decided by garth.toml.
            _ => {}
        }
    }
    Ok(request)
}

impl From<ExchangeError> for Problem {
    fn from(fault: ExchangeError) -> Self {
        let detail = fault.to_string();
        match fault {
            ExchangeError::NotTaken => {
                Self::new(StatusCode::UNAUTHORIZED, "token-not-taken", detail)
            }
            ExchangeError::NotMeant(_) => Self::new(StatusCode::FORBIDDEN, "not-meant", detail),
            ExchangeError::NoKeys(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "issuer-unavailable", detail)
            }
            ExchangeError::Register(fault) => fault.into(),
        }
    }
}
