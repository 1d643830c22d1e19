//! The UDP threads: everything that arrives, to its layer.
//!
//! Invariant: nothing unauthenticated goes further than its seal; a frame for another node goes to the relay and
//! nowhere else.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::ptr;
use std::sync::{Arc, PoisonError};
use std::time::Instant;

use arc_swap::Guard;
use quinn::udp::EcnCodepoint;

use super::guarded;
use super::halves::{Arena, Taken};
use super::records::Records;
use super::relay::Relay;
use super::runs::{Class, Runs};
use super::send_frames_to;
use super::session_run::SessionRun;
use crate::LinkId;
use crate::apart::Apart;
use crate::frame::{self, FRAME_OVERHEAD, HopHeader, Kind, Opened, Part};
use crate::inbox::{Inbox, Packet};
use crate::outlet::Outlet;
use crate::policy::Policy;
use crate::seal::RecordOpener;
use crate::signal::Signal;
use crate::socket::{Batch, Received, Socket};
use crate::stats::{Drop, Drops};
use crate::tables::{Addresses, Link, Me, Routes, Shared};
use crate::tun::Tun;
use crate::verdicts::Verdicts;
use crate::{path, probe, punch};

/// Room for the frames that one batch of halves becomes.
const REJOINED: usize = 512 << 10;

/// The thread's own things.
#[derive(Debug)]
pub struct Incoming {
    shared: Arc<Shared>,
    /// The socket, if it is not the shared one.
    apart: Option<Arc<Apart>>,
    stop: Arc<Signal>,
    batch: Batch,
    rejoined: Box<[u8]>,
    verdicts: Verdicts,
}

impl Incoming {
    pub fn new(shared: Arc<Shared>, apart: Option<Arc<Apart>>, stop: Arc<Signal>) -> Self {
        let rejoined = vec![0; REJOINED].into();
        Self { shared, apart, stop, batch: Batch::default(), rejoined, verdicts: Verdicts::default() }
    }

    /// Turn after turn until stopped.
    pub fn run(&mut self) {
        let shared = Arc::clone(&self.shared);
        while !self.stop.is_raised() {
            // An error is a pending one of the socket (an ICMP message): it was taken by asking.
            let idle = matches!(guarded(&shared.drops, || self.turn()), Some(Err(error)) if error.kind() == io::ErrorKind::WouldBlock);
            if idle {
                let _try_again = Origin::of(self.apart.as_deref()).socket(&shared).wait_readable(&self.stop);
            }
        }
    }

    fn turn(&mut self) -> io::Result<()> {
        let origin = Origin::of(self.apart.as_deref());
        origin.socket(&self.shared).recv_batch(&mut self.batch)?;
        let view = View::of(&self.shared);
        let mut turn = Turn::new(&self.shared, &view, origin, &mut self.rejoined, &mut self.verdicts);
        for received in self.batch.received() {
            turn.take(received);
        }
        turn.end();
        Ok(())
    }
}

/// What takes in the packets of WebSockets: turns like those of the UDP thread, on the runtime.
#[derive(Debug, Default)]
pub struct Arrivals(Verdicts);

impl Arrivals {
    /// Packets of `stride` bytes that a message from `from` brought.
    pub fn take(&mut self, shared: &Shared, packets: &mut [u8], stride: usize, from: SocketAddr) {
        let view = View::of(shared);
        let verdicts = &mut self.0;
        guarded(&shared.drops, || {
            // Nobody cuts what a WebSocket carries, so nothing is rejoined.
            let mut turn = Turn::new(shared, &view, Origin::WebSocket, &mut [], verdicts);
            turn.batch(packets, stride, from);
            turn.end();
        });
    }
}

/// Where the packets of a turn came in.
#[derive(Debug, Clone, Copy)]
enum Origin<'s> {
    Shared,
    /// One link's own socket.
    Apart(&'s Apart),
    WebSocket,
}

impl<'s> Origin<'s> {
    fn of(apart: Option<&'s Apart>) -> Self {
        apart.map_or(Self::Shared, Self::Apart)
    }

    fn socket(self, shared: &'s Shared) -> &'s Socket {
        if let Self::Apart(apart) = self { &apart.socket } else { &shared.socket }
    }

    fn inbox(self, shared: &'s Shared) -> &'s Inbox {
        if let Self::Apart(apart) = self { &apart.inbox } else { &shared.link_inbox }
    }

    /// True if frames of `link` come in here: each link has its own way, or two threads that took frames of one at a time
    /// would wait for each other's locks.
    fn serves(self, link: &Link) -> bool {
        match (self, &link.outlet) {
            (Self::Shared, Outlet::Udp) | (Self::WebSocket, Outlet::WebSocket(_)) => true,
            (Self::Apart(apart), Outlet::Apart(own)) => ptr::eq(apart, &raw const **own),
            _ => false,
        }
    }
}

/// One snapshot of what packets are judged by. It is loaded each turn (a few ns a table) and kept no longer, so
/// that a thread that sleeps holds no revoked key and no detached device.
#[derive(Debug)]
pub struct View {
    pub me: Guard<Option<Arc<Me>>>,
    pub links: Guard<Arc<HashMap<LinkId, Arc<Link>>>>,
    pub openers: Guard<Arc<HashMap<u32, Arc<RecordOpener>>>>,
    pub addresses: Guard<Arc<Addresses>>,
    pub routes: Guard<Arc<Routes>>,
    pub policy: Guard<Arc<Policy>>,
    pub tun: Guard<Option<Arc<Tun>>>,
}

impl View {
    fn of(shared: &Shared) -> Self {
        Self {
            me: shared.me.load(),
            links: shared.links.load(),
            openers: shared.openers.load(),
            addresses: shared.addresses.load(),
            routes: shared.routes.load(),
            policy: shared.policy.load(),
            tun: shared.tun.load(),
        }
    }
}

/// The work on one batch, whose buffers live for `'b`.
struct Turn<'s, 'b> {
    shared: &'s Shared,
    view: &'s View,
    verdicts: &'b mut Verdicts,
    records: Records<'s, 'b>,
    /// Made for the first frame that is not for us: most turns have none.
    relay: Option<Relay<'s, 'b>>,
    arena: Arena<'b>,
    now: Option<Instant>,
    links_have_news: bool,
    sessions_have_news: bool,
    origin: Origin<'s>,
}

impl<'s, 'b> Turn<'s, 'b> {
    fn new(
        shared: &'s Shared,
        view: &'s View,
        origin: Origin<'s>,
        rejoined: &'b mut [u8],
        verdicts: &'b mut Verdicts,
    ) -> Self {
        verdicts.begin_turn();
        Self {
            shared,
            view,
            verdicts,
            records: Records::new(shared, view),
            relay: None,
            arena: Arena(rejoined),
            now: None,
            links_have_news: false,
            sessions_have_news: false,
            origin,
        }
    }

    fn take(&mut self, received: Received<'b>) {
        let Received { bytes, stride, from, to, ecn } = received;
        for (class, run) in Runs::new(bytes, stride) {
            match class {
                Class::Quic => self.quic(Packet { bytes: run.to_vec(), stride: stride.min(run.len()), from, to, ecn }),
                Class::Frame(index) => self.frames(index, run, stride, from, ecn),
                Class::Record(index) => self.records.bare(index, run, stride, self.verdicts),
                Class::Punch => run.chunks(stride).for_each(|datagram| self.punch(datagram, from)),
                Class::Nobody(reason) => self.shared.drops.add(reason, count(run, stride)),
            }
        }
    }

    /// A message of a WebSocket: it brings frames of its own link, and records.
    fn batch(&mut self, packets: &'b mut [u8], stride: usize, from: SocketAddr) {
        for (class, run) in Runs::new(packets, stride) {
            let reason = match class {
                Class::Frame(index) if self.comes_from(index, from) => {
                    self.frames(index, run, stride, from, None);
                    continue;
                }
                Class::Record(index) => {
                    self.records.bare(index, run, stride, self.verdicts);
                    continue;
                }
                Class::Frame(_) => Drop::UnknownIndex,
                Class::Quic | Class::Punch => Drop::UnknownKind,
                Class::Nobody(reason) => reason,
            };
            self.shared.drops.add(reason, count(run, stride));
        }
    }

    fn comes_from(&self, index: LinkId, from: SocketAddr) -> bool {
        self.view.links.get(&index).is_some_and(|link| !link.outlet.is_udp() && **link.remote.load() == from)
    }

    fn end(mut self) {
        self.records.flush();
        if let Some(relay) = &mut self.relay {
            relay.flush();
        }
        if self.links_have_news {
            self.origin.inbox(self.shared).wake();
        }
        if self.sessions_have_news {
            self.shared.session_inbox.wake();
        }
    }

    fn quic(&mut self, packet: Packet) {
        self.links_have_news |= push(self.origin.inbox(self.shared), packet, &self.shared.drops);
    }

    fn punch(&self, datagram: &[u8], from: SocketAddr) {
        punch::received(self.shared, datagram, from, |echo| {
            let _lost = self.origin.socket(self.shared).send_gso(echo, echo.len(), from, None);
        });
    }

    fn frames(&mut self, index: LinkId, run: &'b mut [u8], stride: usize, from: SocketAddr, ecn: Option<EcnCodepoint>) {
        let Some(link) = self.view.links.get(&index).filter(|link| self.origin.serves(link)) else {
            return self.shared.drops.add(Drop::UnknownIndex, count(run, stride));
        };
        let mut session = SessionRun::new(ecn);
        let (mut frames, mut bytes, mut longest) = (0, 0, 0);
        let mut opening = link.opener.run();
        for frame in run.chunks_mut(stride) {
            match frame::open(&mut opening, frame) {
                Ok(opened) => {
                    (frames, bytes) = (frames + 1, bytes + frame.len() as u64);
                    if opened.header.kind != Kind::LinkProbe {
                        longest = longest.max(frame.len());
                    }
                    if let Some(frame) = self.rejoin(link, &opened, frame) {
                        self.frame(link, &opened.header, frame, from, &mut session);
                    }
                }
                Err(reason) => self.shared.drops.count(reason),
            }
        }
        drop(opening);
        self.hand_over(&mut session);
        self.records.end_run();
        if frames > 0 {
            link.traffic.received(frames, bytes);
            link.probes.carried(longest);
            if link.outlet.is_udp() && **link.remote.load() != from && !self.shared.is_inside(from.ip()) {
                probe::hint(link, from);
            }
        }
    }

    /// The whole frame, once it is there.
    fn rejoin(&mut self, link: &Link, opened: &Opened, frame: &'b mut [u8]) -> Option<&'b mut [u8]> {
        if opened.part == Part::Whole {
            return Some(frame);
        }
        let mut halves = link.halves.lock().unwrap_or_else(PoisonError::into_inner);
        let now = *self.now.get_or_insert_with(Instant::now);
        let (taken, lost) = halves.take(opened, frame, now, |length| self.arena.take(length));
        self.shared.drops.add(Drop::HalfFrame, lost);
        match taken {
            Taken::Joined(frame) => Some(frame),
            Taken::Waits => None,
            Taken::NoRoom => {
                self.shared.drops.count(Drop::QueueFull);
                None
            }
        }
    }

    /// One that opened.
    fn frame(
        &mut self,
        link: &'s Link,
        header: &HopHeader,
        frame: &'b mut [u8],
        from: SocketAddr,
        session: &mut SessionRun,
    ) {
        let Some(me) = self.view.me.as_deref() else { return self.shared.drops.count(Drop::NotForUs) };
        if header.src == me.v4 {
            return self.shared.drops.count(Drop::OwnSource);
        }
        if header.dst != me.v4 {
            let relay = self.relay.get_or_insert_with(|| Relay::new(self.shared, self.view));
            let now = || *self.now.get_or_insert_with(Instant::now);
            return relay.take(link, header, frame, self.verdicts, now);
        }
        let body = &mut frame[FRAME_OVERHEAD..];
        match header.kind {
            Kind::Record => self.records.framed(header, body, self.verdicts),
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
            Kind::PathProbe => path::arrived(self.shared, link, header, body),
            Kind::Parity => self.records.parity(header, body, self.verdicts),
        }
    }

    fn hand_over(&mut self, session: &mut SessionRun) {
        if let Some(packet) = session.finish() {
            self.sessions_have_news |= push(&self.shared.session_inbox, packet, &self.shared.drops);
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
