//! How many of the records sent over a path were lost, lately.
//!
//! Invariant: a figure is given only for what was measured: enough records, not long ago.

use std::time::Duration;

/// Fewer records than this say nothing.
const ENOUGH: u64 = 100;
/// Past this the older half counts half.
const MANY: u64 = 4096;
/// Fewer losses than this say nothing of how they come.
const ENOUGH_LOST: u64 = 10;
/// A figure older than this is none.
const FRESH: Duration = Duration::from_secs(10);

/// The loss of one path as receiver reports tell it.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    records: u64,
    lost: u64,
    gaps: u64,
    at: Duration,
}

impl Tally {
    /// So many more were sent and reported on, of which so many were lost, in so many gaps.
    pub(crate) fn add(&mut self, records: u64, lost: u64, gaps: u64, now: Duration) {
        if now.saturating_sub(self.at) >= FRESH {
            *self = Self::default();
        }
        (self.records, self.lost, self.gaps) = (self.records + records, self.lost + lost, self.gaps + gaps);
        self.at = now;
        if self.records > MANY {
            (self.records, self.lost, self.gaps) = (self.records / 2, self.lost / 2, self.gaps / 2);
        }
    }

    /// How many were lost in a row, on average; 1 if too little is known.
    pub(crate) fn burst(&self) -> f64 {
        let known = self.lost >= ENOUGH_LOST && self.gaps > 0;
        if known { self.lost as f64 / self.gaps as f64 } else { 1.0 }
    }

    /// The share lost, 0 to 1; none if too little is known.
    pub(crate) fn loss(&self, now: Duration) -> Option<f64> {
        let known = self.records >= ENOUGH && now.saturating_sub(self.at) < FRESH;
        known.then(|| self.lost as f64 / self.records as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_few_records_say_nothing_and_old_ones_no_more() {
        let mut tally = Tally::default();
        tally.add(99, 99, 99, SECOND);
        assert_eq!(tally.loss(SECOND), None);
        tally.add(301, 1, 1, SECOND * 2);
        assert_eq!(tally.loss(SECOND * 2), Some(0.25));
        assert_eq!(tally.loss(SECOND * 12), None);
        tally.add(100, 0, 0, SECOND * 13);
        assert_eq!(tally.loss(SECOND * 13), Some(0.0));
    }

    #[test]
    fn the_newest_records_count_most() {
        let mut tally = Tally::default();
        (0..100).for_each(|_| tally.add(1000, 1000, 500, SECOND));
        assert!((1.9..2.1).contains(&tally.burst()));
        (0..100).for_each(|_| tally.add(1000, 0, 0, SECOND));
        assert_eq!(tally.burst(), 1.0);
        assert!(tally.loss(SECOND).is_some_and(|loss| loss < 0.001));
    }
}
