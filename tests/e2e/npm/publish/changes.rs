//! What is changed afterwards: deprecations, tags, and what is taken back.

use serde_json::json;
use support::package_managers::{Kind, PackageManager};
use support::publish::{Publish, change, put};
use support::server::Setup;

use super::{error_of, own, package, packument, publisher};

fn forgiving() -> Setup {
    Setup::new("[registry.npm]\nunpublish = true\n")
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_deprecates_and_takes_it_back() {
    let garth = own().start();
    for version in ["1.0.0", "1.1.0", "2.0.0"] {
        assert_eq!(Publish::new("x", version).to(&garth).await.status, 201);
    }
    let npm = publisher(&garth);
    npm.must(&["deprecate", "x@1", "use 2"]);
    let stored = packument(&garth, "x").await;
    assert_eq!(stored["versions"]["1.0.0"]["deprecated"], "use 2");
    assert_eq!(stored["versions"]["1.1.0"]["deprecated"], "use 2");
    assert_eq!(stored["versions"]["2.0.0"].get("deprecated"), None);
    let reader = super::super::npm(&garth);
    assert!(reader.must(&["install", "x@1"]).text().contains("use 2"));
    npm.must(&["deprecate", "x@1.0.0", ""]);
    let stored = packument(&garth, "x").await;
    assert_eq!(stored["versions"]["1.0.0"].get("deprecated"), None);
    assert_eq!(stored["versions"]["1.1.0"]["deprecated"], "use 2");
}

/// A client sends back what it was shown, which may be less than there is.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_leaves_alone_what_its_sender_does_not_see() {
    let garth = forgiving().start();
    for version in ["1.0.0", "2.0.0", "3.0.0"] {
        assert_eq!(Publish::new("x", version).to(&garth).await.status, 201);
    }
    garth.run(&["deny", "npm:x@3.0.0", "--name", "no-three"]);
    let npm = publisher(&garth);
    npm.must(&["deprecate", "x", "old"]);
    npm.must(&["unpublish", "x@2.0.0"]);
    let hidden = npm.must_fail(&["unpublish", "x@1.0.0", "--force"]);
    insta::assert_snapshot!("the_last_one_that_npm_sees", error_of(&npm.redacted(&hidden)));
    garth.run(&["rules", "remove", "no-three"]);
    let stored = packument(&garth, "x").await;
    let versions: Vec<_> = stored["versions"].as_object().unwrap().keys().collect();
    assert_eq!(versions, ["1.0.0", "3.0.0"]);
    assert_eq!(stored["dist-tags"], json!({ "latest": "3.0.0" }));
    assert_eq!(stored["versions"]["3.0.0"].get("deprecated"), None);
    assert_eq!(stored["versions"]["1.0.0"]["deprecated"], "old");
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_moves_tags() {
    let garth = own().start();
    let npm = publisher(&garth);
    for version in ["1.0.0", "2.0.0"] {
        package(&npm, "@acme/ui", version, &json!({}));
        npm.must(&["publish"]);
    }
    npm.must(&["dist-tag", "add", "@acme/ui@1.0.0", "stable"]);
    npm.must(&["dist-tag", "add", "@acme/ui@1.0.0", "latest"]);
    let listed = npm.must(&["dist-tag", "ls", "@acme/ui"]).stdout;
    assert_eq!(listed.trim(), "latest: 1.0.0\nstable: 1.0.0");
    let reader = super::super::npm(&garth);
    reader.must(&["install", "@acme/ui@stable"]);
    assert_eq!(reader.installed("@acme/ui").as_deref(), Some("1.0.0"));
    npm.must(&["dist-tag", "rm", "@acme/ui", "stable"]);
    let printed = npm.must_fail(&["dist-tag", "rm", "@acme/ui", "latest"]);
    insta::assert_snapshot!("latest_stays", error_of(&npm.redacted(&printed)));
    let printed = npm.must_fail(&["dist-tag", "add", "@acme/ui@9.9.9", "next"]);
    insta::assert_snapshot!("a_tag_to_nowhere", error_of(&npm.redacted(&printed)));
    let tags = "/npm/-/package/@acme%2fui/dist-tags";
    for (tag, body, status) in [
        ("1.x", "\"1.0.0\"", 400),
        ("%5e1", "\"1.0.0\"", 400),
        ("next", "\"one\"", 400),
        ("next", "{}", 400),
        ("next", "\"1.0.0\"", 200),
    ] {
        let answer = put(&garth, &format!("{tags}/{tag}"), body).await;
        assert_eq!(answer.status, status, "{tag} {body}: {}", answer.text());
    }
}

/// Berry prints the words of the status line, the others the body.
#[tokio::test(flavor = "multi_thread")]
async fn who_changes_what_is_not_there_is_told_so_by_every_client() {
    let garth = own().start();
    assert_eq!(Publish::new("x", "1.0.0").to(&garth).await.status, 201);
    for (kind, add) in [
        (Kind::Npm, &["dist-tag", "add"][..]),
        (Kind::Pnpm, &["dist-tag", "add"]),
        (Kind::Yarn, &["tag", "add"]),
        (Kind::Berry, &["npm", "tag", "add"]),
    ] {
        let person = PackageManager::new(kind, &format!("{}/npm/", garth.url));
        super::log_in(&person, &garth);
        if kind == Kind::Berry {
            let token = garth.admin_token();
            person.write(".yarnrc.yml", &format!("npmAuthToken: \"{token}\"\n"));
            person.write("yarn.lock", "");
        }
        let add: Vec<&str> = add.iter().copied().chain(["x@9.9.9", "next"]).collect();
        let printed = person.must_fail(&add);
        let told = match kind {
            Kind::Berry => "Response Code: 404 (not published here)",
            _ => "npm:x@9.9.9 is not published here",
        };
        assert!(printed.text().contains(told), "{kind:?}: {}", printed.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_taken_back_unless_the_settings_allow_it() {
    let garth = own().start();
    let npm = publisher(&garth);
    for version in ["1.0.0", "2.0.0"] {
        assert_eq!(Publish::new("x", version).to(&garth).await.status, 201);
    }
    let printed = npm.must_fail(&["unpublish", "x@1.0.0"]);
    insta::assert_snapshot!("taking_back_is_off", error_of(&npm.redacted(&printed)));
    npm.must_fail(&["unpublish", "x", "--force"]);
    let revision = packument(&garth, "x").await["_rev"].as_str().unwrap().to_owned();
    for path in [format!("/npm/x/-rev/{revision}"), format!("/npm/x/-/x-1.0.0.tgz/-rev/{revision}")]
    {
        assert_eq!(change(&garth, "DELETE", &path, "").await.status, 403, "{path}");
    }
    assert_eq!(packument(&garth, "x").await["versions"].as_object().unwrap().len(), 2);
}

/// Delete, then publish other bytes under the same version: an old lockfile would get them.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_back_is_gone_and_nothing_takes_its_place() {
    let garth = forgiving().start();
    let npm = publisher(&garth);
    for version in ["1.0.0", "2.0.0"] {
        package(&npm, "@acme/ui", version, &json!({}));
        npm.must(&["publish"]);
    }
    let tarball = "/npm/@acme/ui/-/ui-2.0.0.tgz";
    assert_eq!(garth.get(tarball).await.status, 200);
    npm.must(&["unpublish", "@acme/ui@2.0.0"]);
    assert_eq!(garth.get(tarball).await.status, 404);
    let stored = packument(&garth, "@acme/ui").await;
    assert_eq!(stored["dist-tags"], json!({ "latest": "1.0.0" }));
    assert_eq!(stored["time"].get("2.0.0"), None);
    let printed = npm.must_fail(&["publish"]);
    insta::assert_snapshot!("a_version_that_was_there", error_of(&npm.redacted(&printed)));

    npm.must(&["unpublish", "@acme/ui", "--force"]);
    let gone = garth.get("/npm/@acme/ui").await;
    assert_eq!(gone.status, 404, "{}", gone.text());
    npm.must_fail(&["view", "@acme/ui"]);
    for version in ["1.0.0", "2.0.0"] {
        let answer = Publish::new("@acme/ui", version).to(&garth).await;
        assert_eq!(answer.status, 409, "{version}: {}", answer.text());
    }
    assert_eq!(Publish::new("@acme/ui", "3.0.0").to(&garth).await.status, 201);
    let (setup, _) = garth.stop();
    let check = setup.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && !said.contains("leftover: "), "{said}");
}

/// pnpm sends one packument without all of them, and then asks for each file's end.
#[tokio::test(flavor = "multi_thread")]
async fn pnpm_takes_back_one_version_several_and_all() {
    let garth = forgiving().start();
    let pnpm = PackageManager::new(Kind::Pnpm, &format!("{}/npm/", garth.url));
    super::log_in(&pnpm, &garth);
    for name in ["x", "@acme/ui"] {
        for version in ["1.0.0", "1.1.0", "1.2.0", "2.0.0", "3.0.0", "4.0.0-beta.1"] {
            assert_eq!(Publish::new(name, version).to(&garth).await.status, 201);
        }
        garth.run(&["deny", &format!("npm:{name}@3.0.0"), "--name", "no-three"]);
        pnpm.must(&["unpublish", &format!("{name}@2.0.0")]);
        let before = revisions(&packument(&garth, name).await);
        let printed = pnpm.must(&["unpublish", &format!("{name}@<=1.1.0")]);
        assert!(printed.text().contains("2 version(s)"), "{}", printed.text());
        garth.run(&["rules", "remove", "no-three"]);
        let stored = packument(&garth, name).await;
        assert_eq!(revisions(&stored), before + 1, "both in one change");
        let versions: Vec<_> = stored["versions"].as_object().unwrap().keys().collect();
        assert_eq!(versions, ["1.2.0", "3.0.0", "4.0.0-beta.1"]);
        for version in ["1.0.0", "1.1.0", "2.0.0"] {
            let file = format!("/npm/{name}/-/{}-{version}.tgz", name.rsplit('/').next().unwrap());
            assert_eq!(garth.get(&file).await.status, 404, "{file}");
            assert_eq!(Publish::new(name, version).to(&garth).await.status, 409, "{version}");
        }
        pnpm.must(&["unpublish", name, "--force"]);
        assert_eq!(garth.get(&format!("/npm/{name}")).await.status, 404);
    }
    let (setup, _) = garth.stop();
    let check = setup.command(&["check"]).output().unwrap();
    let said = String::from_utf8_lossy(&check.stdout).into_owned();
    assert!(check.status.success() && !said.contains("leftover: "), "{said}");
}

/// How often a package was changed.
fn revisions(packument: &serde_json::Value) -> u64 {
    let revision = packument["_rev"].as_str().unwrap();
    revision.split_once('-').unwrap().0.parse().unwrap()
}

/// Whoever takes something back has not seen what a rule has come to show since then.
#[tokio::test(flavor = "multi_thread")]
async fn what_its_sender_has_not_seen_is_not_taken_back() {
    let garth = forgiving().start();
    for version in ["1.0.0", "2.0.0", "3.0.0", "4.0.0"] {
        assert_eq!(Publish::new("x", version).to(&garth).await.status, 201);
    }
    garth.run(&["deny", "npm:x@3.0.0", "--name", "no-three"]);
    let seen = packument(&garth, "x").await;
    garth.run(&["rules", "remove", "no-three"]);
    let path = format!("/npm/x/-rev/{}", seen["_rev"].as_str().unwrap());
    let without = |versions: &[&str]| {
        let mut body = seen.clone();
        for version in versions {
            body["versions"].as_object_mut().unwrap().remove(*version);
        }
        body
    };
    let mut unknown = without(&["1.0.0"]);
    unknown["versions"]["9.9.9"] = json!({});
    let mut undated = without(&["1.0.0", "2.0.0"]);
    undated.as_object_mut().unwrap().remove("time");
    for (what, body) in [("nothing", seen.clone()), ("unknown", unknown), ("undated", undated)] {
        let answer = put(&garth, &path, &body.to_string()).await;
        assert_eq!(answer.status, 409, "{what}: {}", answer.text());
    }
    assert_eq!(packument(&garth, "x").await["versions"].as_object().unwrap().len(), 4);
    let answer = put(&garth, &path, &without(&["1.0.0", "2.0.0"]).to_string()).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    let stored = packument(&garth, "x").await;
    let versions: Vec<_> = stored["versions"].as_object().unwrap().keys().collect();
    assert_eq!(versions, ["3.0.0", "4.0.0"]);
    let again = put(&garth, &path, &without(&["1.0.0", "2.0.0"]).to_string()).await;
    assert_eq!(again.status, 409, "{}", again.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_was_overtaken_is_refused() {
    let garth = forgiving().start();
    for version in ["1.0.0", "2.0.0"] {
        assert_eq!(Publish::new("x", version).to(&garth).await.status, 201);
    }
    let mut seen = packument(&garth, "x").await;
    let path = format!("/npm/x/-rev/{}", seen["_rev"].as_str().unwrap());
    seen["versions"].as_object_mut().unwrap().remove("1.0.0");
    assert_eq!(Publish::new("x", "3.0.0").to(&garth).await.status, 201);
    assert_eq!(put(&garth, &path, &seen.to_string()).await.status, 409);
    assert_eq!(change(&garth, "DELETE", &path, "").await.status, 409);
    assert_eq!(packument(&garth, "x").await["versions"].as_object().unwrap().len(), 3);
}

/// The texts of all versions are sent, whichever one was changed.
#[tokio::test(flavor = "multi_thread")]
async fn a_deprecation_does_not_undo_another_one() {
    let garth = own().start();
    for version in ["1.0.0", "2.0.0"] {
        assert_eq!(Publish::new("x", version).to(&garth).await.status, 201);
    }
    let publisher = publisher(&garth);
    publisher.must(&["deprecate", "x@1.0.0", "old"]);
    let mut bobs = packument(&garth, "x").await;
    bobs["versions"]["2.0.0"]["deprecated"] = "broken".into();
    publisher.must(&["deprecate", "x@1.0.0", "CVE-2099-1"]);
    let overtaken = put(&garth, "/npm/x", &bobs.to_string()).await;
    assert_eq!(overtaken.status, 409, "{}", overtaken.text());
    assert!(overtaken.text().contains("changed meanwhile"), "{}", overtaken.text());
    let stored = packument(&garth, "x").await;
    assert_eq!(stored["versions"]["1.0.0"]["deprecated"], "CVE-2099-1");
    assert_eq!(stored["versions"]["2.0.0"].get("deprecated"), None);
    bobs["_rev"] = stored["_rev"].clone();
    assert_eq!(put(&garth, "/npm/x", &bobs.to_string()).await.status, 200);
}

/// What is missing in it is taken back, so it has to be the packument.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_no_packument_takes_nothing_back() {
    let garth = forgiving().start();
    assert_eq!(Publish::new("x", "1.0.0").to(&garth).await.status, 201);
    assert_eq!(Publish::new("y", "1.0.0").to(&garth).await.status, 201);
    let seen = packument(&garth, "x").await;
    let path = format!("/npm/x/-rev/{}", seen["_rev"].as_str().unwrap());
    let version = json!({ "9.9.9": {} });
    for body in [
        json!({}),
        json!({ "users": {} }),
        json!({ "name": "x", "versions": {} }),
        json!({ "name": "y", "versions": version }),
        json!({ "versions": version }),
    ] {
        let answer = put(&garth, &path, &body.to_string()).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    assert_eq!(packument(&garth, "x").await, seen);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_change_the_meaning_of_a_version_is_refused_or_ignored() {
    let garth = own().start();
    assert_eq!(Publish::new("x", "1.0.0").to(&garth).await.status, 201);
    let seen = packument(&garth, "x").await;
    let mut evil = seen.clone();
    evil["versions"]["1.0.0"]["dist"]["integrity"] = "sha512-AAAA".into();
    evil["versions"]["1.0.0"]["scripts"] = json!({ "postinstall": "evil" });
    evil["dist-tags"]["latest"] = "9.9.9".into();
    evil["versions"]["1.0.0"]["deprecated"] = "old".into();
    assert_eq!(put(&garth, "/npm/x", &evil.to_string()).await.status, 200);
    let now = packument(&garth, "x").await;
    assert_eq!(now["versions"]["1.0.0"]["dist"], seen["versions"]["1.0.0"]["dist"]);
    assert_eq!(now["versions"]["1.0.0"].get("scripts"), None);
    assert_eq!(now["dist-tags"], seen["dist-tags"]);
    assert_eq!(now["versions"]["1.0.0"]["deprecated"], "old");

    let of = |version: &str, deprecated: serde_json::Value| {
        json!({ "name": "x", "versions": { version: { "deprecated": deprecated } } }).to_string()
    };
    let maintainers = json!({ "_id": "x", "maintainers": [{ "name": "eve" }] }).to_string();
    for (what, body, status) in [
        ("a version without a tarball", of("2.0.0", "x".into()), 404),
        ("a text that paints", of("1.0.0", "\u{1b}[31mred".into()), 400),
        ("a text of 5 KB", of("1.0.0", "x".repeat(5000).into()), 400),
        ("no text", of("1.0.0", json!({})), 400),
        ("owners", maintainers.clone(), 403),
        ("nothing", "{}".to_owned(), 400),
    ] {
        let answer = put(&garth, "/npm/x", &body).await;
        assert_eq!(answer.status, status, "{what}: {}", answer.text());
    }
    let answer = put(&garth, "/npm/x/-rev/1-x", &maintainers).await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    assert_eq!(packument(&garth, "x").await, now);
}

/// Everything that changes something asks for a token, and takes only what is own.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_from_the_upstream_is_not_changed_here() {
    let up = super::super::upstream().await;
    let garth = super::super::registry(&up, "own = [\"@acme/*\"]\nunpublish = true").start();
    garth.run(&["allow", "npm:left-pad"]);
    assert_eq!(garth.get("/npm/left-pad").await.status, 200);
    let publish = Publish::new("left-pad", "9.9.9").body().to_string();
    let rows = [
        ("PUT", "/npm/left-pad", publish.as_str()),
        ("PUT", "/npm/left-pad", r#"{"versions":{"1.3.0":{"deprecated":"x"}}}"#),
        ("PUT", "/npm/left-pad/-rev/1-x", "{}"),
        ("DELETE", "/npm/left-pad/-rev/1-x", ""),
        ("DELETE", "/npm/left-pad/-/left-pad-1.3.0.tgz/-rev/1-x", ""),
        ("PUT", "/npm/-/package/left-pad/dist-tags/x", "\"1.3.0\""),
        ("DELETE", "/npm/-/package/left-pad/dist-tags/latest", ""),
    ];
    for (method, path, body) in rows {
        let answer = change(&garth, method, path, body).await;
        assert_eq!(answer.status, 403, "{method} {path}: {}", answer.text());
        assert!(answer.text().contains("registry.npm.own"), "{}", answer.text());
        let asked = support::http::Asked::new(method, path).body(body);
        assert_eq!(garth.ask(&asked).await.status, 401, "{method} {path}");
    }
    assert_eq!(packument(&garth, "left-pad").await["dist-tags"]["latest"], "1.3.0");
}

/// `own` came later than the package did.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_known_from_the_upstream_is_not_published() {
    let up = super::super::upstream().await;
    let garth = super::super::setup(&up).start();
    garth.run(&["allow", "npm:@s/n"]);
    assert_eq!(garth.get("/npm/@s/n").await.status, 200);
    let (setup, _) = garth.stop();
    let garth = setup.with_env("GARTH_REGISTRY_NPM_OWN", "@s/*").start();
    let answer = Publish::new("@s/n", "2.0.0").to(&garth).await;
    assert_eq!(answer.status, 409, "{}", answer.text());
    assert!(answer.text().contains("known here from the upstream"), "{}", answer.text());
    assert_eq!(garth.get("/npm/@s/n").await.status, 404, "what is own comes from here alone");
    assert_eq!(Publish::new("@s/m", "1.0.0").to(&garth).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn rules_hold_for_own_packages_too() {
    let garth = own().start();
    assert_eq!(Publish::new("x", "1.0.0").to(&garth).await.status, 201);
    assert_eq!(garth.get("/npm/x/-/x-1.0.0.tgz").await.status, 200);
    garth.run(&["deny", "npm:x", "--reason", "CVE-2099-1", "--name", "no-x"]);
    assert_eq!(garth.get("/npm/x/-/x-1.0.0.tgz").await.status, 403);
    assert_eq!(garth.get("/npm/x").await.status, 403);
    garth.run(&["rules", "remove", "no-x"]);
    garth.run(&["hold", "npm:x"]);
    assert_eq!(garth.get("/npm/x/1.0.0").await.status, 403);
    garth.run(&["allow", "npm:y"]);
    let said = String::from_utf8(garth.garth(&["why", "npm:x@1.0.0"]).stdout).unwrap();
    assert!(said.contains("held"), "{said}");
    assert_eq!(Publish::new("z", "1.0.0").to(&garth).await.status, 201);
    let said = garth.run(&["why", "npm:z@1.0.0"]);
    assert!(said.contains("npm:z@1.0.0 is allowed: published here"), "{said}");
    assert!(!said.contains("is denied"), "{said}");
}
