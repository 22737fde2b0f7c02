//! Bodies that do not arrive, or not as announced.

use bytes::Bytes;
use server::upstream::{ArtifactTarget, UpstreamError};
use support::upstream::{Fault, Generated, ScriptedUpstream};
use tokio::time::Instant;

use super::{client, count, kind, left_pad, ms, read, settings};

#[tokio::test]
async fn a_body_arrives_whole_or_fails() {
    let (up, client) = left_pad().await;
    let path = up.tarball("left-pad", "1.3.0").path;
    for (name, fault, expected) in [
        ("truncated at once", Fault::TruncateAfter(0), "broken"),
        ("truncated", Fault::TruncateAfter(100), "broken"),
        ("shorter than announced", Fault::LengthTooLong(1), "broken"),
        ("broken framing", Fault::BrokenChunk, "broken"),
        ("stalled", Fault::StallAfter(100), "timed out"),
        ("a byte at a time", Fault::Dribble { bytes: 1, every: ms(20) }, "timed out"),
    ] {
        for document in [true, false] {
            let script = if document { "/left-pad" } else { path.as_str() };
            up.on(script).times(1).fault(fault.clone());
            let start = Instant::now();
            let outcome = if document {
                read(&client, "left-pad").await.map(|bytes| bytes.len() as u64)
            } else {
                let path = path.trim_start_matches('/').to_owned();
                match client.artifact(ArtifactTarget::Path(path)).await {
                    Ok(body) => count(body).await,
                    Err(error) => Err(error),
                }
            };
            let error = outcome.expect_err(name);
            assert_eq!(kind(&error), expected, "{name}: {error}");
            assert!(start.elapsed() < ms(5000), "{name} took {:?}", start.elapsed());
        }
    }
}

#[tokio::test]
async fn a_failed_body_stays_failed() {
    let (up, client) = left_pad().await;
    let path = up.tarball("left-pad", "1.3.0").path;
    up.on(&path).truncate_after(100);
    let target = ArtifactTarget::Path(path.trim_start_matches('/').to_owned());
    let mut body = client.artifact(target).await.unwrap();
    let mut first = None;
    for _ in 0..10 {
        if let Err(error) = body.chunk().await {
            first.get_or_insert(error.clone());
            assert_eq!(first.as_ref(), Some(&error));
        } else {
            assert_eq!(first, None, "no end after an error");
        }
    }
    assert!(first.is_some());
}

#[tokio::test]
async fn silence_before_the_headers_times_out() {
    let (up, client) = left_pad().await;
    up.on("/left-pad").times(1).silence();
    up.on("/left-pad").times(1).after(ms(8000)).serve();
    for _ in 0..2 {
        let start = Instant::now();
        let error = read(&client, "left-pad").await.expect_err("too late");
        assert!(matches!(&error, UpstreamError::TimedOut { since: Some(_), .. }), "{error}");
        assert!(start.elapsed() < ms(5000), "{:?}", start.elapsed());
    }
    up.on("/left-pad").times(1).after(ms(100)).serve();
    assert!(read(&client, "left-pad").await.is_ok(), "slow is not too slow");
}

#[tokio::test]
async fn steady_but_endless_is_cut_at_the_total_deadline() {
    let up = ScriptedUpstream::start().await;
    up.generate("/endless", Generated::new(1 << 20, 1));
    up.on("/endless").dribble(4096, ms(50));
    let mut settings = settings(&up);
    settings.deadlines.total_artifact = ms(3000);
    let client = client(settings);
    let start = Instant::now();
    let body = client.artifact(ArtifactTarget::Path("endless".to_owned())).await.unwrap();
    let error = count(body).await.expect_err("13 seconds at that pace");
    assert_eq!(kind(&error), "timed out");
    assert!(start.elapsed() < ms(6500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_slow_reader_on_our_side_is_not_a_slow_upstream() {
    let up = ScriptedUpstream::start().await;
    up.generate("/object", Generated::new(1 << 20, 1));
    let client = client(settings(&up));
    let mut body = client.artifact(ArtifactTarget::Path("object".to_owned())).await.unwrap();
    body.chunk().await.unwrap();
    tokio::time::sleep(ms(4000)).await;
    assert!(count(body).await.is_ok());
}

#[tokio::test]
async fn too_large_is_noticed_from_the_length_and_from_the_bytes() {
    let up = ScriptedUpstream::start().await;
    up.generate("/object", Generated::new(5 << 20, 1));
    up.place("/small", "application/json", "{}");
    let client = client(settings(&up));
    let error = client
        .artifact(ArtifactTarget::Path("object".to_owned()))
        .await
        .expect_err("5 MiB where 4 are allowed");
    assert_eq!(kind(&error), "too large");
    up.on("/small").times(1).gzip_bomb(64 << 20);
    let error = read(&client, "small").await.expect_err("64 MiB unpacked");
    assert_eq!(kind(&error), "too large");
}

#[tokio::test]
async fn bytes_beyond_the_announced_length_are_nobodys() {
    let (up, client) = left_pad().await;
    let forged = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 8\r\n\r\n\
                  {\"a\":66}";
    let honest = read(&client, "left-pad").await.unwrap();
    for _ in 0..20 {
        up.on("/left-pad").times(1).fault(Fault::Trailing(Bytes::from(forged)));
        assert_eq!(read(&client, "left-pad").await.unwrap(), honest);
        assert_eq!(read(&client, "left-pad").await.unwrap(), honest, "not the forged answer");
    }
    up.on("/left-pad").times(1).fault(Fault::LengthTooShort(10));
    let cut = read(&client, "left-pad").await.unwrap();
    assert_eq!(cut, honest[..honest.len() - 10], "as announced; the digest or the parser notices");
    assert_eq!(read(&client, "left-pad").await.unwrap(), honest);
}

#[tokio::test]
async fn a_large_object_streams_through() {
    let up = ScriptedUpstream::start().await;
    let object = Generated::new(64 << 20, 3);
    up.generate("/object", object.clone());
    let mut settings = settings(&up);
    settings.limits.artifact = 128 << 20;
    settings.deadlines.total_artifact = ms(20_000);
    let mut body =
        client(settings).artifact(ArtifactTarget::Path("object".to_owned())).await.unwrap();
    let mut hash = aws_lc_rs::digest::Context::new(&aws_lc_rs::digest::SHA256);
    while let Some(bytes) = body.chunk().await.unwrap() {
        hash.update(&bytes);
    }
    assert_eq!(hash.finish().as_ref(), object.sha256());
}
