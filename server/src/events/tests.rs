#![allow(clippy::unwrap_used)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use policies::rules::Pattern;
use serde_json::Value;
use tempfile::TempDir;

use super::stream::{Asked, HEARTBEAT, MAX_OF_TOKEN};
use super::*;
use crate::access::Person;
use crate::access::rights::Rights;
use crate::audit::checkpoint::LogKey;
use crate::audit::{Action, Audited, Entry, Keeping, Log};
use crate::clock::Clock;
use crate::metadata::sled::{Sled, SledOptions};
use crate::metadata::{Batch, Metadata as _};
use crate::observability::Lifecycle;

struct Garden {
    _home: TempDir,
    _keeping: Keeping,
    store: Arc<Audited>,
    events: Events,
    lifecycle: Lifecycle,
}

fn garden() -> Garden {
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
    let (log, store, keeping) = Log::open(Arc::new(store), Clock::system(), LogKey::make("log"));
    let lifecycle = Lifecycle::default();
    let events = Events::new(log, lifecycle.clone());
    Garden { _home: home, _keeping: keeping, store, events, lifecycle }
}

impl Garden {
    async fn write(&self, entry: Entry) {
        let at = Clock::system().now();
        self.store.commit(Batch::default().note(entry, at)).await.unwrap();
        self.events.log().settle().await.unwrap();
    }

    fn follow(&self, from: u64, wanted: Wanted, sight: Sight) -> Reader {
        let place = self.events.place("ann").unwrap();
        let sight = Box::new(move || Some(sight.clone()));
        Reader(Box::pin(
            self.events.follow(place, Asked { wanted, from, sight }).map(Result::unwrap),
        ))
    }
}

struct Reader(std::pin::Pin<Box<dyn Stream<Item = bytes::Bytes>>>);

impl Reader {
    /// The next piece of text, which comes soon; `None` behind the end.
    async fn text(&mut self) -> Option<String> {
        let soon = tokio::time::timeout(HEARTBEAT * 2, self.0.next());
        let text = soon.await.expect("a stream is never silent for long")?;
        Some(String::from_utf8(text.to_vec()).unwrap())
    }

    /// The numbers of the next events.
    async fn numbers(&mut self, count: usize) -> Vec<u64> {
        let mut found = Vec::new();
        while found.len() < count {
            let text = self.text().await.expect("it goes on");
            let data = text.lines().filter_map(|line| line.strip_prefix("data: "));
            found.extend(data.map(|data| serde_json::from_str::<Event>(data).unwrap().data.n));
        }
        found
    }
}

fn made(name: &str) -> Entry {
    Entry::new(Action::RuleMade).by("ann").subject(name).package(&"npm:left-pad")
}

#[tokio::test]
async fn a_stream_tells_what_happens_from_its_cursor_on_and_each_thing_once() {
    let garden = garden();
    for name in ["a", "b", "c"] {
        garden.write(made(name)).await;
    }
    let mut reader = garden.follow(1, Wanted::default(), Sight::All);
    assert_eq!(reader.text().await.unwrap(), "retry: 2000\nid: 0\n\n");
    let text = reader.text().await.unwrap();
    let first: Vec<&str> = text.lines().take(2).collect();
    assert_eq!(first, ["id: 1", "event: rule-made"]);
    let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
    let event: Value = serde_json::from_str(data).unwrap();
    assert_eq!((&event["type"], &event["data"]["subject"]), (&"rule-made".into(), &"b".into()));
    assert!(text.contains("\n\nid: 2\n"), "{text}");
    garden.write(made("d")).await;
    assert_eq!(reader.numbers(1).await, [3]);
}

#[tokio::test]
async fn what_is_not_asked_for_and_not_for_this_reader_is_left_out() {
    let garden = garden();
    let refused = |team| Entry::new(Action::Refused).team(team).package(&"npm:x");
    garden.write(made("a")).await;
    garden.write(refused(Some("web/shop"))).await;
    garden.write(refused(Some("ops/db"))).await;
    garden.write(refused(None).detail("team-claimed", &"web/shop")).await;
    let approved = Entry::new(Action::RequestApproved).by("eve").team(Some("sec/ops"));
    garden.write(approved.detail("teams", &"ops/db, web/shop").package(&"npm:@s/n")).await;
    garden.write(Entry::new(Action::TokenMade).by("ann").team(Some("web/shop"))).await;
    garden.write(refused(Some("web/shop"))).await;
    let everything = Wanted::default();
    let kinds =
        |words: &str| Wanted { kinds: parse_kinds(words.split(',')).unwrap(), ..Wanted::default() };
    let package =
        |text: &str| Wanted { package: Some(Pattern::parse(text).unwrap()), ..Wanted::default() };
    let team = Wanted { team: Some("ops/db".to_owned()), ..Wanted::default() };
    let approver = Sight::Some { team: None, requests: true };
    for (name, wanted, sight, expected) in [
        ("all", everything.clone(), Sight::All, vec![0, 1, 2, 3, 4, 5, 6]),
        ("a team", everything.clone(), Sight::of_team("web/shop"), vec![1, 4, 6]),
        ("another", everything.clone(), Sight::of_team("ops/db"), vec![2, 4]),
        ("an approver", everything, approver, vec![4]),
        ("kinds", kinds("rule-made,request-*"), Sight::All, vec![0, 4]),
        ("a package", package("npm:left-pad"), Sight::All, vec![0]),
        ("a pattern", package("npm:@s/*"), Sight::All, vec![4]),
        ("of a team", team, Sight::All, vec![2, 4]),
    ] {
        let mut reader = garden.follow(0, wanted, sight);
        assert_eq!(reader.numbers(expected.len()).await, expected, "{name}");
    }
}

#[test]
fn a_rule_for_many_is_about_each_of_them() {
    let mut record = AuditRecord {
        packages: vec!["npm:@types/*".to_owned()],
        ..serde_json::from_str(r#"{"at":"2026-06-01T00:00:00Z","action":"rule-made"}"#).unwrap()
    };
    let about = |text: &str, record: &AuditRecord| {
        Wanted { package: Some(Pattern::parse(text).unwrap()), ..Wanted::default() }.has(record)
    };
    assert!(about("npm:@types/node", &record) && about("npm:@types/*", &record));
    assert!(!about("npm:@typesx/node", &record) && !about("npm:*", &record));
    record.packages = Vec::new();
    assert!(!about("npm:@types/node", &record));
}

#[test]
fn a_kind_that_is_none_is_said() {
    assert_eq!(parse_kinds(["*", " request-* ", "", "*"]).unwrap(), ["*", "request-*"]);
    let fault = parse_kinds(["request-mad"]).unwrap_err().to_string();
    assert!(fault.contains("did you mean request-made?"), "{fault}");
    assert!(parse_kinds(["requests*"]).is_err());
}

#[test]
fn whoever_may_see_nothing_has_no_sight() {
    let person = |team: Option<&str>, rights: &[&str]| Person {
        name: "ann".into(),
        token: Some("t".into()),
        team: team.map(Into::into),
        rights: Rights::parse(rights.iter().copied()).unwrap().with_read(),
        ceiling: None,
        expires: None,
        used: crate::person::meter::Used::default(),
    };
    assert_eq!(Sight::of(&person(None, &[])), None);
    assert_eq!(Sight::of(&person(None, &["publish"])), None);
    assert_eq!(Sight::of(&person(Some("a/b"), &[])), Some(Sight::of_team("a/b")));
    assert_eq!(Sight::of(&person(Some("a/b"), &["administer"])), Some(Sight::All));
}

#[tokio::test]
async fn a_stream_ends_within_seconds_where_its_reader_may_see_nothing_more() {
    let garden = garden();
    let good = Arc::new(AtomicBool::new(true));
    let place = garden.events.place("ann").unwrap();
    let seen = Arc::clone(&good);
    let sight = Box::new(move || seen.load(Ordering::Relaxed).then_some(Sight::All));
    let asked = Asked { wanted: Wanted::default(), from: 0, sight };
    let stream = garden.events.follow(place, asked).map(Result::unwrap);
    let mut reader = Reader(Box::pin(stream));
    reader.text().await.unwrap();
    good.store(false, Ordering::Relaxed);
    let begun = tokio::time::Instant::now();
    let text = reader.text().await.unwrap();
    assert_eq!(text, "event: end\ndata: {\"why\":\"token-not-valid\"}\n\n");
    assert!(begun.elapsed() < Duration::from_secs(3));
    assert_eq!(reader.text().await, None);
}

#[tokio::test]
async fn a_stream_ends_when_garth_stops() {
    let garden = garden();
    let mut reader = garden.follow(0, Wanted::default(), Sight::All);
    reader.text().await.unwrap();
    garden.lifecycle.set_stopping();
    assert_eq!(reader.text().await.unwrap(), "event: end\ndata: {\"why\":\"stopping\"}\n\n");
    assert_eq!(reader.text().await, None);
}

#[tokio::test]
async fn in_silence_it_says_that_it_is_alive_and_how_far_it_is() {
    let garden = garden();
    garden.write(made("a")).await;
    let wanted = Wanted { kinds: parse_kinds(["token-*"]).unwrap(), ..Wanted::default() };
    let mut reader = garden.follow(0, wanted, Sight::All);
    assert_eq!(reader.text().await.unwrap(), "retry: 2000\n\n");
    assert_eq!(reader.text().await.unwrap(), ": nothing new\nid: 0\n\n");
}

#[test]
fn there_are_only_so_many_streams_and_each_place_is_given_back() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let _here = runtime.enter();
    let garden = garden();
    let places: Vec<_> = (0..MAX_OF_TOKEN).map(|_| garden.events.place("ann").unwrap()).collect();
    assert_eq!(garden.events.place("ann").unwrap_err(), TooManyStreams::OfToken);
    drop(places);
    let mut places = Vec::new();
    for n in 0..stream::MAX_STREAMS {
        places.push(garden.events.place(&format!("t{}", n / MAX_OF_TOKEN)).unwrap());
    }
    assert_eq!(garden.events.place("ann").unwrap_err(), TooManyStreams::InAll);
    places.pop();
    assert!(garden.events.place("ann").is_ok());
}

#[tokio::test]
async fn every_kind_is_in_the_documents() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/events.md");
    let text = tokio::fs::read_to_string(path).await.unwrap();
    let missing: Vec<&str> = Action::ALL
        .map(Action::as_str)
        .into_iter()
        .filter(|kind| !text.contains(&format!("`{kind}`")))
        .collect();
    assert!(missing.is_empty(), "docs/events.md lacks {missing:?}");
}
