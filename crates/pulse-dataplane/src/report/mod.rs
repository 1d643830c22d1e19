//! Receiver reports: which records arrived, told to who sealed them (protocol §11).
//!
//! ```text
//! 1 | index 4 | highest 8 | opened 8 | described 4 | runs 1 | runs × (opened 4 | missing 4)
//! ```
//! A session datagram a second while records flow. `opened` counts all records opened under the index; the last
//! `described` counters up to `highest` are told one by one: going down, so many opened, then so many missing, and what
//! is left at the end opened. Invariant: a report that does not add up is no report.

mod coverage;
mod reporter;
mod tally;
mod trail;

pub(crate) use coverage::{Coverage, Expected};
pub use reporter::Reporter;
pub(crate) use tally::Tally;
pub use trail::{Departed, Noting, Trail};

/// Kind byte of the session datagram; 0 is a kick.
pub const REPORT: u8 = 1;
/// Runs of missing counters in one report.
pub const MOST_RUNS: usize = 64;

/// More than any key seals.
const MOST_COUNTERS: u64 = 1 << 48;

/// Bytes before the runs.
const HEAD: usize = 26;
const RUN: usize = 8;

/// Counters in a row: so many opened, and below them so many missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// Counters that were opened; at least 1.
    pub opened: u32,
    /// The counters below these that were not; at least 1.
    pub missing: u32,
}

/// What arrived under one record key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The receiver's index of the key.
    pub index: u32,
    /// The highest counter that opened.
    pub highest: u64,
    /// How many records opened in all.
    pub opened: u64,
    /// How many counters, from `highest` down, this report tells of; at least 1.
    pub described: u32,
    /// Which of these are missing, from `highest` down; at most `MOST_RUNS`.
    pub runs: Vec<Run>,
}

impl Report {
    /// Its datagram.
    pub fn encode(&self) -> Vec<u8> {
        let runs = &self.runs[..self.runs.len().min(MOST_RUNS)];
        let mut bytes = Vec::with_capacity(HEAD + RUN * runs.len());
        bytes.push(REPORT);
        bytes.extend_from_slice(&self.index.to_be_bytes());
        bytes.extend_from_slice(&self.highest.to_be_bytes());
        bytes.extend_from_slice(&self.opened.to_be_bytes());
        bytes.extend_from_slice(&self.described.to_be_bytes());
        bytes.push(runs.len() as u8);
        for run in runs {
            bytes.extend_from_slice(&run.opened.to_be_bytes());
            bytes.extend_from_slice(&run.missing.to_be_bytes());
        }
        bytes
    }

    /// The report in a datagram; what a later release appends is ignored.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (head, rest) = bytes.split_first_chunk::<HEAD>()?;
        let [REPORT, fields @ .., count] = head else { return None };
        let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|byte| fields[at + byte]));
        let long = |at: usize| u64::from_be_bytes(std::array::from_fn(|byte| fields[at + byte]));
        let runs = rest.get(..RUN * usize::from(*count))?.chunks_exact(RUN).map(run).collect();
        let report = Self { index: word(0), highest: long(4), opened: long(12), described: word(20), runs };
        report.adds_up().then_some(report)
    }

    fn adds_up(&self) -> bool {
        let told: u64 = self.runs.iter().map(|run| u64::from(run.opened) + u64::from(run.missing)).sum();
        let described = u64::from(self.described);
        let fits = described >= 1 && described - 1 <= self.highest && self.highest <= MOST_COUNTERS && self.opened >= 1;
        let runs_fit = self.runs.len() <= MOST_RUNS && self.runs.iter().all(|run| run.opened >= 1 && run.missing >= 1);
        fits && runs_fit && told <= described
    }

    /// The lowest counter it tells of.
    pub fn lowest(&self) -> u64 {
        self.highest - (u64::from(self.described) - 1)
    }

    /// How many of the `count` counters from `first` on it tells of, and how many of these were opened.
    pub(crate) fn covers(&self, first: u64, count: u32) -> (u32, u32) {
        let (first, end) = (first.max(self.lowest()), (first + u64::from(count)).min(self.highest + 1));
        if first >= end {
            return (0, 0);
        }
        let mut missing = 0;
        let mut above = self.highest + 1;
        for run in &self.runs {
            let top = above - u64::from(run.opened);
            above = top - u64::from(run.missing);
            missing += top.min(end).saturating_sub(above.max(first));
            if above <= first {
                break;
            }
        }
        let told = end - first;
        (told as u32, (told - missing) as u32)
    }
}

impl Report {
    /// Into how many runs the missing ones of the `count` counters from `first` on fall.
    pub(crate) fn gaps(&self, first: u64, count: u32) -> u32 {
        let end = first.saturating_add(u64::from(count));
        let mut above = self.highest + 1;
        let overlaps = self.runs.iter().filter(|run| {
            let top = above - u64::from(run.opened);
            above = top - u64::from(run.missing);
            above < end && first < top
        });
        overlaps.count() as u32
    }
}

fn run(bytes: &[u8]) -> Run {
    let word = |at: usize| u32::from_be_bytes(std::array::from_fn(|byte| bytes[at + byte]));
    Run { opened: word(0), missing: word(4) }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::iter::once;

    use proptest::prelude::*;

    use super::*;
    use crate::vectors::{check, hex, quoted};

    fn some_report() -> impl Strategy<Value = Report> {
        let run = (1..100_u32, 1..100_u32).prop_map(|(opened, missing)| Run { opened, missing });
        let runs = prop::collection::vec(run, 0..=MOST_RUNS);
        (any::<u32>(), any::<u32>(), 1..u64::MAX, 1..100_u32, runs).prop_map(|(index, above, opened, rest, runs)| {
            let told: u32 = runs.iter().map(|run| run.opened + run.missing).sum();
            let described = told + rest;
            Report { index, highest: u64::from(described) + u64::from(above), opened, described, runs }
        })
    }

    proptest! {
        #[test]
        fn a_report_survives_the_wire(report in some_report(), more in prop::collection::vec(any::<u8>(), 0..10)) {
            let mut bytes = report.encode();
            bytes.extend(more);
            prop_assert_eq!(Report::decode(&bytes), Some(report));
        }

        #[test]
        fn a_cut_one_is_none(report in some_report(), cut in any::<prop::sample::Index>()) {
            let bytes = report.encode();
            prop_assert_eq!(Report::decode(&bytes[..cut.index(bytes.len())]), None);
        }

        #[test]
        fn random_bytes_never_panic_and_what_decodes_can_be_asked(mut bytes in prop::collection::vec(any::<u8>(), 26..200), first: u64, count: u32) {
            bytes[0] = REPORT;
            if let Some(report) = Report::decode(&bytes) {
                let (told, opened) = report.covers(first.min(u64::MAX - u64::from(count)), count);
                prop_assert!(opened <= told && told <= count);
            }
        }

        #[test]
        fn it_covers_what_a_plain_list_would(report in some_report(), above in 0..5000_u64, count in 1..5000_u32) {
            let mut opened = vec![];
            for run in &report.runs {
                opened.extend(std::iter::repeat_n(true, run.opened as usize));
                opened.extend(std::iter::repeat_n(false, run.missing as usize));
            }
            opened.resize(report.described as usize, true);
            let first = (report.highest + 100).saturating_sub(above);
            let told = (first..first + u64::from(count)).filter_map(|counter| opened.get(usize::try_from(report.highest.checked_sub(counter)?).unwrap()));
            let told: Vec<bool> = told.copied().collect();
            let expected = (told.len() as u32, told.iter().filter(|opened| **opened).count() as u32);
            prop_assert_eq!(report.covers(first, count), expected);
            let gaps = told.iter().zip(once(&true).chain(&told)).filter(|(opened, before)| !**opened && **before).count();
            prop_assert_eq!(report.gaps(first, count), gaps as u32);
        }
    }

    #[test]
    fn what_does_not_add_up_is_no_report() {
        let run = Run { opened: 1, missing: 1 };
        let good = Report { index: 1, highest: 9, opened: 1, described: 10, runs: vec![run; 5] };
        assert_eq!(Report::decode(&good.encode()), Some(good.clone()));
        let wrong = [
            Report { described: 11, ..good.clone() },
            Report { described: 9, ..good.clone() },
            Report { described: 0, runs: vec![], ..good.clone() },
            Report { opened: 0, ..good.clone() },
            Report { highest: u64::MAX, ..good.clone() },
            Report { runs: vec![Run { opened: 0, missing: 1 }], ..good.clone() },
            Report { runs: vec![Run { opened: 1, missing: 0 }], ..good.clone() },
            Report { runs: vec![Run { opened: u32::MAX, missing: u32::MAX }], ..good.clone() },
        ];
        for report in wrong {
            assert_eq!(Report::decode(&report.encode()), None, "{report:?}");
        }
        let mut many = Report { highest: 1000, described: 1000, runs: vec![run; MOST_RUNS], ..good }.encode();
        many[HEAD - 1] += 1;
        many.extend([0, 0, 0, 1, 0, 0, 0, 1]);
        assert_eq!(Report::decode(&many), None);
        many[0] = 0;
        assert_eq!(Report::decode(&many), None);
    }

    #[test]
    fn the_vectors_hold() {
        let about = "report = kind 1 (1) | index 4 | highest 8 | opened 8 | described 4 | number of runs 1 | runs from highest down, each: opened 4 | missing 4";
        let runs = |pairs: &[(u32, u32)]| {
            pairs.iter().map(|(opened, missing)| Run { opened: *opened, missing: *missing }).collect()
        };
        let cases = [
            ("nothing is missing", Report { index: 0xa1b2_c3d4, highest: 0, opened: 1, described: 1, runs: vec![] }),
            (
                "two runs are missing, counters past 32 bits",
                Report {
                    index: 1,
                    highest: 0x1_0000_0100,
                    opened: 0xff_0000,
                    described: 65_536,
                    runs: runs(&[(1, 3), (200, 47)]),
                },
            ),
            (
                "all that it may hold",
                Report { index: 9, highest: 1000, opened: 900, described: 1001, runs: runs(&[(2, 1); MOST_RUNS]) },
            ),
        ];
        let vectors = cases.map(|(name, report)| {
            let runs: Vec<String> =
                report.runs.iter().map(|run| format!("[{}, {}]", run.opened, run.missing)).collect();
            vec![
                ("name", quoted(name)),
                ("index", report.index.to_string()),
                ("highest", report.highest.to_string()),
                ("opened", report.opened.to_string()),
                ("described", report.described.to_string()),
                ("runs", format!("[{}]", runs.join(", "))),
                ("bytes_hex", hex(&report.encode())),
            ]
        });
        check("report.json", about, &vectors);
    }
}
