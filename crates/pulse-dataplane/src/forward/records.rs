//! Records that are for us, bare or framed: opened, judged, joined and written to the TUN.
//!
//! Invariant: what the TUN gets is for us, from the node that sealed it, allowed, and – where a frame brought it – what
//! the frame's header told the hops.

use std::io::IoSlice;
use std::sync::Arc;

use super::ends::End;
use super::incoming::View;
use crate::fec::Mended;
use crate::flow::{Flow, Transport};
use crate::frame::HopHeader;
use crate::offload::{Coalescer, Sink, ends, mss};
use crate::seal::{RECORD_OVERHEAD, RecordOpener, RecordRun};
use crate::stats::{Drop, Drops};
use crate::tables::Shared;
use crate::tun::Tun;
use crate::verdicts::Verdicts;

/// The records of one turn, whose buffers live for `'b`.
pub struct Records<'s, 'b> {
    shared: &'s Shared,
    view: &'s View,
    run: Option<Run<'s>>,
    coalescer: Coalescer<'b>,
    /// Counter of the first packet that was joined and not yet written.
    joined: u64,
    device: Device<'s>,
}

/// Records under one key, one after the other.
struct Run<'s> {
    opener: &'s Arc<RecordOpener>,
    opening: RecordRun<'s>,
    counts: Counts,
}

/// Packets and their bytes; of those that came bare also the number, the bytes on the wire and the longest. Framed ones are
/// counted on the link they came over.
#[derive(Default)]
struct Counts {
    packets: u64,
    inner: u64,
    bare: u64,
    outer: u64,
    longest: usize,
}

impl Counts {
    fn add(&mut self, packet: usize, bare: bool) {
        self.packets += 1;
        self.inner += packet as u64;
        if bare {
            self.bare += 1;
            self.outer += (packet + RECORD_OVERHEAD) as u64;
            self.longest = self.longest.max(packet + RECORD_OVERHEAD);
        }
    }
}

impl<'s, 'b> Records<'s, 'b> {
    /// For one turn.
    pub fn new(shared: &'s Shared, view: &'s View) -> Self {
        let tun = view.tun.as_deref();
        let coalescer = Coalescer::new(tun.is_some_and(|tun| tun.segments_udp));
        let device = Device { tun, drops: &shared.drops };
        Self { shared, view, run: None, coalescer, joined: 0, device }
    }

    /// Take what arrived bare under `index`: records of `stride` bytes, the last may be shorter.
    pub fn bare(&mut self, index: u32, records: &'b mut [u8], stride: usize, verdicts: &mut Verdicts) {
        if !self.begin_run(index) {
            return self.shared.drops.add(Drop::UnknownIndex, records.len().div_ceil(stride) as u64);
        }
        for record in records.chunks_mut(stride) {
            self.take(record, None, verdicts);
        }
        self.end_run();
    }

    /// Take the body of a frame; `end_run` follows the last of a run.
    pub fn framed(&mut self, header: &HopHeader, record: &'b mut [u8], verdicts: &mut Verdicts) {
        let Some(index) = record.get(4..8).and_then(|index| index.first_chunk()) else {
            return self.shared.drops.count(Drop::Truncated);
        };
        match self.begin_run(u32::from_be_bytes(*index)) {
            true => self.take(record, Some(header), verdicts),
            false => self.shared.drops.count(Drop::UnknownIndex),
        }
    }

    /// Take the body of a frame that holds parity; as `framed`. What it repairs is judged like any record, though no
    /// header speaks of it: the frame's is that of some packet of the block.
    pub fn parity(&mut self, header: &HopHeader, body: &mut [u8], verdicts: &mut Verdicts) {
        let Some(index) = body.first_chunk() else { return self.shared.drops.count(Drop::Truncated) };
        if !self.begin_run(u32::from_be_bytes(*index)) {
            return self.shared.drops.count(Drop::UnknownIndex);
        }
        let Some(run) = &mut self.run else { return };
        let sender = if header.src == run.opener.v4 { Ok(()) } else { Err(Drop::HeaderMismatch) };
        match sender.and_then(|()| run.opening.parity(body)) {
            Ok(()) => self.mend(verdicts),
            Err(reason) => self.shared.drops.count(reason),
        }
    }

    /// Write what is still open.
    pub fn flush(&mut self) {
        self.coalescer.flush(&mut self.device);
    }

    /// Count the records of a run, and let go of its key.
    pub fn end_run(&mut self) {
        let Some(Run { opener, counts, mut opening }) = self.run.take() else { return };
        let mended = opening.mended();
        if counts.packets == 0 && mended == Mended::default() {
            return;
        }
        self.shared.drops.add(Drop::BadPacket, mended.malformed);
        if let Some(peer) = self.view.addresses.peers.get(&opener.node) {
            peer.traffic.received(counts.packets, counts.inner);
            peer.fec.add(mended);
        }
        // Bare records name no link: they are counted on the one we would answer over.
        if let Some(hop) = self.view.routes.direct(opener.v4).filter(|_| counts.bare > 0) {
            hop.link.traffic.received(counts.bare, counts.outer);
            hop.link.probes.carried(counts.longest);
        }
    }

    /// False if no key has that index.
    fn begin_run(&mut self, index: u32) -> bool {
        if self.run.as_ref().is_some_and(|run| run.opener.index == index) {
            return true;
        }
        self.end_run();
        let opener = self.view.openers.get(&index);
        self.run = opener.map(|opener| Run { opener, opening: opener.run(), counts: Counts::default() });
        self.run.is_some()
    }

    fn take(&mut self, record: &'b mut [u8], header: Option<&HopHeader>, verdicts: &mut Verdicts) {
        let Some(run) = &mut self.run else { return };
        let counter =
            record.get(8..16).and_then(|counter| counter.first_chunk()).copied().map_or(0, u64::from_be_bytes);
        let opened = run.opening.open(record).and_then(|(packet, partial)| {
            judge(self.shared, self.view, run.opener, packet, header, verdicts).map(|()| (packet, partial))
        });
        match opened {
            Ok((packet, partial)) => {
                if mss::opens(packet) {
                    // What is sent back to it takes our way, whose narrow places its sender does not know.
                    mss::clamp(packet, partial, self.view.routes.mtu(run.opener.v4));
                }
                run.counts.add(packet.len(), header.is_none());
                if !self.coalescer.push(packet, partial, &mut self.device) {
                    self.shared.drops.count(Drop::BadPacket);
                }
                if self.coalescer.packets() <= 1 {
                    self.joined = counter;
                }
            }
            Err(reason) => self.shared.drops.count(reason),
        }
        if self.run.as_ref().is_some_and(|run| run.opening.is_ripe()) {
            self.mend(verdicts);
        }
    }

    /// Write what parity repairs. A packet that was lost just before those that wait to be joined goes before them, so
    /// that its flow sees no gap.
    fn mend(&mut self, verdicts: &mut Verdicts) {
        let Self { shared, view, run, coalescer, joined, device } = self;
        let Some(Run { opener, opening, counts }) = run else { return };
        opening.mend(|counter, packet, partial| {
            if let Err(reason) = judge(shared, view, opener, packet, None, verdicts) {
                return shared.drops.count(reason);
            }
            counts.add(packet.len(), false);
            if counter > *joined {
                coalescer.flush(device);
            }
            let mut alone = Coalescer::new(false);
            if !alone.push(packet, partial, device) {
                shared.drops.count(Drop::BadPacket);
            }
            alone.flush(device);
        });
    }
}

/// The checks of protocol §5: what the frame said, for us or what lies behind us, from an address of the node that sealed
/// it or from behind it, and allowed. From the whole Internet only answers come.
fn judge(
    shared: &Shared,
    view: &View,
    opener: &RecordOpener,
    packet: &[u8],
    header: Option<&HopHeader>,
    verdicts: &mut Verdicts,
) -> Result<(), Drop> {
    let (source, destination) = ends(packet).ok_or(Drop::BadPacket)?;
    if header.is_some_and(|header| header.src != opener.v4 || header.flow().transport != Transport::of(packet)) {
        return Err(Drop::HeaderMismatch);
    }
    let me = view.me.as_deref().ok_or(Drop::ForeignDestination)?;
    if destination != me.v4 && destination != me.v6 && !view.addresses.is_behind_us(destination) {
        return Err(Drop::ForeignDestination);
    }
    let addresses = view.policy.reads_ranges.then_some((source, destination));
    let flow = Flow { src: opener.v4, dst: me.v4, transport: Transport::of(packet), ends: addresses };
    let mut end = End { conntrack: &shared.conntrack, policy: &view.policy, verdicts };
    if source != opener.v4 && source != opener.v6 {
        match view.addresses.source_of(source, &opener.node) {
            None => return Err(Drop::SpoofedSource),
            Some(0) if !end.is_awaited(&flow, packet) => return Err(Drop::Unsolicited),
            Some(_) => {}
        }
    }
    if view.policy.is_open() {
        return Ok(());
    }
    end.admit(&flow, packet).map(drop).map_err(|refused| refused.reason)
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
