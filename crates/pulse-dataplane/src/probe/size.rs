//! How long a datagram may be on a link: the largest padded probe that was echoed (protocol §5).
//!
//! A link starts at what every path of QUIC takes, so nothing is lost while nobody knows better. As long as it carries more
//! than short datagrams, probes of the size in use tell whether such still pass: a path that shrinks says nothing, and
//! nothing here needs an ICMP message. Invariant: only an echo raises a size; silence where shorter probes are echoed, or the
//! kernel's word, lowers it.

use std::time::Duration;

/// Bytes of UDP payload that are tried, largest first: Ethernet over IPv6; a framed and a bare packet of our own MTU, and a
/// bare one of 1,280 bytes; what is left of 1,420 (WireGuard), 1,400 and 1,280 bytes of path, over IPv4 or IPv6.
pub const SIZES: [usize; 10] = [MOST, 1420, 1392, 1372, 1352, 1312, 1280, 1252, 1232, LEAST];
/// Ethernet less IPv6 and UDP.
pub const MOST: usize = 1452;
/// A QUIC datagram: a path that takes less (1,228 bytes over IPv4) carries no link over UDP.
pub const LEAST: usize = 1200;

/// What any path carries (RFC 791): only longer datagrams can be lost for their length.
pub(super) const SHORT: usize = 548;

/// Rounds without an echo of a size before it counts as too long: a link that loses a fifth errs once in 600 times.
const ROUNDS: u32 = 4;
/// Between trials: routes change.
const AGAIN: Duration = Duration::from_secs(600);
/// Between probes of the size in use.
const WATCHED: Duration = Duration::from_millis(500);
/// So many of these in a row without an echo say that the path has shrunk.
const VANISHED: u32 = 4;
/// Probes that may still be echoed; all rounds of a trial are fewer.
const OPEN: usize = 64;

/// What to do now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Send one probe of each of these sizes.
    Ask(&'static [usize]),
    /// The trial is over: this is the link's size.
    Found(usize),
    /// The size does not hold any more: what is sent meanwhile had better be short.
    Fell,
    /// The trial is over: not even the least size passes.
    Narrow,
    /// Nothing.
    Wait,
}

/// How the link does, by its other probes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Condition {
    /// It has carried more than short datagrams since it was asked last.
    pub used: bool,
    /// No echo of a short probe is missing.
    pub echoed: bool,
    /// How long an echo may take.
    pub patience: Duration,
}

/// The trials of one link.
#[derive(Debug, Default)]
pub(crate) struct Trial {
    /// What the last trial found; 0 while one is under way.
    found: usize,
    best: usize,
    rounds: u32,
    next: Duration,
    doubted: bool,
    narrow: u32,
    open: Vec<(u32, u64, usize)>,
    watch: Watch,
}

/// Whether the size in use still passes.
#[derive(Debug, Default)]
struct Watch {
    asked: Option<Duration>,
    last: Duration,
    vanished: u32,
}

impl Trial {
    /// Time has passed.
    pub(crate) fn turn(&mut self, now: Duration, link: Condition) -> Turn {
        if self.found > 0 && !self.doubted && now < self.next {
            return self.watch(now, link);
        }
        if self.found > 0 {
            let doubted = self.doubted;
            *self = Self { next: now, ..Self::default() };
            return if doubted { Turn::Fell } else { self.round(now, link) };
        }
        if now < self.next { Turn::Wait } else { self.round(now, link) }
    }

    /// The last round, if there was one, has had its time.
    fn round(&mut self, now: Duration, link: Condition) -> Turn {
        if !link.echoed {
            // Nothing gets through, long or short: that round said nothing.
            self.rounds = self.rounds.saturating_sub(1);
        }
        if self.rounds == ROUNDS || self.best == MOST {
            return self.end(now);
        }
        self.rounds += 1;
        self.next = now + link.patience;
        let larger = SIZES.iter().take_while(|size| **size > self.best).count();
        Turn::Ask(&SIZES[..larger])
    }

    fn end(&mut self, now: Duration) -> Turn {
        if self.best == 0 {
            *self = Self { next: now, narrow: self.narrow + 1, ..Self::default() };
            return Turn::Narrow;
        }
        let found = self.best;
        let watch = Watch { last: now, ..Watch::default() };
        *self = Self { found, watch, next: now + AGAIN, ..Self::default() };
        Turn::Found(found)
    }

    fn watch(&mut self, now: Duration, link: Condition) -> Turn {
        let Watch { asked, last, vanished } = self.watch;
        match asked {
            Some(asked) if now.saturating_sub(asked) < link.patience => return Turn::Wait,
            Some(_) => {
                self.watch.asked = None;
                self.watch.vanished = if link.echoed { vanished + 1 } else { 0 };
            }
            None => {}
        }
        if self.watch.vanished >= VANISHED {
            *self = Self { next: now, ..Self::default() };
            return Turn::Fell;
        }
        let is_due = link.used && now.saturating_sub(last) >= WATCHED;
        if self.watch.vanished == 0 && !is_due {
            return Turn::Wait;
        }
        (self.watch.asked, self.watch.last) = (Some(now), now);
        let place = SIZES.iter().position(|size| *size == self.found).unwrap_or_default();
        Turn::Ask(&SIZES[place..=place])
    }

    /// A probe of `size` bytes left under this number and stamp.
    pub(crate) fn asked(&mut self, seq: u32, stamp: u64, size: usize) {
        if self.open.len() >= OPEN {
            self.open.remove(0);
        }
        self.open.push((seq, stamp, size));
    }

    /// An echo came: the size it proves, if it was one of these probes.
    pub(crate) fn echoed(&mut self, seq: u32, stamp: u64) -> Option<usize> {
        let place = self.open.iter().position(|(asked, at, _)| (*asked, *at) == (seq, stamp))?;
        let (_, _, size) = self.open.swap_remove(place);
        self.best = self.best.max(size);
        (self.watch.asked, self.watch.vanished) = (None, 0);
        Some(size)
    }

    /// Something speaks against the size that was found: try anew at once.
    pub(crate) fn doubt(&mut self) {
        self.doubted = self.found > 0;
    }

    /// True while probes had better leave soon.
    pub(crate) fn is_under_way(&self) -> bool {
        self.found == 0 || self.doubted || self.watch.vanished > 0
    }

    /// So many trials in a row heard nothing.
    pub(crate) fn narrow(&self) -> u32 {
        self.narrow
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROUND: Duration = Duration::from_millis(200);
    const WELL: Condition = Condition { used: true, echoed: true, patience: ROUND };

    /// One trial over a way that takes `most` bytes, a turn each round.
    struct Way {
        trial: Trial,
        now: Duration,
        most: usize,
        seq: u32,
    }

    impl Way {
        fn new(most: usize) -> Self {
            Self { trial: Trial::default(), now: Duration::from_secs(1), most, seq: 0 }
        }

        fn turn(&mut self, link: Condition) -> Turn {
            self.now += ROUND;
            let turn = self.trial.turn(self.now, link);
            if let Turn::Ask(sizes) = turn {
                for size in sizes {
                    self.seq += 1;
                    self.trial.asked(self.seq, 7, *size);
                    if *size <= self.most {
                        assert_eq!(self.trial.echoed(self.seq, 7), Some(*size));
                    }
                }
            }
            turn
        }

        /// Turns until one that is neither a question nor a wait.
        fn outcome(&mut self, link: Condition) -> Turn {
            for _ in 0..10_000 {
                match self.turn(link) {
                    Turn::Ask(_) | Turn::Wait => {}
                    turn => return turn,
                }
            }
            Turn::Wait
        }
    }

    #[test]
    fn the_largest_echoed_is_the_links_size() {
        for most in SIZES {
            let mut way = Way::new(most);
            assert_eq!(way.turn(WELL), Turn::Ask(&SIZES));
            assert_eq!(way.outcome(WELL), Turn::Found(most));
        }
    }

    #[test]
    fn a_size_gets_four_rounds_before_it_counts_as_too_long() {
        let mut way = Way::new(1280);
        way.turn(WELL);
        for _ in 1..ROUNDS {
            assert_eq!(way.turn(WELL), Turn::Ask(&SIZES[..6]));
        }
        // The last of them is late, but not too late.
        assert_eq!(way.trial.echoed(way.seq - 5, 7), Some(1452));
        assert_eq!(way.turn(WELL), Turn::Found(1452));
    }

    #[test]
    fn it_is_tried_anew_after_ten_minutes_and_grows_back() {
        let mut way = Way::new(1372);
        assert_eq!(way.outcome(WELL), Turn::Found(1372));
        let (found, idle) = (way.now, Condition { used: false, ..WELL });
        way.most = 1500;
        assert_eq!(way.outcome(idle), Turn::Found(1452));
        assert!((AGAIN..AGAIN + ROUND * 10).contains(&(way.now - found)), "{:?}", way.now - found);
    }

    #[test]
    fn a_link_in_use_whose_long_probes_vanish_falls_within_two_seconds_and_finds_its_size() {
        let mut way = Way::new(1452);
        assert_eq!(way.outcome(WELL), Turn::Found(1452));
        assert!((0..100).all(|_| matches!(way.turn(WELL), Turn::Wait | Turn::Ask(&[1452]))));
        way.most = 1372;
        let shrunk = way.now;
        assert_eq!(way.outcome(WELL), Turn::Fell);
        assert!(way.now - shrunk <= Duration::from_secs(2), "{:?}", way.now - shrunk);
        assert_eq!(way.outcome(WELL), Turn::Found(1372));
    }

    #[test]
    fn an_idle_link_is_left_alone() {
        let (mut way, idle) = (Way::new(1452), Condition { used: false, ..WELL });
        assert_eq!(way.outcome(idle), Turn::Found(1452));
        assert!((0..100).all(|_| way.turn(idle) == Turn::Wait));
    }

    #[test]
    fn long_probes_that_vanish_with_the_short_ones_say_nothing_of_the_size() {
        let (mut way, deaf) = (Way::new(1452), Condition { echoed: false, ..WELL });
        assert_eq!(way.outcome(WELL), Turn::Found(1452));
        way.most = 0;
        assert!((0..100).all(|_| !matches!(way.turn(deaf), Turn::Fell)));
        way.trial.doubt();
        assert_eq!(way.turn(deaf), Turn::Fell);
        assert!((0..100).all(|_| matches!(way.turn(deaf), Turn::Ask(_))));
        way.most = 1420;
        assert_eq!(way.outcome(WELL), Turn::Found(1420));
    }

    #[test]
    fn a_few_lost_ones_in_a_row_are_chance() {
        let mut way = Way::new(1452);
        assert_eq!(way.outcome(WELL), Turn::Found(1452));
        for _ in 0..50 {
            way.most = 0;
            let mut lost = 0;
            while lost < VANISHED - 1 {
                lost += u32::from(matches!(way.turn(WELL), Turn::Ask(_)));
            }
            way.most = 1452;
            while !matches!(way.turn(WELL), Turn::Ask(&[1452])) {}
        }
        assert_eq!(way.trial.found, 1452);
    }

    #[test]
    fn a_way_that_takes_not_even_the_least_is_told_again_and_again() {
        let mut way = Way::new(LEAST - 1);
        for times in 1..4 {
            assert_eq!(way.outcome(WELL), Turn::Narrow);
            assert_eq!(way.trial.narrow(), times);
        }
        way.most = LEAST;
        assert_eq!(way.outcome(WELL), Turn::Found(LEAST));
        assert_eq!(way.trial.narrow(), 0);
    }

    #[test]
    fn what_speaks_against_a_size_starts_a_trial_once() {
        let mut way = Way::new(1312);
        way.trial.doubt();
        assert_eq!(way.outcome(WELL), Turn::Found(1312));
        way.trial.doubt();
        assert!(way.trial.is_under_way());
        assert_eq!(way.turn(WELL), Turn::Fell);
        way.trial.doubt();
        assert_eq!(way.outcome(WELL), Turn::Found(1312));
        assert!(!way.trial.is_under_way());
    }

    #[test]
    fn an_echo_counts_once_and_with_its_stamp_and_few_are_waited_for() {
        let mut trial = Trial::default();
        trial.asked(3, 9, 1372);
        assert_eq!(trial.echoed(3, 8), None);
        assert_eq!(trial.echoed(3, 9), Some(1372));
        assert_eq!(trial.echoed(3, 9), None);
        (0..1000).for_each(|seq| trial.asked(seq, 1, 1372));
        assert_eq!(trial.open.len(), OPEN);
    }
}
