//! `garth policy …`: rules as code, looked at before they are in force.
//!
//! `check` and `test` need no server: they read policy files and say what they found. One file a
//! command; what they have in common is [`source`], which finds and reads the files. `diff` and
//! `backtest` have the server try files on what it recorded and what it holds ([`trial`]).

mod backtest;
mod check;
mod diff;
mod junit;
mod machine;
mod source;
mod test;
mod trial;

use clap::{Args, Subcommand};

use super::Exit;
use crate::clock::Clock;
use crate::config::EnvSnapshot;

/// Check and try policy files before they are in force
#[derive(Args, Debug)]
pub struct PolicyCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Check(check::Check),
    Test(test::Test),
    Diff(diff::Diff),
    Backtest(backtest::Backtest),
}

impl PolicyCommand {
    pub(super) fn run(self, env: &EnvSnapshot, clock: &Clock) -> Exit {
        match self.action {
            Action::Check(command) => command.run(env, clock),
            Action::Test(command) => command.run(env, clock),
            Action::Diff(command) => command.run(env),
            Action::Backtest(command) => command.run(env),
        }
    }
}

/// Says why the work could not be done.
fn failed(action: &str, lines: &[String]) -> Exit {
    for line in lines {
        eprintln!("garth policy {action}: {line}");
    }
    Exit::Failed
}

#[cfg(test)]
mod tests;
