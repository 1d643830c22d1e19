//! The seal of parity packets: a key and a counter of their own, beside those of the records they cover.
//!
//! Invariant: as for records: a counter is used once under a key, and the replay window is asked only after the seal
//! opened.

use std::sync::atomic::{AtomicU64, Ordering};

use super::{HEAD, Head};
use crate::seal::{Cipher, Key, TAG, Window};
use crate::stats::Drop;

/// Where this side stops by itself, as for records.
const LAST_COUNTER: u64 = 1 << 32;

/// Seals parity to one node.
#[derive(Debug)]
pub struct ParitySealer {
    key: Key,
    next: AtomicU64,
}

impl ParitySealer {
    /// A sealer whose first counter is 0; `secret` must be fresh.
    pub fn new(secret: &[u8; 32], cipher: Cipher) -> Self {
        Self { key: Key::new(secret, cipher), next: AtomicU64::new(0) }
    }

    /// Take the next counter; none if the key is used up.
    pub fn reserve(&self) -> Option<u64> {
        Some(self.next.fetch_add(1, Ordering::Relaxed)).filter(|counter| *counter < LAST_COUNTER)
    }

    /// Seal in place: `parity` is 31 bytes of room, the shard, 16 bytes of room.
    pub fn seal(&self, index: u32, counter: u64, head: &Head, parity: &mut [u8]) {
        let (clear, sealed) = parity.split_at_mut(HEAD);
        head.encode(index, counter, clear);
        self.key.seal(counter, clear, sealed);
    }
}

/// Opens parity from one node.
#[derive(Debug)]
pub struct ParityOpener {
    key: Key,
    window: Window,
}

impl ParityOpener {
    /// An opener that has seen nothing yet.
    pub fn new(secret: &[u8; 32], cipher: Cipher) -> Self {
        Self { key: Key::new(secret, cipher), window: Window::default() }
    }

    /// Open in place: what it says of its block, and the shard.
    pub fn open<'b>(&mut self, parity: &'b mut [u8]) -> Result<(Head, &'b mut [u8]), Drop> {
        let (clear, sealed) = parity.split_first_chunk_mut::<HEAD>().ok_or(Drop::Truncated)?;
        if sealed.len() <= TAG {
            return Err(Drop::Truncated);
        }
        let counter = u64::from_be_bytes(std::array::from_fn(|at| clear[4 + at]));
        let shard = self.key.open(counter, clear, sealed).ok_or(Drop::BadSeal)?;
        if !self.window.accept(counter) {
            return Err(Drop::Replayed);
        }
        let head = Head::decode(clear).ok_or(Drop::BadPacket)?;
        Ok((head, shard))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{check, hex, quoted};

    const GOOD: Head = Head { base: 70, mask: 0b1101, parity: 2, number: 1 };

    fn sealed(sealer: &ParitySealer, head: Head, shard: &[u8]) -> Vec<u8> {
        let mut parity = [&[0; HEAD], shard, &[0; TAG]].concat();
        sealer.seal(5, sealer.reserve().unwrap_or_default(), &head, &mut parity);
        parity
    }

    fn ends() -> (ParitySealer, ParityOpener) {
        (ParitySealer::new(&[4; 32], Cipher::Aes128Gcm), ParityOpener::new(&[4; 32], Cipher::Aes128Gcm))
    }

    #[test]
    fn parity_opens_once_and_no_bit_of_it_can_change() {
        let (sealer, mut opener) = ends();
        let parity = sealed(&sealer, GOOD, &[7; 64]);
        for bit in 4 * 8..parity.len() * 8 {
            let mut changed = parity.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opener.open(&mut changed).err(), Some(Drop::BadSeal), "bit {bit}");
        }
        let opened = opener.open(&mut parity.clone()).map(|(head, shard)| (head, shard.to_vec()));
        assert_eq!(opened, Ok((GOOD, vec![7; 64])));
        assert_eq!(opener.open(&mut parity.clone()).err(), Some(Drop::Replayed));
        for length in 0..=HEAD + TAG {
            assert_eq!(opener.open(&mut parity[..length].to_vec()).err(), Some(Drop::Truncated));
        }
    }

    #[test]
    fn a_head_that_cannot_be_is_refused_though_its_seal_is_good() {
        let (sealer, mut opener) = ends();
        for head in [Head { mask: 0b10, ..GOOD }, Head { number: 2, ..GOOD }, Head { base: u64::MAX, ..GOOD }] {
            assert_eq!(opener.open(&mut sealed(&sealer, head, &[7; 64])).err(), Some(Drop::BadPacket), "{head:?}");
        }
    }

    #[test]
    fn a_key_is_used_up_at_its_last_counter() {
        let (sealer, _) = ends();
        sealer.next.store(LAST_COUNTER - 1, Ordering::Relaxed);
        assert_eq!(sealer.reserve(), Some(LAST_COUNTER - 1));
        assert_eq!((sealer.reserve(), sealer.reserve()), (None, None));
    }

    #[test]
    fn the_vectors_hold() {
        let about = "parity = index 4 | counter 8 | base 8 | mask 8 | k 1 | r 1 | i 1 | sealed shard | tag 16; aad = the first 31 bytes; nonce = 4 zero bytes | counter; shard = length 2 | flags 1 | packet | zeros up to a multiple of 64";
        let secret: [u8; 32] = std::array::from_fn(|at| at as u8);
        let cases = [
            ("the first of a full block", Cipher::Aes128Gcm, 0, Head { base: 0, mask: 0xf_ffff, parity: 4, number: 0 }),
            (
                "counters past 32 bits, with gaps",
                Cipher::ChaCha20Poly1305,
                0xffff_ffff,
                Head { base: 0x1_0000_0002, mask: 0x8000_0000_0000_0011, parity: 8, number: 7 },
            ),
        ];
        let vectors = cases.map(|(name, cipher, counter, head)| {
            let shard: Vec<u8> = (0..64).collect();
            let mut parity = [&[0; HEAD][..], &shard, &[0; TAG]].concat();
            ParitySealer::new(&secret, cipher).seal(0xa1b2_c3d4, counter, &head, &mut parity);
            vec![
                ("name", quoted(name)),
                ("cipher", quoted(format!("{cipher:?}"))),
                ("secret_hex", hex(&secret)),
                ("index", 0xa1b2_c3d4_u32.to_string()),
                ("counter", counter.to_string()),
                ("base", head.base.to_string()),
                ("mask_hex", quoted(format!("{:016x}", head.mask))),
                ("k", head.records().to_string()),
                ("r", head.parity.to_string()),
                ("i", head.number.to_string()),
                ("shard_hex", hex(&shard)),
                ("bytes_hex", hex(&parity)),
            ]
        });
        check("parity.json", about, &vectors);
    }
}
