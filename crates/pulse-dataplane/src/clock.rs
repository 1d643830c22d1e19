//! The one clock of a process: what is measured, waited for and remembered is told by it.
//!
//! Invariant: it never goes back, and means nothing to any other process.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// `now` for what need not be known more closely.
pub fn second() -> u32 {
    now().as_secs() as u32
}

/// Time since it was first asked.
pub fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}
