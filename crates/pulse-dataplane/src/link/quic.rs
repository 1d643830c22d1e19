//! QUIC over the shared UDP socket, or over one that is a link's alone: their endpoints, and what a link needs of a
//! connection.
//!
//! Invariant: packets come from the socket's thread through its inbox and leave through that socket; no
//! send error but "would block" ever reaches quinn, as it would end the connection.

use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use quinn::udp::{RecvMeta, Transmit};
use quinn::{
    AsyncUdpSocket, Connection, ConnectionError, Endpoint, EndpointConfig, TokioRuntime, TransportConfig, UdpPoller,
    VarInt,
};

use super::carrier::{Carrier, Close, Ended, HOP_LABEL, closed_by_peer, printable};
use super::writable::Writable;
use crate::NodeId;
use crate::apart::Apart;
use crate::forward::Packets;
use crate::inbox::Inbox;
use crate::socket::Socket;
use crate::tables::Shared;

/// Fits every underlay that carries QUIC at all (RFC 9000 §14).
const DATAGRAM: u16 = 1200;
/// Silence after which QUIC gives up; the backstop of our own probes.
pub(crate) const IDLE: Duration = Duration::from_millis(3500);
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// Bytes of a join that may be unread, whatever carries it: its longest message, and room for that to be under way.
pub(crate) const JOIN_WINDOW: u32 = 128 << 10;

/// The face of a socket that quinn wants.
#[derive(Debug)]
struct LinkSocket {
    shared: Arc<Shared>,
    /// A link's own socket, and its thread; none for the shared one.
    apart: Option<(Arc<Apart>, Packets)>,
    writable: Arc<Writable>,
}

impl LinkSocket {
    fn socket(&self) -> &Socket {
        self.apart.as_ref().map_or(&self.shared.socket, |(apart, _)| &apart.socket)
    }

    fn inbox(&self) -> &Inbox {
        self.apart.as_ref().map_or(&self.shared.link_inbox, |(apart, _)| &apart.inbox)
    }
}

impl AsyncUdpSocket for LinkSocket {
    fn create_io_poller(self: Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        self.writable.poller()
    }

    fn try_send(&self, transmit: &Transmit<'_>) -> io::Result<()> {
        self.writable.send(|| self.socket().send_transmit(transmit))
    }

    fn poll_recv(
        &self,
        context: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        self.inbox().poll(context, buffers, meta)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket().local_addr()
    }

    /// Also keeps quinn from searching for a larger packet size.
    fn may_fragment(&self) -> bool {
        true
    }

    fn max_transmit_segments(&self) -> usize {
        64
    }

    fn max_receive_segments(&self) -> usize {
        64
    }
}

/// The endpoint of links and joins. It accepts nothing before it is given a server config.
pub(crate) fn endpoint(shared: &Arc<Shared>, writable: &Arc<Writable>) -> io::Result<Endpoint> {
    endpoint_on(socket(shared, writable))
}

/// An endpoint that dials through a socket of its own; socket and thread live as long as it, or a connection of it.
pub(crate) fn endpoint_apart(shared: &Arc<Shared>, apart: &Arc<Apart>) -> io::Result<Endpoint> {
    let writable = Arc::new(Writable::default());
    writable.follow(apart.socket.fd());
    let packets = Packets::start_apart(Arc::clone(shared), Arc::clone(apart))?;
    let apart = Some((Arc::clone(apart), packets));
    endpoint_on(Arc::new(LinkSocket { shared: Arc::clone(shared), apart, writable }))
}

fn endpoint_on(socket: Arc<dyn AsyncUdpSocket>) -> io::Result<Endpoint> {
    let mut config = EndpointConfig::default();
    // The first byte of a datagram tells QUIC from frames: its bit must stay.
    config.grease_quic_bit(false);
    Endpoint::new_with_abstract_socket(config, None, socket, Arc::new(TokioRuntime))
}

/// The socket under the endpoint; a new one after a rebind makes quinn ping every peer.
pub(crate) fn socket(shared: &Arc<Shared>, writable: &Arc<Writable>) -> Arc<dyn AsyncUdpSocket> {
    Arc::new(LinkSocket { shared: Arc::clone(shared), apart: None, writable: Arc::clone(writable) })
}

/// Transport settings of links.
pub(crate) fn link_transport() -> Arc<TransportConfig> {
    let mut transport = common_transport(IDLE);
    transport.keep_alive_interval(Some(KEEP_ALIVE));
    Arc::new(transport)
}

/// Transport settings of joins, which may be silent for as long as `deadline`: one stream, and what a stranger says beyond
/// what is read of it stays with it.
pub(crate) fn join_transport(deadline: Duration) -> Arc<TransportConfig> {
    let mut transport = common_transport(deadline);
    transport
        .stream_receive_window(VarInt::from_u32(JOIN_WINDOW))
        .receive_window(VarInt::from_u32(JOIN_WINDOW))
        .send_window(JOIN_WINDOW.into())
        .max_concurrent_bidi_streams(VarInt::from_u32(1));
    Arc::new(transport)
}

fn common_transport(idle: Duration) -> TransportConfig {
    let mut transport = TransportConfig::default();
    transport
        .initial_mtu(DATAGRAM)
        .min_mtu(DATAGRAM)
        .mtu_discovery_config(None)
        .max_idle_timeout(Some(VarInt::from_u32(u32::try_from(idle.as_millis()).unwrap_or(u32::MAX)).into()))
        .initial_rtt(Duration::from_millis(100))
        .stream_receive_window(VarInt::from_u32(1 << 20))
        .receive_window(VarInt::from_u32(2 << 20))
        .send_window(2 << 20)
        .max_concurrent_bidi_streams(VarInt::from_u32(16))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .allow_spin(false);
    transport
}

impl Carrier for Connection {
    fn transport(&self) -> &'static str {
        "quic"
    }

    fn remote(&self) -> SocketAddr {
        self.remote_address()
    }

    fn local(&self) -> Option<IpAddr> {
        self.local_ip()
    }

    fn hop_key(&self, sender: &NodeId, receiver: &NodeId) -> io::Result<[u8; 32]> {
        let mut secret = [0; 32];
        let context = [sender.as_slice(), receiver].concat();
        let exported = self.export_keying_material(&mut secret, HOP_LABEL, &context);
        exported.map(|()| secret).map_err(|_| io::Error::other("the exporter refused"))
    }

    fn close(&self, why: Close, text: &str) {
        Self::close(self, VarInt::from_u32(why as u32), printable(text.as_bytes()).as_bytes());
    }

    fn is_over(&self) -> bool {
        self.close_reason().is_some()
    }

    fn ended(&self) -> Pin<Box<dyn Future<Output = Ended> + Send + '_>> {
        Box::pin(async { explain(&self.closed().await) })
    }
}

/// Why a connection ended, for `DialFailed` and for people.
pub(crate) fn explain(error: &ConnectionError) -> Ended {
    match error {
        ConnectionError::TimedOut => Ended::new("timeout", format!("silent for {:.1} s", IDLE.as_secs_f64())),
        ConnectionError::Reset => Ended::new("broken", "the peer has restarted"),
        ConnectionError::LocallyClosed => Ended::new("broken", "closed by us"),
        ConnectionError::ApplicationClosed(close) => {
            closed_by_peer(u32::try_from(close.error_code.into_inner()).unwrap_or(u32::MAX), &close.reason)
        }
        ConnectionError::ConnectionClosed(close) if is_alert(close.error_code.into()) => {
            Ended::new("refused", "the peer refused us; its log says why")
        }
        ConnectionError::TransportError(error) if is_alert(error.code.into()) => {
            Ended::new("certificate", printable(error.reason.as_bytes()))
        }
        other => Ended::new("broken", printable(other.to_string().as_bytes())),
    }
}

/// TLS alerts travel as 0x100 + alert (RFC 9001 §4.8).
fn is_alert(code: u64) -> bool {
    (0x100..0x200).contains(&code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_end_has_its_word() {
        assert_eq!(explain(&ConnectionError::TimedOut), Ended::new("timeout", "silent for 3.5 s"));
    }
}
