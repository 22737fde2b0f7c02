//! The rows: what is done, how often, and which figures come out.

pub mod advisories;
pub mod blob;
pub mod cold;
pub mod crates;
pub mod hot;
pub mod memory;
pub mod miss;
pub mod record;
pub mod start;
pub mod workspace;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::ground::Ground;
use crate::results::Results;

/// What is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Npm,
    Cargo,
}

pub struct Row {
    pub format: Format,
    pub name: &'static str,
    pub title: &'static str,
}

/// In the order in which they are measured and told.
pub const ROWS: [Row; 14] = [
    npm("packument", "Hot packument, abbreviated"),
    npm("large", "Hot packument of 5 MB, whole, as gzip"),
    npm("tarball", "Hot tarball"),
    npm("blob", "Blob of 256 MB"),
    npm("miss", "Miss of 64 MB, hashed"),
    npm("cold", "Cold packument of 5 MB"),
    npm("record", "New packages, recorded durably"),
    npm("memory", "Memory"),
    npm("start", "Start"),
    npm("advisories", "A million advisories"),
    cargo("index", "Hot index file"),
    cargo("crate", "Hot crate"),
    cargo("crates", "Cold crates, each with its index file"),
    cargo("workspace", "A workspace of 420 locked crates, fetched by cargo"),
];

const fn npm(name: &'static str, title: &'static str) -> Row {
    Row { format: Format::Npm, name, title }
}

const fn cargo(name: &'static str, title: &'static str) -> Row {
    Row { format: Format::Cargo, name, title }
}

/// What failed in them; the others were measured nevertheless.
pub fn run(ground: &Ground, wanted: &[&'static str], results: &mut Results) -> Vec<String> {
    let mut failed = hot::run(ground, wanted, results);
    if wanted.contains(&"crates") {
        failed.extend(crates::run(ground, results));
    }
    for row in wanted {
        let measured = attempt(row, || match *row {
            "blob" => blob::run(ground, results),
            "miss" => miss::run(ground, results),
            "cold" => cold::run(ground, results),
            "record" => record::run(ground, results),
            "memory" => memory::run(ground, results),
            "start" => start::run(ground, results),
            "advisories" => advisories::run(ground, results),
            "workspace" => workspace::run(ground, results),
            _ => {}
        });
        failed.extend(measured.err());
    }
    failed
}

/// A row that can not go on does not take the figures of the others with it.
fn attempt(what: &str, measure: impl FnOnce()) -> Result<(), String> {
    let measured = catch_unwind(AssertUnwindSafe(measure));
    measured.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
        format!("{what}: {}", text.unwrap_or("failed"))
    })
}

/// So that somebody who watches knows where it is.
pub fn tell(row: &str, run: usize, ground: &Ground, server: &str) {
    eprintln!("bench: {row}, run {} of {}: {server}", run + 1, ground.runs);
}
