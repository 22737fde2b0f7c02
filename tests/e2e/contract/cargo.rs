//! The row of cargo.
//!
//! An index file is not behind the gate like the others: of a crate without an allowed version it
//! lists all, because cargo resolves for platforms and features that nobody builds. What can be had is
//! decided where it is downloaded.

use policies::facts::Fact;
use serde_json::json;
use server::registries::cargo::names::{self, parse_path};
use support::crates::{Crate, crate_path, index_path};
use support::http::Asked;
use support::upstream::ScriptedUpstream;

use super::Behind::{Gate, Index, NotOffered, Nothing, Token};
use super::kinds::Trait;
use super::{Endpoint, Format, Place, Release, Subject};

pub(super) const CARGO: Format = Format {
    name: "cargo",
    publish,
    package: "cargo:seed",
    document: Place { here: "/cargo/se/ed/seed", upstream: "/se/ed/seed" },
    artifact: Place {
        here: "/cargo/api/v1/crates/seed/1.0.0/download",
        upstream: "/dl/se/ed/seed-1.0.0.crate",
    },
    lists_refused: true,
    // cargo has no deprecation.
    never_stated: &[Fact::Deprecated],
    looks_for: &["licence.", "install_scripts", "description", "repository", "rust_version"],
    advised_as: "crates.io",
    range: |range| match range {
        ">2.7.0 <2.7.2" => ">2.7.0, <2.7.2",
        "<1 || >=3" => ">=3",
        other => other,
    },
    bytes: |up| up.bytes_at(&crate_path("seed", "1.0.0")),
    unknown: &[
        "/cargo/ne/ve/never-there",
        "/cargo/api/v1/crates/never-there/1.0.0/download",
        "/cargo/crates/never-there/never-there-1.0.0.crate",
    ],
    endpoints: ENDPOINTS,
    endpoint_of,
    spellings,
    name_of: |row, _| format!("seed-{row}"),
    look_alikes: &["serde_jsn", "tokyo-util", "reqwests", "rustdecimal"],
    release,
    fetched_of: |Subject { name, version }| vec![crate_path(name, version)],
    artifact_of: |up, Subject { name, version }| up.bytes_at(&crate_path(name, version)),
    forms: &["text/plain"],
    beside: |Subject { name, .. }| {
        let search = format!("/cargo/api/v1/crates?q={name}&per_page=100");
        vec![Asked::get(&format!("/cargo{}", index_path(name))), Asked::get(&search)]
    },
    listings: &[],
    another: "/cargo/api/v1/crates/weed/1.0.0/download",
    tricks,
    with_bodies: || {
        vec![
            Asked::new("PUT", "/cargo/api/v1/crates/new"),
            Asked::new("GET", "/cargo/ne/ve/never-there"),
        ]
    },
};

macro_rules! endpoints {
    ($($endpoint:ident $methods:tt $paths:tt)*) => {
        pub const ENDPOINTS: &[Endpoint] = &[$(
            Endpoint {
                name: stringify!($endpoint),
                methods: &$methods,
                paths: &$paths,
            }
        ),*];

        fn endpoint_of(path: &str) -> Option<&'static str> {
            match parse_path(path).ok()? {
                $(names::Endpoint::$endpoint { .. } => Some(stringify!($endpoint)),)*
            }
        }
    };
}

endpoints! {
    Config [("GET", Nothing)] ["/cargo/config.json", "/cargo//config.json"]
    Index [("GET", Index)] ["/cargo/{folders}/{package}", "/cargo//{folders}/{package}"]
    Download [("GET", Gate)] [
        "/cargo/api/v1/crates/{package}/{version}/download",
        "/cargo//api/v1/crates/{package}/{version}/download",
        "/cargo/api/v1/crates/{package}/{version}/download?cache=0",
    ]
    File [("GET", Gate)] ["/cargo/crates/{package}/{file}", "/cargo//crates/{package}/{file}"]
    Me [("GET", Nothing)] ["/cargo/me"]
    Publish [("PUT", Token)] ["/cargo/api/v1/crates/new", "/cargo//api/v1/crates/new"]
    Search [("GET", Nothing)] ["/cargo/api/v1/crates", "/cargo/api/v1/crates?q={package}&per_page=100"]
    Yank [("DELETE", Token)] ["/cargo/api/v1/crates/{package}/{version}/yank"]
    Unyank [("PUT", Token)] ["/cargo/api/v1/crates/{package}/{version}/unyank"]
    Owners [("GET", Token), ("PUT", Token), ("DELETE", Token)] ["/cargo/api/v1/crates/{package}/owners"]
    Api [("GET", NotOffered), ("PUT", NotOffered), ("DELETE", NotOffered)] [
        "/cargo/api/v1/crates/{package}/versions",
        "/cargo/api/v1/summary",
    ]
}

fn spellings(Subject { name, version }: &Subject, place: &str) -> Vec<String> {
    match place {
        // Of names with four letters and more.
        "{folders}" => {
            let (first, second) = (&name[..2], &name[2..4]);
            let escaped = format!("%{:02x}{}", name.as_bytes()[0], &first[1..]);
            [first, &escaped].map(|first| format!("{first}/{second}")).into()
        }
        "{package}" => vec![name.clone(), name.replacen('s', "%73", 1)],
        "{version}" => vec![(*version).to_owned(), version.replace('.', "%2e")],
        _ => {
            let file = format!("{name}-{version}.crate");
            let shouted = file.replacen("seed", "SEED", 1);
            vec![file.clone(), file.replacen('-', "%2d", 1), shouted]
        }
    }
}

fn publish(up: &ScriptedUpstream) {
    Crate::plain("seed", &["1.0.0"]).publish(up);
    Crate::plain("weed", &["1.0.0"]).publish(up);
}

fn release(up: &ScriptedUpstream, name: &str, releases: &[Release]) {
    let all = releases.iter().fold(Crate::new(name), |all, Release { version, is, marker }| {
        all.version(version, |draft| {
            let draft = draft
                .file("src/lib.rs", &format!("//! {marker}\n"))
                .field("note", marker.as_str().into());
            let dated = |date: &str| json!(date);
            match is {
                Trait::Undated => draft,
                Trait::Young => draft.field("pubtime", dated("2200-01-01T00:00:00Z")),
                other => {
                    let draft = draft.field("pubtime", dated("2024-01-01T00:00:00Z"));
                    match other {
                        Trait::Dependent => draft.needs("a", "1").needs("b", "1"),
                        Trait::Scripts => draft.field("links", "z".into()),
                        Trait::Lying => draft.field("deps", json!([])).needs("a", "1"),
                        Trait::Copyleft => draft.says("license = \"GPL-3.0-only\""),
                        Trait::NoLicence => draft.says("license = \"see the file\""),
                        Trait::Described => draft
                            .says("license = \"MIT\"")
                            .says("description = \"an evil thing\"")
                            .says("repository = \"https://evil.example/x\"")
                            .says("rust-version = \"1.99\""),
                        _ => draft.says("license = \"MIT\""),
                    }
                }
            }
        })
    });
    all.publish(up);
}

const VERSIONS: &[&str] = &[
    "v1.0.0",
    "=1.0.0",
    "1.0.0+build",
    "01.0.0",
    "1.0",
    "1",
    "^1.0.0",
    "*",
    "1.0.0%20",
    "%201.0.0",
    "1.0.0%00",
    "1.0.0%0d%0a",
    "1.0.0%252f",
    "1.0.0-",
    "1.0.0.0",
    "latest",
    "..%2f1.0.0",
    "..",
    ".",
    "1.0.0;x=1",
    "1.0.0%3fx",
    "1.0.0%2f..",
    "%EF%BC%91.0.0",
];

const NAMES: &[&str] = &[
    "SEED",
    "Seed",
    "seed.",
    "seed%20",
    "%20seed",
    "seed%00",
    "seed%0a",
    "seed;x",
    "seed%3fx",
    "seed%5c",
    "%2573eed",
    "./seed",
    "../crates/seed",
    "seed%2f.",
    "s%C3%ABed",
    "seed-",
    "seed_",
    "-seed",
    "weed%2f..%2fseed",
    "weed/../seed",
];

/// Paths that are no spelling of the seed, though some reader could take them for one, and those that
/// are one and are refused like it.
fn tricks() -> Vec<String> {
    let mut all = Vec::new();
    for version in VERSIONS {
        all.push(format!("/cargo/api/v1/crates/seed/{version}/download"));
        all.push(format!("/cargo/crates/seed/seed-{version}.crate"));
    }
    for name in NAMES {
        all.push(format!("/cargo/api/v1/crates/{name}/1.0.0/download"));
        all.push(format!("/cargo/crates/{name}/seed-1.0.0.crate"));
    }
    for path in [
        "Cargo/api/v1/crates/seed/1.0.0/download",
        "cargo/api/v1/crates/seed/1.0.0/download/",
        "cargo/api//v1/crates/seed/1.0.0/download",
        "cargo/api/v1/crates/weed/../seed/1.0.0/download",
        "cargo/api%2fv1/crates/seed/1.0.0/download",
        "cargo/api/v2/crates/seed/1.0.0/download",
        "cargo/dl/se/ed/seed-1.0.0.crate",
        "cargo/se/ed/../ed/seed",
        "cargo/Se/ed/Seed",
        "cargo/2/seed",
        "api/v1/crates/seed/1.0.0/download",
    ] {
        all.push(format!("/{path}"));
    }
    all
}
