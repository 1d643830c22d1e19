//! The header that stands before each super-packet on the TUN (struct virtio_net_hdr, native byte order).

/// Its length.
pub const VNET_HEADER: usize = 10;

const NEEDS_CHECKSUM: u8 = 1;
/// Set beside the kind when CWR is in the packet; the split looks for itself.
const ECN: u8 = 0x80;

/// How the kernel joined the packets of one super-packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(u8)]
pub enum Gso {
    /// It is one packet.
    #[default]
    None = 0,
    /// TCP over IPv4.
    Tcp4 = 1,
    /// TCP over IPv6.
    Tcp6 = 4,
    /// UDP over either (USO).
    Udp = 5,
}

/// What the kernel says, or is told, about a super-packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Vnet {
    /// The transport checksum is unfinished: its field holds the pseudo header's sum.
    pub partial: bool,
    /// How it was joined.
    pub gso: Gso,
    /// Bytes of all headers.
    pub headers: u16,
    /// Payload bytes of each packet but the last.
    pub segment: u16,
    /// Where the checksum begins to count.
    pub checksum_start: u16,
    /// Where it is kept, from there.
    pub checksum_at: u16,
}

impl Vnet {
    /// None for a kind of joining we did not ask for.
    pub fn decode(bytes: &[u8; VNET_HEADER]) -> Option<Self> {
        let [flags, kind, h0, h1, s0, s1, c0, c1, a0, a1] = *bytes;
        let gso = match kind & !ECN {
            0 => Gso::None,
            1 => Gso::Tcp4,
            4 => Gso::Tcp6,
            5 => Gso::Udp,
            _ => return None,
        };
        Some(Self {
            partial: flags & NEEDS_CHECKSUM != 0,
            gso,
            headers: u16::from_ne_bytes([h0, h1]),
            segment: u16::from_ne_bytes([s0, s1]),
            checksum_start: u16::from_ne_bytes([c0, c1]),
            checksum_at: u16::from_ne_bytes([a0, a1]),
        })
    }

    /// The 10 bytes.
    pub fn encode(&self) -> [u8; VNET_HEADER] {
        let [h0, h1] = self.headers.to_ne_bytes();
        let [s0, s1] = self.segment.to_ne_bytes();
        let [c0, c1] = self.checksum_start.to_ne_bytes();
        let [a0, a1] = self.checksum_at.to_ne_bytes();
        [if self.partial { NEEDS_CHECKSUM } else { 0 }, self.gso as u8, h0, h1, s0, s1, c0, c1, a0, a1]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_comes_back_as_it_was() {
        for gso in [Gso::None, Gso::Tcp4, Gso::Tcp6, Gso::Udp] {
            let vnet = Vnet { partial: true, gso, headers: 72, segment: 1268, checksum_start: 40, checksum_at: 16 };
            assert_eq!(Vnet::decode(&vnet.encode()), Some(vnet));
        }
    }

    #[test]
    fn an_unknown_kind_of_joining_is_refused() {
        assert_eq!(Vnet::decode(&[0, 3, 0, 0, 0, 0, 0, 0, 0, 0]), None);
    }
}
