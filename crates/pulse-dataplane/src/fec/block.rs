//! The sender's side: plain packets gathered until their parity is due.
//!
//! Invariant: a block holds what was sealed under counters within 64 of its first, each once and in order.

use super::{CHUNK, CHUNKS, Code, Head, LONGEST, RECORDS, SPAN, Shard, lay_out, parity_of};

/// One block being gathered; its room is made once, for its first packet.
#[derive(Debug, Default)]
pub struct Block {
    shards: Vec<Shard>,
    used: [usize; RECORDS],
    count: usize,
    base: u64,
    mask: u64,
}

impl Block {
    /// True if nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// True if it takes no more.
    pub fn is_full(&self) -> bool {
        self.count == RECORDS
    }

    /// True if the record with this counter may follow.
    pub fn admits(&self, counter: u64) -> bool {
        let span = counter.wrapping_sub(self.base);
        self.is_empty() || (!self.is_full() && span < SPAN && self.mask >> span == 0)
    }

    /// Take in the packet that is sealed under `counter`; one that is too long stays uncovered.
    pub fn gather(&mut self, counter: u64, flags: u8, packet: &[u8]) {
        if packet.len() > LONGEST {
            return;
        }
        if self.is_empty() {
            (self.base, self.mask) = (counter, 0);
            self.shards.resize(RECORDS, [[0; CHUNK]; CHUNKS]);
        }
        self.mask |= 1 << (counter - self.base);
        self.used[self.count] = lay_out(flags, packet, &mut self.shards[self.count]);
        self.count += 1;
    }

    /// Give `take` each parity shard with its head, as many as a block of this size gets where a full one gets `full`;
    /// empty again then.
    pub fn close(&mut self, code: &mut Code, full: usize, mut take: impl FnMut(Head, &[u8])) {
        let count = std::mem::take(&mut self.count);
        let (parity, chunks) = (parity_of(count, full), self.used[..count].iter().copied().max().unwrap_or(0));
        if parity == 0 {
            return;
        }
        let shards = &mut self.shards[..count];
        for (shard, used) in shards.iter_mut().zip(&self.used) {
            shard[*used..chunks].fill([0; CHUNK]);
        }
        let (base, mask) = (self.base, self.mask);
        code.encode(shards.iter().map(|shard| &shard[..chunks]), parity, chunks, |number, shard| {
            take(Head { base, mask, parity: parity as u8, number: number as u8 }, shard);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_takes_twenty_within_sixty_four_counters_in_order() {
        let mut block = Block::default();
        assert!(block.admits(u64::MAX));
        block.gather(1000, 0, b"first");
        assert!(block.admits(1001) && block.admits(1063));
        assert!(!block.admits(1064) && !block.admits(1000) && !block.admits(999));
        block.gather(1003, 0, b"second");
        assert!(!block.admits(1003) && !block.admits(1002) && block.admits(1004));
        (1004..1022).for_each(|counter| block.gather(counter, 0, b"more"));
        assert!(block.is_full() && !block.admits(1022));
        let mut heads = vec![];
        block.close(&mut Code::default(), 2, |head, shard| heads.push((head, shard.len())));
        let mask = 1 | ((1 << 19) - 1) << 3;
        let head = Head { base: 1000, mask, parity: 2, number: 0 };
        assert_eq!(heads, [(head, 64), (Head { number: 1, ..head }, 64)]);
        assert!(block.is_empty() && block.admits(5));
    }

    #[test]
    fn what_is_too_long_is_left_uncovered_and_an_empty_block_has_no_parity() {
        let mut block = Block::default();
        block.gather(1, 0, &[0; LONGEST + 1]);
        assert!(block.is_empty());
        block.close(&mut Code::default(), 8, |head, _| unreachable!("parity of nothing: {head:?}"));
        block.gather(1, 0, &[0; LONGEST]);
        block.close(&mut Code::default(), 0, |head, _| unreachable!("none was asked for: {head:?}"));
    }
}
