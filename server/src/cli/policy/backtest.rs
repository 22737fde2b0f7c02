//! `garth policy backtest`: what would have become of recorded requests under other rules.

use std::path::PathBuf;

use clap::Args;

use super::trial::{self, Shown, Tried};
use crate::api::trials::Candidate;
use crate::cli::Exit;
use crate::cli::client::{Client, ServerArgs};
use crate::cli::talk::{colours, with_server};
use crate::config::EnvSnapshot;

/// Try policy files on what was asked for: who would have been refused, and who let in
///
/// The files take the place of the server's own; rules made by commands stay beside them. Each recorded
/// request for a version is decided as of the moment at which it came, and held against what was decided
/// then.
///
/// Exit codes: 0 all would have been decided as they were; 1 some would not; 2 the work could not be done.
#[derive(Args, Debug)]
pub(super) struct Backtest {
    /// A directory of policy files
    #[arg(value_name = "DIR")]
    directory: PathBuf,
    /// Since when: a duration such as 30d or 12h, or a time
    #[arg(long, value_name = "SINCE", default_value = "30d")]
    since: String,
    /// Hold it against what the rules in force now would have decided, and not against what was decided
    #[arg(long)]
    in_force: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Backtest {
    pub(super) fn run(self, env: &EnvSnapshot) -> Exit {
        let files = match trial::texts(&self.directory) {
            Ok(files) => files,
            Err(lines) => return super::failed("backtest", &lines),
        };
        let shown = Shown { json: self.json, colours: colours(env), tried: Tried::Requests };
        with_server(&self.server, env, async |client: Client| {
            let mut query = vec![("since", self.since.as_str())];
            query.extend(self.in_force.then_some(("in_force", "true")));
            let candidate = Candidate { files, before: None };
            trial::show(&client, "backtest", &query, &candidate, shown).await
        })
    }
}
