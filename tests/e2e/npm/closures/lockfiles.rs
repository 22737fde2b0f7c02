//! A lockfile as one rule.

use serde_json::{Value, json};
use support::upstream::ScriptedUpstream;

use super::{npm, publish, setup};

const TREE: &str = "app@1.0.0: a@^1 old@npm:left@1.0.0
    a@1.0.0: left@^1 ^peer@*
    left@1.0.0:
    left@1.5.0:
    peer@2.0.0:";

#[tokio::test(flavor = "multi_thread")]
async fn after_an_allow_from_a_lockfile_npm_ci_works() {
    let up = ScriptedUpstream::start().await;
    publish(&up, "", TREE);
    let garth = setup(&up).start();
    let npm = npm(&garth);
    npm.write("package.json", "{\"name\":\"shop\",\"version\":\"1.0.0\"}");
    let everything = garth.run(&["allow", "npm:*", "--name", "everything"]);
    assert!(everything.contains("allowed"), "{everything}");
    npm.must(&["install", "app"]);
    garth.run(&["rules", "remove", "everything"]);
    npm.forget();
    npm.must_fail(&["ci"]);

    garth.run(&["allow", "npm:peer", "--name", "peer"]);
    let lockfile = npm.project().join("package-lock.json");
    let lockfile = lockfile.to_str().unwrap();
    let shown = garth.run(&["allow", "--from", lockfile, "--dry-run"]);
    assert!(shown.contains("names 5 versions: 1 allowed already, 4 to allow"), "{shown}");
    assert!(shown.contains("nothing was changed"), "{shown}");
    let said = garth.run(&["allow", "--from", lockfile, "--reason", "SHOP-1"]);
    assert!(said.contains("(rule allow-lockfile-of-shop)"), "{said}");
    npm.must(&["ci"]);
    assert_eq!(npm.installed("left").as_deref(), Some("1.5.0"));
    assert_eq!(npm.installed("old").as_deref(), Some("1.0.0"));
    let again = garth.run(&["allow", "--from", lockfile]);
    assert!(again.contains("nothing to do"), "{again}");

    let said = garth.run(&["deny", "--from", lockfile, "--reason", "INC-9"]);
    assert!(said.contains("denied: npm:a@1.0.0 and 4 more (rule deny-lockfile-of-shop)"), "{said}");
    npm.forget();
    npm.must_fail(&["ci"]);
    let output = garth.garth(&["allow", "--from", lockfile]);
    let said = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.starts_with("still denied: npm:a@1.0.0, npm:app@1.0.0, npm:left@1.0.0"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rule_could_speak_of_is_named_and_left_out() {
    let up = ScriptedUpstream::start().await;
    publish(&up, "", TREE);
    let garth = setup(&up).start();
    let npm = npm(&garth);
    let lockfile = json!({ "name": "shop", "lockfileVersion": 3, "packages": {
        "": { "name": "shop", "version": "1.0.0", "workspaces": ["tools"] },
        "node_modules/a": { "version": "1.0.0" },
        "node_modules/a/node_modules/inside": { "version": "1.0.0", "inBundle": true },
        "node_modules/gone": { "version": "1.0.0" },
        "node_modules/git": {
            "version": "1.0.0", "resolved": "git+https://git.example.com/o/git.git#0123",
        },
        "node_modules/tools": { "resolved": "tools", "link": true },
        "tools": { "version": "1.0.0" },
    }});
    npm.write("package-lock.json", &lockfile.to_string());
    let path = npm.project().join("package-lock.json");
    let output = garth.garth(&["allow", "--from", path.to_str().unwrap(), "--json"]);
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(said["packages"], json!(["npm:a@1.0.0", "npm:gone@1.0.0"]), "{said:#}");
    assert_eq!(said["left_out"]["bundled"], 1);
    let elsewhere = said["left_out"]["elsewhere"].to_string();
    assert!(
        elsewhere.contains("git (the repository") && elsewhere.contains("tools"),
        "{elsewhere}"
    );
    assert_eq!(said["unknown"][0]["package"], "npm:gone@1.0.0");
    assert_eq!(said["rule"]["name"], "allow-lockfile-of-shop");

    npm.write("Cargo.lock", "version = 4\n\n[[package]]\nname = \"serde\"\nversion = \"1.0.1\"\nsource = \"sparse+https://crates.example.com/index/\"\n");
    let path = npm.project().join("Cargo.lock");
    let said = garth.run(&["allow", "--from", path.to_str().unwrap()]);
    let other = "left out: 1 version from sparse+https://crates.example.com/index/";
    assert!(said.contains(other) && said.contains("nothing to do"), "{said}");

    for (file, text) in [("package-lock.json", "{"), ("notes.txt", "hello")] {
        npm.write(file, text);
        let path = npm.project().join(file);
        let output = garth.garth(&["allow", "--from", path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert!(!output.stderr.is_empty(), "{file}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lockfile_of_thousands_is_one_rule() {
    const COUNT: usize = 4000;
    let up = ScriptedUpstream::start().await;
    for n in 0..COUNT {
        up.npm(&format!("package-number-{n}")).plain_version("1.0.0").publish();
    }
    let garth = setup(&up).start();
    let npm = npm(&garth);
    let mut packages: serde_json::Map<String, Value> = (0..COUNT)
        .map(|n| (format!("node_modules/package-number-{n}"), json!({ "version": "1.0.0" })))
        .collect();
    packages.insert(String::new(), json!({ "name": "huge", "version": "1.0.0" }));
    let lockfile = json!({ "name": "huge", "lockfileVersion": 3, "packages": packages });
    npm.write("package-lock.json", &lockfile.to_string());
    let path = npm.project().join("package-lock.json");
    let said = garth.run(&["allow", "--from", path.to_str().unwrap()]);
    assert!(said.contains("and 3999 more (rule allow-lockfile-of-huge)"), "{said}");
    let path = "/npm/package-number-3999/-/package-number-3999-1.0.0.tgz";
    assert_eq!(garth.get(path).await.status, 200);
    let garth = garth.kill().start();
    assert_eq!(garth.get(path).await.status, 200);
    let listed = garth.run(&["rules", "list"]);
    assert!(listed.contains("and 3995 more"), "{listed}");
}
