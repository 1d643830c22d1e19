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

#[cfg(test)]
mod tests {
    use super::super::testing::Pair;
    use super::*;

    #[test]
    fn records_of_one_size_and_a_shorter_one_leave_together() -> std::io::Result<()> {
        let (pair, mut train) = (Pair::new()?, Train::default());
        let link = &pair.left.link;
        train.couple(100, 300, link);
        assert!(train.admits(100, 5, link) && train.admits(60, 1, link));
        assert!(!train.admits(60, 2, link) && !train.admits(101, 1, link));
        train.couple(60, 60, link);
        assert!(train.complete());
        assert!(!train.admits(60, 1, link));
        let left = train.depart();
        assert_eq!(left.map(|train| (train.records, train.stride)), Some((0..360, 100)));
        assert!(train.depart().is_none());
        Ok(())
    }

    #[test]
    fn another_link_begins_another_train_behind_the_first() -> std::io::Result<()> {
        let (pair, mut train) = (Pair::new()?, Train::default());
        train.couple(100, 100, &pair.left.link);
        assert!(!train.admits(100, 1, &pair.right.link));
        assert!(train.depart().is_some());
        train.couple(70, 70, &pair.right.link);
        assert_eq!(train.depart().map(|train| train.records), Some(100..170));
        Ok(())
    }

    #[test]
    fn a_full_train_is_complete() -> std::io::Result<()> {
        let pair = Pair::new()?;
        for stride in [80, 1372] {
            let mut train = Train::default();
            let most = (MOST_BYTES / stride).min(MOST_SEGMENTS);
            train.couple(stride, (most - 1) * stride, &pair.left.link);
            assert!(!train.complete());
            train.couple(stride, stride, &pair.left.link);
            assert!(train.complete());
        }
        Ok(())
    }
}
