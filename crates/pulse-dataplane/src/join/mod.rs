//! The join lane: the one thing a node says to strangers, and how a stranger asks.
//!
//! The joiner opens one stream and sends one byte; the lane answers with its greeting (`objects`, empty
//! unless the CA is pinned); request and answer follow, each a length-prefixed message of at most 64 KiB.
//! Invariant: the lane holds at most 64 strangers (`places`), each with a proven address; for at most 14 s, and for 3 s
//! at each step until its request is in.

mod places;

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use quinn::{Connection, Incoming};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::event::Event;
use crate::hello::{read_message, write_message};
use crate::link::{
    Carrier, Close, Desk, Ended, Links, Parts, Rates, Reader, Transports, Writer, explain, explain_failure, first,
    join_transport, knock_wss,
};
use crate::tls::{JOIN_PINNED, ThrowAway, join_client, join_server};
use crate::verify::pinned_name;
use places::{Places, SentAway};

/// From the first packet to the answer: the node that is asked waits 10 s for the CA, and is to say so if it waited in vain.
const DEADLINE: Duration = Duration::from_secs(14);
/// For the handshake, and then until the request is in: a joiner has it ready, so this is two round trips at most, of a
/// slow line with losses.
const STEP: Duration = Duration::from_secs(3);
/// Joins a second, of one source and of all.
const RATE_EACH: f64 = 5.0;
const RATE_ALL: f64 = 50.0;
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
    places: Places,
    offers: HashMap<u64, oneshot::Sender<Vec<u8>>>,
    joins: HashMap<u64, oneshot::Sender<Vec<u8>>>,
}

/// One stranger's place.
struct Place<'a> {
    lane: &'a JoinLane,
    id: u64,
}

impl Place<'_> {
    /// The request is in.
    fn asks(&self) {
        self.lane.state().places.asks(self.id);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.lane.state().places.leave(self.id);
    }
}

impl JoinLane {
    pub(crate) fn new(throw_away: ThrowAway, now: Instant) -> Self {
        let rates = Rates::new(RATE_EACH, RATE_ALL, now);
        let state = State { rates, places: Places::default(), offers: HashMap::new(), joins: HashMap::new() };
        Self { throw_away, state: Mutex::new(state) }
    }

    pub(crate) fn throw_away(&self) -> &ThrowAway {
        &self.throw_away
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(&self, source: SocketAddr, now: Instant) -> Option<(Place<'_>, SentAway)> {
        let mut state = self.state();
        if !state.rates.take(source.ip(), now) {
            return None;
        }
        let (id, sent_away) = state.places.enter(source.ip())?;
        Some((Place { lane: self, id }, sent_away))
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
        let entered = desk.joins.enter(incoming.remote_address(), Instant::now());
        let Some((place, sent_away)) = entered else { return incoming.ignore() };
        for_a_while(sent_away, serve(&desk, &place, incoming)).await;
    });
}

/// Until the deadline, or somebody else needs the place.
async fn for_a_while(sent_away: SentAway, served: impl Future<Output = io::Result<()>>) {
    tokio::select! {
        // A stranger that fails is not told why, and is not worth a line in the log.
        _ = timeout(DEADLINE, served) => {}
        _ = sent_away => {}
    }
}

/// A step of a stranger that has yet to ask.
async fn soon<T>(step: impl Future<Output = io::Result<T>>) -> io::Result<T> {
    timeout(STEP, step).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn serve(desk: &Desk, place: &Place<'_>, incoming: Incoming) -> io::Result<()> {
    let Some((identity, _)) = desk.settings.both() else { return Ok(()) };
    let mut config = join_server(&identity, &desk.joins.throw_away).map_err(io::Error::other)?;
    config.transport_config(join_transport(DEADLINE)).migration(false);
    let connecting = incoming.accept_with(Arc::new(config))?;
    let shaken = soon(async {
        let connection = connecting.await?;
        let streams = connection.accept_bi().await?;
        Ok((connection, streams))
    });
    let (connection, (send, recv)) = shaken.await?;
    let pinned = alpn(&connection).is_some_and(|alpn| alpn == JOIN_PINNED);
    attend(desk, place, Door::new(connection, Box::new(recv), Box::new(send)), pinned).await
}

/// A stranger came through a WebSocket.
pub(crate) async fn received(desk: &Desk, from: SocketAddr, parts: Parts, pinned: bool) {
    let Some((place, sent_away)) = desk.joins.enter(from, Instant::now()) else { return };
    let Parts { carrier, reader, writer, outlet: _ } = parts;
    for_a_while(sent_away, attend(desk, &place, Door::new(carrier, reader, writer), pinned)).await;
}

/// The lane's side, on whatever transport.
async fn attend(desk: &Desk, place: &Place<'_>, mut door: Door, pinned: bool) -> io::Result<()> {
    let Some((_, trust)) = desk.settings.both() else { return Ok(()) };
    let asked = soon(async {
        door.reader.read_exact(&mut [KNOCK]).await?;
        write_message(&mut door.writer, if pinned { &trust.objects } else { &[] }).await?;
        read_message(&mut door.reader).await
    });
    if let Some(request) = asked.await? {
        place.asks();
        let answer = ask(desk, door.carrier.remote(), request).await;
        door.reply(&answer).await?;
    }
    Ok(())
}

/// A connection somebody joins over: its one stream, and its end.
struct Door {
    carrier: Arc<dyn Carrier>,
    reader: Reader,
    writer: Writer,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.carrier.close(Close::Leaving, "");
    }
}

impl Door {
    fn new(carrier: impl Carrier + 'static, reader: Reader, writer: Writer) -> Self {
        Self { carrier: Arc::new(carrier), reader, writer }
    }

    async fn reply(&mut self, answer: &[u8]) -> io::Result<()> {
        if answer.is_empty() {
            return Ok(());
        }
        write_message(&mut self.writer, answer).await?;
        self.writer.shutdown().await?;
        // Until the joiner, who has all of it, hangs up: a close would throw away what is on its way.
        while self.reader.read(&mut [0]).await? > 0 {}
        Ok(())
    }

    async fn hear(&mut self) -> Result<Vec<u8>, Ended> {
        match read_message(&mut self.reader).await {
            Ok(Some(message)) => Ok(message),
            Ok(None) => Err(Ended::new("broken", "the lane hung up")),
            Err(error) => Err(explain_failure(&*self.carrier, &error).await),
        }
    }

    async fn say(&mut self, message: &[u8]) -> Result<(), Ended> {
        match write_message(&mut self.writer, message).await {
            Ok(()) => Ok(()),
            Err(error) => Err(explain_failure(&*self.carrier, &error).await),
        }
    }
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

impl Links {
    /// Knock at the join lane of `address`; `JoinGreeted` or `JoinFailed` follows under the id returned.
    pub fn join(&self, address: SocketAddr, pinned: bool, transports: Transports) -> u64 {
        let desk = Arc::clone(self.desk());
        let join = desk.next_id();
        let (request, requested) = oneshot::channel();
        desk.joins.state().joins.insert(join, request);
        self.desk().spawn(async move {
            let joining = Arc::clone(&desk);
            let asked = desk
                .watched(DEADLINE, async move { knock(&joining, address, pinned, transports, join, requested).await });
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
    transports: Transports,
    join: u64,
    requested: oneshot::Receiver<Vec<u8>>,
) -> Result<Option<Vec<u8>>, Ended> {
    let reached = first(
        transports,
        || over_quic(desk, address, pinned),
        |proxy| async move {
            let (leaf, Parts { carrier, reader, writer, outlet: _ }) = knock_wss(address, pinned, proxy).await?;
            Ok((leaf, Door::new(carrier, reader, writer)))
        },
    );
    let (leaf, mut door) = reached.await?;
    if let Err(error) = door.writer.write_all(&[KNOCK]).await {
        return Err(explain_failure(&*door.carrier, &error).await);
    }
    let objects = door.hear().await?;
    desk.shared.bus.emit(Event::JoinGreeted { join, transport: door.carrier.transport(), leaf, objects });
    let Ok(request) = requested.await else { return Ok(None) };
    door.say(&request).await?;
    door.hear().await.map(Some)
}

/// The leaf that the lane showed, and a stream to it.
async fn over_quic(desk: &Desk, address: SocketAddr, pinned: bool) -> Result<(Vec<u8>, Door), Ended> {
    let mut config = join_client(pinned).map_err(|error| Ended::new("broken", error.to_string()))?;
    config.transport_config(join_transport(DEADLINE));
    let connecting = desk.endpoint.connect_with(config, address, &pinned_name(None));
    let connecting = connecting.map_err(|error| Ended::new("unreachable", error.to_string()))?;
    let connection = connecting.await.map_err(|error| explain(&error))?;
    let (send, recv) = connection.open_bi().await.map_err(|error| explain(&error))?;
    Ok((leaf(&connection), Door::new(connection, Box::new(recv), Box::new(send))))
}

fn leaf(connection: &Connection) -> Vec<u8> {
    let chain = connection.peer_identity();
    let chain = chain.and_then(|chain| chain.downcast::<Vec<rustls::pki_types::CertificateDer<'static>>>().ok());
    chain.and_then(|chain| chain.first().map(|leaf| leaf.to_vec())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::sync::oneshot::error::TryRecvError::Empty;

    use super::*;

    #[test]
    fn a_source_that_holds_places_keeps_nobody_out_and_is_sent_away_for_its_own_neighbours() {
        let start = Instant::now();
        let lane = JoinLane::new(ThrowAway::new().unwrap(), start);
        let source = |port| SocketAddr::from(([192, 0, 2, 1], port));
        // Five a second: the ninth comes when it may.
        let enter = |port: u16| lane.enter(source(port), start + Duration::from_secs(port.into())).unwrap();
        let mut crowd: Vec<_> = (1..=9).map(enter).collect();
        let gone = |(_, sent_away): &mut (Place<'_>, SentAway)| sent_away.try_recv().is_err_and(|it| it != Empty);
        assert!(gone(&mut crowd[0]));
        assert!(!crowd[1..].iter_mut().any(gone));
    }
}
