//! `garth request`: asks for what is refused.

use std::fmt::Write as _;

use clap::Args;
use policies::package::Spelling;

use super::Exit;
use super::client::{Client, ClientError, ServerArgs};
use super::talk::{print, print_json, tell, with_client};
use crate::api::requests::{AskBody, AskedView};
use crate::config::EnvSnapshot;

/// Ask for packages that are refused
///
/// Joins the request that is open, or opens one; an approver sees who asks, how often it was refused, and
/// what is known of it. Ends with 0 if all of them are asked for, or allowed already.
#[derive(Args, Debug)]
pub struct Request {
    /// What is asked for: npm:left-pad@1.3.0, npm:left-pad@^1 or npm:left-pad
    #[arg(required = true, value_name = "PACKAGE[@VERSION|RANGE]")]
    packages: Vec<String>,
    /// Why, in one line, for whoever approves it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The team that it is for: web/shop
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Who asks, where there is no token; shown as unverified
    #[arg(long = "as", value_name = "NAME", conflicts_with = "token")]
    name: Option<String>,
    /// The build that needs it
    #[arg(long, value_name = "NAME")]
    build: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Request {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        // Told at once, without a server.
        for package in &self.packages {
            if let Err(error) = Spelling::parse(package) {
                eprintln!("garth: {error}");
                return Exit::Failed;
            }
        }
        let find = || match &self.name {
            Some(_) => Client::without_token(&self.server, env),
            None => Client::find(&self.server, env),
        };
        with_client(find, async |client: Client| {
            let (mut asked, mut failed) = (Vec::new(), 0);
            for package in &self.packages {
                let body = AskBody {
                    package: package.clone(),
                    reason: self.reason.clone(),
                    team: self.team.clone(),
                    name: self.name.clone(),
                    build: self.build.clone(),
                };
                let answer: Result<(AskedView, bool), _> = client.post(&["requests"], &body).await;
                match answer {
                    Ok((view, created)) => {
                        if !self.json {
                            print(&told(&view, created));
                        }
                        asked.push(view);
                    }
                    // That is what was wanted.
                    Err(ClientError::Refused(problem)) if problem.code == "allowed-already" => {
                        if !self.json {
                            print(&format!("{problem}\n"));
                        }
                    }
                    Err(error @ ClientError::Refused(_)) if self.packages.len() > 1 => {
                        eprint!("{package}: ");
                        tell(&error);
                        failed += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
            if self.json {
                print_json(&asked);
            }
            Ok(match failed {
                0 => Exit::Done,
                failed if failed == self.packages.len() => Exit::Failed,
                _ => Exit::Partial,
            })
        })
    }
}

fn told(view: &AskedView, created: bool) -> String {
    let (number, record) = (view.request.number, &view.request.record);
    let mut what = record.package.clone();
    if let Some(versions) = &record.versions {
        let _ = write!(what, " in {versions}");
    }
    let mut text = if created {
        format!("request {number}: {what} is asked for\n")
    } else {
        let since = record.since.strftime("%Y-%m-%d");
        let refusals = record.refusals;
        format!(
            "request {number}: {what} is asked for since {since}, and was refused {refusals} times; you joined it\n"
        )
    };
    if let Some(rejected) = &view.rejected {
        let day = rejected.at.strftime("%Y-%m-%d");
        let _ = writeln!(
            text,
            "  it was rejected on {day} (request {}): {}",
            rejected.number, rejected.reason
        );
    }
    match &record.closed {
        Some(closed) => {
            let _ = writeln!(
                text,
                "  approved by the policy {} (rule {})",
                closed.by,
                closed.rules.join(", ")
            );
        }
        None => {
            let _ = writeln!(text, "  an approver answers with: garth requests approve {number}");
        }
    }
    text
}
