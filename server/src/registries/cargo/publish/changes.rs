//! `cargo yank`: a version that new lockfiles do not take, and that old ones still find.

use actix_web::{HttpRequest, HttpResponse};
use policies::package::{Package, Version};
use serde_json::json;

use super::super::refusal::Refusal;
use super::document::{ChangeFault, OwnIndex};
use super::{change_refusal, own_target};
use crate::audit::Action;
use crate::pull::own::{Edit, OwnState, Target, Told};
use crate::registries::{Registry, own};

/// What becomes of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Yanking {
    Yank,
    Undo,
}

pub async fn set_yanked(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
    version: Version,
    yanking: Yanking,
) -> Result<HttpResponse, Refusal> {
    let person = own::known_publisher(registry, req, &package)?;
    let target = own_target(registry, req, &package)?;
    let (of, to) = (version.clone(), yanking == Yanking::Yank);
    change(registry, target, version.to_string(), move |index| {
        let is_changed = index.yank(&of, to)?;
        let text = if to { None } else { Some("no longer yanked".to_owned()) };
        let told = Told { action: Action::Yanked, versions: vec![of.to_string()], text };
        Ok(is_changed.then_some(told))
    })
    .await?;
    tracing::info!(registry = %registry.name, %package, %version, yanked = to, by = %person.name, "yank changed");
    Ok(HttpResponse::Ok().json(json!({ "ok": true })))
}

/// Makes one change of an own index file that is there, and tells of it if there is one.
pub(super) async fn change(
    registry: &Registry,
    target: Target,
    version: String,
    edit: impl Fn(&mut OwnIndex) -> Result<Option<Told>, ChangeFault> + Send + Sync + 'static,
) -> Result<(), Refusal> {
    let package = target.package.clone();
    let make = move |state: &OwnState| {
        let fault = |fault| change_refusal(&package, &version, fault);
        let Some(document) = &state.document else {
            return Err(fault(ChangeFault::NoSuchCrate));
        };
        let mut index = OwnIndex::parse(Some(document)).map_err(fault)?;
        let told = edit(&mut index).map_err(fault)?.into_iter().collect();
        let document = index.to_bytes().map_err(fault)?;
        Ok(Edit { document, published: Vec::new(), unpublished: Vec::new(), told })
    };
    let garden = &registry.garden;
    garden.cargo_documents.change_own(&garden.artifacts, target, Vec::new(), make).await
}
