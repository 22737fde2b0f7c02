//! `/observed`: what would have been refused, from recorded use.

use actix_web::{HttpRequest, web};
use jiff::{SignedDuration, Timestamp};
use policies::asker::TeamPattern;
use serde::Deserialize;

use super::form::page::Limit;
use super::problem::Problem;
use super::rules::query;
use super::table::{Endpoint, READ, get};
use super::{Api, By};
use crate::access::rights::Right;
use crate::config;
use crate::recorded::observed::{ObservedReport, Wanted};

const LINES: usize = 1000;
const MAX_LINES: usize = 10_000;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ObservedQuery {
    /// A duration such as `7d`, or a time.
    since: Option<String>,
    /// Only what this rule would have refused.
    rule: Option<String>,
    /// `web/shop`, `web/*`.
    team: Option<String>,
    /// Lines, at most; more than 10000 is 10000.
    #[param(inline)]
    limit: Option<Limit>,
}

pub fn endpoints() -> Vec<Endpoint> {
    let summary = "What would have been refused, to whom and how often";
    vec![
        get("list_observed", "/observed", READ, summary, observed)
            .note("Who may neither approve nor administer is told of their own team alone.")
            .query::<ObservedQuery>()
            .answers::<ObservedReport>(200, "The lines of the most requests first.")
            .problems(&["invalid-since", "invalid-team", "missing-right"]),
    ]
}

/// Who neither administers nor approves is told of their own team alone.
pub async fn observed(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
) -> Result<web::Json<ObservedReport>, Problem> {
    let query: ObservedQuery = query(&request)?;
    let since = since(query.since.as_deref().unwrap_or("7d"), api.clock.now())?;
    let team = query.team.as_deref().map(|text| {
        TeamPattern::parse(text).ok_or_else(|| {
            let detail = "a team is unit/team, and all teams of a unit are unit/*";
            Problem::bad_request("invalid-team", detail)
        })
    });
    let mut team = team.transpose()?;
    if !by.may(Right::Administer) && !by.may(Right::Approve) {
        let own = by.team.as_deref().and_then(TeamPattern::parse);
        if own.is_none() || team.is_some() && team != own {
            let detail = "who may neither approve nor administer is told of their own team alone";
            return Err(Problem::forbidden(detail));
        }
        team = own;
    }
    let lines = Limit::usually(query.limit, LINES, MAX_LINES);
    let wanted = Wanted { rule: query.rule, team, lines };
    Ok(web::Json(api.recorder.observed(since, &wanted).await?))
}

/// So long ago, or since that moment.
pub(super) fn since(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let ago = config::parse_duration(text).and_then(|ago| SignedDuration::try_from(ago).ok());
    ago.and_then(|ago| now.checked_sub(ago).ok()).or_else(|| text.parse().ok()).ok_or_else(|| {
        let detail =
            "since is a duration such as 30d or 12h, or a time such as 2030-01-01T12:00:00Z";
        Problem::bad_request("invalid-since", detail)
    })
}
