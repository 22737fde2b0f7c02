//! What every registry format owes: one table over all of them.
//!
//! A new format joins by one row in [`FORMATS`], in a file of its own below `contract/`. The tests
//! here say nothing of any format; they ask what the row names, by every method and spelling.

mod faults;
mod gate;
mod npm;
mod serving;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

/// The formats that garth serves.
const FORMATS: &[Format] = &[npm::NPM];

/// One format, as far as the tests have to know it. Its registry is named like the format.
struct Format {
    /// As in `format = "…"`; also the folder below `server/src/registries`.
    name: &'static str,
    /// Publishes the package at the upstream, with one version and a small artifact, and another
    /// package of the same shape that is never named in a rule.
    publish: fn(&ScriptedUpstream),
    /// The package as a rule names it.
    package: &'static str,
    /// What lists its versions, here and at the upstream.
    document: Place,
    /// Its one file, here and at the upstream.
    artifact: Place,
    bytes: fn(&ScriptedUpstream) -> Bytes,
    /// The document and the artifact of packages that the upstream does not have.
    unknown: &'static [&'static str],
    /// Everything that is mounted.
    endpoints: &'static [Endpoint],
}

/// The same thing here and there. Paths at the upstream are decoded.
struct Place {
    here: &'static str,
    upstream: &'static str,
}

/// One line of the table in the format's `mod.rs`, and every way of asking for the package there.
struct Endpoint {
    documented: &'static str,
    spellings: &'static [&'static str],
    /// Whether it says anything of a package.
    gated: bool,
}

impl Format {
    async fn upstream(&self) -> ScriptedUpstream {
        let up = ScriptedUpstream::start().await;
        (self.publish)(&up);
        up
    }

    fn setup(&self, up: &ScriptedUpstream, more: &str) -> Setup {
        let name = self.name;
        Setup::new(&format!(
            "[registry.{name}]\nformat = \"{name}\"\nupstream = \"{}\"\n{more}\n",
            up.url()
        ))
    }

    /// A garth that asks the upstream each time whether something changed, and allows the package.
    async fn garth(&self) -> (ScriptedUpstream, TestServer) {
        let up = self.upstream().await;
        let garth = self.setup(&up, "max_age = \"0s\"").start();
        garth.run(&["allow", self.package]);
        (up, garth)
    }

    /// The same, when it holds the document and the artifact.
    async fn warm_garth(&self) -> (ScriptedUpstream, TestServer) {
        let (up, garth) = self.garth().await;
        assert_eq!(garth.get(self.document.here).await.status, 200, "{}", self.name);
        garth.hold(self.artifact.here).await;
        (up, garth)
    }

    fn spellings(&self) -> impl Iterator<Item = &'static str> {
        self.endpoints
            .iter()
            .filter(|endpoint| endpoint.gated)
            .flat_map(|endpoint| endpoint.spellings.iter().copied())
    }
}

/// The folder of the formats in the source.
fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/src/registries")
}

#[test]
fn every_format_has_its_row() {
    let mut folders: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    folders.sort();
    let rows: Vec<_> = FORMATS.iter().map(|format| format.name).collect();
    assert_eq!(folders, rows, "the folders of server/src/registries, and the rows of FORMATS");
}

/// The table in `mod.rs`, the endpoints that `names.rs` can make of a path, and the row agree: an
/// endpoint that is forgotten in one of them is not tested here.
#[test]
fn every_endpoint_is_documented_and_has_its_spellings() {
    for format in FORMATS {
        let read = |file| std::fs::read_to_string(folder().join(format.name).join(file)).unwrap();
        let between_ticks = |line: &str| line.split('`').nth(1).map(str::to_owned);
        let table: Vec<String> = read("mod.rs")
            .lines()
            .filter(|line| line.starts_with("//! | `"))
            .filter_map(between_ticks)
            .collect();
        let row: Vec<_> = format.endpoints.iter().map(|endpoint| endpoint.documented).collect();
        assert_eq!(table, row, "the table in {}/mod.rs, and the row here", format.name);

        let names = read("names.rs");
        let variants = names.split_once("pub enum Endpoint {").expect("names.rs has Endpoint").1;
        let variants = variants.split_once("\n}").unwrap().0;
        let mut made: Vec<String> = variants
            .lines()
            .map(str::trim)
            .filter(|line| line.starts_with("/// `"))
            .filter_map(between_ticks)
            .collect();
        let count = variants.lines().filter(|line| line.trim().ends_with(',')).count();
        assert_eq!(made.len(), count, "each Endpoint of {} names its request", format.name);
        let mut documented = table;
        made.sort();
        documented.sort();
        assert_eq!(made, documented, "the Endpoints of {}, and its table", format.name);
        for endpoint in format.endpoints {
            assert!(!endpoint.spellings.is_empty(), "{}", endpoint.documented);
        }
    }
}
