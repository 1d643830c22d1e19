//! Frames: what travels from node to node, with a header for the hops alone.
//!
//! ```text
//! 0x21 | flags 1 | rsv 2 | link index 4 | hop counter 8 | sealed(hop header 16) | tag 16 | body
//! src handle 4 | dst handle 4 | kind 1 | proto 1 | sport 2 | dport 2 | ttl 1 | flags 1
//! ```
//! A frame too long for its link goes as two, each with the whole header and one half of the body, under
//! consecutive counters. Invariant: the seal covers the first 16 bytes, and for both kinds of probe the body too,
//! which no other layer protects. A flag in clear says so, because the kind is known only after opening; the two
//! must agree.

use crate::Handle;
use crate::seal::{HopRun, HopSealer};
use crate::stats::Drop;

/// First byte of a frame.
pub const FRAME: u8 = 0x21;
/// Bytes before the body.
pub const FRAME_OVERHEAD: usize = 48;
/// The longest frame: no link of ours takes a longer datagram than Ethernet does, and what a WebSocket brings is as long.
pub const LONGEST: usize = 1500;
/// How many hops a frame may take.
pub const TTL: u8 = 16;

/// Header flag: who receives it, if not the destination, sends it over a link of its own to that one or drops it.
pub const LAST: u8 = 1;
/// Header flag: it answers a flow the other way, and is judged by that.
pub const REPLY: u8 = 2;
/// Header flag: the packet's ports cannot be read, as in a fragment that is not the first.
pub const FRAG: u8 = 4;

/// Bytes in clear: the part of the AAD every frame has.
const CLEAR: usize = 16;
/// Where the header ends once it is open.
const HEADER_END: usize = CLEAR + 16;
/// Where in the frame kind, ttl and flags lie once the header is open.
const KIND_AT: usize = CLEAR + 8;
const TTL_AT: usize = CLEAR + 14;
const FLAGS_AT: usize = CLEAR + 15;
/// Clear flag: the body is under the seal.
const BODY_SEALED: u8 = 1;
/// Clear flags: it holds one half of a body.
const FIRST_HALF: u8 = 2;
const SECOND_HALF: u8 = 4;

/// What the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A record, complete with its own header.
    Record = 0,
    /// A QUIC packet of an end-to-end session.
    Session = 1,
    /// A probe of this link; never forwarded.
    LinkProbe = 2,
    /// A probe of a whole path.
    PathProbe = 3,
    /// Redundancy over records.
    Parity = 4,
}

impl Kind {
    fn decode(byte: u8) -> Result<Self, Drop> {
        [Self::Record, Self::Session, Self::LinkProbe, Self::PathProbe, Self::Parity]
            .get(usize::from(byte))
            .copied()
            .ok_or(Drop::UnknownKind)
    }

    /// True if the body is under the hop's seal, so cannot be cut in two.
    pub fn seals_body(self) -> bool {
        matches!(self, Self::LinkProbe | Self::PathProbe)
    }
}

/// What of a body a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Part {
    /// All of it.
    Whole = 0,
    /// The first half; the second has the counter that follows.
    First = FIRST_HALF,
    /// The second half.
    Second = SECOND_HALF,
}

impl Part {
    fn of(flags: u8) -> Option<Self> {
        match flags & (FIRST_HALF | SECOND_HALF) {
            0 => Some(Self::Whole),
            FIRST_HALF => Some(Self::First),
            SECOND_HALF => Some(Self::Second),
            _ => None,
        }
    }
}

/// What each hop may know of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopHeader {
    /// The node that made the frame.
    pub src: Handle,
    /// The node it is for.
    pub dst: Handle,
    /// What the body is.
    pub kind: Kind,
    /// IP protocol of a record's packet, else 0.
    pub proto: u8,
    /// Its source port, else 0.
    pub sport: u16,
    /// Its destination port, else 0.
    pub dport: u16,
    /// Hops it may still take.
    pub ttl: u8,
    /// `LAST`, `REPLY`, `FRAG`; others are passed on unread.
    pub flags: u8,
}

impl HopHeader {
    /// The header of a body that is no record: a session packet or a probe.
    pub fn new(src: Handle, dst: Handle, kind: Kind) -> Self {
        let ttl = if kind == Kind::LinkProbe { 1 } else { TTL };
        Self { src, dst, kind, proto: 0, sport: 0, dport: 0, ttl, flags: 0 }
    }

    /// The 16 bytes under the seal.
    pub fn encode(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.src.octets());
        bytes[4..8].copy_from_slice(&self.dst.octets());
        bytes[8..10].copy_from_slice(&[self.kind as u8, self.proto]);
        bytes[10..12].copy_from_slice(&self.sport.to_be_bytes());
        bytes[12..14].copy_from_slice(&self.dport.to_be_bytes());
        bytes[14..].copy_from_slice(&[self.ttl, self.flags]);
        bytes
    }

    /// The other way round; a kind we do not know is refused.
    pub fn decode(bytes: &[u8; 16]) -> Result<Self, Drop> {
        let [s0, s1, s2, s3, d0, d1, d2, d3, kind, proto, sp0, sp1, dp0, dp1, ttl, flags] = *bytes;
        Ok(Self {
            src: Handle::new(s0, s1, s2, s3),
            dst: Handle::new(d0, d1, d2, d3),
            kind: Kind::decode(kind)?,
            proto,
            sport: u16::from_be_bytes([sp0, sp1]),
            dport: u16::from_be_bytes([dp0, dp1]),
            ttl,
            flags,
        })
    }
}

/// A frame that opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Opened {
    /// What it says to us.
    pub header: HopHeader,
    /// What of the body it holds.
    pub part: Part,
    /// Its hop counter, by which halves find each other.
    pub counter: u64,
}

/// Seal in place: `frame` is 48 bytes of room and the body. `counter` was reserved from `sealer`.
pub fn seal(sealer: &HopSealer, counter: u64, header: &HopHeader, frame: &mut [u8]) {
    seal_part(sealer, counter, header, Part::Whole, frame);
}

/// As `seal`, where the body may be one half; of a kind whose body is not under the seal.
pub fn seal_part(sealer: &HopSealer, counter: u64, header: &HopHeader, part: Part, frame: &mut [u8]) {
    frame[CLEAR..HEADER_END].copy_from_slice(&header.encode());
    close(sealer, counter, part, frame);
}

/// Seal a frame for the next hop; its header lies open where it was opened.
pub fn reseal(sealer: &HopSealer, counter: u64, frame: &mut [u8]) {
    close(sealer, counter, Part::Whole, frame);
}

fn close(sealer: &HopSealer, counter: u64, part: Part, frame: &mut [u8]) {
    let body_sealed = frame_seals_body(frame);
    let (clear, rest) = frame.split_at_mut(CLEAR);
    let (sealed, body) = rest.split_at_mut(FRAME_OVERHEAD - CLEAR);
    let flags = part as u8 | if body_sealed { BODY_SEALED } else { 0 };
    clear[..4].copy_from_slice(&[FRAME, flags, 0, 0]);
    clear[4..8].copy_from_slice(&sealer.peer_index.to_be_bytes());
    clear[8..].copy_from_slice(&counter.to_be_bytes());
    match body_sealed {
        true => sealer.key.seal(counter, &[clear, body].concat(), sealed),
        false => sealer.key.seal(counter, clear, sealed),
    }
}

/// True if the body of a frame whose header lies open is under the seal.
pub fn frame_seals_body(frame: &[u8]) -> bool {
    Kind::decode(frame[KIND_AT]).is_ok_and(Kind::seals_body)
}

/// Write into an opened frame what the next hop is to see.
pub fn pass_on(frame: &mut [u8], ttl: u8, flags: u8) {
    frame[TTL_AT] = ttl;
    frame[FLAGS_AT] = flags;
}

/// The open header of a frame, as bytes.
pub fn open_header(frame: &[u8]) -> &[u8] {
    &frame[CLEAR..HEADER_END]
}

/// Lay out an opened frame of two halves: 48 bytes of room with the open header in it, and both bodies.
pub fn lay_out(header: &[u8], bodies: [&[u8]; 2], frame: &mut [u8]) {
    frame[CLEAR..HEADER_END].copy_from_slice(header);
    let (first, second) = frame[FRAME_OVERHEAD..].split_at_mut(bodies[0].len());
    first.copy_from_slice(bodies[0]);
    second.copy_from_slice(bodies[1]);
}

/// Open in place, one of a run from one neighbour; the body follows from byte 48 on.
pub fn open(run: &mut HopRun<'_>, frame: &mut [u8]) -> Result<Opened, Drop> {
    if frame.len() < FRAME_OVERHEAD {
        return Err(Drop::Truncated);
    }
    if frame.len() > LONGEST {
        return Err(Drop::TooBig);
    }
    let (clear, rest) = frame.split_at_mut(CLEAR);
    let (sealed, body) = rest.split_at_mut(FRAME_OVERHEAD - CLEAR);
    let (flags, counter) = (clear[1], u64::from_be_bytes(std::array::from_fn(|at| clear[8 + at])));
    let body_sealed = flags & BODY_SEALED != 0;
    let plain = match body_sealed {
        // A copy, but probes come a few times a second.
        true => run.key.open(counter, &[clear, body].concat(), sealed),
        false => run.key.open(counter, clear, sealed),
    };
    let plain = plain.ok_or(Drop::BadSeal)?;
    if !run.window.accept(counter) {
        return Err(Drop::Replayed);
    }
    let header = HopHeader::decode(&std::array::from_fn(|at| plain[at]))?;
    if header.kind.seals_body() != body_sealed {
        return Err(Drop::BadSeal);
    }
    let part = Part::of(flags).filter(|part| *part == Part::Whole || !body_sealed).ok_or(Drop::HalfFrame)?;
    Ok(Opened { header, part, counter })
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
