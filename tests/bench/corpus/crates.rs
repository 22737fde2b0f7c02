//! A sparse registry of cargo as files.
//!
//! ```text
//! crates/index/config.json
//! crates/index/{prefix}/{name}
//! crates/dl/{name}/{version}/download
//! ```

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use aws_lc_rs::digest::{SHA256, digest};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;

use super::random::Random;
use super::{SMALL, SMALL_VERSION};

/// Crates that are asked for the first time.
pub const COLD: usize = 200;
const BYTES: usize = 40_000;
/// An index file of 15 KB.
const VERSIONS: usize = 38;

/// Crates of one workspace, each with one version, that need each other and nothing else.
pub const WORKSPACE: usize = 420;

pub fn workspace_crate(n: usize) -> String {
    format!("fresh-part-{n:03}")
}

pub fn cold_crate(n: usize) -> String {
    format!("cold-framework-{n}")
}

/// At a registry; names here have at least four letters.
pub fn index_path(name: &str) -> String {
    format!("/{}/{}/{name}", &name[..2], &name[2..4])
}

/// Where garth has it, as its `config.json` says.
pub fn crate_path(name: &str, version: &str) -> String {
    format!("/api/v1/crates/{name}/{version}/download")
}

/// Where the origin has it.
pub fn origin_path(name: &str, version: &str) -> String {
    format!("/crates/dl/{name}/{version}/download")
}

pub fn make(directory: &Path, origin: &str) {
    let index = directory.join("crates/index");
    fs::create_dir_all(&index).unwrap();
    let config = json!({ "dl": format!("{origin}/crates/dl"), "api": origin });
    fs::write(index.join("config.json"), config.to_string()).unwrap();
    let needs = [("once_cell", "normal"), ("trybuild", "dev")];
    publish(directory, SMALL, VERSIONS, 1, &needs);
    for n in 0..COLD {
        publish(directory, &cold_crate(n), 5, 100 + n as u64, &needs);
    }
    for n in 0..WORKSPACE {
        let needs = BTreeSet::from([n / 2, n / 3]).into_iter().filter(|other| *other < n);
        let needs: Vec<String> = needs.map(workspace_crate).collect();
        let needs: Vec<_> = needs.iter().map(|name| (name.as_str(), "normal")).collect();
        publish(directory, &workspace_crate(n), 1, 10_000 + n as u64, &needs);
    }
}

/// Of the versions 1.0.0, 1.0.1 and so on the first can be had.
fn publish(directory: &Path, name: &str, versions: usize, seed: u64, needs: &[(&str, &str)]) {
    let mut random = Random::new(seed);
    let bytes = pack(name, &mut random, needs);
    let file = directory.join(&origin_path(name, SMALL_VERSION)[1..]);
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, &bytes).unwrap();
    let mut lines = String::new();
    for n in 0..versions {
        let sum = if n == 0 { digest(&SHA256, &bytes) } else { digest(&SHA256, &random.bytes(8)) };
        lines.push_str(&line(name, n, &hex::encode(sum), needs));
        lines.push('\n');
    }
    let file = directory.join(format!("crates/index{}", index_path(name)));
    fs::create_dir_all(file.parent().unwrap()).unwrap();
    fs::write(file, lines).unwrap();
}

fn line(name: &str, n: usize, cksum: &str, needs: &[(&str, &str)]) -> String {
    let need = |(name, kind): &(&str, &str)| {
        json!({
            "name": name, "req": "^1.0", "features": [], "optional": false,
            "default_features": true, "target": null, "kind": kind,
        })
    };
    json!({
        "name": name, "vers": format!("1.0.{n}"),
        "deps": needs.iter().map(need).collect::<Vec<_>>(),
        "cksum": cksum, "features": { "default": ["std"], "std": [] }, "yanked": false,
        "rust_version": "1.63",
    })
    .to_string()
}

/// Its manifest, and what can not be compressed, as most of an archive is once it is packed.
fn pack(name: &str, random: &mut Random, needs: &[(&str, &str)]) -> Vec<u8> {
    let mut manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"{SMALL_VERSION}\"\nedition = \"2021\"\nlicense = \"MIT\"\n"
    );
    for (name, kind) in needs {
        let table = if *kind == "dev" { "dev-dependencies" } else { "dependencies" };
        let _ = writeln!(manifest, "[{table}.{name}]\nversion = \"^1.0\"");
    }
    let mut archive = tar::Builder::new(GzEncoder::new(Vec::new(), Compression::new(6)));
    for (file, bytes) in [
        ("Cargo.toml", manifest.into_bytes()),
        ("src/lib.rs", Vec::new()),
        ("src/data.bin", random.bytes(BYTES)),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_size(bytes.len() as u64);
        header.set_mode(0o644);
        let path = format!("{name}-{SMALL_VERSION}/{file}");
        archive.append_data(&mut header, path, &*bytes).unwrap();
    }
    archive.into_inner().unwrap().finish().unwrap()
}
