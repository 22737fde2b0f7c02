//! The limits of the configuration hold in the whole server; each attack has its own test in
//! [`crate::edge`].

use std::time::Duration;

use support::client::Client;
use support::server::Setup;
use support::upstream::ScriptedUpstream;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::super::pull::ALLOW_ALL;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_a_head_an_endless_one_and_a_large_body_are_ended_and_others_served() {
    let up = ScriptedUpstream::start().await;
    up.npm("p").plain_version("1.0.0").publish();
    let setup = Setup::new(&format!(
        "[registry.npm]\nupstream = \"{}\"\n[limits]\nheader_timeout = \"1s\"\nheader_bytes = \"4KiB\"\n\
         body_bytes = \"1KiB\"\n",
        up.url()
    ));
    setup.write_policy("all", ALLOW_ALL);
    let server = setup.start();
    let client = Client::of(&server);
    let address = server.url.trim_start_matches("http://").to_owned();
    let large =
        format!("GET /npm/p HTTP/1.1\r\nHost: x\r\nX-Large: {}\r\n\r\n", "a".repeat(100_000));
    let mut ended = Vec::new();
    for begin in ["GET /npm/p HTTP/1.1\r\nHost: x\r\nX-Slow: a".to_owned(), large] {
        let mut slow = TcpStream::connect(&address).await.unwrap();
        // The server may have had enough before all of it is written.
        let _refused = slow.write_all(begin.as_bytes()).await;
        ended.push(tokio::spawn(async move {
            let mut said = Vec::new();
            let _reset = slow.read_to_end(&mut said).await;
            String::from_utf8_lossy(&said).into_owned()
        }));
    }
    assert!(client.get("/npm/p").await.is_whole(), "meanwhile");
    for ending in ended {
        let said = timeout(Duration::from_secs(5), ending).await.expect("it is ended").unwrap();
        assert!(!said.contains("HTTP/1.1 200"), "{said}");
    }
    let reason = "a".repeat(5000);
    let rule = serde_json::json!({ "effect": "deny", "packages": ["npm:q"], "reason": reason });
    let refused = client.api("POST", "/rules", Some(&rule)).await;
    assert!(refused.is_err() || refused.is_ok_and(|answer| answer.status == 413));
    assert!(client.get("/npm/p").await.is_whole(), "afterwards");
}
