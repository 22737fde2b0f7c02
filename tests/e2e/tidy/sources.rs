//! Shapes of folders, sizes and heads of files, and words that must not stand in them.

use std::collections::{BTreeMap, BTreeSet};

use support::npm::default_registry;

use super::{files, house, read, sources};

#[test]
fn every_registry_format_has_the_same_files() {
    let mut folders: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources() {
        let Some(rest) = file.strip_prefix("server/src/registries/") else { continue };
        if let Some((folder, file)) = rest.split_once('/') {
            folders.entry(folder.to_owned()).or_default().insert(file.to_owned());
        }
    }
    assert!(folders.contains_key("npm"), "{folders:?}");
    let owed = ["documents.rs", "handlers.rs", "mod.rs", "names.rs", "refusal.rs", "upstream.rs"];
    for (folder, files) in &folders {
        let here: BTreeSet<&str> = files.iter().map(String::as_str).collect();
        for file in owed {
            assert!(here.contains(file), "{folder} has no {file}");
        }
        for file in here {
            // A file may have a folder of its own name for its details.
            let stem = file.split('/').next().unwrap_or_default().trim_end_matches(".rs");
            let parent = format!("{stem}.rs");
            let is_optional = matches!(parent.as_str(), "publish.rs" | "closure.rs");
            let known = owed.contains(&parent.as_str()) || is_optional;
            assert!(known, "{folder}/{file} has no place that its siblings have too");
        }
    }
}

#[test]
fn a_file_is_read_in_one_sitting() {
    let lengths: Vec<(String, usize)> = sources()
        .into_iter()
        .map(|file| {
            let length = read(&file).lines().count();
            (file, length)
        })
        .collect();
    for (file, length) in &lengths {
        assert!(*length < 600, "{file} has {length} lines");
    }
    let long: Vec<_> = lengths.iter().filter(|(_, length)| *length > 400).collect();
    assert!(long.len() * 20 < lengths.len(), "more than one in twenty is over 400 lines: {long:?}");
}

#[test]
fn every_module_says_what_it_is() {
    for file in sources() {
        let name = file.rsplit('/').next().unwrap_or_default();
        let is_tests = name == "tests.rs" || name.ends_with("_tests.rs");
        let text = read(&file);
        let says =
            text.lines().next().is_some_and(|line| line.starts_with("//! ") && line.len() > 12);
        assert!(says || is_tests, "{file} does not begin with a //! line");
    }
}

#[test]
fn nothing_is_left_undone() {
    let undone = ["todo", "unimplemented"].map(|word| format!("{word}!("));
    let ignored = format!("#[{}", "ignore");
    for file in sources() {
        let text = read(&file);
        for word in &undone {
            assert!(!text.contains(word.as_str()), "{file} has {word}…)");
        }
        if file != "tests/e2e/live.rs" {
            assert!(!text.contains(&ignored), "{file} has a test that nobody runs");
        }
    }
}

#[test]
fn no_file_knows_the_machine_that_it_was_written_on() {
    let mut places = vec![format!("/{}/", "root")];
    for known in [house().canonicalize().ok(), std::env::home_dir()].into_iter().flatten() {
        places.push(format!("{}/", known.to_string_lossy().trim_end_matches('/')));
    }
    places.retain(|place| place.len() > 1);
    for (file, text) in texts() {
        for place in &places {
            // In a URL the same letters are no path of this machine.
            let is_path = |at: usize| !text[..at].ends_with(|c: char| c.is_alphanumeric());
            let found = text.match_indices(place.as_str()).any(|(at, _)| is_path(at));
            assert!(!found, "{file} has a path of a machine: {place}");
        }
    }
}

/// Their addresses are learned from the package managers that are installed, here as in garth.
#[test]
fn no_public_registry_is_named_in_any_file() {
    let host = |url: &str| {
        let url = url.trim_start_matches("sparse+").trim_start_matches("registry+");
        let url: url::Url = url.parse().unwrap_or_else(|fault| panic!("{url}: {fault}"));
        url.host_str().expect("a registry has a host").to_owned()
    };
    let hosts = [host(&default_registry()), host(tame_index::CRATES_IO_HTTP_INDEX)];
    for (file, text) in texts() {
        for host in &hosts {
            assert!(!text.contains(host.as_str()), "{file} names a public registry: {host}");
        }
    }
}

/// Every file that is text.
fn texts() -> impl Iterator<Item = (String, String)> {
    let house = house();
    files().into_iter().filter_map(move |file| {
        let bytes = std::fs::read(house.join(&file)).unwrap();
        Some((file, String::from_utf8(bytes).ok()?))
    })
}
