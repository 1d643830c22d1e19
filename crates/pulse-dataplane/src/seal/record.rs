//! Records: one IP packet, sealed end to end.
//!
//! ```text
//! 0x23 | flags 1 | rsv 2 | index 4 | counter 8 | AEAD(IP packet) | tag 16       AAD = the first 16 bytes
//! ```
//! Invariant: a record is sealed once and is the same bytes on every path; its key dies at 2^32 of them.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{Cipher, Key, TAG, Window};
use crate::NodeId;
use crate::fec::{Mended, Mender, ParitySealer};
use crate::keys::parity_secret;
use crate::report::{Report, Reporter, Trail};
use crate::stats::Drop;

/// First byte of a record.
pub const RECORD: u8 = 0x23;
/// Bytes before the packet.
pub const RECORD_HEADER: usize = 16;
/// Bytes a record adds to its packet.
pub const RECORD_OVERHEAD: usize = RECORD_HEADER + TAG;

/// The packet's IPv4 header checksum and its TCP or UDP checksum are left to the receiver.
const CHECKSUM_PARTIAL: u8 = 1;
/// The same bytes leave over a second way: the copy that comes later is no replay.
const TWICE: u8 = 2;

/// The session swaps keys at 2^31 records; twice that is where this side stops by itself.
const LAST_COUNTER: u64 = 1 << 32;

/// What a record says of itself in clear, under the seal of the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Marks {
    /// Checksums are left to the receiver.
    pub partial: bool,
    /// A copy goes over a second way.
    pub twice: bool,
}

impl Marks {
    pub(crate) fn flags(self) -> u8 {
        (if self.partial { CHECKSUM_PARTIAL } else { 0 }) | (if self.twice { TWICE } else { 0 })
    }
}

/// Seals records to one node.
#[derive(Debug)]
pub struct RecordSealer {
    /// The index the node chose for this key.
    pub index: u32,
    /// Which records left over which link.
    pub trail: Arc<Trail>,
    /// Seals parity over these records; none if the peer takes none.
    pub parity: Option<ParitySealer>,
    key: Key,
    next: AtomicU64,
}

impl RecordSealer {
    /// A sealer whose first counter is 0; `secret` must be fresh.
    pub fn new(index: u32, secret: &[u8; 32], cipher: Cipher) -> Self {
        Self { index, trail: Arc::default(), parity: None, key: Key::new(secret, cipher), next: AtomicU64::new(0) }
    }

    /// The same for a peer that takes parity.
    pub fn with_parity(self, secret: &[u8; 32], cipher: Cipher) -> Self {
        Self { parity: Some(ParitySealer::new(&parity_secret(secret), cipher)), ..self }
    }

    /// Records sealed (or at least numbered) so far.
    pub fn sealed(&self) -> u64 {
        self.next.load(Ordering::Relaxed)
    }

    /// Take the next `count` counters for ourselves alone; the first of them, or none if the key is used up.
    pub fn reserve(&self, count: u64) -> Option<u64> {
        let first = self.next.fetch_add(count, Ordering::Relaxed);
        (first.saturating_add(count) <= LAST_COUNTER).then_some(first)
    }

    /// Seal in place: `record` is 16 bytes of room, the packet, 16 bytes of room.
    pub fn seal(&self, counter: u64, marks: Marks, record: &mut [u8]) {
        let (header, body) = record.split_at_mut(RECORD_HEADER);
        header[..4].copy_from_slice(&[RECORD, marks.flags(), 0, 0]);
        header[4..8].copy_from_slice(&self.index.to_be_bytes());
        header[8..].copy_from_slice(&counter.to_be_bytes());
        self.key.seal(counter, header, body);
    }
}

/// Opens records from one node.
#[derive(Debug)]
pub struct RecordOpener {
    /// The index we chose for this key.
    pub index: u32,
    /// Who seals under it.
    pub node: NodeId,
    /// Its IPv4 mesh address, from its certificate.
    pub v4: Ipv4Addr,
    /// Its IPv6 mesh address, from its certificate.
    pub v6: Ipv6Addr,
    /// Told once, when the first record opened.
    pub first_use: Notify,
    /// True from then on.
    pub used: AtomicBool,
    key: Key,
    window: Mutex<Window>,
    mender: Option<Mutex<Mender>>,
    reporter: Mutex<Reporter>,
}

impl RecordOpener {
    /// An opener that has seen nothing yet.
    pub fn new(index: u32, node: NodeId, v4: Ipv4Addr, v6: Ipv6Addr, secret: &[u8; 32], cipher: Cipher) -> Self {
        let (key, window, reporter) = (Key::new(secret, cipher), Mutex::default(), Mutex::default());
        let (first_use, used, mender) = (Notify::new(), AtomicBool::new(false), None);
        Self { index, node, v4, v6, first_use, used, key, window, mender, reporter }
    }

    /// The same for a peer that may send parity.
    pub fn with_parity(self, secret: &[u8; 32], cipher: Cipher) -> Self {
        Self { mender: Some(Mender::new(&parity_secret(secret), cipher).into()), ..self }
    }

    /// Begin a run of records and parity: all is locked once for all of them.
    pub fn run(&self) -> RecordRun<'_> {
        let window = self.window();
        let mender = self.mender.as_ref().map(|mender| mender.lock().unwrap_or_else(PoisonError::into_inner));
        RecordRun { opener: self, window, mender }
    }

    /// A second has passed: what to tell the sender, if there is anything.
    pub fn report(&self) -> Option<Report> {
        let mut reporter = self.reporter.lock().unwrap_or_else(PoisonError::into_inner);
        if !reporter.has_news(self.window().opened()) {
            return None;
        }
        // A copy (8 KiB), so that no record waits for the report.
        let window = self.window().clone();
        reporter.next(self.index, &window)
    }

    fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A run of records under one index.
#[derive(Debug)]
pub struct RecordRun<'a> {
    opener: &'a RecordOpener,
    window: MutexGuard<'a, Window>,
    mender: Option<MutexGuard<'a, Mender>>,
}

impl RecordRun<'_> {
    /// Open in place: the packet, and whether its checksums are left to us.
    pub fn open<'b>(&mut self, record: &'b mut [u8]) -> Result<(&'b mut [u8], bool), Drop> {
        if record.len() < RECORD_OVERHEAD {
            return Err(Drop::Truncated);
        }
        let (header, body) = record.split_at_mut(RECORD_HEADER);
        let counter = u64::from_be_bytes(std::array::from_fn(|at| header[8 + at]));
        let packet = self.opener.key.open(counter, header, body).ok_or(Drop::BadSeal)?;
        if !self.window.accept(counter) {
            let known = header[1] & TWICE != 0 || self.window.arrived_late(counter);
            return Err(if known { Drop::Duplicate } else { Drop::Replayed });
        }
        if let Some(mender) = &mut self.mender {
            mender.keep(counter, header[1], packet);
        }
        self.note_first_use();
        Ok((packet, header[1] & CHECKSUM_PARTIAL != 0))
    }

    /// Take in a parity packet; `mend` follows.
    pub fn parity(&mut self, body: &mut [u8]) -> Result<(), Drop> {
        let mender = self.mender.as_mut().ok_or(Drop::UnknownKind)?;
        mender.take(body, &self.window)
    }

    /// True if `mend` may have something to give.
    pub fn is_ripe(&self) -> bool {
        self.mender.as_ref().is_some_and(|mender| mender.is_ripe())
    }

    /// What parity repairs now: `each` is given its counter, the packet, and whether its checksums are left to us.
    pub fn mend(&mut self, mut each: impl FnMut(u64, &mut [u8], bool)) {
        if let Some(mender) = &mut self.mender {
            mender
                .mend(&mut self.window, |counter, flags, packet| each(counter, packet, flags & CHECKSUM_PARTIAL != 0));
        }
    }

    /// What became of parity since this was asked last.
    pub fn mended(&mut self) -> Mended {
        self.mender.as_mut().map_or_else(Mended::default, |mender| mender.mended())
    }

    fn note_first_use(&self) {
        if !self.opener.used.load(Ordering::Relaxed) {
            self.opener.used.store(true, Ordering::Relaxed);
            self.opener.first_use.notify_one();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors::{check, hex, quoted};

    const SECRET: [u8; 32] = [3; 32];

    fn ends() -> (RecordSealer, RecordOpener) {
        let (v4, v6) = (Ipv4Addr::new(10, 100, 0, 1), Ipv6Addr::LOCALHOST);
        (
            RecordSealer::new(5, &SECRET, Cipher::Aes128Gcm),
            RecordOpener::new(5, [1; 32], v4, v6, &SECRET, Cipher::Aes128Gcm),
        )
    }

    fn sealed(sealer: &RecordSealer, packet: &[u8], marks: Marks) -> Vec<u8> {
        let mut record = [&[0; RECORD_HEADER], packet, &[0; TAG]].concat();
        sealer.seal(sealer.reserve(1).unwrap_or_default(), marks, &mut record);
        record
    }

    const PLAIN: Marks = Marks { partial: false, twice: false };

    #[test]
    fn a_record_opens_to_its_packet_and_flag() {
        let (sealer, opener) = ends();
        for partial in [true, false] {
            let mut record = sealed(&sealer, b"packet", Marks { partial, twice: !partial });
            let opened = opener.run().open(&mut record).map(|(packet, partial)| (packet.to_vec(), partial));
            assert_eq!(opened, Ok((b"packet".to_vec(), partial)));
        }
        assert_eq!(sealer.sealed(), 2);
    }

    #[test]
    fn no_bit_of_a_record_can_change() {
        let (sealer, opener) = ends();
        let record = sealed(&sealer, b"packet", PLAIN);
        for bit in 0..record.len() * 8 {
            let mut changed = record.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(opener.run().open(&mut changed).err(), Some(Drop::BadSeal), "bit {bit}");
        }
        assert!(!opener.used.load(Ordering::Relaxed));
    }

    #[test]
    fn a_second_copy_and_a_stump_are_refused() {
        let (sealer, opener) = ends();
        let record = sealed(&sealer, b"packet", PLAIN);
        assert!(opener.run().open(&mut record.clone()).is_ok());
        assert_eq!(opener.run().open(&mut record.clone()).err(), Some(Drop::Replayed));
        assert_eq!(opener.run().open(&mut [RECORD; RECORD_OVERHEAD - 1]).err(), Some(Drop::Truncated));
    }

    #[test]
    fn the_copy_of_a_record_that_says_it_goes_twice_is_a_duplicate_and_no_replay() {
        let (sealer, opener) = ends();
        let record = sealed(&sealer, b"packet", Marks { twice: true, ..PLAIN });
        assert!(opener.run().open(&mut record.clone()).is_ok());
        assert_eq!(opener.run().open(&mut record.clone()).err(), Some(Drop::Duplicate));
        // Nobody on the way can pass off a replay as such a copy.
        let mut replayed = sealed(&sealer, b"packet", PLAIN);
        assert!(opener.run().open(&mut replayed.clone()).is_ok());
        replayed[1] |= TWICE;
        assert_eq!(opener.run().open(&mut replayed).err(), Some(Drop::BadSeal));
    }

    #[tokio::test]
    async fn the_first_record_that_opens_says_so() {
        let (sealer, opener) = ends();
        assert!(opener.run().open(&mut sealed(&sealer, b"packet", PLAIN)).is_ok());
        opener.first_use.notified().await;
        assert!(opener.used.load(Ordering::Relaxed));
    }

    #[test]
    fn a_key_is_used_up_at_its_last_counter() {
        let (sealer, _) = ends();
        assert_eq!(sealer.reserve(LAST_COUNTER - 1), Some(0));
        assert_eq!(sealer.reserve(2), None);
        assert_eq!(sealer.reserve(1), None);
    }

    #[test]
    fn the_vectors_hold() {
        let about = "record = header 16 | sealed packet | tag 16; aad = the header; nonce = 4 zero bytes | counter; AES-128 uses the first 16 bytes of the secret; flag 1 = checksums left to the receiver, flag 2 = sent over two ways";
        let secret: [u8; 32] = std::array::from_fn(|at| at as u8);
        let packet: Vec<u8> = [&[0x45, 0, 0, 28][..], &[0; 24]].concat();
        let cases = [
            ("AES-128-GCM, first counter", Cipher::Aes128Gcm, 0, false, false),
            ("AES-128-GCM, checksum partial", Cipher::Aes128Gcm, 1 << 31, true, false),
            ("ChaCha20-Poly1305, checksum partial", Cipher::ChaCha20Poly1305, 0xffff_ffff, true, false),
            ("AES-128-GCM, over two ways", Cipher::Aes128Gcm, 7, true, true),
        ];
        let vectors = cases.map(|(name, cipher, counter, partial, twice)| {
            let sealer = RecordSealer::new(0xa1b2c3d4, &secret, cipher);
            let mut record = [&[0; RECORD_HEADER][..], &packet, &[0; TAG]].concat();
            sealer.seal(counter, Marks { partial, twice }, &mut record);
            vec![
                ("name", quoted(name)),
                ("cipher", quoted(format!("{cipher:?}"))),
                ("secret_hex", hex(&secret)),
                ("index", sealer.index.to_string()),
                ("counter", counter.to_string()),
                ("checksum_partial", partial.to_string()),
                ("over_two_ways", twice.to_string()),
                ("packet_hex", hex(&packet)),
                ("bytes_hex", hex(&record)),
            ]
        });
        check("record.json", about, &vectors);
    }
}
