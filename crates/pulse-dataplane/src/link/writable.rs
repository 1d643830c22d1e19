//! When the shared UDP socket takes bytes again, for both quinn endpoints.
//!
//! The UDP thread reads the socket, so it is registered for writing only: readable data must not wake the
//! runtime. Invariant: a send that would block clears the readiness, else quinn would spin.

use std::future::Future;
use std::io;
use std::os::fd::OwnedFd;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use arc_swap::ArcSwapOption;
use quinn::UdpPoller;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// The socket's writability; follows a rebind.
#[derive(Debug, Default)]
pub struct Writable(ArcSwapOption<AsyncFd<Arc<OwnedFd>>>);

impl Writable {
    /// Watch `fd` from now on; must be called on the runtime.
    pub fn follow(&self, fd: Arc<OwnedFd>) -> io::Result<()> {
        // SAFETY: the Arc keeps the descriptor open as long as it is registered.
        let registered = unsafe { AsyncFd::register_with_interest(fd, Interest::WRITABLE) };
        self.0.store(Some(Arc::new(registered.map_err(io::Error::from)?)));
        Ok(())
    }

    /// Stop watching.
    pub fn forget(&self) {
        self.0.store(None);
    }

    /// Do a non-blocking send for quinn: only `WouldBlock` is an error, as any other would end the connection.
    pub fn send(&self, send: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        let Some(fd) = self.0.load_full() else { return Ok(()) };
        match fd.try_io(Interest::WRITABLE, |_| send()) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(()),
        }
    }

    /// A poller for one connection.
    pub fn poller(self: &Arc<Self>) -> Pin<Box<dyn UdpPoller>> {
        Box::pin(Poller { writable: Arc::clone(self), waiting: None })
    }

    async fn ready(self: Arc<Self>) -> io::Result<()> {
        match self.0.load_full() {
            Some(fd) => fd.writable().await.map(drop),
            None => std::future::pending().await,
        }
    }
}

type Waiting = Pin<Box<dyn Future<Output = io::Result<()>> + Send + Sync>>;

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
        let writable = Arc::clone(&self.writable);
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(writable.ready()));
        let ready = waiting.as_mut().poll(context);
        if ready.is_ready() {
            self.waiting = None;
        }
        ready
    }
}
