//! Requests that are sent exactly as they are written: no client in between that tidies a path.

use std::time::{Duration, Instant};

use tokio::net::TcpStream;

use crate::edge::{Answer, Raw};
use crate::server::TestServer;

/// How long something that happens by itself may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

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

    /// As `host:port` sees it, on a connection of its own.
    pub async fn of(&self, authority: &str) -> Answer {
        let stream = TcpStream::connect(authority).await.unwrap();
        let mut text = format!("{} {} HTTP/1.1\r\nConnection: close\r\n", self.method, self.path);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
            text.extend(["Host: ", authority, "\r\n"]);
        }
        for (name, value) in &self.headers {
            text.extend([name, ": ", value, "\r\n"]);
        }
        text.push_str("\r\n");
        let mut client = Raw(stream);
        client.send(text).await;
        client.send(&self.body).await;
        client.answer_to(&self.method).await
    }
}

impl Answer {
    /// The body, if the transfer came to its end.
    pub fn whole(&self) -> Option<Vec<u8>> {
        if self.status == 0 {
            return None;
        }
        if self.header("transfer-encoding").is_some_and(|coding| coding.contains("chunked")) {
            return dechunked(&self.body);
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

fn dechunked(mut rest: &[u8]) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|pair| pair == b"\r\n")?;
        let size = std::str::from_utf8(&rest[..end]).ok()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        let data = rest.get(end + 2..end + 2 + size)?;
        if size == 0 {
            return Some(body);
        }
        body.extend_from_slice(data);
        rest = rest.get(end + 4 + size..)?;
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
