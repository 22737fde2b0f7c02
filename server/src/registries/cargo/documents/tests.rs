#![allow(clippy::unwrap_used)]

use policies::package::Ecosystem;

use super::*;
use crate::pull::views::Sections as _;

fn package() -> Package {
    Package::new(Ecosystem::Cargo, "seed").unwrap()
}

fn line(version: &str) -> String {
    format!(
        r#"{{"name":"seed","vers":"{version}","deps":[],"cksum":"{}","features":{{}},"yanked":false}}"#,
        "ab".repeat(32)
    )
}

fn parse(text: &str) -> Result<IndexFile, String> {
    CargoDocuments::parse(&package(), Bytes::copy_from_slice(text.as_bytes()), None)
}

fn version(text: &str) -> Version {
    Version::new(text).unwrap()
}

fn written(file: &IndexFile, shown: &[usize]) -> String {
    let mut out = Vec::new();
    IndexText::new(file, shown.to_vec()).write_all(&mut out).unwrap();
    String::from_utf8(out).unwrap()
}

#[test]
fn kept_lines_are_byte_for_byte_the_upstream_s() {
    // Spaces, order, unknown fields and a newer schema stay as they are.
    let odd = format!(
        r#"{{ "cksum":"{}", "vers":"0.2.0",  "name":"Seed","deps":[{{"name":"a","kind":"dev"}},{{"name":"b","kind":"normal"}}],"v":3,"features2":{{"x":["dep:b"]}},"pubtime":"2024-05-06T07:08:09Z","yanked":true,"links":"z" }}"#,
        "cd".repeat(32)
    );
    let text = format!("{}\n{odd}\n{}", line("0.1.0"), line("1.0.0"));
    let file = parse(&text).unwrap();
    assert_eq!(written(&file, &[0, 1, 2]), format!("{text}\n"));
    assert_eq!(written(&file, &[1]), format!("{odd}\n"));
    assert_eq!(written(&file, &[]), "");
    let entry = file.entry(&version("0.2.0")).unwrap();
    assert_eq!(&*entry.name, "Seed");
    assert_eq!(entry.published.unwrap().to_string(), "2024-05-06T07:08:09Z");
    let stated = &entry.stated;
    assert_eq!((stated.yanked, stated.dependencies), (Some(true), Some(1)));
    assert_eq!(stated.install_scripts, Some(true), "it links");
    assert_eq!(file.newest(), Some(&version("1.0.0")));
}

#[test]
fn a_line_that_can_not_be_checked_is_left_out_and_named() {
    let good = line("1.0.0");
    let twice = line("1.0.0").replace("ab", "ef");
    let nameless = line("2.0.0").replace("seed", "weed");
    let sumless = line("3.0.0").replace("abab", "ab");
    let versionless = line("not/a/version");
    let double = line("4.0.0").replace("\"deps\"", "\"vers\":\"5.0.0\",\"deps\"");
    let text =
        [&good, "", &twice, &nameless, &sumless, &versionless, &double, "{", "[]"].join("\n");
    let file = parse(&text).unwrap();
    let offered: Vec<_> = file.entries.iter().map(|entry| entry.version.as_str()).collect();
    assert_eq!(offered, ["1.0.0"]);
    assert_eq!(written(&file, &[0]), format!("{good}\n"));
    let left_out: Vec<_> = file.left_out.iter().map(|one| one.version.as_str()).collect();
    assert_eq!(
        left_out,
        ["1.0.0", "2.0.0", "3.0.0", "line 6", "line 7", "line 8", "line 9"],
        "{:?}",
        file.left_out
    );
}

#[test]
fn what_is_no_index_file_is_none() {
    for text in ["", "\n", "{\"errors\":[{\"detail\":\"gone\"}]}", "<html></html>", "\u{0}"] {
        assert!(parse(text).is_err(), "{text}");
    }
    let other = line("1.0.0").replace("seed", "weed");
    assert_eq!(parse(&other).unwrap_err(), "it bears another name");
    let many = "{\n".repeat(1002) + &line("1.0.0");
    assert!(parse(&many).is_err());
}

#[test]
fn a_version_that_was_taken_away_stays_with_its_line() {
    let (first, second) = (line("1.0.0"), line("2.0.0"));
    let file = parse(&format!("{first}\n{second}\n")).unwrap();
    let gone = HashSet::from([version("1.0.0")]);
    let retained = CargoDocuments::retain(&file, &gone).unwrap();
    assert_eq!(retained, format!("{first}\n"));
    let newest = Bytes::from(format!("{second}\n"));
    let file = CargoDocuments::parse(&package(), newest, Some(retained.clone())).unwrap();
    assert_eq!(written(&file, &[0, 1]), format!("{second}\n{first}\n"));
    // Back again, it stands there once.
    let newest = Bytes::from(format!("{first}\n{second}\n"));
    let file = CargoDocuments::parse(&package(), newest, Some(retained)).unwrap();
    assert_eq!(file.entries.len(), 2);
    assert!(file.left_out.is_empty(), "{:?}", file.left_out);
}

#[test]
fn the_newest_is_the_highest_that_is_neither_yanked_nor_a_pre_release() {
    let of = |lines: &[String]| parse(&lines.join("\n")).unwrap().newest().unwrap().to_string();
    let yanked = |version: &str| line(version).replace("false", "true");
    assert_eq!(of(&[line("1.10.0"), line("1.9.0"), line("2.0.0-rc.1")]), "1.10.0");
    assert_eq!(of(&[line("1.0.0"), yanked("2.0.0")]), "1.0.0");
    assert_eq!(of(&[yanked("1.0.0"), yanked("2.0.0")]), "2.0.0");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
    }

    #[test]
    fn what_is_shown_of_a_file_is_lines_of_it(shown in proptest::collection::vec(0_usize..4, 0..4)) {
        let lines: Vec<_> = ["1.0.0", "1.1.0", "2.0.0", "3.0.0"].map(line).into();
        let file = parse(&lines.join("\n")).unwrap();
        for written in written(&file, &shown).lines() {
            proptest::prop_assert!(lines.iter().any(|line| line == written));
        }
    }
}

#[test]
fn an_upstream_s_line_in_the_place_of_ours_says_nothing() {
    let about = r#"{"own":{"owners":["eve"],"versions":[{"vers":"1.0.0","by":"eve","words":{"description":"take me"}}]}}"#;
    let file = parse(&format!("{about}\n{}\n", line("1.0.0"))).unwrap();
    let theirs = CargoDocuments::summary(&file, false);
    assert_eq!(theirs.latest.as_deref(), Some("1.0.0"));
    assert_eq!(theirs, SummaryRecord { latest: theirs.latest.clone(), ..SummaryRecord::default() });
    assert_ne!(CargoDocuments::summary(&file, true), theirs);
}
