//! The rows: what is done, how often, and which figures come out.

pub mod advisories;
pub mod blob;
pub mod cold;
pub mod hot;
pub mod memory;
pub mod miss;
pub mod record;
pub mod start;

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::ground::Ground;
use crate::results::Results;

pub struct Row {
    pub name: &'static str,
    pub title: &'static str,
}

/// In the order in which they are measured and told.
pub const ROWS: [Row; 10] = [
    Row { name: "packument", title: "Hot packument, abbreviated" },
    Row { name: "large", title: "Hot packument of 5 MB, whole, as gzip" },
    Row { name: "tarball", title: "Hot tarball" },
    Row { name: "blob", title: "Blob of 256 MB" },
    Row { name: "miss", title: "Miss of 64 MB, hashed" },
    Row { name: "cold", title: "Cold packument of 5 MB" },
    Row { name: "record", title: "New packages, recorded durably" },
    Row { name: "memory", title: "Memory" },
    Row { name: "start", title: "Start" },
    Row { name: "advisories", title: "A million advisories" },
];

/// What failed in them; the others were measured nevertheless.
pub fn run(ground: &Ground, wanted: &[&'static str], results: &mut Results) -> Vec<String> {
    let mut failed = hot::run(ground, wanted, results);
    for row in wanted {
        let measured = attempt(row, || match *row {
            "blob" => blob::run(ground, results),
            "miss" => miss::run(ground, results),
            "cold" => cold::run(ground, results),
            "record" => record::run(ground, results),
            "memory" => memory::run(ground, results),
            "start" => start::run(ground, results),
            "advisories" => advisories::run(ground, results),
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
