//! `garth requests`: what is asked for, and answering it.

pub(super) mod shown;

use std::io::{IsTerminal as _, Write as _};

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, ClientError, ServerArgs};
use super::talk::{colours, print, print_json, with_server};
use crate::api::requests::{
    ApproveBody, CommentBody, Outcome, Outcomes, RejectBody, RequestDetail, RequestList,
    RequestView,
};
use crate::config::EnvSnapshot;

/// Requests that are answered by one call.
const AT_ONCE: usize = 100;

/// Show what is asked for, and approve or reject it
#[derive(Args, Debug)]
pub struct RequestsCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// What waits for an answer, the most wanted first
    List(List),
    /// What an approver needs of one: who asks, how often, what is known, what an approval would do
    Show(Show),
    /// Make a rule for what was asked; of many, each by itself
    Approve(Approve),
    /// Answer no, with the reason that the next who asks reads
    Reject(Reject),
    /// Say something of a request
    Comment(Comment),
}

#[derive(Args, Debug)]
struct List {
    /// open, approved, rejected, or answered by rules that were made for something else
    #[arg(long, value_name = "STATE", default_value = "open", value_parser = ["open", "approved", "rejected", "answered"])]
    state: String,
    #[command(flatten)]
    filter: Filter,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Which requests are meant.
#[derive(Args, Debug)]
struct Filter {
    /// Only those for this package, or pattern: npm:left-pad, "npm:@types/*"
    #[arg(long, value_name = "PACKAGE")]
    package: Option<String>,
    /// Only those that somebody of this team asks for
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Only those that whoever has this token asks for, or was refused
    #[arg(long)]
    mine: bool,
}

/// Many at once: they are shown, and answered when somebody says yes.
#[derive(Args, Debug)]
struct Many {
    /// All open requests for this package, or pattern: npm:left-pad, "npm:@types/*"
    #[arg(long, value_name = "PACKAGE", conflicts_with = "numbers")]
    package: Option<String>,
    /// All open requests that somebody of this team asks for
    #[arg(long, value_name = "TEAM", conflicts_with = "numbers")]
    team: Option<String>,
    /// All open requests
    #[arg(long, conflicts_with_all = ["numbers", "package", "team"])]
    all: bool,
    /// Do not ask whether these are meant
    #[arg(long)]
    yes: bool,
}

#[derive(Args, Debug)]
struct Show {
    /// A number, as `garth requests list` shows it
    #[arg(value_name = "NUMBER")]
    number: u64,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Approve {
    /// Numbers, as `garth requests list` shows them
    #[arg(required_unless_present_any = ["package", "team", "all"], value_name = "NUMBER")]
    numbers: Vec<u64>,
    #[command(flatten)]
    many: Many,
    /// For whom: everyone, a unit like web, or a team like web/shop
    #[arg(long, value_name = "SCOPE", default_value = "everyone")]
    scope: String,
    /// Other versions than those asked for, like "^1.3.0"
    #[arg(long, value_name = "RANGE")]
    versions: Option<String>,
    /// When it ends: 2027-01-01 or 2027-01-01T12:00:00Z
    #[arg(long, value_name = "DATE")]
    expires: Option<String>,
    /// Why, in one line [default: the reason of who asked]
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Where a rule denies or holds it: lift that, by a waiver that ends at --expires
    #[arg(long, requires = "expires")]
    waive: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Reject {
    /// Numbers, as `garth requests list` shows them
    #[arg(required_unless_present_any = ["package", "team", "all"], value_name = "NUMBER")]
    numbers: Vec<u64>,
    #[command(flatten)]
    many: Many,
    /// Why, in one line; whoever is refused next reads it
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Comment {
    /// A number, as `garth requests list` shows it
    #[arg(value_name = "NUMBER")]
    number: u64,
    /// What to say, in one line
    #[arg(value_name = "TEXT")]
    text: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl RequestsCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        match self.action {
            Action::List(list) => list.run(env),
            Action::Show(show) => show.run(env),
            Action::Approve(approve) => approve.run(env),
            Action::Reject(reject) => reject.run(env),
            Action::Comment(comment) => comment.run(env),
        }
    }
}

impl List {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let mut all = self.filter.fetch(&client, &self.state).await?;
            all.sort_by_key(|view| std::cmp::Reverse((view.record.refusals, view.record.last)));
            if self.json {
                print_json(&all);
            } else {
                print(&shown::list(&all, &self.state));
            }
            Ok(Exit::Done)
        })
    }
}

impl Filter {
    async fn fetch(&self, client: &Client, state: &str) -> Result<Vec<RequestView>, ClientError> {
        let mut all: Vec<RequestView> = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut query = vec![("state", state)];
            query.extend(self.package.as_deref().map(|package| ("package", package)));
            query.extend(self.team.as_deref().map(|team| ("team", team)));
            query.extend(self.mine.then_some(("mine", "true")));
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page: RequestList = client.get(&["requests"], &query).await?;
            all.extend(page.requests);
            after = page.next.map(|number| number.to_string());
            if after.is_none() {
                return Ok(all);
            }
        }
    }
}

/// What somebody says to many requests.
enum Said {
    Yes(Vec<u64>),
    /// There are none.
    None,
    No,
}

impl Many {
    /// The numbers that were given, or those that a person says are meant. What is asked for later
    /// is not among them.
    async fn numbers(
        &self,
        given: &[u64],
        answer: &str,
        client: &Client,
    ) -> Result<Said, ClientError> {
        if !given.is_empty() {
            return Ok(Said::Yes(given.to_vec()));
        }
        let (package, team) = (self.package.clone(), self.team.clone());
        let found = Filter { package, team, mine: false }.fetch(client, "open").await?;
        if found.is_empty() {
            eprint!("{}", shown::list(&found, "open"));
            return Ok(Said::None);
        }
        let numbers = found.iter().map(|view| view.number).collect();
        if self.yes {
            return Ok(Said::Yes(numbers));
        }
        eprint!("{}", shown::list(&found, "open"));
        if !std::io::stdin().is_terminal() {
            eprintln!("garth: nothing was changed: say --yes if all of these are meant");
            return Ok(Said::No);
        }
        eprint!("{answer} all of these? [y/N] ");
        let _ = std::io::stderr().flush();
        let mut line = String::new();
        let said = std::io::stdin().read_line(&mut line).map(|_| line.trim().to_lowercase());
        if said.is_ok_and(|said| said == "y" || said == "yes") {
            return Ok(Said::Yes(numbers));
        }
        eprintln!("garth: nothing was changed");
        Ok(Said::No)
    }
}

impl Show {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let colours = colours(env);
        with_server(&self.server, env, async |client: Client| {
            let number = self.number.to_string();
            let detail: RequestDetail = client.get(&["requests", &number], &[]).await?;
            if self.json {
                print_json(&detail);
            } else {
                print(&shown::detail(&detail, colours));
            }
            Ok(Exit::Done)
        })
    }
}

impl Approve {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let body = ApproveBody {
                requests: Vec::new(),
                scope: Some(self.scope.clone()),
                versions: self.versions.clone(),
                expires: self.expires.clone(),
                reason: self.reason.clone(),
                waive: self.waive,
            };
            let numbers = self.many.numbers(&self.numbers, "Approve", &client).await?;
            let part = |requests| ApproveBody { requests, ..body.clone() };
            answer(&client, numbers, "approve", part, self.json).await
        })
    }
}

impl Reject {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let numbers = self.many.numbers(&self.numbers, "Reject", &client).await?;
            let part = |requests| RejectBody { requests, reason: self.reason.clone() };
            answer(&client, numbers, "reject", part, self.json).await
        })
    }
}

/// Answers each of them, some at a time.
async fn answer<B: serde::Serialize>(
    client: &Client,
    said: Said,
    how: &str,
    part: impl Fn(Vec<u64>) -> B,
    json: bool,
) -> Result<Exit, ClientError> {
    let numbers = match said {
        Said::Yes(numbers) => numbers,
        Said::No => return Ok(Exit::Failed),
        Said::None => Vec::new(),
    };
    let mut outcomes = Vec::new();
    for numbers in numbers.chunks(AT_ONCE) {
        let body = part(numbers.to_vec());
        let done: Outcomes = client.ask(&["requests", how], &body).await?;
        outcomes.extend(done.outcomes);
    }
    Ok(tell_outcomes(&outcomes, json))
}

impl Comment {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let body = CommentBody { text: self.text.clone() };
            let number = self.number.to_string();
            let (view, _): (RequestView, _) =
                client.post(&["requests", &number, "comments"], &body).await?;
            if self.json {
                print_json(&view);
            } else {
                print(&format!("request {number}: kept\n"));
            }
            Ok(Exit::Done)
        })
    }
}

/// One that failed does not undo another, and is told where errors are.
fn tell_outcomes(outcomes: &[Outcome], json: bool) -> Exit {
    let failed = outcomes.iter().filter(|outcome| outcome.problem.is_some()).count();
    if json {
        print_json(&outcomes);
    }
    for outcome in outcomes {
        match &outcome.problem {
            Some(problem) => eprintln!("garth: request {}: {problem}", outcome.number),
            None if !json => print(&shown::outcome(outcome)),
            None => {}
        }
    }
    let some_stay_refused = outcomes.iter().any(|outcome| !outcome.refused.is_empty());
    match failed {
        0 if some_stay_refused => Exit::Partial,
        0 => Exit::Done,
        failed if failed == outcomes.len() => Exit::Failed,
        _ => Exit::Partial,
    }
}
