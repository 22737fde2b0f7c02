//! Four answers that are never one dressed as another: absent, refused, upstream failed, and here.

use futures_util::future::join_all;
use support::http::Asked;
use support::upstream::{Answer, Body, Fault};

use super::FORMATS;

#[tokio::test(flavor = "multi_thread")]
async fn what_the_upstream_does_not_have_is_404_and_asked_for_once() {
    for format in FORMATS {
        let up = format.upstream().await;
        let garth = format.setup(&up, "").start();
        garth.run(&["allow", "*"]);
        for round in 0..2 {
            for path in format.unknown {
                let answer = garth.get(path).await;
                assert_eq!(answer.status, 404, "{}: {path}: {}", format.name, answer.text());
                assert!(answer.text().contains("unknown at "), "{}", answer.text());
            }
            if round == 0 {
                up.forget_requests();
            }
        }
        assert_eq!(up.total_requests(), 0, "{}: {:?}", format.name, up.recorded());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn corrupt_bytes_break_the_transfer_and_are_not_kept() {
    for format in FORMATS {
        let (up, garth) = format.garth().await;
        up.on(format.artifact.upstream).other_bytes();
        for _ in 0..2 {
            let answer = garth.get(format.artifact.here).await;
            let came_whole = answer.status < 300 && answer.whole().is_some();
            assert!(!came_whole, "{}: {}", format.name, answer.status);
        }
        assert!(garth.alarms("digest-mismatch").await >= 1, "{}", format.name);
        assert_eq!(up.requests(format.artifact.upstream), 2, "nothing was kept of the first");
        up.heal();
        let answer = garth.get(format.artifact.here).await;
        assert_eq!(answer.whole().as_deref(), Some(&*(format.bytes)(&up)), "{}", format.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_no_document_is_502_and_not_kept() {
    for format in FORMATS {
        let (up, garth) = format.garth().await;
        let error = Body::Bytes("{\"error\":\"try later\"}".into());
        let faults = [
            Fault::Instead(Answer::ok("text/html", Body::Bytes("<p>Please log in</p>".into()))),
            Fault::Instead(Answer::ok("application/json", Body::Bytes("<p>No</p>".into()))),
            Fault::Instead(Answer::ok("application/json", error)),
            Fault::TruncateAfter(20),
            Fault::OtherBytes,
        ];
        for fault in faults {
            up.on(format.document.upstream).fault(fault);
            let answer = garth.get(format.document.here).await;
            assert_eq!(answer.status, 502, "{}: {}", format.name, answer.text());
            up.heal();
        }
        let asked = Asked::get(format.document.here);
        garth.wait_for(&asked, |answer| answer.status == 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_the_upstream_is_down_what_is_held_is_served_and_marked_as_stale() {
    for format in FORMATS {
        let (up, garth) = format.warm_garth().await;
        let fresh = garth.get(format.document.here).await;
        assert_eq!(fresh.header("warning"), None, "{}", format.name);
        up.go_offline();
        for _ in 0..3 {
            let answer = garth.get(format.document.here).await;
            assert_eq!(answer.status, 200, "{}: {}", format.name, answer.text());
            assert_eq!(answer.whole(), fresh.whole(), "{}", format.name);
            let age: u64 = answer.header("age").expect("an age").parse().unwrap();
            assert!(age < 60, "{}: {age}", format.name);
            let warning = answer.header("warning").expect("a warning");
            assert!(warning.starts_with("111 "), "{}: {warning}", format.name);
        }
        let line = garth.access_line(format.document.here).await;
        assert!(line.contains("cache=\"stale\""), "{}: {line}", format.name);
        let artifact = garth.get(format.artifact.here).await;
        assert_eq!(artifact.whole().as_deref(), Some(&*(format.bytes)(&up)), "{}", format.name);
        // The gate counts for it as ever.
        garth.run(&["deny", format.package]);
        let document = garth.get(format.document.here).await;
        assert_eq!(document.status, format.refused_document(), "{}", format.name);
        assert_eq!(garth.get(format.artifact.here).await.status, 403, "{}", format.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_older_than_the_limit_is_not_served_as_stale() {
    for format in FORMATS {
        let up = format.upstream().await;
        let garth = format.setup(&up, "max_age = \"0s\"\nmax_stale = \"1s\"").start();
        garth.run(&["allow", format.package]);
        assert_eq!(garth.get(format.document.here).await.status, 200, "{}", format.name);
        up.go_offline();
        let asked = Asked::get(format.document.here);
        let answer = garth.wait_for(&asked, |answer| answer.status != 200).await;
        assert_eq!(answer.status, 502, "{}: {}", format.name, answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn with_nothing_held_an_upstream_that_is_down_is_502_with_its_name_and_since_when() {
    for format in FORMATS {
        let (up, garth) = format.garth().await;
        up.go_offline();
        let mut answer = garth.get(format.document.here).await;
        for _ in 0..3 {
            assert_eq!(answer.status, 502, "{}: {}", format.name, answer.text());
            let text = answer.text();
            assert!(text.contains(&format!("the upstream {}", format.name)), "{text}");
            assert!(text.contains(" since 20"), "{}: since when? {text}", format.name);
            answer = garth.get(format.artifact.here).await;
        }
        up.go_online();
        // The breaker closes by itself.
        let asked = Asked::get(format.artifact.here);
        garth.wait_for(&asked, |answer| answer.status == 200).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_upstream_is_504() {
    for format in FORMATS {
        let up = format.upstream().await;
        let setup = format.setup(&up, "max_age = \"0s\"");
        let garth = setup.with_env("GARTH_UPSTREAM_HEADER_TIMEOUT", "1s").start();
        garth.run(&["allow", format.package]);
        up.everywhere().silence();
        let answer = garth.get(format.document.here).await;
        assert_eq!(answer.status, 504, "{}: {}", format.name, answer.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rate_limit_is_passed_on_and_what_is_held_is_served_meanwhile() {
    for format in FORMATS {
        let (up, garth) = format.garth().await;
        up.everywhere().rate_limit(Some("7"));
        for path in [format.document.here, format.artifact.here] {
            let answer = garth.get(path).await;
            assert_eq!(answer.status, 429, "{}: {path}: {}", format.name, answer.text());
            let pause: u64 = answer.header("retry-after").expect("a pause").parse().unwrap();
            assert!((1..=7).contains(&pause), "{}: {pause}", format.name);
        }

        let (up, garth) = format.warm_garth().await;
        up.everywhere().rate_limit(None);
        assert_eq!(garth.get(format.document.here).await.status, 200, "{}", format.name);
        assert_eq!(garth.get(format.artifact.here).await.status, 200, "{}", format.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_fails_is_502_and_what_is_held_is_served_as_stale() {
    for format in FORMATS {
        // What is tried again waits in between, and not for the others.
        let all = [500, 502, 503].map(|status| {
            tokio::spawn(async move {
                let (up, garth) = format.garth().await;
                up.everywhere().status(status);
                for path in [format.document.here, format.artifact.here] {
                    let answer = garth.get(path).await;
                    assert_eq!(answer.status, 502, "{}: {status}: {}", format.name, answer.text());
                }
            })
        });
        for asked in join_all(all).await {
            asked.unwrap();
        }
        let (up, garth) = format.warm_garth().await;
        up.everywhere().status(503);
        let answer = garth.get(format.document.here).await;
        assert_eq!(answer.status, 200, "{}", format.name);
        assert!(answer.header("warning").is_some(), "{}", format.name);
        assert_eq!(garth.get(format.artifact.here).await.status, 200, "{}", format.name);
    }
}

/// An upstream that refuses us has not said that there is no such package.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_that_refuses_us_is_502_and_never_404() {
    for format in FORMATS {
        for status in [401, 403] {
            let (up, garth) = format.garth().await;
            up.everywhere().status(status);
            let answer = garth.get(format.document.here).await;
            assert_eq!(answer.status, 502, "{}: {status}: {}", format.name, answer.text());
        }
    }
}
