//! Damaged input for everything that reads what others wrote: from good examples, cut, doubled, with bits flipped.
//!
//! Each reader gets a few in the usual tests and 100,000 by `make fuzz` (`PULSE_FUZZ_RUNS`, `PULSE_FUZZ_SEED`). They are
//! built with overflow checks, so what only wraps in a release fails here. Invariant: the same seed makes the same inputs.

use std::env;
use std::str::FromStr;

/// Inputs a reader where nobody asks for more.
const RUNS: u64 = 2_000;
/// The longest input: nobody may say more at once.
const MOST: usize = 64 * 1024;
/// One input in so many is made very long.
const GROWN_ONE_IN: u64 = 40;
/// Bytes that mean much: none, ends, signs, heads of msgpack and DER, kinds of ours.
const TELLING: [u8; 18] =
    [0, 1, 2, 0x20, 0x22, 0x23, 0x30, 0x45, 0x60, 0x7f, 0x80, 0x82, 0x93, 0xc4, 0xc6, 0xdc, 0xdd, 0xff];

/// Give `read` damaged copies of the `seeds`; whatever it does with one, it must not panic. Tells how many it took.
pub fn fuzz(name: &str, seeds: &[Vec<u8>], mut read: impl FnMut(&mut [u8]) -> bool) {
    let mut dice =
        Dice(name.bytes().fold(asked("PULSE_FUZZ_SEED", 0), |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(31)));
    let runs = asked("PULSE_FUZZ_RUNS", RUNS);
    let taken = (0..runs).filter(|_| read(&mut dice.damaged(seeds))).count();
    println!("{name}: {runs} inputs, {taken} taken");
}

fn asked<T: FromStr>(name: &str, otherwise: T) -> T {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, end: usize) -> usize {
        self.roll() as usize % end.max(1)
    }

    fn damaged(&mut self, seeds: &[Vec<u8>]) -> Vec<u8> {
        let mut data = seeds[self.below(seeds.len())].clone();
        for _ in 0..1 + self.below(3) * self.below(4) {
            self.damage(&mut data, seeds);
        }
        if self.roll() % GROWN_ONE_IN == 0 {
            let (piece, times) = (self.piece(&data), 1 << self.below(12));
            data.extend(piece.repeat(times));
        }
        data.truncate(MOST);
        data
    }

    fn damage(&mut self, data: &mut Vec<u8>, seeds: &[Vec<u8>]) {
        let at = self.below(data.len() + 1);
        match self.below(9) {
            0..=2 if at < data.len() => data[at] ^= 1 << self.below(8),
            3 | 4 if at < data.len() => data[at] = TELLING[self.below(TELLING.len())],
            5 => data.truncate(at),
            6 => drop(data.splice(at..at, self.piece(data))),
            7 => {
                let end = (at + self.below(16)).min(data.len());
                data.drain(at..end);
            }
            _ => {
                let other = &seeds[self.below(seeds.len())];
                data.truncate(at);
                data.extend_from_slice(&other[self.below(other.len() + 1)..]);
            }
        }
    }

    fn piece(&mut self, data: &[u8]) -> Vec<u8> {
        let at = self.below(data.len() + 1);
        data[at..(at + 1 + self.below(16)).min(data.len())].to_vec()
    }
}

mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Instant;

    use super::*;
    use crate::Handle;
    use crate::fec::{HEAD, Head, LONGEST, ParitySealer};
    use crate::flow::{Traits, Transport, is_midstream, quoted};
    use crate::forward::Halves;
    use crate::frame::{self, FRAME_OVERHEAD, HopHeader, Kind, Opened, Part};
    use crate::hello::{Hello, read_message};
    use crate::keys::parity_secret;
    use crate::offload::{Shape, VNET_HEADER, Vnet, ends, finish_each, mss, reject, toobig};
    use crate::path::Proof;
    use crate::report::{Report, Run};
    use crate::seal::{Cipher, HopOpener, HopSealer, Key, Marks, RECORD_HEADER, RecordOpener, RecordSealer, TAG};
    use crate::verify::parse;

    const SECRET: [u8; 32] = [9; 32];
    const V4: Ipv4Addr = Ipv4Addr::new(10, 100, 0, 1);
    const CIPHER: Cipher = Cipher::Aes128Gcm;

    fn bytes_of(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).filter_map(|at| u8::from_str_radix(&hex[at..at + 2], 16).ok()).collect()
    }

    /// What stands in the vectors under these names.
    fn pinned(text: &str, name: &str) -> Vec<Vec<u8>> {
        let words: Vec<&str> = text.split('"').collect();
        words.windows(3).filter(|found| found[0] == name).map(|found| bytes_of(found[2])).collect()
    }

    fn packets() -> Vec<Vec<u8>> {
        pinned(include_str!("../../../tests/vectors/flow.json"), "packet_hex")
    }

    #[test]
    fn hellos_and_messages() {
        let hellos = pinned(include_str!("../../../tests/vectors/messages.json"), "hello");
        fuzz("hellos", &hellos, |bytes| Hello::decode(bytes).is_ok());
        let framed = hellos.iter().map(|hello| [&(hello.len() as u32).to_be_bytes(), &hello[..]].concat());
        let Ok(runtime) = tokio::runtime::Builder::new_current_thread().build() else { unreachable!() };
        fuzz("messages on a stream", &framed.collect::<Vec<_>>(), |bytes| {
            runtime.block_on(read_message(&mut &*bytes)).is_ok()
        });
    }

    #[test]
    fn certificates() {
        let request = pinned(include_str!("../../../tests/vectors/renewal.json"), "request").remove(0);
        let start = request.windows(4).position(|found| found[0] == 0xc5 && found[3] == 0x30).unwrap_or(0) + 3;
        let leaf = request[start..request.len() - 18].to_vec();
        assert!(parse(&leaf).is_ok());
        fuzz("certificates", &[leaf], |der| parse(der).is_ok());
    }

    #[test]
    fn frames_and_hop_headers() {
        let (sealer, opener) = (HopSealer::new(7, &SECRET, CIPHER), HopOpener::new(&SECRET, CIPHER));
        let header = HopHeader::new(Handle::new(10, 100, 0, 1), Handle::new(10, 100, 0, 2), Kind::Record);
        let frames: Vec<Vec<u8>> = [Kind::Record, Kind::Session, Kind::LinkProbe, Kind::Parity]
            .map(|kind| {
                let mut frame = vec![1; FRAME_OVERHEAD + 40];
                frame::seal(&sealer, sealer.reserve(1), &HopHeader { kind, ..header }, &mut frame);
                frame
            })
            .to_vec();
        fuzz("frames", &frames, |bytes| frame::open(&mut opener.run(), bytes).is_ok());
        fuzz("hop headers", &[header.encode().to_vec()], |bytes| {
            bytes.first_chunk().is_some_and(|bytes| HopHeader::decode(bytes).is_ok())
        });
        let mut halves = Halves::default();
        let now = Instant::now();
        fuzz("halves of frames", &[vec![3; FRAME_OVERHEAD + 2]], |bytes| {
            // A frame that opened is never shorter.
            let [part, counter, ..] = *bytes else { return false };
            let part = if part & 1 == 0 { Part::First } else { Part::Second };
            let mut room = vec![0; 4096];
            let opened = Opened { header, part, counter: u64::from(counter & 3) };
            bytes.len() >= FRAME_OVERHEAD && halves.take(&opened, bytes, now, |most| room.get_mut(..most)).1 == 0
        });
    }

    #[test]
    fn records_and_what_is_in_them() {
        let sealer = RecordSealer::new(5, &SECRET, CIPHER);
        let opener = RecordOpener::new(5, [1; 32], V4, Ipv6Addr::LOCALHOST, &SECRET, CIPHER);
        let records: Vec<Vec<u8>> = (0..8)
            .map(|counter| {
                let mut record = [&[0; RECORD_HEADER][..], &[0x45; 60], &[0; TAG]].concat();
                sealer.seal(counter, Marks { partial: false, twice: false }, &mut record);
                record
            })
            .collect();
        fuzz("records", &records, |bytes| opener.run().open(bytes).is_ok());
        fuzz("packets out of records", &packets(), |bytes| {
            let (transport, traits) = (Transport::of(bytes), Traits::of(bytes));
            let (told, about) = (quoted(bytes).map(Transport::of), ends(bytes));
            mss::opens(bytes);
            mss::clamp(bytes, is_midstream(bytes), 1200);
            toobig::limit(bytes, bytes.len(), 1280);
            reject::refusal(bytes, bytes.len());
            !transport.hides_ports() && traits.are_plain() && (told.is_some() || about.is_some())
        });
        let headed: Vec<Vec<u8>> = packets().iter().map(|packet| [&[0; VNET_HEADER], &packet[..]].concat()).collect();
        fuzz("super-packets", &headed, |bytes| {
            let Some((head, packet)) = bytes.split_first_chunk_mut::<VNET_HEADER>() else { return false };
            let _shape = Shape::of(packet);
            Vnet::decode(head).is_some_and(|vnet| finish_each(&vnet, packet, drop))
        });
    }

    #[test]
    fn parity_under_a_good_seal() {
        let key = Key::new(&parity_secret(&SECRET), CIPHER);
        let head = Head { base: 70, mask: 0b1101, parity: 2, number: 1 };
        let mut seed = [&[0; HEAD][..], &[7; 64]].concat();
        head.encode(5, 0, &mut seed);
        let opener =
            || RecordOpener::new(5, [1; 32], V4, Ipv6Addr::LOCALHOST, &SECRET, CIPHER).with_parity(&SECRET, CIPHER);
        let (mut held, mut counter) = (opener(), 0_u64);
        fuzz("parity", &[seed], |bytes| {
            if bytes.len() < HEAD || bytes.len() > HEAD + LONGEST {
                return false;
            }
            counter += 1;
            bytes[4..12].copy_from_slice(&counter.to_be_bytes());
            let (clear, shard) = bytes.split_at(HEAD);
            let mut sealed = [shard, &[0; TAG]].concat();
            key.seal(counter, clear, &mut sealed);
            let mut parity = [clear, &sealed].concat();
            if counter % 512 == 0 {
                held = opener();
            }
            let mut run = held.run();
            let taken = run.parity(&mut parity).is_ok();
            run.mend(|_, _, _| ());
            taken
        });
        // Kept honest: what the fuzzer seals is what an honest sender would.
        let (honest, mut parity) = (ParitySealer::new(&parity_secret(&SECRET), CIPHER), vec![7; HEAD + 64 + TAG]);
        honest.seal(5, 1, &head, &mut parity);
        assert!(opener().run().parity(&mut parity).is_ok());
    }

    #[test]
    fn probes_and_reports() {
        let runs = vec![Run { opened: 2, missing: 1 }; 9];
        let report = Report { index: 1, highest: 99, opened: 60, described: 80, runs };
        fuzz("reports", &[report.encode()], |bytes| {
            Report::decode(bytes).is_some_and(|report| report.covers(7, 50).0 + report.gaps(7, 50) > 0)
        });
        let proof = Proof::new(&SECRET);
        let probes = pinned(include_str!("../../../tests/vectors/path_probe.json"), "bytes_hex");
        fuzz("path probes", &probes, |bytes| proof.open(bytes, V4, V4).is_some());
    }
}
