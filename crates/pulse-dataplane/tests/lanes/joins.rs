//! The join lane from both sides.

use std::time::{Duration, Instant};

use pulse_dataplane::event::Event;
use pulse_dataplane::link::Transports;
use pulse_dataplane::verify::parse;

use crate::authority::Authority;
use crate::node::Node;

impl Node {
    /// Leaf and objects.
    pub fn wait_greeted(&mut self, which: u64) -> (Vec<u8>, Vec<u8>) {
        self.wait("JoinGreeted", |event| match event {
            Event::JoinGreeted { join, leaf, objects, .. } if *join == which => Some((leaf.clone(), objects.clone())),
            _ => None,
        })
    }

    pub fn wait_offered(&mut self) -> (u64, Vec<u8>) {
        self.wait("JoinOffered", |event| match event {
            Event::JoinOffered { offer, request, .. } => Some((*offer, request.clone())),
            _ => None,
        })
    }

    pub fn wait_answered(&mut self, which: u64) -> Vec<u8> {
        self.wait("JoinAnswered", |event| match event {
            Event::JoinAnswered { join, answer } if *join == which => Some(answer.clone()),
            _ => None,
        })
    }

    fn wait_join_failed(&mut self, which: u64) -> (&'static str, String) {
        self.wait("JoinFailed", |event| match event {
            Event::JoinFailed { join, code, detail } if *join == which => Some((*code, detail.clone())),
            _ => None,
        })
    }
}

pub fn door(authority: &Authority) -> (Node, Vec<u8>) {
    let card = authority.node(2);
    (Node::with(&card, authority.trust_with(&[], 0, b"CA certificates")), card.leaf)
}

#[test]
fn a_pinned_join_sees_leaf_and_objects_before_it_asks() {
    let authority = Authority::new();
    let (mut bob, leaf) = door(&authority);
    let mut joiner = Node::blank();
    let join = joiner.plane.join(bob.address, true, Transports::default()).unwrap();
    assert_eq!(joiner.wait_greeted(join), (leaf, b"CA certificates".to_vec()));
    bob.told_within(Duration::from_millis(300));
    assert!(bob.has_no(|event| matches!(event, Event::JoinOffered { .. })));
    joiner.plane.send_join(join, b"request".to_vec()).unwrap();
    let (offer, request) = bob.wait_offered();
    assert_eq!(request, b"request");
    bob.plane.answer_join(offer, b"answer".to_vec()).unwrap();
    assert_eq!(joiner.wait_answered(join), b"answer");
}

#[test]
fn a_join_on_first_use_sees_a_certificate_that_says_nothing() {
    let authority = Authority::new();
    let (mut bob, real) = door(&authority);
    let mut joiner = Node::blank();
    let join = joiner.plane.join(bob.address, false, Transports::default()).unwrap();
    let (leaf, objects) = joiner.wait_greeted(join);
    assert!(objects.is_empty());
    assert_ne!(leaf, real);
    assert!(parse(&leaf).is_err());
    joiner.plane.send_join(join, vec![1; 64 * 1024]).unwrap();
    let (offer, request) = bob.wait_offered();
    assert_eq!(request.len(), 64 * 1024);
    bob.plane.answer_join(offer, vec![2; 64 * 1024]).unwrap();
    assert_eq!(joiner.wait_answered(join), vec![2; 64 * 1024]);
}

#[test]
fn an_empty_answer_hangs_up() {
    let (mut bob, _) = door(&Authority::new());
    let mut joiner = Node::blank();
    let join = joiner.plane.join(bob.address, false, Transports::default()).unwrap();
    joiner.wait_greeted(join);
    joiner.plane.send_join(join, b"request".to_vec()).unwrap();
    let (offer, _) = bob.wait_offered();
    bob.plane.answer_join(offer, vec![]).unwrap();
    assert_eq!(joiner.wait_join_failed(join).0, "broken");
}

#[test]
fn a_cancelled_join_ends_without_a_word() {
    let (bob, _) = door(&Authority::new());
    let mut joiner = Node::blank();
    let join = joiner.plane.join(bob.address, true, Transports::default()).unwrap();
    joiner.wait_greeted(join);
    joiner.plane.cancel_join(join).unwrap();
    joiner.plane.send_join(join, b"too late".to_vec()).unwrap();
    assert!(joiner.told_within(Duration::from_millis(500)).is_empty());
}

#[test]
fn a_request_over_64_kib_never_leaves() {
    let joiner = Node::blank();
    assert!(joiner.plane.send_join(1, vec![0; 64 * 1024 + 1]).is_err());
    assert!(joiner.plane.answer_join(1, vec![0; 64 * 1024 + 1]).is_err());
}

#[test]
fn a_lane_that_nobody_serves_times_out() {
    let (mut joiner, deaf) = (Node::blank(), Node::blank());
    let join = joiner.plane.join(deaf.address, false, Transports::default()).unwrap();
    assert_eq!(joiner.wait_join_failed(join).0, "timeout");
}

#[test]
fn a_joiner_that_never_asks_is_dropped_after_10_s() {
    let (bob, _) = door(&Authority::new());
    let mut joiner = Node::blank();
    let join = joiner.plane.join(bob.address, true, Transports::default()).unwrap();
    joiner.wait_greeted(join);
    assert_eq!(joiner.wait_join_failed(join).0, "timeout");
}

#[test]
fn a_source_may_join_5_times_a_second_and_waits_if_it_wants_more() {
    let (mut bob, _) = door(&Authority::new());
    let mut joiner = Node::blank();
    let began = Instant::now();
    let joins: Vec<u64> =
        (0..12).map(|_| joiner.plane.join(bob.address, false, Transports::default()).unwrap()).collect();
    for join in joins {
        joiner.wait_greeted(join);
    }
    // Five had been saved up; the others had to be waited for.
    assert!(began.elapsed() >= Duration::from_millis(1200), "{:?}", began.elapsed());
    bob.told_within(Duration::ZERO);
}
