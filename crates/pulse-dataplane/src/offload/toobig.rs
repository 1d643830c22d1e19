//! "Packet too big": what a router says to who sends more than it can pass on (RFC 1191 §4, RFC 4443 §3.2).
//!
//! Invariant: nobody is told to send less than he is promised: 1,280 bytes of IPv6, and a QUIC datagram over IPv4; and no
//! message about a message, or about what may be cut (RFC 1122 §3.2.2, RFC 4443 §2.4), is made.

use super::shape::{be16, network_length};

/// RFC 8200 §5.
const LEAST_V6: usize = 1280;
/// A QUIC datagram (RFC 9000 §14) in UDP and IPv4; who sends it hears no ICMP.
const LEAST_UDP_V4: usize = 1228;

const ICMP: u8 = 1;
const UDP: u8 = 17;
const FRAGMENT: u8 = 44;
const ICMP6: u8 = 58;
const DONT_FRAGMENT: u16 = 0x4000;

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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::MOST_HEADERS;
    use super::super::testing::{Flow, flow};
    use super::*;

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
