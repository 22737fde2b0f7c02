//! For a person: the packages, a line each, then what became of each lockfile.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use crate::inventory::{Inventory, Lockfile, Package};
use crate::{Outcome, Scope, Source};

/// `skipped` is how many folders of each name were not searched.
pub fn write(
    to: &mut dyn Write,
    inventory: &Inventory,
    skipped: &BTreeMap<&'static str, usize>,
) -> fmt::Result {
    for package in &inventory.packages {
        writeln!(to, "{}", line(package))?;
    }
    if !inventory.packages.is_empty() {
        writeln!(to)?;
    }
    for lockfile in &inventory.lockfiles {
        write_outcome(to, lockfile)?;
    }
    for (folder, count) in skipped {
        let folders = counted(*count, "folder", "folders");
        writeln!(to, "skipped: {folders} named {folder}")?;
    }
    let lockfiles = counted(inventory.lockfiles.len(), "lockfile", "lockfiles");
    let packages = counted(inventory.packages.len(), "package", "packages");
    writeln!(to, "{packages} in {lockfiles}")
}

/// Only the lockfiles that were not read completely, for a report that has no place for them.
pub fn write_problems(to: &mut dyn Write, inventory: &Inventory) -> fmt::Result {
    for lockfile in inventory.lockfiles.iter().filter(|it| it.outcome != Outcome::Complete) {
        write_outcome(to, lockfile)?;
    }
    Ok(())
}

fn write_outcome(to: &mut dyn Write, lockfile: &Lockfile) -> fmt::Result {
    let outcome = match lockfile.outcome {
        Outcome::Complete => "complete",
        Outcome::Partial => "partial",
        Outcome::Failed => "failed",
    };
    let entries = counted(lockfile.entries, "entry", "entries");
    writeln!(to, "{}: {outcome}, {entries}", printable(&lockfile.name))?;
    for problem in &lockfile.problems {
        let separator = if problem.place.is_empty() { "" } else { ": " };
        let place = printable(&problem.place);
        writeln!(to, "  {place}{separator}{}", printable(&problem.what))?;
    }
    Ok(())
}

fn line(package: &Package) -> String {
    let identity = &package.identity;
    let version = identity.version.as_ref().map(|it| format!("@{it}")).unwrap_or_default();
    let mut notes = Vec::new();
    match &identity.source {
        Source::Registry(None) => {}
        Source::Registry(Some(registry)) => notes.push(format!("from {registry}")),
        Source::Git { repository, commit } => {
            let commit = commit.as_ref().map(|it| format!(" at {it}")).unwrap_or_default();
            notes.push(format!("from git {repository}{commit}"));
        }
        Source::Archive(address) => notes.push(format!("from the address {address}")),
        Source::Local(_) => notes.push("local".to_owned()),
    }
    match package.scope {
        Some(Scope::Development) => notes.push("development".to_owned()),
        Some(Scope::Optional) => notes.push("optional".to_owned()),
        Some(Scope::Required) | None => {}
    }
    if package.bundled {
        notes.push("bundled".to_owned());
    }
    let separator = if notes.is_empty() { "" } else { "  " };
    let notes = notes.join(", ");
    printable(&format!("{}:{}{version}{separator}{notes}", identity.ecosystem, identity.name))
}

fn counted(count: usize, one: &str, several: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { several })
}

/// Names come from strangers: nothing in them may move the cursor or turn the reading direction.
fn printable(text: &str) -> String {
    let unsafe_to_show = |c: char| {
        c.is_control()
            || matches!(c, '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}')
            || matches!(c, '\u{2060}'..='\u{206f}' | '\u{feff}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if unsafe_to_show(c) { shown.extend(c.escape_unicode()) } else { shown.push(c) }
    }
    shown
}
