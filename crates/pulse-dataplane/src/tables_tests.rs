use proptest::prelude::*;

use super::*;
use crate::flow::{Flow, Transport};
use crate::forward::testing::bare_link;
use crate::vectors::check;

const THERE: Handle = Handle::new(10, 100, 0, 9);

/// A hop over the link of this index; whether it is suspect.
pub(crate) fn hop(index: u32, weight: u32, suspect: bool) -> Hop {
    let link = bare_link(index as u8);
    link.suspect.store(suspect, Ordering::Relaxed);
    Paths::default().hop(THERE, &link, weight, false)
}

fn routes(hops: Vec<Hop>) -> Routes {
    Routes(HashMap::from([(THERE, hops)]))
}

/// The hash of a flow from this port.
fn flow(sport: u16) -> u64 {
    let transport = Transport { proto: 6, sport, dport: 443, fragment: false };
    Flow { src: Handle::new(10, 100, 0, 1), dst: THERE, transport, ends: None }.hash()
}

fn picked(routes: &Routes, flow: u64, except: Option<LinkId>) -> Option<LinkId> {
    routes.pick(THERE, flow, except).map(|hop| hop.link.index)
}

/// How many of 60,000 flows take each of these links.
fn shares<const N: usize>(routes: &Routes, links: [LinkId; N]) -> [usize; N] {
    let mut counts = [0; N];
    for sport in 0..60_000 {
        let taken = picked(routes, flow(sport), None);
        if let Some(place) = links.iter().position(|link| Some(*link) == taken) {
            counts[place] += 1;
        }
    }
    counts
}

fn near(count: usize, expected: usize) -> bool {
    count.abs_diff(expected) < expected / 20
}

proptest! {
    #[test]
    fn a_flow_sticks_and_only_what_may_be_used_is(
        hops in prop::collection::vec((0..4_u32, any::<bool>()), 0..6),
        flow: u64,
        except in prop::option::of(0..6_u32),
    ) {
        let table = routes(hops.iter().zip(0..).map(|((weight, suspect), index)| hop(index, *weight, *suspect)).collect());
        let taken = picked(&table, flow, except);
        prop_assert_eq!(taken, picked(&table, flow, except));
        // What may be used, best first; who is in the first class that has anybody.
        let class = |(weight, suspect): &(u32, bool)| match (weight, suspect) {
            (1.., false) => 0,
            (0, false) => 1,
            (1.., true) => 2,
            (0, true) => 3,
        };
        let usable = || hops.iter().zip(0_u32..).filter(|(_, index)| Some(*index) != except);
        let best = usable().map(|(hop, _)| class(hop)).min();
        match taken {
            None => prop_assert_eq!(best, None),
            Some(index) => {
                prop_assert!(Some(index) != except);
                prop_assert_eq!(Some(class(&hops[index as usize])), best);
            }
        }
    }

    #[test]
    fn a_hop_that_goes_moves_its_own_flows_only(weights in prop::collection::vec(1..100_u32, 2..6), gone: prop::sample::Index) {
        let all: Vec<Hop> = weights.iter().zip(0..).map(|(weight, index)| hop(index, *weight, false)).collect();
        let gone = gone.index(all.len());
        let before = routes(all.clone());
        let without = routes(all.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, hop)| hop.clone()).collect());
        for sport in 0..500 {
            let taken = picked(&before, flow(sport), None);
            if taken != Some(gone as u32) {
                prop_assert_eq!(picked(&without, flow(sport), None), taken);
            }
            // A suspect one is as good as gone.
            all[gone].link.suspect.store(true, Ordering::Relaxed);
            prop_assert_eq!(picked(&before, flow(sport), None), picked(&without, flow(sport), None));
            all[gone].link.suspect.store(false, Ordering::Relaxed);
        }
    }
}

#[test]
fn each_hop_gets_its_weights_share_of_the_flows() {
    let table = routes(vec![hop(7, 10, false), hop(8, 1, false), hop(9, 4, false), hop(10, 0, false)]);
    let [seven, eight, nine, backup] = shares(&table, [7, 8, 9, 10]);
    assert!(near(seven, 40_000) && near(eight, 4_000) && near(nine, 16_000), "{seven} {eight} {nine}");
    assert_eq!(backup, 0);
}

#[test]
fn ten_thousand_flows_over_a_path_of_5_ms_and_one_of_50_ms_are_ten_to_one() {
    let about = "a way's weight for its latency, as Python computes it, and how many of 10,000 flows it gets by that";
    let ways = [(7, 5, 1000), (8, 50, 100)];
    let table = routes(ways.iter().map(|&(link, _, weight)| hop(link, weight, false)).collect());
    let taken: Vec<_> = (0..10_000).map(|sport| picked(&table, flow(sport), None)).collect();
    let flows = ways.map(|(link, ..)| taken.iter().filter(|picked| **picked == Some(link)).count());
    assert!(flows[0] + flows[1] == 10_000 && (8..13).contains(&(flows[0] / flows[1])), "{flows:?}");
    let vectors = [0, 1].map(|at| {
        let (_, latency, weight) = ways[at];
        vec![("latency_ms", latency.to_string()), ("weight", weight.to_string()), ("flows", flows[at].to_string())]
    });
    check("shares.json", about, &vectors);
}

#[test]
fn the_second_hop_is_the_best_beside_the_first() {
    let table = routes(vec![hop(1, 5, false), hop(2, 3, false), hop(3, 0, false)]);
    let [one, two, backup] = [0, 1, 2].map(|at| &table.hops(THERE)[at]);
    let second = |first| table.second(THERE, first).map(|hop| hop.link.index);
    assert_eq!([one, two, backup].map(second), [Some(2), Some(1), Some(1)]);
    two.link.suspect.store(true, Ordering::Relaxed);
    assert_eq!(second(one), Some(3));
    backup.link.suspect.store(true, Ordering::Relaxed);
    // A copy over a way that fails helps nobody, unless what it is a copy of goes over another such way.
    assert_eq!(second(one), None);
    one.link.suspect.store(true, Ordering::Relaxed);
    assert_eq!(second(one), Some(2));
    assert_eq!(table.best(THERE).map(|hop| hop.link.index), Some(1));
    backup.link.suspect.store(false, Ordering::Relaxed);
    assert_eq!((table.best(THERE).map(|hop| hop.link.index), second(backup)), (Some(3), None));
    let only = routes(vec![hop(1, 5, false)]);
    assert!(only.second(THERE, &only.hops(THERE)[0]).is_none() && only.best(Handle::new(10, 100, 0, 8)).is_none());
}

#[test]
fn a_backup_is_used_while_all_others_are_suspect() {
    let table = routes(vec![hop(1, 5, false), hop(2, 5, false), hop(3, 0, false)]);
    let [one, two, _] = [0, 1, 2].map(|at| Arc::clone(&table.hops(THERE)[at].link));
    one.suspect.store(true, Ordering::Relaxed);
    assert_eq!(shares(&table, [1, 2, 3]), [0, 60_000, 0]);
    two.suspect.store(true, Ordering::Relaxed);
    assert_eq!(shares(&table, [1, 2, 3]), [0, 0, 60_000]);
    assert_eq!(table.for_session(Handle::new(10, 100, 0, 1), THERE).map(|hop| hop.link.index), Some(3));
    table.hops(THERE)[2].link.suspect.store(true, Ordering::Relaxed);
    let [one, two, backup] = shares(&table, [1, 2, 3]);
    assert!(near(one, 30_000) && near(two, 30_000) && backup == 0);
}

#[test]
fn nobody_leads_nowhere() {
    let table = routes(vec![hop(1, 5, false)]);
    assert!(table.pick(Handle::new(10, 100, 0, 8), 0, None).is_none());
    assert!(table.hops(Handle::new(10, 100, 0, 8)).is_empty());
    assert!(picked(&table, 0, Some(1)).is_none());
    assert!(table.direct(THERE).is_none() && !table.divides(THERE));
}
