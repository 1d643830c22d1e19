//! Streams of sessions: RPC and spliced byte streams, and who may tell them what.
//!
//! Invariant: what a peer can make us hold is counted, for all sessions with it, and refused beyond its limit; every id
//! we gave out is forgotten when its task ends, however it ends.

mod offer;
mod pipe;
mod rpc;
mod splice;

pub use offer::PENDING_LIMIT;
pub use pipe::HEADER_LIMIT;
pub use rpc::{OPEN_LIMIT, PAYLOAD_LIMIT};

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use quinn::{RecvStream, SendStream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

use crate::NodeId;
use crate::event::Event;
use crate::tables::Shared;
use pipe::{Kind, Pipe};

/// Codes of refusals made here; those below 256 are Python's.
pub mod refusal {
    /// There is no session with the node and none could be had.
    pub const UNREACHABLE: u32 = 256;
    /// No answer in time.
    pub const TIMEOUT: u32 = 257;
    /// The peer has as many open as it may.
    pub const BUSY: u32 = 258;
    /// A payload or header over its limit.
    pub const TOO_LARGE: u32 = 259;
    /// Given up by the opener.
    pub const CANCELLED: u32 = 260;
    /// The session ended; before an answer also: the stream was reset.
    pub const LOST: u32 = 261;
    /// Either end's program, or the far node, broke off what had begun.
    pub const RESET: u32 = 262;
}

/// How long the parts of a stream's beginning may take.
#[derive(Debug, Clone, Copy)]
pub struct Deadlines {
    /// For the header to arrive.
    pub header: Duration,
    /// For the far side to judge and dial, for the near side to name its descriptor, for a request to arrive.
    pub answer: Duration,
}

impl Default for Deadlines {
    fn default() -> Self {
        Self { header: Duration::from_secs(10), answer: Duration::from_secs(30) }
    }
}

/// What streams need of a session.
#[derive(Debug, Clone)]
pub struct Carrier {
    /// The verified peer.
    pub node: NodeId,
    /// The QUIC connection.
    pub connection: quinn::Connection,
    /// What is open on it.
    pub load: Arc<Load>,
}

/// What is open on one session.
#[derive(Debug)]
pub struct Load {
    streams: Arc<AtomicUsize>,
    asked: Arc<Asked>,
}

/// What a node asked of Python and has no answer to, on all its sessions.
#[derive(Debug, Default)]
struct Asked {
    requests: Arc<AtomicUsize>,
    offers: Arc<AtomicUsize>,
}

/// One place in a count, given back on drop.
#[derive(Debug)]
pub struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Load {
    /// Streams and requests open now, both ways.
    pub fn open(&self) -> usize {
        self.streams.load(Ordering::Relaxed)
    }

    fn stream(&self) -> Place {
        self.streams.fetch_add(1, Ordering::Relaxed);
        Place(Arc::clone(&self.streams))
    }

    fn request(&self) -> Option<Place> {
        place(&self.asked.requests, OPEN_LIMIT)
    }

    fn offer(&self) -> Option<Place> {
        place(&self.asked.offers, PENDING_LIMIT)
    }
}

fn place(count: &Arc<AtomicUsize>, limit: usize) -> Option<Place> {
    let before = count.fetch_add(1, Ordering::Relaxed);
    let place = Place(Arc::clone(count));
    (before < limit).then_some(place)
}

/// What Python may order about a stream.
#[derive(Debug)]
enum Order {
    Splice(OwnedFd),
    Refuse(u32),
    Cancel,
}

/// Where orders or answers for running tasks are left, by id.
#[derive(Debug)]
struct Mailboxes<T>(Arc<Mutex<HashMap<u64, UnboundedSender<T>>>>);

/// A task's side of it; the id is forgotten with it.
#[derive(Debug)]
struct Ticket<T> {
    id: u64,
    inbox: UnboundedReceiver<T>,
    mailboxes: Mailboxes<T>,
}

impl<T> Mailboxes<T> {
    fn new() -> Self {
        Self(Arc::default())
    }

    fn open(&self, id: u64) -> Ticket<T> {
        let (sender, inbox) = unbounded_channel();
        self.lock().insert(id, sender);
        Ticket { id, inbox, mailboxes: Self(Arc::clone(&self.0)) }
    }

    /// Leave something for a task; dropped if it is gone.
    fn leave(&self, id: u64, what: T) {
        if let Some(sender) = self.lock().get(&id) {
            let _ = sender.send(what);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<u64, UnboundedSender<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> Ticket<T> {
    async fn next(&mut self) -> Option<T> {
        self.inbox.recv().await
    }
}

impl<T> Drop for Ticket<T> {
    fn drop(&mut self) {
        self.mailboxes.lock().remove(&self.id);
    }
}

/// The streams of all sessions of one data plane; every method may be called from any thread.
#[derive(Debug)]
pub struct Streams {
    shared: Arc<Shared>,
    deadlines: Deadlines,
    ids: AtomicU64,
    orders: Mailboxes<Order>,
    replies: Mailboxes<Vec<u8>>,
    asked: Mutex<HashMap<NodeId, Weak<Asked>>>,
}

/// Our stream before its task runs.
#[derive(Debug)]
pub struct Opening {
    ticket: Ticket<Order>,
    header: Vec<u8>,
}

impl Opening {
    /// The id of the stream.
    pub fn id(&self) -> u64 {
        self.ticket.id
    }
}

impl Streams {
    /// No streams yet.
    pub fn new(shared: Arc<Shared>, deadlines: Deadlines) -> Self {
        let (orders, replies) = (Mailboxes::new(), Mailboxes::new());
        Self { shared, deadlines, ids: AtomicU64::new(1), orders, replies, asked: Mutex::default() }
    }

    /// The load of a new session with `node`: what it asked on former ones still counts.
    pub fn load(&self, node: NodeId) -> Load {
        let mut all = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|_, asked| asked.strong_count() > 0);
        let asked = all.get(&node).and_then(Weak::upgrade).unwrap_or_default();
        all.insert(node, Arc::downgrade(&asked));
        Load { streams: Arc::default(), asked }
    }

    /// A new id for a request or stream.
    pub fn next_id(&self) -> u64 {
        self.ids.fetch_add(1, Ordering::Relaxed)
    }

    /// Prepare a stream of ours, so that orders for it are heard before its task runs.
    pub fn prepare(&self, header: Vec<u8>) -> Opening {
        Opening { ticket: self.orders.open(self.next_id()), header }
    }

    /// Run a stream of ours to its end; `carrier` resolves to a session or a refusal code.
    pub async fn open(&self, opening: Opening, carrier: impl Future<Output = Result<Carrier, u32>>) {
        let Opening { ticket, header } = opening;
        if header.len() > HEADER_LIMIT {
            return self.shared.bus.emit(Event::StreamRefused { stream: ticket.id, code: refusal::TOO_LARGE });
        }
        offer::open(self, ticket, carrier, &header).await;
    }

    /// Run a request of ours; `Err` holds a code word.
    pub async fn request(
        &self,
        carrier: impl Future<Output = Result<Carrier, u32>>,
        payload: &[u8],
        limit: Duration,
    ) -> Result<Vec<u8>, &'static str> {
        if payload.len() > PAYLOAD_LIMIT {
            return Err("too_large");
        }
        let call = async { rpc::call(&carrier.await.map_err(|_| "unreachable")?, payload).await };
        timeout(limit, call).await.unwrap_or(Err("timeout"))
    }

    /// Reset a stream a peer opened.
    pub fn decline(&self, halves: (SendStream, RecvStream)) {
        drop(Pipe::new(halves));
    }

    /// Run a stream a peer opened to its end.
    pub async fn accepted(&self, carrier: &Carrier, halves: (SendStream, RecvStream)) {
        let open = carrier.load.stream();
        let mut pipe = Pipe::new(halves);
        match pipe.read_header(self.deadlines.header).await {
            Ok((Kind::Rpc, _)) => rpc::serve(self, carrier, pipe, open).await,
            Ok((Kind::Tcp, header)) => offer::accepted(self, carrier, pipe, header).await,
            Err(_) => {}
        }
    }

    /// Answer an `Event::Request`.
    pub fn respond(&self, request: u64, payload: Vec<u8>) {
        self.replies.leave(request, payload);
    }

    /// Splice a stream, ours or theirs, with `fd`.
    pub fn splice(&self, stream: u64, fd: OwnedFd) {
        self.orders.leave(stream, Order::Splice(fd));
    }

    /// Refuse a stream of theirs.
    pub fn refuse(&self, stream: u64, code: u32) {
        self.orders.leave(stream, Order::Refuse(code));
    }

    /// Reset a stream.
    pub fn cancel(&self, stream: u64) {
        self.orders.leave(stream, Order::Cancel);
    }
}
