//! `/teams`: those that tokens and rules can speak of.

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::rules::{json_body, query};
use super::table::{ADMINISTER, Endpoint, Once, READ, delete, get, post};
use super::{Api, By};
use crate::metadata::records::TeamRecord;

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

/// All teams.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct TeamList {
    /// By name.
    pub teams: Vec<TeamView>,
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
    vec![
        get("list_teams", "/teams", read, "Teams, by name", list)
            .answers::<TeamList>(200, "All of them."),
        post("create_team", "/teams", administer, "Makes a team", create)
            .takes::<TeamRequest>("The team.")
            .answers::<TeamView>(201, "The team.")
            .problems(&["invalid-access", "taken"])
            .once(Once::Kept),
        delete("remove_team", "/teams/{unit}/{team}", administer, "Removes a team", remove)
            .part::<String>("unit", "The unit that it is of.")
            .part::<String>("team", "Its name in the unit.")
            .query::<RemoveQuery>()
            .answers_nothing("The team is no more.")
            .problems(&["no-such-team", "taken"]),
    ]
}

pub async fn list(api: web::Data<Api>) -> web::Json<TeamList> {
    let teams = api.access.register().teams();
    let teams = teams.into_iter().map(|(name, team, tokens)| TeamView::new(&name, team, tokens));
    web::Json(TeamList { teams: teams.collect() })
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
