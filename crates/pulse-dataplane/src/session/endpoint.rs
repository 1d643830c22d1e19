//! Settings of the session endpoint (protocol §5), and who may shake hands with it.
//!
//! Invariant: what depends on the node key alone is the same after a restart, so that a peer learns by a stateless
//! reset that its session is dead instead of waiting for the idle timeout.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use quinn::{
    ClientConfig, ConnectionError, ConnectionId, ConnectionIdGenerator, EndpointConfig, IdleTimeout, ServerConfig,
    TransportConfig, VarInt,
};

use super::close;
use super::roster::Share;
use crate::hello::random;
use crate::tls::{self, Identity};
use crate::verify::{Trust, Verifier};

/// Fits one frame in the smallest IPv6 path, so MTU never has to be discovered.
const DATAGRAM: u16 = 1200;

/// Outlives a laptop's short sleep.
const IDLE_TIMEOUT_MS: u32 = 120_000;

/// Round trip taken for granted before one was measured: what is lost of a handshake goes again after three of it. The
/// first answer of a peer that has no way back yet is lost, and gossip brings it one within a tenth of a second.
const FIRST_RTT: Duration = Duration::from_millis(33);

/// Label of the secret behind stateless resets.
const RESET_LABEL: &[u8] = b"pulse session reset v1";

/// The part of the settings that lives as long as the endpoint.
pub fn config(identity: &Identity) -> EndpointConfig {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &identity.secret(RESET_LABEL));
    let mut config = EndpointConfig::new(Arc::new(key));
    // The demultiplexer tells QUIC by its first bit pair.
    config.grease_quic_bit(false);
    config.cid_generator(|| Box::new(AnyId));
    config
}

/// Settings for incoming sessions, and who knows why one was refused.
pub fn server(identity: &Identity, trust: &Arc<Trust>) -> io::Result<(ServerConfig, Arc<Verifier>)> {
    let (mut config, verifier) = tls::session_server(identity, trust).map_err(io::Error::other)?;
    config.transport_config(transport()).migration(false);
    // Bytes of handshakes that wait to be accepted; ours wait for no longer than the task takes to look.
    config.max_incoming(256).incoming_buffer_size(64 << 10).incoming_buffer_size_total(4 << 20);
    Ok((config, verifier))
}

/// Settings for dialling, and who knows why the peer was refused.
pub fn client(identity: &Identity, trust: &Arc<Trust>) -> io::Result<(ClientConfig, Arc<Verifier>)> {
    let (mut config, verifier) = tls::session_client(identity, trust).map_err(io::Error::other)?;
    config.transport_config(transport());
    Ok((config, verifier))
}

/// Why a handshake failed; if it was for the certificate, then in the verifier's words.
pub fn refused(error: &ConnectionError, verifier: &Verifier) -> String {
    verifier.take_refusal().map_or_else(|| close::reason(error), |refusal| refusal.to_string())
}

fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    config
        .initial_mtu(DATAGRAM)
        .min_mtu(DATAGRAM)
        .mtu_discovery_config(None)
        .keep_alive_interval(Some(Duration::from_secs(5)))
        .max_idle_timeout(Some(IdleTimeout::from(VarInt::from_u32(IDLE_TIMEOUT_MS))))
        .initial_rtt(FIRST_RTT)
        .stream_receive_window(VarInt::from_u32(8 << 20))
        .receive_window(VarInt::from_u32(Share::FIRST.receive))
        .send_window(Share::FIRST.send)
        .max_concurrent_bidi_streams(VarInt::from_u32(4096))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(Some(256 << 10))
        .datagram_send_buffer_size(256 << 10)
        .allow_spin(false)
        // BBR collapses when a path gets slower (measured); Cubic is quinn's default, said here because it matters.
        .congestion_controller_factory(Arc::new(quinn::congestion::CubicConfig::default()))
        .enable_segmentation_offload(true);
    Arc::new(config)
}

/// Connection ids without a signature. quinn's default signs them with a key of the process: after a restart it takes a
/// peer's old ids for noise and never answers with a stateless reset. Our packets come in authenticated frames anyway.
struct AnyId;

impl ConnectionIdGenerator for AnyId {
    fn generate_cid(&mut self) -> ConnectionId {
        ConnectionId::new(&random::<8>().unwrap_or_default())
    }

    fn cid_len(&self) -> usize {
        8
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}
