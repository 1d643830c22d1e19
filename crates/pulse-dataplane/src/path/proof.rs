//! The body of a path probe, and why only the peer itself can answer it (protocol §3).
//!
//! ```text
//! ask 0 or echo 1: 1 | seq 4 | stamp 8 | HMAC-SHA-256 32 over the 13 bytes before it, source and destination handle
//! ```
//! The key comes from the exporter of the session with the peer, so a relay can drop, delay or replay a probe but never
//! answer for the peer. Invariant: nothing is sent for a probe that no session vouches for.

use std::collections::HashMap;
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
    sessions: Vec<(u64, Proof)>,
    second: u64,
    answered: u32,
}

impl Proofs {
    /// A session with the node at `handle` is up.
    pub fn add(&self, handle: Handle, session: u64, proof: Proof) {
        let mut peers = self.peers();
        let sessions = &mut peers.entry(handle).or_default().sessions;
        if sessions.len() == SESSIONS {
            sessions.remove(0);
        }
        sessions.push((session, proof));
    }

    /// It is over.
    pub fn remove(&self, handle: Handle, session: u64) {
        let mut peers = self.peers();
        let Some(peer) = peers.get_mut(&handle) else { return };
        peer.sessions.retain(|(id, _)| *id != session);
        if peer.sessions.is_empty() {
            peers.remove(&handle);
        }
    }

    /// The probe in a frame for us and the session that vouches for it, unless it is an ask too many.
    pub(crate) fn open(&self, header: &HopHeader, body: &[u8], now: Duration) -> Option<(Probe, Proof)> {
        let mut peers = self.peers();
        let peer = peers.get_mut(&header.src)?;
        let opened = |(_, proof): &(u64, Proof)| Some((proof.open(body, header.src, header.dst)?, proof.clone()));
        let (probe, proof) = peer.sessions.iter().rev().find_map(opened)?;
        (probe.half == Half::Echo || peer.answers(now)).then_some((probe, proof))
    }

    fn peers(&self) -> MutexGuard<'_, HashMap<Handle, Peer>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Peer {
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

    #[test]
    fn a_flood_of_replayed_asks_is_answered_so_many_times_a_second() {
        let (proofs, proof) = (Proofs::default(), Proof::new(&[1; 32]));
        proofs.add(A, 1, proof.clone());
        let header = HopHeader::new(A, B, Kind::PathProbe);
        let body = proof.seal(&probe(Half::Ask), A, B);
        let answered = |now| (0..1000).filter(|_| proofs.open(&header, &body, now).is_some()).count();
        assert_eq!(answered(Duration::from_millis(1500)), 64);
        assert_eq!(answered(Duration::from_millis(2000)), 64);
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
