//! The join lane: the one thing a node says to strangers, and how a stranger asks.
//!
//! The joiner opens one stream and sends one byte; the lane answers with its greeting (`objects`, empty
//! unless the CA is pinned); request and answer follow, each a length-prefixed message of at most 64 KiB.
//! Invariant: the lane holds at most 64 strangers, each for at most 10 s and with a proven address.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn::{Connection, Incoming, RecvStream, SendStream, VarInt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::event::Event;
use crate::hello::{read_message, write_message};
use crate::link::{Desk, Ended, Links, Rates, explain, join_transport};
use crate::tls::{JOIN_PINNED, ThrowAway, join_client, join_server};
use crate::verify::pinned_name;

/// From the first packet to the answer.
const DEADLINE: Duration = Duration::from_secs(10);
/// Joins a second, of one source and of all.
const RATE_EACH: f64 = 5.0;
const RATE_ALL: f64 = 50.0;
/// Strangers at once.
const OPEN: usize = 64;
/// The byte that makes the joiner's stream known to the lane.
const KNOCK: u8 = 0;

/// Both sides of joining: strangers at our door, and our own knocks at others'.
#[derive(Debug)]
pub(crate) struct JoinLane {
    throw_away: ThrowAway,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    rates: Rates,
    open: usize,
    offers: HashMap<u64, oneshot::Sender<Vec<u8>>>,
    joins: HashMap<u64, oneshot::Sender<Vec<u8>>>,
}

/// One stranger's place.
struct Place<'a>(&'a JoinLane);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.state().open -= 1;
    }
}

impl JoinLane {
    pub(crate) fn new(throw_away: ThrowAway, now: Instant) -> Self {
        let rates = Rates::new(RATE_EACH, RATE_ALL, now);
        let state = State { rates, open: 0, offers: HashMap::new(), joins: HashMap::new() };
        Self { throw_away, state: Mutex::new(state) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, source: SocketAddr) -> Option<Place<'_>> {
        let mut state = self.state();
        let free = state.open < OPEN && state.rates.take(source.ip().to_canonical(), Instant::now());
        free.then(|| {
            state.open += 1;
            Place(self)
        })
    }
}

/// A stranger knocks. Its address must be proven first; over a limit nothing is said, it will try again.
pub(crate) fn knocked(desk: &Arc<Desk>, incoming: Incoming) {
    if !incoming.remote_address_validated() {
        // Fails only if a token came already, and then the address is validated.
        let _ = incoming.retry();
        return;
    }
    let desk = Arc::clone(desk);
    tokio::spawn(async move {
        let Some(_place) = desk.joins.enter(incoming.remote_address()) else { return incoming.ignore() };
        // A stranger that fails is not told why, and is not worth a line in the log.
        let _ = timeout(DEADLINE, serve(&desk, incoming)).await;
    });
}

async fn serve(desk: &Desk, incoming: Incoming) -> io::Result<()> {
    let Some((identity, trust)) = desk.settings.both() else { return Ok(()) };
    let mut config = join_server(&identity, &desk.joins.throw_away).map_err(io::Error::other)?;
    config.transport_config(join_transport(DEADLINE)).migration(false);
    let connection = incoming.accept_with(Arc::new(config))?.await?;
    let (mut send, mut recv) = connection.accept_bi().await?;
    recv.read_exact(&mut [KNOCK]).await.map_err(io::Error::other)?;
    let pinned = alpn(&connection).is_some_and(|alpn| alpn == JOIN_PINNED);
    write_message(&mut send, if pinned { &trust.objects } else { &[] }).await?;
    if let Some(request) = read_message(&mut recv).await? {
        let answer = ask(desk, connection.remote_address(), request).await;
        reply(&mut send, &answer).await?;
    }
    connection.close(VarInt::from_u32(0), b"");
    Ok(())
}

fn alpn(connection: &Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?.protocol
}

/// Let Python answer; empty if it does not want to.
async fn ask(desk: &Desk, source: SocketAddr, request: Vec<u8>) -> Vec<u8> {
    let offer = desk.next_id();
    let (answer, answered) = oneshot::channel();
    let _forget = Forget { lane: &desk.joins, offer };
    desk.joins.state().offers.insert(offer, answer);
    desk.shared.bus.emit(Event::JoinOffered { offer, source, request });
    answered.await.unwrap_or_default()
}

struct Forget<'a> {
    lane: &'a JoinLane,
    offer: u64,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.lane.state().offers.remove(&self.offer);
    }
}

async fn reply(send: &mut SendStream, answer: &[u8]) -> io::Result<()> {
    if answer.is_empty() {
        return Ok(());
    }
    write_message(send, answer).await?;
    send.finish()?;
    // Until the joiner has all of it: a close would throw away what is on its way.
    send.stopped().await.map(drop).map_err(io::Error::other)
}

impl Links {
    /// Knock at the join lane of `address`; `JoinGreeted` or `JoinFailed` follows under the id returned.
    pub fn join(&self, address: SocketAddr, pinned: bool) -> u64 {
        let desk = Arc::clone(self.desk());
        let join = desk.next_id();
        let (request, requested) = oneshot::channel();
        desk.joins.state().joins.insert(join, request);
        self.desk().spawn(async move {
            let joining = Arc::clone(&desk);
            let asked = desk.watched(DEADLINE, async move { knock(&joining, address, pinned, join, requested).await });
            let event = match asked.await {
                Ok(answer) => answer.map(|answer| Event::JoinAnswered { join, answer }),
                Err(Ended { code, text: detail }) => Some(Event::JoinFailed { join, code, detail }),
            };
            desk.joins.state().joins.remove(&join);
            if let Some(event) = event {
                desk.shared.bus.emit(event);
            }
        });
        join
    }

    /// Send our request, after `JoinGreeted`. A join that ended is ignored.
    pub fn send_join(&self, join: u64, request: Vec<u8>) {
        if let Some(waiting) = self.desk().joins.state().joins.remove(&join) {
            let _ = waiting.send(request);
        }
    }

    /// Hang up; no event follows.
    pub fn cancel_join(&self, join: u64) {
        self.desk().joins.state().joins.remove(&join);
    }

    /// Answer a stranger; empty hangs up. An offer that is gone is ignored.
    pub fn answer_join(&self, offer: u64, answer: Vec<u8>) {
        if let Some(waiting) = self.desk().joins.state().offers.remove(&offer) {
            let _ = waiting.send(answer);
        }
    }
}

/// The joiner's side. `None`: Python hung up.
async fn knock(
    desk: &Desk,
    address: SocketAddr,
    pinned: bool,
    join: u64,
    requested: oneshot::Receiver<Vec<u8>>,
) -> Result<Option<Vec<u8>>, Ended> {
    let connection = connect(desk, address, pinned).await?;
    let _closing = Hangup(&connection);
    let (mut send, mut recv) = connection.open_bi().await.map_err(|error| explain(&error))?;
    let broken = |error: io::Error| match connection.close_reason() {
        Some(reason) => explain(&reason),
        None => Ended::new("broken", error.to_string()),
    };
    send.write_all(&[KNOCK]).await.map_err(|error| broken(error.into()))?;
    let objects = hear(&mut recv).await.map_err(broken)?;
    desk.shared.bus.emit(Event::JoinGreeted { join, leaf: leaf(&connection), objects });
    let Ok(request) = requested.await else { return Ok(None) };
    write_message(&mut send, &request).await.map_err(broken)?;
    hear(&mut recv).await.map(Some).map_err(broken)
}

struct Hangup<'a>(&'a Connection);

impl Drop for Hangup<'_> {
    fn drop(&mut self) {
        self.0.close(VarInt::from_u32(0), b"");
    }
}

async fn connect(desk: &Desk, address: SocketAddr, pinned: bool) -> Result<Connection, Ended> {
    let mut config = join_client(pinned).map_err(|error| Ended::new("broken", error.to_string()))?;
    config.transport_config(join_transport(DEADLINE));
    let connecting = desk.endpoint.connect_with(config, address, &pinned_name(None));
    let connecting = connecting.map_err(|error| Ended::new("unreachable", error.to_string()))?;
    connecting.await.map_err(|error| explain(&error))
}

async fn hear(recv: &mut RecvStream) -> io::Result<Vec<u8>> {
    read_message(recv).await?.ok_or_else(|| io::Error::other("the lane hung up"))
}

fn leaf(connection: &Connection) -> Vec<u8> {
    let chain = connection.peer_identity();
    let chain = chain.and_then(|chain| chain.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().ok());
    chain.and_then(|chain| chain.first().map(|leaf| leaf.to_vec())).unwrap_or_default()
}
