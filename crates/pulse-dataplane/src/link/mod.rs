//! Links: two adjacent nodes joined by one mutually verified connection.
//!
//! `race` picks the transport of a dial, `knock` makes connections over QUIC and `wss` WebSockets, `meeting` makes links
//! of them, `life` keeps them; `registry` knows them all.
//! Invariant: everything about links happens on the runtime; other threads only ask for it.

mod carrier;
mod gate;
mod knock;
mod life;
mod meeting;
mod quic;
mod race;
mod rank;
mod registry;
mod settings;
mod websocket;
mod writable;
mod wss;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{fmt, io};

use quinn::{Endpoint, VarInt};
use tokio::net::TcpListener;
use tokio::runtime::Handle as Runtime;
use tokio::time::timeout;

pub(crate) use carrier::Ended;
pub(crate) use carrier::{Carrier, Close, Reader, Writer, explain_failure};
pub use gate::Bucket;
pub(crate) use gate::{Gate, Knock, Pass, Rates, neighbourhood};
pub(crate) use quic::{explain, join_transport};
pub use race::Transports;
pub(crate) use race::first;
pub use settings::Settings;
pub(crate) use websocket::Parts;
pub use writable::Writable;
pub use wss::Proxy;
pub(crate) use wss::knock as knock_wss;

use crate::birthday;
use crate::event::{Event, Level};
use crate::forward::Arrivals;
use crate::hello::MESSAGE_MAX;
use crate::join::JoinLane;
use crate::socket::mark;
use crate::tables::{Hop, Link, Routes, Shared};
use crate::tls::{Identity, ThrowAway};
use crate::verify::Trust;
use crate::{Handle, LinkId, NodeId};
use registry::Registry;

/// A dial that made no link until then failed.
const DIAL_DEADLINE: Duration = Duration::from_secs(10);
/// How long a shutdown waits until the peers had the word.
const GOODBYE: Duration = Duration::from_millis(300);

/// Called when a link is suspect, has recovered or is gone: who goes another way now?
pub type Rerouted = Arc<dyn Fn() + Send + Sync>;

/// The links of one data plane. Cheap to clone; every method but `shutdown` may be called from any thread
/// and returns at once: what becomes of it is told by events.
#[derive(Debug, Clone)]
pub struct Links(Arc<Desk>);

/// One live link, for statistics.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The link as the packet threads see it.
    pub link: Arc<Link>,
    /// `quic` or `websocket`.
    pub transport: &'static str,
    /// Time since the hellos.
    pub age: Duration,
}

pub(crate) struct Desk {
    pub(crate) shared: Arc<Shared>,
    pub(crate) settings: Arc<Settings>,
    pub(crate) registry: Registry,
    pub(crate) endpoint: Endpoint,
    /// Those of links with sockets of their own.
    aparts: Mutex<HashMap<u64, Endpoint>>,
    pub(crate) joins: JoinLane,
    gate: Gate,
    arrivals: Mutex<Arrivals>,
    opened: AtomicBool,
    /// We are leaving: nobody is let in any more.
    over: AtomicBool,
    runtime: Runtime,
    next: AtomicU64,
    rerouted: Rerouted,
}

impl fmt::Debug for Desk {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Desk").field("registry", &self.registry).finish_non_exhaustive()
    }
}

impl Links {
    /// Start the link and join lanes; must be called on the runtime. `settings.writable` follows the socket
    /// already. Nothing is accepted before an identity and trust are installed.
    pub fn start(shared: Arc<Shared>, settings: Arc<Settings>, rerouted: Rerouted) -> io::Result<Self> {
        let now = Instant::now();
        let desk = Arc::new(Desk {
            endpoint: quic::endpoint(&shared, &settings.writable)?,
            joins: JoinLane::new(ThrowAway::new().map_err(io::Error::other)?, now),
            gate: Gate::new(now),
            aparts: Mutex::default(),
            arrivals: Mutex::default(),
            opened: AtomicBool::new(false),
            over: AtomicBool::new(false),
            runtime: Runtime::current(),
            registry: Registry::default(),
            next: AtomicU64::new(1),
            shared,
            settings,
            rerouted,
        });
        tokio::spawn(knock::accept(Arc::clone(&desk)));
        Ok(Self(desk))
    }

    /// Show `identity` in all handshakes from now on. Live links stay, unless the id is another.
    pub fn install_identity(&self, identity: Identity) {
        let desk = &self.0;
        let me = identity.me();
        desk.settings.identity.store(Some(Arc::new(identity)));
        let before = desk.shared.me.swap(Some(Arc::new(me.clone())));
        desk.open();
        if before.is_some_and(|before| before.node != me.node) {
            desk.close_all(Close::Leaving, "this node took another identity");
        }
    }

    /// Judge all handshakes by `trust` from now on, and close the links it does not cover.
    pub fn install_trust(&self, trust: Trust) {
        let desk = &self.0;
        desk.settings.trust.store(Some(Arc::new(trust)));
        desk.open();
        for live in desk.registry.all() {
            if let Err(refusal) = desk.settings.judge(&live.certified.der) {
                live.decide(&refusal.to_string());
                live.close(Close::Untrusted, "not trusted any more");
            }
        }
    }

    /// Take in WebSockets on this TCP socket, which is bound and listens.
    pub fn listen(&self, tcp: OwnedFd) -> io::Result<()> {
        let _runtime = self.0.runtime.enter();
        wss::shorten(&tcp);
        mark(&tcp);
        let listener = std::net::TcpListener::from(tcp);
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        self.0.spawn(wss::accept(Arc::clone(&self.0), listener));
        Ok(())
    }

    /// Dial a link; `LinkUp` or `DialFailed` follows under the id returned.
    pub fn dial(&self, address: SocketAddr, expect: Option<NodeId>, replaces: LinkId, transports: Transports) -> u64 {
        let desk = Arc::clone(&self.0);
        let dial = desk.next_id();
        self.0.spawn(async move {
            let dialling = Arc::clone(&desk);
            let dialled = desk.watched(DIAL_DEADLINE, async move {
                race::dial(&dialling, address, expect, dial, replaces, transports).await
            });
            if let Err(Ended { code, text: detail }) = dialled.await {
                desk.shared.bus.emit(Event::DialFailed { dial, code, detail });
            }
        });
        dial
    }

    /// Send probes of an attempt from sockets beside the listening one; see `birthday::ask`.
    pub fn ask_apart(&self, to: SocketAddr, attempt: u64, count: usize) {
        let _runtime = self.0.runtime.enter();
        if let Err(error) = birthday::ask(&self.0.shared, attempt, to, count) {
            self.0.shared.bus.log(Level::Debug, format!("no socket for a probe: {error}"));
        }
    }

    /// Close a link; `LinkDown` follows. An unknown one is ignored.
    pub fn close_link(&self, link: LinkId, reason: &str) {
        if let Some(live) = self.0.registry.get(link) {
            live.close(Close::Leaving, reason);
        }
    }

    /// Queue a control message (≤ 64 KiB); false if the link is gone or too many wait.
    pub fn send(&self, link: LinkId, message: Vec<u8>) -> bool {
        message.len() <= MESSAGE_MAX
            && self.0.registry.get(link).is_some_and(|live| live.outgoing.try_send(message).is_ok())
    }

    /// Python has taken these events: the streams of their links may be read on.
    pub fn drained(&self, events: &[Event]) {
        let mut counts: HashMap<LinkId, usize> = HashMap::new();
        for event in events {
            if let Event::Message { link, .. } = event {
                *counts.entry(*link).or_default() += 1;
            }
        }
        for (link, count) in counts {
            if let Some(live) = self.0.registry.get(link) {
                live.undrained.add_permits(count);
            }
        }
    }

    /// Go on with another socket, which is installed in `Shared` already.
    pub fn rebind(&self, fd: OwnedFd) -> io::Result<()> {
        let desk = &self.0;
        desk.shared.socket.rebind(fd)?;
        let _runtime = desk.runtime.enter();
        desk.settings.writable.follow(desk.shared.socket.fd());
        desk.endpoint.rebind_abstract(quic::socket(&desk.shared, &desk.settings.writable))
    }

    /// The links whose packets leave from another address of ours, or from none, since this was last asked.
    pub fn moved(&self) -> Vec<LinkId> {
        // A route into the mesh itself is no other network below it.
        let me = self.0.shared.me.load().as_ref().map(|me| [IpAddr::from(me.v4), IpAddr::from(me.v6)]);
        let hidden = me.as_ref().map_or(&[][..], |me| &me[..]);
        let all = self.0.registry.all().into_iter();
        all.filter(|live| live.has_moved(hidden)).map(|live| live.link.index).collect()
    }

    /// The live links.
    pub fn snapshot(&self) -> Vec<Snapshot> {
        let all = self.0.registry.all().into_iter();
        all.map(|live| Snapshot {
            link: Arc::clone(&live.link),
            transport: live.carrier.transport(),
            age: live.since.elapsed(),
        })
        .collect()
    }

    /// For the join lane.
    pub(crate) fn desk(&self) -> &Arc<Desk> {
        &self.0
    }

    /// Close every link and wait (≤ 300 ms) until the peers had the word.
    pub async fn shutdown(&self) {
        self.0.over.store(true, Ordering::Relaxed);
        let all = self.0.registry.all();
        let aparts: Vec<Endpoint> = self.0.aparts().values().cloned().collect();
        self.0.close_all(Close::Leaving, "leaving");
        // Tasks that listen at sockets of an attempt hold what holds them.
        self.0.shared.attempts.replace(vec![]);
        self.0.endpoint.close(VarInt::from_u32(Close::Leaving as u32), b"leaving");
        let heard = async {
            for live in &all {
                live.carrier.ended().await;
            }
            self.0.endpoint.wait_idle().await;
            for endpoint in &aparts {
                endpoint.wait_idle().await;
            }
        };
        let _ = timeout(GOODBYE, heard).await;
    }
}

impl Desk {
    /// A new id for a dial, join or offer.
    pub(crate) fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Run something on the runtime.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        self.runtime.spawn(task);
    }

    /// Run something that may fail, panic or take too long, and say which.
    pub(crate) async fn watched<T: Send + 'static>(
        &self,
        deadline: Duration,
        task: impl Future<Output = Result<T, Ended>> + Send + 'static,
    ) -> Result<T, Ended> {
        let running = tokio::spawn(timeout(deadline, task)).await;
        let in_time = running.map_err(|error| {
            self.shared.bus.log(Level::Error, format!("a task broke down, this is a fault of pulse: {error}"));
            Ended::new("broken", "it broke down, our log says how")
        })?;
        in_time.unwrap_or_else(|_| Err(Ended::new("timeout", format!("not done within {} s", deadline.as_secs()))))
    }

    pub(crate) fn me(&self) -> Option<NodeId> {
        self.shared.me.load().as_ref().map(|me| me.node)
    }

    fn aparts(&self) -> MutexGuard<'_, HashMap<u64, Endpoint>> {
        self.aparts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn arrivals(&self) -> MutexGuard<'_, Arrivals> {
        self.arrivals.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_lower_than(&self, node: &NodeId) -> bool {
        self.me().is_some_and(|me| me < *node)
    }

    /// Accept handshakes, now that identity and trust are there. Each gets a config of its own (`knock`); this
    /// one carries the key of the Retry tokens, so it is set once.
    fn open(&self) {
        let Some(config) = knock::first_config(self) else { return };
        if !self.opened.swap(true, Ordering::Relaxed) {
            self.endpoint.set_server_config(Some(config));
        }
    }

    fn close_all(&self, why: Close, reason: &str) {
        for live in self.registry.all() {
            live.close(why, reason);
        }
    }

    /// Take a link from the packet threads; what it carried goes elsewhere at once, if there is an elsewhere.
    fn remove_from_tables(&self, link: &Link) {
        link.suspect.store(true, Ordering::Relaxed);
        self.shared.links.rcu(|links| {
            let mut links = HashMap::clone(links);
            links.remove(&link.index);
            links
        });
        (self.rerouted)();
        self.shared.routes.rcu(|routes| Routes(without(routes, link.index)));
        self.shared.paths.forget(link.index);
    }
}

fn without(routes: &Routes, link: LinkId) -> HashMap<Handle, Vec<Hop>> {
    let keep = |hops: &Vec<Hop>| hops.iter().filter(|hop| hop.link.index != link).cloned().collect();
    routes.0.iter().map(|(handle, hops)| (*handle, keep(hops))).collect()
}
