//! Which hop the packets of each session take: who asks, hears who goes another way than when it was asked last.
//!
//! Invariant: however a hop came to be another (a new table, a link or path that is suspect or recovered, a link that is
//! gone), it is found here, and nobody whose hop stays is disturbed.

use std::collections::HashMap;

use crate::tables::{Hop, Routes};
use crate::{Handle, LinkId};

/// The hop of one session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Course {
    link: LinkId,
    last: bool,
    suspect: bool,
}

impl Course {
    fn of(hop: &Hop) -> Self {
        Self { link: hop.link.index, last: hop.last, suspect: hop.is_suspect() }
    }

    /// True if what waits for an answer had better try anew. A hop without alternative that recovered is as good as
    /// another one.
    fn is_news_after(&self, before: &Self) -> bool {
        (self.link, self.last) != (before.link, before.last) || (before.suspect && !self.suspect)
    }
}

/// The hops of all nodes in the table, as they were at the last look.
#[derive(Debug, Default)]
pub struct Courses(HashMap<Handle, Course>);

impl Courses {
    /// Look anew; the handles to which packets of our sessions go another way now.
    pub fn follow(&mut self, us: Handle, routes: &Routes) -> Vec<Handle> {
        let course = |handle: &Handle| Some((*handle, Course::of(routes.for_session(us, *handle)?)));
        let now: HashMap<Handle, Course> = routes.0.keys().filter_map(course).collect();
        let before = std::mem::replace(&mut self.0, now);
        let is_new = |(handle, course): &(&Handle, &Course)| {
            before.get(*handle).is_none_or(|before| course.is_news_after(before))
        };
        self.0.iter().filter(is_new).map(|(handle, _)| *handle).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::clock::now;
    use crate::tables::tests::hop;

    const US: Handle = Handle::new(10, 100, 0, 1);
    const THEM: Handle = Handle::new(10, 100, 0, 2);
    const NOBODY: [Handle; 0] = [];

    fn routes(hops: Vec<Hop>) -> Routes {
        Routes(HashMap::from([(THEM, hops)]))
    }

    #[test]
    fn a_session_goes_another_way_if_its_first_hop_or_the_last_flag_of_that_is_another() {
        let (one, other) = (hop(1, 1, false), hop(3, 1, false));
        let before = routes(vec![one.clone()]);
        let is_new = |hops| {
            let mut courses = Courses::default();
            assert_eq!(courses.follow(US, &before), [THEM]);
            courses.follow(US, &routes(hops)) == [THEM]
        };
        assert!(!is_new(vec![one.clone()]));
        assert!(is_new(vec![other.clone()]));
        assert!(is_new(vec![Hop { last: true, ..one.clone() }]));
        // Another weight alone, a backup, or the loss of all ways: nothing goes another way.
        assert!(!is_new(vec![Hop { weight: 9, ..one.clone() }]));
        assert!(!is_new(vec![one.clone(), Hop { weight: 0, ..other.clone() }]));
        assert!(!is_new(vec![]));
    }

    #[test]
    fn what_counts_is_the_hop_the_session_takes_not_the_first_in_the_table() {
        let (one, other) = (hop(1, 1, false), hop(3, 1, false));
        let mut courses = Courses::default();
        assert_eq!(courses.follow(US, &routes(vec![one.clone(), other.clone()])), [THEM]);
        assert_eq!(courses.follow(US, &routes(vec![other, one])), NOBODY);
    }

    #[test]
    fn a_link_or_path_that_is_suspect_moves_those_who_use_it_and_nobody_else() {
        let (one, other) = (hop(1, 1, false), hop(3, 0, false));
        let backwards = vec![Hop { weight: 1, ..other.clone() }, Hop { weight: 0, ..one.clone() }];
        let mut table = routes(vec![one.clone(), other]);
        table.0.insert(Handle::new(10, 100, 0, 3), backwards);
        let mut courses = Courses::default();
        assert_eq!(courses.follow(US, &table).len(), 2);
        for suspect in [true, false] {
            one.link.suspect.store(suspect, Ordering::Relaxed);
            assert_eq!(courses.follow(US, &table), [THEM]);
            assert_eq!(courses.follow(US, &table), NOBODY);
        }
        one.path.unheard(now());
        assert_eq!(one.path.judge(now()), Some(true));
        assert_eq!(courses.follow(US, &table), [THEM]);
    }

    #[test]
    fn the_only_hop_is_told_once_it_recovered() {
        let (only, mut courses) = (hop(1, 1, false), Courses::default());
        let table = routes(vec![only.clone()]);
        assert_eq!(courses.follow(US, &table), [THEM]);
        only.link.suspect.store(true, Ordering::Relaxed);
        assert_eq!(courses.follow(US, &table), NOBODY);
        only.link.suspect.store(false, Ordering::Relaxed);
        assert_eq!(courses.follow(US, &table), [THEM]);
    }
}
