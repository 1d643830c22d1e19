//! Link probes: what a link is worth, how long its datagrams may be, and whether it still lives.
//!
//! A probe is the body of a frame of kind `LinkProbe`, ttl 1: `kind 1 | seq 4 | stamp 8 | padding`; the
//! answer repeats its first 13 bytes as kind 1. Missing *echoes* count, not silence, so that an outage of
//! one direction is seen too. Invariant: only an echo that came from an address moves a link there.

mod meter;
mod pace;
pub mod size;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

pub(crate) use meter::Meter;
pub use meter::Reading;

use crate::clock::now;
use crate::event::Event;
use crate::forward::send_frames_to;
use crate::frame::{self, FRAME_OVERHEAD, HopHeader, Kind};
use crate::tables::{Link, Shared};
use meter::stamp;
use pace::Pace;
use size::{Condition, Trial, Turn};

const ASK: u8 = 0;
const ECHO: u8 = 1;
/// Kind, seq and stamp; what follows is padding.
const BODY: usize = 13;

/// Before the first probe: the dialler may still be reading the hello that makes the link known to it.
const SETTLING: Duration = Duration::from_millis(100);
/// At most one probe in this time follows a hint.
const HINT_PAUSE: Duration = Duration::from_millis(100);
/// Missing echoes in a row that make a link suspect, and dead.
const SUSPECT_AFTER: u32 = 3;
const DEAD_AFTER: u32 = 8;
/// Trials in a row in which not even the least size passed that make a link suspect, and useless.
const NARROW_AFTER: u32 = 1;
const USELESS_AFTER: u32 = 2;

/// The probes of one link. Shared by the UDP thread (echoes, hints) and the runtime (sending).
#[derive(Debug, Default)]
pub struct Probes {
    meter: Mutex<Meter>,
    trial: Mutex<Trial>,
    hints: Mutex<Hints>,
    hinted: Notify,
    next: AtomicU32,
    frames: AtomicU64,
    /// More than short datagrams were carried since the size was asked for.
    used: AtomicBool,
}

#[derive(Debug, Default)]
struct Hints {
    wanted: Option<SocketAddr>,
    asked: Option<(u32, SocketAddr)>,
    last: Option<Duration>,
}

impl Probes {
    /// The figures now.
    pub fn reading(&self) -> Reading {
        self.meter().reading()
    }

    /// Frames of probes and echoes, both ways: what of the link's traffic was our own doing.
    pub fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    /// Look for the link's size anew: what is sent at its size does not arrive.
    pub fn doubt_size(&self) {
        self.trial().doubt();
    }

    /// Datagrams of up to `longest` bytes left or came, which are no probes of a link. Who gets long ones will send some.
    pub fn carried(&self, longest: usize) {
        if longest > size::SHORT && !self.used.load(Ordering::Relaxed) {
            self.used.store(true, Ordering::Relaxed);
        }
    }

    fn count(&self) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }

    fn number(&self) -> u32 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trial(&self) -> MutexGuard<'_, Trial> {
        self.trial.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hints(&self) -> MutexGuard<'_, Hints> {
        self.hints.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called by the UDP thread with the opened body of a link probe. `reply` seals a body as a probe frame
/// (ttl 1) of this link and sends it to `from`: an echo goes where the probe came from.
pub fn received(shared: &Shared, link: &Link, body: &[u8], from: SocketAddr, reply: impl FnOnce(&[u8])) {
    link.probes.count();
    let Some((kind, seq, stamp)) = parse(body) else {
        return shared.drops.count(crate::stats::Drop::Truncated);
    };
    match kind {
        ASK => {
            link.probes.count();
            reply(&build(ECHO, seq, stamp));
        }
        ECHO => echoed(shared, link, seq, stamp, from),
        _ => {}
    }
}

/// Called by the UDP thread when an authentic frame came from another address than `link.remote`: that
/// address is probed, and the link moves there once the echo came from there.
pub fn hint(link: &Link, from: SocketAddr) {
    let mut hints = link.probes.hints();
    let soon = hints.last.is_some_and(|last| now().saturating_sub(last) < HINT_PAUSE);
    if !soon {
        (hints.wanted, hints.last) = (Some(from), Some(now()));
        link.probes.hinted.notify_one();
    }
}

fn echoed(shared: &Shared, link: &Link, seq: u32, stamp: u64, from: SocketAddr) {
    if let Some(size) = link.probes.trial().echoed(seq, stamp) {
        link.size.fetch_max(size, Ordering::Relaxed);
        return;
    }
    link.probes.meter().echoed(seq, stamp, now());
    let mut hints = link.probes.hints();
    if hints.asked == Some((seq, from)) {
        hints.asked = None;
        if *link.remote.swap(Arc::new(from)) != from {
            shared.bus.emit(Event::LinkMoved { link: link.index, node: link.node, observed: from });
        }
    }
}

fn build(kind: u8, seq: u32, stamp: u64) -> [u8; BODY] {
    let mut body = [kind; BODY];
    body[1..5].copy_from_slice(&seq.to_be_bytes());
    body[5..].copy_from_slice(&stamp.to_be_bytes());
    body
}

fn parse(body: &[u8]) -> Option<(u8, u32, u64)> {
    let (kind, rest) = body.split_first()?;
    let (seq, rest) = rest.split_first_chunk()?;
    let (stamp, _) = rest.split_first_chunk()?;
    Some((*kind, u32::from_be_bytes(*seq), u64::from_be_bytes(*stamp)))
}

/// Probe `link` until it is of no use, and say why; `suspected` hears each change of mind.
pub async fn watch(shared: &Shared, link: &Link, mut suspected: impl FnMut(bool)) -> &'static str {
    let mut pace = Pace::default();
    tokio::time::sleep(SETTLING).await;
    loop {
        ask(shared, link);
        let hurried = link.outlet.is_udp() && try_sizes(shared, link);
        let carried = link.traffic.packets().saturating_sub(link.probes.frames());
        let pause = pace.next(now(), carried, hurried || link.probes.meter().missing() > 0);
        follow_hints_for(shared, link, pause).await;
        let missing = link.probes.meter().settle(now());
        let narrow = link.probes.trial().narrow();
        if missing >= DEAD_AFTER {
            return "8 echoes in a row are missing";
        }
        if narrow >= USELESS_AFTER {
            return "its way takes no datagrams of 1,200 bytes";
        }
        let suspect = missing >= SUSPECT_AFTER || narrow >= NARROW_AFTER;
        if link.suspect.swap(suspect, Ordering::Relaxed) != suspect {
            suspected(suspect);
        }
    }
}

async fn follow_hints_for(shared: &Shared, link: &Link, pause: Duration) {
    let end = tokio::time::sleep(pause);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => return,
            () = link.probes.hinted.notified() => ask_hinted(shared, link),
        }
    }
}

fn ask(shared: &Shared, link: &Link) {
    let seq = link.probes.number();
    let stamp = link.probes.meter().sent(seq, now());
    send(shared, link, &build(ASK, seq, stamp), **link.remote.load());
}

/// See to the link's size; true if the next look had better be soon. Its probes count for no figure: that a long one does
/// not arrive says nothing of the others.
fn try_sizes(shared: &Shared, link: &Link) -> bool {
    let condition = {
        let (meter, used) = (link.probes.meter(), link.probes.used.load(Ordering::Relaxed));
        Condition { used, echoed: meter.missing() == 0, patience: meter.patience() }
    };
    let mut trial = link.probes.trial();
    let mut turn = trial.turn(now(), condition);
    if let Turn::Fell | Turn::Narrow = turn {
        // Split, all arrives that can.
        link.size.store(size::LEAST, Ordering::Relaxed);
        turn = trial.turn(now(), condition);
    }
    match turn {
        Turn::Wait | Turn::Fell | Turn::Narrow => {}
        Turn::Found(size) => {
            link.size.store(size, Ordering::Relaxed);
            link.settled.store(size, Ordering::Relaxed);
        }
        Turn::Ask(sizes) => {
            link.probes.used.store(false, Ordering::Relaxed);
            for size in sizes {
                let (seq, stamp) = (link.probes.number(), stamp(now()));
                trial.asked(seq, stamp, *size);
                send_padded(shared, link, &build(ASK, seq, stamp), *size);
            }
        }
    }
    trial.is_under_way()
}

fn ask_hinted(shared: &Shared, link: &Link) {
    let Some(to) = link.probes.hints().wanted.take() else { return };
    let (seq, stamp) = (link.probes.number(), stamp(now()));
    link.probes.hints().asked = Some((seq, to));
    send(shared, link, &build(ASK, seq, stamp), to);
}

fn send(shared: &Shared, link: &Link, body: &[u8], to: SocketAddr) {
    let Some(header) = header(shared, link) else { return };
    link.probes.count();
    // A full socket loses the probe, as it would lose any frame.
    let _lost = send_frames_to(shared, link, &header, body, body.len(), to);
}

/// A probe of `size` bytes in all. One that the kernel does not take is not there to be echoed; that is all it tells.
fn send_padded(shared: &Shared, link: &Link, body: &[u8; BODY], size: usize) {
    let Some(header) = header(shared, link) else { return };
    let mut bytes = vec![0; size];
    bytes[FRAME_OVERHEAD..FRAME_OVERHEAD + BODY].copy_from_slice(body);
    frame::seal(&link.sealer, link.sealer.reserve(1), &header, &mut bytes);
    if link.send(&shared.socket, &bytes, size, **link.remote.load()).is_ok() {
        link.probes.count();
        link.traffic.sent(1, size as u64);
    }
}

fn header(shared: &Shared, link: &Link) -> Option<HopHeader> {
    let me = shared.me.load_full()?;
    Some(HopHeader::new(me.v4, link.handle, Kind::LinkProbe))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_survives_the_wire_and_a_short_one_is_refused() {
        let body = build(ECHO, 7, 9);
        assert_eq!(parse(&body), Some((ECHO, 7, 9)));
        assert_eq!(parse(&[&body[..], &[0; 100]].concat()), Some((ECHO, 7, 9)));
        assert!((0..BODY).all(|cut| parse(&body[..cut]).is_none()));
    }
}
