//! `garth packages`: what is in the garden.

use std::fmt::Write as _;

use clap::{Args, Subcommand};

use super::Exit;
use super::client::{Client, ClientError, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::api::packages::{Evicted, PackageList, VersionList, VersionView};
use crate::config::EnvSnapshot;

/// Show the packages that are in the garden, and drop kept files of a version
#[derive(Args, Debug)]
pub struct PackagesCommand {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand, Debug)]
enum Action {
    List(List),
    Show(Show),
    Remove(Remove),
}

/// List the packages, by registry and name
#[derive(Args, Debug)]
struct List {
    /// Only names that have this text in them
    #[arg(value_name = "TEXT")]
    search: Option<String>,
    /// Only packages of this registry
    #[arg(long, value_name = "NAME")]
    registry: Option<String>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Show what is kept of a package's versions
#[derive(Args, Debug)]
struct Show {
    /// The package's name in its registry, like @acme/ui
    #[arg(value_name = "NAME")]
    package: String,
    /// The registry that it is of
    #[arg(long, value_name = "NAME")]
    registry: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

/// Drop the kept files of a version: they are fetched again when somebody asks for them
///
/// What is known of the version stays, so that other bytes under it are refused; and what was published
/// here is never dropped.
#[derive(Args, Debug)]
struct Remove {
    /// The package's name in its registry, like @acme/ui
    #[arg(value_name = "NAME")]
    package: String,
    /// Its version
    #[arg(id = "of", value_name = "VERSION")]
    version: String,
    /// The registry that it is of
    #[arg(long, value_name = "NAME")]
    registry: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl PackagesCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        match self.action {
            Action::List(list) => list.run(env),
            Action::Show(show) => show.run(env),
            Action::Remove(remove) => remove.run(env),
        }
    }
}

impl List {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let search = self.search.as_deref().map(|text| ("search", text));
            let registry = self.registry.as_deref().map(|name| ("registry", name));
            let query: Vec<_> = search.into_iter().chain(registry).collect();
            let take = |page: PackageList| (page.packages, page.next);
            let packages = client.list(&["packages"], &query, take).await?;
            if self.json {
                print_json(&packages);
                return Ok(Exit::Done);
            }
            let text = packages.iter().fold(String::new(), |mut text, found| {
                let own = if found.own { ", published here" } else { "" };
                let _ = writeln!(
                    text,
                    "{}  /{}/, newest as of {:.0}{own}",
                    found.package, found.registry, found.checked
                );
                text
            });
            print(if text.is_empty() { "No package is in the garden yet.\n" } else { &text });
            Ok(Exit::Done)
        })
    }
}

impl Show {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let path = ["packages", &self.registry, &self.package, "versions"];
            let take = |page: VersionList| (page.versions, page.next);
            let versions = client.list(&path, &[], take).await?;
            if self.json {
                print_json(&versions);
            } else {
                print(&versions.iter().map(told).collect::<String>());
            }
            Ok(Exit::Done)
        })
    }
}

fn told(view: &VersionView) -> String {
    let mut text = format!("{}  first seen {:.0}", view.version, view.first_seen);
    if view.own {
        text += ", published here";
    }
    if let Some(vanished) = view.vanished {
        let _ = write!(text, ", listed no more since {vanished:.0}");
    }
    for artifact in &view.artifacts {
        let (file, size, digest) = (&artifact.file, artifact.size, &artifact.digest);
        let _ = write!(text, "\n    {file}, {size} bytes, {digest}");
    }
    text + "\n"
}

impl Remove {
    fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let path = ["packages", &self.registry, &self.package, "versions", &self.version];
            let dropped: Evicted = client.delete_for(&path).await?;
            if self.json {
                print_json(&dropped);
            } else {
                let Evicted { files, bytes } = dropped;
                print(&format!("dropped: {files} files, {bytes} bytes\n"));
            }
            Ok::<_, ClientError>(Exit::Done)
        })
    }
}
