//! Which records left over which link, from whoever sends them to whoever judges.
//!
//! Invariant: noting takes no lock, no clock and no memory; a full trail loses its oldest notes, never the newest.

use std::sync::Arc;

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
    /// These leave.
    pub fn note(&self, departed: Departed) {
        self.0.force_push(departed);
    }

    /// The notes so far, oldest first; they are gone then.
    pub(crate) fn take(&self) -> impl Iterator<Item = Departed> {
        // Bounded, however fast others note.
        std::iter::from_fn(|| self.0.pop()).take(NOTES)
    }
}

impl Departed {
    /// Take in `next`, if it begins where these end and goes the same way.
    pub(crate) fn extend(&mut self, next: &Self) -> bool {
        let follows = self.link == next.link && self.first + u64::from(self.count) == next.first;
        let extends = follows && self.count < u32::MAX / 2;
        if extends {
            self.count += next.count;
        }
        extends
    }
}

/// Notes of whoever sends much, put together: one for all that leaves together.
#[derive(Debug, Default)]
pub struct Noting(Option<(Arc<Trail>, Departed)>);

impl Noting {
    /// These leave, to be noted on `trail`.
    pub fn departed(&mut self, trail: &Arc<Trail>, departed: Departed) {
        let last = self.0.as_mut().filter(|(own, _)| Arc::ptr_eq(own, trail));
        if !last.is_some_and(|(_, last)| last.extend(&departed)) {
            self.finish();
            self.0 = Some((Arc::clone(trail), departed));
        }
    }

    /// Note what there is.
    pub fn finish(&mut self) {
        if let Some((trail, departed)) = self.0.take() {
            trail.note(departed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn departed(first: u64, count: u32, link: LinkId) -> Departed {
        Departed { first, count, link }
    }

    #[test]
    fn what_leaves_together_is_one_note() {
        let (mut noting, trails) = (Noting::default(), [Arc::new(Trail::default()), Arc::default()]);
        noting.departed(&trails[0], departed(0, 40, 7));
        noting.departed(&trails[0], departed(40, 1, 7));
        assert_eq!(trails[0].take().count(), 0);
        // Another way, another key, and a gap.
        noting.departed(&trails[0], departed(41, 2, 8));
        noting.departed(&trails[1], departed(43, 2, 8));
        noting.departed(&trails[1], departed(50, 2, 8));
        noting.finish();
        assert_eq!(trails[0].take().collect::<Vec<_>>(), [departed(0, 41, 7), departed(41, 2, 8)]);
        assert_eq!(trails[1].take().collect::<Vec<_>>(), [departed(43, 2, 8), departed(50, 2, 8)]);
        noting.finish();
        assert!(trails.iter().all(|trail| trail.take().count() == 0));
    }

    #[test]
    fn a_full_trail_keeps_the_newest() {
        let trail = Trail::default();
        for first in 0..1000 {
            trail.note(departed(first, 1, 7));
        }
        let notes: Vec<Departed> = trail.take().collect();
        assert_eq!((notes.len(), notes[0].first, notes[NOTES - 1].first), (NOTES, 1000 - NOTES as u64, 999));
        assert_eq!(trail.take().count(), 0);
    }
}
