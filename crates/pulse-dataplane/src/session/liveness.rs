//! The round: a few times a second, which peers are in use, what their paths carry, and what to report to them.
//!
//! Invariant: one task looks after all peers, once a second while nobody sends anything, so that an idle mesh costs
//! next to nothing.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::desk::Desk;
use super::peer::Session;
use crate::clock::now;
use crate::event::Event;
use crate::path::{Path, Usage};
use crate::report::{Coverage, Expected, Report, Trail};
use crate::tables::Peer;
use crate::{Handle, LinkId, NodeId};

/// How long traffic keeps a peer in use.
const IN_USE: Duration = Duration::from_secs(5);
/// Rounds in the time of one while somebody is in use.
const BUSY: u32 = 5;
/// Between reports.
const REPORT: Duration = Duration::from_secs(1);
/// A round that comes so late says that we slept.
const SLEPT: Duration = Duration::from_secs(3);
/// Ways to one peer that are probed at a time.
const MOST: usize = 8;

/// What was seen of each peer.
#[derive(Debug, Default)]
pub struct Liveness {
    peers: HashMap<NodeId, Watched>,
    looked: Duration,
    reported: Duration,
}

#[derive(Debug, Default)]
struct Watched {
    seen: (u64, u64),
    used_until: Option<Duration>,
    keys: Vec<Key>,
}

/// The records under one key of ours; the key itself is not held.
#[derive(Debug)]
struct Key {
    index: u32,
    trail: Arc<Trail>,
    coverage: Coverage,
}

/// Look after the paths for as long as the runtime lives.
pub async fn run(desk: Arc<Desk>) {
    let tick = desk.tuning.tick;
    loop {
        let round = catch_unwind(AssertUnwindSafe(|| desk.round(now())));
        let busy = round.unwrap_or_else(|_| {
            desk.count_panic("a round");
            false
        });
        sleep(if busy { tick / BUSY } else { tick }).await;
    }
}

impl Desk {
    /// One round; true if anybody is in use.
    fn round(&self, now: Duration) -> bool {
        let mut liveness = self.liveness();
        let slept = now.saturating_sub(liveness.looked) > SLEPT + self.tuning.tick;
        liveness.looked = now;
        let reports_are_due = now.saturating_sub(liveness.reported) >= REPORT.min(self.tuning.tick);
        let addresses = self.shared.addresses.load();
        liveness.peers.retain(|node, _| addresses.peers.contains_key(node));
        let mut busy = false;
        for peer in addresses.peers.values() {
            let session = self.serving(&peer.node);
            let watched = liveness.peers.entry(peer.node).or_default();
            let in_use = self.look(watched, peer, session.as_deref(), now);
            self.follow(watched, peer, slept, now);
            if let Some(session) = session {
                self.probe(peer.handle, &session, in_use, now);
            }
            if in_use || reports_are_due {
                self.judge_paths(peer, now);
            }
            busy |= in_use;
        }
        if reports_are_due {
            liveness.reported = now;
            drop(liveness);
            self.report();
        }
        busy
    }

    /// True if there was traffic lately. Keep-alive packets, kicks and reports are none.
    fn look(&self, watched: &mut Watched, peer: &Peer, session: Option<&Session>, now: Duration) -> bool {
        let seen = (peer.traffic.packets(), session.map_or(0, Session::stream_frames));
        if seen.0 != watched.seen.0 {
            self.used(peer);
        }
        if std::mem::replace(&mut watched.seen, seen) != seen {
            watched.used_until = Some(now + IN_USE);
        }
        watched.used_until.is_some_and(|until| now < until)
    }

    /// What left for `peer`, and whether it is heard of.
    fn follow(&self, watched: &mut Watched, peer: &Peer, slept: bool, now: Duration) {
        watched.follow_key(peer);
        for key in &mut watched.keys {
            key.coverage.departed(key.trail.take(), now);
            if slept {
                key.coverage.forget_all();
            }
            for outcome in key.coverage.settle(now) {
                if let Some(path) = self.shared.paths.over(peer.handle, outcome.link) {
                    path.reported(outcome.records, outcome.lost, outcome.gaps, now);
                }
            }
            for link in key.coverage.unheard(now, |link| self.expected(peer.handle, link)) {
                key.coverage.forget(link);
                if let Some(path) = self.shared.paths.over(peer.handle, link) {
                    path.unheard(now);
                }
            }
        }
    }

    fn expected(&self, handle: Handle, link: LinkId) -> Expected {
        let (rtt, loss) = self.shared.paths.over(handle, link).map_or_else(Default::default, |path| path.expected());
        Expected { rtt, loss }
    }

    /// Ask each path to `handle` that may be in use, one that is kept warm, and those that may have recovered.
    fn probe(&self, handle: Handle, session: &Session, in_use: bool, now: Duration) {
        let ask = |path: &Path, usage| path.probe(&self.shared, &session.proof, usage, now);
        if in_use {
            let routes = self.shared.routes.load();
            let relayed = || routes.hops(handle).iter().filter(|hop| !hop.path.is_direct());
            relayed().filter(|hop| hop.weight > 0).take(MOST).for_each(|hop| ask(&hop.path, Usage::InUse));
            relayed().filter(|hop| hop.weight == 0).take(1).for_each(|hop| ask(&hop.path, Usage::Spare));
        }
        let suspects = self.shared.paths.to(handle).into_iter().filter(|path| path.is_suspect() && !path.is_direct());
        suspects.take(MOST).for_each(|path| ask(&path, Usage::Spare));
    }

    fn judge_paths(&self, peer: &Peer, now: Duration) {
        for path in self.shared.paths.to(peer.handle) {
            self.judge_path(&path, peer.node, now);
        }
    }

    /// Tell Python if the opinion of a path changed; who uses it goes another way by itself.
    fn judge_path(&self, path: &Path, node: NodeId, now: Duration) {
        let Some(suspect) = path.judge(now) else { return };
        self.shared.bus.emit(Event::PathSuspect { node, link: path.link.index, suspect });
        if suspect && path.is_direct() {
            // The link lives: perhaps it takes only shorter ones.
            path.link.probes.doubt_size();
        }
        self.rerouted();
    }

    /// A dial over the path in use gets no answer: if there is another that is trusted, that one is used from now on.
    pub(super) fn blame_path(&self, node: &NodeId) {
        let Some(peer) = self.peer(node) else { return };
        let routes = self.shared.routes.load();
        let Some(us) = self.shared.me.load().as_ref().map(|me| me.v4) else { return };
        let Some(hop) = routes.for_session(us, peer.handle).filter(|hop| !hop.path.is_direct()) else { return };
        let trusted = routes.hops(peer.handle).iter().filter(|hop| !hop.is_suspect()).count();
        if trusted > 1 {
            hop.path.unheard(now());
            self.judge_path(&hop.path, *node, now());
        }
    }

    /// A report of `node` came.
    pub(super) fn reported(&self, node: &NodeId, report: &Report) {
        let (now, mut liveness) = (now(), self.liveness());
        let (Some(peer), Some(watched)) = (self.peer(node), liveness.peers.get_mut(node)) else { return };
        if let Some(key) = watched.keys.iter_mut().find(|key| key.index == report.index) {
            key.coverage.departed(key.trail.take(), now);
            key.coverage.reported(report, now, |link| self.expected(peer.handle, link));
        }
    }

    /// Tell every node whose records we opened which ones.
    fn report(&self) {
        for opener in self.shared.openers.load().values() {
            let Some(report) = opener.report() else { continue };
            if let Some(session) = self.serving(&opener.node) {
                session.tell(&report);
            }
        }
    }
}

impl Watched {
    /// Follow the key that seals for `peer` now; one before it only until all that is waited for has come.
    fn follow_key(&mut self, peer: &Peer) {
        let sealer = peer.sealer.load();
        let is_current = |key: &Key| sealer.as_ref().is_some_and(|sealer| Arc::ptr_eq(&key.trail, &sealer.trail));
        self.keys.retain(|key| is_current(key) || !key.coverage.is_empty());
        if let (Some(sealer), false) = (&*sealer, self.keys.iter().any(is_current)) {
            let (index, trail) = (sealer.index, Arc::clone(&sealer.trail));
            self.keys.push(Key { index, trail, coverage: Coverage::default() });
        }
    }
}
