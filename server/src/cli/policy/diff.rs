//! `garth policy diff`: what two sets of rules decide differently of that which is cached or in use.

use std::path::PathBuf;

use clap::Args;

use super::trial::{self, Shown, Tried};
use crate::api::trials::Candidate;
use crate::cli::Exit;
use crate::cli::client::{Client, ServerArgs};
use crate::cli::talk::{colours, with_server};
use crate::config::EnvSnapshot;

/// Show which packages, cached or in use, two sets of policy files decide differently, and for which teams
///
/// With one directory it is held against the rules in force. Rules made by commands are beside both.
///
/// Exit codes: 0 no difference; 1 there are some; 2 the work could not be done.
#[derive(Args, Debug)]
pub(super) struct Diff {
    /// A directory of policy files, or two: the one of before and the one of after
    #[arg(value_name = "DIR", required = true, num_args = 1..=2)]
    directories: Vec<PathBuf>,
    /// What was asked for since then counts as in use: a duration such as 30d or 12h, or a time
    #[arg(long, value_name = "SINCE", default_value = "30d")]
    since: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Diff {
    pub(super) fn run(self, env: &EnvSnapshot) -> Exit {
        let (mut sets, mut faults) = (Vec::new(), Vec::new());
        for directory in &self.directories {
            match trial::texts(directory) {
                Ok(files) => sets.push(files),
                Err(lines) => faults.extend(lines),
            }
        }
        let Some(files) = sets.pop().filter(|_| faults.is_empty()) else {
            return super::failed("diff", &faults);
        };
        let candidate = Candidate { files, before: sets.pop() };
        let shown = Shown { json: self.json, colours: colours(env), tried: Tried::Versions };
        with_server(&self.server, env, async |client: Client| {
            let query = [("since", self.since.as_str())];
            trial::show(&client, "diff", &query, &candidate, shown).await
        })
    }
}
