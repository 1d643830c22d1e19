//! Link probes: what a link is worth, and whether it still lives.
//!
//! A probe is the body of a frame of kind `LinkProbe`, ttl 1: `kind 1 | seq 4 | stamp 8 | padding`; the
//! answer repeats its first 13 bytes as kind 1. Missing *echoes* count, not silence, so that an outage of
//! one direction is seen too. Invariant: only an echo that came from an address moves a link there.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::forward::send_frames_to;
use crate::frame::{HopHeader, Kind};
use crate::tables::{Link, Shared};

const ASK: u8 = 0;
const ECHO: u8 = 1;
/// Kind, seq and stamp; what follows is padding.
const BODY: usize = 13;

/// Before the first probe: the dialler may still be reading the hello that makes the link known to it.
const SETTLING: Duration = Duration::from_millis(100);
/// Between probes of an idle link.
const IDLE: Duration = Duration::from_secs(1);
/// Between probes of a link with traffic, or one whose echoes are missing.
const BUSY: Duration = Duration::from_millis(200);
/// How long traffic keeps a link busy.
const BUSY_FOR: Duration = Duration::from_secs(5);
/// At most one probe in this time follows a hint.
const HINT_PAUSE: Duration = Duration::from_millis(100);
/// Missing echoes in a row that make a link suspect, and dead.
const SUSPECT_AFTER: u32 = 3;
const DEAD_AFTER: u32 = 8;
/// Loss is that of so many probes.
const WINDOW: usize = 100;

/// What the probes of a link say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Reading {
    /// Smoothed round-trip time; none before the first echo.
    pub rtt: Option<Duration>,
    /// Smoothed change of the round-trip time (RFC 3550 §6.4.1).
    pub jitter: Duration,
    /// Share of the last 100 probes whose echo did not come, 0 to 1.
    pub loss: f64,
}

/// The probes of one link. Shared by the UDP thread (echoes, hints) and the runtime (sending).
#[derive(Debug, Default)]
pub struct Probes {
    meter: Mutex<Meter>,
    hints: Mutex<Hints>,
    hinted: Notify,
    frames: AtomicU64,
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

    fn count(&self) {
        self.frames.fetch_add(1, Ordering::Relaxed);
    }

    fn meter(&self) -> MutexGuard<'_, Meter> {
        self.meter.lock().unwrap_or_else(PoisonError::into_inner)
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
        ECHO => echoed(link, seq, stamp, from),
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

fn echoed(link: &Link, seq: u32, stamp: u64, from: SocketAddr) {
    link.probes.meter().echoed(seq, stamp, now());
    let mut hints = link.probes.hints();
    if hints.asked == Some((seq, from)) {
        hints.asked = None;
        link.remote.store(Arc::new(from));
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

/// Probe `link` until eight echoes in a row are missing; `suspected` hears each change of mind.
pub async fn watch(shared: &Shared, link: &Link, mut suspected: impl FnMut(bool)) {
    let mut pace = Pace::default();
    tokio::time::sleep(SETTLING).await;
    loop {
        ask(shared, link);
        let pause = pace.next(now(), link.traffic.packets(), link.probes.frames(), link.probes.meter().missing > 0);
        follow_hints_for(shared, link, pause).await;
        let missing = link.probes.meter().settle(now());
        if missing >= DEAD_AFTER {
            return;
        }
        let suspect = missing >= SUSPECT_AFTER;
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
    let (seq, stamp) = link.probes.meter().sent(now());
    send(shared, link, seq, stamp, **link.remote.load());
}

fn ask_hinted(shared: &Shared, link: &Link) {
    let Some(to) = link.probes.hints().wanted.take() else { return };
    let (seq, stamp) = link.probes.meter().aside(now());
    link.probes.hints().asked = Some((seq, to));
    send(shared, link, seq, stamp, to);
}

fn send(shared: &Shared, link: &Link, seq: u32, stamp: u64, to: SocketAddr) {
    let Some(me) = shared.me.load_full() else { return };
    let (kind, src, dst) = (Kind::LinkProbe, me.v4, link.handle);
    let header = HopHeader { src, dst, kind, proto: 0, sport: 0, dport: 0, ttl: 1, flags: 0 };
    link.probes.count();
    let body = build(ASK, seq, stamp);
    // A full socket loses the probe, as it would lose any frame.
    let _ = send_frames_to(shared, link, &header, &body, body.len(), to);
}

/// Monotonic time of this process.
fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}

/// Decides how long to wait until the next probe.
#[derive(Debug, Default)]
struct Pace {
    packets: u64,
    frames: u64,
    busy_until: Duration,
}

impl Pace {
    /// `packets` and `frames` are totals: all that the link carried, and what of it were probes.
    fn next(&mut self, now: Duration, packets: u64, frames: u64, missing: bool) -> Duration {
        if packets.wrapping_sub(self.packets) > frames.wrapping_sub(self.frames) {
            self.busy_until = now + BUSY_FOR;
        }
        (self.packets, self.frames) = (packets, frames);
        if missing || now < self.busy_until { BUSY } else { IDLE }
    }
}

#[derive(Debug)]
struct Sent {
    seq: u32,
    at: Duration,
    fate: Fate,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Open,
    Echoed,
    Lost,
}

/// The figures of the probes; time comes in by argument.
#[derive(Debug, Default)]
struct Meter {
    next: u32,
    sent: VecDeque<Sent>,
    missing: u32,
    rtt: Option<Duration>,
    last: Duration,
    jitter: Duration,
}

impl Meter {
    fn sent(&mut self, now: Duration) -> (u32, u64) {
        let (seq, stamp) = self.aside(now);
        if self.sent.len() == WINDOW {
            self.sent.pop_front();
        }
        self.sent.push_back(Sent { seq, at: now, fate: Fate::Open });
        (seq, stamp)
    }

    /// A probe that counts for no figure.
    fn aside(&mut self, now: Duration) -> (u32, u64) {
        self.next = self.next.wrapping_add(1);
        (self.next, stamp(now))
    }

    fn echoed(&mut self, seq: u32, echoed: u64, now: Duration) {
        let mut open = self.sent.iter_mut().filter(|sent| sent.fate != Fate::Echoed);
        let Some(sent) = open.find(|sent| sent.seq == seq && stamp(sent.at) == echoed) else { return };
        sent.fate = Fate::Echoed;
        let rtt = now.saturating_sub(sent.at);
        self.missing = 0;
        self.measured(rtt);
    }

    fn measured(&mut self, rtt: Duration) {
        if let Some(smoothed) = self.rtt {
            self.jitter = self.jitter * 15 / 16 + rtt.abs_diff(self.last) / 16;
            self.rtt = Some(smoothed * 7 / 8 + rtt / 8);
        } else {
            self.rtt = Some(rtt);
        }
        self.last = rtt;
    }

    /// Give up on probes that are overdue; returns how many echoes in a row are missing.
    fn settle(&mut self, now: Duration) -> u32 {
        let patience = self.rtt.map_or(IDLE, |rtt| BUSY.max(rtt * 2 + self.jitter * 4));
        let overdue = |sent: &&mut Sent| sent.fate == Fate::Open && now.saturating_sub(sent.at) >= patience;
        for sent in self.sent.iter_mut().filter(overdue) {
            sent.fate = Fate::Lost;
            self.missing += 1;
        }
        self.missing
    }

    fn reading(&self) -> Reading {
        let lost = self.sent.iter().filter(|sent| sent.fate == Fate::Lost).count();
        let settled = self.sent.iter().filter(|sent| sent.fate != Fate::Open).count();
        let loss = if settled == 0 { 0.0 } else { lost as f64 / settled as f64 };
        Reading { rtt: self.rtt, jitter: self.jitter, loss }
    }
}

/// Microseconds: unique enough to tell probes of one number apart.
fn stamp(at: Duration) -> u64 {
    u64::try_from(at.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_body_survives_the_wire_and_a_short_one_is_refused() {
        let body = build(ECHO, 7, 9);
        assert_eq!(parse(&body), Some((ECHO, 7, 9)));
        assert_eq!(parse(&[&body[..], &[0; 100]].concat()), Some((ECHO, 7, 9)));
        assert!((0..BODY).all(|cut| parse(&body[..cut]).is_none()));
    }

    #[test]
    fn figures_follow_the_echoes() {
        let mut meter = Meter::default();
        for round in 0..200_u32 {
            let at = 200 * MS * round;
            let (seq, stamp) = meter.sent(at);
            if round % 4 != 0 {
                meter.echoed(seq, stamp, at + 20 * MS);
            }
            meter.settle(at + 200 * MS);
        }
        let reading = meter.reading();
        assert_eq!(reading.rtt.map(|rtt| rtt.as_millis()), Some(20));
        assert!(reading.jitter < MS);
        assert!((reading.loss - 0.25).abs() < 1e-9);
    }

    #[test]
    fn missing_echoes_count_in_a_row_and_one_echo_forgives_them() {
        let mut meter = Meter::default();
        let (seq, stamp) = meter.sent(Duration::ZERO);
        meter.echoed(seq, stamp, MS);
        let mut late = (0, 0);
        for round in 1..=3 {
            late = meter.sent(200 * MS * round);
        }
        assert_eq!(meter.settle(800 * MS), 3);
        meter.echoed(late.0, late.1, 810 * MS);
        assert_eq!(meter.settle(820 * MS), 0);
    }

    #[test]
    fn a_slow_link_is_given_time() {
        let mut meter = Meter::default();
        let (seq, stamp) = meter.sent(Duration::ZERO);
        meter.echoed(seq, stamp, 600 * MS);
        meter.sent(1000 * MS);
        assert_eq!(meter.settle(2000 * MS), 0);
        assert_eq!(meter.settle(2300 * MS), 1);
    }

    #[test]
    fn an_echo_counts_once_and_only_with_its_stamp() {
        let mut meter = Meter::default();
        let (seq, stamp) = meter.sent(Duration::ZERO);
        meter.echoed(seq, stamp + 1, MS);
        assert_eq!(meter.reading().rtt, None);
        meter.echoed(seq, stamp, 10 * MS);
        meter.echoed(seq, stamp, 900 * MS);
        assert_eq!(meter.reading().rtt, Some(10 * MS));
    }

    #[test]
    fn probes_alone_do_not_make_a_link_busy() {
        let mut pace = Pace::default();
        assert_eq!(pace.next(Duration::ZERO, 4, 4, false), IDLE);
        assert_eq!(pace.next(IDLE, 9, 8, false), BUSY);
        assert_eq!(pace.next(IDLE * 5, 13, 12, false), BUSY);
        assert_eq!(pace.next(IDLE * 7, 17, 16, false), IDLE);
        assert_eq!(pace.next(IDLE * 8, 17, 16, true), BUSY);
    }
}
