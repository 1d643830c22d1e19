//! The one clock of a process: what is measured, waited for and remembered is told by it.
//!
//! Invariant: it never goes back, and means nothing to any other process.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

/// Time since it was first asked.
pub fn now() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    START.elapsed()
}
