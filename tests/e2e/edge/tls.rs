//! TLS of our own, and HTTP/2 over it.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use rcgen::CertifiedKey;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use server::edge::{Limits, TlsSettings};
use support::edge::{Raw, TestEdge, short_limits};
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::{HELLO, LONGER_THAN_A_HEAD};

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

/// A handshake counts as a part of the head.
fn limits() -> Limits {
    Limits { head: Duration::from_secs(2), ..short_limits() }
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
    let edge = TestEdge::start_with(limits(), Some(tls_settings(directory.path()))).await;
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
    let edge = TestEdge::start_with(limits(), Some(tls_settings(directory.path()))).await;
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
    let edge = TestEdge::start_with(limits(), Some(tls_settings(directory.path()))).await;
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
    let limits = Limits { streams_per_connection: 4, ..limits() };
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
