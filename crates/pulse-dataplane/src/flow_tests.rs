#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::frame::Kind;
use crate::offload::Split;
use crate::offload::testing::flow;

fn ipv4(proto: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = fragment.to_be_bytes();
    [&[0x45, 0, 0, 0, 0, 0, high, low, 64, proto, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2][..], payload].concat()
}

fn ipv6(next: u8, payload: &[u8]) -> Vec<u8> {
    [&[0x60, 0, 0, 0, 0, 0, next, 64][..], &[0; 32], payload].concat()
}

fn transport(proto: u8, sport: u16, dport: u16) -> Transport {
    Transport { proto, sport, dport, fragment: false }
}

proptest! {
    #[test]
    fn a_super_packet_and_each_packet_of_it_read_the_same(flow in flow()) {
        let (vnet, bytes) = flow.super_packet();
        let whole = Transport::of(&bytes);
        prop_assert_eq!(whole.has_ports(), true);
        let Some(mut split) = Split::plan(&vnet, &bytes, bytes.len()) else { return Ok(()) };
        for index in 0..split.count() {
            let piece = bytes[split.shape.payload..][split.piece(index)].to_vec();
            prop_assert_eq!(Transport::of(&[split.headers(index).to_vec(), piece].concat()), whole);
        }
    }

    #[test]
    fn nothing_behind_120_bytes_matters(mut bytes in prop::collection::vec(any::<u8>(), 0..300), six: bool) {
        if let Some(first) = bytes.first_mut() {
            *first = if six { 0x60 } else { 0x45 };
        }
        prop_assert_eq!(Transport::of(&bytes), Transport::of(&bytes[..bytes.len().min(120)]));
    }

    #[test]
    fn a_header_says_the_flow_that_was_described(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        let (src, dst) = (Handle::new(10, 0, 0, 1), Handle::new(10, 0, 0, 2));
        let transport = Transport::of(&bytes);
        let header = HopHeader::new(src, dst, Kind::Record).describe(transport);
        prop_assert_eq!(header.flow(), Flow { src, dst, transport, ends: None });
        prop_assert_eq!(HopHeader { flags: header.flags | REPLY, ..header }.judged_flow(), header.flow().swapped());
        prop_assert_eq!(header.flow().swapped().swapped(), header.flow());
    }
}

#[test]
fn ports_and_icmp_types_are_read() {
    assert_eq!(Transport::of(&ipv4(TCP, 0x4000, &[0, 80, 1, 0])), transport(TCP, 80, 256));
    assert_eq!(Transport::of(&ipv4(ICMP, 0, &[8, 3])), transport(ICMP, 8, 3));
    assert_eq!(Transport::of(&ipv6(ICMP6, &[128, 0])), transport(ICMP6, 128, 0));
    assert_eq!(Transport::of(&ipv4(47, 0, &[1, 2, 3, 4])), transport(47, 0, 0));
    assert!(!Transport::of(&ipv4(47, 0, &[])).has_ports() && !Transport::of(&ipv4(ICMP, 0, &[8, 3])).has_ports());
}

#[test]
fn extension_headers_are_passed_over_and_fragments_known() {
    let options = [UDP, 0, 1, 4, 0, 0, 0, 0];
    assert_eq!(Transport::of(&ipv6(60, &[&options[..], &[0, 7, 0, 9]].concat())), transport(UDP, 7, 9));
    let first_fragment = [UDP, 0, 0, 1, 0, 0, 0, 9, 0, 7, 0, 9];
    assert_eq!(Transport::of(&ipv6(44, &first_fragment)), transport(UDP, 7, 9));
    let later_fragment = [60, 0, 0, 9, 0, 0, 0, 9, 0, 7, 0, 9];
    assert_eq!(Transport::of(&ipv6(44, &later_fragment)), Transport::unread(UNREADABLE));
    let later_fragment = [UDP, 0, 0, 9, 0, 0, 0, 9, 0, 7, 0, 9];
    assert_eq!(Transport::of(&ipv6(44, &later_fragment)), Transport::unread(UDP));
    let authentication = [TCP, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2];
    assert_eq!(Transport::of(&ipv6(51, &authentication)), transport(TCP, 1, 2));
    let endless = [0_u8; 80];
    assert_eq!(Transport::of(&ipv6(0, &endless)), Transport::unread(UNREADABLE));
}

#[test]
fn fragments_are_told_by_their_datagram_and_led_by_the_one_with_the_whole_header() {
    let of = |datagram, leads| Some(Fragment { datagram, leads });
    let v4 = |proto, place, payload: &[u8]| {
        let mut packet = ipv4(proto, place, payload);
        packet[4..6].copy_from_slice(&[1, 2]);
        Traits::of(&packet).fragment
    };
    assert_eq!(v4(UDP, 0x4000, &[0; 8]), None);
    let (udp, tcp) = (u32::from(UDP) << 16 | 258, u32::from(TCP) << 16 | 258);
    assert_eq!((v4(UDP, 0x2000, &[0; 8]), v4(UDP, 0x2000, &[0; 7])), (of(udp, true), None));
    assert_eq!((v4(UDP, 0x2009, &[0; 8]), v4(UDP, 9, &[0; 8])), (of(udp, false), of(udp, false)));
    let mut with_options = [0; 28];
    with_options[12] = 7 << 4;
    assert_eq!((v4(TCP, 0x2000, &with_options), v4(TCP, 0x2000, &with_options[..24])), (of(tcp, true), None));
    let v6 = |place: u8, payload: &[u8]| {
        Traits::of(&ipv6(44, &[&[UDP, 0, 0, place, 0, 1, 0, 2], payload].concat())).fragment
    };
    assert_eq!((v6(0, &[0; 8]), v6(1, &[0; 8]), v6(9, &[0; 8])), (None, of(65538, true), of(65538, false)));
    for none in [&[][..], &[0x45; 12], &ipv6(UDP, &[])] {
        assert!(Traits::of(none).are_plain());
    }
}

#[test]
fn first_fragments_whose_ports_are_out_of_sight_neither_lead_nor_follow() {
    let first = |next: u8, behind: &[u8]| ipv6(44, &[&[next, 0, 0, 1, 0, 0, 0, 9], behind].concat());
    let long_options = [&[TCP, 10][..], &[0; 106]].concat();
    let many_options = [60, 0, 1, 4, 0, 0, 0, 0].repeat(9);
    for (packet, proto) in
        [(first(60, &long_options), TCP), (first(60, &many_options), UNREADABLE), (first(60, &[]), 255)]
    {
        assert_eq!((Transport::of(&packet), Traits::of(&packet).fragment), (Transport::unread(proto), None));
    }
}

#[test]
fn a_segment_says_whether_it_begins_ends_or_resets_its_connection() {
    let stage = |proto, flags| {
        let mut segment = [0; 20];
        (segment[12], segment[13]) = (0x50, flags);
        Traits::of(&ipv4(proto, 0, &segment)).stage
    };
    let (begins, finishes, resets) = (Stage::Begins, Stage::Finishes, Stage::Resets);
    // SYN, SYN|ACK; FIN, PSH|FIN|ACK; RST, RST|ACK, and what nobody sends.
    let said = [2, 0x12, 1, 0x19, 4, 0x14, 7, 3];
    let expected = [begins, begins, finishes, finishes, resets, resets, resets, finishes];
    assert_eq!(said.map(|flags| stage(TCP, flags)), expected);
    assert_eq!((stage(TCP, 0x10), stage(TCP, 0x18), stage(UDP, 1)), (Stage::GoesOn, Stage::GoesOn, Stage::GoesOn));
    assert_eq!(Traits::of(&ipv4(TCP, 0, &[0, 80, 0, 81])).stage, Stage::GoesOn);
    assert!(!Traits::of(&ipv4(TCP, 0, &[1; 20])).are_plain());
}

#[test]
fn what_holds_no_ports_has_none() {
    assert_eq!(Transport::of(&ipv4(TCP, 0x2001, &[0, 80, 1, 0])), Transport::unread(TCP));
    assert_eq!(Transport::of(&ipv4(UDP, 0x2000, &[0, 80, 1, 0])), transport(UDP, 80, 256));
    assert_eq!(Transport::of(&ipv4(UDP, 0, &[0, 80, 1])), Transport::unread(UDP));
    assert_eq!(Transport::of(&[]).proto, UNREADABLE);
    assert_eq!(Transport::of(&[0x45; 12]), Transport::unread(UNREADABLE));
}

/// What scapy read off packets that it made (`tests/test_flow_vectors.py`): here it is the same, or hidden where the headers
/// are more, or longer, than anybody looks at; and never others.
#[test]
fn the_vectors_hold() {
    let vectors = include_str!("../../../tests/vectors/flow.json").split("\"packet_hex\": ").skip(1);
    let mut held = 0;
    for vector in vectors {
        let field =
            |name: &str| vector.split(&format!("\"{name}\": ")).nth(1).unwrap().split([',', '\n']).next().unwrap();
        let number = |name| field(name).parse::<u16>().unwrap();
        let hex = vector.split('"').nth(1).unwrap();
        let packet: Vec<u8> =
            (0..hex.len()).step_by(2).map(|place| u8::from_str_radix(&hex[place..place + 2], 16).unwrap()).collect();
        let read = Transport::of(&packet);
        if number("extensions") >= 8 || number("before") > 116 {
            assert!(read.hides_ports(), "{read:?} of {vector}");
        } else {
            let (proto, fragment) = (u8::try_from(number("proto")).unwrap(), field("hidden") == "true");
            assert_eq!(
                read,
                Transport { proto, sport: number("sport"), dport: number("dport"), fragment },
                "of {vector}"
            );
        }
        held += 1;
    }
    assert!(held > 60);
}
