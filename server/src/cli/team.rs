//! `garth team create`, `list`, `remove`: whom tokens and rules can speak of.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::api::people::RolesRequest;
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
    /// Remove a team
    Remove(Remove),
    /// Say which roles the people of a team, or of a whole unit, hold: all of them
    Roles(Roles),
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
    /// Its valid tokens end with it, at their next request
    #[arg(long)]
    with_tokens: bool,
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
            Action::Roles(roles) => roles.run(env),
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
            let take = |page: TeamList| (page.teams, page.next);
            let teams = client.list(&["teams"], &[], take).await?;
            if self.json {
                print_json(&serde_json::json!({ "teams": teams }));
            } else {
                print(&told(&teams));
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
            let query: &[_] = if self.with_tokens { &[("with_tokens", "true")] } else { &[] };
            client.delete_with(&["teams", unit, team], query).await?;
            if self.json {
                print_json(&serde_json::json!({ "removed": self.name }));
            } else {
                print(&format!("removed: the team {}\n", self.name));
            }
            Ok(Exit::Done)
        })
    }
}

#[derive(Args, Debug)]
struct Roles {
    /// Unit and team, like web/shop, or the unit alone
    #[arg(value_name = "UNIT[/TEAM]")]
    name: String,
    /// Names of roles; none takes them all away
    #[arg(value_name = "ROLE")]
    names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Roles {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let Self { name, names, json, server } = self;
        with_server(&server, env, async |client: Client| {
            let path = match name.split_once('/') {
                Some((unit, team)) => vec!["teams", unit, team, "roles"],
                None => vec!["units", &name, "roles"],
            };
            let set: RolesRequest = client.put(&path, &RolesRequest { roles: names }).await?;
            if json {
                print_json(&set);
                return Ok(Exit::Done);
            }
            let roles = if set.roles.is_empty() { "none".to_owned() } else { set.roles.join(", ") };
            print(&format!("set: the people of {name} hold the roles: {roles}\n"));
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
        let roles = match team.roles.as_slice() {
            [] => String::new(),
            roles => format!(", its people hold {}", roles.join(", ")),
        };
        let about = about.unwrap_or_default();
        let _ = writeln!(text, "{:width$}  {tokens}{roles}{about}", team.name);
        text
    })
}
