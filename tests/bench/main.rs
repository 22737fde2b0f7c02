//! `./dev bench npm`: garth beside nginx, Verdaccio and nora-registry, as a registry of npm.
//! `./dev bench cargo`: garth beside nginx, nora-registry and kellnr, as a registry of crates.
//!
//! The origin is nginx with generated packages; nothing leaves this machine. Rows are measured in
//! [`rows`], servers are started by [`servers`], figures become medians, tables and verdicts in
//! [`stats`], [`table`] and [`bars`]. Everything that is written lies below `target/bench`.
#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark that can not go on stops"
)]

mod arguments;
mod bars;
mod corpus;
mod ground;
mod http;
mod machine;
mod process;
mod report;
mod results;
mod rows;
mod servers;
mod stats;
mod table;
mod usage;
mod wrk;

use std::process::ExitCode;

use ground::Ground;
use machine::Machine;
use results::Results;

const PAGE: &str = "docs/benchmarks.md";

fn main() -> ExitCode {
    let arguments = match arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) => arguments,
        Err(fault) => {
            eprintln!("bench: {fault}; see ./dev bench --help");
            return ExitCode::from(2);
        }
    };
    let machine = Machine::this();
    machine::take_load_core();
    let ground = Ground::prepare(&arguments);
    let mut results = Results::default();
    let failed = rows::run(&ground, &arguments.rows, &mut results);
    let text = report::text(&ground, &arguments, &machine, &results);
    println!("{text}");
    ground.clear();
    for fault in &failed {
        eprintln!("bench: failed: {fault}");
    }
    if arguments.write && failed.is_empty() {
        let page = std::fs::read_to_string(PAGE).unwrap();
        std::fs::write(PAGE, report::placed(&page, arguments.format, &text)).unwrap();
        eprintln!("bench: written to {PAGE}");
    }
    if failed.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
