//! `/login` and `/me`: who somebody is, by a name and a password, and until when.

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::rules::json_body;
use super::table::{Endpoint, Needs, delete, get, post};
use super::tokens::CreatedView;
use super::{Api, By};
use crate::access::attempts::Wait;
use crate::access::login::{LoginError, Origin, login_failed};
use crate::access::passwords::PasswordError;
use crate::access::rights::Rights;

/// A name, a password and a team.
const MAX_LOGIN: usize = 4096;

pub fn endpoints() -> Vec<Endpoint> {
    vec![
        post("log_in", "/login", Needs::Nothing, "Logs somebody in", log_in)
            .note("Whatever is wrong with it is answered alike, and takes as long.")
            .takes::<LoginRequest>("Who it is.")
            .answers::<CreatedView>(201, "A token for some hours, with its secret.")
            .problems(&["wrong-login", "too-many-logins", "too-large", "invalid-access", "taken"])
            .problems(&["no-such-user", "no-such-team", "no-randomness", "not-hashed"]),
        delete("log_out", "/login", Needs::Token, "Ends the login by which it is asked", log_out)
            .answers_nothing("It lets nobody in any more.")
            .problem("no-login"),
        post("end_session", "/logout", Needs::Token, "The same, as a page can ask it", log_out)
            .answers_nothing("It lets nobody in any more, and the browser forgets its session.")
            .problem("no-login"),
        get("show_me", "/me", Needs::Token, "Who asks, and what they may", me)
            .answers::<MeView>(200, "Who asks."),
    ]
}

/// Who wants to be known.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Login)]
pub struct LoginRequest {
    /// By which they are known.
    pub name: String,
    /// Theirs.
    pub password: String,
    /// Left out: the first one of theirs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Me)]
pub struct MeView {
    /// Who, or which service.
    pub name: String,
    /// The name of the token; none is the first admin token.
    pub token: Option<String>,
    /// `unit/team`
    pub team: Option<String>,
    /// What was given to the token.
    pub rights: Rights,
    /// What whoever it is for may, where they are known here: it bounds the token.
    pub within: Option<Rights>,
    /// The end of the secret that was sent.
    pub expires: Option<Timestamp>,
}

pub async fn log_in(
    api: web::Data<Api>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    if body.as_ref().is_ok_and(|body| body.len() > MAX_LOGIN) {
        let detail = format!("a login is at most {MAX_LOGIN} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail));
    }
    let LoginRequest { name, password, team } = json_body(&request, body, "the login")?;
    let created = api.access.log_in(&name, &password, team.as_deref(), &Origin::of(&request)).await;
    let created = created.inspect_err(|fault| api.often.note(login_failed(&name, fault)))?;
    let made = CreatedView::new(&created, api.clock.now());
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(made))
}

/// Ends the login by which this is asked.
pub async fn log_out(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let ended = match by.token.as_deref() {
        Some(token) => api.access.register().end(&by, token).await?,
        None => None,
    };
    if ended.is_some() {
        let mut response = HttpResponse::NoContent();
        let sessions = api.access.providers().sessions();
        if let Some(sessions) = sessions.filter(|all| all.token(request.headers()).is_some()) {
            response.insert_header((SET_COOKIE, sessions.clear()));
        }
        return Ok(response.finish());
    }
    let detail = "this token came of no login: garth token revoke ends it";
    Err(Problem::new(StatusCode::CONFLICT, "no-login", detail))
}

pub async fn me(by: By) -> web::Json<MeView> {
    web::Json(MeView {
        name: by.name.to_string(),
        token: by.token.as_deref().map(str::to_owned),
        team: by.team.as_deref().map(str::to_owned),
        rights: by.rights.clone(),
        within: by.ceiling.clone(),
        expires: by.expires,
    })
}

impl From<LoginError> for Problem {
    fn from(fault: LoginError) -> Self {
        match fault {
            LoginError::Wrong => {
                Self::new(StatusCode::UNAUTHORIZED, "wrong-login", LoginError::Wrong.to_string())
            }
            LoginError::Wait(Wait(wait)) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-logins", fault.to_string())
                    .after(u32::try_from(wait.as_secs().max(1)).unwrap_or(u32::MAX))
            }
            LoginError::Gone(gone) => Self::gone_token(&gone),
            LoginError::Password(fault) => fault.into(),
            LoginError::Register(fault) => fault.into(),
        }
    }
}

impl From<PasswordError> for Problem {
    fn from(fault: PasswordError) -> Self {
        let detail = fault.to_string();
        match fault {
            PasswordError::Busy => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-logins", detail)
            }
            PasswordError::NoRandomness(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no-randomness", detail)
            }
            PasswordError::Failed => {
                tracing::error!("a password could not be hashed");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "not-hashed", detail)
            }
        }
    }
}
