//! HTTP/1.1 by hand: reads requests as anybody would, and answers as scripted.

use std::io;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_rustls::TlsAcceptor;

use super::answer::{Answer, Body, reason};
use super::faults::Fault;
use super::recorded::Recorded;
use super::wire::{Wire, reset};
use super::{Ground, advisories, packument};

const LARGEST_HEAD: usize = 64 << 10;
const LARGEST_BODY: usize = 64 << 20;

pub async fn accept(ground: Arc<Ground>, listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        if ground.offline.load(Ordering::SeqCst) {
            reset(&stream);
            continue;
        }
        ground.connections.fetch_add(1, Ordering::SeqCst);
        let _ = stream.set_nodelay(true);
        tokio::spawn(converse(Arc::clone(&ground), stream, tls.clone()));
    }
}

async fn converse(ground: Arc<Ground>, stream: TcpStream, tls: Option<TlsAcceptor>) {
    let mut goodbye = ground.goodbye.subscribe();
    let mut wire = match tls {
        None => Wire::Plain(stream),
        Some(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => Wire::Tls(Box::new(stream)),
            Err(_) => return,
        },
    };
    let mut unread = Vec::new();
    let ending = loop {
        tokio::select! {
            // Whoever says goodbye may do so in the middle of an answer.
            _ = goodbye.changed() => break Ending::Reset,
            outcome = respond(&ground, &mut wire, &mut unread) => match outcome {
                Ok(Ending::Stay) => {}
                Ok(ending) => break ending,
                Err(_) => break Ending::Close,
            },
        }
    };
    match ending {
        Ending::Reset => wire.reset(),
        Ending::Stay | Ending::Close => wire.close().await,
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    Stay,
    Close,
    Reset,
}

/// Counts a request as under way for as long as it lives.
struct Active<'a>(&'a Ground);

impl<'a> Active<'a> {
    fn start(ground: &'a Ground) -> Self {
        let now = ground.active.fetch_add(1, Ordering::SeqCst) + 1;
        ground.most_active.fetch_max(now, Ordering::SeqCst);
        Self(ground)
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        self.0.active.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Reads one request and answers it.
async fn respond(ground: &Ground, wire: &mut Wire, unread: &mut Vec<u8>) -> io::Result<Ending> {
    let Some(request) = read_request(wire, unread).await? else { return Ok(Ending::Close) };
    if ground.offline.load(Ordering::SeqCst) {
        // It came before this connection heard the goodbye.
        return Ok(Ending::Reset);
    }
    let active = Active::start(ground);
    ground.recorded.lock().push(request.clone());
    let (delay, fault) = ground.scripts.take(&request.path);
    if !delay.is_zero() {
        sleep(delay).await;
    }
    match fault {
        Fault::Silence => wait_for_leave(wire).await,
        Fault::Reset => Ok(Ending::Reset),
        Fault::Garbage => {
            wire.send(b"this is no HTTP\r\n\r\n").await?;
            Ok(Ending::Close)
        }
        Fault::Instead(answer) => send(wire, &request, answer, &Fault::None, active).await,
        fault => {
            let answer = truthful(ground, &request);
            send(wire, &request, answer, &fault, active).await
        }
    }
}

/// What an honest registry says.
fn truthful(ground: &Ground, request: &Recorded) -> Answer {
    let path = request.path.as_str();
    let handler = ground.handlers.lock().get(path).cloned();
    if let Some(handler) = handler {
        return handler(request);
    }
    if request.method == "POST"
        && let Some(answer) = advisories::answer(ground, request)
    {
        return packed(answer, request);
    }
    if !matches!(request.method.as_str(), "GET" | "HEAD") {
        return Answer::status(405);
    }
    let placed = ground.places.lock().get(path).cloned();
    let accept = request.header("accept").unwrap_or_default();
    let found = placed
        .or_else(|| {
            (path == "/-/ping").then(|| Answer::ok("application/json", Body::Bytes("{}".into())))
        })
        .or_else(|| {
            let tarball = ground.shelf.lock().tarball_at(path)?;
            Some(Answer::ok("application/octet-stream", tarball.body))
        })
        .or_else(|| packument::answer(ground, path, accept));
    let Some(answer) = found else { return Answer::status(404) };
    let etag = answer.headers.iter().find(|(name, _)| name == "ETag").map(|(_, etag)| etag.clone());
    match (etag, request.header("if-none-match")) {
        (Some(etag), Some(known)) if known.split(',').any(|known| known.trim() == etag) => {
            Answer::empty(304).header("ETag", etag)
        }
        _ => packed(answer, request),
    }
}

fn packed(mut answer: Answer, request: &Recorded) -> Answer {
    let accepted = request.header("accept-encoding").unwrap_or_default().contains("gzip");
    let Body::Bytes(bytes) = &answer.body else { return answer };
    if !answer.packable || !accepted || bytes.len() < 1000 {
        return answer;
    }
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(bytes).expect("writing to memory does not fail");
    let bytes = gzip.finish().expect("writing to memory does not fail");
    answer.body = Body::Bytes(bytes.into());
    answer.header("Content-Encoding", "gzip")
}

async fn send(
    wire: &mut Wire,
    request: &Recorded,
    answer: Answer,
    fault: &Fault,
    active: Active<'_>,
) -> io::Result<Ending> {
    let length = answer.body.length();
    let promised = match fault {
        Fault::LengthTooLong(more) => length + more,
        Fault::LengthTooShort(less) => length.saturating_sub(*less),
        _ => length,
    };
    let chunked = matches!(fault, Fault::BrokenChunk);
    let mut head = format!("HTTP/1.1 {} {}\r\n", answer.status, reason(answer.status));
    for (name, value) in &answer.headers {
        head.extend([name, ": ", value, "\r\n"]);
    }
    if chunked {
        head.push_str("Transfer-Encoding: chunked\r\n");
    } else if answer.status != 304 {
        head.extend(["Content-Length: ", &promised.to_string(), "\r\n"]);
    }
    head.push_str("\r\n");
    wire.send(head.as_bytes()).await?;
    if request.method == "HEAD" || answer.status == 304 {
        return Ok(Ending::Stay);
    }
    if chunked {
        let piece =
            answer.body.piece(0, usize::try_from(length / 2).unwrap_or(1000).clamp(1, 1000));
        wire.send(format!("{:x}\r\n", piece.len()).as_bytes()).await?;
        wire.send(&piece).await?;
        wire.send(b"\r\nzz\r\n").await?;
        return Ok(Ending::Close);
    }
    send_body(wire, &answer.body, fault, active).await
}

async fn send_body(
    wire: &mut Wire,
    body: &Body,
    fault: &Fault,
    active: Active<'_>,
) -> io::Result<Ending> {
    let mut active = Some(active);
    let (step, pause) = match fault {
        Fault::Dribble { bytes, every } => (*bytes, *every),
        _ => (256 << 10, Duration::ZERO),
    };
    let end = match fault {
        Fault::TruncateAfter(bytes) | Fault::StallAfter(bytes) => body.length().min(*bytes),
        _ => body.length(),
    };
    let mut sent = 0;
    while sent < end {
        let most = usize::try_from(end - sent).unwrap_or(usize::MAX).min(step);
        let mut piece = body.piece(sent, most);
        if matches!(fault, Fault::OtherBytes) && sent + piece.len() as u64 == body.length() {
            piece = with_other_last_byte(&piece);
        }
        sent += piece.len() as u64;
        if sent == body.length() {
            // Whoever has the last byte may ask again before we come to notice.
            active = None;
        }
        wire.send(&piece).await?;
        if sent < end && !pause.is_zero() {
            sleep(pause).await;
        }
    }
    match fault {
        Fault::StallAfter(_) => {
            let _under_way = active;
            wait_for_leave(wire).await
        }
        Fault::TruncateAfter(_) | Fault::LengthTooLong(_) => Ok(Ending::Close),
        Fault::Trailing(bytes) => {
            wire.send(bytes).await?;
            Ok(Ending::Stay)
        }
        _ => Ok(Ending::Stay),
    }
}

fn with_other_last_byte(piece: &[u8]) -> Bytes {
    let mut other = piece.to_vec();
    if let Some(last) = other.last_mut() {
        *last ^= 1;
    }
    other.into()
}

/// Says nothing until the other side goes away.
async fn wait_for_leave(wire: &mut Wire) -> io::Result<Ending> {
    let mut ignored = [0; 1024];
    while wire.read(&mut ignored).await? > 0 {}
    Ok(Ending::Close)
}

async fn read_request(wire: &mut Wire, unread: &mut Vec<u8>) -> io::Result<Option<Recorded>> {
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 128];
        let mut request = httparse::Request::new(&mut headers);
        let Ok(parsed) = request.parse(unread) else {
            wire.send(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n").await?;
            return Ok(None);
        };
        if let httparse::Status::Complete(head) = parsed {
            let mut recorded = record(&request);
            let length: usize =
                recorded.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
            if length > LARGEST_BODY {
                return Err(io::Error::other("a body too large for a test"));
            }
            while unread.len() < head + length {
                if !read_more(wire, unread).await? {
                    return Ok(None);
                }
            }
            recorded.body = unread[head..head + length].to_vec();
            unread.drain(..head + length);
            return Ok(Some(recorded));
        }
        if unread.len() > LARGEST_HEAD {
            return Err(io::Error::other("a head too large for a test"));
        }
        if !read_more(wire, unread).await? {
            return Ok(None);
        }
    }
}

async fn read_more(wire: &mut Wire, unread: &mut Vec<u8>) -> io::Result<bool> {
    let mut buffer = [0; 4 << 10];
    let count = wire.read(&mut buffer).await?;
    unread.extend_from_slice(&buffer[..count]);
    Ok(count > 0)
}

fn record(request: &httparse::Request<'_, '_>) -> Recorded {
    let target = request.path.unwrap_or("/").to_owned();
    let headers = request
        .headers
        .iter()
        .map(|header| {
            let value = String::from_utf8_lossy(header.value).into_owned();
            (header.name.to_owned(), value)
        })
        .collect();
    Recorded {
        method: request.method.unwrap_or_default().to_owned(),
        path: decoded_path(&target),
        target,
        headers,
        body: Vec::new(),
    }
}

fn decoded_path(target: &str) -> String {
    // As to a proxy: the path comes after scheme and host.
    let path = match target.split_once("://") {
        Some((_, rest)) => rest.find('/').map_or("/", |at| &rest[at..]),
        None => target,
    };
    let path = path.split('?').next().unwrap_or(path);
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}
