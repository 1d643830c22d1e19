//! Connection tracking: which flows were opened in a direction that the policy allows, so that answers may pass; and which
//! datagrams, so that their fragments may.
//!
//! The packet threads share one table: each sees one direction only. Invariant: what is remembered is that a flow was opened
//! at this end, never that it was allowed: rules are asked anew with each policy. Nothing here waits, and a flow that is
//! known costs its set of places one look.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use crate::flow::{Flow, ICMP, ICMP6, Stage, TCP, UDP, mix};

/// Places that a flow may have, and how many such sets there are: 32,768 flows, 768 KiB.
const PLACES: usize = 8;
const SETS: usize = 4096;

/// Seconds without a packet after which a flow is over. TCP: RFC 5382 REQ-5; UDP: RFC 4787 REQ-5 says two minutes at
/// least; ICMP: RFC 5508 REQ-1; others as Nebula has it.
const TCP_LIFE: u32 = 7440;
const UDP_LIFE: u32 = 180;
const ICMP_LIFE: u32 = 60;
const OTHER_LIFE: u32 = 600;
/// Of a TCP connection that one side has ended: as netfilter has it.
const ENDING_LIFE: u32 = 120;

/// Seconds from the first rules on in which flows may be under way that we did not see begin: those from before a
/// restart, and from before there were rules. A retransmission comes at the latest when as much time has passed again.
const YOUTH: u32 = 30;

/// Seconds in which fragments follow the first.
const DATAGRAM_LIFE: u32 = 10;

/// Two nodes, and what a flow says of itself; or the number of a datagram under this mark, which is no flow's.
type Key = [u64; 2];
const DATAGRAM: u64 = 1 << 41;

/// What a stamp holds beside the turn of its place: a second, and who has ended the TCP connection, the one who opened the
/// flow and the one who answers.
const SECOND: u64 = (1 << 30) - 1;
const ASKER: u64 = 1 << 30;
const ANSWERER: u64 = 1 << 31;
const BOTH: u64 = ASKER | ANSWERER;

/// In place of all that while a place is being written.
const BUSY: u32 = u32::MAX;

/// The flows that were opened at this end.
#[derive(Debug, Default)]
pub struct Conntrack {
    sets: OnceLock<Box<[[Place; PLACES]]>>,
    /// The second with which its youth ends.
    grown_up: AtomicU32,
}

/// One flow: `stamp` counts how often the place was given away, and holds the second of the last packet, plus one, and who
/// has ended it.
#[derive(Debug, Default)]
struct Place {
    stamp: AtomicU64,
    key: [AtomicU64; 2],
}

#[derive(Debug, Clone, Copy)]
struct Tracked {
    stamp: u64,
    key: Key,
}

impl Conntrack {
    /// Rules are in force from `now` on, where there were none.
    pub fn begin(&self, now: u32) {
        self.grown_up.store(now.saturating_add(YOUTH), Ordering::Relaxed);
    }

    /// True while flows may be under way that it did not see begin.
    pub fn is_young(&self, now: u32) -> bool {
        now < self.grown_up.load(Ordering::Relaxed)
    }

    /// A packet of `flow` passed in its own direction: its answers may. True if it is a new one.
    pub fn open(&self, flow: &Flow, now: u32) -> bool {
        self.keep(flow.key(), now)
    }

    /// True if `flow` was opened and is not over; it goes on from `now`.
    pub fn is_open(&self, flow: &Flow, now: u32) -> bool {
        self.find(flow.key(), now)
    }

    /// A packet of `flow` passed that begins or ends a TCP connection: one that was ended from both sides, or reset, is the
    /// first to give way.
    pub fn note(&self, flow: &Flow, stage: Stage) {
        self.mark(flow.key(), stage, ASKER);
        if let Some(question) = flow.question() {
            self.mark(question.key(), stage, ANSWERER);
        }
    }

    /// The fragment of a datagram passed that holds its ports: the others may, whatever they show.
    pub fn lead(&self, flow: &Flow, datagram: u32, now: u32) {
        self.keep(datagram_key(flow, datagram), now);
    }

    /// True if such a fragment of that datagram passed.
    pub fn is_led(&self, flow: &Flow, datagram: u32, now: u32) -> bool {
        self.find(datagram_key(flow, datagram), now)
    }

    /// True if it is new.
    fn keep(&self, key: Key, now: u32) -> bool {
        let known = self.find(key, now);
        if !known {
            // Another thread may take the place that we chose; it does so at most once a flow of its own.
            let set = self.set(key);
            let _taken = (0..PLACES)
                .any(|_| victim(set, now).is_some_and(|(place, tracked)| place.write(tracked.stamp, key, now)));
        }
        !known
    }

    fn mark(&self, key: Key, stage: Stage, side: u64) {
        let ended = |stamp: u64| match stage {
            Stage::Begins if side == ASKER => stamp & !BOTH,
            Stage::Begins | Stage::GoesOn => stamp,
            Stage::Finishes => stamp | side,
            Stage::Resets => stamp | BOTH,
        };
        for place in self.set(key) {
            if let Some(tracked) = place.read().filter(|tracked| tracked.key == key && !tracked.is_free()) {
                place.change(tracked.stamp, ended);
            }
        }
    }

    fn find(&self, key: Key, now: u32) -> bool {
        let mut places = self.set(key).iter();
        places.any(|place| match place.read() {
            Some(tracked) if tracked.key == key && !tracked.is_free() => match tracked.age(now) {
                0 => true,
                age if age <= tracked.life() => {
                    place.renew(tracked.stamp, now);
                    true
                }
                _ => false,
            },
            _ => false,
        })
    }

    fn set(&self, [ends, said]: Key) -> &[Place; PLACES] {
        let sets = self.sets.get_or_init(|| (0..SETS).map(|_| Default::default()).collect());
        &sets[mix(mix(ends) ^ said) as usize % SETS]
    }
}

impl Place {
    /// None while another thread writes it.
    fn read(&self) -> Option<Tracked> {
        let stamp = self.stamp.load(Ordering::Acquire);
        let key = [self.key[0].load(Ordering::Relaxed), self.key[1].load(Ordering::Relaxed)];
        fence(Ordering::Acquire);
        let given_away = self.stamp.load(Ordering::Relaxed) >> 32 != stamp >> 32;
        (!given_away && stamp as u32 != BUSY).then_some(Tracked { stamp, key })
    }

    /// Whoever else renews it does the same, and one that is ended in between was just seen.
    fn renew(&self, stamp: u64, now: u32) {
        let newer = stamp & !SECOND | u64::from(now + 1);
        let _lost = self.stamp.compare_exchange(stamp, newer, Ordering::Relaxed, Ordering::Relaxed);
    }

    /// Renewed in between it is still the same flow's; given away it is not.
    fn change(&self, stamp: u64, ended: impl Fn(u64) -> u64) {
        let same = |present: u64| present >> 32 == stamp >> 32 && present as u32 != BUSY;
        let change = |present: u64| same(present).then(|| ended(present));
        let _lost = self.stamp.fetch_update(Ordering::Relaxed, Ordering::Relaxed, change);
    }

    /// False if another thread was faster.
    fn write(&self, stamp: u64, key: Key, now: u32) -> bool {
        let turn = (stamp >> 32).wrapping_add(1) << 32;
        let busy = turn | u64::from(BUSY);
        if self.stamp.compare_exchange(stamp, busy, Ordering::Acquire, Ordering::Relaxed).is_err() {
            return false;
        }
        fence(Ordering::Release);
        self.key[0].store(key[0], Ordering::Relaxed);
        self.key[1].store(key[1], Ordering::Relaxed);
        self.stamp.store(turn | u64::from(now + 1), Ordering::Release);
        true
    }
}

impl Tracked {
    fn is_free(&self) -> bool {
        self.stamp as u32 == 0
    }

    /// Seconds since the last packet. Another thread's clock may be ahead of ours.
    fn age(&self, now: u32) -> u32 {
        (now + 1).saturating_sub((self.stamp & SECOND) as u32)
    }

    fn life(&self) -> u32 {
        if self.stamp & BOTH == 0 { life(self.key) } else { ENDING_LIFE }
    }

    fn is_closed(&self) -> bool {
        self.stamp & BOTH == BOTH
    }

    fn is_over(&self, now: u32) -> bool {
        self.is_free() || self.age(now) > self.life()
    }

    /// Its two nodes, whichever asked.
    fn pair(&self) -> u64 {
        self.key[0].min(self.key[0].rotate_left(32))
    }
}

fn datagram_key(flow: &Flow, datagram: u32) -> Key {
    [flow.key()[0], DATAGRAM | u64::from(datagram)]
}

fn life([_, said]: Key) -> u32 {
    match (said >> 32) as u8 {
        _ if said & DATAGRAM != 0 => DATAGRAM_LIFE,
        TCP => TCP_LIFE,
        UDP => UDP_LIFE,
        ICMP | ICMP6 => ICMP_LIFE,
        _ => OTHER_LIFE,
    }
}

/// The place to give away: a free one or one whose flow is over, else the oldest connection that is closed, else the oldest
/// of the pair of nodes that has most places of the set, so that no node can crowd out the flows of others.
fn victim(set: &[Place; PLACES], now: u32) -> Option<(&Place, Tracked)> {
    let tracked = set.each_ref().map(|place| place.read().map(|tracked| (place, tracked)));
    let tracked = || tracked.iter().flatten().copied();
    let crowd = |pair: u64| tracked().filter(|(_, other)| !other.is_over(now) && other.pair() == pair).count();
    let worth = |(_, flow): &(&Place, Tracked)| match flow {
        flow if flow.is_over(now) => (usize::MAX, u32::MAX),
        flow if flow.is_closed() => (usize::MAX, flow.age(now)),
        flow => (crowd(flow.pair()), flow.age(now)),
    };
    tracked().max_by_key(worth)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Handle;
    use crate::flow::Transport;

    fn flow(src: u8, dst: u8, proto: u8, sport: u16) -> Flow {
        let handle = |number| Handle::new(10, 100, 0, number);
        let transport = Transport { proto, sport, dport: 22, fragment: false };
        Flow { src: handle(src), dst: handle(dst), transport, ends: None }
    }

    #[test]
    fn a_flow_is_open_one_way_until_nothing_passed_for_the_life_of_its_protocol() {
        let conntrack = Conntrack::default();
        for (proto, life) in [(TCP, 7440), (UDP, 180), (ICMP, 60), (ICMP6, 60), (47, 600)] {
            let question = flow(1, 2, proto, 7);
            assert!(conntrack.open(&question, 5) && !conntrack.open(&question, 5));
            assert!(!conntrack.is_open(&question.swapped(), 5));
            assert!(conntrack.is_open(&question, 5 + life));
            assert!(conntrack.is_open(&question, 5 + 2 * life));
            assert!(!conntrack.is_open(&question, 6 + 3 * life));
            assert!(conntrack.open(&question, 6 + 3 * life));
        }
    }

    #[test]
    fn a_connection_that_is_ended_or_reset_is_over_soon_until_another_begins_on_its_ports() {
        let (asks, over) =
            (flow(1, 2, TCP, 7), |conntrack: &Conntrack| !conntrack.is_open(&flow(1, 2, TCP, 7), 10 + 121));
        for (from_asker, stage) in
            [(true, Stage::Finishes), (false, Stage::Finishes), (true, Stage::Resets), (false, Stage::Resets)]
        {
            let conntrack = Conntrack::default();
            conntrack.open(&asks, 0);
            conntrack.note(&if from_asker { asks } else { asks.swapped() }, stage);
            // What still comes keeps it, but no longer than that.
            assert!(conntrack.is_open(&asks, 10) && over(&conntrack));
            assert!(conntrack.is_open(&asks, 10 + 120) && !conntrack.is_open(&asks, 10 + 120 + 121));
            conntrack.open(&asks, 300);
            conntrack.note(&asks, stage);
            conntrack.note(&asks, Stage::Begins);
            assert!(conntrack.is_open(&asks, 300 + 7440));
        }
        let conntrack = Conntrack::default();
        conntrack.open(&asks, 0);
        conntrack.note(&asks, Stage::Resets);
        conntrack.note(&asks.swapped(), Stage::Begins);
        conntrack.note(&flow(1, 2, TCP, 8), Stage::Begins);
        assert!(conntrack.is_open(&asks, 10) && over(&conntrack));
    }

    #[test]
    fn live_connections_that_say_nothing_outlast_any_number_of_closed_ones() {
        let conntrack = Conntrack::default();
        // One of them is half-closed: it may bring data for long.
        let live: Vec<Flow> = (0..2000).map(|port| flow(1, 2, TCP, port)).collect();
        live.iter().for_each(|flow| assert!(conntrack.open(flow, 0)));
        conntrack.note(&live[0], Stage::Finishes);
        for port in 2000..60_000 {
            let short = flow(1, 2, TCP, port);
            conntrack.open(&short, 1);
            conntrack.note(&short, Stage::Finishes);
            conntrack.note(&short.swapped(), Stage::Finishes);
        }
        assert!(live.iter().all(|flow| conntrack.is_open(flow, 2)));
    }

    #[test]
    fn an_end_is_noted_whoever_else_renews_the_flow_or_takes_places() {
        let (conntrack, asks) = (Conntrack::default(), flow(1, 2, TCP, 7));
        conntrack.open(&asks, 0);
        std::thread::scope(|scope| {
            scope.spawn(|| (0..20_000).for_each(|now| assert!(conntrack.is_open(&asks, now / 200))));
            scope.spawn(|| (0..20_000).for_each(|port| assert!(conntrack.open(&flow(3, 4, UDP, port), 0))));
            conntrack.note(&asks, Stage::Finishes);
        });
        assert!(conntrack.is_open(&asks, 100) && !conntrack.is_open(&asks, 100 + 121));
    }

    #[test]
    fn fragments_follow_the_first_of_their_datagram_for_a_while() {
        let (conntrack, udp) = (Conntrack::default(), flow(1, 2, UDP, 7));
        conntrack.lead(&udp, 7, 0);
        assert!(conntrack.is_led(&udp, 7, 10));
        assert!(!conntrack.is_led(&udp, 8, 10) && !conntrack.is_led(&udp.swapped(), 7, 10));
        assert!(!conntrack.is_open(&udp, 10) && !conntrack.is_led(&udp, 7, 21));
    }

    #[test]
    fn it_is_young_only_after_rules_began() {
        let conntrack = Conntrack::default();
        assert!(!conntrack.is_young(0));
        conntrack.begin(100);
        assert_eq!([100, 129, 130].map(|now| conntrack.is_young(now)), [true, true, false]);
    }

    #[test]
    fn a_node_that_opens_flows_without_end_crowds_out_its_own_alone() {
        let conntrack = Conntrack::default();
        let others: Vec<Flow> = (0..200).map(|port| flow(1, 2, TCP, port)).collect();
        assert!(others.iter().all(|flow| conntrack.open(flow, 0)));
        for port in 0..60_000 {
            conntrack.open(&flow(3, 2, TCP, port), 1);
            conntrack.open(&flow(3, 2, UDP, port), 1);
        }
        assert!(others.iter().all(|flow| conntrack.is_open(flow, 2)));
        // The flood's own: the youngest, as many as there are places left.
        let left = (0..60_000).filter(|port| conntrack.is_open(&flow(3, 2, UDP, *port), 2)).count();
        assert!(left > 10_000 && !conntrack.is_open(&flow(3, 2, TCP, 0), 2), "{left}");
    }

    #[test]
    fn threads_that_open_and_ask_at_once_never_see_a_flow_that_was_not_opened() {
        let conntrack = Conntrack::default();
        std::thread::scope(|scope| {
            for node in [1, 2] {
                let conntrack = &conntrack;
                scope.spawn(move || {
                    (0..40_000).for_each(|port| assert!(conntrack.open(&flow(node, 9, UDP, port), 0)));
                });
            }
            for port in 0..40_000 {
                // The ends of one with the ports of the other, and the other way round.
                assert!(!conntrack.is_open(&flow(1, 9, TCP, port), 0) && !conntrack.is_open(&flow(2, 9, TCP, port), 0));
            }
        });
    }
}
