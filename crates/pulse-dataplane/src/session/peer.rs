//! One session from the first hello to its end.
//!
//! Invariant: the session ends when its connection does, and everything that ends it closes the connection; its
//! streams end on their own then, each with its event.

use std::panic::AssertUnwindSafe;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::FutureExt;
use quinn::{RecvStream, SendStream, VarInt};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::{JoinError, JoinSet};
use tokio::time::sleep;

use super::Snapshot;
use super::close;
use super::control::Message;
use super::desk::Desk;
use super::greeting::Greeted;
use super::keyring::{Keyring, Sealing};
use super::roster::Share;
use crate::hello::{read_message, write_message};
use crate::path::Proof;
use crate::report::Report;
use crate::stream::Carrier;
use crate::verify::Certified;

/// Control messages that may wait, each way.
const CONTROL_QUEUE: usize = 16;

/// The loser of a tie-break serves what began on it, and closes once it had no stream for this long; by then the
/// winner's keys are agreed and the last records under the loser's have arrived.
const LINGER: Duration = Duration::from_secs(1);

/// The part of what is left of a certificate in which a session gets a successor: by then whoever renews has renewed.
const LAST_PART: u64 = 6;

/// A session without anything to do for so many ticks looks up once in as many.
const RESTING: u32 = 5;

/// A datagram whose arrival is all it is for.
const KICK: &[u8] = &[0];

/// One session, hellos exchanged.
#[derive(Debug)]
pub struct Session {
    /// Names it among all sessions of this process.
    pub id: u64,
    /// What streams need of it.
    pub carrier: Carrier,
    /// The peer's certificate.
    pub certified: Certified,
    /// The peer's boot id.
    pub boot: [u8; 16],
    /// Its newest sealer.
    pub sealing: Arc<Sealing>,
    /// What vouches for path probes of its two ends.
    pub proof: Proof,
    /// When the hellos were exchanged.
    pub since: Instant,
    /// Bytes it may hold unread.
    holds: AtomicU32,
    reason: OnceLock<String>,
}

impl Session {
    /// True once its connection is closed.
    pub fn is_closed(&self) -> bool {
        self.carrier.connection.close_reason().is_some()
    }

    /// Close it; the first reason given is the one that is told.
    pub fn close(&self, code: VarInt, reason: &str) {
        if self.is_closed() {
            // Closing again would make quinn forget who closed it first.
            return;
        }
        let reason = self.reason.get_or_init(|| reason.to_owned());
        self.carrier.connection.close(code, reason.as_bytes());
    }

    /// Let it hold as much, unless it may hold more already: what was granted to the peer cannot be taken back.
    pub fn may_hold(&self, share: Share) {
        if self.holds.fetch_max(share.receive, Ordering::Relaxed) < share.receive {
            self.carrier.connection.set_receive_window(VarInt::from_u32(share.receive));
            self.carrier.connection.set_send_window(share.send);
        }
    }

    /// Make the peer answer at once, over whatever path there is now: transfers resume, or it says that it no longer
    /// knows this session.
    pub fn kick(&self) {
        let _ = self.carrier.connection.send_datagram(Bytes::from_static(KICK));
    }

    /// Tell the peer which of its records arrived. One that is lost is made up for by the next.
    pub fn tell(&self, report: &Report) {
        let _ = self.carrier.connection.send_datagram(report.encode().into());
    }

    /// Stream frames both ways: what of its packets was traffic, not its own doing.
    pub fn stream_frames(&self) -> u64 {
        let figures = self.carrier.connection.stats();
        figures.frame_tx.stream + figures.frame_rx.stream
    }

    /// Its figures.
    pub fn snapshot(&self) -> Snapshot {
        let figures = self.carrier.connection.stats();
        Snapshot {
            node: self.carrier.node,
            rtt: figures.path.rtt,
            sent: figures.udp_tx.bytes,
            received: figures.udp_rx.bytes,
            streams: self.carrier.load.open(),
            age: self.since.elapsed(),
        }
    }

    /// Why it ended, or is about to.
    pub fn ending(&self) -> String {
        match (self.carrier.connection.close_reason(), self.reason.get()) {
            (Some(quinn::ConnectionError::LocallyClosed) | None, Some(reason)) => reason.clone(),
            (Some(error), _) => close::reason(&error),
            (None, None) => "closed".to_owned(),
        }
    }
}

/// What runs one session.
#[derive(Debug)]
pub struct Runner {
    desk: Arc<Desk>,
    session: Arc<Session>,
    keyring: Keyring,
    outbox: Sender<Message>,
    control: Option<Control>,
    activity: Activity,
}

/// The control stream, until its tasks run.
#[derive(Debug)]
struct Control {
    send: SendStream,
    outgoing: Receiver<Message>,
    recv: RecvStream,
}

/// When the session last had something to do.
#[derive(Debug)]
struct Activity {
    packets: u64,
    record: Instant,
    stream: Instant,
    replaced: Option<Instant>,
    /// When it is worth a new session that shows what certificates there are by then, by the wall clock.
    renewal: Option<u64>,
}

/// Make a session of a connection that was greeted.
pub fn begin(desk: &Arc<Desk>, greeted: Greeted) -> Result<(Arc<Session>, Runner), String> {
    let (keyring, proof) = (greeted.keyring(desk)?, greeted.proof(desk)?);
    let since = Instant::now();
    let session = Arc::new(Session {
        id: desk.streams.next_id(),
        carrier: Carrier {
            node: greeted.certified.node,
            connection: greeted.connection,
            load: Arc::new(desk.streams.load(greeted.certified.node)),
        },
        certified: greeted.certified,
        boot: greeted.theirs.boot,
        sealing: keyring.sealing(),
        proof,
        since,
        holds: Share::FIRST.receive.into(),
        reason: OnceLock::new(),
    });
    let renewal = renewal(desk.settings.now(), desk.first_end(&session.certified));
    let activity = Activity { packets: 0, record: since, stream: since, replaced: None, renewal };
    let (outbox, outgoing) = channel(CONTROL_QUEUE);
    let control = Some(Control { send: greeted.send, outgoing, recv: greeted.recv });
    let (desk, runner_session) = (Arc::clone(desk), Arc::clone(&session));
    let runner = Runner { desk, session: runner_session, keyring, outbox, control, activity };
    Ok((session, runner))
}

impl Runner {
    /// Run the session to its end; a panic inside ends this session only.
    pub async fn run(mut self) {
        let (desk, session) = (Arc::clone(&self.desk), Arc::clone(&self.session));
        let mut tasks = JoinSet::new();
        if AssertUnwindSafe(self.serve(&mut tasks)).catch_unwind().await.is_err() {
            desk.panicked(&session);
        }
        desk.ended(&session);
        // The keys go with the session.
        drop(self);
        let reports = async {
            while let Some(done) = tasks.join_next().await {
                report(&desk, &session, &done);
            }
        };
        // Some tasks outlive the session by a while.
        tokio::join!(reports, desk.look_again(session.carrier.node));
    }

    async fn serve(&mut self, tasks: &mut JoinSet<()>) {
        let connection = self.session.carrier.connection.clone();
        let (sender, mut inbox) = channel(CONTROL_QUEUE);
        if let Some(Control { send, outgoing, recv }) = self.control.take() {
            tasks.spawn(read_control(recv, sender, Arc::clone(&self.session)));
            tasks.spawn(write_control(send, outgoing));
        }
        let clock = sleep(Duration::ZERO);
        tokio::pin!(clock);
        loop {
            tokio::select! {
                _ = connection.closed() => return,
                Some(message) = inbox.recv() => self.heard(message),
                Ok(halves) = connection.accept_bi() => self.offered(tasks, halves),
                Ok(datagram) = connection.read_datagram() => self.told(&datagram),
                index = self.keyring.first_record() => self.confirmed(index),
                () = &mut clock => {
                    self.tick();
                    clock.as_mut().reset(tokio::time::Instant::now() + self.pause());
                }
                Some(done) = tasks.join_next(), if !tasks.is_empty() => report(&self.desk, &self.session, &done),
            }
        }
    }

    fn offered(&self, tasks: &mut JoinSet<()>, halves: (SendStream, RecvStream)) {
        if self.takes_nothing_new() {
            return self.desk.streams.decline(halves);
        }
        let (desk, carrier) = (Arc::clone(&self.desk), self.session.carrier.clone());
        tasks.spawn(async move { desk.streams.accepted(&carrier, halves).await });
    }

    /// Another session has served for so long that the peer knows of it, and what it opened here before has arrived.
    fn takes_nothing_new(&self) -> bool {
        let winner = self.desk.serving(&self.session.carrier.node).filter(|serving| serving.id != self.session.id);
        winner.is_some_and(|winner| winner.since.elapsed() >= self.desk.tuning.deadlines.header)
    }

    fn heard(&mut self, message: Message) {
        match message {
            Message::Keys(offer) => {
                let now = Instant::now();
                if !self.keyring.admits(now) {
                    return self.session.close(close::PROTOCOL, "it swaps keys without end");
                }
                let answer = self.keyring.offered(&offer, now);
                self.say(answer);
            }
            Message::KeysUsed(index) => self.confirmed(index),
            Message::Unknown(_) => self.desk.count_skipped(),
        }
    }

    /// A report; or a kick, whose arrival was all it is for.
    fn told(&self, datagram: &[u8]) {
        if let Some(report) = Report::decode(datagram) {
            self.desk.reported(&self.session.carrier.node, &report);
        }
    }

    fn confirmed(&mut self, index: u32) {
        let words = self.keyring.confirmed(index, Instant::now());
        self.say(Ok(words));
    }

    /// Queue control messages; a swap of keys that failed ends the session, and so does a peer that reads none.
    fn say(&self, messages: Result<Vec<Message>, ring::error::Unspecified>) {
        let Ok(messages) = messages else { return self.session.close(close::PROTOCOL, "key agreement failed") };
        for message in messages {
            if let Err(TrySendError::Full(_)) = self.outbox.try_send(message) {
                self.session.close(close::PROTOCOL, "it reads no control messages");
            }
        }
    }

    /// How long until the next look: a session at rest has nothing that is due soon.
    fn pause(&self) -> Duration {
        let tick = self.desk.tuning.tick;
        let quiet = self.activity.record.max(self.activity.stream).elapsed() >= tick * RESTING;
        let settled = self.activity.replaced.is_none() && self.keyring.is_settled();
        if quiet && settled { tick * RESTING } else { tick }
    }

    fn tick(&mut self) {
        let now = Instant::now();
        #[cfg(test)]
        self.desk.fault(&self.session.carrier.node);
        let words = self.keyring.tick(now);
        self.say(words);
        self.observe(now);
        if self.desk.settings.now() > self.session.certified.not_after {
            self.session.close(close::REFUSED, "the peer's certificate expired");
        } else if self.activity.replaced.is_some_and(|at| now.duration_since(at.max(self.activity.stream)) >= LINGER) {
            self.session.close(close::DUPLICATE, "another session replaced it");
        } else if now.duration_since(self.activity.stream.max(self.activity.record)) >= self.desk.tuning.idle {
            self.session.close(close::IDLE, "idle");
        } else if self.activity.renewal.is_some_and(|at| self.desk.settings.now() >= at) {
            self.renew();
        }
    }

    /// Certificates end soon. The lower id dials, whose new session stays whoever dialled the old one (protocol §3).
    fn renew(&mut self) {
        self.activity.renewal = renewal(self.desk.settings.now(), self.desk.first_end(&self.session.certified));
        if self.activity.replaced.is_none() {
            self.desk.renew(self.session.carrier.node);
        }
    }

    fn observe(&mut self, now: Instant) {
        if self.session.sealing.is_replaced() {
            self.activity.replaced.get_or_insert(now);
        }
        if self.session.carrier.load.open() > 0 {
            self.activity.stream = now;
        }
        let Some(peer) = self.desk.peer(&self.session.carrier.node) else { return };
        let packets = peer.traffic.packets();
        if packets != self.activity.packets {
            self.activity.packets = packets;
            self.activity.record = now;
        }
    }
}

/// When to have a new session, if certificates end at `end`; none if that is too near for it to be of use.
fn renewal(now: u64, end: u64) -> Option<u64> {
    let part = end.saturating_sub(now) / LAST_PART;
    (part > 0).then(|| end - part)
}

fn report(desk: &Desk, session: &Session, done: &Result<(), JoinError>) {
    if done.as_ref().is_err_and(JoinError::is_panic) {
        desk.panicked(session);
    }
}

/// Read control messages one by one; whatever is none ends the session.
async fn read_control(mut recv: RecvStream, inbox: Sender<Message>, session: Arc<Session>) {
    while let Ok(Some(bytes)) = read_message(&mut recv).await {
        let Some(message) = Message::decode(&bytes) else { break };
        if inbox.send(message).await.is_err() {
            return;
        }
    }
    session.close(close::PROTOCOL, "its control stream broke");
}

/// Write control messages one by one, apart from all else a session does: the peer may take them as slowly as it likes.
async fn write_control(mut send: SendStream, mut outgoing: Receiver<Message>) {
    while let Some(message) = outgoing.recv().await {
        if write_message(&mut send, &message.encode()).await.is_err() {
            return;
        }
    }
}
