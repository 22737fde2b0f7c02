//! `cargo owner`: who is named as responsible for a crate.
//!
//! Owners are people, services and teams of this garth. They say whom to ask; what somebody may do is
//! said by rights alone, as with every package: whoever has the right to publish a crate may publish,
//! yank and name owners, and nobody gets that right by being named. Who is named and lacks it is told.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use policies::package::{Digest, Package};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::documents::CargoDocuments;
use super::super::refusal::Refusal;
use super::changes::change;
use super::own_target;
use crate::access::Person;
use crate::audit::Action;
use crate::person::rights::{Place, Right};
use crate::pull::documents::Need;
use crate::pull::own::{Target, Told};
use crate::registries::bodies::short_json;
use crate::registries::finding::{find_content, find_document};
use crate::registries::{Registry, own};

const BODY_AT_MOST: usize = 16 << 10;
const AT_ONCE: usize = 50;

#[derive(Deserialize)]
struct Users {
    users: Vec<String>,
}

pub async fn list_owners(
    registry: &Registry,
    req: &HttpRequest,
    package: Package,
) -> Result<HttpResponse, Refusal> {
    own::known_caller(registry, req)?;
    own_target(registry, req, &package)?;
    let found = find_document::<CargoDocuments>(registry, req, &package, Need::Fresh).await?;
    let content = find_content::<CargoDocuments>(registry, &package, &found).await?;
    // Where an upstream's is held under this name, its owners are none of ours.
    let about = content.parsed.about.as_ref().filter(|_| found.document.is_own());
    let owners = about.iter().flat_map(|about| &about.owners);
    let users: Vec<Value> = owners
        .map(|name| json!({ "id": id(name), "login": name, "name": words(registry, &package, name) }))
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "users": users })))
}

pub async fn add_owners(
    registry: &Registry,
    req: &HttpRequest,
    body: web::Payload,
    package: Package,
) -> Result<HttpResponse, Refusal> {
    let (person, target, names) = asked(registry, req, body, &package).await?;
    for name in &names {
        if Known::find(registry, &package, name).is_none() {
            return Err(Refusal::Own(
                StatusCode::NOT_FOUND,
                format!(
                    "{name:?} is nobody whom this garth knows: an owner is a person, a service that has a token, or a team as unit/team"
                ),
            ));
        }
    }
    let named = names.clone();
    change(registry, target, String::new(), move |index| {
        let added = index.add_owners(&named)?;
        let text = format!("owners added: {}", added.join(", "));
        Ok((!added.is_empty()).then(|| told(text)))
    })
    .await?;
    tracing::info!(registry = %registry.name, %package, owners = names.join(", "), by = %person.name, "owners added");
    let lines: Vec<String> = names
        .iter()
        .map(|name| match words(registry, &package, name) {
            Some(words) => format!("{name} is named as an owner of {package} ({words})"),
            None => format!("{name} is named as an owner of {package}"),
        })
        .collect();
    Ok(HttpResponse::Ok().json(json!({ "ok": true, "msg": lines.join("; ") })))
}

pub async fn remove_owners(
    registry: &Registry,
    req: &HttpRequest,
    body: web::Payload,
    package: Package,
) -> Result<HttpResponse, Refusal> {
    let (person, target, names) = asked(registry, req, body, &package).await?;
    let named = names.clone();
    change(registry, target, String::new(), move |index| {
        index.remove_owners(&named)?;
        Ok(Some(told(format!("owners removed: {}", named.join(", ")))))
    })
    .await?;
    let names = names.join(", ");
    tracing::info!(registry = %registry.name, %package, owners = names, by = %person.name, "owners removed");
    let line = format!("no longer named as an owner of {package}: {names}");
    Ok(HttpResponse::Ok().json(json!({ "ok": true, "msg": line })))
}

/// By whom, of what, and whom it is about.
async fn asked(
    registry: &Registry,
    req: &HttpRequest,
    body: web::Payload,
    package: &Package,
) -> Result<(Arc<Person>, Target, Vec<String>), Refusal> {
    let person = own::known_publisher(registry, req, package)?;
    let target = own_target(registry, req, package)?;
    Ok((person, target, read_names(body).await?))
}

fn told(text: String) -> Told {
    Told { action: Action::OwnersChanged, versions: vec![String::new()], text: Some(text) }
}

async fn read_names(body: web::Payload) -> Result<Vec<String>, Refusal> {
    let unfit = || Refusal::malformed("owners are sent as {\"users\": [\"name\"]}".to_owned());
    let Users { users } = short_json(body, BODY_AT_MOST).await.ok_or_else(unfit)?;
    if users.is_empty() || users.len() > AT_ONCE {
        return Err(Refusal::malformed(format!(
            "between one and {AT_ONCE} owners are changed at once"
        )));
    }
    Ok(users)
}

/// The same number for the same name; cargo shows it to nobody.
fn id(name: &str) -> u32 {
    let hash = Digest::sha256_of(name.as_bytes()).hex();
    hash.get(..8).and_then(|head| u32::from_str_radix(head, 16).ok()).unwrap_or_default()
}

/// Somebody who can be named as an owner.
struct Known {
    /// By what is known of them, where that can be said.
    may_publish: Option<bool>,
}

impl Known {
    fn find(registry: &Registry, package: &Package, name: &str) -> Option<Self> {
        let register = registry.garden.access.register();
        let place = Place::in_registry(&registry.name, package);
        if let Ok(user) = register.user(name) {
            return Some(Self { may_publish: Some(user.rights.allow(Right::Publish, &place)) });
        }
        if name == crate::person::ADMIN || register.team(name).is_ok() {
            return Some(Self { may_publish: None });
        }
        let tokens = register.rights_of_owner(name);
        let may_publish = tokens.iter().any(|rights| rights.allow(Right::Publish, &place));
        (!tokens.is_empty()).then_some(Self { may_publish: Some(may_publish) })
    }
}

/// What a list says beside a name; nothing where all is well.
fn words(registry: &Registry, package: &Package, name: &str) -> Option<String> {
    match Known::find(registry, package, name) {
        None => Some("not known here any more".to_owned()),
        Some(Known { may_publish: Some(false) }) => {
            Some("without the right to publish it".to_owned())
        }
        Some(_) => None,
    }
}
