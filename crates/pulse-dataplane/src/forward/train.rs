//! Sealed records of one size and one link, back to back: what one send takes.
//!
//! Invariant: all are of one size but the last, which may be shorter; after a shorter one nothing is coupled.

use std::ops::Range;
use std::sync::Arc;

use super::slots::ROOM;
use crate::socket::{MOST_BYTES, MOST_SEGMENTS};
use crate::tables::Link;

/// Past this the next super-packet may not find room behind the train.
const LONG: usize = ROOM / 2;

/// The train being formed; it names places in a buffer.
#[derive(Debug, Default)]
pub struct Train {
    start: usize,
    end: usize,
    stride: usize,
    link: Option<Arc<Link>>,
    complete: bool,
}

/// A train that leaves.
#[derive(Debug)]
pub struct Departure {
    /// Where its records are.
    pub records: Range<usize>,
    /// Size of each but the last.
    pub stride: usize,
    /// Where they go.
    pub link: Arc<Link>,
}

impl Train {
    /// Where the next record will stand.
    pub fn end(&self) -> usize {
        self.end
    }

    /// True if `count` records of `stride` bytes for `link` can follow.
    pub fn admits(&self, stride: usize, count: usize, link: &Arc<Link>) -> bool {
        let fits = stride == self.stride || (count == 1 && stride < self.stride);
        self.link.as_ref().is_some_and(|own| Arc::ptr_eq(own, link)) && fits && !self.complete
    }

    /// Couple records that stand at the end: `bytes` in all, `stride` each but the last.
    pub fn couple(&mut self, stride: usize, bytes: usize, link: &Arc<Link>) {
        if self.link.is_none() {
            (self.stride, self.link) = (stride, Some(Arc::clone(link)));
        }
        self.end += bytes;
        let length = self.end - self.start;
        let most = (MOST_BYTES / self.stride).min(MOST_SEGMENTS);
        self.complete = length % self.stride != 0 || length >= most * self.stride || self.end > LONG;
    }

    /// True if it should leave now.
    pub fn complete(&self) -> bool {
        self.complete
    }

    /// Let it leave; the next one begins behind it.
    pub fn depart(&mut self) -> Option<Departure> {
        let link = self.link.take()?;
        let records = self.start..self.end;
        (self.start, self.complete) = (self.end, false);
        Some(Departure { records, stride: self.stride, link })
    }

    /// The next one begins at the front of the buffer again: nothing lies behind the train.
    pub fn rewind(&mut self) {
        *self = Self::default();
    }
}
