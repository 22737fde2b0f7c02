//! People: known by name, logged in by a password, by the commands and by npm itself.

use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};

use serde_json::json;
use support::http::Asked;
use support::package_managers::{Kind, PackageManager};
use support::prompts::converse;
use support::server::{Setup, TestServer};

const PASSWORD: &str = "correct horse battery";

/// A garth with a person `ann` who may publish.
fn garth() -> TestServer {
    let garth = Setup::new("[registry.npm]\nown = [\"@acme/*\"]\n").start();
    garth.run(&["team", "create", "web/shop"]);
    let made = garth.run(&["user", "create", "ann", "--team", "web/shop", "--role", "publisher"]);
    let first = made.trim();
    assert_eq!((first.len(), made.lines().count()), (24, 1), "{made}");
    assert!(!garth.log().contains(first), "the log holds the password");
    set_password(&garth, PASSWORD);
    garth
}

fn set_password(garth: &TestServer, password: &str) {
    let done = by_stdin(garth.setup().command(&["user", "password", "ann"]), password);
    assert!(done.status.success(), "{done:?}");
}

/// Runs a command with lines on its stdin.
fn by_stdin(mut command: Command, lines: &str) -> Output {
    use std::io::Write as _;
    let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(format!("{lines}\n").as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// `garth …` as ann would run it elsewhere.
fn as_ann(garth: &TestServer, home: &std::path::Path, arguments: &[&str]) -> Command {
    let mut command = garth.setup().command(arguments);
    command.env("GARTH_URL", &garth.url).env("HOME", home).env_remove("XDG_CONFIG_HOME");
    command.env("GARTH_DATA", home.join("nothing"));
    command
}

#[tokio::test(flavor = "multi_thread")]
async fn the_commands_are_whoever_logged_in() {
    let garth = garth();
    let home = tempfile::tempdir().unwrap();
    let ann = |arguments: &[&str]| as_ann(&garth, home.path(), arguments);
    let wrong = by_stdin(ann(&["login", "--name", "ann"]), "wrong horse battery");
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && said.contains("do not belong together"), "{said}");
    let done = by_stdin(ann(&["login", "--name", "ann"]), PASSWORD);
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(done.status.success() && said.contains("as ann of web/shop until"), "{said}");
    let file = home.path().join(".config/garth/logins.json");
    let mode =
        |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&file), mode(file.parent().unwrap())), (0o600, 0o700));
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(text.contains("garth_person_") && !text.contains(PASSWORD), "{text}");

    let told = |arguments: &[&str]| {
        let done = ann(arguments).output().unwrap();
        let said = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&said).into_owned())
    };
    let (known, who) = told(&["whoami"]);
    assert!(known && who.contains("ann of web/shop") && who.contains("may read, publish"), "{who}");
    let (allowed, said) = told(&["allow", "npm:left-pad"]);
    assert!(!allowed && said.contains("ann may only: read, publish"), "{said}");
    garth.run(&["user", "change", "ann", "--role", "administrator"]);
    let (allowed, said) = told(&["allow", "npm:left-pad"]);
    assert!(allowed, "{said}");
    let rules = garth.run(&["rules", "list", "--json"]);
    assert!(rules.contains("\"by\": \"ann\""), "{rules}");

    garth.run(&["user", "disable", "ann"]);
    let (known, said) = told(&["whoami"]);
    assert!(!known && said.contains("was disabled here"), "{said}");
    garth.run(&["user", "enable", "ann"]);
    assert!(told(&["whoami"]).0);
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o644)).unwrap();
    let (known, said) = told(&["whoami"]);
    assert!(!known && said.contains("can be read by others"), "{said}");
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let token = text.split('"').find(|part| part.starts_with("garth_person_")).unwrap().to_owned();
    let (out, said) = told(&["logout"]);
    assert!(out, "{said}");
    assert!(!told(&["whoami"]).0);
    let asked = Asked::get("/api/v1/me").header("Authorization", &format!("Bearer {token}"));
    assert_eq!(garth.ask(&asked).await.status, 401, "the login ended at the server, too");
    assert!(!garth.log().contains(PASSWORD) && !garth.log().contains(&token));
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_logs_in_by_name_and_password_and_logs_out() {
    let garth = garth();
    let npm = PackageManager::new(Kind::Npm, &format!("{}/npm/", garth.url));
    let npmrc = || std::fs::read_to_string(npm.home().join(".npmrc")).unwrap_or_default();
    let log_in = |password: &str| {
        let mut command = Command::new(npm.kind().program());
        npm.furnish(&mut command);
        command.arg("login").current_dir(npm.project());
        converse(&mut command, &[("Username:", "ann"), ("Password:", password)])
    };
    let refused = log_in("wrong horse battery");
    assert!(
        !refused.success && refused.text().contains("do not belong together"),
        "{}",
        refused.text()
    );
    let said = log_in(PASSWORD);
    assert!(said.success, "{}", said.text());
    assert!(npmrc().contains("garth_person_") && !npmrc().contains(PASSWORD));
    assert_eq!(npm.must(&["whoami"]).stdout.trim(), "ann");
    npm.write("package.json", &json!({ "name": "@acme/ui", "version": "1.0.0" }).to_string());
    npm.must(&["publish"]);
    garth.run(&["user", "change", "ann", "--role", "reader"]);
    npm.write("package.json", &json!({ "name": "@acme/ui", "version": "1.1.0" }).to_string());
    let refused = npm.must_fail(&["publish"]).text();
    assert!(refused.contains("ann may only: read"), "{refused}");
    let line = npmrc();
    let token = line.split("_authToken=").nth(1).unwrap().lines().next().unwrap().to_owned();
    let out = npm.must(&["logout"]);
    assert!(!out.text().contains("It stays valid"), "{}", out.text());
    let asked = Asked::get("/npm/-/whoami").header("Authorization", &format!("Bearer {token}"));
    assert_eq!(garth.ask(&asked).await.status, 401);
}

/// Case 27, for each that can end, and for what is under way.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_removed_has_nothing_at_the_next_request() {
    let garth = garth();
    let login = json!({ "name": "ann", "password": PASSWORD }).to_string();
    let log_in = async || {
        let asked = Asked::new("POST", "/api/v1/login").header("Content-Type", "application/json");
        let answer = garth.ask(&asked.body(&login)).await;
        let secret = answer.json()["secret"].as_str().map(str::to_owned);
        (answer.status, secret.unwrap_or_default())
    };
    let status = async |token: &str, path: &str| {
        let asked = Asked::get(path).header("Authorization", &format!("Bearer {token}"));
        garth.ask(&asked).await.status
    };
    let made = garth.run(&["token", "create", "laptop", "--for", "ann"]);
    let (status_of_login, session) = log_in().await;
    assert_eq!(status_of_login, 201);
    for token in [made.trim(), &session] {
        assert_eq!(status(token, "/npm/-/whoami").await, 200);
    }
    garth.run(&["user", "remove", "ann"]);
    for token in [made.trim(), &session] {
        for path in ["/npm/-/whoami", "/npm/x", "/api/v1/me", "/api/v1/rules"] {
            assert_eq!(status(token, path).await, 401, "{path}");
        }
    }
    assert_eq!(log_in().await.0, 401);
    garth.run(&["user", "create", "ann", "--no-password"]);
    for token in [made.trim(), &session] {
        assert_eq!(status(token, "/npm/-/whoami").await, 401, "somebody else is called ann");
    }
}

/// Case 32: whatever address somebody writes about themselves; and nobody is kept out by it.
#[tokio::test(flavor = "multi_thread")]
async fn guessing_is_slowed_down_for_who_guesses_alone() {
    let garth = garth();
    let made = garth.run(&["token", "create", "laptop", "--for", "ann"]);
    let log_in = async |name: &str, password: &str, from: &str| {
        let body = json!({ "name": name, "password": password }).to_string();
        let asked = Asked::new("POST", "/api/v1/login")
            .header("Content-Type", "application/json")
            .header("X-Forwarded-For", from)
            .header("Forwarded", &format!("for={from}"));
        garth.ask(&asked.body(body)).await
    };
    let mut statuses = Vec::new();
    for n in 0..12 {
        let answer = log_in("ann", "wrong horse battery", &format!("198.51.100.{n}")).await;
        if answer.status == 429 {
            let wait: u64 = answer.header("retry-after").unwrap().parse().unwrap();
            assert!((1..=8).contains(&wait), "{wait}");
        }
        statuses.push(answer.status);
    }
    assert_eq!(statuses[..5], [401; 5]);
    assert!(statuses.iter().filter(|status| **status == 429).count() >= 4, "{statuses:?}");
    // Even the right one has to wait there; the token never does, and others log in.
    let npm = Asked::new("PUT", "/npm/-/user/org.couchdb.user:ann");
    let body = |password: &str| json!({ "name": "ann", "password": password }).to_string();
    let told = garth.ask(&npm.clone().body(body("wrong horse battery"))).await;
    assert!([401, 403].contains(&told.status), "{}", told.text());
    let by_token = garth.ask(&npm.body(body(made.trim()))).await;
    assert_eq!(by_token.status, 201, "{}", by_token.text());
    garth.run(&["user", "create", "bob", "--no-password"]);
    let done = by_stdin(garth.setup().command(&["user", "password", "bob"]), PASSWORD);
    assert!(done.status.success());
    assert_eq!(log_in("bob", PASSWORD, "198.51.100.1").await.status, 201);
}
