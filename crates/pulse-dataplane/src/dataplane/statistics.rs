//! One snapshot of everything that is counted and measured.

use std::sync::Arc;

use super::{Dataplane, Result};
use crate::clock::now;
use crate::path::{Figures, Path, Protection};
use crate::tables::{Peer, Shared};
use crate::{LinkId, NodeId, link, session};

/// One snapshot of what is counted.
#[derive(Debug)]
pub struct Statistics {
    /// Live links.
    pub links: Vec<link::Snapshot>,
    /// Every node that packets can be sent to.
    pub peers: Vec<PeerSnapshot>,
    /// Paths that were measured.
    pub paths: Vec<PathSnapshot>,
    /// Live sessions.
    pub sessions: Vec<session::Snapshot>,
    /// Packets dropped by reason.
    pub drops: Vec<(&'static str, u64)>,
    /// Flows decided on by each rule's id, also of rules that are no longer in force.
    pub hits: Vec<(String, u64)>,
    /// Flows that no rule matched.
    pub unmatched: u64,
}

/// One node that packets can be sent to, for statistics.
#[derive(Debug, Clone)]
pub struct PeerSnapshot {
    /// The node as the packet threads see it.
    pub peer: Arc<Peer>,
    /// The longest packet that goes whole over the path in use; none if no path leads there.
    pub mtu: Option<usize>,
}

/// One path, for statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct PathSnapshot {
    /// The node it leads to.
    pub node: NodeId,
    /// Our first link of it.
    pub link: LinkId,
    /// What is known of it.
    pub figures: Figures,
    /// It had better not be used.
    pub suspect: bool,
    /// How what is sent on it is protected against loss; not at all if the peer takes no parity.
    pub protection: Protection,
}

impl Dataplane {
    /// The links whose packets leave from another address of this machine, or from none, since this was last asked.
    pub fn moved(&self) -> Result<Vec<LinkId>> {
        Ok(self.running()?.links.moved())
    }

    /// What is counted, now.
    pub fn statistics(&self) -> Result<Statistics> {
        let running = self.running()?;
        Ok(Statistics {
            links: running.links.snapshot(),
            peers: peers(&running.shared),
            paths: paths(&running.shared),
            sessions: running.sessions.snapshot(),
            drops: running.shared.drops.snapshot(),
            hits: running.shared.hits.snapshot(),
            unmatched: running.shared.hits.unmatched(),
        })
    }
}

fn peers(shared: &Shared) -> Vec<PeerSnapshot> {
    let (routes, me) = (shared.routes.load(), shared.me.load());
    let mtu = |peer: &Peer| Some(routes.for_session(me.as_ref()?.v4, peer.handle)?.path.mtu());
    let snapshot = |peer: &Arc<Peer>| PeerSnapshot { peer: Arc::clone(peer), mtu: mtu(peer) };
    shared.addresses.load().peers.values().map(snapshot).collect()
}

fn paths(shared: &Shared) -> Vec<PathSnapshot> {
    let (addresses, now) = (shared.addresses.load(), now());
    let snapshot = |path: Arc<Path>| {
        let (peer, figures) = (addresses.by_handle(path.handle)?, path.figures(now)?);
        let protection = if peer.takes_parity() { path.protection() } else { Protection::default() };
        let (node, suspect) = (peer.node, path.is_suspect());
        Some(PathSnapshot { node, link: path.link.index, figures, suspect, protection })
    };
    shared.paths.list().into_iter().filter_map(snapshot).collect()
}
