//! Every session there is, and what those with one node may make us keep.
//!
//! Invariant: a node has one session that serves and two at most that were replaced, however many it makes; together they
//! hold no more than 56 MiB of what it sent and nobody here has read.

use std::collections::HashMap;
use std::sync::Arc;

use super::close;
use super::peer::Session;
use crate::NodeId;

/// Losers of a tie-break that a node may have. Each has a stream that began before it lost: an honest node replaces a
/// session when certificates end and when the CA's key changes, so its third loser is weeks older.
const MOST_LOSERS: usize = 2;

/// What a session may hold unread and unacknowledged, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    pub receive: u32,
    pub send: u64,
}

impl Share {
    /// Before the hellos: who says none leaves no more than this.
    pub const FIRST: Self = Self { receive: 256 << 10, send: 256 << 10 };
    /// Beside another with its node: that is one and a half streams, so one that nobody reads does not stop the others.
    const PART: Self = Self { receive: 12 << 20, send: 6 << 20 };
    /// As soon as it is alone. It keeps that: one that comes later has its part until then.
    const WHOLE: Self = Self { receive: 32 << 20, send: 16 << 20 };
}

/// The sessions by their ids.
#[derive(Debug, Default)]
pub struct Roster(HashMap<u64, Arc<Session>>);

impl Roster {
    pub fn add(&mut self, session: &Arc<Session>) {
        self.0.insert(session.id, Arc::clone(session));
    }

    /// Its connection is closed: what is left has more room.
    pub fn remove(&mut self, session: &Session) {
        if self.0.remove(&session.id).is_some() {
            self.share(&session.carrier.node);
        }
    }

    pub fn all(&self) -> Vec<Arc<Session>> {
        self.0.values().cloned().collect()
    }

    /// Which sessions there are with `node`, or which of them serves, has changed.
    pub fn share(&self, node: &NodeId) {
        self.close_excess(node);
        let live: Vec<_> = self.live(node).collect();
        let alone = live.len() == 1 && !live[0].sealing.is_replaced();
        live.iter().for_each(|session| session.may_hold(if alone { Share::WHOLE } else { Share::PART }));
    }

    /// First goes one without a stream, to which nothing is lost, then the oldest.
    fn close_excess(&self, node: &NodeId) {
        let mut losers: Vec<_> = self.live(node).filter(|session| session.sealing.is_replaced()).collect();
        losers.sort_by_key(|session| (session.carrier.load.open() > 0, session.id));
        let excess = losers.len().saturating_sub(MOST_LOSERS);
        losers[..excess].iter().for_each(|session| session.close(close::DUPLICATE, "too many sessions replaced it"));
    }

    fn live(&self, node: &NodeId) -> impl Iterator<Item = &Arc<Session>> {
        let with_node = self.0.values().filter(|session| session.carrier.node == *node);
        with_node.filter(|session| !session.is_closed())
    }
}
