//! What is sent to be imported: a file as it is, a directory's records as a tar archive.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream;
use parking_lot::Mutex;
use tokio::sync::mpsc;

use super::super::client::{Body, ClientError};
use crate::advisories::bundle::is_record;

/// Bytes that are read or sent at once.
const PIECE: usize = 256 << 10;
/// Pieces that may wait for the network.
const PIECES: usize = 4;
/// How deep a directory is looked into.
const DEPTH: usize = 32;

/// Why the bytes ended early, once they have.
#[derive(Clone, Debug, Default)]
pub struct Failure(Arc<Mutex<Option<String>>>);

impl Failure {
    pub fn take(&self) -> Option<String> {
        self.0.lock().take()
    }
}

/// The bytes of what lies at `path`, as they are read.
pub async fn body_of(path: &Path) -> Result<(Body, Failure), ClientError> {
    let unreadable = |error: &io::Error| ClientError::Unreadable {
        path: path.to_owned(),
        cause: error.to_string(),
    };
    let found = tokio::fs::metadata(path).await.map_err(|error| unreadable(&error))?;
    let failure = Failure::default();
    let (pieces, arriving) = mpsc::channel(PIECES);
    let (owned, told) = (path.to_owned(), failure.clone());
    tokio::task::spawn_blocking(move || {
        let mut sink = Sink { pieces, buffer: Vec::with_capacity(PIECE) };
        let sent = if found.is_dir() {
            send_records(&owned, &mut sink)
        } else {
            send_file(&owned, &mut sink)
        };
        if let Err(error) = sent.and_then(|()| sink.send()) {
            // Who is not heard any more need not be told why.
            if error.kind() != io::ErrorKind::BrokenPipe {
                *told.0.lock() = Some(error.to_string());
                let _gone = sink.pieces.blocking_send(Err(error));
            }
        }
    });
    let body = stream::unfold(arriving, |mut arriving| async move {
        arriving.recv().await.map(|piece| (piece, arriving))
    });
    Ok((Body::wrap_stream(body), failure))
}

/// Hands out what is written in pieces.
struct Sink {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    buffer: Vec<u8>,
}

impl Sink {
    fn send(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let piece = std::mem::replace(&mut self.buffer, Vec::with_capacity(PIECE));
        self.pieces.blocking_send(Ok(piece.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= PIECE {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[allow(clippy::disallowed_methods, reason = "runs on a blocking thread")]
fn send_file(path: &Path, sink: &mut Sink) -> io::Result<()> {
    let mut file = File::open(path)?;
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(()),
            read => sink.write_all(&buffer[..read])?,
        }
    }
}

fn send_records(root: &Path, sink: &mut Sink) -> io::Result<()> {
    let mut tar = tar::Builder::new(sink);
    send_directory(root, &mut PathBuf::new(), &mut tar, DEPTH)?;
    tar.into_inner().map(|_| ())
}

/// Links are not followed: they may lead out of it, or round and round.
#[allow(clippy::disallowed_methods, reason = "runs on a blocking thread")]
fn send_directory(
    root: &Path,
    below: &mut PathBuf,
    tar: &mut tar::Builder<&mut Sink>,
    depth: usize,
) -> io::Result<()> {
    if depth == 0 {
        return Err(io::Error::other(format!("{} is too deep", below.display())));
    }
    let entries = std::fs::read_dir(root.join(&*below)).map_err(|error| named(below, &error))?;
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        let kind = entry.file_type()?;
        below.push(&name);
        if kind.is_dir() {
            send_directory(root, below, tar, depth - 1)?;
        } else if kind.is_file() && is_record(&name.to_string_lossy()) {
            let mut file = File::open(entry.path()).map_err(|error| named(below, &error))?;
            let mut header = tar::Header::new_ustar();
            header.set_size(file.metadata()?.len());
            header.set_mode(0o644);
            tar.append_data(&mut header, &*below, &mut file)
                .map_err(|error| named(below, &error))?;
        }
        below.pop();
    }
    Ok(())
}

fn named(below: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", below.display()))
}
