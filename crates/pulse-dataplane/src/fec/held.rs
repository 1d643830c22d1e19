//! The parity of one block that came while records of it were missing.

use super::code::Row;
use super::{CHUNK, CHUNKS, Head, MOST_PARITY};

/// Parity that waits for more of it, or for a late record.
#[derive(Debug)]
pub(super) struct Held {
    /// What the first of it said of the block.
    pub head: Head,
    /// Pieces of each shard.
    pub chunks: usize,
    /// How many came.
    pub count: usize,
    /// These.
    pub rows: [Row; MOST_PARITY],
}

impl Held {
    /// Room for some.
    pub fn new() -> Box<Self> {
        let row = Row { number: 0, shard: [[0; CHUNK]; CHUNKS] };
        let head = Head { base: 0, mask: 0, parity: 0, number: 0 };
        Box::new(Self { head, chunks: 0, count: 0, rows: [row; MOST_PARITY] })
    }

    /// Begin anew, with the first parity of a block.
    pub fn begin(&mut self, head: Head, chunks: usize) {
        (self.head, self.chunks, self.count) = (head, chunks, 0);
    }

    /// Take in one; a number that came before is no second one.
    pub fn add(&mut self, number: usize, shard: &[u8]) {
        if self.count == MOST_PARITY || self.rows[..self.count].iter().any(|row| row.number == number) {
            return;
        }
        let row = &mut self.rows[self.count];
        row.number = number;
        row.shard.as_flattened_mut()[..shard.len()].copy_from_slice(shard);
        self.count += 1;
    }
}
