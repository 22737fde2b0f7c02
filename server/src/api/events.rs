//! `/events`: what happens here, as it happens.

use actix_web::http::StatusCode;
use actix_web::http::header::{AUTHORIZATION, COOKIE, HeaderMap, HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use policies::asker::is_team;
use policies::rules::Pattern;
use serde::Deserialize;

use super::problem::Problem;
use super::rules::query;
use super::table::{Endpoint, READ, get};
use super::{Api, By};
use crate::access::{Access, Caller, Person};
use crate::events::stream::Asked;
use crate::events::{Events, Sight, TooManyStreams, Wanted, WantedFault, parse_kinds};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies of one kind gather what is sent unless they are told not to.
const BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
/// Before the first entry.
const BEGIN: &str = "begin";

pub fn endpoints() -> Vec<Endpoint> {
    let summary = "What happens here, as it happens";
    vec![
        get("follow_events", "/events", READ, summary, follow)
            .note(
                "A stream that goes on; each event has the number of its entry in the log as `id`.",
            )
            .query::<EventsQuery>()
            .header("Last-Event-ID", "Where a stream broke off; goes before `after`.")
            .answers_text("text/event-stream", "Server-sent events.")
            .problems(&["invalid-package", "invalid-team", "unknown-kind", "unknown-cursor"])
            .problem("too-many-streams"),
    ]
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Begin behind this number, or at the `begin` of the log; left out: with what happens from now
    /// on. The header `Last-Event-ID` goes before it.
    after: Option<String>,
    /// Kinds, with commas between them: `request-made,refused`, `request-*`.
    kind: Option<String>,
    /// `npm:left-pad`, or a pattern.
    package: Option<String>,
    /// `unit/team`: what was done by it, or is about it.
    team: Option<String>,
}

pub async fn follow(
    api: web::Data<Api>,
    events: web::Data<Events>,
    by: By,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query: EventsQuery = query(&request)?;
    if Sight::of(&by).is_none() {
        return Err(Problem::forbidden(nothing_to_see(&by)));
    }
    let wanted = read_wanted(&query)?;
    let header = request.headers().get(LAST_EVENT_ID).map(|value| value.to_str().unwrap_or("?"));
    let from = read_cursor(header.or(query.after.as_deref()), &events).await?;
    let place = events.place(&holder(&by))?;
    let sight = still(api.access.clone(), request.headers());
    let stream = events.follow(place, Asked { wanted, from, sight });
    Ok(HttpResponse::Ok()
        .content_type("text/event-stream")
        .insert_header((BUFFERING, HeaderValue::from_static("no")))
        .streaming(stream))
}

fn nothing_to_see(by: &Person) -> String {
    let token = by.token.as_deref().unwrap_or_default();
    format!(
        "the token {token} is of no team, and may neither answer requests nor administer, so there is \
         no event that it may see"
    )
}

/// By what the streams of one token are counted.
fn holder(by: &Person) -> String {
    format!("{}\n{}", by.name, by.token.as_deref().unwrap_or_default())
}

/// Asks again who sent the request: a token ends, and its rights change.
fn still(access: Access, sent: &HeaderMap) -> Box<dyn Fn() -> Option<Sight>> {
    let mut headers = HeaderMap::new();
    for name in [AUTHORIZATION, COOKIE] {
        for value in sent.get_all(&name) {
            headers.append(name.clone(), value.clone());
        }
    }
    Box::new(move || match access.caller_or_session(&headers).0 {
        Caller::Known(person) => Sight::of(&person),
        Caller::Anonymous | Caller::Unknown | Caller::Invalid(_) => None,
    })
}

fn read_wanted(query: &EventsQuery) -> Result<Wanted, Problem> {
    let kinds = parse_kinds(query.kind.as_deref().unwrap_or_default().split(','))?;
    let package = query.package.as_deref().map(Pattern::parse).transpose();
    let package =
        package.map_err(|fault| Problem::bad_request("invalid-package", fault.to_string()))?;
    if query.team.as_deref().is_some_and(|team| !is_team(team)) {
        return Err(Problem::bad_request("invalid-team", "write a team as web/shop"));
    }
    Ok(Wanted { kinds, package, team: query.team.clone() })
}

/// The number of the first entry to look at.
async fn read_cursor(after: Option<&str>, events: &Events) -> Result<u64, Problem> {
    let size = events.log().size().await?;
    match after.map(str::trim) {
        None | Some("") => Ok(size),
        Some(BEGIN) => Ok(0),
        Some(text) => match text.parse::<u64>() {
            Ok(after) if after < size => Ok(after + 1),
            Ok(after) => {
                let detail = format!(
                    "there is no entry {after} yet: the log has {size}. If a backup was restored since \
                     this number was read, begin anew"
                );
                Err(Problem::bad_request("unknown-cursor", detail))
            }
            Err(_) => {
                let detail =
                    "a cursor is the number of an entry, as `id` of an event has it, or begin";
                Err(Problem::bad_request("unknown-cursor", detail))
            }
        },
    }
}

impl From<WantedFault> for Problem {
    fn from(fault: WantedFault) -> Self {
        Self::bad_request("unknown-kind", fault.to_string())
    }
}

impl From<TooManyStreams> for Problem {
    fn from(fault: TooManyStreams) -> Self {
        let detail = format!("{fault}: end one, or come back later");
        Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-streams", detail)
    }
}
