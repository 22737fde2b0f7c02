//! Cold and warm: what is allowed arrives as it was published, and is fetched once.

use futures_util::future::join_all;
use support::http::Asked;

use super::FORMATS;

#[tokio::test(flavor = "multi_thread")]
async fn a_cold_object_is_fetched_once_and_a_warm_one_not_at_all() {
    for format in FORMATS {
        let up = format.upstream().await;
        let garth = format.setup(&up, "").start();
        garth.run(&["allow", format.package]);
        let bytes = (format.bytes)(&up);
        for outcome in ["miss", "hit"] {
            assert_eq!(garth.get(format.document.here).await.status, 200, "{}", format.name);
            let answer = garth.get(format.artifact.here).await;
            assert_eq!(answer.whole().as_deref(), Some(&*bytes), "{}, {outcome}", format.name);
            let line = garth.access_line(format.artifact.here).await;
            assert!(line.contains(&format!("cache=\"{outcome}\"")), "{}: {line}", format.name);
            garth.hold(format.artifact.here).await;
        }
        assert_eq!(up.requests(format.document.upstream), 1, "{}", format.name);
        assert_eq!(up.requests(format.artifact.upstream), 1, "{}", format.name);

        // Neither is asked for again by a server that was killed, nor by one without an upstream.
        let setup = garth.kill();
        up.go_offline();
        let garth = setup.start();
        assert_eq!(garth.get(format.document.here).await.status, 200, "{}", format.name);
        let answer = garth.get(format.artifact.here).await;
        assert_eq!(answer.whole().as_deref(), Some(&*bytes), "{}, after a kill", format.name);
        let line = garth.access_line(format.artifact.here).await;
        for expected in ["status=200", "decision=\"allow\"", "cache=\"hit\"", format.package] {
            assert!(line.contains(expected), "{}: no {expected} in {line}", format.name);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn many_clients_that_ask_for_one_cold_object_cause_one_request() {
    for format in FORMATS {
        let up = format.upstream().await;
        let garth = format.setup(&up, "").start();
        garth.run(&["allow", format.package]);
        let bytes = (format.bytes)(&up);
        let asked = Asked::get(format.artifact.here);
        let answers = join_all((0..100).map(|_| garth.ask(&asked))).await;
        for answer in answers {
            assert_eq!(answer.whole().as_deref(), Some(&*bytes), "{}", format.name);
        }
        assert_eq!(up.requests(format.document.upstream), 1, "{}", format.name);
        assert_eq!(up.requests(format.artifact.upstream), 1, "{}", format.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_and_ranges_are_answered_as_http_says() {
    for format in FORMATS {
        let (up, garth) = format.warm_garth().await;
        let bytes = (format.bytes)(&up);
        let etag_of = |answer: &support::edge::Answer| answer.header("etag").unwrap().to_owned();
        for path in [format.document.here, format.artifact.here] {
            let etag = etag_of(&garth.get(path).await);
            let asked = Asked::get(path).header("If-None-Match", &etag);
            let same = garth.ask(&asked).await;
            assert_eq!((same.status, same.body.len()), (304, 0), "{}: {path}", format.name);
            let other = garth.ask(&Asked::get(path).header("If-None-Match", "\"other\"")).await;
            assert_eq!(other.status, 200, "{}: {path}", format.name);
        }
        let length = bytes.len();
        let etag = etag_of(&garth.get(format.artifact.here).await);
        let last = format!("bytes={}-", length - 1);
        let rows: [(&str, u16, &[u8]); 8] = [
            ("bytes=0-9", 206, &bytes[..10]),
            ("bytes=5-5", 206, &bytes[5..6]),
            ("bytes=-7", 206, &bytes[length - 7..]),
            (&last, 206, &bytes[length - 1..]),
            ("bytes=0-99999999999999999999", 206, &bytes),
            ("bytes=99999999-", 416, b""),
            ("bytes=9-1", 200, &bytes),
            ("lines=0-9", 200, &bytes),
        ];
        for (range, status, expected) in rows {
            let asked = Asked::get(format.artifact.here).header("Range", range);
            for asked in [asked.clone(), asked.header("If-Range", &etag)] {
                let answer = garth.ask(&asked).await;
                // A range that ends beyond any number may also be no range at all.
                let tolerated = range.len() > 25 && answer.status == 200;
                assert!(answer.status == status || tolerated, "{range}: {}", answer.status);
                assert_eq!(answer.whole().as_deref(), Some(expected), "{}: {range}", format.name);
            }
        }
        let outdated = Asked::get(format.artifact.here).header("If-Range", "\"other\"");
        let answer = garth.ask(&outdated.header("Range", "bytes=0-9")).await;
        assert_eq!(answer.whole().as_deref(), Some(&*bytes), "{}: all of the newer", format.name);
    }
}
