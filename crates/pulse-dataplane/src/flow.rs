//! Flows: what hops tell the packets of one conversation by.
//!
//! Invariant: a packet's protocol and ports come from its first 120 bytes alone, so that the source, which sees a
//! super-packet's front, and the destination, which sees one packet, read the same.

use std::net::IpAddr;

use crate::Handle;
use crate::frame::{FRAG, HopHeader, REPLY};
use crate::offload::MOST_HEADERS;

pub(crate) const ICMP: u8 = 1;
pub(crate) const TCP: u8 = 6;
pub(crate) const UDP: u8 = 17;
const DCCP: u8 = 33;
pub(crate) const ICMP6: u8 = 58;
const SCTP: u8 = 132;
const UDP_LITE: u8 = 136;
/// Bytes of an ICMP error in front of the packet it quotes.
const ICMP_HEADER: usize = 8;
/// What a packet is whose headers have no end we can see (reserved by IANA): a class of its own.
const UNREADABLE: u8 = 255;

/// IPv6 extension headers in front of a transport; nobody sends as many.
const MOST_EXTENSIONS: usize = 8;

/// What a packet says of itself behind its IP header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Hash)]
pub struct Transport {
    /// IP protocol.
    pub proto: u8,
    /// Source port; the type of an ICMP message; 0 where there is none.
    pub sport: u16,
    /// Destination port; the code of an ICMP message; 0 where there is none.
    pub dport: u16,
    /// The ports cannot be read: a fragment that is not the first, or a stump.
    pub fragment: bool,
}

impl Transport {
    /// Of the packet that begins with `front`.
    pub fn of(front: &[u8]) -> Self {
        let front = &front[..front.len().min(MOST_HEADERS)];
        locate(front).map_or_else(|headless| headless.transport, |header| Self::at(front, header.at, header.proto))
    }

    /// True if the port fields hold ports.
    pub fn has_ports(&self) -> bool {
        has_ports(self.proto) && !self.fragment
    }

    /// True if there may be ports, which cannot be read.
    pub fn hides_ports(&self) -> bool {
        self.hides_protocol() || (has_ports(self.proto) && self.fragment)
    }

    /// True if it may be of any protocol.
    pub fn hides_protocol(&self) -> bool {
        self.proto == UNREADABLE
    }

    /// True for a message about another packet, which it quotes (RFC 792, RFC 4443 §2.1).
    pub fn is_icmp_error(&self) -> bool {
        match self.proto {
            ICMP => !self.fragment && matches!(self.sport, 3 | 4 | 5 | 11 | 12),
            ICMP6 => !self.fragment && self.sport < 128,
            _ => false,
        }
    }

    /// Of the question that this would answer; none for an ICMP message of another kind, and for what shows no ports.
    fn question(&self) -> Option<Self> {
        let Self { proto, sport, dport, fragment } = *self;
        let (sport, dport) = match (proto, sport) {
            _ if fragment => return None,
            // Echo, timestamp, information, mask (RFC 792, RFC 950).
            (ICMP, 0) => (8, dport),
            (ICMP, 14 | 16 | 18) | (ICMP6, 129) => (sport - 1, dport),
            (ICMP | ICMP6, _) => return None,
            _ => (dport, sport),
        };
        Some(Self { proto, sport, dport, fragment })
    }

    fn unread(proto: u8) -> Self {
        Self { proto, fragment: true, ..Self::default() }
    }

    fn at(front: &[u8], transport: usize, proto: u8) -> Self {
        let port = |at: usize| Some(u16::from_be_bytes(*front.get(transport + at..)?.first_chunk()?));
        let byte = |at: usize| front.get(transport + at).copied().map(u16::from);
        let ports = match proto {
            _ if has_ports(proto) => port(0).zip(port(2)),
            ICMP | ICMP6 => byte(0).zip(byte(1)),
            _ => Some((0, 0)),
        };
        ports.map_or(Self::unread(proto), |(sport, dport)| Self { proto, sport, dport, fragment: false })
    }
}

fn has_ports(proto: u8) -> bool {
    matches!(proto, TCP | UDP | DCCP | SCTP | UDP_LITE)
}

/// A transport header: where it begins, whose it is, and the datagram that it is a fragment of.
struct Located {
    at: usize,
    proto: u8,
    datagram: Option<u32>,
}

/// All that can be told of a packet without one, and the datagram that it is a later fragment of.
struct Headless {
    transport: Transport,
    datagram: Option<u32>,
}

impl Headless {
    fn unread(proto: u8, datagram: Option<u32>) -> Self {
        Self { transport: Transport::unread(proto), datagram }
    }
}

fn locate(front: &[u8]) -> Result<Located, Headless> {
    match front.first().map(|first| first >> 4) {
        Some(4) => locate_v4(front),
        Some(6) => locate_v6(front),
        _ => Err(Headless { transport: Transport { proto: UNREADABLE, ..Transport::default() }, datagram: None }),
    }
}

fn locate_v4(front: &[u8]) -> Result<Located, Headless> {
    let header = front.first_chunk::<20>().ok_or(Headless::unread(UNREADABLE, None))?;
    let (place, proto) = (u16::from_be_bytes([header[6], header[7]]), header[9]);
    // Its number is one of its protocol's (RFC 791), where IPv6 has one for all (RFC 8200 §4.5).
    let datagram = (place & 0x3fff != 0).then(|| u32::from_be_bytes([0, proto, header[4], header[5]]));
    match place & 0x1fff {
        0 => Ok(Located { at: usize::from(header[0] & 15) * 4, proto, datagram }),
        _ => Err(Headless::unread(proto, datagram)),
    }
}

fn locate_v6(front: &[u8]) -> Result<Located, Headless> {
    let Some(&(mut next)) = front.get(6) else { return Err(Headless::unread(UNREADABLE, None)) };
    let (mut at, mut datagram) = (40, None);
    for _ in 0..MOST_EXTENSIONS {
        if !is_extension(next) {
            return Ok(Located { at, proto: next, datagram });
        }
        let Some(&[following, length, high, low]) = front.get(at..).and_then(|rest| rest.first_chunk()) else { break };
        if next == 44 {
            let place = u16::from_be_bytes([high, low]);
            let id = front.get(at + 4..).and_then(|rest| rest.first_chunk()).copied().map(u32::from_be_bytes);
            // One that is all of its datagram is none (RFC 6946).
            datagram = id.filter(|_| place & 0xfff9 != 0);
            if place & 0xfff8 != 0 {
                let proto = if is_extension(following) { UNREADABLE } else { following };
                return Err(Headless::unread(proto, datagram));
            }
        }
        at += match next {
            44 => 8,
            51 => (usize::from(length) + 2) * 4,
            _ => (usize::from(length) + 1) * 8,
        };
        next = following;
    }
    Err(Headless::unread(UNREADABLE, None))
}

/// What may stand between an IPv6 header and a transport (RFC 8200 §4).
fn is_extension(next: u8) -> bool {
    matches!(next, 0 | 43 | 44 | 51 | 60)
}

/// The packet that the ICMP error which begins with `front` is about, as far as it is quoted.
pub fn quoted(front: &[u8]) -> Option<&[u8]> {
    let front = &front[..front.len().min(MOST_HEADERS)];
    front.get(locate(front).ok()?.at + ICMP_HEADER..)
}

/// True for a TCP segment from within a connection: it neither opens one nor resets it.
pub fn is_midstream(front: &[u8]) -> bool {
    locate(front)
        .ok()
        .and_then(|header| tcp_flags(front, &header))
        .is_some_and(|flags| flags & (SYN | RST | ACK) == ACK)
}

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;

/// None if it is no TCP, or ends before them.
fn tcp_flags(front: &[u8], header: &Located) -> Option<u8> {
    front.get(header.at + 13).copied().filter(|_| header.proto == TCP)
}

/// Where a packet stands in its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    /// It begins one.
    Begins,
    /// It does neither, or its protocol knows no connections.
    #[default]
    GoesOn,
    /// Its sender sends nothing after it.
    Finishes,
    /// Nothing follows either way.
    Resets,
}

impl Stage {
    fn of(flags: u8) -> Self {
        match flags {
            _ if flags & RST != 0 => Self::Resets,
            _ if flags & FIN != 0 => Self::Finishes,
            _ if flags & SYN != 0 => Self::Begins,
            _ => Self::GoesOn,
        }
    }
}

/// What tells a packet from others of its flow. A super-packet has the flags of its last segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Traits {
    /// The part of a datagram that it is.
    pub fragment: Option<Fragment>,
    /// What it does to its connection.
    pub stage: Stage,
}

impl Traits {
    /// Of the packet that begins with `front`.
    pub fn of(front: &[u8]) -> Self {
        let front = &front[..front.len().min(MOST_HEADERS)];
        match locate(front) {
            Ok(header) => {
                let leads = front.len() >= header.at + length_of(front, &header);
                let fragment = header.datagram.filter(|_| leads).map(|datagram| Fragment { datagram, leads });
                Self { fragment, stage: tcp_flags(front, &header).map_or(Stage::GoesOn, Stage::of) }
            }
            Err(Headless { datagram, .. }) => {
                let fragment = datagram.map(|datagram| Fragment { datagram, leads: false });
                Self { fragment, stage: Stage::GoesOn }
            }
        }
    }

    /// True if there is nothing to be remembered of it.
    pub fn are_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// A part of a datagram that leads others or follows one. A first one without the whole transport header does neither, or
/// one would pass behind another that was shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fragment {
    /// Which one, between two addresses; its protocol is a part of the number in IPv4.
    pub datagram: u32,
    /// It holds the whole transport header, by which the others are judged, too.
    pub leads: bool,
}

/// Bytes of a transport header, as far as it can be seen.
fn length_of(front: &[u8], header: &Located) -> usize {
    match header.proto {
        TCP => front.get(header.at + 12).map_or(20, |offset| usize::from(offset >> 4) * 4).max(20),
        UDP | UDP_LITE | ICMP | ICMP6 => 8,
        DCCP | SCTP => 12,
        _ => 0,
    }
}

/// The packets of one conversation, one way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// The node they come from.
    pub src: Handle,
    /// The node they go to.
    pub dst: Handle,
    /// What they say of themselves; nothing for packets of a session.
    pub transport: Transport,
    /// Their source and destination, which may lie behind those nodes; none where they cannot be seen, or no rule asks.
    pub ends: Option<(IpAddr, IpAddr)>,
}

impl Flow {
    /// All packets of the session between two nodes, one way.
    pub fn session(src: Handle, dst: Handle) -> Self {
        Self { src, dst, transport: Transport::default(), ends: None }
    }

    /// The other direction.
    pub fn swapped(&self) -> Self {
        let Transport { proto, sport, dport, fragment } = self.transport;
        let transport = Transport { proto, sport: dport, dport: sport, fragment };
        Self { src: self.dst, dst: self.src, transport, ends: self.ends.map(|(source, there)| (there, source)) }
    }

    /// The flow that this one would answer: the other direction, and of ICMP the type that asks.
    pub fn question(&self) -> Option<Self> {
        Some(Self { transport: self.transport.question()?, ..self.swapped() })
    }

    /// All of it in two numbers: its ends, and what its packets say of themselves.
    pub fn key(&self) -> [u64; 2] {
        let Transport { proto, sport, dport, fragment } = self.transport;
        let ends = u64::from(self.src.to_bits()) << 32 | u64::from(self.dst.to_bits());
        let ports = u64::from(sport) << 16 | u64::from(dport);
        [ends, u64::from(fragment) << 40 | u64::from(proto) << 32 | ports]
    }

    /// A number that spreads flows evenly, the same for all packets of one.
    pub fn hash(&self) -> u64 {
        let [ends, said] = self.key();
        mix(mix(ends) ^ said)
    }
}

impl HopHeader {
    /// The flow of the frame, as its header says.
    pub fn flow(&self) -> Flow {
        let Self { src, dst, proto, sport, dport, flags, .. } = *self;
        Flow { src, dst, transport: Transport { proto, sport, dport, fragment: flags & FRAG != 0 }, ends: None }
    }

    /// The flow that a rule must allow: for an answer, that of the question.
    pub fn judged_flow(&self) -> Flow {
        let flow = self.flow();
        if self.flags & REPLY != 0 { flow.swapped() } else { flow }
    }

    /// Say which packet the record holds.
    pub fn describe(self, transport: Transport) -> Self {
        let Transport { proto, sport, dport, fragment } = transport;
        Self { proto, sport, dport, flags: self.flags | if fragment { FRAG } else { 0 }, ..self }
    }
}

/// Every bit of the result depends on every bit of `value` (the finalizer of SplitMix64, Steele 2014).
pub fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
