//! A small application behind the real edge, and a client that speaks raw bytes to it.

use std::io::Write;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::{HttpRequest, HttpResponse, web};
use bytes::Bytes;
use futures_util::stream;
use parking_lot::Mutex;
use percent_encoding::percent_decode_str;
use server::edge::{self, BodyLimit, EdgeHandle, EdgeSettings, Limits, TlsSettings};
use server::observability::health;
use server::observability::{CacheOutcome, DecisionLabel, Health, Lifecycle, Metrics};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// Longer than any of [`short_limits`]; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(5);

/// Limits so short that every deadline passes within a test.
pub fn short_limits() -> Limits {
    Limits {
        connections: 1000,
        head: Duration::from_millis(400),
        idle: Duration::from_millis(800),
        body_total: Duration::from_secs(2),
        body_rate: 1000,
        read_rate: 1_000_000,
        read_stall: Duration::from_millis(700),
        rate_window: Duration::from_millis(500),
        uri_bytes: 1000,
        header_bytes: 8 * 1024,
        header_count: 50,
        body_bytes: Arc::new(|_, path| {
            BodyLimit::fixed(if path == "/count/large" { 10_000_000 } else { 1000 })
        }),
        ..Limits::default()
    }
}

pub struct TestEdge {
    pub address: SocketAddr,
    pub metrics: Metrics,
    pub handle: EdgeHandle,
    /// Lets one answer of `/held` come to its end.
    pub release: Arc<Notify>,
}

impl TestEdge {
    pub async fn start(limits: Limits) -> Self {
        Self::start_with(limits, None).await
    }

    pub async fn start_with(limits: Limits, tls: Option<TlsSettings>) -> Self {
        let metrics = Metrics::new();
        let lifecycle = Lifecycle::default();
        let settings = EdgeSettings {
            listen: vec!["127.0.0.1:0".parse().expect("an address")],
            tls,
            limits,
            workers: 2,
            lifecycle: lifecycle.clone(),
        };
        let health = Health::new(lifecycle);
        let observed = health::routes(health, metrics.clone());
        let release = Arc::new(Notify::new());
        let released = web::Data::from(Arc::clone(&release));
        let handle = edge::serve(settings, metrics.clone(), move |cfg| {
            observed(cfg);
            cfg.app_data(released.clone());
            routes(cfg);
        })
        .await
        .expect("the edge starts");
        Self { address: handle.addresses()[0], metrics, handle, release }
    }

    pub async fn connect(&self) -> Raw<TcpStream> {
        Raw(TcpStream::connect(self.address).await.expect("the edge listens"))
    }

    /// One request on a connection of its own.
    pub async fn get(&self, path: &str) -> Answer {
        let mut client = self.connect().await;
        client.send(format!("GET {path} HTTP/1.1\r\nhost: t\r\nconnection: close\r\n\r\n")).await;
        client.answer().await
    }

    /// Waits until the page of metrics has this line.
    pub async fn metric(&self, line: &str) {
        let waited = timeout(PATIENCE, async {
            while !self.metrics.render().lines().any(|other| other == line) {
                sleep(Duration::from_millis(10)).await;
            }
        });
        assert!(waited.await.is_ok(), "no {line} in\n{}", self.metrics.render());
    }

    pub async fn closed_because(&self, reason: &str) {
        self.metric(&format!("garth_connections_closed_total{{reason=\"{reason}\"}} 1")).await;
    }
}

fn routes(cfg: &mut web::ServiceConfig) {
    cfg.route("/hello", web::get().to(|| async { HttpResponse::Ok().body("hello") }))
        .route("/large/{size}", web::get().to(large))
        .route("/whole/{size}", web::get().to(whole))
        .route("/paced", web::get().to(paced))
        .route("/held", web::get().to(held))
        .route("/count/{any}", web::put().to(count))
        .route("/panic", web::get().to(panics))
        .route("/panic-in-body", web::get().to(|| async { HttpResponse::Ok().body(late_panic()) }))
        .route("/short-body", web::get().to(|| async { HttpResponse::Ok().body(short_body()) }))
        .route("/npm/{name:.*}", web::get().to(package));
}

async fn large(size: web::Path<u64>) -> HttpResponse {
    let size = size.into_inner();
    let pieces = stream::unfold(size, |left| async move {
        let length = left.min(1 << 20);
        (length > 0).then(|| {
            let piece = Bytes::from(vec![b'x'; usize::try_from(length).expect("a megabyte")]);
            (Ok::<_, std::io::Error>(piece), left - length)
        })
    });
    HttpResponse::Ok().body(edge::stream_body(size, pieces))
}

async fn whole(size: web::Path<usize>) -> HttpResponse {
    HttpResponse::Ok().body(vec![b'y'; size.into_inner()])
}

/// Ten pieces of a thousand bytes in half a second.
async fn paced() -> HttpResponse {
    let pieces = stream::unfold(0, |sent| async move {
        sleep(Duration::from_millis(50)).await;
        (sent < 10).then(|| (Ok::<_, std::io::Error>(Bytes::from(vec![b'p'; 1000])), sent + 1))
    });
    HttpResponse::Ok().body(edge::stream_body(10_000, pieces))
}

/// A half at once, and the other one when the test lets it go.
async fn held(release: web::Data<Notify>) -> HttpResponse {
    let pieces = stream::unfold((0, release), |(sent, release)| async move {
        if sent == 1 {
            release.notified().await;
        }
        let piece = Ok::<_, std::io::Error>(Bytes::from(vec![b'h'; 5000]));
        (sent < 2).then_some((piece, (sent + 1, release)))
    });
    HttpResponse::Ok().body(edge::stream_body(10_000, pieces))
}

async fn count(body: Bytes) -> HttpResponse {
    HttpResponse::Ok().body(body.len().to_string())
}

async fn panics() -> HttpResponse {
    panic!("the handler's \u{1b}[31mfault")
}

fn late_panic() -> actix_web::body::BoxBody {
    let pieces = stream::unfold(0, |sent| async move {
        assert!(sent < 1, "in the body");
        Some((Ok::<_, std::io::Error>(Bytes::from_static(b"first")), sent + 1))
    });
    edge::stream_body(100, pieces)
}

fn short_body() -> actix_web::body::BoxBody {
    let piece = Ok::<_, std::io::Error>(Bytes::from_static(b"only this"));
    edge::stream_body(100, stream::iter([piece]))
}

async fn package(req: HttpRequest) -> HttpResponse {
    edge::access(&req)
        .set_registry("npm")
        .set_package("npm:left-pad\u{202e}")
        .set_decision(DecisionLabel::Allow)
        .set_cache(CacheOutcome::Hit);
    let path =
        percent_decode_str(req.path()).decode_utf8().expect("the edge lets nothing else pass");
    HttpResponse::Ok().body(path.into_owned())
}

/// A client that sends exactly what it is told.
pub struct Raw<S>(pub S);

#[derive(Debug, Default)]
pub struct Answer {
    /// 0 where the connection was closed without an answer.
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(other, _)| other == name);
        named.next().map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Raw<S> {
    /// Fails where the server closed the connection; what comes back says why.
    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) -> bool {
        self.0.write_all(bytes.as_ref()).await.is_ok()
    }

    /// Sends one byte at a time until the server has enough of it, or all is sent.
    pub async fn dribble(&mut self, bytes: impl AsRef<[u8]>, pause: Duration) -> bool {
        for byte in bytes.as_ref() {
            sleep(pause).await;
            if self.0.write_all(&[*byte]).await.is_err() {
                return false;
            }
        }
        true
    }

    /// One answer; its body by Content-Length, and as far as it came.
    pub async fn answer(&mut self) -> Answer {
        self.answer_to("GET", PATIENCE).await
    }

    pub async fn answer_to(&mut self, method: &str, patience: Duration) -> Answer {
        timeout(patience, self.read_answer(method)).await.expect("an answer in time")
    }

    async fn read_answer(&mut self, method: &str) -> Answer {
        let mut bytes = Vec::new();
        let mut answer = Answer::default();
        let mut head = None;
        loop {
            if head.is_none() {
                head = parse_head(&bytes, &mut answer);
            }
            if let Some(head) = head {
                let length = match (method, answer.header("content-length")) {
                    ("HEAD", _) => 0,
                    (_, Some(length)) => length.parse().expect("a length"),
                    _ => usize::MAX,
                };
                if bytes.len() - head >= length {
                    answer.body = bytes[head..head + length].to_vec();
                    return answer;
                }
            }
            let mut buffer = vec![0; 64 * 1024];
            match self.0.read(&mut buffer).await {
                Ok(count) if count > 0 => bytes.extend_from_slice(&buffer[..count]),
                _ => {
                    answer.body = head.map(|head| bytes[head..].to_vec()).unwrap_or_default();
                    return answer;
                }
            }
        }
    }

    /// True once the server ended the connection; what it still sent is thrown away.
    pub async fn is_closed(&mut self) -> bool {
        let mut buffer = [0; 4096];
        let reading = async { while matches!(self.0.read(&mut buffer).await, Ok(1..)) {} };
        timeout(PATIENCE, reading).await.is_ok()
    }
}

pub(crate) fn parse_head(bytes: &[u8], answer: &mut Answer) -> Option<usize> {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = response.parse(bytes).expect("an HTTP answer") else {
        return None;
    };
    answer.status = response.code.expect("a status");
    answer.headers = response
        .headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_ascii_lowercase(), value)
        })
        .collect();
    Some(length)
}

/// Everything that this process logged, as JSON lines.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    /// One for the process; every test finds its lines by a request id of its own.
    pub fn capture() -> Self {
        static LOG: OnceLock<Log> = OnceLock::new();
        LOG.get_or_init(|| {
            let log = Log::default();
            let writer = log.clone();
            let subscriber = tracing_subscriber::fmt()
                .json()
                .flatten_event(true)
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::set_global_default(subscriber).expect("only tests capture");
            log
        })
        .clone()
    }

    /// The access line of a request, once it is there.
    pub async fn access_line(&self, request_id: &str) -> serde_json::Value {
        self.line(|line| line["target"] == "access" && line["request_id"] == request_id).await
    }

    pub async fn line(&self, wanted: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
        let found = timeout(PATIENCE, async {
            loop {
                if let Some(line) = self.lines().into_iter().find(&wanted) {
                    return line;
                }
                sleep(Duration::from_millis(10)).await;
            }
        });
        found.await.unwrap_or_else(|_| panic!("no such line in {:#?}", self.lines()))
    }

    pub fn lines(&self) -> Vec<serde_json::Value> {
        let text = self.0.lock();
        String::from_utf8_lossy(&text)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
