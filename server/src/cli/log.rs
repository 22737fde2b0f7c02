//! `garth log`: who did what, when, from where and why.

mod export;
mod shown;
mod verify;

use std::time::Duration;

use clap::{Args, Subcommand};
use serde_json::value::RawValue;

use self::shown::{Shown, shown};
use super::Exit;
use super::client::{Client, ClientError, ServerArgs};
use super::talk::{colours, print, with_server};
use crate::api::log::LogPage;
use crate::config::EnvSnapshot;

const PAGE: &str = "1000";
/// How often somebody who follows looks.
const LOOK: Duration = Duration::from_secs(1);

/// Show the audit log: who did what, when, from where and why
///
/// The latest entries, the newest at the end. Needs a token that may administer.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct LogCommand {
    #[command(subcommand)]
    action: Option<Action>,
    #[command(flatten)]
    filter: Filter,
    /// How many of the latest entries to show
    #[arg(long, short = 'n', value_name = "NUMBER", default_value_t = 50)]
    limit: usize,
    /// Go on, and show new entries as they come
    #[arg(long, short)]
    follow: bool,
    /// Print each entry as a line of JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Debug, Subcommand)]
enum Action {
    Export(export::Export),
    Verify(verify::Verify),
}

#[derive(Args, Debug, Default)]
struct Filter {
    /// Only what this person or service did
    #[arg(long, value_name = "NAME")]
    person: Option<String>,
    /// Only what is about this package, like npm:left-pad
    #[arg(long, value_name = "PACKAGE")]
    package: Option<String>,
    /// Only what is about this rule, token or team, or a request as "request 12"
    #[arg(long, value_name = "NAME")]
    subject: Option<String>,
    /// Only entries of these kinds, like rule-made,rule-removed
    #[arg(long, value_name = "KINDS")]
    action: Option<String>,
    /// Only since then: a duration such as 7d or 12h, or a time
    #[arg(long, value_name = "WHEN")]
    since: Option<String>,
    /// Only until then
    #[arg(long, value_name = "WHEN")]
    until: Option<String>,
}

impl Filter {
    fn query(&self) -> Vec<(&'static str, &str)> {
        let given = [
            ("person", &self.person),
            ("package", &self.package),
            ("subject", &self.subject),
            ("action", &self.action),
            ("since", &self.since),
            ("until", &self.until),
        ];
        given.into_iter().filter_map(|(name, text)| Some((name, text.as_deref()?))).collect()
    }
}

impl LogCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        match self.action {
            Some(Action::Export(export)) => return export.run(env),
            Some(Action::Verify(verify)) => return verify.run(env),
            None => {}
        }
        let colours = colours(env);
        with_server(&self.server, env, async |client: Client| {
            let (latest, size) = latest(&client, &self.filter, self.limit).await?;
            self.show(&latest, colours);
            if !self.follow {
                return Ok(Exit::Done);
            }
            let mut last = size.checked_sub(1);
            loop {
                tokio::time::sleep(LOOK).await;
                last = self.show_newer(&client, last, colours).await?;
            }
        })
    }

    fn show(&self, entries: &[Box<RawValue>], colours: bool) {
        let lines: String = entries
            .iter()
            .map(|entry| {
                if self.json {
                    format!("{}\n", entry.get())
                } else {
                    shown(entry.get(), colours).to_string()
                }
            })
            .collect();
        print(&lines);
    }

    /// Prints what came behind `last`; the number of the last entry that was looked at.
    async fn show_newer(
        &self,
        client: &Client,
        mut last: Option<u64>,
        colours: bool,
    ) -> Result<Option<u64>, ClientError> {
        loop {
            let after = last.map(|last| last.to_string());
            let mut query = self.filter.query();
            query.extend([("order", "oldest"), ("limit", PAGE)]);
            query.extend(after.as_deref().map(|after| ("after", after)));
            let page: LogPage = client.get(&["log"], &query).await?;
            self.show(&page.entries, colours);
            let shown = page.entries.last().and_then(|entry| Shown::number(entry.get()));
            // Without `next` all that there was has been looked at.
            match page.next {
                Some(next) => last = Some(next),
                None => return Ok(shown.max(last)),
            }
        }
    }
}

/// The latest entries, the oldest of them first, and how many the log has.
async fn latest(
    client: &Client,
    filter: &Filter,
    limit: usize,
) -> Result<(Vec<Box<RawValue>>, u64), ClientError> {
    let mut entries: Vec<Box<RawValue>> = Vec::new();
    let (mut after, mut size): (Option<u64>, Option<u64>) = (None, None);
    while entries.len() < limit {
        let (wanted, behind) =
            ((limit - entries.len()).to_string(), after.map(|after| after.to_string()));
        let mut query = filter.query();
        query.push(("limit", &wanted));
        query.extend(behind.as_deref().map(|behind| ("after", behind)));
        let page: LogPage = client.get(&["log"], &query).await?;
        // What came between two pages is shown to who follows.
        size.get_or_insert(page.size);
        entries.extend(page.entries);
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    entries.reverse();
    Ok((entries, size.unwrap_or_default()))
}
