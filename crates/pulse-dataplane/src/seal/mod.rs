//! Seals that keep frames and records what their sender made them.
//!
//! Invariant: a counter is used once under a key. It lives beside the key, outside every swapped table,
//! and whoever seals reserves its counters first; the replay window is asked only after the seal opened.

mod hop;
mod key;
mod record;
mod window;

pub use hop::{HopOpener, HopRun, HopSealer};
pub use key::{Cipher, Key, TAG, hardware_aes};
pub use record::{Marks, RECORD, RECORD_HEADER, RECORD_OVERHEAD, RecordOpener, RecordRun, RecordSealer};
pub use window::{WINDOW, Window};
