//! A real npm tarball: `package/…`, tar, gzip, the same bytes for the same content.

use std::io::Write as _;

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, SHA512, digest};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::answer::Body;
use super::generated::Generated;

/// What is served at a version's tarball URL, and what its packument promises.
#[derive(Clone, Debug)]
pub struct Tarball {
    /// Decoded, as in [`super::ScriptedUpstream::requests`].
    pub path: String,
    pub body: Body,
    /// `sha512-…`
    pub integrity: String,
    /// sha1 in hex; generated tarballs have none.
    pub shasum: Option<String>,
}

impl Tarball {
    pub fn of_bytes(path: String, bytes: Bytes) -> Self {
        let integrity = sri(digest(&SHA512, &bytes).as_ref());
        let shasum = hex::encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, &bytes));
        Self { path, body: Body::Bytes(bytes), integrity, shasum: Some(shasum) }
    }

    pub fn of_generated(path: String, generated: Generated) -> Self {
        let integrity = sri(&generated.sha512());
        Self { path, body: Body::Generated(generated), integrity, shasum: None }
    }

    /// All bytes; not for generated ones.
    pub fn bytes(&self) -> Bytes {
        match &self.body {
            Body::Bytes(bytes) => bytes.clone(),
            Body::Generated(_) => panic!("a generated tarball is never whole in memory"),
        }
    }
}

fn sri(sha512: &[u8]) -> String {
    format!("sha512-{}", BASE64_STANDARD.encode(sha512))
}

pub fn pack(files: &[(String, Vec<u8>)]) -> Bytes {
    let mut tar = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_mtime(499_162_500);
        header.set_cksum();
        tar.append_data(&mut header, format!("package/{path}"), content.as_slice())
            .expect("writing to memory does not fail");
    }
    let tar = tar.into_inner().expect("writing to memory does not fail");
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&tar).expect("writing to memory does not fail");
    gzip.finish().expect("writing to memory does not fail").into()
}
