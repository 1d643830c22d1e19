//! Which way a packet goes: from its destination to the peer, and to the link that leads there.
//!
//! Invariant: a way is found in the turn's snapshot and forgotten with it, so no swap of tables is missed.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arc_swap::Guard;

use crate::NodeId;
use crate::event::{Bus, Event};
use crate::stats::Drop;
use crate::tables::{Addresses, Link, Peer, Routes, Shared};

/// Between two events about one peer without a route.
const COMPLAINT: Duration = Duration::from_secs(1);

/// One snapshot of what decides.
#[derive(Debug)]
pub struct Map {
    addresses: Guard<Arc<Addresses>>,
    routes: Guard<Arc<Routes>>,
}

impl Map {
    pub fn of(shared: &Shared) -> Self {
        Self { addresses: shared.addresses.load(), routes: shared.routes.load() }
    }

    fn way(&self, destination: IpAddr) -> Result<Way<'_>, Missing<'_>> {
        let owner = self.addresses.owner(destination).filter(|owner| owner.destination);
        let peer = &owner.ok_or(Missing::Owner)?.peer;
        Ok(Way { peer, link: direct_link(&self.routes, peer).ok_or(Missing::Route(peer))? })
    }
}

/// The link to `peer` itself: a bare record has nothing that would tell a relay where to send it.
pub fn direct_link<'r>(routes: &'r Routes, peer: &Peer) -> Option<&'r Arc<Link>> {
    routes.first(peer.handle).filter(|link| link.node == peer.node)
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy)]
pub struct Way<'m> {
    pub peer: &'m Arc<Peer>,
    pub link: &'m Arc<Link>,
}

enum Missing<'m> {
    Owner,
    Route(&'m Peer),
}

/// Looks ways up; most packets go where the one before went.
#[derive(Debug)]
pub struct Ways<'m> {
    map: &'m Map,
    last: Option<(IpAddr, Way<'m>)>,
}

impl<'m> Ways<'m> {
    pub fn new(map: &'m Map) -> Self {
        Self { map, last: None }
    }

    /// The way to `destination`, or why there is none.
    pub fn to(&mut self, destination: IpAddr, bus: &Bus, complaints: &mut Complaints) -> Result<Way<'m>, Drop> {
        if forbidden(destination) {
            return Err(Drop::Multicast);
        }
        match self.last {
            Some((last, way)) if last == destination && !way.link.suspect.load(Ordering::Relaxed) => return Ok(way),
            _ => {}
        }
        let way = self.map.way(destination).map_err(|missing| match missing {
            Missing::Owner => Drop::UnknownDestination,
            Missing::Route(peer) => complaints.no_route(peer.node, bus),
        })?;
        self.last = Some((destination, way));
        Ok(way)
    }
}

/// Multicast, broadcast and link-local: the kernel sends such by itself (router solicitations, mDNS).
fn forbidden(destination: IpAddr) -> bool {
    match destination {
        IpAddr::V4(v4) => v4.is_multicast() || v4.is_broadcast() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_multicast() || v6.is_unicast_link_local(),
    }
}

/// When we last told Python about a peer without a route.
#[derive(Debug, Default)]
pub struct Complaints(HashMap<NodeId, Instant>);

impl Complaints {
    fn no_route(&mut self, node: NodeId, bus: &Bus) -> Drop {
        let now = Instant::now();
        if self.0.get(&node).is_none_or(|last| now.duration_since(*last) >= COMPLAINT) {
            self.0.insert(node, now);
            bus.emit(Event::NoRoute { node });
        }
        Drop::NoRoute
    }
}
