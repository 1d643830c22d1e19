//! The body of a path probe, and why only the peer itself can answer it (protocol §3).
//!
//! ```text
//! ask 0 or echo 1: 1 | seq 4 | stamp 8 | HMAC-SHA-256 32 over the 13 bytes before it, source and destination handle
//! ```
//! The key comes from the exporter of the session with the peer, so a relay can drop, delay or replay a probe but never
//! answer for the peer. Invariant: nothing is sent for a probe that no session vouches for, nor twice for one.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use ring::hmac;

use crate::Handle;
use crate::frame::HopHeader;

/// Label of the TLS exporter the key is; its context is that of the record keys.
pub const EXPORTER_LABEL: &[u8] = b"EXPORTER-pulse probe v1";

/// Bytes of a body.
pub const BODY: usize = CLEAR + 32;

const CLEAR: usize = 13;
const ASK: u8 = 0;
const ECHO: u8 = 1;

/// Sessions of one peer whose probes count: the one that serves, and losers of a tie-break that still drain.
const SESSIONS: usize = 4;
/// Probes of one peer that are answered in a second; an honest one sends a few for each of its paths.
const ANSWERS: u32 = 64;

/// An ask this many microseconds older than the newest one of its session was held back on the way: late echoes say
/// nothing, and who hoards asks could let go so many at once that others find no answer.
const LATE: u64 = 10_000_000;
/// Asks of one session remembered, so that none is answered twice: all that may be answered before they are late.
const ANSWERED: usize = ANSWERS as usize * 11;

/// Which half of a probe it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Ask,
    Echo,
}

/// A probe that its session vouched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Probe {
    pub half: Half,
    pub seq: u32,
    pub stamp: u64,
}

/// What one session vouches with.
#[derive(Debug, Clone)]
pub struct Proof(Arc<hmac::Key>);

impl Proof {
    /// `secret` is the session's exporter under `EXPORTER_LABEL`.
    pub fn new(secret: &[u8; 32]) -> Self {
        Self(Arc::new(hmac::Key::new(hmac::HMAC_SHA256, secret)))
    }

    /// The body of a probe from `src` to `dst`.
    pub(crate) fn seal(&self, probe: &Probe, src: Handle, dst: Handle) -> [u8; BODY] {
        let mut body = [0; BODY];
        body[0] = if probe.half == Half::Ask { ASK } else { ECHO };
        body[1..5].copy_from_slice(&probe.seq.to_be_bytes());
        body[5..CLEAR].copy_from_slice(&probe.stamp.to_be_bytes());
        let tag = hmac::sign(&self.0, &vouched(&body[..CLEAR], src, dst));
        body[CLEAR..].copy_from_slice(tag.as_ref());
        body
    }

    /// The probe in `body`, if this session's peer made it.
    pub(crate) fn open(&self, body: &[u8], src: Handle, dst: Handle) -> Option<Probe> {
        let (clear, tag) = body.split_at_checked(CLEAR)?;
        hmac::verify(&self.0, &vouched(clear, src, dst), tag).ok()?;
        let half = match clear[0] {
            ASK => Half::Ask,
            ECHO => Half::Echo,
            _ => return None,
        };
        let seq = u32::from_be_bytes(std::array::from_fn(|at| clear[1 + at]));
        let stamp = u64::from_be_bytes(std::array::from_fn(|at| clear[5 + at]));
        Some(Probe { half, seq, stamp })
    }
}

fn vouched(clear: &[u8], src: Handle, dst: Handle) -> [u8; CLEAR + 8] {
    let mut bytes = [0; CLEAR + 8];
    bytes[..CLEAR].copy_from_slice(clear);
    bytes[CLEAR..CLEAR + 4].copy_from_slice(&src.octets());
    bytes[CLEAR + 4..].copy_from_slice(&dst.octets());
    bytes
}

/// The proofs of all sessions, by the peer's handle.
#[derive(Debug, Default)]
pub struct Proofs(Mutex<HashMap<Handle, Peer>>);

#[derive(Debug, Default)]
struct Peer {
    sessions: Vec<Voucher>,
    rate: Rate,
}

/// How many of its asks were answered in this second.
#[derive(Debug, Default)]
struct Rate {
    second: u64,
    answered: u32,
}

/// One session, and the asks it vouched for that were answered: a relay that says them again, over whatever link, has
/// no share in what the peer may ask.
#[derive(Debug)]
struct Voucher {
    id: u64,
    proof: Proof,
    answered: BTreeSet<(u64, u32)>,
    /// The newest that was forgotten: what is no newer counts as answered.
    forgotten: Option<(u64, u32)>,
}

impl Voucher {
    fn new(id: u64, proof: Proof) -> Self {
        Self { id, proof, answered: BTreeSet::new(), forgotten: None }
    }

    fn is_news(&self, probe: &Probe) -> bool {
        let ask = (probe.stamp, probe.seq);
        let newest = self.answered.last().map_or(0, |(stamp, _)| *stamp);
        self.forgotten.is_none_or(|forgotten| forgotten < ask)
            && probe.stamp >= newest.saturating_sub(LATE)
            && !self.answered.contains(&ask)
    }

    fn answers(&mut self, probe: &Probe) {
        self.answered.insert((probe.stamp, probe.seq));
        if self.answered.len() > ANSWERED {
            self.forgotten = self.answered.pop_first();
        }
    }
}

impl Proofs {
    /// A session with the node at `handle` is up.
    pub fn add(&self, handle: Handle, session: u64, proof: Proof) {
        let mut peers = self.peers();
        let sessions = &mut peers.entry(handle).or_default().sessions;
        if sessions.len() == SESSIONS {
            sessions.remove(0);
        }
        sessions.push(Voucher::new(session, proof));
    }

    /// It is over.
    pub fn remove(&self, handle: Handle, session: u64) {
        let mut peers = self.peers();
        let Some(peer) = peers.get_mut(&handle) else { return };
        peer.sessions.retain(|voucher| voucher.id != session);
        if peer.sessions.is_empty() {
            peers.remove(&handle);
        }
    }

    /// The probe in a frame for us and the session that vouches for it, unless it is an ask too many, or one again.
    pub(crate) fn open(&self, header: &HopHeader, body: &[u8], now: Duration) -> Option<(Probe, Proof)> {
        let mut peers = self.peers();
        let Peer { sessions, rate } = peers.get_mut(&header.src)?;
        let (probe, voucher) = sessions.iter_mut().rev().find_map(|voucher| {
            let probe = voucher.proof.open(body, header.src, header.dst)?;
            Some((probe, voucher))
        })?;
        if probe.half == Half::Ask {
            if !(voucher.is_news(&probe) && rate.answers(now)) {
                return None;
            }
            voucher.answers(&probe);
        }
        Some((probe, voucher.proof.clone()))
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<Handle, Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Rate {
    fn answers(&mut self, now: Duration) -> bool {
        if self.second != now.as_secs() {
            (self.second, self.answered) = (now.as_secs(), 0);
        }
        self.answered += 1;
        self.answered <= ANSWERS
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Kind;
    use crate::vectors::{check, hex, quoted};

    const A: Handle = Handle::new(10, 100, 0, 1);
    const B: Handle = Handle::new(10, 100, 0, 2);

    fn probe(half: Half) -> Probe {
        Probe { half, seq: 7, stamp: 1 << 40 }
    }

    #[test]
    fn a_probe_opens_to_what_was_sealed_and_for_its_two_ends_only() {
        let proof = Proof::new(&[1; 32]);
        for half in [Half::Ask, Half::Echo] {
            let body = proof.seal(&probe(half), A, B);
            assert_eq!(proof.open(&body, A, B), Some(probe(half)));
            assert_eq!(proof.open(&body, B, A), None);
            assert_eq!(Proof::new(&[2; 32]).open(&body, A, B), None);
        }
    }

    #[test]
    fn no_bit_can_change_and_nothing_can_be_cut() {
        let proof = Proof::new(&[1; 32]);
        let body = proof.seal(&probe(Half::Ask), A, B);
        for bit in 0..BODY * 8 {
            let mut changed = body;
            changed[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(proof.open(&changed, A, B), None, "bit {bit}");
        }
        assert!((0..BODY).all(|cut| proof.open(&body[..cut], A, B).is_none()));
    }

    #[test]
    fn a_relay_cannot_make_an_echo_of_an_ask() {
        let proof = Proof::new(&[1; 32]);
        let mut body = proof.seal(&probe(Half::Ask), A, B);
        assert_eq!(proof.open(&body, B, A), None);
        body[0] = ECHO;
        assert_eq!(proof.open(&body, B, A), None);
    }

    #[test]
    fn each_live_session_of_a_peer_vouches_and_none_after_its_end() {
        let (proofs, now) = (Proofs::default(), Duration::ZERO);
        let header = HopHeader::new(A, B, Kind::PathProbe);
        let [one, other] = [1, 2].map(|secret| Proof::new(&[secret; 32]));
        proofs.add(A, 1, one.clone());
        proofs.add(A, 2, other);
        let body = one.seal(&probe(Half::Echo), A, B);
        assert_eq!(proofs.open(&header, &body, now).map(|(probe, _)| probe), Some(probe(Half::Echo)));
        assert!(proofs.open(&HopHeader { src: B, ..header }, &body, now).is_none());
        proofs.remove(A, 1);
        assert!(proofs.open(&header, &body, now).is_none());
        proofs.remove(A, 2);
        assert!(proofs.peers().is_empty());
    }

    /// Which of these asks, each a number and a stamp, are answered.
    fn answered(proofs: &Proofs, proof: &Proof, now: Duration, asks: impl Iterator<Item = (u32, u64)>) -> Vec<u32> {
        let header = HopHeader::new(A, B, Kind::PathProbe);
        let body = |seq, stamp| proof.seal(&Probe { half: Half::Ask, seq, stamp }, A, B);
        asks.filter(|(seq, stamp)| proofs.open(&header, &body(*seq, *stamp), now).is_some())
            .map(|(seq, _)| seq)
            .collect()
    }

    #[test]
    fn a_relay_that_replays_asks_gets_one_answer_and_takes_none_from_others() {
        let (proofs, proof, now) = (Proofs::default(), Proof::new(&[1; 32]), Duration::from_millis(1500));
        proofs.add(A, 1, proof.clone());
        let mut replayed = answered(&proofs, &proof, now, std::iter::repeat_n((7, 1000), 1000));
        assert_eq!(replayed, [7]);
        replayed = answered(&proofs, &proof, now, (8..40).map(|seq| (seq, 2000)));
        assert_eq!(replayed.len(), 32);
        assert!(
            answered(&proofs, &proof, now, (7..40).map(|seq| (seq, if seq == 7 { 1000 } else { 2000 }))).is_empty()
        );
    }

    #[test]
    fn asks_may_overtake_each_other_but_hoarded_ones_are_not_answered() {
        let (proofs, proof, now) = (Proofs::default(), Proof::new(&[1; 32]), Duration::from_secs(60));
        proofs.add(A, 1, proof.clone());
        let asks = [(9, 50_000_000), (8, 45_000_000), (7, 40_000_000), (6, 39_999_999), (5, 0), (10, 51_000_000)];
        assert_eq!(answered(&proofs, &proof, now, asks.into_iter()), [9, 8, 7, 10]);
    }

    #[test]
    fn what_is_remembered_of_asks_is_bounded_and_what_was_forgotten_is_not_answered_again() {
        let (proofs, proof) = (Proofs::default(), Proof::new(&[1; 32]));
        proofs.add(A, 1, proof.clone());
        for second in 0..20 {
            let now = Duration::from_secs(second.into());
            assert_eq!(answered(&proofs, &proof, now, (0..ANSWERS).map(|each| (second * ANSWERS + each, 5))).len(), 64);
        }
        assert_eq!(proofs.peers()[&A].sessions[0].answered.len(), ANSWERED);
        assert!(answered(&proofs, &proof, Duration::from_secs(99), (0..20 * ANSWERS).map(|seq| (seq, 5))).is_empty());
    }

    #[test]
    fn a_flood_of_asks_is_answered_so_many_times_a_second() {
        let (proofs, proof) = (Proofs::default(), Proof::new(&[1; 32]));
        proofs.add(A, 1, proof.clone());
        let flood = |now, first| answered(&proofs, &proof, now, (first..first + 1000).map(|seq| (seq, 1))).len();
        assert_eq!(flood(Duration::from_millis(1500), 0), 64);
        assert_eq!(flood(Duration::from_millis(2000), 1000), 64);
        for session in 2..100 {
            proofs.add(A, session, proof.clone());
        }
        assert_eq!(proofs.peers()[&A].sessions.len(), SESSIONS);
    }

    #[test]
    fn the_vectors_hold() {
        let about = "path probe = kind 1 (0 ask, 1 echo) | seq 4 | stamp 8 | HMAC-SHA-256 under the session's exporter over these 13 bytes, src handle 4, dst handle 4";
        let secret: [u8; 32] = std::array::from_fn(|at| at as u8);
        let cases = [("an ask", Half::Ask, A, B), ("its echo", Half::Echo, B, A)];
        let vectors = cases.map(|(name, half, src, dst)| {
            let probe = Probe { half, seq: 0x0102_0304, stamp: 0x0a0b_0c0d_0e0f };
            let body = Proof::new(&secret).seal(&probe, src, dst);
            vec![
                ("name", quoted(name)),
                ("secret_hex", hex(&secret)),
                ("kind", u8::from(half == Half::Echo).to_string()),
                ("seq", probe.seq.to_string()),
                ("stamp", probe.stamp.to_string()),
                ("src", quoted(src)),
                ("dst", quoted(dst)),
                ("bytes_hex", hex(&body)),
            ]
        });
        check("path_probe.json", about, &vectors);
    }
}
