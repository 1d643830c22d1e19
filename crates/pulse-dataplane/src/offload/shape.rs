//! What a packet is, read once: its ends, and where its headers lie.
//!
//! Invariant: nothing here trusts a length before it was compared with the bytes there are.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// Source and destination of one whole IP packet; none if it is not IPv4 or IPv6, or its length field lies.
pub fn ends(packet: &[u8]) -> Option<(IpAddr, IpAddr)> {
    let stated = match packet.first()? >> 4 {
        4 => {
            network_length(packet)?;
            usize::from(be16(packet, 2))
        }
        6 if packet.len() >= 40 => 40 + usize::from(be16(packet, 4)),
        _ => return None,
    };
    if stated != packet.len() {
        return None;
    }
    Some((source(packet)?, destination(packet)?))
}

/// Where the packet that begins with `front` goes.
pub fn destination(front: &[u8]) -> Option<IpAddr> {
    address(front, 16, 24)
}

/// Where it comes from.
pub fn source(front: &[u8]) -> Option<IpAddr> {
    address(front, 12, 8)
}

fn address(front: &[u8], v4: usize, v6: usize) -> Option<IpAddr> {
    match front.first()? >> 4 {
        4 => Some(Ipv4Addr::from(*front.get(v4..)?.first_chunk::<4>()?).into()),
        6 => Some(Ipv6Addr::from(*front.get(v6..)?.first_chunk::<16>()?).into()),
        _ => None,
    }
}

/// Length of an IPv4 header; none if `front` has not all of it.
pub fn network_length(front: &[u8]) -> Option<usize> {
    let length = usize::from(front.first()? & 15) * 4;
    (length >= 20 && front.len() >= length).then_some(length)
}

/// An unfragmented TCP or UDP packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// IPv6, else IPv4.
    pub ipv6: bool,
    /// TCP, else UDP.
    pub tcp: bool,
    /// Length of the IPv4 header with its options; 40 for IPv6.
    pub network: usize,
    /// Where the TCP or UDP header begins: behind IPv6 extension headers, if the kernel told us so.
    pub transport: usize,
    /// Where the payload begins.
    pub payload: usize,
}

impl Shape {
    /// The shape anybody finds in the packet itself; `front` holds at least its headers. None for anything
    /// but TCP and UDP, for fragments and for IPv6 with extension headers.
    pub fn of(front: &[u8]) -> Option<Self> {
        let (transport, protocol) = match front.first()? >> 4 {
            4 if front.len() >= 20 && be16(front, 6) & 0x3fff == 0 => (network_length(front)?, front[9]),
            6 if front.len() >= 40 => (40, front[6]),
            _ => return None,
        };
        match protocol {
            TCP => Self::at(front, transport, true),
            UDP => Self::at(front, transport, false),
            _ => None,
        }
    }

    /// The shape with a transport header where the kernel says it is.
    pub fn at(front: &[u8], transport: usize, tcp: bool) -> Option<Self> {
        let (ipv6, network) = match front.first()? >> 4 {
            4 => (false, network_length(front)?),
            6 => (true, 40),
            _ => return None,
        };
        let header = front.get(transport..)?;
        let length = if tcp { usize::from(header.get(12)? >> 4) * 4 } else { 8 };
        let sound = transport >= network && length >= if tcp { 20 } else { 8 } && header.len() >= length;
        sound.then_some(Self { ipv6, tcp, network, transport, payload: transport + length })
    }

    /// Where in its header the transport keeps the checksum.
    pub fn checksum_at(&self) -> usize {
        if self.tcp { 16 } else { 6 }
    }

    /// The transport's protocol number.
    pub fn protocol(&self) -> u8 {
        if self.tcp { TCP } else { UDP }
    }
}

/// Two bytes at `at`, which the caller knows are there.
pub fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

/// Four bytes at `at`, which the caller knows are there.
pub fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Flow, flow};
    use super::*;

    proptest! {
        #[test]
        fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), transport in 0..250_usize, tcp: bool) {
            ends(&bytes);
            destination(&bytes);
            Shape::of(&bytes);
            Shape::at(&bytes, transport, tcp);
        }

        #[test]
        fn a_packet_with_a_lying_length_has_no_ends(flow in flow(), change in 1..u16::MAX) {
            let (_, mut packet) = Flow { segment: 60_000, payload: flow.payload.min(2_000), ..flow }.super_packet();
            prop_assert!(ends(&packet).is_some());
            let at = if packet[0] >> 4 == 4 { 2 } else { 4 };
            let lie = be16(&packet, at).wrapping_add(change);
            packet[at..at + 2].copy_from_slice(&lie.to_be_bytes());
            prop_assert_eq!(ends(&packet), None);
        }
    }

    #[test]
    fn a_fragment_has_no_shape() {
        let mut packet = [0; 40];
        (packet[0], packet[9]) = (0x45, UDP);
        assert!(Shape::of(&packet).is_some());
        packet[6] = 0x20;
        assert_eq!(Shape::of(&packet), None);
    }
}
