//! Those who are at work when the server is killed. Each works until it gets no answer any more.

use std::collections::BTreeMap;

use support::client::Client;
use tokio::task::JoinSet;

use super::ledger::{Ledger, Standing, draft, tarball_path};
use super::own::Publication;
use super::wishes::Wish;

pub struct Clients(JoinSet<Done>);

/// What one of them was told before the end.
#[derive(Default)]
struct Done {
    own: Vec<Publication>,
    wishes: Vec<Wish>,
    rules: Vec<(String, Standing)>,
    documents: Vec<String>,
    tarballs: Vec<String>,
}

impl Clients {
    /// Without anything `cold`, nothing is pulled that might still have to be fetched.
    pub fn start(client: &Client, ledger: &Ledger, cold: &[String], round: u64) -> Self {
        let mut clients = JoinSet::new();
        for writer in 0..3 {
            let mine = |name: &&String| name.starts_with(&format!("rule{writer}-"));
            let made = ledger.rules.iter().filter(|(_, standing)| **standing == Standing::Made);
            let made: Vec<_> = made.map(|(name, _)| name).filter(mine).cloned().collect();
            clients.spawn(change_rules(client.clone(), format!("rule{writer}-{round}"), made));
        }
        let mut expected = BTreeMap::new();
        let warm = if cold.is_empty() { &ledger.recorded } else { &ledger.tarballs };
        for name in cold.iter().chain(warm.iter().rev().take(20)) {
            expected.insert(name.clone(), ledger.bytes(name));
        }
        for publisher in 0..3 {
            clients.spawn(publish(client.clone(), format!("@own/p{publisher}"), round));
        }
        for asker in 0..2 {
            clients.spawn(ask(client.clone(), format!("wish{asker}-{round}")));
        }
        for puller in 0..4 {
            let (client, expected) = (client.clone(), expected.clone());
            clients.spawn(pull(client, expected, puller));
        }
        Self(clients)
    }

    pub async fn gather(mut self, ledger: &mut Ledger) {
        while let Some(done) = self.0.join_next().await {
            let done = done.unwrap();
            for (name, standing) in done.rules {
                ledger.rule(name, standing);
            }
            for publication in done.own {
                ledger.own.note(publication);
            }
            for wish in done.wishes {
                ledger.wishes.note(wish);
            }
            ledger.documents.extend(done.documents);
            ledger.tarballs.extend(done.tarballs);
        }
    }
}

/// Makes rules, and removes one of the older for each second one.
async fn change_rules(client: Client, prefix: String, mut made: Vec<String>) -> Done {
    let mut done = Done::default();
    for n in 0.. {
        let name = format!("{prefix}-{n}");
        match client.api("POST", "/rules", Some(&draft(&name))).await {
            Ok(answer) if answer.status == 201 => {
                done.rules.push((name.clone(), Standing::Made));
                made.push(name);
            }
            Ok(answer) => panic!("{name}: {}", answer.status),
            Err(_) => {
                done.rules.push((name, Standing::Open));
                return done;
            }
        }
        if n % 4 == 3 {
            continue;
        }
        let name = made.remove(0);
        match client.api("DELETE", &format!("/rules/{name}"), None).await {
            Ok(answer) if answer.status == 204 => done.rules.push((name, Standing::Removed)),
            Ok(answer) => panic!("{name}: {}", answer.status),
            Err(_) => {
                done.rules.push((name, Standing::Open));
                return done;
            }
        }
    }
    done
}

/// Asks for one thing after the other, and answers what it asked for.
async fn ask(client: Client, prefix: String) -> Done {
    let mut done = Done::default();
    for n in 0.. {
        let (wish, whole) = Wish::make(&client, format!("{prefix}-{n}"), n).await;
        done.wishes.push(wish);
        if !whole {
            return done;
        }
    }
    done
}

/// Publishes versions of one package, one after the other, and moves a tag to each second one.
async fn publish(client: Client, package: String, round: u64) -> Done {
    let mut done = Done::default();
    for n in 0.. {
        let mut publication = Publication::new(&package, round, n);
        match publication.publish(&client).await {
            Ok(201) => publication.standing = Standing::Made,
            Ok(status) => panic!("{}: {status}", publication.version),
            Err(_) => {
                done.own.push(publication);
                return done;
            }
        }
        if n % 2 == 1 {
            match publication.tag(&client).await {
                Ok(200) => publication.tagged = Standing::Made,
                Ok(status) => panic!("{}: {status}", publication.version),
                Err(_) => {
                    publication.tagged = Standing::Open;
                    done.own.push(publication);
                    return done;
                }
            }
        }
        done.own.push(publication);
    }
    done
}

/// Documents and tarballs, cold ones and warm ones; every second client begins at the other end.
async fn pull(client: Client, expected: BTreeMap<String, bytes::Bytes>, puller: usize) -> Done {
    let mut done = Done::default();
    let mut names: Vec<_> = expected.keys().cloned().collect();
    if puller % 2 == 1 {
        names.reverse();
    }
    if names.is_empty() {
        return done;
    }
    for name in names.iter().cycle() {
        let Ok(answer) = client.try_get(&format!("/npm/{name}")).await else { return done };
        if answer.body.is_err() {
            return done;
        }
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        done.documents.push(name.clone());
        let Ok(answer) = client.try_get(&tarball_path(name)).await else { return done };
        let Ok(bytes) = &answer.body else { return done };
        assert_eq!(answer.status, 200, "{name}: {}", answer.text());
        assert!(*bytes == expected[name], "{name}: other bytes");
        done.tarballs.push(name.clone());
    }
    done
}
