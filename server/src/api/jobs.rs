//! `/jobs`: what is done in the background, and that it be done now.

use actix_web::{HttpResponse, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Api;
use super::problem::Problem;
use super::status::Vitals;
use super::table::{ADMINISTER, Endpoint, READ, get, post};
use crate::audit::{Action, Entry};
use crate::jobs::{Job, Run, Seen};
use crate::metadata::{Batch, Metadata, MetadataError};
use crate::observability::redact::redacted;

pub fn endpoints() -> Vec<Endpoint> {
    let named = |endpoint: Endpoint| {
        endpoint.part::<String>("name", "The name of the job.").problem("no-such-job")
    };
    let (one, run) = ("One job", "Runs a job now");
    vec![
        get("list_jobs", "/jobs", READ, "What is done in the background, by name", list)
            .note(
                "Runs are counted since the start. The queues of webhooks are told by `/webhooks`.",
            )
            .answers::<JobList>(200, "All of them."),
        named(get("show_job", "/jobs/{name}", READ, one, show))
            .answers::<JobView>(200, "When it last ran, what came of it, and when it is due."),
        named(post("run_job", "/jobs/{name}/runs", ADMINISTER, run, run_now))
            .note(
                "Where it runs already, it runs once more behind that. That somebody asked is in the audit log.",
            )
            .answers::<JobView>(202, "It was asked to run; `runs` says when that is over."),
    ]
}

/// What is done in the background, again and again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = Job)]
pub struct JobView {
    /// By which it is called.
    pub name: String,
    /// What it does, in one line.
    pub about: String,
    /// Since when it runs; absent while it rests.
    pub running: Option<Timestamp>,
    /// When it runs by itself the next time, as far as that is known.
    pub next: Option<Timestamp>,
    /// Runs that came to their end since the start.
    pub runs: u64,
    /// Those of them that failed.
    pub failures: u64,
    /// The one that ended last.
    pub last: Option<RunView>,
}

/// A run that came to its end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[schema(as = JobRun)]
pub struct RunView {
    pub began: Timestamp,
    pub ended: Timestamp,
    /// Why it failed, in words; absent where it did not.
    pub fault: Option<String>,
}

/// All jobs.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct JobList {
    /// By name.
    pub jobs: Vec<JobView>,
}

impl JobView {
    fn of(job: &Job) -> Self {
        let Seen { runs, failures, running, next, last } = job.seen();
        let last = last.map(|Run { began, ended, fault }| {
            let fault = fault.map(|why| redacted(&why).into_owned());
            RunView { began, ended, fault }
        });
        let (name, about) = (job.name().to_owned(), job.about().to_owned());
        Self { name, about, running, next, runs, failures, last }
    }
}

pub async fn list(vitals: web::Data<Vitals>) -> web::Json<JobList> {
    web::Json(JobList { jobs: vitals.jobs.all().iter().map(JobView::of).collect() })
}

pub async fn show(
    vitals: web::Data<Vitals>,
    name: web::Path<String>,
) -> Result<web::Json<JobView>, Problem> {
    Ok(web::Json(JobView::of(&find(&vitals, &name)?)))
}

/// 202: some take long, and nobody waits for them here.
pub async fn run_now(
    api: web::Data<Api>,
    vitals: web::Data<Vitals>,
    name: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let job = find(&vitals, &name)?;
    ask(&job, api.memory.metadata.as_ref(), api.clock.now()).await?;
    Ok(HttpResponse::Accepted().json(JobView::of(&job)))
}

/// What is done by hand is on record before it is done.
async fn ask(job: &Job, metadata: &dyn Metadata, now: Timestamp) -> Result<(), MetadataError> {
    let entry = Entry::new(Action::JobAsked).subject(&format!("job {}", job.name()));
    metadata.commit(Batch::default().note(entry, now)).await?;
    job.ask();
    Ok(())
}

fn find(vitals: &Vitals, name: &str) -> Result<Job, Problem> {
    vitals.jobs.find(name).ok_or_else(|| {
        let name: String = name.chars().take(80).collect();
        Problem::not_found("no-such-job", format!("there is no job {name:?}"))
    })
}

#[cfg(test)]
mod tests;
