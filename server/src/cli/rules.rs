//! `garth rules list`, `garth rules remove`: what is in force, and taking back what was made here.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, ClientError, ServerArgs};
use super::talk::{colours, painted, print, print_json, with_server};
use crate::api::rules::{OriginView, RuleList, RuleView};
use crate::api::waivers::WaiverList;
use crate::config::EnvSnapshot;

/// Show the rules in force, or remove one
#[derive(Args, Debug)]
pub struct RulesCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Every rule in force, from files and commands
    List(List),
    /// Rules and waivers that end soon, the first end first
    Expiring(Expiring),
    /// Take back a rule that a command made
    Remove(Remove),
}

#[derive(Args, Debug)]
struct List {
    /// Only rules that name this package, like npm:left-pad
    #[arg(long, value_name = "PACKAGE")]
    package: Option<String>,
    /// Only waivers, the first end first
    #[arg(long)]
    waivers: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Expiring {
    /// How far ahead: 30d, 2w, 12h
    #[arg(long, value_name = "TIME", default_value = "30d")]
    within: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Remove {
    /// Names of rules, as `garth rules list` shows them
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl RulesCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        match self.action {
            Action::List(list) => list.run(env),
            Action::Expiring(expiring) => expiring.run(env),
            Action::Remove(remove) => remove.run(env),
        }
    }
}

impl List {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let colours = colours(env);
        with_server(&self.server, env, async |client: Client| {
            let filter = self.package.as_deref().map(|package| ("package", package));
            if self.waivers {
                let waivers = fetch_waivers(&client, filter).await?;
                if self.json {
                    print_json(&waivers);
                } else if waivers.is_empty() {
                    print("No waiver is in force.\n");
                } else {
                    print(&lines(&waivers, colours));
                }
                return Ok(Exit::Done);
            }
            let list = fetch_all(&client, filter).await?;
            if self.json {
                print_json(&list);
            } else {
                print(&told(&list, colours));
            }
            Ok(Exit::Done)
        })
    }
}

impl Expiring {
    fn run(self, env: &EnvSnapshot) -> Exit {
        let colours = colours(env);
        with_server(&self.server, env, async |client: Client| {
            let mut list = fetch_all(&client, Some(("expiring", &self.within))).await?;
            list.rules.sort_by(|a, b| (a.expires, &a.name).cmp(&(b.expires, &b.name)));
            if self.json {
                print_json(&list);
            } else if list.rules.is_empty() {
                print(&format!("No rule and no waiver ends within {}.\n", self.within));
            } else {
                print(&told(&list, colours));
            }
            Ok(Exit::Done)
        })
    }
}

/// Every page of the list.
async fn fetch_all(client: &Client, filter: Option<(&str, &str)>) -> Result<RuleList, ClientError> {
    let query: Vec<(&str, &str)> = filter.into_iter().collect();
    let mut list: RuleList = client.get(&["rules"], &query).await?;
    while let Some(after) = list.next.take() {
        let query: Vec<(&str, &str)> = filter.into_iter().chain([("after", &*after)]).collect();
        let page: RuleList = client.get(&["rules"], &query).await?;
        list.rules.extend(page.rules);
        list.next = page.next;
    }
    Ok(list)
}

async fn fetch_waivers(
    client: &Client,
    filter: Option<(&str, &str)>,
) -> Result<Vec<RuleView>, ClientError> {
    let query: Vec<(&str, &str)> = filter.into_iter().collect();
    client.list(&["waivers"], &query, |page: WaiverList| (page.waivers, page.next)).await
}

impl Remove {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            for name in &self.names {
                client.delete(&["rules", name]).await?;
                if !self.json {
                    print(&format!("removed: the rule {name}\n"));
                }
            }
            if self.json {
                print_json(&serde_json::json!({ "removed": self.names }));
            }
            Ok(Exit::Done)
        })
    }
}

fn told(list: &RuleList, colours: bool) -> String {
    let mut text = String::new();
    for fault in &list.faults {
        let _ = writeln!(text, "! {fault}");
    }
    if list.rules.is_empty() {
        text.push_str(
            "No rules: everything is refused. `garth allow npm:left-pad` makes the first one.\n",
        );
        return text;
    }
    text.push_str(&lines(&list.rules, colours));
    let count = match list.rules.len() {
        1 => "1 rule".to_owned(),
        count => format!("{count} rules"),
    };
    let _ = writeln!(text, "{count}, revision {}", list.revision);
    text
}

fn lines(rules: &[RuleView], colours: bool) -> String {
    let width = rules.iter().map(|rule| rule.name.len()).max().unwrap_or(0).min(40);
    rules.iter().fold(String::new(), |mut text, rule| {
        let effect = painted(&format!("{:5}", rule.effect), rule.effect, colours);
        let _ = writeln!(text, "{effect}  {:width$}  {}", rule.name, said(rule));
        text
    })
}

fn said(rule: &RuleView) -> String {
    const MAX_SHOWN: usize = 5;
    let mut text = rule.packages.iter().take(MAX_SHOWN).cloned().collect::<Vec<_>>().join(", ");
    if rule.packages.len() > MAX_SHOWN {
        let _ = write!(text, " and {} more", rule.packages.len() - MAX_SHOWN);
    }
    if let Some(versions) = &rule.versions {
        let _ = write!(text, " in {versions}");
    }
    let terms = &rule.terms;
    if let Some(when) = &terms.when {
        let _ = write!(text, " where {when}");
    }
    for (word, names) in [("for", &terms.teams), ("in", &terms.environments)] {
        if !names.is_empty() {
            let _ = write!(text, ", {word} {}", names.join(", "));
        }
    }
    if let Some(waives) = &terms.waives {
        let _ = write!(text, ", lifts {waives}");
    }
    if terms.observe {
        text.push_str(", only observes");
    }
    if let Some(starts) = &terms.starts {
        let _ = write!(text, ", from {starts} on");
    }
    if let Some(expires) = &rule.expires {
        let word = if rule.expired { "EXPIRED" } else { "until" };
        let _ = write!(text, ", {word} {expires}");
    }
    if let Some(reason) = &rule.reason {
        let _ = write!(text, " — {reason}");
    }
    match &rule.origin {
        OriginView::File { file, line } => {
            let _ = write!(text, " [{file}:{line}]");
        }
        OriginView::Api { by, .. } => {
            let _ = write!(text, " [made by {by}]");
        }
    }
    text
}
