//! A sender, paths that lose what they are told to, a receiver with a real window: time stands in for a clock.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::report::Reporter;
use crate::seal::Window;

const GOOD: LinkId = 1;
const BAD: LinkId = 2;
const ROUND: Duration = Duration::from_millis(200);
const SECOND: Duration = Duration::from_secs(1);
const CLEAN: Expected = Expected { rtt: Duration::from_millis(20), loss: 0.0 };

/// Time goes by in rounds of 200 ms; each second the receiver reports.
#[derive(Default)]
struct World {
    coverage: Coverage,
    window: Window,
    reporter: Reporter,
    next: u64,
    now: Duration,
    rounds: u32,
    reports_lost: bool,
}

impl World {
    /// Send records over `link`; they arrive if `arrive` says so.
    fn send(&mut self, link: LinkId, count: u32, arrive: impl Fn(u64) -> bool) {
        for counter in self.next..self.next + u64::from(count) {
            if arrive(counter) {
                self.window.accept(counter);
            }
        }
        self.coverage.departed(std::iter::once(Departed { first: self.next, count, link }), self.now);
        self.next += u64::from(count);
    }

    fn round(&mut self) {
        self.rounds += 1;
        self.now += ROUND;
        if self.rounds % 5 == 0 {
            let report = self.reporter.next(9, &self.window);
            if let Some(report) = report.filter(|_| !self.reports_lost) {
                self.coverage.reported(&report, self.now, |_| CLEAN);
            }
        }
    }

    fn unheard(&self, expected: Expected) -> Vec<LinkId> {
        self.coverage.unheard(self.now, |_| expected)
    }

    /// Go on until a path is unheard: how long it took.
    fn until_unheard(&mut self, expected: Expected, mut each: impl FnMut(&mut Self)) -> Duration {
        let begin = self.now;
        while self.unheard(expected).is_empty() {
            assert!(self.now - begin < SECOND * 20, "never");
            each(self);
            self.round();
        }
        self.now - begin
    }
}

#[test]
fn a_path_whose_records_arrive_is_never_unheard() {
    let mut world = World::default();
    for _ in 0..500 {
        world.send(GOOD, 40, |_| true);
        world.round();
        assert_eq!(world.unheard(CLEAN), []);
        world.coverage.settle(world.now);
    }
    assert!(world.coverage.notes.len() < 20);
}

#[test]
fn a_path_that_drops_every_record_is_found_within_three_seconds() {
    for offset in 0..5 {
        let mut world = World::default();
        for _ in 0..20 + offset {
            world.send(GOOD, 10, |_| true);
            world.send(BAD, 10, |_| true);
            world.round();
        }
        let took = world.until_unheard(CLEAN, |world| {
            world.send(GOOD, 10, |_| true);
            world.send(BAD, 10, |_| false);
        });
        assert!((SECOND * 2..=SECOND * 3).contains(&took), "{took:?}");
        assert_eq!(world.unheard(CLEAN), [BAD]);
    }
}

#[test]
fn so_is_one_that_took_all_there_was_so_that_no_report_comes() {
    for offset in 0..5 {
        let mut world = World::default();
        for _ in 0..20 + offset {
            world.send(BAD, 10, |_| true);
            world.round();
        }
        let took = world.until_unheard(CLEAN, |world| world.send(BAD, 10, |_| false));
        assert!((SECOND * 2..=SECOND * 3).contains(&took), "{took:?}");
    }
}

#[test]
fn a_transfer_that_only_retries_is_enough_to_find_it() {
    let mut world = World::default();
    // As TCP does: at 0, 200, 600, 1400, 3000 ms.
    let retries = [0, 1, 3, 7, 15];
    let took = world.until_unheard(CLEAN, |world| {
        if retries.contains(&world.rounds) {
            world.send(BAD, 1, |_| false);
        }
    });
    assert!(took <= SECOND * 3, "{took:?}");
}

#[test]
fn the_end_of_a_transfer_may_be_lost() {
    let mut world = World::default();
    world.send(GOOD, 100, |_| true);
    for _ in 0..2 {
        world.round();
        world.send(GOOD, 300, |_| false);
    }
    for _ in 0..100 {
        world.round();
        assert_eq!(world.unheard(CLEAN), []);
    }
}

#[test]
fn losses_far_apart_are_no_run_once_the_path_is_left() {
    let mut world = World::default();
    // A queue that overflows now and then, and between that carries everything.
    for round in 0..20 {
        world.send(BAD, 1000, |_| true);
        world.send(GOOD, 1000, |_| true);
        if round % 4 == 0 {
            world.send(BAD, 30, |_| false);
        }
        world.round();
        world.coverage.settle(world.now);
    }
    // From now on all goes another way.
    for _ in 0..60 {
        world.send(GOOD, 1000, |_| true);
        world.round();
        world.coverage.settle(world.now);
        assert_eq!(world.unheard(CLEAN), []);
    }
}

#[test]
fn one_lost_report_is_no_silence() {
    let mut world = World::default();
    for round in 0..200 {
        world.reports_lost = (5..10).contains(&(round % 20));
        world.send(GOOD, 10, |_| true);
        world.round();
        assert_eq!(world.unheard(CLEAN), [], "round {round}");
    }
}

#[test]
fn a_path_known_to_lose_much_is_given_more_time() {
    let lossy = Expected { loss: 0.3, ..CLEAN };
    let mut world = World::default();
    world.send(GOOD, 1, |_| true);
    let took = world.until_unheard(lossy, |world| world.send(BAD, 1, |_| false));
    assert!(took >= SECOND * 2);
    let mut world = World::default();
    for round in 0..60 {
        // Pings, of which five in a row are lost.
        if round % 5 == 0 {
            world.send(BAD, 1, |_| !(10..35).contains(&round));
        }
        world.round();
        assert_eq!(world.unheard(lossy), [], "round {round}");
    }
}

#[test]
fn chance_has_its_length() {
    assert_eq!([0.0, 0.01, 0.1, 0.3, 0.5, 1.0].map(in_a_row), [3, 3, 4, 8, 8, 8]);
}

#[test]
fn the_loss_of_each_path_is_what_it_lost() {
    let mut world = World::default();
    let (mut good, mut bad) = ((0, 0), (0, 0));
    for _ in 0..100 {
        world.send(GOOD, 10, |_| true);
        world.send(BAD, 10, |counter| counter % 10 != 3);
        world.round();
        for outcome in world.coverage.settle(world.now) {
            let sum = if outcome.link == GOOD { &mut good } else { &mut bad };
            *sum = (sum.0 + outcome.records, sum.1 + outcome.lost);
        }
    }
    assert!(good.0 > 800 && good.1 == 0, "{good:?}");
    assert!(bad.0 > 800 && bad.1 * 10 == bad.0, "{bad:?}");
}

#[test]
fn what_no_report_can_tell_of_counts_neither_way() {
    let mut world = World::default();
    for _ in 0..40 {
        world.send(BAD, 10, |_| true);
        // More in a second than the window holds.
        world.send(GOOD, 70_000, |_| true);
        world.round();
        assert_eq!(world.unheard(CLEAN), []);
        world.coverage.settle(world.now);
    }
}

#[test]
fn a_judged_path_begins_anew() {
    let mut world = World::default();
    world.send(GOOD, 10, |_| true);
    world.until_unheard(CLEAN, |world| world.send(BAD, 10, |_| false));
    world.coverage.forget(BAD);
    assert_eq!(world.unheard(CLEAN), []);
    assert!(!world.coverage.is_empty());
    world.coverage.forget_all();
    assert!(world.coverage.is_empty());
}

#[test]
fn notes_and_reports_are_bounded() {
    let mut world = World::default();
    for counter in 0..10_000 {
        let link = if counter % 2 == 0 { GOOD } else { BAD };
        world.send(link, 1, |_| true);
    }
    assert_eq!(world.coverage.notes.len(), MOST);
    let report = world.reporter.next(9, &world.window).unwrap();
    world.coverage.reported(&Report { described: 1, runs: vec![], ..report.clone() }, world.now, |_| CLEAN);
    world.coverage.reported(&report, world.now, |_| CLEAN);
    assert!(world.coverage.notes.iter().all(|note| note.opened == 0 || note.departed.first == report.highest));
}
