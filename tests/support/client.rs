//! An HTTP client that tells whether an answer arrived whole.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

use crate::server::TestServer;

/// Clones share their connections.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// What came back. `Err` instead of it means that not even a head did.
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    /// An error where the transfer broke before its end.
    pub body: Result<Bytes, String>,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub fn bytes(&self) -> &Bytes {
        self.body.as_ref().unwrap_or_else(|fault| panic!("the transfer broke: {fault}"))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(self.bytes()).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    /// A complete 200.
    pub fn is_whole(&self) -> bool {
        self.status == 200 && self.body.is_ok()
    }
}

impl Client {
    pub fn of(server: &TestServer) -> Self {
        Self::new(&server.url, &server.admin_token())
    }

    pub fn new(url: &str, token: &str) -> Self {
        let http = reqwest::Client::builder()
            .no_proxy()
            // Bytes are compared as they came.
            .no_gzip()
            .connect_timeout(Duration::from_secs(30))
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        Self { http, url: url.to_owned(), token: token.to_owned() }
    }

    /// Asks as anybody would.
    pub fn request(&self, path: &str) -> reqwest::RequestBuilder {
        self.http.get(format!("{}{path}", self.url))
    }

    pub async fn get(&self, path: &str) -> Answer {
        let answer = self.try_get(path).await;
        answer.unwrap_or_else(|fault| panic!("{path}: no answer: {fault}"))
    }

    pub async fn try_get(&self, path: &str) -> Result<Answer, String> {
        finish(self.request(path)).await
    }

    /// Asks the admin API, with the token.
    pub async fn api(
        &self,
        method: &str,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, String> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let mut request = self
            .http
            .request(method, format!("{}/api/v1{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token));
        if let Some(body) = body {
            request = request.header("Content-Type", "application/json").body(body.to_string());
        }
        finish(request).await
    }

    /// Changes something of a registry, with the token; gives the status.
    pub async fn change(&self, method: &str, path: &str, body: String) -> Result<u16, String> {
        let method = reqwest::Method::from_bytes(method.as_bytes()).unwrap();
        let request = self
            .http
            .request(method, format!("{}{path}", self.url))
            .header("Authorization", format!("Bearer {}", self.token))
            .header("Content-Type", "application/json")
            .body(body);
        Ok(finish(request).await?.status)
    }

    /// Makes a rule; gives the status.
    pub async fn make_rule(&self, name: &str, effect: &str, package: &str) -> u16 {
        let rule = json!({ "name": name, "effect": effect, "packages": [package] });
        self.api("POST", "/rules", Some(&rule)).await.unwrap().status
    }

    /// The value of a counter or gauge of `/metrics`, named with its labels; 0 if there is none.
    pub async fn metric(&self, name: &str) -> u64 {
        let page = self.get("/metrics").await.text();
        let line = page.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }
}

async fn finish(request: reqwest::RequestBuilder) -> Result<Answer, String> {
    let response = request.send().await.map_err(|fault| format!("{fault:?}"))?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    let body = response.bytes().await.map_err(|fault| format!("{fault:?}"));
    Ok(Answer { status, headers, body })
}
