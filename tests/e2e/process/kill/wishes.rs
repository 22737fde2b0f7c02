//! What was asked for, said and answered, and whether it is there: an answer never without its rule.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::{Value, json};
use support::client::Client;

use super::ledger::Standing;

/// One request; everything in it follows from its name. No registry has it, so nothing but an
/// approval answers it.
#[derive(Clone, Debug)]
pub struct Wish {
    name: String,
    n: u64,
    asked: Standing,
    said: Standing,
    answered: Standing,
}

impl Wish {
    /// Asks, says something, and answers all but every fourth, as far as it comes.
    pub async fn make(client: &Client, name: String, n: u64) -> (Self, bool) {
        let gone = Standing::Removed;
        let mut wish = Self { name, n, asked: Standing::Open, said: gone, answered: gone };
        let whole = wish.work(client).await.is_some();
        (wish, whole)
    }

    async fn work(&mut self, client: &Client) -> Option<()> {
        let answer = client.api("POST", "/requests", Some(&self.asking())).await.ok()?;
        let asked = answer.body.is_ok().then(|| answer.json())?;
        assert_eq!(answer.status, 201, "{self:?}: {asked}");
        self.asked = Standing::Made;
        let number = asked["request"]["number"].as_u64().unwrap();
        self.said = Standing::Open;
        let (path, text) = (format!("/requests/{number}/comments"), json!({ "text": self.name }));
        let answer = client.api("POST", &path, Some(&text)).await.ok()?;
        assert_eq!(answer.status, 200, "{self:?}");
        self.said = Standing::Made;
        if self.n % 4 == 3 {
            return Some(());
        }
        self.answered = Standing::Open;
        let body = json!({ "requests": [number], "reason": self.name });
        let path = format!("/requests/{}", if self.is_rejected() { "reject" } else { "approve" });
        let answer = client.api("POST", &path, Some(&body)).await.ok()?;
        let answered = answer.body.is_ok().then(|| answer.json())?;
        assert_eq!(answered["outcomes"][0]["problem"], Value::Null, "{self:?}: {answered}");
        self.answered = Standing::Made;
        Some(())
    }

    fn is_rejected(&self) -> bool {
        self.n % 4 == 2
    }

    /// Every second one is for many versions, which lie in a record of their own.
    fn versions(&self) -> Vec<String> {
        let count = if self.n.is_multiple_of(2) { 1 } else { 3 };
        (0..count).map(|n| format!("cargo:{}-{n}@1.0.0", self.name)).collect()
    }

    fn asking(&self) -> Value {
        let versions = self.versions();
        match versions.as_slice() {
            [one] => json!({ "package": one, "reason": self.name }),
            many => {
                let lockfile =
                    json!({ "name": format!("lock of {}", self.name), "versions": many });
                json!({ "lockfile": lockfile, "reason": self.name })
            }
        }
    }

    fn check(&mut self, found: Option<&Value>) {
        let Some(found) = found else {
            assert_ne!(self.asked, Standing::Made, "{self:?} is lost");
            self.asked = Standing::Removed;
            return;
        };
        self.asked = Standing::Made;
        let many = self.versions().len();
        let closure = if many == 1 { Value::Null } else { many.into() };
        assert_eq!(found["closure"]["versions"], closure, "{self:?}: half of it");
        let comments = found["comments"].as_u64().unwrap();
        assert!(self.said != Standing::Made || comments == 1, "{self:?}: what was said is lost");
        let state = found["state"].as_str().unwrap();
        let answer = if self.is_rejected() { "rejected" } else { "approved" };
        match self.answered {
            Standing::Made => assert_eq!(state, answer, "{self:?}: its answer is lost"),
            Standing::Removed => assert_eq!(state, "open", "{self:?}: nobody answered it"),
            Standing::Open if state == answer => self.answered = Standing::Made,
            Standing::Open => {
                assert_eq!(state, "open", "{self:?}");
                self.answered = Standing::Removed;
            }
        }
    }
}

#[derive(Default)]
pub struct Wishes {
    by_name: BTreeMap<String, Wish>,
    acknowledged: [u64; 3],
}

impl Wishes {
    pub fn note(&mut self, wish: Wish) {
        for (count, standing) in
            self.acknowledged.iter_mut().zip([wish.asked, wish.said, wish.answered])
        {
            *count += u64::from(standing == Standing::Made);
        }
        self.by_name.insert(wish.name.clone(), wish);
    }

    /// `rules` are those of the API whose names are those of requests.
    pub async fn check(&mut self, client: &Client, rules: BTreeMap<String, Value>) {
        let mut found: BTreeMap<String, Value> = BTreeMap::new();
        for state in ["open", "approved", "rejected", "answered"] {
            let mut after = 0;
            loop {
                let path = format!("/requests?state={state}&after={after}");
                let page = client.api("GET", &path, None).await.unwrap().json();
                for request in page["requests"].as_array().unwrap() {
                    let name = request["reason"].as_str().unwrap().to_owned();
                    let twice = found.insert(name, request.clone());
                    assert!(twice.is_none(), "in two places: {twice:?} and {request}");
                }
                let Some(next) = page["next"].as_u64() else { break };
                after = next;
            }
        }
        let mut made: BTreeSet<String> = rules.keys().cloned().collect();
        for (name, wish) in &mut self.by_name {
            let request = found.remove(name);
            wish.check(request.as_ref());
            let Some(request) = request.filter(|request| request["state"] == "approved") else {
                continue;
            };
            let rule = format!("request-{}", request["number"]);
            assert_eq!(request["closed"]["rules"], json!([rule]), "{wish:?}");
            assert!(made.remove(&rule), "{wish:?}: an answer without its rule");
            let packages = rules[&rule]["packages"].as_array().unwrap();
            assert_eq!(packages.len(), wish.versions().len(), "{wish:?}: half a rule");
        }
        assert!(found.is_empty(), "requests that nobody made: {found:?}");
        assert!(made.is_empty(), "rules without an answer: {made:?}");
    }

    pub fn is_worth_it(&self) -> bool {
        self.acknowledged.iter().all(|count| *count > 60)
    }
}

impl fmt::Display for Wishes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [asked, said, answered] = self.acknowledged;
        write!(f, "{asked} requests, {said} comments and {answered} answers")
    }
}
