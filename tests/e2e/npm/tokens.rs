//! Tokens: made, used by real clients, rotated, revoked; and what is told to whom without one.

use std::path::Path;

use serde_json::json;
use support::edge::Raw;
use support::http::{Asked, PATIENCE};
use support::package_managers::{Kind, PackageManager};
use support::publish::Publish;
use tokio::net::TcpStream;

use super::teams::{npm_with, token};
use super::{npm, registry, setup, upstream};

const PATHS: [&str; 4] = [
    "/npm/left-pad",
    "/npm/left-pad/1.3.0",
    "/npm/-/package/left-pad/dist-tags",
    "/npm/left-pad/-/left-pad-1.3.0.tgz",
];

fn bearer(asked: Asked, token: &str) -> Asked {
    asked.header("Authorization", &format!("Bearer {token}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_token_is_refused_at_the_next_request() {
    let up = upstream().await;
    let garth = registry(&up, "").start();
    garth.run(&["allow", "npm:left-pad"]);
    let ann = token(&garth, &["ann", "--for", "ann"]);
    let mut etags = Vec::new();
    for path in PATHS {
        let answer = garth.ask(&bearer(Asked::get(path), &ann)).await;
        assert_eq!(answer.status, 200, "{path}");
        etags.push(answer.header("etag").unwrap().to_owned());
    }
    let listed = garth.run(&["token", "list"]);
    assert!(listed.contains("for the person ann, may read") && listed.contains("last used"));
    garth.run(&["token", "revoke", "ann"]);
    for (path, etag) in PATHS.into_iter().zip(&etags) {
        for asked in [
            Asked::get(path),
            Asked::new("HEAD", path),
            Asked::get(path).header("If-None-Match", etag),
            Asked::get(path).header("Range", "bytes=0-1"),
        ] {
            let answer = garth.ask(&bearer(asked.clone(), &ann)).await;
            assert_eq!(answer.status, 401, "{asked:?}: {}", answer.text());
            assert!(answer.header("www-authenticate").is_some());
            assert_eq!(answer.header("etag"), None);
        }
        assert_eq!(garth.get(path).await.status, 200, "for whoever says nothing it is as before");
    }
    let answer = garth.ask(&bearer(Asked::get(PATHS[0]), &ann)).await;
    assert!(answer.text().contains("the token ann was revoked"), "{}", answer.text());
    let refused = npm_with(&garth, &ann).must_fail(&["view", "left-pad", "version"]);
    assert!(refused.text().contains("401"), "{}", refused.text());
    assert!(garth.run(&["token", "list", "--all"]).contains("REVOKED"));
    assert!(garth.run(&["token", "list"]).contains("No tokens"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotated_token_has_two_secrets_for_a_while() {
    let up = upstream().await;
    let garth = registry(&up, "").start();
    garth.run(&["allow", "npm:left-pad"]);
    let first = token(&garth, &["ci"]);
    let rotate = |arguments: &[&str]| {
        garth.run(&[&["token", "rotate", "ci"], arguments].concat()).trim().to_owned()
    };
    let second = rotate(&[]);
    for secret in [&first, &second] {
        npm_with(&garth, secret).must(&["view", "left-pad", "version"]);
    }
    let third = rotate(&["--grace", "0s"]);
    for (secret, status) in [(&first, 401), (&second, 401), (&third, 200)] {
        assert_eq!(garth.ask(&bearer(Asked::get(PATHS[0]), secret)).await.status, status);
    }
    let refused = garth.ask(&bearer(Asked::get(PATHS[0]), &first)).await;
    assert!(refused.text().contains("was rotated"), "{}", refused.text());

    // It rotates itself; what is cut off is told before anybody is asked.
    let by_itself = |token: &str| {
        let mut command = garth.setup().command(&["token", "rotate", "ci"]);
        command.args(["--server", &garth.url, "--token", token]).output().unwrap()
    };
    let done = by_itself(&third);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let cut = by_itself(&third[..third.len() - 1]);
    let said = String::from_utf8_lossy(&cut.stderr).into_owned();
    assert!(said.contains("mistyped or cut off"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_may_not_publish_says_which_right_is_missing() {
    let up = upstream().await;
    let garth = registry(&up, "own = [\"@acme/*\"]").start();
    let reader = token(&garth, &["reader"]);
    let publisher = token(&garth, &["publisher", "--right", "publish"]);
    let publish = |token: &str| {
        let npm = npm_with(&garth, token);
        let manifest = json!({ "name": "@acme/ui", "version": "1.0.0" });
        npm.write("package.json", &manifest.to_string());
        npm.run(&["publish"])
    };
    let refused = publish(&reader);
    assert!(
        !refused.success && refused.text().contains("the right `publish`"),
        "{}",
        refused.text()
    );
    let done = publish(&publisher);
    assert!(done.success, "{}", done.text());
    let who = npm_with(&garth, &publisher).must(&["whoami"]);
    assert_eq!(who.stdout.trim(), "publisher");
    for path in ["/npm/-/package/@acme%2fui/dist-tags/beta"] {
        let asked = bearer(Asked::new("PUT", path).body("\"1.0.0\""), &reader);
        assert_eq!(garth.ask(&asked).await.status, 403, "{path}");
    }
    // Neither of them changes anything by the admin API.
    for secret in [&reader, &publisher] {
        let mut command = garth.setup().command(&["allow", "npm:left-pad"]);
        let done = command.args(["--server", &garth.url, "--token", secret]).output().unwrap();
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && said.contains("the right `administer`"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_while_it_uploads_publishes_nothing() {
    let up = upstream().await;
    let garth = registry(&up, "own = [\"@acme/*\"]").start();
    let secret = token(&garth, &["publisher", "--right", "publish"]);
    let body = Publish::new("@acme/ui", "1.0.0").body().to_string();
    let (begin, end) = body.split_at(body.len() / 2);
    let mut raw = Raw(TcpStream::connect(garth.authority()).await.unwrap());
    raw.send(format!(
        "PUT /npm/@acme%2fui HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {secret}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{begin}",
        garth.authority(),
        body.len()
    ))
    .await;
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    garth.run(&["token", "revoke", "publisher"]);
    raw.send(end).await;
    let answer = raw.answer_to("PUT", PATIENCE).await;
    assert_eq!(answer.status, 401, "{}", answer.text());
    assert_eq!(garth.get("/npm/@acme%2fui").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_tokens_are_told_the_same() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad"]);
    let secret = token(&garth, &["ci"]);
    let admin = garth.admin_token();
    let near = |token: &str| format!("{}{}", &token[..token.len() - 1], "-");
    let wrong = [
        near(&secret),
        near(&admin),
        secret[..20].to_owned(),
        "garth_service_".to_owned(),
        "garth_nobodys".to_owned(),
    ];
    for path in ["/npm/left-pad", "/npm/-/whoami", "/api/v1/rules"] {
        let mut answers = Vec::new();
        for token in &wrong {
            let answer = garth.ask(&bearer(Asked::get(path), token)).await;
            assert_eq!(answer.status, 401, "{path}: {}", answer.text());
            answers.push(answer.text());
        }
        answers.dedup();
        assert_eq!(answers.len(), 1, "{path}: {answers:?}");
    }
}

/// Every endpoint, and what it answers where nothing is served without a token: to nobody, and to
/// whoever has one.
const MATRIX: [(&str, &str, u16, u16); 16] = [
    ("GET", "/npm/left-pad", 401, 200),
    ("HEAD", "/npm/left-pad", 401, 200),
    ("GET", "/npm/left-pad/latest", 401, 200),
    ("GET", "/npm/left-pad/1.3.0", 401, 200),
    ("GET", "/npm/left-pad/-/left-pad-1.3.0.tgz", 401, 200),
    ("GET", "/npm/-/package/left-pad/dist-tags", 401, 200),
    ("GET", "/npm/-/v1/search?text=left-pad", 401, 200),
    ("GET", "/npm/-/npm/v1/attestations/left-pad@1.3.0", 401, 404),
    ("GET", "/npm/-/whoami", 401, 200),
    ("GET", "/npm/unknown", 401, 404),
    ("POST", "/npm/-/npm/v1/security/advisories/bulk", 401, 400),
    ("PUT", "/npm/left-pad", 401, 403),
    ("GET", "/npm/-/ping", 200, 200),
    ("POST", "/npm/-/v1/login", 404, 404),
    ("PUT", "/npm/-/user/org.couchdb.user:ann", 400, 400),
    ("GET", "/npm/-/reason/403/x", 403, 403),
];

#[tokio::test(flavor = "multi_thread")]
async fn where_nothing_is_served_without_a_token_each_endpoint_asks_for_one() {
    let up = upstream().await;
    let garth = registry(&up, "").with_settings("anonymous = \"none\"").start();
    garth.run(&["allow", "npm:left-pad"]);
    let ci = token(&garth, &["ci"]);
    for (method, path, nobody, known) in MATRIX {
        let asked = || {
            let asked = Asked::new(method, path);
            if matches!(method, "GET" | "HEAD") { asked } else { asked.body("") }
        };
        for strange in [asked(), bearer(asked(), "of-another-registry")] {
            let answer = garth.ask(&strange).await;
            assert_eq!(answer.status, nobody, "{strange:?}: {}", answer.text());
            assert_eq!(answer.header("www-authenticate").is_some(), nobody == 401, "{path}");
        }
        let answer = garth.ask(&bearer(asked(), &ci)).await;
        assert_eq!(answer.status, known, "{method} {path}: {}", answer.text());
        assert!(
            answer.header("cache-control").is_some_and(|value| value != "no-cache"),
            "{method} {path} is not kept for others: {answer:?}"
        );
    }
    for kind in [Kind::Npm, Kind::Pnpm, Kind::Yarn, Kind::Berry, Kind::Bun] {
        let person = PackageManager::new(kind, &format!("{}/npm/", garth.url));
        let refused = person.must_fail(&[kind.add(), "left-pad"]).text().replace('_', " ");
        let says = refused.contains("needs a token")
            || refused.contains("without a token")
            || refused.contains("npm login")
            // It has words of its own for 401.
            || refused.contains("Invalid authentication");
        assert!(says, "{kind:?} says nothing of a token: {refused}");
    }
    npm_with(&garth, &ci).must(&["install", "left-pad"]);
    npm(&garth).must_fail(&["view", "left-pad"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_of_a_token_is_kept_or_logged() {
    let up = upstream().await;
    let garth = registry(&up, "own = [\"@acme/*\"]").start();
    garth.run(&["allow", "npm:left-pad"]);
    let first = token(&garth, &["ci", "--right", "publish"]);
    let second = garth.run(&["token", "rotate", "ci"]).trim().to_owned();
    let npm = npm_with(&garth, &second);
    npm.write("package.json", &json!({ "name": "@acme/ui", "version": "1.0.0" }).to_string());
    npm.must(&["publish"]);
    npm.must(&["whoami"]);
    npm.must(&["logout"]);
    for asked in [
        bearer(Asked::get("/npm/left-pad"), &first),
        bearer(Asked::get("/npm/%00"), &first),
        bearer(Asked::new("DELETE", "/api/v1/tokens/ci"), &first),
        bearer(Asked::get("/npm/left-pad"), &first),
    ] {
        let answer = garth.ask(&asked).await;
        assert!(!answer.text().contains(&first), "{}", answer.text());
    }
    let log = garth.log();
    let (setup, _) = garth.stop();
    let mut looked = 0;
    for secret in [first, second] {
        let random = &secret["garth_service_".len()..][..20];
        assert!(!log.contains(random));
        looked += search(setup.directory(), random.as_bytes());
    }
    assert!(looked > 4, "{looked} files");
}

/// Looks for it in every file, and counts them.
fn search(directory: &Path, text: &[u8]) -> usize {
    let mut looked = 0;
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            looked += search(&path, text);
        } else {
            let bytes = std::fs::read(&path).unwrap();
            assert!(!bytes.windows(text.len()).any(|part| part == text), "{}", path.display());
            looked += 1;
        }
    }
    looked
}
