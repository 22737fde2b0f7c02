//! `garth scan`: finds the lockfiles of a build and says what is in it.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use scanner::inventory::{self, Inventory};
use scanner::walk::{self, Walk};
use scanner::{Outcome, report};

use super::Exit;
use crate::clock::Clock;

/// List what a build is made of, from its lockfiles
///
/// Reads Cargo.lock, package-lock.json and npm-shrinkwrap.json. A folder is searched; installed and built
/// things in it (node_modules, vendor, target, .git) are not. No server and no network is needed.
///
/// Exit codes: 0 every lockfile was read completely; 2 nothing could be read from at least one of them, or
/// none was found; 3 at least one was read in part. The report is written in each case where there is one.
#[allow(clippy::doc_markdown, reason = "shown as it stands in the help text")]
#[derive(Args, Debug)]
pub struct Scan {
    /// Folders to search, or lockfiles
    #[arg(value_name = "PATH", default_value = ".")]
    paths: Vec<PathBuf>,
    /// How the report is written
    #[arg(long, value_enum, default_value = "text")]
    format: Report,
    /// Write the report to a file instead of stdout
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Report {
    /// A line for each package, then a line for each lockfile
    Text,
    /// A software bill of materials: CycloneDX 1.5, JSON
    Cyclonedx,
}

impl Scan {
    pub(super) fn run(self, clock: &Clock) -> Exit {
        match self.scan(clock) {
            Ok(Outcome::Complete) => Exit::Done,
            Ok(Outcome::Partial) => Exit::Partial,
            Ok(Outcome::Failed) => Exit::Failed,
            Err(why) => {
                eprintln!("garth scan: {why}");
                Exit::Failed
            }
        }
    }

    fn scan(&self, clock: &Clock) -> Result<Outcome, String> {
        let Walk { scans, skipped } = walk::walk(&self.paths)?;
        if scans.is_empty() {
            let folders: Vec<String> =
                skipped.iter().map(|(name, count)| format!("{count} named {name}")).collect();
            let skipped = if folders.is_empty() { "none".to_owned() } else { folders.join(", ") };
            return Err(format!("no lockfile was found (folders skipped: {skipped})"));
        }
        let inventory = inventory::merge(scans);
        let report = match self.format {
            Report::Text => {
                let mut text = String::new();
                report::text::write(&mut text, &inventory, &skipped)
                    .map_err(|error| error.to_string())?;
                text
            }
            Report::Cyclonedx => {
                say_problems(&inventory);
                let now = clock.now().to_string();
                report::cyclonedx::document(&inventory, Some(&now))? + "\n"
            }
        };
        match &self.output {
            Some(path) => write_file(path, &report)
                .map_err(|error| format!("cannot write {}: {error}", path.display()))?,
            None => print(&report).map_err(|error| format!("cannot write to stdout: {error}"))?,
        }
        Ok(inventory.outcome())
    }
}

/// In the text report they are in their place; a document for machines has them as properties only.
fn say_problems(inventory: &Inventory) {
    let mut said = String::new();
    // Cannot fail: the target is a String.
    let _ = report::text::write_problems(&mut said, inventory);
    eprint!("{said}");
}

/// A reader that stops early (`garth scan | head`) has what it wanted.
fn print(report: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(report.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other,
    }
}

#[allow(clippy::disallowed_methods, reason = "a command without an executor")]
fn write_file(path: &Path, report: &str) -> io::Result<()> {
    fs::write(path, report)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::disallowed_methods, reason = "a test")]

    use super::*;

    const GOOD: &str = r#"{"lockfileVersion":3,"packages":{"":{"name":"app"}}}"#;
    const PARTLY_GOOD: &str = r#"{"lockfileVersion":3,"packages":{"":{},"node_modules/x":{}}}"#;

    fn run(lockfile: Option<&str>, format: Report) -> (Exit, Option<String>) {
        let folder = tempfile::tempdir().unwrap();
        if let Some(lockfile) = lockfile {
            fs::write(folder.path().join("package-lock.json"), lockfile).unwrap();
        }
        let output = folder.path().join("report");
        let paths = vec![folder.path().to_owned()];
        let scan = Scan { paths, format, output: Some(output.clone()) };
        let exit = scan.run(&Clock::from_fn(|| "2026-01-02T03:04:05Z".parse().unwrap()));
        (exit, fs::read_to_string(output).ok())
    }

    #[test]
    fn each_outcome_has_its_exit_and_a_report_where_there_is_one() {
        for (what, lockfile, exit, last_line) in [
            ("complete", Some(GOOD), Exit::Done, Some("1 package in 1 lockfile")),
            ("partial", Some(PARTLY_GOOD), Exit::Partial, Some("1 package in 1 lockfile")),
            ("failed", Some("{"), Exit::Failed, Some("0 packages in 1 lockfile")),
            ("no lockfile", None, Exit::Failed, None),
        ] {
            let (ended, report) = run(lockfile, Report::Text);
            assert_eq!(ended, exit, "{what}");
            assert_eq!(report.as_deref().and_then(|it| it.lines().last()), last_line, "{what}");
        }
    }

    #[test]
    fn a_bill_of_materials_is_dated_by_the_clock() {
        let (exit, report) = run(Some(GOOD), Report::Cyclonedx);
        assert_eq!(exit, Exit::Done);
        assert!(report.unwrap().contains("2026-01-02T03:04:05Z"));
    }
}
