//! The MSS that TCP announces as it opens, lowered to what the path takes whole (RFC 9293 §3.7.1, RFC 6691).
//!
//! Whoever hears the lower one never sends what would have to be split. That holds for IPv6 paths below 1,280 bytes too,
//! where nobody may be told that a packet is too big. Invariant: nothing but an MSS that is too large is changed, and the
//! checksum stays as right, as wrong or as unfinished as it was.

use super::Shape;
use super::shape::be16;

const TCP: u8 = 6;
const SYN: u8 = 2;

/// Kinds of options: the end of all, one byte of padding, and the MSS with its length.
const END: u8 = 0;
const NOTHING: u8 = 1;
const MSS: u8 = 2;
const MSS_LENGTH: usize = 4;

/// Headers that the MSS does not count: IP and TCP without options.
const HEADERS_V4: usize = 40;
const HEADERS_V6: usize = 60;

/// True if `packet` opens a TCP connection, or answers one that does: all there is to look at in most packets.
pub fn opens(packet: &[u8]) -> bool {
    let flags = match packet.first().map(|first| first >> 4) {
        Some(4) if packet.get(9) == Some(&TCP) => packet.get(usize::from(packet[0] & 15) * 4 + 13),
        Some(6) if packet.get(6) == Some(&TCP) => packet.get(40 + 13),
        _ => None,
    };
    flags.is_some_and(|flags| flags & SYN != 0)
}

/// Lower the MSS that `packet`, which opens a connection, announces to what packets of `mtu` bytes hold; `partial` if its
/// checksum is unfinished. One without the option is left alone: nobody sends it more than 536 or 1,220 bytes.
pub fn clamp(packet: &mut [u8], partial: bool, mtu: usize) {
    let Some(shape) = Shape::of(packet).filter(|shape| shape.tcp) else { return };
    let most = mtu.saturating_sub(if shape.ipv6 { HEADERS_V6 } else { HEADERS_V4 });
    let (start, mut at) = (shape.transport, shape.transport + 20);
    while let Some((kind, length)) = option(&packet[at..shape.payload]) {
        if (kind, length) == (MSS, MSS_LENGTH) && usize::from(be16(packet, at + 2)) > most {
            put(packet, start, at + 2, most as u16, partial);
        }
        at += length;
    }
}

/// Kind and length of the first of these options; none at their end, or where they make no sense any more.
fn option(options: &[u8]) -> Option<(u8, usize)> {
    match *options {
        [] | [END, ..] => None,
        [NOTHING, ..] => Some((NOTHING, 1)),
        [_] => None,
        [kind, length, ..] => {
            let length = usize::from(length);
            (length >= 2 && length <= options.len()).then_some((kind, length))
        }
    }
}

/// Write `value` at `at`, and what it changes into the checksum of the TCP header that begins at `start` (RFC 1624). An
/// unfinished one holds the pseudo header alone, which stays.
fn put(packet: &mut [u8], start: usize, at: usize, value: u16, partial: bool) {
    let before = [packet[at], packet[at + 1]];
    packet[at..at + 2].copy_from_slice(&value.to_be_bytes());
    if partial {
        return;
    }
    // An option may begin at an odd place: then its high byte is the low one of a word.
    let word = |bytes: [u8; 2]| {
        let word = u16::from_be_bytes(bytes);
        u32::from(if (at - start) % 2 == 0 { word } else { word.swap_bytes() })
    };
    let field = start + 16;
    let sum = u32::from(!be16(packet, field)) + u32::from(!(word(before) as u16)) + word(value.to_be_bytes());
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    packet[field..field + 2].copy_from_slice(&(!(sum as u16)).to_be_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::testing::{Flow, checksums_hold};
    use super::super::{checksum, finish_each};
    use super::*;

    /// A SYN with these options, padded to whole words; its checksum is finished.
    fn syn(ipv6: bool, options: &[u8]) -> Vec<u8> {
        let padded = options.len().next_multiple_of(4).min(40);
        let flow = Flow { ipv6, options: padded, payload: 0, flags: SYN, ..Flow::default() };
        let (_, mut packet) = flow.super_packet();
        let at = packet.len() - padded;
        packet[at..].fill(0);
        packet[at..][..options.len().min(padded)].copy_from_slice(&options[..options.len().min(padded)]);
        finish(&mut packet);
        packet
    }

    fn finish(packet: &mut [u8]) {
        if let Some(shape) = Shape::of(packet) {
            checksum::finish(packet, &shape);
        }
    }

    /// Options as stacks send them: the MSS behind so much padding, and more behind it.
    fn options() -> impl Strategy<Value = (Vec<u8>, usize, u16)> {
        (0..4_usize, any::<u16>(), prop::sample::select(vec![0, 1, 2])).prop_map(|(padding, mss, more)| {
            let [high, low] = mss.to_be_bytes();
            let others = [&[][..], &[4, 2], &[1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2]][more];
            ([&[NOTHING; 3][..padding.min(3)], &[MSS, 4, high, low], others].concat(), padding.min(3), mss)
        })
    }

    proptest! {
        #[test]
        fn a_larger_mss_is_lowered_and_the_checksum_stays_right(ipv6: bool, (options, padding, mss) in options(), mtu in 1100..1500_usize) {
            let before = syn(ipv6, &options);
            let mut after = before.clone();
            prop_assert!(opens(&after) && checksums_hold(&after));
            clamp(&mut after, false, mtu);
            let most = mtu - if ipv6 { 60 } else { 40 };
            let at = if ipv6 { 60 } else { 40 } + padding + 2;
            prop_assert_eq!(usize::from(be16(&after, at)), usize::from(mss).min(most));
            prop_assert!(checksums_hold(&after));
            // Nothing but the two fields is another.
            let checksum_at = if ipv6 { 56 } else { 36 };
            after[at..at + 2].copy_from_slice(&before[at..at + 2]);
            after[checksum_at..checksum_at + 2].copy_from_slice(&before[checksum_at..checksum_at + 2]);
            prop_assert_eq!(after, before);
        }

        #[test]
        fn a_wrong_checksum_stays_wrong(ipv6: bool, (options, _, _) in options(), wrong in 1..u8::MAX) {
            let mut packet = syn(ipv6, &options);
            let at = if ipv6 { 56 } else { 36 };
            packet[at] ^= wrong;
            clamp(&mut packet, false, 1200);
            prop_assert!(!checksums_hold(&packet));
        }

        #[test]
        fn an_unfinished_checksum_is_finished_right_later(ipv6: bool, (options, _, _) in options()) {
            let mut packet = syn(ipv6, &options);
            let Some(shape) = Shape::of(&packet) else { unreachable!("a TCP packet") };
            let total = packet.len();
            checksum::leave_partial(&mut packet, &shape, total);
            clamp(&mut packet, true, 1200);
            checksum::complete(&mut packet, shape.transport, shape.checksum_at());
            prop_assert!(checksums_hold(&packet));
        }

        #[test]
        fn whatever_the_options_say_nothing_but_options_and_checksum_changes(ipv6: bool, options in prop::collection::vec(prop_oneof![Just(2_u8), Just(4), any::<u8>()], 0..=40), cut in any::<prop::sample::Index>()) {
            let before = syn(ipv6, &options);
            for length in [before.len(), cut.index(before.len())] {
                let mut after = before[..length].to_vec();
                if opens(&after) {
                    clamp(&mut after, false, 1200);
                }
                let (headers, checksum_at) = if ipv6 { (60, 56) } else { (40, 36) };
                for (at, (one, other)) in before.iter().zip(&after).enumerate().take(headers) {
                    prop_assert!(one == other || (checksum_at..checksum_at + 2).contains(&at));
                }
                prop_assert!(length < before.len() || checksums_hold(&after));
            }
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..120), version in prop::sample::select(vec![0x45_u8, 0x4f, 0x60]), partial: bool) {
            if let Some(first) = bytes.first_mut() {
                *first = version;
            }
            for at in [6, 9] {
                if let Some(place) = bytes.get_mut(at) {
                    *place = TCP;
                }
            }
            opens(&bytes);
            clamp(&mut bytes, partial, 1200);
        }
    }

    #[test]
    fn a_connection_without_the_option_and_one_that_is_open_are_left_alone() {
        let (without, mut clamped) = (syn(false, &[NOTHING, END, MSS, 4, 5, 0xb4]), vec![]);
        clamped.clone_from(&without);
        clamp(&mut clamped, false, 1200);
        assert_eq!(clamped, without);
        let (vnet, mut bytes) = Flow { payload: 10, segment: 20, ..Flow::default() }.super_packet();
        assert!(finish_each(&vnet, &mut bytes, |packet| assert!(!opens(&packet))));
    }

    #[test]
    fn a_fragment_and_another_protocol_open_nothing_that_could_be_clamped() {
        let mut packet = syn(false, &[MSS, 4, 5, 0xb4]);
        packet[6] = 0x20;
        let before = packet.clone();
        clamp(&mut packet, false, 1200);
        assert_eq!(packet, before);
        packet[9] = 17;
        assert!(!opens(&packet));
    }
}
