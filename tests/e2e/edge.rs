//! Slow, hostile and unlucky clients at the edge.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use rcgen::CertifiedKey;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use server::edge::{Limits, TlsSettings};
use support::edge::{Answer, Log, Raw, TestEdge, short_limits};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep};
use tokio_rustls::TlsConnector;

const HELLO: &str = "GET /hello HTTP/1.1\r\nhost: t\r\n\r\n";
const LONGER_THAN_A_HEAD: Duration = Duration::from_millis(25);

/// Others go on while an attack runs.
async fn others_are_unaffected(edge: &TestEdge) {
    let answer = edge.get("/hello").await;
    assert_eq!((answer.status, answer.text().as_str()), (200, "hello"));
}

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
    let edge = TestEdge::start(short_limits()).await;
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
    let edge = TestEdge::start(short_limits()).await;
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
    let edge = TestEdge::start(short_limits()).await;
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
        let answer = client.answer_to("HEAD").await;
        assert_eq!(answer.status, 200, "{path}");
        if !length.is_empty() {
            assert_eq!(answer.header("content-length"), Some(length), "{path}");
        }
    }
}

#[tokio::test]
async fn a_graceful_stop_finishes_a_transfer() {
    let edge = TestEdge::start(short_limits()).await;
    let mut transfer = edge.connect().await;
    transfer.send("GET /paced HTTP/1.1\r\nhost: t\r\n\r\n").await;
    let mut idle = edge.connect().await;
    idle.send(HELLO).await;
    idle.answer().await;
    sleep(Duration::from_millis(100)).await;

    let address = edge.address;
    let stop = tokio::spawn(edge.handle.stop(Duration::from_secs(10)));
    sleep(Duration::from_millis(50)).await;
    for (path, status, text) in [
        ("/readyz", 503, "stopping"),
        ("/healthz", 200, "ok"),
        ("/hello", 503, "the server is stopping"),
    ] {
        let mut late = Raw(TcpStream::connect(address).await.unwrap());
        late.send(format!("GET {path} HTTP/1.1\r\nhost: t\r\n\r\n")).await;
        let answer = late.answer().await;
        assert_eq!((answer.status, answer.text().starts_with(text)), (status, true), "{path}");
        assert_eq!(answer.header("connection"), Some("close"));
    }
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

struct Certificate {
    pem: String,
    key: String,
    connector: TlsConnector,
}

fn certificate(alpn: &[u8]) -> Certificate {
    let CertifiedKey { cert, signing_key } =
        rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let mut roots = RootCertStore::empty();
    roots.add(cert.der().clone()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![alpn.to_vec()];
    // A resumed session shows no certificate.
    config.resumption = rustls::client::Resumption::disabled();
    Certificate {
        pem: cert.pem(),
        key: signing_key.serialize_pem(),
        connector: TlsConnector::from(Arc::new(config)),
    }
}

impl Certificate {
    fn write(&self, directory: &std::path::Path) {
        for (file, text) in [("tls.crt", &self.pem), ("tls.key", &self.key)] {
            let mut file = std::fs::File::create(directory.join(file)).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }
    }

    /// What `/hello` says to a client that trusts only this certificate.
    async fn hello(&self, edge: &TestEdge) -> Option<String> {
        let tcp = TcpStream::connect(edge.address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        let mut client = Raw(self.connector.connect(name, tcp).await.ok()?);
        client.send(HELLO).await;
        Some(client.answer().await.text())
    }

    async fn becomes_trusted(&self, edge: &TestEdge) {
        for _ in 0..200 {
            if self.hello(edge).await.as_deref() == Some("hello") {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("the new certificate is not used");
    }
}

fn tls_settings(directory: &std::path::Path) -> TlsSettings {
    let reload_every = Duration::from_millis(50);
    TlsSettings {
        reload_every,
        ..TlsSettings::new(directory.join("tls.crt"), directory.join("tls.key"))
    }
}

#[tokio::test]
async fn a_renewed_certificate_is_used_and_a_broken_one_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (certificate(b"http/1.1"), certificate(b"http/1.1"));
    first.write(directory.path());
    let edge = TestEdge::start_with(short_limits(), Some(tls_settings(directory.path()))).await;
    assert_eq!(first.hello(&edge).await.as_deref(), Some("hello"));

    std::fs::write(directory.path().join("tls.crt"), "no certificate").unwrap();
    edge.metric("garth_alarms_total{kind=\"certificate-broken\"} 1").await;
    assert_eq!(first.hello(&edge).await.as_deref(), Some("hello"), "the last good pair serves");

    second.write(directory.path());
    second.becomes_trusted(&edge).await;
    assert_eq!(first.hello(&edge).await, None);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_an_error_at_start() {
    let directory = tempfile::tempdir().unwrap();
    let (first, second) = (certificate(b"h2"), certificate(b"h2"));
    first.write(directory.path());
    std::fs::write(directory.path().join("tls.key"), &second.key).unwrap();
    let settings = server::edge::EdgeSettings {
        listen: vec!["127.0.0.1:0".parse().unwrap()],
        tls: Some(tls_settings(directory.path())),
        limits: Limits::default(),
        workers: 1,
        lifecycle: server::observability::Lifecycle::default(),
    };
    let metrics = server::observability::Metrics::new();
    let fault = server::edge::serve(settings, metrics, |_| {}).await.unwrap_err();
    assert!(fault.to_string().contains("do not fit"), "{fault}");
}

#[tokio::test]
async fn a_client_that_stalls_in_the_handshake_is_closed() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = certificate(b"http/1.1");
    certificate.write(directory.path());
    let edge = TestEdge::start_with(short_limits(), Some(tls_settings(directory.path()))).await;
    let mut client = edge.connect().await;
    client.dribble([0x16, 0x03, 0x01, 0x02, 0x00], LONGER_THAN_A_HEAD).await;
    assert!(client.is_closed().await);
    edge.closed_because("slow-head").await;
    assert_eq!(certificate.hello(&edge).await.as_deref(), Some("hello"));
}

fn h2_client(certificate: &Certificate, edge: &TestEdge) -> reqwest::Client {
    reqwest::Client::builder()
        .tls_certs_only([reqwest::Certificate::from_pem(certificate.pem.as_bytes()).unwrap()])
        .resolve("localhost", edge.address)
        .no_proxy()
        .build()
        .unwrap()
}

#[tokio::test]
async fn http2_is_spoken_over_tls_with_the_same_limits() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = certificate(b"h2");
    certificate.write(directory.path());
    let edge = TestEdge::start_with(short_limits(), Some(tls_settings(directory.path()))).await;
    let client = h2_client(&certificate, &edge);
    let url = |path: &str| format!("https://localhost:{}{path}", edge.address.port());

    let answer = client.get(url("/hello")).send().await.unwrap();
    assert_eq!(answer.version(), reqwest::Version::HTTP_2);
    assert_eq!(answer.headers()["x-content-type-options"], "nosniff");
    assert_eq!(answer.text().await.unwrap(), "hello");
    let long = format!("/{}", "a".repeat(1000));
    assert_eq!(client.get(url(&long)).send().await.unwrap().status(), 414);
    let large = client.get(url("/hello")).header("x-a", "a".repeat(9000)).send().await.unwrap();
    assert_eq!(large.status(), 431);
    let body = client.put(url("/count/a")).body(vec![b'a'; 1001]).send().await.unwrap();
    assert_eq!(body.status(), 413);
    assert_eq!(client.get(url("/npm/%252e")).send().await.unwrap().status(), 400);
    assert_eq!(client.get(url("/panic")).send().await.unwrap().status(), 500);
    let head = client.head(url("/large/1000000000")).send().await.unwrap();
    assert_eq!(head.headers()["content-length"], "1000000000");

    // Its window is full and it does not ask for more, though its socket would take it.
    let unread = client.get(url("/large/1000000000")).send().await.unwrap();
    edge.closed_because("slow-reader").await;
    drop(unread);
    assert_eq!(client.get(url("/hello")).send().await.unwrap().status(), 200);
    // An idle connection ends, whatever its pings say.
    edge.closed_because("idle").await;
}

#[tokio::test]
async fn one_http2_connection_cannot_run_requests_without_end() {
    let directory = tempfile::tempdir().unwrap();
    let certificate = certificate(b"h2");
    certificate.write(directory.path());
    let limits = Limits { streams_per_connection: 4, ..short_limits() };
    let edge = TestEdge::start_with(limits, Some(tls_settings(directory.path()))).await;
    let client = h2_client(&certificate, &edge);
    let base = format!("https://localhost:{}", edge.address.port());
    let first = client.get(format!("{base}/hello")).send().await.unwrap();
    assert_eq!(first.text().await.unwrap(), "hello", "one connection is open");
    let url = format!("{base}/paced");
    let answers = (0..12).map(|_| client.get(&url).send());
    let answers = futures_util::future::join_all(answers).await;
    let count = |status: u16| {
        answers.iter().filter(|answer| answer.as_ref().unwrap().status() == status).count()
    };
    assert_eq!((count(200), count(503)), (4, 8));
}
