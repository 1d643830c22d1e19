//! A link over one WebSocket: its control stream and its packets as messages of two kinds (`outlet`).
//!
//! Invariant: two tasks own the connection and end with it; whoever ends it first says why, once.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use rustls::AlertDescription;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, ReadHalf, WriteHalf, duplex, split};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::unconstrained;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};

use super::carrier::{Carrier, Close, Ended, Reader, Writer, closed_by_peer, printable};
use super::quic::JOIN_WINDOW;
use super::wss::Tls;
use crate::NodeId;
use crate::outlet::{self, Batch, CONTROL, Outlet};

/// Bytes of the control stream in one message.
const CONTROL_MESSAGE: usize = 16 << 10;
/// Batches that share a flush on a line that takes them at once.
const BATCHES_A_FLUSH: usize = 16;
/// A line on which a flush takes longer is slow: what is handed over more than one batch ahead is late for nothing.
const SLOW_FLUSH: Duration = Duration::from_millis(20);
/// Bytes of the control stream that may be unread here: the packets behind them are not to wait.
const UNREAD: usize = 1 << 20;
/// How long our closing words may take to leave.
const LAST_WORDS: Duration = Duration::from_millis(300);
/// Our codes begin here in a close frame (RFC 6455 §7.4.2: private use).
const CODES: u16 = 4000;

/// What takes the packets of a message.
pub(crate) type Arrived = Box<dyn FnMut(&mut [u8], usize) + Send>;

/// One connection.
pub(crate) struct WebSocket {
    remote: SocketAddr,
    local: Option<IpAddr>,
    /// None on the join lane, which carries no frames.
    keys: Option<HopKeys>,
    farewell: Mutex<Option<oneshot::Sender<Farewell>>>,
    ended: watch::Receiver<Option<Ended>>,
}

/// The hop keys of a connection, each with the node that sends under it.
pub(crate) type HopKeys = [(NodeId, [u8; 32]); 2];

#[derive(Debug)]
struct Farewell {
    why: Close,
    text: String,
}

/// A connection that is up: the carrier, its control stream, and the way out for its packets.
pub(crate) struct Parts {
    pub(crate) carrier: WebSocket,
    pub(crate) reader: Reader,
    pub(crate) writer: Writer,
    pub(crate) outlet: Outlet,
}

impl fmt::Debug for WebSocket {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("WebSocket").field("remote", &self.remote).finish_non_exhaustive()
    }
}

/// Run a WebSocket; must be called on the runtime. `local` is given on the side that accepted.
pub(crate) fn start(
    socket: WebSocketStream<Tls>,
    remote: SocketAddr,
    local: Option<IpAddr>,
    keys: Option<HopKeys>,
    arrived: Arrived,
) -> Parts {
    // A join, which has no hop keys, may be with anybody.
    let (near, far) = duplex(if keys.is_some() { UNREAD } else { JOIN_WINDOW as usize });
    let (reader, writer) = split(near);
    let (control_out, control_in) = split(far);
    let (outlet, batches) = outlet::queue();
    let (farewell, parting) = oneshot::channel();
    let (end, ended) = watch::channel(None);
    let end = Arc::new(end);
    let (sink, stream) = socket.split();
    let hearing = hear(stream, control_in, arrived, Arc::clone(&end));
    let speaker = Speaker { sink, control: control_out, said_all: false, batches, share: BATCHES_A_FLUSH };
    tokio::spawn(run(speaker, hearing, parting, end));
    let carrier = WebSocket { remote, local, keys, farewell: Mutex::new(Some(farewell)), ended };
    Parts { carrier, reader: Box::new(reader), writer: Box::new(writer), outlet }
}

/// Both directions, until either ends or we say farewell.
async fn run(
    mut speaker: Speaker,
    hearing: impl Future<Output = ()> + Send,
    parting: oneshot::Receiver<Farewell>,
    end: Arc<watch::Sender<Option<Ended>>>,
) {
    let parting = tokio::select! {
        // Whatever ends the hearing told why.
        () = hearing => Err(()),
        error = speaker.run() => {
            tell(&end, explain(&error));
            Err(())
        }
        // Dropped with the carrier: nobody wants it any more.
        parting = parting => Ok(parting.unwrap_or(Farewell { why: Close::Leaving, text: String::new() })),
    };
    if let Ok(Farewell { why, text }) = parting {
        let frame = CloseFrame { code: CloseCode::from(CODES + why as u16), reason: text.into() };
        let _it_may_not_listen = timeout(LAST_WORDS, speaker.sink.send(Message::Close(Some(frame)))).await;
        tell(&end, Ended::new("broken", "closed by us"));
    }
}

fn tell(end: &watch::Sender<Option<Ended>>, ended: Ended) {
    end.send_if_modified(|told| {
        let first = told.is_none();
        told.get_or_insert(ended);
        first
    });
}

struct Speaker {
    sink: SplitSink<WebSocketStream<Tls>, Message>,
    control: ReadHalf<DuplexStream>,
    /// The control stream has ended.
    said_all: bool,
    batches: mpsc::Receiver<Batch>,
    /// Batches that share a flush.
    share: usize,
}

impl Speaker {
    /// Send what there is, all that waits with one flush, until that fails.
    async fn run(&mut self) -> Error {
        loop {
            if let Err(error) = self.turn().await {
                return error;
            }
        }
    }

    async fn turn(&mut self) -> Result<(), Error> {
        let mut message = BytesMut::with_capacity(1 + CONTROL_MESSAGE);
        message.extend_from_slice(&[CONTROL]);
        let first = tokio::select! {
            biased;
            read = self.control.read_buf(&mut message), if !self.said_all => {
                if read? == 0 {
                    self.said_all = true;
                    return Ok(());
                }
                message.freeze()
            }
            Some(batch) = self.batches.recv() => match batch.fresh() {
                Some(message) => message,
                None => return Ok(()),
            },
            // Nobody will say or send more: the end of the carrier follows.
            else => std::future::pending().await,
        };
        self.sink.feed(Message::Binary(first)).await?;
        // A few only: who fills the queue as fast as it empties would keep the control stream waiting.
        for _ in 1..self.share {
            let Ok(batch) = self.batches.try_recv() else { break };
            if let Some(message) = batch.fresh() {
                self.sink.feed(Message::Binary(message)).await?;
            }
        }
        let began = Instant::now();
        self.sink.flush().await?;
        self.share = if began.elapsed() < SLOW_FLUSH { BATCHES_A_FLUSH } else { 1 };
        Ok(())
    }
}

/// Take in messages until there are no more.
async fn hear(
    mut stream: SplitStream<WebSocketStream<Tls>>,
    mut control: WriteHalf<DuplexStream>,
    mut arrived: Arrived,
    end: Arc<watch::Sender<Option<Ended>>>,
) {
    let ended = loop {
        let message = match stream.next().await {
            Some(Ok(Message::Binary(bytes))) => bytes,
            Some(Ok(Message::Close(frame))) => break said_goodbye(frame),
            // Pings too: the library answers each, so a flood of them by who reads no answer would fill our memory.
            Some(Ok(_)) => break Ended::new("broken", "it sent what is no message of ours"),
            Some(Err(error)) => break explain(&error),
            None => break Ended::new("broken", "the connection is closed"),
        };
        if message.first() == Some(&CONTROL) {
            // Full means that a megabyte waits: it sends more than anybody reads. A task that had its share of the runtime
            // would be told to wait as well, hence unconstrained.
            let written = unconstrained(control.write_all(&message[1..])).now_or_never();
            if written.is_none_or(|written| written.is_err()) {
                break Ended::new("broken", "it sends more messages than are read");
            }
            continue;
        }
        let mut message = message.try_into_mut().unwrap_or_else(|shared| BytesMut::from(&shared[..]));
        match outlet::packets(&mut message) {
            Some((stride, packets)) => arrived(packets, stride),
            None => break Ended::new("broken", "it sent a message of an unknown kind"),
        }
    };
    tell(&end, ended);
}

fn said_goodbye(frame: Option<CloseFrame>) -> Ended {
    let Some(CloseFrame { code, reason }) = frame else { return Ended::new("broken", "closed by peer") };
    closed_by_peer(u16::from(code).wrapping_sub(CODES).into(), reason.as_bytes())
}

/// Why a WebSocket failed, for `DialFailed` and for people.
pub(crate) fn explain(error: &Error) -> Ended {
    match error {
        Error::ConnectionClosed | Error::AlreadyClosed => Ended::new("broken", "the connection is closed"),
        Error::Io(error) => explain_io(error),
        Error::Http(response) => {
            Ended::new("unreachable", format!("there is no pulse at this address: HTTP says {}", response.status()))
        }
        other => Ended::new("broken", printable(other.to_string().as_bytes())),
    }
}

/// Why TCP or TLS failed.
pub(crate) fn explain_io(error: &io::Error) -> Ended {
    let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match tls {
        Some(
            rustls::Error::AlertReceived(AlertDescription::NoApplicationProtocol) | rustls::Error::InvalidMessage(_),
        ) => Ended::new("unreachable", "there is no pulse at this address: it speaks something else"),
        Some(rustls::Error::AlertReceived(_)) => Ended::new("refused", "the peer refused us; its log says why"),
        Some(rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented) => {
            Ended::new("certificate", printable(error.to_string().as_bytes()))
        }
        Some(other) => Ended::new("broken", printable(other.to_string().as_bytes())),
        None if error.kind() == io::ErrorKind::TimedOut => Ended::new("timeout", "TCP gets no answer"),
        None => Ended::new("unreachable", printable(error.to_string().as_bytes())),
    }
}

impl Carrier for WebSocket {
    fn transport(&self) -> &'static str {
        "websocket"
    }

    fn remote(&self) -> SocketAddr {
        self.remote
    }

    fn local(&self) -> Option<IpAddr> {
        self.local
    }

    fn hop_key(&self, sender: &NodeId, _receiver: &NodeId) -> io::Result<[u8; 32]> {
        let key = self.keys.iter().flatten().find(|(node, _)| node == sender);
        key.map(|(_, key)| *key).ok_or_else(|| io::Error::other("no key was exported for that node"))
    }

    fn close(&self, why: Close, text: &str) {
        if let Some(farewell) = self.farewell.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _over = farewell.send(Farewell { why, text: printable(text.as_bytes()) });
        }
    }

    fn is_over(&self) -> bool {
        self.ended.borrow().is_some()
    }

    fn ended(&self) -> Pin<Box<dyn Future<Output = Ended> + Send + '_>> {
        let mut ended = self.ended.clone();
        Box::pin(async move {
            let told = ended.wait_for(Option::is_some).await;
            told.ok().and_then(|told| told.clone()).unwrap_or_else(|| Ended::new("broken", "the connection is gone"))
        })
    }
}
