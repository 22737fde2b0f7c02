//! What each kind of answer means.

use server::upstream::{ArtifactTarget, DocumentAnswer, UpstreamError, Validators};
use support::upstream::{Answer, Body, Fault};
use tokio::time::Instant;

use super::{JSON, Scripting, count, kind, left_pad, ms, read};

#[tokio::test]
async fn a_packument_and_its_tarball_arrive_as_published() {
    let (up, client) = left_pad().await;
    up.npm("@acme/kit")
        .version("1.0.0", |v| v.file("index.js", "1".repeat(5000)).dependency("left-pad", "^1"))
        .publish();

    let packument = read(&client, "@acme%2fkit").await.unwrap();
    let packument: serde_json::Value = serde_json::from_slice(&packument).unwrap();
    let dist = &packument["versions"]["1.0.0"]["dist"];
    let tarball = up.tarball("@acme/kit", "1.0.0");
    assert_eq!(dist["integrity"], tarball.integrity.as_str());
    assert_eq!(up.last_request("/@acme/kit").target, "/@acme%2fkit", "as encoded as it was asked");

    let by_path = ArtifactTarget::Path("@acme/kit/-/kit-1.0.0.tgz".to_owned());
    let by_url = ArtifactTarget::Url(dist["tarball"].as_str().unwrap().parse().unwrap());
    for target in [by_path, by_url] {
        let body = client.artifact(target).await.unwrap();
        assert_eq!(body.length, Some(tarball.body.length()));
        assert_eq!(body.read_all().await.unwrap(), tarball.bytes());
    }
    let asked = up.last_request(&tarball.path);
    assert_eq!(asked.header("accept-encoding"), Some("identity"));
    assert_eq!(
        asked.header("user-agent"),
        Some(format!("garth/{}", env!("CARGO_PKG_VERSION")).as_str())
    );
    assert!(server::upstream::has_passed_through_us(asked.header("via")));
}

#[tokio::test]
async fn a_packed_document_arrives_unpacked() {
    let (up, client) = left_pad().await;
    up.npm("left-pad").readme(&"long ".repeat(5000)).publish();
    let DocumentAnswer::Found(body) =
        client.document("left-pad", "application/json", None).await.unwrap()
    else {
        panic!("nothing was known");
    };
    assert_eq!(body.length, None, "the packed length is not the document's");
    assert!(body.etag.is_some() && body.last_modified.is_some());
    let bytes = body.read_all().await.unwrap();
    let packument: serde_json::Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(packument["readme"].as_str().unwrap().len(), 25_000);
    assert_eq!(up.last_request("/left-pad").header("accept-encoding"), Some("gzip"));
}

#[tokio::test]
async fn what_comes_with_an_answer_is_fit_to_be_kept() {
    let (up, client) = left_pad().await;
    let answer = Answer::ok(
        &format!("application/json; profile={}", "p".repeat(2000)),
        Body::Bytes("{}".into()),
    )
    .header("etag", format!("\"{}\"", "e".repeat(2000)))
    .header("last-modified", "m".repeat(2000));
    up.on("/left-pad").times(1).answer(answer);
    let DocumentAnswer::Found(body) = client.document("left-pad", JSON, None).await.unwrap() else {
        panic!("nothing was known");
    };
    assert_eq!((body.etag.clone(), body.last_modified.clone()), (None, None));
    assert_eq!(body.media_type.as_deref(), Some("application/json"));
    assert_eq!(body.read_all().await.unwrap(), "{}");

    let tarball = up.tarball("left-pad", "1.3.0");
    let signed = up.at(&format!("{}?signature=secret", tarball.path)).parse().unwrap();
    let body = client.artifact(ArtifactTarget::Url(signed)).await.unwrap();
    assert_eq!(body.place(), format!("127.0.0.1:{}{}", up.port(), tarball.path));
}

#[tokio::test]
async fn an_unchanged_document_is_not_sent_again() {
    let (up, client) = left_pad().await;
    let DocumentAnswer::Found(body) = client.document("left-pad", JSON, None).await.unwrap() else {
        panic!("nothing was known");
    };
    let known = Validators { etag: body.etag.clone(), last_modified: body.last_modified.clone() };
    count(body).await.unwrap();
    let again = client.document("left-pad", JSON, Some(&known)).await.unwrap();
    assert!(matches!(again, DocumentAnswer::NotModified));
    up.npm("left-pad").plain_version("1.3.1").publish();
    let changed = client.document("left-pad", JSON, Some(&known)).await.unwrap();
    assert!(matches!(changed, DocumentAnswer::Found(_)));
}

#[tokio::test]
async fn each_answer_has_one_meaning() {
    let (up, client) = left_pad().await;
    for (status, expected) in [
        (404, "absent"),
        (410, "absent"),
        (400, "refused"),
        (401, "refused"),
        (402, "refused"),
        (403, "refused"),
        (405, "refused"),
        (406, "refused"),
        (407, "refused"),
        (418, "refused"),
        (451, "refused"),
        (408, "unavailable"),
        (421, "unavailable"),
        (425, "unavailable"),
        (500, "unavailable"),
        (501, "unavailable"),
        (502, "unavailable"),
        (503, "unavailable"),
        (504, "unavailable"),
        (599, "unavailable"),
        (204, "broken"),
        (206, "broken"),
        (300, "broken"),
        (304, "broken"),
        (305, "broken"),
    ] {
        up.on("/left-pad").times(1).status(status);
        let error = read(&client, "left-pad").await.expect_err("not a document");
        assert_eq!(kind(&error), expected, "{status}: {error}");
    }
    assert!(read(&client, "left-pad").await.is_ok(), "none of them leaves a mark");
}

#[tokio::test]
async fn what_is_no_document_is_broken() {
    let (up, client) = left_pad().await;
    let scripts: &[(&str, Scripting)] = &[
        ("a page", &|up| up.on("/left-pad").times(1).html()),
        ("a page called JSON", &|up| up.on("/left-pad").times(1).html_called_json()),
        ("an encoding that was not offered", &|up| {
            let answer = Answer::ok("application/json", Body::Bytes("{}".into()));
            up.on("/left-pad").times(1).answer(answer.header("Content-Encoding", "br"));
        }),
        ("what is not gzip, called gzip", &|up| {
            let answer = Answer::ok("application/json", Body::Bytes("{}".into()));
            up.on("/left-pad").times(1).answer(answer.header("Content-Encoding", "gzip"));
        }),
        ("no HTTP", &|up| up.on("/left-pad").times(1).fault(Fault::Garbage)),
    ];
    for (name, script) in scripts {
        script(&up);
        let error = read(&client, "left-pad").await.expect_err(name);
        assert_eq!(kind(&error), "broken", "{name}: {error}");
    }
}

#[tokio::test]
async fn a_page_in_place_of_a_tarball_is_broken() {
    let (up, client) = left_pad().await;
    let path = up.tarball("left-pad", "1.3.0").path;
    up.on(&path).html();
    let error = client
        .artifact(ArtifactTarget::Path(path.trim_start_matches('/').to_owned()))
        .await
        .expect_err("a page");
    assert_eq!(kind(&error), "broken");
}

#[tokio::test]
async fn nobody_there_is_unavailable_and_fast() {
    let (up, client) = left_pad().await;
    let start = Instant::now();
    up.go_offline();
    let error = read(&client, "left-pad").await.expect_err("offline");
    assert!(matches!(&error, UpstreamError::Unavailable { since: Some(_), .. }), "{error}");
    assert!(start.elapsed() < ms(2500));
    up.go_online();
    assert!(read(&client, "left-pad").await.is_ok(), "it is back on the same port");
}

#[tokio::test]
async fn a_path_that_means_another_place_is_not_asked() {
    let (up, client) = left_pad().await;
    for path in ["../x", "a/../../x", "%2e%2e/x", "a/./b", "a\\b", "a#b", "a b", "x\u{e9}"] {
        let error = read(&client, path).await.expect_err(path);
        assert_eq!(kind(&error), "refused", "{path}");
    }
    assert_eq!(up.total_requests(), 0);
}

#[tokio::test]
async fn texts_hold_neither_userinfo_nor_query() {
    let (up, _) = left_pad().await;
    let mut base = up.url();
    base.set_username("ann").unwrap();
    base.set_password(Some("s3cret")).unwrap();
    let mut settings = super::settings(&up);
    settings.base = base;
    let client = super::client(settings);
    let mut texts = vec![format!("{client:?}")];
    for status in [400, 401, 403, 500] {
        up.on("/left-pad").times(1).status(status);
        let error = read(&client, "left-pad?token=s3cret").await.expect_err("a fault");
        texts.push(format!("{error} {error:?}"));
    }
    up.go_offline();
    let error = read(&client, "left-pad?token=s3cret").await.expect_err("offline");
    texts.push(format!("{error} {error:?} {:?}", client.health()));
    for text in texts {
        assert!(!text.contains("s3cret") && !text.contains("ann:"), "{text}");
        assert!(!text.contains("YW5uOn"), "not encoded either: {text}");
    }
    let sent = up.last_request("/left-pad");
    assert!(sent.header("authorization").is_some_and(|value| value.starts_with("Basic ")));
}
