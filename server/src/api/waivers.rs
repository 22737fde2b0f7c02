//! `/waivers`: the rules that lift a deny or a hold until a day, the first end first.
//!
//! A waiver is a rule: it is made, shown and taken back as one, under `/rules`.

use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use policies::package::Package;
use policies::rules::Rule;
use serde::{Deserialize, Serialize};

use super::Api;
use super::form::page::{self, Limit};
use super::problem::Problem;
use super::rules::{RuleView, query, read_within};
use super::table::{Endpoint, READ, get};

const MAX_PAGE: usize = 1000;

pub fn endpoints() -> Vec<Endpoint> {
    vec![
        get("list_waivers", "/waivers", READ, "Waivers in force, the first end first", list)
            .note("A waiver is a rule: `POST /rules` with `waives` makes one, `DELETE /rules/{name}` ends it.")
            .query::<ListQuery>()
            .answers::<WaiverList>(200, "A page of waivers.")
            .problems(&["invalid-package", "invalid-duration"]),
    ]
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only waivers that name this package.
    package: Option<String>,
    /// Only waivers of this rule.
    rule: Option<String>,
    /// Only waivers that this one answers for.
    owner: Option<String>,
    /// Only waivers that end within this time, like `30d`.
    expiring: Option<String>,
    /// Those that have ended, too.
    ended: Option<bool>,
    /// Begin behind this one: the `next` of the page before.
    after: Option<String>,
    /// Of one page, at most; more than 1000 is 1000.
    #[param(inline)]
    limit: Option<Limit>,
}

/// A page of waivers, the first end first.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WaiverList {
    /// The first end first.
    pub waivers: Vec<RuleView>,
    /// Give this as `after` for the next page.
    pub next: Option<String>,
}

pub async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let query: ListQuery = query(&request)?;
    let package: Option<Package> = query.package.as_deref().map(str::parse).transpose()?;
    let limit = Limit::of(query.limit, MAX_PAGE);
    let (set, now) = (api.rules.current(), api.clock.now());
    let until = query.expiring.as_deref().map(|within| read_within(within, now)).transpose()?;
    let after = query.after.as_deref().map(read_place).transpose()?;
    let ends = |rule: &Rule, until| rule.expires.is_some_and(|at| at > now && at <= until);
    let mut found: Vec<&Rule> = set
        .rules()
        .iter()
        .filter(|rule| match (&rule.waives, query.rule.as_deref()) {
            (Some(_), None) => true,
            (Some(waives), Some(wanted)) => **waives == *wanted,
            (None, _) => false,
        })
        .filter(|rule| query.ended.unwrap_or_default() || !rule.is_expired(now))
        .filter(|rule| query.owner.is_none() || rule.owner.as_deref() == query.owner.as_deref())
        .filter(|rule| package.as_ref().is_none_or(|package| rule.names(package)))
        .filter(|rule| until.is_none_or(|until| ends(rule, until)))
        .filter(|rule| after.as_ref().is_none_or(|after| place(rule) > (after.0, &after.1)))
        .collect();
    found.sort_by(|one, other| place(one).cmp(&place(other)));
    let next = page::cut(&mut found, limit, |rule| write_place(rule));
    let waivers = found.into_iter().map(|rule| RuleView::new(rule, now)).collect();
    let page = WaiverList { waivers, next };
    Ok(page::answer(&request, &page, page.next.as_ref().map(|next| next as &dyn ToString)))
}

/// By their ends, those without one last.
fn place(rule: &Rule) -> (Timestamp, &str) {
    (rule.expires.unwrap_or(Timestamp::MAX), &rule.name)
}

/// `2027-01-01T00:00:00Z/name`
fn write_place(rule: &Rule) -> String {
    let (end, name) = place(rule);
    format!("{end}/{name}")
}

fn read_place(text: &str) -> Result<(Timestamp, String), Problem> {
    let read = || {
        let (end, name) = text.split_once('/')?;
        Some((end.parse().ok()?, name.to_owned()))
    };
    read().ok_or_else(|| {
        Problem::bad_request("invalid-query", "after: give the `next` of the page before")
    })
}
