//! Places to which an upstream must not lead garth: refused at once, and nobody there is asked.

use support::server::Setup;
use support::upstream::{NpmVersion, ScriptedUpstream};
use tokio::time::Instant;

use super::{ALLOW_ALL, Garden, ms, tarball_path};

async fn refused(garden: &Garden, name: &str, path: &str) {
    let start = Instant::now();
    let answer = garden.client.get(path).await;
    let took = start.elapsed();
    assert_eq!(answer.status, 502, "{name}: {}", answer.text());
    assert!(took < ms(1500), "{name}: {took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_or_a_redirect_that_leads_into_the_house_is_refused_at_once() {
    let victim = ScriptedUpstream::start().await;
    victim.place("/secret.tgz", "application/octet-stream", "keys of the house");
    let garden = Garden::start("", "").await;
    let port = victim.port();
    for (n, target) in [
        "http://169.254.169.254/latest/meta-data/x.tgz".to_owned(),
        format!("http://127.0.0.1:{port}/secret.tgz"),
        format!("http://localhost:{port}/secret.tgz"),
        format!("http://localhost.:{port}/secret.tgz"),
        format!("http://[::1]:{port}/secret.tgz"),
        format!("http://[::ffff:127.0.0.1]:{port}/secret.tgz"),
        format!("http://2130706433:{port}/secret.tgz"),
        format!("http://0x7f.1:{port}/secret.tgz"),
        format!("http://0.0.0.0:{port}/secret.tgz"),
        "http://[fe80::1]/x.tgz".to_owned(),
        "http://10.0.0.1/x.tgz".to_owned(),
    ]
    .iter()
    .enumerate()
    {
        let named = format!("named{n}");
        let names = |version: NpmVersion| version.tarball_url(target);
        garden.up.npm(&named).version("1.0.0", names).publish();
        refused(&garden, target, &tarball_path(&named, "1.0.0")).await;

        let redirected = format!("redirected{n}");
        garden.up.npm(&redirected).plain_version("1.0.0").publish();
        garden.up.on(&format!("/{redirected}/-/{redirected}-1.0.0.tgz")).redirect(target);
        refused(&garden, target, &tarball_path(&redirected, "1.0.0")).await;
        assert_eq!(garden.up.requests(&format!("/{redirected}/-/{redirected}-1.0.0.tgz")), 1);

        garden.up.on(&format!("/document{n}")).redirect(target);
        refused(&garden, target, &format!("/npm/document{n}")).await;
    }
    assert_eq!(victim.total_requests(), 0, "nobody else was asked");
    assert_eq!(victim.connections(), 0, "nor even called");
    assert_eq!(garden.client.metric("garth_upstream_breaker_state{upstream=\"npm\"}").await, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_redirect_loop_is_a_fast_502() {
    let garden = Garden::start("", "").await;
    garden.up.on("/a").redirect(&garden.up.at("b"));
    garden.up.on("/b").redirect(&garden.up.at("a"));
    refused(&garden, "a loop", "/npm/a").await;
    assert!(garden.up.total_requests() <= 25, "{} hops", garden.up.total_requests());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bad_tls_and_a_downgrade_to_http_are_fast_502s() {
    let plain = ScriptedUpstream::start().await;
    plain.npm("p").plain_version("1.0.0").publish();
    let up = ScriptedUpstream::start_tls().await;
    up.npm("p").plain_version("1.0.0").publish();
    let port = plain.port();
    up.on("/down").redirect(&format!("http://127.0.0.1:{port}/p"));
    up.npm("q")
        .version("1.0.0", |v| v.tarball_url(&format!("http://127.0.0.1:{port}/q.tgz")))
        .publish();

    let authority = tempfile::tempdir().unwrap();
    let pem = authority.path().join("ca.pem");
    std::fs::write(&pem, up.certificate()).unwrap();
    let trust = format!(
        "certificate_authority = \"{}\"\nallow_hosts = [\"127.0.0.1:{port}\"]",
        pem.display()
    );
    let garden = Garden::before(up.clone(), &trust, "");
    assert!(garden.client.get("/npm/p").await.is_whole(), "{}", garden.server.log());
    refused(&garden, "a downgrade", "/npm/down").await;
    refused(&garden, "a downgrade by the document", &tarball_path("q", "1.0.0")).await;
    assert_eq!(plain.total_requests(), 0);

    let distrust = Garden::before(up, "", "");
    refused(&distrust, "a certificate that nobody trusts", "/npm/p").await;
    let said = distrust.client.get("/npm/p").await.text();
    assert!(said.contains("TLS"), "{said}");
}

/// 401 that names a login elsewhere: nobody is sent our credentials.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_stay_with_the_upstream_that_they_are_for() {
    let thief = ScriptedUpstream::start().await;
    let up = ScriptedUpstream::start().await;
    up.npm("p").plain_version("1.0.0").publish();
    up.on("/realm").foreign_realm(&thief.at("token"));
    up.on("/away").redirect(&thief.at("p"));
    thief.npm("p").plain_version("1.0.0").publish();
    let setup = Setup::new(&format!(
        "[registry.npm]\nupstream = \"{}\"\ntoken = {{ env = \"UP_TOKEN\" }}\nallow_hosts = [\"127.0.0.1\"]\n",
        up.url()
    ))
    .with_env("UP_TOKEN", "the-upstream-token");
    setup.write_policy("all", ALLOW_ALL);
    let server = setup.start();
    let client = support::client::Client::of(&server);
    assert!(client.get("/npm/p").await.is_whole());
    assert_eq!(up.last_request("/p").header("authorization"), Some("Bearer the-upstream-token"));
    assert_eq!(client.get("/npm/realm").await.status, 502, "fails closed");
    client.get("/npm/away").await;
    for request in thief.recorded() {
        assert_eq!(request.header("authorization"), None, "{}", request.path);
        assert_ne!(request.path, "/token");
    }
    assert!(!server.log().contains("the-upstream-token"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_proxy_of_the_environment_is_asked_unless_it_says_otherwise() {
    for (no_proxy, proxied) in [("other.invalid", true), ("registry.invalid", false)] {
        let proxy = ScriptedUpstream::start().await;
        proxy.npm("left-pad").plain_version("1.0.0").publish();
        let setup = Setup::new("[registry.npm]\nupstream = \"http://registry.invalid/\"\n")
            .with_env("HTTP_PROXY", proxy.url().as_str())
            .with_env("NO_PROXY", no_proxy);
        setup.write_policy("all", ALLOW_ALL);
        let server = setup.start();
        let answer = support::client::Client::of(&server).get("/npm/left-pad").await;
        if proxied {
            assert_eq!(answer.status, 200, "{}", answer.text());
            assert_eq!(proxy.last_request("/left-pad").target, "http://registry.invalid/left-pad");
        } else {
            assert_eq!(answer.status, 502, "{}", answer.text());
            assert_eq!(proxy.total_requests(), 0);
        }
    }
}
