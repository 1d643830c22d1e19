//! What links and sessions need to know of ourselves; each part is swapped whole.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwapOption;

use crate::hello::{FEATURE_FEC, Hello, VERSION, features, random};
use crate::link::Writable;
use crate::tls::Identity;
use crate::verify::{Certified, Refusal, Trust, wall_clock};

/// Identity, trust and the constants of our hellos.
#[derive(Debug)]
pub struct Settings {
    /// Certificate and key; none before `install_identity`.
    pub identity: ArcSwapOption<Identity>,
    /// Whom we trust; none before `install_trust`.
    pub trust: ArcSwapOption<Trust>,
    /// Random, drawn at start.
    pub boot: [u8; 16],
    /// Our feature bits.
    pub features: u64,
    /// Sessions that begin from now on may have parity.
    pub fec: AtomicBool,
    /// When the shared socket takes bytes again.
    pub writable: Arc<Writable>,
}

impl Settings {
    /// Settings without identity or trust.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            identity: ArcSwapOption::empty(),
            trust: ArcSwapOption::empty(),
            boot: random()?,
            features: features(),
            fec: AtomicBool::new(false),
            writable: Arc::default(),
        })
    }

    /// Identity and trust, once both are installed.
    pub fn both(&self) -> Option<(Arc<Identity>, Arc<Trust>)> {
        Some((self.identity.load_full()?, self.trust.load_full()?))
    }

    /// Our hello for a link or session that receives under `index` and replaces our `replaces` (or 0).
    pub fn hello(&self, index: u32, replaces: u32) -> Hello {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Hello {
            version: VERSION,
            boot: self.boot,
            index,
            replaces,
            clock: since.map_or(0.0, |since| since.as_secs_f64()),
            revocations: self.trust.load().as_ref().map_or([0; 32], |trust| trust.revocations),
            features: self.features | if self.fec.load(Ordering::Relaxed) { FEATURE_FEC } else { 0 },
        }
    }

    /// Seconds since 1970 by which certificates expire: the wall clock, unless it is known to be behind.
    pub fn now(&self) -> u64 {
        let own = self.identity.load().as_ref().map_or(0, |identity| identity.certified.not_before);
        let floor = self.trust.load().as_ref().map_or(0, |trust| trust.time_floor);
        wall_clock().max(own).max(floor)
    }

    /// Judge a certificate by what is installed now, as a handshake would. Before that: refused.
    pub fn judge(&self, der: &[u8]) -> Result<Certified, Refusal> {
        let (identity, trust) = self.both().ok_or(Refusal::Malformed("nothing is trusted yet"))?;
        trust.judge(der, identity.certified.not_before, wall_clock())
    }
}
