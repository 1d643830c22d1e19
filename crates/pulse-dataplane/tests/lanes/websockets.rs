//! Links over WebSockets: made, raced with QUIC, replaced by it, and closed to strangers.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::ops::RangeInclusive;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use pulse_dataplane::LinkId;
use pulse_dataplane::event::Event;
use pulse_dataplane::link::{Proxy, Transports};
use socket2::{Domain, Socket, Type};

use crate::authority::{Authority, Wish};
use crate::joins::door;
use crate::node::{Node, Up, pair};
use crate::paths::{ask, wait_answer};

/// A WebSocket and nothing else.
fn only() -> Transports {
    Transports { quic: false, websocket: Some(Duration::ZERO), ..Transports::default() }
}

/// Both, as a node dials.
fn raced() -> Transports {
    Transports { quic: true, websocket: Some(Duration::from_millis(250)), ..Transports::default() }
}

impl Node {
    /// Take in WebSockets; where.
    pub fn listens(&self) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        self.plane.listen(listener.into()).unwrap();
        address
    }

    fn transport(&self, link: LinkId) -> &'static str {
        let links = self.plane.statistics().unwrap().links;
        links.iter().find(|live| live.link.index == link).map_or("none", |live| live.transport)
    }
}

/// A UDP socket that answers nobody yet, and what has the TCP port of its number: one that nobody else has.
fn beside_silence<T>(bind: impl Fn(SocketAddr) -> io::Result<T>) -> (UdpSocket, T) {
    let found = (0..100).find_map(|_| {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let beside = bind(silent.local_addr().unwrap()).ok()?;
        Some((silent, beside))
    });
    found.unwrap()
}

/// Two members, linked by a WebSocket that the first dialled.
fn linked(authority: &Authority) -> (Node, Up, Node, Up) {
    let (mut alice, mut bob) = (Node::member(authority, 1), Node::member(authority, 2));
    let dial = alice.plane.dial(bob.listens(), Some(bob.id), 0, only()).unwrap();
    let (a, b) = (alice.wait_up(), bob.wait_up());
    assert_eq!((a.dial, b.dial), (dial, 0));
    (alice, a, bob, b)
}

#[test]
fn messages_pass_both_ways_and_the_last_words_are_heard() {
    let (mut alice, a, mut bob, b) = linked(&Authority::new());
    assert_eq!((alice.transport(a.link), bob.transport(b.link)), ("websocket", "websocket"));
    for number in 0..50_u8 {
        assert!(alice.plane.send(a.link, vec![number; 40_000]).unwrap());
        assert_eq!(bob.wait_message(), (b.link, vec![number; 40_000]));
    }
    assert!(bob.plane.send(b.link, b"back".to_vec()).unwrap());
    assert_eq!(alice.wait_message(), (a.link, b"back".to_vec()));
    alice.plane.close_link(a.link, "enough").unwrap();
    assert_eq!(alice.wait_down(a.link), "enough");
    assert_eq!(bob.wait_down(b.link), "closed by peer: enough");
}

#[test]
fn closing_a_node_says_goodbye() {
    let (alice, _, mut bob, b) = linked(&Authority::new());
    alice.plane.close();
    assert_eq!(bob.wait_down(b.link), "closed by peer: leaving");
}

#[test]
fn sessions_ride_on_it_and_probes_measure_it() {
    let authority = Authority::new();
    let (mut alice, a, mut bob, b) = linked(&authority);
    alice.reaches(2, &bob, &[a.link]);
    bob.reaches(1, &alice, &[b.link]);
    let asked = ask(&alice, &mut bob);
    wait_answer(&mut alice, asked);
    let end = Instant::now() + Duration::from_secs(20);
    while alice.plane.statistics().unwrap().links[0].link.probes.reading().rtt.is_none() {
        assert!(Instant::now() < end, "no echo came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn where_udp_is_silent_the_websocket_of_the_race_serves() {
    let authority = Authority::new();
    let (mut alice, mut bob) = (Node::member(&authority, 1), Node::member(&authority, 2));
    let (silent, listener) = beside_silence(TcpListener::bind);
    bob.plane.listen(listener.into()).unwrap();
    let place = silent.local_addr().unwrap();
    alice.plane.dial(place, Some(bob.id), 0, raced()).unwrap();
    let (a, b) = (alice.wait_up(), bob.wait_up());
    assert_eq!((alice.transport(a.link), bob.transport(b.link)), ("websocket", "websocket"));
}

#[test]
fn where_both_work_quic_serves() {
    let authority = Authority::new();
    let (socket, listener) = beside_silence(TcpListener::bind);
    let mut alice = Node::member(&authority, 1);
    let mut bob = Node::with_at(socket.into(), &authority.node(2), authority.trust());
    bob.plane.listen(listener.into()).unwrap();
    // How far ahead QUIC goes is not asked here: on a busy machine even its handshake takes long.
    let raced = Transports { websocket: Some(Duration::from_secs(10)), ..raced() };
    alice.plane.dial(bob.address, Some(bob.id), 0, raced).unwrap();
    let (a, _) = (alice.wait_up(), bob.wait_up());
    assert_eq!(alice.transport(a.link), "quic");
}

#[test]
fn quic_takes_over_from_a_websocket_whoever_dials() {
    for named in [true, false] {
        let authority = Authority::new();
        let (mut alice, a, mut bob, b) = linked(&authority);
        if named {
            alice.plane.dial(bob.address, Some(bob.id), a.link, Transports::default()).unwrap();
        } else {
            bob.plane.dial(alice.address, Some(alice.id), 0, Transports::default()).unwrap();
        }
        let (new_a, new_b) = (alice.wait_up(), bob.wait_up());
        assert_eq!((alice.transport(new_a.link), bob.transport(new_b.link)), ("quic", "quic"));
        assert_eq!(alice.wait_down(a.link), format!("replaced by link {}", new_a.link));
        assert_eq!(bob.wait_down(b.link), format!("replaced by link {}", new_b.link));
    }
}

#[test]
fn a_websocket_takes_nothing_over_from_quic() {
    let authority = Authority::new();
    let (mut alice, a, mut bob, b) = pair(&authority);
    let dials = [
        (alice.plane.dial(bob.listens(), Some(bob.id), 0, only()).unwrap(), true),
        (bob.plane.dial(alice.listens(), Some(alice.id), 0, only()).unwrap(), false),
    ];
    for (dial, from_alice) in dials {
        let (code, _) = if from_alice { alice.wait_failed(dial) } else { bob.wait_failed(dial) };
        assert_eq!(code, "duplicate");
    }
    assert_eq!((alice.transport(a.link), bob.transport(b.link)), ("quic", "quic"));
}

#[test]
fn strangers_and_other_networks_get_no_link() {
    let authority = Authority::new();
    let mut bob = Node::member(&authority, 2);
    let place = bob.listens();
    let mut other_ca = Node::member(&Authority::new(), 3);
    let dial = other_ca.plane.dial(place, Some(bob.id), 0, only()).unwrap();
    assert_eq!(other_ca.wait_failed(dial).0, "certificate");
    let elsewhere = Wish { label: "other.0000".into(), ..Wish::new(4) };
    let mut elsewhere = Node::with(&authority.issue(&elsewhere), authority.trust());
    let dial = elsewhere.plane.dial(place, None, 0, only()).unwrap();
    assert_eq!(elsewhere.wait_failed(dial).0, "refused");
    let mut mistaken = Node::member(&authority, 5);
    let dial = mistaken.plane.dial(place, Some([7; 32]), 0, only()).unwrap();
    assert_eq!(mistaken.wait_failed(dial).0, "certificate");
    bob.told_within(Duration::from_millis(300));
    assert!(bob.has_no(|event| matches!(event, Event::LinkUp { .. })));
}

#[test]
fn where_nobody_listens_both_reasons_are_told() {
    let mut alice = Node::member(&Authority::new(), 1);
    // Held and not listened at: left free, the kernel may give it to the call itself, which then meets itself.
    let (deaf, _held) = beside_silence(|place| {
        let held = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        held.bind(&place.into()).map(|()| held)
    });
    let dial = alice.plane.dial(deaf.local_addr().unwrap(), None, 0, raced()).unwrap();
    let (code, detail) = alice.wait_failed(dial);
    assert_eq!((code, &*detail), ("closed", "no answer over UDP, and nothing listens there on TCP"));
}

#[test]
fn who_speaks_something_else_is_no_pulse() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = listener.local_addr().unwrap();
    let other = std::thread::spawn(move || listener.accept().unwrap().0.write_all(b"SSH-2.0-OpenSSH_9.2\r\n"));
    let mut alice = Node::member(&Authority::new(), 1);
    let dial = alice.plane.dial(place, None, 0, only()).unwrap();
    let (code, detail) = alice.wait_failed(dial);
    assert_eq!(code, "unreachable");
    assert!(detail.contains("no pulse at this address"), "{detail}");
    other.join().unwrap().unwrap();
}

#[test]
fn somebody_joins_over_it() {
    let (mut bob, leaf) = door(&Authority::new());
    let place = bob.listens();
    let mut joiner = Node::blank();
    let join = joiner.plane.join(place, true, only()).unwrap();
    assert_eq!(joiner.wait_greeted(join), (leaf, b"CA certificates".to_vec()));
    joiner.plane.send_join(join, vec![1; 64 * 1024]).unwrap();
    let (offer, request) = bob.wait_offered();
    assert_eq!(request.len(), 64 * 1024);
    bob.plane.answer_join(offer, vec![2; 64 * 1024]).unwrap();
    assert_eq!(joiner.wait_answered(join), vec![2; 64 * 1024]);
}

/// One connection through a proxy that says `answer`; what it was asked.
fn proxy(answer: &'static str) -> (SocketAddr, std::thread::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let serving = std::thread::spawn(move || {
        let (mut near, _) = listener.accept().unwrap();
        let mut asked = vec![];
        while !asked.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            near.read_exact(&mut byte).unwrap();
            asked.extend(byte);
        }
        let asked = String::from_utf8(asked).unwrap();
        near.write_all(answer.as_bytes()).unwrap();
        if answer.contains(" 200 ") {
            let mut far = TcpStream::connect(asked.split_whitespace().nth(1).unwrap()).unwrap();
            let (mut from_far, mut to_near) = (far.try_clone().unwrap(), near.try_clone().unwrap());
            std::thread::spawn(move || io::copy(&mut from_far, &mut to_near));
            std::thread::spawn(move || io::copy(&mut near, &mut far));
        }
        asked
    });
    (address, serving)
}

#[test]
fn a_proxy_is_asked_for_a_tunnel() {
    let authority = Authority::new();
    let (mut alice, mut bob) = (Node::member(&authority, 1), Node::member(&authority, 2));
    let (address, serving) = proxy("HTTP/1.1 200 Connection established\r\nVia: a proxy\r\n\r\n");
    let through = Transports { proxy: Some(Proxy { address, authorization: "Basic dTpw".into() }), ..only() };
    let place = bob.listens();
    alice.plane.dial(place, Some(bob.id), 0, through).unwrap();
    let (a, b) = (alice.wait_up(), bob.wait_up());
    let asked = serving.join().unwrap();
    assert!(asked.starts_with(&format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n")), "{asked}");
    assert!(asked.contains("\r\nProxy-Authorization: Basic dTpw\r\n"), "{asked}");
    assert!(alice.plane.send(a.link, b"through".to_vec()).unwrap());
    assert_eq!(bob.wait_message(), (b.link, b"through".to_vec()));
}

#[test]
fn a_proxy_that_refuses_is_quoted() {
    let mut alice = Node::member(&Authority::new(), 1);
    let (address, _serving) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
    let through = Transports { proxy: Some(Proxy { address, authorization: String::new() }), ..only() };
    let dial = alice.plane.dial("127.0.0.1:9".parse().unwrap(), None, 0, through).unwrap();
    let (code, detail) = alice.wait_failed(dial);
    assert_eq!(code, "unreachable");
    assert!(detail.contains("407 Proxy Authentication Required"), "{detail}");
}

#[test]
fn who_says_nothing_holds_one_of_few_places_and_not_for_long() {
    let bob = Node::member(&Authority::new(), 2);
    let place = bob.listens();
    let mut silent: Vec<TcpStream> = (0..30).map(|_| TcpStream::connect(place).unwrap()).collect();
    let held = |stream: &mut TcpStream| {
        stream.set_nonblocking(true).unwrap();
        stream.read(&mut [0]).is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    };
    let mut wait_heard = |places: RangeInclusive<usize>| {
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            let heard = silent.iter_mut().map(held).filter(|held| *held).count();
            if places.contains(&heard) {
                return;
            }
            assert!(Instant::now() < end, "{heard} who say nothing are heard");
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    wait_heard(1..=8);
    wait_heard(0..=0);
}

/// The longest segment that TCP on this socket sends now.
fn segment(socket: &impl AsFd) -> u32 {
    socket2::SockRef::from(socket).tcp_mss().unwrap()
}

#[test]
fn segments_are_short_enough_for_a_path_of_1200_bytes_in_both_directions() {
    let authority = Authority::new();
    let bob = Node::member(&authority, 2);
    let knocks = TcpStream::connect(bob.listens()).unwrap();
    assert!(segment(&knocks) <= 1160, "{}", segment(&knocks));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut alice = Node::member(&authority, 1);
    let dial = alice.plane.dial(listener.local_addr().unwrap(), None, 0, only()).unwrap();
    let (accepted, _) = listener.accept().unwrap();
    assert!(segment(&accepted) <= 1160, "{}", segment(&accepted));
    drop(accepted);
    alice.wait_failed(dial);
}

#[test]
fn a_node_that_takes_its_leave_lets_nobody_in_any_more() {
    let authority = Authority::new();
    let (alice, _, mut bob, b) = pair(&authority);
    let mut carol = Node::member(&authority, 3);
    let place = alice.listens();
    std::thread::scope(|scope| {
        let leaving = scope.spawn(|| alice.plane.close());
        bob.wait_down(b.link);
        loop {
            let has_left = leaving.is_finished();
            let dial = carol.plane.dial(place, Some(alice.id), 0, only()).unwrap();
            carol.wait_failed(dial);
            if has_left {
                break;
            }
        }
    });
    assert!(carol.has_no(|event| matches!(event, Event::LinkUp { .. })));
}
