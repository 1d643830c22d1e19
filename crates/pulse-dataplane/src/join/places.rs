//! The places of the join lane: how many strangers there are, of which sources, and who gives way to whom.
//!
//! A stranger is silent until its request is in. Invariant: a source that holds places and says nothing keeps nobody out,
//! neighbours behind its own address neither; who has asked is not sent away for another.

use std::net::IpAddr;

use tokio::sync::oneshot;

use crate::link::neighbourhood;

/// Strangers at once, of one source and of all.
const EACH: usize = 8;
const ALL: usize = 64;

/// Resolves when a stranger has to give way to another.
pub(super) type SentAway = oneshot::Receiver<()>;

/// Who is there, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Places {
    taken: Vec<Taken>,
    next: u64,
}

#[derive(Debug)]
struct Taken {
    id: u64,
    source: IpAddr,
    silent: bool,
    /// Dropped with the place: its stranger is sent away.
    _keeps: oneshot::Sender<()>,
}

impl Places {
    /// A place for a stranger of `source`, if need be that of a silent one.
    pub(super) fn enter(&mut self, source: IpAddr) -> Option<(u64, SentAway)> {
        let source = neighbourhood(source);
        let own = self.held(source);
        if own >= EACH || self.taken.len() >= ALL {
            let gives_way = self.gives_way(source, own)?;
            self.taken.remove(gives_way);
        }
        let (_keeps, sent_away) = oneshot::channel();
        self.next += 1;
        self.taken.push(Taken { id: self.next, source, silent: true, _keeps });
        Some((self.next, sent_away))
    }

    /// The request of this stranger is in.
    pub(super) fn asks(&mut self, id: u64) {
        if let Some(taken) = self.taken.iter_mut().find(|taken| taken.id == id) {
            taken.silent = false;
        }
    }

    /// This stranger is served, or was sent away.
    pub(super) fn leave(&mut self, id: u64) {
        self.taken.retain(|taken| taken.id != id);
    }

    /// The oldest silent one of the source that holds most, for a newcomer whose source holds `own`; nobody gives way to
    /// a source that holds more.
    fn gives_way(&self, newcomer: IpAddr, own: usize) -> Option<usize> {
        let silent = self.taken.iter().enumerate().filter(|(_, taken)| taken.silent);
        let weighed = silent.map(|(at, taken)| (at, taken.source, self.held(taken.source)));
        let may = weighed.filter(|(_, source, held)| if own >= EACH { *source == newcomer } else { *held >= own });
        // Of equals the last is taken, so the oldest must come last.
        may.rev().max_by_key(|(_, _, held)| *held).map(|(at, _, _)| at)
    }

    fn held(&self, source: IpAddr) -> usize {
        self.taken.iter().filter(|taken| taken.source == source).count()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    fn is_sent_away(stranger: &mut (u64, SentAway)) -> bool {
        stranger.1.try_recv() == Err(oneshot::error::TryRecvError::Closed)
    }

    /// As many strangers of `source`.
    fn crowd(places: &mut Places, source: IpAddr, count: usize) -> Vec<(u64, SentAway)> {
        (0..count).map(|_| places.enter(source).unwrap()).collect()
    }

    #[test]
    fn the_ninth_of_one_source_takes_the_place_of_its_first_and_of_nobody_else() {
        let mut places = Places::default();
        let mut other = crowd(&mut places, at(1), 1);
        let mut loud = crowd(&mut places, at(2), 9);
        assert!(is_sent_away(&mut loud[0]));
        assert!(!loud[1..].iter_mut().chain(&mut other).any(is_sent_away));
        assert_eq!(places.taken.len(), 9);
    }

    #[test]
    fn a_full_lane_has_a_place_for_who_comes_and_the_loudest_source_gives_it() {
        let mut places = Places::default();
        let mut calm = crowd(&mut places, at(99), 1);
        let mut crowds: Vec<_> = (0..9).map(|source| crowd(&mut places, at(source), 7)).collect();
        assert_eq!(places.taken.len(), ALL);
        let mut newcomer = crowd(&mut places, at(100), 1);
        assert!(is_sent_away(&mut crowds[0][0]));
        assert_eq!(crowds.iter_mut().flatten().filter_map(|it| is_sent_away(it).then_some(())).count(), 1);
        assert!(!is_sent_away(&mut calm[0]) && !is_sent_away(&mut newcomer[0]));
        assert_eq!(places.taken.len(), ALL);
    }

    #[test]
    fn who_has_asked_stays_and_where_all_have_nobody_is_let_in() {
        let mut places = Places::default();
        let mut crowds: Vec<_> = (0..8).flat_map(|source| crowd(&mut places, at(source), 8)).collect();
        for (id, _) in &crowds[1..] {
            places.asks(*id);
        }
        assert!(places.enter(at(1)).is_none(), "its own have all asked");
        let _newcomer = places.enter(at(100)).unwrap();
        assert!(is_sent_away(&mut crowds[0]));
        places.asks(places.next);
        assert!(places.enter(at(101)).is_none());
        assert!(!crowds[1..].iter_mut().any(is_sent_away));
        places.leave(crowds[1].0);
        assert!(places.enter(at(101)).is_some());
    }

    #[test]
    fn nobody_gives_way_to_a_source_that_holds_more() {
        let mut places = Places::default();
        for (id, _) in crowd(&mut places, at(200), 7) {
            places.asks(id);
        }
        let mut each: Vec<_> = (0..57).flat_map(|source| crowd(&mut places, at(source), 1)).collect();
        assert!(places.enter(at(200)).is_none());
        assert!(!each.iter_mut().any(is_sent_away));
    }

    #[test]
    fn all_addresses_of_one_ipv6_network_are_one_source() {
        let mut places = Places::default();
        let address = |host| IpAddr::from([0x2001, 0xdb8, 0, 0, 0, 0, 0, host]);
        let mut strangers: Vec<_> = (0..9).map(|host| places.enter(address(host)).unwrap()).collect();
        assert!(is_sent_away(&mut strangers[0]));
    }
}
