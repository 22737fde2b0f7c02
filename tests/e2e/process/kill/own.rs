//! What was published, and whether it is there: wholly, or not at all.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};
use support::client::Client;
use support::publish::Publish;

use super::ledger::Standing;

/// One version; everything in it follows from its package and number.
#[derive(Clone, Debug)]
pub struct Publication {
    pub package: String,
    pub version: String,
    round: u64,
    pub standing: Standing,
    /// Whether the tag of its round points to it.
    pub tagged: Standing,
}

impl Publication {
    pub fn new(package: &str, round: u64, n: u64) -> Self {
        Self {
            package: package.to_owned(),
            version: format!("{round}.{n}.0"),
            round,
            standing: Standing::Open,
            tagged: Standing::Removed,
        }
    }

    fn sent(&self) -> Publish {
        let text = format!("{} {} ", self.package, self.version).repeat(300);
        let manifest = json!({ "name": self.package, "version": self.version, "text": text });
        Publish::of(&manifest)
    }

    pub async fn publish(&self, client: &Client) -> Result<u16, String> {
        let sent = self.sent();
        client.change("PUT", &sent.path(), sent.body().to_string()).await
    }

    pub async fn tag(&self, client: &Client) -> Result<u16, String> {
        let name = self.package.replace('/', "%2f");
        let path = format!("/npm/-/package/{name}/dist-tags/round-{}", self.round);
        client.change("PUT", &path, format!("\"{}\"", self.version)).await
    }

    fn tarball(&self) -> String {
        let (_, name) = self.package.split_once('/').unwrap();
        format!("/npm/{}/-/{name}-{}.tgz", self.package, self.version)
    }
}

#[derive(Default)]
pub struct Publications {
    of_package: BTreeMap<String, Vec<Publication>>,
    acknowledged: u64,
}

impl Publications {
    pub fn note(&mut self, publication: Publication) {
        self.acknowledged += u64::from(publication.standing == Standing::Made);
        self.of_package.entry(publication.package.clone()).or_default().push(publication);
    }

    /// What is listed is what was acknowledged, and what was under way where that came so far;
    /// `round` chooses whose bytes are compared.
    pub async fn check(&mut self, client: &Client, round: Option<u64>) {
        for (package, publications) in &mut self.of_package {
            let answer = client.get(&format!("/npm/{package}")).await;
            let none = publications.iter().all(|one| one.standing != Standing::Made);
            if none && answer.status == 404 {
                continue;
            }
            assert!(answer.is_whole(), "{package}: {}", answer.text());
            let document = answer.json();
            let listed = document["versions"].as_object().unwrap();
            for one in &mut *publications {
                let there = listed.contains_key(&one.version);
                let lost = one.standing == Standing::Made && !there;
                assert!(!lost, "{package}@{} is lost", one.version);
                one.standing = if there { Standing::Made } else { Standing::Removed };
                check_tag(one, &document);
            }
            let made = publications.iter().filter(|one| one.standing == Standing::Made);
            assert_eq!(made.count(), listed.len(), "{package}: versions that nobody published");
            let newest = round.map_or(0, |round| round.saturating_sub(2));
            for one in publications.iter().filter(|one| one.round >= newest) {
                check_bytes(client, one).await;
            }
        }
    }

    pub fn is_worth_it(&self) -> bool {
        self.acknowledged > 200
    }
}

/// Of the tags of a round the last one counts, and it may have been under way.
fn check_tag(one: &mut Publication, document: &Value) {
    let tag = &document["dist-tags"][format!("round-{}", one.round)];
    let is_later = |tag: &str| {
        let number = |version: &str| version.split('.').nth(1).unwrap().parse::<u64>().unwrap();
        number(tag) >= number(&one.version)
    };
    if one.tagged == Standing::Made {
        assert!(tag.as_str().is_some_and(is_later), "{one:?}: its tag is lost: {tag}");
    }
}

async fn check_bytes(client: &Client, one: &Publication) {
    let answer = client.get(&one.tarball()).await;
    if one.standing != Standing::Made {
        assert_eq!(answer.status, 404, "{one:?}: half of it is there: {}", answer.text());
        return;
    }
    assert!(answer.is_whole(), "{one:?}: {}", answer.text());
    assert!(*answer.bytes() == one.sent().archive, "{one:?}: other bytes");
    assert_eq!(one.publish(client).await, Ok(409), "{one:?} is published twice");
}

impl fmt::Display for Publications {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} publishes", self.acknowledged)
    }
}
