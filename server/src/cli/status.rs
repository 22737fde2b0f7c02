//! `garth status`: how a server is.

use std::fmt::Write as _;

use clap::Args;

use super::Exit;
use super::client::{Client, ServerArgs};
use super::talk::{print, print_json, with_server};
use crate::api::status::{BreakerView, RegistryList, StatusView};
use crate::config::EnvSnapshot;
use crate::observability::Readiness;

/// Show how the server is: its health, its upstreams, what is in force and how much is stored
///
/// Ends with 1 where something is not as it should be.
#[derive(Args, Debug)]
pub struct StatusCommand {
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    server: ServerArgs,
}

impl StatusCommand {
    pub fn run(self, env: &EnvSnapshot) -> Exit {
        with_server(&self.server, env, async |client: Client| {
            let status: StatusView = client.get(&["status"], &[]).await?;
            let registries: RegistryList = client.get(&["registries"], &[]).await?;
            if self.json {
                let registries = &registries.registries;
                print_json(&serde_json::json!({ "status": status, "registries": registries }));
            } else {
                print(&told(&status, &registries));
            }
            Ok(if status.state == Readiness::Ready { Exit::Done } else { Exit::Findings })
        })
    }
}

fn told(status: &StatusView, registries: &RegistryList) -> String {
    let StatusView { version, started, rules, advisories, revision, .. } = status;
    let state = match status.state {
        Readiness::Ready => "is well",
        Readiness::Degraded => "works, and something is to be looked at",
        Readiness::NotReady => "does NOT work",
        Readiness::Stopping => "is stopping",
    };
    let mut text = format!("garth {version} {state}; it runs since {started:.0}\n");
    if status.observing {
        text += "it only observes: what is denied is served all the same\n";
    }
    let _ = writeln!(text, "{rules} rules and {advisories} advisories, revision {revision}");
    for fault in &status.faults {
        let _ = writeln!(text, "! {fault}");
    }
    let bytes = |bytes: Option<u64>| bytes.map_or_else(|| "not counted yet".to_owned(), in_words);
    let (metadata, blobs) = (bytes(status.size.metadata), bytes(status.size.blobs));
    let _ = writeln!(text, "stored: {blobs} of packages, {metadata} of metadata");
    let scrub = status.scrub;
    let _ = writeln!(
        text,
        "read again since the start: {} files, {} damaged, {} unreadable",
        scrub.checked, scrub.damaged, scrub.unreadable
    );
    for check in status.checks.iter().filter(|check| check.state != "ok") {
        let _ = writeln!(
            text,
            "! {} {}: {}",
            check.name,
            check.state,
            check.detail.as_deref().unwrap_or("no more is known")
        );
    }
    for registry in &registries.registries {
        let upstream = registry.upstream.as_deref().unwrap_or("own packages alone");
        let health = match registry.health.as_ref().map(|health| health.breaker) {
            Some(BreakerView::Closed) => ", asked",
            Some(BreakerView::HalfOpen) => ", tried whether it is back",
            Some(BreakerView::Open) => ", NOT asked for a while, because it failed",
            None => "",
        };
        let _ = writeln!(text, "/{}/  {upstream}{health}", registry.name);
    }
    text
}

/// `3.4 GB`
fn in_words(bytes: u64) -> String {
    let units = ["KB", "MB", "GB", "TB"];
    let (mut whole, mut rest, mut unit) = (bytes, 0, "bytes");
    for larger in units {
        if whole < 1000 {
            break;
        }
        (rest, whole, unit) = (whole % 1000 / 100, whole / 1000, larger);
    }
    if unit == "bytes" { format!("{whole} bytes") } else { format!("{whole}.{rest} {unit}") }
}

#[cfg(test)]
mod tests {
    use super::in_words;

    #[test]
    fn sizes_are_told_in_units_that_fit() {
        for (bytes, words) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1000, "1.0 KB"),
            (1_550_000, "1.5 MB"),
            (u64::MAX, "18446744.0 TB"),
        ] {
            assert_eq!(in_words(bytes), words);
        }
    }
}
