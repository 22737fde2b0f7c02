//! The pull-through flow through the real server, behind which the upstream misbehaves.

mod bytes;
mod crowds;
mod memory;
mod places;
mod slow;
mod stale;

use std::path::Path;
use std::time::Duration;

use support::client::Client;
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

pub const ALLOW_ALL: &str =
    "[[rule]]\nname = \"all\"\neffect = \"allow\"\npackages = [\"npm:*\"]\nreason = \"a test\"\n";

/// A server that allows everything, its upstream, and a client.
struct Garden {
    up: ScriptedUpstream,
    server: TestServer,
    client: Client,
}

impl Garden {
    /// `registry` and `more` are settings: of the registry, and tables of their own.
    async fn start(registry: &str, more: &str) -> Self {
        Self::before(ScriptedUpstream::start().await, registry, more)
    }

    fn before(up: ScriptedUpstream, registry: &str, more: &str) -> Self {
        let url = up.url();
        let setup =
            Setup::new(&format!("[registry.npm]\nupstream = \"{url}\"\n{registry}\n{more}"));
        setup.write_policy("all", ALLOW_ALL);
        let server = setup.start();
        let client = Client::of(&server);
        Self { up, server, client }
    }

    fn blobs(&self) -> Vec<String> {
        blobs(&self.server.setup().data())
    }
}

/// The names of all blobs that are kept, side files left out.
pub fn blobs(data: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for shard in std::fs::read_dir(data.join("blobs/sha256")).unwrap() {
        for blob in std::fs::read_dir(shard.unwrap().path()).unwrap() {
            found.push(blob.unwrap().file_name().into_string().unwrap());
        }
    }
    found.retain(|name| !name.contains('.'));
    found.sort();
    found
}

fn tarball_path(name: &str, version: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    format!("/npm/{name}/-/{file}-{version}.tgz")
}

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// Looks until it is so.
pub async fn eventually(what: &str, patience: Duration, mut is_so: impl AsyncFnMut() -> bool) {
    let until = tokio::time::Instant::now() + patience;
    while !is_so().await {
        assert!(tokio::time::Instant::now() < until, "not within {patience:?}: {what}");
        tokio::time::sleep(ms(20)).await;
    }
}
