//! A path that stops carrying is left, whether it drops everything or what it thinks nobody looks at.

use std::fs::File;
use std::io::{IoSlice, Write};
use std::net::UdpSocket;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::relay::Relay;
use super::world::{Node, pair};
use crate::event::Event;
use crate::offload::Vnet;
use crate::tables::Routes;
use crate::{Handle, LinkId};

const LONG: Duration = Duration::from_secs(20);
const NOBODY: Handle = Handle::new(10, 100, 9, 9);

/// Longer than any probe, shorter than our records.
const PROBES_PASS: usize = 300;

/// Two nodes with a session; the first has a relayed path to the other, and its direct link in reserve.
async fn world() -> (Node, Node, Relay, LinkId) {
    let (_, one, other) = pair();
    ask(&one, &other).await;
    let (relay, link) = relayed(&one, &other);
    (one, other, relay, link)
}

/// A relay between the two, and the first one's path over it.
fn relayed(one: &Node, other: &Node) -> (Relay, LinkId) {
    let relay = Relay::before(other.shared.socket.local_addr().unwrap());
    let link = one.add_path(other, NOBODY, relay.front);
    (relay, link)
}

/// One request, answered.
async fn ask(one: &Node, other: &Node) {
    let request = one.sessions.request(other.id, b"?".to_vec(), LONG);
    other.answer(<[u8]>::to_vec).await;
    assert_eq!(one.response(request).await, Ok(b"?".to_vec()));
}

/// Requests until there is an opinion on the path over `link`.
async fn suspected(one: &Node, other: &Node, link: LinkId) -> bool {
    loop {
        ask(one, other).await;
        if let Some(suspect) = one.opinion(link) {
            return suspect;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

impl Node {
    /// The newest opinion that was told of the path over `which`.
    fn opinion(&self, which: LinkId) -> Option<bool> {
        let mut seen = self.seen.lock().unwrap();
        seen.extend(self.shared.bus.drain(1024));
        let place = seen.iter().position(|event| matches!(event, Event::PathSuspect { link, .. } if *link == which))?;
        match seen.remove(place) {
            Event::PathSuspect { suspect, .. } => Some(suspect),
            _ => None,
        }
    }

    /// The link that packets of our session take.
    fn way_to(&self, other: &Self) -> LinkId {
        self.shared.routes.load().for_session(self.v4, other.v4).unwrap().link.index
    }

    /// The far end of `link` is in our table from now on, in reserve.
    fn may_answer_over(&self, other: &Self, link: LinkId) {
        let mut routes = self.shared.routes.load().0.clone();
        let back = self.shared.paths.hop(other.v4, &self.shared.links.load()[&link], 0, false);
        routes.get_mut(&other.v4).unwrap().push(back);
        self.shared.routes.store(Arc::new(Routes(routes)));
    }

    fn figures(&self, other: &Self, link: LinkId) -> Option<crate::path::Figures> {
        self.shared.paths.over(other.v4, link)?.figures(crate::clock::now())
    }
}

/// Send a packet of `length` bytes as an application would.
fn send_packet(kernel: &mut File, one: &Node, other: &Node, length: u16) {
    let mut packet = vec![0; length.into()];
    packet[..2].copy_from_slice(&[0x45, 0]);
    packet[2..4].copy_from_slice(&length.to_be_bytes());
    packet[8..10].copy_from_slice(&[64, 253]);
    packet[12..16].copy_from_slice(&one.v4.octets());
    packet[16..20].copy_from_slice(&other.v4.octets());
    let vnet = Vnet::default().encode();
    let written = kernel.write_vectored(&[IoSlice::new(&vnet), IoSlice::new(&packet)]).unwrap();
    assert_eq!(written, vnet.len() + packet.len());
}

#[tokio::test]
async fn a_path_that_stops_carrying_is_left_and_used_again_once_it_carries() {
    let (one, other, relay, link) = world().await;
    one.until(|one| one.figures(&other, link).is_some_and(|figures| figures.rtt.is_some())).await;
    assert_eq!(one.opinion(link), None);
    relay.carry_up_to(0);
    assert!(suspected(&one, &other, link).await);
    assert_ne!(one.way_to(&other), link);
    relay.carry_up_to(usize::MAX);
    assert!(!suspected(&one, &other, link).await);
    assert_eq!(one.way_to(&other), link);
}

#[tokio::test]
async fn a_relay_that_answers_for_probes_and_drops_records_is_found_by_reports() {
    let (one, other, relay, link) = world().await;
    let mut kernel = one.attach_tun();
    one.until(|one| one.peer(&other).sealer.load().is_some()).await;
    relay.carry_up_to(PROBES_PASS);
    let begin = Instant::now();
    while one.opinion(link) != Some(true) {
        assert!(begin.elapsed() < LONG);
        send_packet(&mut kernel, &one, &other, 600);
        sleep(Duration::from_millis(50)).await;
    }
    let before = other.peer(&one).traffic.packets();
    send_packet(&mut kernel, &one, &other, 600);
    other.until(|other| other.peer(&one).traffic.packets() > before).await;
    // It still answers for probes, and that does not help it.
    let rtt = |one: &Node| one.figures(&other, link).and_then(|figures| figures.rtt);
    one.until(|one| rtt(one).is_some()).await;
    sleep(Duration::from_secs(2)).await;
    assert!(one.shared.paths.over(other.v4, link).unwrap().is_suspect());
    assert_eq!(one.opinion(link), None);
}

#[tokio::test]
async fn records_that_arrive_are_covered_by_reports_and_count_as_such() {
    let (one, other, _relay, link) = world().await;
    let mut kernel = one.attach_tun();
    one.until(|one| one.peer(&other).sealer.load().is_some()).await;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(6) {
        send_packet(&mut kernel, &one, &other, 600);
        sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(one.opinion(link), None);
    assert_eq!(one.figures(&other, link).map(|figures| figures.loss), Some(0.0));
}

#[tokio::test]
async fn a_path_is_well_although_the_way_back_that_the_peer_chooses_is_dead() {
    let (_, one, other) = pair();
    ask(&one, &other).await;
    let mut kernel = one.attach_tun();
    one.until(|one| one.peer(&other).sealer.load().is_some()).await;
    let dead = UdpSocket::bind("127.0.0.1:0").unwrap();
    let chosen = other.way_to(&one);
    other.shared.links.load()[&chosen].remote.store(Arc::new(dead.local_addr().unwrap()));
    // Only now: a probe over it is answered within a moment, by a way that was still good.
    let (_relay, link) = relayed(&one, &other);
    assert_ne!(chosen, link);
    other.may_answer_over(&one, link);
    send_packet(&mut kernel, &one, &other, 600);
    one.until(|one| one.figures(&other, link).is_some_and(|figures| figures.rtt.is_some())).await;
}

#[tokio::test]
async fn a_dial_that_gets_no_answer_goes_another_way() {
    let (_, one, other) = pair();
    let relay = Relay::before(other.shared.socket.local_addr().unwrap());
    relay.carry_up_to(0);
    let link = one.add_path(&other, NOBODY, relay.front);
    ask(&one, &other).await;
    assert_eq!(one.opinion(link), Some(true));
}

#[tokio::test]
async fn an_idle_peers_paths_are_left_alone() {
    let (one, other, _relay, link) = world().await;
    one.until(|one| one.figures(&other, link).is_some()).await;
    // Nothing but keep-alive packets from now on.
    sleep(Duration::from_secs(6)).await;
    let carried = |one: &Node| one.shared.paths.over(other.v4, link).unwrap().link.traffic.packets();
    let before = carried(&one);
    sleep(Duration::from_secs(3)).await;
    assert!(carried(&one) - before <= 4, "{}", carried(&one) - before);
}
