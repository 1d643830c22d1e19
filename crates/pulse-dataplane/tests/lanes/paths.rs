//! Paths over real data planes: a relay that carries nothing is left, and datagrams are as long as the link takes.

use pulse_dataplane::link::Transports;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use pulse_dataplane::dataplane::Ownership;
use pulse_dataplane::event::Event;
use pulse_dataplane::{LinkId, NodeId};

use crate::authority::Authority;
use crate::middle::Middle;
use crate::node::{Node, Up, pair};

/// Node `number` of the authority, as tables name it.
fn owns(number: u8, node: NodeId) -> [Ownership; 2] {
    let [v4, v6] = [format!("10.100.0.{number}"), format!("fd00::{number}")].map(|text| text.parse().unwrap());
    [(v4, 32), (v6, 128)].map(|(network, length)| Ownership { network, length, node, destination: true, source: true })
}

impl Node {
    /// Node `number` is `other`, reached over these links: the first is used, the others are in reserve.
    pub fn reaches(&self, number: u8, other: &Self, links: &[LinkId]) {
        let hops = links.iter().enumerate().map(|(place, link)| (*link, u32::from(place == 0), false)).collect();
        self.plane.replace_addresses(&owns(number, other.id)).unwrap();
        self.plane.replace_routes(&[(format!("10.100.0.{number}").parse().unwrap(), hops)]).unwrap();
    }

    fn size(&self) -> usize {
        self.plane.statistics().unwrap().links[0].link.size.load(Ordering::Relaxed)
    }

    /// What the last trial of its link found; 0 before.
    fn settled(&self) -> usize {
        self.plane.statistics().unwrap().links[0].link.settled.load(Ordering::Relaxed)
    }

    fn wait_settled(&self, size: usize) {
        let end = Instant::now() + Duration::from_secs(20);
        while self.settled() != size {
            assert!(Instant::now() < end, "{} and not {size}", self.settled());
            std::thread::sleep(Duration::from_millis(20));
        }
        assert_eq!(self.size(), size);
    }
}

/// Alice asks Bob something, who answers.
pub fn ask(alice: &Node, bob: &mut Node) -> u64 {
    let asked = alice.plane.request(bob.id, b"?".to_vec(), Duration::from_secs(20)).unwrap();
    let request = bob.wait("Request", |event| match event {
        Event::Request { request, .. } => Some(*request),
        _ => None,
    });
    bob.plane.respond(request, b"!".to_vec()).unwrap();
    asked
}

pub fn wait_answer(alice: &mut Node, asked: u64) {
    let answer = alice.wait("Response", |event| match event {
        Event::Response { request, result } if *request == asked => Some(result.clone()),
        _ => None,
    });
    assert_eq!(answer, Ok(b"!".to_vec()));
}

fn link_up(alice: &mut Node, other: &mut Node) -> (Up, Up) {
    alice.dial(other);
    (alice.wait_up(), other.wait_up())
}

#[test]
fn a_relay_that_carries_nothing_is_left_for_another_way() {
    let authority = Authority::new();
    let [mut alice, mut bob, mut rita] = [1, 2, 3].map(|number| Node::member(&authority, number));
    let (over_rita, _) = link_up(&mut alice, &mut rita);
    let (direct, theirs) = link_up(&mut alice, &mut bob);
    alice.reaches(2, &bob, &[direct.link]);
    bob.reaches(1, &alice, &[theirs.link]);
    let asked = ask(&alice, &mut bob);
    wait_answer(&mut alice, asked);
    // Rita has no table at all, so she drops what is for Bob; her link is as good as can be.
    alice.reaches(2, &bob, &[over_rita.link, direct.link]);
    let asked = ask(&alice, &mut bob);
    let told = alice.wait("PathSuspect", |event| match event {
        Event::PathSuspect { node, link, suspect } => Some((*node, *link, *suspect)),
        _ => None,
    });
    assert_eq!(told, (bob.id, over_rita.link, true));
    wait_answer(&mut alice, asked);
    assert!(alice.has_no(|event| matches!(event, Event::LinkSuspect { .. })));
    let paths = alice.plane.statistics().unwrap().paths;
    let path = paths.iter().find(|path| path.link == over_rita.link).unwrap();
    assert!(path.suspect && path.node == bob.id && path.figures.loss > 0.9, "{path:?}");
}

#[test]
fn a_link_takes_the_longest_datagrams_its_way_does() {
    let (alice, _, bob, _) = pair(&Authority::new());
    alice.wait_settled(1452);
    bob.wait_settled(1452);
}

/// Alice has dialled Bob over a way that takes datagrams of so many bytes, and each knows the other.
fn pair_over(longest: usize) -> (Node, Up, Node, Up, Middle) {
    let authority = Authority::new();
    let (mut alice, mut bob) = (Node::member(&authority, 1), Node::member(&authority, 2));
    let middle = Middle::before(bob.address);
    middle.narrow(longest);
    alice.plane.dial(middle.front, Some(bob.id), 0, Transports::default()).unwrap();
    let (ours, theirs) = (alice.wait_up(), bob.wait_up());
    alice.reaches(2, &bob, &[ours.link]);
    bob.reaches(1, &alice, &[theirs.link]);
    (alice, ours, bob, theirs, middle)
}

#[test]
fn a_narrow_way_is_found_out_by_both_ends() {
    let (alice, _, bob, _, _middle) = pair_over(1400);
    alice.wait_settled(1392);
    bob.wait_settled(1392);
}

#[test]
fn a_way_that_shrinks_under_traffic_is_noticed_without_any_message() {
    let (mut alice, _, mut bob, _, middle) = pair_over(usize::MAX);
    alice.wait_settled(1452);
    bob.wait_settled(1452);
    middle.narrow(1299);
    let end = Instant::now() + Duration::from_secs(20);
    while [&alice, &bob].iter().any(|node| node.settled() != 1280) {
        assert!(Instant::now() < end, "{} and {}, not 1280", alice.settled(), bob.settled());
        let asked = ask(&alice, &mut bob);
        wait_answer(&mut alice, asked);
    }
    assert_eq!([alice.size(), bob.size()], [1280; 2]);
    assert!(alice.has_no(|event| matches!(event, Event::LinkSuspect { .. } | Event::LinkDown { .. })));
}

#[test]
fn a_way_that_takes_no_quic_any_more_is_told_and_then_given_up() {
    let (mut alice, ours, bob, _, middle) = pair_over(usize::MAX);
    alice.wait_settled(1452);
    middle.narrow(1199);
    // The handshake of a session, which is all that is sent: a few packets a second.
    let _in_vain = alice.plane.request(bob.id, b"?".to_vec(), Duration::from_secs(20)).unwrap();
    let suspected = alice.wait("LinkSuspect", |event| match event {
        Event::LinkSuspect { link, suspect, .. } => Some((*link, *suspect)),
        _ => None,
    });
    assert_eq!(suspected, (ours.link, true));
    let reason = alice.wait_down(ours.link);
    assert!(reason.ends_with("its way takes no datagrams of 1,200 bytes"), "{reason}");
}
