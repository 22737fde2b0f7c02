//! Under which name and version a package comes, as each package manager writes them.

use support::http::Asked;
use support::package_managers::{Kind, PackageManager};
use support::server::TestServer;

use super::clients::person;
use super::{npm, setup, upstream};

/// All of them at once: each is mostly waiting for itself.
fn in_each(garth: &TestServer, check: impl Fn(&PackageManager) + Sync) {
    std::thread::scope(|scope| {
        for kind in Kind::ALL {
            let check = &check;
            scope.spawn(move || check(&person(kind, garth)));
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_client_writes_a_scope_it_is_one_package() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:@s/n"]);
    in_each(&garth, |person| {
        person.must(&[person.kind().add(), "@s/n@1.0.0"]);
        assert_eq!(person.installed("@s/n").as_deref(), Some("1.0.0"), "{:?}", person.kind());
    });
    garth.run(&["deny", "npm:@s/n"]);
    up.forget_requests();
    in_each(&garth, |person| {
        let refused = person.must_fail(&[person.kind().add(), "@s/n@1.0.0"]);
        let said = refused.text().replace('_', " ");
        assert!(said.contains("denied by the rule deny-s-n"), "{:?}: {said}", person.kind());
        assert_eq!(person.installed("@s/n"), None, "{:?}", person.kind());
    });
    let asked: Vec<_> = up.recorded().into_iter().map(|request| request.path).collect();
    assert!(asked.iter().all(|path| path == "/@s/n"), "{asked:?}");
}

/// No silent downgrade: npm says it, and the others get the version that is offered as the latest.
#[tokio::test(flavor = "multi_thread")]
async fn where_the_latest_version_is_denied_each_client_gets_the_one_before() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad"]);
    garth.run(&["deny", "npm:left-pad@1.3.0", "--reason", "CVE-2099-1"]);
    in_each(&garth, |person| {
        let kind = person.kind();
        let printed = person.must(&[kind.add(), "left-pad"]);
        assert_eq!(person.installed("left-pad").as_deref(), Some("1.2.0"), "{kind:?}");
        if kind == Kind::Npm {
            assert!(printed.text().contains("CVE-2099-1"), "{}", printed.text());
        }
        let manifest = person.read("package.json").unwrap();
        assert!(manifest.contains("1.2.0"), "{kind:?}: {manifest}");
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alias_and_an_override_are_decided_on_the_real_name() {
    let up = upstream().await;
    up.npm("evil").plain_version("1.0.0").publish();
    up.npm("app").version("1.0.0", |version| version.dependency("left-pad", "^1.1.0")).publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad", "npm:app", "npm:x"]);
    in_each(&garth, |person| {
        let refused = person.must_fail(&[person.kind().add(), "x@npm:evil@1.0.0"]);
        let said = refused.text().replace('_', " ");
        assert!(said.contains("no rule allows this package yet"), "{:?}: {said}", person.kind());
        assert_eq!(person.installed("x"), None, "{:?}", person.kind());
    });
    assert_eq!(up.requests("/evil/-/evil-1.0.0.tgz"), 0);

    let npm = npm(&garth);
    let with_override = r#"{
        "name": "project", "version": "1.0.0",
        "dependencies": { "app": "1.0.0" },
        "overrides": { "left-pad": "npm:evil@1.0.0" }
    }"#;
    npm.write("package.json", with_override);
    let refused = npm.must_fail(&["install"]);
    assert!(refused.text().contains("npm:evil@1.0.0 is not allowed"), "{}", refused.text());

    // A lockfile has the address of the tarball, whatever the name in front of it.
    garth.run(&["allow", "npm:evil", "--name", "for-now"]);
    npm.must(&["install"]);
    garth.run(&["rules", "remove", "for-now"]);
    npm.forget();
    let refused = npm.must_fail(&["ci"]);
    assert!(refused.text().contains("npm:evil@1.0.0 is not allowed"), "{}", refused.text());
    assert_eq!(npm.installed("left-pad"), None);
}

/// A stored answer is never the other kind of client's.
#[tokio::test(flavor = "multi_thread")]
async fn only_an_npm_that_reads_restrictions_is_told_them_in_the_packument() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad"]);
    garth.run(&["deny", "npm:left-pad@1.3.0", "--reason", "CVE-2099-1", "--name", "no-cve"]);
    let asked = |agent: &str| Asked::get("/npm/left-pad").header("User-Agent", agent);
    let plain = garth.ask(&asked("pnpm/12.0.0 npm/? node/?")).await;
    for agent in ["npm/10.8.3 node/v22.0.0", "npm/9.2.0 node/v18.0.0", "yarn/1.22.22", "Bun/1.4.5"]
    {
        let answer = garth.ask(&asked(agent)).await;
        assert_eq!(answer.body, plain.body, "{agent}");
    }
    for agent in ["npm/10.9.0 node/v22.0.0", "npm/11.19.1 node/v20.20.2"] {
        let told = garth.ask(&asked(agent)).await;
        assert_eq!(told.header("vary"), Some("Accept, Accept-Encoding, User-Agent"));
        let mut packument = told.json();
        let field = packument.as_object_mut().unwrap().remove("policyRestrictions").unwrap();
        assert_eq!(packument, plain.json(), "{agent}");
        let message = field["message"].as_str().unwrap();
        assert!(message.contains("denied by the rule no-cve: CVE-2099-1"), "{message}");
        let again = asked(agent).header("If-None-Match", plain.header("etag").unwrap());
        assert_eq!(garth.ask(&again).await.status, 200, "it is another document");
        let again = asked(agent).header("If-None-Match", told.header("etag").unwrap());
        assert_eq!(garth.ask(&again).await.status, 304);
    }
    // Where nothing is left out there is nothing to tell.
    garth.run(&["rules", "remove", "no-cve"]);
    let told = garth.ask(&asked("npm/11.19.1 node/v20.20.2")).await;
    let plain = garth.ask(&asked("curl/8")).await;
    assert_eq!(told.body, plain.body);
    assert_eq!(told.header("etag"), plain.header("etag"), "so it is the same document");
}
