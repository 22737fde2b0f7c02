//! `garth requests`: what is asked for, and answering it.

mod shown;

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, ServerArgs};
use super::talk::{colours, print, print_json, with_server};
use crate::api::requests::{
    ApproveBody, CommentBody, Outcome, Outcomes, RejectBody, RequestDetail, RequestList,
    RequestView,
};
use crate::config::EnvSnapshot;

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
    /// open, approved or rejected
    #[arg(long, value_name = "STATE", default_value = "open", value_parser = ["open", "approved", "rejected"])]
    state: String,
    /// Only those for this package, like npm:left-pad
    #[arg(long, value_name = "PACKAGE")]
    package: Option<String>,
    /// Only those that somebody of this team asks for
    #[arg(long, value_name = "TEAM")]
    team: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
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
    #[arg(required = true, value_name = "NUMBER")]
    numbers: Vec<u64>,
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
    #[arg(required = true, value_name = "NUMBER")]
    numbers: Vec<u64>,
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
            let mut all: Vec<RequestView> = Vec::new();
            let mut after: Option<String> = None;
            loop {
                let mut query = vec![("state", self.state.as_str())];
                query.extend(self.package.as_deref().map(|package| ("package", package)));
                query.extend(self.team.as_deref().map(|team| ("team", team)));
                query.extend(after.as_deref().map(|after| ("after", after)));
                let page: RequestList = client.get(&["requests"], &query).await?;
                all.extend(page.requests);
                after = page.next.map(|number| number.to_string());
                if after.is_none() {
                    break;
                }
            }
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
                requests: self.numbers.clone(),
                scope: Some(self.scope.clone()),
                versions: self.versions.clone(),
                expires: self.expires.clone(),
                reason: self.reason.clone(),
                waive: self.waive,
            };
            let (done, _): (Outcomes, _) = client.post(&["requests", "approve"], &body).await?;
            Ok(tell_outcomes(&done.outcomes, self.json))
        })
    }
}

impl Reject {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let body = RejectBody { requests: self.numbers.clone(), reason: self.reason.clone() };
            let (done, _): (Outcomes, _) = client.post(&["requests", "reject"], &body).await?;
            Ok(tell_outcomes(&done.outcomes, self.json))
        })
    }
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
    match failed {
        0 => Exit::Done,
        failed if failed == outcomes.len() => Exit::Failed,
        _ => Exit::Partial,
    }
}
