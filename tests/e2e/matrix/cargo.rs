//! The registry of crates: its rows come from the table of endpoints that the tests of the gate have,
//! into which each one has to be put that its parser knows.

use serde_json::json;
use support::crates::Crate;
use support::upstream::ScriptedUpstream;

use super::askers::Asker;
use super::{Row, World, text};
use crate::contract::cargo::ENDPOINTS;

/// What the limited tokens of this table are limited to.
const LIMIT: &str = "cargo:acme-*";

/// Whose a crate is, its name and its folders in the index. Nothing is published under the own ones:
/// whoever may read them is told so, and no upstream is asked.
const CRATES: [(&str, &str, &str); 4] = [
    ("own, acme-", "acme-ui", "ac/me"),
    ("own, other-", "other-ui", "ot/he"),
    ("acme-, not own", "acme-free", "ac/me"),
    ("upstream", "seed", "se/ed"),
];

/// Every endpoint by every method that it has, for each crate that it can be about.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for endpoint in ENDPOINTS {
        for (method, _) in endpoint.methods {
            // The one spelling that cargo uses.
            let row = Row { id: endpoint.name, ..Row::new(method, endpoint.paths[0]) };
            let shown = row.path.clone();
            if !row.path.contains("{package}") {
                rows.push(row);
                continue;
            }
            for (about, name, folders) in CRATES {
                let path = row.path.replace("{folders}", folders).replace("{package}", name);
                let path = path.replace("{version}", "1.0.0");
                let path = path.replace("{file}", &format!("{name}-1.0.0.crate"));
                rows.push(Row { path, shown: shown.clone(), ..row.clone() }.of(about));
            }
        }
    }
    rows
}

async fn world(settings: &str) -> (World, ScriptedUpstream) {
    let up = ScriptedUpstream::start().await;
    let crates = ScriptedUpstream::start().await;
    for name in ["seed", "acme-ui", "other-ui", "acme-free"] {
        Crate::plain(name, &["1.0.0"]).publish(&crates);
    }
    let settings = format!(
        "{settings}\n[registry.cargo]\nupstream = \"{}\"\nown = [\"acme-ui\", \"other-*\"]\n",
        crates.url()
    );
    let world = World::limited(up, &settings, LIMIT).await;
    world.must("POST", "/api/v1/rules", &json!({ "effect": "allow", "packages": ["*"] })).await;
    (world, crates)
}

fn table(rows: &[Row], cells: &[Vec<String>]) -> String {
    text(rows, &Asker::ALL, cells).replace(super::LIMIT, LIMIT)
}

/// What was published at the upstream under own names stays there.
fn own_names_were_asked_of_nobody(crates: &ScriptedUpstream) {
    let asked: Vec<_> = crates.recorded().into_iter().map(|request| request.path).collect();
    let is_own = |path: &&String| path.contains("acme-ui") || path.contains("other-ui");
    assert_eq!(asked.iter().find(is_own), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crates_registry_that_everybody_may_read_lets_in_whom_the_committed_matrix_says() {
    let (mut world, crates) = world("").await;
    let rows = rows();
    let cells = world.cells(&rows, &Asker::ALL).await;
    own_names_were_asked_of_nobody(&crates);
    insta::assert_snapshot!("cargo", table(&rows, &cells));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crates_registry_that_nobody_reads_lets_in_whom_the_committed_matrix_says() {
    let (mut world, crates) = world("anonymous = \"none\"").await;
    let rows = rows();
    let cells = world.cells(&rows, &Asker::ALL).await;
    for (row, cells) in rows.iter().zip(&cells) {
        for (asker, cell) in Asker::ALL.into_iter().zip(cells) {
            let is_out = cell == "-";
            assert!(
                asker.is_known() || row.id == "Me" || is_out,
                "{row:?} lets {asker:?} in: {cell}"
            );
        }
    }
    own_names_were_asked_of_nobody(&crates);
    insta::assert_snapshot!("cargo_without_a_token", table(&rows, &cells));
}
