//! Policy in force: what passes at the source, at a relay and at the destination, and what no longer does.

use std::io;
use std::sync::Arc;

use super::relaying::{assert_clean, is_silent, session_bytes};
use super::send_frames;
use super::testing::{Node, Pair, id, row, v4};
use super::traffic::{icmp, ip_packet, packets, read_packets, tcp_of, udp6};
use crate::clock;
use crate::event::Event;
use crate::flow::{Flow, Transport};
use crate::frame::{HopHeader, Kind};
use crate::hits::Hits;
use crate::offload::Vnet;
use crate::policy::{Policy, Rule};
use crate::stats::{DROP_NAMES, Drop};

/// From one node to another.
pub fn between(from: u8, to: u8, proto: u8, ports: Vec<(u16, u16)>) -> Rule {
    let set = |node| Some([v4(node)].into_iter().collect());
    let id = format!("{from} to {to}");
    Rule { id, allow: true, from: set(from), to: set(to), protocols: vec![proto], ports, redundant: false }
}

pub fn policy(rules: Vec<Rule>) -> Arc<Policy> {
    Arc::new(Policy::new(rules, &Hits::default()))
}

/// Only this way, to TCP port 81.
pub fn one_way(from: u8, to: u8) -> Arc<Policy> {
    policy(vec![between(from, to, 6, vec![(81, 81)])])
}

/// The answer to `tcp_of(1, 2, 81, _)`.
pub fn answer() -> (Vnet, Vec<u8>) {
    answer_from(2, 1)
}

fn answer_from(from: u8, to: u8) -> (Vnet, Vec<u8>) {
    let (vnet, mut packet) = tcp_of(from, to, 80, 400);
    packet[20..24].copy_from_slice(&[0, 81, 0, 80]);
    (vnet, packet)
}

#[test]
fn an_allowed_flow_and_its_answers_pass_and_nothing_else_does_at_each_place() -> io::Result<()> {
    for place in 0..3 {
        let mut nodes = row([1, 3, 2])?;
        nodes[place].judge_by(one_way(1, 2));
        let [left, relay, right] = &mut nodes;
        let allowed = tcp_of(1, 2, 81, 5_000);
        left.write(&allowed.0, &allowed.1)?;
        let expected = packets(allowed);
        assert_eq!(read_packets(right, expected.len())?, expected);
        let answer = answer();
        right.write(&answer.0, &answer.1)?;
        // The source says that it is an answer only if it has the policy itself; else the relay cannot know.
        if place == 1 {
            assert!(relay.dropped(Drop::PolicyDenied, 1));
        } else {
            assert_eq!(read_packets(left, 1)?, packets(answer));
        }
        let denied = tcp_of(1, 2, 82, 100);
        left.write(&denied.0, &denied.1)?;
        let by = [&*left, &*relay, &*right][place];
        assert!(by.dropped(Drop::PolicyDenied, 1 + u64::from(place == 1)), "{:?}", DROP_NAMES);
    }
    Ok(())
}

#[test]
fn answers_pass_where_all_hold_the_policy() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    for node in [&left, &relay, &right] {
        node.judge_by(one_way(1, 2));
    }
    let (question, answer) = (tcp_of(1, 2, 81, 100), answer());
    left.write(&question.0, &question.1)?;
    assert_eq!(read_packets(&mut right, 1)?, packets(question));
    right.write(&answer.0, &answer.1)?;
    assert_eq!(read_packets(&mut left, 1)?, packets(answer));
    let other = tcp_of(2, 1, 81, 100);
    right.write(&other.0, &other.1)?;
    assert!(right.dropped(Drop::PolicyDenied, 1));
    assert_clean(&[&left, &relay]);
    Ok(())
}

#[test]
fn session_packets_pass_whatever_the_policy() -> io::Result<()> {
    let [left, relay, right] = row([1, 3, 2])?;
    for node in [&left, &relay, &right] {
        node.judge_by(one_way(2, 1));
    }
    send_frames(&left.shared, &left.link, &HopHeader::new(v4(1), v4(2), Kind::Session), b"packet", 6)?;
    assert_eq!(session_bytes(&right, 6), b"packet");
    assert_clean(&[&left, &relay, &right]);
    Ok(())
}

// Answers and questions

/// Only this way, by that protocol.
fn one_way_by(from: u8, to: u8, proto: u8) -> Arc<Policy> {
    policy(vec![between(from, to, proto, vec![])])
}

fn udp(from: u8, to: u8) -> (Vnet, Vec<u8>) {
    let mut packet = ip_packet(v4(from).into(), v4(to).into(), 17, 8);
    packet[20..28].copy_from_slice(&[0, 80, 0, 81, 0, 8, 0, 0]);
    (Vnet::default(), packet)
}

fn police(nodes: &[&Node], policy: impl Fn() -> Arc<Policy>) {
    nodes.iter().for_each(|node| node.judge_by(policy()));
}

fn write(node: &mut Node, (vnet, packet): &(Vnet, Vec<u8>)) -> io::Result<()> {
    node.write(vnet, packet)
}

/// `packet` arrives whole, behind refusals of what `to` itself sent before.
pub fn reaches(from: &mut Node, to: &mut Node, packet: &(Vnet, Vec<u8>)) -> io::Result<()> {
    let is_refusal = |packet: &[u8]| (packet[9] == 6 && packet.get(33) == Some(&4)) || packet[20..22] == [3, 13];
    write(from, packet)?;
    let mut arrived = read_packets(to, 1)?;
    while is_refusal(&arrived[0]) {
        arrived = read_packets(to, 1)?;
    }
    assert_eq!(arrived, packets(packet.clone()));
    Ok(())
}

#[test]
fn an_answer_leaves_only_after_its_question_came() -> io::Result<()> {
    let Pair { mut left, mut right } = Pair::new()?;
    police(&[&left, &right], || one_way(1, 2));
    write(&mut right, &answer())?;
    assert!(right.dropped(Drop::Unsolicited, 1));
    reaches(&mut left, &mut right, &tcp_of(1, 2, 81, 100))?;
    reaches(&mut right, &mut left, &answer())?;
    // From the same port, but to none that asked.
    let (vnet, mut other) = answer();
    other[23] = 79;
    write(&mut right, &(vnet, other))?;
    assert!(right.dropped(Drop::Unsolicited, 2));
    assert_eq!((right.events(), right.shared.hits.unmatched()), (vec![], 0));
    assert_clean(&[&left]);
    Ok(())
}

#[test]
fn who_is_pinged_may_answer_and_not_ping() -> io::Result<()> {
    let Pair { mut left, mut right } = Pair::new()?;
    police(&[&left, &right], || one_way_by(1, 2, 1));
    let (mut request, mut back) = (icmp(v4(1).into(), v4(2).into()), icmp(v4(2).into(), v4(1).into()));
    write(&mut right, &(Vnet::default(), back.clone()))?;
    assert!(right.dropped(Drop::Unsolicited, 1));
    request[20] = 8;
    reaches(&mut left, &mut right, &(Vnet::default(), request))?;
    reaches(&mut right, &mut left, &(Vnet::default(), back.clone()))?;
    back[20] = 8;
    write(&mut right, &(Vnet::default(), back))?;
    assert!(right.dropped(Drop::Unsolicited, 2));
    Ok(())
}

/// "Port unreachable", about `packet`, from node `from` to node `to`.
fn unreachable(from: u8, to: u8, packet: &[u8]) -> (Vnet, Vec<u8>) {
    let mut message = ip_packet(v4(from).into(), v4(to).into(), 1, 8 + 28);
    message[20..22].copy_from_slice(&[3, 3]);
    message[28..].copy_from_slice(&packet[..28]);
    (Vnet::default(), message)
}

#[test]
fn errors_about_open_flows_pass_both_ways_and_over_relays_and_no_others_do() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    police(&[&left, &relay, &right], || one_way(1, 2));
    let question = tcp_of(1, 2, 81, 100);
    write(&mut right, &unreachable(2, 1, &question.1))?;
    assert!(right.dropped(Drop::PolicyDenied, 1));
    reaches(&mut left, &mut right, &question)?;
    reaches(&mut right, &mut left, &unreachable(2, 1, &question.1))?;
    reaches(&mut left, &mut right, &unreachable(1, 2, &answer().1))?;
    // About a packet that was never sent, and one that somebody else sent.
    write(&mut right, &unreachable(2, 1, &tcp_of(1, 2, 82, 100).1))?;
    assert!(right.dropped(Drop::PolicyDenied, 2));
    write(&mut right, &unreachable(2, 1, &tcp_of(3, 2, 81, 100).1))?;
    assert!(right.dropped(Drop::PolicyDenied, 3));
    assert_clean(&[&left, &relay]);
    // Where nothing is allowed at all a relay lets no error pass either.
    relay.judge_by(one_way(4, 5));
    write(&mut right, &unreachable(2, 1, &question.1))?;
    assert!(relay.dropped(Drop::PolicyDenied, 1));
    Ok(())
}

/// A fragment of a UDP datagram to port 81; the first holds the ports.
pub fn fragment(id: u8, place: [u8; 2]) -> (Vnet, Vec<u8>) {
    let (vnet, mut packet) = udp(1, 2);
    packet[5] = id;
    packet[6..8].copy_from_slice(&place);
    (vnet, packet)
}

#[test]
fn fragments_follow_the_one_that_holds_their_ports_under_rules_with_ports() -> io::Result<()> {
    const FIRST: [u8; 2] = [0x20, 0];
    const LATER: [u8; 2] = [0, 2];
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    let to_81 = |proto| policy(vec![between(1, 2, proto, vec![(81, 81)])]);
    police(&[&left, &relay, &right], || to_81(17));
    write(&mut left, &fragment(1, LATER))?;
    assert!(left.dropped(Drop::PolicyDenied, 1));
    for id in [1, 2] {
        // A whole packet of the flow does not stand for the first fragment.
        reaches(&mut left, &mut right, &udp(1, 2))?;
        reaches(&mut left, &mut right, &fragment(id, FIRST))?;
        reaches(&mut left, &mut right, &fragment(id, LATER))?;
    }
    write(&mut left, &fragment(3, LATER))?;
    assert!(left.dropped(Drop::PolicyDenied, 2));
    assert_clean(&[&relay, &right]);
    // Who sends what his own rules deny is found out by the destination alone, since a relay does not know the first.
    left.judge_by(Arc::default());
    write(&mut left, &fragment(3, LATER))?;
    assert!(right.dropped(Drop::PolicyDenied, 1));
    // A first one that ends within its header leads nobody.
    police(&[&left, &relay, &right], || to_81(6));
    let (vnet, mut stump) = fragment(4, FIRST);
    stump[9] = 6;
    let mut later = stump.clone();
    later[6..8].copy_from_slice(&LATER);
    reaches(&mut left, &mut right, &(vnet, stump))?;
    write(&mut left, &(vnet, later))?;
    assert!(left.dropped(Drop::PolicyDenied, 3));
    Ok(())
}

#[test]
fn a_connection_from_before_a_restart_goes_on_and_a_new_one_the_wrong_way_does_not() -> io::Result<()> {
    let Pair { mut left, mut right } = Pair::new()?;
    police(&[&left, &right], || one_way(1, 2));
    for node in [&left, &right] {
        node.shared.conntrack.begin(clock::second());
    }
    let (vnet, mut syn) = answer();
    syn[33] = 2;
    write(&mut right, &(vnet, syn))?;
    assert!(right.dropped(Drop::Unsolicited, 1));
    assert!(matches!(right.events()[..], [Event::FlowDenied { port: 80, .. }]));
    // Only data comes: whoever asked has nothing to say before it is there.
    reaches(&mut right, &mut left, &answer())?;
    assert_clean(&[&left]);
    Ok(())
}

#[test]
fn a_connection_that_ends_is_over_soon_at_both_ends_and_another_goes_on() -> io::Result<()> {
    let Pair { mut left, mut right } = Pair::new()?;
    police(&[&left, &right], || one_way_by(1, 2, 6));
    let flagged = |(vnet, mut packet): (Vnet, Vec<u8>), flags| {
        packet[33] = flags;
        (vnet, packet)
    };
    let now = clock::second();
    let left_open = |node: &Node| {
        let transport = |dport| Transport { proto: 6, sport: 80, dport, fragment: false };
        let is_open = |dport| Flow { src: v4(1), dst: v4(2), transport: transport(dport), ends: None };
        [81, 82, 83].map(|dport| node.shared.conntrack.is_open(&is_open(dport), now + 1000))
    };
    for port in [81, 82, 83] {
        reaches(&mut left, &mut right, &tcp_of(1, 2, port, 100))?;
    }
    // Behind data of the same turn, and as one of many segments.
    let (data, end) = (tcp_of(1, 2, 81, 100), flagged(tcp_of(1, 2, 81, 5000), 0x19));
    write(&mut left, &data)?;
    write(&mut left, &end)?;
    let expected = [packets(data), packets(end)].concat();
    assert_eq!(read_packets(&mut right, expected.len())?, expected);
    let (vnet, mut reset) = flagged(answer(), 0x14);
    reset[21] = 82;
    reaches(&mut right, &mut left, &(vnet, reset))?;
    for node in [&left, &right] {
        assert_eq!(left_open(node), [false, false, true]);
    }
    assert_clean(&[&left, &right]);
    Ok(())
}

#[test]
fn a_flow_whose_rule_went_is_cut_at_both_ends_and_one_whose_rule_stays_goes_on() -> io::Result<()> {
    let Pair { mut left, mut right } = Pair::new()?;
    let both = || policy(vec![between(1, 2, 6, vec![(81, 81)]), between(1, 2, 17, vec![])]);
    police(&[&left, &right], both);
    let (question, spared) = (tcp_of(1, 2, 81, 100), udp(1, 2));
    reaches(&mut left, &mut right, &question)?;
    reaches(&mut right, &mut left, &answer())?;
    // Its source alone knows yet, then its destination alone, then both.
    for knowing in [vec![0], vec![1], vec![0, 1]] {
        for node in knowing.iter().map(|place| [&left, &right][*place]) {
            node.judge_by(one_way_by(1, 2, 17));
        }
        let before = [&left, &right].map(|node| node.shared.drops.get(Drop::PolicyDenied));
        write(&mut left, &question)?;
        write(&mut right, &answer())?;
        let (first, last) = (knowing[0], knowing[knowing.len() - 1]);
        let by = [&left, &right][first];
        assert!(by.dropped(Drop::PolicyDenied, before[first] + if first == last { 2 } else { 1 }));
        assert!([&left, &right][last].dropped(Drop::PolicyDenied, before[last] + 1));
        reaches(&mut left, &mut right, &spared)?;
        police(&[&left, &right], both);
        reaches(&mut left, &mut right, &question)?;
        reaches(&mut right, &mut left, &answer())?;
    }
    Ok(())
}

// What is counted and told

#[test]
fn each_rule_counts_the_flows_it_decided_on_wherever_they_are_judged() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    let rules = || {
        let deny = Rule { id: "no".to_owned(), allow: false, ..between(1, 2, 6, vec![(82, 82)]) };
        vec![deny, between(1, 2, 6, vec![(81, 82)])]
    };
    let swap = |node: &Node| node.judge_by(Arc::new(Policy::new(rules(), &node.shared.hits)));
    [&left, &relay, &right].into_iter().for_each(swap);
    for _ in 0..3 {
        reaches(&mut left, &mut right, &tcp_of(1, 2, 81, 100))?;
        reaches(&mut right, &mut left, &answer())?;
        write(&mut left, &tcp_of(1, 2, 82, 100))?;
        write(&mut left, &tcp_of(1, 2, 83, 100))?;
    }
    assert!(left.dropped(Drop::PolicyDenied, 6));
    let counted = |node: &Node| {
        let mut hits = node.shared.hits.snapshot();
        hits.sort();
        (hits.into_iter().map(|(_, count)| count).collect::<Vec<_>>(), node.shared.hits.unmatched())
    };
    assert_eq!(counted(&left), (vec![1, 1], 1));
    assert_eq!([counted(&relay), counted(&right)], [(vec![1, 0], 0), (vec![1, 0], 0)]);
    // The first is told at once, and the other one with the next.
    let denied =
        |rule: &str, port, others| Event::FlowDenied { node: id(2), rule: rule.to_owned(), proto: 6, port, others };
    assert_eq!(left.events(), [denied("no", 82, 0)]);
    assert_eq!((relay.events(), right.events()), (vec![], vec![]));
    // Under another policy flows that go on are none that are new, and those that are denied are judged anew.
    [&left, &relay, &right].into_iter().for_each(swap);
    reaches(&mut left, &mut right, &tcp_of(1, 2, 81, 100))?;
    write(&mut left, &tcp_of(1, 2, 82, 100))?;
    assert!(left.dropped(Drop::PolicyDenied, 7));
    assert_eq!((counted(&left), counted(&right)), ((vec![1, 2], 1), (vec![1, 0], 0)));
    Ok(())
}

// Refusals

#[test]
fn what_our_own_policy_denies_is_refused_at_once_and_what_others_deny_is_not() -> io::Result<()> {
    let [mut left, relay, right] = row([1, 3, 2])?;
    left.judge_by(one_way(1, 2));
    let (vnet, denied) = tcp_of(1, 2, 82, 5_000);
    write(&mut left, &(vnet, denied))?;
    let reset = left.read()?.1;
    assert_eq!((&reset[12..16], &reset[16..20]), (&v4(2).octets()[..], &v4(1).octets()[..]));
    // From the port it was for, at the number the sender expects.
    assert_eq!(reset[20..34], [0, 82, 0, 80, 0, 0, 0, 2, 0, 0, 0, 0, 0x50, 4]);
    write(&mut left, &udp(1, 2))?;
    assert_eq!(left.read()?.1[20..22], [3, 13]);
    let (vnet, over_v6) = udp6(10);
    write(&mut left, &(vnet, over_v6))?;
    assert_eq!(left.read()?.1[40..42], [1, 1]);
    // An answer to nothing that begins a connection, but none from within one.
    left.judge_by(one_way(2, 1));
    write(&mut left, &answer_from(1, 2))?;
    assert!(left.dropped(Drop::Unsolicited, 1));
    let (vnet, mut syn) = answer_from(1, 2);
    syn[33] = 2;
    write(&mut left, &(vnet, syn))?;
    assert_eq!(left.read()?.1[33], 0x14);
    write(&mut left, &unreachable(1, 2, &tcp_of(2, 1, 82, 100).1))?;
    assert!(left.dropped(Drop::PolicyDenied, 4));
    assert!(is_silent(&mut left)?);
    // Denied on the way, and at its end.
    left.judge_by(Arc::default());
    for judge in [&relay, &right] {
        [&relay, &right].iter().for_each(|node| node.judge_by(Arc::default()));
        judge.judge_by(one_way(4, 5));
        write(&mut left, &udp(1, 2))?;
        assert!(judge.dropped(Drop::PolicyDenied, 1));
    }
    assert!(is_silent(&mut left)?);
    Ok(())
}
