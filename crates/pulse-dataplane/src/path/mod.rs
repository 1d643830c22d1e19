//! Paths: a node and our first link to it. Whether each still carries what is sent on it (protocol §3).
//!
//! Probes go end to end once a second over each path in use; receiver reports tell of what probes cannot see.
//! Invariant: packet threads read one flag of a path; everything else is touched a few times a second.

mod proof;
mod registry;
mod suspicion;

use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use proof::{EXPORTER_LABEL, Proof};
pub use registry::Paths;

use crate::Handle;
use crate::clock::now;
use crate::forward::send_frames;
use crate::frame::{FRAME_OVERHEAD, HopHeader, Kind, LAST};
use crate::probe::Meter;
use crate::report::Tally;
use crate::seal::RECORD_OVERHEAD;
use crate::stats;
use crate::tables::{Link, Shared};
use crate::tun::MTU;
use proof::{Half, Probe};
use suspicion::Suspicion;

/// Between probes of a path in use.
const IN_USE: Duration = Duration::from_secs(1);
/// Between probes while echoes are missing: the third is not worth three seconds.
const MISSING: Duration = Duration::from_millis(200);
/// Between probes of a warm backup, and of a suspect path of a peer that is idle.
const SPARE: Duration = Duration::from_secs(5);

/// How a path is used now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usage {
    /// Flows may be on it.
    InUse,
    /// It is kept warm, or it is asked whether it recovered.
    Spare,
}

/// How what is sent on a path is protected against loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Protection {
    /// Parity packets over a full block of records.
    pub parity: u8,
    /// Each record goes over a second path, too.
    pub duplicate: bool,
}

impl Protection {
    const DUPLICATE: u8 = 0x80;

    fn pack(self) -> u8 {
        self.parity | if self.duplicate { Self::DUPLICATE } else { 0 }
    }

    fn unpack(bits: u8) -> Self {
        Self { parity: bits & !Self::DUPLICATE, duplicate: bits & Self::DUPLICATE != 0 }
    }
}

/// What is known of a path, for statistics.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Smoothed round-trip time, end to end; none before the first echo.
    pub rtt: Option<Duration>,
    /// Share of the records that the peer reported lost; without reports, of the last 100 probes. 0 to 1.
    pub loss: f64,
    /// The share that the peer reported lost, if it reported on enough of them lately.
    pub reported: Option<f64>,
    /// How many were lost in a row, on average; 1 if too little is known.
    pub burst: f64,
}

/// One path.
#[derive(Debug)]
pub struct Path {
    /// The node it leads to.
    pub handle: Handle,
    /// Our link to its first hop.
    pub link: Arc<Link>,
    suspect: AtomicBool,
    /// As the table said it last: what is out of the table is probed still.
    last: AtomicBool,
    protection: AtomicU8,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    meter: Meter,
    suspicion: Suspicion,
    tally: Tally,
    asked: Option<Duration>,
}

impl Path {
    /// A path nothing is known of.
    pub fn new(handle: Handle, link: Arc<Link>) -> Self {
        let (suspect, last) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { handle, link, suspect, last, protection: AtomicU8::new(0), state: Mutex::default() }
    }

    /// How it is protected against loss: one relaxed load.
    pub fn protection(&self) -> Protection {
        Protection::unpack(self.protection.load(Ordering::Relaxed))
    }

    fn protect(&self, protection: Protection) {
        self.protection.store(protection.pack(), Ordering::Relaxed);
    }

    /// True while it had better not be used: one relaxed load.
    pub fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }

    /// True for the link to the node itself, which has probes of its own.
    pub(crate) fn is_direct(&self) -> bool {
        self.link.handle == self.handle
    }

    /// The longest packet that goes whole over its first link, as far as is known; hops further on split what they must.
    pub fn mtu(&self) -> usize {
        let around = if self.is_direct() { RECORD_OVERHEAD } else { FRAME_OVERHEAD + RECORD_OVERHEAD };
        match self.link.settled.load(Ordering::Relaxed) {
            0 => MTU,
            size => MTU.min(size - around),
        }
    }

    /// The flags of a frame that its first hop is to send over a link of its own to the node, if `last`.
    pub(crate) fn flags(&self, last: bool) -> u8 {
        if last && !self.is_direct() { LAST } else { 0 }
    }

    /// Its figures, if anything was ever sent to measure it.
    pub fn figures(&self, now: Duration) -> Option<Figures> {
        let state = self.state();
        let reported = state.tally.loss(now);
        if state.asked.is_none() && reported.is_none() && !self.is_suspect() {
            return None;
        }
        let probed = state.meter.reading();
        Some(Figures { rtt: probed.rtt, loss: reported.unwrap_or(probed.loss), reported, burst: state.tally.burst() })
    }

    /// Round-trip time and loss as chance would have them: what patience with it has to allow for.
    pub(crate) fn expected(&self) -> (Duration, f64) {
        let own = self.state().meter.reading();
        let known = if own.rtt.is_some() { own } else { self.link.probes.reading() };
        (known.rtt.unwrap_or_default(), known.loss)
    }

    /// Send a probe, if one is due.
    pub(crate) fn probe(&self, shared: &Shared, proof: &Proof, usage: Usage, now: Duration) {
        if !self.is_due(usage, now) {
            return;
        }
        let Some(me) = shared.me.load().as_ref().map(|me| me.v4) else { return };
        let seq = shared.paths.number();
        let stamp = self.asked(seq, now);
        let body = proof.seal(&Probe { half: Half::Ask, seq, stamp }, me, self.handle);
        let flags = self.flags(self.last.load(Ordering::Relaxed));
        let header = HopHeader { flags, ..HopHeader::new(me, self.handle, Kind::PathProbe) };
        // A full socket loses the probe, as it would lose any frame.
        let _lost = send_frames(shared, &self.link, &header, &body, body.len());
    }

    fn asked(&self, seq: u32, now: Duration) -> u64 {
        let mut state = self.state();
        state.asked = Some(now);
        state.meter.sent(seq, now)
    }

    fn is_due(&self, usage: Usage, now: Duration) -> bool {
        let state = self.state();
        let pause = match usage {
            Usage::Spare => SPARE,
            Usage::InUse if state.suspicion.rests(now) => SPARE,
            Usage::InUse if state.meter.missing() > 0 && !self.is_suspect() => MISSING,
            Usage::InUse => IN_USE,
        };
        state.asked.is_none_or(|asked| now.saturating_sub(asked) >= pause)
    }

    fn echoed(&self, probe: &Probe, now: Duration) -> bool {
        let mut state = self.state();
        let ours = state.meter.echoed(probe.seq, probe.stamp, now);
        if ours {
            state.suspicion.echoed();
        }
        ours
    }

    /// Receiver reports do not cover what was sent on it.
    pub(crate) fn unheard(&self, now: Duration) {
        self.state().suspicion.unheard(now);
    }

    /// So many records were sent on it, of which so many were lost, in so many gaps.
    pub(crate) fn reported(&self, records: u64, lost: u64, gaps: u64, now: Duration) {
        self.state().tally.add(records, lost, gaps, now);
    }

    /// Time has passed: the new opinion, if it changed.
    pub(crate) fn judge(&self, now: Duration) -> Option<bool> {
        let mut state = self.state();
        let missing = state.meter.settle(now);
        state.suspicion.missing(missing);
        let suspect = state.suspicion.is_suspect(now);
        (self.suspect.swap(suspect, Ordering::Relaxed) != suspect).then_some(suspect)
    }

    fn remembers(&self, now: Duration) -> bool {
        self.state().suspicion.remembers(now)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Called by the UDP thread with the opened body of a path probe for us that came over `link`. An ask is answered the
/// way it came, as long as that is one of ours to the asker: over a way of our choice that happens to be dead, every
/// path of the asker would look dead. An echo counts for the path it was asked on.
pub fn arrived(shared: &Shared, link: &Link, header: &HopHeader, body: &[u8]) {
    let now = now();
    let Some((probe, proof)) = shared.paths.proofs.open(header, body, now) else {
        return shared.drops.count(stats::Drop::ProbeRefused);
    };
    match probe.half {
        Half::Ask => answer(shared, link, header, &probe, &proof),
        Half::Echo => {
            let paths = shared.paths.to(header.src);
            paths.iter().any(|path| path.echoed(&probe, now));
        }
    }
}

fn answer(shared: &Shared, came: &Link, asked: &HopHeader, probe: &Probe, proof: &Proof) {
    let routes = shared.routes.load();
    let back = routes.over(asked.src, came.index).or_else(|| routes.for_session(asked.dst, asked.src));
    let Some(hop) = back else { return shared.drops.count(stats::Drop::NoRoute) };
    let body = proof.seal(&Probe { half: Half::Echo, ..*probe }, asked.dst, asked.src);
    let header = HopHeader { flags: hop.flags(), ..HopHeader::new(asked.dst, asked.src, Kind::PathProbe) };
    // As above.
    let _lost = send_frames(shared, &hop.link, &header, &body, body.len());
}
