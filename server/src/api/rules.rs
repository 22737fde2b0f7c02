//! `/rules`: what is in force, from files and API alike; making and removing the API's own.

use actix_web::http::header::{CONTENT_TYPE, LOCATION};
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::{SignedDuration, Timestamp};
use policies::decision::{Effect, Revision};
use policies::package::Package;
use policies::rules::{Draft, Origin, Pattern, Rule};
use serde::{Deserialize, Serialize};

use super::form::page::Limit;
use super::form::{etag, page};
use super::problem::Problem;
use super::table::{Endpoint, Needs, Once, READ, delete, get, post};
use super::trials::{DRY_RUN, DryRun, tried};
use super::{Api, By, MAX_BODY};
use crate::access::Person;
use crate::access::rights::{Place, Right};
use crate::config::parse_duration;
use crate::metadata::records::RuleTerms;

const MAX_PAGE: usize = 1000;

/// A rule as the API shows it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Rule)]
pub struct RuleView {
    /// By which it is called.
    pub name: String,
    pub effect: Effect,
    /// Patterns.
    pub packages: Vec<String>,
    /// As the ecosystem writes a range; absent: any.
    pub versions: Option<String>,
    /// For whoever reads it.
    pub reason: Option<String>,
    pub expires: Option<Timestamp>,
    #[serde(flatten)]
    pub terms: RuleTerms,
    /// It says nothing any more.
    pub expired: bool,
    pub origin: OriginView,
}

/// Where a rule comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case")]
#[schema(as = RuleOrigin)]
pub enum OriginView {
    File { file: String, line: usize },
    Api { by: String, at: Timestamp },
}

impl RuleView {
    pub fn new(rule: &Rule, now: Timestamp) -> Self {
        Self {
            name: rule.name.to_string(),
            effect: rule.effect,
            packages: rule.patterns.iter().map(ToString::to_string).collect(),
            versions: rule.versions.as_ref().map(|versions| versions.text.to_string()),
            reason: rule.reason.as_deref().map(str::to_owned),
            expires: rule.expires,
            terms: RuleTerms::of(rule),
            expired: rule.is_expired(now),
            origin: match &rule.origin {
                Origin::File { file, line, .. } => {
                    OriginView::File { file: file.to_string(), line: *line }
                }
                Origin::Api { by, at } => OriginView::Api { by: by.to_string(), at: *at },
            },
        }
    }
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only rules that name this package.
    package: Option<String>,
    /// Only rules that end within this time, like `30d`.
    expiring: Option<String>,
    /// Only rules whose name, patterns or reason have this text in them, as it stands.
    search: Option<String>,
    /// Only rules of this effect.
    #[param(inline)]
    effect: Option<Effect>,
    /// Begin behind this name.
    after: Option<String>,
    /// Of one page, at most; more than 1000 is 1000.
    #[param(inline)]
    limit: Option<Limit>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ChangeQuery {
    /// Change nothing, and answer what would be decided differently.
    dry_run: Option<bool>,
}

/// A page of rules, sorted by name.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RuleList {
    pub revision: Revision,
    /// By name.
    pub rules: Vec<RuleView>,
    /// Give this as `after` for the next page.
    pub next: Option<String>,
    /// What is wrong with the rules at the moment; `rules` are those that are in force.
    pub faults: Vec<String>,
}

pub fn endpoints() -> Vec<Endpoint> {
    let (read, administer) = (READ, Needs::Some(Right::Administer));
    let named = |endpoint: Endpoint| endpoint.part::<String>("name", "The name of the rule.");
    vec![
        get("list_rules", "/rules", read, "Rules in force, from files and by command", list)
            .query::<ListQuery>()
            .answers::<RuleList>(200, "A page of rules, by name.")
            .problems(&["invalid-package", "invalid-duration"]),
        post("create_rule", "/rules", administer, "Makes a rule or a waiver", create)
            .note(
                "A rule without a name is given one. The same rule again, without a name, is the one \
                 that is there already.",
            )
            .query::<ChangeQuery>()
            .takes::<Draft>("The rule, as a policy file would have it.")
            .makes::<RuleView>("The rule was made, and is in force.")
            .answers_either::<RuleView, DryRun>(
                200,
                "The same rule was there already; or, in a dry run, what it would do.",
            )
            .problems(DRY_RUN)
            .problems(&["invalid-rule", "name-taken", "made-by-file"])
            .once(Once::Kept),
        named(get("show_rule", "/rules/{name}", read, "One rule", show))
            .answers::<RuleView>(200, "The rule.")
            .problem("no-such-rule"),
        named(delete("remove_rule", "/rules/{name}", administer, "Takes a rule back", remove))
            .note("Rules of policy files are taken back in their files.")
            .query::<ChangeQuery>()
            .answers::<DryRun>(200, "In a dry run: what it would do.")
            .problems(DRY_RUN)
            .answers_nothing("The rule is in force no more.")
            .problems(&["no-such-rule", "made-by-file"])
            .matched(tag_of),
    ]
}

pub async fn list(api: web::Data<Api>, request: HttpRequest) -> Result<HttpResponse, Problem> {
    let query: ListQuery = query(&request)?;
    let package: Option<Package> = query.package.as_deref().map(str::parse).transpose()?;
    let limit = Limit::of(query.limit, MAX_PAGE);
    let search = query.search.as_deref().map(str::to_lowercase);
    let (set, now) = (api.rules.current(), api.clock.now());
    let until = query.expiring.as_deref().map(|within| read_within(within, now)).transpose()?;
    let mut found: Vec<RuleView> = set
        .rules()
        .iter()
        .filter(|rule| query.after.as_deref().is_none_or(|after| &*rule.name > after))
        .filter(|rule| query.effect.is_none_or(|effect| rule.effect == effect))
        .filter(|rule| search.as_deref().is_none_or(|text| has(rule, text)))
        .filter(|rule| package.as_ref().is_none_or(|package| rule.names(package)))
        .filter(|rule| {
            let ends = |until| rule.expires.is_some_and(|at| at > now && at <= until);
            until.is_none_or(ends)
        })
        .take(limit + 1)
        .map(|rule| RuleView::new(rule, now))
        .collect();
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| more).map(|rule| rule.name.clone());
    let faults = api.rules.status().faults;
    let page = RuleList { revision: set.revision().clone(), rules: found, next, faults };
    Ok(page::answer(&request, &page, page.next.as_ref().map(|next| next as &dyn ToString)))
}

/// Whether it has the text, which is in small letters, in what a person reads of it.
fn has(rule: &Rule, text: &str) -> bool {
    let is_in = |part: &str| part.to_lowercase().contains(text);
    is_in(&rule.name)
        || rule.reason.as_deref().is_some_and(is_in)
        || rule.patterns.iter().any(|pattern| is_in(&pattern.to_string()))
}

fn tag_of(api: &Api, request: &HttpRequest) -> Option<String> {
    let set = api.rules.current();
    let rule = set.rule(request.match_info().get("name")?)?;
    Some(etag::of_view(&RuleView::new(rule, api.clock.now())))
}

/// The moment that is so far away: `30d`, `12h`.
pub(super) fn read_within(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let within = parse_duration(text).ok_or_else(|| {
        Problem::bad_request("invalid-duration", "write the time as 30d, 2w or 12h")
    })?;
    let within = SignedDuration::try_from(within).unwrap_or(SignedDuration::MAX);
    Ok(now.checked_add(within).unwrap_or(Timestamp::MAX))
}

pub async fn show(
    api: web::Data<Api>,
    name: web::Path<String>,
) -> Result<web::Json<RuleView>, Problem> {
    let set = api.rules.current();
    let rule = set.rule(&name).ok_or_else(|| {
        Problem::not_found("no-such-rule", format!("there is no rule {:?}", shortened(&name)))
    })?;
    Ok(web::Json(RuleView::new(rule, api.clock.now())))
}

/// 201 with the rule; 200 where one without a name of its own was asked for and is there already.
pub async fn create(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let ChangeQuery { dry_run } = query(&request)?;
    let mut draft: Draft = json_body(&request, body, "the rule")?;
    // Somebody answers for a waiver: whoever makes it, if they do not say who.
    if draft.waives.is_some() {
        draft.owner.get_or_insert_with(|| by.name.to_string());
    }
    check_patterns(&by, draft.packages.iter().map(String::as_str))?;
    if dry_run.unwrap_or_default() {
        let (added, candidate) = api.rules.with_rule(draft, &by.name).await?;
        let made = added.created.then(|| RuleView::new(&added.rule, api.clock.now()));
        let (made, removed) = (made.into_iter().collect(), Vec::new());
        let report = tried(&api, candidate).await?;
        return Ok(HttpResponse::Ok().json(DryRun { made, removed, report }));
    }
    let added = api.rules.add(draft, &by.name).await?;
    let view = RuleView::new(&added.rule, api.clock.now());
    let mut response = if added.created { HttpResponse::Created() } else { HttpResponse::Ok() };
    Ok(response.insert_header((LOCATION, format!("/api/v1/rules/{}", view.name))).json(view))
}

pub async fn remove(
    api: web::Data<Api>,
    by: By,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let ChangeQuery { dry_run } = query(&request)?;
    if !by.may(Right::Administer) {
        let set = api.rules.current();
        let patterns: Vec<String> = set
            .rule(&name)
            .map_or_else(Vec::new, |rule| rule.patterns.iter().map(ToString::to_string).collect());
        check_patterns(&by, patterns.iter().map(String::as_str))?;
    }
    if dry_run.unwrap_or_default() {
        let (rule, candidate) = api.rules.without_rule(&name).await?;
        let (made, removed) = (Vec::new(), vec![RuleView::new(&rule, api.clock.now())]);
        let report = tried(&api, candidate).await?;
        return Ok(HttpResponse::Ok().json(DryRun { made, removed, report }));
    }
    api.rules.remove(&name, &by.name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// Whoever administers some packages alone makes and removes rules for these.
fn check_patterns<'a>(
    by: &Person,
    patterns: impl IntoIterator<Item = &'a str>,
) -> Result<(), Problem> {
    let lacks = || Problem::forbidden(by.lacks(Right::Administer, &Place::default()));
    if by.may(Right::Administer) {
        return Ok(());
    }
    let mut patterns = patterns.into_iter().peekable();
    if patterns.peek().is_none() {
        return Err(lacks());
    }
    for text in patterns {
        let pattern = Pattern::parse(text).map_err(Problem::from)?;
        if !by.may_for_all(Right::Administer, &pattern) {
            return Err(lacks());
        }
    }
    Ok(())
}

/// Whether a body says that it is JSON.
pub(super) fn check_json(request: &HttpRequest, what: &str) -> Result<(), Problem> {
    let is_json =
        |value: &str| value.trim_start().to_ascii_lowercase().starts_with("application/json");
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if kind.is_some_and(is_json) {
        return Ok(());
    }
    let status = actix_web::http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
    Err(Problem::new(status, "not-json", format!("send {what} as application/json")))
}

pub(super) fn json_body<T: serde::de::DeserializeOwned>(
    request: &HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
    what: &str,
) -> Result<T, Problem> {
    check_json(request, what)?;
    let body = body.map_err(|error| {
        let status = error.as_response_error().status_code();
        let detail = format!("the body was not read: {error}; at most {MAX_BODY} bytes are");
        Problem::new(status, "body-not-read", detail)
    })?;
    serde_json::from_slice(&body).map_err(|error| {
        Problem::bad_request("invalid-json", format!("{what} can not be read: {error}"))
    })
}

pub(super) fn query<Q: serde::de::DeserializeOwned>(request: &HttpRequest) -> Result<Q, Problem> {
    web::Query::from_query(request.query_string())
        .map(web::Query::into_inner)
        .map_err(|error| Problem::bad_request("invalid-query", error.to_string()))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}
