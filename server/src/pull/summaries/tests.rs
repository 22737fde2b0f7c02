#![allow(clippy::unwrap_used)]

use std::collections::HashSet;
use std::io::Read;
use std::time::Duration;

use policies::package::Version;

use super::*;
use crate::blobs::disk::{DiskBlobs, DiskOptions};
use crate::blobs::{Blobs, BlobsOptions};
use crate::clock::Clock;
use crate::metadata::Batch;
use crate::metadata::records::Somebody;
use crate::metadata::refusing::Refusing;
use crate::metadata::sled::{Sled, SledOptions};
use crate::observability::Metrics;
use crate::pull::format::{LeftOut, Opened, Promise, Said, Verdict, VersionClaim};
use crate::pull::original::Original;

fn summary(description: &str, keywords: &[&str], author: &str) -> SummaryRecord {
    let words = WordsRecord {
        description: description.to_owned(),
        keywords: keywords.iter().map(|word| (*word).to_owned()).collect(),
        ..WordsRecord::default()
    };
    let author = Some(Somebody { name: author.to_owned(), email: None });
    let people = PeopleRecord { author, ..PeopleRecord::default() };
    SummaryRecord { words: vec![words], people: vec![people], ..SummaryRecord::default() }
}

fn words(words: &[&str]) -> Wanted {
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    Wanted { words, ..Wanted::default() }
}

#[test]
fn every_part_has_to_be_met_and_the_name_counts_most() {
    let lines: BTreeMap<Box<str>, Line> = [
        ("@acme/pad", summary("ours", &["string"], "Ann")),
        ("a-pad", summary("a text", &[], "Bob")),
        ("left-pad", summary("Pads a text", &["string", "left pad"], "Ann")),
        ("other", summary("100% unlike left-pad, with .* and [", &[], "Bob")),
        ("pad", summary("", &[], "Cy")),
        ("padding", summary("", &[], "Cy")),
        ("words", summary("words", &["pad"], "Cy")),
    ]
    .into_iter()
    .map(|(name, summary)| (name.into(), Line::new(&summary)))
    .collect();
    let found = |wanted: &Wanted| {
        find(&lines, wanted)
            .into_iter()
            .map(|find| find.name.into_string())
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert_eq!(found(&words(&["pad"])), "pad @acme/pad padding a-pad left-pad words other");
    assert_eq!(found(&words(&["left", "pad"])), "left-pad other");
    assert_eq!(found(&words(&["left-pad"])), "left-pad other");
    for literal in ["%", ".*", "["] {
        assert_eq!(found(&words(&[literal])), "other", "{literal}");
    }
    for nothing in ["_", "*pad", "^pad", "p?d", "\n", "pad\n"] {
        let expected = if nothing == "\n" { 5 } else { 0 };
        let count = find(&lines, &words(&[nothing])).len();
        assert!(count == expected || nothing == "pad\n", "{nothing:?}: {count}");
    }
    let one = |word: &str| vec![word.to_owned()];
    let keyword = |word: &str| Wanted { keywords: vec![one(word)], ..Wanted::default() };
    assert_eq!(found(&keyword("string")), "@acme/pad left-pad");
    assert_eq!(found(&keyword("left")), "", "a keyword is met whole");
    let person = Wanted { people: one("ann"), ..words(&["left"]) };
    assert_eq!(found(&person), "left-pad");
    assert_eq!(found(&Wanted { scopes: one("acme"), ..Wanted::default() }), "@acme/pad");
    assert_eq!(found(&Wanted { scopes: one("acm"), ..Wanted::default() }), "");
}

#[test]
fn a_package_is_found_by_any_version_and_met_by_the_words_of_one() {
    let mut both = summary("new words", &["new"], "Bob");
    let old = summary("old words", &["old"], "Ann");
    both.words.extend(old.words);
    both.people.extend(old.people);
    let lines = BTreeMap::from([("pad".into(), Line::new(&both))]);
    let one = |word: &str| vec![word.to_owned()];
    let of = |place: usize| Words { said: &both.words[place], people: &both.people[place] };
    for (wanted, by_new, by_old) in [
        (words(&["new"]), true, false),
        (words(&["old"]), false, true),
        (words(&["pad", "words"]), true, true),
        (Wanted { keywords: vec![one("old")], ..Wanted::default() }, false, true),
        (Wanted { people: one("bob"), ..words(&["pad"]) }, true, false),
    ] {
        assert_eq!(find(&lines, &wanted).len(), 1, "{wanted:?}");
        assert_eq!(wanted.is_met_by("pad", Some(of(0))), by_new, "{wanted:?}");
        assert_eq!(wanted.is_met_by("pad", Some(of(1))), by_old, "{wanted:?}");
        assert!(!wanted.is_met_by("pad", None), "{wanted:?}");
    }
    assert!(words(&["pad"]).is_met_by("pad", None), "by its name");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_while_and_after_summaries_are_read_is_found() {
    let home = tempfile::tempdir().unwrap();
    let store = Sled::open(home.path(), SledOptions::default()).unwrap();
    let metadata: Arc<dyn Metadata> = Arc::new(store);
    let (summaries, registry) = (Summaries::default(), Arc::<str>::from("npm"));
    let commit = |name: String| {
        let (metadata, summaries) = (Arc::clone(&metadata), summaries.clone());
        async move {
            let record = summary("a word", &[], "Ann");
            let key = SummaryRecord::key("npm", &name);
            metadata.commit(Batch::default().put_record(&key, &record)).await.unwrap();
            summaries.note("npm", &name, &record);
        }
    };
    for n in 0..50 {
        commit(format!("before-{n}")).await;
    }
    let writing = async {
        for n in 0..50 {
            commit(format!("while-{n}")).await;
        }
    };
    let searching = async {
        for _ in 0..10 {
            let found = summaries.search(&metadata, &registry, words(&["word"])).await.unwrap();
            assert!(found.len() >= 50, "{}", found.len());
        }
    };
    tokio::join!(writing, searching);
    let found = summaries.search(&metadata, &registry, words(&["word"])).await.unwrap();
    assert_eq!(found.len(), 100);
    let packages = vec!["before-1".to_owned(), "nobody".to_owned()];
    let missing = summaries.missing(&metadata, &registry, packages).await.unwrap();
    assert_eq!(missing, ["nobody"]);
    metadata.close().await;
}

/// Every text is a document of it.
struct Sentences;

impl DocumentFormat for Sentences {
    type Parsed = String;

    fn parse(_: &Package, bytes: Bytes, _: Option<Bytes>) -> Result<String, String> {
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    fn claims(_: &String) -> Vec<VersionClaim> {
        Vec::new()
    }

    fn offers(_: &String, _: &Version) -> bool {
        false
    }

    fn promise(_: &String, _: &Version) -> Option<Promise> {
        None
    }

    fn stated<'p>(_: &'p String, _: &Version) -> Option<&'p policies::facts::Stated> {
        None
    }

    fn tags(_: &String) -> Vec<(String, String)> {
        Vec::new()
    }

    fn left_out(_: &String) -> &[LeftOut] {
        &[]
    }

    fn summary(parsed: &String, _: bool) -> SummaryRecord {
        summary(parsed, &[], "Ann")
    }

    fn said(_: &String, _: &Version) -> Result<Option<Said>, PullError> {
        Ok(None)
    }

    fn compare(_: &Said, _: &mut dyn Read, _: u64) -> Opened {
        Verdict::Agrees.into()
    }

    fn retain(_: &String, _: &HashSet<Version>) -> Result<Bytes, PullError> {
        Ok(Bytes::new())
    }

    fn read_from(parsed: &String, _: Original) -> String {
        parsed.clone()
    }

    fn weight(_: &String) -> usize {
        0
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_made_of_the_documents_is_made_by_a_later_search() {
    let home = tempfile::tempdir().unwrap();
    let sled = Sled::open(&home.path().join("metadata"), SledOptions::default()).unwrap();
    // Its documents can not be read at first.
    let failing = Refusing::new(sled);
    let of_documents = Prefix::<DocumentRecord>::of_registry("npm");
    failing.refuse_scans(move |prefix| prefix == of_documents.as_bytes());
    let engine = Arc::new(DiskBlobs::open(home.path(), DiskOptions::default()).unwrap());
    let alarm = Arc::new(|_: &policies::package::Digest, _: &str| {});
    let stages = home.path().join("stage");
    let store = PullStore {
        metadata: Arc::clone(&failing) as Arc<dyn Metadata>,
        blobs: Blobs::open(engine, stages, alarm, BlobsOptions::default()).unwrap(),
        clock: Clock::system(),
        metrics: Metrics::new(),
        summaries: Summaries::default(),
        runtime: tokio::runtime::Handle::current(),
    };
    let text = Bytes::from_static(b"a word");
    let mut stage = store.blobs.stage(&[]).await.unwrap();
    stage.write(text.clone()).await.unwrap();
    let blob = stage.finish().await.unwrap().sha256;
    store.blobs.put(stage, &blob).await.unwrap();
    let now = store.clock.now();
    let record = DocumentRecord {
        blob,
        size: text.len() as u64,
        etag: None,
        last_modified: None,
        media_type: None,
        upstream: None,
        fetched: now,
        checked: now,
        own: false,
        folded: None,
    };
    let key = DocumentRecord::key("npm", "pad", DocumentRecord::NEWEST);
    store.metadata.commit(Batch::default().put_record(&key, &record)).await.unwrap();

    let registry = Arc::<str>::from("npm");
    let search = async || {
        let found = store.summaries.search(&store.metadata, &registry, words(&["word"])).await;
        make_missing::<Sentences>(&store, &registry, Ecosystem::Npm);
        tokio::time::sleep(Duration::from_millis(10)).await;
        found.unwrap()
    };
    for _ in 0..5 {
        assert!(search().await.is_empty());
    }
    failing.refuse_scans(|_| false);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(30);
    while search().await.is_empty() {
        assert!(tokio::time::Instant::now() < deadline, "it is never made");
    }
    store.metadata.close().await;
}
