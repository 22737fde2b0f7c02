//! The house's own rules, over its own files.

mod dependencies;
mod documents;
mod sources;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The top of the repository.
fn house() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(house().join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// The files of the repository, from its top: those that git knows or would take; where this is
/// no checkout, all that are no build's.
fn files() -> Vec<String> {
    let house = house();
    let known = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(&house)
        .output();
    let mut files = match known {
        Ok(output) if output.status.success() && !output.stdout.is_empty() => {
            let names = String::from_utf8(output.stdout).unwrap();
            let exists = |name: &&str| !name.is_empty() && house.join(name).is_file();
            names.split('\0').filter(exists).map(str::to_owned).collect()
        }
        _ => walk(&house),
    };
    files.sort();
    assert!(files.iter().any(|file| file == "server/src/gate.rs"), "{files:?}");
    files
}

fn walk(house: &Path) -> Vec<String> {
    let mut files = Vec::new();
    let mut directories = vec![house.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in std::fs::read_dir(directory).unwrap() {
            let entry = entry.unwrap();
            let (path, name) = (entry.path(), entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                if !["target", ".git", "garth-data", "node_modules"]
                    .iter()
                    .any(|left| name == *left)
                {
                    directories.push(path);
                }
            } else {
                let inside = path.strip_prefix(house).unwrap();
                files.push(inside.to_string_lossy().into_owned());
            }
        }
    }
    files
}

/// Rust files, from the top.
fn sources() -> Vec<String> {
    let is_rust = |file: &String| Path::new(file).extension().is_some_and(|end| end == "rs");
    files().into_iter().filter(is_rust).collect()
}

#[test]
fn a_tree_that_is_no_checkout_is_searched_too() {
    let walked = walk(&house());
    for file in files() {
        assert!(walked.contains(&file), "{file} is overlooked where there is no git");
    }
}
