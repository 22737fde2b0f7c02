//! The table, mounted: nothing is behind a base but what it has.

use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue, VARY};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpMessage as _, web};

use super::describe::JSON;
use super::{Endpoint, Needs, Once, table};
use crate::access::login::Origin;
use crate::access::rates::Doing;
use crate::access::{Caller, Person};
use crate::api::form::version::{self, Form};
use crate::api::form::{etag, once};
use crate::api::problem::Problem;
use crate::api::{Api, MAX_BODY};
use crate::config::Anonymous;

/// What a path that is not there takes: whoever has no token does not learn that it is not.
const UNKNOWN: Needs = Needs::Token;

/// Mounts every endpoint of the table below `base`.
pub fn mount(base: &'static str) -> actix_web::Scope {
    mount_all(base, table())
}

fn mount_all(base: &'static str, endpoints: &'static [Endpoint]) -> actix_web::Scope {
    let mut scope = web::scope(base).app_data(web::PayloadConfig::new(MAX_BODY));
    for endpoints in endpoints.chunk_by(|one, other| one.path == other.path) {
        let mut resource = web::resource(endpoints[0].path);
        for endpoint in endpoints {
            let asked = Asked { base, needs: endpoint.needs, endpoint: Some(endpoint) };
            resource = resource.route(guarded((endpoint.mount)(), asked));
        }
        let asked = Asked { base, needs: least(endpoints), endpoint: None };
        let allowed = allowed(endpoints);
        let wrong_method = move || std::future::ready(Problem::wrong_method(&allowed));
        scope = scope.service(resource.default_service(guarded(web::to(wrong_method), asked)));
    }
    let asked = Asked { base, needs: UNKNOWN, endpoint: None };
    scope.default_service(guarded(web::to(no_such_path), asked))
}

/// What was asked for; no endpoint where there is none.
#[derive(Clone, Copy)]
struct Asked {
    base: &'static str,
    needs: Needs,
    endpoint: Option<&'static Endpoint>,
}

/// Nobody reaches the route without what it needs.
fn guarded(route: actix_web::Route, asked: Asked) -> actix_web::Route {
    route.wrap(from_fn(move |request, next| admit(asked, request, next)))
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
    asked: Asked,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let person = match person_of(asked.needs, &request) {
        Ok(person) => person,
        Err(problem) => return Ok(request.into_response(problem.response())),
    };
    if asked.needs == Needs::Nothing {
        return next.call(request).await;
    }
    if let Some(person) = &person {
        request.extensions_mut().insert(Arc::clone(person));
    }
    let mut response = match asked.endpoint {
        Some(endpoint) => answer(asked.base, endpoint, person, request, next).await?,
        None => next.call(request).await?,
    };
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// In the form that is asked for, and only if it is still what the client saw.
async fn answer(
    base: &str,
    endpoint: &Endpoint,
    person: Option<Arc<Person>>,
    request: ServiceRequest,
    next: Next<BoxBody>,
) -> Result<ServiceResponse<BoxBody>, actix_web::Error> {
    let form = version::negotiate(request.headers(), Form::usual(base), &endpoint.others);
    let Some(form) = form else {
        let problem = Problem::new(StatusCode::NOT_ACCEPTABLE, "not-acceptable", version::told());
        return Ok(request.into_response(problem.response()));
    };
    let Some(api) = request.app_data::<web::Data<Api>>().cloned() else {
        return Ok(request.into_response(Problem::unauthorized().response()));
    };
    let is_change = endpoint.method != Method::GET;
    // Whoever looks at a tag before a change is alone with it.
    let _turn = match endpoint.tag_of {
        Some(_) => Some(api.once.turn().await),
        None => None,
    };
    if is_change && etag::is_conditional(request.headers()) {
        let tag = endpoint.tag_of.and_then(|tag_of| tag_of(&api, request.request()));
        if !tag.is_some_and(|tag| etag::matches(request.headers(), &tag)) {
            let detail =
                "what is there is not what If-Match names, or has no tag; nothing was changed";
            let problem = Problem::new(StatusCode::PRECONDITION_FAILED, "changed-since", detail);
            return Ok(request.into_response(problem.response()));
        }
    }
    let response = match (endpoint.once, person) {
        (Some(once), Some(person)) => {
            once::run(&api, &person, once == Once::Secret, request, next).await?
        }
        _ => next.call(request).await?,
    };
    let (request, response) = response.into_parts();
    let is_json = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == JSON);
    let mut response =
        if is_json { etag::tag(request.method(), request.headers(), response) } else { response };
    let headers = response.headers_mut();
    if is_json {
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(form.content_type()));
    }
    headers.append(VARY, HeaderValue::from_static("accept"));
    if let Some(deprecated) = endpoint.deprecated {
        deprecated.tell(headers);
    }
    Ok(ServiceResponse::new(request, response))
}

/// Who asks, whose request is counted; `None` where nobody needs to be known.
fn person_of(needs: Needs, request: &ServiceRequest) -> Result<Option<Arc<Person>>, Problem> {
    let Some(api) = request.app_data::<web::Data<Api>>() else {
        return Err(Problem::unauthorized());
    };
    // Where nobody has to be known it counts from where they ask.
    let (caller, by_session) = match needs {
        Needs::Nothing => (Caller::Anonymous, None),
        _ => api.access.caller_or_session(request.headers()),
    };
    let peer = request.peer_addr().map(|peer| peer.ip());
    let doing = if request.method() == Method::GET { Doing::Asks } else { Doing::Changes };
    api.access.count(&caller, &Origin { peer, headers: request.headers() }, doing)?;
    if needs == Needs::Nothing {
        return Ok(None);
    }
    if let Some(sessions) = by_session {
        sessions.check(request.method(), request.headers())?;
    }
    let person = match caller {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use actix_web::{App, HttpResponse, test};

    use super::super::get;
    use super::*;
    use crate::api::form::version::Deprecated;
    use crate::api::tests::{GOOD, api};

    #[actix_web::test]
    async fn an_endpoint_that_is_deprecated_says_so_to_all_who_use_it() {
        let (_home, api) = api().await;
        let deprecated = Deprecated {
            since: "2030-01-01T00:00:00Z".parse().unwrap(),
            sunset: None,
            instead: "/api/docs#list_rules",
        };
        let handler = async || HttpResponse::Ok().json(());
        let old = get("old", "/old", Needs::Token, "Old", handler).deprecated(deprecated);
        let endpoints: &'static [Endpoint] = vec![old].leak();
        assert!(
            serde_json::to_string(&endpoints[0].item("/api"))
                .unwrap()
                .contains("\"deprecated\":true")
        );
        let app = App::new().app_data(web::Data::new(api)).service(mount_all("/api", endpoints));
        let app = test::init_service(app).await;
        let request =
            test::TestRequest::with_uri("/api/old").insert_header(("authorization", GOOD));
        let response = test::call_service(&app, request.to_request()).await;
        assert_eq!(response.headers().get("deprecation").unwrap(), "@1893456000");
        assert!(!response.headers().contains_key("sunset"));
    }
}
