//! What applications send, and what arrives of it, for tests.

use std::io::{self, IoSliceMut};
use std::net::{IpAddr, SocketAddr};
use std::task::{Context, Poll, Waker};

use quinn::udp::RecvMeta;

use super::testing::{Node, v4, v6};
use crate::inbox::Inbox;
use crate::offload::{Gso, Shape, Vnet, checksum, finish_each};

/// A TCP super-packet from node 1 to node 2 with so many bytes of payload in segments of 1288.
pub fn tcp(payload: usize) -> (Vnet, Vec<u8>) {
    tcp_of(1, 2, 81, payload)
}

/// One between any nodes, to any port below 256.
pub fn tcp_of(from: u8, to: u8, port: u8, payload: usize) -> (Vnet, Vec<u8>) {
    let mut packet = ip_packet(v4(from).into(), v4(to).into(), 6, 20 + payload);
    packet[20..32].copy_from_slice(&[0, 80, 0, port, 0, 0, 0, 1, 0, 0, 0, 2]);
    packet[32..34].copy_from_slice(&[0x50, 0x10]);
    for (at, byte) in packet[40..].iter_mut().enumerate() {
        *byte = (at / 7) as u8;
    }
    unfinished(packet, payload, 1288, Gso::Tcp4)
}

/// A UDP super-packet over IPv6, the other way of everything.
pub fn udp6(payload: usize) -> (Vnet, Vec<u8>) {
    let mut packet = ip_packet(v6(1).into(), v6(2).into(), 17, 8 + payload);
    packet[40..44].copy_from_slice(&[0, 80, 0, 81]);
    packet[44..46].copy_from_slice(&(8 + payload as u16).to_be_bytes());
    packet[48..].fill(6);
    unfinished(packet, payload, 500, Gso::Udp)
}

fn unfinished(mut packet: Vec<u8>, payload: usize, segment: usize, gso: Gso) -> (Vnet, Vec<u8>) {
    let mut vnet = Vnet { partial: true, ..Vnet::default() };
    if let Some(shape) = Shape::of(&packet) {
        let total = packet.len();
        checksum::leave_partial(&mut packet, &shape, total);
        (vnet.checksum_start, vnet.checksum_at) = (shape.transport as u16, shape.checksum_at() as u16);
        if payload > segment {
            (vnet.gso, vnet.headers, vnet.segment) = (gso, shape.payload as u16, segment as u16);
        }
    }
    (vnet, packet)
}

pub fn ip_packet(source: IpAddr, destination: IpAddr, protocol: u8, payload: usize) -> Vec<u8> {
    let mut packet = match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let mut header =
                [&[0x45, 0, 0, 0, 0, 7, 0x40, 0, 64, protocol, 0, 0][..], &source.octets(), &destination.octets()]
                    .concat();
            header[2..4].copy_from_slice(&(20 + payload as u16).to_be_bytes());
            header
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let [high, low] = (payload as u16).to_be_bytes();
            [&[0x60, 0, 0, 0, high, low, protocol, 64][..], &source.octets(), &destination.octets()].concat()
        }
        _ => vec![],
    };
    packet.resize(packet.len() + payload, 0);
    packet
}

pub fn icmp(source: IpAddr, destination: IpAddr) -> Vec<u8> {
    ip_packet(source, destination, 1, 8)
}

/// The packets of what was read, finished, whatever way they were joined.
pub fn packets((vnet, mut bytes): (Vnet, Vec<u8>)) -> Vec<Vec<u8>> {
    let mut packets = vec![];
    assert!(finish_each(&vnet, &mut bytes, |packet| packets.push(packet)));
    packets
}

pub fn read_packets(node: &mut Node, count: usize) -> io::Result<Vec<Vec<u8>>> {
    let mut all = vec![];
    while all.len() < count {
        all.extend(packets(node.read()?));
    }
    Ok(all)
}

/// What quinn would be given: bytes, stride and sender of each run.
pub fn polled(inbox: &Inbox) -> Vec<(Vec<u8>, usize, SocketAddr)> {
    let mut buffer = vec![0; 1 << 16];
    let (mut meta, mut all) = ([RecvMeta::default()], vec![]);
    while let Poll::Ready(Ok(_)) =
        inbox.poll(&mut Context::from_waker(Waker::noop()), &mut [IoSliceMut::new(&mut buffer)], &mut meta)
    {
        all.push((buffer[..meta[0].len].to_vec(), meta[0].stride, meta[0].addr));
    }
    all
}
