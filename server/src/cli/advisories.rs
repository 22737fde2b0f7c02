//! `garth advisories`: importing them, and looking at what is known.

mod upload;

use std::fmt::Write as _;
use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, ClientError, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::advisories::{AdvisoriesStatus, Imported, NOTHING_KNOWN};
use crate::api::advisories::{AdvisoryList, AdvisoryView, KnownView};
use crate::config::EnvSnapshot;

/// Import advisories, or show what is known of packages
#[derive(Args, Debug)]
pub struct AdvisoriesCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    Import(Import),
    /// What is in force, and where it came from
    Status(Status),
    /// What is known of a package, or of one version of it
    List(List),
    /// One advisory
    Show(Show),
}

/// Import advisories in OSV's format: in force at once, whole or not at all
///
/// PATH is a record in JSON, a zip or tar archive of records as the OSV databases are exported, or a
/// directory of them. What is held already and was not modified since stays as it is.
#[allow(clippy::doc_markdown, reason = "shown as it stands in the help text")]
#[derive(Args, Debug)]
struct Import {
    /// A .json file, a .zip, a .tar or .tar.gz, or a directory
    #[arg(value_name = "PATH")]
    path: PathBuf,
    /// What this source is called; the next import of the same name goes on from it
    #[arg(long, value_name = "NAME", default_value = "default")]
    source: String,
    /// It is everything that the source has: what is not in it any more is taken away
    #[arg(long)]
    complete: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Status {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct List {
    /// npm:left-pad, or npm:left-pad@1.3.0 for that version alone
    #[arg(value_name = "PACKAGE")]
    package: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

#[derive(Args, Debug)]
struct Show {
    /// Like GHSA-aaaa-bbbb-cccc
    #[arg(value_name = "ID")]
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl AdvisoriesCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        match self.action {
            Action::Import(import) => import.run(env),
            Action::Status(status) => status.run(env),
            Action::List(list) => list.run(env),
            Action::Show(show) => show.run(env),
        }
    }
}

impl Import {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let (body, failure) = upload::body_of(&self.path).await?;
            let complete = self.complete.to_string();
            let query = [("source", self.source.as_str()), ("complete", complete.as_str())];
            let sent = client
                .upload(&["advisories", "import"], &query, "application/octet-stream", body)
                .await;
            // Why nothing more came is better to know than that it broke off.
            if let Some(fault) = failure.take() {
                return Err(ClientError::Unreadable { path: self.path.clone(), cause: fault });
            }
            let imported: Imported = sent?;
            if self.json {
                print_json(&imported);
            } else {
                print(&told(&imported));
            }
            Ok(Exit::Done)
        })
    }
}

impl Status {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let status: AdvisoriesStatus = client.get(&["advisories", "status"], &[]).await?;
            if self.json {
                print_json(&status);
            } else {
                print(&told_status(&status));
            }
            Ok(Exit::Done)
        })
    }
}

impl List {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let query = [("package", self.package.as_str())];
            let list: AdvisoryList = client.get(&["advisories"], &query).await?;
            if self.json {
                print_json(&list);
            } else {
                print(&told_list(&self.package, &list));
            }
            Ok(Exit::Done)
        })
    }
}

impl Show {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let view: AdvisoryView = client.get(&["advisories", &self.id], &[]).await?;
            if self.json {
                print_json(&view);
            } else {
                print(&told_advisory(&view));
            }
            Ok(Exit::Done)
        })
    }
}

fn told(imported: &Imported) -> String {
    let Imported { source, read, written, unchanged, removed, ignored, .. } = imported;
    let mut text = format!(
        "{source}: {read} records read, {written} written, {unchanged} unchanged, {removed} \
         removed; {ignored} speak of other ecosystems\n"
    );
    if imported.older > 0 {
        let _ = writeln!(
            text,
            "{} are older than what is held, which stays: is this an old export?",
            imported.older
        );
    }
    if imported.malicious > 0 {
        let _ = writeln!(
            text,
            "{} of those written say that something is malicious: denied",
            imported.malicious
        );
    }
    let _ = writeln!(text, "advisories' revision {}", imported.revision);
    text
}

fn told_status(status: &AdvisoriesStatus) -> String {
    if status.revision.is_empty() {
        return format!("Nothing is known of any version: {NOTHING_KNOWN}.\n");
    }
    let ecosystems: Vec<String> = status.ecosystems.iter().map(ToString::to_string).collect();
    let mut text = format!(
        "{} advisories for {} packages of {}, {} KiB in memory, revision {}\n",
        status.advisories,
        status.packages,
        ecosystems.join(", "),
        status.memory.div_ceil(1024),
        status.revision
    );
    for (name, source) in &status.sources {
        let complete = if source.complete { ", complete" } else { "" };
        let _ = writeln!(
            text,
            "{name}: {} advisories, imported {:.0}{complete}",
            source.advisories, source.imported
        );
    }
    for ecosystem in &status.stale {
        let since = status.confirmed.get(ecosystem).map(|at| format!(" since {at:.0}"));
        let _ = writeln!(
            text,
            "OLD: nobody confirmed the advisories of {ecosystem}{}, which is longer ago than \
             advisories.stale: what was found since is not known here",
            since.unwrap_or_default()
        );
    }
    text
}

fn told_list(asked: &str, list: &AdvisoryList) -> String {
    if list.unknown {
        let ecosystem = list.package.ecosystem();
        return format!("Unknown: no advisories were imported for {ecosystem}.\n");
    }
    if list.advisories.is_empty() {
        return format!("No advisory speaks of {asked}.\n");
    }
    let mut lines: Vec<String> = list.advisories.iter().map(line).collect();
    lines.push(String::new());
    lines.join("\n")
}

fn line(known: &KnownView) -> String {
    let mut text = known.id.clone();
    if known.malicious {
        text.push_str("  MALICIOUS");
    }
    if known.withdrawn {
        text.push_str("  withdrawn");
    }
    if let Some(severity) = known.severity {
        let _ = write!(text, "  severity {severity}");
    }
    if !known.fixed.is_empty() {
        let _ = write!(text, "  fixed in {}", known.fixed.join(", "));
    }
    if !known.aliases.is_empty() {
        let _ = write!(text, "  ({})", known.aliases.join(", "));
    }
    text
}

fn told_advisory(view: &AdvisoryView) -> String {
    const MAX_SHOWN: usize = 50;
    let advisory = &view.advisory;
    let mut text = format!("{}  {}\n", advisory.id, advisory.summary);
    if advisory.malicious {
        text.push_str("MALICIOUS: made to do harm\n");
    }
    if let Some(withdrawn) = advisory.withdrawn {
        let _ = writeln!(text, "withdrawn {withdrawn:.0}");
    }
    if !advisory.aliases.is_empty() {
        let _ = writeln!(text, "also {}", advisory.aliases.join(", "));
    }
    if let Some(url) = &advisory.url {
        let _ = writeln!(text, "{url}");
    }
    for affected in advisory.affected.iter().take(MAX_SHOWN) {
        let severity = affected.severity.map_or_else(String::new, |s| format!(", severity {s}"));
        let fixed: Vec<&str> = affected.fixed().collect();
        let fixed = if fixed.is_empty() {
            String::new()
        } else {
            format!(", fixed in {}", fixed.join(", "))
        };
        let _ = writeln!(text, "{}{severity}{fixed}", affected.package);
    }
    let _ = writeln!(text, "from {}, modified {:.0}", view.sources.join(", "), advisory.modified);
    text
}
