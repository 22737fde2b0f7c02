//! Own crates that need what is in another registry: of this garth, or of somebody else.

use support::cargo::Cargo;
use support::crates::Crate;
use support::front::Front;
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

use super::become_crate;

/// Somebody whose cargo knows these registries, by their names, and is logged in at the first ones of
/// them, which are this garth's.
fn publisher(garth: &TestServer, registries: &[(&str, String)], logins: usize) -> Cargo {
    let person = Cargo::new();
    let indexes = registries
        .iter()
        .map(|(name, index)| format!("[registries.{name}]\nindex = \"sparse+{index}\"\n"));
    person.configure(&format!(
        "[registry]\nglobal-credential-providers = [\"cargo:token\"]\n{}",
        indexes.collect::<String>()
    ));
    for (name, _) in &registries[..logins] {
        person.must(&["login", "--registry", name, &garth.admin_token()]);
    }
    person
}

fn publish(registry: &str) -> [&str; 4] {
    ["publish", "--registry", registry, "--allow-dirty"]
}

/// Each has a crate of the other's name.
#[tokio::test(flavor = "multi_thread")]
async fn a_crate_needs_one_of_another_registry_of_this_garth() {
    let front = Front::new().await;
    let url = front.url.clone();
    let settings = "[registry.base]\nformat = \"cargo\"\n[registry.shop]\nformat = \"cargo\"\n";
    let setup = Setup::new(settings).with_settings(&format!("public_url = \"{url}\""));
    let garth = setup.start();
    front.lead_to(&garth);
    let registries = ["base", "shop"].map(|name| (name, format!("{url}/{name}/")));
    let ann = publisher(&garth, &registries, 2);
    become_crate(&ann, "acme-log", "1.0.0", "");
    ann.must(&publish("base"));
    become_crate(
        &ann,
        "acme-log",
        "1.0.0",
        "\n[dependencies]\nbase = { package = \"acme-log\", version = \"1\", registry = \"base\" }\n",
    );
    ann.write(
        "src/lib.rs",
        "pub fn version() -> String { base::version().to_owned() + \" and shop\" }",
    );
    ann.must(&publish("shop"));
    let line = garth.get("/shop/ac/me/acme-log").await.json();
    assert_eq!(line["deps"][0]["registry"], format!("sparse+{url}/base/"), "{line}");

    // Who builds with it has the other one from there, also without knowing its name.
    let bob = publisher(&garth, &registries[1..], 1);
    bob.depend("acme-log = { version = \"1\", registry = \"shop\" }");
    bob.write(
        "src/lib.rs",
        "#[test]\nfn both() { assert_eq!(acme_log::version(), \"1.0.0 and shop\"); }",
    );
    bob.must(&["test", "--lib"]);
    let lockfile = bob.read("Cargo.lock").unwrap();
    assert_eq!(lockfile.matches("name = \"acme-log\"").count(), 2, "{lockfile}");
    garth.run(&["deny", "cargo:acme-log", "--reason", "it leaks", "--registry", "base"]);
    bob.forget();
    let refused = bob.must_fail(&["fetch", "--locked"]).text();
    assert!(refused.contains("/base/") && refused.contains("it leaks"), "{refused}");
    // A rule for one registry says nothing of what another has under the same name.
    let theirs = garth.get("/shop/api/v1/crates/acme-log/1.0.0/download").await;
    assert_eq!(theirs.status, 200, "{}", theirs.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crate_needs_one_of_an_index_elsewhere_only_where_the_settings_say_so() {
    let elsewhere = ScriptedUpstream::start().await;
    Crate::plain("partner", &["1.0.0"]).publish(&elsewhere);
    let index = elsewhere.url().to_string();
    let try_it = |more: &str| {
        let garth = Setup::new(&format!("[registry.cargo]\n{more}")).start();
        let here = format!("{}/cargo/", garth.url);
        let ann = publisher(&garth, &[("garth", here), ("partner", index.clone())], 1);
        let needs = "\n[dependencies]\npartner = { version = \"1\", registry = \"partner\" }\n";
        become_crate(&ann, "acme-app", "1.0.0", needs);
        (ann.run(&publish("garth")), garth)
    };
    let (refused, _garth) = try_it("");
    let text = refused.text();
    assert!(!refused.success && text.contains("dependency_indexes"), "{text}");
    let (published, garth) = try_it(&format!("dependency_indexes = [\"sparse+{index}\"]\n"));
    assert!(published.success, "{}", published.text());
    let line = garth.get("/cargo/ac/me/acme-app").await.json();
    assert_eq!(line["deps"][0]["registry"], format!("sparse+{index}"), "{line}");
}
