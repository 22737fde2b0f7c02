//! `garth setup`: points npm, pnpm, yarn, bun or cargo at garth, and takes it back.
//!
//! [`address`] finds the registry, a module a client says which files it reads, a module a notation which
//! lines change, [`plan`] puts both together, and [`report`] tells it. Without `--write` nothing is written;
//! with it a [`record`] remembers the lines that were changed, so that `--undo` can put back what was there
//! although others have changed the file since. Nothing here asks a client to change its own files: they
//! would lose the comments in them.
#![allow(clippy::disallowed_methods, reason = "runs without an executor")]

mod address;
mod bun;
mod bunfig;
mod cargo;
mod cargo_toml;
mod edits;
mod files;
mod machine;
mod notes;
mod npm;
mod npmrc;
mod plan;
mod pnpm;
mod record;
mod report;
mod yaml;
mod yarn;
mod yarnrc;
mod yarnrc_yml;

use std::fmt;
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use serde::{Deserialize, Serialize};
use url::Url;

use super::Exit;
use super::client::{Needs, Silent, answers};
use super::talk::{print, print_json};
use crate::config::{EnvSnapshot, Format};
use address::Address;
use machine::{Layout, Machine};
use plan::Plan;
use report::Report;

/// Point a package manager at garth
///
/// Shows what would be written to which file. With --write it is written, and with --undo the file is again
/// what it was, whatever else was changed in it meanwhile. The files are your own, in the home directory,
/// unless you say --project.
#[allow(clippy::doc_markdown, reason = "shown as it stands in the help text")]
#[allow(clippy::struct_excessive_bools, reason = "each is an option of the command")]
#[derive(Args, Debug)]
pub struct Setup {
    #[arg(value_enum)]
    client: Client,
    /// Write it
    #[arg(long, conflicts_with = "undo")]
    write: bool,
    /// Take back what an earlier --write changed
    #[arg(long)]
    undo: bool,
    /// The project's files instead of your own [default: the project of the current directory]
    #[arg(long, value_name = "DIR", num_args = 0..=1)]
    #[allow(clippy::option_option, reason = "given, and given with a value")]
    project: Option<Option<PathBuf>>,
    /// The registry, as garth.toml calls it [default: the one of the client's format]
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// The environment variable that will hold a token; the token itself is never written
    #[arg(long, value_name = "NAME")]
    token_env: Option<String>,
    /// cargo: one more registry, which has crates of your own [default: those without an upstream]
    #[arg(long, value_name = "NAME")]
    own: Vec<String>,
    /// cargo: replace what stands in for its default registry already
    #[arg(long)]
    replace: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The server's URL, as the client reaches it [default: the one on this machine] [env: GARTH_URL]
    #[arg(long, value_name = "URL")]
    server: Option<String>,
    /// The data directory of the server on this machine [default: ./garth-data] [env: GARTH_DATA]
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Client {
    Npm,
    Pnpm,
    Yarn,
    Bun,
    Cargo,
}

/// What the client's files shall say.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    /// Ends in `/`.
    pub registry: &'a Url,
    pub token_env: Option<&'a str>,
    /// What cargo is told of; no other client is.
    pub sources: &'a [Source],
    /// What stands in another's place already may be replaced.
    pub may_replace: bool,
}

/// A registry, as cargo's configuration has it.
#[derive(Clone, Debug)]
pub struct Source {
    /// What cargo calls it.
    pub name: String,
    /// Ends in `/`.
    pub index: Url,
    /// It stands in for cargo's default registry.
    pub replaces: bool,
    /// It serves nobody without a token.
    pub asks_for_token: bool,
}

/// A registry that a file names, and the line, from 1.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub address: String,
}

/// A file that is not changed, because it cannot be read or must not be changed there. The line is
/// counted from 1.
#[derive(Debug)]
pub struct Unreadable {
    pub line: usize,
    pub why: String,
    pub remedy: String,
}

impl Client {
    /// What a registry speaks to it.
    fn format(self) -> Format {
        match self {
            Self::Npm | Self::Pnpm | Self::Yarn | Self::Bun => Format::Npm,
            Self::Cargo => Format::Cargo,
        }
    }

    fn layout(self, machine: &Machine) -> Layout {
        match self {
            Self::Npm => npm::layout(machine),
            Self::Pnpm => pnpm::layout(machine),
            Self::Yarn => yarn::layout(machine),
            Self::Bun => bun::layout(machine),
            Self::Cargo => cargo::layout(machine),
        }
    }
}

impl fmt::Display for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Npm => "npm",
            Self::Pnpm => "pnpm",
            Self::Yarn => "yarn",
            Self::Bun => "bun",
            Self::Cargo => "cargo",
        })
    }
}

impl Wanted<'_> {
    /// `//host:port/npm/`: how npm and yarn name what is said of one registry.
    fn without_scheme(&self) -> String {
        self.registry.as_str().trim_start_matches(self.registry.scheme()).replacen(':', "", 1)
    }
}

/// What cargo has in front of the address of an index that it reads over HTTP.
const SPARSE: &str = "sparse+";

/// Whether an address, as somebody wrote it, is that of the registry.
fn same_address(written: &str, registry: &Url) -> bool {
    let written = written.strip_prefix(SPARSE).unwrap_or(written);
    written.trim_end_matches('/') == registry.as_str().trim_end_matches('/')
}

impl Setup {
    pub(super) fn run(self, env: EnvSnapshot) -> Exit {
        let done = self.machine(env).and_then(|machine| {
            if self.undo { self.take_back(&machine) } else { self.set_up(&machine) }
        });
        done.unwrap_or_else(|why| {
            eprintln!("garth: {why}");
            Exit::Failed
        })
    }

    fn machine(&self, env: EnvSnapshot) -> Result<Machine, String> {
        let home = env.get_os("HOME").map(PathBuf::from).filter(|home| home.is_absolute());
        let home = home.ok_or("the home directory is not known: set HOME")?;
        let directory = std::env::current_dir()
            .map_err(|error| format!("the current directory cannot be told: {error}"))?;
        let is_root = rustix::process::geteuid().is_root();
        let mut machine = Machine { env, home, directory, project: None, is_root, undo: self.undo };
        machine.project = match &self.project {
            None => None,
            Some(None) => Some(self.client.layout(&machine).root),
            Some(Some(given)) => Some(existing(&machine.directory.join(given))?),
        };
        Ok(machine)
    }

    fn set_up(&self, machine: &Machine) -> Result<Exit, String> {
        let Address { registry, mut sources } = address::find(self, &machine.env)?;
        if let Some(name) = &self.token_env {
            address::check_variable(name)?;
        }
        // Asked first: nothing is written of a registry that is not there.
        let mut silent = Vec::new();
        if sources.is_empty() {
            silent.extend(ask(&registry, "-/ping")?.err());
        }
        for source in &mut sources {
            match ask(&source.index, "config.json")? {
                Ok(needs) => source.asks_for_token = needs == Needs::Token,
                Err(why) => silent.push(why),
            }
        }
        let wanted = Wanted {
            registry: &registry,
            token_env: self.token_env.as_deref(),
            sources: &sources,
            may_replace: self.replace,
        };
        let layout = self.client.layout(machine);
        let plan = Plan::make(self.client, machine, &layout, &wanted)?;
        if self.write {
            plan.carry_out(machine)?;
        }
        let files = plan.told(machine, self.write);
        let notes = notes::notes(self.client, machine, &layout, &plan, &wanted);
        self.tell(&Report {
            client: self.client,
            registry: Some(registry.to_string()),
            files,
            notes,
        });
        for why in silent.iter().filter(|_| self.write) {
            eprintln!("garth: warning: {why}");
        }
        Ok(Exit::Done)
    }

    fn take_back(&self, machine: &Machine) -> Result<Exit, String> {
        let layout = self.client.layout(machine);
        let files = plan::take_back(self.client, machine, &layout)?;
        let complete = files.iter().all(|file| file.lost.is_empty());
        self.tell(&Report { client: self.client, registry: None, files, notes: Vec::new() });
        Ok(if complete { Exit::Done } else { Exit::Partial })
    }

    fn tell(&self, report: &Report) {
        if self.json { print_json(report) } else { print(&report.text(self.write, self.undo)) }
    }
}

fn existing(directory: &Path) -> Result<PathBuf, String> {
    if directory.is_dir() {
        return Ok(directory.to_path_buf());
    }
    Err(format!("{} is no directory: give that of the project", directory.display()))
}

/// What a registry needs, or why it is not known whether there is one; an error where there is none.
fn ask(registry: &Url, known: &str) -> Result<Result<Needs, String>, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| format!("cannot ask {registry}: {error}"))?;
    match runtime.block_on(answers(registry, known)) {
        Ok(needs) => Ok(Ok(needs)),
        Err(Silent::Unclear(why)) => Ok(Err(why)),
        Err(Silent::NoRegistry(why)) => Err(why),
    }
}

#[cfg(test)]
mod tests;
