//! Relays and neighbours that lie: what they send is dropped at the named place, under the named reason.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use super::policing::{answer, one_way};
use super::testing::{Node, bound, connect, eventually, loopback, row, v4};
use super::traffic::{icmp, packets, polled, read_packets, tcp, tcp_of};
use crate::flow::Transport;
use crate::frame::{self, FRAME_OVERHEAD, HopHeader, Kind, LAST, Part};
use crate::link::Bucket;
use crate::offload::Vnet;
use crate::seal::{HopSealer, Marks, RECORD_HEADER, RECORD_OVERHEAD, RecordSealer};
use crate::stats::Drop;
use crate::tables::Link;

/// A neighbour of a node, as scripted as it likes.
pub struct Rogue {
    socket: UdpSocket,
    to: SocketAddr,
    sealer: HopSealer,
}

impl Rogue {
    /// In place of `neighbour`, next to `node`.
    pub fn next_to(node: &Node, neighbour: u8) -> io::Result<Self> {
        let port = node.shared.socket.local_addr()?.port();
        let to = SocketAddr::from((std::net::Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port));
        Ok(Self { socket: bound()?, to, sealer: node.hop_rogue(neighbour) })
    }

    pub fn send(&self, header: HopHeader, body: &[u8]) -> io::Result<Vec<u8>> {
        self.send_part(header, Part::Whole, self.sealer.reserve(1), body)
    }

    fn send_part(&self, header: HopHeader, part: Part, counter: u64, body: &[u8]) -> io::Result<Vec<u8>> {
        let mut frame = [&[0; FRAME_OVERHEAD], body].concat();
        frame::seal_part(&self.sealer, counter, &header, part, &mut frame);
        self.send_bytes(&frame)?;
        Ok(frame)
    }

    fn send_bytes(&self, datagram: &[u8]) -> io::Result<()> {
        self.socket.send_to(datagram, self.to).map(drop)
    }
}

fn session(from: u8, to: u8) -> HopHeader {
    HopHeader::new(v4(from), v4(to), Kind::Session)
}

/// The header an honest source puts around `packet`.
pub fn honest(from: u8, to: u8, packet: &[u8]) -> HopHeader {
    HopHeader::new(v4(from), v4(to), Kind::Record).describe(Transport::of(packet))
}

pub fn record(sealer: &RecordSealer, packet: &[u8]) -> Vec<u8> {
    let mut record = vec![0; RECORD_OVERHEAD + packet.len()];
    record[RECORD_HEADER..][..packet.len()].copy_from_slice(packet);
    sealer.seal(sealer.reserve(1).unwrap_or_default(), Marks::default(), &mut record);
    record
}

#[test]
fn headers_a_relay_does_not_follow_are_counted_by_reason() -> io::Result<()> {
    let [_left, relay, _right] = row([1, 3, 2])?;
    let rogue = Rogue::next_to(&relay, 1)?;
    for (header, reason) in [
        (HopHeader { ttl: 1, ..session(1, 2) }, Drop::TtlExceeded),
        (HopHeader { ttl: 0, ..session(1, 2) }, Drop::TtlExceeded),
        (session(77, 2), Drop::UnknownSource),
        (session(2, 2), Drop::UnknownSource),
        (session(3, 2), Drop::OwnSource),
        (session(3, 3), Drop::OwnSource),
        (session(1, 77), Drop::NoRoute),
        (session(2, 1), Drop::NoWayButBack),
        (HopHeader { flags: LAST, ..session(2, 1) }, Drop::NotAdjacent),
        (HopHeader { flags: LAST, ..session(1, 77) }, Drop::NotAdjacent),
        (HopHeader { ttl: 9, ..HopHeader::new(v4(1), v4(2), Kind::LinkProbe) }, Drop::NotForUs),
    ] {
        let before = relay.shared.drops.get(reason);
        rogue.send(header, b"body")?;
        assert!(relay.dropped(reason, before + 1), "{header:?}");
    }
    assert_eq!(relay.link_with(2).traffic.packets(), 0);
    Ok(())
}

#[test]
fn one_train_may_hold_headers_of_every_kind_and_each_is_judged_by_itself() -> io::Result<()> {
    let [left, relay, right] = row([1, 3, 2])?;
    let sealer = relay.hop_rogue(1);
    // More flows than a relay remembers in a turn, so that some share a place.
    let strangers = (100..116).flat_map(|stranger| [session(1, 2), session(stranger, 2)]);
    let others = [session(1, 77), session(3, 2), session(1, 3)].into_iter().cycle().take(30);
    let mut train = vec![];
    for header in strangers.chain(others) {
        let mut frame = [&[0; FRAME_OVERHEAD][..], b"packet"].concat();
        frame::seal(&sealer, sealer.reserve(1), &header, &mut frame);
        train.extend(frame);
    }
    left.shared.socket.send_gso(&train, FRAME_OVERHEAD + 6, **left.link.remote.load(), None)?;
    let (mut here, mut there) = (0, 0);
    let arrived = |node: &Node| polled(&node.shared.session_inbox).iter().map(|(bytes, ..)| bytes.len()).sum::<usize>();
    assert!(eventually(|| {
        (here, there) = (here + arrived(&relay), there + arrived(&right));
        (here, there) == (10 * 6, 16 * 6)
    }));
    let dropped = [Drop::UnknownSource, Drop::NoRoute, Drop::OwnSource].map(|reason| relay.shared.drops.get(reason));
    assert_eq!(dropped, [16, 10, 10]);
    Ok(())
}

#[test]
fn more_session_packets_than_a_link_may_ask_for_are_dropped() -> io::Result<()> {
    let [_left, relay, right] = row([1, 3, 2])?;
    if let Ok(mut passing) = relay.link_with(1).passing.lock() {
        *passing = Bucket::new(3.0, Instant::now() + Duration::from_secs(60));
    }
    let rogue = Rogue::next_to(&relay, 1)?;
    for _ in 0..10 {
        rogue.send(session(1, 2), b"packet")?;
        rogue.send(HopHeader::new(v4(1), v4(2), Kind::PathProbe), b"probe")?;
    }
    assert!(relay.dropped(Drop::RateLimited, 17));
    // Records are judged by policy instead, and other links have rates of their own.
    let ping = icmp(v4(1).into(), v4(2).into());
    rogue.send(honest(1, 2, &ping), &record(&right.record_rogue(1), &ping))?;
    Rogue::next_to(&relay, 2)?.send(session(2, 1), b"packet")?;
    assert!(eventually(|| relay.link_with(1).traffic.packets_out.load(Ordering::Relaxed) == 1));
    assert_eq!(relay.shared.drops.get(Drop::RateLimited), 17);
    Ok(())
}

#[test]
fn a_frame_in_a_ring_of_relays_ends_after_sixteen_hops_whatever_its_ttl_claims() -> io::Result<()> {
    let [left, one, two, three, _right] = row([1, 3, 4, 5, 2])?;
    connect(&one, &three)?;
    one.route(2, &[(4, 1, false)]);
    two.route(2, &[(5, 1, false)]);
    three.route(2, &[(3, 1, false)]);
    let rogue = Rogue::next_to(&one, left.number)?;
    for (round, ttl) in [16, 200, 255].into_iter().enumerate() {
        rogue.send(HopHeader { ttl, ..session(1, 2) }, b"round and round")?;
        let ended = || [&one, &two, &three].iter().map(|node| node.shared.drops.get(Drop::TtlExceeded)).sum::<u64>();
        assert!(eventually(|| ended() == round as u64 + 1));
        let hops = || {
            let out = |node: &Node, next| node.link_with(next).traffic.packets_out.load(Ordering::Relaxed);
            out(&one, 4) + out(&two, 5) + out(&three, 3)
        };
        assert!(eventually(|| hops() == 15 * (round as u64 + 1)));
    }
    Ok(())
}

// What a relay does to frames it was given

/// Frames that a node sends over a link, taken off the wire.
struct Tap(UdpSocket);

impl Tap {
    fn behind(left: &Node) -> io::Result<Self> {
        Self::on(&left.link)
    }

    fn on(link: &Link) -> io::Result<Self> {
        let socket = bound()?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        link.remote.store(Arc::new(loopback(&socket)?));
        Ok(Self(socket))
    }

    fn frame(&self) -> io::Result<Vec<u8>> {
        let mut datagram = vec![0; 2048];
        let length = self.0.recv(&mut datagram)?;
        datagram.truncate(length);
        Ok(datagram)
    }
}

#[test]
fn a_relay_cannot_open_what_it_forwards() -> io::Result<()> {
    let [mut left, relay, right] = row([1, 3, 2])?;
    let tap = Tap::behind(&left)?;
    let canary = b"canary canary canary canary";
    let mut packet = tcp_of(1, 2, 81, canary.len()).1;
    packet[40..].copy_from_slice(canary);
    left.write(&Vnet::default(), &packet)?;
    let mut frame = tap.frame()?;
    // With every key that the relay has.
    let opened = frame::open(&mut relay.hop_opener(1).run(), &mut frame);
    assert_eq!(opened.map(|opened| opened.header), Ok(honest(1, 2, &packet)));
    let body = &frame[FRAME_OVERHEAD..];
    assert!(!frame.windows(6).any(|bytes| bytes == b"canary"));
    for opener in relay.shared.openers.load().values() {
        assert_eq!(opener.run().open(&mut body.to_vec()).err(), Some(Drop::BadSeal));
    }
    let index = u32::from_be_bytes([body[4], body[5], body[6], body[7]]);
    let opener = Arc::clone(&right.shared.openers.load()[&index]);
    assert_eq!(opener.run().open(&mut body.to_vec()).map(|(packet, _)| packet.to_vec()), Ok(packet));
    Ok(())
}

#[test]
fn a_relay_changes_ttl_and_last_and_nothing_else() -> io::Result<()> {
    let [_left, relay, right] = row([1, 3, 2])?;
    let (rogue, tap) = (Rogue::next_to(&relay, 1)?, Tap::on(&relay.link_with(2))?);
    let packet = packets(tcp(500)).remove(0);
    for flags in [0, LAST, frame::FRAG | frame::REPLY, LAST | 0x80] {
        let header = HopHeader { flags, ttl: 9, ..honest(1, 2, &packet) };
        rogue.send(header, b"body")?;
        let mut frame = tap.frame()?;
        let opened = frame::open(&mut right.hop_opener(3).run(), &mut frame).map(|opened| opened.header);
        assert_eq!(opened, Ok(HopHeader { flags: flags & !LAST, ttl: 8, ..header }));
        assert_eq!(&frame[FRAME_OVERHEAD..], b"body");
    }
    Ok(())
}

#[test]
fn no_bit_of_a_frames_header_can_change_on_the_wire() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    let (tap, rogue) = (Tap::behind(&left)?, Rogue::next_to(&relay, 1)?);
    left.write(&Vnet::default(), &icmp(v4(1).into(), v4(2).into()))?;
    let frame = tap.frame()?;
    for bit in 8..FRAME_OVERHEAD * 8 {
        let mut changed = frame.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        let reason = if (4 * 8..8 * 8).contains(&bit) { Drop::UnknownIndex } else { Drop::BadSeal };
        let before = [reason, Drop::Replayed].map(|reason| relay.shared.drops.get(reason));
        rogue.send_bytes(&changed)?;
        // Flipped to the index of another link it meets another key.
        let refused = || [reason, Drop::BadSeal].iter().any(|reason| relay.shared.drops.get(*reason) > before[0]);
        assert!(eventually(refused), "bit {bit}");
    }
    assert_eq!(right.shared.drops.snapshot().iter().map(|(_, count)| count).sum::<u64>(), 0);
    // Untouched it is still good, once.
    rogue.send_bytes(&frame)?;
    right.read()?;
    rogue.send_bytes(&frame)?;
    assert!(relay.dropped(Drop::Replayed, 1));
    Ok(())
}

#[test]
fn what_a_relay_does_to_a_body_is_found_by_the_destination() -> io::Result<()> {
    let [_left, relay, mut right] = row([1, 3, 2])?;
    let (rogue, sealer) = (Rogue::next_to(&right, 3)?, right.record_rogue(1));
    let ping = icmp(v4(1).into(), v4(2).into());
    let header = honest(1, 2, &ping);

    let good = record(&sealer, &ping);
    rogue.send(header, &good)?;
    assert_eq!(right.read()?.1, ping);
    rogue.send(header, &good)?;
    assert!(right.dropped(Drop::Replayed, 1));

    let mut flipped = record(&sealer, &ping);
    flipped[RECORD_HEADER + 3] ^= 1;
    rogue.send(header, &flipped)?;
    assert!(right.dropped(Drop::BadSeal, 1));
    rogue.send(header, &[])?;
    assert!(right.dropped(Drop::Truncated, 1));
    rogue.send(header, &flipped[..RECORD_OVERHEAD - 1])?;
    assert!(right.dropped(Drop::Truncated, 2));
    flipped[7] ^= 0x80;
    rogue.send(header, &flipped)?;
    assert!(right.dropped(Drop::UnknownIndex, 1));
    assert_eq!(relay.shared.drops.snapshot().iter().map(|(_, count)| count).sum::<u64>(), 0);
    Ok(())
}

#[test]
fn a_packet_that_is_not_what_the_header_says_is_dropped() -> io::Result<()> {
    let [_left, _relay, mut right] = row([1, 3, 2])?;
    let (rogue, sealer) = (Rogue::next_to(&right, 3)?, right.record_rogue(1));
    let packet = packets(tcp_of(1, 2, 22, 10)).remove(0);
    let header = honest(1, 2, &packet);
    let lies = [
        HopHeader { dport: 443, ..header },
        HopHeader { sport: 81, ..header },
        HopHeader { proto: 17, ..header },
        HopHeader { flags: frame::FRAG, ..header },
        // A body of node 1 spliced into a frame of node 3.
        HopHeader { src: v4(3), ..header },
    ];
    for (count, lie) in lies.into_iter().enumerate() {
        rogue.send(lie, &record(&sealer, &packet))?;
        assert!(right.dropped(Drop::HeaderMismatch, count as u64 + 1), "{lie:?}");
    }
    rogue.send(header, &record(&sealer, &packet))?;
    assert_eq!(right.read()?.1, packet);
    Ok(())
}

#[test]
fn an_answer_to_nothing_passes_a_relay_and_is_dropped_by_the_destination() -> io::Result<()> {
    let [mut left, relay, right] = row([1, 3, 2])?;
    for node in [&left, &relay, &right] {
        node.shared.policy.store(one_way(1, 2));
    }
    let (rogue, sealer) = (Rogue::next_to(&relay, 2)?, left.record_rogue(2));
    let lie = packets(answer()).remove(0);
    let header = honest(2, 1, &lie);
    let lying = HopHeader { flags: header.flags | frame::REPLY, ..header };
    rogue.send(lying, &record(&sealer, &lie))?;
    assert!(left.dropped(Drop::Unsolicited, 1));
    // It is the flag that a relay believes, and a rule that allows the question.
    rogue.send(header, &record(&sealer, &lie))?;
    assert!(relay.dropped(Drop::PolicyDenied, 1));
    // After a question it is one of the answers, whoever wrote it.
    let question = tcp_of(1, 2, 81, 100);
    left.write(&question.0, &question.1)?;
    assert!(eventually(|| relay.link_with(2).traffic.packets_out.load(Ordering::Relaxed) == 1));
    rogue.send(lying, &record(&sealer, &lie))?;
    assert_eq!(read_packets(&mut left, 1)?, [lie]);
    Ok(())
}

#[test]
fn a_framed_record_is_judged_as_a_bare_one() -> io::Result<()> {
    let [_left, _relay, right] = row([1, 3, 2])?;
    let (rogue, sealer) = (Rogue::next_to(&right, 3)?, right.record_rogue(1));
    let send = |packet: &[u8]| rogue.send(honest(1, 2, packet), &record(&sealer, packet));
    send(&icmp(v4(7).into(), v4(2).into()))?;
    assert!(right.dropped(Drop::SpoofedSource, 1));
    send(&icmp(v4(1).into(), v4(7).into()))?;
    assert!(right.dropped(Drop::ForeignDestination, 1));
    send(&[0x45, 0, 0, 200, 0, 0])?;
    assert!(right.dropped(Drop::BadPacket, 1));
    Ok(())
}

#[test]
fn halves_that_do_not_fit_are_given_up() -> io::Result<()> {
    let [_left, _relay, mut right] = row([1, 3, 2])?;
    let (rogue, sealer) = (Rogue::next_to(&right, 3)?, right.record_rogue(1));
    let packet = packets(tcp(900)).remove(0);
    let (header, record) = (honest(1, 2, &packet), record(&sealer, &packet));
    let (first, second) = record.split_at(record.len() / 2);
    // Another header, and a second half under the first counter of all.
    let counter = rogue.sealer.reserve(2);
    rogue.send_part(header, Part::First, counter, first)?;
    rogue.send_part(HopHeader { ttl: 3, ..header }, Part::Second, counter + 1, second)?;
    assert!(right.dropped(Drop::HalfFrame, 2));
    // Too many, and too late.
    for _ in 0..65 {
        rogue.send_part(header, Part::First, rogue.sealer.reserve(2), first)?;
    }
    assert!(right.dropped(Drop::HalfFrame, 3));
    std::thread::sleep(Duration::from_millis(150));
    // Honest ones, the second before the first.
    let counter = rogue.sealer.reserve(2);
    rogue.send_part(header, Part::Second, counter + 1, second)?;
    rogue.send_part(header, Part::First, counter, first)?;
    assert_eq!(read_packets(&mut right, 1)?, [packet]);
    assert!(right.dropped(Drop::HalfFrame, 3 + 64));
    Ok(())
}

#[test]
fn a_frame_longer_than_any_link_takes_goes_no_further() -> io::Result<()> {
    let [_left, relay, right] = row([1, 3, 2])?;
    let rogue = Rogue::next_to(&relay, 1)?;
    for (kind, count) in [(Kind::Session, 1), (Kind::PathProbe, 2), (Kind::Record, 3)] {
        rogue.send(HopHeader::new(v4(1), v4(2), kind), &[7; frame::LONGEST - FRAME_OVERHEAD + 1])?;
        assert!(relay.dropped(Drop::TooBig, count));
    }
    // Nor does one that its halves would make.
    let counter = rogue.sealer.reserve(2);
    rogue.send_part(session(1, 2), Part::First, counter, &[7; 1000])?;
    rogue.send_part(session(1, 2), Part::Second, counter + 1, &[7; 1000])?;
    assert!(relay.dropped(Drop::HalfFrame, 2));
    assert_eq!(relay.link_with(2).traffic.packets(), 0);
    // The longest there can be does, as two.
    rogue.send(session(1, 2), &[7; frame::LONGEST - FRAME_OVERHEAD])?;
    let arrived = || polled(&right.shared.session_inbox).iter().map(|(bytes, ..)| bytes.len()).sum::<usize>();
    assert!(eventually(|| arrived() == frame::LONGEST - FRAME_OVERHEAD));
    Ok(())
}
