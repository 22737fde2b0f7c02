//! Several registries side by side, each with its own upstream, credentials and own names.

use futures_util::future::join_all;
use support::http::Asked;
use support::server::{Setup, TestServer};
use support::upstream::ScriptedUpstream;

const SHORT: &str = "application/vnd.npm.install-v1+json";

/// Two upstreams that have `shared@1.0.0` with bytes of their own, and each a package that the
/// other one does not have.
async fn two_upstreams() -> [(&'static str, ScriptedUpstream); 2] {
    let mut both = Vec::new();
    for name in ["left", "right-hand"] {
        let up = ScriptedUpstream::start().await;
        let source = format!("module.exports = 'the one of {name}';\n");
        up.npm("shared").version("1.0.0", |draft| draft.file("index.js", &source)).publish();
        up.npm(&format!("only-{name}")).plain_version("1.0.0").publish();
        both.push((name, up));
    }
    both.try_into().ok().expect("two of them")
}

fn setup(both: &[(&str, ScriptedUpstream); 2], more: &str) -> Setup {
    let [left, right] = both.each_ref().map(|(name, up)| {
        format!("[registry.{name}]\nformat = \"npm\"\nupstream = \"{}\"\n{more}\n", up.url())
    });
    Setup::new(&format!("{left}{right}"))
}

/// Every registry answers with its own upstream's package, in every form.
async fn check_that_they_do_not_mix(
    garth: &TestServer,
    both: &[(&str, ScriptedUpstream); 2],
    when: &str,
) {
    for (name, up) in both {
        let expected = up.tarball("shared", "1.0.0");
        let here = format!("{}/{name}/shared/-/shared-1.0.0.tgz", garth.url);
        for accept in ["application/json", SHORT] {
            let asked = Asked::get(&format!("/{name}/shared")).header("Accept", accept);
            let dist = garth.ask(&asked).await.json()["versions"]["1.0.0"]["dist"].clone();
            assert_eq!(dist["integrity"], expected.integrity.as_str(), "{when}: {name}");
            assert_eq!(dist["tarball"], here.as_str(), "{when}: {name}");
        }
        for selector in ["1.0.0", "latest"] {
            let dist =
                garth.get(&format!("/{name}/shared/{selector}")).await.json()["dist"].clone();
            assert_eq!(dist["integrity"], expected.integrity.as_str(), "{when}: {name}");
            assert_eq!(dist["tarball"], here.as_str(), "{when}: {name}");
        }
        let answer = garth.get(&format!("/{name}/shared/-/shared-1.0.0.tgz")).await;
        assert_eq!(answer.whole().as_deref(), Some(&*expected.bytes()), "{when}: {name}");
        let again = Asked::get(&format!("/{name}/shared/-/shared-1.0.0.tgz"))
            .header("If-None-Match", answer.header("etag").unwrap());
        assert_eq!(garth.ask(&again).await.status, 304, "{when}: {name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_at_two_upstreams_is_two_packages_cold_warm_and_from_disk() {
    let both = two_upstreams().await;
    let garth = setup(&both, "").start();
    garth.run(&["allow", "npm:*"]);
    let path = |name: &str| format!("/{name}/shared/-/shared-1.0.0.tgz");
    // Cold and at once: whoever joins a flight joins the one of his registry.
    for (_, up) in &both {
        up.on("/shared").after(std::time::Duration::from_millis(100)).serve();
        up.on("/shared/-/shared-1.0.0.tgz").after(std::time::Duration::from_millis(100)).serve();
    }
    let asked = both.each_ref().map(|(name, _)| Asked::get(&path(name)));
    let answers = join_all((0..40).map(|n| garth.ask(&asked[n % 2]))).await;
    for (n, answer) in answers.into_iter().enumerate() {
        let expected = both[n % 2].1.tarball("shared", "1.0.0").bytes();
        assert_eq!(answer.whole().as_deref(), Some(&*expected), "at once: {}", both[n % 2].0);
    }
    check_that_they_do_not_mix(&garth, &both, "warm").await;
    for (name, up) in &both {
        assert_eq!(up.requests("/shared"), 1, "{name}");
        assert_eq!(up.requests("/shared/-/shared-1.0.0.tgz"), 1, "{name}");
        garth.hold(&path(name)).await;
    }
    assert_eq!(garth.alarms("bytes-changed").await, 0, "nobody changed his mind");

    let setup = garth.kill();
    for (_, up) in &both {
        up.go_offline();
    }
    check_that_they_do_not_mix(&setup.start(), &both, "from disk").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_upstream_does_not_have_is_not_absent_in_the_other_registry() {
    let both = two_upstreams().await;
    let garth = setup(&both, "").start();
    garth.run(&["allow", "npm:*"]);
    for (owner, _) in &both {
        for behind in ["", "/1.0.0", &format!("/-/only-{owner}-1.0.0.tgz")] {
            for (name, up) in &both {
                let status = if name == owner { 200 } else { 404 };
                let answer = garth.get(&format!("/{name}/only-{owner}{behind}")).await;
                assert_eq!(answer.status, status, "{name}, {owner}{behind}: {}", answer.text());
                if status == 404 {
                    // A person with two registries has to read which one was asked.
                    let text = answer.text();
                    assert!(
                        text.contains(name)
                            && text.contains(up.url().as_str().trim_end_matches('/')),
                        "{text}"
                    );
                }
            }
        }
    }
    // The version that one of them has, and the other one not.
    let (_, left) = &both[0];
    left.npm("shared").plain_version("2.0.0").publish();
    assert_eq!(garth.get("/right-hand/shared/-/shared-2.0.0.tgz").await.status, 404);
    assert_eq!(garth.get("/left/shared/-/shared-2.0.0.tgz").await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_upstream_that_is_down_does_not_disturb_the_other() {
    let both = two_upstreams().await;
    let garth = setup(&both, "max_age = \"0s\"").start();
    garth.run(&["allow", "npm:*"]);
    both[0].1.go_offline();
    for round in 0..12 {
        // Enough to open the breaker of the one that is down.
        let answer = garth.get("/left/shared").await;
        assert_eq!(answer.status, 502, "{}", answer.text());
        assert!(answer.text().contains("upstream left"), "{}", answer.text());
        let answer = garth.get("/right-hand/shared").await;
        assert_eq!(answer.status, 200, "round {round}: {}", answer.text());
        assert_eq!(answer.header("warning"), None, "round {round}");
    }
    let path = "/right-hand/shared/-/shared-1.0.0.tgz";
    assert_eq!(garth.get(path).await.status, 200);
    let line = garth.access_line("/left/shared").await;
    assert!(line.contains("registry=left"), "{line}");
    let line = garth.access_line(path).await;
    assert!(line.contains("registry=right-hand"), "{line}");
    let page = garth.get("/metrics").await.text();
    for expected in ["registry=\"left\"", "registry=\"right-hand\"", "upstream=\"left\""] {
        assert!(page.contains(expected), "no {expected} in {page}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_go_to_the_upstream_of_their_registry_only() {
    let both = two_upstreams().await;
    let [left, right] = both.each_ref().map(|(_, up)| up);
    // A document of one that leads to the other, which its settings allow.
    let elsewhere = right.at("files/guest-1.0.0.tgz");
    left.npm("guest").version("1.0.0", |draft| draft.tarball_url(&elsewhere)).publish();
    let bytes = left.tarball("guest", "1.0.0").bytes();
    right.place("/files/guest-1.0.0.tgz", "application/octet-stream", bytes.clone());
    let garth = Setup::new(&format!(
        "[registry.left]\nformat = \"npm\"\nupstream = \"{}\"\ntoken = {{ env = \"LEFT\" }}\n\
         allow_hosts = [\"127.0.0.1:{}\"]\n\
         [registry.right-hand]\nformat = \"npm\"\nupstream = \"{}\"\nusername = \"ann\"\n\
         password = {{ env = \"RIGHT\" }}\n",
        left.url(),
        right.port(),
        right.url()
    ))
    .with_env("LEFT", "the-left-secret")
    .with_env("RIGHT", "the-right-secret")
    .start();
    garth.run(&["allow", "npm:*"]);
    for name in ["left", "right-hand"] {
        assert_eq!(garth.get(&format!("/{name}/shared/-/shared-1.0.0.tgz")).await.status, 200);
    }
    let guest = garth.get("/left/guest/-/guest-1.0.0.tgz").await;
    assert_eq!(guest.whole().as_deref(), Some(&*bytes), "{}", guest.text());
    for request in left.recorded() {
        assert_eq!(request.header("authorization"), Some("Bearer the-left-secret"), "{request:?}");
    }
    for request in right.recorded() {
        let sent = request.header("authorization");
        let is_guest = request.path.starts_with("/files/");
        let expected = (!is_guest).then_some("Basic YW5uOnRoZS1yaWdodC1zZWNyZXQ=");
        assert_eq!(sent, expected, "{}", request.path);
    }
    let log = garth.log();
    assert!(!log.contains("the-left-secret") && !log.contains("the-right-secret"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_a_registry_alone_is_no_package() {
    let both = two_upstreams().await;
    let garth = setup(&both, "").start();
    garth.run(&["allow", "npm:*"]);
    for path in ["/left", "/left/", "/left//", "/right-hand", "/right-hand?x=y", "/Left", "/lef"] {
        for method in ["GET", "HEAD", "PUT"] {
            let answer = garth.ask(&Asked::new(method, path)).await;
            assert!(matches!(answer.status, 404 | 405), "{method} {path}: {}", answer.status);
        }
    }
    for path in ["/left%2fshared", "/%6ceft/shared", "/left/../right-hand/shared", "/LEFT/shared"] {
        let answer = garth.get(path).await;
        assert!(matches!(answer.status, 400 | 404), "{path}: {}", answer.status);
    }
    let asked: usize = both.iter().map(|(_, up)| up.total_requests()).sum();
    assert_eq!(asked, 0);
}

/// Every request that names a package, below a registry.
fn requests_for(name: &str) -> Vec<Asked> {
    let encoded = name.replace('/', "%2f");
    let file = name.rsplit('/').next().unwrap_or(name);
    let mut all = Vec::new();
    for spelling in [name, &encoded, &name.replace('@', "%40"), &format!("/{encoded}")] {
        let paths = [
            spelling.to_owned(),
            format!("{spelling}/1.0.0"),
            format!("{spelling}/9.9.9"),
            format!("{spelling}/latest"),
            format!("{spelling}/-/{file}-1.0.0.tgz"),
            format!("{spelling}/-/{file}-9.9.9.tgz"),
            format!("{spelling}/-/{name}-1.0.0.tgz"),
            format!("{spelling}/-/anything.tgz"),
            format!("{spelling}/-rev/1-a"),
            format!("{spelling}/-/{file}-1.0.0.tgz/-rev/1-a"),
            format!("-/package/{spelling}/dist-tags"),
            format!("-/package/{spelling}/dist-tags/latest"),
            format!("-/npm/v1/attestations/{spelling}@1.0.0"),
            format!("-/v1/search?text={spelling}"),
        ];
        for path in paths {
            for method in ["GET", "HEAD", "PUT", "POST", "DELETE"] {
                all.push(Asked::new(method, &format!("/npm/{path}")));
            }
            let short = Asked::get(&format!("/npm/{path}")).header("Accept", SHORT);
            all.push(short.clone().header("Cache-Control", "no-cache"));
            all.push(short.header("If-None-Match", "*"));
        }
    }
    all
}

/// The attack: somebody publishes the name of a house's package at the public registry.
#[tokio::test(flavor = "multi_thread")]
async fn no_request_for_an_own_name_reaches_the_upstream_that_has_it_too() {
    let up = ScriptedUpstream::start().await;
    let own = ["@acme/secret", "acme-tool"];
    let others = ["@acme-evil/secret", "@acmex/secret", "acmetool", "my-acme-tool", "@x/acme-tool"];
    for name in own.iter().chain(&others) {
        up.npm(name).version("1.0.0", |draft| draft.file("index.js", "'evil'")).publish();
    }
    let garth = super::registry(&up, "own = [\"@acme/*\", \"acme-*\"]\nmax_age = \"0s\"").start();
    garth.run(&["allow", "npm:*"]);
    for name in own {
        for asked in requests_for(name) {
            let answer = garth.ask(&asked).await;
            assert!(answer.status < 500, "{asked:?}: {}", answer.text());
            assert!(!answer.text().contains("evil"), "{asked:?}: {}", answer.text());
            assert!(!answer.text().contains(up.url().as_str()), "{asked:?}: {}", answer.text());
        }
        for path in [format!("/npm/{name}"), format!("/npm/{name}/1.0.0")] {
            let answer = garth.get(&path).await;
            assert_eq!(answer.status, 404, "{path}: {}", answer.text());
        }
    }
    let about_own = |target: &str| target.contains("secret") || target.contains("tool");
    let reached: Vec<_> = up.recorded().into_iter().map(|request| request.target).collect();
    assert!(!reached.iter().any(|target| about_own(target)), "{reached:?}");
    for name in others {
        let answer = garth.get(&format!("/npm/{name}")).await;
        assert_eq!(answer.status, 200, "{name}: patterns are anchored: {}", answer.text());
    }
}

/// A name of this house that came from the upstream before anybody said that it is one.
#[tokio::test(flavor = "multi_thread")]
async fn what_came_from_the_upstream_before_its_name_was_own_is_served_no_more() {
    let up = ScriptedUpstream::start().await;
    up.npm("@acme/x").plain_version("1.0.0").publish();
    let garth = super::registry(&up, "").start();
    garth.run(&["allow", "npm:*"]);
    garth.hold("/npm/@acme/x/-/x-1.0.0.tgz").await;
    assert_eq!(garth.get("/npm/@acme/x").await.status, 200);
    let (setup, _) = garth.stop();
    up.forget_requests();
    let garth = setup.with_env("GARTH_REGISTRY_NPM_OWN", "@acme/*").start();
    for behind in ["", "/1.0.0", "/latest", "/-/x-1.0.0.tgz"] {
        let answer = garth.get(&format!("/npm/@acme/x{behind}")).await;
        assert_eq!(answer.status, 404, "{behind}: {}", answer.text());
        let text = answer.text();
        assert!(text.contains("npm:@acme/x") && !text.contains(up.url().as_str()), "{text}");
    }
    assert_eq!(up.total_requests(), 0, "{:?}", up.recorded());
}

/// What is the house's in one registry is told to the upstream of no other, whatever is asked about it.
#[tokio::test(flavor = "multi_thread")]
async fn own_names_of_a_sibling_leave_the_house_nowhere() {
    let up = ScriptedUpstream::start().await;
    up.npm("@acme/ui").plain_version("9.9.9").publish();
    up.npm("open").plain_version("1.0.0").publish();
    let npm = format!("[registry.npm]\nformat = \"npm\"\nupstream = \"{}\"\n", up.url());
    let acme = "[registry.acme]\nformat = \"npm\"\nown = [\"@acme/*\"]\n";
    let setup = Setup::new(&npm);
    let garth = setup.start();
    garth.run(&["allow", "npm:*"]);
    assert_eq!(garth.get("/npm/@acme%2fui").await.status, 200, "nobody said that it is ours");
    let (setup, _) = garth.stop();
    let garth = setup.with_settings(acme).start();
    up.forget_requests();
    for path in [
        "/npm/@acme%2fui",
        "/npm/@acme/ui/-/ui-9.9.9.tgz",
        "/npm/-/package/@acme%2fui/dist-tags",
        "/npm/-/npm/v1/attestations/@acme%2fui@9.9.9",
    ] {
        let answer = garth.get(path).await;
        assert_eq!(answer.status, 404, "{path}: {}", answer.text());
    }
    let packument = garth.get("/npm/@acme%2fui").await.text();
    assert!(packument.contains("under `own` of a registry here"), "{packument}");
    let tree = r#"{"name":"x","dependencies":{"@acme/ui":{"version":"9.9.9"},"open":{"version":"1.0.0"}}}"#;
    for (path, body) in [
        ("/npm/-/npm/v1/security/advisories/bulk", r#"{"@acme/ui":["9.9.9"],"open":["1.0.0"]}"#),
        ("/npm/-/npm/v1/security/audits", tree),
        ("/npm/-/npm/v1/security/audits/quick", tree),
    ] {
        garth.ask(&Asked::new("POST", path).body(body)).await;
    }
    let asked = up.recorded();
    assert!(asked.iter().any(|asked| asked.says("open")), "{asked:?}");
    for asked in &asked {
        assert!(!asked.says("acme") && !asked.says("9.9.9"), "{asked:?}");
    }
    // What was a stranger's goes where somebody says where it lies.
    let kept = garth.garth(&["why", "npm:@acme/ui@9.9.9"]);
    assert!(String::from_utf8_lossy(&kept.stdout).contains("In the registry npm"), "{kept:?}");
    garth.run(&["forget", "npm:@acme/ui", "--registry", "npm"]);
    let gone = garth.garth(&["why", "npm:@acme/ui@9.9.9"]);
    assert!(!String::from_utf8_lossy(&gone.stdout).contains("In the registry npm"), "{gone:?}");
}
