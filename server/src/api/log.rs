//! `/log`: the audit log, page by page.

use actix_web::http::StatusCode;
use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use policies::package::Package;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::form::page::{self, Limit};
use super::problem::Problem;
use super::recorded::since;
use super::rules::query;
use super::table::{ADMINISTER, Endpoint, get};
use super::{Api, By};
use crate::access::Person;
use crate::access::rights::{Place, Right};
use crate::audit::{
    Action, ConsistencyProof, Filter, InclusionProof, Logged, Order, ProofError, SignedHead,
    TreeError,
};

const PAGE: usize = 100;
const MAX_PAGE: usize = 1000;
/// Kinds of entries that one question may name.
const MAX_ACTIONS: usize = 50;

pub fn endpoints() -> Vec<Endpoint> {
    let (log, checkpoint_of) = ("The audit log, page by page", "The log as it is now, signed");
    let (is_in, is_grown) = ("Proof that an entry is in the log", "Proof that the log only grew");
    vec![
        get("list_log", "/log", ADMINISTER, log, list)
            .note("Who reads the log reads what everybody did.")
            .query::<LogQuery>()
            .answers::<LogPage>(200, "A page of entries.")
            .problems(&["invalid-since", "unknown-action"]),
        get("log_checkpoint", "/log/checkpoint", ADMINISTER, checkpoint_of, checkpoint)
            .note("The signed note alone, for who accepts `text/plain`.")
            .answers::<SignedHead>(200, "The size and the root of the log, and the note.")
            .or_as("text/plain")
            .problem("log-not-proved"),
        get("prove_inclusion", "/log/proofs/inclusion", ADMINISTER, is_in, inclusion)
            .query::<InclusionQuery>()
            .answers::<InclusionProof>(200, "The proof, as RFC 6962 has it.")
            .problems(&["out-of-range", "log-not-proved"]),
        get("prove_consistency", "/log/proofs/consistency", ADMINISTER, is_grown, consistency)
            .query::<ConsistencyQuery>()
            .answers::<ConsistencyProof>(200, "The proof, as RFC 6962 has it.")
            .problems(&["out-of-range", "log-not-proved"]),
    ]
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct LogQuery {
    /// Who did it.
    person: Option<String>,
    /// `npm:left-pad`, or a pattern as it stands in a rule.
    package: Option<String>,
    /// The name of a rule, token or team, or `request 12`.
    subject: Option<String>,
    /// Kinds of entries, with commas between them.
    action: Option<String>,
    /// A duration such as `7d`, or a time.
    since: Option<String>,
    /// Written like `since`.
    until: Option<String>,
    /// `newest` first, which is meant where it is left out, or `oldest` first.
    #[serde(default)]
    #[param(inline)]
    order: OrderQuery,
    /// Begin behind this number: the `next` of the page before.
    after: Option<u64>,
    /// Of one page, at most; more than 1000 is 1000.
    #[param(inline)]
    limit: Option<Limit>,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum OrderQuery {
    #[default]
    Newest,
    Oldest,
}

/// A page of the log. An entry is the very text that is hashed into the log's tree.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LogPage {
    /// In the order that was asked for.
    #[schema(value_type = Vec<serde_json::Value>)]
    pub entries: Vec<Box<RawValue>>,
    /// How many entries the log has.
    pub size: u64,
    /// Give this as `after` for the next page, which may have nothing of what is looked for and
    /// say itself where to go on.
    pub next: Option<u64>,
}

/// Who reads the log reads what everybody did.
fn check_may_read(by: &Person) -> Result<(), Problem> {
    if by.may(Right::Administer) {
        Ok(())
    } else {
        Err(Problem::forbidden(by.lacks(Right::Administer, &Place::default())))
    }
}

pub async fn list(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    check_may_read(&by)?;
    let query: LogQuery = query(&request)?;
    let now = api.clock.now();
    let moment = |text: &Option<String>| text.as_deref().map(|text| since(text, now)).transpose();
    let (since, until): (Option<Timestamp>, _) = (moment(&query.since)?, moment(&query.until)?);
    let filter = Filter {
        person: query.person,
        package: query.package.as_deref().map(spelt),
        subject: query.subject,
        actions: query.action.as_deref().map(actions).transpose()?.unwrap_or_default(),
        since,
        until,
    };
    let order = match query.order {
        OrderQuery::Newest => Order::Newest,
        OrderQuery::Oldest => Order::Oldest,
    };
    let limit = Limit::usually(query.limit, PAGE, MAX_PAGE);
    if query.after.is_none() {
        api.log.settle().await?;
    }
    let page = api.log.find(&filter, order, query.after, limit).await?;
    let size = api.log.size().await?;
    let entries = page.entries.iter().map(raw).collect::<Result<_, _>>()?;
    let found = LogPage { entries, size, next: page.next };
    Ok(page::answer(&request, &found, found.next.as_ref().map(|next| next as &dyn ToString)))
}

/// The log as it is now, signed: as JSON, and the note alone for who accepts `text/plain`.
pub async fn checkpoint(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    check_may_read(&by)?;
    api.log.settle().await?;
    let head = api.log.signed_head().await?;
    let accept = request.headers().get(ACCEPT).and_then(|accept| accept.to_str().ok());
    if accept.is_some_and(|accept| accept.trim_start().starts_with("text/plain")) {
        let text = "text/plain; charset=utf-8";
        return Ok(HttpResponse::Ok().content_type(text).body(head.checkpoint));
    }
    Ok(HttpResponse::Ok().json(head))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct InclusionQuery {
    /// The number of the entry.
    n: u64,
    /// Of the log that it is proved for, as a checkpoint says it; left out, the log as it is now.
    size: Option<u64>,
}

pub async fn inclusion(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
) -> Result<web::Json<InclusionProof>, Problem> {
    check_may_read(&by)?;
    let InclusionQuery { n, size } = query(&request)?;
    Ok(web::Json(api.log.prove_inclusion(n, size).await?))
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ConsistencyQuery {
    /// The size of the earlier log.
    from: u64,
    /// That of the later one; left out, the log as it is now.
    to: Option<u64>,
}

pub async fn consistency(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
) -> Result<web::Json<ConsistencyProof>, Problem> {
    check_may_read(&by)?;
    let ConsistencyQuery { from, to } = query(&request)?;
    Ok(web::Json(api.log.prove_consistency(from, to).await?))
}

impl From<ProofError> for Problem {
    fn from(fault: ProofError) -> Self {
        match fault {
            ProofError::OutOfRange(detail) => Self::bad_request("out-of-range", detail),
            ProofError::Tree(TreeError::Metadata(fault)) => fault.into(),
            fault => {
                tracing::error!(%fault, "the audit log can not be proved");
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "log-not-proved", fault.to_string())
            }
        }
    }
}

/// As entries name it; a pattern is as it stands in its rule.
fn spelt(package: &str) -> String {
    package.parse::<Package>().map_or_else(|_| package.to_owned(), |package| package.to_string())
}

fn actions(text: &str) -> Result<Vec<String>, Problem> {
    let known = |word: &&str| Action::ALL.iter().any(|action| action.as_str() == *word);
    let words: Vec<&str> = text.split(',').map(str::trim).take(MAX_ACTIONS).collect();
    if let Some(unknown) = words.iter().find(|word| !known(word)) {
        let words: Vec<&str> = Action::ALL.iter().map(|action| action.as_str()).collect();
        let near = policies::rules::nearest(unknown, &words);
        let near = near.map(|near| format!("did you mean {near}? ")).unwrap_or_default();
        let detail = format!("{near}what is logged: {}", words.join(", "));
        return Err(Problem::bad_request("unknown-action", detail));
    }
    Ok(words.into_iter().map(str::to_owned).collect())
}

fn raw(logged: &Logged) -> Result<Box<RawValue>, Problem> {
    let text = std::str::from_utf8(&logged.line).unwrap_or_default().to_owned();
    RawValue::from_string(text).map_err(|fault| {
        let cause = format!("it is no JSON: {fault}");
        let key = format!("audit/{}", logged.n);
        Problem::from(crate::metadata::MetadataError::Damaged { key, cause })
    })
}
