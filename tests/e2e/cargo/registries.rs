//! Several registries of crates side by side: each has its own upstream, its own crates and its own
//! place for them, and none knows of another's.

use serde_json::{Value, json};
use support::cargo::Cargo;
use support::crates::{Crate, CrateVersion, crate_path, index_path};
use support::server::{Setup, TestServer};
use support::upstream::{Answer, Body, ScriptedUpstream};

/// An upstream whose only crate says in its source where it is from.
async fn upstream(name: &str, from: &str) -> ScriptedUpstream {
    let up = ScriptedUpstream::start().await;
    let source = format!("pub const FROM: &str = \"{from}\";");
    let shared = |version: CrateVersion| version.file("src/lib.rs", &source);
    Crate::new("shared").version("1.0.0", shared).publish(&up);
    Crate::plain(name, &["1.0.0"]).publish(&up);
    up
}

fn person(garth: &TestServer) -> Cargo {
    let person = Cargo::new();
    person.configure(&format!(
        "[source.crates-io]\nreplace-with = \"garth\"\n\n[source.garth]\nregistry = \
         \"sparse+{url}/crates/\"\n\n[registries.partner]\nindex = \"sparse+{url}/partner/\"\n",
        url = garth.url
    ));
    person
}

fn setup(public: &ScriptedUpstream, partner: &ScriptedUpstream) -> Setup {
    Setup::new(&format!(
        "[registry.crates]\nformat = \"cargo\"\nupstream = \"{}\"\n\n\
         [registry.partner]\nformat = \"cargo\"\nupstream = \"{}\"\n",
        public.url(),
        partner.url()
    ))
}

/// A name says nothing of where a crate is from: a lockfile does, and so does --registry.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_allowed_of_one_registry_is_allowed_of_no_other() {
    let (public, partner) = (upstream("open", "public").await, upstream("closed", "partner").await);
    let garth = setup(&public, &partner).start();
    garth.run(&["allow", "cargo:*", "--name", "all"]);
    let person = person(&garth);
    person.depend("open = \"1\"\nclosed = { version = \"1\", registry = \"partner\" }");
    person.must(&["fetch"]);
    garth.run(&["rules", "remove", "all"]);
    let path = person.project().join("Cargo.lock").display().to_string();

    let from = async |more: &[&str]| -> Value {
        let arguments = [&["allow", "--from", &path, "--json"][..], more].concat();
        serde_json::from_str(&garth.run(&arguments)).unwrap()
    };
    let status = async |path: &str| garth.get(path).await.status;
    let closed = "/partner/api/v1/crates/closed/1.0.0/download";
    let made = from(&["--registry", "crates"]).await;
    assert_eq!(made["packages"], json!(["cargo:open@1.0.0"]), "{made}");
    let index = format!("sparse+{}/partner/", garth.url);
    assert_eq!(made["left_out"]["of_others"], json!({ (index.as_str()): 1 }), "{made}");
    assert_eq!(status("/crates/api/v1/crates/open/1.0.0/download").await, 200);
    assert_eq!(status(closed).await, 403);
    let made = from(&["--registry", "partner"]).await;
    assert_eq!(made["packages"], json!(["cargo:closed@1.0.0"]), "{made}");
    assert_eq!(made["rule"]["when"], "registry == 'partner'", "{made}");
    assert_eq!(status(closed).await, 200);
    assert_eq!(public.requests(&index_path("closed")), 0, "it was asked where it is from");

    // So does a request, once it is approved.
    garth.run(&["rules", "remove", made["rule"]["name"].as_str().unwrap()]);
    assert_eq!(status(closed).await, 403);
    garth.run(&["request", "--from", &path, "--registry", "partner", "--as", "ann"]);
    garth.run(&["requests", "approve", "1"]);
    assert_eq!(status(closed).await, 200);
    let rule: Value = serde_json::from_str(&garth.run(&["rules", "list", "--json"])).unwrap();
    assert!(rule.to_string().contains("registry == 'partner'"), "{rule}");

    garth.run(&["allow", "cargo:shared", "--registry", "partner", "--name", "there"]);
    for (registry, expected, exit) in [("partner", 200, 0), ("crates", 403, 1)] {
        let path = format!("/{registry}/api/v1/crates/shared/1.0.0/download");
        assert_eq!(status(&path).await, expected, "{registry}");
        let why = garth.garth(&["why", "cargo:shared@1.0.0", "--registry", registry]);
        assert_eq!(why.status.code(), Some(exit), "{registry}: {why:?}");
    }
    let why = garth.garth(&["why", "cargo:shared@1.0.0"]);
    let said = String::from_utf8_lossy(&why.stdout).into_owned();
    assert!(said.contains("another one may have another answer: --registry partner"), "{said}");
    // Whoever was refused by one may ask, though another one that has seen it lets it through.
    garth.run(&["rules", "remove", "there"]);
    garth.run(&["allow", "cargo:shared", "--registry", "crates"]);
    let said = garth.run(&["request", "cargo:shared@1.0.0", "--as", "ann"]);
    assert!(said.contains("request 2: cargo:shared in =1.0.0 is asked for"), "{said}");
    let shown = garth.run(&["requests", "show", "2"]);
    assert!(shown.contains("cargo:shared@1.0.0 is denied"), "{shown}");
    for (what, name) in [("cargo:shared", "nowhere"), ("npm:shared", "partner")] {
        let refused = garth.garth(&["allow", what, "--registry", name]);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains(name), "{what} {name}: {said}");
    }
}

/// Whoever forgets to say that a crate is the house's gets nothing that a stranger calls the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_own_in_one_registry_is_asked_of_the_upstream_of_no_other() {
    let stranger = ScriptedUpstream::start().await;
    for name in ["acme-log", "acme_net", "open"] {
        Crate::plain(name, &["9.9.9"]).publish(&stranger);
    }
    let crates =
        format!("[registry.crates]\nformat = \"cargo\"\nupstream = \"{}\"\n", stranger.url());
    let acme = |own| format!("{crates}\n[registry.acme]\nformat = \"cargo\"\nown = [{own}]\n");
    let garth = Setup::new(&acme("\"acme-*\"")).start();
    garth.run(&["allow", "cargo:*"]);
    let person = person(&garth);
    for name in ["acme-log", "acme_net"] {
        person.depend(&format!("{name} = \"*\""));
        let printed = person.must_fail(&["fetch"]).text();
        assert!(
            printed.contains(&format!("no matching package named `{name}` found")),
            "{printed}"
        );
        assert_eq!(stranger.requests(&index_path(name)), 0, "{name}");
        let crate_file = format!("/crates/api/v1/crates/{name}/9.9.9/download");
        assert_eq!(garth.get(&crate_file).await.status, 404);
    }
    person.depend("open = \"*\"");
    person.must(&["fetch"]);
    // A sibling that takes every name says of none that it is the house's.
    let garth = Setup::new(&acme("\"*\"")).start();
    garth.run(&["allow", "cargo:*"]);
    assert_eq!(garth.get("/crates/op/en/open").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn crates_of_one_name_in_two_registries_are_two_crates() {
    let (public, partner) = (upstream("open", "public").await, upstream("closed", "partner").await);
    let garth = setup(&public, &partner).start();
    garth.run(&["allow", "cargo:*"]);
    let person = person(&garth);
    person.depend(
        "shared = \"1\"\nopen = \"1\"\nclosed = { version = \"1\", registry = \"partner\" }\n\
         theirs = { package = \"shared\", version = \"1\", registry = \"partner\" }",
    );
    person.write(
        "src/lib.rs",
        "#[test]\nfn both() { assert_eq!((shared::FROM, theirs::FROM), (\"public\", \"partner\")); }",
    );
    person.must(&["test", "--lib"]);
    let lockfile = person.read("Cargo.lock").unwrap();
    assert_eq!(lockfile.matches("name = \"shared\"").count(), 2, "{lockfile}");
    let asked = |up: &ScriptedUpstream, name: &str| up.requests(&index_path(name));
    assert_eq!((asked(&public, "closed"), asked(&partner, "open")), (0, 0));
    for up in [&public, &partner] {
        assert_eq!(up.requests(&crate_path("shared", "1.0.0")), 1);
    }
    // Each by its own config.json, which leads to garth alone.
    for registry in ["crates", "partner"] {
        let base = format!("{}/{registry}", garth.url);
        let config = garth.get(&format!("/{registry}/config.json")).await.json();
        assert_eq!(config, json!({ "dl": format!("{base}/api/v1/crates"), "api": base }));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_may_speak_of_one_registry_and_another_s_outage_harms_nobody() {
    let (public, partner) = (upstream("open", "public").await, upstream("closed", "partner").await);
    let setup = setup(&public, &partner);
    let rules = "[[rule]]\nname = \"ours\"\neffect = \"allow\"\npackages = [\"cargo:*\"]\n\
                 when = \"registry == 'crates'\"\n";
    setup.write_policy("rules", rules);
    let garth = setup.start();
    let download =
        |registry: &str, name: &str| format!("/{registry}/api/v1/crates/{name}/1.0.0/download");
    partner.go_offline();
    assert_eq!(garth.get(&download("crates", "shared")).await.status, 200);
    let down = garth.get(&download("partner", "shared")).await;
    assert_eq!(down.status, 502, "{}", down.text());
    let text = down.text();
    assert!(text.contains(&partner.url().port().unwrap().to_string()), "{text}");
    partner.go_online();
    let refused = garth.get(&download("partner", "shared")).await;
    assert_eq!(refused.status, 403, "what one registry holds is nothing to another");
    assert_eq!(partner.requests(&crate_path("shared", "1.0.0")), 0);
}

/// An upstream whose web API is elsewhere, as the public registry's is.
async fn with_api(elsewhere: &ScriptedUpstream) -> ScriptedUpstream {
    let up = upstream("open", "public").await;
    for name in ["open-json", "closed-json", "acme-json"] {
        Crate::plain(name, &["1.0.0", "1.1.0"]).publish(&up);
    }
    let config = json!({
        "dl": up.at("/dl/{lowerprefix}/{crate}-{version}.crate"),
        "api": elsewhere.url().as_str().trim_end_matches('/'), "auth-required": false, "later": [1],
    });
    up.place("/config.json", "application/json", config.to_string());
    let found = [
        ("open-json", "1.1.0"),
        ("closed-json", "1.1.0"),
        ("acme-json", "1.1.0"),
        ("gone-json", "1.0.0"),
        ("../json", "1.0.0"),
        ("open", "1.0.0"),
    ];
    let found = found.map(|(name, newest)| {
        let about = format!("About {name} {newest}");
        json!({ "name": name, "max_version": newest, "description": about, "more": {} })
    });
    let answer = json!({ "crates": found, "meta": { "total": 70 } });
    elsewhere.place(SEARCH, "application/json", answer.to_string());
    up
}

const SEARCH: &str = "/api/v1/crates";

/// How a search fails, and how often it was said in all.
type Break = (usize, fn(&ScriptedUpstream));

/// A garth in front of it, with more settings of the registry.
fn in_front_of(up: &ScriptedUpstream, more: &str) -> TestServer {
    let setup = Setup::new(&format!(
        "[registry.cargo]\nupstream = \"{}\"\nown = [\"acme-*\"]\n{more}\n",
        up.url()
    ));
    let garth = setup.with_env("GARTH_REGISTRY_CARGO_TOKEN", "its-own-token").start();
    garth.run(&["allow", "cargo:open*", "cargo:acme*", "cargo:gone*"]);
    garth.run(&["deny", "cargo:open-json@1.1.0", "--reason", "it is slow"]);
    garth
}

/// It asks the search of that other host.
fn searching(up: &ScriptedUpstream, elsewhere: &ScriptedUpstream) -> TestServer {
    let host = elsewhere.port();
    in_front_of(up, &format!("upstream_search = true\nallow_hosts = [\"127.0.0.1:{host}\"]"))
}

/// Somebody who has it in place of the public registry, and its index, since a search has to be told where.
fn searcher(garth: &TestServer) -> (Cargo, String) {
    let index = format!("{}/cargo/", garth.url);
    (Cargo::replaced_by(&index), format!("sparse+{index}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_s_own_search_is_asked_at_its_api_and_only_what_is_allowed_is_shown() {
    let elsewhere = ScriptedUpstream::start().await;
    let up = with_api(&elsewhere).await;
    let garth = searching(&up, &elsewhere);
    let (person, index) = searcher(&garth);
    let search =
        |words: &str| person.must(&["search", words, "--limit", "7", "--index", &index]).text();
    let found = search("a parser");
    assert!(found.contains("open-json = \"1.0.0\"\n"), "no words about another version: {found}");
    assert!(found.contains("open = \"1.0.0\"         # About open 1.0.0"), "{found}");
    for hidden in ["closed", "acme", "gone", "1.1.0"] {
        assert!(!found.contains(hidden), "{hidden}: {found}");
    }
    let asked = elsewhere.recorded();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].target, format!("{SEARCH}?q=a+parser&per_page=7"));
    assert!(!asked[0].says("its-own-token"), "{:?}", asked[0]);
    let lookups = |name: &str| up.requests(&index_path(name));
    assert_eq!((lookups("closed-json"), lookups("acme-json")), (0, 0), "no rule, or not theirs");
    // What it found can be had, and is found once, and here first.
    person.depend("open = \"1\"");
    person.must(&["fetch"]);
    let found = search("open");
    assert_eq!(found.matches("open = ").count(), 1, "{found}");
    let places = ["open = ", "open-json = "].map(|name| found.find(name));
    assert!(places[0].is_some() && places[0] < places[1], "{found}");
    let told = person.must(&["info", "open", "--index", &index]).text();
    assert!(told.contains("version: 1.0.0"), "{told}");

    // The names of own crates are nobody else's business, and enough is enough.
    let before = elsewhere.total_requests();
    for words in ["acme", "acme-json", "log acme_log"] {
        search(words);
    }
    person.must(&["search", "open", "--limit", "1", "--index", &index]);
    assert_eq!(elsewhere.total_requests(), before);
    // Where cargo looks for it, there is this garth alone.
    let config = garth.get("/cargo/config.json").await.text();
    assert!(!config.contains(&elsewhere.port().to_string()), "{config}");
    assert!(!config.contains("later"), "{config}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_that_the_upstream_does_not_answer_finds_what_is_here_and_stops_no_build() {
    let elsewhere = ScriptedUpstream::start().await;
    let up = with_api(&elsewhere).await;
    let garth = searching(&up, &elsewhere);
    let (person, index) = searcher(&garth);
    person.depend("open = \"1\"");
    person.must(&["fetch"]);
    let told = || garth.story().matches("the upstream's search was asked in vain").count();
    // Behind the last ones it is left in peace for a while.
    let breaks: [Break; 5] = [
        (0, |api| api.on(SEARCH).status(404)),
        (1, |api| api.on(SEARCH).answer(Answer::ok("application/json", Body::Bytes("{}".into())))),
        (2, |api| api.on(SEARCH).html_called_json()),
        (3, |api| api.on(SEARCH).silence()),
        (4, |api| api.on(SEARCH).rate_limit(Some("3600"))),
    ];
    for (expected, script) in breaks {
        elsewhere.forget_requests();
        script(&elsewhere);
        let found = person.must(&["search", "open", "--index", &index]).text();
        assert!(found.contains("open = \"1.0.0\""), "{found}");
        assert!(elsewhere.total_requests() > 0, "{expected}: it was asked");
        assert_eq!(told(), expected, "{}", garth.story());
        elsewhere.heal();
    }
    person.must(&["search", "open", "--index", &index]);
    assert_eq!(told(), 5, "it is not asked again at once");
    // The index and the crates are asked as if nothing were wrong.
    person.depend("open-json = \"1\"");
    person.must(&["fetch"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_search_elsewhere_is_asked_only_by_setting() {
    let elsewhere = ScriptedUpstream::start().await;
    let up = with_api(&elsewhere).await;
    let host = format!("allow_hosts = [\"127.0.0.1:{}\"]", elsewhere.port());
    for (more, told) in [(&*host, 0), ("upstream_search = true", 1)] {
        let garth = in_front_of(&up, more);
        let (person, index) = searcher(&garth);
        let found = person.must(&["search", "json", "--index", &index]).text();
        assert!(!found.contains("open-json"), "{found}");
        assert_eq!(elsewhere.total_requests(), 0);
        let story = garth.story();
        assert_eq!(story.matches("allow_hosts").count(), told, "what would change that: {story}");
    }
}
