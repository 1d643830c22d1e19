//! Random flows as the kernel would hand them over, built without the code under test.

use proptest::prelude::*;

use super::{Gso, Shape, Vnet};

/// One super-packet's worth of a flow.
#[derive(Debug, Clone, Copy)]
pub struct Flow {
    pub ipv6: bool,
    pub tcp: bool,
    /// Bytes of TCP options.
    pub options: usize,
    pub payload: usize,
    pub segment: usize,
    pub flags: u8,
    pub sequence: u32,
    pub id: u16,
    pub port: u16,
    pub seed: u8,
}

impl Default for Flow {
    fn default() -> Self {
        let (payload, segment, flags) = (10_000, 1288, 0x10);
        Self { ipv6: false, tcp: true, options: 12, payload, segment, flags, sequence: 1, id: 7, port: 5201, seed: 1 }
    }
}

/// Any flow; few enough segments for one super-packet of ours.
pub fn flow() -> impl Strategy<Value = Flow> {
    let kind = (any::<bool>(), any::<bool>(), 0..11_usize, 1..1500_usize, 1..=64_usize, any::<prop::sample::Index>());
    let rest = (
        prop::sample::select(vec![0x10_u8, 0x18, 0x11, 0x19, 0x50, 0x90, 0xd8]),
        any::<u32>(),
        any::<u16>(),
        any::<u16>(),
        any::<u8>(),
    );
    (kind, rest).prop_map(|((ipv6, tcp, options, segment, count, last), (flags, sequence, id, port, seed))| {
        let options = if tcp { options * 4 } else { 0 };
        let payload = ((count - 1) * segment + 1 + last.index(segment)).min(65_000);
        Flow { ipv6, tcp, options, payload, segment, flags, sequence, id, port, seed }
    })
}

impl Flow {
    pub fn headers(&self) -> usize {
        (if self.ipv6 { 40 } else { 20 }) + if self.tcp { 20 + self.options } else { 8 }
    }

    /// The super-packet and its vnet header, checksums as the kernel leaves them.
    pub fn super_packet(&self) -> (Vnet, Vec<u8>) {
        let mut packet = self.network();
        let start = packet.len();
        packet.extend(self.transport());
        packet.extend((0..self.payload).map(|at| (at as u8).wrapping_mul(self.seed)));
        let checksum_at = if self.tcp { 16 } else { 6 };
        let partial = word_sum(&self.pseudo(&packet));
        packet[start + checksum_at..start + checksum_at + 2].copy_from_slice(&partial.to_be_bytes());
        let gso = match (self.payload > self.segment, self.tcp, self.ipv6) {
            (false, ..) => Gso::None,
            (_, false, _) => Gso::Udp,
            (_, true, true) => Gso::Tcp6,
            (_, true, false) => Gso::Tcp4,
        };
        let joined = gso != Gso::None;
        let (headers, segment) = if joined { (self.headers() as u16, self.segment as u16) } else { (0, 0) };
        (
            Vnet {
                partial: true,
                gso,
                headers,
                segment,
                checksum_start: start as u16,
                checksum_at: checksum_at as u16,
            },
            packet,
        )
    }

    fn network(&self) -> Vec<u8> {
        let total = self.headers() + self.payload;
        let protocol = if self.tcp { 6 } else { 17 };
        let mut header = if self.ipv6 {
            let mut header = vec![0x60, 0, 0, 9, 0, 0, protocol, 64];
            header[4..6].copy_from_slice(&((total - 40) as u16).to_be_bytes());
            header.extend([0xfd, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
            header.extend([0xfd, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0, 0, 0, 0, self.seed]);
            return header;
        } else {
            vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, 10, 100, 0, 1, 10, 100, 0, 2]
        };
        header[2..4].copy_from_slice(&(total as u16).to_be_bytes());
        header[4..6].copy_from_slice(&self.id.to_be_bytes());
        let checksum = !word_sum(&header);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        header
    }

    fn transport(&self) -> Vec<u8> {
        let mut header = vec![0; if self.tcp { 20 + self.options } else { 8 }];
        header[..2].copy_from_slice(&self.port.to_be_bytes());
        header[2..4].copy_from_slice(&443_u16.to_be_bytes());
        if self.tcp {
            header[4..8].copy_from_slice(&self.sequence.to_be_bytes());
            header[8..12].copy_from_slice(&[1, 2, 3, 4]);
            header[12] = ((20 + self.options) / 4 * 16) as u8;
            header[13..16].copy_from_slice(&[self.flags, 0x10, 0]);
            header[20..].fill(1);
        } else {
            header[4..6].copy_from_slice(&((8 + self.payload) as u16).to_be_bytes());
        }
        header
    }

    fn pseudo(&self, packet: &[u8]) -> Vec<u8> {
        let (addresses, start) = if self.ipv6 { (8..40, 40) } else { (12..20, 20) };
        let length = ((packet.len() - start) as u32).to_be_bytes();
        [&packet[addresses], &length, &[0, 0, 0, if self.tcp { 6 } else { 17 }]].concat()
    }
}

/// The checksum as RFC 1071 words it: 16 bits at a time, carries added back.
pub fn word_sum(bytes: &[u8]) -> u16 {
    bytes.chunks(2).fold(0, |total: u16, pair| {
        let (sum, carry) = total.overflowing_add(u16::from_be_bytes([pair[0], *pair.get(1).unwrap_or(&0)]));
        sum + u16::from(carry)
    })
}

/// True if both checksums of a packet are right and in place.
pub fn checksums_hold(packet: &[u8]) -> bool {
    let Some(shape) = Shape::of(packet) else { return false };
    let flow = Flow { ipv6: shape.ipv6, tcp: shape.tcp, ..Flow::default() };
    let covered = [&flow.pseudo(packet)[..], &packet[shape.transport..]].concat();
    let network = shape.ipv6 || word_sum(&packet[..shape.network]) == 0xffff;
    network && word_sum(&covered) == 0xffff
}
