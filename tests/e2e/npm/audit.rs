//! Audits: what clients ask, what the upstream gets to hear of it, and what they print.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use support::http::Asked;
use support::package_managers::{Kind, PackageManager};
use support::publish::Publish;
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::registry;

const BULK: &str = "/npm/-/npm/v1/security/advisories/bulk";
const TREE: &str = "/npm/-/npm/v1/security/audits";

/// `left-pad` has a hole up to 1.3.0, and `acme-` names are ours.
async fn garden() -> (ScriptedUpstream, TestServer) {
    let up = super::upstream().await;
    up.npm("acme-ui").version("1.0.0", |version| version.dependency("left-pad", "1.2.0")).publish();
    up.advise("left-pad", "<1.3.0", "high");
    let garth = registry(&up, "own = [\"acme-*\", \"@acme/*\"]").start();
    garth.run(&["allow", "npm:*"]);
    (up, garth)
}

/// A project with own packages at every place that a client could tell of: itself, a link, and a
/// lockfile's own package with a public one below it.
fn project(kind: Kind, garth: &TestServer) -> PackageManager {
    let person = PackageManager::new(kind, &format!("{}/npm/", garth.url));
    std::fs::create_dir(person.project().join("ui")).unwrap();
    person.write(
        "ui/package.json",
        r#"{ "name": "acme-ui", "version": "1.0.0", "dependencies": { "left-pad": "1.2.0" } }"#,
    );
    let ui = if kind == Kind::Bun { "link" } else { "file" };
    let ui = if ui == "link" { String::new() } else { format!(r#""acme-ui": "{ui}:./ui","#) };
    person.write(
        "package.json",
        &format!(
            r#"{{ "name": "acme-shop", "version": "7.7.7", "license": "MIT",
                 "dependencies": {{ {ui} "left-pad": "1.1.0", "@s/n": "1.0.0" }} }}"#
        ),
    );
    person
}

/// How each installs, and how it audits. Yarn 1 is not among them: it audits at one address,
/// whatever it is set to.
const AUDITS: [(Kind, &[&str], &[&str]); 4] = [
    (Kind::Npm, &["install"], &["audit"]),
    (Kind::Pnpm, &["install"], &["audit"]),
    (Kind::Berry, &["install"], &["npm", "audit", "--recursive"]),
    (Kind::Bun, &["install"], &["audit"]),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_client_audits_and_no_own_name_leaves_the_house() {
    let (up, garth) = garden().await;
    for (kind, install, audit) in AUDITS {
        let person = project(kind, &garth);
        person.must(install);
        up.forget_requests();
        let audited = person.must_fail(audit);
        let text = audited.text();
        assert!(text.contains("a hole in left-pad"), "{kind:?}: {text}");
        let asked: Vec<_> =
            up.recorded().into_iter().filter(|asked| asked.method == "POST").collect();
        assert_eq!(asked.len(), 1, "{kind:?}: {asked:?}");
        assert!(asked[0].says("left-pad"), "{kind:?}: {asked:?}");
        for asked in up.recorded() {
            for secret in ["acme", "7.7.7", "npm-session", "referer"] {
                assert!(!asked.says(secret), "{kind:?} tells of {secret}: {asked:?}");
            }
            assert_eq!(asked.header("cookie"), None);
        }
    }
}

/// Unlike above, the own packages come from here, and stand in the lockfile like any other.
#[tokio::test(flavor = "multi_thread")]
async fn an_audit_of_published_own_packages_keeps_their_names_here() {
    let (up, garth) = garden().await;
    let ui = json!({ "name": "@acme/ui", "version": "7.7.7",
                     "dependencies": { "left-pad": "1.2.0", "acme-icons": "7.7.7" } });
    for manifest in [ui, json!({ "name": "acme-icons", "version": "7.7.7" })] {
        assert_eq!(Publish::of(&manifest).to(&garth).await.status, 201, "{manifest}");
    }
    let npm = PackageManager::new(Kind::Npm, &format!("{}/npm/", garth.url));
    npm.must(&["install", "@acme/ui", "@s/n"]);
    let lockfile = npm.read("package-lock.json").unwrap();
    assert!(lockfile.contains("@acme/ui") && lockfile.contains("acme-icons"), "{lockfile}");
    up.forget_requests();
    let text = npm.must_fail(&["audit"]).text();
    assert!(text.contains("a hole in left-pad") && text.contains("@acme/ui"), "{text}");
    let asked = up.recorded();
    assert!(asked.iter().any(|asked| asked.method == "POST" && asked.says("left-pad")));
    for asked in &asked {
        assert!(!asked.says("acme") && !asked.says("7.7.7"), "{asked:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_audit_that_finds_nothing_says_so_and_one_that_can_not_be_made_does_not() {
    let (up, garth) = garden().await;
    let npm = PackageManager::new(Kind::Npm, &format!("{}/npm/", garth.url));
    npm.must(&["install", "left-pad@1.3.0"]);
    let clean = npm.must(&["audit"]);
    assert!(clean.text().contains("found 0 vulnerabilities"), "{}", clean.text());

    let bulk = BULK.strip_prefix("/npm").unwrap();
    up.on(bulk).status(404);
    let failed = npm.must_fail(&["audit"]);
    insta::assert_snapshot!("npm_audit_without_an_endpoint", npm.redacted(&failed));
    up.heal();
    up.on(bulk).status(500);
    let failed = npm.must_fail(&["audit"]);
    assert!(failed.text().contains("the upstream npm can not be reached"), "{}", failed.text());
    up.heal();
    up.go_offline();
    let failed = npm.must_fail(&["audit"]);
    assert!(failed.text().contains("can not be reached"), "{}", failed.text());
}

async fn post(garth: &TestServer, path: &str, body: &Value) -> support::edge::Answer {
    garth.ask(&Asked::new("POST", path).body(body.to_string())).await
}

#[tokio::test(flavor = "multi_thread")]
async fn own_packages_alone_are_not_asked_about() {
    let (up, garth) = garden().await;
    let own = json!({ "acme-ui": ["1.0.0"], "@acme/icons": ["2.0.0"] });
    let answer = post(&garth, BULK, &own).await;
    assert_eq!((answer.status, answer.json()), (200, json!({})));
    let tree = json!({ "dependencies": { "acme-ui": { "version": "1.0.0" } } });
    for path in [TREE.to_owned(), format!("{TREE}/quick")] {
        let answer = post(&garth, &path, &tree).await;
        assert_eq!(answer.json()["advisories"], json!({}), "{path}");
        assert_eq!(answer.json()["metadata"]["totalDependencies"], 1, "{path}");
    }
    assert_eq!(up.total_requests(), 0);

    let alone = support::server::Setup::new("[registry.npm]\nown = [\"*\"]\n").start();
    for (path, asked) in
        [(BULK, json!({ "left-pad": ["1.1.0"] })), (TREE, tree), (BULK, json!({ "a": [] }))]
    {
        let answer = post(&alone, path, &asked).await;
        assert_eq!(answer.status, 403, "{path} {asked}");
        assert!(answer.text().contains("nothing was audited: this registry has no upstream"));
    }
    let answer = post(&alone, BULK, &json!({})).await;
    assert_eq!((answer.status, answer.json()), (200, json!({})), "nothing is asked");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_upstream_every_client_says_that_nothing_was_audited() {
    let garth = support::server::Setup::new("[registry.npm]\nown = [\"*\"]\n").start();
    let manifest = json!({ "name": "@acme/ui", "version": "1.0.0" });
    assert_eq!(Publish::of(&manifest).to(&garth).await.status, 201);
    for (kind, install, audit) in AUDITS {
        let person = PackageManager::new(kind, &format!("{}/npm/", garth.url));
        person.write(
            "package.json",
            r#"{ "name": "shop", "version": "1.0.0", "dependencies": { "@acme/ui": "1.0.0" } }"#,
        );
        if kind == Kind::Berry {
            // It takes nothing that is younger than a day, unless it is told to.
            person.write(".yarnrc.yml", "npmMinimalAgeGate: 0\n");
        }
        person.must(install);
        let failed = person.must_fail(audit);
        if kind == Kind::Berry {
            // Sometimes it prints all that it knows of the request besides.
            assert!(failed.text().contains("nothing was audited"), "{}", failed.text());
            continue;
        }
        let name = format!("{}_audit_without_an_upstream", kind.name());
        insta::assert_snapshot!(name, person.redacted(&failed));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crowd_of_large_audits_has_a_bounded_room_and_is_told_when_it_is_full() {
    const CROWD: usize = 20;
    let (up, garth) = garden().await;
    let large = format!("{{\"left-pad\":[{{\"id\":1,\"title\":\"{}\"}}]}}", "x".repeat(12 << 20));
    let json_of = |text: String| {
        let body = support::upstream::Body::Bytes(text.into());
        support::upstream::Answer::ok("application/json", body)
    };
    up.on(BULK.strip_prefix("/npm").unwrap())
        .after(std::time::Duration::from_millis(100))
        .answer(json_of(large.clone()));
    let asked = json!({ "left-pad": ["1.1.0"] });
    let crowd = futures_util::future::join_all((0..CROWD).map(|_| post(&garth, BULK, &asked)));
    let (mut answered, mut told) = (0, 0);
    for answer in crowd.await {
        match answer.status {
            200 => {
                assert!(answer.body.len() >= large.len());
                answered += 1;
            }
            503 => {
                assert!(answer.header("retry-after").is_some(), "{}", answer.text());
                assert!(answer.text().contains("the audit"), "{}", answer.text());
                told += 1;
            }
            other => panic!("{other}: {}", answer.text()),
        }
    }
    assert!(answered > 0 && told > 0, "{answered} answered, {told} told");
    up.heal();
    assert_eq!(post(&garth, BULK, &asked).await.status, 200, "there is room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_finding_below_an_own_package_names_the_own_package_again() {
    let (up, garth) = garden().await;
    let tree = json!({
        "name": "acme-shop",
        "requires": { "acme-ui": "1.0.0" },
        "dependencies": { "acme-ui": {
            "version": "1.0.0",
            "requires": { "left-pad": "1.1.0" },
            "dependencies": { "left-pad": { "version": "1.1.0" } },
        } },
    });
    for path in [TREE.to_owned(), format!("{TREE}/quick")] {
        let answer = post(&garth, &path, &tree).await.json();
        let paths = &answer["advisories"]["1000"]["findings"][0]["paths"];
        assert_eq!(*paths, json!(["acme-ui>left-pad"]), "{path}");
    }
    assert!(up.recorded().iter().all(|asked| !asked.says("acme")), "{:?}", up.recorded());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_denied_is_audited_and_no_answer_about_own_names_is_believed() {
    let (up, garth) = garden().await;
    garth.run(&["deny", "npm:left-pad"]);
    let asked = json!({ "left-pad": ["1.1.0"], "@s/n": ["1.0.0"] });
    let answer = post(&garth, BULK, &asked).await.json();
    assert_eq!(answer["left-pad"][0]["severity"], "high");
    up.on(BULK.strip_prefix("/npm").unwrap()).answer(support::upstream::Answer::ok(
        "application/json",
        support::upstream::Body::Bytes(r#"{"acme-ui":[{"id":1}],"@s/n":[]}"#.into()),
    ));
    assert_eq!(post(&garth, BULK, &asked).await.json(), json!({ "@s/n": [] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hostile_question_is_refused_within_bounds() {
    let (up, garth) = garden().await;
    let pack = |bytes: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    for _ in 0..512 {
        bomb.write_all(&vec![b' '; 1 << 20]).unwrap();
    }
    let deep = format!("{}{}", "{\"dependencies\":{\"a\":".repeat(100_000), "{}");
    let rows: [(&str, &str, Vec<u8>, u16); 8] = [
        ("a bomb", "gzip", bomb.finish().unwrap(), 413),
        ("a bomb in a bomb", "gzip", pack(&pack(&vec![0; 8 << 20])), 400),
        ("torn gzip", "gzip", pack(b"{\"left-pad\":[\"1.0.0\"]}")[..20].to_vec(), 400),
        ("plain that says gzip", "gzip", b"{}".to_vec(), 400),
        ("an unknown coding", "br", b"{}".to_vec(), 400),
        ("too deep", "gzip", pack(deep.as_bytes()), 400),
        ("no JSON", "identity", b"left-pad".to_vec(), 400),
        ("nothing", "identity", Vec::new(), 400),
    ];
    for path in [BULK, TREE] {
        for (name, coding, body, status) in &rows {
            let asked = Asked::new("POST", path).header("Content-Encoding", coding).body(body);
            let answer = garth.ask(&asked).await;
            assert_eq!(answer.status, *status, "{name} at {path}: {}", answer.text());
        }
    }
    assert_eq!(up.total_requests(), 0);
    let asked = Asked::new("POST", BULK).header("Content-Encoding", "gzip");
    let answer = garth.ask(&asked.body(pack(b"{\"left-pad\":[\"1.1.0\"]}"))).await;
    assert_eq!(answer.json()["left-pad"][0]["id"], 1000);
}
