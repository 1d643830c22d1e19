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
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    use super::*;
    use crate::clock::now;
    use crate::forward::testing::{bare_link, v4};
    use crate::path::Paths;
    use crate::tables::Link;

    const NOBODY: [Handle; 0] = [];

    /// To nodes 8 and 9: over these links, the first of which is used.
    fn table(paths: &Paths, to_8: &[&Arc<Link>], to_9: &[&Arc<Link>]) -> Routes {
        let hops = |node: u8, links: &[&Arc<Link>]| {
            links.iter().zip([1, 0]).map(|(link, weight)| paths.hop(v4(node), link, weight, false)).collect()
        };
        Routes(HashMap::from([(v4(8), hops(8, to_8)), (v4(9), hops(9, to_9))]))
    }

    #[test]
    fn only_whose_hop_is_another_is_told() {
        let (paths, mut courses) = (Paths::default(), Courses::default());
        let [one, other] = [bare_link(1), bare_link(2)];
        let mut follow = |routes: &Routes| {
            let mut told = courses.follow(v4(1), routes);
            told.sort_unstable();
            told
        };
        assert_eq!(follow(&table(&paths, &[&one], &[&other])), [v4(8), v4(9)]);
        let routes = table(&paths, &[&one, &other], &[&other, &one]);
        assert_eq!(follow(&routes), NOBODY);
        one.suspect.store(true, Ordering::Relaxed);
        assert_eq!(follow(&routes), [v4(8)]);
        one.suspect.store(false, Ordering::Relaxed);
        assert_eq!(follow(&routes), [v4(8)]);
        let hop = &routes.hops(v4(9))[0];
        hop.path.unheard(now());
        assert_eq!(hop.path.judge(now()), Some(true));
        assert_eq!(follow(&routes), [v4(9)]);
        // Out of the table, and in again.
        assert_eq!(follow(&Routes::default()), NOBODY);
        assert_eq!(follow(&routes), [v4(8), v4(9)]);
    }

    #[test]
    fn the_only_hop_is_told_once_it_recovered() {
        let (paths, mut courses) = (Paths::default(), Courses::default());
        let link = bare_link(1);
        let routes = table(&paths, &[&link], &[]);
        assert_eq!(courses.follow(v4(1), &routes), [v4(8)]);
        link.suspect.store(true, Ordering::Relaxed);
        assert_eq!(courses.follow(v4(1), &routes), NOBODY);
        link.suspect.store(false, Ordering::Relaxed);
        assert_eq!(courses.follow(v4(1), &routes), [v4(8)]);
    }
}
