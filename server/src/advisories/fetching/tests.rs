#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::super::tests::{Garden, clock, npm, zipped};
use super::*;

/// What is sent, and whether the connection is then left open without a word more.
struct Script {
    bytes: Vec<u8>,
    hangs: bool,
}

fn answer(head: &str, body: &[u8]) -> Script {
    let mut bytes =
        format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\n\r\n", body.len()).into_bytes();
    bytes.extend_from_slice(body);
    Script { bytes, hangs: false }
}

/// Answers one request after the other, and keeps their heads.
async fn serve(scripts: Vec<Script>) -> (Url, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/osv/npm/all.zip", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut left = Vec::new();
        for script in VecDeque::from(scripts) {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            heard.lock().push(String::from_utf8(head).unwrap().to_ascii_lowercase());
            let mut bytes = script.bytes;
            if !script.hangs {
                let end = bytes.windows(2).position(|two| two == b"\r\n").unwrap();
                bytes.splice(end..end, *b"\r\nConnection: close");
            }
            stream.write_all(&bytes).await.unwrap();
            if script.hangs {
                left.push(stream);
            }
        }
        std::future::pending::<()>().await;
    });
    (url.parse().unwrap(), asked)
}

fn quick() -> Deadlines {
    let short = Duration::from_secs(2);
    Deadlines { connect: short, headers: short, idle: short, ..Deadlines::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_did_not_change_is_not_sent_again_and_counts_as_confirmed() {
    let garden = Garden::new();
    let (advisories, _) = garden.open().await;
    let archive = zipped(&[npm("A-1", 1, &["1.0.0"])]);
    let tagged = "200 OK\r\nETag: \"one\"\r\nLast-Modified: Mon, 01 Jun 2026 00:00:00 GMT";
    let (url, asked) = serve(vec![answer(tagged, &archive), answer("304 Not Modified", b"")]).await;
    let remote = Remote::within(&url, clock(), quick()).unwrap();
    let mut known = Validators::default();
    advisories.fetch(&remote, &mut known).await.unwrap();
    assert_eq!(advisories.status().await.unwrap().advisories, 1);
    assert!(advisories.0.confirmed.lock().is_empty());
    advisories.fetch(&remote, &mut known).await.unwrap();
    assert_eq!(advisories.status().await.unwrap().advisories, 1);
    let asked = asked.lock().clone();
    assert!(!asked[0].contains("if-none-match"), "{}", asked[0]);
    assert!(asked[1].contains("if-none-match: \"one\""), "{}", asked[1]);
    assert!(advisories.0.confirmed.lock().contains_key(&remote.name));
}

/// It may hang before its first byte or in the middle, and would for as long as it is let.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_is_given_up_and_those_of_before_stay() {
    let garden = Garden::new();
    let (advisories, _) = garden.open().await;
    let archive = zipped(&[npm("A-1", 1, &["1.0.0"])]);
    let whole = answer("200 OK\r\nETag: \"one\"", &archive);
    let mut cut = answer("200 OK\r\nETag: \"two\"", &zipped(&[npm("A-2", 1, &["1.0.0"])]));
    cut.bytes.truncate(cut.bytes.len() - 20);
    cut.hangs = true;
    // A request that failed may be tried again.
    let silent = || Script { bytes: Vec::new(), hangs: true };
    let (url, _) = serve(vec![whole, cut, silent(), silent(), silent(), silent()]).await;
    let remote = Remote::within(&url, clock(), quick()).unwrap();
    let mut known = Validators::default();
    advisories.fetch(&remote, &mut known).await.unwrap();
    for what in ["in the middle", "before the first byte"] {
        let begun = tokio::time::Instant::now();
        let failed = advisories.fetch(&remote, &mut known).await;
        assert!(matches!(failed, Err(FetchError::Upstream(_))), "{what}: {failed:?}");
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        let status = advisories.status().await.unwrap();
        assert_eq!(status.advisories, 1, "{what}");
    }
    assert_eq!(known.etag.as_deref(), Some("\"one\""), "it is asked for again");
    assert!(advisories.find("A-2").await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bomb_that_is_fetched_is_refused() {
    let garden = Garden::new();
    let (advisories, _) = garden.open().await;
    let mut bombs: Vec<String> = (0..12).map(|n| npm(&format!("B-{n}"), 1, &["1.0.0"])).collect();
    for text in &mut bombs {
        text.push_str(&" ".repeat(15 << 20));
    }
    let bomb = zipped(&bombs);
    assert!(bomb.len() < (180 << 20) / 900, "{} bytes", bomb.len());
    let (url, _) = serve(vec![answer("200 OK", &bomb)]).await;
    let remote = Remote::within(&url, clock(), Deadlines::default()).unwrap();
    let failed = advisories.fetch(&remote, &mut Validators::default()).await.unwrap_err();
    assert!(failed.to_string().contains("unpacks to far more than it is"), "{failed}");
    assert_eq!(advisories.status().await.unwrap().advisories, 0);
}
