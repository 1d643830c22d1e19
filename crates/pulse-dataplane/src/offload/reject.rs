//! A refusal at once, to an application of ours whose packet our own policy does not let go: a reset of its TCP connection
//! (RFC 9293 §3.10.7.1), else "administratively prohibited".
//!
//! Invariant: nothing is said about a message, a reset, a fragment that is not the first, or a packet from nobody
//! (RFC 1122 §3.2.2, RFC 4443 §2.4): no refusal ever causes another.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::icmp::{Message, Told};
use super::shape::{Shape, be32, destination, source};
use super::{MOST_HEADERS, checksum};
use crate::flow::Transport;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const ACK: u8 = 16;
const HOPS: u8 = 64;

/// What to tell who sent the packet of `length` bytes that begins with `front`; none if nothing may be said. It comes from
/// where the packet was to go.
pub fn refusal(front: &[u8], length: usize) -> Option<Message> {
    let transport = Transport::of(front);
    let (from, to) = (destination(front)?, source(front)?);
    if transport.fragment || transport.is_icmp_error() || is_nobody(to) {
        return None;
    }
    match Shape::of(front).filter(|shape| shape.tcp) {
        Some(shape) => reset(front, length, &shape),
        None => {
            let (v4, v6) = match from {
                IpAddr::V4(v4) => (v4, Ipv6Addr::UNSPECIFIED),
                IpAddr::V6(v6) => (Ipv4Addr::UNSPECIFIED, v6),
            };
            Message::error(front, v4, v6, Told::Prohibited)
        }
    }
}

fn is_nobody(address: IpAddr) -> bool {
    let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
    address.is_unspecified() || address.is_multicast() || address.is_loopback() || broadcast
}

fn reset(front: &[u8], length: usize, shape: &Shape) -> Option<Message> {
    let header = front.get(shape.transport..shape.payload)?;
    let flags = header[13];
    if flags & RST != 0 {
        return None;
    }
    let (seq, ack) = (be32(header, 4), be32(header, 8));
    let (seq, ack, flags) = match flags & ACK != 0 {
        true => (ack, 0, RST),
        false => {
            let room = u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
            let said = length.saturating_sub(shape.payload) as u32 + room;
            (0, seq.wrapping_add(said), RST | ACK)
        }
    };
    let mut message = Message { bytes: [0; 48 + MOST_HEADERS], length: 0 };
    let transport = address_back(&mut message.bytes, front, shape.ipv6);
    message.length = transport + 20;
    let packet = &mut message.bytes[..transport + 20];
    packet[transport..transport + 2].copy_from_slice(&header[2..4]);
    packet[transport + 2..transport + 4].copy_from_slice(&header[..2]);
    packet[transport + 4..transport + 8].copy_from_slice(&seq.to_be_bytes());
    packet[transport + 8..transport + 12].copy_from_slice(&ack.to_be_bytes());
    packet[transport + 12..transport + 14].copy_from_slice(&[0x50, flags]);
    checksum::finish(packet, &Shape::of(packet)?);
    Some(message)
}

/// Write the IP header of a reset; its length.
fn address_back(packet: &mut [u8], front: &[u8], ipv6: bool) -> usize {
    if ipv6 {
        packet[..8].copy_from_slice(&[0x60, 0, 0, 0, 0, 20, 6, HOPS]);
        packet[8..24].copy_from_slice(&front[24..40]);
        packet[24..40].copy_from_slice(&front[8..24]);
        return 40;
    }
    packet[..12].copy_from_slice(&[0x45, 0, 0, 40, 0, 0, 0x40, 0, HOPS, 6, 0, 0]);
    packet[12..16].copy_from_slice(&front[16..20]);
    packet[16..20].copy_from_slice(&front[12..16]);
    20
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::ends;
    use super::super::testing::{Flow, flow, word_sum};
    use super::*;

    fn with_flags(flow: &Flow, flags: u8) -> Vec<u8> {
        let (_, mut packet) = flow.super_packet();
        if flow.tcp {
            let at = if flow.ipv6 { 40 } else { usize::from(packet[0] & 15) * 4 };
            packet[at + 13] = flags;
        }
        packet
    }

    fn front(packet: &[u8]) -> &[u8] {
        &packet[..packet.len().min(MOST_HEADERS)]
    }

    proptest! {
        #[test]
        fn a_segment_is_reset_where_its_sender_believes_it(flow in flow(), flags in prop::sample::select(vec![ACK, ACK | SYN, SYN, FIN, 0, SYN | FIN])) {
            let flow = Flow { tcp: true, ..flow };
            let packet = with_flags(&flow, flags);
            let Some(message) = refusal(front(&packet), packet.len()) else { unreachable!("a segment") };
            let bytes = message.packet();
            prop_assert_eq!(ends(bytes), ends(&packet).map(|(from, to)| (to, from)));
            let at = if flow.ipv6 { 40 } else { 20 };
            let (Some(sent), tcp) = (Shape::of(&packet), &bytes[at..]) else { unreachable!("a segment") };
            let header = &packet[sent.transport..];
            prop_assert_eq!((&tcp[..2], &tcp[2..4]), (&header[2..4], &header[..2]));
            let said = (packet.len() - sent.payload) as u32 + u32::from(flags & SYN != 0) + u32::from(flags & FIN != 0);
            let expected = match flags & ACK != 0 {
                true => (be32(header, 8), 0, RST),
                false => (0, be32(header, 4).wrapping_add(said), RST | ACK),
            };
            prop_assert_eq!((be32(tcp, 4), be32(tcp, 8), tcp[13]), expected);
            let addresses = if flow.ipv6 { &bytes[8..40] } else { &bytes[12..20] };
            prop_assert_eq!(word_sum(&[addresses, &[0, 6, 0, 20], tcp].concat()), 0xffff);
            prop_assert!(flow.ipv6 || word_sum(&bytes[..20]) == 0xffff);
            // Which nobody answers again.
            prop_assert!(refusal(bytes, bytes.len()).is_none());
        }

        #[test]
        fn anything_else_is_prohibited_and_that_is_not_answered_again(flow in flow()) {
            let packet = with_flags(&Flow { tcp: false, ..flow }, 0);
            let Some(message) = refusal(front(&packet), packet.len()) else { unreachable!("a datagram") };
            prop_assert_eq!(ends(message.packet()), ends(&packet).map(|(from, to)| (to, from)));
            prop_assert!(refusal(message.packet(), message.packet().len()).is_none());
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..150), version in prop::sample::select(vec![0x45_u8, 0x4f, 0x40, 0x60, 0x00]), length in 0..70_000_usize) {
            if let Some(first) = bytes.first_mut() {
                *first = version;
            }
            refusal(&bytes, length);
        }
    }

    #[test]
    fn nothing_is_said_to_nobody_nor_about_later_fragments() {
        let packet = with_flags(&Flow { ipv6: false, tcp: false, ..Flow::default() }, 0);
        assert!(refusal(&packet, packet.len()).is_some());
        for source in [[0, 0, 0, 0], [224, 0, 0, 1], [255, 255, 255, 255], [127, 0, 0, 1]] {
            let mut packet = packet.clone();
            packet[12..16].copy_from_slice(&source);
            assert!(refusal(&packet, packet.len()).is_none(), "{source:?}");
        }
        let mut later = packet;
        later[7] = 9;
        assert!(refusal(&later, later.len()).is_none());
    }
}
