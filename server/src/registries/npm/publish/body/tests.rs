#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::pin::Pin;
use std::sync::Arc;

use actix_web::FromRequest as _;
use actix_web::dev::Payload;
use actix_web::error::PayloadError;
use actix_web::test::TestRequest;
use base64::Engine as _;
use futures_util::stream::{self, Stream};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::blobs::BlobsOptions;
use crate::blobs::disk::{DiskBlobs, DiskOptions};

fn blobs_in(data: &Path) -> Blobs {
    let engine = Arc::new(DiskBlobs::open(data, DiskOptions::default()).unwrap());
    let alarm = Arc::new(|_: &policies::package::Digest, _: &str| {});
    Blobs::open(engine, data.join("stage"), alarm, BlobsOptions::default()).unwrap()
}

/// A body whose connection is lost behind these bytes.
async fn broken_behind(body: &[u8]) -> web::Payload {
    let lost = PayloadError::Incomplete(None);
    let pieces = vec![Ok(Bytes::copy_from_slice(body)), Err(lost)];
    let stream: Pin<Box<dyn Stream<Item = _>>> = Box::pin(stream::iter(pieces));
    let request = TestRequest::default().to_http_request();
    web::Payload::from_request(&request, &mut Payload::from(stream)).await.unwrap()
}

/// Reads a body in pieces of this size, on a thread that may block.
async fn read_in_pieces(body: &[u8], piece: usize) -> Result<Sent, BodyError> {
    let data = tempfile::tempdir().unwrap();
    let blobs = blobs_in(data.path());
    let (pieces, arriving) = mpsc::channel(1024);
    let files = Files { blobs, runtime: Handle::current() };
    let reading = tokio::task::spawn_blocking(move || {
        read(Arriving { pieces: arriving, rest: Bytes::new(), ended: false }, &files)
    });
    for piece in body.chunks(piece) {
        if pieces.send(Some(Bytes::copy_from_slice(piece))).await.is_err() {
            break;
        }
    }
    let _ = pieces.send(None).await;
    reading.await.unwrap()
}

#[tokio::test]
async fn a_file_arrives_whatever_the_pieces_are() {
    let content: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let data = STANDARD.encode(&content);
    let body = json!({
        "_attachments": { "x-1.0.0.tgz": { "length": 200_000, "data": data } },
        "name": "x",
        "unknown": [[[{ "deep": 1 }]]],
        "versions": { "1.0.0": { "name": "x", "deprecated": "y" } },
    });
    for piece in [7, 1024, 1 << 20] {
        let sent = read_in_pieces(body.to_string().as_bytes(), piece.max(700)).await.unwrap();
        let tarball = sent.tarball.unwrap();
        assert_eq!((tarball.digests.len, tarball.length), (200_000, Some(200_000)));
        assert_eq!(sent.name.as_deref(), Some("x"));
        assert_eq!(sent.versions[0].deprecated, Some("y".into()));
        assert_eq!(sent.manifest.unwrap()["name"], "x");
    }
}

#[tokio::test]
async fn a_transfer_that_breaks_is_told_as_that_wherever_it_breaks() {
    let data = tempfile::tempdir().unwrap();
    let blobs = blobs_in(data.path());
    let file = STANDARD.encode([7; 9000]);
    let body = json!({
        "_attachments": { "x-1.0.0.tgz": { "data": file } },
        "name": "x",
        "versions": { "1.0.0": { "name": "x", "scripts": { "test": "true" } } },
    });
    let body = body.to_string();
    // In the file, in a manifest, and behind the last brace.
    for cut in [0, 5, 6000, body.len() - 20, body.len() - 1, body.len()] {
        let fault =
            receive(&blobs, broken_behind(&body.as_bytes()[..cut]).await).await.unwrap_err();
        assert!(matches!(fault, BodyError::Broken), "behind {cut} bytes: {fault}");
    }
}

#[tokio::test]
async fn the_manifest_of_one_version_among_many_is_not_kept() {
    let body = json!({ "versions": { "1.0.0": { "a": 1 }, "2.0.0": {}, "3.0.0": { "deprecated": false } } });
    let sent = read_in_pieces(body.to_string().as_bytes(), 1000).await.unwrap();
    assert_eq!((sent.versions.len(), sent.manifest), (3, None));
    assert_eq!(sent.versions[2].deprecated, Some(false.into()));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]
    #[test]
    fn no_body_panics(text in "\\PC{0,200}|\\{(\"(name|versions|_attachments|readme)\":(\\{\\}|\"x\"|1|\\[\\]),?){0,4}\\}") {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let _ = runtime.block_on(read_in_pieces(text.as_bytes(), 16));
    }
}
