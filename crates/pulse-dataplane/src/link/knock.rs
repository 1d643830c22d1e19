//! Making connections: our dials, and handshakes that come in.
//!
//! Invariant: the marked connection id of a joiner chooses the join lane before TLS begins; everything else
//! gets the link lane, which demands a certificate.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{Connection, ConnectionError, Incoming, ServerConfig};
use tokio::time::timeout;

use super::Desk;
use super::carrier::{Candidate, Carrier, Close, Ended};
use super::gate::{Knock, Pass};
use super::meeting::{greet, welcome};
use super::quic::{explain, link_transport};
use crate::event::Level;
use crate::tls::{is_join, link_client, link_server};
use crate::verify::{Certified, Verifier, peer_certificate, pinned_name};
use crate::{LinkId, NodeId, join};

/// How long TLS and the control stream may take: a slow handshake holds a place at the gate.
const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// Dial a link and see it through to the end of its hellos.
pub(crate) async fn dial(
    desk: &Arc<Desk>,
    address: SocketAddr,
    expect: Option<NodeId>,
    dial: u64,
    replaces: LinkId,
) -> Result<(), Ended> {
    let both = desk.settings.both();
    let (identity, trust) = both.ok_or_else(|| Ended::new("identity", "no identity and trust are installed yet"))?;
    if expect == Some(identity.certified.node) {
        return Err(oneself());
    }
    let (mut config, verifier) = link_client(&identity, &trust).map_err(broken)?;
    config.transport_config(link_transport());
    let connecting = desk.endpoint.connect_with(config, address, &pinned_name(expect.as_ref()));
    let connecting = connecting.map_err(|error| Ended::new("unreachable", error.to_string()))?;
    let connection = connecting.await.map_err(|error| refused(&error, &verifier))?;
    let certified = identified(desk, &connection)?;
    let node = certified.node;
    let (send, recv) = connection.open_bi().await.map_err(|error| meets(node, explain(&error)))?;
    let candidate =
        Candidate { carrier: Arc::new(connection), certified, reader: Box::new(recv), writer: Box::new(send) };
    greet(desk, candidate, dial, replaces).await.map_err(|ended| meets(node, ended))
}

/// A duplicate tells who lives at the address: the node's id in hex takes the place of words.
fn meets(node: NodeId, ended: Ended) -> Ended {
    if ended.code != "duplicate" {
        return ended;
    }
    Ended::new("duplicate", node.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Take in handshakes for as long as the endpoint lives.
pub(crate) async fn accept(desk: Arc<Desk>) {
    while let Some(incoming) = desk.endpoint.accept().await {
        if is_join(&incoming.orig_dst_cid()) {
            join::knocked(&desk, incoming);
        } else {
            knocked(&desk, incoming);
        }
    }
}

/// The config that makes the endpoint accept; none before identity and trust are there.
pub(crate) fn first_config(desk: &Desk) -> Option<ServerConfig> {
    let (identity, trust) = desk.settings.both()?;
    let (mut config, _) = link_server(&identity, &trust).ok()?;
    // Bytes of handshakes that wait to be accepted; ours wait for no longer than the task takes to look.
    config.max_incoming(256).incoming_buffer_size(64 << 10).incoming_buffer_size_total(4 << 20);
    Some(config)
}

fn knocked(desk: &Arc<Desk>, incoming: Incoming) {
    let (source, proven) = (incoming.remote_address().ip(), incoming.remote_address_validated());
    let knock = desk.gate.knock(source, proven, Instant::now());
    match knock {
        Ok(pass) => {
            let desk = Arc::clone(desk);
            tokio::spawn(async move { admit(&desk, incoming, pass).await });
        }
        // Fails only if a Retry was answered already, and then the address is proven.
        Err(Knock::Prove) => drop(incoming.retry()),
        Err(Knock::Drop) => incoming.ignore(),
    }
}

async fn admit(desk: &Arc<Desk>, incoming: Incoming, pass: Pass) {
    let from = incoming.remote_address();
    let shaken = timeout(HANDSHAKE_DEADLINE, shake_hands(desk, incoming)).await;
    drop(pass);
    let outcome = match shaken {
        Ok(Ok(candidate)) => welcome(desk, candidate).await,
        Ok(Err(ended)) => Err(ended),
        Err(_) => Err(Ended::new("timeout", "the handshake took too long")),
    };
    if let Err(ended) = outcome {
        let level = if ended.code == "certificate" { Level::Info } else { Level::Debug };
        desk.shared.bus.log(level, format!("refused a link: {}", ended.text));
        desk.shared.bus.log(Level::Debug, format!("that link came from {from}"));
    }
}

async fn shake_hands(desk: &Desk, incoming: Incoming) -> Result<Candidate, Ended> {
    let both = desk.settings.both();
    let (identity, trust) = both.ok_or_else(|| Ended::new("identity", "no identity and trust are installed"))?;
    let (mut config, verifier) = link_server(&identity, &trust).map_err(broken)?;
    config.transport_config(link_transport()).migration(true);
    let accepted = incoming.accept_with(Arc::new(config)).map_err(|error| refused(&error, &verifier))?;
    let connection = accepted.await.map_err(|error| refused(&error, &verifier))?;
    let certified = identified(desk, &connection)?;
    let (send, recv) = connection.accept_bi().await.map_err(|error| explain(&error))?;
    Ok(Candidate { carrier: Arc::new(connection), certified, reader: Box::new(recv), writer: Box::new(send) })
}

/// Who the other end is; ourselves is nobody to link to.
fn identified(desk: &Desk, connection: &Connection) -> Result<Certified, Ended> {
    let certified = peer_certificate(connection).ok_or_else(|| Ended::new("certificate", "it showed none"))?;
    if desk.me() == Some(certified.node) {
        Carrier::close(connection, Close::Oneself, "");
        return Err(oneself());
    }
    Ok(certified)
}

fn oneself() -> Ended {
    Ended::new("self", "the address is our own")
}

/// Why a handshake failed; if it was for the certificate, then in the verifier's words.
fn refused(error: &ConnectionError, verifier: &Verifier) -> Ended {
    verifier.take_refusal().map_or_else(|| explain(error), |refusal| Ended::new("certificate", refusal.to_string()))
}

fn broken(error: rustls::Error) -> Ended {
    Ended::new("broken", error.to_string())
}
