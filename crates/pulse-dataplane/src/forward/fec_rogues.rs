//! Parity that is forged, replayed, or nonsense under a good seal: dropped under the named reason, and nothing comes of it.

use std::io;
use std::net::{SocketAddr, UdpSocket};

use super::fec_lanes::counted;
use super::testing::{Pair, bound, eventually, v4};
use super::traffic::{icmp, packets, tcp};
use crate::fec::{Block, Code, HEAD, Head};
use crate::flow::Transport;
use crate::frame::{self, FRAME_OVERHEAD, HopHeader, Kind};
use crate::seal::{Cipher, HopSealer, Marks, RECORD_HEADER, RECORD_OVERHEAD, RecordSealer, TAG};
use crate::stats::Drop;

/// In place of the left node of a pair, with its keys.
struct Rogue {
    socket: UdpSocket,
    sealer: RecordSealer,
    hop: HopSealer,
    to: SocketAddr,
}

impl Rogue {
    fn new(pair: &Pair) -> io::Result<Self> {
        let mut secret = [0; 32];
        (secret[0], secret[1]) = (1, 2);
        let sealer = pair.right.record_rogue(1).with_parity(&secret, Cipher::Aes128Gcm);
        Ok(Self { socket: bound()?, sealer, hop: pair.right.hop_rogue(1), to: **pair.left.link.remote.load() })
    }

    fn record(&self, counter: u64, packet: &[u8]) -> io::Result<()> {
        let mut record = vec![0; RECORD_OVERHEAD + packet.len()];
        record[RECORD_HEADER..][..packet.len()].copy_from_slice(packet);
        self.sealer.seal(counter, Marks::default(), &mut record);
        self.socket.send_to(&record, self.to).map(drop)
    }

    /// The body of parity over these packets from counter `first` on, sealed.
    fn bodies(&self, first: u64, packets: &[&[u8]]) -> Vec<Vec<u8>> {
        let (mut block, mut bodies) = (Block::default(), vec![]);
        (first..).zip(packets).for_each(|(counter, packet)| block.gather(counter, 0, packet));
        block.close(&mut Code::default(), 8, |head, shard| bodies.push(self.body(&head, shard)));
        bodies
    }

    fn body(&self, head: &Head, shard: &[u8]) -> Vec<u8> {
        let mut body = [&[0; HEAD], shard, &[0; TAG]].concat();
        if let Some(parity) = &self.sealer.parity {
            parity.seal(self.sealer.index, parity.reserve().unwrap_or_default(), head, &mut body);
        }
        body
    }

    fn frame(&self, header: HopHeader, body: &[u8]) -> io::Result<()> {
        let mut frame = [&[0; FRAME_OVERHEAD], body].concat();
        frame::seal(&self.hop, self.hop.reserve(1), &header, &mut frame);
        self.socket.send_to(&frame, self.to).map(drop)
    }
}

fn header(packet: &[u8]) -> HopHeader {
    HopHeader::new(v4(1), v4(2), Kind::Parity).describe(Transport::of(packet))
}

#[test]
fn forged_and_replayed_parity_is_dropped_and_counted() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let (rogue, ping) = (Rogue::new(&pair)?, icmp(v4(1).into(), v4(2).into()));
    let header = header(&ping);
    let body = rogue.bodies(0, &[&ping]).remove(0);
    for place in [5, 14, 22, 29, HEAD, body.len() - 1] {
        let mut forged = body.clone();
        forged[place] ^= 1;
        let before = pair.right.shared.drops.get(Drop::BadSeal);
        rogue.frame(header, &forged)?;
        assert!(pair.right.dropped(Drop::BadSeal, before + 1), "byte {place}");
    }
    rogue.frame(HopHeader { src: v4(3), ..header }, &body)?;
    assert!(pair.right.dropped(Drop::HeaderMismatch, 1));
    let mut other = body.clone();
    other[0] ^= 1;
    rogue.frame(header, &other)?;
    assert!(pair.right.dropped(Drop::UnknownIndex, 1));
    for length in [0, 3, HEAD, HEAD + TAG] {
        let before = pair.right.shared.drops.get(Drop::Truncated);
        rogue.frame(header, &body[..length])?;
        assert!(pair.right.dropped(Drop::Truncated, before + 1), "{length} bytes");
    }
    rogue.frame(header, &body)?;
    assert_eq!(pair.right.read()?.1, ping);
    rogue.frame(header, &body)?;
    assert!(pair.right.dropped(Drop::Replayed, 1));
    assert!(eventually(|| counted(&pair.right) == [0, 1, 1, 0]));
    Ok(())
}

#[test]
fn what_is_repaired_is_judged_as_a_record_is() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let rogue = Rogue::new(&pair)?;
    let cases = [
        (icmp(v4(3).into(), v4(2).into()), Drop::SpoofedSource),
        (icmp(v4(1).into(), v4(3).into()), Drop::ForeignDestination),
        (vec![0x45, 0, 0, 200, 0, 0], Drop::BadPacket),
    ];
    for (counter, (packet, reason)) in (10..).zip(&cases) {
        let before = pair.right.shared.drops.get(*reason);
        rogue.frame(header(packet), &rogue.bodies(counter, &[packet])[0])?;
        assert!(pair.right.dropped(*reason, before + 1));
    }
    // Under a counter that was used nothing is repaired.
    let [honest, other] = [icmp(v4(1).into(), v4(2).into()), packets(tcp(9)).remove(0)];
    rogue.record(20, &honest)?;
    assert_eq!(pair.right.read()?.1, honest);
    rogue.frame(header(&other), &rogue.bodies(20, &[&other])[0])?;
    rogue.frame(header(&honest), &rogue.bodies(21, &[&honest])[0])?;
    assert_eq!(pair.right.read()?.1, honest);
    assert!(eventually(|| counted(&pair.right)[1..3] == [5, 4]));
    Ok(())
}

#[test]
fn heads_and_shards_that_cannot_be_are_dropped_though_their_seal_is_good() -> io::Result<()> {
    let mut pair = Pair::new()?;
    let (rogue, ping) = (Rogue::new(&pair)?, icmp(v4(1).into(), v4(2).into()));
    let good = Head { base: 5, mask: 1, parity: 1, number: 0 };
    let heads = [
        Head { mask: 0, ..good },
        Head { mask: u64::MAX, ..good },
        Head { mask: 2, ..good },
        Head { parity: 0, ..good },
        Head { parity: 9, ..good },
        Head { number: 1, ..good },
        Head { base: u64::MAX - 5, ..good },
    ];
    let mut refused = 0;
    let mut refuse = |head: &Head, shard: &[u8]| {
        refused += 1;
        rogue.frame(header(&ping), &rogue.body(head, shard))?;
        assert!(pair.right.dropped(Drop::BadPacket, refused), "{head:?}, {} bytes", shard.len());
        Ok::<_, io::Error>(())
    };
    for head in &heads {
        refuse(head, &[0; 64])?;
    }
    for length in [1, 63, 65] {
        refuse(&good, &vec![0; length])?;
    }
    // A length of 0, one past the shard, and bytes behind the packet.
    for (counter, start) in (30..).zip([[0, 0, 0, 1], [0, 62, 0, 1], [0, 0, 0, 0]]) {
        let shard = [&start[..], &[1; 60]].concat();
        refuse(&Head { base: counter, ..good }, &shard)?;
    }
    // A chunk more than the longest packet has: no frame is as long.
    rogue.frame(header(&ping), &rogue.body(&good, &[0; 64 * 22]))?;
    assert!(pair.right.dropped(Drop::TooBig, 1));
    rogue.record(6, &ping)?;
    assert_eq!(pair.right.read()?.1, ping);
    assert_eq!(counted(&pair.right)[2], 0);
    Ok(())
}
