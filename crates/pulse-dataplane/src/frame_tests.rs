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
        let opened = Opened { header, part: Part::Whole, counter: 0 };
        prop_assert_eq!(open(&mut opener.run(), &mut frame), Ok(opened));
        prop_assert_eq!(open_header(&frame), &header.encode());
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
fn an_opened_frame_is_sealed_anew_where_it_lies() {
    for kind in [Kind::Record, Kind::Session, Kind::PathProbe] {
        let ((first, relay), (onward, last)) = (ends(Cipher::Aes128Gcm), ends(Cipher::ChaCha20Poly1305));
        let header = HopHeader { sport: 7, dport: 9, ..header(kind) };
        let mut frame = sealed(&first, &header, b"body");
        assert!(open(&mut relay.run(), &mut frame).is_ok());
        pass_on(&mut frame, header.ttl - 1, LAST | FRAG);
        reseal(&onward, 77, &mut frame);
        let passed = HopHeader { ttl: header.ttl - 1, flags: LAST | FRAG, ..header };
        let opened = Opened { header: passed, part: Part::Whole, counter: 77 };
        assert_eq!(open(&mut last.run(), &mut frame), Ok(opened));
        assert_eq!(&frame[FRAME_OVERHEAD..], b"body");
    }
}

#[test]
fn a_part_is_told_and_two_at_once_are_refused() {
    let (sealer, opener) = ends(Cipher::Aes128Gcm);
    for part in [Part::Whole, Part::First, Part::Second] {
        let mut frame = [0; FRAME_OVERHEAD + 4];
        seal_part(&sealer, sealer.reserve(1), &header(Kind::Record), part, &mut frame);
        assert_eq!(open(&mut opener.run(), &mut frame).map(|opened| opened.part), Ok(part));
    }
    let mut frame = [0; FRAME_OVERHEAD];
    let counter = sealer.reserve(1);
    let (clear, rest) = frame.split_at_mut(CLEAR);
    clear[..8].copy_from_slice(&[FRAME, FIRST_HALF | SECOND_HALF, 0, 0, 1, 2, 3, 4]);
    clear[8..].copy_from_slice(&counter.to_be_bytes());
    rest[..16].copy_from_slice(&header(Kind::Record).encode());
    sealer.key.seal(counter, clear, rest);
    assert_eq!(open(&mut opener.run(), &mut frame), Err(Drop::HalfFrame));
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
    let about = "frame = clear header 16 | sealed hop header 16 | tag 16 | body; nonce = 4 zero bytes | counter; aad = clear header (and the body if clear flag 1 is set); clear flags 2 and 4 = first and second half of a body; hop flags 1 = last, 2 = reply, 4 = fragment; AES-128 uses the first 16 bytes of the secret";
    let secret: [u8; 32] = std::array::from_fn(|at| at as u8);
    let session = header(Kind::Session);
    let record = HopHeader { proto: 6, sport: 50_000, dport: 443, ttl: 15, ..header(Kind::Record) };
    let answer = HopHeader { proto: 17, flags: LAST | REPLY | FRAG, ttl: 2, ..header(Kind::Record) };
    let (aes, chacha) = (Cipher::Aes128Gcm, Cipher::ChaCha20Poly1305);
    let cases = [
        ("a session packet", aes, 0, session, Part::Whole, &b"\x45opaque"[..]),
        ("a link probe", aes, 1, header(Kind::LinkProbe), Part::Whole, &[7; 13]),
        ("a record, ChaCha20, a counter past 32 bits", chacha, 0x1_0000_0001, record, Part::Whole, b"\x23record"),
        ("a path probe, ChaCha20, no body", chacha, 2, header(Kind::PathProbe), Part::Whole, b""),
        ("a later fragment that answers, to be sent over the last hop", aes, 3, answer, Part::Whole, b"\x23fragment"),
        ("the first half of a record", aes, 4, record, Part::First, b"\x23rec"),
        ("the second half of a record", aes, 5, record, Part::Second, b"ord"),
    ];
    let vectors = cases.map(|(name, cipher, counter, header, part, body)| {
        let sealer = HopSealer::new(0xa1b2c3d4, &secret, cipher);
        let mut frame = [&[0; FRAME_OVERHEAD], body].concat();
        seal_part(&sealer, counter, &header, part, &mut frame);
        vec![
            ("name", quoted(name)),
            ("cipher", quoted(format!("{cipher:?}"))),
            ("secret_hex", hex(&secret)),
            ("index", sealer.peer_index.to_string()),
            ("counter", counter.to_string()),
            ("clear_flags", frame[1].to_string()),
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
