//! What nobody's cargo sends: lengths that lie, crates that are not what is said of them, archives that
//! do harm. All of it is refused with a reason, and nothing of it is kept.

use serde_json::{Value, json};
use support::own_crates::{NewCrate, change, detail, frame, send};
use support::publish::{TarGz, gzip};
use support::server::TestServer;
use tar::EntryType;

use super::super::facts::hole;
use super::own;

async fn refused(garth: &TestServer, body: &[u8], words: &str) {
    let answer = send(garth, body).await;
    let said = detail(&answer);
    assert_eq!(answer.status, 400, "{words}: {}", answer.text());
    assert!(said.contains(words), "{words}: {said}");
}

async fn nothing_is_kept(garth: TestServer) {
    for path in ["/cargo/se/ed/seed", "/cargo/api/v1/crates/seed/1.0.0/download"] {
        assert_eq!(garth.get(path).await.status, 404, "{path}");
    }
    assert!(!garth.story().contains("ERROR"), "{}", garth.story());
    let (setup, _) = garth.stop();
    let stages = std::fs::read_dir(setup.data().join("stage")).unwrap().count();
    assert_eq!(stages, 0, "nothing is left of it");
    let check = setup.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && !said.contains("leftover: "), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_as_long_as_it_says_is_refused() {
    let garth = own().start();
    let whole = NewCrate::new("seed", "1.0.0").body();
    for length in [0, 3, 4, 10, whole.len() - 1] {
        refused(&garth, &whole[..length], "ends before").await;
    }
    refused(&garth, &[&whole[..], b"more"].concat(), "goes on behind").await;
    refused(&garth, &[&u32::MAX.to_le_bytes()[..], b"{}"].concat(), "more than").await;
    refused(&garth, &frame(b"[]", b""), "JSON is none of a publish").await;
    refused(
        &garth,
        &frame(b"{\"name\":\"seed\",\"name\":\"weed\",\"vers\":\"1.0.0\"}", b""),
        "duplicate",
    )
    .await;
    nothing_is_kept(garth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_does_harm_is_refused() {
    let garth = own().start();
    let seed = || NewCrate::tar("seed", "1.0.0", "");
    let link = |kind| seed().entry(kind, "seed-1.0.0/x", Some("/etc/passwd"), b"").finish();
    let bomb = seed().file("seed-1.0.0/big", &vec![0; 80 << 20]).finish();
    let rows: Vec<(&str, Vec<u8>)> = vec![
        ("can not be unpacked", b"no archive".to_vec()),
        ("no Cargo.toml", TarGz::new().file("seed-1.0.0/src/lib.rs", b"").finish()),
        ("beside the crate's directory", seed().file("weed-1.0.0/x", b"").finish()),
        ("beside the crate's directory", seed().file("/etc/passwd", b"").finish()),
        ("leaves the crate's directory", seed().file("seed-1.0.0/../../x", b"").finish()),
        ("is a link", link(EntryType::Symlink)),
        ("is a link", link(EntryType::Link)),
        (
            "neither a file nor a directory",
            seed().entry(EntryType::Fifo, "seed-1.0.0/x", None, b"").finish(),
        ),
        ("is in it twice", seed().file("seed-1.0.0/SRC/LIB.RS", b"").finish()),
        ("is in it twice", seed().file("seed-1.0.0/cargo.toml", b"").finish()),
        ("read in more than one way", seed().file("seed-1.0.0/src/./lib.rs", b"").finish()),
        ("read in more than one way", seed().file("seed-1.0.0/src//lib.rs", b"").finish()),
        (".cargo-ok", seed().file("seed-1.0.0/.cargo-ok", b"").finish()),
        ("no file on every machine", seed().file("seed-1.0.0/a\\b", b"").finish()),
        ("far too many bytes", bomb),
        ("is a file with holes", gzip(&[hole("seed-1.0.0/x"), seed().tar()].concat())),
        ("Cargo.toml can not be read", TarGz::new().file("seed-1.0.0/Cargo.toml", b"[[").finish()),
    ];
    for (words, archive) in rows {
        refused(&garth, &NewCrate::new("seed", "1.0.0").archive(archive).body(), words).await;
    }
    nothing_is_kept(garth).await;
}

/// Case 18: cargo resolves by the one and builds by the other.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_beside_the_crate_is_what_its_cargo_toml_says() {
    let garth = own().start();
    let dep = |more: Value| {
        let mut dep = json!({
            "name": "weed", "version_req": "^1", "features": [], "optional": false,
            "default_features": true, "target": null, "kind": "normal",
            "registry": null, "explicit_name_in_toml": null,
        });
        for (field, value) in more.as_object().unwrap() {
            dep[field] = value.clone();
        }
        json!({ "deps": [dep] })
    };
    let here = format!("registry-index = \"sparse+{}/cargo/\"", garth.url);
    let weed = format!("[dependencies.weed]\nversion = \"1\"\n{here}\n");
    let evil = "[dependencies.weed]\nversion = \"1\"\nregistry-index = \"sparse+https://evil.example/i/\"\n";
    let rows: Vec<(&str, Value, String)> = vec![
        ("links is not what", json!({ "links": "z" }), String::new()),
        ("license is not what", json!({}), "license = \"MIT\"\n".to_owned()),
        (
            "description is not what",
            json!({ "description": "a" }),
            "description = \"b\"\n".to_owned(),
        ),
        ("rust-version is not what", json!({ "rust_version": "1.70" }), String::new()),
        ("features is not what", json!({ "features": { "a": [] } }), String::new()),
        ("dependency \"weed\" is not what", json!({}), weed.clone()),
        ("dependency \"weed\" is not what", dep(json!({})), String::new()),
        ("dependency \"weed\" is not what", dep(json!({ "version_req": "^2" })), weed.clone()),
        ("dependency \"weed\" is not what", dep(json!({ "kind": "dev" })), weed.clone()),
        ("dependency \"weed\" is not what", dep(json!({ "optional": true })), weed.clone()),
        ("dependency \"weed\" is not what", dep(json!({ "target": "cfg(unix)" })), weed.clone()),
        ("\"plant\" is not what", dep(json!({ "explicit_name_in_toml": "plant" })), weed.clone()),
        ("another registry", dep(json!({})), evil.to_owned()),
        ("another registry", dep(json!({})), evil.replace("/i/", "/cargo/")),
        (
            "a table \"patch\"",
            json!({}),
            "[patch.crates-io]\nweed = { git = \"https://evil.example/x\" }\n".to_owned(),
        ),
        (
            "no registry of this garth",
            dep(json!({ "registry": "sparse+https://evil.example/i/" })),
            evil.to_owned(),
        ),
        (
            "from a path or from git",
            dep(json!({})),
            "[dependencies.weed]\nversion = \"1\"\npath = \"../weed\"\n".to_owned(),
        ),
        (
            "can not be the name of a feature",
            json!({ "features": { "a/b": [] } }),
            "[features]\n\"a/b\" = []\n".to_owned(),
        ),
    ];
    for (words, fields, manifest) in rows {
        refused(&garth, &NewCrate::with("seed", "1.0.0", &fields, &manifest).body(), words).await;
    }
    for (name, version) in [("seed", "1.0.1"), ("weed", "1.0.0"), ("Seed", "1.0.0")] {
        let archive = NewCrate::tar(name, version, "").finish();
        let answer = NewCrate::new("seed", "1.0.0").archive(archive).to(&garth).await;
        assert_eq!(answer.status, 400, "{name} {version}: {}", answer.text());
    }
    let renamed = TarGz::new()
        .file("seed-1.0.0/Cargo.toml", b"[package]\nname = \"weed\"\nversion = \"1.0.0\"\n");
    refused(
        &garth,
        &NewCrate::new("seed", "1.0.0").archive(renamed.finish()).body(),
        "name is not what",
    )
    .await;
    for (name, version) in [
        ("../x", "1.0.0"),
        ("1x", "1.0.0"),
        ("nul", "1.0.0"),
        ("seed", "1.0"),
        ("seed", "01.0.0"),
        ("seed", "../1"),
        ("s\u{e9}ed", "1.0.0"),
        (&*"x".repeat(65), "1.0.0"),
    ] {
        let body = json!({ "name": name, "vers": version }).to_string();
        let answer = send(&garth, &frame(body.as_bytes(), b"")).await;
        assert_eq!(answer.status, 400, "{name} {version}: {}", answer.text());
        assert!(!detail(&answer).is_empty());
    }
    let good = NewCrate::with("seed", "2.0.0", &dep(json!({})), &weed).to(&garth).await;
    assert_eq!(good.status, 200, "{}", good.text());
}

/// What cargo 1.80 and older send of a crate that is right.
#[tokio::test(flavor = "multi_thread")]
async fn what_an_old_cargo_sends_is_published_and_the_index_says_what_the_crate_does() {
    let garth = own().start();
    let index = format!("sparse+{}/cargo/", garth.url);
    let manifest = format!(
        "license-file = \"LICENSE\"\nrust-version = \"1.60\"\n[dependencies.plant]\npackage = \"weed\"\nversion = \"1\"\noptional = true\nregistry-index = \"{index}\"\n[features]\ngrown = [\"dep:plant\"]\n"
    );
    let fields = json!({
        "license_file": "../LICENSE",
        "deps": [{
            "name": "weed", "version_req": "^1", "features": [], "optional": true,
            "default_features": true, "target": null, "kind": "normal", "registry": null,
            "explicit_name_in_toml": "plant",
        }],
        "features": { "grown": [] },
    });
    let published = NewCrate::with("seed", "1.0.0", &fields, &manifest).to(&garth).await;
    assert_eq!(published.status, 200, "{}", published.text());
    let line: Value = serde_json::from_str(&garth.get("/cargo/se/ed/seed").await.text()).unwrap();
    assert_eq!(line["features2"], json!({ "grown": ["dep:plant"] }), "{line}");
    assert_eq!(line["rust_version"], "1.60", "{line}");
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_and_yanks_are_asked_for_within_bounds() {
    let garth = own().start();
    assert_eq!(NewCrate::new("seed", "1.0.0").to(&garth).await.status, 200);
    let owners = "/cargo/api/v1/crates/seed/owners";
    for body in ["", "[]", "{}", "{\"users\":[]}", "{\"users\":[7]}", &"x".repeat(20_000)] {
        let answer = change(&garth, "PUT", owners, body.as_bytes()).await;
        assert_eq!(answer.status, 400, "{}", answer.text());
    }
    for (method, path) in [
        ("DELETE", "/cargo/api/v1/crates/weed/1.0.0/yank"),
        ("DELETE", "/cargo/api/v1/crates/seed/2.0.0/yank"),
        ("PUT", "/cargo/api/v1/crates/weed/owners"),
        ("GET", "/cargo/api/v1/crates/weed/owners"),
    ] {
        let answer = change(&garth, method, path, b"{\"users\":[\"admin\"]}").await;
        assert_eq!(answer.status, 404, "{method} {path}: {}", answer.text());
    }
    for query in ["per_page=x", &format!("q={}", "x".repeat(600))] {
        let answer = garth.get(&format!("/cargo/api/v1/crates?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
    }
    let answer = garth.get("/cargo/api/v1/crates?q=%25&per_page=1000000000000").await;
    assert_eq!(answer.json(), json!({ "crates": [], "meta": { "total": 0 } }));
}
