//! "Packet too big": what a router says to who sends more than it can pass on (RFC 1191 §4, RFC 4443 §3.2).
//!
//! Invariant: nobody is told to send less than he is promised: 1,280 bytes of IPv6, and a QUIC datagram over IPv4; and no
//! message about a message, or about what may be cut (RFC 1122 §3.2.2, RFC 4443 §2.4), is made.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::MOST_HEADERS;
use super::checksum::{fold, sum};
use super::shape::{be16, network_length, source};

/// RFC 8200 §5.
const LEAST_V6: usize = 1280;
/// A QUIC datagram (RFC 9000 §14) in UDP and IPv4; who sends it hears no ICMP.
const LEAST_UDP_V4: usize = 1228;

const ICMP: u8 = 1;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const ICMP6: u8 = 58;
const DONT_FRAGMENT: u16 = 0x4000;

/// IP and ICMP headers, in front of what is quoted.
const HEADERS_V4: usize = 28;
const HEADERS_V6: usize = 48;
const HOPS: u8 = 64;

/// How long packets like the one that begins with `front` may be, if one of `longest` bytes is more than its sender may go
/// on with; none if it had better go split. The path takes `mtu` bytes whole.
pub fn limit(front: &[u8], longest: usize, mtu: usize) -> Option<usize> {
    if longest <= mtu {
        return None;
    }
    let limit = match front.first()? >> 4 {
        4 => limit_v4(front, mtu)?,
        6 => limit_v6(front, mtu)?,
        _ => return None,
    };
    (longest > limit).then_some(limit)
}

fn limit_v4(front: &[u8], mtu: usize) -> Option<usize> {
    let transport = network_length(front)?;
    // Fragments that are not the first have no DF bit in any sane stack, but an offset.
    if be16(front, 6) & 0x5fff != DONT_FRAGMENT {
        return None;
    }
    match (front[9], front.get(transport)) {
        (ICMP, Some(3 | 4 | 5 | 11 | 12)) => None,
        (UDP, _) => Some(mtu.max(LEAST_UDP_V4)),
        _ => Some(mtu),
    }
}

fn limit_v6(front: &[u8], mtu: usize) -> Option<usize> {
    match (front.get(6)?, front.get(40..44)?) {
        (&ICMP6, [..128, ..]) => None,
        (&FRAGMENT, [_, _, high, low]) if u16::from_be_bytes([*high, *low]) & 0xfff8 != 0 => None,
        _ => Some(mtu.max(LEAST_V6)),
    }
}

/// A message, ready for the TUN.
#[derive(Debug)]
pub struct TooBig {
    bytes: [u8; HEADERS_V6 + MOST_HEADERS],
    length: usize,
}

impl TooBig {
    /// To who sent the packet that begins with `front`, which may be `mtu` bytes long. It comes from the node the packet is
    /// for, which has these two addresses: from one of our own the kernel would not take it. None for no IP packet.
    pub fn message(front: &[u8], v4: Ipv4Addr, v6: Ipv6Addr, mtu: usize) -> Option<Self> {
        let quoted = &front[..front.len().min(MOST_HEADERS)];
        let mut bytes = [0; HEADERS_V6 + MOST_HEADERS];
        let headers = match source(front)? {
            IpAddr::V4(_) => HEADERS_V4,
            IpAddr::V6(_) => HEADERS_V6,
        };
        let length = headers + quoted.len();
        bytes[headers..length].copy_from_slice(quoted);
        match source(front)? {
            IpAddr::V4(to) => write_v4(&mut bytes[..length], v4, to, mtu),
            IpAddr::V6(to) => write_v6(&mut bytes[..length], v6, to, mtu),
        }
        Some(Self { bytes, length })
    }

    /// The IP packet.
    pub fn packet(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// Destination unreachable, fragmentation needed.
fn write_v4(packet: &mut [u8], from: Ipv4Addr, to: Ipv4Addr, mtu: usize) {
    let [high, low] = (packet.len() as u16).to_be_bytes();
    packet[..12].copy_from_slice(&[0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, ICMP, 0, 0]);
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    let [high, low] = (mtu as u16).to_be_bytes();
    packet[20..28].copy_from_slice(&[3, 4, 0, 0, 0, 0, high, low]);
    let header = inverted(sum(&packet[..20], 0));
    packet[10..12].copy_from_slice(&header);
    let message = inverted(sum(&packet[20..], 0));
    packet[22..24].copy_from_slice(&message);
}

fn write_v6(packet: &mut [u8], from: Ipv6Addr, to: Ipv6Addr, mtu: usize) {
    let [high, low] = ((packet.len() - 40) as u16).to_be_bytes();
    packet[..8].copy_from_slice(&[0x60, 0, 0, 0, high, low, ICMP6, HOPS]);
    packet[8..24].copy_from_slice(&from.octets());
    packet[24..40].copy_from_slice(&to.octets());
    packet[40..44].copy_from_slice(&[2, 0, 0, 0]);
    packet[44..48].copy_from_slice(&(mtu as u32).to_be_bytes());
    let pseudo = sum(&[0, ICMP6, high, low], sum(&packet[8..40], 0));
    let message = inverted(sum(&packet[40..], pseudo));
    packet[42..44].copy_from_slice(&message);
}

fn inverted(total: u64) -> [u8; 2] {
    fold(total).map(|byte| !byte)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ends;
    use super::super::testing::{Flow, flow, word_sum};
    use super::*;

    const V4: Ipv4Addr = Ipv4Addr::new(10, 100, 0, 2);
    const V6: Ipv6Addr = Ipv6Addr::new(0xfd01, 0x0203, 0x0405, 0x0607, 0, 0, 0, 2);

    /// A packet of a flow that nobody may cut.
    fn whole(flow: &Flow) -> Vec<u8> {
        let (_, mut packet) = flow.super_packet();
        if !flow.ipv6 {
            packet[6] = 0x40;
        }
        packet
    }

    fn front(packet: &[u8]) -> &[u8] {
        &packet[..packet.len().min(MOST_HEADERS)]
    }

    proptest! {
        #[test]
        fn a_message_is_a_sound_packet_from_the_peer_that_quotes_what_it_is_about(flow in flow(), mtu in 1100..1400_usize) {
            let packet = whole(&flow);
            let Some(message) = TooBig::message(front(&packet), V4, V6, mtu) else { unreachable!("an IP packet") };
            let (bytes, told) = (message.packet(), message.packet());
            let (_, to) = ends(bytes).unwrap_or((V4.into(), V4.into()));
            prop_assert_eq!(ends(bytes).map(|(from, _)| from), Some(if flow.ipv6 { V6.into() } else { V4.into() }));
            prop_assert_eq!(Some(to), source(&packet));
            let headers = if flow.ipv6 { 48 } else { 28 };
            prop_assert_eq!(&bytes[headers..], front(&packet));
            if flow.ipv6 {
                prop_assert_eq!(&told[40..42], &[2, 0]);
                prop_assert_eq!(told[44..48].to_vec(), (mtu as u32).to_be_bytes());
                let length = ((bytes.len() - 40) as u32).to_be_bytes();
                prop_assert_eq!(word_sum(&[&bytes[8..40], &length, &[0, 0, 0, 58], &bytes[40..]].concat()), 0xffff);
            } else {
                prop_assert_eq!(&told[20..22], &[3, 4]);
                prop_assert_eq!(told[26..28].to_vec(), (mtu as u16).to_be_bytes());
                prop_assert_eq!((word_sum(&bytes[..20]), word_sum(&bytes[20..])), (0xffff, 0xffff));
            }
        }

        #[test]
        fn nobody_is_told_less_than_he_is_promised_nor_of_what_fits(flow in flow(), longest in 0..1400_usize, mtu in 1100..1400_usize) {
            let packet = whole(&flow);
            let least = match (flow.ipv6, flow.tcp) {
                (true, _) => 1280,
                (false, false) => 1228,
                (false, true) => 0,
            };
            let expected = (longest > mtu.max(least)).then_some(mtu.max(least));
            prop_assert_eq!(limit(front(&packet), longest, mtu), expected);
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..150), version in prop::sample::select(vec![0x45_u8, 0x4f, 0x40, 0x60, 0x00])) {
            if let Some(first) = bytes.first_mut() {
                *first = version;
            }
            limit(&bytes, 1340, 1200);
            TooBig::message(&bytes, V4, V6, 1200);
        }
    }

    #[test]
    fn what_may_be_cut_later_fragments_and_errors_go_split() {
        let may_be_cut = Flow::default().super_packet().1;
        assert_eq!(limit(&may_be_cut, 1340, 1200), None);
        let mut packet = whole(&Flow::default());
        assert_eq!(limit(&packet, 1340, 1200), Some(1200));
        packet[7] = 9;
        assert_eq!(limit(&packet, 1340, 1200), None);
        packet[7] = 0;
        for (kind, expected) in [(8, Some(1200)), (0, Some(1200)), (3, None), (11, None)] {
            (packet[9], packet[20]) = (ICMP, kind);
            assert_eq!(limit(&packet, 1340, 1200), expected);
        }
        let mut packet = whole(&Flow { ipv6: true, ..Flow::default() });
        for (kind, expected) in [(128, Some(1280)), (129, Some(1280)), (1, None)] {
            (packet[6], packet[40]) = (ICMP6, kind);
            assert_eq!(limit(&packet, 1340, 1200), expected);
        }
        for (offset, expected) in [(1, Some(1280)), (8, None)] {
            (packet[6], packet[42], packet[43]) = (FRAGMENT, 0, offset);
            assert_eq!(limit(&packet, 1340, 1200), expected);
        }
    }
}
