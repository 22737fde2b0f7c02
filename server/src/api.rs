//! The admin API: JSON under `/api/v1`, and under `/api` for the newest version.
//!
//! Every route behind [`routes`] asks for the token first; what a path means is decided
//! after that, so that nobody without the token learns which paths there are. Handlers are thin:
//! they read, call [`Rules`] or [`policies`], and answer JSON or a [`problem`].

pub mod advisories;
pub mod decisions;
pub mod forget;
pub mod problem;
pub mod rules;
pub mod seen;

use std::sync::Arc;

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{CACHE_CONTROL, HeaderValue};
use actix_web::middleware::{Next, from_fn};
use actix_web::{HttpResponse, web};

use crate::access::{Access, Caller};
use crate::advisories::Advisories;
use crate::clock::Clock;
use crate::config::Mode;
use crate::registries::Registry;
use crate::rules::Rules;
use policies::package::Ecosystem;
use problem::Problem;
use seen::Memory;

/// The largest body that is read.
pub const MAX_BODY: usize = 2 * 1024 * 1024;

/// What the handlers work with; mounted as `web::Data`.
#[derive(Clone, Debug)]
pub struct Api {
    pub rules: Rules,
    pub advisories: Advisories,
    pub access: Access,
    pub memory: Memory,
    pub registries: Arc<[(Ecosystem, Arc<Registry>)]>,
    pub clock: Clock,
    pub mode: Mode,
}

const BASES: [&str; 2] = ["/api/v1", "/api"];
const IMPORT: &str = "/advisories/import";

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
                        .default_service(web::to(wrong_method)),
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
                .service(
                    web::resource("/forget")
                        .post(forget::forget)
                        .default_service(web::to(wrong_method)),
                )
                .default_service(web::to(no_such_path)),
        );
    }
}

/// Lets through who has the token; everybody else gets one answer, whatever they sent.
async fn admit(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let admitted = request
        .app_data::<web::Data<Api>>()
        .is_some_and(|api| matches!(api.access.caller(request.headers()), Caller::Known(_)));
    if !admitted {
        return Ok(request.into_response(Problem::unauthorized().response()).map_into_right_body());
    }
    let mut response = next.call(request).await?;
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response.map_into_left_body())
}

async fn no_such_path() -> HttpResponse {
    const DETAIL: &str = "the API has /rules, /rules/{name}, /decisions, /forget, /advisories, \
                          /advisories/status, /advisories/import and /advisories/{id}";
    Problem::not_found("no-such-path", DETAIL).response()
}

async fn wrong_method() -> HttpResponse {
    Problem::wrong_method().response()
}

#[cfg(test)]
mod tests;
