//! The registry of npm: its rows come from the table of endpoints that the tests of the gate have,
//! into which each one has to be put that its parser knows.

use serde_json::json;
use support::upstream::{NpmVersion, ScriptedUpstream};

use super::askers::Asker;
use super::{Row, World, text};
use crate::contract::npm::ENDPOINTS;

/// Whose a package is, and its name. What a cell changes is made for it alone.
const PACKAGES: [(&str, &str); 3] =
    [("its @acme", "@acme/p<n>"), ("its @other", "@other/p<n>"), ("upstream", "left-pad")];

const DEPRECATION: &str =
    r#"{"name":"<name>","versions":{"1.0.0":{"version":"1.0.0","deprecated":"too old"}}}"#;
const WITHOUT_THE_SECOND: &str = r#"{"name":"<name>","versions":{"1.0.0":{"version":"1.0.0"}}}"#;

/// Every endpoint by every method that it has, for each package that it can be about.
fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for endpoint in ENDPOINTS {
        for (method, _) in endpoint.methods {
            let row = Row { id: endpoint.name, ..Row::new(method, endpoint.paths[0]) };
            if !row.path.contains("{package}") {
                rows.push(alone(row));
                continue;
            }
            for (about, package) in PACKAGES {
                rows.extend(about_package(&row, about, package));
            }
        }
    }
    rows
}

/// One that is about no package.
fn alone(row: Row) -> Row {
    match (row.id, row.method.as_str()) {
        ("LegacyLogin", "PUT") => {
            let (path, shown) = (row.path.replace("ann", "user-<n>"), row.path.clone());
            Row { shown, path, ..row }
                .sends(r#"{"name":"user-<n>","password":"wrong horse battery"}"#)
        }
        ("Logout", _) => row.spends(),
        ("AuditBulk", _) => row.sends(r#"{"@acme/ui":["1.0.0"],"left-pad":["1.3.0"]}"#),
        ("AuditTree", _) => {
            let tree = json!({
                "name": "shop", "version": "1.0.0", "requires": { "left-pad": "1.3.0" },
                "dependencies": { "left-pad": { "version": "1.3.0" } },
            });
            row.sends(&tree.to_string())
        }
        _ => row,
    }
}

fn about_package(row: &Row, about: &'static str, package: &str) -> Vec<Row> {
    let is_own = package.starts_with('@');
    let is_read = row.method == "GET";
    let package = &if is_read { package.replace("p<n>", "ui") } else { package.to_owned() };
    let version = if is_own { "1.0.0" } else { "1.3.0" };
    let unscoped = package.rsplit('/').next().unwrap_or(package);
    let path = row.path.replace("{package}", package).replace("{version}", version);
    let path = path.replace("{file}", &format!("{unscoped}-{version}.tgz"));
    let path = path.replace("1-a", "<revision>").replace("dist-tags/latest", "dist-tags/beta");
    let row = Row { path, shown: row.path.clone(), ..row.clone() }.of(about);
    let document = format!("/npm/{package}");
    let sent = |body: &str| body.replace("<name>", package);
    let after = |row: Row, version: &str| {
        if is_own && !is_read {
            row.after("PUT", &document, &format!("publish {package} {version}"))
        } else {
            row
        }
    };
    let there = after(row.clone(), "1.0.0");
    let seen = |row: Row| row.after("GET", &format!("{document}?write=true"), "");
    let tag = format!("/npm/-/package/{package}/dist-tags/beta");
    match (row.id, row.method.as_str()) {
        ("Packument", "PUT") => {
            let shown = |what: &str| format!("{} ({what})", row.shown);
            vec![
                Row { shown: shown("publish"), ..row.clone() }
                    .sends(&format!("publish {package} 1.0.0")),
                Row { shown: shown("deprecate"), ..there }.sends(&sent(DEPRECATION)),
            ]
        }
        ("Revision", "PUT") => {
            vec![seen(after(there, "1.1.0")).sends(&sent(WITHOUT_THE_SECOND))]
        }
        ("Revision" | "TarballRevision", _) => vec![seen(there)],
        ("Tag", "DELETE") if is_own => vec![there.after("PUT", &tag, "\"1.0.0\"")],
        ("Tag", "PUT" | "POST") => vec![there.sends("\"1.0.0\"")],
        _ => vec![there],
    }
}

async fn world(settings: &str) -> World {
    let up = ScriptedUpstream::start().await;
    up.npm("left-pad").version("1.3.0", NpmVersion::attested).publish();
    up.place("/-/npm/v1/keys", "application/json", "{\"keys\":[{\"keyid\":\"SHA256:x\"}]}");
    let attested = "/-/npm/v1/attestations/left-pad@1.3.0";
    up.place(attested, "application/json", "{\"attestations\":[]}");
    let world = World::start(up, settings).await;
    world.must("POST", "/api/v1/rules", &json!({ "effect": "allow", "packages": ["*"] })).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_everybody_may_read_lets_in_whom_the_committed_matrix_says() {
    let mut world = world("").await;
    let rows = rows();
    let cells = world.cells(&rows, &Asker::ALL).await;
    insta::assert_snapshot!("npm", text(&rows, &Asker::ALL, &cells));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_nobody_reads_lets_in_whom_the_committed_matrix_says() {
    let mut world = world("anonymous = \"none\"").await;
    let rows = rows();
    let cells = world.cells(&rows, &Asker::ALL).await;
    for (row, cells) in rows.iter().zip(&cells) {
        let is_open = matches!(row.id, "Ping" | "Reason" | "LegacyLogin" | "WebLogin" | "Logout");
        for (asker, cell) in Asker::ALL.into_iter().zip(cells) {
            let is_out = cell == "-";
            assert!(asker.is_known() || is_open || is_out, "{row:?} lets {asker:?} in: {cell}");
        }
    }
    insta::assert_snapshot!("npm_without_a_token", text(&rows, &Asker::ALL, &cells));
}
