//! A CA for tests, and certificates with one thing wrong.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use pulse_dataplane::NodeId;
use pulse_dataplane::verify::{Trust, hex, sha256};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose, PKCS_ED25519, PublicKeyData, SanType, SignatureAlgorithm, date_time_ymd,
};

pub const LABEL: &str = "default.0000000000000000000000000000000000000000000000000000000000000000";
pub const DAY: u64 = 86_400;

pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub struct Authority {
    params: CertificateParams,
    key: KeyPair,
    pub der: Vec<u8>,
}

/// What a certificate is to say; `Wish::new` is a good one.
pub struct Wish {
    pub label: String,
    pub id: Option<NodeId>,
    pub not_before: u64,
    pub not_after: u64,
    pub usages: Vec<ExtendedKeyUsagePurpose>,
    pub addresses: Vec<String>,
    pub uris: Vec<String>,
    pub algorithm: &'static SignatureAlgorithm,
}

impl Wish {
    /// Node number `number`, valid since yesterday for 90 days.
    pub fn new(number: u8) -> Self {
        Self {
            label: LABEL.into(),
            id: None,
            not_before: now() - DAY,
            not_after: now() + 89 * DAY,
            usages: vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth],
            addresses: vec![format!("10.100.0.{number}"), format!("fd00::{number}")],
            uris: vec![],
            algorithm: &PKCS_ED25519,
        }
    }
}

/// A certificate and its key.
#[derive(Clone)]
pub struct Card {
    pub node: NodeId,
    pub leaf: Vec<u8>,
    pub key: Vec<u8>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "pulse CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { params, key, der }
    }

    pub fn issue(&self, wish: &Wish) -> Card {
        let key = KeyPair::generate_for(wish.algorithm).unwrap();
        self.issue_for(wish, key)
    }

    pub fn issue_for(&self, wish: &Wish, key: KeyPair) -> Card {
        let (params, node) = leaf(wish, &key);
        let signed = params.signed_by(&key, &Issuer::from_params(&self.params, &self.key)).unwrap();
        Card { node, leaf: signed.der().to_vec(), key: key.serialize_der() }
    }

    pub fn node(&self, number: u8) -> Card {
        self.issue(&Wish::new(number))
    }

    pub fn trust(&self) -> Trust {
        self.trust_but(&[])
    }

    pub fn trust_but(&self, revoked: &[NodeId]) -> Trust {
        self.trust_with(revoked, 0, b"")
    }

    pub fn trust_with(&self, revoked: &[NodeId], time_floor: u64, objects: &[u8]) -> Trust {
        Trust::new(std::slice::from_ref(&self.der), LABEL.into(), revoked.iter().copied(), time_floor, objects.to_vec())
            .unwrap()
    }
}

pub fn self_signed(wish: &Wish) -> Card {
    let key = KeyPair::generate_for(wish.algorithm).unwrap();
    let (params, node) = leaf(wish, &key);
    Card { node, leaf: params.self_signed(&key).unwrap().der().to_vec(), key: key.serialize_der() }
}

fn leaf(wish: &Wish, key: &KeyPair) -> (CertificateParams, NodeId) {
    let node = sha256(&key.subject_public_key_info());
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    let epoch = date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(wish.not_before);
    params.not_after = epoch + Duration::from_secs(wish.not_after);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = wish.usages.clone();
    let identity = format!("pulse://{}/{}", wish.label, hex(&wish.id.unwrap_or(node)));
    let uris = std::iter::once(&identity).chain(&wish.uris);
    let uris = uris.map(|uri| SanType::URI(uri.as_str().try_into().unwrap()));
    let addresses = wish.addresses.iter().map(|address| SanType::IpAddress(address.parse().unwrap()));
    params.subject_alt_names = uris.chain(addresses).collect();
    (params, node)
}
