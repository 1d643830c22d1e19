//! Buffers for what arrives, made once and used for ever.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};

use quinn::udp::{EcnCodepoint, RecvMeta};

use super::address;

/// Messages taken by one system call.
const MESSAGES: usize = 8;
/// The longest message: datagrams the kernel joined (GRO).
const MESSAGE: usize = 1 << 16;

/// One call's worth of messages.
#[derive(Debug)]
pub struct Batch {
    bytes: Box<[u8]>,
    meta: [RecvMeta; MESSAGES],
    filled: usize,
}

/// Datagrams of one sender, back to back.
#[derive(Debug)]
pub struct Received<'a> {
    /// The datagrams.
    pub bytes: &'a mut [u8],
    /// Size of each but the last, which may be shorter; at least 1.
    pub stride: usize,
    /// Who sent them, in the form of `Socket::canonical`.
    pub from: SocketAddr,
    /// Which of our addresses they were sent to.
    pub to: Option<IpAddr>,
    /// Their congestion mark.
    pub ecn: Option<EcnCodepoint>,
}

impl Default for Batch {
    fn default() -> Self {
        Self { bytes: vec![0; MESSAGES * MESSAGE].into(), meta: [RecvMeta::default(); MESSAGES], filled: 0 }
    }
}

impl Batch {
    /// Fill with one call of `recv`; empty if it fails.
    pub(super) fn fill(
        &mut self,
        recv: impl FnOnce(&mut [IoSliceMut<'_>], &mut [RecvMeta]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let mut buffers = self.bytes.chunks_exact_mut(MESSAGE);
        let mut slices: [_; MESSAGES] = std::array::from_fn(|_| IoSliceMut::new(buffers.next().unwrap_or_default()));
        self.filled = 0;
        self.filled = recv(&mut slices, &mut self.meta)?;
        Ok(())
    }

    /// What was received, in order.
    pub fn received(&mut self) -> impl Iterator<Item = Received<'_>> {
        let buffers = self.bytes.chunks_exact_mut(MESSAGE);
        buffers.zip(&self.meta[..self.filled]).map(|(buffer, meta)| Received {
            bytes: &mut buffer[..meta.len],
            stride: meta.stride.max(1),
            // The kernel shows IPv4 senders in the family of the socket already.
            from: address::canonical(meta.addr, meta.addr.is_ipv6()),
            to: meta.dst_ip,
            ecn: meta.ecn,
        })
    }
}
