//! Every mounted route passes the gate: route by method by spelling by condition.

use policies::package::Digest;
use support::http::Asked;
use support::server::TestServer;

use super::{Behind, FORMATS, Format, ask_all};

/// Everything that a client may send with a path.
pub fn variations(format: &Format, path: &str, etags: &[String]) -> Vec<Asked> {
    let mut all = Vec::new();
    for method in ["GET", "HEAD"] {
        let plain = || Asked::new(method, path);
        all.push(plain());
        all.push(plain().header("Accept", "*/*"));
        for form in format.forms {
            all.push(plain().header("Accept", form));
            all.push(plain().header("Accept", form).header("Accept-Encoding", "gzip"));
        }
        all.push(plain().header("Range", "bytes=0-0"));
        all.push(plain().header("Range", "bytes=0-0,2-3"));
        all.push(plain().header("Range", "bytes=99999999-"));
        all.push(plain().header("If-None-Match", "*"));
        for etag in etags {
            all.push(plain().header("If-None-Match", etag));
            all.push(plain().header("If-Range", etag).header("Range", "bytes=0-9"));
        }
        for coding in ["gzip, br, zstd", "gzip", "br", "zstd", "identity;q=0", "*"] {
            all.push(plain().header("Accept-Encoding", coding));
        }
        all.push(plain().header("Cache-Control", "only-if-cached, max-stale"));
        all.push(plain().header("Authorization", "Bearer garth_nobodys"));
        let far = "Fri, 01 Jan 2100 00:00:00 GMT";
        all.push(plain().header("If-Modified-Since", far));
        all.push(plain().header("If-Unmodified-Since", far).header("If-Match", "*"));
        all.push(plain().header("If-Range", far).header("Range", "bytes=0-9"));
        all.push(plain().header("Range", "bytes=-1").header("If-None-Match", "*"));
        all.push(plain().header("Garth-Decision", "allow"));
        all.push(plain().header("X-HTTP-Method-Override", "PUT"));
    }
    for method in ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"] {
        all.push(Asked::new(method, path));
    }
    all
}

/// What an answer may be known by: the validators of every path while it is allowed.
async fn etags(format: &Format, garth: &TestServer) -> Vec<String> {
    let mut etags = Vec::new();
    for path in format.gated() {
        let answer = garth.get(&path).await;
        assert_eq!(answer.status, 200, "{}: {path}: {}", format.name, answer.text());
        etags.push(answer.header("etag").expect("a validator").to_owned());
    }
    etags.sort();
    etags.dedup();
    etags
}

/// Asks for all of it, and finds nothing of the package in what comes.
async fn check_that_nothing_is_sent(
    format: &Format,
    garth: &TestServer,
    bytes: &[u8],
    etags: &[String],
    word: &str,
) {
    for path in format.gated() {
        let odd = variations(format, &path, etags);
        for (asked, answer) in odd.iter().zip(ask_all(garth, &odd).await) {
            assert!(
                (400..500).contains(&answer.status) && answer.status != 416,
                "{}: {asked:?} gives {}: {}",
                format.name,
                answer.status,
                answer.text()
            );
            let piece = &bytes[..16];
            let sent = answer.body.windows(piece.len()).any(|window| window == piece);
            assert!(!sent, "{}: {asked:?} sends its bytes", format.name);
            assert_eq!(answer.header("etag"), None, "{}: {asked:?}", format.name);
        }
        // And on a connection that asks for nothing else.
        for method in ["GET", "HEAD"] {
            let answer = garth.ask(&Asked::new(method, &path)).await;
            assert_eq!(answer.status, 403, "{}: {method} {path}", format.name);
            let decision = answer.header("garth-decision").unwrap_or_default().to_owned();
            assert!(decision.starts_with(word), "{}: {method} {path}: {decision}", format.name);
            assert!(decision.contains("revision=\""), "{}: {path}: {decision}", format.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_rule_allows_is_sent_by_no_route_and_not_fetched() {
    for format in FORMATS {
        let up = format.upstream().await;
        let garth = format.setup(&up, "").start();
        let bytes = (format.bytes)(&up);
        let etags = [format!("\"{}\"", Digest::sha256_of(&bytes).hex())];
        check_that_nothing_is_sent(format, &garth, &bytes, &etags, "deny").await;
        assert_eq!(up.requests(format.artifact.upstream), 0, "{}", format.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_and_then_denied_is_sent_by_no_route() {
    for format in FORMATS {
        let (up, garth) = format.warm_garth().await;
        let bytes = (format.bytes)(&up);
        let etags = etags(format, &garth).await;
        garth.run(&["deny", format.package, "--reason", "no more"]);
        check_that_nothing_is_sent(format, &garth, &bytes, &etags, "deny; rule=\"").await;
        let refused = garth.get(format.artifact.here).await.text();
        assert!(refused.contains("no more") && refused.contains("garth why"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_on_hold_is_sent_by_no_route() {
    for format in FORMATS {
        let (up, garth) = format.warm_garth().await;
        let bytes = (format.bytes)(&up);
        let etags = etags(format, &garth).await;
        garth.run(&["hold", format.package, "--reason", "not yet looked at"]);
        check_that_nothing_is_sent(format, &garth, &bytes, &etags, "hold; rule=\"").await;
        let refused = garth.get(format.artifact.here).await.text();
        assert!(refused.contains("on hold") && refused.contains("not yet looked at"), "{refused}");
    }
}

/// Else the tests above would pass for paths that lead nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn every_spelling_leads_to_the_package_where_it_is_allowed() {
    for format in FORMATS {
        let (_up, garth) = format.warm_garth().await;
        for endpoint in format.endpoints {
            if !matches!(endpoint.behind("GET"), Some(Behind::Gate | Behind::Nothing)) {
                continue;
            }
            for path in format.paths(endpoint) {
                let answer = garth.get(&path).await;
                assert_eq!(answer.status, 200, "{}: {path}: {}", format.name, answer.text());
                let head = garth.ask(&Asked::new("HEAD", &path)).await;
                assert_eq!(head.status, 200, "{}: HEAD {path}", format.name);
                let length = answer.header("content-length");
                assert_eq!(head.header("content-length"), length, "{}: {path}", format.name);
                assert!(head.body.is_empty(), "{}: {path}", format.name);
            }
        }
    }
}

const METHODS: [&str; 6] = ["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH"];

#[tokio::test(flavor = "multi_thread")]
async fn a_method_that_a_route_does_not_have_is_405_and_reaches_nobody() {
    for format in FORMATS {
        let (up, garth) = format.warm_garth().await;
        up.forget_requests();
        for endpoint in format.endpoints {
            for path in format.paths(endpoint) {
                for method in METHODS.iter().filter(|method| endpoint.behind(method).is_none()) {
                    let answer = garth.ask(&Asked::new(method, &path)).await;
                    assert_eq!(answer.status, 405, "{}: {method} {path}", format.name);
                }
            }
        }
        assert_eq!(up.total_requests(), 0, "{}: {:?}", format.name, up.recorded());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_token_nothing_is_changed_and_nobody_is_asked() {
    for format in FORMATS {
        let (up, garth) = format.warm_garth().await;
        up.forget_requests();
        for (method, path) in format.requests(Behind::Token) {
            for token in [None, Some("Bearer garth_nobodys"), Some("Basic YW5uOg==")] {
                let mut asked = Asked::new(method, &path);
                if let Some(token) = token {
                    asked = asked.header("Authorization", token);
                }
                let answer = garth.ask(&asked).await;
                assert_eq!(answer.status, 401, "{}: {asked:?}", format.name);
                assert!(answer.header("www-authenticate").is_some(), "{asked:?}");
            }
        }
        assert_eq!(up.total_requests(), 0, "{}: {:?}", format.name, up.recorded());
        assert_eq!(garth.get(format.document.here).await.status, 200, "{}", format.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_garth_does_not_have_is_said_to_be_so() {
    for format in FORMATS {
        let (up, garth) = format.warm_garth().await;
        up.forget_requests();
        for (method, path) in format.requests(Behind::NotOffered) {
            let answer = garth.ask(&Asked::new(method, &path)).await;
            assert_eq!(answer.status, 404, "{}: {method} {path}", format.name);
            assert!(method == "HEAD" || answer.text().contains("garth"), "{}", answer.text());
        }
        assert_eq!(up.total_requests(), 0, "{}: {:?}", format.name, up.recorded());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_tells_a_refusal_leads_to_nothing_else() {
    for format in FORMATS {
        let (up, garth) = format.warm_garth().await;
        up.forget_requests();
        for (method, path) in format.requests(Behind::Told) {
            let answer = garth.ask(&Asked::new(method, &path)).await;
            assert_eq!(answer.status, 403, "{}: {method} {path}", format.name);
            assert!(
                !answer.text().contains("seed"),
                "nothing of it is repeated: {}",
                answer.text()
            );
        }
        assert_eq!(up.total_requests(), 0, "{}: {:?}", format.name, up.recorded());
    }
}
