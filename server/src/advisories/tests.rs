#![allow(clippy::unwrap_used)]

use std::io::{Cursor, Write as _};
use std::path::Path;

use policies::package::{Package, Version};
use tempfile::TempDir;
use zip::write::SimpleFileOptions;

use super::*;
use crate::blobs::BlobsOptions;
use crate::blobs::disk::{DiskBlobs, DiskOptions};
use crate::facts::{About, Remembered, Said, gather_facts};
use crate::metadata::records::{self, AdvisoriesRecord, AdvisoryRecord, Prefix};
use crate::metadata::sled::{Sled, SledOptions};
use crate::rules::RulesConfig;

pub(super) struct Garden {
    home: TempDir,
    pub(super) metadata: Arc<dyn Metadata>,
    blobs: Blobs,
}

const WEEK: Duration = Duration::from_hours(7 * 24);

pub(super) fn clock() -> Clock {
    Clock::from_fn(|| "2026-06-01T00:00:00Z".parse().unwrap())
}

impl Garden {
    pub(super) fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let metadata = Sled::open(&home.path().join("store"), SledOptions::default()).unwrap();
        let blobs = blobs_in(home.path());
        Self { home, metadata: Arc::new(metadata), blobs }
    }

    pub(super) async fn open(&self) -> (Advisories, Rules) {
        let rules =
            Rules::open(RulesConfig::default(), self.metadata.clone(), clock()).await.unwrap();
        let advisories = Advisories::open(
            self.metadata.clone(),
            self.blobs.clone(),
            rules.clone(),
            clock(),
            self.data().to_owned(),
            WEEK,
        );
        (advisories.await, rules)
    }

    pub(super) fn data(&self) -> &Path {
        self.home.path()
    }

    /// How many records of advisories lie in the store, in force or not.
    async fn stored(&self) -> usize {
        let all = Prefix::<AdvisoryRecord>::all();
        records::scan(self.metadata.as_ref(), &all, None, 100_000).await.unwrap().len()
    }

    pub(super) async fn state(&self) -> AdvisoriesRecord {
        self.state_if_any().await.unwrap()
    }

    async fn state_if_any(&self) -> Option<AdvisoriesRecord> {
        records::read(self.metadata.as_ref(), &AdvisoriesRecord::key()).await.unwrap()
    }

    async fn until_stored(&self, count: usize) {
        for _ in 0..200 {
            if self.stored().await == count {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{} records lie there instead of {count}", self.stored().await);
    }
}

fn blobs_in(home: &Path) -> Blobs {
    let engine = DiskBlobs::open(home, DiskOptions::default()).unwrap();
    let alarm = Arc::new(|_: &policies::package::Digest, _: &str| {});
    Blobs::open(Arc::new(engine), home.join("stage"), alarm, BlobsOptions::default()).unwrap()
}

/// For tests of what stands above.
pub async fn opened(home: &Path, metadata: Arc<dyn Metadata>, rules: Rules) -> Advisories {
    let blobs = blobs_in(home);
    Advisories::open(metadata, blobs, rules, clock(), home.to_owned(), WEEK).await
}

fn record(id: &str, modified: &str, ecosystem: &str, name: &str, versions: &[&str]) -> String {
    serde_json::json!({
        "id": id, "modified": modified, "summary": "x",
        "affected": [{ "package": { "ecosystem": ecosystem, "name": name }, "versions": versions }],
    })
    .to_string()
}

pub(super) fn npm(id: &str, day: u8, versions: &[&str]) -> String {
    record(id, &format!("2026-01-{day:02}T00:00:00Z"), "npm", "left-pad", versions)
}

pub(super) fn zipped(records: &[String]) -> Vec<u8> {
    let mut zip = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (number, text) in records.iter().enumerate() {
        zip.start_file(format!("{number}.json"), SimpleFileOptions::default()).unwrap();
        zip.write_all(text.as_bytes()).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

pub(super) async fn import(
    advisories: &Advisories,
    source: &str,
    complete: bool,
    bytes: Vec<u8>,
) -> Result<Imported, ImportError> {
    let mut stage = advisories.stage().await.unwrap();
    stage.write(bytes.into()).await.unwrap();
    advisories.import(stage, ImportOptions { source: source.to_owned(), complete }).await
}

/// The advisories that speak of this version of left-pad.
pub(super) fn known(rules: &Rules, version: &str) -> Vec<String> {
    let set = rules.current();
    let package: Package = "npm:left-pad".parse().unwrap();
    let of_package = set.advisories().of(&package);
    let version = Version::new(version).unwrap();
    let about = About { advisories: of_package.map(Arc::new), similar_to: None };
    let said = Said::of(&about, &version);
    let remembered = Remembered { registry: Some("npm"), record: None, stated: None };
    let found = gather_facts(clock().now(), &remembered, &said).advisories.unwrap_or_default();
    let mut ids: Vec<String> = found.iter().map(|known| known.id.to_string()).collect();
    ids.sort();
    ids
}

#[tokio::test]
async fn what_was_imported_is_in_force_at_once_and_after_a_start() {
    let garden = Garden::new();
    let (advisories, rules) = garden.open().await;
    assert_eq!(rules.current().advisories().of(&"npm:left-pad".parse().unwrap()).map(|_| ()), None);
    let before = rules.current().revision().clone();
    let other = record("PY-1", "2026-01-01T00:00:00Z", "PyPI", "left-pad", &["1.0.0"]);
    let bundle = zipped(&[npm("A-1", 1, &["1.0.0"]), npm("MAL-1", 1, &["1.1.0"]), other]);
    let imported = import(&advisories, "osv", true, bundle.clone()).await.unwrap();
    assert_eq!(
        (imported.read, imported.written, imported.ignored, imported.malicious),
        (3, 2, 1, 1)
    );
    let revision = rules.current().revision().clone();
    assert_ne!(revision, before);
    assert_eq!(known(&rules, "1.0.0"), ["A-1"]);

    let again = import(&advisories, "osv", true, bundle).await.unwrap();
    assert_eq!((again.written, again.unchanged, again.removed), (0, 2, 0));
    assert_eq!(*rules.current().revision(), revision, "nothing changed, so no view has to");

    let status = advisories.status().await.unwrap();
    assert_eq!((status.advisories, status.packages), (2, 1));
    assert_eq!(status.sources["osv"].advisories, 2);
    let (found, sources) = advisories.find("A-1").await.unwrap().unwrap();
    assert_eq!((found.id.as_str(), sources), ("A-1", vec!["osv".to_owned()]));
    assert!(advisories.find("A-2").await.unwrap().is_none());

    let (_, rules) = garden.open().await;
    assert_eq!(
        (known(&rules, "1.0.0"), known(&rules, "1.1.0")),
        (vec!["A-1".to_owned()], vec!["MAL-1".to_owned()])
    );
    assert_eq!(*rules.current().revision(), revision);
}

#[tokio::test]
async fn a_later_import_goes_on_from_the_one_before() {
    let garden = Garden::new();
    let (advisories, rules) = garden.open().await;
    let first =
        zipped(&[npm("A-1", 1, &["1.0.0"]), npm("A-2", 5, &["1.0.0"]), npm("A-3", 1, &["1.0.0"])]);
    import(&advisories, "osv", false, first).await.unwrap();

    // One newer, one older than what is held, and one that is not in it.
    let second = || zipped(&[npm("A-1", 2, &["2.0.0"]), npm("A-2", 4, &["2.0.0"])]);
    let imported = import(&advisories, "osv", false, second()).await.unwrap();
    assert_eq!((imported.written, imported.older, imported.removed), (1, 1, 0));
    assert_eq!(known(&rules, "1.0.0"), ["A-2", "A-3"]);
    assert_eq!(known(&rules, "2.0.0"), ["A-1"]);
    garden.until_stored(3).await;

    let imported = import(&advisories, "osv", true, second()).await.unwrap();
    assert_eq!(imported.removed, 1, "the source has it no more");
    assert_eq!(known(&rules, "1.0.0"), ["A-2"]);
    garden.until_stored(2).await;

    // It speaks of another ecosystem now.
    let moved = record("A-2", "2026-02-01T00:00:00Z", "PyPI", "left-pad", &["1.0.0"]);
    import(&advisories, "osv", false, moved.into_bytes()).await.unwrap();
    assert_eq!(known(&rules, "1.0.0"), Vec::<String>::new());
    garden.until_stored(1).await;
    let (_, rules) = garden.open().await;
    assert_eq!(known(&rules, "2.0.0"), ["A-1"]);
}

/// A text that was read before is not read again, also where reading it would fail now.
#[tokio::test]
async fn what_was_read_before_is_known_by_its_text() {
    let garden = Garden::new();
    let (advisories, rules) = garden.open().await;
    let second = record("A-2", "2026-01-01T00:00:00Z", "crates.io", "left-pad", &["1.0.0"]);
    let texts = [npm("A-1", 1, &["1.0.0"]), second];
    // Alone it makes its ecosystem not known.
    import(&advisories, "osv", false, texts[1].clone().into_bytes()).await.unwrap();
    assert_eq!(rules.current().advisories().ecosystems(), []);
    let imported = import(&advisories, "osv", true, zipped(&texts)).await.unwrap();
    assert_eq!((imported.written, imported.unchanged, imported.removed), (1, 1, 0));
    assert_eq!(rules.current().advisories().ecosystems(), [Ecosystem::Npm, Ecosystem::Cargo]);

    let held = import::Held::read(garden.metadata.as_ref(), &garden.state().await, "osv").await;
    let held = held.unwrap().texts();
    let (mut found, mut read) = (0, 0);
    let known = |text| held.contains(text);
    bundle::read(Cursor::new(zipped(&texts)), &known, &mut |one| {
        found += 1;
        read += u32::from(matches!(one, bundle::Found::Read(..)));
        Ok(())
    })
    .unwrap();
    assert_eq!((found, read), (2, 0));

    // The same in other words is no change, and is known by those from then on.
    let revision = rules.current().revision().clone();
    let spaced = format!(" {}", texts[0]);
    let again = || zipped(&[spaced.clone(), texts[1].clone()]);
    let imported = import(&advisories, "osv", true, again()).await.unwrap();
    assert_eq!((imported.written, imported.unchanged, imported.removed), (0, 2, 0));
    assert_eq!(*rules.current().revision(), revision);
    let held = import::Held::read(garden.metadata.as_ref(), &garden.state().await, "osv").await;
    let held = held.unwrap().texts();
    let known = |text| held.contains(text);
    bundle::read(Cursor::new(again()), &known, &mut |one| {
        assert!(matches!(one, bundle::Found::Known(_)));
        Ok(())
    })
    .unwrap();
    assert_eq!(self::known(&rules, "1.0.0"), ["A-1"]);
    garden.until_stored(2).await;
}

#[tokio::test]
async fn of_two_sources_the_later_record_counts_and_each_goes_on_from_its_own() {
    let garden = Garden::new();
    let (advisories, rules) = garden.open().await;
    import(&advisories, "one", true, zipped(&[npm("A-1", 1, &["1.0.0"])])).await.unwrap();
    import(&advisories, "two", true, zipped(&[npm("A-1", 2, &["2.0.0"])])).await.unwrap();
    assert_eq!((known(&rules, "1.0.0").len(), known(&rules, "2.0.0").len()), (0, 1));
    let (_, sources) = advisories.find("A-1").await.unwrap().unwrap();
    assert_eq!(sources, ["one", "two"]);
    import(&advisories, "two", true, zipped(&[npm("B-1", 1, &["3.0.0"])])).await.unwrap();
    assert_eq!((known(&rules, "1.0.0").len(), known(&rules, "2.0.0").len()), (1, 0));
}

#[tokio::test]
async fn a_broken_record_changes_nothing_and_is_named() {
    let garden = Garden::new();
    let (advisories, rules) = garden.open().await;
    import(&advisories, "osv", true, zipped(&[npm("A-1", 1, &["1.0.0"])])).await.unwrap();
    let revision = rules.current().revision().clone();
    let mut many: Vec<String> = (0..2000).map(|n| npm(&format!("B-{n}"), 1, &["1.0.0"])).collect();
    many.push("{ \"id\": ".to_owned());
    let fault = import(&advisories, "osv", true, zipped(&many)).await.unwrap_err();
    assert!(matches!(fault, ImportError::Broken(_)), "{fault:?}");
    assert!(fault.to_string().contains("2000.json: "), "{fault}");
    assert_eq!(known(&rules, "1.0.0"), ["A-1"]);
    assert_eq!(*rules.current().revision(), revision);
    garden.until_stored(1).await;
    for _ in 0..100 {
        if garden.state().await.unfinished.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(garden.state().await.unfinished, Vec::<u64>::new());
    import(&advisories, "osv", false, zipped(&[npm("B-1", 1, &["1.0.0"])])).await.unwrap();
    assert_eq!(known(&rules, "1.0.0"), ["A-1", "B-1"]);
}

/// As a crash leaves it: records are written, and the commit that makes them count is not.
#[tokio::test]
async fn what_a_crash_left_of_an_import_never_counts() {
    let garden = Garden::new();
    let (advisories, _) = garden.open().await;
    import(&advisories, "osv", true, zipped(&[npm("A-1", 1, &["1.0.0"])])).await.unwrap();
    drop(advisories);
    let mut state = garden.state().await;
    state.begun += 1;
    state.unfinished.push(state.begun);
    let advisory =
        policies::advisories::parse(npm("A-1", 9, &["9.0.0"]).as_bytes()).unwrap().advisory;
    let place = records::AdvisoryPlace {
        id: "A-1".to_owned(),
        source: "osv".to_owned(),
        generation: state.begun,
        part: 0,
    };
    let left = AdvisoryRecord { parts: 1, text: None, advisory: Some(advisory) };
    let batch = crate::metadata::Batch::default()
        .put_record(&AdvisoriesRecord::key(), &state)
        .put_record(&AdvisoryRecord::key(&place), &left);
    garden.metadata.commit(batch).await.unwrap();

    let (advisories, rules) = garden.open().await;
    assert_eq!((known(&rules, "1.0.0").len(), known(&rules, "9.0.0").len()), (1, 0));
    garden.until_stored(1).await;
    import(&advisories, "osv", false, zipped(&[npm("B-1", 1, &["1.0.0"])])).await.unwrap();
    assert_eq!(known(&rules, "1.0.0"), ["A-1", "B-1"], "and no later import makes it count");
    assert_eq!(known(&rules, "9.0.0"), Vec::<String>::new());
}

#[tokio::test]
async fn a_large_advisory_is_stored_in_parts_and_read_as_one() {
    let garden = Garden::new();
    let (advisories, rules) = garden.open().await;
    let versions: Vec<String> = (0..10_000).map(|n| format!("1.0.{n}")).collect();
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    import(&advisories, "osv", true, npm("A-1", 1, &versions).into_bytes()).await.unwrap();
    assert!(garden.stored().await > 5);
    assert_eq!(
        (known(&rules, "1.0.0"), known(&rules, "1.0.9999")),
        (vec!["A-1".to_owned()], vec!["A-1".to_owned()])
    );
    assert_eq!(advisories.status().await.unwrap().advisories, 1);
    let (whole, _) = advisories.find("A-1").await.unwrap().unwrap();
    assert_eq!(whole.affected.iter().map(|one| one.versions.len()).sum::<usize>(), 10_000);
    // And shorter again.
    import(&advisories, "osv", true, npm("A-1", 2, &["1.0.0"]).into_bytes()).await.unwrap();
    garden.until_stored(1).await;
    assert_eq!(known(&rules, "1.0.1"), Vec::<String>::new());
}

/// The same id twice in one import, the shorter one behind the longer.
#[tokio::test]
async fn of_one_id_in_one_import_the_later_record_counts() {
    let garden = Garden::new();
    let (advisories, rules) = garden.open().await;
    let versions: Vec<String> = (0..5000).map(|n| format!("1.0.{n}")).collect();
    let versions: Vec<&str> = versions.iter().map(String::as_str).collect();
    let bundle =
        zipped(&[npm("A-1", 1, &versions), npm("A-1", 2, &["2.0.0"]), npm("A-1", 1, &["3.0.0"])]);
    let imported = import(&advisories, "osv", true, bundle).await.unwrap();
    assert_eq!((imported.written, imported.older), (1, 1));
    assert_eq!(known(&rules, "2.0.0"), ["A-1"]);
    assert_eq!(known(&rules, "1.0.1"), Vec::<String>::new());
    assert_eq!(garden.stored().await, 1);
}

#[tokio::test]
async fn a_damaged_record_denies_everything_and_says_so() {
    let garden = Garden::new();
    let (advisories, _) = garden.open().await;
    import(&advisories, "osv", true, zipped(&[npm("A-1", 1, &["1.0.0"])])).await.unwrap();
    let entry = garden.metadata.scan(b"advisory/", None, 1).await.unwrap().remove(0);
    let (key, value) = (entry.key, entry.value);
    let batch = crate::metadata::Batch::default().put(key.clone(), &b"\x01{"[..]);
    garden.metadata.commit(batch).await.unwrap();
    // Kept beside is what they said before.
    let (_, rules) = garden.open().await;
    assert_eq!(known(&rules, "1.0.0"), ["A-1"]);
    kept::remove(garden.data()).unwrap();
    let (advisories, rules) = garden.open().await;
    let set = rules.current();
    let reason = set.unavailable_reason().map(ToString::to_string).unwrap_or_default();
    assert!(reason.contains("advisories cannot be read"), "{reason}");
    // Until it can be read again.
    garden.metadata.commit(crate::metadata::Batch::default().put(key, value)).await.unwrap();
    advisories.look().await;
    assert_eq!(known(&rules, "1.0.0"), ["A-1"]);
    assert!(tokio::fs::try_exists(kept::path_in(garden.data())).await.unwrap());
}

/// To look for it goes through every record there is.
#[tokio::test]
async fn what_counts_no_more_is_looked_for_once() {
    let garden = Garden::new();
    let (advisories, _) = garden.open().await;
    assert!(garden.state_if_any().await.is_none());
    for day in [1, 2] {
        import(&advisories, "osv", true, zipped(&[npm("A-1", day, &["1.0.0"])])).await.unwrap();
        for _ in 0..100 {
            if garden.state().await.is_clean() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!((garden.state().await.is_clean(), garden.stored().await), (true, 1));
    }
    // One that can not be read is not met any more.
    let broken = crate::metadata::Batch::default().put(
        AdvisoryRecord::<Advisory>::key(&records::AdvisoryPlace {
            id: "B-1".to_owned(),
            source: "osv".to_owned(),
            generation: 1,
            part: 0,
        })
        .to_bytes(),
        &b"\x01{"[..],
    );
    garden.metadata.commit(broken).await.unwrap();
    assert_eq!(
        cleaning::clean(garden.metadata.as_ref()).await.map_err(|fault| fault.to_string()),
        Ok(())
    );
}

#[tokio::test]
async fn a_source_has_a_plain_name() {
    let garden = Garden::new();
    let (advisories, _) = garden.open().await;
    for source in ["", "a/b", "a b", "ä", &"a".repeat(65)] {
        let refused = import(&advisories, source, false, npm("A-1", 1, &[]).into_bytes()).await;
        assert!(matches!(refused, Err(ImportError::BadSource(_))), "{source:?}");
    }
}
