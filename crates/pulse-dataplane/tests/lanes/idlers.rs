//! Strangers that keep the join lane busy: what each may take, and for how long.

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use pulse_dataplane::event::Event;
use pulse_dataplane::outlet::CONTROL;
use pulse_dataplane::tls::{join_client, join_client_tcp};
use pulse_dataplane::verify::pinned_name;
use quinn::{Connection, Endpoint, RecvStream, SendStream};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;
use tokio_tungstenite::client_async;
use tokio_tungstenite::tungstenite::Message;

use crate::authority::Authority;
use crate::joins::door;
use crate::node::{Node, PATIENCE};

/// A stock QUIC client at the lane.
struct Stranger {
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
    _endpoint: Endpoint,
}

impl Stranger {
    async fn knock(address: SocketAddr, after: Duration) -> Self {
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let connecting = endpoint.connect_with(join_client(false).unwrap(), address, &pinned_name(None));
        let connection = connecting.unwrap().await.unwrap();
        sleep(after).await;
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(&[0]).await.unwrap();
        // The greeting, which is empty.
        recv.read_exact(&mut [0; 4]).await.unwrap();
        Self { connection, send, recv, _endpoint: endpoint }
    }

    async fn ask(&mut self) {
        self.send.write_all(REQUEST).await.unwrap();
    }
}

/// Behind its length.
const REQUEST: &[u8] = b"\0\0\0\x07request";

/// Wait for the offer, and let strangers live meanwhile.
async fn offered(bob: &mut Node) {
    let asks = |event: &Event| matches!(event, Event::JoinOffered { .. });
    let waiting = async {
        while bob.has_no(asks) {
            bob.told_within(Duration::from_millis(1));
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, waiting).await.unwrap();
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn who_says_nothing_is_sent_away_before_one_that_came_earlier_and_asked() {
    let (mut bob, _) = door(&Authority::new());
    let (address, runtime) = (bob.address, runtime());
    let (asker, silent) = runtime.block_on(async {
        let mut asker = Stranger::knock(address, Duration::ZERO).await;
        asker.ask().await;
        offered(&mut bob).await;
        (asker, Stranger::knock(address, Duration::ZERO).await)
    });
    let (offer, _) = bob.wait_offered();
    runtime.block_on(async { timeout(PATIENCE, silent.connection.closed()).await.unwrap() });
    assert!(asker.connection.close_reason().is_none());
    bob.plane.answer_join(offer, b"answer".to_vec()).unwrap();
    let mut answer = [0; 10];
    let mut asker = asker;
    runtime.block_on(async { asker.recv.read_exact(&mut answer).await.unwrap() });
    assert_eq!(&answer, b"\0\0\0\x06answer");
}

#[test]
fn a_joiner_on_a_slow_line_gets_in() {
    // Of the three seconds for each step, leave the machine a half.
    const SLOW: Duration = Duration::from_millis(1500);
    let (mut bob, _) = door(&Authority::new());
    let (address, runtime) = (bob.address, runtime());
    let _joiner = runtime.block_on(async {
        let mut joiner = Stranger::knock(address, SLOW).await;
        sleep(SLOW).await;
        joiner.ask().await;
        offered(&mut bob).await;
        joiner
    });
    assert_eq!(bob.wait_offered().1, b"request");
}

#[test]
fn what_a_stranger_says_beyond_its_request_stays_with_it() {
    let (mut bob, _) = door(&Authority::new());
    let (address, runtime) = (bob.address, runtime());
    runtime.block_on(async {
        let mut stranger = Stranger::knock(address, Duration::ZERO).await;
        stranger.ask().await;
        // It has room for the longest request.
        let mut said = 100 << 10;
        timeout(PATIENCE, stranger.send.write_all(&vec![7; said])).await.unwrap().unwrap();
        while let Ok(Ok(())) = timeout(Duration::from_millis(500), stranger.send.write_all(&[7; 1024])).await {
            said += 1024;
            assert!(said <= 256 << 10);
        }
        assert!(timeout(Duration::from_millis(100), stranger.connection.open_bi()).await.is_err(), "a second stream");
        offered(&mut bob).await;
        assert!(stranger.connection.close_reason().is_none());
    });
}

#[test]
fn who_says_more_over_a_websocket_than_a_request_can_hold_is_hung_up_on() {
    let (mut bob, _) = door(&Authority::new());
    let (address, runtime) = (bob.listens(), runtime());
    let control = |part: &[u8]| Message::binary([&[CONTROL], part].concat());
    runtime.block_on(async {
        let tls = TlsConnector::from(join_client_tcp(false).unwrap());
        let name = ServerName::try_from(pinned_name(None)).unwrap();
        let tls = tls.connect(name, TcpStream::connect(address).await.unwrap()).await.unwrap();
        let (mut said, mut heard) = client_async("wss://pulse/pulse/join", tls).await.unwrap().0.split();
        said.send(control(&[0])).await.unwrap();
        assert_eq!(heard.next().await.unwrap().unwrap(), control(&[0; 4]));
        said.send(control(REQUEST)).await.unwrap();
        offered(&mut bob).await;
        for _ in 0..20 {
            // It may hang up in the middle.
            let _ = said.send(control(&[7; 16 << 10])).await;
        }
        let last = timeout(PATIENCE, heard.next()).await.unwrap();
        // Not by a farewell, as at the end of its time.
        assert!(!matches!(last, Some(Ok(_))), "{last:?}");
    });
}
