use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::world::{Authority, Node, YEAR, join, join_as, pair, pair_with, quick};
use crate::event::{Event, Level};
use crate::hello::write_message;
use crate::session::socket::address_of;
use crate::session::{Tuning, endpoint};
use crate::verify::pinned_name;

const LONG: Duration = Duration::from_secs(20);

/// A session between both, opened by an RPC.
async fn connect(one: &Node, other: &Node) {
    let request = one.sessions.request(other.id, b"?".to_vec(), LONG);
    other.answer(<[u8]>::to_vec).await;
    assert!(one.response(request).await.is_ok());
}

#[tokio::test]
async fn traffic_opens_a_session_and_is_told_once() {
    let (_, low, high) = pair();
    for _ in 0..10 {
        low.shared.wanted.send(high.id).unwrap();
    }
    low.up().await;
    high.up().await;
    low.event(|event| matches!(event, Event::PeerWanted { node } if *node == high.id).then_some(())).await;
    assert_eq!(low.count(|event| matches!(event, Event::PeerWanted { .. } | Event::SessionUp { .. })), 0);
}

#[tokio::test]
async fn two_nodes_that_dial_each_other_at_once_keep_one_session() {
    let (_, low, high) = pair();
    let requests =
        (low.sessions.request(high.id, b"1".to_vec(), LONG), high.sessions.request(low.id, b"2".to_vec(), LONG));
    tokio::join!(low.answer(<[u8]>::to_vec), high.answer(<[u8]>::to_vec));
    assert!(low.response(requests.0).await.is_ok());
    assert!(high.response(requests.1).await.is_ok());
    low.up().await;
    high.up().await;
    for node in [&low, &high] {
        node.until(|node| node.sessions.desk.sessions().len() == 1).await;
        assert_eq!(node.count(|event| matches!(event, Event::SessionDown { .. } | Event::SessionUp { .. })), 0);
    }
    assert_eq!(low.sessions.desk.sessions()[0].carrier.connection.side(), quinn::Side::Client);
    assert_eq!(high.sessions.desk.sessions()[0].carrier.connection.side(), quinn::Side::Server);
}

#[tokio::test]
async fn the_loser_finishes_what_began_on_it() {
    let (_, low, high) = pair();
    // The higher id's session comes up and has a request open when the lower id's dial arrives.
    let request = high.sessions.request(low.id, b"slow".to_vec(), LONG);
    low.up().await;
    let connection = low.dialled_by_hand(&high).await;
    let greeted = crate::session::greeting::greet(&low.sessions.desk, connection, true).await.unwrap();
    low.sessions.desk.settle(greeted, true).unwrap();
    high.until(|high| high.sessions.desk.sessions().len() == 2).await;
    sleep(Duration::from_millis(100)).await;
    low.answer(<[u8]>::to_vec).await;
    assert_eq!(high.response(request).await, Ok(b"slow".to_vec()));
    for node in [&low, &high] {
        node.until(|node| node.sessions.desk.sessions().len() == 1).await;
    }
    connect(&low, &high).await;
}

#[tokio::test]
async fn a_session_ends_when_trust_no_longer_covers_its_peer() {
    let (authority, low, high) = pair();
    connect(&low, &high).await;
    low.revoke(&authority, high.id);
    assert!(low.down().await.contains("revoked"));
    assert_eq!(high.down().await, "the peer closed it: refused");
    let request = low.sessions.request(high.id, b"?".to_vec(), LONG);
    assert_eq!(low.response(request).await, Err("unreachable"));
    let request = high.sessions.request(low.id, b"?".to_vec(), LONG);
    assert_eq!(high.response(request).await, Err("unreachable"));
}

#[tokio::test]
async fn a_session_ends_with_its_peers_certificate() {
    let authority = Authority::new();
    let identity = |last, life| authority.identity(Ipv4Addr::new(10, 100, 0, last), life);
    let node = Node::new(&authority, identity(1, YEAR), quick());
    let brief = Node::new(&authority, identity(2, Duration::from_secs(6)), quick());
    join(&node, &brief);
    connect(&node, &brief).await;
    assert_eq!(node.down().await, "the peer's certificate expired");
}

#[tokio::test]
async fn a_session_whose_certificates_end_has_a_successor_before_and_nobody_notices() {
    let authority = Authority::new();
    let keys = [(); 2].map(|()| rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap());
    let certify = |at: usize, life| {
        let v4 = Ipv4Addr::new(10, 100, 0, u8::try_from(at).unwrap() + 1);
        authority.certify(&keys[at], v4, life)
    };
    let [one, other] = [0, 1].map(|at| Node::new(&authority, certify(at, Duration::from_secs(8)), quick()));
    join(&one, &other);
    connect(&one, &other).await;
    for (at, node) in [&one, &other].into_iter().enumerate() {
        node.up().await;
        node.settings.identity.store(Some(Arc::new(certify(at, YEAR))));
        node.sessions.identity_changed().unwrap();
    }
    for (node, peer) in [(&one, &other), (&other, &one)] {
        let renewed = certify(0, YEAR).certified.not_after - 60;
        node.until(|node| node.sessions.desk.serving(&peer.id).is_some_and(|it| it.certified.not_after > renewed))
            .await;
        node.until(|node| node.sessions.desk.sessions().len() == 1).await;
        assert_eq!(node.count(|event| matches!(event, Event::SessionDown { .. } | Event::SessionUp { .. })), 0);
    }
    connect(&one, &other).await;
}

#[tokio::test]
async fn all_sessions_are_made_anew_when_asked_and_nobody_notices() {
    let (_, one, other) = pair();
    connect(&one, &other).await;
    let before = [&one, &other].map(|node| node.sessions.desk.sessions()[0].id);
    for node in [&one, &other] {
        node.up().await;
        node.sessions.renew_all();
    }
    for (node, before) in [&one, &other].into_iter().zip(before) {
        node.until(|node| node.sessions.desk.sessions().iter().all(|session| session.id != before)).await;
        assert_eq!(node.sessions.desk.sessions().len(), 1, "of two ends one dialled");
        assert_eq!(node.count(|event| matches!(event, Event::SessionDown { .. } | Event::SessionUp { .. })), 0);
    }
    connect(&one, &other).await;
}

/// A session dialled by a member that reads nothing, and lets the other end write no more than a hello.
async fn dialled_by_a_deaf_peer(deaf: &Node, node: &Node) -> impl Sized + use<> {
    let (identity, trust) = deaf.settings.both().unwrap();
    let (mut config, _) = endpoint::client(&identity, &trust).unwrap();
    let mut transport = quinn::TransportConfig::default();
    transport.stream_receive_window(100_u32.into()).keep_alive_interval(Some(Duration::from_secs(1)));
    config.transport_config(Arc::new(transport));
    let endpoint = deaf.sessions.desk.endpoint.get().unwrap();
    let connecting = endpoint.connect_with(config, address_of(node.v4), &pinned_name(Some(&node.id))).unwrap();
    let connection = connecting.await.unwrap();
    let (mut send, recv) = connection.open_bi().await.unwrap();
    write_message(&mut send, &deaf.settings.hello(0, 0).encode().unwrap()).await.unwrap();
    (connection, send, recv)
}

#[tokio::test]
async fn a_peer_that_takes_no_control_messages_cannot_outlive_its_certificate() {
    let authority = Authority::new();
    let node = Node::new(&authority, authority.identity(Ipv4Addr::new(10, 100, 0, 1), YEAR), quick());
    // The lower id is the one that speaks first after the hellos.
    let brief = std::iter::repeat_with(|| authority.identity(Ipv4Addr::new(10, 100, 0, 2), Duration::from_secs(8)));
    let brief = brief.into_iter().find(|identity| identity.certified.node > node.id).unwrap();
    let deaf = Node::new(&authority, brief, quick());
    join(&node, &deaf);
    let _session = dialled_by_a_deaf_peer(&deaf, &node).await;
    node.up().await;
    assert_eq!(node.down().await, "the peer's certificate expired");
}

#[tokio::test]
async fn a_peer_at_an_address_that_is_not_in_its_certificate_is_refused() {
    let authority = Authority::new();
    let node = |last| Node::new(&authority, authority.identity(Ipv4Addr::new(10, 100, 0, last), YEAR), quick());
    let (here, there) = (node(1), node(2));
    let wrong = Ipv4Addr::new(10, 100, 0, 77);
    join_as(&here, &there, wrong);
    // Frames from `there` bear the wrong source too, as a liar's would.
    there.shared.me.store(Some(Arc::new(crate::tables::Me {
        v4: wrong,
        ..there.settings.identity.load().as_ref().unwrap().me()
    })));
    let request = here.sessions.request(there.id, b"?".to_vec(), LONG);
    assert_eq!(here.response(request).await, Err("unreachable"));
    let said = |text: &str| text.contains("which is not its address");
    here.event(|event| matches!(event, Event::Log { text, .. } if said(text)).then_some(())).await;
    assert_eq!(here.count(|event| matches!(event, Event::SessionUp { .. })), 0);
    let request = there.sessions.request(here.id, b"?".to_vec(), Duration::from_secs(1));
    assert!(there.response(request).await.is_err());
    assert_eq!(here.count(|event| matches!(event, Event::SessionUp { .. })), 0);
}

#[tokio::test]
async fn a_panic_inside_a_session_ends_that_session_only() {
    let (_, low, high) = pair();
    connect(&low, &high).await;
    *low.sessions.desk.faulty.lock().unwrap() = Some(high.id);
    assert_eq!(low.down().await, "internal error");
    assert_eq!(high.down().await, "the peer closed it: internal error");
    let is_error = |event: &Event| matches!(event, Event::Log { level: Level::Error, .. });
    low.event(|event| is_error(event).then_some(())).await;
    assert_eq!(low.sessions.panics(), 1);
    connect(&low, &high).await;
}

#[tokio::test]
async fn a_session_with_nothing_to_do_closes() {
    let (_, low, high) = pair_with(Tuning { idle: Duration::from_millis(200), ..quick() });
    connect(&low, &high).await;
    let reasons = [low.down().await, high.down().await];
    assert!(reasons.iter().any(|reason| reason == "idle"), "{reasons:?}");
}

#[tokio::test]
async fn records_keep_a_session_open() {
    let (_, low, high) = pair_with(Tuning { idle: Duration::from_millis(500), ..quick() });
    connect(&low, &high).await;
    for _ in 0..50 {
        low.peer(&high).traffic.sent(1, 100);
        high.peer(&low).traffic.received(1, 100);
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(low.count(|event| matches!(event, Event::SessionDown { .. })), 0);
}

/// What low asks high once these are `cut` off arrives at the pair whose ways are kicked when they are back, and only later
/// at another that waits for its timers: these have backed off to more than a second by then.
async fn a_kick_is_sooner_than_timers(pairs: [(&Node, &Node); 2], cut: impl Fn(&Node, &Node), asked: &[u8]) {
    let mut requests = vec![];
    for (low, high) in pairs {
        cut(low, high);
        requests.push(low.sessions.request(high.id, asked.to_vec(), LONG));
    }
    sleep(Duration::from_millis(2000)).await;
    for (low, high) in pairs {
        low.route(high.v4);
        high.route(low.v4);
    }
    let [(low, high), (_, other)] = pairs;
    low.sessions.desk.kick(&[high.v4]);
    high.sessions.desk.kick(&[low.v4]);
    tokio::select! {
        () = high.answer(<[u8]>::to_vec) => {}
        () = other.answer(<[u8]>::to_vec) => panic!("the one that was not kicked went first"),
    }
    assert_eq!(low.response(requests[0]).await, Ok(asked.to_vec()));
}

#[tokio::test]
async fn a_kick_resumes_a_transfer_that_waited_for_its_path() {
    let [(_, low, high), (_, other_low, other_high)] = [pair(), pair()];
    connect(&low, &high).await;
    connect(&other_low, &other_high).await;
    let both = |low: &Node, high: &Node| {
        low.cut();
        high.cut();
    };
    a_kick_is_sooner_than_timers([(&low, &high), (&other_low, &other_high)], both, &[7; 10_000]).await;
}

#[tokio::test]
async fn a_kick_makes_a_dial_begin_anew() {
    let [(_, low, high), (_, other_low, other_high)] = [pair(), pair()];
    // Without a way nobody dials: it is the answer that is lost.
    let answers = |_: &Node, high: &Node| high.cut();
    a_kick_is_sooner_than_timers([(&low, &high), (&other_low, &other_high)], answers, b"?").await;
}

/// A node, and a peer of it that ended without a word and is back with the same key.
async fn restarted() -> (Node, Node) {
    let authority = Authority::new();
    let stays = Node::new(&authority, authority.identity(Ipv4Addr::new(10, 100, 0, 1), YEAR), quick());
    let lives = Arc::new(authority.identity(Ipv4Addr::new(10, 100, 0, 2), YEAR));
    let before = Node::new(&authority, Arc::clone(&lives), quick());
    join(&before, &stays);
    connect(&before, &stays).await;
    stays.up().await;
    before.cut();
    drop(before);
    let after = Node::new(&authority, lives, quick());
    join(&after, &stays);
    (stays, after)
}

#[tokio::test]
async fn a_restarted_peer_replaces_its_old_session_at_once() {
    let (stays, after) = restarted().await;
    connect(&after, &stays).await;
    // A stateless reset of the new life may come before its hello.
    let reason = stays.down().await;
    assert!(["the peer restarted", "the peer no longer knows it"].contains(&reason.as_str()), "{reason}");
    stays.up().await;
}

#[tokio::test]
async fn a_restarted_peer_says_that_it_forgot_the_old_session() {
    let (stays, after) = restarted().await;
    let request = stays.sessions.request(after.id, b"still there?".to_vec(), LONG);
    assert_eq!(stays.response(request).await, Err("unreachable"));
    assert_eq!(stays.down().await, "the peer no longer knows it");
    connect(&stays, &after).await;
}

#[tokio::test]
async fn a_shutdown_tells_the_peers() {
    let (_, low, high) = pair();
    connect(&low, &high).await;
    low.sessions.shutdown().await;
    assert_eq!(high.down().await, "the peer closed it: leaving");
    assert_eq!(low.down().await, "leaving");
    let request = low.sessions.request(high.id, b"?".to_vec(), LONG);
    assert_eq!(low.response(request).await, Err("unreachable"));
}

#[tokio::test]
async fn a_flood_of_handshakes_is_asked_for_proof_and_then_let_in() {
    let (_, low, high) = pair();
    let endpoint = low.sessions.desk.endpoint.get().unwrap();
    let (identity, trust) = low.settings.both().unwrap();
    let name = pinned_name(Some(&high.id));
    let dials: Vec<_> = (0..60)
        .map(|_| {
            let (config, _) = endpoint::client(&identity, &trust).unwrap();
            endpoint.connect_with(config, address_of(high.v4), &name).unwrap()
        })
        .collect();
    for dial in dials {
        dial.await.unwrap();
    }
    assert!(high.sessions.retries() > 0);
}
