//! A TUN thread: super-packets from one queue, out as records.
//!
//! Invariant: sending blocks when the socket is full and nothing is read meanwhile, so the queue in front of
//! us is the kernel's; back-pressure reaches the sender of the packets.

use std::io;
use std::sync::Arc;

use super::guarded;
use super::slots::Slots;
use super::train::{Departure, Train};
use super::waiting::hold;
use super::ways::{Complaints, Map, Way, Ways};
use crate::event::Event;
use crate::offload::{Gso, Split, Vnet, checksum, destination, settle};
use crate::probe::size;
use crate::seal::{RECORD_HEADER, RECORD_OVERHEAD, RecordSealer, TAG};
use crate::stats::Drop;
use crate::tables::Shared;
use crate::tun::Tun;

/// Super-packets of one turn: how late a swap of tables may be noticed.
const TURN: usize = 64;

/// The thread's own things.
#[derive(Debug)]
pub struct Outgoing {
    shared: Arc<Shared>,
    tun: Arc<Tun>,
    queue: usize,
    slots: Slots,
    train: Train,
    complaints: Complaints,
}

impl Outgoing {
    pub fn new(shared: Arc<Shared>, tun: Arc<Tun>, queue: usize) -> Self {
        Self { shared, tun, queue, slots: Slots::default(), train: Train::default(), complaints: Complaints::default() }
    }

    /// Turn after turn until the device is detached, or gone.
    pub fn run(&mut self) {
        let (shared, tun) = (Arc::clone(&self.shared), Arc::clone(&self.tun));
        while !tun.stop.is_raised() {
            let ended = match guarded(&shared.drops, || self.turn()) {
                Some(Ok(())) => continue,
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => tun.wait_readable(self.queue),
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Some(Err(error)) => Err(error),
                None => {
                    self.train.rewind();
                    continue;
                }
            };
            if let Err(error) = ended {
                return self.report(&error);
            }
        }
    }

    fn report(&self, error: &io::Error) {
        if !self.tun.stop.is_raised() && self.tun.first_to_miss_it() {
            self.shared.bus.emit(Event::TunGone { reason: error.to_string() });
        }
    }

    /// Take what there is, but not for ever; `WouldBlock` once there is no more.
    fn turn(&mut self) -> io::Result<()> {
        let shared = Arc::clone(&self.shared);
        let map = Map::of(&shared);
        let mut ways = Ways::new(&map);
        let mut taken = Ok(());
        for _ in 0..TURN {
            taken = self.slots.read(self.train.end(), |into| self.tun.read(self.queue, into));
            if taken.is_err() {
                break;
            }
            if let Err(reason) = self.super_packet(&mut ways) {
                // One that was never split counts once.
                self.shared.drops.count(reason);
            }
            if self.train.complete() {
                self.finish_train();
            }
        }
        self.finish_train();
        taken
    }

    fn super_packet(&mut self, ways: &mut Ways<'_>) -> Result<(), Drop> {
        let (front, filled) = self.slots.front();
        let front = &front[..filled];
        let vnet = self.slots.vnet().ok_or(Drop::BadPacket)?;
        let way = ways.to(destination(front).ok_or(Drop::BadPacket)?, &self.shared.bus, &mut self.complaints)?;
        match (&*way.peer.sealer.load(), vnet.gso) {
            (None, _) => hold(&self.shared, way.peer, &vnet, self.slots.linear()),
            (Some(sealer), Gso::None) => self.whole(&vnet, way, sealer)?,
            (Some(sealer), _) => self.joined(&vnet, front, way, sealer)?,
        }
        Ok(())
    }

    /// One packet, one record.
    fn whole(&mut self, vnet: &Vnet, way: Way<'_>, sealer: &RecordSealer) -> Result<(), Drop> {
        let length = self.slots.length();
        let record = self.slots.place_whole().ok_or(Drop::BadPacket)?;
        let partial = settle(vnet, &mut record[RECORD_HEADER..RECORD_HEADER + length]).ok_or(Drop::BadPacket)?;
        let counter = sealer.reserve(1).ok_or(Drop::KeyUsedUp)?;
        sealer.seal(counter, partial, record);
        sealer.trail.note(counter, 1, way.link.index);
        way.peer.traffic.sent(1, length as u64);
        self.couple(length + RECORD_OVERHEAD, 1, length + RECORD_OVERHEAD, way);
        Ok(())
    }

    /// One super-packet, as many records as it was joined from.
    fn joined(&mut self, vnet: &Vnet, front: &[u8], way: Way<'_>, sealer: &RecordSealer) -> Result<(), Drop> {
        let mut split = Split::plan(vnet, front, self.slots.length()).ok_or(Drop::BadPacket)?;
        if !self.slots.place(&split) {
            return Err(Drop::BadPacket);
        }
        let (count, headers) = (split.count(), split.shape.payload);
        let first = sealer.reserve(count as u64).ok_or(Drop::KeyUsedUp)?;
        let stride = RECORD_OVERHEAD + headers + split.segment;
        let mut bytes = 0;
        for (index, slot) in self.slots.records[self.train.end()..].chunks_exact_mut(stride).take(count).enumerate() {
            let record = &mut slot[..RECORD_OVERHEAD + headers + split.piece(index).len()];
            record[RECORD_HEADER..RECORD_HEADER + headers].copy_from_slice(split.headers(index));
            if !split.partial {
                let end = record.len() - TAG;
                checksum::finish(&mut record[RECORD_HEADER..end], &split.shape);
            }
            sealer.seal(first + index as u64, split.partial, record);
            bytes += record.len();
        }
        sealer.trail.note(first, count, way.link.index);
        way.peer.traffic.sent(count as u64, (bytes - count * RECORD_OVERHEAD) as u64);
        self.couple(stride, count, bytes, way);
        Ok(())
    }

    fn couple(&mut self, stride: usize, count: usize, bytes: usize, way: Way<'_>) {
        if !self.train.admits(stride, count, way.link) {
            self.send();
        }
        self.train.couple(stride, bytes, way.link);
    }

    fn finish_train(&mut self) {
        self.send();
        self.train.rewind();
    }

    fn send(&mut self) {
        let Some(train) = self.train.depart() else { return };
        let records = &self.slots.records[train.records];
        let count = records.len().div_ceil(train.stride) as u64;
        let Departure { stride, link, .. } = train;
        match self.shared.socket.send_blocking(records, stride, **link.remote.load(), link.local, &self.tun.stop) {
            Ok(()) => link.traffic.sent(count, records.len() as u64),
            Err(error) => {
                size::refused(&link.size, &error, stride);
                self.shared.drops.add(Drop::SendFailed, count);
            }
        }
    }
}
