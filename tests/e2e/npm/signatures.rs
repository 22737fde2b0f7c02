//! `npm audit signatures`: the keys that versions are signed with, and what is attested of them.

use std::process::Command;

use serde_json::json;
use support::http::Asked;
use support::npm::{Npm, Printed};
use support::publish::Publish;
use support::server::Setup;
use support::upstream::ScriptedUpstream;

use super::{npm, registry, setup, upstream};

const KEYS: &str = "/npm/-/npm/v1/keys";
const ATTESTED: &str = "/-/npm/v1/attestations/@s/n@1.0.0";

/// npm asks a service of the public registry's for its keys before it asks ours. Here stands what
/// that service answers for a registry that it does not know, because tests reach no network.
const NO_OTHER_KEYS: &str = r"
const Module = require('node:module');
const load = Module._load;
Module._load = function (name, ...rest) {
  if (name !== '@sigstore/tuf') return load.call(this, name, ...rest);
  const getTarget = async () => {
    throw Object.assign(new Error('no such target'), { code: 'TUF_FIND_TARGET_ERROR' });
  };
  return { initTUF: async () => ({ getTarget }) };
};
";

fn audit_signatures(npm: &Npm) -> Printed {
    let preload = npm.home().join("no-other-keys.cjs");
    std::fs::write(&preload, NO_OTHER_KEYS).unwrap();
    let mut command = Command::new(npm.kind().program());
    npm.furnish(&mut command);
    command.env("NODE_OPTIONS", format!("--require={}", preload.display()));
    command.args(["audit", "signatures"]).current_dir(npm.project());
    command.output().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn signatures_of_the_upstream_are_verified_and_a_forged_one_is_found() {
    let up = upstream().await;
    up.sign();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:*"]);
    let npm = npm(&garth);
    npm.must(&["install", "left-pad", "@s/n"]);
    let verified = audit_signatures(&npm);
    assert!(verified.success, "{}", verified.text());
    let text = verified.text();
    assert!(text.contains("2 packages have verified registry signatures"), "{text}");

    up.forge_signature("left-pad@1.3.0");
    npm.forget();
    npm.must(&["install"]);
    let forged = audit_signatures(&npm);
    assert!(!forged.success, "{}", forged.text());
    let text = forged.text();
    assert!(text.contains("1 package has an invalid registry signature"), "{text}");
    assert!(text.contains("left-pad@1.3.0"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn our_own_key_is_among_the_keys_where_something_is_published_here() {
    let up = upstream().await;
    let garth = registry(&up, "own = [\"@acme/*\"]\nmax_age = \"0s\"").start();
    garth.run(&["allow", "npm:*"]);
    // What garth signs has this form; here the upstream has borrowed its key.
    let pem = std::fs::read_to_string(garth.setup().data().join("signing-key")).unwrap();
    up.sign();
    up.sign_by_key_of(&pem);
    let keys = garth.get(KEYS).await.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2, "{keys}");
    let npm = npm(&garth);
    npm.must(&["install", "left-pad"]);
    let verified = audit_signatures(&npm);
    assert!(verified.success, "{}", verified.text());
    let text = verified.text();
    assert!(text.contains("1 package has a verified registry signature"), "{text}");

    let (again, _) = garth.stop();
    let garth = again.start();
    assert_eq!(garth.get(KEYS).await.json(), keys, "the same after a restart");
    assert!(!garth.log().contains(pem.lines().nth(1).unwrap()), "nor is it in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn own_packages_and_the_upstream_s_are_verified_in_one_project() {
    let up = upstream().await;
    up.sign();
    let garth = registry(&up, "own = [\"@acme/*\"]").start();
    garth.run(&["allow", "npm:left-pad"]);
    let npm = npm(&garth);
    let token = format!("--//{}/npm/:_authToken={}", garth.authority(), garth.admin_token());
    std::fs::create_dir(npm.project().join("ui")).unwrap();
    npm.write("ui/package.json", r#"{ "name": "@acme/ui", "version": "1.0.0" }"#);
    npm.must(&["publish", "./ui", &token]);
    npm.must(&["install", "left-pad", "@acme/ui"]);
    let verified = audit_signatures(&npm);
    assert!(verified.success, "{}", verified.text());
    let text = verified.text();
    assert!(text.contains("2 packages have verified registry signatures"), "{text}");
    assert!(up.recorded().iter().all(|asked| !asked.says("acme")), "{:?}", up.recorded());
}

#[tokio::test(flavor = "multi_thread")]
async fn own_packages_are_verified_without_an_upstream_and_when_the_settings_forget_them() {
    let garth = Setup::new("[registry.npm]\n").start();
    assert_eq!(Publish::new("@acme/ui", "1.0.0").to(&garth).await.status, 201);
    let npm = npm(&garth);
    npm.must(&["install", "@acme/ui"]);
    let verified = audit_signatures(&npm);
    assert!(verified.success, "{}", verified.text());
    let text = verified.text();
    assert!(text.contains("1 package has a verified registry signature"), "{text}");
    let ours = garth.get(KEYS).await.json()["keys"][0].clone();

    // No name is `own` any more, and there is an upstream, which signs.
    let up = upstream().await;
    up.sign();
    let (setup, _) = garth.stop();
    let garth = setup.with_env("GARTH_REGISTRY_NPM_UPSTREAM", up.url().as_str()).start();
    let keys = garth.get(KEYS).await.json();
    assert_eq!(keys["keys"].as_array().unwrap().len(), 2, "{keys}");
    assert_eq!(keys["keys"][1], ours);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_kept_when_the_upstream_is_gone_and_not_for_ever() {
    let up = upstream().await;
    up.sign();
    let garth = registry(&up, "max_age = \"0s\"\nmax_stale = \"1h\"").start();
    let keys = garth.get(KEYS).await.json();
    up.go_offline();
    assert_eq!(garth.get(KEYS).await.json(), keys);
    let (setup, _) = garth.stop();
    let garth = setup.start();
    assert_eq!(garth.get(KEYS).await.json(), keys, "also after a restart");
    drop(garth);

    let up = upstream().await;
    up.sign();
    let garth = registry(&up, "max_age = \"0s\"\nmax_stale = \"0s\"").start();
    assert_eq!(garth.get(KEYS).await.status, 200);
    up.go_offline();
    assert_eq!(garth.get(KEYS).await.status, 502);
    up.go_online();
    for body in ["<html>", "{}", "{\"keys\":7}", "[]"] {
        up.place("/-/npm/v1/keys", "application/json", body);
        let asked = Asked::get(KEYS);
        let answer = garth.wait_for(&asked, |answer| !answer.text().contains("reached")).await;
        assert_eq!(answer.status, 502, "{body}: {}", answer.text());
    }
    up.remove("/-/npm/v1/keys");
    assert_eq!(garth.get(KEYS).await.status, 404);
}

/// Our key alone would make npm say of the upstream's packages what nobody knows.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_can_not_be_asked_for_are_an_error_and_no_shorter_list() {
    let up = upstream().await;
    up.sign();
    up.go_offline();
    let garth = registry(&up, "own = [\"@acme/*\"]").start();
    assert_eq!(Publish::new("@acme/ui", "1.0.0").to(&garth).await.status, 201);
    let npm = npm(&garth);
    npm.must(&["install", "@acme/ui"]);
    assert_eq!(garth.get(KEYS).await.status, 502);
    let audited = audit_signatures(&npm);
    assert!(!audited.success, "{}", audited.text());
    assert!(audited.text().contains("can not be reached"), "{}", audited.text());
    up.go_online();
    let answer = garth.wait_for(&Asked::get(KEYS), |answer| answer.status == 200).await;
    assert_eq!(answer.json()["keys"].as_array().unwrap().len(), 2, "{}", answer.text());
    assert!(audit_signatures(&npm).success);
}

async fn attested() -> ScriptedUpstream {
    let up = upstream().await;
    up.npm("@s/n").version("1.0.0", support::upstream::NpmVersion::attested).publish();
    let attestations = json!({ "attestations": [{ "predicateType": "x", "bundle": {} }] });
    up.place(ATTESTED, "application/json", attestations.to_string());
    up
}

#[tokio::test(flavor = "multi_thread")]
async fn attestations_stand_behind_the_gate_and_are_fetched_once() {
    let up = attested().await;
    let garth = setup(&up).start();
    let way = format!("/npm{ATTESTED}");
    let ways = [way.clone(), way.replace("@s/n", "@s%2fn"), way.replace("@s/n", "%40s%2Fn")];
    for way in &ways {
        let refused = garth.get(way).await;
        assert_eq!(refused.status, 403, "{way}: {}", refused.text());
        for (name, value) in [("If-None-Match", "*"), ("Range", "bytes=0-0")] {
            let answer = garth.ask(&Asked::get(way).header(name, value)).await;
            assert_eq!(answer.status, 403, "{way}");
        }
        assert_eq!(garth.ask(&Asked::new("HEAD", way)).await.status, 403, "{way}");
    }
    assert_eq!(up.requests(ATTESTED), 0, "nothing is fetched for it");

    garth.run(&["allow", "npm:@s/n"]);
    let packument = garth.get("/npm/@s%2fn").await.json();
    let url = &packument["versions"]["1.0.0"]["dist"]["attestations"]["url"];
    assert_eq!(*url, format!("{}/npm/-/npm/v1/attestations/@s%2fn@1.0.0", garth.url));
    let answer = garth.get(&way).await;
    assert_eq!(answer.json()["attestations"][0]["predicateType"], "x");
    let etag = answer.header("etag").unwrap().to_owned();
    assert_eq!(garth.ask(&Asked::get(&way).header("If-None-Match", &etag)).await.status, 304);
    up.go_offline();
    let (setup, _) = garth.stop();
    let garth = setup.start();
    for way in &ways {
        assert_eq!(garth.get(way).await.json(), answer.json(), "{way}");
    }
    assert_eq!(up.requests(ATTESTED), 1);

    garth.run(&["deny", "npm:@s/n@1.0.0"]);
    for way in &ways {
        let asked = Asked::get(way).header("If-None-Match", &etag);
        assert_eq!(garth.ask(&asked).await.status, 403, "{way}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attestation_that_is_none_or_not_there_is_not_kept() {
    let up = attested().await;
    let garth =
        registry(&up, "max_age = \"0s\"").with_env("GARTH_UPSTREAM_ABSENT_AGE", "1s").start();
    garth.run(&["allow", "npm:*"]);
    let way = format!("/npm{ATTESTED}");
    for body in ["<html>", "{}", "{\"error\":\"later\"}"] {
        up.on(ATTESTED).times(1).answer(support::upstream::Answer::ok(
            "application/json",
            support::upstream::Body::Bytes(body.into()),
        ));
        let answer = garth.get(&way).await;
        assert_eq!(answer.status, 502, "{body}: {}", answer.text());
    }
    let answer = garth.get("/npm/-/npm/v1/attestations/left-pad@1.3.0").await;
    assert_eq!(answer.status, 404, "{}", answer.text());
    assert!(answer.text().contains("an attestation of npm:left-pad@1.3.0"), "{}", answer.text());
    assert_eq!(garth.get("/npm/-/npm/v1/attestations/left-pad@9.9.9").await.status, 404);
    assert_eq!(garth.get(&way).await.status, 200);
}
