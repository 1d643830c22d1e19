//! Punch probes: datagrams between two nodes that have no link yet, from their listening sockets (protocol §8), and from
//! many sockets of one end where that is agreed (`birthday`).
//!
//! ```text
//! 0x22 | ask 0 or echo 1 | rsv 2 | attempt 8 | seq 4 | HMAC-SHA-256 of all before it, first 16 bytes | zeros to 48
//! ```
//! Invariant: only attempts that Python announced are answered and told, each probe of theirs once; whatever else comes
//! is counted and causes nothing.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use arc_swap::ArcSwap;
use ring::hmac;

use crate::birthday::Sockets;
use crate::event::Event;
use crate::stats::Drop;
use crate::tables::Shared;

/// First byte of a punch probe.
pub const PUNCH: u8 = 0x22;
/// Bytes of a probe: what opens a hole need not be long.
pub const LENGTH: usize = 48;
/// Probes each end may send in one attempt.
pub const MOST: u32 = 128;
/// The same of an attempt by birthday.
pub const MOST_BY_BIRTHDAY: u32 = 1024;

const CLEAR: usize = 16;
const TAG: usize = 16;
const ASK: u8 = 0;
const ECHO: u8 = 1;

/// One attempt that both ends agreed on over their session.
#[derive(Debug)]
pub struct Attempt {
    id: u64,
    /// Vouches for what we send.
    ours: hmac::Key,
    /// Vouches for what the peer sends.
    theirs: hmac::Key,
    /// Probes each end may send.
    most: u32,
    sent: AtomicU32,
    asked: Once,
    echoed: Once,
    /// Those beside the listening one that it has probes sent from; none but by birthday, and once a dial took its own.
    pub(crate) sockets: Mutex<Option<Sockets>>,
}

impl Attempt {
    /// Both ends know the id; what is `ours` here is `theirs` there, and both know whether it is one by birthday.
    pub fn new(id: u64, ours: &[u8; 32], theirs: &[u8; 32], by_birthday: bool) -> Self {
        let key = |secret| hmac::Key::new(hmac::HMAC_SHA256, secret);
        Self {
            id,
            ours: key(ours),
            theirs: key(theirs),
            most: if by_birthday { MOST_BY_BIRTHDAY } else { MOST },
            sent: AtomicU32::new(0),
            asked: Once::default(),
            echoed: Once::default(),
            sockets: by_birthday.then(Sockets::default).into(),
        }
    }

    /// The next ask; none once there were as many as may be.
    pub(crate) fn ask(&self) -> Option<[u8; LENGTH]> {
        let next = |sent| (sent < self.most).then_some(sent + 1);
        let seq = self.sent.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next).ok()?;
        Some(self.seal(ASK, seq))
    }

    fn seal(&self, kind: u8, seq: u32) -> [u8; LENGTH] {
        let mut probe = [0; LENGTH];
        (probe[0], probe[1]) = (PUNCH, kind);
        probe[4..12].copy_from_slice(&self.id.to_be_bytes());
        probe[12..CLEAR].copy_from_slice(&seq.to_be_bytes());
        let tag = hmac::sign(&self.ours, &probe[..CLEAR]);
        probe[CLEAR..CLEAR + TAG].copy_from_slice(&tag.as_ref()[..TAG]);
        probe
    }

    /// Kind and number of a probe that the peer made and that is news.
    fn open(&self, probe: &[u8; LENGTH]) -> Option<(u8, u32)> {
        let expected = hmac::sign(&self.theirs, &probe[..CLEAR]);
        let differs =
            expected.as_ref().iter().zip(&probe[CLEAR..CLEAR + TAG]).fold(0, |sum, (one, other)| sum | (one ^ other));
        let seq = u32::from_be_bytes(std::array::from_fn(|at| probe[12 + at]));
        let is_news = match probe[1] {
            _ if differs != 0 || seq >= self.most => false,
            ASK => self.asked.mark(seq),
            ECHO => seq < self.sent.load(Ordering::Relaxed) && self.echoed.mark(seq),
            _ => false,
        };
        is_news.then_some((probe[1], seq))
    }
}

/// Which of `MOST_BY_BIRTHDAY` numbers have been seen.
#[derive(Debug, Default)]
struct Once([AtomicU64; MOST_BY_BIRTHDAY as usize / 64]);

impl Once {
    /// True the first time.
    fn mark(&self, number: u32) -> bool {
        let bit = 1 << (number % 64);
        self.0[number as usize / 64].fetch_or(bit, Ordering::Relaxed) & bit == 0
    }
}

/// The attempts under way.
#[derive(Debug, Default)]
pub struct Attempts(ArcSwap<HashMap<u64, Arc<Attempt>>>);

impl Attempts {
    /// These are under way from now on; one that was stays as it is.
    pub fn replace(&self, attempts: Vec<Attempt>) {
        let before = self.0.load();
        let kept = |attempt: Attempt| before.get(&attempt.id).cloned().unwrap_or_else(|| Arc::new(attempt));
        self.0.store(Arc::new(attempts.into_iter().map(|attempt| (attempt.id, kept(attempt))).collect()));
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Attempt>> {
        self.0.load().get(&id).cloned()
    }
}

/// Send one ask of an attempt to `to`; nothing happens if that attempt is over.
pub fn ask(shared: &Shared, id: u64, to: SocketAddr) -> io::Result<()> {
    match shared.attempts.get(id).and_then(|attempt| attempt.ask()) {
        Some(probe) => shared.socket.send_gso(&probe, LENGTH, to, None),
        None => Ok(()),
    }
}

/// True if this looks like a probe of attempt `id`.
pub(crate) fn is_of(datagram: &[u8], id: u64) -> bool {
    datagram.len() == LENGTH && datagram[0] == PUNCH && datagram[4..12] == id.to_be_bytes()
}

/// Something with the first byte of a probe came; `answer` sends from where it came to, or loses, as a full socket would
/// lose any datagram. True for a probe of an attempt, and news.
pub fn received(shared: &Shared, datagram: &[u8], from: SocketAddr, answer: impl FnOnce(&[u8; LENGTH])) -> bool {
    let news = datagram.try_into().ok().filter(|_| !shared.is_inside(from.ip())).and_then(|probe: &[u8; LENGTH]| {
        let attempt = shared.attempts.get(u64::from_be_bytes(std::array::from_fn(|at| probe[4 + at])))?;
        let (kind, seq) = attempt.open(probe)?;
        Some((attempt, kind, seq))
    });
    let Some((attempt, kind, seq)) = news else {
        shared.drops.count(Drop::StrayProbe);
        return false;
    };
    if kind == ASK {
        answer(&attempt.seal(ECHO, seq));
    }
    shared.bus.emit(Event::ProbeReceived { attempt: attempt.id, source: from, echo: kind == ECHO });
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::fuzz;
    use crate::vectors::{check, hex, quoted};

    const HERE: [u8; 32] = [1; 32];
    const THERE: [u8; 32] = [2; 32];

    fn pair() -> (Attempt, Attempt) {
        pair_of(false)
    }

    fn pair_of(by_birthday: bool) -> (Attempt, Attempt) {
        (Attempt::new(7, &HERE, &THERE, by_birthday), Attempt::new(7, &THERE, &HERE, by_birthday))
    }

    #[test]
    fn an_ask_is_heard_once_and_so_is_its_echo() {
        let (left, right) = pair();
        let ask = left.ask().map(|ask| (ask, right.open(&ask)));
        let Some((ask, Some((ASK, seq)))) = ask else { unreachable!("{ask:?}") };
        assert_eq!(right.open(&ask), None);
        let echo = right.seal(ECHO, seq);
        assert_eq!(left.open(&echo), Some((ECHO, seq)));
        assert_eq!(left.open(&echo), None);
    }

    #[test]
    fn damaged_probes_are_refused() {
        let (left, right) = pair();
        let asks: Vec<Vec<u8>> = std::iter::from_fn(|| left.ask()).take(8).map(Vec::from).collect();
        fuzz("punch probes", &asks, |bytes| {
            let probe: Option<&[u8; LENGTH]> = bytes.first_chunk();
            is_of(bytes, 7) && probe.is_some_and(|probe| right.open(probe).is_some())
        });
    }

    #[test]
    fn whatever_is_changed_does_not_open() {
        let (left, right) = pair();
        let ask = left.ask().unwrap_or([0; LENGTH]);
        for at in (0..CLEAR + TAG).filter(|&at| at != 0) {
            let mut changed = ask;
            changed[at] ^= 1;
            assert_eq!(right.open(&changed), None, "byte {at}");
        }
        assert_eq!(right.open(&ask), Some((ASK, 0)));
    }

    #[test]
    fn our_own_probe_thrown_back_does_not_open() {
        let (left, _) = pair();
        let ask = left.ask().unwrap_or([0; LENGTH]);
        assert_eq!(left.open(&ask), None);
    }

    #[test]
    fn an_echo_of_what_was_never_asked_does_not_open() {
        let (left, right) = pair();
        assert_eq!(left.open(&right.seal(ECHO, 0)), None);
    }

    #[test]
    fn an_attempt_has_so_many_probes_and_no_more() {
        for (by_birthday, most) in [(false, MOST), (true, MOST_BY_BIRTHDAY)] {
            let (left, right) = pair_of(by_birthday);
            let asks: Vec<_> = std::iter::from_fn(|| left.ask()).collect();
            assert_eq!(asks.len(), most as usize);
            assert!(asks.iter().all(|ask| right.open(ask).is_some()));
            assert_eq!(right.open(&left.seal(ASK, most)), None);
        }
    }

    #[test]
    fn the_vectors_hold() {
        let about = "punch probe = 0x22 | kind 1 (0 ask, 1 echo) | rsv 2 | attempt 8 | seq 4 | first 16 bytes of HMAC-SHA-256 over these 16 | zeros to 48";
        let secret: [u8; 32] = std::array::from_fn(|at| at as u8);
        let attempt = Attempt::new(0x0102_0304_0506_0708, &secret, &THERE, false);
        let vectors = [("an ask", ASK), ("an echo", ECHO)].map(|(name, kind)| {
            vec![
                ("name", quoted(name)),
                ("secret_hex", hex(&secret)),
                ("kind", kind.to_string()),
                ("attempt", attempt.id.to_string()),
                ("seq", "7".into()),
                ("bytes_hex", hex(&attempt.seal(kind, 7))),
            ]
        });
        check("punch.json", about, &vectors);
    }

    #[test]
    fn an_attempt_that_goes_on_keeps_its_numbers() {
        let attempts = Attempts::default();
        attempts.replace(vec![pair().0]);
        let first = attempts.get(7).and_then(|attempt| attempt.ask());
        attempts.replace(vec![pair().0]);
        assert_ne!(attempts.get(7).and_then(|attempt| attempt.ask()), first);
        attempts.replace(vec![]);
        assert!(attempts.get(7).is_none());
    }
}
