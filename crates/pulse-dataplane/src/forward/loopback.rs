//! Both threads of two nodes, over real sockets.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::testing::{INDEX, Node, Pair, bound, eventually, id, link_through, loopback, v4, v6};
use super::traffic::{icmp, ip_packet, packets, polled, read_packets, tcp, udp6};
use super::{Arrivals, release_waiting, send_frames};
use crate::clock;
use crate::event::Event;
use crate::flow::{Flow, Transport};
use crate::frame::{HopHeader, Kind};
use crate::offload::Vnet;
use crate::outlet;
use crate::seal::{Marks, RECORD_HEADER, RECORD_OVERHEAD, RecordSealer};
use crate::stats::Drop;
use crate::tables::{Addresses, Routes, Waiting};

/// A record of the other node, sent by somebody from another socket.
fn send_record(node: &Node, packet: &[u8]) -> io::Result<Vec<u8>> {
    let mut record = vec![0; RECORD_OVERHEAD + packet.len()];
    record[RECORD_HEADER..][..packet.len()].copy_from_slice(packet);
    node.rogue.seal(node.rogue.reserve(1).unwrap_or_default(), Marks::default(), &mut record);
    send_to(node, &record)?;
    Ok(record)
}

fn send_to(node: &Node, datagram: &[u8]) -> io::Result<()> {
    let port = node.shared.socket.local_addr()?.port();
    bound()?.send_to(datagram, SocketAddr::from((v4_loopback(), port))).map(drop)
}

fn v4_loopback() -> IpAddr {
    IpAddr::V6(std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped())
}

#[test]
fn super_packets_cross_whole() -> io::Result<()> {
    let mut pair = Pair::new()?;
    for super_packet in [tcp(1), tcp(1288 * 40), tcp(50_001), udp6(20_000), udp6(499), tcp(64_000)] {
        pair.left.write(&super_packet.0, &super_packet.1)?;
        let expected = packets(super_packet);
        assert_eq!(read_packets(&mut pair.right, expected.len())?, expected);
    }
    let (sent, received) = (&pair.left.peer.traffic, &pair.right.peer.traffic);
    assert!(eventually(|| sent.packets() > 0 && sent.packets() == received.packets()));
    assert!(eventually(|| pair.left.link.traffic.packets() == pair.right.link.traffic.packets()));
    Ok(())
}

#[test]
fn many_small_packets_keep_their_order() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let sizes = (0..300).map(|number| 1 + number % 7 * (number % 90));
    let expected: Vec<_> = sizes.flat_map(|size| packets(tcp(size))).collect();
    // As many at once as the far end's queue holds unread.
    for some in expected.chunks(50) {
        for packet in some {
            pair.left.write(&Vnet::default(), packet)?;
        }
        assert_eq!(read_packets(&mut pair.right, some.len())?, some);
    }
    Ok(())
}

#[test]
fn a_source_that_is_not_the_senders_is_dropped() -> io::Result<()> {
    let mut pair = Pair::new()?;
    send_record(&pair.right, &icmp(v4(3).into(), v4(2).into()))?;
    assert!(pair.right.dropped(Drop::SpoofedSource, 1));
    send_record(&pair.right, &icmp(v4(1).into(), v4(3).into()))?;
    assert!(pair.right.dropped(Drop::ForeignDestination, 1));
    let honest = icmp(v6(1).into(), v6(2).into());
    send_record(&pair.right, &honest)?;
    assert_eq!(pair.right.read()?.1, honest);
    Ok(())
}

#[test]
fn a_source_behind_the_sender_passes_if_it_was_approved() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let behind = icmp(IpAddr::from([192, 168, 7, 7]), v4(2).into());
    send_record(&pair.right, &behind)?;
    assert!(pair.right.dropped(Drop::SpoofedSource, 1));

    let old = pair.right.shared.addresses.load_full();
    let Some(owner) = old.hosts.values().next().cloned() else { unreachable!("the peer has addresses") };
    let networks = vec![(IpAddr::from([192, 168, 7, 0]), 24, owner)];
    pair.right.shared.addresses.store(Arc::new(Addresses {
        hosts: old.hosts.clone(),
        networks,
        peers: old.peers.clone(),
        ..Addresses::default()
    }));
    send_record(&pair.right, &behind)?;
    assert_eq!(pair.right.read()?.1, behind);
    Ok(())
}

/// What the right end knows beside its peer: that prefix leads there, and these lie behind itself.
fn knows(pair: &Pair, network: (IpAddr, u8), behind_us: Vec<(IpAddr, u8)>) {
    let old = pair.right.shared.addresses.load_full();
    let Some(owner) = old.hosts.values().next().cloned() else { unreachable!("the peer has addresses") };
    pair.right.shared.addresses.store(Arc::new(Addresses {
        hosts: old.hosts.clone(),
        networks: vec![(network.0, network.1, owner)],
        peers: old.peers.clone(),
        behind_us,
        mesh: vec![(IpAddr::from([10, 100, 0, 0]), 16)],
    }));
}

#[test]
fn no_range_lends_an_address_of_the_mesh_that_nobody_has() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let range = (IpAddr::from([10, 0, 0, 0]), 8);
    knows(&pair, range, vec![range]);
    let (us, nobody, beyond) = (IpAddr::from(v4(2)), IpAddr::from([10, 100, 9, 9]), IpAddr::from([10, 7, 9, 9]));
    send_record(&pair.right, &datagram(nobody, us, [0, 80, 0, 81]))?;
    assert!(pair.right.dropped(Drop::SpoofedSource, 1));
    send_record(&pair.right, &datagram(beyond, nobody, [0, 80, 0, 81]))?;
    assert!(pair.right.dropped(Drop::ForeignDestination, 1));
    let passes = datagram(beyond, us, [0, 80, 0, 81]);
    send_record(&pair.right, &passes)?;
    assert_eq!(pair.right.read()?.1, passes);
    Ok(())
}

#[test]
fn the_whole_internet_may_only_answer_and_is_no_private_network() -> io::Result<()> {
    let mut pair = Pair::new()?;
    knows(&pair, (IpAddr::from([0, 0, 0, 0]), 0), vec![]);
    let (public, us) = (IpAddr::from([203, 0, 113, 9]), IpAddr::from(v4(2)));
    let (question, answer) = (datagram(us, public, [0, 80, 0, 81]), datagram(public, us, [0, 81, 0, 80]));
    send_record(&pair.right, &answer)?;
    assert!(pair.right.dropped(Drop::Unsolicited, 1));
    send_record(&pair.right, &datagram([192, 168, 7, 7].into(), us, [0, 81, 0, 80]))?;
    assert!(pair.right.dropped(Drop::SpoofedSource, 1));

    pair.right.write(&Vnet::default(), &question)?;
    assert!(eventually(|| {
        let flow = Flow { src: v4(2), dst: v4(1), transport: Transport::of(&question), ends: None };
        pair.right.shared.conntrack.is_open(&flow, clock::second())
    }));
    send_record(&pair.right, &answer)?;
    assert_eq!(pair.right.read()?.1, answer);
    send_record(&pair.right, &datagram(public, us, [0, 82, 0, 80]))?;
    assert!(pair.right.dropped(Drop::Unsolicited, 2));
    Ok(())
}

#[test]
fn what_lies_behind_us_is_for_us_and_nothing_else_is() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let behind = datagram(v4(1).into(), [192, 168, 7, 7].into(), [0, 80, 0, 81]);
    send_record(&pair.right, &behind)?;
    assert!(pair.right.dropped(Drop::ForeignDestination, 1));
    knows(&pair, (IpAddr::from([10, 9, 0, 0]), 16), vec![([192, 168, 7, 0].into(), 24), ([0, 0, 0, 0].into(), 0)]);
    send_record(&pair.right, &behind)?;
    assert_eq!(pair.right.read()?.1, behind);
    for never in [[192, 168, 8, 7], [169, 254, 169, 254], [127, 0, 0, 1], [10, 0, 0, 1]] {
        let dropped = pair.right.shared.drops.get(Drop::ForeignDestination);
        send_record(&pair.right, &datagram(v4(1).into(), never.into(), [0, 80, 0, 81]))?;
        assert!(pair.right.dropped(Drop::ForeignDestination, dropped + 1), "{never:?}");
    }
    Ok(())
}

fn datagram(from: IpAddr, to: IpAddr, ports: [u8; 4]) -> Vec<u8> {
    let mut packet = ip_packet(from, to, 17, 8);
    packet[20..24].copy_from_slice(&ports);
    packet[24..28].copy_from_slice(&[0, 8, 0, 0]);
    packet
}

#[test]
fn a_replayed_a_forged_and_a_malformed_record_are_dropped() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let mut record = send_record(&pair.right, &icmp(v4(1).into(), v4(2).into()))?;
    pair.right.read()?;
    send_to(&pair.right, &record)?;
    assert!(pair.right.dropped(Drop::Replayed, 1));
    record[20] ^= 1;
    send_to(&pair.right, &record)?;
    assert!(pair.right.dropped(Drop::BadSeal, 1));
    record[7] ^= 1;
    send_to(&pair.right, &record)?;
    assert!(pair.right.dropped(Drop::UnknownIndex, 1));
    send_record(&pair.right, &[0x45, 0, 0, 200, 0, 0])?;
    assert!(pair.right.dropped(Drop::BadPacket, 1));
    send_to(&pair.right, &[0x01; 20])?;
    assert!(pair.right.dropped(Drop::UnknownKind, 1));
    send_to(&pair.right, &[0x21; 7])?;
    assert!(pair.right.dropped(Drop::Truncated, 1));
    Ok(())
}

/// A frame of one lane that comes over the other, although its seal is good.
#[test]
fn frames_come_the_way_their_link_does_or_not_at_all() -> io::Result<()> {
    let pair = Pair::new()?;
    let (caught, from) = (bound()?, pair.right.link.remote.load_full());
    pair.left.link.remote.store(Arc::new(loopback(&caught)?));
    let header = HopHeader::new(v4(1), v4(2), Kind::Session);
    send_frames(&pair.left.shared, &pair.left.link, &header, &[7; 100], 100)?;
    let mut frame = vec![0; 2048];
    let length = caught.recv(&mut frame)?;
    Arrivals::default().take(&pair.right.shared, &mut frame[..length], length, *from);
    assert!(pair.right.dropped(Drop::UnknownIndex, 1));

    let (queue, _batches) = outlet::queue();
    let mut links = HashMap::clone(&pair.right.shared.links.load());
    links.insert(1, link_through(2, 1, *from, queue));
    pair.right.shared.links.store(Arc::new(links));
    send_to(&pair.right, &frame[..length])?;
    assert!(pair.right.dropped(Drop::UnknownIndex, 2));
    Arrivals::default().take(&pair.right.shared, &mut frame[..length], length, *from);
    assert!(eventually(|| !polled(&pair.right.shared.session_inbox).is_empty()));
    Ok(())
}

#[test]
fn session_packets_arrive_as_runs_of_their_sender() -> io::Result<()> {
    let pair = Pair::new()?;
    let header = HopHeader::new(v4(1), v4(2), Kind::Session);
    let contents: Vec<u8> = (0..1200 * 20 + 77).map(|at| (at % 251) as u8).collect();
    send_frames(&pair.left.shared, &pair.left.link, &header, &contents, 1200)?;
    let mut received = vec![];
    assert!(eventually(|| {
        for (bytes, stride, from) in polled(&pair.right.shared.session_inbox) {
            assert!(stride == 1200 || bytes.len() == 77);
            assert_eq!(from, SocketAddr::from((v4(1).to_ipv6_mapped(), 1)));
            received.extend(bytes);
        }
        received.len() == contents.len()
    }));
    assert_eq!(received, contents);
    Ok(())
}

#[test]
fn a_link_probe_for_another_node_is_not_ours() -> io::Result<()> {
    let pair = Pair::new()?;
    for ttl in [1, 9] {
        let header = HopHeader { ttl, ..HopHeader::new(v4(1), v4(3), Kind::LinkProbe) };
        send_frames(&pair.left.shared, &pair.left.link, &header, b"probe", 5)?;
    }
    assert!(pair.right.dropped(Drop::NotForUs, 2));
    Ok(())
}

#[test]
fn a_link_probe_is_echoed() -> io::Result<()> {
    let pair = Pair::new()?;
    let header = HopHeader::new(v4(1), v4(2), Kind::LinkProbe);
    send_frames(&pair.left.shared, &pair.left.link, &header, &[0; 13], 13)?;
    assert!(eventually(|| pair.left.link.traffic.packets() == 2));
    assert_eq!(pair.right.link.traffic.packets(), 2);
    Ok(())
}

#[test]
fn one_send_may_hold_packets_of_every_kind() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let record = {
        let packet = icmp(v4(1).into(), v4(2).into());
        let mut record = vec![0; RECORD_OVERHEAD + packet.len()];
        record[RECORD_HEADER..][..packet.len()].copy_from_slice(&packet);
        pair.right.rogue.seal(0, Marks::default(), &mut record);
        record
    };
    let quic = vec![0x45; record.len()];
    let nobodys = vec![0x05; record.len()];
    let mixed = [&quic[..], &quic, &record, &nobodys, &quic].concat();
    let to = SocketAddr::from((v4_loopback(), pair.right.shared.socket.local_addr()?.port()));
    pair.left.shared.socket.send_gso(&mixed, record.len(), to, None)?;
    pair.right.read()?;
    assert!(pair.right.dropped(Drop::UnknownKind, 1));
    let mut received = vec![];
    assert!(eventually(|| {
        received.extend(polled(&pair.right.shared.link_inbox).into_iter().flat_map(|(bytes, ..)| bytes));
        received.len() == 3 * quic.len()
    }));
    assert_eq!(received, vec![0x45; 3 * quic.len()]);
    Ok(())
}

#[test]
fn packets_wait_for_the_session_and_ask_for_it_once() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let Some(sealer) = pair.left.peer.sealer.swap(None) else { unreachable!("it was set") };
    let waits = tcp(5_000);
    let expected = [packets(waits.clone()), vec![icmp(v4(1).into(), v4(2).into())]].concat();
    pair.left.write(&waits.0, &waits.1)?;
    pair.left.write(&Vnet::default(), &expected[expected.len() - 1])?;
    assert_eq!(pair.left.wanted.blocking_recv(), Some(id(2)));
    assert!(eventually(|| pair.left.peer.waiting.lock().is_ok_and(|waiting| waiting.len() == expected.len())));
    assert!(pair.left.wanted.try_recv().is_err());

    pair.left.peer.sealer.store(Some(sealer));
    release_waiting(&pair.left.shared, &pair.left.peer);
    assert_eq!(read_packets(&mut pair.right, expected.len())?, expected);
    Ok(())
}

#[test]
fn packets_that_keep_coming_ask_again_once_others_waited_in_vain() -> io::Result<()> {
    let mut pair = Pair::new()?;
    pair.left.peer.sealer.store(None);
    let Some(since) = Instant::now().checked_sub(Duration::from_secs(2)) else { return Ok(()) };
    if let Ok(mut waiting) = pair.left.peer.waiting.lock() {
        // The first was told to a session layer that had no way to the node then; the second keeps the queue filled.
        waiting.push_back(Waiting { packet: vec![1], since });
        waiting.push_back(Waiting { packet: vec![2], since: Instant::now() + Duration::from_secs(60) });
    }
    pair.left.write(&Vnet::default(), &icmp(v4(1).into(), v4(2).into()))?;
    assert!(pair.left.dropped(Drop::NoSession, 1));
    assert!(eventually(|| pair.left.wanted.try_recv() == Ok(id(2))));
    Ok(())
}

#[test]
fn what_waited_too_long_or_found_no_room_is_dropped() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let sealer = pair.left.peer.sealer.swap(None);
    let Some(since) = Instant::now().checked_sub(Duration::from_secs(2)) else { return Ok(()) };
    if let Ok(mut waiting) = pair.left.peer.waiting.lock() {
        waiting.push_back(Waiting { packet: vec![1], since });
    }
    pair.left.write(&Vnet::default(), &icmp(v4(1).into(), v4(2).into()))?;
    assert!(pair.left.dropped(Drop::NoSession, 1));
    for _ in 0..70 {
        pair.left.write(&Vnet::default(), &icmp(v4(1).into(), v4(2).into()))?;
    }
    assert!(pair.left.dropped(Drop::NoSession, 1 + 7));

    if let Ok(mut waiting) = pair.left.peer.waiting.lock() {
        waiting.iter_mut().for_each(|waiting| waiting.since = since);
    }
    pair.left.peer.sealer.store(sealer);
    release_waiting(&pair.left.shared, &pair.left.peer);
    assert!(pair.left.dropped(Drop::NoSession, 1 + 7 + 64));
    Ok(())
}

#[test]
fn a_packet_that_leads_nowhere_is_counted_and_told_once() -> io::Result<()> {
    let mut pair = Pair::new()?;
    pair.left.write(&Vnet::default(), &icmp(v4(1).into(), v4(77).into()))?;
    assert!(pair.left.dropped(Drop::UnknownDestination, 1));
    pair.left.write(&Vnet::default(), &icmp(v4(1).into(), IpAddr::from([224, 0, 0, 1])))?;
    let router_solicitation =
        icmp("fe80::1".parse().unwrap_or(v6(0).into()), "ff02::2".parse().unwrap_or(v6(0).into()));
    pair.left.write(&Vnet::default(), &router_solicitation)?;
    assert!(pair.left.dropped(Drop::Multicast, 2));
    pair.left.write(&Vnet::default(), &[0; 30])?;
    assert!(pair.left.dropped(Drop::BadPacket, 1));

    pair.left.shared.routes.store(Arc::new(Routes::default()));
    for _ in 0..3 {
        pair.left.write(&Vnet::default(), &icmp(v4(1).into(), v4(2).into()))?;
    }
    assert!(pair.left.dropped(Drop::NoRoute, 3));
    assert_eq!(pair.left.events(), [Event::NoRoute { node: id(2) }]);
    Ok(())
}

#[test]
fn a_used_up_key_sends_nothing_more() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let sealer = RecordSealer::new(INDEX, &[0; 32], crate::seal::Cipher::Aes128Gcm);
    assert!(sealer.reserve(1 << 32).is_some());
    pair.left.peer.sealer.store(Some(Arc::new(sealer)));
    pair.left.write(&Vnet::default(), &icmp(v4(1).into(), v4(2).into()))?;
    assert!(pair.left.dropped(Drop::KeyUsedUp, 1));
    Ok(())
}

#[test]
fn a_rebound_socket_is_followed_at_once() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let fresh = bound()?;
    let to = loopback(&fresh)?;
    pair.right.shared.socket.rebind(fresh.into())?;
    pair.left.link.remote.store(Arc::new(to));
    let super_packet = tcp(9_000);
    pair.left.write(&super_packet.0, &super_packet.1)?;
    let expected = packets(super_packet);
    assert_eq!(read_packets(&mut pair.right, expected.len())?, expected);
    Ok(())
}
