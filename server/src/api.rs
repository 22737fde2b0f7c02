//! The admin API: JSON under `/api/v1`, and under `/api` for the newest version.
//!
//! Every route behind [`routes`] asks for a token and its rights first; what a path means is decided
//! after that, so that nobody without a token learns which paths there are. Handlers are thin:
//! they read, call [`Rules`] or [`policies`], and answer JSON or a [`problem`].

pub mod advisories;
pub mod closures;
pub mod decisions;
pub mod events;
pub mod forget;
pub mod log;
pub mod problem;
pub mod recorded;
pub mod requests;
pub mod roles;
pub mod rules;
pub mod seen;
pub mod teams;
pub mod tokens;
pub mod trials;

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpMessage as _, HttpResponse, web};

use crate::access::rights::{Place, Right};
use crate::access::{Access, Caller, Person};
use crate::advisories::Advisories;
use crate::audit::Log;
use crate::clock::Clock;
use crate::closures::Closures;
use crate::config::{Anonymous, Mode};
use crate::recorded::Recorder;
use crate::registries::Registry;
use crate::requests::Requests;
use crate::rules::Rules;
use crate::rules::revisions::Revisions;
use policies::package::Ecosystem;
use problem::Problem;
use seen::Memory;
use url::Url;

/// The largest body that is read.
pub const MAX_BODY: usize = 2 * 1024 * 1024;

/// What the handlers work with; mounted as `web::Data`.
#[derive(Clone, Debug)]
pub struct Api {
    pub rules: Rules,
    pub advisories: Advisories,
    pub requests: Requests,
    pub access: Access,
    pub memory: Memory,
    pub recorder: Recorder,
    pub revisions: Revisions,
    pub log: Log,
    pub registries: Arc<[(Ecosystem, Arc<Registry>)]>,
    pub closures: Closures,
    pub clock: Clock,
    pub mode: Mode,
    pub public_url: Option<Url>,
    pub anonymous: Anonymous,
}

const BASES: [&str; 2] = ["/api/v1", "/api"];
/// Who asks, as the middleware found it.
pub type By = web::ReqData<Arc<Person>>;

const IMPORT: &str = "/advisories/import";
const BACKTEST: &str = "/policy/backtest";
const DIFF: &str = "/policy/diff";

/// Whether policies are sent to this path.
pub fn takes_policies(path: &str) -> bool {
    let rest = BASES.iter().find_map(|base| path.strip_prefix(base));
    rest.is_some_and(|rest| rest == BACKTEST || rest == DIFF)
}

/// Whether large bodies are taken at this path.
pub fn takes_import(path: &str) -> bool {
    BASES.iter().any(|base| path.strip_prefix(base) == Some(IMPORT))
}

/// Mounts the API. `web::Data<Api>` must be there.
pub fn routes(cfg: &mut web::ServiceConfig) {
    for base in BASES {
        cfg.service(
            web::scope(base)
                .wrap(from_fn(admit))
                .app_data(web::PayloadConfig::new(MAX_BODY))
                .service(
                    web::resource("/rules")
                        .get(rules::list)
                        .post(rules::create)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource("/rules/{name}")
                        .get(rules::show)
                        .delete(rules::remove)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource("/decisions")
                        .get(decisions::show)
                        .post(closures::decide)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource("/closures")
                        .post(closures::closure)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource("/observed")
                        .get(recorded::observed)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource(BACKTEST)
                        .post(trials::backtest)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource(DIFF).post(trials::diff).default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource("/advisories")
                        .get(advisories::list)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource("/advisories/status")
                        .get(advisories::status)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource(IMPORT)
                        .post(advisories::import)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource("/advisories/{id}")
                        .get(advisories::show)
                        .default_service(web::to(wrong_method)),
                )
                .configure(requests::routes)
                .configure(log::routes)
                .configure(events::routes)
                .service(
                    web::resource("/tokens")
                        .get(tokens::list)
                        .post(tokens::create)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource("/tokens/{name}")
                        .delete(tokens::revoke)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource("/tokens/{name}/rotate")
                        .post(tokens::rotate)
                        .default_service(web::to(wrong_method)),
                )
                .configure(roles::routes)
                .service(
                    web::resource("/teams")
                        .get(teams::list)
                        .post(teams::create)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource("/teams/{unit}/{team}")
                        .delete(teams::remove)
                        .default_service(web::to(wrong_method)),
                )
                .service(
                    web::resource("/forget")
                        .post(forget::forget)
                        .default_service(web::to(wrong_method)),
                )
                .default_service(web::to(no_such_path)),
        );
    }
}

/// What a request needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Needed {
    /// The right, for everything.
    Whole(Right),
    /// The right, for something: the handler looks whether it is for what is asked.
    Some(Right),
    /// A token.
    Token,
}

impl Needed {
    fn check(self, person: &Person) -> Result<(), String> {
        match self {
            Self::Some(right) if person.may_somewhere(right) => Ok(()),
            Self::Whole(right) | Self::Some(right) => person.check(right, &Place::default()),
            Self::Token => Ok(()),
        }
    }
}

/// What a request needs, by what it asks for: to look takes the right to read, to change something
/// the right to administer. What is an exception is written here; one that is spelt otherwise than
/// here needs more, and never less.
fn needed(method: &Method, path: &str) -> Needed {
    let path = BASES.iter().find_map(|base| path.strip_prefix(base)).unwrap_or(path);
    let is_own = |rest: &str| {
        let name = rest.strip_suffix("/rotate").unwrap_or(rest);
        !name.is_empty() && !name.contains('/')
    };
    let is_comment = |path: &str| {
        let number =
            path.strip_prefix("/requests/").and_then(|rest| rest.strip_suffix("/comments"));
        number.is_some_and(|number| !number.contains('/'))
    };
    match *method {
        // Of the tokens everybody sees their own.
        Method::GET | Method::HEAD if path == "/tokens" => Needed::Token,
        Method::GET | Method::HEAD if path == "/decisions" => Needed::Some(Right::Read),
        Method::GET | Method::HEAD => Needed::Whole(Right::Read),
        // A token may rotate and revoke itself: the register looks whose it is.
        Method::POST | Method::DELETE if path.strip_prefix("/tokens/").is_some_and(is_own) => {
            Needed::Token
        }
        Method::POST if path == "/requests" || is_comment(path) => Needed::Some(Right::Read),
        Method::POST if matches!(path, "/requests/approve" | "/requests/reject") => {
            Needed::Some(Right::Approve)
        }
        Method::POST if matches!(path, "/rules" | "/forget") => Needed::Some(Right::Administer),
        Method::DELETE if path.starts_with("/rules/") => Needed::Some(Right::Administer),
        _ => Needed::Whole(Right::Administer),
    }
}

/// Lets through who has a token with the right that it takes; everybody else gets one answer,
/// whatever they sent.
async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let open_to_all = |api: &Api| {
        api.anonymous == Anonymous::Read
            && requests::is_open_to_all(request.method(), request.path())
    };
    let api = request.app_data::<web::Data<Api>>();
    let caller = api.map_or(Caller::Anonymous, |api| api.access.caller(request.headers()));
    let person = match caller {
        Caller::Known(person) => Some(person),
        Caller::Anonymous if api.is_some_and(|api| open_to_all(api)) => None,
        Caller::Invalid(Some(gone)) => {
            let problem = Problem::gone_token(&gone);
            return Ok(request.into_response(problem.response()).map_into_right_body());
        }
        Caller::Anonymous | Caller::Unknown | Caller::Invalid(None) => {
            let problem = Problem::unauthorized();
            return Ok(request.into_response(problem.response()).map_into_right_body());
        }
    };
    let needed = needed(request.method(), request.path());
    if let Some(Err(lacks)) = person.as_ref().map(|person| needed.check(person)) {
        let problem = Problem::forbidden(lacks);
        return Ok(request.into_response(problem.response()).map_into_right_body());
    }
    if let Some(person) = person {
        request.extensions_mut().insert(person);
    }
    let mut response = next.call(request).await?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response.map_into_left_body())
}

async fn no_such_path() -> HttpResponse {
    const DETAIL: &str = "the API has /rules, /rules/{name}, /decisions, /observed, \
                          /policy/backtest, /policy/diff, /closures, /forget, \
                          /advisories, /advisories/status, /advisories/import, \
                          /advisories/{id}, /requests, /requests/{number}, \
                          /requests/{number}/comments, /requests/approve, /requests/reject, \
                          /tokens, /tokens/{name}, /tokens/{name}/rotate, /roles, /roles/{name}, \
                          /teams, /teams/{unit}/{team}, /log, \
                          /log/checkpoint, /log/proofs/inclusion, /log/proofs/consistency \
                          and /events";
    Problem::not_found("no-such-path", DETAIL).response()
}

async fn wrong_method() -> HttpResponse {
    Problem::wrong_method().response()
}

#[cfg(test)]
mod tests;
