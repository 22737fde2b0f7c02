//! The end of the server.

use std::time::Duration;

use server::edge::Limits;
use support::edge::{PATIENCE, Raw, TestEdge, short_limits};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};

use super::HELLO;
use crate::pull::eventually;

#[tokio::test]
async fn a_graceful_stop_finishes_a_transfer() {
    let limits = Limits { idle: Duration::from_secs(30), ..short_limits() };
    let edge = TestEdge::start(limits).await;
    let mut transfer = edge.connect().await;
    transfer.send("GET /held HTTP/1.1\r\nhost: t\r\n\r\n").await;
    let mut idle = edge.connect().await;
    idle.send(HELLO).await;
    idle.answer().await;
    transfer.0.readable().await.unwrap();

    let (address, release) = (edge.address, edge.release);
    let stop = tokio::spawn(edge.handle.stop(Duration::from_mins(1)));
    let late = async |path: &str| {
        let mut late = Raw(TcpStream::connect(address).await.unwrap());
        late.send(format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n")).await;
        late.answer().await
    };
    eventually("it stops", PATIENCE, async || late("/readyz").await.status == 503).await;
    for (path, status, text) in [
        ("/readyz", 503, "stopping"),
        ("/healthz", 200, "ok"),
        ("/hello", 503, "the server is stopping"),
    ] {
        let answer = late(path).await;
        assert_eq!((answer.status, answer.text().starts_with(text)), (status, true), "{path}");
        assert_eq!(answer.header("connection"), Some("close"));
    }
    release.notify_one();
    let answer = transfer.answer().await;
    assert_eq!((answer.status, answer.body.len()), (200, 10_000));
    assert!(idle.is_closed().await);
    assert_eq!(stop.await.unwrap().cut, 0);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn a_graceful_stop_cuts_what_does_not_finish() {
    let edge = TestEdge::start(Limits::default()).await;
    let mut transfer = edge.connect().await;
    transfer.send("GET /large/1000000000 HTTP/1.1\r\nhost: t\r\n\r\n").await;
    sleep(Duration::from_millis(100)).await;
    let begun = Instant::now();
    let stopped = edge.handle.stop(Duration::from_millis(300)).await;
    assert_eq!(stopped.cut, 1);
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert!(transfer.answer().await.body.len() < 1_000_000_000);
}
