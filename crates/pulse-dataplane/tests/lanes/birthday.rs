//! Birthday probing: probes from many sockets, and a link over the one that an answer came to.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use pulse_dataplane::birthday::MOST_SOCKETS;
use pulse_dataplane::event::Event;
use pulse_dataplane::link::Transports;
use pulse_dataplane::punch::{Attempt, MOST_BY_BIRTHDAY};

use crate::authority::Authority;
use crate::node::{Node, Up};

const ATTEMPT: u64 = 7;
const SILENCE: Duration = Duration::from_millis(300);

/// Alice, who opens sockets, and Bob; both know of one attempt.
fn attempting(by_birthday: bool) -> (Node, Node) {
    let authority = Authority::new();
    let (alice, bob) = (Node::member(&authority, 1), Node::member(&authority, 2));
    let attempt = |ours, theirs| vec![Attempt::new(ATTEMPT, &[ours; 32], &[theirs; 32], by_birthday)];
    alice.plane.expect_probes(attempt(1, 2)).unwrap();
    bob.plane.expect_probes(attempt(2, 1)).unwrap();
    (alice, bob)
}

/// Where the probes came from that a node was told of until nothing came any more.
fn asked_from(node: &mut Node) -> Vec<SocketAddr> {
    let asks = |event: &Event| match event {
        Event::ProbeReceived { attempt: ATTEMPT, source, echo: false } => Some(*source),
        _ => None,
    };
    let mut before = 0;
    loop {
        let asked: Vec<_> = node.told_within(SILENCE).iter().filter_map(asks).collect();
        if asked.len() == before {
            return asked;
        }
        before = asked.len();
    }
}

fn wait_echo(node: &mut Node) {
    node.wait("echo", |event| matches!(event, Event::ProbeReceived { echo: true, .. }).then_some(()));
}

fn wait_seen(node: &mut Node) -> (Up, SocketAddr) {
    node.wait("LinkUp", |event| match event {
        Event::LinkUp { link, dial, node, observed, .. } => {
            Some((Up { link: *link, dial: *dial, node: *node }, *observed))
        }
        _ => None,
    })
}

fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < end, "never {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_free(place: SocketAddr) -> bool {
    UdpSocket::bind(place).is_ok()
}

fn through_the_hole() -> Transports {
    Transports { hole: ATTEMPT, ..Transports::default() }
}

#[test]
fn the_link_goes_through_the_socket_that_an_answer_came_to_and_that_lives_as_long() {
    let (mut alice, mut bob) = attempting(true);
    alice.plane.send_probes_apart(bob.address, ATTEMPT, 20).unwrap();
    wait_echo(&mut alice);
    let sources: HashSet<SocketAddr> = asked_from(&mut bob).into_iter().collect();
    assert_eq!(sources.len(), 20);
    assert!(!sources.contains(&alice.address));

    alice.plane.dial(bob.address, Some(bob.id), 0, through_the_hole()).unwrap();
    let (a, (b, place)) = (alice.wait_up(), wait_seen(&mut bob));

    assert!(sources.contains(&place), "{place} is none of {sources:?}");
    // Both ways: control messages, and frames, whose echoes tell that they came back.
    assert!(alice.plane.send(a.link, b"there".to_vec()).unwrap());
    assert!(bob.plane.send(b.link, b"back".to_vec()).unwrap());
    assert_eq!(bob.wait_message(), (b.link, b"there".to_vec()));
    assert_eq!(alice.wait_message(), (a.link, b"back".to_vec()));
    for node in [&alice, &bob] {
        wait_until("measured", || node.plane.statistics().unwrap().links[0].link.probes.reading().rtt.is_some());
    }
    assert_eq!(**bob.plane.statistics().unwrap().links[0].link.remote.load(), place);
    wait_until("closed but for one", || sources.iter().filter(|each| is_free(**each)).count() == 19);

    alice.plane.close_link(a.link, "enough").unwrap();
    bob.wait_down(b.link);
    wait_until("closed", || is_free(place));
}

#[test]
fn an_attempt_has_so_many_sockets_and_probes_and_no_more() {
    let (alice, mut bob) = attempting(true);
    for _ in 0..30 {
        alice.plane.send_probes_apart(bob.address, ATTEMPT, 50).unwrap();
        // A burst could be longer than what a socket holds.
        std::thread::sleep(Duration::from_millis(5));
    }

    let asked = asked_from(&mut bob);
    assert_eq!(asked.len(), MOST_BY_BIRTHDAY as usize);
    assert_eq!(asked.iter().collect::<HashSet<_>>().len(), MOST_SOCKETS);

    alice.plane.expect_probes(vec![]).unwrap();
    wait_until("all closed", || asked.iter().all(|each| is_free(*each)));
}

#[test]
fn without_the_word_birthday_no_socket_is_opened() {
    let (alice, mut bob) = attempting(false);
    alice.plane.send_probes_apart(bob.address, ATTEMPT, 20).unwrap();
    alice.plane.send_probes_apart(bob.address, ATTEMPT + 1, 20).unwrap();
    assert_eq!(asked_from(&mut bob), []);
}

#[test]
fn a_hole_that_nothing_came_through_is_dialled_from_where_we_listen() {
    let (mut alice, mut bob) = attempting(true);
    alice.plane.dial(bob.address, Some(bob.id), 0, through_the_hole()).unwrap();
    alice.wait_up();
    assert_eq!(wait_seen(&mut bob).1, alice.address);
}

#[test]
fn who_leaves_says_so_through_its_own_socket_too() {
    let (mut alice, mut bob) = attempting(true);
    alice.plane.send_probes_apart(bob.address, ATTEMPT, 1).unwrap();
    wait_echo(&mut alice);
    alice.plane.dial(bob.address, Some(bob.id), 0, through_the_hole()).unwrap();
    let b = wait_seen(&mut bob).0;
    alice.wait_up();
    alice.plane.close();
    assert_eq!(bob.wait_down(b.link), "closed by peer: leaving");
}
