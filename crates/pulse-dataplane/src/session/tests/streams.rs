use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream as StdUnixStream;
use std::time::Duration;

use ring::digest::{Context, SHA256};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::sleep;

use super::world::{Node, pair, pair_with, quick};
use crate::event::Event;
use crate::session::Tuning;
use crate::stream::{Deadlines, HEADER_LIMIT, PENDING_LIMIT, refusal};

/// A connected pair of TCP sockets: one to give away, one to use here.
fn tcp() -> (OwnedFd, tokio::net::TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let here = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let there = listener.accept().unwrap().0;
    here.set_nonblocking(true).unwrap();
    (there.into(), tokio::net::TcpStream::from_std(here).unwrap())
}

async fn offered(node: &Node) -> (u64, Vec<u8>) {
    node.event(|event| match event {
        Event::StreamOffered { stream, header, .. } => Some((*stream, header.clone())),
        _ => None,
    })
    .await
}

async fn accepted(node: &Node) -> u64 {
    node.event(|event| match event {
        Event::StreamAccepted { stream } => Some(*stream),
        _ => None,
    })
    .await
}

async fn refused(node: &Node) -> (u64, u32) {
    node.event(|event| match event {
        Event::StreamRefused { stream, code } => Some((*stream, *code)),
        _ => None,
    })
    .await
}

async fn closed(node: &Node) -> (u64, u64, u64) {
    node.event(|event| match event {
        Event::StreamClosed { stream, sent, received, .. } => Some((*stream, *sent, *received)),
        _ => None,
    })
    .await
}

/// What cut the next stream that ends, or 0.
async fn cut(node: &Node) -> u32 {
    node.event(|event| match event {
        Event::StreamClosed { cut, .. } => Some(*cut),
        _ => None,
    })
    .await
}

/// A stream from `opener` to `acceptor`, spliced at both ends; our sides of it.
pub async fn spliced(opener: &Node, acceptor: &Node) -> (tokio::net::TcpStream, tokio::net::TcpStream, u64) {
    let stream = opener.sessions.open_stream(acceptor.id, b"to somewhere".to_vec());
    let (offer, header) = offered(acceptor).await;
    assert_eq!(header, b"to somewhere");
    let ((far, far_here), (near, near_here)) = (tcp(), tcp());
    acceptor.sessions.accept_stream(offer, far);
    assert_eq!(accepted(opener).await, stream);
    opener.sessions.splice(stream, near);
    (near_here, far_here, stream)
}

/// `length` bytes that repeat after no power of two, and their hash.
fn noise(length: usize) -> (Vec<u8>, Vec<u8>) {
    let bytes: Vec<u8> = (0..length).map(|at| (at % 251) as u8 ^ (at >> 16) as u8).collect();
    let mut hash = Context::new(&SHA256);
    hash.update(&bytes);
    (bytes, hash.finish().as_ref().to_vec())
}

#[tokio::test]
async fn thirty_two_megabytes_cross_whole_and_the_answer_follows_the_half_close() {
    let (_, low, high) = pair();
    let (mut near, mut far, stream) = spliced(&low, &high).await;
    let (bytes, hash) = noise(32 << 20);
    let sent = bytes.len() as u64;
    let sending = tokio::spawn(async move {
        near.write_all(&bytes).await.unwrap();
        near.shutdown().await.unwrap();
        let mut answer = Vec::new();
        near.read_to_end(&mut answer).await.unwrap();
        answer
    });
    let mut received = Vec::new();
    far.read_to_end(&mut received).await.unwrap();
    let mut context = Context::new(&SHA256);
    context.update(&received);
    assert_eq!(context.finish().as_ref(), hash);
    far.write_all(b"all of it, thanks").await.unwrap();
    drop(far);
    assert_eq!(sending.await.unwrap(), b"all of it, thanks");
    assert_eq!(closed(&low).await, (stream, sent, 17));
    let (_, out, back) = closed(&high).await;
    assert_eq!((out, back), (17, sent));
}

#[tokio::test]
async fn the_acceptor_may_close_its_direction_first() {
    let (_, low, high) = pair();
    let (mut near, mut far, _) = spliced(&low, &high).await;
    far.write_all(b"banner").await.unwrap();
    far.shutdown().await.unwrap();
    let mut banner = Vec::new();
    near.read_to_end(&mut banner).await.unwrap();
    assert_eq!(banner, b"banner");
    near.write_all(b"still talking").await.unwrap();
    drop(near);
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest, b"still talking");
}

#[tokio::test]
async fn a_reset_at_one_end_is_a_reset_at_the_other() {
    let (_, low, high) = pair();
    let (near, mut far, _) = spliced(&low, &high).await;
    SockRef::from(&near).set_linger(Some(Duration::ZERO)).unwrap();
    drop(near);
    let error = far.read_to_end(&mut Vec::new()).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    closed(&low).await;
    closed(&high).await;
}

#[tokio::test]
async fn unix_sockets_splice_too() {
    let (_, low, high) = pair();
    let stream = low.sessions.open_stream(high.id, Vec::new());
    let (offer, _) = offered(&high).await;
    let ((far, far_here), (near, near_here)) = (StdUnixStream::pair().unwrap(), StdUnixStream::pair().unwrap());
    high.sessions.accept_stream(offer, far.into());
    accepted(&low).await;
    low.sessions.splice(stream, near.into());
    for socket in [&far_here, &near_here] {
        socket.set_nonblocking(true).unwrap();
    }
    let mut near = tokio::net::UnixStream::from_std(near_here).unwrap();
    let mut far = tokio::net::UnixStream::from_std(far_here).unwrap();
    near.write_all(b"hello").await.unwrap();
    drop(near);
    let mut heard = Vec::new();
    far.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"hello");
}

#[tokio::test]
async fn a_refusal_carries_its_code() {
    let (_, low, high) = pair();
    let stream = low.sessions.open_stream(high.id, b"port 25".to_vec());
    let (offer, _) = offered(&high).await;
    high.sessions.refuse_stream(offer, 2);
    assert_eq!(refused(&low).await, (stream, 2));
    assert_eq!(high.count(|event| matches!(event, Event::StreamClosed { .. })), 0);
}

#[tokio::test]
async fn a_stream_to_an_unreachable_node_or_with_a_long_header_is_refused() {
    let (_, low, high) = pair();
    let stream = low.sessions.open_stream([9; 32], Vec::new());
    assert_eq!(refused(&low).await, (stream, refusal::UNREACHABLE));
    let stream = low.sessions.open_stream(high.id, vec![0; HEADER_LIMIT + 1]);
    assert_eq!(refused(&low).await, (stream, refusal::TOO_LARGE));
}

#[tokio::test]
async fn a_stream_the_opener_gives_up_is_closed_at_the_acceptor() {
    let (_, low, high) = pair();
    let stream = low.sessions.open_stream(high.id, Vec::new());
    let (offer, _) = offered(&high).await;
    low.sessions.cancel_stream(stream);
    assert_eq!(refused(&low).await, (stream, refusal::CANCELLED));
    assert_eq!(closed(&high).await, (offer, 0, 0));
}

#[tokio::test]
async fn a_spliced_stream_that_is_cancelled_resets_both_ends() {
    let (_, low, high) = pair();
    let (mut near, mut far, stream) = spliced(&low, &high).await;
    near.write_all(b"x").await.unwrap();
    far.read_exact(&mut [0]).await.unwrap();
    low.sessions.cancel_stream(stream);
    assert!(far.read_to_end(&mut Vec::new()).await.is_err());
    assert!(near.read_to_end(&mut Vec::new()).await.is_err());
    assert_eq!(closed(&low).await, (stream, 1, 0));
    let (_, _, received) = closed(&high).await;
    assert_eq!(received, 1);
}

#[tokio::test]
async fn a_session_that_ends_takes_its_streams_along() {
    let (_, low, high) = pair();
    let (near, far, _) = spliced(&low, &high).await;
    low.sessions.close_session(high.id, "for a test");
    assert_eq!(low.down().await, "for a test");
    high.down().await;
    closed(&low).await;
    closed(&high).await;
    drop((near, far));
}

#[tokio::test]
async fn an_end_and_a_cut_are_told_apart_and_what_cut_it() {
    let (_, low, high) = pair();
    let (near, far, _) = spliced(&low, &high).await;
    drop((near, far));
    assert_eq!((cut(&low).await, cut(&high).await), (0, 0));
    let (mut near, mut far, stream) = spliced(&low, &high).await;
    near.write_all(b"x").await.unwrap();
    far.read_exact(&mut [0]).await.unwrap();
    low.sessions.cancel_stream(stream);
    assert_eq!((cut(&low).await, cut(&high).await), (refusal::CANCELLED, refusal::RESET));
    let (mut near, mut far, _) = spliced(&low, &high).await;
    near.write_all(b"x").await.unwrap();
    far.read_exact(&mut [0]).await.unwrap();
    low.sessions.close_session(high.id, "for a test");
    assert_eq!((cut(&low).await, cut(&high).await), (refusal::LOST, refusal::LOST));
    for socket in [&mut near, &mut far] {
        let error = socket.read_to_end(&mut Vec::new()).await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    }
}

#[tokio::test]
async fn a_socket_whose_process_is_killed_is_reset() {
    let (_, low, high) = pair();
    let stream = low.sessions.open_stream(high.id, Vec::new());
    let (offer, _) = offered(&high).await;
    let ((far, _far_here), (near, _near_here)) = (tcp(), tcp());
    let held = near.try_clone().unwrap();
    high.sessions.accept_stream(offer, far);
    accepted(&low).await;
    low.sessions.splice(stream, near);
    // The kernel closes it then, and does what was said before.
    low.until(|_| SockRef::from(&held).linger().unwrap() == Some(Duration::ZERO)).await;
}

#[tokio::test]
async fn a_session_that_ends_frees_a_stream_whose_socket_nobody_reads() {
    let (_, low, high) = pair();
    let (mut near, far, _) = spliced(&low, &high).await;
    let writing = tokio::spawn(async move { near.write_all(&vec![0; 64 << 20]).await });
    // Until every buffer on the way is full.
    sleep(Duration::from_millis(500)).await;
    low.sessions.close_session(high.id, "for a test");
    closed(&high).await;
    closed(&low).await;
    assert!(writing.await.unwrap().is_err());
    drop(far);
}

#[tokio::test]
async fn more_than_256_pending_offers_of_a_peer_are_refused() {
    let (_, low, high) = pair();
    for _ in 0..=PENDING_LIMIT {
        low.sessions.open_stream(high.id, Vec::new());
    }
    assert_eq!(refused(&low).await.1, refusal::BUSY);
    high.until(|high| high.count(|event| matches!(event, Event::StreamOffered { .. })) == PENDING_LIMIT).await;
    assert_eq!(low.count(|event| matches!(event, Event::StreamRefused { .. })), 0);
}

fn impatient() -> Tuning {
    let deadlines = Deadlines { header: Duration::from_millis(200), answer: Duration::from_millis(200) };
    Tuning { deadlines, ..quick() }
}

#[tokio::test]
async fn an_offer_nobody_answers_is_refused_in_time() {
    let (_, low, high) = pair_with(impatient());
    let stream = low.sessions.open_stream(high.id, Vec::new());
    let (offer, _) = offered(&high).await;
    assert_eq!(refused(&low).await, (stream, refusal::TIMEOUT));
    assert_eq!(closed(&high).await, (offer, 0, 0));
    // Too late: the descriptor is closed and nothing else happens.
    let (far, mut far_here) = tcp();
    high.sessions.accept_stream(offer, far);
    assert_eq!(far_here.read(&mut [0]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_stream_that_names_nothing_in_time_or_something_unknown_is_reset() {
    let (_, low, high) = pair_with(impatient());
    let request = low.sessions.request(high.id, Vec::new(), Duration::from_secs(20));
    high.answer(<[u8]>::to_vec).await;
    assert!(low.response(request).await.is_ok());
    let connection = low.sessions.desk.serving(&high.id).unwrap().carrier.connection.clone();
    let too_long = [&[1][..], &u32::try_from(HEADER_LIMIT + 1).unwrap().to_be_bytes()].concat();
    for start in [&[1, 0][..], &[7, 0, 0, 0, 0], &too_long] {
        let (mut send, mut recv) = connection.open_bi().await.unwrap();
        send.write_all(start).await.unwrap();
        assert!(recv.read_to_end(10).await.is_err());
    }
    assert_eq!(high.count(|event| matches!(event, Event::StreamOffered { .. })), 0);
    assert!(connection.close_reason().is_none());
}
