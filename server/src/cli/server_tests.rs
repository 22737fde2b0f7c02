//! The commands against the real API on a real port: what they print for a person, and how they end.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use actix_web::{App, HttpServer, web};
use clap::Parser as _;
use tempfile::TempDir;

use super::client::RunFile;
use super::*;
use crate::access::Access;
use crate::access::admin_token::AdminToken;
use crate::access::register::Register;
use crate::advisories;
use crate::api::{Api, routes};
use crate::clock::Clock;
use crate::closures::Closures;
use crate::config::Mode;
use crate::gate::Gate;
use crate::metadata::Metadata;
use crate::metadata::sled::{Sled, SledOptions};
use crate::recorded;
use crate::registries::closure::ClosureLimits;
use crate::requests;
use crate::rules::revisions::Revisions;
use crate::rules::{Rules, RulesConfig};
use crate::seen::Memory;

/// A server of the API on a thread of its own; it stops with the process of the tests.
fn start(data: &Path) {
    let (listens, listening) = std::sync::mpsc::channel();
    let data = data.to_owned();
    std::thread::spawn(move || {
        actix_web::rt::System::new().block_on(async move {
            let metadata = Sled::open(&data.join("store"), SledOptions::default()).unwrap();
            let clock = Clock::from_fn(|| "2026-06-01T00:00:00Z".parse().unwrap());
            let config = RulesConfig { dir: None };
            let (log, metadata, _logging) = crate::audit::Log::open(
                Arc::new(metadata),
                clock.clone(),
                crate::audit::checkpoint::LogKey::make("log"),
            );
            let metadata: Arc<dyn Metadata> = metadata;
            let rules = Rules::open(config, Arc::clone(&metadata), clock.clone()).await.unwrap();
            let advisories =
                advisories::tests::opened(&data, Arc::clone(&metadata), rules.clone()).await;
            let (token, token_file) = AdminToken::open(&data).unwrap();
            let recorder = recorded::tests::opened(Arc::clone(&metadata), clock.clone());
            let keep = std::time::Duration::from_hours(24);
            let revisions =
                Revisions::new(Arc::clone(&metadata), rules.clone(), clock.clone(), keep);
            let memory = Memory { metadata: Arc::clone(&metadata), registries: Arc::new([]) };
            let register = Register::open(metadata, clock.clone()).await.unwrap();
            let access = Access::new(token, register, jiff::SignedDuration::from_hours(12));
            let registries: Arc<[_]> = Arc::new([]);
            let mode = Mode::Enforce;
            let gate = Gate::new(rules.clone(), mode, clock.clone());
            let limits = ClosureLimits { packages: 10, time: Duration::from_secs(1) };
            let closures = Closures::new(gate, Arc::clone(&registries), limits);
            let requests = requests::tests::opened(&memory, &rules, &clock).await;
            let once =
                crate::api::form::once::Once::open(Arc::clone(&memory.metadata), clock.clone());
            let api = Api {
                once: once.await.unwrap(),
                rules,
                advisories,
                requests,
                access,
                often: crate::audit::Often::new(
                    Arc::clone(&memory.metadata),
                    clock.clone(),
                    tokio::runtime::Handle::current(),
                ),
                memory,
                recorder,
                revisions,
                log,
                registries,
                closures,
                clock,
                mode,
                public_url: None,
                anonymous: crate::config::Anonymous::Read,
            };
            let app = move || App::new().app_data(web::Data::new(api.clone())).configure(routes);
            let server = HttpServer::new(app).workers(1).bind(("127.0.0.1", 0)).unwrap();
            let url = format!("http://{}", server.addrs()[0]).parse().unwrap();
            RunFile { url, token_file }.write(&data).unwrap();
            listens.send(()).unwrap();
            server.run().await.unwrap();
        });
    });
    listening.recv().unwrap();
}

fn env(data: &TempDir) -> EnvSnapshot {
    std::iter::once(("GARTH_DATA".to_owned(), data.path().as_os_str().to_owned())).collect()
}

fn run(arguments: &[&str], env: &EnvSnapshot) -> Exit {
    let all = std::iter::once(&"garth").chain(arguments);
    Garth::try_parse_from(all).unwrap().command.run(env.clone())
}

#[test]
fn a_package_is_refused_allowed_denied_and_allowed_again() {
    let data = tempfile::tempdir().unwrap();
    start(data.path());
    let env = env(&data);
    for (arguments, expected) in [
        ("why npm:left-pad@1.3.0", Exit::Findings),
        ("why npm:left-pad", Exit::Done),
        ("allow npm:left-pad --reason agreed", Exit::Done),
        ("why npm:left-pad@1.3.0", Exit::Done),
        ("deny npm:left-pad@1.3.0 --name no-left-pad --expires 2027-01-01", Exit::Done),
        ("why npm:left-pad@1.3.0 --json", Exit::Findings),
        ("why npm:left-pad@1.2.0", Exit::Done),
        ("rules list", Exit::Done),
        ("rules list --package npm:left-pad --json", Exit::Done),
        ("allow npm:left-pad@1.3.0", Exit::Done),
        ("allow npm:left-pad@1.3.0 --json", Exit::Done),
        ("allow cargo:serde", Exit::Done),
        ("rules remove no-left-pad", Exit::Done),
        ("rules remove no-left-pad", Exit::Failed),
        ("why npm:left-pad@1.3.0", Exit::Done),
        ("hold npm:left-pad --versions ^1 --json", Exit::Done),
        ("why npm:left-pad@1.3.0", Exit::Findings),
        ("allow left-pad", Exit::Failed),
        ("allow npm:x@1.0.0 --versions ^1", Exit::Failed),
        ("allow npm:x --versions latest", Exit::Failed),
        ("allow npm:x@1.0.0 npm:y@2.0.0 --name both", Exit::Failed),
        ("allow npm:x@1.0.0 npm:y@2.0.0 npm:@types/*", Exit::Done),
        ("why npm:y@2.0.0", Exit::Done),
        ("why npm:y@2.0.1", Exit::Findings),
        ("why y", Exit::Failed),
    ] {
        let arguments: Vec<&str> = arguments.split(' ').collect();
        assert_eq!(run(&arguments, &env), expected, "{arguments:?}");
    }
}

#[test]
fn a_server_that_is_not_there_or_not_ours_ends_with_failed() {
    let data = tempfile::tempdir().unwrap();
    let lonely = env(&data);
    assert_eq!(run(&["why", "npm:x@1.0.0"], &lonely), Exit::Failed);
    // Nothing listens on port 1, and the token of this machine's server is for that one only.
    let elsewhere = ["why", "npm:x@1.0.0", "--server", "http://127.0.0.1:1", "--token", "garth_x"];
    assert_eq!(run(&elsewhere, &lonely), Exit::Failed);
    start(data.path());
    assert_eq!(run(&elsewhere[..4], &lonely), Exit::Failed);
    assert_eq!(run(&["why", "npm:x@1.0.0", "--server", "ftp://x"], &lonely), Exit::Failed);
    assert_eq!(run(&["why", "npm:x@1.0.0", "--token", "garth_wrong"], &lonely), Exit::Failed);
    assert_eq!(run(&["why", "npm:x@1.0.0"], &lonely), Exit::Findings);
}
