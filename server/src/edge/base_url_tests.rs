#![allow(clippy::unwrap_used)]

use actix_web::test::TestRequest;
use proptest::prelude::*;

use super::*;

fn request(headers: &[(&str, &str)]) -> HttpRequest {
    headers
        .iter()
        .fold(TestRequest::get().uri("/npm/a"), |request, header| request.append_header(*header))
        .peer_addr("10.0.0.9:1234".parse().unwrap())
        .to_http_request()
}

#[test]
fn a_forged_host_never_wins_over_the_public_url() {
    let public: Url = "https://garth.example.com/".parse().unwrap();
    let trusted = ["10.0.0.0/8".parse().unwrap()];
    let req = request(&[("host", "evil.example"), ("forwarded", "host=evil.example;proto=http")]);
    assert_eq!(base_url(&req, Some(&public), &trusted).unwrap(), "https://garth.example.com");
}

type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [IpNet], Result<&'a str, ()>);

#[test]
fn the_base_is_the_proxys_word_or_the_host() {
    let trusted: &[IpNet] = &["10.0.0.0/8".parse().unwrap()];
    let rows: [Row<'_>; 22] = [
        ("a host", &[("host", "garth:8642")], &[], Ok("http://garth:8642")),
        ("another case", &[("host", "Garth.Example")], &[], Ok("http://garth.example")),
        ("IPv6", &[("host", "[::1]:8642")], &[], Ok("http://[::1]:8642")),
        ("no host", &[], &[], Err(())),
        ("an empty host", &[("host", "")], &[], Err(())),
        ("a path in it", &[("host", "a/b")], &[], Err(())),
        ("userinfo", &[("host", "user@evil")], &[], Err(())),
        ("a quote", &[("host", "a\"b")], &[], Err(())),
        ("two ports", &[("host", "a:1:2")], &[], Err(())),
        ("a port too large", &[("host", "a:70000")], &[], Err(())),
        ("a signed port", &[("host", "a:+1")], &[], Err(())),
        ("a number at the end", &[("host", "a.0")], &[], Err(())),
        ("a hidden loopback", &[("host", "0x7f.1")], &[], Err(())),
        ("IPv4", &[("host", "192.0.2.1:80")], &[], Ok("http://192.0.2.1:80")),
        ("IPv6 and rubbish", &[("host", "[::1]x")], &[], Err(())),
        ("nobody is trusted", &[("host", "a"), ("x-forwarded-host", "evil")], &[], Ok("http://a")),
        (
            "X-Forwarded",
            &[("host", "a"), ("x-forwarded-host", "evil, b"), ("x-forwarded-proto", "https")],
            trusted,
            Ok("https://b"),
        ),
        (
            "Forwarded",
            &[
                ("host", "a"),
                (
                    "forwarded",
                    "for=1.1.1.1;proto=http;host=evil, for=192.0.2.1;proto=https;host=\"b:443\"",
                ),
            ],
            trusted,
            Ok("https://b:443"),
        ),
        (
            "two trusted proxies",
            &[
                ("host", "a"),
                (
                    "forwarded",
                    "for=192.0.2.1;proto=https;host=b, for=10.1.1.1;proto=http;host=inner",
                ),
            ],
            trusted,
            Ok("https://b"),
        ),
        ("only a scheme", &[("host", "a"), ("forwarded", "proto=https")], trusted, Ok("https://a")),
        ("an odd scheme", &[("host", "a"), ("x-forwarded-proto", "javascript")], trusted, Err(())),
        ("an odd host", &[("host", "a"), ("x-forwarded-host", "b\"><script>")], trusted, Err(())),
    ];
    for (name, headers, trusted, expected) in rows {
        let result = base_url(&request(headers), None, trusted);
        assert_eq!(result.map_err(|_| ()), expected.map(str::to_owned), "{name}");
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_the_base_is_a_plain_url(host in "\\PC{0,30}", forwarded in "\\PC{0,60}") {
        let Ok(trusted) = "10.0.0.0/8".parse() else { unreachable!() };
        let mut request = TestRequest::get().peer_addr("10.0.0.9:1".parse().unwrap());
        for (name, value) in [("host", &host), ("forwarded", &forwarded)] {
            if let Ok(value) = actix_web::http::header::HeaderValue::from_str(value) {
                request = request.append_header((name, value));
            }
        }
        if let Ok(base) = base_url(&request.to_http_request(), None, &[trusted]) {
            let url: Url = base.parse().unwrap();
            prop_assert!(url.username().is_empty() && url.query().is_none() && url.path() == "/");
        }
    }
}
