//! Which records left over which link, from whoever sends them to whoever judges.
//!
//! Invariant: noting takes no lock, no clock and no memory; a full trail loses its oldest notes, never the newest.

use crossbeam_queue::ArrayQueue;

use crate::LinkId;

/// Notes kept until they are read, which is a few times a second. More than this is sampled.
const NOTES: usize = 256;

/// Records with counters in a row that left over one link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Departed {
    /// The first counter.
    pub first: u64,
    /// How many.
    pub count: u32,
    /// Our first link of their path.
    pub link: LinkId,
}

/// The notes about one record key.
#[derive(Debug)]
pub struct Trail(ArrayQueue<Departed>);

impl Default for Trail {
    fn default() -> Self {
        Self(ArrayQueue::new(NOTES))
    }
}

impl Trail {
    /// `count` records from counter `first` on leave over `link`.
    pub fn note(&self, first: u64, count: usize, link: LinkId) {
        self.0.force_push(Departed { first, count: count as u32, link });
    }

    /// The notes so far, oldest first; they are gone then.
    pub(crate) fn take(&self) -> impl Iterator<Item = Departed> {
        // Bounded, however fast others note.
        std::iter::from_fn(|| self.0.pop()).take(NOTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_trail_keeps_the_newest() {
        let trail = Trail::default();
        for first in 0..1000 {
            trail.note(first, 1, 7);
        }
        let notes: Vec<Departed> = trail.take().collect();
        assert_eq!((notes.len(), notes[0].first, notes[NOTES - 1].first), (NOTES, 1000 - NOTES as u64, 999));
        assert_eq!(trail.take().count(), 0);
    }
}
