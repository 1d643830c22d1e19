//! Where sessions begin and end: who is dialled, which of two stays, what Python hears of it.
//!
//! Invariant: `SessionUp` and `SessionDown` alternate for a node; a replacement that nobody need notice is silent.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use tokio::runtime::Handle as Runtime;
use tokio::sync::{Notify, oneshot};
use tokio::time::{sleep, sleep_until, timeout};

use super::courses::Courses;
use super::greeting::{Greeted, greet};
use super::keyring::Indexes;
use super::liveness::Liveness;
use super::peer::{Session, begin};
use super::roster::Roster;
use super::socket::address_of;
use super::table::{DIAL_INTERVAL, Entry, Table, Verdict, Want};
use super::{Tuning, close, endpoint};
use crate::clock;
use crate::event::{Event, Level};
use crate::link::Settings;
use crate::stream::{Carrier, Streams, refusal};
use crate::tables::{Peer, Shared};
use crate::verify::{Certified, pinned_name, short};
use crate::{Handle, NodeId};

/// A dial without an answer for so long had better go another way.
const UNANSWERED: Duration = Duration::from_millis(1500);

/// Traffic after this many seconds of none is told to Python.
const WANTED_AFTER: u64 = 60;

/// Somebody who waits for a session; dropped if there will be none.
type Waiter = oneshot::Sender<Carrier>;

/// All sessions of one data plane.
#[derive(Debug)]
pub struct Desk {
    pub shared: Arc<Shared>,
    pub settings: Arc<Settings>,
    pub streams: Streams,
    pub tuning: Tuning,
    pub indexes: Arc<Indexes>,
    pub runtime: Runtime,
    pub endpoint: OnceLock<quinn::Endpoint>,
    table: Mutex<Table<Arc<Session>, Waiter>>,
    roster: Mutex<Roster>,
    liveness: Mutex<Liveness>,
    courses: Mutex<Courses>,
    panics: AtomicU64,
    skipped: AtomicU64,
    retries: AtomicU64,
    #[cfg(test)]
    pub faulty: Mutex<Option<NodeId>>,
}

impl Desk {
    /// No sessions yet; must be called inside the runtime.
    pub fn new(shared: Arc<Shared>, settings: Arc<Settings>, tuning: Tuning) -> Self {
        Self {
            streams: Streams::new(Arc::clone(&shared), tuning.deadlines),
            shared,
            settings,
            tuning,
            indexes: Arc::default(),
            runtime: Runtime::current(),
            endpoint: OnceLock::new(),
            table: Mutex::default(),
            roster: Mutex::default(),
            liveness: Mutex::default(),
            courses: Mutex::default(),
            panics: AtomicU64::new(0),
            skipped: AtomicU64::new(0),
            retries: AtomicU64::new(0),
            #[cfg(test)]
            faulty: Mutex::default(),
        }
    }

    /// The session that serves `node`, opened if need be; the error is a refusal code.
    pub async fn carrier(self: &Arc<Self>, node: NodeId) -> Result<Carrier, u32> {
        let (waiter, carrier) = oneshot::channel();
        self.want(node, Some(waiter));
        carrier.await.map_err(|_| refusal::UNREACHABLE)
    }

    /// The TUN thread has a packet for `node` and no key to seal it with.
    pub fn wanted(self: &Arc<Self>, node: NodeId) {
        let Some(peer) = self.peer(&node) else { return };
        self.used(&peer);
        // The entry may be newer than the session, or the packet came while the key did.
        match self.serving(&node) {
            Some(session) => session.sealing.install(&self.shared, &peer),
            None => self.want(node, None),
        }
    }

    /// There is no session, a moment later: packets that have come since ask for one, though only the first of those
    /// that wait said so.
    pub async fn look_again(self: &Arc<Self>, node: NodeId) {
        sleep(DIAL_INTERVAL).await;
        let Some(peer) = self.peer(&node) else { return };
        let newest = peer.waiting.lock().unwrap_or_else(PoisonError::into_inner).back().map(|last| last.since);
        if newest.is_some_and(|since| since.elapsed() < DIAL_INTERVAL) {
            self.wanted(node);
        }
    }

    fn want(self: &Arc<Self>, node: NodeId, waiter: Option<Waiter>) {
        if self.serving(&node).is_none() && !self.is_reachable(&node) {
            return;
        }
        let want = self.table().want(node, waiter, Instant::now());
        match want {
            Want::Use(session, Some(waiter)) => drop(waiter.send(session.carrier.clone())),
            Want::Use(_, None) | Want::Joined => {}
            Want::Dial { at, restart } => drop(self.runtime.spawn(Arc::clone(self).dial(node, at, restart))),
        }
    }

    /// Have a new session with `node`, which takes over from the one there is, if it is ours to dial.
    pub fn renew(self: &Arc<Self>, node: NodeId) {
        if self.us().is_none_or(|us| us > node) {
            return;
        }
        let now = Instant::now();
        if let Some(restart) = self.table().renew(node, now) {
            self.runtime.spawn(Arc::clone(self).dial(node, now, restart));
        }
    }

    async fn dial(self: Arc<Self>, node: NodeId, at: Instant, restart: Arc<Notify>) {
        sleep_until(at.into()).await;
        let outcome = AssertUnwindSafe(self.reach(&node, &restart)).catch_unwind().await;
        let failure = match outcome {
            Ok(outcome) => outcome.and_then(|greeted| self.settle(greeted, true)).err(),
            Err(_) => Some(self.count_panic("a dial")),
        };
        // Dropping who still waits tells them that there is no session.
        drop(self.table().dial_ended(&node, failure.is_none(), Instant::now()));
        if let Some(failure) = failure {
            self.shared.bus.log(Level::Debug, format!("session with {} failed: {failure}", short(&node)));
            self.look_again(node).await;
        }
    }

    /// Dial until the deadline, anew whenever the path changed; a path that brings no answer is changed.
    async fn reach(&self, node: &NodeId, restart: &Notify) -> Result<Greeted, String> {
        let attempts = async {
            loop {
                tokio::select! {
                    outcome = self.attempt(node) => return outcome,
                    () = restart.notified() => {}
                    () = self.lose_patience(node) => {}
                }
            }
        };
        timeout(self.tuning.dial, attempts).await.unwrap_or_else(|_| Err("timeout".to_owned()))
    }

    /// Never ends: what it does makes the dial begin anew.
    async fn lose_patience(&self, node: &NodeId) {
        loop {
            sleep(UNANSWERED).await;
            self.blame_path(node);
        }
    }

    async fn attempt(&self, node: &NodeId) -> Result<Greeted, String> {
        let (identity, trust) = self.settings.both().ok_or("no identity is installed")?;
        let endpoint = self.endpoint.get().ok_or("no identity is installed")?;
        let address = address_of(self.handle(node).ok_or("its address is not known")?);
        let (config, verifier) = endpoint::client(&identity, &trust).map_err(|error| error.to_string())?;
        let connecting = endpoint.connect_with(config, address, &pinned_name(Some(node)));
        let shaken = connecting.map_err(|error| error.to_string())?.await;
        let connection = shaken.map_err(|error| endpoint::refused(&error, &verifier))?;
        greet(self, connection, true).await
    }

    /// Both hellos are exchanged: let the table judge, tell everybody, run it.
    pub fn settle(self: &Arc<Self>, greeted: Greeted, dialled: bool) -> Result<(), String> {
        let us = self.us().ok_or("no identity is installed")?;
        let (session, runner) = begin(self, greeted)?;
        self.roster().add(&session);
        self.shared.paths.proofs.add(session.certified.v4, session.id, session.proof.clone());
        // Trust may have changed between the handshake's judgement and the line above.
        self.judge(&session);
        if session.is_closed() {
            self.ended(&session);
            return Err(session.ending());
        }
        let node = session.carrier.node;
        let dialler = if dialled { us } else { node };
        let entry = Entry { id: session.id, session: Arc::clone(&session), boot: session.boot, dialler };
        // One that ended and was not told yet is no rival.
        self.serving(&node).filter(|old| old.is_closed()).inspect(|old| self.ended(old));
        let (verdict, waiters) = self.table().up(&us, node, entry);
        self.announce(&session, verdict);
        self.roster().share(&node);
        let carrier = self.serving(&node).map_or_else(|| session.carrier.clone(), |serving| serving.carrier.clone());
        for waiter in waiters {
            let _ = waiter.send(carrier.clone());
        }
        self.runtime.spawn(runner.run());
        Ok(())
    }

    fn announce(&self, session: &Session, verdict: Verdict<Arc<Session>>) {
        let node = session.carrier.node;
        match verdict {
            Verdict::Alone => self.shared.bus.emit(Event::SessionUp { node }),
            Verdict::Loses => {
                session.sealing.replace();
                // Should the peer have forgotten the winner, it says so now and not at the next keep-alive.
                self.serving(&node).inspect(|winner| winner.kick());
            }
            Verdict::Wins { loser, restarted: false } => loser.sealing.replace(),
            Verdict::Wins { loser, restarted: true } => {
                loser.close(close::DUPLICATE, "the peer restarted");
                self.shared.bus.emit(Event::SessionDown { node, reason: loser.ending() });
                self.shared.bus.emit(Event::SessionUp { node });
            }
        }
    }

    /// The connection of `session` is closed.
    pub fn ended(&self, session: &Session) {
        self.roster().remove(session);
        self.shared.paths.proofs.remove(session.certified.v4, session.id);
        let node = session.carrier.node;
        if self.table().down(&node, session.id) {
            self.shared.bus.emit(Event::SessionDown { node, reason: session.ending() });
        }
    }

    /// Close `session` if trust does not cover its certificate.
    fn judge(&self, session: &Session) {
        if let Err(refusal) = self.settings.judge(&session.certified.der) {
            session.close(close::REFUSED, &refusal.to_string());
        }
    }

    /// Close what trust no longer covers.
    pub fn judge_all(&self) {
        for session in self.sessions() {
            self.judge(&session);
        }
    }

    /// A panic inside `session` ends it.
    pub fn panicked(&self, session: &Session) {
        let node = short(&session.carrier.node);
        let reason = self.count_panic(&format!("the session with {node}"));
        session.close(close::FAILED, &reason);
    }

    /// Count and report a panic; returns what to call it.
    pub fn count_panic(&self, place: &str) -> String {
        self.panics.fetch_add(1, Ordering::Relaxed);
        self.shared.bus.log(Level::Error, format!("{place} panicked; please report it"));
        "internal error".to_owned()
    }

    /// Panics so far.
    pub fn panics(&self) -> u64 {
        self.panics.load(Ordering::Relaxed)
    }

    /// A control message of a newer release was skipped.
    pub fn count_skipped(&self) {
        self.skipped.fetch_add(1, Ordering::Relaxed);
    }

    /// Control messages of newer releases, skipped so far.
    pub fn skipped(&self) -> u64 {
        self.skipped.load(Ordering::Relaxed)
    }

    /// A handshake had to prove its address first.
    pub fn count_retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    /// Handshakes that had to prove their address first.
    pub fn retries(&self) -> u64 {
        self.retries.load(Ordering::Relaxed)
    }

    /// There is traffic with `peer`: tell Python, unless it heard so within a minute.
    pub fn used(&self, peer: &Peer) {
        // 0 stands for never.
        let now = clock::now().as_secs() + 1;
        let before = peer.wanted_at.load(Ordering::Relaxed);
        if before == 0 || now - before >= WANTED_AFTER {
            peer.wanted_at.store(now, Ordering::Relaxed);
            self.shared.bus.emit(Event::PeerWanted { node: peer.node });
        }
    }

    /// Our id.
    pub fn us(&self) -> Option<NodeId> {
        self.settings.identity.load().as_ref().map(|identity| identity.certified.node)
    }

    /// When the first of our certificate and `theirs` ends, in seconds since 1970.
    pub fn first_end(&self, theirs: &Certified) -> u64 {
        let ours = self.settings.identity.load().as_ref().map_or(u64::MAX, |identity| identity.certified.not_after);
        ours.min(theirs.not_after)
    }

    /// The entry of `node` among the addresses.
    pub fn peer(&self, node: &NodeId) -> Option<Arc<Peer>> {
        self.shared.addresses.load().peers.get(node).cloned()
    }

    fn handle(&self, node: &NodeId) -> Option<Handle> {
        self.shared.addresses.load().peers.get(node).map(|peer| peer.handle)
    }

    fn is_reachable(&self, node: &NodeId) -> bool {
        if self.us() == Some(*node) {
            return false;
        }
        self.handle(node).is_some_and(|handle| !self.shared.routes.load().hops(handle).is_empty())
    }

    /// The session that serves `node`.
    pub fn serving(&self, node: &NodeId) -> Option<Arc<Session>> {
        self.table().get(node).cloned()
    }

    /// Every session, losers of a tie-break that still drain included.
    pub fn sessions(&self) -> Vec<Arc<Session>> {
        self.roster().all()
    }

    /// Routes changed, or who is suspect: whose session goes another way now is kicked.
    pub fn rerouted(&self) {
        let Some(us) = self.shared.me.load().as_ref().map(|me| me.v4) else { return };
        let changed = {
            let mut courses = self.courses.lock().unwrap_or_else(PoisonError::into_inner);
            courses.follow(us, &self.shared.routes.load())
        };
        if !changed.is_empty() {
            self.kick(&changed);
        }
    }

    /// The paths to these nodes changed: their transfers resume at once, and dials to them begin anew.
    pub fn kick(&self, handles: &[Handle]) {
        for session in self.sessions() {
            if handles.contains(&session.certified.v4) {
                session.kick();
            }
        }
        let addresses = self.shared.addresses.load();
        for peer in handles.iter().filter_map(|handle| addresses.by_handle(*handle)) {
            self.table().path_changed(&peer.node);
        }
    }

    /// What the rounds saw.
    pub fn liveness(&self) -> MutexGuard<'_, Liveness> {
        self.liveness.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn table(&self) -> MutexGuard<'_, Table<Arc<Session>, Waiter>> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn roster(&self) -> MutexGuard<'_, Roster> {
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Panic on purpose if a test asked for it.
    #[cfg(test)]
    #[allow(clippy::panic)]
    pub fn fault(&self, node: &NodeId) {
        let faulty = self.faulty.lock().unwrap_or_else(PoisonError::into_inner).take_if(|faulty| faulty == node);
        if faulty.is_some() {
            panic!("a fault was asked for");
        }
    }
}
