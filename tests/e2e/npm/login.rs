//! Who a client is: logging in with a token, asking who one is, and logging out.

use std::process::Command;

use support::http::Asked;
use support::package_managers::{Kind, PackageManager, Printed};
use support::prompts::converse;
use support::server::TestServer;

use super::{setup, upstream};

fn person(kind: Kind, garth: &TestServer) -> PackageManager {
    PackageManager::new(kind, &format!("{}/npm/", garth.url))
}

/// Logs in as anybody does: by a name and a password that are asked for.
fn log_in(person: &PackageManager, arguments: &[&str], password: &str) -> Printed {
    let mut command = Command::new(person.kind().program());
    person.furnish(&mut command);
    command.args(arguments).current_dir(person.project());
    converse(&mut command, &[("Username:", "ann"), ("Password:", password)])
}

fn npmrc(person: &PackageManager) -> String {
    std::fs::read_to_string(person.home().join(".npmrc")).unwrap_or_default()
}

#[tokio::test(flavor = "multi_thread")]
async fn npm_logs_in_with_a_token_knows_who_it_is_and_logs_out() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let (npm, token) = (person(Kind::Npm, &garth), garth.admin_token());
    let unknown = npm.must_fail(&["whoami"]);
    assert!(unknown.text().contains("ENEEDAUTH"), "{}", unknown.text());

    // npm tries the login by a browser first, unless it is told not to.
    for arguments in [&["login"][..], &["login", "--auth-type=legacy"], &["adduser"]] {
        let answers: &[_] = if arguments[0] == "adduser" {
            &[("Username:", "ann"), ("Password:", &token), ("Email", "ann@example.com")]
        } else {
            &[("Username:", "ann"), ("Password:", &token)]
        };
        let mut command = Command::new(npm.kind().program());
        npm.furnish(&mut command);
        command.args(arguments).current_dir(npm.project());
        let said = converse(&mut command, answers);
        assert!(said.success, "{arguments:?}: {}", said.text());
        assert!(npmrc(&npm).contains(&token), "{arguments:?}");
        assert_eq!(npm.must(&["whoami"]).stdout.trim(), "admin");

        let out = npm.must(&["logout"]);
        assert!(out.text().contains("It stays valid at this garth"), "{}", out.text());
        assert!(!npmrc(&npm).contains(&token), "{arguments:?}");
    }
    for line in garth.log().lines() {
        assert!(!line.contains(&token), "the log holds the token: {line}");
    }
    assert!(garth.log().contains("/npm/-/user/token/"), "{}", garth.log());
    assert_eq!(up.total_requests(), 0, "nobody else is told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_is_refused_and_says_where_the_right_one_is() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let npm = person(Kind::Npm, &garth);
    let refused = log_in(&npm, &["login"], "garth_wr0ng");
    assert!(!refused.success, "{}", refused.text());
    insta::assert_snapshot!("npm_login_with_a_wrong_token", npm.redacted(&refused));
    assert!(!garth.log().contains("garth_wr0ng"));

    let near = &garth.admin_token()[..48];
    let path = "/npm/-/user/org.couchdb.user:ann";
    let login = |password: &str| format!(r#"{{"name":"ann","password":"{password}"}}"#);
    let mut answers = Vec::new();
    for password in ["", "garth_wr0ng", near] {
        let answer = garth.ask(&Asked::new("PUT", path).body(login(password))).await;
        assert_eq!(answer.status, 401, "{}", answer.text());
        answers.push(answer.text());
    }
    answers.dedup();
    assert_eq!(answers.len(), 1, "a near miss is told from a far one: {answers:?}");
    for body in ["", "{", "[]", "{\"password\":7}", "{\"name\":\"ann\"}"] {
        let answer = garth.ask(&Asked::new("PUT", path).body(body)).await;
        assert_eq!(answer.status, 400, "{body}: {}", answer.text());
    }
    let long = login(&"x".repeat(20_000));
    assert_eq!(garth.ask(&Asked::new("PUT", path).body(&long)).await.status, 413);
}

#[tokio::test(flavor = "multi_thread")]
async fn berry_logs_in_and_every_client_can_ask_who_it_is() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let token = garth.admin_token();
    let berry = person(Kind::Berry, &garth);
    let said = log_in(&berry, &["npm", "login"], &token);
    assert!(said.success, "{}", said.text());
    let who = berry.must(&["npm", "whoami"]);
    assert!(who.text().contains("admin"), "{}", who.text());
    berry.must(&["npm", "logout"]);
    berry.must_fail(&["npm", "whoami"]);
    let refused = log_in(&berry, &["npm", "login"], "garth_wr0ng");
    assert!(!refused.success, "{}", refused.text());

    let authority = garth.authority();
    for (kind, arguments) in [(Kind::Pnpm, &["whoami"][..]), (Kind::Bun, &["pm", "whoami"])] {
        let person = person(kind, &garth);
        let text = format!("//{authority}/npm/:_authToken={token}\nregistry={}/npm/\n", garth.url);
        for place in [person.home().join(".npmrc"), person.project().join(".npmrc")] {
            std::fs::write(place, &text).unwrap();
        }
        let who = person.must(arguments);
        assert!(who.stdout.contains("admin"), "{kind:?}: {}", who.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_this_garth_does_not_have_is_said_in_words() {
    let up = upstream().await;
    let garth = setup(&up).start();
    let npm = person(Kind::Npm, &garth);
    let said = npm.must(&["ping"]);
    assert!(said.text().contains("PONG"), "{}", said.text());
    let token = format!("--//{}/npm/:_authToken={}", garth.authority(), garth.admin_token());
    for arguments in [&["profile", "get", &token][..], &["token", "list", &token]] {
        let refused = npm.must_fail(arguments);
        assert!(refused.text().contains("this garth has no profiles"), "{}", refused.text());
    }
    for path in ["user", "tokens", "tokens/token/x"] {
        for method in ["GET", "POST", "DELETE"] {
            let asked = Asked::new(method, &format!("/npm/-/npm/v1/{path}"));
            assert_eq!(garth.ask(&asked).await.status, 404, "{method} {path}");
        }
    }
    // A token that is none of ours is forgotten like any other.
    let answer = garth.ask(&Asked::new("DELETE", "/npm/-/user/token/npm_x")).await;
    assert_eq!((answer.status, answer.header("npm-notice")), (200, None));
}
