//! The command line: one file a command, each thin; the work is done by the parts that it names.
//!
//! A command prints its result to stdout and what went wrong to stderr, and ends with an [`Exit`].

mod advisories;
pub mod allow;
pub mod banner;
mod check;
pub mod client;
mod exit;
mod forget;
mod init;
mod jobs;
mod log;
mod login;
mod observed;
mod packages;
mod policy;
mod remedy;
mod request;
mod requests;
mod role;
pub mod rules;
mod scan;
pub mod serve;
mod setup;
mod status;
mod talk;
mod team;
mod token;
mod user;
mod waive;
mod webhook;
pub mod why;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use policies::decision::Effect;

use crate::clock::Clock;
use crate::config::EnvSnapshot;

pub use banner::{Banner, banner};
pub use exit::Exit;

/// The walled garden for an organisation's dependencies: a registry proxy that serves only what you allow.
#[derive(Debug, Parser)]
#[command(
    name = "garth",
    version,
    propagate_version = true,
    arg_required_else_help = true,
    after_help = "Start with `garth serve`: it needs no configuration and says what to do next.\n\n\
                  Exit codes: 0 done, 1 findings or refused, 2 could not do the work, 3 did a part of it."
)]
struct Garth {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(serve::Serve),
    Init(init::Init),
    Setup(setup::Setup),
    Scan(scan::Scan),
    /// Allow packages: one rule, in force at once
    ///
    /// Deny beats hold, and hold beats allow: a package that a rule denies or holds stays so until that
    /// rule is taken back, and this command then says which one it is.
    Allow(allow::MakeRule),
    /// Deny packages, whatever allows them: one rule, in force at once
    Deny(allow::MakeRule),
    /// Hold packages back until somebody lifts it: one rule, in force at once
    Hold(allow::MakeRule),
    Why(why::Why),
    Observed(observed::ObservedCommand),
    Rules(rules::RulesCommand),
    Request(request::Request),
    Requests(requests::RequestsCommand),
    Waive(waive::Waive),
    Forget(forget::Forget),
    Packages(packages::PackagesCommand),
    Policy(policy::PolicyCommand),
    Advisories(advisories::AdvisoriesCommand),
    Token(token::TokenCommand),
    Team(team::TeamCommand),
    Log(log::LogCommand),
    Webhook(webhook::WebhookCommand),
    Role(role::RoleCommand),
    User(user::UserCommand),
    Login(login::Login),
    Logout(login::Logout),
    Whoami(login::Whoami),
    Status(status::StatusCommand),
    Jobs(jobs::JobsCommand),
    Check(check::Check),
}

impl Command {
    fn run(self, env: EnvSnapshot) -> Exit {
        match self {
            Self::Serve(command) => command.run(env),
            Self::Init(command) => command.run(env),
            Self::Setup(command) => command.run(env),
            Self::Scan(command) => command.run(&Clock::system()),
            Self::Allow(command) => command.run(Effect::Allow, &env),
            Self::Deny(command) => command.run(Effect::Deny, &env),
            Self::Hold(command) => command.run(Effect::Hold, &env),
            Self::Why(command) => command.run(&env),
            Self::Observed(command) => command.run(&env),
            Self::Rules(command) => command.run(&env),
            Self::Request(command) => command.run(&env),
            Self::Requests(command) => command.run(&env),
            Self::Waive(command) => command.run(&env),
            Self::Forget(command) => command.run(&env),
            Self::Packages(command) => command.run(&env),
            Self::Policy(command) => command.run(&env, &Clock::system()),
            Self::Advisories(command) => command.run(&env),
            Self::Token(command) => command.run(&env),
            Self::Team(command) => command.run(&env),
            Self::Log(command) => command.run(&env),
            Self::Webhook(command) => command.run(&env),
            Self::Role(command) => command.run(&env),
            Self::User(command) => command.run(&env),
            Self::Login(command) => command.run(&env),
            Self::Logout(command) => command.run(&env),
            Self::Whoami(command) => command.run(&env),
            Self::Status(command) => command.run(&env),
            Self::Jobs(command) => command.run(&env),
            Self::Check(command) => command.run(env, &Clock::system()),
        }
    }
}

/// Runs the command that the process was started with.
pub fn main() -> ExitCode {
    Garth::parse().command.run(EnvSnapshot::of_process()).into()
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_commands_are_well_formed() {
        Garth::command().debug_assert();
    }

    #[test]
    fn the_version_is_the_crates() {
        let version = Garth::command().render_version();
        assert_eq!(version, format!("garth {}\n", env!("CARGO_PKG_VERSION")));
    }
}

#[cfg(test)]
mod server_tests;
