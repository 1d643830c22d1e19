//! Sessions others dial: how many handshakes at a time, and when they have to prove their address first.
//!
//! Invariant: a flood of first packets costs one small answer each, never a handshake.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use quinn::{Connection, Incoming};
use tokio::time::timeout;

use super::desk::Desk;
use super::endpoint;
use super::greeting::greet;
use crate::event::Level;

/// Handshakes under way before new ones must prove their address.
const PENDING: usize = 32;

/// Handshakes a second before new ones must prove their address.
const RATE: u32 = 50;

/// What to do with one first packet.
#[derive(Debug, PartialEq, Eq)]
enum Admission {
    Accept,
    Retry,
    Drop,
}

/// Counts handshakes.
#[derive(Debug)]
struct Gate {
    second: Instant,
    begun: u32,
}

impl Gate {
    /// Over a limit: those that proved their address pass up to twice the limits, others prove it first.
    fn admit(&mut self, pending: usize, proven: bool, now: Instant) -> Admission {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            *self = Self { second: now, begun: 0 };
        }
        if pending >= 2 * PENDING || self.begun >= 2 * RATE {
            return Admission::Drop;
        }
        if (pending >= PENDING || self.begun >= RATE) && !proven {
            return Admission::Retry;
        }
        self.begun += 1;
        Admission::Accept
    }
}

/// Accept sessions until the endpoint is closed.
pub async fn accept(desk: Arc<Desk>, endpoint: quinn::Endpoint) {
    let mut gate = Gate { second: Instant::now(), begun: 0 };
    let pending = Arc::new(());
    while let Some(incoming) = endpoint.accept().await {
        let proven = incoming.remote_address_validated();
        match gate.admit(Arc::strong_count(&pending) - 1, proven, Instant::now()) {
            Admission::Accept => drop(desk.runtime.spawn(welcome(Arc::clone(&desk), incoming, Arc::clone(&pending)))),
            Admission::Retry => {
                desk.count_retry();
                // Fails only after a Retry, and then the address is proven.
                let _ = incoming.retry();
            }
            Admission::Drop => incoming.ignore(),
        }
    }
}

/// One handshake and what follows; `pending` counts it meanwhile.
async fn welcome(desk: Arc<Desk>, incoming: Incoming, pending: Arc<()>) {
    let from = incoming.remote_address().ip();
    let greeting = async {
        let connection = shake_hands(&desk, incoming).await?;
        drop(pending);
        greet(&desk, connection, false).await
    };
    let outcome = AssertUnwindSafe(timeout(desk.tuning.dial, greeting)).catch_unwind().await;
    let failure = match outcome {
        Ok(Ok(outcome)) => outcome.and_then(|greeted| desk.settle(greeted, false)).err(),
        Ok(Err(_)) => Some("timeout".to_owned()),
        Err(_) => Some(desk.count_panic("a handshake")),
    };
    if let Some(failure) = failure {
        desk.shared.bus.log(Level::Debug, format!("session from {from} failed: {failure}"));
    }
}

/// The certificate is judged by the identity and trust of this moment.
async fn shake_hands(desk: &Desk, incoming: Incoming) -> Result<Connection, String> {
    let (identity, trust) = desk.settings.both().ok_or("no identity is installed")?;
    let (config, verifier) = endpoint::server(&identity, &trust).map_err(|error| error.to_string())?;
    let accepted = incoming.accept_with(Arc::new(config)).map_err(|error| endpoint::refused(&error, &verifier))?;
    accepted.await.map_err(|error| endpoint::refused(&error, &verifier))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_has_to_prove_its_address_and_is_dropped_in_the_end() {
        let now = Instant::now();
        let mut gate = Gate { second: now, begun: 0 };
        assert!((0..RATE).all(|_| gate.admit(0, false, now) == Admission::Accept));
        assert_eq!(gate.admit(0, false, now), Admission::Retry);
        assert!((0..RATE).all(|_| gate.admit(0, true, now) == Admission::Accept));
        assert_eq!(gate.admit(0, true, now), Admission::Drop);
        let later = now + Duration::from_secs(1);
        assert_eq!(gate.admit(0, false, later), Admission::Accept);
    }

    #[test]
    fn many_handshakes_at_a_time_are_a_flood_too() {
        let now = Instant::now();
        let mut gate = Gate { second: now, begun: 0 };
        assert_eq!(gate.admit(PENDING, false, now), Admission::Retry);
        assert_eq!(gate.admit(PENDING, true, now), Admission::Accept);
        assert_eq!(gate.admit(2 * PENDING, true, now), Admission::Drop);
    }
}
