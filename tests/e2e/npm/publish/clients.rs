//! Each of the five publishes in its own way, and installs what it published.

use serde_json::json;
use support::package_managers::{Kind, PackageManager};

use super::{error_of, log_in, own, package, packument, publisher};

#[tokio::test(flavor = "multi_thread")]
async fn what_npm_publishes_npm_installs() {
    let garth = own().start();
    let npm = publisher(&garth);
    for name in ["left-pad", "@acme/ui"] {
        package(&npm, name, "1.0.0", &json!({ "description": "padding" }));
        npm.must(&["publish"]);
        assert!(npm.must(&["view", name]).stdout.contains("padding"));
        package(&npm, name, "1.1.0-beta.1", &json!({}));
        npm.must(&["publish", "--tag", "next", "--access", "public"]);

        let reader = super::super::npm(&garth);
        reader.must(&["install", name]);
        assert_eq!(reader.installed(name).as_deref(), Some("1.0.0"));
        reader.must(&["install", &format!("{name}@next")]);
        assert_eq!(reader.installed(name).as_deref(), Some("1.1.0-beta.1"));
        reader.forget();
        reader.must(&["ci"]);
        assert!(reader.read(&format!("node_modules/{name}/index.js")).is_some());
    }
}

/// Berry takes nothing that is younger than a day, unless it is told to.
const AT_ONCE: &str = "npmMinimalAgeGate: 0\n";

/// Whatever a client makes of a manifest before it sends it, it is recognised in the archive.
#[tokio::test(flavor = "multi_thread")]
async fn each_client_publishes_a_package_with_everything_that_is_compared() {
    let garth = own().start();
    let full = json!({
        "description": "all of it",
        "license": "MIT",
        "bin": "./cli.js",
        "scripts": { "postinstall": "node ./index.js", "test": "node_modules/.bin/x" },
        "dependencies": { "dep": "^1.0.0" },
        "optionalDependencies": { "extra": "~1.0.0" },
        "peerDependencies": { "peer": "*" },
        "peerDependenciesMeta": { "peer": { "optional": true } },
        "engines": { "node": ">=10" },
        "os": ["linux", "darwin"],
        "cpu": ["x64", "arm64"],
        "keywords": "one, two",
        "homepage": "example.com/ui",
        "bugs": "https://example.com/bugs",
        "repository": "acme/ui",
        "author": "Ann <ann@example.com> (https://example.com)",
        "contributors": ["Bob <bob@example.com>", { "name": "Cy", "mail": "cy@example.com" }],
        "main": "./index.js",
        "exports": { ".": { "import": "./index.mjs", "default": "./index.js" }, "./x": null },
        "imports": { "#x": "./x.js" },
        "type": "commonjs",
        "config": { "port": "80" },
        "funding": "https://example.com/fund",
        "man": "./ui.1",
        "directories": { "lib": "lib" },
        "publishConfig": { "access": "public" },
        "sideEffects": false,
    });
    let npm = publisher(&garth);
    for dependency in ["dep", "extra", "peer"] {
        package(&npm, dependency, "1.0.0", &json!({}));
        npm.must(&["publish"]);
    }
    for kind in Kind::ALL {
        let person = PackageManager::new(kind, &format!("{}/npm/", garth.url));
        log_in(&person, &garth);
        let name = format!("@acme/by-{}", kind.name());
        package(&person, &name, "1.0.0", &full);
        person.write("cli.js", "#!/usr/bin/env node\nconsole.log('cli')\n");
        for file in ["index.mjs", "x.js", "ui.1", "server.js", "index.d.ts", "LICENSE", "AUTHORS"] {
            person.write(file, "// Eve\n");
        }
        publish(&person, &garth.url, &garth.admin_token());
        let stored = packument(&garth, &name).await;
        let version = &stored["versions"]["1.0.0"];
        assert_eq!(version["dependencies"]["dep"], "^1.0.0", "{name}: {stored}");
        assert_eq!(version["hasInstallScript"], true, "{name}");
        assert_eq!(version["_npmUser"]["name"], "admin", "{name}");
        assert_eq!(stored["dist-tags"]["latest"], "1.0.0", "{name}");
        // What is shown is the same whoever published it.
        let mut shown = version.clone();
        for field in ["_id", "_nodeVersion", "_npmVersion", "dist", "gitHead", "name", "bin"] {
            shown.as_object_mut().unwrap().remove(field);
        }
        insta::assert_json_snapshot!("the_manifest_of_each_client", shown);
        assert_eq!(stored["readme"], format!("# {name} 1.0.0\n"), "{name}");

        let reader = PackageManager::new(kind, &format!("{}/npm/", garth.url));
        let no_scripts = match kind {
            Kind::Berry => "--mode=skip-build",
            _ => "--ignore-scripts",
        };
        if kind == Kind::Berry {
            reader.write(".yarnrc.yml", AT_ONCE);
        }
        reader.must(&[kind.add(), no_scripts, &name]);
        assert_eq!(reader.installed(&name).as_deref(), Some("1.0.0"), "{name}");

        let again = publish_again(&person, &garth.url, &garth.admin_token());
        assert!(!again.success, "{name} was published twice: {}", again.text());
    }
}

/// Yarn classic names a licence that it finds in the files where the manifest has none.
#[tokio::test(flavor = "multi_thread")]
async fn the_licence_of_a_package_is_the_one_in_its_manifest() {
    let garth = own().start();
    let yarn = PackageManager::new(Kind::Yarn, &format!("{}/npm/", garth.url));
    log_in(&yarn, &garth);
    package(&yarn, "x", "1.0.0", &json!({}));
    let house = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let mit = std::fs::read_to_string(house.join("LICENSE-MIT")).unwrap();
    yarn.write("LICENSE", &mit);
    publish(&yarn, &garth.url, &garth.admin_token());
    let stored = packument(&garth, "x").await;
    assert_eq!(stored["versions"]["1.0.0"].get("license"), None, "{stored}");
    assert_eq!(stored.get("license"), None, "{stored}");
}

fn publish(person: &PackageManager, url: &str, token: &str) {
    let printed = publish_again(person, url, token);
    assert!(printed.success, "{}: {}", person.kind().name(), printed.text());
}

fn publish_again(
    person: &PackageManager,
    url: &str,
    token: &str,
) -> support::package_managers::Printed {
    match person.kind() {
        Kind::Npm | Kind::Bun => person.run(&["publish"]),
        Kind::Pnpm => person.run(&["publish", "--no-git-checks"]),
        Kind::Yarn => person.run(&["publish", "--non-interactive", "--new-version", "1.0.0"]),
        Kind::Berry => {
            let yarnrc = format!(
                "npmPublishRegistry: \"{url}/npm\"\nnpmRegistryServer: \"{url}/npm\"\nnpmAuthToken: \"{token}\"\n{AT_ONCE}"
            );
            person.write(".yarnrc.yml", &yarnrc);
            person.write("yarn.lock", "");
            person.must(&["install"]);
            person.run(&["npm", "publish"])
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_built_addon_and_a_directory_of_commands_are_recognised_in_the_archive() {
    let garth = own().start();
    let npm = publisher(&garth);
    package(&npm, "addon", "1.0.0", &json!({ "directories": { "bin": "./bin" } }));
    std::fs::create_dir_all(npm.project().join("bin/sub")).unwrap();
    npm.write("bin/one", "#!/bin/sh\n");
    npm.write("bin/sub/two", "#!/bin/sh\n");
    npm.write("binding.gyp", "{}");
    npm.must(&["publish"]);
    let stored = packument(&garth, "addon").await;
    let version = &stored["versions"]["1.0.0"];
    assert_eq!(version["hasInstallScript"], true);
    assert_eq!(version["bin"]["one"], "bin/one");
    let short = garth
        .ask(
            &support::http::Asked::get("/npm/addon")
                .header("Accept", "application/vnd.npm.install-v1+json"),
        )
        .await
        .json();
    assert_eq!(short["versions"]["1.0.0"]["hasInstallScript"], true);
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_prints_why_it_may_not_publish() {
    let up = super::super::upstream().await;
    let settings = format!("[registry.npm]\nupstream = \"{}\"\nown = [\"@acme/*\"]\n", up.url());
    let garth = support::server::Setup::new(&settings).start();
    let npm = publisher(&garth);
    package(&npm, "elsewhere", "1.0.0", &json!({}));
    let printed = npm.must_fail(&["publish"]);
    insta::assert_snapshot!("a_name_that_is_not_own", error_of(&npm.redacted(&printed)));
    package(&npm, "@acme-evil/x", "1.0.0", &json!({}));
    npm.must_fail(&["publish"]);

    package(&npm, "@acme/ui", "1.0.0", &json!({}));
    npm.must(&["publish"]);
    let printed = npm.must_fail(&["publish", "--force"]);
    insta::assert_snapshot!("a_version_that_is_there", error_of(&npm.redacted(&printed)));
    package(&npm, "@acme/u_i", "1.0.0", &json!({}));
    let printed = npm.must_fail(&["publish"]);
    insta::assert_snapshot!("a_name_like_another", error_of(&npm.redacted(&printed)));

    let stranger = super::super::npm(&garth);
    std::fs::write(
        stranger.home().join(".npmrc"),
        format!("{}/npm/:_authToken=garth_wrong\n", garth.url.strip_prefix("http:").unwrap()),
    )
    .unwrap();
    package(&stranger, "@acme/ui", "1.0.1", &json!({}));
    let printed = stranger.must_fail(&["publish"]);
    assert!(printed.text().contains("401"), "{}", printed.text());
    for path in ["/elsewhere", "/@acme/ui", "/@acme/u_i", "/@acme-evil/x"] {
        let asked = up.requests(path);
        let own = path.starts_with("/@acme/");
        assert!(!own || asked == 0, "{path} was asked of the upstream");
    }
}
