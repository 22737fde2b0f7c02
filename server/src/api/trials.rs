//! `/policy/backtest` and `/policy/diff`: policy files that are not in force, tried.
//!
//! What is sent are the files' texts; rules made by commands, and advisories, are beside them as
//! they are now.

use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::{HttpRequest, web};
use bytes::BytesMut;
use futures_util::StreamExt as _;
use policies::rules::{Fault, RuleSet};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::Api;
use super::form::page::Limit;
use super::problem::{Problem, ProblemFault};
use super::recorded::since;
use super::rules::{RuleView, check_json, query};
use super::table::{ADMINISTER, Endpoint, post};
use crate::recorded::trial::{Trial, TrialError, TrialReport};
use crate::rules::{BesideFiles, MAX_TOTAL, PolicyText};

/// The texts, as JSON writes them.
pub const MAX_POLICIES: u64 = MAX_TOTAL + MAX_TOTAL / 4;
const LINES: usize = 1000;
const MAX_LINES: usize = 10_000;

#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[serde(deny_unknown_fields)]
pub struct TrialQuery {
    /// A duration such as `30d`, or a time.
    since: Option<String>,
    /// Of a backtest: hold it against what the rules in force would have decided then.
    in_force: Option<bool>,
    /// Lines of the report, at most; more than 10000 is 10000.
    #[param(inline)]
    limit: Option<Limit>,
}

/// The candidate.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Candidate {
    /// The policy files.
    pub files: Vec<PolicyText>,
    /// Of a diff: what it is held against, else what is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Vec<PolicyText>>,
}

pub fn endpoints() -> Vec<Endpoint> {
    let told = |endpoint: Endpoint| {
        endpoint
            .query::<TrialQuery>()
            .takes::<Candidate>("The policy files.")
            .of_at_most(MAX_POLICIES)
            .answers::<TrialReport>(200, "What would be decided differently.")
            .problems(&["invalid-policies", "invalid-candidate", "invalid-since"])
            .problems(&["busy", "trial-failed"])
    };
    let (on_use, beside) = ("Policies, tried on recorded use", "Policies, held against others");
    vec![
        told(post("backtest_policies", "/policy/backtest", ADMINISTER, on_use, backtest)),
        told(post("diff_policies", "/policy/diff", ADMINISTER, beside, diff)),
    ]
}

pub async fn backtest(
    api: web::Data<Api>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<web::Json<TrialReport>, Problem> {
    let query: TrialQuery = query(&request)?;
    check_json(&request, "the policies")?;
    let _place = place(&api)?;
    let Candidate { files, before } = read(body).await?;
    if before.is_some() {
        let detail = "a backtest is held against what was recorded: `before` is for a diff";
        return Err(Problem::bad_request("invalid-candidate", detail));
    }
    let before = query.in_force.unwrap_or(false).then(|| api.rules.current());
    let (candidate, _) = compile(&api, files, None).await?;
    let trial = trial(&api, &query, candidate)?;
    Ok(web::Json(trial.backtest(before).await?))
}

pub async fn diff(
    api: web::Data<Api>,
    request: HttpRequest,
    body: web::Payload,
) -> Result<web::Json<TrialReport>, Problem> {
    let query: TrialQuery = query(&request)?;
    check_json(&request, "the policies")?;
    let _place = place(&api)?;
    let Candidate { files, before } = read(body).await?;
    let (candidate, before) = compile(&api, files, before).await?;
    let before = before.map_or_else(|| api.rules.current(), Arc::new);
    let trial = trial(&api, &query, candidate)?;
    Ok(web::Json(trial.diff(before).await?))
}

/// What a set of rules decides differently from that which is in force, on what was used of late and
/// what is cached.
pub(super) async fn tried(api: &Api, candidate: RuleSet) -> Result<TrialReport, Problem> {
    let _place = place(api)?;
    let query = TrialQuery { since: None, in_force: None, limit: None };
    let trial = trial(api, &query, candidate)?;
    Ok(trial.diff(api.rules.current()).await?)
}

/// How a dry run fails.
pub(super) const DRY_RUN: &[&str] = &["busy", "rules-unavailable", "trial-failed"];

/// What a change of the rules would do. Nothing was changed.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct DryRun {
    /// Rules that would be made.
    pub made: Vec<RuleView>,
    /// Rules that would be taken back.
    pub removed: Vec<RuleView>,
    pub report: TrialReport,
}

/// Each trial takes memory and a processor for as long as it lasts.
fn place(api: &Api) -> Result<tokio::sync::OwnedSemaphorePermit, Problem> {
    api.recorder.place_for_trial().ok_or_else(|| {
        let detail = "another trial of policies is running: come again when it is done";
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail)
    })
}

fn trial(api: &Api, query: &TrialQuery, candidate: RuleSet) -> Result<Trial, Problem> {
    let since = since(query.since.as_deref().unwrap_or("30d"), api.clock.now())?;
    let lines = Limit::usually(query.limit, LINES, MAX_LINES);
    Ok(Trial {
        recorder: api.recorder.clone(),
        names: Arc::clone(&api.memory.registries),
        registries: Arc::clone(&api.registries),
        candidate,
        since,
        lines,
    })
}

async fn compile(
    api: &Api,
    files: Vec<PolicyText>,
    before: Option<Vec<PolicyText>>,
) -> Result<(RuleSet, Option<RuleSet>), Problem> {
    let beside = api.rules.beside_files().await.map_err(|cause| {
        let detail = format!("the advisories cannot be read: {cause}");
        Problem::new(StatusCode::SERVICE_UNAVAILABLE, "store-unavailable", detail)
    })?;
    let compiling = move || -> Result<_, Vec<Fault>> {
        let set = |beside: &BesideFiles, files: &[PolicyText]| beside.with_files(files);
        let before = before.map(|files| set(&beside, &files)).transpose()?;
        Ok((set(&beside, &files)?, before))
    };
    let compiled = tokio::task::spawn_blocking(compiling).await;
    let failed = |fault: tokio::task::JoinError| {
        tracing::error!(%fault, "policies that were sent could not be compiled");
        let status = StatusCode::INTERNAL_SERVER_ERROR;
        Problem::new(status, "trial-failed", "the policies could not be compiled; see the log")
    };
    compiled.map_err(failed)?.map_err(Problem::from)
}

async fn read<T: DeserializeOwned>(mut body: web::Payload) -> Result<T, Problem> {
    let mut bytes = BytesMut::new();
    while let Some(piece) = body.next().await {
        let broken = |_| Problem::bad_request("broken-body", "what was sent broke off");
        let piece = piece.map_err(broken)?;
        if (bytes.len() + piece.len()) as u64 > MAX_POLICIES {
            let detail = format!("at most {MAX_POLICIES} bytes of policies are tried at once");
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", detail));
        }
        bytes.extend_from_slice(&piece);
    }
    serde_json::from_slice(&bytes).map_err(|fault| {
        let detail = format!("send {{\"files\": [{{\"name\": …, \"text\": …}}]}}: {fault}");
        Problem::bad_request("invalid-json", detail)
    })
}

/// Of many faults the first ones: who mends those sends it again.
const MAX_FAULTS: usize = 1000;

impl From<Vec<Fault>> for Problem {
    fn from(faults: Vec<Fault>) -> Self {
        let detail = format!("the policies have {} faults; nothing was tried", faults.len());
        let mut problem = Self::bad_request("invalid-policies", detail);
        problem.faults = faults.into_iter().take(MAX_FAULTS).map(ProblemFault::from).collect();
        problem
    }
}

impl From<Fault> for ProblemFault {
    fn from(fault: Fault) -> Self {
        let Fault { file, line, column, message, remedy } = fault;
        let field = if line > 0 { format!("{file}:{line}:{column}") } else { file };
        Self { field, message, remedy }
    }
}

impl From<TrialError> for Problem {
    fn from(error: TrialError) -> Self {
        match error {
            TrialError::Metadata(error) => error.into(),
            TrialError::Internal(cause) => {
                tracing::error!(cause, "a trial of policies failed");
                let status = StatusCode::INTERNAL_SERVER_ERROR;
                Self::new(status, "trial-failed", "the trial failed; the server's log says why")
            }
        }
    }
}
