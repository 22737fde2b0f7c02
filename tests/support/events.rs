//! A reader of `text/event-stream`, by the letter of its specification: what a browser would be told.

use std::time::Duration;

use serde_json::Value;

use crate::server::TestServer;

/// Longer than a stream may be silent.
const PATIENCE: Duration = Duration::from_secs(25);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    pub kind: String,
    pub data: Value,
}

/// An open stream.
pub struct Events {
    response: reqwest::Response,
    buffer: String,
    data: String,
    kind: String,
    last_id: String,
    /// Lines that only say that it is alive.
    pub comments: usize,
}

impl Events {
    /// `path` begins behind `/api/v1/events`.
    pub async fn open(
        server: &TestServer,
        token: &str,
        path: &str,
        last_id: Option<&str>,
    ) -> Result<Self, (u16, String)> {
        let http = reqwest::Client::builder().no_proxy().build().unwrap();
        let mut request =
            http.get(format!("{}/api/v1/events{path}", server.url)).bearer_auth(token);
        if let Some(id) = last_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        if status != 200 {
            return Err((status, response.text().await.unwrap()));
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["cache-control"], "no-store");
        let (buffer, data, kind) = (String::new(), String::new(), String::new());
        Ok(Self { response, buffer, data, kind, last_id: String::new(), comments: 0 })
    }

    /// Where to go on after this.
    pub fn last_id(&self) -> &str {
        &self.last_id
    }

    /// The next event; `None` where the stream has ended as it should.
    pub async fn next(&mut self) -> Option<Told> {
        tokio::time::timeout(PATIENCE, self.read()).await.expect("a stream is not silent for long")
    }

    async fn read(&mut self) -> Option<Told> {
        loop {
            while let Some((line, rest)) = self.buffer.split_once('\n') {
                let (line, rest) = (line.to_owned(), rest.to_owned());
                self.buffer = rest;
                if let Some(told) = self.line(&line) {
                    return Some(told);
                }
            }
            let piece = self.response.chunk().await.expect("the transfer does not break")?;
            self.buffer.push_str(std::str::from_utf8(&piece).unwrap());
        }
    }

    fn line(&mut self, line: &str) -> Option<Told> {
        if line.is_empty() {
            let (kind, data) = (std::mem::take(&mut self.kind), std::mem::take(&mut self.data));
            let data = (!data.is_empty()).then(|| serde_json::from_str(&data).unwrap())?;
            return Some(Told { kind, data });
        }
        match line.split_once(": ") {
            Some(("", _)) => self.comments += 1,
            Some(("id", id)) => id.clone_into(&mut self.last_id),
            Some(("event", kind)) => kind.clone_into(&mut self.kind),
            Some(("data", data)) => self.data.push_str(data),
            Some(("retry", _)) => {}
            _ => panic!("{line:?} is no line of a stream"),
        }
        None
    }
}
