//! `/roles`: sets of rights that have a name.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::form::etag;
use super::form::page::{self, Limit, PageQuery};
use super::problem::Problem;
use super::rules::{json_body, query};
use super::table::{ADMINISTER, Endpoint, Once, READ, delete, get, post, put};
use super::tokens::read_rights;
use super::{Api, By};
use crate::access::register::{NewRole, RoleFound};
use crate::access::rights::Rights;

const MAX_PAGE: usize = 1000;

pub fn endpoints() -> Vec<Endpoint> {
    let named = |endpoint: Endpoint| endpoint.part::<String>("name", "The name of the role.");
    let faults = ["invalid-access", "no-such-right", "invalid-right", "taken"];
    vec![
        get("list_roles", "/roles", READ, "Roles, the built-in ones first", list)
            .query::<PageQuery>()
            .answers::<RoleList>(200, "A page of roles."),
        post("create_role", "/roles", ADMINISTER, "Makes a role", create)
            .takes::<RoleRequest>("The role.")
            .makes::<RoleView>("The role.")
            .problems(&faults)
            .once(Once::Kept),
        named(get("show_role", "/roles/{name}", READ, "One role", show))
            .answers::<RoleView>(200, "The role.")
            .problem("no-such-role"),
        named(put("change_role", "/roles/{name}", ADMINISTER, "Changes a role", change))
            .takes::<RoleChange>("What it is from now on.")
            .answers::<RoleView>(200, "The role, as it is now.")
            .problems(&faults)
            .problem("no-such-role")
            .matched(tag_of),
        named(delete("remove_role", "/roles/{name}", ADMINISTER, "Removes a role", remove))
            .query::<RemoveQuery>()
            .answers_nothing("The role is no more.")
            .problems(&["no-such-role", "taken", "invalid-access"])
            .matched(tag_of),
    ]
}

/// A set of rights that has a name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Role)]
pub struct RoleView {
    /// By which it is called.
    pub name: String,
    /// For a person.
    pub description: Option<String>,
    /// What it gives.
    pub rights: Rights,
    /// It is always there, and never another.
    pub built_in: bool,
    /// How many hold it.
    pub holders: usize,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Who made it.
    pub created_by: Option<String>,
    /// When it was last changed.
    pub changed: Option<Timestamp>,
    /// Who changed it last.
    pub changed_by: Option<String>,
}

impl From<RoleFound> for RoleView {
    fn from(role: RoleFound) -> Self {
        let RoleFound { name, description, rights, record, holders } = role;
        let built_in = record.is_none();
        let record = record.as_ref();
        Self {
            created: record.map(|record| record.created),
            created_by: record.map(|record| record.created_by.clone()),
            changed: record.and_then(|record| record.changed),
            changed_by: record.and_then(|record| record.changed_by.clone()),
            name,
            description,
            rights,
            built_in,
            holders,
        }
    }
}

/// A page of roles, the built-in ones first, then by name.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RoleList {
    /// By name.
    pub roles: Vec<RoleView>,
    /// Give this as `after` for the next page.
    pub next: Option<String>,
}

/// A role that is to be made.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewRole)]
pub struct RoleRequest {
    /// By which it is called.
    pub name: String,
    /// For a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// `publish`, `publish=npm:@acme/*`
    pub rights: Vec<String>,
}

/// What a role is from now on.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RoleChange {
    /// Left out: as it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// All that it gives from now on.
    pub rights: Vec<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct RemoveQuery {
    /// Even where somebody holds it.
    from_all: Option<bool>,
}

pub async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let PageQuery { after, limit } = query(&request)?;
    let limit = Limit::of(limit, MAX_PAGE);
    let mut roles: Vec<RoleView> =
        api.access.register().roles().into_iter().map(RoleView::from).collect();
    let begin = after.map_or(0, |after| {
        let at = roles.iter().position(|role| role.name == after);
        // One that is gone since: those that were made follow each other by name.
        let is_behind = |role: &RoleView| !role.built_in && role.name > after;
        let behind = || roles.iter().position(is_behind).unwrap_or(roles.len());
        at.map_or_else(behind, |at| at + 1)
    });
    roles.drain(..begin);
    let next = page::cut(&mut roles, limit, |role| role.name.clone());
    let page = RoleList { roles, next };
    Ok(page::answer(&request, &page, page.next.as_ref().map(|next| next as &dyn ToString)))
}

fn tag_of(api: &Api, request: &HttpRequest) -> Option<String> {
    let role = api.access.register().role(request.match_info().get("name")?).ok()?;
    Some(etag::of_view(&RoleView::from(role)))
}

pub async fn show(
    api: web::Data<Api>,
    name: web::Path<String>,
) -> Result<web::Json<RoleView>, Problem> {
    Ok(web::Json(api.access.register().role(&name)?.into()))
}

pub async fn create(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let RoleRequest { name, description, rights } = json_body(&request, body, "the role")?;
    let new = NewRole { name, description, rights: read_rights(&rights)? };
    let made = RoleView::from(api.access.register().create_role(&by, new).await?);
    let location = format!("/api/v1/roles/{}", made.name);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(made))
}

pub async fn change(
    api: web::Data<Api>,
    by: By,
    name: web::Path<String>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<RoleView>, Problem> {
    let RoleChange { description, rights } = json_body(&request, body, "the role")?;
    let rights = read_rights(&rights)?;
    let changed = api.access.register().change_role(&by, &name, rights, description).await?;
    Ok(web::Json(changed.into()))
}

pub async fn remove(
    api: web::Data<Api>,
    by: By,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let RemoveQuery { from_all } = query(&request)?;
    api.access.register().remove_role(&by, &name, from_all.unwrap_or_default()).await?;
    Ok(HttpResponse::NoContent().finish())
}
