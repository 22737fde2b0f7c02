//! The way of a new user, and every other way to what he was refused.

use support::http::Asked;
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::{npm, setup, upstream};

const ABBREVIATED: &str = "application/vnd.npm.install-v1+json";

#[tokio::test(flavor = "multi_thread")]
async fn npm_is_refused_then_allowed_by_one_command_then_refused_again() {
    let up = upstream().await;
    // So that what a client prints does not hang on whether it was refused before.
    let garth = setup(&up).with_env("GARTH_REQUESTS_AUTOMATIC", "false").start();
    let npm = npm(&garth);

    let refused = npm.must_fail(&["install", "left-pad@1.3.0"]);
    insta::assert_snapshot!("nobody_allowed_it", npm.redacted(&refused));
    assert_eq!(up.requests("/left-pad/-/left-pad-1.3.0.tgz"), 0);

    garth.run(&["allow", "npm:left-pad", "--reason", "small, read by us"]);
    npm.must(&["install", "left-pad@1.3.0"]);
    assert_eq!(npm.installed("left-pad").as_deref(), Some("1.3.0"));

    garth.run(&["deny", "npm:left-pad", "--reason", "use String.prototype.padStart"]);
    npm.start_over();
    let gone = npm.must_fail(&["install", "left-pad@1.3.0"]);
    insta::assert_snapshot!("it_was_denied_again", npm.redacted(&gone));
    assert_eq!(npm.installed("left-pad"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scoped_package_with_dependencies_is_installed() {
    let up = upstream().await;
    up.npm("@s/app")
        .version("2.0.0", |version| {
            version.dependency("left-pad", "^1.2.0").dependency("@s/n", "1").bin("app", "cli.js")
        })
        .publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:@s/*", "npm:left-pad"]);
    let npm = npm(&garth);
    npm.must(&["install", "@s/app"]);
    for (package, version) in [("@s/app", "2.0.0"), ("@s/n", "1.0.0"), ("left-pad", "1.3.0")] {
        assert_eq!(npm.installed(package).as_deref(), Some(version), "{package}");
    }
    let lockfile = npm.read("package-lock.json").unwrap();
    assert!(lockfile.contains(&format!("{}/npm/@s/n/-/n-1.0.0.tgz", garth.url)), "{lockfile}");
    assert!(!lockfile.contains(&up.address().to_string()), "{lockfile}");
}

/// Every path that leads to the version or to its bytes.
fn ways_to_left_pad() -> Vec<String> {
    [
        "left-pad",
        "/left-pad",
        "left-pad/",
        "%6ceft-pad",
        "left-pad/1.3.0",
        "left-pad/latest",
        "left-pad/1.3.0/",
        "left%2Dpad/1.3.0",
        "left-pad/-/left-pad-1.3.0.tgz",
        "/left-pad/-/left-pad-1.3.0.tgz",
        "left-pad/-/left-pad-1.3.0.tgz/",
        "left-pad/%2d/left-pad-1.3.0.tgz",
        "left-pad/-/left%2dpad-1.3.0.tgz",
        "left-pad/-/theirs.tgz",
        "left-pad/-/left-pad-1.3.0.tgz?download=1",
    ]
    .map(|way| format!("/npm/{way}"))
    .into()
}

fn ways_to_the_scoped_one() -> Vec<String> {
    let names = ["@s/n", "@s%2fn", "@s%2Fn", "%40s/n", "%40s%2fn", "/@s/n", "/@s%2fn"];
    let behind = ["", "/1.0.0", "/latest", "/-/n-1.0.0.tgz", "/-/@s/n-1.0.0.tgz"];
    names
        .iter()
        .flat_map(|name| behind.iter().map(move |behind| format!("/npm/{name}{behind}")))
        .collect()
}

/// Two packages whose every version is denied, and whose bytes garth holds.
async fn held_and_denied() -> (ScriptedUpstream, TestServer) {
    let up = upstream().await;
    let elsewhere = up.tarball("left-pad", "1.3.0");
    up.place("/files/theirs.tgz", "application/octet-stream", elsewhere.bytes());
    let url = up.at("/files/theirs.tgz");
    up.npm("left-pad")
        .unpublish("1.1.0")
        .unpublish("1.2.0")
        .version("1.3.0", |version| version.tarball_url(&url).raw_tarball(elsewhere.bytes()))
        .publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad", "npm:@s/n", "--name", "both"]);
    for way in ways_to_left_pad().iter().chain(&ways_to_the_scoped_one()) {
        let answer = garth.get(way).await;
        assert_eq!(answer.status, 200, "{way} is no way to what is allowed: {}", answer.text());
    }
    garth.hold(&ways_to_left_pad()[8]).await;
    garth.hold("/npm/@s/n/-/n-1.0.0.tgz").await;
    garth.run(&["rules", "remove", "both"]);
    garth.run(&["deny", "npm:left-pad", "npm:@s/n", "--reason", "no"]);
    (up, garth)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_sent_by_no_spelling_no_method_and_no_condition() {
    let (up, garth) = held_and_denied().await;
    let left_pad = up.tarball("left-pad", "1.3.0").bytes();
    let scoped = up.tarball("@s/n", "1.0.0").bytes();
    // The validators of the bytes that garth holds, as whoever had them before knows them.
    let etag = |bytes: &[u8]| format!("\"{}\"", policies::package::Digest::sha256_of(bytes).hex());
    let etags = [etag(&left_pad), etag(&scoped), "*".to_owned()];
    up.forget_requests();

    for way in ways_to_left_pad().iter().chain(&ways_to_the_scoped_one()) {
        let mut asked = vec![
            Asked::get(way),
            Asked::new("HEAD", way),
            Asked::get(way).header("Accept", ABBREVIATED),
            Asked::get(way).header("Range", "bytes=0-0"),
            Asked::get(way).header("Range", "bytes=-1"),
            Asked::new("HEAD", way).header("Range", "bytes=0-99"),
            Asked::get(way).header("If-Modified-Since", "Fri, 01 Jan 2100 00:00:00 GMT"),
        ];
        for etag in &etags {
            asked.push(Asked::get(way).header("If-None-Match", etag));
            asked.push(Asked::new("HEAD", way).header("If-None-Match", etag));
            asked.push(Asked::get(way).header("If-Range", etag).header("Range", "bytes=0-9"));
            asked.push(Asked::get(way).header("If-Match", etag));
        }
        for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND"] {
            asked.push(Asked::new(method, way));
        }
        for asked in asked {
            let answer = garth.ask(&asked).await;
            assert!(
                (400..500).contains(&answer.status),
                "{asked:?} gives {}: {}",
                answer.status,
                answer.text()
            );
            let plain = !format!("{asked:?}").contains("method: \"P");
            if plain && format!("{asked:?}").contains("method: \"GET\"") {
                assert_eq!(answer.status, 403, "{asked:?}: {}", answer.text());
                assert!(
                    answer.text().contains("denied by the rule"),
                    "{asked:?}: {}",
                    answer.text()
                );
                assert!(answer.header("garth-decision").unwrap().starts_with("deny; rule="));
            }
            for (bytes, name) in [(&left_pad, "left-pad"), (&scoped, "@s/n")] {
                let piece = &bytes[..10];
                let sent = answer.body.windows(10).any(|window| window == piece);
                assert!(!sent, "{asked:?} sends bytes of {name}");
            }
        }
    }
    assert_eq!(up.requests("/left-pad/-/left-pad-1.3.0.tgz"), 0, "nothing is fetched for it");
    assert_eq!(up.requests("/@s/n/-/n-1.0.0.tgz"), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_denied_version_is_in_neither_form_of_the_packument() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad"]);
    garth.run(&["deny", "npm:left-pad@1.3.0"]);
    for accept in ["application/json", ABBREVIATED, "*/*"] {
        let answer = garth.ask(&Asked::get("/npm/left-pad").header("Accept", accept)).await;
        let packument = answer.json();
        let versions: Vec<_> = packument["versions"].as_object().unwrap().keys().collect();
        assert_eq!(versions, ["1.1.0", "1.2.0"], "{accept}");
        assert_eq!(packument["dist-tags"]["latest"], "1.2.0", "{accept}");
        let times: Vec<_> = packument["time"].as_object().unwrap().keys().collect();
        assert_eq!(times, ["1.1.0", "1.2.0", "created", "modified"], "{accept}");
        assert!(!answer.text().contains("1.3.0"), "{accept}: {}", answer.text());
        let notice = answer.header("npm-notice").unwrap();
        assert!(notice.contains("latest of npm:left-pad is 1.2.0 here"), "{notice}");
    }
    assert_eq!(garth.get("/npm/left-pad/latest").await.json()["version"], "1.2.0");
    assert_eq!(garth.get("/npm/left-pad/1.3.0").await.status, 403);
    assert_eq!(garth.get("/npm/left-pad/1.2.0").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_tarball_is_refused_before_anything_of_it_is_fetched() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let answer = garth.get("/npm/left-pad/-/left-pad-1.3.0.tgz").await;
    assert_eq!(answer.status, 403, "{}", answer.text());
    let asked: Vec<_> = up.recorded().into_iter().map(|request| request.path).collect();
    assert_eq!(asked, ["/left-pad"], "its metadata, and nothing else");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_is_left_out_is_not_called_unknown() {
    let up = upstream().await;
    let odd = up.npm("odd").plain_version("1.0.0");
    odd.version("2.0.0", |version| version.field("name", "other".into()))
        .tag("latest", "1.0.0")
        .tag("next", "2.0.0")
        .publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:odd"]);
    for path in ["/npm/odd/2.0.0", "/npm/odd/next", "/npm/odd/-/odd-2.0.0.tgz"] {
        let answer = garth.get(path).await;
        assert_eq!(answer.status, 404, "{path}");
        let expected = "npm:odd@2.0.0 is left out here: it bears another name";
        assert_eq!(answer.json()["error"], expected, "{path}");
    }
    let answer = garth.get("/npm/odd/3.0.0").await;
    assert!(answer.text().contains("npm:odd@3.0.0 is unknown at http://"), "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_404_names_the_setting_that_keeps_a_name_here_and_not_the_upstream_s_path() {
    let up = upstream().await;
    let more = "own = [\"@acme/*\"]";
    let settings = format!("[registry.npm]\nupstream = \"{}\"\n{more}\n", up.at("/t/secret-path/"));
    let garth = support::server::Setup::new(&settings).start();
    let answer = garth.get("/npm/@acme/x").await;
    assert_eq!(answer.status, 404);
    let text = answer.json()["error"].as_str().unwrap().to_owned();
    assert!(text.starts_with("npm:@acme/x is not published here"), "{text}");
    assert!(text.contains("under `own` of a registry here"), "{text}");
    for agent in ["npm/11.0.0", "pnpm/10.0.0", "Bun/1.3.0"] {
        let answer = garth.ask(&Asked::get("/npm/nowhere").header("User-Agent", agent)).await;
        let said = format!("{answer:?}{}", answer.text());
        assert!(said.contains("unknown"), "{agent}: {said}");
        assert!(!said.contains("secret-path"), "{agent}: {said}");
    }
}
