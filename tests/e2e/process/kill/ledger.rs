//! What was acknowledged, and whether it is there.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use serde_json::Value;
use support::client::Client;
use support::upstream::{Body, ScriptedUpstream};

use super::own::Publications;
use super::wishes::Wishes;

/// What is known of a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    Made,
    Removed,
    /// It was under way when the server died: made or not, and both are right.
    Open,
}

pub struct Ledger {
    up: ScriptedUpstream,
    pub rules: BTreeMap<String, Standing>,
    /// Packages whose document was served whole. It was on disk before.
    pub documents: BTreeSet<String>,
    /// Packages whose tarball was served whole: the bytes are then as good as on disk, not more.
    pub tarballs: BTreeSet<String>,
    /// Of these, those that were served with the upstream offline: they stay for ever.
    pub recorded: BTreeSet<String>,
    /// What was published here.
    pub own: Publications,
    /// What was asked for.
    pub wishes: Wishes,
    acknowledged: u64,
}

impl Ledger {
    pub fn new(up: ScriptedUpstream) -> Self {
        Self {
            up,
            rules: BTreeMap::new(),
            documents: BTreeSet::new(),
            tarballs: BTreeSet::new(),
            recorded: BTreeSet::new(),
            own: Publications::default(),
            wishes: Wishes::default(),
            acknowledged: 0,
        }
    }

    pub fn rule(&mut self, name: String, standing: Standing) {
        self.acknowledged += u64::from(standing != Standing::Open);
        self.rules.insert(name, standing);
    }

    /// All of it, or what changed around `round` and some of the rest.
    pub async fn check(&mut self, client: &Client, offline: bool, round: Option<u64>) {
        let of_requests = self.check_rules(client).await;
        self.wishes.check(client, of_requests).await;
        self.own.check(client, round).await;
        let chosen = |name: &str| {
            let Some(round) = round else { return true };
            let born: u64 = name.split('-').nth(1).unwrap().parse().unwrap();
            born + 3 >= round || (born + round).is_multiple_of(11)
        };
        let documents: Vec<_> = self.documents.iter().filter(|name| chosen(name)).collect();
        for name in documents {
            let answer = client.get(&format!("/npm/{name}")).await;
            assert!(answer.is_whole(), "{name}: {}", answer.text());
            let document = answer.json();
            let promised = &document["versions"]["1.0.0"]["dist"]["integrity"];
            assert_eq!(promised, self.up.tarball(name, "1.0.0").integrity.as_str(), "{name}");
        }
        let tarballs: Vec<_> = self.tarballs.iter().filter(|name| chosen(name)).cloned().collect();
        for name in tarballs {
            let answer = client.get(&tarball_path(&name)).await;
            match answer.status {
                200 => assert!(*answer.bytes() == self.bytes(&name), "{name}: other bytes"),
                // The server died between the last byte and the record; it has to say so plainly.
                502 if offline => assert!(!self.recorded.contains(&name), "{name} is lost"),
                other => panic!("{name}: {other}, {}", answer.text()),
            }
            if offline && answer.status == 200 {
                self.recorded.insert(name);
            }
        }
    }

    /// The rules of the API are those that were acknowledged, whole, and no others; gives those that
    /// requests were answered by.
    async fn check_rules(&mut self, client: &Client) -> BTreeMap<String, Value> {
        let mut found = BTreeMap::new();
        let mut after = String::new();
        loop {
            let page = client.api("GET", &format!("/rules?after={after}"), None).await.unwrap();
            let page = page.json();
            assert_eq!(page["faults"], Value::Array(Vec::new()));
            for rule in page["rules"].as_array().unwrap() {
                if rule["origin"]["kind"] == "api" {
                    found.insert(rule["name"].as_str().unwrap().to_owned(), rule.clone());
                }
            }
            let Some(next) = page["next"].as_str() else { break };
            next.clone_into(&mut after);
        }
        for (name, standing) in &mut self.rules {
            match (found.remove(name), *standing) {
                (Some(rule), Standing::Made | Standing::Open) => {
                    let expected = draft(name);
                    for field in ["effect", "packages", "versions", "reason"] {
                        assert_eq!(rule[field], expected[field], "{name}: half a rule");
                    }
                    *standing = Standing::Made;
                }
                (None, Standing::Removed | Standing::Open) => *standing = Standing::Removed,
                (found, standing) => panic!("{name}: {standing:?}, and there is {found:?}"),
            }
        }
        let (of_requests, others): (BTreeMap<_, _>, BTreeMap<_, _>) =
            found.into_iter().partition(|(name, _)| name.starts_with("request-"));
        assert!(others.is_empty(), "rules that nobody made: {others:?}");
        of_requests
    }

    pub fn bytes(&self, name: &str) -> Bytes {
        match self.up.tarball(name, "1.0.0").body {
            Body::Bytes(bytes) => bytes,
            Body::Generated(generated) => generated.whole(),
        }
    }

    /// A test that acknowledged nothing has shown nothing. A slow machine takes more rounds.
    pub fn is_worth_it(&self) -> bool {
        self.acknowledged > 300
            && self.own.is_worth_it()
            && self.wishes.is_worth_it()
            && self.documents.len() > 100
            && self.tarballs.len() > 80
            && self.recorded.len() * 10 > self.tarballs.len() * 8
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} changes of rules, {}, {}, {} documents and {} tarballs acknowledged, {} of these recorded",
            self.acknowledged,
            self.own,
            self.wishes,
            self.documents.len(),
            self.tarballs.len(),
            self.recorded.len()
        )
    }
}

pub fn tarball_path(name: &str) -> String {
    format!("/npm/{name}/-/{name}-1.0.0.tgz")
}

/// A rule as it is asked for; everything in it follows from its name.
pub fn draft(name: &str) -> Value {
    serde_json::json!({
        "name": name,
        "effect": "deny",
        "packages": [format!("npm:{name}"), format!("npm:@{name}/*")],
        "versions": ">=2",
        "reason": format!("made for {name}"),
    })
}
