//! Own packages: the real clients publish, and what is published is installed, changed and kept.

mod changes;
mod clients;
mod forgotten;
mod hostile;
mod lasting;
mod stage;
mod together;
mod unfinished;

use serde_json::{Value, json};
use support::npm::Npm;
use support::package_managers::PackageManager;
use support::server::{Setup, TestServer};

/// A garth of own packages alone.
fn own() -> Setup {
    Setup::new("[registry.npm]\n")
}

/// Somebody who has the token of this garth.
fn publisher(garth: &TestServer) -> Npm {
    let npm = super::npm(garth);
    log_in(&npm, garth);
    npm
}

fn log_in(person: &PackageManager, garth: &TestServer) {
    let host = garth.url.strip_prefix("http:").unwrap();
    let login = format!("{host}/npm/:_authToken={}\n", garth.admin_token());
    std::fs::write(person.home().join(".npmrc"), login).unwrap();
}

/// Makes this package of the person's project.
fn package(person: &PackageManager, name: &str, version: &str, more: &Value) {
    let mut manifest = json!({ "name": name, "version": version });
    for (field, value) in more.as_object().unwrap() {
        manifest[field] = value.clone();
    }
    person.write("package.json", &manifest.to_string());
    person.write("index.js", &format!("module.exports = '{name} {version}'\n"));
    person.write("README.md", &format!("# {name} {version}\n"));
}

async fn packument(garth: &TestServer, name: &str) -> Value {
    garth.get(&format!("/npm/{name}")).await.json()
}

/// What npm printed as its error, without the lines around it.
fn error_of(text: &str) -> String {
    let line = text.lines().find(|line| line.contains("npm error 4")).unwrap_or(text);
    let words = line.split(' ').map(|word| match word.split_once("/-rev/") {
        Some((path, _)) => format!("{path}/-rev/REVISION"),
        None => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}
