//! Questions that are sent along: what a POST may carry, where it may be led, and what comes back.

use bytes::Bytes;
use server::upstream::{Credentials, Limits, Retries, Upstream, UpstreamError};
use support::upstream::{Answer, Body, ScriptedUpstream};

use super::{Scripting, client, kind, settings};

const PATH: &str = "-/npm/v1/security/advisories/bulk";
const AT: &str = "/-/npm/v1/security/advisories/bulk";
const QUESTION: &str = r#"{"left-pad":["1.3.0"]}"#;

async fn ask(upstream: &Upstream) -> Result<Vec<u8>, UpstreamError> {
    let question = Bytes::from_static(QUESTION.as_bytes());
    let body = upstream.answer_to(PATH, "application/json", question).await?;
    body.read_all().await.map(|bytes| bytes.to_vec())
}

#[tokio::test]
async fn a_question_is_sent_with_our_credentials_and_nothing_else_of_ours() {
    let up = ScriptedUpstream::start().await;
    let mut settings = settings(&up);
    settings.credentials = Some(Credentials::bearer("s3cret").unwrap());
    let upstream = client(settings);
    assert_eq!(ask(&upstream).await.unwrap(), b"{}");
    let asked = up.last_request(AT);
    assert_eq!((asked.method.as_str(), asked.body.as_slice()), ("POST", QUESTION.as_bytes()));
    assert_eq!(asked.header("authorization"), Some("Bearer s3cret"));
    assert_eq!(asked.header("content-type"), Some("application/json"));
    let mut names: Vec<_> =
        asked.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    names.sort();
    assert_eq!(
        names,
        [
            "accept",
            "accept-encoding",
            "authorization",
            "content-length",
            "content-type",
            "host",
            "user-agent",
            "via"
        ]
    );
}

#[tokio::test]
async fn a_redirect_is_followed_where_it_stays_a_post_and_elsewhere_without_credentials() {
    let up = ScriptedUpstream::start().await;
    let other = ScriptedUpstream::start().await;
    let mut settings = settings(&up);
    settings.credentials = Some(Credentials::bearer("s3cret").unwrap());
    settings.allow_hosts = vec![format!("127.0.0.1:{}", other.port())];
    let upstream = client(settings);
    for (status, followed) in [(301, false), (302, false), (303, false), (307, true), (308, true)] {
        other.forget_requests();
        let location = other.at(AT);
        up.on(AT).times(1).answer(Answer::status(status).header("Location", location));
        let answer = ask(&upstream).await;
        assert_eq!(answer.is_ok(), followed, "{status}: {answer:?}");
        assert_eq!(other.requests(AT), usize::from(followed), "{status}");
        if followed {
            let asked = other.last_request(AT);
            assert_eq!(asked.body, QUESTION.as_bytes(), "{status}");
            assert_eq!(asked.header("authorization"), None, "{status}");
            assert_eq!(asked.header("referer"), None, "{status}");
        } else {
            assert_eq!(kind(&answer.unwrap_err()), "refused", "{status}");
        }
    }
}

#[tokio::test]
async fn each_failure_of_an_answer_is_told_apart() {
    let up = ScriptedUpstream::start().await;
    let mut settings = settings(&up);
    settings.limits = Limits { document: 64 << 10, ..settings.limits };
    let upstream = client(settings);
    let page = || Answer::ok("text/html", Body::Bytes("<html>".into()));
    let large = || Answer::ok("application/json", Body::Bytes(vec![b' '; 65 << 10].into()));
    let rows: [(&str, &str, Scripting<'_>); 10] = [
        ("not there", "absent", &|up| up.on(AT).times(1).status(404)),
        ("gone", "absent", &|up| up.on(AT).times(1).status(410)),
        ("takes no POST", "absent", &|up| up.on(AT).times(1).status(405)),
        ("not made", "absent", &|up| up.on(AT).times(1).status(501)),
        ("locked", "refused", &|up| up.on(AT).times(1).status(401)),
        ("fails", "unavailable", &|up| up.on(AT).times(1).status(500)),
        ("slow down", "rate limited", &|up| up.on(AT).times(1).rate_limit(Some("0"))),
        ("a page", "broken", &|up| up.on(AT).times(1).answer(page())),
        ("too much", "too large", &|up| up.on(AT).times(1).answer(large())),
        ("silence", "timed out", &|up| up.on(AT).times(1).silence()),
    ];
    for (name, expected, script) in rows {
        script(&up);
        let error = ask(&upstream).await.expect_err(name);
        assert_eq!(kind(&error), expected, "{name}: {error}");
    }
    assert_eq!(ask(&upstream).await.unwrap(), b"{}");
}

#[tokio::test]
async fn a_failed_try_is_repeated_with_the_same_question() {
    let up = ScriptedUpstream::start().await;
    let mut settings = settings(&up);
    settings.retries = Retries { attempts: 3, ..settings.retries };
    let upstream = client(settings);
    up.on(AT).times(1).status(502);
    up.on(AT).times(1).reset();
    assert_eq!(ask(&upstream).await.unwrap(), b"{}");
    let bodies: Vec<_> = up.recorded().into_iter().map(|request| request.body).collect();
    assert_eq!(bodies, [QUESTION.as_bytes(); 3]);
}

#[tokio::test]
async fn an_answer_can_be_held_to_less_than_the_upstream_s_limit() {
    let up = ScriptedUpstream::start().await;
    let upstream = client(settings(&up));
    up.on(AT).answer(Answer::ok("application/json", Body::Bytes(vec![b' '; 2000].into())));
    let question = || Bytes::from_static(QUESTION.as_bytes());
    let body = upstream.answer_to(PATH, "application/json", question()).await.unwrap();
    assert_eq!(body.at_most(2000).read_all().await.unwrap().len(), 2000);
    let body = upstream.answer_to(PATH, "application/json", question()).await.unwrap();
    let error = body.at_most(1999).read_all().await.unwrap_err();
    assert_eq!(kind(&error), "too large");
}
