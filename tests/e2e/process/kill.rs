//! SIGKILL at random moments, again and again, while clients pull and rules change.
//!
//! After each kill the server starts on what it left. What was acknowledged is there: rules by 201
//! and 204, requests with what was said of them and their answers, documents that were served. What
//! is served is byte-exact, with the upstream offline as well: then only what was recorded can be.
//! Nothing else is visible, and leftovers are gone.

mod clients;
mod ledger;
mod own;
mod wishes;

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use support::client::Client;
use support::server::Setup;
use support::upstream::ScriptedUpstream;

use self::clients::Clients;
use self::ledger::Ledger;
use super::super::pull::ALLOW_ALL;

const KILLS: u64 = 60;
/// Where clients get little done between two kills, it takes more of them.
const KILLS_ON_A_SLOW_MACHINE: u64 = 200;
/// Packages that each round adds: they are cold when its clients come.
const SMALL: u64 = 6;
const LARGE: u64 = 2;
const LARGE_BYTES: u64 = 3_000_000;

fn publish(up: &ScriptedUpstream, round: u64) -> Vec<String> {
    let mut names = Vec::new();
    for n in 0..SMALL {
        let name = format!("small-{round}-{n}");
        up.npm(&name).version("1.0.0", |v| v.file("index.js", vec![b'x'; 5000])).publish();
        names.push(name);
    }
    for n in 0..LARGE {
        let name = format!("large-{round}-{n}");
        up.npm(&name).version("1.0.0", |v| v.generated(LARGE_BYTES + round * 10 + n)).publish();
        names.push(name);
    }
    names
}

/// Files of the stage, told apart from those that come later.
fn staged(data: &Path) -> BTreeSet<(u64, i64, i64)> {
    let Ok(entries) = std::fs::read_dir(data.join("stage")) else { return BTreeSet::new() };
    let mut found = BTreeSet::new();
    for entry in entries {
        // It may be one of the running server's, which come and go.
        let Ok(metadata) = entry.unwrap().metadata() else { continue };
        found.insert((metadata.ino(), metadata.mtime(), metadata.mtime_nsec()));
    }
    found
}

/// A start that is killed before, or just when, the server listens.
fn kill_while_it_starts(setup: &Setup, after: Duration) {
    let mut child = setup
        .command(&["serve", "--listen", "127.0.0.1:0"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_acknowledged_survives_kill_9_at_any_moment() {
    let begun = Instant::now();
    let up = ScriptedUpstream::start().await;
    let mut setup = Setup::new(&format!(
        "[registry.npm]\nupstream = \"{}\"\nown = [\"@own/*\"]\nunpublish = true\n\
         [requests]\nown_approval = true\n",
        up.url()
    ));
    setup.write_policy("all", ALLOW_ALL);
    let mut ledger = Ledger::new(up.clone());
    let (mut starts, mut left_behind) = (Vec::new(), 0);

    let mut kills = 0;
    while kills < KILLS || (!ledger.is_worth_it() && kills < KILLS_ON_A_SLOW_MACHINE) {
        let round = kills;
        kills += 1;
        let leftovers = staged(&setup.data());
        left_behind += leftovers.len();
        let start = Instant::now();
        let server = setup.start();
        starts.push(start.elapsed());
        let data = server.setup().data();
        assert!(staged(&data).is_disjoint(&leftovers), "round {round}: leftovers stay");
        check_data_directory(&data);

        let client = Client::of(&server);
        let offline = round % 3 == 1;
        if offline {
            up.go_offline();
        }
        ledger.check(&client, offline, Some(round)).await;
        let alarms = client.get("/metrics").await.text();
        assert!(!alarms.contains("garth_alarms_total{"), "round {round}: {alarms}");

        let cold = if offline { Vec::new() } else { publish(&up, round) };
        let clients = Clients::start(&client, &ledger, &cold, round);
        // From the first request to long after it, never twice the same.
        tokio::time::sleep(Duration::from_millis(15 + (round * 257) % 640)).await;
        setup = server.kill();
        clients.gather(&mut ledger).await;
        up.go_online();
        if round % 6 == 5 {
            kill_while_it_starts(&setup, Duration::from_millis(2 + (round * 7) % 40));
        }
    }

    up.go_offline();
    let server = setup.start();
    ledger.check(&Client::of(&server), true, None).await;
    assert!(ledger.is_worth_it(), "too little to show anything: {ledger}");
    let (setup, status) = server.stop();
    assert_eq!(status.code(), Some(0));
    let check = setup.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert_eq!(check.status.code(), Some(0), "{said}");
    assert!(said.contains("all is well") && !said.contains("finding:"), "{said}");
    assert!(left_behind > 0, "no kill hit a transfer");
    starts.sort();
    println!(
        "{kills} kills in {:.0?}; {ledger}; {left_behind} leftovers; start-up {:.0?} in the middle, {:.0?} at most; {said}",
        begun.elapsed(),
        starts[starts.len() / 2],
        starts[starts.len() - 1],
    );
}

fn check_data_directory(data: &Path) {
    let known = [
        // Being replaced at this moment.
        ".audit-checkpoint.new",
        "admin-token",
        "audit-checkpoint",
        "audit-key",
        "blobs",
        "metadata",
        "quarantine",
        "run.json",
        "signing-key",
        "stage",
        "webhook-key",
    ];
    for entry in std::fs::read_dir(data).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(known.contains(&name.as_str()), "{name} is left");
    }
    let quarantined = std::fs::read_dir(data.join("quarantine")).unwrap().count();
    assert_eq!(quarantined, 0, "nothing is damaged");
}
