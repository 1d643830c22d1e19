//! A box between two nodes that drops frames, or lets them come from elsewhere, when told to.

use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// First byte of a frame.
const FRAME: u8 = 0x21;

pub struct Middle {
    /// Where the dialler finds it.
    pub front: SocketAddr,
    /// Where the other node sees the dialler, and where it may see it later.
    pub backs: [SocketAddr; 2],
    wires: Arc<Wires>,
    threads: Vec<JoinHandle<()>>,
}

struct Wires {
    front: UdpSocket,
    backs: [UdpSocket; 2],
    far: SocketAddr,
    near: Mutex<Option<SocketAddr>>,
    frames_dropped: AtomicBool,
    frames_moved: AtomicBool,
    all_moved: AtomicBool,
    moved_is_deaf: AtomicBool,
    longest: AtomicUsize,
    over: AtomicBool,
}

fn wire() -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    socket
}

impl Middle {
    pub fn before(far: SocketAddr) -> Self {
        let wires = Arc::new(Wires {
            front: wire(),
            backs: [wire(), wire()],
            far,
            near: Mutex::default(),
            frames_dropped: AtomicBool::default(),
            frames_moved: AtomicBool::default(),
            all_moved: AtomicBool::default(),
            moved_is_deaf: AtomicBool::default(),
            longest: usize::MAX.into(),
            over: AtomicBool::default(),
        });
        let front = wires.front.local_addr().unwrap();
        let backs = [0, 1].map(|back: usize| wires.backs[back].local_addr().unwrap());
        let carriers: [fn(&Wires); 3] = [Wires::carry_on, |wires| wires.carry_back(0), |wires| wires.carry_back(1)];
        let carry = |carrier: fn(&Wires)| {
            let wires = Arc::clone(&wires);
            std::thread::spawn(move || {
                while !wires.over.load(Ordering::Relaxed) {
                    carrier(&wires);
                }
            })
        };
        let threads = carriers.map(carry).into();
        Self { front, backs, wires, threads }
    }

    pub fn drop_frames(&self, drop: bool) {
        self.wires.frames_dropped.store(drop, Ordering::Relaxed);
    }

    /// As a way with a smaller MTU: longer datagrams vanish.
    pub fn narrow(&self, longest: usize) {
        self.wires.longest.store(longest, Ordering::Relaxed);
    }

    /// As a NAT that was restarted: everything comes from the second back from now on.
    pub fn move_all(&self) {
        self.wires.all_moved.store(true, Ordering::Relaxed);
    }

    /// As somebody who diverts frames: they come from an address that does not let anything back.
    pub fn divert_frames(&self, divert: bool) {
        self.wires.frames_moved.store(divert, Ordering::Relaxed);
        self.wires.moved_is_deaf.store(divert, Ordering::Relaxed);
    }
}

impl Wires {
    fn carry_on(&self) {
        let mut datagram = [0; 2048];
        let Ok((length, near)) = self.front.recv_from(&mut datagram) else { return };
        *self.near.lock().unwrap() = Some(near);
        let is_frame = datagram[0] == FRAME;
        if length > self.longest.load(Ordering::Relaxed) || is_frame && self.frames_dropped.load(Ordering::Relaxed) {
            return;
        }
        let moved = self.all_moved.load(Ordering::Relaxed) || (is_frame && self.frames_moved.load(Ordering::Relaxed));
        self.backs[usize::from(moved)].send_to(&datagram[..length], self.far).unwrap();
    }

    fn carry_back(&self, back: usize) {
        let mut datagram = [0; 2048];
        let Ok(length) = self.backs[back].recv(&mut datagram) else { return };
        let deaf = back == 1 && self.moved_is_deaf.load(Ordering::Relaxed);
        let dropped = length > self.longest.load(Ordering::Relaxed)
            || datagram[0] == FRAME && self.frames_dropped.load(Ordering::Relaxed);
        if let (Some(near), false) = (*self.near.lock().unwrap(), deaf || dropped) {
            self.front.send_to(&datagram[..length], near).unwrap();
        }
    }
}

impl Drop for Middle {
    fn drop(&mut self) {
        self.wires.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}
