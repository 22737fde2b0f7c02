//! Upstreams that are silent or slow: every wait has an end, and nobody else waits.

use support::upstream::ScriptedUpstream;
use tokio::time::Instant;

use super::{Garden, ms, tarball_path};

const SHORT: &str = "[upstream]\nconnect_timeout = \"3s\"\nheader_timeout = \"3s\"\nidle_timeout = \"3s\"\n\
                     document_timeout = \"9s\"\nartifact_timeout = \"12s\"\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_and_a_byte_a_second_end_within_the_deadlines_and_hold_up_nobody() {
    type Scripting = fn(&ScriptedUpstream);
    let document = "/npm/slow".to_owned();
    let (small, large) = (tarball_path("small", "1.0.0"), tarball_path("large", "1.0.0"));
    let scripts: &[(&str, Scripting, &str)] = &[
        ("a silent document", |up| up.on("/slow").silence(), &document),
        ("a document a byte a second", |up| up.on("/slow").dribble(1, ms(1000)), &document),
        ("a document that stops", |up| up.on("/slow").stall_after(50), &document),
        ("a silent tarball", |up| up.on("/small/-/small-1.0.0.tgz").silence(), &small),
        (
            "a small tarball a byte a second",
            |up| up.on("/small/-/small-1.0.0.tgz").dribble(1, ms(1000)),
            &small,
        ),
        (
            "a large tarball a byte a second",
            |up| up.on("/large/-/large-1.0.0.tgz").dribble(1, ms(1000)),
            &large,
        ),
        (
            "a large tarball that stops",
            |up| up.on("/large/-/large-1.0.0.tgz").stall_after(400_000),
            &large,
        ),
    ];
    let mut rows = Vec::new();
    for (name, script, path) in scripts {
        rows.push(check(name, *script, path));
    }
    futures_util::future::join_all(rows).await;
}

async fn check(name: &str, script: fn(&ScriptedUpstream), path: &str) {
    let garden = Garden::start("", SHORT).await;
    for package in ["slow", "small", "other", "held"] {
        garden.up.npm(package).plain_version("1.0.0").publish();
    }
    garden.up.npm("large").version("1.0.0", |version| version.generated(1_000_000)).publish();
    for package in ["small", "large", "held"] {
        assert!(garden.client.get(&format!("/npm/{package}")).await.is_whole());
    }
    script(&garden.up);
    let (client, path) = (garden.client.clone(), path.to_owned());
    let start = Instant::now();
    let slow = tokio::spawn(async move { client.try_get(&path).await });
    let mut meanwhile = 0;
    while !slow.is_finished() {
        for path in ["/npm/held", "/npm/other", "/healthz"] {
            assert!(garden.client.get(path).await.is_whole(), "{name}: {path} meanwhile");
        }
        meanwhile += usize::from(!slow.is_finished());
        tokio::time::sleep(ms(50)).await;
    }
    assert!(meanwhile > 1, "{name}: the others waited too");
    let took = start.elapsed();
    // Far below the deadlines of a server without these settings, on however busy a machine.
    assert!(took < ms(25_000), "{name}: {took:?}");
    // The transfer may break before its head is out.
    let Ok(answer) = slow.await.unwrap() else { return };
    match answer.status {
        504 | 502 => {
            let said = answer.json()["error"].as_str().unwrap().to_owned();
            assert!(said.contains("upstream npm"), "{name}: {said}");
        }
        200 => assert!(answer.body.is_err(), "{name}: it ended well"),
        other => panic!("{name}: {other}"),
    }
}
