//! Requests that no handler may see, and one address that wants everything.

use server::edge::Limits;
use support::edge::{Answer, Raw, TestEdge, short_limits};

use super::{HELLO, others_are_unaffected};

async fn check(edge: &TestEdge, name: &str, request: &str, status: u16) -> Answer {
    let mut client = edge.connect().await;
    client.send(request).await;
    let answer = client.answer().await;
    assert_eq!(answer.status, status, "{name}: {}", answer.text());
    answer
}

#[tokio::test]
async fn oversized_and_ambiguous_requests_are_refused() {
    let edge = TestEdge::start(short_limits()).await;
    let get =
        |path: &str, headers: &str| format!("GET {path} HTTP/1.1\r\nhost: t\r\n{headers}\r\n");
    let put = |headers: &str, body: &str| {
        format!("PUT /count/a HTTP/1.1\r\nhost: t\r\n{headers}\r\n{body}")
    };
    let long = "a".repeat(1000);
    let huge = "a".repeat(70_000);
    let endless = format!("x-a: {}\r\n", "a".repeat(200_000));
    let many = "x-a: 1\r\n".repeat(60);
    let too_many = "x-a: 1\r\n".repeat(200);
    let chunks = "3e8\r\n".to_owned() + &long + "\r\n" + "3e8\r\n" + &long + "\r\n0\r\n\r\n";
    let range = format!("range: bytes={}0-1\r\n", "0-1,".repeat(1000));
    let rows: [(&str, String, u16); 26] = [
        ("a long URI", get(&format!("/{long}"), ""), 414),
        ("a long query", get(&format!("/?{long}"), ""), 414),
        ("a URI beyond the parser", get(&format!("/{huge}"), ""), 400),
        ("large headers", get("/hello", &format!("x-a: {}\r\n", "a".repeat(9000))), 431),
        ("headers beyond the buffer", get("/hello", &endless), 431),
        ("many headers", get("/hello", &many), 431),
        ("more headers than the parser takes", get("/hello", &too_many), 431),
        ("a large body by its length", put("content-length: 1001\r\n", ""), 413),
        ("a large body by its chunks", put("transfer-encoding: chunked\r\n", &chunks), 413),
        ("a body in bounds", put("content-length: 4\r\n", "abcd"), 200),
        ("CL and TE", put("content-length: 4\r\ntransfer-encoding: chunked\r\n", "0\r\n\r\n"), 400),
        ("TE and CL", put("transfer-encoding: chunked\r\ncontent-length: 4\r\n", "0\r\n\r\n"), 400),
        (
            "two TE",
            put("transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n", "0\r\n\r\n"),
            400,
        ),
        ("another TE", put("transfer-encoding: gzip, chunked\r\n", "0\r\n\r\n"), 400),
        ("two different CL", put("content-length: 4\r\ncontent-length: 5\r\n", "abcde"), 400),
        ("two equal CL", put("content-length: 4\r\ncontent-length: 4\r\n", "abcd"), 400),
        ("a signed CL", put("content-length: +4\r\n", "abcd"), 400),
        (
            "a websocket that hides a body",
            put("upgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 4\r\n", "abcd"),
            400,
        ),
        ("a space before the colon", get("/hello", "x-a : 1\r\n"), 400),
        ("a folded header", get("/hello", "x-a: 1\r\n 2\r\n"), 400),
        ("NUL in a header", get("/hello", "x-a: 1\0\r\n"), 400),
        ("CR alone in a header", get("/hello", "x-a: 1\r2\r\n"), 400),
        ("two hosts", get("/hello", "host: u\r\n"), 400),
        ("no host", "GET /hello HTTP/1.1\r\n\r\n".to_owned(), 400),
        ("HTTP/2 without TLS", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned(), 400),
        ("a thousand ranges", get("/hello", &range), 200),
    ];
    for (name, request, status) in rows {
        check(&edge, name, &request, status).await;
    }
    let malformed = "garth_connections_closed_total{reason=\"malformed\"}";
    assert!(edge.metrics.render().contains(malformed));
    others_are_unaffected(&edge).await;
}

#[tokio::test]
async fn no_second_request_is_read_from_an_ambiguous_one() {
    let edge = TestEdge::start(short_limits()).await;
    let mut client = edge.connect().await;
    // Without its refusal, the body would be all that follows.
    let smuggled = "PUT /count/a HTTP/1.1\r\nhost: t\r\nupgrade: websocket\r\nconnection: upgrade\r\ncontent-length: 0\r\n\r\n".to_owned() + HELLO;
    client.send(smuggled).await;
    assert_eq!(client.answer().await.status, 400);
    assert_eq!(client.answer().await.status, 0, "the connection is closed instead");
}

#[tokio::test]
async fn every_bad_path_is_400_before_any_handler() {
    let edge = TestEdge::start(short_limits()).await;
    for path in [
        "/%2F%2F..%2F..%2Fetc%2Fpasswd",
        "/npm/..%5ca",
        "/npm/%252e%252e/a",
        "/npm/../a",
        "/npm/%2e%2e/a",
        "/npm/@s%252fn",
        "/npm/a%00",
        "/npm/a%0d%0ax:%20y",
        "/npm/%zz",
        "/npm/%",
        "/npm/a\\b",
        "/npm/a\0b",
        "/npm/%e2%80%ae",
        "/npm/%c3%28",
    ] {
        let answer =
            check(&edge, path, &format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n"), 400).await;
        assert!(answer.header("set-cookie").is_none());
    }
    let answer = edge.get("/npm/%252e%252e/a").await;
    assert_eq!(answer.text(), "the path is percent-encoded twice\n");
    assert_eq!(answer.header("garth-problem"), Some("bad-path"));
}

#[tokio::test]
async fn each_spelling_reaches_the_router_as_one_identity() {
    let edge = TestEdge::start(short_limits()).await;
    for path in ["/npm/@s/n", "/npm/@s%2fn", "/npm/@s%2Fn", "/npm/%40s/n"] {
        assert_eq!(edge.get(path).await.text(), "/npm/@s/n", "{path}");
    }
    assert_eq!(edge.get("/npm//a").await.text(), "/npm//a");
    for path in ["/", "//", "//npm/a", "/nowhere", "/npm"] {
        let answer = edge.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.text().contains("/npm/"), "{}", answer.text());
    }
}

#[tokio::test]
async fn one_address_cannot_take_all_connections() {
    let limits = Limits { connections_per_trusted_address: 3, ..Limits::default() };
    let edge = TestEdge::start(limits).await;
    let mut held = Vec::new();
    for _ in 0..3 {
        let mut client = edge.connect().await;
        client.send(HELLO).await;
        assert_eq!(client.answer().await.status, 200);
        held.push(client);
    }
    let mut over = edge.connect().await;
    assert!(over.is_closed().await);
    edge.closed_because("over-limit-per-address").await;

    // Loopback has other addresses, and another one is not affected.
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.2:0".parse().unwrap()).unwrap();
    let mut other = Raw(socket.connect(edge.address).await.unwrap());
    other.send(HELLO).await;
    assert_eq!(other.answer().await.status, 200);

    drop(held.pop());
    edge.metric("garth_connections_open 3").await;
    others_are_unaffected(&edge).await;
}
