//! A disk that fails: operations that give an error, and a file system that is gone.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use server::app::{App, Engines};
use server::blobs::BlobsOptions;
use server::blobs::disk::{DiskBlobs, DiskOptions};
use server::clock::Clock;
use server::config::{Config, EnvSnapshot, LoadOptions};
use server::disk::faults::{Faults, Operation};
use server::metadata::sled::{Sled, SledOptions};
use support::client::Client;
use support::mount::{Mounted, make_ext4};
use support::server::Setup;
use support::upstream::ScriptedUpstream;

use super::super::pull::{ALLOW_ALL, blobs, eventually};

const ALARMS: &str = "garth_alarms_total{kind=\"store-failing\"}";

/// What fails at the moment.
#[derive(Clone, Default)]
struct Failing(Arc<Mutex<Option<(Operation, io::ErrorKind)>>>);

impl Failing {
    fn faults(&self) -> Faults {
        let failing = self.clone();
        Faults::hooked(move |operation| match *failing.0.lock() {
            Some((failed, kind)) if failed == operation => Err(io::Error::new(kind, "injected")),
            _ => Ok(()),
        })
    }
}

/// The garden in this process, over engines whose operations can be made to fail.
async fn start(up: &ScriptedUpstream, setup: &Setup, failing: &Failing) -> (App, Client) {
    let file = setup.directory().join("garth.toml");
    let policies = setup.directory().join("policies");
    let text = format!(
        "policies = \"{}\"\n[registry.npm]\nupstream = \"{}\"\n",
        policies.display(),
        up.url()
    );
    std::fs::write(&file, text).unwrap();
    let config = Config::load(&LoadOptions {
        file: Some(file),
        data: Some(setup.data()),
        listen: Some("127.0.0.1:0".to_owned()),
        env: EnvSnapshot::default(),
        ..LoadOptions::default()
    })
    .unwrap();
    let data = setup.data();
    let metadata = Sled::open(&data.join("metadata"), SledOptions::default()).unwrap();
    let options = DiskOptions { faults: failing.faults(), ..DiskOptions::default() };
    let staging = BlobsOptions { faults: failing.faults(), ..BlobsOptions::default() };
    let engines = Engines {
        metadata: Arc::new(metadata),
        blobs: Arc::new(DiskBlobs::open(&data, options).unwrap()),
        staging,
    };
    let app = App::start(&config, engines, Clock::system()).await.unwrap();
    let token = std::fs::read_to_string(data.join("admin-token")).unwrap();
    let client = Client::new(&format!("http://{}", app.address()), token.trim());
    (app, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn blobs_that_can_not_be_written_are_503_or_507_and_what_is_held_is_served() {
    let up = ScriptedUpstream::start().await;
    let setup = Setup::npm(up.url().as_str());
    setup.write_policy("all", ALLOW_ALL);
    up.npm("held").plain_version("1.0.0").publish();
    let failing = Failing::default();
    let (app, client) = start(&up, &setup, &failing).await;
    for path in ["/npm/held", "/npm/held/-/held-1.0.0.tgz"] {
        assert!(client.get(path).await.is_whole());
    }
    let mut n = 0;
    for (kind, status) in [(io::ErrorKind::Other, 503), (io::ErrorKind::StorageFull, 507)] {
        for operation in [
            Operation::Space,
            Operation::Create,
            Operation::Write,
            Operation::SyncFile,
            Operation::Rename,
            Operation::SyncDirectory,
        ] {
            n += 1;
            let name = format!("p{n}");
            let row = format!("{operation:?} {kind:?}");
            up.npm(&name).plain_version("1.0.0").publish();
            let (document, tarball) =
                (format!("/npm/{name}"), format!("/npm/{name}/-/{name}-1.0.0.tgz"));
            *failing.0.lock() = Some((operation, kind));
            let answer = client.get(&document).await;
            assert_eq!(answer.status, status, "{row}: {}", answer.text());
            assert!(!answer.text().contains("injected"), "what failed inside is in the log");
            for path in ["/npm/held", "/npm/held/-/held-1.0.0.tgz"] {
                assert!(client.get(path).await.is_whole(), "{row}: {path}");
            }
            assert_eq!(client.make_rule(&name, "deny", "npm:x").await, 201, "{row}: rules");

            *failing.0.lock() = None;
            assert!(client.get(&document).await.is_whole(), "{row}: healed");
            let kept = blobs(&setup.data());
            let alarms = client.metric(ALARMS).await;
            *failing.0.lock() = Some((operation, kind));
            // Once the bytes are known to be right the client has them, kept or not.
            let answer = client.get(&tarball).await;
            let late = matches!(
                operation,
                Operation::SyncFile | Operation::Rename | Operation::SyncDirectory
            );
            assert_eq!(answer.status, if late { 200 } else { status }, "{row}");
            if late {
                eventually("the alarm", Duration::from_secs(5), async || {
                    client.metric(ALARMS).await == alarms + 1
                })
                .await;
            }
            *failing.0.lock() = None;
            if operation != Operation::SyncDirectory {
                assert_eq!(blobs(&setup.data()), kept, "{row}: nothing half done is visible");
            }
            assert!(client.get(&tarball).await.is_whole(), "{row}: healed");
        }
    }
    app.stop(Duration::from_secs(5)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn metadata_that_can_not_be_written_ends_the_process_and_nothing_acknowledged_is_lost() {
    let up = ScriptedUpstream::start().await;
    up.npm("p").plain_version("1.0.0").publish();
    let mut setup = Setup::npm(up.url().as_str());
    setup.write_policy("all", ALLOW_ALL);
    let image = setup.directory().join("disk.img");
    make_ext4(&image, 512 << 20);
    for round in 0..3 {
        let disk = Mounted::ext4(&image, &setup.data());
        let server = setup.start();
        let client = Client::of(&server);
        let rules = client.api("GET", "/rules", None).await.unwrap().text();
        for earlier in 0..round * 10 {
            assert!(rules.contains(&format!("\"r{earlier}\"")), "r{earlier}: {rules}");
        }
        let tarball = client.get("/npm/p/-/p-1.0.0.tgz").await;
        assert!(tarball.is_whole(), "{}", tarball.text());
        for n in round * 10..round * 10 + 10 {
            assert_eq!(client.make_rule(&format!("r{n}"), "deny", "npm:x").await, 201);
        }
        disk.cut_power();
        let rule = serde_json::json!({ "name": "late", "effect": "deny", "packages": ["npm:y"] });
        let late = client.api("POST", "/rules", Some(&rule)).await;
        assert!(late.is_err() || late.is_ok_and(|answer| answer.status >= 500), "not acknowledged");
        let ended = tokio::task::spawn_blocking(move || server.wait());
        let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
        let (left, status) = ended.expect("it ends by itself").unwrap();
        assert_eq!(status.code(), Some(3), "{}", left.log());
        assert!(left.log().contains("the metadata store failed and garth stops"), "{}", left.log());
        setup = left;
        drop(disk);
    }
}
