//! A UDP socket beside the listening one, that one link alone goes through: the one that opened its hole.
//!
//! Invariant: what its link sends leaves there, and what arrives there is for its link, or for nobody.

use std::io;
use std::os::fd::OwnedFd;

use crate::inbox::Inbox;
use crate::socket::Socket;

/// Packets, or runs of them, that may wait for its endpoint, which has one connection.
const INBOX: usize = 256;

/// The socket, and where its QUIC packets go.
#[derive(Debug)]
pub struct Apart {
    /// The socket.
    pub socket: Socket,
    /// QUIC packets of its link.
    pub inbox: Inbox,
}

impl Apart {
    /// Take over a bound UDP socket.
    pub fn new(fd: OwnedFd) -> io::Result<Self> {
        Ok(Self { socket: Socket::new(fd)?, inbox: Inbox::new(INBOX) })
    }
}
