//! What somebody tries who wants to get past the gate: other words for what is denied, other ways to
//! send them, and the moment in which a rule begins.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use jiff::Timestamp;
use support::edge::{Answer, Raw};
use support::http::{Asked, Line};
use support::server::TestServer;
use support::upstream::ScriptedUpstream;
use tokio::net::TcpStream;

use super::{FORMATS, Format};

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
            let answer = client.answer().await;
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

/// From when the command that made it returned, whoever asks is refused, however hot it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_deny_holds_for_every_request_that_comes_after_it_was_made() {
    for format in FORMATS {
        let (_up, garth) = format.warm_garth().await;
        let garth = Arc::new(garth);
        let paths = format.gated();
        let (over, made) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let asking: Vec<_> = (0..4)
            .map(|nth: usize| {
                let (garth, over, made) =
                    (Arc::clone(&garth), Arc::clone(&over), Arc::clone(&made));
                let paths = paths.clone();
                tokio::spawn(async move {
                    let mut line = Line::to(&garth);
                    let (mut after, mut place) = (0, nth * 5);
                    while !over.load(Ordering::SeqCst) {
                        place += 1;
                        let asked = Asked::get(&paths[place % paths.len()]);
                        let is_after = made.load(Ordering::SeqCst);
                        let answer = line.ask(&asked).await;
                        if is_after {
                            after += 1;
                            assert_eq!(answer.status, 403, "{asked:?}: {}", answer.text());
                        }
                    }
                    after
                })
            })
            .collect();
        for round in 0..3 {
            tokio::time::sleep(Duration::from_millis(150)).await;
            garth.run(&["deny", format.package, "--name", "no"]);
            made.store(true, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(150)).await;
            made.store(false, Ordering::SeqCst);
            // Requests that are under way were asked while it was denied.
            tokio::time::sleep(Duration::from_millis(50)).await;
            garth.run(&["rules", "remove", "no"]);
            assert_eq!(garth.get(format.artifact.here).await.status, 200, "round {round}");
        }
        over.store(true, Ordering::SeqCst);
        let after: usize = join_all(asking).await.into_iter().map(Result::unwrap).sum();
        assert!(after > 50, "{after}");
    }
}

/// After which a rule ends or begins: long enough to have everything finished by then.
const MOMENT: Duration = Duration::from_secs(4);
/// A little before its end.
const EARLY: Duration = Duration::from_millis(3900);

/// An allow that ends and a deny that begins need nobody who does it, and no cache outlives them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn at_its_time_a_rule_holds_for_everything_that_lies_finished() {
    for format in FORMATS {
        // Each waits for its moment, and none for the others.
        let all = ["allow-ends", "deny-begins", "waiver-ends"]
            .map(|of| tokio::spawn(check_at_its_time(format, of)));
        for checked in join_all(all).await {
            checked.unwrap();
        }
    }
}

async fn check_at_its_time(format: &'static Format, of: &str) {
    let (_up, garth) = format.warm_garth().await;
    let package = format.package;
    garth.run(&["allow", &format!("{}:another", format.name)]);
    let (begun, clock) = (Instant::now(), Timestamp::now());
    let moment = clock + MOMENT;
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
    while begun.elapsed() < EARLY {
        for path in &paths {
            let answer = line.ask(&Asked::get(path)).await;
            let early = begun.elapsed() < EARLY;
            assert!(!early || answer.status == 200, "{of}: {path}: {}", answer.text());
            served += 1;
        }
    }
    assert!(served >= paths.len(), "{of}: everything lies finished");
    let left = (MOMENT + Duration::from_millis(5)).saturating_sub(begun.elapsed());
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
