//! When the shared UDP socket takes bytes again, for both quinn endpoints.
//!
//! A descriptor that is registered for writing wakes its thread each time the kernel frees sent bytes, thousands of
//! times a second under load. So it is registered only while a send waits, through a duplicate of its own.
//! Invariant: after a send that would block, the poller really waits, else quinn would spin.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use quinn::UdpPoller;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// How long to wait where the system gives no descriptor to wait with.
const BLIND_WAIT: Duration = Duration::from_millis(1);

/// The socket's writability; follows a rebind.
#[derive(Debug, Default)]
pub struct Writable {
    fd: ArcSwapOption<OwnedFd>,
    full: AtomicBool,
}

impl Writable {
    /// Send through `fd` from now on.
    pub fn follow(&self, fd: Arc<OwnedFd>) {
        self.fd.store(Some(fd));
        self.full.store(false, Ordering::Relaxed);
    }

    /// Send no more.
    pub fn forget(&self) {
        self.fd.store(None);
    }

    /// Do a non-blocking send for quinn: only `WouldBlock` is an error, as any other would end the connection.
    pub fn send(&self, send: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        if self.fd.load().is_none() {
            return Ok(());
        }
        match send() {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.full.store(true, Ordering::Relaxed);
                Err(error)
            }
            _ => Ok(()),
        }
    }

    /// A poller for one connection.
    pub fn poller(self: &Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { writable: Arc::clone(self), waiting: None })
    }

    async fn drained(self: Arc<Self>) {
        let Some(fd) = self.fd.load_full() else { return std::future::pending().await };
        match register(&fd) {
            Ok(registered) => drop(registered.writable().await),
            Err(_) => tokio::time::sleep(BLIND_WAIT).await,
        }
        self.full.store(false, Ordering::Relaxed);
    }
}

fn register(fd: &OwnedFd) -> io::Result<AsyncFd<OwnedFd>> {
    // SAFETY: the duplicate is owned by what is registered, so it stays open for as long.
    unsafe { AsyncFd::register_with_interest(fd.try_clone()?, Interest::WRITABLE) }.map_err(io::Error::from)
}

type Waiting = Pin<Box<dyn Future<Output = ()> + Send + Sync>>;

struct Poller {
    writable: Arc<Writable>,
    waiting: Option<Waiting>,
}

impl std::fmt::Debug for Poller {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Poller")
    }
}

impl UdpPoller for Poller {
    fn poll_writable(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.waiting.is_none() && !self.writable.full.load(Ordering::Relaxed) {
            return Poll::Ready(Ok(()));
        }
        let writable = Arc::clone(&self.writable);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(writable.drained()));
        if waiting.as_mut().poll(context).is_pending() {
            return Poll::Pending;
        }
        self.waiting = None;
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use futures_util::task::noop_waker;

    fn would_block() -> io::Result<()> {
        Err(io::ErrorKind::WouldBlock.into())
    }

    #[tokio::test]
    async fn a_poller_waits_only_after_a_send_that_would_block() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let writable = Arc::new(Writable::default());
        writable.follow(Arc::new(socket.into()));
        let mut poller = writable.poller();
        let waker = noop_waker();
        let mut context = Context::from_waker(&waker);
        assert!(poller.as_mut().poll_writable(&mut context).is_ready());
        assert!(writable.send(would_block).is_err());
        assert!(poller.as_mut().poll_writable(&mut context).is_pending());
        std::future::poll_fn(|context| poller.as_mut().poll_writable(context)).await.unwrap();
        assert!(poller.as_mut().poll_writable(&mut context).is_ready());
    }

    #[test]
    fn without_a_socket_bytes_are_lost_in_silence() {
        let writable = Writable::default();
        assert!(writable.send(would_block).is_ok());
    }
}
