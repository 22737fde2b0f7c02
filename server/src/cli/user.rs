//! `garth user create`, `list`, `change`, `disable`, `enable`, `remove`, `password`: people and
//! services that are known by name.

use std::fmt::Write as _;
use std::io::{self, BufRead as _, IsTerminal as _};

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, ClientError, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::access::secret::Secret;
use crate::access::secret::TokenKind;
use crate::api::login::MeView;
use crate::api::people::{PasswordRequest, UserList, UserPatch, UserRequest, UserView};
use crate::config::EnvSnapshot;

/// Longer is no password.
const LONGEST_LINE: u64 = 4096;

/// Make, list, change, disable and remove people and services
#[derive(Args, Debug)]
pub struct UserCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make somebody known; a first password is shown once, alone on stdout
    Create(Create),
    /// People and services, their teams, and what they may
    List(List),
    /// Say anew in which teams somebody is and which roles they hold
    Change(Change),
    /// From the next request on none of their tokens counts, until they are enabled again
    Disable(Named),
    /// Undo a disabling: their tokens count again
    Enable(Named),
    /// For good: whoever is called so later is somebody else
    Remove(Named),
    /// Set a password: the own one, or for whoever may administer that of others
    Password(Password),
}

#[derive(Args, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "each is a flag")]
struct Create {
    /// A name, like ann or ann@example.com
    #[arg(value_name = "NAME")]
    name: String,
    /// Nobody is behind it: it has tokens, and no password
    #[arg(long)]
    service: bool,
    /// A team that they are in, the first one first; may be given several times
    #[arg(long = "team", value_name = "TEAM")]
    teams: Vec<String>,
    /// A role that they hold [default: reader]; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Read the first password from stdin, a line
    #[arg(long, conflicts_with_all = ["service", "no_password"])]
    password_stdin: bool,
    /// They log in by other means
    #[arg(long)]
    no_password: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct List {
    /// Only those in this team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Change {
    /// Their name
    #[arg(value_name = "NAME")]
    name: String,
    /// A team that they are in from now on, all of them, the first one first
    #[arg(long = "team", value_name = "TEAM", required_unless_present_any = ["roles", "no_team"])]
    teams: Vec<String>,
    /// They are in no team
    #[arg(long, conflicts_with = "teams")]
    no_team: bool,
    /// A role that they hold from now on, all of them
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Named {
    /// Their name
    #[arg(value_name = "NAME")]
    name: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Password {
    /// Whose [default: the own one]
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// Make one, and print it alone on stdout
    #[arg(long)]
    generate: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl UserCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        match self.action {
            Action::Create(create) => create.run(env),
            Action::List(list) => list.run(env),
            Action::Change(change) => change.run(env),
            Action::Disable(named) => named.set_disabled(true, env),
            Action::Enable(named) => named.set_disabled(false, env),
            Action::Remove(named) => named.remove(env),
            Action::Password(password) => password.run(env),
        }
    }
}

impl Create {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let Self { name, service, teams, roles, password_stdin, no_password, json, server } = self;
        let (password, shown) = match (service || no_password, password_stdin) {
            (true, _) => (None, None),
            (_, true) => match read_line() {
                Ok(password) => (Some(password), None),
                Err(fault) => return failed(&fault),
            },
            _ => match generated() {
                Some(password) => (Some(password.clone()), Some(password)),
                None => return failed("the system gives no random numbers"),
            },
        };
        with_server(&server, env, async |client: Client| {
            let asked = UserRequest { name, service, teams, roles, password };
            let (made, _): (UserView, bool) = client.post(&["users"], &asked).await?;
            if json {
                let mut told = serde_json::to_value(&made).unwrap_or_default();
                if let (Some(shown), Some(told)) = (shown, told.as_object_mut()) {
                    told.insert("password".to_owned(), shown.into());
                }
                print_json(&told);
                return Ok(Exit::Done);
            }
            eprintln!("made: {}", said(&made));
            if let Some(shown) = shown {
                eprintln!("  this is the first password, which garth user password changes:");
                print(&format!("{shown}\n"));
            }
            Ok(Exit::Done)
        })
    }
}

impl List {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let query: Vec<_> =
                self.team.as_deref().map(|team| ("team", team)).into_iter().collect();
            let take = |page: UserList| (page.users, page.next);
            let users = client.list(&["users"], &query, take).await?;
            if self.json {
                print_json(&serde_json::json!({ "users": users }));
            } else {
                print(&told(&users));
            }
            Ok(Exit::Done)
        })
    }
}

impl Change {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let Self { name, teams, no_team, roles, json, server } = self;
        let teams = (no_team || !teams.is_empty()).then_some(teams);
        let roles = Some(roles).filter(|roles| !roles.is_empty());
        let patch = UserPatch { teams, roles, disabled: None };
        change(&name, &patch, "changed", json, &server, env)
    }
}

impl Named {
    fn set_disabled(self, disabled: bool, env: &EnvSnapshot) -> Exit {
        let Self { name, json, server } = self;
        let patch = UserPatch { disabled: Some(disabled), ..UserPatch::default() };
        let done = if disabled { "disabled" } else { "enabled" };
        change(&name, &patch, done, json, &server, env)
    }

    fn remove(self, env: &EnvSnapshot) -> Exit {
        let Self { name, json, server } = self;
        with_server(&server, env, async |client: Client| {
            client.delete(&["users", &name]).await?;
            if json {
                print_json(&serde_json::json!({ "removed": name }));
            } else {
                print(&format!("removed: {name}\n"));
            }
            Ok(Exit::Done)
        })
    }
}

impl Password {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let Self { name, generate, server } = self;
        with_server(&server, env, async |client: Client| {
            let me: MeView = client.get(&["me"], &[]).await?;
            let name = name.unwrap_or_else(|| me.name.clone());
            let is_own = name == me.name && me.within.is_some();
            let asking = |what: &str| ask(what).map_err(ClientError::Unasked);
            let current = if is_own { Some(asking("Password of now: ")?) } else { None };
            let password = match generate.then(generated) {
                Some(made) => made.ok_or_else(|| {
                    ClientError::Unasked("the system gives no random numbers".to_owned())
                })?,
                None => asking("New password: ")?,
            };
            if !generate && io::stdin().is_terminal() && asking("Again: ")? != password {
                return Err(ClientError::Unasked("these are two passwords".to_owned()));
            }
            let asked = PasswordRequest { password: password.clone(), current };
            client.put_only(&["users", &name, "password"], &asked).await?;
            eprintln!("set: the password of {name}; whoever was logged in by it logs in again");
            if generate {
                print(&format!("{password}\n"));
            }
            Ok(Exit::Done)
        })
    }
}

fn change(
    name: &str,
    patch: &UserPatch,
    done: &str,
    json: bool,
    server: &ServerArgs,
    env: &EnvSnapshot,
) -> Exit {
    with_server(server, env, async |client: Client| {
        let changed: UserView = client.patch(&["users", name], patch).await?;
        if json {
            print_json(&changed);
        } else {
            print(&format!("{done}: {}\n", said(&changed)));
        }
        Ok(Exit::Done)
    })
}

/// Without an echo on a terminal; a line of stdin elsewhere.
pub(super) fn ask(what: &str) -> Result<String, String> {
    if io::stdin().is_terminal() {
        return rpassword::prompt_password(what).map_err(|fault| fault.to_string());
    }
    read_line()
}

fn read_line() -> Result<String, String> {
    let mut line = String::new();
    let mut input = io::Read::take(io::stdin().lock(), LONGEST_LINE);
    input.read_line(&mut line).map_err(|fault| fault.to_string())?;
    let line = line.trim_end_matches(['\r', '\n']);
    if line.is_empty() {
        Err("there is no password on stdin".to_owned())
    } else {
        Ok(line.to_owned())
    }
}

/// As good as a token, without what tells it from one.
fn generated() -> Option<String> {
    const LENGTH: usize = 24;
    let secret = Secret::make(TokenKind::Person).ok()?;
    let random = secret.reveal().rsplit('_').next()?;
    random.get(..LENGTH).map(str::to_owned)
}

fn failed(why: &str) -> Exit {
    eprintln!("garth: {why}");
    Exit::Failed
}

fn told(users: &[UserView]) -> String {
    if users.is_empty() {
        return "Nobody is known here. `garth user create NAME --team UNIT/TEAM` makes somebody known.\n"
            .to_owned();
    }
    users.iter().fold(String::new(), |mut text, user| {
        let _ = writeln!(text, "{}", said(user));
        text
    })
}

fn said(user: &UserView) -> String {
    let mut text = String::new();
    if let (Some(at), Some(by)) = (user.disabled, &user.disabled_by) {
        let _ = write!(text, "DISABLED {at:.0} by {by}, ");
    }
    let _ = write!(text, "the {} {}", user.kind, user.name);
    if !user.teams.is_empty() {
        let _ = write!(text, " of {}", user.teams.join(", "));
    }
    let _ = write!(text, ", holds {}, may {}", user.roles.join(", "), user.rights);
    let tokens = match user.tokens {
        1 => "1 token".to_owned(),
        count => format!("{count} tokens"),
    };
    let _ = write!(text, ", {tokens}");
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::access::rights::Rights;

    #[test]
    fn a_line_says_who_it_is_and_what_they_may() {
        let ann = UserView {
            name: "ann".to_owned(),
            kind: "person".to_owned(),
            teams: vec!["web/shop".to_owned(), "web/blog".to_owned()],
            roles: vec!["publisher".to_owned()],
            rights: Rights::stored(["read", "publish"]),
            has_password: true,
            disabled: "2026-02-02T10:00:00Z".parse().ok(),
            disabled_by: Some("admin".to_owned()),
            created: "2026-01-01T00:00:00Z".parse().unwrap(),
            created_by: "admin".to_owned(),
            tokens: 1,
        };
        insta::assert_snapshot!(told(&[ann]), @"DISABLED 2026-02-02T10:00:00Z by admin, the person ann of web/shop, web/blog, holds publisher, may read, publish, 1 token");
        assert_eq!(generated().unwrap().len(), 24);
    }
}
