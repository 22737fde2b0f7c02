//! What surrounds every request: its id, its line in the log, its end.

use support::edge::{Log, PATIENCE, TestEdge, short_limits};
use tokio::io::AsyncReadExt;

use super::others_are_unaffected;

#[tokio::test]
async fn a_request_id_goes_round_and_is_in_the_access_line() {
    let log = Log::capture();
    let edge = TestEdge::start(short_limits()).await;
    let mut client = edge.connect().await;
    client
        .send("GET /npm/left-pad HTTP/1.1\r\nhost: t\r\nx-request-id: trip-1\r\nuser-agent: npm/10\u{202e}\u{1b}[31m\r\nconnection: close\r\n\r\n".replace('\u{1b}', "\t"))
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.header("x-request-id"), Some("trip-1"));
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert!(answer.header("content-security-policy").unwrap().starts_with("default-src 'none'"));
    assert_eq!(answer.header("server"), None);
    let line = log.access_line("trip-1").await;
    for (field, expected) in [
        ("method", "GET"),
        ("path", "/npm/left-pad"),
        ("registry", "npm"),
        ("package", "npm:left-pad\\u{202e}"),
        ("decision", "allow"),
        ("cache", "hit"),
        ("agent", "npm/10\\u{202e}\\u{9}[31m"),
    ] {
        assert_eq!(line[field], expected, "{line:#}");
    }
    assert_eq!((&line["status"], &line["bytes"]), (&200.into(), &13.into()), "{line:#}");
    assert_eq!(line["aborted"], false);
    let lines = log.lines();
    assert_eq!(lines.iter().filter(|line| line["request_id"] == "trip-1").count(), 1);

    let mut client = edge.connect().await;
    client.send("GET /hello HTTP/1.1\r\nhost: t\r\nx-request-id: a b\r\n\r\n").await;
    assert_eq!(client.answer().await.header("x-request-id").unwrap().len(), 32);
}

#[tokio::test]
async fn a_client_that_leaves_is_in_the_log_as_aborted() {
    let log = Log::capture();
    let edge = TestEdge::start(short_limits()).await;
    for (id, path) in [("left-1", "/large/1000000000"), ("left-2", "/paced")] {
        let mut client = edge.connect().await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: t\r\nx-request-id: {id}\r\n\r\n")).await;
        let mut some = [0; 100];
        client.0.read_exact(&mut some).await.unwrap();
        drop(client);
        let line = log.access_line(id).await;
        assert_eq!(line["aborted"], true, "{line:#}");
        assert!(line["bytes"].as_u64().unwrap() < 1_000_000_000);
    }
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_server_goes_on() {
    let log = Log::capture();
    let edge = TestEdge::start(short_limits()).await;
    let answer = edge.get("/panic").await;
    assert_eq!(answer.status, 500);
    let id = answer.header("x-request-id").unwrap();
    assert!(answer.text().contains(id) && !answer.text().contains("fault"), "{}", answer.text());
    let line = log.line(|line| line["level"] == "ERROR" && line["request_id"] == id).await;
    assert_eq!(line["panic"], "the handler's \\u{1b}[31mfault");
    edge.metric("garth_alarms_total{kind=\"panic\"} 1").await;
    others_are_unaffected(&edge).await;
}

#[tokio::test]
async fn a_body_that_fails_breaks_the_transfer() {
    let log = Log::capture();
    let edge = TestEdge::start(short_limits()).await;
    for (id, path) in [("broken-1", "/panic-in-body"), ("broken-2", "/short-body")] {
        let mut client = edge.connect().await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: t\r\nx-request-id: {id}\r\n\r\n")).await;
        let answer = client.answer().await;
        // Whatever came, it is not all of it, and the client can tell.
        assert!(answer.status == 0 || answer.header("content-length") == Some("100"));
        assert!(answer.body.len() < 100 && client.is_closed().await);
        assert_eq!(log.access_line(id).await["aborted"], true);
    }
    others_are_unaffected(&edge).await;
}

#[tokio::test]
async fn head_answers_as_get_without_a_body() {
    let edge = TestEdge::start(short_limits()).await;
    let mut client = edge.connect().await;
    for (path, length) in [("/hello", "5"), ("/large/1000000000", "1000000000"), ("/metrics", "")] {
        client.send(format!("HEAD {path} HTTP/1.1\r\nhost: t\r\n\r\n")).await;
        let answer = client.answer_to("HEAD", PATIENCE).await;
        assert_eq!(answer.status, 200, "{path}");
        if !length.is_empty() {
            assert_eq!(answer.header("content-length"), Some(length), "{path}");
        }
    }
}

/// What is read ahead says nothing of how what came before it is answered.
#[tokio::test]
async fn requests_that_are_sent_at_once_are_answered_one_by_one() {
    let edge = TestEdge::start(short_limits()).await;
    let plain =
        |method: &str, more: &str| format!("{method} /paced HTTP/1.1\r\nhost: t\r\n{more}\r\n");
    let put = "PUT /count/x HTTP/1.1\r\nhost: t\r\ncontent-length: 40\r\n\r\n";
    let chunked = "PUT /count/x HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n";
    let within = "HEAD /hello HTTP/1.1\r\nhost: t\r\n\r\n      ";
    let rows = [
        plain("GET", ""),
        plain("HEAD", ""),
        format!("{put}{within:40}"),
        plain("GET", ""),
        format!("{chunked}28\r\n{within:40}\r\n0\r\n\r\n"),
        plain("HEAD", ""),
        "GET /hello HTTP/1.1\r\nhost: t\r\n\r\n".to_owned(),
        plain("GET", "connection: close\r\n"),
    ];
    for piece in [usize::MAX, 100, 7] {
        let mut client = edge.connect().await;
        let text = rows.concat();
        for piece in text.as_bytes().chunks(piece.min(text.len())) {
            assert!(client.send(piece).await);
        }
        let mut all = Vec::new();
        client.0.read_to_end(&mut all).await.unwrap();
        let all = String::from_utf8(all).unwrap();
        let answers: Vec<&str> = all.split("HTTP/1.1 200 OK\r\n").skip(1).collect();
        let bodies: Vec<usize> =
            answers.iter().map(|text| text.split_once("\r\n\r\n").unwrap().1.len()).collect();
        assert_eq!(bodies, [10_000, 0, 2, 10_000, 2, 0, 5, 10_000], "by {piece}: {all}");
    }
}

/// cargo and Java's client offer it with each request, where there is no TLS.
#[tokio::test]
async fn a_client_that_offers_another_protocol_keeps_its_connection() {
    let edge = TestEdge::start(short_limits()).await;
    let offer = "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA";
    let asked = |connection: &str| {
        format!("GET /hello HTTP/1.1\r\nhost: t\r\nConnection: {connection}\r\n{offer}\r\n\r\n")
    };
    let mut client = edge.connect().await;
    for connection in ["Upgrade, HTTP2-Settings", "upgrade", "keep-alive, Upgrade"] {
        client.send(asked(connection)).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("upgrade")), (200, None), "{connection}");
        assert_eq!(answer.header("connection"), None, "{connection}");
    }
    client.send(asked("close, Upgrade")).await;
    assert_eq!(client.answer().await.header("connection"), Some("close"));
    assert_eq!(client.0.read(&mut [0; 1]).await.unwrap(), 0, "as it was asked for");
}
