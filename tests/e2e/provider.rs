//! People who log in at a provider, by a browser and by a command; and all who are not let in.

mod refused;

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};

use serde_json::{Value, json};
use support::edge::Answer;
use support::http::Asked;
use support::provider::{Browser, GARTH, Provider, SECRET};
use support::server::{Setup, TestServer};

const SESSION: &str = "__Host-garth-session";
const BEGUN: &str = "__Host-garth-login";

/// A garth that knows ann of the team web/shop, and whose people log in at this provider.
fn garth(provider: &Provider, more: &str) -> TestServer {
    let garth = unknowing(provider, more);
    garth.run(&["team", "create", "web/shop"]);
    garth.run(&["user", "create", "ann", "--team", "web/shop", "--no-password"]);
    garth
}

/// One that knows nobody.
fn unknowing(provider: &Provider, more: &str) -> TestServer {
    Setup::new(&format!(
        "public_url = \"{GARTH}\"\n[registry.npm]\nown = [\"@acme/*\"]\n{}",
        provider.settings(more)
    ))
    .with_env("ACME_SECRET", SECRET)
    .start()
}

async fn me(browser: &mut Browser<'_>) -> (u16, Value) {
    let answer = browser.ask(Asked::get("/api/v1/me")).await;
    (answer.status, answer.json())
}

fn change(path: &str, headers: &[(&str, &str)], body: Option<&Value>) -> Asked {
    let asked = Asked::new("POST", path);
    let asked = headers.iter().fold(asked, |asked, (name, value)| asked.header(name, value));
    match body {
        Some(body) => asked.header("Content-Type", "application/json").body(body.to_string()),
        None => asked.body(""),
    }
}

fn code(answer: &Answer) -> (u16, String) {
    let text = answer.text();
    let of = |value: &Value| value["code"].as_str().unwrap_or_default().to_owned();
    (answer.status, serde_json::from_str(&text).as_ref().map(of).unwrap_or(text))
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_who_logs_in_at_a_provider_has_a_session_until_it_ends() {
    let provider = Provider::start().await;
    let garth = garth(&provider, "");
    let mut browser = Browser::new(&garth);
    let (address, page) = browser.log_in().await;
    assert_eq!((address.as_str(), page.status), ("https://garth.example.com/api/docs", 200));
    let session = browser.cookie(SESSION).unwrap().to_owned();
    assert!(session.starts_with("garth_person_") && browser.cookie(BEGUN).is_none());
    let (status, who) = me(&mut browser).await;
    assert_eq!((status, &who["name"], &who["team"]), (200, &json!("ann"), &json!("web/shop")));
    // To the page that was wanted.
    let wanted = format!("{GARTH}/api/v1/login/providers/acme?return_to=/api/v1/me");
    assert_eq!(browser.open(&wanted).await.0, format!("{GARTH}/api/v1/me"));
    let session = [session, browser.cookie(SESSION).unwrap().to_owned()];
    // It ends where it is asked for, and everywhere.
    let own = [("Origin", GARTH), ("Sec-Fetch-Site", "same-origin")];
    assert_eq!(browser.ask(change("/api/v1/logout", &own, None)).await.status, 204);
    assert!(browser.cookie(SESSION).is_none());
    browser.set_cookie(SESSION, &session[1]);
    assert_eq!(me(&mut browser).await.0, 401);
    browser.set_cookie(SESSION, &session[0]);
    assert_eq!(me(&mut browser).await.0, 200);
    garth.run(&["user", "disable", "ann"]);
    let (status, told) = me(&mut browser).await;
    assert_eq!((status, &told["code"]), (401, &json!("token-not-valid")), "{told}");
    let log = garth.run(&["log", "--action", "login", "--json"]);
    assert!(log.contains("provider acme") && log.contains("\"ann\""), "{log}");
    let everything = format!("{}{}", garth.log(), garth.run(&["log", "--json"]));
    for secret in session.iter().map(String::as_str).chain([SECRET, "code-1-of"]) {
        assert!(!everything.contains(secret), "{secret}");
    }
}

/// Case 31.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_by_a_session_comes_from_a_page_of_this_garth() {
    let provider = Provider::start().await;
    let garth = garth(&provider, "");
    garth.run(&["user", "change", "ann", "--role", "administrator"]);
    let mut browser = Browser::new(&garth);
    browser.log_in().await;
    let team = |name: &str| json!({ "name": name });
    for (n, headers) in [
        vec![("Origin", "https://evil.example"), ("Sec-Fetch-Site", "cross-site")],
        vec![("Origin", "https://evil.example")],
        vec![("Origin", "null")],
        vec![("Origin", "http://garth.example.com")],
        vec![("Origin", "https://other.example.com"), ("Sec-Fetch-Site", "same-site")],
        vec![("Sec-Fetch-Site", "none")],
        vec![("Referer", "https://garth.example.com/api/docs")],
        vec![],
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("evil/team-{n}");
        let answer = browser.ask(change("/api/v1/teams", &headers, Some(&team(&name)))).await;
        assert_eq!(code(&answer), (403, "foreign-origin".to_owned()), "{headers:?}");
        // Where nobody needs to be known, nobody is known by it.
        let wish = json!({ "package": "npm:left-pad" });
        let answer = browser.ask(change("/api/v1/requests", &headers, Some(&wish))).await;
        assert_eq!(code(&answer), (403, "foreign-origin".to_owned()), "{headers:?}");
        assert_eq!(browser.ask(change("/api/v1/logout", &headers, None)).await.status, 403);
    }
    assert!(!garth.run(&["team", "list"]).contains("evil"));
    let own = [("Origin", GARTH), ("Sec-Fetch-Site", "same-origin")];
    let made = browser.ask(change("/api/v1/teams", &own, Some(&team("web/ui")))).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert!(garth.run(&["log", "--action", "team-made", "--json"]).contains("\"ann\""));
    // A token says by itself that nobody else's page sent it.
    let token = format!("Bearer {}", browser.cookie(SESSION).unwrap());
    let by_token = change("/api/v1/teams", &[("Authorization", &token)], Some(&team("web/x")));
    assert_eq!(garth.ask(&by_token).await.status, 201);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_registry_knows_anybody_by_a_cookie() {
    let provider = Provider::start().await;
    let garth = garth(&provider, "");
    let setup = garth.kill().with_settings("anonymous = \"none\"");
    let garth = setup.start();
    garth.run(&["user", "change", "ann", "--role", "administrator"]);
    let mut browser = Browser::new(&garth);
    browser.log_in().await;
    assert_eq!(me(&mut browser).await.0, 200);
    for path in ["/npm/left-pad", "/npm/@acme%2fui", "/npm/-/whoami", "/npm/-/v1/search?text=x"] {
        assert_eq!(browser.ask(Asked::get(path)).await.status, 401, "{path}");
    }
    let put = Asked::new("PUT", "/npm/@acme%2fui").header("Origin", GARTH).body("{}");
    assert_eq!(browser.ask(put).await.status, 401);
}

/// A command that waits for a browser, and the address that it shows.
struct Waiting {
    child: Child,
    said: BufReader<std::process::ChildStderr>,
    address: String,
}

impl Waiting {
    fn begin(garth: &TestServer, more: &[&str]) -> Self {
        let arguments = [&["login", "--browser"], more].concat();
        let mut command = garth.setup().command(&arguments);
        command.env("XDG_CONFIG_HOME", garth.setup().directory().join("config"));
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let mut said = BufReader::new(child.stderr.take().unwrap());
        let (mut all, mut address) = (String::new(), String::new());
        while address.is_empty() {
            let mut line = String::new();
            assert!(said.read_line(&mut line).unwrap() > 0, "it ended: {all}");
            if line.trim().starts_with(GARTH) {
                line.trim().clone_into(&mut address);
            }
            all.push_str(&line);
        }
        Self { child, said, address }
    }

    fn end(mut self) -> (bool, String) {
        let mut all = String::new();
        while self.said.read_line(&mut all).unwrap() > 0 {}
        (self.child.wait().unwrap().success(), all)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_command_logs_in_by_a_browser_on_the_same_machine() {
    let provider = Provider::start().await;
    let garth = garth(&provider, "");
    let waiting = Waiting::begin(&garth, &[]);
    assert!(waiting.address.contains("/api/v1/login/providers/acme?port="), "{}", waiting.address);
    let mut browser = Browser::new(&garth);
    let (address, page) = browser.open(&waiting.address).await;
    assert!(address.starts_with("http://127.0.0.1:"), "{address}");
    assert_eq!(page.status, 200, "{}", page.text());
    assert!(page.text().contains("You are logged in"), "{}", page.text());
    // The browser itself has nothing of it.
    assert!(browser.cookie(SESSION).is_none() && browser.cookie(BEGUN).is_none());
    let (done, said) = waiting.end();
    assert!(done && said.contains("as ann of web/shop"), "{said}");
    let mut command = garth.setup().command(&["whoami"]);
    command.env("XDG_CONFIG_HOME", garth.setup().directory().join("config"));
    let output = command.output().unwrap();
    let who = String::from_utf8(output.stdout).unwrap();
    assert!(who.starts_with("ann of web/shop, by the token ann."), "{who}");
    // What the browser was handed counts once, and only for who waited.
    let (_, query) = address.split_once("code=").unwrap();
    for verifier in ["", "garth", &"A".repeat(43)] {
        let body = json!({ "code": query, "verifier": verifier });
        let answer = garth.ask(&change("/api/v1/login/code", &[], Some(&body))).await;
        assert_eq!(code(&answer), (401, "login-not-taken".to_owned()));
    }
    assert!(!garth.log().contains(query), "the code is in the log");
}
