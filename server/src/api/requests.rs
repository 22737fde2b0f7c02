//! `/requests`: asking for what is refused, and what an approver needs to answer.

mod views;

use actix_web::http::StatusCode;
use actix_web::http::header::LOCATION;
use actix_web::{HttpRequest, HttpResponse, web};
use policies::advisories::holes;
use policies::asker::is_team;
use policies::package::{Package, PackageVersion, Version};
use policies::rules::Pattern;
use serde::Deserialize;

use super::advisories::KnownView;
use super::decisions::{self, decision_of};
use super::form::page::{self, Limit};
use super::problem::Problem;
use super::rules::{RuleView, json_body, query};
use super::table::{Endpoint, Needs, Once, READ, get, post};
use super::trials::{DRY_RUN, DryRun, tried};
use super::{Api, By};
use crate::access::rights::{Place, Right};
use crate::access::{Caller, Person};
use crate::metadata::records::{RequestRecord, Stage};
use crate::registries::closure::{Unmet, Verdict};
use crate::requests::{
    Approval, Ask, AskClosure, AskError, Asked, AskedClosure, CloseError, Meant, Numbered,
    Requests, Who,
};

pub use views::{
    ApproveBody, AskBody, AskedView, ClosureView, CommentBody, LockfileBody, Outcome, Outcomes,
    RejectBody, RejectedView, RequestDetail, RequestList, RequestRecordView, RequestView,
    StandingView, VersionView,
};

const MAX_PAGE: usize = 500;
/// Most requests that are closed by one call.
const MOST_AT_ONCE: usize = 500;
/// Of a dry run, which tries what was used of late for each.
const MOST_TRIED: usize = 10;

pub fn endpoints() -> Vec<Endpoint> {
    let (read, approver) = (READ, Needs::Some(Right::Approve));
    let numbered = |endpoint: Endpoint| endpoint.part::<u64>("number", "The request's number.");
    let ask = "Asks for a package; joins the request that is open for it";
    vec![
        get("list_requests", "/requests", read, "Requests of one state, by number", list)
            .query::<ListQuery>()
            .answers::<RequestList>(200, "A page of requests.")
            .problem("invalid-package"),
        // Whoever may be refused may ask.
        post("ask", "/requests", Needs::ReadOrNobody, ask, create)
            .takes::<AskBody>("What is asked for, and why.")
            .makes::<AskedView>("The request was made.")
            .answers::<AskedView>(200, "It was asked for already, and is now by one more.")
            .problems(&["invalid-package", "invalid-range", "invalid-reason", "invalid-team"])
            .problems(&[
                "name-with-token",
                "allowed-already",
                "too-many-requests",
                "what-is-asked-for",
            ])
            .problems(&[
                "closure-incomplete",
                "not-served-yet",
                "no-such-registry",
                "which-registry",
            ])
            .problems(&["unreadable-version", "unknown-package", "too-many-packages"])
            .problems(&["upstream-failed", "rules-unavailable", "busy"])
            .once(Once::Kept),
        numbered(get("show_request", "/requests/{number}", read, "One request", show))
            .note(
                "With all that an approver needs: who asks, the facts, and what stands against it.",
            )
            .answers::<RequestDetail>(200, "The request.")
            .problems(&["no-such-request", "document-unavailable"]),
        post("approve_requests", "/requests/approve", approver, "Approves requests", approve)
            .note("Each by itself: one that fails does not undo another.")
            .query::<DecideQuery>()
            .takes::<ApproveBody>("Which, and for whom.")
            .answers::<Outcomes>(200, "What became of each.")
            .problems(&["no-requests", "too-many"])
            .problems(DRY_RUN),
        post("reject_requests", "/requests/reject", approver, "Rejects requests", reject)
            .note("Each by itself: one that fails does not undo another.")
            .query::<DecideQuery>()
            .takes::<RejectBody>("Which, and why.")
            .answers::<Outcomes>(200, "What became of each.")
            .problems(&["no-requests", "too-many"]),
        numbered(post(
            "comment",
            "/requests/{number}/comments",
            Needs::Some(Right::Read),
            "Says something",
            comment,
        ))
        .takes::<CommentBody>("What is said.")
        .answers::<RequestView>(200, "The request.")
        .problems(&["no-such-request", "invalid-request", "closed-already"])
        .once(Once::Kept),
    ]
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DecideQuery {
    /// Change nothing. An approval of at most 10 requests then says what it would decide differently,
    /// and a rejection, which makes no rule, whether it could be.
    dry_run: Option<bool>,
}

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// `open`, where it is left out.
    state: Option<Stage>,
    /// `npm:left-pad` or a pattern: `npm:@types/*`
    package: Option<String>,
    /// Only requests of this team.
    team: Option<String>,
    /// Those alone that the one who lists them asks for, or was refused.
    #[serde(default)]
    mine: bool,
    /// Begin behind this number.
    after: Option<u64>,
    /// Of one page, at most; more than 500 is 500.
    #[param(inline)]
    limit: Option<Limit>,
}

pub async fn list(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let query: ListQuery = query(&request)?;
    let pattern = query.package.as_deref().map(Pattern::parse).transpose()?;
    let limit = Limit::of(query.limit, MAX_PAGE);
    let wanted = |record: &RequestRecord| {
        let is_meant = |pattern: &Pattern| {
            record.package.parse().is_ok_and(|package: Package| pattern.matches(&package))
        };
        pattern.as_ref().is_none_or(is_meant)
            && (!query.mine || is_asked_by(record, &by.name))
            && query.team.as_deref().is_none_or(|team| {
                record.askers.iter().any(|asker| asker.team.as_deref() == Some(team))
            })
    };
    let stage = query.state.unwrap_or(Stage::Open);
    let page = api.requests.list(stage, query.after, limit, wanted).await?;
    let requests = page.requests.into_iter().map(RequestView::from).collect();
    let page = RequestList { requests, next: page.next };
    Ok(page::answer(&request, &page, page.next.as_ref().map(|next| next as &dyn ToString)))
}

fn is_asked_by(record: &RequestRecord, name: &str) -> bool {
    record.askers.iter().any(|asker| asker.verified && asker.name.as_deref() == Some(name))
}

/// 201 with the request; 200 where it joined one that was open.
pub async fn create(
    api: web::Data<Api>,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<HttpResponse, Problem> {
    let body: AskBody = json_body(&request, body, "the request")?;
    let (caller, _) = api.access.caller_or_session(request.headers());
    let mut who = Who::of_request(&caller, &request);
    if !who.verified {
        who.name = body.name.as_deref().and_then(Who::self_given);
    } else if body.name.is_some() {
        let detail = "a token says who asks: leave `as` out, or send no token";
        return Err(Problem::bad_request("name-with-token", detail));
    }
    if let Some(team) = &body.team {
        if !is_team(team) {
            return Err(Problem::bad_request("invalid-team", "write a team as web/shop"));
        }
        // The word of a token stands.
        who.team.get_or_insert_with(|| team.clone());
    }
    who.build = body.build.as_deref().and_then(Who::self_given).or(who.build);
    let (asked, unmet) = ask(&api, body, who).await?;
    let rejected = asked.rejected.map(|(number, at, reason)| RejectedView { number, at, reason });
    let mut view = AskedView { request: asked.request.into(), rejected, unmet };
    let may_read = matches!(&caller, Caller::Known(person) if person.may(Right::Read));
    if !asked.created && !may_read {
        view.request.record.leave_out_others();
    }
    let mut response = if asked.created { HttpResponse::Created() } else { HttpResponse::Ok() };
    let location = format!("/api/v1/requests/{}", view.request.number);
    Ok(response.insert_header((LOCATION, location)).json(view))
}

/// One wish, or many versions as one.
async fn ask(api: &Api, body: AskBody, who: Who) -> Result<(Asked, Vec<Unmet>), Problem> {
    let AskBody { package, with_dependencies, lockfile, registry, reason, .. } = body;
    let meant = match (package, lockfile, with_dependencies) {
        (Some(package), None, false) => {
            return Ok((api.requests.ask(&Ask { package, reason, who }).await?, Vec::new()));
        }
        (Some(package), None, true) => Meant::Dependencies(package),
        (None, Some(LockfileBody { name, versions }), false) => Meant::Lockfile { name, versions },
        _ => {
            let detail = "say what is asked for: `package`, alone or with `with_dependencies`, or `lockfile`";
            return Err(Problem::bad_request("what-is-asked-for", detail));
        }
    };
    let ask = AskClosure { meant, registry, reason, who };
    let AskedClosure { asked, closure } = api.requests.ask_closure(&api.closures, &ask).await?;
    Ok((asked, closure.map(|closure| closure.unmet).unwrap_or_default()))
}

pub async fn show(
    api: web::Data<Api>,
    number: web::Path<String>,
) -> Result<web::Json<RequestDetail>, Problem> {
    let number = read_number(&number)?;
    let found = api.requests.get(number).await?.ok_or(CloseError::NoSuchRequest(number))?;
    let said = api.requests.comments(number).await?;
    let mut detail = RequestDetail {
        said,
        decision: None,
        advisories: None,
        standing: Vec::new(),
        request: found.clone().into(),
        versions: Vec::new(),
        versions_problem: None,
    };
    let team = the_only_team(&found.record);
    match api.requests.decided(&api.closures, &found, team.as_deref()).await {
        Ok(Some(decided)) => {
            detail.versions = decided.verdicts.into_iter().map(|one| version(&api, one)).collect();
            return Ok(web::Json(detail));
        }
        // Everything else of it is known all the same.
        Err(fault) => {
            detail.versions_problem = Some(fault.into());
            return Ok(web::Json(detail));
        }
        Ok(None) => {}
    }
    if let Some((package, version)) = Requests::example(&found.record) {
        let judged = api.requests.judge(&package, &version, team.as_deref()).await?;
        detail.standing = judged.standing.into_iter().map(StandingView::from).collect();
        detail.advisories = advisories(&api, &package, &version);
        let asked =
            decisions::Asked { package, version: Some(version), team, registry: judged.registry };
        detail.decision = Some(decision_of(&api, asked, None).await?);
    }
    Ok(web::Json(detail))
}

fn version(api: &Api, verdict: Verdict) -> VersionView {
    let PackageVersion { package, version } = &verdict.subject;
    let advisories = advisories(api, package, version);
    VersionView { standing: verdict.standing(), advisories, verdict }
}

/// Where all who ask are of one team, it is asked for that team.
fn the_only_team(record: &RequestRecord) -> Option<String> {
    let first = record.askers.first()?.team.clone()?;
    record.askers.iter().all(|asker| asker.team.as_ref() == Some(&first)).then_some(first)
}

fn advisories(api: &Api, package: &Package, version: &Version) -> Option<Vec<KnownView>> {
    let set = api.rules.current();
    let known = set.advisories().of(package)?;
    Some(holes(&known.affecting(version.as_str())).iter().map(KnownView::from).collect())
}

pub async fn approve(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<Outcomes>, Problem> {
    let DecideQuery { dry_run } = query(&request)?;
    let dry_run = dry_run.unwrap_or_default();
    let body: ApproveBody = json_body(&request, body, "the approval")?;
    check_count(&body.requests, if dry_run { MOST_TRIED } else { MOST_AT_ONCE })?;
    let mut outcomes = Vec::new();
    for number in distinct(&body.requests) {
        if let Err(problem) = check_approver(&api, &by, number).await {
            outcomes.push(Outcome::refused(number, problem));
            continue;
        }
        let approval = Approval {
            teams: body.scope.clone().filter(|scope| scope != "everyone").into_iter().collect(),
            versions: body.versions.clone(),
            expires: body.expires.clone(),
            reason: body.reason.clone(),
            waive: body.waive,
            link: link(&api, number),
            ..Approval::default()
        };
        if dry_run {
            outcomes.push(would_approve(&api, &by, number, &approval).await?);
            continue;
        }
        outcomes.push(match api.requests.approve(number, &approval, &by.name).await {
            Ok(approved) => Outcome {
                refused: still_refused(&api, &approved.request, approval.team()).await,
                decision: approved.now.map(|judged| judged.decision),
                ..Outcome::done(approved.request)
            },
            Err(fault) => Outcome::failed(number, fault),
        });
    }
    Ok(web::Json(Outcomes { outcomes }))
}

/// What an approval would do; nothing is changed.
async fn would_approve(
    api: &Api,
    by: &Person,
    number: u64,
    approval: &Approval,
) -> Result<Outcome, Problem> {
    let (rules, candidate) = match api.requests.would_approve(number, approval, &by.name).await {
        Ok(made) => made,
        Err(fault) => return Ok(Outcome::failed(number, fault)),
    };
    let made = rules.iter().map(|rule| RuleView::new(rule, api.clock.now())).collect();
    let report = tried(api, candidate).await?;
    let would = Some(DryRun { made, removed: Vec::new(), report });
    Ok(Outcome { would, ..Outcome::nothing(number) })
}

/// Whoever approves some packages alone answers what is asked about these.
async fn check_approver(api: &Api, by: &Person, number: u64) -> Result<(), Problem> {
    check_about(api, by, Right::Approve, number).await
}

/// A right that is for some packages alone is for what is asked about these.
async fn check_about(api: &Api, by: &Person, right: Right, number: u64) -> Result<(), Problem> {
    if by.may(right) {
        return Ok(());
    }
    let found = api.requests.get(number).await?.ok_or(CloseError::NoSuchRequest(number))?;
    let mut packages: Vec<Package> = vec![found.record.package.parse()?];
    let versions = api.requests.versions_of(number, &found.record).await?;
    packages.extend(versions.into_iter().map(|version| version.package));
    for package in &packages {
        by.check(right, &Place::package(package)).map_err(Problem::forbidden)?;
    }
    Ok(())
}

/// Of many versions that were approved: those that a rule keeps refusing.
async fn still_refused(api: &Api, request: &Numbered, team: Option<&str>) -> Vec<Verdict> {
    match api.requests.decided(&api.closures, request, team).await {
        Ok(Some(decided)) => {
            let verdicts = decided.verdicts.into_iter();
            verdicts.filter(|verdict| !verdict.decision.is_allowed()).collect()
        }
        Ok(None) => Vec::new(),
        Err(fault) => {
            tracing::warn!(request = request.number, %fault, "what stays refused of it is not known now");
            Vec::new()
        }
    }
}

pub async fn reject(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<Outcomes>, Problem> {
    let DecideQuery { dry_run } = query(&request)?;
    let body: RejectBody = json_body(&request, body, "the rejection")?;
    check_count(&body.requests, MOST_AT_ONCE)?;
    let mut outcomes = Vec::new();
    for number in distinct(&body.requests) {
        if let Err(problem) = check_approver(&api, &by, number).await {
            outcomes.push(Outcome::refused(number, problem));
            continue;
        }
        let rejected = if dry_run.unwrap_or_default() {
            api.requests.would_reject(number, Some(&body.reason)).await
        } else {
            api.requests.reject(number, Some(&body.reason), &by.name).await
        };
        outcomes.push(match rejected {
            Ok(rejected) => Outcome::done(rejected),
            Err(fault) => Outcome::failed(number, fault),
        });
    }
    Ok(web::Json(Outcomes { outcomes }))
}

pub async fn comment(
    api: web::Data<Api>,
    by: By,
    request: HttpRequest,
    number: web::Path<String>,
    body: Result<web::Bytes, actix_web::Error>,
) -> Result<web::Json<RequestView>, Problem> {
    let body: CommentBody = json_body(&request, body, "the comment")?;
    let number = read_number(&number)?;
    check_about(&api, &by, Right::Read, number).await?;
    let found = api.requests.comment(number, &body.text, &by.name).await?;
    Ok(web::Json(found.into()))
}

fn link(api: &Api, number: u64) -> Option<String> {
    let base = api.public_url.as_ref()?.as_str().trim_end_matches('/');
    Some(format!("{base}/api/v1/requests/{number}"))
}

fn read_number(text: &str) -> Result<u64, Problem> {
    text.parse().map_err(|_| {
        let text: String = text.chars().take(80).collect();
        Problem::not_found("no-such-request", format!("{text:?} is no number of a request"))
    })
}

fn check_count(requests: &[u64], most: usize) -> Result<(), Problem> {
    match requests.len() {
        0 => Err(Problem::bad_request("no-requests", "say which: {\"requests\": [12]}")),
        count if count > most => {
            let detail = format!("{count} requests are more than {most} at once");
            Err(Problem::bad_request("too-many", detail))
        }
        _ => Ok(()),
    }
}

/// Each once, in the order in which they were given.
fn distinct(numbers: &[u64]) -> Vec<u64> {
    let mut seen = std::collections::HashSet::new();
    numbers.iter().copied().filter(|number| seen.insert(*number)).collect()
}

impl From<AskError> for Problem {
    fn from(fault: AskError) -> Self {
        let detail = fault.to_string();
        match fault {
            AskError::Package(fault) => fault.into(),
            AskError::Metadata(fault) => fault.into(),
            AskError::Range(_) => Self::bad_request("invalid-range", detail),
            AskError::Reason(_) => Self::bad_request("invalid-reason", detail),
            AskError::Closure(fault) => fault.into(),
            AskError::Incomplete(..) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "closure-incomplete", detail)
            }
            AskError::Allowed(..) => Self::new(StatusCode::CONFLICT, "allowed-already", detail),
            AskError::TooMany(_) => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "too-many-requests", detail)
            }
        }
    }
}

impl From<CloseError> for Problem {
    fn from(fault: CloseError) -> Self {
        let detail = fault.to_string();
        let conflict = |code| Self::new(StatusCode::CONFLICT, code, detail.clone());
        match fault {
            CloseError::NoSuchRequest(_) => Self::not_found("no-such-request", detail),
            CloseError::Closed { .. } => conflict("closed-already"),
            CloseError::Own { .. } => Self::new(StatusCode::FORBIDDEN, "own-approval", detail),
            CloseError::Stands(_) => conflict("needs-waiver"),
            CloseError::NoReason | CloseError::NoText | CloseError::Invalid(_) => {
                Self::bad_request("invalid-request", detail)
            }
            CloseError::Rule(fault) => fault.into(),
            CloseError::Metadata(fault) => fault.into(),
        }
    }
}
