//! How many strangers may knock: token buckets and a cap on handshakes under way.
//!
//! A source that has not shown that it hears us can be forged, so a flood of such knocks may use up its own
//! allowance only. Invariant: nothing is remembered of a source before its address is validated.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Handshakes under way, and new ones a second, before a source must prove its address.
const PENDING: u32 = 32;
const RATE: f64 = 50.0;
/// Sources remembered at once.
const SOURCES: usize = 1024;

/// What to do with a knock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knock {
    /// Go on with the handshake.
    Enter,
    /// Let the source prove its address first.
    Prove,
    /// Say nothing: its retransmission may find more room.
    Drop,
}

/// A token bucket that holds one second's worth.
#[derive(Debug)]
pub struct Bucket {
    rate: f64,
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    /// A full bucket for `rate` takes a second.
    pub fn new(rate: f64, now: Instant) -> Self {
        Self { rate, tokens: rate, filled: now }
    }

    /// True if there was a token to take.
    pub fn take(&mut self, now: Instant) -> bool {
        let gained = now.saturating_duration_since(self.filled).as_secs_f64() * self.rate;
        self.tokens = self.rate.min(self.tokens + gained);
        self.filled = now;
        let enough = self.tokens >= 1.0;
        if enough {
            self.tokens -= 1.0;
        }
        enough
    }
}

/// The gate of the link lane.
#[derive(Debug)]
pub(crate) struct Gate {
    unproven: Allowance,
    proven: Allowance,
}

#[derive(Debug)]
struct Allowance {
    pending: u32,
    bucket: Bucket,
}

impl Gate {
    pub(crate) fn new(now: Instant) -> Self {
        let allowance = || Allowance { pending: 0, bucket: Bucket::new(RATE, now) };
        Self { unproven: allowance(), proven: allowance() }
    }

    /// Judge a knock; after `Enter`, call `done` with the same `proven` when the handshake ended.
    pub(crate) fn knock(&mut self, proven: bool, now: Instant) -> Knock {
        let allowance = if proven { &mut self.proven } else { &mut self.unproven };
        if allowance.pending < PENDING && allowance.bucket.take(now) {
            allowance.pending += 1;
            return Knock::Enter;
        }
        if proven { Knock::Drop } else { Knock::Prove }
    }

    /// A handshake ended, either way.
    pub(crate) fn done(&mut self, proven: bool) {
        let allowance = if proven { &mut self.proven } else { &mut self.unproven };
        allowance.pending = allowance.pending.saturating_sub(1);
    }
}

/// A rate for each source, and one for all.
#[derive(Debug)]
pub(crate) struct Rates {
    each: f64,
    all: Bucket,
    sources: HashMap<IpAddr, Bucket>,
}

impl Rates {
    pub(crate) fn new(each: f64, all: f64, now: Instant) -> Self {
        Self { each, all: Bucket::new(all, now), sources: HashMap::new() }
    }

    /// True if `source`, whose address is proven, may enter.
    pub(crate) fn take(&mut self, source: IpAddr, now: Instant) -> bool {
        let source = neighbourhood(source);
        if self.sources.len() >= SOURCES {
            // A bucket untouched for a second is full again: nothing is lost by forgetting it.
            let second = Duration::from_secs(1);
            self.sources.retain(|_, bucket| now.saturating_duration_since(bucket.filled) < second);
        }
        if self.sources.len() >= SOURCES && !self.sources.contains_key(&source) {
            return false;
        }
        let bucket = self.sources.entry(source).or_insert_with(|| Bucket::new(self.each, now));
        bucket.take(now) && self.all.take(now)
    }
}

/// What one stranger holds: an IPv4 address, but a whole /64 of IPv6.
fn neighbourhood(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => IpAddr::from((v6.to_bits() >> 64 << 64).to_be_bytes()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_33rd_pending_handshake_must_prove_its_address_and_a_proven_flood_is_dropped() {
        let now = Instant::now();
        let mut gate = Gate::new(now);
        assert!((0..32).all(|_| gate.knock(false, now) == Knock::Enter));
        assert_eq!(gate.knock(false, now), Knock::Prove);
        assert!((0..32).all(|_| gate.knock(true, now) == Knock::Enter));
        assert_eq!(gate.knock(true, now), Knock::Drop);
        gate.done(true);
        assert_eq!(gate.knock(true, now), Knock::Enter);
    }

    #[test]
    fn the_51st_handshake_in_a_second_must_prove_its_address() {
        let now = Instant::now();
        let mut gate = Gate::new(now);
        for _ in 0..50 {
            assert_eq!(gate.knock(false, now), Knock::Enter);
            gate.done(false);
        }
        assert_eq!(gate.knock(false, now), Knock::Prove);
        assert_eq!(gate.knock(false, now + Duration::from_millis(30)), Knock::Enter);
    }

    #[test]
    fn one_source_cannot_use_up_the_rate_of_another() {
        let now = Instant::now();
        let mut rates = Rates::new(5.0, 50.0, now);
        let (loud, calm) = (IpAddr::from([192, 0, 2, 1]), IpAddr::from([192, 0, 2, 2]));
        assert_eq!((0..20).filter(|_| rates.take(loud, now)).count(), 5);
        assert!(rates.take(calm, now));
    }

    #[test]
    fn all_addresses_of_one_ipv6_network_are_one_source() {
        let now = Instant::now();
        let mut rates = Rates::new(5.0, 50.0, now);
        let address = |network, host| IpAddr::from([0x2001, 0xdb8, 0, network, 0, 0, 0, host]);
        assert_eq!((0..20).filter(|host| rates.take(address(1, *host), now)).count(), 5);
        assert!(rates.take(address(2, 0), now));
    }

    #[test]
    fn many_sources_share_one_rate_and_are_forgotten() {
        let now = Instant::now();
        let mut rates = Rates::new(5.0, 50.0, now);
        let sources = (0..5000_u32).map(|number| IpAddr::from(number.to_be_bytes()));
        assert_eq!(sources.filter(|source| rates.take(*source, now)).count(), 50);
        assert!(rates.sources.len() <= SOURCES);
        assert!(rates.take(IpAddr::from([203, 0, 113, 1]), now + Duration::from_secs(2)));
    }
}
