//! What happens to one packet, both ways.
//!
//! Invariant: one turn of a thread works on one snapshot of the tables and ends with everything it took in
//! sent, written, passed on, handed to quinn, waiting for a session or for its other half, or counted as dropped.

mod answers;
mod copies;
mod denials;
#[cfg(test)]
mod devices;
mod ends;
mod fec;
#[cfg(test)]
mod fec_lanes;
#[cfg(test)]
mod fec_rogues;
mod frames;
mod halves;
mod incoming;
#[cfg(test)]
mod loopback;
#[cfg(test)]
mod multipath;
#[cfg(test)]
mod narrow;
mod onward;
mod outgoing;
#[cfg(test)]
mod own_socket;
mod parcel;
#[cfg(test)]
mod policing;
mod records;
#[cfg(test)]
mod reference;
mod relay;
#[cfg(test)]
mod relaying;
#[cfg(test)]
mod rogues;
mod runs;
mod session_run;
mod slots;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod traffic;
mod train;
#[cfg(test)]
mod veiled;
mod waiting;
mod ways;

use std::io;
use std::ops;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

pub use frames::{send_frames, send_frames_to};
pub use halves::Halves;
pub use incoming::Arrivals;
use incoming::Incoming;
use outgoing::Outgoing;
pub use waiting::release_waiting;

use crate::apart::Apart;
use crate::signal::Signal;
use crate::stats::{Drop, Drops};
use crate::tables::Shared;
use crate::tun::Tun;

/// How long a detach waits for the UDP thread to finish its turn: far longer than any turn.
const RELEASE: Duration = Duration::from_millis(200);

/// The thread that takes in all that arrives on a UDP socket; it ends with this value.
#[derive(Debug)]
pub struct Packets {
    stop: Arc<Signal>,
    thread: Option<JoinHandle<()>>,
}

impl Packets {
    /// Start that of the shared socket.
    pub fn start(shared: Arc<Shared>) -> io::Result<Self> {
        Self::start_on(shared, None, "pulse-udp")
    }

    /// Start that of one link's own socket.
    pub fn start_apart(shared: Arc<Shared>, apart: Arc<Apart>) -> io::Result<Self> {
        Self::start_on(shared, Some(apart), "pulse-udp-apart")
    }

    fn start_on(shared: Arc<Shared>, apart: Option<Arc<Apart>>, name: &str) -> io::Result<Self> {
        let stop = Arc::new(Signal::new()?);
        let mut incoming = Incoming::new(shared, apart, Arc::clone(&stop));
        let thread = Some(spawn(name.to_owned(), move || incoming.run())?);
        Ok(Self { stop, thread })
    }

    /// Stop it and wait for the end of its turn.
    pub fn stop(self) {
        drop(self);
    }
}

impl ops::Drop for Packets {
    fn drop(&mut self) {
        self.stop.raise();
        let _panicked = self.thread.take().map(JoinHandle::join);
    }
}

/// Create the TUN device `name` with so many queues, each read by a thread of its own, in place of any other;
/// the kernel's name for it. Errors as `Tun::create`.
pub fn attach_tun(shared: &Arc<Shared>, name: &str, queues: usize) -> io::Result<String> {
    detach_tun(shared);
    attach(shared, Tun::create(name, queues.max(1))?)
}

/// Put a device to use that exists already.
pub fn attach(shared: &Arc<Shared>, tun: Tun) -> io::Result<String> {
    let tun = Arc::new(tun);
    // Whoever attached meanwhile is found here: no device is left that nobody could detach.
    if let Some(other) = shared.tun.swap(Some(Arc::clone(&tun))) {
        release(other);
    }
    for queue in 0..tun.queues() {
        let mut outgoing = Outgoing::new(Arc::clone(shared), Arc::clone(&tun), queue);
        let started = spawn(format!("pulse-tun-{queue}"), move || outgoing.run());
        tun.read_by(started.inspect_err(|_| detach_tun(shared))?);
    }
    Ok(tun.name.clone())
}

/// Stop reading the TUN device and remove it; nothing happens if there is none.
pub fn detach_tun(shared: &Shared) {
    if let Some(tun) = shared.tun.swap(None) {
        release(tun);
    }
}

/// End the threads of a device that was taken out of use, and remove it.
fn release(mut tun: Arc<Tun>) {
    tun.stop();
    // The name is free for another device only once the last holder let go: the UDP thread, for a turn.
    let begin = Instant::now();
    while begin.elapsed() < RELEASE {
        match Arc::try_unwrap(tun) {
            Ok(_closed) => return,
            Err(held) => tun = held,
        }
        std::thread::sleep(Duration::from_micros(200));
    }
}

fn spawn(name: String, work: impl FnOnce() + Send + 'static) -> io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name(name).spawn(work)
}

/// Run one turn; a panic in it costs that turn only and is counted.
fn guarded<T>(drops: &Drops, turn: impl FnOnce() -> T) -> Option<T> {
    let result = catch_unwind(AssertUnwindSafe(turn));
    if result.is_err() {
        drops.count(Drop::Panicked);
    }
    result.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_in_a_turn_is_counted_and_ends_nothing_else() {
        let drops = Drops::default();
        let empty: [u8; 0] = [];
        assert_eq!(guarded(&drops, || empty[std::hint::black_box(0)]), None);
        assert_eq!(guarded(&drops, || 7), Some(7));
        assert_eq!(drops.get(Drop::Panicked), 1);
    }
}
