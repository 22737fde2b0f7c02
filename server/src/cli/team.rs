//! `garth team create`, `list`, `remove`: whom tokens and rules can speak of.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::api::teams::{TeamList, TeamRequest, TeamView};
use crate::config::EnvSnapshot;

/// Make, list and remove teams
#[derive(Args, Debug)]
pub struct TeamCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a team; its unit is there with its first team
    Create(Create),
    /// Teams, and how many valid tokens they have
    List(List),
    /// Remove a team that has no valid tokens
    Remove(Remove),
}

#[derive(Args, Debug)]
struct Create {
    /// Unit and team, like web/shop
    #[arg(value_name = "UNIT/TEAM")]
    name: String,
    /// One line about it
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct List {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Remove {
    /// Unit and team, like web/shop
    #[arg(value_name = "UNIT/TEAM")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl TeamCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        match self.action {
            Action::Create(create) => create.run(env),
            Action::List(list) => list.run(env),
            Action::Remove(remove) => remove.run(env),
        }
    }
}

impl Create {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let asked = TeamRequest { name: self.name, description: self.description };
            let (made, _): (TeamView, bool) = client.post(&["teams"], &asked).await?;
            if self.json {
                print_json(&made);
                return Ok(Exit::Done);
            }
            let unit = made.name.split('/').next().unwrap_or_default();
            let first = if made.new_unit { ", the first of the new unit " } else { "" };
            let unit = if made.new_unit { unit } else { "" };
            print(&format!("made: the team {}{first}{unit}\n", made.name));
            Ok(Exit::Done)
        })
    }
}

impl List {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let list: TeamList = client.get(&["teams"], &[]).await?;
            if self.json {
                print_json(&list);
            } else {
                print(&told(&list.teams));
            }
            Ok(Exit::Done)
        })
    }
}

impl Remove {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let Some((unit, team)) = self.name.split_once('/') else {
            eprintln!("garth: write a team as unit/team, like web/shop");
            return Exit::Failed;
        };
        with_server(&self.server, env, async |client: Client| {
            client.delete(&["teams", unit, team]).await?;
            if self.json {
                print_json(&serde_json::json!({ "removed": self.name }));
            } else {
                print(&format!("removed: the team {}\n", self.name));
            }
            Ok(Exit::Done)
        })
    }
}

fn told(teams: &[TeamView]) -> String {
    if teams.is_empty() {
        return "No teams. `garth team create UNIT/TEAM` makes the first one.\n".to_owned();
    }
    let width = teams.iter().map(|team| team.name.len()).max().unwrap_or(0).min(60);
    teams.iter().fold(String::new(), |mut text, team| {
        let tokens = match team.tokens {
            1 => "1 token".to_owned(),
            count => format!("{count} tokens"),
        };
        let about = team.description.as_deref().map(|text| format!(" — {text}"));
        let _ = writeln!(text, "{:width$}  {tokens}{}", team.name, about.unwrap_or_default());
        text
    })
}
