//! Where super-packets land: their payload straight in the slots of the records it becomes.
//!
//! The next super-packet most likely has headers and segments as long as the last one's, and its records need as much
//! room in front of them, for frames. Read scattered by that guess, each segment lies where its record is sealed, and
//! nothing is copied.
//! Invariant: a wrong guess costs a copy, never a byte.

use std::io::{self, IoSliceMut};
use std::iter::once;

use crate::offload::{MOST_HEADERS, Split, VNET_HEADER, Vnet};
use crate::seal::{RECORD_HEADER, RECORD_OVERHEAD};

/// Room for the records of one send, and behind them those of one super-packet.
pub const ROOM: usize = 256 << 10;
/// The longest super-packet, and some.
const LONGEST: usize = 70_000;
/// Most slots of one read: segments of one send.
const SLOTS: usize = 64;
/// Shorter segments are no guess worth keeping: a stream's last piece, a burst of small datagrams.
const SHORTEST_GUESS: usize = 512;

/// The buffers of one TUN queue, made once.
#[derive(Debug)]
pub struct Slots {
    /// Where records are sealed.
    pub records: Box<[u8]>,
    vnet: [u8; VNET_HEADER],
    headers: [u8; MOST_HEADERS],
    spill: Box<[u8]>,
    linear: Box<[u8]>,
    guess: Guess,
    /// What was read last: where its slots begin, how many there were, and its length.
    base: usize,
    slots: usize,
    length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Guess {
    /// In front of each record.
    room: usize,
    headers: usize,
    segment: usize,
}

impl Guess {
    fn stride(self) -> usize {
        self.room + RECORD_OVERHEAD + self.headers + self.segment
    }

    /// Where a slot's payload lies.
    fn payload(self) -> std::ops::Range<usize> {
        let start = self.room + RECORD_HEADER + self.headers;
        start..start + self.segment
    }
}

impl Default for Slots {
    fn default() -> Self {
        Self {
            records: vec![0; ROOM].into(),
            vnet: [0; VNET_HEADER],
            headers: [0; MOST_HEADERS],
            spill: vec![0; LONGEST].into(),
            linear: vec![0; LONGEST].into(),
            // IPv4 and TCP with timestamps, at our MTU.
            guess: Guess { room: 0, headers: 52, segment: 1288 },
            base: 0,
            slots: 0,
            length: 0,
        }
    }
}

impl Slots {
    /// Read one super-packet; its records will stand at `base`. Errors are those of `read`; `UnexpectedEof`
    /// if the device has ended.
    pub fn read(
        &mut self,
        base: usize,
        read: impl FnOnce(&mut [IoSliceMut<'_>]) -> io::Result<usize>,
    ) -> io::Result<()> {
        let guess = self.guess;
        self.base = base;
        self.slots = (LONGEST / guess.segment).min((ROOM - base) / guess.stride()).min(SLOTS);
        let slots = self.records[base..].chunks_exact_mut(guess.stride()).map(|slot| &mut slot[guess.payload()]);
        let before = once(&mut self.vnet[..]).chain(once(&mut self.headers[..guess.headers]));
        let mut places = before.chain(slots.take(self.slots)).chain(once(&mut self.spill[..]));
        let mut slices: [_; SLOTS + 3] = std::array::from_fn(|_| IoSliceMut::new(places.next().unwrap_or_default()));
        let bytes = read(&mut slices[..self.slots + 3])?;
        self.length = bytes.checked_sub(VNET_HEADER).ok_or(io::ErrorKind::UnexpectedEof)?;
        Ok(())
    }

    /// What the kernel says of the super-packet.
    pub fn vnet(&self) -> Option<Vnet> {
        Vnet::decode(&self.vnet)
    }

    /// Its length.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Its first bytes, enough for all headers; how many of them it has.
    pub fn front(&self) -> ([u8; MOST_HEADERS], usize) {
        let (mut front, mut filled) = ([0; MOST_HEADERS], 0);
        for part in self.parts() {
            let taken = part.len().min(MOST_HEADERS - filled);
            front[filled..filled + taken].copy_from_slice(&part[..taken]);
            filled += taken;
            if filled == MOST_HEADERS {
                break;
            }
        }
        (front, filled)
    }

    /// Its bytes in one piece: a copy.
    pub fn linear(&mut self) -> &mut [u8] {
        self.linearise();
        &mut self.linear[..self.length]
    }

    /// Bring each payload to its place in records of the plan's stride, each behind so much `room`. False if there is
    /// no space for them, as for tens of thousands of tiny segments.
    pub fn place(&mut self, split: &Split, room: usize) -> bool {
        let found = Guess { room, headers: split.shape.payload, segment: split.segment };
        if split.count() * found.stride() > ROOM - self.base {
            return false;
        }
        if found != self.guess || split.count() > self.slots {
            self.spread(split, found);
        }
        true
    }

    fn spread(&mut self, split: &Split, found: Guess) {
        self.linearise();
        let payload = &self.linear[found.headers..self.length];
        let slots = self.records[self.base..].chunks_exact_mut(found.stride());
        for (index, slot) in slots.take(split.count()).enumerate() {
            let piece = &payload[split.piece(index)];
            slot[found.payload()][..piece.len()].copy_from_slice(piece);
        }
        if found.segment >= SHORTEST_GUESS {
            self.guess = found;
        }
    }

    /// Bring a packet that is not joined to its place in one record; the `room`, and the record behind it.
    pub fn place_whole(&mut self, room: usize) -> Option<&mut [u8]> {
        let (start, length) = (self.base + room + RECORD_HEADER, self.length);
        let end = start + length + RECORD_OVERHEAD - RECORD_HEADER;
        if end > self.records.len() {
            return None;
        }
        let lies_there = room == self.guess.room && self.slots > 0;
        if lies_there && length <= self.guess.headers + self.guess.segment {
            let headers = length.min(self.guess.headers);
            self.records[start..start + headers].copy_from_slice(&self.headers[..headers]);
        } else {
            self.linearise();
            self.records[start..start + length].copy_from_slice(&self.linear[..length]);
            self.guess.room = room;
        }
        Some(&mut self.records[self.base..end])
    }

    fn linearise(&mut self) {
        let mut linear = std::mem::take(&mut self.linear);
        let mut filled = 0;
        for part in self.parts() {
            linear[filled..filled + part.len()].copy_from_slice(part);
            filled += part.len();
        }
        self.linear = linear;
    }

    /// The pieces it was read in, cut to its length.
    fn parts(&self) -> impl Iterator<Item = &[u8]> {
        let guess = self.guess;
        let slots = self.records[self.base..]
            .chunks_exact(guess.stride())
            .take(self.slots)
            .map(move |slot| &slot[guess.payload()]);
        let mut left = self.length;
        once(&self.headers[..guess.headers]).chain(slots).chain(once(&self.spill[..])).map_while(move |part| {
            let taken = part.len().min(left);
            left -= taken;
            (taken > 0).then(|| &part[..taken])
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::offload::testing::{Flow, flow};

    /// Read as the kernel would write: one piece after the other.
    fn read(slots: &mut Slots, base: usize, vnet: &Vnet, packet: &[u8]) -> io::Result<()> {
        slots.read(base, |places| {
            let bytes = [&vnet.encode()[..], packet].concat();
            let mut left = &bytes[..];
            for place in places {
                let (now, later) = left.split_at(place.len().min(left.len()));
                place[..now.len()].copy_from_slice(now);
                left = later;
            }
            Ok(bytes.len())
        })
    }

    proptest! {
        #[test]
        fn no_guess_changes_a_byte(flows in prop::collection::vec((flow(), 0..ROOM / 2, prop::sample::select(vec![0, 48])), 1..5)) {
            let mut slots = Slots::default();
            for (flow, base, room) in flows {
                // The second of a flow finds the guess its first one left.
                for flow in [flow, Flow { sequence: 3, ..flow }] {
                    let (vnet, packet) = flow.super_packet();
                    read(&mut slots, base, &vnet, &packet)?;
                    prop_assert_eq!(slots.vnet(), Some(vnet));
                    let (front, filled) = slots.front();
                    prop_assert_eq!(&front[..filled], &packet[..packet.len().min(MOST_HEADERS)]);
                    prop_assert_eq!(&*slots.linear(), &packet[..]);
                    let Some(split) = Split::plan(&vnet, &packet, packet.len()) else {
                        let record = slots.place_whole(room).map(|record| record[room + RECORD_HEADER..][..packet.len()].to_vec());
                        prop_assert_eq!(record, Some(packet));
                        continue;
                    };
                    prop_assume!(slots.place(&split, room));
                    let stride = room + RECORD_OVERHEAD + split.shape.payload + split.segment;
                    for index in 0..split.count() {
                        let (at, piece) = (base + index * stride + room + RECORD_HEADER + split.shape.payload, split.piece(index));
                        prop_assert_eq!(&slots.records[at..][..piece.len()], &packet[split.shape.payload..][piece]);
                    }
                }
            }
        }
    }

    #[test]
    fn a_steady_stream_is_read_into_place_framed_or_not() -> io::Result<()> {
        let (mut slots, flow) =
            (Slots::default(), Flow { ipv6: true, payload: 50_000, segment: 1268, ..Flow::default() });
        let (vnet, packet) = flow.super_packet();
        let Some(split) = Split::plan(&vnet, &packet, packet.len()) else { unreachable!("a sound super-packet") };
        for room in [0, 48] {
            read(&mut slots, 0, &vnet, &packet)?;
            assert!(slots.place(&split, room));
            assert_eq!((slots.guess.room, slots.guess.headers, slots.guess.segment), (room, 72, 1268));
            slots.linear.fill(0);
            read(&mut slots, 0, &vnet, &packet)?;
            assert!(slots.place(&split, room));
            assert!(slots.linear.iter().all(|&byte| byte == 0));
        }
        Ok(())
    }

    #[test]
    fn a_device_that_ended_is_an_error() {
        let ended = Slots::default().read(0, |_| Ok(0));
        assert_eq!(ended.err().map(|error| error.kind()), Some(io::ErrorKind::UnexpectedEof));
    }
}
