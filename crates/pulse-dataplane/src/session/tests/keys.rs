use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::time::sleep;

use super::world::{Node, pair, pair_with, quick};
use crate::hello::write_message;
use crate::keys::{Limits, Offer};
use crate::seal::{Marks, RECORD_HEADER, RECORD_OVERHEAD, RecordOpener};
use crate::session::Tuning;
use crate::session::control::Message;
use crate::stats::Drop;

/// Seal one record here and open it there, at once, as the packet threads would.
fn record(from: &Node, to: &Node, number: u64) -> u32 {
    let (here, there) = (from.peer(to), to.peer(from));
    let sealer = here.sealer.load_full().unwrap();
    let counter = sealer.reserve(1).unwrap();
    let mut bytes = vec![0; RECORD_OVERHEAD + 8];
    bytes[RECORD_HEADER..RECORD_HEADER + 8].copy_from_slice(&number.to_be_bytes());
    sealer.seal(counter, Marks::default(), &mut bytes);
    here.traffic.sent(1, 8);
    let openers: Arc<HashMap<u32, Arc<RecordOpener>>> = to.shared.openers.load_full();
    let opener =
        openers.get(&sealer.index).unwrap_or_else(|| panic!("record {number}: index {} is unknown", sealer.index));
    let opened = opener.run().open(&mut bytes).map(|(packet, _)| packet.to_vec());
    assert_eq!(opened, Ok(number.to_be_bytes().to_vec()));
    there.traffic.received(1, 8);
    assert_eq!((opener.node, opener.v4), (from.id, from.v4));
    sealer.index
}

async fn keyed(one: &Node, other: &Node) {
    one.shared.wanted.send(other.id).unwrap();
    for (node, peer) in [(one, other), (other, one)] {
        node.until(|node| node.peer(peer).sealer.load().is_some()).await;
    }
}

#[tokio::test]
async fn a_session_gives_both_ends_keys_whoever_dialled() {
    for reversed in [false, true] {
        let (_, low, high) = pair();
        let (dialler, other) = if reversed { (&high, &low) } else { (&low, &high) };
        keyed(dialler, other).await;
        record(&low, &high, 1);
        record(&high, &low, 2);
    }
}

#[tokio::test]
async fn parity_has_keys_where_both_ends_offered_it() {
    for (offered_low, offered_high) in [(true, true), (true, false), (false, true), (false, false)] {
        let (_, low, high) = pair();
        low.settings.fec.store(offered_low, Ordering::Relaxed);
        high.settings.fec.store(offered_high, Ordering::Relaxed);
        keyed(&low, &high).await;
        for (node, peer) in [(&low, &high), (&high, &low)] {
            let sealer = node.peer(peer).sealer.load_full().unwrap();
            assert_eq!(sealer.parity.is_some(), offered_low && offered_high);
        }
        record(&low, &high, 1);
        record(&high, &low, 2);
        let index = low.peer(&high).sealer.load_full().unwrap().index;
        let opener = Arc::clone(&high.shared.openers.load()[&index]);
        let refused = opener.run().parity(&mut [0; 200]);
        let expected = if offered_low && offered_high { Drop::BadSeal } else { Drop::UnknownKind };
        assert_eq!(refused, Err(expected));
    }
}

#[tokio::test]
async fn key_swaps_every_50_records_lose_none_under_load() {
    let limits = Limits { records: 50, grace: Duration::from_millis(100), pace: Duration::ZERO, ..Limits::default() };
    let (_, low, high) = pair_with(Tuning { limits, tick: Duration::from_millis(2), ..quick() });
    keyed(&high, &low).await;
    let mut indexes = std::collections::HashSet::new();
    for number in 0..5000 {
        indexes.insert(record(&low, &high, 2 * number));
        indexes.insert(record(&high, &low, 2 * number + 1));
        if number % 5 == 0 {
            sleep(Duration::from_millis(1)).await;
        }
    }
    assert!(indexes.len() > 20, "only {} keys were used", indexes.len());
    for node in [&low, &high] {
        node.until(|node| node.shared.openers.load().len() <= 2).await;
    }
}

#[tokio::test]
async fn an_entry_that_came_after_the_session_gets_its_key() {
    let (_, low, high) = pair();
    keyed(&low, &high).await;
    let old = low.peer(&high);
    super::world::join(&low, &high);
    assert!(low.peer(&high).sealer.load().is_none());
    low.shared.wanted.send(high.id).unwrap();
    low.until(|low| low.peer(&high).sealer.load().is_some()).await;
    // It is the same sealer: a counter never starts anew under one key.
    assert!(Arc::ptr_eq(&low.peer(&high).sealer.load_full().unwrap(), &old.sealer.load_full().unwrap()));
}

#[tokio::test]
async fn the_end_of_a_session_erases_its_keys() {
    let (_, low, high) = pair();
    keyed(&low, &high).await;
    low.sessions.close_session(high.id, "for a test");
    for (node, peer) in [(&low, &high), (&high, &low)] {
        node.down().await;
        node.until(|node| node.shared.openers.load().is_empty() && node.peer(peer).sealer.load().is_none()).await;
    }
}

#[tokio::test]
async fn no_record_is_lost_while_two_sessions_of_a_pair_become_one() {
    let (_, low, high) = pair();
    low.shared.wanted.send(high.id).unwrap();
    high.shared.wanted.send(low.id).unwrap();
    for (node, peer) in [(&low, &high), (&high, &low)] {
        node.until(|node| node.peer(peer).sealer.load().is_some()).await;
    }
    let until = Instant::now() + Duration::from_millis(1500);
    let mut number = 0;
    while Instant::now() < until {
        record(&low, &high, number);
        record(&high, &low, number + 1);
        number += 2;
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_session_that_was_replaced_neither_seals_nor_swaps_any_more() {
    let limits = Limits { records: 1, ..Limits::default() };
    let (_, low, high) = pair_with(Tuning { limits, ..quick() });
    keyed(&low, &high).await;
    let session = low.sessions.desk.serving(&high.id).unwrap();
    session.sealing.replace();
    let (peer, openers) = (low.peer(&high), low.shared.openers.load().len());
    peer.sealer.store(None);
    peer.traffic.sent(10, 10);
    session.sealing.install(&low.shared, &peer);
    sleep(Duration::from_millis(200)).await;
    assert!(peer.sealer.load().is_none());
    assert!(low.shared.openers.load().len() <= openers);
}

#[tokio::test]
async fn a_session_that_was_replaced_in_the_middle_of_a_swap_takes_its_sealer_along() {
    let limits = Limits { records: 1, ..Limits::default() };
    let (_, low, high) = pair_with(Tuning { limits, ..quick() });
    keyed(&low, &high).await;
    // The lower id swaps on; the higher one was told meanwhile that another session seals.
    high.sessions.desk.serving(&low.id).unwrap().sealing.replace();
    low.peer(&high).traffic.sent(10, 10);
    high.down().await;
    high.until(|high| high.peer(&low).sealer.load().is_none()).await;
}

#[tokio::test]
async fn packets_that_waited_leave_once_there_are_keys() {
    let (_, low, high) = pair();
    low.hold_packet(&high);
    low.shared.wanted.send(high.id).unwrap();
    high.until(|high| high.shared.openers.load().values().any(|opener| opener.used.load(Ordering::Relaxed))).await;
    assert!(low.peer(&high).waiting.lock().unwrap().is_empty());
}

#[tokio::test]
async fn packets_that_still_wait_when_a_dial_failed_cause_another() {
    let (_, low, high) = pair_with(Tuning { dial: Duration::from_millis(200), ..quick() });
    high.cut();
    low.shared.wanted.send(high.id).unwrap();
    for _ in 0..50 {
        low.hold_packet(&high);
        sleep(Duration::from_millis(10)).await;
    }
    high.route(low.v4);
    for _ in 0..70 {
        low.hold_packet(&high);
        sleep(Duration::from_millis(10)).await;
    }
    low.up().await;
}

#[tokio::test]
async fn a_peer_that_swaps_keys_without_end_loses_its_session() {
    let (_, low, high) = pair();
    let connection = low.dialled_by_hand(&high).await;
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    write_message(&mut send, &low.settings.hello(0, 0).encode().unwrap()).await.unwrap();
    // The base point, which is as good a key as any.
    let public = std::array::from_fn(|at| if at == 0 { 9 } else { 0 });
    let swapping = async {
        for index in 1.. {
            let offer = Message::Keys(Offer { public, index }).encode();
            if write_message(&mut send, &offer).await.is_err() {
                return;
            }
            sleep(Duration::from_millis(20)).await;
        }
    };
    high.up().await;
    tokio::time::timeout(Duration::from_secs(20), swapping).await.unwrap();
    assert_eq!(high.down().await, "it swaps keys without end");
    high.until(|high| high.shared.openers.load().is_empty()).await;
}
