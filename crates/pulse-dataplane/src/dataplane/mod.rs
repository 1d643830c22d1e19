//! The data plane as a whole: what Python holds.
//!
//! One thread runs the runtime of links, sessions and splices; the packet threads are their own. Every call
//! returns at once; what becomes of it arrives on the bus. Invariant: `close` never hangs, and dropping only
//! signals.

mod addresses;
mod fec;
mod routes;
mod sessions;
mod statistics;
mod tables;

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, io};

use arc_swap::{ArcSwap, ArcSwapOption};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::oneshot;

pub use addresses::Ownership;
pub use fec::Protected;
pub use routes::Way;
pub use statistics::{PathSnapshot, PeerSnapshot, Statistics};

use crate::conntrack::Conntrack;
use crate::event::{Bus, Event};
use crate::forward::{Packets, attach_tun, detach_tun};
use crate::hello::MESSAGE_MAX;
use crate::hits::Hits;
use crate::inbox::Inbox;
use crate::link::{Links, Settings, Transports};
use crate::path::Paths;
use crate::punch::{self, Attempt, Attempts};
use crate::session::Sessions;
use crate::socket::Socket;
use crate::stats::Drops;
use crate::tables::Shared;
use crate::tls::Identity;
use crate::verify::Trust;
use crate::{LinkId, NodeId};

/// Packets, or runs of them, that may wait for a quinn endpoint.
const INBOX: usize = 1024;
/// Longest RPC.
const REQUEST_MAX: usize = 1 << 20;

/// Why a call could not be done.
#[derive(Debug)]
pub enum Error {
    /// `close` was called.
    Closed,
    /// An argument that cannot be meant; the text names it.
    Invalid(String),
    /// The system refused.
    System(io::Error),
}

impl fmt::Display for Error {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => formatter.write_str("data plane is closed"),
            Self::Invalid(what) => formatter.write_str(what),
            Self::System(error) => error.fmt(formatter),
        }
    }
}

impl std::error::Error for Error {}

impl From<io::Error> for Error {
    fn from(error: io::Error) -> Self {
        Self::System(error)
    }
}

/// What a call gives.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that ends with `close`.
#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    settings: Arc<Settings>,
    links: Links,
    sessions: Sessions,
}

/// The data plane of one node.
#[derive(Debug)]
pub struct Dataplane {
    running: ArcSwapOption<Running>,
    /// The eventfd of the bus once more: whoever polls it may do so until this value dies.
    wake: OwnedFd,
    /// Events that were left when it was closed.
    rest: Mutex<Vec<Event>>,
    thread: Mutex<Option<Thread>>,
}

#[derive(Debug)]
struct Thread {
    stop: oneshot::Sender<()>,
    handle: JoinHandle<()>,
}

impl Dataplane {
    /// Take over the bound UDP socket `udp` and start.
    pub fn new(udp: OwnedFd) -> io::Result<Self> {
        let (wanted, wants) = unbounded_channel();
        let shared = Arc::new(Shared {
            socket: Socket::new(udp)?,
            bus: Bus::new()?,
            drops: Drops::default(),
            me: ArcSwapOption::empty(),
            links: ArcSwap::default(),
            openers: ArcSwap::default(),
            addresses: ArcSwap::default(),
            routes: ArcSwap::default(),
            policy: ArcSwap::default(),
            conntrack: Conntrack::default(),
            hits: Hits::default(),
            paths: Paths::default(),
            attempts: Attempts::default(),
            tun: ArcSwapOption::empty(),
            link_inbox: Inbox::new(INBOX),
            session_inbox: Inbox::new(INBOX),
            wanted,
        });
        // SAFETY: the bus outlives this borrow, and its eventfd with it.
        let wake = unsafe { std::os::fd::BorrowedFd::borrow_raw(shared.bus.fileno()) }.as_fd().try_clone_to_owned()?;
        let (stop, stopped) = oneshot::channel();
        let (ready, started) = mpsc::channel();
        let name = std::thread::Builder::new().name("pulse-runtime".into());
        let handle = name.spawn(move || run(shared, wants, stopped, &ready))?;
        let running = started.recv().map_err(|_| io::Error::other("the runtime thread broke down"))??;
        Ok(Self {
            running: ArcSwapOption::from_pointee(running),
            wake,
            rest: Mutex::default(),
            thread: Mutex::new(Some(Thread { stop, handle })),
        })
    }

    /// An eventfd that is readable while there are events.
    pub fn fileno(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    /// At most `most` events, oldest first; after `close` what was left.
    pub fn drain(&self, most: usize) -> Vec<Event> {
        let Some(running) = self.running.load_full() else {
            let mut rest = lock(&self.rest);
            let most = most.min(rest.len());
            return rest.drain(..most).collect();
        };
        let events = running.shared.bus.drain(most);
        running.links.drained(&events);
        events
    }

    /// Where the socket is bound.
    pub fn local_addr(&self) -> Result<SocketAddr> {
        Ok(self.running()?.shared.socket.local_addr()?)
    }

    /// The random id of this life of the node.
    pub fn boot_id(&self) -> Result<[u8; 16]> {
        Ok(self.running()?.settings.boot)
    }

    /// Show this certificate (DER chain, leaf first; key PKCS#8 DER) in all handshakes from now on.
    pub fn install_identity(&self, chain: &[Vec<u8>], key: &[u8]) -> Result<()> {
        let running = self.running()?;
        running.links.install_identity(Identity::new(chain, key).map_err(Error::Invalid)?);
        Ok(running.sessions.identity_changed()?)
    }

    /// Judge by `trust` from now on; closes every link and session it does not cover.
    pub fn install_trust(&self, trust: Trust) -> Result<()> {
        if trust.objects.len() > MESSAGE_MAX {
            return Err(Error::Invalid("the objects for joiners are longer than 64 KiB".into()));
        }
        let running = self.running()?;
        running.links.install_trust(trust);
        Ok(running.sessions.trust_changed()?)
    }

    /// Knock at a join lane: `JoinGreeted` or `JoinFailed` follows.
    pub fn join(&self, address: SocketAddr, pinned: bool, transports: Transports) -> Result<u64> {
        Ok(self.running()?.links.join(address, pinned, transports))
    }

    /// Send the request of a join that was greeted.
    pub fn send_join(&self, join: u64, request: Vec<u8>) -> Result<()> {
        at_most(request.len(), MESSAGE_MAX, "a join request", "64 KiB")?;
        self.running()?.links.send_join(join, request);
        Ok(())
    }

    /// Hang up a join; no event follows.
    pub fn cancel_join(&self, join: u64) -> Result<()> {
        self.running()?.links.cancel_join(join);
        Ok(())
    }

    /// Answer a stranger that asks to join through us; empty hangs up.
    pub fn answer_join(&self, offer: u64, answer: Vec<u8>) -> Result<()> {
        at_most(answer.len(), MESSAGE_MAX, "a join answer", "64 KiB")?;
        self.running()?.links.answer_join(offer, answer);
        Ok(())
    }

    /// Dial a link: `LinkUp` or `DialFailed` follows.
    pub fn dial(
        &self,
        address: SocketAddr,
        expect: Option<NodeId>,
        replaces: LinkId,
        transports: Transports,
    ) -> Result<u64> {
        Ok(self.running()?.links.dial(address, expect, replaces, transports))
    }

    /// Take in WebSockets on a TCP socket that listens.
    pub fn listen(&self, tcp: OwnedFd) -> Result<()> {
        Ok(self.running()?.links.listen(tcp)?)
    }

    /// Close a link; `LinkDown` follows.
    pub fn close_link(&self, link: LinkId, reason: &str) -> Result<()> {
        self.running()?.links.close_link(link, reason);
        Ok(())
    }

    /// Queue a control message; false if the link is gone or too many wait.
    pub fn send(&self, link: LinkId, message: Vec<u8>) -> Result<bool> {
        at_most(message.len(), MESSAGE_MAX, "a message", "64 KiB")?;
        Ok(self.running()?.links.send(link, message))
    }

    /// These attempts at a hole in a NAT are under way; all others are over.
    pub fn expect_probes(&self, attempts: Vec<Attempt>) -> Result<()> {
        self.running()?.shared.attempts.replace(attempts);
        Ok(())
    }

    /// Send one punch probe of an attempt; what the system refuses to send is lost.
    pub fn send_probe(&self, to: SocketAddr, attempt: u64) -> Result<()> {
        let _lost = punch::ask(&self.running()?.shared, attempt, to);
        Ok(())
    }

    /// Send so many probes of an attempt by birthday, each from the next of its own sockets; what does not leave is lost.
    pub fn send_probes_apart(&self, to: SocketAddr, attempt: u64, count: usize) -> Result<()> {
        self.running()?.links.ask_apart(to, attempt, count);
        Ok(())
    }

    /// RPC: `Response` follows, at the latest after `limit`.
    pub fn request(&self, node: NodeId, payload: Vec<u8>, limit: Duration) -> Result<u64> {
        at_most(payload.len(), REQUEST_MAX, "a request", "1 MiB")?;
        Ok(self.running()?.sessions.request(node, payload, limit))
    }

    /// Answer an RPC.
    pub fn respond(&self, request: u64, payload: Vec<u8>) -> Result<()> {
        at_most(payload.len(), REQUEST_MAX, "a response", "1 MiB")?;
        self.running()?.sessions.respond(request, payload);
        Ok(())
    }

    /// Open a stream: `StreamAccepted` or `StreamRefused` follows.
    pub fn open_stream(&self, node: NodeId, header: Vec<u8>) -> Result<u64> {
        Ok(self.running()?.sessions.open_stream(node, header))
    }

    /// Accept an offered stream and splice it with `fd`.
    pub fn accept_stream(&self, stream: u64, fd: OwnedFd) -> Result<()> {
        self.running()?.sessions.accept_stream(stream, fd);
        Ok(())
    }

    /// Refuse an offered stream.
    pub fn refuse_stream(&self, stream: u64, code: u32) -> Result<()> {
        self.running()?.sessions.refuse_stream(stream, code);
        Ok(())
    }

    /// Splice our accepted stream with `fd`.
    pub fn splice(&self, stream: u64, fd: OwnedFd) -> Result<()> {
        self.running()?.sessions.splice(stream, fd);
        Ok(())
    }

    /// Reset a stream.
    pub fn cancel_stream(&self, stream: u64) -> Result<()> {
        self.running()?.sessions.cancel_stream(stream);
        Ok(())
    }

    /// Make a TUN device and carry its packets; the kernel's name for it.
    pub fn attach_tun(&self, name: &str, queues: usize) -> Result<String> {
        let running = self.running()?;
        let name = attach_tun(&running.shared, name, queues)?;
        // A `close` on another thread may have detached already; from here on it would find the device.
        if self.running.load().is_none() {
            detach_tun(&running.shared);
            return Err(Error::Closed);
        }
        Ok(name)
    }

    /// Remove the TUN device, if there is one.
    pub fn detach_tun(&self) -> Result<()> {
        detach_tun(&self.running()?.shared);
        Ok(())
    }

    /// Go on with another bound UDP socket.
    pub fn rebind(&self, udp: OwnedFd) -> Result<()> {
        Ok(self.running()?.links.rebind(udp)?)
    }

    /// Say goodbye to all peers and end: the socket is closed and no thread is left.
    pub fn close(&self) {
        let Some(Thread { stop, handle }) = lock(&self.thread).take() else { return };
        let _ = stop.send(());
        // The thread's own waits are bounded, and a panic in it ends it all the same.
        let _ = handle.join();
        if let Some(running) = self.running.swap(None) {
            detach_tun(&running.shared);
            *lock(&self.rest) = running.shared.bus.drain(usize::MAX);
        }
    }

    fn running(&self) -> Result<Arc<Running>> {
        self.running.load_full().ok_or(Error::Closed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn at_most(length: usize, most: usize, what: &str, limit: &str) -> Result<()> {
    if length <= most { Ok(()) } else { Err(Error::Invalid(format!("{what} is longer than {limit}"))) }
}

/// The runtime thread, from start to end. It ends when told to, or when the `Dataplane` was dropped.
fn run(
    shared: Arc<Shared>,
    wants: UnboundedReceiver<NodeId>,
    stopped: oneshot::Receiver<()>,
    ready: &mpsc::Sender<io::Result<Running>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error))),
    };
    runtime.block_on(async {
        match start(shared, wants) {
            Ok((running, packets)) => {
                let (links, sessions) = (running.links.clone(), running.sessions.clone());
                let shared = Arc::clone(&running.shared);
                let _ = ready.send(Ok(running));
                let _told_or_dropped = stopped.await;
                // Sessions travel over links, and both over the packet threads: inside out.
                sessions.shutdown().await;
                links.shutdown().await;
                detach_tun(&shared);
                packets.stop();
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
    // Never waits for a task that is stuck.
    runtime.shutdown_background();
}

fn start(shared: Arc<Shared>, wants: UnboundedReceiver<NodeId>) -> io::Result<(Running, Packets)> {
    let settings = Arc::new(Settings::new()?);
    settings.writable.follow(shared.socket.fd());
    let sessions = Sessions::start(Arc::clone(&shared), Arc::clone(&settings), wants)?;
    let rerouted = {
        let sessions = sessions.clone();
        Arc::new(move || sessions.rerouted())
    };
    let links = Links::start(Arc::clone(&shared), Arc::clone(&settings), rerouted)?;
    let packets = Packets::start(Arc::clone(&shared))?;
    Ok((Running { shared, settings, links, sessions }, packets))
}
