//! `garth request`: asks for what is refused.

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use policies::package::Spelling;

use super::Exit;
use super::allow::lockfile::{self, Lockfile, Named};
use super::client::{Client, ClientError, ServerArgs};
use super::requests::shown;
use super::talk::{print, print_json, tell, with_client};
use crate::api::requests::{AskBody, AskedView, LockfileBody};
use crate::config::EnvSnapshot;

const MOST_UNMET: usize = 20;

/// Ask for packages that are refused
///
/// Joins the request that is open, or opens one; an approver sees who asks, how often it was refused, and
/// what is known of it. Ends with 0 if all of them are asked for, or allowed already; with 3 if not all of
/// what is needed is to be had.
#[derive(Args, Debug)]
pub struct Request {
    /// What is asked for: npm:left-pad@1.3.0, npm:left-pad@^1 or npm:left-pad
    #[arg(required_unless_present = "from", value_name = "PACKAGE[@VERSION|RANGE]")]
    packages: Vec<String>,
    /// Ask for what it needs, too: all that a client would install with it, as one request
    #[arg(long, conflicts_with = "from")]
    with_dependencies: bool,
    /// Ask for every version that a lockfile names, as one request: package-lock.json, Cargo.lock
    #[arg(long, value_name = "LOCKFILE", conflicts_with = "packages")]
    from: Option<PathBuf>,
    /// Of those two: the registry that is asked, where there are several
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// Why, in one line, for whoever approves it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// The team that it is for: web/shop
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Who asks, where there is no token; shown as unverified
    #[arg(long = "as", value_name = "NAME", conflicts_with = "token")]
    name: Option<String>,
    /// The build that needs it
    #[arg(long, value_name = "NAME")]
    build: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// What is asked for, by what it is called in a message.
type Wish = (String, AskBody);

impl Request {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        let (lockfile, wishes) = match self.read() {
            Ok(read) => read,
            Err(told) => {
                eprintln!("garth: {told}");
                return Exit::Failed;
            }
        };
        let find = || match &self.name {
            Some(_) => Client::without_token(&self.server, env),
            None => Client::find(&self.server, env),
        };
        let this = &self;
        with_client(find, async move |client: Client| {
            let wishes = match lockfile {
                Some(lockfile) => vec![this.wish_for(lockfile, &client)],
                None => wishes,
            };
            let (mut asked, mut failed, mut lacking) = (Vec::new(), 0, false);
            for (what, body) in &wishes {
                let is_long = body.with_dependencies || body.lockfile.is_some();
                let answer: Result<(AskedView, bool), _> = if is_long {
                    client.ask_to_make(&["requests"], body).await
                } else {
                    client.post(&["requests"], body).await
                };
                match answer {
                    Ok((view, created)) => {
                        lacking |= view.unmet.iter().any(|unmet| !unmet.optional);
                        if !this.json {
                            print(&told(&view, created));
                        }
                        asked.push(view);
                    }
                    // That is what was wanted.
                    Err(ClientError::Refused(problem)) if problem.code == "allowed-already" => {
                        if !this.json {
                            print(&format!("{problem}\n"));
                        }
                    }
                    Err(error @ ClientError::Refused(_)) if wishes.len() > 1 => {
                        eprint!("{what}: ");
                        tell(&error);
                        failed += 1;
                    }
                    Err(error) => return Err(error),
                }
            }
            if this.json {
                print_json(&asked);
            }
            Ok(match failed {
                0 if lacking => Exit::Partial,
                0 => Exit::Done,
                failed if failed == wishes.len() => Exit::Failed,
                _ => Exit::Partial,
            })
        })
    }

    /// What can be told without a server is told at once.
    fn read(&self) -> Result<(Option<Lockfile>, Vec<Wish>), String> {
        if let Some(path) = &self.from {
            return Ok((Some(lockfile::read(path)?), Vec::new()));
        }
        let wish = |package: &String| {
            Spelling::parse(package).map_err(|error| error.to_string())?;
            let (with_dependencies, asked) = (self.with_dependencies, Some(package.clone()));
            Ok((package.clone(), AskBody { package: asked, with_dependencies, ..self.body() }))
        };
        Ok((None, self.packages.iter().map(wish).collect::<Result<_, String>>()?))
    }

    /// Whoever asks may not be let see which registries there are: that one is where the others are.
    fn wish_for(&self, lockfile: Lockfile, client: &Client) -> Wish {
        let address = self.registry.as_deref().map(|name| client.address_of(name));
        let named = address.map(|address| Named { address, has_upstream: true });
        let lockfile = lockfile.of_registry(named.as_ref()).without_nameless();
        eprint!("{}", lockfile.left_out());
        let (name, versions) = lockfile.named();
        let lockfile = Some(LockfileBody { name: name.clone(), versions });
        (name, AskBody { lockfile, ..self.body() })
    }

    fn body(&self) -> AskBody {
        AskBody {
            registry: self.registry.clone(),
            reason: self.reason.clone(),
            team: self.team.clone(),
            name: self.name.clone(),
            build: self.build.clone(),
            ..AskBody::default()
        }
    }
}

fn told(view: &AskedView, created: bool) -> String {
    let (number, record) = (view.request.number, &view.request.record);
    let what = shown::what(&view.request);
    let mut text = if created {
        format!("request {number}: {what} is asked for\n")
    } else {
        let since = record.since.strftime("%Y-%m-%d");
        let refusals = record.refusals;
        format!(
            "request {number}: {what} is asked for since {since}, and was refused {refusals} times; you joined it\n"
        )
    };
    if let Some(rejected) = &view.rejected {
        let day = rejected.at.strftime("%Y-%m-%d");
        let _ = writeln!(
            text,
            "  it was rejected on {day} (request {}): {}",
            rejected.number, rejected.reason
        );
    }
    for unmet in view.unmet.iter().take(MOST_UNMET) {
        let _ = writeln!(text, "  {}", unmet.told());
    }
    if view.unmet.len() > MOST_UNMET {
        let more = view.unmet.len() - MOST_UNMET;
        let _ = writeln!(text, "  and {more} more that are not to be had");
    }
    match &record.closed {
        Some(closed) => {
            let _ = writeln!(
                text,
                "  approved by the policy {} (rule {})",
                closed.by,
                closed.rules.join(", ")
            );
        }
        None => {
            let _ = writeln!(text, "  an approver answers with: garth requests approve {number}");
        }
    }
    text
}
