//! ICMP errors (RFC 792, RFC 4443): what they look like, whatever they tell.
//!
//! Invariant: a message is a sound packet to who sent the one that it quotes, as far as its headers go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::MOST_HEADERS;
use super::checksum::{fold, sum};
use super::shape::source;

/// IP and ICMP headers, in front of what is quoted.
const HEADERS_V4: usize = 28;
const HEADERS_V6: usize = 48;
const HOPS: u8 = 64;

const ICMP: u8 = 1;
const ICMP6: u8 = 58;

/// What is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// Packets of at most so many bytes pass.
    TooBig(usize),
    /// "Communication administratively prohibited".
    Prohibited,
}

impl Told {
    /// Type, code, checksum to be, and what stands in front of the quotation.
    fn header_v4(self) -> [u8; 8] {
        match self {
            Self::TooBig(mtu) => {
                let [high, low] = (mtu as u16).to_be_bytes();
                [3, 4, 0, 0, 0, 0, high, low]
            }
            Self::Prohibited => [3, 13, 0, 0, 0, 0, 0, 0],
        }
    }

    fn header_v6(self) -> [u8; 8] {
        match self {
            Self::TooBig(mtu) => {
                let [a, b, c, d] = (mtu as u32).to_be_bytes();
                [2, 0, 0, 0, a, b, c, d]
            }
            Self::Prohibited => [1, 1, 0, 0, 0, 0, 0, 0],
        }
    }
}

/// A packet, ready for the TUN.
#[derive(Debug)]
pub struct Message {
    pub(super) bytes: [u8; HEADERS_V6 + MOST_HEADERS],
    pub(super) length: usize,
}

impl Message {
    /// To who sent the packet that begins with `front`, from the node the packet is for, which has these two addresses: from
    /// one of our own the kernel would not take it. None for no IP packet.
    pub fn error(front: &[u8], v4: Ipv4Addr, v6: Ipv6Addr, told: Told) -> Option<Self> {
        let quoted = &front[..front.len().min(MOST_HEADERS)];
        let mut bytes = [0; HEADERS_V6 + MOST_HEADERS];
        let source = source(front)?;
        let headers = if source.is_ipv4() { HEADERS_V4 } else { HEADERS_V6 };
        let length = headers + quoted.len();
        bytes[headers..length].copy_from_slice(quoted);
        match source {
            IpAddr::V4(to) => write_v4(&mut bytes[..length], v4, to, told),
            IpAddr::V6(to) => write_v6(&mut bytes[..length], v6, to, told),
        }
        Some(Self { bytes, length })
    }

    /// The IP packet.
    pub fn packet(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

fn write_v4(packet: &mut [u8], from: Ipv4Addr, to: Ipv4Addr, told: Told) {
    let [high, low] = (packet.len() as u16).to_be_bytes();
    packet[..12].copy_from_slice(&[0x45, 0, high, low, 0, 0, 0x40, 0, HOPS, ICMP, 0, 0]);
    packet[12..16].copy_from_slice(&from.octets());
    packet[16..20].copy_from_slice(&to.octets());
    packet[20..28].copy_from_slice(&told.header_v4());
    let header = inverted(sum(&packet[..20], 0));
    packet[10..12].copy_from_slice(&header);
    let message = inverted(sum(&packet[20..], 0));
    packet[22..24].copy_from_slice(&message);
}

fn write_v6(packet: &mut [u8], from: Ipv6Addr, to: Ipv6Addr, told: Told) {
    let [high, low] = ((packet.len() - 40) as u16).to_be_bytes();
    packet[..8].copy_from_slice(&[0x60, 0, 0, 0, high, low, ICMP6, HOPS]);
    packet[8..24].copy_from_slice(&from.octets());
    packet[24..40].copy_from_slice(&to.octets());
    packet[40..48].copy_from_slice(&told.header_v6());
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
    use super::super::testing::{flow, word_sum};
    use super::*;

    const V4: Ipv4Addr = Ipv4Addr::new(10, 100, 0, 2);
    const V6: Ipv6Addr = Ipv6Addr::new(0xfd01, 0x0203, 0x0405, 0x0607, 0, 0, 0, 2);

    proptest! {
        #[test]
        fn a_message_is_a_sound_packet_from_the_peer_that_quotes_what_it_is_about(flow in flow(), mtu in 1100..1400_usize, prohibited: bool) {
            let packet = flow.super_packet().1;
            let front = &packet[..packet.len().min(MOST_HEADERS)];
            let told = if prohibited { Told::Prohibited } else { Told::TooBig(mtu) };
            let Some(message) = Message::error(front, V4, V6, told) else { unreachable!("an IP packet") };
            let bytes = message.packet();
            let from: IpAddr = if flow.ipv6 { V6.into() } else { V4.into() };
            prop_assert_eq!(ends(bytes), source(&packet).map(|to| (from, to)));
            let headers = if flow.ipv6 { 48 } else { 28 };
            prop_assert_eq!(&bytes[headers..], front);
            let said = (bytes[headers - 8..headers - 6].to_vec(), u32::from_be_bytes([0, 0, bytes[headers - 2], bytes[headers - 1]]));
            let expected = match (flow.ipv6, prohibited) {
                (false, false) => (vec![3, 4], mtu as u32),
                (true, false) => (vec![2, 0], mtu as u32),
                (false, true) => (vec![3, 13], 0),
                (true, true) => (vec![1, 1], 0),
            };
            prop_assert_eq!(said, expected);
            if flow.ipv6 {
                let length = ((bytes.len() - 40) as u32).to_be_bytes();
                prop_assert_eq!(word_sum(&[&bytes[8..40], &length, &[0, 0, 0, 58], &bytes[40..]].concat()), 0xffff);
            } else {
                prop_assert_eq!((word_sum(&bytes[..20]), word_sum(&bytes[20..])), (0xffff, 0xffff));
            }
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..150), version in prop::sample::select(vec![0x45_u8, 0x4f, 0x40, 0x60, 0x00])) {
            if let Some(first) = bytes.first_mut() {
                *first = version;
            }
            Message::error(&bytes, V4, V6, Told::Prohibited);
        }
    }
}
