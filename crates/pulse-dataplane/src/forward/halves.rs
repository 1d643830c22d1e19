//! Frames too long for a link come as two halves and are rejoined here.
//!
//! Invariant: two halves are one frame only under consecutive counters and the same header; at most 64 of a link wait,
//! for at most 100 ms. Nobody but the neighbour can make one, and the worst it can do is fill its own 64 places.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::frame::{self, FRAME_OVERHEAD, LONGEST as LONGEST_FRAME, Opened, Part};

/// Halves of one link that may wait.
const MOST: usize = 64;
/// How long one waits for the other.
const LONGEST: Duration = Duration::from_millis(100);

/// Halves that wait, oldest first.
#[derive(Debug, Default)]
pub struct Halves {
    waiting: VecDeque<Half>,
    /// Buffers to use again.
    spare: Vec<Vec<u8>>,
}

#[derive(Debug)]
struct Half {
    part: Part,
    /// Counter of the first half, whichever this is.
    counter: u64,
    since: Instant,
    /// The whole frame, opened.
    frame: Vec<u8>,
}

/// What became of a half.
#[derive(Debug, PartialEq, Eq)]
pub enum Taken<'b> {
    /// It waits for the other one.
    Waits,
    /// A frame laid out as if it had been opened in one piece.
    Joined(&'b mut [u8]),
    /// There was no room to lay it out.
    NoRoom,
}

impl Halves {
    /// Take in the opened `frame`, which is one half; `room` gives a place for so many bytes. The number counts halves
    /// that are given up: too old, too many, or not fitting.
    pub fn take<'b>(
        &mut self,
        opened: &Opened,
        frame: &[u8],
        now: Instant,
        room: impl FnOnce(usize) -> Option<&'b mut [u8]>,
    ) -> (Taken<'b>, u64) {
        let mut lost = self.expire(now);
        let counter = match opened.part {
            Part::Second => opened.counter.checked_sub(1),
            Part::First | Part::Whole => Some(opened.counter),
        };
        let Some(counter) = counter.filter(|_| frame.len() <= LONGEST_FRAME) else { return (Taken::Waits, lost + 1) };
        let other = self.waiting.iter().position(|half| half.counter == counter && half.part != opened.part);
        let Some(other) = other.and_then(|at| self.waiting.remove(at)) else {
            lost += self.keep(opened.part, counter, frame, now);
            return (Taken::Waits, lost);
        };
        let taken = match opened.part {
            Part::Second => join(&other.frame, frame, room),
            Part::First | Part::Whole => join(frame, &other.frame, room),
        };
        self.spare.push(other.frame);
        match taken {
            Some(taken) => (taken, lost),
            None => (Taken::Waits, lost + 2),
        }
    }

    fn expire(&mut self, now: Instant) -> u64 {
        let old = |half: &&Half| now.saturating_duration_since(half.since) > LONGEST;
        let old = self.waiting.iter().take_while(old).count();
        self.spare.extend(self.waiting.drain(..old).map(|half| half.frame));
        old as u64
    }

    /// Returns how many had to go for it.
    fn keep(&mut self, part: Part, counter: u64, frame: &[u8], now: Instant) -> u64 {
        let excess = (self.waiting.len() + 1).saturating_sub(MOST);
        self.spare.extend(self.waiting.drain(..excess).map(|half| half.frame));
        let mut copy = self.spare.pop().unwrap_or_default();
        copy.clear();
        copy.extend_from_slice(frame);
        self.waiting.push_back(Half { part, counter, since: now, frame: copy });
        excess as u64
    }
}

/// None if the two are not halves of one frame, or of a longer one than there can be.
fn join<'b>(first: &[u8], second: &[u8], room: impl FnOnce(usize) -> Option<&'b mut [u8]>) -> Option<Taken<'b>> {
    let header = frame::open_header(first);
    if header != frame::open_header(second) {
        return None;
    }
    let bodies = [&first[FRAME_OVERHEAD..], &second[FRAME_OVERHEAD..]];
    let length = FRAME_OVERHEAD + bodies[0].len() + bodies[1].len();
    if length > LONGEST_FRAME {
        return None;
    }
    let Some(place) = room(length) else { return Some(Taken::NoRoom) };
    frame::lay_out(header, bodies, place);
    Some(Taken::Joined(place))
}

/// Room for the joined frames of one turn.
#[derive(Debug)]
pub struct Arena<'b>(pub &'b mut [u8]);

impl<'b> Arena<'b> {
    /// The next `length` bytes; none if there are not so many left.
    pub fn take(&mut self, length: usize) -> Option<&'b mut [u8]> {
        if length > self.0.len() {
            return None;
        }
        let (taken, rest) = std::mem::take(&mut self.0).split_at_mut(length);
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::parcel::Parcel;
    use super::*;
    use crate::Handle;
    use crate::frame::{HopHeader, Kind};
    use crate::seal::{Cipher, HopOpener, HopSealer};
    use crate::socket::{MOST_BYTES, MOST_SEGMENTS};
    use crate::stats::Drop;

    const SECRET: [u8; 32] = [9; 32];

    fn header(kind: Kind) -> HopHeader {
        HopHeader::new(Handle::new(10, 100, 0, 1), Handle::new(10, 100, 0, 2), kind)
    }

    /// One half, as the neighbour opened it.
    fn opened(header: &HopHeader, part: Part, counter: u64, body: &[u8]) -> (Opened, Vec<u8>) {
        let mut frame = vec![0; FRAME_OVERHEAD];
        frame::lay_out(&header.encode(), [&[], &[]], &mut frame);
        frame.extend_from_slice(body);
        (Opened { header: *header, part, counter }, frame)
    }

    /// Everything that a parcel of these bodies sends, datagram by datagram.
    fn cut(sealer: &HopSealer, bodies: &[Vec<u8>]) -> Vec<Vec<u8>> {
        let (mut parcel, mut datagrams) = (Parcel::default(), vec![]);
        let mut send = |bytes: &[u8], stride: usize| {
            assert!(bytes.len() <= MOST_BYTES && bytes.len().div_ceil(stride) <= MOST_SEGMENTS);
            datagrams.extend(bytes.chunks(stride).map(<[u8]>::to_vec));
        };
        for body in bodies {
            parcel.cut(sealer, &header(Kind::Record), body, &mut send);
        }
        parcel.flush(&mut send);
        datagrams
    }

    fn take(halves: &mut Halves, half: &(Opened, Vec<u8>), now: Instant) -> (Option<Vec<u8>>, u64) {
        let mut room = vec![0; 4096];
        let (taken, lost) = halves.take(&half.0, &half.1, now, |length| Some(&mut room[..length]));
        match taken {
            Taken::Joined(frame) => (Some(frame[FRAME_OVERHEAD..].to_vec()), lost),
            Taken::Waits | Taken::NoRoom => (None, lost),
        }
    }

    proptest! {
        #[test]
        fn halves_rejoin_in_any_order(
            bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 2..=LONGEST_FRAME - FRAME_OVERHEAD), 1..31),
            order in prop::collection::vec(any::<prop::sample::Index>(), 62),
        ) {
            let (sealer, opener) = (HopSealer::new(1, &SECRET, Cipher::Aes128Gcm), HopOpener::new(&SECRET, Cipher::Aes128Gcm));
            let mut datagrams = cut(&sealer, &bodies);
            for (place, other) in order.iter().enumerate().take(datagrams.len()) {
                let other = other.index(datagrams.len());
                datagrams.swap(place, other);
            }
            let (mut halves, now, mut joined) = (Halves::default(), Instant::now(), vec![]);
            for mut datagram in datagrams {
                let opened = frame::open(&mut opener.run(), &mut datagram).map_err(|_| TestCaseError::fail("it opens"))?;
                prop_assert_eq!(opened.header, header(Kind::Record));
                let (body, lost) = take(&mut halves, &(opened, datagram), now);
                prop_assert_eq!(lost, 0);
                joined.extend(body);
            }
            joined.sort();
            let mut expected = bodies;
            expected.sort();
            prop_assert_eq!(joined, expected);
            prop_assert!(halves.waiting.is_empty());
        }

        #[test]
        fn whatever_a_neighbour_makes_up_is_bounded(halves in prop::collection::vec((any::<bool>(), 0..200_u64, 0..3_u8, 0..1600_usize), 0..300)) {
            let (mut kept, now, mut taken) = (Halves::default(), Instant::now(), 0);
            let count = halves.len() as u64;
            for (first, counter, ttl, length) in halves {
                let part = if first { Part::First } else { Part::Second };
                let half = opened(&HopHeader { ttl, ..header(Kind::Session) }, part, counter, &vec![1; length]);
                let (body, lost) = take(&mut kept, &half, now);
                taken += lost + if body.is_some() { 2 } else { 0 };
                prop_assert!(kept.waiting.len() <= MOST && kept.spare.len() <= MOST);
            }
            prop_assert_eq!(taken + kept.waiting.len() as u64, count);
        }
    }

    #[test]
    fn halves_of_even_bodies_leave_as_one_train() {
        let sealer = HopSealer::new(1, &SECRET, Cipher::Aes128Gcm);
        let (mut parcel, mut sends) = (Parcel::default(), vec![]);
        for _ in 0..MOST_SEGMENTS {
            parcel.cut(&sealer, &header(Kind::Record), &[7; 1372], |bytes, stride| sends.push((bytes.len(), stride)));
        }
        parcel.flush(|bytes, stride| sends.push((bytes.len(), stride)));
        let stride = FRAME_OVERHEAD + 686;
        assert_eq!(sends, [(64 * stride, stride); 2]);
    }

    #[test]
    fn another_header_a_gap_and_a_second_without_a_first_do_not_fit() {
        let (mut halves, now) = (Halves::default(), Instant::now());
        let mine = header(Kind::Record);
        let first = opened(&mine, Part::First, 5, b"fi");
        assert_eq!(take(&mut halves, &first, now), (None, 0));
        let other = opened(&HopHeader { dport: 1, ..mine }, Part::Second, 6, b"rst");
        assert_eq!(take(&mut halves, &other, now), (None, 2));
        assert_eq!(take(&mut halves, &first, now), (None, 0));
        assert_eq!(take(&mut halves, &opened(&mine, Part::Second, 7, b"rst"), now), (None, 0));
        assert_eq!(take(&mut halves, &opened(&mine, Part::Second, 0, b"rst"), now), (None, 1));
        assert_eq!(take(&mut halves, &opened(&mine, Part::Second, 6, b"rst"), now), (Some(b"first".to_vec()), 0));
    }

    #[test]
    fn a_half_is_given_up_after_100_ms_and_the_oldest_of_65() {
        let (mut halves, now) = (Halves::default(), Instant::now());
        let half = |counter: u64| opened(&header(Kind::Session), Part::First, counter * 2, b"half");
        for counter in 0..64 {
            assert_eq!(take(&mut halves, &half(counter), now), (None, 0));
        }
        assert_eq!(take(&mut halves, &half(64), now + Duration::from_millis(90)), (None, 1));
        assert_eq!(take(&mut halves, &half(65), now + Duration::from_millis(101)), (None, 63));
        assert_eq!(halves.waiting.len(), 2);
    }

    #[test]
    fn a_half_longer_than_any_link_takes_is_not_kept() {
        let (mut halves, now) = (Halves::default(), Instant::now());
        let long = opened(&header(Kind::Session), Part::First, 1, &[0; LONGEST_FRAME]);
        assert_eq!(take(&mut halves, &long, now), (None, 1));
        assert!(halves.waiting.is_empty());
    }

    #[test]
    fn halves_that_make_a_frame_longer_than_any_are_given_up() {
        let (mut halves, now) = (Halves::default(), Instant::now());
        let body = LONGEST_FRAME - FRAME_OVERHEAD;
        for (longer, joined, lost) in [(0, true, 0), (1, false, 2)] {
            let first = opened(&header(Kind::Session), Part::First, 1, &[1; 700]);
            let second = opened(&header(Kind::Session), Part::Second, 2, &vec![2; body - 700 + longer]);
            assert_eq!(take(&mut halves, &first, now), (None, 0));
            let (taken, gone) = take(&mut halves, &second, now);
            assert_eq!((taken.is_some(), gone), (joined, lost));
        }
    }

    #[test]
    fn without_room_a_frame_is_not_laid_out() {
        let (mut halves, now) = (Halves::default(), Instant::now());
        let (first, second) = (
            opened(&header(Kind::Session), Part::First, 1, b"fi"),
            opened(&header(Kind::Session), Part::Second, 2, b"rst"),
        );
        assert_eq!(halves.take(&first.0, &first.1, now, |_| None).0, Taken::Waits);
        assert_eq!(halves.take(&second.0, &second.1, now, |_| None).0, Taken::NoRoom);
        let mut bytes = [0; 10];
        let mut arena = Arena(&mut bytes);
        assert_eq!(arena.take(6).map(|taken| taken.len()), Some(6));
        assert!(arena.take(5).is_none());
        assert_eq!(arena.take(4).map(|taken| taken.len()), Some(4));
    }

    #[test]
    fn a_half_that_claims_to_be_both_or_a_probe_does_not_open() {
        let (sealer, opener) =
            (HopSealer::new(1, &SECRET, Cipher::Aes128Gcm), HopOpener::new(&SECRET, Cipher::Aes128Gcm));
        let mut frame = vec![0; FRAME_OVERHEAD + 4];
        frame::seal_part(&sealer, sealer.reserve(1), &header(Kind::PathProbe), Part::First, &mut frame);
        assert_eq!(frame::open(&mut opener.run(), &mut frame), Err(Drop::HalfFrame));
    }
}
