//! The socket under HTTP and TLS, which notes what the client sends and takes, and the transport
//! above it, which hands on one request at a time.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;

use super::connections::Connection;
use super::turns::Framing;
use crate::observability::CloseReason;

pub(super) struct Socket {
    tcp: TcpStream,
    connection: Arc<Connection>,
}

impl Socket {
    /// `user_timeout` bounds how long sent bytes may stay unacknowledged.
    pub(super) fn new(
        tcp: TcpStream,
        connection: Arc<Connection>,
        user_timeout: Duration,
    ) -> io::Result<Self> {
        // A body that follows its head would wait 40 ms for an acknowledgement.
        tcp.set_nodelay(true)?;
        let socket = SockRef::from(&tcp);
        socket.set_tcp_user_timeout(Some(user_timeout))?;
        socket.set_tcp_keepalive(
            &TcpKeepalive::new()
                .with_time(Duration::from_secs(30))
                .with_interval(Duration::from_secs(10)),
        )?;
        Ok(Self { tcp, connection })
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let ended_well = matches!(
            self.connection.condemned(),
            None | Some(CloseReason::Idle | CloseReason::Stopping)
        );
        if !ended_well {
            // Reset: the kernel shall not go on offering bytes to a client that does not read.
            // A socket that is gone already needs no reset.
            let _gone = SockRef::from(&self.tcp).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let result = Pin::new(&mut self.tcp).poll_read(cx, buffer);
        if result.is_ready() && buffer.filled().len() > before {
            self.connection.bytes_came();
        }
        result
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.tcp).poll_write(cx, bytes);
        self.note_write(&result);
        result
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.tcp).poll_write_vectored(cx, bytes);
        self.note_write(&result);
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}

impl Socket {
    fn note_write(&self, result: &Poll<io::Result<usize>>) {
        match result {
            Poll::Ready(Ok(count)) => self.connection.bytes_went(*count),
            Poll::Ready(Err(_)) => {}
            Poll::Pending => self.connection.write_blocked(),
        }
    }
}

/// What HTTP is spoken over.
pub(super) struct Transport {
    over: Over,
    /// Absent where requests are multiplexed, each with a place of its own.
    turns: Option<Turns>,
}

enum Over {
    Plain(Socket),
    Tls(Box<TlsStream<Socket>>),
}

/// Whose turn it is; see [`super::turns`].
#[derive(Default)]
struct Turns {
    framing: Framing,
    /// Requests that were handed on whole.
    handed_on: u64,
    /// What came behind the one whose turn it is.
    held: BytesMut,
    /// The client sends no more.
    ended: bool,
}

/// Of what a client sends before its turn so much is taken from the network.
const HELD_AT_MOST: usize = 16 * 1024;

impl Transport {
    pub(super) fn plain(socket: Socket) -> Self {
        Self { over: Over::Plain(socket), turns: Some(Turns::default()) }
    }

    pub(super) fn tls(stream: TlsStream<Socket>, multiplexed: bool) -> Self {
        let turns = (!multiplexed).then(Turns::default);
        Self { over: Over::Tls(Box::new(stream)), turns }
    }

    pub(super) fn connection(&self) -> &Arc<Connection> {
        self.over.connection()
    }
}

impl Over {
    fn connection(&self) -> &Arc<Connection> {
        match self {
            Self::Plain(socket) => &socket.connection,
            Self::Tls(stream) => &stream.get_ref().0.connection,
        }
    }

    fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl Turns {
    fn poll_read(
        &mut self,
        over: &mut Over,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.framing.is_done() {
            if over.connection().poll_answered(self.handed_on, cx).is_pending() {
                return self.poll_wait(over, cx);
            }
            self.framing.next();
        }
        if !self.held.is_empty() {
            let offered = self.held.len().min(buffer.remaining());
            let taken = self.take(offered);
            buffer.put_slice(&self.held[..taken]);
            self.held.advance(taken);
            return Poll::Ready(Ok(()));
        }
        if self.ended {
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        ready!(over.poll_read(cx, buffer))?;
        let taken = self.framing.take(&mut buffer.filled_mut()[before..]);
        self.held.extend_from_slice(&buffer.filled()[before + taken..]);
        buffer.set_filled(before + taken);
        self.count();
        Poll::Ready(Ok(()))
    }

    /// Hands on nothing. What comes meanwhile is held, so that it is seen when the client goes.
    fn poll_wait(&mut self, over: &mut Over, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.ended && self.held.len() < HELD_AT_MOST {
            let mut space = [0; 4096];
            let mut came = ReadBuf::new(&mut space);
            ready!(over.poll_read(cx, &mut came))?;
            self.ended = came.filled().is_empty();
            self.held.extend_from_slice(came.filled());
        }
        if self.ended && self.held.is_empty() { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    fn take(&mut self, offered: usize) -> usize {
        let taken = self.framing.take(&mut self.held[..offered]);
        self.count();
        taken
    }

    fn count(&mut self) {
        self.handed_on += u64::from(self.framing.is_done());
    }
}

macro_rules! either {
    ($self:ident, $method:ident $(, $argument:expr)*) => {
        match &mut $self.get_mut().over {
            Over::Plain(socket) => Pin::new(socket).$method($($argument),*),
            Over::Tls(stream) => Pin::new(stream).$method($($argument),*),
        }
    };
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { over, turns } = self.get_mut();
        match turns {
            Some(turns) => turns.poll_read(over, cx, buffer),
            None => over.poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write, cx, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        either!(self, poll_write_vectored, cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        match &self.over {
            Over::Plain(socket) => socket.is_write_vectored(),
            Over::Tls(stream) => stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_flush, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        either!(self, poll_shutdown, cx)
    }
}
