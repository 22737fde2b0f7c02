//! Reading without a thread where the bytes are in the page cache.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use bytes::Bytes;
use rustix::io::{Errno, ReadWriteFlags};

/// Between 1 and `max` bytes from `offset` on; empty at the end of the file. Never blocks the
/// executor: what is not in memory is read on a thread that may.
pub async fn pread(file: &Arc<File>, offset: u64, max: usize) -> io::Result<Bytes> {
    let mut bytes = vec![0; max];
    let read = {
        let mut slices = [IoSliceMut::new(&mut bytes)];
        rustix::io::preadv2(&**file, &mut slices, offset, ReadWriteFlags::NOWAIT)
    };
    match read {
        Ok(read) => {
            bytes.truncate(read);
            Ok(Bytes::from(bytes))
        }
        // Not in memory, or a file system that can not say.
        Err(Errno::AGAIN | Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL | Errno::INTR) => {
            let file = Arc::clone(file);
            tokio::task::spawn_blocking(move || {
                let read = loop {
                    match file.read_at(&mut bytes, offset) {
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        read => break read?,
                    }
                };
                bytes.truncate(read);
                Ok(Bytes::from(bytes))
            })
            .await
            .map_err(io::Error::other)?
        }
        Err(error) => Err(error.into()),
    }
}
