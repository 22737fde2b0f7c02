//! Settings that change who is served what, and from where.

use support::http::Asked;
use support::npm::Npm;
use support::server::Setup;
use support::upstream::ScriptedUpstream;

use super::{npm, registry, setup, upstream};

#[tokio::test(flavor = "multi_thread")]
async fn observe_mode_serves_all_and_the_log_says_what_would_have_been_refused() {
    let up = upstream().await;
    let garth = setup(&up).with_settings("mode = \"observe\"").start();
    garth.run(&["allow", "npm:@s/n"]);
    garth.run(&["deny", "npm:left-pad", "--reason", "not this one"]);
    let npm = npm(&garth);
    npm.must(&["install", "left-pad@1.3.0", "@s/n"]);
    assert_eq!(npm.installed("left-pad").as_deref(), Some("1.3.0"));
    let line = garth.access_line("/npm/left-pad/-/left-pad-1.3.0.tgz").await;
    assert!(line.contains("decision=\"deny\"") || line.contains("decision=deny"), "{line}");
    assert!(line.contains("status=200"), "{line}");
    let line = garth.access_line("/npm/@s/n/-/n-1.0.0.tgz").await;
    assert!(line.contains("decision=\"allow\"") || line.contains("decision=allow"), "{line}");
    let tarball = garth.get("/npm/left-pad/-/left-pad-1.3.0.tgz").await;
    assert!(tarball.header("garth-decision").unwrap().starts_with("deny; rule="), "{tarball:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_registries_side_by_side_do_not_mix() {
    let (left, right) = (ScriptedUpstream::start().await, ScriptedUpstream::start().await);
    left.npm("shared").version("1.0.0", |v| v.file("index.js", "'left'")).publish();
    right.npm("shared").version("1.0.0", |v| v.file("index.js", "'right'")).publish();
    right.npm("only-right").plain_version("1.0.0").publish();
    let garth = Setup::new(&format!(
        "[registry.left]\nformat = \"npm\"\nupstream = \"{}\"\n\
         [registry.right-hand]\nformat = \"npm\"\nupstream = \"{}\"\n",
        left.url(),
        right.url()
    ))
    .start();
    garth.run(&["allow", "npm:shared", "npm:only-right"]);
    for (name, content) in [("left", "'left'"), ("right-hand", "'right'")] {
        let npm = Npm::new(&format!("{}/{name}/", garth.url));
        npm.must(&["install", "shared"]);
        assert_eq!(npm.read("node_modules/shared/index.js").as_deref(), Some(content));
    }
    assert_eq!(garth.get("/left/only-right").await.status, 404);
    assert_eq!(garth.get("/right-hand/only-right").await.status, 200);
    assert_eq!(garth.get("/npm/shared").await.status, 404, "there is no registry of that name");
    assert_eq!(garth.get("/shared").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_of_own_packages_never_leave_the_house() {
    let up = upstream().await;
    up.npm("@acme/secret").plain_version("1.0.0").publish();
    up.npm("acme-tool").plain_version("1.0.0").publish();
    up.npm("acmetool").plain_version("1.0.0").publish();
    let own = "own = [\"@acme/*\", \"acme-*\"]\nmax_age = \"0s\"";
    let garth = registry(&up, own).start();
    garth.run(&["allow", "npm:*"]);
    for name in ["@acme/secret", "@acme%2fsecret", "%40acme/secret", "acme-tool", "%61cme-tool"] {
        for behind in ["", "/1.0.0", "/latest", "/-/secret-1.0.0.tgz", "/-/acme-tool-1.0.0.tgz"] {
            for method in ["GET", "HEAD", "PUT", "DELETE"] {
                let asked = Asked::new(method, &format!("/npm/{name}{behind}"));
                let answer = garth.ask(&asked).await;
                assert!((400..500).contains(&answer.status), "{asked:?}: {}", answer.status);
            }
        }
    }
    assert_eq!(up.total_requests(), 0, "{:?}", up.recorded());
    assert_eq!(garth.get("/npm/acmetool").await.status, 200, "patterns are anchored");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_public_url_a_forged_host_is_in_no_answer() {
    let up = upstream().await;
    let garth = setup(&up).with_settings("public_url = \"https://garth.example.com\"").start();
    garth.run(&["allow", "npm:left-pad"]);
    let forged = [
        ("Host", "evil.example.net"),
        ("X-Forwarded-Host", "evil.example.net"),
        ("Forwarded", "host=evil.example.net;proto=https"),
    ];
    for path in ["/npm/left-pad", "/npm/left-pad/1.3.0", "/npm/left-pad/latest"] {
        let mut asked = Asked::get(path);
        for (name, value) in forged {
            asked = asked.header(name, value);
        }
        let answer = garth.ask(&asked).await;
        let text = answer.text();
        assert_eq!(answer.status, 200, "{text}");
        assert!(!text.contains("evil.example.net"), "{path}: {text}");
        assert!(
            text.contains("https://garth.example.com/npm/left-pad/-/left-pad-1.3.0.tgz"),
            "{path}: {text}"
        );
    }
}

/// Without one the answer follows the Host, so it must never be kept for another Host.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_public_url_nobody_is_sent_another_ones_host() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad"]);
    let forged = Asked::get("/npm/left-pad").header("Host", "evil.example.net");
    garth.ask(&forged).await;
    let honest = garth.get("/npm/left-pad").await;
    assert!(!honest.text().contains("evil.example.net"), "{}", honest.text());
    assert!(honest.text().contains(&garth.url));
    let forwarded = Asked::get("/npm/left-pad").header("X-Forwarded-Host", "evil.example.net");
    let answer = garth.ask(&forwarded).await;
    assert!(!answer.text().contains("evil.example.net"), "nobody made this one a proxy");
}
