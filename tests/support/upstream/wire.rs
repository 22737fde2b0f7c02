//! A connection, with or without TLS, that can also end rudely.

use std::io;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

pub enum Wire {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer).await,
            Self::Tls(stream) => stream.read(buffer).await,
        }
    }

    /// Written and on its way, not waiting for more.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.write_all(bytes).await,
            Self::Tls(stream) => {
                stream.write_all(bytes).await?;
                stream.flush().await
            }
        }
    }

    /// Ends in order: what was sent arrives first.
    pub async fn close(mut self) {
        // The other side may have left already.
        let _ = match &mut self {
            Self::Plain(stream) => stream.shutdown().await,
            Self::Tls(stream) => stream.shutdown().await,
        };
    }

    /// Ends with a reset.
    pub fn reset(self) {
        reset(match &self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => stream.get_ref().0,
        });
    }
}

/// Makes the coming drop of the stream a reset.
pub fn reset(stream: &TcpStream) {
    // On a socket that is gone already there is nothing left to reset.
    let _ = set_socket_linger(stream, Some(Duration::ZERO));
}
