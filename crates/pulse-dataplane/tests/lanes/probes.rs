//! Probes measure a link, tell when it is dead, and follow a peer that moved – and nobody else.

use pulse_dataplane::link::Transports;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use pulse_dataplane::event::Event;
use pulse_dataplane::probe::Reading;

use crate::authority::Authority;
use crate::middle::Middle;
use crate::node::{Node, Up, pair};

/// Alice has dialled Bob through a box in the middle.
fn pair_through_a_middle() -> (Node, Up, Node, Up, Middle) {
    let authority = Authority::new();
    let (mut alice, mut bob) = (Node::member(&authority, 1), Node::member(&authority, 2));
    let middle = Middle::before(bob.address);
    alice.plane.dial(middle.front, Some(bob.id), 0, Transports::default()).unwrap();
    let (a, b) = (alice.wait_up(), bob.wait_up());
    wait_measured(&alice);
    wait_measured(&bob);
    (alice, a, bob, b, middle)
}

pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(20);
    while Instant::now() < end {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    panic!("no {what}");
}

pub fn wait_measured(node: &Node) -> Reading {
    wait_for("echo", || {
        let reading = node.plane.statistics().unwrap().links.first()?.link.probes.reading();
        reading.rtt.map(|_| reading)
    })
}

fn remote(node: &Node) -> SocketAddr {
    **node.plane.statistics().unwrap().links[0].link.remote.load()
}

impl Node {
    fn wait_moved(&mut self) -> SocketAddr {
        self.wait("LinkMoved", |event| match event {
            Event::LinkMoved { observed, .. } => Some(*observed),
            _ => None,
        })
    }

    fn wait_suspect(&mut self) -> bool {
        self.wait("LinkSuspect", |event| match event {
            Event::LinkSuspect { suspect, .. } => Some(*suspect),
            _ => None,
        })
    }
}

#[test]
fn both_ends_hear_echoes_so_both_hop_keys_agree() {
    let (alice, _, bob, _) = pair(&Authority::new());
    for node in [&alice, &bob] {
        assert!(wait_measured(node).rtt.unwrap() < Duration::from_secs(1));
        let drops = node.plane.statistics().unwrap().drops;
        assert!(drops.contains(&("bad_seal", 0)) && drops.contains(&("replayed", 0)), "{drops:?}");
    }
}

#[test]
fn a_link_whose_frames_stop_is_suspect_and_forgiven_when_they_come_back() {
    let (mut alice, _, _bob, _, middle) = pair_through_a_middle();
    middle.drop_frames(true);
    assert!(alice.wait_suspect());
    middle.drop_frames(false);
    assert!(!alice.wait_suspect());
}

#[test]
fn a_link_without_echoes_goes_down_though_quic_lives() {
    let (mut alice, a, mut bob, b, middle) = pair_through_a_middle();
    middle.drop_frames(true);
    let missing = "8 echoes in a row are missing";
    let reasons = [alice.wait_down(a.link), bob.wait_down(b.link)];
    assert!(reasons.iter().any(|reason| reason == missing), "{reasons:?}");
    assert!(reasons.iter().all(|reason| reason.ends_with(missing)), "{reasons:?}");
}

#[test]
fn a_peer_behind_a_new_address_is_followed_there_without_a_new_link() {
    let (mut alice, _, mut bob, _, middle) = pair_through_a_middle();
    assert_eq!(remote(&bob), middle.backs[0]);
    middle.move_all();
    assert_eq!(bob.wait_moved(), middle.backs[1]);
    assert_eq!(remote(&bob), middle.backs[1]);
    alice.told_within(Duration::from_millis(500));
    bob.told_within(Duration::from_millis(500));
    let ended = |event: &Event| matches!(event, Event::LinkDown { .. } | Event::LinkMoved { .. });
    assert!(alice.has_no(ended) && bob.has_no(ended), "a move is told once, and by the end that sees it");
}

#[test]
fn a_peer_that_moved_can_be_dialled_where_it_is_now_and_the_new_link_takes_over() {
    let (mut alice, a, mut bob, b, middle) = pair_through_a_middle();
    middle.move_all();
    // Its QUIC does not follow by itself: few bytes come from the new address, so few may be sent there to prove it.
    let place = bob.wait_moved();
    bob.plane.dial(place, Some(alice.id), b.link, Transports::default()).unwrap();
    let (anew, other) = (bob.wait_up(), alice.wait_up());
    assert_eq!(
        (bob.wait_down(b.link), alice.wait_down(a.link)),
        (format!("replaced by link {}", anew.link), format!("replaced by link {}", other.link),)
    );
    assert!(alice.plane.send(other.link, b"still here".to_vec()).unwrap());
    assert_eq!(bob.wait_message(), (anew.link, b"still here".to_vec()));
}

#[test]
fn a_link_whose_source_is_what_it_was_has_not_moved() {
    let (alice, _, bob, _) = pair(&Authority::new());
    assert_eq!((alice.plane.moved().unwrap(), bob.plane.moved().unwrap()), (vec![], vec![]));
}

#[test]
fn an_address_that_sends_no_echo_moves_nothing() {
    let (mut alice, _, bob, _, middle) = pair_through_a_middle();
    middle.divert_frames(true);
    // By then its probes came from elsewhere, and Bob asked there in vain.
    assert!(alice.wait_suspect());
    assert_eq!(remote(&bob), middle.backs[0]);
    middle.divert_frames(false);
    assert!(!alice.wait_suspect());
    assert_eq!(remote(&bob), middle.backs[0]);
}
