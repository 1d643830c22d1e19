//! Waking a thread that sleeps in poll(2).
//!
//! Invariant: a raised signal is seen by everyone who waits from then on, until it is cleared.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// A flag with a descriptor: threads that work look at the flag, threads that sleep poll the descriptor.
#[derive(Debug)]
pub struct Signal {
    raised: AtomicBool,
    wake: OwnedFd,
}

impl Signal {
    /// A signal that is not raised.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: fd was just made and nobody else owns it.
        let wake = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { raised: AtomicBool::new(false), wake })
    }

    /// Raise it; again and again is the same as once.
    pub fn raise(&self) {
        let one = 1_u64;
        // SAFETY: the buffer is 8 bytes long, as an eventfd write needs.
        unsafe { libc::write(self.wake.as_raw_fd(), (&raw const one).cast(), 8) };
        // Last: a descriptor that is readable while the flag is down is never read, and whoever polls it would spin.
        self.raised.store(true, Ordering::SeqCst);
    }

    /// True once raised.
    pub fn is_raised(&self) -> bool {
        self.raised.load(Ordering::SeqCst)
    }

    /// Take it down again: true if it was raised. Only one thread may do this.
    pub fn clear(&self) -> bool {
        if !self.is_raised() {
            return false;
        }
        self.raised.store(false, Ordering::SeqCst);
        let mut value = 0_u64;
        // SAFETY: the buffer is 8 bytes long, as an eventfd read needs.
        unsafe { libc::read(self.wake.as_raw_fd(), (&raw mut value).cast(), 8) };
        true
    }
}

impl AsFd for Signal {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

/// Sleep until `fd` has one of `events` (POLLIN, POLLOUT), an error, or one of `signals` is raised.
pub fn wait(fd: BorrowedFd<'_>, events: i16, signals: &[&Signal]) -> io::Result<()> {
    wait_for(fd, events, signals, None)
}

/// As `wait`, but no longer than `patience`, to the next millisecond.
pub fn wait_for(fd: BorrowedFd<'_>, events: i16, signals: &[&Signal], patience: Option<Duration>) -> io::Result<()> {
    let timeout = patience.map_or(-1, |patience| patience.as_micros().div_ceil(1000) as libc::c_int);
    let of = |fd: BorrowedFd<'_>, events| libc::pollfd { fd: fd.as_raw_fd(), events, revents: 0 };
    // Two signals are all that any thread listens to; poll ignores a negative descriptor.
    let mut fds = [of(fd, events), UNUSED, UNUSED];
    for (slot, signal) in fds[1..].iter_mut().zip(signals) {
        *slot = of(signal.as_fd(), libc::POLLIN);
    }
    // SAFETY: fds is an array of as many valid pollfd as its length says.
    if unsafe { libc::poll(fds.as_mut_ptr(), fds.len() as libc::nfds_t, timeout) } < 0 {
        let error = io::Error::last_os_error();
        return if error.kind() == io::ErrorKind::Interrupted { Ok(()) } else { Err(error) };
    }
    Ok(())
}

const UNUSED: libc::pollfd = libc::pollfd { fd: -1, events: 0, revents: 0 };

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_raised_signal_ends_a_wait_until_it_is_cleared() -> io::Result<()> {
        let (signal, idle) = (Arc::new(Signal::new()?), Signal::new()?);
        let other = Arc::clone(&signal);
        let thread = std::thread::spawn(move || other.raise());
        wait(idle.as_fd(), libc::POLLIN, &[&signal])?;
        assert!(thread.join().is_ok());
        assert!(signal.clear());
        assert!(!signal.clear());
        assert!(!signal.is_raised());
        Ok(())
    }

    #[test]
    fn a_signal_that_is_down_wakes_nobody_however_raise_and_clear_met() -> io::Result<()> {
        let signal = Signal::new()?;
        for _ in 0..2000 {
            std::thread::scope(|scope| {
                let raising = scope.spawn(|| signal.raise());
                while !raising.is_finished() {
                    signal.clear();
                }
            });
            signal.clear();
            let mut poll = libc::pollfd { fd: signal.as_fd().as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: one valid pollfd.
            assert_eq!(unsafe { libc::poll(&raw mut poll, 1, 0) }, 0);
        }
        Ok(())
    }
}
