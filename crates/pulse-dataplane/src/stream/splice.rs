//! Bytes between a stream socket and a stream of a session.
//!
//! Invariant: an end of one direction travels as an end, a failure of either as a failure of both, so that the
//! far program sees what the near one did (FIN or RST).

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use quinn::{RecvStream, SendStream};
use socket2::{Domain, SockRef};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};

use super::pipe::Pipe;

/// Buffers start small, so that thousands of idle streams cost little, and double while reads fill them.
const SMALLEST: usize = 16 << 10;

/// One system call moves at most this much; `read` into it is twice as fast as quinn's packet-sized chunks.
const LARGEST: usize = 256 << 10;

/// A connected stream socket of this machine.
#[derive(Debug)]
pub enum Local {
    /// IPv4 or IPv6.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

/// Bytes moved so far.
#[derive(Debug, Default)]
pub struct Moved {
    sent: AtomicU64,
    received: AtomicU64,
}

impl Local {
    /// Take a connected TCP or Unix stream socket into the runtime.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        let socket = SockRef::from(&fd);
        socket.set_nonblocking(true)?;
        if socket.local_addr()?.domain() == Domain::UNIX {
            return UnixStream::from_std(fd.into()).map(Self::Unix);
        }
        // The far program's own batching decides; ours would only add delay.
        socket.set_tcp_nodelay(true)?;
        // Closed in whatever way but by `end`, it is reset: also if this process is killed.
        socket.set_linger(Some(Duration::ZERO))?;
        TcpStream::from_std(fd.into()).map(Self::Tcp)
    }

    /// Make closing it an end instead of a reset.
    fn end(&self) {
        if let Self::Tcp(stream) = self {
            let _ = SockRef::from(stream).set_linger(None);
        }
    }
}

impl Moved {
    /// Bytes from the socket to the stream, and from the stream to the socket.
    pub fn both(&self) -> (u64, u64) {
        (self.sent.load(Ordering::Relaxed), self.received.load(Ordering::Relaxed))
    }
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// Both directions by themselves, and the peer has all that we sent.
    Whole,
    /// Something failed, here or there.
    Broken,
    /// By an order.
    Cancelled,
}

/// Move bytes until both directions ended, one failed, or `cancelled` resolved.
pub async fn splice(mut local: Local, mut pipe: Pipe, moved: &Moved, cancelled: impl Future<Output = ()>) -> Ending {
    let moving = async {
        match &mut local {
            Local::Tcp(stream) => {
                let (read, write) = stream.split();
                both(read, write, &mut pipe, moved).await
            }
            Local::Unix(stream) => {
                let (read, write) = stream.split();
                both(read, write, &mut pipe, moved).await
            }
        }
    };
    let outcome = tokio::select! {
        outcome = moving => outcome,
        () = cancelled => return Ending::Cancelled,
    };
    if outcome.is_err() {
        return Ending::Broken;
    }
    local.end();
    if pipe.finish().await { Ending::Whole } else { Ending::Broken }
}

async fn both(
    read: impl AsyncRead + Unpin,
    write: impl AsyncWrite + Unpin,
    pipe: &mut Pipe,
    moved: &Moved,
) -> io::Result<()> {
    let broken = broken(&pipe.send);
    let out = outward(read, &mut pipe.send, &moved.sent);
    let back = inward(&mut pipe.recv, write, &moved.received);
    tokio::select! {
        ended = async { tokio::try_join!(out, back) } => ended.map(|_| ()),
        error = broken => Err(error),
    }
}

/// Resolves once the far side gave up or the session ended, which a socket that nobody reads would not tell us.
fn broken(send: &SendStream) -> impl Future<Output = io::Error> + use<> {
    let stopped = send.stopped();
    async move {
        match stopped.await {
            // All of our bytes have arrived: the other direction goes on.
            Ok(None) => std::future::pending().await,
            Ok(Some(_)) | Err(_) => io::ErrorKind::ConnectionReset.into(),
        }
    }
}

async fn outward(mut read: impl AsyncRead + Unpin, send: &mut SendStream, count: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0; SMALLEST];
    loop {
        let length = read.read(&mut buffer).await?;
        if length == 0 {
            return send.finish().map_err(Into::into);
        }
        send.write_all(&buffer[..length]).await?;
        count.fetch_add(length as u64, Ordering::Relaxed);
        grow(&mut buffer, length);
    }
}

async fn inward(recv: &mut RecvStream, mut write: impl AsyncWrite + Unpin, count: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0; SMALLEST];
    while let Some(length) = recv.read(&mut buffer).await? {
        write.write_all(&buffer[..length]).await?;
        count.fetch_add(length as u64, Ordering::Relaxed);
        grow(&mut buffer, length);
    }
    write.shutdown().await
}

fn grow(buffer: &mut Vec<u8>, length: usize) {
    if length == buffer.len() && length < LARGEST {
        buffer.resize(2 * length, 0);
    }
}
