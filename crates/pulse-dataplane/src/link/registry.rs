//! Which links are up, which node each leads to, and which dials are about to say hello.
//!
//! Invariant: at most one link of a node is its *standing* one; whatever it replaced is on its way out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::{Notify, Semaphore, mpsc};

use super::carrier::{Carrier, Close};
use super::rank::{Standing, Verdict, worth_a_hello};
use crate::hello::Hello;
use crate::socket::source_to;
use crate::tables::Link;
use crate::verify::Certified;
use crate::{LinkId, NodeId};

/// Control messages that may wait to be sent.
pub(crate) const OUTGOING: usize = 256;
/// Received messages that Python has not drained yet; then the stream is not read.
pub(crate) const UNDRAINED: usize = 64;

/// One link that is up.
#[derive(Debug)]
pub(crate) struct Live {
    pub(crate) link: Arc<Link>,
    pub(crate) carrier: Arc<dyn Carrier>,
    pub(crate) certified: Certified,
    pub(crate) hello: Hello,
    pub(crate) dialled: bool,
    pub(crate) since: Instant,
    /// The address of ours that the route to the neighbour began at when that was last looked at.
    source: Mutex<Option<IpAddr>>,
    pub(crate) outgoing: mpsc::Sender<Vec<u8>>,
    pub(crate) undrained: Semaphore,
    /// Why it ends, if that was our wish.
    verdict: Mutex<Option<String>>,
}

impl Live {
    pub(crate) fn new(
        link: Arc<Link>,
        carrier: Arc<dyn Carrier>,
        certified: Certified,
        hello: Hello,
        dialled: bool,
    ) -> (Self, mpsc::Receiver<Vec<u8>>) {
        let (outgoing, queue) = mpsc::channel(OUTGOING);
        let (since, undrained, verdict) = (Instant::now(), Semaphore::new(UNDRAINED), Mutex::default());
        let source = source_to(**link.remote.load()).into();
        (Self { link, carrier, certified, hello, dialled, since, source, outgoing, undrained, verdict }, queue)
    }

    /// End it for a reason of ours; the first reason stays.
    pub(crate) fn close(&self, why: Close, reason: &str) {
        self.decide(reason);
        self.carrier.close(why, reason);
    }

    /// True if the route to the neighbour begins at another address of ours than at the last look, or at none; not if
    /// at one of `hidden`.
    pub(crate) fn has_moved(&self, hidden: &[IpAddr]) -> bool {
        let now = source_to(**self.link.remote.load());
        if now.is_some_and(|now| hidden.contains(&now)) {
            return false;
        }
        let before = std::mem::replace(&mut *self.source.lock().unwrap_or_else(PoisonError::into_inner), now);
        before != now
    }

    /// Name the reason of an end that is to come.
    pub(crate) fn decide(&self, reason: &str) {
        self.verdict().get_or_insert_with(|| reason.to_owned());
    }

    /// The reason of ours, if there is one.
    pub(crate) fn decided(&self) -> Option<String> {
        self.verdict().clone()
    }

    fn verdict(&self) -> MutexGuard<'_, Option<String>> {
        self.verdict.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn standing(&self, replaces: u32) -> Standing {
        Standing {
            quic: self.link.outlet.is_udp(),
            dialled: self.dialled,
            boot: self.hello.boot,
            ours: self.link.index,
            theirs: self.hello.index,
            replaces,
            suspect: self.link.suspect.load(Ordering::Relaxed) || self.carrier.is_over(),
        }
    }
}

/// The links of one data plane.
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    live: HashMap<LinkId, Arc<Live>>,
    standing: HashMap<NodeId, Arc<Live>>,
    greeting: HashMap<NodeId, Arc<Notify>>,
}

/// A dial of ours that says hello to a node: there is one at a time, so that both ends see them in one order.
#[derive(Debug)]
pub(crate) struct Greeting<'a> {
    registry: &'a Registry,
    node: NodeId,
}

impl Drop for Greeting<'_> {
    fn drop(&mut self) {
        if let Some(settled) = self.registry.state().greeting.remove(&self.node) {
            settled.notify_waiters();
        }
    }
}

impl Registry {
    /// Claim the right to say hello to `node`; none if that dial is needless.
    pub(crate) fn greet(&self, node: NodeId, replaces: u32, quic: bool, lower: bool) -> Option<Greeting<'_>> {
        let mut state = self.state();
        let needless =
            state.standing.get(&node).is_some_and(|old| !worth_a_hello(replaces, quic, &old.standing(0), lower));
        if needless || state.greeting.contains_key(&node) {
            return None;
        }
        state.greeting.insert(node, Arc::default());
        Some(Greeting { registry: self, node })
    }

    /// Wait until our own dial to `node`, if one says hello just now, has settled.
    pub(crate) async fn settled(&self, node: &NodeId) {
        let settled = self.state().greeting.get(node).cloned();
        let Some(settled) = settled else { return };
        let notified = settled.notified();
        tokio::pin!(notified);
        // Enabled before the second look: a claim dropped in between is not missed.
        notified.as_mut().enable();
        if self.state().greeting.contains_key(node) {
            notified.await;
        }
    }

    /// Judge a link against the standing one of its node.
    pub(crate) fn judge(&self, node: &NodeId, new: &Standing, lower: bool) -> Verdict {
        self.state().standing.get(node).map_or(Verdict::NewStays, |old| new.against(&old.standing(0), lower))
    }

    /// Make `live` the standing link of its node. Returns the link it replaces and what becomes of that one;
    /// gives `Err` if the old one stays after all.
    pub(crate) fn stand(
        &self,
        live: &Arc<Live>,
        replaces: u32,
        lower: bool,
    ) -> Result<Option<(Arc<Live>, Verdict)>, ()> {
        let mut state = self.state();
        let node = live.certified.node;
        let old = state.standing.get(&node).cloned();
        let verdict = old.as_ref().map(|old| live.standing(replaces).against(&old.standing(0), lower));
        if verdict == Some(Verdict::OldStays) {
            return Err(());
        }
        state.live.insert(live.link.index, Arc::clone(live));
        state.standing.insert(node, Arc::clone(live));
        Ok(old.zip(verdict))
    }

    /// Forget a link that ended.
    pub(crate) fn forget(&self, live: &Live) {
        let mut state = self.state();
        state.live.remove(&live.link.index);
        let node = live.certified.node;
        if state.standing.get(&node).is_some_and(|standing| standing.link.index == live.link.index) {
            state.standing.remove(&node);
        }
    }

    /// One link.
    pub(crate) fn get(&self, link: LinkId) -> Option<Arc<Live>> {
        self.state().live.get(&link).cloned()
    }

    /// All links.
    pub(crate) fn all(&self) -> Vec<Arc<Live>> {
        self.state().live.values().cloned().collect()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
