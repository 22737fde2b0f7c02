//! What somebody tries who wants to get past the gate: other words for what is denied, other ways to
//! send them, and the moment in which a rule begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use support::edge::{Answer, Raw};
use support::http::{Asked, Line, PATIENCE};
use support::server::TestServer;
use support::upstream::ScriptedUpstream;
use tokio::net::TcpStream;

use super::{FORMATS, Format};
use crate::pull::eventually;

/// It holds everything, the package is denied, and another one is allowed.
async fn denied(format: &Format) -> (ScriptedUpstream, TestServer) {
    let (up, garth) = format.warm_garth().await;
    garth.run(&["allow", &format!("{}:*", format.name)]);
    garth.run(&["deny", format.package, "--name", "no"]);
    up.forget_requests();
    (up, garth)
}

fn sends(format: &Format, up: &ScriptedUpstream, answer: &Answer) -> bool {
    let bytes = (format.bytes)(up);
    let end = &bytes[bytes.len() - 16..];
    answer.body.windows(end.len()).any(|window| window == end)
}

#[tokio::test(flavor = "multi_thread")]
async fn no_other_spelling_of_a_denied_version_is_another_version() {
    for format in FORMATS {
        let (up, garth) = denied(format).await;
        let mut line = Line::to(&garth);
        for path in (format.tricks)() {
            for method in ["GET", "HEAD"] {
                let answer = line.ask(&Asked::new(method, &path)).await;
                let told = || format!("{method} {path}: {} {}", answer.status, answer.text());
                assert!((400..500).contains(&answer.status), "{}", told());
                assert!(!sends(format, &up, &answer), "{}", told());
                assert_eq!(answer.header("etag"), None, "{}", told());
            }
        }
        assert_eq!(up.requests(format.artifact.upstream), 0, "{:?}", up.recorded());
    }
}

/// Its host, and what proxies say beside it, change where links lead and never what is decided.
#[tokio::test(flavor = "multi_thread")]
async fn no_form_of_a_request_gets_past_a_deny() {
    for format in FORMATS {
        let (up, garth) = denied(format).await;
        let here = garth.authority();
        let mut requests = Vec::new();
        for path in format.refusing() {
            for place in [here, "another.example", "127.0.0.1:1", "user@another.example"] {
                for scheme in ["http", "https", "HTTP"] {
                    requests.push(format!("GET {scheme}://{place}{path} HTTP/1.1\r\nhost: {here}"));
                }
                requests.push(format!("GET {path} HTTP/1.1\r\nhost: {place}"));
            }
            for version in ["HTTP/1.0", "HTTP/1.1", "HTTP/1.1\r\nhost: another.example"] {
                requests.push(format!("GET {path} {version}\r\nhost: {here}"));
            }
            requests.push(format!("GET {path} HTTP/1.1"));
            requests.push(format!("GET {path} HTTP/1.1\r\nhost:"));
            requests.push(format!("GET {path} HTTP/1.1\r\nhost: {here}/npm/weed"));
            requests.push(format!("GET  {path} HTTP/1.1\r\nhost: {here}"));
            requests.push(format!("get {path} HTTP/1.1\r\nhost: {here}"));
            requests.push(format!("GETS {path} HTTP/1.1\r\nhost: {here}"));
            requests.push(format!("CONNECT {here} HTTP/1.1\r\nhost: {here}"));
            for (name, value) in [
                (
                    "upgrade",
                    "h2c\r\nconnection: upgrade, http2-settings\r\nhttp2-settings: AAMAAABkAAQAAP__",
                ),
                ("upgrade", "websocket\r\nconnection: upgrade"),
                ("forwarded", "for=127.0.0.1;host=another.example;proto=https"),
                ("x-forwarded-for", "127.0.0.1"),
                ("x-forwarded-host", "another.example"),
                ("x-forwarded-prefix", "/api/v1"),
                ("x-forwarded-user", "admin"),
                ("x-original-url", "/healthz"),
                ("x-rewrite-url", "/healthz"),
                ("x-http-method-override", "OPTIONS"),
                ("x-real-ip", "127.0.0.1"),
                ("cookie", "token=admin"),
                ("te", "trailers"),
                ("content-length", "0"),
                ("transfer-encoding", "chunked\r\ncontent-length: 5"),
                ("proxy-authorization", "Basic YWRtaW46YWRtaW4="),
                ("npm-command", "view"),
                ("npm-scope", "@garden"),
                ("prefer", "return=representation"),
            ] {
                requests.push(format!("GET {path} HTTP/1.1\r\nhost: {here}\r\n{name}: {value}"));
            }
        }
        // What is allowed stays what it is, whatever else is named beside it.
        for name in
            ["x-original-url", "x-rewrite-url", "x-forwarded-uri", "referer", "content-location"]
        {
            let (path, denied) = (format.another, format.artifact.here);
            requests.push(format!("GET {path} HTTP/1.1\r\nhost: {here}\r\n{name}: {denied}"));
        }
        for request in requests {
            let mut client = Raw(TcpStream::connect(here).await.unwrap());
            client.send(format!("{request}\r\nconnection: close\r\n\r\n")).await;
            let answer = client.answer_to("GET", PATIENCE).await;
            let told = || format!("{request:?}: {} {}", answer.status, answer.text());
            let is_another = request.contains(&format!("GET {} ", format.another));
            assert!(is_another || matches!(answer.status, 0 | 400..500), "{}", told());
            assert!(!sends(format, &up, &answer), "{}", told());
            assert!(!answer.text().contains("dist-tags") || is_another, "{}", told());
        }
        assert_eq!(up.requests(format.artifact.upstream), 0, "{:?}", up.recorded());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn each_of_many_requests_on_one_connection_is_decided_by_itself() {
    for format in FORMATS {
        let (up, garth) = denied(format).await;
        let mut line = Line::to(&garth);
        let allowed = Asked::get(format.another);
        let refused: Vec<Asked> = format.refusing().into_iter().map(Asked::get).collect();
        let mut asked = Vec::new();
        for place in 0..60 {
            asked.push(if place % 3 == 1 {
                refused[place % refused.len()].clone()
            } else {
                allowed.clone()
            });
        }
        // A body is a body, even where it reads like a request.
        let within = refused[0].text(garth.authority(), "keep-alive");
        for asked_with_body in (format.with_bodies)() {
            asked.push(asked_with_body.body(&within));
            asked.push(refused[0].clone());
        }
        let answers = line.ask_all(&asked).await;
        assert_eq!(answers.len(), asked.len());
        for (asked, answer) in asked.iter().zip(&answers) {
            match asked.path() {
                path if path == format.another => assert_eq!(answer.status, 200, "{asked:?}"),
                path if format.refusing().contains(&path) => {
                    assert_eq!(answer.status, 403, "{asked:?}");
                }
                _ => assert!((400..500).contains(&answer.status), "{asked:?}: {}", answer.status),
            }
            assert!(!sends(format, &up, answer), "{asked:?}");
        }
    }
}

/// What those who ask all the time share with whoever makes the rule and takes it back.
#[derive(Default)]
struct Asking {
    over: AtomicBool,
    /// The command that made the rule has returned.
    made: AtomicBool,
    /// Requests that have no answer yet, and answers to those that began while it was made.
    under_way: AtomicUsize,
    refused: AtomicUsize,
}

impl Asking {
    async fn ask(&self, line: &mut Line, asked: &Asked) {
        // Counted first: whoever takes `made` back and then sees nobody under way is right.
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let is_after = self.made.load(Ordering::SeqCst);
        if !is_after {
            self.under_way.fetch_sub(1, Ordering::SeqCst);
        }
        let answer = line.ask(asked).await;
        if is_after {
            assert_eq!(answer.status, 403, "{asked:?}: {}", answer.text());
            self.refused.fetch_add(1, Ordering::SeqCst);
            self.under_way.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

/// From when the command that made it returned, whoever asks is refused, however hot it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_deny_holds_for_every_request_that_comes_after_it_was_made() {
    for format in FORMATS {
        let (_up, garth) = format.warm_garth().await;
        let garth = Arc::new(garth);
        let paths = format.gated();
        let asking = Arc::new(Asking::default());
        let tasks: Vec<_> = (0..4)
            .map(|nth: usize| {
                let (garth, asking) = (Arc::clone(&garth), Arc::clone(&asking));
                let paths = paths.clone();
                tokio::spawn(async move {
                    let mut line = Line::to(&garth);
                    let mut place = nth * 5;
                    while !asking.over.load(Ordering::SeqCst) {
                        place += 1;
                        asking.ask(&mut line, &Asked::get(&paths[place % paths.len()])).await;
                    }
                })
            })
            .collect();
        for round in 1..=3 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            garth.run(&["deny", format.package, "--name", "no"]);
            asking.made.store(true, Ordering::SeqCst);
            eventually("many are refused", PATIENCE, async || {
                asking.refused.load(Ordering::SeqCst) >= round * 20
            })
            .await;
            asking.made.store(false, Ordering::SeqCst);
            // Requests that are under way were asked while it was denied.
            eventually("all of them are", PATIENCE, async || {
                asking.under_way.load(Ordering::SeqCst) == 0
            })
            .await;
            garth.run(&["rules", "remove", "no"]);
            assert_eq!(garth.get(format.artifact.here).await.status, 200, "round {round}");
        }
        asking.over.store(true, Ordering::SeqCst);
        for asked in join_all(tasks).await {
            asked.unwrap();
        }
    }
}

/// After which a rule ends or begins: long enough to have everything finished by then.
const MOMENT: Duration = Duration::from_secs(15);
/// So much earlier nothing has changed, and so much later everything.
const MARGIN: Duration = Duration::from_millis(50);

/// An allow that ends and a deny that begins need nobody who does it, and no cache outlives them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_its_time_a_rule_holds_for_everything_that_lies_finished() {
    // Each waits for its moment, and none for the others.
    let all = FORMATS.iter().flat_map(|format| {
        ["allow-ends", "deny-begins", "waiver-ends"]
            .map(|of| tokio::spawn(check_at_its_time(format, of)))
    });
    for checked in join_all(all).await {
        checked.unwrap();
    }
}

async fn check_at_its_time(format: &'static Format, of: &str) {
    let (_up, garth) = format.warm_garth().await;
    let package = format.package;
    garth.run(&["allow", &format!("{}:another", format.name)]);
    let moment = Timestamp::now() + MOMENT;
    let rules = match of {
        "allow-ends" => format!("effect = \"allow\"\nexpires = \"{moment}\"\n"),
        "deny-begins" => format!("effect = \"deny\"\nstarts = \"{moment}\"\n"),
        _ => format!(
            "effect = \"deny\"\n[[waiver]]\nname = \"w\"\nwaives = \"r\"\nowner = \"ann\"\n\
             reason = \"x\"\npackages = [\"{package}\"]\nexpires = \"{moment}\"\n"
        ),
    };
    let rules = format!("[[rule]]\nname = \"r\"\npackages = [\"{package}\"]\n{rules}");
    garth.setup().write_policy("rules", &rules);
    let token = format!("Bearer {}", garth.admin_token());
    let listed = Asked::get("/api/v1/rules").header("Authorization", &token);
    let name = "\"name\":\"r\"";
    garth.wait_for(&listed, |answer| answer.text().replace(' ', "").contains(name)).await;
    if of == "allow-ends" {
        // Only that of the file is left.
        remove_all_made_rules(&garth);
    }
    let mut line = Line::to(&garth);
    let paths = format.gated();
    let mut served = 0;
    // By the clock that garth reads, and not before an answer came.
    let is_early = || Timestamp::now() < moment - MARGIN;
    while is_early() {
        for path in &paths {
            let answer = line.ask(&Asked::get(path)).await;
            assert!(!is_early() || answer.status == 200, "{of}: {path}: {}", answer.text());
            served += 1;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(served >= paths.len(), "{of}: everything lies finished");
    let left = Duration::try_from(moment + MARGIN - Timestamp::now()).unwrap_or_default();
    tokio::time::sleep(left).await;
    for path in &paths {
        let answer = line.ask(&Asked::get(path)).await;
        assert_eq!(answer.status, 403, "{of}: {path}: {}", answer.text());
        assert!(answer.text().contains("rule r"), "{of}: {path}: {}", answer.text());
    }
}

fn remove_all_made_rules(garth: &TestServer) {
    let listed: serde_json::Value =
        serde_json::from_str(&garth.run(&["rules", "list", "--json"])).unwrap();
    let rules = listed["rules"].as_array().or_else(|| listed.as_array()).expect("a list of rules");
    for rule in rules.iter().filter(|rule| rule["name"] != "r") {
        garth.run(&["rules", "remove", rule["name"].as_str().unwrap()]);
    }
}

/// On a connection that stays open, in the middle of what was let through.
#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_is_revoked_lets_nothing_more_through() {
    for format in FORMATS {
        let (_up, garth) = format.warm_garth().await;
        remove_all_made_rules(&garth);
        garth.run(&["team", "create", "web/shop"]);
        let secret = garth.run(&["token", "create", "shop", "--team", "web/shop"]);
        garth.run(&["allow", format.package, "--team", "web/shop"]);
        let mut line = Line::to(&garth);
        let bearer = format!("Bearer {}", secret.trim());
        let etag = "If-None-Match";
        for path in format.gated() {
            let answer = line.ask(&Asked::get(&path).header("Authorization", &bearer)).await;
            assert_eq!(answer.status, 200, "{path}: {}", answer.text());
            assert_eq!(line.ask(&Asked::get(&path)).await.status, 403, "{path}");
            let known = Asked::get(&path).header(etag, answer.header("etag").unwrap());
            assert_eq!(line.ask(&known).await.status, 403, "{path}");
        }
        garth.run(&["token", "revoke", "shop"]);
        for path in format.gated() {
            let answer = line.ask(&Asked::get(&path).header("Authorization", &bearer)).await;
            assert_eq!(answer.status, 401, "{path}: {}", answer.text());
        }
    }
}
