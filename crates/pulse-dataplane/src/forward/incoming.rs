//! The UDP thread: everything that arrives, to its layer.
//!
//! Invariant: nothing unauthenticated goes further than its seal; what the TUN gets is for us and from the
//! node that sealed it.

use std::collections::HashMap;
use std::io::{self, IoSlice};
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::sync::Arc;

use arc_swap::Guard;
use quinn::udp::EcnCodepoint;

use super::guarded;
use super::runs::{Class, Runs};
use super::send_frames_to;
use crate::frame::{self, FRAME_OVERHEAD, HopHeader, Kind};
use crate::inbox::{Inbox, Packet};
use crate::offload::{Coalescer, Sink, ends};
use crate::seal::RecordOpener;
use crate::signal::Signal;
use crate::socket::{Batch, Received};
use crate::stats::{Drop, Drops};
use crate::tables::{Addresses, Link, Me, Routes, Shared};
use crate::tun::Tun;
use crate::{Handle, LinkId};
use crate::{path, probe};

/// Port of a session's virtual addresses, which have none.
const VIRTUAL_PORT: u16 = 1;

/// The thread's own things.
#[derive(Debug)]
pub struct Incoming {
    shared: Arc<Shared>,
    stop: Arc<Signal>,
    batch: Batch,
}

impl Incoming {
    pub fn new(shared: Arc<Shared>, stop: Arc<Signal>) -> Self {
        Self { shared, stop, batch: Batch::default() }
    }

    /// Turn after turn until stopped.
    pub fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        while !self.stop.is_raised() {
            // An error is a pending one of the socket (an ICMP message): it was taken by asking.
            let idle = matches!(guarded(&shared.drops, || self.turn()), Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock);
            if idle {
                let _try_again = shared.socket.wait_readable(&self.stop);
            }
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        self.shared.socket.recv_batch(&mut self.batch)?;
        let view = View::of(&self.shared);
        let mut turn = Turn::new(&self.shared, &view);
        for received in self.batch.received() {
            turn.take(received);
        }
        turn.end();
        Ok(())
    }
}

/// One snapshot of what packets are judged by. It is loaded each turn (a few ns a table) and kept no longer, so
/// that a thread that sleeps holds no revoked key and no detached device.
struct View {
    me: Guard<Option<Arc<Me>>>,
    links: Guard<Arc<HashMap<LinkId, Arc<Link>>>>,
    openers: Guard<Arc<HashMap<u32, Arc<RecordOpener>>>>,
    addresses: Guard<Arc<Addresses>>,
    routes: Guard<Arc<Routes>>,
    tun: Guard<Option<Arc<Tun>>>,
}

impl View {
    fn of(shared: &Shared) -> Self {
        Self {
            me: shared.me.load(),
            links: shared.links.load(),
            openers: shared.openers.load(),
            addresses: shared.addresses.load(),
            routes: shared.routes.load(),
            tun: shared.tun.load(),
        }
    }
}

/// The work on one batch, whose buffers live for `'b`.
struct Turn<'s, 'b> {
    shared: &'s Shared,
    view: &'s View,
    coalescer: Coalescer<'b>,
    device: Device<'s>,
    links_have_news: bool,
    sessions_have_news: bool,
}

impl<'s, 'b> Turn<'s, 'b> {
    fn new(shared: &'s Shared, view: &'s View) -> Self {
        let tun = view.tun.as_deref();
        let coalescer = Coalescer::new(tun.is_some_and(|tun| tun.segments_udp));
        let device = Device { tun, drops: &shared.drops };
        Self { shared, view, coalescer, device, links_have_news: false, sessions_have_news: false }
    }

    fn take(&mut self, received: Received<'b>) {
        let Received { bytes, stride, from, to, ecn } = received;
        for (class, run) in Runs::new(bytes, stride) {
            match class {
                Class::Quic => self.quic(Packet { bytes: run.to_vec(), stride: stride.min(run.len()), from, to, ecn }),
                Class::Frame(index) => self.frames(index, run, stride, from, ecn),
                Class::Record(index) => self.records(index, run, stride),
                Class::Nobody(reason) => self.shared.drops.add(reason, count(run, stride)),
            }
        }
    }

    fn end(mut self) {
        self.coalescer.flush(&mut self.device);
        if self.links_have_news {
            self.shared.link_inbox.wake();
        }
        if self.sessions_have_news {
            self.shared.session_inbox.wake();
        }
    }

    fn quic(&mut self, packet: Packet) {
        self.links_have_news |= push(&self.shared.link_inbox, packet, &self.shared.drops);
    }

    fn frames(&mut self, index: LinkId, run: &mut [u8], stride: usize, from: SocketAddr, ecn: Option<EcnCodepoint>) {
        let Some(link) = self.view.links.get(&index) else {
            return self.shared.drops.add(Drop::UnknownIndex, count(run, stride));
        };
        let mut session = SessionRun::new(ecn);
        let (mut frames, mut bytes) = (0, 0);
        let mut opening = link.opener.run();
        for frame in run.chunks_mut(stride) {
            match frame::open(&mut opening, frame) {
                Ok(header) => {
                    (frames, bytes) = (frames + 1, bytes + frame.len() as u64);
                    self.frame(link, &header, &frame[FRAME_OVERHEAD..], from, &mut session);
                }
                Err(reason) => self.shared.drops.count(reason),
            }
        }
        drop(opening);
        self.hand_over(&mut session);
        if frames > 0 {
            link.traffic.received(frames, bytes);
            if **link.remote.load() != from {
                probe::hint(link, from);
            }
        }
    }

    /// One that opened. Only frames of one hop are made so far, so one for another node is nobody's.
    fn frame(&mut self, link: &Link, header: &HopHeader, body: &[u8], from: SocketAddr, session: &mut SessionRun) {
        let Some(me) = self.view.me.as_deref().filter(|me| me.v4 == header.dst) else {
            return self.shared.drops.count(Drop::NotForUs);
        };
        match header.kind {
            Kind::Session => {
                if !session.admits(header.src, body.len()) {
                    self.hand_over(session);
                }
                session.add(header.src, body);
            }
            Kind::LinkProbe => {
                let answer = HopHeader::new(me.v4, link.handle, Kind::LinkProbe);
                probe::received(self.shared, link, body, from, |reply| {
                    // A full socket loses the echo, as it would lose any frame.
                    let _lost = send_frames_to(self.shared, link, &answer, reply, reply.len(), from);
                });
            }
            Kind::PathProbe => path::arrived(self.shared, header, body),
            Kind::Record | Kind::Parity => self.shared.drops.count(Drop::UnknownKind),
        }
    }

    fn hand_over(&mut self, session: &mut SessionRun) {
        if let Some(packet) = session.finish() {
            self.sessions_have_news |= push(&self.shared.session_inbox, packet, &self.shared.drops);
        }
    }

    fn records(&mut self, index: u32, run: &'b mut [u8], stride: usize) {
        let Some(opener) = self.view.openers.get(&index) else {
            return self.shared.drops.add(Drop::UnknownIndex, count(run, stride));
        };
        let outer = run.len() as u64;
        let (mut packets, mut inner) = (0, 0);
        let mut opening = opener.run();
        for record in run.chunks_mut(stride) {
            match opening
                .open(record)
                .and_then(|(packet, partial)| self.judge(opener, packet).map(|()| (packet, partial)))
            {
                Ok((packet, partial)) => {
                    (packets, inner) = (packets + 1, inner + packet.len() as u64);
                    if !self.coalescer.push(packet, partial, &mut self.device) {
                        self.shared.drops.count(Drop::BadPacket);
                    }
                }
                Err(reason) => self.shared.drops.count(reason),
            }
        }
        drop(opening);
        if packets > 0 {
            self.count_records(opener, packets, inner, outer);
        }
    }

    /// Bare records name no link: they are counted on the one we would answer over.
    fn count_records(&self, opener: &RecordOpener, packets: u64, inner: u64, outer: u64) {
        if let Some(peer) = self.view.addresses.peers.get(&opener.node) {
            peer.traffic.received(packets, inner);
        }
        if let Some(link) = self.view.routes.first(opener.v4).filter(|link| link.node == opener.node) {
            link.traffic.received(packets, outer);
        }
    }

    /// The checks of protocol §5: for us, and from an address of the node that sealed it.
    fn judge(&self, opener: &RecordOpener, packet: &[u8]) -> Result<(), Drop> {
        let (source, destination) = ends(packet).ok_or(Drop::BadPacket)?;
        if !self.view.me.as_deref().is_some_and(|me| destination == me.v4 || destination == me.v6) {
            return Err(Drop::ForeignDestination);
        }
        let its_own = source == opener.v4 || source == opener.v6;
        if its_own || self.lies_behind(opener, source) { Ok(()) } else { Err(Drop::SpoofedSource) }
    }

    fn lies_behind(&self, opener: &RecordOpener, source: IpAddr) -> bool {
        self.view.addresses.owner(source).is_some_and(|owner| owner.source && owner.peer.node == opener.node)
    }
}

/// Session packets of one sender and size, gathered without their frames.
struct SessionRun {
    source: Handle,
    packet: Packet,
    full: bool,
}

impl SessionRun {
    fn new(ecn: Option<EcnCodepoint>) -> Self {
        let from = SocketAddr::from((IpAddr::V4(Handle::UNSPECIFIED), 0));
        let packet = Packet { bytes: vec![], stride: 0, from, to: None, ecn };
        Self { source: Handle::UNSPECIFIED, packet, full: false }
    }

    fn admits(&self, source: Handle, length: usize) -> bool {
        self.packet.bytes.is_empty() || (!self.full && self.source == source && length <= self.packet.stride)
    }

    fn add(&mut self, source: Handle, body: &[u8]) {
        if self.packet.bytes.is_empty() {
            (self.source, self.packet.stride) = (source, body.len());
            self.packet.from = SocketAddrV6::new(source.to_ipv6_mapped(), VIRTUAL_PORT, 0, 0).into();
        }
        self.full = body.len() < self.packet.stride;
        self.packet.bytes.extend_from_slice(body);
    }

    fn finish(&mut self) -> Option<Packet> {
        if self.packet.bytes.is_empty() {
            return None;
        }
        let Packet { stride, from, to, ecn, .. } = self.packet;
        self.full = false;
        Some(Packet { bytes: std::mem::take(&mut self.packet.bytes), stride, from, to, ecn })
    }
}

/// Where super-packets go.
struct Device<'s> {
    tun: Option<&'s Tun>,
    drops: &'s Drops,
}

impl Sink for Device<'_> {
    fn write(&mut self, super_packet: &[IoSlice<'_>], packets: usize) {
        if self.tun.is_none_or(|tun| tun.write(super_packet).is_err()) {
            self.drops.add(Drop::TunWriteFailed, packets as u64);
        }
    }
}

fn push(inbox: &Inbox, packet: Packet, drops: &Drops) -> bool {
    let packets = count(&packet.bytes, packet.stride);
    let pushed = inbox.push(packet);
    if !pushed {
        drops.add(Drop::QueueFull, packets);
    }
    pushed
}

fn count(run: &[u8], stride: usize) -> u64 {
    run.len().div_ceil(stride) as u64
}
