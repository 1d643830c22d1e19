//! What a parity packet says of its block, in clear under its seal.
//!
//! Invariant: a head that decodes is one of a block that may be: its numbers agree, and none leads past any array.

use super::{MOST_PARITY, RECORDS};

/// Bytes before the sealed shard: index, counter, and the head itself.
pub const HEAD: usize = 31;
/// Where the head itself begins.
const START: usize = 12;

/// Past any counter that a key seals.
const MOST_COUNTERS: u64 = 1 << 48;

/// One parity packet's place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Head {
    /// The block's first counter.
    pub base: u64,
    /// Bit n: the record with counter base + n is in the block.
    pub mask: u64,
    /// Parity packets of the block.
    pub parity: u8,
    /// Which of these this is, from 0.
    pub number: u8,
}

impl Head {
    /// Records in the block.
    pub fn records(&self) -> usize {
        self.mask.count_ones() as usize
    }

    /// The counters of the block, in order.
    pub fn counters(&self) -> impl Iterator<Item = u64> + use<> {
        let Self { base, mask, .. } = *self;
        (0..u64::from(u64::BITS)).filter(move |bit| mask >> bit & 1 == 1).map(move |bit| base + bit)
    }

    /// True if the record with this counter is in the block.
    pub fn covers(&self, counter: u64) -> bool {
        counter.checked_sub(self.base).is_some_and(|bit| bit < u64::from(u64::BITS) && self.mask >> bit & 1 == 1)
    }

    /// True if both are of one block.
    pub fn is_of(&self, other: &Self) -> bool {
        Self { number: 0, ..*self } == Self { number: 0, ..*other }
    }

    /// Write index, counter and head in front of a shard.
    pub fn encode(&self, index: u32, counter: u64, into: &mut [u8]) {
        into[..4].copy_from_slice(&index.to_be_bytes());
        into[4..START].copy_from_slice(&counter.to_be_bytes());
        into[START..START + 8].copy_from_slice(&self.base.to_be_bytes());
        into[START + 8..START + 16].copy_from_slice(&self.mask.to_be_bytes());
        into[START + 16..HEAD].copy_from_slice(&[self.records() as u8, self.parity, self.number]);
    }

    /// The head in the bytes before a shard, if it is one.
    pub fn decode(bytes: &[u8; HEAD]) -> Option<Self> {
        let long = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| bytes[START + at + byte]));
        let [.., records, parity, number] = *bytes;
        let head = Self { base: long(0), mask: long(8), parity, number };
        let whole = head.mask & 1 == 1 && usize::from(records) == head.records() && head.records() <= RECORDS;
        let numbered = number < parity && usize::from(parity) <= MOST_PARITY;
        (whole && numbered && head.base < MOST_COUNTERS).then_some(head)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(head: Head) -> [u8; HEAD] {
        let mut bytes = [0; HEAD];
        head.encode(7, 9, &mut bytes);
        bytes
    }

    #[test]
    fn a_head_survives_the_wire_and_names_its_counters() {
        let head = Head { base: 1 << 33, mask: 1 | 1 << 5 | 1 << 63, parity: 8, number: 7 };
        assert_eq!(Head::decode(&encoded(head)), Some(head));
        assert_eq!(head.counters().collect::<Vec<_>>(), [0, 5, 63].map(|bit| (1 << 33) + bit));
        assert!(head.counters().all(|counter| head.covers(counter)) && !head.covers(head.base + 1));
        assert!(!head.covers(head.base - 1) && !head.covers(head.base + 64));
    }

    #[test]
    fn what_cannot_be_is_no_head() {
        let good = Head { base: 5, mask: 0b1011, parity: 2, number: 1 };
        let wrong = [
            Head { mask: 0b1010, ..good },
            Head { mask: 0, ..good },
            Head { mask: (1 << 21) - 1, ..good },
            Head { number: 2, ..good },
            Head { parity: 0, number: 0, ..good },
            Head { parity: 9, ..good },
            Head { base: u64::MAX, ..good },
        ];
        for head in wrong {
            assert_eq!(Head::decode(&encoded(head)), None, "{head:?}");
        }
        for records in [0, 2, 4, 255] {
            let mut bytes = encoded(good);
            bytes[HEAD - 3] = records;
            assert_eq!(Head::decode(&bytes), None, "{records} records");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_a_head_that_leads_astray(bytes: [u8; HEAD]) {
            if let Some(head) = Head::decode(&bytes) {
                prop_assert!((1..=RECORDS).contains(&head.records()) && head.counters().count() == head.records());
                prop_assert!(head.number < head.parity && usize::from(head.parity) <= MOST_PARITY);
            }
        }
    }
}
