//! Bytes that are not what was promised: none of them is kept, and no transfer of them ends well.

use support::upstream::{Fault, ScriptedUpstream};

use super::{Garden, eventually, ms, tarball_path};

type Scripting = fn(&ScriptedUpstream, &str);

/// What happens to a tarball on its way, and whether an alarm says so.
const TARBALLS: &[(&str, Scripting, bool)] = &[
    ("truncated", |up, path| up.on(path).times(1).truncate_after(100), false),
    ("more promised", |up, path| up.on(path).times(1).fault(Fault::LengthTooLong(7)), false),
    ("less promised", |up, path| up.on(path).times(1).fault(Fault::LengthTooShort(7)), true),
    ("other bytes", |up, path| up.on(path).times(1).other_bytes(), true),
    ("a login page", |up, path| up.on(path).times(1).html(), false),
    ("broken chunks", |up, path| up.on(path).times(1).fault(Fault::BrokenChunk), false),
];

async fn check_tarballs(bytes: u64) {
    for (name, script, alarms) in TARBALLS {
        let garden = Garden::start("", "").await;
        garden.up.npm("p").version("1.0.0", |version| version.generated(bytes)).publish();
        assert!(garden.client.get("/npm/p").await.is_whole());
        let kept = garden.blobs();
        let (path, upstream) = (tarball_path("p", "1.0.0"), "/p/-/p-1.0.0.tgz");

        script(&garden.up, upstream);
        // The transfer may break before its head is out.
        if let Ok(answer) = garden.client.try_get(&path).await {
            assert!(!answer.is_whole(), "{name}: {} and it ended well", answer.status);
            assert_ne!(answer.status, 404, "{name}");
        }
        assert_eq!(garden.blobs(), kept, "{name}: nothing is kept");
        let stage = garden.server.setup().data().join("stage");
        eventually("the stage is empty", ms(30_000), async || {
            std::fs::read_dir(&stage).unwrap().count() == 0
        })
        .await;
        let alarm = garden.client.metric("garth_alarms_total{kind=\"digest-mismatch\"}").await;
        assert_eq!(alarm, u64::from(*alarms), "{name}: alarms");
        let log = garden.server.log();
        assert!(log.contains("an artifact could not be fetched"), "{name}: {log}");

        for _ in 0..2 {
            let answer = garden.client.get(&path).await;
            assert!(answer.is_whole(), "{name}: then the truth, {}", answer.status);
            assert_eq!(answer.bytes().len() as u64, bytes, "{name}");
        }
        assert_eq!(garden.up.requests(upstream), 2, "{name}: the good one is kept");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_tarball_that_is_not_the_promised_one_is_an_error_and_not_kept() {
    check_tarballs(5_000).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_tarball_that_is_not_the_promised_one_breaks_off_and_is_not_kept() {
    check_tarballs(1_000_000).await;
}

/// The document lies and the tarball is what it always was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_promise_that_the_bytes_do_not_keep_is_502_with_both_digests_and_an_alarm() {
    let garden = Garden::start("", "").await;
    let other = "sha512-9/u6bgY2+JDlb7vzKD5STG+jIErimDgtYkdB0NxmODJuKCxBvl5CVNiCB3LFUYosWowMf37aGVlKfrU5RT4e1w==";
    garden.up.npm("p").version("1.0.0", |version| version.integrity(other)).publish();
    garden
        .up
        .npm("q")
        .version("1.0.0", |version| {
            version.without_integrity().shasum("0123456789012345678901234567890123456789")
        })
        .publish();
    for name in ["p", "q"] {
        assert!(garden.client.get(&format!("/npm/{name}")).await.is_whole());
        let kept = garden.blobs();
        let answer = garden.client.get(&tarball_path(name, "1.0.0")).await;
        assert_eq!(answer.status, 502, "{name}");
        let said = answer.json()["error"].as_str().unwrap().to_owned();
        assert!(said.contains("expected sha") && said.contains("got sha"), "{said}");
        assert_eq!(garden.blobs(), kept, "{name}: nothing is kept");
    }
    assert_eq!(garden.client.metric("garth_alarms_total{kind=\"digest-mismatch\"}").await, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_document_is_502_and_not_kept() {
    const DOCUMENTS: &[(&str, Scripting)] = &[
        ("a login page", |up, path| up.on(path).times(1).html()),
        ("the same called JSON", |up, path| up.on(path).times(1).html_called_json()),
        ("truncated", |up, path| up.on(path).times(1).truncate_after(60)),
        ("another package's", |up, path| {
            let other = r#"{"name":"other","versions":{},"dist-tags":{},"time":{}}"#;
            let body = support::upstream::Body::Bytes(other.into());
            up.on(path).times(1).answer(support::upstream::Answer::ok("application/json", body));
        }),
        ("an error with status 200", |up, path| {
            let body = support::upstream::Body::Bytes(r#"{"error":"try later"}"#.into());
            up.on(path).times(1).answer(support::upstream::Answer::ok("application/json", body));
        }),
        ("a bomb of 1000 to 1", |up, path| up.on(path).times(1).gzip_bomb(300 << 20)),
    ];
    for (name, script) in DOCUMENTS {
        let garden = Garden::start("", "").await;
        garden.up.npm("p").plain_version("1.0.0").publish();
        script(&garden.up, "/p");
        let answer = garden.client.get("/npm/p").await;
        assert_eq!(answer.status, 502, "{name}: {}", answer.text());
        assert!(garden.blobs().is_empty(), "{name}: nothing is kept");
        let again = garden.client.get("/npm/p").await;
        assert!(again.is_whole(), "{name}: {}", again.text());
        assert_eq!(again.json()["versions"]["1.0.0"]["name"], "p", "{name}");
    }
}

/// Broken bytes never replace good ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_document_that_turns_to_rubbish_leaves_the_good_one_in_place() {
    let garden = Garden::start("max_age = \"0s\"", "").await;
    garden.up.npm("p").plain_version("1.0.0").publish();
    assert!(garden.client.get("/npm/p").await.is_whole());
    let kept = garden.blobs();
    garden.up.on("/p").html_called_json();
    let answer = garden.client.get("/npm/p").await;
    assert!(answer.is_whole());
    assert_eq!(answer.json()["dist-tags"]["latest"], "1.0.0");
    assert!(answer.header("warning").is_some(), "marked as stale");
    assert_eq!(garden.blobs(), kept);
}
