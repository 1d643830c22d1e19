//! The record keys of one session where the packet threads find them.
//!
//! Invariant: an index belongs to one keyring from the moment it is offered until it is erased, and every key of a
//! keyring is gone from the shared tables when the keyring is.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arc_swap::ArcSwapOption;
use ring::error::Unspecified;
use ring::rand::{SecureRandom, SystemRandom};

use super::control::Message;
use crate::NodeId;
use crate::forward;
use crate::keys::{Fresh, Limits, Offer, Step, Swap};
use crate::seal::{Cipher, RecordOpener, RecordSealer};
use crate::tables::{Peer, Shared};
use crate::verify::Certified;

/// Receive indexes that are taken.
#[derive(Debug, Default)]
pub struct Indexes(Mutex<HashSet<u32>>);

impl Indexes {
    /// A random free index, taken now; never 0.
    fn take(&self, random: &dyn SecureRandom) -> Result<u32, Unspecified> {
        let mut taken = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let mut bytes = [0; 4];
            random.fill(&mut bytes)?;
            let index = u32::from_be_bytes(bytes);
            if index != 0 && taken.insert(index) {
                return Ok(index);
            }
        }
    }

    fn release(&self, index: u32) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(&index);
    }
}

/// What both hellos agree on.
#[derive(Debug, Clone, Copy)]
pub struct Suite {
    /// What seals.
    pub cipher: Cipher,
    /// Parity may be sent over the records.
    pub parity: bool,
}

/// What the session and the desk see of a keyring: the newest sealer, and whether it may be used.
#[derive(Debug, Default)]
pub struct Sealing {
    sealer: ArcSwapOption<RecordSealer>,
    /// The session lost a tie-break: another one's keys seal from now on.
    replaced: AtomicBool,
}

impl Sealing {
    /// Seal with the newest key of this session from now on, and let go what waited for it.
    pub fn install(&self, shared: &Shared, peer: &Peer) {
        if self.replaced.load(Ordering::Relaxed) {
            return;
        }
        if let Some(sealer) = self.sealer.load_full() {
            peer.sealer.store(Some(sealer));
            forward::release_waiting(shared, peer);
        }
    }

    /// Leave sealing to another session.
    pub fn replace(&self) {
        self.replaced.store(true, Ordering::Relaxed);
    }

    /// True once another session seals.
    pub fn is_replaced(&self) -> bool {
        self.replaced.load(Ordering::Relaxed)
    }
}

/// The keys of one session.
#[derive(Debug)]
pub struct Keyring {
    shared: Arc<Shared>,
    indexes: Arc<Indexes>,
    sealing: Arc<Sealing>,
    peer: Certified,
    suite: Suite,
    swap: Swap,
    newest: Option<Arc<RecordOpener>>,
    taken: HashSet<u32>,
    packets: Packets,
}

/// A running count of packets with the peer, though the table's counters begin anew with a new entry.
#[derive(Debug, Default)]
struct Packets {
    seen: u64,
    total: u64,
}

impl Packets {
    fn observe(&mut self, count: u64) -> u64 {
        self.total += count.checked_sub(self.seen).unwrap_or(count);
        self.seen = count;
        self.total
    }
}

impl Keyring {
    /// No keys yet. `exporter` is the session's.
    pub fn new(
        (shared, indexes, sealing): (Arc<Shared>, Arc<Indexes>, Arc<Sealing>),
        us: NodeId,
        peer: Certified,
        exporter: [u8; 32],
        suite: Suite,
        limits: Limits,
    ) -> Self {
        let swap = Swap::new(us, peer.node, exporter, limits);
        let packets = Packets::default();
        Self { shared, indexes, sealing, peer, suite, swap, newest: None, taken: HashSet::new(), packets }
    }

    /// What others see of it.
    pub fn sealing(&self) -> Arc<Sealing> {
        Arc::clone(&self.sealing)
    }

    /// Start a swap if one is due, and erase what is to be erased. Returns what to tell the peer.
    pub fn tick(&mut self, now: Instant) -> Result<Vec<Message>, Unspecified> {
        let packets = self.packets();
        let mut steps = self.swap.tick(now);
        if self.swap.due(now, packets) && !self.sealing.is_replaced() {
            let fresh = fresh(&self.indexes, &mut self.taken)?;
            steps.extend(self.swap.start(fresh));
        }
        Ok(self.perform(steps))
    }

    /// True if the peer may offer a swap now.
    pub fn admits(&mut self, now: Instant) -> bool {
        self.swap.admits(now)
    }

    /// The peer's half of a swap.
    pub fn offered(&mut self, offer: &Offer, now: Instant) -> Result<Vec<Message>, Unspecified> {
        let packets = self.packets();
        let steps = self.swap.offered(offer, || fresh(&self.indexes, &mut self.taken), now, packets)?;
        Ok(self.perform(steps))
    }

    /// The peer seals under our `index`: it said so, or a record opened.
    pub fn confirmed(&mut self, index: u32, now: Instant) -> Vec<Message> {
        let steps = self.swap.confirmed(index, now);
        self.perform(steps)
    }

    /// Wait for the first record under the newest index; for ever if it is known to be in use.
    pub fn first_record(&self) -> impl Future<Output = u32> + use<> {
        let waited_for = self.swap.unconfirmed();
        let opener = self.newest.clone().filter(|opener| waited_for == Some(opener.index));
        async move {
            let Some(opener) = opener else { return std::future::pending().await };
            if !opener.used.load(Ordering::Relaxed) {
                opener.first_use.notified().await;
            }
            opener.index
        }
    }

    /// True if no swap is under way and no key is to be erased.
    pub fn is_settled(&self) -> bool {
        self.swap.is_settled()
    }

    fn packets(&mut self) -> u64 {
        let count = self.entry().map_or(self.packets.seen, |peer| peer.traffic.packets());
        self.packets.observe(count)
    }

    fn entry(&self) -> Option<Arc<Peer>> {
        self.shared.addresses.load().peers.get(&self.peer.node).cloned()
    }

    fn perform(&mut self, steps: Vec<Step>) -> Vec<Message> {
        steps.into_iter().filter_map(|step| self.step(step)).collect()
    }

    fn step(&mut self, step: Step) -> Option<Message> {
        match step {
            Step::Open { index, secret } => self.open(index, &secret),
            Step::Seal { index, secret } => self.seal(index, &secret),
            Step::Erase(index) => {
                self.taken.remove(&index);
                self.erase(&HashSet::from([index]));
            }
            Step::Offer(offer) => return Some(Message::Keys(offer)),
            Step::SayUsed(index) => return Some(Message::KeysUsed(index)),
        }
        None
    }

    fn open(&mut self, index: u32, secret: &[u8; 32]) {
        let (peer, Suite { cipher, parity }) = (&self.peer, self.suite);
        let plain = RecordOpener::new(index, peer.node, peer.v4, peer.v6, secret, cipher);
        let opener = Arc::new(if parity { plain.with_parity(secret, cipher) } else { plain });
        self.newest = Some(Arc::clone(&opener));
        self.change_openers(|openers| {
            openers.insert(index, Arc::clone(&opener));
        });
    }

    fn seal(&self, index: u32, secret: &[u8; 32]) {
        if self.sealing.is_replaced() {
            // The sealer that is in use must stay the one that the end of this session takes away.
            return;
        }
        let (plain, Suite { cipher, parity }) = (RecordSealer::new(index, secret, self.suite.cipher), self.suite);
        let sealer = if parity { plain.with_parity(secret, cipher) } else { plain };
        self.sealing.sealer.store(Some(Arc::new(sealer)));
        if let Some(peer) = self.entry() {
            self.sealing.install(&self.shared, &peer);
        }
    }

    fn erase(&self, indexes: &HashSet<u32>) {
        self.change_openers(|openers| openers.retain(|index, _| !indexes.contains(index)));
        for index in indexes {
            self.indexes.release(*index);
        }
    }

    fn change_openers(&self, change: impl Fn(&mut HashMap<u32, Arc<RecordOpener>>)) {
        self.shared.openers.rcu(|openers| {
            let mut openers = HashMap::clone(openers);
            change(&mut openers);
            openers
        });
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        self.erase(&self.taken);
        let (Some(peer), Some(ours)) = (self.entry(), self.sealing.sealer.load_full()) else { return };
        let current = peer.sealer.load();
        if current.as_ref().is_some_and(|sealer| Arc::ptr_eq(sealer, &ours)) {
            peer.sealer.compare_and_swap(&*current, None);
        }
    }
}

fn fresh(indexes: &Indexes, taken: &mut HashSet<u32>) -> Result<Fresh, Unspecified> {
    let random = SystemRandom::new();
    let index = indexes.take(&random)?;
    taken.insert(index);
    Fresh::generate(&random, index)
}
