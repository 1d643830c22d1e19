//! What a stranger meets at the port: nothing but the join lane, and no reasons.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use pulse_dataplane::tls::{JOIN, JOIN_PINNED, LINK};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ConnectionError, ConnectionId, Endpoint};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, Error, SignatureScheme};

use crate::authority::{Authority, Card, LABEL, Wish, now, self_signed};
use crate::node::{Node, PATIENCE};

#[derive(Debug)]
struct Trusting;

impl ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// A stock QUIC client that shows what it likes.
struct Stranger<'a> {
    alpn: &'a [u8],
    marked: bool,
    card: Option<&'a Card>,
}

impl Stranger<'_> {
    /// How it is thrown out.
    fn thrown_out(&self, address: SocketAddr) -> ConnectionError {
        // In TLS 1.3 the client is done before the server judged it.
        self.knock(address, PATIENCE).expect_err("it is let in")
    }

    /// The leaf it is shown, where it is not thrown out for a while.
    fn let_in(&self, address: SocketAddr) -> Vec<u8> {
        self.knock(address, Duration::from_millis(500)).unwrap()
    }

    fn knock(&self, address: SocketAddr, patience: Duration) -> Result<Vec<u8>, ConnectionError> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
            let connection = endpoint.connect_with(self.config(), address, "any.pulse").unwrap().await?;
            let leaf = connection.peer_identity().unwrap().downcast::<Vec<CertificateDer<'static>>>().unwrap();
            let (mut send, _recv) = connection.open_bi().await?;
            let _ = send.write_all(&[0]).await;
            match tokio::time::timeout(patience, connection.closed()).await {
                Ok(thrown_out) => Err(thrown_out),
                Err(_) => Ok(leaf[0].to_vec()),
            }
        })
    }

    /// True if the port says anything at all.
    fn is_heard(&self, address: SocketAddr) -> bool {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let endpoint = Endpoint::client("127.0.0.1:0".parse().unwrap()).unwrap();
            let connecting = endpoint.connect_with(self.config(), address, "any.pulse").unwrap();
            tokio::time::timeout(Duration::from_secs(1), connecting).await.is_ok()
        })
    }

    fn config(&self) -> quinn::ClientConfig {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = rustls::ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting));
        let mut config = match self.card {
            Some(card) => builder
                .with_client_auth_cert(
                    vec![card.leaf.clone().into()],
                    PrivatePkcs8KeyDer::from(card.key.clone()).into(),
                )
                .unwrap(),
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = if self.alpn.is_empty() { vec![] } else { vec![self.alpn.to_vec()] };
        let mut config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(config).unwrap()));
        if self.marked {
            config.initial_dst_cid_provider(Arc::new(|| ConnectionId::new(b"pulsejn1strange!")));
        }
        config
    }
}

/// TLS alert that ended it.
fn alert(thrown_out: &ConnectionError) -> u64 {
    match thrown_out {
        ConnectionError::ConnectionClosed(close) => u64::from(close.error_code) - 0x100,
        other => panic!("{other:?}"),
    }
}

const CERTIFICATE_REQUIRED: u64 = 116;
const NO_APPLICATION_PROTOCOL: u64 = 120;
const ACCESS_DENIED: u64 = 49;

#[test]
fn the_link_lane_wants_a_certificate() {
    let authority = Authority::new();
    let bob = Node::member(&authority, 2);
    let thrown_out = Stranger { alpn: LINK, marked: false, card: None }.thrown_out(bob.address);
    assert_eq!(alert(&thrown_out), CERTIFICATE_REQUIRED);
}

#[test]
fn every_wrong_certificate_is_refused_in_the_same_words_and_logged_in_others() {
    let authority = Authority::new();
    let revoked = authority.node(9);
    let mut bob = Node::with(&authority.node(2), authority.trust_but(&[revoked.node]));
    let label = LABEL.replace("default", "other");
    let cards = [
        (self_signed(&Wish::new(1)), "not signed by a trusted CA"),
        (Authority::new().node(1), "not signed by a trusted CA"),
        (authority.issue(&Wish { not_after: now() - 1, ..Wish::new(1) }), "expired"),
        (authority.issue(&Wish { not_before: now() + 60, ..Wish::new(1) }), "not yet valid"),
        (authority.issue(&Wish { usages: vec![], ..Wish::new(1) }), "clients and servers"),
        (authority.issue(&Wish { label, ..Wish::new(1) }), "another network"),
        (authority.issue(&Wish { id: Some([7; 32]), ..Wish::new(1) }), "not the hash of its key"),
        (revoked, "is revoked"),
    ];
    let mut texts = vec![];
    for (card, reason) in cards {
        let thrown_out = Stranger { alpn: LINK, marked: false, card: Some(&card) }.thrown_out(bob.address);
        assert_eq!(alert(&thrown_out), ACCESS_DENIED, "{reason}");
        texts.push(thrown_out.to_string());
        bob.wait_log(reason);
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
}

#[test]
fn mark_and_alpn_must_agree() {
    let authority = Authority::new();
    let (bob, card) = (Node::member(&authority, 2), authority.node(1));
    for (alpn, marked) in
        [(LINK, true), (JOIN, false), (JOIN_PINNED, false), (b"h3", false), (b"h3", true), (b"", true)]
    {
        for card in [None, Some(&card)] {
            let thrown_out = Stranger { alpn, marked, card }.thrown_out(bob.address);
            // Who names no protocol at all finds no certificate to be shown.
            let expected = if alpn.is_empty() { ACCESS_DENIED } else { NO_APPLICATION_PROTOCOL };
            assert_eq!(alert(&thrown_out), expected, "{alpn:?} {marked}");
        }
    }
}

#[test]
fn a_certificate_lends_the_join_lane_no_trust() {
    let authority = Authority::new();
    let (mut bob, card) = (Node::member(&authority, 2), authority.node(1));
    let leaf = Stranger { alpn: JOIN, marked: true, card: Some(&card) }.let_in(bob.address);
    assert!(!leaf.is_empty());
    bob.told_within(Duration::from_millis(200));
    assert!(bob.has_no(|event| matches!(event, pulse_dataplane::event::Event::LinkUp { .. })));
}

#[test]
fn a_node_without_identity_says_nothing_to_anybody() {
    let blank = Node::blank();
    let card = Authority::new().node(1);
    for (alpn, marked) in [(LINK, false), (JOIN, true)] {
        assert!(!Stranger { alpn, marked, card: Some(&card) }.is_heard(blank.address));
    }
}

#[test]
fn a_flood_of_strangers_does_not_keep_a_member_out() {
    let authority = Authority::new();
    let (mut alice, bob) = (Node::member(&authority, 1), Node::member(&authority, 2));
    let flood = move |address: SocketAddr| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let endpoint = Endpoint::client("127.0.0.2:0".parse().unwrap()).unwrap();
            let stranger = Stranger { alpn: LINK, marked: false, card: None };
            let knocks = (0..300).map(|_| endpoint.connect_with(stranger.config(), address, "any.pulse").unwrap());
            let knocks: Vec<_> = knocks.map(|knock| tokio::spawn(knock.into_future())).collect();
            tokio::time::sleep(Duration::from_secs(2)).await;
            knocks.iter().for_each(tokio::task::JoinHandle::abort);
        });
    };
    let address = bob.address;
    let flooding = std::thread::spawn(move || flood(address));
    std::thread::sleep(Duration::from_millis(200));
    alice.dial(&bob);
    assert_eq!(alice.wait_up().node, bob.id);
    flooding.join().unwrap();
}
