//! Which senders of packets are told that they go no further, and how often: too big for their path, or not allowed.
//!
//! The packet that is answered is dropped, as a router would; all others of its flow go split until the next answer is due.
//! So whoever heard goes on at the right size, and whoever does not listen (a firewall that drops ICMP) loses a packet now
//! and then, and is never cut off. What our own policy refuses is refused aloud, so that nobody waits for a timeout.
//! Invariant: of packets that are too big a flow is answered at most once a second, twice as rarely each time, and all that
//! are refused together at a rate; what goes whole costs nothing here, and the clock is read once a turn at most.

use std::time::{Duration, Instant};

use super::ways::Way;
use crate::flow::is_midstream;
use crate::link::Bucket;
use crate::offload::Vnet;
use crate::offload::icmp::{Message, Told};
use crate::offload::reject::refusal;
use crate::offload::toobig::limit;
use crate::stats::Drop;
use crate::tun::Tun;

/// Until a flow is answered for the second time, and the longest such pause.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(256);
/// Flows remembered by one thread; another one of the same place takes it over.
const FLOWS: usize = 256;
/// Refusals a second of one thread, and how many at once.
const REFUSALS: f64 = 200.0;

/// What one thread remembers.
#[derive(Debug)]
pub struct Answers {
    flows: Box<[Option<Answered>; FLOWS]>,
    refusals: Option<Bucket>,
    now: Option<Instant>,
}

#[derive(Debug, Clone, Copy)]
struct Answered {
    flow: u64,
    limit: usize,
    until: Instant,
    pause: Duration,
}

impl Default for Answers {
    fn default() -> Self {
        Self { flows: Box::new([None; FLOWS]), refusals: None, now: None }
    }
}

impl Answers {
    /// Another turn begins.
    pub fn begin_turn(&mut self) {
        self.now = None;
    }

    /// A packet that begins with `front`, each part of which has up to `longest` bytes, would have to be split on `way`. An
    /// error if its sender was told instead.
    pub fn judge(&mut self, tun: &Tun, front: &[u8], longest: usize, way: &Way<'_>) -> Result<(), Drop> {
        let Some(limit) = limit(front, longest, way.hop.path.mtu()) else { return Ok(()) };
        let now = *self.now.get_or_insert_with(Instant::now);
        if !self.is_due(way.flow(front).hash(), limit, now) {
            return Ok(());
        }
        let message = Message::error(front, way.peer.handle, way.peer.v6, Told::TooBig(limit));
        let Some(message) = message else { return Ok(()) };
        tun.tell(&Vnet::default(), message.packet()).map_err(|_| Drop::TunWriteFailed)?;
        Err(Drop::TooBig)
    }

    /// A packet of `length` bytes that begins with `front` was dropped: if it was for our policy, tell who sent it.
    pub fn refuse(&mut self, tun: &Tun, front: &[u8], length: usize, reason: Drop) {
        let refused = match reason {
            Drop::PolicyDenied => true,
            // After a restart of this end the other one may go on with the connection.
            Drop::Unsolicited => !is_midstream(front),
            _ => false,
        };
        let Some(message) = refused.then(|| refusal(front, length)).flatten() else { return };
        let now = *self.now.get_or_insert_with(Instant::now);
        if self.refusals.get_or_insert_with(|| Bucket::new(REFUSALS, now)).take(now) {
            // A device that does not take it is going away.
            let _gone = tun.tell(&Vnet::default(), message.packet());
        }
    }

    fn is_due(&mut self, flow: u64, limit: usize, now: Instant) -> bool {
        let place = &mut self.flows[flow as usize % FLOWS];
        let known = place.filter(|known| (known.flow, known.limit) == (flow, limit));
        if known.is_some_and(|known| now < known.until) {
            return false;
        }
        let pause = known.map_or(FIRST_PAUSE, |known| LONGEST_PAUSE.min(known.pause * 2));
        *place = Some(Answered { flow, limit, until: now + pause, pause });
        true
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Read};

    use super::*;
    use crate::forward::testing::seqpacket_pair;
    use crate::forward::traffic::tcp;

    #[test]
    fn a_flow_that_does_not_listen_is_told_ever_more_rarely() {
        let (mut answers, begin) = (Answers::default(), Instant::now());
        let told: Vec<u64> =
            (0..1000).filter(|second| answers.is_due(7, 1220, begin + Duration::from_secs(*second))).collect();
        assert_eq!(told, [0, 1, 3, 7, 15, 31, 63, 127, 255, 511, 767]);
    }

    #[test]
    fn another_flow_and_another_limit_are_told_at_once() {
        let (mut answers, now) = (Answers::default(), Instant::now());
        assert!(answers.is_due(7, 1220, now));
        assert!(answers.is_due(8, 1220, now));
        assert!(!answers.is_due(7, 1220, now));
        assert!(answers.is_due(7, 1280, now));
        // Of two flows in one place the later one is remembered.
        assert!(answers.is_due(7 + FLOWS as u64, 1280, now));
        assert!(answers.is_due(7, 1280, now));
    }

    #[test]
    fn refusals_have_a_rate() -> io::Result<()> {
        let (ours, mut kernel) = seqpacket_pair()?;
        socket2::SockRef::from(&kernel).set_nonblocking(true)?;
        let tun = Tun::adopt("pair".to_owned(), vec![ours], true)?;
        let (mut answers, (_, packet)) = (Answers::default(), tcp(100));
        let mut refused = |reason| {
            answers.refuse(&tun, &packet, packet.len(), reason);
            kernel.read(&mut [0; 200]).is_ok()
        };
        assert!(!refused(Drop::NoRoute) && !refused(Drop::Unsolicited));
        // All within one turn, so at one time.
        assert_eq!((0..1000).filter(|_| refused(Drop::PolicyDenied)).count(), 200);
        Ok(())
    }
}
