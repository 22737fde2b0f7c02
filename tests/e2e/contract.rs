//! What every registry format owes: one table over all of them.
//!
//! A new format joins by one row in [`FORMATS`], in a file of its own below `contract/`. The tests
//! here say nothing of any format; they ask what the row names, by every method and spelling.

mod attempts;
pub mod cargo;
mod faults;
mod gate;
mod kinds;
pub mod npm;
mod serving;
mod table;
mod unreadable;

use std::path::{Path, PathBuf};

use bytes::Bytes;
use futures_util::future::join_all;
use kinds::Trait;
use policies::facts::Fact;
use support::edge::Answer;
use support::http::{Asked, Line};
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

/// The formats that garth serves.
const FORMATS: &[Format] = &[cargo::CARGO, npm::NPM];

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
    /// A document of which nothing may be had is listed all the same.
    lists_refused: bool,
    /// Facts that nobody can tell of what no garth has opened: rows that need them are left out.
    never_stated: &'static [Fact],
    /// Words of conditions for which an artifact is fetched, and looked into here.
    looks_for: &'static [&'static str],
    /// What advisories call the ecosystem.
    advised_as: &'static str,
    /// A range of npm as this format writes it.
    range: fn(&'static str) -> &'static str,
    bytes: fn(&ScriptedUpstream) -> Bytes,
    /// The document and the artifact of packages that the upstream does not have.
    unknown: &'static [&'static str],
    /// Everything that is mounted, made from the endpoints that its `names` can read of a path: a
    /// new one does not compile before it has its row.
    endpoints: &'static [Endpoint],
    /// The row of a path below the registry, as the format's own parser reads it.
    endpoint_of: fn(&str) -> Option<&'static str>,
    /// What stands in paths for each of [`PLACES`], in every spelling, the plain one first.
    spellings: fn(&Subject, &str) -> Vec<String>,
    /// A package name for a row of the table of rules: in a group of its own where the format has
    /// groups and the row says so.
    name_of: fn(row: &str, in_group: bool) -> String,
    /// Names that look like those of popular packages.
    look_alikes: &'static [&'static str],
    /// Publishes a package at the upstream, the newest version last.
    release: fn(&ScriptedUpstream, &str, &[Release]),
    /// What the upstream is asked for only on behalf of somebody who may have that version.
    fetched_of: fn(&Subject) -> Vec<String>,
    artifact_of: fn(&ScriptedUpstream, &Subject) -> Bytes,
    /// How a client asks for a document in another form, as values of `Accept`.
    forms: &'static [&'static str],
    /// Requests that name a package in another way than by their path.
    beside: fn(&Subject) -> Vec<Asked>,
    /// Paths that show what there is of all packages.
    listings: &'static [&'static str],
    /// The artifact of the package that no rule names.
    another: &'static str,
    /// Paths that are no spelling of the seed, though some reader could take them for one.
    tricks: fn() -> Vec<String>,
    /// Requests that have a body, which is not given yet.
    with_bodies: fn() -> Vec<Asked>,
}

/// One version of one package.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Subject {
    name: String,
    version: &'static str,
}

/// A version as it is published.
struct Release {
    version: &'static str,
    is: Trait,
    /// Stands in whatever is published of this version and of no other.
    marker: String,
}

/// The same thing here and there. Paths at the upstream are decoded.
struct Place {
    here: &'static str,
    upstream: &'static str,
}

/// What a path may leave to be filled in.
const PLACES: &[&str] = &["{folders}", "{package}", "{version}", "{file}"];

/// One endpoint, and every way of asking for something there.
pub struct Endpoint {
    pub name: &'static str,
    /// What it has. Every other method is 405.
    pub methods: &'static [(&'static str, Behind)],
    /// With [`PLACES`] in them.
    pub paths: &'static [&'static str],
}

/// What stands between somebody who asks and an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Behind {
    /// The gate: it says something of a package.
    Gate,
    /// The gate, for as long as it lets anything through: what may not be had at all is listed.
    Index,
    /// A token: it changes something, or says who somebody is.
    Token,
    /// Nothing: it says nothing of any package that somebody may not see.
    Nothing,
    /// A text that says that this garth has no such thing.
    NotOffered,
    /// The refusal that its own address tells: 403, and nothing else.
    Told,
}

/// A path in one of its spellings.
#[derive(Clone, Debug)]
struct Spelled {
    path: String,
    /// It names a version, and not only the package.
    exact: bool,
}

impl Endpoint {
    /// Every path in every spelling: each place in all of its own, the others plain meanwhile.
    fn spelled(&self, format: &Format, subject: &Subject) -> Vec<Spelled> {
        let mut all = Vec::new();
        for path in self.paths {
            let exact = path.contains("{version}") || path.contains("{file}");
            let plain = |text: &str| {
                PLACES.iter().fold(text.to_owned(), |text, place| {
                    text.replace(place, &(format.spellings)(subject, place)[0])
                })
            };
            all.push(Spelled { path: plain(path), exact });
            for place in PLACES.iter().filter(|place| path.contains(**place)) {
                for other in &(format.spellings)(subject, place)[1..] {
                    all.push(Spelled { path: plain(&path.replace(place, other)), exact });
                }
            }
        }
        all
    }

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

    /// The version that is at `document` and `artifact`.
    fn seed(&self) -> Subject {
        let (_, name) = self.package.split_once(':').expect("a package with its ecosystem");
        Subject { name: name.to_owned(), version: "1.0.0" }
    }

    /// Every path of this endpoint that leads to the seed.
    fn paths(&self, endpoint: &Endpoint) -> Vec<String> {
        endpoint.spelled(self, &self.seed()).into_iter().map(|spelled| spelled.path).collect()
    }

    /// Every request that there is behind this, method and path.
    fn requests(&self, behind: Behind) -> Vec<(&'static str, String)> {
        let of = |endpoint: &Endpoint| {
            let methods = endpoint.methods.iter().filter(move |(_, is)| *is == behind);
            let paths = self.paths(endpoint);
            methods
                .flat_map(|(method, _)| paths.iter().map(|path| (*method, path.clone())))
                .collect::<Vec<_>>()
        };
        self.endpoints.iter().flat_map(of).collect()
    }

    /// The endpoints at which a GET says something of a package.
    fn gates(&self) -> impl Iterator<Item = &'static Endpoint> {
        self.endpoints.iter().filter(|endpoint| endpoint.behind("GET") == Some(Behind::Gate))
    }

    /// Those that list what may not be had at all.
    fn indexes(&self) -> impl Iterator<Item = &'static Endpoint> {
        self.endpoints.iter().filter(|endpoint| endpoint.behind("GET") == Some(Behind::Index))
    }

    /// Where nothing may be had: what a GET of the document gives.
    fn refused_document(&self) -> u16 {
        if self.lists_refused { 200 } else { 403 }
    }

    /// Paths at which a refusal is told.
    fn refusing(&self) -> Vec<&'static str> {
        let document = (!self.lists_refused).then_some(self.document.here);
        document.into_iter().chain([self.artifact.here]).collect()
    }

    /// Every path at which a GET says something of the seed.
    fn gated(&self) -> Vec<String> {
        self.gates().flat_map(|endpoint| self.paths(endpoint)).collect()
    }
}

/// Connections that ask at once, and how many requests one sends before it reads an answer.
const LINES: usize = 4;
const AT_ONCE: usize = 12;

/// Asks for all of it on a few connections. To open one for each request takes longer than all else.
async fn ask_all(garth: &TestServer, asked: &[Asked]) -> Vec<Answer> {
    let share = asked.len().div_ceil(LINES).max(1);
    let shares = asked.chunks(share).map(|share| async move {
        let mut line = Line::to(garth);
        let mut answers = Vec::new();
        for some in share.chunks(AT_ONCE) {
            answers.extend(line.ask_all(some).await);
        }
        answers
    });
    join_all(shares).await.into_iter().flatten().collect()
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
            let paths = format.paths(endpoint);
            assert!(!paths.is_empty(), "{} of {}", endpoint.name, format.name);
            for path in &paths {
                let path = path.split('?').next().unwrap_or(path);
                let below = path.strip_prefix(&here).expect("a path of this registry");
                assert_eq!((format.endpoint_of)(below), Some(endpoint.name), "{path}");
            }
        }
    }
}
