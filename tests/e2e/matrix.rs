//! Who may what: every route that there is, asked by everybody there is, for what is theirs and for
//! what is not. Each table is committed, so that whoever changes what a route asks for reads there
//! what it means for whom.
//!
//! The routes come from the tables that the server itself is made of. One that is added changes a
//! snapshot; one of which the handler decides who is let in has to be given rows, or the test fails.
//!
//! ```text
//! -    401: whoever asks is not known
//! no   403: a right is missing
//! 200  let in, and what was answered
//! ```

mod api;
mod askers;
mod cargo;
mod npm;

use std::fmt::Write as _;

use reqwest::Method;
use serde_json::{Value, json};
use support::publish::Publish;
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

use askers::{Asker, Known};

/// What limited tokens are limited to, where a table is not about something else.
const LIMIT: &str = "npm:@acme/*";

/// A garth with everybody in it, and with what they ask for.
struct World {
    garth: TestServer,
    http: reqwest::Client,
    admin: String,
    /// Those who are not spent by what they ask.
    known: Vec<Known>,
    /// So that no two cells are about the same thing.
    next: u32,
    limit: &'static str,
    _up: ScriptedUpstream,
}

/// What is asked, in every cell of one row of the table.
#[derive(Clone, Debug, Default)]
struct Row {
    /// Of the endpoint.
    id: &'static str,
    method: String,
    /// What the row is called where that is not its path.
    shown: String,
    path: String,
    /// Of what is asked, where it counts for whom it is let in.
    about: &'static str,
    body: Option<String>,
    /// What has to be there first: the first admin sees to it.
    first: Vec<(&'static str, String, String)>,
    /// Whoever asks is another one after that, so that each cell has somebody of its own.
    spends: bool,
}

impl Row {
    fn new(method: &str, path: &str) -> Self {
        Self { method: method.to_owned(), path: path.to_owned(), ..Self::default() }
    }

    /// What the row asks for.
    fn of(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// Fills the first place of the path, which is shown as it was.
    fn at(self, part: &str) -> Self {
        let (begin, rest) = self.path.split_once('{').expect("a place in the path");
        let (_, rest) = rest.split_once('}').expect("the end of a place");
        let path = format!("{begin}{part}{rest}");
        let shown = if self.shown.is_empty() { self.path } else { self.shown };
        Self { shown, path, ..self }
    }

    fn asking(self, query: &str) -> Self {
        let path = format!("{}?{query}", self.path);
        let shown = if self.shown.is_empty() { self.path } else { self.shown };
        Self { shown, path, ..self }
    }

    fn sends(self, body: &str) -> Self {
        Self { body: Some(body.to_owned()), ..self }
    }

    /// Behind what the first admin does.
    fn after(mut self, method: &'static str, path: &str, body: &str) -> Self {
        self.first.push((method, path.to_owned(), body.to_owned()));
        self
    }

    /// Each time by somebody else.
    fn spends(self) -> Self {
        Self { spends: true, ..self }
    }

    fn shown(&self) -> &str {
        if self.shown.is_empty() { &self.path } else { &self.shown }
    }
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    body: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or(Value::Null)
    }

    /// What counts for one cell. Of an answer that has several of them in it, what became of the first.
    fn cell(&self) -> String {
        let json = self.json();
        let problem = &json["outcomes"][0]["problem"];
        let (status, said) = match problem["status"].as_u64() {
            Some(status) => (u16::try_from(status).unwrap(), problem.clone()),
            None => (self.status, json),
        };
        let code = said["code"].as_str();
        let text = said["error"].as_str().or(said["detail"].as_str());
        let text = text.or(said["errors"][0]["detail"].as_str()).unwrap_or(&self.body);
        match status {
            // Of a login it is the password that is wrong.
            401 if text.contains("do not belong together") => "401".into(),
            401 if matches!(code, None | Some("unauthorized" | "token-not-valid")) => "-".into(),
            403 if code == Some("missing-right") => "no".into(),
            403 if code.is_none() && text.contains("needs the right") => "no".into(),
            status => status.to_string(),
        }
    }
}

impl World {
    /// In front of this upstream.
    async fn start(up: ScriptedUpstream, settings: &str) -> Self {
        Self::limited(up, settings, LIMIT).await
    }

    async fn limited(up: ScriptedUpstream, settings: &str, limit: &'static str) -> Self {
        let settings = format!(
            "{settings}\n[registry.npm]\nupstream = \"{}\"\nown = [\"@acme/*\", \"@other/*\"]\n\
             unpublish = true\n[webhooks]\nallow_hosts = [\"127.0.0.1:9\"]\ntimeout = \"1s\"\n\
             [limits]\nchanges_per_caller = 0\n",
            up.url()
        );
        let garth = Setup::new(&settings).start();
        let redirects = reqwest::redirect::Policy::none();
        let http = reqwest::Client::builder().no_proxy().redirect(redirects).build().unwrap();
        let admin = garth.admin_token();
        let mut world = Self { garth, http, admin, known: Vec::new(), next: 0, limit, _up: up };
        for team in ["web/shop", "web/blog"] {
            world.must("POST", "/api/v1/teams", &json!({ "name": team })).await;
        }
        for package in ["@acme/ui", "@other/ui"] {
            let published = Publish::new(package, "1.0.0").to(&world.garth).await;
            assert_eq!(published.status, 201, "{}", published.text());
        }
        for asker in Asker::ALL {
            let known = world.make(asker).await;
            world.known.push(known);
        }
        world
    }

    /// Asks as the first admin, who has to succeed.
    async fn must(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = body.to_string();
        let answer = self.ask(method, path, Some(&self.admin), Some(&body)).await;
        assert!((200..300).contains(&answer.status), "{method} {path} {body}: {answer:?}");
        answer.json()
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        token: Option<&str>,
        body: Option<&str>,
    ) -> Answer {
        let method: Method = method.parse().unwrap();
        let mut request = self.http.request(method, format!("{}{path}", self.garth.url));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            let body = body.to_owned();
            request = request.header("content-type", "application/json").body(body);
        }
        let response = request.send().await.unwrap();
        let status = response.status().as_u16();
        // One of them has no end.
        let kind = response.headers().get("content-type").map(|kind| kind.to_str().unwrap());
        let body = match kind {
            Some(kind) if kind.starts_with("text/event-stream") => String::new(),
            _ => String::from_utf8_lossy(&response.bytes().await.unwrap()).into_owned(),
        };
        Answer { status, body }
    }

    fn fresh(&mut self) -> u32 {
        self.next += 1;
        self.next
    }

    /// Asks for the row as this one, when what it is about is there.
    async fn answer(&mut self, row: &Row, asker: Asker) -> Answer {
        let spends = row.spends && asker.is_spent();
        let known =
            if spends { self.make(asker).await } else { self.known[asker as usize].clone() };
        let n = self.fresh().to_string();
        let mut made = Value::Null;
        for (method, path, body) in &row.first {
            let fill = |text: &str| known.fill(text, &n, &made);
            let (path, body) = (fill(path), fill(body));
            made = match body.as_str() {
                "" => self.ask(method, &path, Some(&self.admin), None).await.json(),
                body => self.must(method, &path, &serde_json::from_str(&sent(body)).unwrap()).await,
            };
        }
        let fill = |text: &str| known.fill(text, &n, &made);
        let (path, body) = (fill(&row.path), row.body.as_deref().map(|body| sent(&fill(body))));
        let answer = self.ask(&row.method, &path, known.token.as_deref(), body.as_deref()).await;
        if asker == Asker::Unknown && answer.cell() == "-" {
            // Whatever is nearly a token is told the same as what is none at all.
            for near in self.near_misses() {
                let again = self.ask(&row.method, &path, Some(&near), body.as_deref()).await;
                assert_eq!(again, answer, "{} {path} by {near}", row.method);
            }
        }
        answer
    }

    /// Tokens that differ from valid ones by a letter.
    fn near_misses(&self) -> Vec<String> {
        let reader = self.known[Asker::Reader as usize].token.clone().unwrap();
        let other = |token: &str| {
            let last = if token.ends_with('0') { '1' } else { '0' };
            format!("{}{last}", &token[..token.len() - 1])
        };
        let cut = reader[..reader.len() - 1].to_owned();
        vec![other(&reader), other(&self.admin), cut, format!("{reader}0")]
    }

    async fn cells(&mut self, rows: &[Row], askers: &[Asker]) -> Vec<Vec<String>> {
        let mut all = Vec::new();
        for row in rows {
            let mut cells = Vec::new();
            for asker in askers {
                cells.push(self.answer(row, *asker).await.cell());
            }
            all.push(cells);
        }
        all
    }
}

/// A body as it stands, or of `publish NAME VERSION` what npm sends for it.
fn sent(body: &str) -> String {
    let published = body.strip_prefix("publish ").and_then(|rest| rest.split_once(' '));
    match published {
        Some((name, version)) => Publish::new(name, version).body().to_string(),
        None => body.to_owned(),
    }
}

/// The table, of these columns.
fn text(rows: &[Row], askers: &[Asker], cells: &[Vec<String>]) -> String {
    let mut text = String::new();
    for (asker, key) in askers.iter().zip('a'..) {
        let _ = writeln!(text, "{key}  {}", asker.words());
    }
    let widest = |of: fn(&Row) -> usize| rows.iter().map(of).max().unwrap_or_default();
    let (width, about) = (widest(|row| row.shown().len()), widest(|row| row.about.len()));
    let _ = write!(text, "\n{:indent$}", "", indent = 7 + width + 1 + about);
    for (_, key) in askers.iter().zip('a'..) {
        let _ = write!(text, "  {key:3}");
    }
    for (row, cells) in rows.iter().zip(cells) {
        end_line(&mut text);
        let _ = write!(text, "{:6} {:width$} {:about$}", row.method, row.shown(), row.about);
        for cell in cells {
            let _ = write!(text, "  {cell:3}");
        }
    }
    end_line(&mut text);
    text
}

fn end_line(text: &mut String) {
    text.truncate(text.trim_end_matches(' ').len());
    text.push('\n');
}
