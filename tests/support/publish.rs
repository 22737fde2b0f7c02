//! What a client sends when it publishes a package to an npm registry, in parts, so that a test
//! can get each of them wrong.

use std::io::Write as _;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA512, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use tar::{Builder, EntryType, Header};

use crate::edge::Answer;
use crate::http::Asked;
use crate::server::TestServer;

/// One publish, as npm would send it.
#[derive(Clone, Debug)]
pub struct Publish {
    pub name: String,
    pub version: String,
    /// As it is published; the archive's own is beside it until one of them is changed.
    pub manifest: Value,
    pub archive: Vec<u8>,
    pub tag: String,
}

impl Publish {
    pub fn new(name: &str, version: &str) -> Self {
        Self::of(&json!({ "name": name, "version": version }))
    }

    /// With this manifest, published and in the archive alike.
    pub fn of(manifest: &Value) -> Self {
        let text = |field: &str| manifest[field].as_str().unwrap().to_owned();
        let archive = TarGz::new()
            .file("package/package.json", manifest.to_string().as_bytes())
            .file("package/index.js", b"module.exports = 1\n");
        Self {
            name: text("name"),
            version: text("version"),
            manifest: manifest.clone(),
            archive: archive.finish(),
            tag: "latest".to_owned(),
        }
    }

    #[must_use]
    pub fn archive(mut self, archive: Vec<u8>) -> Self {
        self.archive = archive;
        self
    }

    pub fn file(&self) -> String {
        format!("{}-{}.tgz", self.name, self.version)
    }

    pub fn body(&self) -> Value {
        let mut manifest = self.manifest.clone();
        manifest["_id"] = format!("{}@{}", self.name, self.version).into();
        manifest["dist"] = json!({
            "integrity": integrity(&self.archive),
            "shasum": hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &self.archive)),
            "tarball": format!("http://npm.example.com/{}/-/{}", self.name, self.file()),
        });
        json!({
            "_id": self.name,
            "name": self.name,
            "dist-tags": { self.tag.clone(): self.version },
            "versions": { self.version.clone(): manifest },
            "access": "public",
            "_attachments": {
                self.file(): {
                    "content_type": "application/octet-stream",
                    "data": BASE64_STANDARD.encode(&self.archive),
                    "length": self.archive.len(),
                },
            },
        })
    }

    /// `/npm/@scope%2fname`
    pub fn path(&self) -> String {
        format!("/npm/{}", self.name.replace('/', "%2f"))
    }

    pub async fn to(&self, garth: &TestServer) -> Answer {
        put(garth, &self.path(), &self.body().to_string()).await
    }
}

/// PUT with the token of the first admin.
pub async fn put(garth: &TestServer, path: &str, body: &str) -> Answer {
    change(garth, "PUT", path, body).await
}

pub async fn change(garth: &TestServer, method: &str, path: &str, body: &str) -> Answer {
    let token = format!("Bearer {}", garth.admin_token());
    let asked = Asked::new(method, path).header("Authorization", &token);
    garth.ask(&asked.header("Content-Type", "application/json").body(body)).await
}

/// `sha512-…`
pub fn integrity(bytes: &[u8]) -> String {
    format!("sha512-{}", BASE64_STANDARD.encode(digest(&SHA512, bytes).as_ref()))
}

/// An archive, entry by entry, hostile ones among them.
pub struct TarGz {
    tar: Builder<Vec<u8>>,
}

impl Default for TarGz {
    fn default() -> Self {
        Self { tar: Builder::new(Vec::new()) }
    }
}

impl TarGz {
    pub fn new() -> Self {
        Self::default()
    }

    #[must_use]
    pub fn file(self, path: &str, content: &[u8]) -> Self {
        self.entry(EntryType::Regular, path, None, content)
    }

    /// The path is written as it is.
    #[must_use]
    pub fn entry(
        mut self,
        kind: EntryType,
        path: &str,
        link: Option<&str>,
        content: &[u8],
    ) -> Self {
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
        if let Some(link) = link {
            header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_cksum();
        self.tar.append(&header, content).unwrap();
        self
    }

    pub fn tar(self) -> Vec<u8> {
        self.tar.into_inner().unwrap()
    }

    pub fn finish(self) -> Vec<u8> {
        gzip(&self.tar())
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(bytes).unwrap();
    gzip.finish().unwrap()
}
