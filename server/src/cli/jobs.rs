//! `garth jobs`: what the server does in the background, and that it do it now.

use std::fmt::Write as _;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, ClientError, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::api::jobs::{JobList, JobView};
use crate::config::EnvSnapshot;

/// How often it is looked whether a run is over.
const LOOK: Duration = Duration::from_secs(1);

/// Show what the server does in the background, and have it done now
#[derive(Args, Debug)]
pub struct JobsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    List(List),
    Run(Run),
}

/// List the jobs: when each last ran, what came of it, and when it is due
///
/// Ends with 1 where the last run of one failed.
#[derive(Args, Debug)]
struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Run a job now; where it runs already, once more behind that
#[derive(Args, Debug)]
struct Run {
    /// Its name, as `garth jobs list` shows it
    #[arg(value_name = "JOB")]
    name: String,
    /// Wait until the run is over, and end with 1 where it failed
    #[arg(long)]
    wait: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl JobsCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        match self.action {
            Action::List(list) => list.run(env),
            Action::Run(run) => run.run(env),
        }
    }
}

impl List {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let JobList { jobs } = client.get(&["jobs"], &[]).await?;
            if self.json {
                print_json(&jobs);
            } else {
                print(&jobs.iter().map(told).collect::<String>());
            }
            Ok(if jobs.iter().any(failed) { Exit::Findings } else { Exit::Done })
        })
    }
}

impl Run {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let path = ["jobs", &self.name];
            let before: JobView = client.get(&path, &[]).await?;
            let runs = ["jobs", &self.name, "runs"];
            let (mut job, _): (JobView, bool) = client.post(&runs, &()).await?;
            // That which runs already is not the one that was asked for.
            let over = before.runs + 1 + u64::from(before.running.is_some());
            while self.wait && job.runs < over {
                tokio::time::sleep(LOOK).await;
                job = client.get(&path, &[]).await?;
            }
            if self.json {
                print_json(&job);
            } else if self.wait {
                print(&told(&job));
            } else {
                print(&format!("asked to run: {}\n", job.name));
            }
            Ok::<_, ClientError>(if self.wait && failed(&job) {
                Exit::Findings
            } else {
                Exit::Done
            })
        })
    }
}

fn failed(job: &JobView) -> bool {
    job.last.as_ref().is_some_and(|last| last.fault.is_some())
}

fn told(job: &JobView) -> String {
    let mut text = format!("{}  {}\n   ", job.name, job.about);
    if let Some(since) = job.running {
        let _ = write!(text, " runs since {since:.0};");
    }
    match &job.last {
        None => text += " has not ended yet since the start",
        Some(last) => {
            let (came, why) = match &last.fault {
                None => ("done", String::new()),
                Some(fault) => ("FAILED", format!(": {fault}")),
            };
            let _ = write!(text, " {came} at {:.0}{why}", last.ended);
        }
    }
    let _ = write!(text, "; {} runs, {} failed", job.runs, job.failures);
    if let Some(next) = job.next {
        let _ = write!(text, "; due {next:.0}");
    }
    text + "\n"
}
