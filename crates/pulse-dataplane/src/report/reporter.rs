//! The receiver's side: when to report on a key, and on which counters.
//!
//! Each report tells of what the one before told, too, and the last one is said twice: one lost datagram is no gap.
//! Invariant: what a report tells of was in the replay window when it was made.

use super::{MOST_RUNS, Report, Run};
use crate::seal::{WINDOW, Window};

/// What was reported on one key before.
#[derive(Debug, Default)]
pub struct Reporter {
    opened: u64,
    /// The highest counter of the last report, and of the one before.
    told: [Option<u64>; 2],
    said_twice: bool,
}

impl Reporter {
    /// True if there is something to tell, now that `opened` records were opened in all.
    pub fn has_news(&self, opened: u64) -> bool {
        opened != self.opened || (opened > 0 && !self.said_twice)
    }

    /// A second has passed: the next report on `index`, if there is anything to tell.
    pub fn next(&mut self, index: u32, window: &Window) -> Option<Report> {
        let opened = window.opened();
        if !self.has_news(opened) {
            return None;
        }
        self.said_twice = opened == self.opened;
        self.opened = opened;
        let highest = window.highest();
        let since = self.told[1].map_or(highest + 1, |told| highest - told).clamp(1, WINDOW);
        self.told = [Some(highest), self.told[0]];
        let (described, runs) = describe(window, since);
        Some(Report { index, highest, opened, described, runs })
    }
}

/// The runs among the last `since` counters, or among as many of these as `MOST_RUNS` can tell of.
fn describe(window: &Window, since: u64) -> (u32, Vec<Run>) {
    let (mut runs, mut run, mut described) = (vec![], Run { opened: 0, missing: 0 }, 0);
    for seen in window.down(since) {
        if seen && run.missing > 0 {
            runs.push(std::mem::replace(&mut run, Run { opened: 0, missing: 0 }));
            if runs.len() == MOST_RUNS {
                return (described, runs);
            }
        }
        described += 1;
        if seen {
            run.opened += 1;
        } else {
            run.missing += 1;
        }
    }
    if run.missing > 0 {
        runs.push(run);
    }
    (described, runs)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn window(counters: impl IntoIterator<Item = u64>) -> Window {
        let mut window = Window::default();
        for counter in counters {
            window.accept(counter);
        }
        window
    }

    proptest! {
        #[test]
        fn a_report_tells_what_is_in_the_window(counters in prop::collection::btree_set(0..2000_u64, 1..300)) {
            let report = Reporter::default().next(5, &window(counters.iter().copied())).unwrap();
            prop_assert_eq!(Report::decode(&report.encode()), Some(report.clone()));
            prop_assert_eq!((report.highest, report.opened), (*counters.last().unwrap(), counters.len() as u64));
            for counter in report.lowest()..=report.highest {
                prop_assert_eq!(report.covers(counter, 1), (1, u32::from(counters.contains(&counter))));
            }
            prop_assert!(report.lowest() == 0 || report.runs.len() == MOST_RUNS);
        }
    }

    #[test]
    fn nothing_is_told_of_nothing() {
        assert_eq!(Reporter::default().next(5, &Window::default()), None);
    }

    #[test]
    fn each_report_tells_of_two_seconds_and_the_last_is_said_twice() {
        let (mut reporter, mut window) = (Reporter::default(), window(0..100));
        assert_eq!(reporter.next(5, &window).map(|report| (report.lowest(), report.highest)), Some((0, 99)));
        (100..200).for_each(|counter| assert!(window.accept(counter)));
        assert_eq!(reporter.next(5, &window).map(|report| (report.lowest(), report.highest)), Some((0, 199)));
        (200..300).for_each(|counter| assert!(window.accept(counter)));
        assert_eq!(reporter.next(5, &window).map(|report| (report.lowest(), report.highest)), Some((100, 299)));
        assert_eq!(reporter.next(5, &window).map(|report| (report.lowest(), report.highest)), Some((200, 299)));
        assert_eq!(reporter.next(5, &window), None);
        assert!(window.accept(300));
        assert_eq!(reporter.next(5, &window).map(|report| report.opened), Some(301));
    }

    #[test]
    fn of_a_fast_flow_the_last_part_is_told() {
        let report = Reporter::default().next(5, &window((0..200_000).filter(|counter| counter % 1000 != 1))).unwrap();
        assert_eq!((report.highest, report.runs.len()), (199_999, MOST_RUNS));
        assert_eq!(report.covers(199_001, 1), (1, 0));
        assert_eq!(report.covers(0, 1000), (0, 0));
        let report = Reporter::default().next(5, &window(0..200_000)).unwrap();
        assert_eq!((u64::from(report.described), report.runs), (WINDOW, vec![]));
    }

    #[test]
    fn a_late_record_under_a_report_is_told_with_the_next() {
        let (mut reporter, mut window) = (Reporter::default(), window([0, 1, 5]));
        assert_eq!(reporter.next(5, &window).unwrap().covers(2, 3), (3, 0));
        assert!(window.accept(3));
        assert_eq!(reporter.next(5, &window).unwrap().covers(2, 3), (3, 1));
    }
}
