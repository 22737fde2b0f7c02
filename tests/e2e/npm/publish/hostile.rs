//! Bodies and archives that no client of good will sends.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use support::publish::{Publish, TarGz, gzip, integrity, put};
use support::server::{Setup, TestServer};
use tar::EntryType;

use super::{own, packument};

/// Nothing of `x` is there.
async fn assert_nothing_is_published(garth: &TestServer) {
    assert_eq!(garth.get("/npm/x").await.status, 404);
    let data = garth.setup().data();
    let begun = Instant::now();
    while std::fs::read_dir(data.join("stage")).unwrap().count() > 0 {
        assert!(begun.elapsed() < Duration::from_secs(10), "a stage is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_not_what_it_says_is_refused() {
    let garth = own().start();
    let good = Publish::new("x", "1.0.0").body();
    let changed = |change: &dyn Fn(&mut Value)| {
        let mut body = good.clone();
        change(&mut body);
        body.to_string()
    };
    let renamed = |file: &str| {
        changed(&|body| {
            let all = body["_attachments"].as_object_mut().unwrap();
            let (_, attachment) = all.clone().into_iter().next().unwrap();
            all.clear();
            all.insert(file.to_owned(), attachment);
        })
    };
    let manifest = |field: &'static str, value: Value| {
        changed(&|body| body["versions"]["1.0.0"][field] = value.clone())
    };
    let text = good.to_string();
    let file = "x-1.0.0.tgz";
    let twice = text.replacen("\"access\"", "\"versions\":{},\"access\"", 1);
    let rows = [
        ("no JSON", "x".to_owned()),
        ("empty", String::new()),
        ("cut", text[..text.len() - 5].to_owned()),
        ("something behind its end", format!("{text}{{}}")),
        ("a list", "[]".to_owned()),
        ("versions twice", twice),
        ("another name", changed(&|body| body["name"] = "y".into())),
        ("no name", changed(&|body| drop(body.as_object_mut().unwrap().remove("name")))),
        ("another name in the manifest", manifest("name", "y".into())),
        ("another version in the manifest", manifest("version", "1.0.1".into())),
        ("two versions", changed(&|body| body["versions"]["1.0.1"] = json!({}))),
        ("no versions", changed(&|body| body["versions"] = json!({}))),
        ("an attachment elsewhere", renamed("../x")),
        ("an attachment above", renamed("../x-1.0.0.tgz")),
        ("an attachment of another package", renamed("y-1.0.0.tgz")),
        ("an attachment of another version", renamed("x-1.0.1.tgz")),
        ("an attachment of no kind", renamed("x-1.0.0.zip")),
        ("two tarballs", changed(&|body| body["_attachments"]["y.tgz"] = json!({ "data": "" }))),
        ("a wrong length", changed(&|body| body["_attachments"][file]["length"] = 1.into())),
        (
            "a length that is none",
            changed(&|body| body["_attachments"][file]["length"] = (-1).into()),
        ),
        ("no base64", changed(&|body| body["_attachments"][file]["data"] = "%%%%".into())),
        ("no data", changed(&|body| body["_attachments"][file] = json!({ "length": 1 }))),
        ("a tag to another version", changed(&|body| body["dist-tags"]["latest"] = "2.0.0".into())),
        ("a tag that is a range", changed(&|body| body["dist-tags"] = json!({ "^1": "1.0.0" }))),
        ("tags that are none", changed(&|body| body["dist-tags"] = json!({ "latest": 1 }))),
        (
            "a wrong integrity",
            manifest("dist", json!({ "integrity": integrity(b"something else") })),
        ),
        ("no integrity at all", manifest("dist", json!({ "integrity": "" }))),
        ("a wrong shasum", manifest("dist", json!({ "shasum": "a".repeat(40) }))),
        ("depth", format!("{{\"deep\":{}", "[".repeat(100_000))),
        ("a value of 3 MB", changed(&|body| body["readme"] = "x".repeat(3 << 20).into())),
        ("a manifest of 3 MB", manifest("keywords", "x".repeat(3 << 20).into())),
    ];
    for (what, body) in rows {
        let answer = put(&garth, "/npm/x", &body).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        assert!(answer.text().len() < 1000, "{what}: {}", answer.text());
    }
    assert_nothing_is_published(&garth).await;
    assert_eq!(put(&garth, "/npm/x", &text).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_may_come_in_any_order() {
    let garth = own().start();
    for (n, order) in [
        ["_attachments", "versions", "dist-tags", "name"],
        ["name", "dist-tags", "versions", "_attachments"],
        ["versions", "_attachments", "name", "dist-tags"],
    ]
    .iter()
    .enumerate()
    {
        let name = format!("order{n}");
        let body = Publish::new(&name, "1.0.0").body();
        let fields: Vec<String> =
            order.iter().map(|key| format!("\"{key}\":{}", body[key])).collect();
        let answer =
            put(&garth, &format!("/npm/{name}"), &format!("{{{}}}", fields.join(","))).await;
        assert_eq!(answer.status, 201, "{order:?}: {}", answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_versions_that_nobody_should_publish_are_refused() {
    let garth = own().start();
    for (name, version) in [
        ("JSONStream", "1.0.0"),
        ("_x", "1.0.0"),
        ("x~y", "1.0.0"),
        ("x", "1.0"),
        ("x", "v1.0.0"),
        ("x", "1.0.0+build"),
        ("x", "latest"),
    ] {
        let answer = Publish::new(name, version).to(&garth).await;
        assert_eq!(answer.status, 400, "{name}@{version}: {}", answer.text());
    }
    assert_eq!(Publish::new("left-pad", "1.0.0").to(&garth).await.status, 201);
    for name in ["left_pad", "leftpad", "left.pad"] {
        let answer = Publish::new(name, "1.0.0").to(&garth).await;
        assert_eq!(answer.status, 409, "{name}: {}", answer.text());
        assert!(answer.text().contains("left-pad"), "{}", answer.text());
    }
}

/// Published metadata that differs from the archive's own manifest.
#[tokio::test(flavor = "multi_thread")]
async fn what_installs_go_by_has_to_stand_in_the_archive_too() {
    let garth = own().start();
    let rows = [
        ("dependencies", json!({ "evil": "1" })),
        ("optionalDependencies", json!({ "evil": "1" })),
        ("peerDependencies", json!({ "evil": "1" })),
        ("bundleDependencies", json!(["evil"])),
        ("bin", json!({ "sudo": "index.js" })),
        ("scripts", json!({ "postinstall": "evil" })),
        ("engines", json!({ "node": "1" })),
        ("os", json!(["plan9"])),
        ("license", json!("MIT")),
    ];
    for (field, value) in rows {
        let plain = json!({ "name": "x", "version": "1.0.0" });
        let mut more = plain.clone();
        more[field] = value;
        let mut added = Publish::of(&plain);
        added.manifest = more.clone();
        let mut left_out = Publish::of(&more);
        left_out.manifest = plain;
        for publish in [added, left_out] {
            let answer = publish.to(&garth).await;
            assert_eq!(answer.status, 400, "{field}: {}", answer.text());
            // What is bundled is a dependency too.
            let named = answer.text().contains(field) || field == "bundleDependencies";
            assert!(named, "{field}: {}", answer.text());
        }
    }
    assert_nothing_is_published(&garth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_leaves_its_place_is_refused() {
    let garth = own().start();
    let manifest = json!({ "name": "x", "version": "1.0.0" }).to_string();
    let with = |kind, path: &str, link: Option<&str>| {
        TarGz::new()
            .file("package/package.json", manifest.as_bytes())
            .entry(kind, path, link, b"")
            .finish()
    };
    let file = |path: &str| with(EntryType::Regular, path, None);
    let good = || TarGz::new().file("package/package.json", manifest.as_bytes());
    let hidden = {
        let mut tar = good().tar();
        // Behind the two empty blocks some readers look on, and others do not.
        tar.extend(TarGz::new().file("package/package.json", b"{}").tar());
        gzip(&tar)
    };
    let rows = [
        ("a symlink", with(EntryType::Symlink, "package/a", Some("/etc/passwd"))),
        ("a link", with(EntryType::Link, "package/a", Some("package/package.json"))),
        ("a device", with(EntryType::Char, "package/a", None)),
        ("a pipe", with(EntryType::Fifo, "package/a", None)),
        ("an absolute path", file("/etc/passwd")),
        ("a way up", file("package/../../a")),
        ("a way up at once", file("../a")),
        ("a backslash", file("package\\..\\a")),
        ("a drive", file("package/C:/a")),
        ("a line break", file("package/a\nb")),
        ("a second manifest behind a dot", file("package/./package.json")),
        ("a double slash", file("package//a")),
        ("a second manifest", file("other/package.json")),
        ("a manifest in capitals", file("package/PACKAGE.json")),
        ("a file beside the root", file("a")),
        ("something behind its end", hidden),
        // What is a text file for one reader is the manifest for another, npm among them.
        ("two names for one file", {
            let path = b"29 path=package/package.json\n";
            good()
                .entry(EntryType::GNULongName, "././@LongLink", None, b"package/x.txt\0")
                .entry(EntryType::XHeader, "PaxHeader", None, path)
                .file("package/x.txt", b"{}")
                .finish()
        }),
        ("a header for all behind one for a file", {
            let path = b"29 path=package/package.json\n";
            good()
                .entry(EntryType::XHeader, "PaxHeader", None, path)
                .entry(EntryType::XGlobalHeader, "pax_global_header", None, b"13 comment=1\n")
                .file("package/x.txt", b"{}")
                .finish()
        }),
        ("no manifest", TarGz::new().file("package/index.js", b"").finish()),
        ("a manifest that is none", TarGz::new().file("package/package.json", b"[]").finish()),
        ("no gzip", good().tar()),
        ("no tar", gzip(&[b'x'; 2000])),
        ("cut", {
            let whole = good().file("package/big", &vec![7; 100_000]).finish();
            whole[..whole.len() / 2].to_vec()
        }),
        ("empty", Vec::new()),
    ];
    for (what, archive) in rows {
        let answer = Publish::new("x", "1.0.0").archive(archive).to(&garth).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    }
    assert_nothing_is_published(&garth).await;
    let answer = Publish::new("x", "1.0.0").archive(good().finish()).to(&garth).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
}

/// Whoever reads a packument, and every rule that decides by it, goes by what the archive says.
#[tokio::test(flavor = "multi_thread")]
async fn what_people_and_rules_go_by_has_to_stand_in_the_archive_too() {
    let garth = own().start();
    let archived = json!({
        "name": "x", "version": "1.0.0", "license": "GPL-3.0-only", "description": "good",
        "repository": "acme/x", "exports": "./index.js", "author": "Ann",
    });
    let rows = [
        ("license", json!("MIT")),
        ("license", Value::Null),
        ("description", json!("bad")),
        ("repository", json!({ "type": "git", "url": "git+https://github.com/evil/x.git" })),
        ("exports", json!({ ".": "./evil.js" })),
        ("exports", Value::Null),
        ("author", json!({ "name": "Eve" })),
        ("main", json!("./evil.js")),
        ("module", json!("./evil.js")),
        ("imports", json!({ "#x": "./evil.js" })),
        ("type", json!("module")),
        ("keywords", json!(["popular"])),
        ("overrides", json!({ "a": "1" })),
        ("resolutions", json!({ "a": "1" })),
        ("publishConfig", json!({ "access": "public" })),
        ("funding", json!("https://evil.example")),
        ("config", json!({ "port": 1 })),
        ("files", json!(["evil.js"])),
        ("libc", json!(["musl"])),
        ("devDependencies", json!({ "evil": "1" })),
        ("deprecated", json!("use evil instead")),
        ("scripts", json!({ "test": "evil" })),
        ("_scripts\u{1b}", json!("evil")),
    ];
    for (field, value) in rows {
        let mut publish = Publish::of(&archived);
        publish.manifest[field] = value;
        if field.starts_with('_') {
            publish.manifest["no\u{1b}[31mbody"] = json!(1);
        }
        let answer = publish.to(&garth).await;
        assert_eq!(answer.status, 400, "{field}: {}", answer.text());
        assert!(!answer.text().contains('\u{1b}'), "{}", answer.text());
        assert!(field.starts_with('_') || answer.text().contains(field), "{}", answer.text());
    }
    assert_nothing_is_published(&garth).await;

    // Clients fill these in, so they are no reason to refuse, and have no effect.
    let plain = json!({ "name": "x", "version": "1.0.0" });
    let mut publish = Publish::of(&plain);
    for (field, value) in [
        ("description", json!("bad")),
        ("homepage", json!("https://evil.example")),
        ("bugs", json!({ "url": "https://evil.example" })),
        ("contributors", json!([{ "name": "Eve" }])),
        ("maintainers", json!([{ "name": "Eve" }])),
        ("types", json!("./evil.d.ts")),
        ("man", json!(["./evil.1"])),
        ("scripts", json!({ "start": "node server.js" })),
        ("license", json!("MIT")),
        ("licenseText", json!("evil")),
        ("readme", json!("evil")),
        ("hasInstallScript", json!(true)),
        ("gitHead", json!("evil<script>")),
        ("_npmUser", json!({ "name": "eve" })),
        ("_evil", json!(1)),
    ] {
        publish.manifest[field] = value;
    }
    let mut body = publish.body();
    for field in ["description", "homepage", "license", "readme", "readmeFilename", "time"] {
        body[field] = "evil".into();
    }
    let answer = put(&garth, "/npm/x", &body.to_string()).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let mut stored = packument(&garth, "x").await;
    let human = json!({ "name": "admin", "email": "" });
    let shown = stored["versions"]["1.0.0"].as_object_mut().unwrap();
    shown.remove("dist");
    let expected = json!({
        "name": "x", "version": "1.0.0", "_id": "x@1.0.0", "_hasShrinkwrap": false,
        "_npmUser": human, "maintainers": [human],
    });
    assert_eq!(Value::Object(shown.clone()), expected);
    assert!(!stored.to_string().contains("evil"), "{stored}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_readme_is_the_one_in_the_archive() {
    let garth = own().start();
    let manifest = json!({ "name": "x", "version": "1.0.0" });
    let archive = TarGz::new()
        .file("package/package.json", manifest.to_string().as_bytes())
        .file("package/readme", b"plain")
        .file("package/Readme.md", b"# good\n\xff")
        .file("package/README.txt", b"text")
        .file("package/docs/README.md", b"deeper")
        .finish();
    let mut body = Publish::of(&manifest).archive(archive).body();
    body["readme"] = "evil".into();
    body["versions"]["1.0.0"]["readme"] = "evil".into();
    assert_eq!(put(&garth, "/npm/x", &body.to_string()).await.status, 201);
    let stored = packument(&garth, "x").await;
    assert_eq!(stored["readme"], "# good\n\u{fffd}");
    assert_eq!(stored["readmeFilename"], "Readme.md");
}

/// Memory and time stay what they are for a good one.
#[tokio::test(flavor = "multi_thread")]
async fn bombs_are_refused_within_bounds() {
    let garth = own().start();
    let manifest = json!({ "name": "x", "version": "1.0.0" }).to_string();
    let good = || TarGz::new().file("package/package.json", manifest.as_bytes());
    let zeros = good().file("package/zeros", &vec![0; 300 << 20]).finish();
    let mut many = good();
    for n in 0..150_000 {
        many = many.file(&format!("package/{n}"), b"");
    }
    let name = good().entry(EntryType::GNULongName, "x", None, &vec![b'a'; 200 << 20]).finish();
    let manifest_bomb = TarGz::new()
        .file("package/package.json", &[b"[".repeat(3 << 20), b"]".to_vec()].concat())
        .finish();
    let deep = TarGz::new().file("package/package.json", &b"[".repeat(1 << 20)).finish();
    for (what, archive) in [
        ("zeros", zeros),
        ("many entries", many.finish()),
        ("a long name", name),
        ("a large manifest", manifest_bomb),
        ("a deep manifest", deep),
    ] {
        let begun = Instant::now();
        let answer = Publish::new("x", "1.0.0").archive(archive).to(&garth).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}: {:?}", begun.elapsed());
    }
    let status = std::fs::read_to_string(format!("/proc/{}/status", garth.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 250_000, "{peak} KB");
    assert_nothing_is_published(&garth).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_package_is_published_without_being_in_memory() {
    let garth = Setup::new("[limits]\npublish_bytes = \"256MiB\"\n[registry.npm]\n").start();
    let manifest = json!({ "name": "x", "version": "1.0.0" }).to_string();
    // Not to be compressed.
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..120 << 20)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            u8::try_from(state >> 56).unwrap()
        })
        .collect();
    let archive = TarGz::new()
        .file("package/package.json", manifest.as_bytes())
        .file("package/noise", &noise)
        .finish();
    let expected = integrity(&archive);
    let answer = Publish::new("x", "1.0.0").archive(archive.clone()).to(&garth).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let status = std::fs::read_to_string(format!("/proc/{}/status", garth.pid())).unwrap();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 100_000, "{peak} KB");
    assert_eq!(packument(&garth, "x").await["versions"]["1.0.0"]["dist"]["integrity"], expected);
    let served = garth.get("/npm/x/-/x-1.0.0.tgz").await;
    assert_eq!(served.whole().as_deref(), Some(archive.as_slice()));

    let small = Setup::new("[limits]\npublish_bytes = \"1MiB\"\n[registry.npm]\n").start();
    let answer = Publish::new("x", "1.0.0").archive(archive).to(&small).await;
    assert_eq!(answer.status, 413, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn provenance_is_kept_and_is_about_this_tarball() {
    let garth = own().start();
    let publish = Publish::new("@acme/ui", "1.0.0");
    let sha512 = {
        let sri = integrity(&publish.archive);
        let bytes = BASE64_STANDARD.decode(sri.strip_prefix("sha512-").unwrap()).unwrap();
        hex::encode(bytes)
    };
    let bundle = |purl: &str, digest: &str| {
        let statement = json!({
            "subject": [{ "name": purl, "digest": { "sha512": digest } }],
            "predicateType": "https://slsa.dev/provenance/v1",
        });
        json!({ "dsseEnvelope": { "payload": BASE64_STANDARD.encode(statement.to_string()) } })
            .to_string()
    };
    let with = |file: &str, bundle: &str| {
        let mut body = publish.body();
        body["_attachments"][file] = json!({ "data": bundle, "length": bundle.len() });
        body.to_string()
    };
    let (file, purl) = ("@acme/ui-1.0.0.sigstore", "pkg:npm/%40acme/ui@1.0.0");
    for (what, body) in [
        ("another package", with(file, &bundle("pkg:npm/x@1.0.0", &sha512))),
        ("another tarball", with(file, &bundle(purl, &"a".repeat(128)))),
        ("no bundle", with(file, "{}")),
        ("another file", with("x-1.0.0.sigstore", &bundle(purl, &sha512))),
    ] {
        let answer = put(&garth, "/npm/@acme%2fui", &body).await;
        assert_eq!(answer.status, 400, "{what}: {}", answer.text());
    }
    let answer = put(&garth, "/npm/@acme%2fui", &with(file, &bundle(purl, &sha512))).await;
    assert_eq!(answer.status, 201, "{}", answer.text());
    let stored = packument(&garth, "@acme/ui").await;
    let attestations = &stored["versions"]["1.0.0"]["dist"]["attestations"];
    let url = format!("{}/npm/-/npm/v1/attestations/@acme%2fui@1.0.0", garth.url);
    assert_eq!(attestations["url"], url.as_str());
    assert_eq!(attestations["provenance"]["predicateType"], "https://slsa.dev/provenance/v1");

    // As it is asked for now, and as npm before 11 asks for it.
    let ways =
        ["", "/npm"].map(|base| format!("/npm{base}/-/npm/v1/attestations/@acme%2fui@1.0.0"));
    for way in &ways {
        let told = garth.get(way).await.json();
        let told = &told["attestations"][0];
        assert_eq!(told["predicateType"], "https://slsa.dev/provenance/v1", "{way}");
        assert_eq!(told["bundle"].to_string(), bundle(purl, &sha512), "{way}");
    }
    let (setup, _) = garth.stop();
    let garth = setup.start();
    assert_eq!(garth.get(&ways[0]).await.status, 200, "also after a restart");
    let none = garth.get("/npm/-/npm/v1/attestations/@acme%2fui@2.0.0").await;
    assert_eq!(none.status, 404, "{}", none.text());

    // The settings forget the name: it stays ours, and nobody else hears of it.
    let kept = garth.get(&ways[0]).await.json();
    let up = super::super::upstream().await;
    let theirs = json!({ "attestations": [{ "predicateType": "theirs", "bundle": {} }] });
    for spelling in ["@acme/ui", "@acme%2fui"] {
        let path = format!("/-/npm/v1/attestations/{spelling}@1.0.0");
        up.place(&path, "application/json", theirs.to_string());
    }
    let (setup, _) = garth.stop();
    let garth = setup.with_env("GARTH_REGISTRY_NPM_UPSTREAM", up.url().as_str()).start();
    garth.run(&["allow", "npm:@acme/ui"]);
    assert_eq!(garth.get(&ways[0]).await.json(), kept);
    assert_eq!(up.total_requests(), 0, "{:?}", up.recorded());

    garth.run(&["deny", "npm:@acme/ui@1.0.0"]);
    for way in &ways {
        assert_eq!(garth.get(way).await.status, 403, "{way}");
    }
}
