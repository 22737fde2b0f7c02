//! Facts that rules ask for: every way to a version goes by the same ones.

use serde_json::{Value, json};
use support::edge::Answer;
use support::http::Asked;
use support::publish::Publish;
use support::server::TestServer;
use support::upstream::{NpmVersion, ScriptedUpstream};

use super::{registry, setup};

const EVERYTHING: &str = "[[rule]]\nname = 'all'\neffect = 'allow'\npackages = ['npm:*']\n\n";

fn deny(name: &str, package: &str, when: &str) -> String {
    format!(
        "[[rule]]\nname = '{name}'\neffect = 'deny'\npackages = ['npm:{package}']\nwhen = \"{when}\"\n\n"
    )
}

fn user(name: &str) -> Value {
    json!({ "name": name, "email": format!("{name}@example.com") })
}

/// A name, a condition, and what makes it true of a version.
type Row = (&'static str, &'static str, fn(NpmVersion) -> NpmVersion);

/// One of each fact.
fn rows() -> Vec<Row> {
    vec![
        ("licence", "licence.denied(['family:copyleft'])", |version| {
            version.field("license", "GPL-3.0-only".into())
        }),
        ("old-licence", "licence.denied(['family:copyleft'])", |version| {
            version.registry_field("license", Value::Null).registry_field(
                "licenses",
                json!([{ "type": "GPL-2.0", "url": "https://example.com" }, { "type": "AGPL-3.0" }]),
            )
        }),
        ("deprecated", "deprecated", |version| version.deprecated("use another")),
        ("scripts", "install_scripts", |version| version.script("postinstall", "node -e 0")),
        ("gyp", "install_scripts", |version| version.registry_field("gypfile", true.into())),
        ("provenance", "provenance", NpmVersion::attested),
        ("publisher", "publisher == 'eve'", |version| {
            version.registry_field("_npmUser", user("eve"))
        }),
        ("changed", "publisher_changed", |version| version.registry_field("_npmUser", user("eve"))),
        ("dependencies", "dependencies > 1", |version| {
            version.dependency("a", "1").optional_dependency("b", "1")
        }),
    ]
}

fn why(garth: &TestServer, package: &str) -> Value {
    serde_json::from_slice(&garth.garth(&["why", package, "--json"]).stdout).unwrap()
}

/// 1.0.0 is let through and 2.0.0 is not, by this rule, whatever is asked.
async fn check(garth: &TestServer, name: &str) {
    let packument = garth.get(&format!("/npm/{name}")).await;
    assert_eq!(packument.status, 200, "{name}: {}", packument.text());
    let versions: Vec<String> =
        packument.json()["versions"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(versions, ["1.0.0"], "{name}");
    for (way, status) in [
        (format!("/npm/{name}/1.0.0"), 200),
        (format!("/npm/{name}/2.0.0"), 403),
        (format!("/npm/{name}/-/{name}-1.0.0.tgz"), 200),
        (format!("/npm/{name}/-/{name}-2.0.0.tgz"), 403),
        (format!("/npm/-/npm/v1/attestations/{name}@2.0.0"), 403),
    ] {
        let answer = garth.get(&way).await;
        assert_eq!(answer.status, status, "{way}: {}", answer.text());
        assert!(status == 200 || answer.text().contains(&format!("the rule no-{name}")), "{way}");
    }
    let found = garth.get(&format!("/npm/-/v1/search?text={name}")).await.json();
    let found = found["objects"].as_array().unwrap().clone();
    let found = found.iter().find(|found| found["package"]["name"] == name);
    assert_eq!(found.unwrap()["package"]["version"], "1.0.0", "{name}");
    for (version, effect) in [("1.0.0", "allow"), ("2.0.0", "deny")] {
        let view = why(garth, &format!("npm:{name}@{version}"));
        assert_eq!(view["decision"]["effect"], effect, "{name}@{version}: {view}");
        assert_eq!(view["decision"]["missing"], Value::Null, "{name}@{version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_packument_states_decides_the_same_whatever_is_asked_and_after_a_start() {
    let up = ScriptedUpstream::start().await;
    let mut rules = EVERYTHING.to_owned();
    for (name, when, make) in rows() {
        let plain = |version: NpmVersion| version.registry_field("_npmUser", user("ann"));
        up.npm(name)
            .version("1.0.0", plain)
            .version("2.0.0", |version| make(plain(version)))
            .publish();
        rules.push_str(&deny(&format!("no-{name}"), name, when));
    }
    let setup = setup(&up);
    setup.write_policy("rules", &rules);
    let garth = setup.start();
    for (name, ..) in rows() {
        check(&garth, name).await;
    }
    let facts = why(&garth, "npm:changed@2.0.0")["facts"].clone();
    assert_eq!((&facts["registry"], &facts["licence"]), (&json!("npm"), &json!("MIT")));
    assert_eq!((&facts["publisher"], &facts["publisher_changed"]), (&json!("eve"), &json!(true)));
    assert_eq!((&facts["deprecated"], &facts["yanked"]), (&json!(false), &json!(false)));
    assert_eq!((&facts["size"], &facts["similar_to"]), (&Value::Null, &json!("")));

    let garth = garth.stop().0.start();
    for (name, ..) in rows() {
        // First what needs no packument, and what asks nobody.
        let answer = garth.get(&format!("/npm/{name}/-/{name}-2.0.0.tgz")).await;
        assert_eq!(answer.status, 403, "{name}: {}", answer.text());
        let view = why(&garth, &format!("npm:{name}@2.0.0"));
        assert_eq!(view["decision"]["rule"], format!("no-{name}"), "{name}");
        check(&garth, name).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_of_one_registry_says_nothing_in_another() {
    let up = ScriptedUpstream::start().await;
    up.npm("left-pad").plain_version("1.0.0").publish();
    let more = format!("\n[registry.second]\nformat = \"npm\"\nupstream = \"{}\"", up.url());
    let setup = registry(&up, &more);
    let only = deny("not-there", "*", "registry == 'second'");
    setup.write_policy("rules", &format!("{EVERYTHING}{only}"));
    let garth = setup.start();
    for (registry, status) in [("npm", 200), ("second", 403)] {
        for way in ["left-pad", "left-pad/-/left-pad-1.0.0.tgz"] {
            let answer = garth.get(&format!("/{registry}/{way}")).await;
            assert_eq!(answer.status, status, "{registry}/{way}: {}", answer.text());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_size_of_an_artifact_is_known_once_it_was_held() {
    let up = ScriptedUpstream::start().await;
    let large = |version: NpmVersion| {
        version.file("large", support::upstream::Generated::new(200_000, 7).whole())
    };
    up.npm("large").version("1.0.0", large).publish();
    up.npm("small").plain_version("1.0.0").publish();
    let setup = setup(&up);
    let rule = deny("too-large", "*", "has(size) && size > 100000");
    setup.write_policy("rules", &format!("{EVERYTHING}{rule}"));
    let garth = setup.start();
    let tarball = |name: &str| Asked::get(&format!("/npm/{name}/-/{name}-1.0.0.tgz"));
    assert_eq!(garth.get("/npm/large").await.status, 200, "nobody knows yet");
    for name in ["large", "small"] {
        assert_eq!(garth.ask(&tarball(name)).await.status, 200, "{name}");
    }
    let refused = |answer: &Answer| answer.status == 403 && answer.text().contains("too-large");
    garth.wait_for(&tarball("large"), refused).await;
    garth.wait_for(&Asked::get("/npm/large"), refused).await;
    assert_eq!(garth.ask(&tarball("small")).await.status, 200);
    let garth = garth.stop().0.start();
    assert_eq!(garth.get("/npm/large").await.status, 403, "it is kept");
    let size = why(&garth, "npm:large@1.0.0")["facts"]["size"].as_u64().unwrap();
    assert_eq!(size, up.tarball("large", "1.0.0").bytes().len() as u64);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_what_is_published_here_the_same_is_known() {
    let up = ScriptedUpstream::start().await;
    let setup = registry(&up, "own = [\"@acme/*\"]");
    setup.write_policy("rules", &deny("no-gpl", "@acme/*", "licence.denied(['GPL-3.0-only'])"));
    let garth = setup.start();
    for (version, licence) in [("1.0.0", "MIT"), ("2.0.0", "GPL-3.0-only")] {
        let manifest = json!({
            "name": "@acme/ui", "version": version, "license": licence,
            "scripts": { "postinstall": "node -e 0" }, "dependencies": { "a": "1" },
        });
        let published = Publish::of(&manifest).to(&garth).await;
        assert_eq!(published.status, 201, "{}", published.text());
    }
    let view = why(&garth, "npm:@acme/ui@1.0.0");
    assert_eq!(view["decision"]["effect"], "allow", "{view}");
    let facts = &view["facts"];
    assert_eq!((&facts["own"], &facts["licence"]), (&json!(true), &json!("MIT")));
    assert_eq!((&facts["install_scripts"], &facts["dependencies"]), (&json!(true), &json!(1)));
    assert_eq!((&facts["publisher_changed"], &facts["provenance"]), (&json!(false), &json!(false)));
    assert!(facts["publisher"].is_string() && facts["size"].as_u64() > Some(0), "{facts}");
    assert_eq!(facts["similar_to"], "");
    assert_eq!(why(&garth, "npm:@acme/ui@2.0.0")["decision"]["rule"], "no-gpl");
    assert_eq!(garth.get("/npm/@acme/ui/-/ui-2.0.0.tgz").await.status, 403);
    let document = garth.get("/npm/@acme/ui").await.json();
    assert_eq!(document["dist-tags"]["latest"], "1.0.0");
}
