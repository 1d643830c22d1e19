//! A data plane from start to end leaves nothing behind and never hangs.

use pulse_dataplane::link::Transports;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use pulse_dataplane::dataplane::{Dataplane, Error, Ownership};
use pulse_dataplane::event::Event;

use crate::authority::Authority;
use crate::node::{Node, pair, socket};

fn entries(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// Runs alone in a process of its own: other tests make threads and descriptors too.
#[test]
fn fifty_lives_leave_no_thread_and_no_descriptor() {
    const ALONE: &str = "PULSE_TEST_ALONE";
    if std::env::var_os(ALONE).is_none() {
        let again = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "life::fifty_lives_leave_no_thread_and_no_descriptor"])
            .env(ALONE, "1")
            .status();
        assert!(again.unwrap().success());
        return;
    }
    let authority = Authority::new();
    let cards = [authority.node(1), authority.node(2)];
    let before = (entries("/proc/self/task"), entries("/proc/self/fd"));
    for round in 0..50 {
        let [mut alice, mut bob] = cards.clone().map(|card| Node::with(&card, authority.trust()));
        alice.dial(&bob);
        alice.wait_up();
        bob.wait_up();
        if round % 2 == 0 {
            alice.plane.close();
        }
        drop((alice, bob));
    }
    let end = Instant::now() + Duration::from_secs(10);
    while (entries("/proc/self/task"), entries("/proc/self/fd")) != before && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(50));
    }
    assert_eq!((entries("/proc/self/task"), entries("/proc/self/fd")), before);
}

#[test]
fn after_close_every_call_says_so_and_the_port_is_free() {
    let node = Node::member(&Authority::new(), 1);
    node.plane.close();
    node.plane.close();
    assert!(matches!(node.plane.dial(node.address, None, 0, Transports::default()), Err(Error::Closed)));
    assert!(matches!(node.plane.send(1, vec![]), Err(Error::Closed)));
    assert!(matches!(node.plane.statistics(), Err(Error::Closed)));
    assert!(matches!(node.plane.replace_routes(&[]), Err(Error::Closed)));
    assert!(node.plane.drain(10).is_empty());
    assert!(node.plane.fileno() >= 0);
    UdpSocket::bind(node.address).unwrap();
}

#[test]
fn events_told_by_the_end_can_be_drained_after_it() {
    let (alice, a, _bob, _) = pair(&Authority::new());
    alice.plane.close();
    let events = alice.plane.drain(1024);
    let reason = events.iter().find_map(|event| match event {
        Event::LinkDown { link, reason, .. } if *link == a.link => Some(reason.as_str()),
        _ => None,
    });
    assert_eq!(reason, Some("leaving"));
}

#[test]
fn a_socket_that_is_none_is_an_error() {
    let file = std::fs::File::open("/dev/null").unwrap();
    assert!(Dataplane::new(file.into()).is_err());
}

#[test]
fn a_link_survives_the_diallers_rebind() {
    let (alice, a, mut bob, b) = pair(&Authority::new());
    alice.plane.rebind(socket()).unwrap();
    assert!(alice.plane.send(a.link, b"from elsewhere".to_vec()).unwrap());
    assert_eq!(bob.wait_message(), (b.link, b"from elsewhere".to_vec()));
    assert!(bob.plane.send(b.link, b"found you".to_vec()).unwrap());
}

#[test]
fn routes_to_links_that_are_gone_are_skipped() {
    let (mut alice, a, bob, _) = pair(&Authority::new());
    let routes = [("10.100.0.2".parse().unwrap(), vec![(a.link, 1, false), (12345, 1, false)])];
    alice.plane.replace_routes(&routes).unwrap();
    bob.plane.close();
    alice.wait_down(a.link);
    alice.plane.replace_routes(&routes).unwrap();
}

#[test]
fn statistics_name_links_peers_and_every_reason_to_drop() {
    let (alice, a, bob, _) = pair(&Authority::new());
    let owns = |prefix: &str, length| Ownership {
        network: prefix.parse().unwrap(),
        length,
        node: bob.id,
        destination: true,
        source: true,
    };
    alice.plane.replace_addresses(&[owns("10.100.0.2", 32), owns("fd00::2", 128)]).unwrap();
    let statistics = alice.plane.statistics().unwrap();
    assert_eq!(statistics.links[0].link.index, a.link);
    assert_eq!(statistics.peers[0].peer.node, bob.id);
    assert!(statistics.drops.iter().any(|(reason, _)| *reason == "no_route"));
}
