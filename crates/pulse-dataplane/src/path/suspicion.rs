//! What makes a path suspect, and what clears it.
//!
//! Two witnesses: probes, which a broken path does not carry, and receiver reports, which tell of a relay that
//! answers for probes and drops the rest. Invariant: no echo clears what a report said; only a pause does, a longer
//! one each time, so that a relay that lies is not trusted again at once.

use std::time::Duration;

/// Missing echoes in a row that make a path suspect.
const SUSPECT_AFTER: u32 = 3;
/// Echoes in a row that clear it, so that a path that comes and goes does not flap.
const CLEAR_AFTER: u32 = 2;
/// How long a path rests whose records did not arrive, and the longest rest.
const FIRST_REST: Duration = Duration::from_secs(10);
const LONGEST_REST: Duration = Duration::from_secs(120);

/// What is held against one path; time comes in by argument.
#[derive(Debug, Default)]
pub(crate) struct Suspicion {
    silent: bool,
    echoes: u32,
    rests_until: Option<Duration>,
    rest: Duration,
}

impl Suspicion {
    /// So many echoes in a row are missing now.
    pub(crate) fn missing(&mut self, in_a_row: u32) {
        if in_a_row > 0 {
            self.echoes = 0;
        }
        self.silent |= in_a_row >= SUSPECT_AFTER;
    }

    /// An echo came.
    pub(crate) fn echoed(&mut self) {
        self.echoes = self.echoes.saturating_add(1);
        self.silent &= self.echoes < CLEAR_AFTER;
    }

    /// What was sent on it did not arrive, whatever the probes say.
    pub(crate) fn unheard(&mut self, now: Duration) {
        if self.rests(now) {
            return;
        }
        self.rest = if self.remembers(now) { LONGEST_REST.min(self.rest * 2) } else { FIRST_REST };
        self.rests_until = Some(now + self.rest);
    }

    /// True while the path had better not be used.
    pub(crate) fn is_suspect(&self, now: Duration) -> bool {
        self.silent || self.rests(now)
    }

    /// True while the path rests: there is no use in asking.
    pub(crate) fn rests(&self, now: Duration) -> bool {
        self.rests_until.is_some_and(|until| now < until)
    }

    /// True while forgetting it would forgive it.
    pub(crate) fn remembers(&self, now: Duration) -> bool {
        self.silent || self.rests_until.is_some_and(|until| now < until + self.rest * 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn three_missing_echoes_make_it_suspect_and_two_in_a_row_clear_it() {
        let mut suspicion = Suspicion::default();
        suspicion.missing(2);
        assert!(!suspicion.is_suspect(SECOND));
        suspicion.missing(3);
        assert!(suspicion.is_suspect(SECOND));
        suspicion.echoed();
        assert!(suspicion.is_suspect(SECOND));
        suspicion.missing(1);
        suspicion.echoed();
        assert!(suspicion.is_suspect(SECOND));
        suspicion.echoed();
        assert!(!suspicion.is_suspect(SECOND));
    }

    #[test]
    fn no_echo_clears_what_a_report_said() {
        let mut suspicion = Suspicion::default();
        suspicion.unheard(SECOND);
        for _ in 0..100 {
            suspicion.echoed();
        }
        assert!(suspicion.is_suspect(SECOND * 10));
        assert!(!suspicion.is_suspect(SECOND * 11));
    }

    #[test]
    fn it_rests_twice_as_long_each_time_up_to_two_minutes() {
        let mut suspicion = Suspicion::default();
        let mut now = Duration::ZERO;
        for rest in [10, 20, 40, 80, 120, 120] {
            suspicion.unheard(now);
            suspicion.unheard(now + SECOND);
            assert!(suspicion.is_suspect(now + SECOND * (rest - 1)));
            now += SECOND * rest;
            assert!(!suspicion.is_suspect(now));
            assert!(suspicion.remembers(now));
        }
    }

    #[test]
    fn a_path_that_did_well_for_a_while_is_forgiven() {
        let mut suspicion = Suspicion::default();
        suspicion.unheard(Duration::ZERO);
        assert!(suspicion.remembers(SECOND * 29));
        assert!(!suspicion.remembers(SECOND * 30));
        suspicion.unheard(SECOND * 30);
        assert!(suspicion.is_suspect(SECOND * 39));
        assert!(!suspicion.is_suspect(SECOND * 40));
    }
}
