//! What echoes say of the way they took: round-trip time, jitter, loss, and how many are missing in a row.
//!
//! Links and paths are measured alike. Invariant: time comes in by argument, and an echo counts once.

use std::collections::VecDeque;
use std::time::Duration;

/// Until the first echo, a probe may take this long.
const UNKNOWN: Duration = Duration::from_secs(1);
/// Any probe may take this long.
const LEAST: Duration = Duration::from_millis(200);
/// Loss is that of so many probes.
const WINDOW: usize = 100;

/// What the probes of a link or path say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    /// Smoothed round-trip time; none before the first echo.
    pub rtt: Option<Duration>,
    /// Smoothed change of the round-trip time (RFC 3550 §6.4.1).
    pub jitter: Duration,
    /// Share of the last 100 probes whose echo did not come, 0 to 1.
    pub loss: f64,
}

#[derive(Debug)]
struct Sent {
    seq: u32,
    at: Duration,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Echoed,
    Lost,
}

/// The figures of the probes sent one way.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    sent: VecDeque<Sent>,
    missing: u32,
    rtt: Option<Duration>,
    last: Duration,
    jitter: Duration,
}

impl Meter {
    /// A probe with number `seq` leaves now; the stamp it bears.
    pub(crate) fn sent(&mut self, seq: u32, now: Duration) -> u64 {
        if self.sent.len() == WINDOW {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { seq, at: now, fate: Fate::Open });
        stamp(now)
    }

    /// An echo came; true if it is the first of a probe of ours.
    pub(crate) fn echoed(&mut self, seq: u32, echoed: u64, now: Duration) -> bool {
        let mut open = self.sent.iter_mut().filter(|sent| sent.fate != Fate::Echoed);
        let Some(sent) = open.find(|sent| sent.seq == seq && stamp(sent.at) == echoed) else { return false };
        sent.fate = Fate::Echoed;
        let rtt = now.saturating_sub(sent.at);
        self.missing = 0;
        self.measured(rtt);
        true
    }

    fn measured(&mut self, rtt: Duration) {
        if let Some(smoothed) = self.rtt {
            self.jitter = self.jitter * 15 / 16 + rtt.abs_diff(self.last) / 16;
            self.rtt = Some(smoothed * 7 / 8 + rtt / 8);
        } else {
            self.rtt = Some(rtt);
        }
        self.last = rtt;
    }

    /// How long an echo may take.
    pub(crate) fn patience(&self) -> Duration {
        self.rtt.map_or(UNKNOWN, |rtt| LEAST.max(rtt * 2 + self.jitter * 4))
    }

    /// Give up on probes that are overdue; returns how many echoes in a row are missing.
    pub(crate) fn settle(&mut self, now: Duration) -> u32 {
        let patience = self.patience();
        let overdue = |sent: &&mut Sent| sent.fate == Fate::Open && now.saturating_sub(sent.at) >= patience;
        for sent in self.sent.iter_mut().filter(overdue) {
            sent.fate = Fate::Lost;
            self.missing += 1;
        }
        self.missing
    }

    /// Echoes missing in a row, as `settle` found them last.
    pub(crate) fn missing(&self) -> u32 {
        self.missing
    }

    /// The figures now.
    pub(crate) fn reading(&self) -> Reading {
        let lost = self.sent.iter().filter(|sent| sent.fate == Fate::Lost).count();
        let settled = self.sent.iter().filter(|sent| sent.fate != Fate::Open).count();
        let loss = if settled == 0 { 0.0 } else { lost as f64 / settled as f64 };
        Reading { rtt: self.rtt, jitter: self.jitter, loss }
    }
}

/// Microseconds: unique enough to tell probes of one number apart.
pub(crate) fn stamp(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn figures_follow_the_echoes() {
        let mut meter = Meter::default();
        for round in 0..200_u32 {
            let at = 200 * MS * round;
            let stamp = meter.sent(round, at);
            if round % 4 != 0 {
                meter.echoed(round, stamp, at + 20 * MS);
            }
            meter.settle(at + 200 * MS);
        }
        let reading = meter.reading();
        assert_eq!(reading.rtt.map(|rtt| rtt.as_millis()), Some(20));
        assert!(reading.jitter < MS);
        assert!((reading.loss - 0.25).abs() < 1e-9);
    }

    #[test]
    fn missing_echoes_count_in_a_row_and_one_echo_forgives_them() {
        let mut meter = Meter::default();
        let first = meter.sent(0, Duration::ZERO);
        meter.echoed(0, first, MS);
        let mut late = 0;
        for round in 1..=3 {
            late = meter.sent(round, 200 * MS * round);
        }
        assert_eq!(meter.settle(800 * MS), 3);
        assert!(meter.echoed(3, late, 810 * MS));
        assert_eq!(meter.settle(820 * MS), 0);
    }

    #[test]
    fn a_slow_way_is_given_time() {
        let mut meter = Meter::default();
        let first = meter.sent(0, Duration::ZERO);
        meter.echoed(0, first, 600 * MS);
        meter.sent(1, 1000 * MS);
        assert_eq!(meter.settle(2000 * MS), 0);
        assert_eq!(meter.settle(2300 * MS), 1);
    }

    #[test]
    fn an_echo_counts_once_and_only_with_its_stamp() {
        let mut meter = Meter::default();
        let first = meter.sent(0, Duration::ZERO);
        assert!(!meter.echoed(0, first + 1, MS));
        assert_eq!(meter.reading().rtt, None);
        assert!(meter.echoed(0, first, 10 * MS));
        assert!(!meter.echoed(0, first, 900 * MS));
        assert_eq!(meter.reading().rtt, Some(10 * MS));
    }
}
