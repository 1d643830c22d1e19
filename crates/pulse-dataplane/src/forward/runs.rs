//! Telling apart what arrived: by first byte, segment by segment.
//!
//! Invariant: a run holds neighbouring segments of one kind and index, all of one size but the last, so a
//! buffer the kernel joined goes on whole where all of it is of a kind.

use crate::frame::FRAME;
use crate::punch::PUNCH;
use crate::seal::RECORD;
use crate::stats::Drop;

/// QUIC sets this bit in every packet (`grease_quic_bit` is off); nothing of ours has it.
const QUIC_BIT: u8 = 0x40;

/// Whose a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Any first byte from 0x40 on: the link endpoint's.
    Quic,
    /// A frame on the link of this index.
    Frame(u32),
    /// A record under the key of this index.
    Record(u32),
    /// A punch probe.
    Punch,
    /// Nobody's.
    Nobody(Drop),
}

impl Class {
    fn of(datagram: &[u8]) -> Self {
        let class = match datagram.first() {
            Some(&first) if first >= QUIC_BIT => return Self::Quic,
            Some(&FRAME) => Self::Frame,
            Some(&PUNCH) => return Self::Punch,
            Some(&RECORD) => Self::Record,
            _ => return Self::Nobody(Drop::UnknownKind),
        };
        let index = datagram.get(4..8).and_then(|index| index.first_chunk());
        index.map_or(Self::Nobody(Drop::Truncated), |index| class(u32::from_be_bytes(*index)))
    }
}

/// Runs of datagrams that lie back to back.
#[derive(Debug)]
pub struct Runs<'a> {
    rest: &'a mut [u8],
    stride: usize,
}

impl<'a> Runs<'a> {
    /// The runs in `bytes`: datagrams of `stride` bytes (at least 1), the last may be shorter.
    pub fn new(bytes: &'a mut [u8], stride: usize) -> Self {
        Self { rest: bytes, stride }
    }
}

impl<'a> Iterator for Runs<'a> {
    type Item = (Class, &'a mut [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let mut datagrams = self.rest.chunks(self.stride);
        let class = Class::of(datagrams.next()?);
        let alike = 1 + datagrams.take_while(|datagram| Class::of(datagram) == class).count();
        let bytes = (alike * self.stride).min(self.rest.len());
        let (run, rest) = std::mem::take(&mut self.rest).split_at_mut(bytes);
        self.rest = rest;
        Some((class, run))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn frame(index: u8) -> [u8; 9] {
        [FRAME, 0, 0, 0, 0, 0, 0, index, 0]
    }

    #[test]
    fn a_uniform_buffer_is_one_run() {
        let mut bytes = [frame(1), frame(1), frame(1)].concat();
        let runs: Vec<_> = Runs::new(&mut bytes, 9).map(|(class, run)| (class, run.len())).collect();
        assert_eq!(runs, [(Class::Frame(1), 27)]);
    }

    #[test]
    fn kind_and_index_divide_a_buffer() {
        let mut bytes = [&frame(1)[..], &[0x45; 9], &[0x45; 9], &frame(2), &frame(1), &[RECORD, 0]].concat();
        let runs: Vec<_> = Runs::new(&mut bytes, 9).map(|(class, run)| (class, run.len())).collect();
        let expected = [
            (Class::Frame(1), 9),
            (Class::Quic, 18),
            (Class::Frame(2), 9),
            (Class::Frame(1), 9),
            (Class::Nobody(Drop::Truncated), 2),
        ];
        assert_eq!(runs, expected);
    }

    proptest! {
        #[test]
        fn every_byte_is_in_one_run(mut bytes in prop::collection::vec(any::<u8>(), 0..300), stride in 1..40_usize) {
            let original = bytes.clone();
            let runs: Vec<u8> = Runs::new(&mut bytes, stride).flat_map(|(_, run)| run.to_vec()).collect();
            prop_assert_eq!(runs, original);
        }
    }
}
