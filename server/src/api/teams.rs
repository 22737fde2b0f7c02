//! `/teams`: those that tokens and rules can speak of.

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::form::etag;
use super::form::page::{self, Limit, PageQuery};
use super::problem::Problem;
use super::rules::{json_body, query};
use super::table::{ADMINISTER, Endpoint, Once, READ, delete, get, post};
use super::{Api, By};
use crate::access::register::RegisterError;
use crate::metadata::records::TeamRecord;

const MAX_PAGE: usize = 1000;

/// A team.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Team)]
pub struct TeamView {
    /// `unit/team`
    pub name: String,
    /// For a person.
    pub description: Option<String>,
    /// What its people may, by the names of roles.
    #[serde(default)]
    pub roles: Vec<String>,
    pub created: Timestamp,
    /// Who made it.
    pub created_by: String,
    /// Valid ones.
    pub tokens: usize,
    /// It was made now, and is the first one of its unit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new_unit: bool,
}

impl TeamView {
    fn new(name: &str, team: TeamRecord, tokens: usize) -> Self {
        let TeamRecord { description, roles, created, created_by } = team;
        let (name, new_unit) = (name.to_owned(), false);
        Self { name, description, roles, created, created_by, tokens, new_unit }
    }
}

/// A page of teams.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TeamList {
    /// By name.
    pub teams: Vec<TeamView>,
    /// Give this as `after` for the next page.
    pub next: Option<String>,
}

/// A team that is to be made.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewTeam)]
pub struct TeamRequest {
    /// `unit/team`
    pub name: String,
    /// For a person.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
struct RemoveQuery {
    /// Its valid tokens end with it.
    with_tokens: Option<bool>,
}

pub fn endpoints() -> Vec<Endpoint> {
    let (read, administer) = (READ, ADMINISTER);
    let named = |endpoint: Endpoint| {
        endpoint
            .part::<String>("unit", "The unit that it is of.")
            .part::<String>("team", "Its name in the unit.")
            .problem("no-such-team")
    };
    let one = "/teams/{unit}/{team}";
    vec![
        get("list_teams", "/teams", read, "Teams, by name", list)
            .query::<PageQuery>()
            .answers::<TeamList>(200, "A page of teams, by name."),
        post("create_team", "/teams", administer, "Makes a team", create)
            .takes::<TeamRequest>("The team.")
            .answers::<TeamView>(201, "The team.")
            .problems(&["invalid-access", "taken"])
            .once(Once::Kept),
        named(get("show_team", one, read, "One team", show)).answers::<TeamView>(200, "The team."),
        named(delete("remove_team", one, administer, "Removes a team", remove))
            .query::<RemoveQuery>()
            .answers_nothing("The team is no more.")
            .problem("taken")
            .matched(tag_of),
    ]
}

pub async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let PageQuery { after, limit } = query(&request)?;
    let limit = Limit::of(limit, MAX_PAGE);
    let teams = api.access.register().teams();
    let mut teams: Vec<TeamView> = teams
        .into_iter()
        .filter(|(name, ..)| after.as_deref().is_none_or(|after| &**name > after))
        .take(limit + 1)
        .map(|(name, team, tokens)| TeamView::new(&name, team, tokens))
        .collect();
    let next = page::cut(&mut teams, limit, |team| team.name.clone());
    let page = TeamList { teams, next };
    Ok(page::answer(&request, &page, page.next.as_ref().map(|next| next as &dyn ToString)))
}

fn find(api: &Api, unit: &str, team: &str) -> Result<TeamView, RegisterError> {
    let name = format!("{unit}/{team}");
    let (record, tokens) = api.access.register().team(&name)?;
    Ok(TeamView::new(&name, record, tokens))
}

fn tag_of(api: &Api, request: &HttpRequest) -> Option<String> {
    let part = |name| request.match_info().get(name);
    Some(etag::of_view(&find(api, part("unit")?, part("team")?).ok()?))
}

pub async fn show(
    api: web::Data<Api>,
    path: web::Path<(String, String)>,
) -> Result<web::Json<TeamView>, Problem> {
    let (unit, team) = path.into_inner();
    Ok(web::Json(find(&api, &unit, &team)?))
}

pub async fn create(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let TeamRequest { name, description } = json_body(&request, body, "the team")?;
    let created = api.access.register().create_team(&by, &name, description).await?;
    let view = TeamView::new(&name, created.team, 0);
    Ok(HttpResponse::Created().json(TeamView { new_unit: created.is_new_unit, ..view }))
}

pub async fn remove(
    api: web::Data<Api>,
    by: By,
    path: web::Path<(String, String)>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let (unit, team) = path.into_inner();
    let RemoveQuery { with_tokens } = query(&request)?;
    let (team, with_tokens) = (format!("{unit}/{team}"), with_tokens.unwrap_or_default());
    api.access.register().remove_team(&by, &team, with_tokens).await?;
    Ok(HttpResponse::NoContent().finish())
}
