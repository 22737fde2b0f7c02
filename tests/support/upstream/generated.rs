//! Bytes that are made when they are sent: objects larger than any memory should be.

use aws_lc_rs::digest::{Context, SHA256, SHA512};
use bytes::Bytes;

const BLOCK: u64 = 64 << 10;

/// The same bytes for the same length and seed, and any part of them at once: each block of
/// 64 KiB starts with its number, so that no two are alike.
#[derive(Clone, Debug)]
pub struct Generated {
    length: u64,
    block: Bytes,
}

impl Generated {
    pub fn new(length: u64, seed: u64) -> Self {
        // Any generator will do that does not compress or repeat within a block.
        let mut state = seed | 1;
        let block = (0..BLOCK)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_le_bytes()[0]
            })
            .collect::<Vec<u8>>();
        Self { length, block: block.into() }
    }

    pub fn length(&self) -> u64 {
        self.length
    }

    pub fn piece(&self, offset: u64, most: usize) -> Bytes {
        if offset >= self.length {
            return Bytes::new();
        }
        let number = offset / BLOCK;
        let inside = usize::try_from(offset % BLOCK).expect("a block fits into memory");
        let left = usize::try_from((self.length - offset).min(BLOCK)).expect("at most a block");
        let mut block = self.block.to_vec();
        block[..8].copy_from_slice(&number.to_le_bytes());
        let end = (inside + most.min(left)).min(block.len());
        Bytes::from(block).slice(inside..end)
    }

    /// All of it in memory; not for large ones.
    pub fn whole(&self) -> Bytes {
        let mut all = Vec::new();
        while (all.len() as u64) < self.length {
            all.extend_from_slice(&self.piece(all.len() as u64, usize::MAX >> 1));
        }
        all.into()
    }

    /// Reads it all once: some seconds for a few GiB.
    pub fn sha512(&self) -> Vec<u8> {
        self.digest(&SHA512)
    }

    pub fn sha256(&self) -> Vec<u8> {
        self.digest(&SHA256)
    }

    fn digest(&self, algorithm: &'static aws_lc_rs::digest::Algorithm) -> Vec<u8> {
        let mut context = Context::new(algorithm);
        let mut offset = 0;
        while offset < self.length {
            let piece = self.piece(offset, usize::MAX >> 1);
            context.update(&piece);
            offset += piece.len() as u64;
        }
        context.finish().as_ref().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_any_size_make_the_same_bytes() {
        let generated = Generated::new(200_001, 7);
        let whole = |most: usize| {
            let mut bytes = Vec::new();
            while (bytes.len() as u64) < generated.length() {
                bytes.extend_from_slice(&generated.piece(bytes.len() as u64, most));
            }
            bytes
        };
        assert_eq!(whole(usize::MAX >> 1), whole(777));
        assert_eq!(whole(777).len(), 200_001);
        assert_eq!(generated.sha256(), aws_lc_rs::digest::digest(&SHA256, &whole(1000)).as_ref());
        assert_ne!(generated.piece(0, 16), generated.piece(BLOCK, 16), "blocks differ");
    }
}
