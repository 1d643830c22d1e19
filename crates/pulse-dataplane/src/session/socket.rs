//! The socket quinn believes in: addresses are handles, datagrams leave and arrive as frames.
//!
//! Invariant: whatever goes wrong below is loss to QUIC; only `WouldBlock` is an error, and then the poller
//! really waits for the UDP socket.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use quinn::udp::{RecvMeta, Transmit};
use quinn::{AsyncUdpSocket, UdpPoller};

use crate::Handle;
use crate::forward;
use crate::frame::{HopHeader, Kind};
use crate::link::Settings;
use crate::stats::Drop;
use crate::tables::Shared;

/// The address quinn knows a node by.
pub fn address_of(handle: Handle) -> SocketAddr {
    SocketAddrV6::new(handle.to_ipv6_mapped(), 1, 0, 0).into()
}

/// The node quinn means by an address.
pub fn handle_of(address: &SocketAddr) -> Option<Handle> {
    match address.ip() {
        IpAddr::V6(v6) => v6.to_ipv4_mapped(),
        IpAddr::V4(_) => None,
    }
}

/// The virtual socket of the session endpoint.
#[derive(Debug)]
pub struct VirtualSocket {
    shared: Arc<Shared>,
    settings: Arc<Settings>,
}

impl VirtualSocket {
    /// A socket that sends over the links of `shared`.
    pub fn new(shared: Arc<Shared>, settings: Arc<Settings>) -> Self {
        Self { shared, settings }
    }
}

impl AsyncUdpSocket for VirtualSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.settings.writable.poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        let Some(handle) = handle_of(&transmit.destination) else { return Ok(()) };
        let Some(us) = self.shared.me.load().as_ref().map(|me| me.v4) else { return Ok(()) };
        let routes = self.shared.routes.load();
        let Some(hop) = routes.for_session(us, handle) else {
            self.shared.drops.count(Drop::NoRoute);
            return Ok(());
        };
        let header = HopHeader { flags: hop.flags(), ..HopHeader::new(us, handle, Kind::Session) };
        let stride = transmit.segment_size.unwrap_or(transmit.contents.len());
        let send = || forward::send_frames(&self.shared, &hop.link, &header, transmit.contents, stride);
        self.settings.writable.send(send)
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.shared.session_inbox.poll(context, buffers, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        let v6 = self.shared.me.load().as_ref().map_or(Ipv6Addr::UNSPECIFIED, |me| me.v4.to_ipv6_mapped());
        Ok(SocketAddrV6::new(v6, 1, 0, 0).into())
    }

    fn max_transmit_segments(&self) -> usize {
        64
    }

    fn max_receive_segments(&self) -> usize {
        64
    }

    fn may_fragment(&self) -> bool {
        // Frames are split below if they must be; this also keeps MTU discovery off.
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_survives_quinns_form_of_it() {
        let handle = Handle::new(10, 100, 1, 2);
        assert_eq!(handle_of(&address_of(handle)), Some(handle));
        assert_eq!(handle_of(&([10, 100, 1, 2], 1).into()), None);
    }
}
