//! A disk that really is full.

use std::path::Path;
use std::time::Duration;

use support::client::Client;
use support::mount::Mounted;
use support::server::Setup;
use support::upstream::ScriptedUpstream;

use super::super::pull::{ALLOW_ALL, blobs, eventually};

const MIB: u64 = 1 << 20;
/// Of 128 MiB the blobs leave 32 alone and the metadata 8.
const MEGABYTES: u32 = 128;

/// Somebody else's file that takes all but so much of the disk.
fn leave_free(disk: &Path, bytes: u64) {
    let filler = disk.join("quarantine/filler");
    let _none = std::fs::remove_file(&filler);
    let room = rustix::fs::statvfs(disk).unwrap();
    let taken = (room.f_bavail * room.f_frsize).saturating_sub(bytes);
    std::fs::write(filler, vec![1; usize::try_from(taken).unwrap()]).unwrap();
    // How much is free is believed for a tenth of a second.
    std::thread::sleep(Duration::from_millis(150));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_stops_what_is_new_and_nothing_else_and_is_got_over() {
    let up = ScriptedUpstream::start().await;
    for name in ["held", "new", "late"] {
        up.npm(name).plain_version("1.0.0").publish();
    }
    up.npm("large").version("1.0.0", |v| v.generated(20 * MIB)).publish();
    let setup =
        Setup::new(&format!("[registry.npm]\nupstream = \"{}\"\nmax_age = \"0s\"\n", up.url()));
    setup.write_policy("all", ALLOW_ALL);
    let disk = Mounted::tmpfs(&setup.data(), MEGABYTES);
    let server = setup.start();
    let client = Client::of(&server);
    let held = "/npm/held/-/held-1.0.0.tgz";
    let large = "/npm/large/-/large-1.0.0.tgz";
    for path in ["/npm/held", held, "/npm/large"] {
        assert!(client.get(path).await.is_whole(), "{path}: {}", server.log());
    }
    assert_eq!(client.make_rule("first", "deny", "npm:a").await, 201);
    let kept = blobs(&disk.path);

    leave_free(&disk.path, 40 * MIB);
    let cut = client.try_get(large).await;
    assert!(cut.is_err() || cut.is_ok_and(|answer| !answer.is_whole()), "it met the end midway");
    eventually("nothing is left of it", Duration::from_secs(30), async || {
        std::fs::read_dir(disk.path.join("stage")).unwrap().count() == 0
    })
    .await;
    assert_eq!(blobs(&disk.path), kept);

    leave_free(&disk.path, 28 * MIB);
    for path in ["/npm/new", large] {
        let answer = client.get(path).await;
        assert_eq!(answer.status, 507, "{path}: {}", answer.text());
        assert!(answer.text().contains("disk of this garth is full"), "{}", answer.text());
    }
    assert_eq!(client.make_rule("second", "deny", "npm:b").await, 201, "there is room for rules");
    eventually("it is told", Duration::from_secs(30), async || {
        let ready = client.get("/readyz").await;
        assert_eq!(ready.status, 200, "it serves");
        ready.text().contains("blobs: degraded: nothing new can be kept")
    })
    .await;

    up.npm("held").plain_version("1.1.0").publish();
    for free in [4 * MIB, 0] {
        leave_free(&disk.path, free);
        let rule = serde_json::json!({ "name": "third", "effect": "deny", "packages": ["npm:c"] });
        let refused = client.api("POST", "/rules", Some(&rule)).await.unwrap();
        assert_eq!(refused.status, 507, "{}", refused.text());
        assert_eq!(refused.json()["code"], "store-full");
        let removal = client.api("DELETE", "/rules/first", None).await.unwrap();
        assert_eq!(removal.status, 507);
        for path in ["/npm/held", held] {
            assert!(client.get(path).await.is_whole(), "{path} is held");
        }
        assert_eq!(client.get("/npm/late").await.status, 507);
        assert_eq!(client.get("/healthz").await.status, 200);
    }
    assert!(server.is_running(), "{}", server.log());
    let rules = client.api("GET", "/rules", None).await.unwrap().text();
    assert!(rules.contains("\"first\"") && !rules.contains("\"third\""), "nothing half done");

    std::fs::remove_file(disk.path.join("quarantine/filler")).unwrap();
    tokio::time::sleep(Duration::from_millis(150)).await;
    for path in ["/npm/new", "/npm/late", large, held] {
        assert!(client.get(path).await.is_whole(), "{path}: there is room again");
    }
    assert_eq!(client.make_rule("third", "deny", "npm:c").await, 201);
    eventually("ready again", Duration::from_secs(8), async || {
        client.get("/readyz").await.text().starts_with("ready\n")
    })
    .await;

    let server = server.kill().start();
    let client = Client::of(&server);
    let rules = client.api("GET", "/rules", None).await.unwrap().text();
    for rule in ["first", "second", "third"] {
        assert!(rules.contains(&format!("\"{rule}\"")), "{rule}: {rules}");
    }
    up.go_offline();
    assert!(client.get(held).await.is_whole() && client.get(large).await.is_whole());
    let (setup, status) = server.stop();
    assert_eq!(status.code(), Some(0));
    let check = setup.command(&["check"]).output().unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", String::from_utf8_lossy(&check.stdout));
    drop(disk);
}
