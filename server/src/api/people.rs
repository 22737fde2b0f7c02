//! `/users`: people and services that are known by name; and the roles of teams and units.

use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::form::etag;
use super::form::page::{self, Limit};
use super::problem::{Problem, ProblemFault};
use super::rules::{json_body, query};
use super::table::{ADMINISTER, Endpoint, Needs, READ, delete, get, patch, post, put};
use super::{Api, By};
use crate::access::login::Origin;
use crate::access::passwords;
use crate::access::register::{Holder, NewUser, RegisterError, UserChange, UserFound};
use crate::access::rights::Rights;
use crate::access::secret::TokenKind;

const MAX_PAGE: usize = 1000;

pub fn endpoints() -> Vec<Endpoint> {
    let named = |endpoint: Endpoint| endpoint.part::<String>("name", "Their name.");
    let of_unit = |endpoint: Endpoint| endpoint.part::<String>("unit", "The unit.");
    let held = "All that the people hold from now on.";
    let (of_team, of_all) = ("/teams/{unit}/{team}/roles", "/units/{unit}/roles");
    let (team_held, unit_held) =
        ("Which roles the people of a team hold", "Which roles the people of a whole unit hold");
    let place = ["invalid-access", "no-such-team", "no-such-role", "missing-right"];
    vec![
        get("list_users", "/users", READ, "People and services, by name", list)
            .query::<ListQuery>()
            .answers::<UserList>(200, "A page of them."),
        post("create_user", "/users", ADMINISTER, "Makes somebody known", create)
            .note("Nobody makes somebody who may what they may not themselves.")
            .takes::<UserRequest>("Who it is.")
            .makes::<UserView>("Who it is.")
            .problems(&place)
            .problems(&["taken", "weak-password", "too-many-logins", "no-randomness"])
            .problem("not-hashed"),
        named(get("show_user", "/users/{name}", READ, "Somebody", show))
            .answers::<UserView>(200, "Who it is.")
            .problem("no-such-user"),
        named(patch("change_user", "/users/{name}", ADMINISTER, "Changes somebody", change))
            .takes::<UserPatch>("What is another from now on.")
            .answers::<UserView>(200, "Who it is now.")
            .problems(&place)
            .problem("no-such-user")
            .matched(tag_of),
        named(delete("remove_user", "/users/{name}", ADMINISTER, "Removes somebody", remove))
            .note("None of their tokens counts any more, nor ever again for another of this name.")
            .answers_nothing("They are nobody here.")
            .problems(&["no-such-user", "missing-right"])
            .matched(tag_of),
        named(put(
            "set_password",
            "/users/{name}/password",
            Needs::Token,
            "Sets a password",
            set_password,
        ))
        .note("The own one takes the one of before; any other takes the right to administer.")
        .takes::<PasswordRequest>("The new one.")
        .answers_nothing("It is set, and logins of before have ended.")
        .problems(&["no-such-user", "missing-right", "invalid-access", "weak-password"])
        .problems(&["too-many-logins", "no-randomness", "not-hashed"]),
        of_unit(get("show_team_roles", of_team, READ, team_held, show_team_roles))
            .part::<String>("team", "The team.")
            .answers::<RolesRequest>(200, "By their names.")
            .problem("no-such-team"),
        of_unit(put(
            "set_team_roles",
            of_team,
            ADMINISTER,
            "Says which roles the people of a team hold",
            set_team_roles,
        ))
        .part::<String>("team", "The team.")
        .takes::<RolesRequest>(held)
        .answers::<RolesRequest>(200, held)
        .problems(&place)
        .matched(tag_of_roles),
        of_unit(get("show_unit_roles", of_all, READ, unit_held, show_unit_roles))
            .answers::<RolesRequest>(200, "By their names.")
            .problem("no-such-team"),
        of_unit(put(
            "set_unit_roles",
            of_all,
            ADMINISTER,
            "Says which roles the people of a whole unit hold",
            set_unit_roles,
        ))
        .takes::<RolesRequest>(held)
        .answers::<RolesRequest>(200, held)
        .problems(&place)
        .matched(tag_of_roles),
    ]
}

/// A person, or a service that nobody is behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = User)]
pub struct UserView {
    /// By which they are known.
    pub name: String,
    /// `person` or `service`
    pub kind: String,
    /// The first one is that which they are of where they do not say.
    pub teams: Vec<String>,
    /// By their names.
    pub roles: Vec<String>,
    /// What these, the first team's and its unit's say.
    pub rights: Rights,
    /// They can log in by one.
    pub has_password: bool,
    /// Since when none of their tokens counts.
    pub disabled: Option<Timestamp>,
    /// Who disabled them.
    pub disabled_by: Option<String>,
    pub created: Timestamp,
    /// Who made them known.
    pub created_by: String,
    /// Valid ones.
    pub tokens: usize,
}

impl From<UserFound> for UserView {
    fn from(found: UserFound) -> Self {
        let UserFound { name, record, rights, tokens } = found;
        let disabled = record.disabled.as_ref();
        Self {
            name: name.to_string(),
            kind: record.kind,
            teams: record.teams,
            roles: record.roles,
            rights,
            has_password: record.password.is_some(),
            disabled: disabled.map(|disabled| disabled.at),
            disabled_by: disabled.map(|disabled| disabled.by.clone()),
            created: record.created,
            created_by: record.created_by,
            tokens,
        }
    }
}

/// A page, sorted by name.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct UserList {
    /// By name.
    pub users: Vec<UserView>,
    /// Give this as `after` for the next page.
    pub next: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only those in this team.
    team: Option<String>,
    /// Begin behind this name.
    after: Option<String>,
    /// Of one page, at most; more than 1000 is 1000.
    #[param(inline)]
    limit: Option<Limit>,
}

/// Somebody who is to be known.
#[derive(Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewUser)]
pub struct UserRequest {
    /// By which they are known.
    pub name: String,
    /// Nobody is behind it: it has tokens, and no password.
    #[serde(default)]
    pub service: bool,
    /// The first one is that which they are of where they do not say.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub teams: Vec<String>,
    /// Left out: `reader`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Left out: nobody logs in by one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
}

/// What is left out stays as it is.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = UserChange)]
pub struct UserPatch {
    /// All that they are in from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teams: Option<Vec<String>>,
    /// All that they hold from now on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles: Option<Vec<String>>,
    /// Whether none of their tokens counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
}

/// A password that is to be set.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewPassword)]
pub struct PasswordRequest {
    /// The new one.
    pub password: String,
    /// The one of before, of whoever sets their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub current: Option<String>,
}

/// Roles that the people of a team or a unit hold.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = HeldRoles)]
pub struct RolesRequest {
    /// By their names.
    pub roles: Vec<String>,
}

pub async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let query: ListQuery = query(&request)?;
    let limit = Limit::of(query.limit, MAX_PAGE);
    let is_in = |user: &UserFound, team: &String| user.record.teams.contains(team);
    let mut users: Vec<UserView> = api
        .access
        .register()
        .users()
        .into_iter()
        .filter(|user| query.after.as_deref().is_none_or(|after| &*user.name > after))
        .filter(|user| query.team.as_ref().is_none_or(|team| is_in(user, team)))
        .take(limit + 1)
        .map(UserView::from)
        .collect();
    let next = page::cut(&mut users, limit, |user| user.name.clone());
    let page = UserList { users, next };
    Ok(page::answer(&request, &page, page.next.as_ref().map(|next| next as &dyn ToString)))
}

fn tag_of(api: &Api, request: &HttpRequest) -> Option<String> {
    let user = api.access.register().user(request.match_info().get("name")?).ok()?;
    Some(etag::of_view(&UserView::from(user)))
}

/// What a team or a unit holds, by the path that names it.
fn held_by(api: &Api, unit: &str, team: Option<&str>) -> Result<RolesRequest, RegisterError> {
    let register = api.access.register();
    let roles = match team {
        Some(team) => register.held_roles(Holder::Team(&format!("{unit}/{team}")))?,
        None => register.held_roles(Holder::Unit(unit))?,
    };
    Ok(RolesRequest { roles })
}

fn tag_of_roles(api: &Api, request: &HttpRequest) -> Option<String> {
    let parts = request.match_info();
    Some(etag::of_view(&held_by(api, parts.get("unit")?, parts.get("team")).ok()?))
}

pub async fn show_team_roles(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
) -> Result<web::Json<RolesRequest>, Problem> {
    let (unit, team) = path.into_inner();
    Ok(web::Json(held_by(&api, &unit, Some(&team))?))
}

pub async fn show_unit_roles(
    api: web::Data<Api>,
    unit: web::Path<String>,
) -> Result<web::Json<RolesRequest>, Problem> {
    Ok(web::Json(held_by(&api, &unit, None)?))
}

pub async fn show(
    api: web::Data<Api>,
    name: web::Path<String>,
) -> Result<web::Json<UserView>, Problem> {
    Ok(web::Json(api.access.register().user(&name)?.into()))
}

pub async fn create(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let asked: UserRequest = json_body(&request, body, "the user")?;
    let UserRequest { name, service, teams, roles, password } = asked;
    let password = match password {
        Some(password) => Some(hash(&api, &name, &password).await?),
        None => None,
    };
    let kind = if service { TokenKind::Service } else { TokenKind::Person };
    let bound = std::collections::BTreeMap::new();
    let new = NewUser { name, kind, teams, roles, password, bound };
    let made = UserView::from(api.access.register().create_user(&by, new).await?);
    let location = format!("/api/v1/users/{}", made.name);
    Ok(HttpResponse::Created().insert_header((LOCATION, location)).json(made))
}

pub async fn change(
    api: web::Data<Api>,
    by: By,
    name: web::Path<String>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<UserView>, Problem> {
    let UserPatch { teams, roles, disabled } = json_body(&request, body, "the change")?;
    let change = UserChange { teams, roles, disabled };
    Ok(web::Json(api.access.register().change_user(&by, &name, change).await?.into()))
}

pub async fn remove(
    api: web::Data<Api>,
    by: By,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    api.access.register().remove_user(&by, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Whoever sets their own says the one of before.
pub async fn set_password(
    api: web::Data<Api>,
    by: By,
    name: web::Path<String>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let asked: PasswordRequest = json_body(&request, body, "the password")?;
    let is_own = *by.name == **name && by.ceiling.is_some();
    if is_own {
        let current = asked.current.as_deref().unwrap_or_default();
        if !api.access.is_password(&name, current, &Origin::of(&request)).await? {
            return Err(Problem::forbidden("`current` is not the password of before"));
        }
    }
    // Who may is known before work is done for it.
    api.access.register().check_sets_password(&by, &name)?;
    let password = hash(&api, &name, &asked.password).await?;
    api.access.register().set_password(&by, &name, password).await?;
    Ok(HttpResponse::NoContent().finish())
}

pub async fn set_team_roles(
    api: web::Data<Api>,
    by: By,
    path: web::Path<(String, String)>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<RolesRequest>, Problem> {
    let (unit, team) = path.into_inner();
    let RolesRequest { roles } = json_body(&request, body, "the roles")?;
    let (register, team) = (api.access.register(), format!("{unit}/{team}"));
    register.set_roles(&by, Holder::Team(&team), roles.clone()).await?;
    Ok(web::Json(RolesRequest { roles }))
}

pub async fn set_unit_roles(
    api: web::Data<Api>,
    by: By,
    unit: web::Path<String>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<RolesRequest>, Problem> {
    let RolesRequest { roles } = json_body(&request, body, "the roles")?;
    api.access.register().set_roles(&by, Holder::Unit(&unit), roles.clone()).await?;
    Ok(web::Json(RolesRequest { roles }))
}

async fn hash(api: &Api, name: &str, password: &str) -> Result<String, Problem> {
    if let Err(message) = passwords::check(name, password) {
        let fault = ProblemFault { field: "password".to_owned(), message, remedy: String::new() };
        let detail = format!("password: {}", fault.message);
        let mut problem = Problem::bad_request("weak-password", detail);
        problem.faults.push(fault);
        return Err(problem);
    }
    Ok(api.access.hash_password(password).await?)
}
