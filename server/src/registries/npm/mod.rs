//! The npm registry.
//!
//! Specification: the registry API and the package metadata format of npm's documentation, and
//! what npm, pnpm and yarn really send. Endpoints, all of them behind the gate:
//!
//! | request | endpoint |
//! |---|---|
//! | `GET /{package}` | packument, full or abbreviated by `Accept` |
//! | `GET /{package}/{version or tag}` | one version |
//! | `GET /{package}/-/{file}` | tarball |
//! | `GET /-/ping` | nothing of a package |
//!
//! [`names`] makes one identity of a path; [`documents`] filters and rewrites; [`upstream`] knows
//! where to ask; [`handlers`] ties them together; [`refusal`] says no.

pub mod documents;
mod handlers;
pub mod names;
mod refusal;
mod upstream;

use std::sync::Arc;

use actix_web::http::Method;
use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};

use self::names::{Endpoint, parse_path};
use self::refusal::Refusal;
use super::Registry;
use crate::edge;

/// All paths below the registry's name come to one place, so that one parser sees them as they
/// were sent.
pub fn mount(registry: &Arc<Registry>, routes: &mut ServiceConfig) {
    let registry = Arc::clone(registry);
    routes.default_service(web::to(move |req: HttpRequest| {
        let registry = Arc::clone(&registry);
        async move {
            edge::access(&req).set_registry(Arc::clone(&registry.name));
            match dispatch(&registry, &req).await {
                Ok(response) => response,
                Err(refusal) => refusal.response(&req),
            }
        }
    }));
}

async fn dispatch(registry: &Registry, req: &HttpRequest) -> Result<HttpResponse, Refusal> {
    let path = req.uri().path();
    // Only the plain spelling of the registry's name is one of ours.
    let path = path
        .strip_prefix('/')
        .and_then(|path| path.strip_prefix(registry.name.as_ref()))
        .ok_or(Refusal::Path(names::PathError::Unknown))?;
    let endpoint = parse_path(path).map_err(Refusal::Path)?;
    if req.method() != Method::GET {
        return Err(Refusal::Method);
    }
    match endpoint {
        Endpoint::Ping => Ok(handlers::ping()),
        Endpoint::Packument(package) => handlers::packument(registry, req, package).await,
        Endpoint::Manifest(package, selector) => {
            handlers::manifest(registry, req, package, &selector).await
        }
        Endpoint::Tarball(package, file) => handlers::tarball(registry, req, package, &file).await,
    }
}
