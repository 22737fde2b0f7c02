//! Clients that hold on: each is ended, and others are not affected.

use std::time::Duration;

use server::edge::Limits;
use support::edge::{Raw, TestEdge, short_limits};
use tokio::io::AsyncReadExt;
use tokio::time::{Instant, sleep};

use super::{HELLO, LONGER_THAN_A_HEAD, others_are_unaffected};

#[tokio::test]
async fn a_client_that_never_sends_a_head_is_closed() {
    let edge = TestEdge::start(short_limits()).await;
    let mut client = edge.connect().await;
    others_are_unaffected(&edge).await;
    assert!(client.is_closed().await);
    edge.closed_because("slow-head").await;
}

#[tokio::test]
async fn a_dribbled_first_head_is_closed() {
    let edge = TestEdge::start(short_limits()).await;
    let mut client = edge.connect().await;
    let begun = Instant::now();
    client.dribble(HELLO.repeat(10), LONGER_THAN_A_HEAD).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    edge.closed_because("slow-head").await;
    others_are_unaffected(&edge).await;
}

#[tokio::test]
async fn a_dribbled_second_head_is_closed() {
    let edge = TestEdge::start(short_limits()).await;
    let mut client = edge.connect().await;
    client.send(HELLO).await;
    assert_eq!(client.answer().await.status, 200);
    let begun = Instant::now();
    client.dribble("GET /".to_owned() + &"a".repeat(200), LONGER_THAN_A_HEAD).await;
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    edge.closed_because("slow-head").await;
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let limits = Limits { idle: Duration::from_secs(3), ..short_limits() };
    let edge = TestEdge::start(limits).await;
    let mut client = edge.connect().await;
    client.send(HELLO).await;
    assert_eq!(client.answer().await.status, 200);
    sleep(Duration::from_millis(500)).await;
    client.send(HELLO).await;
    assert_eq!(client.answer().await.status, 200, "within the time it is kept");
    assert!(client.is_closed().await);
    edge.closed_because("idle").await;
}

#[tokio::test]
async fn a_dribbled_body_is_408() {
    let limits = Limits { body_total: Duration::from_secs(30), ..short_limits() };
    let edge = TestEdge::start(limits).await;
    let mut client = edge.connect().await;
    client.send("PUT /count/a HTTP/1.1\r\nhost: t\r\ncontent-length: 900\r\n\r\n").await;
    client.dribble([b'a'; 30], LONGER_THAN_A_HEAD).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("garth-problem")), (408, Some("body-too-slow")));
    assert!(client.is_closed().await);
    others_are_unaffected(&edge).await;
}

#[tokio::test]
async fn a_body_without_end_that_nobody_reads_is_closed() {
    let edge = TestEdge::start(short_limits()).await;
    let mut client = edge.connect().await;
    client.send("PUT /nowhere HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n").await;
    let begun = Instant::now();
    let chunk = "1000\r\n".to_owned() + &"a".repeat(0x1000) + "\r\n";
    while client.send(&chunk).await && begun.elapsed() < Duration::from_secs(4) {
        sleep(Duration::from_millis(1)).await;
    }
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    edge.metric("garth_connections_open 0").await;
}

#[tokio::test]
async fn a_body_that_takes_too_long_in_all_is_408() {
    let edge = TestEdge::start(short_limits()).await;
    let mut client = edge.connect().await;
    client.send("PUT /count/large HTTP/1.1\r\nhost: t\r\ncontent-length: 9000000\r\n\r\n").await;
    let begun = Instant::now();
    // Fast enough at each moment.
    while begun.elapsed() < Duration::from_millis(2300) {
        client.send([b'a'; 500]).await;
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(client.answer().await.status, 408);
}

async fn read_slowly(edge: &TestEdge, path: &str, pause: Duration, step: usize) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    let mut client = Raw(socket.connect(edge.address).await.unwrap());
    client.send(format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n")).await;
    let mut buffer = vec![0; step];
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(3) {
        sleep(pause).await;
        if step > 0 && !matches!(client.0.read(&mut buffer).await, Ok(1..)) {
            break;
        }
    }
    edge.closed_because("slow-reader").await;
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed() {
    for path in ["/large/1000000000", "/whole/100000000"] {
        let edge = TestEdge::start(short_limits()).await;
        let (others, attack) = (
            others_are_unaffected(&edge),
            read_slowly(&edge, path, Duration::from_millis(1500), 0),
        );
        tokio::join!(others, attack);
        edge.metric("garth_connections_open 0").await;
    }
}

#[tokio::test]
async fn a_client_that_reads_a_little_at_a_time_is_closed() {
    // It never stops altogether.
    let limits = Limits { read_stall: Duration::from_secs(30), ..short_limits() };
    let edge = TestEdge::start(limits).await;
    read_slowly(&edge, "/large/1000000000", Duration::from_millis(20), 2000).await;
    edge.metric("garth_connections_open 0").await;
}

#[tokio::test]
async fn a_steady_reader_gets_all_of_a_large_answer() {
    let edge = TestEdge::start(short_limits()).await;
    for path in ["/large/200000000", "/whole/50000000"] {
        let answer = edge.get(path).await;
        assert_eq!(answer.body.len().to_string(), path.rsplit('/').next().unwrap());
    }
}

#[tokio::test]
async fn a_slow_server_is_not_the_clients_fault() {
    let edge = TestEdge::start(Limits { idle: Duration::from_millis(200), ..short_limits() }).await;
    assert_eq!(edge.get("/paced").await.body.len(), 10_000);
}
