//! A faithful sparse registry at a scripted upstream: index files, `config.json`, crates.

use aws_lc_rs::digest::{SHA256, digest};
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Map, Value, json};
use std::fmt::Write as _;
use std::io::Write as _;

use crate::upstream::{Answer, Body, ScriptedUpstream};

/// A crate with all the versions that its index file will have.
#[must_use = "nothing is seen of it before publish()"]
pub struct Crate {
    name: String,
    versions: Vec<CrateVersion>,
}

/// A version in the making.
#[must_use]
#[derive(Clone)]
pub struct CrateVersion {
    version: String,
    dependencies: Vec<Dependency>,
    fields: Map<String, Value>,
    /// More lines of the manifest's `[package]`.
    package: String,
    files: Vec<(String, String)>,
}

#[derive(Clone)]
struct Dependency {
    name: String,
    requirement: String,
    optional: bool,
    target: Option<String>,
}

impl Crate {
    pub fn new(name: &str) -> Self {
        Self { name: name.to_owned(), versions: Vec::new() }
    }

    /// With these versions and nothing but a library.
    pub fn plain(name: &str, versions: &[&str]) -> Self {
        versions.iter().fold(Self::new(name), |all, version| all.version(version, |draft| draft))
    }

    pub fn version(
        mut self,
        version: &str,
        describe: impl FnOnce(CrateVersion) -> CrateVersion,
    ) -> Self {
        self.versions.push(describe(CrateVersion {
            version: version.to_owned(),
            dependencies: Vec::new(),
            fields: Map::new(),
            package: String::new(),
            files: vec![("src/lib.rs".to_owned(), String::new())],
        }));
        self
    }

    /// Takes the place of whatever was published under this name.
    pub fn publish(self, up: &ScriptedUpstream) {
        let mut lines = String::new();
        for version in &self.versions {
            let bytes = version.pack(&self.name);
            lines.push_str(&version.line(&self.name, &bytes));
            lines.push('\n');
            let answer = Answer::ok("application/gzip", Body::Bytes(bytes));
            up.put(&crate_path(&self.name, &version.version), answer);
        }
        publish_lines(up, &self.name, &lines);
        let dl = up.at("/dl/{lowerprefix}/{crate}-{version}.crate");
        up.place("/config.json", "application/json", json!({ "dl": dl }).to_string());
    }
}

/// Serves this as the index file.
pub fn publish_lines(up: &ScriptedUpstream, name: &str, lines: &str) {
    let etag = format!("\"{}\"", sha256(lines.as_bytes()));
    let body = Body::Bytes(Bytes::copy_from_slice(lines.as_bytes()));
    let answer = Answer::ok("text/plain", body).packable().header("ETag", etag);
    up.put(&index_path(name), answer);
}

/// `/se/rd/serde`
pub fn index_path(name: &str) -> String {
    let name = name.to_lowercase();
    format!("/{}/{name}", folders(&name))
}

/// Where the upstream keeps the crate.
pub fn crate_path(name: &str, version: &str) -> String {
    format!("/dl/{}/{name}-{version}.crate", folders(&name.to_lowercase()))
}

fn folders(name: &str) -> String {
    match name.len() {
        1 => "1".to_owned(),
        2 => "2".to_owned(),
        3 => format!("3/{}", &name[..1]),
        _ => format!("{}/{}", &name[..2], &name[2..4]),
    }
}

impl CrateVersion {
    pub fn needs(self, name: &str, requirement: &str) -> Self {
        self.dependency(name, requirement, false, None)
    }

    pub fn may_use(self, name: &str, requirement: &str) -> Self {
        self.dependency(name, requirement, true, None)
    }

    pub fn needs_on(self, target: &str, name: &str, requirement: &str) -> Self {
        self.dependency(name, requirement, false, Some(target.to_owned()))
    }

    fn dependency(
        mut self,
        name: &str,
        requirement: &str,
        optional: bool,
        target: Option<String>,
    ) -> Self {
        let (name, requirement) = (name.to_owned(), requirement.to_owned());
        self.dependencies.push(Dependency { name, requirement, optional, target });
        self
    }

    /// Sets a field of the index line, whether or not it is true.
    pub fn field(mut self, name: &str, value: Value) -> Self {
        self.fields.insert(name.to_owned(), value);
        self
    }

    pub fn yanked(self) -> Self {
        self.field("yanked", true.into())
    }

    pub fn file(mut self, path: &str, content: &str) -> Self {
        self.files.retain(|(known, _)| known != path);
        self.files.push((path.to_owned(), content.to_owned()));
        self
    }

    /// A line of the manifest's `[package]`.
    pub fn says(mut self, line: &str) -> Self {
        self.package.push_str(line);
        self.package.push('\n');
        self
    }

    fn line(&self, name: &str, bytes: &[u8]) -> String {
        let dependencies: Vec<Value> = self
            .dependencies
            .iter()
            .map(|dependency| {
                json!({
                    "name": dependency.name,
                    "req": dependency.requirement,
                    "features": [],
                    "optional": dependency.optional,
                    "default_features": true,
                    "target": dependency.target,
                    "kind": "normal",
                })
            })
            .collect();
        let mut line = json!({
            "name": name,
            "vers": self.version,
            "deps": dependencies,
            "cksum": sha256(bytes),
            "features": {},
            "yanked": false,
        });
        for (field, value) in &self.fields {
            line[field] = value.clone();
        }
        line.to_string()
    }

    fn manifest(&self, name: &str) -> String {
        let mut text = format!(
            "[package]\nname = \"{name}\"\nversion = \"{}\"\nedition = \"2021\"\n{}",
            self.version, self.package
        );
        for Dependency { name, requirement, optional, target } in &self.dependencies {
            let table =
                target.as_ref().map_or_else(String::new, |target| format!("target.'{target}'."));
            write!(text, "[{table}dependencies.{name}]\nversion = \"{requirement}\"\n").unwrap();
            if *optional {
                text.push_str("optional = true\n");
            }
        }
        text
    }

    /// As `cargo package` makes it; the same bytes for the same content.
    pub fn pack(&self, name: &str) -> Bytes {
        let manifest = ("Cargo.toml".to_owned(), self.manifest(name));
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in std::iter::once(&manifest).chain(&self.files) {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(1_153_704_088);
            header.set_cksum();
            let place = format!("{name}-{}/{path}", self.version);
            tar.append_data(&mut header, place, content.as_bytes()).unwrap();
        }
        let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
        gzip.write_all(&tar.into_inner().unwrap()).unwrap();
        gzip.finish().unwrap().into()
    }
}

pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(digest(&SHA256, bytes))
}
