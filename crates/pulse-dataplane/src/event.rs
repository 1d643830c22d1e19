//! What happened, told to Python: one bounded-cost queue behind one eventfd.
//!
//! Invariant: the eventfd is written only on the edge from empty to non-empty, so a burst of events
//! costs one wake-up. Up and down events are never dropped; each producer bounds its own kind.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::hello::Hello;
use crate::{LinkId, NodeId};

/// One fact for Python. `dial`, `join`, `offer`, `request` and `stream` are the ids the call returned or named.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the fields say what they are; each variant says when")]
pub enum Event {
    /// Both hellos are exchanged. `dial` is 0 on the side that accepted; `observed` is where we see the peer.
    LinkUp {
        link: LinkId,
        dial: u64,
        node: NodeId,
        certificate: Vec<u8>,
        transport: &'static str,
        observed: SocketAddr,
        hello: Hello,
    },
    /// The link is gone, whoever ended it.
    LinkDown { link: LinkId, node: NodeId, reason: String },
    /// Three echoes in a row went missing (`suspect`), or they are back.
    LinkSuspect { link: LinkId, node: NodeId, suspect: bool },
    /// The neighbour is at another address: frames came from there, and so did the echo of a probe.
    LinkMoved { link: LinkId, node: NodeId, observed: SocketAddr },
    /// What is sent over this link to this node does not arrive (`suspect`), or does again.
    PathSuspect { node: NodeId, link: LinkId, suspect: bool },
    /// A dial ended without a link. `code` is one word (`timeout`, `refused`, `certificate`, `duplicate`, …).
    DialFailed { dial: u64, code: &'static str, detail: String },
    /// A control message of a neighbour, opaque here.
    Message { link: LinkId, payload: Vec<u8> },
    /// A stranger asks to join through us.
    JoinOffered { offer: u64, source: SocketAddr, request: Vec<u8> },
    /// The join lane we dialled showed its leaf and its signed objects; nothing of ours has been sent yet.
    JoinGreeted { join: u64, transport: &'static str, leaf: Vec<u8>, objects: Vec<u8> },
    /// The answer to our join request.
    JoinAnswered { join: u64, answer: Vec<u8> },
    /// The join lane failed before an answer.
    JoinFailed { join: u64, code: &'static str, detail: String },
    /// A punch probe of an attempt of ours came from `source`: the peer's own ask, or the `echo` of one of ours.
    ProbeReceived { attempt: u64, source: SocketAddr, echo: bool },
    /// There is traffic for a peer; told once a minute at most.
    PeerWanted { node: NodeId },
    /// Traffic for a peer that no route leads to; at most one a second and peer.
    NoRoute { node: NodeId },
    /// Our own policy denied a flow to a node; no rule matched if `rule` is empty. `others` were denied since this was
    /// last told, a second ago or more.
    FlowDenied { node: NodeId, rule: String, proto: u8, port: u16, others: u64 },
    /// An RPC of a verified peer.
    Request { request: u64, node: NodeId, payload: Vec<u8> },
    /// The answer to our RPC: `Err` holds a code word.
    Response { request: u64, result: Result<Vec<u8>, &'static str> },
    /// A peer wants a stream to what `header` names.
    StreamOffered { stream: u64, node: NodeId, header: Vec<u8> },
    /// Our stream was accepted by the far node.
    StreamAccepted { stream: u64 },
    /// Our stream was refused, or never reached the far node.
    StreamRefused { stream: u64, code: u32 },
    /// A spliced stream ended; bytes from the descriptor to the stream, and back. `cut` is 0 if both directions ended
    /// and the peer has all, else one of the codes of `stream::refusal`.
    StreamClosed { stream: u64, sent: u64, received: u64, cut: u32 },
    /// An end-to-end session is up (hellos exchanged).
    SessionUp { node: NodeId },
    /// It is gone.
    SessionDown { node: NodeId, reason: String },
    /// The TUN device disappeared or refuses reads.
    TunGone { reason: String },
    /// A line for the log of the node.
    Log { level: Level, text: String },
}

/// Severity of a log line, as Python's `logging` numbers it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// An early exit somebody may want to follow.
    Debug = 10,
    /// A change a user would notice.
    Info = 20,
    /// Something odd that pulse survives.
    Warning = 30,
    /// Broken.
    Error = 40,
}

/// The queue and its eventfd.
#[derive(Debug)]
pub struct Bus {
    queue: Mutex<VecDeque<Event>>,
    wake: OwnedFd,
    armed: AtomicBool,
}

impl Bus {
    /// An empty bus.
    pub fn new() -> io::Result<Self> {
        // SAFETY: eventfd takes no pointers.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: fd was just made and nobody else owns it.
        let wake = unsafe { OwnedFd::from_raw_fd(fd) };
        Ok(Self { queue: Mutex::default(), wake, armed: AtomicBool::new(false) })
    }

    /// The eventfd that becomes readable when there is something to drain.
    pub fn fileno(&self) -> RawFd {
        self.wake.as_raw_fd()
    }

    /// Queue one event.
    pub fn emit(&self, event: Event) {
        self.queue().push_back(event);
        self.kick();
    }

    /// Queue a log line.
    pub fn log(&self, level: Level, text: impl Into<String>) {
        self.emit(Event::Log { level, text: text.into() });
    }

    /// Take at most `most` events, oldest first.
    pub fn drain(&self, most: usize) -> Vec<Event> {
        let mut value = 0_u64;
        // SAFETY: the buffer is 8 bytes long, as an eventfd read needs.
        unsafe { libc::read(self.wake.as_raw_fd(), (&raw mut value).cast(), 8) };
        // Disarm before emptying: an event queued after this line kicks anew.
        self.armed.store(false, Ordering::SeqCst);
        let mut queue = self.queue();
        let count = queue.len().min(most);
        let events = queue.drain(..count).collect();
        let more = !queue.is_empty();
        drop(queue);
        if more {
            self.kick();
        }
        events
    }

    fn queue(&self) -> MutexGuard<'_, VecDeque<Event>> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn kick(&self) {
        if !self.armed.swap(true, Ordering::SeqCst) {
            let one = 1_u64;
            // SAFETY: the buffer is 8 bytes long, as an eventfd write needs.
            unsafe { libc::write(self.wake.as_raw_fd(), (&raw const one).cast(), 8) };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_drain_that_leaves_events_wakes_again() -> io::Result<()> {
        let bus = Bus::new()?;
        for link in 0..3 {
            bus.emit(Event::Message { link, payload: vec![] });
        }
        assert_eq!(bus.drain(2).len(), 2);
        let mut poll = libc::pollfd { fd: bus.fileno(), events: libc::POLLIN, revents: 0 };
        // SAFETY: one valid pollfd.
        assert_eq!(unsafe { libc::poll(&raw mut poll, 1, 0) }, 1);
        assert_eq!(bus.drain(2).len(), 1);
        // SAFETY: as above.
        assert_eq!(unsafe { libc::poll(&raw mut poll, 1, 0) }, 0);
        Ok(())
    }
}
