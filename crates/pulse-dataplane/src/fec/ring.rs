//! The last packets that arrived under one key, as shards, by counter.
//!
//! Invariant: a place holds what its counter was opened to, until a counter 512 later takes it.

use super::{CHUNK, CHUNKS, LONGEST, Shard, lay_out};

/// Places. Parity comes at most 3 ms behind its records, and a record of another thread or path may overtake some.
pub(super) const PLACES: u64 = 512;

#[derive(Debug, Clone)]
struct Place {
    counter: Option<u64>,
    /// Pieces that are laid out; what follows is anything.
    used: usize,
    shard: Shard,
}

/// One key's packets; 700 kB.
#[derive(Debug)]
pub(super) struct Ring(Box<[Place]>);

impl Default for Ring {
    fn default() -> Self {
        let empty = Place { counter: None, used: 0, shard: [[0; CHUNK]; CHUNKS] };
        Self(vec![empty; PLACES as usize].into())
    }
}

impl Ring {
    /// Remember a packet; one too long for any block is not.
    pub fn keep(&mut self, counter: u64, flags: u8, packet: &[u8]) {
        if packet.len() > LONGEST {
            return;
        }
        let place = &mut self.0[(counter % PLACES) as usize];
        place.counter = Some(counter);
        place.used = lay_out(flags, packet, &mut place.shard);
    }

    /// True if that packet is there.
    pub fn has(&self, counter: u64) -> bool {
        self.0[(counter % PLACES) as usize].counter == Some(counter)
    }

    /// Make the shard of `counter` so many pieces long, if it is there; false if it is longer.
    pub fn pad(&mut self, counter: u64, chunks: usize) -> bool {
        let place = &mut self.0[(counter % PLACES) as usize];
        if place.counter != Some(counter) {
            return true;
        }
        if place.used > chunks {
            return false;
        }
        place.shard[place.used..chunks].fill([0; CHUNK]);
        place.used = chunks;
        true
    }

    /// The shard of `counter`, padded before.
    pub fn shard(&self, counter: u64, chunks: usize) -> Option<&[[u8; CHUNK]]> {
        let place = &self.0[(counter % PLACES) as usize];
        (place.counter == Some(counter)).then(|| &place.shard[..chunks])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_stays_until_its_place_is_taken() {
        let mut ring = Ring::default();
        ring.keep(3, 1, b"three");
        ring.keep(4, 0, &[0; LONGEST + 1]);
        assert!(ring.has(3) && !ring.has(4) && !ring.has(3 + PLACES));
        assert!(ring.pad(3, 2) && !ring.pad(3, 1) && ring.pad(4, 1));
        let shard = ring.shard(3, 2).map(<[_]>::as_flattened);
        assert_eq!(shard.map(|shard| (&shard[..8], shard.len())), Some((&b"\0\x05\x01three"[..], 128)));
        ring.keep(3 + PLACES, 0, b"later");
        assert!(!ring.has(3) && ring.shard(3, 1).is_none());
    }
}
