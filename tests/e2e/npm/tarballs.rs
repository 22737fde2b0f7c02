//! Tarballs whose packument lies about where they are or what they hold.

use std::time::Duration;

use support::http::Asked;
use support::upstream::{Fault, ScriptedUpstream};

use super::{npm, registry, setup, upstream};

/// An upstream whose package `guest` says that its tarball is at this URL.
async fn upstream_with_guest(url: &str) -> ScriptedUpstream {
    let up = ScriptedUpstream::start().await;
    up.npm("guest").version("1.0.0", |version| version.tarball_url(url)).publish();
    up
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tarball_at_a_private_address_is_never_fetched() {
    let foreign = ScriptedUpstream::start().await;
    let port = foreign.port();
    let urls = [
        format!("http://127.0.0.1:{port}/guest-1.0.0.tgz"),
        format!("http://127.0.0.1.:{port}/guest-1.0.0.tgz"),
        format!("http://localhost:{port}/guest-1.0.0.tgz"),
        format!("http://2130706433:{port}/guest-1.0.0.tgz"),
        format!("http://0x7f.1:{port}/guest-1.0.0.tgz"),
        format!("http://[::1]:{port}/guest-1.0.0.tgz"),
        format!("http://[::ffff:127.0.0.1]:{port}/guest-1.0.0.tgz"),
        format!("http://user:pass@127.0.0.1:{port}/guest-1.0.0.tgz"),
        "http://169.254.169.254/latest/meta-data".to_owned(),
    ];
    for url in urls {
        let up = upstream_with_guest(&url).await;
        let bytes = up.tarball("guest", "1.0.0").bytes();
        foreign.place("/guest-1.0.0.tgz", "application/octet-stream", bytes);
        let garth = setup(&up).start();
        garth.run(&["allow", "npm:guest"]);
        let packument = garth.get("/npm/guest").await;
        assert!(!packument.text().contains(&port.to_string()), "{url}: {}", packument.text());
        let answer = garth.get("/npm/guest/-/guest-1.0.0.tgz").await;
        assert_eq!(answer.status, 502, "{url}: {}", answer.text());
        assert_eq!(foreign.connections(), 0, "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_host_that_the_settings_allow_is_asked_without_the_upstreams_credentials() {
    let foreign = ScriptedUpstream::start().await;
    let up = upstream_with_guest(&foreign.at("/files/guest-1.0.0.tgz")).await;
    let bytes = up.tarball("guest", "1.0.0").bytes();
    foreign.place("/files/guest-1.0.0.tgz", "application/octet-stream", bytes.clone());
    let allowed = format!(
        "allow_hosts = [\"127.0.0.1:{}\"]\ntoken = {{ env = \"UPSTREAM_TOKEN\" }}",
        foreign.port()
    );
    let garth = registry(&up, &allowed).with_env("UPSTREAM_TOKEN", "very-secret").start();
    garth.run(&["allow", "npm:guest"]);
    let answer = garth.get("/npm/guest/-/guest-1.0.0.tgz").await;
    assert_eq!(answer.whole().as_deref(), Some(&*bytes));
    let token = up.last_request("/guest").header("authorization").map(str::to_owned);
    assert_eq!(token.as_deref(), Some("Bearer very-secret"));
    assert_eq!(foreign.last_request("/files/guest-1.0.0.tgz").header("authorization"), None);
    assert!(!garth.log().contains("very-secret"));
}

#[tokio::test(flavor = "multi_thread")]
async fn however_a_tarball_is_written_npm_is_sent_to_us_and_installs() {
    let up = ScriptedUpstream::start().await;
    let base = up.url().to_string();
    let host = up.address().to_string();
    let rows = [
        ("plain", format!("{base}plain/-/plain-1.0.0.tgz")),
        ("relative", "relative/-/relative-1.0.0.tgz".to_owned()),
        ("rooted", "/rooted/-/rooted-1.0.0.tgz".to_owned()),
        ("escaped", format!("{base}%65scaped/-/escaped%2D1.0.0.tgz")),
        ("dotted", format!("{base}x/../dotted/-/./dotted-1.0.0.tgz")),
        ("shouting", format!("HTTP://{host}/shouting/-/shouting-1.0.0.tgz")),
        ("asking", format!("{base}asking/-/asking-1.0.0.tgz?token=abc#frag")),
        ("unusual", format!("{base}-/archive/unusual/download/1.0.0/unusual.tar.gz")),
    ];
    for (name, url) in &rows {
        up.npm(name).version("1.0.0", |version| version.tarball_url(url)).publish();
    }
    let bytes = up.tarball("unusual", "1.0.0").bytes();
    let path = "/-/archive/unusual/download/1.0.0/unusual.tar.gz";
    up.place(path, "application/octet-stream", bytes);
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:*"]);
    let npm = npm(&garth);
    for (name, url) in &rows {
        for accept in ["application/json", "application/vnd.npm.install-v1+json"] {
            let asked = Asked::get(&format!("/npm/{name}")).header("Accept", accept);
            let packument = garth.ask(&asked).await;
            let tarball = packument.json()["versions"]["1.0.0"]["dist"]["tarball"].clone();
            let ours = format!("{}/npm/{name}/-/{name}-1.0.0.tgz", garth.url);
            assert_eq!(tarball.as_str(), Some(ours.as_str()), "{url}");
            assert!(!packument.text().contains(&host), "{url}: {}", packument.text());
        }
        npm.must(&["install", name]);
        assert_eq!(npm.installed(name).as_deref(), Some("1.0.0"), "{url}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_whose_tarball_can_not_be_ours_is_left_out_and_said_so() {
    let urls = [
        "file:///etc/passwd",
        "javascript:alert(1)",
        "ftp://files.example.com/guest-2.0.0.tgz",
        "data:application/octet-stream;base64,AAAA",
        "http://",
        "http://[::1",
        "",
    ];
    for url in urls {
        let up = ScriptedUpstream::start().await;
        let guest = up.npm("guest").plain_version("1.0.0");
        guest.version("2.0.0", |version| version.tarball_url(url)).publish();
        let garth = setup(&up).start();
        garth.run(&["allow", "npm:guest"]);
        let packument = garth.get("/npm/guest").await.json();
        let versions: Vec<_> = packument["versions"].as_object().unwrap().keys().collect();
        assert_eq!(versions, ["1.0.0"], "{url:?}");
        assert_eq!(packument["dist-tags"]["latest"], "1.0.0", "{url:?}");
        assert_eq!(garth.get("/npm/guest/-/guest-2.0.0.tgz").await.status, 404, "{url:?}");
        assert_eq!(garth.get("/npm/guest/2.0.0").await.status, 404, "{url:?}");
        let log = garth.log();
        let said = log.lines().any(|line| line.contains("left out") && line.contains("2.0.0: "));
        assert!(said, "{url:?}: {log}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_contradict_their_promise_are_neither_installed_nor_kept() {
    let up = upstream().await;
    up.npm("large").version("1.0.0", |version| version.generated(2_000_000)).publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad", "npm:large"]);
    let npm = npm(&garth);
    for (name, file) in [("left-pad", "left-pad-1.3.0.tgz"), ("large", "large-1.0.0.tgz")] {
        let path = format!("/npm/{name}/-/{file}");
        let upstream_path = format!("/{name}/-/{file}");
        up.on(&upstream_path).other_bytes();
        for asked in [Asked::get(&path), Asked::get(&path).header("Range", "bytes=0-99")] {
            let answer = garth.ask(&asked).await;
            let came_whole = answer.status < 300 && answer.whole().is_some();
            assert!(!came_whole, "{asked:?}: {}", answer.status);
        }
        let printed = npm.must_fail(&["install", name]);
        assert_eq!(npm.installed(name), None, "{}", printed.text());
        up.heal();
        let answer = garth.get(&path).await;
        assert_eq!(answer.whole().map(|bytes| bytes.len()), Some(length_of(&up, name, file)));
    }
    assert!(garth.alarms("digest-mismatch").await >= 2);
    let refused = garth.log();
    assert!(refused.contains("are not the promised ones"), "{refused}");
}

fn length_of(up: &ScriptedUpstream, name: &str, file: &str) -> usize {
    let version = file.trim_start_matches(name).trim_start_matches('-').trim_end_matches(".tgz");
    usize::try_from(up.tarball(name, version).body.length()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transfer_that_breaks_upstream_is_never_whole_and_never_kept() {
    let up = upstream().await;
    up.npm("large").version("1.0.0", |version| version.generated(2_000_000)).publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad", "npm:large"]);
    let rows = [
        Fault::TruncateAfter(100),
        Fault::LengthTooLong(10),
        Fault::LengthTooShort(10),
        Fault::BrokenChunk,
        Fault::Garbage,
    ];
    for (name, file) in [("left-pad", "left-pad-1.3.0.tgz"), ("large", "large-1.0.0.tgz")] {
        for fault in &rows {
            up.on(&format!("/{name}/-/{file}")).fault(fault.clone());
            let answer = garth.get(&format!("/npm/{name}/-/{file}")).await;
            let came_whole = answer.status < 300 && answer.whole().is_some();
            assert!(!came_whole, "{name}, {fault:?}: {}", answer.status);
            up.heal();
        }
        up.on(&format!("/{name}/-/{file}")).html();
        let answer = garth.get(&format!("/npm/{name}/-/{file}")).await;
        assert_eq!(answer.status, 502, "{name}: {}", answer.text());
        up.heal();
        // The breaker may have opened; it closes again by itself.
        let asked = Asked::get(&format!("/npm/{name}/-/{file}"));
        let answer = garth.wait_for(&asked, |answer| answer.status == 200).await;
        assert_eq!(answer.whole().map(|bytes| bytes.len()), Some(length_of(&up, name, file)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_large_tarball_is_one_download_for_all_who_wait() {
    let up = upstream().await;
    up.npm("large").version("1.0.0", |version| version.generated(1_000_000)).publish();
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:large"]);
    garth.get("/npm/large").await;
    let path = "/large/-/large-1.0.0.tgz";
    up.on(path).dribble(100_000, Duration::from_millis(50));
    let asked = Asked::get("/npm/large/-/large-1.0.0.tgz");
    let all = futures_util::future::join_all((0..8).map(|_| garth.ask(&asked))).await;
    for answer in all {
        assert_eq!(answer.whole().map(|bytes| bytes.len()), Some(1_000_000));
    }
    assert_eq!(up.requests(path), 1);
}

/// The download had failed, its clients were gone, and for a moment others could still join it.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_right_behind_a_broken_transfer_does_not_join_it() {
    let up = upstream().await;
    let garth = setup(&up).start();
    garth.run(&["allow", "npm:left-pad"]);
    let upstream_path = "/left-pad/-/left-pad-1.3.0.tgz";
    let path = format!("/npm{upstream_path}");
    for round in 0..40 {
        up.on(upstream_path).times(1).fault(Fault::BrokenChunk);
        let broken = garth.get(&path).await;
        assert!(broken.status != 200 || broken.whole().is_none(), "round {round}");
        up.heal();
        up.on(upstream_path).html();
        let answer = garth.get(&path).await;
        // The breaker may be open by now, which is an answer too.
        assert_eq!(answer.status, 502, "round {round}: {}", answer.text());
        up.heal();
    }
}
