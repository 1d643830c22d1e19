//! Making WebSockets: TCP, perhaps through a proxy, then TLS, then the HTTP upgrade.
//!
//! Invariant: the ALPN of the ClientHello chooses the lane before TLS goes on, as the marked connection id does on
//! QUIC, and the path must be that lane's: no code path can take a stranger for a member.

use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{sleep, timeout};
use tokio_rustls::{LazyConfigAcceptor, TlsConnector, TlsStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::StatusCode;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{WebSocketStream, accept_hdr_async_with_config, client_async_with_config};

use super::Desk;
use super::carrier::{Candidate, Ended, HOP_LABEL};
use super::gate::Pass;
use super::knock::{HANDSHAKE_DEADLINE, admitted, certified, identified};
use super::meeting::welcome;
use super::websocket::{self, Arrived, HopKeys, Parts, explain, explain_io};
use crate::socket::mark;
use crate::tls::{JOIN, JOIN_PINNED, LINK, join_client_tcp, join_server_tcp, link_client_tcp, link_server_tcp};
use crate::verify::{Certified, Verifier, pinned_name};
use crate::{NodeId, join};

/// What a WebSocket runs over.
pub(crate) type Tls = TlsStream<TcpStream>;

const LINK_PATH: &str = "/pulse/link";
const JOIN_PATH: &str = "/pulse/join";
/// Longest message, both ways; on the join lane, where none holds more than a part of the control stream.
const MESSAGE: usize = 256 << 10;
const JOIN_MESSAGE: usize = 64 << 10;
/// What the library sets aside for each direction of a join, and takes for it at once.
const JOIN_BUFFER: usize = 16 << 10;
/// How long TCP may take: where its packets are dropped, the kernel tries for minutes.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Bytes that may wait for the kernel to take them.
const UNSENT: usize = 1 << 20;
/// Bytes that the kernel may hold beside what is on its way (TCP_NOTSENT_LOWAT).
const KERNEL_UNSENT: u32 = 128 << 10;
/// What a proxy may answer, in bytes.
const PROXY_ANSWER: usize = 4 << 10;
/// Longest segment of TCP, announced to both sides: paths of 1,200 bytes are served, whether or not their routers say so.
const SEGMENT: u32 = 1160;
/// After a failed `accept`: descriptors may have run out.
const PAUSE: Duration = Duration::from_millis(100);

/// An HTTP proxy that opens tunnels (`CONNECT`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Where it is.
    pub address: SocketAddr,
    /// Value of `Proxy-Authorization`, or empty.
    pub authorization: String,
}

// Dialling

/// Dial a link.
pub(crate) async fn dial(
    desk: &Arc<Desk>,
    address: SocketAddr,
    expect: Option<NodeId>,
    proxy: Option<Proxy>,
) -> Result<Candidate, Ended> {
    let both = desk.settings.both();
    let (identity, trust) = both.ok_or_else(|| Ended::new("identity", "no identity and trust are installed yet"))?;
    let (config, verifier) = link_client_tcp(&identity, &trust).map_err(broken)?;
    let tcp = connect(address, proxy.as_ref()).await?;
    let remote = desk.shared.socket.canonical(peer(&tcp, address));
    let connector = TlsConnector::from(config);
    let tls = connector.connect(server_name(expect.as_ref())?, tcp).await;
    let tls = TlsStream::Client(tls.map_err(|error| refused(explain_io(&error), &verifier))?);
    let certified = certified(tls.get_ref().1.peer_certificates())?;
    let keys = hop_keys(&tls, identity.certified.node, certified.node).map_err(broken)?;
    // The far side judges us after our part of the handshake is done, so a refusal comes here.
    let socket = upgrade(tls, LINK_PATH).await.map_err(|ended| refused(ended, &verifier))?;
    let parts = websocket::start(socket, remote, None, Some(keys), arrived(desk, remote));
    identified(desk, candidate(certified, parts))
}

/// Dial a join lane: the leaf it showed, and a stream.
pub(crate) async fn knock(address: SocketAddr, pinned: bool, proxy: Option<Proxy>) -> Result<(Vec<u8>, Parts), Ended> {
    let config = join_client_tcp(pinned).map_err(broken)?;
    let tcp = connect(address, proxy.as_ref()).await?;
    let tls = TlsConnector::from(config).connect(server_name(None)?, tcp).await;
    let tls = TlsStream::Client(tls.map_err(|error| explain_io(&error))?);
    let leaf = tls.get_ref().1.peer_certificates().and_then(|chain| chain.first());
    let leaf = leaf.map(|leaf| leaf.to_vec()).unwrap_or_default();
    let socket = upgrade(tls, JOIN_PATH).await?;
    Ok((leaf, websocket::start(socket, address, None, None, Box::new(|_, _| {}))))
}

async fn upgrade(tls: Tls, path: &str) -> Result<WebSocketStream<Tls>, Ended> {
    let upgraded = client_async_with_config(format!("wss://pulse{path}"), tls, Some(limits(path))).await;
    upgraded.map(|(socket, _)| socket).map_err(|error| explain(&error))
}

async fn connect(address: SocketAddr, proxy: Option<&Proxy>) -> Result<TcpStream, Ended> {
    let to = proxy.map_or(address, |proxy| proxy.address);
    let socket = if to.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() };
    let socket = socket.map_err(|error| explain_io(&error))?;
    shorten(&socket);
    mark(&socket);
    let connected = timeout(CONNECT_DEADLINE, socket.connect(to)).await;
    let connected = connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
    let mut tcp = connected.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused if proxy.is_none() => Ended::new("closed", "nothing listens there"),
        _ => explain_io(&error),
    })?;
    prepare(&tcp);
    if let Some(proxy) = proxy {
        tunnel(&mut tcp, address, proxy).await?;
    }
    Ok(tcp)
}

/// Batches are flushed by us, so a small one is not to wait for the next; and what waits is to wait here, where it is
/// dropped once it is late, and not in the kernel.
fn prepare(tcp: &TcpStream) {
    let _slower = tcp.set_nodelay(true);
    let _later = SockRef::from(tcp).set_tcp_notsent_lowat(KERNEL_UNSENT);
}

/// Let connections of this socket, or accepted from it, have short segments.
pub(crate) fn shorten(socket: &impl AsFd) {
    let _longer = SockRef::from(socket).set_tcp_mss(SEGMENT);
}

/// RFC 9110 §9.3.6.
async fn tunnel(tcp: &mut TcpStream, address: SocketAddr, proxy: &Proxy) -> Result<(), Ended> {
    let address = SocketAddr::new(address.ip().to_canonical(), address.port());
    let authorization = match proxy.authorization.as_str() {
        "" => String::new(),
        value => format!("Proxy-Authorization: {value}\r\n"),
    };
    let request = format!("CONNECT {address} HTTP/1.1\r\nHost: {address}\r\n{authorization}\r\n");
    let failed = |error: io::Error| Ended::new("unreachable", format!("the proxy {}: {error}", proxy.address));
    tcp.write_all(request.as_bytes()).await.map_err(failed)?;
    let mut answer = vec![];
    while !answer.ends_with(b"\r\n\r\n") {
        if answer.len() >= PROXY_ANSWER {
            return Err(failed(io::Error::other("it answers at length")));
        }
        // Byte by byte: what follows the head is not ours to read here.
        answer.push(tcp.read_u8().await.map_err(failed)?);
    }
    let head = String::from_utf8_lossy(&answer);
    match head.split_whitespace().nth(1) {
        Some(status) if status.starts_with('2') => Ok(()),
        _ => {
            let said = super::carrier::printable(head.lines().next().unwrap_or_default().as_bytes());
            Err(Ended::new("unreachable", format!("the proxy {} says: {said}", proxy.address)))
        }
    }
}

// Accepting

/// Take in connections for as long as the data plane lives.
pub(crate) async fn accept(desk: Arc<Desk>, listener: TcpListener) {
    loop {
        match listener.accept().await {
            Ok(_) if desk.over.load(Ordering::Relaxed) => return,
            Ok((tcp, from)) => knocked(&desk, tcp, desk.shared.socket.canonical(from)),
            Err(_) => sleep(PAUSE).await,
        }
    }
}

/// A source that completed a TCP handshake has proven its address.
fn knocked(desk: &Arc<Desk>, tcp: TcpStream, from: SocketAddr) {
    if desk.shared.is_inside(from.ip()) {
        return;
    }
    if let Ok(pass) = desk.gate.knock(from.ip(), true, Instant::now()) {
        let desk = Arc::clone(desk);
        tokio::spawn(async move { admit(&desk, tcp, from, pass).await });
    }
}

async fn admit(desk: &Arc<Desk>, tcp: TcpStream, from: SocketAddr, pass: Pass) {
    let shaken = timeout(HANDSHAKE_DEADLINE, shake_hands(desk, tcp, from)).await;
    let outcome = match shaken {
        Ok(Ok(Guest::Member(candidate))) => {
            drop(pass);
            welcome(desk, candidate).await
        }
        Ok(Ok(Guest::Stranger { parts, pinned })) => {
            drop(pass);
            return join::received(desk, from, parts, pinned).await;
        }
        Ok(Err(ended)) => Err(ended),
        Err(_) => Err(Ended::new("timeout", "the handshake took too long")),
    };
    admitted(desk, from, outcome);
}

enum Guest {
    Member(Candidate),
    Stranger { parts: Parts, pinned: bool },
}

async fn shake_hands(desk: &Arc<Desk>, tcp: TcpStream, from: SocketAddr) -> Result<Guest, Ended> {
    prepare(&tcp);
    let local = tcp.local_addr().ok().map(|local| desk.shared.socket.canonical(local).ip());
    let start = LazyConfigAcceptor::new(Acceptor::default(), tcp).await.map_err(|error| explain_io(&error))?;
    let hello = start.client_hello();
    let asked: Vec<Vec<u8>> = hello.alpn().into_iter().flatten().map(<[u8]>::to_vec).collect();
    let asks = |alpn: &[u8]| asked.iter().any(|each| each == alpn);
    let both = desk.settings.both();
    let (identity, trust) = both.ok_or_else(|| Ended::new("identity", "no identity and trust are installed"))?;
    if asks(LINK) {
        let (config, verifier) = link_server_tcp(&identity, &trust).map_err(broken)?;
        let tls = start.into_stream(config).await.map_err(|error| refused(explain_io(&error), &verifier))?;
        let tls = TlsStream::Server(tls);
        let certified = certified(tls.get_ref().1.peer_certificates())?;
        let keys = hop_keys(&tls, identity.certified.node, certified.node).map_err(broken)?;
        let socket = upgraded(tls, LINK_PATH).await?;
        let parts = websocket::start(socket, from, local, Some(keys), arrived(desk, from));
        return identified(desk, candidate(certified, parts)).map(Guest::Member);
    }
    if asks(JOIN) || asks(JOIN_PINNED) {
        let config = join_server_tcp(&identity, desk.joins.throw_away()).map_err(broken)?;
        let tls = start.into_stream(config).await.map_err(|error| explain_io(&error))?;
        let socket = upgraded(TlsStream::Server(tls), JOIN_PATH).await?;
        let parts = websocket::start(socket, from, local, None, Box::new(|_, _| {}));
        return Ok(Guest::Stranger { parts, pinned: asks(JOIN_PINNED) });
    }
    Err(Ended::new("broken", "it asked for no lane of ours"))
}

/// Answer the HTTP request, if it asks for this path.
async fn upgraded(tls: Tls, path: &'static str) -> Result<WebSocketStream<Tls>, Ended> {
    #[expect(clippy::result_large_err, reason = "the library's own type")]
    let judge = move |request: &Request, response: Response| -> Result<Response, ErrorResponse> {
        if request.uri().path() == path {
            return Ok(response);
        }
        let mut not_found = ErrorResponse::new(None);
        *not_found.status_mut() = StatusCode::NOT_FOUND;
        Err(not_found)
    };
    accept_hdr_async_with_config(tls, judge, Some(limits(path))).await.map_err(|error| explain(&error))
}

// Both

fn candidate(certified: Certified, parts: Parts) -> Candidate {
    let Parts { carrier, reader, writer, outlet } = parts;
    Candidate { carrier: Arc::new(carrier), certified, reader, writer, outlet }
}

fn limits(path: &str) -> WebSocketConfig {
    let config = WebSocketConfig::default().max_write_buffer_size(UNSENT);
    if path == LINK_PATH {
        return config.max_message_size(Some(MESSAGE)).max_frame_size(Some(MESSAGE));
    }
    let config = config.max_message_size(Some(JOIN_MESSAGE)).max_frame_size(Some(JOIN_MESSAGE));
    config.read_buffer_size(JOIN_BUFFER).write_buffer_size(JOIN_BUFFER)
}

fn arrived(desk: &Arc<Desk>, from: SocketAddr) -> Arrived {
    let desk = Arc::clone(desk);
    Box::new(move |packets, stride| desk.arrivals().take(&desk.shared, packets, stride, from))
}

fn hop_keys(tls: &Tls, me: NodeId, them: NodeId) -> Result<HopKeys, rustls::Error> {
    let key = |sender: NodeId, receiver: NodeId| {
        let context = [sender, receiver].concat();
        let key = match tls {
            TlsStream::Client(tls) => tls.get_ref().1.export_keying_material([0; 32], HOP_LABEL, Some(&context)),
            TlsStream::Server(tls) => tls.get_ref().1.export_keying_material([0; 32], HOP_LABEL, Some(&context)),
        };
        key.map(|key| (sender, key))
    };
    Ok([key(me, them)?, key(them, me)?])
}

fn server_name(expect: Option<&NodeId>) -> Result<ServerName<'static>, Ended> {
    ServerName::try_from(pinned_name(expect)).map_err(|error| Ended::new("broken", error.to_string()))
}

fn peer(tcp: &TcpStream, dialled: SocketAddr) -> SocketAddr {
    tcp.peer_addr().unwrap_or(dialled)
}

fn refused(ended: Ended, verifier: &Verifier) -> Ended {
    verifier.take_refusal().map_or(ended, |refusal| Ended::new("certificate", refusal.to_string()))
}

fn broken(error: rustls::Error) -> Ended {
    Ended::new("broken", error.to_string())
}
