//! The audit log of a running garth: what is in it, and that a copy can be held against it.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use server::metadata::records::{self, AuditEntries};
use server::metadata::sled::{Sled, SledOptions};
use server::metadata::{Batch, Metadata as _};
use support::client::Client;
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::pull::eventually;

async fn garden() -> (ScriptedUpstream, TestServer) {
    let up = ScriptedUpstream::start().await;
    for name in ["good", "evil"] {
        up.npm(name).plain_version("1.0.0").publish();
    }
    let setup = Setup::npm(up.url().as_str());
    setup.write_policy(
        "good",
        "[[rule]]\nname = 'good'\neffect = 'allow'\npackages = ['npm:good']\n",
    );
    (up, setup.start())
}

fn log(server: &TestServer, more: &[&str]) -> Vec<Value> {
    let arguments: Vec<&str> = ["log", "--json"].iter().chain(more).copied().collect();
    let lines = server.run(&arguments);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Waits until it tells of the revision in force, which is written behind the answer of a change.
async fn wait_until_told(server: &TestServer) {
    eventually("the revision is told", Duration::from_secs(30), async || {
        let said = server.run(&["why", "npm:good", "--json"]);
        let said: Value = serde_json::from_str(&said).unwrap();
        let told = log(server, &["--action", "revision-in-force"]);
        told.iter().any(|line| line["revision"] == said["revision"])
    })
    .await;
}

fn of_kind<'l>(lines: &'l [Value], action: &str) -> &'l Value {
    let found = lines.iter().find(|line| line["action"] == action);
    found.unwrap_or_else(|| panic!("no {action} in {lines:#?}"))
}

fn said(server: &TestServer, arguments: &[&str]) -> (Option<i32>, String) {
    let output = server.garth(arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    (output.status.code(), text + &String::from_utf8_lossy(&output.stderr))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_done_is_in_the_log_with_who_from_where_and_why() {
    let (_up, server) = garden().await;
    let client = Client::of(&server);
    assert!(client.get("/npm/good/-/good-1.0.0.tgz").await.is_whole());
    for _ in 0..3 {
        assert_eq!(client.get("/npm/evil/-/evil-1.0.0.tgz").await.status, 403);
    }
    server.run(&["deny", "npm:evil", "--reason", "INC-7 https://ann:s3cret@x.example/"]);
    server.run(&["team", "create", "web/shop"]);
    server.run(&["token", "create", "ci", "--team", "web/shop"]);
    server.run(&["token", "revoke", "ci"]);
    server.run(&["rules", "remove", "deny-evil"]);
    eventually("the refusal is told", Duration::from_secs(10), async || {
        !log(&server, &["--action", "refused"]).is_empty()
    })
    .await;

    let lines = log(&server, &["--limit", "1000"]);
    let numbers: Vec<u64> = lines.iter().map(|line| line["n"].as_u64().unwrap()).collect();
    assert!(numbers.iter().copied().eq(0..lines.len() as u64), "{numbers:?}");
    let admitted = of_kind(&lines, "admitted");
    assert_eq!(admitted["packages"], json!(["npm:good"]));
    assert_eq!((&admitted["versions"], &admitted["from"]), (&json!("1.0.0"), &json!("127.0.0.1")));
    assert_eq!(admitted["details"]["rule"], "good");
    assert!(admitted["request_id"].is_string() && admitted["revision"].is_string(), "{admitted}");
    let refused = of_kind(&lines, "refused");
    assert_eq!(refused["packages"], json!(["npm:evil"]));
    let count: u64 = refused["details"]["count"].as_str().unwrap().parse().unwrap();
    assert!((1..=3).contains(&count), "{refused}");
    let made = of_kind(&lines, "rule-made");
    assert_eq!((&made["who"], &made["subject"]), (&json!("admin"), &json!("deny-evil")));
    assert_eq!(made["from"], "127.0.0.1");
    let why = made["why"].as_str().unwrap();
    assert_eq!(why, "INC-7 https://***@x.example/");
    for action in [
        "rule-removed",
        "team-made",
        "token-made",
        "token-revoked",
        "revision-in-force",
        "settings-changed",
    ] {
        of_kind(&lines, action);
    }
    let text = server.run(&["log", "--limit", "1000"]);
    assert_eq!(text.lines().count(), lines.len(), "one line an entry:\n{text}");
    let token = server.admin_token();
    assert!(!text.contains(&token) && !lines.iter().any(|line| line.to_string().contains(&token)));

    // By person, package, subject and kind.
    let by = |filter: [&str; 2]| log(&server, &filter).len();
    assert_eq!((by(["--package", "npm:good"]), by(["--subject", "ci"])), (1, 2));
    assert_eq!((by(["--person", "nobody"]), by(["--action", "rule-made,rule-removed"])), (0, 2));
    let (code, told) = said(&server, &["log", "--action", "rule-maed"]);
    assert!(code == Some(2) && told.contains("did you mean rule-made"), "{told}");
}

type Change = fn(Vec<String>) -> Vec<String>;

fn edit(path: &Path, change: impl Fn(Vec<String>) -> Vec<String>) {
    let text = std::fs::read_to_string(path).unwrap();
    let lines = change(text.lines().map(str::to_owned).collect());
    std::fs::write(path, lines.join("\n") + "\n").unwrap();
}

/// Each line is the entry that it should be, by its number.
fn numbered(lines: &[String]) -> Vec<String> {
    let number = |(n, line): (usize, &String)| {
        let (_, rest) = line.split_once(',').unwrap();
        format!("{{\"n\":{n},{rest}")
    };
    lines.iter().enumerate().map(number).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_copy_is_verified_without_a_server_and_what_was_done_to_it_is_found() {
    let (_up, server) = garden().await;
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    for n in 0..5 {
        server.run(&["deny", &format!("npm:x{n}")]);
    }
    let (copy, kept) = (path("audit.jsonl"), path("kept"));
    server.run(&["log", "export", "--output", &copy]);
    std::fs::rename(format!("{copy}.checkpoint"), &kept).unwrap();
    for n in 5..9 {
        server.run(&["deny", &format!("npm:x{n}")]);
    }
    server.run(&["log", "export", "--output", &copy]);
    let key = server.setup().data().join("audit-key");
    let public = path("key");
    let text = std::fs::read_to_string(key).unwrap();
    std::fs::write(&public, text.lines().last().unwrap()).unwrap();
    let verify = |copy: &str| {
        said(&server, &["log", "verify", copy, "--key", &public, "--checkpoint", &kept])
    };
    let (code, told) = verify(&copy);
    assert!(code == Some(0) && told.contains("held against 2 checkpoints"), "{told}");

    let rows: [(&str, Change, &str); 6] = [
        (
            "edited",
            |mut lines| {
                lines[2] = lines[2].replacen("garth", "eve", 1);
                lines
            },
            "not those that",
        ),
        (
            "removed",
            |mut lines| {
                lines.remove(2);
                lines
            },
            "line 3 is entry 3 and should be entry 2",
        ),
        (
            "moved",
            |mut lines| {
                lines.swap(2, 3);
                lines
            },
            "line 3 is entry 3 and should be entry 2",
        ),
        (
            "removed, and the rest is numbered anew",
            |mut lines| {
                lines.remove(2);
                numbered(&lines)
            },
            "not those that",
        ),
        (
            "moved, and numbered anew",
            |mut lines| {
                lines.swap(2, 3);
                numbered(&lines)
            },
            "not those that",
        ),
        (
            "cut",
            |mut lines| {
                lines.pop();
                lines
            },
            "the end is cut off",
        ),
    ];
    for (name, change, expected) in rows {
        let other = path(name);
        std::fs::copy(&copy, &other).unwrap();
        std::fs::copy(format!("{copy}.checkpoint"), format!("{other}.checkpoint")).unwrap();
        edit(Path::new(&other), change);
        let (code, told) = verify(&other);
        assert!(code == Some(1) && told.contains(expected), "{name}: {told}");
    }
    let (code, told) = said(&server, &["log", "verify", "--key", &public, "--checkpoint", &kept]);
    assert!(code == Some(0) && told.contains("held against 2 checkpoints"), "{told}");
    // Another garth's log is not this one.
    let (_up, other) = garden().await;
    let (code, told) = said(&other, &["log", "verify", "--key", &public]);
    assert!(code == Some(1) && told.contains("not believed"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_store_of_an_older_backup_is_refused_until_somebody_says_why() {
    let (_up, server) = garden().await;
    let data = server.setup().data();
    server.run(&["deny", "npm:x"]);
    server.run(&["log"]);
    let (setup, _) = server.stop();
    let backup = setup.directory().join("backup");
    let copy = |from: &Path, to: &Path| {
        let status = std::process::Command::new("cp").arg("-a").arg(from).arg(to).status().unwrap();
        assert!(status.success());
    };
    copy(&data.join("metadata"), &backup);
    let server = setup.start();
    server.run(&["deny", "npm:y"]);
    let size = log(&server, &["--limit", "1000"]).len();
    eventually("it is signed", Duration::from_secs(10), async || {
        let note = std::fs::read_to_string(data.join("audit-checkpoint")).unwrap();
        note.lines().nth(1).unwrap().parse::<usize>().unwrap() >= size
    })
    .await;
    let (setup, _) = server.stop();
    std::fs::remove_dir_all(data.join("metadata")).unwrap();
    copy(&backup, &data.join("metadata"));
    let told = setup.start_in_vain();
    assert!(told.contains("were signed") && told.contains("--accept-log"), "{told}");
}

/// By somebody who has all of the machine, its key included.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_log_that_was_made_anew_by_its_own_key_is_found_by_a_checkpoint_that_was_kept() {
    let (up, server) = garden().await;
    let home = tempfile::tempdir().unwrap();
    let path = |name: &str| home.path().join(name).to_str().unwrap().to_owned();
    let (copy, kept, public) = (path("audit.jsonl"), path("kept"), path("key"));
    server.run(&["deny", "npm:x"]);
    server.run(&["log", "export", "--output", &copy]);
    std::fs::rename(format!("{copy}.checkpoint"), &kept).unwrap();
    let key = server.setup().data().join("audit-key");
    std::fs::copy(&key, &public).unwrap();

    let forged = Setup::npm(up.url().as_str());
    std::fs::create_dir_all(forged.data()).unwrap();
    std::fs::copy(&key, forged.data().join("audit-key")).unwrap();
    let forger = forged.start();
    let size = std::fs::read_to_string(&copy).unwrap().lines().count();
    for n in 0..size {
        forger.run(&["deny", &format!("npm:y{n}")]);
    }
    forger.run(&["log", "export", "--output", &copy]);
    assert!(std::fs::read_to_string(&copy).unwrap().lines().count() >= size);
    let alone = ["log", "verify", &copy, "--key", &public];
    let (code, told) = said(&forger, &alone);
    assert!(code == Some(0) && told.contains("held against 1 checkpoint"), "{told}");
    let (code, told) = said(&forger, &[&alone[..], &["--checkpoint", &kept]].concat());
    assert!(code == Some(1) && told.contains("the log was made anew"), "{told}");
    assert!(told.contains(&kept), "{told}");
    // The log of the server, too.
    let (code, told) = said(&forger, &["log", "verify", "--key", &public, "--checkpoint", &kept]);
    assert!(code == Some(1) && told.contains("the log was made anew"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_names_what_was_done_to_the_log_and_a_rebuild_what_the_next_start_needs() {
    let (_up, server) = garden().await;
    let data = server.setup().data();
    for n in 0..5 {
        server.run(&["deny", &format!("npm:x{n}")]);
    }
    wait_until_told(&server).await;
    let size = log(&server, &["--limit", "1000"]).len();
    let (setup, _) = server.stop();
    let garth = |arguments: &[&str]| {
        let output = setup.command(arguments).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let (code, told) = garth(&["check"]);
    assert!(code == Some(0) && told.contains("entries of the audit log"), "{told}");

    let store = Sled::open(&Sled::directory_in(&data), SledOptions::default()).unwrap();
    let block = store.scan(b"audit/", None, 1).await.unwrap().remove(0);
    let entries: AuditEntries = records::decode(&block.key, &block.value).unwrap();
    let text = serde_json::to_string(&entries).unwrap();
    let edited = text.replacen("settings-changed", "settings-unchanged", 1);
    assert_ne!(text, edited);
    let edited: AuditEntries = serde_json::from_str(&edited).unwrap();
    let nth = |lines: &AuditEntries, n: usize| lines.0[n].get().to_owned();
    let at = (0..entries.0.len()).find(|n| nth(&entries, *n) != nth(&edited, *n)).unwrap();
    store.commit(Batch::default().put(block.key, records::encode(&edited))).await.unwrap();
    store.close().await;
    let (code, told) = garth(&["check"]);
    assert!(code == Some(1), "{told}");
    let found = &format!(
        "finding: audit log, entry {at}: it is not the one that was hashed into the tree; what was"
    );
    assert!(told.contains(found) && told.contains("put back the metadata store"), "{told}");
    // Nothing is made good that only a backup has, and nothing else is lost.
    let (code, told) = garth(&["check", "--rebuild"]);
    assert!(code == Some(1) && told.contains(found), "{told}");
    assert!(told.contains(&format!("{size} of them entries of the audit log")), "{told}");
    assert!(!told.contains("--accept-log"), "{told}");

    std::fs::remove_dir_all(Sled::directory_in(&data)).unwrap();
    let (code, told) = garth(&["check", "--rebuild"]);
    assert!(code == Some(1), "{told}");
    assert!(told.contains("note: the audit log in the store has 0 entries, and "), "{told}");
    assert!(told.contains("start once with `garth serve --accept-log REASON`"), "{told}");
    let refused = setup.start_in_vain();
    assert!(refused.contains("--accept-log"), "{refused}");
}

/// Takes what is sent by POST, and answers nothing; the bodies.
async fn anchor() -> (String, Arc<Mutex<Vec<Value>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/garth", listener.local_addr().unwrap());
    let taken = Arc::new(Mutex::new(Vec::new()));
    let bodies = Arc::clone(&taken);
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            let body = loop {
                if stream.read_buf(&mut text).await.unwrap() == 0 {
                    break None;
                }
                let shown = String::from_utf8_lossy(&text);
                let body = shown.split_once("\r\n\r\n").map(|(_, body)| body.to_owned());
                if let Some(Ok(body)) = body.map(|body| serde_json::from_str(&body)) {
                    break Some(body);
                }
            };
            bodies.lock().unwrap().extend(body);
            let answer = "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
    });
    (url, taken)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn checkpoints_are_put_into_a_file_and_sent_to_a_url() {
    let up = ScriptedUpstream::start().await;
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("anchor");
    let (url, taken) = anchor().await;
    let setup = Setup::npm(up.url().as_str());
    let settings = format!(
        "[audit]\ncheckpoints = [\"{}\", \"{url}\"]\nevery = \"1s\"\norigin = \"garth.example.com/log\"\n",
        file.display()
    );
    let server = setup.with_settings(&settings).start();
    server.run(&["deny", "npm:x"]);
    wait_until_told(&server).await;
    let size = log(&server, &["--limit", "1000"]).len();
    let is_whole = |note: &str| {
        note.starts_with("garth.example.com/log\n")
            && note.lines().nth(1) == Some(size.to_string().as_str())
    };
    eventually("it is in the file", Duration::from_secs(30), async || {
        is_whole(&std::fs::read_to_string(&file).unwrap_or_default())
    })
    .await;
    eventually("it is sent", Duration::from_secs(30), async || {
        let taken = taken.lock().unwrap();
        taken.last().is_some_and(|body| is_whole(body["checkpoint"].as_str().unwrap()))
    })
    .await;
    let ready = Client::of(&server).get("/readyz").await;
    assert!(ready.text().starts_with("ready\n"), "{}", ready.text());
    // What was sent is a checkpoint like any other.
    let (copy, sent) = (home.path().join("audit.jsonl"), home.path().join("sent"));
    let copy = copy.to_str().unwrap();
    server.run(&["log", "export", "--output", copy]);
    let body = taken.lock().unwrap().last().unwrap().to_string();
    std::fs::write(&sent, body).unwrap();
    let key = server.setup().data().join("audit-key");
    let (key, sent) = (key.to_str().unwrap(), sent.to_str().unwrap());
    let (code, told) = said(&server, &["log", "verify", copy, "--key", key, "--checkpoint", sent]);
    assert!(code == Some(0) && told.contains("2 checkpoints"), "{told}");
}
