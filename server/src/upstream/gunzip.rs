//! Unpacking a gzipped document piece by piece, so that a bomb is noticed before it is unpacked.

use std::io::{self, Write};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

/// So much goes in at once: at deflate's largest ratio of about 1000, some 4 MiB come out.
const PIECE: usize = 4 << 10;

#[derive(Debug)]
pub struct Gunzip(MultiGzDecoder<Vec<u8>>);

#[derive(Debug)]
pub enum GunzipError {
    Corrupt(io::Error),
    TooLarge,
}

impl Gunzip {
    pub fn new() -> Self {
        Self(MultiGzDecoder::new(Vec::new()))
    }

    /// Unpacks `packed`; fails as soon as that makes more than `room` bytes.
    pub fn unpack(&mut self, packed: &[u8], room: u64) -> Result<Bytes, GunzipError> {
        for piece in packed.chunks(PIECE) {
            self.0.write_all(piece).map_err(GunzipError::Corrupt)?;
            self.check_room(room)?;
        }
        Ok(self.take())
    }

    /// The rest; an error if the stream is not complete.
    pub fn finish(&mut self, room: u64) -> Result<Bytes, GunzipError> {
        self.0.try_finish().map_err(GunzipError::Corrupt)?;
        self.check_room(room)?;
        Ok(self.take())
    }

    fn check_room(&self, room: u64) -> Result<(), GunzipError> {
        if self.0.get_ref().len() as u64 > room { Err(GunzipError::TooLarge) } else { Ok(()) }
    }

    fn take(&mut self) -> Bytes {
        Bytes::from(std::mem::take(self.0.get_mut()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
pub mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;

    pub fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    }

    fn unpacked(stream: &[u8], room: u64) -> Result<Vec<u8>, GunzipError> {
        let mut gunzip = Gunzip::new();
        let mut out = Vec::new();
        for piece in stream.chunks(7) {
            out.extend_from_slice(&gunzip.unpack(piece, room - out.len() as u64)?);
        }
        out.extend_from_slice(&gunzip.finish(room - out.len() as u64)?);
        Ok(out)
    }

    #[test]
    fn unpacks_what_was_packed_also_in_two_members() {
        let mut stream = packed(b"hello ");
        stream.extend(packed(b"world"));
        assert_eq!(unpacked(&stream, 100).unwrap(), b"hello world");
    }

    #[test]
    fn a_stream_that_stops_anywhere_is_corrupt() {
        let stream = packed(&b"0123456789".repeat(50));
        for length in 1..stream.len() {
            let result = unpacked(&stream[..length], 10_000);
            assert!(matches!(result, Err(GunzipError::Corrupt(_))), "{length}: {result:?}");
        }
    }

    #[test]
    fn a_flipped_bit_is_corrupt() {
        let mut stream = packed(&b"0123456789".repeat(50));
        let middle = stream.len() - 6;
        stream[middle] ^= 1;
        assert!(matches!(unpacked(&stream, 10_000), Err(GunzipError::Corrupt(_))));
    }

    #[test]
    fn a_bomb_stops_at_the_bound() {
        let bomb = packed(&vec![0; 64 << 20]);
        let mut gunzip = Gunzip::new();
        let result = gunzip.unpack(&bomb, 1 << 20);
        assert!(matches!(result, Err(GunzipError::TooLarge)));
        assert!(gunzip.0.get_ref().len() < 8 << 20, "stopped soon after the bound");
    }
}
