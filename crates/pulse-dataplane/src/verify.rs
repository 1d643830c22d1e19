//! The one judgement of a node certificate, for both ends of every link and session.
//!
//! Invariant: whoever is let in was signed by a trusted CA for exactly the id its key hashes to, in our
//! network, and is not revoked; strangers learn only that they were refused, `Refusal` is for our log.

use std::collections::HashSet;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ring::digest::{SHA256, digest};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, SignatureVerificationAlgorithm, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme};
use x509_parser::extensions::GeneralName;
use x509_parser::oid_registry::OID_SIG_ED25519;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::NodeId;

/// What a certificate says about its node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Certified {
    /// SHA-256 of the SubjectPublicKeyInfo, equal to the id in the SAN.
    pub node: NodeId,
    /// Network label of the SAN.
    pub network: String,
    /// IPv4 mesh address: the handle.
    pub v4: Ipv4Addr,
    /// IPv6 mesh address.
    pub v6: Ipv6Addr,
    /// First second of validity, since 1970.
    pub not_before: u64,
    /// Last second of validity, since 1970.
    pub not_after: u64,
    /// The whole certificate.
    pub der: Vec<u8>,
}

/// Why a certificate was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// It does not say what a node certificate must say.
    Malformed(&'static str),
    /// No trusted CA signed it for clients and servers.
    Chain(String),
    /// Its last second is over.
    Expired,
    /// Its first second is still to come.
    NotYetValid,
    /// It belongs to another network.
    Network(String),
    /// Its node is revoked.
    Revoked(NodeId),
    /// It is valid, but of another node than the one that was dialled.
    OtherNode(NodeId),
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed(what) => write!(formatter, "no node certificate: {what}"),
            Self::Chain(what) => write!(formatter, "not signed by a trusted CA: {what}"),
            Self::Expired => formatter.write_str("its certificate has expired"),
            Self::NotYetValid => {
                formatter.write_str("its certificate is not yet valid by our clock: one of the two is wrong")
            }
            Self::Network(label) => write!(formatter, "it belongs to another network ({})", label.escape_debug()),
            Self::Revoked(node) => write!(formatter, "node {} is revoked", short(node)),
            Self::OtherNode(node) => write!(formatter, "it is another node ({})", short(node)),
        }
    }
}

impl std::error::Error for Refusal {}

/// The first 12 digits of an id, as people see it.
pub fn short(node: &NodeId) -> String {
    hex(&node[..6])
}

/// Lower-case hex digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Seconds since 1970 by the wall clock.
pub fn wall_clock() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Whom we trust; an immutable snapshot, swapped whole.
#[derive(Debug)]
pub struct Trust {
    roots: RootCertStore,
    /// Network label every certificate must bear.
    pub network: String,
    /// Ids that are refused whatever they show.
    pub revoked: HashSet<NodeId>,
    /// SHA-256 of the revoked ids, sorted and joined; goes into hellos.
    pub revocations: [u8; 32],
    /// Newest time a CA signed, in seconds since 1970.
    pub time_floor: u64,
    /// What the join lane shows first to a joiner who pinned the CA.
    pub objects: Vec<u8>,
}

impl Trust {
    /// Trust in the CA certificates `cas` (DER). An error says which one cannot be read.
    pub fn new(
        cas: &[Vec<u8>],
        network: String,
        revoked: impl IntoIterator<Item = NodeId>,
        time_floor: u64,
        objects: Vec<u8>,
    ) -> Result<Self, String> {
        let mut roots = RootCertStore::empty();
        for (place, ca) in cas.iter().enumerate() {
            let added = roots.add(CertificateDer::from(ca.clone()));
            added.map_err(|error| format!("CA certificate {place} cannot be read: {error}"))?;
        }
        let revoked: HashSet<NodeId> = revoked.into_iter().collect();
        let revocations = hash_of(&revoked);
        Ok(Self { roots, network, revoked, revocations, time_floor, objects })
    }

    /// Judge the certificate `der` at the wall clock `wall`, as a node whose own certificate begins at
    /// `own_not_before` (0 if it has none).
    ///
    /// A clock below what is known to be past (own certificate, CA-signed times) is wrong: then the known
    /// time counts instead, and a peer's beginning, which may well be later, is not judged.
    pub fn judge(&self, der: &[u8], own_not_before: u64, wall: u64) -> Result<Certified, Refusal> {
        let certified = parse(der)?;
        let floor = own_not_before.max(self.time_floor);
        let now = wall.max(floor);
        if certified.not_after < now {
            return Err(Refusal::Expired);
        }
        if wall >= floor && certified.not_before > now {
            return Err(Refusal::NotYetValid);
        }
        self.check_chain(der, now.max(certified.not_before))?;
        if certified.network != self.network {
            return Err(Refusal::Network(certified.network));
        }
        if self.revoked.contains(&certified.node) {
            return Err(Refusal::Revoked(certified.node));
        }
        Ok(certified)
    }

    /// Signed by one of our CAs directly: their path length is 0, so intermediates are never looked at.
    fn check_chain(&self, der: &[u8], now: u64) -> Result<(), Refusal> {
        let der = CertificateDer::from(der);
        let chain = |error: Error| Refusal::Chain(error.to_string());
        let leaf = ParsedCertificate::try_from(&der).map_err(chain)?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(now));
        verify_server_cert_signed_by_trust_anchor(&leaf, &self.roots, &[], now, ed25519()).map_err(chain)
    }
}

fn hash_of(revoked: &HashSet<NodeId>) -> [u8; 32] {
    let mut sorted: Vec<&NodeId> = revoked.iter().collect();
    sorted.sort_unstable();
    sha256(&sorted.into_iter().flatten().copied().collect::<Vec<u8>>())
}

/// SHA-256.
pub fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

/// Read a node certificate without judging who signed it or when it is valid.
pub fn parse(der: &[u8]) -> Result<Certified, Refusal> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| Refusal::Malformed("not X.509"))?;
    if !rest.is_empty() {
        return Err(Refusal::Malformed("bytes after its end"));
    }
    check_kind(&certificate)?;
    let node = sha256(certificate.tbs_certificate.subject_pki.raw);
    let names = alternative_names(&certificate)?;
    let (network, id) = identity_uri(names)?;
    if id != hex(&node) {
        return Err(Refusal::Malformed("its id is not the hash of its key"));
    }
    let (v4, v6) = mesh_addresses(names)?;
    let seconds = |time: i64| u64::try_from(time).unwrap_or(0);
    Ok(Certified {
        node,
        network: network.to_owned(),
        v4,
        v6,
        not_before: seconds(certificate.validity().not_before.timestamp()),
        not_after: seconds(certificate.validity().not_after.timestamp()),
        der: der.to_vec(),
    })
}

/// An Ed25519 key, signed with Ed25519, for both ends of a connection.
fn check_kind(certificate: &X509Certificate<'_>) -> Result<(), Refusal> {
    let algorithms =
        [&certificate.tbs_certificate.subject_pki.algorithm.algorithm, &certificate.signature_algorithm.algorithm];
    if algorithms.iter().any(|algorithm| **algorithm != OID_SIG_ED25519) {
        return Err(Refusal::Malformed("its algorithm is not Ed25519"));
    }
    match certificate.extended_key_usage() {
        Ok(Some(usage)) if usage.value.client_auth && usage.value.server_auth => Ok(()),
        _ => Err(Refusal::Malformed("it is not for clients and servers")),
    }
}

fn alternative_names<'a>(certificate: &'a X509Certificate<'a>) -> Result<&'a [GeneralName<'a>], Refusal> {
    match certificate.subject_alternative_name() {
        Ok(Some(names)) => Ok(&names.value.general_names),
        _ => Err(Refusal::Malformed("it has no alternative names")),
    }
}

fn identity_uri<'a>(names: &'a [GeneralName<'a>]) -> Result<(&'a str, &'a str), Refusal> {
    let mut identities = names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix("pulse://"),
        _ => None,
    });
    let (Some(identity), None) = (identities.next(), identities.next()) else {
        return Err(Refusal::Malformed("it does not name exactly one pulse:// identity"));
    };
    identity.split_once('/').ok_or(Refusal::Malformed("its identity has no id"))
}

fn mesh_addresses(names: &[GeneralName<'_>]) -> Result<(Ipv4Addr, Ipv6Addr), Refusal> {
    let addresses = names.iter().filter_map(|name| match name {
        GeneralName::IPAddress(bytes) => Some(address(bytes)),
        _ => None,
    });
    let addresses: Vec<IpAddr> = addresses.collect::<Option<_>>().ok_or(Refusal::Malformed("an odd address"))?;
    match addresses[..] {
        [IpAddr::V4(v4), IpAddr::V6(v6)] | [IpAddr::V6(v6), IpAddr::V4(v4)] => Ok((v4, v6)),
        _ => Err(Refusal::Malformed("it does not name one IPv4 and one IPv6 address")),
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}

/// The server name that pins `node`: rustls carries it to the verifier, and with SNI off nobody else sees it.
/// An all-digit last label is refused by rustls and labels end at 63 digits, hence this form.
pub fn pinned_name(node: Option<&NodeId>) -> String {
    node.map_or_else(|| "any.pulse".into(), |node| format!("{}.{}.pulse", hex(&node[..16]), hex(&node[16..])))
}

/// What the other end of `connection` proved to be; none if it showed no node certificate.
pub fn peer_certificate(connection: &quinn::Connection) -> Option<Certified> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    parse(chain.first()?).ok()
}

/// `Trust::judge` as rustls wants it, for servers and clients alike.
#[derive(Debug)]
pub struct Verifier {
    trust: Arc<Trust>,
    own_not_before: u64,
    refusal: Mutex<Option<Refusal>>,
}

impl Verifier {
    /// A verifier for a node whose own certificate begins at `own_not_before`.
    pub fn new(trust: Arc<Trust>, own_not_before: u64) -> Arc<Self> {
        Arc::new(Self { trust, own_not_before, refusal: Mutex::default() })
    }

    /// Why the last certificate was refused; asked once, right after the handshake failed.
    pub fn take_refusal(&self) -> Option<Refusal> {
        self.refusal.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    fn verify(&self, der: &[u8], name: Option<&ServerName<'_>>) -> Result<(), Error> {
        let judged = self.trust.judge(der, self.own_not_before, wall_clock());
        let refusal = match judged {
            Ok(certified) if name.is_none_or(|name| fits(name, &certified.node)) => return Ok(()),
            Ok(certified) => Refusal::OtherNode(certified.node),
            Err(refusal) => refusal,
        };
        *self.refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(refusal);
        // QUIC sends the text of this error to the stranger: one for all reasons.
        Err(Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure))
    }
}

fn fits(name: &ServerName<'_>, node: &NodeId) -> bool {
    let name = name.to_str();
    name == pinned_name(None) || name == pinned_name(Some(node))
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.verify(leaf, Some(name)).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
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

impl ClientCertVerifier for Verifier {
    /// Empty: the names of our CAs are nobody's business.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        leaf: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.verify(leaf, None).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Err(only_tls13())
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

fn only_tls13() -> Error {
    Error::General("TLS 1.3 only".into())
}

/// The other end holds the key of the certificate it showed.
pub fn check_signature(
    message: &[u8],
    certificate: &CertificateDer<'_>,
    signature: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    static MAPPING: LazyLock<[(SignatureScheme, &'static [&'static dyn SignatureVerificationAlgorithm]); 1]> =
        LazyLock::new(|| [(SignatureScheme::ED25519, ed25519())]);
    let algorithms = WebPkiSupportedAlgorithms { all: ed25519(), mapping: &*MAPPING };
    verify_tls13_signature(message, certificate, signature, &algorithms)
}

fn ed25519() -> &'static [&'static dyn SignatureVerificationAlgorithm] {
    static ALGORITHMS: LazyLock<&'static [&'static dyn SignatureVerificationAlgorithm]> = LazyLock::new(|| {
        let all = rustls::crypto::ring::default_provider().signature_verification_algorithms;
        let found = all.mapping.iter().find(|(scheme, _)| *scheme == SignatureScheme::ED25519);
        found.map_or(&[], |(_, algorithms)| *algorithms)
    });
    *ALGORITHMS
}
