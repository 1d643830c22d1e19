//! Parity over what one TUN thread sends: blocks for each peer and link, closed when they are full, span 64 counters, or are
//! 3 ms old. Records of a long super-packet go into three blocks by turns, so that of losses in a row each has a third.
//!
//! Invariant: parity leaves behind the records it covers, under the keys they were sealed with; a path without protection
//! costs one look at a flag a super-packet.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::parcel::Parcel;
use super::ways::Way;
use crate::fec::{Block, Code, Counts, HEAD, Head};
use crate::frame::{self, FRAME_OVERHEAD, HopHeader};
use crate::seal::{Marks, RecordSealer, TAG};
use crate::socket::{MOST_BYTES, MOST_SEGMENTS};
use crate::tables::Link;

/// How long a block waits for more.
const LONGEST: Duration = Duration::from_millis(3);
/// Paths one thread gathers for at a time; one more closes the oldest.
const MOST: usize = 8;
/// Blocks that are filled by turns: as many as span 64 counters once they are full.
const LANES: usize = 3;
/// Records of a super-packet that is worth it.
const LONG: usize = 30;

/// What one thread gathers.
#[derive(Debug, Default)]
pub struct Fec {
    open: Vec<Open>,
    /// Room of blocks that were closed.
    spare: Vec<[Lane; LANES]>,
    code: Option<Box<Code>>,
    parting: Parting,
}

/// One block.
#[derive(Debug, Default)]
struct Lane {
    block: Block,
    /// When it was first looked at.
    since: Option<Duration>,
}

/// Blocks, and where their parity goes.
#[derive(Debug)]
struct Open {
    lanes: [Lane; LANES],
    sealer: Arc<RecordSealer>,
    link: Arc<Link>,
    counts: Arc<Counts>,
    header: HopHeader,
    /// Parity of a full block.
    full: usize,
}

impl Fec {
    /// Where the `count` records of the super-packet that begins with `front` are covered; none if they are not, as where
    /// they go twice anyway.
    pub fn cover(
        &mut self,
        way: &Way<'_>,
        sealer: &Arc<RecordSealer>,
        front: &[u8],
        count: usize,
    ) -> Option<Cover<'_>> {
        let full = usize::from(way.hop.path.protection().parity);
        if full == 0 || sealer.parity.is_none() || way.second().is_some() {
            return None;
        }
        let (link, header) = (&way.hop.link, way.parity_header(front));
        let same = |open: &Open| Arc::ptr_eq(&open.sealer, sealer) && Arc::ptr_eq(&open.link, link);
        let place = self.open.iter().position(same).unwrap_or_else(|| {
            if self.open.len() == MOST {
                self.close(0);
            }
            let (sealer, link, counts) = (Arc::clone(sealer), Arc::clone(link), Arc::clone(&way.peer.fec));
            let lanes = self.spare.pop().unwrap_or_default();
            self.open.push(Open { lanes, sealer, link, counts, header, full });
            self.open.len() - 1
        });
        // What a relay judges parity by is what the last packet under it was.
        (self.open[place].header, self.open[place].full) = (header, full);
        let code = &mut **self.code.get_or_insert_with(Box::default);
        let lanes = if count >= LONG { LANES as u64 } else { 1 };
        Some(Cover { open: &mut self.open[place], lanes, code, parting: &mut self.parting })
    }

    /// Close what is old enough at `now`; how long until more is.
    pub fn expire(&mut self, now: Duration) -> Option<Duration> {
        let code = &mut **self.code.get_or_insert_with(Box::default);
        let mut oldest = None;
        for open in &mut self.open {
            for lane in 0..LANES {
                oldest = oldest.max(open.age(lane, now).filter(|age| *age < LONGEST));
                if open.age(lane, now).is_some_and(|age| age >= LONGEST) {
                    open.close(lane, code, &mut self.parting);
                }
            }
        }
        while let Some(place) = self.open.iter().position(Open::is_empty) {
            self.spare.push(self.open.remove(place).lanes);
        }
        oldest.map(|age| LONGEST - age)
    }

    /// True if `expire` has something to look at.
    pub fn is_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Let parity leave, once all that it covers has; `send` is given datagrams, their stride and link.
    pub fn depart(&mut self, send: impl FnMut(&Arc<Link>, &[u8], usize)) {
        self.parting.depart(send);
    }

    /// Nothing is kept of what a turn that broke down left.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    fn close(&mut self, place: usize) {
        let mut open = self.open.remove(place);
        let code = &mut **self.code.get_or_insert_with(Box::default);
        (0..LANES).for_each(|lane| open.close(lane, code, &mut self.parting));
        self.spare.push(open.lanes);
    }
}

/// Where the records of one super-packet are covered.
#[derive(Debug)]
pub struct Cover<'f> {
    open: &'f mut Open,
    lanes: u64,
    code: &'f mut Code,
    parting: &'f mut Parting,
}

impl Cover<'_> {
    /// This packet is about to be sealed under `counter`.
    pub fn gather(&mut self, counter: u64, marks: Marks, packet: &[u8]) {
        let lane = (counter % self.lanes) as usize;
        if !self.open.lanes[lane].block.admits(counter) {
            self.open.close(lane, self.code, self.parting);
        }
        let block = &mut self.open.lanes[lane].block;
        block.gather(counter, marks.flags(), packet);
        if block.is_full() {
            self.open.close(lane, self.code, self.parting);
        }
    }
}

impl Open {
    fn is_empty(&self) -> bool {
        self.lanes.iter().all(|lane| lane.block.is_empty())
    }

    /// How long ago a block was first looked at, if there is anything in it.
    fn age(&mut self, lane: usize, now: Duration) -> Option<Duration> {
        let Lane { block, since } = &mut self.lanes[lane];
        (!block.is_empty()).then(|| now.saturating_sub(*since.get_or_insert(now)))
    }

    fn close(&mut self, lane: usize, code: &mut Code, parting: &mut Parting) {
        let Self { lanes, sealer, link, counts, header, full } = self;
        let Lane { block, since } = &mut lanes[lane];
        *since = None;
        let mut sent = 0;
        block.close(code, *full, |head, shard| {
            sent += u64::from(parting.add(sealer, link, header, &head, shard));
        });
        counts.parity_out.fetch_add(sent, Ordering::Relaxed);
    }
}

/// Sealed parity on its way out.
#[derive(Debug, Default)]
struct Parting {
    bytes: Vec<u8>,
    groups: Vec<Group>,
    parcel: Parcel,
}

/// Parity of one link and size, back to back.
#[derive(Debug)]
struct Group {
    link: Arc<Link>,
    stride: usize,
    place: Range<usize>,
    /// The frame is too long for the link: it goes as two, made of the body that lies behind the room for one.
    cut: Option<HopHeader>,
}

impl Parting {
    /// False if the key is used up.
    fn add(&mut self, sealer: &RecordSealer, link: &Arc<Link>, header: &HopHeader, head: &Head, shard: &[u8]) -> bool {
        let Some(parity) = &sealer.parity else { return false };
        let Some(counter) = parity.reserve() else { return false };
        let (start, stride) = (self.bytes.len(), FRAME_OVERHEAD + HEAD + shard.len() + TAG);
        self.bytes.resize(start + stride, 0);
        let frame = &mut self.bytes[start..];
        frame[FRAME_OVERHEAD + HEAD..][..shard.len()].copy_from_slice(shard);
        parity.seal(sealer.index, counter, head, &mut frame[FRAME_OVERHEAD..]);
        let cut = (stride > link.size.load(Ordering::Relaxed)).then_some(*header);
        if cut.is_none() {
            frame::seal(&link.sealer, link.sealer.reserve(1), header, frame);
        }
        match self.groups.last_mut() {
            Some(group) if group.admits(link, stride, cut) => group.place.end += stride,
            _ => self.groups.push(Group { link: Arc::clone(link), stride, place: start..start + stride, cut }),
        }
        true
    }

    fn depart(&mut self, mut send: impl FnMut(&Arc<Link>, &[u8], usize)) {
        let Self { bytes, groups, parcel } = self;
        for Group { link, stride, place, cut } in groups.drain(..) {
            let Some(header) = cut else {
                send(&link, &bytes[place], stride);
                continue;
            };
            for frame in bytes[place].chunks(stride) {
                parcel
                    .cut(&link.sealer, &header, &frame[FRAME_OVERHEAD..], |halves, stride| send(&link, halves, stride));
            }
            parcel.flush(|halves, stride| send(&link, halves, stride));
        }
        bytes.clear();
    }
}

impl Group {
    fn admits(&self, link: &Arc<Link>, stride: usize, cut: Option<HopHeader>) -> bool {
        let most = (MOST_BYTES / stride).min(MOST_SEGMENTS) * stride;
        Arc::ptr_eq(&self.link, link) && self.stride == stride && self.cut == cut && self.place.len() < most
    }
}
