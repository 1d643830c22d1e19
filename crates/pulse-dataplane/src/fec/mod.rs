//! Forward error correction: parity over the records of one peer and path (protocol §11).
//!
//! ```text
//! parity: index 4 | counter 8 | base 8 | mask 8 | k 1 | r 1 | i 1 | AEAD(shard) | tag 16      AAD = the first 31 bytes
//! shard:  length 2 | flags 1 | packet | zeros up to a multiple of 64
//! ```
//! A *block* is at most 20 records of which none is more than 63 counters past the first; the mask tells which. Parity i
//! of r is shard i of a Reed-Solomon code over the block's shards, so any r of all k + r may be lost. Invariant: nothing
//! is repaired but what its sender sealed, and a counter counts once, whether its record came or was repaired.

mod block;
mod code;
mod head;
mod held;
mod mender;
mod ring;
mod seal;

use std::sync::atomic::{AtomicU64, Ordering};

pub use block::Block;
pub use code::{Code, warm_up};
pub use head::{HEAD, Head};
pub use mender::{Mended, Mender};
pub use seal::{ParityOpener, ParitySealer};

/// Records of a full block.
pub const RECORDS: usize = 20;
/// Counters a block may span: the bits of its mask.
pub const SPAN: u64 = 64;
/// Parity packets of a block.
pub const MOST_PARITY: usize = 8;
/// The longest packet that is covered: the mesh's MTU.
pub const LONGEST: usize = 1340;

/// The code works on pieces of so many bytes.
const CHUNK: usize = 64;
/// Pieces of the longest shard.
const CHUNKS: usize = (SHARD_HEAD + LONGEST).div_ceil(CHUNK);
/// Length and flags.
const SHARD_HEAD: usize = 3;

/// Room for one shard, in pieces.
type Shard = [[u8; CHUNK]; CHUNKS];

/// Parity packets for a block of so many records, where a full one gets `full`. A short block is closed by time, so it is
/// sparse traffic: its parity is in proportion, and one more, for two losses in a row are common.
pub fn parity_of(records: usize, full: usize) -> usize {
    let share = (full * records).div_ceil(RECORDS);
    full.min(records).min(share + 1)
}

/// Lay a packet and its flags out as a shard; how many pieces that takes. The rest of the last piece is zero.
fn lay_out(flags: u8, packet: &[u8], shard: &mut Shard) -> usize {
    let (bytes, end) = (shard.as_flattened_mut(), SHARD_HEAD + packet.len());
    bytes[..2].copy_from_slice(&(packet.len() as u16).to_be_bytes());
    bytes[2] = flags;
    bytes[SHARD_HEAD..end].copy_from_slice(packet);
    let chunks = end.div_ceil(CHUNK);
    bytes[end..chunks * CHUNK].fill(0);
    chunks
}

/// What a shard was laid out from: flags and packet. None if it says what cannot be.
fn read(shard: &mut [u8]) -> Option<(u8, &mut [u8])> {
    let (head, rest) = shard.split_first_chunk_mut::<SHARD_HEAD>()?;
    let length = usize::from(u16::from_be_bytes([head[0], head[1]]));
    let padding_is_zero = rest.get(length..)?.iter().all(|byte| *byte == 0);
    (padding_is_zero && (1..=LONGEST).contains(&length)).then(|| (head[2], &mut rest[..length]))
}

/// What became of parity, of one peer.
#[derive(Debug, Default)]
pub struct Counts {
    /// Parity packets sent.
    pub parity_out: AtomicU64,
    /// Parity packets received.
    pub parity_in: AtomicU64,
    /// Records that were lost and repaired.
    pub repaired: AtomicU64,
    /// Records that were lost in blocks with too little parity.
    pub unrepairable: AtomicU64,
}

impl Counts {
    /// Count what came of parity.
    pub fn add(&self, mended: Mended) {
        self.parity_in.fetch_add(mended.parity, Ordering::Relaxed);
        self.repaired.fetch_add(mended.repaired, Ordering::Relaxed);
        self.unrepairable.fetch_add(mended.unrepairable, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_short_block_gets_parity_in_proportion_and_one_more() {
        for full in [2, 4, 8] {
            assert_eq!((parity_of(RECORDS, full), parity_of(1, full), parity_of(2, full)), (full, 1, 2));
            assert!((1..=RECORDS).all(|records| parity_of(records, full) <= full.min(records)));
        }
        assert_eq!((parity_of(10, 8), parity_of(5, 8), parity_of(10, 0)), (5, 3, 0));
    }

    #[test]
    fn the_longest_packet_fills_its_shard_to_a_byte() {
        assert_eq!((CHUNKS * CHUNK, SHARD_HEAD + LONGEST), (1344, 1343));
    }

    proptest! {
        #[test]
        fn what_was_laid_out_is_read_as_it_was(flags: u8, packet in prop::collection::vec(any::<u8>(), 1..=LONGEST), more in 0..3_usize) {
            let mut shard = [[0xff; CHUNK]; CHUNKS];
            let chunks = lay_out(flags, &packet, &mut shard);
            shard[chunks..].fill([0; CHUNK]);
            let length = (chunks + more).min(CHUNKS) * CHUNK;
            let read = read(&mut shard.as_flattened_mut()[..length]).map(|(flags, packet)| (flags, packet.to_vec()));
            prop_assert_eq!(read, Some((flags, packet)));
        }

        #[test]
        fn no_bytes_read_as_a_packet_that_does_not_fit(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let longest = bytes.len();
            if let Some((_, packet)) = read(&mut bytes) {
                prop_assert!(!packet.is_empty() && packet.len() + SHARD_HEAD <= longest);
            }
        }
    }
}
