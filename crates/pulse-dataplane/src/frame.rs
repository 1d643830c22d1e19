//! Frames: what travels from node to node, with a header for the hops alone.
//!
//! ```text
//! 0x21 | flags 1 | rsv 2 | link index 4 | hop counter 8 | sealed(hop header 16) | tag 16 | body
//! src handle 4 | dst handle 4 | kind 1 | proto 1 | sport 2 | dport 2 | ttl 1 | flags 1
//! ```
//! Invariant: the seal covers the first 16 bytes, and for both kinds of probe the body too, which no other
//! layer protects. A flag in clear says so, because the kind is known only after opening; the two must agree.

use crate::Handle;
use crate::seal::{HopRun, HopSealer};
use crate::stats::Drop;

/// First byte of a frame.
pub const FRAME: u8 = 0x21;
/// Bytes before the body.
pub const FRAME_OVERHEAD: usize = 48;
/// How many hops a frame may take.
pub const TTL: u8 = 16;

/// Bytes in clear: the part of the AAD every frame has.
const CLEAR: usize = 16;
/// Clear flag: the body is under the seal.
const BODY_SEALED: u8 = 1;

/// What the body is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// A record, complete with its own header.
    Record = 0,
    /// A QUIC packet of an end-to-end session.
    Session = 1,
    /// A probe of this link; never forwarded.
    LinkProbe = 2,
    /// A probe of a whole path.
    PathProbe = 3,
    /// Redundancy over records.
    Parity = 4,
}

impl Kind {
    fn decode(byte: u8) -> Result<Self, Drop> {
        [Self::Record, Self::Session, Self::LinkProbe, Self::PathProbe, Self::Parity]
            .get(usize::from(byte))
            .copied()
            .ok_or(Drop::UnknownKind)
    }

    fn seals_body(self) -> bool {
        matches!(self, Self::LinkProbe | Self::PathProbe)
    }
}

/// What each hop may know of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HopHeader {
    /// The node that made the frame.
    pub src: Handle,
    /// The node it is for.
    pub dst: Handle,
    /// What the body is.
    pub kind: Kind,
    /// IP protocol of a record's packet, else 0.
    pub proto: u8,
    /// Its source port, else 0.
    pub sport: u16,
    /// Its destination port, else 0.
    pub dport: u16,
    /// Hops it may still take.
    pub ttl: u8,
    /// Reserved for routing; 0 on frames of one hop.
    pub flags: u8,
}

impl HopHeader {
    /// The header of a body that is no record: a session packet or a probe.
    pub fn new(src: Handle, dst: Handle, kind: Kind) -> Self {
        let ttl = if kind == Kind::LinkProbe { 1 } else { TTL };
        Self { src, dst, kind, proto: 0, sport: 0, dport: 0, ttl, flags: 0 }
    }

    /// The 16 bytes under the seal.
    pub fn encode(&self) -> [u8; 16] {
        let mut bytes = [0; 16];
        bytes[..4].copy_from_slice(&self.src.octets());
        bytes[4..8].copy_from_slice(&self.dst.octets());
        bytes[8..10].copy_from_slice(&[self.kind as u8, self.proto]);
        bytes[10..12].copy_from_slice(&self.sport.to_be_bytes());
        bytes[12..14].copy_from_slice(&self.dport.to_be_bytes());
        bytes[14..].copy_from_slice(&[self.ttl, self.flags]);
        bytes
    }

    /// The other way round; a kind we do not know is refused.
    pub fn decode(bytes: &[u8; 16]) -> Result<Self, Drop> {
        let [s0, s1, s2, s3, d0, d1, d2, d3, kind, proto, sp0, sp1, dp0, dp1, ttl, flags] = *bytes;
        Ok(Self {
            src: Handle::new(s0, s1, s2, s3),
            dst: Handle::new(d0, d1, d2, d3),
            kind: Kind::decode(kind)?,
            proto,
            sport: u16::from_be_bytes([sp0, sp1]),
            dport: u16::from_be_bytes([dp0, dp1]),
            ttl,
            flags,
        })
    }
}

/// Seal in place: `frame` is 48 bytes of room and the body. `counter` was reserved from `sealer`.
pub fn seal(sealer: &HopSealer, counter: u64, header: &HopHeader, frame: &mut [u8]) {
    let (clear, rest) = frame.split_at_mut(CLEAR);
    let (sealed, body) = rest.split_at_mut(FRAME_OVERHEAD - CLEAR);
    let flags = if header.kind.seals_body() { BODY_SEALED } else { 0 };
    clear[..4].copy_from_slice(&[FRAME, flags, 0, 0]);
    clear[4..8].copy_from_slice(&sealer.peer_index.to_be_bytes());
    clear[8..].copy_from_slice(&counter.to_be_bytes());
    sealed[..16].copy_from_slice(&header.encode());
    match header.kind.seals_body() {
        true => sealer.key.seal(counter, &[clear, body].concat(), sealed),
        false => sealer.key.seal(counter, clear, sealed),
    }
}

/// Open in place, one of a run from one neighbour: the header; the body follows from byte 48 on.
pub fn open(run: &mut HopRun<'_>, frame: &mut [u8]) -> Result<HopHeader, Drop> {
    if frame.len() < FRAME_OVERHEAD {
        return Err(Drop::Truncated);
    }
    let (clear, rest) = frame.split_at_mut(CLEAR);
    let (sealed, body) = rest.split_at_mut(FRAME_OVERHEAD - CLEAR);
    let counter = u64::from_be_bytes(std::array::from_fn(|at| clear[8 + at]));
    let body_sealed = clear[1] & BODY_SEALED != 0;
    let plain = match body_sealed {
        // A copy, but probes come a few times a second.
        true => run.key.open(counter, &[clear, body].concat(), sealed),
        false => run.key.open(counter, clear, sealed),
    };
    let plain = plain.ok_or(Drop::BadSeal)?;
    if !run.window.accept(counter) {
        return Err(Drop::Replayed);
    }
    let header = HopHeader::decode(&std::array::from_fn(|at| plain[at]))?;
    if header.kind.seals_body() == body_sealed { Ok(header) } else { Err(Drop::BadSeal) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::seal::{Cipher, HopOpener, TAG};
    use crate::vectors::{check, hex, quoted};

    const SECRET: [u8; 32] = [9; 32];

    fn ends(cipher: Cipher) -> (HopSealer, HopOpener) {
        (HopSealer::new(0x01020304, &SECRET, cipher), HopOpener::new(&SECRET, cipher))
    }

    fn header(kind: Kind) -> HopHeader {
        HopHeader::new(Handle::new(10, 100, 0, 1), Handle::new(10, 100, 0, 2), kind)
    }

    fn sealed(sealer: &HopSealer, header: &HopHeader, body: &[u8]) -> Vec<u8> {
        let mut frame = [&[0; FRAME_OVERHEAD], body].concat();
        seal(sealer, sealer.reserve(1), header, &mut frame);
        frame
    }

    fn kind() -> impl Strategy<Value = Kind> {
        prop::sample::select(vec![Kind::Record, Kind::Session, Kind::LinkProbe, Kind::PathProbe, Kind::Parity])
    }

    proptest! {
        #[test]
        fn a_frame_opens_to_what_was_sealed(kind in kind(), ports: [u16; 2], rest: [u8; 3], body in prop::collection::vec(any::<u8>(), 0..100)) {
            let (sealer, opener) = ends(Cipher::Aes128Gcm);
            let header = HopHeader { sport: ports[0], dport: ports[1], proto: rest[0], ttl: rest[1], flags: rest[2], ..header(kind) };
            let mut frame = sealed(&sealer, &header, &body);
            prop_assert_eq!(open(&mut opener.run(), &mut frame), Ok(header));
            prop_assert_eq!(&frame[FRAME_OVERHEAD..], &body[..]);
        }

        #[test]
        fn no_bit_before_the_body_can_change(kind in kind(), bit in 0..FRAME_OVERHEAD * 8) {
            // The first byte and the index choose who opens at all.
            let (sealer, opener) = ends(Cipher::ChaCha20Poly1305);
            let mut frame = sealed(&sealer, &header(kind), b"body");
            frame[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(open(&mut opener.run(), &mut frame), Err(Drop::BadSeal));
        }

        #[test]
        fn random_bytes_never_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert!(open(&mut ends(Cipher::Aes128Gcm).1.run(), &mut bytes).is_err());
        }
    }

    #[test]
    fn a_probes_body_is_under_the_seal_and_a_session_packet_guards_itself() {
        for (kind, opens) in
            [(Kind::LinkProbe, false), (Kind::PathProbe, false), (Kind::Session, true), (Kind::Record, true)]
        {
            let (sealer, opener) = ends(Cipher::Aes128Gcm);
            let mut frame = sealed(&sealer, &header(kind), b"body");
            frame[FRAME_OVERHEAD] ^= 1;
            assert_eq!(open(&mut opener.run(), &mut frame).is_ok(), opens, "{kind:?}");
        }
    }

    #[test]
    fn a_probe_that_hides_its_kind_is_refused() {
        let (sealer, opener) = ends(Cipher::Aes128Gcm);
        for (kind, flags) in [(Kind::LinkProbe, 0), (Kind::Session, BODY_SEALED)] {
            let mut frame = [0; FRAME_OVERHEAD];
            let counter = sealer.reserve(1);
            let (clear, rest) = frame.split_at_mut(CLEAR);
            clear[..8].copy_from_slice(&[FRAME, flags, 0, 0, 1, 2, 3, 4]);
            clear[8..].copy_from_slice(&counter.to_be_bytes());
            rest[..16].copy_from_slice(&header(kind).encode());
            sealer.key.seal(counter, clear, rest);
            assert_eq!(open(&mut opener.run(), &mut frame), Err(Drop::BadSeal));
        }
    }

    #[test]
    fn a_second_copy_is_refused() {
        let (sealer, opener) = ends(Cipher::Aes128Gcm);
        let frame = sealed(&sealer, &header(Kind::Session), b"body");
        assert!(open(&mut opener.run(), &mut frame.clone()).is_ok());
        assert_eq!(open(&mut opener.run(), &mut frame.clone()), Err(Drop::Replayed));
    }

    #[test]
    fn an_unknown_kind_and_a_short_frame_are_refused() {
        let mut bytes = header(Kind::Parity).encode();
        bytes[8] = 5;
        assert_eq!(HopHeader::decode(&bytes), Err(Drop::UnknownKind));
        let (_, opener) = ends(Cipher::Aes128Gcm);
        assert_eq!(open(&mut opener.run(), &mut [FRAME; FRAME_OVERHEAD - 1]), Err(Drop::Truncated));
    }

    #[test]
    fn the_vectors_hold() {
        let about = "frame = clear header 16 | sealed hop header 16 | tag 16 | body; nonce = 4 zero bytes | counter; aad = clear header (and the body if clear flag 1 is set); AES-128 uses the first 16 bytes of the secret";
        let secret: [u8; 32] = std::array::from_fn(|at| at as u8);
        let session = header(Kind::Session);
        let record = HopHeader { proto: 6, sport: 50_000, dport: 443, ttl: 15, ..header(Kind::Record) };
        let cases = [
            ("a session packet", Cipher::Aes128Gcm, 0, session, &b"\x45opaque"[..]),
            ("a link probe", Cipher::Aes128Gcm, 1, header(Kind::LinkProbe), &[7; 13]),
            (
                "a record, ChaCha20, a counter past 32 bits",
                Cipher::ChaCha20Poly1305,
                0x1_0000_0001,
                record,
                b"\x23record",
            ),
            ("a path probe, ChaCha20, no body", Cipher::ChaCha20Poly1305, 2, header(Kind::PathProbe), b""),
        ];
        let vectors = cases.map(|(name, cipher, counter, header, body)| {
            let sealer = HopSealer::new(0xa1b2c3d4, &secret, cipher);
            let mut frame = [&[0; FRAME_OVERHEAD], body].concat();
            seal(&sealer, counter, &header, &mut frame);
            vec![
                ("name", quoted(name)),
                ("cipher", quoted(format!("{cipher:?}"))),
                ("secret_hex", hex(&secret)),
                ("index", sealer.peer_index.to_string()),
                ("counter", counter.to_string()),
                ("src", quoted(header.src)),
                ("dst", quoted(header.dst)),
                ("kind", (header.kind as u8).to_string()),
                ("proto", header.proto.to_string()),
                ("sport", header.sport.to_string()),
                ("dport", header.dport.to_string()),
                ("ttl", header.ttl.to_string()),
                ("flags", header.flags.to_string()),
                ("body_hex", hex(body)),
                ("bytes_hex", hex(&frame)),
            ]
        });
        check("frame.json", about, &vectors);
        assert_eq!(FRAME_OVERHEAD, CLEAR + 16 + TAG);
    }
}
