//! The receiver's side: what parity came, and the records it repairs. One of these belongs to one record key.
//!
//! Nothing is remembered of packets before the first parity under the key, nor once none came for long: where nothing is
//! lost, receiving costs nothing. Invariant: what is given out was lost – no record of it was opened, and it is given once
//! – and of packets and parity no more is held than `ring` and `HELD` say, by no more than `MENDERS` keys.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::held::Held;
use super::ring::{PLACES, Ring};
use super::{CHUNK, CHUNKS, Code, Head, ParityOpener, RECORDS, read};
use crate::seal::{Cipher, Window};
use crate::stats::Drop;

/// Blocks whose parity waits.
const HELD: usize = 16;
/// Records without any parity between them after which none is expected.
const PATIENCE: u32 = 1 << 16;
/// Keys of this process that may remember packets at a time: 900 kB each.
const MENDERS: usize = 32;

/// What became of parity since it was asked last.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Mended {
    /// Parity packets that opened.
    pub parity: u64,
    /// Records that were repaired.
    pub repaired: u64,
    /// Records that were lost beyond what came of parity.
    pub unrepairable: u64,
    /// Blocks of nonsense.
    pub malformed: u64,
}

/// Mends what arrives under one record key.
#[derive(Debug)]
pub struct Mender {
    opener: ParityOpener,
    memory: Option<Box<Memory>>,
    patience: u32,
    mended: Mended,
}

impl Mender {
    /// One that has seen nothing yet.
    pub fn new(secret: &[u8; 32], cipher: Cipher) -> Self {
        Self { opener: ParityOpener::new(secret, cipher), memory: None, patience: 0, mended: Mended::default() }
    }

    /// The record of this counter was opened: remember its packet.
    pub fn keep(&mut self, counter: u64, flags: u8, packet: &[u8]) {
        let Some(memory) = &mut self.memory else { return };
        memory.keep(counter, flags, packet);
        self.patience -= 1;
        if self.patience == 0 {
            self.memory = None;
        }
    }

    /// Parity came: `body` from its index on. `window` is that of the records.
    pub fn take(&mut self, body: &mut [u8], window: &Window) -> Result<(), Drop> {
        let (head, shard) = self.opener.open(body)?;
        self.mended.parity += 1;
        self.patience = PATIENCE;
        if self.memory.is_none() {
            self.memory = Permit::take().map(Memory::new);
        }
        // Without a place it is as if there were no parity.
        let Some(memory) = &mut self.memory else { return Ok(()) };
        memory.take(head, shard, window, &mut self.mended)
    }

    /// True if `mend` may find something to give out.
    pub fn is_ripe(&self) -> bool {
        self.memory.as_ref().is_some_and(|memory| memory.ripe)
    }

    /// Repair what can be: `each` is given counter, flags and packet, lowest first within a block.
    pub fn mend(&mut self, window: &mut Window, each: impl FnMut(u64, u8, &mut [u8])) {
        if let Some(memory) = &mut self.memory {
            memory.mend(window, &mut self.mended, each);
        }
    }

    /// What became of parity since this was asked last.
    pub fn mended(&mut self) -> Mended {
        std::mem::take(&mut self.mended)
    }
}

/// What is remembered while parity comes.
#[derive(Debug)]
struct Memory {
    ring: Ring,
    held: Vec<Box<Held>>,
    spare: Vec<Box<Held>>,
    code: Code,
    ripe: bool,
    _permit: Permit,
}

impl Memory {
    fn new(permit: Permit) -> Box<Self> {
        let spare = (0..HELD).map(|_| Held::new()).collect();
        let (ring, code, held) = (Ring::default(), Code::default(), Vec::with_capacity(HELD));
        Box::new(Self { ring, held, spare, code, ripe: false, _permit: permit })
    }

    fn keep(&mut self, counter: u64, flags: u8, packet: &[u8]) {
        self.ring.keep(counter, flags, packet);
        self.ripe |= self.held.iter().any(|held| held.head.covers(counter));
    }

    fn take(&mut self, head: Head, shard: &[u8], window: &Window, mended: &mut Mended) -> Result<(), Drop> {
        let chunks = shard.len() / CHUNK;
        if shard.len() % CHUNK != 0 || chunks > CHUNKS {
            return Err(Drop::BadPacket);
        }
        self.give_up(head.base, window, mended);
        if self.lost(&head, window) == 0 {
            return Ok(());
        }
        let known = self.held.iter().position(|held| held.head.base == head.base);
        let place = known.unwrap_or_else(|| self.begin(head, chunks, window, mended));
        let held = &mut self.held[place];
        if !held.head.is_of(&head) || held.chunks != chunks {
            return Err(Drop::BadPacket);
        }
        held.add(usize::from(head.number), shard);
        self.ripe = true;
        Ok(())
    }

    /// A place for the parity of another block; the oldest one has to go if all are taken.
    fn begin(&mut self, head: Head, chunks: usize, window: &Window, mended: &mut Mended) -> usize {
        if self.held.len() == HELD {
            self.forget(0, window, mended);
        }
        let mut held = self.spare.pop().unwrap_or_else(Held::new);
        held.begin(head, chunks);
        self.held.push(held);
        self.held.len() - 1
    }

    /// Blocks so far before `base` that their packets are not remembered any more.
    fn give_up(&mut self, base: u64, window: &Window, mended: &mut Mended) {
        while let Some(place) = self.held.iter().position(|held| held.head.base + PLACES <= base) {
            self.forget(place, window, mended);
        }
    }

    fn forget(&mut self, place: usize, window: &Window, mended: &mut Mended) {
        let held = self.held.remove(place);
        mended.unrepairable += self.lost(&held.head, window);
        self.spare.push(held);
    }

    fn mend(&mut self, window: &mut Window, mended: &mut Mended, mut each: impl FnMut(u64, u8, &mut [u8])) {
        self.ripe = false;
        while let Some(place) = self.held.iter().position(|held| self.missing(&held.head) <= held.count) {
            let mut held = self.held.remove(place);
            if self.lost(&held.head, window) > 0 {
                self.solve(&mut held, window, mended, &mut each);
            }
            self.spare.push(held);
        }
    }

    fn solve(
        &mut self,
        held: &mut Held,
        window: &mut Window,
        mended: &mut Mended,
        each: &mut impl FnMut(u64, u8, &mut [u8]),
    ) {
        let (head, chunks) = (held.head, held.chunks);
        if !head.counters().all(|counter| self.ring.pad(counter, chunks)) {
            mended.malformed += 1;
            return;
        }
        let mut shards = [None; RECORDS];
        for (shard, counter) in shards.iter_mut().zip(head.counters()) {
            *shard = self.ring.shard(counter, chunks);
        }
        let rows = &mut held.rows[..held.count];
        self.code.solve(&shards[..head.records()], rows, usize::from(head.parity), chunks);
        let missing = head.counters().filter(|counter| !self.ring.has(*counter));
        for (row, counter) in rows.iter_mut().zip(missing) {
            if window.knows(counter) {
                continue;
            }
            match read(&mut row.shard.as_flattened_mut()[..chunks * CHUNK]) {
                Some((flags, packet)) if window.repair(counter) => {
                    mended.repaired += 1;
                    each(counter, flags, packet);
                }
                _ => mended.malformed += 1,
            }
        }
    }

    /// Records of a block whose packets are not at hand, whether they were lost or came before anything was remembered.
    fn missing(&self, head: &Head) -> usize {
        head.counters().filter(|counter| !self.ring.has(*counter)).count()
    }

    /// Records of a block that did not come.
    fn lost(&self, head: &Head, window: &Window) -> u64 {
        head.counters().filter(|counter| !self.ring.has(*counter) && !window.knows(*counter)).count() as u64
    }
}

/// Leave to remember packets.
#[derive(Debug)]
struct Permit;

/// How many have it. Memory is the process's, whoever in it has a data plane.
static TAKEN: AtomicUsize = AtomicUsize::new(0);

impl Permit {
    fn take() -> Option<Self> {
        let one_more = |taken: usize| (taken < MENDERS).then_some(taken + 1);
        TAKEN.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more).ok().map(|_| Self)
    }
}

impl std::ops::Drop for Permit {
    fn drop(&mut self) {
        TAKEN.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
#[path = "mender_tests.rs"]
mod tests;
