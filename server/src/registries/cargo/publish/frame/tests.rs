#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use futures_util::stream;

use super::*;
use crate::blobs::BlobsOptions;
use crate::blobs::disk::{DiskBlobs, DiskOptions};

fn blobs_in(data: &Path) -> Blobs {
    let engine = Arc::new(DiskBlobs::open(data, DiskOptions::default()).unwrap());
    let alarm = Arc::new(|_: &policies::package::Digest, _: &str| {});
    Blobs::open(engine, data.join("stage"), alarm, BlobsOptions::default()).unwrap()
}

fn body(json: &[u8], archive: &[u8]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap().to_le_bytes();
    [&length(json), json, &length(archive), archive].concat()
}

/// JSON and sha256 of the crate, in pieces of this size.
async fn read(body: &[u8], piece: usize, is_broken: bool) -> Result<(Bytes, String), FrameError> {
    let data = tempfile::tempdir().unwrap();
    let blobs = blobs_in(data.path());
    let pieces = body.chunks(piece).map(|piece| Ok(Bytes::copy_from_slice(piece)));
    let end = is_broken.then_some(Err(PayloadError::Incomplete(None)));
    let mut frame = Frame::new(stream::iter(pieces.chain(end).collect::<Vec<_>>()));
    let json = frame.json().await?;
    let arrived = frame.archive(&blobs).await?;
    Ok((json, arrived.digests.sha256.hex()))
}

#[tokio::test]
async fn a_publish_arrives_whatever_the_pieces_are() {
    let archive: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    let sent = body(b"{\"name\":\"x\"}", &archive);
    let sum = policies::package::Digest::sha256_of(&archive).hex();
    for piece in [1, 3, 5, 4096, 1 << 20] {
        // A piece of a byte takes its time.
        let sent =
            if piece < 100 { body(b"{\"name\":\"x\"}", &archive[..500]) } else { sent.clone() };
        let sum = if piece < 100 {
            policies::package::Digest::sha256_of(&archive[..500]).hex()
        } else {
            sum.clone()
        };
        let (json, read) = read(&sent, piece, false).await.unwrap();
        assert_eq!((&*json, read), (&b"{\"name\":\"x\"}"[..], sum), "{piece}");
    }
}

#[tokio::test]
async fn lengths_that_lie_are_refused() {
    let whole = body(b"{}", b"crate");
    let refused = async |body: Vec<u8>, words: &str| {
        let fault = read(&body, 7, false).await.unwrap_err();
        assert!(matches!(&fault, FrameError::Malformed(why) if why.contains(words)), "{fault}");
    };
    for length in 0..whole.len() {
        refused(whole[..length].to_vec(), "ends before").await;
    }
    refused([&whole[..], b"x"].concat(), "goes on behind").await;
    let huge = u32::MAX.to_le_bytes();
    refused([&huge[..], b"{}"].concat(), "more than").await;
    refused([&JSON_AT_MOST.to_le_bytes()[..], b"{}"].concat(), "ends before").await;
    let json = [&2_u32.to_le_bytes()[..], b"{}"].concat();
    refused([&json[..], &huge, b"crate"].concat(), "ends before").await;
}

#[tokio::test]
async fn what_breaks_off_is_not_taken_for_its_end() {
    let whole = body(b"{}", b"crate");
    for length in 0..=whole.len() {
        let fault = read(&whole[..length], 7, true).await.unwrap_err();
        assert!(matches!(fault, FrameError::Broken), "{length}: {fault}");
    }
}
