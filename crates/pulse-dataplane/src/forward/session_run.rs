//! Session packets on their way to quinn, as runs of one sender.
//!
//! Invariant: a run holds packets of one sender and size in the order they came; only the last may be shorter.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use quinn::udp::EcnCodepoint;

use crate::Handle;
use crate::inbox::Packet;

/// Port of a session's virtual addresses, which have none.
const VIRTUAL_PORT: u16 = 1;

/// Session packets of one sender and size, gathered without their frames.
#[derive(Debug)]
pub struct SessionRun {
    source: Handle,
    packet: Packet,
    full: bool,
}

impl SessionRun {
    /// An empty one, of packets that came under this mark.
    pub fn new(ecn: Option<EcnCodepoint>) -> Self {
        let from = SocketAddr::from((IpAddr::V4(Handle::UNSPECIFIED), 0));
        let packet = Packet { bytes: vec![], stride: 0, from, to: None, ecn };
        Self { source: Handle::UNSPECIFIED, packet, full: false }
    }

    /// True if a packet of `length` bytes from `source` can follow.
    pub fn admits(&self, source: Handle, length: usize) -> bool {
        self.packet.bytes.is_empty() || (!self.full && self.source == source && length <= self.packet.stride)
    }

    /// Let it follow.
    pub fn add(&mut self, source: Handle, body: &[u8]) {
        if self.packet.bytes.is_empty() {
            (self.source, self.packet.stride) = (source, body.len());
            self.packet.from = SocketAddrV6::new(source.to_ipv6_mapped(), VIRTUAL_PORT, 0, 0).into();
        }
        self.full = body.len() < self.packet.stride;
        self.packet.bytes.extend_from_slice(body);
    }

    /// What was gathered, if anything; the next run begins empty.
    pub fn finish(&mut self) -> Option<Packet> {
        if self.packet.bytes.is_empty() {
            return None;
        }
        let Packet { stride, from, to, ecn, .. } = self.packet;
        self.full = false;
        Some(Packet { bytes: std::mem::take(&mut self.packet.bytes), stride, from, to, ecn })
    }
}
