//! A blob's bytes for a thread that may block, and what went wrong with the blob: that is no fault
//! of what lies in it.

use std::io::{self, Read};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::{Buf as _, Bytes};
use futures_util::stream::{Stream, StreamExt as _};
use tokio::runtime::Handle;

use crate::blobs::{BlobError, BlobReader};

/// Blocks at each read.
pub struct Packed {
    pieces: Pin<Box<dyn Stream<Item = Result<Bytes, BlobError>> + Send>>,
    piece: Bytes,
    runtime: Handle,
    stopping: Arc<AtomicBool>,
    /// Why there is no more, if that is not its end.
    broken: Option<Broken>,
}

enum Broken {
    Stopping,
    Blob(BlobError),
}

impl Packed {
    pub fn new(blob: &BlobReader, runtime: Handle, stopping: Arc<AtomicBool>) -> Self {
        let pieces = Box::pin(blob.stream(0..blob.len()).fuse());
        Self { pieces, piece: Bytes::new(), runtime, stopping, broken: None }
    }

    /// Whether it was there to its end, where a damaged blob is found out.
    pub fn finish(mut self) -> Result<bool, BlobError> {
        while self.next_piece() {}
        match self.broken {
            None => Ok(true),
            Some(Broken::Stopping) => Ok(false),
            Some(Broken::Blob(fault)) => Err(fault),
        }
    }

    /// Whether there is one.
    fn next_piece(&mut self) -> bool {
        if self.broken.is_some() {
            return false;
        }
        if self.stopping.load(Ordering::Relaxed) {
            self.broken = Some(Broken::Stopping);
            return false;
        }
        match self.runtime.block_on(self.pieces.next()) {
            Some(Ok(piece)) => self.piece = piece,
            Some(Err(fault)) => self.broken = Some(Broken::Blob(fault)),
            None => return false,
        }
        self.broken.is_none()
    }
}

impl Read for Packed {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            if !self.next_piece() {
                return match self.broken {
                    None => Ok(0),
                    Some(_) => Err(io::Error::other("its bytes can not be had")),
                };
            }
        }
        let length = out.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut out[..length]);
        Ok(length)
    }
}

#[cfg(test)]
mod tests;
