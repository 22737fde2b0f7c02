//! The table, mounted: nothing is behind a base but what it has.

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpMessage as _, web};

use super::{Endpoint, Needs, table};
use crate::access::{Caller, Person};
use crate::api::problem::Problem;
use crate::api::{Api, MAX_BODY};
use crate::config::Anonymous;

/// What a path that is not there takes: whoever has no token does not learn that it is not.
const UNKNOWN: Needs = Needs::Token;

/// Mounts every endpoint of the table below `base`.
pub fn mount(base: &'static str) -> actix_web::Scope {
    let mut scope = web::scope(base).app_data(web::PayloadConfig::new(MAX_BODY));
    for endpoints in table().chunk_by(|one, other| one.path == other.path) {
        let mut resource = web::resource(endpoints[0].path);
        for endpoint in endpoints {
            resource = resource.route(guarded((endpoint.mount)(), endpoint.needs));
        }
        let (allowed, needs) = (allowed(endpoints), least(endpoints));
        let wrong_method = move || std::future::ready(Problem::wrong_method(&allowed));
        scope = scope.service(resource.default_service(guarded(web::to(wrong_method), needs)));
    }
    scope.default_service(guarded(web::to(no_such_path), UNKNOWN))
}

/// Nobody reaches the route without what it needs.
fn guarded(route: actix_web::Route, needs: Needs) -> actix_web::Route {
    route.wrap(from_fn(move |request, next| admit(needs, request, next)))
}

/// Of a path of which one method is open to all, everybody may know which there are.
fn least(endpoints: &[Endpoint]) -> Needs {
    let is_open = endpoints.iter().any(|endpoint| endpoint.needs == Needs::Nothing);
    if is_open { Needs::Nothing } else { UNKNOWN }
}

/// As `Allow` has them. Whatever answers GET answers HEAD.
fn allowed(endpoints: &[Endpoint]) -> String {
    let mut methods: Vec<&str> = Vec::new();
    for endpoint in endpoints {
        methods.push(endpoint.method.as_str());
        if endpoint.method == Method::GET {
            methods.push(Method::HEAD.as_str());
        }
    }
    methods.join(", ")
}

/// Lets through who has what it takes; everybody else gets one answer, whatever they sent.
async fn admit(
    needs: Needs,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    if needs != Needs::Nothing {
        match person_of(needs, &request) {
            Ok(Some(person)) => {
                request.extensions_mut().insert(person);
            }
            Ok(None) => {}
            Err(problem) => return Ok(request.into_response(problem.response())),
        }
    }
    let mut response = next.call(request).await?;
    if needs != Needs::Nothing {
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

/// Who asks; `None` where nobody needs to be known.
fn person_of(needs: Needs, request: &ServiceRequest) -> Result<Option<Arc<Person>>, Problem> {
    let Some(api) = request.app_data::<web::Data<Api>>() else {
        return Err(Problem::unauthorized());
    };
    let person = match api.access.caller(request.headers()) {
        Caller::Known(person) => person,
        Caller::Anonymous if needs == Needs::ReadOrNobody && api.anonymous == Anonymous::Read => {
            return Ok(None);
        }
        Caller::Invalid(Some(gone)) => return Err(Problem::gone_token(&gone)),
        Caller::Anonymous | Caller::Unknown | Caller::Invalid(None) => {
            return Err(Problem::unauthorized());
        }
    };
    needs.check(&person).map_err(Problem::forbidden)?;
    Ok(Some(person))
}

async fn no_such_path() -> Problem {
    let mut paths: Vec<&str> = table().iter().map(|endpoint| endpoint.path).collect();
    paths.dedup();
    let detail = format!("the API has {}; openapi.json says what they are", paths.join(", "));
    Problem::not_found("no-such-path", detail)
}
