//! What cargo sends when it publishes a crate, in parts, so that a test can get each of them wrong.

use serde_json::{Value, json};

use crate::edge::Answer;
use crate::http::Asked;
use crate::publish::TarGz;
use crate::server::TestServer;

/// One publish, as cargo would send it.
#[derive(Clone, Debug)]
pub struct NewCrate {
    /// The JSON in front of the crate.
    pub metadata: Value,
    pub archive: Vec<u8>,
}

impl NewCrate {
    pub fn new(name: &str, version: &str) -> Self {
        Self::with(name, version, &json!({}), "")
    }

    /// With more fields of the JSON, and more text of the Cargo.toml.
    pub fn with(name: &str, version: &str, fields: &Value, manifest: &str) -> Self {
        let mut metadata = json!({
            "name": name, "vers": version, "deps": [], "features": {}, "authors": [],
            "keywords": [], "categories": [], "badges": {}, "readme": "# It",
        });
        for (field, value) in fields.as_object().unwrap() {
            metadata[field] = value.clone();
        }
        Self { metadata, archive: Self::tar(name, version, manifest).finish() }
    }

    /// The crate, open for more entries.
    pub fn tar(name: &str, version: &str, manifest: &str) -> TarGz {
        let text = format!(
            "[package]\nname = \"{name}\"\nversion = \"{version}\"\nedition = \"2021\"\n{manifest}"
        );
        TarGz::new()
            .file(&format!("{name}-{version}/Cargo.toml"), text.as_bytes())
            .file(&format!("{name}-{version}/src/lib.rs"), b"")
    }

    #[must_use]
    pub fn archive(mut self, archive: Vec<u8>) -> Self {
        self.archive = archive;
        self
    }

    pub fn body(&self) -> Vec<u8> {
        frame(self.metadata.to_string().as_bytes(), &self.archive)
    }

    pub async fn to(&self, garth: &TestServer) -> Answer {
        send(garth, &self.body()).await
    }
}

pub fn frame(json: &[u8], archive: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&length(json), json, &length(archive), archive].concat()
}

/// The body of a publish, with the token of the first admin as cargo sends it.
pub async fn send(garth: &TestServer, body: &[u8]) -> Answer {
    change(garth, "PUT", "/cargo/api/v1/crates/new", body).await
}

pub async fn change(garth: &TestServer, method: &str, path: &str, body: &[u8]) -> Answer {
    let asked = Asked::new(method, path).header("Authorization", &garth.admin_token());
    garth.ask(&asked.body(body)).await
}

/// What cargo prints of an answer.
pub fn detail(answer: &Answer) -> String {
    let detail = &answer.json()["errors"][0]["detail"];
    detail.as_str().unwrap_or_default().to_owned()
}
