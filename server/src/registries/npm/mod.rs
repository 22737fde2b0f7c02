//! The npm registry.
//!
//! Specification: the registry API and the package metadata format of npm's documentation, and
//! what npm, pnpm, yarn and bun really send. [`dispatch`] is the table of endpoints; those that
//! send something of a package are behind the gate, those that change something ask for a token.
//!
//! [`names`] makes one identity of a path; [`documents`] filters and rewrites; [`upstream`] knows
//! where to ask; [`closure`] knows what npm would install; [`handlers`] ties them together; [`publish`] takes own packages and what is
//! changed of them; [`refusal`] says no.

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

use self::documents::{NpmDocuments, Packument};
use self::handlers::{account, audit, keys, search};
use self::names::{Endpoint, parse_path};
use self::refusal::Refusal;
use self::upstream::packument_request;
use super::finding::Served;
use super::{Garden, Registry, below_registry, mount_below};
use crate::edge;
use crate::pull::PullError;
use crate::pull::content::Content;
use crate::pull::documents::{DocumentRequest, Documents};

/// `npm stage` prints it.
const NO_STAGE: &str = "this garth keeps no staged packages, and nothing waits for an approval here: \
                        npm publish publishes at once";

pub fn mount(registry: &Arc<Registry>, routes: &mut ServiceConfig) {
    mount_below(registry, routes, async |registry, req, body| {
        let answer = dispatch(registry, req, body).await;
        answer.unwrap_or_else(|refusal| refusal.response(registry, req))
    });
}

impl Served for NpmDocuments {
    fn documents(garden: &Garden) -> &Arc<Documents<Self>> {
        &garden.npm_documents
    }

    fn request(package: &Package) -> DocumentRequest {
        packument_request(package)
    }
}

/// What is held of a package, without asking any upstream.
async fn held(
    registry: &Registry,
    package: &Package,
    version: &Version,
) -> Result<Option<Arc<Content<Packument>>>, PullError> {
    let request = packument_request(package);
    registry.garden.npm_documents.held(registry.source_of(package), &request, version).await
}

/// What of that is stated of a version.
pub async fn stated(
    registry: &Registry,
    package: &Package,
    version: &Version,
) -> Result<Option<Stated>, PullError> {
    let content = held(registry, package, version).await?;
    Ok(content.and_then(|content| Some(content.parsed.entry(version)?.stated.clone())))
}

/// A HEAD comes here as a GET.
async fn dispatch(
    registry: &Arc<Registry>,
    req: &HttpRequest,
    body: web::Payload,
) -> Result<HttpResponse, Refusal> {
    let path = below_registry(registry, req).ok_or(Refusal::Path(names::PathError::Unknown))?;
    let endpoint = parse_path(path).map_err(Refusal::Path)?;
    if endpoint == Endpoint::Logout {
        // The path holds the token itself.
        edge::access(req).show_path(format!("/{}/-/user/token/…", registry.name));
    }
    let asking = account::admit_caller(registry, req, &endpoint)?;
    match (req.method().as_str(), endpoint) {
        ("GET", Endpoint::Packument(package)) => {
            handlers::packument(registry, req, package, asking).await
        }
        ("GET", Endpoint::Manifest(package, selector)) => {
            handlers::manifest(registry, req, package, &selector, asking).await
        }
        ("GET", Endpoint::Tarball(package, file)) => {
            handlers::tarball(registry, req, package, &file, asking).await
        }
        ("GET", Endpoint::Tags(package)) => handlers::tags(registry, req, package, asking).await,
        ("GET", Endpoint::Search) => search::search(registry, req, asking).await,
        ("GET", Endpoint::Ping) => Ok(handlers::ping()),
        ("GET", Endpoint::Reason(status)) => Ok(refusal::reason(status)),
        ("GET", Endpoint::Keys) => keys::keys(registry, req).await,
        ("GET", Endpoint::Attestations(package, version)) => {
            keys::attestations(registry, req, package, version, asking).await
        }
        ("POST", Endpoint::AuditBulk) => audit::bulk(registry, req, body).await,
        ("POST", Endpoint::AuditTree { quick }) => audit::tree(registry, req, body, quick).await,
        ("GET", Endpoint::WhoAmI) => account::whoami(registry, req),
        ("PUT", Endpoint::LegacyLogin(name)) => account::login(registry, req, body, &name).await,
        ("GET", Endpoint::LegacyLogin(_)) => Err(account::owner()),
        ("POST", Endpoint::WebLogin) => Err(account::web_login()),
        ("DELETE", Endpoint::Logout) => account::logout(registry, req).await,
        ("GET" | "POST" | "PUT" | "DELETE", Endpoint::Profile | Endpoint::Tokens) => {
            Err(account::own_page())
        }
        ("GET" | "POST" | "DELETE", Endpoint::Stage) => Err(Refusal::NotOffered(NO_STAGE)),
        ("PUT", Endpoint::Packument(package)) => publish::put(registry, req, body, package).await,
        ("PUT", Endpoint::Revision(package, revision)) => {
            publish::put_revision(registry, req, body, package, revision).await
        }
        ("DELETE", Endpoint::Revision(package, revision)) => {
            publish::remove_package(registry, req, package, revision).await
        }
        ("DELETE", Endpoint::TarballRevision(package, file, _)) => {
            publish::remove_tarball(registry, req, package, &file).await
        }
        ("PUT" | "POST", Endpoint::Tag(package, tag)) => {
            publish::set_tag(registry, req, body, package, &tag).await
        }
        ("DELETE", Endpoint::Tag(package, tag)) => {
            publish::remove_tag(registry, req, package, &tag).await
        }
        _ => Err(Refusal::Method),
    }
}
