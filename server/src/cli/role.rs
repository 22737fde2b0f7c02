//! `garth role create`, `list`, `change`, `remove`: sets of rights that have a name.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::api::roles::{RoleChange, RoleList, RoleRequest, RoleView};
use crate::config::EnvSnapshot;

/// Make, list, change and remove roles
#[derive(Args, Debug)]
pub struct RoleCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a role
    Create(Create),
    /// Roles, what they say, and how many hold them
    List(List),
    /// Say anew what a role gives: whoever holds it has that at the next request
    Change(Change),
    /// Remove a role
    Remove(Remove),
}

#[derive(Args, Debug)]
struct Create {
    /// A name for the role, like acme-publisher
    #[arg(value_name = "NAME")]
    name: String,
    /// What it gives: publish, publish=npm:@acme/*; may be given several times
    #[arg(long = "right", value_name = "RIGHT[=LIMIT,...]", required = true)]
    rights: Vec<String>,
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
struct Change {
    /// The role's name
    #[arg(value_name = "NAME")]
    name: String,
    /// What it gives from now on, all of it; may be given several times
    #[arg(long = "right", value_name = "RIGHT[=LIMIT,...]", required = true)]
    rights: Vec<String>,
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
struct Remove {
    /// The role's name
    #[arg(value_name = "NAME")]
    name: String,
    /// Take it from all who hold it, at their next request
    #[arg(long)]
    from_all: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl RoleCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        match self.action {
            Action::Create(create) => create.run(env),
            Action::List(list) => list.run(env),
            Action::Change(change) => change.run(env),
            Action::Remove(remove) => remove.run(env),
        }
    }
}

impl Create {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let Self { name, rights, description, json, server } = self;
        with_server(&server, env, async |client: Client| {
            let asked = RoleRequest { name, description, rights };
            let (made, _): (RoleView, bool) = client.post(&["roles"], &asked).await?;
            show("made", &made, json);
            Ok(Exit::Done)
        })
    }
}

impl Change {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let Self { name, rights, description, json, server } = self;
        with_server(&server, env, async |client: Client| {
            let asked = RoleChange { description, rights };
            let changed: RoleView = client.put(&["roles", &name], &asked).await?;
            show("changed", &changed, json);
            Ok(Exit::Done)
        })
    }
}

impl List {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let take = |page: RoleList| (page.roles, page.next);
            let roles = client.list(&["roles"], &[], take).await?;
            if self.json {
                print_json(&serde_json::json!({ "roles": roles }));
            } else {
                print(&told(&roles));
            }
            Ok(Exit::Done)
        })
    }
}

impl Remove {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let query: &[_] = if self.from_all { &[("from_all", "true")] } else { &[] };
            client.delete_with(&["roles", &self.name], query).await?;
            if self.json {
                print_json(&serde_json::json!({ "removed": self.name }));
            } else {
                print(&format!("removed: the role {}\n", self.name));
            }
            Ok(Exit::Done)
        })
    }
}

fn show(done: &str, role: &RoleView, json: bool) {
    if json {
        print_json(role);
    } else {
        print(&format!("{done}: the role {}, which may {}\n", role.name, role.rights));
    }
}

fn told(roles: &[RoleView]) -> String {
    let width = roles.iter().map(|role| role.name.len()).max().unwrap_or(0).min(40);
    roles.iter().fold(String::new(), |mut text, role| {
        let about = role.description.as_deref().map(|text| format!(" — {text}"));
        let (name, rights, holders) = (&role.name, &role.rights, role.holders);
        let about = about.unwrap_or_default();
        let _ = writeln!(text, "{name:width$}  may {rights}; held by {holders}{about}");
        text
    })
}
