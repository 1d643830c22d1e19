//! TLS 1.3 settings of the three lanes: link, session, join.
//!
//! Invariant: links and sessions always demand a certificate and judge it in every handshake (no tickets,
//! no resumption, no 0-RTT); the join lane demands none and has ALPNs of its own, so that no code path can
//! take a stranger for a member.

use std::sync::Arc;

use quinn::ConnectionId;
use quinn::crypto::rustls::{NoInitialCipherSuite, QuicClientConfig, QuicServerConfig};
use ring::signature::{Ed25519KeyPair, KeyPair};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::crypto::ring::cipher_suite::{TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{ClientConfig, DigitallySignedStruct, Error, ServerConfig, SignatureScheme};

use crate::hello::random;
use crate::tables::Me;
use crate::verify::{Certified, Trust, Verifier, check_signature, parse};

/// ALPN of links.
pub const LINK: &[u8] = b"pulse-link/1";
/// ALPN of sessions.
pub const SESSION: &[u8] = b"pulse-session/1";
/// ALPN of joins on trust at first use: the lane shows a throw-away certificate.
pub const JOIN: &[u8] = b"pulse-join/1";
/// ALPN of joins that know the CA: the lane shows its leaf.
pub const JOIN_PINNED: &[u8] = b"pulse-join-ca/1";

/// What the first connection id of a joiner begins with: quinn shows no ALPN before a config is chosen.
const JOIN_MARK: &[u8; 8] = b"pulsejn1";

/// Our certificate and key.
#[derive(Debug)]
pub struct Identity {
    /// What the certificate says.
    pub certified: Certified,
    certified_key: Arc<CertifiedKey>,
    key: Vec<u8>,
}

impl Identity {
    /// `chain` is DER, leaf first; `key` is PKCS#8 DER. The error says what does not fit.
    pub fn new(chain: &[Vec<u8>], key: &[u8]) -> Result<Self, String> {
        let leaf = chain.first().ok_or("the certificate chain is empty")?;
        let certified = parse(leaf).map_err(|refusal| refusal.to_string())?;
        let certificates = chain.iter().map(|der| CertificateDer::from(der.clone())).collect();
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.to_vec()));
        let certified_key = CertifiedKey::from_der(certificates, private, &provider())
            .map_err(|error| format!("key and certificate do not fit: {error}"))?;
        Ok(Self { certified, certified_key: Arc::new(certified_key), key: key.to_vec() })
    }

    /// Our id and addresses.
    pub fn me(&self) -> Me {
        Me { node: self.certified.node, v4: self.certified.v4, v6: self.certified.v6 }
    }

    /// A secret derived from the node key, another one for each `label`; the same after a restart.
    pub fn secret(&self, label: &[u8]) -> [u8; 32] {
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &self.key);
        let mut secret = [0; 32];
        secret.copy_from_slice(ring::hmac::sign(&key, label).as_ref());
        secret
    }
}

/// ring, with the two suites we speak. QUIC needs AES-128 for its first packets.
fn provider() -> Arc<CryptoProvider> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.cipher_suites = vec![TLS13_AES_128_GCM_SHA256, TLS13_CHACHA20_POLY1305_SHA256];
    Arc::new(provider)
}

/// Settings of the link lane for one or more incoming handshakes; ask the verifier why one failed.
pub fn link_server(identity: &Identity, trust: &Arc<Trust>) -> Result<(quinn::ServerConfig, Arc<Verifier>), Error> {
    member_server(identity, trust, LINK)
}

/// Settings for dialling a link; the server name (`verify::pinned_name`) names the node.
pub fn link_client(identity: &Identity, trust: &Arc<Trust>) -> Result<(quinn::ClientConfig, Arc<Verifier>), Error> {
    member_client(identity, trust, LINK)
}

/// As `link_server`, for handshakes over TCP.
pub fn link_server_tcp(identity: &Identity, trust: &Arc<Trust>) -> Result<(Arc<ServerConfig>, Arc<Verifier>), Error> {
    let (config, verifier) = member_server_tls(identity, trust, LINK)?;
    Ok((Arc::new(config), verifier))
}

/// As `link_client`, for dials over TCP.
pub fn link_client_tcp(identity: &Identity, trust: &Arc<Trust>) -> Result<(Arc<ClientConfig>, Arc<Verifier>), Error> {
    let (config, verifier) = member_client_tls(identity, trust, LINK)?;
    Ok((Arc::new(config), verifier))
}

/// Settings for incoming sessions. The transport is the caller's.
pub fn session_server(identity: &Identity, trust: &Arc<Trust>) -> Result<(quinn::ServerConfig, Arc<Verifier>), Error> {
    member_server(identity, trust, SESSION)
}

/// Settings for dialling sessions; the server name (`verify::pinned_name`) names the node. The transport is the caller's.
pub fn session_client(identity: &Identity, trust: &Arc<Trust>) -> Result<(quinn::ClientConfig, Arc<Verifier>), Error> {
    member_client(identity, trust, SESSION)
}

fn member_server(
    identity: &Identity,
    trust: &Arc<Trust>,
    alpn: &[u8],
) -> Result<(quinn::ServerConfig, Arc<Verifier>), Error> {
    let (config, verifier) = member_server_tls(identity, trust, alpn)?;
    Ok((quic_server(config)?, verifier))
}

fn member_server_tls(
    identity: &Identity,
    trust: &Arc<Trust>,
    alpn: &[u8],
) -> Result<(ServerConfig, Arc<Verifier>), Error> {
    let verifier = Verifier::new(Arc::clone(trust), identity.certified.not_before);
    let builder = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(Arc::clone(&verifier) as Arc<_>);
    let key = SingleCertAndKey::from(Arc::clone(&identity.certified_key));
    Ok((server(builder.with_cert_resolver(Arc::new(key)), &[alpn]), verifier))
}

fn member_client(
    identity: &Identity,
    trust: &Arc<Trust>,
    alpn: &[u8],
) -> Result<(quinn::ClientConfig, Arc<Verifier>), Error> {
    let (config, verifier) = member_client_tls(identity, trust, alpn)?;
    Ok((quic_client(config)?, verifier))
}

fn member_client_tls(
    identity: &Identity,
    trust: &Arc<Trust>,
    alpn: &[u8],
) -> Result<(ClientConfig, Arc<Verifier>), Error> {
    let verifier = Verifier::new(Arc::clone(trust), identity.certified.not_before);
    let builder = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::clone(&verifier) as Arc<_>);
    let key = SingleCertAndKey::from(Arc::clone(&identity.certified_key));
    Ok((client(builder.with_client_cert_resolver(Arc::new(key)), alpn), verifier))
}

/// Settings of the join lane: no client certificate; ours is picked by ALPN.
pub fn join_server(identity: &Identity, throw_away: &ThrowAway) -> Result<quinn::ServerConfig, Error> {
    quic_server(join_server_tls(identity, throw_away)?)
}

/// As `join_server`, for handshakes over TCP.
pub fn join_server_tcp(identity: &Identity, throw_away: &ThrowAway) -> Result<Arc<ServerConfig>, Error> {
    join_server_tls(identity, throw_away).map(Arc::new)
}

fn join_server_tls(identity: &Identity, throw_away: &ThrowAway) -> Result<ServerConfig, Error> {
    let resolver =
        JoinCertificates { leaf: Arc::clone(&identity.certified_key), throw_away: Arc::clone(&throw_away.0) };
    let config = ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_cert_resolver(Arc::new(resolver));
    Ok(server(config, &[JOIN_PINNED, JOIN]))
}

/// Settings for joining: whatever leaf the lane shows is taken, and told to Python, which judges it.
pub fn join_client(pinned: bool) -> Result<quinn::ClientConfig, Error> {
    let mut config = quic_client(join_client_tls(pinned)?)?;
    config.initial_dst_cid_provider(Arc::new(marked_connection_id));
    Ok(config)
}

/// As `join_client`, for dials over TCP.
pub fn join_client_tcp(pinned: bool) -> Result<Arc<ClientConfig>, Error> {
    join_client_tls(pinned).map(Arc::new)
}

fn join_client_tls(pinned: bool) -> Result<ClientConfig, Error> {
    let config = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyKey))
        .with_no_client_auth();
    Ok(client(config, if pinned { JOIN_PINNED } else { JOIN }))
}

/// True if the first packet of a connection asks for the join lane.
pub fn is_join(first_connection_id: &[u8]) -> bool {
    first_connection_id.starts_with(JOIN_MARK)
}

fn marked_connection_id() -> ConnectionId {
    let mut id = [0; 16];
    id[..8].copy_from_slice(JOIN_MARK);
    id[8..].copy_from_slice(&random::<8>().unwrap_or_default());
    ConnectionId::new(&id)
}

fn server(mut config: ServerConfig, alpns: &[&[u8]]) -> ServerConfig {
    config.alpn_protocols = alpns.iter().map(|alpn| alpn.to_vec()).collect();
    config.send_tls13_tickets = 0;
    config.max_early_data_size = 0;
    config
}

fn client(mut config: ClientConfig, alpn: &[u8]) -> ClientConfig {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.resumption = Resumption::disabled();
    config.enable_early_data = false;
    config.enable_sni = false;
    config
}

fn quic_server(config: ServerConfig) -> Result<quinn::ServerConfig, Error> {
    let crypto = QuicServerConfig::try_from(config).map_err(no_initial_suite)?;
    Ok(quinn::ServerConfig::with_crypto(Arc::new(crypto)))
}

fn quic_client(config: ClientConfig) -> Result<quinn::ClientConfig, Error> {
    let crypto = QuicClientConfig::try_from(config).map_err(no_initial_suite)?;
    Ok(quinn::ClientConfig::new(Arc::new(crypto)))
}

fn no_initial_suite(error: NoInitialCipherSuite) -> Error {
    Error::General(error.to_string())
}

#[derive(Debug)]
struct JoinCertificates {
    leaf: Arc<CertifiedKey>,
    throw_away: Arc<CertifiedKey>,
}

impl ResolvesServerCert for JoinCertificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // Same preference as that of the config's list of ALPNs.
        let pinned = hello.alpn()?.any(|alpn| alpn == JOIN_PINNED);
        Some(Arc::clone(if pinned { &self.leaf } else { &self.throw_away }))
    }
}

/// Takes any certificate whose key the other end holds.
#[derive(Debug)]
struct AnyKey;

impl ServerCertVerifier for AnyKey {
    fn verify_server_cert(
        &self,
        _leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(Error::General("TLS 1.3 only".into()))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        check_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        vec![SignatureScheme::ED25519]
    }
}

/// A self-signed certificate that says nothing, made at start for strangers who trust at first use.
#[derive(Debug, Clone)]
pub struct ThrowAway(Arc<CertifiedKey>);

/// AlgorithmIdentifier of Ed25519 (RFC 8410).
const ED25519: [u8; 7] = [0x30, 5, 6, 3, 0x2b, 0x65, 0x70];
/// From 1970 until 99991231235959Z, which means "no end" (RFC 5280 §4.1.2.5).
const ALWAYS: &[u8] = b"\x30\x20\x17\x0d700101000000Z\x18\x0f99991231235959Z";

impl ThrowAway {
    /// A new key and its certificate.
    pub fn new() -> Result<Self, Error> {
        let failed = |_| Error::General("no key from the operating system's randomness".into());
        let document = Ed25519KeyPair::generate_pkcs8(&ring::rand::SystemRandom::new()).map_err(failed)?;
        let key = Ed25519KeyPair::from_pkcs8(document.as_ref()).map_err(|error| Error::General(error.to_string()))?;
        let certificate = CertificateDer::from(self_signed(&key));
        let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(document.as_ref().to_vec()));
        Ok(Self(Arc::new(CertifiedKey::from_der(vec![certificate], private, &provider())?)))
    }
}

/// X.509 v3, serial 1, empty names, no extensions.
fn self_signed(key: &Ed25519KeyPair) -> Vec<u8> {
    let version_and_serial = [0xa0, 3, 2, 1, 2, 2, 1, 1];
    let no_name = [0x30, 0];
    let public = sequence(&[&ED25519, &[3, 33, 0], key.public_key().as_ref()]);
    let body = sequence(&[&version_and_serial, &ED25519, &no_name, ALWAYS, &no_name, &public]);
    let signature = key.sign(&body);
    sequence(&[&body, &ED25519, &[3, 65, 0], signature.as_ref()])
}

/// DER SEQUENCE of up to 255 bytes.
fn sequence(parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = u8::try_from(content.len()).unwrap_or(u8::MAX);
    let head: &[u8] = if length < 0x80 { &[0x30, length] } else { &[0x30, 0x81, length] };
    [head, &content].concat()
}
