//! Rows of nodes, over real sockets: what crosses relays, and by which way.

use std::io::{self, Read};
use std::net::SocketAddr;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::testing::{Node, Pair, connect, eventually, row, v4};
use super::traffic::{icmp, ip_packet, packets, polled, read_packets, tcp, tcp_of, udp6};
use super::{release_waiting, send_frames};
use crate::frame::{FRAME_OVERHEAD, HopHeader, Kind, LAST};
use crate::offload::Vnet;
use crate::seal::RECORD_OVERHEAD;

/// Nothing was dropped by any of them.
pub fn assert_clean(nodes: &[&Node]) {
    for node in nodes {
        let dropped: Vec<_> = node.shared.drops.snapshot().into_iter().filter(|(_, count)| *count > 0).collect();
        assert_eq!(dropped, [], "at node {}", node.number);
    }
}

/// Super-packets of every kind from `left`, and each packet of them at `right`.
fn crosses(left: &mut Node, right: &mut Node) -> io::Result<()> {
    for super_packet in [tcp(1), tcp(1288 * 40), tcp(50_001), udp6(20_000), udp6(499), tcp(64_000)] {
        left.write(&super_packet.0, &super_packet.1)?;
        let expected = packets(super_packet);
        assert_eq!(read_packets(right, expected.len())?, expected);
    }
    Ok(())
}

/// What the kernel of a relay got: nothing may come.
pub fn is_silent(node: &mut Node) -> io::Result<bool> {
    socket2::SockRef::from(&node.kernel).set_read_timeout(Some(Duration::from_millis(50)))?;
    Ok(node.kernel.read(&mut [0; 10]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock))
}

#[test]
fn super_packets_cross_a_relay_whole_and_nothing_of_them_enters_its_tun() -> io::Result<()> {
    let [mut left, mut relay, mut right] = row([1, 3, 2])?;
    crosses(&mut left, &mut right)?;
    let back = tcp_of(2, 1, 80, 30_000);
    right.write(&back.0, &back.1)?;
    let expected = packets(back);
    assert_eq!(read_packets(&mut left, expected.len())?, expected);
    assert!(is_silent(&mut relay)?);
    assert_clean(&[&left, &relay, &right]);
    // Frames are counted on the links they took, packets for the peer.
    let carried = |from: &Node, to: &Node| {
        let (out, back) = (&from.link_with(to.number).traffic, &to.link_with(from.number).traffic);
        eventually(|| out.packets() > 0 && out.packets() == back.packets())
    };
    assert!(carried(&left, &relay) && carried(&relay, &right));
    assert!(eventually(|| left.peer.traffic.packets() == right.peer.traffic.packets()));
    assert_eq!(left.peer.traffic.packets(), left.link.traffic.packets());
    Ok(())
}

#[test]
fn super_packets_cross_two_relays_whole() -> io::Result<()> {
    let [mut left, one, other, mut right] = row([1, 3, 4, 2])?;
    crosses(&mut left, &mut right)?;
    assert_clean(&[&left, &one, &other, &right]);
    Ok(())
}

#[test]
fn many_small_packets_keep_their_order_over_a_relay() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    let sizes = (0..300).map(|number| 1 + number % 7 * (number % 90));
    let expected: Vec<_> = sizes.flat_map(|size| packets(tcp(size))).collect();
    for some in expected.chunks(50) {
        for packet in some {
            left.write(&Vnet::default(), packet)?;
        }
        assert_eq!(read_packets(&mut right, some.len())?, some);
    }
    assert_clean(&[&left, &relay, &right]);
    Ok(())
}

#[test]
fn ip_fragments_cross_a_relay() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    for offset in [0x2000_u16, 0x2001, 0x0002] {
        let mut fragment = ip_packet(v4(1).into(), v4(2).into(), 17, 64);
        fragment[6..8].copy_from_slice(&offset.to_be_bytes());
        left.write(&Vnet::default(), &fragment)?;
        assert_eq!(right.read()?.1, fragment);
    }
    assert_clean(&[&left, &relay, &right]);
    Ok(())
}

#[test]
fn packets_that_waited_for_the_session_cross_a_relay() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    let sealer = left.peer.sealer.swap(None);
    let waits = tcp(5_000);
    let expected = packets(waits.clone());
    left.write(&waits.0, &waits.1)?;
    assert!(eventually(|| left.peer.waiting.lock().is_ok_and(|waiting| waiting.len() == expected.len())));
    left.peer.sealer.store(sealer);
    release_waiting(&left.shared, &left.peer);
    assert_eq!(read_packets(&mut right, expected.len())?, expected);
    assert_clean(&[&left, &relay, &right]);
    Ok(())
}

#[test]
fn session_packets_cross_two_relays_as_runs_of_their_sender() -> io::Result<()> {
    let [left, one, other, right] = row([1, 3, 4, 2])?;
    let contents: Vec<u8> = (0..1200 * 20 + 77).map(|at| (at % 251) as u8).collect();
    send_frames(&left.shared, &left.link, &HopHeader::new(v4(1), v4(2), Kind::Session), &contents, 1200)?;
    assert_eq!(session_bytes(&right, contents.len()), contents);
    assert_clean(&[&left, &one, &other, &right]);
    Ok(())
}

pub fn session_bytes(node: &Node, length: usize) -> Vec<u8> {
    let mut received = vec![];
    assert!(eventually(|| {
        for (bytes, _, from) in polled(&node.shared.session_inbox) {
            assert_eq!(from, SocketAddr::from((v4(1).to_ipv6_mapped(), 1)));
            received.extend(bytes);
        }
        received.len() >= length
    }));
    received
}

#[test]
fn a_switch_between_relayed_and_direct_loses_and_changes_nothing() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    connect(&left, &right)?;
    for round in 0..20 {
        let via = if round % 2 == 0 { 3 } else { 2 };
        left.route(2, &[(via, 1, false)]);
        let super_packet = tcp(20_000 + round);
        left.write(&super_packet.0, &super_packet.1)?;
        let expected = packets(super_packet);
        assert_eq!(read_packets(&mut right, expected.len())?, expected);
    }
    assert_clean(&[&left, &relay, &right]);
    Ok(())
}

// Splitting

/// A full packet of `tcp` as a record, and as a frame.
const RECORD: usize = 1328 + RECORD_OVERHEAD;
const FRAME: usize = RECORD + FRAME_OVERHEAD;

fn shrink(from: &Node, to: &Node, size: usize) {
    from.link_with(to.number).size.store(size, Ordering::Relaxed);
}

#[test]
fn frames_too_long_for_a_link_cross_it_as_two_and_arrive_whole() -> io::Result<()> {
    // At the source, at the relay, at both.
    for sizes in [(1300, 1452), (1452, 1300), (1300, 1280), (RECORD, FRAME), (FRAME, FRAME - 1)] {
        let [mut left, relay, mut right] = row([1, 3, 2])?;
        shrink(&left, &relay, sizes.0);
        shrink(&relay, &right, sizes.1);
        crosses(&mut left, &mut right)?;
        assert_clean(&[&left, &relay, &right]);
        let frames = left.peer.traffic.packets_out.load(Ordering::Relaxed);
        let halved =
            [&left.link, &relay.link_with(2)].map(|link| link.traffic.packets_out.load(Ordering::Relaxed) > frames);
        assert_eq!(halved, [sizes.0 < FRAME, sizes.1 < FRAME]);
    }
    Ok(())
}

#[test]
fn bare_records_too_long_for_their_link_go_framed_and_split() -> io::Result<()> {
    let mut pair = Pair::new()?;
    pair.left.link.size.store(1300, Ordering::Relaxed);
    crosses(&mut pair.left, &mut pair.right)?;
    let sealer = pair.left.peer.sealer.swap(None);
    let waits = tcp(1288);
    pair.left.write(&waits.0, &waits.1)?;
    assert!(eventually(|| pair.left.peer.waiting.lock().is_ok_and(|waiting| waiting.len() == 1)));
    pair.left.peer.sealer.store(sealer);
    release_waiting(&pair.left.shared, &pair.left.peer);
    assert_eq!(read_packets(&mut pair.right, 1)?, packets(waits));
    assert_clean(&[&pair.left, &pair.right]);
    Ok(())
}

#[test]
fn session_packets_too_long_for_a_link_arrive_whole() -> io::Result<()> {
    let [left, relay, right] = row([1, 3, 2])?;
    shrink(&left, &relay, 1228);
    let contents: Vec<u8> = (0..1200 * 30 + 77).map(|at| (at % 251) as u8).collect();
    send_frames(&left.shared, &left.link, &HopHeader::new(v4(1), v4(2), Kind::Session), &contents, 1200)?;
    assert_eq!(session_bytes(&right, contents.len()), contents);
    assert_clean(&[&left, &relay, &right]);
    Ok(())
}

// Which way

/// A relay (3) with two ways to node 2: its own link, and node 4.
fn two_ways() -> io::Result<[Node; 4]> {
    let nodes = row([1, 3, 4, 2])?;
    let [_, relay, _, right] = &nodes;
    connect(relay, right)?;
    Ok(nodes)
}

#[test]
fn a_relay_spreads_flows_over_its_ways_and_each_keeps_its_own() -> io::Result<()> {
    let [mut left, relay, other, mut right] = two_ways()?;
    relay.route(2, &[(2, 1, false), (4, 1, false)]);
    for port in 0..100 {
        let super_packet = tcp_of(1, 2, port, 4_000);
        let before = [2, 4].map(|way| relay.link_with(way).traffic.packets_out.load(Ordering::Relaxed));
        left.write(&super_packet.0, &super_packet.1)?;
        let expected = packets(super_packet);
        assert_eq!(read_packets(&mut right, expected.len())?, expected);
        let took = |way: u8, before| relay.link_with(way).traffic.packets_out.load(Ordering::Relaxed) - before;
        assert!(eventually(|| matches!((took(2, before[0]), took(4, before[1])), (4, 0) | (0, 4))));
    }
    for way in [2, 4] {
        assert!(relay.link_with(way).traffic.packets_out.load(Ordering::Relaxed) > 100);
    }
    assert_clean(&[&left, &relay, &other, &right]);
    Ok(())
}

#[test]
fn a_relay_leaves_a_suspect_link_at_once_if_there_is_another() -> io::Result<()> {
    let [mut left, relay, _other, mut right] = two_ways()?;
    relay.route(2, &[(2, 1, false), (4, 0, false)]);
    let mut carried = |way: u8| -> io::Result<bool> {
        let before = relay.link_with(way).traffic.packets_out.load(Ordering::Relaxed);
        left.write(&Vnet::default(), &icmp(v4(1).into(), v4(2).into()))?;
        right.read()?;
        Ok(eventually(|| relay.link_with(way).traffic.packets_out.load(Ordering::Relaxed) > before))
    };
    assert!(carried(2)?);
    relay.link_with(2).suspect.store(true, Ordering::Relaxed);
    assert!(carried(4)?);
    relay.link_with(2).suspect.store(false, Ordering::Relaxed);
    assert!(carried(2)?);
    Ok(())
}

#[test]
fn a_last_hop_goes_over_the_neighbours_own_link_whatever_its_table_says() -> io::Result<()> {
    let [mut left, relay, other, mut right] = two_ways()?;
    relay.route(2, &[(4, 1, false)]);
    left.route(2, &[(3, 1, true)]);
    let ping = icmp(v4(1).into(), v4(2).into());
    left.write(&Vnet::default(), &ping)?;
    assert_eq!(right.read()?.1, ping);
    let header = HopHeader { flags: LAST, ..HopHeader::new(v4(1), v4(2), Kind::Session) };
    send_frames(&left.shared, &left.link, &header, b"packet", 6)?;
    assert_eq!(session_bytes(&right, 6), b"packet");
    assert_eq!(other.link_with(2).traffic.packets(), 0);
    assert!(eventually(|| relay.link_with(2).traffic.packets_out.load(Ordering::Relaxed) == 2));
    let relayed = [&left, &relay, &right].map(|node| node.link.traffic.relayed.load(Ordering::Relaxed));
    assert_eq!((relay.link_with(2).traffic.relayed.load(Ordering::Relaxed), relayed), (2, [0; 3]));
    assert_clean(&[&left, &relay, &right]);
    Ok(())
}

#[test]
fn a_relay_asks_the_last_relay_to_use_its_own_link() -> io::Result<()> {
    let [mut left, relay, other, mut right] = row([1, 3, 4, 2])?;
    relay.route(2, &[(4, 1, true)]);
    // By its table the other would send it back to the relay.
    other.route(2, &[(3, 1, false)]);
    let ping = icmp(v4(1).into(), v4(2).into());
    left.write(&Vnet::default(), &ping)?;
    assert_eq!(right.read()?.1, ping);
    assert_clean(&[&left, &relay, &other, &right]);
    Ok(())
}
