//! The Internet checksum (RFC 1071), whole and half-done.
//!
//! Sums are kept in memory order: adding is the same in both byte orders, so only the final store matters.

use super::Shape;

/// Add `bytes`, which start at an even place of what is summed.
pub fn sum(bytes: &[u8], start: u64) -> u64 {
    let mut words = bytes.chunks_exact(4);
    let total = words
        .by_ref()
        .fold(start, |total, word| total + u64::from(u32::from_ne_bytes([word[0], word[1], word[2], word[3]])));
    let mut tail = [0; 4];
    tail[..words.remainder().len()].copy_from_slice(words.remainder());
    total + u64::from(u32::from_ne_bytes(tail))
}

/// The 16-bit one's complement sum, as its two bytes in memory.
pub fn fold(mut total: u64) -> [u8; 2] {
    while total >> 16 != 0 {
        total = (total & 0xffff) + (total >> 16);
    }
    (total as u16).to_ne_bytes()
}

/// Complete the sum that starts at byte `start`, its field `at` bytes in holding the pseudo header's sum
/// already. False if there is no such place.
pub fn complete(packet: &mut [u8], start: usize, at: usize) -> bool {
    let Some(covered) = packet.get_mut(start..).filter(|covered| covered.len() >= at + 2) else { return false };
    let value = never_zero(fold(sum(covered, 0)));
    covered[at..at + 2].copy_from_slice(&value);
    true
}

/// Compute both checksums of a packet: that of the IPv4 header and that of TCP or UDP.
pub fn finish(packet: &mut [u8], shape: &Shape) {
    leave_partial(packet, shape, packet.len());
    complete(packet, shape.transport, shape.checksum_at());
}

/// Write the IPv4 header checksum, and the pseudo header's sum where the transport's checksum goes.
/// `packet` holds at least the headers of a packet of `total` bytes.
pub fn leave_partial(packet: &mut [u8], shape: &Shape, total: usize) {
    if !shape.ipv6 {
        packet[10..12].fill(0);
        let [high, low] = fold(sum(&packet[..shape.network], 0));
        packet[10..12].copy_from_slice(&[!high, !low]);
    }
    let at = shape.transport + shape.checksum_at();
    let pseudo = fold(pseudo_sum(packet, shape, total - shape.transport));
    packet[at..at + 2].copy_from_slice(&pseudo);
}

fn pseudo_sum(packet: &[u8], shape: &Shape, length: usize) -> u64 {
    let addresses = if shape.ipv6 { &packet[8..40] } else { &packet[12..20] };
    let [high, low] = (length as u16).to_be_bytes();
    sum(&[0, shape.protocol(), high, low], sum(addresses, 0))
}

/// In UDP 0 means "no checksum"; its other form means the same to TCP.
fn never_zero([high, low]: [u8; 2]) -> [u8; 2] {
    if [high, low] == [0xff, 0xff] { [0xff, 0xff] } else { [!high, !low] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_adds_up() {
        assert_eq!(fold(sum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7], 0)), [0xdd, 0xf2]);
    }

    #[test]
    fn an_odd_byte_counts_as_the_high_half() {
        assert_eq!(fold(sum(&[0x12, 0x34, 0x56], 0)), [0x68, 0x34]);
    }

    #[test]
    fn a_place_outside_the_packet_is_refused() {
        assert!(!complete(&mut [0; 20], 16, 6));
        assert!(!complete(&mut [0; 20], 21, 0));
    }
}
