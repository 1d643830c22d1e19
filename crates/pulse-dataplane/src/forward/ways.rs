//! Which way a packet goes: from its destination to the peer, and to the hop that its flow takes there.
//!
//! Invariant: a way is found in the turn's snapshot and forgotten with it, so no swap of tables is missed. Where there
//! is one way and no policy, nothing but the destination is looked at.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arc_swap::Guard;

use super::denials::Denials;
use super::ends::{End, Refused};
use crate::conntrack::Conntrack;
use crate::event::{Bus, Event};
use crate::flow::{Flow, Traits, Transport};
use crate::frame::{FRAME_OVERHEAD, HopHeader, Kind, REPLY};
use crate::offload::{destination, ends};
use crate::policy::Policy;
use crate::seal::RECORD_OVERHEAD;
use crate::stats::Drop;
use crate::tables::{Addresses, Hop, Me, Peer, Routes, Shared};
use crate::verdicts::{Judged, Verdict, Verdicts};
use crate::{Handle, NodeId};

/// Between two events about one peer without a route.
const COMPLAINT: Duration = Duration::from_secs(1);

/// One snapshot of what decides.
#[derive(Debug)]
pub struct Map<'s> {
    conntrack: &'s Conntrack,
    me: Guard<Option<Arc<Me>>>,
    addresses: Guard<Arc<Addresses>>,
    routes: Guard<Arc<Routes>>,
    policy: Guard<Arc<Policy>>,
}

impl<'s> Map<'s> {
    pub fn of(shared: &'s Shared) -> Self {
        let (conntrack, me, addresses) = (&shared.conntrack, shared.me.load(), shared.addresses.load());
        Self { conntrack, me, addresses, routes: shared.routes.load(), policy: shared.policy.load() }
    }

    fn peer(&self, destination: IpAddr) -> Result<&Peer, Missing<'_>> {
        Ok(&self.addresses.destination(destination).ok_or(Missing::Owner)?.peer)
    }

    /// The way to `peer` of the packet that begins with `front`.
    fn way<'m>(&'m self, peer: &'m Peer, front: &[u8], verdicts: &mut Verdicts) -> Result<Way<'m>, Missing<'m>> {
        let src = self.me.as_deref().ok_or(Missing::Route(peer))?.v4;
        let policed = !self.policy.is_open();
        let beyond = destination(front).is_some_and(|there| self.addresses.is_beyond(there));
        let looks = policed || beyond || self.routes.divides(peer.handle);
        let mut transport = looks.then(|| Transport::of(front));
        let addresses = if self.policy.reads_ranges { ends(front) } else { None };
        let flow = Flow { src, dst: peer.handle, transport: transport.unwrap_or_default(), ends: addresses };
        let judged = match policed {
            true => {
                let mut end = End { conntrack: self.conntrack, policy: &self.policy, verdicts };
                end.admit(&flow, front).map_err(|refused| Missing::Leave(peer, flow.transport, refused))?
            }
            false => {
                if beyond {
                    let mut end = End { conntrack: self.conntrack, policy: &self.policy, verdicts };
                    end.expect(&flow, front);
                }
                Judged::OPEN
            }
        };
        let reply = if judged.verdict == Verdict::Reply { REPLY } else { 0 };
        let (hop, second) = self.hops(&flow, judged.redundant).ok_or(Missing::Route(peer))?;
        let second = second.or_else(|| self.beside(peer, hop));
        let relayed = !hop.path.is_direct();
        if relayed {
            transport.get_or_insert_with(|| Transport::of(front));
        }
        Ok(Way { peer, hop, second, src, transport, flags: reply | hop.flags(), relayed })
    }

    /// The hop that the flow's packets take, and the one for copies of them.
    fn hops(&self, flow: &Flow, redundant: bool) -> Option<(&Hop, Option<&Hop>)> {
        if !redundant {
            return Some((self.routes.pick(flow.dst, flow.hash(), None)?, None));
        }
        let best = self.routes.best(flow.dst)?;
        Some((best, self.routes.second(flow.dst, best)))
    }

    /// The hop for copies of what takes a path that loses too much for parity, if the peer takes part in such things.
    fn beside(&self, peer: &Peer, hop: &Hop) -> Option<&Hop> {
        let lossy = hop.path.protection().duplicate && peer.takes_parity();
        lossy.then(|| self.routes.second(peer.handle, hop)).flatten()
    }
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy)]
pub struct Way<'m> {
    pub peer: &'m Peer,
    pub hop: &'m Hop,
    /// Where a copy of its record goes, the same sealed bytes; most packets have none.
    second: Option<&'m Hop>,
    src: Handle,
    /// Of the packet it was found for; none if any packet to the peer goes this way.
    transport: Option<Transport>,
    flags: u8,
    /// The neighbour is not the peer: a bare record has nothing that would tell it where to send it.
    relayed: bool,
}

/// What goes around a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wrapping {
    /// Nothing: it goes to the peer itself and fits the link.
    Bare,
    /// A frame.
    Framed(HopHeader),
    /// Two frames, because one would be too long for the link.
    Cut(HopHeader),
}

impl Wrapping {
    /// Bytes to leave free in front of the record.
    pub fn room(&self) -> usize {
        if *self == Self::Bare { 0 } else { FRAME_OVERHEAD }
    }
}

impl<'m> Way<'m> {
    /// The way of the copy, if there is one.
    pub fn second(&self) -> Option<Self> {
        let hop: &'m Hop = self.second?;
        let flags = hop.flags() | self.flags & REPLY;
        Some(Self { hop, second: None, flags, relayed: !hop.path.is_direct(), ..*self })
    }

    /// What the records of packets of at most `longest` bytes, which begin with `front`, need.
    pub fn wrapping(&self, front: &[u8], longest: usize) -> Wrapping {
        let (size, record) = (self.hop.link.size.load(Ordering::Relaxed), RECORD_OVERHEAD + longest);
        if !self.relayed && record <= size {
            return Wrapping::Bare;
        }
        let header = self.header(Kind::Record, front);
        if FRAME_OVERHEAD + record <= size { Wrapping::Framed(header) } else { Wrapping::Cut(header) }
    }

    /// The longest packet that goes whole, as a copy too.
    pub fn mtu(&self) -> usize {
        let mtu = self.hop.path.mtu();
        self.second.map_or(mtu, |second| mtu.min(second.path.mtu()))
    }

    /// The flow of the packet that begins with `front`.
    pub fn flow(&self, front: &[u8]) -> Flow {
        let transport = self.transport.unwrap_or_else(|| Transport::of(front));
        Flow { src: self.src, dst: self.peer.handle, transport, ends: None }
    }

    /// The header around parity over packets of which the last begins with `front`.
    pub fn parity_header(&self, front: &[u8]) -> HopHeader {
        self.header(Kind::Parity, front)
    }

    fn header(&self, kind: Kind, front: &[u8]) -> HopHeader {
        let plain = HopHeader { flags: self.flags, ..HopHeader::new(self.src, self.peer.handle, kind) };
        plain.describe(self.flow(front).transport)
    }

    /// True if another packet to the peer, which begins with `front`, goes the same way.
    fn serves(&self, front: &[u8]) -> bool {
        let sound = !self.hop.is_suspect() && !self.second.is_some_and(Hop::is_suspect);
        // Of a fragment that holds the ports it is to be known that it passed, and of a connection that it ends.
        let same = |transport: Transport| {
            transport == Transport::of(front) && !transport.fragment && Traits::of(front).are_plain()
        };
        sound && self.transport.is_none_or(same)
    }
}

enum Missing<'m> {
    Owner,
    Route(&'m Peer),
    /// The rules do not let it go.
    Leave(&'m Peer, Transport, Refused),
}

/// Looks ways up; most packets go where the one before went.
#[derive(Debug)]
pub struct Ways<'m> {
    map: &'m Map<'m>,
    last: Option<(IpAddr, Way<'m>)>,
}

impl<'m> Ways<'m> {
    pub fn new(map: &'m Map<'m>) -> Self {
        Self { map, last: None }
    }

    /// The way of the packet that begins with `front`, or why there is none.
    pub fn of(&mut self, front: &[u8], bus: &Bus, memory: &mut Memory) -> Result<Way<'m>, Drop> {
        let destination = destination(front).ok_or(Drop::BadPacket)?;
        if forbidden(destination) {
            return Err(Drop::Multicast);
        }
        match self.last {
            Some((last, way)) if last == destination && way.serves(front) => return Ok(way),
            _ => {}
        }
        let found = self.map.peer(destination).and_then(|peer| self.map.way(peer, front, &mut memory.verdicts));
        let way = found.map_err(|missing| memory.reason(&missing, &self.map.policy, bus))?;
        self.last = Some((destination, way));
        Ok(way)
    }

    /// The way to `peer` of a packet that waited for it.
    pub fn to(&self, peer: &'m Peer, packet: &[u8], memory: &mut Memory) -> Result<Way<'m>, Drop> {
        self.map.way(peer, packet, &mut memory.verdicts).map_err(|missing| match missing {
            Missing::Leave(.., refused) => refused.reason,
            Missing::Owner | Missing::Route(_) => Drop::NoRoute,
        })
    }
}

/// Multicast, broadcast and link-local: the kernel sends such by itself (router solicitations, mDNS).
fn forbidden(destination: IpAddr) -> bool {
    match destination {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local(),
    }
}

/// What one thread remembers from turn to turn.
#[derive(Debug, Default)]
pub struct Memory {
    verdicts: Verdicts,
    denials: Denials,
    /// When we last told Python about a peer without a route.
    complaints: HashMap<NodeId, Instant>,
}

impl Memory {
    /// Another turn begins.
    pub fn begin_turn(&mut self) {
        self.verdicts.begin_turn();
    }

    fn reason(&mut self, missing: &Missing<'_>, policy: &Policy, bus: &Bus) -> Drop {
        match missing {
            Missing::Owner => Drop::UnknownDestination,
            Missing::Leave(peer, transport, refused) => {
                self.denials.refused(peer.node, transport, *refused, policy, bus)
            }
            Missing::Route(peer) => self.no_route(peer.node, bus),
        }
    }

    fn no_route(&mut self, node: NodeId, bus: &Bus) -> Drop {
        let now = Instant::now();
        if self.complaints.get(&node).is_none_or(|last| now.duration_since(*last) >= COMPLAINT) {
            self.complaints.insert(node, now);
            bus.emit(Event::NoRoute { node });
        }
        Drop::NoRoute
    }
}
