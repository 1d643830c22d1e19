//! Making connections over QUIC: our dials, and handshakes that come in.
//!
//! Invariant: the marked connection id of a joiner chooses the join lane before TLS begins; everything else
//! gets the link lane, which demands a certificate.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quinn::{Connection, ConnectionError, Endpoint, Incoming, RecvStream, SendStream, ServerConfig};
use rustls::pki_types::CertificateDer;
use tokio::time::timeout;

use super::Desk;
use super::carrier::{Candidate, Close, Ended};
use super::gate::{Knock, Pass};
use super::meeting::welcome;
use super::quic::{endpoint_apart, explain, link_transport};
use crate::apart::Apart;
use crate::event::Level;
use crate::outlet::Outlet;
use crate::tls::{is_join, link_client, link_server};
use crate::verify::{Certified, Verifier, parse, pinned_name};
use crate::{NodeId, join};

/// How long TLS and the control stream may take: a slow handshake holds a place at the gate.
pub(crate) const HANDSHAKE_DEADLINE: Duration = Duration::from_secs(5);

/// Links that may have sockets of their own: each has a thread too.
const MOST_APART: usize = 16;

/// Dial a link over QUIC, from the socket we listen on or from the one given.
pub(crate) async fn dial(
    desk: &Arc<Desk>,
    address: SocketAddr,
    expect: Option<NodeId>,
    from: Option<OwnedFd>,
) -> Result<Candidate, Ended> {
    let both = desk.settings.both();
    let (identity, trust) = both.ok_or_else(|| Ended::new("identity", "no identity and trust are installed yet"))?;
    let (mut config, verifier) = link_client(&identity, &trust).map_err(broken)?;
    config.transport_config(link_transport());
    let (endpoint, outlet) = match from {
        Some(socket) => apart(desk, socket)?,
        None => (desk.endpoint.clone(), Outlet::Udp),
    };
    let connecting = endpoint.connect_with(config, address, &pinned_name(expect.as_ref()));
    let connecting = connecting.map_err(|error| Ended::new("unreachable", error.to_string()))?;
    if let Outlet::Apart(_) = outlet {
        keep(desk, endpoint);
    }
    let connection = connecting.await.map_err(|error| refused(&error, &verifier))?;
    let (send, recv) = connection.open_bi().await.map_err(|error| explain(&error))?;
    member(desk, connection, send, recv, outlet)
}

/// An endpoint on a socket of its own, for one link.
fn apart(desk: &Arc<Desk>, socket: OwnedFd) -> Result<(Endpoint, Outlet), Ended> {
    let failed = |error: io::Error| Ended::new("unreachable", error.to_string());
    if desk.aparts().len() >= MOST_APART {
        return Err(Ended::new("unreachable", format!("{MOST_APART} links have sockets of their own already")));
    }
    let apart = Arc::new(Apart::new(socket).map_err(failed)?);
    let endpoint = endpoint_apart(&desk.shared, &apart).map_err(failed)?;
    Ok((endpoint, Outlet::Apart(apart)))
}

/// Count an endpoint that dials among those with sockets of their own, until its link is gone or came to nothing.
fn keep(desk: &Arc<Desk>, endpoint: Endpoint) {
    let (id, desk) = (desk.next_id(), Arc::clone(desk));
    desk.aparts().insert(id, endpoint.clone());
    tokio::spawn(async move {
        endpoint.wait_idle().await;
        desk.aparts().remove(&id);
    });
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
    if desk.shared.is_inside(source) {
        return incoming.ignore();
    }
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
    admitted(desk, from, outcome);
}

/// Say what became of a link that came in, if nothing did.
pub(crate) fn admitted(desk: &Desk, from: SocketAddr, outcome: Result<(), Ended>) {
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
    let (send, recv) = connection.accept_bi().await.map_err(|error| explain(&error))?;
    member(desk, connection, send, recv, Outlet::Udp)
}

fn member(
    desk: &Desk,
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
    outlet: Outlet,
) -> Result<Candidate, Ended> {
    let chain = connection.peer_identity().and_then(|chain| chain.downcast::<Vec<CertificateDer<'static>>>().ok());
    let certified = certified(chain.as_deref().map(Vec::as_slice));
    let (reader, writer) = (Box::new(recv), Box::new(send));
    identified(desk, Candidate { carrier: Arc::new(connection), certified: certified?, reader, writer, outlet })
}

/// What the other end proved to be.
pub(crate) fn certified(chain: Option<&[CertificateDer<'_>]>) -> Result<Certified, Ended> {
    let leaf = chain.and_then(<[_]>::first).ok_or_else(|| Ended::new("certificate", "it showed none"))?;
    parse(leaf).map_err(|refusal| Ended::new("certificate", refusal.to_string()))
}

/// The candidate, unless it is ourselves, who are nobody to link to.
pub(crate) fn identified(desk: &Desk, candidate: Candidate) -> Result<Candidate, Ended> {
    if desk.me() == Some(candidate.certified.node) {
        candidate.carrier.close(Close::Oneself, "");
        return Err(oneself());
    }
    Ok(candidate)
}

pub(crate) fn oneself() -> Ended {
    Ended::new("self", "the address is our own")
}

/// Why a handshake failed; if it was for the certificate, then in the verifier's words.
fn refused(error: &ConnectionError, verifier: &Verifier) -> Ended {
    verifier.take_refusal().map_or_else(|| explain(error), |refusal| Ended::new("certificate", refusal.to_string()))
}

fn broken(error: rustls::Error) -> Ended {
    Ended::new("broken", error.to_string())
}
