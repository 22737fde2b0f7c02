#![allow(clippy::unwrap_used)]

use actix_web::test::TestRequest;

use super::*;

type Row = (&'static str, &'static [(&'static str, &'static str)], u16);

fn limits() -> Limits {
    Limits {
        uri_bytes: 50,
        header_bytes: 200,
        header_count: 4,
        body_bytes: Arc::new(|method, path| {
            let is_publish = method == Method::PUT && path.starts_with("/npm/");
            BodyLimit::fixed(if is_publish { 1000 } else { 10 })
        }),
        ..Limits::default()
    }
}

fn check(name: &str, request: TestRequest, expected: Result<Option<u64>, u16>) {
    let request = request.to_srv_request();
    let result = check_head(request.head(), &limits()).map_err(|problem| problem.status().as_u16());
    assert_eq!(result, expected, "{name}");
}

fn get() -> TestRequest {
    TestRequest::get().uri("/npm/a")
}

#[test]
fn heads_are_measured_before_any_handler() {
    check("a plain one", get(), Ok(None));
    check("a long URI", TestRequest::get().uri(&format!("/{}", "a".repeat(50))), Err(414));
    check("a long query", TestRequest::get().uri(&format!("/?{}", "a".repeat(50))), Err(414));
    check("a large header", get().insert_header(("x-a", "a".repeat(200))), Err(431));
    let many = (0..5).fold(get(), |request, n| request.append_header(("x-a", n.to_string())));
    check("many headers", many, Err(431));
}

#[test]
fn bodies_are_bounded_by_route() {
    let put = || TestRequest::put().insert_header(("content-length", "1000"));
    check("small by default", put().uri("/api/v1/rules"), Err(413));
    check("larger where the route says so", put().uri("/npm/a"), Ok(Some(1000)));
    check(
        "nowhere without end",
        put().uri("/npm/a").insert_header(("content-length", "1001")),
        Err(413),
    );
}

#[test]
fn ambiguous_framing_is_refused() {
    let rows: [Row; 12] = [
        ("CL and TE", &[("content-length", "5"), ("transfer-encoding", "chunked")], 400),
        ("two TE", &[("transfer-encoding", "chunked"), ("transfer-encoding", "chunked")], 400),
        ("a list of TE", &[("transfer-encoding", "gzip, chunked")], 400),
        ("TE identity", &[("transfer-encoding", "identity")], 400),
        ("two CL", &[("content-length", "5"), ("content-length", "6")], 400),
        ("the same CL twice", &[("content-length", "5"), ("content-length", "5")], 400),
        ("a list of CL", &[("content-length", "5, 5")], 400),
        ("a signed CL", &[("content-length", "+5")], 400),
        ("an overflowing CL", &[("content-length", "99999999999999999999")], 400),
        ("a websocket", &[("upgrade", "h2c, WebSocket"), ("content-length", "5")], 400),
        ("two hosts", &[("host", "a"), ("host", "b")], 400),
        ("another expectation", &[("expect", "200-ok")], 417),
    ];
    for (name, headers, status) in rows {
        let request = headers.iter().fold(get(), |request, header| request.append_header(*header));
        check(name, request, Err(status));
    }
    check("CONNECT", get().method(Method::CONNECT), Err(405));
    check(
        "TE in HTTP/1.0",
        get().version(Version::HTTP_10).insert_header(("transfer-encoding", "chunked")),
        Err(400),
    );
    check("chunked", get().insert_header(("transfer-encoding", "Chunked")), Ok(None));
}
