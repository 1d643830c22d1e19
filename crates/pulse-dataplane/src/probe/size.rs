//! How long a datagram may be on a link: the largest padded probe that was echoed (protocol §5).
//!
//! A link starts at what every path of QUIC takes, so nothing is lost while nobody knows better. Invariant: only an
//! echo raises a size; silence in three rounds, or the kernel's word, lowers it.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Bytes of UDP payload that are tried, largest first.
pub const SIZES: [usize; 5] = [MOST, 1420, 1372, 1280, LEAST];
/// Ethernet less IPv6 and UDP.
pub const MOST: usize = 1452;
/// QUIC's minimum: a path that takes less carries no link over UDP.
pub const LEAST: usize = 1228;

/// Between the rounds of one trial.
const ROUND: Duration = Duration::from_secs(1);
/// Rounds without an echo of a size before it counts as too long.
const ROUNDS: u32 = 3;
/// Between trials: routes change.
const AGAIN: Duration = Duration::from_secs(600);

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Send one probe of each of these sizes.
    Ask(&'static [usize]),
    /// The trial is over: this is the link's size.
    Found(usize),
    /// Nothing.
    Wait,
}

/// The trials of one link.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    open: Vec<(u32, u64, usize)>,
    best: usize,
    rounds: u32,
    next: Duration,
}

impl Trial {
    /// Time has passed.
    pub(crate) fn turn(&mut self, now: Duration) -> Turn {
        if now < self.next {
            return Turn::Wait;
        }
        if self.rounds == ROUNDS || self.best == MOST {
            let found = self.best.max(LEAST);
            *self = Self { next: now + AGAIN, ..Self::default() };
            return Turn::Found(found);
        }
        self.rounds += 1;
        self.next = now + ROUND;
        let larger = SIZES.iter().take_while(|size| **size > self.best.max(LEAST)).count();
        Turn::Ask(&SIZES[..larger])
    }

    /// A probe of `size` bytes left under this number and stamp.
    pub(crate) fn asked(&mut self, seq: u32, stamp: u64, size: usize) {
        self.open.push((seq, stamp, size));
    }

    /// An echo came: the size it proves, if it was one of these probes.
    pub(crate) fn echoed(&mut self, seq: u32, stamp: u64) -> Option<usize> {
        let place = self.open.iter().position(|(asked, at, _)| (*asked, *at) == (seq, stamp))?;
        let (_, _, size) = self.open.swap_remove(place);
        self.best = self.best.max(size);
        Some(size)
    }

    /// Something speaks against the size that was found: try anew at once.
    pub(crate) fn hurry(&mut self) {
        if self.rounds == 0 {
            self.next = Duration::ZERO;
        }
    }
}

/// A send of datagrams of `sent` bytes failed: if for their length, the size goes to the next step below.
pub fn refused(size: &AtomicUsize, error: &io::Error, sent: usize) {
    if error.raw_os_error() == Some(libc::EMSGSIZE) {
        let below = SIZES.iter().copied().find(|step| *step < sent).unwrap_or(LEAST);
        size.fetch_min(below, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Ask all that is due, over a path that takes `most` bytes.
    fn ask(trial: &mut Trial, now: Duration, most: usize) -> Turn {
        let turn = trial.turn(now);
        if let Turn::Ask(sizes) = turn {
            for (seq, size) in (0..).zip(sizes) {
                trial.asked(seq, 7, *size);
                if *size <= most {
                    assert_eq!(trial.echoed(seq, 7), Some(*size));
                }
            }
        }
        turn
    }

    #[test]
    fn the_largest_echoed_is_the_links_size() {
        for most in SIZES {
            let mut trial = Trial::default();
            let turns: Vec<Turn> = (0..4).map(|second| ask(&mut trial, SECOND * second, most)).collect();
            assert_eq!(turns[0], Turn::Ask(&SIZES[..4]));
            assert!(turns.contains(&Turn::Found(most)), "{turns:?}");
        }
    }

    #[test]
    fn a_size_gets_three_rounds_before_it_counts_as_too_long() {
        let mut trial = Trial::default();
        ask(&mut trial, SECOND, 1280);
        assert_eq!(trial.turn(SECOND), Turn::Wait);
        assert_eq!(ask(&mut trial, SECOND * 2, 1280), Turn::Ask(&SIZES[..3]));
        assert_eq!(ask(&mut trial, SECOND * 3, 1420), Turn::Ask(&SIZES[..3]));
        assert_eq!(trial.turn(SECOND * 4), Turn::Found(1420));
    }

    #[test]
    fn it_is_tried_anew_after_ten_minutes_or_in_a_hurry() {
        let mut trial = Trial::default();
        ask(&mut trial, SECOND, 1452);
        assert_eq!(trial.turn(SECOND * 2), Turn::Found(1452));
        assert_eq!(trial.turn(SECOND * 601), Turn::Wait);
        assert_eq!(trial.turn(SECOND * 602), Turn::Ask(&SIZES[..4]));
        trial.hurry();
        assert_eq!(trial.turn(SECOND * 602), Turn::Wait);
        for second in 603..605 {
            ask(&mut trial, SECOND * second, 0);
        }
        assert_eq!(trial.turn(SECOND * 605), Turn::Found(LEAST));
        trial.hurry();
        assert_eq!(trial.turn(SECOND * 605), Turn::Ask(&SIZES[..4]));
    }

    #[test]
    fn an_echo_counts_once_and_with_its_stamp() {
        let mut trial = Trial::default();
        trial.asked(3, 9, 1372);
        assert_eq!(trial.echoed(3, 8), None);
        assert_eq!(trial.echoed(3, 9), Some(1372));
        assert_eq!(trial.echoed(3, 9), None);
    }

    #[test]
    fn the_kernels_word_lowers_a_size_to_the_next_step() {
        let size = AtomicUsize::new(1452);
        refused(&size, &io::Error::from_raw_os_error(libc::EPERM), 1452);
        assert_eq!(size.load(Ordering::Relaxed), 1452);
        for (sent, expected) in [(1452, 1420), (1400, 1372), (1452, 1372), (1000, LEAST)] {
            refused(&size, &io::Error::from_raw_os_error(libc::EMSGSIZE), sent);
            assert_eq!(size.load(Ordering::Relaxed), expected);
        }
    }
}
