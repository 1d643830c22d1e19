//! Two nodes on the loopback, joined by a link made by hand; everything above and below the link is the real thing.

use std::collections::HashMap;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::atomic::AtomicU32;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arc_swap::{ArcSwap, ArcSwapOption};
use rcgen::{BasicConstraints, CertificateParams, DistinguishedName, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rcgen::{PublicKeyData, SanType};
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::sleep;

use crate::event::{Bus, Event};
use crate::forward::testing::seqpacket_pair;
use crate::forward::{Packets, attach, detach_tun};
use crate::inbox::Inbox;
use crate::link::{Bucket, Settings};
use crate::outlet::Outlet;
use crate::path::Paths;
use crate::probe::{Probes, size};
use crate::seal::{Cipher, HopOpener, HopSealer};
use crate::session::socket::address_of;
use crate::session::{Sessions, Tuning, endpoint};
use crate::socket::Socket;
use crate::tables::{Addresses, Link, Owner, PASSING, Peer, Routes, Shared, Waiting};
use crate::tls::Identity;
use crate::tun::Tun;
use crate::verify::{Trust, hex, pinned_name, sha256};
use crate::{Handle, LinkId, NodeId};

const NETWORK: &str = "default.test";

/// Waiting this long guards against hangs only.
const PATIENCE: Duration = Duration::from_secs(20);

/// The certificate authority of a test.
pub struct Authority {
    der: Vec<u8>,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    pub fn new() -> Self {
        let key = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        let der = params.self_signed(&key).unwrap().der().to_vec();
        Self { der, issuer: Issuer::new(params, key) }
    }

    /// A node's identity with address `v4`, valid for `life`.
    pub fn identity(&self, v4: Handle, life: Duration) -> Identity {
        self.certify(&KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap(), v4, life)
    }

    /// The same for a key that is there already.
    pub fn certify(&self, key: &KeyPair, v4: Handle, life: Duration) -> Identity {
        let id = hex(&sha256(&key.subject_public_key_info()));
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        let uri = format!("pulse://{NETWORK}/{id}").try_into().unwrap();
        params.subject_alt_names =
            vec![SanType::URI(uri), SanType::IpAddress(v4.into()), SanType::IpAddress(v6_of(v4).into())];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::ServerAuth];
        params.not_after = (std::time::SystemTime::now() + life).into();
        let certificate = params.signed_by(key, &self.issuer).unwrap();
        Identity::new(&[certificate.der().to_vec()], &key.serialize_der()).unwrap()
    }

    pub fn trust(&self, revoked: &[NodeId]) -> Arc<Trust> {
        let cas = std::slice::from_ref(&self.der);
        Arc::new(Trust::new(cas, NETWORK.to_owned(), revoked.iter().copied(), 0, Vec::new()).unwrap())
    }
}

fn v6_of(v4: Handle) -> Ipv6Addr {
    let [_, _, c, d] = v4.octets();
    Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, u16::from_be_bytes([c, d]))
}

/// One node.
pub struct Node {
    pub id: NodeId,
    pub v4: Handle,
    pub shared: Arc<Shared>,
    pub settings: Arc<Settings>,
    pub sessions: Sessions,
    pub seen: Mutex<Vec<Event>>,
    packets: Option<Packets>,
}

impl Drop for Node {
    fn drop(&mut self) {
        detach_tun(&self.shared);
        if let Some(packets) = self.packets.take() {
            packets.stop();
        }
    }
}

impl Node {
    /// A node that trusts `authority`, with `identity`; joined to nobody.
    pub fn new(authority: &Authority, identity: impl Into<Arc<Identity>>, tuning: Tuning) -> Self {
        let identity = identity.into();
        let me = identity.me();
        let (wanted, wanted_here) = unbounded_channel();
        let shared = Arc::new(Shared {
            socket: Socket::new(UdpSocket::bind("127.0.0.1:0").unwrap().into()).unwrap(),
            bus: Bus::new().unwrap(),
            drops: Default::default(),
            me: ArcSwapOption::from_pointee(me.clone()),
            links: ArcSwap::default(),
            openers: ArcSwap::default(),
            addresses: ArcSwap::default(),
            routes: ArcSwap::default(),
            policy: ArcSwap::default(),
            conntrack: Default::default(),
            hits: Default::default(),
            paths: Paths::default(),
            attempts: Default::default(),
            tun: ArcSwapOption::empty(),
            link_inbox: Inbox::new(64),
            session_inbox: Inbox::new(4096),
            wanted,
        });
        let settings = Arc::new(Settings::new().unwrap());
        settings.identity.store(Some(identity));
        settings.trust.store(Some(authority.trust(&[])));
        settings.writable.follow(shared.socket.fd());
        let sessions = Sessions::start_with(Arc::clone(&shared), Arc::clone(&settings), wanted_here, tuning).unwrap();
        let packets = Some(Packets::start(Arc::clone(&shared)).unwrap());
        Self { id: me.node, v4: me.v4, shared, settings, sessions, seen: Mutex::default(), packets }
    }

    /// A connection to the other, on which what is said is the test's.
    pub async fn dialled_by_hand(&self, other: &Self) -> quinn::Connection {
        let (identity, trust) = self.settings.both().unwrap();
        let (config, _) = endpoint::client(&identity, &trust).unwrap();
        let endpoint = self.sessions.desk.endpoint.get().unwrap();
        let name = pinned_name(Some(&other.id));
        endpoint.connect_with(config, address_of(other.v4), &name).unwrap().await.unwrap()
    }

    /// Wait for the first event that `pick` takes; others stay for later.
    pub async fn event<T>(&self, pick: impl Fn(&Event) -> Option<T>) -> T {
        let until = Instant::now() + PATIENCE;
        while Instant::now() < until {
            {
                let mut seen = self.seen.lock().unwrap();
                seen.extend(self.shared.bus.drain(1024));
                if let Some(at) = seen.iter().position(|event| pick(event).is_some()) {
                    return pick(&seen.remove(at)).unwrap();
                }
            }
            sleep(Duration::from_millis(2)).await;
        }
        panic!("never came; instead: {:?}", self.seen.lock().unwrap());
    }

    /// Wait until `true_at_last`.
    pub async fn until(&self, true_at_last: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !true_at_last(self) {
            assert!(Instant::now() < until, "never came true; events: {:?}", self.shared.bus.drain(1024));
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Events of `kind` seen and not yet taken.
    pub fn count(&self, kind: impl Fn(&Event) -> bool) -> usize {
        let mut seen = self.seen.lock().unwrap();
        seen.extend(self.shared.bus.drain(1024));
        seen.iter().filter(|event| kind(event)).count()
    }

    pub async fn up(&self) {
        self.event(|event| matches!(event, Event::SessionUp { .. }).then_some(())).await;
    }

    pub async fn down(&self) -> String {
        self.event(|event| match event {
            Event::SessionDown { reason, .. } => Some(reason.clone()),
            _ => None,
        })
        .await
    }

    /// The entry of `other` in our table of addresses.
    pub fn peer(&self, other: &Node) -> Arc<Peer> {
        Arc::clone(&self.shared.addresses.load().peers[&other.id])
    }

    /// Answer one request.
    pub async fn answer(&self, answer: impl Fn(&[u8]) -> Vec<u8>) {
        let (request, payload) = self
            .event(|event| match event {
                Event::Request { request, payload, .. } => Some((*request, payload.clone())),
                _ => None,
            })
            .await;
        self.sessions.respond(request, answer(&payload));
    }

    pub async fn response(&self, wanted: u64) -> Result<Vec<u8>, &'static str> {
        self.event(|event| match event {
            Event::Response { request, result } if *request == wanted => Some(result.clone()),
            _ => None,
        })
        .await
    }

    /// Let an IP packet for `other` wait, as the TUN thread does while there is no key.
    pub fn hold_packet(&self, other: &Node) {
        let mut packet = vec![0x45, 0, 0, 20, 0, 0, 0, 0, 64, 253, 0, 0];
        packet.extend([self.v4.octets(), other.v4.octets()].concat());
        self.peer(other).waiting.lock().unwrap().push_back(Waiting { packet, since: Instant::now() });
    }

    /// Trust everybody but `revoked` from now on.
    pub fn revoke(&self, authority: &Authority, revoked: NodeId) {
        self.settings.trust.store(Some(authority.trust(&[revoked])));
        self.sessions.trust_changed().unwrap();
    }

    /// Forget the way to everybody.
    pub fn cut(&self) {
        self.shared.routes.store(Arc::default());
    }

    /// Know `other` under `address`, reached over a link to its socket.
    fn learn(&self, other: &Node, address: Handle) {
        let peer = Arc::new(Peer {
            node: other.id,
            handle: address,
            v6: v6_of(address),
            sealer: ArcSwapOption::empty(),
            waiting: Mutex::default(),
            traffic: Default::default(),
            fec: Default::default(),
            wanted_at: Default::default(),
        });
        let owner = Owner { peer: Arc::clone(&peer), destination: true, source: true };
        let hosts = HashMap::from([(IpAddr::V4(address), owner)]);
        let peers = HashMap::from([(other.id, peer)]);
        self.shared.addresses.store(Arc::new(Addresses { hosts, peers, ..Addresses::default() }));
    }

    fn link(&self, other: &Node, index: u32, secrets: (&[u8; 32], &[u8; 32])) {
        let at = other.shared.socket.local_addr().unwrap();
        let link = link(other.id, other.v4, index, secrets, at);
        self.shared.links.store(Arc::new(HashMap::from([(index, link)])));
        self.route(other.v4);
    }

    /// A better path to `other` from now on, whose first hop is `relay` at `front`; the one before stays in reserve.
    pub fn add_path(&self, other: &Node, relay: Handle, front: SocketAddr) -> LinkId {
        let index = free_index();
        let secret = [3; 32];
        let (ours, theirs) = ((&secret, &[4; 32]), (&[4; 32], &secret));
        let here = link(other.id, relay, index, ours, front);
        let there = link(self.id, relay, index, theirs, self.shared.socket.local_addr().unwrap());
        for (node, link) in [(self, &here), (other, &there)] {
            let mut links = HashMap::clone(&node.shared.links.load());
            links.insert(index, Arc::clone(link));
            node.shared.links.store(Arc::new(links));
        }
        let mut routes = self.shared.routes.load().0.clone();
        let hops = routes.get_mut(&other.v4).unwrap();
        hops[0].weight = 0;
        hops.insert(0, self.shared.paths.hop(other.v4, &here, 1, false));
        self.shared.routes.store(Arc::new(Routes(routes)));
        index
    }

    /// A TUN device in name; the far side of it, where the kernel would be.
    pub fn attach_tun(&self) -> File {
        let (ours, kernel) = seqpacket_pair().unwrap();
        attach(&self.shared, Tun::adopt("world".to_owned(), vec![ours], true).unwrap()).unwrap();
        kernel
    }

    /// Send what is for `handle` over our one link.
    pub fn route(&self, handle: Handle) {
        let link = Arc::clone(self.shared.links.load().values().next().unwrap());
        let mut routes = self.shared.routes.load().0.clone();
        routes.insert(handle, vec![self.shared.paths.hop(handle, &link, 1, false)]);
        self.shared.routes.store(Arc::new(Routes(routes)));
    }
}

fn link(node: NodeId, handle: Handle, index: u32, secrets: (&[u8; 32], &[u8; 32]), remote: SocketAddr) -> Arc<Link> {
    Arc::new(Link {
        index,
        node,
        handle,
        remote: ArcSwap::from_pointee(remote),
        local: None,
        outlet: Outlet::Udp,
        sealer: HopSealer::new(index, secrets.0, Cipher::ChaCha20Poly1305),
        opener: HopOpener::new(secrets.1, Cipher::ChaCha20Poly1305),
        probes: Probes::default(),
        traffic: Default::default(),
        suspect: Default::default(),
        size: size::LEAST.into(),
        settled: 0.into(),
        halves: Mutex::default(),
        passing: Bucket::new(PASSING, Instant::now()).into(),
    })
}

fn free_index() -> LinkId {
    static INDEX: AtomicU32 = AtomicU32::new(1);
    INDEX.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

/// Join two nodes by a link; `address` is where `one` believes the other to be.
pub fn join_as(one: &Node, other: &Node, address: Handle) {
    let index = free_index();
    one.learn(other, address);
    other.learn(one, one.v4);
    one.link(other, index, (&[1; 32], &[2; 32]));
    other.link(one, index, (&[2; 32], &[1; 32]));
    one.route(address);
}

pub fn join(one: &Node, other: &Node) {
    join_as(one, other, other.v4);
}

pub const YEAR: Duration = Duration::from_secs(365 * 86_400);

/// Two nodes joined by a link, the one with the lower id first.
pub fn pair_with(tuning: Tuning) -> (Authority, Node, Node) {
    let authority = Authority::new();
    let node = |last| Node::new(&authority, authority.identity(Ipv4Addr::new(10, 100, 0, last), YEAR), tuning);
    let (one, other) = (node(1), node(2));
    join(&one, &other);
    if one.id < other.id { (authority, one, other) } else { (authority, other, one) }
}

/// A pair with quick clocks.
pub fn pair() -> (Authority, Node, Node) {
    pair_with(quick())
}

/// Clocks for tests: what takes seconds takes milliseconds.
pub fn quick() -> Tuning {
    Tuning { tick: Duration::from_millis(20), dial: Duration::from_secs(10), ..Tuning::default() }
}
