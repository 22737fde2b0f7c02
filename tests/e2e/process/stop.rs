//! Being told to stop, with a transfer under way.

use std::time::Duration;

use support::client::{Answer, Client};
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::super::pull::{ALLOW_ALL, eventually};

const TARBALL: &str = "/npm/large/-/large-1.0.0.tgz";

/// A server that is in the middle of a transfer.
async fn busy(
    more: &str,
    script: impl Fn(&ScriptedUpstream),
) -> (TestServer, Client, JoinHandle<Result<Answer, String>>) {
    let up = ScriptedUpstream::start().await;
    up.npm("large").version("1.0.0", |v| v.generated(3_000_000)).publish();
    script(&up);
    let setup = Setup::new(&format!("[registry.npm]\nupstream = \"{}\"\n{more}", up.url()));
    setup.write_policy("all", ALLOW_ALL);
    let server = setup.start();
    let client = Client::of(&server);
    assert!(client.get("/npm/large").await.is_whole());
    let puller = client.clone();
    let transfer = tokio::spawn(async move {
        let _alive = &up;
        let answer = puller.try_get(TARBALL).await;
        drop(up);
        answer
    });
    let stage = server.setup().data().join("stage");
    eventually("bytes arrive", Duration::from_secs(10), async || {
        std::fs::read_dir(&stage)
            .unwrap()
            .any(|staged| staged.unwrap().metadata().is_ok_and(|metadata| metadata.len() > 100_000))
    })
    .await;
    (server, client, transfer)
}

/// Waits without holding up the executor.
async fn ended(server: TestServer) -> (Setup, std::process::ExitStatus) {
    tokio::task::spawn_blocking(move || server.wait()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_running_transfer_is_finished_and_nothing_new_begun() {
    let slow = |up: &ScriptedUpstream| {
        up.on("/large/-/large-1.0.0.tgz").dribble(50_000, Duration::from_millis(40));
    };
    let (server, client, transfer) = busy("", slow).await;
    server.signal("TERM");
    eventually("it says that it stops", Duration::from_secs(2), async || {
        client
            .try_get("/readyz")
            .await
            .is_ok_and(|answer| answer.status == 503 && answer.text().starts_with("stopping"))
    })
    .await;
    let refused = client.try_get("/npm/large").await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status == 503), "new work");
    let answer = transfer.await.unwrap().unwrap();
    assert!(answer.is_whole());
    assert_eq!(answer.bytes().len(), 3_000_000);
    let (setup, status) = ended(server).await;
    assert_eq!(status.code(), Some(0), "{}", setup.log());
    assert!(!setup.data().join("run.json").exists());
    assert!(setup.log().contains("stopped cut=0"), "{}", setup.log());
    let server = setup.start();
    let answer = Client::of(&server).get(TARBALL).await;
    assert!(answer.is_whole(), "it was kept, and its upstream is gone: {}", answer.status);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_signal_stops_at_once() {
    let stalled = |up: &ScriptedUpstream| up.on("/large/-/large-1.0.0.tgz").stall_after(1_000_000);
    let (server, _client, transfer) = busy("", stalled).await;
    server.signal("TERM");
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert!(server.is_running(), "it waits for the transfer");
    let start = Instant::now();
    server.signal("INT");
    let (setup, status) = ended(server).await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
    assert_eq!(status.code(), Some(0), "{}", setup.log());
    assert!(transfer.await.unwrap().is_ok_and(|answer| !answer.is_whole()), "it broke off");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wait_for_transfers_has_an_end() {
    let stalled = |up: &ScriptedUpstream| up.on("/large/-/large-1.0.0.tgz").stall_after(1_000_000);
    let (server, _client, transfer) = busy("[limits]\nshutdown_grace = \"1s\"\n", stalled).await;
    let start = Instant::now();
    server.signal("INT");
    let (setup, status) = ended(server).await;
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    assert_eq!(status.code(), Some(0), "{}", setup.log());
    assert!(transfer.await.unwrap().is_ok_and(|answer| !answer.is_whole()), "it broke off");
}
