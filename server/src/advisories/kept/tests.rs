#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use super::super::tests::{Garden, clock, import, known as known_of, npm, zipped};
use super::*;

/// With a garden in which one is malicious and one was.
async fn garden() -> Garden {
    let garden = Garden::new();
    let (advisories, _) = garden.open().await;
    let taken_back = npm("B-1", 1, &["1.1.0"]);
    let bundle = zipped(&[npm("MAL-1", 1, &["1.0.0"]), taken_back]);
    import(&advisories, "osv", true, bundle).await.unwrap();
    garden
}

async fn read_now(garden: &Garden) -> Result<Index, Unusable> {
    read(garden.data(), &garden.state().await, Some(clock().now()))
}

/// Takes the records away, so that nothing but the file is left to say it.
async fn remove_records(garden: &Garden) {
    let entries = garden.metadata.scan(b"advisory/", None, 1000).await.unwrap();
    let removing = |batch: crate::metadata::Batch, key| batch.remove(key);
    let keys = entries.into_iter().map(|entry| entry.key);
    let batch = keys.fold(crate::metadata::Batch::default(), removing);
    garden.metadata.commit(batch).await.unwrap();
}

#[tokio::test]
async fn a_start_has_the_index_from_the_file() {
    let garden = garden().await;
    let (_, before) = garden.open().await;
    remove_records(&garden).await;
    let (advisories, rules) = garden.open().await;
    assert_eq!(known_of(&rules, "1.0.0"), ["MAL-1"]);
    assert_eq!(known_of(&rules, "1.2.0"), Vec::<String>::new());
    assert_eq!(rules.current().revision(), before.current().revision());
    assert_eq!(rules.current().advisories(), before.current().advisories());
    let status = advisories.status().await.unwrap();
    assert_eq!((status.advisories, status.packages), (2, 1));
}

/// Wherever a bit flips, wherever it ends, and whatever stands there instead: what is malicious stays so.
#[tokio::test]
async fn a_damaged_file_is_not_believed_and_is_made_anew() {
    let garden = garden().await;
    let (path, whole) = (path_in(garden.data()), std::fs::read(path_in(garden.data())).unwrap());
    for place in 0..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        std::fs::write(&path, &flipped).unwrap();
        assert!(read_now(&garden).await.is_err(), "a bit of byte {place}");
        std::fs::write(&path, &whole[..place]).unwrap();
        assert!(read_now(&garden).await.is_err(), "cut off at {place}");
    }
    let huge = String::from_utf8_lossy(&whole).replace("\"text\":", "\"text\":9999999999999");
    let many =
        String::from_utf8_lossy(&whole).replace("\"packages\":", "\"packages\":9999999999999");
    let newer = format!("garth advisories {}\nwhatever", FORMAT + 1);
    for (name, bytes) in [
        ("more behind it", [&whole[..], b"x"].concat()),
        ("a length beyond the file", huge.into_bytes()),
        ("more places than there can be", many.into_bytes()),
        ("a line without end", vec![b'x'; 1 << 20]),
        ("empty", Vec::new()),
        ("of a newer garth", newer.into_bytes()),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert!(read_now(&garden).await.is_err(), "{name}");
        let (_, rules) = garden.open().await;
        assert_eq!(known_of(&rules, "1.0.0"), ["MAL-1"], "{name}");
        assert_eq!(std::fs::read(&path).unwrap(), whole, "{name}: it is made anew");
    }
    std::fs::remove_file(&path).unwrap();
    std::fs::create_dir(&path).unwrap();
    let (_, rules) = garden.open().await;
    assert_eq!(known_of(&rules, "1.0.0"), ["MAL-1"], "something else has its name");
}

/// As a restored backup has it, or a crash between the import's commit and the file.
#[tokio::test]
async fn a_file_of_another_revision_or_another_day_is_not_taken() {
    let garden = garden().await;
    let old = std::fs::read(path_in(garden.data())).unwrap();
    let (advisories, _) = garden.open().await;
    let later = r#"{ "id": "C-1", "modified": "2026-01-01T00:00:00Z", "withdrawn": "2026-07-01T00:00:00Z",
        "affected": [{ "package": { "ecosystem": "npm", "name": "left-pad" }, "versions": ["2.0.0"] }] }"#;
    let more = zipped(&[npm("MAL-2", 1, &["1.3.0"]), later.to_owned()]);
    import(&advisories, "more", false, more).await.unwrap();
    let new = std::fs::read(path_in(garden.data())).unwrap();
    std::fs::write(path_in(garden.data()), old).unwrap();
    assert!(matches!(read_now(&garden).await, Err(Unusable::Outdated(_))));
    let (_, rules) = garden.open().await;
    assert_eq!(known_of(&rules, "1.3.0"), ["MAL-2"]);
    assert_eq!(std::fs::read(path_in(garden.data())).unwrap(), new);

    let state = garden.state().await;
    let on = |day: &str| read(garden.data(), &state, Some(day.parse().unwrap()));
    assert!(on("2026-06-30T00:00:00Z").is_ok());
    assert!(matches!(on("2026-07-01T00:00:00Z"), Err(Unusable::Outdated(_))));
}

#[tokio::test]
async fn where_it_can_not_be_written_the_records_say_it() {
    let garden = garden().await;
    remove(garden.data()).unwrap();
    // Root writes into what nobody may write into, but not into a directory with the file's name.
    std::fs::create_dir(garden.data().join(format!(".{FILE}.new"))).unwrap();
    let (_, rules) = garden.open().await;
    assert_eq!(known_of(&rules, "1.0.0"), ["MAL-1"]);
    assert!(matches!(read_now(&garden).await, Err(Unusable::Missing)));
}

#[tokio::test]
async fn what_a_crash_left_of_writing_it_is_overwritten() {
    let garden = garden().await;
    remove(garden.data()).unwrap();
    let stage = garden.data().join(format!(".{FILE}.new"));
    std::fs::write(&stage, vec![b'x'; 1 << 16]).unwrap();
    let (_, rules) = garden.open().await;
    assert_eq!(known_of(&rules, "1.0.0"), ["MAL-1"]);
    assert_eq!(read_now(&garden).await.unwrap(), *rules.current().advisories());
    assert!(!stage.exists());
}

#[tokio::test]
async fn a_check_holds_it_against_the_records() {
    use super::super::check_kept;
    let garden = garden().await;
    let metadata = garden.metadata.as_ref();
    let checked = || check_kept(metadata, garden.data());
    assert!(matches!(checked().await, Ok(Some(Ok(())))));
    let mut other = policies::advisories::Builder::default();
    let advisory = policies::advisories::parse(npm("B-1", 1, &["1.1.0"]).as_bytes()).unwrap();
    other.add(&advisory.advisory, true);
    let state = garden.state().await;
    write(garden.data(), &other.finish(&state.revision, &known(&state))).unwrap();
    let differs = checked().await.unwrap().unwrap().unwrap_err().to_string();
    assert_eq!(differs, "it is not what the records say");
    let path = path_in(garden.data());
    let mut bytes = std::fs::read(&path).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    std::fs::write(&path, bytes).unwrap();
    assert!(matches!(checked().await, Ok(Some(Err(Unusable::Damaged(_))))));
    remove(garden.data()).unwrap();
    assert!(matches!(checked().await, Ok(None)));
}
