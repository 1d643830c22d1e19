//! Members that do not keep to the protocol: a stock QUIC endpoint with a good certificate, and what it gets.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulse_dataplane::event::Event;
use pulse_dataplane::hello::Hello;
use pulse_dataplane::tls::{Identity, link_client};
use pulse_dataplane::verify::pinned_name;
use quinn::{ApplicationClose, Connection, ConnectionError, Endpoint, RecvStream, SendStream, TransportConfig, VarInt};
use tokio::runtime::Runtime;
use tokio::time::{sleep, timeout};

use crate::authority::{Authority, Card};
use crate::node::Node;

/// Far longer than any deadline of a node.
const PATIENCE: Duration = Duration::from_secs(15);

struct Rogue {
    connection: Connection,
    send: SendStream,
    _recv: RecvStream,
    _endpoint: Endpoint,
}

impl Rogue {
    /// Shake hands and say the first byte on the control stream; `window` is what it lets the other end write there.
    async fn knock(authority: &Authority, card: &Card, address: SocketAddr, window: u32) -> Self {
        let identity = Identity::new(std::slice::from_ref(&card.leaf), &card.key).unwrap();
        let (mut config, _) = link_client(&identity, &Arc::new(authority.trust())).unwrap();
        let mut transport = TransportConfig::default();
        transport.stream_receive_window(VarInt::from_u32(window)).keep_alive_interval(Some(Duration::from_secs(1)));
        config.transport_config(Arc::new(transport));
        let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
        let connection = endpoint.connect_with(config, address, &pinned_name(None)).unwrap().await.unwrap();
        let (mut send, recv) = connection.open_bi().await.unwrap();
        send.write_all(&hello()[..1]).await.unwrap();
        // Long enough for the other end to judge our certificate and to wait for the rest.
        sleep(Duration::from_millis(300)).await;
        Self { connection, send, _recv: recv, _endpoint: endpoint }
    }

    async fn say_the_rest(&mut self) {
        self.send.write_all(&hello()[1..]).await.unwrap();
    }

    /// The code it is thrown out with.
    async fn thrown_out(&self) -> u64 {
        match timeout(PATIENCE, self.connection.closed()).await {
            Ok(ConnectionError::ApplicationClosed(ApplicationClose { error_code, .. })) => error_code.into_inner(),
            other => panic!("{other:?}"),
        }
    }
}

/// A hello behind its length.
fn hello() -> Vec<u8> {
    let hello =
        Hello { version: 1, boot: [9; 16], index: 7, replaces: 0, clock: 1.8e9, revocations: [0; 32], features: 0 };
    let bytes = hello.encode().unwrap();
    [&u32::try_from(bytes.len()).unwrap().to_be_bytes()[..], &bytes].concat()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn is_up(event: &Event) -> bool {
    matches!(event, Event::LinkUp { .. })
}

#[test]
fn a_node_revoked_between_its_handshake_and_its_hello_gets_no_link() {
    const UNTRUSTED: u64 = 0x12;
    let authority = Authority::new();
    let (mut bob, card) = (Node::member(&authority, 2), authority.node(1));
    runtime().block_on(async {
        let mut rogue = Rogue::knock(&authority, &card, bob.address, 1 << 20).await;
        bob.plane.install_trust(authority.trust_but(&[card.node])).unwrap();
        rogue.say_the_rest().await;
        assert_eq!(rogue.thrown_out().await, UNTRUSTED);
    });
    bob.wait_log("is revoked");
    assert!(bob.has_no(is_up));
    assert!(bob.plane.statistics().unwrap().links.is_empty());
}

#[test]
fn a_member_that_takes_no_hello_is_thrown_out() {
    const BROKEN: u64 = 0x13;
    let authority = Authority::new();
    let (mut bob, card) = (Node::member(&authority, 2), authority.node(1));
    runtime().block_on(async {
        let mut rogue = Rogue::knock(&authority, &card, bob.address, 0).await;
        rogue.say_the_rest().await;
        assert_eq!(rogue.thrown_out().await, BROKEN);
    });
    bob.wait_log("took no hello");
    assert!(bob.has_no(is_up));
}
