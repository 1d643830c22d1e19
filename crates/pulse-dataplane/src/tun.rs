//! The TUN device: whole super-packets in and out, each behind a 10-byte vnet header.
//!
//! Invariant: the device lives exactly as long as this value; its descriptors never block.

use std::fs::{File, OpenOptions};
use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use libc::{TUN_F_CSUM, TUN_F_TSO4, TUN_F_TSO6, TUN_F_USO4, TUN_F_USO6};

use crate::offload::Vnet;
use crate::signal::{Signal, wait_for};

/// Bytes of the longest packet in the mesh: its record and frame, and parity of it, fit 1,500 bytes of IPv6. The TUN's
/// MTU, which Python sets.
pub const MTU: usize = 1340;

const CLONE_DEVICE: &str = "/dev/net/tun";

/// What we ask of the kernel, best first: USO came with Linux 6.2.
const OFFLOADS: [libc::c_uint; 4] = [
    TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_USO4 | TUN_F_USO6,
    TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6,
    TUN_F_CSUM,
    0,
];

/// One attached device and the threads that read it.
#[derive(Debug)]
pub struct Tun {
    /// The kernel's name for it.
    pub name: String,
    /// True if the kernel segments UDP (USO), so may be given joined UDP packets.
    pub segments_udp: bool,
    pub(crate) stop: Signal,
    queues: Vec<File>,
    gone: AtomicBool,
    readers: Mutex<Vec<JoinHandle<()>>>,
}

impl Tun {
    /// Create the device `name` (`%d` in it is filled in by the kernel) with so many queues.
    ///
    /// The error carries the kernel's errno: ENOENT, ENODEV or ENXIO – there is no /dev/net/tun; EPERM or
    /// EACCES – no CAP_NET_ADMIN; EBUSY – the name is taken; EINVAL – not a name for a device.
    pub fn create(name: &str, queues: usize) -> io::Result<Self> {
        let (first, name) = open_queue(name, queues > 1)?;
        let mut files = vec![first];
        for _ in 1..queues {
            files.push(open_queue(&name, true)?.0);
        }
        let mut offloads = OFFLOADS[0];
        for file in &files {
            offloads = set_offloads(file)?;
        }
        Self::adopt(name, files.into_iter().map(OwnedFd::from).collect(), offloads & TUN_F_USO4 != 0)
    }

    /// Take over queues made elsewhere that speak the same format: packets behind vnet headers, one a read or
    /// write, non-blocking.
    pub fn adopt(name: String, queues: Vec<OwnedFd>, segments_udp: bool) -> io::Result<Self> {
        let queues = queues.into_iter().map(File::from).collect();
        Ok(Self {
            name,
            segments_udp,
            stop: Signal::new()?,
            queues,
            gone: AtomicBool::new(false),
            readers: Mutex::default(),
        })
    }

    /// How many queues it has.
    pub fn queues(&self) -> usize {
        self.queues.len()
    }

    /// Read one super-packet of `queue`, vnet header first; `WouldBlock` if there is none.
    pub fn read(&self, queue: usize, into: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        (&self.queues[queue]).read_vectored(into)
    }

    /// Write one super-packet, vnet header first. EIO: the device is not up.
    pub fn write(&self, super_packet: &[IoSlice<'_>]) -> io::Result<()> {
        (&self.queues[0]).write_vectored(super_packet).map(drop)
    }

    /// Write one packet, as `write`.
    pub fn tell(&self, vnet: &Vnet, packet: &[u8]) -> io::Result<()> {
        self.write(&[IoSlice::new(&vnet.encode()), IoSlice::new(packet)])
    }

    /// Sleep until `queue` has something to read, the device is being detached, or so much time has passed.
    pub fn wait_readable(&self, queue: usize, patience: Option<Duration>) -> io::Result<()> {
        wait_for(self.queue(queue), libc::POLLIN, &[&self.stop], patience)
    }

    /// True for the first who noticed that the device is gone.
    pub(crate) fn first_to_miss_it(&self) -> bool {
        !self.gone.swap(true, Ordering::Relaxed)
    }

    /// Remember a thread that reads this device, so that `stop` can wait for it.
    pub(crate) fn read_by(&self, thread: JoinHandle<()>) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
    }

    /// End the reading threads; they never wait for anything but us, so this takes a moment only.
    pub(crate) fn stop(&self) {
        self.stop.raise();
        let readers = std::mem::take(&mut *self.readers.lock().unwrap_or_else(PoisonError::into_inner));
        for reader in readers {
            let _panicked = reader.join();
        }
    }

    fn queue(&self, queue: usize) -> BorrowedFd<'_> {
        self.queues[queue].as_fd()
    }
}

fn open_queue(name: &str, several: bool) -> io::Result<(File, String)> {
    let queues = if several { libc::IFF_MULTI_QUEUE } else { 0 };
    let mut request = request(name, libc::IFF_TUN | libc::IFF_NO_PI | libc::IFF_VNET_HDR | queues)?;
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC)
        .open(CLONE_DEVICE)?;
    // SAFETY: TUNSETIFF reads and writes one ifreq.
    if unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETIFF, &raw mut request) } < 0 {
        return Err(io::Error::last_os_error());
    }
    let given = request.ifr_name.iter().map(|&letter| letter as u8).take_while(|&letter| letter != 0).collect();
    Ok((file, String::from_utf8(given).unwrap_or_else(|_| name.to_owned())))
}

fn request(name: &str, flags: libc::c_int) -> io::Result<libc::ifreq> {
    if name.len() >= libc::IFNAMSIZ || name.contains(['/', '\0', ' ']) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    // SAFETY: all zeros is a valid ifreq.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (letter, byte) in request.ifr_name.iter_mut().zip(name.bytes()) {
        *letter = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = flags as libc::c_short;
    Ok(request)
}

/// The most the kernel takes of what we can handle.
fn set_offloads(file: &File) -> io::Result<libc::c_uint> {
    let accepted = OFFLOADS.into_iter().find(|&offloads| {
        // SAFETY: TUNSETOFFLOAD takes a number.
        unsafe { libc::ioctl(file.as_raw_fd(), libc::TUNSETOFFLOAD, libc::c_ulong::from(offloads)) >= 0 }
    });
    accepted.ok_or_else(io::Error::last_os_error)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_name_for_a_device_is_refused_before_anything_is_opened() {
        for name in ["a-name-of-sixteen", "with/slash", "with space", "with\0zero"] {
            assert_eq!(Tun::create(name, 1).err().and_then(|error| error.raw_os_error()), Some(libc::EINVAL), "{name}");
        }
    }

    #[test]
    fn only_the_first_thread_misses_the_device() -> io::Result<()> {
        let tun = Tun::adopt("none".to_owned(), vec![], false)?;
        assert!(tun.first_to_miss_it());
        assert!(!tun.first_to_miss_it());
        Ok(())
    }
}
