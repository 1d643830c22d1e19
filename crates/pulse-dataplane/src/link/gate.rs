//! How many may knock at a lane, links' or sessions': token buckets and a cap on handshakes under way.
//!
//! A source that has not shown that it hears us can be forged, so a flood of such knocks may use up its own
//! allowance only; one that has may use up a part of the others'. Invariant: nothing is remembered of a source
//! before its address is validated.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Handshakes under way, and new ones a second, before a source must prove its address.
const PENDING: u32 = 32;
const RATE: f64 = 50.0;
/// The same, of one source that has proven it.
const PENDING_EACH: u32 = 8;
const RATE_EACH: f64 = 25.0;
/// Sources remembered at once.
const SOURCES: usize = 1024;

/// Why a knock gets no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Knock {
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

/// The gate of one lane.
#[derive(Debug, Clone)]
pub(crate) struct Gate(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    unproven: u32,
    bucket: Bucket,
    proven: Places,
    rates: Rates,
}

/// A place for one handshake, for as long as it lives.
#[derive(Debug)]
pub(crate) struct Pass {
    gate: Gate,
    source: Option<IpAddr>,
}

impl Drop for Pass {
    fn drop(&mut self) {
        let mut state = self.gate.state();
        match self.source {
            None => state.unproven -= 1,
            Some(source) => state.proven.give_back(source),
        }
    }
}

impl Gate {
    pub(crate) fn new(now: Instant) -> Self {
        let (bucket, rates) = (Bucket::new(RATE, now), Rates::new(RATE_EACH, RATE, now));
        let proven = Places::default();
        Self(Arc::new(Mutex::new(State { unproven: 0, bucket, proven, rates })))
    }

    /// Judge a knock of `source`, which has proven that address or not.
    pub(crate) fn knock(&self, source: IpAddr, proven: bool, now: Instant) -> Result<Pass, Knock> {
        let entered = self.state().enters(source, proven, now);
        entered.map(|source| Pass { gate: self.clone(), source })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whose place it takes: that of a source, or one of those nobody has proven an address for.
    fn enters(&mut self, source: IpAddr, proven: bool, now: Instant) -> Result<Option<IpAddr>, Knock> {
        if !proven {
            let enters = self.unproven < PENDING && self.bucket.take(now);
            self.unproven += u32::from(enters);
            return if enters { Ok(None) } else { Err(Knock::Prove) };
        }
        let source = neighbourhood(source);
        if self.proven.has_room(source) && self.rates.take(source, now) {
            self.proven.take(source);
            return Ok(Some(source));
        }
        Err(Knock::Drop)
    }
}

/// Who of the proven has how many places; nobody gets all.
#[derive(Debug, Default)]
struct Places(HashMap<IpAddr, u32>);

impl Places {
    fn has_room(&self, source: IpAddr) -> bool {
        let own = self.0.get(&source).copied().unwrap_or_default();
        own < PENDING_EACH && self.0.values().sum::<u32>() < PENDING
    }

    fn take(&mut self, source: IpAddr) {
        *self.0.entry(source).or_default() += 1;
    }

    fn give_back(&mut self, source: IpAddr) {
        let Some(own) = self.0.get_mut(&source) else { return };
        *own -= 1;
        if *own == 0 {
            self.0.remove(&source);
        }
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
pub(crate) fn neighbourhood(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => IpAddr::from((v6.to_bits() >> 64 << 64).to_be_bytes()),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(last: u8) -> IpAddr {
        IpAddr::from([192, 0, 2, last])
    }

    #[test]
    fn the_33rd_pending_handshake_must_prove_its_address_and_a_proven_flood_is_dropped() {
        let now = Instant::now();
        let gate = Gate::new(now);
        let _unproven: Vec<_> = (0..32).map(|last| gate.knock(at(last), false, now).unwrap()).collect();
        assert_eq!(gate.knock(at(99), false, now).err(), Some(Knock::Prove));
        let mut proven: Vec<_> = (0..32).map(|last| gate.knock(at(last), true, now).unwrap()).collect();
        assert_eq!(gate.knock(at(99), true, now).err(), Some(Knock::Drop));
        proven.pop();
        assert!(gate.knock(at(99), true, now).is_ok());
    }

    #[test]
    fn one_source_holds_a_quarter_of_the_places_and_no_more() {
        let now = Instant::now();
        let gate = Gate::new(now);
        let passes: Vec<_> = (0..8).map(|_| gate.knock(at(1), true, now).unwrap()).collect();
        assert_eq!(gate.knock(at(1), true, now).err(), Some(Knock::Drop));
        assert!(gate.knock(at(2), true, now).is_ok());
        drop(passes);
        assert!(gate.state().proven.0.is_empty());
        assert!(gate.knock(at(1), true, now + Duration::from_secs(1)).is_ok());
    }

    #[test]
    fn one_source_cannot_use_up_the_rate_of_the_proven() {
        let now = Instant::now();
        let gate = Gate::new(now);
        for knock in 0..40 {
            assert_eq!(gate.knock(at(1), true, now).is_ok(), knock < 25);
        }
        assert!(gate.knock(at(2), true, now).is_ok());
    }

    #[test]
    fn the_51st_handshake_in_a_second_must_prove_its_address() {
        let now = Instant::now();
        let gate = Gate::new(now);
        for _ in 0..50 {
            assert!(gate.knock(at(1), false, now).is_ok());
        }
        assert_eq!(gate.knock(at(1), false, now).err(), Some(Knock::Prove));
        assert!(gate.knock(at(1), false, now + Duration::from_millis(30)).is_ok());
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
