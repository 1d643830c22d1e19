//! Links come up between members, carry messages, and end with a reason.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use pulse_dataplane::LinkId;
use pulse_dataplane::event::Event;
use pulse_dataplane::link::Transports;
use pulse_dataplane::verify::Refusal;

use crate::authority::{Authority, DAY, LABEL, Wish, now, self_signed};
use crate::node::{Node, pair};
use crate::probes::{wait_for, wait_measured};

#[test]
fn a_dial_makes_a_link_that_both_ends_know() {
    let authority = Authority::new();
    let (mut alice, mut bob) = (Node::member(&authority, 1), Node::member(&authority, 2));
    let dial = alice.dial(&bob);
    let (a, b) = (alice.wait_up(), bob.wait_up());
    assert_eq!((a.dial, a.node), (dial, bob.id));
    assert_eq!((b.dial, b.node), (0, alice.id));
}

#[test]
fn a_link_tells_certificate_boot_and_observed_address() {
    let authority = Authority::new();
    let (card, mut bob) = (authority.node(1), Node::member(&authority, 2));
    let alice = Node::with(&card, authority.trust());
    alice.dial(&bob);
    let (leaf, seen_at, hello) = bob.wait("LinkUp", |event| match event {
        Event::LinkUp { certificate, observed, hello, .. } => Some((certificate.clone(), *observed, hello.clone())),
        _ => None,
    });
    assert_eq!(leaf, card.leaf);
    assert_eq!(seen_at, alice.address);
    assert_eq!(hello.boot, alice.plane.boot_id().unwrap());
    assert_eq!(hello.revocations, authority.trust().revocations);
}

#[test]
fn messages_pass_both_ways_in_order() {
    let authority = Authority::new();
    let (mut alice, a, mut bob, b) = pair(&authority);
    for number in 0..200_u8 {
        assert!(alice.plane.send(a.link, vec![number; 300]).unwrap());
    }
    for number in 0..200_u8 {
        assert_eq!(bob.wait_message(), (b.link, vec![number; 300]));
    }
    let longest = vec![7; 64 * 1024];
    assert!(bob.plane.send(b.link, longest.clone()).unwrap());
    assert_eq!(alice.wait_message(), (a.link, longest));
    assert!(alice.plane.send(a.link, vec![0; 64 * 1024 + 1]).is_err());
    assert!(!alice.plane.send(0xdead_beef, vec![]).unwrap());
}

#[test]
fn a_receiver_that_does_not_drain_pushes_back_and_loses_nothing() {
    let authority = Authority::new();
    let (alice, a, mut bob, _) = pair(&authority);
    let mut sent = 0_u32;
    let end = std::time::Instant::now() + Duration::from_secs(10);
    while std::time::Instant::now() < end {
        let mut message = vec![0; 60 * 1024];
        message[..4].copy_from_slice(&sent.to_be_bytes());
        if alice.plane.send(a.link, message).unwrap() {
            sent += 1;
        } else if sent > 300 {
            break;
        } else {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    // 256 wait here, 64 there, a few between: then the queue is full.
    assert!((300..600).contains(&sent), "{sent}");
    for number in 0..sent {
        assert_eq!(bob.wait_message().1[..4], number.to_be_bytes());
    }
}

#[test]
fn closing_a_link_tells_both_ends_why() {
    let (mut alice, a, mut bob, b) = pair(&Authority::new());
    alice.plane.close_link(a.link, "no longer needed").unwrap();
    assert_eq!(alice.wait_down(a.link), "no longer needed");
    assert_eq!(bob.wait_down(b.link), "closed by peer: no longer needed");
}

#[test]
fn closing_a_node_says_goodbye() {
    let (alice, _, mut bob, b) = pair(&Authority::new());
    alice.plane.close();
    assert_eq!(bob.wait_down(b.link), "closed by peer: leaving");
}

#[test]
fn a_node_does_not_link_to_itself() {
    let mut alice = Node::member(&Authority::new(), 1);
    for expect in [None, Some(alice.id)] {
        let dial = alice.plane.dial(alice.address, expect, 0, Transports::default()).unwrap();
        assert_eq!(alice.wait_failed(dial).0, "self");
    }
}

#[test]
fn a_dial_before_identity_and_trust_fails_by_name() {
    let mut blank = Node::blank();
    let dial = blank.plane.dial(blank.address, None, 0, Transports::default()).unwrap();
    assert_eq!(blank.wait_failed(dial).0, "identity");
}

/// A host has more addresses than the one its kernel prefers; who dialled one of the others hears of no other.
#[test]
fn a_node_answers_from_the_address_that_was_dialled() {
    let authority = Authority::new();
    for everywhere in ["0.0.0.0:0", "[::]:0"] {
        let mut alice = Node::member(&authority, 1);
        let socket = UdpSocket::bind(everywhere).unwrap();
        let mut bob = Node::with_at(socket.into(), &authority.node(2), authority.trust());
        let dialled = SocketAddr::from(([127, 0, 0, 2], bob.address.port()));
        alice.plane.dial(dialled, Some(bob.id), 0, Transports::default()).unwrap();
        let up = alice.wait_up();
        bob.wait_up();
        wait_measured(&alice);
        let link = alice.plane.statistics().unwrap().links.remove(0).link;
        assert_eq!((link.index, **link.remote.load()), (up.link, dialled));
    }
}

#[test]
fn a_dial_that_nobody_answers_times_out() {
    let authority = Authority::new();
    let (mut alice, deaf) = (Node::member(&authority, 1), Node::blank());
    let dial = alice.plane.dial(deaf.address, None, 0, Transports::default()).unwrap();
    assert_eq!(alice.wait_failed(dial), ("timeout", "silent for 3.5 s".into()));
}

#[test]
fn another_node_than_the_expected_one_is_refused() {
    let authority = Authority::new();
    let (mut alice, bob) = (Node::member(&authority, 1), Node::member(&authority, 2));
    let dial = alice.plane.dial(bob.address, Some([7; 32]), 0, Transports::default()).unwrap();
    let expected = Refusal::OtherNode(bob.id).to_string();
    assert_eq!(alice.wait_failed(dial), ("certificate", expected));
}

impl Node {
    /// The link that this dial made.
    fn wait_up_of(&mut self, which: u64) -> LinkId {
        self.wait("LinkUp", |event| match event {
            Event::LinkUp { link, dial, .. } if *dial == which => Some(*link),
            _ => None,
        })
    }

    /// The dial that made this link; 0 for one of the other end's.
    fn dial_of(&mut self, which: LinkId) -> u64 {
        self.wait("LinkUp", |event| match event {
            Event::LinkUp { link, dial, .. } if *link == which => Some(*dial),
            _ => None,
        })
    }
}

fn indices(node: &Node) -> Vec<LinkId> {
    node.plane.statistics().unwrap().links.iter().map(|live| live.link.index).collect()
}

#[test]
fn simultaneous_dials_leave_the_lower_ids_link() {
    let authority = Authority::new();
    for _ in 0..10 {
        let (mut alice, mut bob) = (Node::member(&authority, 1), Node::member(&authority, 2));
        let dials = (alice.dial(&bob), bob.dial(&alice));
        let ((lower, dial), higher) =
            if alice.id < bob.id { ((&mut alice, dials.0), &mut bob) } else { ((&mut bob, dials.1), &mut alice) };
        let kept = lower.wait_up_of(dial);
        assert!(lower.plane.send(kept, b"still there".to_vec()).unwrap());
        let (at, _) = higher.wait_message();
        assert_eq!(higher.dial_of(at), 0);
        wait_for("link alone", || (indices(lower) == [kept] && indices(higher) == [at]).then_some(()));
    }
}

#[test]
fn a_second_dial_to_a_linked_node_is_a_duplicate_and_harms_nothing() {
    let (mut alice, a, mut bob, _) = pair(&Authority::new());
    let again = alice.dial(&bob);
    assert_eq!(alice.wait_failed(again).0, "duplicate");
    assert!(alice.plane.send(a.link, b"still there".to_vec()).unwrap());
    assert_eq!(bob.wait_message().1, b"still there");
    let down = |event: &Event| matches!(event, Event::LinkDown { .. });
    assert!(alice.has_no(down) && bob.has_no(down));
}

#[test]
fn many_dials_at_once_to_one_node_make_one_link() {
    let authority = Authority::new();
    let (mut alice, mut bob) = (Node::member(&authority, 1), Node::member(&authority, 2));
    let dials: Vec<u64> = (0..5).map(|_| alice.dial(&bob)).collect();
    let (a, b) = (alice.wait_up(), bob.wait_up());
    for dial in dials.into_iter().filter(|dial| *dial != a.dial) {
        assert_eq!(alice.wait_failed(dial).0, "duplicate");
    }
    assert!(bob.plane.send(b.link, b"one".to_vec()).unwrap());
    assert_eq!(alice.wait_message(), (a.link, b"one".to_vec()));
    let second = |event: &Event| matches!(event, Event::LinkUp { .. } | Event::LinkDown { .. });
    assert!(alice.has_no(second) && bob.has_no(second));
}

#[test]
fn a_named_replacement_is_made_before_the_old_link_breaks() {
    let (mut alice, a, mut bob, b) = pair(&Authority::new());
    let dial = alice.plane.dial(bob.address, Some(bob.id), a.link, Transports::default()).unwrap();
    let (new_a, new_b) = (alice.wait_up(), bob.wait_up());
    assert_eq!(new_a.dial, dial);
    assert_eq!(alice.wait_down(a.link), format!("replaced by link {}", new_a.link));
    assert_eq!(bob.wait_down(b.link), format!("replaced by link {}", new_b.link));
    assert!(bob.plane.send(new_b.link, b"on the new one".to_vec()).unwrap());
    assert_eq!(alice.wait_message(), (new_a.link, b"on the new one".to_vec()));
}

#[test]
fn either_end_may_replace_whoever_dialled_and_whatever_the_ids() {
    let (mut alice, a, mut bob, b) = pair(&Authority::new());
    bob.plane.dial(alice.address, Some(alice.id), b.link, Transports::default()).unwrap();
    let (new_a, new_b) = (alice.wait_up(), bob.wait_up());
    alice.wait_down(a.link);
    bob.wait_down(b.link);
    alice.plane.dial(bob.address, Some(bob.id), new_a.link, Transports::default()).unwrap();
    alice.wait_up();
    bob.wait_up();
    alice.wait_down(new_a.link);
    bob.wait_down(new_b.link);
}

#[test]
fn another_life_of_a_node_takes_over_its_link_at_once() {
    let authority = Authority::new();
    let (card, mut bob) = (authority.node(1), Node::member(&authority, 2));
    let mut former = Node::with(&card, authority.trust());
    former.dial(&bob);
    let (old, old_at_bob) = (former.wait_up(), bob.wait_up());
    let mut latter = Node::with(&card, authority.trust());
    latter.dial(&bob);
    let (up, at_bob) = (latter.wait_up(), bob.wait_up());
    assert_eq!(bob.wait_down(old_at_bob.link), format!("replaced by link {}", at_bob.link));
    former.wait_down(old.link);
    assert!(bob.plane.send(at_bob.link, b"you".to_vec()).unwrap());
    assert_eq!(latter.wait_message(), (up.link, b"you".to_vec()));
}

#[test]
fn trust_that_does_not_cover_a_peer_any_more_closes_its_link_and_refuses_it() {
    let authority = Authority::new();
    let (mut alice, a, mut bob, b) = pair(&authority);
    bob.plane.install_trust(authority.trust_but(&[alice.id])).unwrap();
    assert_eq!(bob.wait_down(b.link), Refusal::Revoked(alice.id).to_string());
    assert_eq!(alice.wait_down(a.link), "closed by peer: not trusted any more");
    let dial = alice.dial(&bob);
    assert_eq!(alice.wait_failed(dial).0, "refused");
    bob.wait_log(&Refusal::Revoked(alice.id).to_string());
}

#[test]
fn trust_that_still_covers_a_peer_leaves_its_link_alone() {
    let authority = Authority::new();
    let (alice, a, mut bob, _) = pair(&authority);
    bob.plane.install_trust(authority.trust_but(&[[7; 32]])).unwrap();
    bob.plane.install_trust(authority.trust_with(&[], now() - DAY, b"objects")).unwrap();
    assert!(alice.plane.send(a.link, b"still there".to_vec()).unwrap());
    assert_eq!(bob.wait_message().1, b"still there");
}

#[test]
fn a_link_ends_with_the_certificate_of_its_peer() {
    let authority = Authority::new();
    let mut bob = Node::member(&authority, 2);
    let short_lived = authority.issue(&Wish { not_after: now() + 6, ..Wish::new(1) });
    let alice = Node::with(&short_lived, authority.trust());
    alice.dial(&bob);
    let up = bob.wait_up();
    assert_eq!(bob.wait_down(up.link), "its certificate has expired");
}

#[test]
fn another_identity_closes_the_links_of_the_former_one() {
    let authority = Authority::new();
    let (mut alice, a, mut bob, b) = pair(&authority);
    let renewed = authority.node(1);
    alice.plane.install_identity(&[renewed.leaf], &renewed.key).unwrap();
    assert_eq!(alice.wait_down(a.link), "this node took another identity");
    bob.wait_down(b.link);
    alice.dial(&bob);
    assert_eq!(bob.wait_up().node, renewed.node);
}

#[test]
fn an_identity_that_does_not_fit_is_refused() {
    let authority = Authority::new();
    let (alice, card, other) = (Node::blank(), authority.node(1), authority.node(2));
    assert!(alice.plane.install_identity(&[], &card.key).is_err());
    assert!(alice.plane.install_identity(std::slice::from_ref(&card.leaf), &other.key).is_err());
    assert!(alice.plane.install_identity(&[card.leaf], b"no key").is_err());
    assert!(alice.plane.install_identity(std::slice::from_ref(&authority.der), &card.key).is_err());
}

#[test]
fn the_dialler_refuses_a_server_it_cannot_trust() {
    let authority = Authority::new();
    let label = LABEL.replace("default", "other");
    let cards = [
        (self_signed(&Wish::new(2)), "not signed by a trusted CA"),
        (Authority::new().node(2), "not signed by a trusted CA"),
        (authority.issue(&Wish { not_after: now() - 1, ..Wish::new(2) }), "expired"),
        (authority.issue(&Wish { label, ..Wish::new(2) }), "another network"),
    ];
    let mut alice = Node::member(&authority, 1);
    for (card, reason) in cards {
        let bob = Node::with(&card, authority.trust());
        let dial = alice.dial(&bob);
        let (code, detail) = alice.wait_failed(dial);
        assert_eq!(code, "certificate");
        assert!(detail.contains(reason), "{detail}");
    }
}
