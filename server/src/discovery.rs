//! What registries this machine's package managers use, so that garth can stand in front of them.
//!
//! Each package manager is asked, or its configuration read, in the way that it resolves it itself.
//! Everything is bounded: a command has a deadline, a file a size. Credentials that turn up are named and
//! never taken over. No registry's address is written here: what cannot be found is said to be missing.
#![allow(clippy::disallowed_methods, reason = "asked before the executor runs")]

mod cargo;
mod command;
mod docker;
mod npm;
mod npmrc;
mod nuget;
mod remembered;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use url::Url;

use crate::config::{EnvSnapshot, Format, base_url, leads_to};

pub use remembered::Remembered;

/// Where to look. Handed in whole, so that a test can describe a machine.
#[derive(Clone, Debug)]
pub struct Machine {
    pub env: EnvSnapshot,
    /// The current directory: package managers read the configuration of a project from here upward.
    pub directory: PathBuf,
    /// `/etc`.
    pub etc: PathBuf,
    /// Where garth will listen, to know itself again.
    pub listen: SocketAddr,
    /// What an earlier start found, for a client that has been pointed at garth since.
    pub remembered: Remembered,
}

/// What was found and what was not; each format is in one of the two.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discovery {
    pub found: Vec<Found>,
    pub missing: Vec<Missing>,
    /// What else a person should know, a sentence each.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub format: Format,
    /// Ends in `/` and holds no credentials.
    pub upstream: Url,
    /// The command or the file that said so.
    pub from: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    pub format: Format,
    pub why: String,
    /// What a person does about it.
    pub how: String,
}

impl Machine {
    /// This machine, for a garth that will listen on `listen`.
    pub fn this(env: EnvSnapshot, directory: PathBuf, listen: SocketAddr) -> Self {
        Self {
            env,
            directory,
            etc: PathBuf::from("/etc"),
            listen,
            remembered: Remembered::default(),
        }
    }

    fn home(&self) -> Option<PathBuf> {
        self.env.get_os("HOME").map(PathBuf::from)
    }

    /// `~/...` for a path below the home directory: shorter, and without a person's name.
    fn shown(&self, path: &Path) -> String {
        match self.home().and_then(|home| path.strip_prefix(home).ok().map(Path::to_path_buf)) {
            Some(below) => format!("~/{}", below.display()),
            None => path.display().to_string(),
        }
    }

    /// Whether `url` leads to garth, as it will listen or did listen at an earlier start.
    fn is_garth(&self, url: &Url) -> bool {
        std::iter::once(&self.listen)
            .chain(&self.remembered.listened)
            .any(|listen| leads_to(url, *listen))
    }

    /// The current directory and each one above it, nearest first.
    fn directories_upward(&self) -> impl Iterator<Item = &Path> {
        self.directory.ancestors()
    }

    fn recalled(&self, format: Format) -> Option<&Url> {
        self.remembered.upstreams.iter().find(|(of, _)| *of == format).map(|(_, upstream)| upstream)
    }
}

/// Looks everywhere. Takes as long as the package managers take to answer: seconds at the most.
pub fn discover(machine: &Machine) -> Discovery {
    let mut discovery = Discovery::default();
    npm::discover(machine, &mut discovery);
    cargo::discover(machine, &mut discovery);
    docker::discover(machine, &mut discovery);
    nuget::discover(machine, &mut discovery);
    discovery
}

impl Discovery {
    /// The upstreams that this version of garth can serve.
    pub fn served(&self) -> Vec<(Format, Url)> {
        self.found
            .iter()
            .filter(|found| Format::SERVED.contains(&found.format))
            .map(|found| (found.format, found.upstream.clone()))
            .collect()
    }

    fn found(&mut self, format: Format, upstream: Url, from: impl Into<String>) {
        self.found.push(Found { format, upstream, from: from.into() });
    }

    fn missing(&mut self, format: Format, why: impl Into<String>) {
        self.missing.push(Missing { format, why: why.into(), how: how_to_set(format) });
    }
}

/// What to do where nothing tells the upstream of `format`.
fn how_to_set(format: Format) -> String {
    if Format::SERVED.contains(&format) {
        format!(
            "set GARTH_REGISTRY_{}_UPSTREAM=URL, or upstream below [registry.{format}] in garth.toml",
            format.name().to_ascii_uppercase()
        )
    } else {
        format!("nothing to do: this version of garth does not serve {format} yet")
    }
}

/// A registry's URL as a package manager gives it.
struct GivenUrl {
    url: Url,
    /// It held a user name or password, which was dropped.
    had_credentials: bool,
}

fn given_url(text: &str) -> Option<GivenUrl> {
    let mut url = Url::parse(text.trim()).ok()?;
    let had_credentials = !url.username().is_empty() || url.password().is_some();
    url.set_username("").ok()?;
    url.set_password(None).ok()?;
    Some(GivenUrl { url: base_url(url.as_str()).ok()?, had_credentials })
}

impl fmt::Display for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({})", self.format, self.upstream, self.from)
    }
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}; {}", self.format, self.why, self.how)
    }
}

#[cfg(test)]
mod tests;
