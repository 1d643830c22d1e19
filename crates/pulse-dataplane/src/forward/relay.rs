//! A relay: what becomes of a frame that is for another node.
//!
//! Invariant: a relay opens the hop header alone; a frame leaves over a link it did not come over, with one hop less
//! to go, and nothing of it reaches our own TUN.

use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Instant;

use super::incoming::View;
use super::onward::Onward;
use crate::LinkId;
use crate::frame::{self, HopHeader, Kind, LAST, TTL};
use crate::link::Bucket;
use crate::policy::Policy;
use crate::stats::Drop;
use crate::tables::{Link, Shared};
use crate::verdicts::Verdicts;

/// Decisions remembered for one turn.
const DECISIONS: usize = 16;

/// A way on: the link, and the flags its neighbour is to see.
type Way<'s> = (&'s Link, u8);

/// The relaying of one turn.
#[derive(Debug)]
pub struct Relay<'s, 'b> {
    shared: &'s Shared,
    view: &'s View,
    decisions: [Option<Decision<'s>>; DECISIONS],
    passing: Option<(LinkId, MutexGuard<'s, Bucket>)>,
    onward: Onward<'s, 'b>,
}

#[derive(Debug, Clone, Copy)]
struct Decision<'s> {
    from: LinkId,
    /// The header without its ttl.
    header: HopHeader,
    way: Result<Way<'s>, Drop>,
}

impl<'s, 'b> Relay<'s, 'b> {
    /// For one turn.
    pub fn new(shared: &'s Shared, view: &'s View) -> Self {
        let onward = Onward::new(shared);
        Self { shared, view, decisions: [None; DECISIONS], passing: None, onward }
    }

    /// Pass on `frame`, which opened and came over `from`, or count why not.
    pub fn take(
        &mut self,
        from: &'s Link,
        header: &HopHeader,
        frame: &'b mut [u8],
        verdicts: &mut Verdicts,
        now: impl FnOnce() -> Instant,
    ) {
        let way = match (header.kind, header.ttl) {
            (Kind::LinkProbe, _) => Err(Drop::NotForUs),
            (_, 0 | 1) => Err(Drop::TtlExceeded),
            _ => self.decide(from, header, verdicts),
        };
        match way.and_then(|way| self.admit(from, header.kind, now).map(|()| way)) {
            Ok((link, flags)) => {
                // Whatever a neighbour claims: nothing goes further than a frame of ours would.
                let ttl = header.ttl.min(TTL) - 1;
                frame::pass_on(frame, ttl, flags);
                let header = HopHeader { ttl, flags, ..*header };
                self.onward.add(link, &header, frame);
            }
            Err(reason) => self.shared.drops.count(reason),
        }
    }

    /// Let everything leave.
    pub fn flush(&mut self) {
        self.onward.flush();
    }

    fn decide(&mut self, from: &Link, header: &HopHeader, verdicts: &mut Verdicts) -> Result<Way<'s>, Drop> {
        let header = HopHeader { ttl: 0, ..*header };
        let place = header.flow().hash() as usize % DECISIONS;
        match &self.decisions[place] {
            Some(known) if known.header == header && known.from == from.index => known.way,
            _ => {
                let way = self.find(from, &header, verdicts);
                self.decisions[place] = Some(Decision { from: from.index, header, way });
                way
            }
        }
    }

    fn find(&self, from: &Link, header: &HopHeader, verdicts: &mut Verdicts) -> Result<Way<'s>, Drop> {
        let HopHeader { src, dst, flags, .. } = *header;
        if src == dst || self.view.addresses.by_handle(src).is_none_or(|peer| peer.handle != src) {
            return Err(Drop::UnknownSource);
        }
        let policed = matches!(header.kind, Kind::Record | Kind::Parity);
        if policed && !may_pass(&self.view.policy, verdicts, header) {
            return Err(Drop::PolicyDenied);
        }
        if flags & LAST != 0 {
            let link = self.own_link(from, header).ok_or(Drop::NotAdjacent)?;
            return Ok((link, flags & !LAST));
        }
        let Some(hop) = self.view.routes.pick(dst, header.flow().hash(), Some(from.index)) else {
            let none = self.view.routes.hops(dst).is_empty();
            return Err(if none { Drop::NoRoute } else { Drop::NoWayButBack });
        };
        Ok((&hop.link, flags | hop.flags()))
    }

    /// A link of ours to the destination itself: best one that the table names, for it is known to be up at both ends; a
    /// suspect one only if there is no other.
    fn own_link(&self, from: &Link, header: &HopHeader) -> Option<&'s Link> {
        let named = self.view.routes.pick_direct(header.dst, header.flow().hash(), from.index);
        if let Some(hop) = named.filter(|hop| !hop.is_suspect()) {
            return Some(&hop.link);
        }
        let usable = |link: &&Arc<Link>| link.handle == header.dst && link.index != from.index;
        let others = || self.view.links.values().filter(usable);
        let healthy = others().find(|link| !link.suspect.load(Ordering::Relaxed));
        Some(healthy.or(named.map(|hop| &hop.link)).or_else(|| others().next())?)
    }

    /// What no policy judges is held to a rate.
    fn admit(&mut self, from: &'s Link, kind: Kind, now: impl FnOnce() -> Instant) -> Result<(), Drop> {
        if !matches!(kind, Kind::Session | Kind::PathProbe) {
            return Ok(());
        }
        let bucket = match &mut self.passing {
            Some((link, bucket)) if *link == from.index => bucket,
            passing => {
                // Never two at a time: another link's is let go first.
                *passing = None;
                let bucket = from.passing.lock().unwrap_or_else(PoisonError::into_inner);
                &mut passing.insert((from.index, bucket)).1
            }
        };
        if bucket.take(now()) { Ok(()) } else { Err(Drop::RateLimited) }
    }
}

/// What the rules say of a packet with this header. The packet that an ICMP error is about, and the one that a fragment
/// without ports belongs to, are for the destination to know.
pub fn may_pass(policy: &Policy, verdicts: &mut Verdicts, header: &HopHeader) -> bool {
    let said = header.flow().transport;
    let belongs = said.is_icmp_error() || said.fragment;
    verdicts.lets_pass(policy, &header.judged_flow()) || (belongs && policy.connects(header.src, header.dst))
}
