//! Two nodes in one process: real UDP sockets, hand-installed keys, and a socket pair in place of each TUN.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Packets, attach};
use crate::NodeId;
use crate::event::{Bus, Event};
use crate::inbox::Inbox;
use crate::offload::{VNET_HEADER, Vnet};
use crate::path::Paths;
use crate::probe::{Probes, size};
use crate::seal::{Cipher, HopOpener, HopSealer, RecordOpener, RecordSealer};
use crate::socket::Socket;
use crate::stats::{Drop, Drops, Traffic};
use crate::tables::{Addresses, Hop, Link, Me, Owner, Peer, Routes, Shared};
use crate::tun::Tun;

/// Far longer than anything here takes: it ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The index of every key and link in these tests.
pub const INDEX: u32 = 9;

/// One node and what a test touches of it.
pub struct Node {
    pub shared: Arc<Shared>,
    pub wanted: UnboundedReceiver<NodeId>,
    /// The far side of its TUN: what the kernel would hold.
    pub kernel: File,
    /// The other node, as this one knows it.
    pub peer: Arc<Peer>,
    pub link: Arc<Link>,
    /// Seals records as the other node would, for what only a rogue sends.
    pub rogue: RecordSealer,
    packets: Option<Packets>,
}

/// Two nodes that know each other.
pub struct Pair {
    pub left: Node,
    pub right: Node,
}

pub fn v4(node: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 100, 0, node)
}

pub fn v6(node: u8) -> Ipv6Addr {
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, node.into())
}

pub fn id(node: u8) -> NodeId {
    [node; 32]
}

/// A secret for each direction.
fn secret(from: u8, purpose: u8) -> [u8; 32] {
    [from * 16 + purpose; 32]
}

pub fn bound() -> io::Result<UdpSocket> {
    UdpSocket::bind("[::]:0")
}

pub fn loopback(socket: &UdpSocket) -> io::Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), socket.local_addr()?.port())))
}

impl Pair {
    pub fn new() -> io::Result<Self> {
        let (left, right) = (bound()?, bound()?);
        let (to_left, to_right) = (loopback(&left)?, loopback(&right)?);
        Ok(Self { left: Node::new(1, 2, left, to_right)?, right: Node::new(2, 1, right, to_left)? })
    }
}

impl Node {
    fn new(me: u8, other: u8, socket: UdpSocket, to: SocketAddr) -> io::Result<Self> {
        let (ours, kernel) = seqpacket_pair()?;
        let (sender, wanted) = unbounded_channel();
        let (link, peer) = (link(me, other, to), peer(me, other));
        let (paths, last) = (Paths::default(), false);
        let path = paths.take(v4(other), &link, last);
        let opener = RecordOpener::new(INDEX, id(other), v4(other), v6(other), &secret(other, 0), Cipher::Aes128Gcm);
        let shared = Arc::new(Shared {
            socket: Socket::new(socket.into())?,
            bus: Bus::new()?,
            drops: Drops::default(),
            me: ArcSwapOption::from_pointee(Me { node: id(me), v4: v4(me), v6: v6(me) }),
            links: ArcSwap::from_pointee(HashMap::from([(INDEX, Arc::clone(&link))])),
            openers: ArcSwap::from_pointee(HashMap::from([(INDEX, Arc::new(opener))])),
            addresses: ArcSwap::from_pointee(addresses(&peer)),
            routes: ArcSwap::from_pointee(Routes(HashMap::from([(
                v4(other),
                vec![Hop { link: Arc::clone(&link), weight: 1, path }],
            )]))),
            paths,
            tun: ArcSwapOption::empty(),
            link_inbox: Inbox::new(64),
            session_inbox: Inbox::new(64),
            wanted: sender,
        });
        let packets = Some(Packets::start(Arc::clone(&shared))?);
        attach(&shared, Tun::adopt("pair".to_owned(), vec![ours], true)?)?;
        let rogue = RecordSealer::new(INDEX, &secret(other, 0), Cipher::Aes128Gcm);
        Ok(Self { shared, wanted, kernel, peer, link, rogue, packets })
    }

    /// What an application's kernel would hand the TUN.
    pub fn write(&mut self, vnet: &Vnet, packet: &[u8]) -> io::Result<()> {
        self.kernel.write_vectored(&[IoSlice::new(&vnet.encode()), IoSlice::new(packet)]).map(drop)
    }

    /// The next super-packet that arrived for this node.
    pub fn read(&mut self) -> io::Result<(Vnet, Vec<u8>)> {
        let mut bytes = vec![0; 1 << 17];
        let length = self.kernel.read(&mut bytes)?;
        let vnet = bytes.first_chunk::<VNET_HEADER>().and_then(Vnet::decode).ok_or(io::ErrorKind::InvalidData)?;
        Ok((vnet, bytes.get(VNET_HEADER..length).ok_or(io::ErrorKind::UnexpectedEof)?.to_vec()))
    }

    /// Wait until so many packets were dropped for `reason`.
    pub fn dropped(&self, reason: Drop, packets: u64) -> bool {
        eventually(|| self.shared.drops.get(reason) >= packets)
    }

    pub fn events(&self) -> Vec<Event> {
        self.shared.bus.drain(100)
    }

    /// How long the packet threads take to stop.
    pub fn stop(&mut self) -> Duration {
        let begin = Instant::now();
        super::detach_tun(&self.shared);
        if let Some(packets) = self.packets.take() {
            packets.stop();
        }
        begin.elapsed()
    }
}

impl std::ops::Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Ask until it is true, or patience ends.
pub fn eventually(mut happened: impl FnMut() -> bool) -> bool {
    let end = Instant::now() + PATIENCE;
    while !happened() {
        if Instant::now() > end {
            return false;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

fn link(me: u8, other: u8, to: SocketAddr) -> Arc<Link> {
    Arc::new(Link {
        index: INDEX,
        node: id(other),
        handle: v4(other),
        remote: ArcSwap::from_pointee(to),
        local: None,
        sealer: HopSealer::new(INDEX, &secret(me, 1), Cipher::Aes128Gcm),
        opener: HopOpener::new(&secret(other, 1), Cipher::Aes128Gcm),
        probes: Probes::default(),
        traffic: Traffic::default(),
        suspect: false.into(),
        size: size::LEAST.into(),
    })
}

/// A link to node `other` that nothing is sent over; its index is that number.
pub fn bare_link(other: u8) -> Arc<Link> {
    let nowhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut link = link(0, other, nowhere);
    if let Some(link) = Arc::get_mut(&mut link) {
        link.index = other.into();
    }
    link
}

fn peer(me: u8, other: u8) -> Arc<Peer> {
    Arc::new(Peer {
        node: id(other),
        handle: v4(other),
        v6: v6(other),
        sealer: ArcSwapOption::from_pointee(RecordSealer::new(INDEX, &secret(me, 0), Cipher::Aes128Gcm)),
        waiting: VecDeque::new().into(),
        traffic: Traffic::default(),
        last_used: 0.into(),
    })
}

fn addresses(peer: &Arc<Peer>) -> Addresses {
    let owner = Owner { peer: Arc::clone(peer), destination: true, source: true };
    let hosts = HashMap::from([(IpAddr::V4(peer.handle), owner.clone()), (IpAddr::V6(peer.v6), owner)]);
    Addresses { hosts, networks: vec![], peers: HashMap::from([(peer.node, Arc::clone(peer))]) }
}

/// Keeps packet boundaries, as a TUN does. Our end does not block; the test's end gives up after a while.
pub fn seqpacket_pair() -> io::Result<(OwnedFd, File)> {
    let mut fds = [0; 2];
    // SAFETY: socketpair fills an array of two.
    if unsafe { libc::socketpair(libc::AF_UNIX, libc::SOCK_SEQPACKET | libc::SOCK_CLOEXEC, 0, fds.as_mut_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: both were just made and nobody else owns them.
    let (ours, kernel) = unsafe { (OwnedFd::from_raw_fd(fds[0]), OwnedFd::from_raw_fd(fds[1])) };
    socket2::SockRef::from(&ours).set_nonblocking(true)?;
    socket2::SockRef::from(&kernel.as_fd()).set_read_timeout(Some(PATIENCE))?;
    Ok((ours, kernel.into()))
}
