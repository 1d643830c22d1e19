//! Two relays between two nodes, over real sockets: which of the ways a flow takes, and what takes both.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::release_waiting;
use super::testing::{Node, connect, eventually, row, v4};
use super::traffic::{icmp, ip_packet, packets, read_packets, tcp, tcp_of};
use crate::hits::Hits;
use crate::offload::Vnet;
use crate::policy::{Policy, Rule};
use crate::stats::Drop;
use crate::tables::Routes;

const LEFT: u8 = 1;
const RIGHT: u8 = 2;
const RELAYS: [u8; 2] = [3, 4];

/// Left, the relays, right; both know both ways, half of the flows each.
fn diamond() -> io::Result<[Node; 4]> {
    let nodes = row([LEFT, RELAYS[0], RELAYS[1], RIGHT])?;
    let [left, one, other, right] = &nodes;
    connect(left, other)?;
    connect(one, right)?;
    for (node, to) in [(left, RIGHT), (right, LEFT)] {
        node.route(to, &RELAYS.map(|relay| (relay, 1, false)));
    }
    for relay in [one, other] {
        relay.route(RIGHT, &[(RIGHT, 1, false)]);
        relay.route(LEFT, &[(LEFT, 1, false)]);
    }
    Ok(nodes)
}

/// TCP goes twice from left to right, pings go once; nothing else goes.
fn redundant_tcp(nodes: &[Node]) {
    let set = |node| Some([v4(node)].into_iter().collect());
    let rule = |protocol, redundant| {
        let (protocols, ports) = (vec![protocol], vec![]);
        Rule { id: String::new(), allow: true, from: set(LEFT), to: set(RIGHT), protocols, ports, redundant }
    };
    let policy = Arc::new(Policy::new(vec![rule(6, true), rule(1, false)], &Hits::default()));
    nodes.iter().for_each(|node| node.shared.policy.store(Arc::clone(&policy)));
}

/// What it is told to send is lost there.
fn break_relay(relay: &Node) {
    relay.shared.routes.store(Arc::new(Routes::default()));
}

fn sent(from: &Node, to: u8) -> u64 {
    from.link_with(to).traffic.packets_out.load(Ordering::Relaxed)
}

/// So many packets left for each of the relays.
fn took(from: &Node, expected: [u64; 2]) -> bool {
    eventually(|| RELAYS.map(|relay| sent(from, relay)) == expected)
}

/// So many packets left for the relays together.
fn took_in_all(from: &Node, expected: u64) -> bool {
    eventually(|| RELAYS.iter().map(|relay| sent(from, *relay)).sum::<u64>() == expected)
}

/// Let it cross; each packet comes once.
fn crosses(from: &mut Node, to: &mut Node, super_packet: (Vnet, Vec<u8>)) -> io::Result<u64> {
    from.write(&super_packet.0, &super_packet.1)?;
    let expected = packets(super_packet);
    assert_eq!(read_packets(to, expected.len())?, expected);
    Ok(expected.len() as u64)
}

#[test]
fn what_a_redundant_rule_allows_goes_both_ways_and_arrives_once() -> io::Result<()> {
    let mut nodes = diamond()?;
    redundant_tcp(&nodes);
    let [left, one, other, right] = &mut nodes;
    let mut count = 0;
    for super_packet in [tcp(1), tcp(1288 * 40), tcp(700), tcp(50_001), tcp(700)] {
        count += crosses(left, right, super_packet)?;
    }
    assert!(right.dropped(Drop::Duplicate, count));
    assert!(took(left, [count, count]));
    assert_eq!(right.shared.drops.get(Drop::Replayed), 0);
    for node in [&*left, &*one, &*other] {
        assert!(node.shared.drops.snapshot().iter().all(|(_, drops)| *drops == 0), "at node {}", node.number);
    }
    // Not a packet more comes, and for the peer each counts once.
    assert_eq!(right.shared.drops.get(Drop::Duplicate), count);
    assert!(eventually(|| right.peer.traffic.packets_in.load(Ordering::Relaxed) == count));
    assert_eq!(left.peer.traffic.packets_out.load(Ordering::Relaxed), count);
    Ok(())
}

#[test]
fn either_relay_may_lose_everything() -> io::Result<()> {
    for broken in [1, 2] {
        let mut nodes = diamond()?;
        redundant_tcp(&nodes);
        break_relay(&nodes[broken]);
        let [left, _, _, right] = &mut nodes;
        let count = crosses(left, right, tcp(60_000))? + crosses(left, right, tcp(3))?;
        assert!(nodes[broken].dropped(Drop::NoRoute, count));
        assert_eq!(nodes[3].shared.drops.get(Drop::Duplicate), 0);
    }
    Ok(())
}

#[test]
fn other_flows_go_one_way_and_so_does_all_without_rules() -> io::Result<()> {
    let mut nodes = diamond()?;
    let [left, _, _, right] = &mut nodes;
    let open = crosses(left, right, tcp(40_000))?;
    assert!(took_in_all(left, open));
    redundant_tcp(&nodes);
    let [left, _, _, right] = &mut nodes;
    let ping = icmp(v4(LEFT).into(), v4(RIGHT).into());
    left.write(&Vnet::default(), &ping)?;
    assert_eq!(right.read()?.1, ping);
    assert!(took_in_all(left, open + 1));
    // What no rule allows goes neither way.
    left.write(&Vnet::default(), &ip_packet(v4(LEFT).into(), v4(RIGHT).into(), 47, 8))?;
    assert!(left.dropped(Drop::PolicyDenied, 1));
    assert!(took_in_all(left, open + 1));
    assert_eq!(right.shared.drops.get(Drop::Duplicate), 0);
    Ok(())
}

#[test]
fn an_answer_goes_both_ways_too() -> io::Result<()> {
    let mut nodes = diamond()?;
    redundant_tcp(&nodes);
    let [left, one, _, right] = &mut nodes;
    crosses(left, right, tcp(100))?;
    break_relay(one);
    let (vnet, mut answer) = tcp_of(RIGHT, LEFT, 80, 9_000);
    answer[20..24].copy_from_slice(&[0, 81, 0, 80]);
    let count = crosses(right, left, (vnet, answer))?;
    assert!(one.dropped(Drop::NoRoute, count));
    assert!(took(right, [count, count]));
    Ok(())
}

#[test]
fn a_warm_backup_is_a_second_way_and_a_suspect_hop_is_none() -> io::Result<()> {
    let mut nodes = diamond()?;
    redundant_tcp(&nodes);
    let [left, _, _, right] = &mut nodes;
    left.route(RIGHT, &[(3, 1, false), (4, 0, false)]);
    let count = crosses(left, right, tcp(5_000))?;
    assert!(took(left, [count, count]));
    for (suspect, expected) in RELAYS.into_iter().zip([[count, count * 2], [count * 2, count * 2]]) {
        left.link_with(suspect).suspect.store(true, Ordering::Relaxed);
        crosses(left, right, tcp(5_000))?;
        assert!(took(left, expected));
        left.link_with(suspect).suspect.store(false, Ordering::Relaxed);
    }
    // Where nothing is sound two are better than one.
    for suspect in RELAYS {
        left.link_with(suspect).suspect.store(true, Ordering::Relaxed);
    }
    crosses(left, right, tcp(5_000))?;
    assert!(took(left, [count * 3, count * 3]));
    Ok(())
}

#[test]
fn with_one_way_a_record_goes_once() -> io::Result<()> {
    let mut nodes = row([LEFT, RELAYS[0], RIGHT])?;
    redundant_tcp(&nodes);
    let [left, _, right] = &mut nodes;
    let count = crosses(left, right, tcp(9_000))?;
    assert!(eventually(|| sent(left, RELAYS[0]) == count));
    assert_eq!(right.shared.drops.get(Drop::Duplicate), 0);
    Ok(())
}

#[test]
fn a_bare_record_has_a_framed_copy_and_one_too_long_for_its_link_goes_as_two_halves() -> io::Result<()> {
    let mut nodes = diamond()?;
    redundant_tcp(&nodes);
    let [left, one, _, right] = &mut nodes;
    connect(left, right)?;
    for (best, second) in [(RIGHT, 3), (3, RIGHT)] {
        for size in [1452, 1300] {
            left.route(RIGHT, &[(best, 1, false), (second, 0, false)]);
            left.link_with(second).size.store(size, Ordering::Relaxed);
            let before = right.shared.drops.get(Drop::Duplicate);
            let count = crosses(left, right, tcp(50_000))? + crosses(left, right, tcp(7))?;
            assert!(right.dropped(Drop::Duplicate, before + count));
            left.link_with(second).size.store(1452, Ordering::Relaxed);
        }
    }
    assert_eq!(one.shared.drops.get(Drop::HalfFrame), 0);
    assert_eq!(right.shared.drops.get(Drop::Replayed), 0);
    Ok(())
}

#[test]
fn packets_that_waited_for_the_session_go_both_ways() -> io::Result<()> {
    let mut nodes = diamond()?;
    redundant_tcp(&nodes);
    let [left, _, _, right] = &mut nodes;
    let sealer = left.peer.sealer.swap(None);
    let waits = tcp(5_000);
    let expected = packets(waits.clone());
    left.write(&waits.0, &waits.1)?;
    assert!(eventually(|| left.peer.waiting.lock().is_ok_and(|waiting| waiting.len() == expected.len())));
    left.peer.sealer.store(sealer);
    release_waiting(&left.shared, &left.peer);
    assert_eq!(read_packets(right, expected.len())?, expected);
    assert!(right.dropped(Drop::Duplicate, expected.len() as u64));
    Ok(())
}

#[test]
fn what_left_twice_vouches_for_no_path() -> io::Result<()> {
    let mut nodes = diamond()?;
    redundant_tcp(&nodes);
    let [left, _, _, right] = &mut nodes;
    let sealer = left.peer.sealer.load_full();
    let noted = || sealer.as_ref().map_or(0, |sealer| sealer.trail.take().map(|note| note.count).sum());
    crosses(left, right, tcp(5_000))?;
    left.write(&Vnet::default(), &icmp(v4(LEFT).into(), v4(RIGHT).into()))?;
    right.read()?;
    let mut count = 0;
    assert!(eventually(|| {
        count += noted();
        count > 0
    }));
    assert_eq!(count, 1);
    Ok(())
}

/// Packet `number` of a flow from this port, long enough to say so.
fn numbered(port: u8, number: u16) -> (Vnet, Vec<u8>) {
    let (vnet, mut packet) = tcp_of(LEFT, RIGHT, port, 4);
    packet[40..42].copy_from_slice(&number.to_be_bytes());
    (vnet, packet)
}

/// How often a packet came after a later one of its flow.
fn reordered(arrived: &[Vec<u8>]) -> usize {
    let mut latest = [0_u16; 256];
    let mut late = 0;
    for packet in arrived {
        let (port, number) = (usize::from(packet[23]), u16::from_be_bytes([packet[40], packet[41]]));
        late += usize::from(number < latest[port]);
        latest[port] = latest[port].max(number);
    }
    late
}

#[test]
fn no_flow_is_reordered_though_its_neighbours_take_another_way() -> io::Result<()> {
    for redundant in [false, true] {
        let mut nodes = diamond()?;
        if redundant {
            redundant_tcp(&nodes);
        }
        let [left, _, _, right] = &mut nodes;
        let mut arrived = vec![];
        for number in 1..=150 {
            // As many at once as the far end's queue holds unread.
            for port in 0..20 {
                let (vnet, packet) = numbered(port, number);
                left.write(&vnet, &packet)?;
            }
            if number % 2 == 0 {
                arrived.extend(read_packets(right, 40)?);
            }
        }
        assert_eq!((arrived.len(), reordered(&arrived)), (3_000, 0));
        assert!(RELAYS.iter().all(|relay| sent(left, *relay) > 300), "{:?}", RELAYS.map(|relay| sent(left, relay)));
    }
    Ok(())
}

#[test]
fn reordering_is_counted_where_there_is_some() {
    let arrived: Vec<_> =
        [(1, 1), (1, 3), (2, 1), (1, 2), (2, 2)].map(|(port, number)| numbered(port, number).1).into();
    assert_eq!(reordered(&arrived), 1);
}
