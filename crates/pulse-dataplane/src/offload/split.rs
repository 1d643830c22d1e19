//! From one super-packet to the packets it was joined from.
//!
//! Invariant: the packets differ only in what segmentation defines (RFC 9293, and GSO in the kernel): lengths,
//! IPv4 ids, sequence numbers, PSH and FIN on the last, CWR on the first.

use std::ops::Range;

use super::shape::{be16, be32};
use super::{Gso, Shape, Vnet, checksum};

/// The longest headers: IPv4 and TCP, both with all their options.
pub const MOST_HEADERS: usize = 120;

const FIN: u8 = 1;
const PSH: u8 = 8;
const CWR: u8 = 0x80;

/// A plan for one super-packet: what each packet's headers and payload are.
#[derive(Debug)]
pub struct Split {
    /// Where the headers lie.
    pub shape: Shape,
    /// Payload bytes of each packet but the last.
    pub segment: usize,
    /// True if the receiver finds the checksum's place by itself, so that it may stay unfinished.
    pub partial: bool,
    payload: usize,
    headers: [u8; MOST_HEADERS],
    id: u16,
    sequence: u32,
    flags: u8,
}

impl Split {
    /// The plan for a super-packet of `length` bytes that begins with `front` (at least its headers). None if
    /// vnet header and packet contradict each other.
    pub fn plan(vnet: &Vnet, front: &[u8], length: usize) -> Option<Self> {
        let tcp = vnet.gso != Gso::Udp;
        let shape = Shape::at(front, vnet.checksum_start.into(), tcp)?;
        let segment = usize::from(vnet.segment);
        let sound = vnet.partial && vnet.gso != Gso::None && segment > 0 && shape.payload <= MOST_HEADERS;
        if !sound || shape.payload >= length || shape.payload + segment > usize::from(u16::MAX) {
            return None;
        }
        let mut headers = [0; MOST_HEADERS];
        headers[..shape.payload].copy_from_slice(&front[..shape.payload]);
        let (id, sequence) = (be16(front, 4), if tcp { be32(front, shape.transport + 4) } else { 0 });
        let flags = if tcp { front[shape.transport + 13] } else { 0 };
        let partial = Shape::of(front) == Some(shape);
        Some(Self { shape, segment, partial, payload: length - shape.payload, headers, id, sequence, flags })
    }

    /// How many packets it becomes.
    pub fn count(&self) -> usize {
        self.payload.div_ceil(self.segment)
    }

    /// Which bytes of the payload are those of packet `index`.
    pub fn piece(&self, index: usize) -> Range<usize> {
        let start = index * self.segment;
        start..(start + self.segment).min(self.payload)
    }

    /// The headers of packet `index`, but for the checksums.
    pub fn headers(&mut self, index: usize) -> &[u8] {
        let Shape { ipv6, tcp, transport, payload, .. } = self.shape;
        let total = payload + self.piece(index).len();
        if ipv6 {
            self.put16(4, total - 40);
        } else {
            self.put16(2, total);
            self.put16(4, usize::from(self.id.wrapping_add(index as u16)));
        }
        if tcp {
            let sequence = self.sequence.wrapping_add((index * self.segment) as u32);
            self.headers[transport + 4..transport + 8].copy_from_slice(&sequence.to_be_bytes());
            self.headers[transport + 13] = self.flags_of(index);
        } else {
            self.put16(transport + 4, total - transport);
        }
        &self.headers[..payload]
    }

    fn flags_of(&self, index: usize) -> u8 {
        let not_first = if index > 0 { CWR } else { 0 };
        let not_last = if index + 1 < self.count() { PSH | FIN } else { 0 };
        self.flags & !(not_first | not_last)
    }

    fn put16(&mut self, at: usize, value: usize) {
        self.headers[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
    }
}

/// Make a packet that is not joined ready for a record: true if its checksum stays unfinished because the
/// receiver will find its place, false once it is whole. None if the vnet header lies.
pub fn settle(vnet: &Vnet, packet: &mut [u8]) -> Option<bool> {
    if !vnet.partial {
        return Some(false);
    }
    let (start, at) = (usize::from(vnet.checksum_start), usize::from(vnet.checksum_at));
    if Shape::of(packet).is_some_and(|shape| shape.transport == start && shape.checksum_at() == at) {
        return Some(true);
    }
    checksum::complete(packet, start, at).then_some(false)
}

/// Every packet of a super-packet, whole and with finished checksums. False if it is malformed.
pub fn finish_each(vnet: &Vnet, super_packet: &mut [u8], mut each: impl FnMut(Vec<u8>)) -> bool {
    if vnet.gso == Gso::None {
        let partial = settle(vnet, super_packet);
        if let (Some(true), Some(shape)) = (partial, Shape::of(super_packet)) {
            checksum::finish(super_packet, &shape);
        }
        each(super_packet.to_vec());
        return partial.is_some();
    }
    let Some(mut split) = Split::plan(vnet, super_packet, super_packet.len()) else { return false };
    let (shape, payload) = (split.shape, &super_packet[split.shape.payload..]);
    for index in 0..split.count() {
        let piece = &payload[split.piece(index)];
        let mut packet = [split.headers(index), piece].concat();
        checksum::finish(&mut packet, &shape);
        each(packet);
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Flow, checksums_hold, flow};
    use super::super::{VNET_HEADER, ends};
    use super::*;

    fn packets(flow: &Flow) -> Vec<Vec<u8>> {
        let (vnet, mut bytes) = flow.super_packet();
        let mut packets = vec![];
        assert!(finish_each(&vnet, &mut bytes, |packet| packets.push(packet)));
        packets
    }

    proptest! {
        #[test]
        fn every_packet_is_whole_and_the_payload_is_all_there(flow in flow()) {
            let (_, original) = flow.super_packet();
            let mut payload = vec![];
            for packet in packets(&flow) {
                prop_assert!(ends(&packet).is_some());
                prop_assert!(checksums_hold(&packet));
                let shape = Shape::of(&packet);
                prop_assert_eq!(shape.map(|shape| shape.tcp), Some(flow.tcp));
                payload.extend_from_slice(&packet[shape.map_or(0, |shape| shape.payload)..]);
            }
            prop_assert_eq!(&payload[..], &original[flow.headers()..]);
        }

        #[test]
        fn flags_stand_where_segmentation_puts_them(flow in flow().prop_filter("TCP", |flow| flow.tcp)) {
            let packets = packets(&flow);
            let last = packets.len() - 1;
            for (index, packet) in packets.iter().enumerate() {
                let at = flow.headers() - flow.options - 20;
                let expected = match (index == 0, index == last) {
                    (first, false) => flow.flags & !(PSH | FIN | if first { 0 } else { CWR }),
                    (false, true) => flow.flags & !CWR,
                    (true, true) => flow.flags,
                };
                prop_assert_eq!(packet[at + 13], expected);
                let sequence = flow.sequence.wrapping_add((index * flow.segment) as u32);
                prop_assert_eq!(be32(packet, at + 4), sequence);
            }
        }

        #[test]
        fn random_bytes_never_panic(vnet: [u8; VNET_HEADER], mut bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Some(vnet) = Vnet::decode(&vnet) {
                finish_each(&vnet, &mut bytes, |_| {});
            }
        }

        #[test]
        fn headers_with_random_bytes_in_them_never_panic(flow in flow(), at in 0..60_usize, byte: u8, cut in 0..200_usize) {
            let (vnet, mut bytes) = Flow { payload: flow.payload.min(3000), ..flow }.super_packet();
            bytes.truncate(cut);
            if let Some(place) = bytes.get_mut(at) {
                *place = byte;
            }
            finish_each(&vnet, &mut bytes, |_| {});
        }
    }

    #[test]
    fn extension_headers_mean_a_finished_checksum() {
        let flow = Flow { ipv6: true, tcp: false, payload: 900, segment: 400, ..Flow::default() };
        let (mut vnet, mut bytes) = flow.super_packet();
        // A destination-options header of 8 bytes (padding) between IPv6 and UDP.
        bytes.splice(40..40, [17, 0, 1, 4, 0, 0, 0, 0]);
        (bytes[6], vnet.checksum_start) = (60, 48);
        let plan = Split::plan(&vnet, &bytes, bytes.len());
        assert_eq!(plan.map(|split| (split.partial, split.count())), Some((false, 3)));
    }
}
