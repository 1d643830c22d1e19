//! Packets longer than their path takes whole: answered or split; and what TCP is told as it opens.

use std::io;
use std::sync::atomic::Ordering;

use super::testing::{Node, Pair, eventually, row, v4, v6};
use super::traffic::{ip_packet, packets, read_packets, tcp};
use super::{release_waiting, testing};
use crate::frame::FRAME_OVERHEAD;
use crate::offload::{Shape, Vnet, checksum, mss};
use crate::seal::RECORD_OVERHEAD;
use crate::stats::Drop;
use crate::tables::Link;

/// A trial of the link has found that it takes so much.
fn settle(link: &Link, size: usize) {
    link.size.store(size, Ordering::Relaxed);
    link.settled.store(size, Ordering::Relaxed);
}

/// The MTU that the next packet for this node's kernel tells, and who tells it.
fn told(node: &mut Node) -> io::Result<(std::net::IpAddr, usize)> {
    let (vnet, packet) = node.read()?;
    assert_eq!(vnet, Vnet::default());
    let from = crate::offload::ends(&packet).map(|(from, _)| from).ok_or(io::ErrorKind::InvalidData)?;
    let mtu = match packet[0] >> 4 {
        4 if packet[20..22] == [3, 4] => u16::from_be_bytes([packet[26], packet[27]]).into(),
        6 if packet[40..42] == [2, 0] => u16::from_be_bytes([packet[46], packet[47]]).into(),
        _ => return Err(io::ErrorKind::InvalidData.into()),
    };
    Ok((from, mtu))
}

/// It arrives at `right` as it was, whatever it went as.
fn crosses(left: &mut Node, right: &mut Node, (vnet, packet): (Vnet, Vec<u8>)) -> io::Result<()> {
    left.write(&vnet, &packet)?;
    let expected = packets((vnet, packet));
    assert_eq!(read_packets(right, expected.len())?, expected);
    Ok(())
}

/// UDP of so many bytes in all.
fn datagram(ipv6: bool, length: usize) -> Vec<u8> {
    let mut packet = match ipv6 {
        true => ip_packet(v6(1).into(), v6(2).into(), 17, length - 40),
        false => ip_packet(v4(1).into(), v4(2).into(), 17, length - 20),
    };
    let shape = Shape::of(&packet);
    let at = shape.map_or(0, |shape| shape.transport);
    packet[at..at + 4].copy_from_slice(&[0, 53, 0, 54]);
    let transport = (length - at) as u16;
    packet[at + 4..at + 6].copy_from_slice(&transport.to_be_bytes());
    if let Some(shape) = shape {
        checksum::finish(&mut packet, &shape);
    }
    packet
}

#[test]
fn a_super_packet_whose_parts_are_too_long_is_answered_and_the_next_goes_split() -> io::Result<()> {
    let mut pair = Pair::new()?;
    settle(&pair.left.link, 1300);
    for _ in 0..2 {
        // Parts of 1,328 bytes, which may not be cut.
        let (vnet, packet) = tcp(1288 * 40);
        pair.left.write(&vnet, &packet)?;
    }
    assert_eq!(told(&mut pair.left)?, (v4(2).into(), 1300 - RECORD_OVERHEAD));
    let expected = packets(tcp(1288 * 40));
    assert_eq!(read_packets(&mut pair.right, expected.len())?, expected);
    assert_eq!(pair.left.shared.drops.get(Drop::TooBig), 1);
    Ok(())
}

#[test]
fn over_a_relay_the_first_link_counts_and_the_frame_around_it() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    settle(&left.link, 1372);
    settle(&relay.link_with(2), 1252);
    let full = datagram(false, 1340);
    left.write(&Vnet::default(), &full)?;
    assert_eq!(told(&mut left)?, (v4(2).into(), 1372 - RECORD_OVERHEAD - FRAME_OVERHEAD));
    // What is whole on the first link is split by the relay, which tells nobody.
    crosses(&mut left, &mut right, (Vnet::default(), datagram(false, 1292)))?;
    assert_eq!(relay.shared.drops.get(Drop::TooBig), 0);
    Ok(())
}

#[test]
fn ipv6_keeps_its_1280_bytes_and_quic_its_datagram() -> io::Result<()> {
    let mut pair = Pair::new()?;
    settle(&pair.left.link, 1200);
    for fits in [datagram(true, 1280), datagram(false, 1228)] {
        crosses(&mut pair.left, &mut pair.right, (Vnet::default(), fits))?;
    }
    for (longer, from, limit) in
        [(datagram(true, 1281), v6(2).into(), 1280), (datagram(false, 1229), v4(2).into(), 1228)]
    {
        pair.left.write(&Vnet::default(), &longer)?;
        assert_eq!(told(&mut pair.left)?, (from, limit));
        crosses(&mut pair.left, &mut pair.right, (Vnet::default(), longer))?;
    }
    Ok(())
}

#[test]
fn what_may_be_cut_goes_split_and_so_does_all_while_the_size_is_not_settled() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let full = datagram(false, 1340);
    pair.left.link.size.store(1200, Ordering::Relaxed);
    crosses(&mut pair.left, &mut pair.right, (Vnet::default(), full.clone()))?;
    // A trial is under way: the size fell, and what it will be is not known.
    pair.left.link.settled.store(1452, Ordering::Relaxed);
    crosses(&mut pair.left, &mut pair.right, (Vnet::default(), full.clone()))?;
    settle(&pair.left.link, 1200);
    let mut may_be_cut = full;
    may_be_cut[6] = 0;
    if let Some(shape) = Shape::of(&may_be_cut) {
        checksum::finish(&mut may_be_cut, &shape);
    }
    crosses(&mut pair.left, &mut pair.right, (Vnet::default(), may_be_cut))?;
    assert_eq!(pair.left.shared.drops.get(Drop::TooBig), 0);
    Ok(())
}

/// A SYN with an MSS of 1,300, as the kernel hands it over: unfinished, or not.
fn syn(partial: bool) -> (Vnet, Vec<u8>) {
    let mut packet = ip_packet(v4(1).into(), v4(2).into(), 6, 24);
    packet[20..24].copy_from_slice(&[0, 80, 0, 81]);
    packet[32..34].copy_from_slice(&[0x60, 2]);
    packet[40..44].copy_from_slice(&[2, 4, 5, 20]);
    let Some(shape) = Shape::of(&packet) else { unreachable!("a TCP packet") };
    let total = packet.len();
    if partial {
        checksum::leave_partial(&mut packet, &shape, total);
    } else {
        checksum::finish(&mut packet, &shape);
    }
    (Vnet { partial, checksum_start: 20, checksum_at: 16, ..Vnet::default() }, packet)
}

/// The MSS of the SYN that arrives next; its checksum is right.
fn mss_heard(node: &mut Node) -> io::Result<u16> {
    let [packet] = &packets(node.read()?)[..] else { return Err(io::ErrorKind::InvalidData.into()) };
    assert!(mss::opens(packet) && crate::offload::testing::checksums_hold(packet));
    Ok(u16::from_be_bytes([packet[42], packet[43]]))
}

#[test]
fn the_narrower_way_of_both_decides_the_mss() -> io::Result<()> {
    let mut pair = Pair::new()?;
    for (ours, theirs, expected) in [(0, 0, 1300), (1300, 1452, 1228), (1300, 1280, 1208), (1372, 1252, 1180)] {
        pair.left.link.settled.store(ours, Ordering::Relaxed);
        pair.right.link.settled.store(theirs, Ordering::Relaxed);
        for partial in [true, false] {
            let (vnet, packet) = syn(partial);
            pair.left.write(&vnet, &packet)?;
            assert_eq!(mss_heard(&mut pair.right)?, expected, "{ours} {theirs} {partial}");
        }
    }
    Ok(())
}

#[test]
fn a_connection_that_waits_for_its_session_is_told_too() -> io::Result<()> {
    let mut pair = Pair::new()?;
    settle(&pair.left.link, 1300);
    let sealer = pair.left.peer.sealer.swap(None);
    let (vnet, packet) = syn(true);
    pair.left.write(&vnet, &packet)?;
    assert!(eventually(|| pair.left.peer.waiting.lock().is_ok_and(|waiting| waiting.len() == 1)));
    pair.left.peer.sealer.store(sealer);
    release_waiting(&pair.left.shared, &pair.left.peer);
    assert_eq!(mss_heard(&mut pair.right)?, 1228);
    Ok(())
}

#[test]
fn of_several_ways_back_the_narrowest_in_use_counts() -> io::Result<()> {
    let [mut left, other, mut right] = row([1, 3, 2])?;
    testing::connect(&left, &right)?;
    left.route(2, &[(2, 1, false)]);
    right.route(1, &[(1, 1, false), (3, 1, false)]);
    for (direct, relayed, expected) in [(1300, 1452, 1228), (1452, 1280, 1160)] {
        right.link_with(1).settled.store(direct, Ordering::Relaxed);
        right.link_with(3).settled.store(relayed, Ordering::Relaxed);
        let (vnet, packet) = syn(true);
        left.write(&vnet, &packet)?;
        assert_eq!(mss_heard(&mut right)?, expected);
    }
    drop(other);
    Ok(())
}
