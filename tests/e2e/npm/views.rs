//! The views of a packument as they travel: packed, in parts, and not at all where the client has
//! them; and what is made anew when the rules change.

use std::io::Read as _;

use flate2::read::GzDecoder;
use serde_json::{Value, json};
use support::edge::Answer;
use support::http::Asked;
use support::server::TestServer;
use support::upstream::ScriptedUpstream;

use super::{registry, upstream};

const PACKUMENT: &str = "/npm/left-pad";
const ABBREVIATED: &str = "application/vnd.npm.install-v1+json";

/// A garth that allows `left-pad` and asks the upstream rarely.
async fn garth() -> (ScriptedUpstream, TestServer) {
    let up = upstream().await;
    let garth = registry(&up, "").start();
    garth.run(&["allow", "npm:left-pad"]);
    (up, garth)
}

pub fn unpacked(answer: &Answer) -> Vec<u8> {
    let body = answer.whole().unwrap();
    let mut text = Vec::new();
    match answer.header("content-encoding") {
        None => return body,
        Some("gzip") => {
            let mut decoder = GzDecoder::new(&body[..]);
            decoder.read_to_end(&mut text).unwrap();
            assert!(decoder.into_inner().is_empty(), "it is one member");
        }
        Some("zstd") => text = zstd::stream::decode_all(&body[..]).unwrap(),
        Some("br") => {
            brotli::BrotliDecompress(&mut &body[..], &mut text).unwrap();
        }
        Some(other) => panic!("nobody asked for {other}"),
    }
    text
}

fn packed(coding: &str) -> Asked {
    Asked::get(PACKUMENT).header("Accept-Encoding", coding)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_coding_holds_the_same_packument_and_head_says_so() {
    let (_up, garth) = garth().await;
    let plain = garth.get(PACKUMENT).await;
    assert_eq!(plain.header("content-encoding"), None);
    let mut etags = vec![plain.header("etag").unwrap().to_owned()];
    let codings = [("gzip, deflate, br, zstd", "gzip"), ("gzip;q=0.1, br", "br"), ("zstd", "zstd")];
    for (accepted, coding) in codings {
        let answer = garth.ask(&packed(accepted)).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("content-encoding"), Some(coding), "{accepted}");
        assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding, User-Agent"));
        assert_eq!(unpacked(&answer), plain.whole().unwrap(), "{coding}");
        let head = Asked::new("HEAD", PACKUMENT).header("Accept-Encoding", accepted);
        let head = garth.ask(&head).await;
        assert_eq!(head.status, 200);
        for name in ["content-length", "content-encoding", "etag", "vary", "content-type"] {
            assert!(head.header(name).is_some(), "{name}");
            assert_eq!(head.header(name), answer.header(name), "{name}");
        }
        etags.push(answer.header("etag").unwrap().to_owned());
    }
    etags.sort();
    etags.dedup();
    assert_eq!(etags.len(), 4, "each coding has its own tag: {etags:?}");
    let refused = garth.ask(&packed("identity;q=0, gzip;q=0.5")).await;
    assert_eq!(refused.header("content-encoding"), Some("gzip"));
}

#[tokio::test(flavor = "multi_thread")]
async fn little_is_sent_as_it_is() {
    let (_up, garth) = garth().await;
    let tags = Asked::get("/npm/-/package/left-pad/dist-tags");
    let answer = garth.ask(&tags.clone().header("Accept-Encoding", "gzip, br")).await;
    assert_eq!((answer.status, answer.header("content-encoding")), (200, None));
    let answer = garth.ask(&tags.header("Accept-Encoding", "gzip, identity;q=0")).await;
    assert_eq!(answer.header("content-encoding"), Some("gzip"), "unless that is not taken");
    assert_eq!(serde_json::from_slice::<Value>(&unpacked(&answer)).unwrap()["latest"], "1.3.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_the_view_in_any_coding_is_not_sent_it_again() {
    let (_up, garth) = garth().await;
    let mut etags = Vec::new();
    for coding in ["identity", "gzip", "zstd", "br"] {
        etags.push(garth.ask(&packed(coding)).await.header("etag").unwrap().to_owned());
    }
    for coding in ["identity", "gzip", "zstd", "br"] {
        for etag in &etags {
            for named in [etag.clone(), format!("W/{etag}"), format!("\"a\", {etag} ,\"b\"")] {
                let answer = garth.ask(&packed(coding).header("If-None-Match", &named)).await;
                assert_eq!(answer.status, 304, "{coding} {named}");
                assert_eq!(answer.header("etag"), Some(etag.as_str()), "the tag that it has");
                assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding, User-Agent"));
                assert!(answer.body.is_empty());
            }
        }
    }
    for other in ["\"0000\"", "\"0000-gzip\"", "-gzip", "\"-gzip\"", "\"\""] {
        let answer = garth.ask(&packed("gzip").header("If-None-Match", other)).await;
        assert_eq!(answer.status, 200, "{other}");
    }
    let abbreviated = packed("gzip").header("Accept", ABBREVIATED);
    let answer = garth.ask(&abbreviated.header("If-None-Match", &etags[1])).await;
    assert_eq!(answer.status, 200, "the other form is another document");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_view_is_a_part_of_its_packed_bytes() {
    let (_up, garth) = garth().await;
    let whole = garth.ask(&packed("gzip")).await;
    let (bytes, etag) = (whole.whole().unwrap(), whole.header("etag").unwrap().to_owned());
    let plain = garth.get(PACKUMENT).await.header("etag").unwrap().to_owned();
    let range = |range: &str| packed("gzip").header("Range", range);

    let part = garth.ask(&range("bytes=10-19")).await;
    assert_eq!((part.status, part.whole().unwrap()), (206, bytes[10..20].to_vec()));
    let expected = format!("bytes 10-19/{}", bytes.len());
    assert_eq!(part.header("content-range"), Some(expected.as_str()));
    assert_eq!(part.header("content-encoding"), Some("gzip"));
    assert_eq!(part.header("etag"), Some(etag.as_str()));

    let beyond = garth.ask(&range("bytes=9999999-")).await;
    assert_eq!(beyond.status, 416);
    let expected = format!("bytes */{}", bytes.len());
    assert_eq!(beyond.header("content-range"), Some(expected.as_str()));

    let same = garth.ask(&range("bytes=0-9").header("If-Range", &etag)).await;
    assert_eq!(same.status, 206);
    for other in [plain.as_str(), &format!("W/{etag}"), "Fri, 01 Jan 2100 00:00:00 GMT"] {
        let answer = garth.ask(&range("bytes=0-9").header("If-Range", other)).await;
        assert_eq!((answer.status, answer.whole().unwrap()), (200, bytes.clone()), "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_the_rules_is_in_the_next_view_and_leaves_the_others_alone() {
    let (_up, garth) = garth().await;
    let before = garth.ask(&packed("gzip")).await;
    let etag = before.header("etag").unwrap().to_owned();
    garth.run(&["deny", "npm:something-else"]);
    let answer = garth.ask(&packed("gzip").header("If-None-Match", &etag)).await;
    assert_eq!(answer.status, 304, "a rule of another package changes nothing of it");

    garth.run(&["deny", "npm:left-pad@1.2.0", "--name", "one"]);
    let answer = garth.ask(&packed("gzip").header("If-None-Match", &etag)).await;
    assert_eq!(answer.status, 200);
    let versions = |answer: &Answer| {
        let packument: Value = serde_json::from_slice(&unpacked(answer)).unwrap();
        packument["versions"].as_object().unwrap().len()
    };
    assert_eq!(versions(&answer), 2);

    garth.run(&["rules", "remove", "one"]);
    let answer = garth.ask(&packed("gzip")).await;
    assert_eq!((versions(&answer), answer.header("etag")), (3, Some(etag.as_str())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_is_kept_no_longer_than_its_rules() {
    let (up, garth) = garth().await;
    garth.run(&["deny", "npm:left-pad", "--name", "no"]);
    for round in 0..3 {
        let answer = garth.get(PACKUMENT).await;
        assert_eq!(answer.status, 403, "{round}");
        assert!(answer.text().contains("denied by the rule no"), "{}", answer.text());
        assert!(answer.header("garth-decision").unwrap().starts_with("deny; rule=\"no\""));
        assert!(garth.access_line(PACKUMENT).await.contains("deny"));
    }
    garth.run(&["rules", "remove", "no"]);
    assert_eq!(garth.get(PACKUMENT).await.status, 200);
    assert_eq!(up.requests("/left-pad"), 1);
}

/// So many versions with so much text each.
pub fn large_packument(versions: usize, text: usize) -> String {
    let mut all = serde_json::Map::new();
    let mut time = serde_json::Map::new();
    for n in 0..versions {
        let version = format!("1.{n}.0");
        let dist = json!({
            "tarball": format!("https://npm.example/huge/-/huge-{version}.tgz"),
            "shasum": format!("{n:040x}"),
        });
        let filler = format!("{n:08x}").repeat(text / 8);
        let manifest = json!({"name": "huge", "version": version, "filler": filler, "dist": dist});
        time.insert(version.clone(), json!("2024-01-01T00:00:00.000Z"));
        all.insert(version, manifest);
    }
    let latest = format!("1.{}.0", versions - 1);
    json!({"name": "huge", "dist-tags": {"latest": latest}, "versions": all, "time": time})
        .to_string()
}

fn memory(pid: u32, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with(field)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(flavor = "multi_thread")]
async fn a_packument_of_40_mb_is_a_stored_view_that_follows_the_rules() {
    let up = ScriptedUpstream::start().await;
    let document = large_packument(8000, 5000);
    assert!(document.len() > 40_000_000);
    up.place("/huge", "application/json", document);
    let garth = registry(&up, "").start();
    garth.run(&["allow", "npm:huge"]);
    let huge = Asked::get("/npm/huge").header("Accept-Encoding", "gzip");
    let versions = |answer: &Answer| {
        let packument: Value = serde_json::from_slice(&unpacked(answer)).unwrap();
        packument["versions"].as_object().unwrap().len()
    };
    let answer = garth.ask(&huge).await;
    assert_eq!((answer.status, versions(&answer)), (200, 8000));
    garth.run(&["deny", "npm:huge@1.4000.0"]);
    let answer = garth.ask(&huge).await;
    assert_eq!((answer.status, versions(&answer)), (200, 7999));
    let most = memory(garth.pid(), "VmHWM");
    assert!(most < 400, "{most} MB for a document of 40 MB");

    let latest = garth.get("/npm/huge/latest").await;
    assert_eq!(latest.json()["version"], "1.7999.0");

    // What has been made is served from memory, without the document.
    let shard = garth.setup().data().join("blobs");
    std::fs::rename(&shard, shard.with_extension("gone")).unwrap();
    for _ in 0..20 {
        assert_eq!(garth.ask(&huge).await.header("etag"), answer.header("etag"));
        let again = garth.get("/npm/huge/latest").await;
        assert_eq!((again.status, again.header("etag")), (200, latest.header("etag")));
    }
    std::fs::rename(shard.with_extension("gone"), &shard).unwrap();
    assert_eq!(up.requests("/huge"), 1);
}
