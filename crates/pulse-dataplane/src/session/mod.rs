//! End-to-end sessions: QUIC between any two nodes, its packets carried in frames (protocol §5).
//!
//! Invariant: one desk knows which session serves which node; what goes wrong inside a session ends that session only.

mod accept;
mod close;
mod control;
mod courses;
mod desk;
mod endpoint;
mod greeting;
mod keyring;
mod liveness;
mod peer;
mod roster;
mod socket;
mod table;

#[cfg(test)]
mod tests;

use std::io;
use std::os::fd::OwnedFd;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use crate::NodeId;
use crate::event::Event;
use crate::keys::Limits;
use crate::link::Settings;
use crate::stream::{Deadlines, refusal};
use crate::tables::Shared;
use desk::Desk;
use socket::VirtualSocket;

/// How long `shutdown` waits for the peers to have heard.
const FAREWELL: Duration = Duration::from_millis(300);

/// Times and limits of sessions; tests take shorter ones.
#[derive(Debug, Clone, Copy)]
pub struct Tuning {
    /// When record keys are swapped.
    pub limits: Limits,
    /// How often a session looks at its keys, its traffic and the clock.
    pub tick: Duration,
    /// A session without streams and records is closed after this long.
    pub idle: Duration,
    /// A dial or handshake that takes longer has failed.
    pub dial: Duration,
    /// For the beginnings of streams.
    pub deadlines: Deadlines,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            limits: Limits::default(),
            tick: Duration::from_secs(1),
            idle: Duration::from_secs(600),
            dial: Duration::from_secs(5),
            deadlines: Deadlines::default(),
        }
    }
}

/// The session layer of one data plane. Cheap to clone; every method but `start` and `shutdown` may be called from any
/// thread and returns at once: what becomes of it is told by events.
#[derive(Debug, Clone)]
pub struct Sessions {
    desk: Arc<Desk>,
}

/// One live session, for statistics.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// The verified peer.
    pub node: NodeId,
    /// Smoothed round-trip time of the QUIC connection.
    pub rtt: Duration,
    /// Bytes sent, as QUIC packets.
    pub sent: u64,
    /// Bytes received, as QUIC packets.
    pub received: u64,
    /// Streams and requests open now, both ways.
    pub streams: usize,
    /// Time since the hellos.
    pub age: Duration,
}

impl Sessions {
    /// Start the session layer; must be called inside the runtime. `wanted` names nodes the TUN thread has packets for.
    /// Nothing is accepted or dialled before identity and trust are installed and `identity_changed` was called.
    pub fn start(shared: Arc<Shared>, settings: Arc<Settings>, wanted: UnboundedReceiver<NodeId>) -> io::Result<Self> {
        Self::start_with(shared, settings, wanted, Tuning::default())
    }

    /// `start` with other times and limits.
    pub fn start_with(
        shared: Arc<Shared>,
        settings: Arc<Settings>,
        mut wanted: UnboundedReceiver<NodeId>,
        tuning: Tuning,
    ) -> io::Result<Self> {
        let sessions = Self { desk: Arc::new(Desk::new(shared, settings, tuning)) };
        let desk = Arc::clone(&sessions.desk);
        sessions.desk.runtime.spawn(async move {
            while let Some(node) = wanted.recv().await {
                desk.wanted(node);
            }
        });
        sessions.desk.runtime.spawn(liveness::run(Arc::clone(&sessions.desk)));
        sessions.identity_changed()?;
        Ok(sessions)
    }

    /// Another certificate was installed: later handshakes show it, live sessions stay. Once identity and trust are
    /// both there, this begins to accept. An error says why the certificate cannot be used.
    pub fn identity_changed(&self) -> io::Result<()> {
        let Some((identity, trust)) = self.desk.settings.both() else { return Ok(()) };
        let (config, _) = endpoint::server(&identity, &trust)?;
        if let Some(endpoint) = self.desk.endpoint.get() {
            endpoint.set_server_config(Some(config));
            return Ok(());
        }
        let _inside = self.desk.runtime.enter();
        let socket = VirtualSocket::new(Arc::clone(&self.desk.shared), Arc::clone(&self.desk.settings));
        let endpoint = quinn::Endpoint::new_with_abstract_socket(
            endpoint::config(&identity),
            Some(config),
            Arc::new(socket),
            Arc::new(quinn::TokioRuntime),
        )?;
        if self.desk.endpoint.set(endpoint.clone()).is_ok() {
            self.desk.runtime.spawn(accept::accept(Arc::clone(&self.desk), endpoint));
        }
        Ok(())
    }

    /// Trust was swapped: sessions whose certificate it no longer covers close.
    pub fn trust_changed(&self) -> io::Result<()> {
        self.desk.judge_all();
        self.identity_changed()
    }

    /// Make every session anew that is ours to dial, beside the one there is: certificates are about to count no more.
    pub fn renew_all(&self) {
        for session in self.desk.sessions() {
            self.desk.renew(session.carrier.node);
        }
    }

    /// Close the session with `node`, if there is one; its streams and requests fail.
    pub fn close_session(&self, node: NodeId, reason: &str) {
        if let Some(session) = self.desk.serving(&node) {
            session.close(close::CLOSED, reason);
        }
    }

    /// Send an RPC of at most 1 MiB; `Event::Response` follows under the id returned, at the latest after `limit`.
    /// Its error is `timeout`, `unreachable`, `refused` or `too_large`. It may have been carried out all the same.
    pub fn request(&self, node: NodeId, payload: Vec<u8>, limit: Duration) -> u64 {
        let desk = Arc::clone(&self.desk);
        let request = desk.streams.next_id();
        self.desk.runtime.spawn(async move {
            let call = desk.streams.request(desk.carrier(node), &payload, limit);
            let outcome = AssertUnwindSafe(call).catch_unwind().await;
            let result = outcome.unwrap_or_else(|_| {
                desk.count_panic("a request");
                Err("refused")
            });
            desk.shared.bus.emit(Event::Response { request, result });
        });
        request
    }

    /// Answer an `Event::Request`. One whose asker gave up is ignored.
    pub fn respond(&self, request: u64, payload: Vec<u8>) {
        self.desk.streams.respond(request, payload);
    }

    /// Open a stream with a header of at most 4 KiB; `StreamAccepted` or `StreamRefused` follows under the id returned.
    pub fn open_stream(&self, node: NodeId, header: Vec<u8>) -> u64 {
        let desk = Arc::clone(&self.desk);
        let opening = desk.streams.prepare(header);
        let stream = opening.id();
        self.desk.runtime.spawn(async move {
            let run = desk.streams.open(opening, desk.carrier(node));
            if AssertUnwindSafe(run).catch_unwind().await.is_err() {
                desk.count_panic("a stream");
                let lost = Event::StreamClosed { stream, sent: 0, received: 0, cut: refusal::LOST };
                desk.shared.bus.emit(lost);
            }
        });
        stream
    }

    /// Accept an offered stream and splice it with the connected stream socket `fd` (TCP or Unix).
    pub fn accept_stream(&self, stream: u64, fd: OwnedFd) {
        self.desk.streams.splice(stream, fd);
    }

    /// Refuse an offered stream; codes below 256 are the caller's, see `stream::refusal` for the others.
    pub fn refuse_stream(&self, stream: u64, code: u32) {
        self.desk.streams.refuse(stream, code);
    }

    /// Splice our accepted stream with the connected stream socket `fd` (TCP or Unix), at most 30 s after it was
    /// accepted.
    pub fn splice(&self, stream: u64, fd: OwnedFd) {
        self.desk.streams.splice(stream, fd);
    }

    /// Reset a stream in whatever state it is.
    pub fn cancel_stream(&self, stream: u64) {
        self.desk.streams.cancel(stream);
    }

    /// Routes changed, or who is suspect: transfers that go another way now resume at once, and dials begin anew.
    pub fn rerouted(&self) {
        self.desk.rerouted();
    }

    /// The live sessions.
    pub fn snapshot(&self) -> Vec<Snapshot> {
        self.desk
            .sessions()
            .iter()
            .filter(|session| !session.sealing.is_replaced())
            .map(|session| session.snapshot())
            .collect()
    }

    /// Panics that ended a session, a stream or a handshake so far.
    pub fn panics(&self) -> u64 {
        self.desk.panics()
    }

    /// Control messages of a newer release that were skipped so far.
    pub fn skipped(&self) -> u64 {
        self.desk.skipped()
    }

    /// Handshakes that had to prove their address because there were many, so far.
    pub fn retries(&self) -> u64 {
        self.desk.retries()
    }

    /// Close every session and wait (≤ 300 ms) until the peers had the word; the packet threads must still run.
    pub async fn shutdown(&self) {
        for session in self.desk.sessions() {
            session.close(close::LEAVING, "leaving");
        }
        if let Some(endpoint) = self.desk.endpoint.get() {
            endpoint.close(close::LEAVING, b"leaving");
            let _ = timeout(FAREWELL, endpoint.wait_idle()).await;
        }
    }
}
