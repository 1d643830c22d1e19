//! A TUN thread: super-packets from one queue, out as records, bare or framed.
//!
//! Invariant: sending blocks when the socket is full and nothing is read meanwhile, so the queue in front of
//! us is the kernel's; back-pressure reaches the sender of the packets.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use super::answers::Answers;
use super::copies::Copies;
use super::fec::Fec;
use super::frames::account;
use super::guarded;
use super::parcel::Parcel;
use super::slots::Slots;
use super::train::{Departure, Train};
use super::waiting::hold;
use super::ways::{Map, Memory, Way, Ways, Wrapping};
use crate::clock;
use crate::event::Event;
use crate::frame::{self, HopHeader};
use crate::offload::{Gso, Split, Vnet, checksum, mss, settle};
use crate::report::{Departed, Noting};
use crate::seal::{HopSealer, Marks, RECORD_HEADER, RECORD_OVERHEAD, RecordSealer, TAG};
use crate::stats::Drop;
use crate::tables::{Link, Shared};
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
    parcel: Parcel,
    copies: Copies,
    fec: Fec,
    /// How long until a block that is open has to be looked at.
    due: Option<Duration>,
    memory: Memory,
    noting: Noting,
    answers: Answers,
}

impl Outgoing {
    pub fn new(shared: Arc<Shared>, tun: Arc<Tun>, queue: usize) -> Self {
        let (slots, train) = (Slots::default(), Train::default());
        let (parcel, copies, fec, due, memory, noting, answers) = Default::default();
        Self { shared, tun, queue, slots, train, parcel, copies, fec, due, memory, noting, answers }
    }

    /// Turn after turn until the device is detached, or gone.
    pub fn run(&mut self) {
        let (shared, tun) = (Arc::clone(&self.shared), Arc::clone(&self.tun));
        while !tun.stop.is_raised() {
            let ended = match guarded(&shared.drops, || self.turn()) {
                Some(Ok(())) => continue,
                Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
                    tun.wait_readable(self.queue, self.due)
                }
                Some(Err(error)) if error.kind() == io::ErrorKind::Interrupted => continue,
                Some(Err(error)) => Err(error),
                None => {
                    self.train.rewind();
                    self.fec.clear();
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
        self.answers.begin_turn();
        self.memory.begin_turn();
        for _ in 0..TURN {
            taken = self.slots.read(self.train.end(), |into| self.tun.read(self.queue, into));
            if taken.is_err() {
                break;
            }
            if let Err(reason) = self.super_packet(&mut ways) {
                // One that was never split counts once.
                self.shared.drops.count(reason);
                let (front, filled) = self.slots.front();
                self.answers.refuse(&self.tun, &front[..filled], self.slots.length(), reason);
            }
            if self.train.complete() {
                self.finish_train();
            }
        }
        self.finish_train();
        self.close_blocks();
        taken
    }

    fn super_packet(&mut self, ways: &mut Ways<'_>) -> Result<(), Drop> {
        let (front, filled) = self.slots.front();
        let front = &front[..filled];
        let vnet = self.slots.vnet().ok_or(Drop::BadPacket)?;
        let way = ways.of(front, &self.shared.bus, &mut self.memory)?;
        match (&*way.peer.sealer.load(), vnet.gso) {
            (None, _) => hold(&self.shared, way.peer, &vnet, self.slots.linear()),
            (Some(sealer), Gso::None) => self.whole(&vnet, front, way, sealer)?,
            (Some(sealer), _) => self.joined(&vnet, front, way, sealer)?,
        }
        Ok(())
    }

    /// What goes around records of packets of up to `longest` bytes; an error if their sender was told to make them shorter.
    fn wrapping(&mut self, front: &[u8], longest: usize, way: &Way<'_>) -> Result<Wrapping, Drop> {
        let wrapping = way.wrapping(front, longest);
        if let Wrapping::Cut(_) = wrapping {
            self.answers.judge(&self.tun, front, longest, way)?;
        }
        Ok(wrapping)
    }

    /// One packet, one record.
    fn whole(&mut self, vnet: &Vnet, front: &[u8], way: Way<'_>, sealer: &Arc<RecordSealer>) -> Result<(), Drop> {
        let length = self.slots.length();
        let wrapping = self.wrapping(front, length, &way)?;
        let room = wrapping.room();
        let slot = self.slots.place_whole(room).ok_or(Drop::BadPacket)?;
        let record = &mut slot[room..];
        let packet = &mut record[RECORD_HEADER..RECORD_HEADER + length];
        let partial = settle(vnet, packet).ok_or(Drop::BadPacket)?;
        if mss::opens(packet) {
            mss::clamp(packet, partial, way.mtu());
        }
        let counter = sealer.reserve(1).ok_or(Drop::KeyUsedUp)?;
        let marks = marks(&way, partial);
        if let Some(mut cover) = self.fec.cover(&way, sealer, front, 1) {
            cover.gather(counter, marks, &record[RECORD_HEADER..RECORD_HEADER + length]);
        }
        sealer.seal(counter, marks, record);
        if let Some(framing) = Framing::begin(&wrapping, &way, 1) {
            framing.seal(0, slot);
        }
        way.peer.traffic.sent(1, length as u64);
        self.note(sealer, counter, 1, way);
        let stride = room + RECORD_OVERHEAD + length;
        self.copy(front, room, stride, stride, way);
        self.leave(&wrapping, stride, 1, stride, way);
        Ok(())
    }

    /// One super-packet, as many records as it was joined from.
    fn joined(&mut self, vnet: &Vnet, front: &[u8], way: Way<'_>, sealer: &Arc<RecordSealer>) -> Result<(), Drop> {
        let mut split = Split::plan(vnet, front, self.slots.length()).ok_or(Drop::BadPacket)?;
        let (count, headers) = (split.count(), split.shape.payload);
        let wrapping = self.wrapping(front, headers + split.segment, &way)?;
        let room = wrapping.room();
        if !self.slots.place(&split, room) {
            return Err(Drop::BadPacket);
        }
        let first = sealer.reserve(count as u64).ok_or(Drop::KeyUsedUp)?;
        let framing = Framing::begin(&wrapping, &way, count);
        let mut cover = self.fec.cover(&way, sealer, front, count);
        let (stride, marks) = (room + RECORD_OVERHEAD + headers + split.segment, marks(&way, split.partial));
        let mut bytes = 0;
        for (index, slot) in self.slots.records[self.train.end()..].chunks_exact_mut(stride).take(count).enumerate() {
            let slot = &mut slot[..room + RECORD_OVERHEAD + headers + split.piece(index).len()];
            let record = &mut slot[room..];
            record[RECORD_HEADER..RECORD_HEADER + headers].copy_from_slice(split.headers(index));
            let packet = RECORD_HEADER..record.len() - TAG;
            if !split.partial {
                checksum::finish(&mut record[packet.clone()], &split.shape);
            }
            if let Some(cover) = &mut cover {
                cover.gather(first + index as u64, marks, &record[packet]);
            }
            sealer.seal(first + index as u64, marks, record);
            if let Some(framing) = &framing {
                framing.seal(index as u64, slot);
            }
            bytes += slot.len();
        }
        way.peer.traffic.sent(count as u64, (bytes - count * (room + RECORD_OVERHEAD)) as u64);
        self.note(sealer, first, count, way);
        self.copy(front, room, stride, bytes, way);
        self.leave(&wrapping, stride, count, bytes, way);
        Ok(())
    }

    /// What stands at the end of the train: couple it, or cut it up.
    fn leave(&mut self, wrapping: &Wrapping, stride: usize, count: usize, bytes: usize, way: Way<'_>) {
        match wrapping {
            Wrapping::Bare | Wrapping::Framed(_) => self.couple(stride, count, bytes, way),
            Wrapping::Cut(header) => self.cut(header, stride, bytes, &way.hop.link),
        }
    }

    fn couple(&mut self, stride: usize, count: usize, bytes: usize, way: Way<'_>) {
        let link = &way.hop.link;
        if !self.train.admits(stride, count, link) {
            self.send();
        }
        self.train.couple(stride, bytes, link);
    }

    /// Records in slots with room for a frame's header, each as two frames.
    fn cut(&mut self, header: &HopHeader, stride: usize, bytes: usize, link: &Arc<Link>) {
        let start = self.train.end();
        self.send();
        let (shared, tun) = (&self.shared, &self.tun);
        let mut send = |halves: &[u8], stride: usize| send_blocking(shared, tun, link, halves, stride);
        for slot in self.slots.records[start..start + bytes].chunks(stride) {
            self.parcel.cut(&link.sealer, header, &slot[frame::FRAME_OVERHEAD..], &mut send);
        }
        self.parcel.flush(send);
    }

    /// What stands at the end of the train, each record behind so much `room`, once more over the second hop.
    fn copy(&mut self, front: &[u8], room: usize, stride: usize, bytes: usize, way: Way<'_>) {
        let Some(second) = way.second() else { return };
        let wrapping = second.wrapping(front, stride - room - RECORD_OVERHEAD);
        let (shared, tun, start) = (&self.shared, &self.tun, self.train.end());
        for slot in self.slots.records[start..start + bytes].chunks(stride) {
            self.copies.add(&second.hop.link, &wrapping, &slot[room..], |link, datagrams, stride| {
                send_blocking(shared, tun, link, datagrams, stride);
            });
        }
    }

    /// So many records from counter `first` on go this way, and no other.
    fn note(&mut self, sealer: &RecordSealer, first: u64, count: usize, way: Way<'_>) {
        if way.second().is_some() {
            return;
        }
        self.noting.departed(&sealer.trail, Departed { first, count: count as u32, link: way.hop.link.index });
    }

    fn finish_train(&mut self) {
        self.send();
        let (shared, tun) = (&self.shared, &self.tun);
        self.copies.flush(|link, datagrams, stride| send_blocking(shared, tun, link, datagrams, stride));
        self.send_parity();
        self.noting.finish();
        self.train.rewind();
    }

    fn send_parity(&mut self) {
        let (shared, tun) = (&self.shared, &self.tun);
        self.fec.depart(|link, datagrams, stride| send_blocking(shared, tun, link, datagrams, stride));
    }

    /// Blocks that have waited long enough; only where there are some, a clock is read.
    fn close_blocks(&mut self) {
        self.due = None;
        if self.fec.is_open() {
            self.due = self.fec.expire(clock::now());
            self.send_parity();
        }
    }

    fn send(&mut self) {
        let Some(train) = self.train.depart() else { return };
        let Departure { records, stride, link } = train;
        send_blocking(&self.shared, &self.tun, &link, &self.slots.records[records], stride);
    }
}

fn marks(way: &Way<'_>, partial: bool) -> Marks {
    Marks { partial, twice: way.second().is_some() }
}

/// Waits while the socket is full, until the device is detached.
fn send_blocking(shared: &Shared, tun: &Tun, link: &Link, datagrams: &[u8], stride: usize) {
    let sent = link.send_blocking(&shared.socket, datagrams, stride, &tun.stop);
    // It never would block: it blocks.
    let _waited = account(shared, link, sent, stride, datagrams.len());
}

/// The frames around the records of one super-packet.
struct Framing<'w> {
    sealer: &'w HopSealer,
    header: &'w HopHeader,
    first: u64,
}

impl<'w> Framing<'w> {
    /// None if the records go bare, or are cut before they are framed.
    fn begin(wrapping: &'w Wrapping, way: &'w Way<'_>, count: usize) -> Option<Self> {
        let Wrapping::Framed(header) = wrapping else { return None };
        let sealer = &way.hop.link.sealer;
        Some(Self { sealer, header, first: sealer.reserve(count as u64) })
    }

    fn seal(&self, index: u64, frame: &mut [u8]) {
        frame::seal(self.sealer, self.first + index, self.header, frame);
    }
}
