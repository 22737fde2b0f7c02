//! `/teams`: those that tokens and rules can speak of.

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::problem::Problem;
use super::rules::json_body;
use super::{Api, By};
use crate::metadata::records::TeamRecord;

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TeamView {
    /// `unit/team`
    pub name: String,
    pub description: Option<String>,
    pub created: Timestamp,
    pub created_by: String,
    /// Valid ones.
    pub tokens: usize,
    /// It was made now, and is the first one of its unit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new_unit: bool,
}

impl TeamView {
    fn new(name: &str, team: TeamRecord, tokens: usize) -> Self {
        let TeamRecord { description, created, created_by } = team;
        Self { name: name.to_owned(), description, created, created_by, tokens, new_unit: false }
    }
}

#[derive(Debug, Serialize, Deserialize)]
pub struct TeamList {
    pub teams: Vec<TeamView>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TeamRequest {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
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
) -> Result<HttpResponse, Problem> {
    let (unit, team) = path.into_inner();
    api.access.register().remove_team(&by, &format!("{unit}/{team}")).await?;
    Ok(HttpResponse::NoContent().finish())
}
