//! Whole data planes with another between them: sessions, requests and streams over it, and from path to path.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread::JoinHandle;
use std::time::Duration;

use pulse_dataplane::dataplane::{Ownership, Way};
use pulse_dataplane::event::Event;
use pulse_dataplane::policy::Rule;
use pulse_dataplane::{Handle, LinkId};

use crate::authority::Authority;
use crate::node::Node;

const TIME: Duration = Duration::from_secs(20);

fn handle(number: u8) -> Handle {
    Handle::new(10, 100, 0, number)
}

/// Both ends' numbers of a link that `one` dials.
fn link(one: &mut Node, other: &mut Node) -> (LinkId, LinkId) {
    one.dial(other);
    (one.wait_up().link, other.wait_up().link)
}

/// Every node knows the mesh addresses of every other; the first is number 1.
fn introduce(nodes: &[&Node]) {
    for me in nodes {
        let others = nodes.iter().zip(1_u8..).filter(|(node, _)| node.id != me.id);
        let owners = others.flat_map(|(node, number)| {
            let owns = |network, length| Ownership { network, length, node: node.id, destination: true, source: true };
            [owns(handle(number).into(), 32), owns(format!("fd00::{number}").parse().unwrap(), 128)]
        });
        me.plane.replace_addresses(&owners.collect::<Vec<_>>()).unwrap();
    }
}

fn route(node: &Node, routes: &[(u8, &[Way])]) {
    let routes: Vec<_> = routes.iter().map(|(to, ways)| (handle(*to), ways.to_vec())).collect();
    node.plane.replace_routes(&routes).unwrap();
}

fn wait_response(node: &mut Node, which: u64) -> Result<Vec<u8>, &'static str> {
    node.wait("Response", |event| match event {
        Event::Response { request, result } if *request == which => Some(result.clone()),
        _ => None,
    })
}

/// A stream from `one` to `other`, spliced at both ends: our sides of it.
fn stream(one: &mut Node, other: &mut Node) -> (UnixStream, UnixStream) {
    let opened = one.plane.open_stream(other.id, b"db:5432".to_vec()).unwrap();
    let offered = other.wait("StreamOffered", |event| match event {
        Event::StreamOffered { stream, .. } => Some(*stream),
        _ => None,
    });
    let ((near, ours), (far, theirs)) = (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
    other.plane.accept_stream(offered, theirs.into()).unwrap();
    one.wait("StreamAccepted", |event| {
        matches!(event, Event::StreamAccepted { stream } if *stream == opened).then_some(())
    });
    one.plane.splice(opened, ours.into()).unwrap();
    for end in [&near, &far] {
        end.set_read_timeout(Some(TIME)).unwrap();
    }
    (near, far)
}

/// Bytes that repeat after no power of two.
fn noise(length: usize) -> Vec<u8> {
    (0..length).map(|at| (at % 251) as u8 ^ (at >> 16) as u8).collect()
}

fn send_in_background(mut near: UnixStream, bytes: Vec<u8>) -> JoinHandle<()> {
    std::thread::spawn(move || near.write_all(&bytes).unwrap())
}

/// Read `length` bytes more, which must be those of `noise` from `from` on.
fn hear(far: &mut UnixStream, bytes: &[u8]) {
    let mut heard = vec![0; bytes.len()];
    far.read_exact(&mut heard).unwrap();
    assert!(heard == bytes, "the bytes differ");
}

/// Alice (1) and Bob (2) with a relay (3) between them.
struct Chain {
    alice: Node,
    bob: Node,
    relay: Node,
    /// Alice's and Bob's ends of their links with the relay.
    ends: (LinkId, LinkId),
}

impl Chain {
    fn new(authority: &Authority) -> Self {
        let [mut alice, mut bob, mut relay] = [1, 2, 3].map(|number| Node::member(authority, number));
        let (a, at_a) = link(&mut alice, &mut relay);
        let (b, at_b) = link(&mut bob, &mut relay);
        introduce(&[&alice, &bob, &relay]);
        route(&relay, &[(1, &[(at_a, 1, false)]), (2, &[(at_b, 1, false)])]);
        let chain = Self { alice, bob, relay, ends: (a, b) };
        chain.over_the_relay();
        chain
    }

    fn over_the_relay(&self) {
        route(&self.alice, &[(2, &[(self.ends.0, 1, true)]), (3, &[(self.ends.0, 1, false)])]);
        route(&self.bob, &[(1, &[(self.ends.1, 1, false)]), (3, &[(self.ends.1, 1, false)])]);
    }
}

fn no_session_ended(nodes: [&mut Node; 2]) -> bool {
    nodes.into_iter().all(|node| {
        node.told_within(Duration::from_millis(100));
        node.has_no(|event| matches!(event, Event::SessionDown { .. }))
    })
}

#[test]
fn a_request_over_a_relay_is_answered_end_to_end_and_the_relay_has_no_part_in_it() {
    let mut chain = Chain::new(&Authority::new());
    let Chain { alice, bob, relay, .. } = &mut chain;
    let asked = alice.plane.request(bob.id, b"hello over there".to_vec(), TIME).unwrap();
    let (request, from) = bob.wait("Request", |event| match event {
        Event::Request { request, node, payload } if payload == b"hello over there" => Some((*request, *node)),
        _ => None,
    });
    assert_eq!(from, alice.id);
    bob.plane.respond(request, vec![7; 100_000]).unwrap();
    assert_eq!(wait_response(alice, asked), Ok(vec![7; 100_000]));
    assert!(relay.plane.statistics().unwrap().sessions.is_empty());
    assert!(alice.plane.statistics().unwrap().sessions[0].node == bob.id);
}

#[test]
fn a_session_over_a_last_hop_needs_no_route_at_the_relay() {
    let mut chain = Chain::new(&Authority::new());
    route(&chain.alice, &[(2, &[(chain.ends.0, 1, true)])]);
    route(&chain.bob, &[(1, &[(chain.ends.1, 1, true)])]);
    route(&chain.relay, &[]);
    let (mut near, mut far) = stream(&mut chain.alice, &mut chain.bob);
    near.write_all(b"over your own link").unwrap();
    hear(&mut far, b"over your own link");
    // Without the flag the relay's table decides, and has nothing.
    route(&chain.bob, &[(1, &[(chain.ends.1, 1, false)])]);
    let refused = |chain: &Chain| {
        let drops = chain.relay.plane.statistics().unwrap().drops;
        drops.iter().any(|(reason, count)| *reason == "no_route" && *count > 0)
    };
    let end = std::time::Instant::now() + TIME;
    while !refused(&chain) {
        assert!(std::time::Instant::now() < end, "the relay found a way");
        far.write_all(b"anybody?").unwrap();
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn an_open_stream_goes_from_relay_to_direct_and_back_and_no_byte_and_no_session_is_lost() {
    let mut chain = Chain::new(&Authority::new());
    let bytes = noise(16 << 20);
    let (step, mut heard) = (1 << 16, 1 << 20);
    let (near, mut far) = stream(&mut chain.alice, &mut chain.bob);
    let sending = send_in_background(near.try_clone().unwrap(), bytes.clone());
    hear(&mut far, &bytes[..heard]);

    let (a, b) = link(&mut chain.alice, &mut chain.bob);
    route(&chain.alice, &[(2, &[(a, 1, false)])]);
    route(&chain.bob, &[(1, &[(b, 1, false)])]);
    let carried = |chain: &Chain| {
        let links = chain.alice.plane.statistics().unwrap().links;
        links.iter().find(|live| live.link.index == a).map(|live| live.link.traffic.packets()).unwrap()
    };
    // What waits at the receiver still came over the relay.
    while carried(&chain) <= 100 {
        hear(&mut far, &bytes[heard..heard + step]);
        heard += step;
    }

    chain.over_the_relay();
    chain.alice.plane.close_link(a, "no longer needed").unwrap();
    hear(&mut far, &bytes[heard..]);
    sending.join().unwrap();
    assert!(no_session_ended([&mut chain.alice, &mut chain.bob]));
    assert_eq!(chain.alice.plane.statistics().unwrap().sessions.len(), 1);
}

#[test]
fn an_open_stream_outlives_the_relay_it_went_over() {
    let authority = Authority::new();
    let mut chain = Chain::new(&authority);
    let mut other = Node::member(&authority, 4);
    let (a, at_a) = link(&mut chain.alice, &mut other);
    let (b, at_b) = link(&mut chain.bob, &mut other);
    introduce(&[&chain.alice, &chain.bob, &chain.relay, &other]);
    route(&other, &[(1, &[(at_a, 1, false)]), (2, &[(at_b, 1, false)])]);
    // The other one is a warm backup at both ends.
    route(&chain.alice, &[(2, &[(chain.ends.0, 1, false), (a, 0, true)])]);
    route(&chain.bob, &[(1, &[(chain.ends.1, 1, false), (b, 0, true)])]);

    let bytes = noise(6 << 20);
    let half = bytes.len() / 2;
    let (near, mut far) = stream(&mut chain.alice, &mut chain.bob);
    let sending = send_in_background(near.try_clone().unwrap(), bytes.clone());
    hear(&mut far, &bytes[..half]);
    chain.relay.plane.close();
    hear(&mut far, &bytes[half..]);
    sending.join().unwrap();
    assert!(no_session_ended([&mut chain.alice, &mut chain.bob]));
}

#[test]
fn a_policy_that_denies_all_packets_leaves_sessions_alone() {
    let mut chain = Chain::new(&Authority::new());
    let deny = || {
        vec![Rule {
            id: String::new(),
            allow: false,
            from: None,
            to: None,
            protocols: vec![],
            ports: vec![],
            redundant: false,
        }]
    };
    for node in [&chain.alice, &chain.relay, &chain.bob] {
        node.plane.replace_policy(deny()).unwrap();
    }
    let (mut near, mut far) = stream(&mut chain.alice, &mut chain.bob);
    near.write_all(b"still here").unwrap();
    hear(&mut far, b"still here");
    let backwards = Rule { ports: vec![(9, 8)], ..deny().remove(0) };
    assert!(chain.alice.plane.replace_policy(vec![backwards]).is_err());
}
