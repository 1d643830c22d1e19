//! A relay as its two neighbours see it from outside: what one sends over a link arrives at the other, or does not.

use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Carries datagrams one way; the other way has a path of its own.
pub struct Relay {
    /// Where it takes datagrams.
    pub front: SocketAddr,
    wires: Arc<Wires>,
    thread: Option<JoinHandle<()>>,
}

struct Wires {
    front: UdpSocket,
    far: SocketAddr,
    longest: AtomicUsize,
    over: AtomicBool,
}

impl Relay {
    /// A relay to whoever is at `far`.
    pub fn before(far: SocketAddr) -> Self {
        let front = UdpSocket::bind("127.0.0.1:0").unwrap();
        front.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = front.local_addr().unwrap();
        let wires = Arc::new(Wires { front, far, longest: usize::MAX.into(), over: AtomicBool::default() });
        let carrier = Arc::clone(&wires);
        let thread = Some(std::thread::spawn(move || carrier.carry()));
        Self { front: address, wires, thread }
    }

    /// Drop everything that is longer from now on.
    pub fn carry_up_to(&self, longest: usize) {
        self.wires.longest.store(longest, Ordering::Relaxed);
    }
}

impl Wires {
    fn carry(&self) {
        let mut datagram = [0; 2048];
        while !self.over.load(Ordering::Relaxed) {
            let Ok(length) = self.front.recv(&mut datagram) else { continue };
            if length <= self.longest.load(Ordering::Relaxed) {
                self.front.send_to(&datagram[..length], self.far).unwrap();
            }
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.wires.over.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
