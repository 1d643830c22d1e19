//! Packets for a peer that no session has keys for yet.
//!
//! Invariant: at most 64 a peer wait, for at most a second; whole and with finished checksums, because nobody
//! knows yet how they will leave.

use std::collections::VecDeque;
use std::sync::{MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::frames::account;
use super::send_frames;
use super::ways::{Map, Memory, Way, Ways, Wrapping};
use crate::offload::{Vnet, finish_each, mss};
use crate::report::Departed;
use crate::seal::{Marks, RECORD_HEADER, RECORD_OVERHEAD, RecordSealer};
use crate::stats::Drop;
use crate::tables::{Peer, Shared, Waiting};

const MOST: usize = 64;
const LONGEST: Duration = Duration::from_secs(1);

/// Let the packets of one super-packet wait; the first that waits asks for a session.
pub fn hold(shared: &Shared, peer: &Peer, vnet: &Vnet, super_packet: &mut [u8]) {
    let since = Instant::now();
    let mut packets = vec![];
    if !finish_each(vnet, super_packet, |packet| packets.push(Waiting { packet, since })) {
        return shared.drops.count(Drop::BadPacket);
    }
    let mut queue = queue(peer);
    let late = queue.iter().take_while(|waiting| waiting.since.elapsed() > LONGEST).count();
    queue.drain(..late);
    // Where others waited in vain nobody may know any more that a session is wanted.
    let ask = queue.is_empty() || late > 0;
    let room = MOST.saturating_sub(queue.len());
    let lost = packets.len().saturating_sub(room);
    queue.extend(packets.into_iter().take(room));
    drop(queue);
    shared.drops.add(Drop::NoSession, (late + lost) as u64);
    if ask {
        // Nobody listens only while the data plane closes.
        let _closing = shared.wanted.send(peer.node);
    }
    // Keys that came between our look and our queueing found an empty queue.
    if peer.sealer.load().is_some() {
        release_waiting(shared, peer);
    }
}

/// Seal and send what waited for `peer`, whose sealer is set. Never blocks: what the socket does not take is
/// dropped and counted.
pub fn release_waiting(shared: &Shared, peer: &Peer) {
    let Some(sealer) = peer.sealer.load_full() else { return };
    let packets = std::mem::take(&mut *queue(peer));
    if packets.is_empty() {
        return;
    }
    let map = Map::of(shared);
    let (ways, mut memory) = (Ways::new(&map), Memory::default());
    for waiting in packets {
        let sent = if waiting.since.elapsed() > LONGEST {
            Err(Drop::NoSession)
        } else {
            ways.to(peer, &waiting.packet, &mut memory).and_then(|way| send(shared, way, &sealer, &waiting.packet))
        };
        match sent {
            Ok(()) => peer.traffic.sent(1, waiting.packet.len() as u64),
            Err(reason) => shared.drops.count(reason),
        }
    }
}

fn send(shared: &Shared, way: Way<'_>, sealer: &RecordSealer, packet: &[u8]) -> Result<(), Drop> {
    let (counter, second) = (sealer.reserve(1).ok_or(Drop::KeyUsedUp)?, way.second());
    let mut record = vec![0; RECORD_OVERHEAD + packet.len()];
    let place = &mut record[RECORD_HEADER..][..packet.len()];
    place.copy_from_slice(packet);
    if mss::opens(place) {
        mss::clamp(place, false, way.mtu());
    }
    sealer.seal(counter, Marks { partial: false, twice: second.is_some() }, &mut record);
    leave(shared, way, packet, &record)?;
    match second {
        // Whether the copy left or not, the record did.
        Some(second) => _ = leave(shared, second, packet, &record),
        None => sealer.trail.note(Departed { first: counter, count: 1, link: way.hop.link.index }),
    }
    Ok(())
}

fn leave(shared: &Shared, way: Way<'_>, packet: &[u8], record: &[u8]) -> Result<(), Drop> {
    let link = &way.hop.link;
    match way.wrapping(packet, packet.len()) {
        Wrapping::Bare => {
            let sent = link.send(&shared.socket, record, record.len(), **link.remote.load());
            account(shared, link, sent, record.len(), record.len())
        }
        Wrapping::Framed(header) | Wrapping::Cut(header) => send_frames(shared, link, &header, record, record.len()),
    }
    .map_err(|_| Drop::SendFailed)
}

fn queue(peer: &Peer) -> MutexGuard<'_, VecDeque<Waiting>> {
    peer.waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
