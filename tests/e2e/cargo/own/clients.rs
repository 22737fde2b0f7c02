//! The real cargo, and everything that it does with a crate of one's own.

use std::collections::BTreeSet;

use serde_json::Value;
use support::cargo::Cargo;
use support::crates::Crate;
use support::upstream::{Generated, ScriptedUpstream};

use super::{PUBLISH, become_crate, own, person, publisher};

const PERMISSIVE: &str = "[[rule]]\nname = \"permissive\"\neffect = \"deny\"\npackages = [\"cargo:*\"]\n\
                          when = \"!licence.allowed(['family:permissive'])\"\n";

/// The lines of an index file.
async fn index(garth: &support::server::TestServer, path: &str) -> Vec<Value> {
    let answer = garth.get(path).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.text().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cargo_publishes_another_project_builds_with() {
    let garth = own().start();
    let ann = publisher(&garth);
    become_crate(&ann, "acme-log", "1.0.0", "");
    let printed = ann.must(PUBLISH);
    assert!(printed.text().contains("Published acme-log v1.0.0"), "{}", printed.text());

    let bob = person(&garth);
    bob.depend("acme-log = { version = \"1\", registry = \"garth\" }");
    bob.must(&["build"]);
    assert_eq!(bob.locked("acme-log").as_deref(), Some("1.0.0"));
    become_crate(&ann, "acme-log", "1.1.0", "");
    ann.must(PUBLISH);
    bob.must(&["update"]);
    assert_eq!(bob.locked("acme-log").as_deref(), Some("1.1.0"));
    bob.must(&["build"]);
    assert!(garth.log().contains("published"), "the log tells of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_is_published_once_and_cargo_says_why_another_is_not() {
    let garth = own().start();
    let ann = publisher(&garth);
    become_crate(&ann, "acme-log", "1.0.0+a", "");
    ann.must(PUBLISH);
    let again = ann.must_fail(PUBLISH);
    assert!(again.text().contains("already exists"), "{}", again.text());
    // What cargo does not find out by itself.
    become_crate(&ann, "acme-log", "1.0.0+b", "");
    let build = ann.must_fail(PUBLISH).text();
    assert!(build.contains("already"), "{build}");
    for name in ["acme_log", "Acme-Log"] {
        become_crate(&ann, name, "2.0.0", "");
        let refused = ann.must_fail(PUBLISH).text();
        assert!(refused.contains("409") && refused.contains("acme-log"), "{name}: {refused}");
    }
    become_crate(&ann, "std", "2.0.0", "");
    let reserved =
        ann.must_fail(&["publish", "--registry", "garth", "--allow-dirty", "--no-verify"]);
    assert!(reserved.text().contains("comes with the compiler"), "{}", reserved.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_yanked_version_stays_for_those_who_have_it_and_comes_back() {
    let garth = own().start();
    let ann = publisher(&garth);
    for version in ["1.0.0", "1.1.0"] {
        become_crate(&ann, "acme-log", version, "");
        ann.must(PUBLISH);
    }
    let bob = person(&garth);
    bob.depend("acme-log = { version = \"1\", registry = \"garth\" }");
    bob.must(&["fetch"]);
    let yank = ["yank", "--registry", "garth", "acme-log@1.1.0"];
    ann.must(&yank);
    bob.forget();
    bob.must(&["fetch", "--locked"]);
    assert_eq!(bob.locked("acme-log").as_deref(), Some("1.1.0"), "the lockfile has it");
    let eve = person(&garth);
    eve.depend("acme-log = { version = \"1\", registry = \"garth\" }");
    eve.must(&["fetch"]);
    assert_eq!(eve.locked("acme-log").as_deref(), Some("1.0.0"), "a new one does not");
    become_crate(&ann, "acme-log", "1.2.0", "");
    ann.must(PUBLISH);
    garth.run(&["deny", "cargo:acme-log@1.2.0", "--reason", "not yet"]);
    let found = ann.must(&["search", "--registry", "garth", "acme"]).text();
    assert!(
        found.contains("acme-log = \"1.0.0\""),
        "neither the yanked nor the denied one: {found}"
    );
    ann.must(&[&yank[..], &["--undo"]].concat());
    eve.must(&["update"]);
    assert_eq!(eve.locked("acme-log").as_deref(), Some("1.1.0"));
    let missing = ann.must_fail(&["yank", "--registry", "garth", "acme-log@9.0.0"]).text();
    assert!(missing.contains("is not published here"), "{missing}");
    let log = garth.run(&["log", "--json"]);
    let yanked = log.lines().filter(|line| line.contains("\"yanked\"")).count();
    assert_eq!(yanked, 2, "{log}");
    assert!(log.contains("no longer yanked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn cargo_searches_tells_of_and_adds_own_crates() {
    let garth = own().start();
    let ann = publisher(&garth);
    become_crate(&ann, "Acme_Log", "1.2.0", "");
    ann.must(PUBLISH);
    let found = ann.must(&["search", "--registry", "garth", "acme"]).text();
    assert!(found.contains("Acme_Log = \"1.2.0\"") && found.contains("About Acme_Log"), "{found}");
    let none = ann.must(&["search", "--registry", "garth", "nothing-of-it"]).text();
    assert!(!none.contains("Acme_Log"), "{none}");
    let told = ann.must(&["info", "--registry", "garth", "Acme_Log"]).text();
    assert!(told.contains("About Acme_Log 1.2.0") && told.contains("MIT"), "{told}");
    let bob = person(&garth);
    bob.must(&["add", "--registry", "garth", "Acme_Log"]);
    bob.must(&["fetch"]);
    assert_eq!(bob.locked("Acme_Log").as_deref(), Some("1.2.0"));
    garth.run(&["deny", "cargo:acme_log", "--reason", "not yet"]);
    become_crate(&ann, "Acme_Log", "1.3.0", "");
    let warned = ann.must(PUBLISH).text();
    assert!(warned.contains("not served to you") && warned.contains("not yet"), "{warned}");
    let denied = ann.must(&["search", "--registry", "garth", "acme"]).text();
    assert!(!denied.contains("Acme_Log"), "what is denied is not found: {denied}");
}

/// The rule asks for what the crate alone says.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_published_is_looked_into_before_it_is_said_who_gets_it() {
    let setup = own();
    setup.write_policy("rules", PERMISSIVE);
    let garth = setup.start();
    let ann = publisher(&garth);
    become_crate(&ann, "acme-log", "1.0.0", "");
    let served = ann.must(PUBLISH).text();
    assert!(!served.contains("not served to you"), "{served}");
    let manifest = ann.read("Cargo.toml").unwrap().replace("\"MIT\"", "\"GPL-3.0-only\"");
    ann.write("Cargo.toml", &manifest.replace("1.0.0", "1.1.0"));
    let warned = ann.must(PUBLISH).text();
    assert!(warned.contains("not served to you"), "{warned}");
    let bob = person(&garth);
    bob.depend("acme-log = { version = \"1\", registry = \"garth\" }");
    bob.must(&["fetch"]);
    assert_eq!(bob.locked("acme-log").as_deref(), Some("1.0.0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_are_named_and_rights_decide() {
    let garth = own().start();
    let ann = publisher(&garth);
    become_crate(&ann, "acme-log", "1.0.0", "");
    ann.must(PUBLISH);
    garth.run(&["team", "create", "web/shop"]);
    let list = ["owner", "--registry", "garth", "--list", "acme-log"];
    assert!(ann.must(&list).text().contains("admin"));
    let owner = |how: &'static str, whom: &'static str| {
        vec!["owner", "--registry", "garth", how, whom, "acme-log"]
    };
    ann.must(&owner("--add", "web/shop"));
    let listed = ann.must(&list).text();
    assert!(listed.contains("admin") && listed.contains("web/shop"), "{listed}");
    let unknown = ann.must_fail(&owner("--add", "mallory")).text();
    assert!(unknown.contains("nobody whom this garth knows"), "{unknown}");
    ann.must(&owner("--remove", "admin"));
    let last = ann.must_fail(&owner("--remove", "web/shop")).text();
    assert!(last.contains("keeps an owner"), "{last}");
    become_crate(&ann, "acme-log", "1.1.0", "");
    ann.must(PUBLISH);

    let token = garth.run(&["token", "create", "reader"]);
    let eve = person(&garth);
    eve.must(&["login", "--registry", "garth", token.trim()]);
    ann.must(&owner("--add", "reader"));
    let listed = ann.must(&list).text();
    assert!(listed.contains("reader (without the right to publish it)"), "{listed}");
    assert!(!listed.contains("admin (without"), "{listed}");
    become_crate(&eve, "acme-log", "2.0.0", "");
    for arguments in [
        PUBLISH,
        &["yank", "--registry", "garth", "acme-log@1.0.0"][..],
        &owner("--add", "reader")[..],
    ] {
        let refused = eve.must_fail(arguments).text();
        assert!(refused.contains("403") && refused.contains("publish"), "{arguments:?}: {refused}");
    }
    let none = person(&garth);
    become_crate(&none, "acme-log", "2.0.0", "");
    let unknown = none.must_fail(PUBLISH).text();
    assert!(unknown.contains("no token found"), "{unknown}");
}

/// A crate that depends on public ones, which are here too, and on own ones.
#[tokio::test(flavor = "multi_thread")]
async fn an_own_crate_has_dependencies_of_every_kind() {
    let up = ScriptedUpstream::start().await;
    for name in ["seed", "weed", "reed"] {
        Crate::plain(name, &["1.0.0", "1.1.0"]).publish(&up);
    }
    let settings = format!("[registry.cargo]\nupstream = \"{}\"\nown = [\"acme-*\"]\n", up.url());
    let garth = support::server::Setup::new(&settings).start();
    garth.run(&["allow", "cargo:seed", "cargo:weed", "cargo:reed"]);
    let both = |person: &Cargo| {
        person.configure(&format!(
            "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n\n[registries.garth]\nindex = \"sparse+{}/cargo/\"\n\n[source.crates-io]\nreplace-with = \"garth\"\n",
            garth.url
        ));
    };
    let ann = publisher(&garth);
    both(&ann);
    become_crate(&ann, "acme-base", "1.0.0", "");
    ann.must(PUBLISH);
    become_crate(
        &ann,
        "acme-app",
        "1.0.0",
        "rust-version = \"1.70\"\nlinks = \"acme\"\nbuild = \"build.rs\"\nkeywords = [\"log\"]\n\n[dependencies]\nacme-base = { version = \"1\", registry = \"garth\" }\nseed = { version = \">=1, <2\", default-features = false }\nplant = { package = \"weed\", version = \"1.0\", optional = true }\n\n[target.'cfg( all(unix,windows) )'.dependencies]\nreed = \"1\"\n\n[dev-dependencies]\nreed = \"1.0.0\"\n\n[features]\ndefault = [\"plain\"]\nplain = []\ngrown = [\"dep:plant\"]\nweak = [\"plant?/x\", \"grown\"]\n",
    );
    ann.write("build.rs", "fn main() {}\n");
    // The feature x of weed is nowhere.
    let manifest = ann.read("Cargo.toml").unwrap().replace("\"plant?/x\", ", "");
    ann.write("Cargo.toml", &manifest);
    ann.must(PUBLISH);
    let line = &index(&garth, "/cargo/ac/me/acme-app").await[0];
    assert_eq!(line["v"], 2, "{line}");
    assert_eq!(line["features2"]["grown"], serde_json::json!(["dep:plant"]));
    assert_eq!(line["features"]["default"], serde_json::json!(["plain"]));
    assert_eq!((&line["links"], &line["rust_version"]), (&"acme".into(), &"1.70".into()));
    let pubtime = line["pubtime"].as_str().unwrap();
    assert!(pubtime.ends_with('Z') && !pubtime.contains('.'), "{pubtime}");
    let deps = line["deps"].as_array().unwrap();
    let of = |name: &str| deps.iter().find(|dep| dep["name"] == name).unwrap();
    assert_eq!(of("acme-base")["registry"], Value::Null, "{line}");
    assert!(of("seed")["registry"].is_string() && of("seed")["default_features"] == false);
    assert_eq!((&of("plant")["package"], &of("plant")["optional"]), (&"weed".into(), &true.into()));
    assert_eq!(deps.len(), 5);

    // Its public dependencies are looked for in this garden, too.
    let needed =
        garth.run(&["allow", "cargo:acme-app", "--with-dependencies", "--dry-run", "--json"]);
    let needed: Value = serde_json::from_str(&needed).unwrap();
    let needed = &needed["closures"][0];
    let versions = needed["versions"].as_array().unwrap();
    let names: BTreeSet<&str> =
        versions.iter().map(|one| one["package"].as_str().unwrap()).collect();
    let all = ["cargo:acme-app", "cargo:acme-base", "cargo:reed", "cargo:seed"];
    assert_eq!(names, BTreeSet::from(all), "{needed:#}");
    assert_eq!(needed["unmet"], serde_json::json!([]));

    let bob = person(&garth);
    both(&bob);
    bob.depend("acme-app = { version = \"1\", registry = \"garth\", features = [\"grown\"] }");
    bob.must(&["build"]);
    assert_eq!(bob.locked("acme-base").as_deref(), Some("1.0.0"));
    assert_eq!(bob.locked("weed").as_deref(), Some("1.1.0"));
    // In the place of the public registry, too.
    let eve = person(&garth);
    both(&eve);
    eve.depend("acme-base = \"1\"");
    eve.must(&["build"]);
    assert_eq!(up.requests("/ac/me/acme-base") + up.requests("/ac/me/acme-app"), 0);
    become_crate(&ann, "other", "1.0.0", "");
    let refused = ann.must_fail(PUBLISH).text();
    assert!(refused.contains("takes only acme-*"), "{refused}");
}

/// What is too large is refused with the bound and where it is set.
#[tokio::test(flavor = "multi_thread")]
async fn cargo_says_how_large_a_publish_may_be() {
    let setup =
        support::server::Setup::new("[registry.cargo]\n[limits]\npublish_bytes = \"1MiB\"\n");
    let garth = setup.start();
    let ann = publisher(&garth);
    become_crate(&ann, "acme-assets", "1.0.0", "");
    std::fs::write(ann.project().join("noise.bin"), noise(3 << 20)).unwrap();
    let refused = ann.must_fail(PUBLISH).text();
    assert!(refused.contains("413") && refused.contains("limits.publish_bytes"), "{refused}");

    let garth = own().start();
    let ann = publisher(&garth);
    become_crate(&ann, "acme-words", "1.0.0", "readme = \"README.md\"");
    ann.write("README.md", &"It logs. ".repeat(3 << 17));
    let refused = ann.must_fail(PUBLISH).text();
    assert!(refused.contains("the readme is part of it"), "{refused}");
    assert_eq!(garth.get("/cargo/ac/me/acme-words").await.status, 404);
}

/// Bytes that can not be packed.
fn noise(length: u64) -> bytes::Bytes {
    Generated::new(length, 7).whole()
}

/// It goes past what is held of a body at once, and cargo asks first whether to send it.
#[tokio::test(flavor = "multi_thread")]
async fn a_crate_of_some_megabytes_is_published_and_fetched_whole() {
    let garth = own().start();
    let ann = publisher(&garth);
    become_crate(&ann, "acme-assets", "1.0.0", "");
    let noise = noise(3 << 20);
    std::fs::write(ann.project().join("noise.bin"), &noise).unwrap();
    ann.must(PUBLISH);
    let bob = person(&garth);
    bob.depend("acme-assets = { version = \"1\", registry = \"garth\" }");
    bob.must(&["fetch"]);
    let sources = bob.home().join(".cargo/registry/src");
    let index = std::fs::read_dir(sources).unwrap().next().unwrap().unwrap().path();
    assert_eq!(std::fs::read(index.join("acme-assets-1.0.0/noise.bin")).unwrap(), noise);
}
