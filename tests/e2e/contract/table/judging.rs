//! What an answer has to be, and what must not be in it.

use std::io::Read as _;

use bytes::Bytes;
use serde_json::Value;
use support::edge::Answer;
use support::http::Asked;

use super::super::kinds::{Case, NEW};
use super::Garden;

/// In which state the server is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// What it needs to decide is here, or can be fetched.
    Well,
    /// It may not even know what it is asked about: then it says so, and sends nothing either.
    Ailing,
}

/// What has to come back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Must {
    /// The refusal with all that belongs to it.
    Refuse,
    /// No content, whatever it says.
    SendNothing,
    /// Something, and nothing of the new version in it.
    HideTheNew,
    Serve,
    ServeTheOld,
}

pub struct Check<'c> {
    pub asked: Asked,
    pub case: &'c Case,
    pub must: Must,
}

impl Garden {
    /// What is wrong with the answer.
    pub fn judge(&self, check: &Check<'_>, answer: &Answer, state: State) -> Option<String> {
        let Check { asked, case, must } = check;
        let (is_content, status) = (matches!(answer.status, 200..=399), answer.status);
        let is_read = matches!(asked.method(), "GET" | "HEAD");
        let is_well = state == State::Well;
        // Whoever holds the new version would go on to use it.
        let named = asked.header_value("if-none-match").unwrap_or_default();
        let is_confirmed = status == 304 && self.etags_with_new.contains(named);
        let wrong = match must {
            _ if is_confirmed => Some("what is held is said to be what it was"),
            Must::Serve if status != 200 => Some("it is not served"),
            // Others are told something else.
            Must::Serve if !is_private(answer) => Some("it is not for the asker alone"),
            Must::ServeTheOld if status != 200 => Some("the old one is not served"),
            Must::HideTheNew if is_well && is_read && !(is_content || status == 416) => {
                Some("the old one is not shown")
            }
            Must::SendNothing | Must::Refuse if is_content || status == 416 => Some("it is sent"),
            Must::SendNothing | Must::Refuse if answer.header("etag").is_some() => {
                Some("it can be recognised")
            }
            Must::SendNothing if is_well && status >= 500 => Some("it is no refusal"),
            Must::Refuse if status != 403 => Some("it is no refusal"),
            Must::Refuse => what_lacks(case, asked, answer),
            _ => None,
        };
        let wrong =
            wrong.or_else(|| (*must != Must::Serve).then(|| self.what_shows(case, answer))?);
        wrong.map(|wrong| {
            let text = unpacked(answer).map_or_else(|| answer.text(), |body| lossy(&body));
            let decision = answer.header("garth-decision").unwrap_or_default();
            let (key, round) = (&case.key, self.round);
            format!("{key}, round {round}: {wrong}: {must:?} {asked:?}: {status} {decision} {text}")
        })
    }

    /// Neither what is in the new version nor that it is there to be had.
    fn what_shows(&self, case: &Case, answer: &Answer) -> Option<&'static str> {
        let body = unpacked(answer).unwrap_or_else(|| Bytes::copy_from_slice(&answer.body));
        let Ok(text) = std::str::from_utf8(&body) else {
            let artifact = (self.format.artifact_of)(&self.up, &case.newer());
            // Where the checksum is.
            let end = &artifact[artifact.len() - 16..];
            let is_sent = body.windows(end.len()).any(|window| window == end);
            return is_sent.then_some("its bytes are sent");
        };
        if text.contains(&case.marker(NEW)) {
            return Some("its words are shown");
        }
        if answer.status != 200 || !text.contains(NEW) {
            return None;
        }
        let document: Value = serde_json::from_str(text).ok()?;
        let tags = [&document["dist-tags"], &document].map(Value::as_object);
        if tags.into_iter().flatten().any(|tags| tags.values().any(|to| to == NEW)) {
            return Some("a tag leads to it");
        }
        let offers = |of: &str| document[of].get(NEW).is_some();
        (offers("versions") || offers("time")).then_some("it is offered")
    }
}

/// The reason, the rule and what to do belong to a refusal.
fn what_lacks(case: &Case, asked: &Asked, answer: &Answer) -> Option<&'static str> {
    let decision = answer.header("garth-decision").unwrap_or_default();
    let (row, rule) = (&case.row, case.rule());
    let begin = match &rule {
        Some(rule) => format!("{}; rule=\"{rule}\"; revision=\"", row.effect()),
        None => format!("{}; revision=\"", row.effect()),
    };
    if !decision.starts_with(&begin) {
        return Some("it is not the decision of that rule");
    }
    let text = answer.text();
    let reason = rule.map(|rule| format!("because of {rule}")).unwrap_or_default();
    match asked.method() {
        "HEAD" => None,
        _ if !text.contains(row.words) || text.contains("the rule :") => {
            Some("the reason is not said")
        }
        _ if !text.contains(&reason) => Some("the rule's reason is not said"),
        _ if !text.contains("garth request") => Some("what to do is not said"),
        _ => None,
    }
}

fn is_private(answer: &Answer) -> bool {
    let value = answer.header("cache-control").unwrap_or_default();
    value.contains("private") || value.contains("no-store")
}

fn lossy(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(600).collect()
}

/// The body as the client reads it; `None` where it is a part of one, or no body at all.
fn unpacked(answer: &Answer) -> Option<Bytes> {
    let body = answer.whole().filter(|body| answer.status == 200 && !body.is_empty())?;
    let mut text = Vec::new();
    match answer.header("content-encoding") {
        None => text = body,
        Some("gzip") => {
            flate2::read::GzDecoder::new(&*body).read_to_end(&mut text).unwrap();
        }
        Some("br") => {
            brotli::Decompressor::new(&*body, 4096).read_to_end(&mut text).unwrap();
        }
        Some("zstd") => text = zstd::decode_all(&*body).unwrap(),
        Some(other) => panic!("nobody asked for {other}"),
    }
    Some(text.into())
}
