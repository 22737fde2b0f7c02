//! Several registries of crates side by side: each has its own upstream, its own crates and its own
//! place for them, and none knows of another's.

use serde_json::{Value, json};
use support::cargo::Cargo;
use support::crates::{Crate, CrateVersion, crate_path, index_path};
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

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

/// What garth learns of an upstream's config.json: where its crates are. `api` and everything else in
/// it stays there, since what cargo asks of that is asked of garth.
#[tokio::test(flavor = "multi_thread")]
async fn where_crates_are_is_learned_and_an_api_elsewhere_is_asked_nothing() {
    let (up, elsewhere) = (upstream("open", "public").await, ScriptedUpstream::start().await);
    let config = |more: Value| {
        let mut config = json!({
            "dl": up.at("/dl/{lowerprefix}/{crate}-{version}.crate"),
            "api": elsewhere.url(), "auth-required": false,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        up.place("/config.json", "application/json", config.to_string());
    };
    config(json!({ "later": [1] }));
    let garth = Setup::new(&format!("[registry.cargo]\nupstream = \"{}\"\n", up.url())).start();
    garth.run(&["allow", "cargo:*"]);
    let person = Cargo::replaced_by(&format!("{}/cargo/", garth.url));
    person.depend("open = \"1\"");
    person.must(&["fetch"]);
    let index = format!("sparse+{}/cargo/", garth.url);
    let found = person.must(&["search", "open", "--index", &index]).text();
    assert!(found.contains("open = \"1.0.0\""), "a public crate that came through: {found}");
    let told = person.must(&["info", "open", "--index", &index]).text();
    assert!(told.contains("version: 1.0.0"), "{told}");
    assert_eq!(elsewhere.total_requests(), 0);
    let config = garth.get("/cargo/config.json").await.text();
    assert!(!config.contains(&elsewhere.url().port().unwrap().to_string()), "{config}");
    assert!(!config.contains("later"), "{config}");
}
