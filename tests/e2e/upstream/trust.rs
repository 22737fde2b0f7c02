//! Where credentials go, where redirects lead, and what may be connected to.

use server::upstream::{ArtifactTarget, Credentials, ProxySetting, UpstreamError};
use support::upstream::ScriptedUpstream;
use tokio::time::Instant;

use super::{client, count, kind, left_pad, ms, read, settings};

#[tokio::test]
async fn a_redirect_elsewhere_takes_no_credentials_along() {
    let (up, _) = left_pad().await;
    let other = ScriptedUpstream::start().await;
    other.npm("left-pad").plain_version("1.3.0").publish();
    let mut settings = settings(&up);
    settings.credentials = Some(Credentials::bearer("s3cret").unwrap());
    settings.allow_hosts = vec![format!("127.0.0.1:{}", other.port())];
    let client = client(settings);

    read(&client, "left-pad").await.unwrap();
    assert_eq!(up.last_request("/left-pad").header("authorization"), Some("Bearer s3cret"));

    up.on("/left-pad").redirect(&other.at("left-pad"));
    read(&client, "left-pad").await.unwrap();
    let arrived = other.last_request("/left-pad");
    assert_eq!(arrived.header("authorization"), None);
    assert_eq!(arrived.header("cookie"), None);
    assert_eq!(arrived.header("referer"), None, "nor does it say where it comes from");

    up.heal();
    up.on("/left-pad").redirect("/moved");
    up.on("/moved").redirect(&other.at("back"));
    other.on("/back").redirect(&up.at("end"));
    up.place("/end", "application/json", "{}");
    read(&client, "left-pad").await.unwrap();
    assert!(up.last_request("/moved").header("authorization").is_some(), "the same origin");
    assert_eq!(other.last_request("/back").header("authorization"), None);

    let userinfo = format!("http://ann:pw@127.0.0.1:{}/left-pad", other.port());
    up.heal();
    up.on("/left-pad").redirect(&userinfo);
    read(&client, "left-pad").await.unwrap();
    let arrived = other.last_request("/left-pad");
    assert_eq!(arrived.header("authorization"), None, "not a redirect's own either");
}

#[tokio::test]
async fn a_realm_elsewhere_gets_nothing() {
    let (up, _) = left_pad().await;
    let realm = ScriptedUpstream::start().await;
    for credentials in [None, Some(Credentials::basic("ann", "s3cret").unwrap())] {
        let asked_for = if credentials.is_some() { "refuses our credentials" } else { "asks for" };
        let mut settings = settings(&up);
        settings.credentials = credentials;
        settings.allow_hosts = vec!["127.0.0.1".to_owned()];
        let client = client(settings);
        for place in [realm.at("token"), "http://login.example/token".to_owned()] {
            up.on("/left-pad").times(1).foreign_realm(&place);
            let error = read(&client, "left-pad").await.expect_err("401");
            assert_eq!(kind(&error), "refused");
            let text = error.to_string();
            assert!(text.contains(asked_for) && text.contains("[registry.npm]"), "{text}");
            assert!(text.contains("no credentials are sent"), "{text}");
        }
    }
    assert_eq!(realm.connections(), 0);
}

#[tokio::test]
async fn an_artifact_elsewhere_gets_no_credentials() {
    let (up, _) = left_pad().await;
    let other = ScriptedUpstream::start().await;
    other.place("/x.tgz", "application/octet-stream", "bytes");
    let mut settings = settings(&up);
    settings.credentials = Some(Credentials::bearer("s3cret").unwrap());
    settings.allow_hosts = vec!["127.0.0.1".to_owned()];
    let client = client(settings);
    let target = ArtifactTarget::Url(other.at("x.tgz").parse().unwrap());
    count(client.artifact(target).await.unwrap()).await.unwrap();
    assert_eq!(other.last_request("/x.tgz").header("authorization"), None);
}

#[tokio::test]
async fn only_the_configured_place_may_be_private() {
    let (up, client) = left_pad().await;
    let decoy = ScriptedUpstream::start().await;
    let port = decoy.port();
    for target in [
        format!("http://127.0.0.1:{port}/x"),
        format!("http://127.1:{port}/x"),
        format!("http://2130706433:{port}/x"),
        format!("http://0x7f000001:{port}/x"),
        format!("http://0177.0.0.1:{port}/x"),
        format!("http://127.0.0.1.:{port}/x"),
        format!("http://localhost:{port}/x"),
        format!("http://LOCALHOST.:{port}/x"),
        format!("http://[::1]:{port}/x"),
        format!("http://[::ffff:127.0.0.1]:{port}/x"),
        format!("http://0.0.0.0:{port}/x"),
        "http://169.254.169.254/latest/meta-data/".to_owned(),
        "http://[fd00:ec2::254]/".to_owned(),
        "http://10.0.0.1/".to_owned(),
    ] {
        up.on("/left-pad").times(1).redirect(&target);
        let start = Instant::now();
        let redirected = read(&client, "left-pad").await.expect_err(&target);
        let direct =
            client.artifact(ArtifactTarget::Url(target.parse().unwrap())).await.expect_err(&target);
        for error in [redirected, direct] {
            assert_eq!(kind(&error), "refused", "{target}: {error}");
            assert!(error.to_string().contains("allow_hosts"), "{target}: {error}");
        }
        assert!(start.elapsed() < ms(2500), "{target}");
    }
    assert_eq!(decoy.connections(), 0, "nobody knocked");
    assert_eq!(client.health().failures, 0, "our own rule is not the upstream's failure");
}

#[tokio::test]
async fn a_file_elsewhere_on_the_web_is_fetched_only_by_setting() {
    let (_up, client) = left_pad().await;
    let start = Instant::now();
    for target in ["https://files.example.com/x.tgz", "http://203.0.113.7/x.tgz"] {
        let error =
            client.artifact(ArtifactTarget::Url(target.parse().unwrap())).await.expect_err(target);
        assert_eq!(kind(&error), "refused", "{target}: {error}");
        assert!(error.to_string().contains("not its own host"), "{target}: {error}");
    }
    assert!(start.elapsed() < ms(2500), "nobody was asked");
}

#[tokio::test]
async fn a_proxy_is_used_and_is_no_way_around_the_rules() {
    let (proxy, _) = left_pad().await;
    let mut settings = settings(&proxy);
    settings.base = "http://registry.invalid/".parse().unwrap();
    settings.proxy = ProxySetting::Url(proxy.url());
    let client = client(settings);
    read(&client, "left-pad").await.unwrap();
    assert_eq!(proxy.last_request("/left-pad").target, "http://registry.invalid/left-pad");

    proxy.forget_requests();
    for target in ["http://169.254.169.254/x", "http://localhost/x", "http://[::1]/x"] {
        let error =
            client.artifact(ArtifactTarget::Url(target.parse().unwrap())).await.expect_err(target);
        assert_eq!(kind(&error), "refused", "{target}: {error}");
    }
    assert_eq!(proxy.total_requests(), 0, "the proxy was not asked for them");
}

#[tokio::test]
async fn redirects_end_fast() {
    let (up, client) = left_pad().await;
    for step in 0..10 {
        up.on(&format!("/step{step}")).redirect(&up.at(&format!("step{}", step + 1)));
    }
    up.on("/loop").redirect("/loop");
    up.on("/ping").redirect("/pong");
    up.on("/pong").redirect("/ping");
    up.on("/nowhere").redirect("http://");
    up.on("/file").redirect("file:///etc/passwd");
    for (path, text) in [
        ("step0", "more than 5 redirects"),
        ("loop", "loop"),
        ("ping", "loop"),
        ("nowhere", "without a usable Location"),
        ("file", "not http or https"),
    ] {
        up.forget_requests();
        let start = Instant::now();
        let error = read(&client, path).await.expect_err(path);
        assert_eq!(kind(&error), "refused");
        assert!(error.to_string().contains(text), "{path}: {error}");
        assert!(start.elapsed() < ms(5000) && up.total_requests() <= 6, "{path}");
    }
}

#[tokio::test]
async fn tls_is_checked_and_never_left() {
    let up = ScriptedUpstream::start_tls().await;
    let plain = ScriptedUpstream::start().await;
    for upstream in [&up, &plain] {
        upstream.npm("left-pad").plain_version("1.3.0").publish();
    }
    let stranger = client(settings(&up));
    let start = Instant::now();
    let error = read(&stranger, "left-pad").await.expect_err("a certificate that nobody signed");
    assert!(matches!(&error, UpstreamError::Refused { .. }), "{error}");
    assert!(error.to_string().contains("bad TLS") && start.elapsed() < ms(2500), "{error}");

    let mut trusting = settings(&up);
    trusting.extra_roots = vec![up.certificate().as_bytes().to_vec()];
    trusting.allow_hosts = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    trusting.credentials = Some(Credentials::bearer("s3cret").unwrap());
    let trusting = client(trusting);
    read(&trusting, "left-pad").await.unwrap();

    up.on("/left-pad").redirect(&plain.at("left-pad"));
    let error = read(&trusting, "left-pad").await.expect_err("https to http");
    assert!(error.to_string().contains("from https to http"), "{error}");
    let http = ArtifactTarget::Url(plain.at("left-pad").parse().unwrap());
    let error = trusting.artifact(http).await.expect_err("https upstream, http tarball");
    assert_eq!(kind(&error), "refused");
    assert_eq!(plain.connections(), 0);

    let mut wrong = settings(&plain);
    wrong.base.set_scheme("https").unwrap();
    let error = read(&client(wrong), "left-pad").await.expect_err("TLS to a plain port");
    assert_eq!(kind(&error), "refused", "{error}");
}
