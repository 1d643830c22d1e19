//! Parity between real nodes over a wire that loses what it is told to.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use super::testing::{Node, Pair, bound, connect, eventually, loopback, row, v4};
use super::traffic::{icmp, packets, read_packets, tcp, tcp_of};
use crate::frame::FRAME;
use crate::hits::Hits;
use crate::offload::Vnet;
use crate::path::Protection;
use crate::policy::{Policy, Rule};
use crate::seal::RECORD;
use crate::stats::Drop;
use crate::tables::Link;

/// What carries datagrams from one node to the next.
struct Wire {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Wire {
    /// In the way of `link`, to where it led; loses what `keeps` does not.
    fn behind(link: &Link, mut keeps: impl FnMut(&[u8]) -> bool + Send + 'static) -> io::Result<Self> {
        let (socket, to) = (bound()?, **link.remote.load());
        link.remote.store(Arc::new(loopback(&socket)?));
        socket.set_read_timeout(Some(Duration::from_millis(5)))?;
        // What is to be lost is not for the kernel to say.
        socket2::SockRef::from(&socket).set_recv_buffer_size(1 << 20)?;
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let mut datagram = vec![0; 2048];
            while !stopped.load(Ordering::Relaxed) {
                let Ok(length) = socket.recv(&mut datagram) else { continue };
                if keeps(&datagram[..length]) {
                    let _full = socket.send_to(&datagram[..length], to);
                }
            }
        });
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl std::ops::Drop for Wire {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

/// Loses the `lost` of each `of` datagrams that begin with this byte.
fn thinning(kind: u8, lost: &'static [usize], of: usize) -> impl FnMut(&[u8]) -> bool + Send {
    let mut seen = 0;
    move |datagram| {
        let place = seen % of;
        seen += usize::from(datagram[0] == kind);
        datagram[0] != kind || !lost.contains(&place)
    }
}

fn protect(node: &Node, to: u8, parity: u8) {
    let over = u32::from(node.link.handle.octets()[3]);
    node.shared.paths.protect(HashMap::from([((v4(to), over), Protection { parity, duplicate: false })]));
}

/// Send these, one after the other, and read as many packets at the other end: both sorted. After some, a pause lets go of
/// the blocks that are not full.
fn sent_and_got(left: &mut Node, right: &mut Node, super_packets: &[(Vnet, Vec<u8>)]) -> io::Result<[Vec<Vec<u8>>; 2]> {
    let (mut sent, mut got) = (vec![], vec![]);
    for (place, super_packet) in super_packets.iter().enumerate() {
        left.write(&super_packet.0, &super_packet.1)?;
        let expected = packets(super_packet.clone());
        got.extend(read_packets(right, expected.len())?);
        sent.extend(expected);
        std::thread::sleep(Duration::from_millis([0, 0, 5][place % 3]));
    }
    sent.sort();
    got.sort();
    Ok([sent, got])
}

pub fn counted(node: &Node) -> [u64; 4] {
    let counts = &node.peer.fec;
    [&counts.parity_out, &counts.parity_in, &counts.repaired, &counts.unrepairable]
        .map(|count| count.load(Ordering::Relaxed))
}

/// Some parity has come, so packets are remembered.
fn prime(left: &mut Node, right: &mut Node) -> io::Result<()> {
    left.write(&Vnet::default(), &icmp(v4(1).into(), v4(2).into()))?;
    right.read()?;
    assert!(eventually(|| counted(right)[1] > 0));
    Ok(())
}

#[test]
fn what_a_wire_loses_is_repaired_and_the_report_tells_of_the_loss() -> io::Result<()> {
    let mut pair = Pair::new()?;
    // A block that had to leave early has parity for three, too.
    protect(&pair.left, 2, 8);
    prime(&mut pair.left, &mut pair.right)?;
    let _wire = Wire::behind(&pair.left.link, thinning(RECORD, &[3, 4, 5], 20))?;
    let many: Vec<_> = (0..20).map(|round| tcp(20_000 + 777 * round)).chain([tcp(1), tcp(60_000)]).collect();
    let [sent, got] = sent_and_got(&mut pair.left, &mut pair.right, &many)?;
    assert_eq!(sent, got);
    let lost = (sent.len() + 1) as u64 * 3 / 20 - 3;
    assert!(eventually(|| counted(&pair.right)[2] >= lost));
    assert_eq!(pair.left.peer.traffic.packets(), sent.len() as u64 + 1);
    assert!(eventually(|| pair.right.peer.traffic.packets() == sent.len() as u64 + 1));
    let openers = pair.right.shared.openers.load();
    let report = openers.values().find_map(|opener| opener.report());
    let told = report.map(|report| report.covers(0, sent.len() as u32));
    assert!(told.is_some_and(|(told, opened)| u64::from(told - opened) >= lost), "{told:?}");
    Ok(())
}

#[test]
fn frames_over_a_relay_are_covered_too_whichever_of_them_get_lost() -> io::Result<()> {
    let [mut left, relay, mut right] = row([1, 3, 2])?;
    protect(&left, 2, 4);
    prime(&mut left, &mut right)?;
    // So far apart that no record is lost with the only parity of a block that had to leave early.
    let _wire = Wire::behind(&left.link, thinning(FRAME, &[0, 11], 23))?;
    let many: Vec<_> = (0..15).map(|round| tcp(30_000 + 1288 * round)).collect();
    let [sent, got] = sent_and_got(&mut left, &mut right, &many)?;
    assert_eq!(sent, got);
    assert!(counted(&right)[2] > 20, "{:?}", counted(&right));
    assert_eq!(relay.shared.drops.snapshot().iter().map(|(_, count)| count).sum::<u64>(), 0);
    Ok(())
}

#[test]
fn a_packet_that_is_alone_is_repaired_a_moment_later() -> io::Result<()> {
    let mut pair = Pair::new()?;
    protect(&pair.left, 2, 2);
    prime(&mut pair.left, &mut pair.right)?;
    let _wire = Wire::behind(&pair.left.link, |datagram| datagram[0] != RECORD)?;
    for _ in 0..5 {
        let ping = icmp(v4(1).into(), v4(2).into());
        pair.left.write(&Vnet::default(), &ping)?;
        assert_eq!(pair.right.read()?.1, ping);
    }
    assert!(eventually(|| counted(&pair.right)[2] == 5));
    assert_eq!(counted(&pair.left)[0], counted(&pair.right)[1]);
    Ok(())
}

#[test]
fn parity_too_long_for_a_link_goes_as_two() -> io::Result<()> {
    let mut pair = Pair::new()?;
    pair.left.link.size.store(1420, Ordering::Relaxed);
    protect(&pair.left, 2, 2);
    prime(&mut pair.left, &mut pair.right)?;
    let _wire = Wire::behind(&pair.left.link, thinning(RECORD, &[9], 20))?;
    let [sent, got] = sent_and_got(&mut pair.left, &mut pair.right, &[tcp(50_000), tcp(60_000)])?;
    assert_eq!(sent, got);
    assert!(eventually(|| counted(&pair.right)[2] >= 4), "{:?}", counted(&pair.right));
    Ok(())
}

#[test]
fn without_protection_or_a_peer_that_takes_it_records_are_plain() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let [sent, got] = sent_and_got(&mut pair.left, &mut pair.right, &[tcp(50_000)])?;
    assert_eq!(sent, got);
    protect(&pair.left, 2, 8);
    let sealer = pair.right.record_rogue(1);
    sealer.reserve(1000);
    pair.left.peer.sealer.store(Some(Arc::new(sealer)));
    let [sent, got] = sent_and_got(&mut pair.left, &mut pair.right, &[tcp(60_000)])?;
    assert_eq!(sent, got);
    assert_eq!((counted(&pair.left), counted(&pair.right)), ([0; 4], [0; 4]));
    Ok(())
}

#[test]
fn what_policy_denies_is_denied_when_repaired() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let to_81 = Rule {
        id: String::new(),
        allow: true,
        from: None,
        to: None,
        protocols: vec![6],
        ports: vec![(81, 81)],
        redundant: false,
    };
    let deny = Rule { allow: false, ports: vec![(22, 22)], ..to_81.clone() };
    pair.right.shared.policy.store(Arc::new(Policy::new(vec![to_81, deny], &Hits::default())));
    protect(&pair.left, 2, 8);
    pair.left.write(&Vnet::default(), &tcp_of(1, 2, 81, 10).1)?;
    pair.right.read()?;
    assert!(eventually(|| counted(&pair.right)[1] > 0));
    let _wire = Wire::behind(&pair.left.link, |datagram| datagram[0] != RECORD)?;
    let (denied, allowed) = (tcp_of(1, 2, 22, 100), tcp_of(1, 2, 81, 100));
    pair.left.write(&denied.0, &denied.1)?;
    assert!(pair.right.dropped(Drop::PolicyDenied, 1));
    pair.left.write(&allowed.0, &allowed.1)?;
    assert_eq!(packets(pair.right.read()?), packets(allowed));
    assert!(eventually(|| counted(&pair.right)[2] == 2));
    Ok(())
}

#[test]
fn a_record_that_comes_after_its_repair_is_a_duplicate_and_no_replay() -> io::Result<()> {
    let mut pair = Pair::new()?;
    protect(&pair.left, 2, 2);
    prime(&mut pair.left, &mut pair.right)?;
    let late = Arc::new(std::sync::Mutex::new(vec![]));
    let kept = Arc::clone(&late);
    let to = **pair.left.link.remote.load();
    let _wire = Wire::behind(&pair.left.link, move |datagram| {
        if let (RECORD, Ok(mut kept)) = (datagram[0], kept.lock()) {
            kept.push(datagram.to_vec());
        }
        datagram[0] != RECORD
    })?;
    let ping = icmp(v4(1).into(), v4(2).into());
    pair.left.write(&Vnet::default(), &ping)?;
    assert_eq!(pair.right.read()?.1, ping);
    let record = late.lock().map(|mut late| late.remove(0)).unwrap_or_default();
    let socket = bound()?;
    socket.send_to(&record, to)?;
    assert!(pair.right.dropped(Drop::Duplicate, 1));
    socket.send_to(&record, to)?;
    assert!(pair.right.dropped(Drop::Replayed, 1));
    Ok(())
}

/// Left and right with a relay between them and a link of their own; the way over the relay is a backup.
fn with_two_ways() -> io::Result<[Node; 3]> {
    let [left, relay, right] = row([1, 3, 2])?;
    connect(&left, &right)?;
    left.route(2, &[(2, 1, false), (3, 0, false)]);
    let twice = Protection { parity: 0, duplicate: true };
    left.shared.paths.protect(HashMap::from([((v4(2), 2), twice)]));
    Ok([left, relay, right])
}

#[test]
fn over_a_path_that_loses_too_much_all_goes_twice_and_the_copies_are_no_replays() -> io::Result<()> {
    let [mut left, relay, mut right] = with_two_ways()?;
    let [sent, got] = sent_and_got(&mut left, &mut right, &[tcp(40_000), tcp(700)])?;
    assert_eq!(sent, got);
    assert!(right.dropped(Drop::Duplicate, sent.len() as u64));
    assert_eq!(right.shared.drops.get(Drop::Replayed), 0);
    let _wire = Wire::behind(&left.link_with(2), thinning(RECORD, &[0, 1, 2], 4))?;
    let [sent, got] = sent_and_got(&mut left, &mut right, &[tcp(40_000), tcp(60_000)])?;
    assert_eq!(sent, got);
    assert_eq!(counted(&left)[0], 0);
    assert_eq!(relay.shared.drops.snapshot().iter().map(|(_, count)| count).sum::<u64>(), 0);
    Ok(())
}

#[test]
fn nothing_goes_twice_to_a_peer_that_takes_no_part() -> io::Result<()> {
    let [mut left, _relay, mut right] = with_two_ways()?;
    let sealer = right.record_rogue(1);
    left.peer.sealer.store(Some(Arc::new(sealer)));
    let [sent, got] = sent_and_got(&mut left, &mut right, &[tcp(40_000)])?;
    assert_eq!(sent, got);
    assert_eq!(left.link_with(3).traffic.packets(), 0);
    Ok(())
}
