use std::time::Duration;

use super::world::{pair, pair_with, quick};
use crate::event::Event;
use crate::session::Tuning;
use crate::stream::{OPEN_LIMIT, PAYLOAD_LIMIT};

const LONG: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_request_opens_a_session_and_is_answered() {
    let (_, low, high) = pair();
    for (asker, answerer) in [(&low, &high), (&high, &low)] {
        let request = asker.sessions.request(answerer.id, b"ping".to_vec(), LONG);
        answerer.answer(|payload| [payload, b" pong"].concat()).await;
        assert_eq!(asker.response(request).await, Ok(b"ping pong".to_vec()));
    }
    low.up().await;
    high.up().await;
    assert_eq!(low.sessions.snapshot().len(), 1);
    assert_eq!(low.sessions.snapshot()[0].node, high.id);
}

#[tokio::test]
async fn the_largest_payload_passes_both_ways() {
    let (_, low, high) = pair();
    let payload: Vec<u8> = (0..PAYLOAD_LIMIT).map(|at| (at * 7) as u8).collect();
    let request = low.sessions.request(high.id, payload.clone(), LONG);
    high.answer(<[u8]>::to_vec).await;
    assert_eq!(low.response(request).await.map(|answer| answer == payload), Ok(true));
}

#[tokio::test]
async fn a_request_nobody_answers_times_out_and_is_forgotten() {
    let (_, low, high) = pair();
    let request = low.sessions.request(high.id, b"?".to_vec(), Duration::from_millis(300));
    assert_eq!(low.response(request).await, Err("timeout"));
    high.event(|event| matches!(event, Event::Request { .. }).then_some(())).await;
    high.until(|high| high.sessions.snapshot().iter().all(|session| session.streams == 0)).await;
}

#[tokio::test]
async fn payloads_over_a_mebibyte_are_too_large_in_either_direction() {
    let (_, low, high) = pair();
    let request = low.sessions.request(high.id, vec![0; PAYLOAD_LIMIT + 1], LONG);
    assert_eq!(low.response(request).await, Err("too_large"));
    let request = low.sessions.request(high.id, b"much, please".to_vec(), LONG);
    high.answer(|_| vec![0; PAYLOAD_LIMIT + 1]).await;
    assert_eq!(low.response(request).await, Err("too_large"));
}

#[tokio::test]
async fn a_node_without_a_route_is_unreachable_at_once() {
    let (_, low, high) = pair();
    low.cut();
    let request = low.sessions.request(high.id, b"?".to_vec(), LONG);
    assert_eq!(low.response(request).await, Err("unreachable"));
    let request = low.sessions.request([9; 32], b"?".to_vec(), LONG);
    assert_eq!(low.response(request).await, Err("unreachable"));
}

#[tokio::test]
async fn a_node_that_does_not_answer_the_dial_is_unreachable() {
    let (_, low, high) = pair_with(Tuning { dial: Duration::from_millis(300), ..quick() });
    high.cut();
    let request = low.sessions.request(high.id, b"?".to_vec(), LONG);
    assert_eq!(low.response(request).await, Err("unreachable"));
}

#[tokio::test]
async fn more_than_64_open_requests_of_a_peer_are_refused() {
    let (_, low, high) = pair();
    let requests: Vec<u64> = (0..=OPEN_LIMIT).map(|_| low.sessions.request(high.id, b"?".to_vec(), LONG)).collect();
    let refused = low
        .event(|event| match event {
            Event::Response { request, result } => Some((*request, result.clone())),
            _ => None,
        })
        .await;
    assert_eq!(refused.1, Err("refused"));
    for _ in 0..OPEN_LIMIT {
        high.answer(<[u8]>::to_vec).await;
    }
    for request in requests.into_iter().filter(|request| *request != refused.0) {
        assert_eq!(low.response(request).await, Ok(b"?".to_vec()));
    }
}

#[tokio::test]
async fn requests_whose_asker_gave_up_count_until_they_are_answered() {
    let (_, low, high) = pair();
    let brief = Duration::from_secs(1);
    for _ in 0..OPEN_LIMIT {
        low.sessions.request(high.id, b"?".to_vec(), brief);
    }
    let is_timeout = |event: &Event| matches!(event, Event::Response { result: Err("timeout"), .. }).then_some(());
    for _ in 0..OPEN_LIMIT {
        low.event(is_timeout).await;
    }
    high.until(|high| high.sessions.snapshot().iter().all(|session| session.streams == 0)).await;
    // Not on another session either.
    high.sessions.close_session(low.id, "a test");
    low.down().await;
    let request = low.sessions.request(high.id, b"one too many".to_vec(), LONG);
    assert_eq!(low.response(request).await, Err("refused"));
    for _ in 0..OPEN_LIMIT {
        high.answer(<[u8]>::to_vec).await;
    }
    let request = low.sessions.request(high.id, b"now?".to_vec(), LONG);
    high.answer(<[u8]>::to_vec).await;
    assert_eq!(low.response(request).await, Ok(b"now?".to_vec()));
}
