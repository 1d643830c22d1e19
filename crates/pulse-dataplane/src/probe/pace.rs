//! How long to wait until the next probe of a link.
//!
//! Invariant: what a link carries by itself (its probes, the keep-alive packets of sessions) never makes it busy, so that
//! an idle mesh stays idle.

use std::time::Duration;

/// Between probes of an idle link.
pub(crate) const IDLE: Duration = Duration::from_secs(1);
/// Between probes of a link with traffic, one whose echoes are missing, and one whose size is not known.
pub(crate) const BUSY: Duration = Duration::from_millis(200);
/// How long traffic keeps a link busy.
const BUSY_FOR: Duration = Duration::from_secs(5);
/// More packets than this in a second are traffic. A keep-alive and its answer are two each 5 s, for each session
/// that goes over the link.
const HANDFUL: u64 = 8;

/// Decides how long to wait until the next probe.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    since: Duration,
    packets: u64,
    busy_until: Duration,
}

impl Pace {
    /// `packets` is the total of what the link carried, its own probes apart; `hurried` if an answer is wanted soon.
    pub(crate) fn next(&mut self, now: Duration, packets: u64, hurried: bool) -> Duration {
        if packets.saturating_sub(self.packets) > HANDFUL {
            self.busy_until = now + BUSY_FOR;
            (self.since, self.packets) = (now, packets);
        } else if now.saturating_sub(self.since) >= IDLE {
            (self.since, self.packets) = (now, packets);
        }
        if hurried || now < self.busy_until { BUSY } else { IDLE }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handful_of_packets_a_second_does_not_make_a_link_busy() {
        let mut pace = Pace::default();
        for second in 0..100_u32 {
            assert_eq!(pace.next(IDLE * second, u64::from(second) * HANDFUL, false), IDLE);
        }
    }

    #[test]
    fn traffic_keeps_it_busy_for_five_seconds() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(IDLE, 9, false), BUSY);
        assert_eq!(pace.next(IDLE * 5, 9, false), BUSY);
        assert_eq!(pace.next(IDLE * 6, 9, false), IDLE);
    }

    #[test]
    fn traffic_of_a_few_packets_a_look_is_traffic_still() {
        let mut pace = Pace::default();
        let (mut now, mut packets) = (Duration::ZERO, 0);
        // Thirty packets a second, as a call makes them.
        for _ in 0..200 {
            let pause = pace.next(now, packets, false);
            now += pause;
            packets += if pause == IDLE { 30 } else { 6 };
            assert!(packets <= 30 || pause == BUSY, "at {now:?}");
        }
    }

    #[test]
    fn missing_echoes_are_looked_for_at_once() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(IDLE, 0, true), BUSY);
        assert_eq!(pace.next(IDLE * 2, 0, false), IDLE);
    }
}
