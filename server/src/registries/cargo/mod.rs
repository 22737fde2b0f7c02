//! A crates registry, as cargo's sparse protocol has it.
//!
//! Specification: the chapters "Registry Index" and "Registry Web API" of the Cargo book, and what
//! cargo really sends. [`dispatch`] is the table of endpoints; those that send something of a crate
//! are behind the gate, those that change something ask for a token.
//!
//! [`names`] makes one identity of a path; [`documents`] filters index files line by line;
//! [`upstream`] knows where to ask; [`handlers`] ties them together; [`publish`] takes own crates and
//! what is changed of them; [`closure`] works out what a crate needs; [`refusal`] says no.
//!
//! A crate of which no version is allowed is listed all the same, with every line that its upstream
//! has. cargo resolves for all platforms and features before it downloads what a build needs: a
//! crate that is missing in the index ends every resolution that it has a part in, and one that is
//! only not to be had ends the builds that need it, with the reason, which cargo prints. What is
//! downloaded is decided at the download.

pub mod closure;
pub mod documents;
mod handlers;
pub mod names;
pub mod publish;
mod refusal;
mod upstream;

use std::sync::Arc;

use actix_web::web::{self, ServiceConfig};
use actix_web::{HttpRequest, HttpResponse};
use policies::facts::Stated;
use policies::package::{Package, Version};

use self::documents::CargoDocuments;
use self::names::{Endpoint, PathError, parse_path};
use self::publish::Yanking;
use self::refusal::Refusal;
use self::upstream::index_request;
use super::callers::{Sought, admit_caller};
use super::finding::Served;
use super::{Garden, Registry, below_registry, mount_below};
use crate::pull::PullError;
use crate::pull::documents::{DocumentRequest, Documents};

pub fn mount(registry: &Arc<Registry>, routes: &mut ServiceConfig) {
    mount_below(registry, routes, async |registry, req, body| {
        let answer = dispatch(registry, req, body).await;
        answer.unwrap_or_else(|refusal| refusal.response(registry, req))
    });
}

impl Served for CargoDocuments {
    fn documents(garden: &Garden) -> &Arc<Documents<Self>> {
        &garden.cargo_documents
    }

    fn request(package: &Package) -> DocumentRequest {
        index_request(package)
    }
}

/// What the index that is held says of a version, without asking any upstream.
pub async fn stated(
    registry: &Registry,
    package: &Package,
    version: &Version,
) -> Result<Option<Stated>, PullError> {
    let (source, request) = (registry.source_of(package), index_request(package));
    let content = registry.garden.cargo_documents.held(source, &request, version).await?;
    Ok(content.and_then(|content| Some(content.parsed.entry(version)?.stated.clone())))
}

/// A HEAD comes here as a GET.
async fn dispatch(
    registry: &Arc<Registry>,
    req: &HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Refusal> {
    let path = below_registry(registry, req).ok_or(Refusal::Path(PathError::Unknown))?;
    let endpoint = parse_path(path).map_err(Refusal::Path)?;
    let is_open = endpoint == Endpoint::Me;
    let sought = Sought { package: endpoint.package(), is_open, is_counted: true };
    let asking = admit_caller(registry, req, sought)?;
    match (req.method().as_str(), endpoint) {
        ("GET", Endpoint::Config) => handlers::config(registry, req),
        ("GET", Endpoint::Index(package)) => handlers::index(registry, req, package, asking).await,
        ("GET", Endpoint::Download(package, version) | Endpoint::File(package, version)) => {
            handlers::download(registry, req, package, version, asking).await
        }
        ("GET", Endpoint::Me) => Ok(handlers::me()),
        ("GET", Endpoint::Search) => handlers::search(registry, req, asking).await,
        ("PUT", Endpoint::Publish) => publish::publish(registry, req, body, &asking).await,
        ("DELETE", Endpoint::Yank(package, version)) => {
            publish::set_yanked(registry, req, package, version, Yanking::Yank).await
        }
        ("PUT", Endpoint::Unyank(package, version)) => {
            publish::set_yanked(registry, req, package, version, Yanking::Undo).await
        }
        ("GET", Endpoint::Owners(package)) => publish::list_owners(registry, req, package).await,
        ("PUT", Endpoint::Owners(package)) => {
            publish::add_owners(registry, req, body, package).await
        }
        ("DELETE", Endpoint::Owners(package)) => {
            publish::remove_owners(registry, req, body, package).await
        }
        ("GET" | "PUT" | "DELETE", Endpoint::Api) => Err(Refusal::NotOffered(
            "this garth has no such thing: crates are published, yanked, owned and searched for here",
        )),
        _ => Err(Refusal::Method),
    }
}
