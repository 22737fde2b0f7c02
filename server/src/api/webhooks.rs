//! `/webhooks`: where events are sent, and what came of it. For whoever may administer.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use url::Url;

use super::By;
use super::form::page::{self, Limit, PageQuery};
use super::problem::{Problem, ProblemFault};
use super::rules::{json_body, query};
use super::table::{ADMINISTER, Endpoint, Once, delete, get, post};
use crate::metadata::records::{AttemptRecord, DeliveryRecord, DeliveryState};
use crate::webhooks::{DEFAULT_GRACE, MAX_WEBHOOKS, NewWebhook, Shown, WebhookError, Webhooks};

/// Names of kinds in one question.
const MAX_KINDS: usize = 50;

pub fn endpoints() -> Vec<Endpoint> {
    let named = |endpoint: Endpoint| {
        endpoint.part::<String>("name", "The name of the webhook.").problem("no-such-webhook")
    };
    let (again, trial) =
        ("Sends a delivery again", "Sends a trial event, and says what came of it");
    let (secret, rest) = ("A new secret", "Sends again after it was stopped");
    let told = "What was sent of late, and what waits";
    vec![
        get("list_webhooks", "/webhooks", ADMINISTER, "Webhooks, by name", list)
            .query::<PageQuery>()
            .answers::<WebhookList>(200, "A page of webhooks, by name."),
        post("create_webhook", "/webhooks", ADMINISTER, "Makes a webhook", create)
            .takes::<WebhookRequest>("Where events are sent, and which.")
            .answers::<SecretView>(201, "The webhook, with its secret, which is never shown again.")
            .problems(&["invalid-webhook", "unknown-kind", "taken", "no-randomness"])
            .once(Once::Secret),
        named(get("show_webhook", "/webhooks/{name}", ADMINISTER, "One webhook", show))
            .answers::<WebhookView>(200, "The webhook."),
        named(delete("remove_webhook", "/webhooks/{name}", ADMINISTER, "Removes it", remove))
            .answers_nothing("Nothing is sent there any more.")
            .problem("wrong-state"),
        named(post("test_webhook", "/webhooks/{name}/test", ADMINISTER, trial, test))
            .answers::<AttemptView>(200, "What came of it, also where it did not arrive."),
        named(post("rotate_webhook", "/webhooks/{name}/rotate", ADMINISTER, secret, rotate))
            .takes::<RotateRequest>("How long the secret of before goes on signing.")
            .answers::<SecretView>(200, "The webhook, with its new secret.")
            .problems(&["invalid-webhook", "no-randomness", "wrong-state"])
            .once(Once::Secret),
        named(post("resume_webhook", "/webhooks/{name}/resume", ADMINISTER, rest, resume))
            .takes::<ResumeRequest>("With what it goes on.")
            .answers::<WebhookView>(200, "The webhook, as it is now.")
            .problem("wrong-state"),
        named(get("list_deliveries", "/webhooks/{name}/deliveries", ADMINISTER, told, deliveries))
            .query::<DeliveryQuery>()
            .answers::<DeliveryList>(200, "The newest first."),
        named(post(
            "redeliver",
            "/webhooks/{name}/deliveries/{id}/redeliver",
            ADMINISTER,
            again,
            redeliver,
        ))
        .part::<u64>("id", "The number of the event.")
        .answers::<DeliveryView>(200, "The delivery, which waits again.")
        .problems(&["no-such-delivery", "wrong-state"]),
    ]
}

/// How a webhook stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "kebab-case")]
#[schema(as = WebhookStanding)]
pub enum Standing {
    Works,
    /// What was tried last did not arrive.
    Failing,
    /// Nothing is sent.
    Stopped,
}

/// A webhook, without its secrets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Webhook)]
pub struct WebhookView {
    /// By which it is called.
    pub name: String,
    /// Without what stands behind a `?`.
    pub url: String,
    /// Kinds of events; empty: every kind.
    pub events: Vec<String>,
    /// Then only what this team may be told.
    pub team: Option<String>,
    pub standing: Standing,
    /// Since when nothing arrived that was tried.
    pub failing_since: Option<Timestamp>,
    /// Since when nothing is sent.
    pub stopped: Option<Timestamp>,
    /// Why, in words.
    pub stopped_because: Option<String>,
    /// When something arrived last.
    pub delivered: Option<Timestamp>,
    /// Deliveries that are tried again, or for the first time.
    pub waiting: usize,
    /// The first entry of the audit log that was not looked at.
    pub next: u64,
    /// Of a rotated one: until when the secret of before signs, too.
    pub older_until: Option<Timestamp>,
    /// When it was made.
    pub created: Timestamp,
    /// Who made it.
    pub created_by: String,
}

impl From<Shown> for WebhookView {
    fn from(shown: Shown) -> Self {
        let Shown { name, record, cursor, waiting } = shown;
        let standing = match (&record.stopped, cursor.failing) {
            (Some(_), _) => Standing::Stopped,
            (None, Some(_)) => Standing::Failing,
            (None, None) => Standing::Works,
        };
        let (stopped, stopped_because) =
            record.stopped.map_or((None, None), |stopped| (Some(stopped.at), Some(stopped.why)));
        Self {
            name,
            url: shown_url(&record.url),
            events: record.kinds,
            team: record.team,
            standing,
            failing_since: cursor.failing,
            stopped,
            stopped_because,
            delivered: cursor.delivered,
            waiting,
            next: cursor.next,
            older_until: record.secrets.get(1).and_then(|secret| secret.until),
            created: record.created,
            created_by: record.created_by,
        }
    }
}

/// What stands behind a `?` is often a secret.
fn shown_url(url: &str) -> String {
    let Ok(mut shown) = url.parse::<Url>() else { return String::new() };
    if shown.query().is_some() {
        shown.set_query(Some("..."));
    }
    shown.into()
}

/// A page of webhooks.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct WebhookList {
    /// By name.
    pub webhooks: Vec<WebhookView>,
    /// Give this as `after` for the next page.
    pub next: Option<String>,
}

/// A webhook that is to be made.
#[derive(Clone, Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = NewWebhook)]
pub struct WebhookRequest {
    /// Where events are sent.
    pub url: String,
    /// Kinds of events, `request-*` for those that begin so; `*` for all.
    pub events: Vec<String>,
    /// `unit/team`: only what this team may be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Left out, the host's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// A webhook that was made or rotated.
#[derive(Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = WebhookSecret)]
pub struct SecretView {
    #[serde(flatten)]
    pub webhook: WebhookView,
    /// `whsec_…`: shown once.
    pub secret: String,
    /// Of a rotated one: until when the secret of before signs, too.
    pub before_until: Option<Timestamp>,
}

/// How a webhook gets a new secret.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = WebhookRotation)]
pub struct RotateRequest {
    /// How long the secret of before goes on signing; left out: a day.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub grace_seconds: Option<u32>,
}

/// With what a stopped webhook goes on.
#[derive(Debug, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = Resumption)]
pub struct ResumeRequest {
    /// What waits is given up, and so is what happened since.
    #[serde(default)]
    pub from_now: bool,
}

/// One event on its way to one webhook.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Delivery)]
pub struct DeliveryView {
    /// The number of the event.
    pub id: u64,
    /// Its kind.
    pub event: String,
    pub state: DeliveryState,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was taken up, or sent again by a person.
    pub since: Timestamp,
    /// While it waits: when it is tried next.
    pub next: Option<Timestamp>,
    /// What came of the last try; absent before the first.
    pub last: Option<AttemptView>,
}

/// What came of a try.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Attempt)]
pub struct AttemptView {
    /// When it was tried.
    pub at: Timestamp,
    /// How long it took.
    pub millis: u64,
    /// That the receiver answered; absent where there was no answer.
    pub status: Option<u16>,
    /// Why it failed, or what the receiver said: the beginning, on one line.
    pub said: String,
}

impl From<AttemptRecord> for AttemptView {
    fn from(record: AttemptRecord) -> Self {
        let AttemptRecord { at, millis, status, said } = record;
        Self { at, millis, status, said }
    }
}

impl DeliveryView {
    fn new(id: u64, record: DeliveryRecord) -> Self {
        let DeliveryRecord { kind: event, state, attempts, since, next, last } = record;
        let next = (state == DeliveryState::Waiting).then_some(next);
        Self { id, event, state, attempts, since, next, last: last.map(AttemptView::from) }
    }
}

/// The newest first.
#[derive(Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DeliveryList {
    /// The newest first.
    pub deliveries: Vec<DeliveryView>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DeliveryQuery {
    /// `waiting`, `delivered` or `given-up`.
    #[param(inline)]
    state: Option<DeliveryState>,
}

pub async fn list(
    webhooks: web::Data<Webhooks>,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let PageQuery { after, limit } = query(&request)?;
    let limit = Limit::of(limit, MAX_WEBHOOKS);
    let mut webhooks: Vec<WebhookView> =
        webhooks.list().await?.into_iter().map(WebhookView::from).collect();
    webhooks.retain(|webhook| after.as_deref().is_none_or(|after| &*webhook.name > after));
    let next = page::cut(&mut webhooks, limit, |webhook| webhook.name.clone());
    let page = WebhookList { webhooks, next };
    Ok(page::answer(&request, &page, page.next.as_ref().map(|next| next as &dyn ToString)))
}

pub async fn show(
    webhooks: web::Data<Webhooks>,
    name: web::Path<String>,
) -> Result<web::Json<WebhookView>, Problem> {
    Ok(web::Json(webhooks.get(&name).await?.into()))
}

pub async fn create(
    webhooks: web::Data<Webhooks>,
    by: By,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let WebhookRequest { url, events, team, name } = json_body(&request, body, "the webhook")?;
    if events.is_empty() || events.len() > MAX_KINDS {
        let detail = "say which events: {\"events\": [\"request-*\"]}, or [\"*\"] for all";
        return Err(Problem::bad_request("unknown-kind", detail));
    }
    let new = NewWebhook { name, url, kinds: events, team };
    let (shown, secret) = webhooks.create(&by, new).await?;
    let view = SecretView { webhook: shown.into(), secret: secret.reveal(), before_until: None };
    Ok(HttpResponse::Created().json(view))
}

pub async fn remove(
    webhooks: web::Data<Webhooks>,
    by: By,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    webhooks.remove(&by, &name).await?;
    Ok(HttpResponse::NoContent().finish())
}

/// 200 with what came of it, also where it did not arrive.
pub async fn test(
    webhooks: web::Data<Webhooks>,
    by: By,
    name: web::Path<String>,
) -> Result<web::Json<AttemptView>, Problem> {
    Ok(web::Json(webhooks.test(&by, &name).await?.into()))
}

pub async fn rotate(
    webhooks: web::Data<Webhooks>,
    by: By,
    name: web::Path<String>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<SecretView>, Problem> {
    let asked: RotateRequest = json_body(&request, body, "the rotation")?;
    let grace =
        asked.grace_seconds.map_or(DEFAULT_GRACE, |grace| Duration::from_secs(grace.into()));
    let (shown, secret, until) = webhooks.rotate(&by, &name, grace).await?;
    let before_until = Some(until);
    Ok(web::Json(SecretView { webhook: shown.into(), secret: secret.reveal(), before_until }))
}

pub async fn resume(
    webhooks: web::Data<Webhooks>,
    by: By,
    name: web::Path<String>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<WebhookView>, Problem> {
    let asked: ResumeRequest = json_body(&request, body, "what to resume with")?;
    Ok(web::Json(webhooks.resume(&by, &name, asked.from_now).await?.into()))
}

pub async fn deliveries(
    webhooks: web::Data<Webhooks>,
    name: web::Path<String>,
    request: HttpRequest,
) -> Result<web::Json<DeliveryList>, Problem> {
    let DeliveryQuery { state } = query(&request)?;
    let all = webhooks.deliveries(&name).await?.into_iter();
    let wanted = all.filter(|(_, record)| state.is_none_or(|state| record.state == state));
    let deliveries = wanted.map(|(n, record)| DeliveryView::new(n, record)).collect();
    Ok(web::Json(DeliveryList { deliveries }))
}

pub async fn redeliver(
    webhooks: web::Data<Webhooks>,
    by: By,
    path: web::Path<(String, String)>,
) -> Result<web::Json<DeliveryView>, Problem> {
    let (name, id) = path.into_inner();
    let n = id.parse().map_err(|_| {
        let id: String = id.chars().take(60).collect();
        Problem::not_found("no-such-delivery", format!("{id:?} is no number of an event"))
    })?;
    Ok(web::Json(DeliveryView::new(n, webhooks.redeliver(&by, &name, n).await?)))
}

impl From<WebhookError> for Problem {
    fn from(fault: WebhookError) -> Self {
        let detail = fault.to_string();
        match fault {
            WebhookError::Invalid { field, message } => {
                let mut problem = Self::bad_request("invalid-webhook", detail);
                let remedy = "docs/events.md says what a webhook takes".to_owned();
                problem.faults.push(ProblemFault { field: field.to_owned(), message, remedy });
                problem
            }
            WebhookError::Kinds(fault) => fault.into(),
            WebhookError::NoSuchWebhook { .. } => Self::not_found("no-such-webhook", detail),
            WebhookError::NoSuchDelivery { .. } => Self::not_found("no-such-delivery", detail),
            WebhookError::Taken(_) => Self::new(StatusCode::CONFLICT, "taken", detail),
            WebhookError::State(_) => Self::new(StatusCode::CONFLICT, "wrong-state", detail),
            WebhookError::Key(_) => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, "no-randomness", detail)
            }
            WebhookError::Metadata(fault) => fault.into(),
        }
    }
}
