//! Birthday probing, at the end behind a symmetric NAT: one attempt's probes leave from many sockets (protocol §8).
//!
//! Such a NAT gives each socket another outer port, so the far end, which guesses ports, soon guesses one: as of few people
//! two share a birthday. Invariant: an attempt has at most `MOST_SOCKETS`, and all are closed with it but the one that a
//! probe came in by first, once a dial has taken that.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, MutexGuard, OnceLock, PoisonError};

use socket2::SockRef;
use tokio::net::UdpSocket;
use tokio::task::JoinSet;

use crate::punch::{self, Attempt, LENGTH};
use crate::socket::mark;
use crate::tables::Shared;

/// Sockets of one attempt beside the listening one.
pub const MOST_SOCKETS: usize = 128;

/// The sockets of one attempt, each with a task that listens.
#[derive(Debug, Default)]
pub struct Sockets {
    all: Vec<Arc<UdpSocket>>,
    /// The one that sends next.
    next: usize,
    won: Arc<OnceLock<Arc<UdpSocket>>>,
    listening: JoinSet<()>,
}

/// Send `count` asks of attempt `id` to `to`, an IPv4 address, each from the next of its sockets; the first `MOST_SOCKETS`
/// open theirs. Nothing happens if that attempt is over, none by birthday, or has been dialled through. Must be called on
/// the runtime. Fails where the system gives no socket at all.
pub fn ask(shared: &Arc<Shared>, id: u64, to: SocketAddr, count: usize) -> io::Result<()> {
    let Some(attempt) = shared.attempts.get(id) else { return Ok(()) };
    let IpAddr::V4(host) = to.ip().to_canonical() else { return Ok(()) };
    let mut sockets = lock(&attempt);
    let Some(sockets) = sockets.as_mut() else { return Ok(()) };
    for _ in 0..count {
        let socket = sockets.turn(shared, id)?;
        let Some(probe) = attempt.ask() else { return Ok(()) };
        send(&socket, &probe, (host, to.port()).into());
    }
    Ok(())
}

/// The socket that a probe of attempt `id` came in by first, for a dial; all others are closed. None if none did.
pub fn take(shared: &Shared, id: u64) -> Option<OwnedFd> {
    let sockets = lock(&*shared.attempts.get(id)?).take()?;
    // A descriptor of its own: the one of the runtime goes with its task.
    sockets.won.get()?.as_fd().try_clone_to_owned().ok()
}

fn lock(attempt: &Attempt) -> MutexGuard<'_, Option<Sockets>> {
    attempt.sockets.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sockets {
    /// The one whose turn it is.
    fn turn(&mut self, shared: &Arc<Shared>, id: u64) -> io::Result<Arc<UdpSocket>> {
        let mut at = self.next % MOST_SOCKETS;
        if at == self.all.len() {
            match bind(shared) {
                Ok(socket) => self.add(shared, id, Arc::new(socket)),
                // Fewer will do.
                Err(_) if at > 0 => at = 0,
                Err(error) => return Err(error),
            }
        }
        self.next = at + 1;
        Ok(Arc::clone(&self.all[at]))
    }

    fn add(&mut self, shared: &Arc<Shared>, id: u64, socket: Arc<UdpSocket>) {
        self.listening.spawn(listen(Arc::clone(shared), id, Arc::clone(&socket), Arc::clone(&self.won)));
        self.all.push(socket);
    }
}

/// A socket on any port of the address that the listening one has, so that it leaves by the same way.
fn bind(shared: &Shared) -> io::Result<UdpSocket> {
    let host = match shared.socket.local_addr()?.ip().to_canonical() {
        IpAddr::V4(host) => host,
        IpAddr::V6(_) => Ipv4Addr::UNSPECIFIED,
    };
    let socket = std::net::UdpSocket::bind((host, 0))?;
    mark(&socket);
    socket.set_nonblocking(true)?;
    UdpSocket::from_std(socket)
}

async fn listen(shared: Arc<Shared>, id: u64, socket: Arc<UdpSocket>, won: Arc<OnceLock<Arc<UdpSocket>>>) {
    let mut datagram = [0; LENGTH + 1];
    loop {
        // An error is a pending one of the socket (an ICMP message): it was taken by asking.
        let Ok((length, from)) = socket.recv_from(&mut datagram).await else { continue };
        let datagram = &datagram[..length];
        if punch::is_of(datagram, id) && punch::received(&shared, datagram, from, |echo| send(&socket, echo, from)) {
            let _first = won.set(Arc::clone(&socket));
        }
    }
}

/// What a full socket does not take is lost. Not by the runtime's own send, which takes nothing before the first poll.
fn send(socket: &UdpSocket, probe: &[u8; LENGTH], to: SocketAddr) {
    let _lost = SockRef::from(socket).send_to(probe, &to.into());
}
