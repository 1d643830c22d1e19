//! Datagrams made one by one that leave together: frames cut in two, and copies.
//!
//! Invariant: all are of one size but the last, and no more than one send takes.

use crate::frame::{self, FRAME_OVERHEAD, HopHeader, Part};
use crate::seal::HopSealer;
use crate::socket::{MOST_BYTES, MOST_SEGMENTS};

/// What was made so far, all for one link.
#[derive(Debug, Default)]
pub struct Parcel {
    bytes: Vec<u8>,
    stride: usize,
}

impl Parcel {
    /// Cut `body` in two frames and add them; `send` is given what must leave first, and its stride.
    pub fn cut(&mut self, sealer: &HopSealer, header: &HopHeader, body: &[u8], mut send: impl FnMut(&[u8], usize)) {
        let (first, second) = body.split_at(body.len().div_ceil(2));
        let counter = sealer.reserve(2);
        for (counter, part, half) in [(counter, Part::First, first), (counter + 1, Part::Second, second)] {
            let frame = self.add(FRAME_OVERHEAD, half, &mut send);
            frame::seal_part(sealer, counter, header, part, frame);
        }
    }

    /// Add `body` as one frame; `send` as above.
    pub fn frame(&mut self, sealer: &HopSealer, header: &HopHeader, body: &[u8], send: impl FnMut(&[u8], usize)) {
        let frame = self.add(FRAME_OVERHEAD, body, send);
        frame::seal(sealer, sealer.reserve(1), header, frame);
    }

    /// Add a copy of `body` behind so much room; `send` as above.
    pub fn add(&mut self, room: usize, body: &[u8], mut send: impl FnMut(&[u8], usize)) -> &mut [u8] {
        let length = room + body.len();
        if !self.admits(length) {
            self.flush(&mut send);
        }
        if self.bytes.is_empty() {
            self.stride = length;
        }
        let start = self.bytes.len();
        self.bytes.resize(start + room, 0);
        self.bytes.extend_from_slice(body);
        &mut self.bytes[start..]
    }

    /// Let what is there leave.
    pub fn flush(&mut self, send: impl FnOnce(&[u8], usize)) {
        if !self.bytes.is_empty() {
            send(&self.bytes, self.stride);
            self.bytes.clear();
        }
    }

    fn admits(&self, length: usize) -> bool {
        let most = (MOST_BYTES / self.stride.max(1)).min(MOST_SEGMENTS);
        let shorter_before = self.bytes.len() % self.stride.max(1) != 0;
        self.bytes.is_empty() || (length <= self.stride && !shorter_before && self.bytes.len() < most * self.stride)
    }
}
