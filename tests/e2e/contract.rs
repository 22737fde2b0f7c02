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
    /// Everything that is mounted, made from the endpoints that its `names` can read of a path: a
    /// new one does not compile before it has its row.
    endpoints: &'static [Endpoint],
    /// The row of a path below the registry, as the format's own parser reads it.
    endpoint_of: fn(&str) -> Option<&'static str>,
}

/// The same thing here and there. Paths at the upstream are decoded.
struct Place {
    here: &'static str,
    upstream: &'static str,
}

/// One endpoint, and every way of asking for the package there.
struct Endpoint {
    name: &'static str,
    /// What it has. Every other method is 405.
    methods: &'static [(&'static str, Behind)],
    spellings: &'static [&'static str],
}

/// What stands between somebody who asks and an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Behind {
    /// The gate: it says something of a package.
    Gate,
    /// A token: it changes something, or says who somebody is.
    Token,
    /// Nothing: it says nothing of any package that somebody may not see.
    Nothing,
    /// A text that says that this garth has no such thing.
    NotOffered,
    /// The refusal that its own address tells: 403, and nothing else.
    Told,
}

impl Endpoint {
    fn behind(&self, method: &str) -> Option<Behind> {
        let method = if method == "HEAD" { "GET" } else { method };
        self.methods.iter().find(|(known, _)| *known == method).map(|(_, behind)| *behind)
    }
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

    /// Every request that there is behind this, method and path.
    fn requests(&self, behind: Behind) -> impl Iterator<Item = (&'static str, &'static str)> {
        self.endpoints.iter().flat_map(move |endpoint| {
            let methods = endpoint.methods.iter().filter(move |(_, is)| *is == behind);
            methods.flat_map(|(method, _)| endpoint.spellings.iter().map(|path| (*method, *path)))
        })
    }

    /// Every path at which a GET says something of the package.
    fn gated(&self) -> impl Iterator<Item = &'static str> {
        self.endpoints
            .iter()
            .filter(|endpoint| endpoint.behind("GET") == Some(Behind::Gate))
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

/// An endpoint whose spellings lead elsewhere is not tested.
#[test]
fn every_spelling_is_one_of_its_endpoint() {
    for format in FORMATS {
        let here = format!("/{}", format.name);
        for endpoint in format.endpoints {
            assert!(!endpoint.spellings.is_empty(), "{} of {}", endpoint.name, format.name);
            for path in endpoint.spellings {
                let path = path.split('?').next().unwrap_or(path);
                let below = path.strip_prefix(&here).expect("a path of this registry");
                assert_eq!((format.endpoint_of)(below), Some(endpoint.name), "{path}");
            }
        }
    }
}
