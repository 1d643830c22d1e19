//! The two halves of a link's hop seal; `frame` knows what they seal.
//!
//! Invariant: both live exactly as long as the link, so their counters never start anew under one key.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{Cipher, Key, Window};

/// Seals frames to one neighbour.
#[derive(Debug)]
pub struct HopSealer {
    /// The index the neighbour named in its hello: it finds its key by it.
    pub peer_index: u32,
    pub(crate) key: Key,
    next: AtomicU64,
}

impl HopSealer {
    /// A sealer whose first counter is 0; `secret` must be fresh.
    pub fn new(peer_index: u32, secret: &[u8; 32], cipher: Cipher) -> Self {
        Self { peer_index, key: Key::new(secret, cipher), next: AtomicU64::new(0) }
    }

    /// Take the next `count` counters for ourselves alone; the first of them.
    pub fn reserve(&self, count: u64) -> u64 {
        self.next.fetch_add(count, Ordering::Relaxed)
    }
}

/// Opens frames from one neighbour.
#[derive(Debug)]
pub struct HopOpener {
    key: Key,
    window: Mutex<Window>,
}

impl HopOpener {
    /// An opener that has seen nothing yet.
    pub fn new(secret: &[u8; 32], cipher: Cipher) -> Self {
        Self { key: Key::new(secret, cipher), window: Mutex::default() }
    }

    /// Begin a run of frames: the window is locked once for all of them.
    pub fn run(&self) -> HopRun<'_> {
        HopRun { key: &self.key, window: self.window.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

/// A run of frames from one neighbour; see `frame::open`.
#[derive(Debug)]
pub struct HopRun<'a> {
    pub(crate) key: &'a Key,
    pub(crate) window: MutexGuard<'a, Window>,
}
