//! Several digests of the same bytes, in one pass.

use aws_lc_rs::digest::{Context, SHA512};
use policies::package::{Algorithm, Digest};
use sha1::Sha1;
use sha2::{Digest as _, Sha256};

use super::Digests;

pub struct Hashes {
    sha256: Sha256,
    sha1: Option<Sha1>,
    /// By far the slowest of them, and much faster here than in `sha2`.
    sha512: Option<Context>,
}

impl Hashes {
    pub fn new(also: &[Algorithm]) -> Self {
        Self {
            sha256: Sha256::new(),
            sha1: also.contains(&Algorithm::Sha1).then(Sha1::new),
            sha512: also.contains(&Algorithm::Sha512).then(|| Context::new(&SHA512)),
        }
    }

    pub fn update(&mut self, piece: &[u8]) {
        self.sha256.update(piece);
        if let Some(hash) = &mut self.sha1 {
            hash.update(piece);
        }
        if let Some(hash) = &mut self.sha512 {
            hash.update(piece);
        }
    }

    pub fn digests(&self, len: u64) -> Digests {
        let sha256 = digest(Algorithm::Sha256, &self.sha256.clone().finalize());
        let sha1 = self.sha1.clone().map(|hash| digest(Algorithm::Sha1, &hash.finalize()));
        let sha512 =
            self.sha512.clone().map(|hash| digest(Algorithm::Sha512, hash.finish().as_ref()));
        Digests { sha256, others: sha1.into_iter().chain(sha512).collect(), len }
    }
}

fn digest(algorithm: Algorithm, bytes: &[u8]) -> Digest {
    Digest::new(algorithm, bytes).expect("a hash gives as many bytes as its algorithm has")
}
