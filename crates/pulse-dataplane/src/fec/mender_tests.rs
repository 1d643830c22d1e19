use proptest::prelude::*;

use super::*;
use crate::fec::{Block, HEAD, LONGEST, MOST_PARITY, ParitySealer, SPAN, parity_of};
use crate::seal::TAG;

/// A packet with its counter and flags, as it was sealed.
type Packet = (u64, u8, Vec<u8>);

/// What travels.
#[derive(Debug, Clone)]
enum Item {
    Record(Packet),
    Parity(Vec<u8>),
}

/// Seals blocks as a sender would.
struct Sender {
    sealer: ParitySealer,
    code: Code,
    block: Block,
}

impl Sender {
    fn new() -> Self {
        Self { sealer: ParitySealer::new(&[3; 32], Cipher::Aes128Gcm), code: Code::default(), block: Block::default() }
    }

    fn seal(&self, head: &Head, shard: &[u8]) -> Vec<u8> {
        let mut parity = [&[0; HEAD], shard, &[0; TAG]].concat();
        self.sealer.seal(5, self.sealer.reserve().unwrap_or_default(), head, &mut parity);
        parity
    }

    /// The parity of a block of these packets.
    fn parity(&mut self, packets: &[Packet], full: usize) -> Vec<Vec<u8>> {
        let mut shards = vec![];
        for (counter, flags, packet) in packets {
            assert!(self.block.admits(*counter));
            self.block.gather(*counter, *flags, packet);
        }
        self.block.close(&mut self.code, full, |head, shard| shards.push((head, shard.to_vec())));
        shards.iter().map(|(head, shard)| self.seal(head, shard)).collect()
    }
}

struct Receiver {
    mender: Mender,
    window: Window,
    got: Vec<Packet>,
}

impl Receiver {
    /// One that expects parity, because it had some.
    fn expecting(sender: &mut Sender) -> Self {
        let mut receiver =
            Self { mender: Mender::new(&[3; 32], Cipher::Aes128Gcm), window: Window::default(), got: vec![] };
        let before = (0, 0, b"before".to_vec());
        receiver.take(Item::Record(before.clone()));
        sender.parity(&[before], 2).into_iter().for_each(|parity| receiver.take(Item::Parity(parity)));
        receiver.got.clear();
        receiver
    }

    fn take(&mut self, item: Item) {
        match item {
            Item::Record((counter, flags, packet)) => {
                if self.window.accept(counter) {
                    self.mender.keep(counter, flags, &packet);
                    self.got.push((counter, flags, packet));
                }
            }
            Item::Parity(mut body) => {
                assert!(matches!(self.mender.take(&mut body, &self.window), Ok(()) | Err(Drop::Replayed)))
            }
        }
        let Self { mender, window, got } = self;
        if mender.is_ripe() {
            mender.mend(window, |counter, flags, packet| got.push((counter, flags, packet.to_vec())));
        }
    }

    fn sorted(mut self) -> Vec<Packet> {
        self.got.sort();
        self.got
    }
}

/// The packets of one block, from a counter on that leaves room for gaps.
fn block(first: u64) -> impl Strategy<Value = Vec<Packet>> {
    let lengths = prop_oneof![Just(LONGEST), 1..=LONGEST, 1..70_usize];
    let packet = (0..3_u64, any::<u8>(), any::<u8>(), lengths);
    prop::collection::vec(packet, 1..=RECORDS).prop_map(move |packets| {
        let mut counter = first;
        let numbered = packets.into_iter().map(|(gap, flags, seed, length)| {
            counter += 1 + gap;
            (counter, flags, (0..length).map(|at| (at as u8).wrapping_mul(seed)).collect())
        });
        numbered.take_while(|(counter, ..)| *counter < first + SPAN).collect()
    })
}

/// Blocks, the parity a full one gets, and for each block which of its records and parity get lost.
fn traffic() -> impl Strategy<Value = (Vec<Vec<Packet>>, usize, Vec<prop::sample::Index>)> {
    let blocks: Vec<_> = (0..4_u64).map(|number| block(1 + number * SPAN)).collect();
    (blocks, prop::sample::select(vec![2, 4, 8]), prop::collection::vec(any::<prop::sample::Index>(), MOST_PARITY))
}

/// What is left of a block of which as much is lost as can be repaired.
fn thinned(packets: &[Packet], parity: Vec<Vec<u8>>, lost: &[prop::sample::Index]) -> Vec<Item> {
    let most = parity.len();
    let mut items: Vec<Item> =
        packets.iter().cloned().map(Item::Record).chain(parity.into_iter().map(Item::Parity)).collect();
    for index in lost.iter().take(most) {
        let place = index.index(items.len());
        items.remove(place);
    }
    items
}

proptest! {
    #[test]
    fn any_losses_up_to_the_parity_of_a_block_are_repaired_to_the_byte((blocks, full, lost) in traffic()) {
        let mut sender = Sender::new();
        let mut receiver = Receiver::expecting(&mut sender);
        let mut late = vec![];
        for packets in &blocks {
            let parity = sender.parity(packets, full);
            prop_assert_eq!(parity.len(), parity_of(packets.len(), full));
            let items = thinned(packets, parity, &lost);
            late.extend(items.iter().cloned());
            items.into_iter().for_each(|item| receiver.take(item));
        }
        // All of it once more changes nothing.
        late.into_iter().for_each(|item| receiver.take(item));
        prop_assert_eq!(receiver.mender.mended().malformed, 0);
        prop_assert_eq!(receiver.sorted(), blocks.concat());
    }

    #[test]
    fn whatever_the_order_each_packet_comes_once(
        (blocks, full, lost) in traffic(),
        delays in prop::collection::vec(0..60_usize, 200),
        copies in prop::collection::vec(any::<bool>(), 200),
    ) {
        let mut sender = Sender::new();
        let mut receiver = Receiver::expecting(&mut sender);
        let mut items: Vec<(usize, Item)> = vec![];
        for packets in &blocks {
            let parity = sender.parity(packets, full);
            for item in thinned(packets, parity, &lost) {
                let place = items.len();
                let due = |salt: usize| place + delays[(place + salt) % delays.len()];
                items.push((due(0), item.clone()));
                if copies[place % copies.len()] {
                    items.push((due(7), item));
                }
            }
        }
        items.sort_by_key(|(due, _)| *due);
        items.into_iter().for_each(|(_, item)| receiver.take(item));
        prop_assert_eq!(receiver.mender.mended().malformed, 0);
        prop_assert_eq!(receiver.sorted(), blocks.concat());
    }

    /// A peer with good keys that seals nonsense.
    #[test]
    fn nonsense_under_a_good_seal_is_bounded_and_makes_no_packet_twice(
        lies in prop::collection::vec((0..200_u64, any::<u64>(), 1..=8_u8, any::<u8>(), 0..=CHUNKS + 1, any::<u8>(), any::<bool>()), 1..60),
    ) {
        let mut sender = Sender::new();
        let mut receiver = Receiver::expecting(&mut sender);
        for (base, mask, parity, number, chunks, seed, record) in lies {
            let mask = (mask & mask >> 3 & 0x1111_1111_1111_1111) | 1;
            let head = Head { base, mask, parity, number: number % parity };
            let mut shard: Vec<u8> = (0..chunks * CHUNK).map(|at| (at as u8).wrapping_mul(seed)).collect();
            if seed % 2 == 0 {
                // So short that it reads as a packet wherever it is alone in its block.
                shard.fill(0);
                shard.iter_mut().skip(1).take(1).for_each(|length| *length = seed);
            }
            let mut body = sender.seal(&head, &shard);
            let Receiver { mender, window, got } = &mut receiver;
            let _refused_or_not = mender.take(&mut body, window);
            mender.mend(window, |counter, flags, packet| got.push((counter, flags, packet.to_vec())));
            if record {
                receiver.take(Item::Record((base, 0, vec![seed; 1 + usize::from(seed)])));
            }
        }
        let memory = receiver.mender.memory.as_ref();
        prop_assert!(memory.is_none_or(|memory| memory.held.len() <= HELD && memory.held.len() + memory.spare.len() <= HELD + 1));
        let mut counters: Vec<u64> = receiver.got.iter().map(|(counter, ..)| *counter).collect();
        let given = counters.len();
        counters.sort_unstable();
        counters.dedup();
        prop_assert_eq!(counters.len(), given);
        prop_assert!(receiver.got.iter().all(|(_, _, packet)| (1..=LONGEST).contains(&packet.len())));
    }
}

fn packets(counters: std::ops::Range<u64>) -> Vec<Packet> {
    counters.map(|counter| (counter, 1, vec![counter as u8; 100])).collect()
}

#[test]
fn more_losses_than_parity_are_counted_once_their_block_is_given_up() {
    let mut sender = Sender::new();
    let mut receiver = Receiver::expecting(&mut sender);
    let (lost, later) = (packets(1..21), packets(1000..1020));
    lost[3..].iter().cloned().for_each(|packet| receiver.take(Item::Record(packet)));
    sender.parity(&lost, 2).into_iter().for_each(|parity| receiver.take(Item::Parity(parity)));
    assert_eq!((receiver.mender.mended().unrepairable, receiver.got.len()), (0, 17));
    // One of the three is late, which leaves two: then the others follow.
    receiver.take(Item::Record(lost[1].clone()));
    assert_eq!(receiver.mender.mended().repaired, 2);
    assert_eq!(receiver.got.len(), 20);

    let hopeless = packets(101..121);
    hopeless[3..].iter().cloned().for_each(|packet| receiver.take(Item::Record(packet)));
    sender.parity(&hopeless, 2).into_iter().for_each(|parity| receiver.take(Item::Parity(parity)));
    sender.parity(&later, 2).into_iter().for_each(|parity| receiver.take(Item::Parity(parity)));
    assert_eq!(receiver.mender.mended().unrepairable, 3);
}

#[test]
fn many_blocks_that_wait_push_out_the_oldest() {
    let mut sender = Sender::new();
    let mut receiver = Receiver::expecting(&mut sender);
    for number in 0..HELD as u64 + 3 {
        let lost = packets(1 + 25 * number..21 + 25 * number);
        sender.parity(&lost, 2).into_iter().for_each(|parity| receiver.take(Item::Parity(parity)));
    }
    assert_eq!(receiver.mender.mended().unrepairable, 3 * 20);
    assert!(receiver.got.is_empty());
}

#[test]
fn parity_of_one_block_must_agree() {
    let mut sender = Sender::new();
    let mut receiver = Receiver::expecting(&mut sender);
    let head = Head { base: 50, mask: 0b111, parity: 4, number: 0 };
    let mut take = |head: &Head, chunks: usize| {
        let mut body = sender.seal(head, &vec![0; chunks * CHUNK]);
        receiver.mender.take(&mut body, &receiver.window)
    };
    assert_eq!(take(&head, 2), Ok(()));
    assert_eq!(take(&Head { number: 1, ..head }, 2), Ok(()));
    let others = [Head { mask: 0b101, ..head }, Head { parity: 5, ..head }];
    assert!(others.iter().all(|other| take(other, 2) == Err(Drop::BadPacket)));
    assert!([1, 3, CHUNKS + 1].iter().all(|chunks| take(&head, *chunks) == Err(Drop::BadPacket)));
}

#[test]
fn where_no_parity_comes_nothing_is_remembered() {
    let mut sender = Sender::new();
    let mut receiver = Receiver::expecting(&mut sender);
    for counter in 1..u64::from(PATIENCE) {
        receiver.mender.keep(counter, 0, b"packet");
    }
    assert!(receiver.mender.memory.is_some());
    receiver.mender.keep(u64::from(PATIENCE), 0, b"packet");
    assert!(receiver.mender.memory.is_none());
    let mut never = Mender::new(&[3; 32], Cipher::Aes128Gcm);
    never.keep(1, 0, b"packet");
    assert!(never.memory.is_none() && !never.is_ripe());
}

#[test]
fn a_packet_that_came_before_anything_was_remembered_is_not_given_again() {
    let mut sender = Sender::new();
    let mut mender = Mender::new(&[3; 32], Cipher::Aes128Gcm);
    let mut window = Window::default();
    let block = packets(10..12);
    assert!(window.accept(10));
    for mut parity in sender.parity(&block, 2) {
        assert_eq!(mender.take(&mut parity, &window), Ok(()));
    }
    let mut got = vec![];
    mender.mend(&mut window, |counter, flags, packet| got.push((counter, flags, packet.to_vec())));
    assert_eq!(got, block[1..]);
}
