//! Nodes in one process: real UDP sockets, hand-installed keys, and a socket pair in place of each TUN.
//!
//! Node `n` receives frames of neighbour `m` under index `m`, and records of node `m` under index `100 + m`.

use std::collections::{HashMap, VecDeque};
use std::fs::File;
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

use super::{Packets, attach};
use crate::NodeId;
use crate::event::{Bus, Event};
use crate::inbox::Inbox;
use crate::link::Bucket;
use crate::offload::{VNET_HEADER, Vnet};
use crate::outlet::Outlet;
use crate::path::Paths;
use crate::policy::Policy;
use crate::probe::{Probes, size};
use crate::seal::{Cipher, HopOpener, HopSealer, RecordOpener, RecordSealer};
use crate::socket::Socket;
use crate::stats::{Drop, Drops, Traffic};
use crate::tables::{Addresses, Link, Me, Owner, PASSING, Peer, Routes, Shared};
use crate::tun::Tun;

/// Far longer than anything here takes: it ends a test that hangs.
const PATIENCE: Duration = Duration::from_secs(10);

/// The index of every key and link in these tests.
pub const INDEX: u32 = 9;

/// One node and what a test touches of it.
pub struct Node {
    pub number: u8,
    pub shared: Arc<Shared>,
    pub wanted: UnboundedReceiver<NodeId>,
    /// The far side of its TUN: what the kernel would hold.
    pub kernel: File,
    /// The node at the far end, as this one knows it.
    pub peer: Arc<Peer>,
    /// The first link that leads there.
    pub link: Arc<Link>,
    /// Seals records as that node would, for what only a rogue sends.
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

/// A secret for each direction and purpose.
fn secret(from: u8, to: u8, purpose: u8) -> [u8; 32] {
    let mut secret = [purpose; 32];
    (secret[0], secret[1]) = (from, to);
    secret
}

pub fn bound() -> io::Result<UdpSocket> {
    UdpSocket::bind("[::]:0")
}

pub fn loopback(socket: &UdpSocket) -> io::Result<SocketAddr> {
    Ok(SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), socket.local_addr()?.port())))
}

impl Pair {
    pub fn new() -> io::Result<Self> {
        let [left, right] = row([1, 2])?;
        Ok(Self { left, right })
    }
}

/// Nodes of which each has a link with the one before and the one after it, and a way to all.
pub fn row<const N: usize>(numbers: [u8; N]) -> io::Result<[Node; N]> {
    let mut sockets = vec![];
    for number in numbers {
        sockets.push((number, bound()?));
    }
    let at: Vec<(u8, SocketAddr)> =
        sockets.iter().map(|(number, socket)| Ok((*number, loopback(socket)?))).collect::<io::Result<_>>()?;
    let mut nodes = vec![];
    for (place, (_, socket)) in sockets.into_iter().enumerate() {
        nodes.push(Node::new(&at, place, socket)?);
    }
    nodes.try_into().map_err(|_| io::ErrorKind::Other.into())
}

/// Make a link between two nodes that have none; no route uses it yet.
pub fn connect(one: &Node, other: &Node) -> io::Result<()> {
    for (node, neighbour) in [(one, other), (other, one)] {
        let to = SocketAddr::from((Ipv4Addr::LOCALHOST.to_ipv6_mapped(), neighbour.shared.socket.local_addr()?.port()));
        let mut links = HashMap::clone(&node.shared.links.load());
        links.insert(neighbour.number.into(), link(node.number, neighbour.number, to));
        node.shared.links.store(Arc::new(links));
    }
    Ok(())
}

impl Node {
    /// The node at `place` of a row of (number, address).
    fn new(row: &[(u8, SocketAddr)], place: usize, socket: UdpSocket) -> io::Result<Self> {
        let (ours, kernel) = seqpacket_pair()?;
        let (sender, wanted) = unbounded_channel();
        let (me, paths) = (row[place].0, Paths::default());
        let neighbours = [place.checked_sub(1), Some(place + 1)].into_iter().flatten().filter_map(|at| row.get(at));
        let links: HashMap<u32, _> =
            neighbours.map(|(number, to)| (u32::from(*number), link(me, *number, *to))).collect();
        let others = row.iter().enumerate().filter(|(at, _)| *at != place);
        let way = |at: usize| row[if at < place { place - 1 } else { place + 1 }].0;
        let routes = others.clone().filter_map(|(at, (number, _))| {
            let link = Arc::clone(links.get(&u32::from(way(at)))?);
            Some((v4(*number), vec![paths.hop(v4(*number), &link, 1, false)]))
        });
        let routes = Routes(routes.collect());
        let peers: Vec<_> = others.clone().map(|(_, (number, _))| peer(me, *number)).collect();
        let openers = others.map(|(_, (number, _))| (100 + u32::from(*number), Arc::new(opener(me, *number))));
        let far = if place == 0 { row.len() - 1 } else { 0 };
        let (far, towards) = (row[far].0, u32::from(way(far)));
        let peer = peers.iter().find(|peer| peer.handle == v4(far)).cloned().ok_or(io::ErrorKind::NotFound)?;
        let link = links.get(&towards).cloned().ok_or(io::ErrorKind::NotFound)?;
        let shared = Arc::new(Shared {
            socket: Socket::new(socket.into())?,
            bus: Bus::new()?,
            drops: Drops::default(),
            me: ArcSwapOption::from_pointee(Me { node: id(me), v4: v4(me), v6: v6(me) }),
            links: ArcSwap::from_pointee(links),
            openers: ArcSwap::from_pointee(openers.collect()),
            addresses: ArcSwap::from_pointee(addresses(&peers)),
            routes: ArcSwap::from_pointee(routes),
            policy: ArcSwap::default(),
            conntrack: Default::default(),
            hits: Default::default(),
            paths,
            attempts: Default::default(),
            tun: ArcSwapOption::empty(),
            link_inbox: Inbox::new(64),
            session_inbox: Inbox::new(64),
            wanted: sender,
        });
        let packets = Some(Packets::start(Arc::clone(&shared))?);
        attach(&shared, Tun::adopt("pair".to_owned(), vec![ours], true)?)?;
        let rogue = RecordSealer::new(100 + u32::from(far), &secret(far, me, 0), Cipher::Aes128Gcm);
        Ok(Self { number: me, shared, wanted, kernel, peer, link, rogue, packets })
    }

    /// Our end of the link with `neighbour`.
    pub fn link_with(&self, neighbour: u8) -> Arc<Link> {
        Arc::clone(&self.shared.links.load()[&u32::from(neighbour)])
    }

    /// Send what is for `to` over the links with these neighbours: (neighbour, weight, last).
    pub fn route(&self, to: u8, hops: &[(u8, u32, bool)]) {
        let hop = |&(neighbour, weight, last): &(u8, u32, bool)| {
            self.shared.paths.hop(v4(to), &self.link_with(neighbour), weight, last)
        };
        let mut routes = self.shared.routes.load().0.clone();
        routes.insert(v4(to), hops.iter().map(hop).collect());
        self.shared.routes.store(Arc::new(Routes(routes)));
    }

    /// Seals frames to this node as `neighbour` would, under counters that one never comes to.
    pub fn hop_rogue(&self, neighbour: u8) -> HopSealer {
        let sealer = HopSealer::new(neighbour.into(), &secret(neighbour, self.number, 1), Cipher::Aes128Gcm);
        sealer.reserve(10_000);
        sealer
    }

    /// Seals records to this node as `other` would.
    pub fn record_rogue(&self, other: u8) -> RecordSealer {
        RecordSealer::new(100 + u32::from(other), &secret(other, self.number, 0), Cipher::Aes128Gcm)
    }

    /// Opens frames that `neighbour` seals to this node.
    pub fn hop_opener(&self, neighbour: u8) -> HopOpener {
        HopOpener::new(&secret(neighbour, self.number, 1), Cipher::Aes128Gcm)
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
    /// From here on every packet is judged by `policy`, which no other node has: no turn is left with the one before.
    pub fn judge_by(&self, policy: Arc<Policy>) {
        let before = self.shared.policy.swap(policy);
        assert!(eventually(|| Arc::strong_count(&before) == 1));
    }

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
    link_through(me, other, to, Outlet::Udp)
}

/// The link of these two as it would be anywhere, but with packets that leave there.
pub fn link_through(me: u8, other: u8, to: SocketAddr, outlet: Outlet) -> Arc<Link> {
    Arc::new(Link {
        index: other.into(),
        node: id(other),
        handle: v4(other),
        remote: ArcSwap::from_pointee(to),
        local: None,
        outlet,
        sealer: HopSealer::new(me.into(), &secret(me, other, 1), Cipher::Aes128Gcm),
        opener: HopOpener::new(&secret(other, me, 1), Cipher::Aes128Gcm),
        probes: Probes::default(),
        traffic: Traffic::default(),
        suspect: false.into(),
        size: size::MOST.into(),
        settled: 0.into(),
        halves: Mutex::default(),
        passing: Bucket::new(PASSING, Instant::now()).into(),
    })
}

/// A link to node `other` that nothing is sent over; its index is that number.
pub fn bare_link(other: u8) -> Arc<Link> {
    link(0, other, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)))
}

fn opener(me: u8, other: u8) -> RecordOpener {
    let index = 100 + u32::from(other);
    let (secret, cipher) = (secret(other, me, 0), Cipher::Aes128Gcm);
    RecordOpener::new(index, id(other), v4(other), v6(other), &secret, cipher).with_parity(&secret, cipher)
}

fn peer(me: u8, other: u8) -> Arc<Peer> {
    let (secret, cipher) = (secret(me, other, 0), Cipher::Aes128Gcm);
    let sealer = RecordSealer::new(100 + u32::from(me), &secret, cipher).with_parity(&secret, cipher);
    Arc::new(Peer {
        node: id(other),
        handle: v4(other),
        v6: v6(other),
        sealer: ArcSwapOption::from_pointee(sealer),
        waiting: VecDeque::new().into(),
        traffic: Traffic::default(),
        fec: Arc::default(),
        wanted_at: 0.into(),
    })
}

fn addresses(peers: &[Arc<Peer>]) -> Addresses {
    let mut addresses = Addresses::default();
    for peer in peers {
        let owner = Owner { peer: Arc::clone(peer), destination: true, source: true };
        addresses.hosts.insert(IpAddr::V4(peer.handle), owner.clone());
        addresses.hosts.insert(IpAddr::V6(peer.v6), owner);
        addresses.peers.insert(peer.node, Arc::clone(peer));
    }
    addresses
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
