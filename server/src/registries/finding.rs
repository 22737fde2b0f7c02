//! What there is of a package, or of one version of it, for all formats; in what words it is told that
//! there is none is the format's business.

use std::sync::Arc;

use actix_web::HttpRequest;
use policies::package::{Package, PackageVersion, Version};

use super::{Garden, Registry};
use crate::edge;
use crate::facts::Remembered;
use crate::pull::content::Content;
use crate::pull::documents::{DocumentRequest, Documents, Found, Known, Need};
use crate::pull::format::DocumentFormat;
use crate::pull::{PullError, Source};

/// A format whose documents the garden holds.
pub trait Served: DocumentFormat {
    fn documents(garden: &Garden) -> &Arc<Documents<Self>>
    where
        Self: Sized;

    /// How an upstream is asked for the document of a package.
    fn request(package: &Package) -> DocumentRequest;
}

/// What could not be had of where it would come from, and why.
#[derive(Debug)]
pub struct NotHad {
    pub what: String,
    pub source: Arc<Source>,
    pub fault: PullError,
}

impl NotHad {
    fn of(package: &Package, source: &Arc<Source>, fault: PullError) -> Self {
        Self { what: package.to_string(), source: Arc::clone(source), fault }
    }
}

pub async fn find_document<F: Served>(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
    need: Need,
) -> Result<Found<F::Parsed>, NotHad> {
    let access = edge::access(req);
    access.set_package(package.clone());
    let (source, documents) = (registry.source_of(package), F::documents(&registry.garden));
    let found = documents.get(source, &F::request(package), need).await;
    let found = found.map_err(|fault| NotHad::of(package, source, fault))?;
    access.set_cache(found.document.outcome);
    Ok(found)
}

/// One version: what is known of it does not need the whole document, and does not age.
pub async fn find_version<F: Served>(
    registry: &Registry,
    req: &HttpRequest,
    package: &Package,
    version: &Version,
) -> Result<(Found<F::Parsed>, Option<Arc<Known>>), NotHad> {
    let access = edge::access(req);
    access.set_package(PackageVersion { package: package.clone(), version: version.clone() });
    let (source, documents) = (registry.source_of(package), F::documents(&registry.garden));
    let found = documents.version(source, &F::request(package), version).await;
    let (found, known) = found.map_err(|fault| NotHad::of(package, source, fault))?;
    access.set_cache(found.document.outcome);
    Ok((found, known))
}

pub async fn find_content<F: Served>(
    registry: &Registry,
    package: &Package,
    found: &Found<F::Parsed>,
) -> Result<Arc<Content<F::Parsed>>, NotHad> {
    let (source, documents) = (registry.source_of(package), F::documents(&registry.garden));
    let content = documents.content(source, &F::request(package), found).await;
    content.map_err(|fault| NotHad::of(package, source, fault))
}

/// What the gate hears of a version whose file is asked for.
pub fn remembered<'k>(registry: &'k Registry, known: &'k Known) -> Remembered<'k> {
    let (record, stated) = (known.remembered.as_ref(), Some(&known.stated));
    Remembered { registry: Some(&registry.name), record, stated }
}
