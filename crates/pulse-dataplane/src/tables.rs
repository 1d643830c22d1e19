//! What the packet threads look things up in, and the one value that holds it all.
//!
//! Invariant: tables are immutable snapshots, swapped whole; counters, windows and keys live in `Arc`s
//! *outside* them, so that a swap can never reset a counter and reuse a nonce.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::mpsc::UnboundedSender;

use crate::conntrack::Conntrack;
use crate::event::Bus;
use crate::fec;
use crate::flow::{Flow, mix};
use crate::forward::Halves;
use crate::hits::Hits;
use crate::inbox::Inbox;
use crate::link::Bucket;
use crate::outlet::Outlet;
use crate::path::{Path, Paths};
use crate::policy::Policy;
use crate::probe::Probes;
use crate::punch::Attempts;
use crate::seal::{HopOpener, HopSealer, RecordOpener, RecordSealer};
use crate::socket::Socket;
use crate::stats::{Drops, Traffic};
use crate::tun::{MTU, Tun};
use crate::{Handle, LinkId, NodeId};

/// Session packets and path probes a second that one neighbour may have us pass on, whatever the policy. Streams over
/// a relay were measured at 2.5 Gbit/s, which is 260,000 packets; a cap below that would be a cap on them.
pub const PASSING: f64 = 500_000.0;

/// Everything the threads of one data plane share.
#[derive(Debug)]
pub struct Shared {
    /// The one UDP socket.
    pub socket: Socket,
    /// What Python hears.
    pub bus: Bus,
    /// Why packets were dropped.
    pub drops: Drops,
    /// Our own mesh addresses and id; none before `install_identity`.
    pub me: ArcSwapOption<Me>,
    /// Links by our receive index.
    pub links: ArcSwap<HashMap<LinkId, Arc<Link>>>,
    /// Record keys by our receive index.
    pub openers: ArcSwap<HashMap<u32, Arc<RecordOpener>>>,
    /// Which node an address belongs to.
    pub addresses: ArcSwap<Addresses>,
    /// Which links lead to a node.
    pub routes: ArcSwap<Routes>,
    /// Which flows are allowed.
    pub policy: ArcSwap<Policy>,
    /// Which rule decided on how many.
    pub hits: Hits,
    /// Which flows were opened here, whatever the policy since.
    pub conntrack: Conntrack,
    /// What is known of the paths in the table; kept while tables are swapped.
    pub paths: Paths,
    /// The attempts at a hole in a NAT that are under way.
    pub attempts: Attempts,
    /// The TUN device, while attached.
    pub tun: ArcSwapOption<Tun>,
    /// QUIC packets of links and joins.
    pub link_inbox: Inbox,
    /// QUIC packets of sessions, unwrapped from frames.
    pub session_inbox: Inbox,
    /// Nodes the TUN thread wants a session with; read by the session task.
    pub wanted: UnboundedSender<NodeId>,
}

impl Shared {
    /// True for a mesh address, ours or another node's: a link there would be a tunnel in itself, and its packets would
    /// come back to be wrapped again.
    pub fn is_inside(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        let is_ours = self.me.load().as_ref().is_some_and(|me| address == me.v4 || address == me.v6);
        is_ours || self.addresses.load().hosts.contains_key(&address)
    }
}

/// Who we are, as far as packets are concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Me {
    /// Our id.
    pub node: NodeId,
    /// Our IPv4 mesh address.
    pub v4: Ipv4Addr,
    /// Our IPv6 mesh address.
    pub v6: Ipv6Addr,
}

/// One live link, as the packet threads see it.
#[derive(Debug)]
pub struct Link {
    /// Our receive index.
    pub index: LinkId,
    /// The verified neighbour.
    pub node: NodeId,
    /// Its handle.
    pub handle: Handle,
    /// Where frames and bare records for it go; moved only by an echoed probe.
    pub remote: ArcSwap<SocketAddr>,
    /// Where its packets leave.
    pub outlet: Outlet,
    /// The address of ours that the neighbour dialled: to it, and to firewalls on the way, we are no other. None if
    /// we dialled.
    pub local: Option<IpAddr>,
    /// Seals frames to it.
    pub sealer: HopSealer,
    /// Opens frames from it.
    pub opener: HopOpener,
    /// RTT, jitter and loss from our probes.
    pub probes: Probes,
    /// What it carried.
    pub traffic: Traffic,
    /// Three echoes in a row are missing.
    pub suspect: AtomicBool,
    /// Bytes of UDP payload that may be sent on it now; a longer frame goes as two.
    pub size: AtomicUsize,
    /// The size its last trial ended with, 0 before: what senders of packets may be told for minutes.
    pub settled: AtomicUsize,
    /// Halves of frames from it that wait for their other half.
    pub halves: Mutex<Halves>,
    /// What it may have us pass on beside the policy.
    pub passing: Mutex<Bucket>,
}

/// One node that IP packets can be sent to; lives as long as an address names it.
#[derive(Debug)]
pub struct Peer {
    /// Its id.
    pub node: NodeId,
    /// Its handle.
    pub handle: Handle,
    /// Its IPv6 mesh address.
    pub v6: Ipv6Addr,
    /// Seals records to it; none while no session has agreed on keys.
    pub sealer: ArcSwapOption<RecordSealer>,
    /// Packets that wait for the session; see `forward`.
    pub waiting: Mutex<VecDeque<Waiting>>,
    /// What was carried, in inner bytes.
    pub traffic: Traffic,
    /// What became of parity, both ways.
    pub fec: Arc<fec::Counts>,
    /// Coarse time (seconds of the data plane) when Python was told last that there is traffic for it; 0 for never.
    pub wanted_at: AtomicU64,
}

impl Peer {
    /// True if its session agreed on parity.
    pub fn takes_parity(&self) -> bool {
        self.sealer.load().as_ref().is_some_and(|sealer| sealer.parity.is_some())
    }
}

/// A packet that waits for a session; its checksum is whole.
#[derive(Debug)]
pub struct Waiting {
    /// The IP packet.
    pub packet: Vec<u8>,
    /// When it came.
    pub since: std::time::Instant,
}

/// What lies behind a prefix.
#[derive(Debug, Clone)]
pub struct Owner {
    /// The node.
    pub peer: Arc<Peer>,
    /// Packets to the prefix go to it.
    pub destination: bool,
    /// Packets from the prefix may come from it.
    pub source: bool,
}

/// Longest-prefix match from address to node. Mesh addresses are host prefixes and cost one look-up.
#[derive(Debug, Default)]
pub struct Addresses {
    /// Host prefixes.
    pub hosts: HashMap<IpAddr, Owner>,
    /// All others, longest first: (network, length, owner).
    pub networks: Vec<(IpAddr, u8, Owner)>,
    /// Each node once.
    pub peers: HashMap<NodeId, Arc<Peer>>,
    /// Prefixes that others reach through us.
    pub behind_us: Vec<(IpAddr, u8)>,
    /// The mesh's own prefixes: what is in them is a node's or nobody's, whatever wider prefix holds it.
    pub mesh: Vec<(IpAddr, u8)>,
}

impl Addresses {
    /// Where packets to `address` go: of several owners of one prefix the first that takes them.
    pub fn destination(&self, address: IpAddr) -> Option<&Owner> {
        if let Some(owner) = self.hosts.get(&address) {
            return Some(owner).filter(|owner| owner.destination);
        }
        let holds =
            |(network, length, owner): &&(IpAddr, u8, Owner)| owner.destination && contains(*network, *length, address);
        self.networks.iter().find(holds).map(|(.., owner)| owner).filter(|_| !self.is_of_mesh(address))
    }

    /// True if `address` lies in a prefix of the mesh itself, whether a node has it or none.
    pub fn is_of_mesh(&self, address: IpAddr) -> bool {
        self.hosts.contains_key(&address) || self.mesh.iter().any(|(net, length)| contains(*net, *length, address))
    }

    /// True if `address` is no mesh address, but what lies behind some node.
    pub fn is_beyond(&self, address: IpAddr) -> bool {
        !self.networks.is_empty() && !self.is_of_mesh(address)
    }

    /// True if others reach `address` through us. The prefix of length 0 stands for the public Internet alone.
    pub fn is_behind_us(&self, address: IpAddr) -> bool {
        let leads = |(network, length): &(IpAddr, u8)| {
            contains(*network, *length, address) && (*length > 0 || is_public(address))
        };
        self.behind_us.iter().any(leads) && !self.is_of_mesh(address)
    }

    /// Bits of the longest prefix that holds `address` and from which packets of `node` may come.
    pub fn source_of(&self, address: IpAddr, node: &NodeId) -> Option<u8> {
        if let Some(owner) = self.hosts.get(&address) {
            return (owner.source && owner.peer.node == *node).then_some(if address.is_ipv4() { 32 } else { 128 });
        }
        let may = |(network, length, owner): &&(IpAddr, u8, Owner)| {
            owner.source
                && owner.peer.node == *node
                && contains(*network, *length, address)
                && (*length > 0 || is_public(address))
        };
        self.networks.iter().find(may).map(|(_, length, _)| *length).filter(|_| !self.is_of_mesh(address))
    }

    /// The peer whose handle is `handle`.
    pub fn by_handle(&self, handle: Handle) -> Option<&Arc<Peer>> {
        self.hosts.get(&IpAddr::V4(handle)).map(|owner| &owner.peer)
    }
}

/// True if `address` lies in `network`/`length`.
pub fn contains(network: IpAddr, length: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32 - u32::from(length.min(32));
            network.to_bits().checked_shr(shift).unwrap_or(0) == address.to_bits().checked_shr(shift).unwrap_or(0)
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128 - u32::from(length.min(128));
            network.to_bits().checked_shr(shift).unwrap_or(0) == address.to_bits().checked_shr(shift).unwrap_or(0)
        }
        _ => false,
    }
}

/// True for an address of the public Internet: neither private, shared, link-local, loopback, multicast nor reserved
/// (RFC 6890), nor where a cloud tells a machine its secrets; of IPv6 what is assigned for it (RFC 4291 §2.4).
/// `core/network/ranges.py` judges alike: both are held to `tests/vectors/public.txt`.
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            let [first, second, third, _] = v4.octets();
            let local = v4.is_private() || v4.is_loopback() || v4.is_link_local();
            let shared = first == 100 && second & 0xc0 == 64;
            let metadata = v4.octets() == [168, 63, 129, 16];
            !local && !shared && !metadata && first != 0 && first < 224 && [first, second, third] != [192, 0, 0]
        }
        IpAddr::V6(v6) => v6.segments()[0] >> 13 == 1,
    }
}

/// Which ways lead to a node, best first.
#[derive(Debug, Default)]
pub struct Routes(pub HashMap<Handle, Vec<Hop>>);

/// One way out.
#[derive(Debug, Clone)]
pub struct Hop {
    /// The first link.
    pub link: Arc<Link>,
    /// Its share of the flows; 0 for a warm backup.
    pub weight: u32,
    /// The neighbour must use a link of its own to the node.
    pub last: bool,
    /// What is known of the whole path.
    pub path: Arc<Path>,
}

impl Hop {
    /// True while it should be avoided, whatever the table says: two relaxed loads.
    pub fn is_suspect(&self) -> bool {
        self.link.suspect.load(Ordering::Relaxed) || self.path.is_suspect()
    }

    /// The flags of frames that leave here.
    pub fn flags(&self) -> u8 {
        self.path.flags(self.last)
    }

    /// Where this hop comes among all for the flow of this hash; the lowest gets it. An exponential race: each hop
    /// wins its weight's share of the flows, and a change of one hop moves only flows that it wins or loses
    /// (weighted rendezvous hashing, Schindelhauer and Schomaker 2005).
    fn draw(&self, flow: u64) -> f64 {
        let random = mix(flow ^ mix(u64::from(self.link.index))) >> 11;
        // In (0, 1): 53 bits are what a float holds.
        let uniform = (random as f64 + 0.5) / (1_u64 << 53) as f64;
        -uniform.ln() / f64::from(self.weight)
    }
}

impl Routes {
    /// The ways to `handle`.
    pub fn hops(&self, handle: Handle) -> &[Hop] {
        self.0.get(&handle).map_or(&[], Vec::as_slice)
    }

    /// The hop for a flow to `handle`, the same each time while the table and who is suspect stay the same: never
    /// over `except`; a backup only while all others are suspect; a suspect one only if there is no other.
    pub fn pick(&self, handle: Handle, flow: u64, except: Option<LinkId>) -> Option<&Hop> {
        self.pick_among(handle, flow, |hop| Some(hop.link.index) != except)
    }

    /// As `pick`, of the hops that are links to the node itself.
    pub fn pick_direct(&self, handle: Handle, flow: u64, except: LinkId) -> Option<&Hop> {
        self.pick_among(handle, flow, |hop| hop.path.is_direct() && hop.link.index != except)
    }

    /// The best hop to `handle`; a suspect one only if there is no other.
    pub fn best(&self, handle: Handle) -> Option<&Hop> {
        let hops = self.hops(handle);
        hops.iter().find(|hop| !hop.is_suspect()).or_else(|| hops.first())
    }

    /// The best hop to `handle` beside `first`: where copies of what goes there go. A backup is as good as any; a suspect
    /// one serves only beside a suspect one.
    pub fn second(&self, handle: Handle, first: &Hop) -> Option<&Hop> {
        let mut others = self.hops(handle).iter().filter(|hop| hop.link.index != first.link.index);
        let next = others.clone().next().filter(|_| first.is_suspect());
        others.find(|hop| !hop.is_suspect()).or(next)
    }

    /// The hop that packets of the session between two nodes take; all of one direction take the same.
    pub fn for_session(&self, us: Handle, them: Handle) -> Option<&Hop> {
        self.pick(them, Flow::session(us, them).hash(), None)
    }

    fn pick_among(&self, handle: Handle, flow: u64, usable: impl Fn(&Hop) -> bool) -> Option<&Hop> {
        let usable = || self.hops(handle).iter().filter(|hop| usable(hop));
        let healthy = || usable().filter(|hop| !hop.is_suspect());
        draw(flow, healthy().filter(|hop| hop.weight > 0))
            .or_else(|| healthy().next())
            .or_else(|| draw(flow, usable().filter(|hop| hop.weight > 0)))
            .or_else(|| usable().next())
    }

    /// The longest packet that goes whole on each way to `handle` that is in use.
    pub fn mtu(&self, handle: Handle) -> usize {
        let used = self.hops(handle).iter().filter(|hop| hop.weight > 0);
        used.map(|hop| hop.path.mtu()).min().unwrap_or(MTU)
    }

    /// True if flows to `handle` may take several ways.
    pub fn divides(&self, handle: Handle) -> bool {
        self.hops(handle).iter().filter(|hop| hop.weight > 0).count() > 1
    }

    /// The hop to `handle` that begins with `link`.
    pub fn over(&self, handle: Handle, link: LinkId) -> Option<&Hop> {
        self.hops(handle).iter().find(|hop| hop.link.index == link)
    }

    /// The hop to `handle` over a link of our own.
    pub fn direct(&self, handle: Handle) -> Option<&Hop> {
        self.hops(handle).iter().find(|hop| hop.path.is_direct())
    }
}

/// The winner among `hops`, which costs nothing if there is only one.
fn draw<'h>(flow: u64, mut hops: impl Iterator<Item = &'h Hop>) -> Option<&'h Hop> {
    let first = hops.next()?;
    let Some(second) = hops.next() else { return Some(first) };
    let draws = [first, second].into_iter().chain(hops).map(|hop| (hop.draw(flow), hop));
    draws.min_by(|(one, _), (other, _)| one.total_cmp(other)).map(|(_, hop)| hop)
}

#[cfg(test)]
#[path = "tables_tests.rs"]
pub(crate) mod tests;
