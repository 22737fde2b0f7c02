//! `garth login`, `logout`, `whoami`: who the commands are to a server.

mod browser;

use clap::Args;

use super::Exit;
use super::client::{Client, ClientError, Logins, ServerArgs};
use super::talk::{print, print_json, with_client, with_server};
use super::user::ask;
use crate::api::login::{LoginRequest, MeView};
use crate::api::tokens::CreatedView;
use crate::config::EnvSnapshot;

/// Log in by name and password, or in a browser: the commands are you to this server, for some hours
#[derive(Args, Debug)]
pub struct Login {
    /// Your name there [default: that of your user on this machine] [env: USER]
    #[arg(long, value_name = "NAME", conflicts_with = "browser")]
    name: Option<String>,
    /// Log in at a provider, in a browser on this machine, and not by a password
    #[arg(long)]
    browser: bool,
    /// At which provider [default: the only one that the server has]
    #[arg(long, value_name = "NAME", requires = "browser")]
    provider: Option<String>,
    /// Wait at this port of 127.0.0.1, for a browser elsewhere whose port leads here [default: any]
    #[arg(long, value_name = "PORT", requires = "browser", value_parser = clap::value_parser!(u16).range(1024..))]
    port: Option<u16>,
    /// The team as one of which you ask [default: the first one of yours]
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    #[command(flatten)]
    server: ServerArgs,
}

/// End the login of this machine's user
#[derive(Args, Debug)]
pub struct Logout {
    #[command(flatten)]
    server: ServerArgs,
}

/// Show who the commands are to a server, and what they may
#[derive(Args, Debug)]
pub struct Whoami {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl Login {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        if self.browser { self.by_browser(env) } else { self.by_password(env) }
    }

    fn by_password(self, env: &EnvSnapshot) -> Exit {
        let Self { name, team, server, .. } = self;
        let Some(name) = name.or_else(|| env.get("USER").map(str::to_owned)) else {
            eprintln!("garth: say who you are: --name NAME");
            return Exit::Failed;
        };
        let logins = match Logins::of(env) {
            Ok(logins) => logins,
            Err(fault) => return failed(&fault),
        };
        let password = match ask(&format!("Password of {name}: ")) {
            Ok(password) => password,
            Err(fault) => return failed(&fault),
        };
        with_client(
            || Client::without_token(&server, env),
            async |client: Client| {
                let asked = LoginRequest { name, password, team };
                let (made, _): (CreatedView, bool) = client.post(&["login"], &asked).await?;
                keep(logins, &client, made)
            },
        )
    }

    fn by_browser(self, env: &EnvSnapshot) -> Exit {
        let Self { provider, port, team, server, .. } = self;
        let logins = match Logins::of(env) {
            Ok(logins) => logins,
            Err(fault) => return failed(&fault),
        };
        with_client(
            || Client::without_token(&server, env),
            async |client: Client| {
                let asked = browser::Asked { provider, port, team };
                let made = browser::log_in(&client, &asked).await?;
                keep(logins, &client, made)
            },
        )
    }
}

fn keep(logins: Logins, client: &Client, made: CreatedView) -> Result<Exit, ClientError> {
    logins.keep(client.base(), &made.secret).map_err(ClientError::Unasked)?;
    let until = made.token.expires.map(|at| format!(" until {at:.0}")).unwrap_or_default();
    let team = made.token.team.map(|team| format!(" of {team}")).unwrap_or_default();
    eprintln!("logged in to {} as {}{team}{until}", client.base(), made.token.owner);
    Ok(Exit::Done)
}

impl Logout {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        let logins = match Logins::of(env) {
            Ok(logins) => logins,
            Err(fault) => return failed(&fault),
        };
        with_client(
            || Client::without_token(&self.server, env),
            async |client: Client| {
                let Some(token) = logins.find(client.base()) else {
                    eprintln!("not logged in to {}", client.base());
                    return Ok(Exit::Done);
                };
                let client = client.with_token(token);
                let ended = client.delete(&["login"]).await;
                // What is forgotten here can not be used here, whatever the server says of it.
                logins.forget(client.base()).map_err(ClientError::Unasked)?;
                ended?;
                eprintln!("logged out of {}", client.base());
                Ok(Exit::Done)
            },
        )
    }
}

impl Whoami {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let me: MeView = client.get(&["me"], &[]).await?;
            if self.json {
                print_json(&me);
            } else {
                print(&told(&me));
            }
            Ok(Exit::Done)
        })
    }
}

fn failed(why: &str) -> Exit {
    eprintln!("garth: {why}");
    Exit::Failed
}

fn told(me: &MeView) -> String {
    let team = me.team.as_deref().map(|team| format!(" of {team}")).unwrap_or_default();
    let until = me.expires.map(|at| format!(", until {at:.0}")).unwrap_or_default();
    // A login may what its person may.
    let may = me.within.as_ref().filter(|_| me.rights.is_everything()).unwrap_or(&me.rights);
    let within = me.within.as_ref().filter(|within| *within != may);
    let within = within.map(|within| format!(" as far as they may {within}")).unwrap_or_default();
    let token = me.token.as_deref().unwrap_or("admin-token");
    format!("{}{team}, by the token {token}{until}; may {may}{within}\n", me.name)
}
