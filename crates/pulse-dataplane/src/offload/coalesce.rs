//! From packets back to super-packets, for one write each.
//!
//! Invariant: packets are joined only if splitting the result would give them back (but for an IPv4 id that
//! RFC 6864 says nobody may look at), and they leave in the order they came.

use std::io::IoSlice;

use super::shape::{be16, be32};
use super::{Gso, Shape, Vnet, checksum};

/// Most packets in one write: the kernel's limit for UDP (UDP_MAX_SEGMENTS); TCP fills 64 kB before.
const MOST_PACKETS: usize = 64;
/// Most bytes of one super-packet: what an IP length field can say.
const MOST_BYTES: usize = 65_535;

const FIN: u8 = 0x01;
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const PSH: u8 = 0x08;
const URG: u8 = 0x20;
const CWR: u8 = 0x80;

/// Who takes finished super-packets.
pub trait Sink {
    /// `super_packet` begins with the vnet header; it was joined from `packets`.
    fn write(&mut self, super_packet: &[IoSlice<'_>], packets: usize);
}

/// Joins packets that lie in the buffers they were opened in.
#[derive(Debug)]
pub struct Coalescer<'a> {
    group: Option<Group<'a>>,
    payloads: [IoSlice<'a>; MOST_PACKETS],
    joins_udp: bool,
}

/// The packets joined so far: the first one's headers, and sums over all of them.
#[derive(Debug)]
struct Group<'a> {
    headers: &'a mut [u8],
    shape: Shape,
    segment: usize,
    total: usize,
    packets: usize,
    full: bool,
}

impl<'a> Coalescer<'a> {
    /// An empty one. `joins_udp`: the reader of the TUN can take joined UDP apart again.
    pub fn new(joins_udp: bool) -> Self {
        Self { group: None, payloads: [IoSlice::new(&[]); MOST_PACKETS], joins_udp }
    }

    /// Take one whole IP packet; `partial` if its checksums are left to us. False if that cannot be: only
    /// unfragmented TCP and UDP have a checksum to leave.
    pub fn push(&mut self, packet: &'a mut [u8], partial: bool, sink: &mut impl Sink) -> bool {
        if !partial {
            self.flush(sink);
            let vnet = Vnet::default().encode();
            sink.write(&[IoSlice::new(&vnet), IoSlice::new(packet)], 1);
            return true;
        }
        let Some(shape) = Shape::of(packet) else { return false };
        if !self.group.as_ref().is_some_and(|group| group.admits(packet, &shape)) {
            self.flush(sink);
        }
        self.join(packet, shape);
        if self.group.as_ref().is_some_and(|group| group.full) {
            self.flush(sink);
        }
        true
    }

    /// How many are joined and not written yet.
    pub fn packets(&self) -> usize {
        self.group.as_ref().map_or(0, |group| group.packets)
    }

    /// Write what is still open.
    pub fn flush(&mut self, sink: &mut impl Sink) {
        let Some(mut group) = self.group.take() else { return };
        let vnet = group.close().encode();
        let mut slices = [IoSlice::new(&[]); MOST_PACKETS + 2];
        (slices[0], slices[1]) = (IoSlice::new(&vnet), IoSlice::new(group.headers));
        slices[2..][..group.packets].copy_from_slice(&self.payloads[..group.packets]);
        sink.write(&slices[..group.packets + 2], group.packets);
    }

    fn join(&mut self, packet: &'a mut [u8], shape: Shape) {
        let joinable = (shape.tcp || self.joins_udp) && may_be_joined(packet, &shape);
        let (headers, payload) = packet.split_at_mut(shape.payload);
        let group = match &mut self.group {
            Some(group) => {
                group.add(headers, payload.len());
                group
            }
            None => self.group.insert(Group::begin(headers, shape, payload.len(), joinable)),
        };
        self.payloads[group.packets - 1] = IoSlice::new(payload);
    }
}

impl<'a> Group<'a> {
    fn begin(headers: &'a mut [u8], shape: Shape, payload: usize, joinable: bool) -> Self {
        let full = !joinable || ends_group(headers, &shape);
        Self { total: headers.len() + payload, headers, shape, segment: payload, packets: 1, full }
    }

    /// True if `packet` continues this group exactly as segmentation would have.
    fn admits(&self, packet: &[u8], shape: &Shape) -> bool {
        let payload = packet.len() - shape.payload.min(packet.len());
        let fits =
            payload > 0 && payload <= self.segment && self.total + payload <= MOST_BYTES && self.packets < MOST_PACKETS;
        fits && *shape == self.shape
            && self.same_network(packet)
            && if shape.tcp { self.same_tcp(packet) } else { self.same_ports(packet) }
    }

    fn same_network(&self, packet: &[u8]) -> bool {
        let first = &*self.headers;
        if self.shape.ipv6 {
            return first[..4] == packet[..4] && first[6..40] == packet[6..40];
        }
        let unfragmentable = packet[6] & 0x40 != 0;
        let next_id = be16(first, 4).wrapping_add(self.packets as u16);
        let id = unfragmentable || be16(packet, 4) == next_id;
        id && first[..2] == packet[..2] && first[6..10] == packet[6..10] && first[12..20] == packet[12..20]
    }

    fn same_ports(&self, packet: &[u8]) -> bool {
        let at = self.shape.transport;
        self.headers[at..at + 4] == packet[at..at + 4]
    }

    /// Same ports, acknowledgement, window and options; the next sequence number; flags but PSH and FIN.
    fn same_tcp(&self, packet: &[u8]) -> bool {
        let (first, next) = (&self.headers[self.shape.transport..], &packet[self.shape.transport..self.shape.payload]);
        let sequence = be32(first, 4).wrapping_add((self.packets * self.segment) as u32);
        let flags = (first[13] ^ next[13]) & !(PSH | FIN) == 0;
        flags
            && be32(next, 4) == sequence
            && first[..4] == next[..4]
            && first[8..13] == next[8..13]
            && first[14..16] == next[14..16]
            && first[18..] == next[18..]
    }

    fn add(&mut self, headers: &[u8], payload: usize) {
        self.packets += 1;
        self.total += payload;
        self.full = payload < self.segment || ends_group(headers, &self.shape);
        if self.shape.tcp {
            let at = self.shape.transport + 13;
            self.headers[at] |= headers[at] & (PSH | FIN);
        }
    }

    /// Make the first packet's headers those of the whole, and say so to the kernel.
    fn close(&mut self) -> Vnet {
        let Shape { ipv6, tcp, transport, payload, .. } = self.shape;
        let joined = self.packets > 1;
        if joined {
            let (at, length) = if ipv6 { (4, self.total - 40) } else { (2, self.total) };
            put16(self.headers, at, length);
            if !tcp {
                put16(self.headers, transport + 4, self.total - transport);
            }
        }
        checksum::leave_partial(self.headers, &self.shape, self.total);
        let (headers, segment) = if joined { (payload as u16, self.segment as u16) } else { (0, 0) };
        let gso = match (joined, tcp, ipv6) {
            (false, ..) => Gso::None,
            (true, false, _) => Gso::Udp,
            (true, true, false) => Gso::Tcp4,
            (true, true, true) => Gso::Tcp6,
        };
        Vnet {
            partial: true,
            gso,
            headers,
            segment,
            checksum_start: transport as u16,
            checksum_at: self.shape.checksum_at() as u16,
        }
    }
}

/// True if other packets may follow `packet` in one super-packet. The kernel does not join IPv4 with options,
/// and CWR belongs to the first packet alone.
fn may_be_joined(packet: &[u8], shape: &Shape) -> bool {
    let plain = packet.len() > shape.payload && (shape.ipv6 || shape.network == 20);
    plain && (!shape.tcp || packet[shape.transport + 13] & (SYN | RST | URG | CWR) == 0)
}

/// True if segmentation puts this packet's flags on the last one only.
fn ends_group(headers: &[u8], shape: &Shape) -> bool {
    shape.tcp && headers[shape.transport + 13] & (PSH | FIN) != 0
}

fn put16(bytes: &mut [u8], at: usize, value: usize) {
    bytes[at..at + 2].copy_from_slice(&(value as u16).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Flow, flow};
    use super::super::{Split, VNET_HEADER, finish_each};
    use super::*;

    /// Keeps what was written.
    #[derive(Default)]
    struct Written(Vec<(Vnet, Vec<u8>)>);

    impl Sink for Written {
        fn write(&mut self, super_packet: &[IoSlice<'_>], _packets: usize) {
            let bytes: Vec<u8> = super_packet.iter().flat_map(|slice| slice.to_vec()).collect();
            let vnet = bytes.first_chunk::<VNET_HEADER>().and_then(Vnet::decode);
            self.0.push((vnet.unwrap_or_default(), bytes[VNET_HEADER..].to_vec()));
        }
    }

    /// Packets as records carry them: checksums left to the receiver.
    fn partial_packets((vnet, bytes): &(Vnet, Vec<u8>)) -> Vec<Vec<u8>> {
        let Some(mut split) = Split::plan(vnet, bytes, bytes.len()) else { return vec![bytes.clone()] };
        let payload = &bytes[split.shape.payload..];
        (0..split.count())
            .map(|index| [split.headers(index).to_vec(), payload[split.piece(index)].to_vec()].concat())
            .collect()
    }

    fn coalesce(packets: &mut [Vec<u8>]) -> Vec<(Vnet, Vec<u8>)> {
        let (mut written, mut coalescer) = (Written::default(), Coalescer::new(true));
        for packet in packets {
            assert!(coalescer.push(packet, true, &mut written));
        }
        coalescer.flush(&mut written);
        written.0
    }

    fn finished(mut super_packet: (Vnet, Vec<u8>)) -> Vec<Vec<u8>> {
        let mut packets = vec![];
        assert!(finish_each(&super_packet.0, &mut super_packet.1, |packet| packets.push(packet)));
        packets
    }

    proptest! {
        #[test]
        fn joining_after_splitting_gives_the_super_packet_back(flow in flow().prop_filter("no CWR", |flow| flow.flags & CWR == 0 || !flow.tcp)) {
            let original = flow.super_packet();
            prop_assert_eq!(coalesce(&mut partial_packets(&original)), vec![original]);
        }

        #[test]
        fn splitting_what_was_joined_gives_the_packets_back(flows in prop::collection::vec(flow(), 1..6)) {
            let supers: Vec<_> = flows.iter().map(Flow::super_packet).collect();
            let joined = coalesce(&mut supers.iter().flat_map(partial_packets).collect::<Vec<_>>());
            let expected: Vec<_> = supers.into_iter().flat_map(finished).collect();
            prop_assert_eq!(joined.into_iter().flat_map(finished).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn two_flows_mixed_keep_their_packets_and_order(flow in flow(), mix in prop::collection::vec(any::<bool>(), 130)) {
            let other = Flow { port: flow.port ^ 1, ..flow };
            let (mut left, mut right) = (partial_packets(&flow.super_packet()), partial_packets(&other.super_packet()));
            left.reverse();
            right.reverse();
            let mut mixed: Vec<Vec<u8>> = mix.iter().filter_map(|&first| if first { left.pop() } else { right.pop() }).collect();
            let expected: Vec<_> = mixed.iter().map(|packet| finished((single(&flow), packet.clone())).remove(0)).collect();
            prop_assert_eq!(coalesce(&mut mixed).into_iter().flat_map(finished).collect::<Vec<_>>(), expected);
        }

        #[test]
        fn damaged_packets_never_panic(flow in flow(), damage in prop::collection::vec((any::<prop::sample::Index>(), 0..70_usize, any::<u8>(), 0..1500_usize), 1..9)) {
            let mut packets = partial_packets(&flow.super_packet());
            for (which, at, byte, length) in damage {
                let packet = which.get_mut(&mut packets);
                packet.truncate(length);
                if let Some(place) = packet.get_mut(at) {
                    *place = byte;
                }
            }
            let (mut written, mut coalescer) = (Written::default(), Coalescer::new(true));
            for packet in &mut packets {
                coalescer.push(packet, true, &mut written);
            }
            coalescer.flush(&mut written);
        }

        #[test]
        fn random_bytes_never_panic(mut packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 0..5), partial: bool) {
            let (mut written, mut coalescer) = (Written::default(), Coalescer::new(true));
            for packet in &mut packets {
                coalescer.push(packet, partial, &mut written);
            }
            coalescer.flush(&mut written);
        }
    }

    fn single(flow: &Flow) -> Vnet {
        let (vnet, _) = Flow { payload: 1, segment: 1, ..*flow }.super_packet();
        vnet
    }

    #[test]
    fn a_hole_in_the_sequence_ends_a_super_packet() {
        let mut packets = partial_packets(&Flow { payload: 1288 * 5, ..Flow::default() }.super_packet());
        packets.remove(2);
        assert_eq!(coalesce(&mut packets).len(), 2);
    }

    #[test]
    fn udp_stays_apart_where_the_kernel_cannot_split_it() {
        let mut packets = partial_packets(&Flow { tcp: false, options: 0, ..Flow::default() }.super_packet());
        let (mut written, mut coalescer) = (Written::default(), Coalescer::new(false));
        for packet in &mut packets {
            assert!(coalescer.push(packet, true, &mut written));
        }
        coalescer.flush(&mut written);
        assert_eq!(written.0.len(), packets.len());
    }

    #[test]
    fn a_packet_without_a_transport_cannot_leave_its_checksum_to_us() {
        let (mut written, mut packet) = (Written::default(), [0x45; 40]);
        packet[9] = 1;
        assert!(!Coalescer::new(true).push(&mut packet, true, &mut written));
    }
}
