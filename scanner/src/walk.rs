//! Finds lockfiles below a path and reads them: the only part that touches the disk.
//!
//! Folders of installed or built things are skipped and counted, symbolic links are not followed, and
//! depth, number and size are bounded. What could not be read becomes a failed [`Scan`], so that it is
//! never silently missing. Names are relative to the path that was asked for; no path of the machine
//! gets into a report.
#![allow(
    clippy::disallowed_methods,
    reason = "scanning is a command of its own, without an executor"
)]

use std::collections::{BTreeMap, HashSet};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use crate::{MAX_LOCKFILE_BYTES, Outcome, Problem, Scan, lockfiles, scan};

/// Their lockfiles describe somebody else's build.
const SKIPPED: &[&str] = &["node_modules", "vendor", "target", ".git"];
const MAX_DEPTH: usize = 64;
const MAX_FOLDERS: usize = 1_000_000;

#[derive(Debug, Default)]
pub struct Walk {
    pub scans: Vec<Scan>,
    /// How many folders of each skipped name.
    pub skipped: BTreeMap<&'static str, usize>,
}

/// Scans each path: a file is read whatever it is called, a folder is searched. `Err` names a path that
/// is not there.
pub fn walk(paths: &[PathBuf]) -> Result<Walk, String> {
    let mut walk = Walk::default();
    let mut labels = HashSet::new();
    for path in paths {
        let found = fs::metadata(path).map_err(|error| format!("{}: {error}", path.display()))?;
        if found.is_dir() {
            let label =
                if paths.len() > 1 { unique(label(path), &mut labels) } else { String::new() };
            walk.folder(path, &label);
        } else {
            let name = file_name(path);
            walk.scans.push(read(path, &unique(name, &mut labels)));
        }
    }
    Ok(walk)
}

impl Walk {
    fn folder(&mut self, root: &Path, label: &str) {
        let mut open = vec![(root.to_owned(), label.to_owned(), 0)];
        let mut folders = 0;
        while let Some((path, name, depth)) = open.pop() {
            folders += 1;
            if depth > MAX_DEPTH || folders > MAX_FOLDERS {
                self.scans.push(unread(&name, "is beyond the depth or number of folders searched"));
                if folders > MAX_FOLDERS {
                    return;
                }
                continue;
            }
            let mut entries =
                match fs::read_dir(&path).and_then(Iterator::collect::<io::Result<Vec<_>>>) {
                    Ok(entries) => entries,
                    Err(error) => {
                        self.scans.push(unread(&name, &format!("cannot be read: {error}")));
                        continue;
                    }
                };
            entries.sort_by_key(fs::DirEntry::file_name);
            let mut inner = Vec::new();
            for entry in entries {
                let file = entry.file_name().to_string_lossy().into_owned();
                let inner_name =
                    if name.is_empty() { file.clone() } else { format!("{name}/{file}") };
                // The type of the entry itself: a link is neither a folder nor a file.
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => match SKIPPED.iter().find(|it| **it == file) {
                        Some(skipped) => *self.skipped.entry(skipped).or_default() += 1,
                        None => inner.push((entry.path(), inner_name, depth + 1)),
                    },
                    Ok(kind) if kind.is_file() && lockfiles::format_of(&file).is_some() => {
                        self.scans.push(read(&entry.path(), &inner_name));
                    }
                    Ok(_) => {}
                    Err(error) => self.scans.push(unread(&inner_name, &error.to_string())),
                }
            }
            open.extend(inner.into_iter().rev());
        }
    }
}

fn read(path: &Path, name: &str) -> Scan {
    let mut bytes = Vec::new();
    let file = fs::File::open(path);
    // One byte more than is allowed shows that there is more, whatever the file's size claims.
    match file.and_then(|file| file.take(MAX_LOCKFILE_BYTES + 1).read_to_end(&mut bytes)) {
        Ok(_) => scan(name, &bytes),
        Err(error) => unread(name, &format!("cannot be read: {error}")),
    }
}

fn unread(name: &str, what: &str) -> Scan {
    Scan {
        lockfile: name.to_owned(),
        format: None,
        outcome: Outcome::Failed,
        packages: Vec::new(),
        edges: Vec::new(),
        problems: vec![Problem { place: String::new(), what: what.to_owned() }],
    }
}

/// What stands for a path in names: as it was given where it is relative, else its last component.
fn label(path: &Path) -> String {
    let relative = path.is_relative() && !path.starts_with("..");
    let label = if relative { path.to_string_lossy().into_owned() } else { file_name(path) };
    let label = label.trim_start_matches("./").trim_end_matches('/');
    if label == "." { String::new() } else { label.to_owned() }
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// Two paths may have one last component; their projects must not merge.
fn unique(label: String, taken: &mut HashSet<String>) -> String {
    let (folder, file) = match label.rsplit_once('/') {
        Some((folder, file)) => (format!("{folder}/"), file.to_owned()),
        None => (String::new(), label.clone()),
    };
    let mut candidate = label;
    for number in 2.. {
        if taken.insert(candidate.clone()) {
            break;
        }
        candidate = format!("{folder}{number}/{file}");
    }
    candidate
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const LOCK: &str = r#"{"name":"app","lockfileVersion":3,"packages":{"":{"name":"app"}}}"#;

    fn put(root: &Path, path: &str) {
        let path = root.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, LOCK).unwrap();
    }

    fn names(walk: &Walk) -> Vec<&str> {
        walk.scans.iter().map(|scan| scan.lockfile.as_str()).collect()
    }

    #[test]
    fn lockfiles_are_found_in_order_and_installed_ones_are_skipped_and_counted() {
        let folder = tempfile::tempdir().unwrap();
        for path in [
            "package-lock.json",
            "web/package-lock.json",
            "node_modules/a/package-lock.json",
            "web/node_modules/a/package-lock.json",
            "target/package/package-lock.json",
            "api/vendor/x/package-lock.json",
            "api/README.md",
        ] {
            put(folder.path(), path);
        }
        let walk = walk(&[folder.path().to_owned()]).unwrap();
        assert_eq!(names(&walk), ["package-lock.json", "web/package-lock.json"]);
        let skipped: Vec<_> = walk.skipped.into_iter().collect();
        assert_eq!(skipped, [("node_modules", 2), ("target", 1), ("vendor", 1)]);
    }

    #[test]
    fn links_are_not_followed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        put(outside.path(), "package-lock.json");
        std::os::unix::fs::symlink(outside.path(), folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink(folder.path(), folder.path().join("loop")).unwrap();
        let walk = walk(&[folder.path().to_owned()]).unwrap();
        assert_eq!(names(&walk), Vec::<&str>::new());
    }

    #[test]
    fn names_hold_no_path_of_the_machine_and_stay_apart() {
        let (a, b) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        put(a.path(), "app/package-lock.json");
        put(b.path(), "app/package-lock.json");
        let walk = walk(&[a.path().join("app"), b.path().join("app")]).unwrap();
        assert_eq!(names(&walk), ["app/package-lock.json", "2/app/package-lock.json"]);
    }

    #[test]
    fn a_file_larger_than_the_bound_has_failed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("Cargo.lock");
        fs::File::create(&path).unwrap().set_len(MAX_LOCKFILE_BYTES + 1).unwrap();
        let walk = walk(&[path]).unwrap();
        assert_eq!(walk.scans[0].outcome, Outcome::Failed);
        assert_eq!(walk.scans[0].problems[0].what, "is larger than 64 MiB");
    }

    #[test]
    fn a_path_that_is_not_there_is_an_error() {
        assert!(walk(&[PathBuf::from("/nonexistent/garth")]).is_err());
    }
}
