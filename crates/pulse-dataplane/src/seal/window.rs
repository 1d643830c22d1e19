//! Which counters were seen: refuses every second copy of a packet.
//!
//! Invariant: of all counters up to the highest, exactly the last 65,536 can still be told apart;
//! older ones are refused. Multipath and a switch of path reorder by thousands, hence the size.

/// Counters that can still be told apart.
pub const WINDOW: u64 = 65_536;

/// The replay window of one key. Ask it only after the seal opened: a forged counter must not move it.
#[derive(Debug, Clone)]
pub struct Window {
    highest: u64,
    opened: u64,
    seen: Box<[u64]>,
}

impl Default for Window {
    fn default() -> Self {
        Self { highest: 0, opened: 0, seen: vec![0; (WINDOW / 64) as usize].into() }
    }
}

impl Window {
    /// Mark `counter`; false if it was seen before or is too old to know.
    pub fn accept(&mut self, counter: u64) -> bool {
        if counter > self.highest {
            self.advance(counter);
        } else if self.highest - counter >= WINDOW {
            return false;
        }
        let (word, bit) = self.place(counter);
        let fresh = *word & bit == 0;
        *word |= bit;
        self.opened += u64::from(fresh);
        fresh
    }

    /// The highest counter accepted; 0 also while there is none.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// How many counters were accepted.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// For each of the last `count` counters (at most `WINDOW`), from the highest down: whether it was accepted.
    pub fn down(&self, count: u64) -> impl Iterator<Item = bool> {
        let lowest = self.highest.saturating_sub(count.clamp(1, WINDOW) - 1);
        let seen = |counter: u64| self.seen[(counter % WINDOW / 64) as usize] & (1 << (counter % 64)) != 0;
        (lowest..=self.highest).rev().map(seen)
    }

    /// Forget what falls out: the places of all counters in (highest, counter].
    fn advance(&mut self, counter: u64) {
        let mut left = counter - self.highest;
        if left >= WINDOW {
            self.seen.fill(0);
            left = 0;
        }
        while left > 0 {
            let next = counter - left + 1;
            let (word, bit) = self.place(next);
            let whole = next % 64 == 0 && left >= 64;
            *word &= if whole { 0 } else { !bit };
            left -= if whole { 64 } else { 1 };
        }
        self.highest = counter;
    }

    fn place(&mut self, counter: u64) -> (&mut u64, u64) {
        (&mut self.seen[(counter % WINDOW / 64) as usize], 1 << (counter % 64))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    /// The same promise, kept by a set.
    #[derive(Default)]
    struct Naive {
        highest: u64,
        seen: HashSet<u64>,
    }

    impl Naive {
        fn accept(&mut self, counter: u64) -> bool {
            self.highest = self.highest.max(counter);
            self.highest - counter < WINDOW && self.seen.insert(counter)
        }
    }

    fn step() -> impl Strategy<Value = i64> {
        prop_oneof![4 => -3..4_i64, 2 => -200..200_i64, 1 => -70_000..70_000_i64, 1 => 65_500..65_600_i64, 1 => -65_600..-65_500_i64]
    }

    proptest! {
        #[test]
        fn accepts_what_a_plain_set_accepts(start in 0..200_000_u64, steps in prop::collection::vec(step(), 1..400)) {
            let (mut window, mut naive, mut counter) = (Window::default(), Naive::default(), start);
            for step in steps {
                counter = counter.saturating_add_signed(step);
                prop_assert_eq!(window.accept(counter), naive.accept(counter), "counter {}", counter);
            }
        }
    }

    #[test]
    fn it_tells_from_the_highest_down_what_was_accepted() {
        let mut window = Window::default();
        for counter in [0, 3, 70_000, 69_998] {
            assert!(window.accept(counter));
        }
        assert_eq!((window.highest(), window.opened()), (70_000, 4));
        assert_eq!(window.down(4).collect::<Vec<_>>(), [true, false, true, false]);
        assert_eq!(
            (window.down(u64::MAX).count() as u64, window.down(u64::MAX).filter(|seen| *seen).count()),
            (WINDOW, 2)
        );
    }

    #[test]
    fn the_first_counter_and_the_last_are_accepted_once() {
        let mut window = Window::default();
        assert!(window.accept(0));
        assert!(!window.accept(0));
        assert!(window.accept(u64::MAX));
        assert!(!window.accept(u64::MAX));
        assert!(!window.accept(0));
    }
}
