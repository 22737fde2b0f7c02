//! Requests that are sent exactly as they are written: no client in between that tidies a path.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::edge::{Answer, Raw, parse_head};
use crate::server::TestServer;

/// How long an answer, or what happens by itself, may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// One request. The path is sent as it is.
#[derive(Clone, Debug)]
pub struct Asked {
    method: String,
    path: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Asked {
    pub fn new(method: &str, path: &str) -> Self {
        let (method, path) = (method.to_owned(), path.to_owned());
        Self { method, path, headers: Vec::new(), body: Vec::new() }
    }

    pub fn get(path: &str) -> Self {
        Self::new("GET", path)
    }

    pub fn header_value(&self, name: &str) -> Option<&str> {
        let mut named = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        named.next().map(|(_, value)| value.as_str())
    }

    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        let length = self.body.len().to_string();
        self.header("Content-Length", &length)
    }

    pub fn method(&self) -> &str {
        &self.method
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// As `host:port` sees it, on a connection of its own.
    pub async fn of(&self, authority: &str) -> Answer {
        let stream = TcpStream::connect(authority).await.unwrap();
        let mut client = Raw(stream);
        client.send(self.text(authority, "close")).await;
        client.answer_to(&self.method, PATIENCE).await
    }

    /// Head and body, as they are sent.
    pub fn text(&self, authority: &str, connection: &str) -> Vec<u8> {
        let mut text =
            format!("{} {} HTTP/1.1\r\nConnection: {connection}\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.extend(["Host: ", authority, "\r\n"]);
        }
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        [text.as_bytes(), &self.body].concat()
    }
}

impl Answer {
    /// The body, if the transfer came to its end.
    pub fn whole(&self) -> Option<Vec<u8>> {
        if self.status == 0 {
            return None;
        }
        if is_chunked(self) {
            return dechunked(&self.body).map(|(body, _)| body);
        }
        let length: usize = self.header("content-length").map_or(Ok(0), str::parse).ok()?;
        (self.body.len() == length).then(|| self.body.clone())
    }

    pub fn json(&self) -> serde_json::Value {
        let body = self.whole().unwrap_or_else(|| panic!("a broken transfer: {self:?}"));
        serde_json::from_slice(&body)
            .unwrap_or_else(|fault| panic!("{fault}: {} {}", self.status, self.text()))
    }
}

fn is_chunked(answer: &Answer) -> bool {
    answer.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked"))
}

/// What it says, and how long it was with its chunks' heads.
fn dechunked(text: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut rest, mut body) = (text, Vec::new());
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let data = rest.get(end + 2..end + 2 + size)?;
        if size == 0 {
            return Some((body, text.len() - rest.len() + end + 4));
        }
        body.extend_from_slice(data);
        rest = rest.get(end + 4 + size..)?;
    }
}

/// A connection on which one request follows the other, and another one when the server ends it.
pub struct Line {
    authority: String,
    stream: Option<TcpStream>,
    /// What came and belongs to the next answer.
    arrived: Vec<u8>,
}

impl Line {
    pub fn to(server: &TestServer) -> Self {
        Self { authority: server.authority().to_owned(), stream: None, arrived: Vec::new() }
    }

    pub async fn ask(&mut self, asked: &Asked) -> Answer {
        self.ask_all(std::slice::from_ref(asked)).await.remove(0)
    }

    /// All at once, before the first answer is read; whatever was not answered is asked again.
    pub async fn ask_all(&mut self, asked: &[Asked]) -> Vec<Answer> {
        let mut answers = Vec::new();
        let mut tries = 0;
        while answers.len() < asked.len() {
            let rest = &asked[answers.len()..];
            let stream = match self.stream.take() {
                Some(stream) => stream,
                None => TcpStream::connect(&self.authority).await.unwrap(),
            };
            let stream = self.stream.insert(stream);
            let all: Vec<u8> =
                rest.iter().flat_map(|asked| asked.text(&self.authority, "keep-alive")).collect();
            // Where it was closed meanwhile, no answer comes, and it is sent again.
            let _ = stream.write_all(&all).await;
            for asked in rest {
                let Some(answer) = self.read(&asked.method).await else {
                    (self.stream, tries) = (None, tries + 1);
                    break;
                };
                let ends = answer.header("connection").is_some_and(|value| value == "close");
                answers.push(answer);
                tries = 0;
                if ends {
                    self.stream = None;
                    break;
                }
            }
            if self.stream.is_none() {
                self.arrived.clear();
            }
            assert!(tries < 5, "{} gives no answer to {:?}", self.authority, rest.first());
        }
        answers
    }

    async fn read(&mut self, method: &str) -> Option<Answer> {
        loop {
            let is_answer = self.arrived.starts_with(b"HTTP/1.1 ") || self.arrived.len() < 9;
            let arrived = || String::from_utf8_lossy(&self.arrived);
            assert!(
                is_answer,
                "behind the answer before it came no answer to {method}: {}",
                arrived()
            );
            let mut answer = Answer::default();
            if let Some(head) = parse_head(&self.arrived, &mut answer) {
                let rest = &self.arrived[head..];
                let length = match answer.header("content-length") {
                    _ if method == "HEAD" || matches!(answer.status, 204 | 304) => Some(0),
                    Some(length) => Some(length.parse().unwrap()),
                    None if is_chunked(&answer) => dechunked(rest).map(|(_, length)| length),
                    None => panic!("an answer without a length: {answer:?}"),
                };
                if let Some(length) = length.filter(|length| *length <= rest.len()) {
                    answer.body = rest[..length].to_vec();
                    self.arrived.drain(..head + length);
                    return Some(answer);
                }
            }
            let mut buffer = vec![0; 16 * 1024];
            let reading = self.stream.as_mut()?.read(&mut buffer);
            match timeout(PATIENCE, reading).await.expect("an answer in time") {
                Ok(count) if count > 0 => self.arrived.extend_from_slice(&buffer[..count]),
                _ => return None,
            }
        }
    }
}

impl TestServer {
    pub async fn ask(&self, asked: &Asked) -> Answer {
        asked.of(self.authority()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(&Asked::get(path)).await
    }

    /// Gets an artifact and waits until it is kept: a part of it is sent only then.
    pub async fn hold(&self, path: &str) {
        let answer = self.ask(&Asked::get(path).header("Range", "bytes=0-0")).await;
        assert_eq!(answer.status, 206, "{path} can not be held: {}", answer.text());
    }

    /// The log without the access lines: what a person would look at first.
    pub fn story(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().filter(|line| !line.contains(" access: ")).collect();
        lines.join("\n")
    }

    /// `127.0.0.1:1234`
    pub fn authority(&self) -> &str {
        self.url.split_once("://").map_or(self.url.as_str(), |(_, authority)| authority)
    }

    /// A number of `/metrics`; 0 while it has no such line.
    pub async fn metric(&self, line: &str) -> u64 {
        let page = String::from_utf8(self.get("/metrics").await.whole().unwrap()).unwrap();
        let found = page.lines().find_map(|known| known.strip_prefix(line));
        found.map_or(0, |number| number.trim().parse().unwrap())
    }

    pub async fn alarms(&self, kind: &str) -> u64 {
        self.metric(&format!("garth_alarms_total{{kind=\"{kind}\"}}")).await
    }

    /// Asks again until the answer is what is waited for.
    pub async fn wait_for(&self, asked: &Asked, expected: impl Fn(&Answer) -> bool) -> Answer {
        let begun = Instant::now();
        loop {
            let answer = self.ask(asked).await;
            if expected(&answer) {
                return answer;
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "waited in vain; at last came {} {}\n{}",
                answer.status,
                answer.text(),
                self.story()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// The access line of the last request for this path, once it is there.
    /// Lines keep their order: behind a later one it is there.
    pub async fn access_line(&self, path: &str) -> String {
        let later = format!("/behind{path}");
        let count = |log: &str| log.matches(&format!("path={later} ")).count();
        let before = count(&self.log());
        self.get(&later).await;
        let begun = Instant::now();
        loop {
            let log = self.log();
            if count(&log) > before {
                let line = log.lines().rev().find(|line| line.contains(&format!("path={path} ")));
                return line
                    .unwrap_or_else(|| panic!("no access line for {path}:\n{log}"))
                    .to_owned();
            }
            assert!(begun.elapsed() < PATIENCE, "no access line for {later}:\n{log}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
