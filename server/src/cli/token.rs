//! `garth token create`, `list`, `rotate`, `revoke`: what people and pipelines are known by.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, ClientError, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::access::rights::Rights;
use crate::api::tokens::{
    CreatedView, RotateRequest, Standing, TokenList, TokenRequest, TokenView,
};
use crate::config::{EnvSnapshot, parse_duration};

/// Make, list, rotate and revoke tokens
#[derive(Args, Debug)]
pub struct TokenCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make a token; its secret is shown once, alone on stdout
    Create(Create),
    /// Tokens, whom they are for, and when they were last used
    List(List),
    /// Give a token a new secret; the one of before stays valid for a while
    Rotate(Rotate),
    /// Take tokens back: from the next request on they are refused
    Revoke(Revoke),
}

#[derive(Args, Debug)]
struct Create {
    /// A name for the token, like ci-shop
    #[arg(value_name = "NAME")]
    name: String,
    /// The person that it is for [default: a service of the token's name]
    #[arg(long = "for", value_name = "WHO")]
    owner: Option<String>,
    /// The --for is a service: nobody is behind it
    #[arg(long, requires = "owner")]
    service: bool,
    /// The team that rules see behind it, like web/shop
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// What it may do: publish, approve, promote, administer, or read where that is limited; with
    /// limits as publish=npm:@acme/* or read=npm:@acme/*,registry:own; may be given several times
    #[arg(long = "right", value_name = "RIGHT[=LIMIT,...]")]
    rights: Vec<String>,
    /// What these roles say that it may; may be given several times
    #[arg(long = "role", value_name = "ROLE")]
    roles: Vec<String>,
    /// When it ends: 2027-01-01, 2027-01-01T12:00:00Z or never [default: in a year]
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct List {
    /// Only those of this team
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Those that are revoked or expired, too
    #[arg(long)]
    all: bool,
    /// Those that came of a login, too
    #[arg(long)]
    logins: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Rotate {
    /// The token's name, as `garth token list` shows it
    #[arg(value_name = "NAME")]
    name: String,
    /// How long the secret of before stays valid: 24h, 7d, 0s [default: 24h]
    #[arg(long, value_name = "TIME")]
    grace: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Revoke {
    /// Names of tokens, as `garth token list` shows them
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl TokenCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        match self.action {
            Action::Create(create) => create.run(env),
            Action::List(list) => list.run(env),
            Action::Rotate(rotate) => rotate.run(env),
            Action::Revoke(revoke) => revoke.run(env),
        }
    }
}

impl Create {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let asked = TokenRequest {
            name: self.name,
            owner: self.owner,
            kind: self.service.then(|| "service".to_owned()),
            team: self.team,
            rights: self.rights,
            roles: self.roles,
            expires: self.expires,
        };
        with_server(&self.server, env, async |client: Client| {
            let (made, _): (CreatedView, bool) = client.post(&["tokens"], &asked).await?;
            show(&made, self.json);
            Ok(Exit::Done)
        })
    }
}

impl Rotate {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let grace = match self.grace.as_deref().map(|text| (text, parse_duration(text))) {
            None => None,
            Some((_, Some(grace))) => Some(u32::try_from(grace.as_secs()).unwrap_or(u32::MAX)),
            Some((text, None)) => {
                eprintln!("garth: {text:?} is no time: write 24h, 7d or 0s");
                return Exit::Failed;
            }
        };
        with_server(&self.server, env, async |client: Client| {
            let asked = RotateRequest { grace_seconds: grace };
            let path = ["tokens", &self.name, "rotate"];
            let (made, _): (CreatedView, bool) = client.post(&path, &asked).await?;
            show(&made, self.json);
            Ok(Exit::Done)
        })
    }
}

impl List {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let tokens = self.read(&client).await?;
            if self.json {
                print_json(&serde_json::json!({ "tokens": tokens }));
            } else {
                print(&told(&tokens));
            }
            Ok(Exit::Done)
        })
    }

    async fn read(&self, client: &Client) -> Result<Vec<TokenView>, ClientError> {
        let (mut tokens, mut after): (Vec<TokenView>, Option<String>) = (Vec::new(), None);
        loop {
            let mut query = Vec::new();
            query.extend(self.team.as_deref().map(|team| ("team", team)));
            query.extend(after.as_deref().map(|after| ("after", after)));
            if self.all {
                query.push(("all", "true"));
            }
            if self.logins {
                query.push(("logins", "true"));
            }
            let page: TokenList = client.get(&["tokens"], &query).await?;
            tokens.extend(page.tokens);
            let Some(next) = page.next else { return Ok(tokens) };
            after = Some(next);
        }
    }
}

impl Revoke {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            for name in &self.names {
                client.delete(&["tokens", name]).await?;
                if !self.json {
                    print(&format!("revoked: the token {name}\n"));
                }
            }
            if self.json {
                print_json(&serde_json::json!({ "revoked": self.names }));
            }
            Ok(Exit::Done)
        })
    }
}

/// The secret alone goes where a script reads.
fn show(made: &CreatedView, json: bool) {
    if json {
        return print_json(made);
    }
    eprint!("{}", explained(made));
    print(&format!("{}\n", made.secret));
}

fn explained(made: &CreatedView) -> String {
    let mut text = format!("the token {}: {}\n", made.token.name, said(&made.token));
    if let Some(until) = made.before_until {
        let _ = writeln!(text, "  the secret of before is valid until {until:.0}");
    }
    text.push_str("  this is its secret, and nobody can show it again:\n");
    text
}

/// What somebody may by themselves, and by which roles.
pub(super) fn may(rights: &Rights, roles: &[String]) -> String {
    let roles = match roles {
        [] => return rights.to_string(),
        [role] => format!("what the role {role} says"),
        roles => format!("what the roles {} say", roles.join(", ")),
    };
    if rights.iter().next().is_none() { roles } else { format!("{rights} and {roles}") }
}

fn told(tokens: &[TokenView]) -> String {
    if tokens.is_empty() {
        return "No tokens. `garth token create NAME --team UNIT/TEAM` makes one.\n".to_owned();
    }
    let width = tokens.iter().map(|token| token.name.len()).max().unwrap_or(0).min(40);
    tokens.iter().fold(String::new(), |mut text, token| {
        let _ = writeln!(text, "{:width$}  {}", token.name, said(token));
        text
    })
}

fn said(token: &TokenView) -> String {
    let mut text = match token.standing {
        Standing::Valid => String::new(),
        Standing::Expired => "EXPIRED, ".to_owned(),
        Standing::Revoked => "REVOKED, ".to_owned(),
        Standing::Ended => "ENDED, ".to_owned(),
    };
    let _ = write!(text, "for the {} {}", token.kind, token.owner);
    if let Some(team) = &token.team {
        let _ = write!(text, " of {team}");
    }
    let _ = write!(text, ", may {}", may(&token.rights, &token.roles));
    match (&token.revoked, &token.revoked_by, &token.expires) {
        (Some(at), Some(by), _) => {
            let _ = write!(text, ", revoked {at:.0} by {by}");
        }
        (_, _, Some(expires)) => {
            let _ = write!(text, ", until {expires:.0}");
        }
        (_, _, None) => text.push_str(", without an end"),
    }
    match token.last_used {
        Some(at) => {
            let _ = write!(text, ", last used {at:.0}");
        }
        None => text.push_str(", never used"),
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_whom_it_is_for_what_it_may_and_until_when() {
        let token = TokenView {
            name: "ci-shop".to_owned(),
            kind: "service".to_owned(),
            owner: "ci-shop".to_owned(),
            team: Some("web/shop".to_owned()),
            rights: Rights::stored(["read", "publish=npm:@acme/*"]),
            roles: Vec::new(),
            standing: Standing::Valid,
            ended: None,
            origin: None,
            expires: "2027-01-01T00:00:00Z".parse().ok(),
            created: "2026-01-01T00:00:00Z".parse().unwrap(),
            created_by: "admin".to_owned(),
            last_used: None,
            older_until: None,
            revoked: None,
            revoked_by: None,
        };
        let ann = TokenView {
            name: "ann".to_owned(),
            kind: "person".to_owned(),
            owner: "ann".to_owned(),
            team: None,
            rights: Rights::none(),
            roles: vec!["approver".to_owned()],
            standing: Standing::Revoked,
            expires: None,
            last_used: "2026-02-01T10:00:00Z".parse().ok(),
            revoked: "2026-02-02T10:00:00Z".parse().ok(),
            revoked_by: Some("admin".to_owned()),
            ..token.clone()
        };
        insta::assert_snapshot!(told(&[ann, token.clone()]), @r"
        ann      REVOKED, for the person ann, may what the role approver says, revoked 2026-02-02T10:00:00Z by admin, last used 2026-02-01T10:00:00Z
        ci-shop  for the service ci-shop of web/shop, may read, publish=npm:@acme/*, until 2027-01-01T00:00:00Z, never used
        ");
        let before_until = "2026-01-02T00:00:00Z".parse().ok();
        let made = CreatedView { token, secret: "garth_x".to_owned(), before_until };
        insta::assert_snapshot!(explained(&made), @r"
        the token ci-shop: for the service ci-shop of web/shop, may read, publish=npm:@acme/*, until 2027-01-01T00:00:00Z, never used
          the secret of before is valid until 2026-01-02T00:00:00Z
          this is its secret, and nobody can show it again:
        ");
    }
}
