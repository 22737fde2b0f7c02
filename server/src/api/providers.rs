//! `/login/providers`: people log in at a provider, by a browser, and come back. `/login/code` and `/logout`
//! go with it.

mod page;

use actix_web::http::StatusCode;
use actix_web::http::header::{CACHE_CONTROL, LOCATION, REFERRER_POLICY, SET_COOKIE};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::Api;
use super::problem::Problem;
use super::rules::{json_body, query};
use super::table::{Endpoint, Needs, get, post};
use super::tokens::CreatedView;
use crate::access::provider::{Answer, BEGUN_LIFE, Entered, ProviderError, Then};
use crate::audit::{Action, Entry};

/// Where somebody goes who does not say where to.
const USUAL_PAGE: &str = "/api/docs";
const LONGEST_PATH: usize = 500;
/// A challenge is so long (RFC 7636), and a team at most.
const CHALLENGE: usize = 43;
const LONGEST_TEAM: usize = 200;
/// Ports below belong to the system.
const FIRST_PORT: u16 = 1024;
const MAX_BODY: usize = 8 * 1024;

pub fn endpoints() -> Vec<Endpoint> {
    let nothing = Needs::Nothing;
    let named =
        |endpoint: Endpoint| {
            endpoint
                .part::<String>("name", "The provider's name, as garth.toml has it.")
                .problems(&["no-such-provider", "provider-unavailable", "no-randomness"])
        };
    vec![
        get("list_providers", "/login/providers", nothing, "Where people can log in", list)
            .answers::<ProviderList>(200, "By name; none where there are passwords alone."),
        named(get(
            "begin_login",
            "/login/providers/{name}",
            nothing,
            "Sends a browser to a provider to log in",
            begin,
        ))
        .note("For a browser to open, or for a person to whom a command shows it.")
        .query::<BeginQuery>()
        .redirects(302, "To the provider."),
        named(get(
            "end_login",
            "/login/providers/{name}/callback",
            nothing,
            "The way back from a provider",
            callback,
        ))
        .note("Its address is the redirect URI that is registered at the provider.")
        .query::<CallbackQuery>()
        .redirects(
            303,
            "To the page that was wanted, with a session, or to the command that waits.",
        )
        .problems(&["login-not-begun", "login-not-taken", "login-refused", "not-meant"])
        .problems(&["invalid-access", "no-such-team", "no-such-user", "taken"]),
        post("redeem_login", "/login/code", nothing, "The login of a command that waited", redeem)
            .takes::<CodeRequest>("What the browser handed over, and what the command has kept.")
            .answers::<CreatedView>(201, "A token for some hours, with its secret.")
            .problems(&[
                "login-not-taken",
                "invalid-access",
                "no-such-team",
                "no-such-user",
                "taken",
            ])
            .problem("no-randomness"),
    ]
}

/// Where people can log in.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
pub struct ProviderList {
    /// By name.
    pub providers: Vec<ProviderView>,
}

/// One of them.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Provider)]
pub struct ProviderView {
    /// As garth.toml has it.
    pub name: String,
    /// What a browser opens to log in there.
    pub url: String,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct BeginQuery {
    /// A path of this garth where the browser goes afterwards.
    return_to: Option<String>,
    /// Where a command on the same machine listens, in place of a session in the browser.
    #[param(value_type = Option<i32>)]
    port: Option<u16>,
    /// With `port`: the S256 challenge of what the command keeps.
    challenge: Option<String>,
    /// With `port`: the team as one of which it asks.
    team: Option<String>,
}

/// What a provider writes; what else it adds is left alone.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
pub struct CallbackQuery {
    /// The provider's code.
    code: Option<String>,
    /// What garth gave the browser to come back with.
    state: Option<String>,
    /// Who the provider is (RFC 9207).
    iss: Option<String>,
    /// In place of a code.
    error: Option<String>,
}

/// What a command has of a login that it waited for.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = LoginCode)]
pub struct CodeRequest {
    /// Handed over by the browser.
    pub code: String,
    /// Of which the challenge was.
    pub verifier: String,
}

pub async fn list(api: web::Data<Api>) -> web::Json<ProviderList> {
    let providers = api.access.providers().list().into_iter();
    let providers = providers.map(|(name, url)| ProviderView { name, url }).collect();
    web::Json(ProviderList { providers })
}

pub async fn begin(
    api: web::Data<Api>,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let then = then(query(&request)?)?;
    let providers = api.access.providers();
    let beginning = match providers.begin(&name, then).await {
        Ok(beginning) => beginning,
        Err(fault) => return Ok(page::answer(&request, &fault.into())),
    };
    let mut response = elsewhere(StatusCode::FOUND, beginning.location.as_str());
    if let Some(sessions) = providers.sessions() {
        response.insert_header((SET_COOKIE, sessions.set_begun(&beginning.sealed, BEGUN_LIFE)));
    }
    Ok(response.finish())
}

fn then(query: BeginQuery) -> Result<Then, Problem> {
    let invalid = |why: &str| Problem::bad_request("invalid-query", why);
    let BeginQuery { return_to, port, challenge, team } = query;
    match (port, challenge, return_to) {
        (None, None, path) => {
            let path = path.unwrap_or_else(|| USUAL_PAGE.to_owned());
            if !is_path(&path) || team.is_some() {
                return Err(invalid("return_to: write a path of this garth, like /api/docs"));
            }
            Ok(Then::Page(path))
        }
        (Some(port), Some(challenge), None) => {
            let is_challenge = challenge.len() == CHALLENGE
                && challenge
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            if port < FIRST_PORT
                || !is_challenge
                || team.as_ref().is_some_and(|team| team.len() > LONGEST_TEAM)
            {
                return Err(invalid("port and challenge are what garth login --browser writes"));
            }
            Ok(Then::Command { port, challenge, team })
        }
        _ => Err(invalid("either return_to, or port and challenge")),
    }
}

/// On this very host, whatever a browser makes of it.
fn is_path(path: &str) -> bool {
    path.len() <= LONGEST_PATH
        && path.starts_with('/')
        && !path.starts_with("//")
        && path.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
}

pub async fn callback(
    api: web::Data<Api>,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let CallbackQuery { code, state, iss, error } = query(&request)?;
    let answer = Answer { code, state, issuer: iss, error };
    let providers = api.access.providers();
    let Some(sessions) = providers.sessions() else {
        return Err(ProviderError::NoSuchProvider(name.into_inner()).into());
    };
    let kept = sessions.begun(request.headers());
    let entered = api.access.enter(&name, kept, &answer, api.clock.now()).await;
    let entered = match entered {
        Ok(entered) => entered,
        Err(fault) => {
            api.often.note(failed(&name, &fault));
            return Ok(page::answer(&request, &fault.into()));
        }
    };
    let mut response = match &entered {
        Entered::Session { created, path } => {
            let life = created.token.record.expires;
            let life = life.map(|end| end.duration_since(api.clock.now()));
            let life = life.unwrap_or(SignedDuration::ZERO);
            let mut response = elsewhere(StatusCode::SEE_OTHER, &providers.address(path));
            response.append_header((SET_COOKIE, sessions.set(created.secret.reveal(), life)));
            response
        }
        Entered::Command { port, code } => {
            elsewhere(StatusCode::SEE_OTHER, &format!("http://127.0.0.1:{port}/?code={code}"))
        }
    };
    Ok(response.append_header((SET_COOKIE, sessions.clear_begun())).finish())
}

/// What leads on has secrets in its address, or came of one that had.
fn elsewhere(status: StatusCode, location: &str) -> actix_web::HttpResponseBuilder {
    let mut response = HttpResponse::build(status);
    response.insert_header((LOCATION, location)).insert_header((CACHE_CONTROL, "no-store"));
    response.insert_header((REFERRER_POLICY, "no-referrer"));
    response
}

pub async fn redeem(
    api: web::Data<Api>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    if body.as_ref().is_ok_and(|body| body.len() > MAX_BODY) {
        let detail = format!("what is handed over is at most {MAX_BODY} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail));
    }
    let CodeRequest { code, verifier } = json_body(&request, body, "the code")?;
    let created = api.access.redeem(&code, &verifier, api.clock.now()).await;
    let created = created.inspect_err(|fault| api.often.note(failed("code", fault)))?;
    let made = CreatedView::new(&created, api.clock.now());
    Ok(HttpResponse::Created().insert_header((CACHE_CONTROL, "no-store")).json(made))
}

/// What the audit log is told of somebody who was not let in.
fn failed(provider: &str, fault: &ProviderError) -> Entry {
    let provider = format!("provider {provider}");
    Entry::new(Action::LoginFailed).detail("by", &provider).why(Some(&fault.to_string()))
}

impl From<ProviderError> for Problem {
    fn from(fault: ProviderError) -> Self {
        let detail = fault.to_string();
        match fault {
            ProviderError::NoSuchProvider(_) => Self::not_found("no-such-provider", detail),
            ProviderError::NotBegun => Self::bad_request("login-not-begun", detail),
            ProviderError::NotTaken => {
                Self::new(StatusCode::UNAUTHORIZED, "login-not-taken", detail)
            }
            ProviderError::Refused { .. } => {
                Self::new(StatusCode::FORBIDDEN, "login-refused", detail)
            }
            ProviderError::NotMeant(_) => Self::new(StatusCode::FORBIDDEN, "not-meant", detail),
            ProviderError::Unavailable(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "provider-unavailable", detail)
            }
            ProviderError::NoRandomness(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no-randomness", detail)
            }
            ProviderError::Login(fault) => fault.into(),
        }
    }
}
