#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;

#[test]
fn a_platform_has_one_spelling() {
    for (what, one, other) in [
        ("a system", r#"cfg(target_os="windows")"#, r#"cfg(target_os = "windows")"#),
        ("blanks around", "cfg( unix )", "cfg(unix)"),
        ("a list", "cfg(any(unix,windows,))", "cfg(any(unix, windows))"),
        (
            "lists in lists",
            r#"cfg(all(not (unix ) ,any(a= "b") ))"#,
            r#"cfg(all(not(unix), any(a = "b")))"#,
        ),
    ] {
        assert_eq!(platform(one), platform(other), "{what}");
    }
}

#[test]
fn other_platforms_stay_others() {
    for (what, one, other) in [
        ("blanks in quotes", r#"cfg(a = "b c")"#, r#"cfg(a = "bc")"#),
        ("signs in quotes", r#"cfg(a = ",)")"#, r#"cfg(a = ")")"#),
        ("two words", "cfg(a b)", "cfg(ab)"),
        ("another one", "cfg(unix)", "cfg(windows)"),
        ("a name with a blank", "x86 _64", "x86_64"),
    ] {
        assert_ne!(platform(one), platform(other), "{what}");
    }
    assert_eq!(platform("x86_64-pc-windows-gnu"), "x86_64-pc-windows-gnu");
}

#[test]
fn a_platform_may_be_nested_as_deep_as_it_is_long() {
    let deep = format!("cfg({}unix{})", "not( ".repeat(100_000), ")".repeat(100_000));
    assert_eq!(platform(&deep), deep.replace(' ', ""));
}

const MANIFEST: &str = r#"
    [dependencies]
    a = "1"
    [dependencies.plant]
    package = "seed"
    version = ">=1,<2"
    features = ["y", "x"]
    default-features = false
    optional = true
    [dev-dependencies]
    tested = "1"
    [target.'cfg(target_os="linux")'.build_dependencies]
    b = { version = "0.1", package = "b" }
"#;

#[test]
fn a_manifest_and_a_line_say_the_same() {
    let of_manifest = packed(&MANIFEST.parse().unwrap(), |_, _| Ok(())).unwrap();
    let line = r#"[
        {"name":"b","req":"^0.1","target":"cfg(target_os = \"linux\")","kind":"build","package":"b"},
        {"name":"plant","req":">=1, <2","features":["x","y"],"optional":true,
         "default_features":false,"target":null,"kind":"normal","package":"seed"},
        {"name":"a","req":"1","kind":null},
        {"name":"tested","req":"^1","kind":"dev"}
    ]"#;
    let lines: Vec<LineDependency> = serde_json::from_str(line).unwrap();
    let of_line: Vec<Dependency> = lines.into_iter().map(Dependency::from).collect();
    let in_order = |all: &[Dependency]| {
        let mut all: Vec<_> = all.iter().map(Dependency::compared).collect();
        all.sort();
        all
    };
    assert_eq!(in_order(&of_manifest), in_order(&of_line));
    let words = in_words(of_line);
    assert_eq!(words, in_words(of_manifest));
    assert_eq!(
        words,
        ["normal a ^1", "build b ^0.1 on cfg(target_os=\"linux\")", "normal seed >=1, <2 optional"]
    );
}

#[test]
fn what_a_line_says_is_what_was_written_into_it() {
    for dependency in packed(&MANIFEST.parse().unwrap(), |_, _| Ok(())).unwrap() {
        let line = serde_json::to_string(&LineDependency::from(&dependency)).unwrap();
        let again: LineDependency = serde_json::from_str(&line).unwrap();
        assert_eq!(Dependency::from(again), dependency, "{line}");
    }
}

#[test]
fn what_is_refused_is_refused_by_its_name_and_its_table() {
    let no_seed = |name: &str, table: &Table| match table.get("package") {
        Some(_) => Err(format!("no {name}")),
        None => Ok(()),
    };
    assert_eq!(packed(&MANIFEST.parse().unwrap(), no_seed).unwrap_err(), "no plant");
}

proptest! {
    #[test]
    fn a_spelling_is_its_own(text in "cfg\\([ab(),= \"]{0,40}\\)|\\PC{0,40}") {
        let once = platform(&text);
        prop_assert_eq!(platform(&once), once.clone());
    }

    #[test]
    fn no_manifest_panics(text in "\\PC{0,200}") {
        if let Ok(manifest) = text.parse() {
            let _ = packed(&manifest, |_, _| Ok(()));
        }
    }
}
