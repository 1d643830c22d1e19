//! Members that make session after session, and what all of them together may make a node keep.

use std::time::Duration;

use quinn::{Connection, RecvStream, SendStream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};

use super::streams::spliced;
use super::world::{Node, pair, pair_with, quick};
use crate::event::Event;
use crate::session::Tuning;
use crate::stream::{Deadlines, PENDING_LIMIT, refusal};

/// Guards against hangs only.
const PATIENCE: Duration = Duration::from_secs(20);

/// The start of a stream to somewhere.
const SOMEWHERE: [u8; 5] = [1, 0, 0, 0, 0];

fn serving(node: &Node, peer: &Node) -> Option<u64> {
    node.sessions.desk.serving(&peer.id).map(|session| session.id)
}

/// The connection of the session that serves, as `node` has it.
fn connection(node: &Node, peer: &Node) -> Connection {
    node.sessions.desk.serving(&peer.id).unwrap().carrier.connection.clone()
}

/// A new session of the two takes over.
async fn renew(low: &Node, high: &Node) {
    let before = (serving(low, high), serving(high, low));
    low.sessions.renew_all();
    low.until(|low| ![before.0, None].contains(&serving(low, high))).await;
    high.until(|high| ![before.1, None].contains(&serving(high, low))).await;
}

async fn passes((near, far, _): &mut (TcpStream, TcpStream, u64)) {
    near.write_all(b"still here?").await.unwrap();
    far.read_exact(&mut [0; 11]).await.unwrap();
    far.write_all(b"yes").await.unwrap();
    near.read_exact(&mut [0; 3]).await.unwrap();
}

fn offers(node: &Node) -> usize {
    node.count(|event| matches!(event, Event::StreamOffered { .. }))
}

#[tokio::test]
async fn a_stream_outlives_two_renewals_and_of_more_losers_the_oldest_goes() {
    let (_, low, high) = pair();
    let mut streams = vec![spliced(&low, &high).await];
    for _ in 0..2 {
        renew(&low, &high).await;
        streams.push(spliced(&low, &high).await);
    }
    for stream in &mut streams {
        passes(stream).await;
    }
    renew(&low, &high).await;
    let (mut near, mut far, _) = streams.remove(0);
    for end in [&mut near, &mut far] {
        assert!(timeout(PATIENCE, end.read(&mut [0])).await.unwrap().is_err());
    }
    streams.push(spliced(&low, &high).await);
    for stream in &mut streams {
        passes(stream).await;
    }
    for node in [&low, &high] {
        node.until(|node| node.sessions.desk.sessions().len() == 3).await;
    }
}

#[tokio::test]
async fn of_many_losers_those_go_first_that_carry_nothing() {
    let (_, low, high) = pair();
    let mut stream = spliced(&low, &high).await;
    for _ in 0..4 {
        renew(&low, &high).await;
        for node in [&low, &high] {
            node.until(|node| node.sessions.desk.sessions().len() <= 3).await;
        }
    }
    passes(&mut stream).await;
}

#[tokio::test]
async fn what_was_under_way_to_a_loser_is_taken() {
    let (_, low, high) = pair();
    let _stays = spliced(&low, &high).await;
    let loser = connection(&low, &high);
    renew(&low, &high).await;
    let _stream = to_somewhere(&loser).await;
    high.until(|high| offers(high) == 1).await;
}

#[tokio::test]
async fn nothing_new_begins_on_a_loser() {
    let deadlines = Deadlines { header: Duration::from_millis(200), ..Deadlines::default() };
    let (_, low, high) = pair_with(Tuning { deadlines, ..quick() });
    let mut stays = spliced(&low, &high).await;
    let loser = connection(&low, &high);
    renew(&low, &high).await;
    // Until the loser noticed, and what could be under way has arrived.
    sleep(Duration::from_secs(1)).await;
    let (_send, mut recv) = to_somewhere(&loser).await;
    assert!(timeout(PATIENCE, recv.read(&mut [0])).await.unwrap().is_err());
    assert_eq!(offers(&high), 0);
    passes(&mut stays).await;
}

#[tokio::test]
async fn offers_count_on_all_sessions_of_a_peer_together() {
    let (_, low, high) = pair();
    for _ in 0..PENDING_LIMIT {
        low.sessions.open_stream(high.id, Vec::new());
    }
    high.until(|high| offers(high) == PENDING_LIMIT).await;
    renew(&low, &high).await;
    let stream = low.sessions.open_stream(high.id, Vec::new());
    let refused = low.event(|event| match event {
        Event::StreamRefused { stream, code } => Some((*stream, *code)),
        _ => None,
    });
    assert_eq!(refused.await, (stream, refusal::BUSY));
}

/// Write until the other end takes no more for a while; how much that was.
async fn pour(send: &mut SendStream) -> usize {
    let mut poured = 0;
    while let Ok(Ok(written)) = timeout(Duration::from_millis(500), send.write(&[0; 64 << 10])).await {
        poured += written;
    }
    poured
}

async fn to_somewhere(connection: &Connection) -> (SendStream, RecvStream) {
    let (mut send, recv) = connection.open_bi().await.unwrap();
    send.write_all(&SOMEWHERE).await.unwrap();
    (send, recv)
}

#[tokio::test]
async fn a_second_session_holds_its_part_until_it_is_alone() {
    let (_, low, high) = pair();
    let (near, far, _) = spliced(&low, &high).await;
    renew(&low, &high).await;
    let second = connection(&low, &high);
    let (mut one, mut other) = (to_somewhere(&second).await, to_somewhere(&second).await);
    let poured = pour(&mut one.0).await + pour(&mut other.0).await;
    assert!(poured <= 12 << 20, "{poured}");
    drop((near, far));
    high.until(|high| high.sessions.desk.sessions().len() == 1).await;
    let (mut more, mut rest) = (to_somewhere(&second).await, to_somewhere(&second).await);
    for stream in [&mut more, &mut rest] {
        timeout(PATIENCE, stream.0.write_all(&vec![0; 7 << 20])).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn who_says_no_hello_leaves_little() {
    let (_, low, high) = pair();
    let connection = low.dialled_by_hand(&high).await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    // A hello of which the last byte never comes.
    send.write_all(&[0, 0, 1, 0]).await.unwrap();
    let (mut more, _recv) = connection.open_bi().await.unwrap();
    assert!(pour(&mut more).await <= 256 << 10);
}
