//! Which counters were seen: refuses every second copy of a packet.
//!
//! Invariant: of all counters up to the highest, exactly the last 65,536 can still be told apart;
//! older ones are refused. Multipath and a switch of path reorder by thousands, hence the size.

/// Counters that can still be told apart.
pub const WINDOW: u64 = 65_536;

/// The replay window of one key. Ask it only after the seal opened: a forged counter must not move it.
#[derive(Debug, Clone)]
pub struct Window {
    newest: u64,
    highest: u64,
    opened: u64,
    seen: Box<[u64]>,
    /// Of these, the ones that were repaired; there are none for most keys.
    repaired: Option<Box<[u64]>>,
}

impl Default for Window {
    fn default() -> Self {
        Self { newest: 0, highest: 0, opened: 0, seen: words(), repaired: None }
    }
}

impl Window {
    /// Mark `counter`, whose packet came; false if it was seen before or is too old to know.
    pub fn accept(&mut self, counter: u64) -> bool {
        let fresh = self.mark(counter);
        if fresh {
            self.highest = self.highest.max(counter);
            self.opened += 1;
        }
        fresh
    }

    /// Mark `counter`, whose packet was repaired: its own is no news any more, but it is not told as arrived. False as
    /// `accept`.
    pub fn repair(&mut self, counter: u64) -> bool {
        let fresh = self.mark(counter);
        if fresh {
            let (word, bit) = place(counter);
            self.repaired.get_or_insert_with(words)[word] |= bit;
        }
        fresh
    }

    /// The packet of `counter`, which was not fresh, came late: true if it had been repaired before. It counts as arrived
    /// from now on.
    pub fn arrived_late(&mut self, counter: u64) -> bool {
        let (word, bit) = place(counter);
        let in_reach = counter <= self.newest && self.newest - counter < WINDOW;
        let repaired = self.repaired.as_mut().filter(|words| in_reach && words[word] & bit != 0);
        let Some(words) = repaired else { return false };
        words[word] &= !bit;
        self.highest = self.highest.max(counter);
        self.opened += 1;
        true
    }

    /// True if `counter` was seen, or is too old to know.
    pub fn knows(&self, counter: u64) -> bool {
        let (word, bit) = place(counter);
        counter <= self.newest && (self.newest - counter >= WINDOW || self.seen[word] & bit != 0)
    }

    /// The highest counter that arrived; 0 also while there is none.
    pub fn highest(&self) -> u64 {
        self.highest
    }

    /// How many arrived.
    pub fn opened(&self) -> u64 {
        self.opened
    }

    /// For each of the last `count` counters (at most `WINDOW`), from the highest down: whether it arrived.
    pub fn down(&self, count: u64) -> impl Iterator<Item = bool> {
        let reach = (WINDOW - (self.newest - self.highest).min(WINDOW - 1)).min(count);
        let lowest = self.highest.saturating_sub(reach.max(1) - 1);
        (lowest..=self.highest).rev().map(|counter| {
            let (word, bit) = place(counter);
            let repaired = self.repaired.as_ref().map_or(0, |words| words[word]);
            self.seen[word] & !repaired & bit != 0
        })
    }

    fn mark(&mut self, counter: u64) -> bool {
        if counter > self.newest {
            forget(&mut self.seen, self.newest, counter);
            if let Some(repaired) = &mut self.repaired {
                forget(repaired, self.newest, counter);
            }
            self.newest = counter;
        } else if self.newest - counter >= WINDOW {
            return false;
        }
        let (word, bit) = place(counter);
        let fresh = self.seen[word] & bit == 0;
        self.seen[word] |= bit;
        fresh
    }
}

/// Forget what falls out: the places of all counters in (newest, counter].
fn forget(words: &mut [u64], newest: u64, counter: u64) {
    let mut left = counter - newest;
    if left >= WINDOW {
        words.fill(0);
        return;
    }
    while left > 0 {
        let next = counter - left + 1;
        let (word, bit) = place(next);
        let whole = next % 64 == 0 && left >= 64;
        words[word] &= if whole { 0 } else { !bit };
        left -= if whole { 64 } else { 1 };
    }
}

/// Which word, and which bit of it.
fn place(counter: u64) -> (usize, u64) {
    ((counter % WINDOW / 64) as usize, 1 << (counter % 64))
}

fn words() -> Box<[u64]> {
    vec![0; (WINDOW / 64) as usize].into()
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

    #[derive(Debug, Clone, Copy)]
    enum Act {
        Accept(i64),
        Repair(i64),
    }

    fn act() -> impl Strategy<Value = Act> {
        prop_oneof![3 => step().prop_map(Act::Accept), 1 => step().prop_map(Act::Repair)]
    }

    proptest! {
        #[test]
        fn what_was_repaired_is_known_but_did_not_arrive(start in 0..200_000_u64, acts in prop::collection::vec(act(), 1..300)) {
            let (mut window, mut seen, mut arrived) = (Window::default(), Naive::default(), HashSet::new());
            let mut counter = start;
            for act in acts {
                let (Act::Accept(step) | Act::Repair(step)) = act;
                counter = counter.saturating_add_signed(step);
                let fresh = seen.accept(counter);
                match act {
                    Act::Repair(_) => prop_assert_eq!(window.repair(counter), fresh),
                    Act::Accept(_) if fresh => prop_assert!(window.accept(counter) && arrived.insert(counter)),
                    Act::Accept(_) => {
                        prop_assert!(!window.accept(counter));
                        let in_reach = seen.highest - counter < WINDOW;
                        prop_assert_eq!(window.arrived_late(counter), in_reach && arrived.insert(counter));
                    }
                }
                prop_assert!(window.knows(counter));
            }
            let highest = arrived.iter().copied().max().unwrap_or(0);
            prop_assert_eq!((window.highest(), window.opened()), (highest, arrived.len() as u64));
            let down = window.down(u64::MAX).zip((0..=highest).rev());
            for (told, counter) in down.filter(|(_, counter)| seen.highest - counter < WINDOW) {
                prop_assert_eq!(told, arrived.contains(&counter), "counter {}", counter);
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
