//! Frames that are being passed on, gathered by the link they leave over.
//!
//! Invariant: the body of a frame stays where it arrived, and frames of one link leave in the order they came; what
//! the socket does not take at once is dropped, so a relay neither waits nor queues.

use std::io::{self, IoSlice};
use std::sync::atomic::Ordering;

use super::frames::account;
use super::parcel::Parcel;
use crate::frame::{self, FRAME_OVERHEAD, HopHeader};
use crate::socket::{MOST_BYTES, MOST_SEGMENTS};
use crate::stats::Drop;
use crate::tables::{Link, Shared};

/// Links that can be gathered for at a time; one more sends off the first.
const TRAINS: usize = 4;

/// The frames one turn passes on.
#[derive(Debug)]
pub struct Onward<'s, 'b> {
    shared: &'s Shared,
    trains: [Train<'s, 'b>; TRAINS],
    next: usize,
    /// Halves, and the link they are for.
    parcel: Parcel,
    parcel_for: Option<&'s Link>,
}

/// Frames of one link and size, the last of which may be shorter.
#[derive(Debug)]
struct Train<'s, 'b> {
    link: Option<&'s Link>,
    frames: [&'b mut [u8]; MOST_SEGMENTS],
    count: usize,
    bytes: usize,
}

impl<'s, 'b> Train<'s, 'b> {
    fn new() -> Self {
        Self { link: None, frames: std::array::from_fn(|_| Default::default()), count: 0, bytes: 0 }
    }

    fn is_for(&self, link: &Link) -> bool {
        self.link.is_some_and(|own| std::ptr::eq(own, link))
    }

    fn admits(&self, length: usize) -> bool {
        self.count == 0 || (length <= self.frames[0].len() && self.bytes + length <= MOST_BYTES)
    }

    /// True once nothing can follow the last frame.
    fn add(&mut self, link: &'s Link, frame: &'b mut [u8]) -> bool {
        self.link = Some(link);
        self.bytes += frame.len();
        self.frames[self.count] = frame;
        self.count += 1;
        self.count == MOST_SEGMENTS || self.frames[self.count - 1].len() < self.frames[0].len()
    }

    fn depart(&mut self, shared: &Shared) {
        let Some(link) = self.link.take() else { return };
        let (frames, bytes) = (std::mem::take(&mut self.count), std::mem::take(&mut self.bytes));
        let first = link.sealer.reserve(frames as u64);
        let mut slices = [IoSlice::new(&[]); MOST_SEGMENTS];
        for ((counter, slice), frame) in (first..).zip(&mut slices).zip(&mut self.frames[..frames]) {
            frame::reseal(&link.sealer, counter, frame);
            *slice = IoSlice::new(frame);
        }
        let sent = link.send_gathered(&shared.socket, &slices[..frames]);
        count(shared, link, sent, self.frames[0].len(), bytes);
    }
}

impl<'s, 'b> Onward<'s, 'b> {
    /// Nothing yet.
    pub fn new(shared: &'s Shared) -> Self {
        let trains = std::array::from_fn(|_| Train::new());
        Self { shared, trains, next: 0, parcel: Parcel::default(), parcel_for: None }
    }

    /// Send `frame`, whose header lies open in it as the next hop is to read it, over `link`.
    pub fn add(&mut self, link: &'s Link, header: &HopHeader, frame: &'b mut [u8]) {
        if frame.len() > link.size.load(Ordering::Relaxed) && !header.kind.seals_body() {
            return self.cut(link, header, &frame[FRAME_OVERHEAD..]);
        }
        if self.parcel_for.is_some_and(|other| std::ptr::eq(other, link)) {
            self.flush_parcel();
        }
        let at = self.train_for(link);
        let train = &mut self.trains[at];
        if !train.admits(frame.len()) {
            train.depart(self.shared);
        }
        if train.add(link, frame) {
            train.depart(self.shared);
        }
    }

    /// Let everything leave.
    pub fn flush(&mut self) {
        for train in &mut self.trains {
            train.depart(self.shared);
        }
        self.flush_parcel();
    }

    fn train_for(&mut self, link: &Link) -> usize {
        let own = self.trains.iter().position(|train| train.is_for(link));
        own.or_else(|| self.trains.iter().position(|train| train.link.is_none())).unwrap_or_else(|| {
            let oldest = self.next;
            self.next = (oldest + 1) % TRAINS;
            self.trains[oldest].depart(self.shared);
            oldest
        })
    }

    fn cut(&mut self, link: &'s Link, header: &HopHeader, body: &[u8]) {
        if let Some(train) = self.trains.iter_mut().find(|train| train.is_for(link)) {
            train.depart(self.shared);
        }
        if !self.parcel_for.is_some_and(|other| std::ptr::eq(other, link)) {
            self.flush_parcel();
        }
        self.parcel_for = Some(link);
        self.parcel.cut(&link.sealer, header, body, |bytes, stride| send(self.shared, link, bytes, stride));
    }

    fn flush_parcel(&mut self) {
        if let Some(link) = self.parcel_for.take() {
            self.parcel.flush(|bytes, stride| send(self.shared, link, bytes, stride));
        }
    }
}

fn send(shared: &Shared, link: &Link, bytes: &[u8], stride: usize) {
    let sent = link.send(&shared.socket, bytes, stride, **link.remote.load());
    count(shared, link, sent, stride, bytes.len());
}

fn count(shared: &Shared, link: &Link, sent: io::Result<()>, stride: usize, bytes: usize) {
    let frames = bytes.div_ceil(stride) as u64;
    link.traffic.relayed.fetch_add(frames, Ordering::Relaxed);
    if account(shared, link, sent, stride, bytes).is_err() {
        shared.drops.add(Drop::QueueFull, frames);
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::Pair;
    use super::*;
    use crate::probe::size;

    #[test]
    fn what_a_full_socket_does_not_take_is_dropped_and_counted() -> io::Result<()> {
        let pair = Pair::new()?;
        let (shared, link) = (&pair.left.shared, &pair.left.link);
        count(shared, link, Err(io::ErrorKind::WouldBlock.into()), 100, 300);
        count(shared, link, Err(io::ErrorKind::HostUnreachable.into()), 100, 200);
        count(shared, link, Ok(()), 100, 500);
        assert_eq!([Drop::QueueFull, Drop::SendFailed].map(|reason| shared.drops.get(reason)), [3, 2]);
        assert_eq!(link.traffic.packets(), 5);
        Ok(())
    }

    #[test]
    fn the_kernels_word_lowers_a_links_size_only_for_what_the_link_was_to_take() -> io::Result<()> {
        let pair = Pair::new()?;
        let (shared, link) = (&pair.left.shared, &pair.left.link);
        let refused = || Err(io::Error::from_raw_os_error(libc::EMSGSIZE));
        link.size.store(1280, Ordering::Relaxed);
        for longer in [1281, size::MOST, frame::LONGEST] {
            count(shared, link, refused(), longer, longer);
            assert_eq!(link.size.load(Ordering::Relaxed), 1280);
        }
        count(shared, link, refused(), 1280, 1280);
        assert_eq!(link.size.load(Ordering::Relaxed), size::LEAST);
        assert_eq!(shared.drops.get(Drop::SendFailed), 4);
        Ok(())
    }

    #[test]
    fn more_links_than_trains_lose_nothing_and_each_keeps_its_order() -> io::Result<()> {
        let pairs = (0..TRAINS + 2).map(|_| Pair::new()).collect::<io::Result<Vec<_>>>()?;
        let header = HopHeader::new([10, 100, 0, 1].into(), [10, 100, 0, 2].into(), frame::Kind::Session);
        let mut bytes = vec![0; pairs.len() * 20 * 100];
        let mut frames = bytes.chunks_mut(100);
        let mut onward = Onward::new(&pairs[0].left.shared);
        for round in 0..20_u8 {
            for pair in &pairs {
                let Some(frame) = frames.next() else { unreachable!("as many frames as turns") };
                frame::lay_out(&header.encode(), [&[round; 52], &[]], frame);
                // Every third is shorter, which ends a train.
                let length = if round % 3 == 2 { 90 } else { 100 };
                onward.add(&pair.left.link, &header, &mut frame[..length]);
            }
        }
        onward.flush();
        for pair in &pairs {
            let mut rounds = vec![];
            assert!(super::super::testing::eventually(|| {
                for (bytes, stride, _) in super::super::traffic::polled(&pair.right.shared.session_inbox) {
                    rounds.extend(bytes.chunks(stride).map(|packet| packet[0]));
                }
                rounds.len() == 20
            }));
            assert_eq!(rounds, (0..20).collect::<Vec<_>>());
        }
        Ok(())
    }
}
